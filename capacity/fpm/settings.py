"""A pool's directives, converted and checked as FPM does it (``fpm_conf.c``)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from capacity.errors import InvalidInput, Problem
from capacity.fpm.directives import KINDS, MANAGERS, SIZING, Note, complaint, convert
from capacity.pool import PoolSettings

__all__ = ["Breach", "Examination", "examine", "listens_on_tcp", "page_and_log_breaches", "pool_settings", "surprises"]

_DEFAULTS = {"max_spawn_rate": 32, "process_idle_timeout": 10}  # absent is 0 to FPM, except for these two


class Breach(NamedTuple):
    """A rule of FPM's that the settings break, and what FPM says of it (after ``[pool P]``)."""

    code: str
    problem: Problem
    said: str


@dataclass
class Examination:
    """The sizing directives of one pool as FPM converts them.

    Parameters
    ----------
    values : dict
        By field of ``PoolSettings``; NaN where the value is not known, which breaks no rule.
    unreadable, unknown : list of Problem
        What FPM cannot convert, and what depends on its environment.
    breaches : list of Breach
        The rules broken, in the order FPM looks at them; it stops at the first.
    notes : list of Note
    """

    values: dict[str, Any] = field(default_factory=dict)
    unreadable: list[Problem] = field(default_factory=list)
    unknown: list[Problem] = field(default_factory=list)
    breaches: list[Breach] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)


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
    try:
        return PoolSettings(**_accepted(directives).values)
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
    return tuple(note.message for note in _accepted(directives).notes)


def listens_on_tcp(address: str) -> bool:
    """Whether FPM takes a ``listen`` address for a TCP one; else it is the path of a unix socket.

    Examples
    --------
    >>> listens_on_tcp("127.0.0.1:9000"), listens_on_tcp("9000"), listens_on_tcp("/run/php/fpm.sock")
    (True, True, False)
    """
    return ":" in address or address.isdigit()


def examine(directives: Mapping[str, str]) -> Examination:
    """Convert the sizing directives as FPM does, and check them against its rules, refusing nothing.

    Parameters
    ----------
    directives : mapping of str to str

    Returns
    -------
    Examination

    Examples
    --------
    >>> examine({"pm": "static", "pm.max_children": "0"}).breaches[0].said
    'pm.max_children must be a positive value'
    """
    texts = {name.lower(): text for name, text in directives.items()}
    found = Examination()
    for directive in SIZING:
        text = texts.get(directive.name)
        if text is None:
            continue
        found.values[directive.field] = math.nan
        if "${" in text:
            hint = "give the environment, or the value itself"
            found.unknown.append(Problem(directive.name, "depends on FPM's environment", repr(text), hint))
            continue
        try:
            found.values[directive.field] = convert(directive.kind, directive.name, text, found.notes)
        except InvalidInput as refused:
            found.unreadable.extend(refused.problems)
    manager = found.values.get("pm")
    for directive in SIZING:
        ignored = manager in MANAGERS and directive.only_for not in (None, manager)
        if ignored and found.values.pop(directive.field, None) is not None:
            message = f"{directive.name} is ignored: pm is {manager}"
            found.notes.append(Note("ignored", directive.name, message))
    found.breaches.extend(_breaches(found.values))
    _normalise(found)
    return found


def _accepted(directives: Mapping[str, str]) -> Examination:
    found = examine(directives)
    problems = found.unreadable + found.unknown or [breach.problem for breach in found.breaches]
    timeout = found.values.get("request_terminate_timeout", 0)
    if timeout < 0:
        hint = "FPM accepts it and would kill every request at once; 0 turns the limit off"
        problems.append(Problem("request_terminate_timeout", "must not be negative", str(timeout), hint))
    if problems:
        raise InvalidInput(problems)
    return found


def _breaches(values: Mapping[str, Any]) -> Iterator[Breach]:
    """Check as ``fpm_conf_process_all_pools`` does, in its order."""
    manager = values.get("pm")
    if manager is None:
        problem = Problem("pm", "must be static, dynamic or ondemand", "nothing", "FPM has no default")
        yield Breach("pm-missing", problem, "the process manager is missing (static, dynamic or ondemand)")
    children, least, most, start, rate, idle = (
        values.get(name, _DEFAULTS.get(name, 0))
        for name in (
            "max_children", "min_spare_servers", "max_spare_servers", "start_servers", "max_spawn_rate",
            "process_idle_timeout",
        )
    )  # fmt: skip

    def least_one(field: str, said: str) -> Breach:
        given = str(values.get(field, "nothing"))
        return Breach("least", Problem(f"pm.{field}", "must be at least 1", given), f"pm.{field}{said}")

    if children < 1:
        yield least_one("max_children", " must be a positive value")
    if manager == "ondemand" and idle < 1:
        yield least_one("process_idle_timeout", f"({idle}s) must be greater than 0s")
    if manager != "dynamic":
        return
    if least < 1:
        yield least_one("min_spare_servers", f"({least}) must be a positive value")
    if most < 1:
        yield least_one("max_spare_servers", f"({most}) must be a positive value")
    if not (children < 1 or least < 1 or most < 1):  # of NaN neither is true
        yield from _spare_breaches(children, least, most, start)
    if rate < 1:
        yield least_one("max_spawn_rate", " must be a positive value")


def _spare_breaches(children: int, least: int, most: int, start: int) -> Iterator[Breach]:
    if least > children or most > children:
        name, value = ("pm.min_spare_servers", least) if least > children else ("pm.max_spare_servers", most)
        said = (
            f"pm.min_spare_servers({least}) and pm.max_spare_servers({most}) cannot be greater than "
            f"pm.max_children({children})"
        )
        yield Breach(
            "spare-above-max", Problem(name, f"must be at most pm.max_children = {children}", str(value)), said
        )
    elif most < least:
        rule = f"must be at least pm.min_spare_servers = {least}"
        said = f"pm.max_spare_servers({most}) must not be less than pm.min_spare_servers({least})"
        yield Breach("spares-crossed", Problem("pm.max_spare_servers", rule, str(most)), said)
    elif start > 0 and (start < least or start > most):
        rule = f"must be between pm.min_spare_servers = {least} and pm.max_spare_servers = {most}"
        said = (
            f"pm.start_servers({start}) must not be less than pm.min_spare_servers({least}) and not greater than "
            f"pm.max_spare_servers({most})"
        )
        yield Breach("start-outside-spares", Problem("pm.start_servers", rule, str(start)), said)


def _normalise(found: Examination) -> None:
    """Put values FPM does not check into what they come to."""
    values, notes = found.values, found.notes
    if values.get("pm") == "dynamic" and values.get("start_servers", 0) <= 0 and not found.breaches:
        given = values.get("start_servers")
        least, most = values["min_spare_servers"], values["max_spare_servers"]
        middle = least + (most - least) // 2
        values["start_servers"] = middle
        what = "is not set" if given is None else f"= {given} counts as not set"
        takes = "what lies halfway between the spares" if math.isnan(middle) else middle
        message = f"pm.start_servers {what}: FPM takes {takes}"
        notes.append(Note("start-default" if given is None else "start-not-set", "pm.start_servers", message))
    if values.get("max_requests", 0) < 0:
        message = f"pm.max_requests = {values['max_requests']} is never reached: the same as 0, no limit"
        notes.append(Note("negative", "pm.max_requests", message))
        values["max_requests"] = 0
    if values.get("listen_backlog", 0) < -1:
        # listen(2) takes it as unsigned, so every negative number ends at net.core.somaxconn.
        message = f"listen.backlog = {values['listen_backlog']} is the same as -1, the system's largest"
        notes.append(Note("negative", "listen.backlog", message))
        values["listen_backlog"] = -1


_PAGE = re.compile(r"[A-Za-z0-9/_.~-]+")


def page_and_log_breaches(texts: Mapping[str, str], terminate: float) -> Iterator[Breach]:
    """Check the status page, the ping page and the slow log of one pool, in FPM's order.

    Parameters
    ----------
    texts : mapping of str to str
        The pool's directives, names in lower case.
    terminate : float
        Its request_terminate_timeout [s] as FPM converts it; NaN if unknown.

    Yields
    ------
    Breach
    """
    for what, name in (("status", "pm.status_path"), ("ping", "ping.path")):
        path = texts.get(name, "")
        if not path or "${" in path:
            continue
        shown = repr(path)
        if not path.startswith("/"):
            rule, said = "must start with /", "must start with a '/'"
        elif len(path) < 2 and (what == "ping" or "pm.status_listen" not in texts):
            rule, said = "must be longer than /", "is not long enough"
        elif _PAGE.fullmatch(path) is None:
            rule = "must hold nothing but letters, digits and / _ - . ~"
            said = "must contain only the following characters '[alphanum]/_-.~'"
        else:
            continue
        yield Breach(f"{what}-path", Problem(name, rule, shown), f"the {what} path '{path}' {said}")
    if texts.get("ping.path") and texts.get("ping.response") == "":
        problem = Problem("ping.response", "must not be empty", "''", "an unquoted off or no is empty to FPM")
        yield Breach("ping-response", problem, "the ping response page '' is not long enough")
    for name in ("request_slowlog_timeout", "request_slowlog_trace_depth"):
        text = texts.get(name, "0")
        if complaint(name, text, is_global=False) or "${" in text:
            continue
        value = int(convert(KINDS[name], name, text, []))
        if value and not texts.get("slowlog"):
            problem = Problem("slowlog", "must be set", "nothing", f"{name} = {text} needs a file to write to")
            yield Breach("slowlog-missing", problem, f"'slowlog' must be specified for use with '{name}'")
        elif name == "request_slowlog_timeout" and value and terminate and value > terminate:
            problem = Problem(name, f"must be at most request_terminate_timeout = {terminate} s", f"{value} s")
            said = f"'{name}' ({value}) can't be greater than 'request_terminate_timeout' ({terminate})"
            yield Breach("slowlog-above-terminate", problem, said)
        elif name == "request_slowlog_trace_depth" and value < 0:
            said = f"'{name}' ({value}) must be a positive value"
            yield Breach("trace-depth", Problem(name, "must not be negative", str(value)), said)
