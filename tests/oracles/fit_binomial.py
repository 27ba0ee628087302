"""Fit the coefficients of `capacity/queueing/_binomial_table.py`: `python -m tests.oracles.fit_binomial` writes it.

With n = c + r trials, y^2 = c ln(c/(n p)) + r ln(r/(n q)), y of the sign of c - n p, and
M = c! r! n^n / (2 n! c^c r^r),

    T = P(Bin(n, p) <= c-1) / P(Bin(n, p) = c) = M erfcx(-y) - 1/2 + s(h, w, t)

defines s, a smooth function of h = y/sigma, w = 16/sigma^2 and t = (r - c)/n, sigma^2 = c r/n. Swapping the outcomes
gives s(-h, w, -t) = -s(h, w, t), so of h^j w^k t^l only those with odd j + l occur; and as every power of 1/sigma
brings at most one of t, l <= j + 2k + 1. T is summed in 220-bit integers; s is fitted by least squares, reweighted
towards the least largest error relative to max(T, M (2 exp(y^2) - erfcx(|y|))), which T + 1 + `beyond` exceeds.
Some seconds on one core.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import mpmath
import numpy as np
from mpmath import mp, mpf
from numpy.typing import NDArray

from .fit_temme import literal

MODULE = Path(__file__).parents[2] / "capacity" / "queueing" / "_binomial_table.py"
DIGITS, BITS = 40, 220

FEWEST = 48  # the smaller of c and r, from which the fit is used
FARTHEST = 6.2  # |y|; beyond it s is lost beside exp(y^2)
DEGREES = (9, 7, 5, 3, 1)  # in h, one for every power of w
SKEW = (8, 8, 8, 7, 6)  # largest power of t with every power of w
TAPER = (0.0, 0.0, 0.4, 0.4, 0.0)  # by which it falls with every power of h
WIDEST = 1.2  # h, to scale the columns of the least-squares problem

Term = tuple[int, int, int]


def ratio(c: int, r: int, p: mpmath.mpf) -> mpmath.mpf:
    """T = c/(r+1) q/p + c(c-1)/((r+1)(r+2)) (q/p)^2 + ..."""
    odds, one = int(mp.floor((1 - p) / p * mpf(2) ** BITS)), 1 << BITS
    term, total = one, 0
    for i in range(1, c + 1):
        term = ((term * odds) >> BITS) * (c - i + 1) // (r + i)
        total += term
        if term < (total >> 150):
            break
    return mpf(total) / one


def divergence(c: int, r: int, p: float) -> float:
    """y^2, roughly."""
    n = c + r
    return c * math.log(c / (n * p)) + r * math.log(r / (n * (1 - p)))


def probability(c: int, r: int, y: float) -> float:
    """A p that gives about this y."""
    u = c / (c + r)
    low, high = (0.0, u) if y > 0 else (u, 1.0)
    for _ in range(60):
        middle = (low + high) / 2
        if middle in (0.0, 1.0):
            break
        if (divergence(c, r, middle) > y * y) == (y > 0):
            low = middle
        else:
            high = middle
    return (low + high) / 2


def point(c: int, r: int, about: float) -> tuple[float, float, float, float, float]:
    """Give h, w, t, s, and what its error is divided by."""
    n, p = c + r, mpf(probability(c, r, about))
    y = mp.sqrt(abs(c * mp.log(c / (n * p)) + r * mp.log(r / (n * (1 - p)))))
    if n * p > c:
        y = -y
    logarithms = mp.loggamma(c + 1) + mp.loggamma(r + 1) - mp.loggamma(n + 1)
    half = mp.exp(logarithms + n * mp.log(n) - c * mp.log(c) - r * mp.log(r)) / 2
    exact, bell = ratio(c, r, p), mp.exp(y * y)
    sigma = mp.sqrt(mpf(c) * r / n)
    scale = max(exact, half * bell * (2 - mp.erfc(abs(y))))
    s = exact - half * bell * mp.erfc(-y) + mpf(1) / 2
    return float(y / sigma), float(16 / sigma**2), (r - c) / n, float(s), float(scale)


def nodes(low: float, high: float, count: int) -> list[float]:
    """Chebyshev points."""
    return [(low + high) / 2 + (high - low) / 2 * math.cos(math.pi * (2 * j + 1) / (2 * count)) for j in range(count)]


def samples(skews: int, sizes: int, distances: int) -> NDArray[np.float64]:
    """Columns h, w, t, s, scale over the whole region."""
    seen: set[tuple[int, int]] = set()
    for t in (*nodes(-1, 1, skews), -0.9995, 0.9995):
        for share in nodes(0, 1, sizes):
            n = 2 * FEWEST / share / (1 - abs(t))
            c = max(FEWEST, round(n * (1 - t) / 2))
            seen.add((c, max(FEWEST, round(n - c))))
    ends = nodes(-FARTHEST, FARTHEST, distances)
    with mp.workdps(DIGITS):
        return np.array([point(c, r, y) for c, r in sorted(seen) for y in ends]).T


def terms() -> Iterator[Term]:
    """Give j, k, l of h^j w^k t^l."""
    for k, degree in enumerate(DEGREES):
        for j in range(degree + 1):
            most = min(j + 2 * k + 1, SKEW[k] - int(TAPER[k] * j))
            yield from ((j, k, power) for power in range((j + 1) % 2, most + 1, 2))


def columns(h: NDArray[np.float64], w: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
    """One a term."""
    return np.stack([(h / WIDEST) ** j * w**k * t**power for j, k, power in terms()], axis=1)


def fit(rounds: int = 12) -> dict[Term, float]:
    """Coefficients by term."""
    h, w, t, s, scale = samples(12, 8, 48)
    table, law, best = columns(h, w, t), np.ones_like(s), (math.inf, np.empty(0))
    for _ in range(rounds):
        share = np.sqrt(law) / scale
        found = np.linalg.lstsq(table * share[:, None], s * share, rcond=1e-16)[0]
        left = s - table @ found
        found = found + np.linalg.lstsq(table * share[:, None], left * share, rcond=1e-16)[0]
        error = np.abs(table @ found - s) / scale
        best = min(best, (error.max(), found), key=lambda pair: pair[0])
        law *= error / error.max() + 0.02
        law /= law.max()
    return {term: float(x / WIDEST ** term[0]) for term, x in zip(terms(), best[1], strict=True)}


def residual(found: dict[Term, float]) -> float:
    """Largest error at points the fit has not seen."""
    h, w, t, s, scale = samples(9, 7, 37)
    made = columns(h, w, t) @ np.array([x * WIDEST ** term[0] for term, x in found.items()])
    return float((np.abs(made - s) / scale).max())


def arranged(found: dict[Term, float], parity: int) -> tuple[tuple[tuple[float, ...], ...], ...]:
    """By power of w, of h^2 and of t^2, for the odd or the even powers of h."""
    return tuple(
        tuple(
            tuple(x for (j, other, _), x in found.items() if (j, other) == (power, k))
            for power in range(parity, degree + 1, 2)
        )
        for k, degree in enumerate(DEGREES)
    )


def text(found: dict[Term, float]) -> str:
    """The module."""
    many = len(found)
    head = f'''"""Coefficients of ``_binomial``: {many} doubles, by power of w, of h^2, of t^2, constant terms first.

Written by tests/oracles/fit_binomial.py.

Fitted to 40-digit values. Largest residual, relative to the ratio T, at points between those of the fit:

    {residual(found):.1e}
"""

FEWEST = {FEWEST}  # of either outcome, from which the table holds
'''
    kind = "tuple[tuple[tuple[float, ...], ...], ...]"
    return head + "".join(
        f"{name}: {kind} = {literal(arranged(found, parity))}\n" for name, parity in (("ODD", 1), ("EVEN", 0))
    )


if __name__ == "__main__":
    MODULE.write_text(text(fit()), encoding="utf-8")
    print(MODULE.read_text(encoding="utf-8").split('"""')[1])
