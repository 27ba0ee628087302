"""A pool with a limited number of waiting places, over flat arrays: who is refused, and how late the others are served.

The chain of ``shared_pool`` cut off at K = servers + places: completion rate X(min(n, c)). From c on it is geometric,
as M/M/c/K is, whatever X is below c. Requests that nobody waits for any more stay in it and are served, as a timeout of
the web server leaves them in PHP-FPM's queue.

Service times that are not exponential change two things, exactly at scv 1 and in the limit of a long queue. The queue
goes by rho^(2/(1 + scv)) a place instead of rho; below c and in what flows it is the same chain. And c busy workers
complete x requests on average with variance scv x, so waits are those of a queue that leaves in lumps of scv requests.
"""

from __future__ import annotations

import numpy as np
from scipy.special import gammaincc, gammaln

from capacity.queueing import _mmck, _mmck_response
from capacity.queueing._evaluate import Array, of_like_size
from capacity.queueing._mmc import load_and_spare
from capacity.queueing._poisson import cdf_ratio
from capacity.queueing.inner_network import Network, network_grid, network_limits
from capacity.queueing.shared_pool import Pool
from capacity.queueing.spread import limited_moments, log_service_tail

_CELLS = 2**19  # of a table of X(n)
_STEEP = 0.9  # of the steepest exponential that bounds a hold; steeper ones bound with a larger factor
_SMALLEST_LUMP = 0.02  # requests: workers of constant service time do not keep step either
_LEVEL = 1e-8  # |ln rho| of a lump below which what follows would be 0/0
_UNDERFLOW = 1e-200
_CELLS_OF_SERVICE, _CROWDED = 64, 4  # cells of a service time's range, the narrower the shorter the time


def lossy_pool(servers: Array, network: Network, arrival_rate: Array, places: Array, service_scv: Array) -> Pool:
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
    rho, gap, weight = _spread_queue(arrival_rate / full, gap, service_scv)
    below = below / weight
    over, log_x, fullest, accepting, sum0, sum1 = _mmck.weigh(places, rho, -gap, below)
    fullest = fullest / weight
    scale = np.where(over, np.exp(places * log_x), 1.0)
    waiting = accepting - below * scale
    refused = np.where(np.isinf(accepting), 0.0, 1.0 / (1.0 + accepting / fullest))
    throughput = np.where(np.isinf(accepting), arrival_rate, arrival_rate / (1.0 + fullest / accepting))
    queued = np.where(over, np.exp(log_x) * (places * sum0 - sum1), sum0 + sum1)
    queued += 0.5 * (service_scv - 1.0) * waiting
    busy = number * below * scale + servers * (waiting + fullest)
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
        "waits": np.where(np.isinf(accepting) | (places == 0), 0.0, waiting / accepting),
        "scv": service_scv,
    }


def _spread_queue(rho: Array, gap: Array, service_scv: Array) -> tuple[Array, Array, Array]:
    """Ratio of a queue's state to the one before, 1 less it, and the weight of those states: (1 - ratio) / (1 - rho).

    The ratio is that of heavy traffic; by the weight whoever is let in is still served, at the full rate.
    """
    power = 2.0 / (1.0 + service_scv)
    spread = (service_scv != 1.0) & (rho > 0)
    log_rho = np.where(np.abs(gap) < 0.5, np.log1p(-gap), np.log(rho))
    ratio_gap = -np.expm1(power * log_rho)
    weight = np.where(gap == 0, power, ratio_gap / gap)
    return (
        np.where(spread, rho**power, rho),
        np.where(spread, ratio_gap, gap),
        np.where(spread, weight, 1.0),
    )


def response_tail(t: Array, pool: Pool) -> Array:
    """P(R > t) of requests let in, t > 0, at scv 1: the exact wait, plus an independent exponential hold."""
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
    """P(W > t) of requests let in, t >= 0: of those who wait that of a queue that leaves in lumps; 1 below 0.

    With q/lump places, rho^lump a place and full_rate/lump; the sum that ``_mmck.late_weight`` gives, for any q.
    """
    lump = np.maximum(pool["scv"], _SMALLEST_LUMP)
    q, x = pool["places"] / lump, pool["full_rate"] * np.maximum(t, 0.0) / lump
    log_r = lump * np.where(np.abs(pool["gap"]) < 0.5, np.log1p(-pool["gap"]), np.log(pool["rho"]))
    log_r = np.where(np.abs(log_r) < _LEVEL, _LEVEL, log_r)
    over, r = log_r > 0, np.exp(log_r)
    served = gammaincc(q, r * x)
    grown = np.exp(x * np.expm1(log_r) - np.where(over, q * log_r, 0.0)) * served
    # far in the tail, where the product of a huge and a tiny number is neither
    far = np.exp((q - 1.0) * np.log(x) - x - gammaln(q) - np.where(over, 0.0, -q * log_r) - log_r)
    grown = np.where(served < _UNDERFLOW, far / np.maximum(1.0 - (q - 1.0) / (r * x), 1e-9), grown)
    capped = np.where(over, 1.0, np.exp(q * log_r)) * gammaincc(q, x)
    tail = np.abs(grown - capped) / -np.expm1(-q * np.abs(log_r))
    nobody = (pool["waits"] == 0) | (pool["rho"] == 0)
    return np.where(t < 0, 1.0, np.where(nobody, 0.0, pool["waits"] * np.clip(tail, 0.0, 1.0)))


def late_shares(patience: Array, kill: Array, pool: Pool) -> Pool:
    """Shares of those let in who are ``killed`` at work or ``timed_out``, and of the work that is ``wasted`` on these.

    ``pool["law_scv"]`` and ``pool["law_hold"]`` are the spread and the mean of the times at work if nobody were
    killed. The time at work is cut into cells: each holds its exact share of requests, and of work.
    """
    scv, mean = pool["law_scv"], pool["law_hold"]
    most = np.minimum(patience, kill)
    edges = most * np.linspace(0.0, 1.0, _CELLS_OF_SERVICE + 1)[:, None] ** _CROWDED
    shape = edges.shape
    spread = np.broadcast_to(scv, shape).ravel()
    scaled = (edges / mean).ravel()
    longer = np.exp(log_service_tail(scaled, spread)).reshape(shape)
    longer[0] = 1.0
    limited = mean * limited_moments(scaled, spread)[0].reshape(shape)
    limited[0] = 0.0
    share = longer[:-1] - longer[1:]
    ended = np.diff(limited - edges * longer, axis=0)  # what the requests that end in a cell have worked
    took = np.where(share > 0, ended / share, edges[:-1])
    middle = 0.5 * (edges[:-1] + edges[1:])
    wide = {name: np.broadcast_to(column, middle.shape) for name, column in pool.items()}
    late = np.sum(share * waiting_tail(patience - took, wide), axis=0)
    cut = waiting_tail(patience - kill, pool)  # 1 where the web server gives up before
    everything = mean * limited_moments(kill / mean, scv)[0]
    nobody = np.sum(np.diff(limited, axis=0) * waiting_tail(patience - middle, wide), axis=0) + everything - limited[-1]
    return {
        "killed": longer[-1] * (1.0 - cut),
        "timed_out": late + longer[-1] * cut,
        "wasted": np.clip(nobody / everything, 0.0, 1.0),
    }


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
