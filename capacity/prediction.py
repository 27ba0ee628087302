"""Users to verdicts: what a number of users does to a pool, and the most users each verdict can take."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from capacity.bands import unknown_bands, with_bands
from capacity.cautions import prediction_cautions, workload_cautions
from capacity.columns import unit_of_column
from capacity.errors import InvalidInput, Problem
from capacity.outcome import NEEDED, largest_users, predict, users_in_bands
from capacity.overload import LOST, NEEDED_FOR_LOST, lost, overload_caution, pool_columns
from capacity.policies import database
from capacity.policies.demand import rate_of
from capacity.policies.verdict import VERDICTS, Edges
from capacity.pool import PoolSettings
from capacity.queueing.spread import LARGEST_SCV
from capacity.results import Assumption, Forecast, ModelName, Prediction, UserBand
from capacity.scenario import Scenario, value_of
from capacity.sudden_step import step_forecast, users_of_step
from capacity.table import Column, Table, repeat, table_of
from capacity.units import format_value, shown
from capacity.wide_spread import simulated

__all__ = [
    "USERS",
    "bands_of",
    "forecast",
    "largest_users",
    "predict",
    "predictions_from",
    "predictions_of",
    "require",
    "require_edges",
    "stated_assumptions",
    "user_bands",
    "user_count",
]

USERS = (50, 80, 100, 150, 200)
_MOST_USERS = 10**9
_FORETOLD = (
    "throughput",
    "severity",
    "utilization",
    "cpu_utilization",
    "database_utilization",
    "wait_probability",
    "waiting_time",
    "response_time",
    "response_time_p95",
    "slowdown",
    "objective_met",
    "apdex",
    *LOST,
)
_LONGEST_WINDOW = 1e9  # s; beyond it nothing strays


def forecast(
    scenario: Scenario,
    *,
    pool: PoolSettings | int | None = None,
    users: Iterable[int] = USERS,
    model: ModelName = "open",
    edges: Edges | None = None,
    step: tuple[int, int] | None = None,
    window: float | None = None,
) -> Forecast:
    """Predict what numbers of users do to a pool, and the most users each verdict can take.

    Parameters
    ----------
    scenario : Scenario
        Host, worker and workload. Its own users do not matter here; a think time does, since it turns users
        into requests.
    pool : PoolSettings or int, optional
        The pool, or its number of workers [-]; by default the scenario's own pool. A number keeps the scenario's other
        settings, with spares in proportion; where it has no pool, it is a static one.
    users : iterable of int
        Numbers of users to predict for [-], each at least 1.
    model : {'open', 'finite'}
        ``open``: requests keep coming at users x requests per click / (think time + service time), whatever
        happens (M/M/c, or the shared-cores pool where ``cpu_time`` is known). ``finite``: who waits sends nothing
        (M/M/c//N; M/G/c//N by ``service_scv``), right for a known set of people. Beyond a ``service_scv`` of 4, and
        up to 16, the open model's figures are simulated (some seconds, always the same figures).
    edges : Edges, optional
        The edges between verdicts.
    step : (int, int), optional
        Users before and after a sudden step [-]: the pool is simulated tick by tick, beside the other process
        managers. Requests keep coming whatever the model, and cores are not shared.
    window : float, optional
        Give every prediction the band in which 90 of 100 windows of this length lie [s], up to 1e9. Without it those
        above a utilization of 0.85 get the band of an hour. Ranges in the scenario's sources make it wider.

    Returns
    -------
    Forecast

    Raises
    ------
    InvalidInput
        No pool is known, a number of users is not a whole number of at least 1, the model has no such name, the step
        is too large to be simulated, or the window is no time.

    Examples
    --------
    >>> result = forecast(Scenario.example(), pool=40, users=[80, 100, 150, 200])
    >>> [prediction.verdict for prediction in result.predictions]
    ['comfortable', 'manageable', 'watch', 'overloaded']
    >>> result
    <Forecast: 40 workers, open model: comfortable to 90, manageable to 140, watch to 170 users>

    A rush from 50 to 150 users, which the pool grows to meet; then the same for the others it could be.

    >>> pool = PoolSettings(pm="dynamic", max_children=40, start_servers=8, min_spare_servers=4, max_spare_servers=16)
    >>> rush = forecast(Scenario.example(), pool=pool, step=(50, 150)).step
    >>> [(outcome.pool.pm, f"{outcome.waiting_time:.2f} s") for outcome in rush.outcomes]
    [('dynamic', '0.18 s'), ('static', '0.00 s'), ('dynamic', '0.02 s'), ('ondemand', '0.00 s')]

    What a minute of it may show at 180 users.

    >>> (minute,) = forecast(Scenario.example(), pool=40, users=[180], window=60).predictions
    >>> wait = minute.band.waiting_time
    >>> f"{minute.waiting_time:.3f} s, within a minute {wait.low:.3f} to {wait.high:.3f} s"
    '0.026 s, within a minute 0.013 to 0.046 s'
    """
    require(scenario, edges)
    settings = _pool_settings(scenario, pool)
    counts = _user_counts(users)
    if not isinstance(model, str) or model not in ("open", "finite"):
        raise InvalidInput([Problem("model", "must be open or finite", shown(model))])
    if scenario.workload.think_time is None:
        hint = "give the seconds between an answer and the next click"
        raise InvalidInput([Problem("workload.think_time", "is missing: it turns users into requests", hint=hint)])
    if window is not None and not _is_time(window):
        raise InvalidInput([Problem("window", "must be a time greater than 0 s, up to 1e9 s", shown(window))])
    rush = None if step is None else step_forecast(scenario, settings, *users_of_step(step))
    table = table_of(scenario) | pool_columns([settings])
    edges = Edges() if edges is None else edges
    workers = np.array([float(settings.max_children)])
    predictions = predictions_of(table, workers, counts, model=model, edges=edges)
    wide = None
    if model == "open" and scenario.workload.service_scv > LARGEST_SCV:
        predictions, wide = simulated(scenario, settings.max_children, predictions, edges)
    predictions = with_bands(scenario, settings.max_children, predictions, model=model, window=window)
    return Forecast(
        pool=settings,
        model=model,
        predictions=predictions,
        bands=user_bands(table, workers, model=model, edges=edges),
        cautions=(
            *workload_cautions(scenario, model, wide),
            *prediction_cautions(predictions, model=model),
            *database.caution(scenario, settings.max_children),
            *unknown_bands(predictions, window),
            *overload_caution(scenario, settings, predictions),
        ),
        assumptions=stated_assumptions(scenario),
        step=rush,
    ).told_of(scenario)


def require(scenario: Scenario, edges: Edges | None) -> None:
    """Refuse what is no scenario, or no edges, by name."""
    if not isinstance(scenario, Scenario):
        hint = "Scenario.from_toml(path) reads a file"
        raise InvalidInput([Problem("scenario", "must be a Scenario", shown(scenario), hint)])
    require_edges(edges)


def require_edges(edges: Edges | None) -> None:
    """Refuse what are no edges."""
    if edges is not None and not isinstance(edges, Edges):
        raise InvalidInput([Problem("edges", "must be Edges", shown(edges))])


def stated_assumptions(scenario: Scenario) -> tuple[Assumption, ...]:
    """The values whose source the scenario states, with that source."""
    tables = scenario.to_mapping() if scenario.sources else {}
    stated = []
    for field, source in scenario.sources.items():
        value = value_of(tables, field)
        if value is not None:
            ends = [format_value(end, unit_of_column(field)) for end in (source.low, source.high) if end is not None]
            doubt = f", {' to '.join(ends)}" if len(ends) == 2 else ""
            count = "" if source.samples is None else f", {source.samples} samples"
            stated.append(Assumption(field=field, value=value, source=f"{source.source}{count}{doubt}"))
    return tuple(stated)


def user_bands(table: Table, workers: Column, *, model: ModelName, edges: Edges) -> tuple[UserBand, ...]:
    """The largest number of users with each verdict short of overloaded, for a one-row table."""
    return bands_of(users_in_bands(table, workers, model=model, edges=edges)[:, 0])


def bands_of(users: Column) -> tuple[UserBand, ...]:
    """Bands from their largest numbers of users; NaN: none."""
    return tuple(
        UserBand(verdict=verdict, users=None if np.isnan(most) else int(most))
        for verdict, most in zip(VERDICTS[:-1], users, strict=True)
    )


def predictions_of(
    table: Table,
    workers: Column,
    users: Sequence[int],
    *,
    arrival_rate: float | None = None,
    model: ModelName,
    edges: Edges,
) -> tuple[Prediction, ...]:
    """Predictions of a one-row table for each number of users, or for one bare request rate.

    With the settings of the pool among its columns they say what is lost, too.
    """
    needed = (*NEEDED, *(name for name in NEEDED_FOR_LOST if name in table))
    rows = repeat({name: table[name] for name in needed}, 1 if arrival_rate is not None else len(users))
    count = np.array([np.nan] if arrival_rate is not None else users, dtype=np.float64)
    rate = np.array([arrival_rate]) if arrival_rate is not None else rate_of(rows, count)
    load = rate if model == "open" else count
    columns = predict(rows, np.repeat(workers, count.size), load, model=model, edges=edges)
    offered = rate if model == "open" else columns["throughput"]
    if model == "open" and len(needed) == len(NEEDED) + len(NEEDED_FOR_LOST):
        columns |= lost(rows, np.repeat(workers, count.size), rate)
    return predictions_from(columns, count, offered, range(count.size))


def predictions_from(
    columns: Mapping[str, Column], users: Column, offered: Column, rows: Iterable[int]
) -> tuple[Prediction, ...]:
    """Predictions from some rows of predicted columns."""
    known = [name for name in _FORETOLD if name in columns]
    every = list(
        zip(*(column.tolist() for column in (*(columns[name] for name in known), users, offered)), strict=True)
    )
    return tuple(_prediction(dict(zip((*known, "users", "offered"), every[row], strict=True))) for row in rows)


def _prediction(row: Mapping[str, float]) -> Prediction:
    def finite(name: str) -> float | None:
        value = row[name]
        return value if math.isfinite(value) else None

    met = finite("objective_met")
    return Prediction(
        users=None if math.isnan(row["users"]) else int(row["users"]),
        arrival_rate=row["offered"],
        throughput=row["throughput"],
        verdict=VERDICTS[int(row["severity"])],
        utilization=row["utilization"],
        cpu_utilization=finite("cpu_utilization"),
        database_utilization=finite("database_utilization"),
        wait_probability=row["wait_probability"],
        waiting_time=finite("waiting_time"),
        response_time=finite("response_time"),
        response_time_p95=finite("response_time_p95"),
        slowdown=finite("slowdown"),
        objective_met=None if met is None else bool(met),
        apdex=finite("apdex"),
        **{name: finite(name) for name in LOST if name in row},
    )


def _pool_settings(scenario: Scenario, pool: PoolSettings | int | None) -> PoolSettings:
    if isinstance(pool, PoolSettings):
        return pool
    if pool is None:
        if scenario.pool is None:
            hint = "give pool=40, or a PoolSettings"
            raise InvalidInput([Problem("pool", "is missing: the scenario has none", hint=hint)])
        return scenario.pool
    workers = _whole(pool, "pool", "must be PoolSettings or a whole number of workers")
    if scenario.pool is None:
        return PoolSettings(pm="static", max_children=workers)
    return scenario.pool.resized(workers)


def user_count(users: object, field: str) -> int:
    """One number of users, checked."""
    count = _whole(users, field, "must be a whole number from 1 to 10^9")
    if not 1 <= count <= _MOST_USERS:
        raise InvalidInput([Problem(field, "must be a whole number from 1 to 10^9", shown(users))])
    return count


def _user_counts(users: Iterable[int]) -> list[int]:
    if isinstance(users, (str, bytes)) or not isinstance(users, Iterable):
        raise InvalidInput([Problem("users", "must be a list of whole numbers", shown(users))])
    counts = [_whole(value, "users", "must be whole numbers from 1 to 10^9") for value in users]
    wrong = [value for value in counts if not 1 <= value <= _MOST_USERS]
    if wrong:
        raise InvalidInput([Problem("users", "must be whole numbers from 1 to 10^9", shown(wrong))])
    if not counts:
        raise InvalidInput([Problem("users", "must be at least one number of users")])
    return counts


def _is_time(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= _LONGEST_WINDOW


def _whole(value: object, field: str, rule: str) -> int:
    if isinstance(value, (bool, np.bool_)):
        raise InvalidInput([Problem(field, rule, shown(value))])
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise InvalidInput([Problem(field, rule, shown(value))]) from None
