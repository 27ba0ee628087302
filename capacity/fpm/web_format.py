r"""Access logs of web servers: nginx' ``log_format`` and Apache's ``LogFormat``, compiled to readers of their lines.

A web server's times are not the time a worker was held: ``$upstream_response_time`` has the wait for a worker in
it, ``$request_time`` and Apache's ``%D`` also the sending of the answer to the client.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Final

from capacity.errors import InvalidInput, Problem
from capacity.fpm.log_line import NUMBER, TEXT, Column, LineFormat, Quantity, Raw
from capacity.fpm.log_time import has_zone, time_pattern
from capacity.units import shown

__all__ = [
    "APACHE_FORMATS",
    "COMBINED",
    "NGINX_FORMATS",
    "TIMES",
    "apache_format",
    "missing",
    "nginx_format",
    "web_formats",
]

COMBINED: Final = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"'
)
"""What nginx writes unless told otherwise; Apache's ``combined`` looks the same."""
NGINX_FORMATS: Final = {
    "nginx combined": COMBINED,
    "nginx main": f'{COMBINED} "$http_x_forwarded_for"',
    "ingress-nginx": (
        f"{COMBINED} $request_length $request_time [$proxy_upstream_name] [$proxy_alternative_upstream_name]"
        " $upstream_addr $upstream_response_length $upstream_response_time $upstream_status $req_id"
    ),
}
APACHE_FORMATS: Final = {
    "Apache common": '%h %l %u %t "%r" %>s %b',
    "Apache combined": '%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"',
    "Apache vhost_combined": '%v:%p %h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i"',
}
TIMES: Final = rb"(?:(?:-|[0-9.]++)(?:(?:, ?+| : )(?:-|[0-9.]++))*+)?+"
"""A time, or one for each upstream that was tried: ``0.100, 0.004``, over an internal redirect ``0.1 : 0.2``."""

_LONGEST = 8192
# What a value in quotes looks like where a quote in it is written with a backslash before it.
_ESCAPED = rb'[^"\\\n]*+(?:\\.[^"\\\n]*+)*+'
_WORDS = rb"[^ \r\n]*+(?:(?:(?<=,)| :) [^ \r\n]++)*+"

# In order of preference: the first of a format's variables that tells a quantity is the one that is read.
_NGINX: Final[dict[str, Column]] = {
    "msec": Column("ended", time_pattern("epoch"), time_format="epoch"),
    "time_iso8601": Column("ended", time_pattern("iso"), time_format="iso"),
    "time_local": Column("ended", time_pattern("clf"), time_format="clf"),
    "request_time": Column("request_time", NUMBER),
    "upstream_response_time": Column("upstream_time", TIMES),
    "status": Column("status", NUMBER),
    **dict.fromkeys(("request_uri", "request", "uri", "document_uri", "fastcgi_script_name"), Column("route")),
    **dict.fromkeys(
        ("http_x_forwarded_for", "proxy_add_x_forwarded_for", "http_cf_connecting_ip", "http_x_real_ip"),
        Column("client"),
    ),
    **dict.fromkeys(("proxy_protocol_addr", "remote_addr", "realip_remote_addr"), Column("client")),
}
_NGINX_NUMBERS = re.compile(r"(?:body_)?bytes_sent\Z|request_length\Z|connection(?:_requests)?\Z")
_NGINX_LISTS = re.compile(r"upstream_(?:addr|status|response_length|bytes_\w+|\w+_time)\Z")
_APACHE: Final[dict[str, Column]] = {
    "D": Column("request_time", NUMBER, 1e-6),
    "{us}T": Column("request_time", NUMBER, 1e-6),
    "{ms}T": Column("request_time", NUMBER, 1e-3),
    "{s}T": Column("request_time", NUMBER),
    "T": Column("request_time", NUMBER),
    ">s": Column("status", NUMBER),
    "s": Column("status", NUMBER),
    "<s": Column("status", NUMBER),
    **dict.fromkeys(("r", "U", "{REQUEST_URI}e", "f"), Column("route")),
    **dict.fromkeys(("{x-forwarded-for}i", "{cf-connecting-ip}i", "{x-real-ip}i", "a", "h", "{c}a"), Column("client")),
}
_FORWARDED = {"http_x_forwarded_for", "proxy_add_x_forwarded_for", "{x-forwarded-for}i"}

_DIRECTIVE = re.compile(r"log_format\s+[^\s;]+\s+(?:escape=(\w+)\s+)?")
_QUOTED = re.compile(r"""\s*(?:'((?:[^'\\]|\\.)*+)'|"((?:[^"\\]|\\.)*+)"|([^\s'";]++))""")
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_LOG_FORMAT = re.compile(r'LogFormat\s+"((?:[^"\\]|\\.)*+)"(?:\s+\S+)?\s*\Z', re.IGNORECASE)
_CONVERSION = re.compile(r"%(!?[0-9,]*)([<>]?)(?:\{([^}]*)\})?(\^[A-Za-z]{2}|[A-Za-z%])")
# A stamp in pieces, as in %{%F %T}t.%{msec_frac}t %{%z}t, is one stamp.
_STAMP_IN_PIECES = re.compile(r"%\{([^{}%]*+%[^{}]*+)\}t([^%\n]{0,2})%\{([mu]sec_frac|[^{}%]*+%[^{}]*+)\}t")

_EPOCH_IN_PIECES = re.compile(r"%\{(begin:|end:|)sec\}t\.%\{[mu]sec_frac\}t")

Parts = list[tuple[str, bytes | Column | Raw]]


def nginx_format(text: str, *, name: str = "log_format") -> LineFormat:
    r"""Compile an nginx ``log_format``.

    Parameters
    ----------
    text : str
        The format itself, or the whole directive as it is in the configuration.
    name : str
        What an error and the result call it.

    Returns
    -------
    LineFormat
        ``$upstream_response_time`` is ``upstream_time``, and nginx logs a request when it has ended. The client is
        the one of the forwarded header where there is such a variable.

    Raises
    ------
    InvalidInput
        For a format that says nothing, or whose variables could not be told apart.

    Examples
    --------
    >>> line = nginx_format("log_format main '$remote_addr [$time_local] ' '\"$request\" $status $request_time';")
    >>> sorted(line.quantities)
    ['client', 'ended', 'request_time', 'route', 'status']
    >>> line.strict.findall(b'::1 [24/Nov/2026:07:46:30 +0000] "GET /a HTTP/1.1" 200 0.012\n')
    [(b'::1', b'24/Nov/2026:07:46:30 +0000', b'GET /a HTTP/1.1', b'200', b'0.012', b'')]
    """
    written, escaping = _nginx_text(_checked(text, name), name)
    parts: Parts = []
    end = 0
    for match in _VARIABLE.finditer(written):
        parts += _literal(written[end : match.start()])
        end = match.end()
        variable = match[1] or match[2]
        pattern = NUMBER if _NGINX_NUMBERS.match(variable) else _WORDS if _NGINX_LISTS.match(variable) else TEXT
        parts.append((variable, _NGINX.get(variable, Column(None, pattern))))
    parts += _literal(written[end:])
    return _compiled(parts, name, text, apache=False, escaped=escaping == "json")


def apache_format(text: str, *, name: str = "LogFormat") -> LineFormat:
    r"""Compile an Apache ``LogFormat``.

    Parameters
    ----------
    text : str
        The format itself, or the whole directive; ``\"`` is a quote.
    name : str
        What an error and the result call it.

    Returns
    -------
    LineFormat
        ``%D`` and ``%T`` are ``request_time``; ``%t`` is when the request came, ``%{end:...}t`` when it ended.

    Raises
    ------
    InvalidInput
        For a format that says nothing, or whose conversions could not be told apart.

    Examples
    --------
    >>> line = apache_format(r'LogFormat "%h %l %u %t \"%r\" %>s %b %D" timed')
    >>> line.strict.findall(b'::1 - - [24/Nov/2026:07:46:30 +0000] "GET /a HTTP/1.1" 200 512 12345\n')
    [(b'::1', b'24/Nov/2026:07:46:30 +0000', b'GET /a HTTP/1.1', b'200', b'12345', b'')]
    """
    written = _checked(text, name)
    directive = _LOG_FORMAT.match(written)
    written = (directive[1] if directive else written).replace('\\"', '"').replace("\\t", "\t")
    if "%" in _CONVERSION.sub("", written):
        rule = "must have a letter after every %"
        raise InvalidInput([Problem(name, rule, shown(text), "write %% for a percent")])
    written = _EPOCH_IN_PIECES.sub(r"%{\1sec}t", written)
    while (merged := _STAMP_IN_PIECES.sub(_one_stamp, written)) != written:
        written = merged
    parts: Parts = []
    end = 0
    for match in _CONVERSION.finditer(written):
        parts += _literal(written[end : match.start()])
        end = match.end()
        parts += _conversion(*match.groups(default=""), name=name)
    parts += _literal(written[end:])
    return _compiled(parts, name, text, apache=True, escaped=True)


@cache
def web_formats() -> tuple[LineFormat, ...]:
    """Formats that are known by name.

    Returns
    -------
    tuple of LineFormat
        Those of `NGINX_FORMATS` and `APACHE_FORMATS`; ``nginx main`` also with the peer as the client.

    Examples
    --------
    >>> web_formats()[0].name
    'nginx combined'
    """
    # Without a proxy before it every X-Forwarded-For is "-": then the peer is the client.
    direct = NGINX_FORMATS["nginx main"].replace("$http_x_forwarded_for", "$nothing")
    known = [nginx_format(text, name=name) for name, text in NGINX_FORMATS.items()]
    known += [apache_format(text, name=name) for name, text in APACHE_FORMATS.items()]
    return (*known, nginx_format(direct, name="nginx main"))


def _checked(text: str, name: str) -> str:
    if not text.strip() or len(text) > _LONGEST:
        raise InvalidInput([Problem(name, f"must be a format of 1 to {_LONGEST} characters", shown(text))])
    return text.strip()


def _nginx_text(text: str, name: str) -> tuple[str, str]:
    """Give the format and how values are escaped, from the format, its quoted pieces or the whole directive."""
    directive = _DIRECTIVE.match(text)
    if not directive and not (text[0] == "'" and text.rstrip("; \n")[-1] == "'"):
        return text.replace('\\"', '"'), "json" if text.startswith("{") else ""
    pieces = []
    end = directive.end() if directive else 0
    while match := _QUOTED.match(text, end):
        pieces.append(match[1] or match[2] or match[3] or "")
        end = match.end()
    if text[end:].strip() not in {"", ";"}:
        rule = "must be quoted pieces of text and end in ;"
        raise InvalidInput([Problem(name, rule, shown(text[end:]), "give one log_format directive")])
    written = re.sub(r"\\(['\"\\])", r"\1", "".join(pieces).replace("\\t", "\t").replace("\\n", "\n"))
    return written.rstrip("\n"), (directive[1] or "") if directive else ""


def _literal(text: str) -> Parts:
    return [("", text.encode("utf-8", "backslashreplace"))] if text else []


def _one_stamp(pieces: re.Match[str]) -> str:
    first, between, second = pieces.groups()
    return f"%{{{first}{between}{'%f' if second.endswith('_frac') else second}}}t"


def _conversion(condition: str, which: str, argument: str, letter: str, *, name: str) -> Parts:
    if letter == "%":
        return _literal("%")
    if condition:  # says something of some requests only
        return [("", Column())]
    if letter == "t":
        return _apache_time(argument, name)
    if letter == "i":
        argument = argument.lower()
    source = (f"{{{argument}}}" if argument else which if letter == "s" else "") + letter
    return [(source, _APACHE.get(source, Column(None, NUMBER if letter in "bBIOSkpP" else TEXT)))]


def _apache_time(argument: str, name: str) -> Parts:
    moment, colon, time_format = argument.partition(":")
    quantity: Quantity = "ended" if moment == "end" and colon else "started"
    if not colon or moment not in {"begin", "end"}:
        time_format = argument
    if not time_format:
        return [("", b"["), ("t", Column(quantity, time_pattern("clf"), time_format="clf")), ("", b"]")]
    if time_format in {"msec_frac", "usec_frac"}:
        return [("", Raw(rb"[0-9]*+"))]
    if time_format in {"sec", "msec", "usec"}:
        time_format = "epoch"
    try:
        return [("t", Column(quantity, time_pattern(time_format), time_format=time_format))]
    except ValueError as error:
        rule = f"must have a time format that can be read back ({error})"
        raise InvalidInput([Problem(name, rule, shown(argument))]) from None


def _compiled(parts: Parts, name: str, text: str, *, apache: bool, escaped: bool) -> LineFormat:
    chosen = _delimited(_best_only(_joined(parts), list(_APACHE if apache else _NGINX)), name, escaped=escaped)
    if any(isinstance(part, bytes) and b"\n" in part for part in chosen):
        raise InvalidInput([Problem(name, "must be one line", shown(text))])
    columns = [part for part in chosen if isinstance(part, Column) and part.quantity is not None]
    if not columns:
        raise InvalidInput([Problem(name, "says nothing of a request", shown(text), "are its variables spelt right?")])
    wanted = ("%D", "%t") if apache else ("$upstream_response_time", "$msec")
    return LineFormat(name, chosen, notes=(*missing(columns, *wanted), *_doubts(columns, apache=apache)))


def _joined(parts: Parts) -> Parts:
    """Make one text of texts with nothing between them, such as $uri$is_args$args: nobody can tell where one ends."""
    joined: Parts = []
    for source, part in parts:
        if joined and _is_text(part) and _is_text(joined[-1][1]):
            if joined[-1][1].quantity is None:  # type: ignore[union-attr]
                joined[-1] = source, part
        else:
            joined.append((source, part))
    return joined


def _is_text(part: bytes | Column | Raw) -> bool:
    return isinstance(part, Column) and part.pattern == TEXT


def _best_only(parts: Parts, preference: list[str]) -> Parts:
    """Leave a quantity to the best of the columns that tell it."""
    best: dict[str, tuple[int, int]] = {}
    for at, (source, part) in enumerate(parts):
        if isinstance(part, Column) and part.quantity is not None:
            rank = (preference.index(source) if source in preference else len(preference)), at
            best[part.quantity] = min(best.get(part.quantity, rank), rank)
    wanted = {at for _, at in best.values()}
    return [
        (source, replace(part, quantity=None) if isinstance(part, Column) and at not in wanted else part)
        for at, (source, part) in enumerate(parts)
    ]


def _delimited(parts: Parts, name: str, *, escaped: bool) -> list[bytes | Column | Raw]:
    """Give every text the expression that finds its end."""
    chosen: list[bytes | Column | Raw] = []
    glued = 0
    for at, (source, part) in enumerate(parts):
        following = parts[at + 1][1] if parts[at + 1 :] else b""
        end = following[:1] if isinstance(following, bytes) else b""
        if not isinstance(part, Column) or part.pattern not in {TEXT, _WORDS}:
            # before a comma of the format a list would not know where to end
            comma = isinstance(part, Column) and part.pattern == TIMES and end == b","
            chosen.append(replace(part, pattern=NUMBER) if comma and isinstance(part, Column) else part)
            continue
        glued += not isinstance(following, bytes)
        rest = _WORDS if end == b" " and (part.pattern == _WORDS or source in _FORWARDED) else TEXT
        if end == b'"' and escaped:
            rest = _ESCAPED
        if part.quantity == "client" and end:
            # An address has no space in it; of several the visitor's is the first.
            chosen.append(replace(part, pattern=rb"[^ ,\\\n" + re.escape(end) + rb"]*+"))
            if source not in _FORWARDED:
                continue
            part = Column()
        chosen.append(replace(part, pattern=rest))
    if glued > 1:
        rule = "must have something between its variables: nobody can tell where one ends"
        raise InvalidInput([Problem(name, rule)])
    return chosen


def missing(columns: Iterable[Column], time_of_request: str, clock: str) -> list[str]:
    """Say what a planner misses in a format.

    Parameters
    ----------
    columns : iterable of Column
    time_of_request, clock : str
        What would have to be added.

    Returns
    -------
    list of str

    Examples
    --------
    >>> missing([Column("upstream_time")], "%D", "%t")
    ['it logs no time of day: when requests came is unknown; add %t']
    """
    told = {column.quantity for column in columns}
    notes = []
    if not told & {"service_time", "upstream_time", "request_time"}:
        notes.append(f"no service time: it does not log how long a request took; add {time_of_request}")
    if not told & {"started", "ended"}:
        notes.append(f"it logs no time of day: when requests came is unknown; add {clock}")
    return notes


def _doubts(columns: Sequence[Column], *, apache: bool) -> Iterator[str]:
    told = {column.quantity for column in columns}
    whole = any(column.quantity == "request_time" and column.scale == 1 for column in columns)
    if apache and whole:
        yield "its %T is in whole seconds; write %D"
    if not apache and whole and "upstream_time" not in told:
        yield "$request_time has the sending of the answer in it; add $upstream_response_time"
    if any(column.time_format and not has_zone(column.time_format) for column in columns):
        yield "its times have no zone (%z) and are read as UTC"
