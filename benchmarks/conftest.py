"""Results carry the versions and the hardware they were measured with."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.machine import hardware, versions


def pytest_report_header() -> str:
    """Say it above the tables, too."""
    return "measured with " + ", ".join(f"{name} {value}" for name, value in (versions() | hardware()).items())


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    """Add to what ``--benchmark-json`` writes."""
    machine_info["versions"], machine_info["hardware"] = versions(), hardware()
