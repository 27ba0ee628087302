"""A simulated pool's path written as a log and read back: what went in has to come out, within its intervals."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from heapq import heapreplace
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from capacity.fpm.access_format import access_format
from capacity.fpm.log_line import LineFormat
from capacity.fpm.traffic import QUANTILES, Traffic, TrafficTally, read_traffic
from capacity.fpm.web_format import nginx_format

FPM = access_format('%{REMOTE_ADDR}e %t "%m %{REQUEST_URI}e" %s %{micro}d %M %C%%')
NGINX = nginx_format('$remote_addr [$time_local] "$request" $status $upstream_response_time')
NOW = 1795478400.0
RATE, SERVICE, WORKERS, SECONDS = 20.0, 0.2, 6, 3600


class Path(NamedTuple):
    arrived: NDArray[np.float64]
    began: NDArray[np.float64]
    service: NDArray[np.float64]

    @property
    def ended(self) -> NDArray[np.float64]:
        return self.began + self.service


def simulated(seed: int, *, rate: float = RATE, seconds: float = SECONDS) -> Path:
    """M/M/c, first come, first served, from an empty pool."""
    rng = np.random.default_rng(seed)
    arrived = np.cumsum(rng.exponential(1 / rate, int(2 * rate * seconds) + 50))
    arrived = arrived[arrived < seconds]
    service = rng.exponential(SERVICE, len(arrived))
    free = [0.0] * WORKERS
    began = []
    for arrival, time in zip(arrived.tolist(), service.tolist(), strict=True):
        start = max(arrival, free[0])
        heapreplace(free, start + time)
        began.append(start)
    return Path(arrived + NOW, np.array(began) + NOW, service)


def stamp(seconds: float) -> bytes:
    return _stamp(int(seconds))


@cache
def _stamp(seconds: int) -> bytes:
    return datetime.fromtimestamp(seconds, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000").encode()


def fpm_log(path: Path) -> bytes:
    """In order of the ends, as FPM writes it; every tenth request fails, CPU is a quarter of the time."""
    line = b'192.0.2.%d %b "GET /r/%d" %d %d %d 25.00%%\n'
    return b"".join(
        line % (n % 9, stamp(path.began[n]), n % 3, 502 if n % 10 == 0 else 200, round(path.service[n] * 1e6), 2 << 20)
        for n in np.argsort(path.ended)
    )


def nginx_log(path: Path, *, static: int) -> bytes:
    """With the wait in its time, stamped at the end, and files nginx served itself in between."""
    line = b'192.0.2.%d [%b] "GET /r/%d HTTP/1.1" 200 %b\n'
    ended, response = path.ended.tolist(), (path.ended - path.arrived).tolist()
    lines = [
        (end, line % (n % 9, stamp(end), n % 3, b"%.3f" % time))
        for n, (end, time) in enumerate(zip(ended, response, strict=True))
    ]
    began = np.linspace(path.arrived[0], path.arrived[-1], static)
    lines += [(when, line % (1, stamp(when), 0, b"-")) for when in began]
    return b"".join(text for _, text in sorted(lines))


@pytest.fixture(scope="module")
def path() -> Path:
    return simulated(1)


@pytest.fixture(scope="module")
def seen(path: Path) -> Traffic:
    return read_traffic([fpm_log(path)], FPM)


def test_every_request_is_counted_and_every_sum_is_theirs(path: Path, seen: Traffic) -> None:
    assert (seen.requests, seen.static, seen.lost, seen.noise.lines) == (len(path.service), 0, 0, 0)
    assert seen.time_kind == "service_time"
    assert seen.time is not None
    assert seen.time_scv is not None
    assert seen.cpu_time is not None
    assert seen.memory is not None
    assert seen.time.value == pytest.approx(path.service.mean(), abs=1e-6)
    assert seen.time_scv.value == pytest.approx(path.service.var() / path.service.mean() ** 2, rel=1e-4)
    assert seen.cpu_time.value == pytest.approx(path.service.mean() / 4, abs=1e-6)
    assert (seen.peak_memory, seen.failed) == (2 << 20, pytest.approx(0.1, abs=1e-4))
    # quantiles come from bins 2 % wide
    assert seen.memory.value == pytest.approx(2 << 20, rel=0.02)
    for p in QUANTILES:
        assert seen.time_quantiles[p].value == pytest.approx(np.quantile(path.service, p), rel=0.03)


def test_busy_workers_are_the_time_they_were_held(path: Path, seen: Traffic) -> None:
    assert seen.busy is not None
    assert seen.arrival_rate is not None
    assert seen.time is not None
    assert seen.busy == pytest.approx(path.service.sum() / SECONDS, rel=2 / SECONDS)
    assert seen.busy == pytest.approx(seen.arrival_rate.value * seen.time.value, rel=0.01)
    assert (seen.first, seen.last) == (pytest.approx(path.began[0], abs=1), pytest.approx(path.ended.max(), abs=1))
    assert seen.seconds == pytest.approx(SECONDS, abs=3)


def test_the_truth_is_within_the_intervals_as_often_as_they_say() -> None:
    truths = {"arrival_rate": RATE, "time": SERVICE, "time_scv": 1.0, "p95": SERVICE * np.log(20)}
    held = dict.fromkeys(truths, 0)
    for seed in range(20):
        found = read_traffic([fpm_log(simulated(seed, seconds=900))], FPM)
        estimates = [found.arrival_rate, found.time, found.time_scv, found.time_quantiles[0.95]]
        for (name, truth), estimate in zip(truths.items(), estimates, strict=True):
            assert estimate is not None
            assert estimate.low is not None
            assert estimate.high is not None
            held[name] += estimate.low <= truth <= estimate.high
    # a 90 % interval holds fewer than 15 of 20 once in 90
    assert min(held.values()) >= 14


def test_the_busiest_minute_and_hour_against_the_path(path: Path, seen: Traffic) -> None:
    minutes = np.bincount(((np.floor(path.began) - NOW) // 60).astype(int))
    assert seen.busiest_minute is not None
    assert seen.busiest_minute.value == pytest.approx(minutes.max() / 60)
    assert seen.busiest_minute.start == NOW + 60 * int(minutes.argmax())
    assert seen.peak_hour is not None
    assert seen.peak_hour.value == pytest.approx(len(path.service) / SECONDS, rel=0.002)
    assert seen.busiest is not None
    at = seen.busiest.start
    began = np.floor(path.began)
    within = np.clip(np.minimum(began + path.service, at + 60) - np.maximum(began, at), 0, None)
    assert seen.busiest.value == pytest.approx(within.sum() / 60, rel=1e-5)
    assert seen.timeline is not None
    assert (seen.timeline.busy.sum() * 60) == pytest.approx(path.service.sum(), rel=1e-5)


def test_the_loads_the_times_were_taken_at(path: Path, seen: Traffic) -> None:
    assert sum(share for _, share in seen.rates) == pytest.approx(1)
    assert len(seen.rates) == 20
    minutes = np.bincount(((np.floor(path.began) - NOW) // 60).astype(int))
    # the mean over requests, not over minutes: a busy minute has more of them
    expected = (minutes**2).sum() / minutes.sum() / 60
    assert sum(rate * share for rate, share in seen.rates) == pytest.approx(expected)


def test_routes_and_visitors_come_along(path: Path, seen: Traffic) -> None:
    assert [(route.name, route.requests) for route in seen.routes] == [("/r/{n}", len(path.service))]
    assert seen.visitors is not None
    assert seen.visitors.clients == 9


def test_nginx_has_the_wait_in_it_and_its_own_files_out_of_it(path: Path) -> None:
    found = read_traffic([nginx_log(path, static=500)], NGINX)
    response = path.ended - path.arrived
    assert (found.requests, found.static, found.time_kind) == (len(response), 500, "upstream_time")
    assert found.time is not None
    assert found.time.value == pytest.approx(response.mean(), abs=1e-4)
    assert found.busy == pytest.approx(response.sum() / SECONDS, rel=2 / SECONDS)
    assert found.first == pytest.approx(path.arrived[0], abs=2)
    assert (found.failed, found.cpu_time, found.memory, found.peak_memory) == (0, None, None, None)


@pytest.mark.parametrize("form", [FPM, NGINX], ids=["fpm", "nginx"])
def test_the_part_since_a_moment_is_that_part(path: Path, form: LineFormat) -> None:
    log = fpm_log(path) if form is FPM else nginx_log(path, static=600)
    since = NOW + 1800
    found = read_traffic([log], form, since=since)
    # an nginx stamp is cut to whole seconds, its time is not: what began within a second of it may fall on either side
    began = np.floor(path.began) if form is FPM else np.floor(path.ended) - (path.ended - path.arrived)
    assert found.requests == pytest.approx((began >= since).sum(), abs=0 if form is FPM else 2)
    assert found.static == pytest.approx(0 if form is FPM else 300, abs=1)
    assert found.first == pytest.approx(since, abs=2)
    everything = read_traffic([log], form, since=0.0)
    assert (everything.requests, everything.time) == ((whole := read_traffic([log], form)).requests, whole.time)
    nothing = read_traffic([log], form, since=NOW + 9999)
    assert (nothing.requests, nothing.static, nothing.time, nothing.first) == (0, 0, None, None)


def test_several_logs_are_one(path: Path, seen: Traffic) -> None:
    log = fpm_log(path)
    half = log.index(b"\n", len(log) // 2) + 1
    tally = TrafficTally(FPM)
    for part in (log[:half], log[half:]):
        for requests in tally.read([part]):
            tally.add(requests)
    found = tally.result()
    for name in ("requests", "busy", "busiest", "busiest_minute", "rates", "failed", "lost", "peak_memory"):
        assert getattr(found, name) == getattr(seen, name)
    assert found.time is not None
    assert seen.time is not None
    assert found.time.value == pytest.approx(seen.time.value)
    assert found.visitors is not None
    assert seen.visitors is not None
    assert found.visitors.clicks == pytest.approx(seen.visitors.clicks, abs=20)


@pytest.mark.parametrize("log", [b"", b"\n\n", b"noise\nmore noise\n"])
def test_a_log_without_requests_tells_nothing(log: bytes) -> None:
    found = read_traffic([log], FPM)
    assert found.requests == 0
    assert found.noise.lines == log.count(b"noise\n")
    assert found.seconds == 0
    empty = (found.first, found.arrival_rate, found.time, found.busy, found.timeline, found.visitors, found.failed)
    assert empty == (None,) * 7
    assert (found.rates, found.routes, found.time_quantiles) == ((), (), {})


def test_without_durations_there_is_a_rate_and_no_time() -> None:
    log = b"".join(b"%b /a 200\n" % stamp(NOW + second) for second in range(600))
    found = read_traffic([log], access_format("%t %r %s"))
    assert found.arrival_rate is not None
    assert found.arrival_rate.value == pytest.approx(1)
    assert (found.time, found.time_kind, found.busy, found.busiest, found.time_scv) == (None,) * 5


def test_without_times_of_day_there_is_a_time_and_no_rate() -> None:
    found = read_traffic([b"/a 0.250\n" * 100], access_format("%r %d"))
    assert found.time is not None
    assert (found.requests, found.time.value) == (100, 0.25)
    assert (found.first, found.last, found.arrival_rate, found.busy, found.timeline) == (None,) * 5
    assert (found.peak_hour, found.rates, found.seconds) == (None, (), 0.0)


def test_lines_without_a_usable_time_are_lost_for_the_load_only() -> None:
    good = b"".join(b"%b /a 0.100\n" % stamp(NOW + second) for second in range(200))
    bad = b"24/Nov/2026:99:99:99 +0000 /a 0.100\n" * 5
    found = read_traffic([good + bad], access_format("%t %r %d"))
    assert (found.requests, found.lost) == (205, 5)
    assert found.busy == pytest.approx(0.1, rel=0.01)


def test_unknown_durations_are_no_zeros() -> None:
    log = b"".join(b"%b /a %b\n" % (stamp(NOW + n), b"-" if n % 2 else b"0.500") for n in range(200))
    found = read_traffic([log], access_format("%t %r %d"))
    assert found.time is not None
    assert (found.requests, found.time.value, found.time.samples) == (200, 0.5, 100)


@pytest.mark.parametrize(("statuses", "failed"), [([200, 404, 499], 0.0), ([500, 503, 200, 302], 0.5), ([b"-"], None)])
def test_failures_are_answers_of_500_and_above(statuses: list[object], failed: float | None) -> None:
    log = "".join(f"{stamp(NOW).decode()} /a {status}\n" for status in statuses).replace("b'-'", "-").encode()
    assert read_traffic([log], access_format("%t %r %s")).failed == failed
