"""The engine of a pool whose workers share cores, over flat arrays: every prediction of ours comes from here.

Inside, n active workers on k cores complete X(n) requests a second (a finite-source queue). Outside, the
pool is one station that serves at rate X(min(n, c)): the flow-equivalent server. Below c the outer chain has
no closed form, so its states are added up; from c on it is geometric (open) or Poisson-like (finite).
Where no worker ever waits for a core (no CPU time, or a core for each) it is M/M/c or M/M/c//N itself.

``contention`` and ``contention_finite`` document the quantities one by one; ``open_pool`` and ``finite_pool``
give all of them from one solution of the chain.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from capacity.queueing import _finite_source, _mmc
from capacity.queueing._evaluate import BLOCK, Array
from capacity.queueing.core_sharing import Inner, grid, inner_domain, inner_throughput
from capacity.queueing.erlang import delay
from capacity.queueing.search import Rows, least_count

# throughput, busy (workers that hold a request), wait_probability, waiting_time, hold (time a request holds a
# worker, contention included), and what the quantiles need
Pool: TypeAlias = dict[str, Array]

_LARGE_POOL = 4096

# Cells of the X(n) table that one block may hold: 2^19 float64 are 4 MiB.
_CELLS = 2**19


def block_for(servers: ArrayLike) -> int:
    """How many rows to take at once so that a table of X(0..servers) stays small."""
    try:
        most = np.max(np.asarray(servers, dtype=np.float64), initial=1.0)
    except (OverflowError, TypeError, ValueError):
        return BLOCK  # no number: evaluate says so, by name
    return int(max(1, min(BLOCK, _CELLS // most))) if np.isfinite(most) else BLOCK


def open_pool(servers: Array, cores: Array, cpu_time: Array, service_time: Array, arrival_rate: Array) -> Pool:
    """Solve the pool under a Poisson stream; ``drain`` is the rate at which the wait of those who wait ends."""
    domain = np.where(inner_domain(cores, cpu_time, service_time), 0.0, np.nan)
    load, spare = _mmc.load_and_spare(servers, arrival_rate, service_time)
    load, spare = load + domain, spare + domain
    throughput = np.where(load == 0, arrival_rate, np.minimum(arrival_rate, servers / service_time)) + 0.0 * load
    busy = np.minimum(load, servers)
    waits = delay(servers, load, spare)
    drain, hold = spare / service_time, service_time + 0.0 * load
    waiting = np.where(spare <= 0, np.inf, np.where(load == 0, 0.0, waits / drain))

    rows = np.flatnonzero((cpu_time > 0) & (servers > cores) & np.isfinite(load))
    if rows.size:
        c, rate, inner = servers[rows], arrival_rate[rows], (cores[rows], cpu_time[rows], service_time[rows])
        full = inner_throughput(c, *inner)
        stable = rate < full
        drain[rows] = full - rate
        # in saturation only the completion rate matters, and of the states only those that occur
        falling = np.sqrt(rate * inner[1] / inner[0])  # X(n) comes to exceed rate / falling, as cores / cpu_time does
        seen = _states_seen(np.where(stable, c, 1.0), inner, falling, lambda n, part: rate[part])
        below, number, _ = _below(_table(seen, inner), seen, lambda n: np.broadcast_to(rate, n.shape))
        below = np.where(seen < c, np.inf, below)
        waits[rows] = np.where(stable, 1.0 / (1.0 + below * (full - rate) / full), 1.0)
        waiting[rows] = np.where(stable, waits[rows] / drain[rows], np.inf)
        throughput[rows] = np.minimum(rate, full)
        busy[rows] = np.where(stable, number + (c - number) * waits[rows], c)
        hold[rows] = np.where(rate > 0, busy[rows] / throughput[rows], service_time[rows])
    return {
        "throughput": throughput,
        "busy": busy,
        "wait_probability": waits,
        "waiting_time": waiting,
        "hold": hold,
        "drain": drain,
    }


def finite_pool(
    servers: Array, cores: Array, cpu_time: Array, service_time: Array, population: Array, think_time: Array
) -> Pool:
    """Solve the pool with N users who think between an answer and the next request.

    Who waits, waits as ``_finite_source.waiting_tail_of`` says: ``full_rate`` is the completion rate while every
    worker is busy, ``places`` is N - c and ``mean`` is full_rate times the think time.
    """
    domain = np.where(inner_domain(cores, cpu_time, service_time), 0.0, np.nan)
    plain = (servers, population, think_time, service_time)
    throughput = _finite_source.throughput(*plain) + domain
    busy = _finite_source.utilization(*plain) * servers + domain
    waits = _finite_source.wait_probability(*plain) + domain
    waiting = _finite_source.waiting_time(*plain) + domain
    full, hold = servers / service_time, service_time + 0.0 * busy
    mean = servers * think_time / service_time

    rows = np.flatnonzero((cpu_time > 0) & (np.minimum(servers, population) > cores) & np.isfinite(busy))
    if rows.size:
        n, z, inner = population[rows], think_time[rows], (cores[rows], cpu_time[rows], service_time[rows])
        c = np.minimum(servers[rows], n)  # a worker beyond the last user is never used
        full[rows] = inner_throughput(c, *inner)
        mean[rows] = full[rows] * z
        seen = _states_seen(c, inner, np.full(n.shape, 0.9), lambda state, part: (n[part] - state) / z[part])
        table = _table(seen, inner)
        below, number, rate = _below(table, seen, lambda state: (n - state) / z)
        below = np.where(seen < c, np.inf, below)
        beyond, queue = _finite_source.beyond_weights(n - c, mean[rows])
        share = 1.0 / (1.0 + below / (1.0 + beyond))
        busy[rows] = number + (c - number) * share
        throughput[rows] = rate + (full[rows] - rate) * share
        length = _finite_source.queue_length(n - c, mean[rows], below, beyond, queue)
        waiting[rows] = length / throughput[rows]
        hold[rows] = busy[rows] / throughput[rows]

        # an arrival sees the others only (arrival theorem)
        below, _, _ = _below(table, seen, lambda state: np.maximum(n - 1.0 - state, 0.0) / z)
        below = np.where(seen < c, np.inf, below)
        beyond, _ = _finite_source.beyond_weights(np.maximum(n - 1.0 - c, 0.0), mean[rows])
        waits[rows] = np.where(n > c, 1.0 / (1.0 + below / (1.0 + beyond)), 0.0)
    return {
        "throughput": throughput,
        "busy": busy,
        "wait_probability": waits,
        "waiting_time": waiting,
        "hold": hold,
        "full_rate": full,
        "places": population - servers,
        "mean": mean,
    }


def response_tail(t: Array, pool: Pool) -> Array:
    """P(R > t) for t > 0: the wait, exact for the chain, plus an independent exponential hold of its mean."""
    hold, waits = pool["hold"], pool["wait_probability"]
    if "drain" in pool:
        tail = _mmc.response_tail_of(t / hold, waits, pool["drain"] * hold)
        tail = np.where(pool["drain"] <= 0, 1.0, tail)
    else:
        speed = pool["full_rate"] * hold
        tail = _finite_source.response_tail_of(t / hold, waits, speed, pool["places"], pool["mean"])
        tail = np.where(pool["full_rate"] == 0, 1.0, tail)
    return np.where(hold == 0, 0.0 * waits, tail)


def response_quantile(p: Array, pool: Pool) -> Array:
    """Give the t at which ``response_tail`` is 1 - p."""
    hold, waits = pool["hold"], pool["wait_probability"]
    if "drain" in pool:
        scaled = _mmc.response_quantile_of(p, waits, pool["drain"] * hold)
        saturated = pool["drain"] <= 0
    else:
        speed = pool["full_rate"] * hold
        scaled = _finite_source.response_quantile_of(p, waits, speed, pool["places"], pool["mean"])
        saturated = pool["full_rate"] == 0
    quantile = np.where((p == 0) | (hold == 0), 0.0, hold * scaled)
    quantile = np.where(saturated, np.inf, quantile) + 0.0 * waits
    return np.where((p >= 0) & (p <= 1), quantile, np.nan)


def open_quantity(quantity: str) -> Callable[..., Array]:
    """Kernel for one quantity of ``open_pool``, as ``evaluate`` wants it."""

    def kernel(*arguments: Array) -> Array:
        return _quantity(quantity, open_pool(*arguments), arguments[0])

    return kernel


def finite_quantity(quantity: str) -> Callable[..., Array]:
    """Kernel for one quantity of ``finite_pool``, as ``evaluate`` wants it."""

    def kernel(*arguments: Array) -> Array:
        return _quantity(quantity, finite_pool(*arguments), arguments[0])

    return kernel


def open_response_quantile(p: Array, *arguments: Array) -> Array:
    """Quantile kernel of ``open_pool``."""
    return response_quantile(p, open_pool(*arguments))


def finite_response_quantile(p: Array, *arguments: Array) -> Array:
    """Quantile kernel of ``finite_pool``."""
    return response_quantile(p, finite_pool(*arguments))


def _quantity(quantity: str, pool: Pool, servers: Array) -> Array:
    if quantity == "utilization":
        return np.where(servers == 0, 1.0 + 0.0 * pool["busy"], pool["busy"] / servers)
    if quantity == "response_time":
        return pool["waiting_time"] + pool["hold"]
    return pool[quantity]


def _states_seen(servers: Array, inner: Inner, falling: Array, arrivals: Callable[[Array, Rows], Array]) -> Array:
    """How many states of a large pool have to be added up: c, or less where the upper ones never occur.

    From the first state at which arrivals are at most ``falling`` times the completions on, every state is at
    most so much as likely as the one before; what is left after the factor has come down to e^-750 is 0 in a
    float64.
    """
    large = np.flatnonzero(servers > _LARGE_POOL)
    if not large.size:
        return servers
    cores, cpu_time, service_time = (value[large] for value in inner)

    def emptying(n: Array, part: Rows) -> NDArray[np.bool_]:
        rate = inner_throughput(n, cores[part], cpu_time[part], service_time[part])
        return (falling[large[part]] * rate >= arrivals(n, large[part])) | (n >= servers[large[part]])

    seen = servers.copy()
    turning = least_count(emptying, np.zeros(large.size), np.full(large.size, 64.0))
    seen[large] = np.minimum(servers[large], turning + np.ceil(750.0 / -np.log(falling[large])))
    return seen


def _table(servers: Array, inner: Inner) -> Array:
    """X(n) for n = 0 .. max(servers), a row a state and a column a pool."""
    states = np.arange(np.max(servers) + 1.0)
    table = np.empty((states.size, servers.size))
    grid(states, inner, table)
    return table


def _below(table: Array, servers: Array, arrivals: Callable[[Array], Array]) -> tuple[Array, Array, Array]:
    """Weight of the states below c relative to state c, and the mean n and mean completion rate among them.

    ln w(n) = ln w(n-1) + ln arrivals(n-1) - ln X(n). Logarithms keep a pool that is practically never full,
    or practically always, from overflowing; the step is clipped so that no pause at all (infinite arrivals)
    only outweighs everything below.
    """
    states = np.arange(table.shape[0] + 0.0)[:, None]
    steps = np.log(arrivals(states[:-1] + np.zeros_like(servers))) - np.log(table[1:])
    log_weight = np.zeros_like(table)
    np.cumsum(np.minimum(steps, 700.0), axis=0, out=log_weight[1:])
    log_c = np.take_along_axis(log_weight, servers.astype(np.intp)[None, :], axis=0)[0]
    log_weight[states >= servers] = -np.inf
    peak = np.max(log_weight, axis=0)
    share = np.exp(log_weight - peak)
    total = _sum(share)
    return np.exp(peak - log_c) * total, _sum(share * states) / total, _sum(share * table) / total


def _sum(table: Array) -> Array:
    """Sum each column from top to bottom: unlike np.sum, in the same order however many columns there are."""
    total: Array = np.cumsum(table, axis=0)[-1]
    return total
