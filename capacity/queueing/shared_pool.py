"""The engine of a pool whose workers share cores, over flat arrays: every prediction of ours comes from here.

Inside, n active workers on k cores, with m database connections, complete X(n) requests a second (a closed network).
Outside, the pool is one station that serves at rate X(min(n, c)): the flow-equivalent server. Below c the outer chain
has no closed form, so its states are added up, of large pools only those that ever occur; from c on it is geometric
(open) or Poisson-like (finite). Where more than 2^24 states occur, or states beyond 2^52, the answer is NaN.
Where no worker ever waits for a core or a connection it is M/M/c or M/M/c//N itself.

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
from capacity.queueing.erlang import delay
from capacity.queueing.inner_network import (
    Network,
    network_ceiling,
    network_domain,
    network_grid,
    network_limits,
    network_throughput,
)
from capacity.queueing.search import Rows, least_count

# throughput, busy (workers that hold a request), wait_probability, waiting_time, hold (time a request holds a
# worker, contention included), and what the quantiles need
Pool: TypeAlias = dict[str, Array]
Sums: TypeAlias = tuple[Array, Array, Array, Array]  # highest ln w; over w relative to it: 1, n and X(n)
Arrivals: TypeAlias = Callable[[Array, Rows], Array]  # rate in some states of some rows

_LARGE_POOL = 4096  # workers from which the upper states are left out that never occur
_HUGE_POOL = 2**16  # and from which the lower ones are, too
_WIDE = 2**17  # states that are added up without a look for fewer
_MOST_STATES = 2**24
_SLICE = 2**18  # states of such a pool at once
_COUNTABLE = 2.0**52  # states up to which one more is another float64
_NOTHING, _LITTLE = 750.0, 60.0  # e^-750 is 0 in a float64; e^-60 changes no sum
_FACTORS = tuple(1.0 - 0.1 * 4.0**-i for i in range(8))

# Cells of the X(n) table that one block may hold: 2^19 float64 are 4 MiB.
_CELLS = 2**19


def block_for(servers: ArrayLike) -> int:
    """How many rows to take at once so that a table of X(0..servers) stays small."""
    try:
        given = np.asarray(servers, dtype=np.float64)
    except (OverflowError, TypeError, ValueError):
        return BLOCK  # no number: evaluate says so, by name
    most = np.max(given, where=np.isfinite(given), initial=1.0)
    return int(max(1, min(BLOCK, _CELLS // most)))


def open_pool(
    servers: Array,
    cores: Array,
    cpu_time: Array,
    service_time: Array,
    arrival_rate: Array,
    connections: Array | None = None,
    database_time: Array | None = None,
) -> Pool:
    """Solve the pool under a Poisson stream; ``drain`` is the rate at which the wait of those who wait ends."""
    network = network_of(servers, cores, cpu_time, service_time, connections, database_time)
    domain = np.where(network_domain(network), 0.0, np.nan)
    load, spare = _mmc.load_and_spare(servers, arrival_rate, service_time)
    load, spare = load + domain, spare + domain
    throughput = np.where(load == 0, arrival_rate, np.minimum(arrival_rate, servers / service_time)) + 0.0 * load
    busy = np.minimum(load, servers)
    waits = delay(servers, load, spare)
    drain, hold = spare / service_time, service_time + 0.0 * load
    waiting = np.where(spare <= 0, np.inf, np.where(load == 0, 0.0, waits / drain))

    rows = np.flatnonzero(network_limits(servers, network) & np.isfinite(load))
    if rows.size:
        c, rate, inner = servers[rows], arrival_rate[rows], tuple(column[rows] for column in network)
        full = network_throughput(c, *inner)
        stable = rate < full
        drain[rows] = full - rate
        # in saturation only the completion rate matters, and of the states only those that occur
        falling = np.sqrt(rate / network_ceiling(inner))  # X(n) comes to exceed rate / falling, as its ceiling does
        (solved,) = _solve(np.where(stable, c, 1.0), inner, falling, lambda n, part: rate[part] + 0.0 * n)
        below, number, _ = solved
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
    servers: Array,
    cores: Array,
    cpu_time: Array,
    service_time: Array,
    population: Array,
    think_time: Array,
    connections: Array | None = None,
    database_time: Array | None = None,
) -> Pool:
    """Solve the pool with N users who think between an answer and the next request.

    Who waits, waits as ``_finite_source.waiting_tail_of`` says: ``full_rate`` is the completion rate while every
    worker is busy, ``places`` is N - c and ``mean`` is full_rate times the think time.
    """
    network = network_of(servers, cores, cpu_time, service_time, connections, database_time)
    domain = np.where(network_domain(network), 0.0, np.nan)
    plain = (servers, population, think_time, service_time)
    throughput = _finite_source.throughput(*plain) + domain
    busy = _finite_source.utilization(*plain) * servers + domain
    waits = _finite_source.wait_probability(*plain) + domain
    waiting = _finite_source.waiting_time(*plain) + domain
    full, hold = servers / service_time, service_time + 0.0 * busy
    mean = servers * think_time / service_time

    shared = network_limits(np.minimum(servers, population), network) & np.isfinite(busy)
    works = network_ceiling(network) > 0
    rows = np.flatnonzero(shared & works)
    if rows.size:
        n, z, inner = population[rows], think_time[rows], tuple(column[rows] for column in network)
        c = np.minimum(servers[rows], n)  # a worker beyond the last user is never used
        full[rows] = network_throughput(c, *inner)
        mean[rows] = full[rows] * z
        (below, number, rate), (below_others, _, _) = _solve(
            c,
            inner,
            np.full(n.shape, _FACTORS[0]),
            lambda state, part: (n[part] - state) / z[part],
            # an arrival sees the others only (arrival theorem)
            lambda state, part: np.maximum(n[part] - 1.0 - state, 0.0) / z[part],
        )
        beyond, queue = _finite_source.beyond_weights(n - c, mean[rows])
        share = 1.0 / (1.0 + below / (1.0 + beyond))
        busy[rows] = number + (c - number) * share
        throughput[rows] = rate + (full[rows] - rate) * share
        length = _finite_source.queue_length(n - c, mean[rows], below, beyond, queue)
        waiting[rows] = length / throughput[rows]
        hold[rows] = busy[rows] / throughput[rows]

        beyond, _ = _finite_source.beyond_weights(np.maximum(n - 1.0 - c, 0.0), mean[rows])
        waits[rows] = np.where(n > c, 1.0 / (1.0 + below_others / (1.0 + beyond)), 0.0)

    # without a core or a connection nobody ever gets an answer
    rows = np.flatnonzero(shared & ~works)
    n, c, comes = population[rows], servers[rows], np.isfinite(think_time[rows])
    throughput[rows] = full[rows] = mean[rows] = 0.0
    busy[rows] = np.where(comes, np.minimum(c, n), 0.0)
    waits[rows] = np.where(comes & (n > c), 1.0, 0.0)
    waiting[rows] = np.where(comes & (n > c), np.inf, 0.0)
    hold[rows] = np.inf
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


def network_of(
    servers: Array,
    cores: Array,
    cpu_time: Array,
    service_time: Array,
    connections: Array | None,
    database_time: Array | None,
) -> Network:
    """Inner network; without connections where those are never short, which is faster."""
    network = (cores, cpu_time, service_time)
    if connections is None or database_time is None:
        return network
    enough = (connections >= servers) & (database_time >= 0) & (database_time <= service_time)
    whole = (connections == np.floor(connections)) | (connections == np.inf)
    return network if (enough & whole).all() else (*network, connections, database_time)


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
    return response_quantile(p, open_pool(*_where_asked(p, *arguments)))


def finite_response_quantile(p: Array, *arguments: Array) -> Array:
    """Quantile kernel of ``finite_pool``."""
    return response_quantile(p, finite_pool(*_where_asked(p, *arguments)))


def _where_asked(p: Array, servers: Array, *others: Array) -> tuple[Array, ...]:
    """Leave nothing to compute where p is no probability."""
    return np.where((p >= 0) & (p <= 1), servers, np.nan), *others


def _quantity(quantity: str, pool: Pool, servers: Array) -> Array:
    if quantity == "utilization":
        return np.where(servers == 0, 1.0 + 0.0 * pool["busy"], pool["busy"] / servers)
    if quantity == "response_time":
        return pool["waiting_time"] + pool["hold"]
    return pool[quantity]


def _solve(servers: Array, inner: Network, falling: Array, *chains: Arrivals) -> list[tuple[Array, Array, Array]]:
    """Give ``_means`` of one or more chains with the same X(n); which states count is decided by the first."""
    endless = np.isinf(chains[0](np.zeros_like(servers), np.arange(servers.size)))  # never a state below c
    first, last = _states_seen(np.where(endless, 1.0, servers), inner, falling, chains[0])
    below, number, rate = np.full((3, len(chains), servers.size), np.nan)
    below[:, endless] = number[:, endless] = rate[:, endless] = 0.0
    rows = np.flatnonzero(~endless & (last <= _HUGE_POOL))
    if rows.size:
        states, table = _table(0.0, np.max(last[rows]), inner, rows)
        for i, arrivals in enumerate(chains):
            log_weight, sums = _add_up(table, states, last[rows], arrivals, rows, np.zeros(rows.size))
            below[i, rows], number[i, rows], rate[i, rows] = _means(log_weight, *sums)
    for row in np.flatnonzero((last > _HUGE_POOL) & (last - first <= _MOST_STATES) & (last <= _COUNTABLE)):
        rows, log_weight = np.array([row]), np.zeros((len(chains), 1))
        parts: list[list[Sums]] = [[] for _ in chains]
        for start in np.arange(first[row], last[row], _SLICE):
            end = np.minimum(start + _SLICE, last[rows])
            states, table = _table(start, end[0], inner, rows)
            for i, arrivals in enumerate(chains):
                log_weight[i], sums = _add_up(table, states, end, arrivals, rows, log_weight[i])
                parts[i].append(sums)
        for i, several in enumerate(parts):
            below[i, rows], number[i, rows], rate[i, rows] = _means(log_weight[i], *_together(several))
    below[:, last < np.where(endless, 1.0, servers)] = np.inf
    return list(zip(below, number, rate, strict=True))


def _states_seen(servers: Array, inner: Network, falling: Array, arrivals: Arrivals) -> tuple[Array, Array]:
    """First and last state of a large pool to be added up: 0 to c, less those that never occur.

    From the first state at which arrivals are at most ``falling`` times the completions on, every state is at
    most so much as likely as the one before; what is left after the factor has come down to e^-750 is 0 in a
    float64. Down from the last state whose completions are at most a factor of the arrivals one below, likewise, and
    there, as where state c is never reached, e^-60 of the sum is enough. How many states that leaves depends on the
    factor: near 1 where they are many.
    """
    first, last = np.zeros_like(servers), servers.copy()
    large = np.flatnonzero(servers > _LARGE_POOL)
    last[large] = np.minimum(last[large], _upper(large, falling[large], servers, inner, arrivals))
    rows = np.flatnonzero((servers > _HUGE_POOL) & (last > _HUGE_POOL))
    for factor in _FACTORS:
        if not rows.size:
            break
        factors = np.full(rows.size, factor)
        last[rows] = np.minimum(last[rows], _upper(rows, factors, servers, inner, arrivals))
        first[rows] = np.maximum(first[rows], _lower(rows, factors, servers, inner, arrivals))
        rows = rows[last[rows] - first[rows] > _WIDE]
    return first, last


def _upper(rows: Rows, factors: Array, servers: Array, inner: Network, arrivals: Arrivals) -> Array:
    """State from which on nothing is left, for some of the rows; if that is not all, from which on little is."""

    def emptying(n: Array, part: Rows) -> NDArray[np.bool_]:
        these = rows[part]
        rate = network_throughput(n, *(value[these] for value in inner))
        return (factors[part] * rate >= arrivals(n, these)) | (n >= servers[these])

    turning = least_count(emptying, np.zeros(rows.size), np.full(rows.size, 64.0))
    end = turning + np.ceil(_NOTHING / -np.log(factors))
    cut = (servers[rows] > _HUGE_POOL) & (servers[rows] > end)
    return np.where(cut, turning + np.ceil(_LITTLE / -np.log(factors)), end)


def _lower(rows: Rows, factors: Array, servers: Array, inner: Network, arrivals: Arrivals) -> Array:
    """State below which little is left, for some of the rows."""

    def filled(n: Array, part: Rows) -> NDArray[np.bool_]:
        these = rows[part]
        rate = network_throughput(n, *(value[these] for value in inner))
        return ~(rate <= factors[part] * arrivals(n - 1.0, these)) | (n >= servers[these])

    turning = least_count(filled, np.zeros(rows.size), np.full(rows.size, 64.0))
    return np.minimum(turning, servers[rows]) - 1.0 - np.ceil(_LITTLE / -np.log(factors))


def _table(first: float, last: float, inner: Network, rows: Rows) -> tuple[Array, Array]:
    """States and X(n), a row a state and a column a pool."""
    states = first + np.arange(last - first + 1.0)
    table = np.empty((states.size, rows.size))
    network_grid(states, tuple(column[rows] for column in inner), table)
    return states, table


def _add_up(
    table: Array, states: Array, last: Array, arrivals: Arrivals, rows: Rows, log_first: Array
) -> tuple[Array, Sums]:
    """Give the logarithm of the last state's weight, and sums over the states below it.

    ln w(n) = ln w(n-1) + ln arrivals(n-1) - ln X(n). Logarithms keep a pool that is practically never full,
    or practically always, from overflowing; the step is clipped so that no pause at all (infinite arrivals)
    only outweighs everything below.
    """
    states = states[:, None]
    steps = np.log(arrivals(states[:-1] + np.zeros_like(last), rows)) - np.log(table[1:])
    log_weight = np.zeros_like(table)
    np.cumsum(np.minimum(steps, 700.0), axis=0, out=log_weight[1:])
    log_weight += log_first
    log_last = np.take_along_axis(log_weight, (last - states[0]).astype(np.intp)[None, :], axis=0)[0]
    log_weight[states >= last] = -np.inf
    peak = np.max(log_weight, axis=0)
    share = np.exp(log_weight - peak)
    return log_last, (peak, _sum(share), _sum(share * states), _sum(share * table))


def _together(parts: list[Sums]) -> Sums:
    """Sums over some states and over some more."""
    peak = np.max([part[0] for part in parts], axis=0)
    scaled = [[np.exp(part[0] - peak) * value for value in part[1:]] for part in parts]
    total, number, rate = (_sum(np.array(values)) for values in zip(*scaled, strict=True))
    return peak, total, number, rate


def _means(log_last: Array, peak: Array, total: Array, number: Array, rate: Array) -> tuple[Array, Array, Array]:
    """Weight of the states below the last relative to it, and the mean n and mean completion rate among them."""
    return np.exp(peak - log_last) * total, number / total, rate / total


def _sum(table: Array) -> Array:
    """Sum each column from top to bottom: unlike np.sum, in the same order however many columns there are."""
    total: Array = np.cumsum(table, axis=0)[-1]
    return total
