"""How many workers the load needs, and how many it should have with headroom."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from capacity.policies import cpu, database
from capacity.pool import MOST_PROCESSES
from capacity.queueing.search import Rows, least_count
from capacity.queueing.shared_pool import Pool, open_pool, response_tail
from capacity.scenario import Scenario
from capacity.table import ROUNDING, Column, Table, take
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


# Beyond so many workers above the load, more of them hardly change the response any more.
_ONE_BY_ONE = 500.0


def rate_of(table: Table, users: Column) -> Column:
    """Requests a second of users that never wait: users requests_per_click / (think time + service time)."""
    click = table["workload.think_time"] + table["workload.service_time"]
    return users * table["workload.requests_per_click"] / click


def expected_rate(table: Table) -> Column:
    """Requests offered a second, as given or by the expected users; NaN where neither is given."""
    by_users = rate_of(table, table["workload.users"])
    return np.where(np.isnan(table["workload.arrival_rate"]), by_users, table["workload.arrival_rate"])


def response_kept(table: Table, pool: Pool) -> NDArray[np.bool_]:
    """Whether solved pools keep the response-time objective; True where none is set."""
    target, percentile = table["objective.response_time"], table["objective.percentile"]
    kept = np.ones(target.shape, dtype=bool)
    rows = np.flatnonzero(np.isfinite(target))
    if rows.size:
        tail = response_tail(target[rows], {name: column[rows] for name, column in pool.items()})
        kept[rows] = np.log(tail) <= np.log1p(-percentile[rows]) + ROUNDING
    return kept


@np.errstate(all="ignore")
def least_workers(table: Table, arrival_rate: Column) -> Column:
    """Least workers that keep the objective at a request rate.

    The objective: workers, cores and database connections busy at most ``max_utilization``, and the response
    time, where one is set, within its quantile. Cores and connections do not depend on the workers: where
    they are too busy no number of workers helps (inf). NaN where the rate is.
    """
    service, cores = table["workload.service_time"], table["host.cpus"]
    busiest = table["objective.max_utilization"] * (1.0 + ROUNDING)
    target, percentile = table["objective.response_time"], table["objective.percentile"]
    work = np.nan_to_num(table["workload.cpu_time"], nan=0.0)
    elsewhere = (arrival_rate * work > busiest * cores) | (database.busy_share(table, arrival_rate) > busiest)
    elsewhere |= -np.log1p(-percentile) * service > target * (1.0 + ROUNDING)  # service alone takes too long
    elsewhere |= arrival_rate * service > MOST_PROCESSES
    most = 2.0 * cpu.limit(table) + 16.0  # beyond twice the knee X(c), and so everything, stays as it is

    def kept(c: Column, rows: Rows) -> NDArray[np.bool_]:
        pool = open_pool(c, cores[rows], work[rows], service[rows], arrival_rate[rows])
        met = (pool["busy"] <= busiest[rows] * c) & (pool["drain"] > 0)
        met[met] &= response_kept(take(table, rows[met]), {name: column[met] for name, column in pool.items()})
        return met

    def meets(c: Column, rows: Rows) -> NDArray[np.bool_]:
        # past the end of what can change, stop the search: whatever is not met there is not met at all
        return kept(np.minimum(c, most[rows]), rows) | (c >= most[rows])

    load = np.where(elsewhere, np.nan, arrival_rate * service)
    # fewer workers than the load would keep busier than allowed cannot do, however they wait
    below = np.maximum(np.ceil(load / busiest) - 1.0, 0.0)
    least = least_count(meets, below, np.ones(load.shape))
    least = np.where(least >= most, np.inf, least)
    # where workers share cores the quantile may fall and rise again, and doubling can step over those that meet
    for row in np.flatnonzero(np.isinf(least) & np.isfinite(below) & np.isfinite(target)):
        counts = np.arange(below[row] + 1.0, min(most[row], below[row] + _ONE_BY_ONE))
        met = kept(counts, np.full(counts.size, row))
        least[row] = counts[np.argmax(met)] if met.any() else np.inf
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
