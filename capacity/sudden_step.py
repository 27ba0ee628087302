"""What a sudden step from some users to more does to a pool, beside the other process managers at the same size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from capacity.errors import InvalidInput, Problem
from capacity.fpm.manager import SOMAXCONN
from capacity.fpm.step import MOST_REQUESTS, MOST_WORKERS, simulate_step
from capacity.policies import backlog, burst, process_manager
from capacity.policies.demand import rate_of
from capacity.policies.memory import worst_case
from capacity.pool import PoolSettings
from capacity.results import Choice, StepForecast, StepOutcome
from capacity.scenario import Scenario
from capacity.table import table_of
from capacity.units import format_bytes, format_fraction, format_rate, format_seconds, shown

__all__ = ["step_forecast", "step_recommendation", "users_of_step"]

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
        The step is too large to be simulated, or there is no think time.
    """
    rush = _Rush.of(scenario, before, after)
    outcomes = rush.outcomes(pool)
    return rush.forecast(outcomes, rush.choice(outcomes[0], rush.best(outcomes), outcomes))


def step_recommendation(
    scenario: Scenario, pool: PoolSettings, before: int, after: int
) -> tuple[StepForecast, tuple[Choice, ...]]:
    """Let the step decide on a pool, or, where today's process manager is kept, say which one would be better.

    Parameters
    ----------
    scenario : Scenario
        With a think time. With ``process_manager="auto"`` the pool may become another one of its size.
    pool : PoolSettings
        What is recommended without a step.
    before, after : int
        Users before and after the step [-].

    Returns
    -------
    StepForecast
        Of the pool to recommend, which is the first of its outcomes.
    tuple of Choice
        Why this process manager, and why these spare servers where the step decided on them.

    Raises
    ------
    InvalidInput
        As `step_forecast`.
    """
    rush = _Rush.of(scenario, before, after)
    outcomes = rush.outcomes(pool)
    first, best = outcomes[0], rush.best(outcomes)
    choice = rush.choice(first, best, outcomes, f"a sudden step from {before} to {after} users")
    if best is first or scenario.process_manager == "auto":
        ordered = (best, *(outcome for outcome in outcomes if outcome is not best))
        why: tuple[Choice, ...] = (choice,)
        if best.pool.min_spare_servers and best.pool.spares != pool.spares:
            proportional = int(process_manager.proportional(np.array([float(pool.max_children)]))[1][0])
            why = (choice, burst.explain(rush.step(pool), best.pool.min_spare_servers, proportional))
        return rush.forecast(ordered, choice), why
    kept = process_manager.kept(known=scenario.pool is not None)
    what = best.pool.pm if best.pool.pm != pool.pm else f"{best.pool.spares} spare servers"
    reason = f"{kept}; {what} would be better: {choice.reason}"
    return rush.forecast(outcomes, choice), (Choice(setting="pm", value=pool.pm, reason=reason),)


@dataclass(frozen=True)
class _Rush:
    """A step on a host, and what pools it could meet there."""

    scenario: Scenario
    users: tuple[int, int]
    rates: tuple[float, float]
    service_time: float
    window: float

    @classmethod
    def of(cls, scenario: Scenario, before: int, after: int) -> Self:
        if scenario.workload.think_time is None:
            hint = "give the seconds between an answer and the next click"
            raise InvalidInput([Problem("workload.think_time", "is missing: it turns users into requests", hint=hint)])
        rates = rate_of(table_of(scenario), np.array([float(before), float(after)]))
        service = scenario.workload.hold_time
        return cls(scenario, (before, after), (float(rates[0]), float(rates[1])), service, max(WINDOW, 3 * service))

    def outcomes(self, pool: PoolSettings) -> tuple[StepOutcome, ...]:
        """Simulate this pool first, then those of its size that it is not."""
        rate, window = self.rates[1], self.window
        if window > _LONGEST or 8 * window * rate > MOST_REQUESTS or pool.max_children > MOST_WORKERS:
            rule, (before, after) = "must be small enough to simulate", self.users
            hint = f"{format_rate(rate)} for {format_seconds(window)} on {pool.max_children} workers are too many"
            raise InvalidInput([Problem("step", rule, f"{before}:{after}", hint)])
        step = self.step(pool)
        start, least, most = burst.settings(step, burst.least_spares(step))
        spares = {"start_servers": start, "min_spare_servers": least, "max_spare_servers": most}
        others = [self._as(pool, "static"), self._as(pool, "dynamic", **spares), self._as(pool, "ondemand")]
        others = [other for other in others if other.pm != pool.pm or other.spares != pool.spares]
        return tuple(map(self._run, (pool, *others)))

    def step(self, pool: PoolSettings) -> burst.Step:
        """State the step as the spare servers are chosen for it."""
        return burst.Step(
            workers=pool.max_children,
            rate_before=min(self.rates),
            rate_after=self.rates[1],
            service_time=self.service_time,
            service_scv=self.scenario.workload.service_scv,
            waiting_time=self.scenario.step_waiting_time,
            max_spawn_rate=pool.max_spawn_rate,
            backlog=backlog.room_of(pool.listen_backlog, self.scenario.host.somaxconn) - 1,
        )

    def _as(self, pool: PoolSettings, pm: str, **spares: int) -> PoolSettings:
        today = self.scenario.pool
        idle = today.process_idle_timeout if today and pm == "ondemand" else None
        return pool.model_copy(update={"pm": pm, "process_idle_timeout": idle, **spares})

    def _run(self, pool: PoolSettings) -> StepOutcome:
        run = simulate_step(
            pool,
            rate_before=self.rates[0],
            rate_after=self.rates[1],
            service_time=self.service_time,
            service_scv=self.scenario.workload.service_scv,
            window=self.window,
            process_max=self.scenario.process_max,
            somaxconn=self.scenario.host.somaxconn or SOMAXCONN,
        )
        return StepOutcome(
            pool=pool,
            waiting_time=run.mean_wait,
            waiting_time_p95=run.wait_quantile(0.95),
            waiting_time_longest=run.wait_quantile(1.0),
            refused=run.refused,
            recovered_after=run.recovered,
            workers=tuple(round(float(workers), 3) for workers in run.workers),
        )

    def meets(self, outcome: StepOutcome, outcomes: tuple[StepOutcome, ...]) -> bool:
        """Whether it waits hardly longer, and refuses no more, than with all workers there."""
        static = _static(outcomes)
        allowed = static.waiting_time + _CALM * self.service_time
        return outcome.waiting_time <= allowed and outcome.refused <= static.refused

    def best(self, outcomes: tuple[StepOutcome, ...]) -> StepOutcome:
        """Give the pool itself where it meets the step; else who does of those that suit the host, or waits least."""
        if self.meets(outcomes[0], outcomes):
            return outcomes[0]
        load = np.array([self.rates[0] * self.service_time])
        peak = np.array([self._peak(outcomes[0].pool)])
        suited = process_manager.best(table_of(self.scenario), load, peak)[0]
        fit = [outcome for outcome in outcomes[1:] if outcome.pool.pm in (suited, "dynamic")]
        fit.sort(key=lambda outcome: outcome.pool.pm != suited)
        met = (outcome for outcome in fit if self.meets(outcome, outcomes))
        return next(met, None) or min((outcomes[0], *fit), key=lambda outcome: (outcome.refused, outcome.waiting_time))

    def choice(
        self, now: StepOutcome, best: StepOutcome, outcomes: tuple[StepOutcome, ...], step: str = "this step"
    ) -> Choice:
        """Which process manager meets this step on this host, and why."""
        wait = f"requests wait {format_seconds(now.waiting_time)} on average after {step}"
        rest = [
            f"{_name(outcome)} {format_seconds(outcome.waiting_time)}" for outcome in outcomes if outcome is not now
        ]
        if self.meets(now, outcomes):
            share = f"; at their peak its workers take {self._share(now.pool)}" if now.pool.pm == "static" else ""
            reason = f"{now.pool.pm} meets it: {wait} ({', '.join(rest)}){share}"
            return Choice(setting="pm", value=now.pool.pm, reason=reason)
        beside = f"{wait} with {_name(now)}, and {format_seconds(_static(outcomes).waiting_time)} in a static pool"
        others = ", on a host with others" if self.scenario.pools_on_host > 1 else ""
        waits = format_seconds(best.waiting_time)
        why = {
            "static": f"its workers are all there, and at their peak take {self._share(best.pool)}",
            "ondemand": (
                f"it forks for each connection that finds nobody idle and waits {waits}, and it holds no memory while "
                "nobody comes"
            ),
            "dynamic": (
                f"with {best.pool.spares} start/min/max spare servers it waits {waits}; "
                f"static would hold {self._share(best.pool)}{others}"
            ),
        }[best.pool.pm]
        if best is now:
            why = f"of what suits this host none waits less ({', '.join(rest)})"
        return Choice(setting="pm", value=best.pool.pm, reason=f"{beside}; {best.pool.pm}: {why}")

    def _peak(self, pool: PoolSettings) -> float:
        return float(worst_case(table_of(self.scenario), np.array([float(pool.max_children)]))[0])

    def _share(self, pool: PoolSettings) -> str:
        peak, budget = self._peak(pool), float(self.scenario.host.ram - self.scenario.host.reserved)
        return f"{format_bytes(peak)}, {format_fraction(peak / budget)} of the memory left for PHP"

    def forecast(self, outcomes: tuple[StepOutcome, ...], choice: Choice) -> StepForecast:
        """Put the result together."""
        return StepForecast(
            users_before=self.users[0],
            users_after=self.users[1],
            arrival_rate_before=self.rates[0],
            arrival_rate_after=self.rates[1],
            window=self.window,
            outcomes=outcomes,
            choice=choice,
        )


def _static(outcomes: tuple[StepOutcome, ...]) -> StepOutcome:
    return next(outcome for outcome in outcomes if outcome.pool.pm == "static")


def _name(outcome: StepOutcome) -> str:
    return f"{outcome.pool.pm} {outcome.pool.spares}".rstrip()


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
