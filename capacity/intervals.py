"""Intervals: what an estimate is, and the ends of it from blocks of samples or from a count."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from capacity.errors import InvalidInput, Problem
from capacity.units import shown

__all__ = ["CONFIDENCE", "Estimate", "Spread", "garwood", "jackknife", "normal_quantile", "student_t"]

CONFIDENCE: Final = 0.9
"""How often an interval holds the truth, where nothing else is said."""

_LEAST_BLOCKS = 5
_LEAST_FREEDOM = 3.0
_MOST_CORRELATION = 0.6
_WIDEST = 300.0  # keeps exp() finite

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A figure and the interval it lies in.

    Parameters
    ----------
    value : float
    low, high : float or None
        The interval; None where there are too few samples to say.
    samples : int
        What it rests on [-].
    confidence : float
        How often such an interval holds the truth [-].
    """

    value: float
    low: float | None = None
    high: float | None = None
    samples: int = 0
    confidence: float = CONFIDENCE


def normal_quantile(confidence: float) -> float:
    """Two-sided quantile of the normal distribution.

    Parameters
    ----------
    confidence : float
        Probability within plus and minus the value [-].

    Raises
    ------
    InvalidInput
        If it is not between 0 and 1, both exclusive.

    Examples
    --------
    >>> round(normal_quantile(0.9), 3)
    1.645
    """
    if not 0 < confidence < 1:
        raise InvalidInput([Problem("confidence", "must be between 0 and 1, both exclusive", shown(confidence))])
    return NormalDist().inv_cdf((1 + confidence) / 2)


def student_t(confidence: float, freedom: float) -> float:
    """Two-sided quantile of Student's t.

    Parameters
    ----------
    confidence : float
        Probability within plus and minus the value [-].
    freedom : float
        Degrees of freedom, at least 3.

    Returns
    -------
    float
        By the expansion of Fisher and Cornish (Abramowitz and Stegun 26.7.5). Against the incomplete beta function:
        at most 0.05 % low from 3 degrees of freedom on for a confidence up to 0.9, 0.13 % up to 0.95, 0.8 % up to 0.99.

    Examples
    --------
    >>> round(student_t(0.9, 10), 3)
    1.812
    """
    z = normal_quantile(confidence)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, 1))


@dataclass(frozen=True)
class Spread:
    """What the jackknife found of a function of sums.

    Parameters
    ----------
    value : float
    error : float or None
        Standard error of the logarithm of the value [-]; None where the blocks cannot say.
    freedom : float
        Degrees of freedom behind the error.
    evenness : float
        Blocks that carry the error, as a share of all: 1/3 of normal ones, next to 0 where one carries it all.
    """

    value: float
    error: float | None = None
    freedom: float = 0.0
    evenness: float = 1.0

    def estimate(self, samples: int, confidence: float = CONFIDENCE, *, least_evenness: float = 0.0) -> Estimate:
        """Interval on the scale of the logarithm: ends are above 0, the upper one is farther away.

        Parameters
        ----------
        samples : int
        confidence : float
        least_evenness : float
            Below it there is no upper end.
        """
        if self.error is None:
            return Estimate(self.value, samples=samples, confidence=confidence)
        half = min(student_t(confidence, self.freedom) * self.error, _WIDEST) if self.error else 0.0
        high = None if self.evenness < least_evenness else self.value * math.exp(half)
        return Estimate(self.value, self.value * math.exp(-half), high, samples, confidence)


def jackknife(blocks: FloatArray, function: Callable[[FloatArray], FloatArray]) -> Spread:
    """Spread of a smooth function of sums, from leaving out each block in turn.

    Parameters
    ----------
    blocks : array, shape (quantities, blocks)
        Sums of each quantity over each block, in order of time.
    function : callable
        Of such sums to values, one for each column.

    Returns
    -------
    Spread
        Blocks that resemble their neighbours (r, their correlation, 0.6 at most) are worth only (1 - r)/(1 + r) of
        as many. The degrees of freedom shrink by that, and to those of the few blocks that carry the error.

    Notes
    -----
    What the limit on r is for: of 30 blocks one cannot tell a memory of hours from a step up, and after a step no
    width is right. Without a limit a load that doubles half way made the interval of the mean six times wider.
    """
    total = blocks.sum(axis=1, keepdims=True)
    count = blocks.shape[1]
    with np.errstate(all="ignore"):
        value = float(function(total)[0])
        left_out = function(total - blocks)
    if count < _LEAST_BLOCKS:
        return Spread(value)
    if bool(np.all(left_out == left_out[0])):
        return Spread(value, 0.0, count - 1)
    if not (0 < value < math.inf and bool(np.all((left_out > 0) & (left_out < math.inf)))):
        return Spread(value)  # one block alone holds all there is
    changes = np.log(left_out)
    changes -= changes.mean()
    total_square = float(changes @ changes)
    if not np.any(changes**4):  # what is left is rounding
        return Spread(value, 0.0, count - 1)
    inflation = _inflation(changes, total_square)
    carrying = total_square**2 / float(np.sum(changes**4))
    freedom = max(_LEAST_FREEDOM, min((count - 1) / inflation, 3 * carrying - 1))
    error = math.sqrt((count - 1) / count * total_square * inflation)
    return Spread(value, error, freedom, carrying / count)


def _inflation(changes: FloatArray, total_square: float) -> float:
    """By how much the correlation of neighbouring blocks adds to the variance of their sum; at least 1."""
    count = len(changes)
    found = float(changes[1:] @ changes[:-1]) / total_square
    # the estimate of a correlation is (1 + 4 r)/n too low
    correlation = min(_MOST_CORRELATION, max(0.0, found + (1 + 4 * max(0.0, found)) / count))
    return (1 + correlation) / (1 - correlation)


def garwood(count: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Ends of the interval for the mean of a Poisson count; the chi-square quantile is Wilson's and Hilferty's.

    Parameters
    ----------
    count : float
    confidence : float

    Returns
    -------
    tuple of (float, float)
        For a confidence of 0.9 within 1 % of the exact ends, or 0.013 of an event where that is more; of 0.8, 0.95 and
        0.99 within 0.041 of an event (counts of 0 to 10000).

    Examples
    --------
    >>> [round(end, 2) for end in garwood(10)]
    [5.42, 16.96]
    """
    z = normal_quantile(confidence)

    def half_chi_square(freedom: float, sign: float) -> float:
        spread = 2 / (9 * freedom)
        return float(freedom / 2 * (1 - spread + sign * z * math.sqrt(spread)) ** 3)

    low = half_chi_square(2 * count, -1) if count else 0.0
    return max(0.0, low), half_chi_square(2 * count + 2, 1)
