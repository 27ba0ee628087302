"""``capacity measure`` against traffic the test itself has made: what it reports is what was caused."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

import pytest

from capacity.scenario import Scenario

from .conftest import Fpm, pool_text
from .site import until

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux' /proc/PID/smaps"),
]

MIB = 1 << 20
Start = Callable[..., Fpm]
FORMAT = '%R %t "%m %r" %s %{micro}d %M %C%%'
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may read the mappings of FPM's workers")

SLEEP, HELD_MEMORY, BURN = 0.06, 16 * MIB, 0.02
SCRIPTS = {
    "wait.php": f'usleep({int(SLEEP * 1e6)}); echo "done";',
    "hold.php": f'$text = str_repeat("x", {HELD_MEMORY}); usleep({int(SLEEP * 1e6)}); echo strlen($text), "done";',
    # CPU time, not wall time, so that a busy machine does not change what is caused
    "burn.php": f"""
        $used = fn() => (($u = getrusage())["ru_utime.tv_sec"] + $u["ru_stime.tv_sec"])
            + ($u["ru_utime.tv_usec"] + $u["ru_stime.tv_usec"]) / 1e6;
        $end = $used() + {BURN};
        while ($used() < $end) {{ for ($i = 0; $i < 2000; $i++) {{ $x = sqrt($i); }} }}
        usleep({int(SLEEP * 1e6)}); echo "done";""",
}


@dataclass
class Traffic:
    """Requests that were sent: when, and how long whoever sent them waited."""

    sent: list[float] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def rate(self) -> float:
        return (len(self.sent) - 1) / (self.sent[-1] - self.sent[0])


def send(fpm: Fpm, rate: float, seconds: float, traffic: Traffic) -> None:
    """Poisson traffic from three scripts in equal shares, until it is over."""
    scripts = [fpm.script(name, php) for name, php in SCRIPTS.items()]
    chance = random.Random(11)

    def ask(script: Path) -> bytes:
        began = time.monotonic()
        answer = fpm.request(script)
        traffic.waited.append(time.monotonic() - began)
        return answer

    with ThreadPoolExecutor(32) as threads:
        at = time.monotonic()
        end, answers = at + seconds, []
        while at < end and not traffic.over.wait(max(0.0, at - time.monotonic())):
            traffic.sent.append(time.monotonic())
            answers.append(threads.submit(ask, scripts[len(answers) % 3]))
            at += chance.expovariate(rate)
        assert all(b"done" in answer.result() for answer in answers)


@contextmanager
def meanwhile(work: Callable[[], object], over: threading.Event) -> Iterator[None]:
    """Do the work in another thread, which ends it when it is over: with the block."""
    with ThreadPoolExecutor(1) as thread:
        doing = thread.submit(work)
        try:
            yield
        finally:
            over.set()
        doing.result()


@contextmanager
def visited(fpm: Fpm, rate: float) -> Iterator[Traffic]:
    """Traffic that has begun and lasts as long as the block, however slow the machine makes that."""
    traffic = Traffic()
    with meanwhile(lambda: send(fpm, rate, 120, traffic), traffic.over):
        time.sleep(1)
        yield traffic


def watching(fpm: Fpm, *arguments: str) -> subprocess.Popen[str]:
    """Begin to measure, until it watches: from then on SIGTERM is its own (and SIGINT, as it always is)."""
    command = [sys.executable, "-m", "capacity", "measure", "--pool-file", str(fpm.config), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    status = Path(f"/proc/{process.pid}/status")
    until(
        lambda: int(re.findall("SigCgt:\t([0-9a-f]+)", status.read_text())[0], 16) >> (signal.SIGTERM - 1) & 1,
        "the watching",
    )
    return process


def pool(workers: int = 8, **more: object) -> Callable[[Path], str]:
    def text(directory: Path) -> str:
        directives: dict[str, object] = {
            "pm": "static",
            "pm__max_children": workers,
            "access__log": f"{directory}/$pool.access.log",
            "access__format": f"'{FORMAT}'",
            "pm__status_path": "/status",
            "pm__status_listen": f"{directory}/status.sock",
        }
        return pool_text(directory, **{name: value for name, value in (directives | more).items() if value is not None})

    return text


def measure(fpm: Fpm, *arguments: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "capacity", "measure", "--pool-file", str(fpm.config), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@needs_root
def test_what_it_reports_is_what_was_caused_and_recommend_takes_it(start_fpm: Start) -> None:
    fpm = start_fpm(pool(), 8)
    with visited(fpm, 30) as traffic:
        code, out, err = measure(fpm, "--for", "8s")
    assert code == 0, err
    scenario = Scenario.from_toml_text(out)
    sources = scenario.sources
    load = scenario.workload
    # 8 s of a Poisson stream of 30/s are 240 +- 25 requests (90 %); the reported interval has to hold the truth
    low, high = sources["workload.arrival_rate"].low, sources["workload.arrival_rate"].high
    assert low is not None
    assert high is not None
    assert low * 0.95 <= traffic.rate <= high * 1.05
    # at least what the scripts sleep and burn; at most what whoever sent the requests waited, on a busy machine too
    assert SLEEP + BURN / 3 <= load.service_time <= 1.2 * mean(traffic.waited)
    assert load.cpu_time is not None
    assert BURN / 3 <= load.cpu_time <= 2.5 * BURN / 3
    assert HELD_MEMORY <= scenario.worker.memory <= HELD_MEMORY + 8 * MIB
    assert 0 < scenario.worker.shared_memory < 64 * MIB
    assert scenario.pool is not None
    assert (scenario.pool.pm, scenario.pool.max_children) == ("static", 8)
    fields = {
        f"{table}.{name}" for table, values in tomllib.loads(out).items() if table != "sources" for name in values
    }
    assert fields == set(sources), "every value has its source"
    for name in ("/wait.php", "/hold.php", "/burn.php"):
        assert name in err
    done = subprocess.run(
        [sys.executable, "-m", "capacity", "recommend", "-"], input=out, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


@needs_root
def test_against_what_was_planned(start_fpm: Start, tmp_path: Path) -> None:
    fpm = start_fpm(pool(), 8)
    scenario, wrong = tmp_path / "site.toml", tmp_path / "wrong.toml"
    with visited(fpm, 30):
        assert measure(fpm, "--for", "6s", "-o", str(scenario))[0] == 0
        code, out, err = measure(fpm, "--for", "6s", "--against", str(scenario))
        assert code == 0, out + err
        assert "BEYOND" not in out
        # the same pool held against a plan in which a request takes a tenth of the time
        text = scenario.read_text()
        tables = tomllib.loads(text)
        served = f"service_time = {tables['workload']['service_time']:.6g}"
        assert served in text
        head, _, _ = text.partition("[sources.")
        wrong.write_text(head.replace(served, "service_time = 0.009").replace("cpu_time", "# cpu_time"))
        code, out, err = measure(fpm, "--for", "3s", "--against", str(wrong), "--format", "json")
    assert code == 5, err
    beyond = {deviation["quantity"] for deviation in json.loads(out)["deviations"] if deviation["beyond"]}
    assert "service_time" in beyond


def test_without_a_log_or_a_status_page_it_says_how_to_make_them_visible(start_fpm: Start) -> None:
    fpm = start_fpm(lambda directory: pool_text(directory, pm="static", pm__max_children=2), 2)
    code, out, err = measure(fpm, "--for", "1s")
    assert code == 1
    assert "access.format" in err
    assert "service_time" in err
    assert "pm.status" in err
    assert "MISSING: workload.service_time" in out
    assert tomllib.loads(out)["pool"]["max_children"] == 2


@needs_root
def test_little_finds_the_work_after_the_answer(start_fpm: Start) -> None:
    fpm = start_fpm(pool(), 8)
    fpm.script("burn.php", "")
    hidden = "register_shutdown_function(fn() => usleep(60000)); usleep(10000); echo 'done';"
    script = fpm.script("hidden.php", hidden)
    stop = threading.Event()

    def run() -> None:
        with ThreadPoolExecutor(8) as threads:
            while not stop.is_set():
                threads.submit(fpm.request, script)
                time.sleep(0.05)

    with meanwhile(run, stop):
        code, _, err = measure(fpm, "--for", "8s")
    assert code == 0, err
    assert "hidden work at" in " ".join(err.split())


@contextmanager
def crowded(fpm: Fpm, script: Path) -> Iterator[None]:
    """Eight who ask again and again while the block lasts."""
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            assert b"done" in fpm.request(script)

    with ThreadPoolExecutor(8) as threads:
        asking = [threads.submit(ask) for _ in range(8)]
        time.sleep(0.5)
        try:
            yield
        finally:
            over.set()
        for one in asking:
            one.result()


@needs_root
def test_a_saturated_pool_is_seen_over_its_status_socket_and_without_one_it_is_said(start_fpm: Start) -> None:
    fpm = start_fpm(pool(workers=1), 1)
    script = fpm.script("slow.php", "usleep(400000); echo 'done';")
    with crowded(fpm, script):
        _, out, err = measure(fpm, "--for", "4s", "--format", "json")
    seen = json.loads(out)["sampled"]
    assert seen["most_busy"] == 1
    assert seen["busy"]["value"] > 0.9
    if seen["waiting"] is not None:  # needs ss
        assert seen["most_waiting"] >= 3
    without = start_fpm(pool(workers=1, pm__status_listen=None), 1)
    script = without.script("slow.php", "usleep(900000); echo 'done';")
    with crowded(without, script):
        _, _, err = measure(without, "--for", "2s")
    assert "pm.status_listen" in err


def test_an_interrupt_keeps_what_was_gathered(start_fpm: Start) -> None:
    fpm = start_fpm(pool(), 8)
    send(fpm, 40, 3, Traffic())
    running = watching(fpm, "--for", "600s")
    time.sleep(2)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert "Traceback" not in err
    assert "interrupted" in err
    found = tomllib.loads(out)
    assert found["workload"]["service_time"] >= SLEEP
    assert found["pool"]["max_children"] == 8


def test_pools_are_named_where_several_run(start_fpm: Start) -> None:
    def two(directory: Path) -> str:
        return "".join(pool_text(directory, name, pm="static", pm__max_children=1) for name in ("one", "two"))

    fpm = start_fpm(two, 2)
    code, out, err = measure(fpm, "--for", "0s")
    assert code == 2
    assert "one" in err
    assert "two" in err
    assert out == ""
    code, out, _ = measure(fpm, "--for", "0s", "--pool", "two")
    assert tomllib.loads(out)["policy"]["pools_on_host"] >= 2


@needs_root
def test_workers_that_live_for_one_request_and_a_reload_lose_no_cpu_time(start_fpm: Start) -> None:
    fpm = start_fpm(pool(workers=4, pm__max_requests=1), 4)
    script = fpm.script(
        "burn.php",
        f"""$used = fn() => (($u = getrusage())["ru_utime.tv_sec"]) + $u["ru_utime.tv_usec"] / 1e6;
        $end = $used() + {BURN}; while ($used() < $end) {{ for ($i = 0; $i < 2000; $i++) {{ $x = sqrt($i); }} }}
        echo "done";""",
    )
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            with suppress(ConnectionError):  # the reload ends what is in flight
                fpm.request(script)
            time.sleep(0.05)

    with meanwhile(run, stop):
        running = watching(fpm, "--for", "7s", "--format", "json")
        time.sleep(3)
        fpm.process.send_signal(signal.SIGUSR2)
        out, err = running.communicate(timeout=120)
    assert running.returncode == 0, err
    found = json.loads(out)
    # at least what the script burns; above, the start of a worker for every request
    assert BURN <= found["scenario"]["workload"]["cpu_time"] <= 2.5 * BURN
    assert "restarted or reloaded while it was watched" in " ".join(err.split())


@needs_root
def test_two_interrupts_and_a_termination_keep_what_was_gathered(start_fpm: Start) -> None:
    fpm = start_fpm(pool(), 8)
    send(fpm, 40, 3, Traffic())
    for signals in ((signal.SIGINT, signal.SIGINT), (signal.SIGTERM,)):
        running = watching(fpm, "--for", "600s")
        time.sleep(2)
        for number in signals:
            running.send_signal(number)
            time.sleep(0.05)
        out, err = running.communicate(timeout=60)
        assert "interrupted" in err
        assert tomllib.loads(out)["workload"]["service_time"] >= SLEEP
