from __future__ import annotations

import pytest

from capacity import Forecast, InvalidInput, PoolSettings, Recommendation, Scenario, forecast, recommend
from capacity.fpm.step import simulate_step

EXAMPLE = Scenario.example()
AFTER = PoolSettings(pm="dynamic", max_children=40, start_servers=8, min_spare_servers=4, max_spare_servers=16)


def rush(pool: PoolSettings | None = None, step: tuple[int, int] = (50, 150), **changes: dict[str, object]) -> Forecast:
    tables = EXAMPLE.to_mapping()
    scenario = Scenario.from_mapping(
        {name: tables.get(name, {}) | changes.get(name, {}) for name in tables.keys() | changes}
    )
    return forecast(scenario, pool=pool or AFTER, users=[100], step=step)


def test_the_pool_comes_first_and_then_the_others_it_could_be() -> None:
    step = rush().step
    assert [outcome.pool.pm for outcome in step.outcomes] == ["dynamic", "static", "dynamic", "ondemand"]
    assert step.outcomes[0].pool == AFTER
    assert {outcome.pool.max_children for outcome in step.outcomes} == {40}
    assert (step.arrival_rate_before, step.arrival_rate_after) == (40, 120)
    for pm in ("static", "ondemand"):
        kinds = [outcome.pool.pm for outcome in rush(PoolSettings(pm=pm, max_children=40)).step.outcomes]
        assert sorted(kinds) == ["dynamic", "ondemand", "static"]
        assert kinds[0] == pm


def test_each_outcome_is_that_of_the_simulation() -> None:
    for outcome in rush().step.outcomes:
        run = simulate_step(outcome.pool, rate_before=40, rate_after=120, service_time=0.25, window=30.0)
        assert outcome.waiting_time == run.mean_wait
        assert outcome.waiting_time_p95 == run.wait_quantile(0.95)
        assert outcome.waiting_time_longest == run.served.max()
        assert outcome.recovered_after == run.recovered
        assert len(outcome.workers) == 31


def test_the_kernel_of_the_host_bounds_the_queue() -> None:
    slow = PoolSettings(pm="dynamic", max_children=40, start_servers=2, min_spare_servers=1, max_spare_servers=3)
    wide, narrow = (rush(slow, host=host).step.outcomes[0] for host in ({}, {"somaxconn": 16}))
    assert wide.refused == 0 < narrow.refused
    assert narrow.waiting_time_longest < wide.waiting_time_longest


def test_static_waits_least_and_spares_for_the_step_less_than_those_of_today() -> None:
    now, static, burst, ondemand = rush().step.outcomes
    assert static.waiting_time < burst.waiting_time < now.waiting_time
    assert static.recovered_after == 0
    assert burst.recovered_after < now.recovered_after
    assert ondemand.workers[1] > burst.workers[1]


def test_the_choice_keeps_a_pool_that_meets_the_step() -> None:
    static = rush(PoolSettings(pm="static", max_children=40)).step.choice
    assert (static.value, static.reason.startswith("static meets it")) == ("static", True)
    assert rush(step=(140, 150)).step.choice.reason.startswith("dynamic meets it")


def test_the_choice_is_what_the_memory_of_the_host_allows() -> None:
    tight = rush().step.choice
    assert tight.value == "dynamic"
    assert "14/12/14 start/min/max spare servers" in tight.reason
    assert "100 % of the memory left for PHP" in tight.reason
    assert rush(host={"ram": "64GiB"}).step.choice.value == "static"
    crowded = rush(host={"ram": "64GiB"}, policy={"pools_on_host": 9}, step=(1, 150)).step.choice
    assert crowded.value == "ondemand"


def test_process_max_and_a_short_queue_count() -> None:
    assert max(max(outcome.workers) for outcome in rush(policy={"process_max": 20}).step.outcomes) == 20
    refused = rush(AFTER.model_copy(update={"listen_backlog": 5})).step.outcomes[0].refused
    assert 0 < refused < 1


def test_a_forecast_without_a_step_has_none_and_json_keeps_one() -> None:
    assert forecast(EXAMPLE).step is None
    result = rush()
    assert Forecast.model_validate_json(result.to_json()) == result


@pytest.mark.parametrize("step", [(50,), (50, 0), (-1, 5), (True, 5), (50, 1.5), "50:150", 50, (1, 10**9 + 1)])
def test_what_is_no_step_is_refused(step: object) -> None:
    with pytest.raises(InvalidInput, match="step must be two numbers of users"):
        forecast(EXAMPLE, step=step)


def test_a_step_too_large_to_simulate_is_refused() -> None:
    with pytest.raises(InvalidInput, match="step must be small enough to simulate"):
        forecast(EXAMPLE, step=(50, 10**6))
    with pytest.raises(InvalidInput, match="step must be small enough to simulate"):
        forecast(EXAMPLE, pool=10**5, step=(50, 150))


# --- recommend through a step


def planned(step: tuple[int, int] | None = (50, 150), **changes: dict[str, object]) -> Recommendation:
    tables = EXAMPLE.to_mapping()
    scenario = Scenario.from_mapping(
        {name: tables.get(name, {}) | changes.get(name, {}) for name in tables.keys() | changes}
    )
    return recommend(scenario, step=step)


AUTO = {"process_manager": "auto"}
ROOMY = {"ram": "64GiB"}


def reason(result: Recommendation, setting: str = "pm") -> str:
    return next(choice.reason for choice in result.choices if choice.setting == setting)


def test_a_recommendation_without_a_step_is_the_same_but_for_it() -> None:
    plain, rush = planned(step=None), planned()
    assert plain.step is None
    assert rush.pool == plain.pool
    assert rush.choices[1:] == plain.choices[1:]
    assert Recommendation.model_validate_json(rush.to_json()) == rush


def test_the_step_of_a_recommendation_is_that_of_a_forecast_of_its_pool() -> None:
    kept = planned()
    same = forecast(EXAMPLE, pool=kept.pool, users=[1], step=(50, 150)).step
    assert kept.step.outcomes == same.outcomes
    assert (kept.step.window, kept.step.choice.value) == (same.window, same.choice.value)


def test_auto_takes_static_where_it_fits_since_todays_dynamic_pool_fails_the_step() -> None:
    kept = planned(host=ROOMY)
    assert kept.pool.pm == "dynamic"
    assert "kept as it is today; static would be better: requests wait" in reason(kept)
    chosen = planned(host=ROOMY, policy=AUTO)
    assert (chosen.pool.pm, chosen.step.outcomes[0].pool) == ("static", chosen.pool)
    waits = {outcome.pool.spares or outcome.pool.pm: outcome.waiting_time for outcome in kept.step.outcomes}
    assert waits[kept.pool.spares] > 10 * waits["static"]
    assert f"{1000 * waits[kept.pool.spares]:.3g} ms" in reason(kept)


def test_auto_takes_spares_for_the_step_where_static_does_not_fit() -> None:
    kept, chosen = planned(), planned(policy=AUTO)
    assert (kept.pool.spares, chosen.pool.spares) == ("8/4/16", "14/12/14")
    assert chosen.step.outcomes[0].pool == chosen.pool
    assert chosen.step.outcomes[0].waiting_time < 0.2 * kept.step.outcomes[0].waiting_time
    assert "static would hold 2.50 GiB, 100 % of the memory left for PHP" in reason(chosen)
    assert "the fewest that keep a mean wait of 100 ms" in reason(chosen, "min_spare_servers")
    assert [choice.setting for choice in chosen.choices].count("min_spare_servers") == 1
    assert {outcome.pool.spares for outcome in chosen.step.outcomes} == {"8/4/16", "14/12/14", ""}


def test_auto_forks_on_demand_on_a_host_with_many_pools_that_rest() -> None:
    chosen = planned(step=(1, 150), host=ROOMY, policy=AUTO | {"pools_on_host": 30})
    assert chosen.pool.pm == "ondemand"
    assert "holds no memory while nobody comes" in reason(chosen)
    assert planned(step=None, host=ROOMY, policy=AUTO | {"pools_on_host": 30}).pool.pm == "dynamic"
    busy = planned(step=(100, 150), host=ROOMY, policy=AUTO | {"pools_on_host": 30})
    assert busy.pool.pm == "dynamic"


def test_a_pool_that_meets_the_step_stays_with_the_spares_it_has() -> None:
    calm = planned(step=(140, 150), policy=AUTO)
    assert calm.pool.spares == "8/4/16"
    assert reason(calm).startswith("dynamic meets it: requests wait")
    assert "after a sudden step from 140 to 150 users (static " in reason(calm)


def test_an_idle_timeout_of_today_outlives_the_change_to_ondemand() -> None:
    today = {"pm": "dynamic", "process_idle_timeout": 30}
    crowd = {"process_manager": "auto", "pools_on_host": 30}
    assert planned(step=(1, 150), host=ROOMY, policy=crowd, pool=today).pool.process_idle_timeout == 30


def test_a_recommendation_wants_a_step_it_can_simulate() -> None:
    with pytest.raises(InvalidInput, match="step must be two numbers of users"):
        planned(step=(50,))  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="step must be small enough to simulate"):
        planned(step=(50, 10**6))
    tables = EXAMPLE.to_mapping()
    by_rate = Scenario.from_mapping(tables | {"workload": {"service_time": 0.25, "arrival_rate": 120}})
    with pytest.raises(InvalidInput, match=r"workload\.think_time is missing"):
        recommend(by_rate, step=(50, 150))
