"""Kernel of the response time of whoever is let into M/M/c/K, or into a pool of that shape; all terms positive.

With every worker busy requests leave at rate mu, so by the time t there would be Poisson(x) of them, x = mu t. Whoever
finds j others waiting is at work after the (j+1)-th, and each further one leaves him unfinished with probability
s = 1 - 1/(mu hold). Given i of them, k(i) collects who is at work and not done, D their sum over i:

    k(i) = sum_{m=1..min(i,q)} rho^(m-1) s^(i-m)        D = sum_{i>=1} P(Poisson(x) = i) k(i)

and P(R > t) = P(W > t) + (G e^(-t/hold) + D) / (G + S0). D has a closed form, which cancels where rho is near s or t is
short; there the sum is taken. Scaled by rho^-q above utilization 1, as in ``_mmck``.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc, gammaincc

from capacity.queueing import _mmck
from capacity.queueing._evaluate import Array, counts
from capacity.queueing._mmc import load_and_spare
from capacity.queueing._poisson import cdf_ratio, complement_ratio, log_pmf

_KEPT = 0.05  # share of the minuend that the closed form must keep
_SMALLEST = 1e-290  # below it a probability may have lost digits, or be 0, by underflow
_TURNS = 64  # halvings that find the largest of any number of terms
_FLOOD = 1e100  # utilization from which on whoever is let in finds all the places but one taken
_NOTHING = 45.0  # e^-45 of the largest term


def response_tail(t: Array, servers: Array, backlog: Array, arrival_rate: Array, service_time: Array) -> Array:
    domain = counts(servers, backlog) & (arrival_rate >= 0) & (service_time >= 0) & (t >= 0)
    domain &= np.isfinite(arrival_rate) & np.isfinite(service_time)
    tail = np.where(domain, np.exp(-t / service_time), np.nan)  # of those who need not wait
    waits = domain & (servers > 0) & (backlog > 0) & (arrival_rate > 0) & (service_time > 0) & (t > 0)
    rows = np.flatnonzero(waits & np.isfinite(t))
    at, c, q, service = t[rows], servers[rows], backlog[rows], service_time[rows]
    load, spare = load_and_spare(c, np.minimum(arrival_rate[rows], _FLOOD * c / service), service)
    tail[rows] = tail_of(at, q, (load / c, spare / c, cdf_ratio(c, load, spare)), c / service, service)
    tail[domain & ((service_time == 0) | (t == np.inf))] = 0.0
    tail[domain & (t == 0)] = 1.0
    tail[domain & (service_time == 0) & (t == 0)] = 0.0
    tail[(servers == 0) & domain] = 1.0
    return tail


def tail_of(t: Array, q: Array, chain: tuple[Array, Array, Array], full_rate: Array, hold: Array) -> Array:
    """P(R > t) for t > 0 of requests let in; ``chain`` is rho, 1 - rho and G, ``hold`` the mean time at work."""
    rho, gap, below = chain
    over, log_x, full, accepting, _, _ = _mmck.weigh(q, rho, -gap, below)
    x = full_rate * t
    waiting = _mmck.late_weight(over, log_x, full, q, rho, gap, x)
    still = np.exp(-t / hold)
    served = _unfinished(over, log_x, full, q, (rho, gap), x, t / hold, 1.0 / (full_rate * hold))
    # where G is too large for a float64 nobody waits
    free = np.where(np.isinf(below), 1.0, np.where(over, below * np.exp(q * log_x), below) / accepting)
    late = np.where(q == 0, 0.0, np.where(np.isinf(accepting), 0.0, (waiting + served) / accepting))
    tail: Array = np.minimum(free * still + late, 1.0)
    return tail


def _unfinished(
    over: NDArray[np.bool_],
    log_x: Array,
    full: Array,
    q: Array,
    utilization: tuple[Array, Array],
    x: Array,
    age: Array,
    leave: Array,
) -> Array:
    """D; ``age`` is t/hold and ``leave`` 1/(mu hold), the probability that a departure is one's own."""
    rho, gap = utilization
    s = np.maximum(1.0 - leave, 0.0)
    places = np.maximum(q, 1.0)
    still = np.exp(-age)
    grown = np.exp(-x * gap + np.where(over, q * log_x, 0.0)) * gammaincc(places, rho * x)
    after = _after(places, s, x, age)
    alone = still * np.where(over, np.exp(q * log_x), 1.0)
    most = np.maximum(grown, full * after)
    closed = grown - alone + full * after
    value: Array = closed / (rho - s)
    unsafe = ~(np.abs(closed) > _KEPT * np.maximum(most, alone)) | (most < _SMALLEST)
    for row in np.flatnonzero(unsafe & (q > 0) & (x > 0) & np.isfinite(x) & ~np.isnan(log_x) & ~np.isnan(s)):
        each = (float(column[row]) for column in (q, rho, log_x, x, s, after))
        value[row] = _sum(bool(over[row]), *each)
    return value


def _after(q: Array, s: Array, x: Array, age: Array) -> Array:
    """sum_{i>=q} s^(i-q) P(Poisson(x) = i)."""
    far = s * x > q
    short = np.where(far, 0.0, s * x)
    value = np.exp(log_pmf(q, x, q - x)) * complement_ratio(q, short)
    value[far] = (np.exp(-age - q * np.log(s)) * gammainc(q, s * x))[far]
    return value


def _sum(over: bool, q: float, rho: float, log_x: float, x: float, s: float, after: float) -> float:
    """D term by term: below q those near the largest, from q on all at once."""
    log_rho = -log_x if over else log_x
    scale = q * log_rho if over else 0.0
    slower = math.log(s / rho) if s > 0 and rho > 0 else -math.inf if rho > 0 else math.inf

    def log_terms(i: Array) -> Array:
        """Logarithm of k(i) for i <= q."""
        if slower == -math.inf:
            return (i - 1.0) * log_rho - scale
        largest = np.maximum(log_rho, math.log(s))
        step = -abs(slower)
        count = i if step == 0 else np.expm1(i * step) / math.expm1(step)
        logarithm: Array = (i - 1.0) * largest - scale + np.log(count)
        return logarithm

    def terms(i: Array) -> Array:
        return log_pmf(i, np.full_like(i, x), i - x) + log_terms(i)

    total = math.exp(float(log_terms(np.array([q]))[0])) * after
    if q <= 1:
        return total
    # ln of the terms is concave: its peak by halving, then as far as they matter
    low, high = 1.0, q - 1.0
    for _ in range(_TURNS):
        if high - low < 1:
            break
        middle = math.floor((low + high) / 2.0)
        here, beyond = terms(np.array([middle, middle + 1.0]))
        low, high = (middle + 1.0, high) if beyond > here else (low, middle)
    largest = float(terms(np.array([low]))[0])
    reach = 16.0
    while True:
        first, last = max(1.0, low - reach), min(q - 1.0, low + reach)
        ends = terms(np.array([first, last]))
        if (first == 1.0 or ends[0] < largest - _NOTHING) and (last == q - 1.0 or ends[1] < largest - _NOTHING):
            break
        reach *= 2.0
    return total + float(np.sum(np.exp(terms(np.arange(first, last + 1.0)))))
