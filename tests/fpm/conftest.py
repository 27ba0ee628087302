"""What the readers' tests share."""

from __future__ import annotations

import time
from collections.abc import Callable


def least_time(work: Callable[[], object]) -> float:
    """CPU time of the quickest of three runs: a collection of garbage or a busy neighbour hits one, not all."""
    times = []
    for _ in range(3):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)
