"""From samples to figures with their doubt: mean, spread, quantiles, rates and ratios, each with an interval.

Samples of a running system depend on each other: a slow minute is slow for everyone. An interval that takes them
for independent is several times too narrow. So samples are summed up in up to 64 blocks in the order they came, and
the spread of the blocks, by the jackknife, is what an interval is made of. Memory is bounded however many there are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from capacity.errors import InvalidInput, Problem
from capacity.intervals import CONFIDENCE, Estimate, garwood, jackknife
from capacity.tally import LARGEST_SAMPLE, MOST_BLOCKS, Tally, numbers
from capacity.units import shown

__all__ = [
    "NOTABLE_GAP",
    "Estimate",
    "Gap",
    "Tally",
    "littles_law_gap",
    "mean",
    "rate",
    "ratio",
]

NOTABLE_GAP: Final = 0.1
"""Gap in Little's law from which on it is reported: below it lie the overhead of a request (0.3 ms), the coarse
stamps of a log and the model; hidden shutdown work, kept connections and busy cores made it 0.2 to several."""

_LEAST_INTERVALS = 8
FloatArray = NDArray[np.float64]


def mean(values: ArrayLike, *, confidence: float = CONFIDENCE) -> Estimate:
    """Mean of samples in the order they were observed.

    Parameters
    ----------
    values : array_like
    confidence : float

    Returns
    -------
    Estimate

    Examples
    --------
    >>> mean([2.0, 4.0, 3.0, 3.0, 3.0]).value
    3.0
    """
    tally = Tally()
    tally.add(values)
    return tally.mean_estimate(confidence=confidence)


def ratio(numerators: ArrayLike, denominators: ArrayLike, *, confidence: float = CONFIDENCE) -> Estimate:
    """Sum of one quantity over the sum of another, both counted in the same intervals of time.

    Parameters
    ----------
    numerators, denominators : array_like, shape (n,)
        For instance CPU seconds and requests.
    confidence : float

    Returns
    -------
    Estimate
        NaN where the denominators sum up to 0; its samples are the intervals.

    Raises
    ------
    InvalidInput
        If they are not two rows of finite numbers of one length, at least 0.

    Examples
    --------
    >>> ratio([1.0, 2.0, 3.0], [10, 20, 30]).value
    0.1
    """
    above, below = _amounts(numerators, "numerators"), _amounts(denominators, "denominators")
    count = len(above)
    if len(below) != count:
        raise InvalidInput([Problem("denominators", f"must be as many as the {count} numerators", str(len(below)))])
    if not below.any():
        return Estimate(math.nan, samples=count, confidence=confidence)
    spread = jackknife(_in_blocks(np.array([above, below])), lambda sums: sums[0] / sums[1])
    return spread.estimate(count, confidence)


def rate(counts: ArrayLike, seconds: float, *, confidence: float = CONFIDENCE) -> Estimate:
    """Events a second from counts in equal intervals.

    Parameters
    ----------
    counts : array_like, shape (n,)
    seconds : float
        Length of one interval [s].
    confidence : float

    Returns
    -------
    Estimate
        Its samples are the events. With 8 intervals and more their own spread makes the interval (never narrower
        than that of a Poisson stream); with fewer the stream is taken for Poisson.

    Raises
    ------
    InvalidInput
        If the counts are no finite numbers of at least 0, or the interval is no time.

    Notes
    -----
    The ends for a Poisson count are Garwood's, with the chi-square quantile of Wilson and Hilferty: within 1 %
    of the exact ends, or 0.013 of an event.

    Examples
    --------
    >>> rate([600], 60.0).value, rate([0], 60.0).low
    (10.0, 0.0)
    """
    array = _amounts(counts, "counts")
    if not 0 < seconds < math.inf:
        raise InvalidInput([Problem("seconds", "must be a time greater than 0 s", shown(seconds))])
    if not len(array):
        return Estimate(math.nan, confidence=confidence)
    total, time = float(array.sum()), seconds * len(array)
    low, high = garwood(total, confidence)
    if len(array) >= _LEAST_INTERVALS:
        blocks = _in_blocks(np.array([array, np.ones(len(array))]))
        spread = jackknife(blocks, lambda sums: sums[0] / sums[1]).estimate(round(total), confidence)
        if spread.low is not None and spread.high is not None:
            low, high = min(low, spread.low * len(array)), max(high, spread.high * len(array))
    return Estimate(total / time, low / time, high / time, round(total), confidence)


@dataclass(frozen=True)
class Gap:
    """How far busy workers are from what Little's law says of the log.

    Parameters
    ----------
    value : float
        Relative; above 0, workers are held longer than the log says.
    low, high : float or None
        Its interval; None where one of the three figures has none above 0.
    notable : bool
        Farther from 0 than `NOTABLE_GAP`, and not by chance: an unknown interval is never notable.
    """

    value: float
    low: float | None
    high: float | None
    notable: bool


def littles_law_gap(*, busy: Estimate, arrival_rate: Estimate, service_time: Estimate) -> Gap:
    """Compare the busy workers that were seen with arrival rate times logged service time.

    Parameters
    ----------
    busy : Estimate
        Mean number of busy workers [-].
    arrival_rate : Estimate
        [1/s]
    service_time : Estimate
        Mean [s].

    Returns
    -------
    Gap

    Examples
    --------
    >>> gap = littles_law_gap(
    ...     busy=Estimate(6.0, 5.8, 6.2),
    ...     arrival_rate=Estimate(100.0, 98.0, 102.0),
    ...     service_time=Estimate(0.010, 0.009, 0.011),
    ... )
    >>> round(gap.value, 2), gap.notable
    (5.0, True)
    """
    parts = (busy, arrival_rate, service_time)
    if not all(0 < part.value < math.inf for part in parts):
        return Gap(math.nan, None, None, notable=False)
    found = busy.value / (arrival_rate.value * service_time.value)
    # of a product of independent figures the errors of the logarithms add up as squares
    halves = [_half_of_logarithm(part) for part in parts]
    if None in halves:
        return Gap(found - 1, None, None, notable=False)
    doubt = min(math.hypot(*(half for half in halves if half is not None)), 300.0)
    low, high = found * math.exp(-doubt) - 1, found * math.exp(doubt) - 1
    return Gap(found - 1, low, high, notable=abs(found - 1) > NOTABLE_GAP and not low <= 0 <= high)


def _half_of_logarithm(estimate: Estimate) -> float | None:
    """Half the interval, as a share of the value [-]; None where it is open or reaches 0."""
    if estimate.low is None or estimate.high is None or not estimate.low > 0:
        return None
    return math.log(estimate.high / estimate.low) / 2


def _in_blocks(table: FloatArray) -> FloatArray:
    """Sums over at most 64 stretches of columns, as equal as can be."""
    count = table.shape[1]
    edges = np.linspace(0, count, min(count, MOST_BLOCKS) + 1).astype(int)[:-1]
    return np.add.reduceat(table, edges, axis=1)


def _amounts(values: ArrayLike, name: str) -> FloatArray:
    array = numbers(values, name)
    bad = array[~((array >= 0) & (array <= LARGEST_SAMPLE))]
    if len(bad):
        raise InvalidInput([Problem(name, "must be finite numbers of at least 0", shown(float(bad[0])))])
    return array
