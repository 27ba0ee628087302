"""What a run showed: at the client, in FPM's access log, and of the machine while it ran."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.fidelity.load import Array, Generator, Plan, Record
from benchmarks.fidelity.site import Site, cpu_seconds

LATE_MEAN, LATE_P99, LATE_MOST = 0.001, 0.005, 0.05
"""Send delays [s] from which on a run counts as disturbed: mean, 0.99 quantile, and the longest."""
FOREIGN = 0.1
"""Cores taken by others (the hypervisor too) from which on work on the CPU counts as disturbed."""
BATCHES = 10
_T90 = 1.833  # Student's t, 9 degrees of freedom, 90 % two-sided


@dataclass(frozen=True)
class Used:
    """Cores in use in the window."""

    fpm: float
    nginx: float
    generator: float
    foreign: float


@dataclass(frozen=True)
class Run:
    """One run in full."""

    plan: Plan
    record: Record
    logged: Array
    used: Used
    window: tuple[float, float]
    """From and to, after the begin [s]."""

    @property
    def chosen(self) -> Array:
        """Which requests count: those due in the window that got a good answer."""
        due = self.record.due - self.record.begin
        return (due >= self.window[0]) & (due < self.window[1]) & self.record.good

    @property
    def responses(self) -> Array:
        """Response times of those that count [s]."""
        return (self.record.ended - self.record.due)[self.chosen]

    @property
    def seconds(self) -> float:
        """Length of the window."""
        return self.window[1] - self.window[0]


def execute(site: Site, plan: Plan, *, warm_up: float, seconds: float) -> Run:
    """Send a plan to a site and watch."""
    generator = Generator(site.directory, site.socket, plan)

    def readings() -> Array:
        own = cpu_seconds(generator.process.pid)
        return np.array([*site.cpu_seconds(), own, _machine(), time.monotonic()])

    try:
        time.sleep(max(0.0, generator.begin + warm_up - time.monotonic()))
        before = readings()
        time.sleep(max(0.0, generator.begin + warm_up + seconds - time.monotonic()))
        fpm, nginx, own, busy, length = (readings() - before).tolist()
        record = generator.record()
    finally:
        generator.process.kill()
    time.sleep(0.1)  # the log line of a request comes after its answer
    logged = site.logged(len(record.due))
    used = Used(*(part / length for part in (fpm, nginx, own, busy - fpm - nginx - own)))
    return Run(plan, record, logged, used, (warm_up, warm_up + seconds))


def figures(run: Run, held: float) -> dict[str, float]:
    """What was measured, by name. ``held``: how long a request holds its worker beside what FPM logs [s]."""
    record, (start, end) = run.record, run.window
    ended, due = np.where(record.good, record.ended, np.nan) - record.begin, record.due - record.begin
    responses = run.responses
    holds = run.logged + held
    waits = (record.ended - record.due - holds)[run.chosen]
    inside = np.clip(ended, start, end) - np.clip(ended - holds, start, end)
    present = np.clip(ended, start, end) - np.clip(due, start, end)
    busy, held_in = float(np.nansum(inside)) / run.seconds, float(np.nansum(present)) / run.seconds
    batches = [part.mean() for part in np.array_split(responses, BATCHES) if part.size]
    return {
        "throughput": float(np.count_nonzero((ended >= start) & (ended < end))) / run.seconds,
        "response_time": float(responses.mean()),
        "response_time_p95": float(np.quantile(responses, 0.95)),
        "response_time_p99": float(np.quantile(responses, 0.99)),
        "busy_workers": busy,
        "waiting_time": float(np.nanmean(waits)),
        "queue_length": held_in - busy,
        "response_time_doubt": float(_T90 * np.std(batches, ddof=1) / BATCHES**0.5),
        "requests": float(responses.size),
        "failed": float(np.count_nonzero(~record.good)),
    }


def lateness(run: Run) -> dict[str, float]:
    """How late the generator was [s]."""
    late = (run.record.sent - run.record.due)[run.chosen]
    return {"mean": float(late.mean()), "p99": float(np.quantile(late, 0.99)), "most": float(late.max())}


def disturbances(run: Run, *, on_the_cpu: bool) -> list[str]:
    """What makes this run doubtful, in words; nothing where it is sound."""
    late, found = lateness(run), []
    for name, limit in (("mean", LATE_MEAN), ("p99", LATE_P99), ("most", LATE_MOST)):
        if late[name] > limit:
            found.append(f"send delay: {name} {late[name] * 1e3:.1f} ms")
    if on_the_cpu and run.used.foreign > FOREIGN:
        found.append(f"others took {run.used.foreign:.2f} cores")
    if (np.abs(run.record.status[run.chosen]) != 200).any() or np.isnan(run.logged[run.chosen]).any():
        found.append("requests failed or were not logged")
    return found


def _machine() -> float:
    """CPU seconds of everything so far, those the hypervisor took included."""
    first = Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]
    ticks = [int(field) for field in first]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
