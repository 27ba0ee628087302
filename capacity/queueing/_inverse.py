"""Kernels of the inverses over flat arrays; ``inverse`` documents them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from capacity.queueing import _finite_source, _mmc
from capacity.queueing._evaluate import Array, counts
from capacity.queueing.erlang import delay
from capacity.queueing.search import Rows, least_crossing, root_near

# How far to step back, in units of the last place, from a root that does not meet its target as evaluated.
_STEPS_BACK = (0, 1, *(2**k for k in range(17)))

# A tail this close to its target, relative to the target's logarithm, may be on its other side by rounding alone.
_CLEAR = 1e-9
_SMALLEST = 5e-324
_TWO_PI_ROOT = np.sqrt(2.0 * np.pi)


def _signed(met: NDArray[np.bool_], gap: Array) -> Array:
    """Give a gap the sign that says what the public function itself says of the target."""
    return np.where(met, np.fmin(gap, 0.0), np.fmax(gap, _SMALLEST))


def _unclear(gap: Array, target: Array) -> NDArray[np.bool_]:
    """Where the tail is so near its target that the quantile itself may see it on the other side."""
    return ~(np.abs(gap) > _CLEAR * (1.0 + np.abs(target))) & ~np.isnan(gap)


def _settle(
    count: Array, unclear: NDArray[np.bool_], meets: Callable[[Array, Rows], NDArray[np.bool_]], toward: int
) -> Array:
    """Move a count by one where the quantile itself says so.

    The search compares tails, which is cheap; an equality may then fall on the wrong side by rounding. What
    counts is the public quantile function. ``toward`` is the direction in which targets are met.
    """
    rows = np.flatnonzero(unclear & np.isfinite(count) & (count > 0))
    if rows.size:
        n = count[rows]
        missed = ~meets(n, rows)
        better = ~missed & meets(np.maximum(n - toward, 0.0), rows)
        count[rows] = np.where(missed, n + toward, np.where(better, n - toward, n))
    return count


def _quality_of_service(target: Array, decay: Array) -> Array:
    """Beta such that P(W > t) = target by the square-root rule: -ln(1 + beta m(beta)) - beta decay = ln target.

    Halfin and Whitt (1981): with c = a + beta sqrt(a) servers, P(W > 0) tends to 1/(1 + beta m(beta)), where
    m(beta) = Phi(beta)/phi(beta). ``decay`` is sqrt(a) t/S. Newton's method from the right, on a convex function.
    """
    goal = -np.log(target)
    beta = np.minimum(2.0 * goal / (decay + np.sqrt(decay * decay + 2.0 * goal)), 37.0)
    for _ in range(3):
        # Phi/phi = sqrt(2 pi) e^(beta^2/2) - (1 - Phi)/phi, and the last to 1 % by Birnbaum's bound of 1942
        m = _TWO_PI_ROOT * np.exp(0.5 * beta * beta) - 2.0 / (beta + np.sqrt(beta * beta + 8.0 / np.pi))
        slope = (m + beta * (beta * m + 1.0)) / (1.0 + beta * m) + decay
        beta = np.maximum(beta - (np.log1p(beta * m) + beta * decay - goal) / slope, 0.0)
    return beta


def _by_wait(target: Array, time: Array) -> Callable[[Array], Array]:
    """Guess beta from sqrt(a): P(W > time) = target, time in service times."""
    goal, wait = np.fmin(np.fmax(target, _SMALLEST), 1.0), np.fmax(time, 0.0)
    return lambda root_load: _quality_of_service(goal, root_load * wait)


def _by_response(p: Array, time: Array) -> Callable[[Array], Array]:
    """Guess beta from sqrt(a): P(R > time) = 1 - p, time in service times.

    P(R > t) = e^-t + C h(D), D = c - a: h is about e^(-D t) (1 - e^-t) up to D = 1, and t e^-t or less from there
    on, where it changes so slowly that it is taken at the last guess.
    """
    alone = np.exp(-time)
    share = (1.0 - p) - alone
    slow = _by_wait(share / -np.expm1(-time), time)

    def guess(root_load: Array) -> Array:
        beta = slow(root_load)
        spare = np.fmax(beta * root_load, 1.0)
        for _ in range(2):
            excess = spare - 1.0
            h = alone * np.where(excess > 0, -np.expm1(-excess * time) / excess, time)
            spare = np.fmax(_by_wait(share / h, np.zeros_like(time))(root_load) * root_load, 1.0)
        return np.where(beta * root_load < 1.0, beta, spare / root_load)

    return guess


def _least_servers(
    excess: Callable[[Array, Array, Array, Rows], Array],
    guess: Callable[[Array], Array],
    arrival_rate: Array,
    service_time: Array,
) -> tuple[Array, Array, Array]:
    """Least count from just below the load, where the queue is unstable, upwards; excess there and one below.

    ``excess(c, load, spare, rows)``; ``guess(sqrt(load))`` gives the beta of the square-root rule.
    """
    load = arrival_rate * service_time
    rounded = _mmc.product_error(arrival_rate, service_time, load)
    ok = (arrival_rate >= 0) & (service_time >= 0) & np.isfinite(load)
    below = np.where(ok, np.maximum(np.floor(load) - 1.0, -1.0), np.nan)
    root_load = np.sqrt(np.where(ok, load, 0.0))

    def at(c: Array, rows: Rows) -> Array:
        return excess(c, load[rows], (c - load[rows]) - rounded[rows], rows)

    least, at_least, before = least_crossing(at, below, load + guess(root_load) * root_load, np.ones_like(load))
    return np.where(ok, least, np.nan), at_least, before


def servers_for_wait_probability(target: Array, arrival_rate: Array, service_time: Array) -> Array:
    log_target = np.log(target)

    def excess(c: Array, load: Array, spare: Array, rows: Rows) -> Array:
        waits = delay(c, load, spare)
        return _signed(waits <= target[rows], np.log(waits) - log_target[rows])

    least, _, _ = _least_servers(excess, _by_wait(target, np.zeros_like(target)), arrival_rate, service_time)
    # the probability is never 0 under load, though it underflows; without servers it is 1
    least = np.where((target == 0) & (arrival_rate * service_time > 0), np.inf, least)
    least = np.where(target == 1, 0.0 * least, least)
    return np.where((target >= 0) & (target <= 1), least, np.nan)


def servers_for_waiting_time_quantile(p: Array, target: Array, arrival_rate: Array, service_time: Array) -> Array:
    log_left = np.log1p(-p)

    def excess(c: Array, load: Array, spare: Array, rows: Rows) -> Array:
        service = service_time[rows]
        late = np.log(delay(c, load, spare)) - log_left[rows]
        quantile = _mmc.waiting_quantile_of(p[rows], late, load, spare, service)
        met = (quantile <= target[rows]) & np.isfinite(quantile)
        return _signed(met, late - target[rows] * spare / service)

    guess = _by_wait(1.0 - p, target / service_time)
    least, _, _ = _least_servers(excess, guess, arrival_rate, service_time)
    return np.where(_time_domain(p, target), least, np.nan)


def servers_for_response_time_quantile(p: Array, target: Array, arrival_rate: Array, service_time: Array) -> Array:
    log_left = np.log1p(-p)

    def excess(c: Array, load: Array, spare: Array, rows: Rows) -> Array:
        tail = _mmc.response_tail_at(target[rows], delay(c, load, spare), load, spare, service_time[rows])
        gap = np.log(tail) - log_left[rows]
        return np.where(spare > 0, _signed(np.log(tail) <= log_left[rows], gap), np.inf)

    def exactly(c: Array, rows: Rows) -> NDArray[np.bool_]:
        quantile = _mmc.response_quantile(p[rows], c, arrival_rate[rows], service_time[rows])
        return (quantile <= target[rows]) & np.isfinite(quantile)

    guess = _by_response(p, target / service_time)
    least, at, before = _least_servers(excess, guess, arrival_rate, service_time)
    least = _settle(least, _unclear(at, log_left) | _unclear(before, log_left), exactly, toward=1)
    return np.where(_time_domain(p, target), least, np.nan)


def _largest_rate(
    surplus: Callable[[Array, Rows], Array],
    meets: Callable[[Array, Rows], NDArray[np.bool_]],
    guess: Callable[[Array], Array],
    servers: Array,
    service_time: Array,
) -> Array:
    """Largest rate below saturation; surplus falls with the rate and is positive where the target is kept.

    ``guess(sqrt(load))`` gives the beta of the square-root rule.
    """
    root_c = np.sqrt(servers)
    load = servers
    for _ in range(2):
        half = 0.5 * guess(np.sqrt(load))
        load = np.square(servers / (half + np.sqrt(half * half + servers)))  # of a + beta sqrt(a) = c
    full = servers / service_time
    step = 0.05 * (root_c - np.sqrt(load)) * root_c / service_time + 1e-9 * full
    rate = root_near(surplus, np.zeros(servers.shape), full, load / service_time, step)
    rows = np.flatnonzero(~np.isinf(rate))
    for ulps in _STEPS_BACK:
        rate[rows] -= ulps * np.spacing(rate[rows])
        rows = rows[~meets(rate[rows], rows) & (rate[rows] > 0)]
    ok = counts(servers) & (service_time >= 0)
    return np.where(ok, np.where((servers > 0) & (service_time == 0), np.inf, rate), np.nan)


def arrival_rate_for_wait_probability(target: Array, servers: Array, service_time: Array) -> Array:
    log_target = np.log(target)

    def surplus(rate: Array, rows: Rows) -> Array:
        return log_target[rows] - np.log(_mmc.wait_probability(servers[rows], rate, service_time[rows]))

    def meets(rate: Array, rows: Rows) -> NDArray[np.bool_]:
        return _mmc.wait_probability(servers[rows], rate, service_time[rows]) <= target[rows]

    rate = _largest_rate(surplus, meets, _by_wait(target, np.zeros_like(target)), servers, service_time)
    rate = np.where(target == 1, np.inf, np.where((servers == 0) | (target == 0), 0.0, rate))
    ok = counts(servers) & (service_time >= 0) & (target >= 0) & (target <= 1)
    return np.where(ok, rate, np.nan)


def arrival_rate_for_waiting_time_quantile(p: Array, target: Array, servers: Array, service_time: Array) -> Array:
    log_left = np.log1p(-p)

    def surplus(rate: Array, rows: Rows) -> Array:
        service = service_time[rows]
        load, spare = _mmc.load_and_spare(servers[rows], rate, service)
        late = np.log(delay(servers[rows], load, spare)) - np.maximum(spare, 0.0) / service * target[rows]
        return log_left[rows] - late

    def meets(rate: Array, rows: Rows) -> NDArray[np.bool_]:
        quantile = _mmc.waiting_quantile(p[rows], servers[rows], rate, service_time[rows])
        return (quantile <= target[rows]) & np.isfinite(quantile)

    rate = _largest_rate(surplus, meets, _by_wait(1.0 - p, target / service_time), servers, service_time)
    rate = np.where((p == 1) & (service_time > 0), 0.0, rate)
    return np.where(_time_domain(p, target), rate, np.nan)


def arrival_rate_for_response_time_quantile(p: Array, target: Array, servers: Array, service_time: Array) -> Array:
    log_left = np.log1p(-p)

    def surplus(rate: Array, rows: Rows) -> Array:
        return log_left[rows] - np.log(_mmc.response_tail(target[rows], servers[rows], rate, service_time[rows]))

    def meets(rate: Array, rows: Rows) -> NDArray[np.bool_]:
        quantile = _mmc.response_quantile(p[rows], servers[rows], rate, service_time[rows])
        return (quantile <= target[rows]) & np.isfinite(quantile)

    rate = _largest_rate(surplus, meets, _by_response(p, target / service_time), servers, service_time)
    hopeless = (service_time > 0) & (-log_left * service_time > target)
    return np.where(_time_domain(p, target), np.where(hopeless, 0.0 * servers, rate), np.nan)


def _largest_population(
    excess: Callable[[Array, Rows], Array],
    target: Array,
    time: Array,
    servers: Array,
    think_time: Array,
    service_time: Array,
) -> tuple[Array, Array, Array]:
    """Largest population whose excess is not positive, from 0; the excess there and one above.

    ``target`` and ``time`` [service times] make the guess: as many users as keep the servers busy, and fill the
    queue that takes this time, less what the square-root rule leaves to chance.
    """
    ok = counts(servers) & (think_time >= 0) & np.isfinite(think_time) & (service_time >= 0)
    solvable = ok & (service_time > 0) & (servers > 0)
    thinking = np.where(solvable, servers * (think_time / service_time), 1.0)
    queue = servers * np.fmin(np.fmax(time, 0.0), 1e6)
    beta = _by_wait(target, np.zeros_like(target))(np.ones_like(servers))
    chance = np.sqrt((thinking + queue) * (1.0 + thinking / (servers + queue)))
    start = servers + thinking + queue - beta * chance

    def lost(n: Array, rows: Rows) -> Array:
        gap = excess(n, rows)
        return np.where(gap <= 0, np.fmax(-gap, _SMALLEST), -gap)

    over, beyond, at = least_crossing(lost, np.where(ok, 0.0, np.nan), np.where(solvable, start, 1.0), 0.1 * chance)
    largest = np.where(service_time == 0, np.inf, over - 1.0)
    return np.where(ok, np.where(servers == 0, 0.0, largest), np.nan), at, beyond


def population_for_wait_probability(target: Array, servers: Array, think_time: Array, service_time: Array) -> Array:
    log_target = np.log(target)

    def excess(n: Array, rows: Rows) -> Array:
        waits = _finite_source.wait_probability(servers[rows], n, think_time[rows], service_time[rows])
        return _signed(~(waits > target[rows]), np.log(waits) - log_target[rows])

    largest, _, _ = _largest_population(excess, target, np.zeros_like(target), servers, think_time, service_time)
    largest = np.where(target == 1, np.inf + 0.0 * largest, largest)
    return np.where((target >= 0) & (target <= 1), largest, np.nan)


def population_for_response_time_quantile(
    p: Array, target: Array, servers: Array, think_time: Array, service_time: Array
) -> Array:
    log_left = np.log1p(-p)

    def excess(n: Array, rows: Rows) -> Array:
        tail = _finite_source.response_tail(target[rows], servers[rows], n, think_time[rows], service_time[rows])
        gap = np.log(tail) - log_left[rows]
        return _signed(np.log(tail) <= log_left[rows], gap)

    def exactly(n: Array, rows: Rows) -> NDArray[np.bool_]:
        quantile = _finite_source.response_quantile(p[rows], servers[rows], n, think_time[rows], service_time[rows])
        return quantile <= target[rows]

    time = target / service_time
    # a full queue takes about the same time for everybody: what the target leaves over beside service
    queued = np.maximum(time + log_left, 0.0)
    largest, at, beyond = _largest_population(excess, 1.0 - p, queued, servers, think_time, service_time)
    unclear = _unclear(at, log_left) | _unclear(beyond, log_left)
    largest = _settle(largest, unclear, exactly, toward=-1)
    return np.where(_time_domain(p, target), largest, np.nan)


def _time_domain(p: Array, target: Array) -> NDArray[np.bool_]:
    return (p >= 0) & (p <= 1) & (target >= 0)
