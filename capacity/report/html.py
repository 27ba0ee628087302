"""A recommendation as one HTML file that needs nothing else: no network, no script, no other file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Final

from capacity.policies.verdict import VERDICTS
from capacity.report.document import recommendation_parts
from capacity.report.markup import Markup, element
from capacity.report.parts import Code, Line, Part
from capacity.report.wording import Wording, wording
from capacity.results import Recommendation
from capacity.scenario import Scenario

__all__ = ["HTML_MARK", "html_page", "recommendation_html"]

HTML_MARK: Final = "<!doctype html>\n<!-- made by capacity -->"
"""How a page of ours begins: a file that does may be replaced by another."""

_UNIT: Final = re.compile(r"(?<=\d) (?=(?:%|[KMGT]iB|us|ms|s)(?!\w))")  # a number and its unit stay on one line
_WORDY: Final = 24  # characters from which on a cell is text and no figure
_FEW: Final = 3  # columns that a phone has room for


def recommendation_html(
    result: Recommendation, scenario: Scenario, *, language: str = "en", pool: str | None = None
) -> str:
    """Write the report as one offline HTML file, for a screen of any width, light or dark, and for paper.

    Examples
    --------
    >>> from capacity import recommend
    >>> scenario = Scenario.example()
    >>> page = recommendation_html(recommend(scenario), scenario)
    >>> page.count("<svg"), page.count("<script"), page.count("http")
    (2, 0, 0)
    """
    say = wording(language)
    parts = recommendation_parts(result, scenario, say, pool=pool)
    verdicts = {say(verdict): verdict for verdict in VERDICTS}
    head, *rest = parts
    state = "" if result.feasible else " infeasible"
    top = element("header", element("h1", head.title), *_list(head), class_=f"headline{state}")
    sections = [element("section", *_section(part, verdicts)) for part in rest]
    foot = element("footer", say("Made by capacity, which models the pool as a queue; nothing here was sent anywhere."))
    return html_page(element("main", top, *sections, foot), title=head.title, say=say)


def html_page(body: Markup, *, title: str, say: Wording, style: str = "", script: str = "") -> str:
    """Put a body into a document with the style that all our pages share."""
    sheet = (files(__package__) / "style.css").read_text(encoding="utf-8") + style
    head = (
        element("meta", charset="utf-8")
        + element("meta", name="viewport", content="width=device-width, initial-scale=1")
        + element("meta", name="color-scheme", content="light dark")
        + element("title", title)
        + element("style", Markup(f"\n{sheet}"))
    )
    scripts = element("script", Markup(f"\n{script}")) if script else ""
    document = element("html", Markup(f"\n<head>{head}</head>\n<body>{body}{scripts}</body>\n"), lang=say.language)
    return f"{HTML_MARK}\n{document}\n"


def _section(part: Part, verdicts: Mapping[str, str]) -> Iterator[Markup]:
    yield element("h2", part.title)
    if part.figure:
        yield Markup(part.figure)
    if part.rows:
        yield _table(part, verdicts)
    yield from _list(part)
    if part.remark:
        yield element("p", _inline(part.remark))


def _list(part: Part) -> Iterator[Markup]:
    if part.lines:
        items = [element("li", *map(_inline, line)) for line in part.lines]
        yield element("ol" if part.numbered else "ul", *items)


def _table(part: Part, verdicts: Mapping[str, str]) -> Markup:
    """Write a table; one that a phone is too narrow for becomes a card a row there, with its columns' names."""
    columns = list(zip(*part.rows, strict=True))
    wordy = [any(len(cell) > _WORDY for cell in column) for column in columns]
    numbers = [any(cell[:1].isdigit() for cell in column) for column in columns]
    kinds = ["figure" if i and numbers[i] and not wordy[i] else None for i in range(len(columns))]
    head = [element("th", name, scope="col", class_=kind) for name, kind in zip(part.header, kinds, strict=True)]
    body = [element("tr", *_cells(part.header, row, kinds, verdicts)) for row in part.rows]
    cards = "cards" if len(columns) > _FEW or any(wordy[1:]) else None
    return element("table", element("thead", element("tr", *head)), element("tbody", *body), class_=cards)


def _cells(header: Line, row: Line, kinds: Sequence[str | None], verdicts: Mapping[str, str]) -> Iterator[Markup]:
    for name, text, kind in zip(header, row, kinds, strict=True):
        shown = _inline(text)
        if text in verdicts:
            shown = element("span", text, class_=f"badge {verdicts[text]}")
        yield element("td", element("div", shown), data_label=name, class_=kind)


def _inline(text: str) -> str:
    """Show a text, or code, which a narrow column may break after a dot or an underscore."""
    if not isinstance(text, Code):
        return _UNIT.sub("\u00a0", text)
    pieces = [piece for part in re.split(r"(?<=[._/])", text) for piece in (part, element("wbr"))]
    return element("code", *pieces[:-1])
