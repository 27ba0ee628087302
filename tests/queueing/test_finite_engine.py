"""The engines of the finite source and of shared cores: fresh exact points, the fitted table, memory, one path."""

from __future__ import annotations

import math
import random
import tracemalloc

import numpy as np
import pytest
from oracles import exact, fit_binomial, points
from oracles.exact import mp, mpf

from capacity import queueing
from capacity.queueing import _binomial_table, shared_cores_throughput

# Worst of 4000 fresh points: 1e-15 for throughput and utilization, 4e-13 for the others (where C is some 1e-280).
TOLERANCES = {
    "throughput": 1e-14,
    "utilization": 1e-14,
    "wait_probability": 1e-12,
    "waiting_time": 1e-12,
    "response_time": 1e-12,
}
CORES = 1e-14  # worst of 6000 fresh points: 8e-16
Point = tuple[int, int, float, float]


def fresh(rng: random.Random, size: int, most: int) -> list[Point]:
    """Servers, population, think time, service time: wide, critical, and about where the method changes."""
    found: list[Point] = []
    for _ in range(size):
        population = rng.choice((rng.randint(2, most), points.count(rng, 2, most)))
        servers = rng.choice(
            (
                rng.randint(1, population),
                rng.randint(1, population),
                1,
                population - 1,
                rng.randint(44, 52),
                population - rng.randint(44, 52),
            )
        )
        servers = min(max(servers, 1), population)
        service = points.log_uniform(rng, 1e-3, 10)
        critical = service * max(population / servers / rng.uniform(0.7, 1.3) - 1, 1e-3)
        think = rng.choice((critical, critical, service * points.log_uniform(rng, 1e-4, 1e6), 0.0))
        found.append((servers, population, think, service))
    return found


def columns(drawn: list[Point]) -> dict[str, np.ndarray]:
    names = ("servers", "population", "think_time", "service_time")
    return dict(zip(names, np.array(drawn, dtype=float).T, strict=True))


@pytest.mark.parametrize(("seed", "most", "size"), [(81, 300, 80), (82, 3000, 25)])
def test_fresh_points_are_met(seed: int, most: int, size: int) -> None:
    drawn = fresh(random.Random(seed), size, most)
    true = [exact.finite(*point) for point in drawn]
    for quantity, tolerance in TOLERANCES.items():
        ours = getattr(queueing, f"finite_{quantity}")(**columns(drawn))
        for row, (point, means) in enumerate(zip(drawn, true, strict=True)):
            value = means[quantity]
            floor = 1e-9 * point[3] if quantity == "waiting_time" else 1e-290
            if value > floor:
                assert abs(mpf(ours[row]) - value) <= tolerance * value, (quantity, *point)
            else:
                assert 0 <= ours[row] <= 2 * floor, (quantity, *point)


@pytest.mark.parametrize("servers", [1, 4, 19])
def test_a_weight_that_overflows_is_no_endless_wait(servers: int) -> None:
    # the states beyond c weigh some 1e308 of state c, their queue more than a double holds
    population = np.arange(600, 3000)[:, None]
    think = np.linspace(0.01, 0.7, 200) * population / servers
    ours = queueing.finite_waiting_time(servers=servers, population=population, think_time=think, service_time=1.0)
    np.testing.assert_allclose(ours, (population - servers) / servers - think, rtol=1e-10)


def test_the_table_is_as_good_between_the_points_it_was_fitted_to() -> None:
    h, w, t, s, scale = fit_binomial.samples(3, 3, 9)
    made = sum(
        coefficient * h ** (2 * j + parity) * w**k * t ** (2 * power + 1 - parity)
        for parity, table in ((1, _binomial_table.ODD), (0, _binomial_table.EVEN))
        for k, row in enumerate(table)
        for j, coefficients in enumerate(row)
        for power, coefficient in enumerate(coefficients)
    )
    assert (np.abs(made - s) <= 6e-15 * scale).all()


@pytest.mark.parametrize("size", [1, 2, 7, 9, 17, 39, 120, 4097])
def test_a_row_knows_nothing_of_its_neighbours(size: int) -> None:
    drawn = fresh(random.Random(83 + size), size, 3000)
    some = random.Random(84).sample(range(size), min(size, 40))
    for quantity in TOLERANCES:
        function = getattr(queueing, f"finite_{quantity}")
        together = function(**columns(drawn))
        for row in some:
            servers, population, think, service = drawn[row]
            alone = function(servers=servers, population=population, think_time=think, service_time=service)
            assert alone == together[row], (quantity, *drawn[row])


def pools(rng: random.Random, size: int) -> dict[str, np.ndarray]:
    """Whole and fractional cores, some of them no pools; all shares of CPU time."""
    service = [points.log_uniform(rng, 1e-3, 10) for _ in range(size)]
    share = [rng.choice((rng.random(), points.log_uniform(rng, 1e-6, 1), 1.0, 0.0, 1 - 1e-9)) for _ in range(size)]
    cores = [rng.choice((rng.randint(1, 128), rng.randint(1, 8), rng.uniform(0, 9), 0)) for _ in range(size)]
    cores[-1] = -1.0
    return {
        "cores": np.array(cores, dtype=float),
        "cpu_time": np.array([s * x for s, x in zip(service, share, strict=True)]),
        "service_time": np.array(service),
    }


@pytest.mark.parametrize("size", [3, 40])
@pytest.mark.parametrize("workers", [np.arange(1, 201), np.array([0, 5, 64, 65, 128, 129, 300])], ids=["all", "some"])
def test_a_grid_a_list_and_a_number_are_one(size: int, workers: np.ndarray) -> None:
    pool = pools(random.Random(85), size)
    down = shared_cores_throughput(workers=workers[:, None], **pool)
    across = shared_cores_throughput(workers=workers, **{name: values[:, None] for name, values in pool.items()})
    inside = shared_cores_throughput(
        workers=workers[:, None], **{name: values[:, None, None] * np.ones(2) for name, values in pool.items()}
    )
    one_by_one = {name: np.tile(values, workers.size) for name, values in pool.items()}
    scattered = shared_cores_throughput(workers=np.repeat(workers, size), **one_by_one).reshape(down.shape)
    assert across.flags.c_contiguous
    assert down.flags.c_contiguous
    for other in (across.T, scattered, inside[..., 0].T, inside[..., 1].T):
        np.testing.assert_array_equal(down, other)
    for row, column in ((0, 0), (1, size // 2), (workers.size - 1, size - 2), (workers.size - 1, 0)):
        one = {name: float(values[column]) for name, values in pool.items()}
        assert shared_cores_throughput(workers=int(workers[row]), **one) == down[row, column]


@pytest.mark.parametrize("workers", [[3, 2, 1], [2, 2, 5], [1, 2.5], [-1, 4], [1, math.nan], [1, math.inf]], ids=str)
def test_what_is_no_grid_is_taken_as_it_comes(workers: list[float]) -> None:
    pool = pools(random.Random(86), 20)
    ours = shared_cores_throughput(workers=np.array(workers)[:, None], **pool)
    for row, n in enumerate(workers):
        np.testing.assert_array_equal(ours[row], shared_cores_throughput(workers=np.full(20, n), **pool))


def test_every_number_of_workers_meets_exact_values() -> None:
    rng = random.Random(87)
    with mp.workdps(40):
        for cores in (1, 3, 60, 128):
            for share in (
                points.log_uniform(rng, 1e-6, 0.1),
                rng.uniform(0.1, 0.9),
                1 - points.log_uniform(rng, 1e-9, 0.1),
            ):
                true = exact.shared_cores_throughputs(200, cores, share, 1.0)
                ours = shared_cores_throughput(workers=np.arange(1, 201), cores=cores, cpu_time=share, service_time=1.0)
                error = max(abs(mpf(x) / y - 1) for x, y in zip(ours.tolist(), true[1:], strict=True))
                assert error < CORES, (cores, share)


def test_many_scenarios_need_no_more_memory_than_a_block() -> None:
    rng = np.random.default_rng(88)
    size = 200_000
    case = {
        "servers": rng.integers(1, 300, size),
        "population": rng.integers(1, 3000, size),
        "think_time": rng.uniform(0.1, 20, size),
        "service_time": rng.uniform(0.1, 2, size),
    }
    pool = {"cores": rng.integers(1, 128, 8000), "cpu_time": rng.random(8000), "service_time": 1.0}
    for function, inputs in (
        (queueing.finite_waiting_time, case),
        (shared_cores_throughput, {"workers": np.arange(1, 101)[:, None]} | pool),
    ):
        tracemalloc.start()
        answer = function(**inputs)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < answer.nbytes + 12e6, function.__name__
