"""Every request of an access log, when it came and how long it took, for a replay.

Two numbers a request are kept, so that here, unlike anywhere else, the size of a log counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from capacity.errors import InvalidInput, Problem
from capacity.fpm.access_log import Noise, Requests, read_access_log
from capacity.fpm.log_line import LineFormat, Quantity
from capacity.fpm.traffic import TimeKind
from capacity.log_replay import LONGEST_TIME
from capacity.measure.light_load import REQUEST_OVERHEAD
from capacity.measure.logs import pieces_of, recognised
from capacity.units import format_fraction

__all__ = ["MOST_REQUESTS", "LogTrace", "read_trace"]

MOST_REQUESTS: Final = 20_000_000
"""A day at 230 requests a second."""

_KINDS: Final[tuple[TimeKind, ...]] = ("service_time", "upstream_time", "request_time")
_UNUSED: Final[tuple[Quantity, ...]] = ("memory", "status", "route", "client")
_NOISY = 0.001
_NAMES: Final = {
    "upstream_time": "the upstream's, with the wait for a worker in them",
    "request_time": "the web server's, with the wait for a worker and the sending of the answer in them; what was not"
    " PHP's is replayed as well",
}

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LogTrace:
    """The requests of a log.

    Parameters
    ----------
    format : LineFormat
        How its lines were read.
    arrival_times : array
        Since the epoch [s], in the order of the log.
    logged_times : array
        How long each took [s].
    time_kind : str
        What that is, as in ``Traffic``.
    cpu_time : float or None
        Mean CPU time of a request [s]; None where the log does not tell.
    notes : tuple of str
        What to know of these.
    """

    format: LineFormat
    arrival_times: FloatArray
    logged_times: FloatArray
    time_kind: TimeKind
    cpu_time: float | None
    notes: tuple[str, ...]


def read_trace(
    paths: Sequence[str],
    *,
    line_format: LineFormat | None = None,
    since: float = -math.inf,
    until: float = math.inf,
    seed: int = 0,
    told: Callable[[int, int], object] = lambda done, total: None,
) -> LogTrace:
    """Read every request of one or more logs of a pool.

    Parameters
    ----------
    paths : sequence of str
        Regular files, plain or gzipped, all in one format.
    line_format : LineFormat, optional
        How to read them; recognised from the first lines if not given.
    since, until : float
        Only requests that came from then on and before then [s since the epoch].
    seed : int
        Of the random numbers that spread stamps in whole seconds over their second.
    told : callable
        Called with the bytes read so far and those of all files.

    Returns
    -------
    LogTrace
        FPM's times with the 0.3 ms that FPM spends on a request beside them. Requests that no upstream was asked for
        are left out.

    Raises
    ------
    UnreadableFile
        If a file cannot be read.
    InvalidInput
        If the format cannot be told, or it tells neither when requests came nor how long they took; if there is no
        request, or more than 20 million.
    """
    trace: _Trace | None = None
    for chunks in pieces_of(paths, told):
        if trace is None:
            found = recognised(chunks, line_format=line_format)
            if found is None:
                continue
            trace = _Trace(*_usable(found[0]), since, until)
            chunks = found[1]
        for requests in read_access_log(chunks, trace.format, noise=trace.noise, leave_out=_UNUSED):
            trace.add(requests)
    if trace is None or not trace.count:
        outside = "" if trace is None or not trace.outside else f"{trace.outside} are outside --from and --to"
        raise InvalidInput([Problem("the access log", "has no request that could be replayed", hint=outside)])
    return trace.result(seed)


def _usable(line_format: LineFormat) -> tuple[LineFormat, TimeKind]:
    kind = next((kind for kind in _KINDS if kind in line_format.quantities), None)
    if kind is None or not line_format.quantities & {"started", "ended"}:
        missing = "when requests came" if kind is not None else "how long requests took"
        hint = "; ".join(line_format.notes)
        raise InvalidInput([Problem("the access log", f"must say {missing}", line_format.name, hint)])
    return line_format, kind


class _Trace:
    def __init__(self, line_format: LineFormat, kind: TimeKind, since: float, until: float) -> None:
        self.format, self.kind = line_format, kind
        self.noise = Noise()
        self.count = self.outside = self._static = self._lost = 0
        self._since, self._until = since, until
        self._arrivals: list[FloatArray] = []
        self._times: list[FloatArray] = []
        self._ends: list[FloatArray] = []  # as stamped, where the log does not have the starts
        self._whole = True  # stamps are of whole seconds
        self._cpu, self._cpu_known = 0.0, 0

    def add(self, requests: Requests) -> None:
        times: FloatArray = getattr(requests, self.kind)
        if requests.started is not None:
            stamps = arrivals = requests.started
        else:
            assert requests.ended is not None
            stamps = requests.ended
            # a web server logs when the answer is sent: that began with the request, not with the upstream
            whole_time = requests.request_time if self.kind == "upstream_time" else None
            arrivals = stamps - (times if whole_time is None else np.where(np.isnan(whole_time), times, whole_time))
        asked = ~np.isnan(times) if self.kind == "upstream_time" else np.ones(len(times), bool)
        known = asked & (times <= LONGEST_TIME) & (arrivals >= 0)
        chosen = known & (arrivals >= self._since) & (arrivals < self._until)
        self._static += int((~asked).sum())
        self._lost += int((asked & ~known).sum())
        self.outside += int((known & ~chosen).sum())
        self._arrivals.append(arrivals[chosen])
        self._times.append(times[chosen])
        if requests.started is None:
            self._ends.append(stamps[chosen])
        self._whole &= not (stamps[chosen] % 1.0).any()
        if requests.cpu_time is not None:
            cpu = requests.cpu_time[chosen]
            cpu = cpu[np.isfinite(cpu)]
            self._cpu, self._cpu_known = self._cpu + float(cpu.sum()), self._cpu_known + len(cpu)
        self.count += int(chosen.sum())
        if self.count > MOST_REQUESTS:
            rule = f"must have at most {MOST_REQUESTS:,} requests to replay".replace(",", " ")
            raise InvalidInput([Problem("the access log", rule, hint="choose a part of it with --from and --to")])

    def result(self, seed: int) -> LogTrace:
        arrivals, times = _joined(self._arrivals), _joined(self._times)
        if self._whole:
            within = np.random.default_rng(seed).random(len(arrivals))
            arrivals += _in_order(_joined(self._ends), within) if self._ends else within
        if self.kind == "service_time":
            times += REQUEST_OVERHEAD
        cpu_time = self._cpu / self._cpu_known if self._cpu_known else None
        return LogTrace(self.format, arrivals, times, self.kind, cpu_time, tuple(self._notes(seed)))

    def _notes(self, seed: int) -> list[str]:
        notes = []
        if self.kind == "service_time":
            notes.append(
                "the log has when a worker took a request, not when it came: where all workers were busy, it hides who"
                " waited; a web server's log ($msec, $request_time, $upstream_response_time) does not"
            )
        else:
            notes.append(f"the times in the log are {_NAMES[self.kind]}")
        if self._whole:
            notes.append(
                f"the log has whole seconds: requests are spread over their second at random (seed {seed}), so bursts"
                " shorter than that are not seen"
                + ("" if self.kind == "service_time" else ", and waits cannot be told from service; write $msec")
            )
        if self._static:
            notes.append(f"{self._static} requests never reached PHP and are left out")
        if self._lost:
            notes.append(f"{self._lost} requests without a usable time are left out")
        if self.noise.lines > _NOISY * self.count:
            share = format_fraction(self.noise.lines / (self.noise.lines + self.count))
            notes.append(f"{share} of the lines are no requests, such as {self.noise.examples[0]}")
        return notes


def _in_order(ends: FloatArray, within: FloatArray) -> FloatArray:
    """Make the ends of each second rise in the order of the log, which is that of the ends."""
    order = np.argsort(ends, kind="stable")
    moved = np.empty(len(ends))
    moved[order] = np.sort(ends + within)
    moved -= ends
    return moved


def _joined(parts: list[FloatArray]) -> FloatArray:
    """One array of many, which are given free."""
    whole = np.concatenate(parts)
    parts.clear()
    return whole
