"""What would get a pool to N users: every lever alone, the fewest together, the cheapest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from capacity.cautions import workload_cautions
from capacity.columns import row_of
from capacity.errors import InvalidInput, Problem
from capacity.levers.catalogue import LEVERS, Lever, lever_named
from capacity.levers.outcomes import LIMITED_BY, effects_of, evaluate, least_effects
from capacity.levers.reasons import needed_meaning, reason_of, summary_of
from capacity.policies.verdict import VERDICTS, Edges
from capacity.prediction import bands_of, require, stated_assumptions, user_count
from capacity.scenario import Scenario
from capacity.table import Column, Table
from capacity.units import shown
from capacity.what_if_results import Goal, LeverComparison, LeverOutcome, NeededEffect

__all__ = ["compare_levers"]

_MOST_TOGETHER: Final = 3
_HOSTS: Final = [lever.name for lever in LEVERS].index("more_hosts")
_GOALS: Final = VERDICTS[:-1]


def compare_levers(
    scenario: Scenario,
    *,
    users: int = 200,
    verdict: Goal = "watch",
    effects: Mapping[str, float] | None = None,
    costs: Mapping[str, float] | None = None,
    edges: Edges | None = None,
) -> LeverComparison:
    """Compare what can be done to get a pool to a number of users.

    Each lever changes the scenario, for which a pool is then recommended anew: workers follow from memory, cores and
    database connections as they are after it.

    Parameters
    ----------
    scenario : Scenario
        Its own users do not matter here; a think time does, since it turns users into requests.
    users : int
        The target [-], at least 1.
    verdict : {'comfortable', 'manageable', 'watch'}
        What the target must get, or better; where the scenario has a response-time objective, that must be kept too.
    effects : mapping of str to float, optional
        How far levers are pulled [-]: a factor (``more_memory``: 2 is twice the RAM), a share that is saved
        (``redis_sessions``: 0.2) or a count (``more_hosts``: 2). Each lever has a default with its source.
    costs : mapping of str to float, optional
        What each lever costs [-], in any money: ``more_hosts`` for each host beside the first, memory and cores for
        each host, the others once.
    edges : Edges, optional
        The edges between verdicts.

    Returns
    -------
    LeverComparison
        ``levers``: each alone, how far it gets and how far it had to be pulled; ``sets``: the fewest, up to three, that
        together reach the target; ``front``: with costs, the sets than which none is cheaper and gets as far. A lever
        whose effect depends on an input that is not known is shown at its best (``at_best``) and is part of no set.

    Raises
    ------
    InvalidInput
        The scenario has no think time, the target is no whole number, a lever has no such name, or its effect or its
        costs are out of range.

    Notes
    -----
    The open model, as in `recommend`. Effects of several levers multiply. Sets are tried one by one, all of them.

    Examples
    --------
    >>> result = compare_levers(Scenario.example(), users=200)
    >>> result.resized.users, result.resized.limited_by, result.reachable
    (170, 'memory', True)
    >>> for need in result.lever("shorter_service").needed:
    ...     print(need.verdict, "-", need.meaning)
    comfortable - 98.8 ms instead of 250 ms a request
    manageable - 163 ms instead of 250 ms a request
    watch - 205 ms instead of 250 ms a request
    """
    require(scenario, edges)
    edges = Edges() if edges is None else edges
    level = _level(verdict)
    target = user_count(users, "users")
    if scenario.workload.think_time is None:
        hint = "give the seconds between an answer and the next click"
        raise InvalidInput([Problem("workload.think_time", "is missing: it turns users into requests", hint=hint)])
    pulled, prices = _effects(effects), _costs(costs)
    row = row_of(scenario)
    known = [place for place, lever in enumerate(LEVERS) if lever.needs != "pool.max_children" or scenario.pool]
    unsure = {place for place in known if _unsure(LEVERS[place], row)}
    movable = [place for place in known if LEVERS[place].name != "more_workers" and place not in unsure]
    sets: list[tuple[int, ...]] = [()]
    sets += [(place,) for place in known]
    sets += [chosen for size in range(2, _MOST_TOGETHER + 1) for chosen in combinations(movable, size)]
    found = evaluate(row, effects_of(sets, pulled), target, level, edges)
    told = _Teller(row, pulled, prices, found, sets, unsure, target, verdict)
    resized = told.outcome(0)
    today = None
    if scenario.pool is not None:
        whole = evaluate(row, effects_of([()], pulled), target, level, edges, today=float(scenario.pool.max_children))
        today = _Teller(row, pulled, prices, whole, [()], set(), target, verdict).outcome(0, resized)
    needed = least_effects(row, [LEVERS[place] for place in known], target, edges)
    alone = tuple(
        told.alone(number, today if LEVERS[place].name == "more_workers" else resized, resized, needed[number - 1])
        for number, place in enumerate(known, start=1)
    )
    fewest = _fewest(sets, found, movable, told.prices_of_all())
    front = _front(sets, found, movable, told.prices_of_all()) if prices else []
    result = LeverComparison(
        users=target,
        goal=verdict,
        today=today,
        resized=resized,
        levers=alone,
        sets=tuple(told.outcome(number, resized) for number in fewest),
        front=tuple(told.outcome(number, resized) for number in front),
        summary=(),
        cautions=workload_cautions(scenario),
        assumptions=stated_assumptions(scenario),
    )
    return result.model_copy(update={"summary": summary_of(result)})


class _Teller:
    """Outcomes from the columns of a table of sets."""

    def __init__(
        self,
        row: Table,
        effects: Column,
        prices: Mapping[int, float],
        found: Mapping[str, Column],
        sets: Sequence[tuple[int, ...]],
        unsure: set[int],
        target: int,
        goal: Goal,
    ) -> None:
        self.row, self.effects, self.prices, self.found, self.sets = row, effects, prices, found, sets
        self.unsure, self.target, self.goal = unsure, target, goal

    def outcome(self, number: int, before: LeverOutcome | None = None, lever: Lever | None = None) -> LeverOutcome:
        """What one set does, beside the pool without it."""
        at = {name: float(column[number]) for name, column in self.found.items() if column.ndim == 1}
        chosen = self.sets[number]
        users = int(at["users"]) if math.isfinite(at["users"]) else None
        p95 = at["response_time_p95"]
        gained = None if users is None else users - (users if before is None or before.users is None else before.users)
        outcome = LeverOutcome(
            levers=tuple(LEVERS[place].name for place in chosen),
            effects=tuple(float(self.effects[place]) for place in chosen),
            changes=tuple(LEVERS[place].shown(self.row, float(self.effects[place])) for place in chosen),
            at_best=bool(self.unsure.intersection(chosen)),
            workers=int(at["workers"]),
            most_workers=int(at["cap"]),
            reached=bool(at["reached"]),
            users=users,
            gained=gained,
            bands=bands_of(self.found["bands"][:, number]),
            limited_by=LIMITED_BY[int(at["limited_by"])],
            verdict=VERDICTS[int(at["severity"])],
            utilization=at["utilization"],
            response_time_p95=p95 if math.isfinite(p95) else None,
            price=self.price(chosen),
            reason="",
        )
        reason = reason_of(lever, outcome, before, self.target, self.goal)
        return outcome.model_copy(update={"reason": reason})

    def alone(self, number: int, before: LeverOutcome | None, resized: LeverOutcome, needed: Column) -> LeverOutcome:
        """What one lever does, how far it has to be pulled, and what to know of it."""
        lever = LEVERS[self.sets[number][0]]
        return self.outcome(number, before or resized, lever).model_copy(
            update={
                "needed": tuple(
                    NeededEffect(
                        verdict=goal,
                        effect=None if math.isnan(effect) else float(effect),
                        meaning=needed_meaning(lever, self.row, float(effect)),
                    )
                    for goal, effect in zip(_GOALS, needed, strict=True)
                ),
                "source": lever.source,
                "risks": lever.risks,
            }
        )

    def price(self, chosen: Sequence[int]) -> float | None:
        """What a set costs; None where that of one of its levers is not given."""
        if not self.prices or any(place not in self.prices for place in chosen):
            return None
        hosts = self.effects[_HOSTS] if _HOSTS in chosen else 1.0
        times = [hosts - 1.0 if place == _HOSTS else hosts if LEVERS[place].per_host else 1.0 for place in chosen]
        return sum(self.prices[place] * number for place, number in zip(chosen, times, strict=True))

    def prices_of_all(self) -> Column:
        """Of every set; NaN where not known."""
        prices = [self.price(chosen) for chosen in self.sets]
        return np.array([np.nan if price is None else price for price in prices])


def _unsure(lever: Lever, row: Table) -> bool:
    return lever.needs is not None and bool(np.isnan(row[lever.needs][0]))


def _fewest(
    sets: Sequence[tuple[int, ...]], found: Mapping[str, Column], movable: Sequence[int], prices: Column
) -> list[int]:
    """Sets of the least size that reach the target: the cheapest first, else what gets furthest."""
    usable = [number for number, chosen in enumerate(sets) if found["reached"][number] and set(chosen) <= set(movable)]
    least = min((len(sets[number]) for number in usable), default=0)
    if not least:
        return usable[:1]
    chosen = [number for number in usable if len(sets[number]) == least]
    unpriced = np.where(np.isnan(prices), np.inf, prices)
    return sorted(chosen, key=lambda number: (unpriced[number], -found["users"][number], sets[number]))


def _front(
    sets: Sequence[tuple[int, ...]], found: Mapping[str, Column], movable: Sequence[int], prices: Column
) -> list[int]:
    """Sets than which none is both as cheap and as far, from the cheapest on; of equals the one of fewest levers."""
    usable = [
        number for number, chosen in enumerate(sets) if set(chosen) <= set(movable) and not np.isnan(prices[number])
    ]
    usable.sort(key=lambda number: (prices[number], -found["users"][number], len(sets[number]), sets[number]))
    front: list[int] = []
    for number in usable:
        if not front or found["users"][number] > found["users"][front[-1]]:
            front.append(number)
    return front


def _level(verdict: object) -> int:
    if not isinstance(verdict, str) or verdict not in _GOALS:
        raise InvalidInput([Problem("verdict", f"must be {', '.join(_GOALS[:-1])} or {_GOALS[-1]}", shown(verdict))])
    return _GOALS.index(verdict)


def _effects(given: Mapping[str, float] | None) -> NDArray[np.float64]:
    """The effect of every lever, given or by default."""
    effects = np.array([lever.default for lever in LEVERS])
    for name, value in _named(given, "effects"):
        lever = lever_named(name, "effects")
        effects[LEVERS.index(lever)] = _within(value, f"effects {lever.name}", lever)
    return effects


def _within(value: object, field: str, lever: Lever) -> float:
    kind = {"factor": "a factor", "share": "a share, as 0.2 for 20 %", "count": "a whole number"}[lever.kind]
    number = _number(value)
    whole = lever.kind != "count" or (number is not None and number == math.floor(number))
    if number is None or not lever.least <= number <= lever.most or not whole:
        rule = f"must be from {lever.least:g} to {lever.most:g}"
        raise InvalidInput([Problem(field, rule, shown(value), f"it is {kind}")])
    return number


def _costs(given: Mapping[str, float] | None) -> dict[int, float]:
    """What levers cost, by their place."""
    costs = {}
    for name, value in _named(given, "costs"):
        lever, number = lever_named(name, "costs"), _number(value)
        if number is None or not 0 <= number <= 1e15:
            raise InvalidInput([Problem(f"costs {lever.name}", "must be a number from 0 to 1e15", shown(value))])
        costs[LEVERS.index(lever)] = number
    return costs


def _named(given: object, field: str) -> list[tuple[Any, Any]]:
    if given is None:
        return []
    if not isinstance(given, Mapping):
        hint = "such as {'more_memory': 2}"
        raise InvalidInput([Problem(field, "must be a mapping of lever to number", shown(given), hint)])
    return list(given.items())


def _number(value: object) -> float | None:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
