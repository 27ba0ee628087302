"""How far predicted shares of 502 and 504 are from those of simulated pools whose service times are not exponential.

    python -m tests.oracles.measure_overload

serves 400 000 requests a case one by one (`capacity.queueing.replay`, exact for any trace): constant, exponential and
lognormal times, 2 to 20 workers, 8 to 511 waiting places, utilization 0.9 to 3, and web servers that wait 0.8, 1, 1.25
and 2 times as long as a request behind a full queue. A minute on one core. It prints the errors in percentage points,
and of pools that end long requests (request_terminate_timeout), whose workers are free earlier than the chain has it.
"""

from __future__ import annotations

import itertools

import numpy as np

from capacity import PoolSettings, Scenario, queueing
from capacity.overload import lost, pool_columns
from capacity.table import table_of

SIZE, WARM_UP = 400_000, 40_000
PATIENCE = (0.8, 1.0, 1.25, 2.0)


def draw(chance: np.random.Generator, scv: float) -> np.ndarray:
    """Service times of mean 1: constant, exponential (1) or lognormal."""
    if scv == 0:
        return np.ones(SIZE)
    if scv == 1:
        return chance.exponential(1.0, SIZE)
    sigma = np.sqrt(np.log1p(scv))
    return chance.lognormal(-(sigma**2) / 2, sigma, SIZE)


def predicted(workers: int, places: int, rate: float, patience: float, kill: float) -> np.ndarray:
    """Shares refused, killed, timed out and wasted; the service time is 1 s."""
    tables = Scenario.example().to_mapping()
    tables["workload"] = {"service_time": 1.0}
    tables["policy"]["web_server_timeout"] = patience
    pool = PoolSettings(
        pm="static", max_children=workers, listen_backlog=places - 1, request_terminate_timeout=int(kill)
    )
    table = table_of(Scenario.from_mapping(tables)) | pool_columns([pool])
    found = lost(table, np.array([float(workers)]), np.array([rate]))
    return np.array([found[name][0] for name in ("refused", "killed", "timed_out", "wasted")])


def simulated(
    workers: int, places: int, rate: float, holds: np.ndarray, chance: np.random.Generator, kill: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Waits, time at work and whether it was ended, of each request after the first ones."""
    ended = np.minimum(holds, kill) if kill else holds
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
    grid = list(itertools.product((2, 4, 8, 20), (9, 65, 512), (0.9, 1.1, 1.5, 3.0)))
    print("scv  rho    502: largest error (median)   504: largest (median)   of these, waits 1.25 x and 2 x   wasted")
    for scv in (0.0, 0.5, 1.0, 4.0):
        errors: dict[float, list[np.ndarray]] = {}
        for number, (workers, places, utilization) in enumerate(grid):
            chance = np.random.default_rng([number, int(10 * scv)])
            rate = utilization * workers
            found = simulated(workers, places, rate, draw(chance, scv), chance, 0)
            for times in PATIENCE:
                patience = times * ((places + 1) / workers + 1)
                error = predicted(workers, places, rate, patience, 0) - shares(*found, patience)
                errors.setdefault(utilization, []).append(100 * np.abs(np.append(error, times)))
        for utilization, rows in errors.items():
            table = np.array(rows)
            table[:, 4] /= 100
            far = table[table[:, 4] > 1.2]
            print(
                f"{scv:3g}  {utilization:3g}   {table[:, 0].max():5.1f} ({np.median(table[:, 0]):.1f})   "
                f"{table[:, 2].max():5.1f} ({np.median(table[:, 2]):.1f})   {far[:, 2].max():5.1f}   "
                f"{table[:, 3].max():5.1f} ({np.median(table[:, 3]):.1f})"
            )
    print("request_terminate_timeout of 2 and 5 service times: largest error of 502, killed, 504")
    for kill in (2, 5):
        rows = []
        for number, (workers, places, utilization) in enumerate(grid):
            chance = np.random.default_rng([number, 99])
            patience, rate = 10.0 + places / workers, utilization * workers
            found = simulated(workers, places, rate, draw(chance, 1.0), chance, kill)
            rows.append(100 * np.abs(predicted(workers, places, rate, patience, kill) - shares(*found, patience)))
        print(kill, np.round(np.max(rows, axis=0), 1)[:3])


if __name__ == "__main__":
    main()
