"""The simulator beside a real pool of each kind under the same requests, tick by tick."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from capacity import PoolSettings
from capacity.fpm import render
from capacity.fpm.error_log import read_error_log
from capacity.fpm.maintenance import maintain
from capacity.fpm.manager import PoolRun, Tick, simulate_pool

from .conftest import Fpm, pool_text
from .open_load import LOGGED, Load, poisson, send, served, ticks

pytestmark = pytest.mark.live

# Long requests make a step from 3 to 22 busy workers of few, and few of them begin or end near a tick.
HOLDS, LIGHT, HEAVY = 0.2, 15, 110
OVERHEAD = 0.0003  # what a request costs its worker beside what FPM logs [s]
POOLS = {
    "step": PoolSettings(pm="dynamic", max_children=24, start_servers=10, min_spare_servers=5, max_spare_servers=10),
    "calls": PoolSettings(pm="ondemand", max_children=40, process_idle_timeout=1),
}


def config(directory: Path) -> str:
    return "log_level = debug\n" + "".join(
        pool_text(directory, name) + render(pool, pool=name).partition("\n")[2] + LOGGED.format(directory, name)
        for name, pool in POOLS.items()
    )


def simulated(pool: PoolSettings, load: Load, log: list[Tick], service_times: np.ndarray) -> PoolRun:
    return simulate_pool(
        pool,
        arrival_times=load.arrival_times,
        service_times=service_times,
        tick_times=[tick.time for tick in log],
        start=min(log[0].time - 1, load.arrival_times[0]),
        until=log[-1].time,
    )


def change(pool: PoolSettings, tick: Tick) -> int:
    """How many workers the rule adds at this tick."""
    done = maintain(pool, idle=tick.idle, running=tick.running, spawn_rate=tick.spawn_rate)
    return done.forks - done.stops


def test_workers_and_waits_are_those_of_real_pools(start_fpm: Callable[..., Fpm]) -> None:
    """Nine seconds; both pools at once."""
    fpm = start_fpm(config, 10)
    script = fpm.script("wait.php", f"usleep({HOLDS * 1e6:.0f}); echo 'done';")
    even = np.arange(0, 1.2, 1 / LIGHT)  # so that just before the step 3 are busy
    plans = {
        "step": np.concatenate((even, 1.2 + poisson((HEAVY, 5.5), seed=3))),
        "calls": np.concatenate((even, 1.2 + poisson((HEAVY, 1.8), seed=4))),
    }
    sent = send([(fpm.directory / f"{name}.sock", script, times) for name, times in plans.items()])
    time.sleep(1.1)  # past one more tick
    said = read_error_log([(fpm.directory / "error.log").read_bytes()])
    for (name, pool), load in zip(POOLS.items(), sent, strict=True):
        log = ticks(fpm.directory / "error.log", name)
        held = served(fpm.directory / f"{name}.access.log", load.arrival_times.size) + OVERHEAD
        run = simulated(pool, load, log, held)
        if name == "step":
            dynamic_pools_agree(pool, log, run)
            waits = load.response_times - held
            assert run.waiting_times.mean() == pytest.approx(waits.mean(), rel=0.2)
            assert run.waiting_times.max() == pytest.approx(waits.max(), rel=0.2)
        else:
            ondemand_pools_agree(log, run)
        assert said.of("max_children", name).count == run.full_episodes


def dynamic_pools_agree(pool: PoolSettings, log: list[Tick], run: PoolRun) -> None:
    assert run.peak_workers == pool.max_children  # else the step was too small to show anything
    # The rule, on what the real master saw: no exception.
    for tick, after in itertools.pairwise(log):
        assert after.running == tick.running + change(pool, tick)
        done = maintain(pool, idle=tick.idle, running=tick.running, spawn_rate=tick.spawn_rate)
        assert after.spawn_rate == done.spawn_rate
    # The whole pool, which sees only the requests. A request that ends or begins within a millisecond of a tick is on
    # one side of it here and on the other there, and a real worker is idle for a moment between two requests. Where
    # that gave the two masters a different number to fork, they may differ by it from then on; else they are equal.
    allowed = 0
    for real, ours in zip(log, run.ticks, strict=True):
        assert abs(real.running - ours.running) <= allowed, (log, run.ticks)
        allowed += abs(change(pool, real) - change(pool, ours))
    assert allowed <= 3


def ondemand_pools_agree(log: list[Tick], run: PoolRun) -> None:
    # Whether a connection finds a worker idle is a matter of microseconds, a hundred times a second, and a busy host
    # forks slowly: most of the ticks' counts are equal, none may be far off.
    real, ours = (np.array([tick.running for tick in ticks]) for ticks in (log, run.ticks))
    assert np.abs(real - ours).max() <= 4
    assert ours.max() > 25
    # Then nobody comes: one worker a second goes, from the same tick on or from its neighbour.
    assert (np.diff(real) >= -1).all()
    assert abs((np.diff(real) == -1).sum() - (np.diff(ours) == -1).sum()) <= 1
    assert run.stopped >= 2
