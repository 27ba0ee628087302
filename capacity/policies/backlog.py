"""How many requests may wait for a worker: no more than can still be answered in time."""

from __future__ import annotations

import numpy as np

from capacity.results import Choice
from capacity.table import Column, Table
from capacity.units import format_seconds

# The kernel admits at most net.core.somaxconn whatever is asked for; 4096 is its default since Linux 5.4.
SOMAXCONN = 4096


def waiting_places(table: Table, full_rate: Column) -> Column:
    """listen.backlog: T c/S, what the busy pool completes within the web server's patience T.

    Whoever waits longer is answered 504 by the web server, yet the request stays in the queue and is still
    executed: a longer queue only makes work that nobody waits for.
    """
    useful = np.floor(table["policy.web_server_timeout"] * full_rate)
    return np.clip(useful, 1.0, SOMAXCONN)


def explain(places: int, full_rate: float, patience: float) -> Choice:
    """Choice of listen.backlog with its reason."""
    useful = int(patience * full_rate)
    text = (
        f"{format_seconds(patience)} of patience at the web server times {full_rate:.4g} completions/s when all are "
        f"busy are {useful} requests; whoever waits longer gets a 504 and is still executed"
    )
    if useful > SOMAXCONN:
        text += f"; the kernel admits {SOMAXCONN} at most unless net.core.somaxconn is raised"
    return Choice(setting="listen_backlog", value=places, reason=text)
