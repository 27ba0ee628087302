"""Workers that share cores: X(n), the open pool and the pool with finitely many users."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from oracles.tables import assert_matches, read_table

from capacity import queueing
from capacity.queueing import (
    finite_response_time,
    finite_throughput,
    mmc_response_time,
    shared_cores_throughput,
    shared_finite_response_time,
    shared_finite_response_time_quantile,
    shared_finite_throughput,
    shared_finite_utilization,
    shared_finite_wait_probability,
    shared_finite_waiting_time,
    shared_response_time,
    shared_response_time_quantile,
    shared_throughput,
    shared_utilization,
    shared_wait_probability,
    shared_waiting_time,
)

CORES = 1e-12
POOL = 1e-10
OPEN = ("servers", "cores", "cpu_time", "service_time", "arrival_rate")
CLOSED = ("servers", "cores", "cpu_time", "service_time", "population", "think_time")
MEANS = ("throughput", "utilization", "wait_probability", "waiting_time", "response_time")
QUANTILES = {"response_time_p50": 0.5, "response_time_p95": 0.95, "response_time_p99": 0.99}


def test_the_throughput_of_n_workers_meets_the_table() -> None:
    table = read_table("shared_cores")
    inputs = {name: table[name] for name in ("workers", "cores", "cpu_time", "service_time")}
    assert_matches(
        shared_cores_throughput(**inputs), table["throughput"], inputs, tolerance=CORES, what="shared_cores_throughput"
    )


@pytest.mark.parametrize(("model", "names"), [("shared", OPEN), ("shared_finite", CLOSED)])
@pytest.mark.parametrize("quantity", MEANS)
def test_pool_means_meet_the_table(model: str, names: tuple[str, ...], quantity: str) -> None:
    table = read_table(model)
    inputs = {name: table[name] for name in names}
    floor = 1e-9 * table["service_time"] if quantity == "waiting_time" else 1e-290
    ours = getattr(queueing, f"{model}_{quantity}")(**inputs)
    assert_matches(ours, table[quantity], inputs, tolerance=POOL, floor=floor, what=f"{model}_{quantity}")


@pytest.mark.parametrize(("model", "names"), [("shared", OPEN), ("shared_finite", CLOSED)])
@pytest.mark.parametrize("column", list(QUANTILES))
def test_pool_response_quantiles_meet_the_table(model: str, names: tuple[str, ...], column: str) -> None:
    table = read_table(model)
    inputs = {name: table[name] for name in names}
    ours = getattr(queueing, f"{model}_response_time_quantile")(QUANTILES[column], **inputs)
    assert_matches(ours, table[column], inputs, tolerance=POOL, what=f"{model}_{column}")


# --- X(n) ---------------------------------------------------------------------------------------------------------


def exact_throughput(workers: int, cores: Fraction, cpu: Fraction, away: Fraction) -> Fraction:
    """Balance equations of the inner network in exact fractions."""
    weights = [Fraction(1)]
    for j in range(1, workers + 1):
        weights.append(weights[-1] * (workers - j + 1) / away * cpu / min(j, cores))
    return sum(w * min(j, cores) for j, w in enumerate(weights)) / sum(weights) / cpu


@pytest.mark.parametrize("cores", [0.5, 1, 1.5, 2, 3.75])
@pytest.mark.parametrize("workers", [1, 2, 3, 4, 9])
def test_few_workers_complete_exactly_what_the_balance_equations_say(workers: int, cores: float) -> None:
    expected = exact_throughput(workers, Fraction(cores), Fraction(3, 8), Fraction(5, 8))
    ours = shared_cores_throughput(workers=workers, cores=cores, cpu_time=0.375, service_time=1.0)
    assert ours == pytest.approx(float(expected), rel=1e-14)


def test_one_worker_takes_its_cpu_time_and_its_time_off_the_cpu() -> None:
    assert shared_cores_throughput(workers=1, cores=1, cpu_time=0.2, service_time=0.5) == pytest.approx(2.0, rel=1e-15)
    # Half a core: the CPU part takes twice as long.
    half = shared_cores_throughput(workers=1, cores=0.5, cpu_time=0.2, service_time=0.5)
    assert half == pytest.approx(1 / 0.7, rel=1e-14)


def test_no_worker_completes_nothing() -> None:
    for cpu_time in (0, 0.2, 0.5):
        assert shared_cores_throughput(workers=0, cores=2, cpu_time=cpu_time, service_time=0.5) == 0.0


def test_without_cpu_time_workers_do_not_meet() -> None:
    workers = np.arange(1, 400)
    ours = shared_cores_throughput(workers=workers, cores=2, cpu_time=0, service_time=0.3)
    np.testing.assert_allclose(ours, workers / 0.3, rtol=1e-14)


@pytest.mark.parametrize("cores", [1, 1.5, 4, 6.25])
def test_with_nothing_but_cpu_time_the_cores_are_the_limit(cores: float) -> None:
    workers = np.arange(1, 200)
    ours = shared_cores_throughput(workers=workers, cores=cores, cpu_time=0.3, service_time=0.3)
    np.testing.assert_allclose(ours, np.minimum(workers, cores) / 0.3, rtol=1e-13)


def test_workers_up_to_the_number_of_cores_do_not_slow_each_other_down() -> None:
    workers = np.arange(1, 17)
    ours = shared_cores_throughput(workers=workers, cores=16, cpu_time=0.2, service_time=0.3)
    np.testing.assert_allclose(ours, workers / 0.3, rtol=1e-14)


def test_more_workers_never_complete_less_and_never_exceed_either_bound() -> None:
    workers = np.arange(0, 600)
    for cores, share in ((1, 0.01), (2, 0.3), (2.5, 0.9), (40, 0.5), (128, 0.999)):
        ours = shared_cores_throughput(workers=workers, cores=cores, cpu_time=share, service_time=1.0)
        assert (np.diff(ours) >= -1e-14 * ours[1:]).all()
        assert (ours <= np.minimum(workers, cores / share) * (1 + 1e-14)).all()


@pytest.mark.parametrize(
    ("cores", "cpu_time", "expected"),
    [
        (2, 0.125, [16.0, 16.0, 16.0, 16.0, 16.0, 16.0]),
        (2.5, 0.125, [20.0, 20.0, 20.0, 20.0, 20.0, 20.0]),
        (2**52, 0.25, [2.0**54, 2.0**54, 2.0**54, 2.0**54, 2.0**54, 2.0**54]),
        (3, 2.0**-1000, [2.0**54, 2.0**55 - 256, 2.0**55, 2.0**55 + 256, 4e17, 4e300]),
    ],
)
def test_more_workers_than_can_be_counted_one_by_one_are_the_same_number_every_way(
    cores: float, cpu_time: float, expected: list[float]
) -> None:
    workers = np.array([2.0**52, 2.0**53 - 64, 2.0**53, 2.0**53 + 64, 1e17, 1e300])
    pool = {"cores": cores, "cpu_time": cpu_time, "service_time": 0.25}
    alone = [shared_cores_throughput(workers=n, **pool) for n in workers]
    np.testing.assert_allclose(alone, expected, rtol=1e-14)
    assert shared_cores_throughput(workers=workers[::-1], **pool)[::-1].tolist() == alone  # scattered
    for pools in (1, 60):  # grids, by columns and by rows
        many = {**pool, "cores": np.full(pools, float(cores))}
        down = shared_cores_throughput(workers=workers[:, None], **many)
        across = shared_cores_throughput(workers=workers, **many | {"cores": many["cores"][:, None]})
        assert down.T.tolist() == across.tolist() == [alone] * pools


@pytest.mark.parametrize(
    "change",
    [
        {"workers": -1}, {"workers": 2.5}, {"cores": -1}, {"cpu_time": -0.1}, {"service_time": -1},
        {"cpu_time": 0.6}, {"cores": math.nan}, {"cpu_time": math.nan},
    ],
)  # fmt: skip
def test_throughput_out_of_domain_is_nan(change: dict) -> None:
    case = {"workers": 4, "cores": 2, "cpu_time": 0.2, "service_time": 0.5} | change
    assert math.isnan(shared_cores_throughput(**case))


# --- The pool -----------------------------------------------------------------------------------------------------


def test_with_a_core_for_every_worker_the_pool_is_the_plain_queue() -> None:
    servers = np.array([1, 2, 5, 16])
    load = {"servers": servers, "service_time": 0.5, "arrival_rate": servers * 1.5}
    ours = shared_response_time(**load, cores=16, cpu_time=0.3)
    np.testing.assert_allclose(ours, mmc_response_time(**load), rtol=1e-12)


def test_one_core_and_nothing_but_cpu_is_one_server_whatever_the_workers() -> None:
    # The number in system is that of M/M/1, so the mean response is S / (1 - rho) with 1 or 100 workers.
    ours = shared_response_time(servers=[1, 3, 100], cores=1, cpu_time=0.5, service_time=0.5, arrival_rate=1.6)
    np.testing.assert_allclose(ours, np.full(3, 0.5 / 0.2), rtol=1e-12)


def test_more_workers_than_the_cores_can_feed_only_move_the_wait() -> None:
    case = {"cores": 2, "cpu_time": 0.65, "service_time": 0.65, "arrival_rate": 2.5}
    few, many = shared_response_time(servers=2, **case), shared_response_time(servers=60, **case)
    assert few == pytest.approx(many, rel=1e-11)
    assert shared_waiting_time(servers=60, **case) < 1e-3 * shared_waiting_time(servers=2, **case)


@pytest.mark.parametrize("factor", [1.0, 1.0000001, 3.0])
def test_a_pool_that_is_offered_more_than_it_completes_waits_for_ever(factor: float) -> None:
    case = {"servers": 6, "cores": 2, "cpu_time": 0.5, "service_time": 0.5}  # X(6) = 4 exactly
    load = case | {"arrival_rate": 4.0 * factor}
    assert shared_wait_probability(**load) == 1.0
    assert shared_waiting_time(**load) == math.inf
    assert shared_response_time(**load) == math.inf
    assert shared_response_time_quantile(0.5, **load) == math.inf
    assert shared_throughput(**load) == pytest.approx(4.0, rel=1e-14)
    assert shared_utilization(**load) == pytest.approx(1.0, rel=1e-14)


def test_an_idle_pool_serves_at_once() -> None:
    case = {"servers": 6, "cores": 2, "cpu_time": 0.2, "service_time": 0.5, "arrival_rate": 0}
    assert shared_wait_probability(**case) == 0.0
    assert shared_waiting_time(**case) == 0.0
    assert shared_throughput(**case) == 0.0
    assert shared_utilization(**case) == 0.0
    assert shared_response_time(**case) == pytest.approx(0.5, rel=1e-14)
    assert shared_response_time_quantile(0.9, **case) == pytest.approx(-0.5 * math.log(1 - 0.9), rel=1e-13)


@pytest.mark.parametrize("population", [1, 30, 138, 200])
def test_the_two_core_shop_is_bound_by_its_cores_however_many_workers_it_has(population: int) -> None:
    # 2 cores, 650 ms of CPU a page, 44.35 s of thinking: with 50 workers the cores still serve two at a time.
    people = {"population": population, "think_time": 44.35}
    plain = {"servers": 2, "service_time": 0.65} | people
    shop = {"servers": 50, "cores": 2, "cpu_time": 0.65, "service_time": 0.65} | people
    assert shared_finite_throughput(**shop) == pytest.approx(finite_throughput(**plain), rel=1e-12)
    assert shared_finite_response_time(**shop) == pytest.approx(finite_response_time(**plain), rel=1e-11)
    # The naive model gives every worker a core of its own: 50 servers, no contention.
    naive = finite_response_time(**(plain | {"servers": 50}))
    if population == 138:
        assert shared_finite_response_time(**shop) > 4 * naive


def test_users_who_all_have_a_worker_never_wait_but_share_the_cores() -> None:
    case = {"servers": 30, "cores": 2, "cpu_time": 0.2, "service_time": 0.5, "population": 30, "think_time": 2.0}
    assert shared_finite_wait_probability(**case) == 0.0
    assert shared_finite_waiting_time(**case) == 0.0
    # The whole is one closed network: CPU 0.2 s on 2 cores, everything else is a delay of 0.3 + 2 s.
    expected = finite_throughput(servers=2, population=30, think_time=2.3, service_time=0.2)
    assert shared_finite_throughput(**case) == pytest.approx(expected, rel=1e-12)
    assert shared_finite_response_time(**case) == pytest.approx(30 / expected - 2, rel=1e-11)


def test_users_who_do_not_think_keep_every_worker_busy() -> None:
    case = {"servers": 6, "cores": 2.5, "cpu_time": 0.2, "service_time": 0.5, "population": 20, "think_time": 0}
    throughput = shared_cores_throughput(workers=6, cores=2.5, cpu_time=0.2, service_time=0.5)
    assert shared_finite_throughput(**case) == pytest.approx(throughput, rel=1e-13)
    assert shared_finite_utilization(**case) == pytest.approx(1.0, rel=1e-13)
    assert shared_finite_wait_probability(**case) == 1.0
    assert shared_finite_waiting_time(**case) == pytest.approx(14 / throughput, rel=1e-13)
    assert shared_finite_response_time(**case) == pytest.approx(20 / throughput, rel=1e-13)


@pytest.mark.parametrize("workers", [7e4, 1e6, 3e7, 1e9])
@pytest.mark.parametrize(("cores", "think_time"), [(2, 2.0), (1.5, 2.0), (0.1, 2.0), (0.1, 0.0), (0.04, 1.0)])
def test_a_huge_pool_with_a_worker_for_every_user_is_one_closed_network(
    workers: float, cores: float, think_time: float
) -> None:
    cores = cores if cores >= 1 else cores * workers
    pool = {"servers": workers, "population": workers, "cores": cores, "cpu_time": 0.125, "service_time": 0.25}
    expected = shared_cores_throughput(workers=workers, cores=cores, cpu_time=0.125, service_time=0.25 + think_time)
    assert shared_finite_throughput(**pool, think_time=think_time) == pytest.approx(expected, rel=1e-10)
    busy = shared_finite_utilization(**pool, think_time=think_time) * workers
    assert busy == pytest.approx(workers - expected * think_time, rel=1e-9)
    # the same number alone and among others
    among = shared_finite_utilization(**pool | {"servers": [8.0, workers, 5e4]}, think_time=think_time)
    assert among[1] * workers == busy


def test_a_huge_open_pool_whose_cores_are_nearly_saturated_is_the_queue_for_its_cores() -> None:
    rate = np.array([8.0, 15.84, 15.9984])  # of 16
    ours = shared_response_time(servers=1e9, cores=2, cpu_time=0.125, service_time=0.25, arrival_rate=rate)
    expected = mmc_response_time(servers=2, service_time=0.125, arrival_rate=rate) + 0.125
    np.testing.assert_allclose(ours, expected, rtol=1e-10)


@pytest.mark.parametrize("quantity", [*MEANS, "response_time_quantile"])
def test_no_count_of_a_shared_pool_raises_or_takes_memory(quantity: str) -> None:
    counts = np.array([1e10, 2.0**53, 1e17, 1e300])
    p = (0.5,) if "quantile" in quantity else ()
    for cores in (-0.0, 1e-300, 2.0, 1e9, 1e299):
        pool = {"servers": counts[:, None], "cores": cores, "cpu_time": 1e-3, "service_time": 0.25}
        for think_time in (0.0, 1e300):
            function = getattr(queueing, f"shared_finite_{quantity}")
            value = function(*p, **pool, population=counts, think_time=think_time)
            assert value.shape == (4, 4)
        value = getattr(queueing, f"shared_{quantity}")(*p, **pool, arrival_rate=[0.0, 5.0, 1e300])
        assert value.shape == (4, 3)


def test_a_pool_without_cores_holds_its_requests_for_ever() -> None:
    pool = {"servers": 5, "cores": 0, "cpu_time": 0.125, "service_time": 0.25, "think_time": 2}
    users = {"population": [3, 5, 9, 1e15]}
    assert shared_finite_throughput(**pool, **users).tolist() == [0, 0, 0, 0]
    assert shared_finite_utilization(**pool, **users).tolist() == [0.6, 1, 1, 1]
    assert shared_finite_wait_probability(**pool, **users).tolist() == [0, 0, 1, 1]
    assert shared_finite_waiting_time(**pool, **users).tolist() == [0, 0, math.inf, math.inf]
    assert shared_finite_response_time(**pool, **users).tolist() == [math.inf] * 4
    assert shared_finite_response_time_quantile(0.5, **pool, **users).tolist() == [math.inf] * 4


def test_quantiles_at_zero_and_one_are_the_ends_of_the_law() -> None:
    pool = {"servers": 6, "cores": 2, "cpu_time": 0.2, "service_time": 0.5}
    for function, users in (
        (shared_response_time_quantile, {"arrival_rate": 5.0}),
        (shared_finite_response_time_quantile, {"population": 20, "think_time": 2.0}),
    ):
        assert function(0, **pool, **users) == 0.0
        assert function(1, **pool, **users) == math.inf
        for p in (-0.1, 1.0000001, math.nan):
            assert math.isnan(function(p, **pool, **users))


@pytest.mark.parametrize(
    "change",
    [
        {"servers": -1}, {"servers": 2.5}, {"cores": -1}, {"cpu_time": -0.1}, {"cpu_time": 0.6},
        {"service_time": -1}, {"arrival_rate": -1}, {"population": -1}, {"population": 2.5}, {"think_time": -1},
    ],
)  # fmt: skip
def test_a_pool_out_of_domain_is_nan(change: dict) -> None:
    pool = {"servers": 4, "cores": 2, "cpu_time": 0.2, "service_time": 0.5}
    for model, users in (
        ("shared", {"arrival_rate": 3.0}),
        ("shared_finite", {"population": 20, "think_time": 2.0}),
    ):
        if not set(change) <= set(pool | users):
            continue
        case = pool | users | change
        for quantity in MEANS:
            assert math.isnan(getattr(queueing, f"{model}_{quantity}")(**case)), (model, quantity)
        assert math.isnan(getattr(queueing, f"{model}_response_time_quantile")(0.5, **case)), model
