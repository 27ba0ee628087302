"""A real nginx in front of a real pool, requests at given times, and what each of them got."""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from capacity import PoolSettings
from capacity.fpm import render

from .conftest import find_php_fpm, missing
from .open_load import LOGGED

NGINX = """
daemon off; worker_processes 1; {user} pid "{0}/nginx.pid"; error_log "{0}/nginx.error.log";
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path "{0}/tmp"; fastcgi_temp_path "{0}/tmp"; proxy_temp_path "{0}/tmp"; uwsgi_temp_path "{0}/tmp";
    scgi_temp_path "{0}/tmp";
    server {{
        listen "unix:{0}/nginx.sock" backlog=4096;
        location / {{
            fastcgi_pass "unix:{0}/www.sock"; fastcgi_read_timeout {patience}ms;
            fastcgi_param SCRIPT_FILENAME "{0}/wait.php"; fastcgi_param SCRIPT_NAME /wait.php;
            fastcgi_param REQUEST_METHOD GET; fastcgi_param QUERY_STRING $query_string;
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Answers:
    """What became of requests: when each was sent on the monotonic clock, its HTTP status, and the time to it [s]."""

    sent: NDArray[np.float64]
    status: NDArray[np.int64]
    response_times: NDArray[np.float64]


@dataclass(frozen=True)
class Web:
    """A running nginx and pool."""

    directory: Path

    def ask(self, times: NDArray[np.float64], holds: NDArray[np.float64]) -> Answers:
        """Send a request at each time, of so much work [s], and wait for all answers."""
        sent, answered = np.zeros(times.size), np.zeros(times.size)
        status, begin, waiting = np.zeros(times.size, dtype=np.int64), time.monotonic() + 0.05, 0
        with selectors.DefaultSelector() as selector:
            for number, at in enumerate([*times.tolist(), np.inf]):
                while (now := time.monotonic()) < begin + at and (waiting or at < np.inf):
                    for key, _ in selector.select(min(begin + at - now, 1.0)):
                        waiting -= self._hear(selector, key, status, answered)
                if at == np.inf:
                    break
                connection = socket.socket(socket.AF_UNIX)
                sent[number] = time.monotonic()
                connection.connect(str(self.directory / "nginx.sock"))
                connection.sendall(f"GET /?{number}-{holds[number] * 1e6:.0f} HTTP/1.0\r\n\r\n".encode())
                connection.setblocking(False)
                selector.register(connection, selectors.EVENT_READ, number)
                waiting += 1
        return Answers(sent, status, answered - sent)

    @staticmethod
    def _hear(
        selector: selectors.BaseSelector,
        key: selectors.SelectorKey,
        status: NDArray[np.int64],
        answered: NDArray[np.float64],
    ) -> int:
        """Read what is there: the first line says it all; 1 where the connection ends."""
        text = key.fileobj.recv(65536)  # type: ignore[union-attr]
        if text and not status[key.data]:
            status[key.data], answered[key.data] = int(text.split()[1]), time.monotonic()
        if text:
            return 0
        selector.unregister(key.fileobj)
        key.fileobj.close()  # type: ignore[union-attr]
        return 1

    def executed(self) -> dict[int, tuple[float, int]]:
        """How long each request held its worker [s], and the status FPM logged, by number."""
        lines = (self.directory / "www.access.log").read_text().splitlines()
        found = {}
        for line in lines:
            took, query, status = line.split()
            found[int(query.partition("-")[0].lstrip("?"))] = int(took) / 1e6, int(status)
        return found

    def settle(self, count: int, seconds: float) -> None:
        """Wait until FPM has logged so many requests."""
        end = time.monotonic() + seconds
        while len(self.executed()) < count and time.monotonic() < end:
            time.sleep(0.05)


@contextlib.contextmanager
def serving(directory: Path, pool: PoolSettings, *, timeout: float) -> Iterator[Web]:
    """Start both, in a directory that www-data can reach; end, by their processes, only what was started."""
    fpm = find_php_fpm() or missing("php-fpm is not installed: apt-get install php8.2-fpm")
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    nginx = shutil.which("nginx", path=path) or missing("nginx is not installed: apt-get install nginx-light")
    user = "user = www-data\n" if os.geteuid() == 0 else ""
    (directory / "tmp").mkdir(exist_ok=True)
    (directory / "wait.php").write_text("<?php usleep((int) explode('-', $_SERVER['QUERY_STRING'])[1]); echo 'done';")
    text = f"[global]\nerror_log = {directory}/fpm.log\ndaemonize = no\n" + render(pool, pool="www") + user
    text += f"listen = {directory}/www.sock\nlisten.mode = 0666\n" + LOGGED.format(directory, "www")
    (directory / "fpm.conf").write_text(text.replace("%q'", "%q %s'"))
    who = "user www-data;" if user else ""
    (directory / "nginx.conf").write_text(NGINX.format(directory, patience=round(timeout * 1000), user=who))
    processes = []
    try:
        for words in (
            [fpm, "--nodaemonize", "--fpm-config", str(directory / "fpm.conf")],
            [nginx, "-c", str(directory / "nginx.conf"), "-p", str(directory)],
        ):
            processes.append(subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        end = time.monotonic() + 30
        while not all((directory / name).exists() for name in ("www.sock", "nginx.sock")):
            if time.monotonic() > end or any(process.poll() is not None for process in processes):
                said = "".join(
                    log.read_text() for log in (directory / "fpm.log", directory / "nginx.error.log") if log.exists()
                )
                pytest.fail(f"php-fpm or nginx did not start: {said}")
            time.sleep(0.02)
        time.sleep(0.3)
        yield Web(directory)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(timeout=30)
