"""Kernels of M/M/c//N over flat arrays; ``finite`` documents them.

State n = customers at the pool. Its weight relative to state c is binomial below c and Poisson from c on,
so all of the chain is in two sums, never computed by a recursion over N:

    below = sum_{n<c}  w_n/w_c = P(Bin(N, p) <= c-1) / P(Bin(N, p) = c),     p = S/(Z+S)
    above = sum_{n>=c} w_n/w_c = P(Poisson(m) <= J) / P(Poisson(m) = J),     m = c Z/S, J = N - c

The same chain is the inner network of workers that share cores, where the pool may be worth a fractional
number of servers (a CPU quota of 1.5 cores): then c is its whole part and m uses the capacity itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc, gammaincc

from capacity.queueing import _binomial
from capacity.queueing._evaluate import Array, counts
from capacity.queueing._poisson import (
    cdf_ratio,
    complement_ratio,
    far_above,
    fraction,
    log_cdf,
)
from capacity.queueing.search import Rows, root, root_above, upper_bracket

# Where y^2 of ``_binomial`` exceeds it, one of the two sums outweighs the other by e^45 and more.
_CERTAIN = 45.0


def busy(population: Array, servers: Array, capacity: Array, think_time: Array, service_time: Array) -> Array:
    """Mean number in service for N > c >= 0 and S > 0; capacity = c, or more by less than one server.

    In units of one server's rate.
    """
    n, c, r = population, servers, population - servers
    p, q, excess, y2 = _position(n, c, think_time, service_time)
    number = np.where(excess > 0, capacity, n * p)
    rows = np.flatnonzero(~(y2 > _CERTAIN))
    if rows.size:
        n, c, r, k, z, s, p, q, excess, y2 = (
            value[rows] for value in (n, c, r, capacity, think_time, service_time, p, q, excess, y2)
        )
        beyond = cdf_ratio(r, *_load_and_spare(k, r, z, s))
        number[rows] = _busy(n, c, k, p, q, _binomial.below(c, r, z / s, y2, excess > 0), beyond)
    return number


def states(population: Array, servers: Array, think_time: Array, service_time: Array) -> tuple[Array, Array]:
    """P(n >= c) and P(n = c) for N > c > 0 and S > 0; the latter is 0 where it is below e^-45."""
    n, c, r = population, servers, population - servers
    _, _, excess, y2 = _position(n, c, think_time, service_time)
    full, just = np.ones_like(n), np.zeros_like(n)
    rows = np.flatnonzero(~((excess > 0) & (y2 > _CERTAIN)))
    if rows.size:
        c, r, z, s, excess, y2 = (value[rows] for value in (c, r, think_time, service_time, excess, y2))
        below = _binomial.below(c, r, z / s, y2, excess > 0)
        above = 1.0 + cdf_ratio(r, *_load_and_spare(c, r, z, s))
        full[rows], just[rows] = 1.0 / (1.0 + below / above), 1.0 / (below + above)
    return full, just


def _position(n: Array, c: Array, z: Array, s: Array) -> tuple[Array, Array, Array, Array]:
    """Give p, q, n p - c and y^2 of ``_binomial``, which says on which side of c the chain spends its time."""
    cycle = z + s
    p, q, r = s / cycle, z / cycle, n - c
    excess = r * p - c * q
    return p, q, excess, _binomial.divergence(c, r, p, q, excess)


def _load_and_spare(capacity: Array, r: Array, z: Array, s: Array) -> tuple[Array, Array]:
    load = capacity * z / s
    return load, r - load


def _busy(n: Array, c: Array, capacity: Array, p: Array, q: Array, below: Array, beyond: Array) -> Array:
    above = 1.0 + beyond
    pi_c = 1.0 / (below + above)
    idle = 1.0 / (1.0 + above / below)
    return p * n * idle - q * c * pi_c + c * pi_c + capacity / (1.0 + (1.0 + below) / beyond)


def beyond_weights(j: Array, m: Array) -> tuple[Array, Array]:
    """sum_{k=1..j} j!/(j-k)! m^-k, and the same sum with every term times k: states beyond c, and their queue."""
    spare = j - m
    far = far_above(j, m)
    if not far.any():
        beyond = cdf_ratio(j, m, spare)
        return beyond, spare * (1.0 + beyond) + m
    beyond, queue = np.empty_like(m), np.empty_like(m)
    near = np.flatnonzero(~far)
    beyond[near] = cdf_ratio(j[near], m[near], spare[near])
    queue[near] = spare[near] * (1.0 + beyond[near]) + m[near]
    # the sum times j - m nearly cancels m there; the continued fraction gives what remains
    rows = np.flatnonzero(far)
    k, gap = j[rows], -spare[rows]
    f = fraction(k, m[rows], -gap)
    beyond[rows] = k / (gap + 1.0 + f)
    queue[rows] = np.where(np.isinf(gap), 0.0, k * (1.0 + f) / (gap + 1.0 + f))
    return beyond, queue


def queue_length(places: Array, mean: Array, below: Array, beyond: Array, queue: Array) -> Array:
    """Mean queue from ``beyond_weights``; where those overflow, every server is always busy."""
    return np.where(np.isinf(queue) | np.isinf(beyond), places - mean, queue / (below + 1.0 + beyond))


def _domain(population: Array, servers: Array, think_time: Array, service_time: Array) -> Array:
    ok = counts(population, servers) & (think_time >= 0) & (service_time >= 0)
    return np.where(ok, 0.0, np.nan)


def _crowded(n: Array, c: Array, s: Array) -> NDArray[np.intp]:
    """Rows in which anybody can wait."""
    return np.flatnonzero((n > c) & (c > 0) & (s > 0))


def throughput(servers: Array, population: Array, think_time: Array, service_time: Array) -> Array:
    rate = population / (think_time + service_time)
    rows = _crowded(population, servers, service_time)
    k, s = servers[rows], service_time[rows]
    rate[rows] = busy(population[rows], k, k, think_time[rows], s) / s
    rate[(servers == 0) | (population == 0)] = 0.0
    return rate + _domain(population, servers, think_time, service_time)


def utilization(servers: Array, population: Array, think_time: Array, service_time: Array) -> Array:
    number = population * (service_time / (think_time + service_time))
    rows = _crowded(population, servers, service_time)
    k = servers[rows]
    number[rows] = busy(population[rows], k, k, think_time[rows], service_time[rows])
    number[(population == 0) | (service_time == 0)] = 0.0
    share = number / servers
    share[servers == 0] = 1.0
    return share + _domain(population, servers, think_time, service_time)


def waiting_time(servers: Array, population: Array, think_time: Array, service_time: Array) -> Array:
    wait = np.zeros_like(population)
    rows = _crowded(population, servers, service_time)
    if rows.size:
        wait[rows] = _waiting(*(value[rows] for value in (population, servers, think_time, service_time)))
    wait[servers == 0] = np.inf
    return wait + _domain(population, servers, think_time, service_time)


def _waiting(n: Array, c: Array, z: Array, s: Array) -> Array:
    """Mean queue over throughput, where anybody can wait."""
    p, q, excess, y2 = _position(n, c, z, s)
    wait = (n - c) * (s / c) - z  # every server always busy
    rows = np.flatnonzero(~((excess > 0) & (y2 > _CERTAIN)))
    if rows.size:
        n, c, z, s, p, q, excess, y2 = (value[rows] for value in (n, c, z, s, p, q, excess, y2))
        r, m = n - c, c * z / s
        below = _binomial.below(c, r, z / s, y2, excess > 0)
        beyond, queue = beyond_weights(r, m)
        wait[rows] = queue_length(r, m, below, beyond, queue) * s / _busy(n, c, c, p, q, below, beyond)
    return wait


def response_time(servers: Array, population: Array, think_time: Array, service_time: Array) -> Array:
    return waiting_time(servers, population, think_time, service_time) + service_time


def wait_probability(servers: Array, population: Array, think_time: Array, service_time: Array) -> Array:
    """By the arrival theorem: an arrival sees the chain with one customer less."""
    others = np.maximum(population - 1.0, 0.0)
    waiting = np.zeros_like(others)
    rows = _crowded(others, servers, service_time)
    if rows.size:
        waiting[rows], _ = states(*(value[rows] for value in (others, servers, think_time, service_time)))
    # exactly c others, all at the pool: the chain degenerates to its top state
    edge = (others == servers) & (servers > 0)
    if edge.any():
        together = np.exp(-servers * np.log1p(think_time / service_time))
        waiting = np.where(edge, np.where(service_time == 0, 0.0, together), waiting)
    waiting[servers == 0] = 1.0
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

    answer[rows] = root_above(excess, -goal)
    return answer
