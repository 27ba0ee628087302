"""What is asked of which pool. Every moment, pause and service time is drawn from a seed before a run begins."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from benchmarks.fidelity.load import Array, Plan

SCV = {"exponential": 1.0, "constant": 0.0, "lognormal": 4.0}
"""Laws of the service time, with the squared coefficient of variation."""
RELAXATIONS = 5.0
"""From an empty pool, after which less than 1 % of the way to the steady state is left."""
WINDOWS = 200.0
"""Relaxations in a window that is to tell the mean to some percent."""


@dataclass(frozen=True)
class Case:
    """One run: a pool, a law, and what is sent to it.

    ``service_time`` is what the scripts are asked for, on and off the CPU, in the mean [s]; ``cpu_share`` the part of
    it on the CPU; ``turns`` in how many turns of CPU and sleep.
    """

    kind: Literal["open", "closed", "trace"]
    workers: int
    service_time: float
    law: str = "exponential"
    utilization: float = math.nan
    users: int = 0
    think_time: float = 0.0
    cpu_share: float = 0.0
    turns: int = 1
    arrival_rate: float = math.nan
    seconds: float = 25.0
    label: str = ""

    @property
    def name(self) -> str:
        """Such as ``open-exponential-c20-u0.80``."""
        load = f"N{self.users}" if self.kind == "closed" else f"u{self.utilization:.2f}"
        if self.kind == "open" and not math.isnan(self.arrival_rate):
            load = f"rate{self.arrival_rate:g}"
        return f"{self.label or self.kind}-{self.law}-c{self.workers}-{load}"

    @property
    def rate(self) -> float:
        """Requests a second of an open case; the mean of a trace."""
        if not math.isnan(self.arrival_rate):
            return self.arrival_rate
        return self.utilization * self.workers / self.service_time

    @property
    def relaxation(self) -> float:
        """Time in which an open pool forgets how full it was [s]."""
        spare = max(1 - math.sqrt(min(self.utilization, 1.0)), 0.02) if not math.isnan(self.utilization) else 0.2
        return (1 + SCV[self.law]) / 2 * self.service_time / (self.workers * spare**2)

    @property
    def warm_up(self) -> float:
        """Seconds before anything counts."""
        if self.kind == "closed":
            return max(3.0, 4 * (self.think_time + self.service_time * max(1.0, self.users / self.workers)))
        return min(max(3.0, RELAXATIONS * self.relaxation, 10 * self.service_time), 30.0)

    @property
    def seed(self) -> int:
        """Of the name, so that a case is the same wherever it stands in the grid."""
        return zlib.crc32(self.name.encode())

    def plan(self) -> Plan:
        """Draw it."""
        chance = np.random.default_rng(self.seed)
        seconds = self.warm_up + self.seconds
        if self.kind == "closed":
            cycle = self.think_time + self.service_time
            most = min(self.users / cycle, self.workers / self.service_time)
            count = int(1.3 * most * seconds) + 500
            services = self._services(chance, count)
            moments = chance.exponential(max(cycle, 0.2), self.users)
            thinks = chance.exponential(self.think_time, count)
            return self._parted(services, Plan(moments, services, services, seconds, thinks, self.turns))
        if self.kind == "trace":
            moments = self._rush(chance, seconds)
        else:
            moments = np.sort(chance.uniform(0, seconds, chance.poisson(self.rate * seconds)))
        services = self._services(chance, moments.size)
        return self._parted(services, Plan(moments, services, services, seconds, None, self.turns))

    def _services(self, chance: np.random.Generator, count: int) -> Array:
        if self.law == "constant":
            return np.full(count, self.service_time)
        if self.law == "exponential":
            return chance.exponential(self.service_time, count)
        spread = math.log(1 + SCV[self.law])
        return self.service_time * np.exp(chance.normal(-spread / 2, math.sqrt(spread), count))

    def _parted(self, services: Array, plan: Plan) -> Plan:
        """Every request spends the same share on the CPU."""
        cpu = services * self.cpu_share
        return replace(plan, off_times=services - cpu, cpu_times=cpu)

    def _rush(self, chance: np.random.Generator, seconds: float) -> Array:
        """Two rushes: the rate swings between 0.3 and 1.7 times its mean, so that the pool is too small for a while."""
        moments = np.sort(chance.uniform(0, seconds, chance.poisson(1.7 * self.rate * seconds)))
        shape = 1 + 0.7 * np.sin(4 * np.pi * moments / seconds - np.pi / 2)
        return moments[chance.uniform(0, 1.7, moments.size) < shape]


def open_cases() -> Iterator[Case]:
    """Open arrivals: up to utilization 0.8 in windows that tell the mean, above it no window of a minute does."""
    for case in _open_cases():
        enough = min(max(case.seconds, WINDOWS * case.relaxation), 100.0)
        yield replace(case, seconds=enough if case.utilization <= 0.8 else case.seconds)


def _open_cases() -> Iterator[Case]:
    times = {4: 0.02, 8: 0.025, 20: 0.05, 40: 0.1}
    for workers in (20, 4, 8, 40):
        for utilization in (0.8, 0.6, 0.9, 0.95, 0.4):
            yield Case("open", workers, times[workers], utilization=utilization)
    for law in ("constant", "lognormal"):
        for workers in (20, 4):
            for utilization in (0.8, 0.6, 0.9, 0.95):
                yield Case("open", workers, times[workers], law, utilization)


def closed_cases() -> Iterator[Case]:
    """N users of 0.2 erlang each, as in the case study but 2.5 times as fast."""
    for users in (100, 80, 50, 150, 200):
        for workers in (20, 40):
            yield Case("closed", workers, 0.1, users=users, think_time=0.4)
    for workers, users in ((4, 20), (8, 40), (4, 15)):
        yield Case("closed", workers, 0.05, users=users, think_time=0.2)
    for law in ("constant", "lognormal"):
        for users in (80, 150):
            yield Case("closed", 20, 0.1, law, users=users, think_time=0.4)


def cpu_cases() -> Iterator[Case]:
    """What shares the cores: all of it on the CPU, and a quarter of it."""
    for workers in (1, 2, 4, 8, 20):
        yield Case("closed", workers, 0.01, users=40, think_time=0.1, cpu_share=1.0, label="cpu", seconds=15)
    for rate in (100.0, 200.0, 260.0):
        yield Case("open", 20, 0.02, arrival_rate=rate, cpu_share=0.25, label="mixed25")
    yield Case("open", 20, 0.02, arrival_rate=200.0, cpu_share=0.25, turns=4, label="mixed25-turns")
    for workers in (2, 8):
        yield Case("open", workers, 0.01, arrival_rate=100.0, cpu_share=1.0, label="cpu")


def grid() -> list[Case]:
    """Every case; what tells most comes first, what shares the cores last."""
    closed, opened = list(closed_cases()), list(open_cases())
    trace = Case("trace", 20, 0.05, utilization=0.75, seconds=40.0)
    first = [*closed[:4], *opened[:6], trace]
    first += [case for case in opened if case.law != "exponential" and case.utilization == 0.8]
    return [*first, *(case for case in (*closed, *opened) if case not in first), *cpu_cases()]


def quick() -> list[Case]:
    """What is left of it in a minute."""
    return [
        replace(Case("closed", 20, 0.1, users=150, think_time=0.4), seconds=8.0),
        replace(Case("closed", 40, 0.1, users=100, think_time=0.4), seconds=8.0),
        replace(Case("open", 20, 0.05, utilization=0.6), seconds=8.0),
    ]
