"""What FPM's master does to a dynamic pool at each tick: one rule, which looks at idle workers and at nothing else.

``fpm_pctl_perform_idle_server_maintenance`` of PHP 8.2, without its clock and its children. The queue is not looked
at, so growth is at most ``min_spare_servers`` workers a tick whatever ``max_spawn_rate`` says.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from capacity.pool import PoolSettings

__all__ = ["IDLE_TIMEOUT", "SPAWN_RATE", "TICK", "Maintenance", "maintain"]

TICK: Final = 1.0003
"""Time between two ticks [s]: FPM's timer of 1000 ms, and what it is late by each time (measured)."""
SPAWN_RATE: Final = 32
"""``pm.max_spawn_rate`` where a file does not say."""
IDLE_TIMEOUT: Final = 10
"""``pm.process_idle_timeout`` [s] where a file does not say."""


class Maintenance(NamedTuple):
    """What one tick does.

    Parameters
    ----------
    forks : int
        Workers it forks [-].
    stops : int
        Idle workers it ends [-], 0 or 1: the one started first.
    spawn_rate : int
        Most workers the next tick may fork [-].
    full : bool
        Spares are missing and ``max_children`` lets none be forked; FPM warns once until it forks again.
    """

    forks: int
    stops: int
    spawn_rate: int
    full: bool = False


def maintain(pool: PoolSettings, *, idle: int, running: int, spawn_rate: int) -> Maintenance:
    """What a tick does to a dynamic pool.

    Parameters
    ----------
    pool : PoolSettings
        A dynamic pool.
    idle, running : int
        Idle workers and all workers at the tick [-]. A worker that was just forked is not idle before it accepts.
    spawn_rate : int
        Most workers to fork now [-]: 1 at first, then what the tick before said.

    Returns
    -------
    Maintenance

    Notes
    -----
    The rate doubles while it is below ``max_spawn_rate``, so a limit of 20 lets it reach 32.

    Examples
    --------
    >>> pool = PoolSettings(pm="dynamic", max_children=40, min_spare_servers=5, max_spare_servers=10)
    >>> maintain(pool, idle=0, running=13, spawn_rate=4)
    Maintenance(forks=4, stops=0, spawn_rate=8, full=False)
    >>> maintain(pool, idle=0, running=17, spawn_rate=8)  # min_spare_servers sets the pace from here on
    Maintenance(forks=5, stops=0, spawn_rate=16, full=False)
    """
    least, most = pool.min_spare_servers or 0, pool.max_spare_servers or 0  # a dynamic pool has both
    if idle > most:
        return Maintenance(0, 1, 1)
    if idle >= least:
        return Maintenance(0, 0, 1)
    room = pool.max_children - running
    if room <= 0:
        return Maintenance(0, 0, 1, full=True)
    faster = spawn_rate * 2 if spawn_rate < (pool.max_spawn_rate or SPAWN_RATE) else spawn_rate
    return Maintenance(min(spawn_rate, least - idle, room), 0, faster)
