"""What the host has for FPM: memory, what of it others use, CPU cores, and room for requests that wait.

The first three are read for a given process, the FPM master, because its control group and CPU affinity may be
tighter than ours and than the machine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import psutil

from capacity.errors import MeasurementError
from capacity.measure.cgroup import cpu_limit, memory_in_use, memory_limit
from capacity.scenario import Source
from capacity.units import format_bytes

__all__ = ["Measured", "measure_cpus", "measure_ram", "measure_reserved", "measure_somaxconn"]

_ROOT = Path("/")


@dataclass(frozen=True)
class Measured:
    """A measured value and where it comes from.

    Parameters
    ----------
    value : float
        In SI: bytes, cores.
    source : Source
        What was counted, how many samples, and the range.
    upper_bound : bool
        True if the true value is likely lower, and ``source`` says why.

    Examples
    --------
    >>> Measured(4, Source(source="affinity")).value
    4
    """

    value: float
    source: Source
    upper_bound: bool = False


def measure_ram(pid: int, *, root: Path = _ROOT) -> Measured:
    """Memory FPM could have [byte]: the machine's, or less where a control group says so.

    Parameters
    ----------
    pid : int
        The FPM master.
    root : Path
        Where ``proc`` and ``sys`` are looked for; the machine's total always comes from psutil.

    Returns
    -------
    Measured

    Examples
    --------
    >>> import os
    >>> measure_ram(os.getpid()).value > 0
    True
    """
    total = psutil.virtual_memory().total
    limit = memory_limit(pid, root=root)
    if limit is None or limit.value >= total:
        return Measured(total, Source(source="memory of the machine (psutil); no tighter cgroup limit", samples=1))
    text = f"{_shown(limit.file, root)}, tighter than the machine's {format_bytes(total)}"
    return Measured(int(limit.value), Source(source=text, samples=1))


def measure_reserved(
    pid: int, *, fpm_memory: int, counted: str, upper_bound: bool = False, root: Path = _ROOT
) -> Measured:
    """Memory in use by everything but the pool [byte].

    Parameters
    ----------
    pid : int
        The FPM master.
    fpm_memory : int
        What of the memory in use is the pool's [byte].
    counted : str
        How ``fpm_memory`` was counted, for the source text.
    upper_bound : bool
        True if ``fpm_memory`` may be too small.
    root : Path

    Returns
    -------
    Measured
        ``total - available - fpm_memory``, not below 0. Where a control group of L bytes binds on a
        machine of M, the larger of what others use inside that group and of what the rest of the
        machine takes out of it, ``total - available - fpm_memory - (M - L)``.
    """
    memory = psutil.virtual_memory()
    others = max(0, memory.total - memory.available - fpm_memory)
    text = f"total - available (psutil) - {counted}"
    limit = memory_limit(pid, root=root)
    if limit is not None and limit.value < memory.total:
        inside = memory_in_use(limit)
        outside = max(0, others - int(memory.total - limit.value))
        if inside is not None and inside - fpm_memory >= outside:
            others = max(0, inside - fpm_memory)
            text = f"use of {_shown(limit.file.parent, root)} without page cache - {counted}"
        else:
            others = outside
            text += f", less what lies outside the limit {_shown(limit.file, root)}"
    return Measured(others, Source(source=text, samples=1), upper_bound)


def measure_cpus(pid: int, *, root: Path = _ROOT) -> Measured:
    """CPU cores FPM may use [-]: the fewest of its affinity and its control group's quota.

    Parameters
    ----------
    pid : int
        The FPM master.
    root : Path
        Where ``proc`` and ``sys`` are looked for.

    Returns
    -------
    Measured
        A fraction where a quota says so.

    Raises
    ------
    MeasurementError
        If not even the number of cores of the machine can be read.

    Examples
    --------
    >>> import os
    >>> measure_cpus(os.getpid()).value > 0
    True
    """
    allowed = _allowed_cpus(pid, root)
    text = "CPU affinity of the FPM master"
    if allowed is None:
        allowed, text = psutil.cpu_count(), "cores of the machine (psutil); the affinity could not be read"
    if allowed is None:
        message = "the number of CPU cores cannot be read"
        raise MeasurementError(message)
    quota = cpu_limit(pid, root=root)
    if quota is not None and quota.value < allowed:
        return Measured(quota.value, Source(source=f"{_shown(quota.file, root)}, below {allowed} cores", samples=1))
    return Measured(allowed, Source(source=f"{text}; no tighter cgroup quota", samples=1))


def measure_somaxconn(*, root: Path = _ROOT) -> Measured | None:
    """Most requests the kernel lets wait in one accept queue [-]; None where it does not say.

    Parameters
    ----------
    root : Path
        Where ``proc`` is looked for. The value is that of our network namespace, which a container may not share.

    Returns
    -------
    Measured or None

    Examples
    --------
    >>> most = measure_somaxconn()
    >>> most is None or most.value >= 1
    True
    """
    try:
        value = int((root / "proc/sys/net/core/somaxconn").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return Measured(value, Source(source="/proc/sys/net/core/somaxconn", samples=1))


def _allowed_cpus(pid: int, root: Path) -> int | None:
    """Count ``Cpus_allowed_list``, such as ``0-3,8``: what sched_getaffinity says, cpusets included."""
    try:
        status = (root / f"proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    match = re.search(r"^Cpus_allowed_list:\s*([0-9,-]+)\s*$", status, re.MULTILINE)
    if match is None:
        return None
    ranges = re.findall(r"([0-9]+)(?:-([0-9]+))?", match.group(1))
    return sum(int(last or first) - int(first) + 1 for first, last in ranges)


def _shown(path: Path, root: Path) -> str:
    return f"/{path.relative_to(root)}"
