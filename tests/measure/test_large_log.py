"""A log of 50 MB: every line read once, in little memory. The one of 1 GB: ``python -m benchmarks.access_log``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.access_log import write_log

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("form", ["wanted", "nginx"])
def test_every_line_of_a_large_log_is_read_in_bounded_memory(form: str, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    written = write_log(path, 50, form)
    command = [sys.executable, "-m", "benchmarks.access_log", "--format", form, "--read", str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300, cwd=ROOT)
    found = json.loads(done.stdout)
    assert path.stat().st_size > 45_000_000
    assert found["requests"] == written
    assert found["noise"] == 0
    assert found["peak_memory"] < 200e6
