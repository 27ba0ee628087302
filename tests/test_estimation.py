"""Estimates against NumPy, mpmath, published tables and their own promise: how often an interval holds the truth."""

from __future__ import annotations

import tracemalloc

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity.estimation import NOTABLE_GAP, Estimate, Tally, littles_law_gap, mean, rate, ratio
from capacity.intervals import garwood, student_t
from tests.oracles.measure_estimation_coverage import CASES, coverage

times = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=200)


def tally_of(*parts: object) -> Tally:
    tally = Tally()
    for part in parts:
        tally.add(part)
    return tally


@given(times)
def test_count_mean_and_variance_are_those_of_the_whole_array(values: list[float]) -> None:
    tally, array = tally_of(values), np.array(values)
    assert tally.count == len(array)
    assert tally.mean == pytest.approx(array.mean(), rel=1e-9)
    # the variance is summed about the first mean, so what is lost is a share of that of the largest value
    assert tally.variance == pytest.approx(array.var(), rel=1e-9, abs=1e-9 * array.max() ** 2)
    assert (tally.minimum, tally.maximum) == (array.min(), array.max())


@given(times, st.integers(1, 50))
def test_it_does_not_matter_how_the_samples_come(values: list[float], size: int) -> None:
    whole = tally_of(values)
    parts = tally_of(*(values[at : at + size] for at in range(0, len(values), size)))
    assert parts.count == whole.count
    assert parts.mean == pytest.approx(whole.mean, rel=1e-9)
    assert parts.quantile(0.95) == whole.quantile(0.95)
    assert parts._blocks().shape == whole._blocks().shape


@given(times, st.floats(0.01, 0.99))
def test_a_quantile_is_right_to_a_quarter_of_a_percent(values: list[float], p: float) -> None:
    exact = np.quantile(values, p, method="inverted_cdf")
    assert tally_of(values).quantile(p) == pytest.approx(exact, rel=0.0026)


def test_bytes_and_zeros_have_bins_too() -> None:
    assert tally_of([0, 0, 0, 34 << 20]).quantile(0.5) == 0
    assert tally_of([34 << 20] * 3).quantile(0.5) == 34 << 20
    assert tally_of([1e17, 1e17]).quantile(0.9) == 1e17


def test_what_is_no_time_is_left_out_and_counted() -> None:
    tally = tally_of([1.0, np.nan, -2.0, np.inf, 3.0])
    assert (tally.count, tally.rejected, tally.mean) == (2, 3, 2.0)


def test_nothing_and_next_to_nothing() -> None:
    empty = Tally()
    assert empty.count == 0
    assert np.isnan(empty.mean)
    assert np.isnan(empty.quantile(0.5))
    assert np.isnan(empty.mean_estimate().value)
    few = tally_of([1.0, 2.0])
    assert few.mean_estimate() == Estimate(1.5, None, None, 2)
    assert few.quantile_estimate(0.95).high is None


def test_a_billion_samples_would_take_no_more_memory_than_a_million() -> None:
    def peak(rounds: int) -> int:
        tally, chunk = Tally(), np.random.default_rng(1).exponential(size=10000)
        tracemalloc.start()
        for _ in range(rounds):
            tally.add(chunk)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(tally._sums) <= 64
        return used

    assert peak(100) < 1.2 * peak(10)


@pytest.mark.parametrize("size", [300, 3000])
@pytest.mark.parametrize("case", ["exponential", "erlang-4"])
def test_nine_of_ten_intervals_hold_the_truth(case: str, size: int) -> None:
    stream, *truth = CASES[case]
    in_mean, in_scv, in_quantile = coverage(stream, tuple(truth), size, 200)
    # 200 replications of a true 0.9 lie within 0.9 +- 0.07 but for 1 in 1000
    assert in_mean > 0.83
    assert in_scv > 0.78
    assert in_quantile > 0.83


def test_samples_that_depend_on_each_other_get_a_wider_interval() -> None:
    stream = CASES["lognormal scv 1, memory 0.9"][0]
    rng = np.random.default_rng(7)
    values = stream(rng, 20000)
    blocks, naive = mean(values), 1.645 * values.std() / np.sqrt(len(values))
    assert (blocks.high - blocks.low) / 2 > 2 * naive


@pytest.mark.parametrize("freedom", [3, 4, 5, 8, 16, 63])
def test_student_against_the_incomplete_beta_function(freedom: int) -> None:
    found = student_t(0.9, freedom)
    with mpmath.workdps(30):
        x = freedom / (freedom + mpmath.mpf(found) ** 2)
        inside = 1 - mpmath.betainc(mpmath.mpf(freedom) / 2, 0.5, 0, x, regularized=True)
    assert float(inside) == pytest.approx(0.9, abs=1e-4)


@pytest.mark.parametrize("count", [0, 1, 2, 5, 10, 100, 10000])
def test_ends_of_a_poisson_count_against_the_incomplete_gamma_function(count: int) -> None:
    low, high = garwood(count)
    assert high == pytest.approx(poisson_end(count + 1, 0.95, high), rel=0.01, abs=0.013)
    assert low == pytest.approx(poisson_end(count, 0.05, low) if count else 0.0, rel=0.01, abs=0.013)


def poisson_end(shape: int, p: float, guess: float) -> float:
    with mpmath.workdps(30):
        return float(mpmath.findroot(lambda x: mpmath.gammainc(shape, 0, x, regularized=True) - p, max(0.1, guess)))


def test_a_rate_is_at_least_as_doubtful_as_a_poisson_stream_and_more_so_in_bursts() -> None:
    rng = np.random.default_rng(3)
    steady, bursts = rng.poisson(600, 60), rng.poisson(600 * rng.choice([0.2, 1.8], 60))
    calm, wild = rate(steady, 60.0), rate(bursts, 60.0)
    assert calm.value == pytest.approx(steady.sum() / 3600)
    assert calm.low < 10 < calm.high
    assert wild.high - wild.low > 4 * (calm.high - calm.low)
    low, high = garwood(steady.sum())
    assert calm.low <= low / 3600
    assert calm.high >= high / 3600


def test_a_ratio_of_sums_is_no_mean_of_ratios() -> None:
    found = ratio([10.0, 1.0, 1.0, 1.0, 1.0, 1.0], [100, 1, 1, 1, 1, 1])
    assert found.value == pytest.approx(15 / 105)
    assert np.isnan(ratio([1.0], [0]).value)
    assert np.isnan(ratio([], []).value)


@given(st.integers(6, 500))
def test_a_constant_ratio_has_no_doubt(n: int) -> None:
    requests = np.arange(1, n + 1)
    found = ratio(0.02 * requests, requests)
    assert found.value == pytest.approx(0.02)
    assert found.high - found.low == pytest.approx(0, abs=1e-12)


def test_littles_law_gap_is_notable_above_ten_percent_and_beyond_chance() -> None:
    rates, service = Estimate(100.0, 99.0, 101.0, 900), Estimate(0.1, 0.099, 0.101, 900)

    def gap(busy: float, half: float):
        return littles_law_gap(
            busy=Estimate(busy, busy - half, busy + half, 900), arrival_rate=rates, service_time=service
        )

    assert not gap(10.5, 0.1).notable
    assert gap(12.0, 0.1).notable
    assert gap(8.0, 0.1).notable
    assert not gap(12.0, 4.0).notable
    assert gap(12.0, 0.1).value == pytest.approx(0.2)
    assert NOTABLE_GAP == 0.1


def test_littles_law_of_nothing_is_no_gap() -> None:
    nothing = littles_law_gap(busy=Estimate(0.0), arrival_rate=Estimate(0.0), service_time=Estimate(0.1))
    assert not nothing.notable
    assert np.isnan(nothing.value)
