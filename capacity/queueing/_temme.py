"""G = P(Poisson(a) <= c-1) / P(Poisson(a) = c) over blocks, by Temme's uniform expansion, scaled.

With h^2 = phi = a/c - 1 - ln(a/c), h of the sign of c - a, and M(c) = sqrt(pi c/2) Gamma(c)/(sqrt(2 pi/c) (c/e)^c),

    G = M(c) erfcx(-h sqrt(c)) + S(h, 1/c),        erfcx(-y) = 2 exp(y^2) - erfcx(y)

There is no log-gamma in it and nothing underflows. S, erfcx and M are short polynomials and quotients of them,
fitted by ``tests/oracles/fit_temme.py`` with residuals below 1e-15 of G (``_temme_table``). Everything is written
into one scratch array a block, which stays in a core's cache.

Reference: N. M. Temme, The asymptotic expansion of the incomplete gamma functions, SIAM J. Math. Anal. 10 (1979)
757-766; the scaling by the Poisson probability and the fits are made here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from capacity.queueing import _temme_table as table
from capacity.queueing._evaluate import Array

# ln(1 - delta) + delta loses delta to its rounding, which c multiplies: 4e-13 at most, measured, up to here.
_PLAIN_DEVIANCE = 1024.0

# A load of e^-40 c: every number of servers from 32 up then makes exp(c phi) overflow, as it should.
_LARGEST_DEVIANCE = 40.0

# Above it 1 - delta has lost the digits of a small load that a/c still has.
_LITTLE_LOAD = 15 / 16

# Rows at once: the six scratch rows stay in a core's second-level cache, and calls of NumPy are few.
_PIECE = 16384
_PAD = 72  # scratch rows that start a power of two apart would fall into the same lines of the cache
_ONE_BY_ONE = 8  # rows up to which plain floats are faster than a call of NumPy for every step


def below(c: Array, a: Array, spare: Array, out: Array) -> None:
    """G for c >= 32 where c >= a; spare = c - a, to full accuracy."""
    for part, work in _in_cache(c.size):
        _below(c[part], a[part], spare[part], out[part], work)


def _below(c: Array, a: Array, spare: Array, out: Array, work: Array) -> None:
    phi, root_c, y, w, first, second = work
    _deviance(c, a, spare, phi, first, second)
    np.multiply(c, phi, out=out)
    np.exp(out, out=out)
    out += out
    h = np.sqrt(phi, out=phi)
    np.sqrt(c, out=root_c)
    np.multiply(h, root_c, out=y)
    out -= _quotient(y, table.ERFCX_BELOW, first, second)
    np.divide(table.FEWEST, c, out=w)
    root_c *= _polynomial(w, table.SCALE, first)
    out *= root_c
    out += _nested(h, w, table.S_BELOW, first, second)


def above(c: Array, a: Array, spare: Array, out: Array) -> None:
    """G for c >= 32 where c <= a, to 8 standard deviations above c."""
    for part, work in _in_cache(c.size):
        _above(c[part], a[part], spare[part], out[part], work)


def _above(c: Array, a: Array, spare: Array, out: Array, work: Array) -> None:
    phi, root_c, y, w, first, second = work
    _deviance(c, a, spare, phi, first, second)
    h = np.sqrt(phi, out=phi)
    np.sqrt(c, out=root_c)
    np.multiply(h, root_c, out=y)
    np.negative(h, out=h)
    _quotient(y, table.ERFCX_ABOVE, out, second)
    np.divide(table.FEWEST, c, out=w)
    root_c *= _polynomial(w, table.SCALE, first)
    out *= root_c
    out += _nested(h, w, table.S_ABOVE, first, second)


def _in_cache(size: int) -> Iterator[tuple[slice, Array]]:
    """Pieces of so many elements, with six scratch rows of the length of each."""
    each = -(-size // max(1, -(-size // _PIECE)))
    work = np.empty((6, each + _PAD))
    for start in range(0, size, max(1, each)):
        yield slice(start, start + each), work[:, : min(each, size - start)]


def few(c: Array, a: Array) -> Array:
    """G for c < 32 and any load: 1/B(c) = 1 + c/a 1/B(c-1), G = c/a 1/B(c-1), all of whose terms are positive.

    Most servers first, so that every step has to do with a shorter row.
    """
    servers = np.maximum(c, 0.0).astype(np.int8)
    if c.size <= _ONE_BY_ONE:
        per_load = 1.0 / a
        return np.array(list(map(_few, servers.tolist(), per_load.tolist()))) * per_load * c
    order = np.argsort(servers, kind="stable")[::-1]
    longer = c.size - np.cumsum(np.bincount(servers))
    per_load = 1.0 / a[order]
    inverse_b = np.ones(c.size)
    for k in range(1, longer.size - 1):
        part = inverse_b[: longer[k]]
        part *= per_load[: longer[k]]
        part *= k
        part += 1.0
    inverse_b *= per_load
    inverse_b *= c[order]
    ratio = np.empty_like(c)
    ratio[order] = inverse_b
    return ratio


def _few(servers: int, per_load: float) -> float:
    """1/B(servers - 1), with the same roundings as the loop over rows."""
    inverse_b = 1.0
    for k in range(1, servers):
        inverse_b = inverse_b * per_load * k + 1.0
    return inverse_b


def _deviance(c: Array, a: Array, spare: Array, out: Array, delta: Array, scratch: Array) -> None:
    """Compute rho - 1 - ln rho = -delta - ln(1 - delta), delta = (c - a)/c."""
    np.divide(spare, c, out=delta)
    np.negative(delta, out=out)
    np.log1p(out, out=out)
    out += delta
    np.abs(out, out=out)
    little, many = delta > _LITTLE_LOAD, c > _PLAIN_DEVIANCE
    if little.any():
        rows = np.flatnonzero(little)
        out[rows] = np.minimum(-np.log(a[rows] / c[rows]) - delta[rows], _LARGEST_DEVIANCE)
    if many.any():
        many &= np.abs(delta) < table.DEVIANCE_END
        v = delta / (2.0 - delta)
        w = v * v
        precise = _polynomial(w, table.DEVIANCE, scratch)
        precise *= w
        precise += precise
        precise += delta
        precise *= v
        np.copyto(out, precise, where=many)


def _polynomial(x: Array, coefficients: Sequence[float], out: Array) -> Array:
    """Horner's rule; constant term first. The same roundings one by one, for what is not worth so many calls."""
    if x.size <= _ONE_BY_ONE:
        for place, point in enumerate(x.tolist()):
            total = coefficients[-1]
            for coefficient in coefficients[-2::-1]:
                total = total * point + coefficient
            out[place] = total
        return out
    np.multiply(x, coefficients[-1], out=out)
    for coefficient in coefficients[-2:0:-1]:
        out += coefficient
        out *= x
    out += coefficients[0]
    return out


def _quotient(x: Array, parts: Sequence[Sequence[float]], out: Array, scratch: Array) -> Array:
    _polynomial(x, parts[0], out)
    out /= _polynomial(x, parts[1], scratch)
    return out


def _nested(h: Array, w: Array, rows: Sequence[Sequence[float]], out: Array, scratch: Array) -> Array:
    """sum_k w^k P_k(h)."""
    out.fill(rows[-1][0])
    for row in rows[-2::-1]:
        out *= w
        out += _polynomial(h, row, scratch)
    return out
