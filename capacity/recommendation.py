"""Run the policies, name the binding limit, and say why: ``recommend``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from capacity.advice import cautions, more_workers, next_steps
from capacity.cautions import prediction_cautions, workload_cautions
from capacity.columns import read_table, row_of
from capacity.decision import (
    CEILINGS,
    LIMITS,
    SEEN,
    Decision,
    Outlook,
    columns_of,
    decide,
    kinds,
    outlook,
    settings_of,
    users_beside,
)
from capacity.outcome import NEEDED
from capacity.overload import NEEDED_FOR_LOST, lost, overload_caution, pool_columns
from capacity.policies import backlog, burst, demand, process_manager, recycling, rules_of_thumb, timeouts
from capacity.policies.verdict import Edges
from capacity.pool import PoolSettings
from capacity.prediction import (
    USERS,
    bands_of,
    predictions_from,
    require,
    require_edges,
    stated_assumptions,
)
from capacity.results import Choice, Limit, Prediction, Recommendation, UserBand
from capacity.scenario import Scenario, value_of
from capacity.sudden_step import step_recommendation, users_of_step
from capacity.table import Table, repeat
from capacity.units import format_fraction

__all__ = ["decide", "recommend", "recommend_many", "users_around"]

_BLOCK = 4096  # rows; fewer pay for the steps of the searches, more no longer stay in the cache


def recommend(scenario: Scenario, *, edges: Edges | None = None, step: tuple[int, int] | None = None) -> Recommendation:
    """Recommend a pool for a scenario, with the reason beside every number.

    Parameters
    ----------
    scenario : Scenario
    edges : Edges, optional
        The edges between verdicts.
    step : (int, int), optional
        Users before and after a sudden step [-]: the pool is simulated tick by tick, beside the other process
        managers of its size, as `forecast` does. The process manager, and with ``process_manager="auto"`` the spare
        servers too, then rest on what was simulated. That takes a second or two.

    Returns
    -------
    Recommendation
        Also where no number of workers meets the objective: then ``feasible`` is False and ``shortfall`` says
        how many workers are missing.

    Raises
    ------
    InvalidInput
        This is no scenario or no step, or the step is too large to be simulated.

    Examples
    --------
    >>> result = recommend(Scenario.example())
    >>> result
    <Recommendation: 40 workers (memory binds): comfortable to 90, manageable to 140, watch to 170 users>
    >>> pool = result.pool
    >>> pool.max_children, pool.start_servers, pool.min_spare_servers, pool.max_spare_servers
    (40, 8, 4, 16)

    Whether it holds when 50 users become 150 at once; the process manager of today is kept.

    >>> rush = recommend(Scenario.example(), step=(50, 150))
    >>> [(outcome.pool.pm, f"{outcome.waiting_time:.2f} s") for outcome in rush.step.outcomes]
    [('dynamic', '0.18 s'), ('static', '0.00 s'), ('dynamic', '0.02 s'), ('ondemand', '0.00 s')]
    """
    require(scenario, edges)
    users = None if step is None else users_of_step(step)
    edges = Edges() if edges is None else edges
    table = row_of(scenario)
    decision = decide(table)
    row = {name: float(column[0]) for name, column in decision.items()}
    pool, choices = _settings(scenario, table, decision, row)
    rush = None
    if users is not None:
        rush, why = step_recommendation(scenario, pool, *users)
        pool = rush.outcomes[0].pool
        choices = (*why, *(choice for choice in choices if choice.setting not in {each.setting for each in why}))
    binding = LIMITS[int(row["binding"])]
    current = scenario.pool
    pools = np.array([float(each.max_children) for each in (pool, current) if each])
    seen = outlook(
        repeat({name: table[name] for name in SEEN}, pools.size),
        pools,
        np.repeat(decision["arrival_rate"], pools.size),
        edges,
    )
    _add_lost(table, seen, [each for each in (pool, current) if each])
    predictions, bands = _predictions(seen, 0), _bands(scenario, seen, 0)
    return Recommendation(
        feasible=bool(row["feasible"]),
        pool=pool,
        current=current,
        binding=binding,
        needed=_count(row["needed"]),
        wanted=_count(row["wanted"]),
        shortfall=_count(row["shortfall"]),
        limits=_limits(scenario, row),
        more_workers_help=None if np.isnan(row["more_workers_help"]) else bool(row["more_workers_help"]),
        more_workers_reason=more_workers(scenario, row, binding),
        predictions=predictions,
        bands=bands,
        current_predictions=_predictions(seen, 1) if current else (),
        current_bands=_bands(scenario, seen, 1) if current else (),
        worst_case_memory=int(row["worst_case_memory"]),
        choices=choices,
        next_steps=next_steps(scenario, table, row, predictions),
        cautions=(
            *cautions(scenario, row, binding),
            *workload_cautions(scenario),
            *prediction_cautions(predictions),
            *overload_caution(scenario, pool, predictions),
        ),
        assumptions=stated_assumptions(scenario),
        rules_of_thumb=rules_of_thumb.all_rules(scenario),
        step=rush,
    ).told_of(scenario)


def recommend_many(table: Any, *, edges: Edges | None = None) -> Any:
    """Recommend a pool for every row of a table of scenarios: `recommend`, for a whole fleet at once.

    Parameters
    ----------
    table : mapping of str to array_like, structured ndarray or pandas.DataFrame
        A column a field of `Scenario`: ``host.ram``, ``worker.memory``, ``workload.service_time``,
        ``policy.headroom``, ``pool.max_children`` ...; numbers in SI. A scalar in a mapping stands for every row. A
        column that is missing, and a value that is None or NaN, is not known: the models' defaults apply.
    edges : Edges, optional
        The edges between verdicts.

    Returns
    -------
    dict of str to ndarray, structured ndarray or pandas.DataFrame
        A row a scenario, of the same kind as `table`. What has no value is NaN or empty text; inf in a count of
        workers says that no number would do, in a limit that it does not limit, in a time that it is endless.

    Raises
    ------
    InvalidInput
        A column is unknown or missing, or a row breaks a rule of `Scenario`: the first such row is named, counted
        from 0. A row whose objective cannot be met is a result.

    Notes
    -----
    Rows are worked on in blocks, so that beside the result only a bounded amount of memory is taken.

    Examples
    --------
    >>> fleet = {
    ...     "host.ram": [4 * 2**30, 16 * 2**30], "host.reserved": 1.5 * 2**30, "host.cpus": 4,
    ...     "worker.memory": 64 * 2**20, "workload.service_time": 0.25, "workload.think_time": 1.0,
    ...     "workload.users": [150, 600],
    ... }
    >>> result = recommend_many(fleet)
    >>> result["max_children"].tolist(), result["binding"].tolist(), result["band.comfortable"].tolist()
    ([40, 188], ['memory', 'demand'], [90.0, 423.0])
    """
    require_edges(edges)
    given = read_table(table)
    given.check(_BLOCK)
    with_pool = any(name.startswith("pool.") for name in given.columns)
    draft = given.sheet.draft(kinds(with_pool=with_pool), given.rows)
    for start in range(0, given.rows, _BLOCK):
        part = slice(start, start + _BLOCK)
        for name, column in columns_of(given.block(part), Edges() if edges is None else edges, with_pool=with_pool):
            draft.write(part, name, column)
    return draft.finish()


def _settings(
    scenario: Scenario, table: Table, decision: Decision, row: Mapping[str, float]
) -> tuple[PoolSettings, tuple[Choice, ...]]:
    """Settings of the recommended pool, and the choices behind them."""
    current = scenario.pool
    chosen = {name: float(column[0]) for name, column in settings_of(table, decision).items()}
    pm, preferred = (process_manager.MANAGERS[int(chosen.pop(name))] for name in ("pm", "preferred"))
    settings = PoolSettings.model_validate(
        {
            "pm": pm,
            **{name: None if np.isnan(value) else int(value) for name, value in chosen.items()},
            "max_spawn_rate": current.max_spawn_rate if current else None,
            "process_idle_timeout": current.process_idle_timeout if current and pm == "ondemand" else None,
        }
    )
    per_worker = row["full_rate"] / row["max_children"]
    kept = current is not None and current.max_requests == settings.max_requests
    budget = scenario.host.ram - scenario.host.reserved
    share = row["worst_case_memory"] / budget
    service = scenario.workload.hold_time
    choices = (
        process_manager.explain(
            pm,
            preferred,
            known=current is not None,
            min_spare=settings.min_spare_servers,
            memory_share=share,
            rush=_rush(scenario, settings, row["arrival_rate"] * service),
        ),
        *_burst_choice(scenario, table, settings, row["arrival_rate"]),
        recycling.explain(int(chosen["max_requests"]), per_worker, kept=kept),
        backlog.explain(
            int(row["listen_backlog"]),
            row["full_rate"],
            scenario.web_server_timeout,
            today=backlog.room_of(current.listen_backlog, scenario.host.somaxconn) if current else None,
            somaxconn=scenario.host.somaxconn,
        ),
        timeouts.explain_terminate(int(row["terminate_after"]), service),
        timeouts.grace(service, scenario.web_server_timeout, scenario.workload.service_scv),
    )
    return settings, choices


def _rush(scenario: Scenario, pool: PoolSettings, load: float) -> str:
    """How long a dynamic pool takes to grow to a load [erlang] that comes at once."""
    if pool.pm != "dynamic" or np.isnan(load):
        return ""
    before = scenario.load_before_step
    ticks = process_manager.growth(pool, before * load, load)
    come = f"when the load jumps from {format_fraction(before)} of the expected one to all of it"
    if ticks == 0:
        return f" (its spares are enough {come})"
    return f": it takes about {ticks} s to have the workers {come}"


def _burst_choice(scenario: Scenario, table: Table, pool: PoolSettings, rate: float) -> tuple[Choice, ...]:
    """Why these spare servers, where they were chosen for a step in load."""
    if scenario.spares != "burst" or pool.min_spare_servers is None:
        return ()
    places = backlog.room_of(pool.listen_backlog, scenario.host.somaxconn) - 1
    step = burst.step_of(table, 0, pool.max_children, rate, places) if rate > 0 else None
    proportional = int(process_manager.proportional(np.array([float(pool.max_children)]))[1][0])
    return (burst.explain(step, pool.min_spare_servers, proportional),)


def _limits(scenario: Scenario, row: dict[str, float]) -> tuple[Limit, ...]:
    reasons = {name: policy.explain(scenario, row[name]) for name, policy in CEILINGS.items()}
    reasons["demand"] = demand.explain(scenario, row["arrival_rate"], row["needed"], row["wanted"])
    tables = scenario.to_mapping()
    limits = []
    for index, name in enumerate(LIMITS):
        policy = {**CEILINGS, "demand": demand}[name]
        inputs = {field: value_of(tables, field) for field in policy.INPUTS}
        limits.append(
            Limit(
                name=name,
                workers=_count(row[name]),
                binding=index == int(row["binding"]),
                formula=policy.FORMULA,
                inputs={field: float(value) for field, value in inputs.items() if value is not None},
                reason=reasons[name],
            )
        )
    return tuple(limits)


def _add_lost(table: Table, seen: Outlook, pools: Sequence[PoolSettings]) -> None:
    """Lay what the users of an outlook lose in each of its pools beside what it predicts."""
    rates = seen.arrival_rate
    rows = repeat({name: table[name] for name in (*NEEDED, *NEEDED_FOR_LOST)}, rates.size)
    rows |= {name: np.tile(column, rates.shape[0]) for name, column in pool_columns(pools).items()}
    workers = np.tile([float(each.max_children) for each in pools], rates.shape[0])
    for name, column in lost(rows, workers, rates.ravel()).items():
        seen.predicted[name] = column.reshape(rates.shape)


def _predictions(seen: Outlook, pool: int) -> tuple[Prediction, ...]:
    """Predictions at the case study's proportions of the expected users, each once, or at the bare rate."""
    columns = {name: column[:, pool] for name, column in seen.predicted.items()}
    users, rates = seen.users[:, pool], seen.arrival_rate[:, pool]
    new = np.diff(users, prepend=0.0) != 0  # NaN is always new
    return predictions_from(columns, users, rates, np.flatnonzero(new & np.isfinite(rates)))


def users_around(expected: int | None) -> list[int]:
    """The case study's 50, 80, 100, 150, 200 users, in proportion to the expected ones (150 there).

    Examples
    --------
    >>> users_around(150), users_around(1200)
    ([50, 80, 100, 150, 200], [400, 640, 800, 1200, 1600])
    """
    if expected is None:
        return list(USERS)
    return sorted({int(users) for users in users_beside(np.array([float(expected)]))[:, 0]})


def _bands(scenario: Scenario, seen: Outlook, pool: int) -> tuple[UserBand, ...]:
    return () if scenario.workload.think_time is None else bands_of(seen.bands[:, pool])


def _count(workers: float) -> int | None:
    return int(workers) if np.isfinite(workers) else None
