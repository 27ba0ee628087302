"""``capacity replay``: logs of every dialect through other pools, and what it refuses."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

import capacity.measure.log_trace
from capacity import Replay, replay_log
from capacity.cli.replay import _MOST_WORKERS
from capacity.fpm.web_format import nginx_format
from capacity.log_replay.asking import MOST_WORKERS
from capacity.measure.light_load import REQUEST_OVERHEAD
from capacity.measure.log_trace import read_trace
from capacity.queueing import replay

from .conftest import FILE, Ran, assert_refused, run

DAY = 1795478400  # 2026-11-24 00:00 UTC
NGINX = '$remote_addr $msec "$request" $status $request_time $upstream_response_time'
FPM = '%R - %u %t "%m %r" %s %{micro}d %M %C%%'
FORMAT = ("--log-format", NGINX)
RNG = np.random.default_rng(1)
ARRIVALS = np.cumsum(RNG.exponential(1 / 90, 6000))
SERVICES = RNG.exponential(0.1, 6000)
WAITS = np.asarray(replay(arrival_times=ARRIVALS, service_times=SERVICES, servers=10))


def stamp(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")


def nginx_log() -> bytes:
    """As nginx writes: at the end of each request, in milliseconds; a static file now and then."""
    ends = DAY + ARRIVALS + WAITS + SERVICES
    lines = []
    for at in np.argsort(ends).tolist():
        time = WAITS[at] + SERVICES[at]
        lines.append(f'192.0.2.1 {ends[at]:.3f} "GET /{at} HTTP/1.1" 200 {time:.3f} {time:.3f}\n')
        if at % 100 == 0:
            lines.append(f'192.0.2.1 {ends[at]:.3f} "GET /style.css HTTP/1.1" 200 0.000 -\n')
    return "".join(lines).encode()


def fpm_log(cpu: float = 0.03) -> bytes:
    starts, ends = DAY + ARRIVALS + WAITS, ARRIVALS + WAITS + SERVICES
    line = '127.0.0.1 - - {} "GET /index.php" 200 {:.0f} 2097152 {:.2f}%\n'
    rows = (line.format(stamp(starts[at]), SERVICES[at] * 1e6, 100 * cpu / SERVICES[at]) for at in np.argsort(ends))
    return "".join(rows).encode()


@pytest.fixture
def nginx(tmp_path: Path) -> str:
    path = tmp_path / "nginx.log"
    path.write_bytes(nginx_log())
    return str(path)


@pytest.fixture
def fpm(tmp_path: Path) -> str:
    path = tmp_path / "fpm.log"
    path.write_bytes(fpm_log())
    return str(path)


def replayed(*arguments: str) -> Replay:
    ran = run("replay", "--format", "json", *arguments)
    assert ran.code == 0, ran.err
    assert ran.err == ""
    return Replay.model_validate_json(ran.out)


def cautioned(result: Replay, text: str) -> bool:
    return any(text in caution for caution in result.cautions)


def test_a_web_servers_log_is_replayed_as_if_the_pool_had_been_another(nginx: str) -> None:
    result = replayed("--access-log", nginx, "--log-format", NGINX, "--workers", "10,14", "--logged-workers", "10")
    # stamps are of milliseconds, arrival and end
    assert result.requests == 6000
    assert result.service_time == pytest.approx(SERVICES.mean(), rel=0.005)
    truth = np.asarray(replay(arrival_times=ARRIVALS, service_times=SERVICES, servers=14))
    assert result.pool(14).waiting_time == pytest.approx(truth.mean(), rel=0.05)
    assert result.pool(14).response_time_p95 == pytest.approx(np.quantile(truth + SERVICES, 0.95), rel=0.01)
    assert result.pool(10).waiting_time == pytest.approx(WAITS.mean(), rel=0.02)
    assert cautioned(result, "60 requests never reached PHP")
    assert not cautioned(result, "at random")
    assert result.start == pytest.approx(DAY + ARRIVALS[0], abs=0.002)


def test_fpms_log_has_its_overhead_and_its_cpu_time(fpm: str) -> None:
    result = replayed("--access-log", fpm, "--log-format", FPM, "--workers", "10", "--logged-workers", "10")
    assert result.logged_time == pytest.approx(SERVICES.mean() + REQUEST_OVERHEAD, rel=1e-6)
    assert result.cpu_time == pytest.approx(0.03, rel=0.02)
    assert cautioned(result, "seed 0")
    assert cautioned(result, "does not have their wait")
    assert cautioned(result, "CPU time or cores are unknown")
    shared = replayed("--access-log", fpm, "--log-format", FPM, "--workers", "10", "--cpus", "4")
    assert shared.logged_contention > 0.01 * shared.logged_time
    assert not cautioned(shared, "CPU time or cores are unknown")
    given = replayed("--access-log", fpm, "--log-format", FPM, "--workers", "10", "--cpus", "4", "--cpu-time", "0s")
    assert (given.cpu_time, given.logged_contention) == (0, 0)


def test_whole_seconds_are_spread_the_same_way_for_the_same_seed(fpm: str) -> None:
    line = ("--access-log", fpm, "--log-format", FPM, "--workers", "10")
    first, again, other = (replayed(*line, "--seed", seed) for seed in ("0", "0", "1"))
    assert first == again
    assert first.pools != other.pools
    trace = read_trace([fpm])
    seconds = np.sort(DAY + ARRIVALS + WAITS) // 1
    assert (np.sort(trace.arrival_times) // 1 == seconds).all()
    assert (trace.arrival_times % 1).mean() == pytest.approx(0.5, abs=0.03)


def test_ends_in_whole_seconds_keep_the_order_of_the_log(nginx: str, tmp_path: Path) -> None:
    coarse = tmp_path / "coarse.log"
    lines = (line.split(" ") for line in Path(nginx).read_text().splitlines())
    coarse.write_text("".join(" ".join([one[0], one[1][:10], *one[2:]]) + "\n" for one in lines))
    base = ("--log-format", NGINX, "--workers", "10", "--logged-workers", "10")
    fine, rough = (replayed("--access-log", str(log), *base) for log in (nginx, coarse))
    # in no order at all it is 5 % and more
    assert rough.service_time == pytest.approx(fine.service_time, rel=0.03)
    assert cautioned(rough, "waits cannot be told from service")


def test_the_same_as_python(nginx: str) -> None:
    told = ("--backlog", "20", "--cpus", "4", "--cpu-time", "20ms", "--logged-workers", "10")
    result = replayed("--access-log", nginx, "--workers", "8,20", "--log-format", NGINX, *told)
    trace = read_trace([nginx], line_format=nginx_format(NGINX))
    expected = replay_log(
        trace.arrival_times,
        trace.logged_times,
        workers=[8, 20],
        cpus=4,
        cpu_time=0.02,
        time_kind=trace.time_kind,
        logged_workers=10,
        backlog=20,
    )
    assert result.pools == expected.pools
    assert result.cautions == expected.cautions + trace.notes
    assert result.pool(8).refused > 0


def test_a_scenario_gives_what_the_log_lacks(nginx: str, tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    machine = FILE.replace("cpus = 8", "cpus = 4\ncpus_reserved = 1")
    site.write_text(machine.replace("[workload]", '[workload]\ncpu_time = "25ms"'))
    base = ("--access-log", nginx, "--log-format", NGINX, "--workers", "20")
    options = ("--cpus", "3", "--cpu-time", "25ms", "--logged-workers", "30")
    from_file = replayed(str(site), *base)
    assert from_file == replayed(*base, *options)
    assert (from_file.cpus, from_file.cpu_time) == (3, 0.025)
    assert replayed(str(site), *base, "--cpus", "6").cpus == 6
    assert run("replay", "-", *base, "--format", "json", stdin=site.read_bytes()).json["cpus"] == 3


def test_packed_and_cut_logs_in_any_order_are_one(nginx: str, tmp_path: Path) -> None:
    lines = Path(nginx).read_bytes().splitlines(keepends=True)
    old, new = tmp_path / "access.log.1.gz", tmp_path / "access.log"
    old.write_bytes(gzip.compress(b"".join(lines[:2500])))
    new.write_bytes(b"".join(lines[2500:]))
    whole = replayed("--access-log", nginx, *FORMAT, "--workers", "9")
    for order in ((old, new), (new, old)):
        logs = [part for path in order for part in ("--access-log", str(path))]
        assert replayed(*logs, *FORMAT, "--workers", "9").pools == whole.pools


def test_a_part_of_the_log(nginx: str) -> None:
    base = ("--access-log", nginx, *FORMAT, "--workers", "9")
    whole = replayed(*base)
    early = replayed(*base, "--to", "2026-11-24T00:00:30Z")
    late = replayed(*base, "--from", "2026-11-24 01:00:30+01:00")
    assert early.requests + late.requests == whole.requests
    assert early.start + early.seconds < DAY + 30 <= late.start
    assert_refused(run("replay", *base, "--from", "2027-01-01"), "no request", "6000 are outside")


def test_the_table_has_a_column_a_pool_and_the_minutes_that_hurt(nginx: str) -> None:
    ran = run("replay", "--access-log", nginx, *FORMAT, "--workers", "9,14,20,30,40,50,60", "--logged-workers", "10")
    assert (ran.code, ran.err) == (0, "")
    assert "6000 requests from 2026-11-24 00:00 UTC to 2026-11-24 00:01 UTC" in ran.out
    rows = [line for line in ran.out.splitlines() if line.startswith("| workers  ")]
    assert [row.split("|")[2].strip() for row in rows] == ["9", "60"]  # six pools beside each other
    assert "The minutes that hurt" in ran.out
    assert "would have been enough" in ran.out
    assert all(len(line) <= 116 for line in ran.out.splitlines())
    assert "refused" not in ran.out
    assert "refused" in run("replay", "--access-log", nginx, *FORMAT, "--workers", "9", "--backlog", "3").out


def test_it_is_written_where_it_is_asked_to(nginx: str, tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    line = ("replay", "--access-log", nginx, *FORMAT, "--workers", "9", "--format", "json")
    assert run(*line, "-o", str(out)).out == ""
    assert out.read_text() == run(*line).out


# --- what logs may be like


def line(second: float, micro: object, word: str = "GET") -> str:
    return f'127.0.0.1 - - {stamp(DAY + second)} "{word} /" 200 {micro} 2097152 10.00%\n'


@pytest.mark.parametrize(
    ("text", "requests"),
    [
        (line(5, 250000), 1),
        (line(5, 0) * 3, 3),
        (line(9, 1) + line(3, 1) + line(6, 1), 3),
        (line(1, 10**11) + line(2, 250000), 2),
        (line(1, 10**13) + line(2, 250000), 1),  # months: no request
        (line(1, -5) + line(2, "nan") + line(3, "inf") + line(4, 100), 1),
        (line(1, 100) + "segfault\n" + "\0" * 500 + "\n" + line(2, 100), 2),
        (line(1, 100) + line(86400 * 365 * 100, 100), 2),
        ("\n\n" + line(1, 100).strip(), 1),
    ],
)
def test_odd_lines(text: str, requests: int, tmp_path: Path) -> None:
    path = tmp_path / "odd.log"
    path.write_text(text)
    for more in ((), ("--cpus", "2", "--cpu-time", "50ms", "--logged-workers", "3")):
        result = replayed("--access-log", str(path), "--log-format", FPM, "--workers", "1,4", *more)
        assert result.requests == requests


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "no request"),
        (b"\n\n\n", "no request"),
        (b"\0" * 100_000, "no request"),
        (b"nothing of a log\n" * 20, "format"),
        (b"\x1f\x8b\x08\x00broken", "odd.log"),
        (b'192.0.2.1 - - [24/Nov/2026:07:46:30 +0000] "GET /a HTTP/1.1" 200 5 "-" "curl"\n', "how long requests took"),
        (gzip.compress(line(1, 100).encode() * 50_000)[:-9], "odd.log"),
    ],
)
def test_logs_that_say_nothing(content: bytes, named: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.log"
    path.write_bytes(content)
    assert_refused(run("replay", "--access-log", str(path), "--workers", "4"), named)


def test_more_requests_than_memory_should_hold_are_refused_as_they_come(
    nginx: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capacity.measure.log_trace, "MOST_REQUESTS", 5000)
    base = ("replay", "--access-log", nginx, "--workers", "9", "--log-format", NGINX)
    assert_refused(run(*base), "at most 5 000 requests", "--from and --to")
    assert run(*base, "--to", "2026-11-24T00:00:30").code == 0


def refused(*arguments: str, log: str) -> Ran:
    return run("replay", "--access-log", log, *arguments)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((), "--workers"),
        (("--workers", ""), "--workers"),
        (("--workers", "20,x"), "--workers"),
        (("--workers", "0"), "--workers"),
        (("--workers", "20,20"), "--workers"),
        (("--workers", "100001"), "--workers"),
        (("--workers", ",".join(map(str, range(1, 60)))), "--workers"),
        (("--workers", "20", "--cpus", "0"), "--cpus"),
        (("--workers", "20", "--cpus", "nan"), "--cpus"),
        (("--workers", "20", "--cpu-time", "60"), "--cpu-time"),
        (("--workers", "20", "--backlog", "-1"), "--backlog"),
        (("--workers", "20", "--backlog", "99999999999"), "--backlog"),
        (("--workers", "20", "--logged-workers", "0"), "--logged-workers"),
        (("--workers", "20", "--from", "yesterday"), "--from"),
        (("--workers", "20", "--from", "2026-11-25", "--to", "2026-11-24"), "--to"),
        (("--workers", "20", "--log-format", "%{weeks}d"), "%d"),
        (("--workers", "20", "--format", "csv"), "--format"),
        (("--workers", "20", "-o", "/no/such/place"), "--output"),
        (("no-such.toml", "--workers", "20"), "no-such.toml"),
    ],
)
def test_what_is_refused(arguments: tuple[str, ...], named: str, nginx: str) -> None:
    assert_refused(refused(*arguments, log=nginx), named)


def test_a_log_that_is_not_there_or_twice(nginx: str, tmp_path: Path) -> None:
    assert_refused(refused("--workers", "9", log=str(tmp_path / "none.log")), "none.log")
    assert_refused(refused("--workers", "9", log=str(tmp_path)), "no regular file")
    assert_refused(refused("--workers", "9", "--access-log", nginx, log=nginx), "twice")
    assert_refused(run("replay", "--workers", "9"), "--access-log")


def test_the_most_workers_of_the_option_are_those_of_the_library() -> None:
    assert _MOST_WORKERS == MOST_WORKERS
