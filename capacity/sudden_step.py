"""What a sudden step from some users to more does to a pool, beside the other process managers at the same size."""

from __future__ import annotations

import numpy as np

from capacity.errors import InvalidInput, Problem
from capacity.fpm.step import MOST_REQUESTS, MOST_WORKERS, StepRun, simulate_step
from capacity.policies import process_manager
from capacity.policies.burst import Step, least_spares, settings
from capacity.policies.demand import rate_of
from capacity.policies.memory import worst_case
from capacity.pool import PoolSettings
from capacity.results import Choice, StepForecast, StepOutcome
from capacity.scenario import Scenario
from capacity.table import service_time, table_of
from capacity.units import format_bytes, format_fraction, format_rate, format_seconds, shown

__all__ = ["step_forecast", "users_of_step"]

WINDOW = 30.0
"""How long the load lasts after the step [s]: a pool of 40 workers that gains 2 a second has them by then."""
_LONGEST = 3600.0
_CALM = 0.1
"""Share of the service time by which a pool may wait longer than a static one and still keep the step."""


def step_forecast(scenario: Scenario, pool: PoolSettings, before: int, after: int) -> StepForecast:
    """Simulate the step for this pool and for the others it could be.

    Parameters
    ----------
    scenario : Scenario
        With a think time, which turns users into requests.
    pool : PoolSettings
    before, after : int
        Users before and after the step [-].

    Returns
    -------
    StepForecast

    Raises
    ------
    InvalidInput
        The step is too large to be simulated.
    """
    table = table_of(scenario)
    before_rate, after_rate = (float(rate) for rate in rate_of(table, np.array([float(before), float(after)])))
    service = float(service_time(table)[0])
    window = max(WINDOW, 3 * service)
    if window > _LONGEST or 8 * window * after_rate > MOST_REQUESTS or pool.max_children > MOST_WORKERS:
        rule = "must be small enough to simulate"
        hint = f"{format_rate(after_rate)} for {format_seconds(window)} on {pool.max_children} workers are too many"
        raise InvalidInput([Problem("step", rule, f"{before}:{after}", hint)])

    def run(other: PoolSettings) -> StepOutcome:
        found = simulate_step(
            other,
            rate_before=before_rate,
            rate_after=after_rate,
            service_time=service,
            service_scv=scenario.workload.service_scv,
            window=window,
            process_max=scenario.process_max,
        )
        return _outcome(other, found)

    step = Step(
        workers=pool.max_children,
        rate_before=min(before_rate, after_rate),
        rate_after=after_rate,
        service_time=service,
        service_scv=scenario.workload.service_scv,
        waiting_time=scenario.step_waiting_time,
        max_spawn_rate=pool.max_spawn_rate,
    )
    others = [_as(pool, "static"), _with_spares(pool, step), _as(pool, "ondemand")]
    others = [other for other in others if other.pm != pool.pm or (other.pm == "dynamic" and other != pool)]
    outcomes = (run(pool), *map(run, others))
    return StepForecast(
        users_before=before,
        users_after=after,
        arrival_rate_before=before_rate,
        arrival_rate_after=after_rate,
        window=window,
        outcomes=outcomes,
        choice=_choice(scenario, outcomes, before_rate * service),
    )


def _as(pool: PoolSettings, pm: str) -> PoolSettings:
    return pool.model_copy(update={"pm": pm, "process_idle_timeout": None})


def _with_spares(pool: PoolSettings, step: Step) -> PoolSettings:
    """The pool as a dynamic one with spares for this step."""
    start, least, most = settings(step, least_spares(step))
    spares = {"start_servers": start, "min_spare_servers": least, "max_spare_servers": most}
    return pool.model_copy(update={"pm": "dynamic", "process_idle_timeout": None, **spares})


def _outcome(pool: PoolSettings, run: StepRun) -> StepOutcome:
    return StepOutcome(
        pool=pool,
        waiting_time=run.mean_wait,
        waiting_time_p95=run.wait_quantile(0.95),
        waiting_time_longest=run.wait_quantile(1.0),
        refused=run.refused,
        recovered_after=run.recovered,
        workers=tuple(round(float(workers), 3) for workers in run.workers),
    )


def _choice(scenario: Scenario, outcomes: tuple[StepOutcome, ...], load: float) -> Choice:
    """Which process manager meets this step on this host, and why."""
    now = outcomes[0]
    static = next(outcome for outcome in outcomes if outcome.pool.pm == "static")
    allowed = static.waiting_time + _CALM * scenario.workload.service_time
    wait = f"requests wait {format_seconds(now.waiting_time)} on average after this step"
    if now.waiting_time <= allowed and now.refused <= static.refused:
        return Choice(setting="pm", value=now.pool.pm, reason=f"{now.pool.pm} meets it: {wait}")
    table = table_of(scenario)
    peak = worst_case(table, np.array([float(now.pool.max_children)]))
    pm = str(process_manager.best(table, np.array([load]), peak)[0])
    better = next(outcome for outcome in reversed(outcomes) if outcome.pool.pm == pm)
    budget = float(scenario.host.ram - scenario.host.reserved)
    share = f"{format_bytes(float(peak[0]))}, {format_fraction(float(peak[0]) / budget)} of the memory left for PHP"
    why = {
        "static": f"its workers are all there, and at their peak take {share}",
        "ondemand": "it forks for each connection that finds nobody idle, and holds no memory while nobody comes",
        "dynamic": (
            f"with {_spares(better.pool)} start/min/max spare servers it waits {format_seconds(better.waiting_time)}; "
            f"static would hold {share}" + (", on a host with others" if scenario.pools_on_host > 1 else "")
        ),
    }[pm]
    return Choice(
        setting="pm",
        value=pm,
        reason=f"{wait}, with {format_seconds(static.waiting_time)} in a static pool; {pm}: {why}",
    )


def _spares(pool: PoolSettings) -> str:
    return f"{pool.start_servers}/{pool.min_spare_servers}/{pool.max_spare_servers}"


def users_of_step(step: object) -> tuple[int, int]:
    """Two whole numbers of users, from 0 and from 1 on."""
    rule = "must be two numbers of users, before and after"
    if isinstance(step, str | bytes) or not hasattr(step, "__iter__"):
        raise InvalidInput([Problem("step", rule, shown(step))])
    users = list(step)
    whole = [isinstance(count, int | np.integer) and not isinstance(count, bool) for count in users]
    if len(users) != 2 or not all(whole) or not (0 <= users[0] <= 10**9 and 1 <= users[1] <= 10**9):
        raise InvalidInput([Problem("step", rule, shown(users), "such as (50, 150)")])
    return int(users[0]), int(users[1])
