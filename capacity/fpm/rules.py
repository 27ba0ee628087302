"""What ``php-fpm -t`` says of a set of settings, and what it does not see.

The rules are those of ``fpm_conf.c`` (PHP 8.2 on Linux), in its order, with its words. What depends on the host
is not looked at, because nothing is opened here: whether users, groups and directories exist, whether a log can
be opened.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from capacity.errors import InvalidInput
from capacity.fpm.directives import KINDS, Note, complaint, convert
from capacity.fpm.settings import Examination, examine, listens_on_tcp, page_and_log_breaches

__all__ = ["Finding", "check", "refusal", "whole_number"]

Texts = Mapping[str, str]

# What an access.format may hold; %e and %o need a name in their braces, and a lone % may end it.
_FORMAT = re.compile(
    "(?:[^%]|%[%flmnpPqQrRsudCMtT]|%(?:{[^}]*})+[tT]|%(?:{[^}]*})*{[^}]+}[eo]|%{(?i:total|user|system|)}C"
    "|%{(?i:seconds|mill?i(?:seconds)?|micro(?:seconds)?|)}d|%{(?i:bytes|(?:kilo|mega)(?:bytes)?|)}M)*%?",
    re.DOTALL,
)
_SLOW = 30.0  # s in which a dynamic pool should be able to grow: half of what web servers wait for an answer
_SEVERITIES = ("error", "warning", "info")
_MERELY_GOOD_TO_KNOW = frozenset({"ignored", "start-default", "negative"})


@dataclass(frozen=True)
class Finding:
    """One thing to know about a configuration.

    Parameters
    ----------
    code : str
        Names the rule or the lint, for programs.
    severity : {"error", "warning", "info"}
        ``error``: ``php-fpm -t`` refuses the configuration. ``warning``: accepted, but it does not do what it
        seems to, or does harm. ``info``: accepted, and good to know.
    message : str
        What is the matter, and why.
    directive : str
        Its name in lower case; "" where a whole section is meant.
    value : str or None
        The text as read; None where the directive is absent.
    pool : str
        The pool, or ``global``.
    said : str
        FPM's own words for an error, without the file and line it puts in front; "" for a lint.
    """

    code: str
    severity: Literal["error", "warning", "info"]
    message: str
    directive: str
    value: str | None = None
    pool: str = "global"
    said: str = ""


def check(
    pools: Mapping[str, Texts],
    global_settings: Texts | None = None,
    *,
    read_timeout: float = 60.0,
    somaxconn: int | None = 4096,
    root: bool = True,
    overridden: Iterable[tuple[str, str, str]] = (),
) -> tuple[Finding, ...]:
    """Say what ``php-fpm -t`` would say of these settings, and what it does not see.

    Parameters
    ----------
    pools : mapping of str to mapping of str to str
        Pool name to its directives as read, for instance ``PoolFile.pools``.
    global_settings : mapping of str to str, optional
        The directives of ``[global]``; None if they are not known, which is not the same as empty.
    read_timeout : float, optional
        How long the web server waits for an answer [s]; nginx and Apache ship with 60 s.
    somaxconn : int, optional
        The kernel's ``net.core.somaxconn``; None if it is not known. 4096 since Linux 5.4.
    root : bool, optional
        Whether FPM is started as root, as it mostly is: every pool then needs ``user``.
    overridden : iterable of (str, str, str), optional
        ``PoolFile.overridden``: FPM also refuses a text it cannot convert where a later line overrides it.

    Returns
    -------
    tuple of Finding
        Errors first, in FPM's order: FPM prints the first one and stops (of several values it cannot convert,
        the one that comes first in the file). Then warnings, then infos.

    Notes
    -----
    A value that holds ``${NAME}`` is unknown: it breaks no rule, and an info says so.

    Examples
    --------
    >>> pool = {"user": "www-data", "listen": "/run/www.sock", "pm": "static", "pm.max_children": "0"}
    >>> refusal(check({"www": pool})).said
    '[pool www] pm.max_children must be a positive value'
    >>> pool |= {"pm.max_children": "5", "request_terminate_timeout": "500ms", "pm.status_listen": "9001"}
    >>> [finding.code for finding in check({"www": pool})]
    ['time-letter', 'terminate-above-web-server']
    """
    sections = {name: {key.lower(): text for key, text in pool.items()} for name, pool in pools.items()}
    overall = {key.lower(): text for key, text in (global_settings or {}).items()}
    examined = {name: examine(texts) for name, texts in sections.items()}
    hidden = tuple(overridden)
    findings = [
        *(found for name, texts in {"global": overall, **sections}.items() for found in _read(name, texts, hidden)),
        *_global_errors(overall, bool(sections)),
        *(
            finding
            for name in sections
            for finding in _pool_errors(name, sections[name], examined[name], overall, root)
        ),
        *_listen_errors(sections),
        *(finding for name, texts in sections.items() for finding in _access_log_errors(name, texts)),
        *(
            finding
            for name in sections
            for finding in _lints(name, sections[name], examined[name], read_timeout, somaxconn)
        ),
    ]
    if global_settings is not None:
        findings += _global_lints(overall, sections, examined)
    return tuple(sorted(findings, key=lambda finding: _SEVERITIES.index(finding.severity)))


def refusal(findings: tuple[Finding, ...]) -> Finding | None:
    """The error ``php-fpm -t`` stops at; None where it accepts.

    Parameters
    ----------
    findings : tuple of Finding
        What ``check`` found.

    Returns
    -------
    Finding or None

    Examples
    --------
    >>> refusal(check({})).said
    'No pool defined. at least one pool section must be specified in config file'
    """
    return next((finding for finding in findings if finding.severity == "error"), None)


def _read(section: str, texts: Texts, hidden: tuple[tuple[str, str, str], ...] = ()) -> Iterator[Finding]:
    """What FPM cannot convert, what it converts to something else, and what is unknown."""
    for where, name, text in hidden:
        if where == section:
            yield from (found for found in _read(section, {name: text}) if found.said)
    for name, text in texts.items():
        said = complaint(name, text, is_global=section == "global")
        notes: list[Note] = []
        if "${" in text:
            message = f"{name} = {text} depends on FPM's environment, so it was not checked"
            yield Finding("environment", "info", message, name, text, section)
        elif said is not None:
            known = not said.startswith(("unknown", "Array"))
            code, why = (
                ("unreadable-value", "FPM cannot read it") if known else ("unknown-directive", "FPM stops there")
            )
            yield Finding(code, "error", f"{name} = {text!r}: {why} ({said})", name, text, section, said)
        elif name in KINDS:
            convert(KINDS[name], name, text, notes)
        yield from (_noted(note, section, text) for note in notes)


def _noted(note: Note, section: str, text: str | None) -> Finding:
    severity: Literal["warning", "info"] = "info" if note.code in _MERELY_GOOD_TO_KNOW else "warning"
    return Finding(note.code, severity, note.message, note.directive, text, section)


def whole_number(texts: Texts, name: str, default: int) -> int | None:
    """A whole number as FPM converts it; None where it is unknown or cannot be converted."""
    text = texts.get(name)
    if text is None:
        return default
    try:
        return None if "${" in text else int(convert(KINDS[name], name, text, []))
    except InvalidInput:
        return None


def _global_errors(overall: Texts, has_pools: bool) -> Iterator[Finding]:
    def error(code: str, name: str, why: str, said: str) -> Finding:
        return Finding(code, "error", f"{name} = {overall.get(name)}: {why}", name, overall.get(name), said=said)

    limit, most, priority = (
        whole_number(overall, n, d) for n, d in (("log_limit", 1024), ("process.max", 0), ("process.priority", 64))
    )
    if limit is not None and limit < 512:
        yield error("log-limit", "log_limit", "a log line has at least 512 bytes", "log_limit must be greater than 512")
    if most is not None and most < 0:
        yield error("process-max-negative", "process.max", "0 is no limit", "process_max can't be negative")
    if priority is not None and priority != 64 and not -19 <= priority <= 20:
        said = "process.priority must be included into [-19,20]"
        yield error("priority", "process.priority", "must be from -19 to 20", said)
    mechanism = overall.get("events.mechanism", "epoll")
    if mechanism.lower() not in ("epoll", "poll", "select") and "${" not in mechanism:
        said = f"event mechanism '{mechanism}' is not available on this system"
        yield error("events-mechanism", "events.mechanism", "Linux has epoll, poll and select", said)
    if not has_pools:
        said = "No pool defined. at least one pool section must be specified in config file"
        yield Finding("no-pool", "error", "there is no [pool] section, and FPM needs one", "", said=said)


def _pool_errors(name: str, texts: Texts, examined: Examination, overall: Texts, root: bool) -> Iterator[Finding]:
    def error(code: str, directive: str, message: str, said: str) -> Finding:
        return Finding(code, "error", message, directive, texts.get(directive), name, f"[pool {name}] {said}")

    if root and "user" not in texts:
        message = "user is missing: started as root, FPM will not run PHP as root by accident"
        yield error("user-missing", "user", message, "user has not been defined")
    if not texts.get("listen"):
        message = "listen is missing: the pool needs a socket or a port of its own"
        yield error("listen-missing", "listen", message, "no listen address have been defined!")
    priority = whole_number(texts, "process.priority", 64)
    if priority is not None and priority != 64 and not -19 <= priority <= 20:
        said = "process.priority must be included into [-19,20]"
        yield error("priority", "process.priority", f"process.priority = {priority} must be from -19 to 20", said)
    mechanism = overall.get("events.mechanism", "epoll").lower()
    if examined.values.get("pm") == "ondemand" and mechanism in ("poll", "select"):
        said = (
            "ondemand process manager can ONLY be used when events.mechanism is either epoll (Linux) or kqueue (*BSD)."
        )
        yield error("ondemand-events", "pm", f"pm = ondemand needs events.mechanism = epoll, not {mechanism}", said)
    terminate = examined.values.get("request_terminate_timeout", 0)
    for breach in (*examined.breaches, *page_and_log_breaches(texts, terminate)):
        yield error(breach.code, breach.problem.field, str(breach.problem), breach.said)


def _listen_errors(sections: Mapping[str, Texts]) -> Iterator[Finding]:
    """No two pools may share an address; a pm.status_listen is a pool of its own, after all the others."""
    rows = [
        (name, "listen", texts["listen"], texts.get("prefix", ""))
        for name, texts in sections.items()
        if texts.get("listen")
    ]
    for name, texts in sections.items():
        if texts.get("pm.status_listen") == "":
            message = "pm.status_listen is empty: the status pool needs a socket or a port"
            said = f"[pool {name}_status] no listen address have been defined!"
            yield Finding("listen-missing", "error", message, "pm.status_listen", "", name, said)
        elif "pm.status_listen" in texts:
            rows.append((name, "pm.status_listen", texts["pm.status_listen"], ""))
    addresses = [_address(text, prefix) for _, _, text, prefix in rows]
    titles = [f"{name}_status" if directive != "listen" else name for name, directive, _, _ in rows]
    for first, address in enumerate(addresses):
        for second in range(first + 1, len(addresses)):
            if address == addresses[second] and "${" not in address:
                name, directive, text, _ = rows[second]
                message = f"{directive} = {text} is also that of pool {titles[first]}: two pools cannot share one"
                said = f"unable to set listen address as it's already used in another pool '{titles[first]}'"
                yield Finding(
                    "listen-shared", "error", message, directive, text, name, f"[pool {titles[second]}] {said}"
                )


def _address(text: str, prefix: str) -> str:
    if listens_on_tcp(text) or text.startswith("/"):
        return text
    base = prefix if prefix.startswith("/") else f"/usr/{prefix}".rstrip("/")  # FPM's compiled-in prefix
    return f"{base}/{text}"


def _access_log_errors(name: str, texts: Texts) -> Iterator[Finding]:
    if texts.get("access.log") == "":
        said = "failed to open access log ()"
        yield Finding("access-log", "error", "access.log is empty: it is a file", "access.log", "", name, said)
    pattern = texts.get("access.format", "")
    if not texts.get("access.log") or "${" in pattern + texts["access.log"]:
        return
    if _FORMAT.fullmatch(pattern) is None:
        message = f"access.format = {pattern}: FPM does not know one of its %, or what its braces hold"
        said = f"[pool {name}] wrong format for access.format '{pattern}'"
        yield Finding("access-format", "error", message, "access.format", pattern, name, said)


def _lints(
    name: str, texts: Texts, examined: Examination, read_timeout: float, somaxconn: int | None
) -> Iterator[Finding]:
    def warn(code: str, directive: str, why: str) -> Finding:
        shown = f"{directive} = {texts[directive]}" if directive in texts else directive
        return Finding(code, "warning", f"{shown}{why}", directive, texts.get(directive), name)

    # What one value alone says (time-letter, wrap) has been found where it was read.
    notes = [note for note in examined.notes if note.code not in ("time-letter", "wrap")]
    yield from (_noted(note, name, texts.get(note.directive)) for note in notes)
    values = examined.values
    if values.get("pm") == "static" and not texts.get("pm.status_listen"):
        why = (
            " is missing: a static pool never counts `max children reached`, and a status page on the pool's own "
            "socket waits in the same queue as the requests, so nothing shows that the pool is full"
        )
        yield warn("static-without-status-listen", "pm.status_listen", why)
    least, start = values.get("min_spare_servers", 0), values.get("start_servers", 0)
    if values.get("pm") == "dynamic" and 1 <= least <= start:
        most = values.get("max_children", 0)
        grown = max(most - start, 0) / least + math.log2(least)  # s: the rate doubles up to min_spare
        if grown > _SLOW:
            why = (
                f": the pool forks at most so many workers a second, so from {start} to the {most} of pm.max_children "
                f"takes {grown:.0f} s, and a sudden rush waits meanwhile"
            )
            yield warn("slow-growth", "pm.min_spare_servers", why)
    terminate = values.get("request_terminate_timeout", 0)
    if terminate > read_timeout:
        why = (
            f": the web server gives up after {read_timeout:g} s, and the worker goes on for nobody up to {terminate} s"
        )
        yield warn("terminate-above-web-server", "request_terminate_timeout", why)
    elif terminate < 0:
        yield warn(
            "negative-timeout",
            "request_terminate_timeout",
            ": FPM accepts it and would kill every request at once; 0 turns it off",
        )
    if somaxconn is not None and values.get("listen_backlog", -1) > somaxconn:
        why = f": the kernel cuts it to net.core.somaxconn = {somaxconn}, so raise that or ask for less"
        yield warn("backlog-above-somaxconn", "listen.backlog", why)


def _global_lints(
    overall: Texts, sections: Mapping[str, Texts], examined: Mapping[str, Examination]
) -> Iterator[Finding]:
    def warn(code: str, directive: str, message: str) -> Finding:
        return Finding(code, "warning", message, directive, overall.get(directive))

    if whole_number(overall, "process_control_timeout", 0) == 0:
        message = (
            "process_control_timeout is 0: a reload or a stop kills the requests in flight (502); 10s lets most finish"
        )
        yield warn("requests-die-at-reload", "process_control_timeout", message)
    most = whole_number(overall, "process.max", 0)
    wanted = sum(found.values.get("max_children", 0) for found in examined.values())
    status = 2 * sum(bool(texts.get("pm.status_listen")) for texts in sections.values())
    if most and 0 < most < wanted + status:
        also = f" and {status} of the status pools" if status else ""
        message = (
            f"process.max = {most} is below the {wanted} workers that pm.max_children allows in all pools{also}: "
            "FPM stops forking there, and the pools that come last in the file get fewer workers or none"
        )
        yield warn("process-max-below-pools", "process.max", message)
