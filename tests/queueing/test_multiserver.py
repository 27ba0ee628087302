"""M/M/c and M/M/c/K against the exact tables and their edge rules."""

from __future__ import annotations

import math

import numpy as np
import pytest
from oracles.tables import assert_matches, read_table

from capacity import queueing
from capacity.queueing import (
    erlang_b,
    erlang_c,
    mmc_queue_length,
    mmc_response_time,
    mmc_response_time_quantile,
    mmc_response_time_tail,
    mmc_wait_probability,
    mmc_waiting_time,
    mmc_waiting_time_quantile,
    mmc_waiting_time_tail,
    mmck_blocking_probability,
    mmck_response_time,
    mmck_response_time_tail,
    mmck_throughput,
    mmck_waiting_time,
    mmck_waiting_time_tail,
)

MMC = 1e-11
MMCK = 1e-10
QUEUE = ("servers", "arrival_rate", "service_time")
LIMITED = ("servers", "backlog", "arrival_rate", "service_time")


def columns(table: dict, names: tuple[str, ...]) -> dict:
    return {name: table[name] for name in names}


@pytest.mark.parametrize("quantity", ["wait_probability", "waiting_time", "response_time", "queue_length"])
def test_mmc_means_meet_the_table(quantity: str) -> None:
    table = read_table("mmc")
    inputs = columns(table, QUEUE)
    ours = getattr(queueing, f"mmc_{quantity}")(**inputs)
    assert_matches(ours, table[quantity], inputs, tolerance=MMC, what=f"mmc_{quantity}")


@pytest.mark.parametrize("quantity", ["waiting_time_tail", "response_time_tail"])
def test_mmc_tails_meet_the_table(quantity: str) -> None:
    table = read_table("mmc_tails")
    inputs = columns(table, ("t", *QUEUE))
    ours = getattr(queueing, f"mmc_{quantity}")(**inputs)
    assert_matches(ours, table[quantity], inputs, tolerance=MMC, what=f"mmc_{quantity}")


@pytest.mark.parametrize("quantity", ["waiting_time_quantile", "response_time_quantile"])
def test_mmc_quantiles_meet_the_table(quantity: str) -> None:
    table = read_table("mmc_quantiles")
    inputs = columns(table, ("p", *QUEUE))
    ours = getattr(queueing, f"mmc_{quantity}")(**inputs)
    assert_matches(ours, table[quantity], inputs, tolerance=MMC, what=f"mmc_{quantity}")


@pytest.mark.parametrize("quantity", ["blocking_probability", "throughput", "waiting_time", "response_time"])
def test_mmck_means_meet_the_table(quantity: str) -> None:
    table = read_table("mmck")
    inputs = columns(table, LIMITED)
    ours = getattr(queueing, f"mmck_{quantity}")(**inputs)
    floor = 1e-9 * table["service_time"] if quantity == "waiting_time" else 1e-290
    assert_matches(ours, table[quantity], inputs, tolerance=MMCK, floor=floor, what=f"mmck_{quantity}")


def test_mmck_tails_meet_the_table() -> None:
    table = read_table("mmck_tails")
    inputs = columns(table, ("t", *LIMITED))
    ours = mmck_waiting_time_tail(**inputs)
    assert_matches(ours, table["waiting_time_tail"], inputs, tolerance=MMCK, what="mmck_waiting_time_tail")


def test_mmck_response_tails_meet_the_table() -> None:
    table = read_table("mmck_response_tails")
    inputs = columns(table, ("t", *LIMITED))
    ours = mmck_response_time_tail(**inputs)
    exact = table["response_time_tail"]
    assert_matches(ours, exact, inputs, tolerance=MMCK, what="mmck_response_time_tail")
    assert_matches(ours, exact, inputs, tolerance=1e-12, floor=1e-200, what="mmck_response_time_tail")


# --- M/M/c at its edges -------------------------------------------------------------------------------------------

FULL = [(1, 1.0, 1.0), (4, 8.0, 0.5), (4, 100.0, 1.0), (0, 1.0, 1.0), (1000, 1e4, 0.5)]


@pytest.mark.parametrize(("servers", "arrival_rate", "service_time"), FULL)
def test_at_and_above_full_load_everyone_waits_for_ever(servers, arrival_rate, service_time) -> None:
    load = {"servers": servers, "arrival_rate": arrival_rate, "service_time": service_time}
    assert mmc_wait_probability(**load) == 1.0
    assert mmc_waiting_time(**load) == math.inf
    assert mmc_response_time(**load) == math.inf
    assert mmc_queue_length(**load) == math.inf
    for p in (0.01, 0.5, 0.999, 1.0):
        assert mmc_waiting_time_quantile(p, **load) == math.inf
        assert mmc_response_time_quantile(p, **load) == math.inf
    for t in (0.0, 1.0, 1e6):
        assert mmc_waiting_time_tail(t, **load) == 1.0
        assert mmc_response_time_tail(t, **load) == 1.0


def test_without_arrivals_nobody_waits_and_a_response_is_a_service() -> None:
    idle = {"servers": 3, "arrival_rate": 0, "service_time": 0.25}
    assert mmc_wait_probability(**idle) == 0.0
    assert mmc_waiting_time(**idle) == 0.0
    assert mmc_queue_length(**idle) == 0.0
    assert mmc_response_time(**idle) == 0.25
    assert mmc_waiting_time_quantile(0.99, **idle) == 0.0
    assert mmc_waiting_time_tail(0.1, **idle) == 0.0
    assert mmc_response_time_tail(0.5, **idle) == pytest.approx(math.exp(-2), rel=1e-14)
    assert mmc_response_time_quantile(0.95, **idle) == pytest.approx(-0.25 * math.log(1 - 0.95), rel=1e-14)


def test_a_service_time_of_zero_is_allowed() -> None:
    instant = {"servers": 3, "arrival_rate": 7.0, "service_time": 0}
    assert mmc_wait_probability(**instant) == 0.0
    assert mmc_waiting_time(**instant) == 0.0
    assert mmc_queue_length(**instant) == 0.0
    assert mmc_response_time(**instant) == 0.0
    for p in (0.0, 0.5, 0.99):
        assert mmc_waiting_time_quantile(p, **instant) == 0.0
        assert mmc_response_time_quantile(p, **instant) == 0.0
    for t in (0.0, 0.5):
        assert mmc_waiting_time_tail(t, **instant) == 0.0
        assert mmc_response_time_tail(t, **instant) == 0.0


def test_tails_start_at_the_wait_probability_and_at_one() -> None:
    load = {"servers": [1, 4, 40], "arrival_rate": [1.3, 5.0, 70.0], "service_time": [0.7, 0.75, 0.5]}
    np.testing.assert_array_equal(mmc_waiting_time_tail(0, **load), mmc_wait_probability(**load))
    np.testing.assert_array_equal(mmc_response_time_tail(0, **load), np.ones(3))
    np.testing.assert_array_equal(mmc_waiting_time_tail(math.inf, **load), np.zeros(3))
    np.testing.assert_array_equal(mmc_response_time_tail(math.inf, **load), np.zeros(3))


def test_quantiles_at_zero_and_one_are_the_ends_of_the_law() -> None:
    load = {"servers": 4, "arrival_rate": 5.0, "service_time": 0.75}
    assert mmc_waiting_time_quantile(0, **load) == 0.0
    assert mmc_response_time_quantile(0, **load) == 0.0
    assert mmc_waiting_time_quantile(1, **load) == math.inf
    assert mmc_response_time_quantile(1, **load) == math.inf


def test_the_waiting_time_quantile_is_zero_up_to_the_probability_of_no_wait() -> None:
    load = {"servers": 4, "arrival_rate": 5.0, "service_time": 0.75}
    free = 1 - mmc_wait_probability(**load)
    assert mmc_waiting_time_quantile(free * 0.999, **load) == 0.0
    assert mmc_waiting_time_quantile(free * 1.001, **load) > 0.0


def test_one_server_has_the_closed_forms_of_mm1() -> None:
    # M/M/1: P(W > 0) = rho, W = rho S / (1 - rho), R exponential with mean S / (1 - rho).
    load = {"servers": 1, "arrival_rate": 0.75, "service_time": 1.0}
    assert mmc_wait_probability(**load) == pytest.approx(0.75, rel=1e-14)
    assert mmc_waiting_time(**load) == pytest.approx(3.0, rel=1e-14)
    assert mmc_response_time(**load) == pytest.approx(4.0, rel=1e-14)
    assert mmc_queue_length(**load) == pytest.approx(2.25, rel=1e-14)
    assert mmc_response_time_tail(6.0, **load) == pytest.approx(math.exp(-1.5), rel=1e-13)
    assert mmc_waiting_time_tail(6.0, **load) == pytest.approx(0.75 * math.exp(-1.5), rel=1e-13)
    assert mmc_response_time_quantile(0.95, **load) == pytest.approx(-4 * math.log(1 - 0.95), rel=1e-13)


def test_equal_waiting_and_service_rates_have_their_own_limit() -> None:
    # One server fewer than enough load: c mu - lambda = mu, so P(R > t) = e^-t (1 + C t); e.g. c = 3, a = 2, C = 4/9.
    load = {"servers": 3, "arrival_rate": 2.0, "service_time": 1.0}
    for t in (0.0, 0.5, 3.0, 40.0):
        expected = math.exp(-t) * (1 + 4 / 9 * t)
        assert mmc_response_time_tail(t, **load) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("change", [{"servers": -1}, {"servers": 2.5}, {"arrival_rate": -1}, {"service_time": -1}])
def test_a_negative_or_fractional_input_gives_nan(change: dict) -> None:
    load = {"servers": 4, "arrival_rate": 2.0, "service_time": 0.75} | change
    for name in ("wait_probability", "waiting_time", "response_time", "queue_length"):
        assert math.isnan(getattr(queueing, f"mmc_{name}")(**load))
    for name in ("waiting_time", "response_time"):
        assert math.isnan(getattr(queueing, f"mmc_{name}_tail")(0.5, **load))
        assert math.isnan(getattr(queueing, f"mmc_{name}_quantile")(0.5, **load))


def test_a_negative_time_and_a_probability_out_of_range_give_nan() -> None:
    stable = {"servers": 4, "arrival_rate": 2.0, "service_time": 0.75}
    for load in (stable, stable | {"arrival_rate": 100.0}, stable | {"service_time": 0.0}):
        for t in (-1.0, -1e-300, -math.inf, math.nan):
            assert math.isnan(mmc_waiting_time_tail(t, **load))
            assert math.isnan(mmc_response_time_tail(t, **load))
        for p in (-0.1, 1.0000001, math.nan):
            assert math.isnan(mmc_waiting_time_quantile(p, **load))
            assert math.isnan(mmc_response_time_quantile(p, **load))


def test_the_load_is_the_exact_product_not_the_rounded_one() -> None:
    # 1/3 * 3 rounds to 1 but is below it: the queue is stable, with a wait of about 1 / 5.6e-17.
    arrival_rate, service_time = 1 / 3, 3.0
    assert arrival_rate * service_time == 1.0
    wait = mmc_waiting_time(servers=1, arrival_rate=arrival_rate, service_time=service_time)
    assert wait == pytest.approx(3 * 2**54, rel=1e-11)
    # 0.1 * 10 rounds to 1 and is above it.
    assert mmc_waiting_time(servers=1, arrival_rate=0.1, service_time=10.0) == math.inf


def test_wait_probability_is_erlang_c_of_the_product() -> None:
    servers = np.arange(1, 30)
    ours = mmc_wait_probability(servers=servers, arrival_rate=20.0, service_time=0.5)
    np.testing.assert_array_equal(ours, erlang_c(servers=servers, offered_load=10.0))


# --- M/M/c/K at its edges -----------------------------------------------------------------------------------------


def test_without_waiting_places_mmck_is_erlang_b() -> None:
    servers = np.array([1, 2, 10, 64, 300])
    load = {"servers": servers, "backlog": 0, "arrival_rate": 0.9 * servers, "service_time": 1.0}
    expected = erlang_b(servers=servers, offered_load=0.9 * servers)
    np.testing.assert_allclose(mmck_blocking_probability(**load), expected, rtol=1e-12)
    np.testing.assert_array_equal(mmck_waiting_time(**load), np.zeros(5))
    np.testing.assert_array_equal(mmck_response_time(**load), np.ones(5))
    np.testing.assert_array_equal(mmck_waiting_time_tail(0.0, **load), np.zeros(5))


def test_one_server_at_utilization_one_has_equally_likely_states() -> None:
    for backlog in (0, 1, 9, 511, 4096):
        load = {"servers": 1, "backlog": backlog, "arrival_rate": 4.0, "service_time": 0.25}
        assert mmck_blocking_probability(**load) == pytest.approx(1 / (backlog + 2), rel=1e-13)
        # An accepted request finds 0 .. K - 1 with equal probability: mean (K - 1) / 2 services.
        assert mmck_waiting_time(**load) == pytest.approx(0.25 * backlog / 2, rel=1e-13)


def test_an_overloaded_queue_with_a_backlog_is_finite_and_full() -> None:
    load = {"servers": 4, "backlog": 100, "arrival_rate": 400.0, "service_time": 1.0}
    assert mmck_throughput(**load) == pytest.approx(4.0, rel=1e-12)
    assert mmck_blocking_probability(**load) == pytest.approx(0.99, rel=1e-12)
    # The queue is 100, 99, 98 ... long with weights 1, q, q^2 ..., q = 1/100: an accepted one finds 99 - 1/99 in it.
    assert mmck_waiting_time(**load) == pytest.approx((100 - 1 / 99) / 4, rel=1e-12)
    assert math.isfinite(mmck_response_time(**load))


def test_mmck_without_arrivals_or_service_blocks_nobody() -> None:
    idle = {"servers": 3, "backlog": 5, "arrival_rate": 0, "service_time": 0.25}
    instant = {"servers": 3, "backlog": 5, "arrival_rate": 7.0, "service_time": 0}
    for load, throughput, response in ((idle, 0.0, 0.25), (instant, 7.0, 0.0)):
        assert mmck_blocking_probability(**load) == 0.0
        assert mmck_throughput(**load) == throughput
        assert mmck_waiting_time(**load) == 0.0
        assert mmck_response_time(**load) == response
        assert mmck_waiting_time_tail(0.1, **load) == 0.0


@pytest.mark.parametrize(
    "change",
    [
        {"servers": -1}, {"servers": 2.5}, {"backlog": -1}, {"backlog": 0.5}, {"arrival_rate": -1},
        {"service_time": -1}, {"backlog": math.nan},
    ],
)  # fmt: skip
def test_mmck_out_of_domain_gives_nan(change: dict) -> None:
    load = {"servers": 4, "backlog": 6, "arrival_rate": 2.0, "service_time": 0.75} | change
    for name in ("blocking_probability", "throughput", "waiting_time", "response_time"):
        assert math.isnan(getattr(queueing, f"mmck_{name}")(**load))
    assert math.isnan(mmck_waiting_time_tail(0.5, **load))


def test_mmck_tail_of_a_negative_time_is_nan_and_starts_at_the_accepted_wait_probability() -> None:
    load = {"servers": 1, "backlog": 3, "arrival_rate": 1.0, "service_time": 1.0}
    assert math.isnan(mmck_waiting_time_tail(-1.0, **load))
    assert mmck_waiting_time_tail(0.0, **load) == pytest.approx(3 / 4, rel=1e-14)  # found 1, 2 or 3 of 0 .. 3
    assert mmck_waiting_time_tail(math.inf, **load) == 0.0


def test_factorials_do_not_overflow() -> None:
    # LINE's qsys_mmck and most-queue's MMnrCalc raise OverflowError between 100 and 160 servers.
    servers = np.array([100, 160, 171, 420, 5000])
    blocked = mmck_blocking_probability(servers=servers, backlog=80, arrival_rate=servers * 1.01, service_time=1.0)
    assert np.all((blocked > 0) & (blocked < 0.05))


@pytest.mark.parametrize("excess", [0.0, -1e-13, 1e-13, -1e-3, 0.5])
@pytest.mark.parametrize("t", [1.0, 1e8, 1e12, 1e16, 1e200])
def test_the_tail_of_any_backlog_is_a_probability_that_ends(t: float, excess: float) -> None:
    backlog = np.array([1e9, 1e12, 1e16, 1e300])
    load = {"servers": 1, "arrival_rate": 1.0 + excess, "service_time": 1.0}
    tail = mmck_waiting_time_tail(t, backlog=backlog, **load)
    assert ((tail >= 0) & (tail <= 1)).all()
    assert (np.diff(tail) >= -1e-12).all()
    assert tail.tolist() == [mmck_waiting_time_tail(t, backlog=b, **load) for b in backlog]


def test_at_utilization_one_the_tail_of_a_large_backlog_is_known() -> None:
    # sum over j < q of P(Poisson(t) <= j) is q - t + what lies above, which vanishes well below q; q + 1 states accept
    load = {"servers": 1, "arrival_rate": 1.0, "service_time": 1.0}
    for t in (1.0, 1e6, 1e10, 3e11):
        assert mmck_waiting_time_tail(t, backlog=10**12, **load) == pytest.approx((1e12 - t) / (1e12 + 1), rel=1e-12)
    # at q = t it is E(t - Poisson)+, by Stirling sqrt(t / 2 pi) (1 - 1/(12 t))
    expected = math.sqrt(1e12 / (2 * math.pi)) / (1e12 + 1)
    assert mmck_waiting_time_tail(1e12, backlog=10**12, **load) == pytest.approx(expected, rel=1e-11)
