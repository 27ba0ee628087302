"""Each lever as a transformation: of nothing, of valid scenarios, against the arithmetic done by hand."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capacity import Scenario
from capacity.columns import fields, row_of, rules_between
from capacity.levers.catalogue import LEVERS, lever_named
from capacity.levers.limiting import truncated
from capacity.policies.demand import rate_of

FULL = {
    "host": {"ram": "8GiB", "reserved": "2GiB", "cpus": 4, "database_connections": 151},
    "worker": {"memory": "64MiB"},
    "workload": {
        "service_time": 0.25,
        "cpu_time": 0.06,
        "database_time": 0.1,
        "users": 200,
        "think_time": 1,
        "web_server_cpu_time": 0.0002,
        "overhead_time": 0.0003,
        "service_scv": 2,
    },
    "pool": {"pm": "static", "max_children": 20},
}
ROW = row_of(Scenario.from_mapping(FULL))
every_lever = pytest.mark.parametrize("lever", LEVERS, ids=lambda lever: lever.name)


def after(name, effect, row=ROW):
    """Columns after one lever, as numbers."""
    table = lever_named(name, "").applied(row, np.array([float(effect)]))
    return {field: float(column[0]) for field, column in table.items()}


@every_lever
def test_an_effect_of_none_changes_not_one_bit(lever):
    table = lever.applied(ROW, np.array([lever.none]))
    assert all(np.array_equal(table[name], ROW[name], equal_nan=True) for name in ROW)


@every_lever
def test_a_default_is_an_effect_there_may_be_and_says_where_it_comes_from(lever):
    assert lever.least <= lever.default <= lever.most
    assert lever.default != lever.none
    assert lever.source
    assert lever.risks
    assert lever.shown(ROW, lever.default)


@every_lever
@settings(derandomize=True, max_examples=30, deadline=None, database=None)
@given(data=st.data())
def test_what_comes_out_is_a_scenario_again(lever, data):
    service = data.draw(st.floats(0.001, 10))
    row = dict(ROW)
    row["workload.service_time"] = np.array([service])
    for name in ("cpu_time", "database_time"):
        share = data.draw(st.sampled_from([0.0, 0.3, 0.9, 1.0, np.nan]))
        row[f"workload.{name}"] = np.array([service * share])
    effect = data.draw(st.floats(lever.least, min(lever.most, 100.0)))
    effect = round(effect) if lever.kind == "count" else effect
    table = lever.applied(row, np.array([float(effect)]))
    whole = {"host.ram"}  # a RAM of half a byte more is no matter
    for name, field in fields().items():
        if name not in whole and not field.words:
            assert field.allows(table[name]).all(), name
    if lever.name != "more_hosts":  # whose hosts may be more than the connections: then no worker fits
        assert not any(broken.any() for broken in rules_between(table))


def test_memory_cores_and_hosts_are_multiplied():
    assert after("more_memory", 2)["host.ram"] == 16 * 2**30
    assert after("more_cores", 1.5)["host.cpus"] == 6
    hosts = after("more_hosts", 2)
    assert hosts["workload.requests_per_click"] == 0.5
    assert hosts["host.database_connections"] == 75  # of 151, rounded down


def test_what_the_cpu_saves_shortens_the_service_by_as_much():
    less = after("opcache", 0.5)
    assert less["workload.cpu_time"] == pytest.approx(0.03)
    assert less["workload.service_time"] == pytest.approx(0.25 - 0.03)
    assert less["workload.database_time"] == 0.1
    faster = after("faster_cores", 2)
    assert faster["workload.cpu_time"] == pytest.approx(0.03)
    assert faster["workload.service_time"] == pytest.approx(0.22)
    assert faster["workload.web_server_cpu_time"] == pytest.approx(0.0001)


@pytest.mark.parametrize("name", ["redis_sessions", "fewer_queries"])
def test_what_the_database_saves_shortens_the_service_by_as_much(name):
    less = after(name, 0.2)
    assert less["workload.database_time"] == pytest.approx(0.08)
    assert less["workload.service_time"] == pytest.approx(0.23)
    assert less["workload.cpu_time"] == 0.06


def test_no_database_saves_what_php_computes():
    held = dict(ROW) | {"workload.database_time": np.array([0.25])}
    assert after("fewer_queries", 0.9, held)["workload.service_time"] == pytest.approx(0.06)


def test_a_part_that_is_not_known_is_taken_for_as_long_as_it_can_be():
    unknown = dict(ROW) | {f"workload.{name}": np.array([np.nan]) for name in ("cpu_time", "database_time")}
    assert after("redis_sessions", 0.2, unknown)["workload.service_time"] == pytest.approx(0.2)
    assert after("opcache", 0.2, unknown)["workload.service_time"] == pytest.approx(0.2)
    computing = dict(ROW) | {"workload.database_time": np.array([np.nan])}
    assert after("redis_sessions", 0.2, computing)["workload.service_time"] == pytest.approx(0.25 - 0.2 * 0.19)


def test_shorter_requests_are_shorter_in_proportion():
    for name in ("shorter_service", "slow_endpoints"):
        less = after(name, 0.2)
        assert [less[f"workload.{part}"] for part in ("service_time", "cpu_time", "database_time")] == pytest.approx(
            [0.2, 0.048, 0.08]
        )


def test_a_page_cache_leaves_the_rate_of_users_whose_other_clicks_take_no_time():
    share, hold = 0.3, 0.25 + 0.0003 + 0.0002
    table = lever_named("page-cache", "").applied(ROW, np.array([share]))
    rate = float(rate_of(table, np.array([200.0]))[0])
    assert rate == pytest.approx(200 * (1 - share) / (1 + (1 - share) * hold), rel=1e-12)


def test_a_page_cache_against_users_followed_one_by_one():
    """Every user pauses, clicks, and waits only where the cache does not answer."""
    share, think, service = 0.3, 1.0, 0.25
    random = np.random.default_rng(7)
    clicks = 400_000
    missed = random.random(clicks) >= share
    seconds = random.exponential(think, clicks).sum() + random.exponential(service, clicks)[missed].sum()
    table = lever_named("page_cache", "").applied(row_of(Scenario.example()), np.array([share]))
    # three standard errors: pauses and answers of 400 000 clicks, and how many are missed
    assert float(rate_of(table, np.array([1.0]))[0]) == pytest.approx(missed.sum() / seconds, rel=0.01)


@pytest.mark.parametrize("scv", [0.0, 0.5, 1.0, 4.0])
@pytest.mark.parametrize("timeout", [0.1, 0.25, 1.0, 60.0])
def test_the_mean_of_a_time_cut_off_is_the_integral_of_its_tail(scv, timeout):
    mean = mpmath.mpf("0.25")
    if scv == 0:
        expected = min(mean, timeout)
    elif scv == 1:
        expected = mpmath.quad(lambda t: mpmath.exp(-t / mean), [0, timeout / 4, timeout])
    else:
        width = mpmath.sqrt(mpmath.log(1 + mpmath.mpf(scv)))
        middle = mpmath.log(mean) - width**2 / 2
        points = [0, *(mpmath.mpf(timeout) * 10**-k for k in range(6, 0, -1)), timeout]
        expected = mpmath.quad(lambda t: mpmath.ncdf((middle - mpmath.log(t)) / width) if t else 1, points)
    got = truncated(np.array([0.25]), np.array([scv]), np.array([timeout]))[0]
    assert float(got) == pytest.approx(float(expected), rel=1e-9)


def test_a_timeout_is_never_made_so_short_that_it_cuts_off_ordinary_requests():
    assert after("shorter_timeouts", 2)["policy.web_server_timeout"] == 30
    assert after("shorter_timeouts", 1e4)["policy.web_server_timeout"] == 2.5
    assert after("shorter_timeouts", 1e4)["workload.service_time"] > 0.24
    slow = dict(ROW) | {"workload.service_time": np.array([20.0])}
    assert after("shorter_timeouts", 4, slow)["policy.web_server_timeout"] == 60
