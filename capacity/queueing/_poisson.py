"""Ratios of Poisson probabilities: what Erlang's formulas and the finite source are made of.

Everything rests on ``cdf_ratio``, G = P(Poisson(a) <= c-1) / P(Poisson(a) = c), because
1/B = 1 + G and 1/C = 1 + (c-a)/c G. Both probabilities may underflow while G does not, so G is never
computed as a ratio of two tiny numbers: it is a short recursion for few servers, Temme's expansion for more, and
a continued fraction where the load is far above the servers.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from math import factorial, log, pi

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc, gammaincc

from capacity.queueing import _temme
from capacity.queueing._evaluate import Array
from capacity.queueing._temme_table import FEWEST

# ln n! minus Stirling's approximation, n = 0..15 (at 0, where Stirling has no value, it is not used).
_STIRLING_ERROR = np.array(
    [0.0, *(log(factorial(n)) - (n + 0.5) * log(n) + n - 0.5 * log(2 * pi) for n in range(1, 16))]
)

# Levels of the continued fraction: at the edge of its region, (a - c)^2 = 64 c, level n shrinks what is
# left by about n/64, so 24 levels leave 24!/64^24 = 3e-20.
_LEVELS = 24

# One row in so many may be computed twice before the rows are rather sorted out first, which costs about a tenth.
_FEW_OTHERS = 10

# Below it 1/a may overflow; the ratio is then inf, and what is made of it 0 instead of less than 1e-300.
_TINY = 1e-300


def far_above(c: Array, a: Array) -> NDArray[np.bool_]:
    """Where the mean a lies 8 standard deviations above c, so that P(Poisson(a) <= c) may underflow."""
    return (a > c) & ((a - c) ** 2 >= 64.0 * c)


def fraction(c: Array, a: Array, spare: Array) -> Array:
    """Evaluate the part f of the continued fraction G = c / (a - c + 1 + f), for ``far_above``.

    f = 1(c-1) / (a-c+3 + 2(c-2) / (a-c+5 + ...)), Legendre's fraction for the upper incomplete gamma
    function (NIST DLMF 8.9.2). It ends by itself at level c.
    """
    f = np.zeros_like(c)
    for level in range(_LEVELS, 0, -1):
        f = level * np.maximum(c - level, 0.0) / (2 * level + 1 - spare + f)
    return f


def cdf_ratio(c: Array, a: Array, spare: Array, *, above: bool = True) -> Array:
    """G = P(Poisson(a) <= c-1) / P(Poisson(a) = c) for whole c; spare = c - a, to full accuracy.

    Every row is computed from itself alone, by the method its own values ask for; where nearly all of a block
    ask for the same one, the whole block is given to it, and the rest done again. Without ``above``, rows of more
    load than servers may hold anything.
    """
    small, over = c < FEWEST, spare < 0
    over &= ~small
    counted = np.count_nonzero(small), np.count_nonzero(over)
    ratio = np.empty_like(c)
    if sum(counted) * _FEW_OTHERS <= c.size:
        _temme.below(c, a, spare, ratio)
    else:
        rows = np.flatnonzero(~(small | over))
        found = np.empty(rows.size)
        _temme.below(c[rows], a[rows], spare[rows], found)
        ratio[rows] = found
    if counted[0]:
        rows = np.flatnonzero(small)
        ratio[rows] = _few(c[rows], a[rows])
    if counted[1] and above:
        rows = np.flatnonzero(over)
        ratio[rows] = _over(c[rows], a[rows], spare[rows])
    return ratio


def _few(c: Array, a: Array) -> Array:
    ratio = _temme.few(c, a)
    tiny = a < _TINY
    if tiny.any():
        ratio[tiny] = np.inf
        ratio[c == 0] = 0.0
    return ratio


def _over(c: Array, a: Array, spare: Array) -> Array:
    """More load than servers: a continued fraction where the mean is far above c."""
    far = far_above(c, a)
    if not far.any():
        ratio = np.empty_like(c)
        _temme.above(c, a, spare, ratio)
        return ratio
    ratio, near = np.empty_like(c), ~far
    found = np.empty(np.count_nonzero(near))
    _temme.above(c[near], a[near], spare[near], found)
    ratio[near] = found
    n, x, s = c[far], a[far], spare[far]
    ratio[far] = n / (1.0 - s + fraction(n, x, s))
    return ratio


def complement_ratio(c: Array, a: Array) -> Array:
    """H = P(Poisson(a) >= c) / P(Poisson(a) = c) = 1 + a/(c+1) + a^2/((c+1)(c+2)) + ..., for a <= c."""
    reached = gammainc(np.maximum(c, 1.0), a)
    far = (c - a) ** 2 >= 64.0 * c
    ratio = np.where(a == 0, 1.0, reached * np.exp(-log_pmf(c, a, c - a)))
    many = far & (c >= 64)
    if many.any():
        # c / (c-a + 1a / (c-a+1 + 2a / (c-a+2 + ...))), which shrinks like that of ``fraction``
        n, x = c[many], a[many]
        f = np.zeros_like(n)
        for level in range(_LEVELS, 0, -1):
            f = level * x / ((n - x) + level + f)
        ratio[many] = n / ((n - x) + f)
    far = (far | (reached < 1e-290)) & ~many
    if far.any():
        n, x = c[far], a[far]
        ratio[far] = product_series(lambda i: x / (n + 1.0 + i), n.shape)
    return ratio


def log_pmf(c: Array, a: Array, spare: Array) -> Array:
    """Logarithm of P(Poisson(a) = c) in saddle-point form, which does not cancel for large c.

    Reference: C. Loader, Fast and Accurate Computation of Binomial Probabilities (2000), eq. 3.
    """
    n = np.maximum(c, 1.0)
    log_p = -stirling_error(n) - n * deviance(a / n, -spare / n) - 0.5 * np.log(2.0 * pi * n)
    return np.where(c == 0, -a, log_p)


def log_cdf(c: Array, a: Array) -> Array:
    """Logarithm of P(Poisson(a) <= c-1), also where the probability itself underflows."""
    return np.where(
        far_above(c, a),
        log_pmf(c, a, c - a) + np.log(cdf_ratio(c, a, c - a)),
        np.log(gammaincc(np.maximum(c, 1.0), a)),
    )


def stirling_error(n: Array) -> Array:
    """Remainder ln n! - ((n + 1/2) ln n - n + ln(2 pi)/2) for whole n >= 1, absolute error below 1e-14."""
    q = 1.0 / (n * n)
    series = (1 / 12 - q * (1 / 360 - q * (1 / 1260 - q * (1 / 1680 - q * (1 / 1188 - q * 691 / 360360))))) / n
    small = n < _STIRLING_ERROR.size
    return np.where(small, _STIRLING_ERROR[np.where(small, n, 0.0).astype(np.intp)], series)


def deviance(ratio: Array, excess: Array) -> Array:
    """Compute rho - 1 - ln rho without cancellation; excess = rho - 1, to full accuracy.

    Near 1 it is x v - 2(v^3/3 + v^5/5 + ...) with x = excess and v = x/(2+x).
    """
    v = excess / (2.0 + excess)
    w = v * v
    tail = np.full_like(w, 1 / 21)
    for k in range(19, 1, -2):
        tail = 1 / k + w * tail
    return np.where(np.abs(excess) < 0.3, v * (excess - 2.0 * w * tail), excess - np.log(ratio))


def product_series(ratio: Callable[[int], Array], shape: tuple[int, ...]) -> Array:
    """1 + r(0) + r(0) r(1) + r(0) r(1) r(2) + ... for falling ratios, until no sum changes any more."""
    term = np.ones(shape)
    total = term
    for i in count():
        term = term * ratio(i)
        longer = total + term
        if np.array_equal(longer, total, equal_nan=True):
            return total
        total = longer
    raise AssertionError  # unreachable: count() does not end
