"""The fleet's answers in words that a system administrator can act on."""

from __future__ import annotations

from collections.abc import Sequence

from capacity.fleet.inputs import Fleet
from capacity.fleet.results import PoolShare, Resource
from capacity.units import format_bytes, format_fraction

__all__ = ["allotment_cautions", "allotment_steps", "cpu_reason", "pm_reason", "resource_reason", "share_reason"]

_NAMES = {
    "memory": "memory",
    "cpu": "CPU cores",
    "database": "database connections",
    "process_max": "process.max",
}
_LISTED = 5


def plural(count: float, word: str) -> str:
    """Count and word: 1 worker, 2 workers.

    Examples
    --------
    >>> plural(1, "worker"), plural(3.0, "host")
    ('1 worker', '3 hosts')
    """
    return f"{count:.0f} {word}{'' if count == 1 else 's'}"


def share_reason(
    workers: float, needed: float, wanted: float, factor: float, binding: Sequence[str], hopeless: bool
) -> str:
    """Why a pool gets so many workers."""
    have = plural(workers, "worker")
    if hopeless:
        return (
            f"no number of workers meets its objective: a request takes too long by itself. {have} keep its "
            "max_utilization; allow it more response_time, or make the request shorter"
        )
    short = " and ".join(_NAMES[name] for name in binding) or "the host"
    verb = "carries" if workers == 1 else "carry"
    carries = f"{have} {verb} {factor:.3g} times its expected load within its objective"
    if workers >= wanted:
        return f"{carries}, which is what it should: more would stand idle"
    if needed == float("inf"):
        return f"no number of workers meets its objective when all pools have their expected load: {carries}"
    if workers < needed:
        return f"{needed - workers:.0f} short of the {needed:.0f} it needs, for want of {short}: {carries}"
    return f"less than it wants, for want of {short}: {carries}"


def pm_reason(pm: str, busy: float, *, alone: bool) -> str:
    """Why this process manager."""
    if pm == "ondemand":
        return f"it keeps {busy:.2g} of a worker busy: between requests its memory is free for the other pools"
    if pm == "static":
        return "it is this host's only pool, and has no lag when load comes"
    return "it returns memory when idle" + ("" if alone else ", to a host that has other pools")


def resource_reason(
    fleet: Fleet, name: str, available: float, needed: float | None, wanted: float | None, allotted: float
) -> str:
    """What there is of a resource, what is asked of it, and what is missing."""

    def amount(value: float) -> str:
        return format_bytes(value) if name == "memory" else f"{value:.0f}"

    host = fleet.host
    if name == "memory":
        shared = max(pool.scenario.worker.shared_memory for pool in fleet.pools)
        once = f" minus {format_bytes(shared)} shared" if shared else ""
        left = format_bytes(available) if available > 0 else "nothing"
        rest = f"{format_bytes(host.reserved)} for everything else{once}"
        there = f"{format_bytes(host.ram)} of RAM minus {rest} leaves {left}"
    elif name == "database":
        there = f"{host.database_connections} connections minus {host.database_connections_reserved} reserved"
    else:
        there = f"FPM stops forking at process.max = {available:.0f} processes of all pools"
    if allotted > available:
        return f"{there}: not even one worker a pool fits, which takes {amount(allotted)}"
    if needed is not None and needed > available:
        return f"{there}: the pools need {amount(needed)}, {amount(needed - available)} more"
    if wanted is not None and wanted > available:
        return f"{there}: enough for the expected load, {amount(wanted - available)} short of the headroom"
    return f"{there}: {amount(allotted)} are taken, {amount(available - allotted)} stay free"


def cpu_reason(cores: float, allowed: float, busy: float, most: float) -> str:
    """How busy the pools keep the cores together."""
    there = f"at the expected load {busy:.3g} of {cores:g} cores are busy, {allowed:.3g} may be"
    if busy > allowed:
        return f"{there}: {busy - allowed:.3g} more are needed, or less CPU time a request; workers do not help"
    if most > allowed:
        return f"{there}; with headroom it would be {most:.3g}"
    return there


def allotment_steps(shares: Sequence[PoolShare], resources: Sequence[Resource]) -> tuple[str, ...]:
    """What would get every pool what it needs."""
    steps = []
    hopeless = [share.name for share in shares if share.load_factor == 0]
    if hopeless:
        steps.append(f"Make requests shorter, or allow them more time: {_listed(hopeless)}")
    short = [share for share in shares if share.shortfall]
    if short:
        lack = [f"{share.name} ({share.shortfall} of {share.needed})" for share in short]
        steps.append(f"These pools lack workers: {_listed(lack)}")
    for resource in resources:
        missing = (resource.needed or 0.0) - resource.available
        if missing > 0 and resource.name == "memory":
            steps.append(f"{format_bytes(missing)} more RAM, or so much less a worker, carry the expected load")
        elif missing > 0 and resource.name == "database":
            steps.append(f"{plural(missing, 'more database connection')} carry the expected load")
        elif missing > 0 and resource.name == "process_max":
            steps.append(f"Raise process.max by at least {missing:.0f}: it, and not the host, ends the pools")
        elif missing > 0:
            share = missing / resource.needed if resource.needed else 0.0
            steps.append(
                f"{missing:.3g} cores too few: add them (and the share that stays idle), take "
                f"{format_fraction(share)} off the CPU time of the requests, or move a pool to another host"
            )
    return tuple(steps)


def allotment_cautions(fleet: Fleet) -> tuple[str, ...]:
    """What the answer leaves open."""
    cautions = []
    unknown = [pool.name for pool in fleet.pools if pool.scenario.workload.cpu_time is None]
    if unknown:
        cautions.append(
            f"cpu_time is not known of {_listed(unknown)}: the cores these pools keep busy are not counted, neither "
            "for them nor for the others. Measure it: mean of %C times %d in FPM's access log"
        )
    shared = sorted({pool.scenario.worker.shared_memory for pool in fleet.pools})
    if len(shared) > 1:
        cautions.append(
            f"the pools state different shared_memory, of which the largest, {format_bytes(shared[-1])}, is counted "
            "once: pools of one PHP-FPM share its OPcache. What a PHP-FPM of another version takes belongs to "
            "host.reserved"
        )
    return tuple(cautions)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
