"""Growth: users over time, and the day from which on a pool no longer gives them each verdict."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from numbers import Real
from typing import Any, Final

import numpy as np

from capacity.errors import InvalidInput, Problem
from capacity.fleet.growth_words import growth_cautions, growth_steps
from capacity.fleet.results import Growth, GrowthPoint, VerdictEnd
from capacity.intervals import student_t
from capacity.policies.verdict import Edges
from capacity.pool import PoolSettings
from capacity.prediction import forecast, require
from capacity.results import ModelName, UserBand
from capacity.scenario import Scenario
from capacity.table import Column
from capacity.units import shown

__all__ = ["Trend", "fitted", "grow", "stated"]

_YEAR: Final = 365.25  # days
_MOST_YEARS: Final = 30
_LEAST_OBSERVED: Final = 5  # a line through them leaves three to tell its doubt by
_MOST_OBSERVED: Final = 100_000
_MOST_USERS: Final = 1e9
_POINTS: Final = 12


@dataclass(frozen=True)
class Trend:
    """Users that are multiplied by the same factor every year, with an interval.

    ``ln users = level + slope (t - middle)``, t in years since the start. The interval is
    ``sqrt(doubt^2 + (tilt (t - middle))^2)`` to either side, with a ``tilt`` of its own below and above.
    """

    level: float
    slope: float
    middle: float = 0.0
    doubt: float = 0.0
    tilt: tuple[float, float] = (0.0, 0.0)

    def users(self, years: Column) -> Column:
        """Users after so many years [-]."""
        return self._curve(years, 0.0, 0.0)

    def low(self, years: Column) -> Column:
        """The lower end of their interval [-]."""
        return self._curve(years, -1.0, self.tilt[0])

    def high(self, years: Column) -> Column:
        """The upper end of their interval [-]."""
        return self._curve(years, 1.0, self.tilt[1])

    def _curve(self, years: Column, side: float, tilt: float) -> Column:
        away = years - self.middle
        half = np.sqrt(self.doubt**2 + (tilt * away) ** 2)
        return np.asarray(np.exp(np.minimum(self.level + self.slope * away + side * half, 700.0)))


def stated(users: float, growth: tuple[float, float, float]) -> Trend:
    """Trend of users today that grow by so much a year: low, expected and high.

    Examples
    --------
    >>> trend = stated(100, (0.0, 0.5, 1.0))
    >>> [float(curve(np.array([2.0]))[0].round()) for curve in (trend.low, trend.users, trend.high)]
    [100.0, 225.0, 400.0]
    """
    low, slope, high = (math.log1p(value) for value in growth)
    return Trend(level=math.log(users), slope=slope, tilt=(slope - low, high - slope))


def fitted(years: Column, users: Column, confidence: float) -> Trend:
    """Trend through observed users, by least squares of their logarithm, with the interval of the trend itself.

    Parameters
    ----------
    years, users : ndarray
        When, in years, and how many [-]; at least five, not all at one time.
    confidence : float
        Chance that the interval at a given time holds the trend [-], if the users scatter about it independently,
        by about the same factor at all times.

    Examples
    --------
    >>> trend = fitted(np.arange(5.0), np.array([100.0, 200.0, 400.0, 800.0, 1600.0]), 0.9)
    >>> round(math.exp(trend.slope), 6)
    2.0
    """
    logs, middle = np.log(users), float(years.mean())
    away = years - middle
    spread = float(away @ away)
    slope = float(away @ logs) / spread
    level = float(logs.mean())
    rest = logs - level - slope * away
    freedom = years.size - 2
    half = student_t(confidence, freedom) * math.sqrt(float(rest @ rest) / freedom)
    tilt = half / math.sqrt(spread)
    return Trend(level=level, slope=slope, middle=middle, doubt=half / math.sqrt(years.size), tilt=(tilt, tilt))


def grow(
    scenario: Scenario,
    *,
    start: date,
    yearly_growth: float | tuple[float, float, float] | None = None,
    series: Iterable[tuple[date, float]] | None = None,
    confidence: float = 0.9,
    years: float = 3,
    pool: PoolSettings | int | None = None,
    model: ModelName = "open",
    edges: Edges | None = None,
) -> Growth:
    """Say until when a pool gives its growing users each verdict.

    Parameters
    ----------
    scenario : Scenario
        With a think time, and, beside a stated growth, with the load of today.
    start : date
        Today.
    yearly_growth : float or (float, float, float), optional
        Growth a year as a fraction [-], above -1: 0.5 makes 150 users of 100. Three are low, expected and high.
    series : iterable of (date, float), optional
        Users that were observed [-], such as the peak of each week, at least five; the growth is then fitted. One of
        the two is needed.
    confidence : float
        Chance that the interval around a fitted trend holds it [-].
    years : float
        How far to look ahead, at most 30 years.
    pool : PoolSettings or int, optional
        The pool, or its workers [-]; by default the scenario's own.
    model : {'open', 'finite'}
        As of `forecast`.
    edges : Edges, optional
        The edges between verdicts.

    Returns
    -------
    Growth

    Raises
    ------
    InvalidInput
        No pool, think time, load or growth is known, or a value is out of its range.

    Examples
    --------
    >>> result = grow(Scenario.example(), start=date(2026, 1, 1), yearly_growth=0.2, pool=50)
    >>> [(end.verdict, end.users, str(end.ends)) for end in result.ends]
    [('comfortable', 112, '2026-01-01'), ('manageable', 175, '2026-11-06'), ('watch', 212, '2027-11-26')]
    """
    require(scenario, edges)
    if isinstance(start, datetime) or not isinstance(start, date):
        raise InvalidInput([Problem("start", "must be a date", shown(start), "date(2026, 1, 31)")])
    _within("years", years, 0, _MOST_YEARS)
    _within("confidence", confidence, 0.01, 0.99)
    seen = forecast(scenario, pool=pool, users=[1], model=model, edges=edges)
    trend, observed = _trend(scenario, start, yearly_growth, series, confidence)
    try:
        last = start + timedelta(days=math.ceil(years * _YEAR))
    except OverflowError:
        raise InvalidInput([Problem("start", "must be a date long before the year 9999", str(start))]) from None
    days = np.arange((last - start).days + 1.0)
    curves = {"users": trend.users, "low": trend.low, "high": trend.high}
    over_time = {name: curve(days / _YEAR) for name, curve in curves.items()}
    ends = tuple(_end(band, start, over_time) for band in seen.bands)
    factors = tuple(math.expm1(min(trend.slope + side, 700.0)) for side in (-trend.tilt[0], 0.0, trend.tilt[1]))
    return Growth(
        pool=seen.pool,
        model=model,
        start=start,
        years=float(years),
        users=float(over_time["users"][0]),
        yearly_growth=factors[1],
        yearly_growth_low=factors[0],
        yearly_growth_high=factors[2],
        observations=observed,
        confidence=float(confidence) if observed else None,
        ends=ends,
        path=_path(start, over_time),
        next_steps=growth_steps(ends, float(years)),
        cautions=growth_cautions(observed, factors, float(confidence)),
    )


def _trend(
    scenario: Scenario, start: date, yearly_growth: Any, series: Any, confidence: float
) -> tuple[Trend, int | None]:
    """The trend, and the number of observations behind it."""
    if (yearly_growth is None) == (series is None):
        raise InvalidInput([Problem("yearly_growth", "or series is needed: one of the two, not both")])
    if series is not None:
        when, users = _observed(start, series)
        return fitted(when, users, float(confidence)), when.size
    growth = yearly_growth if isinstance(yearly_growth, tuple) else (yearly_growth,) * 3
    if len(growth) != 3:
        raise InvalidInput([Problem("yearly_growth", "must be one number, or low, expected and high", shown(growth))])
    for value in growth:
        _within("yearly_growth", value, -1, 1000)
    if not growth[0] <= growth[1] <= growth[2]:
        raise InvalidInput([Problem("yearly_growth", "must rise from low over expected to high", shown(growth))])
    return stated(_users_today(scenario), growth), None


def _users_today(scenario: Scenario) -> float:
    workload = scenario.workload
    if workload.users is not None:
        return float(workload.users)
    if not workload.arrival_rate or workload.think_time is None:
        hint = "the users of today, or observed ones in a series"
        raise InvalidInput([Problem("workload.users", "is missing", hint=hint)])
    return workload.arrival_rate * (workload.think_time + workload.hold_time) / workload.requests_per_click


def _observed(start: date, series: Any) -> tuple[Column, Column]:
    rows = list(series) if isinstance(series, Iterable) else None
    if rows is None:
        raise InvalidInput([Problem("series", "must be a list of dates and users", shown(series))])
    if not _LEAST_OBSERVED <= len(rows) <= _MOST_OBSERVED:
        rule = f"must have {_LEAST_OBSERVED} to {_MOST_OBSERVED} observations"
        raise InvalidInput([Problem("series", rule, str(len(rows)))])
    for place, row in enumerate(rows, start=1):
        if not isinstance(row, tuple | list) or len(row) != 2 or not isinstance(row[0], date):
            raise InvalidInput([Problem(f"series, observation {place}", "must be a date and users", shown(row))])
        _within(f"series, users {place}", row[1], 0, _MOST_USERS)
    when = np.array([(day.toordinal() - start.toordinal()) / _YEAR for day, _ in rows])
    if np.ptp(when) == 0:
        raise InvalidInput([Problem("series", "must be of more than one day")])
    return when, np.array([float(users) for _, users in rows])


def _within(name: str, value: Any, above: float, most: float) -> None:
    """Refuse what is no number above the one and up to the other."""
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not number or not above < float(value) <= most:
        raise InvalidInput([Problem(name, f"must be a number above {above:g} and at most {most:g}", shown(value))])


def _end(band: UserBand, start: date, over_time: dict[str, Column]) -> VerdictEnd:
    """First day with more users than the verdict takes, by the expected, the higher and the lower users."""

    def first(users: Column) -> date | None:
        beyond = np.flatnonzero(users > band.users) if band.users is not None else np.array([0])
        return start + timedelta(days=int(beyond[0])) if beyond.size else None

    return VerdictEnd(
        verdict=band.verdict,
        users=band.users,
        ends=first(over_time["users"]),
        earliest=first(over_time["high"]),
        latest=first(over_time["low"]),
    )


def _path(start: date, over_time: dict[str, Column]) -> tuple[GrowthPoint, ...]:
    days = np.unique(np.linspace(0, over_time["users"].size - 1, _POINTS + 1).round().astype(int))
    return tuple(
        GrowthPoint(
            day=start + timedelta(days=int(day)),
            **{name: float(curve[day]) for name, curve in over_time.items()},
        )
        for day in days
    )
