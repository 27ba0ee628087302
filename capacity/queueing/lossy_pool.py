"""A pool with a limited number of waiting places, over flat arrays: who is refused, and how late the others are served.

The chain of ``shared_pool`` cut off at K = servers + places: completion rate X(min(n, c)). From c on it is geometric,
as M/M/c/K is, whatever X is below c. Requests that nobody waits for any more stay in it and are served, as a timeout of
the web server leaves them in PHP-FPM's queue.
"""

from __future__ import annotations

import numpy as np

from capacity.queueing import _mmck, _mmck_response
from capacity.queueing._evaluate import Array, of_like_size
from capacity.queueing._mmc import load_and_spare
from capacity.queueing._poisson import cdf_ratio
from capacity.queueing.inner_network import Network, network_grid, network_limits
from capacity.queueing.shared_pool import Pool

_CELLS = 2**19  # of a table of X(n)
_STEEP = 0.9  # of the steepest exponential that bounds a hold; steeper ones bound with a larger factor


def lossy_pool(servers: Array, network: Network, arrival_rate: Array, places: Array) -> Pool:
    """Solve the pool: ``refused`` (share of arrivals), ``throughput``, ``waiting_time``, ``hold`` and more.

    Times are those of requests let in.
    """
    service_time = network[2]
    load, spare = load_and_spare(servers, arrival_rate, service_time)
    full = servers / service_time
    gap = spare / servers
    below = cdf_ratio(servers, load, spare)
    number = np.full(servers.shape, np.nan)  # mean number at work while it is below c; only of shared rows
    shared = network_limits(servers, network)
    slower = np.flatnonzero(shared & (arrival_rate > 0))
    for piece in of_like_size(servers[slower] + 1.0, _CELLS):
        rows = slower[piece]
        part = tuple(column[rows] for column in network)
        full[rows], below[rows], number[rows] = _below(servers[rows], part, arrival_rate[rows])
        gap[rows] = (full[rows] - arrival_rate[rows]) / full[rows]
    rho = arrival_rate / full
    over, log_x, fullest, accepting, sum0, sum1 = _mmck.weigh(places, rho, -gap, below)
    scale = np.where(over, np.exp(places * log_x), 1.0)
    refused = np.where(np.isinf(accepting), 0.0, 1.0 / (1.0 + accepting / fullest))
    throughput = np.where(np.isinf(accepting), arrival_rate, arrival_rate / (1.0 + fullest / accepting))
    queued = np.where(over, np.exp(log_x) * (places * sum0 - sum1), sum0 + sum1)
    busy = number * below * scale + servers * (accepting - below * scale + fullest)
    busy = np.where(np.isinf(below), number / arrival_rate, busy / (arrival_rate * accepting))
    hold = np.where(shared, busy, service_time)
    return {
        "refused": np.where(arrival_rate == 0, 0.0, refused),
        "throughput": throughput,
        "waiting_time": np.where(np.isinf(accepting) | (places == 0), 0.0, queued / accepting / full),
        "hold": np.where(arrival_rate == 0, service_time, hold),
        "full_rate": full,
        "places": places,
        "rho": rho,
        "gap": gap,
        "below": below,
    }


def response_tail(t: Array, pool: Pool) -> Array:
    """P(R > t) of requests let in, t > 0: the wait, exact for the chain, plus an independent exponential hold."""
    chain = (pool["rho"], pool["gap"], pool["below"])
    tail = _mmck_response.tail_of(t, pool["places"], chain, pool["full_rate"], pool["hold"])
    return np.where(pool["rho"] == 0, np.exp(-t / pool["hold"]), tail)


def response_tail_bound(t: Array, pool: Pool) -> Array:
    """At least P(R > t), t > 0, of whoever is let in: Chernoff's bound for the one who takes the last place."""
    full, hold, places = pool["full_rate"], pool["hold"], pool["places"]
    theta = np.minimum(full - places / t, _STEEP / hold)
    bound = np.exp(-theta * t - places * np.log1p(-theta / full) - np.log1p(-theta * hold))
    return np.where(theta > 0, bound, 1.0)


def waiting_tail(t: Array, pool: Pool) -> Array:
    """P(W > t) of requests let in, t >= 0."""
    over, log_x, full, accepting, _, _ = _mmck.weigh(pool["places"], pool["rho"], -pool["gap"], pool["below"])
    weight = _mmck.late_weight(over, log_x, full, pool["places"], pool["rho"], pool["gap"], pool["full_rate"] * t)
    nobody = (pool["places"] == 0) | (pool["rho"] == 0) | np.isinf(accepting)
    return np.where(nobody, 0.0, np.minimum(weight / accepting, 1.0))


def _below(servers: Array, network: Network, arrival_rate: Array) -> tuple[Array, Array, Array]:
    """X(c), the weight of the states below c over that of state c, and their mean n.

    Downwards from c: w(n-1) / w(n) = X(n) / lambda. The weight is inf where it is too much for a float64.
    """
    states = np.arange(np.max(servers) + 1.0)
    table = np.empty((states.size, servers.size))
    network_grid(states, network, table)
    full = table[servers.astype(np.intp), np.arange(servers.size)]
    n = states[:, None]
    steps = np.where((n > 0) & (n <= servers), np.log(table) - np.log(arrival_rate), 0.0)
    # ln w(n)/w(c) is the sum of the steps from n + 1 to c
    log_weight = np.where(n < servers, np.cumsum(steps[::-1], axis=0)[::-1] - steps, -np.inf)
    highest = np.max(log_weight, axis=0)
    share = np.exp(log_weight - highest)
    total = np.sum(share, axis=0)
    return full, np.exp(highest) * total, np.sum(share * n, axis=0) / total
