"""What may be asked of a replay."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, get_args

import numpy as np

from capacity.errors import InvalidInput, Problem
from capacity.fpm.traffic import TimeKind
from capacity.units import shown

__all__ = ["MOST_POOLS", "MOST_WORKERS", "checked"]

MOST_WORKERS: Final = 100_000
MOST_POOLS: Final = 50
_MOST_PLACES = 2**31
_LEAST_CPUS = 0.01


def checked(
    workers: int | Sequence[int],
    cpus: float | None,
    cpu_time: float | None,
    time_kind: TimeKind,
    logged_workers: int | None,
    backlog: int | None,
) -> tuple[list[int], float]:
    """Check what ``replay_log`` is asked; before a log is read, where that takes long.

    Parameters
    ----------
    workers, cpus, cpu_time, time_kind, logged_workers, backlog
        As there.

    Returns
    -------
    tuple of (list of int, float)
        The pools, and the waiting places as a number.

    Raises
    ------
    InvalidInput
        If one is out of its domain.
    """
    problems = []
    given = list(workers) if isinstance(workers, (Sequence, np.ndarray)) and not isinstance(workers, str) else [workers]
    if not 1 <= len(given) <= MOST_POOLS or len(set(map(repr, given))) < len(given):
        problems.append(Problem("workers", f"must be 1 to {MOST_POOLS} different numbers", shown(workers)))
    counts = [("workers", one, 1, MOST_WORKERS) for one in given[:MOST_POOLS]]
    counts += [("logged_workers", logged_workers, 1, MOST_WORKERS)] if logged_workers is not None else []
    counts += [("backlog", backlog, 0, _MOST_PLACES)] if backlog is not None else []
    for name, value, least, most in counts:
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if not (whole and least <= value <= most):
            problems.append(Problem(name, f"must be whole numbers from {least} to {most}", shown(value)))
    for name, amount, unit in (("cpus", cpus, ""), ("cpu_time", cpu_time, " s")):
        if amount is not None and not (isinstance(amount, (int, float)) and 0 <= amount < math.inf):
            problems.append(Problem(name, f"must be a finite number from 0{unit} up", shown(amount)))
    if cpus is not None and not problems and cpus < _LEAST_CPUS:
        problems.append(Problem("cpus", f"must be at least {_LEAST_CPUS:g}", shown(cpus)))
    if time_kind not in get_args(TimeKind):
        problems.append(Problem("time_kind", f"must be one of {', '.join(get_args(TimeKind))}", shown(time_kind)))
    if problems:
        raise InvalidInput(problems)
    return [int(count) for count in given], math.inf if backlog is None else float(backlog)
