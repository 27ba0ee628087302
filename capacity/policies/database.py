"""Ceiling: the workers that the database has connections for."""

from __future__ import annotations

import numpy as np

from capacity.scenario import Scenario
from capacity.table import Column, Table

FORMULA = "(database connections - reserved ones) / connections a worker holds, rounded down"
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
