"""The inputs of a scenario, moved one at a time, and what is recommended for each value: tables of columns."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from capacity.columns import fields, rules_between
from capacity.decision import LIMITS, decide
from capacity.outcome import NEEDED, largest_users, predict
from capacity.policies.verdict import VERDICTS, Edges
from capacity.queueing.search import Rows
from capacity.table import Column, Table, repeat, take
from capacity.what_if_results import Answer

__all__ = ["INPUTS", "answer_at", "answers", "inside", "moved"]

INPUTS: Final = (
    "host.ram",
    "host.reserved",
    "host.cpus",
    "host.cpus_reserved",
    "host.database_connections",
    "host.database_connections_reserved",
    "worker.memory",
    "worker.shared_memory",
    "workload.service_time",
    "workload.cpu_time",
    "workload.database_time",
    "workload.service_scv",
    "workload.users",
    "workload.think_time",
    "workload.arrival_rate",
    "workload.requests_per_click",
    "workload.overhead_time",
    "workload.web_server_cpu_time",
    "objective.response_time",
    "objective.apdex_time",
    "objective.max_utilization",
    "policy.headroom",
)
"""What may be wrong, or chosen otherwise, and what the sizes of a pool depend on."""

_HALVINGS: Final = 50


def moved(row: Table, names: NDArray[np.str_], values: Column) -> dict[str, Column]:
    """Table with a row for each value, of the field beside it; whole numbers where the field holds such."""
    table = repeat(row, values.size)
    for name in np.unique(names):
        rows = np.flatnonzero(names == name)
        table[name][rows] = np.rint(values[rows]) if fields()[name].whole else values[rows]
    return table


def _allowed(row: Table, names: NDArray[np.str_], values: Column) -> NDArray[np.bool_]:
    """Whether each value makes a scenario."""
    table = moved(row, names, values)
    kept = np.ones(values.shape, dtype=bool)
    for name in np.unique(names):
        kept &= fields()[name].allows(table[name])
    with np.errstate(all="ignore"):
        for broken in rules_between(table):
            kept &= ~broken
    return kept


def inside(row: Table, names: NDArray[np.str_], values: Column) -> Column:
    """Values as far from those of the row as given, or as far as they still make a scenario."""
    here = np.array([row[name][0] for name in names])
    good, bad = np.where(_allowed(row, names, values), values, here), values.copy()
    rows: Rows = np.flatnonzero(good != bad)
    for _ in range(_HALVINGS if rows.size else 0):
        middle = (good[rows] + bad[rows]) / 2.0
        kept = _allowed(row, names[rows], middle)
        good[rows], bad[rows] = np.where(kept, middle, good[rows]), np.where(kept, bad[rows], middle)
    return good


@np.errstate(all="ignore")
def answers(table: Table, level: int, edges: Edges, *, users: bool = True) -> dict[str, Column]:
    """What is recommended for each row: ``workers``, ``binding``, ``severity``, ``response_time_p95``, ``users``.

    NaN: no load is given, or no think time; ``users`` are left out where they are not wanted, since they take longest.
    """
    decision = decide(table)
    workers, rate = decision["max_children"], decision["arrival_rate"]
    given = {"workers": workers, "binding": decision["binding"]}
    for name in ("severity", "response_time_p95", "users"):
        given[name] = np.full(workers.shape, np.nan)
    rows = np.flatnonzero(np.isfinite(rate))
    part = take({name: table[name] for name in NEEDED}, rows)
    seen = predict(part, workers[rows], rate[rows], model="open", edges=edges, quantile=users)
    given["severity"][rows] = seen["severity"]
    if users:
        given["response_time_p95"][rows] = seen["response_time_p95"]
        rows = np.flatnonzero(np.isfinite(table["workload.think_time"]))
        part = take({name: table[name] for name in NEEDED}, rows)
        given["users"][rows] = largest_users(part, workers[rows], level=level, model="open", edges=edges)
    return given


def answer_at(columns: dict[str, Column], row: int) -> Answer:
    """One row of answers."""
    at = {name: float(column[row]) for name, column in columns.items()}
    return Answer(
        workers=int(at["workers"]),
        binding=LIMITS[int(at["binding"])],
        users=int(at["users"]) if np.isfinite(at["users"]) else None,
        verdict=None if np.isnan(at["severity"]) else VERDICTS[int(at["severity"])],
        response_time_p95=at["response_time_p95"] if np.isfinite(at["response_time_p95"]) else None,
    )
