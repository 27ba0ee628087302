"""The memory of a sweep that keeps quantiles does not grow with its cells."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
import numpy as np
from benchmarks.machine import peak_memory
from capacity import Scenario, sweep
times = np.linspace(0.05, 0.5, int(sys.argv[1]))
axes = {"users": range(10, 1010, 10), "workers": range(1, 101), "service_time": times}
sweep(Scenario.example(), axes, quantity="response_time", quantiles=[0.05, 0.5, 0.95])
print(peak_memory())
"""


def peak_memory(service_times: int) -> int:
    """Bytes that a process takes for 10 000 cells for each of so many service times."""
    command = [sys.executable, "-c", PROGRAM, str(service_times)]
    return int(subprocess.run(command, capture_output=True, text=True, timeout=600, check=True, cwd=ROOT).stdout)


def test_memory_is_bounded() -> None:
    some, many = peak_memory(120), peak_memory(1200)  # a box has 2^19 cells: some two of them, and 23
    assert many < 300 * 2**20
    assert many - some < 32 * 2**20, (some, many)
