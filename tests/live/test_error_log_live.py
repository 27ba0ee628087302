"""What a real php-fpm writes into its error log, provoked event by event and found exactly as often."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from capacity.fpm.error_log import ErrorLog, Kind, read_error_log

from .conftest import Fpm, pool_text
from .site import until

pytestmark = pytest.mark.live

Start = Callable[..., Fpm]


def read(fpm: Fpm) -> ErrorLog:
    return read_error_log([(fpm.directory / "error.log").read_bytes()])


def wait_for(fpm: Fpm, kind: Kind, count: int, pool: str | None = None) -> ErrorLog:
    deadline = time.monotonic() + 30
    while (log := read(fpm)).of(kind, pool).count < count:
        if time.monotonic() > deadline:
            pytest.fail((fpm.directory / "error.log").read_text())
        time.sleep(0.05)
    return log


@contextmanager
def held(fpm: Fpm, requests: int, pool: str = "www") -> Iterator[None]:
    """Hold that many workers until the block ends."""
    begun = fpm.directory / "begun"
    begun.touch()
    begun.chmod(0o666)
    wait = f'while (!file_exists("{fpm.directory}/go")) usleep(10000);'
    script = fpm.script("hold.php", f'file_put_contents("{begun}", "x"); {wait} echo "done";')
    with ThreadPoolExecutor(requests) as threads:
        answers = [threads.submit(fpm.request, script, pool)]
        # The first is at work before others come: an ondemand pool is told once of connections that come together.
        until(lambda: begun.stat().st_size, "a held worker")
        answers += [threads.submit(fpm.request, script, pool) for _ in range(requests - 1)]
        try:
            yield
        finally:
            (fpm.directory / "go").touch()
        assert all(b"done" in answer.result() for answer in answers)


def children(fpm: Fpm) -> list[int]:
    return sorted(process.pid for process in psutil.Process(fpm.process.pid).children())


def test_a_dynamic_pool_at_its_limit(start_fpm: Start) -> None:
    spares = {"pm.start_servers": 1, "pm.min_spare_servers": 1, "pm.max_spare_servers": 1}
    fpm = start_fpm(lambda d: pool_text(d, pm="dynamic", pm__max_children=2, **spares), 1)
    with held(fpm, 2):
        log = wait_for(fpm, "max_children", 1)
    assert (log.of("max_children", "www").count, log.of("max_children").worst) == (1, 2)
    assert sum(log.per_hour.values()) == 1
    assert log.noise == 0


def test_an_ondemand_pool_at_its_limit(start_fpm: Start) -> None:
    fpm = start_fpm(lambda d: pool_text(d, "shop", pm="ondemand", pm__max_children=1), 0)
    with held(fpm, 2, "shop"):
        log = wait_for(fpm, "max_children", 1)
    assert {key: (events.count, events.worst) for key, events in log.events.items() if key[0] == "max_children"} == {
        ("max_children", "shop"): (1, 1),
        ("max_children", None): (1, 1),
    }
    assert "pool 'shop' had all 1 workers" in log.findings()[0]


def test_a_static_pool_says_nothing_however_full_it_is(start_fpm: Start) -> None:
    fpm = start_fpm(lambda d: pool_text(d, pm="static", pm__max_children=1), 1)
    with held(fpm, 4):
        time.sleep(2.5)  # two ticks of the process manager
    log = read(fpm)
    assert log.of("max_children").count == 0
    assert any("static pool, which never logs it" in text for text in log.findings())


def test_slow_and_terminated_requests(start_fpm: Start) -> None:
    def text(directory: Path) -> str:
        timeouts = {"request_slowlog_timeout": "1s", "request_terminate_timeout": "3s"}
        return pool_text(directory, pm="static", pm__max_children=2, slowlog=f"{directory}/slow.log", **timeouts)

    fpm = start_fpm(text, 2)
    slow, endless = fpm.script("slow.php", 'sleep(2); echo "done";'), fpm.script("endless.php", "sleep(60);")
    with ThreadPoolExecutor(2) as threads:
        answers = [threads.submit(fpm.request, script) for script in (slow, endless)]
        assert b"done" in answers[0].result()
        answers[1].exception()  # the worker is gone in the middle of its answer
    log = wait_for(fpm, "killed", 1)
    assert (log.of("slow", "www").count, log.of("terminated", "www").count) == (2, 1)
    assert log.of("slow").numbers["seconds"].low >= 1
    assert log.of("terminated").worst is not None
    assert log.of("terminated").worst >= 3
    # FPM's own SIGTERM is no crash
    assert (log.signals, log.crash_loops) == ({("www", "SIGTERM"): 1}, ())


def test_a_child_that_crashes_and_many_that_do(start_fpm: Start) -> None:
    fpm = start_fpm(lambda d: pool_text(d, pm="static", pm__max_children=2), 2)
    for count in range(1, 6):
        os.kill(children(fpm)[0], signal.SIGSEGV)
        log = wait_for(fpm, "spawned", count)
        assert (log.of("killed", "www").count, log.signals) == (count, {("www", "SIGSEGV"): count})
        assert [loop.crashes for loop in log.crash_loops] == ([5] if count == 5 else [])
    assert log.of("killed").numbers["lifetime"].high >= 0
    assert log.noise == 0


def test_scripts_that_exit_the_worker_and_workers_that_are_recycled(start_fpm: Start) -> None:
    fpm = start_fpm(lambda d: pool_text(d, pm="static", pm__max_children=1, pm__max_requests=1), 1)
    script = fpm.script("a.php", 'echo "done";')
    for _ in range(3):
        assert b"done" in fpm.request(script)
    log = wait_for(fpm, "recycled", 3)
    assert (log.of("recycled", "www").count, log.of("killed").count, log.of("failed").count) == (3, 0, 0)


def test_a_reload_and_a_stop(start_fpm: Start) -> None:
    fpm = start_fpm(lambda d: pool_text(d, pm="static", pm__max_children=2), 2)
    wait_for(fpm, "ready", 1)
    fpm.process.send_signal(signal.SIGUSR2)
    wait_for(fpm, "ready", 2)
    fpm.process.send_signal(signal.SIGTERM)
    log = wait_for(fpm, "stopped", 1)
    counts = [log.of(kind).count for kind in ("started", "ready", "reloaded", "stopped", "killed", "failed")]
    assert counts == [2, 2, 1, 1, 0, 0]
    assert log.noise == 0


def test_worker_output_that_quotes_the_log_is_output(start_fpm: Start) -> None:
    text = "[26-Jul-2012 09:50:00] WARNING: [pool www] server reached pm.max_children setting (50), consider raising it"
    fpm = start_fpm(lambda d: pool_text(d, pm="static", pm__max_children=1, catch_workers_output="yes"), 1)
    assert b"done" in fpm.request(fpm.script("a.php", f'fwrite(fopen("php://stderr", "w"), "{text}\\n"); echo "done";'))
    log = wait_for(fpm, "output", 1)
    assert (log.of("output", "www").count, log.of("max_children").count, log.noise) == (1, 0, 0)


def test_the_debug_log_has_every_tick_and_counts_no_wanted_exit(start_fpm: Start) -> None:
    spares = {"pm.start_servers": 2, "pm.min_spare_servers": 1, "pm.max_spare_servers": 4}

    def text(directory: Path) -> str:
        return "log_level = debug\n" + pool_text(directory, pm="dynamic", pm__max_children=4, **spares)

    fpm = start_fpm(text, 2)
    with held(fpm, 1):
        ticks = wait_for(fpm, "tick", 3).of("tick", "www")
    assert (ticks.worst, ticks.numbers["running"].high) == (1, 2)
    fpm.process.send_signal(signal.SIGUSR2)
    log = wait_for(fpm, "ready", 2)
    assert (log.of("killed").count, log.of("failed").count, log.of("reloaded").count) == (0, 0, 1)
    assert log.levels["DEBUG"] > 10
    assert log.noise == 0


def test_process_max(start_fpm: Start) -> None:
    fpm = start_fpm(lambda d: "process.max = 1\n" + pool_text(d, pm="static", pm__max_children=3), 1)
    assert wait_for(fpm, "process_max", 1).of("process_max").count == 1


def test_two_that_want_one_socket(start_fpm: Start, php_fpm: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        text = "[www]\nlisten = 127.0.0.1:{}\nuser = www-data\npm = static\npm.max_children = 1\n"
        fpm = start_fpm(lambda d: pool_text(d, pm="static", pm__max_children=1), 1)
        config = fpm.directory / "second.conf"
        log = fpm.directory / "second.log"
        config.write_text(f"[global]\nerror_log = {log}\n" + text.format(taken.getsockname()[1]))
        command = [php_fpm, "--nodaemonize", "--fpm-config", str(config)]
        assert subprocess.run(command, stderr=subprocess.DEVNULL, timeout=30, check=False).returncode != 0
    assert read_error_log([log.read_bytes()]).of("listen").count == 1
