"""What the objective asks of answers: a quantile in time, an Apdex, or both; and by how much it is missed.

Apdex, for a time T: who is answered within T is satisfied and counts whole, who is answered within 4 T tolerates it and
counts half, everybody else counts nothing. As a share of all that is 1 - (P(R > T) + P(R > 4 T)) / 2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from capacity.inputs import Objective
from capacity.queueing.search import Rows
from capacity.queueing.shared_pool import Pool
from capacity.queueing.spread import log_service_tail, response_tail
from capacity.table import ROUNDING, Column, Table, service_time
from capacity.units import format_fraction, format_seconds

__all__ = ["NEEDED", "TOLERATED", "apdex", "excess", "excess_alone", "explain", "is_kept", "is_set", "without"]

NEEDED: Final = ("objective.response_time", "objective.percentile", "objective.apdex_time", "objective.apdex")
"""The columns an objective looks at."""
TOLERATED: Final = 4.0
"""Times T up to which an answer is tolerated, as Apdex has it."""


def is_set(table: Table) -> NDArray[np.bool_]:
    """Whether anything is asked of answers."""
    return np.isfinite(table["objective.response_time"]) | np.isfinite(table["objective.apdex"])


def without(table: Table, rows: NDArray[np.bool_]) -> dict[str, Column]:
    """Table in some rows of which nothing is asked of answers."""
    asked = {name: np.where(rows, np.nan, table[name]) for name in ("objective.response_time", "objective.apdex")}
    return {**table, **asked}


def is_kept(over: Column) -> NDArray[np.bool_]:
    """Whether the objective is kept, from ``excess``; True where none is set."""
    return ~(over > ROUNDING)


@np.errstate(all="ignore")
def excess(table: Table, pool: Pool) -> Column:
    """Logarithm of the share of answers that are late over the share that may be, of solved pools.

    For an Apdex half of the answers after T and half of those after 4 T are late. Where both are asked for, the worse
    of the two; NaN where nothing is, inf where it cannot be said.
    """
    return _over(table, lambda t, rows: np.log(response_tail(t, {name: column[rows] for name, column in pool.items()})))


@np.errstate(all="ignore")
def excess_alone(table: Table) -> Column:
    """The same of requests that never wait for a worker: where this is above 0, no number of workers will do."""
    service, scv = service_time(table), table["workload.service_scv"]
    return _over(table, lambda t, rows: log_service_tail(t * (1.0 + ROUNDING) / service[rows], scv[rows]))


def _over(table: Table, log_tail: Callable[[Column, Rows], Column]) -> Column:
    over = np.full(table["objective.apdex"].shape, np.nan)
    target, first = table["objective.response_time"], table["objective.apdex_time"]
    rows = np.flatnonzero(np.isfinite(target))
    if rows.size:
        over[rows] = _sure(log_tail(target[rows], rows) - np.log1p(-table["objective.percentile"][rows]))
    rows = np.flatnonzero(np.isfinite(table["objective.apdex"]))
    if rows.size:
        late = np.logaddexp(log_tail(first[rows], rows), log_tail(TOLERATED * first[rows], rows)) - np.log(2.0)
        over[rows] = np.fmax(over[rows], _sure(late - np.log1p(-table["objective.apdex"][rows])))
    return over


def _sure(over: Column) -> Column:
    """What cannot be said is not kept."""
    return np.where(np.isnan(over), np.inf, over)


@np.errstate(all="ignore")
def apdex(table: Table, pool: Pool) -> Column:
    """Apdex [-] of solved pools; NaN where no ``apdex_time`` is given."""
    first = table["objective.apdex_time"]
    share = np.full(first.shape, np.nan)
    rows = np.flatnonzero(np.isfinite(first))
    if rows.size:
        part = {name: column[rows] for name, column in pool.items()}
        late = response_tail(first[rows], part) + response_tail(TOLERATED * first[rows], part)
        share[rows] = 1.0 - late / 2.0
    return share


def explain(objective: Objective) -> str:
    """What is asked, in words.

    Examples
    --------
    >>> explain(Objective(response_time="800ms", apdex=0.9, apdex_time="500ms"))
    'at most 80 % busy and 95 % of the requests within 800 ms and an Apdex of 0.9 at 500 ms'
    """
    asked = [f"at most {format_fraction(objective.max_utilization)} busy"]
    if objective.response_time is not None:
        share = format_fraction(objective.percentile)
        asked.append(f"{share} of the requests within {format_seconds(objective.response_time)}")
    if objective.apdex is not None and objective.apdex_time is not None:
        asked.append(f"an Apdex of {objective.apdex:g} at {format_seconds(objective.apdex_time)}")
    return " and ".join(asked)
