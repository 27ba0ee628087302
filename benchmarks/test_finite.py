"""M/M/c//N by region and workers that share cores, beside the textbook form; grids of cores beside writing an array."""

from __future__ import annotations

import numpy as np
import pytest

import capacity.queueing as q
from benchmarks import textbook
from benchmarks.scenarios import FINITE, FINITE_SOURCES, finite_source, shared_cores

SIZE, STATES = 200_000, np.arange(1.0, 501.0)
FORMULAS = {"textbook": textbook.finite_source, **{name: getattr(q, name) for name in FINITE}}


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("region", FINITE_SOURCES)
def test_finite_source(benchmark, region, formula):
    benchmark.group = f"M/M/c//N, {SIZE} scenarios, {region}"
    benchmark.pedantic(FORMULAS[formula], kwargs=finite_source(region, SIZE), rounds=3, warmup_rounds=1)


@pytest.mark.parametrize("form", ["write", "a row a state", "a row a pool"])
@pytest.mark.parametrize("pools", [100, 1000, 20_000])
def test_shared_cores_grid(benchmark, pools, form):
    benchmark.group = f"X(1) to X(500) of {pools} pools"
    given = shared_cores(pools)
    if form == "write":
        benchmark(np.full, (STATES.size, pools), 0.5)
    elif form == "a row a state":
        benchmark(q.shared_cores_throughput, workers=STATES[:, None], **given)
    else:
        tall = {name: column[:, None] for name, column in given.items()}
        benchmark(q.shared_cores_throughput, workers=STATES, **tall)


@pytest.mark.parametrize("form", ["textbook", "shared_cores_throughput"])
def test_shared_cores_scattered(benchmark, form):
    benchmark.group = f"X of {SIZE} scattered points, up to 500 workers"
    given = shared_cores(SIZE)
    workers = np.random.default_rng(6).integers(1, 501, SIZE).astype(np.float64)
    if form == "textbook":
        cores, cpu, whole = given.values()
        benchmark.pedantic(textbook.finite_source, args=(cores, workers, whole - cpu, cpu), rounds=3, warmup_rounds=1)
    else:
        keywords = {"workers": workers, **given}
        benchmark.pedantic(q.shared_cores_throughput, kwargs=keywords, rounds=3, warmup_rounds=1)
