"""Frozen results: what a recommendation, a forecast, a comparison and a replay are made of.

Every number is SI (bytes, seconds, requests per second, fractions). A number that is not finite is None here
and is explained by a caution. How results look is the business of ``show/`` and ``report/``.
"""

from __future__ import annotations

from typing import Any, Literal, Self, TypeAlias

from pydantic import Field
from pydantic.config import JsonDict

from capacity.pool import PoolSettings
from capacity.presented import Result
from capacity.units import format_fraction, format_rate, format_seconds

__all__ = [
    "Assumption",
    "Band",
    "Choice",
    "Comparison",
    "Deviation",
    "Forecast",
    "Interval",
    "Limit",
    "Prediction",
    "Recommendation",
    "Replay",
    "ReplayedPeriod",
    "ReplayedPool",
    "RuleOfThumb",
    "StepForecast",
    "StepOutcome",
    "UserBand",
    "Verdict",
]

FORMAT_VERSION = "1.0"
_PURE: dict[str, Any] = {"json_schema_extra": {"unit": "1"}}
_SECONDS: dict[str, Any] = {"json_schema_extra": {"unit": "s"}}
_RATE: dict[str, Any] = {"json_schema_extra": {"unit": "1/s"}}
_ITS_OWN: JsonDict = {"unit": "as the field unit says"}

Verdict: TypeAlias = Literal["comfortable", "manageable", "watch", "overloaded"]
LimitName: TypeAlias = Literal["memory", "cpu", "database", "process_max", "demand"]
ModelName: TypeAlias = Literal["open", "finite"]


class Limit(Result):
    """How many workers one resource, or the demand, asks for."""

    name: LimitName
    workers: int | None = Field(description="workers; null: this does not limit", **_PURE)
    binding: bool = Field(description="whether this decides max_children")
    formula: str = Field(description="how it is computed, in words")
    inputs: dict[str, float] = Field(description="what it is computed from, by scenario field, in SI units")
    reason: str = Field(description="why, in words for a system administrator")

    def __repr__(self) -> str:
        workers = "no limit" if self.workers is None else f"{self.workers} workers"
        return f"<Limit: {self.name}, {workers}{' (binds)' if self.binding else ''}>"


class Interval(Result):
    """Where a quantity lies, in its own unit."""

    low: float
    high: float | None = Field(description="null: without bound")


class Band(Result):
    """Where 90 of 100 windows lie: chance, and the doubt of the inputs. A quantity is null where that is not known."""

    window: float = Field(description="length of the window", **_SECONDS)
    level: float = Field(description="share of windows within each interval", **_PURE)
    throughput: Interval | None = Field(description="requests completed", **_RATE)
    utilization: Interval | None = Field(description="busy share of a worker", **_PURE)
    waiting_time: Interval | None = Field(description="mean", **_SECONDS)
    response_time: Interval | None = Field(description="mean", **_SECONDS)
    response_time_p95: Interval | None = Field(description="95 % quantile", **_SECONDS)


class Prediction(Result):
    """What one number of users does to one pool."""

    users: int | None = Field(description="users; null where only a request rate is known")
    arrival_rate: float = Field(description="requests offered", **_RATE)
    throughput: float = Field(description="requests completed", **_RATE)
    verdict: Verdict
    utilization: float = Field(description="busy share of a worker", **_PURE)
    cpu_utilization: float | None = Field(description="busy share of a core; null: cpu_time unknown", **_PURE)
    database_utilization: float | None = Field(description="busy share of its connections; null: unknown", **_PURE)
    wait_probability: float = Field(description="an arrival finds every worker busy", **_PURE)
    waiting_time: float | None = Field(description="mean; null: it grows without bound", **_SECONDS)
    response_time: float | None = Field(description="mean; null: it grows without bound", **_SECONDS)
    response_time_p95: float | None = Field(
        description="95 of 100 requests are faster; null: it grows without bound", **_SECONDS
    )
    slowdown: float | None = Field(
        description="mean response time over service time at light load, minus 1; null: without bound", **_PURE
    )
    objective_met: bool | None = Field(description="what is asked of response times; null: nothing is")
    apdex: float | None = Field(
        None,
        description="share of users satisfied, half of those who tolerate it; null: no apdex_time is given",
        **_PURE,
    )
    refused: float | None = Field(None, description="share that gets a 502 at once: the queue is full", **_PURE)
    killed: float | None = Field(None, description="share that gets a 502 at request_terminate_timeout", **_PURE)
    timed_out: float | None = Field(None, description="share that gets a 504 and is executed all the same", **_PURE)
    wasted: float | None = Field(None, description="share of the busy time after the web server gave up", **_PURE)
    queue_fills_after: float | None = Field(
        None, description="about when the queue is full; null: it does not grow", **_SECONDS
    )
    admitted_waiting_time: float | None = Field(
        None, description="mean of those let in to a growing queue, in the end", **_SECONDS
    )
    band: Band | None = Field(None, description="what a window shows; null: not asked for, or not known")

    @property
    def answered(self) -> float | None:
        """Share that is answered in time [-]; None in the finite model."""
        lost = (self.refused, self.killed, self.timed_out)
        return None if None in lost else max(0.0, 1.0 - sum(share or 0.0 for share in lost))

    def __repr__(self) -> str:
        load = format_rate(self.arrival_rate) if self.users is None else f"{self.users} users"
        p95 = self.response_time_p95
        time = "without bound" if p95 is None else f"95 % within {format_seconds(p95)}"
        return f"<Prediction: {self.verdict} at {load}, {format_fraction(self.utilization)} busy, {time}>"


class UserBand(Result):
    """The largest number of users that gets a verdict."""

    verdict: Verdict
    users: int | None = Field(description="largest number of users with this verdict; null: none gets it")


class Choice(Result):
    """A setting that was chosen, or a better one that was not, with the reason."""

    setting: str
    value: str | int | None
    reason: str


class RuleOfThumb(Result):
    """What a popular rule would have said."""

    name: str
    workers: int | None = Field(description="workers by this rule; null: it does not speak of workers")
    start_servers: int | None = None
    min_spare_servers: int | None = None
    max_spare_servers: int | None = None
    users: int | None = Field(default=None, description="users by this rule; null: it does not speak of users")
    formula: str
    ignores: str = Field(description="what it does not look at")


class Assumption(Result):
    """A value the result rests on, and where it came from."""

    field: str
    value: float | str
    source: str


class StepOutcome(Result):
    """What a sudden step in load does to one pool."""

    pool: PoolSettings
    waiting_time: float = Field(description="mean of the requests after the step", **_SECONDS)
    waiting_time_p95: float = Field(description="95 of 100 of them wait less", **_SECONDS)
    waiting_time_longest: float = Field(description="the longest of them", **_SECONDS)
    refused: float = Field(
        description="share of them that found the accept queue full, and that no wait here counts", **_PURE
    )
    recovered_after: float | None = Field(
        description="when waits are those of a pool with all its workers; null: not within the window", **_SECONDS
    )
    workers: tuple[float, ...] = Field(description="mean number at the step and each second after it", **_PURE)

    def __repr__(self) -> str:
        wait = format_seconds(self.waiting_time)
        return f"<StepOutcome: {self.pool.pm}, {self.pool.max_children} workers, mean wait {wait}>"


class StepForecast(Result):
    """What a sudden step from some users to others does to a pool, and what it would do to others of its size."""

    users_before: int
    users_after: int
    arrival_rate_before: float = Field(description="requests offered", **_RATE)
    arrival_rate_after: float = Field(description="requests offered", **_RATE)
    window: float = Field(description="how long the load after the step lasts", **_SECONDS)
    outcomes: tuple[StepOutcome, ...] = Field(
        description="the pool itself first, then static, dynamic with spares for the step, and ondemand"
    )
    choice: Choice

    def __repr__(self) -> str:
        waits = ", ".join(f"{each.pool.pm} {format_seconds(each.waiting_time)}" for each in self.outcomes)
        return f"<StepForecast: {self.users_before} to {self.users_after} users, mean waits: {waits}>"


class Forecast(Result):
    """What numbers of users do to one pool."""

    format_version: str = FORMAT_VERSION
    pool: PoolSettings
    model: ModelName
    predictions: tuple[Prediction, ...]
    bands: tuple[UserBand, ...]
    cautions: tuple[str, ...]
    assumptions: tuple[Assumption, ...] = ()
    step: StepForecast | None = Field(default=None, description="a sudden step in load, where one was asked for")

    def users_for(self, verdict: Verdict) -> int | None:
        """Largest number of users with this verdict; None where none gets it."""
        return next((band.users for band in self.bands if band.verdict == verdict), None)

    def __repr__(self) -> str:
        return f"<Forecast: {self.pool.max_children} workers, {self.model} model: {describe_bands(self.bands)}>"


class Recommendation(Result):
    """How many workers, why, and what they can take."""

    format_version: str = FORMAT_VERSION
    feasible: bool = Field(description="whether the objective can be met within the limits")
    pool: PoolSettings = Field(description="the recommended settings, in FPM's own names")
    current: PoolSettings | None = Field(description="the settings of today, where known")
    binding: LimitName = Field(description="the limit that decides max_children")
    needed: int | None = Field(description="least workers that meet the objective; null: no number does")
    wanted: int | None = Field(description="the same with headroom; null: no number does")
    shortfall: int | None = Field(
        description="needed workers that the limits do not allow; 0 when feasible, null: no number would do"
    )
    limits: tuple[Limit, ...]
    more_workers_help: bool | None = Field(description="whether more workers would serve more users; null: unknown")
    more_workers_reason: str
    predictions: tuple[Prediction, ...]
    bands: tuple[UserBand, ...]
    current_predictions: tuple[Prediction, ...] = ()
    current_bands: tuple[UserBand, ...] = ()
    worst_case_memory: int = Field(
        description="every worker at its peak, and shared memory once", json_schema_extra={"unit": "byte"}
    )
    choices: tuple[Choice, ...]
    next_steps: tuple[str, ...]
    cautions: tuple[str, ...]
    assumptions: tuple[Assumption, ...]
    rules_of_thumb: tuple[RuleOfThumb, ...]
    step: StepForecast | None = Field(default=None, description="a sudden step in load, where one was asked for")

    def users_for(self, verdict: Verdict) -> int | None:
        """Largest number of users with this verdict; None where none gets it."""
        return next((band.users for band in self.bands if band.verdict == verdict), None)

    def with_assumptions(self, assumptions: tuple[Assumption, ...]) -> Self:
        """Copy with these assumptions in front of its own."""
        return self.model_copy(update={"assumptions": assumptions + self.assumptions})

    def __repr__(self) -> str:
        state = "" if self.feasible else "INFEASIBLE, "
        bands = f": {describe_bands(self.bands)}" if self.bands else ""
        return f"<Recommendation: {state}{self.pool.max_children} workers ({self.binding} binds){bands}>"


class Deviation(Result):
    """One quantity as it was predicted and as it was measured; every number is in the unit that `unit` names."""

    quantity: Literal["service_time", "cpu_time", "worker_memory", "busy_workers", "queue_length"]
    unit: Literal["s", "byte", "1"] = Field(description="unit of the numbers here")
    predicted: float | None = Field(description="null: it grows without bound", json_schema_extra=_ITS_OWN)
    band_low: float | None = Field(description="lower end of the band", json_schema_extra=_ITS_OWN)
    band_high: float | None = Field(description="upper end of the band; null: none", json_schema_extra=_ITS_OWN)
    measured: float = Field(description="what was seen", json_schema_extra=_ITS_OWN)
    measured_low: float | None = Field(
        description="lower end of the 90 % interval; null: unknown", json_schema_extra=_ITS_OWN
    )
    measured_high: float | None = Field(
        description="upper end of the 90 % interval; null: unknown", json_schema_extra=_ITS_OWN
    )
    beyond: bool = Field(description="whether the measured interval lies wholly outside the band")
    meaning: str = Field(description="what to make of it; empty within the band")


class Comparison(Result):
    """A scenario held against the running pool."""

    format_version: str = FORMAT_VERSION
    workers: int = Field(description="workers of the running pool", **_PURE)
    seconds: float = Field(description="length of the window", **_SECONDS)
    deviations: tuple[Deviation, ...]
    beyond: bool = Field(description="whether any of them is beyond its band")

    def __repr__(self) -> str:
        names = [deviation.quantity for deviation in self.deviations if deviation.beyond]
        return f"<Comparison: {', '.join(names) + ' beyond the band' if names else 'within the band'}>"


class ReplayedPeriod(Result):
    """The requests of a log that came within one hour, minute or day, in one pool."""

    start: float = Field(description="since the epoch", **_SECONDS)
    seconds: float = Field(description="length of the period", **_SECONDS)
    requests: int = Field(description="that came in it", **_PURE)
    refused: int = Field(description="of them, for want of a waiting place", **_PURE)
    arrival_rate: float = Field(description="over what the log has of it", **_RATE)
    utilization: float = Field(description="busy share of a worker", **_PURE)
    wait_probability: float = Field(description="share of those let in that waited", **_PURE)
    waiting_time: float = Field(description="mean of those let in", **_SECONDS)
    waiting_time_p95: float = Field(description="95 of 100 waited less", **_SECONDS)
    response_time: float = Field(description="mean of those let in", **_SECONDS)
    response_time_p95: float = Field(description="95 of 100 were faster", **_SECONDS)
    queue_length: float = Field(description="mean over time", **_PURE)
    longest_queue: int = Field(description="most that waited at once", **_PURE)


class ReplayedPool(Result):
    """The requests of a log in a pool of another size."""

    workers: int = Field(**_PURE)
    refused: int = Field(description="requests, for want of a waiting place", **_PURE)
    utilization: float = Field(description="busy share of a worker", **_PURE)
    wait_probability: float = Field(description="share of those let in that waited", **_PURE)
    waiting_time: float = Field(description="mean of those let in", **_SECONDS)
    waiting_time_p95: float = Field(description="95 of 100 waited less", **_SECONDS)
    waiting_time_p99: float = Field(description="99 of 100 waited less", **_SECONDS)
    response_time: float = Field(description="mean of those let in", **_SECONDS)
    response_time_p95: float = Field(description="95 of 100 were faster", **_SECONDS)
    response_time_p99: float = Field(description="99 of 100 were faster", **_SECONDS)
    longest_response_time: float = Field(**_SECONDS)
    longest_queue: int = Field(description="most that waited at once", **_PURE)
    worst: int = Field(description="place in periods of the one in which most time was spent waiting")
    periods: tuple[ReplayedPeriod, ...] = Field(description="only those in which a request came")

    @property
    def worst_period(self) -> ReplayedPeriod:
        """The period that hurt most."""
        return self.periods[self.worst]

    def __repr__(self) -> str:
        return f"<ReplayedPool: {self.workers} workers, 95 of 100 wait {self.waiting_time_p95:.3g} s at most>"


class Replay(Result):
    """What would have become of the requests of a log in other pools."""

    format_version: str = FORMAT_VERSION
    requests: int = Field(**_PURE)
    start: float = Field(description="first arrival, since the epoch", **_SECONDS)
    seconds: float = Field(description="from the first arrival to the last", **_SECONDS)
    service_time: float = Field(description="mean, at light load as far as it could be told", **_SECONDS)
    cpu_time: float | None = Field(description="of a request, mean; null: unknown", **_SECONDS)
    cpus: float | None = Field(description="cores for PHP; null: unknown", **_PURE)
    logged_time: float = Field(description="mean, as the log has it", **_SECONDS)
    logged_wait: float = Field(description="mean, of the logged time: the wait for a worker, taken out", **_SECONDS)
    logged_contention: float = Field(
        description="mean, of the logged time: what shared cores added, taken out", **_SECONDS
    )
    backlog: int | None = Field(description="waiting places; null: without a limit", **_PURE)
    pools: tuple[ReplayedPool, ...]
    enough_workers: int | None = Field(
        description="least replayed number in whose worst period hardly anybody waits; null: none", **_PURE
    )
    more_workers_help: bool | None = Field(description="whether more than were replayed would; null: unknown")
    advice: tuple[str, ...]
    cautions: tuple[str, ...]

    def pool(self, workers: int) -> ReplayedPool:
        """Give the pool with this number of workers; a KeyError where it was not replayed."""
        return {pool.workers: pool for pool in self.pools}[workers]

    def __repr__(self) -> str:
        waits = ", ".join(f"{pool.workers}: {pool.waiting_time_p95:.3g} s" for pool in self.pools)
        return f"<Replay of {self.requests} requests, workers and the wait of 95 of 100: {waits}>"


def describe_bands(bands: tuple[UserBand, ...]) -> str:
    """Say up to how many users each verdict reaches, in one line.

    Examples
    --------
    >>> describe_bands((UserBand(verdict="comfortable", users=90), UserBand(verdict="watch", users=None)))
    'comfortable to 90, watch for none users'
    """
    words = (
        f"{band.verdict} to {band.users}" if band.users is not None else f"{band.verdict} for none" for band in bands
    )
    return ", ".join(words) + " users"
