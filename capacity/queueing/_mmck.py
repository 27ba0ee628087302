"""Kernels of M/M/c/K over flat arrays, stable through utilization 1; ``multiserver`` documents them.

With q waiting places, rho = a/c and G = sum of the state weights below c over the weight of state c, the
weights from c on are rho^j, j = 0..q. Above utilization 1 everything is divided by rho^q, so that x, the
smaller of rho and 1/rho, is the only ratio that is ever raised to a power:

    S0 = sum_{j<q} x^j,   S1 = sum_{j<q} j x^j
"""

from __future__ import annotations

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
_TERMS_AT_ONCE = 1_000_000
_SMALLEST = 1e-290  # below it a probability may have lost digits, or be 0, by underflow

States: TypeAlias = tuple[NDArray[np.bool_], Array, Array, Array, Array, Array]


def _states(servers: Array, backlog: Array, arrival_rate: Array, service_time: Array) -> States:
    """Utilization above 1, ln x, weight of the full state, weight of the accepting states, S0 and S1."""
    load, spare = load_and_spare(servers, arrival_rate, service_time)
    load = np.where(counts(backlog), load, np.nan)
    c, q = servers, backlog
    rho, excess = load / c, -spare / c
    log_rho = np.where(np.abs(excess) < 0.5, np.log1p(excess), np.log(rho))
    over = spare < 0
    y = -np.abs(log_rho)
    exponent = np.where(q == 0, 0.0 * load, q * y)
    power = np.exp(exponent)
    sum0 = np.where(y == 0, q, np.expm1(exponent) / np.expm1(y))
    near = sum0 * (q * _mean_place(exponent) - _mean_place(y))
    sum1 = np.where(-exponent < 0.5, near, (np.exp(y) * sum0 - q * power) / -np.expm1(y))
    below = cdf_ratio(c, load, spare)
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
    tail = _late_weight(over, log_x, full, backlog, load / servers, spare / servers, drained) / accepting
    tail = np.where(backlog == 0, 0.0 * load, np.minimum(tail, 1.0))
    tail = _without_servers(servers, backlog, tail, 1.0)
    return np.where(t >= 0, tail, np.nan)


def _late_weight(
    over: NDArray[np.bool_], log_x: Array, full: Array, q: Array, rho: Array, gap: Array, x: Array
) -> Array:
    """sum_{j<q} rho^j P(Poisson(x) <= j), scaled like the states; gap = 1 - rho to full accuracy."""
    served = gammaincc(np.maximum(q, 1.0), rho * x)
    grown = np.exp(-x * gap + np.where(over, q * log_x, 0.0)) * served
    capped = full * gammaincc(np.maximum(q, 1.0), x)
    weight = (grown - capped) / gap
    unsafe = ~(np.abs(grown - capped) > _KEPT * grown) | (over & (served < _SMALLEST))
    for row in np.flatnonzero(unsafe & (q > 0) & np.isfinite(x)):
        weight[row] = _late_sum(int(q[row]), bool(over[row]), float(log_x[row]), float(x[row]))
    return np.where(x == np.inf, 0.0, weight)


def _late_sum(q: int, over: bool, log_x: float, x: float) -> float:
    """Add the same up term by term, all positive: near utilization 1 the closed form cancels."""
    total = 0.0
    for start in range(0, q, _TERMS_AT_ONCE):
        j = np.arange(start, min(start + _TERMS_AT_ONCE, q))
        total += float(np.sum(np.exp(log_x * (q - j if over else j)) * gammaincc(j + 1.0, x)))
    return total


def _without_servers(servers: Array, backlog: Array, value: Array, limit: float) -> Array:
    return np.where((servers == 0) & counts(backlog), limit, value)
