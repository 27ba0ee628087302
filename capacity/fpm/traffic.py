"""What an access log says of the load: how much, how long, how heavy, from whom.

Everything is summed up while the log streams by: a log of any size takes the memory of its busiest figures,
not of its lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import compress
from typing import Final, Literal

import numpy as np

from capacity.estimation import Estimate, Tally, rate
from capacity.fpm.access_log import FloatArray, Noise, Requests, read_access_log
from capacity.fpm.log_line import LineFormat
from capacity.fpm.minutes import Minutes, Peak, Timeline, busiest
from capacity.fpm.routes import Route, Routes
from capacity.fpm.visitors import Visitors, VisitorsTally
from capacity.presented import Presented
from capacity.units import format_seconds

__all__ = ["QUANTILES", "TimeKind", "Traffic", "TrafficTally", "read_traffic"]

TimeKind = Literal["service_time", "upstream_time", "request_time"]

QUANTILES: Final = (0.5, 0.95, 0.99)
_KINDS: Final[tuple[TimeKind, ...]] = ("service_time", "upstream_time", "request_time")
_MEMORY_QUANTILE = 0.95
_RATE_GROUPS = 20
_MOST_BACK = 3600.0
_ENOUGH_MINUTES = 8
_SENSELESS = 10.0


@dataclass(frozen=True)
class Traffic(Presented):
    """The requests of a log, summed up; None where the log does not tell.

    Parameters
    ----------
    format : LineFormat
        How its lines were read.
    requests : int
        That reached PHP, as far as the log can tell.
    static : int
        Left out because no upstream was asked.
    noise : Noise
    first, last : float or None
        When the first began and the last ended [s since the epoch].
    arrival_rate : Estimate or None
        Mean over the whole log [1/s].
    busiest_minute, peak_hour : Peak or None
        Of the arrivals [1/s]; None where the log is too short to have one.
    rates : tuple of (float, float)
        Arrival rate [1/s] and share of the requests that met it: the load the times below were taken at.
    time_kind : str or None
        What the times are: ``service_time`` is the time a worker was held; ``upstream_time`` has the wait for a
        worker in it and ``request_time`` the sending of the answer as well.
    time : Estimate or None
        Mean [s].
    time_scv : Estimate or None
        Squared coefficient of variation [-].
    time_quantiles : dict of float to Estimate
        [s]
    cpu_time : Estimate or None
        Mean CPU time of a request [s].
    memory : Estimate or None
        The 0.95 quantile of a request's peak memory [byte].
    peak_memory : float or None
        The largest [byte].
    busy : float or None
        Mean number of workers held at the same time.
    busiest : Peak or None
        The same in the busiest minute.
    timeline : Timeline or None
        Arrivals and held workers over time.
    failed : float or None
        Share of the answers with a status of 500 and above.
    routes : tuple of Route
        The ten heaviest.
    visitors : Visitors or None
    disordered : bool
        Whether its times run backwards by more than an hour: visitors are then not followed.
    lost : int
        Requests without a usable time of day.
    """

    format: LineFormat
    requests: int
    static: int
    noise: Noise
    first: float | None
    last: float | None
    arrival_rate: Estimate | None
    busiest_minute: Peak | None
    peak_hour: Peak | None
    rates: tuple[tuple[float, float], ...]
    time_kind: TimeKind | None
    time: Estimate | None
    time_scv: Estimate | None
    time_quantiles: dict[float, Estimate]
    cpu_time: Estimate | None
    memory: Estimate | None
    peak_memory: float | None
    busy: float | None
    busiest: Peak | None
    timeline: Timeline | None
    failed: float | None
    routes: tuple[Route, ...]
    visitors: Visitors | None
    disordered: bool
    lost: int

    def __repr__(self) -> str:
        mean = "" if self.time is None else f", {format_seconds(self.time.value)} each"
        return f"<Traffic: {self.requests} requests in {format_seconds(self.seconds)}{mean}>"

    @property
    def seconds(self) -> float:
        """From the first request to the last [s]."""
        return 0.0 if self.first is None or self.last is None else self.last - self.first


def read_traffic(chunks: Iterable[bytes], line_format: LineFormat, *, since: float = -np.inf) -> Traffic:
    r"""Read a log and sum it up.

    Parameters
    ----------
    chunks : iterable of bytes
        The file in pieces of any size.
    line_format : LineFormat
    since : float
        Requests that began before are left out [s since the epoch].

    Returns
    -------
    Traffic

    Examples
    --------
    >>> from capacity.fpm.access_format import access_format
    >>> line = b"24/Nov/2026:07:46:%02d +0000 /a 0.250\n"
    >>> log = b"".join(line % second for second in range(60))
    >>> traffic = read_traffic([log], access_format("%t %r %d"))
    >>> traffic.requests, traffic.time.value, round(traffic.busy, 2), traffic.routes[0].name
    (60, 0.25, 0.25, '/a')
    """
    tally = TrafficTally(line_format)
    for requests in tally.read(chunks):
        tally.add(requests, since=since)
    return tally.result()


class TrafficTally:
    """Sums up requests as they come, for a caller that shows progress or may be interrupted.

    Parameters
    ----------
    line_format : LineFormat
    """

    def __init__(self, line_format: LineFormat) -> None:
        self.format = line_format
        self.noise = Noise()
        self.requests = 0
        self._kind = next((kind for kind in _KINDS if kind in line_format.quantities), None)
        self._static = 0
        self._failed = self._answered = 0
        self._disordered, self._latest = False, -np.inf
        self._times, self._cpu, self._memory = Tally(), Tally(), Tally()
        self._minutes, self._routes, self._visitors = Minutes(), Routes(), VisitorsTally()

    def read(self, chunks: Iterable[bytes]) -> Iterator[Requests]:
        """Read a log in the tally's format and count its noise; the requests are still to be added.

        Parameters
        ----------
        chunks : iterable of bytes

        Yields
        ------
        Requests
            Of the times of a request only the best.
        """
        worse = [kind for kind in _KINDS if kind != self._kind]
        return read_access_log(chunks, self.format, noise=self.noise, leave_out=worse)

    def add(self, requests: Requests, *, since: float = -np.inf) -> None:
        """Count some requests.

        Parameters
        ----------
        requests : Requests
        since : float
            Those that began before are left out [s since the epoch].
        """
        times: FloatArray | None = None if self._kind is None else getattr(requests, self._kind)
        started = _begin(requests, times)
        wanted = np.ones(requests.count, bool)
        if self._kind == "upstream_time" and times is not None:
            wanted = ~np.isnan(times)  # the web server answered the others itself
        recent = np.ones(requests.count, bool) if started is None else ~(started < since)
        self._static += int((recent & ~wanted).sum())
        wanted &= recent
        if not wanted.all():
            requests, times = _only(requests, wanted), None if times is None else times[wanted]
            started = None if started is None else started[wanted]
        self._count(requests, times, started)

    def _count(self, requests: Requests, times: FloatArray | None, started: FloatArray | None) -> None:
        if not requests.count:
            return
        self.requests += requests.count
        for tally, values in ((self._times, times), (self._cpu, requests.cpu_time), (self._memory, requests.memory)):
            if values is not None:
                tally.add(values)
        if started is not None and np.isfinite(started).any():
            # visitors can only be followed forwards
            self._disordered |= bool(np.nanmin(started) < self._latest - _MOST_BACK)
            self._latest = max(self._latest, float(np.nanmax(started)))
        if started is not None:
            self._minutes.add(started, times)
            if requests.client is not None:
                self._visitors.add(requests.client, started, times)
        self._routes.add(requests, times)
        if requests.status is not None:
            self._answered += int(np.isfinite(requests.status).sum())
            self._failed += int((requests.status >= 500).sum())

    def result(self) -> Traffic:
        """Sum up what was added so far.

        Returns
        -------
        Traffic
        """
        start, arrivals, busy = self._minutes.series()
        known = len(arrivals) > 0
        first = max(self._minutes.first, start) if known else None
        last = min(self._minutes.last, start + 60.0 * len(arrivals)) if known else None
        # Stamps are of whole seconds, so the last second is counted in full.
        seconds = 0.0 if first is None or last is None else last - first + 1
        times = self._times if self._times.count else None
        # the first and the last minute are cut, so of fewer than three none may be whole
        minutes_known = len(arrivals) >= 3
        return Traffic(
            format=self.format,
            requests=self.requests,
            static=self._static,
            noise=self.noise,
            first=first,
            last=last,
            arrival_rate=_arrival_rate(arrivals, seconds) if known else None,
            busiest_minute=busiest(arrivals, start, minutes=1) if minutes_known else None,
            peak_hour=busiest(arrivals, start, minutes=60),
            rates=_rate_groups(arrivals, start, first, last) if first is not None and last is not None else (),
            time_kind=self._kind if times else None,
            time=times.mean_estimate() if times else None,
            time_scv=times.scv_estimate() if times else None,
            time_quantiles={p: times.quantile_estimate(p) for p in QUANTILES} if times else {},
            cpu_time=self._cpu.mean_estimate() if self._cpu.count else None,
            memory=self._memory.quantile_estimate(_MEMORY_QUANTILE) if self._memory.count else None,
            peak_memory=self._memory.maximum if self._memory.count else None,
            busy=float(busy.sum() / seconds) if known and times else None,
            busiest=busiest(busy, start, minutes=1) if times and minutes_known else None,
            timeline=self._minutes.timeline(),
            failed=self._failed / self._answered if self._answered else None,
            routes=self._routes.heaviest(),
            visitors=None if self._disordered else self._visitors.result(),
            disordered=self._disordered,
            lost=self._minutes.lost,
        )


def _begin(requests: Requests, times: FloatArray | None) -> FloatArray | None:
    if requests.started is not None:
        return requests.started
    if requests.ended is None or times is None:
        return requests.ended
    return requests.ended - np.nan_to_num(times)


def _only(requests: Requests, wanted: np.ndarray) -> Requests:
    chosen = {}
    for name in ("started", "ended", "service_time", "upstream_time", "request_time", "cpu_time", "memory", "status"):
        column = getattr(requests, name)
        chosen[name] = None if column is None else column[wanted]
    for name in ("route", "client"):
        texts = getattr(requests, name)
        chosen[name] = None if texts is None else list(compress(texts, wanted))
    return replace(requests, count=int(wanted.sum()), **chosen)


def _arrival_rate(arrivals: FloatArray, seconds: float) -> Estimate:
    """Mean of all, with the relative doubt that the whole minutes show."""
    total = rate(np.array([arrivals.sum()]), seconds)
    whole = arrivals[1:-1]  # the first and the last minute are cut
    if len(whole) < _ENOUGH_MINUTES or not whole.sum():
        return total
    spread = rate(whole, 60.0)
    if spread.low is None or spread.high is None or spread.high > _SENSELESS * spread.value:
        return replace(total, low=None, high=None)  # a few bursts in long silence: their mean says little
    factor = total.value / spread.value
    return replace(total, low=spread.low * factor, high=spread.high * factor)


def _rate_groups(arrivals: FloatArray, start: float, first: float, last: float) -> tuple[tuple[float, float], ...]:
    """Group minutes of similar rate: (mean rate over their requests, their share of all requests)."""
    begins = start + 60.0 * np.arange(len(arrivals))
    covered = np.minimum(begins + 60.0, last + 1) - np.maximum(begins, first)
    rates = arrivals / np.maximum(covered, 1.0)
    order = np.argsort(rates)[np.count_nonzero(arrivals == 0) :]
    if not len(order):
        return ()
    groups = np.array_split(order, min(_RATE_GROUPS, len(order)))
    return tuple(
        (float((rates[g] * arrivals[g]).sum() / arrivals[g].sum()), float(arrivals[g].sum() / arrivals.sum()))
        for g in groups
    )
