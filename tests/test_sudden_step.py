from __future__ import annotations

import pytest

from capacity import Forecast, InvalidInput, PoolSettings, Scenario, forecast
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
