"""The least servers, the largest load and population that meet a target: 100 000 scenarios each."""

from __future__ import annotations

import pytest

import capacity.queueing as q
from benchmarks.scenarios import targets

CASES = targets(100_000)


@pytest.mark.parametrize("name", CASES)
def test_inverse(benchmark, name):
    benchmark.group = "inverses, 100 000 scenarios"
    benchmark.pedantic(getattr(q, name), kwargs=CASES[name], rounds=3, warmup_rounds=1)
