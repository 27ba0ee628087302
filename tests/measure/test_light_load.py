"""What the model of shared cores does to a service time, solved here anew, has to be undone."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from capacity.estimation import Estimate
from capacity.measure.light_load import REQUEST_OVERHEAD, light_load_service_time

LOGGED = Estimate(0.060, 0.058, 0.062, 1000)


def completion_rates(workers: int, cores: int, cpu_time: float, service_time: float) -> list[float]:
    """X(1) ... X(workers): n requests that alternate between the cores and a place where nobody waits.

    The number on the cores is a birth-death chain; its weights are kept relative to their largest.
    """
    away = service_time - cpu_time
    rates = []
    for n in range(1, workers + 1):
        weights = [1.0]
        for j in range(1, n + 1):
            # from j - 1 to j on the cores: those away come back; from j to j - 1: min(j, cores) work
            weights.append(weights[-1] * (n - j + 1) * cpu_time / (away * min(j, cores)) if away > 0 else 0.0)
            if weights[-1] > 1e200:
                weights = [weight / 1e200 for weight in weights]
        if away == 0:
            weights = [0.0] * n + [1.0]
        rates.append(sum(w * min(j, cores) for j, w in enumerate(weights)) / cpu_time / sum(weights))
    return rates


def held_time(workers: int, cores: int, cpu_time: float, service_time: float, arrival_rate: float) -> float | None:
    """Mean time a request holds its worker: busy workers of the birth-death chain over the arrival rate."""
    rates = completion_rates(workers, cores, cpu_time, service_time)
    if arrival_rate > 0.97 * rates[-1]:
        return None
    weights = [1.0]
    busy, total = 0.0, 1.0
    n = 0
    while weights[-1] > 1e-16 * total or n <= workers:
        n += 1
        weights.append(weights[-1] * arrival_rate / rates[min(n, workers) - 1])
        total += weights[-1]
        busy += weights[-1] * min(n, workers)
    return busy / total / arrival_rate


def logged(value: float) -> Estimate:
    return Estimate(value, value * 0.98, value * 1.03, 1000)


@settings(deadline=None, max_examples=60)
@given(
    workers=st.integers(1, 40),
    cores=st.integers(1, 8),
    service_time=st.floats(0.005, 2),
    cpu_share=st.floats(0.02, 1),
    loads=st.lists(st.tuples(st.floats(0.05, 0.95), st.floats(0.1, 1)), min_size=1, max_size=3),
)
def test_the_service_time_comes_back_out_of_what_the_model_makes_of_it(
    workers: int, cores: int, service_time: float, cpu_share: float, loads: list[tuple[float, float]]
) -> None:
    cpu_time = cpu_share * service_time
    most = completion_rates(workers, cores, cpu_time, service_time)[-1]
    rates = [(most * load, share) for load, share in loads]
    held = [held_time(workers, cores, cpu_time, service_time, rate) for rate, _ in rates]
    mean = sum((h or 0.0) * share for h, (_, share) in zip(held, rates, strict=True)) / sum(s for _, s in rates)
    assume(mean > 0)
    found, contention = light_load_service_time(
        logged(mean), cpu_time=cpu_time, workers=workers, cores=cores, rates=rates, overhead=0.0
    )
    assert found.value == pytest.approx(service_time, rel=1e-6)
    assert contention == pytest.approx(1 - service_time / mean, abs=1e-6)


@given(st.sampled_from([None, 0.0, -1.0]), st.floats(0, 10), st.floats(0, 0.01))
def test_without_cpu_time_only_the_overhead_is_added(cpu_time: float | None, value: float, overhead: float) -> None:
    before = logged(value)
    found, contention = light_load_service_time(
        before, cpu_time=cpu_time, workers=5, cores=1, rates=[(3.0, 1.0)], overhead=overhead
    )
    assert contention == 0
    assert found.samples == before.samples
    for end in ("value", "low", "high"):
        assert getattr(found, end) == pytest.approx(max(1e-6, getattr(before, end) + overhead))


def test_the_overhead_is_that_of_a_request_unless_told_otherwise() -> None:
    found, _ = light_load_service_time(LOGGED, cpu_time=None, workers=5, cores=1, rates=[(3.0, 1.0)])
    assert found.value == LOGGED.value + REQUEST_OVERHEAD


def test_without_a_load_nothing_is_taken_out() -> None:
    found, contention = light_load_service_time(LOGGED, cpu_time=0.05, workers=9, cores=1, rates=[], overhead=0.0)
    assert (found, contention) == (LOGGED, 0)


def test_a_log_of_nothing_but_zeros_is_the_overhead() -> None:
    found, contention = light_load_service_time(
        Estimate(0.0, 0.0, 0.0, 40), cpu_time=0.01, workers=4, cores=2, rates=[(5.0, 1.0)]
    )
    assert (found.value, contention) == (REQUEST_OVERHEAD, 0)


def test_alone_on_its_cores_a_pool_has_no_contention() -> None:
    found, contention = light_load_service_time(
        LOGGED, cpu_time=0.03, workers=4, cores=4, rates=[(40.0, 1.0)], overhead=0.0
    )
    assert found.value == pytest.approx(LOGGED.value, rel=1e-9)
    assert contention == pytest.approx(0, abs=1e-9)


def test_more_cpu_time_than_was_logged_is_a_request_that_only_computes() -> None:
    found, contention = light_load_service_time(
        LOGGED, cpu_time=0.5, workers=8, cores=2, rates=[(10.0, 1.0)], overhead=0.0
    )
    assert found.value == pytest.approx(LOGGED.value)
    assert contention == pytest.approx(0)


def test_a_saturated_log_gives_a_time_between_cpu_time_and_what_was_logged() -> None:
    # 20 workers over 2 cores / 20 ms: each request is held 200 ms, whatever else it does
    found, contention = light_load_service_time(
        Estimate(0.2, 0.19, 0.21, 1000), cpu_time=0.02, workers=20, cores=2, rates=[(500.0, 1.0)], overhead=0.0
    )
    assert 0.02 <= found.value <= 0.2
    assert 0 <= contention <= 0.9


@settings(deadline=None)
@given(
    st.floats(0, 20),
    st.floats(0, 1) | st.none(),
    st.floats(0, 3) | st.none(),
    st.floats(0, 1) | st.none(),
    st.integers(1, 300),
    st.floats(0.1, 64),
    st.lists(st.tuples(st.floats(1e-6, 1e5), st.floats(1e-6, 1)), max_size=4),
    st.floats(0, 0.1),
)
def test_the_interval_stays_ordered_and_above_zero_whatever_comes(
    value: float,
    low: float | None,
    high: float | None,
    cpu_time: float | None,
    workers: int,
    cores: float,
    rates: list[tuple[float, float]],
    overhead: float,
) -> None:
    before = Estimate(value, None if low is None else value * low, None if high is None else value * (1 + high), 9)
    found, contention = light_load_service_time(
        before, cpu_time=cpu_time, workers=workers, cores=cores, rates=rates, overhead=overhead
    )
    ends = [end for end in (found.low, found.value, found.high) if end is not None]
    assert all(0 < end < math.inf for end in ends)
    assert all(a <= b for a, b in pairwise(ends))
    assert (found.low is None, found.high is None) == (low is None, high is None)
    assert 0 <= contention <= 1
    assert found.value <= max(1e-6, value) + overhead + 1e-12


@settings(deadline=None, max_examples=15)
@given(st.floats(1, 60), st.floats(1, 60))
def test_the_busier_the_log_was_the_less_is_left(one: float, other: float) -> None:
    less, more = sorted([one, other])
    quiet, busy = (
        light_load_service_time(LOGGED, cpu_time=0.02, workers=20, cores=2, rates=[(rate, 1.0)])[0].value
        for rate in (less, more)
    )
    assert busy <= quiet + 1e-9
