"""Kernels of M/M/c/K over flat arrays, stable through utilization 1; ``multiserver`` documents them.

With q waiting places, rho = a/c and G = sum of the state weights below c over the weight of state c, the
weights from c on are rho^j, j = 0..q. Above utilization 1 everything is divided by rho^q, so that x, the
smaller of rho and 1/rho, is the only ratio that is ever raised to a power:

    S0 = sum_{j<q} x^j,   S1 = sum_{j<q} j x^j
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincc

from capacity.queueing._evaluate import Array, counts
from capacity.queueing._mmc import load_and_spare
from capacity.queueing._poisson import cdf_ratio

# 1/(1 - e^-t) - 1/t = 1/2 + t/12 - t^3/720 + ...: B_2k/(2k)! of the Bernoulli numbers, NIST DLMF 24.2.1.
# At |t| < 1/2 the first term left out is below 1e-17.
_BERNOULLI = (1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000, 1 / 74724249600)

# Share of the minuend that the closed form of the tail must keep; below it the sum itself is taken.
_KEPT = 0.05
_MOST_TERMS = 2**19
_PANELS = 128
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_NOTHING = 800.0  # e^-800 of the largest term
_SMALLEST = 1e-290  # below it a probability may have lost digits, or be 0, by underflow

States: TypeAlias = tuple[NDArray[np.bool_], Array, Array, Array, Array, Array]


def _states(servers: Array, backlog: Array, arrival_rate: Array, service_time: Array) -> States:
    """``weigh`` the states of M/M/c/K."""
    load, spare = load_and_spare(servers, arrival_rate, service_time)
    load = np.where(counts(backlog), load, np.nan)
    return weigh(backlog, load / servers, -spare / servers, cdf_ratio(servers, load, spare))


def weigh(q: Array, rho: Array, excess: Array, below: Array) -> States:
    """Utilization above 1, ln x, weight of the full state, weight of the accepting states, S0 and S1.

    ``excess`` is rho - 1 to full accuracy, ``below`` is G.
    """
    log_rho = np.where(np.abs(excess) < 0.5, np.log1p(excess), np.log(rho))
    over = excess > 0
    y = -np.abs(log_rho)
    exponent = np.where(q == 0, 0.0 * rho, q * y)
    power = np.exp(exponent)
    sum0 = np.where(y == 0, q, np.expm1(exponent) / np.expm1(y))
    near = sum0 * (q * _mean_place(exponent) - _mean_place(y))
    sum1 = np.where(-exponent < 0.5, near, (np.exp(y) * sum0 - q * power) / -np.expm1(y))
    accepting = np.where(over, below * power + np.exp(y) * sum0, below + sum0)
    return over, y, np.where(over, 1.0, power), accepting, sum0, sum1


def _mean_place(t: Array) -> Array:
    """1/(1 - e^-t) - 1/t for |t| < 1/2."""
    square = t * t
    total = np.zeros_like(t)
    for coefficient in reversed(_BERNOULLI):
        total = coefficient + square * total
    return 0.5 + t * total


def blocking_probability(servers: Array, backlog: Array, arrival_rate: Array, service_time: Array) -> Array:
    _, _, full, accepting, _, _ = _states(servers, backlog, arrival_rate, service_time)
    return _without_servers(servers, backlog, 1.0 / (1.0 + accepting / full), 1.0)


def throughput(servers: Array, backlog: Array, arrival_rate: Array, service_time: Array) -> Array:
    _, _, full, accepting, _, _ = _states(servers, backlog, arrival_rate, service_time)
    return _without_servers(servers, backlog, arrival_rate / (1.0 + full / accepting), 0.0)


def waiting_time(servers: Array, backlog: Array, arrival_rate: Array, service_time: Array) -> Array:
    over, log_x, _, accepting, sum0, sum1 = _states(servers, backlog, arrival_rate, service_time)
    places = np.where(over, np.exp(log_x) * (backlog * sum0 - sum1), sum0 + sum1)
    return _without_servers(servers, backlog, service_time / servers * places / accepting, np.inf)


def response_time(servers: Array, backlog: Array, arrival_rate: Array, service_time: Array) -> Array:
    return waiting_time(servers, backlog, arrival_rate, service_time) + service_time


def waiting_tail(t: Array, servers: Array, backlog: Array, arrival_rate: Array, service_time: Array) -> Array:
    over, log_x, full, accepting, _, _ = _states(servers, backlog, arrival_rate, service_time)
    load, spare = load_and_spare(servers, arrival_rate, service_time)
    drained = np.where(t == 0, 0.0 * load, servers * t / service_time)  # services done by t, all workers busy
    tail = late_weight(over, log_x, full, backlog, load / servers, spare / servers, drained) / accepting
    tail = np.where(backlog == 0, 0.0 * load, np.minimum(tail, 1.0))
    tail = _without_servers(servers, backlog, tail, 1.0)
    return np.where(t >= 0, tail, np.nan)


def late_weight(
    over: NDArray[np.bool_], log_x: Array, full: Array, q: Array, rho: Array, gap: Array, x: Array
) -> Array:
    """sum_{j<q} rho^j P(Poisson(x) <= j), scaled like the states; gap = 1 - rho to full accuracy."""
    served = gammaincc(np.maximum(q, 1.0), rho * x)
    grown = np.exp(-x * gap + np.where(over, q * log_x, 0.0)) * served
    capped = full * gammaincc(np.maximum(q, 1.0), x)
    weight = (grown - capped) / gap
    unsafe = ~(np.abs(grown - capped) > _KEPT * grown) | (over & (served < _SMALLEST))
    for row in np.flatnonzero(unsafe & (q > 0) & (x >= 0) & np.isfinite(x) & ~np.isnan(log_x)):
        weight[row] = _late_sum(float(q[row]), bool(over[row]), float(log_x[row]), float(x[row]))
    return np.where(x == np.inf, 0.0, weight)


def _late_sum(q: float, over: bool, log_x: float, x: float) -> float:
    """Add the same up term by term, all positive: near utilization 1 the closed form cancels.

    40 standard deviations above x the Poisson probabilities are 1 and what is left is geometric; as far below the
    largest term nothing is left. In between, very many terms are taken as their integral, by Euler and Maclaurin.
    """
    if log_x == -math.inf:
        return 0.0 if over else math.exp(-x)

    if q < x - spread_of(x):
        return 0.0

    def term(j: Array) -> Array:
        values: Array = np.exp(log_x * (q - j if over else j)) * gammaincc(j + 1.0, x)
        return values

    end = min(q, float(np.ceil(x + spread_of(x))))
    peak = min(end, x if over else x * math.exp(log_x))
    first = max(0.0, float(np.floor(peak - spread_of(peak))))
    if over and log_x < 0:
        first = max(first, float(np.floor(end - _NOTHING / -log_x)))
    if end - first <= _MOST_TERMS:
        total = float(np.sum(term(np.arange(first, end))))
    else:
        edges = np.linspace(first - 0.5, end - 0.5, _PANELS + 1)
        half = 0.5 * np.diff(edges)[:, None]
        areas = half * _WEIGHTS * term(edges[:-1, None] + half * (1.0 + _NODES))
        slope = np.diff(term(np.array([end - 1.0, end, first - 1.0, first])))
        total = float(np.sum(areas) - (slope[0] - slope[2]) / 24.0)
    rest = q - end
    count = rest if log_x == 0 else math.expm1(log_x * rest) / math.expm1(log_x)
    return total + math.exp(log_x * (1.0 if over else end)) * count


def spread_of(x: float) -> float:
    """Beyond it a Poisson law of mean x has nothing left."""
    return 40.0 * math.sqrt(x) + 40.0


def _without_servers(servers: Array, backlog: Array, value: Array, limit: float) -> Array:
    return np.where((servers == 0) & counts(backlog), limit, value)
