"""M/G/c//N: against simulation, against what is known exactly, and its shape."""

from __future__ import annotations

import math

import numpy as np
import pytest
from oracles.tables import read_table
from scipy.special import ndtri

from capacity import queueing
from capacity.queueing import _finite_general, shared_pool, spread

FIGURES = ("throughput", "wait_probability", "waiting_time")
CASE = {"servers": 20, "population": 100, "think_time": 1.0, "service_time": 0.25}
SIMULATED = read_table("finite_spread")


@pytest.fixture(autouse=True)
def kernels_may_divide_by_zero():
    """As `evaluate` lets them."""
    with np.errstate(all="ignore"):
        yield


def cases(rows=slice(None)):
    names = ("servers", "population", "think_time", "service_scv")
    return {name: SIMULATED[name][rows] for name in names} | {"service_time": 1.0}


# --- against simulation: the errors that accuracy.md states


def test_throughput_and_mean_wait_are_those_of_simulated_pools():
    case, wait = cases(), SIMULATED["waiting_time"]
    assert (np.abs(queueing.mgc_finite_throughput(**case) / SIMULATED["throughput"] - 1) < 0.015).all()
    assert (np.abs(queueing.mgc_finite_wait_probability(**case) - SIMULATED["wait_probability"]) < 0.08).all()
    off = np.abs(queueing.mgc_finite_waiting_time(**case) - wait)
    allowed, chance = 0.05 * np.maximum(wait, 0.1), SIMULATED["waiting_time_se"]
    assert np.count_nonzero(off > allowed + 2 * chance) <= 2
    assert (off <= allowed + 5 * chance).all()


@pytest.mark.parametrize(
    ("scv", "least", "most", "errors"),
    [
        (0.0, 4, 100, (0.06, 0.13, 0.15)), (0.5, 4, 100, (0.03, 0.03, 0.03)), (2.0, 4, 100, (0.09, 0.04, 0.05)),
        (4.0, 4, 100, (0.16, 0.09, 0.11)), (0.0, 1, 1, (0.14, 0.1, 0.21)), (4.0, 1, 1, (0.34, 0.16, 0.31)),
    ],
)  # fmt: skip
def test_so_are_the_quantiles_of_the_response(scv, least, most, errors):
    servers = SIMULATED["servers"]
    rows = (SIMULATED["service_scv"] == scv) & (servers >= least) & (servers <= most)
    assert rows.any()
    for p, error in zip((0.5, 0.95, 0.99), errors, strict=True):
        ours = queueing.mgc_finite_response_time_quantile(p, **cases(rows))
        assert np.abs(ours / SIMULATED[f"r_p{p * 100:.0f}"][rows] - 1).max() < error


@pytest.mark.parametrize(
    ("scv", "population", "throughput", "mean", "p95", "busy"),
    [(0, 80, 160.6, 0.1035, 0.1201, 16.13), (0, 150, 199.2, 0.3502, 0.3988, 20.01),
     (4, 80, 159.2, 0.0950, 0.3220, 14.90), (4, 150, 190.1, 0.3912, 0.6855, 20.01)],
)  # fmt: skip
def test_so_is_a_real_php_fpm(scv, population, throughput, mean, p95, busy):
    """Runs of docs/reference/fidelity.md on 20 workers, by their own service and think times."""
    think = population / throughput - mean
    case = {"servers": 20, "population": population, "think_time": think, "service_time": busy / throughput}
    assert queueing.mgc_finite_response_time_quantile(0.95, **case, service_scv=scv) == pytest.approx(p95, rel=0.06)
    assert queueing.mgc_finite_throughput(**case, service_scv=scv) == pytest.approx(throughput, rel=0.01)
    assert queueing.finite_response_time_quantile(0.95, **case) != pytest.approx(p95, rel=0.09)


# --- what is known otherwise


def test_exponential_times_give_the_very_values_of_m_m_c_with_n_users():
    for name in FIGURES:
        ours = getattr(queueing, f"mgc_finite_{name}")(**CASE, service_scv=1)
        assert ours == getattr(queueing, f"finite_{name}")(**CASE)
    ours = queueing.mgc_finite_response_time_quantile(0.95, **CASE, service_scv=1)
    assert ours == queueing.finite_response_time_quantile(0.95, **CASE)


@pytest.mark.parametrize("scv", [0.0, 0.3, 2.0, 4.0])
def test_users_who_never_wait_see_the_service_time_alone(scv):
    case = CASE | {"population": [1, 7, 20], "service_scv": scv}
    assert (queueing.mgc_finite_wait_probability(**case) == 0).all()
    assert (queueing.mgc_finite_waiting_time(**case) == 0).all()
    np.testing.assert_allclose(queueing.mgc_finite_throughput(**case), np.array([1, 7, 20]) / 1.25, rtol=1e-14)
    width = math.sqrt(math.log1p(scv))
    alone = 0.25 * math.exp(width * (ndtri(0.9) - width / 2))
    np.testing.assert_allclose(queueing.mgc_finite_response_time_quantile(0.9, **case), alone, rtol=1e-9)


@pytest.mark.parametrize("scv", [0.0, 0.3, 2.0, 4.0])
@pytest.mark.parametrize("think", [0.0, 1.0])
def test_a_full_pool_completes_what_it_can_whatever_the_spread(scv, think):
    case = CASE | {"population": 2000, "think_time": think, "service_scv": scv}
    assert queueing.mgc_finite_throughput(**case) == pytest.approx(80.0, rel=1e-12)
    assert queueing.mgc_finite_waiting_time(**case) == pytest.approx(2000 / 80 - 0.25 - think, rel=1e-12)
    assert queueing.mgc_finite_wait_probability(**case) == pytest.approx(1.0, rel=1e-9)


@pytest.mark.parametrize("scv", [0.0, 0.5, 2.0, 4.0])
def test_very_many_users_with_very_long_pauses_are_a_poisson_stream(scv):
    for servers, utilization in ((1, 0.6), (20, 0.8), (100, 0.93)):
        rate = servers * utilization / 0.25
        stream = {"servers": servers, "arrival_rate": rate, "service_time": 0.25, "service_scv": scv}
        users = {"servers": servers, "population": 1e7, "think_time": 1e7 / rate - 0.25, "service_time": 0.25}
        for name in FIGURES[1:]:
            ours = getattr(queueing, f"mgc_finite_{name}")(**users, service_scv=scv)
            assert ours == pytest.approx(getattr(queueing, f"mgc_{name}")(**stream), rel=2e-3)


def test_the_queue_of_whole_batches_is_that_of_the_finite_source():
    """`_finite_source` sums the same states for whole places, by other means."""
    from capacity.queueing import _finite_source

    places, mean = (v.ravel() for v in np.meshgrid([1.0, 2, 5, 30, 400, 5000], [0.01, 1.0, 7, 40, 350, 5200, 1e5]))
    log_states, wait = _finite_general.beyond(places, mean)
    states, queue = _finite_source.beyond_weights(places - 1, mean)
    known = np.isfinite(states) & np.isfinite(queue)
    assert known.sum() > 30
    np.testing.assert_allclose(np.exp(log_states)[known], 1 + states[known], rtol=1e-9)
    np.testing.assert_allclose(wait[known], ((queue + 1 + states) / (1 + states))[known], rtol=1e-9)
    x = np.array([0.0, 0.3, 1.0, 3.0]) * wait[:, None]
    tail = _finite_general.late_tail(places, mean, wait)(np.arange(wait.size))(x)
    one = np.ones(wait.size)
    for column, level in zip(tail.T, x.T, strict=True):
        np.testing.assert_allclose(
            column, _finite_source.waiting_tail_of(level, one, places, mean), rtol=2e-3, atol=1e-6
        )


# --- shape


@pytest.mark.parametrize("scv", [0.0, 0.2, 0.9, 1.5, 4.0])
@pytest.mark.parametrize(("servers", "think", "most"), [(1, 0.4, 12), (6, 5.0, 300), (40, 0.1, 200), (40, 1.0, 400)])
def test_more_users_wait_longer_and_complete_more(scv, servers, think, most):
    case = {"servers": servers, "think_time": think, "service_time": 0.25, "service_scv": scv}
    case["population"] = np.arange(1, most)
    # where M/M/c//N takes a pool for always full, what is left of an odd request without a wait ends with a jump
    throughput = queueing.mgc_finite_throughput(**case)
    assert (np.diff(throughput) > -1e-6 * throughput[:-1]).all()
    assert (np.diff(queueing.mgc_finite_waiting_time(**case)) > -1e-12).all()
    assert (np.diff(queueing.mgc_finite_response_time_quantile(0.95, **case)) > -1e-6).all()


def test_an_array_is_what_its_elements_are():
    rng = np.random.default_rng(7)
    servers = rng.integers(1, 60, 300).astype(float)
    table = {
        "servers": servers, "think_time": rng.uniform(0, 3, 300), "service_time": 0.25,
        "population": np.round(servers * rng.uniform(0.5, 12, 300)), "service_scv": rng.choice([0, 0.4, 1, 3.9], 300),
    }  # fmt: skip
    every = queueing.mgc_finite_response_time_quantile(0.95, **table)
    for row in range(0, 300, 23):
        one = {name: np.broadcast_to(column, 300)[row] for name, column in table.items()}
        assert queueing.mgc_finite_response_time_quantile(0.95, **one) == every[row]


@pytest.mark.parametrize("cpu_time", [0.0, 0.3])
def test_the_tail_at_a_quantile_is_what_is_left(cpu_time):
    one = np.ones(60)
    scv, population = np.repeat([0.4, 1.0, 4.0], 20), np.tile(np.arange(5.0, 105.0, 5.0), 3)
    pool = shared_pool.finite_pool(8 * one, 2 * one, cpu_time * one, one, population, 6 * one)
    pool = spread.spread_out(pool, 8 * one, one, scv)
    for p in (0.1, 0.5, 0.95, 0.9999):
        np.testing.assert_allclose(
            spread.response_tail(spread.response_quantile(p * one, pool), pool), 1 - p, rtol=1e-9
        )


def test_what_has_not_been_measured_is_nan():
    for name in FIGURES:
        assert math.isnan(getattr(queueing, f"mgc_finite_{name}")(**CASE, service_scv=4.001))


def test_the_ends_of_a_probability():
    for scv in (0.0, 0.5, 4.0):
        assert queueing.mgc_finite_response_time_quantile(0.0, **CASE, service_scv=scv) == 0.0
        assert queueing.mgc_finite_response_time_quantile(1.0, **CASE, service_scv=scv) == math.inf
    alone = CASE | {"population": 5}
    assert queueing.mgc_finite_response_time_quantile(1.0, **alone, service_scv=0.0) == 0.25
    # the one other ahead takes no longer than his service
    two = {"servers": 1, "population": 2, "think_time": 0.1, "service_time": 0.25, "service_scv": 0.0}
    assert queueing.mgc_finite_response_time_quantile(0.9999, **two) <= 0.5


@pytest.mark.parametrize("scv", [0.0, 0.5, 4.0])
def test_users_who_do_not_think_fill_their_servers_or_wait_for_one(scv):
    """Nobody waits while each has a server of his own; with more users everybody does, and the servers are full."""
    pool = {"servers": 4, "population": [1, 3, 4, 5, 40], "think_time": 0.0, "service_time": 0.25, "service_scv": scv}
    assert queueing.mgc_finite_wait_probability(**pool).tolist() == [0, 0, 0, 1, 1]
    assert queueing.mgc_finite_throughput(**pool) == pytest.approx([4, 12, 16, 16, 16])
    alone = queueing.mgc_finite_response_time_quantile(0.95, **{**pool, "population": 1})
    quantiles = queueing.mgc_finite_response_time_quantile(0.95, **pool)
    assert quantiles[:3] == pytest.approx(alone)
    assert alone < quantiles[3] < quantiles[4] < np.inf
