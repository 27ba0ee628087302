r"""Active workers over time, as a monitoring system has them, and the load they tell of.

Such a system has looked at the pool for weeks, so its samples say more than an hour of our own. They are taken as
they are: what is missing stays missing, and whatever had to be guessed or left out is told in notes.
"""

from __future__ import annotations

import csv
import math
import re
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from capacity.errors import InvalidInput, Problem
from capacity.estimation import Estimate, mean, ratio
from capacity.fpm.access_log import FloatArray
from capacity.fpm.log_line import LONGEST_LINE
from capacity.fpm.log_time import clock
from capacity.fpm.minutes import Peak
from capacity.units import format_seconds, shown

__all__ = ["ACCEPTED", "ACTIVE", "Series", "SeriesLoad", "load_of", "read_csv"]

ACTIVE, ACCEPTED = "phpfpm_active_processes", "phpfpm_accepted_connections"
"""What FPM and its exporters call the number of active workers and the counter of requests."""

_LARGEST_CSV, _LARGEST_VALUE = 256 << 20, 2.0**53
_MOST_SERIES, _MOST_LINES, _EXAMPLES = 1000, 1_000_000, 3
# Two samples in a row may be missing; what is longer is a gap, and nobody knows what was in it.
_GAP, _HOUR = 3.0, 3600.0
# A counter begins anew when FPM is reloaded, a rate falls in every other sample.
_MOST_RESETS, _LEAST_REQUESTS, _LEAST_SAMPLES = 0.25, 30, 20
_LABEL = re.compile(r'([A-Za-z_][A-Za-z0-9_]*+)\s*+=\s*+"((?:[^"\\]|\\.)*+)"')
_NUMBER = re.compile(r"[0-9]{1,20}+(?:\.[0-9]{1,20}+)?+(?:[eE][+-]?+[0-9]{1,2}+)?+")
_ZONE = re.compile(r"(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)$")
_MISSING = frozenset({"", "-", "null", "none", "nan", "undefined"})
_COLUMNS: Final = {
    "time": {"time", "timestamp", "date", "datetime", "ts"},
    "active": {"active", "active_processes", "active_workers", "busy", "busy_workers"},
    "value": {"value"},
    "accepted": {"accepted", "accepted_conn", "accepted_connections", "requests"},
    "label": {"pool", "instance", "series"},
}


@dataclass(frozen=True, eq=False)
class Series:
    """Samples in order of time, the last one given where two are of the same time; gaps are allowed.

    Parameters
    ----------
    times, values : array
        Since the epoch [s], and a finite value for each.
    labels : dict of str to str
        Which pool, which instance.
    name : str
        The metric.
    notes : tuple of str
        What was guessed or left out when it was read.

    Examples
    --------
    >>> Series(np.array([30.0, 15.0, 30.0]), np.array([4.0, 2.0, 5.0])).values
    array([2., 5.])
    """

    times: FloatArray
    values: FloatArray
    labels: dict[str, str] = field(default_factory=dict)
    name: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        times, values = np.array(self.times, float), np.array(self.values, float)
        if times.ndim != 1 or times.shape != values.shape or not np.isfinite([times, values]).all():
            _refuse("the series", "must have one finite value for each time")
        order = np.argsort(times, kind="stable")
        kept = order[np.diff(times[order], append=np.inf) > 0]
        object.__setattr__(self, "times", times[kept])
        object.__setattr__(self, "values", values[kept])


def read_csv(data: bytes | Iterable[bytes]) -> tuple[Series, ...]:
    r"""Read active workers over time from a CSV.

    Parameters
    ----------
    data : bytes or iterable of bytes
        The file or its pieces, at most a million lines. Columns are found by name, ``time``, ``active`` or ``value``,
        perhaps ``accepted`` (a counter) and ``pool``, or as FPM, Prometheus and Grafana call them.

    Returns
    -------
    tuple of Series
        Of name `ACTIVE` and, where there is a counter, `ACCEPTED`, for every pool. Times are ISO 8601, or seconds or
        milliseconds since the epoch. An empty cell is a gap; a line that cannot be read is counted in the notes.

    Raises
    ------
    InvalidInput
        If no line can be read, or the columns cannot be told.

    Examples
    --------
    >>> [active] = read_csv(b'"Time","www"\r\n2026-11-24 09:00:00,3\r\n2026-11-24 09:00:15,12 procs\r\n')
    >>> active.notes[2]
    "1 of 2 lines could not be read: line 3: '12 procs' is not a plain number"
    """
    table = _Table()
    for number, line in enumerate(_lines([data] if isinstance(data, bytes) else data), 1):
        if number > _MOST_LINES:
            _refuse("the CSV", "must have at most a million lines", hint="cut it, or take a longer interval")
        if line.strip() and not line.startswith((b"#", b"sep=")):  # comments, and what Grafana writes for Excel
            table.add(number, line)
    return table.series()


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Lines; of one longer than `LONGEST_LINE` only the beginning, one byte more than that."""
    rest, size = b"", 0
    for chunk in chunks:
        if (size := size + len(chunk)) > _LARGEST_CSV:
            _refuse("the CSV", "must be at most 256 MiB", hint="cut it, or leave out columns")
        for at in range(0, len(chunk), LONGEST_LINE):
            *whole, rest = (rest + chunk[at : at + LONGEST_LINE]).split(b"\n")
            yield from whole
            rest = rest[: LONGEST_LINE + 1]
    yield rest


class _Table:
    """The columns of a CSV, and what its lines had in them so far."""

    def __init__(self) -> None:
        self._separator = ""
        self._width = self._time = self._lines = 0
        self._counts: dict[int, tuple[str, dict[str, str]]] = {}
        self._labels: dict[int, str] = {}
        self._found: dict[tuple[int, tuple[str, ...]], array[float]] = {}
        self._said: dict[str, None] = {}
        self._iso, self._epoch = clock("iso"), clock("epoch")
        self._bad: list[str] = []

    def add(self, number: int, line: bytes) -> None:
        text = line[:LONGEST_LINE].decode("utf-8", "replace").removeprefix("\ufeff").replace("\r", " ")
        if not self._width and self._is_header(text):
            return
        self._lines += 1
        doubt = self._add_row(self._cells(text)) if len(line) <= LONGEST_LINE else "is too long"
        if doubt:
            self._bad.append(f"line {number}: {doubt}" if len(self._bad) < _EXAMPLES else "")

    def _cells(self, text: str) -> list[str]:
        cells = next(csv.reader([text], delimiter=self._separator)) if '"' in text else text.split(self._separator)
        return [cell.strip() for cell in cells]

    def _is_header(self, text: str) -> bool:
        if "\0" in text:
            _refuse("the CSV", "must be text in UTF-8", shown(text[:40]), "is it compressed, or UTF-16?")
        outside = re.sub(r'"[^"]*+"', "", text)
        self._separator = next((mark for mark in "\t;" if mark in outside), ",")
        cells = self._cells(text)
        self._width = len(cells)
        headed = self._width < 2 or math.isnan(self._moment(cells[0]))
        names = cells if headed else ["time", "active"]
        kinds = [_kind(name) for name in names]
        active = next((kind for kind in ("active", "value", "") if kind in kinds), "")
        many = len(kinds) > _MOST_SERIES or (not active and kinds.count("") > 1)
        if "time" not in kinds or active not in kinds or many:
            hint = "columns are separated by comma, semicolon or tab; rename those two"
            _refuse("the CSV", "must have a column named time and one named active", shown(cells), hint)
        self._time = kinds.index("time")
        self._labels = {at: names[at].lower() for at, kind in enumerate(kinds) if kind == "label"}
        for at, kind in enumerate(kinds):
            if kind in (active, "accepted"):
                self._counts[at] = ACTIVE if kind == active else ACCEPTED, dict(_LABEL.findall(names[at]))
        if not (headed and active):
            column = shown(cells[kinds.index(active)]) if headed else "2 (there are no names)"
            self._said[f"column {column} was taken as active workers"] = None
        return headed

    def _add_row(self, cells: list[str]) -> str:
        """Keep what a line says, or say why it cannot be read."""
        if any(cells[self._width :]):
            return f"has {len(cells)} cells, not {self._width} (a decimal comma?)"
        cells += [""] * (self._width - len(cells))
        if math.isnan(time := self._moment(cells[self._time])):
            return f"{shown(cells[self._time])} is no time"
        given = {at: cells[at] for at in self._counts if cells[at].lower() not in _MISSING}
        for text in given.values():
            if not _NUMBER.fullmatch(text) or float(text) >= _LARGEST_VALUE:
                return f"{shown(text)} {'has a decimal comma' if ',' in text else 'is not a plain number'}"
        labels = tuple(cells[at] for at in self._labels)
        for at, text in given.items():
            self._found.setdefault((at, labels), array("d")).extend((time, float(text)))
        if len(self._found) > _MOST_SERIES:
            _refuse("the CSV", f"must be of at most {_MOST_SERIES} pools", hint="is that the pool's column?")
        return ""

    def _moment(self, text: str) -> float:
        if _NUMBER.fullmatch(text):
            seconds = self._epoch[text.encode()]
            if seconds < float(text):
                self._said["times too large for seconds were taken as milliseconds or microseconds"] = None
            return seconds
        seconds = self._iso[text.encode()]
        if not (math.isnan(seconds) or _ZONE.search(text)):
            self._said["times without a zone were taken as UTC"] = None
        return seconds

    def series(self) -> tuple[Series, ...]:
        some = "; ".join(filter(None, self._bad))
        if not self._found:
            _refuse("the CSV", "must have lines of a time and a number of active workers", hint=some)
        if self._bad:
            self._said[f"{len(self._bad)} of {self._lines} lines could not be read: {some}"] = None
        made = []
        for (at, texts), found in self._found.items():
            name, labels = self._counts[at]
            labels = labels | dict(zip(self._labels.values(), texts, strict=True))
            times, values = np.reshape(found, (-1, 2)).T
            made.append(Series(times, values, labels, name, tuple(self._said)))
        return tuple(made)


def _kind(cell: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "_", cell.partition("{")[0].lower()).strip("_")
    name = re.sub(r"^(?:phpfpm|php_fpm)_|_total$", "", words)
    return next((kind for kind, names in _COLUMNS.items() if name in names), "")


@dataclass(frozen=True)
class SeriesLoad:
    """The load a series of active workers tells of; None where it does not.

    Parameters
    ----------
    active : Estimate
        Mean number of active workers.
    active_quantiles : dict of float to float
        Of the samples: 0.5, 0.95 and 1, the most.
    active_peak_hour : Peak or None
        Mean number of active workers in the busiest hour; None if less than an hour was sampled.
    start, end, interval : float
        First and last sample [s since the epoch], and the median time from one to the next [s], NaN if there is one.
    samples, gaps, resets : int
        Samples; times between two that are left out as too long; how often the counter began anew.
    requests : float
        Counted outside gaps.
    arrival_rate : Estimate or None
        Mean [1/s].
    arrival_rate_peak, arrival_rate_peak_hour : Peak or None
        In the busiest interval from one change of the counter to the next, and in the busiest hour [1/s].
    service_time : Estimate or None
        Time a request holds a worker: active workers over arrival rate, by Little's law [s].
    notes : tuple of str
        What to doubt, those of the series included.
    """

    active: Estimate
    active_quantiles: dict[float, float]
    active_peak_hour: Peak | None
    start: float
    end: float
    interval: float
    samples: int
    gaps: int
    resets: int = 0
    requests: float = 0.0
    arrival_rate: Estimate | None = None
    arrival_rate_peak: Peak | None = None
    arrival_rate_peak_hour: Peak | None = None
    service_time: Estimate | None = None
    notes: tuple[str, ...] = ()


def load_of(active: Series, accepted: Series | None = None, *, own_query: bool = False) -> SeriesLoad:
    """Sum up how many workers were active and, where requests were counted, how long each held one.

    Parameters
    ----------
    active : Series
        Active workers [-].
    accepted : Series, optional
        The counter of accepted requests [-]; it may begin anew.
    own_query : bool
        True if FPM was asked over the pool's own socket, not over ``pm.status_listen``: one worker of each sample
        and one request from one to the next is then the query itself.

    Returns
    -------
    SeriesLoad

    Raises
    ------
    InvalidInput
        For a series without samples or with negative ones.

    Examples
    --------
    >>> times = np.arange(0.0, 7201.0, 60.0)
    >>> load = load_of(Series(times, np.full(121, 3.0)), Series(times, 12.0 * times))
    >>> load.active.value, load.arrival_rate.value, load.service_time.value
    (3.0, 12.0, 0.25)
    """
    lowest = min(series.values.min(initial=0) for series in (active, accepted) if series is not None)
    if not len(active.times) or lowest < 0:
        _refuse("the series", "must have samples, none of them negative", hint="does it have another quantity?")
    busy = Series(active.times, np.maximum(active.values - own_query, 0))
    steady, held, covered = _over_time(busy.times, _held(busy))
    gaps = np.diff(busy.times)[~steady]
    notes = [*active.notes, *(accepted.notes if accepted else ())]
    if len(gaps):
        notes.append(f"gaps are left out: {len(gaps)} between samples, {format_seconds(gaps.sum())} in all")
    if not own_query and len(busy.times) >= _LEAST_SAMPLES and busy.values.min() >= 1:
        notes.append("active is never 0: if FPM is asked over the pool's own socket, the query itself is in it")
    load = SeriesLoad(
        active=mean(busy.values),
        active_quantiles={p: float(np.quantile(busy.values, p, method="inverted_cdf")) for p in (0.5, 0.95, 1.0)},
        active_peak_hour=_peak_hour(busy.times, held, covered),
        start=float(busy.times[0]),
        end=float(busy.times[-1]),
        interval=float(np.median(np.diff(busy.times))) if len(steady) else math.nan,
        samples=len(busy.times),
        gaps=len(gaps),
        notes=tuple(dict.fromkeys(notes)),
    )
    return load if accepted is None else _with_requests(load, busy, accepted, int(own_query))


def _with_requests(load: SeriesLoad, busy: Series, accepted: Series, own_queries: int) -> SeriesLoad:
    times, taken = accepted.times, np.diff(accepted.values)
    resets = taken < 0
    if len(taken) < 1 or resets.sum() > max(1, _MOST_RESETS * len(taken)):
        note = f"no arrival rate: {len(times)} samples that fall {resets.sum()} times are no counter of requests"
        return replace(load, notes=(*load.notes, note))
    # It began at 0 again; what came between the last sample and that is not known.
    taken = np.maximum(np.where(resets, accepted.values[1:], taken) - own_queries, 0)
    steady, total, covered = _over_time(times, taken)
    load = replace(
        load,
        resets=int(resets.sum()),
        requests=float(total[-1]),
        arrival_rate=ratio(taken[steady], np.diff(times)[steady]),
        arrival_rate_peak=_peak(times, total, covered),
        arrival_rate_peak_hour=_peak_hour(times, total, covered),
    )
    _, mine, its = np.intersect1d(busy.times, times, assume_unique=True, return_indices=True)
    both = Series(busy.times[mine], busy.values[mine])
    served = np.diff(np.append(0, np.cumsum(taken))[its])
    steady, total, _ = _over_time(both.times, served)
    if total[-1] < _LEAST_REQUESTS:
        note = f"no service time: {total[-1]:.0f} requests between times of which both series have samples are too few"
        return replace(load, notes=(*load.notes, note))
    note = "service_time has work after the answer in it, and connections the web server keeps open (fastcgi_keep_conn)"
    return replace(load, service_time=ratio(_held(both)[steady], served[steady]), notes=(*load.notes, note))


def _held(busy: Series) -> FloatArray:
    """Seconds that workers were held from each sample to the next."""
    return (busy.values[1:] + busy.values[:-1]) / 2 * np.diff(busy.times)


def _over_time(times: FloatArray, amounts: FloatArray) -> tuple[NDArray[np.bool_], FloatArray, FloatArray]:
    """Which intervals are no gaps, and at each sample the amounts and the time [s] in those so far."""
    lasted = np.diff(times)
    steady = lasted <= _GAP * np.median(lasted) if len(lasted) else lasted > 0
    total, covered = (np.append(0.0, np.cumsum(np.where(steady, each, 0))) for each in (amounts, lasted))
    return steady, total, covered


def _peak(times: FloatArray, total: FloatArray, covered: FloatArray) -> Peak | None:
    """Busiest time between two changes: where samples are more frequent than scrapes, a counter stands still."""
    changed = np.diff(total) > 0
    changed = np.append(changed.all(), changed)
    lasted = np.diff(covered[changed])
    rates = np.diff(total[changed]) / lasted
    most = int(rates.argmax()) if len(rates) else 0
    return Peak(float(rates[most]), float(times[changed][most]), float(lasted[most])) if len(rates) else None


def _peak_hour(times: FloatArray, total: FloatArray, covered: FloatArray) -> Peak | None:
    """Busiest hour that begins at a sample, at least half of it sampled."""
    ends = np.searchsorted(times, times + _HOUR, "right") - 1
    seconds = covered[ends] - covered
    known = (times + _HOUR <= times[-1]) & (seconds >= _HOUR / 2)
    means = np.where(known, total[ends] - total, -1) / np.where(known, seconds, 1)
    most = int(means.argmax())
    return Peak(float(means[most]), float(times[most]), _HOUR) if known[most] else None


def _refuse(field: str, rule: str, value: str = "", hint: str = "") -> NoReturn:
    raise InvalidInput([Problem(field, rule, value, hint)])
