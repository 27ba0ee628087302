"""What a measurement found, as text for people and as JSON for programs."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from capacity.fpm.minutes import Peak
from capacity.fpm.traffic import Traffic
from capacity.measure.host import Measured
from capacity.measure.survey import Evidence, Survey, moment
from capacity.problems import field_label
from capacity.report.text import box_for, section
from capacity.results import Comparison, Deviation
from capacity.units import format_bytes, format_fraction, format_rate, format_seconds

__all__ = ["comparison_text", "survey_json", "survey_text"]

_FORMAT_VERSION = "1.0"
_KIND_NAMES = {
    "service_time": "time a worker was held",
    "upstream_time": "time of the upstream, the wait for a worker included",
    "request_time": "time of the web server, the sending of the answer included",
}


def survey_text(
    pool: str | None, evidence: Evidence, found: Survey, notes: Sequence[str], console: Console
) -> RenderableType:
    """What was measured, what the load looks like, and what could not be seen.

    Parameters
    ----------
    pool : str or None
    evidence : Evidence
    found : Survey
    notes : sequence of str
        Said before those of `found`.
    console : Console

    Returns
    -------
    RenderableType
    """
    parts: list[RenderableType] = [_values(pool, found, console)]
    if evidence.history is not None:
        parts += ["", *_traffic(evidence.history, console)]
    said = [*notes, *found.notes]
    if said:
        parts += ["", section("Keep in mind", said)]
    if found.blind:
        parts += [section("What it could not see, and how to make it visible", found.blind)]
    return Group(*parts)


def survey_json(tables: Mapping[str, Any], evidence: Evidence, found: Survey, missing: Sequence[str]) -> str:
    """Give the scenario and everything behind it as one JSON document; what is not finite is null.

    Parameters
    ----------
    tables : mapping
        Of the scenario.
    evidence : Evidence
    found : Survey
    missing : sequence of str
        Fields a scenario needs and that are not known.

    Returns
    -------
    str
    """
    log = evidence.history
    document = {
        "format_version": _FORMAT_VERSION,
        "scenario": tables,
        "missing": list(missing),
        "notes": list(found.notes),
        "blind": list(found.blind),
        "sampled": evidence.sampled,
        "access_log": None if log is None else _log_json(log),
        "monitoring": evidence.series,
    }
    return json.dumps(_plain(document), indent=2, ensure_ascii=False, allow_nan=False)


def comparison_text(result: Comparison, console: Console) -> RenderableType:
    """Prediction and reality side by side.

    Parameters
    ----------
    result : Comparison
    console : Console

    Returns
    -------
    RenderableType
    """
    title = f"Prediction and reality, {result.workers} workers, {format_seconds(result.seconds)}"
    table = Table(box=box_for(console), title=title, title_justify="left", title_style="bold")
    for name in ("", "predicted", "band", "measured", "90 % interval", ""):
        table.add_column(name, justify="left" if not name else "right")
    for deviation in result.deviations:
        show = _unit(deviation.quantity)
        low, high = (_or_none(show, end) for end in (deviation.band_low, deviation.band_high))
        table.add_row(
            deviation.quantity.replace("_", " "),
            _or_none(show, deviation.predicted),
            f"{low} to {'no end' if deviation.band_high is None else high}",
            show(deviation.measured),
            _interval_text(show, deviation.measured_low, deviation.measured_high),
            _state(deviation),
            style="bold red" if deviation.beyond else None,
        )
    reasons = [f"{d.quantity.replace('_', ' ')}: {d.meaning}" for d in result.deviations if d.beyond]
    return Group(table, *(["", section("What it means", reasons)] if reasons else []))


def _state(deviation: Deviation) -> str:
    """Within, beyond, or outside by a value whose interval still reaches into the band."""
    if deviation.beyond:
        return "BEYOND"
    low, high, value = deviation.band_low or 0.0, deviation.band_high, deviation.measured
    return "within" if low <= value and (high is None or value <= high) else "unsure"


def _values(pool: str | None, found: Survey, console: Console) -> Table:
    title = Text("Measured" if pool is None else f"Pool {field_label(pool)}", style="bold")
    table = Table(box=box_for(console), title=title, title_justify="left", title_style="bold")
    table.add_column("field", no_wrap=True)
    table.add_column("value", justify="right")
    table.add_column("90 % interval", justify="right")
    table.add_column("source (whole in the file)")
    for field, value in found.values.items():
        show = _unit(field)
        # Text: what comes from a log or a file must not be read as markup
        source = Text(_brief(value.source.source))
        table.add_row(field, _bounded(show(value.value), value), _interval(show, value), source)
    return table


def _traffic(log: Traffic, console: Console) -> list[RenderableType]:
    lines = [f"{log.requests} requests read as {log.format.name}"]
    if log.static:
        lines.append(f"{log.static} more never reached PHP")
    if log.arrival_rate is not None and log.first is not None and log.last is not None:
        lines.append(
            f"from {moment(log.first)} to {moment(log.last)}: mean {format_rate(log.arrival_rate.value)}"
            f"{_peak(', busiest minute', log.busiest_minute)}{_peak(', busiest hour', log.peak_hour)}"
        )
    if log.time_quantiles and log.time_kind is not None:
        spread = ", ".join(f"p{p * 100:g} {format_seconds(e.value)}" for p, e in log.time_quantiles.items())
        lines.append(f"{_KIND_NAMES[log.time_kind]}: {spread}")
    if log.busy is not None and log.busiest is not None:
        lines.append(f"workers held at the same time: mean {log.busy:.3g}, busiest minute {log.busiest.value:.3g}")
    if log.peak_memory is not None:
        lines.append(f"largest request: {format_bytes(log.peak_memory)}")
    if log.failed:
        lines.append(f"{format_fraction(log.failed)} of the answers are errors (status 500 and above)")
    if log.visitors is not None:
        people = log.visitors
        thinking = "" if people.think_time is None else f", {format_seconds(people.think_time.value)} apart"
        lines.append(
            f"{people.clients} addresses, {people.requests_per_click.value:.3g} requests a click{thinking}{_users(log)}"
        )
    if log.noise.lines:
        examples = "".join(f"\n{example}" for example in log.noise.examples)
        lines.append(f"{log.noise.lines} lines are no requests, such as {examples}")
    if log.lost:
        lines.append(f"{log.lost} requests have no usable time")
    lines += log.format.notes
    parts: list[RenderableType] = [section("The load in the access log", lines)]
    if log.routes and not (len(log.routes) == 1 and log.routes[0].name == "(none)"):
        parts += [_routes(log, console)]
    return parts


def _users(log: Traffic) -> str:
    """Say how many people that is at the busiest hour, by the interactive response time law."""
    people = log.visitors
    if people is None or people.think_time is None or log.peak_hour is None or log.time is None:
        return ""
    clicks = log.peak_hour.value / people.requests_per_click.value
    return f"; in the busiest hour about {clicks * (people.think_time.value + log.time.value):.3g} users at a time"


def _routes(log: Traffic, console: Console) -> Table:
    table = Table(box=box_for(console), title="Heaviest routes", title_justify="left", title_style="bold")
    table.add_column("route")
    for name in ("requests", "busy time", "mean", "CPU time", "memory"):
        table.add_column(name, justify="right")
    for route in log.routes:
        table.add_row(
            Text(route.name),
            format_fraction(route.share),
            _or_none(format_fraction, route.busy_share),
            _or_none(format_seconds, route.mean_time),
            _or_none(format_fraction, route.cpu_share),
            _or_none(format_bytes, route.peak_memory),
        )
    return table


def _peak(words: str, peak: Peak | None) -> str:
    return "" if peak is None else f"{words} {format_rate(peak.value)} ({moment(peak.start)})"


def _unit(field: str) -> Any:
    name = field.rpartition(".")[2]
    if name in {"ram", "reserved", "memory", "shared_memory", "worker_memory"}:
        return format_bytes
    if name.endswith("_time"):
        return format_seconds
    if name == "arrival_rate":
        return format_rate
    return lambda value: f"{value:.0f}" if value == round(value) else f"{value:.3g}"


def _or_none(show: Any, value: float | None) -> str:
    return "-" if value is None else str(show(value))


def _brief(source: str) -> str:
    """Give the first clause of where a value is from, without what stands in brackets."""
    return re.sub(r" \([^()]*\)", "", source).partition("; ")[0].partition(", plus ")[0]


def _bounded(text: str, value: Measured) -> str:
    return f"at most {text}" if value.upper_bound else text


def _interval(show: Any, value: Measured) -> str:
    # of an upper bound, an interval around it says nothing
    return "" if value.upper_bound else _interval_text(show, value.source.low, value.source.high)


def _interval_text(show: Any, low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{show(low)} to {show(high)}"


def _log_json(log: Traffic) -> dict[str, Any]:
    names = [name for name in log.__dataclass_fields__ if name not in {"format", "noise", "rates"}]
    return {
        "format": log.format.name,
        "noise": {"lines": log.noise.lines, "examples": log.noise.examples},
        **{name: getattr(log, name) for name in names},
    }


def _plain(value: Any) -> Any:
    """What JSON can hold: dataclasses as objects, keys as text, not finite as null."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.ndarray):
        return [_plain(float(f"{inner:.6g}")) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
