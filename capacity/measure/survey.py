"""From what was seen to a scenario: for each field the best source there is, with its doubt, and what is missing.

Order of trust. Service time: the log of FPM (the time a worker was held), else Little's law on the status page,
else the web server's upstream time, which has the wait in it. Arrival rate: the busiest hour of a log that covers
hours, else the window that was watched, else the whole log. Memory: the high-water mark of the workers, unless
the log saw requests much heavier than any living worker.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from capacity.estimation import Estimate, littles_law_gap
from capacity.fpm.access_format import WANTED_FORMAT
from capacity.fpm.series import SeriesLoad
from capacity.fpm.traffic import Traffic
from capacity.measure.host import Measured
from capacity.measure.light_load import REQUEST_OVERHEAD, is_told_by, light_load_service_time, shifted
from capacity.measure.sampling import Sampled
from capacity.measure.workers import PoolMeasurement
from capacity.presented import Presented
from capacity.scenario import Source
from capacity.units import format_bytes, format_fraction, format_seconds

__all__ = ["Evidence", "Survey", "survey"]

# Share of the cores that is left to PHP whatever the others took: the kernel shares fairly.
_LEAST_LEFT = 0.25
# From half-busy cores on the correction was measured to take out too little.
_BUSY_CORES = 0.5
_FULL = 0.9
# A log this many think times long has seen nearly all pauses; a shorter one only the short ones.
_PAUSES = 20
_HOURS_ENOUGH: Final = 2 * 3600.0
_MINUTES_ENOUGH: Final = 600.0  # of a shorter log the seconds are told
_ENOUGH_REQUESTS = 30
# Below these a heavier request in the log is the rounding of %M (2 MiB steps), above them another script.
_HEAVIER, _HEAVIER_BYTES = 1.25, 4 << 20


@dataclass(frozen=True)
class Evidence:
    """Everything that was looked at; None where it was not, or could not be.

    Parameters
    ----------
    host : PoolMeasurement or None
        Memory and cores of the running pool and its host.
    sampled : Sampled or None
        The pool watched for a window.
    history, window : Traffic or None
        The access log from its beginning, and the part of it written in the window.
    series : SeriesLoad or None
        Active processes from monitoring.
    workers, cores : float or None
        Of the pool when the log was written; by default those of `host`.
    """

    host: PoolMeasurement | None = None
    sampled: Sampled | None = None
    history: Traffic | None = None
    window: Traffic | None = None
    series: SeriesLoad | None = None
    workers: int | None = None
    cores: float | None = None
    overhead: float = REQUEST_OVERHEAD

    @property
    def log(self) -> Traffic | None:
        """The part of the log that speaks for the load: all of it where it covers hours, else the window."""
        if self.window is not None and self.window.requests >= _ENOUGH_REQUESTS:
            long = self.history is not None and self.history.seconds >= _HOURS_ENOUGH
            return self.history if long else self.window
        return self.history


@dataclass(frozen=True)
class Survey(Presented):
    """The fields of a scenario that are known, and what is not.

    Parameters
    ----------
    values : dict of str to Measured
        By scenario field, such as ``workload.service_time``.
    notes : tuple of str
        What the user should know of these values.
    blind : tuple of str
        What could not be seen, and how to make it visible.
    """

    values: dict[str, Measured] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    blind: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Survey: {len(self.values)} values measured, {len(self.blind)} things not seen>"


def survey(evidence: Evidence) -> Survey:
    """Choose the best source for every field.

    Parameters
    ----------
    evidence : Evidence

    Returns
    -------
    Survey

    Examples
    --------
    >>> survey(Evidence()).values
    {}
    """
    notes: list[str] = []
    blind: list[str] = []
    values: dict[str, Measured] = dict(evidence.host.values) if evidence.host is not None else {}
    cpu_time = _cpu_time(evidence, notes)
    service_time, scv = _service_time(evidence, cpu_time, notes, blind)
    if service_time is not None and cpu_time is not None and cpu_time.value > service_time.value:
        notes.append(
            f"cpu_time was measured at {format_seconds(cpu_time.value)}, above service_time: a request that only "
            "computes; it is set to service_time"
        )
        cpu_time = Measured(service_time.value, Source(source=f"service_time; {cpu_time.source.source}"))
    chosen = {
        "workload.service_time": service_time,
        "workload.cpu_time": cpu_time,
        "workload.service_scv": scv,
        "workload.arrival_rate": _arrival_rate(evidence, notes, blind),
        "worker.memory": _memory(evidence, values.get("worker.memory"), notes, blind),
    }
    values |= {name: value for name, value in chosen.items() if value is not None}
    values |= _cores(evidence)
    values |= _visitors(evidence, notes, blind)
    _check_little(evidence, notes)
    _say_sampled(evidence, notes, blind)
    return Survey(values, tuple(dict.fromkeys(notes)), tuple(dict.fromkeys(blind)))


def measured(estimate: Estimate, source: str, *, upper_bound: bool = False) -> Measured:
    """Put an estimate into the shape of a scenario's source."""
    samples = estimate.samples or None
    return Measured(
        estimate.value, Source(source=source, samples=samples, low=estimate.low, high=estimate.high), upper_bound
    )


def _service_time(
    evidence: Evidence, cpu_time: Measured | None, notes: list[str], blind: list[str]
) -> tuple[Measured | None, Measured | None]:
    log, sampled = evidence.log, evidence.sampled
    if log is not None and log.time is not None and log.time_kind == "service_time":
        text = f"mean %d of the access log, {_span(log)}, plus {format_seconds(evidence.overhead)} outside it"
        value = _light(evidence, log.time, text, cpu_time, log.rates, evidence.overhead, notes)
        spread = log.time_scv
        if spread is None or not math.isfinite(spread.value):  # times that are all 0 have no relative spread
            return value, None
        return value, measured(spread, f"%d of the access log, {_span(log)}")
    if sampled is not None and sampled.service_time is not None:
        rate = 0.0 if sampled.arrival_rate is None else sampled.arrival_rate.value
        blind.append(f"the spread of the service time: write access.format = '{WANTED_FORMAT}'")
        text = f"busy workers / arrival rate of the status page (Little's law), {sampled.looks} looks"
        return _light(evidence, sampled.service_time, text, cpu_time, ((rate, 1.0),), 0.0, notes), None
    if evidence.series is not None and evidence.series.service_time is not None:
        text = "active processes / arrival rate of the monitoring (Little's law)"
        return measured(evidence.series.service_time, text), None
    if log is not None and log.time is not None:
        has = "the wait for a worker" if log.time_kind == "upstream_time" else "the wait and the sending of the answer"
        notes.append(f"service_time is an upper bound: {log.time_kind} of the web server has {has} in it")
        return measured(log.time, f"upper bound: {log.time_kind} of {log.format.name}", upper_bound=True), None
    blind.append(
        f"service_time: let FPM log it (access.log = /var/log/php-fpm.$pool.access.log, access.format = "
        f"'{WANTED_FORMAT}'), or give --service-time to recommend"
    )
    return None, None


def _light(
    evidence: Evidence,
    logged: Estimate,
    text: str,
    cpu_time: Measured | None,
    rates: tuple[tuple[float, float], ...],
    overhead: float,
    notes: list[str],
) -> Measured:
    """Service time at light load, or an upper bound where the cores were too busy to tell."""
    host = evidence.host
    workers = evidence.workers or (host.workers_seen if host is not None else 0)
    cores = evidence.cores or (host.cpus.value if host is not None and host.cpus is not None else 0.0)
    left = cores
    if evidence.sampled is not None and (evidence.history is None or evidence.log is not evidence.history):
        # the others took theirs in the window, too; an old log does not tell what they took
        left = max(_LEAST_LEFT * cores, cores - (evidence.sampled.other_cores or 0.0))
    work = cpu_time.value if cpu_time is not None and workers >= 1 and cores > 0 else None
    loads = [pair for pair in rates if pair[0] > 0]
    if not is_told_by(loads, cpu_time=work, workers=workers, cores=left):
        notes.append(
            f"the cores were full ({left:.2g} left to this pool): service_time has the waiting for them in it and is "
            "an upper bound; measure at a quieter hour"
        )
        return measured(shifted(logged, overhead), f"upper bound, on full cores: {text}", upper_bound=True)
    # The kernel shares fairly, so what the others took was neither all lost to PHP nor all there for it.
    value, contention = _between(
        *(
            light_load_service_time(
                logged, cpu_time=work, workers=max(1, workers), cores=there, rates=loads, overhead=overhead
            )
            for there in (left, cores)
        )
    )
    if work is not None and left > 0:
        busy = sum(rate * share for rate, share in loads) * work / left
        if busy > _BUSY_CORES:
            notes.append(
                f"this pool kept {format_fraction(busy)} of the cores left to it busy: service_time may still have "
                "some of the waiting for them in it; measure at a quieter hour"
            )
    less = f", less {format_fraction(contention)} for cores that were busy" if contention >= 0.005 else ""
    return measured(value, f"{text}{less}")


def _between(less: tuple[Estimate, float], more: tuple[Estimate, float]) -> tuple[Estimate, float]:
    """Middle of two estimates, in an interval that holds both."""
    low, high = less[0].low, more[0].high
    value = (less[0].value + more[0].value) / 2
    return Estimate(value, low, high, less[0].samples), (less[1] + more[1]) / 2


def _cpu_time(evidence: Evidence, notes: list[str]) -> Measured | None:
    log, sampled = evidence.log, evidence.sampled
    logged = log.cpu_time if log is not None else None
    watched = sampled.cpu_time if sampled is not None else None
    if logged is not None and watched is not None and not 0.7 < logged.value / max(watched.value, 1e-9) < 1.4:
        notes.append(
            f"cpu_time: the log says {format_seconds(logged.value)} a request, the workers used "
            f"{format_seconds(watched.value)}: work after the answer, or another mix of requests"
        )
    # What the workers used has everything in it; %C is counted in steps of 10 ms and stops at the answer.
    if watched is not None and sampled is not None and (logged is None or sampled.requests * 10 >= logged.samples):
        text = f"CPU time of the workers / requests, in {format_seconds(sampled.seconds)}"
        return measured(replace(watched, samples=sampled.requests), text)
    if logged is not None and log is not None:
        return measured(logged, f"mean of %C x %d in the access log, {_span(log)}")
    return None


def _arrival_rate(evidence: Evidence, notes: list[str], blind: list[str]) -> Measured | None:
    history, sampled, series = evidence.history, evidence.sampled, evidence.series
    if history is not None and history.peak_hour is not None and history.seconds >= _HOURS_ENOUGH:
        peak = history.peak_hour
        samples = round(peak.value * peak.seconds)
        text = f"busiest hour of the access log, from {moment(peak.start)}"
        return Measured(peak.value, Source(source=text, samples=samples or None))
    if sampled is not None and sampled.arrival_rate is not None and sampled.requests > 0:
        notes.append(
            f"arrival_rate is of {format_seconds(sampled.seconds)}, which may not have been the busiest: measure at "
            "the busy hour, let an access log cover a day, or give --arrival-rate or --users to recommend"
        )
        return measured(sampled.arrival_rate, f"requests the pool took in {format_seconds(sampled.seconds)}")
    log = evidence.log
    if log is not None and log.arrival_rate is not None and log.seconds > 0:
        return measured(log.arrival_rate, f"mean of the access log, {_span(log)}")
    if series is not None and series.arrival_rate is not None:
        return measured(series.arrival_rate, "accepted connections of the monitoring")
    blind.append("the arrival rate: an access log, pm.status_path, or --arrival-rate or --users tell it")
    return None


def _memory(evidence: Evidence, seen: Measured | None, notes: list[str], blind: list[str]) -> Measured | None:
    history = evidence.history
    logged = history.memory if history is not None else None
    logged = logged if logged is None else replace(logged, value=math.ceil(logged.value))
    if logged is None:
        if seen is None:
            blind.append(f"worker.memory: %M in access.format tells it ('{WANTED_FORMAT}'), or give --worker-memory")
        return seen
    if seen is None:
        text = "0.95 quantile of %M in the access log; what an idle worker takes (about 1 MiB) is not in it"
        return measured(logged, text)
    if logged.value > _HEAVIER * seen.value and logged.value > seen.value + _HEAVIER_BYTES:
        notes.append(
            f"the log has requests of {format_bytes(logged.value)} (%M), more than the {format_bytes(seen.value)} "
            "that the living workers ever took: the log's figure is used"
        )
        return measured(logged, "0.95 quantile of %M in the access log, above what the living workers took")
    return seen


def _cores(evidence: Evidence) -> dict[str, Measured]:
    """Cores with what others left of them in the window as the lower end."""
    cpus = evidence.host.cpus if evidence.host is not None else None
    others = evidence.sampled.other_cores if evidence.sampled is not None else None
    if cpus is None or others is None:
        return {}
    low = max(0.0, cpus.value - others)
    text = f"{cpus.source.source}; low is what the others left in the window"
    return {"host.cpus": Measured(cpus.value, Source(source=text, samples=1, low=low, high=cpus.value))}


def _visitors(evidence: Evidence, notes: list[str], blind: list[str]) -> dict[str, Measured]:
    history = evidence.history
    visitors = history.visitors if history is not None else None
    if history is not None and history.disordered:
        notes.append("the times of the access log run backwards (files in the wrong order?): visitors are not followed")
        return {}
    if history is None or visitors is None:
        blind.append(
            "users and think time: an access log with visitors' addresses (%{REMOTE_ADDR}e) tells them, or give "
            "--users, --think-time and --requests-per-click"
        )
        return {}
    text = f"access log, {_span(history)}: {visitors.clients} addresses, {visitors.clicks} clicks"
    doubt = "an office behind one address, or a crawler, falsifies it"
    values = {"workload.requests_per_click": measured(visitors.requests_per_click, f"{text}; {doubt}")}
    if visitors.think_time is not None and history.seconds < _PAUSES * visitors.think_time.value:
        blind.append(
            f"think time: a log of {format_seconds(history.seconds)} shows only the short pauses; let it cover an "
            "hour, or give --think-time"
        )
    elif visitors.think_time is not None:
        values["workload.think_time"] = measured(visitors.think_time, f"{text}; {doubt}")
    return values


def _check_little(evidence: Evidence, notes: list[str]) -> None:
    """Hold the logged service time against the busy workers that were seen."""
    sampled, window = evidence.sampled, evidence.window
    if sampled is None or sampled.busy is None or sampled.arrival_rate is None or window is None or window.time is None:
        return
    if window.time_kind != "service_time" or window.requests < _ENOUGH_REQUESTS:
        return
    held = shifted(window.time, evidence.overhead)
    gap = littles_law_gap(busy=sampled.busy, arrival_rate=sampled.arrival_rate, service_time=held)
    if gap.notable:
        notes.append(
            f"Little's law: {sampled.busy.value:.3g} workers were busy, {format_fraction(abs(gap.value))} "
            f"{'more' if gap.value > 0 else 'fewer'} than arrival rate x logged time explains: hidden work at "
            "shutdown (destructors, shutdown functions), kept connections (fastcgi_keep_conn) or busy cores"
        )


def _say_sampled(evidence: Evidence, notes: list[str], blind: list[str]) -> None:
    sampled = evidence.sampled
    if sampled is None:
        return
    known = sampled.waiting is not None
    notes.extend(note for note in sampled.notes if not (known and note.startswith("listen queue is unknown")))
    full = sampled.busy is not None and sampled.busy.value > _FULL * max(1, sampled.workers[1])
    if full and (sampled.most_waiting or 0) > 1:
        notes.append(
            "the pool was full and requests waited: the arrival rate is what it completed, a lower bound of what was "
            "asked of it"
        )
    if sampled.busy is None:
        blind.append(
            "busy workers and the arrival rate: set pm.status_path = /status, and pm.status_listen to a socket of its "
            "own, on which it answers while the pool is full"
        )
    if sampled.most_stuck >= 2:
        notes.append(
            f"up to {sampled.most_stuck} workers were in 'Reading headers': connections that are kept open hold them; "
            "switch fastcgi_keep_conn off"
        )
    if sampled.most_waiting:
        those = "1 request" if sampled.most_waiting == 1 else f"up to {sampled.most_waiting} requests"
        notes.append(f"{those} waited in the accept queue")
    if sampled.other_cores is not None and sampled.other_cores >= 0.1:
        notes.append(
            f"everything but this pool used {sampled.other_cores:.2g} cores while it was watched; host.cpus has "
            "them still in it"
        )
    if sampled.limit_reached:
        often = "once" if sampled.limit_reached == 1 else f"{sampled.limit_reached} times"
        notes.append(f"the pool came to its max_children {often} while it was watched")


def moment(seconds: float) -> str:
    """Write a time as people read it.

    Examples
    --------
    >>> moment(1795506390)
    '2026-11-24 07:46 UTC'
    """
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _span(log: Traffic) -> str:
    if log.first is None:
        return ""
    start = moment(log.first)
    if log.seconds < _MINUTES_ENOUGH:
        return f"{format_seconds(log.seconds)} from {start}"
    return f"{start} to {moment(log.first + log.seconds)}"
