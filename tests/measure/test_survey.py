"""Which source is believed: every rule of the survey, with evidence made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from capacity.cli.measure import _tables
from capacity.estimation import Estimate
from capacity.fpm.access_format import WANTED_FORMAT, access_format
from capacity.fpm.access_log import Noise
from capacity.fpm.minutes import Peak
from capacity.fpm.series import SeriesLoad
from capacity.fpm.traffic import Traffic, read_traffic
from capacity.fpm.visitors import Visitors
from capacity.measure.host import Measured
from capacity.measure.light_load import REQUEST_OVERHEAD, light_load_service_time
from capacity.measure.sampling import Sampled
from capacity.measure.survey import Evidence, Survey, survey
from capacity.measure.workers import PoolMeasurement
from capacity.report.scenario import scenario_toml
from capacity.scenario import Scenario, Source

MIB = 1 << 20
NOW = 1795478400.0


def estimate(value: float, samples: int = 1000) -> Estimate:
    return Estimate(value, 0.95 * value, 1.05 * value, samples)


EMPTY = Traffic(
    format=access_format("%t %r %d"),
    requests=5000,
    static=0,
    noise=Noise(),
    first=NOW,
    last=NOW + 600,
    arrival_rate=None,
    busiest_minute=None,
    peak_hour=None,
    rates=(),
    time_kind=None,
    time=None,
    time_scv=None,
    time_quantiles={},
    cpu_time=None,
    memory=None,
    peak_memory=None,
    busy=None,
    busiest=None,
    timeline=None,
    failed=None,
    routes=(),
    visitors=None,
    disordered=False,
    lost=0,
)
LOG = replace(EMPTY, time_kind="service_time", time=estimate(0.2), time_scv=estimate(1.2), arrival_rate=estimate(10.0))
DAYS = replace(LOG, last=NOW + 86400, time=estimate(0.3), peak_hour=Peak(25.0, NOW + 36000, 3600.0))
NGINX = replace(LOG, time_kind="upstream_time")
IDLE = Sampled(
    seconds=60.0,
    looks=120,
    arrival_rate=None,
    busy=None,
    most_busy=None,
    service_time=None,
    cpu_time=None,
    other_cores=None,
    waiting=None,
    most_waiting=None,
    most_stuck=0,
    workers=(20, 20),
    limit_reached=None,
    requests=0,
)
SAMPLED = replace(IDLE, arrival_rate=estimate(11.0), busy=estimate(2.2), service_time=estimate(0.21), requests=660)
SERIES = SeriesLoad(
    active=estimate(3.0),
    active_quantiles={},
    active_peak_hour=None,
    start=NOW,
    end=NOW + 86400,
    interval=15.0,
    samples=5760,
    gaps=0,
    arrival_rate=estimate(12.0),
    service_time=estimate(0.25),
)


def known(value: float, source: str = "seen") -> Measured:
    return Measured(value, Source(source=source, samples=3))


HOST = PoolMeasurement(
    pool="www",
    master_pid=1,
    config="/etc/php-fpm.conf",
    ram=known(4 << 30),
    reserved=known(1 << 30),
    cpus=known(4.0),
    somaxconn=known(4096),
    worker_memory=known(40 * MIB),
    shared_memory=known(100 * MIB),
    workers_seen=20,
)


def value(found: Survey, field: str) -> float:
    return found.values[field].value


def source(found: Survey, field: str) -> str:
    return found.values[field].source.source


def said(lines: tuple[str, ...], words: str) -> bool:
    return any(words in line for line in lines)


def test_of_nothing_everything_is_blind_and_the_format_that_helps_is_named() -> None:
    found = survey(Evidence())
    assert found.values == {}
    for field in ("service_time", "the arrival rate", "worker.memory", "users and think time"):
        assert said(found.blind, field)
    assert sum(WANTED_FORMAT in line for line in found.blind) == 2


class TestServiceTime:
    def test_the_log_of_fpm_is_believed_first(self) -> None:
        found = survey(Evidence(sampled=SAMPLED, history=LOG, series=SERIES))
        assert value(found, "workload.service_time") == pytest.approx(0.2 + REQUEST_OVERHEAD)
        assert source(found, "workload.service_time").startswith("mean %d of the access log")
        assert value(found, "workload.service_scv") == 1.2

    def test_then_littles_law_on_the_status_page(self) -> None:
        found = survey(Evidence(sampled=SAMPLED, history=NGINX, series=SERIES))
        assert value(found, "workload.service_time") == 0.21  # busy workers have the overhead in them
        assert "status page (Little's law), 120 looks" in source(found, "workload.service_time")
        assert "workload.service_scv" not in found.values
        assert said(found.blind, f"the spread of the service time: write access.format = '{WANTED_FORMAT}'")

    def test_then_the_monitoring(self) -> None:
        found = survey(Evidence(sampled=IDLE, history=NGINX, series=SERIES))
        assert value(found, "workload.service_time") == 0.25
        assert "monitoring (Little's law)" in source(found, "workload.service_time")

    @pytest.mark.parametrize(
        ("kind", "words"), [("upstream_time", "the wait for a worker"), ("request_time", "sending")]
    )
    def test_then_the_web_server_as_an_upper_bound(self, kind: Any, words: str) -> None:
        found = survey(Evidence(history=replace(NGINX, time_kind=kind)))
        assert value(found, "workload.service_time") == 0.2
        assert found.values["workload.service_time"].upper_bound
        assert source(found, "workload.service_time").startswith(f"upper bound: {kind}")
        assert said(found.notes, "service_time is an upper bound")
        assert said(found.notes, words)

    def test_no_other_is_an_upper_bound(self) -> None:
        for evidence in (Evidence(history=LOG), Evidence(sampled=SAMPLED), Evidence(series=SERIES)):
            assert not survey(evidence).values["workload.service_time"].upper_bound

    def test_contention_is_taken_out_with_the_cores_the_others_left(self) -> None:
        window = replace(LOG, cpu_time=estimate(0.05), rates=((40.0, 1.0),))
        for others, cores in ((None, 4.0), (0.8, 3.2), (1.5, 2.5)):
            sampled = replace(SAMPLED, other_cores=others)
            found = survey(Evidence(host=HOST, sampled=sampled, history=LOG, window=window))
            # the others share fairly: their cores are neither all lost nor all there
            least, most = (
                light_load_service_time(estimate(0.2), cpu_time=0.05, workers=20, cores=there, rates=((40.0, 1.0),))[0]
                for there in (cores, 4.0)
            )
            service = found.values["workload.service_time"]
            assert service.value == pytest.approx((least.value + most.value) / 2)
            assert (service.source.low, service.source.high) == (least.low, most.high)
            assert "for cores that were busy" in service.source.source
            assert not service.upper_bound

    @pytest.mark.parametrize(("others", "full"), [(1.6, False), (1.7, True), (9.0, True)])
    def test_on_full_cores_it_is_an_upper_bound(self, others: float, full: bool) -> None:
        # 40 requests a second of 50 ms keep 2 cores busy: 85 % of 2.35
        window = replace(LOG, cpu_time=estimate(0.05), rates=((40.0, 1.0),))
        found = survey(Evidence(host=HOST, sampled=replace(SAMPLED, other_cores=others), history=LOG, window=window))
        service = found.values["workload.service_time"]
        assert service.upper_bound == full
        assert said(found.notes, "the cores were full") == full
        if full:
            assert service.value == pytest.approx(0.2 + REQUEST_OVERHEAD)
            assert service.source.source.startswith("upper bound, on full cores")

    def test_an_old_log_does_not_tell_what_the_others_took(self) -> None:
        days = replace(DAYS, cpu_time=estimate(0.05), rates=((50.0, 1.0),))
        found = survey(Evidence(host=HOST, sampled=replace(SAMPLED, other_cores=2.0), history=days, workers=12))
        expected, _ = light_load_service_time(estimate(0.3), cpu_time=0.05, workers=12, cores=4.0, rates=((50.0, 1.0),))
        assert value(found, "workload.service_time") == pytest.approx(expected.value)

    def test_times_that_are_all_zero_have_no_spread(self) -> None:
        log = b"24/Nov/2026:07:46:30 +0000 /a 0.000\n" * 100
        history = read_traffic([log], access_format("%t %r %d"))
        found = survey(Evidence(host=HOST, sampled=replace(SAMPLED, cpu_time=estimate(0.001)), history=history))
        assert value(found, "workload.service_time") == pytest.approx(REQUEST_OVERHEAD)
        assert "workload.service_scv" not in found.values


class TestWhichLog:
    def test_the_window_speaks_where_the_log_is_short(self) -> None:
        window = replace(LOG, time=estimate(0.1))
        assert value(survey(Evidence(history=LOG, window=window)), "workload.service_time") == pytest.approx(0.1003)

    def test_a_log_of_hours_speaks_for_itself(self) -> None:
        window = replace(LOG, time=estimate(0.1))
        assert value(survey(Evidence(history=DAYS, window=window)), "workload.service_time") == pytest.approx(0.3003)

    @pytest.mark.parametrize(("requests", "time"), [(29, 0.2), (30, 0.1)])
    def test_a_window_of_a_few_requests_does_not_speak(self, requests: int, time: float) -> None:
        window = replace(LOG, time=estimate(0.1), requests=requests)
        found = survey(Evidence(history=LOG, window=window))
        assert value(found, "workload.service_time") == pytest.approx(time + REQUEST_OVERHEAD)


class TestCpuTime:
    def test_what_the_workers_used_is_believed_before_the_log(self) -> None:
        found = survey(
            Evidence(sampled=replace(SAMPLED, cpu_time=estimate(0.05)), history=replace(LOG, cpu_time=estimate(0.04)))
        )
        assert value(found, "workload.cpu_time") == 0.05
        assert found.values["workload.cpu_time"].source.samples == 660
        assert not said(found.notes, "cpu_time: the log says")

    def test_but_not_where_the_log_has_ten_times_as_many_requests(self) -> None:
        logged = replace(LOG, cpu_time=estimate(0.04, 6601))
        found = survey(Evidence(sampled=replace(SAMPLED, cpu_time=estimate(0.05)), history=logged))
        assert value(found, "workload.cpu_time") == 0.04
        assert "%C x %d" in source(found, "workload.cpu_time")

    @pytest.mark.parametrize(("logged", "noted"), [(0.034, True), (0.036, False), (0.069, False), (0.071, True)])
    def test_a_large_difference_is_noted(self, logged: float, noted: bool) -> None:
        found = survey(
            Evidence(sampled=replace(SAMPLED, cpu_time=estimate(0.05)), history=replace(LOG, cpu_time=estimate(logged)))
        )
        assert said(found.notes, "cpu_time: the log says") == noted

    def test_above_the_service_time_it_is_set_to_it(self) -> None:
        found = survey(Evidence(history=replace(LOG, cpu_time=estimate(0.5))))
        assert value(found, "workload.cpu_time") == value(found, "workload.service_time")
        assert said(found.notes, "above service_time")
        assert source(found, "workload.cpu_time").startswith("service_time; ")


class TestArrivalRate:
    def test_the_busiest_hour_of_a_log_of_hours(self) -> None:
        found = survey(Evidence(sampled=SAMPLED, history=DAYS, window=LOG, series=SERIES))
        assert value(found, "workload.arrival_rate") == 25
        assert source(found, "workload.arrival_rate") == "busiest hour of the access log, from 2026-11-24 10:00 UTC"
        assert found.values["workload.arrival_rate"].source.samples == 90000

    @pytest.mark.parametrize("seconds", [7199, 7200])
    def test_hours_are_at_least_two(self, seconds: int) -> None:
        found = survey(Evidence(sampled=SAMPLED, history=replace(DAYS, last=NOW + seconds)))
        assert value(found, "workload.arrival_rate") == (25 if seconds >= 7200 else 11)

    def test_then_the_window_with_the_doubt_whether_it_was_busy(self) -> None:
        found = survey(Evidence(sampled=SAMPLED, history=LOG, series=SERIES))
        assert value(found, "workload.arrival_rate") == 11
        assert said(found.notes, "which may not have been the busiest")

    def test_then_the_whole_log_then_the_monitoring(self) -> None:
        idle = replace(SAMPLED, requests=0, arrival_rate=estimate(0.0))
        assert value(survey(Evidence(sampled=idle, history=LOG, series=SERIES)), "workload.arrival_rate") == 10
        assert value(survey(Evidence(sampled=idle, history=EMPTY, series=SERIES)), "workload.arrival_rate") == 12
        found = survey(Evidence(sampled=idle, history=EMPTY))
        assert "workload.arrival_rate" not in found.values
        assert said(found.blind, "the arrival rate")


class TestMemory:
    def test_the_living_workers_are_believed(self) -> None:
        found = survey(Evidence(host=HOST, history=replace(LOG, memory=estimate(45.0 * MIB))))
        assert value(found, "worker.memory") == 40 * MIB

    @pytest.mark.parametrize(
        ("seen", "logged", "used"), [(40, 49, False), (40, 51, True), (8, 11.9, False), (8, 12.1, True)]
    )
    def test_unless_the_log_has_much_heavier_requests(self, seen: float, logged: float, used: bool) -> None:
        host = replace(HOST, worker_memory=known(seen * MIB))
        found = survey(Evidence(host=host, history=replace(LOG, memory=estimate(logged * MIB))))
        assert value(found, "worker.memory") == pytest.approx((logged if used else seen) * MIB, abs=1)
        assert said(found.notes, "the log's figure is used") == used

    def test_the_log_alone(self) -> None:
        found = survey(Evidence(history=replace(LOG, memory=Estimate(2097152.4, 2e6, 3e6, 9))))
        assert value(found, "worker.memory") == 2097153
        assert source(found, "worker.memory").startswith("0.95 quantile of %M")

    def test_an_upper_bound_stays_marked(self) -> None:
        bound = replace(HOST, worker_memory=replace(known(40.0 * MIB), upper_bound=True))
        assert survey(Evidence(host=bound)).values["worker.memory"].upper_bound


@pytest.mark.parametrize(("busy", "words"), [(2.0, ""), (2.14, ""), (2.26, "more"), (1.85, ""), (1.74, "fewer")])
def test_a_gap_in_littles_law_is_told_from_a_tenth_on(busy: float, words: str) -> None:
    sampled = replace(SAMPLED, arrival_rate=Estimate(10.0, 9.99, 10.01, 600), busy=Estimate(busy, busy, busy, 120))
    window = replace(LOG, time=Estimate(0.2, 0.1999, 0.2001, 600))
    found = survey(Evidence(sampled=sampled, history=window, window=window))
    assert said(found.notes, "Little's law:") == bool(words)
    assert said(found.notes, f"{abs(busy / 2.003 - 1) * 100:.3g} % {words} than") == bool(words)


def test_a_gap_that_may_be_chance_is_not_told() -> None:
    sampled = replace(SAMPLED, arrival_rate=estimate(10.0), busy=Estimate(2.5, 1.5, 3.5, 120))
    assert not said(survey(Evidence(sampled=sampled, history=LOG, window=LOG)).notes, "Little's law:")


def test_times_of_the_web_server_are_not_held_against_busy_workers() -> None:
    sampled = replace(SAMPLED, busy=estimate(9.0))
    assert not said(survey(Evidence(sampled=sampled, history=NGINX, window=NGINX)).notes, "Little's law:")


def test_what_was_seen_of_the_pool_is_told() -> None:
    sampled = replace(IDLE, most_stuck=2, most_waiting=7, other_cores=1.25, limit_reached=3, notes=("a note",))
    found = survey(Evidence(host=HOST, sampled=sampled))
    for words in (
        "2 workers were in 'Reading headers'",
        "7 requests waited",
        "1.2 cores",
        "max_children 3 times",
        "a note",
    ):
        assert said(found.notes, words)
    assert said(found.blind, "pm.status_path")
    quiet = survey(Evidence(sampled=replace(SAMPLED, most_stuck=1, most_waiting=0, other_cores=0.09, limit_reached=0)))
    assert len(quiet.notes) == 1  # the window may not have been the busiest
    assert not said(quiet.blind, "pm.status_path")


@pytest.mark.parametrize(("others", "low"), [(0.0, 4.0), (1.5, 2.5), (6.0, 0.0)])
def test_the_cores_have_what_the_others_left_as_their_lower_end(others: float, low: float) -> None:
    cpus = survey(Evidence(host=HOST, sampled=replace(SAMPLED, other_cores=others))).values["host.cpus"]
    assert (cpus.value, cpus.source.low, cpus.source.high) == (4.0, low, 4.0)


def test_visitors_are_told_with_their_doubt() -> None:
    visitors = Visitors(300, 1.0, 900, estimate(1.5), estimate(12.0))
    found = survey(Evidence(history=replace(LOG, visitors=visitors)))
    assert value(found, "workload.requests_per_click") == 1.5
    assert value(found, "workload.think_time") == 12
    assert "falsifies it" in source(found, "workload.think_time")
    assert not said(found.blind, "users and think time")
    silent = survey(Evidence(history=replace(LOG, visitors=replace(visitors, think_time=None))))
    assert "workload.think_time" not in silent.values


def complete() -> Evidence:
    visitors = Visitors(300, 1.0, 900, estimate(1.5), estimate(12.0))
    log = replace(LOG, cpu_time=estimate(0.05), memory=estimate(90.0 * MIB), visitors=visitors, rates=((20.0, 1.0),))
    return Evidence(host=HOST, sampled=replace(SAMPLED, other_cores=0.5), history=log, window=log, series=SERIES)


def test_every_value_has_a_source_and_nothing_is_said_twice() -> None:
    found = survey(complete())
    assert len(found.values) == 12
    for one in found.values.values():
        assert one.source.source.strip()
        assert np.isfinite(one.value)
        assert (one.source.low or 0) <= one.value
        assert one.source.high is None or one.value <= one.source.high
    assert len(set(found.notes)) == len(found.notes)
    assert len(set(found.blind)) == len(found.blind)


def test_a_complete_survey_is_a_scenario() -> None:
    found = survey(complete())
    tables = {name: table for name, table in _tables(None, found).items() if table}
    scenario = Scenario.from_mapping(tables)
    assert scenario.workload.service_time == value(found, "workload.service_time")
    assert scenario.sources.keys() == found.values.keys()
    again = Scenario.from_toml_text(scenario_toml(tables, comments=found.blind))
    assert again.workload.service_time == pytest.approx(scenario.workload.service_time, rel=1e-5)
    assert again.host == scenario.host
