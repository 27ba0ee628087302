"""Kernels of M/M/c over flat arrays; ``multiserver`` documents them.

Two quantities decide everything near saturation, so both are carried to full accuracy: the load
a = lambda S and the spare capacity c - a, whose rounding error would otherwise be 1/(1 - utilization)
times larger than that of the inputs.
"""

from __future__ import annotations

import numpy as np

from capacity.queueing._evaluate import Array, counts
from capacity.queueing.erlang import delay
from capacity.queueing.search import Rows, root_above

_SPLITTER = 2.0**27 + 1.0


def load_and_spare(servers: Array, arrival_rate: Array, service_time: Array) -> tuple[Array, Array]:
    """Offered load a = lambda S and spare capacity c - a; NaN out of domain."""
    ok = counts(servers) & (arrival_rate >= 0) & (service_time >= 0)
    load = np.where(ok, arrival_rate * service_time, np.nan)
    return load, (servers - load) - product_error(arrival_rate, service_time, load)


def product_error(x: Array, y: Array, product: Array) -> Array:
    """Give what rounding took: x y - fl(x y), by Dekker's exact product."""
    x_high = _SPLITTER * x - (_SPLITTER * x - x)
    y_high = _SPLITTER * y - (_SPLITTER * y - y)
    x_low, y_low = x - x_high, y - y_high
    error = x_low * y_low - (((product - x_high * y_high) - x_low * y_high) - x_high * y_low)
    return np.where(np.isfinite(error), error, 0.0)


def wait_probability(servers: Array, arrival_rate: Array, service_time: Array) -> Array:
    return delay(servers, *load_and_spare(servers, arrival_rate, service_time))


def waiting_time(servers: Array, arrival_rate: Array, service_time: Array) -> Array:
    load, spare = load_and_spare(servers, arrival_rate, service_time)
    mean = delay(servers, load, spare) * service_time / spare
    return np.where(spare <= 0, np.inf, mean)


def response_time(servers: Array, arrival_rate: Array, service_time: Array) -> Array:
    return waiting_time(servers, arrival_rate, service_time) + service_time


def queue_length(servers: Array, arrival_rate: Array, service_time: Array) -> Array:
    load, spare = load_and_spare(servers, arrival_rate, service_time)
    return np.where(spare <= 0, np.inf, delay(servers, load, spare) * load / spare)


def waiting_tail(t: Array, servers: Array, arrival_rate: Array, service_time: Array) -> Array:
    load, spare = load_and_spare(servers, arrival_rate, service_time)
    waits = delay(servers, load, spare)
    tail = np.where(t == 0, waits, waits * np.exp(-spare / service_time * t))
    return np.where(t >= 0, np.where(spare <= 0, 1.0, tail), np.nan)


def waiting_quantile(p: Array, servers: Array, arrival_rate: Array, service_time: Array) -> Array:
    load, spare = load_and_spare(servers, arrival_rate, service_time)
    # ln C - ln(1-p) keeps its accuracy where C / (1-p) rounds to 1
    return waiting_quantile_of(p, np.log(delay(servers, load, spare)) - np.log1p(-p), load, spare, service_time)


def waiting_quantile_of(p: Array, late: Array, load: Array, spare: Array, service_time: Array) -> Array:
    """Solve C e^(-(c-a) t/S) = 1 - p for t; late = ln C - ln(1-p)."""
    quantile = np.where(p == 1, np.inf, np.maximum(late, 0.0) * service_time / spare)
    return _quantile_domain(p, spare, np.where(load == 0, 0.0, quantile))


def response_tail(t: Array, servers: Array, arrival_rate: Array, service_time: Array) -> Array:
    load, spare = load_and_spare(servers, arrival_rate, service_time)
    return response_tail_at(t, delay(servers, load, spare), load, spare, service_time)


def response_tail_at(t: Array, waits: Array, load: Array, spare: Array, service_time: Array) -> Array:
    """P(R > t) with its edges: no time, no service, no spare capacity."""
    tail = response_tail_of(t / service_time, waits, spare)
    tail = np.where((service_time == 0) | (t == np.inf), 0.0 * load, np.where(t == 0, 1.0 + 0.0 * load, tail))
    return np.where(t >= 0, np.where(spare <= 0, 1.0, tail), np.nan)


def response_quantile(p: Array, servers: Array, arrival_rate: Array, service_time: Array) -> Array:
    load, spare = load_and_spare(servers, arrival_rate, service_time)
    quantile = service_time * response_quantile_of(p, delay(servers, load, spare), spare)
    return _quantile_domain(p, spare, np.where(service_time == 0, 0.0 * load, quantile))


def response_tail_of(t: Array, waits: Array, drain: Array) -> Array:
    """P(R > t) = e^-t + C t e^(-t min(1, drain)) (1 - e^-x)/x with x = t |drain - 1|.

    R is a wait that is 0 or, with probability C, exponential of rate ``drain``, plus an independent
    exponential service of mean 1. This form cancels neither at drain = 1 nor on either side of it.
    """
    x = t * np.abs(drain - 1.0)
    late = np.where(x > 0, -np.expm1(-x) / x, 1.0)
    return np.exp(-t) + waits * t * np.exp(-t * np.minimum(drain, 1.0)) * late


def response_quantile_of(p: Array, waits: Array, drain: Array) -> Array:
    """Solve ``response_tail_of`` = 1 - p for t, on the logarithm of the tail."""
    target = np.log1p(-p)
    # service alone is a lower bound, and the answer where nobody waits
    answer = np.where(np.isnan(waits), np.nan, -target)
    rows = np.flatnonzero((p > 0) & (p < 1) & (drain > 0) & (waits > 0))
    low, late, rate = -target[rows], waits[rows], drain[rows]

    def excess(t: Array, part: Rows) -> Array:
        return np.log(response_tail_of(t, late[part], rate[part])) + low[part]

    answer[rows] = root_above(excess, low)
    return answer


def _quantile_domain(p: Array, spare: Array, quantile: Array) -> Array:
    """Inf at saturation, 0 at p = 0, NaN for p outside [0, 1]."""
    quantile = np.where(spare <= 0, np.inf, np.where(p == 0, 0.0 * spare, quantile))
    return np.where((p >= 0) & (p <= 1), quantile, np.nan)
