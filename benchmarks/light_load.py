"""How well the service time at light load is found on cores that are busy.

    python -m benchmarks.light_load             # needs php-fpm8.2 and root; takes a minute and a half

A pool of 24 workers serves one script (10 ms of CPU, 20 ms of waiting) at growing rates. Printed for each rate: the
mean the log has, and the service time ``capacity measure`` makes of it. At light load both are the truth.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from capacity.measure.fastcgi import ask, parse_address

SCRIPT = """<?php
$used = fn() => (($u = getrusage())["ru_utime.tv_sec"] + $u["ru_stime.tv_sec"])
    + ($u["ru_utime.tv_usec"] + $u["ru_stime.tv_usec"]) / 1e6;
$end = $used() + 0.010;
while ($used() < $end) { for ($i = 0; $i < 1000; $i++) { $x = sqrt($i); } }
usleep(20000);
echo "done";
"""
POOL = """[global]
error_log = {0}/error.log
daemonize = no
[bench]
user = www-data
listen = {0}/bench.sock
pm = static
pm.max_children = 24
pm.status_path = /status
pm.status_listen = {0}/status.sock
access.log = {0}/access.log
access.format = '%R %t "%m %r" %s %{{micro}}d %M %C%%'
"""
RATES, SECONDS = (5, 40, 80, 110), 12


def send(directory: Path, rate: float, seconds: float) -> None:
    """Poisson traffic that ends by itself."""
    address, chance = parse_address(f"{directory}/bench.sock"), random.Random(5)
    script = str(directory / "script.php")
    parameters = {"SCRIPT_FILENAME": script, "SCRIPT_NAME": "/script.php", "REQUEST_METHOD": "GET", "QUERY_STRING": ""}
    at = time.monotonic()
    end, sent = at + seconds, []
    while at < end:
        time.sleep(max(0.0, at - time.monotonic()))
        sent.append(threading.Thread(target=ask, args=(address, parameters), kwargs={"timeout": 20}))
        sent[-1].start()
        at += chance.expovariate(rate)
    for thread in sent:
        thread.join()


def main() -> None:
    """Measure at every rate and print."""
    binary = shutil.which("php-fpm8.2", path="/usr/sbin:/usr/local/sbin:/usr/bin") or sys.exit("php-fpm8.2 is missing")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        (directory / "script.php").write_text(SCRIPT)
        config = directory / "php-fpm.conf"
        config.write_text(POOL.format(directory))
        process = subprocess.Popen([binary, "--fpm-config", str(config)], stderr=subprocess.DEVNULL)
        try:
            time.sleep(1)
            print("requests/s  logged  found   of them contention, other cores")
            for rate in RATES:
                one(directory, config, rate)
        finally:
            process.terminate()
            process.wait(timeout=30)


def one(directory: Path, config: Path, rate: float) -> None:
    """Measure at one rate."""
    (directory / "access.log").write_bytes(b"")  # FPM appends, so it goes on at the beginning
    traffic = threading.Thread(target=send, args=(directory, rate, SECONDS + 2))
    traffic.start()
    time.sleep(1)
    command = [sys.executable, "-m", "capacity", "measure", "--pool-file", str(config), "--for", f"{SECONDS}s"]
    done = subprocess.run([*command, "--format", "json"], capture_output=True, text=True, timeout=120)
    traffic.join()
    found = json.loads(done.stdout)
    logged = found["access_log"]["time"]["value"]
    source = found["scenario"]["sources"]["workload.service_time"]["source"]
    print(
        f"{rate:10} {logged * 1e3:7.1f} {found['scenario']['workload']['service_time'] * 1e3:6.1f}  "
        f"{source.rpartition(', ')[2]}, {found['sampled']['other_cores']:.2f} cores"
    )


if __name__ == "__main__":
    main()
