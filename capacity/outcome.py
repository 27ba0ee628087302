"""What users do to pools, over columns: solved pools, verdicts, and the most users that get each verdict.

Everything here takes and gives columns, so that one pool and a million run the same code.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import numpy as np
from numpy.typing import NDArray

from capacity.policies import database, demand, objective
from capacity.policies.demand import rate_of
from capacity.policies.verdict import VERDICTS, Edges, severity
from capacity.queueing.search import Rows, largest_count
from capacity.queueing.shared_pool import Pool, finite_pool
from capacity.queueing.spread import response_quantile, spread_out
from capacity.results import ModelName
from capacity.table import ROUNDING, Column, Table, cores_left, cpu_time, service_time, stacked, take

__all__ = ["NEEDED", "judge", "largest_users", "predict", "solve", "users_in_bands"]

NEEDED = (
    "host.cpus",
    "host.cpus_reserved",
    "host.database_connections",
    "host.database_connections_reserved",
    "worker.database_connections",
    "workload.service_time",
    "workload.cpu_time",
    "workload.database_time",
    "workload.service_scv",
    "workload.think_time",
    "workload.requests_per_click",
    "workload.overhead_time",
    "workload.web_server_cpu_time",
    *objective.NEEDED,
)
"""The columns a prediction looks at."""

_LARGEST_COUNT = 2.0**52  # beyond it neighbouring whole numbers are no longer told apart safely


@np.errstate(all="ignore")
def solve(table: Table, workers: Column, load: Column, model: ModelName) -> Pool:
    """Solve the pool of each row; load is a request rate (open) or a number of users (finite)."""
    cores, service, work = cores_left(table), service_time(table), demand.known_work(table)
    connections = database.connections(table)
    if model == "open":
        pool = demand.open_pools(workers, cores, work, service, load, *connections)
        pool = spread_out(pool, workers, service, table["workload.service_scv"])
        # a load that is exactly what the pool completes saturates it, whatever the last bit of the rate says
        full = pool["drain"] + load
        at_limit = np.abs(pool["drain"]) <= ROUNDING * full
        if at_limit.any():
            endless = {"drain": 0.0, "waiting_time": np.inf, "wait_probability": 1.0}
            pool |= {name: np.where(at_limit, value, pool[name]) for name, value in endless.items()}
        return pool
    # every request of a click is a customer of its own; halves are rounded up
    population = np.maximum(np.floor(load * table["workload.requests_per_click"] + 0.5), 1.0)
    pool = finite_pool(workers, cores, work, service, population, table["workload.think_time"], *connections)
    return spread_out(pool, workers, service, table["workload.service_scv"])


@np.errstate(all="ignore")
def judge(table: Table, workers: Column, pool: Pool, edges: Edges) -> dict[str, Column]:
    """Utilizations, slowdown, objective and severity of solved pools."""
    measures = _measures(table, workers, pool)
    met = objective.is_kept(objective.excess(table, pool))
    return measures | {
        "objective_met": np.where(objective.is_set(table), met, np.nan),
        "apdex": objective.apdex(table, pool),
        "severity": severity(_busiest(measures), measures["slowdown"], met, edges).astype(np.float64),
    }


def _measures(table: Table, workers: Column, pool: Pool) -> dict[str, Column]:
    throughput = pool["throughput"]
    response = pool["waiting_time"] + pool["hold"]
    return {
        "utilization": pool["busy"] / workers,
        "cpu_utilization": throughput * cpu_time(table) / cores_left(table),
        "database_utilization": database.busy_share(table, throughput),
        "response_time": response,
        "slowdown": response / service_time(table) - 1.0,
    }


def _busiest(measures: dict[str, Column]) -> Column:
    of_machines = np.fmax(measures["utilization"], measures["cpu_utilization"])
    return np.fmax(of_machines, measures["database_utilization"])


@np.errstate(all="ignore")
def predict(
    table: Table, workers: Column, load: Column, *, model: ModelName, edges: Edges, quantile: bool = True
) -> dict[str, Column]:
    """Every predicted quantity, a column each; the quantile, which costs most of it, only where it is wanted."""
    pool = solve(table, workers, load, model)
    predicted = pool | judge(table, workers, pool, edges)
    if quantile:
        predicted["response_time_p95"] = response_quantile(np.full(workers.shape, 0.95), pool)
    return predicted


@np.errstate(all="ignore")
def largest_users(
    table: Table, workers: Column, *, level: int | NDArray[np.intp], model: ModelName, edges: Edges
) -> Column:
    """Most users whose severity is at most ``level``; the verdict never improves as users grow.

    inf where that is more than can be counted (2^52).
    """
    level = np.broadcast_to(np.asarray(level, dtype=np.intp), workers.shape)
    # a missed objective is at least "watch", so from there on it does not matter
    columns = objective.without({name: table[name] for name in NEEDED}, level >= VERDICTS.index("watch"))
    utilization, slowdown = (np.array(edge)[level] * (1.0 + ROUNDING) for edge in (edges.utilization, edges.slowdown))

    def tried(users: Column, rows: Rows) -> tuple[NDArray[np.bool_], Column]:
        """Whether the level is kept, and by how much it is not on the scale of logarithms."""
        part, servers = take(columns, rows), workers[rows]
        pool = solve(part, servers, rate_of(part, users) if model == "open" else users, model)
        measures = _measures(part, servers, pool)
        late = objective.excess(part, pool)
        kept = (_busiest(measures) <= utilization[rows]) & (measures["slowdown"] <= slowdown[rows])
        return kept & objective.is_kept(late), np.fmax(np.log(measures["slowdown"] / slowdown[rows]), late)

    each = rate_of(columns, np.ones(workers.shape))
    service, cores, work = service_time(columns), cores_left(columns), cpu_time(columns)
    if model == "finite":
        start = np.maximum(utilization * workers / (service * each), 1.0)
        return largest_count(lambda users, rows: tried(users, rows)[0], start)
    # Of a stream, workers, cores and connections are at least as busy as the load says, so more users than that
    # cannot do; the slack is for the rounding of this division.
    busiest = np.fmax(
        np.fmax(service / workers, work / cores),
        database.busy_share(columns, np.ones(workers.shape)),
    )
    most = np.minimum(np.floor(utilization * (1.0 + ROUNDING) / (busiest * each)), _LARGEST_COUNT)
    answer = np.where(most < _LARGEST_COUNT, most, np.where(np.isnan(most), np.nan, np.inf))
    rows = np.flatnonzero(most >= 1)
    kept, excess = tried(most[rows], rows)
    rows = rows[~kept]
    # without users nothing is late but what takes longer by itself
    unloaded = objective.excess_alone(columns)
    slope = np.where(work > 0, np.minimum(workers, cores), workers)
    answer[rows] = _fewer(
        lambda users, part: tried(users, rows[part]), most[rows], excess[~kept], unloaded[rows], slope[rows]
    )
    return answer


def _fewer(
    tried: Callable[[Column, Rows], tuple[NDArray[np.bool_], Column]],
    high: Column,
    above: Column,
    unloaded: Column,
    slope: Column,
) -> Column:
    """Most users below ``high`` that are kept, where waiting or the objective ends it before utilization does.

    False position (Illinois): the logarithm of the share of late answers is nearly a straight line over the users,
    that of the slowdown over their logarithm, where it rises about like users^workers, or users^cores (``slope``).
    ``above`` is the excess at ``high``, ``unloaded`` that of late answers without users (NaN: no objective). Every
    fourth step halves the bracket, so that it ends in any case.
    """
    answer = np.zeros(high.shape)
    low: Column = np.zeros(high.shape)
    side: Column = np.zeros(high.shape)
    rows: Rows = np.arange(high.size)
    linear: NDArray[np.bool_] = np.isfinite(unloaded)
    below = np.where(linear, unloaded, -np.inf)
    for step in count():
        going = high - low > 1.0
        answer[rows[~going]] = low[~going]
        rows, linear = rows[going], linear[going]
        low, high, below, above, side, slope = (column[going] for column in (low, high, below, above, side, slope))
        if not rows.size:
            return answer
        middle = (low + high) / 2.0
        share = above / (above - below)
        guess = np.where(low > 0, high * (low / high) ** share, high * np.exp(-above / slope))
        guess = np.where(linear, high - (high - low) * share, guess)
        guess = middle if step % 4 == 3 else np.where(guess > 0, guess, middle)
        guess = np.clip(np.floor(guess), low + 1.0, high - 1.0)
        kept, excess = tried(guess, rows)
        # an end that stays twice weighs half, or it would stay for good
        above = np.where(kept, np.where(side > 0, above / 2.0, above), excess)
        below = np.where(kept, excess, np.where(side < 0, below / 2.0, below))
        low, high = np.where(kept, guess, low), np.where(kept, high, guess)
        side = np.where(kept, 1.0, -1.0)
    raise AssertionError  # unreachable: count() does not end


def users_in_bands(table: Table, workers: Column, *, model: ModelName, edges: Edges) -> NDArray[np.float64]:
    """Largest number of users with each verdict short of overloaded, a row a verdict; NaN where none gets it."""
    levels = np.repeat(np.arange(3), workers.size)
    most = largest_users(
        stacked(table, NEEDED, 3), np.concatenate((workers,) * 3), level=levels, model=model, edges=edges
    )
    most = most.reshape(3, workers.size)
    below = np.maximum.accumulate(np.vstack([np.zeros(workers.size), most]), axis=0)[:-1]
    return np.where((below < most) & (most < np.inf), most, np.nan)
