"""Waits by simulation, for service times that no formula fits: a sample from a log, whatever its law.

A Poisson stream whose service times are drawn from the sample goes through `capacity.queueing.replay`, in independent
runs; how these differ tells how far their mean can be trusted. The same seed gives the same figures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from capacity.errors import InvalidInput, Problem
from capacity.intervals import CONFIDENCE, Estimate, student_t
from capacity.queueing import replay
from capacity.tally import numbers
from capacity.units import shown

__all__ = ["SimulatedQueue", "simulated_queue"]

RUNS: Final = 20
LEAST_REQUESTS: Final = 10_000
MOST_REQUESTS: Final = 10_000_000
MOST_SERVERS: Final = 100_000
LONGEST_TIME: Final = 1e9
_RELAXATIONS = 4.0  # from empty, after which 1/e^4 of the way to the steady state is left
_MOST_WARM_UP = 50  # times the requests that count; where more is needed, nothing is known

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class SimulatedQueue:
    """What waits and responses a simulated pool showed, each with its interval.

    Parameters
    ----------
    wait_probability : Estimate
        Share of requests that waited [-].
    waiting_time : Estimate
        Mean [s].
    waiting_time_quantiles, response_time_quantiles : tuple of Estimate
        In the order of the probabilities asked for [s].
    """

    wait_probability: Estimate
    waiting_time: Estimate
    waiting_time_quantiles: tuple[Estimate, ...]
    response_time_quantiles: tuple[Estimate, ...]


def simulated_queue(
    p: float | tuple[float, ...] = (0.5, 0.9, 0.95, 0.99),
    *,
    servers: int,
    arrival_rate: float,
    service_times: ArrayLike,
    requests: int = 400_000,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> SimulatedQueue:
    """Waits and responses of a pool under a Poisson stream whose service times are like those of a sample.

    Parameters
    ----------
    p : float or tuple of float
        Which quantiles [-], 0 to 1, both exclusive.
    servers : int
        c [-], 1 to 100 000.
    arrival_rate : float
        lambda [1/s], greater than 0.
    service_times : array_like
        The sample [s], 0 to 1e9, for instance the times of an access log. Order and number do not matter, but what
        the sample does not show (a rare long request) the simulation does not know either.
    requests : int
        How many to measure in all, 10 000 to 10 million; about 3 million a second.
    seed : int
        At least 0.
    confidence : float
        Of the intervals [-], 0 to 1, both exclusive.

    Returns
    -------
    SimulatedQueue
        All waits are inf where the sample's mean asks for as many servers as there are, or more. An estimate has no
        interval where ``requests`` are too few for a queue so close to that: its memory is too long.

    Raises
    ------
    InvalidInput
        If an argument is out of its domain.

    Notes
    -----
    The intervals tell the chance of the simulation, by Student's t over 20 runs, not that of the sample. Those of
    quantiles need some hundred requests a run beyond them.

    Examples
    --------
    >>> logged = [0.05] * 80 + [0.4] * 15 + [2.0] * 5
    >>> pool = simulated_queue(0.95, servers=20, arrival_rate=80, service_times=logged, requests=100_000)
    >>> [round(time.value, 1) for time in pool.response_time_quantiles]
    [1.2]
    """
    levels = tuple(p) if isinstance(p, (tuple, list)) else (p,)
    sample = numbers(service_times, "service_times")
    _check(levels, servers, arrival_rate, sample, requests, seed)
    sample_mean = float(sample.mean())
    spare = 1 - arrival_rate * sample_mean / servers
    if spare <= 0:
        endless = Estimate(math.inf)
        return SimulatedQueue(Estimate(1.0), endless, (endless,) * len(levels), (endless,) * len(levels))
    scv = float(sample.var()) / sample_mean**2 if sample_mean else 0.0
    each = -(-requests // RUNS)
    warm_up = math.ceil(min(2 * _RELAXATIONS * (1 + scv) / spare**2 + 20 * servers, _MOST_WARM_UP * each))
    waits, responses = np.empty((2, RUNS, each))
    for place, generator in enumerate(np.random.default_rng(seed).spawn(RUNS)):
        arrivals = np.cumsum(generator.exponential(1 / arrival_rate, warm_up + each))
        services = generator.choice(sample, warm_up + each)
        waited = np.asarray(replay(arrival_times=arrivals, service_times=services, servers=servers))
        waits[place], responses[place] = waited[warm_up:], (waited + services)[warm_up:]
    half = student_t(confidence, RUNS - 1) / math.sqrt(RUNS)
    known = warm_up < _MOST_WARM_UP * each

    def estimate(value: float, runs: FloatArray) -> Estimate:
        if not known:
            return Estimate(value, samples=RUNS * each, confidence=confidence)
        error = half * float(runs.std(ddof=1))
        return Estimate(value, max(0.0, value - error), value + error, RUNS * each, confidence)

    def quantiles(times: FloatArray) -> tuple[Estimate, ...]:
        together, runs = np.quantile(times, levels), np.quantile(times, levels, axis=1)
        return tuple(estimate(float(value), run) for value, run in zip(together, runs, strict=True))

    waited = (waits > 0).mean(axis=1)
    return SimulatedQueue(
        wait_probability=estimate(float(waited.mean()), waited),
        waiting_time=estimate(float(waits.mean()), waits.mean(axis=1)),
        waiting_time_quantiles=quantiles(waits),
        response_time_quantiles=quantiles(responses),
    )


def _check(
    levels: tuple[float, ...], servers: int, arrival_rate: float, sample: FloatArray, requests: int, seed: int
) -> None:
    problems = []
    if not levels or not all(isinstance(p, (int, float)) and 0 < p < 1 for p in levels):
        problems.append(Problem("p", "must be between 0 and 1, both exclusive", shown(levels)))
    counts = (
        ("servers", servers, 1, MOST_SERVERS),
        ("requests", requests, LEAST_REQUESTS, MOST_REQUESTS),
        ("seed", seed, 0, 2**63 - 1),
    )
    for name, value, least, most in counts:
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if not (whole and least <= value <= most):
            problems.append(Problem(name, f"must be a whole number from {least} to {most}", shown(value)))
    if not (isinstance(arrival_rate, (int, float)) and 0 < arrival_rate < math.inf):
        problems.append(Problem("arrival_rate", "must be a finite rate greater than 0/s", shown(arrival_rate)))
    if not (sample.size and ((sample >= 0) & (sample <= LONGEST_TIME)).all()):
        problems.append(
            Problem("service_times", f"must be times from 0 to {LONGEST_TIME:g} s, and one of them at least")
        )
    if problems:
        raise InvalidInput(problems)
