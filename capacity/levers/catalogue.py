"""The levers: what can be done to a host, an application or its load, each a transformation of a table of scenarios.

A lever takes columns and an effect for every row, and gives columns; an effect of ``none`` changes not one bit, so a
table of levers and their combinations is one matrix of effects. Where a lever saves a part of the service time that is
not known (the CPU's, the database's), it takes that part for as long as it can be: what comes out is the most it could
do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np

from capacity.errors import InvalidInput, Problem
from capacity.levers.limiting import truncated
from capacity.problems import did_you_mean, field_label
from capacity.table import Column, Table
from capacity.units import format_bytes, format_fraction, format_seconds

__all__ = ["LEVERS", "Lever", "lever_named"]

Change: TypeAlias = Callable[[Table, Column], dict[str, Column]]
_CASE_STUDY: Final = "case study (built in)"
# Service times: a timeout shorter than that would cut off ordinary requests (exponential: 45 of a million).
_ORDINARY: Final = 10.0
_CHOICE: Final = "a choice, not a measurement: give your own"


@dataclass(frozen=True)
class Lever:
    """Something that can be done.

    ``change`` gives the columns that an effect changes; ``relieves`` names the limits it can move; ``needs`` is the
    field without which only the most it could do is known; ``shown`` says an effect in words, beside a one-row table.
    What is bought ``per_host`` costs so much for every host there is. Effects go from ``least`` in steps of ``step`` to
    ``most``; the larger, the more is done.
    """

    name: str
    title: str
    kind: Literal["factor", "share", "count"]
    default: float
    source: str
    step: float
    most: float
    relieves: str
    change: Change
    shown: Callable[[Table, float], str]
    risks: tuple[str, ...]
    needs: str | None = None
    needed_for: str = ""
    per_host: bool = False

    @property
    def none(self) -> float:
        """The effect that changes nothing."""
        return np.inf if self.name == "more_workers" else self.least

    @property
    def least(self) -> float:
        """The least effect there is."""
        return 0.0 if self.kind == "share" else 1.0

    def effect_at(self, step: Column) -> Column:
        """Effects so many steps from the least one, without the rounding of a sum of steps."""
        return np.round(self.least + step * self.step, 9)

    def applied(self, table: Table, effect: Column) -> dict[str, Column]:
        """Columns of a table after this lever."""
        return {**table, **self.change(table, effect)}


def lever_named(name: object, field: str) -> Lever:
    """The lever of that name; hyphens are as good as underscores.

    Raises
    ------
    InvalidInput
        There is none.
    """
    known = {lever.name: lever for lever in LEVERS}
    asked = name.replace("-", "_") if isinstance(name, str) else name
    if asked not in known:
        hint = did_you_mean(asked, known) or f"known: {', '.join(known)}"
        raise InvalidInput([Problem(f"{field} {field_label(name)}", "is not a known lever", hint=hint)])
    return known[asked]


def _more_workers(table: Table, effect: Column) -> dict[str, Column]:
    most = np.floor(table["pool.max_children"] * effect * (1.0 + 1e-9))
    return {"policy.process_max": np.fmin(table["policy.process_max"], np.where(np.isinf(effect), np.nan, most))}


def _more_memory(table: Table, effect: Column) -> dict[str, Column]:
    return {"host.ram": table["host.ram"] * effect}


def _more_cores(table: Table, effect: Column) -> dict[str, Column]:
    return {"host.cpus": table["host.cpus"] * effect}


def _faster_cores(table: Table, effect: Column) -> dict[str, Column]:
    faster = _less_cpu(table, 1.0 - 1.0 / effect)
    return {**faster, "workload.web_server_cpu_time": table["workload.web_server_cpu_time"] / effect}


def _less_cpu(table: Table, share: Column) -> dict[str, Column]:
    """Save a share of the CPU time; where it is not known, of the whole service time."""
    service, work = table["workload.service_time"], table["workload.cpu_time"]
    left = service - share * np.where(np.isnan(work), service, work)
    return {
        "workload.service_time": left,
        "workload.cpu_time": np.minimum(work * (1.0 - share), left),
        "workload.database_time": np.minimum(table["workload.database_time"], left),
    }


def _less_database(table: Table, share: Column) -> dict[str, Column]:
    """Save a share of the database's time; where that is not known, of all that is not known to be the CPU's."""
    service, held = table["workload.service_time"], table["workload.database_time"]
    work = np.where(np.isnan(table["workload.cpu_time"]), 0.0, table["workload.cpu_time"])
    # what PHP computes while it holds a connection is not saved
    saved = np.minimum(share * np.where(np.isnan(held), service - work, held), service - work)
    left = service - saved
    return {"workload.service_time": left, "workload.database_time": np.minimum(held * (1.0 - share), left)}


def _less_of_all(table: Table, share: Column) -> dict[str, Column]:
    names = ("service_time", "cpu_time", "database_time")
    return {f"workload.{name}": table[f"workload.{name}"] * (1.0 - share) for name in names}


def _page_cache(table: Table, share: Column) -> dict[str, Column]:
    # A click that PHP never sees takes no time, so PHP sees a user who pauses 1 / (1 - share) times as long:
    # N (1 - share) / (Z + (1 - share) S) = N / (Z / (1 - share) + S)
    return {"workload.think_time": table["workload.think_time"] / (1.0 - share)}


def _more_hosts(table: Table, effect: Column) -> dict[str, Column]:
    reserved = table["host.database_connections_reserved"]
    each = np.floor((table["host.database_connections"] - reserved) / effect)
    return {
        "workload.requests_per_click": table["workload.requests_per_click"] / effect,
        "host.database_connections": reserved + each,
    }


def _shorter_timeouts(table: Table, effect: Column) -> dict[str, Column]:
    service, scv = table["workload.service_time"], table["workload.service_scv"]
    patience = table["policy.web_server_timeout"]
    shorter = np.minimum(patience, np.maximum(patience / effect, _ORDINARY * service))
    kept = truncated(service, scv, shorter) / truncated(service, scv, patience)
    return {**_less_of_all(table, 1.0 - kept), "policy.web_server_timeout": shorter}


def _timeout(table: Table, effect: float) -> str:
    now = _value(table, "policy.web_server_timeout")
    after = float(_shorter_timeouts(table, np.array([effect]))["policy.web_server_timeout"][0])
    return f"requests end after {format_seconds(after)} instead of {format_seconds(now)}"


def _value(table: Table, field: str) -> float:
    return float(table[field][0])


def _service(table: Table, change: Change, share: float) -> str:
    """Service time before and after."""
    after = float(change(table, np.array([share]))["workload.service_time"][0])
    return f"{format_seconds(after)} instead of {format_seconds(_value(table, 'workload.service_time'))} a request"


LEVERS: Final[tuple[Lever, ...]] = (
    Lever(
        name="more_workers",
        title="more workers, within the limits",
        kind="factor",
        default=2.0,
        source=f"{_CASE_STUDY}: max_children from 20 to 40",
        step=0.01,
        most=1e4,
        relieves="max_children as it is today",
        change=_more_workers,
        shown=lambda table, effect: f"at most {np.floor(_value(table, 'pool.max_children') * effect):.0f} workers",
        risks=("workers beyond what memory, cores and the database carry make it worse, so those limits stay",),
        needs="pool.max_children",
        needed_for="how many workers there are today",
    ),
    Lever(
        name="page_cache",
        title="a page cache or CDN that answers in place of PHP",
        kind="share",
        default=0.3,
        source=f"{_CHOICE} (hits / requests of the cache)",
        step=0.001,
        most=0.95,
        relieves="the requests that reach PHP",
        change=_page_cache,
        shown=lambda table, share: f"{format_fraction(share)} of PHP's requests answered in front of it",
        risks=(
            "only pages that are the same for everybody: not those of users who are logged in, not carts or forms",
            "a CDN for static files alone does nothing here: those never reached PHP",
        ),
    ),
    Lever(
        name="opcache",
        title="OPcache settings",
        kind="share",
        default=0.01,
        source=(
            "measured on PHP 8.2, 300 class files: 0.5 ms of CPU a request by not looking at every file each time, 1 % "
            "of 50 ms; 28 ms where OPcache was off before"
        ),
        step=0.001,
        most=0.95,
        relieves="CPU time",
        change=_less_cpu,
        shown=lambda table, share: f"{format_fraction(share)} less CPU time: {_service(table, _less_cpu, share)}",
        risks=(
            "with opcache.validate_timestamps=0 new code is seen only after a reload",
            "where OPcache is on already there is little left to gain",
        ),
        needs="workload.cpu_time",
        needed_for="how much of a request is computing",
    ),
    Lever(
        name="redis_sessions",
        title="sessions from the database to Redis",
        kind="share",
        default=0.2,
        source=f"{_CASE_STUDY}: about 20 % fewer database queries",
        step=0.001,
        most=0.95,
        relieves="the database's time",
        change=_less_database,
        shown=lambda table, share: (
            f"{format_fraction(share)} less time at the database: {_service(table, _less_database, share)}"
        ),
        risks=(
            "only where sessions are in the database today; everybody has to log in again once",
            "queries are taken to be equally long, and Redis to take no time beside them",
        ),
        needs="workload.database_time",
        needed_for="how much of a request is waiting for the database",
    ),
    Lever(
        name="fewer_queries",
        title="database indexes, fewer queries",
        kind="share",
        default=0.2,
        source=f"{_CHOICE} (as much as the sessions of the case study)",
        step=0.001,
        most=0.95,
        relieves="the database's time",
        change=_less_database,
        shown=lambda table, share: (
            f"{format_fraction(share)} less time at the database: {_service(table, _less_database, share)}"
        ),
        risks=("find the queries in the slow query log first; an index makes writing slower",),
        needs="workload.database_time",
        needed_for="how much of a request is waiting for the database",
    ),
    Lever(
        name="shorter_service",
        title="shorter requests: faster code, in proportion",
        kind="share",
        default=0.2,
        source=_CHOICE,
        step=0.001,
        most=0.95,
        relieves="the service time",
        change=_less_of_all,
        shown=lambda table, share: _service(table, _less_of_all, share),
        risks=("a goal rather than a means: profile the slowest routes to see what it takes",),
    ),
    Lever(
        name="slow_endpoints",
        title="slow endpoints to a queue or a pool of their own",
        kind="share",
        default=0.2,
        source=f"{_CHOICE} (their share of all time in PHP)",
        step=0.001,
        most=0.95,
        relieves="the service time",
        change=_less_of_all,
        shown=lambda table, share: (
            f"{format_fraction(share)} of the work done elsewhere: {_service(table, _less_of_all, share)}"
        ),
        risks=(
            "the work moved away needs memory, cores and connections of its own, which are not counted here",
            "an answer that is not there at once has to be fetched or sent later",
        ),
    ),
    Lever(
        name="more_memory",
        title="more memory",
        kind="factor",
        default=2.0,
        source="the next larger host; a choice",
        step=0.01,
        most=64.0,
        relieves="memory",
        per_host=True,
        change=_more_memory,
        shown=lambda table, effect: (
            f"{format_bytes(_value(table, 'host.ram') * effect)} of RAM instead of "
            f"{format_bytes(_value(table, 'host.ram'))}"
        ),
        risks=("more workers also ask more of the cores and the database",),
        needs="workload.cpu_time",
        needed_for="whether the cores carry more workers",
    ),
    Lever(
        name="more_cores",
        title="more cores",
        kind="factor",
        default=2.0,
        source="the next larger host; a choice",
        step=0.01,
        most=64.0,
        relieves="cores",
        per_host=True,
        change=_more_cores,
        shown=lambda table, effect: (
            f"{_value(table, 'host.cpus') * effect:.3g} cores instead of {_value(table, 'host.cpus'):.3g}"
        ),
        risks=("what waits for the database does not get faster by it",),
        needs="workload.cpu_time",
        needed_for="whether the cores limit anything",
    ),
    Lever(
        name="faster_cores",
        title="faster cores",
        kind="factor",
        default=1.25,
        source=_CHOICE,
        step=0.01,
        most=8.0,
        relieves="CPU time",
        per_host=True,
        change=_faster_cores,
        shown=lambda table, effect: f"{effect:g} times as fast: {_service(table, _faster_cores, effect)}",
        risks=("what waits for the database does not get faster by it",),
        needs="workload.cpu_time",
        needed_for="how much of a request is computing",
    ),
    Lever(
        name="more_hosts",
        title="more hosts behind a load balancer",
        kind="count",
        default=2.0,
        source="the least that is more than one",
        step=1.0,
        most=1000.0,
        relieves="the load of each host",
        change=_more_hosts,
        shown=lambda table, effect: f"{effect:.0f} such hosts",
        risks=(
            "sessions, uploads and caches have to be where every host finds them",
            "the database is shared, and so are its connections; that it gets slower is not counted",
            "requests are taken to be spread at random; one host less must also do, when one fails",
        ),
    ),
    Lever(
        name="shorter_timeouts",
        title="shorter timeouts",
        kind="factor",
        default=2.0,
        source=_CHOICE,
        step=0.1,
        most=1e4,
        relieves="requests that run into the timeout",
        change=_shorter_timeouts,
        shown=_timeout,
        risks=("whoever is cut off gets an error instead of an answer, and will probably try again",),
    ),
)
