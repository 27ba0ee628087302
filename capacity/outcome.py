"""What users do to pools, over columns: solved pools, verdicts, and the most users that get each verdict.

Everything here takes and gives columns, so that one pool and a million run the same code.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from capacity.policies import database, demand
from capacity.policies.demand import rate_of
from capacity.policies.verdict import Edges, severity
from capacity.queueing.search import Rows, largest_count, least_count
from capacity.queueing.shared_pool import Pool, finite_pool, response_quantile
from capacity.results import ModelName
from capacity.table import ROUNDING, Column, Table, take

__all__ = ["NEEDED", "judge", "largest_users", "predict", "solve", "users_in_bands"]

NEEDED = (
    "host.cpus",
    "host.database_connections",
    "host.database_connections_reserved",
    "worker.database_connections",
    "workload.service_time",
    "workload.cpu_time",
    "workload.database_time",
    "workload.think_time",
    "workload.requests_per_click",
    "objective.response_time",
    "objective.percentile",
)
"""The columns a prediction looks at."""

_LARGEST_COUNT = 2.0**52  # beyond it neighbouring whole numbers are no longer told apart safely
# what ends the wait in a solved pool: 0 says that nothing does
_DRAIN = {"open": "drain", "finite": "full_rate"}


@np.errstate(all="ignore")
def solve(table: Table, workers: Column, load: Column, model: ModelName) -> Pool:
    """Solve the pool of each row; load is a request rate (open) or a number of users (finite)."""
    cores, service = table["host.cpus"], table["workload.service_time"]
    work = demand.known_work(table)
    if model == "open":
        pool = demand.open_pools(workers, cores, work, service, load)
        # a load that is exactly what the pool completes saturates it, whatever the last bit of the rate says
        full = pool["drain"] + load
        at_limit = np.abs(pool["drain"]) <= ROUNDING * full
        if at_limit.any():
            endless = {"drain": 0.0, "waiting_time": np.inf, "wait_probability": 1.0}
            pool |= {name: np.where(at_limit, value, pool[name]) for name, value in endless.items()}
    else:
        # every request of a click is a customer of its own; halves are rounded up
        population = np.maximum(np.floor(load * table["workload.requests_per_click"] + 0.5), 1.0)
        pool = finite_pool(workers, cores, work, service, population, table["workload.think_time"])
    return _within_connections(table, workers, pool, load, model)


def _within_connections(table: Table, workers: Column, pool: Pool, load: Column, model: ModelName) -> Pool:
    """Cap what the pool completes at what the database connections allow.

    Where they are the bottleneck every worker ends up holding a request that waits for one. The mean response
    then follows from the laws alone (endless for a stream, N/X - Z for N users); its distribution is not known.
    """
    each = table["workload.database_time"] * table["worker.database_connections"]
    most = database.available(table) / each
    short = pool["throughput"] > most
    if not short.any():
        return pool
    users = load * table["workload.requests_per_click"] if model == "finite" else np.inf
    present = users - most * np.nan_to_num(table["workload.think_time"])
    busy = np.minimum(workers, present)
    capped = {
        "throughput": most,
        "busy": busy,
        "wait_probability": np.ones(workers.shape),
        "waiting_time": (present - busy) / most,
        "hold": busy / most,
        _DRAIN[model]: np.zeros(workers.shape),
    }
    return pool | {name: np.where(short, column, pool[name]) for name, column in capped.items()}


@np.errstate(all="ignore")
def judge(table: Table, workers: Column, pool: Pool, edges: Edges) -> dict[str, Column]:
    """Utilizations, slowdown, objective and severity of solved pools."""
    measures = _measures(table, workers, pool)
    met = demand.response_kept(table, pool)
    return measures | {
        "objective_met": np.where(np.isfinite(table["objective.response_time"]), met, np.nan),
        "severity": severity(_busiest(measures), measures["slowdown"], met, edges).astype(np.float64),
    }


def _measures(table: Table, workers: Column, pool: Pool) -> dict[str, Column]:
    throughput = pool["throughput"]
    response = pool["waiting_time"] + pool["hold"]
    return {
        "utilization": pool["busy"] / workers,
        "cpu_utilization": throughput * table["workload.cpu_time"] / table["host.cpus"],
        "database_utilization": database.busy_share(table, throughput),
        "response_time": response,
        "slowdown": response / table["workload.service_time"] - 1.0,
    }


def _busiest(measures: dict[str, Column]) -> Column:
    of_machines = np.fmax(measures["utilization"], measures["cpu_utilization"])
    return np.fmax(of_machines, measures["database_utilization"])


@np.errstate(all="ignore")
def predict(table: Table, workers: Column, load: Column, *, model: ModelName, edges: Edges) -> dict[str, Column]:
    """Every predicted quantity, a column each."""
    pool = solve(table, workers, load, model)
    quantile = response_quantile(np.full(workers.shape, 0.95), pool)
    return pool | judge(table, workers, pool, edges) | {"response_time_p95": quantile}


@np.errstate(all="ignore")
def largest_users(
    table: Table, workers: Column, *, level: int | NDArray[np.intp], model: ModelName, edges: Edges
) -> Column:
    """Most users whose severity is at most ``level``; the verdict never improves as users grow.

    inf where that is more than can be counted (2^52).
    """
    part_of = {name: table[name] for name in NEEDED}
    level = np.broadcast_to(np.asarray(level, dtype=np.intp), workers.shape)
    utilization, slowdown = (np.array(edge)[level] for edge in (edges.utilization, edges.slowdown))
    # a missed objective is at least "watch", so from there on it does not matter
    part_of["objective.response_time"] = np.where(level < 2, part_of["objective.response_time"], np.nan)
    most_busy, slowest = utilization * (1.0 + ROUNDING), slowdown * (1.0 + ROUNDING)

    def meets(users: Column, rows: Rows) -> NDArray[np.bool_]:
        part, servers = take(part_of, rows), workers[rows]
        pool = solve(part, servers, rate_of(part, users) if model == "open" else users, model)
        measures = _measures(part, servers, pool)
        met = (_busiest(measures) <= most_busy[rows]) & (measures["slowdown"] <= slowest[rows])
        return met & demand.response_kept(part, pool)

    each = rate_of(table, np.ones(workers.shape))
    service = table["workload.service_time"]
    if model == "finite":
        return largest_count(meets, np.maximum(utilization * workers / (service * each), 1.0))
    # Of a stream, workers, cores and connections are at least as busy as the load says, so more users than that
    # cannot do; the slack is for the rounding of this division.
    busiest = np.fmax(
        np.fmax(service / workers, table["workload.cpu_time"] / table["host.cpus"]),
        database.busy_share(table, np.ones(workers.shape)),
    )
    most = np.floor(most_busy * (1.0 + ROUNDING) / (busiest * each))
    answer = np.where(most < _LARGEST_COUNT, most, np.where(np.isnan(most), np.nan, np.inf))
    rows = np.flatnonzero(most >= 1)
    rows = rows[~meets(most[rows], rows)]
    if rows.size:  # where waiting, or the objective, is what ends it

        def fewer(users: Column, part: Rows) -> NDArray[np.bool_]:
            return (users >= most[rows[part]]) | ~meets(users, rows[part])

        answer[rows] = least_count(fewer, np.zeros(rows.size), np.maximum(most[rows] / 2.0, 1.0)) - 1.0
    return answer


def users_in_bands(table: Table, workers: Column, *, model: ModelName, edges: Edges) -> NDArray[np.float64]:
    """Largest number of users with each verdict short of overloaded, a row a verdict; NaN where none gets it."""
    levels = np.repeat(np.arange(3), workers.size)
    stacked = {name: np.tile(table[name], 3) for name in NEEDED}
    most = largest_users(stacked, np.tile(workers, 3), level=levels, model=model, edges=edges)
    most = most.reshape(3, workers.size)
    below = np.maximum.accumulate(np.vstack([np.zeros(workers.size), most]), axis=0)[:-1]
    return np.where((below < most) & (most < np.inf), most, np.nan)
