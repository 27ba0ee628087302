"""Limits a control group sets on another process: memory and CPU, cgroup v1, v2 and both at once.

psutil reports the machine. The limit may sit on the service unit, on its slice or on the container, so
every level from the process's own group up to the root is looked at and the tightest one counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

__all__ = ["Limit", "cpu_limit", "memory_in_use", "memory_limit"]

# v1 writes "no limit" as the largest page-aligned long, just below 2**63; no machine has an exbibyte.
_UNLIMITED = 1 << 60


@dataclass(frozen=True)
class Limit:
    """One limit and the group that sets it.

    Parameters
    ----------
    value : float
        Bytes, or CPU cores.
    file : Path
        The control file it was read from, below ``root``.
    """

    value: float
    file: Path


def memory_limit(pid: int, *, root: Path = Path("/")) -> Limit | None:
    """Find the tightest memory limit on a process [byte].

    Parameters
    ----------
    pid : int
        The process, mostly the FPM master.
    root : Path
        Where ``proc`` and ``sys`` are looked for.

    Returns
    -------
    Limit or None
        None without a limit. ``memory.high`` counts like ``memory.max``: above it the kernel
        throttles the group until it gives memory back.
    """
    limits = [
        Limit(value, directory / name)
        for directory in _levels(pid, "memory", root)
        for name in ("memory.max", "memory.high", "memory.limit_in_bytes")
        if (value := _number(directory / name)) is not None and 0 < value < _UNLIMITED
    ]
    return min(limits, key=lambda limit: limit.value, default=None)


def cpu_limit(pid: int, *, root: Path = Path("/")) -> Limit | None:
    """Find the tightest CPU quota on a process [cores].

    Parameters
    ----------
    pid : int
    root : Path

    Returns
    -------
    Limit or None
        ``quota / period``, often a fraction; None without a quota.
    """
    limits = []
    for directory in _levels(pid, "cpu", root):
        words = _text(directory / "cpu.max").split()
        if len(words) == 2:
            quota, period, name = _as_number(words[0]), _as_number(words[1]), "cpu.max"
        else:
            name = "cpu.cfs_quota_us"
            quota, period = _number(directory / name), _number(directory / "cpu.cfs_period_us")
        if quota is not None and period is not None and quota > 0 and period > 0:
            limits.append(Limit(quota / period, directory / name))
    return min(limits, key=lambda limit: limit.value, default=None)


def memory_in_use(limit: Limit) -> int | None:
    """Memory the limiting group uses and cannot simply drop [byte].

    Parameters
    ----------
    limit : Limit

    Returns
    -------
    int or None
        Usage less the page cache on the file lists, which the kernel gives up under pressure (shared
        memory is not on them); None if unreadable.
    """
    directory = limit.file.parent
    usage = _number(directory / "memory.current")
    prefix = ""
    if usage is None:
        usage, prefix = _number(directory / "memory.usage_in_bytes"), "total_"
    if usage is None:
        return None
    stat = dict(line.split()[:2] for line in _text(directory / "memory.stat").splitlines() if " " in line)
    cache = sum(int(stat.get(f"{prefix}{name}", 0)) for name in ("active_file", "inactive_file"))
    return max(0, int(usage) - cache)


def _levels(pid: int, controller: str, root: Path) -> Iterator[Path]:
    """Yield the process's group and every group above it, in each hierarchy that may limit it."""
    mount = root / "sys/fs/cgroup"
    for line in _text(root / f"proc/{pid}/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if number == "0" and not controllers:
            bases = [mount, mount / "unified"]
        elif controller in controllers.split(","):
            bases = [mount / controllers, mount / controller]
        else:
            continue
        # "0::/" of a hybrid system has no controller files at either base; reading them gives nothing.
        for base in dict.fromkeys(bases):
            yield from _upwards(base, group)


def _upwards(base: Path, group: str) -> Iterator[Path]:
    parts = PurePosixPath(group).parts[1:]
    # "/.." is a group outside our cgroup namespace; the mount's own root is all that can be seen.
    if ".." in parts:
        parts = ()
    for depth in range(len(parts), -1, -1):
        yield base.joinpath(*parts[:depth])


def _number(path: Path) -> float | None:
    return _as_number(_text(path).strip())


def _as_number(text: str) -> float | None:
    try:
        return int(text)
    except ValueError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
