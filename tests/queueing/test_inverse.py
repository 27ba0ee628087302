"""The inverses against exact answers, their edge rules, and the published mistake of another tool."""

from __future__ import annotations

import math

import numpy as np
import pytest
from oracles.tables import assert_matches, read_table

from capacity import queueing
from capacity.queueing import (
    arrival_rate_for_response_time_quantile,
    arrival_rate_for_wait_probability,
    arrival_rate_for_waiting_time_quantile,
    erlang_c,
    finite_response_time_quantile,
    finite_wait_probability,
    mmc_response_time_quantile,
    mmc_wait_probability,
    mmc_waiting_time_quantile,
    population_for_response_time_quantile,
    population_for_wait_probability,
    servers_for_response_time_quantile,
    servers_for_wait_probability,
    servers_for_waiting_time_quantile,
)

TARGETS = {
    "wait_probability": ("wait_probability",),
    "waiting_time_quantile": ("p", "waiting_time"),
    "response_time_quantile": ("p", "response_time"),
}


@pytest.mark.parametrize("target", list(TARGETS))
def test_the_least_number_of_servers_is_exact(target: str) -> None:
    table = read_table("servers_for")
    inputs = {name: table[name] for name in (*TARGETS[target], "arrival_rate", "service_time")}
    ours = getattr(queueing, f"servers_for_{target}")(**inputs)
    assert_matches(ours, table[f"for_{target}"], inputs, tolerance=0, what=f"servers_for_{target}")


@pytest.mark.parametrize("target", list(TARGETS))
def test_the_largest_arrival_rate_meets_the_table(target: str) -> None:
    table = read_table("arrival_rate_for")
    inputs = {name: table[name] for name in (*TARGETS[target], "servers", "service_time")}
    ours = getattr(queueing, f"arrival_rate_for_{target}")(**inputs)
    assert_matches(ours, table[f"for_{target}"], inputs, tolerance=1e-11, what=f"arrival_rate_for_{target}")


@pytest.mark.parametrize("target", ["wait_probability", "response_time_quantile"])
def test_the_largest_population_is_exact(target: str) -> None:
    table = read_table("population_for")
    inputs = {name: table[name] for name in (*TARGETS[target], "servers", "think_time", "service_time")}
    ours = getattr(queueing, f"population_for_{target}")(**inputs)
    assert_matches(ours, table[f"for_{target}"], inputs, tolerance=0, what=f"population_for_{target}")


# --- Equality meets the target ------------------------------------------------------------------------------------


@pytest.mark.parametrize("load", [0.7, 2.5, 13.9, 80.3])
def test_a_target_that_a_count_meets_exactly_gives_that_count_back(load: float) -> None:
    counts = math.floor(load) + np.arange(1, 12)
    queue = {"arrival_rate": load / 0.3, "service_time": 0.3}
    waits = mmc_wait_probability(servers=counts, **queue)
    np.testing.assert_array_equal(servers_for_wait_probability(wait_probability=waits, **queue), counts)
    for p in (0.5, 0.95):
        times = mmc_response_time_quantile(p, servers=counts, **queue)
        distinct = np.append(-np.diff(times) > 1e-13 * times[1:], False)  # further servers may change nothing
        got = servers_for_response_time_quantile(p=p, response_time=times, **queue)
        np.testing.assert_array_equal(got[distinct], counts[distinct])
        times = mmc_waiting_time_quantile(p, servers=counts, **queue)
        got = servers_for_waiting_time_quantile(p=p, waiting_time=times, **queue)
        np.testing.assert_array_equal(got[times > 0], counts[times > 0])


def test_a_target_that_a_population_meets_exactly_gives_that_population_back() -> None:
    people = np.array([9, 12, 20, 33, 60])
    pool = {"servers": 8, "think_time": 2.0, "service_time": 0.7}
    waits = finite_wait_probability(population=people, **pool)
    np.testing.assert_array_equal(population_for_wait_probability(wait_probability=waits, **pool), people)
    times = finite_response_time_quantile(0.95, population=people, **pool)
    got = population_for_response_time_quantile(p=0.95, response_time=times, **pool)
    np.testing.assert_array_equal(got, people)


# --- Edges --------------------------------------------------------------------------------------------------------


def test_three_servers_suffice_where_pyworkforce_says_four() -> None:
    # 2.6 erlangs, 40 % to wait at most one handling time: pyworkforce starts counting at round(load + 1).
    for service_time in (1.0, 180.0):
        needed = servers_for_waiting_time_quantile(
            p=0.4, waiting_time=service_time, arrival_rate=2.6 / service_time, service_time=service_time
        )
        assert needed == 3.0


def test_no_number_of_servers_beats_the_service_itself() -> None:
    # Even without a wait the 95 % response is 3 service times.
    queue = {"arrival_rate": 4.0, "service_time": 1.0}
    assert servers_for_response_time_quantile(p=0.95, response_time=2.9, **queue) == math.inf
    assert servers_for_response_time_quantile(p=0.95, response_time=3.1, **queue) < math.inf
    assert servers_for_response_time_quantile(p=1.0, response_time=100.0, **queue) == math.inf


def test_no_number_of_servers_makes_waiting_impossible() -> None:
    # erlang_c is above 0 for every finite count, until it falls below the smallest double.
    needed = servers_for_wait_probability(wait_probability=0.0, arrival_rate=4.0, service_time=1.0)
    assert needed == math.inf
    assert servers_for_waiting_time_quantile(p=1.0, waiting_time=1.0, arrival_rate=4.0, service_time=1.0) == math.inf


def test_a_waiting_time_of_zero_is_a_target_like_any_other() -> None:
    # P(W <= 0) >= 0.9 means that at most one in ten waits.
    queue = {"arrival_rate": 4.0, "service_time": 1.0}
    needed = servers_for_waiting_time_quantile(p=0.9, waiting_time=0.0, **queue)
    assert erlang_c(servers=needed, offered_load=4.0) <= 0.1 < erlang_c(servers=needed - 1, offered_load=4.0)


def test_no_load_suffices_where_the_service_alone_is_too_slow() -> None:
    pool = {"servers": 4, "service_time": 1.0}
    assert arrival_rate_for_response_time_quantile(p=0.95, response_time=2.9, **pool) == 0.0
    assert arrival_rate_for_response_time_quantile(p=0.95, response_time=3.1, **pool) > 0.0
    users = pool | {"think_time": 5.0}
    assert population_for_response_time_quantile(p=0.95, response_time=2.9, **users) == 0.0
    assert population_for_response_time_quantile(p=0.95, response_time=3.1, **users) >= 4.0


def test_nobody_may_wait_means_a_server_for_every_user_and_no_open_load() -> None:
    assert population_for_wait_probability(wait_probability=0.0, servers=6, think_time=1.0, service_time=0.5) == 6.0
    assert arrival_rate_for_wait_probability(wait_probability=0.0, servers=6, service_time=0.5) == 0.0


def test_the_largest_arrival_rate_keeps_the_queue_stable() -> None:
    for servers in (1, 8, 300):
        pool = {"servers": servers, "service_time": 0.25}
        assert 0 < arrival_rate_for_wait_probability(wait_probability=0.999999, **pool) < servers / 0.25
        assert 0 < arrival_rate_for_waiting_time_quantile(p=0.5, waiting_time=1e6, **pool) < servers / 0.25
        assert 0 < arrival_rate_for_response_time_quantile(p=0.5, response_time=1e6, **pool) < servers / 0.25


def test_one_server_has_the_closed_inverses_of_mm1() -> None:
    assert arrival_rate_for_wait_probability(wait_probability=0.25, servers=1, service_time=0.5) == pytest.approx(0.5)
    # R is exponential with mean S / (1 - rho): 3 s at 95 % needs a mean of 3 / ln 20.
    rate = arrival_rate_for_response_time_quantile(p=0.95, response_time=3.0, servers=1, service_time=0.5)
    assert rate == pytest.approx(2 + math.log(1 - 0.95) / 3, rel=1e-11)


@pytest.mark.parametrize("bad", [-0.1, 1.1, math.nan])
def test_a_probability_out_of_range_is_nan(bad: float) -> None:
    queue = {"arrival_rate": 4.0, "service_time": 1.0}
    pool = {"servers": 4, "service_time": 1.0}
    users = pool | {"think_time": 5.0}
    assert math.isnan(servers_for_wait_probability(wait_probability=bad, **queue))
    assert math.isnan(servers_for_waiting_time_quantile(p=bad, waiting_time=1.0, **queue))
    assert math.isnan(servers_for_response_time_quantile(p=bad, response_time=9.0, **queue))
    assert math.isnan(arrival_rate_for_wait_probability(wait_probability=bad, **pool))
    assert math.isnan(arrival_rate_for_waiting_time_quantile(p=bad, waiting_time=1.0, **pool))
    assert math.isnan(arrival_rate_for_response_time_quantile(p=bad, response_time=9.0, **pool))
    assert math.isnan(population_for_wait_probability(wait_probability=bad, **users))
    assert math.isnan(population_for_response_time_quantile(p=bad, response_time=9.0, **users))


@pytest.mark.parametrize("bad", [-1.0, math.nan])
def test_a_negative_rate_or_time_is_nan(bad: float) -> None:
    for change in ({"arrival_rate": bad}, {"service_time": bad}):
        queue = {"arrival_rate": 4.0, "service_time": 1.0} | change
        assert math.isnan(servers_for_wait_probability(wait_probability=0.1, **queue))
        assert math.isnan(servers_for_waiting_time_quantile(p=0.9, waiting_time=1.0, **queue))
        assert math.isnan(servers_for_response_time_quantile(p=0.9, response_time=9.0, **queue))
    for change in ({"servers": bad}, {"servers": 2.5}, {"service_time": bad}):
        pool = {"servers": 4, "service_time": 1.0} | change
        assert math.isnan(arrival_rate_for_wait_probability(wait_probability=0.1, **pool))
        assert math.isnan(arrival_rate_for_waiting_time_quantile(p=0.9, waiting_time=1.0, **pool))
        assert math.isnan(arrival_rate_for_response_time_quantile(p=0.9, response_time=9.0, **pool))
        assert math.isnan(population_for_wait_probability(wait_probability=0.1, think_time=5.0, **pool))
        assert math.isnan(population_for_response_time_quantile(p=0.9, response_time=9.0, think_time=5.0, **pool))
    assert math.isnan(population_for_wait_probability(wait_probability=0.1, servers=4, think_time=bad, service_time=1))


def test_counts_come_back_as_floats() -> None:
    needed = servers_for_wait_probability(wait_probability=0.2, arrival_rate=[1, 4, 9], service_time=1)
    assert needed.dtype == np.float64
    np.testing.assert_array_equal(needed, np.rint(needed))
