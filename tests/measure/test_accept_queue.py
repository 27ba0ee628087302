"""The accept queue as ``ss`` prints it, and as /proc tells where there is no ``ss``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from capacity.measure.accept_queue import AcceptQueue, accept_queue, look_at_queue

UNIX = """\
u_str LISTEN 3      511    /run/php/php8.2-fpm.sock 289094 * 0 <-> ino:2238333 dev:0/65024 peers: 289095
u_str LISTEN 2      5      /run/my  site 1.sock 289098 * 0 <-> ino:2238334 dev:0/65024 peers:
u_seq LISTEN 1      128    @/run/udev/control 289101 * 0 <-> peers:
u_str ESTAB  0      0      /run/php/other.sock 289102 * 289103 <-> ino:1 dev:0/1 peers: 289103
"""
TCP = """\
LISTEN 0      128      0.0.0.0:22        0.0.0.0:*
LISTEN 7      511    127.0.0.1:9000      0.0.0.0:*
LISTEN 1      64     127.0.0.1%lo:9001   0.0.0.0:*
LISTEN 4      4096           *:9002            *:*
LISTEN 5      32         [::1]:9000         [::]:*
LISTEN 6      16     10.0.0.5:9003       0.0.0.0:*
"""
FakeSs = Callable[..., Path]


@pytest.fixture
def ss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSs:
    """Put an ``ss`` on the path that prints this for unix sockets and that for TCP."""

    def make(unix: str = "", tcp: str = "", *, body: str | None = None) -> Path:
        (tmp_path / "unix").write_text(unix)
        (tmp_path / "tcp").write_text(tcp)
        cat = shutil.which("cat")
        program = tmp_path / "bin" / "ss"
        program.parent.mkdir(exist_ok=True)
        show = f'case "$1" in -xl*) {cat} {tmp_path}/unix;; -lt*) {cat} {tmp_path}/tcp;; *) exit 2;; esac'
        program.write_text(f"#!/bin/sh\n{body or show}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(program.parent))
        return program

    return make


@pytest.mark.parametrize(
    ("listen", "queue"),
    [
        ("/run/php/php8.2-fpm.sock", AcceptQueue(3, 511)),
        ("unix:/run/my  site 1.sock", AcceptQueue(2, 5)),
        ("127.0.0.1:9000", AcceptQueue(7, 511)),
        ("9001", AcceptQueue(1, 64)),
        ("[::]:9002", AcceptQueue(4, 4096)),
        ("192.0.2.7:9002", AcceptQueue(4, 4096)),
        ("[::1]:9000", AcceptQueue(5, 32)),
        ("10.0.0.5:9003", AcceptQueue(6, 16)),
    ],
)
def test_waiting_and_limit_of_a_socket(ss: FakeSs, listen: str, queue: AcceptQueue) -> None:
    ss(UNIX, TCP)
    assert accept_queue(listen) == queue


@pytest.mark.parametrize(
    "listen", ["/run/my", "/run/php/other.sock", "/run/udev/control", "9004", "127.0.0.1:22222", "10.0.0.6:9003"]
)
def test_a_socket_that_does_not_listen_here_has_no_queue(ss: FakeSs, listen: str) -> None:
    ss(UNIX, TCP)
    assert accept_queue(listen) is None
    assert "is not among the listening sockets ss shows" in str(look_at_queue(listen))


def test_a_name_of_this_host_is_its_loopback_address(ss: FakeSs) -> None:
    ss(UNIX, TCP)
    assert accept_queue("localhost:9001") == AcceptQueue(1, 64)
    assert look_at_queue("localhost:9000") == (
        "2 sockets listen on 'localhost:9000', and ss does not tell which is the pool's"
    )


def test_of_two_sockets_of_one_path_the_file_tells_which_is_reached(ss: FakeSs, tmp_path: Path) -> None:
    path = tmp_path / "www.sock"
    path.touch()
    line = "u_str LISTEN {} 5 {} 28 * 0 <-> ino:{} dev:0/65024 peers:\n"
    inode = path.stat().st_ino
    ss(line.format(1, path, inode + 1) + line.format(2, path, inode))
    assert accept_queue(str(path)) == AcceptQueue(2, 5)
    path.unlink()
    assert "2 sockets listen on" in str(look_at_queue(str(path)))


@pytest.mark.parametrize("listen", ["", "no address", "host:99999", "/" + "x" * 200, "/a\0b"])
def test_what_is_no_address_is_refused_in_words(ss: FakeSs, listen: str) -> None:
    ss(UNIX, TCP)
    assert accept_queue(listen) is None
    assert "must" in str(look_at_queue(listen))


@pytest.mark.parametrize("text", ["", "\0\xff", "LISTEN", "u_str LISTEN x y /a 1 * 0 <->", "a " * 100_000])
def test_what_ss_never_prints_is_no_queue(ss: FakeSs, text: str) -> None:
    ss(text, text)
    assert accept_queue("/a") is accept_queue("9000") is None


PROC_UNIX = """\
Num       RefCount Protocol Flags    Type St Inode Path
0000000000000001: 00000003 00000000 00000000 0001 03   146
0000000000000002: 00000002 00000000 00010000 0001 01 289094 /run/a b.sock
0000000000000003: 00000003 00000000 00000000 0001 02     0 /run/a b.sock
0000000000000004: 00000003 00000000 00000000 0001 02     0 /run/a b.sock
0000000000000005: 00000003 00000000 00000000 0001 03 289097 /run/a b.sock
0000000000000006: 00000003 00000000 00000000 0001 02     0 /run/a b.sock.old
0000000000000007: 00000003 00000000 00000000 0001 02 289098 /run/a b.sock
0000000000000008: 00000003 00000000 00000000 0001 04     0 /run/a b.sock
"""
PROC_TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2328 00000000:0000 0A 00000000:00000011 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100007F:2328 0100007F:C000 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0
"""


@pytest.mark.parametrize("body", ["exit 1", "exec /no/such/program", "kill -9 $$"])
def test_without_ss_proc_tells_who_waits_but_not_how_many_may(ss: FakeSs, tmp_path: Path, body: str) -> None:
    ss(body=body)
    (tmp_path / "proc/net").mkdir(parents=True)
    (tmp_path / "proc/net/unix").write_text(PROC_UNIX)
    (tmp_path / "proc/net/tcp").write_text(PROC_TCP)
    assert look_at_queue("/run/a b.sock", root=tmp_path) == AcceptQueue(2, None)
    assert look_at_queue("9000", root=tmp_path) == AcceptQueue(17, None)
    assert "ss of iproute2 is missing or does not answer" in str(look_at_queue("/run/a", root=tmp_path))


def test_an_ss_that_hangs_is_given_up(ss: FakeSs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("capacity.measure.accept_queue._TIMEOUT", 0.2)
    sleep = shutil.which("sleep", path=os.defpath)
    ss(body=f"{sleep} 2; echo 'u_str LISTEN 3 5 /no/such.sock 28 * 0 <-> ino:1'")
    assert accept_queue("/no/such.sock") is None


def test_a_machine_without_any_of_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)
    assert "ss of iproute2 is missing" in str(look_at_queue("/run/a", root=tmp_path))
