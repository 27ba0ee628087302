"""Erlang B and C: scattered scenarios by region beside the textbook form, grids beside writing an array."""

from __future__ import annotations

import numpy as np
import pytest

import capacity.queueing as q
from benchmarks import textbook
from benchmarks.scenarios import scattered

SIZE = 1_000_000
REGIONS = {
    "c 1..1000, utilization .1...99": ((1, 1000), (0.1, 0.99)),
    "c 1..31, utilization .1...99": ((1, 31), (0.1, 0.99)),
    "c 1e3..1e6, utilization .9...999": ((1000, 1_000_000), (0.9, 0.999)),
    "c 1..1000, utilization .5..1.5": ((1, 1000), (0.5, 1.5)),
}
FORMULAS = {
    "textbook": textbook.erlang_c,
    "erlang_b": lambda c, a: q.erlang_b(servers=c, offered_load=a),
    "erlang_c": lambda c, a: q.erlang_c(servers=c, offered_load=a),
}


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("region", REGIONS)
def test_scattered(benchmark, region, formula):
    benchmark.group = f"Erlang, a million scenarios, {region}"
    benchmark.pedantic(FORMULAS[formula], args=scattered(SIZE, *REGIONS[region]), rounds=3, warmup_rounds=1)


@pytest.mark.parametrize("form", ["write", "erlang_c_grid"])
@pytest.mark.parametrize(("loads", "most"), [(100_000, 100), (10_000, 1000), (100, 1000), (1, 1_000_000)])
def test_grid(benchmark, loads, most, form):
    benchmark.group = f"Erlang C for every count up to {most}, {loads} loads"
    a = np.random.default_rng(1).uniform(0.1, 0.99, loads) * most
    if form == "write":
        benchmark(np.full, (loads, most), 0.5)
    else:
        benchmark(q.erlang_c_grid, max_servers=most, offered_load=a)
