"""Names of routes, and a table that hostile addresses cannot blow up."""

from __future__ import annotations

import tracemalloc
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity.fpm.access_log import Requests
from capacity.fpm.routes import OTHERS, Routes, route_name

from .conftest import least_time


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (b"/shop/4711", "/shop/{n}"),
        (b"/4711/4712/4713/", "/{n}/{n}/{n}/"),
        (b"/v2/users", "/v2/users"),
        (b"/2fast", "/2fast"),
        (b"/o/123e4567-e89b-12d3-a456-426614174000/x", "/o/{id}/x"),
        (b"/o/123E4567-E89B-12D3-A456-426614174000", "/o/{id}"),
        (b"/commit/9fceb02d0ae598e95dc970b74767f19372d61af8", "/commit/{id}"),
        (b"/deadbeefcafe", "/deadbeefcafe"),  # a word may well have no digit
        (b"/abc123def456", "/{id}"),
        (b"/t/" + b"x" * 41 + b"/y", "/t/{id}/y"),
        (b"/t/" + b"x" * 40, "/t/" + "x" * 40),
        (b"GET /a/1?b=2 HTTP/1.1", "/a/{n}"),
        (b"POST /index.php", "/index.php"),
        (b"GET https://shop.example:8443/a/7?x=/y HTTP/2.0", "/a/{n}"),
        (b"HTTP://shop.example/a", "/a"),
        (b"http/docs", "http/docs"),
        (b"/var/www/index.php", "/var/www/index.php"),
        (b"/a?", "/a"),
        (b"?q=1", "(none)"),
        (b"", "(none)"),
        (b"-", "(none)"),
        (b"/caf\xc3\xa9", "/café"),
        (b"/caf\xe9", "/caf\\xe9"),
        (b"/a\x1b[31m", "/a\\x1b[31m"),
    ],
)
def test_names(written: bytes, name: str) -> None:
    assert route_name(written) == name


@given(st.binary(max_size=300))
def test_a_name_is_printable_and_short_whatever_it_is_made_of(written: bytes) -> None:
    name = route_name(written)
    assert name.isprintable()
    assert 1 <= len(name) <= 120


@given(st.lists(st.sampled_from([b"shop", b"cart", b"x.php"]), max_size=5), st.integers(0, 10**18), st.binary())
def test_numbers_and_query_strings_never_split_a_route(words: list[bytes], number: int, query: bytes) -> None:
    path = b"/" + b"/".join([*words, b"%d" % number])
    assert route_name(path + b"?" + query) == route_name(b"/" + b"/".join([*words, b"0"]))


@pytest.mark.parametrize(
    "written", [b"/1" * 30_000, b"GET " + b"x" * 60_000, b"http://" + b"a" * 60_000, b"/a-" * 20_000]
)
def test_a_name_costs_no_more_than_its_length(written: bytes) -> None:
    quarter = least_time(lambda: [route_name(written[: len(written) // 4]) for _ in range(100)])
    assert least_time(lambda: [route_name(written) for _ in range(100)]) < 12 * quarter + 0.05


PATHS = st.sampled_from([b"/a/%d" % n for n in range(3)] + [b"/b", b"/c?d", b"GET /b HTTP/1.0", b"-"])
REQUEST = st.tuples(PATHS, st.floats(0, 10) | st.just(np.nan), st.floats(0, 5), st.floats(0, 1e8) | st.just(np.nan))


@given(st.lists(st.lists(REQUEST, min_size=1, max_size=8), min_size=1, max_size=6))
def test_sums_against_a_loop(blocks: list[list[tuple[bytes, float, float, float]]]) -> None:
    routes = Routes()
    loop: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for block in blocks:
        path, times, cpu, memory = zip(*block, strict=True)
        routes.add(Requests(len(block), route=path, cpu_time=np.array(cpu), memory=np.array(memory)), np.array(times))
        for request in block:
            loop[route_name(request[0])].append(request[1:])
    heaviest = routes.heaviest(100)
    assert {route.name for route in heaviest} == set(loop)
    total = sum(map(len, loop.values()))
    busy = {name: float(np.nansum([time for time, *_ in rows])) for name, rows in loop.items()}
    burnt = {name: sum(cpu for _, cpu, _ in rows) for name, rows in loop.items()}
    weights = [busy[route.name] for route in heaviest]
    assert weights == pytest.approx(sorted(weights, reverse=True), rel=1e-9)
    for route in heaviest:
        rows = loop[route.name]
        timed = [time for time, *_ in rows if not np.isnan(time)]
        assert route.requests == len(rows)
        assert route.share == pytest.approx(len(rows) / total)
        assert route.mean_time == (pytest.approx(np.mean(timed)) if timed else None)
        if sum(busy.values()) > 0:
            assert route.busy_share == pytest.approx(busy[route.name] / sum(busy.values()))
        if sum(burnt.values()) > 0:
            assert route.cpu_share == pytest.approx(burnt[route.name] / sum(burnt.values()))
        assert (route.peak_memory or 0) == max([0, *(memory for *_, memory in rows if not np.isnan(memory))])


def test_without_times_the_most_frequent_is_first_and_nothing_is_invented() -> None:
    routes = Routes()
    routes.add(Requests(3, route=[b"/a", b"/b", b"/b"]), None)
    routes.add(Requests(2), np.array([1.0, 2.0]))
    first, second = routes.heaviest()
    assert (first.name, first.requests, second.name) == ("/b", 2, "/a")
    assert (first.busy_share, first.mean_time, first.cpu_share, first.peak_memory) == (None,) * 4


def test_nothing_has_no_routes() -> None:
    assert Routes().heaviest() == ()


def test_a_hundred_thousand_routes_end_up_among_the_others() -> None:
    routes = Routes()
    tracemalloc.start()
    for at in range(0, 100_000, 1000):
        written = [b"/route-%d-x" % n for n in range(at, at + 1000)]
        routes.add(Requests(1000, route=written), np.full(1000, 0.5))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    found = routes.heaviest(10_000)
    assert found[0].name == OTHERS
    assert (len(found), found[0].requests) == (4097, 100_000 - 4096)
    assert sum(route.share for route in found) == pytest.approx(1)
    assert sum(route.busy_share or 0 for route in found) == pytest.approx(1)
    assert peak < 30e6


def test_long_addresses_are_counted_but_not_kept() -> None:
    routes = Routes()
    tracemalloc.start()
    for at in range(2000):
        routes.add(Requests(2, route=[b"/%d" % at + b"y" * 60_000, b"/a"]), None)
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert sum(route.requests for route in routes.heaviest(100)) == 4000
    assert kept < 10e6
