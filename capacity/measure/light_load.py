"""The service time at light load, out of times that were logged on busy cores.

A logged duration grows with the workers that share the cores, so it says nothing of another number of workers
until that part is taken out: the time that, put into the model of workers that share cores, gives the logged mean
at the logged load is the one wanted. FPM also spends time on a request that it does not log.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from capacity.estimation import Estimate
from capacity.queueing import shared_cores_throughput, shared_utilization

__all__ = ["REQUEST_OVERHEAD", "is_told_by", "light_load_service_time", "shifted"]

REQUEST_OVERHEAD: Final = 0.0003
"""What a worker spends on a request outside ``%d`` [s]: 0.27 ms on PHP 8.2 and Linux 6.18; it depends on the host."""

_STEPS = 40
_MISLEADING = 0.85
_LEAST = 1e-6
_NOTHING = 1e-9  # no CPU time that could be felt


def light_load_service_time(
    logged: Estimate,
    *,
    cpu_time: float | None,
    workers: int,
    cores: float,
    rates: Sequence[tuple[float, float]],
    overhead: float = REQUEST_OVERHEAD,
) -> tuple[Estimate, float]:
    """Take contention for the cores out of a logged service time, and add the overhead of a request.

    Parameters
    ----------
    logged : Estimate
        Mean service time in the log [s].
    cpu_time : float or None
        CPU seconds a request needs [s]; without it nothing is taken out.
    workers : int
        Workers of the pool when the log was written [-].
    cores : float
        CPU cores left for PHP [-].
    rates : sequence of (float, float)
        Arrival rates [1/s] and the share of the requests that met each.
    overhead : float
        [s]

    Returns
    -------
    tuple of (Estimate, float)
        The service time at light load [s], and the share of the logged time that was contention [-].

    Notes
    -----
    The model is the flow-equivalent server of `capacity.queueing.shared_utilization`; its own error is the error here.
    Measured on two shared cores with a request of 10 ms of CPU and 20 ms of waiting, 31.7 ms in all
    (``benchmarks/light_load.py``): with 20, 41 and 56 % of the cores busy the log had 37.0, 36.3 and 67.6 ms, and
    35.5, 33.5 and 62.6 ms were found. Real bursts contend more than the model's: too little is taken out.
    At saturation a logged time is the number of workers over the throughput of the cores, whatever the rest is: see
    `is_told_by`.

    Examples
    --------
    >>> logged = Estimate(value=0.060, low=0.058, high=0.062, samples=1000)
    >>> service, contention = light_load_service_time(
    ...     logged, cpu_time=0.02, workers=20, cores=2, rates=[(80.0, 1.0)]
    ... )
    >>> round(service.value, 4), round(contention, 2)
    (0.0255, 0.58)
    """
    if cpu_time is None or cpu_time < _NOTHING or logged.value <= 0 or not rates:
        return shifted(logged, overhead), 0.0
    found = _without_contention(logged.value, min(cpu_time, logged.value), workers, cores, rates)
    taken_out = logged.value - found
    return shifted(logged, overhead - taken_out), taken_out / logged.value


def is_told_by(rates: Sequence[tuple[float, float]], *, cpu_time: float | None, workers: int, cores: float) -> bool:
    """Whether a log of this load can tell the service time at light load.

    Parameters
    ----------
    rates : sequence of (float, float)
        Arrival rates [1/s] and the share of the requests that met each.
    cpu_time : float or None
        [s]
    workers : int
        [-]
    cores : float
        [-]

    Returns
    -------
    bool
        False where more than half of the requests met cores that were more than 85 % busy: there 1 % of doubt in
        the load is 7 % and more in the time.

    Examples
    --------
    >>> is_told_by([(80.0, 1.0)], cpu_time=0.02, workers=20, cores=2), is_told_by(
    ...     [(98.0, 1.0)], cpu_time=0.02, workers=20, cores=2
    ... )
    (True, False)
    """
    if cpu_time is None or cpu_time < _NOTHING or cores <= 0:
        return True
    most = min(float(workers), cores) / cpu_time
    return sum(share for rate, share in rates if rate > _MISLEADING * most) <= 0.5


def _without_contention(
    logged: float, cpu_time: float, workers: int, cores: float, rates: Sequence[tuple[float, float]]
) -> float:
    low, high = cpu_time, logged
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _held(middle, cpu_time, workers, cores, rates) > logged:
            high = middle
        else:
            low = middle
    return (low + high) / 2


def _held(
    service_time: float, cpu_time: float, workers: int, cores: float, rates: Sequence[tuple[float, float]]
) -> float:
    """Mean time a request holds its worker, over the loads of the log."""
    arrival_rate, share = np.array(rates).T
    pool = {"cores": cores, "cpu_time": cpu_time, "service_time": service_time}
    most = shared_cores_throughput(workers=workers, **pool)
    busy = workers * shared_utilization(servers=workers, arrival_rate=arrival_rate, **pool)
    held = np.where(arrival_rate < most, busy / arrival_rate, workers / most)
    return float((held * share).sum() / share.sum())


def shifted(estimate: Estimate, by: float) -> Estimate:
    """Move an estimate and its interval, which stays above zero.

    Parameters
    ----------
    estimate : Estimate
        [s]
    by : float
        [s]

    Returns
    -------
    Estimate

    Examples
    --------
    >>> shifted(Estimate(0.25, 0.24, 0.26, 100), REQUEST_OVERHEAD).value
    0.2503
    """

    def moved(end: float | None) -> float | None:
        return None if end is None else max(_LEAST, end + by)

    return Estimate(max(_LEAST, estimate.value + by), moved(estimate.low), moved(estimate.high), estimate.samples)
