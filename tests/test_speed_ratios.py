"""Nothing becomes twice as slow unnoticed: ratios within one run hold on any machine and beside other work.

``benchmarks/ratios.py`` measures them, 5 s of processor time, in a process of its own that no coverage slows down.
A bound is the promise of the documentation where there is one, else twice what was measured on the machine that
docs/reference/benchmarks.md names.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BOUNDS = {
    # in evaluations of Erlang C by the textbook form
    "erlang_c": 0.5,
    "erlang_c_grid": 0.04,
    "servers_for_wait_probability": 6,
    "servers_for_waiting_time_quantile": 5,
    "servers_for_response_time_quantile": 9,
    "arrival_rate_for_wait_probability": 17,
    "arrival_rate_for_waiting_time_quantile": 17,
    "arrival_rate_for_response_time_quantile": 45,
    "population_for_wait_probability": 40,
    "population_for_response_time_quantile": 155,
    "recommend_many": 50,
    "finite_throughput": 3.7,
    "finite_utilization": 3.7,
    "finite_wait_probability": 3.7,
    "finite_waiting_time": 3.7,
    "finite_response_time": 3.7,
    "shared_cores_throughput": 0.115,
    "sweep": 3.4,
    # in requests of a heap in a loop
    "replay, utilization 0.95": 0.9,
    "replay, utilization 0.5": 0.25,
    "recommend": 16_000,
    # in times of importing numpy, scipy.special and pydantic
    "import capacity": 0.15,
    "capacity --help": 0.35,
    "capacity recommend": 2.0,
}


@pytest.fixture(scope="module")
def ratios() -> dict[str, float]:
    # a dask cluster in the same test process leaves settings of malloc behind that make small arrays twice as slow
    left_out = ("COV_", "COVERAGE", "MALLOC_")
    plain = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    command = [sys.executable, "-m", "benchmarks.ratios"]
    done = subprocess.run(command, cwd=ROOT, env=plain, stdout=subprocess.PIPE, text=True, check=True, timeout=300)
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", BOUNDS)
def test_a_ratio_is_within_its_bound(ratios: dict[str, float], name: str) -> None:
    assert ratios[name] < BOUNDS[name]


def test_every_ratio_has_a_bound(ratios: dict[str, float]) -> None:
    assert ratios.keys() == BOUNDS.keys()
