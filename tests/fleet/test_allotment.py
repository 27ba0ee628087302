"""The allotment against every other one: brute force over small hosts, with a second way to the levels."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from capacity import Fleet, allot_pools, queueing
from capacity.fleet.allotment import allot, levels_of

CLOSE = 2.0**-15  # levels are found to half of it


def steps(rng, pools):
    """Rising needs: the levels at which each pool wants its next worker."""
    return [np.cumsum(rng.exponential(0.2, 12)) for _ in range(pools)]


def needs_of(edges):
    def needs(level, rows):
        return np.array([1.0 + np.searchsorted(edges[row], height) for row, height in zip(rows, level, strict=True)])

    return needs


@pytest.mark.parametrize("seed", range(40))
def test_no_other_allotment_lifts_the_lowest_pool_or_then_the_next(seed):
    rng = np.random.default_rng(seed)
    pools = int(rng.integers(2, 5))
    edges = steps(rng, pools)
    taken = rng.integers(0, 5, (2, pools)).astype(float)
    taken[0] += 1
    available = taken.sum(axis=1) + rng.integers(0, 25, 2)
    workers = allot(needs_of(edges), taken, available, most=1.5, rank=np.arange(float(pools)))
    assert (taken @ workers <= available).all()

    def levels(counts):
        return sorted(min(float(edge[int(c) - 1]), 1.5) for edge, c in zip(edges, counts, strict=True))

    every = np.array([*product(range(1, 13), repeat=pools)], dtype=float)
    best = max(map(levels, every[(every @ taken.T <= available).all(axis=1)]))
    assert levels(workers) == pytest.approx(best, abs=CLOSE)


@pytest.mark.parametrize("seed", range(10))
def test_levels_are_where_the_next_worker_is_wanted(seed):
    edges = steps(np.random.default_rng(seed), 3)
    workers = np.array([2.0, 5.0, 9.0])
    expected = [min(float(edge[int(c) - 1]), 1.5) for edge, c in zip(edges, workers, strict=True)]
    assert levels_of(needs_of(edges), workers, 1.5) == pytest.approx(expected, abs=CLOSE)


def fleet(pools, **host):
    host = {"ram": 2**33, "reserved": 0, "cpus": 64} | host
    policy = {name: host.pop(name) for name in ("headroom", "process_max") if name in host}
    return Fleet.from_mapping({"host": host, "policy": policy, "pool": pools})


def pool(name, rate, service, memory, weight=1.0, late=3.0):
    return {
        "name": name,
        "weight": weight,
        "worker": {"memory": memory * 2**20, "database_connections": int(memory > 64)},
        "workload": {"service_time": service, "arrival_rate": rate},
        "objective": {"response_time": late * service, "percentile": 0.9, "max_utilization": 0.9},
    }


@pytest.mark.parametrize("seed", range(12))
def test_pools_get_the_best_allotment_that_brute_force_finds(seed):
    """Levels by the inverse formulas of M/M/c, which the allotment does not use."""
    rng = np.random.default_rng(seed)
    pools = [
        pool(name, rng.uniform(2, 25), rng.uniform(0.1, 0.4), int(rng.integers(32, 129)), float(rng.choice([1, 1, 3])))
        for name in ("a", "b", "c")
    ]
    ram = int(rng.integers(400, 1200)) * 2**20
    result = allot_pools(fleet(pools, ram=ram, database_connections=int(rng.integers(4, 12))))
    memory = [each["worker"]["memory"] for each in pools]
    connections = [each["worker"]["database_connections"] for each in pools]
    most = result.pools[0].pool.max_children + 12
    levels = []
    for each in pools:
        work, goal = each["workload"], each["objective"]
        counts = np.arange(1, most + 1)
        timely = queueing.arrival_rate_for_response_time_quantile(
            p=goal["percentile"],
            response_time=goal["response_time"],
            servers=counts,
            service_time=work["service_time"],
        )
        allowed = np.minimum(timely, 0.9 * counts / work["service_time"]) / work["arrival_rate"]
        factor = np.minimum(allowed, result.headroom)
        levels.append(np.where(factor < 1, factor ** each["weight"], factor ** (1 / each["weight"])))
    available = next(each.available for each in result.resources if each.name == "database")
    best = []
    for counts in product(*(range(1, min(most, ram // size) + 1) for size in memory)):
        if np.dot(counts, memory) <= ram and np.dot(counts, connections) <= available:
            best = max(best, sorted(float(row[count - 1]) for row, count in zip(levels, counts, strict=True)))
    ours = [float(row[share.pool.max_children - 1]) for row, share in zip(levels, result.pools, strict=True)]
    assert sorted(ours) == pytest.approx(best, abs=1e-4)
    for share, level in zip(result.pools, ours, strict=True):
        factor = level ** (1 / share.weight) if level < 1 else level**share.weight
        assert share.load_factor == pytest.approx(factor, rel=1e-3)  # a step of the level where it is low
