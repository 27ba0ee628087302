"""Kernels of N users whose service times have any spread (M/G/c//N), beside M/M/c//N; times in S = c / full rate.

Of a pool that is always full, all is known: those who think are c independent renewal streams, each of them thinned by
exponential pauses. While the queue is short against the pauses, it is the open queue M/G/c. Between the two the queue
of M/M/c//N is taken, with customers that come and go ``batch`` at a time (not a whole number): as a Poisson number of
batches varies as much as the number of those who think does, so does the wait.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.polynomial.chebyshev import chebpts1, chebval, chebvander
from numpy.typing import NDArray
from scipy.special import gammaincc, gammaln

from capacity.queueing._evaluate import Array
from capacity.queueing._general import Tail
from capacity.queueing.search import Rows

_LEVELS = 24  # of the continued fraction, 8 standard deviations above its shape
_SMALLEST = 0.01  # batch: constant times and hardly any pause vary less than is worth a number
_BELOW, _ABOVE = 6.0, 10.0  # standard deviations about the mean wait between which it is looked at
_DEGREE = 31
_POINTS = chebpts1(_DEGREE + 1)
_WEIGHTS = chebvander(_POINTS, _DEGREE).T * 2.0 / (_DEGREE + 1)  # from values at the points to a series
_WEIGHTS[0] /= 2.0


def batch(c: Array, late: Array, pause: Array, scv: Array, waits: Array, open_batch: Array) -> Array:
    """How many customers seem to come and go at a time: 1 for exponential times, whatever else.

    ``late`` is the mean wait of those who wait, ``pause`` the think time, ``waits`` the wait probability, all of
    M/M/c//N; ``open_batch`` is the mean wait of those who wait in M/G/c, as a multiple of that of M/M/c.

    Completions of busy servers, seen for longer than ``memory``, are scv times as variable as a Poisson stream's, and
    for a moment only as variable. What a full pool's users do in their pauses and in the wait then varies ``full``
    times as much as with exponential times.
    """
    memory = (1.0 + 5.0 * scv**1.5) / 4.0  # fitted; by the third moment 1/6 at 0 and 10 at 4 (lognormal)
    forgotten = -np.expm1(-late / memory)
    seen = pause * pause / (2.0 * (pause + memory)) + late - memory * memory * forgotten / (pause + memory)
    full = 1.0 + (scv - 1.0) * seen / (pause + late)
    return np.maximum(open_batch * (2.0 * full / (1.0 + scv)) ** waits, _SMALLEST)


def beyond(places: Array, mean: Array) -> tuple[Array, Array]:
    """States with every server busy, relative to the first of them, as a logarithm; mean wait of those who wait.

    As ``_finite_source.beyond_weights``, of any positive number of places; the wait in completions.
    """
    log_upper = _log_upper(places, mean)
    first = (places - 1.0) * np.log(mean) - mean - gammaln(places)
    rest = np.exp(places * np.log(mean) - mean - gammaln(places) - log_upper)
    far = _far(places, mean)
    wait = np.where(far, 1.0 + _fraction(places, mean), places - mean + rest)
    return log_upper - first, wait


def late_tail(places: Array, mean: Array, wait: Array) -> Callable[[Rows], Tail]:
    """P(wait > x) of those who wait, for a row of x each, as a function of which rows; ``wait`` is its mean.

    Q(places, mean + x wait') / Q(places, mean), where wait' makes the mean wait what is wanted. Its logarithm is taken
    once a row, at Chebyshev's points, since quantiles ask for it hundreds of times: within 0.2 % of itself.
    """
    _, own = beyond(places, mean)
    rest = own - places + mean
    # of an increasing hazard: its scv is at most 1, and exactly that far above ``places``
    deviation = np.where(_far(places, mean), own, np.sqrt(np.clip(places - rest * (own - 1.0), 0.0, own * own)))
    low = np.maximum(own - _BELOW * deviation, 0.0)
    half = (own + _ABOVE * deviation - low) / 2.0
    x = low[:, None] + half[:, None] * (_POINTS + 1.0)
    log_all, end = _log_upper(places, mean), mean + low + 2.0 * half
    values = _log_upper(places[:, None], mean[:, None] + x) - log_all[:, None]
    # row by row, so that a row is what it is alone
    table = np.stack([(values * weights).sum(axis=1) for weights in _WEIGHTS])[:, :, None]
    hazard = np.exp((places - 1.0) * np.log(end) - end - gammaln(places) - _log_upper(places, end)) * half
    pace = own / wait

    def tail_of(rows: Rows) -> Tail:
        rate, start, width, last = (column[rows, None] for column in (pace, low, half, hazard))
        coefficients = table[:, rows]

        def tail(x: Array) -> Array:
            place = (x * rate - start) / width - 1.0
            inside = chebval(np.clip(place, -1.0, 1.0), coefficients, tensor=False)
            late: Array = np.exp(inside - last * np.maximum(place - 1.0, 0.0))
            return np.minimum(late, 1.0)

        return tail

    return tail_of


def _far(s: Array, y: Array) -> NDArray[np.bool_]:
    far: NDArray[np.bool_] = (y > s) & ((y - s) ** 2 >= 64.0 * s)
    return far


def _log_upper(s: Array, y: Array) -> Array:
    """Logarithm of Q(s, y), the regularised upper gamma function, also where it underflows."""
    answer: Array = np.log(gammaincc(s, y))
    far = _far(s, y)
    if far.any():
        shape, end = np.broadcast_to(s, far.shape)[far], np.broadcast_to(y, far.shape)[far]
        rest = np.log(end - shape + 1.0 + _fraction(shape, end))
        answer[far] = shape * np.log(end) - end - gammaln(shape) - rest
    return answer


def _fraction(s: Array, y: Array) -> Array:
    """Part f of Legendre's fraction Gamma(s, y) = y^s e^-y / (y - s + 1 + f), for any s (NIST DLMF 8.9.2)."""
    f = np.zeros(np.broadcast_shapes(s.shape, y.shape))
    for level in range(_LEVELS, 0, -1):
        f = level * (s - level) / (2.0 * level + 1.0 - s + y + f)
    return f
