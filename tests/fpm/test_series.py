"""Series of active workers: what a CSV may look like, and what a load must come out of a known one."""

from __future__ import annotations

import heapq
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity.errors import CapacityError, InvalidInput
from capacity.fpm.log_line import LONGEST_LINE
from capacity.fpm.series import ACCEPTED, ACTIVE, Series, load_of, read_csv

NINE = 1795510800.0  # 2026-11-24 09:00:00 UTC


def by_name(data: bytes) -> dict[str, Series]:
    found = read_csv(data)
    assert len({series.name for series in found}) == len(found)
    return {series.name: series for series in found}


def regular(values: list[float], *, step: float = 15.0, start: float = NINE) -> Series:
    return Series(start + step * np.arange(len(values)), np.array(values, float))


# --- Series ---------------------------------------------------------------------------------------------------------


def test_samples_are_sorted_and_of_two_at_one_time_the_later_given_is_kept() -> None:
    series = Series(np.array([3.0, 1.0, 2.0, 1.0, 3.0]), np.array([30.0, 10.0, 20.0, 11.0, 31.0]))
    assert series.times.tolist() == [1, 2, 3]
    assert series.values.tolist() == [11, 20, 31]


@pytest.mark.parametrize(
    ("times", "values"),
    [([1.0, 2.0], [1.0]), ([np.nan], [1.0]), ([1.0], [np.inf]), ([[1.0]], [[1.0]])],
)
def test_a_series_has_one_finite_value_for_each_time(times: list[float], values: list[float]) -> None:
    with pytest.raises(InvalidInput, match="one finite value for each time"):
        Series(np.array(times), np.array(values))


# --- CSV ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (b"time,active\n1795510800,3\n1795510815,4\n", None),
        (b"timestamp;active processes\n1795510800000;3\n1795510815000;4\n", "taken as milliseconds"),
        (b"ts\tphpfpm_active_processes\n1.7955108e9\t3\n1795510815.0\t4.0\n", None),
        (b"\xef\xbb\xbfDate,Value\r\n2026-11-24T09:00:00Z,3\r\n2026-11-24T09:00:15Z,4\r\n", None),
        (b'"Time","value"\n"2026-11-24 09:00:00","3"\n"2026-11-24 09:00:15","4"\n', "taken as UTC"),
        (b"_time,_start,_value\n2026-11-24T10:00:00+01:00,x,3\n2026-11-24T10:00:15+01:00,x,4\n", None),
        (b'sep=;\n"Time";"www"\n2026-11-24T09:00:00.000Z;3\n2026-11-24T09:00:15.000Z;4\n', "column 'www'"),
        (b"1795510815,4\n1795510800,3", "column 2"),
        (b"# exported\n\ntime , busy workers ,idle\n 1795510800 , 3 ,1\n\n1795510815,4,\n", None),
        (b"idle,active,time\n7,3,1795510800\n6,4,1795510815\n", None),
        (b"time,active\n1795510800,3\n1795510805,\n1795510806,null\n1795510807,NaN\n1795510815,4\n", None),
        (b"time;value;\n1795510800;3;\n1795510815;4;\n", None),
    ],
)
def test_a_csv_of_any_of_these_looks_says_the_same(data: bytes, note: str | None) -> None:
    [series] = read_csv(data)
    assert series.name == ACTIVE
    assert series.times.tolist() == [NINE, NINE + 15]
    assert series.values.tolist() == [3, 4]
    assert len(series.notes) == (note is not None)
    assert note is None or note in series.notes[0]


def test_a_counter_of_requests_is_a_series_of_its_own() -> None:
    found = by_name(b"time,accepted conn,active\n1795510800,100,3\n1795510815,,4\n1795510830,130,5\n")
    assert found[ACTIVE].values.tolist() == [3, 4, 5]
    assert found[ACCEPTED].values.tolist() == [100, 130]
    assert found[ACCEPTED].times.tolist() == [NINE, NINE + 30]


def test_pools_are_told_apart_by_their_column() -> None:
    found = read_csv(b"time,pool,active\n1795510800,www,3\n1795510800,shop,1\n1795510815,www,4\n")
    assert {series.labels["pool"]: series.values.tolist() for series in found} == {"www": [3, 4], "shop": [1]}


def test_pools_are_told_apart_by_the_labels_grafana_writes_into_the_head_of_a_column() -> None:
    head = (
        b'"Time","phpfpm_active_processes{instance=""a:9253"", pool=""www""}","phpfpm_active_processes{pool=""shop""}"'
    )
    found = read_csv(head + b"\n2026-11-24T09:00:00Z,3,1\n")
    assert [(series.labels, series.values.tolist()) for series in found] == [
        ({"instance": "a:9253", "pool": "www"}, [3]),
        ({"pool": "shop"}, [1]),
    ]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"1795510805,12 procs", "line 3: '12 procs' is not a plain number"),
        (b'1795510805,"3,5"', "line 3: '3,5' has a decimal comma"),
        (b"1795510805,3,5", "line 3: has 3 cells, not 2 (a decimal comma?)"),
        (b"1795510805,-1", "line 3: '-1' is not a plain number"),
        (b"1795510805,1e99", "line 3: '1e99' is not a plain number"),
        (b"1795510805,0x10", "line 3: '0x10' is not a plain number"),
        (b"yesterday,3", "line 3: 'yesterday' is no time"),
        (b"11/24/2026 09:00,3", "line 3: '11/24/2026 09:00' is no time"),
        (b"time,active", "line 3: 'time' is no time"),
        (b"\xff\xfe\x00,3", "line 3: "),
        (b'"', "line 3: "),
        (b'1795510805\r,"3', "line 3: "),
        (b"9" * (LONGEST_LINE + 1), "line 3: is too long"),
    ],
)
def test_a_bad_line_is_left_out_and_named(line: bytes, why: str) -> None:
    good = b"time,active\n1795510800,3\n%s\n1795510815,4\n"
    [series] = read_csv(good % line)
    assert series.values.tolist() == ([3, 3, 4] if line.startswith(b"1795510805\r") else [3, 4])
    if len(series.values) == 2:
        assert series.notes[0].startswith("1 of 3 lines could not be read: " + why)


def test_of_many_bad_lines_three_are_shown() -> None:
    [series] = read_csv(b"time,active\n1795510800,3\n" + b"x,y\n" * 1000)
    assert series.notes[0].startswith("1000 of 1001 lines could not be read: line 3:")
    assert series.notes[0].count("line ") == 3


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "must have lines of a time"),
        (b"time,active\n", "must have lines of a time"),
        (b"time;active\n1795510800;3,5\n1795510815;4,5\n", "'3,5' has a decimal comma"),
        (b"time,active\n1795510800,12 procs\n", "line 2: '12 procs' is not a plain number"),
        (b"when,active\n1795510800,3\n", "a column named time"),
        (b"time,idle,total\n1795510800,3,4\n", "one named active"),
        (b"1795510800\n1795510815\n", "separated by comma, semicolon or tab"),
        ("time,active\n1795510800,3\n".encode("utf-16"), "text in UTF-8"),
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "text in UTF-8"),
        (b"<!DOCTYPE html><html>", "must have a column named time"),
        (b",".join([b"time", *[b"active"] * 5000]) + b"\n", "must have a column named time"),
        (b"time,pool,active\n" + b"".join(b"1,%d,1\n" % n for n in range(1001)), "at most 1000 pools"),
    ],
)
def test_a_csv_that_says_nothing_is_refused_with_the_reason(data: bytes, why: str) -> None:
    with pytest.raises(InvalidInput, match="the CSV") as caught:
        read_csv(data)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.lists(st.integers(1, 60), max_size=40))
def test_it_does_not_matter_where_the_file_is_cut(sizes: list[int]) -> None:
    data = b"time,active\r\n" + b"".join(b"%d,%d\r\n" % (NINE + n, n % 7) for n in range(50))
    cuts = np.minimum(np.cumsum([0, *sizes]), len(data))
    pieces = [data[a:b] for a, b in zip(cuts, [*cuts[1:], len(data)], strict=True)]
    [series] = read_csv(pieces)
    assert series.values.tolist() == [n % 7 for n in range(50)]


def test_a_file_without_an_end_ends_and_one_line_of_100_megabytes_is_one_bad_line() -> None:
    def endless() -> Iterator[bytes]:
        yield b"time,active\n"
        while True:
            yield b"#" * 999_999 + b"\n"

    def giant() -> Iterator[bytes]:
        yield b"time,active\n1795510800,3\n"
        for _ in range(100):
            yield b"7" * 1_000_000
        yield b"\n1795510815,4\n"

    with pytest.raises(InvalidInput, match="at most 256 MiB"):
        read_csv(endless())
    tracemalloc.start()
    [series] = read_csv(giant())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000  # a tenth of the line
    assert series.values.tolist() == [3, 4]
    assert series.notes == ("1 of 3 lines could not be read: line 3: is too long",)


TOKENS = st.sampled_from(
    [b"time", b"active", b"accepted", b"pool", b",", b";", b"\t", b"\n", b"\r", b'"', b"1795510800", b"3", b"3,5", b"{",
     b'{pool="a"}', b"2026-11-24 09:00:00", b"nan", b"\xff", b"\0", b"#", b"sep=;", b"-1", b"1e308", b"\xef\xbb\xbf"]
)  # fmt: skip


def outcome(data: bytes) -> tuple[Series, ...] | str:
    try:
        return read_csv(data)
    except CapacityError as error:
        return str(error)


@given(st.one_of(st.binary(max_size=400), st.lists(TOKENS, max_size=60).map(b"".join)))
def test_whatever_the_bytes_are_they_are_read_or_refused(data: bytes) -> None:
    found = outcome(data)
    if isinstance(found, str):
        assert found.isprintable()
        return
    for series in found:
        assert len(series.times)
        assert (np.diff(series.times) > 0).all()
        assert (series.values >= 0).all()
        assert all(note.isprintable() for note in series.notes)


# --- the load -------------------------------------------------------------------------------------------------------


def test_the_figures_of_a_small_series() -> None:
    load = load_of(regular([2, 4, 6, 8]), regular([100, 130, 160, 220]))
    assert load.active.value == 5
    assert load.active_quantiles == {0.5: 4, 0.95: 8, 1.0: 8}
    assert (load.start, load.end, load.interval) == (NINE, NINE + 45, 15)
    assert (load.samples, load.gaps, load.resets, load.requests) == (4, 0, 0, 120)
    assert load.arrival_rate is not None
    assert load.arrival_rate.value == pytest.approx(120 / 45)
    assert load.arrival_rate_peak is not None
    assert load.arrival_rate_peak.value == pytest.approx(60 / 15)
    assert (load.arrival_rate_peak.start, load.arrival_rate_peak.seconds) == (NINE + 30, 15)
    # 3, 5 and 7 workers held for 15 s each
    assert load.service_time is not None
    assert load.service_time.value == pytest.approx(15 * 15 / 120)
    assert load.active_peak_hour is load.arrival_rate_peak_hour is None  # less than an hour
    assert any("fastcgi_keep_conn" in note for note in load.notes)


def test_without_a_counter_there_is_no_rate_and_one_sample_is_a_load_too() -> None:
    load = load_of(regular([3]))
    assert load.active.value == 3
    assert load.arrival_rate is load.service_time is load.active_peak_hour is None
    assert np.isnan(load.interval)
    assert load_of(regular([3]), regular([7])).arrival_rate is None
    assert load_of(regular([3, 3]), regular([7])).arrival_rate is None


def test_a_load_needs_samples_that_can_be_counts() -> None:
    for active, accepted in [(regular([]), None), (regular([-1]), None), (regular([1]), regular([-1]))]:
        with pytest.raises(InvalidInput, match="none of them negative"):
            load_of(active, accepted)


@pytest.mark.parametrize("offset", [0.0, 700.0])
def test_the_busiest_hour_is_found_wherever_it_begins(offset: float) -> None:
    times = NINE + offset + 60 * np.arange(6 * 60 + 1.0)
    active = np.where((times >= NINE + 9000) & (times <= NINE + 12600), 9.0, 2.0)
    counter = np.cumsum(np.append(0, 60 * np.where(active[1:] == 9, 20.0, 5.0)))
    load = load_of(Series(times, active), Series(times, counter))
    assert load.active_peak_hour is not None
    assert load.arrival_rate_peak_hour is not None
    assert load.active_peak_hour.value == pytest.approx(9, abs=7 * 60 / 3600)  # a sample at the edge may be out
    assert load.active_peak_hour.start == pytest.approx(NINE + 9000, abs=60)
    assert load.active_peak_hour.seconds == 3600
    assert load.arrival_rate_peak_hour.value == pytest.approx(20, abs=15 * 60 / 3600)
    assert load.arrival_rate_peak_hour.start == pytest.approx(NINE + 9000, abs=60)


def test_an_hour_of_which_less_than_half_was_sampled_is_not_the_busiest() -> None:
    times = np.concatenate([60.0 * np.arange(121), 12600 + 60.0 * np.arange(10), 20000 + 60.0 * np.arange(61)])
    active = np.where((times >= 12600) & (times < 20000), 50.0, 3.0)
    load = load_of(Series(times, active))
    assert load.active_peak_hour is not None
    assert load.active_peak_hour.value == 3
    assert load.gaps == 2
    assert any("gaps are left out: 2 between samples" in note for note in load.notes)


def test_a_gap_counts_for_nothing() -> None:
    active = Series(np.array([0.0, 15, 30, 45, 7245, 7260, 7275]), np.full(7, 2.0))
    # ten requests a second outside the gap, a million within
    accepted = Series(active.times, np.array([0.0, 150, 300, 450, 1_000_450, 1_000_600, 1_000_750]))
    load = load_of(active, accepted)
    assert load.requests == 750
    assert load.arrival_rate is not None
    assert load.service_time is not None
    assert load.arrival_rate.value == pytest.approx(10)
    assert load.service_time.value == pytest.approx(0.2)


def test_a_counter_that_begins_anew_counts_from_0() -> None:
    steady = 15 * 4.0 * np.arange(41)
    reloaded = np.where(np.arange(41) >= 20, steady - steady[20] + 17, steady)  # 17 since the reload, 43 lost with it
    load = load_of(regular([1] * 41), regular(list(reloaded)))
    assert load.resets == 1
    assert load.requests == steady[-1] - 43
    assert load.arrival_rate_peak is not None
    assert load.arrival_rate_peak.value == pytest.approx(4)


def test_a_rate_is_not_taken_for_a_counter() -> None:
    load = load_of(regular([1] * 40), regular([10, 12] * 20))
    assert load.arrival_rate is load.service_time is None
    assert any("no counter of requests" in note for note in load.notes)


def test_the_query_itself_is_taken_out_where_it_is_in() -> None:
    # 2 workers busy with 4 requests a second, and a query each 15 s that holds a third and counts as a request
    true = regular([2] * 41), regular(list(60.0 * np.arange(41)))
    seen = regular([3] * 41), regular(list(61.0 * np.arange(41)))
    load, told = load_of(*true), load_of(*seen, own_query=True)
    assert told.active == load.active
    assert told.arrival_rate == load.arrival_rate
    assert told.service_time == load.service_time
    assert load_of(regular([0, 1, 0] * 10), own_query=True).active.value == 0  # not below 0
    assert any("never 0" in note for note in load_of(*seen).notes)
    assert not any("never 0" in note for note in told.notes)
    assert not any("never 0" in note for note in load_of(regular([0, *[3] * 40])).notes)


def test_samples_between_scrapes_do_not_make_a_peak() -> None:
    """Prometheus repeats a sample until the next scrape: of a steady 4/s the counter then jumps each minute."""
    times = NINE + 15 * np.arange(241.0)
    scraped = 240 * np.floor((times - NINE + 50) / 60)
    load = load_of(Series(times, np.full(241, 2.0)), Series(times, scraped))
    assert load.arrival_rate_peak is not None
    assert load.arrival_rate_peak.value == pytest.approx(4)
    assert load.arrival_rate_peak.seconds == 60


def test_two_series_that_share_few_times_give_a_rate_and_no_service_time() -> None:
    load = load_of(regular([2] * 40), regular(list(60.0 * np.arange(40)), start=NINE + 1))
    assert load.arrival_rate is not None
    assert load.arrival_rate.value == pytest.approx(4)
    assert load.service_time is None
    assert any("no service time" in note for note in load.notes)


def test_what_the_series_say_of_themselves_is_kept_once() -> None:
    notes = ("times without a zone were taken as UTC",)
    active = Series(np.array([0.0, 15.0]), np.array([1.0, 2.0]), notes=notes)
    assert load_of(active, active).notes.count(notes[0]) == 1


def simulated(workers: int, arrival_rate: float, service_time: float, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Start and end of each request of an M/M/c queue, first come first served."""
    random = np.random.default_rng(20261124)
    arrivals = np.cumsum(random.exponential(1 / arrival_rate, int(seconds * arrival_rate)))
    held = random.exponential(service_time, len(arrivals))
    free = [0.0] * workers
    starts = np.empty(len(arrivals))
    for at, (arrival, time) in enumerate(zip(arrivals, held, strict=True)):
        starts[at] = max(arrival, heapq.heappop(free))
        heapq.heappush(free, starts[at] + time)
    return starts, starts + held


def test_rate_and_service_time_of_a_simulated_queue_are_found_again() -> None:
    arrival_rate, service_time, seconds = 20.0, 0.25, 4 * 3600.0  # 5 erlang on 8 workers
    starts, ends = simulated(8, arrival_rate, service_time, seconds)
    times = np.arange(60.0, seconds, 15.0)
    accepted = np.searchsorted(starts, times, "right").astype(float)
    active = accepted - np.searchsorted(np.sort(ends), times, "right")
    assert active.max() <= 8
    load = load_of(Series(times, active), Series(times, accepted))
    assert load.arrival_rate is not None
    assert load.service_time is not None
    # 288 000 Poisson arrivals: a standard error of 0.2 %, four of them
    assert load.arrival_rate.value == pytest.approx(arrival_rate, rel=0.008)
    # 956 samples 15 s apart, a hundred service times, so independent; their variance is at most the 5 of M/M/inf
    # (the waiting room only smooths): a standard error of sqrt(5 / 956) / 5 = 1.4 %, four of them
    assert load.active.value == pytest.approx(arrival_rate * service_time, rel=0.06)
    assert load.service_time.value == pytest.approx(service_time, rel=0.06)
    assert load.service_time.low is not None
    assert load.service_time.high is not None
    assert 0 < load.service_time.high - load.service_time.low < 0.2 * service_time
