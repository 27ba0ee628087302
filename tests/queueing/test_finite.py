"""M/M/c//N against the exact tables, exact fractions and the points at which other tools are silently wrong."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from oracles.tables import assert_matches, read_table

from capacity import queueing
from capacity.queueing import (
    finite_response_time,
    finite_response_time_quantile,
    finite_response_time_tail,
    finite_throughput,
    finite_utilization,
    finite_wait_probability,
    finite_waiting_time,
    finite_waiting_time_quantile,
    finite_waiting_time_tail,
)

TOLERANCE = 1e-10
CLOSED = ("servers", "population", "think_time", "service_time")
MEANS = ("throughput", "utilization", "wait_probability", "waiting_time", "response_time")


def judge(table_name: str, first: tuple[str, ...], quantity: str) -> None:
    table = read_table(table_name)
    inputs = {name: table[name] for name in (*first, *CLOSED)}
    ours = getattr(queueing, f"finite_{quantity}")(**inputs)
    is_wait = quantity in ("waiting_time", "waiting_time_quantile")
    floor = 1e-9 * table["service_time"] if is_wait else 1e-290
    assert_matches(ours, table[quantity], inputs, tolerance=TOLERANCE, floor=floor, what=f"finite_{quantity}")


@pytest.mark.parametrize("quantity", MEANS)
def test_means_meet_the_table(quantity: str) -> None:
    judge("finite", (), quantity)


@pytest.mark.parametrize("quantity", ["waiting_time_tail", "response_time_tail"])
def test_tails_meet_the_table(quantity: str) -> None:
    judge("finite_tails", ("t",), quantity)


@pytest.mark.parametrize("quantity", ["waiting_time_quantile", "response_time_quantile"])
def test_quantiles_meet_the_table(quantity: str) -> None:
    judge("finite_quantiles", ("p",), quantity)


def exact_state(servers: int, population: int, think: Fraction, service: Fraction) -> list[Fraction]:
    """Balance equations in exact fractions."""
    weights = [Fraction(1)]
    for n in range(1, population + 1):
        weights.append(weights[-1] * (population - n + 1) * service / (think * min(n, servers)))
    total = sum(weights)
    return [weight / total for weight in weights]


@pytest.mark.parametrize(
    ("population", "servers", "printed"), [(200, 64, "39.99999040"), (200, 32, "31.999305"), (100, 8, "8.00000")]
)
def test_throughput_where_exact_mean_value_analysis_fails_in_doubles(population, servers, printed) -> None:
    # At Z = 4, S = 1 LINE's exact MVA answers 26.2249, 31.109 and (default MVA) 5.77; Octave's 16.16, -14.03, -3.71.
    ours = finite_throughput(servers=servers, population=population, think_time=4, service_time=1)
    decimals = len(printed.split(".")[1])
    assert f"{ours:.{decimals}f}" == printed
    state = exact_state(servers, population, Fraction(4), Fraction(1))
    exact = sum(p * min(n, servers) for n, p in enumerate(state))
    assert ours == pytest.approx(float(exact), rel=1e-13)


@pytest.mark.parametrize("population", [1, 10, 80, 138, 139, 200])
def test_the_two_core_shop_with_a_click_every_45_seconds(population: int) -> None:
    # 2 cores, 650 ms of CPU a page, 44.35 s of thinking: "cores / response x click interval" promises 138 visitors.
    case = {"servers": 2, "population": population, "think_time": 44.35, "service_time": 0.65}
    think, service = Fraction(44.35), Fraction(0.65)
    state = exact_state(2, population, think, service)
    throughput = sum(p * min(n, 2) for n, p in enumerate(state)) / service
    assert finite_throughput(**case) == pytest.approx(float(throughput), rel=1e-12)
    assert finite_response_time(**case) == pytest.approx(float(population / throughput - think), rel=1e-11)
    seen = exact_state(2, population - 1, think, service)
    assert finite_wait_probability(**case) == pytest.approx(float(sum(seen[2:])), rel=1e-12)
    # The asymptotic bounds cross at 2 * 45 / 0.65 = 138.46 users, where the pool is far from comfortable.
    assert finite_throughput(**case) < min(population / 45, 2 / 0.65) * (1 + 1e-12)
    if population == 138:
        assert finite_response_time(**case) > 4 * 0.65


# --- Edges --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("servers", "population"), [(1, 1), (4, 1), (4, 4), (100, 60)])
def test_with_a_server_for_every_user_nobody_waits(servers: int, population: int) -> None:
    case = {"servers": servers, "population": population, "think_time": 3.0, "service_time": 0.5}
    assert finite_throughput(**case) == pytest.approx(population / 3.5, rel=1e-14)
    assert finite_utilization(**case) == pytest.approx(population / 7 / servers, rel=1e-14)
    assert finite_wait_probability(**case) == 0.0
    assert finite_waiting_time(**case) == 0.0
    assert finite_response_time(**case) == 0.5
    assert finite_waiting_time_quantile(0.999, **case) == 0.0
    assert finite_waiting_time_tail(0.0, **case) == 0.0
    assert finite_response_time_tail(1.0, **case) == pytest.approx(math.exp(-2), rel=1e-13)
    assert finite_response_time_quantile(0.95, **case) == pytest.approx(-0.5 * math.log(1 - 0.95), rel=1e-12)


def test_without_thinking_the_pool_is_always_full() -> None:
    case = {"servers": 4, "population": 10, "think_time": 0, "service_time": 0.5}
    assert finite_throughput(**case) == pytest.approx(8.0, rel=1e-14)
    assert finite_utilization(**case) == pytest.approx(1.0, rel=1e-14)
    assert finite_wait_probability(**case) == 1.0
    # An arrival finds 9 others: 6 departures at rate 8 to wait for.
    assert finite_waiting_time(**case) == pytest.approx(6 / 8, rel=1e-13)
    assert finite_response_time(**case) == pytest.approx(10 / 8, rel=1e-13)
    erlang_tail = math.exp(-4) * sum(4**i / math.factorial(i) for i in range(6))
    assert finite_waiting_time_tail(0.5, **case) == pytest.approx(erlang_tail, rel=1e-12)


def test_without_thinking_but_with_enough_servers_nobody_waits() -> None:
    case = {"servers": 4, "population": 4, "think_time": 0, "service_time": 0.5}
    assert finite_throughput(**case) == pytest.approx(8.0, rel=1e-14)
    assert finite_utilization(**case) == pytest.approx(1.0, rel=1e-14)
    assert finite_wait_probability(**case) == 0.0
    assert finite_response_time(**case) == 0.5


def test_a_service_time_of_zero_is_allowed() -> None:
    case = {"servers": 2, "population": 10, "think_time": 4, "service_time": 0}
    assert finite_throughput(**case) == 2.5
    assert finite_utilization(**case) == 0.0
    assert finite_wait_probability(**case) == 0.0
    assert finite_waiting_time(**case) == 0.0
    assert finite_response_time(**case) == 0.0
    assert finite_response_time_tail(0.1, **case) == 0.0
    assert finite_response_time_quantile(0.9, **case) == 0.0


def test_nobody_makes_no_requests() -> None:
    case = {"servers": 2, "population": 0, "think_time": 4, "service_time": 1}
    assert finite_throughput(**case) == 0.0
    assert finite_utilization(**case) == 0.0


def test_a_crowd_saturates_the_pool_and_every_wait_stays_finite() -> None:
    case = {"servers": 3, "population": 10_000, "think_time": 1.0, "service_time": 1.0}
    assert finite_throughput(**case) == pytest.approx(3.0, rel=1e-14)
    assert finite_utilization(**case) == pytest.approx(1.0, rel=1e-14)
    assert finite_wait_probability(**case) == 1.0
    assert finite_response_time(**case) == pytest.approx(10_000 / 3 - 1, rel=1e-13)
    assert finite_waiting_time(**case) == pytest.approx(10_000 / 3 - 2, rel=1e-13)


def test_tails_start_at_the_wait_probability_and_at_one() -> None:
    case = {"servers": 4, "population": [5, 20, 300], "think_time": 3.0, "service_time": 0.5}
    np.testing.assert_allclose(finite_waiting_time_tail(0, **case), finite_wait_probability(**case), rtol=1e-13)
    np.testing.assert_allclose(finite_response_time_tail(0, **case), np.ones(3), rtol=1e-13)
    np.testing.assert_array_equal(finite_waiting_time_tail(math.inf, **case), np.zeros(3))
    np.testing.assert_array_equal(finite_response_time_tail(math.inf, **case), np.zeros(3))


def test_quantiles_at_zero_and_one_are_the_ends_of_the_law() -> None:
    case = {"servers": 4, "population": 20, "think_time": 3.0, "service_time": 0.5}
    assert finite_waiting_time_quantile(0, **case) == 0.0
    assert finite_response_time_quantile(0, **case) == 0.0
    assert finite_waiting_time_quantile(1, **case) == math.inf
    assert finite_response_time_quantile(1, **case) == math.inf


@pytest.mark.parametrize(
    "change",
    [
        {"servers": -1}, {"servers": 2.5}, {"population": -1}, {"population": 7.5}, {"think_time": -1},
        {"service_time": -1}, {"think_time": math.nan}, {"population": math.nan},
    ],
)  # fmt: skip
def test_out_of_domain_gives_nan(change: dict) -> None:
    case = {"servers": 4, "population": 20, "think_time": 3.0, "service_time": 0.5} | change
    for name in MEANS:
        assert math.isnan(getattr(queueing, f"finite_{name}")(**case)), name
    for name in ("waiting_time", "response_time"):
        assert math.isnan(getattr(queueing, f"finite_{name}_tail")(0.5, **case))
        assert math.isnan(getattr(queueing, f"finite_{name}_quantile")(0.5, **case))


def test_a_negative_time_and_a_probability_out_of_range_give_nan() -> None:
    for population in (2, 20):
        case = {"servers": 4, "population": population, "think_time": 3.0, "service_time": 0.5}
        for t in (-1.0, -1e-300, math.nan):
            assert math.isnan(finite_waiting_time_tail(t, **case))
            assert math.isnan(finite_response_time_tail(t, **case))
        for p in (-0.1, 1.0000001, math.nan):
            assert math.isnan(finite_waiting_time_quantile(p, **case))
            assert math.isnan(finite_response_time_quantile(p, **case))


@pytest.mark.parametrize("think_time", [1e-7, 1e-9, 1e-12, 1e-30, 1e-300])
@pytest.mark.parametrize(("servers", "population"), [(1, 3), (2, 11), (5, 50), (50, 101)])
def test_users_who_hardly_think_wait_like_users_who_never_do(servers, population, think_time) -> None:
    # A wrong answer here looks innocent: the quantile of a service without any wait.
    pool = {"servers": servers, "population": population, "service_time": 1.0}
    for p in (0.01, 0.5, 0.95):
        for quantile in (finite_waiting_time_quantile, finite_response_time_quantile):
            never = quantile(p, think_time=0, **pool)
            assert quantile(p, think_time=think_time, **pool) == pytest.approx(never, rel=1e-9 + 10 * think_time)


def test_no_value_is_nan_over_a_wide_stress_of_inputs() -> None:
    # The closed form taken literally is NaN for 68 % of such scenarios.
    rng = np.random.default_rng(3)
    size = 2000
    population = np.rint(np.exp(rng.uniform(0, math.log(1e4), size)))
    servers = np.maximum(1, np.rint(population * rng.uniform(0, 1.1, size) ** 2))
    service = np.exp(rng.uniform(math.log(1e-4), math.log(1e2), size))
    think = service * np.exp(rng.uniform(math.log(1e-4), math.log(1e6), size))
    case = {"servers": servers, "population": population, "think_time": think, "service_time": service}
    for name in MEANS:
        values = getattr(queueing, f"finite_{name}")(**case)
        assert np.isfinite(values).all(), name
        assert (values >= 0).all(), name
    t = service * np.exp(rng.uniform(-5, 5, size))
    for name in ("waiting_time", "response_time"):
        tail = getattr(queueing, f"finite_{name}_tail")(t, **case)
        assert ((tail >= 0) & (tail <= 1)).all(), name
        quantile = getattr(queueing, f"finite_{name}_quantile")(rng.uniform(0.5, 0.999, size), **case)
        assert np.isfinite(quantile).all(), name
