"""FPM's directives and our settings: the one place that knows both spellings.

``render`` writes settings as directives, always as a whole number with at most one letter (``60s``): FPM
accepts ``500ms`` and takes it for 500 seconds. The way back is ``convert`` for one value and
``capacity.fpm.settings`` for a pool.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from capacity.errors import InvalidInput, Problem
from capacity.pool import PoolSettings

__all__ = [
    "ARRAY_DIRECTIVES",
    "GLOBAL_DIRECTIVES",
    "KINDS",
    "MANAGERS",
    "POOL_DIRECTIVES",
    "SIZING",
    "Directive",
    "Note",
    "complaint",
    "convert",
    "render",
]


@dataclass(frozen=True)
class Directive:
    """One field of ``PoolSettings`` and the directive FPM calls it.

    Parameters
    ----------
    field : str
    name : str
    kind : {"pm", "integer", "time"}
        How FPM converts the text.
    only_for : str or None
        The process manager that looks at it; None for every one.
    least : int or None
        The smallest value FPM accepts where it looks at the directive.
    """

    field: str
    name: str
    kind: str = "integer"
    only_for: str | None = None
    least: int | None = None


SIZING: tuple[Directive, ...] = (
    Directive("pm", "pm", "pm"),
    Directive("max_children", "pm.max_children", least=1),
    Directive("start_servers", "pm.start_servers", only_for="dynamic"),
    Directive("min_spare_servers", "pm.min_spare_servers", only_for="dynamic", least=1),
    Directive("max_spare_servers", "pm.max_spare_servers", only_for="dynamic", least=1),
    Directive("max_spawn_rate", "pm.max_spawn_rate", only_for="dynamic", least=1),
    Directive("process_idle_timeout", "pm.process_idle_timeout", "time", only_for="ondemand", least=1),
    Directive("max_requests", "pm.max_requests"),
    Directive("listen_backlog", "listen.backlog"),
    Directive("request_terminate_timeout", "request_terminate_timeout", "time"),
)
"""The sizing directives, in the order they are written."""

_POOL_DIRECTIVES = """
    prefix user group chroot chdir request_terminate_timeout request_terminate_timeout_track_finished
    request_slowlog_timeout request_slowlog_trace_depth slowlog rlimit_files rlimit_core catch_workers_output
    decorate_workers_output listen listen.owner listen.group listen.mode listen.backlog listen.allowed_clients
    listen.acl_users listen.acl_groups listen.setfib process.priority process.dumpable pm pm.max_requests
    pm.max_children pm.start_servers pm.min_spare_servers pm.max_spare_servers pm.max_spawn_rate
    pm.process_idle_timeout pm.status_path pm.status_listen ping.path ping.response access.log access.format
    security.limit_extensions clear_env apparmor_hat"""
_GLOBAL_DIRECTIVES = """
    emergency_restart_threshold emergency_restart_interval process_control_timeout process.max
    process.priority daemonize rlimit_files rlimit_core pid error_log log_level log_limit log_buffering
    events.mechanism syslog.facility syslog.ident systemd_interval"""
POOL_DIRECTIVES: frozenset[str] = frozenset(_POOL_DIRECTIVES.split())
GLOBAL_DIRECTIVES: frozenset[str] = frozenset(_GLOBAL_DIRECTIVES.split())
ARRAY_DIRECTIVES: frozenset[str] = frozenset(
    f"{name}[]"
    for name in ("env", "php_value", "php_admin_value", "php_flag", "php_admin_flag", "access.suppress_path")
)

_INTEGERS = (
    "emergency_restart_threshold log_limit process.max process.priority rlimit_files request_slowlog_trace_depth"
)
_TIMES = "emergency_restart_interval process_control_timeout systemd_interval request_slowlog_timeout"
KINDS: Mapping[str, str] = {
    **dict.fromkeys(_INTEGERS.split(), "integer"),
    **dict.fromkeys(_TIMES.split(), "time"),
    **{directive.name: directive.kind for directive in SIZING},
}
"""How FPM converts a directive; the others are text or words."""
_BOOLEANS = """
    request_terminate_timeout_track_finished catch_workers_output decorate_workers_output clear_env
    process.dumpable daemonize log_buffering php_flag php_admin_flag"""
_WORDS = {
    **dict.fromkeys(_BOOLEANS.split(), ("(?-i:1|yes|true|on|0|no|none|false|off|)", "invalid boolean value")),
    "log_level": ("debug|notice|warn(ing)?|error|alert", "invalid value for 'log_level'"),
    "syslog.facility": ("auth(priv)?|cron|daemon|ftp|kern|lpr|mail|news|syslog|user|uucp|local[0-7]", "invalid value"),
}
MANAGERS = ("static", "dynamic", "ondemand")
_PER_LETTER = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LONG_MAX = 2**63 - 1
_ATOI = re.compile(r"[ \t\n\v\f\r]*([+-]?)([0-9]+)")
# Narrower than what FPM takes: none of these can end a header, a line or a shell word.
_POOL_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Note(NamedTuple):
    """A value FPM takes for something else than it seems to say."""

    code: str
    directive: str
    message: str


def complaint(name: str, text: str, *, is_global: bool) -> str | None:
    """FPM's words for a directive it does not know or whose text it cannot convert (PHP 8.2 on Linux).

    Parameters
    ----------
    name : str
        As in ``PoolFile.pools``: lower case, keys as written.
    text : str
    is_global : bool
        Whether it stands in ``[global]``.

    Returns
    -------
    str or None

    Examples
    --------
    >>> complaint("pm.max_children", "5M", is_global=False)
    "unable to parse value for entry 'pm.max_children': is not a valid number (greater or equal than zero)"
    """
    array, bracket, key = name.partition("[")
    if bracket and is_global:
        return "Array are not allowed in the global section"
    if f"{array}{bracket}]" not in ARRAY_DIRECTIVES if bracket else name not in _known(is_global):
        return f"unknown {'directive' if bracket else 'entry'} '{array}'"
    if array == "access.suppress_path" and key != "]":
        return "Keys provided to field 'access.suppress_path' are ignored"
    if array == "access.suppress_path" and not text.startswith("/"):
        return "Values provided to field 'access.suppress_path' must begin with '/'"
    fault = _fault(array, text)
    if fault is None:
        return None
    return (
        f"error while parsing '{name}' : {fault}" if bracket else f"unable to parse value for entry '{name}': {fault}"
    )


def _known(is_global: bool) -> frozenset[str]:
    return GLOBAL_DIRECTIVES if is_global else POOL_DIRECTIVES - {"listen.setfib"}  # which is for FreeBSD


def _fault(name: str, text: str) -> str | None:
    kind = KINDS.get(name, "")
    if name in _WORDS:
        words, fault = _WORDS[name]
        return None if re.fullmatch(words, text, re.IGNORECASE) else fault
    if kind == "pm" and text.lower() not in MANAGERS:
        return "invalid process manager (static, dynamic or ondemand)"
    if kind == "time" and (not text or text[-1] not in "0123456789smhd"):
        return "unknown suffix used in time value" if text else "invalid time value"
    if kind == "integer" or (name == "rlimit_core" and text.lower() != "unlimited"):
        if re.fullmatch(r"-?[0-9]*", text) is None:
            return "is not a valid number (greater or equal than zero)"
        if name == "rlimit_core" and _atoi(text) < 0:
            return "must be greater than zero or 'unlimited'"
    return None


def render(settings: PoolSettings, *, pool: str, comments: Sequence[str] = ()) -> str:
    """Write settings as a pool section.

    Parameters
    ----------
    settings : PoolSettings
    pool : str
        The section's name: letters, digits, ``_``, ``.``, ``-``, at most 64.
    comments : sequence of str, optional
        One line each, above the section.

    Returns
    -------
    str
        INI text with a final newline, for ``php-fpm -t`` once the pool also has ``listen`` (and
        ``user``, for root). Spare settings are written for a dynamic pool only,
        ``pm.process_idle_timeout`` for an ondemand one.

    Raises
    ------
    InvalidInput
        A pool name or comment that would change what the file says.

    Examples
    --------
    >>> print(render(PoolSettings(pm="static", max_children=8), pool="www", comments=["8 workers"]), end="")
    ; 8 workers
    [www]
    pm = static
    pm.max_children = 8
    """
    if _POOL_NAME.fullmatch(pool) is None or pool.lower() == "global":
        hint = "global is FPM's own section" if pool.lower() == "global" else ""
        rule = "must be 1 to 64 letters, digits, _, . or -, and not global"
        raise InvalidInput([Problem("pool", rule, repr(pool[:80]), hint)])
    for comment in comments:
        # str.isprintable is False for every line end and control character, whatever splits lines later.
        if not comment.isprintable():
            raise InvalidInput([Problem("comments", "must each be one printable line", repr(comment[:80]), "")])
    lines = [f"; {comment}".rstrip() for comment in comments] + [f"[{pool}]"]
    directives = {d.name: _written(d, getattr(settings, d.field)) for d in SIZING if _applies(d, settings)}
    lines += [f"{name} = {text}" for name, text in directives.items()]
    return "\n".join(lines) + "\n"


def _applies(directive: Directive, settings: PoolSettings) -> bool:
    return getattr(settings, directive.field) is not None and directive.only_for in (None, settings.pm)


def _written(directive: Directive, value: str | int | float) -> str:
    if isinstance(value, str):
        return value
    if value != int(value):
        hint = "FPM cuts decimals off"
        raise InvalidInput([Problem(directive.name, "must be a whole number", str(value), hint)])
    return f"{int(value)}s" if directive.kind == "time" else str(int(value))


def convert(kind: str, name: str, text: str, notes: list[Note]) -> str | int:
    """Convert the text of one directive as FPM does.

    Parameters
    ----------
    kind : {"pm", "integer", "time"}
    name : str
        The directive, for messages.
    text : str
    notes : list of Note
        Gets a note where the value is not what it seems.

    Returns
    -------
    str or int

    Raises
    ------
    InvalidInput
        What FPM cannot convert.

    Examples
    --------
    >>> convert("time", "request_slowlog_timeout", "2m", [])
    120
    """
    return _CONVERTERS[kind](name, text, notes)


def _manager(name: str, text: str, _notes: list[Note]) -> str:
    if text.lower() not in MANAGERS:
        raise InvalidInput([Problem(name, "must be static, dynamic or ondemand", repr(text), "")])
    return text.lower()


def _integer(name: str, text: str, notes: list[Note]) -> int:
    if re.fullmatch(r"-?[0-9]*", text) is None:
        hint = "no units, signs or decimals"
        raise InvalidInput([Problem(name, "must be a whole number", repr(_shorten(text)), hint)])
    value = _atoi(text)
    if text.lstrip("-").lstrip("0") != str(abs(value)).lstrip("0"):
        notes.append(Note("wrap", name, f"{name} = {_shorten(text)} does not fit 32 bits: FPM takes it for {value}"))
    return value


def _time(name: str, text: str, notes: list[Note]) -> int:
    if not text or text[-1] not in "0123456789smhd":
        hint = "write whole seconds, such as 30s"
        raise InvalidInput([Problem(name, "must be a number and one of s, m, h, d", repr(_shorten(text)), hint)])
    number, letter = (text, "s") if text[-1].isdigit() else (text[:-1], text[-1])
    value = _wrap(_atoi(number) * _PER_LETTER[letter])
    if re.fullmatch(r"-?[0-9]+", number) is None:
        message = f"{name} = {_shorten(text)} is read by FPM as {value} s: only the last letter counts"
        notes.append(Note("time-letter", name, message))
    elif len(number) > 18 or value != int(number) * _PER_LETTER[letter]:
        notes.append(Note("wrap", name, f"{name} = {_shorten(text)} does not fit 32 bits: FPM takes it for {value} s"))
    return value


_CONVERTERS: Mapping[str, Callable[[str, str, list[Note]], str | int]] = {
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
