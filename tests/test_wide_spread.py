"""Spreads beyond those of the formulas: what is simulated, what is not, and what is said of it."""

from __future__ import annotations

import pytest

from capacity import Forecast, Scenario, forecast, recommend
from capacity.simulation import simulated_lognormal_queue

MIB = 2**20


def wide(scv: float, users: list[int], **options: object) -> Forecast:
    changes = {name: options.pop(name) for name in ("workload", "objective", "host") if name in options}
    return forecast(scenario(scv, **changes), pool=20, users=users, **options)


def scenario(scv: float, **changes: dict[str, object]) -> Scenario:
    tables = Scenario.example().to_mapping()
    changes["workload"] = {"service_scv": scv} | changes.get("workload", {})
    return Scenario.from_mapping({name: tables.get(name, {}) | changes.get(name, {}) for name in tables | changes})


def said(result: Forecast) -> str:
    (caution,) = [caution for caution in result.cautions if caution.startswith("service_scv is")]
    return caution


def test_figures_of_a_wide_spread_are_those_of_the_simulation() -> None:
    result = wide(9, [80], objective={"response_time": 0.9, "percentile": 0.9})
    (found,) = result.predictions
    queue = simulated_lognormal_queue(
        (0.95, 0.9), servers=20, arrival_rate=64, service_time=0.25, service_scv=9, requests=1_000_000, confidence=0.98
    )
    p95, asked = (time.value for time in queue.response_time_quantiles)
    assert found.waiting_time == queue.waiting_time.value
    assert found.response_time == pytest.approx(found.waiting_time + 0.25)
    assert found.slowdown == pytest.approx(found.waiting_time / 0.25)
    assert (found.wait_probability, found.response_time_p95) == (queue.wait_probability.value, p95)
    plain = wide(1, [80], objective={"response_time": 0.9, "percentile": 0.9})
    assert (found.verdict, found.objective_met) == (plain.predictions[0].verdict, plain.predictions[0].objective_met)
    assert asked < 0.9
    assert "by the simulation" not in said(result)
    half = (queue.waiting_time.high - queue.waiting_time.low) / 2 / queue.waiting_time.value
    assert f"within about {100 * half:.2g} %" in said(result)
    assert forecast(scenario(9), pool=20, users=[80]).predictions[0].waiting_time == found.waiting_time


def test_they_wait_longer_than_exponential_ones_and_a_verdict_that_would_be_worse_is_named() -> None:
    objective = {"response_time": 0.9, "percentile": 0.95}
    plain = wide(1, [30, 80], objective=objective)
    result = wide(16, [30, 80], objective=objective)
    assert result.predictions[1].waiting_time > 2 * plain.predictions[1].waiting_time
    verdicts = ["comfortable", "watch"]
    assert [[p.verdict for p in each.predictions] for each in (plain, result)] == [verdicts, verdicts]
    assert result.bands == plain.bands
    assert result.predictions[0].response_time_p95 > 0.9 > plain.predictions[0].response_time_p95
    assert said(result).endswith("those for exponential times; by the simulation 30 users watch")


def test_what_a_request_costs_beside_its_script_is_simulated_with_it() -> None:
    beside = wide(9, [80], workload={"service_time": 0.2, "overhead_time": 0.05}).predictions[0]
    assert beside == wide(9, [80]).predictions[0]


def test_what_is_too_full_is_left_and_named() -> None:
    result = wide(9, [80, 97, 100])
    assert "at 97, 100 users the pool is too full for that" in said(result)
    exponential = wide(1, [97, 100]).predictions
    assert result.predictions[1:] == tuple(each.model_copy(update={"band": None}) for each in exponential)
    assert exponential[0].band is not None  # which is not known at such a spread
    assert "exponential" in said(wide(9, [97, 100]))


def test_where_hardly_anybody_waits_nothing_is_said_of_an_error() -> None:
    assert "hardly anybody waits" in said(wide(9, [5]))


@pytest.mark.parametrize(
    ("scv", "options"),
    [
        (16.5, {}),
        (9, {"model": "finite"}),
        (9, {"workload": {"cpu_time": 0.02}}),
        (9, {"host": {"cpus": 20, "cpus_reserved": 1}, "workload": {"cpu_time": 0.02}}),
        (9, {"host": {"database_connections": 19}, "workload": {"database_time": 0.02}}),
    ],
)
def test_what_is_not_simulated_is_exponential_and_says_so(scv: float, options: dict[str, object]) -> None:
    result = wide(scv, [80], **options)
    assert "exponential" in said(result)
    assert "simulated" not in said(result)
    assert result.predictions == wide(1, [80], **options).predictions


def test_many_numbers_of_users_are_not_simulated() -> None:
    assert "simulated" not in said(wide(9, list(range(10, 21))))


def test_workers_with_a_core_each_are_simulated_though_they_compute() -> None:
    assert "simulated" in said(wide(9, [80], workload={"cpu_time": 0.02}, host={"cpus": 20}))


def test_a_recommendation_keeps_its_caution() -> None:
    assert any("computed for exponential service times" in caution for caution in recommend(scenario(9)).cautions)
