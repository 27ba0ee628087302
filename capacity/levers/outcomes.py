"""What effects of levers do, over columns: every combination is recommended anew, and all of them are one table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from capacity.decision import CEILINGS, decide
from capacity.levers.catalogue import LEVERS, Lever
from capacity.outcome import NEEDED, judge, largest_users, predict, solve, users_in_bands
from capacity.policies import database, demand, objective
from capacity.policies.verdict import Edges
from capacity.queueing.search import Rows, least_count
from capacity.table import Column, Table, cores_left, cpu_time, repeat, take

__all__ = ["LIMITED_BY", "effects_of", "evaluate", "least_effects", "most_users", "reaches"]

LIMITED_BY: Final = (*CEILINGS, "objective")


def effects_of(sets: Sequence[Sequence[int]], effects: Column) -> NDArray[np.float64]:
    """Matrix with a row a set of levers: the given effect of each, the one that changes nothing elsewhere."""
    matrix = np.tile([lever.none for lever in LEVERS], (len(sets), 1))
    for row, chosen in enumerate(sets):
        matrix[row, list(chosen)] = effects[list(chosen)]
    return matrix


def changed(row: Table, matrix: NDArray[np.float64], users: float) -> dict[str, Column]:
    """Table with a row for each row of effects, of a one-row table, at a number of users."""
    table = repeat(row, matrix.shape[0])
    table["workload.users"] = np.full(matrix.shape[0], users)
    table["workload.arrival_rate"] = np.full(matrix.shape[0], np.nan)
    for place, lever in enumerate(LEVERS):
        if (matrix[:, place] != lever.none).any():
            table = lever.applied(table, matrix[:, place])
    return table


def _kept(table: Table, workers: Column, level: NDArray[np.intp], edges: Edges) -> NDArray[np.bool_]:
    """Whether the users of each row get a verdict of at most ``level``, and the objective where one is set."""
    rate = demand.rate_of(table, table["workload.users"])
    judged = judge(table, workers, solve(table, workers, rate, "open"), edges)
    kept: NDArray[np.bool_] = (judged["severity"] <= level) & (judged["objective_met"] != 0)
    return kept


@np.errstate(all="ignore")
def _enough(
    table: Table, cap: Column, recommended: Column, level: NDArray[np.intp], edges: Edges
) -> tuple[Column, NDArray[np.bool_]]:
    """Workers for the target: the recommended ones, or the fewest more that reach it; and whether they do."""
    reached = _kept(table, recommended, level, edges)
    workers = recommended.copy()
    rows = np.flatnonzero(~reached & (recommended < cap))
    rows = rows[_kept(take(table, rows), cap[rows], level[rows], edges)] if rows.size else rows
    if rows.size:
        part = take(table, rows)

        def meets(c: Column, these: Rows) -> NDArray[np.bool_]:
            full = c >= cap[rows][these]
            return full | _kept(take(part, these), np.minimum(c, cap[rows][these]), level[rows][these], edges)

        workers[rows] = np.minimum(least_count(meets, recommended[rows], np.ones(rows.size)), cap[rows])
        reached[rows] = True
    return workers, reached


def reaches(table: Table, level: NDArray[np.intp], edges: Edges) -> tuple[NDArray[np.bool_], Column, Column]:
    """Whether each row's users get a verdict of at most ``level``; workers for that, and the most that fit."""
    decision = decide(table)
    cap = decision["cap"]
    workers, reached = _enough(table, np.maximum(cap, 1.0), decision["max_children"], level, edges)
    return reached & (cap >= 1), workers, cap


def most_users(table: Table, workers: Column, level: int, edges: Edges) -> Column:
    """Most users with a verdict of at most ``level`` who also get the objective, where one is set; inf: countless."""
    # level 1 of edges that put the wanted one there: of "watch" itself a missed objective would be a part
    busy, slow = edges.utilization[level], edges.slowdown[level]
    strict = Edges((busy / 2.0, busy, 2.0 * busy), (slow / 2.0, slow, 2.0 * slow))
    return largest_users(table, workers, level=1, model="open", edges=strict)


@np.errstate(all="ignore")
def _limited_by(table: Table, users: Column, level: int, edges: Edges) -> Column:
    """Index into ``LIMITED_BY``: what one user more would break.

    Cores and connections first, since no number of workers makes up for them; then whatever sets the workers; the
    objective only where users within every edge of the verdict miss it.
    """
    more = np.minimum(users + 1.0, 2.0**52)
    rate, busiest = demand.rate_of(table, more), edges.utilization[level]
    ceilings = np.stack([policy.limit(table) for policy in CEILINGS.values()])
    limit = np.argmin(ceilings, axis=0)
    workers = np.maximum(np.min(ceilings, axis=0), 1.0)
    free = objective.without({**table, "workload.users": more}, np.ones(more.shape, dtype=bool))
    within = _kept(free, workers, np.full(more.shape, level), edges)
    limit = np.where(within, LIMITED_BY.index("objective"), limit)
    limit = np.where(database.busy_share(table, rate) > busiest, LIMITED_BY.index("database"), limit)
    return np.where(rate * cpu_time(table) / cores_left(table) > busiest, LIMITED_BY.index("cpu"), limit)


@np.errstate(all="ignore")
def evaluate(
    row: Table, matrix: NDArray[np.float64], users: int, level: int, edges: Edges, today: float | None = None
) -> dict[str, Column]:
    """What each row of effects does: a column a quantity, ``bands`` with a row a verdict.

    With ``today`` the pool has that many workers and is not recommended anew.
    """
    table = changed(row, matrix, float(users))
    levels = np.full(matrix.shape[0], level)
    if today is None:
        reached, workers, cap = reaches(table, levels, edges)
    else:
        workers = cap = np.full(matrix.shape[0], today)
        table["policy.process_max"] = cap
        reached = _kept(table, workers, levels, edges)
    part = {name: table[name] for name in NEEDED}
    predicted = predict(part, workers, demand.rate_of(table, table["workload.users"]), model="open", edges=edges)
    fits, most_workers = cap >= 1, np.maximum(cap, 1.0)
    most = np.where(fits, most_users(table, most_workers, level, edges), 0.0)
    bands = users_in_bands(part, most_workers, model="open", edges=edges)
    return {
        "workers": workers,
        "reached": reached.astype(np.float64),
        "users": most,
        "limited_by": _limited_by(table, most, level, edges).astype(np.float64),
        **{name: predicted[name] for name in ("severity", "utilization", "response_time_p95")},
        "cap": cap,
        "bands": np.where(fits, bands, np.nan),
    }


def least_effects(
    row: Table, levers: Sequence[Lever], users: int, edges: Edges, levels: int = 3
) -> NDArray[np.float64]:
    """Least effect of each lever alone that gets the users each of the first verdicts; a row a lever, NaN: none."""
    places = np.repeat([LEVERS.index(lever) for lever in levers], levels)
    level = np.tile(np.arange(levels), len(levers))
    end = np.array([np.floor((LEVERS[place].most - LEVERS[place].least) / LEVERS[place].step) for place in places])

    def meets(step: Column, rows: Rows) -> NDArray[np.bool_]:
        met = step > end[rows]  # which ends the search
        asked = np.flatnonzero(~met)
        if asked.size:
            matrix = effects_of([()] * asked.size, np.zeros(0))
            for i, number in enumerate(asked):
                place = places[rows[number]]
                matrix[i, place] = LEVERS[place].effect_at(step[number : number + 1])[0]
            met[asked] = reaches(changed(row, matrix, float(users)), level[rows[asked]], edges)[0]
        return met

    # the strongest effect first: where that does not do, none does
    step = least_count(meets, np.full(places.size, -1.0), end + 1.0)
    effects = [
        float(LEVERS[place].effect_at(np.array([at]))[0]) if at <= most else np.nan
        for place, at, most in zip(places, step, end, strict=True)
    ]
    return np.array(effects).reshape(len(levers), levels)
