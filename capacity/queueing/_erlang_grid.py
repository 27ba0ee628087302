"""Erlang C for every server count 1..n of shared loads: one step of a recursion a count, no evaluation a cell.

    1/B(c) = 1 + c u,   1/C(c) = 1 + (c - a) u,   u = 1/(a B(c-1))

All terms are positive. The step is a handful of array operations over the loads side by side; where there are too few
of them to be worth the calls, the range of counts is cut into pieces that run side by side as well.
"""

from __future__ import annotations

import numpy as np

from capacity.queueing._evaluate import Array
from capacity.queueing._poisson import cdf_ratio

_SIDE_BY_SIDE = 16384  # the arrays of a step then stay in a core's second-level cache
_ENOUGH = 4096
_AT_ONCE = 32  # steps kept before they are turned into rows of the answer, four lines of the cache a row
_SHORTEST = 32  # steps a piece of the range makes at least: its start costs as much as some twenty


def grid(servers: int, loads: Array) -> Array:
    """C(c, a) of shape (loads, servers); NaN for a load out of domain."""
    loads = np.where(loads >= 0, loads, np.nan)
    pieces = min(_ENOUGH // max(loads.size, 1), servers // _SHORTEST)
    return _in_pieces(servers, loads, pieces) if pieces > 1 else _in_one(servers, loads)


def _in_one(servers: int, loads: Array) -> Array:
    """Memory runs over the loads first, as the steps write it."""
    table = np.empty((servers, loads.size))
    for start in range(0, loads.size, _SIDE_BY_SIDE):
        part = slice(start, start + _SIDE_BY_SIDE)
        load = loads[part]
        inverse_b = np.ones(load.size)
        per_load, most = 1.0 / load, load.max()
        for c in range(1, servers + 1):
            row = table[c - 1, part]
            np.subtract(c, load, out=row)
            if not c > most:
                np.maximum(row, 0.0, out=row)
            _step(c, inverse_b, per_load, row)
            np.divide(1.0, row, out=row)
    return table.T


def _in_pieces(servers: int, loads: Array, pieces: int) -> Array:
    """Piece k has the counts from k steps + 1 on; an odd number of steps spreads the writes over the cache."""
    steps = -(-servers // pieces) | 1
    before = np.tile(np.arange(0.0, servers, steps), (loads.size, 1))
    load = np.broadcast_to(loads[:, None], before.shape).copy()
    inverse_b = 1.0 + cdf_ratio(before.ravel(), load.ravel(), (before - load).ravel()).reshape(before.shape)
    per_load, over = 1.0 / load, before - load
    table = np.empty((*before.shape, steps))
    tile = np.empty((_AT_ONCE, *before.shape))
    for done in range(0, steps, _AT_ONCE):
        made = tile[: steps - done]
        for step, spare in enumerate(made, done + 1):
            np.add(over, step, out=spare)
            np.maximum(spare, 0.0, out=spare)
            _step(before + step, inverse_b, per_load, spare)
        np.divide(1.0, np.moveaxis(made, 0, -1), out=table[..., done : done + _AT_ONCE])
    return table.reshape(loads.size, -1)[:, :servers]


def _step(c: Array | int, inverse_b: Array, per_load: Array, spare: Array) -> None:
    """From 1/B(c-1) to 1/B(c) in place; spare becomes 1/C(c)."""
    inverse_b *= per_load
    spare *= inverse_b
    spare += 1.0
    inverse_b *= c
    inverse_b += 1.0
