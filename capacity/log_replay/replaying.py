"""A log through pools of other sizes.

Three steps: the wait for a worker is taken out of the logged times where they have it in them, then what workers that
share the cores added, and what is left goes through each pool, where both come in again as that pool has them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from capacity.errors import InvalidInput, Problem
from capacity.fpm.traffic import TimeKind
from capacity.log_replay.advising import advice_on
from capacity.log_replay.asking import checked
from capacity.log_replay.periods import period_length, summed_up
from capacity.queueing import replay
from capacity.queueing.shared_trace import (
    pace_of,
    replay_shared,
    starts_of,
    without_contention,
)
from capacity.results import Replay, ReplayedPool
from capacity.tally import numbers
from capacity.units import format_fraction, format_seconds

__all__ = ["LONGEST_TIME", "replay_log"]

LONGEST_TIME: Final = 1e6
"""Seconds (eleven days); no request holds a worker for longer."""
_LATEST = 1e12
_NOTHING = 1e-9  # s of CPU time that could not be felt
_FULL = 0.85  # share of the cores in use from which a log hardly tells the service time at light load
_ODD = 0.01  # share of requests that may contradict what was said of the logged pool
_CLOCK = 0.002  # s that stamps in milliseconds may be off, of arrival and end together
_FEW = 0.002  # share of requests that may, before an order is looked for that explains more
_TICKS = (0.0, 0.002, 0.005, 0.01, 0.02)  # s within which the order of arrivals may be another than the stamps say

FloatArray = NDArray[np.float64]


def replay_log(
    arrival_times: ArrayLike,
    logged_times: ArrayLike,
    *,
    workers: int | Sequence[int],
    cpus: float | None = None,
    cpu_time: float | None = None,
    time_kind: TimeKind = "service_time",
    logged_workers: int | None = None,
    backlog: int | None = None,
    told: Callable[[int, int], object] = lambda done, total: None,
) -> Replay:
    """What would have become of the requests of a log in pools of other sizes.

    Parameters
    ----------
    arrival_times : array_like
        When each request came [s], in any order, as seconds since the epoch or since anything else, at least 0.
    logged_times : array_like
        How long each took [s], 0 to 1e6, as `time_kind` says.
    workers : int or sequence of int
        The pools to replay them in [-], 1 to 100 000 each, at most 50 of them.
    cpus : float, optional
        CPU cores left for PHP [-]. With `cpu_time`, what workers that share cores added to the logged times is taken
        out of them, and added again as each pool has it. Without, times are taken as they are.
    cpu_time : float, optional
        CPU time a request needs, mean [s].
    time_kind : str
        What `logged_times` are: ``service_time`` (FPM's ``%d``), how long a worker was held; ``upstream_time`` and
        ``request_time`` (of a web server), from the arrival to the end, the wait for a worker included.
    logged_workers : int, optional
        Workers of the pool when the log was written [-]; takes the wait out of times that have it in them.
    backlog : int, optional
        Waiting places [-]; who finds them taken is refused. A unix socket has ``listen.backlog`` + 1. By default
        there is no limit.
    told : callable
        Called now and then with the requests replayed and those there are to replay.

    Returns
    -------
    Replay
        A ``ReplayedPool`` for each of `workers`, with its hours (minutes of a log of less than three hours, days of
        one of more than 2000 hours); what to conclude, and what the answer leaves open.

    Raises
    ------
    InvalidInput
        If an argument is out of its domain, or there is no request.

    Notes
    -----
    Where no core is shared a pool is ``queueing.replay``: exact, some 3 million requests a second. Else each of n held
    requests makes X(n) S / n seconds of progress a second (X: ``queueing.shared_cores_throughput``), in the logged pool
    and in the replayed one; about a million requests a second. Replayed at its own size a log comes back as it was.

    Held against pools simulated request by request, in which only what is on the CPU shares the cores (216 cases,
    ``tests/oracles/measure_log_replay.py``): 9 of 10 mean responses within 1.2 %, 0.95 quantiles within 2.8 %. The
    largest errors, 31 and 40 %, are those of 16 workers replayed as 4 where workers and 2 cores are both nearly full.
    With the logged times as they are, half of the means are off by more than 5 %, one in ten by more than 12 times.

    Arrivals stay as they were: nobody clicks later because an answer was slow, and who was refused does not retry.
    The pool is taken to be static, empty at the beginning and fair (first come, first served).

    Examples
    --------
    >>> arrivals = [0.0, 0.1, 0.2, 0.3, 60.0]
    >>> result = replay_log(arrivals, [1.0] * 5, workers=[1, 2, 4])
    >>> [round(pool.waiting_time, 3) for pool in result.pools], result.enough_workers
    ([1.08, 0.32, 0.0], 4)
    >>> result.pool(1).worst_period.longest_queue
    3
    """
    counts, places = checked(workers, cpus, cpu_time, time_kind, logged_workers, backlog)
    log = _read(arrival_times, logged_times)
    _take_out_the_wait(log, time_kind, logged_workers)
    if cpus is None or cpu_time is None:
        log.cautions.append(_UNKNOWN_CPU)
    elif cpu_time >= _NOTHING:
        _take_out_contention(log, cpus, cpu_time)
    service_time = float(log.services.mean())
    length = period_length(log.arrivals)
    work = len(log.arrivals) * len(counts)
    pools: list[ReplayedPool] = []
    for count in counts:
        before = len(pools) * len(log.arrivals)
        waits, held = _through(count, log, places, lambda done, before=before: told(before + done, work))  # type: ignore[misc]
        pools.append(summed_up(count, log.arrivals, waits, held, length=length))
    told(work, work)
    conclusion = advice_on(pools, service_time=service_time, cpu_time=cpu_time, cpus=cpus)
    return Replay(
        requests=len(log.arrivals),
        start=float(log.arrivals[0]),
        seconds=float(log.since_first[-1]),
        service_time=service_time,
        cpu_time=cpu_time,
        cpus=cpus,
        logged_time=float(log.times.mean()),
        logged_wait=log.wait,
        logged_contention=log.contention,
        backlog=backlog,
        pools=tuple(pools),
        enough_workers=conclusion.enough_workers,
        more_workers_help=conclusion.more_workers_help,
        advice=conclusion.lines,
        cautions=tuple(log.cautions),
    )


_UNKNOWN_CPU = (
    "CPU time or cores are unknown, so the logged times are taken as they are; of workers that share cores, a pool"
    " larger than the logged one comes out too fast, a smaller one too slow"
)


@dataclass
class _Log:
    """The requests in the order they came; `services` is what is left of the logged times, `mean` its model's mean."""

    arrivals: FloatArray
    times: FloatArray
    services: FloatArray
    starts: FloatArray
    since_first: FloatArray
    mean: float = 0.0
    cores: tuple[float, float] | None = None  # how many, and the CPU time of a request
    wait: float = 0.0
    contention: float = 0.0
    cautions: list[str] = field(default_factory=list)


def _read(arrival_times: ArrayLike, logged_times: ArrayLike) -> _Log:
    arrivals, times = numbers(arrival_times, "arrival_times"), numbers(logged_times, "logged_times")
    if len(arrivals) != len(times) or not len(arrivals):
        rule = "must be as many as arrival_times, and one at least"
        raise InvalidInput([Problem("logged_times", rule, f"{len(times)}, of arrivals {len(arrivals)}")])
    for name, values, most in (("arrival_times", arrivals, _LATEST), ("logged_times", times, LONGEST_TIME)):
        if not ((values >= 0) & (values <= most)).all():
            raise InvalidInput([Problem(name, f"must be times from 0 to {most:g} s")])
    if (np.diff(arrivals) < 0).any():
        order = np.argsort(arrivals, kind="stable")
        arrivals, times = arrivals[order], times[order]
    since_first = arrivals - arrivals[0]
    return _Log(arrivals, times, times, since_first, since_first, mean=float(times.mean()))


def _take_out_the_wait(log: _Log, time_kind: TimeKind, workers: int | None) -> None:
    if time_kind != "service_time":
        if workers is None:
            log.cautions.append(
                "the logged times have the wait for a worker in them, and how many workers there were is unknown: what"
                " was waited then is replayed as service, so waits come out too long"
            )
            return
        early, ends, log.starts = _told_apart(log.since_first, log.since_first + log.times, workers)
        log.times = ends - log.since_first
        log.services = ends - log.starts
        log.wait, log.mean = float((log.times - log.services).mean()), float(log.services.mean())
        if early > _ODD:
            log.cautions.append(
                f"{format_fraction(early)} of the requests ended before one of {workers} workers was free: more workers"
                " were there, the log has requests of other pools, or its stamps are coarse ($msec is not); what was"
                " waiting is known roughly at best"
            )
    elif workers is not None:
        ends = np.sort(log.since_first + log.times)
        held = np.arange(len(ends)) - np.searchsorted(ends, log.since_first, side="right")
        full = float((held >= workers - 1).mean())
        if full > _ODD:
            log.cautions.append(
                f"{format_fraction(full)} of the requests began while no other of the {workers} workers was free; a log"
                " of when workers took requests, such as FPM's, does not have their wait: take the web server's"
            )


def _told_apart(arrivals: FloatArray, ends: FloatArray, workers: int) -> tuple[float, FloatArray, FloatArray]:
    """Ends and starts in the order of the arrivals, and the share of the requests that this order does not explain.

    Stamps are rounded, and of requests that come at one moment the web server may pass on the last first. Whose start
    would then lie behind the end was served before the other: those of the same few milliseconds take the order of
    their ends, of as few as explain nearly all of the log, or else as explain most.
    """
    found: list[tuple[float, FloatArray, FloatArray]] = []
    for tick in _TICKS:
        ordered = np.maximum(ends[np.lexsort((ends, arrivals // tick))] if tick else ends, arrivals)
        starts = starts_of(arrivals, ordered, workers)
        early = float((starts > ordered + _CLOCK).mean())
        found.append((early, ordered, np.minimum(starts, ordered)))
        if early <= _FEW:
            break
    return min(found, key=lambda one: one[0])


def _take_out_contention(log: _Log, cpus: float, cpu_time: float) -> None:
    before, mean = log.services, float(log.services.mean())
    if mean < _NOTHING:
        return
    log.cores = cpus, min(cpu_time, mean)
    log.services, log.mean, spent, rate = without_contention(
        log.starts, log.starts + before, cores=cpus, cpu_time=log.cores[1]
    )
    log.contention = max(0.0, float((before - log.services).mean()))
    completed = spent * rate
    if cpu_time > mean:
        log.cautions.append(
            f"a request is said to need {format_seconds(cpu_time)} of CPU but took {format_seconds(mean)} in all, which"
            " is used for both"
        )
    elif completed.sum() < (1 - _ODD) * len(before):
        log.cautions.append(
            f"the log has more requests than {cpus:g} cores can serve with {format_seconds(cpu_time)} of CPU each:"
            " there were more cores, or a request needs less"
        )
    full = float(completed[rate * log.cores[1] > _FULL * cpus].sum() / completed.sum())
    if full > 0.5:
        log.cautions.append(
            f"{format_fraction(full)} of the requests met cores that were more than {format_fraction(_FULL)} busy: how"
            " long they would have taken at light load, such a log tells roughly at best"
        )


def _through(count: int, log: _Log, places: float, told: Callable[[int], object]) -> tuple[FloatArray, FloatArray]:
    """Wait of each request in a pool of this size, and how long it holds its worker there."""
    told(0)
    useful = min(count, len(log.services))
    if log.cores is not None and useful > log.cores[0]:
        cores, cpu_time = log.cores
        pace = pace_of(useful, cores=cores, cpu_time=min(cpu_time, log.mean), service_time=log.mean)
        return replay_shared(log.since_first, log.services, pace=pace, backlog=places, told=told)
    waits = replay(arrival_times=log.since_first, service_times=log.services, servers=useful, backlog=places)
    return np.asarray(waits), log.services
