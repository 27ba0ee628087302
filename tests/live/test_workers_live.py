"""What is measured of a running pool, against memory the tests themselves allocate."""

from __future__ import annotations

import json
import os
import pwd
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from capacity.measure import PoolMeasurement, measure_pool
from capacity.measure.processes import find_masters

from .conftest import Fpm, pool_text

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux' /proc/PID/smaps"),
]

MIB = 1 << 20
ALLOCATED = 32 * MIB
Start = Callable[..., Fpm]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may read the mappings of FPM's workers")


def serve(fpm: Fpm, php: str, requests: int, pool: str = "www") -> None:
    """Send requests at the same time; the script holds its worker long enough for each to take its own."""
    script = fpm.script("script.php", php)
    with ThreadPoolExecutor(requests) as threads:
        answers = list(threads.map(lambda _: fpm.request(script, pool), range(requests)))
    assert all(b"done" in answer for answer in answers), answers


HEAVY = f'$text = str_repeat("x", {ALLOCATED}); usleep(300000); echo strlen($text), "done";'
LIGHT = 'usleep(100000); echo "done";'


def static(workers: int, name: str = "www") -> Callable[[Path], str]:
    return lambda directory: pool_text(directory, name, pm="static", pm__max_children=workers)


def measured(name: str, fpm: Fpm) -> PoolMeasurement:
    measurement = measure_pool(name, config_path=str(fpm.config))
    assert measurement is not None
    assert measurement.master_pid == fpm.process.pid
    return measurement


def as_www_data(fpm: Fpm) -> dict[str, object]:
    """What the user the workers run as can tell, asked in a child process that has become that user."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgroups([])
            os.setgid(pwd.getpwnam("www-data").pw_gid)
            os.setuid(pwd.getpwnam("www-data").pw_uid)
            seen = measure_pool("www", config_path=str(fpm.config))
            assert seen is not None
            assert seen.worker_memory is not None
            assert seen.shared_memory is not None
            assert seen.reserved is not None
            report = {
                "memory": seen.worker_memory.value,
                "upper_bound": seen.worker_memory.upper_bound,
                "source": seen.worker_memory.source.source,
                "shared": seen.shared_memory.value,
                "reserved": seen.reserved.value,
                "reserved_upper_bound": seen.reserved.upper_bound,
            }
            os.write(into, json.dumps(report).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(into)
    with os.fdopen(out, "rb") as pipe:
        report = json.loads(pipe.read() or b"{}")
    assert os.waitpid(child, 0)[1] == 0
    return report


@needs_root
def test_the_memory_of_a_worker_is_what_its_requests_took_though_it_is_idle_now(start_fpm: Start) -> None:
    fpm = start_fpm(static(8), 8)
    serve(fpm, HEAVY, 8)
    measurement = measured("www", fpm)
    assert measurement.workers_seen == 8
    assert measurement.worker_memory is not None
    memory = measurement.worker_memory
    # Above: 32 MiB is in it. Below: what PHP itself keeps private was 0.5 MiB, its allocator rounds up by 2.
    assert 28 * MIB <= memory.value <= 45 * MIB
    assert memory.source.samples == 8
    assert not memory.upper_bound
    # The naive figure, RSS of all at their peak, counts what they share eight times.
    assert measurement.shared_memory is not None
    ours = 8 * memory.value + measurement.shared_memory.value
    family = [psutil.Process(fpm.process.pid), *psutil.Process(fpm.process.pid).children()]
    naive = sum(process.memory_info().rss for process in family) + 8 * ALLOCATED
    assert ours < 0.85 * naive
    assert MIB < measurement.shared_memory.value < 64 * MIB


@needs_root
def test_private_and_shared_memory_add_up_to_the_proportional_memory_of_all(start_fpm: Start) -> None:
    fpm = start_fpm(static(4), 4)
    serve(fpm, LIGHT, 4)
    shared = measured("www", fpm).shared_memory
    assert shared is not None
    family = [psutil.Process(fpm.process.pid), *psutil.Process(fpm.process.pid).children()]
    full = [process.memory_full_info() for process in family]
    private = sum(info.uss for info in full[1:])
    assert shared.value == pytest.approx(sum(info.pss for info in full) - private, rel=0.2)


@needs_root
def test_a_lone_worker_does_not_take_the_opcache_for_its_own(start_fpm: Start) -> None:
    alone, many = start_fpm(static(1), 1), start_fpm(static(6), 6)
    serve(alone, HEAVY, 1)
    serve(many, HEAVY, 6)
    one, six = measured("www", alone).worker_memory, measured("www", many).worker_memory
    assert one is not None
    assert six is not None
    assert one.value == pytest.approx(six.value, rel=0.05)


def test_a_pool_that_has_served_nothing_has_unknown_memory(start_fpm: Start) -> None:
    measurement = measured("www", start_fpm(static(4), 4))
    assert measurement.workers_seen == 4
    assert measurement.worker_memory is None
    assert "worker.memory" not in measurement.values
    assert any("worker.memory is unknown: none of the 4 workers has run" in note for note in measurement.notes)


@needs_root
def test_workers_that_have_served_nothing_are_left_out(start_fpm: Start) -> None:
    fpm = start_fpm(static(6), 6)
    serve(fpm, HEAVY, 2)
    memory = measured("www", fpm).worker_memory
    assert memory is not None
    assert memory.value > 28 * MIB
    assert memory.source.samples == 2
    assert "4 that have run none left out" in memory.source.source


@needs_root
def test_a_request_in_flight_counts(start_fpm: Start) -> None:
    fpm = start_fpm(static(2), 2)
    # A worker in its first request counts once it has used some CPU time, so this one burns 100 ms.
    burn = "$end = microtime(true) + 0.1; while (microtime(true) < $end);"
    hold = f'{burn} $text = str_repeat("x", {ALLOCATED}); touch("held"); usleep(1500000); echo "done";'
    script = fpm.script("hold.php", hold)
    held = fpm.directory / "held"
    fpm.directory.chmod(0o777)
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(fpm.request, script)
        while not held.exists() and not answer.done():
            time.sleep(0.01)
        memory = measured("www", fpm).worker_memory
        assert b"done" in answer.result()
    assert memory is not None
    assert 28 * MIB <= memory.value <= 45 * MIB


@needs_root
def test_the_workers_own_user_gets_an_upper_bound_with_the_shared_pages_in_it(start_fpm: Start) -> None:
    fpm = start_fpm(static(4), 4)
    serve(fpm, HEAVY, 4)
    root = measured("www", fpm)
    report = as_www_data(fpm)
    assert root.worker_memory is not None
    assert root.reserved is not None
    assert report["upper_bound"] is True
    assert "not root" in str(report["source"])
    assert root.worker_memory.value < float(str(report["memory"])) < root.worker_memory.value + 64 * MIB
    assert report["shared"] == 0
    assert report["reserved_upper_bound"] is True


def test_the_host_of_a_pool_has_memory_cores_and_others(start_fpm: Start) -> None:
    measurement = measured("www", start_fpm(static(2), 2))
    assert measurement.ram is not None
    assert measurement.cpus is not None
    assert measurement.reserved is not None
    assert 0 < measurement.cpus.value <= (psutil.cpu_count() or 1)
    assert 0 <= measurement.reserved.value < measurement.ram.value <= psutil.virtual_memory().total


def test_pools_of_one_name_are_told_apart_by_their_file(start_fpm: Start) -> None:
    first, second = start_fpm(static(1), 1), start_fpm(static(2), 2)
    assert measured("www", first).workers_seen == 1
    assert measured("www", second).workers_seen == 2


def test_an_included_pool_file_names_its_master(start_fpm: Start) -> None:
    def include(directory: Path) -> str:
        (directory / "app.pool").write_text(static(1)(directory))
        return f"include = {directory}/*.pool\n"

    start_fpm(static(1), 1)
    fpm = start_fpm(include, 1)
    measurement = measure_pool("www", config_path=str(fpm.directory / "app.pool"))
    assert measurement is not None
    assert measurement.master_pid == fpm.process.pid


def test_children_of_the_status_listener_are_no_workers(start_fpm: Start) -> None:
    def text(directory: Path) -> str:
        status = directory / "status"
        return static(2)(directory) + f"pm.status_path = /status\npm.status_listen = {status}\n"

    fpm = start_fpm(text, 2)
    assert measured("www", fpm).workers_seen == 2


def test_an_ondemand_pool_at_rest_is_found_by_its_file(start_fpm: Start) -> None:
    fpm = start_fpm(lambda directory: pool_text(directory, "www", pm="ondemand", pm__max_children=3), 0)
    measurement = measured("www", fpm)
    assert measurement.workers_seen == 0
    assert measurement.worker_memory is None


def test_every_master_has_its_own_children(start_fpm: Start) -> None:
    fpms = [start_fpm(static(2), 2), start_fpm(static(3), 3)]
    found = {master.pid: master for master in find_masters()}
    for fpm, workers in zip(fpms, (2, 3), strict=True):
        assert len(found[fpm.process.pid].children) == workers
        assert found[fpm.process.pid].config == str(fpm.config)
