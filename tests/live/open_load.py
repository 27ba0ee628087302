"""Requests at given times whatever becomes of those before, from one thread, and what FPM wrote of it."""

from __future__ import annotations

import re
import selectors
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from capacity.fpm.manager import Tick

LOGGED = "access.log = {0}/{1}.access.log\naccess.format = '%{{micro}}d %q'\n"
"""What the pool needs so that `served` can tell how long each request held its worker."""
_TICK = re.compile(
    r"\[(\S+ \S+)\] .*\[pool (\w+)\] currently (\d+) active children, (\d+) spare children"
    r"(?:, (\d+) running children\. Spawning rate (\d+))?"
)


@dataclass(frozen=True)
class Load:
    """What was sent: arrivals on the monotonic clock and the time until each answer [s]; inf: refused."""

    arrival_times: NDArray[np.float64]
    response_times: NDArray[np.float64]


def poisson(*phases: tuple[float, float], seed: int) -> NDArray[np.float64]:
    """Arrival times [s] of (rate, seconds) one after the other."""
    chance, times, start = np.random.default_rng(seed), [], 0.0
    for rate, seconds in phases:
        times.append(start + np.sort(chance.uniform(0, seconds, chance.poisson(rate * seconds))))
        start += seconds
    return np.concatenate(times)


def send(loads: Sequence[tuple[Path, Path, NDArray[np.float64]]]) -> list[Load]:
    """Ask for a script over a socket at the times given [s], several pools at once."""
    plan = sorted((at, which, number) for which, load in enumerate(loads) for number, at in enumerate(load[2]))
    arrived = [np.zeros(len(times)) for _, _, times in loads]
    answered = [np.full(len(times), np.inf) for _, _, times in loads]
    begin, waiting = time.monotonic() + 0.05, 0
    with selectors.DefaultSelector() as selector:
        for at, which, number in [*plan, (np.inf, -1, -1)]:
            while (now := time.monotonic()) < begin + at and (waiting or which >= 0):
                for key, _ in selector.select(min(begin + at - now, 1.0)):
                    if not key.fileobj.recv(65536):  # type: ignore[union-attr]
                        owner, of = key.data
                        answered[owner][of] = time.monotonic()
                        selector.unregister(key.fileobj)
                        key.fileobj.close()  # type: ignore[union-attr]
                        waiting -= 1
            if which >= 0:
                path, script, _ = loads[which]
                connection = socket.socket(socket.AF_UNIX)
                connection.setblocking(False)
                arrived[which][number] = time.monotonic()
                try:
                    connection.connect(str(path))
                except BlockingIOError:
                    connection.close()
                    continue
                connection.sendall(_message(script, number))
                selector.register(connection, selectors.EVENT_READ, (which, number))
                waiting += 1
    return [Load(came, done - came) for came, done in zip(arrived, answered, strict=True)]


def _message(script: Path, number: int) -> bytes:
    def record(kind: int, body: bytes) -> bytes:
        return struct.pack(">BBHHBx", 1, kind, 1, len(body), 0) + body

    parameters = {
        "SCRIPT_FILENAME": str(script),
        "SCRIPT_NAME": str(script),
        "REQUEST_METHOD": "GET",
        "QUERY_STRING": str(number),
    }
    pairs = b"".join(
        struct.pack(">II", len(name) | 1 << 31, len(value) | 1 << 31) + name.encode() + value.encode()
        for name, value in parameters.items()
    )
    begin, params, stdin = 1, 4, 5
    return record(begin, struct.pack(">HB5x", 1, 0)) + record(params, pairs) + record(params, b"") + record(stdin, b"")


def served(log: Path, count: int) -> NDArray[np.float64]:
    """How long each request held its worker by the pool's access log [s]; NaN: not in there."""
    times = np.full(count, np.nan)
    for line in log.read_text().splitlines():
        took, number = line.split()
        times[int(number)] = int(took) / 1e6
    return times


def ticks(log: Path, pool: str) -> list[Tick]:
    """What the master saw at each tick, from its log of level debug, on the monotonic clock."""
    offset = time.time() - time.monotonic()
    found = []
    for line in _TICK.finditer(log.read_text()):
        if line[2] == pool:
            active, idle = int(line[3]), int(line[4])
            at = datetime.strptime(line[1], "%d-%b-%Y %H:%M:%S.%f").timestamp() - offset
            found.append(Tick(at, active, idle, int(line[5] or active + idle), int(line[6] or 1)))
    return found
