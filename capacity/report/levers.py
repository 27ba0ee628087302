"""What levers do, as text: the answer first, then each lever, the sets, the cheapest, and what to watch for."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from capacity.report.fitting import fitted
from capacity.report.text import COLOURS, box_for, section
from capacity.units import format_seconds
from capacity.what_if_results import LeverComparison, LeverOutcome

__all__ = ["levers_text"]

_MOST_SETS = 6
_NOTHING = "-"


def levers_text(result: LeverComparison, console: Console) -> RenderableType:
    """Give the comparison in the order a reader asks.

    Parameters
    ----------
    result : LeverComparison
    console : Console

    Returns
    -------
    RenderableType
    """
    title = f"What gets this pool to {result.users} users, {result.goal} or better"
    rows = [("the pool of today", result.today)] if result.today else []
    rows += [("the recommended pool", result.resized)]
    rows += [(_name(outcome), outcome) for outcome in result.levers]
    parts: list[RenderableType] = [section(title, result.summary)]
    parts += [_outcomes("Each alone, the pool recommended anew: most users", rows, result, console), ""]
    if result.sets and len(result.sets[0].levers) > 1:
        sets = [(_name(found), found) for found in result.sets[:_MOST_SETS]]
        parts += [_outcomes("The fewest together: most users", sets, result, console), ""]
    if result.front:
        front = [(_name(found) or "the recommended pool", found) for found in result.front]
        parts += [_outcomes("What gets furthest for its price: most users", front, result, console), ""]
    each = [f"{_name(outcome)}, {outcome.changes[0]}: {outcome.reason}" for outcome in result.levers]
    parts.append(section("What each does", each))
    sources = [f"{_name(outcome)}: {outcome.source}" for outcome in result.levers]
    parts.append(section("Where these effects come from (--effects changes them)", sources))
    risks = [f"{_name(outcome)}: {risk}" for outcome in result.levers for risk in outcome.risks if outcome.gained != 0]
    parts += [section("What to watch for", risks), section("Keep in mind", result.cautions)]
    return Group(*parts)


def _outcomes(title: str, rows: Sequence[tuple[str, LeverOutcome]], result: LeverComparison, console: Console) -> Table:
    table = Table(box=box_for(console), title=title, title_justify="left", title_style="bold")
    table.add_column("lever", overflow="fold")
    priced = bool(result.front)
    for name in (*(["price"] if priced else []), "workers", *(band.verdict for band in result.resized.bands)):
        table.add_column(name, justify="right", overflow="fold")
    table.add_column(f"at {result.users} users")
    table.add_column("95 % within", justify="right", overflow="fold")
    for what, outcome in rows:
        price = [_NOTHING if outcome.price is None else f"{outcome.price:g}"] if priced else []
        p95 = "endless" if outcome.response_time_p95 is None else format_seconds(outcome.response_time_p95)
        unsure = " at best" if outcome.at_best else ""
        table.add_row(
            what,
            *price,
            str(outcome.workers),
            *(_NOTHING if band.users is None else str(band.users) for band in outcome.bands),
            Text(outcome.verdict + unsure, style=COLOURS[outcome.verdict]),
            p95,
        )
    return fitted(table, console)


def _name(outcome: LeverOutcome) -> str:
    return " + ".join(name.replace("_", " ") for name in outcome.levers)
