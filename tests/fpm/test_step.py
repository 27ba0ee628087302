from __future__ import annotations

import math

import numpy as np
import pytest

from capacity import InvalidInput, PoolSettings
from capacity.fpm.step import simulate_step

STATIC = PoolSettings(pm="static", max_children=40)
SMALL = PoolSettings(pm="dynamic", max_children=40, min_spare_servers=1, max_spare_servers=3)
FACTS = {"rate_before": 60.0, "rate_after": 500.0, "service_time": 0.05}


def test_a_static_pool_has_recovered_at_once() -> None:
    run = simulate_step(STATIC, **FACTS)
    assert (run.recovered, run.refused) == (0.0, 0.0)
    assert set(run.workers.tolist()) == {40.0}
    assert run.mean_wait < 0.001


def test_an_ondemand_pool_follows_and_a_small_dynamic_one_does_not() -> None:
    ondemand = simulate_step(STATIC.model_copy(update={"pm": "ondemand"}), **FACTS)
    assert ondemand.mean_wait < 0.01
    assert ondemand.workers[1] > 25
    small = simulate_step(SMALL, **FACTS, window=16.0)
    assert small.recovered is None
    assert np.diff(small.workers).max() <= 1.01
    assert small.mean_wait > 3  # 7 s were measured for 2/1/3


def test_a_pool_has_recovered_once_it_has_caught_up() -> None:
    pool = PoolSettings(pm="dynamic", max_children=40, min_spare_servers=5, max_spare_servers=10)
    run = simulate_step(pool, **FACTS, window=20.0)
    grown = int(np.argmax(run.workers > 25))
    assert grown < run.recovered < 20


def test_a_queue_that_is_full_refuses() -> None:
    run = simulate_step(SMALL.model_copy(update={"listen_backlog": 50}), **FACTS)
    assert 0.3 < run.refused < 1
    assert np.isfinite(run.wait_quantile(0.99))
    assert run.served.size == round(run.waiting_times.size * (1 - run.refused))


def test_few_requests_are_made_up_for_by_more_phases() -> None:
    assert simulate_step(STATIC, **FACTS).phases == 8
    assert simulate_step(STATIC, rate_before=1, rate_after=4, service_time=0.1).phases == 64


def test_nobody_comes() -> None:
    run = simulate_step(SMALL, rate_before=0, rate_after=0, service_time=1)
    assert (run.mean_wait, run.wait_quantile(0.95), run.refused, run.recovered) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"rate_before": -1.0}, "rate_before"),
        ({"rate_after": math.nan}, "rate_after"),
        ({"rate_after": 1e7}, "rate_after"),
        ({"service_time": 0.0}, "service_time"),
        ({"service_scv": math.inf}, "service_scv"),
        ({"window": 0.0}, "window"),
    ],
)
def test_what_makes_no_sense_is_named(wrong: dict[str, float], field: str) -> None:
    with pytest.raises(InvalidInput, match=f"^{field} must"):
        simulate_step(SMALL, **(FACTS | wrong))


def test_a_pool_beyond_any_host_is_refused() -> None:
    with pytest.raises(InvalidInput, match="max_children must be at most 20000"):
        simulate_step(PoolSettings(pm="static", max_children=20001), **FACTS)
