"""A real php-fpm in a temporary prefix. Stops, by pid, only what it started."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

NAMES = ("php-fpm8.2", "php-fpm8.3", "php-fpm8.4", "php-fpm")


def find_php_fpm() -> str | None:
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    return next((found for name in NAMES if (found := shutil.which(name, path=path))), None)


def missing(reason: str) -> NoReturn:
    """Skip, or fail where the live tests must run."""
    if os.environ.get("CAPACITY_REQUIRE_LIVE") == "1":
        pytest.fail(f"{reason} (CAPACITY_REQUIRE_LIVE=1 makes this a failure)")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def php_fpm() -> str:
    binary = find_php_fpm()
    return binary if binary is not None else missing("php-fpm is not installed: apt-get install php8.2-fpm")


@dataclass
class Fpm:
    """One running master and its directory."""

    process: subprocess.Popen[bytes]
    directory: Path

    @property
    def config(self) -> Path:
        return self.directory / "php-fpm.conf"

    def script(self, name: str, php: str) -> Path:
        path = self.directory / name
        path.write_text(f"<?php {php}")
        return path

    def request(self, script: Path, pool: str = "www") -> bytes:
        """Answer of one GET over the pool's unix socket: the FastCGI protocol, as little of it as works."""

        def record(kind: int, body: bytes) -> bytes:
            return struct.pack(">BBHHBB", 1, kind, 1, len(body), 0, 0) + body

        def pair(name: str, value: str) -> bytes:
            sizes = b"".join(struct.pack(">I", len(text.encode()) | 0x80000000) for text in (name, value))
            return sizes + name.encode() + value.encode()

        parameters = {
            "SCRIPT_FILENAME": str(script),
            "SCRIPT_NAME": f"/{script.name}",
            "REQUEST_METHOD": "GET",
            "QUERY_STRING": "",
        }
        body = b"".join(pair(*item) for item in parameters.items())
        begin, params, stdin = 1, 4, 5
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(30)
            connection.connect(str(self.directory / f"{pool}.sock"))
            connection.sendall(record(begin, struct.pack(">HB5x", 1, 0)))
            connection.sendall(record(params, body) + record(params, b"") + record(stdin, b""))
            stream = b"".join(iter(lambda: connection.recv(65536), b""))
        answer, at = b"", 0
        while at + 8 <= len(stream):
            _, kind, _, length, padding = struct.unpack_from(">BBHHB", stream, at)
            answer += stream[at + 8 : at + 8 + length] if kind == 6 else b""
            at += 8 + length + padding
        return answer


def pool_text(directory: Path, name: str = "www", **directives: object) -> str:
    lines = [f"[{name}]", f"listen = {directory}/{name}.sock", "listen.mode = 0666"]
    if os.geteuid() == 0:
        lines.append("user = www-data")
    lines += [f"{key.replace('__', '.')} = {value}" for key, value in directives.items()]
    return "\n".join(lines) + "\n"


@pytest.fixture
def start_fpm(php_fpm: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Fpm]]:
    """Start a master with `text(directory)` as its pools; several may run in one test."""
    running: list[Fpm] = []

    def start(text: Callable[[Path], str], workers: int) -> Fpm:
        directory = tmp_path_factory.mktemp("fpm")
        for parent in (directory, *directory.parents):
            # pytest makes its directories 0700; www-data has to reach the socket and the scripts.
            if parent.owner() == Path("/tmp").owner() and "pytest" in str(parent):
                parent.chmod(parent.stat().st_mode | 0o055)
        fpm = Fpm(None, directory)  # type: ignore[arg-type]
        head = f"[global]\npid = {directory}/fpm.pid\nerror_log = {directory}/error.log\ndaemonize = no\n"
        fpm.config.write_text(head + text(directory))
        command = [php_fpm, "--nodaemonize", "--fpm-config", str(fpm.config)]
        fpm.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        running.append(fpm)
        children = Path(f"/proc/{fpm.process.pid}/task/{fpm.process.pid}/children")
        deadline = time.monotonic() + 30
        while not (list(directory.glob("*.sock")) and len(children.read_text().split()) >= workers):
            if fpm.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"php-fpm did not start: {(directory / 'error.log').read_text()}")
            time.sleep(0.02)
        return fpm

    yield start
    for fpm in running:
        fpm.process.terminate()
        fpm.process.wait(timeout=30)
