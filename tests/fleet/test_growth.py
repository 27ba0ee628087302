"""Growth: the day each verdict ends, by one's own arithmetic; and how often a fitted band holds the truth."""

from __future__ import annotations

import math
from datetime import date, datetime, timedelta

import numpy as np
import pytest

from capacity import InvalidInput, Scenario, forecast, grow
from capacity.fleet.growth import fitted, stated

START = date(2026, 3, 1)
SITE = Scenario.example()  # 150 users


def scenario(users):
    return SITE.model_copy(update={"workload": SITE.workload.model_copy(update={"users": users})})


@pytest.mark.parametrize("growth", [0.1, 0.5, 2.0])
def test_a_verdict_ends_on_the_first_day_with_more_users_than_it_takes(growth):
    result = grow(scenario(60), start=START, yearly_growth=growth, pool=40, years=20)
    bands = forecast(SITE, pool=40).bands
    for end, band in zip(result.ends, bands, strict=True):
        days = math.log(band.users / 60) / math.log1p(growth) * 365.25
        assert end.users == band.users
        assert end.ends == end.earliest == end.latest == START + timedelta(days=math.floor(days) + 1)


def test_slower_and_faster_growth_are_its_band():
    result = grow(scenario(60), start=START, yearly_growth=(0.1, 0.3, 0.6), pool=40, years=20)
    low, high = (grow(scenario(60), start=START, yearly_growth=g, pool=40, years=20) for g in (0.1, 0.6))
    for end, slow, fast in zip(result.ends, low.ends, high.ends, strict=True):
        assert (end.latest, end.earliest) == (slow.ends, fast.ends)
    assert (result.yearly_growth_low, result.yearly_growth, result.yearly_growth_high) == pytest.approx((0.1, 0.3, 0.6))


def test_what_has_ended_and_what_does_not_end():
    result = grow(scenario(150), start=START, yearly_growth=0.01, pool=40, years=1)
    ends = {end.verdict: end.ends for end in result.ends}
    assert ends == {"comfortable": START, "manageable": START, "watch": None}
    assert result.next_steps[0].startswith("Nothing within 1 years")


def test_a_load_that_shrinks_never_ends_what_it_has():
    result = grow(scenario(150), start=START, yearly_growth=-0.2, pool=40, years=30)
    assert result.ends[2].ends is None
    assert [point.users for point in result.path] == sorted((point.users for point in result.path), reverse=True)


def test_the_start_of_the_path_is_today_and_its_end_the_last_day():
    path = grow(scenario(100), start=START, yearly_growth=1.0, pool=40, years=2).path
    assert (path[0].day, path[-1].day) == (START, START + timedelta(days=731))
    assert path[-1].users == pytest.approx(100 * 2 ** (731 / 365.25))


def test_users_of_a_rate_are_counted_back():
    rate = scenario(100).workload
    by_rate = SITE.model_copy(
        update={"workload": rate.model_copy(update={"users": None, "arrival_rate": 100 / (1 + 0.25)})}
    )
    one, other = (grow(each, start=START, yearly_growth=0.5, pool=40) for each in (scenario(100), by_rate))
    assert other.ends == one.ends
    assert other.users == pytest.approx(100)


def weeks(growth, noise=0.0, count=52, seed=0, users=100.0):
    scatter = np.exp(noise * np.random.default_rng(seed).standard_normal(count))
    days = [START - timedelta(days=7 * (count - 1 - week)) for week in range(count)]
    return [
        (day, users * (1 + growth) ** ((day - START).days / 365.25) * factor)
        for day, factor in zip(days, scatter, strict=True)
    ]


def test_an_exact_series_is_the_growth_it_was_made_of():
    result = grow(SITE, start=START, series=weeks(0.4), pool=40, years=5)
    made = grow(scenario(100), start=START, yearly_growth=0.4, pool=40, years=5)
    assert result.yearly_growth == pytest.approx(0.4, rel=1e-9)
    assert (result.observations, result.confidence) == (52, 0.9)
    for end, other in zip(result.ends, made.ends, strict=True):
        assert abs((end.ends - other.ends).days) <= 1


def test_the_fit_is_that_of_a_textbook_solver():
    series = weeks(0.4, noise=0.2, count=20, seed=3)
    years = np.array([(day - START).days / 365.25 for day, _ in series])
    logs = np.log([users for _, users in series])
    (slope, level), covariance = np.polyfit(years, logs, 1, cov=True)
    trend = fitted(years, np.exp(logs), 0.9)
    assert trend.slope == pytest.approx(slope, rel=1e-10)
    assert float(np.log(trend.users(np.array([0.0])))[0]) == pytest.approx(level, rel=1e-10)
    at = np.array([0.7])
    error = math.sqrt(covariance[0, 0] * 0.49 + 2 * 0.7 * covariance[0, 1] + covariance[1, 1])
    half = float(np.log(trend.high(at) / trend.users(at))[0])
    # t of 18 degrees of freedom, two-sided 90 %: 1.7341 (any table); our quantile is within 0.05 %
    assert half == pytest.approx(1.7341 * error, rel=1e-3)


def test_the_band_of_a_fitted_trend_holds_the_true_day_as_often_as_it_says():
    threshold, growth, held, runs = 170, 0.6, 0, 400
    true = math.log(threshold / 100) / math.log1p(growth)
    for seed in range(runs):
        series = weeks(growth, noise=0.25, count=15, seed=seed)
        years = np.array([(day - START).days / 365.25 for day, _ in series])
        trend = fitted(years, np.array([users for _, users in series]), 0.9)
        low, high = (float(curve(np.array([true]))[0]) for curve in (trend.low, trend.high))
        held += low <= threshold <= high
    # binomial, 400 runs at 0.9: standard deviation 6, four of them
    assert abs(held - 360) <= 24


def test_more_doubt_is_a_wider_band():
    dates = []
    for noise in (0.02, 0.2):
        end = grow(SITE, start=START, series=weeks(0.6, noise=noise, seed=5), pool=40, years=20).ends[2]
        dates.append((end.latest - end.earliest).days)
    assert dates[0] < dates[1] / 3


def test_observations_that_tell_nothing_are_called_so():
    result = grow(SITE, start=START, series=weeks(0.0, noise=0.5, count=8, seed=1), pool=40)
    assert "whether users grow or shrink" in result.cautions[-1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "yearly_growth or series is needed"),
        ({"yearly_growth": 0.5, "series": []}, "yearly_growth or series is needed"),
        ({"yearly_growth": -1}, "yearly_growth must be a number above -1"),
        ({"yearly_growth": math.nan}, "yearly_growth must be a number above -1"),
        ({"yearly_growth": (0.5, 0.2, 0.1)}, "yearly_growth must rise"),
        ({"yearly_growth": (0.5, 0.2)}, "must be one number, or low, expected and high"),
        ({"yearly_growth": "50%"}, "yearly_growth must be a number"),
        ({"yearly_growth": 0.5, "years": 31}, "years must be a number above 0 and at most 30"),
        ({"yearly_growth": 0.5, "start": datetime(2026, 1, 1)}, "start must be a date"),
        ({"yearly_growth": 0.5, "start": date(9999, 12, 1)}, "long before the year 9999"),
        ({"series": weeks(0.5, count=4)}, "series must have 5 to 100000 observations; got 4"),
        ({"series": [(START, 100.0)] * 6}, "series must be of more than one day"),
        ({"series": [(START, 0.0)] * 6}, "series, users 1 must be a number above 0"),
        ({"series": ["2026", 5, 5, 5, 5]}, "series, observation 1 must be a date and users"),
        ({"series": 42}, "series must be a list of dates and users; got 42"),
        ({"series": weeks(0.5), "confidence": 1}, "confidence must be a number above 0.01 and at most 0.99"),
    ],
)
def test_what_is_no_question_is_refused(options, words):
    with pytest.raises(InvalidInput, match=words):
        grow(SITE, **{"start": START, "pool": 40} | options)


def test_a_growth_in_short_is_in_percent():
    assert repr(grow(SITE, start=START, yearly_growth=0.25, pool=40)).startswith("<Growth: +25 % a year: comfortable")


def test_growth_needs_users():
    bare = SITE.model_copy(update={"workload": SITE.workload.model_copy(update={"users": None})})
    with pytest.raises(InvalidInput, match=r"workload\.users is missing"):
        grow(bare, start=START, yearly_growth=0.5, pool=40)


def test_growth_beyond_all_numbers_is_still_a_number():
    trend = stated(1e9, (1000.0, 1000.0, 1000.0))
    assert np.isfinite(trend.high(np.array([1e4]))).all()
