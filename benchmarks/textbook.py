"""The forms a textbook has, which the library must beat: the yardsticks of every ratio."""

from __future__ import annotations

from heapq import heapreplace

import numpy as np
from scipy.special import betainc, gammaincc, gammaln


def erlang_c(c: np.ndarray, a: np.ndarray) -> np.ndarray:
    """Wait probability of M/M/c below saturation, by logarithms of the gamma function."""
    with np.errstate(all="ignore"):
        pmf = np.exp(c * np.log(a) - a - gammaln(c + 1.0))
        return pmf / (pmf + (1.0 - a / c) * gammaincc(c, a))


def finite_source(
    servers: np.ndarray, population: np.ndarray, think_time: np.ndarray, service_time: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Throughput and mean wait of M/M/c//N; NaN where a probability underflows or nobody can wait.

    Below c servers the states add up to a binomial distribution function over its probability, from c on to a Poisson
    one. Throughput of n workers that share k cores: k servers, n users, off-CPU time for thinking, CPU time to serve.
    """
    n, c, z, s = population, servers, think_time, service_time
    with np.errstate(all="ignore"):
        rest, m, ratio = n - c, c * z / s, s / z
        p = ratio / (1 + ratio)
        log_pmf = gammaln(n + 1) - gammaln(c + 1) - gammaln(rest + 1) + c * np.log(p) + rest * np.log1p(-p)
        below = betainc(rest + 1, c, 1 - p) / np.exp(log_pmf)
        above = gammaincc(rest + 1, m) / np.exp(rest * np.log(m) - m - gammaln(rest + 1))
        just, full = 1 / (below + above), above / (below + above)
        busy = (ratio * n * (1 - full) - c * just) / (1 + ratio) + c * full
        return busy / s, ((rest - m) * full + m * just) * s / busy


def replay(arrivals: np.ndarray, services: np.ndarray, servers: int) -> np.ndarray:
    """Waits of a trace: a heap of free times, in a loop."""
    free, waits = [0.0] * servers, []
    for arrival, service in zip(arrivals.tolist(), services.tolist(), strict=True):
        start = max(arrival, free[0])
        heapreplace(free, start + service)
        waits.append(start - arrival)
    return np.array(waits)
