"""The whole decision: in a table of 100 000 hosts, with shared cores in one of 1000, and alone."""

from __future__ import annotations

import pytest

from benchmarks.scenarios import fleet
from capacity import Scenario, recommend, recommend_many

FLEETS = {
    "plain, 100 000 hosts": lambda: fleet(100_000),
    "with a response-time objective, 100 000 hosts": lambda: fleet(100_000, response_time=True),
    "with cpu_time, 1000 hosts": lambda: fleet(1000, cpu_time=True),
}


@pytest.mark.parametrize("hosts", FLEETS)
def test_recommend_many(benchmark, hosts):
    benchmark.group = "recommend_many"
    benchmark.pedantic(recommend_many, args=(FLEETS[hosts](),), rounds=3, warmup_rounds=1)


def test_recommend(benchmark):
    benchmark.group = "recommend"
    benchmark(recommend, Scenario.example())
