"""Frozen results of the fleet's questions; every number is SI."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal, TypeAlias

from pydantic import Field

from capacity.pool import PoolSettings
from capacity.presented import Result
from capacity.results import FORMAT_VERSION, Assumption, ModelName, Prediction, Verdict

__all__ = [
    "Allotment",
    "Balancing",
    "BalancingOutlook",
    "Growth",
    "GrowthPoint",
    "HostPlan",
    "HostSituation",
    "PodPlan",
    "PodShape",
    "PoolShare",
    "Resource",
    "ResourceName",
    "VerdictEnd",
]

Balancing: TypeAlias = Literal["random", "round_robin", "least_connections", "shared_queue"]
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

    def share(self, name: str) -> PoolShare:
        """What the pool of this name gets; a KeyError where there is none."""
        return {share.name: share for share in self.pools}[name]

    def __repr__(self) -> str:
        state = "" if self.feasible else "INFEASIBLE, "
        workers = ", ".join(f"{share.name} {share.pool.max_children}" for share in self.pools[:5])
        more = f" and {len(self.pools) - 5} more" if len(self.pools) > 5 else ""
        return f"<Allotment: {state}{workers}{more}>"


class HostSituation(Result):
    """What the expected load does to each host while so many of them run."""

    running: int = Field(description="hosts that share the load", **_PURE)
    prediction: Prediction = Field(description="of one of them")


class BalancingOutlook(Result):
    """What another way to choose a host would make of it, while the spare hosts are out."""

    balancing: Balancing
    hosts: int | None = Field(description="hosts it would take; null: no number does", **_PURE)
    waiting_time: float | None = Field(
        description="mean, with the hosts and workers of the plan; null: it grows without bound",
        json_schema_extra={"unit": "s"},
    )
    response_time_p95: float | None = Field(
        description="95 of 100 requests are faster; null: it grows without bound", json_schema_extra={"unit": "s"}
    )
    verdict: Verdict


class HostPlan(Result):
    """How many equal hosts, and how many workers on each."""

    format_version: str = FORMAT_VERSION
    feasible: bool = Field(description="whether some number of hosts meets the objective")
    hosts: int | None = Field(description="hosts, the spare ones among them; null: no number does", **_PURE)
    hosts_without_spare: int | None = Field(description="hosts if none had to be spare; null: no number does", **_PURE)
    spare_hosts: int = Field(description="of them that may be out at once", **_PURE)
    surge_hosts: int = Field(description="that run in addition while a version replaces another", **_PURE)
    balancing: Balancing = Field(description="how a host is chosen for a request")
    pool: PoolSettings = Field(description="settings of the pool of each host, in FPM's own names")
    most_workers: int = Field(description="workers that each host could carry", **_PURE)
    worst_case_memory: int = Field(description="of each pool", json_schema_extra={"unit": "byte"})
    database_connections: int = Field(description="of all hosts and those in addition, at the most", **_PURE)
    situations: tuple[HostSituation, ...] = Field(description="with all hosts, and without the spare ones")
    balancings: tuple[BalancingOutlook, ...]
    reason: str = Field(description="why so many, in words for a system administrator")
    next_steps: tuple[str, ...]
    cautions: tuple[str, ...]
    assumptions: tuple[Assumption, ...] = ()

    def __repr__(self) -> str:
        if not self.feasible:
            return "<HostPlan: INFEASIBLE>"
        return f"<HostPlan: {self.hosts} hosts, {self.pool.max_children} workers each, {self.spare_hosts} spare>"


class PodShape(Result):
    """Pods of one size for the load."""

    ram: int = Field(description="memory limit of a pod", json_schema_extra={"unit": "byte"})
    cpus: float = Field(description="CPU limit of a pod", **_PURE)
    pods: int | None = Field(description="pods, the spare ones among them; null: no number does", **_PURE)
    workers: int | None = Field(description="in each", **_PURE)
    total_ram: int | None = Field(description="of all pods", json_schema_extra={"unit": "byte"})
    total_cpus: float | None = Field(description="of all pods", **_PURE)


class PodPlan(Result):
    """How many pods, how many workers in each, and what other sizes of a pod would take."""

    format_version: str = FORMAT_VERSION
    plan: HostPlan = Field(description="pods with the given limits, each a host")
    shapes: tuple[PodShape, ...] = Field(description="pods of other limits, from small to large")
    best: PodShape | None = Field(description="that which takes the least in all; null: none is possible")
    cautions: tuple[str, ...]
    assumptions: tuple[Assumption, ...] = ()

    @property
    def feasible(self) -> bool:
        """Whether pods with the given limits can carry the load."""
        return self.plan.feasible

    def __repr__(self) -> str:
        return f"<PodPlan: {self.plan!r}>"


class VerdictEnd(Result):
    """The day from which on users no longer get a verdict."""

    verdict: Verdict
    users: int | None = Field(description="most users with this verdict; null: none gets it", **_PURE)
    ends: date | None = Field(description="first day with more users; null: not in the years looked at")
    earliest: date | None = Field(description="the same by the upper end of the users' band")
    latest: date | None = Field(description="the same by the lower end")


class GrowthPoint(Result):
    """Users on one day."""

    day: date
    users: float = Field(description="expected", **_PURE)
    low: float = Field(description="lower end of the band", **_PURE)
    high: float = Field(description="upper end of the band", **_PURE)


class Growth(Result):
    """Until when a pool gives its growing users each verdict."""

    format_version: str = FORMAT_VERSION
    pool: PoolSettings
    model: ModelName
    start: date
    years: float = Field(description="how far was looked ahead", json_schema_extra={"unit": "365.25 days"})
    users: float = Field(description="on the first day", **_PURE)
    yearly_growth: float = Field(description="fraction that comes in addition each year", **_PURE)
    yearly_growth_low: float = Field(description="lower end of its band", **_PURE)
    yearly_growth_high: float = Field(description="upper end of its band", **_PURE)
    observations: int | None = Field(description="users that it was fitted to; null: it was stated", **_PURE)
    confidence: float | None = Field(description="chance that the band holds the trend; null: stated", **_PURE)
    ends: tuple[VerdictEnd, ...]
    path: tuple[GrowthPoint, ...]
    next_steps: tuple[str, ...]
    cautions: tuple[str, ...]
    assumptions: tuple[Assumption, ...] = ()

    def __repr__(self) -> str:
        ends = ", ".join(f"{end.verdict} until {end.ends or 'beyond'}" for end in self.ends)
        return f"<Growth: {self.yearly_growth:+.3g} a year: {ends}>"
