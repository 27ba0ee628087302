"""Ceiling: the knee, beyond which more workers complete practically nothing more."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from capacity.queueing.core_sharing import inner_throughput
from capacity.queueing.search import Rows, least_count
from capacity.scenario import Scenario
from capacity.table import ROUNDING, Column, Table, cores_left, cpu_time, service_time
from capacity.units import format_rate, format_seconds

FORMULA = "least workers whose throughput X(c) reaches 99 % of cores / cpu_time"
INPUTS = (
    "host.cpus",
    "host.cpus_reserved",
    "workload.cpu_time",
    "workload.service_time",
    "workload.overhead_time",
    "workload.web_server_cpu_time",
)

# The curve only approaches its limit. Another 0.99 % would take 14 to 38 % more workers (13 to 18, 61 to 74, 175 to
# 199), which move waiting from the accept queue into the script, where it holds memory and a connection.
KNEE = 0.99


@np.errstate(all="ignore")
def limit(table: Table) -> Column:
    """Least c with X(c) >= 0.99 cores / cpu_time; inf where cpu_time is unknown or 0."""
    cores, cpu, service = cores_left(table), cpu_time(table), service_time(table)
    if not (cpu > 0).any():
        return np.full(cpu.shape, np.inf)
    target = KNEE * cores / cpu * (1.0 - ROUNDING)

    def meets(c: Column, rows: Rows) -> NDArray[np.bool_]:
        return inner_throughput(c, cores[rows], cpu[rows], service[rows]) >= target[rows]

    # X(c) <= c/S, so fewer than target S workers cannot reach it
    floor = np.where(cpu > 0, np.ceil(target * service) - 1.0, np.nan)
    knee = least_count(meets, np.maximum(floor - 1.0, 0.0), np.sqrt(np.where(cpu > 0, floor, 0.0)) + 1.0)
    return np.where(cpu > 0, knee, np.inf)


@np.errstate(all="ignore")
def full_rate(table: Table, workers: Column) -> Column:
    """Completions a second while every worker is busy."""
    cores, cpu, service = cores_left(table), cpu_time(table), service_time(table)
    rate = workers / service
    rows = np.flatnonzero((cpu > 0) & (workers > cores))
    if rows.size:
        rate[rows] = inner_throughput(workers[rows], cores[rows], cpu[rows], service[rows])
    return rate


def explain(scenario: Scenario, workers: float) -> str:
    """Reason of the limit in words."""
    cpu, cores = scenario.workload.cpu_demand, scenario.host.cores_left
    if cpu is None:
        return "no CPU limit can be computed: the CPU time of a request (cpu_time) is not known"
    if cpu == 0:
        return "requests that use no CPU time are not limited by the cores"
    return (
        f"{cores:g} cores and {format_seconds(cpu)} of CPU a request give at most {format_rate(cores / cpu)}; "
        f"{workers:.0f} workers reach 99 % of that, and more only move the waiting into the script"
    )
