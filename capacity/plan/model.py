"""The change plan: what an apply tool is handed. It is data: it runs nothing and holds no shell text.

Compatibility: a reader of 1.x reads every plan of 1.x up to the minor version it knows and refuses all others, because
a step it does not know must not be left out. Within 1.x no name changes its meaning and none disappears.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Final, Literal, Self

from pydantic import Field, JsonValue, model_validator

from capacity.errors import InvalidInput, Problem
from capacity.plan.allowed import DriverWord, EnvKey, Moment, PoolName, Sha256, Words
from capacity.plan.conditions import FileSha256, Precondition, Risk
from capacity.plan.consistency import contradictions
from capacity.plan.steps import PlanModel, RollbackStep, Step
from capacity.pool import MOST_PROCESSES, PoolSettings
from capacity.problems import in_our_words
from capacity.results import Assumption, LimitName, Prediction, UserBand, Verdict
from capacity.scenario import Scenario
from capacity.units import MAX_BYTES, shown

__all__ = [
    "FORMAT_VERSION",
    "ChangePlan",
    "Generator",
    "Inputs",
    "Outlook",
    "PlanPrediction",
    "canonical_json",
    "plan_id_of",
    "read_plan",
]

FORMAT_VERSION: Final = "1.0"
_LARGEST_PLAN = 2**20
_WITHOUT_BLANKS = re.compile(r'("(?:[^"\\]|\\.)*")|[ \t\r\n]+')


class Generator(PlanModel):
    """What wrote the plan."""

    name: str
    version: str


class Inputs(PlanModel):
    """What the plan rests on."""

    scenario: dict[str, dict[str, JsonValue]] = Field(description="tables of a scenario file, SI units")
    assumptions: tuple[Assumption, ...] = Field(description="values that were not given, and where they came from")
    drivers: dict[EnvKey, DriverWord] = Field(
        default_factory=dict, description="drivers the application's .env names today"
    )

    @model_validator(mode="after")
    def _is_a_scenario(self) -> Self:
        Scenario.from_mapping(self.scenario)
        return self


class Outlook(PlanModel):
    """What one pool is predicted to do at the expected load."""

    settings: PoolSettings
    worst_case_memory: int = Field(
        ge=0,
        le=MOST_PROCESSES * MAX_BYTES,
        description="every worker at its peak, and shared memory once",
        json_schema_extra={"unit": "byte"},
    )
    verdict: Verdict | None = Field(description="at the expected load; null: the load is not known")
    utilization: float | None = Field(description="busy share of a worker", json_schema_extra={"unit": "1"})
    response_time_p95: float | None = Field(
        description="95 of 100 requests are faster; null: it grows without bound, or the load is not known",
        json_schema_extra={"unit": "s"},
    )
    predictions: tuple[Prediction, ...]
    bands: tuple[UserBand, ...]


class PlanPrediction(PlanModel):
    """Before and after, and why."""

    users: int | None = Field(description="the users planned for; null: a request rate, or nothing, is known")
    before: Outlook
    after: Outlook
    feasible: bool = Field(description="whether the objective is met within the limits")
    binding: LimitName
    binding_reason: Words
    more_workers_help: bool | None
    more_workers_reason: Words
    next_steps: tuple[Words, ...] = Field(description="what still more users would take")
    cautions: tuple[Words, ...]


class ChangePlan(PlanModel):
    """What has to change on a host, in which order, under which conditions, and how it is undone.

    Parameters
    ----------
    format_version : {'1.0'}
    generator : Generator
    created_at : str
        UTC, as ``2026-11-24T12:30:00Z``.
    plan_id : str
        sha256 of the canonical JSON without this field.
    pool : str
    inputs : Inputs
    prediction : PlanPrediction
    preconditions : tuple
        What must hold before anything is changed, and again before each write.
    steps : tuple
        In this order. Empty: nothing has to change.
    postconditions : tuple of FileSha256
        What the files are afterwards.
    rollback : tuple
        How it is undone, in this order.
    risks : tuple of Risk
    notes : tuple of str
        What was looked at and left alone, and why.

    Raises
    ------
    InvalidInput
        For everything that is not allowed, or that contradicts itself.
    """

    format_version: Literal["1.0"] = FORMAT_VERSION
    generator: Generator
    created_at: Moment
    plan_id: Sha256
    pool: PoolName
    inputs: Inputs
    prediction: PlanPrediction
    preconditions: tuple[Precondition, ...]
    steps: tuple[Step, ...]
    postconditions: tuple[FileSha256, ...]
    rollback: tuple[RollbackStep, ...]
    risks: tuple[Risk, ...]
    notes: tuple[Words, ...] = ()

    @model_validator(mode="after")
    def _is_one_plan(self) -> Self:
        problems = list(contradictions(self.preconditions, self.steps, self.postconditions, self.rollback, self.risks))
        if not problems and self.plan_id != plan_id_of(self.to_dict()):
            rule = "must be the sha256 of the canonical JSON of the rest"
            problems.append(Problem("plan_id", rule, self.plan_id, "was the plan edited by hand?"))
        if problems:
            raise InvalidInput(problems)
        return self

    @classmethod
    def sealed(cls, **fields: Any) -> Self:
        """Build a plan and compute its ``plan_id``."""
        # a first pass without the checks brings the fields into the form that is hashed
        draft = cls.model_construct(plan_id="", **fields).to_dict()
        return cls(plan_id=plan_id_of(draft), **fields)

    @property
    def files(self) -> tuple[FileSha256, ...]:
        """The files that change, as they are before, in the order they are written."""
        before = {condition.path: condition for condition in self.preconditions if condition.kind == "file_sha256"}
        return tuple(before[after.path] for after in self.postconditions)

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries, lists and numbers, as the JSON has them."""
        return self.model_dump(mode="json")

    def to_json(self) -> str:
        """One indented JSON document, its keys sorted: without its blanks and `plan_id` it is the canonical form."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"

    def __repr__(self) -> str:
        changes = [step for step in self.steps if step.op in {"set_directive", "set_env"}]
        what = f"{len(changes)} changes in {len(self.postconditions)} files" if changes else "nothing to change"
        return f"<ChangePlan {self.plan_id[:8]} of pool {self.pool}: {what}>"


def canonical_json(document: Mapping[str, Any]) -> bytes:
    """Write JSON the one way that is hashed: UTF-8, keys sorted, no blanks, finite numbers.

    Examples
    --------
    >>> canonical_json({"b": 1.5, "a": ["x", None]})
    b'{"a":["x",null],"b":1.5}'
    """
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def plan_id_of(document: Mapping[str, Any]) -> str:
    """Sha256 of the canonical JSON of a plan, its own ``plan_id`` left out.

    Examples
    --------
    >>> plan_id_of({"a": 1}) == plan_id_of({"a": 1, "plan_id": "whatever"})
    True
    """
    return hashlib.sha256(canonical_json({k: v for k, v in document.items() if k != "plan_id"})).hexdigest()


def read_plan(text: str | bytes) -> ChangePlan:
    """Read a plan, and refuse what an apply tool must refuse.

    Parameters
    ----------
    text : str or bytes
        The JSON document.

    Returns
    -------
    ChangePlan

    Raises
    ------
    InvalidInput
        With every problem found: another format version, an unknown field, a name or value that is not allowed,
        steps that contradict each other, a ``plan_id`` that does not fit.
    """
    if len(text) > _LARGEST_PLAN:
        raise InvalidInput([Problem("plan", "must be at most 1 MiB", f"{len(text)} characters")])
    try:
        # not as json.loads would guess the encoding
        text = text if isinstance(text, str) else text.decode("utf-8")
        document = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_doubles)
    except (ValueError, RecursionError) as error:
        raise InvalidInput([Problem("plan", "must be JSON", str(error)[:200])]) from None
    if not isinstance(document, dict):
        raise InvalidInput([Problem("plan", "must be one JSON object", shown(document))])
    version = document.get("format_version")
    if version != FORMAT_VERSION:
        hint = "written by another version of capacity: make the plan anew"
        raise InvalidInput([Problem("format_version", f"must be {FORMAT_VERSION}", shown(version), hint)])
    with in_our_words(ChangePlan):
        plan = ChangePlan.model_validate_json(json.dumps(document))
    if _WITHOUT_BLANKS.sub(lambda found: found[1] or "", text).encode("utf-8", "replace") != canonical_json(document):
        rule = "must be written as capacity writes it: keys sorted, numbers and strings in their canonical form"
        raise InvalidInput(
            [Problem("plan", rule, hint="keep the file as it is; a tool that prints it anew changes it")]
        )
    return plan


def _no_constant(word: str) -> object:
    message = f"{word} is not a finite number"
    raise ValueError(message)


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        # two readers could take different ones for the value
        message = "an object has the same key twice"
        raise ValueError(message)
    return found
