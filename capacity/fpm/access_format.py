"""FPM's own ``access.format``: any of them compiled to a reader of its lines."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Final, NoReturn

from capacity.errors import InvalidInput, Problem
from capacity.fpm.log_line import NUMBER, TEXT, Column, LineFormat, Raw
from capacity.fpm.log_time import CLF, has_zone, time_pattern
from capacity.units import shown

__all__ = ["DEFAULT_FORMAT", "WANTED_FORMAT", "access_format"]

DEFAULT_FORMAT: Final = '%R - %u %t "%m %r" %s'
"""What FPM writes when ``access.format`` is not set: it tells neither service time nor memory."""
WANTED_FORMAT: Final = '%{REMOTE_ADDR}e %t "%m %{REQUEST_URI}e" %s %{micro}d %M %C%%'
"""What a capacity planner wants to read; %t is the only field with a space that nothing delimits."""

_LONGEST = 4096
_CONVERSION = re.compile(r"%(?:\{([^}]*)\})?([A-Za-z%])")
_SECONDS: Final = {"seconds": 1.0} | dict.fromkeys(("milliseconds", "milli", "miliseconds", "mili"), 1e-3)
_DURATIONS: Final = _SECONDS | dict.fromkeys(("microseconds", "micro"), 1e-6)
_SIZES: Final = (
    {"bytes": 1.0} | dict.fromkeys(("kilobytes", "kilo"), 1024.0) | dict.fromkeys(("megabytes", "mega"), float(1 << 20))
)
# the environment names that hold a visitor's address and the address asked for, best first
_FORWARDED = rb"[^, \n]*+(?:, ?+[^, \n]*+)*+"
_CLIENTS = ("HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP", "REMOTE_ADDR")
_ROUTES = ("REQUEST_URI", "DOCUMENT_URI", "PATH_INFO")


def access_format(text: str, *, name: str = "access.format") -> LineFormat:
    r"""Compile an ``access.format``.

    Parameters
    ----------
    text : str
        As in the pool file, without the quotes around it; ``\"`` is a quote.
    name : str
        What an error and the result call it.

    Returns
    -------
    LineFormat
        ``%d`` is ``service_time``, ``%C`` ``cpu``, ``%M`` ``memory``, each in SI whatever unit the format says.

    Raises
    ------
    InvalidInput
        For a conversion or unit FPM does not have, or a format that says nothing.

    Notes
    -----
    ``%t`` is when the worker took the request, ``%T`` when it logged it; both take a strftime format in braces.
    The web server's address is ``%R``; the visitor's is only in ``%{REMOTE_ADDR}e`` or a forwarded header.

    Examples
    --------
    >>> line = access_format('%R - %u %t "%m %r%Q%q" %s %f %{milli}d %{kilo}M %C%%')
    >>> sorted(line.quantities)
    ['client', 'cpu', 'memory', 'route', 'service_time', 'started', 'status']
    >>> access_format("%{weeks}d")
    Traceback (most recent call last):
    capacity.errors.InvalidInput: access.format must have %d in seconds, milli or micro; got '%{weeks}d'
    """
    if not text.strip() or len(text) > _LONGEST or "\n" in text:
        raise InvalidInput([Problem(name, f"must be one line of 1 to {_LONGEST} characters", shown(text))])
    parts = _parts(text.replace('\\"', '"'), name)
    _keep_best(parts, "client", [*_CLIENTS, "R"])
    _keep_best(parts, "route", [*_ROUTES, "r", "f", "SCRIPT_NAME", "SCRIPT_FILENAME"])
    if sum(_is_text(one) and not isinstance(other, bytes) for (_, one), (_, other) in pairwise(parts)) > 1:
        rule = "must have something between its variables: where one ends and the next begins cannot be told"
        raise InvalidInput([Problem(name, rule, shown(text))])
    compiled = LineFormat(name, [part for _, part in parts], notes=_notes(parts))
    if not compiled.columns:
        raise InvalidInput([Problem(name, "says nothing of a request", shown(text), f"write {WANTED_FORMAT}")])
    return compiled


Parts = list[tuple[str, bytes | Column | Raw]]


def _parts(text: str, name: str) -> Parts:
    """Give each part with the letter, or the variable's name, it comes from."""
    parts: Parts = []
    end = 0
    for match in _CONVERSION.finditer(text):
        parts += _literal(text[end : match.start()], name)
        end = match.end()
        argument, letter = match.group(1) or "", match.group(2)
        if letter == "%":
            parts += _literal("%", name, escaped=True)
        elif letter in "Qq" and parts and parts[-1][0] == "r":
            continue  # ? and query string, glued to the path: the path's column goes on
        else:
            source = argument if letter in "eo" else letter
            _append(parts, source, _column(letter, argument, name, match.group()))
    parts += _literal(text[end:], name)
    return parts


def _append(parts: Parts, source: str, part: Column | Raw) -> None:
    """Add a part; of two texts that touch, only the one that says something is kept."""
    if parts and _is_text(parts[-1][1]) and _is_text(part):
        before = parts[-1][1]
        if isinstance(before, Column) and before.quantity is not None:
            return
        parts.pop()
    parts.append((source, part))


def _is_text(part: bytes | Column | Raw) -> bool:
    return isinstance(part, Column) and part.pattern == TEXT


def _literal(text: str, name: str, *, escaped: bool = False) -> Parts:
    if "%" in text and not escaped:
        raise InvalidInput([Problem(name, "must have a letter after every %", shown(text), "write %% for a percent")])
    return [("", text.encode())] if text else []


def _column(letter: str, argument: str, name: str, whole: str) -> Column | Raw:
    def refuse(rule: str) -> NoReturn:
        raise InvalidInput([Problem(name, rule, shown(whole))])

    unit = argument.lower()
    if letter == "d":
        if (unit or "seconds") not in _DURATIONS:
            refuse("must have %d in seconds, milli or micro")
        return Column("service_time", NUMBER, _DURATIONS[unit or "seconds"])
    if letter == "M":
        if (unit or "bytes") not in _SIZES:
            refuse("must have %M in bytes, kilo or mega")
        return Column("memory", NUMBER, _SIZES[unit or "bytes"])
    if letter == "C":
        if unit not in {"", "total", "user", "system"}:
            refuse("must have %C total, user or system")
        # User or system time alone is not what a request needs of a core.
        return Column("cpu" if unit in {"", "total"} else None, NUMBER, 0.01)
    if letter in "tT":
        return _time(letter, argument or CLF, refuse)
    if letter == "e" and argument == "HTTP_X_FORWARDED_FOR":
        return Column("client", _FORWARDED)
    if letter == "e":
        return Column("client" if argument in _CLIENTS else "route" if _is_route(argument) else None)
    if letter in "fr":
        return Column("route")
    if letter in "lpPs":
        return Column("status" if letter == "s" else None, NUMBER)
    if letter == "Q":
        return Raw(rb"\??+")
    if letter in "Rmnuoq":
        # an address has no space: what a supervisor puts before it must not be taken for part of it
        return Column("client", rb"[^ \n]*+") if letter == "R" else Column(None, TEXT)
    return refuse("must have conversions that FPM knows")


def _is_route(variable: str) -> bool:
    return variable in _ROUTES or variable in {"SCRIPT_NAME", "SCRIPT_FILENAME"}


def _time(letter: str, time_format: str, refuse: Callable[[str], NoReturn]) -> Column:
    try:
        pattern = time_pattern(time_format)
    except ValueError as error:
        refuse(f"must have a time format that can be read back ({error})")
    return Column("started" if letter == "t" else "ended", pattern, time_format=time_format)


def _keep_best(parts: Parts, quantity: str, order: list[str]) -> None:
    """Leave the quantity to the best of the columns that say it; one that is there twice is read once."""
    found = [(order.index(source), at) for at, (source, part) in enumerate(parts) if _says(part, quantity)]
    for _, at in sorted(found)[1:]:
        source, part = parts[at]
        parts[at] = source, Column(None, part.pattern) if isinstance(part, Column) else part


def _says(part: bytes | Column | Raw, quantity: str) -> bool:
    return isinstance(part, Column) and part.quantity == quantity


def _notes(parts: Parts) -> tuple[str, ...]:
    columns = [part for _, part in parts if isinstance(part, Column)]
    known = {column.quantity for column in columns}
    notes = []
    missing = [
        f"{what} ({conversion})"
        for quantity, what, conversion in (
            ("service_time", "the service time", "%{micro}d"),
            ("memory", "the peak memory", "%M"),
            ("cpu", "the CPU time", "%C"),
        )
        if quantity not in known
    ]
    if missing:
        notes.append(f"its access.format does not log {', '.join(missing)}; write access.format = '{WANTED_FORMAT}'")
    if not known & {"started", "ended"}:
        notes.append("its access.format logs no time (%t): when requests came is unknown")
    if any(column.time_format and not has_zone(column.time_format) for column in columns):
        notes.append("its times have no zone (%z) and are read as UTC")
    return tuple(notes)
