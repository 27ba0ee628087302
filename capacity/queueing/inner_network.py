"""X(n) of n busy workers that share cores and database connections: the whole inner network.

n requests circulate over the CPU (k cores), the database (m connections) and a pure delay. While there are no more of
them than connections nobody waits for one, and X(n) is that of ``core_sharing``. Beyond, CPU and delay are one station
that completes x(j) with j requests (exact: Norton's theorem), the connections one that completes mu(i), and

    X(n) = G(n-1) / G(n),    G(n) = sum_i H(i) F(n-i),    F(j) = 1 / (x(1) ... x(j)),    H(i) = 1 / (mu(1) ... mu(i))

a convolution of positive terms; weights are taken relative to theta^-n, theta about X(n), so that whatever matters is
near 1 and what underflows is nothing. A block of n shares a theta, always the same blocks: a point and a cell of a grid
are the same number.

A request holds its connection for ``database_time``: off the CPU as far as there is time off the CPU. What is left of
it is spent computing, which is no product form: then X is the lesser of two networks, one in which that computing needs
no connection, and one in which the computing with a connection and the one without do not disturb each other. Either
is exact at its end, a connection held only off the CPU or from beginning to end; in between, see
``contention.shared_cores_throughput``.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from capacity.queueing import core_sharing
from capacity.queueing._evaluate import Array, counts, of_like_size

Network: TypeAlias = tuple[Array, ...]
"""Cores, CPU time and service time; where connections may be short also those (inf: no limit), and how long a request
holds one."""

_MOST = 2.0**13  # workers up to which the network is solved; for more, X(n) is the lesser of its bounds, 0.9 % off
_WIDE = 16.0  # times sqrt(n): how many n share a theta; off by half of it, weights come to e^-32
_CELLS = 2**18  # of a table of x(j) at once


def network_throughput(workers: Array, *network: Array) -> Array:
    """X(n) over flat arrays."""
    rate = core_sharing.inner_throughput(workers, *network[:3])
    if len(network) == 3:
        return rate
    _, _, service_time, connections, held = network
    rate[~_domain(connections, held, service_time)] = np.nan
    rows = np.flatnonzero(_short(workers, connections, held) & ~np.isnan(rate))
    if not rows.size:
        return rate
    few = tuple(column[rows] for column in network)
    rate[rows] = np.minimum(rate[rows], _ceiling(few))
    solved = (workers[rows] <= _MOST) & (rate[rows] > 0)
    rows, few = rows[solved], tuple(column[solved] for column in few)
    if not rows.size:
        return rate
    pools, index = np.unique(np.stack(few), axis=1, return_inverse=True)  # one table for all n of a pool
    index = index.reshape(-1)
    order = np.lexsort((workers[rows], index))
    starts = np.append(np.searchsorted(index[order], np.arange(pools.shape[1])), order.size)
    lasts = np.array([workers[rows[order[end - 1]]] for end in starts[1:]])
    for part in of_like_size(lasts, _CELLS):
        tables = _tables(lasts[part], tuple(pools[:, part]))
        for pool, table in zip(part, tables, strict=True):
            these = rows[order[starts[pool] : starts[pool + 1]]]
            rate[these] = np.minimum(rate[these], table[workers[these].astype(np.intp)])
    return rate


def network_grid(workers: Array, network: Network, out: Array) -> None:
    """X(n) for whole n, rising, a row of ``out`` a state and a column a pool."""
    core_sharing.grid(workers, network[:3], out)
    if len(network) == 3:
        return
    _, _, service_time, connections, held = network
    out[:, ~_domain(connections, held, service_time)] = np.nan
    rows = np.flatnonzero(_short(workers[-1], connections, held) & ~np.isnan(out[-1]))
    if not rows.size:
        return
    few = tuple(column[rows] for column in network)
    out[:, rows] = np.minimum(out[:, rows], np.where(workers[:, None] > few[3], _ceiling(few), np.inf))
    near = int(np.searchsorted(workers, _MOST, side="right"))
    solved = np.flatnonzero((out[-1, rows] > 0) & (few[3] < workers[max(near - 1, 0)]))
    if not near or not solved.size:
        return
    lasts = np.full(solved.size, workers[near - 1])
    for part in of_like_size(lasts, _CELLS):
        tables = _tables(lasts[part], tuple(column[solved[part]] for column in few))
        for pool, table in zip(rows[solved[part]], tables, strict=True):
            cells = out[:near, pool]
            np.minimum(cells, table[workers[:near].astype(np.intp)], out=cells)


def network_limits(servers: Array, network: Network) -> NDArray[np.bool_]:
    """Where some state of a pool of so many servers is slower than n/S."""
    cores, cpu_time = network[:2]
    slower: NDArray[np.bool_] = (cpu_time > 0) & (servers > cores)
    return slower if len(network) == 3 else slower | _short(servers, network[3], network[4])


def network_ceiling(network: Network) -> Array:
    """What X(n) cannot exceed for any n."""
    cores, cpu_time = network[:2]
    most = np.where(cpu_time > 0, cores / cpu_time, np.inf)
    if len(network) == 3:
        return most
    rows = np.flatnonzero(_short(np.inf, *network[3:]))
    most[rows] = np.minimum(most[rows], _ceiling(tuple(column[rows] for column in network)))
    return most


def network_domain(network: Network) -> NDArray[np.bool_]:
    """Where there is such a pool."""
    ok = core_sharing.inner_domain(*network[:3])
    return ok if len(network) == 3 else ok & _domain(network[3], network[4], network[2])


def _domain(connections: Array, held: Array, service_time: Array) -> NDArray[np.bool_]:
    whole = counts(connections) | (connections == np.inf)
    ok: NDArray[np.bool_] = whole & (held >= 0) & (held <= service_time)
    return ok


def _short(workers: Array | float, connections: Array, held: Array) -> NDArray[np.bool_]:
    """Where workers may wait for a connection."""
    short: NDArray[np.bool_] = (held > 0) & (workers > connections)
    return short


def _parts(network: tuple[Array, ...]) -> tuple[Array, Array]:
    """Of the time a connection is held, that off the CPU and that on it."""
    _, cpu_time, service_time, _, held = network
    away = np.minimum(held, service_time - cpu_time)
    return away, np.minimum(held - away, cpu_time)


def _ceiling(network: tuple[Array, ...]) -> Array:
    """What the connections let through: each is held at least so long."""
    cores, _, _, connections, held = network
    _, inside = _parts(network)
    return core_sharing.inner_throughput(connections, cores, inside, held)


def _tables(lasts: Array, pools: tuple[Array, ...]) -> Iterator[Array]:
    """X(0), X(1) ... to the last of each pool and beyond; what is not above the connections is not filled."""
    cores, cpu_time, service_time, connections, _ = pools
    away, inside = _parts(pools)
    ends = [_edges(int(m), int(last)) for m, last in zip(connections, lasts, strict=True)]
    states = np.arange(max(edges[-1] for edges in ends) + 0.0)
    beside = np.empty((states.size, lasts.size))
    core_sharing.grid(states, (cores, cpu_time, np.maximum(service_time - away, cpu_time)), beside)
    most = np.minimum(np.where(cpu_time > 0, cores / cpu_time, np.inf), _ceiling(pools))
    held = np.empty((int(connections.max()) + 1, lasts.size))
    core_sharing.grid(states[: len(held)], (cores, inside, away + inside), held)
    for pool, edges in enumerate(ends):
        m, service = int(connections[pool]), service_time[pool]
        size = edges[-1]
        table = np.full(size, np.inf)
        if away[pool] > 0:
            freely = np.arange(m + 1.0) / away[pool]
            _convolve(table, edges, beside[:size, pool], freely, service, most[pool])
        if inside[pool] > 0:
            outside = max(cpu_time[pool] - inside[pool], 0.0)
            alone = np.minimum(states[:size], cores[pool]) / outside
            _convolve(table, edges, alone, held[: m + 1, pool], service, most[pool])
        yield table


def _edges(connections: int, last: int) -> list[int]:
    """First n of each block, and the end of the last one."""
    edges = [connections + 1]
    while edges[-1] <= last:
        edges.append(edges[-1] + int(np.ceil(_WIDE * np.sqrt(edges[-1]))))
    return edges


def _convolve(table: Array, edges: list[int], x: Array, mu: Array, service: float, most: float) -> None:
    """Lower a table of X(n) to that of two stations; mu stays from its last value on."""
    log_x = np.log(x[1:])
    log_mu = np.log(np.concatenate([mu[1:], np.full(len(x) - len(mu), mu[-1])]))
    for first, end in pairwise(edges):
        theta = min((first + end) / 2.0 / service, most)
        f, h = (_weights(np.log(theta) - values[: end - 1]) for values in (log_x, log_mu))
        kept = np.flatnonzero(h)
        low, high = int(kept[0]), int(kept[-1])
        f = np.concatenate([np.zeros(high), f])[first - 1 : end + high - low]
        g = np.convolve(f, h[low : high + 1], "valid")  # of first - 1 to end - 1
        ratio = theta * g[:-1] / g[1:]
        np.fmin(table[first:end], ratio, out=table[first:end])


def _weights(steps: Array) -> Array:
    """Weights of 0, 1, 2 ... from the logarithms of their ratios; the largest is 1."""
    logs = np.concatenate([[0.0], np.cumsum(steps)])
    weights: Array = np.exp(logs - logs.max())
    return weights
