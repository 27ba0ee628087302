"""A pool on each of several hosts behind a balancer: what its way to choose a host makes of their queues.

- ``random``: the stream of each host is a Poisson stream of its own; exact.
- ``round_robin``: each host gets every h-th request, E_h/M/c.
- ``least_connections``: a request waits only where every worker of every host is busy, so it is nearly one queue.
- ``shared_queue``: one queue for all hosts, M/M/hc: the balancer hands on no more requests than there are workers.

Waits of the latter three are those at random times the ratio of two pools of workers who share nothing, at the same
share of their full rate: exact for such workers (but for least connections), near it for those that share cores. What
sharing them adds to the time of a request lies, in the latter two, between what it is at random and what it would be if
all hosts had their cores in common: the more of a request is computing, the nearer to that, since connections then
tell how many want a core. `tests/oracles/measure_fleet.py` has the errors.
"""

from __future__ import annotations

from typing import Final, get_args

import numpy as np

from capacity.fleet.results import Balancing
from capacity.outcome import solve
from capacity.policies import demand
from capacity.queueing import erlang_c
from capacity.queueing._in_turn import in_turn
from capacity.queueing.shared_pool import Pool
from capacity.table import Column, Table, service_time

__all__ = ["BALANCINGS", "balanced_pool"]

BALANCINGS: Final[tuple[Balancing, ...]] = get_args(Balancing)


_TOGETHER: Final = 0.9  # of the CPU's share of a request: how much of the way; fitted to simulation
_MOST_WORKERS: Final = 2000.0  # of hosts that are solved together: more of them share their cores no better


@np.errstate(all="ignore")
def balanced_pool(table: Table, workers: Column, hosts: Column, rate: Column, balancing: Balancing) -> Pool:
    """Solve the pool of one of several equal hosts that share a stream of requests, a row each."""
    alone = rate / hosts
    pool = solve(table, workers, alone, "open")
    if balancing == "random":
        return pool
    busy = np.where(pool["drain"] > 0, workers * alone / (pool["drain"] + alone), workers)
    if balancing == "round_robin":
        waits, ends = in_turn(workers, busy, hosts)
    else:
        waits, ends = np.asarray(erlang_c(servers=workers * hosts, offered_load=busy * hosts)), hosts * (workers - busy)
        pool = _served_together(pool, table, workers, hosts, alone)
    fewer = waits / np.asarray(erlang_c(servers=workers, offered_load=busy))
    faster = ends / (workers - busy)
    fewer, faster = (np.where(np.isfinite(ratio), ratio, 1.0) for ratio in (fewer, faster))
    return pool | {
        "wait_probability": pool["wait_probability"] * fewer,
        "waiting_time": pool["waiting_time"] * fewer / faster,
        "drain": pool["drain"] * faster,
    }


def _served_together(pool: Pool, table: Table, workers: Column, hosts: Column, alone: Column) -> Pool:
    """Shorten the time that a request holds its worker to that where fewer requests meet on the same cores."""
    shared = demand.known_work(table) > 0
    if not shared.any():
        return pool
    few = np.minimum(hosts, np.maximum(np.floor(_MOST_WORKERS / workers), 1.0))
    names = ("host.cpus", "host.cpus_reserved", "host.database_connections", "host.database_connections_reserved")
    together = solve({**table, **{name: table[name] * few for name in names}}, workers * few, alone * few, "open")
    way = _TOGETHER * demand.known_work(table) / service_time(table)
    hold = np.where(pool["drain"] > 0, pool["hold"] + way * (together["hold"] - pool["hold"]), pool["hold"])
    return pool | {"hold": hold, "busy": pool["busy"] * hold / pool["hold"]}
