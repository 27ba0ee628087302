"""Waits by simulation, for service times that no formula fits: a sample from a log, or a very wide lognormal law.

A Poisson stream whose service times are drawn from it goes through `capacity.queueing.replay`, in independent
runs; how these differ tells how far their mean can be trusted. The same seed gives the same figures.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from capacity.errors import InvalidInput, Problem
from capacity.intervals import CONFIDENCE, Estimate, student_t
from capacity.queueing import replay
from capacity.tally import numbers
from capacity.units import shown

__all__ = ["SimulatedQueue", "simulated_lognormal_queue", "simulated_queue"]

RUNS: Final = 20
LEAST_REQUESTS: Final = 10_000
MOST_REQUESTS: Final = 10_000_000
MOST_SERVERS: Final = 100_000
LONGEST_TIME: Final = 1e9
LARGEST_SCV: Final = 100.0
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
    levels = _levels(p)
    sample = numbers(service_times, "service_times")
    problems = _problems(levels, servers, arrival_rate, requests, seed)
    if not (sample.size and ((sample >= 0) & (sample <= LONGEST_TIME)).all()):
        rule = f"must be times from 0 to {LONGEST_TIME:g} s, and one of them at least"
        problems.append(Problem("service_times", rule))
    if problems:
        raise InvalidInput(problems)
    mean = float(sample.mean())
    scv = float(sample.var()) / mean**2 if mean else 0.0
    law = _Law(mean, scv, lambda generator, size: generator.choice(sample, size))
    return _simulated(levels, servers, arrival_rate, law, requests, seed, confidence)


def simulated_lognormal_queue(
    p: float | tuple[float, ...] = (0.5, 0.9, 0.95, 0.99),
    *,
    servers: int,
    arrival_rate: float,
    service_time: float,
    service_scv: float,
    requests: int = 400_000,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> SimulatedQueue:
    """Waits and responses of a pool under a Poisson stream whose service times are lognormal.

    Parameters
    ----------
    p : float or tuple of float
        Which quantiles [-], 0 to 1, both exclusive.
    servers : int
        c [-], 1 to 100 000.
    arrival_rate : float
        lambda [1/s], greater than 0.
    service_time : float
        Mean S [s], 0 to 1e9.
    service_scv : float
        Squared coefficient of variation of the service time [-], 0 to 100.
    requests, seed, confidence
        As in `simulated_queue`.

    Returns
    -------
    SimulatedQueue

    Raises
    ------
    InvalidInput
        If an argument is out of its domain.

    Notes
    -----
    Up to a spread of 4 ``queueing.mgc_*`` are quicker and at least as exact. Beyond it a few very long requests decide
    on the mean wait: the intervals are wide, and hold the truth less often than they say (75 to 85 of 100 times instead
    of 90 at spreads of 8 and 16).

    Examples
    --------
    >>> pool = simulated_lognormal_queue(servers=20, arrival_rate=64, service_time=0.25, service_scv=9)
    >>> 0.03 < pool.waiting_time.value < 0.06  # exponential times wait 16 ms
    True
    """
    levels = _levels(p)
    problems = _problems(levels, servers, arrival_rate, requests, seed)
    for name, value, most, unit in (
        ("service_time", service_time, LONGEST_TIME, " s"),
        ("service_scv", service_scv, LARGEST_SCV, ""),
    ):
        if not (isinstance(value, (int, float)) and 0 <= value <= most):
            problems.append(Problem(name, f"must be from 0 to {most:g}{unit}", shown(value)))
    if problems:
        raise InvalidInput(problems)
    width = math.sqrt(math.log1p(service_scv))
    shift = -width * width / 2

    def draw(generator: np.random.Generator, size: int) -> FloatArray:
        return service_time * generator.lognormal(shift, width, size)

    law = _Law(service_time, service_scv, draw)
    return _simulated(levels, servers, arrival_rate, law, requests, seed, confidence)


class _Law(NamedTuple):
    """Mean and squared coefficient of variation of service times, and how to draw some."""

    mean: float
    scv: float
    draw: Callable[[np.random.Generator, int], FloatArray]


def _simulated(
    levels: tuple[float, ...],
    servers: int,
    arrival_rate: float,
    law: _Law,
    requests: int,
    seed: int,
    confidence: float,
) -> SimulatedQueue:
    spare = 1 - arrival_rate * law.mean / servers
    if spare <= 0:
        endless = Estimate(math.inf)
        return SimulatedQueue(Estimate(1.0), endless, (endless,) * len(levels), (endless,) * len(levels))
    each = -(-requests // RUNS)
    warm_up = math.ceil(min(2 * _RELAXATIONS * (1 + law.scv) / spare**2 + 20 * servers, _MOST_WARM_UP * each))
    waits, responses = np.empty((2, RUNS, each))
    for place, generator in enumerate(np.random.default_rng(seed).spawn(RUNS)):
        arrivals = np.cumsum(generator.exponential(1 / arrival_rate, warm_up + each))
        services = law.draw(generator, warm_up + each)
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


def _levels(p: float | tuple[float, ...]) -> tuple[float, ...]:
    return tuple(p) if isinstance(p, (tuple, list)) else (p,)


def _problems(levels: tuple[float, ...], servers: int, arrival_rate: float, requests: int, seed: int) -> list[Problem]:
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
    return problems
