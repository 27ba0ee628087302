"""What is said of growth, in words that a system administrator can act on."""

from __future__ import annotations

from collections.abc import Sequence

from capacity.fleet.results import VerdictEnd
from capacity.units import format_fraction

__all__ = ["growth_cautions", "growth_steps"]


def growth_steps(ends: Sequence[VerdictEnd], years: float) -> tuple[str, ...]:
    """Until when to act."""
    watch = ends[-1]
    if watch.users is None:
        return ("Act now: this pool gives no number of users more than overload",)
    if watch.ends is None and watch.earliest is None:
        return (f"Nothing within {years:g} years: up to {watch.users} users the pool is not overloaded",)
    if watch.ends is None:
        return (f"Look again before {watch.earliest}: if users grow as fast as they may, the pool is overloaded then",)
    if watch.ends == watch.earliest == watch.latest:
        return (f"Have more capacity before {watch.ends}: from then on the pool is overloaded",)
    return (
        f"Have more capacity before {watch.earliest}, the earliest day on which the pool may be overloaded; "
        f"{watch.ends} is the expected one",
    )


def growth_cautions(observed: int | None, growth: Sequence[float], confidence: float) -> tuple[str, ...]:
    """What the answer leaves open."""
    cautions = ["users are taken to be multiplied by the same factor every year: no season, no campaign, no end"]
    if observed is None:
        return tuple(cautions)
    cautions.append(
        f"the bands hold the trend with a chance of {format_fraction(confidence)} if observations scatter about it "
        "independently; neighbouring days do not, so give the peak of each week or month. Single days lie further off"
    )
    if growth[0] < 0 < growth[2]:
        cautions.append("the observations do not even tell whether users grow or shrink: observe for longer")
    return tuple(cautions)
