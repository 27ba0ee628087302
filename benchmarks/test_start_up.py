"""From nothing to the answer, beside what computing has to load in any case."""

from __future__ import annotations

import pytest

from benchmarks.timing import STARTS, start


@pytest.mark.parametrize("name", STARTS)
def test_start(benchmark, name):
    benchmark.group = "start-up"
    benchmark.pedantic(start, args=(STARTS[name],), rounds=7, warmup_rounds=1)
