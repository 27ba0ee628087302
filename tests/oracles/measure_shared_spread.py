"""How well M/G/c carries over to workers that share cores: run `python -m tests.oracles.measure_shared_spread`.

A request needs a lognormal time of a given mean and scv in all, a fixed share of it on the CPU, in turns of CPU and
waiting that divide it at random. Its wait and response are simulated, and held against what a forecast says. Nothing is judged here; some
minutes on one core.
"""

from __future__ import annotations

import sys
from collections import deque
from heapq import heappop, heappush
from itertools import product

import numpy as np
from numpy.typing import NDArray

from capacity.queueing import shared_pool, spread
from capacity.queueing._evaluate import Array

from .simulation import NEVER, interval

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
    with np.errstate(all="ignore"):
        pool = shared_pool.open_pool(
            *(column[name] for name in ("servers", "cores", "cpu_time", "service_time", "arrival_rate"))
        )
        pool = spread.spread_out(pool, column["servers"], column["service_time"], np.array([scv]))
        p95 = spread.response_quantile(np.array([0.95]), pool)
    values = {
        "wait": pool["waiting_time"],
        "waits": pool["wait_probability"],
        "mean": pool["waiting_time"] + pool["hold"],
        "p95": p95,
    }
    return {name: float(value[0]) for name, value in values.items()}


GRID = ((4.0, 0.5, 0.0), [(4, 2), (8, 4), (8, 2), (20, 4)], (1.0, 0.5, 0.2), (0.7, 0.9))


def ours_hold(case, scv):
    column = {name: np.array([value]) for name, value in case.items()}
    with np.errstate(all="ignore"):
        pool = shared_pool.open_pool(
            *(column[name] for name in ("servers", "cores", "cpu_time", "service_time", "arrival_rate"))
        )
        pool = spread.spread_out(pool, column["servers"], column["service_time"], np.array([scv]))
    return pool["hold_scv"][0]


def main() -> None:
    """A line a case: simulated, ours and that of exponential times as ratios to it."""
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 400_000
    turns = int(sys.argv[2]) if len(sys.argv) > 2 else 4
    for seed, (scv, (servers, cores), share, full) in enumerate(
        product(*GRID), 1
    ):
        case = {"servers": float(servers), "cores": float(cores), "cpu_time": share, "service_time": 1.0}
        rate = shared_pool.inner_throughput(*(np.array([case[n]]) for n in ("servers", "cores", "cpu_time", "service_time")))
        case["arrival_rate"] = full * float(rate[0])
        waits, responses = simulated(case, scv, turns if share < 1 else 1, requests, seed)
        mean, chance = interval(waits)
        found = {"wait": mean, "waits": float((waits > 0).mean()), "mean": float(responses.mean()),
                 "p95": float(np.quantile(responses, 0.95))}
        general, plain = ours(case, scv), ours(case, 1.0)
        holds = responses - waits
        h = holds.mean()
        varies = holds.var() / h**2
        o = ours_hold(case, scv)
        line = f"[h {h:.3f} scv {varies:.3f} ours {o:.3f} k {((1 + varies) / (1 + scv) - 1) / (1 - 1 / h)**2:.2f}] scv {scv:g} c {servers:2} k {cores} cpu {share:g} full {full:g}: "
        line += f"wait {mean:.4f} +-{chance / 3.659 / mean if mean else 0:.3f};"
        for name, value in found.items():
            line += f"  {name} {general[name] / value - 1:+.3f} ({plain[name] / value - 1:+.3f})"
        print(line, flush=True)


if __name__ == "__main__":
    main()
