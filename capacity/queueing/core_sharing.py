"""X(n): completions a second of n workers that are never idle and share k cores; one engine for points and for grids.

It is the finite source with n customers, k servers, service D and think S - D. With p = D/S, q = 1 - p, h = P(every
core busy) and b = P(exactly the cores busy) as an arriving customer sees them, one more customer (n > k) makes

    w = 1 + n p/k h - h + b q        X(n) = n/S / w        h' = (n p/k h + b q n/(n-k)) / w        b' = b q n/(n-k) / w

No term is negative but -h, and h <= 1 <= w: nothing cancels or overflows. At n = k, h = b = p^k. So that X(n) of one
n does not take n steps, h and b are had in closed form at every 64th n, and only what lies between is stepped; a point
and a cell of a grid do the same operations and are the same number. A fractional number of cores (a quota), and more
workers than can be counted in steps of one, have only the closed form.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from capacity.queueing import _finite_source
from capacity.queueing._evaluate import BLOCK, Array, FloatOrArray, as_float64, counts, evaluate

Inner: TypeAlias = tuple[Array, ...]  # cores, cpu_time, service_time

_COUNTABLE = 2.0**52  # workers up to which one more is another float64, with room for a span
_CROWD = 1e150  # workers from which X(n) is the lesser of its two bounds, and squares may overflow
_SPAN = 64  # states from one that is computed in closed form to the next
_FEW = 40  # rows up to which plain numbers are faster than NumPy's calls
_POOLS = 8192  # at once in a grid
_TOGETHER = 16  # states of a grid that are written at once
_PAD = 8  # rows a power of two apart would fall into the same lines of the cache


def throughput(*, workers: ArrayLike, cores: ArrayLike, cpu_time: ArrayLike, service_time: ArrayLike) -> FloatOrArray:
    """X(n) of whatever was given: where one axis is that of the workers alone, as a grid."""
    given = {"workers": workers, "cores": cores, "cpu_time": cpu_time, "service_time": service_time}
    arrays = [as_float64(name, value) for name, value in given.items()]
    try:
        shape = np.broadcast_shapes(*(array.shape for array in arrays))
    except ValueError:
        axis = None  # evaluate says so, by name
    else:
        axis = _axis_of_workers(len(shape), *arrays)
    if axis is None or 0 in shape:
        return evaluate(inner_throughput, BLOCK, **given)
    states = arrays[0].reshape(-1)
    others = shape[:axis] + shape[axis + 1 :]
    pools = [_without(axis, len(shape), array, others) for array in arrays[1:]]
    last = axis == len(shape) - 1
    cells: Array = np.empty((*others, states.size) if last else (states.size, *others))
    out = cells.reshape(-1, states.size).T if last else cells.reshape(states.size, -1)
    with np.errstate(all="ignore"):
        for start in range(0, out.shape[1], _POOLS):
            part = slice(start, start + _POOLS)
            cores_, cpu_time_, service_time_ = (pool[part] for pool in pools)
            grid(states, (cores_, cpu_time_, service_time_), out[:, part])
    return cells if last else np.moveaxis(cells, 0, axis)


def _axis_of_workers(dimensions: int, workers: Array, *others: Array) -> int | None:
    """Find the one axis along which there are several workers, rising, and nothing else changes."""
    axes = [i - workers.ndim for i, length in enumerate(workers.shape) if length > 1]
    if len(axes) != 1 or any(other.ndim >= -axes[0] and other.shape[axes[0]] > 1 for other in others):
        return None
    states = workers.reshape(-1)
    return dimensions + axes[0] if counts(states).all() and (states[1:] > states[:-1]).all() else None


def _without(axis: int, dimensions: int, array: Array, shape: tuple[int, ...]) -> Array:
    """Take the axis away and flatten."""
    own = (1,) * (dimensions - array.ndim) + array.shape
    return np.broadcast_to(array.reshape(own[:axis] + own[axis + 1 :]), shape).reshape(-1)


def inner_throughput(workers: Array, cores: Array, cpu_time: Array, service_time: Array) -> Array:
    """X(n) over flat arrays."""
    ok = counts(workers) & inner_domain(cores, cpu_time, service_time)
    rate = np.where(ok, np.where(workers == 0, 0.0, workers / service_time), np.nan)
    contended = ok & (cpu_time > 0) & (workers > cores)
    if not contended.any():
        return rate
    bounds = contended & ((workers > _CROWD) | (cpu_time / service_time == 0))
    rate[bounds] = np.minimum(rate[bounds], cores[bounds] / cpu_time[bounds])
    contended &= ~bounds
    stepped = contended & _whole(cores) & (workers <= _COUNTABLE)
    rows = np.flatnonzero(contended & ~stepped)
    if rows.size:
        n, k, d, s = (value[rows] for value in (workers, cores, cpu_time, service_time))
        rate[rows] = _finite_source.busy(n, np.floor(k), k, s - d, d) / d
    rows = np.flatnonzero(stepped)
    if rows.size:
        rate[rows] /= _wider(*(value[rows] for value in (workers, cores, cpu_time, service_time)))
    return rate


def inner_domain(cores: Array, cpu_time: Array, service_time: Array) -> NDArray[np.bool_]:
    """Where there is such a pool."""
    return (cores >= 0) & np.isfinite(cores) & (cpu_time >= 0) & (cpu_time <= service_time)


def grid(workers: Array, inner: Inner, out: Array) -> None:
    """X(n) for whole n, rising, a row of ``out`` a state and a column a pool."""
    cores, cpu_time, service_time = inner
    ok = inner_domain(*inner) & (cpu_time > 0)
    k = np.where(ok & _whole(cores), cores, np.inf)  # never reached
    near = int(np.searchsorted(workers, _COUNTABLE, side="right"))
    if near:
        fill = _columns if k.size * np.unique(_before(workers[:near])).size < _FEW else _rows
        fill(workers[:near], (k, cpu_time, service_time), out[:near])
    out[workers == 0] = 0.0
    out[:, ~inner_domain(*inner)] = np.nan
    _unstepped(workers[:near], inner, np.flatnonzero(ok & ~_whole(cores)), out[:near])
    _unstepped(workers[near:], inner, np.arange(cores.size), out[near:])


def _unstepped(workers: Array, inner: Inner, pools: NDArray[np.intp], out: Array) -> None:
    """Fill some columns of a grid in closed form."""
    many = max(1, BLOCK // max(1, workers.size))
    for start in range(0, pools.size if workers.size else 0, many):
        columns = pools[start : start + many]
        flat = (np.tile(value[columns], workers.size) for value in inner)
        out[:, columns] = inner_throughput(np.repeat(workers, columns.size), *flat).reshape(workers.size, -1)


def _whole(cores: Array) -> NDArray[np.bool_]:
    whole: NDArray[np.bool_] = (cores >= 1) & (cores == np.floor(cores))
    return whole


def _before(n: Array) -> Array:
    """Last state before n that is known in closed form."""
    return _SPAN * np.maximum(np.floor((n - 1.0) / _SPAN), 0.0)


def _start(first: Array, k: Array, d: Array, s: Array) -> tuple[Array, Array]:
    """Give h and b at state ``first``, or at k where that is not below it."""
    h = np.power(d / s, k)
    b = h.copy()
    rows = np.flatnonzero(first > k)
    if rows.size:
        n, k, d, s = (value[rows] for value in (first, k, d, s))
        h[rows], b[rows] = _finite_source.states(n, k, s - d, d)
    return h, b


def _wider(n: Array, k: Array, d: Array, s: Array) -> Array:
    """n/S over X(n), for n > k."""
    first = _before(n)
    h, b = _start(first, k, d, s)
    state = np.maximum(first, k)
    p, q = d / s, (s - d) / s
    per_core = p / k
    if n.size < _FEW:
        columns = (value.tolist() for value in (state, n, k, per_core, q, h, b))
        return np.array([_step_one(*values)[-1] for values in zip(*columns, strict=True)])
    steps = (n - state).astype(np.int8)
    order = np.argsort(steps, kind="stable")[::-1]
    longer = n.size - np.cumsum(np.bincount(steps))
    state, k, per_core, q, h, b = (value[order] for value in (state, k, per_core, q, h, b))
    w, work = np.empty(n.size), np.empty((3, n.size))
    for step in range(1, longer.size):
        part = slice(0, int(longer[step - 1]))
        now = state[part]
        now += 1.0
        _step(now, k[part], per_core[part], q[part], h[part], b[part], w[part], work[:, part])
    wider = np.empty_like(n)
    wider[order] = w
    return wider


def _spans(workers: Array, inner: Inner) -> Iterator[tuple[list[NDArray[np.intp]], Array, Inner, Array, Array]]:
    """Pieces of a grid that are stepped at once, each from a state of its own.

    Their places, and of every piece and pool: that state, the pool, h and b.
    """
    places = np.split(np.arange(workers.size), np.flatnonzero(np.diff(_before(workers))) + 1)
    k, d, s = inner
    many = max(1, BLOCK // k.size)
    for start in range(0, len(places), many):
        part = places[start : start + many]
        firsts = np.repeat(_before(workers[[place[0] for place in part]]), k.size)
        several = (np.tile(k, len(part)), np.tile(d, len(part)), np.tile(s, len(part)))
        yield part, firsts, several, *_start(firsts, *several)


def _rows(workers: Array, inner: Inner, out: Array) -> None:
    """A state of every piece at a time, pools that begin to be stepped first in front."""
    pools = inner[0].size
    for places, firsts, several, h, b in _spans(workers, inner):
        idle = np.clip(several[0] - firsts, 0.0, _SPAN).astype(np.int8)  # steps until n exceeds the cores
        order = np.argsort(idle, kind="stable")
        back = np.empty_like(order)
        back[order] = np.arange(order.size)
        now, k, d, s, h, b = (value[order] for value in (firsts, *several, h, b))
        p, q = d / s, (s - d) / s
        per_core = p / k
        begun = np.cumsum(np.bincount(idle, minlength=_SPAN))
        w, rate, work = np.empty(now.size), np.empty(now.size), np.empty((3, now.size))
        table = np.empty((_TOGETHER, now.size + _PAD))[:, : now.size]
        steps = [workers[place] - firsts[i * pools] for i, place in enumerate(places)]
        for start in range(0, int(max(step[-1] for step in steps)), _TOGETHER):
            for step, row in enumerate(table, start):
                part = slice(0, int(begun[step]))
                now += 1.0
                _step(now[part], k[part], per_core[part], q[part], h[part], b[part], w[part], work[:, part])
                np.divide(now, s, out=rate)
                rate[part] /= w[part]
                np.take(rate, back, out=row, mode="clip")
            for i, (place, step) in enumerate(zip(places, steps, strict=True)):
                first, last = np.searchsorted(step, (start, start + _TOGETHER), side="right")
                if last - first == _TOGETHER:
                    out[int(place[first]) : int(place[first]) + _TOGETHER] = table[:, i * pools : (i + 1) * pools]
                elif last > first:
                    rows = step[first:last].astype(np.intp) - 1 - start
                    out[place[first:last]] = table[rows, i * pools : (i + 1) * pools]


def _columns(workers: Array, inner: Inner, out: Array) -> None:
    """One pool after the other."""
    np.divide(workers[:, None], inner[2], out=out)
    pools = inner[0].size
    for places, firsts, (k, d, s), h, b in _spans(workers, inner):
        p, q = d / s, (s - d) / s
        pieces = zip(*(value.tolist() for value in (firsts, k, p / k, q, h, b)), strict=True)
        for i, (first, *values) in enumerate(pieces):
            place = places[i // pools]
            state = max(first, values[0])
            widths = np.array(_step_one(state, float(workers[place[-1]]), *values))
            later = place[workers[place] > state]
            out[later, i % pools] /= widths[(workers[later] - state).astype(np.intp) - 1]


def _step_one(state: float, last: float, k: float, per_core: float, q: float, h: float, b: float) -> list[float]:
    """``_step`` from a state to the last for one pool, in plain numbers: calls of NumPy would take longer."""
    widths = []
    while state < last:
        state += 1.0
        same = b * q
        more = state * per_core * h
        w = 1.0 + more - h + same
        new = state / (state - k) * same
        h = (more + new) / w
        b = new / w
        widths.append(w)
    return widths


def _step(n: Array | float, k: Array, per_core: Array, q: Array, h: Array, b: Array, w: Array, work: Array) -> None:
    """One customer more: h and b become those of n, and w is n/S over X(n)."""
    same, more, new = work
    np.multiply(b, q, out=same)
    np.multiply(n, per_core, out=more)
    more *= h
    np.add(more, 1.0, out=w)
    w -= h
    w += same
    np.subtract(n, k, out=new)
    np.divide(n, new, out=new)
    new *= same
    np.add(more, new, out=h)
    h /= w
    np.divide(new, w, out=b)
