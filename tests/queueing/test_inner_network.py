"""Workers that share cores and database connections: X(n), and the pool around it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from oracles.connected_chain import connected_throughput
from oracles.connected_simulation import connected_pool
from oracles.simulation import interval
from oracles.tables import assert_matches, read_table

from capacity import queueing
from capacity.queueing import mmc_response_time, shared_cores_throughput, shared_response_time

HELD_OFF_THE_CPU = 1e-12  # relative; the worst of the table is 5e-14
HELD_AT_WORK = (0.025, 0.35)  # too low and too high at most, of what X(n) is where some of the CPU time holds one
FEW_PERCENT = 0.03  # a queue for workers makes the one station of rate X(min(n, c)) an approximation

CASE = {"workers": 10, "cores": 2, "cpu_time": 0.1, "service_time": 1.0, "connections": 4, "database_time": 0.5}


def throughput(**change: float) -> float:
    return float(shared_cores_throughput(**CASE | change))


def test_the_throughput_meets_the_table() -> None:
    table = read_table("shared_connections")
    exact = table.pop("throughput")
    ours = shared_cores_throughput(**table)
    assert_matches(ours, exact, table, tolerance=HELD_OFF_THE_CPU, what="shared_cores_throughput")


def test_a_point_of_the_table_is_the_same_number_alone() -> None:
    table = read_table("shared_connections")
    del table["throughput"]
    together = shared_cores_throughput(**table)
    rows = range(0, together.size, 29)
    alone = [shared_cores_throughput(**{name: column[row] for name, column in table.items()}) for row in rows]
    assert alone == together[rows].tolist()


# --- Against the balance equations of every state -----------------------------------------------------------------


def small_networks(draws: int, seed: int) -> list[dict[str, float]]:
    """Few workers, more than connections; a connection is held off the CPU, during some of the CPU time, or always."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        connections = int(rng.integers(1, 5))
        cpu_time = float(rng.choice([0.0, 0.02, 0.2, 0.5, 0.8]))
        found.append(
            {
                "workers": connections + int(rng.integers(1, 7)),
                "cores": float(rng.choice([0.25, 0.5, 1.0, 1.5, 2.0, 4.0, 64.0])),
                "cpu_time": cpu_time,
                "service_time": 1.0,
                "connections": connections,
                "database_time": float(rng.choice([0.01, 0.1, 0.5, 0.9, 1.0])),
            }
        )
    return found


def test_the_balance_equations_say_the_same() -> None:
    """To their own rounding where the network has a product form, and never far off where it has none."""
    exact = 0
    for case in small_networks(90, 1):
        error = shared_cores_throughput(**case) / connected_throughput(**case) - 1
        if case["database_time"] <= 1 - case["cpu_time"] or case["database_time"] == 1:
            exact += 1
            assert abs(error) < 1e-9, (error, case)
        else:
            assert -HELD_AT_WORK[0] < error < HELD_AT_WORK[1], (error, case)
    assert exact > 45


# --- What is known without an oracle ------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 1, 3, 4])
def test_while_there_are_connections_for_all_nobody_waits_for_one(workers: int) -> None:
    plain = {name: CASE[name] for name in ("cores", "cpu_time", "service_time")}
    for held in (0.5, 0.95, 1.0):
        assert throughput(workers=workers, database_time=held) == shared_cores_throughput(workers=workers, **plain)


@pytest.mark.parametrize("workers", [1, 4, 5, 40, 2.0**13, 2.0**13 + 1, 1e300])
def test_a_connection_held_from_beginning_to_end_makes_a_worker_of_it(workers: float) -> None:
    plain = {name: CASE[name] for name in ("cores", "cpu_time", "service_time")}
    expected = shared_cores_throughput(workers=min(workers, 4), **plain)
    assert throughput(workers=workers, database_time=1.0) == pytest.approx(expected, rel=1e-12)


def test_connections_and_pauses_alone_are_users_and_servers() -> None:
    users = {"servers": 4, "population": 30, "think_time": 0.5, "service_time": 0.5}
    expected = queueing.finite_throughput(**users)
    assert throughput(workers=30, cpu_time=0.0) == pytest.approx(expected, rel=1e-13)
    assert throughput(workers=30, cpu_time=0.0, database_time=1.0) == pytest.approx(4.0, rel=1e-13)


def test_one_core_and_one_connection_in_turn_are_two_stations() -> None:
    """Without pauses n customers leave one of two exponential stations idle: X = mu (1 - r^n) / (1 - r^(n+1))."""
    for cpu_time in (0.3, 0.5, 0.8):
        ratio = (1 - cpu_time) / cpu_time  # of the times a customer takes at the connection and on the core
        n = 12
        expected = sum(ratio**i for i in range(n)) / sum(ratio**i for i in range(n + 1)) / cpu_time
        case = {"workers": n, "cores": 1, "cpu_time": cpu_time, "connections": 1, "database_time": 1 - cpu_time}
        assert throughput(**case) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"connections": 0}, 0.0),  # nobody ever gets one
        ({"connections": 0, "workers": 0}, 0.0),
        ({"cores": 0}, 0.0),
        ({"workers": 1e300}, 8.0),  # 4 connections of half a second
        ({"service_time": 0.0, "cpu_time": 0.0, "database_time": 0.0}, math.inf),
    ],
)
def test_the_ends_are_what_they_must_be(change: dict[str, float], expected: float) -> None:
    assert throughput(**change) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"connections": 2.5}, {"connections": -1}, {"connections": math.nan}, {"database_time": -0.1},
        {"database_time": 1.1}, {"database_time": math.nan}, {"workers": 2.5}, {"cores": -1}, {"cpu_time": 1.1},
    ],
)  # fmt: skip
def test_out_of_domain_is_nan_also_where_the_connections_would_do(change: dict[str, float]) -> None:
    assert math.isnan(throughput(**change))
    assert "workers" in change or math.isnan(throughput(**change, workers=2))


def many_pools() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    pools = 200
    service = np.exp(rng.uniform(-5, 5, pools))
    return {
        "cores": rng.choice([0.25, 0.5, 1, 2, 2.5, 4, 64], pools),
        "cpu_time": service * rng.choice([0, 1e-6, 0.01, 0.3, 0.9, 1], pools),
        "service_time": service,
        "connections": rng.choice([0, 1, 2, 5, 17, 40, 100, np.inf], pools),
        "database_time": service * rng.choice([0, 1e-6, 0.05, 0.4, 0.9, 1], pools),
    }


def test_more_workers_never_complete_less_and_nothing_exceeds_its_bounds() -> None:
    pools = many_pools()
    workers = np.arange(0.0, 130.0)[:, None]
    ours = shared_cores_throughput(workers=workers, **pools)
    assert (np.diff(ours, axis=0) >= -1e-13 * ours[1:]).all()
    free = shared_cores_throughput(workers=workers, **pools | {"connections": np.inf})
    assert (ours <= free * (1 + 1e-13)).all()
    with np.errstate(divide="ignore", invalid="ignore"):
        through = pools["connections"] / pools["database_time"]  # 0 / 0: none is needed
    assert (ours <= np.where(pools["database_time"] > 0, through, np.inf) * (1 + 1e-13)).all()


def test_more_connections_never_complete_less() -> None:
    pools = many_pools()
    pools["connections"] = np.arange(0.0, 40.0, 3.0)[:, None]
    ours = shared_cores_throughput(workers=40, **pools)
    assert (np.diff(ours, axis=0) >= -1e-12 * ours[1:]).all()


# --- The pool around it -------------------------------------------------------------------------------------------


def test_a_pool_is_the_same_number_among_others_and_alone() -> None:
    pools = many_pools()
    pools |= {"servers": np.full(200, 60.0), "arrival_rate": 20.0 / pools["service_time"]}
    together = shared_response_time(**pools)
    rows = range(0, 200, 7)
    alone = [shared_response_time(**{name: column[row] for name, column in pools.items()}) for row in rows]
    np.testing.assert_array_equal(together[rows], alone)
    assert np.isfinite(together).sum() > 20


def test_without_cpu_time_connections_held_all_the_time_are_the_servers() -> None:
    pool = {"cores": 1, "cpu_time": 0.0, "service_time": 0.5, "arrival_rate": 7.0}
    ours = shared_response_time(servers=[4, 9, 100], connections=4, database_time=0.5, **pool)
    expected = mmc_response_time(servers=4, service_time=0.5, arrival_rate=7.0)
    np.testing.assert_allclose(ours, expected, rtol=1e-12)


POOL = {"servers": 10, "cores": 3, "cpu_time": 0.4, "service_time": 1.0, "connections": 5}


def assert_inside(ours: float, estimate: tuple[float, float], what: str, bias: float = 0.0) -> None:
    mean, half = estimate
    assert half < 0.1 * mean, f"{what}: the simulation is too short to judge ({mean:.6g} +- {half:.2g})"
    assert abs(ours - mean) <= half + bias * mean, f"{what}: ours {ours:.6g}, simulated {mean:.6g} +- {half:.2g}"


@pytest.mark.parametrize("database_time", [0.5, 1.0])
def test_busy_workers_complete_what_simulated_ones_do(database_time: float) -> None:
    case = POOL | {"database_time": database_time}
    trace = connected_pool(**case, population=10, requests=40_000, seed=1)
    inner = {name: value for name, value in case.items() if name != "servers"}
    assert_inside(shared_cores_throughput(workers=10, **inner), trace.throughput(), "X(10)")


@pytest.mark.parametrize("database_time", [0.5, 1.0])
def test_an_open_pool_answers_as_a_simulated_one(database_time: float) -> None:
    case = POOL | {"database_time": database_time, "arrival_rate": 3.2}
    trace = connected_pool(**case, visits=5.0, requests=40_000, seed=2)
    assert_inside(shared_response_time(**case), interval(trace.responses), "response_time", FEW_PERCENT)


@pytest.mark.parametrize("database_time", [0.5, 1.0])
def test_users_are_answered_as_simulated_ones_are(database_time: float) -> None:
    case = POOL | {"database_time": database_time, "population": 40, "think_time": 8.0}
    trace = connected_pool(**case, visits=5.0, requests=40_000, seed=3)
    ours = queueing.shared_finite_response_time(**case)
    assert_inside(ours, interval(trace.responses), "response_time", FEW_PERCENT)
    assert_inside(queueing.shared_finite_throughput(**case), trace.throughput(), "throughput", FEW_PERCENT)
