"""Ask Prometheus, or what speaks its HTTP API, how many workers were active.

A server asked over a network may hang, drip, never end or be another one altogether: the request runs in a thread of
its own, whose socket is shut when the time is over, so nothing the server does takes longer or more than it was given.
"""

from __future__ import annotations

import base64
import json
import math
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, Final, NoReturn
from urllib.parse import unquote, urlencode, urlsplit

import numpy as np

from capacity.errors import InvalidInput, MeasurementError, Problem
from capacity.fpm.series import ACCEPTED, ACTIVE, Series
from capacity.units import format_bytes, format_seconds, shortened, shown

__all__ = ["LARGEST_ANSWER", "active_processes", "query_range", "read_range"]

LARGEST_ANSWER: Final = 64 << 20
"""The largest answer read [byte]; samples take some fourteen times that in memory while they are read."""

# Prometheus refuses a query whose time is more than so many steps, whatever its configuration.
_MOST_STEPS = 11_000
_STEPS = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0)
_YEAR_3000, _LARGEST_VALUE = 32503680000.0, 2.0**53
_SHOWN, _WARNINGS = 8, 3
# FPM itself and the exporter of hipages say the first, those of bakins and phpeek the second.
_Metrics = tuple[tuple[str, dict[str, str]], ...]
_ACTIVE: _Metrics = ((ACTIVE, {}), ("phpfpm_processes_total", {"state": "active"}))
_ACCEPTED: _Metrics = ((ACCEPTED, {}), (f"{ACCEPTED}_total", {}))
_WHO = "is it Prometheus that answers, not a login page or a proxy?"
_HINTS: Final = {
    **dict.fromkeys((401, 403), "put the user into the address, http://user:password@host:9090, or give a header"),
    404: "give the base address of Prometheus, such as http://localhost:9090 or http://host/prometheus",
    503: "Prometheus is starting or overloaded: ask again, or for less time",
}


def query_range(
    url: str,
    query: str,
    *,
    start: float,
    end: float,
    step: float,
    timeout: float = 10.0,
    largest: int = LARGEST_ANSWER,
    headers: Mapping[str, str] | None = None,
) -> tuple[Series, ...]:
    """Ask Prometheus for a range of time.

    Parameters
    ----------
    url : str
        Its base address, such as ``http://localhost:9090`` or ``https://user:password@host/prometheus``.
    query : str
        In PromQL.
    start, end : float
        First and last time [s since the epoch].
    step : float
        From one sample to the next [s]; raised where those are more than Prometheus gives, which the notes then say.
    timeout : float
        For everything together [s].
    largest : int
        Of the answer [byte], at most `LARGEST_ANSWER`.
    headers : mapping of str to str, optional
        To send as well, such as ``Authorization`` or ``X-Scope-OrgID``. They and the password are for this address
        only, not for one it redirects to.

    Returns
    -------
    tuple of Series
        All that match; none if nothing does.

    Raises
    ------
    MeasurementError
        Whatever goes wrong, in one line with a hint and without the password.

    Examples
    --------
    >>> query_range("localhost:9090", "up", start=0, end=60, step=15)
    Traceback (most recent call last):
    capacity.errors.MeasurementError: 'localhost:9090' is no address of Prometheus: write it as http://localhost:9090
    """
    base, credentials = _split(url)
    if not (0 <= start < end < _YEAR_3000 and 0 < step < math.inf and 0 < timeout < threading.TIMEOUT_MAX):
        _fail(base, f"nothing to ask from {start} to {end} in steps of {step} within {timeout} s: start is before end")
    taken = max(step, 0.001)
    if (least := (end - start) / _MOST_STEPS) > taken:
        taken = next((nice for nice in _STEPS if nice >= least), math.ceil(least))
    asked = {"query": query, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{taken:.3f}"}
    address = f"{base}/api/v1/query_range?{urlencode(asked, errors='replace')}"
    status, body = _fetch(base, address, credentials | dict(headers or {}), timeout, min(largest, LARGEST_ANSWER))
    if status != 200 and not _refusal(_parsed(body)):
        _fail(base, f"HTTP status {status} with {shown(body[:200])}: {_HINTS.get(status, _WHO)}")
    try:
        found = read_range(body)
    except InvalidInput as error:
        _fail(base, str(error))
    if taken <= step:
        return found
    note = f"one sample in {format_seconds(taken)}, not in {format_seconds(step)}: Prometheus gives at most 11,000"
    return tuple(replace(series, notes=(*series.notes, note)) for series in found)


def active_processes(
    url: str,
    *,
    pool: str | None = None,
    instance: str | None = None,
    hours: float = 24.0,
    end: float | None = None,
    step: float = 15.0,
    timeout: float = 10.0,
    largest: int = LARGEST_ANSWER,
    headers: Mapping[str, str] | None = None,
) -> tuple[Series, Series | None]:
    """Ask Prometheus how many workers of a pool were active and how many requests it took.

    Parameters
    ----------
    url : str
        As for `query_range`.
    pool, instance : str, optional
        Values of the labels of that name; needed where there are several.
    hours : float
        How far to look back [h].
    end : float, optional
        From when [s since the epoch]; without it from now.
    step, largest, headers
        As for `query_range`.
    timeout : float
        For each of up to four queries [s].

    Returns
    -------
    tuple of (Series, Series or None)
        Active workers, and the counter of requests if there is one of the same labels: what
        `capacity.fpm.series.load_of` takes.

    Raises
    ------
    MeasurementError
        Also if there is no series, or more than one: it then lists what there is to choose from.
    """
    last = time.time() if end is None else end
    limits: dict[str, Any] = {"step": step, "timeout": timeout, "largest": largest, "headers": headers}
    ask = partial(query_range, url, start=last - hours * 3600, end=last, **limits)
    chosen = {name: value for name, value in (("pool", pool), ("instance", instance)) if value is not None}
    queries, found = _first(ask, _ACTIVE, chosen)
    if not found:
        hint = "is it scraped? FPM's own page has no label pool" if chosen else "is FPM scraped, and in these hours?"
        _fail(_split(url)[0], f"nothing in the last {hours:g} hours matches {' or '.join(queries)}: {hint}")
    if len(found) > 1:
        _fail(_split(url)[0], f"{queries[-1]} matches {len(found)}, name one by pool or instance: {_choices(found)}")
    [active] = found
    queries, counters = _first(ask, _ACCEPTED, chosen)
    labels = {name: value for name, value in active.labels.items() if name != "state"}
    accepted = next((counter for counter in counters if counter.labels == labels), None)
    if accepted is None:
        note = f"no counter of requests has the labels of the active workers: {' or '.join(queries)}"
        active = replace(active, notes=(*active.notes, note))
    return active, accepted


def read_range(data: bytes) -> tuple[Series, ...]:
    r"""Read the answer of Prometheus to ``GET /api/v1/query_range``, or to ``query``.

    Parameters
    ----------
    data : bytes
        JSON, at most 64 MiB.

    Returns
    -------
    tuple of Series
        All there are; of one sample each if the result is a vector or a scalar. Samples that are no finite number
        are left out and counted in the notes, which have the warnings as well.

    Raises
    ------
    InvalidInput
        For an error of Prometheus, which is shown, and for anything that is not such an answer.

    Examples
    --------
    >>> [series] = read_range(
    ...     b'{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":'
    ...     b'"phpfpm_active_processes","pool":"www"},"values":[[1795502790,"3"],[1795502805.5,"NaN"]]}]}}'
    ... )
    >>> series.name, series.labels, series.values, series.notes
    ('phpfpm_active_processes', {'pool': 'www'}, array([3.]), ('samples that are no number are left out: 1 of 2',))
    """
    if len(data) > LARGEST_ANSWER:
        _refuse("must be at most 64 MiB", f"{len(data)} bytes", "ask for less time or larger steps")
    if (answer := _parsed(data)) is None:
        _refuse("must be the JSON of Prometheus", shown(data[:200]), f"is it cut off? {_WHO}")
    if refusal := _refusal(answer):
        _refuse("is an error", refusal, "see the query and its times")
    content = answer.get("data")
    kind, rows = (content.get("resultType"), content.get("result")) if isinstance(content, dict) else (None, None)
    if kind == "scalar":
        rows = [{"metric": {}, "value": rows}]
    if kind not in ("matrix", "vector", "scalar") or not isinstance(rows, list):
        _refuse("must have a matrix as its result", shown(kind or data[:200]), "ask /api/v1/query_range")
    warnings = answer.get("warnings")
    texts = warnings[:_WARNINGS] if isinstance(warnings, list) else []
    return tuple(_series(row, [f"Prometheus warns: {shown(text, longest=300)}" for text in texts]) for row in rows)


def _parsed(data: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError):  # bytes that are no text as well
        return None
    return answer if isinstance(answer, dict) else None


def _refusal(answer: dict[str, Any] | None) -> str:
    if answer is None or answer.get("status") != "error":
        return ""
    return shown(f"{answer.get('errorType')}: {answer.get('error')}", longest=400)


def _series(row: Any, notes: list[str]) -> Series:
    metric = row.get("metric") if isinstance(row, dict) else None
    pairs = row.get("values", [row.get("value")]) if metric is not None else None
    if not isinstance(metric, dict) or not isinstance(pairs, list) or row.keys().isdisjoint({"value", "values"}):
        _refuse("must have a metric and values in every result", shown(row), "histograms have none: ask for a gauge")
    samples = [sample for sample in map(_sample, pairs) if sample is not None]
    if lost := len(pairs) - len(samples):
        notes = [*notes, f"samples that are no number are left out: {lost} of {len(pairs)}"]
    labels = {_printable(name): _printable(value) for name, value in metric.items()}
    times, values = np.reshape(np.array(samples, float), (-1, 2)).T
    return Series(times, values, labels, labels.pop("__name__", ""), tuple(notes))


def _printable(value: object) -> str:
    return str(value).encode("utf-8", "replace").decode()  # JSON may spell half a surrogate pair


def _sample(pair: Any) -> tuple[float, float] | None:
    try:
        moment, value = float(pair[0]), float(pair[1])
    except (TypeError, ValueError, OverflowError, LookupError):
        return None
    return (moment, value) if 0 <= moment < _YEAR_3000 and abs(value) < _LARGEST_VALUE else None


def _first(ask: Any, metrics: _Metrics, chosen: dict[str, str]) -> tuple[list[str], list[Series]]:
    """Try one metric after the other: the queries tried, and what the last of them found."""
    queries = []
    for metric, fixed in metrics:
        # JSON escapes what PromQL wants escaped, and in the same way.
        labels = {name: json.dumps(value, ensure_ascii=False) for name, value in (fixed | chosen).items()}
        matchers = ",".join(f"{name}={text}" for name, text in labels.items())
        queries.append(f"{metric}{{{matchers}}}" if matchers else metric)
        if found := [series for series in ask(queries[-1]) if len(series.times)]:
            return queries, found
    return queries, []


def _choices(found: list[Series]) -> str:
    names = dict.fromkeys(name for series in found for name in series.labels)
    telling = [name for name in names if len({series.labels.get(name) for series in found}) > 1]
    texts = [" ".join(shown(f"{name}={series.labels.get(name, '')}") for name in telling) for series in found[:_SHOWN]]
    return "; ".join(texts) + (f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")


def _split(url: str) -> tuple[str, dict[str, str]]:
    """Take an address apart: what may be shown of it, and the header that was its user and password."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    plain = host is not None and url.isascii() and url.isprintable() and not set(url) & set(" ?#")
    if host is None or not plain or "@" in parts.path or parts.scheme not in ("http", "https"):
        message = f"{shown(url.rpartition('@')[2])} is no address of Prometheus: write it as http://localhost:9090"
        raise MeasurementError(message)
    place = f"[{host}]" if ":" in host else host
    base = f"{parts.scheme}://{place}{'' if port is None else f':{port}'}{parts.path.rstrip('/')}"
    if parts.username is None:
        return base, {}
    both = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    return base, {"Authorization": f"Basic {base64.b64encode(both).decode()}"}


def _fetch(base: str, address: str, headers: dict[str, str], timeout: float, largest: int) -> tuple[int, bytes]:
    """Status and body of one GET, by its deadline."""
    if not all(text.isascii() and text.isprintable() for pair in headers.items() for text in pair):
        _fail(base, "a header has characters that cannot be sent: write printable ASCII")
    sockets: list[socket.socket] = []
    outcome: list[tuple[int, bytes, str] | Exception] = []

    def fetch() -> None:
        try:
            outcome.append(_get(address, headers, timeout, largest, sockets))
        except Exception as error:  # whatever it is, the caller is told in its own thread
            outcome.append(error)

    thread = threading.Thread(target=fetch, daemon=True)
    thread.start()
    try:
        thread.join(timeout)
        found = outcome[0] if outcome else TimeoutError()  # before the thread is woken by an end that is none
    finally:
        for each in sockets:
            with suppress(OSError):
                socket.socket.shutdown(each, socket.SHUT_RDWR)
    if isinstance(found, Exception):
        _fail(base, _problem(found, timeout))
    status, body, location = found
    if 300 <= status < 400:
        _fail(base, f"redirects to {shown(location)}, which is not followed: give the address of Prometheus itself")
    if len(body) > largest:
        _fail(base, f"the answer has more than {format_bytes(largest)}: ask for less time or larger steps")
    return status, body


def _get(
    address: str, headers: dict[str, str], timeout: float, largest: int, sockets: list[socket.socket]
) -> tuple[int, bytes, str]:
    import http.client
    import urllib.error
    import urllib.request as web

    def kept(kind: type[http.client.HTTPConnection], *arguments: Any, **options: Any) -> Any:
        connection: Any = kind(*arguments, **options)
        connect = connection.connect

        def connect_and_keep() -> None:
            connect()
            sockets.append(connection.sock)

        connection.connect = connect_and_keep
        return connection

    class Keeping(web.HTTPHandler, web.HTTPSHandler):
        def http_open(self, req: web.Request) -> http.client.HTTPResponse:
            return self.do_open(partial(kept, http.client.HTTPConnection), req)

        def https_open(self, req: web.Request) -> http.client.HTTPResponse:
            return self.do_open(partial(kept, http.client.HTTPSConnection), req)

    opener = web.OpenerDirector()  # without the handlers of file:, ftp: and data:
    known = (web.ProxyHandler, web.UnknownHandler, web.HTTPDefaultErrorHandler, web.HTTPRedirectHandler)
    for handler in (*known, web.HTTPErrorProcessor, Keeping):
        opener.add_handler(handler())
    request = web.Request(address)
    for name, value in headers.items():
        request.add_unredirected_header(name, value)
    try:
        with opener.open(request, timeout=timeout) as response:
            return response.status, response.read(largest + 1), ""
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(1 << 16), error.headers.get("Location", "")


def _problem(error: Exception, timeout: float) -> str:
    """Say what a failed request means and what to do."""
    import ssl

    reason = getattr(error, "reason", error)
    match reason:
        case TimeoutError():
            return f"no answer within {format_seconds(timeout)}: is it overloaded, or is a firewall in between?"
        case ConnectionRefusedError():
            return "connection refused, nothing listens there: is Prometheus running, and is this its port?"
        case socket.gaierror():
            return "the host name cannot be looked up: is it right?"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted ({reason.verify_message}): name its authority in SSL_CERT_FILE"
        case ssl.SSLError():
            return "it does not speak TLS: is it http://, not https://?"
        case OSError() | str():
            return f"cannot be asked ({shown(getattr(reason, 'strerror', None) or reason)}): {_WHO}"
    return f"the answer is no HTTP ({type(reason).__name__}): {_WHO}"


def _refuse(rule: str, value: str, hint: str) -> NoReturn:
    raise InvalidInput([Problem("the answer of Prometheus", rule, value, hint)])


def _fail(base: str, matter: str) -> NoReturn:
    message = shortened(f"{base}: {matter}", 1500)
    raise MeasurementError(message)
