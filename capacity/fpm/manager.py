"""The process manager as a simulator: the workers of a static, dynamic or ondemand pool, tick by tick, under any load.

Exact where FPM is (its rules are those of PHP 8.2's sources) and event by event, so that it runs many thousand times
faster than the pool. Each worker serves one request at a time; the longest idle worker takes the next request, as the
kernel wakes those that wait in accept(); requests wait in the kernel's queue, first come first served.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from capacity.errors import InvalidInput, Problem
from capacity.fpm.maintenance import TICK
from capacity.fpm.pool_state import MOST_TICKS, Clock, PoolState, Tick
from capacity.pool import PoolSettings
from capacity.units import shown

__all__ = ["FORK_TIME", "SOMAXCONN", "PoolRun", "Tick", "simulate_pool"]

FORK_TIME: Final = 0.0015
"""Time from a fork to the first accept() of the worker [s]: 1 to 2 ms were measured."""
SOMAXCONN: Final = 4096
"""Linux's ``net.core.somaxconn`` since 5.4: the longest accept queue the kernel gives."""


@dataclass(frozen=True)
class PoolRun:
    """What happened to a pool and to its requests.

    Parameters
    ----------
    waiting_times : ndarray
        Of each request in the order of arrival [s]; ``inf`` where it was refused.
    ticks : tuple of Tick
    changes : tuple of (float, int)
        Number of workers from each time on [s, -], first at the start of the run.
    end : float
        When the run ended [s].
    started, stopped, recycled : int
        Workers forked after the start, ended because they were idle, and replaced after ``max_requests`` [-].
    full_episodes : int
        Warnings that ``max_children`` is reached [-]: FPM's ``max children reached``. A static pool never warns.
    """

    waiting_times: NDArray[np.float64]
    ticks: tuple[Tick, ...]
    changes: tuple[tuple[float, int], ...]
    end: float
    started: int
    stopped: int
    recycled: int
    full_episodes: int

    @property
    def refused(self) -> int:
        """Requests that found the accept queue full [-]."""
        return int(np.isinf(self.waiting_times).sum())

    @property
    def peak_workers(self) -> int:
        """Most workers at a time [-]."""
        return max(workers for _, workers in self.changes)

    @property
    def mean_workers(self) -> float:
        """Mean number of workers over the time of the run [-]: what the pool holds in memory."""
        times, workers = np.array(self.changes).T
        held = np.diff(times, append=self.end)
        return float((workers * held).sum() / held.sum()) if held.sum() > 0 else float(workers[-1])

    def workers_at(self, times: ArrayLike) -> NDArray[np.int64]:
        """Count the workers at these times [s]; before the start there are those of the start."""
        when, workers = zip(*self.changes, strict=True)
        place = np.searchsorted(np.array(when), np.asarray(times, dtype=np.float64), side="right") - 1
        return np.array(workers, dtype=np.int64)[np.maximum(place, 0)]


def simulate_pool(
    pool: PoolSettings,
    *,
    arrival_times: ArrayLike,
    service_times: ArrayLike,
    phase: float = 0.0,
    tick: float = TICK,
    tick_times: ArrayLike | None = None,
    start: float | None = None,
    workers: int | None = None,
    until: float | None = None,
    fork_time: float = FORK_TIME,
    process_max: int | None = None,
    somaxconn: int = SOMAXCONN,
) -> PoolRun:
    """Workers and waits of one pool under a trace of requests.

    Parameters
    ----------
    pool : PoolSettings
        The pool; ``listen_backlog`` and ``max_requests`` count, timeouts of requests do not.
    arrival_times : array_like
        Arrivals at the socket [s], nowhere descending.
    service_times : array_like
        How long each request holds its worker [s]; one number serves all alike.
    phase : float, optional
        The first tick comes this long after `start` [s]. A load does not know it: try several.
    tick : float, optional
        Time between ticks [s].
    tick_times : array_like, optional
        All ticks instead of those of `phase` and `tick` [s], ascending: those of a log, for instance.
    start : float, optional
        When the pool is there with its first workers [s]; the first arrival where it is not given.
    workers : int, optional
        Workers of a dynamic or ondemand pool at the start [-], where they are not `start_servers` or none.
    until : float, optional
        Go on at least until then [s]; a run ends when every request has been served.
    fork_time : float, optional
        Time for one fork [s]: the master makes one at a time, and then the worker accepts.
    process_max : int, optional
        Most workers this pool may have because of the global ``process.max`` [-].
    somaxconn : int, optional
        The kernel's ``net.core.somaxconn`` [-].

    Returns
    -------
    PoolRun

    Raises
    ------
    InvalidInput
        A time that is not finite, negative service times, arrivals out of order, or a run of more than a million
        ticks.

    Notes
    -----
    dynamic: ``maintain`` at each tick. ondemand: the master forks one worker for a connection that finds none idle,
    and sees all connections that came during a fork as one; at a tick it ends the idle worker started first if that
    has been idle for more than ``process_idle_timeout`` whole seconds of the clock of the times given here. A worker
    that has served ``max_requests`` is replaced at once. The accept queue takes min(listen_backlog, somaxconn) + 1.
    At equal times a worker becomes free, then the master ticks, then a request arrives.

    Examples
    --------
    A step from nothing to 500 requests of 50 ms a second. The pool grows by 1, 2, 4 and then by its 5 spare workers.

    >>> pool = PoolSettings(pm="dynamic", max_children=40, min_spare_servers=5, max_spare_servers=10, start_servers=10)
    >>> run = simulate_pool(pool, arrival_times=np.arange(0, 9, 0.002), service_times=0.05, phase=0.5)
    >>> [tick.running for tick in run.ticks][:9]
    [10, 11, 13, 17, 22, 27, 32, 37, 40]
    >>> f"{run.waiting_times.mean():.1f} s"
    '1.1 s'
    """
    arrivals = _ascending("arrival_times", arrival_times)
    services = _held(service_times, arrivals.size)
    _check(phase=phase, tick=tick, fork_time=fork_time, somaxconn=somaxconn, process_max=process_max, workers=workers)
    ticks = None if tick_times is None else _ascending("tick_times", tick_times)
    beginning = start if start is not None else (float(arrivals[0]) if arrivals.size else 0.0)
    if not math.isfinite(beginning) or (arrivals.size and beginning > arrivals[0]):
        raise InvalidInput([Problem("start", "must not be later than the first arrival", shown(beginning))])
    last = max(arrivals[-1] if arrivals.size else beginning, beginning if until is None else until)
    if tick_times is None and not (last - beginning) / tick < MOST_TICKS:
        raise InvalidInput([Problem("arrival_times", f"must not go on for {MOST_TICKS} ticks or more")])
    clock = Clock(beginning + phase, tick, None if ticks is None else ticks.tolist())
    run = PoolState(pool, beginning, clock, fork_time, process_max, somaxconn, services.tolist(), workers)
    for number, at in enumerate(arrivals.tolist()):
        run.advance(at)
        run.arrive(number, at)
    run.finish(until if until is not None else -math.inf)
    return PoolRun(
        waiting_times=np.array(run.starts) - arrivals,
        ticks=tuple(run.seen),
        changes=tuple(run.changes),
        end=run.now,
        started=run.started,
        stopped=run.stopped,
        recycled=run.recycled,
        full_episodes=run.full_episodes,
    )


def _ascending(name: str, times: ArrayLike) -> NDArray[np.float64]:
    column = np.atleast_1d(np.asarray(times, dtype=np.float64))
    if column.ndim != 1 or not np.isfinite(column).all() or (np.diff(column) < 0).any():
        raise InvalidInput([Problem(name, "must be finite times [s], nowhere descending")])
    return column


def _held(service_times: ArrayLike, count: int) -> NDArray[np.float64]:
    services = np.asarray(service_times, dtype=np.float64)
    if services.ndim and services.shape != (count,):
        raise InvalidInput([Problem("service_times", f"must be one time or {count}", str(services.size))])
    if not (np.isfinite(services) & (services >= 0)).all():
        raise InvalidInput([Problem("service_times", "must be finite times of at least 0 s")])
    return np.broadcast_to(services, (count,))


def _check(
    *, phase: float, tick: float, fork_time: float, somaxconn: int, process_max: int | None, workers: int | None
) -> None:
    least = {"phase": (phase, 0.0), "fork_time": (fork_time, 0.0), "somaxconn": (somaxconn, 0)}
    if process_max is not None:
        least["process_max"] = process_max, 1
    if workers is not None:
        least["workers"] = workers, 0
    problems = out_of_bounds(least, {"tick": tick})
    if problems:
        raise InvalidInput(problems)


def out_of_bounds(least: Mapping[str, tuple[float, float]], times: Mapping[str, float]) -> list[Problem]:
    """Numbers that are not finite or below their bound, and times that are not above 0 s."""
    problems = [
        Problem(name, f"must be a finite number of at least {bound:g}", shown(value))
        for name, (value, bound) in least.items()
        if not (math.isfinite(value) and value >= bound)
    ]
    return problems + [
        Problem(name, "must be a time greater than 0 s", shown(time))
        for name, time in times.items()
        if not (math.isfinite(time) and time > 0)
    ]
