"""A pool's directives, converted and checked as FPM does it (``fpm_conf.c``)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from capacity.errors import InvalidInput, Problem
from capacity.fpm.directives import SIZING
from capacity.pool import PoolSettings

__all__ = ["pool_settings", "surprises"]

_MANAGERS = ("static", "dynamic", "ondemand")
_PER_LETTER = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LONG_MAX = 2**63 - 1
_ATOI = re.compile(r"[ \t\n\v\f\r]*([+-]?)([0-9]+)")


def pool_settings(directives: Mapping[str, str]) -> PoolSettings:
    """Convert the directives of one pool as FPM would, or say why FPM would refuse them.

    Parameters
    ----------
    directives : mapping of str to str
        Directive name to text, as in ``PoolFile.pools``.

    Returns
    -------
    PoolSettings
        None where a directive is absent or its process manager does not look at it. A dynamic
        pool without ``pm.start_servers`` gets FPM's own value,
        ``min_spare + (max_spare - min_spare) // 2``.

    Raises
    ------
    InvalidInput
        Every directive FPM would refuse, by FPM's name for it.

    Notes
    -----
    ``surprises`` lists what was accepted but does not mean what it seems to.

    Examples
    --------
    >>> pool_settings({"pm": "Static", "pm.max_children": "20", "request_terminate_timeout": "1m"})
    PoolSettings(pm='static', max_children=20, request_terminate_timeout=60)
    """
    values, _ = _convert(directives)
    try:
        return PoolSettings(**values)
    except InvalidInput as refused:
        # What FPM takes and we do not (a million workers) is still named as in the file.
        names = {directive.field: directive.name for directive in SIZING}
        problems = [replace(problem, field=names.get(problem.field, problem.field)) for problem in refused.problems]
        raise InvalidInput(problems) from None


def surprises(directives: Mapping[str, str]) -> tuple[str, ...]:
    """List the values FPM accepts but takes for something else than they seem to say.

    Parameters
    ----------
    directives : mapping of str to str

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> surprises({"pm": "static", "pm.max_children": "5", "request_terminate_timeout": "500ms"})
    ('request_terminate_timeout = 500ms is read by FPM as 500 s: only the last letter counts',)
    """
    return _convert(directives)[1]


def _convert(directives: Mapping[str, str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    texts = {name.lower(): text for name, text in directives.items()}
    problems: list[Problem] = []
    notes: list[str] = []
    values: dict[str, Any] = {}
    for directive in SIZING:
        text = texts.get(directive.name)
        if text is None:
            continue
        if "${" in text:
            problems.append(
                Problem(
                    directive.name,
                    "depends on FPM's environment",
                    repr(text),
                    "give the environment, or the value itself",
                )
            )
            continue
        try:
            values[directive.field] = _CONVERTERS[directive.kind](directive.name, text, notes)
        except InvalidInput as refused:
            problems.extend(refused.problems)
    if not problems:
        problems.extend(_breaches(values, notes))
    if problems:
        raise InvalidInput(problems)
    return values, tuple(notes)


def _breaches(values: dict[str, Any], notes: list[str]) -> list[Problem]:
    """Check as ``fpm_conf_process_all_pools`` does; drop what the process manager ignores."""
    manager = values.get("pm")
    if manager is None:
        return [Problem("pm", "must be static, dynamic or ondemand", "nothing", "FPM has no default")]
    for directive in SIZING:
        if directive.only_for not in (None, manager) and values.pop(directive.field, None) is not None:
            notes.append(f"{directive.name} is ignored: pm is {manager}")
    # Absent is 0 to FPM, except for these two.
    defaults = {"max_spawn_rate": 32, "process_idle_timeout": 10}
    problems = []
    for directive in SIZING:
        if directive.least is None or directive.only_for not in (None, manager):
            continue
        value = values.get(directive.field, defaults.get(directive.field, 0))
        if value < directive.least:
            given = str(value) if directive.field in values else "nothing"
            problems.append(Problem(directive.name, f"must be at least {directive.least}", given, ""))
    if manager == "dynamic" and not problems:
        problems.extend(_dynamic_breaches(values, notes))
    _normalise(values, problems, notes)
    return problems


def _dynamic_breaches(values: dict[str, Any], notes: list[str]) -> list[Problem]:
    children, least, most = (values[n] for n in ("max_children", "min_spare_servers", "max_spare_servers"))
    if least > children or most > children:
        name, value = ("pm.min_spare_servers", least) if least > children else ("pm.max_spare_servers", most)
        return [Problem(name, f"must be at most pm.max_children = {children}", str(value), "")]
    if most < least:
        return [Problem("pm.max_spare_servers", f"must be at least pm.min_spare_servers = {least}", str(most), "")]
    start = values.get("start_servers", 0)
    if start <= 0:
        values["start_servers"] = least + (most - least) // 2
        notes.append(f"pm.start_servers is not set: FPM takes {values['start_servers']}")
    elif not least <= start <= most:
        rule = f"must be between pm.min_spare_servers = {least} and pm.max_spare_servers = {most}"
        return [Problem("pm.start_servers", rule, str(start), "")]
    return []


def _normalise(values: dict[str, Any], problems: list[Problem], notes: list[str]) -> None:
    """Put values FPM does not check into what they come to."""
    if values.get("max_requests", 0) < 0:
        notes.append(f"pm.max_requests = {values['max_requests']} is never reached: the same as 0, no limit")
        values["max_requests"] = 0
    if values.get("listen_backlog", 0) < -1:
        # listen(2) takes it as unsigned, so every negative number ends at net.core.somaxconn.
        notes.append(f"listen.backlog = {values['listen_backlog']} is the same as -1, the system's largest")
        values["listen_backlog"] = -1
    if values.get("request_terminate_timeout", 0) < 0:
        value = str(values["request_terminate_timeout"])
        hint = "FPM accepts it and would kill every request at once; 0 turns the limit off"
        problems.append(Problem("request_terminate_timeout", "must not be negative", value, hint))


def _manager(name: str, text: str, _notes: list[str]) -> str:
    if text.lower() not in _MANAGERS:
        raise InvalidInput([Problem(name, "must be static, dynamic or ondemand", repr(text), "")])
    return text.lower()


def _integer(name: str, text: str, notes: list[str]) -> int:
    if re.fullmatch(r"-?[0-9]*", text) is None:
        hint = "no units, signs or decimals"
        raise InvalidInput([Problem(name, "must be a whole number", repr(_shorten(text)), hint)])
    value = _atoi(text)
    if text.lstrip("-").lstrip("0") != str(abs(value)).lstrip("0"):
        notes.append(f"{name} = {_shorten(text)} does not fit 32 bits: FPM takes it for {value}")
    return value


def _time(name: str, text: str, notes: list[str]) -> int:
    if not text or text[-1] not in "0123456789smhd":
        hint = "write whole seconds, such as 30s"
        raise InvalidInput([Problem(name, "must be a number and one of s, m, h, d", repr(_shorten(text)), hint)])
    number, letter = (text, "s") if text[-1].isdigit() else (text[:-1], text[-1])
    value = _wrap(_atoi(number) * _PER_LETTER[letter])
    if re.fullmatch(r"-?[0-9]+", number) is None:
        notes.append(f"{name} = {_shorten(text)} is read by FPM as {value} s: only the last letter counts")
    elif len(number) > 18 or value != int(number) * _PER_LETTER[letter]:
        notes.append(f"{name} = {_shorten(text)} does not fit 32 bits: FPM takes it for {value} s")
    return value


_CONVERTERS: Mapping[str, Callable[[str, str, list[str]], str | int]] = {
    "pm": _manager,
    "integer": _integer,
    "time": _time,
}


def _atoi(text: str) -> int:
    """Convert as glibc's ``atoi``: ``strtol`` clamps at 64 bits, the cast keeps the low 32."""
    match = _ATOI.match(text)
    if match is None:
        return 0
    digits = match.group(2).lstrip("0")
    # Never int() of a text of any length: Python refuses more than 4300 digits.
    size = _LONG_MAX + 1 if len(digits) > 19 else int(digits or "0")
    value = max(-size, -_LONG_MAX - 1) if match.group(1) == "-" else min(size, _LONG_MAX)
    return _wrap(value)


def _wrap(value: int) -> int:
    return (value + 2**31) % 2**32 - 2**31


def _shorten(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."
