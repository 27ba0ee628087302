"""How far predicted shares of 502 and 504 are from those of simulated pools.

    python -m tests.oracles.measure_overload

serves 400 000 requests a case one by one (`capacity.queueing.replay`, exact for any trace): constant, exponential and
lognormal times, 2 to 40 workers, 9 to 512 waiting places, utilization 0.9 to 3, and web servers that wait 0.5 to 2
times as long as a request behind a full queue. Three minutes on one core. It prints the errors in percentage points,
and of pools that end long requests (request_terminate_timeout).
"""

from __future__ import annotations

import itertools

import numpy as np

from capacity import PoolSettings, Scenario, queueing
from capacity.overload import KILL_DELAY, lost, pool_columns
from capacity.table import table_of

SIZE, WARM_UP = 400_000, 40_000
PATIENCE = (0.5, 0.8, 0.9, 1.0, 1.1, 1.25, 2.0)


def draw(chance: np.random.Generator, scv: float) -> np.ndarray:
    """Service times of mean 1: constant, exponential (1) or lognormal."""
    if scv == 0:
        return np.ones(SIZE)
    if scv == 1:
        return chance.exponential(1.0, SIZE)
    sigma = np.sqrt(np.log1p(scv))
    return chance.lognormal(-(sigma**2) / 2, sigma, SIZE)


def predicted(workers: int, places: int, rate: float, patience: float, kill: int, scv: float) -> np.ndarray:
    """Shares refused, killed, timed out and wasted; the service time is 1 s."""
    tables = Scenario.example().to_mapping()
    tables["workload"] = {"service_time": 1.0, "service_scv": scv}
    tables["policy"]["web_server_timeout"] = patience
    pool = PoolSettings(pm="static", max_children=workers, listen_backlog=places - 1, request_terminate_timeout=kill)
    table = table_of(Scenario.from_mapping(tables)) | pool_columns([pool])
    found = lost(table, np.array([float(workers)]), np.array([rate]))
    return np.array([found[name][0] for name in ("refused", "killed", "timed_out", "wasted")])


def simulated(
    workers: int, places: int, rate: float, holds: np.ndarray, chance: np.random.Generator, kill: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Waits, time at work and whether it was ended, of each request after the first ones."""
    most = 2.0 * (KILL_DELAY - 1.0)
    ended = np.minimum(holds, kill * chance.uniform(1.0, 1.0 + most, SIZE)) if kill else holds
    times = np.cumsum(chance.exponential(1 / rate, SIZE))
    waits = queueing.replay(arrival_times=times, service_times=ended, servers=workers, backlog=places)
    return np.asarray(waits)[WARM_UP:], ended[WARM_UP:], (holds > ended)[WARM_UP:]


def shares(waits: np.ndarray, ended: np.ndarray, cut: np.ndarray, patience: float) -> np.ndarray:
    """The same four shares of a simulation."""
    let_in = np.isfinite(waits)
    late = waits + ended - patience
    nobody = np.clip(np.minimum(late, ended), 0, None)
    return np.array(
        [
            (~let_in).mean(),
            (let_in & cut & (late <= 0)).mean(),
            (let_in & (late > 0)).mean(),
            nobody[let_in].sum() / ended[let_in].sum(),
        ]
    )


def main() -> None:
    """Print the errors by spread of the service times and utilization."""
    grid = list(itertools.product((2, 4, 8, 20, 40), (9, 65, 512), (0.9, 1.1, 1.5, 3.0)))
    print("scv  kill  rho    502: largest error (median)   killed   504: largest (median)   wasted: largest (median)")
    for scv, kill in [(scv, 0) for scv in (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)] + [(1.0, 1), (1.0, 3), (4.0, 1), (4.0, 3)]:
        errors: dict[float, list[np.ndarray]] = {}
        for number, (workers, places, utilization) in enumerate(grid):
            chance = np.random.default_rng([number, int(100 * scv), kill])
            rate = utilization * workers
            found = simulated(workers, places, rate, draw(chance, scv), chance, kill)
            for times in PATIENCE:
                patience = times * ((places + 1) / workers + 1)
                error = predicted(workers, places, rate, patience, kill, scv) - shares(*found, patience)
                errors.setdefault(utilization, []).append(100 * np.abs(error))
        for few, rows in ((0.9, errors[0.9] + errors[1.1]), (1.5, errors[1.5] + errors[3.0])):
            told = "   ".join(f"{max(column):5.1f} ({np.median(column):.2f})" for column in np.transpose(rows))
            print(f"{scv:4g}  {kill}  {few:3g}   {told}", flush=True)


if __name__ == "__main__":
    main()
