"""The load generator: one process and one thread, at moments fixed beforehand, or N users who think.

    python -m benchmarks.fidelity.load PLAN.npz RECORD.npz

A response time counts from the moment a request was to be sent, so that a generator that is late does not hide what a
user would have waited for. How late it was is recorded: it tells whether the machine was disturbed.
"""

from __future__ import annotations

import gc
import heapq
import os
import resource
import select
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
PRIORITY = 1
LEAD = 1.5
"""Seconds that Python may take to start and read the plan."""


@dataclass(frozen=True)
class Plan:
    """What to send: requests are taken in this order, whoever sends them.

    ``moments``: when each is sent [s] after the begin (open); else when each of N users first comes (closed), and
    ``think_times`` how long the sender of each request thinks after its answer. ``seconds``: nothing is sent after.
    """

    moments: Array
    off_times: Array
    cpu_times: Array
    seconds: float
    think_times: Array | None = None
    turns: int = 1


@dataclass(frozen=True)
class Record:
    """What became of each request, in the order they were due [s]; ``ended`` is NaN where there was no answer."""

    due: Array
    sent: Array
    ended: Array
    status: NDArray[np.int64]
    cpu_seconds: float
    """What the generator itself took between the begin and the end."""
    begin: float

    @property
    def good(self) -> NDArray[np.bool_]:
        """Who got what he asked for."""
        return self.status == 200


class Generator:
    """A generator at work; ``record`` waits for its end."""

    def __init__(self, directory: Path, listens: Path, plan: Plan) -> None:
        self.files = directory / "plan.npz", directory / "record.npz"
        self.begin = time.monotonic() + LEAD
        arrays = {name: value for name, value in vars(plan).items() if value is not None}
        np.savez(self.files[0], listens=str(listens), begin=self.begin, **arrays)
        here = str(Path(__file__).resolve().parents[2])
        environment = os.environ | {"PYTHONPATH": here, "OPENBLAS_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "benchmarks.fidelity.load", *map(str, self.files)]
        self.process = subprocess.Popen(command, env=environment, cwd=here)

    def record(self) -> Record:
        """Wait until every request has its answer."""
        if self.process.wait() != 0:
            raise RuntimeError("the load generator failed")
        with np.load(self.files[1]) as file:
            arrays = {name: file[name] for name in file.files}
        return Record(**{name: value if value.ndim else float(value) for name, value in arrays.items()})


def drive(listens: str, begin: float, plan: Plan) -> Record:
    """Send the plan; ends when the last answer is there."""
    count = len(plan.off_times)
    due, sent, ended = np.full((3, count), np.nan)
    status = np.zeros(count, dtype=np.int64)
    offs, cpus = (np.rint(times * 1e6).astype(int).tolist() for times in (plan.off_times, plan.cpu_times))
    thinks = None if plan.think_times is None else plan.think_times.tolist()
    coming = [begin + moment for moment in plan.moments.tolist()]
    coming.sort()  # a sorted list is a heap
    last = begin + plan.seconds
    clock, wait, epoll = time.monotonic, select.select, select.epoll()
    open_now: dict[int, tuple[socket.socket, int]] = {}
    heads: dict[int, bytes] = {}
    number, used = 0, None
    while coming or open_now:
        now = clock()
        if used is None and now >= begin:
            used = time.process_time()
        while coming and coming[0] <= now:
            moment = heapq.heappop(coming)
            if moment > last or number >= count:
                coming.clear()
                break
            connection = socket.socket(socket.AF_UNIX)
            connection.setblocking(False)
            due[number], sent[number] = moment, clock()
            try:
                connection.connect(listens)
                connection.send(
                    b"GET /?n=%d&off=%d&cpu=%d&turns=%d HTTP/1.0\r\n\r\n"
                    % (number, offs[number], cpus[number], plan.turns)
                )
            except OSError:  # the accept queue is full
                connection.close()
                if thinks:
                    heapq.heappush(coming, clock() + thinks[number])
            else:
                handle = connection.fileno()
                open_now[handle] = connection, number
                epoll.register(handle, select.EPOLLIN)
            number += 1
            now = clock()
        # to the microsecond, where epoll itself knows milliseconds
        with suppress(InterruptedError):
            wait([epoll], [], [], max(0.0, coming[0] - now) if coming else 1.0)
        for handle, _ in epoll.poll(0):
            connection, which = open_now[handle]
            try:
                while data := connection.recv(65536):
                    heads[which] = heads.get(which, b"") + data[:64]
            except BlockingIOError:
                continue
            except OSError:
                pass
            moment = clock()
            connection.close()
            del open_now[handle]
            head = heads.pop(which, b"")
            if head.startswith(b"HTTP/1.1 "):
                status[which], ended[which] = int(head[9:12]), moment
            if thinks:
                heapq.heappush(coming, moment + thinks[which])
    spent = time.process_time() - (used or 0.0)
    return Record(due[:number], sent[:number], ended[:number], status[:number], spent, begin)


def main(plan_file: str, record_file: str) -> None:
    """Read the plan, send it, write what became of it."""
    with np.load(plan_file) as file:
        arrays = {name: file[name] for name in file.files}
    listens, begin = str(arrays.pop("listens")), float(arrays.pop("begin"))
    seconds, turns = float(arrays.pop("seconds")), int(arrays.pop("turns"))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # As if it sat on another machine: the pool under test cannot delay it. (Its share of a core is counted.)
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(PRIORITY))
    gc.disable()
    record = drive(listens, begin, Plan(seconds=seconds, turns=turns, **arrays))
    np.savez(record_file, **vars(record))


if __name__ == "__main__":
    main(*sys.argv[1:])
