"""Which process manager, and which start and spare servers."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from capacity.fpm.maintenance import maintain
from capacity.policies import burst
from capacity.pool import PoolSettings
from capacity.results import Choice
from capacity.table import Column, Table
from capacity.units import format_fraction

# auto takes static only where every worker at its peak leaves this much of the budget: a static pool never
# gives memory back, so the rest is what absorbs a worker that grows beyond its measured peak.
STATIC_SHARE = 0.80
# auto takes ondemand for a pool that would keep less than one worker busy on a host with others: its idle
# workers are worth more to its neighbours.
IDLE_LOAD = 1.0
# What Debian's and upstream's www.conf say: the manager to take where none is known and none is to be chosen.
SHIPPED = "dynamic"
MANAGERS = ("static", "dynamic", "ondemand")
SPARES = ("proportional", "burst")


def proportional(max_children: Column) -> tuple[Column, Column, Column]:
    """Start, min-spare and max-spare servers: 20, 10 and 40 % of the workers, the case study's proportions.

    Rounded down, and at least 1, so that 1 <= min_spare <= start <= max_spare <= max_children always holds.

    Examples
    --------
    >>> import numpy as np
    >>> [column.tolist() for column in proportional(np.array([40.0, 1.0]))]
    [[8.0, 1.0], [4.0, 1.0], [16.0, 1.0]]
    """
    start, least, most = (np.maximum(max_children * tenths // 10, 1.0) for tenths in (2, 1, 4))
    return start, least, most


def spares(
    table: Table, pm: Column, max_children: Column, rate: Column, backlog: Column
) -> tuple[Column, Column, Column]:
    """Start, min-spare and max-spare servers by each row's policy; NaN where the pool is not dynamic.

    ``backlog`` are the waiting places that the kernel gives [-], which bound what a burst may leave waiting.
    Without a load there is no step, so burst is then proportional.
    """
    chosen = np.stack(proportional(max_children))
    dynamic = pm == MANAGERS.index("dynamic")
    steps = dynamic & (table["policy.spares"] == SPARES.index("burst")) & (rate > 0)
    rows = np.flatnonzero(steps)
    if rows.size:
        chosen[:, rows] = burst.spares(table, rows, max_children, rate, backlog)
    start, least, most = np.where(dynamic, chosen, np.nan)
    return start, least, most


def preferred(table: Table, load: Column, worst_case: Column) -> Column:
    """Process manager that ``process_manager="auto"`` takes, as an index into ``MANAGERS``."""
    budget = table["host.ram"] - table["host.reserved"]
    alone = table["policy.pools_on_host"] == 1
    static = alone & (worst_case <= STATIC_SHARE * budget)
    ondemand = ~alone & (load < IDLE_LOAD)
    named = {name: float(index) for index, name in enumerate(MANAGERS)}
    return np.where(static, named["static"], np.where(ondemand, named["ondemand"], named["dynamic"]))


def best(table: Table, load: Column, worst_case: Column) -> NDArray[np.str_]:
    """The same by name."""
    return np.array(MANAGERS)[preferred(table, load, worst_case).astype(np.intp)]


def kept(*, known: bool) -> str:
    """Why the process manager is not the best one."""
    return "kept as it is today" if known else "as PHP-FPM is shipped, since nothing says what runs today"


def growth(pool: PoolSettings, before: float, after: float) -> int:
    """Ticks, of a second each, until a dynamic pool has the workers for a sudden load [erlang].

    It comes from the load before, with the fewest workers it may have: those busy and `min_spare_servers` idle ones.

    Examples
    --------
    >>> pool = PoolSettings(pm="dynamic", max_children=40, start_servers=8, min_spare_servers=4, max_spare_servers=16)
    >>> growth(pool, 9, 30)  # 13 workers, then 14, 16, 20, 24, 28, 32
    6
    """
    workers, spawn_rate, ticks = math.ceil(before) + (pool.min_spare_servers or 0), 1, 0
    while workers < min(math.ceil(after), pool.max_children):
        done = maintain(pool, idle=0, running=workers, spawn_rate=spawn_rate)
        workers, spawn_rate, ticks = workers + done.forks, done.spawn_rate, ticks + 1
    return ticks


def explain(
    chosen: str, preferred: str, *, known: bool, min_spare: int | None, memory_share: float, rush: str = ""
) -> Choice:
    """Choice of the process manager, and what would be better where the current one is kept.

    ``rush`` goes on about what a sudden rush waits for.
    """
    why = {
        "static": (
            f"static forks nothing under load and has no lag; it is this host's only pool and takes "
            f"{format_fraction(memory_share)} of the memory left for PHP with every worker at its peak"
        ),
        "ondemand": "ondemand: this pool is idle most of the time, and its memory is free for the others meanwhile",
        "dynamic": (
            "dynamic returns memory when idle; with every worker at its peak the pool takes "
            f"{format_fraction(memory_share)} of the memory left for PHP (static takes at most "
            f"{format_fraction(STATIC_SHARE)}, on a host with one pool)"
        ),
    }
    reason = why[preferred]
    if chosen != preferred:
        reason = f"{kept(known=known)}; {preferred} would be better: {reason}"
    if chosen == "dynamic" and min_spare is not None:
        workers = "1 worker" if min_spare == 1 else f"{min_spare} workers"
        reason += (
            f". A dynamic pool grows by at most {workers} a second (its min_spare_servers) and never looks at its "
            f"queue, so a sudden rush waits for forks{rush}"
        )
    return Choice(setting="pm", value=chosen, reason=reason)
