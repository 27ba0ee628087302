"""What the answer hangs on, in words."""

from __future__ import annotations

from typing import Final, get_args

from capacity.results import Verdict
from capacity.units import format_fraction, format_value
from capacity.what_if_results import InputSensitivity, Part, Sensitivity

__all__ = ["both", "summary_of"]

_MOST: Final = 3
_NEAR: Final = 0.25  # of a value: changes farther off than that are not worth a line
_MOST_TIPS: Final = 8
_WHAT: Final[dict[Part, str]] = {"binding": "what binds becomes", "verdict": "the verdict becomes"}


def summary_of(result: Sensitivity) -> tuple[str, ...]:
    """Which inputs matter most, and which may hardly be wrong."""
    lines = [_swing(result, each) for each in result.inputs[:_MOST] if _swings(each)]
    lines += [_tip(each, *end) for each, end in _nearest(result)]
    unmoved = [each.field for each in result.inputs if not _swings(each)]
    if unmoved:
        lines.append(f"within their doubt these change neither workers nor users: {', '.join(unmoved)}")
    return tuple(lines)


def _nearest(result: Sensitivity) -> list[tuple[InputSensitivity, tuple[Part, float, str]]]:
    """The nearest changes for the worse of the verdict, and of what binds, the nearest first."""
    found: list[tuple[InputSensitivity, tuple[Part, float, str]]] = []
    for each in result.inputs:
        for point in each.tipping:
            for end, becomes in ((point.low, point.at_low), (point.high, point.at_high)):
                if end is None or abs(end / each.value - 1.0) > _NEAR:
                    continue
                if point.changes == "binding" or (point.changes == "verdict" and _worse(becomes, result)):
                    found.append((each, (point.changes, end, becomes)))
    found.sort(key=lambda pair: (pair[1][0] == "binding", abs(pair[1][1] / pair[0].value - 1.0)))
    return found[:_MOST_TIPS]


def _worse(becomes: str, result: Sensitivity) -> bool:
    order = get_args(Verdict)
    return result.answer.verdict is not None and order.index(becomes) > order.index(result.answer.verdict)


def _tip(each: InputSensitivity, changes: Part, end: float, becomes: str) -> str:
    share = format_fraction(float(f"{abs(end / each.value - 1.0):.2g}"))
    more = "more" if end > each.value else "less"
    return f"{each.field} {share} {more}, {format_value(end, each.unit)}, and {_WHAT[changes]} {becomes}"


def _swings(each: InputSensitivity) -> bool:
    return (each.at_low.workers, each.at_low.users) != (each.at_high.workers, each.at_high.users)


def _swing(result: Sensitivity, each: InputSensitivity) -> str:
    ends = f"{format_value(each.low, each.unit)} to {format_value(each.high, each.unit)}"
    text = f"{each.field} from {ends}: {both(each.at_low.workers, each.at_high.workers)} workers"
    if each.at_low.users is None or each.at_high.users is None:
        return text
    return f"{text}, {result.goal} or better: {both(each.at_low.users, each.at_high.users)} users"


def both(low: object, high: object) -> str:
    """Two ends, or the one they are."""
    return str(low) if low == high else f"{low} to {high}"
