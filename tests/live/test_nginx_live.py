"""The whole chain: a browser's requests through a real nginx, its log and FPM's, and what both say of the same load."""

from __future__ import annotations

import os
import random
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from capacity import replay_log
from capacity.fpm.web_format import nginx_format
from capacity.measure.log_trace import read_trace

from .conftest import Fpm, missing, pool_text

pytestmark = pytest.mark.live

Start = Callable[..., Fpm]
WAIT, REQUESTS_A_SECOND = 0.05, 40
FORMAT = '%{REMOTE_ADDR}e %t "%m %{REQUEST_URI}e" %s %{micro}d %M %C%%'
LOG_FORMAT = '$remote_addr [$time_local] "$request" $status $request_time "$upstream_response_time"'
TIMED_FORMAT = '$remote_addr $msec "$request" $status $request_time $upstream_response_time'
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="nginx has to reach the socket of www-data's workers")


@dataclass
class Nginx:
    """A running nginx that listens on a unix socket."""

    process: subprocess.Popen[bytes]
    directory: Path

    def get(self, path: str, visitor: int = 1) -> bytes:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(30)
            connection.connect(str(self.directory / "nginx.sock"))
            head = f"GET {path} HTTP/1.0\r\nHost: test\r\nX-Real-IP: 192.0.2.{visitor}\r\n\r\n"
            connection.sendall(head.encode())
            return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.fixture
def start_nginx() -> Iterator[Callable[[Fpm], Nginx]]:
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    binary = shutil.which("nginx", path=path) or missing("nginx is not installed: apt-get install nginx-light")
    running: list[Nginx] = []

    def start(fpm: Fpm) -> Nginx:
        directory = fpm.directory
        (directory / "style.css").write_text("body {}")
        config = directory / "nginx.conf"
        config.write_text(f"""
            daemon off; master_process on; worker_processes 1; user www-data;
            pid {directory}/nginx.pid; error_log {directory}/nginx.error.log;
            events {{ worker_connections 512; }}
            http {{
                log_format timed '{LOG_FORMAT}';
                log_format precise '{TIMED_FORMAT}';
                access_log {directory}/nginx.access.log timed;
                access_log {directory}/nginx.timed.log precise;
                client_body_temp_path {directory}/body; fastcgi_temp_path {directory}/fastcgi;
                proxy_temp_path {directory}/proxy; uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
                set_real_ip_from unix:; real_ip_header X-Real-IP;
                server {{
                    listen unix:{directory}/nginx.sock;
                    root {directory};
                    location ~ \\.php {{
                        fastcgi_pass unix:{directory}/www.sock;
                        fastcgi_param SCRIPT_FILENAME {directory}$fastcgi_script_name;
                        fastcgi_param SCRIPT_NAME $fastcgi_script_name;
                        fastcgi_param REQUEST_METHOD $request_method;
                        fastcgi_param REQUEST_URI $request_uri;
                        fastcgi_param QUERY_STRING $query_string;
                        fastcgi_param REMOTE_ADDR $remote_addr;
                    }}
                }}
            }}
        """)
        process = subprocess.Popen([binary, "-c", str(config), "-p", str(directory)], stderr=subprocess.DEVNULL)
        nginx = Nginx(process, directory)
        running.append(nginx)
        deadline = time.monotonic() + 30
        while not (directory / "nginx.sock").exists():
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"nginx did not start: {(directory / 'nginx.error.log').read_text()}")
            time.sleep(0.02)
        return nginx

    yield start
    for nginx in running:
        nginx.process.terminate()
        nginx.process.wait(timeout=30)


def pool(directory: Path, workers: int = 8) -> str:
    return pool_text(
        directory,
        pm="static",
        pm__max_children=workers,
        access__log=f"{directory}/fpm.access.log",
        access__format=f"'{FORMAT}'",
        pm__status_path="/status",
        pm__status_listen=f"{directory}/status.sock",
    )


def measure(*arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "capacity", "measure", *arguments], capture_output=True, text=True, timeout=120
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@needs_root
def test_nginx_and_fpm_tell_the_same_story(start_fpm: Start, start_nginx: Callable[[Fpm], Nginx]) -> None:
    fpm = start_fpm(pool, 8)
    fpm.script("index.php", f"usleep({int(WAIT * 1e6)}); echo 'done';")
    fpm.script("list.php", f"usleep({int(WAIT * 1e6)}); echo 'done';")
    nginx = start_nginx(fpm)
    chance, sent, over = random.Random(4), [], threading.Event()

    def run() -> None:
        with ThreadPoolExecutor(32) as threads:
            at, answers = time.monotonic(), []
            while not over.wait(max(0.0, at - time.monotonic())):
                page = chance.choice(["/index.php?page=1", "/index.php?page=2", "/list.php"])
                sent.append((time.monotonic(), page))
                answers.append(threads.submit(nginx.get, page, chance.randrange(1, 20)))
                answers.append(threads.submit(nginx.get, "/style.css"))
                at += chance.expovariate(REQUESTS_A_SECOND)
            assert all(answer.result().startswith(b"HTTP/1.1 200") for answer in answers)

    with ThreadPoolExecutor(1) as thread:
        visiting = thread.submit(run)
        try:
            time.sleep(1)
            code, out, err = measure("--pool-file", str(fpm.config), "--for", "7s")
        finally:
            over.set()
        visiting.result()
    assert code == 0, err
    live = tomllib.loads(out)
    rate = (len(sent) - 1) / (sent[-1][0] - sent[0][0])
    source = live["sources"]["workload.arrival_rate"]
    assert source["low"] * 0.95 <= rate <= source["high"] * 1.05
    assert WAIT <= live["workload"]["service_time"] <= 1.6 * WAIT
    assert "/index.php" in err
    assert "/list.php" in err
    assert "19 addresses" in " ".join(err.split())

    log = str(fpm.directory / "nginx.access.log")
    code, out, err = measure("--logs-only", "--access-log", log, "--log-format", LOG_FORMAT)
    assert code == 1, "a log alone does not know the host"
    assert "MISSING: host.ram" in out
    behind = tomllib.loads(out)
    words = " ".join(err.split())
    # every page was asked for with a style sheet, which nginx served itself
    assert f"{len(sent)} requests read" in words
    assert f"{len(sent)} more never reached PHP" in words
    # nginx counts in milliseconds and includes the wait: never less than the worker's time by more than one
    assert behind["workload"]["service_time"] >= live["workload"]["service_time"] - 0.002
    assert behind["workload"]["service_time"] <= 2 * WAIT
    # its stamps are whole seconds
    text = Path(log).read_text()
    first, *_, last = (datetime.strptime(stamp, "%d/%b/%Y:%H:%M:%S %z") for stamp in re.findall(r"\[(.*?)\]", text))
    # a page that ended in the last of these seconds, or was the first, may have been asked for in the one before
    span, rate = (last - first).total_seconds(), behind["workload"]["arrival_rate"]
    assert 0.98 * len(sent) / (span + 2) <= rate <= 1.02 * len(sent) / span
    assert "upper bound" in behind["sources"]["workload.service_time"]["source"]


@needs_root
def test_what_was_waited_for_a_worker_is_found_in_nginx_log(
    start_fpm: Start, start_nginx: Callable[[Fpm], Nginx]
) -> None:
    fpm = start_fpm(lambda directory: pool(directory, 2), 2)
    fpm.script("index.php", f"usleep({int(WAIT * 1e6)}); echo 'done';")
    nginx = start_nginx(fpm)
    with ThreadPoolExecutor(8) as threads:
        for _ in range(6):  # eight at once, two at a time: 1, 2, 3 and 4 times as long
            assert all(answer.startswith(b"HTTP/1.1 200") for answer in threads.map(nginx.get, ["/index.php"] * 8))
            time.sleep(0.1)
    trace = read_trace([str(fpm.directory / "nginx.timed.log")], line_format=nginx_format(TIMED_FORMAT))
    result = replay_log(
        trace.arrival_times, trace.logged_times, workers=[2, 8], time_kind=trace.time_kind, logged_workers=2
    )
    assert result.requests == 48
    assert result.logged_time >= 2.4 * WAIT  # 2.5 but for what the moments of arrival differ by
    # without the waits it is the script's time, and what a busy machine adds to it
    assert WAIT <= result.service_time <= 1.25 * result.logged_time / 2.5
    assert result.pool(8).response_time == pytest.approx(result.service_time, rel=0.05)
    # who of eight at once was served first the stamps tell roughly, on a busy machine
    assert result.pool(2).response_time == pytest.approx(result.logged_time, rel=0.1)
