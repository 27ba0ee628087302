"""Measure a running pool: the memory of a worker at a request's peak, and what all share.

How one process is counted, and which workers count, is in ``capacity.measure.usage``. Shared memory is the
PSS of master and children less the private memory of the children: every shared page once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from capacity.errors import MeasurementError
from capacity.measure.host import Measured, measure_cpus, measure_ram, measure_reserved, measure_somaxconn
from capacity.measure.neighbours import Neighbour, measure_neighbours, page_cache_floor, swap
from capacity.measure.processes import Master, find_masters, master_of
from capacity.measure.usage import WORKED_CPU_TIME, Usage, read_usage
from capacity.scenario import Source
from capacity.units import format_bytes

__all__ = ["PoolMeasurement", "measure_pool", "shared_memory", "worker_memory"]

# Largest of up to 20 workers; of more, one that met a rare giant request does not set the size of all.
_QUANTILE = 0.95
# Every script reserves one chunk of this size; workers that never filled it have served next to nothing.
_CHUNK = 2 << 20
_NAMED = 4


@dataclass(frozen=True)
class PoolMeasurement:
    """What one look at a running pool tells; None where it could not be told, and a note why.

    Parameters
    ----------
    pool : str
    master_pid : int
    config : str
        The master's configuration file.
    ram, reserved, cpus, somaxconn : Measured or None
        For ``Host`` [byte, byte, cores, -].
    worker_memory, shared_memory : Measured or None
        For ``Worker`` [byte].
    workers_seen : int
        Workers of this pool, whether they count or not.
    notes : tuple of str
    """

    pool: str
    master_pid: int
    config: str
    ram: Measured | None
    reserved: Measured | None
    cpus: Measured | None
    somaxconn: Measured | None
    worker_memory: Measured | None
    shared_memory: Measured | None
    workers_seen: int
    notes: tuple[str, ...] = ()

    @property
    def values(self) -> dict[str, Measured]:
        """What is known, by the name of the scenario's field."""
        named = {
            "host.ram": self.ram,
            "host.reserved": self.reserved,
            "host.cpus": self.cpus,
            "host.somaxconn": self.somaxconn,
            "worker.memory": self.worker_memory,
            "worker.shared_memory": self.shared_memory,
        }
        return {name: value for name, value in named.items() if value is not None}


def measure_pool(
    pool_name: str, *, config_path: str | None = None, master_pid: int | None = None
) -> PoolMeasurement | None:
    """Measure a running pool and its host.

    Parameters
    ----------
    pool_name : str
    config_path : str, optional
        The pool's file, to tell apart masters that run pools of the same name.
    master_pid : int, optional
        The master that is meant, where that is known already.

    Returns
    -------
    PoolMeasurement or None
        None if no master runs such a pool.

    Raises
    ------
    MeasurementError
        If processes are hidden from us, or several masters run the pool and nothing tells which is meant.

    Notes
    -----
    Best as root: others may not read the mappings of FPM's workers, not even the user they run as; the
    worker's memory is then an upper bound with the shared pages counted in.

    Examples
    --------
    >>> measure_pool("no such pool") is None
    True
    """
    masters = find_masters()
    if master_pid is not None:
        masters = tuple(master for master in masters if master.pid == master_pid)
    master, chosen = master_of(pool_name, masters, config_path)
    if master is None:
        return None
    notes = list(chosen)
    own = read_usage(master.pid)
    used = {child.pid: usage for child in master.children if (usage := read_usage(child.pid)) is not None}
    workers = [child.pid for child in master.children if child.pool == pool_name]
    usages = [used[pid] for pid in workers if pid in used]
    if len(usages) < len(workers):
        notes.append(f"{len(workers) - len(usages)} of {len(workers)} workers ended or could not be read")
    memory = _noted(notes, "worker.memory", worker_memory(usages))
    shared = _noted(notes, "worker.shared_memory", shared_memory(own, list(used.values())))
    if memory is not None and memory.value < _CHUNK:
        notes.append(
            f"worker.memory of {format_bytes(memory.value)} is less than PHP reserves for any script: these "
            "workers have served next to nothing; measure again under real traffic"
        )
    ram, cpus, reserved = _host(master, own, usages, list(used.values()), notes)
    return PoolMeasurement(
        pool_name,
        master.pid,
        master.config,
        ram,
        reserved,
        cpus,
        measure_somaxconn(),
        memory,
        shared,
        len(workers),
        tuple(notes),
    )


def worker_memory(usages: Sequence[Usage]) -> Measured | str:
    """Private memory of a worker at a request's peak [byte].

    Parameters
    ----------
    usages : sequence of Usage
        The pool's workers.

    Returns
    -------
    Measured or str
        The 0.95 quantile (the largest of up to 20) over the workers that have run scripts; or why it is unknown.

    Examples
    --------
    >>> MIB = 1 << 20
    >>> busy = Usage(cpu_time=9, rss=12 * MIB, peak_rss=44 * MIB, mapped_rss=12 * MIB, private=MIB, pss=2 * MIB)
    >>> worker_memory([busy]).value == 33 * MIB
    True
    >>> worker_memory([])
    'no worker is running (an ondemand pool at rest?)'
    """
    if not usages:
        return "no worker is running (an ondemand pool at rest?)"
    worked = [usage for usage in usages if usage.worked]
    if not worked:
        return (
            f"none of the {len(usages)} workers has run more than {WORKED_CPU_TIME * 1000:.0f} ms of PHP yet; "
            "idle workers say nothing about requests"
        )
    private = [usage.private_peak for usage in worked]
    exact = [peak for peak in private if peak is not None]
    peaks = sorted(exact if len(exact) == len(worked) else [usage.peak_rss for usage in worked])
    value = peaks[math.ceil(_QUANTILE * len(peaks)) - 1]
    idle = f"; {len(usages) - len(worked)} that have run none left out" if len(worked) < len(usages) else ""
    if len(exact) == len(worked):
        text = f"private memory at the high-water mark of {len(worked)} workers that have run scripts{idle}"
    else:
        text = f"upper bound: high-water mark of RSS, shared pages counted in (not root), {len(worked)} workers{idle}"
    source = Source(source=text, samples=len(peaks), low=peaks[0], high=peaks[-1])
    return Measured(value, source, upper_bound=len(exact) < len(worked))


def shared_memory(master: Usage | None, children: Sequence[Usage]) -> Measured | str:
    """Memory all processes of a master share, counted once [byte].

    Parameters
    ----------
    master : Usage or None
    children : sequence of Usage
        Of all its pools.

    Returns
    -------
    Measured or str
        PSS of master and children less the private memory of the children; 0 where that may not be
        read, because the workers' upper bound then has the shared pages in it.
    """
    if master is None:
        return "the master ended or could not be read"
    total = _total_pss([master, *children])
    if total is None:
        text = "0: not root, so shared pages are counted in worker.memory instead"
        return Measured(0, Source(source=text, samples=1 + len(children)))
    private = sum(usage.private or 0 for usage in children)
    text = f"PSS of the master and {len(children)} children less the children's private memory"
    return Measured(max(0, total - private), Source(source=text, samples=1 + len(children)))


def _total_pss(usages: Sequence[Usage]) -> int | None:
    known = [usage.pss for usage in usages if usage.pss is not None]
    return sum(known) if len(known) == len(usages) else None


def _host(
    master: Master, own: Usage | None, workers: Sequence[Usage], children: Sequence[Usage], notes: list[str]
) -> tuple[Measured | None, Measured | None, Measured | None]:
    family = [usage for usage in (own, *children) if usage is not None]
    total = _total_pss(family) if own is not None else None
    if total is None:
        # The pages of a union are at least those of its largest member; more cannot be told.
        counted = "the RSS of FPM's largest process (its PSS may not be read: an upper bound)"
        fpm_memory = max((usage.rss for usage in family), default=0)
    else:
        # Other pools of the same master are not this pool's memory; what they share with it is.
        others = sum(usage.private or 0 for usage in children) - sum(usage.private or 0 for usage in workers)
        fpm_memory = total - others
        counted = "PSS of the FPM master and its children"
        if others:
            counted += f" (private memory of its other pools, {format_bytes(others)}, stays in)"
    try:
        ram, cpus = measure_ram(master.pid), measure_cpus(master.pid)
        reserved = measure_reserved(master.pid, fpm_memory=fpm_memory, counted=counted, upper_bound=total is None)
        floor = page_cache_floor(ram.value)
        neighbours = measure_neighbours({master.pid, *(child.pid for child in master.children)})
        swapped = swap().sentence
    except (MeasurementError, psutil.Error, OSError) as error:
        notes.append(f"the host is unknown: {error}")
        return None, None, None
    notes += [swapped] if swapped else []
    notes.append(f"memory in use beside this pool: {', '.join(map(str, neighbours[:_NAMED]))}, and the kernel")
    return ram, cpus, _with_floor(reserved, floor, neighbours, ram)


def _with_floor(reserved: Measured, floor: Measured, neighbours: Sequence[Neighbour], ram: Measured) -> Measured:
    """Add what has to stay for the page cache, and name who uses the rest."""
    named = ", ".join(map(str, neighbours[:_NAMED]))
    text = f"{reserved.source.source}, plus {format_bytes(floor.value)} for the page cache ({floor.source.source})"
    text += f"; the largest neighbours: {named}" if named else ""
    # a host on which nothing is left is a result, not an error: one byte stays for the pool
    value = min(reserved.value + floor.value, ram.value - 1)
    return Measured(value, Source(source=text, samples=1), reserved.upper_bound or floor.upper_bound)


def _noted(notes: list[str], name: str, result: Measured | str) -> Measured | None:
    if isinstance(result, str):
        notes.append(f"{name} is unknown: {result}")
        return None
    return result
