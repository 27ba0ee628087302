"""Kernels of the inverses over flat arrays; ``inverse`` documents them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from capacity.queueing import _finite_source, _mmc
from capacity.queueing._evaluate import Array, counts
from capacity.queueing.search import Rows, largest_count, least_count, root

# How far to step back, in units of the last place, from a root that does not meet its target as evaluated.
_STEPS_BACK = (1, 1, 2, 4, 8, 16)


def _keeps(tail: Array, p: Array) -> NDArray[np.bool_]:
    """Whether P(T > t) <= 1 - p."""
    return np.log(tail) <= np.log1p(-p)


def _settle(count: Array, meets: Callable[[Array], NDArray[np.bool_]], toward: int) -> Array:
    """Move a count by one where the quantile itself says so.

    The search compares tails, which is cheap; an equality may then fall on the wrong side by rounding. What
    counts is the public quantile function. ``toward`` is the direction in which targets are met.
    """
    with_target = np.isfinite(count) & (count > 0)
    missed = with_target & ~meets(count)
    better = with_target & ~missed & meets(np.maximum(count - toward, 0.0))
    return np.where(missed, count + toward, np.where(better, count - toward, count))


def _least_servers(
    meets: Callable[[Array, Rows], NDArray[np.bool_]], arrival_rate: Array, service_time: Array
) -> Array:
    """Least count from just below the load, where the queue is unstable, upwards."""
    load = arrival_rate * service_time
    ok = (arrival_rate >= 0) & (service_time >= 0) & np.isfinite(load)
    below = np.where(ok, np.maximum(np.floor(load) - 1.0, -1.0), np.nan)
    return np.where(ok, least_count(meets, below, np.sqrt(np.where(ok, load, 0.0)) + 2.0), np.nan)


def servers_for_wait_probability(target: Array, arrival_rate: Array, service_time: Array) -> Array:
    def meets(c: Array, rows: Rows) -> NDArray[np.bool_]:
        return _mmc.wait_probability(c, arrival_rate[rows], service_time[rows]) <= target[rows]

    least = _least_servers(meets, arrival_rate, service_time)
    # the probability is never 0 under load, though it underflows; without servers it is 1
    least = np.where((target == 0) & (arrival_rate * service_time > 0), np.inf, least)
    least = np.where(target == 1, 0.0 * least, least)
    return np.where((target >= 0) & (target <= 1), least, np.nan)


def servers_for_waiting_time_quantile(p: Array, target: Array, arrival_rate: Array, service_time: Array) -> Array:
    def meets(c: Array, rows: Rows) -> NDArray[np.bool_]:
        quantile = _mmc.waiting_quantile(p[rows], c, arrival_rate[rows], service_time[rows])
        return (quantile <= target[rows]) & np.isfinite(quantile)

    least = _least_servers(meets, arrival_rate, service_time)
    return np.where(_time_domain(p, target), least, np.nan)


def servers_for_response_time_quantile(p: Array, target: Array, arrival_rate: Array, service_time: Array) -> Array:
    def meets(c: Array, rows: Rows) -> NDArray[np.bool_]:
        rate, service = arrival_rate[rows], service_time[rows]
        _, spare = _mmc.load_and_spare(c, rate, service)
        return (spare > 0) & _keeps(_mmc.response_tail(target[rows], c, rate, service), p[rows])

    def exactly(c: Array) -> NDArray[np.bool_]:
        quantile = _mmc.response_quantile(p, c, arrival_rate, service_time)
        return (quantile <= target) & np.isfinite(quantile)

    least = _settle(_least_servers(meets, arrival_rate, service_time), exactly, toward=1)
    return np.where(_time_domain(p, target), least, np.nan)


def _largest_rate(
    surplus: Callable[[Array, Rows], Array],
    meets: Callable[[Array], NDArray[np.bool_]],
    servers: Array,
    service_time: Array,
) -> Array:
    """Largest rate below saturation; surplus falls with the rate and is positive where the target is kept."""
    rate = root(surplus, np.zeros(servers.shape), servers / service_time)
    for ulps in _STEPS_BACK:
        rate = np.where(meets(rate) | np.isinf(rate), rate, rate - ulps * np.spacing(rate))
    ok = counts(servers) & (service_time >= 0)
    return np.where(ok, np.where((servers > 0) & (service_time == 0), np.inf, rate), np.nan)


def arrival_rate_for_wait_probability(target: Array, servers: Array, service_time: Array) -> Array:
    def surplus(rate: Array, rows: Rows) -> Array:
        return np.log(target[rows]) - np.log(_mmc.wait_probability(servers[rows], rate, service_time[rows]))

    def meets(rate: Array) -> NDArray[np.bool_]:
        return _mmc.wait_probability(servers, rate, service_time) <= target

    rate = np.where(target == 0, 0.0, _largest_rate(surplus, meets, servers, service_time))
    rate = np.where(target == 1, np.inf, np.where(servers == 0, 0.0, rate))
    ok = counts(servers) & (service_time >= 0) & (target >= 0) & (target <= 1)
    return np.where(ok, rate, np.nan)


def arrival_rate_for_waiting_time_quantile(p: Array, target: Array, servers: Array, service_time: Array) -> Array:
    def surplus(rate: Array, rows: Rows) -> Array:
        tail = _mmc.waiting_tail(target[rows], servers[rows], rate, service_time[rows])
        return np.log1p(-p[rows]) - np.log(tail)

    def meets(rate: Array) -> NDArray[np.bool_]:
        quantile = _mmc.waiting_quantile(p, servers, rate, service_time)
        return (quantile <= target) & np.isfinite(quantile)

    rate = np.where((p == 1) & (service_time > 0), 0.0, _largest_rate(surplus, meets, servers, service_time))
    return np.where(_time_domain(p, target), rate, np.nan)


def arrival_rate_for_response_time_quantile(p: Array, target: Array, servers: Array, service_time: Array) -> Array:
    def surplus(rate: Array, rows: Rows) -> Array:
        tail = _mmc.response_tail(target[rows], servers[rows], rate, service_time[rows])
        return np.log1p(-p[rows]) - np.log(tail)

    def meets(rate: Array) -> NDArray[np.bool_]:
        quantile = _mmc.response_quantile(p, servers, rate, service_time)
        return (quantile <= target) & np.isfinite(quantile)

    rate = _largest_rate(surplus, meets, servers, service_time)
    hopeless = (service_time > 0) & (-np.log1p(-p) * service_time > target)
    return np.where(_time_domain(p, target), np.where(hopeless, 0.0 * servers, rate), np.nan)


def _largest_population(
    meets: Callable[[Array, Rows], NDArray[np.bool_]], servers: Array, think_time: Array, service_time: Array
) -> Array:
    ok = counts(servers) & (think_time >= 0) & np.isfinite(think_time) & (service_time >= 0)
    saturation = np.where(ok & (service_time > 0), servers * (1.0 + think_time / service_time), 1.0)
    largest = largest_count(meets, np.where(ok, saturation, 1.0))
    largest = np.where(service_time == 0, np.inf, largest)
    return np.where(ok, np.where(servers == 0, 0.0, largest), np.nan)


def population_for_wait_probability(target: Array, servers: Array, think_time: Array, service_time: Array) -> Array:
    def meets(n: Array, rows: Rows) -> NDArray[np.bool_]:
        waits = _finite_source.wait_probability(servers[rows], n, think_time[rows], service_time[rows])
        return ~(waits > target[rows])

    largest = _largest_population(meets, servers, think_time, service_time)
    largest = np.where(target == 1, np.inf + 0.0 * largest, largest)
    return np.where((target >= 0) & (target <= 1), largest, np.nan)


def population_for_response_time_quantile(
    p: Array, target: Array, servers: Array, think_time: Array, service_time: Array
) -> Array:
    def meets(n: Array, rows: Rows) -> NDArray[np.bool_]:
        tail = _finite_source.response_tail(target[rows], servers[rows], n, think_time[rows], service_time[rows])
        return _keeps(tail, p[rows])

    def exactly(n: Array) -> NDArray[np.bool_]:
        return _finite_source.response_quantile(p, servers, n, think_time, service_time) <= target

    largest = _settle(_largest_population(meets, servers, think_time, service_time), exactly, toward=-1)
    return np.where(_time_domain(p, target), largest, np.nan)


def _time_domain(p: Array, target: Array) -> NDArray[np.bool_]:
    return (p >= 0) & (p <= 1) & (target >= 0)
