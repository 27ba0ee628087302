"""Simulate M/G/c for `mgc.csv` and `mgc_held_out.csv`: `python -m tests.oracles.generate_mgc` writes both.

Every case is 40 independent runs of a Poisson stream through `capacity.queueing.replay`, which is exact for any trace
and has tests of its own. Service times have mean 1, so all times are in service times. Eleven minutes on one core.

The mean wait of a busy queue fluctuates for so long that its sample mean is of little use. Two exact laws give a far
quieter estimate. With V the work left (of all present, those in service included) and I the idle servers,

    d/dt E[V^2]/2 = 0:   (c - a) E[V] = lambda E[S^2]/2 + E[I V]
    Little's law:        E[V] = a E[W] + lambda E[S^2]/2,      E[I] = c - a

so that E[W] needs only E[I V]/E[I], the work an idle server has beside it, which is forgotten as soon as the servers
are all busy; at c = 1 it is 0 and E[W] is Pollaczek's and Khinchine's. Both are averages over arrivals (PASTA).
The wait probability and the quantiles are then corrected by regression on the two averages whose mean is known
(control variates): the idle servers and the sample mean of the wait. Standard errors are those of the 40 runs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from capacity.queueing import replay

HERE = Path(__file__).parent
RUNS = 40
QUANTILES = (0.5, 0.9, 0.95, 0.99)

Array = NDArray[np.float64]

# number in the table, as a law is no number
LAWS = {"deterministic": 0, "gamma": 1, "lognormal": 2}
SERVERS = (1, 2, 4, 8, 20, 40, 100)
UTILIZATIONS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)

MEASURED = ["waiting_time", "wait_probability", *(f"{what}_p{p * 100:.0f}" for what in ("w", "r") for p in QUANTILES)]
COLUMNS = ["law", "service_scv", "servers", "utilization", *MEASURED, *(f"{name}_se" for name in MEASURED)]


def draw(rng: np.random.Generator, law: str, scv: float, count: int) -> Array:
    """Service times of mean 1."""
    if law == "deterministic":
        return np.ones(count)
    if law == "gamma":
        return rng.gamma(1 / scv, scv, count)
    spread = np.log1p(scv)
    return rng.lognormal(-spread / 2, np.sqrt(spread), count)


def requests(servers: int, utilization: float) -> int:
    """How many a run measures: more where some hundreds pass between those that wait."""
    return 35_000 if servers < 20 else 210_000 if servers >= 40 and utilization >= 0.75 else 70_000


def run(
    rng: np.random.Generator, law: str, scv: float, servers: int, utilization: float, count: int
) -> tuple[Array, ...]:
    """One run: the averages of I, of I V, of W and of W > 0; the waits; the responses."""
    # four relaxation times of the queue, and some services for it to be met in progress
    warm_up = int(8 * (1 + scv) / (1 - utilization) ** 2 + 20 * servers)
    total = warm_up + count
    arrivals = np.cumsum(rng.exponential(1 / (servers * utilization), total))
    services = draw(rng, law, scv, total)
    waits = replay(arrival_times=arrivals, service_times=services, servers=servers)
    responses = waits + services
    ends = arrivals + responses
    ordered = np.sort(ends)
    gone = np.searchsorted(ordered, arrivals, side="right")
    present = np.arange(total) - gone
    idle = np.maximum(servers - present, 0)
    # whoever is present is being served where a server is idle: the sum of their ends, less the time now
    work = np.concatenate(([0.0], np.cumsum(ends)[:-1])) - np.concatenate(([0.0], np.cumsum(ordered)))[gone]
    work = np.where(idle > 0, work - present * arrivals, 0.0)
    kept = slice(warm_up, None)
    idle, work, waits, responses = idle[kept], work[kept], waits[kept], responses[kept]
    return np.array([idle.mean(), (idle * work).mean(), waits.mean(), (waits > 1e-9).mean()]), waits, responses


def regressed(value: float, runs: Array, controls: Array) -> tuple[float, float, Array]:
    """A figure at controls of 0, its standard error, and its slopes; from how both vary between runs."""
    deviations = controls - controls.mean(axis=0)
    slopes, *_ = np.linalg.lstsq(deviations, runs - runs.mean(), rcond=None)
    rest = runs - runs.mean() - deviations @ slopes
    error = np.sqrt((rest**2).sum() / (RUNS - 1 - controls.shape[1]) / RUNS)
    return float(value - controls.mean(axis=0) @ slopes), float(error), slopes


def quantile(times: Array, together: Array, p: float, controls: Array, mean_error: float) -> tuple[float, float]:
    """A quantile of all runs together, moved until the regressed share above it is 1 - p; its standard error.

    Shares are averages and so without bias; the quantiles of single runs are not. `together` is sorted.
    """

    def at(level: float) -> float:
        return float(together[max(int(together.size * (1 - level)), 0)])

    level = 1 - p
    for _ in range(3):
        found = at(level)
        shares = (times > found).mean(axis=1)
        share, noise, slopes = regressed(float(shares.mean()), shares, controls)
        if found == 0.0 or share <= 0:
            return found, 0.0
        level *= (1 - p) / share
    width = np.log(1.1 / 0.9) * (1 - p)
    return at(level), float(np.hypot(noise, slopes[1] * mean_error) * (at(0.9 * level) - at(1.1 * level)) / width)


def measure(law: str, scv: float, servers: int, utilization: float, seed: int, count: int = 0) -> list[float]:
    """One row of the table: the case, the figures, and their standard errors."""
    count = count or requests(servers, utilization)
    runs = [run(rng, law, scv, servers, utilization, count) for rng in np.random.default_rng(seed).spawn(RUNS)]
    idle, idle_work, wait, waited = np.array([averages for averages, _, _ in runs]).T
    load = servers * utilization
    spare, residual = servers - load, load * (1 + scv) / 2
    # E[W] by the two laws, run by run, to first order; it and the sample mean agree but for chance
    beside = idle_work.mean() / idle.mean()
    by_work = (residual / spare + beside + (idle_work - beside * idle) / idle.mean() - residual) / load
    if servers == 1:
        mean, mean_error = float(by_work.mean()), 0.0
    else:
        controls = np.column_stack((wait - by_work, idle - spare))
        mean, mean_error, _ = regressed(float(by_work.mean()), by_work, controls)
    figures, errors = [mean], [mean_error]
    controls = np.column_stack((idle - spare, wait - mean))
    waits, responses = (np.array([found[place] for found in runs]) for place in (1, 2))
    figure, noise, slopes = regressed(float(waited.mean()), waited, controls)
    figures.append(figure)
    errors.append(float(np.hypot(noise, slopes[1] * mean_error)))
    for times in (waits, responses):
        together = np.sort(times, axis=None)
        for p in QUANTILES:
            figure, error = quantile(times, together, p, controls, mean_error)
            figures.append(figure)
            errors.append(error)
    return [LAWS[law], scv, servers, utilization, *figures, *errors]


def grid() -> Iterator[tuple[str, float, int, float]]:
    """The cases an approximation may be fitted to."""
    laws = [("deterministic", 0.0), *product(("gamma", "lognormal"), (0.25, 0.5, 1.0, 2.0, 4.0))]
    laws.remove(("gamma", 1.0))  # that is M/M/c, known exactly
    for (law, scv), servers, utilization in product(laws, SERVERS, UTILIZATIONS):
        yield law, scv, servers, utilization


def held_out() -> Iterator[tuple[str, float, int, float]]:
    """Cases between those of the grid and beyond it, which only judge."""
    laws = [*product(("gamma", "lognormal"), (0.1, 0.75, 3.0))]
    for (law, scv), servers, utilization in product(laws, (3, 12, 65, 250), (0.3, 0.55, 0.75, 0.85, 0.925, 0.97)):
        yield law, scv, servers, utilization


def write(name: str, cases: list[tuple[str, float, int, float]], first_seed: int) -> None:
    """The table, a row a case, each with a seed of its own."""
    head = [
        "# M/G/c by simulation; written by tests/oracles/generate_mgc.py, which tells how.",
        f"# {RUNS} runs of 35 000 to 210 000 requests a case; seeds {first_seed}, {first_seed + 1}, ... by row.",
        "# Times in service times; law: " + ", ".join(f"{number} {law}" for law, number in LAWS.items()) + ".",
        ",".join(COLUMNS),
    ]
    rows = []
    for seed, case in enumerate(cases, first_seed):
        rows.append(",".join(f"{value:.6g}" for value in measure(*case, seed)))
        print(rows[-1], flush=True)
    (HERE / f"{name}.csv").write_text("\n".join([*head, *rows]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    wanted = sys.argv[1:] or ["mgc", "mgc_held_out"]
    if "mgc" in wanted:
        write("mgc", list(grid()), 1)
    if "mgc_held_out" in wanted:
        write("mgc_held_out", list(held_out()), 10_001)
