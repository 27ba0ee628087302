"""Ceiling: the workers that the database has connections for."""

from __future__ import annotations

import numpy as np

from capacity.scenario import Scenario
from capacity.table import Column, Table

FORMULA = "(database connections - reserved ones) / connections a worker holds, rounded down"
# Share of a request's CPU time that it spends with a connection: outside of these X(n) is within 8 %.
_PARTLY = (0.05, 0.95)

INPUTS = ("host.database_connections", "host.database_connections_reserved", "worker.database_connections")


def available(table: Table) -> Column:
    """Connections left for this pool; NaN where unknown."""
    return table["host.database_connections"] - table["host.database_connections_reserved"]


def busy_share(table: Table, rate: Column) -> Column:
    """Busy share of the connections when ``rate`` requests a second pass through; NaN where unknown."""
    return rate * table["workload.database_time"] * table["worker.database_connections"] / available(table)


@np.errstate(divide="ignore", invalid="ignore")
def limit(table: Table) -> Column:
    """Workers that can all be connected at once; inf where the connections are unknown or none is needed."""
    each = table["worker.database_connections"]
    workers = np.floor(available(table) / each)
    return np.where((each == 0) | np.isnan(workers), np.inf, workers)


def connections(table: Table) -> tuple[Column, Column] | tuple[None, None]:
    """Workers that can be connected at once, and how long a request holds its connections; None: never short."""
    held = table["workload.database_time"]
    if not (held > 0).any() or np.isnan(table["host.database_connections"]).all():
        return None, None
    return limit(table), np.where(np.isnan(held), 0.0, held)


def explain(scenario: Scenario, workers: float) -> str:
    """Reason of the limit in words."""
    host, each = scenario.host, scenario.worker.database_connections
    if host.database_connections is None:
        return "not limited: the number of database connections is not given"
    if each == 0:
        return "not limited: a worker holds no database connection"
    return (
        f"{host.database_connections} database connections minus {host.database_connections_reserved} reserved, "
        f"{each} for each worker: {workers:.0f} workers; beyond that requests fail with too many connections"
    )


def caution(scenario: Scenario, workers: int) -> tuple[str, ...]:
    """What is not well known where workers wait for connections that others hold while they compute."""
    workload, host, each = scenario.workload, scenario.host, scenario.worker.database_connections
    cpu, held = workload.cpu_demand, workload.database_time
    if not cpu or not held or not each or host.database_connections is None:
        return ()
    connected = (host.database_connections - host.database_connections_reserved) // each
    computing = held - (workload.hold_time - cpu)
    if workers <= connected or not _PARTLY[0] < computing / cpu < _PARTLY[1]:
        return ()
    return (
        f"{workers} workers share connections for {connected}, and hold them while they compute, but not all the time: "
        "what such a pool completes is not known well, and may be up to a quarter less than computed, with far longer "
        f"responses near that limit; up to {connected} workers nobody waits for a connection, and this does not arise",
    )
