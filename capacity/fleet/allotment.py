"""Marginal allocation: workers to the pools that are worst off, until something they share is used up.

Every pool has a need: the least workers with which it carries its load at a level, a step function that rises with the
level (1: the expected load). A worker more always goes to the pool that would otherwise be the first to miss its
objective as the level rises; a pool for whose next workers there is no room stays behind, and the others go on.

That is optimal: the lowest level of a pool is the highest that any allotment can give it, then the second lowest, and
so on (lexicographic max-min), for any number of shared resources and for workers of any size. A level is reached by no
allotment with fewer workers anywhere than the needs at that level, so where these do not fit, nothing does; and no pool
that stayed behind could have had more without lowering one that is lower. It takes no convexity, as a sum of waits
would. Pools that come to the end of their workers within a 65536th of a level are taken in a given order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["allot", "levels_of"]

Array: TypeAlias = NDArray[np.float64]
Rows: TypeAlias = NDArray[np.intp]
Needs: TypeAlias = Callable[[Array, Rows], Array]
"""Least workers of some pools, each at a level of its own; inf: no number would do."""

_CLOSE = 2.0**-16


def allot(needs: Needs, taken: Array, available: Array, *, most: float, rank: Array) -> Array:
    """Allot workers to pools that share resources.

    Parameters
    ----------
    needs : callable
        Workers that pools need at a level; rises with the level, and is finite at 0.
    taken : ndarray, shape (resources, pools)
        What one worker of a pool takes of a resource.
    available : ndarray, shape (resources,)
        What there is of it; inf: no limit.
    most : float
        Level beyond which no pool wants more workers.
    rank : ndarray, shape (pools,)
        Lowest first among pools that come to the end of their workers at the same level.

    Returns
    -------
    ndarray, shape (pools,)
        Workers of each pool: at least one, as PHP-FPM wants it, even where these do not fit.

    Examples
    --------
    Pools that want 10 and 20 workers at level 1, twice as much at 2; 36 fit: both reach a level of 1.2.

    >>> wants = np.array([10.0, 20.0])
    >>> allot(
    ...     lambda level, rows: np.ceil(level * wants[rows]), np.ones((1, 2)), np.array([36.0]), most=2.0,
    ...     rank=np.array([0.0, 1.0]),
    ... ).tolist()
    [12.0, 24.0]
    """
    workers = np.ones(taken.shape[1])

    def at(height: float, rows: Rows) -> Array:
        counts = workers.copy()
        counts[rows] = np.maximum(needs(np.full(rows.size, height), rows), workers[rows])
        return counts

    def fit(counts: Array) -> bool:
        return bool(np.isfinite(counts).all() and (taken @ counts <= available).all())

    active: Rows = np.arange(workers.size)
    low = 0.0
    while active.size:
        high, beyond = most, at(most, active)
        if fit(beyond):
            return beyond
        while high - low > _CLOSE:
            middle = (low + high) / 2.0
            tried = at(middle, active)
            if fit(tried):
                low = middle
            else:
                high, beyond = middle, tried
        reached = at(low, active)
        if fit(reached):  # which one worker each need not
            workers = reached
        workers, active = _go_on(active, workers, beyond, taken, available, rank)
        low = high
    return workers


def _go_on(
    active: Rows, workers: Array, beyond: Array, taken: Array, available: Array, rank: Array
) -> tuple[Array, Rows]:
    """Give the pools whose need has just risen what they need, one after the other; say who can still go on."""
    workers, free, staying = workers.copy(), available - taken @ workers, []
    for pool in active[np.argsort(rank[active], kind="stable")]:
        more = beyond[pool] - workers[pool]
        if more > 0 and np.isfinite(more) and (taken[:, pool] * more <= free).all():
            workers[pool] += more
            free = free - taken[:, pool] * more
            staying.append(pool)
        elif more == 0 and (taken[:, pool] <= free).all():
            staying.append(pool)
    return workers, np.array(sorted(staying), dtype=np.intp)


def levels_of(needs: Needs, workers: Array, most: float) -> Array:
    """Highest level at which each pool's workers are enough, up to ``most``.

    Examples
    --------
    >>> wants = np.array([10.0, 20.0])
    >>> levels_of(lambda level, rows: np.ceil(level * wants[rows]), np.array([12.0, 30.0]), 1.25).round(4).tolist()
    [1.2, 1.25]
    """
    rows: Rows = np.arange(workers.size)
    low, high = np.zeros(workers.size), np.full(workers.size, most)
    enough = needs(high, rows) <= workers
    low[enough] = most
    while (open_rows := np.flatnonzero(high - low > _CLOSE)).size:
        middle = (low[open_rows] + high[open_rows]) / 2.0
        kept = needs(middle, open_rows) <= workers[open_rows]
        low[open_rows] = np.where(kept, middle, low[open_rows])
        high[open_rows] = np.where(kept, high[open_rows], middle)
    return low
