"""What a replay came to, over all and hour by hour."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from capacity.results import ReplayedPeriod, ReplayedPool

__all__ = ["LENGTHS", "period_length", "summed_up"]

LENGTHS: Final = (60.0, 3600.0, 86400.0)
_MINUTES_UP_TO = 3 * 3600.0  # a longer log is told by the hour
_MOST = 2000  # periods with requests in them; of more hours than these it is told by the day

FloatArray = NDArray[np.float64]


def period_length(arrivals: FloatArray) -> float:
    """How long the periods are that a log is told in: minutes, hours or days, or more where its stamps span ages.

    Parameters
    ----------
    arrivals : array
        In order, since the epoch [s].

    Returns
    -------
    float
        [s]

    Examples
    --------
    >>> period_length(np.array([0.0, 600.0])), period_length(np.array([0.0, 86400.0]))
    (60.0, 3600.0)
    """
    minute, hour, day = LENGTHS
    if arrivals[-1] - arrivals[0] < _MINUTES_UP_TO:
        return minute
    for length in (hour, day):
        if 1 + np.count_nonzero(np.diff(arrivals // length)) <= _MOST:
            return length
    return day * float(np.ceil((arrivals[-1] - arrivals[0]) / day / (_MOST - 1)))


def summed_up(
    workers: int, arrivals: FloatArray, waits: FloatArray, held: FloatArray, *, length: float
) -> ReplayedPool:
    """Sum a replay up.

    Parameters
    ----------
    workers : int
        [-]
    arrivals : array
        In order, since the epoch [s].
    waits, held : array
        Wait of each, inf where refused, and how long it held its worker [s].
    length : float
        Of a period [s].

    Returns
    -------
    ReplayedPool

    Examples
    --------
    >>> pool = summed_up(1, np.array([0.0, 1.0, 70.0]), np.array([0.0, 2.0, 0.0]), np.array([3.0, 3.0, 3.0]), length=60)
    >>> pool.waiting_time, pool.longest_queue, [period.requests for period in pool.periods], pool.worst
    (0.6666666666666666, 1, [2, 1], 0)
    """
    origin, span = float(arrivals[0]), float(arrivals[-1] - arrivals[0])
    let_in = np.isfinite(waits)
    came, wait, hold = arrivals[let_in] - origin, waits[let_in], held[let_in]
    number = (arrivals // length).astype(np.int64)
    bounds = np.flatnonzero(np.diff(number, prepend=number[0] - 1, append=number[-1] + 1))
    begins = number[bounds[:-1]] * length - origin
    # of the first and the last period the log has a part only; stamps may be of whole seconds
    begin, end = np.maximum(begins, 0.0), np.minimum(begins + length, max(span, 1.0))
    seen = np.maximum(end - begin, 1.0)
    places = np.concatenate(([0], np.cumsum(let_in)))[bounds]
    response = wait + hold
    # first come, first served: the starts are in order but for rounding, and who waits is told by their number
    starts, ends = np.sort(came + wait), np.sort(came + response)
    waiting = np.arange(1, len(came) + 1) - np.searchsorted(starts, came, side="right")
    busy, queue = (
        _elapsed(first, last, end) - _elapsed(first, last, begin) for first, last in ((starts, ends), (came, starts))
    )
    periods, harm = [], []
    for at in range(len(begins)):
        part = slice(places[at], places[at + 1])
        requests = int(bounds[at + 1] - bounds[at])
        refused = requests - (part.stop - part.start)
        utilization = float(min(1.0, max(0.0, busy[at] / (workers * seen[at]))))
        harm.append((refused, float(wait[part].sum()), utilization))
        periods.append(
            ReplayedPeriod(
                start=float(number[bounds[at]] * length),
                seconds=length,
                requests=requests,
                refused=refused,
                arrival_rate=float(requests / seen[at]),
                utilization=utilization,
                wait_probability=_mean(wait[part] > 0),
                waiting_time=_mean(wait[part]),
                waiting_time_p95=_quantile(wait[part], 0.95),
                response_time=_mean(response[part]),
                response_time_p95=_quantile(response[part], 0.95),
                queue_length=float(max(0.0, queue[at] / seen[at])),
                longest_queue=int(waiting[part].max(initial=0)),
            )
        )
    window = span or float(ends.max(initial=0.0))
    carried = float(_elapsed(starts, ends, np.array([window]))[0])
    return ReplayedPool(
        workers=workers,
        refused=len(arrivals) - len(came),
        utilization=min(1.0, max(0.0, carried / (workers * window))) if window else 0.0,
        wait_probability=_mean(wait > 0),
        waiting_time=_mean(wait),
        waiting_time_p95=_quantile(wait, 0.95),
        waiting_time_p99=_quantile(wait, 0.99),
        response_time=_mean(response),
        response_time_p95=_quantile(response, 0.95),
        response_time_p99=_quantile(response, 0.99),
        longest_response_time=float(response.max(initial=0.0)),
        longest_queue=int(waiting.max(initial=0)),
        worst=max(range(len(periods)), key=harm.__getitem__),
        periods=tuple(periods),
    )


def _elapsed(begins: FloatArray, ends: FloatArray, until: FloatArray) -> FloatArray:
    """Time spent between begin and end up to each moment, over all; begins and ends each in order."""
    total = np.zeros(len(until))
    for moments, sign in ((begins, 1.0), (ends, -1.0)):
        summed = np.concatenate(([0.0], np.cumsum(moments)))
        passed = np.searchsorted(moments, until)
        total += sign * (passed * until - summed[passed])
    return total


def _mean(values: FloatArray | NDArray[np.bool_]) -> float:
    return float(np.mean(values)) if len(values) else 0.0


def _quantile(values: FloatArray, p: float) -> float:
    return float(np.quantile(values, p)) if len(values) else 0.0
