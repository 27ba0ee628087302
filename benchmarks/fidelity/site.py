"""nginx and php-fpm in a temporary directory, joined by unix sockets, ended by pid."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from capacity import PoolSettings
from capacity.fpm import render

SEARCH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
FPM_NAMES = ("php-fpm8.2", "php-fpm8.3", "php-fpm8.4", "php-fpm")
BACKLOG = 4096
PATIENCE = 120.0
"""How long nginx waits for an answer where nothing else is said [s]."""
NICE = -19
"""Priority of both servers' sessions, where allowed, so that other work on the machine takes little of the cores."""
# A request brings its own work: CPU seconds (of user and system time) and a sleep, in so many turns.
SCRIPT = """<?php
$used = fn() => (($u = getrusage())["ru_utime.tv_sec"] + $u["ru_stime.tv_sec"])
    + ($u["ru_utime.tv_usec"] + $u["ru_stime.tv_usec"]) / 1e6;
$turns = (int) $_GET["turns"]; $cpu = $_GET["cpu"] / 1e6 / $turns; $off = intdiv((int) $_GET["off"], $turns);
if ($cpu > 0) $end = $used();
while ($turns-- > 0) {
    if ($cpu > 0) { $end += $cpu; while ($used() < $end) { for ($i = 0; $i < 300; $i++) { $x = sqrt($i); } } }
    if ($off > 0) usleep($off);
}
"""
FPM = """[global]
pid = {0}/fpm.pid
error_log = {0}/fpm.error.log
daemonize = no
{1}{2}listen = {0}/www.sock
listen.mode = 0666
access.log = {0}/fpm.access.log
access.format = '%{{micro}}d %q'
"""
NGINX = """daemon off; worker_processes 1; {user} worker_rlimit_nofile 16384;
pid {0}/nginx.pid; error_log {0}/nginx.error.log;
events {{ worker_connections 16000; }}
http {{
    {log}
    client_body_temp_path {0}/body; fastcgi_temp_path {0}/fastcgi; proxy_temp_path {0}/proxy;
    uwsgi_temp_path {0}/uwsgi; scgi_temp_path {0}/scgi;
    server {{
        listen unix:{0}/nginx.sock backlog={backlog};
        location / {{
            fastcgi_pass unix:{0}/www.sock;
            fastcgi_read_timeout {patience}ms;
            fastcgi_param SCRIPT_FILENAME {0}/work.php; fastcgi_param QUERY_STRING $query_string;
            fastcgi_param REQUEST_METHOD $request_method;
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Site:
    """A running nginx and php-fpm."""

    directory: Path
    fpm: subprocess.Popen[bytes]
    nginx: subprocess.Popen[bytes]

    @property
    def socket(self) -> Path:
        """Where nginx listens."""
        return self.directory / "nginx.sock"

    def cpu_seconds(self) -> tuple[float, float]:
        """CPU seconds so far of php-fpm (its master and the workers there are) and of nginx."""
        return tuple(sum(map(cpu_seconds, (one.pid, *children(one.pid)))) for one in (self.fpm, self.nginx))  # type: ignore[return-value]

    def logged(self, count: int) -> NDArray[np.float64]:
        """FPM's ``%d`` of each request [s] by its number; NaN: not in its access log."""
        times = np.full(count, np.nan)
        for line in (self.directory / "fpm.access.log").read_text().splitlines():
            took, _, query = line.partition(" n=")
            number = int(query.partition("&")[0])
            if number < count:
                times[number] = int(took) / 1e6
        return times

    def settled(self, count: int, executed: int, seconds: float = 60.0) -> NDArray[np.float64]:
        """``logged`` of so many requests once so many of them are executed, or when that takes too long."""
        deadline = time.monotonic() + seconds
        while True:
            logged = self.logged(count)
            if np.isfinite(logged).sum() >= executed or time.monotonic() > deadline:
                return logged
            time.sleep(0.05)


def find(*names: str) -> str | None:
    """Path of the first of these programs that is installed."""
    return next((found for name in names if (found := shutil.which(name, path=SEARCH))), None)


def children(pid: int) -> list[int]:
    """Its child processes."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a process of one thread so far, to the nanosecond where the kernel counts them; 0: it is gone."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
    except (OSError, IndexError):
        return 0.0


@contextmanager
def running(pool: PoolSettings, *, log_format: str | None = None, read_timeout: float = PATIENCE) -> Iterator[Site]:
    """Start a pool behind nginx; both have ended when this does. nginx keeps a log where a format is given."""
    if pool.listen_backlog is None:
        pool = pool.model_copy(update={"listen_backlog": BACKLOG})
    programs = find(*FPM_NAMES), find("nginx")
    if None in programs:
        raise RuntimeError("php-fpm and nginx must be installed: apt-get install php8.2-fpm nginx-light")
    root = os.geteuid() == 0
    with tempfile.TemporaryDirectory(prefix="fidelity") as name:
        directory = Path(name)
        directory.chmod(0o755)
        (directory / "work.php").write_text(SCRIPT)
        user = "user = www-data\n" if root else ""
        (directory / "fpm.conf").write_text(FPM.format(directory, render(pool, pool="www"), user))
        log = f"log_format timed '{log_format}'; access_log {directory}/nginx.access.log timed;"
        text = NGINX.format(
            directory,
            user="user www-data;" if root else "",
            backlog=BACKLOG,
            patience=round(read_timeout * 1000),
            log=log if log_format else "access_log off;",
        )
        (directory / "nginx.conf").write_text(text)
        (directory / "fpm.access.log").touch(mode=0o666)
        commands = (
            [programs[0], "-F", "-y", f"{directory}/fpm.conf"],
            [programs[1], "-c", f"{directory}/nginx.conf"],
        )
        # each in a session of its own, as services are: Linux shares the cores between sessions first (autogroup)
        started = [subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) for command in commands]
        try:
            for one in started:
                with suppress(OSError):
                    Path(f"/proc/{one.pid}/autogroup").write_text(str(NICE))
            site = Site(directory, *started)
            deadline = time.monotonic() + 30
            while not all((directory / socket).exists() for socket in ("www.sock", "nginx.sock")):
                if time.monotonic() > deadline or any(one.poll() is not None for one in started):
                    logs = [path.read_text() for path in directory.glob("*.error.log")]
                    raise RuntimeError(f"the servers did not start: {' '.join(logs)}")
                time.sleep(0.05)
            time.sleep(0.3)
            yield site
        finally:
            for one in reversed(started):
                one.terminate()
            for one in started:
                one.wait(timeout=30)
