"""Reads a generated access log of any size: lines a second of one core, and the most memory that took.

    python -m benchmarks.access_log                 # 1 GB in the format capacity asks for
    python -m benchmarks.access_log --megabytes 50 --format stock

The log is written to a temporary directory first, deterministic, and removed at the end.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.machine import peak_memory
from capacity.fpm.access_format import WANTED_FORMAT, access_format
from capacity.fpm.log_line import LineFormat
from capacity.fpm.web_format import nginx_format
from capacity.measure.logs import LogReading

ROOT = Path(__file__).parents[1]
STOCK = '%R - %u %t "%m %r%Q%q" %s %f %{milli}d %{kilo}M %C%%'
NGINX = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" '
    '"$http_user_agent" rt=$request_time urt="$upstream_response_time"'
)
FORMATS = ("wanted", "stock", "nginx")
_LINES_A_BLOCK = 20000


def lines(kind: str, seed: int = 1) -> Iterator[bytes]:
    """Lines of an endless log: 100 requests a second, 2000 visitors, 3000 products, every query string another."""
    rng = random.Random(seed)
    now = 1790000000.0
    number = 0
    while True:
        now += rng.expovariate(100)
        number += 1
        stamp = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now))
        address = f"10.{rng.randrange(4)}.{rng.randrange(10)}.{rng.randrange(50)}"
        path = f"/shop/{rng.randrange(3000)}?page={number}"
        held, memory, cpu = rng.expovariate(1 / 0.18), rng.randrange(1, 20) * 2048, rng.random() * 60
        if kind == "wanted":
            text = f'{address} {stamp} "GET {path}" 200 {int(held * 1e6)} {memory * 1024} {cpu:.2f}%'
        elif kind == "stock":
            file = "/var/www/html/index.php"
            text = f'127.0.0.1 -  {stamp} "GET /index.php?{path}" 200 {file} {held * 1e3:.3f} {memory} {cpu:.2f}%'
        else:
            agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
            text = (
                f'{address} - - [{stamp}] "GET {path} HTTP/1.1" 200 {memory} "-" "{agent}" '
                f'rt={held + 0.001:.3f} urt="{held:.3f}"'
            )
        yield text.encode() + b"\n"


def write_log(path: Path, megabytes: int, kind: str) -> int:
    """Write about so many megabytes: a block of lines, again and again at later times.

    Returns
    -------
    int
        Lines written.
    """
    # Generating is slower than reading, so the same block is repeated with its seconds moved on.
    stream = lines(kind)
    block = [next(stream) for _ in range(_LINES_A_BLOCK)]
    size = sum(map(len, block))
    count = 0
    with path.open("wb") as file:
        for round_number in range(max(1, megabytes * 1_000_000 // size)):
            date = b"%02d/%b/2026" % (1 + round_number // 12 % 28, _MONTHS[round_number // 336 % 12])
            moved = b"".join(block)
            for day in (b"21/Sep/2026", b"22/Sep/2026"):
                moved = moved.replace(day, date)
            hour = b"2026:%02d:" % (2 * round_number % 24)
            moved = moved.replace(b"2026:14:", hour).replace(b"2026:13:", hour)
            file.write(moved)
            count += len(block)
    return count


_MONTHS = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


def line_format(form: str) -> LineFormat:
    """How the lines of one of the formats are read."""
    if form == "nginx":
        return nginx_format(NGINX)
    return access_format(WANTED_FORMAT if form == "wanted" else STOCK)


def read(path: str, form: str) -> dict[str, float]:
    """Read and sum up in this process."""
    reading = LogReading([path], line_format=line_format(form))
    start = time.process_time()
    reading.read()
    history, _ = reading.result()
    spent = time.process_time() - start
    assert history is not None
    return {"requests": history.requests, "noise": history.noise.lines, "seconds": spent, "peak_memory": peak_memory()}


def main() -> None:
    """Write, read in another process, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--format", choices=FORMATS, default="wanted")
    parser.add_argument("--read", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.read:
        print(json.dumps(read(chosen.read, chosen.format)))
        return
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "access.log"
        written = write_log(path, chosen.megabytes, chosen.format)
        # a process of its own, so that the memory is that of reading and not of writing
        command = [sys.executable, "-m", "benchmarks.access_log", "--format", chosen.format, "--read", str(path)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout)
        size = path.stat().st_size
    if found["requests"] != written or found["noise"]:
        sys.exit(f"{written} lines written, {found['requests']} read, {found['noise']} taken for noise")
    print(f"{size / 1e9:.2f} GB, {written} lines of {size / written:.0f} bytes ({chosen.format})")
    print(f"{written / found['seconds']:,.0f} lines a second of one core, {found['seconds']:.1f} s")
    print(f"{found['peak_memory'] / 2**20:.0f} MiB of memory at most")


if __name__ == "__main__":
    main()
