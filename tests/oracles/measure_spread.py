"""How well M/G/c carries over to pools it was not fitted to: run `python -m tests.oracles.measure_spread`.

Workers that share cores: a request needs a lognormal time of a given mean and scv in all, a fixed share of it on the
CPU, in turns of CPU and waiting that divide it at random. Its wait and response are simulated, and held against what a
forecast says. A number of requests and values of the scv may follow; half an hour on one core.

With `large`, instead, pools of more than 250 workers, for which the ratios of 250 are taken (five minutes). Nothing is
judged. For users who think, see `measure_finite_spread`.
"""

from __future__ import annotations

import sys
from collections import deque
from heapq import heappop, heappush
from itertools import product

import numpy as np
from numpy.typing import NDArray

from capacity import queueing
from capacity.queueing import shared_pool, spread
from capacity.queueing._evaluate import Array

from .generate_mgc import COLUMNS, measure
from .simulation import NEVER, T_999, interval

RARE = 0.01  # share of requests that wait below which a simulated mean wait says little

Pool = dict[str, float]


def sizes(rng: np.random.Generator, scv: float, count: int) -> NDArray[np.float64]:
    """Lognormal factors of mean 1."""
    width = np.log1p(scv)
    return rng.lognormal(-width / 2, np.sqrt(width), count)


def parts(rng: np.random.Generator, turns: int, count: int) -> NDArray[np.float64]:
    """Shares of 1, a column a request: the distances of points at random."""
    points = np.sort(rng.random((turns - 1, count)), axis=0)
    return np.diff(points, axis=0, prepend=0.0, append=1.0)


def simulated(case: Pool, scv: float, turns: int, requests: int, seed: int) -> tuple[Array, Array]:
    """Waits and responses, in the order of departure; the cores are shared equally, work counted in virtual time."""
    rng = np.random.default_rng(seed)
    warm_up = requests // 10
    every = requests + warm_up
    servers, cores = int(case["servers"]), case["cores"]
    arrivals = np.cumsum(rng.exponential(1 / case["arrival_rate"], every + 1)).tolist()
    factors = sizes(rng, scv, every + 1)
    on_cpu, off_cpu = (
        (parts(rng, turns, every + 1) * factors * time).T.tolist()
        for time in (case["cpu_time"], case["service_time"] - case["cpu_time"])
    )
    waits_elsewhere = case["service_time"] > case["cpu_time"]

    now = virtual = 0.0
    queue: deque[int] = deque()
    running: list[tuple[float, int]] = []
    away: list[tuple[float, int]] = []
    left, started = [turns] * (every + 1), [0.0] * (every + 1)
    busy = done = coming = 0
    waits, responses = [], []
    while done < every:
        crowd = len(running)
        pace = cores / crowd if crowd > cores else 1.0
        cpu_ends = now + (running[0][0] - virtual) / pace if crowd else NEVER
        away_ends = away[0][0] if away else NEVER
        arrival = arrivals[coming] if coming < every else NEVER
        if arrival <= cpu_ends and arrival <= away_ends:
            virtual += (arrival - now) * pace
            now = arrival
            if busy < servers:
                busy += 1
                started[coming] = now
                heappush(running, (virtual + on_cpu[coming][0], coming))
            else:
                queue.append(coming)
            coming += 1
            continue
        if cpu_ends <= away_ends:
            now = cpu_ends
            virtual, who = heappop(running)
            if waits_elsewhere:
                heappush(away, (now + off_cpu[who][-left[who]], who))
                continue
        else:
            virtual += (away_ends - now) * pace
            now, who = heappop(away)
        left[who] -= 1
        if left[who]:
            heappush(running, (virtual + on_cpu[who][-left[who]], who))
            continue
        done += 1
        waits.append(started[who] - arrivals[who])
        responses.append(now - arrivals[who])
        if queue:
            who = queue.popleft()
            started[who] = now
            heappush(running, (virtual + on_cpu[who][0], who))
        else:
            busy -= 1
    return np.array(waits[warm_up:]), np.array(responses[warm_up:])


def ours(case: Pool, scv: float) -> dict[str, float]:
    """What a forecast says; scv 1 for what it would say of exponential times."""
    column = {name: np.array([value]) for name, value in case.items()}
    servers, cores, cpu_time, service_time, rate = column.values()
    with np.errstate(all="ignore"):
        pool = shared_pool.open_pool(servers, cores, cpu_time, service_time, rate)
        pool = spread.spread_out(pool, servers, service_time, np.array([scv]))
        p95 = spread.response_quantile(np.array([0.95]), pool)
    values = {
        "wait probability": pool["wait_probability"],
        "mean wait": pool["waiting_time"],
        "mean response": pool["waiting_time"] + pool["hold"],
        "p95 response": p95,
    }
    return {name: float(value[0]) for name, value in values.items()}


def full_rate(case: Pool) -> float:
    """What the pool completes while every worker is busy."""
    names = ("cores", "cpu_time", "service_time")
    return float(queueing.shared_cores_throughput(workers=case["servers"], **{name: case[name] for name in names}))


SPREADS = (0.0, 0.5, 4.0)
POOLS = [(4, 2), (8, 4), (8, 2), (20, 4)]
SHARES = (1.0, 0.5, 0.2)
LOADS = (0.7, 0.9)
TURNS = 4


def shared(requests: int, spreads: tuple[float, ...]) -> None:
    """A line a case: our error, that of exponential times beside it, and the standard error of the simulated wait."""
    errors: dict[tuple[float, str], list[tuple[float, float]]] = {}
    for seed, (scv, (servers, cores), share, load) in enumerate(product(spreads, POOLS, SHARES, LOADS), 1):
        case = {"servers": float(servers), "cores": float(cores), "cpu_time": share, "service_time": 1.0}
        case["arrival_rate"] = load * full_rate(case)
        waits, responses = simulated(case, scv, TURNS if share < 1 else 1, requests, seed)
        found = {
            "wait probability": float((waits > 0).mean()),
            "mean wait": float(waits.mean()),
            "mean response": float(responses.mean()),
            "p95 response": float(np.quantile(responses, 0.95)),
        }
        general, plain = ours(case, scv), ours(case, 1.0)
        line = f"scv {scv:g}, {servers:2} workers, {cores} cores, CPU share {share:g}, {load:g} of full:"
        for name, value in found.items():
            if "wait" not in name or found["wait probability"] > RARE:
                error = general[name] / value - 1, plain[name] / value - 1
                errors.setdefault((scv, name), []).append(error)
                line += f"  {name} {error[0]:+.3f} ({error[1]:+.3f})"
        mean, half = interval(waits)
        print(f"{line}  +-{half / T_999 / mean:.3f}", flush=True)
    for (scv, name), pairs in errors.items():
        median, most = np.median(np.abs(pairs), axis=0), np.abs(pairs).max(axis=0)
        print(f"scv {scv:g}, {name}: median {median[0]:.3f} ({median[1]:.3f}), worst {most[0]:.3f} ({most[1]:.3f})")


LARGE = ((400.0, 0.97), (1000.0, 0.98), (1000.0, 0.95))
LAWS = (("lognormal", 4.0), ("deterministic", 0.0), ("lognormal", 0.5))


def large() -> None:
    """A line a case: our error, and the standard error of the simulation as a fraction."""
    for seed, ((servers, utilization), (law, scv)) in enumerate(product(LARGE, LAWS), 31_001):
        row = dict(zip(COLUMNS, measure(law, scv, int(servers), utilization, seed, 150_000), strict=True))
        case = {"servers": servers, "cores": 1.0, "cpu_time": 0.0, "service_time": 1.0}
        found = ours(case | {"arrival_rate": servers * utilization}, scv)
        line = f"scv {scv:g}, {servers:g} workers, utilization {utilization:g}:"
        for name, column in (
            ("wait probability", "wait_probability"),
            ("mean wait", "waiting_time"),
            ("p95 response", "r_p95"),
        ):
            chance = row[f"{column}_se"] / row[column]
            line += f"  {name} {row[column]:.4g} {found[name] / row[column] - 1:+.3f} +-{chance:.3f}"
        print(line, flush=True)


if __name__ == "__main__":
    words = sys.argv[1:]
    if "large" in words:
        large()
    else:
        shared(int(words[0]) if words else 400_000, tuple(float(word) for word in words[1:]) or SPREADS)
