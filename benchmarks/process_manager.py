"""Real pools and their simulation after a sudden step in load, and spare policies side by side.

    python benchmarks/process_manager.py              # needs php-fpm8.2 and root; takes eleven minutes
    python benchmarks/process_manager.py policies     # the second part only

First five pools one after the other: 60 requests of 50 ms a second, then 500. The simulator gets the arrivals and
service times of the run, once with the ticks of FPM's debug log and once with other phases of them, since nobody who
plans knows the phase. Then proportional and burst spares for 40 workers, at the same time and with the same arrivals
(100 ms; 30 a second, then 340), once 40 s after a start and once 40 s after an earlier rush: what a pool holds at rest
depends on where it comes from, so burst spares are taken that hold about as much.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from capacity import PoolSettings
from capacity.fpm import render
from capacity.fpm.manager import PoolRun, Tick, simulate_pool
from capacity.policies.burst import Step, least_spares, settings
from capacity.policies.process_manager import proportional
from tests.live.open_load import LOGGED, Load, poisson, send, served, ticks

WORKERS, OVERHEAD, PHASES, REST = 40, 0.0003, 16, 40


def dynamic(start: int, least: int, most: int) -> PoolSettings:
    """A pool with these spare servers."""
    spares = {"start_servers": start, "min_spare_servers": least, "max_spare_servers": most}
    return PoolSettings(pm="dynamic", max_children=WORKERS, **spares)


def run(
    pools: dict[str, PoolSettings], arrivals: np.ndarray, holds: float
) -> dict[str, tuple[Load, list[Tick], np.ndarray]]:
    """Load real pools with the same arrivals at once: what was sent, the ticks, and how long workers were held."""
    binary = next(filter(None, map(shutil.which, ("php-fpm8.2", "/usr/sbin/php-fpm8.2"))))
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        script = directory / "wait.php"
        script.write_text(f"<?php usleep({holds * 1e6:.0f}); echo 'done';")
        text = f"[global]\nerror_log = {directory}/error.log\nlog_level = debug\ndaemonize = no\n"
        for pool, chosen in pools.items():
            text += (
                render(chosen, pool=pool) + f"user = www-data\nlisten = {directory}/{pool}.sock\nlisten.mode = 0666\n"
            )
            text += LOGGED.format(directory, pool)
        (directory / "fpm.conf").write_text(text)
        command = [binary, "--nodaemonize", "--fpm-config", str(directory / "fpm.conf")]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            while not all((directory / f"{pool}.sock").exists() for pool in pools):
                time.sleep(0.05)
            time.sleep(0.5)
            loads = send([(directory / f"{pool}.sock", script, arrivals) for pool in pools])
            time.sleep(1.1)
        finally:
            process.terminate()
            process.wait()
        return {
            pool: (load, ticks(directory / "error.log", pool), served(directory / f"{pool}.access.log", arrivals.size))
            for pool, load in zip(pools, loads, strict=True)
        }


def simulated(pool: PoolSettings, load: Load, log: list[Tick], held: np.ndarray, shift: float) -> PoolRun:
    """The same requests in the simulator, with the ticks moved by so much."""
    times = [tick.time + shift for tick in log] if log else None
    begin = min((times or [load.arrival_times[0]])[0] - 1, load.arrival_times[0])
    return simulate_pool(pool, arrival_times=load.arrival_times, service_times=held, tick_times=times, start=begin)


def steps() -> None:
    """Five pools, one after the other."""
    pools = {
        "static 40": PoolSettings(pm="static", max_children=WORKERS),
        "ondemand": PoolSettings(pm="ondemand", max_children=WORKERS),
        "dynamic 20/20/30": dynamic(20, 20, 30),
        "dynamic 5/5/10": dynamic(5, 5, 10),
        "dynamic 2/1/3": dynamic(2, 1, 3),
    }
    arrivals = poisson((60, 6), (500, 16), seed=1)
    print("step from 60/s to 500/s of 50 ms, 40 workers at most: waits in the 16 s after it [s]")
    print(
        "pool              measured mean   p95    max   simulated mean   p95    max   other phases: mean    equal ticks"
    )
    for name, pool in pools.items():
        load, log, logged = run({"pool": pool}, arrivals, 0.05)["pool"]
        held = np.nan_to_num(logged, nan=float(np.nanmean(logged))) + OVERHEAD
        after, answered = arrivals >= 6, np.isfinite(load.response_times)
        real = (load.response_times - held)[after & answered]
        ours = simulated(pool, load, log, held, 0.0)
        wait = ours.waiting_times[after & np.isfinite(ours.waiting_times)]
        others = [simulated(pool, load, log, held, k / PHASES).waiting_times[after] for k in range(PHASES)]
        others = [float(other[np.isfinite(other)].mean()) for other in others]
        equal = [tick.running == seen.running for tick, seen in zip(log, ours.ticks, strict=False)]
        counts = ", ".join(str(tick.running) for tick in log if tick.time > load.arrival_times[after][0])
        print(
            f"{name:18}{real.mean():13.4f} {np.quantile(real, 0.95):6.3f} {real.max():6.3f}"
            f"{wait.mean():17.4f} {np.quantile(wait, 0.95):6.3f} {wait.max():6.3f}"
            f"       {min(others):.4f} to {max(others):.4f}    {sum(equal)} of {len(equal)}\n"
            f"    refused: {(~answered).sum()} and {ours.refused}; workers: {counts}"
        )


def policies(seed: int, *, rush_before: bool, waiting_time: float) -> None:
    """Proportional and burst spares, at the same time."""
    start, least, most = (int(column[0]) for column in proportional(np.array([float(WORKERS)])))
    step = Step(WORKERS, 30, 340, 0.1, 0.0, waiting_time)
    pools = {"proportional": dynamic(start, least, most), "burst": dynamic(*settings(step, least_spares(step)))}
    before = ((30, 5), (340, 10)) if rush_before else ()
    begin = sum(seconds for _, seconds in before) + REST
    arrivals = poisson(*before, (30, REST), (340, 16), seed=seed)
    found = run(pools, arrivals, 0.1)
    print(f"{'after an earlier rush' if rush_before else 'after a start'}, arrivals {seed}")
    for name, pool in pools.items():
        load, log, logged = found[name]
        first = load.arrival_times[0] - arrivals[0]
        rest = [tick.running for tick in log if first + begin - REST / 2 <= tick.time <= first + begin]
        real = (load.response_times - logged - OVERHEAD)[arrivals >= begin]
        spares = f"{pool.start_servers}/{pool.min_spare_servers}/{pool.max_spare_servers}"
        print(
            f"  {name:13} {spares:9} mean wait {real.mean():.3f} s, p95 {np.quantile(real, 0.95):.3f} s; "
            f"workers at rest {np.mean(rest):.1f} (at most {max(rest)})",
            flush=True,
        )


if __name__ == "__main__":
    chosen = sys.argv[1:] or ["steps", "policies"]
    if "steps" in chosen:
        steps()
    if "policies" in chosen:
        print("step from 30/s to 340/s of 100 ms, 40 workers at most, spares of both policies at the same time")
    for number in (1, 2, 3) if "policies" in chosen else ():
        policies(number, rush_before=False, waiting_time=1.8)
        policies(number, rush_before=True, waiting_time=0.9)
