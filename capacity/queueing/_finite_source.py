"""Kernels of M/M/c//N over flat arrays; ``finite`` documents them.

State n = customers at the pool. Its weight relative to state c is binomial below c and Poisson from c on,
so all of the chain is in two sums, never computed by a recursion over N:

    below = sum_{n<c}  w_n/w_c = P(Bin(N, p) <= c-1) / P(Bin(N, p) = c),     p = S/(Z+S)
    above = sum_{n>=c} w_n/w_c = P(Poisson(m) <= J) / P(Poisson(m) = J),     m = c Z/S, J = N - c

The same chain is the inner network of workers that share cores, where the pool may be worth a fractional
number of servers (a CPU quota of 1.5 cores): then c is its whole part and m uses the capacity itself.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, gammainc, gammaincc

from capacity.queueing._evaluate import Array, counts
from capacity.queueing._poisson import (
    cdf_ratio,
    complement_ratio,
    deviance,
    far_above,
    fraction,
    log_cdf,
    product_series,
    stirling_error,
)
from capacity.queueing.search import Rows, root, upper_bracket

Means: TypeAlias = tuple[Array, Array, Array]

_SERIES = 0.8  # ratio of the terms up to which the sum below c is taken term by term


def solve(population: Array, servers: Array, capacity: Array, think_time: Array, service_time: Array) -> Means:
    """Solve the chain for N > c >= 0; capacity = c, or more by less than one server.

    Gives P(n >= c), the mean number in service (in units of one server's rate) and the mean number waiting.
    """
    n, c = population, servers
    cycle = think_time + service_time
    p, q = service_time / cycle, think_time / cycle
    below = below_weight(n, c, p, q)
    m = capacity * think_time / service_time
    beyond, queue = beyond_weights(n - c, m)
    above = 1.0 + beyond
    pi_c = 1.0 / (below + above)
    waiting = 1.0 / (1.0 + below / above)
    idle = 1.0 / (1.0 + above / below)
    busy = p * n * idle - q * c * pi_c + c * pi_c + capacity / (1.0 + (1.0 + below) / beyond)
    queue_length = np.where(np.isinf(above), n - c - m, queue * pi_c)
    return waiting, busy, queue_length


def below_weight(n: Array, c: Array, p: Array, q: Array) -> Array:
    """sum_{k<c} w_k/w_c for c < n. Reference: Engset's loss formula, of which it is 1/E - 1."""
    c1 = np.maximum(c, 1.0)
    rest = n - c
    log_pmf = (
        stirling_error(np.maximum(n, 1.0))
        - stirling_error(c1)
        - stirling_error(np.maximum(rest, 1.0))
        - c1 * deviance(n * p / c1, (n * p - c1) / c1)
        - rest * deviance(n * q / rest, (n * q - rest) / rest)
        + 0.5 * np.log(n / (2.0 * np.pi * c1 * rest))
    )
    cdf = betainc(rest + 1.0, c1, q)
    weight = cdf * np.exp(-log_pmf)
    weight = np.where(p == 0, np.inf, weight)
    # far below the mean both probabilities underflow, while the terms themselves fall fast
    series = (c * q < _SERIES * (rest + 1.0) * p) | (cdf < 1e-290)
    if series.any():
        s, r, odds = c[series], rest[series], q[series] / p[series]
        total = product_series(lambda i: np.maximum(s - i, 0.0) / (r + 1.0 + i) * odds, s.shape)
        weight[series] = total - 1.0
    return np.where(c == 0, 0.0, weight)


def beyond_weights(j: Array, m: Array) -> tuple[Array, Array]:
    """sum_{k=1..j} j!/(j-k)! m^-k, and the same sum with every term times k: states beyond c, and their queue."""
    beyond = cdf_ratio(j, m, j - m)
    queue = (j - m) * (1.0 + beyond) + m
    far = far_above(j, m)
    if far.any():
        # the sum times j - m nearly cancels m there; the continued fraction gives what remains
        k, gap = j[far], m[far] - j[far]
        f = fraction(k, m[far], -gap)
        queue[far] = np.where(np.isinf(gap), 0.0, k * (1.0 + f) / (gap + 1.0 + f))
    return beyond, queue


def _domain(population: Array, servers: Array, think_time: Array, service_time: Array) -> Array:
    ok = counts(population, servers) & (think_time >= 0) & (service_time >= 0)
    return np.where(ok, 0.0, np.nan)


def _crowded(n: Array, c: Array, z: Array, s: Array) -> tuple[Means, NDArray[np.bool_]]:
    """Solve the chain where anybody can wait (n > c > 0, s > 0); the rows where it could be solved."""
    crowded = (n > c) & (c > 0) & (s > 0)
    harmless = (np.where(crowded, value, other) for value, other in ((n, 2.0), (c, 1.0), (z, 1.0), (s, 1.0)))
    n, c, z, s = harmless
    return solve(n, c, c, z, s), crowded


def throughput(servers: Array, population: Array, think_time: Array, service_time: Array) -> Array:
    (_, busy, _), crowded = _crowded(population, servers, think_time, service_time)
    alone = population / (think_time + service_time)
    rate = np.where(crowded, busy / service_time, np.where(population == 0, 0.0, alone))
    return np.where(servers == 0, 0.0, rate) + _domain(population, servers, think_time, service_time)


def utilization(servers: Array, population: Array, think_time: Array, service_time: Array) -> Array:
    (_, busy, _), crowded = _crowded(population, servers, think_time, service_time)
    alone = population * (service_time / (think_time + service_time))
    busy = np.where(crowded, busy, np.where((population == 0) | (service_time == 0), 0.0, alone))
    share = np.where(servers == 0, 1.0, busy / servers)
    return share + _domain(population, servers, think_time, service_time)


def waiting_time(servers: Array, population: Array, think_time: Array, service_time: Array) -> Array:
    (_, busy, queue), crowded = _crowded(population, servers, think_time, service_time)
    wait = np.where(crowded, queue * service_time / busy, 0.0)
    wait = np.where(servers == 0, np.inf, wait)
    return wait + _domain(population, servers, think_time, service_time)


def response_time(servers: Array, population: Array, think_time: Array, service_time: Array) -> Array:
    return waiting_time(servers, population, think_time, service_time) + service_time


def wait_probability(servers: Array, population: Array, think_time: Array, service_time: Array) -> Array:
    """By the arrival theorem: an arrival sees the chain with one customer less."""
    others = np.maximum(population - 1.0, 0.0)
    (waiting, _, _), crowded = _crowded(others, servers, think_time, service_time)
    # exactly c others, all at the pool: the chain degenerates to its top state
    waiting = np.where(crowded, waiting, 0.0)
    edge = (others == servers) & (servers > 0)
    if edge.any():
        together = (service_time / (think_time + service_time)) ** servers
        waiting = np.where(edge, np.where(service_time == 0, 0.0, together), waiting)
    waiting = np.where(servers == 0, 1.0, waiting)
    return waiting + _domain(population, servers, think_time, service_time)


def waiting_tail(t: Array, servers: Array, population: Array, think_time: Array, service_time: Array) -> Array:
    waits = wait_probability(servers, population, think_time, service_time)
    drained = _drained(t, servers / service_time)
    tail = waiting_tail_of(drained, waits, population - servers, servers * think_time / service_time)
    return np.where(t >= 0, np.where(servers == 0, 1.0, tail), np.nan)


def response_tail(t: Array, servers: Array, population: Array, think_time: Array, service_time: Array) -> Array:
    waits = wait_probability(servers, population, think_time, service_time)
    m = servers * think_time / service_time
    tail = response_tail_of(_drained(t, 1.0 / service_time), waits, servers, population - servers, m)
    tail = np.where(servers == 0, 1.0, np.where(service_time == 0, 0.0 * waits, tail))
    return np.where(t >= 0, tail, np.nan)


def waiting_quantile(p: Array, servers: Array, population: Array, think_time: Array, service_time: Array) -> Array:
    waits = wait_probability(servers, population, think_time, service_time)
    m = servers * think_time / service_time
    quantile = service_time / servers * waiting_quantile_of(p, waits, population - servers, m)
    return quantile_domain(p, servers, service_time, quantile + 0.0 * waits)


def response_quantile(p: Array, servers: Array, population: Array, think_time: Array, service_time: Array) -> Array:
    waits = wait_probability(servers, population, think_time, service_time)
    m = servers * think_time / service_time
    quantile = service_time * response_quantile_of(p, waits, servers, population - servers, m)
    return quantile_domain(p, servers, service_time, quantile + 0.0 * waits)


def quantile_domain(p: Array, servers: Array, service_time: Array, quantile: Array) -> Array:
    """0 at p = 0 or without service, inf without servers, NaN for p outside [0, 1]."""
    quantile = np.where((p == 0) | (service_time == 0), 0.0, quantile)
    return np.where((p >= 0) & (p <= 1), np.where(servers == 0, np.inf, quantile), np.nan)


def _drained(t: Array, rate: Array) -> Array:
    """Work done by time t at a rate that may be infinite."""
    return np.where(t == 0, 0.0, t * rate)


def waiting_tail_of(x: Array, waits: Array, s: Array, m: Array) -> Array:
    """P(W > t) = waits Q(s, m+x)/Q(s, m) with Q(s, y) = P(Poisson(y) < s).

    An arrival that waits sees j < s others waiting, s - 1 - j of them Poisson-like with mean m; all leave
    at one rate, and x is that rate times t.
    """
    return np.where(waits == 0, 0.0 * x * waits, waits * _survival(np.maximum(s, 1.0), m, x))


def _survival(s: Array, m: Array, x: Array) -> Array:
    """Q(s, m+x)/Q(s, m), also where both underflow."""
    plain = gammaincc(s, m + x) / gammaincc(s, m)
    far = far_above(s, m)
    if far.any():
        n, mean, late = s[far], m[far], x[far]
        change = np.exp(n * np.log1p(late / mean) - late)
        plain[far] = change * cdf_ratio(n, mean + late, n - mean - late) / cdf_ratio(n, mean, n - mean)
    return np.where(x == np.inf, 0.0, plain)


def response_tail_of(t: Array, waits: Array, speed: Array, s: Array, m: Array) -> Array:
    """P(R > t) of the wait of ``waiting_tail_of`` plus an independent exponential hold of mean 1.

    With speed c, the rate at which the waiting leave, and b = 1 - 1/c, M = m + c t:

        P(R > t) = e^-t (1 - waits) + waits { Q(s, M) + e^(-t-m/c) b^-s [Q(s, b m) - Q(s, b M)] } / Q(s, m)

    The bracket is a difference of two probabilities. It is taken from whichever side of s both lie on, so
    that it does not cancel, and its huge factor b^-s is absorbed in Poisson probabilities.
    """
    s = np.maximum(s, 1.0)
    b = np.maximum(1.0 - 1.0 / speed, 0.0)
    end = m + speed * t
    survival = _survival(s, m, speed * t)
    ratio_m, ratio_end = cdf_ratio(s, m, s - m), cdf_ratio(s, end, s - end)
    low, high = b * m, b * end
    fade = np.exp(-t)
    under, over = high <= s, low >= s
    late = np.empty_like(t)
    late[under] = (survival / ratio_end)[under] * complement_ratio(s[under], high[under]) - (fade / ratio_m)[
        under
    ] * complement_ratio(s[under], low[under])
    late[over] = (fade / ratio_m)[over] * cdf_ratio(s[over], low[over], (s - low)[over]) - (survival / ratio_end)[
        over
    ] * cdf_ratio(s[over], high[over], (s - high)[over])
    mixed = ~(under | over)
    n, share = s[mixed], 1.0 / speed[mixed]
    between = 1.0 - gammainc(n, low[mixed]) - gammaincc(n, high[mixed])
    late[mixed] = between * np.exp(-n * np.log1p(-share) - end[mixed] * share - log_cdf(n, m[mixed]))
    tail = fade * (1.0 - waits) + waits * (survival + late)
    return np.where(np.isinf(t), 0.0, np.where(waits == 0, fade, np.minimum(tail, 1.0)))


def waiting_quantile_of(p: Array, waits: Array, s: Array, m: Array) -> Array:
    """Solve ``waiting_tail_of`` = 1 - p for x."""
    target = np.log1p(-p)
    answer = np.where((p == 1) & (waits > 0), np.inf, 0.0)
    rows = np.flatnonzero((p < 1) & (waits > 1.0 - p))
    late, places, mean, goal = waits[rows], s[rows], m[rows], target[rows]

    def excess(x: Array, part: Rows) -> Array:
        return np.log(waiting_tail_of(x, late[part], places[part], mean[part])) - goal[part]

    answer[rows] = root(excess, np.zeros(rows.size), upper_bracket(excess, np.ones(rows.size)))
    return answer


def response_quantile_of(p: Array, waits: Array, speed: Array, s: Array, m: Array) -> Array:
    """Solve ``response_tail_of`` = 1 - p for t."""
    target = np.log1p(-p)
    answer = -target  # service alone: a lower bound, and the answer where nobody waits
    rows = np.flatnonzero((p > 0) & (p < 1) & (waits > 0) & (speed > 0))
    late, fast, places, mean, goal = waits[rows], speed[rows], s[rows], m[rows], target[rows]

    def excess(t: Array, part: Rows) -> Array:
        return np.log(response_tail_of(t, late[part], fast[part], places[part], mean[part])) - goal[part]

    answer[rows] = root(excess, -goal, upper_bracket(excess, -goal))
    return answer
