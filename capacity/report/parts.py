"""What a report is made of, however it is written: headings, lists, tables and figures; and all of it as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

__all__ = ["Code", "Line", "Part", "markdown"]

_MARKUP, _LEADING = re.compile(r"[\\`*_\[|$~]"), re.compile(r"^(?:[0-9]+(?=[.)](?:\s|$)))?(?=[#>+=.)-])")

Line: TypeAlias = Sequence[str]


class Code(str):
    """A name, path or command without a backtick; Markdown and HTML show it as code."""

    __slots__ = ()


class Part(NamedTuple):
    """A heading, a list or a table, a figure, and a remark.

    ``figure`` is SVG with its caption, which only HTML shows; everything else is text and is escaped where it is shown.
    """

    title: str
    lines: Sequence[Line] = ()
    numbered: bool = False
    header: Line = ()
    rows: Sequence[Line] = ()
    boxed: bool = False
    remark: str = ""
    figure: str = ""


def markdown(parts: Iterable[Part]) -> str:
    r"""Write parts as CommonMark with tables, their text escaped; the first one is the title.

    Examples
    --------
    >>> print(markdown([Part("A *pool*", lines=[["set ", Code("pm")]])]))
    # A \*pool\*
    <BLANKLINE>
    - set `pm`
    <BLANKLINE>
    """
    return "\n\n".join(block for level, part in enumerate(parts) for block in _blocks(part, level)) + "\n"


def _blocks(part: Part, level: int) -> Iterator[str]:
    if part.title:
        yield f"{'##' if level else '#'} {_marked((part.title,))}"
    if part.rows:
        cells = [list(map(_cell, row)) for row in (part.header, *part.rows)]
        cells.insert(1, ["---"] * len(part.header))
        yield "\n".join(f"| {' | '.join(row)} |" for row in cells)
    if part.lines:
        yield "\n".join(f"{f'{n}.' if part.numbered else '-'} {_marked(line)}" for n, line in enumerate(part.lines, 1))
    if part.remark:
        yield _marked((part.remark,))


def _marked(line: Line) -> str:
    return _LEADING.sub(r"\g<0>\\", "".join(map(_cell, line)).strip())


def _cell(text: str) -> str:
    if isinstance(text, Code):
        return f"`{text}`" if text else ""
    return _MARKUP.sub(r"\\\g<0>", text).replace("&", "&amp;").replace("<", "&lt;")
