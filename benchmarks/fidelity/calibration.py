"""What a request costs beside the work of its script, on this machine: measured once, at light load."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

import numpy as np

from benchmarks.fidelity.load import Array, Plan
from benchmarks.fidelity.measure import Run, execute
from benchmarks.fidelity.site import running
from capacity import PoolSettings

WORKERS, SLEEP, BURN = 20, 0.05, 0.005


@dataclass(frozen=True)
class Calibration:
    """Seconds a request, and cores.

    ``script``: what ``%d`` is longer than asked; ``turn``: the same for each further turn; ``held``: how long the
    worker is held beside ``%d``; ``outside``: what the client sees beside ``%d`` and no wait. CPU seconds a request
    of PHP without work, of nginx and of the generator; ``burn``: those of PHP beside the CPU time asked for.
    """

    script: float
    turn: float
    held: float
    outside: float
    php_cpu: float
    nginx_cpu: float
    generator_cpu: float
    burn: float
    cores: float

    @property
    def client(self) -> float:
        """What a client sees beside the wait and the time a worker is held [s]."""
        return self.outside - self.held

    def service_time(self, asked: float, turns: int = 1) -> float:
        """How long a request holds its worker [s]."""
        return asked + self.script + self.held + ((turns - 1) * self.turn if turns > 1 else 0.0)

    def cores_for_php(self, rate: float) -> float:
        """Cores that nginx and the generator leave at that rate."""
        return max(0.05, self.cores - rate * (self.nginx_cpu + self.generator_cpu))


def calibrate(seconds: float = 4.0, *, brief: bool = False) -> Calibration:
    """Four short runs; ``brief``: two, without what only work on the CPU and in several turns needs."""
    cores = len(os.sched_getaffinity(0))
    with running(PoolSettings(pm="static", max_children=WORKERS)) as site:

        def run(users: int, gap: float, off: float, cpu: float = 0.0, turns: int = 1) -> Run:
            count = int(2 * seconds * users / (gap + off + cpu)) + 100
            moments = np.linspace(0, SLEEP, users, endpoint=False)
            plan = Plan(moments, np.full(count, off), np.full(count, cpu), seconds + 1, np.full(count, gap), turns)
            return execute(site, plan, warm_up=1.0, seconds=seconds)

        # half as many users as workers: nobody waits, and caches are as warm as they will be
        light, full = run(WORKERS // 2, 0.01, SLEEP), run(2 * WORKERS, 0.0, SLEEP)
        turned = light if brief else run(WORKERS // 2, 0.01, SLEEP, turns=4)
        burnt = full if brief else run(1, 0.003, 0.0, BURN)

    def logged(one: Run) -> float:
        return middle(one.logged[one.chosen])

    def rate(one: Run) -> float:
        ended = one.record.ended - one.record.begin
        return float(np.count_nonzero((ended >= one.window[0]) & (ended < one.window[1]))) / one.seconds

    script, full_ends = logged(light) - SLEEP, np.sort(full.record.ended[full.chosen])
    php_cpu = float(full.used.fpm / rate(full))
    return Calibration(
        script=script,
        turn=math.nan if brief else (logged(turned) - SLEEP - script) / 3,
        # of a full pool of c workers and constant services every c-th end is the next one of the same worker
        held=max(0.0, middle(full_ends[WORKERS:] - full_ends[:-WORKERS]) - logged(full)),
        outside=middle(light.responses - light.logged[light.chosen]),
        php_cpu=php_cpu,
        nginx_cpu=full.used.nginx / rate(full),
        generator_cpu=full.used.generator / rate(full),
        burn=math.nan if brief else burnt.used.fpm / rate(burnt) - BURN,
        cores=float(cores),
    )


def middle(values: Array) -> float:
    """Mean without the lowest and the highest twentieth: a stall of the machine is not what a request costs."""
    low, high = np.quantile(values, (0.05, 0.95))
    return float(values[(values >= low) & (values <= high)].mean())
