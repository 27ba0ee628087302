"""T = P(Bin(n, p) <= c-1) / P(Bin(n, p) = c) over flat arrays: Engset's formula, of which it is 1/E - 1.

With r = n - c, q = 1 - p and y^2 = c ln(c/(n p)) + r ln(r/(n q)), y of the sign of c - n p,

    T = M erfcx(-y) - 1/2 + s,        M = c! r! n^n / (2 n! c^c r^r),        erfcx(-y) = 2 exp(y^2) - erfcx(y)

as for the Poisson ratio in ``_temme``: nothing underflows and there is no log-gamma and no incomplete beta function.
s is a polynomial fitted by ``tests/oracles/fit_binomial.py`` (``_binomial_table``), for c and r from 48 up. For fewer,
T or its complement is a short sum of positive terms.

Where c < n p, T is small beside the states from c on, T2 = sum_j r!/(r-j)! (p/(c q))^j, to which it is added; its error
is small relative to T + T2, not to T. (There ln T2 exceeds y^2, as r theta - r - r ln theta = y^2 + n (x - 1 - ln x)
with x = c/(n p), theta = c q/(r p).)

Reference: N. M. Temme, The uniform asymptotic expansion of a class of integrals related to cumulative distribution
functions, SIAM J. Math. Anal. 13 (1982) 239-253; form and fit are made here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from capacity.queueing import _binomial_table as table
from capacity.queueing._evaluate import Array
from capacity.queueing._poisson import stirling_error
from capacity.queueing._temme_table import ERFCX_BELOW

Mask: TypeAlias = NDArray[np.bool_]
Value = TypeVar("Value", float, Array)

_PIECE = 4096  # rows at once, so that the dozen arrays stay in a core's nearest cache
# rows up to which plain floats are faster than a call of NumPy for every step, of the polynomials and of the sums
_ONE_BY_ONE = 8
_FEW = 40
_LITTLE = 15 / 16  # beyond it 1 - x has lost the digits of a small ratio that can be had directly


def divergence(c: Array, r: Array, p: Array, q: Array, excess: Array) -> Array:
    """y^2; excess = n p - c, to full accuracy."""
    high, low = excess / c, excess / r
    first, second = np.log1p(high), np.log1p(-low)
    rare, sure = np.flatnonzero(high < -_LITTLE), np.flatnonzero(low > _LITTLE)
    if rare.size:
        first[rare] = np.log((c[rare] + r[rare]) * p[rare] / c[rare])
    if sure.size:
        second[sure] = np.log((c[sure] + r[sure]) * q[sure] / r[sure])
    first *= c
    second *= r
    first += second
    return np.abs(first, out=first)


def below(c: Array, r: Array, odds: Array, y2: Array, under: Mask) -> Array:
    """T for c >= 0 and r >= 1; odds = q/p, y2 = y^2, ``under`` where c < n p."""
    few, most = c < table.FEWEST, r < table.FEWEST
    most &= ~few
    ratio = np.empty_like(c)
    rows = np.flatnonzero(~(few | most))
    if rows.size:
        ratio[rows] = _fitted(c[rows], r[rows], y2[rows], under[rows])
    if few.any():
        rows = np.flatnonzero(few)
        ratio[rows] = _summed(c[rows], r[rows], odds[rows])
    if most.any():
        rows = np.flatnonzero(most)
        n, k = c[rows], r[rows]
        error = stirling_error(n) + stirling_error(k) - stirling_error(n + k)
        whole = np.sqrt(2.0 * np.pi * n * k / (n + k)) * np.exp(y2[rows] + error)
        ratio[rows] = np.maximum(whole - 1.0 - _summed(k, n, 1.0 / odds[rows]), 0.0)
    return ratio


def _summed(c: Array, r: Array, odds: Array) -> Array:
    """T = c/(r+1) odds (1 + (c-1)/(r+2) odds (1 + ...)), for few c.

    Most terms first, so that every step has to do with a shorter row.
    """
    if c.size < _FEW:
        return np.array([_sum(*values) for values in zip(c.tolist(), r.tolist(), odds.tolist(), strict=True)])
    terms = c.astype(np.int8)
    order = np.argsort(terms, kind="stable")[::-1]
    longer = c.size - np.cumsum(np.bincount(terms))
    odds, trials = odds[order], (c + r + 1.0)[order]
    total, step = np.zeros(c.size), np.empty(c.size)
    for k in range(1, longer.size):
        part = slice(0, int(longer[k - 1]))
        inner, factor = total[part], step[part]
        np.subtract(trials[part], k, out=factor)
        np.divide(k, factor, out=factor)
        factor *= odds[part]
        inner += 1.0
        inner *= factor
    ratio = np.empty_like(c)
    ratio[order] = total
    return ratio


def _sum(c: float, r: float, odds: float) -> float:
    """The same for one row in plain numbers."""
    total, trials = 0.0, c + r + 1.0
    for k in range(1, int(c) + 1):
        total = (total + 1.0) * (k / (trials - k) * odds)
    return total


def _fitted(c: Array, r: Array, y2: Array, under: Mask) -> Array:
    ratio = np.empty_like(c)
    if c.size <= _ONE_BY_ONE:
        for row in range(c.size):
            part = slice(row, row + 1)
            ratio[part] = _piece(c[part], r[part], y2[part], under[part])
        return ratio
    for start in range(0, c.size, _PIECE):
        part = slice(start, start + _PIECE)
        ratio[part] = _piece(c[part], r[part], y2[part], under[part])
    return ratio


def _piece(c: Array, r: Array, y2: Array, under: Mask) -> Array:
    n = c + r
    variance = c * r / n
    root, y = np.sqrt(variance), np.sqrt(y2)
    half = root * np.exp(_stirling(c) + _stirling(r) - _stirling(n))
    half *= np.sqrt(np.pi / 2.0)
    tail = _polynomial(y, ERFCX_BELOW[0]) / _polynomial(y, ERFCX_BELOW[1])
    bell = np.exp(y2)
    bell += bell
    ratio = np.where(under, tail, bell - tail)
    ratio *= half
    h = y / root
    np.negative(h, out=h, where=under)
    ratio += _surplus(h, 16.0 / variance, (r - c) / n)
    return ratio


def _stirling(n: Array) -> Array:
    """Logarithm of n! less Stirling's formula, n from 48 up."""
    x = 1.0 / n
    x2 = x * x
    return x * (1 / 12 - x2 * (1 / 360 - x2 * (1 / 1260 - x2 / 1680)))


def _surplus(h: Array, w: Array, t: Array) -> Array:
    if h.size > 1:
        return _polynomials(h, w, t)
    return np.array([_polynomials(float(h[0]), float(w[0]), float(t[0]))])


def _polynomials(h: Value, w: Value, t: Value) -> Value:
    """Give s - 1/2: the odd powers of h with the even ones of t, and the other way round.

    The same text for floats and for arrays, so that the roundings are the same.
    """
    h2, t2 = h * h, t * t
    return h * _nested(table.ODD, w, h2, t2) + t * _nested(table.EVEN, w, h2, t2) - 0.5


def _nested(rows: Sequence[Sequence[Sequence[float]]], w: Value, h2: Value, t2: Value) -> Value:
    total = _rows(rows[-1], h2, t2)
    for row in rows[-2::-1]:
        total *= w
        total += _rows(row, h2, t2)
    return total


def _rows(row: Sequence[Sequence[float]], h2: Value, t2: Value) -> Value:
    total = _polynomial(t2, row[-1])
    for coefficients in row[-2::-1]:
        total *= h2
        total += _polynomial(t2, coefficients) if len(coefficients) > 1 else coefficients[0]
    return total


def _polynomial(x: Value, coefficients: Sequence[float]) -> Value:
    """Horner's rule, constant term first, of which there are two at least."""
    total = x * coefficients[-1]
    for coefficient in coefficients[-2:0:-1]:
        total += coefficient
        total *= x
    total += coefficients[0]
    return total
