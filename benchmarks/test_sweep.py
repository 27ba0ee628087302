"""A grid of a million cells by what is asked for, and ten million that only their quantiles are kept of."""

from __future__ import annotations

import pytest

from benchmarks.scenarios import grid
from capacity import Scenario, sweep

EXAMPLE = Scenario.example()


@pytest.mark.parametrize("quantity", ["utilization", "verdict", "response_time_p95"])
def test_cells(benchmark, quantity):
    benchmark.group = "sweep, a million cells"
    keywords = {"quantity": quantity}
    benchmark.pedantic(sweep, args=(EXAMPLE, grid(1_000_000)), kwargs=keywords, rounds=3, warmup_rounds=1)


@pytest.mark.parametrize("quantity", ["utilization", "response_time_p95"])
def test_quantiles(benchmark, quantity):
    benchmark.group = "sweep, ten million cells reduced to three quantiles"
    keywords = {"quantity": quantity, "quantiles": [0.05, 0.5, 0.95]}
    benchmark.pedantic(sweep, args=(EXAMPLE, grid(10_000_000)), kwargs=keywords, rounds=1)
