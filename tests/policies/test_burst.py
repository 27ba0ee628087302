from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from capacity import PoolSettings, Scenario, recommend, recommend_many
from capacity.columns import row_of
from capacity.fpm.step import simulate_step
from capacity.policies.burst import Step, explain, least_spares, settings

STEP = Step(workers=40, rate_before=36, rate_after=120, service_time=0.25, service_scv=1, waiting_time=0.1)


def site(**policy: object) -> Scenario:
    tables = Scenario.example().to_mapping()
    return Scenario.from_mapping(tables | {"policy": {"spares": "burst", **policy}})


def spares(scenario: Scenario) -> tuple[int | None, ...]:
    pool = recommend(scenario).pool
    return pool.start_servers, pool.min_spare_servers, pool.max_spare_servers


def wait(step: Step, start: int, least: int, most: int) -> float:
    pool = PoolSettings(
        pm="dynamic", max_children=step.workers, start_servers=start, min_spare_servers=least, max_spare_servers=most
    )
    return simulate_step(
        pool,
        rate_before=step.rate_before,
        rate_after=step.rate_after,
        service_time=step.service_time,
        service_scv=step.service_scv,
    ).mean_wait


@pytest.mark.parametrize("target", [0.03, 0.1, 0.5])
@pytest.mark.parametrize("scv", [0, 1, 4])
def test_one_spare_worker_less_would_not_keep_the_wait(target: float, scv: float) -> None:
    step = dataclasses.replace(STEP, waiting_time=target, service_scv=scv)
    least = least_spares(step)
    assert wait(step, *settings(step, least)) <= target
    assert wait(step, *settings(step, least - 1)) > target


def test_a_shorter_wait_and_a_larger_step_never_need_fewer() -> None:
    assert (
        np.diff([least_spares(dataclasses.replace(STEP, waiting_time=wait)) for wait in (1, 0.3, 0.1, 0.03)]).min() >= 0
    )
    assert np.diff([least_spares(dataclasses.replace(STEP, rate_before=rate)) for rate in (110, 80, 50, 20)]).min() >= 0


def test_without_a_step_one_spare_worker_does() -> None:
    assert least_spares(dataclasses.replace(STEP, rate_before=60, rate_after=60)) == 1


def test_the_same_question_has_the_same_answer() -> None:
    assert spares(site()) == spares(site()) == (16, 14, 16)


def test_a_wait_that_no_spares_keep_takes_all_workers_and_says_so() -> None:
    step = dataclasses.replace(STEP, waiting_time=1e-6)
    assert (least_spares(step), settings(step, 40)) == (40, (40, 40, 40))
    assert explain(step, 40, 4).reason.startswith("no spares keep a mean wait of")
    busy = dataclasses.replace(STEP, rate_after=200)  # 50 workers' work for 40
    assert least_spares(busy) == 40


def test_a_step_too_large_to_be_simulated_is_covered_by_idle_workers() -> None:
    large = Step(9000, 4000, 12000, 0.25, 1, 0.1)
    assert not large.simulated
    assert least_spares(large) == math.ceil(2000 + 3 * math.sqrt(3000))
    assert least_spares(dataclasses.replace(large, workers=700)) == 700
    assert "too large" in explain(large, 2165, 900).reason
    assert least_spares(Step(10, 1e300, 1e308, 1e6, 1, 0.1)) == 10
    assert not dataclasses.replace(STEP, service_time=1000).simulated


def test_burst_meets_the_step_better_than_proportional_with_no_more_workers_at_rest() -> None:
    """Proportional spares of 40 workers are 8/4/16; those of burst keep a mean wait of 300 ms."""
    step = dataclasses.replace(STEP, waiting_time=0.3)
    start, least, most = settings(step, least_spares(step))
    assert most <= 16
    assert wait(step, start, least, most) < wait(step, 8, 4, 16) / 3


# --- in a recommendation


@pytest.mark.parametrize("users", [3, 40, 150])
@pytest.mark.parametrize("policy", [{}, {"load_before_step": 0.0}, {"step_waiting_time": 1.0, "load_before_step": 0.9}])
def test_fpm_accepts_them_and_a_table_says_the_same(users: int, policy: dict[str, float]) -> None:
    tables = site(**policy).to_mapping()
    scenario = Scenario.from_mapping(tables | {"workload": tables["workload"] | {"users": users}})
    pool = recommend(scenario).pool
    assert 1 <= pool.min_spare_servers <= pool.start_servers <= pool.max_spare_servers <= pool.max_children
    columns = {name: column for name, column in row_of(scenario).items() if np.isfinite(column).all()}
    words = {"pool.pm": "dynamic", "policy.spares": "burst", "policy.process_manager": "keep"}
    table = recommend_many(columns | {name: np.array([word]) for name, word in words.items()})
    names = ("start_servers", "min_spare_servers", "max_spare_servers")
    assert [table[name][0] for name in names] == [getattr(pool, name) for name in names]


def test_rows_of_both_policies_stand_side_by_side() -> None:
    columns = {name: np.repeat(column, 3) for name, column in row_of(site()).items() if np.isfinite(column).all()}
    columns["policy.spares"] = np.array(["proportional", "burst", ""])
    columns["pool.pm"] = np.array(["dynamic"] * 3)
    columns["policy.process_manager"] = np.array(["keep"] * 3)
    assert recommend_many(columns)["min_spare_servers"].tolist() == [4, 14, 4]


def test_the_reason_tells_step_wait_and_what_proportional_would_do() -> None:
    (choice,) = (choice for choice in recommend(site()).choices if choice.setting == "min_spare_servers")
    assert choice.value == 14
    assert "from 36/s to 120/s" in choice.reason
    assert "mean wait of 100 ms" in choice.reason
    assert "with 4, as proportional has it, it would be 1." in choice.reason


def test_without_a_load_there_is_no_step_and_spares_are_proportional() -> None:
    tables = site().to_mapping()
    del tables["workload"]["users"]
    result = recommend(Scenario.from_mapping(tables))
    assert (result.pool.start_servers, result.pool.min_spare_servers, result.pool.max_spare_servers) == (8, 4, 16)
    assert any("there is no step" in choice.reason for choice in result.choices)


def test_a_pool_that_is_not_dynamic_has_no_spares() -> None:
    tables = site().to_mapping() | {"pool": {"pm": "static", "max_children": 40}}
    result = recommend(Scenario.from_mapping(tables))
    assert result.pool.min_spare_servers is None
    assert not [choice for choice in result.choices if choice.setting == "min_spare_servers"]


def test_few_waiting_places_need_more_spares_than_a_short_mean_wait_does() -> None:
    # of 84 requests a second too many, those who find the queue full are refused however little the others wait
    long, short = least_spares(STEP), least_spares(dataclasses.replace(STEP, backlog=4))
    assert short > long
    tables = Scenario.example().to_mapping() | {"policy": {"spares": "burst"}}
    tables["host"]["somaxconn"] = 4
    assert recommend(Scenario.from_mapping(tables)).pool.min_spare_servers == short
