"""Predictions beside a real pool, in 45 seconds: the part of ``benchmarks.fidelity`` that noise allows to assert.

Errors are relative to what was measured. Where the generator says by how late it was itself that the machine was
disturbed, the run is repeated, and if that is disturbed too, only what is plainly wrong fails.
"""

from __future__ import annotations

import os

import pytest

from benchmarks.fidelity.__main__ import run
from benchmarks.fidelity.calibration import Calibration, calibrate
from benchmarks.fidelity.cases import Case, quick
from benchmarks.fidelity.site import find
from benchmarks.fidelity.table import error, line

from .conftest import missing

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="nginx has to reach the socket of www-data's workers"),
]

# which prediction, which figure, the largest error, and the one of a disturbed machine
USERS = [
    ("inputs", "throughput", 0.05, 0.15),
    ("inputs", "busy_workers", 0.05, 0.15),
    ("own", "throughput", 0.02, 0.10),
    ("own", "busy_workers", 0.02, 0.10),
    ("own", "response_time", 0.05, 0.40),
    ("own", "response_time_p95", 0.10, 0.50),
]
STREAM = [
    ("own", "throughput", 0.02, 0.10),
    ("own", "busy_workers", 0.02, 0.10),
    ("replay", "busy_workers", 0.05, 0.15),
    ("replay", "response_time", 0.05, 0.40),
    ("replay", "response_time_p95", 0.05, 0.50),
]


@pytest.fixture(scope="module")
def machine(php_fpm: str) -> Calibration:
    if find("nginx") is None:
        missing("nginx is not installed: apt-get install nginx-light")
    return calibrate(1.5, brief=True)


@pytest.mark.parametrize("case", quick()[::2], ids=lambda case: case.name)
def test_a_real_pool_does_what_is_predicted(case: Case, machine: Calibration) -> None:
    result = run(case, machine)
    if result["disturbed"]:
        result = run(case, machine)
    bounds = USERS if case.kind == "closed" else STREAM
    for source, figure, usual, disturbed in bounds:
        allowed = disturbed if result["disturbed"] else usual
        assert abs(error(result, source, figure)) <= allowed, (source, figure, line(result))
    assert result["measured"]["failed"] == 0
