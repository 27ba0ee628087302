"""Access logs that name their fields: JSON objects, LTSV and key=value.

The order of the keys is learned from a sample: lines of its most frequent shape are read by one fast expression,
all others by a fallback that looks the keys up. The fast one refuses text with a backslash, so that the fallback
decodes it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from statistics import median
from typing import Final

from capacity.fpm.log_line import LONGEST_LINE, Column, LineFormat, Quantity, Raw
from capacity.fpm.log_time import time_pattern
from capacity.fpm.web_format import COMBINED, TIMES, missing, nginx_format
from capacity.units import shown

__all__ = ["KEYS", "learned"]

KEYS: Final[Mapping[Quantity, tuple[str, ...]]] = {
    "upstream_time": (
        "upstream_response_time", "upstream_time", "urt", "apptime", "upstream_duration", "backend_time",
    ),
    "request_time": (
        "request_time", "reqtime", "rt", "response_time", "duration", "took", "taken", "time_taken", "elapsed",
        "elapsed_time", "request_duration", "processing_time", "execution_time", "exec_time", "runtime", "latency",
    ),
    "memory": ("memory", "mem", "memory_peak", "peak_memory", "mem_peak", "peak_mem", "memory_usage"),
    "cpu": ("cpu", "cpu_usage"),
    "status": ("status", "status_code", "http_status", "response_status", "response_code", "code"),
    "route": (
        "request_uri", "uri", "request_url", "url", "request_path", "path", "request", "req", "document_uri",
        "script_name", "script", "script_filename",
    ),
    "client": (
        "http_x_forwarded_for", "x_forwarded_for", "forwarded_for", "forwardedfor", "xff", "real_ip", "x_real_ip",
        "client_ip", "remote_ip", "remote_addr", "remote_address", "client_addr", "client", "ip", "remote_host",
    ),
    "started": ("started", "start", "start_time", "started_at"),
    "ended": (
        "msec", "time_iso8601", "@timestamp", "timestamp", "time", "ts", "datetime", "date", "time_local", "t",
    ),
}  # fmt: skip
"""Which keys say what, best first, compared without case and punctuation, at any depth of a JSON object.

Times may end in a unit (``duration_ms``, ``reqtime_microsec``), sizes too (``mem_kb``), CPU shares in ``percent``;
a unit may also stand behind the value (``12ms``). Without one a time is in seconds, memory in bytes, a CPU share
in percent. LTSV's ``host`` is the client. Beside memory or CPU the log is PHP's own and its time ``service_time``.
"""

# whose unit nginx or LTSV lays down
_SURE = {"request_time", "reqtime", "rt", "upstream_response_time", "urt", "apptime", "cpu"}
_SECONDS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "millis", "milliseconds"), 1e-3),
    **dict.fromkeys(("us", "µs", "usec", "microsec", "micros", "microseconds"), 1e-6),
    **dict.fromkeys(("ns", "nsec", "nanos", "nanoseconds"), 1e-9),
}
_BYTES = {"b": 1.0, "bytes": 1.0} | {
    letter + tail: 1024.0**n for n, letter in enumerate("kmg", 1) for tail in ("", "b", "ib")
}
_SHARES = {"percent": 0.01, "pct": 0.01, "%": 0.01}
_UNITS: Final[Mapping[Quantity, Mapping[str, float]]] = {
    "upstream_time": _SECONDS, "request_time": _SECONDS, "service_time": _SECONDS, "memory": _BYTES, "cpu": _SHARES
}  # fmt: skip
# Without a unit: half of all requests take longer than this many seconds, or less than so many bytes? Never.
_LONGEST_MEDIAN = 10.0
_LEAST_MEMORY = 100_000.0
_NOT_ENOUGH: Final = {"started", "ended", "client"}
_UNKNOWN: Final = {"", "-", "null", "None", "nil"}
_ENOUGH = 4  # one line in so many
_DEEPEST = 6
_MOST_FIELDS = 200
_LONGEST_SHAPE = 8192  # bytes

_AMOUNT = re.compile(r"([0-9]{1,20}(?:\.[0-9]{0,20})?(?:[eE][-+]?[0-9]{1,3})?)( ?[a-zA-Zµ%]{0,12})")
_CLF = re.compile(r"[0-9]{2}/[A-Za-z]{3}/[0-9]{4}:[0-9:]{8} [+-][0-9]{4}")
_ISO = re.compile(time_pattern("iso").decode())
_EPOCH = re.compile(r"[0-9]{9,17}(?:\.[0-9]{1,9})?")
_JSON_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"(\s*+:)?+|[-+.\w]++')
_DECODER = json.JSONDecoder(object_pairs_hook=tuple, parse_int=str, parse_float=str, parse_constant=str)
_QUOTED = rb'"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"'
_LISTED = rb"(?:(?<=,) [^ =\r\n]++(?![^ \r\n]))*+"  # what follows a comma and a space and is no pair
_PAIR = re.compile(
    rb"(?<![^ ])([A-Za-z_@][\w.@-]*+)=(" + _QUOTED + rb"|\[[^\]\r\n]{0,64}+\]|[^ \r\n]*+" + _LISTED + rb")"
)
_LABEL = re.compile(rb"(?<![^ ])[A-Za-z_@][\w.@-]*+:")
_COMBINED = re.compile(
    rb'\[[0-9]{2}/[^\]\n]{17,24}\] "[^"\n]*+" [0-9]{3} [-0-9]++ "[^"\n]*+" "[^"\n]*+"(?: "[^"\n]*+"){0,8}+ '
)

Fields = list[tuple[str, str]]  # keys and values; none where a line is not of the kind
Cuts = list[int]  # where the fields begin, where each value begins and ends, where the line ends


@dataclass(frozen=True)
class _Dialect:
    name: str
    fields: Callable[[bytes], Fields]
    cuts: Callable[[bytes], Cuts]
    value: bytes  # the expression of one
    ends: bytes  # characters that a value without quotes does not have
    head: Sequence[bytes | Column | Raw] = ()


@dataclass(frozen=True)
class _Key:
    path: str
    quantity: Quantity
    rank: int
    scale: float = 1.0
    sure: bool = True  # of the unit
    unit: str = ""  # that stands behind the value
    time_format: str = ""


def learned(sample_lines: Sequence[bytes]) -> LineFormat | None:
    r"""Learn how to read a log of JSON objects, LTSV or key=value from some of its lines.

    Parameters
    ----------
    sample_lines : sequence of bytes

    Returns
    -------
    LineFormat or None
        None where too few lines are of such a kind, or their keys (`KEYS`) say nothing of a request.

    Examples
    --------
    >>> line = learned([b'{"time":"2026-11-24T07:46:30Z","uri":"/a","status":200,"duration_ms":12.5}'])
    >>> line.name, [(column.quantity, column.scale) for column in line.columns]
    ('JSON', [('ended', 1.0), ('route', 1.0), ('status', 1.0), ('request_time', 0.001)])
    """
    lines = [line.rstrip(b"\r\n") for line in sample_lines if line.strip() and len(line) <= LONGEST_LINE]
    for dialect in _dialects():
        samples = [(line, fields) for line in lines if 0 < len(fields := dialect.fields(line)) <= _MOST_FIELDS]
        if samples and _ENOUGH * len(samples) >= len(lines) and (found := _learned(dialect, samples)):
            return found
    return None


def _dialects() -> Iterator[_Dialect]:
    # atomic, so that a value has one reading and a line of many values no more than one
    pair = rb"(?>" + _QUOTED + rb'|\[[^\]\r\n]{0,64}+\]|[^ "\r\n]*+' + _LISTED + rb")"
    yield _Dialect("JSON", _json_fields, _json_cuts, rb"(?>" + _QUOTED + rb"|[-+.\w]*+)", rb'",}\\\n')
    head = [*nginx_format(COMBINED).parts, Raw(rb'(?: "[^"\n]*+")*+ ')]
    yield _Dialect("combined followed by key=value", _tail_fields, _tail_cuts, pair, rb' ,"\\\r\n', head)
    yield _Dialect("LTSV", _ltsv_fields, _ltsv_cuts, rb"[^\t\r\n]*+", rb"\t\r\n")
    yield _Dialect("key=value", _pair_fields, _pair_cuts, pair, rb' ,"\\\r\n')


def _learned(dialect: _Dialect, samples: list[tuple[bytes, Fields]]) -> LineFormat | None:
    values: dict[str, list[str]] = {}
    shapes: dict[tuple[bytes, ...], tuple[list[str], list[list[bytes]]]] = {}
    for line, fields in samples:
        for path, text in fields:
            values.setdefault(path, []).append(text)
        pieces = [line[start:end] for start, end in pairwise(dialect.cuts(line))]
        if len(pieces) == 2 * len(fields) + 1 and sum(map(len, pieces[::2])) <= _LONGEST_SHAPE:
            shape = shapes.setdefault(tuple(pieces[::2]), ([path for path, _ in fields], []))
            shape[1].append(pieces[1::2])
    keys, notes = _keys(dialect, values)
    if not shapes or {key.quantity for key in keys} <= _NOT_ENOUGH:
        return None
    literals, (paths, rows) = max(shapes.items(), key=lambda shape: len(shape[1][1]))
    best = {key.quantity: key for key in reversed(keys) if key.path in paths}
    parts = [*dialect.head]
    for literal, path, raw in zip(literals, paths, zip(*rows, strict=True), strict=False):
        key = next((key for key in best.values() if key.path == path), None)
        parts += [literal, *([Raw(dialect.value)] if key is None else _captured(dialect, best.pop(key.quantity), raw))]
    parts.append(literals[-1])
    if not dialect.head:
        # What lines of another shape say has no place in this one; the fallback finds it.
        elsewhere = {key.quantity: key for key in reversed(keys)}
        told = {part.quantity for part in parts if isinstance(part, Column)}
        parts += [_column(key, rb"(?:)") for key in elsewhere.values() if key.quantity not in told]
    columns = [part for part in parts if isinstance(part, Column) and part.quantity is not None]
    wanted = [(at, one, key) for at, one in enumerate(columns) for key in keys if key.quantity == one.quantity]
    notes += missing(columns, "$upstream_response_time, or %{micro}d in FPM's access.format,", "a time stamp")
    fallback = None if dialect.head else partial(_looked_up, dialect=dialect, wanted=wanted)
    return LineFormat(dialect.name, parts, fallback, tuple(notes))


def _column(key: _Key, pattern: bytes) -> Column:
    return Column(key.quantity, pattern, key.scale, key.time_format)


def _captured(dialect: _Dialect, key: _Key, raw: Sequence[bytes]) -> Sequence[bytes | Column | Raw]:
    quotes = Raw(rb'"?+')
    if key.time_format:
        return Raw(rb'"?+\[?+'), _column(key, time_pattern(key.time_format)), Raw(rb'\]?+"?+')
    if key.quantity in _UNITS:
        number = rb"(?>null|" + TIMES + rb")" if key.quantity == "upstream_time" else rb"(?>null|[-+0-9.eE]*+)"
        return quotes, _column(key, number), key.unit.encode(), quotes
    if key.quantity == "status":
        return quotes, _column(key, rb"[-0-9]*+"), quotes
    quoted = dialect.name != "LTSV" and 2 * sum(text[:1] == b'"' for text in raw) >= len(raw)
    ends = rb'"\\\n' if quoted else dialect.ends
    around = b'"' if quoted else b"" if dialect.name == "LTSV" else quotes
    if key.quantity == "client":  # of a list of addresses the visitor's is the first
        return around, _column(key, rb"[^, " + ends + rb"]*+"), Raw(rb"[^" + ends + rb"]*+"), around
    return around, _column(key, rb"[^" + ends + rb"]*+"), around


def _keys(dialect: _Dialect, values: Mapping[str, list[str]]) -> tuple[list[_Key], list[str]]:
    """Give the keys that say something, best first, and what is doubtful about them."""
    notes: list[str] = []
    keys = []
    for path, texts in values.items():
        key = _meaning(path, dialect)
        if key is not None and (key := _checked(key, [text for text in texts if text not in _UNKNOWN], notes)):
            keys.append(key)
    php = any(key.quantity in {"memory", "cpu"} for key in keys)
    both = any(_normal(key.path) in {"requesttime", "reqtime"} for key in keys)
    for at, key in enumerate(keys):
        if php and key.quantity in {"request_time", "ended"}:
            keys[at] = replace(key, quantity="service_time" if key.quantity == "request_time" else "started")
        elif _normal(key.path) == "responsetime" and (both or "-" in values[key.path]):
            # $request_time is never "-": where the web server answered itself, that is the upstream's time
            keys[at] = replace(key, quantity="upstream_time")
    return sorted(keys, key=lambda key: (key.rank, key.path.count("."))), notes


def _normal(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _meanings() -> dict[str, _Key]:
    meanings: dict[str, _Key] = {}
    for quantity, names in KEYS.items():
        units = _UNITS.get(quantity, {})
        for rank, name in enumerate(names):
            sure = name in _SURE or not units
            default = 0.01 if quantity == "cpu" else 1.0
            meanings.setdefault(_normal(name), _Key("", quantity, rank, default, sure))
            for unit, scale in units.items():
                meanings.setdefault(_normal(name + unit), _Key("", quantity, rank, scale))
    return meanings


_MEANINGS: Final = _meanings()


def _meaning(path: str, dialect: _Dialect) -> _Key | None:
    name = "remote_host" if dialect.name == "LTSV" and path == "host" else path
    if "header" in path.lower():
        return None
    found = _MEANINGS.get(_normal(name)) or _MEANINGS.get(_normal(name.rpartition(".")[2]))
    return None if found is None else replace(found, path=path)


def _checked(key: _Key, known: list[str], notes: list[str]) -> _Key | None:
    """Give the key as its values are written, or None where they are not what its name says."""
    if key.quantity in {"started", "ended"}:
        formats = Counter(_time_format(text) for text in known).most_common(1)
        return replace(key, time_format=formats[0][0]) if formats and formats[0][0] else None
    if key.quantity == "route":
        return key if 2 * sum("/" in text for text in known) >= len(known) else None
    if key.quantity == "status":
        return key if 2 * sum(bool(re.fullmatch("[1-5][0-9]{2}", text)) for text in known) >= len(known) else None
    if key.quantity == "client" or not known:
        return key
    amounts = [match for text in known if (match := _AMOUNT.fullmatch(text.partition(",")[0]))]
    units = _UNITS[key.quantity]
    unit = Counter(match[2] for match in amounts).most_common(1)[0][0] if 2 * len(amounts) >= len(known) else None
    if unit is None or (unit and unit.strip().lower() not in units):
        return None
    if unit:
        return replace(key, unit=unit, scale=units[unit.strip().lower()])
    return key if key.sure else _assumed(key, median(float(match[1]) for match in amounts), notes)


def _assumed(key: _Key, middle: float, notes: list[str]) -> _Key | None:
    memory = key.quantity == "memory"
    unit, example = ("bytes", "mb") if memory else ("seconds", "ms")
    say = f"call it {shown(key.path)[1:-1]}_{example} or the like to say its unit"
    if middle < _LEAST_MEMORY if memory else middle > _LONGEST_MEDIAN:
        notes.append(f"{shown(key.path)} is not read: {middle:g} cannot be {unit}; {say}")
        return None
    notes.append(f"{shown(key.path)} is taken for {unit}; {say}")
    return key


def _time_format(text: str) -> str:
    bare = text.strip("[]")
    return next((name for name, form in (("iso", _ISO), ("epoch", _EPOCH), ("clf", _CLF)) if form.fullmatch(bare)), "")


def _looked_up(line: bytes, *, dialect: _Dialect, wanted: list[tuple[int, Column, _Key]]) -> list[bytes] | None:
    """Read a line of another shape; None where it says nothing of a request."""
    found = dict(reversed(dialect.fields(line))) if len(line) <= LONGEST_LINE else {}
    row = [b""] * (wanted[-1][0] + 1)
    telling = False
    for at, column, key in wanted:
        text = found.get(key.path, "")
        if text not in _UNKNOWN and not row[at]:
            row[at] = _written(key, column, text).encode("utf-8", "replace")
            telling = telling or (bool(row[at]) and key.quantity not in _NOT_ENOUGH)
    return row if telling else None


def _written(key: _Key, column: Column, text: str) -> str:
    """Give a value as the expression would have captured it: bare, and in the column's unit."""
    if column.time_format:
        return text.strip("[]")
    if key.quantity == "client":
        return text.partition(",")[0].partition(" ")[0]
    if key.quantity not in _UNITS:
        return text
    amount = _AMOUNT.fullmatch(text)
    if amount is None:
        return text if key.scale == column.scale and not key.unit else ""
    scale = _UNITS[key.quantity].get(amount[2].strip().lower()) if amount[2] else key.scale
    if scale is None:
        return ""
    return amount[1] if scale == column.scale else repr(float(amount[1]) * scale / column.scale)


def _json_fields(line: bytes) -> Fields:
    at = line.find(b"{")
    try:
        return list(_flat(_DECODER.decode(line[at:].decode("utf-8", "replace")))) if at >= 0 else []
    except (ValueError, RecursionError):
        return []


def _flat(loaded: object) -> Iterator[tuple[str, str]]:
    """Give the scalars in the order of the text, each under the keys it is in."""
    left: list[tuple[str, int, object]] = [("", 0, loaded)]
    while left:
        path, depth, value = left.pop()
        if isinstance(value, (tuple, list)) and depth < _DEEPEST:
            pairs = value if isinstance(value, tuple) else [("", element) for element in value]
            left += [(f"{path}.{key[:80]}".strip("."), depth + 1, element) for key, element in reversed(pairs)]
        else:
            yield path, value if isinstance(value, str) else ""


def _json_cuts(line: bytes) -> Cuts:
    at = line.find(b"{")
    values = (match.span() for match in _JSON_TOKEN.finditer(line, at) if match[1] is None)
    return [at, *(cut for span in values for cut in span), len(line)]


def _pair_fields(line: bytes, at: int = 0) -> Fields:
    pairs = list(_PAIR.finditer(line, at))
    if not pairs or b'"' in line[at : pairs[0].start()]:  # what looks like a pair stands in some text
        return []
    return [(pair[1].decode(), _unquoted(pair[2])) for pair in pairs]


def _pair_cuts(line: bytes, at: int = 0) -> Cuts:
    pairs = list(_PAIR.finditer(line, at))
    return [at or pairs[0].start(), *(cut for match in pairs for cut in match.span(2)), len(line)]


def _tail_fields(line: bytes) -> Fields:
    head = _COMBINED.search(line)
    return _pair_fields(line, head.end()) if head else []


def _tail_cuts(line: bytes) -> Cuts:
    head = _COMBINED.search(line)
    return _pair_cuts(line, head.end()) if head else []


def _unquoted(value: bytes) -> str:
    text = value.decode("utf-8", "replace")
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if len(text) > 1 and text[0] == text[-1] == '"' else text


def _ltsv_fields(line: bytes) -> Fields:
    fields = [line[start:end].decode("utf-8", "replace").partition(":") for start, end in _ltsv_spans(line)]
    return [(label, value) for label, _, value in fields]


def _ltsv_cuts(line: bytes) -> Cuts:
    spans = _ltsv_spans(line)
    values = ((line.index(b":", start, end) + 1, end) for start, end in spans)
    return [spans[0][0], *(cut for span in values for cut in span), len(line)]


def _ltsv_spans(line: bytes) -> list[tuple[int, int]]:
    label = _LABEL.search(line) if b"\t" in line else None
    if label is None:
        return []
    spans, start = [], label.start()
    for field in line[start:].split(b"\t"):
        spans.append((start, start + len(field)))
        start += len(field) + 1
    return spans if all(b":" in line[start:end] for start, end in spans) else []
