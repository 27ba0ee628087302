"""Bands against simulated pools: wide enough for one that behaves as planned, narrow enough for one that does not."""

from __future__ import annotations

import json
import math
from heapq import heapreplace
from itertools import product

import numpy as np
import pytest

from capacity.comparison import compare
from capacity.estimation import Estimate, rate
from capacity.results import Comparison, Deviation
from capacity.scenario import CASE_STUDY, Scenario

WINDOW, WINDOWS = 60.0, 60
SCENARIO = Scenario.example()
SERVICE = 0.25
MIB = 1 << 20


def windows(seed: int, *, workers: int, arrival_rate: float, service_time: float) -> list[dict[str, Estimate]]:
    """An M/M/c pool watched for an hour, a minute at a time; busy workers exactly, from every start and end."""
    rng = np.random.default_rng(seed)
    warm_up = 120.0
    arrived = np.cumsum(rng.exponential(1 / arrival_rate, int(1.2 * arrival_rate * (WINDOWS * WINDOW + warm_up))))
    service = rng.exponential(service_time, len(arrived))
    free, began = [0.0] * workers, []
    for arrival, time in zip(arrived.tolist(), service.tolist(), strict=True):
        start = max(arrival, free[0])
        heapreplace(free, start + time)
        began.append(start)
    start = np.array(began)
    found = []
    for low in warm_up + WINDOW * np.arange(WINDOWS):
        count = int(((arrived >= low) & (arrived < low + WINDOW)).sum())
        held = np.minimum(start + service, low + WINDOW) - np.maximum(start, low)
        busy = float(np.clip(held, 0, None).sum() / WINDOW)
        found.append({"arrival_rate": rate([count], WINDOW), "busy_workers": Estimate(busy, busy, busy, count)})
    return found


def only(comparison: Comparison, quantity: str = "busy_workers") -> Deviation:
    [deviation] = [deviation for deviation in comparison.deviations if deviation.quantity == quantity]
    return deviation


@pytest.mark.parametrize("workers", [40, 30], ids=["light", "busy"])
@pytest.mark.parametrize("arrival_rate", [20.0, 100.0])
def test_the_band_holds_a_pool_that_behaves_as_planned(workers: int, arrival_rate: float) -> None:
    seen = windows(1, workers=workers, arrival_rate=arrival_rate, service_time=SERVICE)
    found = [only(compare(SCENARIO, window, workers=workers, seconds=WINDOW)) for window in seen]
    # an hour of 60 windows is cut from one path, and a band of 90 % misses 10 or more of 60 once in 14
    assert sum(not deviation.beyond for deviation in found) >= 0.85 * WINDOWS
    predicted = np.array([deviation.predicted for deviation in found])
    assert predicted.mean() == pytest.approx(arrival_rate * SERVICE, rel=0.03)


@pytest.mark.parametrize("factor", [1.5, 0.6])
def test_the_band_does_not_hold_another_service_time(factor: float) -> None:
    seen = windows(2, workers=60, arrival_rate=100.0, service_time=factor * SERVICE)
    found = [only(compare(SCENARIO, window, workers=60, seconds=WINDOW)) for window in seen]
    assert sum(deviation.beyond for deviation in found) >= 0.95 * WINDOWS
    assert all(("more" if factor > 1 else "fewer") in deviation.meaning for deviation in found if deviation.beyond)


def test_a_longer_window_has_a_narrower_band_and_no_window_none_to_speak_of() -> None:
    seen = {"arrival_rate": Estimate(100.0, 99.0, 101.0, 9), "busy_workers": Estimate(25.0, 24.0, 26.0, 9)}
    bands = [only(compare(SCENARIO, seen, workers=40, seconds=seconds)) for seconds in (1e6, 60.0, 1.0, 0.0)]
    widths = [(band.band_high or math.inf) - (band.band_low or 0.0) for band in bands]
    assert widths == sorted(widths)
    assert (bands[-1].band_low, bands[-1].band_high) == (0.0, 40.0)
    # of an endless window only the interval of the rate and the model's 10 % are left
    assert bands[0].band_low == pytest.approx(99 * SERVICE * 0.9, rel=0.01)
    assert bands[0].band_high == pytest.approx(101 * SERVICE * 1.1, rel=0.01)
    chance = 1.6449 * math.sqrt(2 * 25 * SERVICE / 60)
    assert bands[1].band_high == pytest.approx(101 * SERVICE * 1.1 + chance, rel=0.01)


def test_an_uncertain_service_time_widens_the_band() -> None:
    sources = {"workload.service_time": {"source": "log", "low": 0.2, "high": 0.3}}
    unsure = Scenario.from_mapping({**CASE_STUDY, "sources": sources})
    seen = {"arrival_rate": Estimate(100.0, 100.0, 100.0, 9), "busy_workers": Estimate(32.0, 32.0, 32.0, 9)}
    assert only(compare(SCENARIO, seen, workers=60, seconds=1e9)).beyond
    band = only(compare(unsure, seen, workers=60, seconds=1e9))
    assert not band.beyond
    assert (band.band_low, band.band_high) == (pytest.approx(18, rel=0.01), pytest.approx(33, rel=0.01))


@pytest.mark.parametrize("arrival_rate", [159.0, 161.0, 1000.0, 1e9])
def test_beyond_saturation_all_workers_are_busy_and_no_queue_is_too_long(arrival_rate: float) -> None:
    seen = {
        "arrival_rate": Estimate(arrival_rate, 0.98 * arrival_rate, 1.02 * arrival_rate, 9000),
        "busy_workers": Estimate(40.0, 40.0, 40.0, 120),
        "queue_length": Estimate(5000.0, 4000.0, 6000.0, 120),
    }
    result = compare(SCENARIO, seen, workers=40, seconds=WINDOW)
    busy, queue = only(result), only(result, "queue_length")
    assert not result.beyond
    assert busy.predicted == pytest.approx(40, rel=0.01)
    assert busy.band_high == 40
    assert queue.band_high is None
    assert (queue.predicted is None) == (arrival_rate > 160)


def test_a_queue_at_light_load_is_beyond_the_band() -> None:
    seen = {"arrival_rate": Estimate(40.0, 39.0, 41.0, 900), "queue_length": Estimate(12.0, 9.0, 15.0, 120)}
    found = only(compare(SCENARIO, seen, workers=40, seconds=WINDOW), "queue_length")
    assert found.beyond
    assert "more requests wait" in found.meaning
    idle = {**seen, "queue_length": Estimate(0.0, 0.0, 0.0, 120)}
    assert not compare(SCENARIO, idle, workers=40, seconds=WINDOW).beyond


@pytest.mark.parametrize(
    ("quantity", "table", "assumed", "slack"),
    [
        ("service_time", "workload", 0.25, 0.1),
        ("cpu_time", "workload", 0.06, 0.2),
        ("worker_memory", "worker", 64 * MIB, 0.15),
    ],
)
def test_inputs_are_held_against_the_scenario(quantity: str, table: str, assumed: float, slack: float) -> None:
    scenario = Scenario.from_mapping({**CASE_STUDY, "workload": {**CASE_STUDY["workload"], "cpu_time": 0.06}})
    for factor, beyond in ((1 + slack - 0.01, False), (1 + slack + 0.01, True), (1 - slack - 0.01, True), (1.0, False)):
        value = factor * assumed
        found = compare(scenario, {quantity: Estimate(value, value, value, 9)}, workers=20, seconds=WINDOW)
        assert [(one.quantity, one.beyond, bool(one.meaning)) for one in found.deviations] == [
            (quantity, beyond, beyond)
        ]
        assert found.beyond == beyond
        assert found.deviations[0].predicted == assumed
        assert found.deviations[0].unit == ("byte" if table == "worker" else "s")


def test_an_interval_that_reaches_into_the_band_is_within_it() -> None:
    for low, beyond in ((0.274, False), (0.276, True)):
        seen = {"service_time": Estimate(0.3, low, 0.33, 9)}
        assert compare(SCENARIO, seen, workers=20, seconds=WINDOW).beyond == beyond


def test_without_an_interval_a_figure_may_be_a_fifth_off() -> None:
    # beyond 0.275 / 0.8
    for value, beyond in ((0.34, False), (0.35, True)):
        assert compare(SCENARIO, {"service_time": Estimate(value)}, workers=20, seconds=WINDOW).beyond == beyond
    seen = {"arrival_rate": Estimate(100.0), "busy_workers": Estimate(30.0)}
    assert not compare(SCENARIO, seen, workers=40, seconds=WINDOW).beyond


def test_only_what_both_sides_know_is_compared() -> None:
    exact = Estimate(1.0, 1.0, 1.0, 9)
    assert compare(SCENARIO, {}, workers=20, seconds=WINDOW).deviations == ()
    assert compare(SCENARIO, {"cpu_time": exact}, workers=20, seconds=WINDOW).deviations == ()
    assert compare(SCENARIO, {"busy_workers": exact}, workers=20, seconds=WINDOW).deviations == ()
    assert compare(SCENARIO, {"arrival_rate": exact}, workers=20, seconds=WINDOW).deviations == ()
    nothing = Estimate(0.0, 0.0, 0.1, 0)
    seen = {"arrival_rate": nothing, "busy_workers": nothing}
    assert compare(SCENARIO, seen, workers=20, seconds=WINDOW).deviations == ()


@pytest.mark.parametrize(("low", "high"), [*product([0.0, None, 1.0], [1.0, None, 1e6])])
def test_any_interval_of_the_rate_gives_a_band_in_order(low: float | None, high: float | None) -> None:
    seen = {
        "arrival_rate": Estimate(1.0, low, high, 3),
        "busy_workers": Estimate(0.25, 0.0, 1.0, 3),
        "queue_length": Estimate(0.0, None, None, 3),
    }
    result = compare(SCENARIO, seen, workers=2, seconds=WINDOW)
    assert not result.beyond
    for deviation in result.deviations:
        assert deviation.band_low is not None
        assert deviation.band_low <= (math.inf if deviation.band_high is None else deviation.band_high)
    assert json.loads(result.to_json())["workers"] == 2


@pytest.mark.parametrize("low", [0.0, -1.0, 1e-300])
def test_a_stated_lower_end_that_is_no_time_spoils_nothing(low: float) -> None:
    sources = {"workload.service_time": {"source": "guess", "low": low, "high": 0.3}}
    unsure = Scenario.from_mapping({**CASE_STUDY, "sources": sources})
    seen = {"arrival_rate": Estimate(40.0, 0.0, 44.0, 9), "queue_length": Estimate(9.0, 9.0, 9.0, 9)}
    seen |= {"busy_workers": Estimate(10.0, 9.0, 11.0, 9)}
    result = compare(unsure, seen, workers=40, seconds=WINDOW)
    busy, queue = only(result), only(result, "queue_length")
    assert (busy.band_low, busy.beyond) == (0.0, False)
    assert busy.band_high == pytest.approx(44 * 0.3 * 1.1 + 1.6449 * math.sqrt(2 * 10 * SERVICE / WINDOW))
    assert queue.band_high == pytest.approx(0.5, abs=0.01)
    assert queue.beyond


def test_it_survives_json() -> None:
    seen = {
        "arrival_rate": Estimate(1e4, 9e3, 1.1e4, 900),
        "busy_workers": Estimate(20.0, None, None, 9),
        "queue_length": Estimate(1.0, 0.5, 2.0, 9),
        "worker_memory": Estimate(90.0 * MIB, 80.0 * MIB, 95.0 * MIB, 9),
    }
    result = compare(SCENARIO, seen, workers=20, seconds=WINDOW)
    text = result.to_json()
    assert "Infinity" not in text
    assert "NaN" not in text
    assert Comparison.model_validate_json(text) == result
    assert (result.beyond, [one.quantity for one in result.deviations if one.beyond]) == (True, ["worker_memory"])
