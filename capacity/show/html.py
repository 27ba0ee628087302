"""Results as HTML for a notebook: escaped, without a style sheet or a script, in the colours of the page around it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any, Final

from pydantic import BaseModel

from capacity.results import Recommendation
from capacity.show.canvas import VERDICTS
from capacity.show.frame import tables_of
from capacity.show.measured import rows_of
from capacity.show.words import LOSSES, in_words, titled, unit_of_field

__all__ = ["html_of"]

_MOST_ROWS = 50
_WORD = 30  # characters that are not broken into lines
_NO_LOSS = 5e-4  # share that is printed as 0 %
# What a person looks at first; the rest is in the frames and in the JSON.
_TABLES: Final = {
    "Recommendation": ("bands", "predictions", "limits"),
    "Forecast": ("predictions", "bands"),
    "Replay": ("pools",),
    "ChangePlan": ("steps", "risks"),
}
_LISTS: Final = ("summary", "more_workers_reason", "advice", "cautions", "notes", "blind")
_COLUMNS: Final = {
    "Prediction": (
        "users",
        "arrival_rate",
        "verdict",
        "utilization",
        "cpu_utilization",
        "database_utilization",
        "wait_probability",
        "response_time",
        "response_time_p95",
        "slowdown",
        "refused",
        "timed_out",
    ),
    "ReplayedPool": (
        "workers",
        "utilization",
        "wait_probability",
        "waiting_time",
        "waiting_time_p95",
        "waiting_time_p99",
        "response_time",
        "response_time_p95",
        "longest_queue",
        "refused",
    ),
    "LeverOutcome": ("levers", "changes", "workers", "users", "verdict", "response_time_p95", "price", "reason"),
    "InputSensitivity": (
        "field",
        "value",
        "low",
        "high",
        "at_low",
        "at_high",
        "workers_elasticity",
        "users_elasticity",
    ),
    "PlanStep": ("op", "path", "directive", "key", "before", "after", "reason"),
    "Deviation": ("quantity", "predicted", "band_low", "band_high", "measured", "beyond", "meaning"),
    "Limit": ("name", "workers", "binding", "reason"),
    "StepOutcome": ("pool", "waiting_time", "waiting_time_p95", "waiting_time_longest", "refused", "recovered_after"),
}
_ENDLESS: Final = {"waiting_time", "response_time", "response_time_p95", "slowdown"}

# The page's own colour in every shade: readable on light and dark.
_LINE = "border-bottom:1px solid rgba(128,128,128,.35);"
_CELL = f"padding:.25em .75em;{_LINE}vertical-align:top;background:none;color:inherit;"
_TEXT = f"{_CELL}text-align:left;white-space:normal;min-width:14em;max-width:50em"
_SHORT_TEXT = f"{_CELL}text-align:left;white-space:nowrap"
_TABLE = "border-collapse:collapse;margin:.5em 0 1em;color:inherit"
_CAPTION = "caption-side:top;text-align:left;color:inherit"
_NUMBER = f"{_CELL}text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums"


def html_of(result: Any) -> str:
    """Heading, tables and cautions of a result.

    Parameters
    ----------
    result : Presented

    Returns
    -------
    str
        One element; every text in it is escaped.

    Examples
    --------
    >>> from capacity.results import UserBand
    >>> html = html_of(UserBand(verdict="watch", users=170))
    >>> "<b>UserBand</b>" in html, ">170</td>" in html
    (True, True)
    """
    return f'<div style="color:inherit;overflow-x:auto">{"".join(_pieces(result))}</div>'


def _pieces(result: Any) -> Iterator[str]:
    yield f'<div style="margin:.5em 0"><b>{escape(_heading(result))}</b></div>'
    if isinstance(result, Recommendation):
        yield _settings(result)
    if (measured := rows_of(result)) is not None:
        yield _measured(measured)
    tables = tables_of(result)
    chosen = [name for name in _TABLES.get(type(result).__name__, tables) if name in tables]
    for name in chosen:
        yield _table(titled(name), tables[name])
    if not tables and measured is None:
        yield _table("", (result,))
    for name in ("reason", *_LISTS) if tables else _LISTS:  # without tables it is in the row itself
        lines = getattr(result, name, ())
        yield _list(titled(name), (lines,) if isinstance(lines, str) else lines)


def _heading(result: object) -> str:
    line = repr(result)
    return line[1:-1] if line.startswith("<") else type(result).__name__


def _settings(result: Recommendation) -> str:
    """Settings of the pool beside today's."""
    pools = [pool for pool in (result.current, result.pool) if pool is not None]
    heads = ["setting", *["today"][: len(pools) - 1], "recommended"]
    rows = []
    for name in type(result.pool).model_fields:
        values = [getattr(pool, name) for pool in pools]
        if any(value is not None for value in values):
            cells = [in_words(name, value, unit_of_field(result.pool, name)) for value in values]
            rows.append([escape(name), *map(escape, cells)])
    return _markup("settings", heads, rows, [_SHORT_TEXT, *[_NUMBER] * len(pools)])


def _measured(rows: Sequence[Mapping[str, Any]]) -> str:
    names = ["quantity", "value", "low", "high", *(["source"] if "source" in rows[0] else [])] if rows else ["quantity"]
    cells = [[escape(in_words(str(row["quantity"]), row[name], row["unit"])) for name in names] for row in rows]
    styles = [_TEXT if name == "source" else _SHORT_TEXT if name == "quantity" else _NUMBER for name in names]
    return _markup("", names, cells, styles)


def _table(title: str, rows: Sequence[BaseModel]) -> str:
    names = [name for name in _columns(rows[0]) if _is_told(rows, name)]
    cells = [[_cell(row, name) for name in names] for row in rows[:_MOST_ROWS]]
    if len(rows) > _MOST_ROWS:
        title = f"{title} (the first {_MOST_ROWS} of {len(rows)})"
    styles = [_style([getattr(row, name, None) for row in rows]) for name in names]
    return _markup(title, [titled(name) for name in names], cells, styles)


def _columns(row: BaseModel) -> Iterable[str]:
    """Names that are chosen for rows of this class or of what it derives from; else all of its fields."""
    chosen = (_COLUMNS[kind.__name__] for kind in type(row).__mro__ if kind.__name__ in _COLUMNS)
    return next(chosen, type(row).model_fields)


def _style(values: Sequence[object]) -> str:
    texts = [value for value in values if value is not None and value != ()]
    if not all(
        isinstance(v, str | dict | BaseModel) or (isinstance(v, tuple) and isinstance(v[0], str)) for v in texts
    ):
        return _NUMBER
    return _TEXT if any(len(in_words("", value)) > _WORD for value in texts) else _SHORT_TEXT


def _is_told(rows: Sequence[BaseModel], name: str) -> bool:
    """Whether a column has anything that a cell can say."""
    values = [getattr(row, name, None) for row in rows]
    if name in LOSSES:
        return any(value is not None and value > _NO_LOSS for value in values)
    nested = any(isinstance(value, tuple) and value and isinstance(value[0], BaseModel) for value in values)
    return not nested and (name in _ENDLESS or any(value not in (None, "", (), {}) for value in values))


def _cell(row: BaseModel, name: str) -> str:
    value = getattr(row, name, None)
    if name not in type(row).model_fields:
        return ""  # steps of a plan are of several kinds
    text = in_words(name, value, unit_of_field(row, name))
    if name in _ENDLESS and value is None:
        return "endless"
    mark = VERDICTS.get(text) if name == "verdict" else None
    swatch = f'<span aria-hidden="true" style="color:{mark}">&#9632;</span> ' if mark else ""
    return swatch + escape(text)


def _markup(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], styles: Sequence[str]) -> str:
    def row(tag: str, cells: Sequence[str]) -> str:
        written = (f'<{tag} style="{style}">{cell}</{tag[:2]}>' for cell, style in zip(cells, styles, strict=True))
        return f'<tr style="background:none">{"".join(written)}</tr>'

    head = row('th scope="col"', [escape(name) for name in heads])
    body = "".join(row("td", cells) for cells in rows)
    caption = f'<caption style="{_CAPTION}">{escape(title)}</caption>' if title else ""
    return f'<table style="{_TABLE}">{caption}<thead>{head}</thead><tbody>{body}</tbody></table>'


def _list(title: str, lines: Sequence[str]) -> str:
    if not lines:
        return ""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return (
        f'<details><summary>{escape(title)} ({len(lines)})</summary><ul style="max-width:60em">{items}</ul></details>'
    )
