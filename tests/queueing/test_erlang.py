"""Erlang B and C against the exact tables, exact fractions and the published mistakes of other tools."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from oracles.tables import assert_matches, read_table

from capacity.queueing import erlang_b, erlang_c, erlang_c_grid

TOLERANCE = 1e-11


def exact_b(servers: int, load: Fraction) -> Fraction:
    """The textbook recursion in exact fractions."""
    blocked = Fraction(1)
    for n in range(1, servers + 1):
        blocked = load * blocked / (n + load * blocked)
    return blocked


def exact_c(servers: int, load: Fraction) -> Fraction:
    blocked = exact_b(servers, load)
    return servers * blocked / (servers - load * (1 - blocked))


@pytest.mark.parametrize("function", [erlang_b, erlang_c])
def test_every_row_of_the_table_is_met(function) -> None:
    table = read_table("erlang")
    inputs = {name: table[name] for name in ("servers", "offered_load")}
    exact = table[function.__name__]
    assert_matches(function(**inputs), exact, inputs, tolerance=TOLERANCE, what=function.__name__)


@pytest.mark.parametrize(
    ("servers", "load", "expected"),
    [(1, 1, Fraction(1, 2)), (2, 1, Fraction(1, 5)), (3, 2, Fraction(4, 19)), (5, 3, Fraction(81, 736))],
)
def test_erlang_b_of_small_systems_is_the_fraction(servers: int, load: int, expected: Fraction) -> None:
    assert exact_b(servers, Fraction(load)) == expected
    assert erlang_b(servers=servers, offered_load=load) == pytest.approx(float(expected), rel=1e-14)


@pytest.mark.parametrize(
    ("servers", "load", "expected"),
    [(1, Fraction(1, 2), Fraction(1, 2)), (2, Fraction(1), Fraction(1, 3)), (3, Fraction(2), Fraction(4, 9))],
)
def test_erlang_c_of_small_systems_is_the_fraction(servers: int, load: Fraction, expected: Fraction) -> None:
    assert exact_c(servers, load) == expected
    assert erlang_c(servers=servers, offered_load=float(load)) == pytest.approx(float(expected), rel=1e-14)


def test_the_printed_erlang_b_tables_are_met() -> None:
    # Five printed figures; each checked here by the recursion in fractions as well.
    for servers, load, printed in ((10, 5, 0.01838), (5, 3, 0.11005), (20, 12, 0.00980), (2, 1, 0.20000)):
        assert round(float(exact_b(servers, Fraction(load))), 5) == pytest.approx(printed, abs=1e-9)
        assert round(erlang_b(servers=servers, offered_load=load), 5) == pytest.approx(printed, abs=1e-9)


def test_b_of_132_servers_at_123_erlang_is_not_the_value_in_the_call_center_tools_docstring() -> None:
    # call-center-tools prints .0346 in its docstring; the fraction says .0312.
    assert erlang_b(servers=132, offered_load=123) == pytest.approx(float(exact_b(132, Fraction(123))), rel=1e-13)
    assert round(erlang_b(servers=132, offered_load=123), 4) == 0.0312


def test_small_blocking_is_not_rounded_to_zero() -> None:
    # python-erlang returns 0 for every blocking below 1e-4.
    for servers, load in ((40, 15), (100, 40), (400, 250)):
        exact = float(exact_b(servers, Fraction(load)))
        assert 0 < exact < 1e-4
        assert erlang_b(servers=servers, offered_load=load) == pytest.approx(exact, rel=1e-12, abs=0)


@pytest.mark.parametrize("servers", [700, 750, 900, 5000, 100_000])
def test_many_servers_do_not_give_nan(servers: int) -> None:
    # LINE's qsys_mmk is NaN above about 750 servers.
    for utilization in (0.2, 0.5, 0.9, 0.99):
        value = erlang_c(servers=servers, offered_load=servers * utilization)
        assert 0 <= value < 1


def test_no_server_blocks_everyone() -> None:
    for load in (0.0, 1.0, 50.0):
        assert erlang_b(servers=0, offered_load=load) == 1.0


def test_no_load_is_never_blocked_and_never_waits() -> None:
    np.testing.assert_array_equal(erlang_b(servers=[1, 2, 16, 1000], offered_load=0), np.zeros(4))
    np.testing.assert_array_equal(erlang_c(servers=[1, 2, 16, 1000], offered_load=0), np.zeros(4))


@pytest.mark.parametrize("servers", [0, 1, 2, 15, 16, 17, 100, 10**6])
def test_everyone_waits_at_and_above_full_load(servers: int) -> None:
    # pyworkforce and callcenterdim answer 1.86 at utilization 1.2.
    loads = np.array([servers, np.nextafter(servers, math.inf), 1.2 * servers + 1, 1e9])
    np.testing.assert_array_equal(erlang_c(servers=servers, offered_load=loads), np.ones(4))


@pytest.mark.parametrize("servers", [1, 2, 15, 16, 17, 100, 1000, 10**6])
def test_just_below_full_load_the_wait_probability_is_just_below_one(servers: int) -> None:
    value = erlang_c(servers=servers, offered_load=np.nextafter(servers, 0))
    assert 1 - 1e-9 < value <= 1


@pytest.mark.parametrize("function", [erlang_b, erlang_c])
def test_servers_or_loads_out_of_domain_give_nan(function) -> None:
    for servers, load in ((-1, 1), (-3, 1), (2.5, 1), (2, -1), (2, -1e-300), (math.nan, 1), (2, math.nan)):
        assert math.isnan(function(servers=servers, offered_load=load)), (servers, load)


def test_b_and_c_satisfy_the_two_textbook_identities() -> None:
    rng = np.random.default_rng(1)
    servers = rng.integers(1, 2000, 500).astype(float)
    loads = servers * rng.uniform(0.8, 0.999, 500)
    b, b_less, c = (
        erlang_b(servers=servers, offered_load=loads),
        erlang_b(servers=servers - 1, offered_load=loads),
        erlang_c(servers=servers, offered_load=loads),
    )
    # The second step of the recursion, and C from B; the rounding of b is passed on, not amplified.
    np.testing.assert_allclose(b, loads * b_less / (servers + loads * b_less), rtol=1e-11)
    np.testing.assert_allclose(c, b / (b + (1 - loads / servers) * (1 - b)), rtol=1e-10)


def test_the_grid_is_erlang_c_for_every_server_count() -> None:
    loads = np.array([[0.0, 0.3, 1.0], [7.5, 39.999, 80.0]])
    grid = erlang_c_grid(max_servers=60, offered_load=loads)
    assert grid.shape == (2, 3, 60)
    expected = erlang_c(servers=np.arange(1, 61), offered_load=loads[..., None])
    # The table holds erlang_c; the recursion over servers is another method, so they agree to rounding only.
    np.testing.assert_allclose(grid, expected, rtol=1e-11, atol=0)
    np.testing.assert_array_equal(grid == 1, expected == 1)


def test_the_grid_meets_the_table() -> None:
    table = read_table("erlang")
    keep = table["servers"] <= 1000
    inputs = {name: table[name][keep] for name in ("servers", "offered_load")}
    grid = erlang_c_grid(max_servers=1000, offered_load=inputs["offered_load"])
    ours = grid[np.arange(keep.sum()), inputs["servers"].astype(int) - 1]
    assert_matches(ours, table["erlang_c"][keep], inputs, tolerance=TOLERANCE, what="erlang_c_grid")


def test_the_grid_of_one_load_is_one_row() -> None:
    grid = erlang_c_grid(max_servers=5, offered_load=2)
    assert grid.shape == (5,)
    exact = [1.0, 1.0, *(float(exact_c(c, Fraction(2))) for c in (3, 4, 5))]
    np.testing.assert_allclose(grid, exact, rtol=1e-14)


def test_the_grid_passes_nan_and_negative_loads_on_as_nan() -> None:
    grid = erlang_c_grid(max_servers=4, offered_load=[1.0, -1.0, math.nan])
    assert np.isfinite(grid[0]).all()
    assert np.isnan(grid[1:]).all()


@pytest.mark.parametrize("most", [2.5, -1, "3", None])
def test_the_grid_refuses_a_size_that_is_no_count(most: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        erlang_c_grid(max_servers=most, offered_load=1.0)
