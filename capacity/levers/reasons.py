"""What levers do, and why some do nothing, in words a system administrator can act on."""

from __future__ import annotations

import math
from typing import Final

from capacity.levers.catalogue import Lever, lever_named
from capacity.results import Verdict
from capacity.table import Table
from capacity.what_if_results import LeverComparison, LeverOutcome, LimitedBy

__all__ = ["needed_meaning", "reason_of", "summary_of"]

_LIMITS: Final[dict[LimitedBy, str]] = {
    "memory": "memory, which has no room for more workers",
    "cpu": "the cores, which more workers would only share",
    "database": "the database connections",
    "process_max": "process.max",
    "objective": "the objective, which more users would miss",
}
_SHORT: Final[dict[LimitedBy, str]] = {
    "memory": "memory",
    "cpu": "the cores",
    "database": "the database connections",
    "process_max": "process.max",
    "objective": "the objective",
}
_SOONER: Final = "users who are answered sooner click sooner"
_MEASURE: Final = {
    "workload.cpu_time": "measure cpu_time: mean of %C times %d in FPM's access log",
    "workload.database_time": "measure database_time: time in queries a request, from the application's profiler",
}


def needed_meaning(lever: Lever, row: Table, effect: float) -> str:
    """An effect in words, where there is one."""
    return "" if math.isnan(effect) else lever.shown(row, effect)


def reason_of(
    lever: Lever | None, outcome: LeverOutcome, before: LeverOutcome | None, target: int, goal: Verdict
) -> str:
    """What one outcome amounts to, beside the pool without the lever."""
    limit = f"{_SHORT[outcome.limited_by]} ({_workers(outcome.most_workers)})"
    if outcome.users is None:
        return "enough: more users than can be counted"
    if lever is not None and before is not None:
        gained = outcome.users - (outcome.users if before.users is None else before.users)
        if outcome.at_best:
            best = f"perhaps: {goal} or better to {outcome.users} users at best"
            if not outcome.reached:
                best = f"not enough even at best: {goal} or better to {outcome.users} of {target} users"
            field = str(lever.needs).partition(".")[2]
            return f"{best}; {field} is not known, and so not {lever.needed_for}; {_MEASURE[str(lever.needs)]}"
        if gained < 0:
            why = "each host has only its part of the connections" if lever.name == "more_hosts" else _SOONER
            return f"gets less far, to {outcome.users} users: what limits is {limit}; {why}"
        if gained == 0:
            moves = "" if lever.name == "more_workers" else f", and this only moves {lever.relieves}"
            return f"does nothing: what limits is {limit}{moves}"
    if outcome.reached:
        return f"enough: {goal} or better to {outcome.users} users; then what limits is {limit}"
    return f"not enough: {goal} or better to {outcome.users} of {target} users; then what limits is {limit}"


def summary_of(result: LeverComparison) -> tuple[str, ...]:
    """The answer: whether the target is reached, by what, how much of each, and what would not help."""
    target, goal, resized = f"{result.users} users", result.goal, result.resized
    lines = []
    if result.today is not None:
        state = f"is enough for {target}" if result.today.reached else f"is {goal} or better to {_users(result.today)}"
        lines.append(f"the pool of today, {_workers(result.today.workers)}, {state}")
        if result.today.workers > resized.most_workers:
            lines.append(f"but it has more than the {_workers(resized.most_workers)} that the limits allow")
    if resized.reached:
        lines.append(
            f"the recommended pool, {_workers(resized.workers)}, is enough for {target}: nothing else is needed"
        )
        return tuple(lines)
    lines.append(
        f"the recommended pool, {_workers(resized.workers)}, is {goal} or better to {_users(resized)}, not {target}: "
        f"what limits is {_LIMITS[resized.limited_by]}"
    )
    lines += [
        f"alone it would take {_plain(outcome)}: {need.meaning}"
        for outcome in result.levers
        if not outcome.at_best and outcome.levers != ("more_workers",)
        for need in outcome.needed
        if need.verdict == goal and need.effect is not None
    ]
    if not result.sets:
        lines.append("no three levers together, each as far as it is pulled here, are enough")
    elif len(result.sets[0].levers) > 1:
        best, others = result.sets[0], len(result.sets) - 1
        more = f"; {others} other sets of {len(best.levers)} would, too" if others else ""
        lines.append(f"together would do {_plain(best)} ({'; '.join(best.changes)}){more}")
    useless = [_plain(outcome) for outcome in result.levers if not outcome.at_best and (outcome.gained or 0) <= 0]
    if useless:
        lines.append(f"no help: {', '.join(useless)}")
    fields = sorted({_missing(outcome) for outcome in result.levers if outcome.at_best})
    if fields:
        unsure = ", ".join(_plain(outcome) for outcome in result.levers if outcome.at_best)
        lines.append(f"not to be told without {' and '.join(fields)}: {unsure}")
    return tuple(lines)


def _missing(outcome: LeverOutcome) -> str:
    return str(lever_named(outcome.levers[0], "").needs).partition(".")[2]


def _plain(outcome: LeverOutcome) -> str:
    return " + ".join(name.replace("_", " ") for name in outcome.levers)


def _users(outcome: LeverOutcome) -> str:
    return "any number of users" if outcome.users is None else f"{outcome.users} users"


def _workers(count: int) -> str:
    return f"{count} worker{'' if count == 1 else 's'}"
