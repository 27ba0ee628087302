"""What a real pool says of itself, against what the tests do to it."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from capacity.errors import MeasurementError
from capacity.fpm.status import PoolStatus, read_status
from capacity.measure.fastcgi import Address, ask, ask_status, parse_address

from .conftest import Fpm, pool_text

pytestmark = pytest.mark.live

MIB = 1 << 20
Start = Callable[..., Fpm]


def pool(workers: int, **directives: object) -> Callable[[Path], str]:
    """Write a static pool with its status page on the pool's socket and on one of its own."""

    def text(directory: Path) -> str:
        settings = {
            "pm": "static",
            "pm__max_children": workers,
            "pm__status_path": "/status",
            "pm__status_listen": directory / "watch",
        }
        return pool_text(directory, **(settings | directives))

    return text


def own(fpm: Fpm) -> Address:
    return parse_address(f"unix:{fpm.directory}/www.sock")


def watch(fpm: Fpm) -> Address:
    return parse_address(str(fpm.directory / "watch"))


def eventually(fpm: Fpm, meant: Callable[[PoolStatus], bool], *, full: bool = False) -> PoolStatus:
    """Ask until the page says what is meant: FPM counts anew once a second."""
    deadline = time.monotonic() + 30
    while not meant(status := ask_status(watch(fpm), "/status", full=full, timeout=10)):
        assert time.monotonic() < deadline, status
        time.sleep(0.05)
    return status


@contextmanager
def busy(fpm: Fpm, requests: int) -> Iterator[list[Future[bytes]]]:
    """Hold that many requests in the pool's scripts or queue until the block ends."""
    fpm.directory.chmod(0o777)
    release = fpm.directory / "release"
    wait = f"while (!file_exists('{release}')) {{ usleep(5000); clearstatcache(); }} echo 'done';"
    script = fpm.script("hold.php", wait)
    with ThreadPoolExecutor(requests) as threads:
        answers = [threads.submit(fpm.request, script) for _ in range(requests)]
        try:
            yield answers
        finally:
            release.touch()
    assert all(b"done" in answer.result() for answer in answers)


def page(fpm: Fpm, query: str) -> PoolStatus:
    parameters = {"SCRIPT_NAME": "/status", "SCRIPT_FILENAME": "/status", "REQUEST_METHOD": "GET"}
    answer = ask(watch(fpm), parameters | {"QUERY_STRING": query}, timeout=10)
    assert answer.status == 200
    return read_status(answer.body)


def test_every_format_says_the_same(start_fpm: Start) -> None:
    fpm = start_fpm(pool(3), 3)
    script = fpm.script("light.php", "echo 'done';")
    for _ in range(4):
        assert b"done" in fpm.request(script)
    eventually(fpm, lambda status: status.idle == 3)
    # The clock may move on by a second between two pages.
    seen = {query: replace(page(fpm, query), uptime=None) for query in ("json", "", "json&full", "full", "openmetrics")}
    whole = seen["json"]
    assert (whole.pool, whole.process_manager, whole.total, whole.accepted) == ("www", "static", 3, 4)
    assert whole.started is not None
    assert abs(time.time() - whole.started) < 300
    assert seen[""] == whole
    assert seen["openmetrics"] == replace(whole, started=None)
    assert seen["json&full"] == seen["full"] == replace(whole, workers=seen["full"].workers)
    assert len(seen["full"].workers) == 3
    assert {worker.state for worker in seen["full"].workers} == {"Idle"}
    assert sum(worker.requests or 0 for worker in seen["full"].workers) == 4
    asked = ask_status(watch(fpm), "/status", full=True, timeout=10)
    assert replace(asked, uptime=None) == seen["full"]


def test_a_html_page_is_refused_with_the_way_out(start_fpm: Start) -> None:
    fpm = start_fpm(pool(1), 1)
    for query in ("html", "xml", "html&full"):
        with pytest.raises(ValueError, match=r"\?json"):
            page(fpm, query)


def test_a_full_pool_answers_over_its_status_listener_and_not_over_its_own(start_fpm: Start) -> None:
    fpm = start_fpm(pool(2), 2)
    with busy(fpm, 2):
        status = eventually(fpm, lambda status: status.active == 2)
        assert (status.idle, status.total, status.busy(own_query=False)) == (0, 2, 2)
        with pytest.raises(
            MeasurementError, match=r"no answer within 200 ms: the pool is saturated .*pm\.status_listen"
        ):
            ask_status(own(fpm), "/status", timeout=0.2)


def test_a_full_accept_queue_is_told(start_fpm: Start) -> None:
    fpm = start_fpm(pool(1, listen__backlog=1), 1)
    with busy(fpm, 1):
        eventually(fpm, lambda status: status.active == 1)
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(2)]
        for connection in waiting:
            connection.connect(str(fpm.directory / "www.sock"))
        with pytest.raises(MeasurementError, match=r"accept queue is full.*pm\.status_listen"):
            ask_status(own(fpm), "/status", timeout=5)
        for connection in waiting:
            connection.close()


def test_the_own_query_is_active_and_counted_on_the_pools_own_socket_only(start_fpm: Start) -> None:
    fpm = start_fpm(pool(2), 2)
    eventually(fpm, lambda status: status.idle == 2)
    before = ask_status(watch(fpm), "/status", timeout=10)
    query = ask_status(own(fpm), "/status", timeout=10)
    after = ask_status(watch(fpm), "/status", timeout=10)
    assert before.accepted is not None
    assert query.active is not None
    assert query.active >= 1
    assert query.busy(own_query=True) == query.active - 1
    assert (query.accepted, after.accepted) == (before.accepted + 1, before.accepted + 1)
    assert before.busy(own_query=False) == 0


def test_accepted_grows_by_the_requests_sent(start_fpm: Start) -> None:
    fpm = start_fpm(pool(3), 3)
    script = fpm.script("light.php", "echo 'done';")
    before = ask_status(watch(fpm), "/status", timeout=10).accepted
    with ThreadPoolExecutor(4) as threads:
        assert all(b"done" in answer for answer in threads.map(lambda _: fpm.request(script), range(37)))
    after = ask_status(watch(fpm), "/status", timeout=10).accepted
    assert (before, after) == (0, 37)


def test_a_unix_sockets_queue_is_unknown_though_requests_wait(start_fpm: Start) -> None:
    fpm = start_fpm(pool(1), 1)
    with busy(fpm, 4):
        status = eventually(fpm, lambda status: status.active == 1)
        time.sleep(1.2)  # past the next tick, at which FPM would have looked
        status = ask_status(watch(fpm), "/status", timeout=10)
    assert (status.listen_queue, status.max_listen_queue, status.listen_queue_limit) == (None, None, None)
    assert any("ss -xl" in note for note in status.notes)


def test_a_tcp_sockets_queue_is_a_number(start_fpm: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    def text(directory: Path) -> str:
        # The fixture takes the pool for started when there is a unix socket.
        return pool(1, listen__backlog=64)(directory).replace(f"{directory}/www.sock", f"127.0.0.1:{port}") + pool_text(
            directory, "other", pm="static", pm__max_children=1
        )

    fpm = start_fpm(text, 2)
    quiet = eventually(fpm, lambda status: status.listen_queue_limit is not None)
    assert (quiet.listen_queue, quiet.listen_queue_limit) == (0, 64)
    hold = fpm.script("sleep.php", "sleep(60);")
    parameters = {"SCRIPT_NAME": str(hold), "SCRIPT_FILENAME": str(hold), "REQUEST_METHOD": "GET"}
    address = Address(host="127.0.0.1", port=port)
    with pytest.raises(MeasurementError, match="no answer within 500 ms"):
        ask(address, parameters, timeout=0.5)  # FPM goes on with a request whose client has gone
    eventually(fpm, lambda status: status.active == 1)
    waiting = [socket.create_connection((address.host, address.port)) for _ in range(5)]
    status = eventually(fpm, lambda status: status.listen_queue == 5)
    for connection in waiting:
        connection.close()
    assert status.active == 1
    assert status.max_listen_queue == 5
    assert not any("ss -xl" in note for note in status.notes)


def test_the_memory_of_the_last_request_shows(start_fpm: Start) -> None:
    fpm = start_fpm(pool(1), 1)
    fpm.request(fpm.script("heavy.php", f'$text = str_repeat("x", {32 * MIB}); echo strlen($text);'))
    (worker,) = eventually(fpm, lambda status: status.idle == 1, full=True).workers
    assert worker.memory is not None
    assert worker.memory % (2 * MIB) == 0 or worker.memory > 32 * MIB
    assert 32 * MIB <= worker.memory <= 40 * MIB
    assert worker.script == str(fpm.directory / "heavy.php")
    assert worker.method == "GET"


def test_what_a_running_worker_does_shows_and_what_it_took_does_not(start_fpm: Start) -> None:
    fpm = start_fpm(pool(1), 1)
    with busy(fpm, 1):
        first = eventually(fpm, lambda status: status.workers[0].state == "Running", full=True).workers[0]
        later = eventually(fpm, lambda status: (status.workers[0].elapsed or 0) > (first.elapsed or 0), full=True)
    assert first.elapsed is not None
    assert 0 < first.elapsed < 60
    assert (first.cpu, first.memory) == (None, None)
    assert later.workers[0].pid == first.pid
    assert later.stuck == 0


def test_connections_kept_open_are_seen_to_hold_their_workers(start_fpm: Start) -> None:
    fpm = start_fpm(pool(3), 3)
    script = fpm.script("light.php", "echo 'done';")
    kept = [keep_open(fpm, script) for _ in range(3)]
    status = eventually(fpm, lambda status: status.stuck == 3, full=True)
    assert any("fastcgi_keep_conn" in note for note in status.notes)
    assert {worker.state for worker in status.workers} == {"Reading headers"}
    for connection in kept:
        connection.close()
    assert eventually(fpm, lambda status: status.idle == 3, full=True).stuck == 0


def keep_open(fpm: Fpm, script: Path) -> socket.socket:
    """Send one request with FCGI_KEEP_CONN, read its answer, and leave the connection open."""

    def record(kind: int, body: bytes) -> bytes:
        return struct.pack(">BBHHBx", 1, kind, 1, len(body), 0) + body

    parameters = {"SCRIPT_FILENAME": str(script), "REQUEST_METHOD": "GET"}
    pairs = b"".join(
        struct.pack(">II", len(name) | 1 << 31, len(value) | 1 << 31) + name.encode() + value.encode()
        for name, value in parameters.items()
    )
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(30)
    connection.connect(str(fpm.directory / "www.sock"))
    connection.sendall(record(1, struct.pack(">HB5x", 1, 1)) + record(4, pairs) + record(4, b"") + record(5, b""))
    answer = b""
    while record(3, b"\0" * 8) not in answer:
        answer += connection.recv(65536)
    assert b"done" in answer
    return connection


# -- failures ------------------------------------------------------------------------------------------------------


def test_another_path_is_no_status_page(start_fpm: Start) -> None:
    fpm = start_fpm(pool(1, ping__path="/ping"), 1)
    with pytest.raises(MeasurementError, match=r"40[34].*pm\.status_path"):
        ask_status(own(fpm), "/other", timeout=10)
    with pytest.raises(MeasurementError, match=r"404, 'Primary script unknown': pm\.status_path"):
        ask_status(own(fpm), "/other.php", timeout=10)
    with pytest.raises(MeasurementError, match=r"not FPM's status page: .*pong"):
        ask_status(own(fpm), "/ping", timeout=10)


def test_quotes_in_what_a_client_sends_are_read_alike_in_both_formats(start_fpm: Start) -> None:
    fpm = start_fpm(pool(2), 2)
    script = fpm.script('li"g\\ht.php', "echo 'done';")
    parameters = {
        "SCRIPT_NAME": f"/{script.name}",
        "SCRIPT_FILENAME": str(script),
        "REQUEST_METHOD": "GET",
        "QUERY_STRING": 'a="b"',
        "REQUEST_URI": f'/{script.name}?a="b"',
        "HTTP_AUTHORIZATION": "Basic YVwiYjpjCg==",  # the user a\"b
        "AUTH_TYPE": "Basic",
    }
    assert ask(own(fpm), parameters, timeout=10).body == b"done"
    eventually(fpm, lambda status: status.idle == 2)
    # An old PHP breaks its JSON here; ask_status then asks for text.
    for status in (page(fpm, "full"), ask_status(watch(fpm), "/status", full=True, timeout=10)):
        seen = {(worker.user, worker.script, worker.uri) for worker in status.workers}
        assert seen == {(None, None, None), ('a\\"b', str(script), f'/{script.name}?a="b"')}


def test_a_worker_that_is_ended_closes_early(start_fpm: Start) -> None:
    fpm = start_fpm(pool(1, request_terminate_timeout=1), 1)
    script = fpm.script("sleep.php", "sleep(60);")
    parameters = {"SCRIPT_NAME": str(script), "SCRIPT_FILENAME": str(script), "REQUEST_METHOD": "GET"}
    with pytest.raises(MeasurementError, match=r"closed without an answer.*request_terminate_timeout"):
        ask(own(fpm), parameters, timeout=30)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_socket_that_is_not_ours_is_told(start_fpm: Start) -> None:
    fpm = start_fpm(lambda directory: pool(1)(directory).replace("0666", "0600"), 1)
    os.seteuid(65534)
    try:
        with pytest.raises(MeasurementError, match="permission denied: run this as root"):
            ask_status(own(fpm), "/status", timeout=10)
    finally:
        os.seteuid(0)
