"""The two pictures of a report, as SVG that takes its colours from the page around it, light, dark or printed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias

from capacity.report.curve import Curve
from capacity.report.markup import Markup, element
from capacity.report.wording import Wording
from capacity.results import Limit, Recommendation
from capacity.units import format_seconds

__all__ = ["LIMITS", "limits_figure", "response_figure"]

LIMITS: Final = {"cpu": "CPU", "database": "database connections", "process_max": "process.max"}
"""What limits are called where their name is no word."""


_WIDTH: Final = 560.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 84.0, 14.0, 14.0, 56.0
_HEIGHT: Final = 300.0
_MARGIN: Final = 1.06  # of the users' axis, beyond the last of them
_TICKS: Final = 4
_DIGIT: Final = 13.0  # width of a digit where the picture is small and its text large
_TALLEST: Final = 2.2  # times the p95 of a pool at rest: beyond, a response leaves the picture
_BAR, _LINE = 56.0, 34.0  # height of a limit with a bar, and of one without

Scale: TypeAlias = Callable[[float], float]


def response_figure(curves: Sequence[Curve], result: Recommendation, say: Wording) -> Markup:
    """Hockey stick: response time over users, on the verdicts of the recommended pool; empty without curves.

    Examples
    --------
    >>> from capacity import Scenario, recommend
    >>> from capacity.report.curve import curves
    >>> from capacity.report.wording import wording
    >>> scenario = Scenario.example()
    >>> result = recommend(scenario)
    >>> response_figure(curves(scenario, result), result, wording("en")).count("<polyline")
    3
    """
    drawn = [curve for curve in curves if curve.users]
    if not drawn:
        return Markup("")
    ends = [curve.endless or curve.users[-1] for curve in drawn]
    right = max(*ends, *(band.users or 0 for band in result.bands)) * _MARGIN
    highest = _TALLEST * drawn[0].response_time_p95[0]

    def x(users: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * users / right

    def y(seconds: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * min(seconds / highest, 1.0)

    def line(curve: Curve, seconds: Sequence[float], kind: str) -> Markup:
        points = list(zip(curve.users, seconds, strict=True))
        points += [] if curve.endless is None else [(curve.endless, math.inf)]
        inside = next((i + 1 for i, (_, value) in enumerate(points) if value > highest), len(points))
        written = " ".join(f"{x(u):.1f},{y(s):.1f}" for u, s in points[:inside])
        return element("polyline", points=written, class_=f"line {kind}")

    parts = [*_regions(result, right, x), *_times(highest, y, say)]
    marks = [band.users for band in result.bands if band.users is not None]
    parts += _users(marks, right, x)
    for curve, kind in zip(drawn, ("new", "today"), strict=False):
        if kind == "new":
            parts.append(line(curve, curve.response_time_p95, "new p95"))
        parts.append(line(curve, curve.response_time, kind))
    parts.append(_label(_LEFT + (_WIDTH - _LEFT - _RIGHT) / 2, _HEIGHT - 8, say("users"), "middle"))
    title = element("title", say("Response time by number of users"))
    picture = element("svg", title, *parts, viewBox=f"0 0 {_WIDTH:.0f} {_HEIGHT:.0f}", role="img", class_="plot")
    return element("figure", picture, _legend(drawn, result, say))


def _regions(result: Recommendation, right: float, x: Scale) -> Iterator[Markup]:
    start = 0.0
    ends = [(band.verdict, band.users) for band in result.bands if band.users is not None]
    for verdict, end in [*ends, ("overloaded", right)]:
        width = x(end) - x(start)
        place = {"x": f"{x(start):.1f}", "y": _TOP, "width": f"{width:.1f}", "height": _HEIGHT - _TOP - _BOTTOM}
        yield element("rect", class_=f"region {verdict}", **place)
        start = end


def _times(highest: float, y: Scale, say: Wording) -> Iterator[Markup]:
    step = _round_step(highest / _TICKS)
    for tick in range(int(highest / step) + 1):
        seconds = tick * step
        yield element(
            "line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=f"{y(seconds):.1f}", y2=f"{y(seconds):.1f}", class_="grid"
        )
        yield _label(_LEFT - 8, y(seconds) + 5, say.figure(format_seconds(seconds)), "end")


def _users(marks: Sequence[int], right: float, x: Scale) -> Iterator[Markup]:
    """Number the thresholds, where there is room, and otherwise round numbers of users."""
    step = _round_step(right / 6)
    numbers = [*reversed(marks), *(step * tick for tick in range(int(right / step) + 1))]
    taken: list[float] = []
    for users in numbers:
        place = x(users)
        bold = users in marks
        if bold:
            yield element(
                "line", x1=f"{place:.1f}", x2=f"{place:.1f}", y1=_TOP, y2=_HEIGHT - _BOTTOM + 6, class_="mark"
            )
        half = _DIGIT / 2 * len(f"{users:.0f}")
        if all(abs(place - other) >= 2 * half + 6 for other in taken):
            taken.append(place)
            yield _label(
                min(place, _WIDTH - half), _HEIGHT - _BOTTOM + 22, f"{users:.0f}", "middle", "bold" if bold else ""
            )


def _legend(drawn: Sequence[Curve], result: Recommendation, say: Wording) -> Markup:
    lines = [("key new", say("{count} workers, mean", count=drawn[0].workers))]
    lines.append(("key new p95", say("95 % of the requests are faster")))
    if len(drawn) > 1:
        lines.append(("key today", say("today's {count} workers, mean", count=drawn[1].workers)))
    for band in result.bands:
        if band.users is not None:
            text = say("{verdict} to {users}", verdict=band.verdict, users=band.users)
            lines.append((f"swatch {band.verdict}", text))
    lines.append(("swatch overloaded", say("overloaded")))
    items = [element("li", element("span", class_=kind), text) for kind, text in lines]
    return element("figcaption", element("ul", *items, class_="legend"))


def limits_figure(limits: Sequence[Limit], say: Wording) -> Markup:
    """Bars of the limits, the binding one marked; one that does not limit has no bar.

    Examples
    --------
    >>> from capacity import Scenario, recommend
    >>> from capacity.report.wording import wording
    >>> limits_figure(recommend(Scenario.example()).limits, wording("en")).count('class="bar')
    2
    """
    most = max((limit.workers or 0 for limit in limits), default=0) or 1
    room, top, parts = _WIDTH - 130.0, 0.0, []
    for limit in limits:
        name, kind = say(LIMITS.get(limit.name, limit.name)), "bold" if limit.binding else ""
        if limit.workers is None:
            parts.append(_label(0, top + 20, f"{name}: {say('no limit known')}", "start", "faint"))
            top += _LINE
            continue
        parts.append(_label(0, top + 20, name, "start", kind))
        width = max(room * limit.workers / most, 1.0)
        bar = "bar binding" if limit.binding else "bar"
        parts.append(element("rect", x=0, y=f"{top + 27:.1f}", width=f"{width:.1f}", height=18, class_=bar))
        text = say("{count} (binds)", count=limit.workers) if limit.binding else str(limit.workers)
        parts.append(_label(width + 8, top + 42, text, "start", kind))
        top += _BAR
    title = element("title", say("Workers that each limit allows"))
    picture = element("svg", title, *parts, viewBox=f"0 0 {_WIDTH:.0f} {top:.0f}", role="img", class_="plot")
    return element("figure", picture)


def _label(x: float, y: float, text: str, anchor: str, kind: str = "") -> Markup:
    return element("text", text, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor, class_=kind or None)


def _round_step(least: float) -> float:
    """Give the least 1, 2 or 5 times a power of ten that is not below."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))
