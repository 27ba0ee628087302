"""The engine of the Erlang formulas: fresh exact points, its tables, memory, rows that know nothing of each other."""

from __future__ import annotations

import math
import random
import re
import tracemalloc

import mpmath
import numpy as np
import pytest
from oracles import exact, fit_temme, points
from oracles.exact import mp, mpf

from capacity.queueing import (
    _temme_table,
    erlang_b,
    erlang_c,
    erlang_c_grid,
    mmc_wait_probability,
)

# Worst of several thousand fresh points is 4.4e-13, where C is some 1e-280; DESIGN promises 1e-12.
TOLERANCE = 1e-12
PARTS = [name for name in vars(_temme_table) if name.isupper()]


def slack(rng: random.Random, servers: int) -> float:
    """1 - utilization: tiny, moderate, of the order of 1/sqrt(c), far out in the tail, negative."""
    return rng.choice(
        (
            rng.uniform(0.01, 0.9),
            points.log_uniform(rng, 1e-9, 1e-1),
            1e-9,
            rng.uniform(0.1, 5) / math.sqrt(servers),
            rng.uniform(5, 36) / math.sqrt(servers),
            rng.uniform(0.45, 0.99),
            1 - points.log_uniform(rng, 1e-9, 1),
            0.0,
            -points.log_uniform(rng, 1e-9, 30),
            -rng.uniform(0, 12) / math.sqrt(servers),
        )
    )


def fresh(rng: random.Random, size: int) -> list[tuple[int, float]]:
    """Servers and loads, some of them about the number of servers at which the method changes."""
    found: list[tuple[int, float]] = []
    while len(found) < size:
        servers = rng.choice((rng.randint(1, 31), rng.randint(30, 36), rng.randint(1000, 1050)))
        servers = rng.choice((servers, points.count(rng, 1, 1_000_000)))
        load = servers * (1 - slack(rng, servers))
        if load > 0 and (servers <= 5000 or points.log_pmf(servers, load) > -670):
            found.append((servers, load))
    return found


@pytest.mark.parametrize("seed", [71, 72, 73])
def test_fresh_points_are_met(seed: int) -> None:
    drawn = fresh(random.Random(seed), 120)
    servers, loads = (np.array(column, dtype=float) for column in zip(*drawn, strict=True))
    blocked = [exact.erlang_b(c, mpf(a)) for c, a in drawn]
    waits = [c * b / (c - mpf(a) * (1 - b)) if a < c else mpf(1) for (c, a), b in zip(drawn, blocked, strict=True)]
    for function, true in ((erlang_b, blocked), (erlang_c, waits)):
        ours = function(servers=servers, offered_load=loads)
        judged = 0
        for row, (point, value) in enumerate(zip(drawn, true, strict=True)):
            if value > 1e-290:
                judged += 1
                assert abs(mpf(ours[row]) - value) <= TOLERANCE * value, (function.__name__, *point)
            else:
                assert 0 <= ours[row] < 2e-290
        assert judged > 60


def test_utilization_is_met_to_1e_9_of_full_load() -> None:
    rng = random.Random(74)
    for servers in (1, 31, 32, 1000, 1025, 99_999, 1_000_000):
        service = points.log_uniform(rng, 1e-3, 10)
        rate = servers * (1 - 1e-9) / service
        true = exact.mmc(servers, rate, service)["wait_probability"]
        ours = mmc_wait_probability(servers=servers, arrival_rate=rate, service_time=service)
        assert abs(mpf(ours) - true) <= TOLERANCE * true


# --- The tables ---------------------------------------------------------------------------------------------------


def test_the_residuals_that_the_table_states_are_those_at_other_points() -> None:
    stated = {name: float(error) for name, error in re.findall(r"^    (\w+) +(\S+)$", _temme_table.__doc__, re.M)}
    with mpmath.mp.workdps(fit_temme.DIGITS):
        found = fit_temme.residuals({name: getattr(_temme_table, name) for name in PARTS}, many=(5, 12))
    assert found.keys() == stated.keys()
    for name, error in found.items():
        assert error <= 1.3 * stated[name], name
        assert stated[name] < 1e-15


def test_a_wrong_digit_in_the_table_is_seen() -> None:
    table = {name: getattr(_temme_table, name) for name in PARTS}
    rows = [list(row) for row in table["S_BELOW"]]
    rows[0][0] *= 1 + 1e-13
    with mpmath.mp.workdps(fit_temme.DIGITS):
        assert fit_temme.residuals(table | {"S_BELOW": rows}, many=(5, 12))["S_BELOW"] > 1.3e-15


def test_the_cheap_tables_are_what_the_script_fits() -> None:
    with mpmath.mp.workdps(fit_temme.DIGITS):
        fitted = fit_temme.doubles(
            fit_temme.fit_polynomial(
                lambda w: fit_temme.scale(fit_temme.FEWEST / w), mpf(0), mpf(1), fit_temme.SCALE_DEGREE
            )
        )
    assert fitted == _temme_table.SCALE
    assert fit_temme.FEWEST == _temme_table.FEWEST
    assert float(fit_temme.DEVIANCE_END) == _temme_table.DEVIANCE_END


def test_the_function_that_is_fitted_is_the_ratio_of_poisson_probabilities() -> None:
    servers, load = 40, mpf("33.5")
    h = mp.sqrt(load / servers - 1 - mp.log(load / servers))
    with mpmath.mp.workdps(fit_temme.DIGITS):
        ours = mpf(fit_temme.ratio(mpmath.mpf(servers), mpmath.mpf(h)))
    assert abs(ours - (1 / exact.erlang_b(servers, load) - 1)) < mpf(10) ** -30 * ours


# --- Rows and memory ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [erlang_b, erlang_c])
def test_no_row_depends_on_its_neighbours(function) -> None:
    rng = np.random.default_rng(75)
    size = 70_000
    servers = np.round(np.exp(rng.uniform(0, 14, size)))
    loads = servers * np.where(rng.random(size) < 0.5, rng.uniform(0, 1.5, size), 10 ** rng.uniform(-12, 0, size))
    plain = function(servers=servers, offered_load=loads)
    np.testing.assert_array_equal(function(servers=servers[::7], offered_load=loads[::7]), plain[::7])
    for row in range(0, size, 1500):
        assert function(servers=servers[row], offered_load=loads[row]) == plain[row]
    odd = rng.random((2, size)) < 0.01
    spoilt = servers.copy(), loads.copy()
    spoilt[0][odd[0]] = rng.choice([math.nan, -1, 2.5, math.inf, -math.inf, 0], odd[0].sum())
    spoilt[1][odd[1]] = rng.choice([math.nan, -1, -math.inf, math.inf, 0, 5e-324], odd[1].sum())
    untouched = ~odd.any(axis=0)
    values = function(servers=spoilt[0], offered_load=spoilt[1])
    np.testing.assert_array_equal(values[untouched], plain[untouched])
    inside = (np.floor(spoilt[0]) == spoilt[0]) & np.isfinite(spoilt[0]) & (spoilt[0] >= 0) & (spoilt[1] >= 0)
    np.testing.assert_array_equal(np.isnan(values), ~inside)


def test_every_way_to_broadcast_gives_the_same() -> None:
    rng = np.random.default_rng(76)
    servers, loads = rng.integers(1, 500, (300, 1, 7)), rng.uniform(0.1, 400, (40, 1)).astype(np.float32)
    wide = np.broadcast_arrays(servers, loads)
    expected = erlang_c(servers=wide[0].ravel().astype(float), offered_load=wide[1].ravel().astype(float))
    np.testing.assert_array_equal(erlang_c(servers=servers, offered_load=loads).ravel(), expected)
    np.testing.assert_array_equal(erlang_c(servers=servers[::-1], offered_load=loads)[::-1].ravel(), expected)
    row = rng.uniform(1, 400, (2, 100_000))
    np.testing.assert_array_equal(
        erlang_c(servers=[[100], [7]], offered_load=row),
        np.stack([erlang_c(servers=c, offered_load=a) for c, a in zip((100, 7), row, strict=True)]),
    )
    np.testing.assert_array_equal(
        erlang_c(servers=100, offered_load=np.asfortranarray(row)), erlang_c(servers=100, offered_load=row)
    )


def beyond_output(**inputs: object) -> float:
    """Most bytes held during a call, without those of the answer."""
    tracemalloc.start()
    try:
        value = erlang_c(**inputs)
        return tracemalloc.get_traced_memory()[1] - value.nbytes
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ["scattered", "whole numbers", "one load", "an outer product", "every other"])
def test_memory_beyond_the_answer_does_not_grow_with_the_scenarios(kind: str) -> None:
    rng = np.random.default_rng(77)
    used = []
    for size in (300_000, 1_200_000):
        servers = rng.integers(1, 1001, size)
        inputs = {
            "scattered": {"servers": servers.astype(float), "offered_load": servers * rng.uniform(0.1, 1.1, size)},
            "whole numbers": {"servers": servers.astype(np.int16), "offered_load": servers.astype(np.float32)},
            "one load": {"servers": servers, "offered_load": 400.0},
            "an outer product": {"servers": servers[: size // 1000, None], "offered_load": np.linspace(1, 900, 1000)},
            "every other": {"servers": np.repeat(servers, 2)[::2], "offered_load": 400.0},
        }[kind]
        used.append(beyond_output(**inputs))
    assert max(used) < 16e6
    assert used[1] < 1.1 * used[0] + 1e5


# --- The grid -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("loads", "most"), [(1, 5000), (3, 1000), (60, 700), (300, 70), (40_000, 9), (0, 50)])
def test_the_grid_is_the_same_however_it_is_cut(loads: int, most: int) -> None:
    rng = np.random.default_rng(78)
    load = rng.uniform(0, 1.2 * most, loads)
    grid = erlang_c_grid(max_servers=most, offered_load=load)
    plain = erlang_c(servers=np.arange(1, most + 1), offered_load=load[:, None])
    assert grid.shape == plain.shape == (loads, most)
    judged = plain > 1e-290
    np.testing.assert_allclose(grid[judged], plain[judged], rtol=TOLERANCE, atol=0)
    np.testing.assert_array_equal(grid == 1, plain == 1)
    assert (grid[~judged] <= 2e-290).all()
