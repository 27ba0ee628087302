"""Which format a log has, told from some of its lines.

Of all formats that read enough of the lines the most telling one is taken: a line that holds the time of its request
can mostly be read without it as well, and that reading would be useless here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final

from capacity.errors import InvalidInput, Problem
from capacity.fpm.access_format import DEFAULT_FORMAT, WANTED_FORMAT, access_format
from capacity.fpm.log_line import LONGEST_LINE, Column, LineFormat, Quantity, Raw
from capacity.fpm.structured_log import learned
from capacity.fpm.web_format import APACHE_FORMATS, COMBINED, TIMES, apache_format, nginx_format, web_formats
from capacity.units import shown

__all__ = ["recognise"]

_STOCK = '%R - %u %t "%m %r%Q%q" %s %f %{milli}d %{kilo}M %C%%'
_MOST_LINES = 400
_TIMES: Final[tuple[Quantity, ...]] = ("request_time", "upstream_time", "service_time")
_UNKNOWN: Final = {b"", b"-", b"null"}


def recognise(sample_lines: Sequence[bytes], *, candidates: Sequence[LineFormat] = ()) -> LineFormat:
    r"""Tell the format of a log.

    Parameters
    ----------
    sample_lines : sequence of bytes
        The first lines of the log, with or without their newlines; 400 are looked at.
    candidates : sequence of LineFormat
        What it may well be, such as the compiled ``access.format`` of the pool.

    Returns
    -------
    LineFormat
        Fitted to what docker or a supervisor puts before the lines. Its notes say what was guessed.

    Raises
    ------
    InvalidInput
        If no format reads half of the lines.

    Examples
    --------
    >>> log = [b'192.0.2.1 - - [24/Nov/2026:07:46:30 +0000] "GET /a HTTP/1.1" 200 512 "-" "curl/8.0"'] * 3
    >>> recognise(log).name
    'nginx combined'
    >>> recognise([b"[24-Nov-2026 07:46:30] NOTICE: ready to handle connections"])
    Traceback (most recent call last):
    capacity.errors.InvalidInput: the log must be in a format that is known; got ...
    """
    sample = [
        line.rstrip(b"\r\n") for line in sample_lines[: 4 * _MOST_LINES] if line.strip() and len(line) <= LONGEST_LINE
    ]
    sample = sample[:_MOST_LINES]
    if not sample:
        raise InvalidInput([Problem("the log", "must have lines to tell its format by")])
    structured = learned(sample)
    tried = [*candidates, *_known(), *([structured] if structured else [])]
    told = [_told(line_format, sample) for line_format in tried]
    most = max(lines for lines, _, _ in told)
    if 2 * most < len(sample):
        raise _unknown_format(sample[0], tried)
    # The lines of PHP may be fewer than those of the web server in the same stream, and still tell more.
    # Of two that tell the same, one that needs no words stepped over fits better, and then the first.
    best = max(
        (2 * lines >= most, time, quantities, lines, line_format.matches(sample), -at)
        for at, (line_format, (lines, time, quantities)) in enumerate(zip(tried, told, strict=True))
    )
    return tried[-best[-1]].fitted(sample)


@cache
def _known() -> tuple[LineFormat, ...]:
    fpm = {"wanted": WANTED_FORMAT, "commented in www.conf": _STOCK, "default": DEFAULT_FORMAT}
    formats = [access_format(text, name=f"access.format ({name})") for name, text in fpm.items()]
    return (*formats, *web_formats(), *_guesses())


def _guesses() -> Iterator[LineFormat]:
    """Give combined, followed by something that most probably is a time."""
    hint = "give the log's format (log_format of nginx, LogFormat of Apache) to be sure"
    combined = nginx_format(COMBINED).parts
    quoted = Raw(rb'(?: "[^"\n]*+")*+ ')
    decimal = Column("request_time", rb"(?:-|[0-9]++\.[0-9]{3})")
    rest = Raw(rb"(?: [^\r\n]*+)?+")
    yield LineFormat(
        "combined followed by two times",
        [*combined, quoted, decimal, Raw(rb' "?+'), Column("upstream_time", TIMES), Raw(rb'"?+'), rest],
        notes=(f"the numbers behind the user agent are taken for $request_time and $upstream_response_time; {hint}",),
    )
    yield LineFormat(
        "combined followed by a time",
        [*combined, quoted, decimal, rest],
        notes=(f"the number behind the user agent is taken for $request_time; {hint}",),
    )
    yield LineFormat(
        "combined followed by a whole number",
        apache_format(f"{APACHE_FORMATS['Apache combined']} %D").parts,
        notes=(f"the whole number at the end is taken for Apache's %D, microseconds; {hint}",),
    )
    yield LineFormat(
        "common or combined followed by something",
        [*nginx_format(COMBINED.partition(' "$http_referer')[0]).parts, rest],
        notes=(f"no service time: what follows the size of the answer is not read; {hint}, if a time is in it",),
    )


def _told(line_format: LineFormat, sample: Sequence[bytes]) -> tuple[int, int, int]:
    """How many lines it reads, which time of a request it tells, and how many quantities."""
    known = dict.fromkeys(line_format.quantities, 0)
    lines = 0
    for row in _rows(line_format, sample):
        lines += 1
        for column, value in zip(line_format.columns, row, strict=True):
            if column.quantity is not None:
                known[column.quantity] += value not in _UNKNOWN
    # One request with a time shows what the others would have; a client that is mostly unknown tells nothing.
    quantities = {quantity for quantity, count in known.items() if count > (lines // 2 if quantity == "client" else 0)}
    time = max((rank for rank, quantity in enumerate(_TIMES, 1) if quantity in quantities), default=0)
    return lines, time, len(quantities)


def _rows(line_format: LineFormat, sample: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for *row, refused in line_format.strict.findall(b"".join(line + b"\n" for line in sample)):
        if not refused:
            yield row
        else:
            found = line_format.tolerant.match(refused)
            again = found.groups() if found else line_format.fallback(refused) if line_format.fallback else None
            if again is not None:
                yield again


def _unknown_format(line: bytes, tried: Sequence[LineFormat]) -> InvalidInput:
    names = ", ".join(dict.fromkeys(line_format.name for line_format in tried))
    hint = f"tried: {names}, JSON, LTSV, key=value; give the access.format, log_format or LogFormat it was written with"
    if line.startswith(b'{"log":'):
        hint += "; this is docker's own wrapping: read the output of docker logs instead"
    first = shown(line.decode("utf-8", "replace"), longest=160)
    return InvalidInput([Problem("the log", "must be in a format that is known", first, hint)])
