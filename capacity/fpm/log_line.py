"""What one line of an access log looks like: literal text and columns, compiled to a regular expression.

Every dialect (FPM's ``access.format``, nginx' ``log_format``, Apache's ``LogFormat``, JSON, LTSV) becomes a
`LineFormat`. Its expressions are built of possessive pieces only, so that no line, however hostile, takes more
than a few passes over its bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final, Literal

__all__ = ["LONGEST_LINE", "NUMBER", "TEXT", "Column", "LineFormat", "Quantity", "Raw"]

Quantity = Literal[
    "started",  # when the worker took the request
    "ended",
    "service_time",  # how long it held its worker
    "upstream_time",  # from the web server's connect to the last byte: wait and service
    "request_time",  # at the web server, sending the answer to the client included
    "cpu",  # CPU seconds a second while it ran: 1 is one core
    "memory",
    "status",
    "route",  # script, path or whole request line
    "client",
]

TEXT: Final = b""
"""The pattern of a column that ends where the literal after it begins."""
NUMBER: Final = rb"[-0-9.]*+"
"""A number, or nothing or ``-`` where there is none; what it is worth is decided when it is converted."""

LONGEST_LINE: Final = 1 << 16
"""Bytes; a longer line is noise. FPM itself writes at most 1024."""
_MOST_PREFIX_WORDS = 8


@dataclass(frozen=True)
class Column:
    """A variable part of a line.

    Parameters
    ----------
    quantity : str or None
        What it says; None is matched and dropped.
    pattern : bytes
        `TEXT`, `NUMBER`, or a possessive expression without groups.
    scale : float
        Factor that makes it SI: 0.001 where the log has milliseconds.
    time_format : str
        For ``started`` and ``ended``: as for strftime, or ``clf``, ``iso``, ``epoch``.
    """

    quantity: Quantity | None = None
    pattern: bytes = TEXT
    scale: float = 1.0
    time_format: str = ""


@dataclass(frozen=True)
class Raw:
    """Part of the expression as it is, without groups: for text that varies but says nothing."""

    pattern: bytes


@dataclass(frozen=True)
class LineFormat:
    r"""How to read the lines of one log.

    Parameters
    ----------
    name : str
        What a person calls it: ``access.format of pool www``, ``nginx combined``.
    parts : sequence of bytes, Column and Raw
        Bytes are literal text.
    fallback : callable, optional
        Reads a line the expressions do not match: the columns' values in their order, or None for noise.
    notes : tuple of str
        What of this format is doubtful.
    prefix_words : int
        Words that something (docker, compose, a PaaS) has put before each line.

    Examples
    --------
    >>> line = LineFormat("mine", [Column("route"), b" took ", Column("service_time", NUMBER, 0.001), b"ms"])
    >>> line.strict.findall(b"/a took 250ms\nnoise\n")
    [(b'/a', b'250', b''), (b'', b'', b'noise')]
    """

    name: str
    parts: Sequence[bytes | Column | Raw]
    fallback: Callable[[bytes], Sequence[bytes] | None] | None = field(default=None, compare=False)
    notes: tuple[str, ...] = ()
    prefix_words: int = 0

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The columns that say something, in the order of the expression's groups."""
        return tuple(part for part in self.parts if isinstance(part, Column) and part.quantity is not None)

    @property
    def quantities(self) -> frozenset[Quantity]:
        """What its lines tell."""
        return frozenset(column.quantity for column in self.columns if column.quantity is not None)

    @cached_property
    def strict(self) -> re.Pattern[bytes]:
        """Matches one line a time, its newline included; the last group is the whole line where it is noise."""
        prefix = rb"(?:[^ \n]*+ ){%d}" % self.prefix_words if self.prefix_words else b""
        return re.compile(rb"[\r\n]*+(?:" + prefix + self._expression(strict=True) + rb"\r?+\n|([^\n]++)\n)")

    @cached_property
    def tolerant(self) -> re.Pattern[bytes]:
        """Matches one line with words before it, or with quotes where none should be; slower."""
        prefix = rb"(?:[^ \n]*+ ){0,%d}?" % _MOST_PREFIX_WORDS
        return re.compile(prefix + self._expression(strict=False) + rb"\r?+\n?+\Z")

    def fitted(self, sample: Sequence[bytes]) -> LineFormat:
        """The same with as many words before each line as most of these lines have."""
        best, most = self, self.matches(sample)
        for words in range(_MOST_PREFIX_WORDS + 1):
            candidate = replace(self, prefix_words=words)
            if (found := candidate.matches(sample)) > most:
                best, most = candidate, found
        return best

    def matches(self, sample: Sequence[bytes]) -> int:
        """How many of these lines the strict expression reads.

        Parameters
        ----------
        sample : sequence of bytes
            Lines, with or without their newline.

        Returns
        -------
        int
        """
        text = b"".join(line.rstrip(b"\r\n") + b"\n" for line in sample)
        return sum(not row[-1] for row in self.strict.findall(text))

    def _expression(self, *, strict: bool) -> bytes:
        pieces = []
        for index, part in enumerate(self.parts):
            if isinstance(part, bytes):
                pieces.append(re.escape(part))
                continue
            pattern = part.pattern
            if pattern == TEXT:
                pattern = _until(self.parts[index + 1 :], strict=strict)
            elif pattern == NUMBER and not strict:
                pattern += rb"(?:nan|inf)?+"
            grouped = isinstance(part, Column) and part.quantity is not None
            pieces.append(b"(" + pattern + b")" if grouped else pattern)
        return b"".join(pieces)


def _until(rest: Sequence[bytes | Column | Raw], *, strict: bool) -> bytes:
    """Text up to the literal that follows."""
    if not rest:
        return rb"[^\r\n]*+"
    following = rest[0]
    if not isinstance(following, bytes):
        # Glued to another column: only backtracking can tell where it ends. One of them a line, and short.
        return rb"[^ \n]{0,1024}?"
    if strict:
        # two of the three say enough, but from three on Python's engine looks them up in a table, faster
        return rb"[^" + re.escape(following[:1]) + rb"\r\n]*+"
    return rb"(?:(?!" + re.escape(following) + rb")[^\n])*+"
