"""The rest of the live host: sockets, neighbours and pools the tests themselves have started."""

from __future__ import annotations

import mmap
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from capacity.measure import accept_queue as module
from capacity.measure.accept_queue import AcceptQueue, accept_queue, look_at_queue
from capacity.measure.fastcgi import ask_status, parse_address
from capacity.measure.listing import RunningPool, list_pools
from capacity.measure.neighbours import measure_neighbours, page_cache_floor, swap

from .conftest import Fpm, missing, pool_text

pytestmark = pytest.mark.live

MIB = 1 << 20
Start = Callable[..., Fpm]
needs_smaps = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs /proc/PID/smaps_rollup")


@pytest.fixture
def ss() -> str:
    found = shutil.which("ss", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    return found if found is not None else missing("ss is not installed: apt-get install iproute2")


@pytest.fixture
def sockets() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def listening(sockets: ExitStack, path: Path, backlog: int, connections: int) -> socket.socket:
    server = sockets.enter_context(socket.socket(socket.AF_UNIX))
    server.bind(str(path))
    server.listen(backlog)
    for _ in range(connections):
        sockets.enter_context(socket.socket(socket.AF_UNIX)).connect(str(path))
    return server


def test_connections_nobody_accepts_wait(ss: str, sockets: ExitStack, tmp_path: Path) -> None:
    path = tmp_path / "a  b.sock"
    server = listening(sockets, path, 5, 3)
    assert accept_queue(str(path)) == AcceptQueue(3, 5)
    sockets.enter_context(server.accept()[0])
    assert accept_queue(str(path)) == AcceptQueue(2, 5)


def test_a_socket_that_lost_its_path_is_not_taken_for_its_successor(
    ss: str, sockets: ExitStack, tmp_path: Path
) -> None:
    path = tmp_path / "www.sock"
    listening(sockets, path, 5, 1)
    path.unlink()
    listening(sockets, path, 7, 2)
    assert accept_queue(str(path)) == AcceptQueue(2, 7)


@pytest.mark.parametrize("without_ss", [False, True])
def test_tcp(ss: str, sockets: ExitStack, monkeypatch: pytest.MonkeyPatch, *, without_ss: bool) -> None:
    server = sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=6))
    port = server.getsockname()[1]
    for _ in range(2):
        sockets.enter_context(socket.create_connection(("127.0.0.1", port)))
    if without_ss:
        monkeypatch.setattr(module, "_ss", lambda options: None)
    assert accept_queue(f"127.0.0.1:{port}") == AcceptQueue(2, None if without_ss else 6)
    assert accept_queue(str(port)) == accept_queue(f"127.0.0.1:{port}")


def test_without_ss_proc_counts_the_same(sockets: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ss", lambda options: None)
    path = tmp_path / "a b.sock"
    server = listening(sockets, path, 5, 3)
    assert look_at_queue(str(path)) == AcceptQueue(3, None)
    sockets.enter_context(server.accept()[0])
    assert look_at_queue(str(path)) == AcceptQueue(2, None)


def test_the_queue_of_a_pool_that_is_full(ss: str, start_fpm: Start, sockets: ExitStack) -> None:
    fpm = start_fpm(lambda d: pool_text(d, pm="static", pm__max_children=1, listen__backlog=9), 1)
    path = fpm.directory / "www.sock"
    # The one worker takes the first connection and waits for a request that never comes.
    for waiting in (0, 1, 2, 3):
        sockets.enter_context(socket.socket(socket.AF_UNIX)).connect(str(path))
        deadline = time.monotonic() + 30
        while accept_queue(str(path)) != AcceptQueue(waiting, 9):
            assert time.monotonic() < deadline, look_at_queue(str(path))


SLEEPER = """
import mmap, os, sys
shared = mmap.mmap(-1, {size}, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
shared.write(b"x" * {size})
for _ in range({forks}):
    if os.fork() == 0:
        sum(shared[::{page}])
        break
os.write(1, b"ready\\n")
sys.stdin.read()
try:
    while True:
        os.wait()  # of the parent; no child is left for somebody else to bury
except ChildProcessError:
    pass
"""


@needs_smaps
def test_what_processes_share_counts_once(tmp_path: Path) -> None:
    size, forks = 96 * MIB, 3
    name = "hungry-neighbor"
    program = tmp_path / name
    program.symlink_to(sys.executable)
    code = SLEEPER.format(size=size, forks=forks, page=mmap.PAGESIZE)
    command = [str(program), "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(forks + 1):
            assert process.stdout.readline() == "ready\n"
        family = {process.pid, *(child.pid for child in psutil.Process(process.pid).children())}
        named = next(found for found in measure_neighbours() if found.name == name[:15])
        without = {found.name for found in measure_neighbours(family)}
        rss = sum(psutil.Process(pid).memory_info().rss for pid in family)
        process.stdin.close()
    assert named.processes == forks + 1
    assert not named.upper_bound
    assert size <= named.memory <= size + 64 * MIB
    assert named.files < named.memory - size + MIB
    assert rss > 3 * size  # what adding up RSS would have said
    assert name[:15] not in without


@needs_smaps
def test_neighbours_take_no_more_than_is_in_use() -> None:
    memory = psutil.virtual_memory()
    neighbours = measure_neighbours()
    taken = sum(found.memory - found.files for found in neighbours)
    assert 0 < taken < memory.total - memory.available + 64 * MIB
    assert [found.memory for found in neighbours if found.name != "others"] == sorted(
        (found.memory for found in neighbours if found.name != "others"), reverse=True
    )


def test_the_page_cache_and_swap_of_this_machine() -> None:
    total = psutil.virtual_memory().total
    assert 0 < page_cache_floor(total).value <= 0.05 * total
    now, known = swap(), psutil.swap_memory()
    assert (now.total, bool(now.sentence)) == (known.total, known.used > 0)
    assert now.rates_since(now) == (0, 0)


def test_two_masters_and_three_pools(start_fpm: Start) -> None:
    def first(directory: Path) -> str:
        status = {"pm.status_listen": f"{directory}/status", "pm.status_path": "/status"}
        status["access.log"] = f"{directory}/$pool.access.log"
        rest = pool_text(directory, "rest", pm="ondemand", pm__max_children=3, pm__status_path="/fpm")
        return pool_text(directory, "www", pm="static", pm__max_children=2, **status) + rest

    one = start_fpm(first, 2)
    two = start_fpm(lambda d: pool_text(d, "www", pm="static", pm__max_children=1), 1)
    own = {one.process.pid, two.process.pid}
    pools = [pool for pool in list_pools() if pool.master_pid in own]
    pools.sort(key=lambda pool: (pool.master_pid != one.process.pid, pool.name))

    def brief(pool: RunningPool) -> tuple[object, ...]:
        return pool.name, pool.config, len(pool.workers), pool.pm, pool.max_children, pool.listen, pool.status_path

    assert [brief(pool) for pool in pools] == [
        ("rest", str(one.config), 0, "ondemand", 3, f"{one.directory}/rest.sock", "/fpm"),
        ("www", str(one.config), 2, "static", 2, f"{one.directory}/www.sock", "/status"),
        ("www", str(two.config), 1, "static", 1, f"{two.directory}/www.sock", None),
    ]
    assert pools[1].status_listen == f"{one.directory}/status"
    assert pools[1].access_log == f"{one.directory}/www.access.log"
    assert Path(str(pools[1].access_log)).exists()
    assert {pool.error_log for pool in pools} == {f"{one.directory}/error.log", f"{two.directory}/error.log"}
    assert [pool.notes for pool in pools] == [(), (), ()]
    assert len({pool.version for pool in pools}) == 1


def test_the_child_of_a_status_socket_is_no_worker(start_fpm: Start) -> None:
    def text(directory: Path) -> str:
        status = {"pm.status_listen": f"{directory}/status", "pm.status_path": "/status"}
        return pool_text(directory, pm="static", pm__max_children=2, **status)

    fpm = start_fpm(text, 2)
    [pool] = [pool for pool in list_pools() if pool.master_pid == fpm.process.pid]
    assert pool.status_listen is not None
    assert pool.status_path is not None
    status = ask_status(parse_address(pool.status_listen), pool.status_path, full=True)  # makes the child
    assert status.total == 2
    titles = [" ".join(child.cmdline()).strip() for child in psutil.Process(fpm.process.pid).children()]
    assert "php-fpm: pool www_status" in titles
    [again] = [pool for pool in list_pools() if pool.master_pid == fpm.process.pid]
    assert len(again.workers) == 2
