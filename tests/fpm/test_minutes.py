"""Minutes against a loop over every request, and stamps from wrong clocks."""

from __future__ import annotations

import math
import tracemalloc
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity.fpm.minutes import Minutes, Peak, busiest

DAY = 86400.0
NOW = 20781 * DAY
STARTED = st.integers(0, 12_000_000).map(lambda n: NOW + n / 64) | st.just(math.nan)
HELD = st.integers(0, 200_000).map(lambda n: n / 64) | st.just(math.nan) | st.just(0.0)


def loop(started: Sequence[float], held: Sequence[float]) -> tuple[dict[int, int], dict[int, float]]:
    """Requests and busy seconds by the number of the minute."""
    arrivals: dict[int, int] = defaultdict(int)
    busy: dict[int, float] = defaultdict(float)
    for begin, time in zip(started, held, strict=True):
        if math.isnan(begin):
            continue
        arrivals[int(begin // 60)] += 1
        end = begin + (0.0 if math.isnan(time) else time)
        for minute in range(int(begin // 60), int(end // 60) + 1):
            busy[minute] += max(0.0, min(end, 60.0 * (minute + 1)) - max(begin, 60.0 * minute))
    return arrivals, busy


@given(st.lists(st.tuples(STARTED, HELD), min_size=1, max_size=30), st.integers(0, 30))
def test_against_a_loop(requests: list[tuple[float, float]], cut: int) -> None:
    minutes = Minutes()
    for part in (requests[:cut], requests[cut:]):
        started, held = np.array(part).reshape(-1, 2).T
        minutes.add(started, held)
    start, arrivals, busy = minutes.series()
    expected_arrivals, expected_busy = loop(*zip(*requests, strict=True))
    assert minutes.lost == sum(math.isnan(begin) for begin, _ in requests)
    assert arrivals.sum() == len(requests) - minutes.lost
    if not expected_arrivals:
        assert len(arrivals) == 0
        assert minutes.timeline() is None
        return
    first = int(start // 60)
    assert start % 60 == 0
    assert first == min(expected_arrivals)
    for at, (count, seconds) in enumerate(zip(arrivals, busy, strict=True)):
        assert count == expected_arrivals.get(first + at, 0)
        assert seconds == pytest.approx(expected_busy.get(first + at, 0.0), abs=1e-9)
    assert len(arrivals) == max([*expected_arrivals, *(m for m, held in expected_busy.items() if held)]) - first + 1
    timeline = minutes.timeline()
    assert timeline is not None
    assert (timeline.arrival_rate * timeline.seconds).sum() == pytest.approx(arrivals.sum())
    assert (timeline.busy * timeline.seconds).sum() == pytest.approx(busy.sum())
    assert timeline.start % timeline.seconds == 0
    assert timeline.start <= start < timeline.start + timeline.seconds


def test_without_times_nothing_is_busy() -> None:
    minutes = Minutes()
    minutes.add(np.array([NOW, NOW + 61.0]), None)
    start, arrivals, busy = minutes.series()
    assert (start, arrivals.tolist(), busy.tolist()) == (NOW, [1.0, 1.0], [0.0, 0.0])


@pytest.mark.parametrize("held", [3601.0, 1e6, 9e17])
def test_a_request_counts_for_an_hour_at_most(held: float) -> None:
    minutes = Minutes()
    minutes.add(np.array([NOW]), np.array([held]))
    _, arrivals, busy = minutes.series()
    assert (len(arrivals), arrivals.sum(), busy.sum()) == (60, 1.0, 3600.0)


def test_a_request_over_midnight_is_busy_on_both_days() -> None:
    minutes = Minutes()
    minutes.add(np.array([NOW + DAY - 30]), np.array([90.0]))
    start, _, busy = minutes.series()
    assert (start, busy.tolist()) == (NOW + DAY - 60, [30.0, 60.0])


@pytest.mark.parametrize("stray", [0.0, 30e9, NOW - 40 * DAY])
def test_stamps_of_a_wrong_clock_do_not_stretch_the_log(stray: float) -> None:
    minutes = Minutes()
    minutes.add(np.array([stray, *(NOW + 60.0 * np.arange(100))]), np.full(101, 1.0))
    start, arrivals, busy = minutes.series()
    assert (start, len(arrivals), arrivals.sum(), busy.sum()) == (NOW, 100, 100, 100)


def test_a_quiet_month_stays_in() -> None:
    minutes = Minutes()
    minutes.add(np.array([NOW, NOW + 31 * DAY]), None)
    _, arrivals, _ = minutes.series()
    assert len(arrivals) == 31 * 1440 + 1


@pytest.mark.parametrize("spacing", [1, 31, 32])
def test_memory_is_bounded_whatever_the_stamps(spacing: int, monkeypatch: pytest.MonkeyPatch) -> None:
    span = 300  # days, where there are ten years else: what is tested here takes their memory
    monkeypatch.setattr("capacity.fpm.minutes.LONGEST_SPAN", span)
    minutes = Minutes()
    days = spacing * np.arange(100_000)
    tracemalloc.start()
    for part in np.array_split(days, 100):
        minutes.add(part * DAY, np.full(len(part), 1.0))
    kept = tracemalloc.get_traced_memory()[0]
    _, arrivals, _ = minutes.series()
    assert minutes.timeline() is not None
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert minutes.lost == 100_000 - span
    assert len(arrivals) <= span * 1440
    # a day of two rows is 23 kB; the series takes as much again, and the timeline two copies
    assert kept < 1.2 * span * 2 * 1440 * 8
    assert peak < 6 * span * 2 * 1440 * 8


def test_by_the_minute_up_to_a_day_and_by_the_hour_beyond() -> None:
    minutes = Minutes()
    minutes.add(NOW + 90 * 60 + 60.0 * np.arange(1440), np.full(1440, 30.0))
    day = minutes.timeline()
    assert day is not None
    assert (day.start, day.seconds, len(day.busy)) == (NOW + 90 * 60, 60.0, 1440)
    minutes.add(np.array([NOW + 90 * 60 + DAY]), np.array([0.0]))
    longer = minutes.timeline()
    assert longer is not None
    assert (longer.start, longer.seconds, len(longer.busy)) == (NOW + 3600, 3600.0, 25)
    assert longer.busy[1:-1] == pytest.approx(0.5)
    assert longer.busy[[0, -1]] == pytest.approx([0.25, 0.25])


@given(st.lists(st.integers(0, 50).map(float), max_size=40), st.integers(1, 45))
def test_the_busiest_stretch_against_a_loop(values: list[float], length: int) -> None:
    found = busiest(np.array(values), NOW, minutes=length)
    sums = [sum(values[at : at + length]) for at in range(len(values) - length + 1)]
    if not sums:
        assert found is None
        return
    at = sums.index(max(sums))
    assert found == Peak(pytest.approx(max(sums) / (60.0 * length)), NOW + 60.0 * at, 60.0 * length)
