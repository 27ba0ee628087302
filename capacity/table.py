"""A table of scenarios: one float64 array a scenario field, named ``host.ram``, ``workload.cpu_time`` and so on.

Decisions and predictions are functions over such columns, so that one row and a million rows run the same code
and cannot disagree. A value that is not known is NaN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from capacity.scenario import Scenario

Column: TypeAlias = NDArray[np.float64]
Table: TypeAlias = Mapping[str, Column]

ROUNDING = 1e-12
"""Slack for a value computed as exactly its limit, which must then meet it; far below any meaning."""

_POLICY = ("headroom", "process_max", "pools_on_host", "web_server_timeout")


def table_of(scenario: Scenario) -> dict[str, Column]:
    """One-row table of a scenario.

    Examples
    --------
    >>> from capacity.scenario import Scenario
    >>> table = table_of(Scenario.example())
    >>> table["workload.service_time"], table["workload.cpu_time"]
    (array([0.25]), array([nan]))
    """
    parts = {
        "host": scenario.host,
        "worker": scenario.worker,
        "workload": scenario.workload,
        "objective": scenario.objective,
    }
    values = {f"{name}.{field}": value for name, part in parts.items() for field, value in part}
    values |= {f"policy.{field}": getattr(scenario, field) for field in _POLICY}
    return {name: np.array([np.nan if value is None else value], dtype=np.float64) for name, value in values.items()}


def repeat(table: Table, times: int) -> dict[str, Column]:
    """Every row ``times`` times in a row, to lay several user counts beside it."""
    return take(table, np.repeat(_rows(table), times))


def stacked(table: Table, names: Sequence[str], times: int) -> dict[str, Column]:
    """The named columns ``times`` times over, one below the other."""
    return take({name: table[name] for name in names}, np.concatenate((_rows(table),) * times))


def take(table: Table, rows: NDArray[np.intp]) -> dict[str, Column]:
    """The given rows."""
    return {name: column[rows] for name, column in table.items()}


def _rows(table: Table) -> NDArray[np.intp]:
    return np.arange(next(iter(table.values())).size)


def cores_left(table: Table) -> Column:
    """Cores that other work leaves to PHP and its web server."""
    return table["host.cpus"] - table["host.cpus_reserved"]


def service_time(table: Table) -> Column:
    """Time a request holds a worker at light load, with all that is spent beside its script."""
    beside = table["workload.overhead_time"] + table["workload.web_server_cpu_time"]
    return table["workload.service_time"] + beside


def cpu_time(table: Table) -> Column:
    """CPU time of a request, the web server's share with it; NaN where PHP's is not known."""
    return table["workload.cpu_time"] + table["workload.web_server_cpu_time"]
