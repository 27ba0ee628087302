"""How many workers the load needs, and how many it should have with headroom."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from capacity.policies import cpu, database, objective
from capacity.pool import MOST_PROCESSES
from capacity.queueing._evaluate import of_like_size
from capacity.queueing.inner_network import Network
from capacity.queueing.search import Rows, least_count
from capacity.queueing.shared_pool import Pool, network_of, open_pool
from capacity.queueing.spread import spread_out
from capacity.scenario import Scenario
from capacity.table import ROUNDING, Column, Table, cores_left, cpu_time, service_time
from capacity.units import format_rate

FORMULA = "least workers that meet the objective at headroom times the expected load"
INPUTS = (
    "workload.users",
    "workload.arrival_rate",
    "workload.think_time",
    "workload.service_time",
    "workload.service_scv",
    "workload.requests_per_click",
    "policy.headroom",
    "objective.max_utilization",
    "objective.response_time",
    "objective.apdex",
    "objective.apdex_time",
)


# Beyond so many workers above the load, more of them hardly change the response any more.
ONE_BY_ONE = 500.0
# Pools to solve at once when counts are tried one by one.
_AT_A_TIME = 500
# Cells of the X(n) tables that are worked on at once: they and a dozen temporaries stay in a core's cache.
_CELLS = 2**15


def rate_of(table: Table, users: Column) -> Column:
    """Requests a second of users that never wait: users requests_per_click / (think time + service time)."""
    click = table["workload.think_time"] + service_time(table)
    return users * table["workload.requests_per_click"] / click


def expected_rate(table: Table) -> Column:
    """Requests offered a second, as given or by the expected users; NaN where neither is given."""
    by_users = rate_of(table, table["workload.users"])
    return np.where(np.isnan(table["workload.arrival_rate"]), by_users, table["workload.arrival_rate"])


def known_work(table: Table) -> Column:
    """CPU time of a request, 0 where it is not known."""
    work = cpu_time(table)
    return np.where(np.isnan(work), 0.0, work)


def inner_network(table: Table, workers: Column) -> Network:
    """Cores and connections that so many busy workers share, and what a request needs of them."""
    times = (cores_left(table), known_work(table), service_time(table))
    return network_of(workers, *times, *database.connections(table))


def open_pools(
    workers: Column,
    cores: Column,
    work: Column,
    service: Column,
    rate: Column,
    connections: Column | None = None,
    held: Column | None = None,
) -> Pool:
    """Solve ``open_pool`` for any number of rows in bounded memory.

    Workers that share cores or connections take a table of X(0..workers) a row: such rows are taken a few at a time,
    those of like size together, since the largest decides how long the tables of all are.
    """
    slower = (work > 0) & (workers > cores)
    columns = [workers, cores, work, service, rate]
    if connections is not None and held is not None:
        slower |= (held > 0) & (workers > connections)
        columns += [connections, held]
    shared = np.flatnonzero(slower)
    if shared.size * np.max(workers[shared], initial=0.0) <= _CELLS:
        return open_pool(*columns)
    alone = work.copy()
    alone[shared] = 0.0
    pool = open_pool(workers, cores, alone, service, rate)
    for piece in of_like_size(workers[shared], _CELLS):
        rows = shared[piece]
        part = open_pool(*(column[rows] for column in columns))
        for name, column in part.items():
            pool[name][rows] = column
    return pool


@np.errstate(all="ignore")
def least_workers(table: Table, arrival_rate: Column, knee: Column | None = None) -> Column:
    """Least workers that keep the objective at a request rate.

    The objective: workers, cores and database connections busy at most ``max_utilization``, and the response times as
    ``policies.objective`` wants them. Cores and connections do not depend on the workers: where they are too busy no
    number of workers helps (inf). NaN where the rate is. ``knee`` is the limit of the cores, where it has been computed
    already. More workers than there are connections are computed as with a connection for each: how many would be
    needed, if the database allowed them.
    """
    service, cores, work = service_time(table), cores_left(table), known_work(table)
    scv = table["workload.service_scv"]
    busiest = table["objective.max_utilization"] * (1.0 + ROUNDING)
    load = arrival_rate * service
    elsewhere = (arrival_rate * work > busiest * cores) | (database.busy_share(table, arrival_rate) > busiest)
    elsewhere |= objective.excess_alone(table) > 0  # service alone takes too long
    elsewhere |= load > MOST_PROCESSES
    # beyond twice the knee X(c), and so everything, stays as it is
    most = 2.0 * (cpu.limit(table) if knee is None else knee) + 16.0
    timed = objective.is_set(table)

    def kept(c: Column, rows: Rows) -> NDArray[np.bool_]:
        # without contention the workers are as busy as the load says, with it busier
        met = (load[rows] <= busiest[rows] * c) & (load[rows] < c)
        unsure = np.flatnonzero(met & (timed[rows] | ((work[rows] > 0) & (c > cores[rows]))))
        if unsure.size:
            c, rows = c[unsure], rows[unsure]
            pool = open_pools(c, cores[rows], work[rows], service[rows], arrival_rate[rows])
            pool = spread_out(pool, c, service[rows], scv[rows])
            sure = (pool["busy"] <= busiest[rows] * c) & (pool["drain"] > 0)
            goal = {name: table[name][rows] for name in objective.NEEDED}
            met[unsure] = sure & objective.is_kept(objective.excess(goal, pool))
        return met

    def meets(c: Column, rows: Rows) -> NDArray[np.bool_]:
        # past the end of what can change, stop the search: whatever is not met there is not met at all
        return kept(np.minimum(c, most[rows]), rows) | (c >= most[rows])

    # fewer workers than the load would keep busier than allowed cannot do, however they wait; the slack is for the
    # rounding of this division
    below = np.maximum(np.ceil(np.where(elsewhere, np.nan, load) / (busiest * (1.0 + ROUNDING))) - 1.0, 0.0)
    least = least_count(meets, below, np.ones(load.shape))
    least = np.where(least >= most, np.inf, least)
    # where workers share cores the quantile may fall and rise again, and doubling can step over those that meet
    missed = np.flatnonzero(np.isinf(least) & np.isfinite(below) & timed)
    if missed.size:
        least[missed] = one_by_one(kept, below[missed], np.minimum(most[missed], below[missed] + ONE_BY_ONE), missed)
    return np.where(np.isnan(arrival_rate), np.nan, np.where(elsewhere, np.inf, least))


def one_by_one(kept: Callable[[Column, Rows], NDArray[np.bool_]], below: Column, end: Column, rows: Rows) -> Column:
    """Least count above ``below`` and under ``end`` that is kept, some counts at a time; inf where none is."""
    least = np.full(rows.size, np.inf)
    left, offset = np.flatnonzero(below + 1.0 < end), 1
    while left.size:
        wide = max(1, _AT_A_TIME // left.size)
        counts = below[left, None] + np.arange(offset, offset + wide)
        tried = counts < end[left, None]
        met = np.zeros(counts.shape, dtype=bool)
        met[tried] = kept(counts[tried], np.broadcast_to(rows[left, None], counts.shape)[tried])
        first = np.where(met.any(axis=1), counts[np.arange(left.size), np.argmax(met, axis=1)], np.inf)
        least[left] = first
        offset += wide
        left = left[np.isinf(first) & (below[left] + offset < end[left])]
    return least


def explain(scenario: Scenario, rate: float, needed: float, wanted: float) -> str:
    """Reason of the demand in words."""
    if np.isnan(rate):
        return "no users and no arrival rate are given, so the load asks for nothing: sized to the ceilings"
    workload = scenario.workload
    who = f"{workload.users} users send {format_rate(rate)}" if workload.users else f"{format_rate(rate)} arrive"
    busy, goal = rate * workload.hold_time, objective.explain(scenario.objective)
    text = f"{who} and keep {busy:.3g} workers busy; "
    if np.isinf(needed):
        return text + f"no number of workers meets the objective ({goal})"
    text += f"{needed:.0f} meet the objective ({goal})"
    if np.isinf(wanted):
        return text + f", and no number does at {scenario.headroom:g} times that load"
    return text + f", {wanted:.0f} at {scenario.headroom:g} times that load"
