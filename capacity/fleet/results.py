"""Frozen results of the fleet's questions; every number is SI."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from pydantic import Field

from capacity.pool import PoolSettings
from capacity.results import FORMAT_VERSION, Assumption, Prediction, Result

__all__ = ["Allotment", "PoolShare", "Resource", "ResourceName"]

ResourceName: TypeAlias = Literal["memory", "cpu", "database", "process_max"]
_ITS_OWN: dict[str, Any] = {"json_schema_extra": {"unit": "as the field unit says"}}
_PURE: dict[str, Any] = {"json_schema_extra": {"unit": "1"}}


class PoolShare(Result):
    """What one of several pools gets."""

    name: str
    weight: float = Field(description="how much it matters beside the others", **_PURE)
    pool: PoolSettings = Field(description="the settings, in FPM's own names")
    needed: int | None = Field(description="least workers that meet the objective; null: no number does", **_PURE)
    wanted: int | None = Field(description="the same with headroom; null: no number does", **_PURE)
    shortfall: int | None = Field(description="needed workers it does not get; null: no number would do", **_PURE)
    load_factor: float = Field(
        description="times the expected load that it carries within its objective, up to the headroom; "
        "0: the objective is missed whatever the load",
        **_PURE,
    )
    worst_case_memory: int = Field(
        description="every worker at its peak; shared memory is the host's", json_schema_extra={"unit": "byte"}
    )
    prediction: Prediction = Field(description="at the expected load of every pool")
    reason: str = Field(description="why so many workers, in words for a system administrator")
    pm_reason: str = Field(description="why this process manager")


class Resource(Result):
    """What the pools share, and how much of it they take."""

    name: ResourceName
    unit: Literal["byte", "1"] = Field(description="unit of the numbers here")
    available: float = Field(description="what there is for the pools", **_ITS_OWN)
    needed: float | None = Field(description="to meet every objective; null: no number of workers does", **_ITS_OWN)
    wanted: float | None = Field(description="to meet them with headroom; null: no number does", **_ITS_OWN)
    allotted: float = Field(description="with the workers the pools get", **_ITS_OWN)
    binding: bool = Field(description="whether this keeps a pool from what it wants")
    reason: str = Field(description="in words for a system administrator")


class Allotment(Result):
    """Workers of several pools on one host, and what keeps them from more."""

    format_version: str = FORMAT_VERSION
    feasible: bool = Field(description="whether every pool meets its objective at its expected load")
    headroom: float = Field(description="times the expected load that every pool should carry", **_PURE)
    pools: tuple[PoolShare, ...]
    resources: tuple[Resource, ...] = Field(description="those with a limit")
    next_steps: tuple[str, ...]
    cautions: tuple[str, ...]
    assumptions: tuple[Assumption, ...] = ()

    def share(self, name: str) -> PoolShare:
        """What the pool of this name gets; a KeyError where there is none."""
        return {share.name: share for share in self.pools}[name]

    def __repr__(self) -> str:
        state = "" if self.feasible else "INFEASIBLE, "
        workers = ", ".join(f"{share.name} {share.pool.max_children}" for share in self.pools[:5])
        more = f" and {len(self.pools) - 5} more" if len(self.pools) > 5 else ""
        return f"<Allotment: {state}{workers}{more}>"
