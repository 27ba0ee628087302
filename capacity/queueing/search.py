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
    newest, other = high.copy(), low.copy()
    f_newest, f_other = function(newest, rows), function(other, rows)
    third, f_third = other.copy(), f_other.copy()
    answer = high.copy()
    rows = np.flatnonzero((f_newest <= 0) & (f_other > 0) & np.isfinite(low) & np.isfinite(high))
    newest, other, third = newest[rows], other[rows], third[rows]
    f_newest, f_other, f_third = f_newest[rows], f_other[rows], f_third[rows]
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
            answer[rows[done]] = np.where(f_newest > 0, other, newest)[done]
            keep = ~done
            rows, newest, other, third = rows[keep], newest[keep], other[keep], third[keep]
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


def largest_count(meets: Callable[[Array, Rows], NDArray[np.bool_]], step: Array) -> Array:
    """Largest whole number, from 0, that meets a condition which is lost for good once it is lost."""
    return least_count(lambda n, rows: ~meets(n, rows), np.zeros(step.shape), step) - 1.0
