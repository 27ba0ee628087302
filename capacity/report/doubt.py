"""What the answer hangs on, as text: the summary, the tornado, and how wrong each input may be."""

from __future__ import annotations

import math
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.table import Table

from capacity.doubt.telling import both
from capacity.report.fitting import fitted
from capacity.report.text import box_for, section
from capacity.units import format_seconds, format_value
from capacity.what_if_results import Answer, InputSensitivity, Part, Sensitivity

__all__ = ["sensitivity_text"]

_NOTHING: Final = "-"
_BAR: Final = 10
_ROOM_FOR_BARS: Final = 100  # columns


def sensitivity_text(result: Sensitivity, console: Console) -> RenderableType:
    """Give the sensitivity in the order a reader asks.

    Parameters
    ----------
    result : Sensitivity
    console : Console

    Returns
    -------
    RenderableType
    """
    title = f"What {_answer(result.answer, result)} hang on"
    return Group(
        section(title, result.summary),
        _tornado(result, console),
        "",
        _tipping(result, console),
        "",
        section("Keep in mind", result.cautions),
    )


def _answer(answer: Answer, result: Sensitivity) -> str:
    users = "" if answer.users is None else f" and {answer.users} users, {result.goal} or better,"
    return f"{answer.workers} workers ({answer.binding} binds){users}"


def _tornado(result: Sensitivity, console: Console) -> Table:
    """Each input from its lower to its upper end, and what is recommended there."""
    title = "The input moved from one end to the other, the pool recommended anew"
    table = Table(box=box_for(console), title=title, title_justify="left", title_style="bold")
    table.add_column("input", overflow="fold")
    for name in ("from", "to", "workers", "users", "95 % within", "1 % more: users"):
        table.add_column(name, justify="right", overflow="fold")
    if bars := console.width >= _ROOM_FOR_BARS:
        table.add_column("", no_wrap=True)
    longest = max(map(_length, result.inputs), default=0.0)
    for each in result.inputs:
        slope = each.users_elasticity
        table.add_row(
            each.field.partition(".")[2],
            format_value(each.low, each.unit),
            format_value(each.high, each.unit),
            both(each.at_low.workers, each.at_high.workers),
            both(_users(each.at_low), _users(each.at_high)),
            both(_time(each.at_low), _time(each.at_high)),
            _NOTHING if slope is None else f"{slope:+.2f} %",
            *(["#" * round(_BAR * _length(each) / longest) if longest else ""] if bars else []),
        )
    return fitted(table, console)


def _tipping(result: Sensitivity, console: Console) -> Table:
    """The values at which the answer changes."""
    title = "How wrong it may be: below and above which values the answer is another"
    table = Table(box=box_for(console), title=title, title_justify="left", title_style="bold")
    table.add_column("input", overflow="fold")
    for name in ("is", "what binds", "verdict", "workers"):
        table.add_column(name, justify="right", overflow="fold")
    parts: tuple[Part, ...] = ("binding", "verdict", "workers")
    for each in result.inputs:
        cells = [_ends(each, part) for part in parts]
        if any(cells):
            table.add_row(
                each.field.partition(".")[2],
                format_value(each.value, each.unit),
                *(cell or _NOTHING for cell in cells),
            )
    return fitted(table, console)


def _ends(each: InputSensitivity, part: Part) -> str:
    point = each.tips(part)
    ends = (("<", point.low, point.at_low), (">", point.high, point.at_high))
    return "\n".join(
        f"{sign} {format_value(end, each.unit)}: {becomes.removesuffix(' workers')}"
        for sign, end, becomes in ends
        if end is not None
    )


def _length(each: InputSensitivity) -> float:
    """How far users, or workers where those swing more, swing between the ends, as the logarithm of a ratio."""
    pairs = [(each.at_low.workers, each.at_high.workers), (each.at_low.users, each.at_high.users)]
    return max(abs(math.log(high / low)) if low and high else 0.0 for low, high in pairs)


def _users(answer: Answer) -> str:
    return _NOTHING if answer.users is None else str(answer.users)


def _time(answer: Answer) -> str:
    if answer.verdict is None:
        return _NOTHING
    return "endless" if answer.response_time_p95 is None else format_seconds(answer.response_time_p95)
