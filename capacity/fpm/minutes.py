"""Arrivals and busy workers by the minute, for a log that may span years or have a stamp from another century."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from capacity.fpm.access_log import FloatArray

__all__ = ["LONGEST_SPAN", "Minutes", "Peak", "Timeline", "busiest"]

LONGEST_SPAN: Final = 3660
"""Days that are kept; requests at times outside them are counted as lost."""

_MINUTE = 60.0
_DAY = 1440
_LONGEST_REQUEST = 60


@dataclass(frozen=True)
class Peak:
    """The most of something, and when.

    Parameters
    ----------
    value : float
        Mean over the interval: requests a second, or busy workers.
    start : float
        When the interval began [s since the epoch].
    seconds : float
        How long it is [s].
    """

    value: float
    start: float
    seconds: float


@dataclass(frozen=True, eq=False)
class Timeline:
    """The load over time, by the minute up to a day and by the hour beyond.

    Parameters
    ----------
    start : float
        When the first interval began [s since the epoch].
    seconds : float
        Length of an interval [s].
    arrival_rate : array
        Requests that began in each [1/s].
    busy : array
        Mean number of workers held in each.
    """

    start: float
    seconds: float
    arrival_rate: FloatArray
    busy: FloatArray


class Minutes:
    """Requests that started, and seconds that workers were held, in every minute.

    Examples
    --------
    >>> minutes = Minutes()
    >>> minutes.add(np.array([0.0, 30.0, 119.0]), np.array([1.0, 60.0, 3.0]))
    >>> first, arrivals, busy = minutes.series()
    >>> arrivals, busy
    (array([2., 1., 0.]), array([31., 31.,  2.]))
    """

    def __init__(self) -> None:
        self._days: dict[int, NDArray[np.float64]] = {}
        self.lost = 0
        self.first = np.inf
        self.last = -np.inf

    def add(self, started: FloatArray, times: FloatArray | None) -> None:
        """Count some requests.

        Parameters
        ----------
        started : array
            [s]; NaN is lost.
        times : array or None
            How long each held its worker [s]; its part in later minutes counts there, up to an hour.
        """
        known = np.isfinite(started)
        begin = started[known]
        self.lost += len(started) - len(begin)
        if not len(begin):
            return
        held = np.zeros(len(begin)) if times is None else np.nan_to_num(times[known])
        self.first = min(self.first, float(begin.min()))
        self.last = max(self.last, float((begin + held).max()))
        self._spread(begin // _MINUTE, np.ones(len(begin)), row=0)
        for _ in range(_LONGEST_REQUEST):
            here = np.minimum(held, _MINUTE - begin % _MINUTE)
            self._spread(begin // _MINUTE, here, row=1)
            later = held > here
            if not later.any():
                return
            begin, held = (begin[later] // _MINUTE + 1) * _MINUTE, (held - here)[later]

    def _spread(self, minutes: FloatArray, amounts: FloatArray, *, row: int) -> None:
        low = int(minutes.min())
        if minutes.max() - low < 4 * _DAY:  # a log is in order of time, so nearly always
            sums = np.bincount((minutes - low).astype(np.intp), amounts)
            where = np.arange(low, low + len(sums))
        else:
            where, at = np.unique(minutes.astype(np.int64), return_inverse=True)
            sums = np.bincount(at, amounts)
        for day in np.unique(where // _DAY):
            if day not in self._days and len(self._days) >= LONGEST_SPAN:
                self.lost += int(sums[where // _DAY == day].sum()) if row == 0 else 0
                continue
            today = where // _DAY == day
            block = self._days.setdefault(int(day), np.zeros((2, _DAY)))
            block[row, where[today] - day * _DAY] += sums[today]

    def series(self) -> tuple[float, FloatArray, FloatArray]:
        """Give every minute from the first day to the last.

        Returns
        -------
        tuple of (start of the first minute [s], requests a minute, busy seconds a minute)
            Only minutes between the first and the last with anything in them.
        """
        if not self._days:
            return np.nan, np.zeros(0), np.zeros(0)
        days = sorted(self._days)
        # Days far from the others are stamps of a wrong clock; the longest stretch without a month's gap counts.
        breaks = [at for at in range(1, len(days)) if days[at] - days[at - 1] > 31]
        stretches = np.split(np.array(days), breaks)
        chosen = max(stretches, key=lambda stretch: sum(self._days[int(day)][0].sum() for day in stretch))
        chosen = chosen[chosen < chosen[0] + LONGEST_SPAN]
        table = np.zeros((2, (int(chosen[-1]) - int(chosen[0]) + 1) * _DAY))
        for day in chosen:
            at = (int(day) - int(chosen[0])) * _DAY
            table[:, at : at + _DAY] = self._days[int(day)]
        used = np.flatnonzero(table.any(axis=0))
        start = (int(chosen[0]) * _DAY + int(used[0])) * _MINUTE
        arrivals, busy = table[:, used[0] : used[-1] + 1]
        return start, arrivals, busy

    def timeline(self) -> Timeline | None:
        """Give the load over time.

        Returns
        -------
        Timeline or None
            None of nothing.
        """
        start, arrivals, busy = self.series()
        if not len(arrivals):
            return None
        step = 1 if len(arrivals) <= _DAY else 60
        ahead = int(start // _MINUTE) % step
        table = np.pad(np.array([arrivals, busy]), ((0, 0), (ahead, -(ahead + len(arrivals)) % step)))
        rates = table.reshape(2, -1, step).sum(axis=2) / (step * _MINUTE)
        return Timeline(start - ahead * _MINUTE, step * _MINUTE, rates[0], rates[1])


def busiest(values: FloatArray, start: float, *, minutes: int) -> Peak | None:
    """Find the busiest stretch of so many whole minutes.

    Parameters
    ----------
    values : array
        A minute's sum in each element.
    start : float
        When the first minute began [s].
    minutes : int

    Returns
    -------
    Peak or None
        None if there are fewer minutes.

    Examples
    --------
    >>> busiest(np.array([60.0, 600.0, 1200.0]), 0.0, minutes=2)
    Peak(value=15.0, start=60.0, seconds=120.0)
    """
    if len(values) < minutes:
        return None
    total = np.convolve(values, np.ones(minutes), "valid")
    at = int(total.argmax())
    return Peak(float(total[at] / (minutes * _MINUTE)), start + at * _MINUTE, minutes * _MINUTE)
