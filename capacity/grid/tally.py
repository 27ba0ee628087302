"""Quantiles of a grid: exact where the cells fit into one box, counted in narrow bins where they do not.

The p-quantile is the least value that at least a share p of the cells do not exceed: a value of the grid, with no
interpolation, so cells that are endless (inf) are values like any other. NaN, cells that are no scenario, do not count.

Bins are the numbers that share sign, exponent and the first 12 bits of their mantissa. A counted quantile is the middle
of the bin in which the exact one lies, so it errs by at most 2^-13 (0.012 %) of it; 0 and inf are exact. Counts of
boxes add up to the same whatever their order, so a grid gives the same answer on one machine and on many.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from capacity.table import Column

__all__ = ["Tally", "exact_quantiles", "merged", "quantiles_of", "tally_of"]

_CUT: Final = 40  # bits of a float64 that a bin leaves open, of 52 of the mantissa
_BELOW_SIGN: Final = np.int64(0x7FFF_FFFF_FFFF_FFFF)


@dataclass(frozen=True)
class Tally:
    """How many cells lie in each bin: ``counts[i]`` in bin ``first + i``."""

    first: int
    counts: NDArray[np.int64]


def exact_quantiles(cells: Column, shares: Column) -> NDArray[np.float64]:
    """Quantiles of the last axis, in a new first one; NaN where every cell is.

    Examples
    --------
    >>> exact_quantiles(np.array([[3.0, 1.0, np.inf, np.nan]]), np.array([0.5, 1.0])).tolist()
    [[3.0], [inf]]
    """
    ordered = np.sort(cells, axis=-1)  # NaN last
    known = cells.shape[-1] - np.isnan(cells).sum(axis=-1)
    places = np.maximum(np.ceil(np.multiply.outer(shares, known)).astype(np.int64) - 1, 0)
    found = np.take_along_axis(ordered, np.moveaxis(places, 0, -1), axis=-1)
    return np.moveaxis(found, -1, 0)


def tally_of(cells: Column) -> Tally:
    """Count cells."""
    flat = np.ascontiguousarray(cells, dtype=np.float64).ravel()
    bits = flat[~np.isnan(flat)].view(np.int64)
    # of negative numbers the larger have the larger bits
    bins = np.where(bits < 0, bits ^ _BELOW_SIGN, bits) >> _CUT
    if not bins.size:
        return Tally(0, np.zeros(0, dtype=np.int64))
    first = int(bins.min())
    return Tally(first, np.bincount(bins - first))


def merged(tallies: Iterable[Tally]) -> Tally:
    """Add tallies up."""
    parts = [tally for tally in tallies if tally.counts.size]
    if not parts:
        return Tally(0, np.zeros(0, dtype=np.int64))
    first = min(tally.first for tally in parts)
    counts = np.zeros(max(tally.first + tally.counts.size for tally in parts) - first, dtype=np.int64)
    for tally in parts:
        counts[tally.first - first :][: tally.counts.size] += tally.counts
    return Tally(first, counts)


def quantiles_of(tally: Tally, shares: Column) -> Column:
    """Quantiles of what was counted; NaN where nothing was.

    Examples
    --------
    >>> cells = np.random.default_rng(1).lognormal(size=100_000)
    >>> counted, exact = (quantiles_of(tally_of(cells), np.array([0.95])), exact_quantiles(cells, np.array([0.95])))
    >>> bool(abs(counted[0] / exact[0] - 1) <= 2**-13)
    True
    """
    if not tally.counts.size:
        return np.full(shares.shape, np.nan)
    reached = np.cumsum(tally.counts)
    wanted = np.maximum(np.ceil(shares * reached[-1]), 1.0)
    bins = tally.first + np.searchsorted(reached, wanted)
    low, high = _edge(bins), _edge(bins + 1)
    with np.errstate(all="ignore"):
        middle = low + (high - low) / 2.0
    return np.where(np.isinf(low) | (bins == 0), low, np.where(np.isinf(middle), low, middle))


def _edge(bins: NDArray[np.int64]) -> Column:
    """The smallest number of a bin."""
    ordered = bins << _CUT
    return np.where(ordered < 0, ordered ^ _BELOW_SIGN, ordered).view(np.float64)
