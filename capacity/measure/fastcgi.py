"""Ask PHP-FPM directly, over FastCGI: one GET request, one answer, one deadline.

A pool is looked at when it is in trouble, so the client never waits for longer than it was told to, whatever the
other side does, never takes more than it was told to, and every failure says what happened and what to do.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import struct
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from capacity.errors import InvalidInput, MeasurementError, Problem
from capacity.fpm.status import LARGEST_PAGE, PoolStatus, read_status
from capacity.units import format_bytes, format_seconds, shown

__all__ = ["Address", "Answer", "ask", "ask_status", "parse_address"]

_BEGIN, _END, _PARAMS, _STDIN, _STDOUT, _STDERR = 1, 3, 4, 5, 6, 7
_RESPONDER: Final = struct.pack(">HB5x", 1, 0)
_HEADER = struct.Struct(">BBHHBx")
_REFUSALS = {1: "cannot multiplex", 2: "is overloaded", 3: "does not know the role of a responder"}
# sockaddr_un has 108 bytes for the path and a NUL at its end.
_LONGEST_PATH = 107
_WILDCARDS = {"": "127.0.0.1", "*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
_HOST_AND_PORT = re.compile(r"(?:tcp://)?(?:(?:\[([0-9A-Fa-f:.]+(?:%\w+)?)\]|([\w.-]*|\*)):)?([0-9]{1,5})/?", re.ASCII)
_SATURATED = "the pool is saturated or hangs; set pm.status_listen, which answers even then"


@dataclass(frozen=True)
class Address:
    """Where FPM listens: a unix socket, or a host and a port.

    Parameters
    ----------
    path : str
        Of the unix socket, at most 107 bytes; empty for TCP.
    host : str
    port : int
        From 1 to 65535; 0 for a unix socket.

    Examples
    --------
    >>> print(Address(path="/run/php/fpm.sock"), Address(host="::1", port=9000))
    unix:/run/php/fpm.sock [::1]:9000
    """

    path: str = ""
    host: str = ""
    port: int = 0

    def __post_init__(self) -> None:
        try:
            length = len(os.fsencode(self.path))
        except UnicodeEncodeError:
            length = _LONGEST_PATH + 1
        if length > _LONGEST_PATH or "\0" in self.path:
            rule = f"must have at most {_LONGEST_PATH} bytes and no NUL, as the path of every unix socket"
            raise InvalidInput([Problem("address", rule, shown(self.path))])

    def __str__(self) -> str:
        if self.path:
            text = f"unix:{self.path}"
            return text if text.isprintable() else shown(text)
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Answer:
    """What came back.

    Parameters
    ----------
    status : int
        The HTTP status.
    headers : mapping of str to str
        Names in lower case; of several of one name the last.
    body, stderr : bytes
        The page, and what FPM had to complain about.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    stderr: bytes = b""


def parse_address(text: str) -> Address:
    """Read an address as FPM's ``listen``, nginx' ``fastcgi_pass`` and exporters write it.

    Parameters
    ----------
    text : str
        A path, ``unix:PATH``, ``unix://PATH``, ``HOST:PORT``, ``[IPv6]:PORT``, ``tcp://HOST:PORT`` or a port.

    Returns
    -------
    Address
        A wildcard (``*``, ``0.0.0.0``, ``[::]``, a port alone) becomes the loopback address.

    Raises
    ------
    InvalidInput
        For anything else, a path longer than a unix socket can have, or a port out of range.

    Examples
    --------
    >>> print(parse_address("/run/php/fpm.sock"), parse_address("9000"), parse_address("[::]:9000"))
    unix:/run/php/fpm.sock 127.0.0.1:9000 [::1]:9000
    """
    stripped = text.strip()
    if re.match(r"unix:.|[.]{0,2}/", stripped):
        return Address(path=re.sub(r"\A//+", "/", stripped.removeprefix("unix:")))
    match = _HOST_AND_PORT.fullmatch(stripped) if len(stripped) <= 300 else None
    if match is None or not 0 < int(match[3]) < 65536:
        hint = "such as /run/php/php8.2-fpm.sock, 127.0.0.1:9000, [::1]:9000"
        raise InvalidInput([Problem("address", "must be a socket's path, or host:port", shown(text), hint)])
    host = match[1] or match[2] or ""
    return Address(host=_WILDCARDS.get(host, host), port=int(match[3]))


def ask(
    address: Address, parameters: Mapping[str, str], *, timeout: float = 2.0, largest: int = LARGEST_PAGE
) -> Answer:
    """Send one request without a body and read the whole answer.

    Parameters
    ----------
    address : Address
    parameters : mapping of str to str
        The request as CGI variables: SCRIPT_FILENAME, REQUEST_METHOD and so on.
    timeout : float
        For the name lookup, the connection and the whole answer together [s].
    largest : int
        Most that is read [byte].

    Returns
    -------
    Answer
        Of any HTTP status.

    Raises
    ------
    InvalidInput
        If ``timeout`` is not a time.
    MeasurementError
        If there is no whole answer; the message says why and what to do.

    Examples
    --------
    >>> ask(parse_address("/none.sock"), {"SCRIPT_FILENAME": "/srv/index.php", "REQUEST_METHOD": "GET"})
    Traceback (most recent call last):
    capacity.errors.MeasurementError: unix:/none.sock: no such socket: is php-fpm running, and is this ...
    """
    return _ask(address, parameters, timeout, _deadline(timeout), largest)


def ask_status(address: Address, path: str, *, full: bool = False, timeout: float = 2.0) -> PoolStatus:
    """Ask a pool for its status page.

    Parameters
    ----------
    address : Address
        The pool's ``pm.status_listen``, which answers while the pool is full and does not count the query; else
        its ``listen``, where the query takes a worker (`PoolStatus.busy`).
    path : str
        The pool's ``pm.status_path``.
    full : bool
        With every worker.
    timeout : float
        For everything [s].

    Returns
    -------
    PoolStatus

    Raises
    ------
    InvalidInput
        If ``path`` or ``timeout`` cannot be one.
    MeasurementError
        If there is no status page; the message says why and what to do.

    Examples
    --------
    >>> ask_status(parse_address("/none.sock"), "status")
    Traceback (most recent call last):
    capacity.errors.InvalidInput: path must be a pm.status_path, such as /status; got 'status'
    """
    if not re.fullmatch(r"/[\w./~-]{0,1000}", path, re.ASCII):
        raise InvalidInput([Problem("path", "must be a pm.status_path, such as /status", shown(path))])
    deadline = _deadline(timeout)
    # Older PHP escapes no quotes in its JSON, so that any client's URI or user can break it; text bears them.
    for query in ("json&full", "full") if full else ("json",):
        parameters = {
            "GATEWAY_INTERFACE": "CGI/1.1",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": path,
            "SCRIPT_FILENAME": path,
            "REQUEST_URI": f"{path}?{query}",
            "QUERY_STRING": query,
        }
        answer = _ask(address, parameters, timeout, deadline, LARGEST_PAGE)
        _check_is_page(address, path, answer)
        try:
            return read_status(answer.body)
        except InvalidInput as error:
            reason = str(error)
    message = f"{address}: what answers at {path} is not FPM's status page: {reason}"
    raise MeasurementError(message)


def _check_is_page(address: Address, path: str, answer: Answer) -> None:
    if answer.status == 200:
        return
    said = shown((answer.stderr or answer.body)[:200].decode("utf-8", "replace").strip())
    if answer.status == 404:
        message = f"{address}: 404, {said}: pm.status_path of the pool that listens here is not {path}"
    elif answer.status == 403:
        why = "is not its pm.status_path, and security.limit_extensions forbids to run it as a script"
        message = f"{address}: 403, {said}: {path} {why}"
    else:
        message = f"{address}: {path} answers {answer.status}, {said}: see FPM's error_log"
    raise MeasurementError(message)


def _ask(address: Address, parameters: Mapping[str, str], timeout: float, deadline: float, largest: int) -> Answer:
    request = _record(_BEGIN, _RESPONDER) + _stream(_PARAMS, _pairs(parameters)) + _stream(_STDIN, b"")
    incoming = bytearray()
    try:
        with _connected(address, deadline) as connection:
            connection.settimeout(_left(deadline))
            # Who closes before it has read everything may have said why.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(request)
            output, stderr = _answer(address, connection, deadline, largest, incoming)
    except TimeoutError:
        what = "the answer did not end" if incoming else "no answer"
        message = f"{address}: {what} within {format_seconds(timeout)}: {_SATURATED}"
        raise MeasurementError(message) from None
    except OSError as error:
        message = f"{address}: {_connection_problem(error)}"
        raise MeasurementError(message) from None
    return _parsed(address, output, stderr)


def _deadline(timeout: float) -> float:
    if not 0 < timeout < 1e6:
        raise InvalidInput([Problem("timeout", "must be greater than 0 s and finite", shown(timeout))])
    return time.monotonic() + timeout


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _connected(address: Address, deadline: float) -> socket.socket:
    last = OSError(errno.EADDRNOTAVAIL, "the host has no address")
    for family, target in _targets(address, deadline):
        try:
            connection = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:  # the machine has no IPv6
            last = error
            continue
        try:
            connection.settimeout(_left(deadline))
            connection.connect(target)
        except OSError as error:
            connection.close()
            last = error
        else:
            return connection
    raise last


def _targets(address: Address, deadline: float) -> list[tuple[socket.AddressFamily, str | tuple[object, ...]]]:
    if address.path:
        return [(socket.AF_UNIX, address.path)]
    found: list[tuple[socket.AddressFamily, str | tuple[object, ...]]] = []
    failure: OSError = socket.gaierror(socket.EAI_AGAIN, "no answer from the resolver in time")

    def look_up() -> None:
        nonlocal failure
        try:
            rows = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
            found.extend((row[0], row[4]) for row in rows)
        except (OSError, UnicodeError) as error:
            failure = socket.gaierror(socket.EAI_NONAME, getattr(error, "strerror", "this is no name"))

    # The resolver has timeouts of its own, longer than ours, and cannot be interrupted.
    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(_left(deadline))
    if not found:
        raise failure
    return found


def _connection_problem(error: OSError) -> str:
    """Say what a failed connection means and what to do."""
    if isinstance(error, socket.gaierror):
        return f"the host name cannot be looked up ({error.strerror}): name its address"
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR:
            return "no such socket: is php-fpm running, and is this the pool's listen?"
        case errno.ECONNREFUSED:
            return "connection refused, nothing listens there: is php-fpm running, and is this the pool's listen?"
        case errno.EACCES | errno.EPERM:
            return "permission denied: run this as root or as the socket's user (listen.owner, listen.group)"
        case errno.EAGAIN:
            return f"the socket's accept queue is full: {_SATURATED}"
        case errno.EPROTOTYPE:
            return "this is not a stream socket: is it the pool's listen?"
    return f"cannot be asked ({error.strerror or error}): is it the pool's listen?"


def _record(kind: int, content: bytes) -> bytes:
    return _HEADER.pack(1, kind, 1, len(content), 0) + content


def _stream(kind: int, content: bytes) -> bytes:
    pieces = [content[at : at + 65535] for at in range(0, len(content), 65535)]
    return b"".join(_record(kind, piece) for piece in (*pieces, b""))


def _pairs(parameters: Mapping[str, str]) -> bytes:
    body = b""
    for name, value in parameters.items():
        raw = name.encode("utf-8", "surrogateescape"), value.encode("utf-8", "surrogateescape")
        body += b"".join(struct.pack(">I", len(text) | 1 << 31) for text in raw) + b"".join(raw)
    return body


def _answer(
    address: Address, connection: socket.socket, deadline: float, largest: int, incoming: bytearray
) -> tuple[bytes, bytes]:
    """Read records to the end of the request; `incoming` tells the caller how far that went."""
    parts, at = {_STDOUT: bytearray(), _STDERR: bytearray()}, 0
    while True:
        while len(incoming) - at >= _HEADER.size:
            _, kind, _, length, padding = _HEADER.unpack_from(incoming, at)
            content = incoming[at + _HEADER.size : at + _HEADER.size + length]
            if len(content) < length:
                break
            if kind == _END:
                if any(content[4:5]):
                    reason = _REFUSALS.get(content[4], f"says {content[4]}")
                    message = f"{address}: FPM refuses the request: it {reason}; see its error_log"
                    raise MeasurementError(message)
                return bytes(parts[_STDOUT]), bytes(parts[_STDERR])
            if kind in parts:
                parts[kind] += content
            at += _HEADER.size + length + padding
        if len(incoming) > largest:
            message = f"{address}: the answer has more than {format_bytes(largest)}: this is not a status page"
            raise MeasurementError(message)
        connection.settimeout(_left(deadline))
        try:
            received = connection.recv(1 << 16)
        except ConnectionResetError:
            received = b""
        incoming += received
        if not received or incoming[0] != 1:
            message = f"{address}: {_broken_answer(incoming)}"
            raise MeasurementError(message)


def _broken_answer(incoming: bytearray) -> str:
    if incoming and incoming[0] != 1:
        who = "an HTTP server answers" if incoming.startswith(b"HTTP/") else "what answers does not speak FastCGI"
        return f"{who} ({shown(bytes(incoming[:30]))}): name the listen of the FPM pool, not of the web server"
    when = "in the midst of its answer" if incoming else "without an answer"
    return (
        f"the connection was closed {when}: the worker was ended (a reload, a crash, request_terminate_timeout) "
        "or listen.allowed_clients does not let us in; see FPM's error_log"
    )


def _parsed(address: Address, output: bytes, stderr: bytes) -> Answer:
    head, separator, body = output.partition(b"\r\n\r\n")
    if not separator:
        message = f"{address}: the answer has no HTTP headers but {shown(output[:200])}: is it PHP-FPM that answers?"
        raise MeasurementError(message)
    pairs = (line.partition(":") for line in head.decode("latin-1").split("\r\n"))
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    status = re.match(r"[1-5][0-9]{2}\b", headers.get("status", "200"), re.ASCII)
    return Answer(int(status[0]) if status else 200, headers, body, stderr)
