"""Advice in words: whether more workers would help, what more users would take, what to keep in mind."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from capacity.outcome import NEEDED, judge, solve
from capacity.policies import cpu, demand, process_manager
from capacity.policies.verdict import VERDICTS, Edges
from capacity.queueing.spread import log_service_tail
from capacity.results import Prediction
from capacity.scenario import Scenario
from capacity.table import Table, repeat
from capacity.units import format_bytes, format_fraction, format_rate, format_seconds

__all__ = ["cautions", "more_workers", "next_steps"]

_SMALL_POOL = 8  # from so many workers above the objective on, slowdown no longer exceeds what utilization shows


def more_workers(scenario: Scenario, row: Mapping[str, float], binding: str) -> str:
    """Why more workers would serve more users, or would not, or why that cannot be known."""
    workers, rate, full_rate = row["max_children"], row["arrival_rate"], row["full_rate"]
    cpu_time, cores = scenario.workload.cpu_demand, scenario.host.cores_left
    goal = scenario.objective.max_utilization
    if cpu_time:
        most = cores / cpu_time
        core_load = rate / most
        if core_load > goal:
            return (
                f"no: the expected {format_rate(rate)} keep the {cores:g} cores {format_fraction(core_load)} busy "
                f"(at most {format_fraction(goal)} is the objective), whatever the number of workers; it takes less "
                "CPU time a request, fewer requests, or more cores"
            )
        if binding == "cpu" or full_rate >= cpu.KNEE * most:
            return (
                f"no: {workers:.0f} workers already complete {format_rate(full_rate)} of the {format_rate(most)} that "
                f"{cores:g} cores give at {format_seconds(cpu_time)} of CPU a request; more workers only move the "
                "waiting from the accept queue into the script"
            )
    if math.isinf(row["needed"]):
        return (
            "no: at the expected load no number of workers meets the objective, since what takes too long is the "
            "service itself or the database"
        )
    if binding == "demand":
        return f"not needed: {workers:.0f} workers carry the expected load with headroom; more would stand idle"
    if cpu_time is None:
        return (
            f"only while nothing but workers binds, and cpu_time is not known: if a request needs more than "
            f"{format_seconds(cores / full_rate)} of CPU, the {cores:g} cores are full before {workers:.0f} workers are"
        )
    room = f" ({format_rate(cores / cpu_time)} at most)" if cpu_time else ""
    limit = {"memory": "memory", "database": "database connections", "process_max": "process.max"}[binding]
    return f"yes, if {limit} allowed them: the cores still have room{room}"


def next_steps(
    scenario: Scenario, table: Table, row: Mapping[str, float], predictions: Sequence[Prediction]
) -> tuple[str, ...]:
    """What the first overloaded number of users would take, or the expected one where it is infeasible."""
    workload, goal = scenario.workload, scenario.objective.max_utilization
    crowd = next((p.users for p in predictions if p.verdict == "overloaded" and p.users is not None), None)
    if not row["feasible"] and workload.users is not None:
        crowd = workload.users
    if crowd is None or workload.think_time is None:
        return ()
    workers = row["max_children"]
    rate = demand.rate_of(table, np.array([float(crowd)]))
    needed = _enough(table, crowd, float(demand.least_workers(table, rate)[0]), workers)
    carried = goal * workers
    steps = []
    if math.isinf(needed):
        steps.append(f"{crowd} users cannot be served by more workers alone")
    else:
        memory = scenario.worker.shared_memory + needed * scenario.worker.memory
        steps.append(f"{crowd} users need {needed:.0f} workers, which take {format_bytes(memory)} at their peak")
    left = scenario.host.cores_left
    core_load = float(rate[0]) * (workload.cpu_demand or 0.0) / left
    beside, load = workload.hold_time - workload.service_time, float(rate[0]) * workload.hold_time
    crowded = load / carried
    if core_load > goal:
        cores = math.ceil(core_load * left / goal + scenario.host.cpus_reserved)
        cheaper = goal * left / float(rate[0]) - workload.web_server_cpu_time
        less = f"at most {format_seconds(cheaper)} of CPU a request" if cheaper > 0 else "fewer requests"
        steps.append(f"or {cores} cores, or {less} (OPcache, less computing in PHP, a page cache or CDN in front)")
        crowded = max(crowded, core_load / goal)
    elif crowded > 1 and workload.think_time > 0:
        # users requests S / (Z + S) = goal c, solved for S
        faster = carried * workload.think_time / (crowd * workload.requests_per_click - carried) - beside
        if faster > 0 and format_seconds(faster) != format_seconds(workload.service_time):
            steps.append(
                f"or with {workers:.0f} workers a service time of at most {format_seconds(faster)} instead of "
                f"{format_seconds(workload.service_time)} (OPcache, database indexes, fewer queries, Redis sessions)"
            )
    if crowded > 1:
        steps.append(f"or {math.ceil(crowded)} such hosts behind a load balancer, with sessions in a shared store")
    return tuple(steps)


def _enough(table: Table, users: int, needed: float, workers: float) -> float:
    """Workers that meet the objective and are not overloaded: a few workers may be slow long before they are busy."""
    needed = max(needed, workers + 1.0)
    if not math.isfinite(needed):
        return needed
    counts = np.arange(needed, needed + _SMALL_POOL)
    rows = repeat({name: table[name] for name in NEEDED}, counts.size)
    load = demand.rate_of(rows, np.full(counts.size, float(users)))
    judged = judge(rows, counts, solve(rows, counts, load, "open"), Edges())
    calm = np.flatnonzero(judged["severity"] < VERDICTS.index("overloaded"))
    return float(counts[calm[0]]) if calm.size else needed


@np.errstate(all="ignore")
def _longer_than(services: float, service_scv: float) -> float:
    """Share of requests that hold a worker for so many mean service times."""
    return float(np.exp(log_service_tail(np.array([services]), np.array([service_scv]))[0]))


def cautions(scenario: Scenario, row: Mapping[str, float], binding: str) -> tuple[str, ...]:
    """What the decision leaves open, in words."""
    notes = []
    if not row["feasible"]:
        needed = 1.0 if math.isnan(row["needed"]) else row["needed"]
        notes.append(
            "infeasible: no number of workers meets the objective at the expected load"
            if math.isinf(needed)
            else f"infeasible: the objective needs {needed:.0f} workers, {binding} allows {row['cap']:.0f}; the "
            "recommended settings are the most the host can carry"
        )
    if row["cap"] < 1:
        notes.append("not even one worker fits; max_children is 1 because FPM accepts nothing less")
    if math.isnan(row["arrival_rate"]):
        notes.append("no users and no arrival rate are given: the pool is as large as its ceilings allow")
    elif scenario.workload.think_time is None:
        notes.append("no think_time is given, so users cannot be predicted, only the given request rate")
    if scenario.pools_on_host > 1:
        notes.append(
            f"{scenario.pools_on_host} pools share this host: the memory, cores and connections given here must be "
            "this pool's share"
        )
    patience, service = scenario.web_server_timeout, scenario.workload.hold_time
    late = _longer_than(patience / service, scenario.workload.service_scv)
    if late > 1e-3:
        notes.append(
            f"the web server gives up after {format_seconds(patience)}, and {format_fraction(late)} of requests take "
            f"longer than that by themselves (mean {format_seconds(service)}): raise its timeout or use a job queue"
        )
    budget = scenario.host.ram - scenario.host.reserved
    if row["worst_case_memory"] > budget:
        notes.append(f"{format_bytes(row['worst_case_memory'])} at the peak do not fit into {format_bytes(budget)}")
    if (
        scenario.pool
        and scenario.pool.pm == "static"
        and row["worst_case_memory"] > process_manager.STATIC_SHARE * budget
    ):
        notes.append("static keeps every worker for good, and at the peak little memory is left for anything else")
    return tuple(notes)
