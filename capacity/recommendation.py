"""Run the policies, name the binding limit, and say why: ``recommend``."""

from __future__ import annotations

from typing import Final, TypeAlias, get_args

import numpy as np

from capacity.advice import cautions, more_workers, next_steps
from capacity.policies import (
    backlog,
    cpu,
    database,
    demand,
    memory,
    process_manager,
    process_max,
    recycling,
    rules_of_thumb,
    timeouts,
)
from capacity.policies.verdict import Edges
from capacity.pool import MOST_PROCESSES, PoolSettings
from capacity.prediction import (
    USERS,
    prediction_cautions,
    predictions_of,
    require,
    stated_assumptions,
    user_bands,
    workload_cautions,
)
from capacity.queueing.shared_pool import inner_throughput
from capacity.results import Choice, Limit, LimitName, Prediction, Recommendation, UserBand
from capacity.scenario import Scenario, value_of
from capacity.table import Column, Table, table_of

__all__ = ["decide", "recommend"]

# In this order a ceiling wins a tie, and every ceiling wins it over demand.
CEILINGS: Final = {"memory": memory, "cpu": cpu, "database": database, "process_max": process_max}
LIMITS: Final[tuple[LimitName, ...]] = get_args(LimitName)

Decision: TypeAlias = dict[str, Column]


def recommend(scenario: Scenario, *, edges: Edges | None = None) -> Recommendation:
    """Recommend a pool for a scenario, with the reason beside every number.

    Parameters
    ----------
    scenario : Scenario
    edges : Edges, optional
        The edges between verdicts.

    Returns
    -------
    Recommendation
        Also where no number of workers meets the objective: then ``feasible`` is False and ``shortfall`` says
        how many workers are missing.

    Examples
    --------
    >>> result = recommend(Scenario.example())
    >>> result
    <Recommendation: 40 workers (memory binds): comfortable to 90, manageable to 140, watch to 170 users>
    >>> pool = result.pool
    >>> pool.max_children, pool.start_servers, pool.min_spare_servers, pool.max_spare_servers
    (40, 8, 4, 16)
    """
    require(scenario, edges)
    edges = Edges() if edges is None else edges
    table = table_of(scenario)
    decision = decide(table)
    row = {name: float(column[0]) for name, column in decision.items()}
    pool, choices = _settings(scenario, table, row)
    predictions = _predictions(scenario, table, pool, row["arrival_rate"], edges)
    binding = LIMITS[int(row["binding"])]
    helps, why = more_workers(scenario, row, binding)
    current = scenario.pool
    return Recommendation(
        feasible=bool(row["feasible"]),
        pool=pool,
        current=current,
        binding=binding,
        needed=_count(row["needed"]),
        wanted=_count(row["wanted"]),
        shortfall=_shortfall(row),
        limits=_limits(scenario, row),
        more_workers_help=helps,
        more_workers_reason=why,
        predictions=predictions,
        bands=_bands(scenario, table, pool, edges),
        current_predictions=_predictions(scenario, table, current, row["arrival_rate"], edges) if current else (),
        current_bands=_bands(scenario, table, current, edges) if current else (),
        worst_case_memory=int(row["worst_case_memory"]),
        choices=choices,
        next_steps=next_steps(scenario, table, row, predictions),
        cautions=(*cautions(scenario, row, binding), *workload_cautions(scenario), *prediction_cautions(predictions)),
        assumptions=stated_assumptions(scenario),
        rules_of_thumb=rules_of_thumb.all_rules(scenario),
    )


@np.errstate(all="ignore")
def decide(table: Table) -> Decision:
    """Decide for every row: ceilings, demand, the binding limit and the sizes that follow.

    Parameters
    ----------
    table : Table
        Columns as ``table_of`` makes them, of any number of rows.

    Returns
    -------
    dict of str to ndarray
        ``memory cpu database process_max demand`` (workers, inf: does not limit), ``needed``, ``wanted``,
        ``arrival_rate``, ``max_children``, ``binding`` (index into ``LIMITS``), ``feasible``, the spares,
        ``listen_backlog``, ``full_rate``, ``worst_case_memory``.
    """
    rate = demand.expected_rate(table)
    needed = demand.least_workers(table, rate)
    wanted = demand.least_workers(table, rate * table["policy.headroom"])
    ceilings = {name: policy.limit(table) for name, policy in CEILINGS.items()}
    asked = np.where(np.isnan(wanted), np.inf, wanted)
    stack = np.stack([*ceilings.values(), asked])
    # argmin takes the first of equals, so on a tie the ceiling binds
    binding = np.argmin(stack, axis=0)
    cap = np.minimum(np.min(stack[:-1], axis=0), MOST_PROCESSES)
    # FPM wants at least one worker, and Linux sets an end to them
    max_children = np.clip(np.min(stack, axis=0), 1.0, MOST_PROCESSES)
    work = np.nan_to_num(table["workload.cpu_time"], nan=0.0)
    full_rate = inner_throughput(max_children, table["host.cpus"], work, table["workload.service_time"])
    start, least, most = process_manager.proportional(max_children)
    worst_case = memory.worst_case(table, max_children)
    return {
        **ceilings,
        "demand": wanted,
        "needed": needed,
        "wanted": wanted,
        "arrival_rate": rate,
        "max_children": max_children,
        "binding": binding.astype(np.float64),
        "feasible": (np.where(np.isnan(needed), 1.0, needed) <= cap).astype(np.float64),
        "cap": cap,
        "start_servers": start,
        "min_spare_servers": least,
        "max_spare_servers": most,
        "full_rate": full_rate,
        "listen_backlog": backlog.waiting_places(table, full_rate),
        "terminate_after": timeouts.terminate_after(table),
        "worst_case_memory": worst_case,
        "load": np.nan_to_num(rate * table["workload.service_time"], nan=1.0),
    }


def _settings(scenario: Scenario, table: Table, row: dict[str, float]) -> tuple[PoolSettings, tuple[Choice, ...]]:
    """Settings of the recommended pool, and the choices behind them."""
    current, workers = scenario.pool, int(row["max_children"])
    auto = scenario.process_manager == "auto"
    preferred = str(
        process_manager.best(table, np.array([row["load"]]), np.array([row["worst_case_memory"]]))[0],
    )
    pm = preferred if auto else current.pm if current else process_manager.SHIPPED
    per_worker = row["full_rate"] / workers
    recycled = 0 if current is None or current.max_requests is None else current.max_requests
    max_requests = int(recycling.max_requests(np.array([float(recycled)]), np.array([per_worker]))[0])
    dynamic = pm == "dynamic"
    settings = PoolSettings.model_validate(
        {
            "pm": pm,
            "max_children": workers,
            "start_servers": int(row["start_servers"]) if dynamic else None,
            "min_spare_servers": int(row["min_spare_servers"]) if dynamic else None,
            "max_spare_servers": int(row["max_spare_servers"]) if dynamic else None,
            "max_spawn_rate": current.max_spawn_rate if current else None,
            "process_idle_timeout": current.process_idle_timeout if current and pm == "ondemand" else None,
            "max_requests": max_requests,
            "listen_backlog": int(row["listen_backlog"]),
            "request_terminate_timeout": int(row["terminate_after"]),
        }
    )
    budget = scenario.host.ram - scenario.host.reserved
    share = row["worst_case_memory"] / budget
    service = scenario.workload.service_time
    choices = (
        process_manager.explain(
            pm, preferred, known=current is not None, min_spare=settings.min_spare_servers, memory_share=share
        ),
        recycling.explain(max_requests, per_worker, kept=recycled == max_requests),
        backlog.explain(int(row["listen_backlog"]), row["full_rate"], scenario.web_server_timeout),
        timeouts.explain_terminate(int(row["terminate_after"]), service),
        timeouts.grace(service, scenario.web_server_timeout),
    )
    return settings, choices


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


def _predictions(
    scenario: Scenario, table: Table, pool: PoolSettings, rate: float, edges: Edges
) -> tuple[Prediction, ...]:
    """Predictions at the case study's proportions of the expected users, or at the bare rate."""
    workers = np.array([float(pool.max_children)])
    if scenario.workload.think_time is None:
        if np.isnan(rate):
            return ()
        return predictions_of(table, workers, (), arrival_rate=rate, model="open", edges=edges)
    expected = scenario.workload.users
    if expected is None and not np.isnan(rate):
        expected = max(1, round(rate / float(demand.rate_of(table, np.ones(1))[0])))
    return predictions_of(table, workers, users_around(expected), model="open", edges=edges)


def users_around(expected: int | None) -> list[int]:
    """The case study's 50, 80, 100, 150, 200 users, in proportion to the expected ones (150 there).

    Examples
    --------
    >>> users_around(150), users_around(1200)
    ([50, 80, 100, 150, 200], [400, 640, 800, 1200, 1600])
    """
    if expected is None:
        return list(USERS)
    return sorted({max(1, round(users * expected / 150)) for users in USERS})


def _bands(scenario: Scenario, table: Table, pool: PoolSettings, edges: Edges) -> tuple[UserBand, ...]:
    if scenario.workload.think_time is None:
        return ()
    return user_bands(table, np.array([float(pool.max_children)]), model="open", edges=edges)


def _count(workers: float) -> int | None:
    return int(workers) if np.isfinite(workers) else None


def _shortfall(row: dict[str, float]) -> int | None:
    needed = 1.0 if np.isnan(row["needed"]) else row["needed"]  # without a load, FPM still wants one worker
    return 0 if row["feasible"] else _count(needed - row["cap"])
