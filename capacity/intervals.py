"""Intervals: what an estimate is, and the ends of it from blocks of samples or from a count."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["CONFIDENCE", "Estimate", "around", "garwood", "jackknife", "student_t"]

CONFIDENCE: Final = 0.9
"""How often an interval holds the truth, where nothing else is said."""

_LEAST_BLOCKS = 5

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
        By the expansion of Fisher and Cornish (Abramowitz and Stegun 26.7.5): within 0.1 % from 3 degrees of freedom
        on, for a confidence up to 0.95.

    Examples
    --------
    >>> round(student_t(0.9, 10), 3)
    1.812
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, 1))


def jackknife(blocks: FloatArray, function: Callable[[FloatArray], FloatArray]) -> tuple[float, float | None]:
    """Value of a smooth function of sums, and half its interval, from leaving out each block in turn."""
    total = blocks.sum(axis=1, keepdims=True)
    count = blocks.shape[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        value = float(function(total)[0])
        if count < _LEAST_BLOCKS:
            return value, None
        left_out = function(total - blocks)
        variance = (count - 1) / count * float(np.sum((left_out - left_out.mean()) ** 2))
    return value, student_t(CONFIDENCE, count - 1) * math.sqrt(variance) if math.isfinite(variance) else None


def around(value: float, half: float | None, samples: int) -> Estimate:
    """Interval of so much on either side, not below 0."""
    if half is None or not math.isfinite(value):
        return Estimate(value, samples=samples)
    return Estimate(value, max(0.0, value - half), value + half, samples)


def garwood(count: float) -> tuple[float, float]:
    """Ends of the interval for the mean of a Poisson count; the chi-square quantile is Wilson's and Hilferty's.

    Parameters
    ----------
    count : float

    Returns
    -------
    tuple of (float, float)
        Within 1 % of the exact ends, or 0.013 of an event where that is more.

    Examples
    --------
    >>> [round(end, 2) for end in garwood(10)]
    [5.42, 16.96]
    """
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)

    def half_chi_square(freedom: float, sign: float) -> float:
        spread = 2 / (9 * freedom)
        return float(freedom / 2 * (1 - spread + sign * z * math.sqrt(spread)) ** 3)

    low = half_chi_square(2 * count, -1) if count else 0.0
    return max(0.0, low), half_chi_square(2 * count + 2, 1)
