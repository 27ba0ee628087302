"""A real pool's log replayed at another size, held against the real pool of that size under the same requests.

    python benchmarks/replay_live.py       # root; php-fpm8.2 and nginx; three minutes

nginx and a static php-fpm are started in a temporary directory. The same requests, at the same moments, each with its
own time off the CPU (usleep) and on it (a loop), go to pools of several sizes; of every run nginx keeps a log. Each
log is read and replayed at the other sizes, and what it says of the upstream's time is compared with their logs. What
nginx and FPM spend outside a request's script is in both.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from itertools import permutations
from pathlib import Path

import numpy as np

from capacity import replay_log
from capacity.fpm.web_format import nginx_format
from capacity.measure.log_trace import LogTrace, read_trace

LOG_FORMAT = '$remote_addr $msec "$request" $status $request_time $upstream_response_time'
SCRIPT = """<?php
$used = fn() => (($u = getrusage())["ru_utime.tv_sec"] + $u["ru_stime.tv_sec"])
    + ($u["ru_utime.tv_usec"] + $u["ru_stime.tv_usec"]) / 1e6;
$end = $used() + $_GET["cpu"] / 1e6;
while ($used() < $end) { for ($i = 0; $i < 1000; $i++) { $x = sqrt($i); } }
usleep((int) $_GET["off"]);
"""
FPM = """[global]
error_log = {0}/fpm.error.log
daemonize = no
[www]
user = www-data
listen = {0}/www.sock
listen.mode = 0666
listen.backlog = 4096
pm = static
pm.max_children = {1}
"""
NGINX = """daemon off; worker_processes 1; user www-data; pid {0}/nginx.pid; error_log {0}/nginx.error.log;
events {{ worker_connections 4096; }}
http {{
    log_format timed '{1}'; access_log {0}/access.log timed;
    client_body_temp_path {0}/body; fastcgi_temp_path {0}/fastcgi; proxy_temp_path {0}/proxy;
    uwsgi_temp_path {0}/uwsgi; scgi_temp_path {0}/scgi;
    server {{
        listen unix:{0}/nginx.sock backlog=4096;
        location / {{
            fastcgi_pass unix:{0}/www.sock;
            fastcgi_param SCRIPT_FILENAME {0}/work.php; fastcgi_param QUERY_STRING $query_string;
            fastcgi_param REQUEST_METHOD $request_method;
        }}
    }}
}}
"""


def ask(directory: Path, query: str) -> None:
    """One request; the answer is read to its end."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(120)
        connection.connect(str(directory / "nginx.sock"))
        connection.sendall(f"GET /?{query} HTTP/1.0\r\nHost: test\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200"), answer[:100]


def run(workers: int, moments: np.ndarray, queries: list[str]) -> LogTrace:
    """Send the requests to a pool of this size; what nginx logged."""
    directory = Path(tempfile.mkdtemp(prefix="replay"))
    directory.chmod(0o755)
    (directory / "work.php").write_text(SCRIPT)
    (directory / "fpm.conf").write_text(FPM.format(directory, workers))
    (directory / "nginx.conf").write_text(NGINX.format(directory, LOG_FORMAT))
    fpm = shutil.which("php-fpm8.2") or shutil.which("php-fpm") or "/usr/sbin/php-fpm8.2"
    commands = ([fpm, "-F", "-y", f"{directory}/fpm.conf"], ["/usr/sbin/nginx", "-c", f"{directory}/nginx.conf"])
    servers = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for command in commands]
    try:
        deadline = time.monotonic() + 30
        while not all((directory / name).exists() for name in ("www.sock", "nginx.sock")):
            assert time.monotonic() < deadline, "the servers did not start"
            time.sleep(0.05)
        time.sleep(1)
        threads = [threading.Thread(target=ask, args=(directory, query)) for query in queries]
        start = time.monotonic()
        for moment, thread in zip(moments.tolist(), threads, strict=True):
            time.sleep(max(0.0, start + moment - time.monotonic()))
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        for server in reversed(servers):
            server.terminate()
            server.wait(timeout=30)
    return read_trace([str(directory / "access.log")], line_format=nginx_format(LOG_FORMAT))


def figures(times: np.ndarray) -> np.ndarray:
    """Mean, 0.95 and 0.99 quantile."""
    return np.array([times.mean(), *np.quantile(times, (0.95, 0.99))])


def main() -> None:
    """Run every pool, replay every log at the other sizes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=25.0)
    parser.add_argument("--cores", type=float, default=2.0)
    parser.add_argument("--cpu", action="store_true", help="work on the CPU, too: only on a machine that is idle")
    options = parser.parse_args()
    cases = [("off the CPU", 0.05, 0.0, 55, (4, 5, 8))]
    cases += [("a fifth on the CPU", 0.04, 0.01, 55, (4, 6, 16))] if options.cpu else []
    for name, off, cpu, rate, pools in cases:
        rng = np.random.default_rng(5)
        moments = np.cumsum(rng.exponential(1 / rate, int(rate * options.seconds)))
        waits, burns = rng.exponential(off, len(moments)), rng.exponential(cpu, len(moments))
        queries = [f"off={w * 1e6:.0f}&cpu={b * 1e6:.0f}" for w, b in zip(waits, burns, strict=True)]
        logs = {workers: run(workers, moments, queries) for workers in pools}
        for logged, workers in permutations(pools, 2):
            log = logs[logged]
            result = replay_log(
                log.arrival_times,
                log.logged_times,
                workers=[workers],
                time_kind=log.time_kind,
                logged_workers=logged,
                cpus=options.cores,
                cpu_time=float(burns.mean()) if cpu else 0.0,
            )
            pool = result.pools[0]
            said = np.array([pool.response_time, pool.response_time_p95, pool.response_time_p99])
            seen, before = figures(logs[workers].logged_times), figures(log.logged_times)
            print(
                f"{name}: log of {logged:2} workers (mean {before[0] * 1e3:6.1f} ms) replayed at {workers:2}: "
                f"service {result.service_time * 1e3:5.1f} ms, "
                f"mean {said[0] * 1e3:6.1f} ms, seen {seen[0] * 1e3:6.1f}; "
                + ", ".join(f"{n} {e:+.1%}" for n, e in zip(("mean", "p95", "p99"), said / seen - 1, strict=True)),
                flush=True,
            )


if __name__ == "__main__":
    main()
