"""Simulated pools against exact queues, and what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest

from capacity import queueing
from capacity.errors import InvalidInput
from capacity.intervals import Estimate
from capacity.simulation import SimulatedQueue, simulated_lognormal_queue, simulated_queue

POOL = {"servers": 4, "arrival_rate": 12.0, "service_times": [0.25], "requests": 20_000}


def widened(estimate: Estimate, factor: float = 2.0) -> tuple[float, float]:
    """An interval that a fixed seed may be held to: twice as wide as the one of nine in ten."""
    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.low <= estimate.value <= estimate.high
    return estimate.value - factor * (estimate.value - estimate.low), estimate.value + factor * (
        estimate.high - estimate.value
    )


def assert_holds(estimate: Estimate, truth: float) -> None:
    low, high = widened(estimate)
    assert low <= truth <= high, f"{truth} is not in {low} .. {high}"


def test_constant_times_wait_as_in_the_exact_queue() -> None:
    pool = simulated_queue(0.95, **POOL | {"requests": 100_000})
    case = {"servers": 4, "arrival_rate": 12.0, "service_time": 0.25, "service_scv": 0.0}
    # both within 0.3 % and 1 % of Crommelin's exact values
    assert_holds(pool.waiting_time, queueing.mgc_waiting_time(**case))
    assert_holds(pool.wait_probability, queueing.mgc_wait_probability(**case))
    wait, response = pool.waiting_time_quantiles[0], pool.response_time_quantiles[0]
    assert response.value == pytest.approx(wait.value + 0.25, rel=1e-9)


def test_a_sample_of_exponential_times_waits_as_in_mmc() -> None:
    sample = -0.25 * np.log1p(-(np.arange(100_000) + 0.5) / 100_000)
    pool = simulated_queue((0.5, 0.9, 0.95), **POOL | {"service_times": sample, "requests": 200_000})
    case = {"servers": 4, "arrival_rate": 12.0, "service_time": 0.25}
    assert_holds(pool.waiting_time, queueing.mmc_waiting_time(**case))
    assert_holds(pool.wait_probability, queueing.mmc_wait_probability(**case))
    for p, response in zip((0.5, 0.9, 0.95), pool.response_time_quantiles, strict=True):
        assert_holds(response, queueing.mmc_response_time_quantile(p, **case))
    for p, wait in zip((0.5, 0.9, 0.95), pool.waiting_time_quantiles, strict=True):
        assert_holds(wait, queueing.mmc_waiting_time_quantile(p, **case))


def test_nine_of_ten_intervals_hold_the_truth() -> None:
    truth = queueing.mgc_waiting_time(servers=1, arrival_rate=3.0, service_time=0.25, service_scv=0.0)
    held = 0
    for seed in range(40):
        mean = simulated_queue(0.5, **POOL | {"servers": 1, "arrival_rate": 3.0, "seed": seed}).waiting_time
        held += mean.low <= truth <= mean.high
    assert 30 <= held <= 40  # 36 expected; fewer than 30 once in 500 times


def test_the_same_seed_gives_the_same_figures_and_another_does_not() -> None:
    first, again, other = (simulated_queue(**POOL, seed=seed) for seed in (3, 3, 4))
    assert first == again
    assert first.waiting_time != other.waiting_time
    assert len(first.response_time_quantiles) == 4


def test_the_order_of_the_sample_does_not_matter_to_the_law() -> None:
    ups, downs = (simulated_queue(0.9, **POOL | {"service_times": s}) for s in ([0.1, 0.4], [0.4, 0.1]))
    assert_holds(ups.waiting_time, downs.waiting_time.value)


@pytest.mark.parametrize("rate", [16.0, 16.1, 1e9])
def test_a_pool_that_cannot_carry_the_load_waits_without_end(rate: float) -> None:
    pool = simulated_queue((0.5, 0.9), **POOL | {"arrival_rate": rate})
    endless = Estimate(math.inf)
    assert pool == SimulatedQueue(Estimate(1.0), endless, (endless, endless), (endless, endless))


def test_too_few_requests_so_close_to_saturation_have_no_interval() -> None:
    near = POOL | {"arrival_rate": 15.99, "requests": 10_000}
    pool = simulated_queue(0.5, **near)
    assert math.isfinite(pool.waiting_time.value)
    assert (pool.waiting_time.low, pool.waiting_time.high) == (None, None)
    assert simulated_queue(0.5, **POOL | {"requests": 10_000}).waiting_time.low is not None


def test_times_of_nothing_wait_for_nothing() -> None:
    pool = simulated_queue(0.5, **POOL | {"service_times": [0.0, 0.0]})
    assert (pool.waiting_time.value, pool.response_time_quantiles[0].value) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("p", 1.0), ("p", 0), ("p", ()), ("p", (0.5, math.nan)), ("p", "0.5"),
        ("servers", 0), ("servers", 2.5), ("servers", True), ("servers", None), ("servers", 10**9),
        ("arrival_rate", 0.0), ("arrival_rate", math.inf), ("arrival_rate", math.nan), ("arrival_rate", "fast"),
        ("service_times", []), ("service_times", [-1.0]), ("service_times", [math.nan]), ("service_times", ["x"]),
        ("service_times", [math.inf]), ("service_times", [1e200]),
        ("requests", 9_999), ("requests", 10**8), ("requests", 1e5), ("seed", -1), ("seed", 1.5),
    ],
)  # fmt: skip
def test_what_is_out_of_domain_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        simulated_queue(**{"p": 0.5} | POOL | {field: value})
    assert [problem.field for problem in caught.value.problems] == [field]


def test_every_problem_is_named_at_once() -> None:
    with pytest.raises(InvalidInput) as caught:
        simulated_queue(2.0, servers=0, arrival_rate=-1.0, service_times=[], requests=1, seed=-1)
    fields = {problem.field for problem in caught.value.problems}
    assert fields == {"p", "servers", "arrival_rate", "service_times", "requests", "seed"}


def test_lognormal_times_of_a_wide_spread_wait_as_pollaczek_and_khinchin_say() -> None:
    # one server: (1 + scv)/2 rho/(1 - rho) services
    case = {"servers": 1, "arrival_rate": 2.0, "service_time": 0.25, "service_scv": 8.0}
    pool = simulated_lognormal_queue(0.95, **case, requests=1_000_000, confidence=0.98)
    assert_holds(pool.waiting_time, 4.5 * 0.25)
    assert_holds(pool.wait_probability, 0.5)


def test_lognormal_times_wait_as_the_formulas_say_where_there_are_some() -> None:
    case = {"servers": 8, "arrival_rate": 25.6, "service_time": 0.25, "service_scv": 4.0}
    pool = simulated_lognormal_queue((0.5, 0.95), **case, requests=1_000_000)
    assert pool.waiting_time.value == pytest.approx(queueing.mgc_waiting_time(**case), rel=0.12)  # half interval 6 %
    for p, found in zip((0.5, 0.95), pool.response_time_quantiles, strict=True):
        assert found.value == pytest.approx(queueing.mgc_response_time_quantile(p, **case), rel=0.06)


def test_a_lognormal_queue_that_is_full_has_no_figures() -> None:
    full = simulated_lognormal_queue(0.5, servers=2, arrival_rate=8, service_time=0.25, service_scv=9)
    assert full.waiting_time.value == full.response_time_quantiles[0].value == math.inf


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"service_time": -1}, "service_time must be from 0"),
        ({"service_time": math.nan}, "service_time must be from 0"),
        ({"service_scv": 101}, "service_scv must be from 0 to 100"),
        ({"service_scv": "9"}, "service_scv must be from 0 to 100"),
        ({"servers": 0}, "servers must be a whole number"),
    ],
)
def test_what_is_no_lognormal_queue_is_refused(change: dict[str, object], words: str) -> None:
    case = {"servers": 2, "arrival_rate": 4, "service_time": 0.25, "service_scv": 9} | change
    with pytest.raises(InvalidInput, match=words):
        simulated_lognormal_queue(0.5, **case)
