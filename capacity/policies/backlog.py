"""How many requests may wait for a worker: no more than can still be answered in time."""

from __future__ import annotations

import numpy as np

from capacity.fpm.manager import SOMAXCONN
from capacity.fpm.pool_state import accept_places
from capacity.results import Choice
from capacity.table import Column, Table
from capacity.units import format_seconds


def waiting_room(table: Table) -> Column:
    """``accept_places`` of each row."""
    asked, most = table["pool.listen_backlog"], _most(table)
    return np.where(asked >= 0, np.minimum(asked, most), most) + 1.0


def _most(table: Table) -> Column | float:
    """What the kernel allows, as far as it is known."""
    given = table.get("host.somaxconn")
    return SOMAXCONN if given is None else np.where(np.isnan(given), SOMAXCONN, given)


def room_of(asked: int | None, most: int | None) -> int:
    """``waiting_room`` of one pool; None: not known, or not set.

    Examples
    --------
    >>> room_of(8, 4096), room_of(-1, None), room_of(None, 128), room_of(511, 128)
    (9, 4097, 129, 129)
    """
    return accept_places(asked, SOMAXCONN if most is None else most)


def waiting_places(table: Table, full_rate: Column) -> Column:
    """listen.backlog: T c/S, what the busy pool completes within the web server's patience T.

    Whoever waits longer is answered 504 by the web server, yet the request stays in the queue and is still
    executed: a longer queue only makes work that nobody waits for.
    """
    useful = np.floor(table["policy.web_server_timeout"] * full_rate)
    return np.clip(useful, 1.0, _most(table))


def explain(
    places: int, full_rate: float, patience: float, *, today: int | None = None, somaxconn: int | None = None
) -> Choice:
    """Choice of listen.backlog with its reason; ``today`` are the requests that the queue of today lets wait."""
    useful = int(patience * full_rate)
    most = SOMAXCONN if somaxconn is None else somaxconn
    text = (
        f"{format_seconds(patience)} of patience at the web server times {full_rate:.4g} completions/s when all are "
        f"busy are {useful} requests; whoever waits longer gets a 504 and is still executed"
    )
    if useful > most:
        text += f"; the kernel admits {most} at most unless net.core.somaxconn is raised"
    if today is not None and full_rate > 0:
        longest = today / full_rate
        late = "longer than that patience" if longest > patience else "which is still in time"
        text += f". Today {today} may wait: the last of a full queue would wait {format_seconds(longest)}, {late}"
    return Choice(setting="listen_backlog", value=places, reason=text)
