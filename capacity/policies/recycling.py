"""After how many requests a worker is replaced."""

from __future__ import annotations

import numpy as np

from capacity.results import Choice
from capacity.table import ROUNDING, Column
from capacity.units import format_seconds

# The case study's value: a leak of 10 KiB a request stays below 10 MiB, and a fork every 1000 requests costs
# next to nothing (1 to 2 ms each).
REQUESTS = 1000
# A worker should live at least this long at full load, so that forks and cold caches stay rare.
LIFETIME = 60.0
MOST_REQUESTS = 10**9  # FPM keeps the number in a C int


def max_requests(current: Column, rate_per_worker: Column) -> Column:
    """Requests of one worker: what is set today, else 1000, or in thousands what makes it live a minute."""
    enough = np.ceil(rate_per_worker * LIFETIME / REQUESTS - ROUNDING)
    enough = np.clip(enough * REQUESTS, REQUESTS, MOST_REQUESTS)
    return np.where(current > 0, current, enough)


def explain(requests: int, rate_per_worker: float, *, kept: bool) -> Choice:
    """Choice of max_requests with its reason."""
    lives = f"a worker lives about {format_seconds(requests / rate_per_worker)}" if rate_per_worker > 0 else "recycling"
    text = "kept as it is today" if kept else "bounds memory leaks of extensions and applications"
    return Choice(setting="max_requests", value=requests, reason=f"{text}; at full load {lives}")
