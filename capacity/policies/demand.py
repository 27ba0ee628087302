"""How many workers the load needs, and how many it should have with headroom."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from capacity.policies import cpu, database
from capacity.pool import MOST_PROCESSES
from capacity.queueing.search import Rows, least_count
from capacity.queueing.shared_pool import open_pool, response_tail
from capacity.scenario import Scenario
from capacity.table import Column, Table
from capacity.units import format_fraction, format_rate, format_seconds

FORMULA = "least workers that meet the objective at headroom times the expected load"
INPUTS = (
    "workload.users",
    "workload.arrival_rate",
    "workload.think_time",
    "workload.service_time",
    "workload.requests_per_click",
    "policy.headroom",
    "objective.max_utilization",
    "objective.response_time",
)

# A utilization computed as exactly the objective must meet it: slack for rounding, far below any meaning.
_ROUNDING = 1e-12


def expected_rate(table: Table) -> Column:
    """Requests offered a second: given, or users requests_per_click / (think time + service time); else NaN."""
    click = table["workload.think_time"] + table["workload.service_time"]
    by_users = table["workload.users"] * table["workload.requests_per_click"] / click
    return np.where(np.isnan(table["workload.arrival_rate"]), by_users, table["workload.arrival_rate"])


def least_workers(table: Table, arrival_rate: Column) -> Column:
    """Least workers that keep the objective at a request rate.

    The objective: workers, cores and database connections busy at most ``max_utilization``, and the response
    time, where one is set, within its quantile. Cores and connections do not depend on the workers: where
    they are too busy no number of workers helps (inf). NaN where the rate is.
    """
    c_load = {name: table[f"workload.{name}"] for name in ("service_time", "cpu_time", "database_time")}
    cores, busiest = table["host.cpus"], table["objective.max_utilization"] * (1.0 + _ROUNDING)
    target, percentile = table["objective.response_time"], table["objective.percentile"]
    work = np.nan_to_num(c_load["cpu_time"], nan=0.0)
    connected = arrival_rate * c_load["database_time"] * table["worker.database_connections"]
    elsewhere = (arrival_rate * work > busiest * cores) | (connected > busiest * database.available(table))
    elsewhere |= np.log1p(-percentile) * c_load["service_time"] < -target * (1.0 + _ROUNDING)
    elsewhere |= arrival_rate * c_load["service_time"] > MOST_PROCESSES
    hopeless = elsewhere | np.isnan(arrival_rate)
    most = 2.0 * cpu.limit(table) + 16.0  # beyond twice the knee X(c), and so everything, stays as it is

    def meets(c: Column, rows: Rows) -> NDArray[np.bool_]:
        c = np.minimum(c, most[rows])
        pool = open_pool(c, cores[rows], work[rows], c_load["service_time"][rows], arrival_rate[rows])
        met = (pool["busy"] <= busiest[rows] * c) & (pool["drain"] > 0)
        timed = np.flatnonzero(met & np.isfinite(target[rows]))
        if timed.size:
            part = {name: column[timed] for name, column in pool.items()}
            tail = response_tail(target[rows][timed], part)
            met[timed] = np.log(tail) <= np.log1p(-percentile[rows][timed]) + _ROUNDING
        # past the end of what can change, stop the search: whatever is not met there is not met at all
        return met | (c >= most[rows])

    load = np.where(hopeless, np.nan, arrival_rate * c_load["service_time"])
    below = np.maximum(np.floor(load) - 1.0, 0.0)
    with np.errstate(all="ignore"):
        least = least_count(meets, below, np.sqrt(np.nan_to_num(load, nan=0.0)) + 2.0)
    least = np.where(least >= most, np.inf, least)
    return np.where(np.isnan(arrival_rate), np.nan, np.where(elsewhere, np.inf, least))


def explain(scenario: Scenario, rate: float, needed: float, wanted: float) -> str:
    """Reason of the demand in words."""
    if np.isnan(rate):
        return "no users and no arrival rate are given, so the load asks for nothing: sized to the ceilings"
    workload, objective = scenario.workload, scenario.objective
    who = f"{workload.users} users send {format_rate(rate)}" if workload.users else f"{format_rate(rate)} arrive"
    busy = rate * workload.service_time
    goal = f"at most {format_fraction(objective.max_utilization)} busy"
    if objective.response_time is not None:
        share = format_fraction(objective.percentile)
        goal += f" and {share} of the requests within {format_seconds(objective.response_time)}"
    text = f"{who} and keep {busy:.3g} workers busy; "
    if np.isinf(needed):
        return text + f"no number of workers meets the objective ({goal})"
    text += f"{needed:.0f} meet the objective ({goal})"
    if np.isinf(wanted):
        return text + f", and no number does at {scenario.headroom:g} times that load"
    return text + f", {wanted:.0f} at {scenario.headroom:g} times that load"
