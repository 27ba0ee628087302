"""Spare servers for a sudden step in load: the fewest that keep the wait short, found with the tick simulator.

A dynamic pool forks at most min_spare_servers workers a second, so these are what a step is met with: idle workers at
first, then their number again each second. They bound the wait from above and memory from below. max_spare_servers
beyond them only holds memory, so it is little more: half a standard deviation of the busy workers at rest, which
leaves one fork in about three seconds to chance. A restart begins with all of max_spare_servers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from capacity.fpm.manager import SOMAXCONN
from capacity.fpm.step import StepRun, simulate_step, step_window
from capacity.pool import PoolSettings
from capacity.results import Choice
from capacity.table import Column, Table, service_time
from capacity.units import format_rate, format_seconds

__all__ = ["Step", "explain", "least_spares", "settings", "spares", "step_of"]

# Requests in all phases of the tick, beyond which the step is not simulated but covered by idle workers: some tenths
# of a second of computing for each count that is tried.
_MOST_REQUESTS: Final = 100_000
_MOST_WORKERS: Final = 5_000
_LONGEST: Final = 600.0  # s
_PHASES: Final = 8
# Standard deviations of the busy workers that cover a step: one arrival in a thousand finds more.
_COVER: Final = 3.0


@dataclass(frozen=True)
class Step:
    """A sudden step in load, and what it meets.

    Parameters
    ----------
    workers : int
        ``max_children`` [-].
    rate_before, rate_after : float
        Arrivals before and after it [1/s].
    service_time : float
        Mean service time [s].
    service_scv : float
        Squared coefficient of variation of the service time [-].
    waiting_time : float
        Mean wait allowed after the step [s].
    max_spawn_rate : int or None
        Of the pool [-].
    backlog : int
        Waiting places that the kernel gives the pool [-].
    """

    workers: int
    rate_before: float
    rate_after: float
    service_time: float
    service_scv: float
    waiting_time: float
    max_spawn_rate: int | None = None
    backlog: int = SOMAXCONN

    @property
    def simulated(self) -> bool:
        """Whether it is small enough to be simulated."""
        window = step_window(self.service_time)
        requests = _PHASES * self.rate_after * window
        return requests <= _MOST_REQUESTS and self.workers <= _MOST_WORKERS and window <= _LONGEST

    def run(self, least: int) -> StepRun:
        """Simulate it, with so many spare workers at least."""
        start, least, most = settings(self, least)
        pool = PoolSettings(
            pm="dynamic",
            max_children=self.workers,
            start_servers=start,
            min_spare_servers=least,
            max_spare_servers=most,
            max_spawn_rate=self.max_spawn_rate,
        )
        return simulate_step(
            pool,
            rate_before=self.rate_before,
            rate_after=self.rate_after,
            service_time=self.service_time,
            service_scv=self.service_scv,
            somaxconn=self.backlog,
        )

    def kept(self, run: StepRun) -> bool:
        """Whether nobody is refused and the mean wait is short enough."""
        return run.refused == 0 and run.mean_wait <= self.waiting_time


def settings(step: Step, least: int) -> tuple[int, int, int]:
    """Start, min-spare and max-spare servers for so many spare workers at least."""
    gap = math.ceil(math.sqrt(step.rate_before * step.service_time) / 2.0)
    most = min(least + gap, step.workers)
    return most, least, most


def least_spares(step: Step) -> int:
    """Fewest ``min_spare_servers`` that keep the mean wait after the step; all workers where none do.

    Examples
    --------
    >>> step = Step(workers=40, rate_before=36, rate_after=120, service_time=0.25, service_scv=1, waiting_time=0.1)
    >>> least_spares(step), settings(step, least_spares(step))
    (14, (16, 14, 16))
    """
    if not step.simulated:
        jump = (step.rate_after - step.rate_before) * step.service_time
        cover = jump + _COVER * math.sqrt(step.rate_after * step.service_time)
        return int(min(max(math.ceil(cover), 1), step.workers)) if math.isfinite(cover) else step.workers
    below, enough = 0, 1
    while not step.kept(step.run(enough)):
        if enough == step.workers:
            return enough
        below, enough = enough, min(2 * enough, step.workers)
    while enough - below > 1:
        middle = (below + enough) // 2
        if step.kept(step.run(middle)):
            enough = middle
        else:
            below = middle
    return enough


def step_of(table: Table, row: int, workers: float, rate: float, backlog: float) -> Step:
    """The step that a row of a table states, of a pool with so many waiting places."""
    spawn = table["pool.max_spawn_rate"][row]
    return Step(
        workers=int(workers),
        rate_before=float(rate * table["policy.load_before_step"][row]),
        rate_after=float(rate),
        service_time=float(service_time(table)[row]),
        service_scv=float(table["workload.service_scv"][row]),
        waiting_time=float(table["policy.step_waiting_time"][row]),
        max_spawn_rate=None if np.isnan(spawn) else int(spawn),
        backlog=int(backlog),
    )


def spares(
    table: Table, rows: NDArray[np.intp], workers: Column, rate: Column, places: Column
) -> tuple[Column, Column, Column]:
    """Start, min-spare and max-spare servers of the given rows, simulated one after the other."""
    steps = [step_of(table, int(row), workers[row], rate[row], places[row]) for row in rows]
    found = [settings(step, least_spares(step)) for step in steps]
    start, least, most = np.array(found, dtype=np.float64).reshape(-1, 3).T
    return start, least, most


def explain(step: Step | None, least: int, proportional: int) -> Choice:
    """Reason of the spare servers; None: no load is known, and so no step."""
    if step is None:
        reason = "no users and no arrival rate are given, so there is no step to size for: as proportional has it"
        return Choice(setting="min_spare_servers", value=least, reason=reason)
    what = f"a sudden step from {format_rate(step.rate_before)} to {format_rate(step.rate_after)}"
    goal = f"a mean wait of {format_seconds(step.waiting_time)}"
    if not step.simulated:
        reason = f"{what} is too large to be simulated, so idle workers cover it"
        return Choice(setting="min_spare_servers", value=least, reason=reason)
    run = step.run(least)
    wait = f"{format_seconds(run.mean_wait)} in the {format_seconds(run.window)} after {what}"
    if not step.kept(run):
        reason = (
            f"no spares keep {goal}: even with all {least} workers ready it is {wait}; fewer users, or more workers"
        )
        return Choice(setting="min_spare_servers", value=least, reason=reason)
    reason = f"the fewest that keep {goal}: it is {wait}, simulated over {run.phases} phases of FPM's tick"
    if proportional < least:
        other = step.run(proportional)
        reason += f"; with {proportional}, as proportional has it, it would be {format_seconds(other.mean_wait)}"
    return Choice(setting="min_spare_servers", value=least, reason=reason)
