"""Frozen results of what-if questions: what levers do, and which input matters."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field

from capacity.results import FORMAT_VERSION, Assumption, Result, UserBand, Verdict, describe_bands

__all__ = ["Goal", "LeverComparison", "LeverOutcome", "LimitedBy", "NeededEffect"]

Goal: TypeAlias = Literal["comfortable", "manageable", "watch"]
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
