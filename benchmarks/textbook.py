"""The forms a textbook has, which the library must beat: the yardsticks of every ratio."""

from __future__ import annotations

from heapq import heapreplace

import numpy as np
from scipy.special import gammaincc, gammaln


def erlang_c(c: np.ndarray, a: np.ndarray) -> np.ndarray:
    """Wait probability of M/M/c below saturation, by logarithms of the gamma function."""
    with np.errstate(all="ignore"):
        pmf = np.exp(c * np.log(a) - a - gammaln(c + 1.0))
        return pmf / (pmf + (1.0 - a / c) * gammaincc(c, a))


def replay(arrivals: np.ndarray, services: np.ndarray, servers: int) -> np.ndarray:
    """Waits of a trace: a heap of free times, in a loop."""
    free, waits = [0.0] * servers, []
    for arrival, service in zip(arrivals.tolist(), services.tolist(), strict=True):
        start = max(arrival, free[0])
        heapreplace(free, start + service)
        waits.append(start - arrival)
    return np.array(waits)
