"""A pool on each of several hosts behind a balancer: what its way to choose a host makes of their queues.

- ``random``: the stream of each host is a Poisson stream of its own; exact.
- ``round_robin``: each host gets every h-th request. How much less is waited than at random is that of workers who
  share nothing, E_h/M/c, which is exact; for workers that share cores, at the same share of their full rate.
- ``least_connections``: a request waits only where every worker of every host is busy, so it is nearly one queue.
- ``shared_queue``: one queue for all hosts, as of a balancer that hands on no more requests than there are workers.

The last two wait as one pool of all workers on all cores would, and are served as at random: a host's cores help no
other. `tests/oracles/measure_fleet.py` has the errors.
"""

from __future__ import annotations

from typing import Final, get_args

import numpy as np

from capacity.fleet.results import Balancing
from capacity.outcome import solve
from capacity.queueing import erlang_c
from capacity.queueing._in_turn import in_turn
from capacity.queueing.shared_pool import Pool
from capacity.table import Column, Table

__all__ = ["BALANCINGS", "balanced_pool"]

BALANCINGS: Final[tuple[Balancing, ...]] = get_args(Balancing)

_OF_THE_QUEUE: Final = ("wait_probability", "waiting_time", "drain", "wait_spread")


@np.errstate(all="ignore")
def balanced_pool(table: Table, workers: Column, hosts: Column, rate: Column, balancing: Balancing) -> Pool:
    """Solve the pool of one of several equal hosts that share a stream of requests, a row each."""
    pool = solve(table, workers, rate / hosts, "open")
    if balancing == "random":
        return pool
    if balancing == "round_robin":
        return _in_turns(pool, workers, hosts, rate / hosts)
    shared = ("host.cpus", "host.cpus_reserved", "host.database_connections", "host.database_connections_reserved")
    together = solve({**table, **{name: table[name] * hosts for name in shared}}, workers * hosts, rate, "open")
    return pool | {name: together[name] for name in _OF_THE_QUEUE if name in together}


def _in_turns(pool: Pool, workers: Column, hosts: Column, rate: Column) -> Pool:
    """Lower the waits of a pool with random arrivals to those of every h-th."""
    full = pool["drain"] + rate
    busy = np.where(pool["drain"] > 0, workers * rate / full, workers)  # of as fast a pool that shares nothing
    waits, ends = in_turn(workers, busy, hosts)
    fewer = waits / np.asarray(erlang_c(servers=workers, offered_load=busy))
    faster = ends / (workers - busy)
    fewer, faster = (np.where(np.isfinite(ratio), ratio, 1.0) for ratio in (fewer, faster))
    return pool | {
        "wait_probability": pool["wait_probability"] * fewer,
        "waiting_time": pool["waiting_time"] * fewer / faster,
        "drain": pool["drain"] * faster,
    }
