"""Fit the coefficients of `capacity/queueing/_temme_table.py`: `python -m tests.oracles.fit_temme` writes the module.

With h^2 = a/c - 1 - ln(a/c), h of the sign of c - a, and M(c) = sqrt(pi c/2) Gamma(c)/(sqrt(2 pi/c) (c/e)^c),

    G = P(Poisson(a) <= c-1) / P(Poisson(a) = c) = M(c) erfcx(-h sqrt(c)) + S(h, 1/c)

defines S, which is smooth and of order 1. Fitted by weighted least squares at 40 digits, reweighted towards the
least largest error: S as polynomials in h, one for every power of 32/c; erfcx as a quotient; M as a polynomial.
Every residual printed is relative to G (below: a <= c; above: a > c), at points between those of the fit and with
the coefficients rounded to doubles. Some seconds on one core.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import mpmath
from mpmath import mp, mpf

MODULE = Path(__file__).parents[2] / "capacity" / "queueing" / "_temme_table.py"
DIGITS = 40

FEWEST = 32  # servers, from which the expansion is used
# beyond z = h sqrt(c) = 6.2 S and erfcx are lost beside 2 exp(z^2); below -5.7, which is 8 standard deviations
# above c servers, a continued fraction takes over
SIDES = {"BELOW": (mpf(0), mpf("6.2")), "ABOVE": (mpf("-5.75"), mpf(0))}
S_DEGREES = {"BELOW": (9, 7, 5, 3, 1, 0), "ABOVE": (12, 10, 8, 5, 3, 0)}
ERFCX_DEGREES = {"BELOW": (6, 7), "ABOVE": (7, 8)}
SCALE_DEGREE = 7
DEVIANCE_DEGREE, DEVIANCE_END = 8, mpf("0.45")

Number = mpmath.mpf
Polynomial = list[Number]


def erfcx(x: Number) -> Number:
    """The scaled complementary error function."""
    return mp.exp(x * x) * mp.erfc(x)


def ratio(c: Number, h: Number) -> Number:
    """G by the incomplete gamma function, at the load that has this h."""
    rho = mpf(1) if h == 0 else -mp.lambertw(-mp.exp(-1 - h * h), 0 if h > 0 else -1).real
    a = c * rho
    return mp.gammainc(c, a) * c * mp.exp(a - c * mp.log(a))


def scale(c: Number) -> Number:
    """M(c)/sqrt(c)."""
    return mp.sqrt(mp.pi / 2) * mp.gamma(c) / (mp.sqrt(2 * mp.pi / c) * mp.exp(c * mp.log(c) - c))


def deviance_tail(delta: Number) -> Number:
    """T in -delta - ln(1 - delta) = v delta + 2 v^3 T, v = delta/(2 - delta): 1/3 + v^2/5 + v^4/7 + ..."""
    v = delta / (2 - delta)
    return mpf(1) / 3 if v == 0 else (-delta - mp.log(1 - delta) - v * delta) / (2 * v**3)


def nodes(low: Number, high: Number, count: int) -> list[Number]:
    """Chebyshev points."""
    return [(low + high) / 2 + (high - low) / 2 * mp.cos(mp.pi * (2 * j + 1) / (2 * count)) for j in range(count)]


def value(polynomial: Sequence[object], x: Number) -> Number:
    """Coefficients from the constant up."""
    total = mpf(0)
    for coefficient in reversed(polynomial):
        total = total * x + mpf(coefficient)
    return total


def least_squares(rows: list[list[Number]], right: list[Number]) -> list[Number]:
    """Solve the normal equations; the digits to spare make them safe."""
    size = len(rows[0])
    matrix, vector = mp.matrix(size, size), mp.matrix(size, 1)
    for i in range(size):
        for j in range(i, size):
            matrix[i, j] = matrix[j, i] = mp.fsum(row[i] * row[j] for row in rows)
        vector[i] = mp.fsum(row[i] * y for row, y in zip(rows, right, strict=True))
    return list(mp.lu_solve(matrix, vector))


def towards_the_largest(law: list[Number], errors: list[Number]) -> list[Number]:
    """Lawson's weights of the next round: the more the larger the error."""
    largest = max(errors)
    law = [weight * (error / largest + mpf("0.02")) for weight, error in zip(law, errors, strict=True)]
    return [weight / max(law) for weight in law]


def fit_polynomial(function: Callable[[Number], Number], low: Number, high: Number, degree: int) -> Polynomial:
    """Interpolate at Chebyshev points: all but the best polynomial."""
    xs = nodes(low, high, degree + 1)
    return least_squares([[x**i for i in range(degree + 1)] for x in xs], [function(x) for x in xs])


def erfcx_weight(side: str, y: Number) -> Number:
    """The share of G that a relative change of erfcx(y) moves, divided by erfcx(y)."""
    return 1 / (2 * mp.exp(y * y) - erfcx(y)) if side == "BELOW" else 1 / erfcx(y)


def fit_erfcx(side: str) -> tuple[Polynomial, Polynomial]:
    """Numerator and denominator, by linear least squares repeated with the last denominator."""
    up, down = ERFCX_DEGREES[side]
    xs = nodes(mpf(0), max(abs(end) for end in SIDES[side]), 80)
    ys, weights = [erfcx(x) for x in xs], [erfcx_weight(side, x) for x in xs]
    bottom, law, best = [mpf(1)] * len(xs), [mpf(1)] * len(xs), None
    for _ in range(12):
        shares = [w / d * mp.sqrt(share) for w, d, share in zip(weights, bottom, law, strict=True)]
        points = list(zip(xs, ys, shares, strict=True))
        solved = least_squares(
            [[k * x**i for i in range(up + 1)] + [-k * y * x**i for i in range(1, down + 1)] for x, y, k in points],
            [k * y for _, y, k in points],
        )
        top, under = solved[: up + 1], [mpf(1), *solved[up + 1 :]]
        bottom = [value(under, x) for x in xs]
        errors = [abs(value(top, x) / d - y) * w for x, y, d, w in zip(xs, ys, bottom, weights, strict=True)]
        best = min(best or (mpf("inf"),), (max(errors), top, under), key=lambda found: found[0])
        law = towards_the_largest(law, errors)
    return best[1], best[2]


def samples(side: str, many: tuple[int, int]) -> list[tuple[Number, Number, Number, Number]]:
    """32/c, h, S and G."""
    low, high = SIDES[side]
    found = []
    for w in nodes(mpf(0), mpf(1), many[0]):
        c = FEWEST / w
        for z in nodes(low, high, many[1]):
            h = z / mp.sqrt(c)
            exact = ratio(c, h)
            found.append((w, h, exact - mp.sqrt(c) * scale(c) * erfcx(-z), exact))
    return found


def fit_s(side: str) -> list[Polynomial]:
    """One polynomial in h for every power of 32/c."""
    degrees = S_DEGREES[side]
    points = samples(side, (12, 36))
    terms = [(k, j) for k, degree in enumerate(degrees) for j in range(degree + 1)]
    law, best = [mpf(1)] * len(points), None
    table = [[w**k * h**j / g for k, j in terms] for w, h, _, g in points]
    goal = [s / g for _, _, s, g in points]
    for _ in range(8):
        shares = [mp.sqrt(share) for share in law]
        rows = [[k * x for x in row] for k, row in zip(shares, table, strict=True)]
        solved = least_squares(rows, [k * y for k, y in zip(shares, goal, strict=True)])
        errors = [
            abs(mp.fsum(x * y for x, y in zip(row, solved, strict=True)) - y)
            for row, y in zip(table, goal, strict=True)
        ]
        best = min(best or (mpf("inf"),), (max(errors), solved), key=lambda found: found[0])
        law = towards_the_largest(law, errors)
    rest = iter(best[1])
    return [[next(rest) for _ in range(degree + 1)] for degree in degrees]


def residuals(table: dict[str, object], many: tuple[int, int] = (9, 23)) -> dict[str, float]:
    """Largest error of every part, relative to G, at points the fit has not seen."""
    found = {}
    for side, ends in SIDES.items():
        polynomials = table[f"S_{side}"]
        found[f"S_{side}"] = max(
            abs(mp.fsum(w**k * value(p, h) for k, p in enumerate(polynomials)) - s) / g
            for w, h, s, g in samples(side, many)
        )
        top, bottom = table[f"ERFCX_{side}"]
        found[f"ERFCX_{side}"] = max(
            abs(value(top, y) / value(bottom, y) - erfcx(y)) * erfcx_weight(side, y)
            for y in nodes(mpf(0), max(abs(end) for end in ends), 10 * many[1])
        )
    found["SCALE"] = max(abs(value(table["SCALE"], w) / scale(FEWEST / w) - 1) for w in nodes(mpf(0), mpf(1), many[1]))
    tails = [(delta / (2 - delta), deviance_tail(delta)) for delta in nodes(mpf(0), DEVIANCE_END, many[1])]
    # relative to the deviance, of which the tail is a small part
    found["DEVIANCE"] = max(
        abs(value(table["DEVIANCE"], v * v) - tail) * 2 * v / (2 / (1 + v) + 2 * v * v * tail) for v, tail in tails
    )
    return {name: float(error) for name, error in found.items()}


def fit() -> dict[str, object]:
    """All tables, as doubles, constant term first."""
    with mp.workdps(DIGITS):
        widest = (DEVIANCE_END / (2 - DEVIANCE_END)) ** 2
        table: dict[str, object] = {
            "SCALE": fit_polynomial(lambda w: scale(FEWEST / w), mpf(0), mpf(1), SCALE_DEGREE),
            "DEVIANCE": fit_polynomial(
                lambda w: deviance_tail(2 * mp.sqrt(w) / (1 + mp.sqrt(w))), mpf(0), widest, DEVIANCE_DEGREE
            ),
            **{f"ERFCX_{side}": fit_erfcx(side) for side in SIDES},
            **{f"S_{side}": fit_s(side) for side in SIDES},
        }
    return {name: doubles(part) for name, part in table.items()}


def doubles(part: object) -> object:
    """Round to doubles."""
    return tuple(map(doubles, part)) if isinstance(part, (list, tuple)) else float(part)


def literal(part: object, indent: int = 4) -> str:
    """A tuple of numbers or of tuples, one number or tuple a line where the line would be too long."""
    if isinstance(part, float):
        return repr(part)
    line = f"({', '.join(literal(item, indent) for item in part)}{',' if len(part) == 1 else ''})"
    if len(line) + indent < 100 and "\n" not in line:
        return line
    inner = "".join(f"{' ' * indent}{literal(item, indent + 4)},\n" for item in part)
    return f"(\n{inner}{' ' * (indent - 4)})"


def text(table: dict[str, object]) -> str:
    """The module."""
    with mp.workdps(DIGITS):
        errors = residuals(table)
    stated = "\n".join(f"    {name:12} {error:.1e}" for name, error in errors.items())
    numbers = sum(literal(part).count(".") for part in table.values())
    head = f'''"""Coefficients of ``_temme``: {numbers} doubles, constant terms first.

Written by tests/oracles/fit_temme.py.

Fitted to 40-digit values of the functions themselves. Largest residual, relative to the ratio G that they make
(DEVIANCE: to the deviance), at points between those of the fit:

{stated}
"""

'''
    kinds = {"SCALE": "tuple[float, ...]", "DEVIANCE": "tuple[float, ...]"}
    body = "".join(
        f"{name}: {kinds.get(name, 'tuple[tuple[float, ...], ...]')} = {literal(part)}\n"
        for name, part in table.items()
    )
    return f"{head}FEWEST = {FEWEST}  # servers, from which the tables hold\nDEVIANCE_END = {DEVIANCE_END}\n\n{body}"


if __name__ == "__main__":
    MODULE.write_text(text(fit()), encoding="utf-8")
    print(MODULE.read_text(encoding="utf-8").split('"""')[1])
