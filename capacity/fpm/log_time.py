"""Times in logs: the expression that matches them and the clock that reads them.

A log has few distinct stamps a second, so a clock remembers what it has read; that is faster than any parser.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Final

__all__ = ["CLF", "Memo", "clock", "has_zone", "time_pattern"]

CLF: Final = "%d/%b/%Y:%H:%M:%S %z"
"""What FPM, nginx and Apache write unless told otherwise; also called ``clf``."""

_MEMORY = 1 << 14
_LONGEST = 64  # bytes; no time and no number is longer, but a hostile text may be 64 KiB
_LAST = 32503680000.0
# strftime's directive, what it looks like, and what strptime calls it
_DIRECTIVES: Final = {
    "a": (rb"\w{2,12}+", "%a"),
    "A": (rb"\w{2,12}+", "%A"),
    "b": (rb"\w{3,12}+", "%b"),
    "B": (rb"\w{3,12}+", "%B"),
    "h": (rb"\w{3,12}+", "%b"),
    "d": (rb"[0-9]{2}", "%d"),
    "e": (rb"[ 0-9][0-9]", "%d"),
    "f": (rb"[0-9]{1,6}+", "%f"),
    "H": (rb"[0-9]{2}", "%H"),
    "I": (rb"[0-9]{2}", "%I"),
    "j": (rb"[0-9]{3}", "%j"),
    "m": (rb"[0-9]{2}", "%m"),
    "M": (rb"[0-9]{2}", "%M"),
    "p": (rb"[AaPp][Mm]", "%p"),
    "S": (rb"[0-9]{2}", "%S"),
    "y": (rb"[0-9]{2}", "%y"),
    "Y": (rb"[0-9]{4}", "%Y"),
    "z": (rb"[+-][0-9]{2}:?+[0-9]{2}", "%z"),
    "Z": (rb"[A-Za-z0-9+-]{1,8}+", ""),
    "n": (rb"\s", " "),
    "t": (rb"\s", " "),
    "%": (rb"%", "%%"),
}
_COMPOUND: Final = {"T": "%H:%M:%S", "R": "%H:%M", "F": "%Y-%m-%d", "D": "%m/%d/%y", "r": "%I:%M:%S %p"}
# a leap second is the first of the next minute
_CLF_CLOCK: Final = re.compile(r":(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60) [+-][0-9]{4}")
_ISO = rb"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]{1,9}+)?+(?:Z|[+-][0-9]{2}:?+[0-9]{2})?+"


class Memo(dict[bytes, float]):
    """Numbers by their text, remembered up to a bound.

    Parameters
    ----------
    read : callable
        From the text to the number.
    """

    def __init__(self, read: Callable[[bytes], float]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, text: bytes) -> float:
        if len(text) > _LONGEST:
            return self._read(text)
        if len(self) >= _MEMORY:
            self.clear()
        self[text] = self._read(text)
        return self[text]


def clock(time_format: str) -> Memo:
    """Make the reader of times: seconds since the epoch by their text, NaN for a text that is none.

    Parameters
    ----------
    time_format : str
        As for strftime, or ``clf``, ``iso``, ``epoch`` (seconds; milliseconds and microseconds are told by size).

    Returns
    -------
    Memo
        A time without a zone is read as UTC.

    Examples
    --------
    >>> clock("clf")[b"24/Nov/2026:07:46:30 +0100"], clock("iso")[b"2026-11-24T06:46:30Z"]
    (1795502790.0, 1795502790.0)
    >>> clock("epoch")[b"1795502790250"], clock("iso")[b"yesterday"]
    (1795502790.25, nan)
    """
    return Memo(partial(_moment, read=_reader(time_format)))


def time_pattern(time_format: str) -> bytes:
    """Give the expression a time of this format matches, without groups.

    Parameters
    ----------
    time_format : str
        As for `clock`.

    Returns
    -------
    bytes

    Raises
    ------
    ValueError
        For a directive that is not known.

    Examples
    --------
    >>> time_pattern("%H:%M")
    b'[0-9]{2}:[0-9]{2}'
    """
    if time_format == "epoch":
        return rb"[0-9]{1,17}+(?:\.[0-9]{1,9}+)?+"
    if time_format == "iso":
        return _ISO
    if time_format in {"clf", CLF}:
        return rb"[0-9]{2}/[^ \n]{17} [+-][0-9]{4}"
    return b"".join(pattern if pattern else re.escape(piece.encode()) for pattern, piece, _ in _pieces(time_format))


def has_zone(time_format: str) -> bool:
    """Whether a time of this format says which moment it is, wherever it is read.

    Examples
    --------
    >>> has_zone("clf"), has_zone("%Y-%m-%d %H:%M:%S")
    (True, False)
    """
    return time_format in {"clf", "iso", "epoch"} or any(piece in {"%z", "%s"} for _, piece, _ in _pieces(time_format))


def _moment(text: bytes, *, read: Callable[[str], float]) -> float:
    try:
        seconds = read(text.decode("ascii"))
    except (ValueError, OverflowError):
        return math.nan
    # The years 1970 to 3000: anything else is no time of a request.
    return seconds if 0 <= seconds < _LAST else math.nan


def _reader(time_format: str) -> Callable[[str], float]:
    if time_format == "epoch":
        return _epoch
    if time_format == "iso":
        return lambda text: _seconds(datetime.fromisoformat(text.replace(",", ".")))
    if time_format in {"clf", CLF}:
        return _ClfReader()
    return _strftime_reader(_pieces(time_format))


def _strftime_reader(pieces: list[tuple[bytes, str, str]]) -> Callable[[str], float]:
    """Read by strptime what it can take: no name of a zone, and nothing twice; ``%s`` says all by itself."""
    epoch = any(piece == "%s" for _, piece, _ in pieces)
    wanted, pattern, seen = "", "", set()
    for kind, piece, name in pieces:
        expression = kind.decode() or re.escape(piece)
        dropped = piece != "%s" if epoch else not name or (name in seen and name[1:].isalpha())
        pattern += expression if dropped else f"({expression})"
        wanted += "" if dropped else name
        seen.add(name)
    written = re.compile(pattern)

    def read(text: str) -> float:
        found = written.fullmatch(text)
        if found is None:
            raise ValueError(text)
        said = "".join(found.groups())
        return _epoch(said) if epoch else _seconds(datetime.strptime(said, wanted))

    return read


class _ClfReader:
    """``24/Nov/2026:07:46:30 +0000`` twenty times as fast as strptime: a day is looked up once."""

    def __init__(self) -> None:
        self._midnights: dict[tuple[str, str], float] = {}

    def __call__(self, text: str) -> float:
        if not _CLF_CLOCK.fullmatch(text, 11):
            raise ValueError(text)
        day = text[:11], text[21:]
        if day not in self._midnights:
            if len(self._midnights) >= _MEMORY:
                self._midnights.clear()
            self._midnights[day] = datetime.strptime("".join(day), "%d/%b/%Y%z").timestamp()
        return self._midnights[day] + int(text[12:14]) * 3600 + int(text[15:17]) * 60 + int(text[18:20])


def _pieces(time_format: str) -> list[tuple[bytes, str, str]]:
    """Split into (pattern, text, strptime's name); of literal text the pattern is empty."""
    time_format = re.sub(r"%([A-Za-z%])", lambda found: _COMPOUND.get(found[1], found[0]), time_format)
    pieces = []
    for piece in re.split(r"(%[A-Za-z%])", time_format):
        if not re.fullmatch(r"%[A-Za-z%]", piece):
            pieces += [(b"", piece, piece.replace("%", "%%"))] if piece else []
        elif piece == "%s":
            pieces.append((rb"[0-9]{1,17}+", piece, ""))
        elif piece[1] in _DIRECTIVES:
            pieces.append((_DIRECTIVES[piece[1]][0], piece, _DIRECTIVES[piece[1]][1]))
        else:
            message = f"the time directive {piece} is not known"
            raise ValueError(message)
    return pieces


def _seconds(moment: datetime) -> float:
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def _epoch(text: str) -> float:
    value = float(text)
    for unit in (1e-6, 1e-3):
        if value * unit >= 1e8:  # 1973: what is larger in a smaller unit was written in that unit
            return value * unit
    return value
