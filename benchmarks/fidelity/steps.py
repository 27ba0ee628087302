"""A sudden step in load on dynamic pools, as in ``benchmarks.process_manager``, predicted before and after.

Beforehand the phase of FPM's tick is unknown: the prediction is the mean over phases, its band the lowest and the
highest of them. Afterwards the simulator gets the ticks and service times that FPM logged.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np

from benchmarks.fidelity.calibration import Calibration
from benchmarks.process_manager import PHASES, dynamic, run, simulated
from capacity.fpm.manager import PoolRun, simulate_pool
from tests.live.open_load import poisson

HOLDS, STEP_AT = 0.05, 6.0
POOLS = {"step-dynamic-5/5/10": dynamic(5, 5, 10), "step-dynamic-20/20/30": dynamic(20, 20, 30)}


def result(name: str, machine: Calibration) -> dict[str, Any]:
    """One pool: 60 requests of 50 ms a second, then 500; waits of the 16 s after the step [s]."""
    pool = POOLS[name]
    arrivals = poisson((60, STEP_AT), (500, 16), seed=1)
    after = arrivals >= STEP_AT
    services = np.full(arrivals.size, machine.service_time(HOLDS))

    def waits(pool_run: PoolRun) -> dict[str, float]:
        chosen = pool_run.waiting_times[after]
        return _figures(chosen[np.isfinite(chosen)])

    phases = [
        waits(simulate_pool(pool, arrival_times=arrivals + 1 + k / PHASES, service_times=services, start=0.0))
        for k in range(PHASES)
    ]
    means = [phase["waiting_time"] for phase in phases]
    inputs = {figure: float(np.mean([phase[figure] for phase in phases])) for figure in phases[0]}
    load, log, logged = run({"pool": pool}, arrivals, HOLDS)["pool"]
    held = np.nan_to_num(logged, nan=float(np.nanmean(logged))) + machine.held
    real = (load.response_times - held)[after & np.isfinite(load.response_times)]
    ours = simulated(pool, load, log, held, 0.0)
    return {
        "case": name,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "inputs": inputs | {"waiting_time_low": min(means), "waiting_time_high": max(means)},
        "own": waits(ours),
        "measured": _figures(real) | {"refused": float(np.count_nonzero(~np.isfinite(load.response_times)))},
        "workers": [tick.running for tick in log],
        "equal_ticks": sum(tick.running == seen.running for tick, seen in zip(log, ours.ticks, strict=False)),
    }


def _figures(waits: np.ndarray) -> dict[str, float]:
    return {
        "waiting_time": float(waits.mean()),
        "waiting_time_p95": float(np.quantile(waits, 0.95)),
        "waiting_time_longest": float(waits.max()),
    }
