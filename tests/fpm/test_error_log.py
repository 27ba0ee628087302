"""The reader of FPM's error log: every kind of line, what stands before it, and what must not be taken for one."""

from __future__ import annotations

import time
import tracemalloc
from datetime import datetime
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capacity.fpm.error_log import _PATTERNS, LONGEST_LINE, ErrorLog, Kind, read_error_log

DAY = b"[26-Jul-2012 09:50:00] "
LIMIT = b"[pool www] server reached pm.max_children setting (50), consider raising it"
WARNING = DAY + b"WARNING: " + LIMIT


def read(*lines: bytes) -> ErrorLog:
    return read_error_log([b"\n".join(lines) + b"\n"])


def at(clock: str, text: str, level: str = "WARNING") -> bytes:
    return f"[26-Jul-2012 {clock}] {level}: [pool www] {text}".encode()


KINDS = {
    "max_children": LIMIT,
    "busy": b"[pool www] seems busy (you may need to increase pm.start_servers, or pm.min/max_spare_servers), "
    b"spawning 32 children, there are 8 idle, and 58 total children",
    "process_max": b"The maximum number of processes has been reached. Please review your configuration and consider "
    b"raising 'process.max'",
    "slow": b"[pool www] child 71, script '/srv/a.php' (request: \"GET /a?b=1\") executing too slow (1.125764 sec), "
    b"logging",
    "terminated": b"[pool www] child 71, script '/srv/a.php' (request: \"GET /a\") execution timed out (3.069770 sec), "
    b"terminating",
    "killed": b"[pool www] child 71 exited on signal 11 (SIGSEGV - core dumped) after 83.687191 seconds from start",
    "recycled": b"[pool www] child 71 exited with code 0 after 12.5 seconds from start",
    "failed": b"[pool www] child 71 exited with code 255 after 0.033 seconds from start",
    "spawned": b"[pool www] child 71 started",
    "tick": b"[pool www] currently 5 active children, 1 spare children, 6 running children. Spawning rate 4",
    "output": b'[pool www] child 71 said into stderr: "PHP message: it happened"',
    "started": b"fpm is running, pid 326",
    "ready": b"ready to handle connections",
    "reloaded": b'reloading: execvp("/usr/sbin/php-fpm8.2", {"/usr/sbin/php-fpm8.2"})',
    "stopped": b"exiting, bye-bye!",
    "emergency_restart": b"failed processes threshold (10 in 60 sec) is reached, initiating reload",
    "fork_failed": b"fork() failed: Cannot allocate memory (12)",
    "listen": b"unable to bind listening socket for address '127.0.0.1:9000': Address already in use (98)",
}


def test_every_kind_has_an_example() -> None:
    assert set(KINDS) == set(_PATTERNS) == set(get_args(Kind))


@pytest.mark.parametrize("kind", KINDS)
def test_a_line_is_one_event_of_its_kind(kind: Kind) -> None:
    log = read(DAY + b"WARNING: " + KINDS[kind])
    assert {key: events.count for key, events in log.events.items() if key[1] is None} == {(kind, None): 1}
    pool = "www" if KINDS[kind].startswith(b"[pool") else ""
    assert log.of(kind, pool).count == 1
    assert log.of(kind, pool).first == datetime(2012, 7, 26, 9, 50)
    assert (log.lines, log.noise, log.levels) == (1, 0, {})


BEFORE = {
    "nothing": DAY + b"WARNING: ",
    "microseconds": b"[26-Jul-2012 09:50:00.101874] WARNING: pid 1, fpm_pctl_heartbeat(), line 379: ",
    "docker": b"2012-07-26T07:50:00.708084488Z " + DAY + b"WARNING: ",
    "compose 1": b"php_1  | " + DAY + b"WARNING: ",
    "compose 2": b"php-1  | " + DAY + b"WARNING: ",
    "a platform": b"2012-07-26 07:50:00.296419538 +0100 CET [web-1] " + DAY + b"WARNING: ",
    "journald, short": b"Jul 26 07:50:00 host php-fpm8.2[123]: " + DAY + b"WARNING: ",
    "journald, ISO": b"2012-07-26T07:50:00+0200 host php-fpm8.2[123]: " + DAY + b"WARNING: ",
    "syslog, ISO": b"2012-07-26T09:50:00.123456+02:00 host php-fpm[123]: [WARNING] ",
    "syslog 5424": b"<14>1 2012-07-26T09:50:00Z host php-fpm 123 - - [WARNING] ",
}


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
def test_fpm_own_stamp_counts_whatever_stands_before_it(before: bytes) -> None:
    events = read(before + LIMIT).of("max_children", "www")
    assert (events.count, events.worst) == (1, 50)
    assert events.first == events.last == datetime(2012, 7, 26, 9, 50)


def test_syslog_has_no_year_and_the_log_says_so() -> None:
    line = b"Jun  1 09:22:42 host php-fpm[123]:  [WARNING] fpm_children_bury(), line 252: "
    log = read(line + KINDS["killed"])
    assert log.of("killed").first == datetime(1972, 6, 1, 9, 22, 42)
    assert log.signals == {("www", "SIGSEGV"): 1}
    assert any("no year" in note for note in log.notes)
    assert read(b"Feb 29 09:22:42 host php-fpm[1]: [WARNING] " + LIMIT).first is not None
    assert not read(WARNING).notes


def test_a_level_alone_counts_without_a_time() -> None:
    log = read(b"WARNING: " + LIMIT, b"php-1  | ERROR: [pool www] child failed to initialize")
    assert log.of("max_children").count == 1
    assert log.of("max_children").first is log.first is None
    assert log.levels == {"ERROR": 1}
    assert log.per_hour == {}
    assert log.findings()[0] == "pool 'www' had all 50 workers max_children allows once: it could not grow"


@pytest.mark.parametrize("stamp", [b"31-Feb-2012 09:50:00", b"26-Foo-2012 09:50:00", b"00-Jan-0000 00:00:00"])
def test_a_time_that_does_not_exist_is_no_time(stamp: bytes) -> None:
    log = read(b"[" + stamp + b"] WARNING: " + LIMIT)
    assert (log.of("max_children").count, log.of("max_children").first, log.per_hour) == (1, None, {})


def test_both_spellings_of_the_limit_are_one_kind_and_pools_keep_their_names() -> None:
    log = read(
        WARNING,
        at("09:51:00", "server reached max_children setting (8), consider raising it").replace(b"www", b"***x***.com"),
        at("08:00:00", "server reached max_children setting (9), consider...").replace(b"www", b"WWW"),
    )
    assert {pool: events.worst for (_, pool), events in log.events.items()} == {
        "www": 50, "***x***.com": 8, "WWW": 9, None: 50,
    }  # fmt: skip
    both = log.of("max_children")
    assert (both.count, both.first, both.last) == (
        3, datetime(2012, 7, 26, 8), datetime(2012, 7, 26, 9, 51),
    )  # fmt: skip
    assert both.numbers["limit"].mean == pytest.approx(67 / 3)


def test_busy_keeps_idle_and_total_and_its_spawning_is_a_rate() -> None:
    text = "seems busy (you may ...), spawning {} children, there are {} idle, and {} total children"
    busy = read(at("09:00:00", text.format(8, 3, 10)), at("09:00:01", text.format(16, 2, 12))).of("busy", "www")
    assert busy.worst == 2
    assert (busy.numbers["total"].high, busy.numbers["idle"].high, busy.numbers["rate"].high) == (12, 3, 16)


def test_the_debug_line_is_a_record_of_the_tick() -> None:
    lines = [f"currently {busy} active children, {9 - busy} spare children" for busy in (2, 7, 6)]
    ticks = read(*(at(f"09:00:0{i}", text, "DEBUG") for i, text in enumerate(lines))).of("tick", "www")
    assert (ticks.count, ticks.worst, ticks.numbers["active"].mean) == (3, 7, 5)
    assert "running" not in ticks.numbers  # an ondemand pool does not tell it


QUOTES = b" ".join([DAY + b"WARNING: " + text for text in KINDS.values()])


@pytest.mark.parametrize(
    "line",
    [
        at("09:00:00", 'child 24614 said into stdout: "') + QUOTES + b'"',
        b"Jul 26 09:50:00 host php-fpm[1]: [WARNING] [pool www] child 7 said into stderr: " + b'"' + QUOTES + b'"',
        b"NOTICE: PHP message: " + KINDS["max_children"],
    ],
)
def test_what_a_worker_says_is_never_an_event(line: bytes) -> None:
    log = read(line)
    assert {kind for kind, _ in log.events} == {"output"}
    assert log.of("output").count == 1


def test_a_request_that_quotes_the_log_does_not_change_what_happened_to_it() -> None:
    quoted = 'GET /?q=") executing too slow (99.0 sec), logging'
    line = at("09:00:00", f"child 7, script '/a' (request: \"{quoted}\") execution timed out (3.07 sec), terminating")
    log = read(line)
    assert (log.of("terminated").worst, log.of("slow").count) == (3.07, 0)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\0\xff\xfe binary [pool www]",
        b'172.20.0.2 -  28/May/2018:10:32:11 +0000 "GET /index.php" 200',
        b"[26-Jul-2012 09:50:00 UTC] PHP Warning:  " + LIMIT,
        b"[2012-07-26 09:50:00] production.WARNING: " + LIMIT,
        b"2012-07-26T09:50:00Z host app: [error] " + LIMIT,
        b'he said "' + WARNING,
        b"x" * 300 + WARNING,
        LIMIT,
    ],
)
def test_what_is_not_fpm_is_noise(line: bytes) -> None:
    log = read(line, WARNING, line)
    assert (log.lines, log.noise, log.of("max_children").count) == (3, 2, 1)


def test_other_lines_count_by_level_and_wanted_exits_are_no_crashes() -> None:
    log = read(
        at("09:00:00", "pm.start_servers is not set. It's been set to 1.", "NOTICE"),
        at("09:00:00", "user has not been defined", "ALERT"),
        at("09:00:00", "child 7 exited on signal 15 (SIGTERM) after 1.5 seconds from start", "DEBUG"),
        at("09:00:00", "child 7 exited with code 70 after 1.5 seconds from start", "DEBUG"),
    )
    assert log.levels == {"NOTICE": 1, "ALERT": 1, "DEBUG": 2}
    assert log.events == {}
    assert log.first == datetime(2012, 7, 26, 9)


def crash(second: float, how: str = "on signal 11 (SIGSEGV)") -> bytes:
    clock = f"{10 + int(second) // 3600}:{int(second) // 60 % 60:02}:{int(second) % 60:02}"
    return at(clock, f"child 7 exited {how} after 1.5 seconds from start")


def loops(*lines: bytes) -> list[tuple[str, float, int]]:
    found = read(*lines).crash_loops
    return [(loop.pool, (loop.last - loop.first).total_seconds(), loop.crashes) for loop in found]


def test_five_crashes_in_a_minute_are_a_loop_and_four_are_not() -> None:
    assert loops(*map(crash, (0, 15, 30, 45))) == []
    assert loops(*map(crash, (0, 15, 30, 45, 61))) == []
    assert loops(*map(crash, (0, 15, 30, 45, 60))) == [("www", 60, 5)]


def test_a_loop_goes_on_as_long_as_crashes_are_dense_and_counts_every_one() -> None:
    assert loops(*map(crash, range(0, 600, 10))) == [("www", 590, 60)]
    assert loops(*map(crash, (0, 40, 50, 59, 60, 101, 102))) == [("www", 102, 7)]
    assert loops(*map(crash, (*range(5), *range(1000, 1005)))) == [("www", 4, 5), ("www", 4, 5)]


@pytest.mark.parametrize("how", ["on signal 9 (SIGKILL)", "on signal 7 (SIGBUS)", "with code 255", "on signal 6"])
def test_crashes_are_told_from_exits_that_were_wanted(how: str) -> None:
    mixed = [crash(0), crash(1, how), crash(2), crash(3, how), crash(4)]
    assert loops(*mixed) == [("www", 4, 5)]
    assert loops(*(crash(i, "on signal 15 (SIGTERM)") for i in range(20))) == []
    assert loops(*(crash(i, "with code 0") for i in range(20))) == []


def test_pools_crash_apart_and_a_clock_that_goes_back_starts_anew() -> None:
    other = crash(2).replace(b"www", b"shop")
    assert loops(crash(0), crash(1), other, other, crash(3), crash(4)) == []
    newest_first = [b"\n".join(map(crash, seconds)) + b"\n" for seconds in ((100, 101), (0, 1, 2, 3))]
    assert read_error_log(newest_first).crash_loops == ()


def test_signals_are_counted_by_pool_and_sigkill_hints_at_the_memory() -> None:
    log = read(crash(0, "on signal 9 (SIGKILL)"), crash(9, "on signal 9 (SIGKILL)"), crash(700))
    assert log.signals == {("www", "SIGKILL"): 2, ("www", "SIGSEGV"): 1}
    assert log.of("killed", "www").worst == 1.5
    [killed] = [text for text in log.findings() if "signals" in text]
    assert "3 times from 2012-07-26 10:00:00 to 2012-07-26 10:11:40 (2 SIGKILL, 1 SIGSEGV; SIGKILL is what" in killed


def test_warnings_by_the_hour() -> None:
    text = "server reached max_children setting (8), consider raising it"
    log = read(at("09:00:00", text), at("09:59:59", text), at("11:00:00", text))
    assert log.per_hour == {datetime(2012, 7, 26, 9): 2, datetime(2012, 7, 26, 11): 1}


def test_restarts() -> None:
    order = ("stopped", "started", "ready", "reloaded", "started", "ready")
    log = read(*(DAY + b"NOTICE: " + KINDS[kind] for kind in order))
    assert [log.of(kind).count for kind in ("started", "ready", "reloaded", "stopped")] == [2, 2, 1, 1]


@pytest.mark.parametrize("kind", KINDS)
def test_a_finding_names_its_pool_its_count_and_its_span(kind: str) -> None:
    line = DAY + b"WARNING: " + KINDS[kind]
    texts = read(line, line.replace(b"09:50", b"10:50")).findings()
    quiet = {"recycled", "spawned", "output", "ready", "reloaded", "stopped"}
    said = [text for text in texts if "2 times from 2012-07-26 09:50:00 to 2012-07-26 10:50:00" in text]
    assert len(said) == (kind not in quiet)
    assert all(text.startswith("pool 'www' " if KINDS[kind].startswith(b"[pool") else "FPM ") for text in said)
    # of a static pool its absence proves nothing, and that is said whenever it is absent
    assert any("static pool" in text for text in texts) == (kind != "max_children")


def test_a_hostile_pool_name_is_shown_escaped_and_short() -> None:
    log = read(DAY + b"WARNING: [pool \x1b[31m" + b"x" * 200 + b"] server reached max_children setting (1)")
    text = log.findings()[0]
    assert "\x1b" not in text
    assert len(text) < 200


@pytest.mark.parametrize("size", [1, 7, 100, 4096])
def test_where_the_log_is_cut_does_not_matter(size: int) -> None:
    lines = [*(DAY + b"WARNING: " + text for text in KINDS.values()), b"noise", *map(crash, range(6)), WARNING]
    text = b"\r\n".join(lines)
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    assert read_error_log(pieces) == read_error_log([text])
    assert read_error_log([text]).lines == len(lines)


def test_a_line_that_is_too_long_is_noise_wherever_it_is_cut() -> None:
    assert LONGEST_LINE == 64 * 1024
    longest = WARNING + b"." * (LONGEST_LINE - len(WARNING))
    for extra, noise in ((b"", 0), (b".", 1), (b"." * 300_000, 1)):
        text = WARNING + b"\n" + longest + extra + b"\n" + WARNING
        for size in (50_000, 65_536, 1 << 20):
            log = read_error_log(text[i : i + size] for i in range(0, len(text), size))
            assert (log.lines, log.noise, log.of("max_children").count) == (3, noise, 3 - noise)


def test_memory_does_not_grow_with_a_line_without_an_end() -> None:
    tracemalloc.start()
    log = read_error_log(b"x" * (1 << 20) for _ in range(100))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (log.lines, log.noise) == (1, 1)
    assert peak < 16 << 20


def test_memory_does_not_grow_with_what_a_hostile_log_names() -> None:
    def lines() -> list[bytes]:
        form = b"[%02d-Jul-%04d %02d:00:00] WARNING: [pool %d] server reached max_children setting (1)\n"
        hours = range(110_000)
        return [form % (1 + i // 24 % 28, 1970 + i // 672 % 1000, i % 24, i) for i in hours]

    log = read_error_log(lines())
    assert log.of("max_children").count == 110_000
    assert len(log.events) < 2100
    assert log.of("max_children", "(other pools)").count > 100_000
    assert len(log.per_hour) < 110_000
    assert len(log.notes) == 2


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 60_000,
        b"[26-" * 16_000,
        b"Jun 11 09:22:42 " + b"[WARNING] " * 6_000,
        DAY + b"WARNING: [pool www] child 7, script '" + b") executing too slow (" * 2_900,
        DAY + b"WARNING: " + b"seems busy (" * 5_000,
        DAY + b"WARNING: [pool www] child 7 exited on signal 11 " + b"after 1" * 9_000,
        b"a" * 60_000,
        b"1" * 60_000 + b"|",
    ],
    ids=range(8),
)
def test_no_line_takes_more_than_its_length(line: bytes) -> None:
    def seconds(copies: int, text: bytes) -> float:
        start = time.process_time()
        assert read_error_log([(text + b"\n") * copies]).lines == copies
        return time.process_time() - start

    half = line[: len(line) // 2]
    short = min(seconds(64, half) for _ in range(3))
    # twice the length: twice the time if it is linear, four times if it is quadratic
    assert min(seconds(64, line) for _ in range(3)) < 3 * short + 0.05


def test_an_empty_log_is_no_error() -> None:
    log = read_error_log([])
    assert (log.lines, log.noise, log.events, log.first) == (0, 0, {}, None)
    assert len(log.findings()) == 1


@settings(max_examples=200)
@given(st.lists(st.binary(max_size=200) | st.sampled_from([WARNING + b"\n", DAY, b"[pool ", b"\n", KINDS["slow"]])))
def test_any_bytes_are_counted_line_by_line(pieces: list[bytes]) -> None:
    text = b"".join(pieces)
    log = read_error_log(pieces)
    assert log == read_error_log([text])
    assert log.lines == text.count(b"\n") + (not text.endswith(b"\n") and text != b"")
    events = sum(found.count for (_, pool), found in log.events.items() if pool is None)
    assert log.noise + events + sum(log.levels.values()) == log.lines
