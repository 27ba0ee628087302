r"""Read PHP-FPM's status page in any of its formats, and what Prometheus exporters make of it.

Every reader turns its format into the same raw fields, text under the keys of the JSON page, and one place judges
them: a value that cannot be true is unknown (None) with a note, because the rest is still worth having.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NoReturn

from capacity.errors import InvalidInput, Problem
from capacity.fpm.log_time import clock
from capacity.units import shown

__all__ = ["LARGEST_PAGE", "PoolStatus", "WorkerStatus", "read_exporter", "read_status"]

LARGEST_PAGE: Final = 16 << 20
"""The largest page read [byte]; that of a thousand workers has some 400 KB."""
Fields = Mapping[str, object]
_MOST_WORKERS = 50_000
_NUMBER = re.compile(r"[0-9]{1,20}+(?:\.[0-9]{1,20}+)?+(?:[eE][+-]?+[0-9]{1,3}+)?+")
# Beyond it a float no longer tells one from the next, and the negative numbers FPM writes as unsigned are far beyond.
_LARGEST, _YEAR_3000 = 2.0**53, 32503680000.0
# What `cgi-fcgi` and `curl -i` write before the page; a text page has a space in its second key.
_HEADERS = re.compile(r"\A(?:HTTP/[^\r\n]*+\r?\n)?+(?:[A-Za-z-]++:[^\r\n]*+\r?\n)++\r?\n")
_METRICS = re.compile(r"^(?:# (?:HELP|TYPE) )?phpfpm_", re.M)
_UP_HELP = re.compile(r"^# HELP phpfpm_up Could pool (\S++) using a (\S++) PM", re.M)
_SAMPLE = re.compile(r'^phpfpm_([a-z_]++)(?:\{((?:[^"}\n]|"(?:[^"\\\n]|\\.)*+")*+)\})?+[ \t]++([^ \t\r\n]++)', re.M)
_LABEL = re.compile(r'([A-Za-z_][A-Za-z0-9_]*+)[ \t]*+=[ \t]*+"((?:[^"\\]|\\.)*+)"')
_ESCAPED = re.compile(r"\\(.)")
_OF_A_WORKER = frozenset({"child", "pid", "pid_hash", "state"})
_COUNTS = {
    "accepted": "accepted conn", "listen_queue": "listen queue", "max_listen_queue": "max listen queue",
    "listen_queue_limit": "listen queue len", "idle": "idle processes", "active": "active processes",
    "total": "total processes", "max_active": "max active processes", "max_children_reached": "max children reached",
    "slow_requests": "slow requests", "memory_peak": "memory peak",
}  # fmt: skip
_WORKER_TEXTS = {
    "state": "state", "method": "request method", "uri": "request uri", "script": "script", "user": "user",
}  # fmt: skip
_WORKER_NUMBERS = ("request duration", "last request cpu", "last request memory")
_TEXT_KEYS = frozenset({"pool", "process manager", "start time", "start since", "pid", "requests", "content length"})
_KEYS = _TEXT_KEYS.union(_COUNTS.values(), _WORKER_TEXTS.values(), _WORKER_NUMBERS)
_METRIC_KEYS = {
    **{key.replace(" ", "_"): key for key in ("up", "start since", *_COUNTS.values())},
    **{f"process_{key.replace(' ', '_')}": key for key in ("requests", "state", *_WORKER_NUMBERS)},
    "accepted_connections": "accepted conn",
    "listen_queue_length": "listen queue len",
}


@dataclass(frozen=True)
class WorkerStatus:
    """One worker on a full page; None is what the page does not say.

    Parameters
    ----------
    pid, requests, content_length : int or None
        Its process, how many requests it has begun, and the size of the last one's body [byte].
    state : str or None
        ``Idle``, ``Running``, ``Reading headers``, ``Getting request informations``, ``Ending``, ``Finishing``.
    started : float or None
        When it was forked, since the epoch [s].
    elapsed : float or None
        Time its last request took when Idle, time since the request began otherwise [s].
    method, uri, script, user : str or None
        Of that request, the query string as part of ``uri``.
    cpu, memory : float or None, int or None
        Share of one core [-] (above 1 for a request shorter than the 10 ms tick) and peak memory [byte] (in steps of
        2 MiB) of the last request, only when Idle.
    """

    pid: int | None = None
    state: str | None = None
    started: float | None = None
    requests: int | None = None
    elapsed: float | None = None
    method: str | None = None
    uri: str | None = None
    script: str | None = None
    content_length: int | None = None
    user: str | None = None
    cpu: float | None = None
    memory: int | None = None


@dataclass(frozen=True)
class PoolStatus:
    """What one status page says; None is what it does not say or cannot be true.

    Parameters
    ----------
    pool, process_manager : str or None
        Its name, and ``static``, ``dynamic`` or ``ondemand``.
    started, uptime : float or None
        When FPM started or was reloaded, since the epoch, and the time since then [s].
    accepted : int or None
        Requests since then, also queries of this page over the pool's own socket.
    listen_queue, max_listen_queue, listen_queue_limit : int or None
        Connections that wait: now, at most so far, at most possible; told of TCP sockets only, once a second.
    idle, active, total, max_active : int or None
        Workers now, and the most that were active at once.
    max_children_reached, slow_requests : int or None
        Times more workers were wanted (a static pool never says so); requests over ``request_slowlog_timeout``.
    memory_peak : int or None
        Largest memory of any request [byte]; PHP 8.4 and later.
    workers : tuple of WorkerStatus
        Empty unless the page is a full one.
    notes : tuple of str
        What is odd, and what is unknown and why.
    """

    pool: str | None = None
    process_manager: str | None = None
    started: float | None = None
    uptime: float | None = None
    accepted: int | None = None
    listen_queue: int | None = None
    max_listen_queue: int | None = None
    listen_queue_limit: int | None = None
    idle: int | None = None
    active: int | None = None
    total: int | None = None
    max_active: int | None = None
    max_children_reached: int | None = None
    slow_requests: int | None = None
    memory_peak: int | None = None
    workers: tuple[WorkerStatus, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def stuck(self) -> int | None:
        """Workers in "Reading headers", which wait for a request; None unless the page lists workers."""
        return sum(worker.state == "Reading headers" for worker in self.workers) if self.workers else None

    def busy(self, own_query: bool) -> int:
        """Count the active workers without the one that answered the query.

        Parameters
        ----------
        own_query : bool
            True if the page was asked for over the pool's own socket, False over ``pm.status_listen``.

        Returns
        -------
        int
            Workers, at least 0.

        Raises
        ------
        InvalidInput
            If the page does not say how many are active.

        Examples
        --------
        >>> PoolStatus(active=3).busy(own_query=True), PoolStatus(active=0).busy(own_query=True)
        (2, 0)
        """
        if self.active is None:
            _refuse("does not say how many workers are active", hint="; ".join(self.notes))
        return max(0, self.active - own_query)


def read_status(data: bytes) -> PoolStatus:
    r"""Read one status page: ``?json``, plain text, either of them ``full``, or ``?openmetrics``.

    Parameters
    ----------
    data : bytes
        The page; headers before it, as ``cgi-fcgi`` and ``curl -i`` write them, are skipped.

    Returns
    -------
    PoolStatus

    Raises
    ------
    InvalidInput
        For anything that is not such a page: HTML, XML, cut-off JSON, several pools, more than 16 MiB.

    Examples
    --------
    >>> status = read_status(b'{"pool":"www","active processes":3,"idle processes":5,"total processes":8}')
    >>> status.pool, status.active, status.idle, status.accepted
    ('www', 3, 5, None)
    """
    text = _text_of(data)
    if text.startswith("<"):
        _refuse("must not be HTML or XML", text, "ask pm.status_path for the page with ?json")
    if text.startswith(("{", "[")):
        return _json_page(text)
    pool, *others = _metric_pools(text) if _METRICS.search(text) else [_text_page(text)]
    if others:
        _refuse(f"must be of one pool, not {1 + len(others)}", hint="an exporter's text is read by read_exporter")
    return pool


def read_exporter(data: bytes) -> tuple[PoolStatus, ...]:
    r"""Read the Prometheus text of an FPM exporter (hipages, phpeek) or of FPM itself.

    Parameters
    ----------
    data : bytes
        May hold other metrics and any number of pools.

    Returns
    -------
    tuple of PoolStatus
        In the order they appear. Pools of one name that differ in another label (``scrape_uri``) are two.

    Raises
    ------
    InvalidInput
        If there are no ``phpfpm_`` metrics.

    Examples
    --------
    >>> text = b'phpfpm_active_processes{pool="www"} 3\nphpfpm_active_processes{pool="shop"} 1\n'
    >>> [(status.pool, status.active) for status in read_exporter(text)]
    [('www', 3), ('shop', 1)]
    """
    return _metric_pools(_text_of(data))


def _refuse(rule: str, value: str = "", hint: str = "") -> NoReturn:
    raise InvalidInput([Problem("the status page", rule, shown(value[:200]) if value else "", hint)])


def _text_of(data: bytes) -> str:
    if len(data) > LARGEST_PAGE:
        _refuse("must be at most 16 MiB", hint=f"it has {len(data)} bytes")
    if b"\0" in data:
        _refuse("must be text", hint="it has a NUL byte: is it compressed, or another file?")
    text = data.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")  # request URIs may hold any byte
    if not (text := _HEADERS.sub("", text, count=1).lstrip()):
        _refuse("is empty", hint="ask with GET, not HEAD, and keep the body of the answer")
    return text


def _json_page(text: str) -> PoolStatus:
    try:
        # Numbers stay text: a number of a million digits or 1e400 is then a value like any other.
        page = json.loads(text, parse_int=str, parse_float=str, parse_constant=str, strict=False)
    except RecursionError:
        _refuse("is nested too deeply", text)
    except json.JSONDecodeError as error:
        around = text[max(0, error.pos - 20) : error.pos + 20]
        if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated"):
            _refuse("is cut off: its JSON does not end", around, "ask again")
        _refuse("is not valid JSON", around, "older PHP does not escape quotes in URIs and users: ask without json")
    if not isinstance(page, dict):
        _refuse("must be one JSON object", text)
    listed = page.get("processes", [])
    workers = [fields for fields in listed if isinstance(fields, dict)] if isinstance(listed, list) else []
    return _pool(text, page, workers, "" if workers == listed else "what is no worker in 'processes' was left out")


def _text_page(text: str) -> PoolStatus:
    blocks: list[dict[str, object]] = [{}]
    for match in re.finditer(r"[^\n]++", text):
        key, colon, value = match.group().partition(":")
        key = key.strip().lower()
        if key.startswith("***") and len(blocks) < _MOST_WORKERS + 2:
            blocks.append({})
        elif colon and key in _KEYS:
            blocks[-1].setdefault(key, value.strip())
    # The last keys every version writes: a block without them was cut off, maybe within a number.
    last, note = "last request memory" if blocks[1:] else "max children reached", ""
    if blocks[-1] and last not in blocks[-1]:
        note = f"the page is cut off after {next(reversed(blocks[-1]))!r}; what follows is unknown"
        if not text.endswith("\n"):
            blocks[-1].popitem()
    return _pool(text, blocks[0], blocks[1:], note)


def _metric_pools(text: str) -> tuple[PoolStatus, ...]:
    pools: dict[tuple[tuple[str, str], ...], dict[str, object]] = {}
    workers: dict[tuple[tuple[str, str], ...], dict[tuple[str | None, ...], dict[str, object]]] = {}
    for name, label_text, value in _SAMPLE.findall(text):
        if (key := _METRIC_KEYS.get(name)) is None:
            continue
        labels = {label: _ESCAPED.sub(r"\1", escaped) for label, escaped in _LABEL.findall(label_text)}
        identity = tuple(sorted(label for label in labels.items() if label[0] not in _OF_A_WORKER))
        pool = pools.setdefault(identity, {"pool": labels.get("pool")})
        if not name.startswith("process_"):
            pool.setdefault(key, value)
            continue
        which = labels.get("pid"), labels.get("child")
        worker = workers.setdefault(identity, {}).setdefault(which, {"pid": which[0]})
        if key != "state":
            worker.setdefault(key, value)
        elif value != "0":  # there may be a line for every state, 0 for those it is not in
            worker.setdefault(key, labels.get("state"))
    if not pools:
        _refuse("has no phpfpm_ metrics", text, "is it the address of an FPM exporter?")
    if (own := _UP_HELP.search(text)) and () in pools:
        pools[()] |= {"pool": own[1], "process manager": own[2]}
    return tuple(_pool(text, pool, list(workers.get(identity, {}).values())) for identity, pool in pools.items())


def _pool(text: str, fields: Fields, workers: Sequence[Fields], note: str = "") -> PoolStatus:
    if fields.keys().isdisjoint({"up", *_COUNTS.values()}):
        _refuse("has none of FPM's counts", text, "is the address that of pm.status_path?")
    if len(workers) > _MOST_WORKERS:
        _refuse(f"must list at most {_MOST_WORKERS} workers")
    values = _Values()
    counts: dict[str, Any] = {name: values.count(fields, key) for name, key in _COUNTS.items()}
    if local := counts["listen_queue_limit"] == 0:  # FPM asks the kernel about TCP sockets only
        counts |= {"listen_queue": None, "max_listen_queue": None, "listen_queue_limit": None}
    if counts["memory_peak"] == 0 and counts["accepted"]:
        counts["memory_peak"] = None  # exporters say 0 for a PHP that does not tell, but no request takes none
    status = PoolStatus(
        pool=values.text(fields, "pool"),
        process_manager=values.text(fields, "process manager", known={"static", "dynamic", "ondemand"}),
        started=values.moment(fields),
        uptime=values.number(fields, "start since"),
        workers=tuple(map(values.worker, workers)),
        **counts,
    )
    notes = [note, *values.notes(), *_oddities(status)]
    if local:
        notes.append("listen queue is unknown: FPM says 0 for every unix socket; the kernel tells: ss -xl (Recv-Q)")
    if fields.get("up") == "0":
        notes.append("the exporter did not reach this pool (phpfpm_up 0)")
    return replace(status, notes=tuple(filter(None, notes)))


def _oddities(status: PoolStatus) -> Iterator[str]:
    recount = "FPM counts its workers anew only once a second, and PHP 8.4.1 miscounts (GH-16932)"
    listed, idle, active, total = len(status.workers), status.idle, status.active, status.total
    if idle is not None and active is not None and total is not None and idle + active != total:
        yield f"{idle} idle and {active} active workers are not the {total} of the total: {recount}"
    if listed and total is not None and listed != total:
        yield f"{listed} workers are listed, not the {total} of the total: {recount}"
    if (stuck := status.stuck or 0) >= 2 and 2 * stuck >= listed:
        why = "they wait for requests on connections the web server keeps open (fastcgi_keep_conn on), yet are active"
        yield f"{stuck} of {listed} workers are in 'Reading headers': {why}"


class _Values:
    """Takes values out of raw fields and remembers which of them could not be true."""

    def __init__(self) -> None:
        self._doubts: defaultdict[str, list[object]] = defaultdict(list)
        self._clock = clock("clf")

    def notes(self) -> Iterator[str]:
        for key, found in self._doubts.items():
            yield f"{key!r} is unknown{f' {len(found)} times' if found[1:] else ''}: it cannot be {shown(found[0])}"

    def text(self, fields: Fields, key: str, known: Collection[str] = ()) -> str | None:
        value = fields.get(key)
        if isinstance(value, str) and (value in known or not known):
            return value.encode("utf-8", "replace").decode()  # JSON may spell half a surrogate pair: not printable
        if value is not None:
            self._doubts[key].append(value)
        return None

    def number(self, fields: Fields, key: str, below: float = _LARGEST, whole: bool = False) -> float | None:
        value = fields.get(key)
        number = float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else math.inf
        if number < below and (number.is_integer() or not whole):
            return number
        if value is not None:
            self._doubts[key].append(value)
        return None

    def count(self, fields: Fields, key: str) -> int | None:
        number = self.number(fields, key, whole=True)
        return None if number is None else int(number)

    def moment(self, fields: Fields, key: str = "start time") -> float | None:
        value = fields.get(key)
        seconds = self._clock[value[:40].encode("utf-8", "replace")] if isinstance(value, str) else math.nan
        return self.number(fields, key, below=_YEAR_3000) if math.isnan(seconds) else seconds

    def worker(self, fields: Fields) -> WorkerStatus:
        given = {key: value for key, value in fields.items() if value not in ("", "-")}
        texts: dict[str, Any] = {name: self.text(given, key) for name, key in _WORKER_TEXTS.items()}
        elapsed, cpu = self.number(fields, "request duration"), self.number(fields, "last request cpu")
        requests, memory = self.count(fields, "requests"), self.count(fields, "last request memory")
        # FPM says 0 for both while a request runs, and before the first there is none they could be of.
        told = texts["state"] == "Idle" and requests != 0
        return WorkerStatus(
            pid=self.count(fields, "pid"),
            started=self.moment(fields),
            requests=requests,
            elapsed=None if elapsed is None else elapsed / 1e6,
            content_length=self.count(fields, "content length"),
            cpu=cpu / 100 if told and cpu is not None else None,
            memory=memory if told else None,
            **texts,
        )
