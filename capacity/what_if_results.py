"""Frozen results of what-if questions: what levers do, and which inputs the answer hangs on."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field
from pydantic.config import JsonDict

from capacity.presented import Result
from capacity.results import FORMAT_VERSION, Assumption, LimitName, UserBand, Verdict, describe_bands

__all__ = [
    "Answer",
    "Goal",
    "InputSensitivity",
    "LeverComparison",
    "LeverOutcome",
    "LimitedBy",
    "NeededEffect",
    "Part",
    "Sensitivity",
    "TippingPoint",
]

_ITS_OWN: JsonDict = {"unit": "as the field unit says"}
Goal: TypeAlias = Literal["comfortable", "manageable", "watch"]
Part: TypeAlias = Literal["binding", "verdict", "workers"]
LimitedBy: TypeAlias = Literal["memory", "cpu", "database", "process_max", "objective"]


class NeededEffect(Result):
    """How far a lever has to be pulled so that the target gets a verdict."""

    verdict: Goal
    effect: float | None = Field(
        description="least effect, in the step of the lever; null: no effect does", json_schema_extra={"unit": "1"}
    )
    meaning: str = Field(description="that effect in words; empty where none does")


class LeverOutcome(Result):
    """What levers do together, with the pool recommended anew."""

    levers: tuple[str, ...] = Field(description="what is done; none: the pool is only sized anew, or nothing at all")
    effects: tuple[float, ...] = Field(description="how far each is pulled", json_schema_extra={"unit": "1"})
    changes: tuple[str, ...] = Field(description="the same in words")
    at_best: bool = Field(description="whether an input is not known, so that this is the most it could do")
    workers: int = Field(
        description="max_children, per host, for the target number of users", json_schema_extra={"unit": "1"}
    )
    most_workers: int = Field(
        description="most that memory, cores, the database and process.max allow", json_schema_extra={"unit": "1"}
    )
    reached: bool = Field(description="whether the target number of users gets the verdict that is wanted")
    users: int | None = Field(description="most users with that verdict; null: without a countable limit")
    gained: int | None = Field(description="those beyond what sizing the pool anew gets to; null: not countable")
    bands: tuple[UserBand, ...] = Field(description="most users with each verdict, with most_workers")
    limited_by: LimitedBy = Field(description="what ends it: one user more than users would break this")
    verdict: Verdict = Field(description="of the target number of users")
    utilization: float = Field(description="busy share of a worker at the target", json_schema_extra={"unit": "1"})
    response_time_p95: float | None = Field(
        description="95 of 100 requests are faster at the target; null: it grows without bound",
        json_schema_extra={"unit": "s"},
    )
    price: float | None = Field(None, description="in the money of the given costs; null: not all are given")
    reason: str = Field(description="what it does or why it does nothing, in words")
    needed: tuple[NeededEffect, ...] = Field((), description="how far this lever alone has to be pulled")
    source: str = Field("", description="where the effect comes from")
    risks: tuple[str, ...] = ()


class LeverComparison(Result):
    """What would get a pool to a number of users: each lever alone, the fewest together, and the cheapest."""

    format_version: str = FORMAT_VERSION
    users: int = Field(description="the target")
    goal: Goal = Field(description="the verdict, or a better one, that the target must get")
    today: LeverOutcome | None = Field(description="the pool as it is; null: not known")
    resized: LeverOutcome = Field(description="the recommended pool, and nothing else changed")
    levers: tuple[LeverOutcome, ...] = Field(description="each alone, with the pool recommended anew")
    sets: tuple[LeverOutcome, ...] = Field(
        description="the fewest levers, up to three, that reach the target: every such set, the best first"
    )
    front: tuple[LeverOutcome, ...] = Field(
        description="where costs are given: sets than which none is cheaper and gets as far, the cheapest first"
    )
    summary: tuple[str, ...] = Field(description="the answer in words")
    cautions: tuple[str, ...]
    assumptions: tuple[Assumption, ...] = ()

    @property
    def reachable(self) -> bool:
        """Whether up to three levers reach the target, or none is needed."""
        return self.resized.reached or bool(self.sets)

    def lever(self, name: str) -> LeverOutcome:
        """Give what one lever does alone; a KeyError where it was not compared."""
        return {outcome.levers[0]: outcome for outcome in self.levers}[name]

    def __repr__(self) -> str:
        sets = " or ".join("+".join(found.levers) or "resizing" for found in self.sets[:4]) or "out of reach"
        return f"<LeverComparison: {self.users} users at {self.goal}: {sets}; now {describe_bands(self.resized.bands)}>"


class Answer(Result):
    """What is recommended, in short."""

    workers: int = Field(description="max_children", json_schema_extra={"unit": "1"})
    binding: LimitName = Field(description="the limit that decides max_children")
    users: int | None = Field(description="most users with the verdict asked about; null: not known, or countless")
    verdict: Verdict | None = Field(description="of the expected load; null: none is given")
    response_time_p95: float | None = Field(
        description="95 of 100 requests are faster at the expected load; null: endless, or no load is given",
        json_schema_extra={"unit": "s"},
    )


class TippingPoint(Result):
    """How wrong an input may be before one part of the answer changes."""

    changes: Part
    low: float | None = Field(description="nearest lower value at which it has; null: none", json_schema_extra=_ITS_OWN)
    high: float | None = Field(
        description="nearest higher value at which it has; null: none", json_schema_extra=_ITS_OWN
    )
    at_low: str = Field(description="what it is there; empty where there is none")
    at_high: str = Field(description="what it is there; empty where there is none")


class InputSensitivity(Result):
    """What one input does to the answer."""

    field: str = Field(description="by table and name")
    unit: str = Field(description="of the values here")
    value: float = Field(description="as it is taken", json_schema_extra=_ITS_OWN)
    low: float = Field(description="lower end of what it may be", json_schema_extra=_ITS_OWN)
    high: float = Field(description="upper end of what it may be", json_schema_extra=_ITS_OWN)
    doubt: str = Field(description="where these ends come from")
    at_low: Answer
    at_high: Answer
    workers_elasticity: float | None = Field(
        description="percent more workers for one percent more of the input", json_schema_extra={"unit": "1"}
    )
    users_elasticity: float | None = Field(
        description="percent more users for one percent more of the input", json_schema_extra={"unit": "1"}
    )
    response_time_p95_elasticity: float | None = Field(
        description="percent more response time for one percent more of the input", json_schema_extra={"unit": "1"}
    )
    tipping: tuple[TippingPoint, ...] = Field(description="how wrong it may be before the answer changes")

    def tips(self, changes: Part) -> TippingPoint:
        """Give the tipping point of one part of the answer."""
        return next(point for point in self.tipping if point.changes == changes)


class Sensitivity(Result):
    """Which inputs the answer hangs on, and how wrong they may be."""

    format_version: str = FORMAT_VERSION
    goal: Goal = Field(description="the verdict whose most users are looked at")
    spread: float = Field(
        description="doubt about an input whose source states none, as a share of it", json_schema_extra={"unit": "1"}
    )
    answer: Answer = Field(description="as recommended for the inputs as they are")
    inputs: tuple[InputSensitivity, ...] = Field(description="the one that changes most first")
    summary: tuple[str, ...] = Field(description="the answer in words")
    cautions: tuple[str, ...]
    assumptions: tuple[Assumption, ...] = ()

    def input(self, field: str) -> InputSensitivity:
        """Give what one input does; a KeyError where it is not among them."""
        return {each.field: each for each in self.inputs}[field]

    def __repr__(self) -> str:
        first = ", ".join(each.field for each in self.inputs[:3])
        return f"<Sensitivity of {self.answer.workers} workers ({self.answer.binding} binds): most to {first}>"
