"""The documented command that holds the formulas against exact values runs, and holds: 1.5 s, few points."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_fresh_points_stay_below_what_is_claimed() -> None:
    command = [sys.executable, "-m", "benchmarks.accuracy", "--points", "20", "--seed"]
    root = Path(__file__).parents[1]
    done = subprocess.run([*command, "8"], cwd=root, stdout=subprocess.PIPE, text=True, timeout=300)
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("seed 8, 20 points")
    assert len(done.stdout.splitlines()) == 33  # each function in each of its regions
