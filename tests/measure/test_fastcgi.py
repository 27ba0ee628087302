from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity.errors import CapacityError, InvalidInput, MeasurementError
from capacity.measure.fastcgi import Address, Answer, ask, ask_status, parse_address

PAGE = b'{"pool":"shop","idle processes":2,"active processes":1,"total processes":3}'
HEAD = b"Content-type: application/json\r\n\r\n"
GET = {"SCRIPT_NAME": "/status", "SCRIPT_FILENAME": "/status", "REQUEST_METHOD": "GET", "QUERY_STRING": "json"}
BEGIN, END, PARAMS, STDIN, STDOUT, STDERR = 1, 3, 4, 5, 6, 7


def record(kind: int, content: bytes, padding: int = 0) -> bytes:
    return struct.pack(">BBHHBB", 1, kind, 1, len(content), padding, 0) + content + b"\0" * padding


def end(status: int = 0) -> bytes:
    return record(END, struct.pack(">IB3x", 0, status))


def answer(body: bytes = PAGE, head: bytes = HEAD) -> bytes:
    return record(STDOUT, head + body) + record(STDOUT, b"") + end()


# -- addresses -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("/run/php/x.sock", Address(path="/run/php/x.sock")),
        (" unix:/run/x.sock\n", Address(path="/run/x.sock")),
        ("unix:///run/x.sock", Address(path="/run/x.sock")),
        ("unix://run/x.sock", Address(path="/run/x.sock")),
        ("./x.sock", Address(path="./x.sock")),
        ("unix:x.sock", Address(path="x.sock")),
        ("127.0.0.1:9000", Address(host="127.0.0.1", port=9000)),
        ("tcp://php-fpm:9000", Address(host="php-fpm", port=9000)),
        ("tcp://127.0.0.1:9000/", Address(host="127.0.0.1", port=9000)),
        ("[::1]:9000", Address(host="::1", port=9000)),
        ("9000", Address(host="127.0.0.1", port=9000)),
        (":9000", Address(host="127.0.0.1", port=9000)),
        ("*:9000", Address(host="127.0.0.1", port=9000)),
        ("0.0.0.0:9000", Address(host="127.0.0.1", port=9000)),
        ("[::]:65535", Address(host="::1", port=65535)),
        ("/" + "x" * 106, Address(path="/" + "x" * 106)),
    ],
)
def test_addresses_are_read_as_fpm_and_web_servers_write_them(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "x.sock",
        "unix:",
        "php:",
        "php:0",
        "php:65536",
        "php:90000000",
        "::1:9000",
        "[::1]",
        "http://h:80",
        "a b:1",
        "*",
        "host:9000x",
        "-1",
        "９０００",
        "/x\x00y",
        "/" + "x" * 107,
        "/" + "é" * 54,
        "/\ud800",
        "9" * 100000,
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_address(text)
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()


def test_a_path_longer_than_a_unix_socket_can_have_says_how_long_it_may_be() -> None:
    with pytest.raises(InvalidInput, match="at most 107 bytes"):
        parse_address("/" + "x" * 107)


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_is_refused(text: str) -> None:
    try:
        address = parse_address(text)
    except InvalidInput:
        return
    assert bool(address.path) != bool(address.host)
    assert address.path or 0 < address.port < 65536


# -- a server that behaves as it is told ---------------------------------------------------------------------------

Behaviour = Callable[[socket.socket], None]
Serve = Callable[[Behaviour], Address]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Serve connections, one after the other, on a unix socket until the test ends."""
    listeners: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def start(behave: Behaviour) -> Address:
        path = tmp_path / f"{len(listeners)}.sock"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen(8)
        listeners.append(listener)

        def loop() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    try:
                        behave(connection)
                    except OSError:
                        continue

        threads.append(threading.Thread(target=loop))
        threads[-1].start()
        return Address(path=str(path))

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        thread.join()


def exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        received = connection.recv(size - len(data))
        if not received:
            raise ConnectionResetError
        data += received
    return data


def request_of(connection: socket.socket) -> list[tuple[int, bytes]]:
    """Read one request: its records up to the empty STDIN."""
    records: list[tuple[int, bytes]] = []
    while not records or records[-1] != (STDIN, b""):
        _, kind, _, length, padding, _ = struct.unpack(">BBHHBB", exactly(connection, 8))
        records.append((kind, exactly(connection, length)))
        exactly(connection, padding)
    return records


def says(data: bytes) -> Behaviour:
    def behave(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(data)

    return behave


def failure(address: Address, *, timeout: float = 5.0, largest: int = 1 << 20) -> str:
    with pytest.raises(MeasurementError) as caught:
        ask(address, GET, timeout=timeout, largest=largest)
    message = str(caught.value)
    assert message.startswith(str(address))
    assert message.isprintable()  # one line
    assert len(message) < 600
    return message


def status_failure(address: Address, *, full: bool = False) -> str:
    with pytest.raises(MeasurementError) as caught:
        ask_status(address, "/status", full=full, timeout=5)
    assert str(caught.value).isprintable()
    return str(caught.value)


# -- answers -------------------------------------------------------------------------------------------------------


def test_an_answer_has_status_headers_body_and_stderr(serve: Serve) -> None:
    head = b"Status: 503 Service Unavailable\r\nX-A: one\r\nx-a:  two \r\n\r\n"
    complaint = record(STDERR, b"oh ") + record(STDERR, b"no", padding=6)
    address = serve(says(complaint + record(STDOUT, head + b"a\r\n\r\n", padding=5) + record(STDOUT, b"b") + end()))
    given = ask(address, GET, timeout=5)
    assert given == Answer(503, {"status": "503 Service Unavailable", "x-a": "two"}, b"a\r\n\r\nb", b"oh no")


def test_an_answer_in_single_bytes_is_the_same(serve: Serve) -> None:
    def behave(connection: socket.socket) -> None:
        request_of(connection)
        for byte in answer():
            connection.sendall(bytes([byte]))

    assert ask(serve(behave), GET, timeout=5).body == PAGE


def test_the_request_is_what_the_protocol_wants(serve: Serve) -> None:
    seen: list[tuple[int, bytes]] = []

    def behave(connection: socket.socket) -> None:
        seen.extend(request_of(connection))
        connection.sendall(answer())

    value = "é" * 70_000
    ask(serve(behave), {"A": value, "EMPTY": ""}, timeout=5)
    kinds = [kind for kind, _ in seen]
    assert kinds == [BEGIN, PARAMS, PARAMS, PARAMS, PARAMS, STDIN]
    assert seen[0][1] == struct.pack(">HB5x", 1, 0)
    body, pairs, at = b"".join(content for kind, content in seen if kind == PARAMS), {}, 0
    while at < len(body):
        name, size = (number & 0x7FFFFFFF for number in struct.unpack_from(">II", body, at))
        pairs[body[at + 8 : at + 8 + name].decode()] = body[at + 8 + name : at + 8 + name + size].decode()
        at += 8 + name + size
    assert pairs == {"A": value, "EMPTY": ""}


def test_the_status_page_is_asked_for_and_read(serve: Serve) -> None:
    queries: list[bytes] = []

    def behave(connection: socket.socket) -> None:
        queries.append(b"".join(content for kind, content in request_of(connection) if kind == PARAMS))
        connection.sendall(answer())

    address = serve(behave)
    status = ask_status(address, "/status", timeout=5)
    assert (status.pool, status.idle, status.active, status.total) == ("shop", 2, 1, 3)
    ask_status(address, "/status", full=True, timeout=5)
    assert queries[0].endswith(b"QUERY_STRINGjson")
    assert queries[1].endswith(b"QUERY_STRINGjson&full")


def test_json_that_a_client_has_broken_is_asked_for_as_text(serve: Serve) -> None:
    def behave(connection: socket.socket) -> None:
        query = b"".join(content for _, content in request_of(connection))
        text = b"pool: shop\nidle processes: 2\nmax children reached: 0\n"
        broken = PAGE[:-1] + b',"processes":[{"user":"an"na"}]}'
        connection.sendall(answer(broken if query.endswith(b"json&full") else text))

    assert ask_status(serve(behave), "/status", full=True, timeout=5).idle == 2


def test_tcp_answers_as_well() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def loop() -> None:
            connection, _ = listener.accept()
            with connection:
                says(answer())(connection)

        thread = threading.Thread(target=loop)
        thread.start()
        address = parse_address(f"localhost:{listener.getsockname()[1]}")
        assert ask_status(address, "/status", timeout=5).pool == "shop"
        thread.join()


# -- no connection -------------------------------------------------------------------------------------------------


def test_a_socket_that_is_not_there(tmp_path: Path) -> None:
    assert "no such socket" in failure(Address(path=str(tmp_path / "none.sock")))
    (tmp_path / "file").touch()
    assert "no such socket" in failure(Address(path=str(tmp_path / "file" / "x.sock")))


def test_a_socket_nobody_listens_on(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "stale.sock"))
    assert "refused" in failure(Address(path=str(tmp_path / "stale.sock")))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert "refused" in failure(Address(host="127.0.0.1", port=port))


def test_a_socket_of_another_kind(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(str(tmp_path / "log.sock"))
        assert "not a stream socket" in failure(Address(path=str(tmp_path / "log.sock")))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_socket_that_is_not_ours(serve: Serve) -> None:
    address = serve(says(answer()))
    Path(address.path).chmod(0o600)
    for parent in Path(address.path).parents[:2]:
        parent.chmod(0o711)
    os.seteuid(65534)
    try:
        message = failure(address)
    finally:
        os.seteuid(0)
    assert "permission denied: run this as root or as the socket's user" in message


def test_a_full_accept_queue(tmp_path: Path) -> None:
    address = Address(path=str(tmp_path / "full.sock"))
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(address.path)
        listener.listen(0)
        first.connect(address.path)
        message = failure(address)
    assert "accept queue is full" in message
    assert "pm.status_listen" in message


def test_a_machine_without_ipv6_goes_on_to_the_next_address(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    rows = [(9999, socket.SOCK_STREAM, 0, "", ("::1", port)), (socket.AF_INET, 1, 0, "", ("127.0.0.1", port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: rows)
    assert "refused" in failure(Address(host="both.example", port=port))


def test_a_host_that_has_no_address() -> None:
    assert "host name cannot be looked up" in failure(Address(host="no-such-host.invalid", port=9000))
    assert "host name cannot be looked up" in failure(Address(host="x" * 80, port=9000))


def test_a_resolver_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def hang(*_: object, **__: object) -> list[object]:
        released.wait()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    message = failure(Address(host="slow.example", port=9000), timeout=0.05)
    assert not released.is_set()
    released.set()
    assert "no answer from the resolver in time" in message


# -- no answer -----------------------------------------------------------------------------------------------------


@pytest.fixture
def release() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_a_server_that_hangs_is_not_waited_for(serve: Serve, release: threading.Event) -> None:
    message = failure(serve(lambda _: release.wait() and None), timeout=0.1)
    release.set()
    assert "no answer within 100 ms" in message
    assert "pm.status_listen" in message


@pytest.mark.parametrize("drip", [record(STDOUT, b"x"), record(STDOUT, b""), record(99, b""), b"\1"])
def test_a_server_that_drips_is_held_to_one_deadline(serve: Serve, drip: bytes) -> None:
    gave_up = threading.Event()

    def behave(connection: socket.socket) -> None:
        request_of(connection)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            connection.sendall(drip)
            time.sleep(0.02)
        gave_up.set()

    message = failure(serve(behave), timeout=0.3)
    assert not gave_up.is_set()  # it would have gone on, each byte well within the timeout
    assert "the answer did not end within 300 ms" in message


@pytest.mark.parametrize("kind", [STDOUT, STDERR, 99])
@pytest.mark.parametrize("content", [b"", b"x" * 8, b"x" * 65535])
def test_an_endless_answer_is_cut_short(serve: Serve, kind: int, content: bytes) -> None:
    def behave(connection: socket.socket) -> None:
        request_of(connection)
        piece = record(kind, content) * (1 + 65536 // (len(content) + 8))
        while True:
            connection.sendall(piece)

    assert "more than 1.00 MiB" in failure(serve(behave), timeout=60)


@pytest.mark.parametrize("length", [0, 1, 7, 8, 40, len(answer()) - 1])
def test_an_answer_that_ends_early(serve: Serve, length: int) -> None:
    message = failure(serve(says(answer()[:length])))
    assert ("in the midst of its answer" if length else "without an answer") in message
    assert "listen.allowed_clients" in message


def test_a_server_that_closes_before_it_has_read_the_request(serve: Serve) -> None:
    assert "without an answer" in failure(serve(lambda connection: None))


@pytest.mark.parametrize("big", [0, 1 << 20])
def test_a_web_server_is_told_from_fpm(serve: Serve, big: int) -> None:
    def behave(connection: socket.socket) -> None:
        connection.recv(10)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n\r\n")

    address = serve(behave)
    with pytest.raises(MeasurementError, match=r"an HTTP server answers .*not of the web server"):
        ask(address, GET | {"X": "x" * big}, timeout=5)


@pytest.mark.parametrize("data", [b"SSH-2.0-OpenSSH", b"\x15\x03\x01\x00\x02\x02\x46", b"\0" * 8, b"\xff" * 100])
def test_another_protocol_is_told_from_fpm(serve: Serve, data: bytes) -> None:
    assert "does not speak FastCGI" in failure(serve(says(data)))


@pytest.mark.parametrize(
    ("status", "words"), [(1, "cannot multiplex"), (2, "is overloaded"), (3, "role of a responder"), (9, "says 9")]
)
def test_a_refusal_is_told(serve: Serve, status: int, words: str) -> None:
    assert words in failure(serve(says(record(STDOUT, HEAD + PAGE) + end(status))))


def test_an_answer_without_headers(serve: Serve) -> None:
    assert "no HTTP headers but b'pong'" in failure(serve(says(record(STDOUT, b"pong") + end())))
    assert "no HTTP headers" in failure(serve(says(end())))


@given(st.lists(st.sampled_from([record(STDOUT, HEAD), record(STDOUT, PAGE), end(), end(2)]) | st.binary(max_size=12)))
def test_any_bytes_are_an_answer_or_a_failure(pieces: list[bytes]) -> None:
    ours, theirs = socket.socketpair()
    with pytest.MonkeyPatch.context() as patch, ours, theirs:
        theirs.sendall(b"".join(pieces))
        theirs.shutdown(socket.SHUT_WR)
        patch.setattr("capacity.measure.fastcgi._connected", lambda *_: ours)
        try:
            ask_status(Address(path="/x.sock"), "/status", timeout=5)
        except CapacityError as error:
            message = str(error)
        else:
            message = ""
        assert not message or message.isprintable()


# -- not the status page -------------------------------------------------------------------------------------------


def refused(status: str, body: bytes, complaint: bytes = b"") -> bytes:
    head = f"Status: {status}\r\nContent-type: text/html\r\n\r\n".encode()
    return (record(STDERR, complaint) if complaint else b"") + answer(body, head)


def test_another_status_path(serve: Serve) -> None:
    message = status_failure(serve(says(refused("404 Not Found", b"File not found.\n", b"Primary script unknown"))))
    assert "404, 'Primary script unknown'" in message
    assert "pm.status_path of the pool that listens here is not /status" in message
    assert "File not found." in status_failure(serve(says(refused("404 Not Found", b"File not found.\n"))))


def test_a_path_that_may_not_run(serve: Serve) -> None:
    message = status_failure(serve(says(refused("403 Forbidden", b"Access denied.\n"))))
    assert "403, 'Access denied.'" in message
    assert "security.limit_extensions" in message


def test_an_error_of_fpm(serve: Serve) -> None:
    assert "answers 503, 'Server busy." in status_failure(serve(says(refused("503 No", b"Server busy. Try later"))))


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("body", [b"pong", b"<html>hello</html>", b'{"ok":true}', b"", b"\0\1"])
def test_another_page(serve: Serve, body: bytes, full: bool) -> None:
    assert "at /status is not FPM's status page" in status_failure(serve(says(answer(body))), full=full)


@pytest.mark.parametrize("path", ["", "status", "/status?json", "/st atus", "/s\n", "/é", "/" + "x" * 5000])
def test_what_fpm_would_not_take_for_a_status_path_is_refused(path: str) -> None:
    with pytest.raises(InvalidInput, match=r"must be a pm\.status_path, such as /status"):
        ask_status(Address(path="/none.sock"), path)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), 1e300])
def test_a_timeout_that_is_none_is_refused(timeout: float) -> None:
    with pytest.raises(InvalidInput, match="timeout must be greater than 0 s and finite"):
        ask(Address(path="/none.sock"), GET, timeout=timeout)
    with pytest.raises(InvalidInput, match="timeout"):
        ask_status(Address(path="/none.sock"), "/status", timeout=timeout)
