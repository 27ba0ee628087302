"""Clicks and think time against a loop over each client's requests, and against simulated people."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity.fpm.visitors import CLICK_PAUSE, VISIT_PAUSE, VisitorsTally

Row = tuple[bytes, float, float]
CLIENTS = st.sampled_from([b"192.0.2.1", b"192.0.2.2", b"2001:db8::1", b"203.0.113.9, 10.0.0.1"])
PAUSES = st.sampled_from([0.0, 0.5, 1.0, 1.5, 7.0, 60.0, 1700.0, 1801.0, 5000.0])
TIMES = st.sampled_from([0.0, 0.25, 3.0, 40.0, math.nan])


@st.composite
def logs(draw: st.DrawFn) -> list[Row]:
    rows, now = [], 1.8e9
    for client, pause, time in draw(st.lists(st.tuples(CLIENTS, PAUSES, TIMES), min_size=1, max_size=40)):
        now += pause
        rows.append((client, now, time))
    return rows


def tallied(rows: Sequence[Row], cuts: Sequence[int] = ()) -> VisitorsTally:
    tally = VisitorsTally()
    edges = [0, *sorted(cut % (len(rows) + 1) for cut in cuts), len(rows)]
    for low, high in pairwise(edges):
        clients, started, times = zip(*rows[low:high], strict=True) if high > low else ((), (), ())
        tally.add(clients, np.array(started, float), np.array(times, float))
    return tally


def loop(rows: Sequence[Row]) -> tuple[int, int, list[float]]:
    """Clicks, requests and pauses, one client after the other."""
    mine = defaultdict(list)
    for client, begin, time in rows:
        mine[client.split(b",")[0]].append((begin, 0.0 if math.isnan(time) else time))
    clicks, thinking = 0, []
    for requests in mine.values():
        answered = -math.inf
        for begin, time in sorted(requests):
            pause = begin - answered
            clicks += pause > CLICK_PAUSE
            if CLICK_PAUSE < pause <= VISIT_PAUSE:
                thinking.append(pause)
            answered = max(answered, begin + time)
    return clicks, len(rows), thinking


@given(logs(), st.lists(st.integers(0, 1000), max_size=5))
def test_against_a_loop_wherever_the_log_is_cut(rows: list[Row], cuts: list[int]) -> None:
    found = tallied(rows, cuts).result()
    clicks, requests, thinking = loop(rows)
    if len({client for client, *_ in rows}) < 2:
        assert found is None
        return
    assert found is not None
    assert (found.clients, found.followed) == (len({client for client, *_ in rows}), 1)
    assert found.clicks == clicks
    assert found.requests_per_click.value == pytest.approx(requests / clicks)
    assert (found.think_time is None) == (not thinking)
    if found.think_time is not None:
        assert found.think_time.value == pytest.approx(np.mean(thinking), rel=1e-6)
        assert found.think_time.samples == len(thinking)


@given(logs(), st.randoms())
def test_within_a_batch_the_order_does_not_matter(rows: list[Row], random: object) -> None:
    mixed = list(rows)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    found, expected = tallied(mixed).result(), tallied(rows).result()
    assert (found is None) == (expected is None)
    if found is not None and expected is not None:
        assert (found.clients, found.clicks) == (expected.clients, expected.clicks)
        assert found.requests_per_click == expected.requests_per_click
        if expected.think_time is not None:
            assert found.think_time is not None
            assert found.think_time.value == pytest.approx(expected.think_time.value)


def test_a_request_that_comes_a_batch_late_belongs_to_the_click_before() -> None:
    # FPM logs at the end, so a long request comes after shorter ones that began later
    late = [(b"a", 100.0, 0.1), (b"b", 100.0, 0.1), (b"a", 50.0, 0.1)]
    found = tallied(late, [2]).result()
    assert found is not None
    assert found.clicks == 2
    in_order = tallied(late).result()
    assert in_order is not None
    assert in_order.clicks == 3


def test_the_end_of_the_longest_request_so_far_begins_the_pause() -> None:
    rows = [(b"a", 0.0, 30.0), (b"a", 1.0, 0.1), (b"a", 35.0, 0.1), (b"b", 0.0, 0.1)]
    found = tallied(rows).result()
    assert found is not None
    assert found.think_time is not None
    assert (found.clicks, found.think_time.value) == (3, pytest.approx(5.0))


@pytest.mark.parametrize(
    "nobody", [b"127.0.0.1", b"127.8.9.1", b"::1", b"-", b"", b"unix:", b" , 192.0.2.7", b"x" * 300]
)
def test_what_is_no_visitor_is_left_out(nobody: bytes) -> None:
    rows = [(b"192.0.2.1", 0.0, 0.1), (nobody, 0.0, 0.1), (nobody, 50.0, 0.1)]
    assert tallied(rows).result() is None
    found = tallied([*rows, (b"192.0.2.2", 60.0, 0.1)]).result()
    assert found is not None
    assert (found.clients, found.clicks, found.requests_per_click.value) == (2, 2, 1)


def test_the_first_of_a_forwarded_list_is_the_visitor() -> None:
    rows = [(b"203.0.113.9, 10.0.0.1", 0.0, 0.1), (b"203.0.113.9", 0.2, 0.1), (b" 203.0.113.9 , x", 0.4, 0.1)]
    found = tallied([*rows, (b"203.0.113.8, 10.0.0.1", 0.0, 0.1)]).result()
    assert found is not None
    assert (found.clients, found.clicks, found.requests_per_click.value) == (2, 2, 2)


def test_requests_without_a_time_of_day_are_left_out() -> None:
    tally = VisitorsTally()
    tally.add([b"a", b"b", b"a"], np.array([0.0, 0.0, math.nan]), None)
    tally.add([b"a"], np.array([math.nan]), None)
    tally.add([], np.zeros(0), None)
    found = tally.result()
    assert found is not None
    assert found.requests_per_click.value == 1


def test_one_absurd_time_does_not_drown_the_others() -> None:
    rows = [(b"%d" % (n % 5), 1.8e9 + 10 * n, 1.0) for n in range(50)]
    sane = tallied(rows).result()
    absurd = tallied([*rows, (b"other", 1.8e9, 9e17)]).result()
    assert sane is not None
    assert absurd is not None
    assert sane.think_time is not None
    assert absurd.think_time is not None
    assert absurd.clicks == sane.clicks + 1
    assert absurd.think_time.value == pytest.approx(sane.think_time.value) == 49


def crowd(batch: int) -> VisitorsTally:
    """200 000 addresses, each with two clicks of one request 30 s apart, in order of time."""
    tally = VisitorsTally()
    people = 200_000
    addresses = [b"10.%d.%d.%d" % (n >> 16, n >> 8 & 255, n & 255) for n in range(people)]
    began = np.arange(people) * 0.001
    order = np.argsort(np.r_[began, began + 30], kind="stable")
    started = np.r_[began, began + 30][order]
    clients = [addresses[n % people] for n in order]
    for at in range(0, len(clients), batch):
        tally.add(clients[at : at + batch], started[at : at + batch], None)
    return tally


@pytest.mark.parametrize("batch", [3000, 400_000])
def test_of_very_many_addresses_a_share_is_followed(batch: int) -> None:
    found = crowd(batch).result()
    assert found is not None
    assert found.followed in {1 / 4, 1 / 8}
    # the hash is as good as a coin: of n followed the estimate is within 4 standard deviations
    spread = math.sqrt((1 - found.followed) / (200_000 * found.followed))
    assert found.clients == pytest.approx(200_000, rel=4 * spread)
    assert found.think_time is not None
    assert found.think_time.value == pytest.approx(30)
    assert found.requests_per_click.value == 1


def people(seed: int, *, count: int, think_time: float, clicks: int) -> list[Row]:
    """People who click, load one thing more 0.2 s later, and think."""
    rng = np.random.default_rng(seed)
    rows = []
    for person in range(count):
        now = float(rng.uniform(0, 60))
        for _ in range(clicks):
            rows += [(b"visitor-%d" % person, now, 0.1), (b"visitor-%d" % person, now + 0.2, 0.1)]
            now += 0.3 + float(rng.exponential(think_time))
    return sorted(rows, key=lambda row: row[1])


def test_simulated_people_are_recovered_with_the_bias_of_merged_clicks() -> None:
    # exponential pauses of mean Z have no memory: those above 1 s have mean Z + 1, and exp(-1/Z) of them are so long
    think_time = 10.0
    longer = math.exp(-CLICK_PAUSE / think_time)
    expected_clicks = 200 * (1 + 19 * longer)
    held = 0
    for seed in range(10):
        found = tallied(people(seed, count=200, think_time=think_time, clicks=20), range(0, 8000, 700)).result()
        assert found is not None
        assert found.think_time is not None
        low, high = found.think_time.low, found.think_time.high
        assert low is not None
        assert high is not None
        held += low <= think_time + CLICK_PAUSE <= high
        assert found.clicks == pytest.approx(expected_clicks, rel=0.02)
        assert found.requests_per_click.value == pytest.approx(8000 / expected_clicks, rel=0.02)
    # a 90 % interval misses 4 or more of 10 once in 80
    assert held >= 7
