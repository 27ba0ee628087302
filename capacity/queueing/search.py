"""Solving monotone equations over whole arrays at once: real roots, and least whole numbers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from capacity.queueing._evaluate import Array

Rows: TypeAlias = NDArray[np.intp]

_TOLERANCE = 2.0 * np.finfo(float).eps
_INTERPOLATIONS = 100
_BOLDEST = 32.0  # times the step: how far a line through two points is believed
_LARGEST_COUNT = 2.0**52  # beyond it neighbouring whole numbers are no longer told apart safely


def root(function: Callable[[Array, Rows], Array], low: Array, high: Array) -> Array:
    """Least x, to the last bits, at which a falling function is no longer positive.

    Parameters
    ----------
    function : callable
        ``function(x, rows)`` at points x for the given rows of the problem. It may return infinities.
    low, high : ndarray
        A bracket: function(low) > 0 >= function(high). Where it is none, high is returned.

    Returns
    -------
    ndarray
        x with function(x) <= 0, within two units in the last place of a change of sign.

    References
    ----------
    T. R. Chandrupatla, A new hybrid quadratic/bisection algorithm for finding the zero of a nonlinear
    function without using derivatives, Advances in Engineering Software 28 (1997) 145-149.
    """
    rows = np.arange(low.size)
    f_high, f_low = function(high, rows), function(low, rows)
    answer = high.copy()
    rows = np.flatnonzero((f_high <= 0) & (f_low > 0) & np.isfinite(low) & np.isfinite(high))
    answer[rows] = _close_in(function, rows, high[rows], low[rows], f_high[rows], f_low[rows])
    return answer


def root_above(function: Callable[[Array, Rows], Array], low: Array) -> Array:
    """``root`` from a positive lower bound on; low itself where the function is not positive there.

    Parameters
    ----------
    function
        As for ``root``; it may be positive all the way to infinity.
    low : ndarray
        Doubled until the function is no longer positive.

    Returns
    -------
    ndarray
        As of ``root``.
    """
    high, f_low = low.copy(), function(low, np.arange(low.size))
    f_high = f_low.copy()
    rows = np.flatnonzero(f_low > 0)
    while rows.size:
        high[rows] *= 2.0
        f_high[rows] = function(high[rows], rows)
        rows = rows[(f_high[rows] > 0) & np.isfinite(high[rows])]
    answer = high.copy()
    rows = np.flatnonzero((f_high <= 0) & (f_low > 0) & np.isfinite(high))
    answer[rows] = _close_in(function, rows, high[rows], low[rows], f_high[rows], f_low[rows])
    return answer


def root_near(function: Callable[[Array, Rows], Array], low: Array, high: Array, start: Array, step: Array) -> Array:
    """``root`` from a good guess inside a bracket whose ends are never evaluated.

    Parameters
    ----------
    function, low, high
        As for ``root``; function(low) > 0 >= function(high) is taken for granted.
    start, step : ndarray
        The guess, and how far off it may be; the step is multiplied by 4 until it has crossed the root.

    Returns
    -------
    ndarray
        As of ``root``; ``low`` or ``high`` where the root is no nearer than that.
    """
    answer, step = high.copy(), step.copy()
    searched = np.flatnonzero((low < high) & np.isfinite(low) & np.isfinite(high))
    far = np.where(np.isfinite(start), np.minimum(np.maximum(start, low), high), (low + high) / 2.0)
    near, f_near, f_far = far.copy(), np.zeros(low.shape), np.zeros(low.shape)
    f_far[searched] = function(far[searched], searched)
    rows = searched
    while rows.size:
        near[rows], f_near[rows] = far[rows], f_far[rows]
        toward = np.where(f_near[rows] > 0, step[rows], -step[rows])
        far[rows] = np.minimum(np.maximum(near[rows] + toward, low[rows]), high[rows])
        f_far[rows] = function(far[rows], rows)
        step[rows] *= 4.0
        rows = rows[((f_far[rows] > 0) == (f_near[rows] > 0)) & (far[rows] > low[rows]) & (far[rows] < high[rows])]
    answer[searched] = far[searched]
    rows = searched[(f_far[searched] > 0) != (f_near[searched] > 0)]
    answer[rows] = _close_in(function, rows, far[rows], near[rows], f_far[rows], f_near[rows])
    return answer


def _close_in(
    function: Callable[[Array, Rows], Array],
    rows: Rows,
    newest: Array,
    other: Array,
    f_newest: Array,
    f_other: Array,
) -> Array:
    """Chandrupatla's iteration from two points on the two sides of the root; the side that is not positive."""
    answer = np.where(f_newest > 0, other, newest)
    third, f_third = other, f_other
    places = np.arange(rows.size)
    step = np.full(rows.size, 0.5)
    for iteration in count():
        if not rows.size:
            break
        x = newest + step * (other - newest)
        f = function(x, rows)
        same = (f > 0) == (f_newest > 0)
        third, f_third = np.where(same, newest, other), np.where(same, f_newest, f_other)
        other, f_other = np.where(same, other, newest), np.where(same, f_other, f_newest)
        newest, f_newest = x, f
        width = np.abs(other - newest)
        shortest = _TOLERANCE * np.maximum(np.abs(newest), np.abs(other)) / width
        done = ~(shortest <= 0.5) | (f == 0)
        if done.any():
            answer[places[done]] = np.where(f_newest > 0, other, newest)[done]
            keep = ~done
            rows, places = rows[keep], places[keep]
            newest, other, third = newest[keep], other[keep], third[keep]
            f_newest, f_other, f_third = f_newest[keep], f_other[keep], f_third[keep]
            shortest = shortest[keep]
        xi = (newest - other) / (third - other)
        phi = (f_newest - f_other) / (f_third - f_other)
        # plain bisection, which always ends, for the few that interpolation has not finished
        interpolate = (phi * phi < xi) & ((1.0 - phi) ** 2 < 1.0 - xi) & (iteration < _INTERPOLATIONS)
        step = f_newest / (f_other - f_newest) * f_third / (f_other - f_third) + (third - newest) / (
            other - newest
        ) * f_newest / (f_third - f_newest) * f_other / (f_third - f_other)
        step = np.where(interpolate & np.isfinite(step), step, 0.5)
        step = np.minimum(np.maximum(step, shortest), 1.0 - shortest)
    return answer


def upper_bracket(function: Callable[[Array, Rows], Array], start: Array) -> Array:
    """Double start, which is positive, until the falling function is no longer positive there."""
    high = start.copy()
    rows = np.arange(high.size)
    while rows.size:
        rows = rows[(function(high[rows], rows) > 0) & np.isfinite(high[rows])]
        high[rows] *= 2.0
    return high


def least_count(meets: Callable[[Array, Rows], NDArray[np.bool_]], below: Array, step: Array) -> Array:
    """Least whole number above ``below`` that meets a condition which, once met, stays met.

    Parameters
    ----------
    meets : callable
        ``meets(n, rows)`` for whole numbers n, one for each of the given rows of the problem.
    below : ndarray
        Whole numbers known (or agreed) not to meet it; -1 says nothing is known.
    step : ndarray
        First guess of the distance; doubled until the condition is met.

    Returns
    -------
    ndarray
        n with meets(n) and not meets(n - 1), as evaluated; inf where none up to 2^52 meets it.
    """
    low = below.copy()
    high = np.full(low.shape, np.inf)
    step = np.maximum(np.ceil(step), 1.0)
    rows = np.flatnonzero(low < _LARGEST_COUNT)
    while rows.size:
        guess = np.minimum(low[rows] + step[rows], _LARGEST_COUNT)
        met = meets(guess, rows)
        high[rows[met]] = guess[met]
        rows, guess = rows[~met], guess[~met]
        low[rows] = guess
        step[rows] *= 2.0
        rows = rows[guess < _LARGEST_COUNT]
    rows = np.flatnonzero(np.isfinite(high) & (high - low > 1))
    while rows.size:
        middle = np.floor((low[rows] + high[rows]) / 2.0)
        met = meets(middle, rows)
        high[rows[met]] = middle[met]
        low[rows[~met]] = middle[~met]
        rows = rows[high[rows] - low[rows] > 1]
    return high


def least_crossing(
    excess: Callable[[Array, Rows], Array], below: Array, start: Array, step: Array
) -> tuple[Array, Array, Array]:
    """Least whole number above ``below`` at which a falling function is no longer positive, from a good guess.

    Parameters
    ----------
    excess : callable
        ``excess(n, rows)`` for whole numbers n; the smoother, the fewer calls. NaN counts as positive.
    below : ndarray
        Whole numbers at which it is known (or agreed) to be positive.
    start, step : ndarray
        The guess, and how far off it may be. The step is doubled, or taken as long as the last two values ask for,
        until it has crossed; then interpolation follows.

    Returns
    -------
    tuple of ndarray
        n with excess(n) <= 0 < excess(n - 1), inf where none up to 2^52 has it; excess(n); and excess(n - 1),
        NaN where that is ``below`` and was not evaluated.
    """
    low, high = below.copy(), np.full(below.shape, np.inf)
    f_low, f_high = np.full(below.shape, np.nan), np.full(below.shape, np.nan)
    rows = np.flatnonzero(low < _LARGEST_COUNT)
    x = np.ceil(np.fmin(np.fmax(start[rows], low[rows] + 1.0), _LARGEST_COUNT))
    step, weight = np.maximum(np.ceil(step[rows]), 1.0), np.ones(rows.size)
    was_met = np.zeros(rows.size, dtype=bool)
    f_last, x_last = np.full((2, rows.size), np.nan)
    for turn in count():
        f = excess(x, rows)
        f = np.where(np.isnan(f), np.inf, f)
        met = f <= 0
        high[rows[met]], f_high[rows[met]] = x[met], f[met]
        low[rows[~met]], f_low[rows[~met]] = x[~met], f[~met]
        going = (high[rows] - low[rows] > 1) & (low[rows] < _LARGEST_COUNT)
        # Illinois: a side that is hit again makes the other count half
        weight = np.where((met == was_met) & (turn > 0), 0.5 * weight, 1.0)
        rows, was_met, weight, step = rows[going], met[going], weight[going], step[going]
        if not rows.size:
            return high, f_high, f_low
        f, f_last, x_now, x_last = f[going], f_last[going], x[going], x_last[going]
        a, b, f_a, f_b = low[rows], high[rows], f_low[rows], f_high[rows]
        share = f_a * np.where(was_met, weight, 1.0)
        share /= share - f_b * np.where(was_met, 1.0, weight)
        between = a + (b - a) * (share if turn % 4 < 3 else 0.5)
        x = np.ceil(np.where(np.isfinite(between), between, (a + b) / 2.0))
        # not yet crossed: as far as the line through the last two points says, within reason
        stride = np.fmin(np.fmax(np.ceil(np.abs(f * (x_now - x_last) / (f - f_last))), step), _BOLDEST * step)
        x = np.where(np.isinf(b), a + stride, np.where(np.isnan(f_a), b - stride, x))
        x = np.minimum(np.minimum(np.maximum(x, a + 1.0), b - 1.0), _LARGEST_COUNT)
        step, f_last, x_last = step * 2.0, f, x_now
    raise AssertionError  # unreachable: count() does not end


def largest_count(meets: Callable[[Array, Rows], NDArray[np.bool_]], step: Array) -> Array:
    """Largest whole number, from 0, that meets a condition which is lost for good once it is lost."""
    return least_count(lambda n, rows: ~meets(n, rows), np.zeros(step.shape), step) - 1.0
