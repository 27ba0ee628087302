"""On what something was measured: versions and hardware."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

OURS = ("numpy", "scipy", "pydantic", "xarray")


def versions(distributions: Iterable[str] = OURS) -> dict[str, str]:
    """Versions of Python, of this package and of those distributions that are installed."""
    found = {"Python": platform.python_version()}
    for name in ("fpm-capacity", *distributions):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, object]:
    """Processor, cores and memory, as far as the system tells."""
    model, memory = platform.machine(), None
    with_name = [line for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    if with_name:
        model = with_name[0].partition(":")[2].strip()
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemTotal"):
            memory = int(line.split()[1]) * 1024
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory": memory,
        "simd": _widest(),
        "system": platform.system(),
    }


def peak_memory() -> int:
    """Most bytes that this process has held; getrusage would begin with those of the process it was forked from."""
    (line,) = (line for line in _lines("/proc/self/status") if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def _widest() -> str:
    """The widest instructions NumPy has found here; its speed at exp and log depends on them."""
    from numpy._core._multiarray_umath import __cpu_features__

    return next((name for name in ("AVX512_SKX", "AVX2", "ASIMD", "SSE42") if __cpu_features__.get(name)), "baseline")


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
