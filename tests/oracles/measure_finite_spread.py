"""How well waits of N users with service times of any spread are foretold.

Run `python -m tests.oracles.measure_finite_spread`. Simulates users who think for exponential times and whose requests
are constant or lognormal, writes what was found to `finite_spread.csv` and holds the formulas against it. About three
minutes on one core; with `read` only the second. With `shared`, instead, pools whose workers share cores, of which
nothing is kept (two minutes). Nothing is judged here: `tests/queueing/test_general_finite.py` does that.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from heapq import heapify, heappop, heappush, heapreplace
from itertools import product
from pathlib import Path

import numpy as np

from capacity.queueing import shared_pool, spread
from capacity.queueing._evaluate import Array

from .measure_spread import full_rate, parts, sizes
from .simulation import NEVER
from .tables import read_table

HERE = Path(__file__).parent
REQUESTS = 200_000
BATCHES = 20
QUANTILES = (0.5, 0.9, 0.95, 0.99)
SPREADS = (0.0, 0.5, 2.0, 4.0)
SERVERS = (1, 4, 8, 20, 100)
THINK_TIMES = (0.5, 4.0, 20.0)
CROWDS = (0.7, 0.9, 1.0, 1.2, 2.0)  # users, as a multiple of those whom the workers just serve if nobody waits
MEASURED = ("waiting_time", "wait_probability", "throughput", *(f"r_p{p * 100:.0f}" for p in QUANTILES))
COLUMNS = ("service_scv", "servers", "population", "think_time", *MEASURED, "waiting_time_se", "r_p95_se")


def simulated(servers: int, population: int, think: float, scv: float, seed: int, requests: int) -> tuple[Array, ...]:
    """Arrivals, waits and responses, in the order of arrival; the mean service time is 1."""
    rng = np.random.default_rng(seed)
    warm_up = requests // 5
    pauses = iter(rng.exponential(think, requests + warm_up + population).tolist())
    users = [next(pauses) for _ in range(population)]
    heapify(users)
    free = [0.0] * servers
    arrivals, waits, responses = [], [], []
    for service in sizes(rng, scv, requests + warm_up).tolist():
        arrival = users[0]
        start = max(arrival, free[0])
        heapreplace(free, start + service)
        heapreplace(users, start + service + next(pauses))
        arrivals.append(arrival)
        waits.append(start - arrival)
        responses.append(start + service - arrival)
    arrived, waited, responded = (np.array(times[warm_up:]) for times in (arrivals, waits, responses))
    return arrived, waited, responded


def measure(
    scv: float, servers: int, population: int, think: float, seed: int, requests: int = REQUESTS
) -> list[float]:
    """One row of the table."""
    arrivals, waits, responses = simulated(servers, population, think, scv, seed, requests)
    batches = responses.reshape(BATCHES, -1)
    chance = (waits.reshape(BATCHES, -1).mean(axis=1), np.quantile(batches, 0.95, axis=1))
    return [
        scv,
        servers,
        population,
        think,
        waits.mean(),
        (waits > 1e-9).mean(),
        requests / (arrivals[-1] - arrivals[0]),
        *np.quantile(responses, QUANTILES),
        *(values.std(ddof=1) / np.sqrt(BATCHES) for values in chance),
    ]


def cases() -> Iterator[tuple[float, int, int, float]]:
    """What is simulated, each once."""
    seen = set()
    for scv, servers, think, crowd in product(SPREADS, SERVERS, THINK_TIMES, CROWDS):
        case = (scv, servers, max(round(crowd * servers * (1 + think)), servers + 1), think)
        if case not in seen:
            seen.add(case)
            yield case


def foretold(table: dict[str, Array], cores: Array | float = 1.0, cpu_time: Array | float = 0.0) -> dict[str, Array]:
    """What a forecast says of the cases of a table, by the names of its columns."""
    scv, servers, population, think = (table[name] for name in COLUMNS[:4])
    one = np.ones(servers.shape)
    with np.errstate(all="ignore"):
        pool = shared_pool.finite_pool(servers, cores * one, cpu_time * one, one, population, think)
        pool = spread.spread_out(pool, servers, one, scv)
        said = {f"r_p{p * 100:.0f}": spread.response_quantile(p * one, pool) for p in QUANTILES}
    return {name: pool[name] for name in MEASURED[:3]} | said


def errors(table: dict[str, Array], said: dict[str, Array]) -> dict[str, Array]:
    """Relative; of the mean wait relative to 0.1 services where that is more, of the wait probability absolute."""
    found = {name: said[name] / table[name] - 1.0 for name in MEASURED[2:]}
    wait = table["waiting_time"]
    found["waiting_time"] = (said["waiting_time"] - wait) / np.maximum(wait, 0.1)
    found["wait_probability"] = said["wait_probability"] - table["wait_probability"]
    return found


def report(table: dict[str, Array], said: dict[str, Array]) -> None:
    """Median, nine of ten and largest error by spread and workers."""
    found = errors(table, said)
    for scv, (least, most) in product(sorted(set(table["service_scv"])), ((1, 1), (4, 8), (20, 100))):
        rows = (table["service_scv"] == scv) & (table["servers"] >= least) & (table["servers"] <= most)
        print(f"scv {scv:g}, {least} to {most} workers, {rows.sum()} cases: median, nine of ten, largest")
        for name in MEASURED:
            middle, nine, worst = np.quantile(np.abs(found[name][rows]), (0.5, 0.9, 1.0))
            print(f"    {name:17} {middle:.3f} {nine:.3f} {worst:.3f}")


def write() -> None:
    """The table, a row a case, each with a seed of its own."""
    head = [
        "# M/G/c//N by simulation; written by tests/oracles/measure_finite_spread.py, which tells how.",
        f"# {REQUESTS} requests a case, after {REQUESTS // 5} left out; seeds 1, 2, ... by row.",
        "# Times in service times.",
        ",".join(COLUMNS),
    ]
    rows = [",".join(f"{value:.5g}" for value in measure(*case, seed)) for seed, case in enumerate(cases(), 1)]
    (HERE / "finite_spread.csv").write_text("\n".join([*head, *rows]) + "\n", encoding="utf-8")


POOLS = [(4, 2), (8, 4), (8, 2), (20, 4)]
SHARES = (1.0, 0.5, 0.2)
TURNS = 4


def shared_simulated(
    servers: int, cores: float, share: float, population: int, think: float, scv: float, seed: int, requests: int
) -> tuple[Array, Array, float]:
    """Waits, responses, and throughput; as `measure_spread.simulated`, with users who think."""
    rng = np.random.default_rng(seed)
    turns = TURNS if share < 1 else 1
    every = requests + requests // 5
    factors = sizes(rng, scv, every + population)
    on_cpu, off_cpu = (
        (parts(rng, turns, every + population) * factors * time).T.tolist() for time in (share, 1.0 - share)
    )
    pauses = rng.exponential(think, every + population).tolist()
    users = [(pauses[who], who) for who in range(population)]
    heapify(users)
    now = virtual = 0.0
    queue: deque[int] = deque()
    busy = 0
    running: list[tuple[float, int]] = []
    away: list[tuple[float, int]] = []
    left = [turns] * (every + population)
    arrived, started = [0.0] * (every + population), [0.0] * (every + population)
    waits, responses, coming, begin = [], [], population, 0.0
    while len(waits) < every:
        pace = min(1.0, cores / len(running)) if running else 1.0
        cpu_ends = now + (running[0][0] - virtual) / pace if running else NEVER
        away_ends = away[0][0] if away else NEVER
        arrival = users[0][0] if users else NEVER
        if arrival <= cpu_ends and arrival <= away_ends:
            virtual += (arrival - now) * pace
            now, who = heappop(users)
            arrived[who] = now
            if busy < servers:
                busy += 1
                started[who] = now
                heappush(running, (virtual + on_cpu[who][0], who))
            else:
                queue.append(who)
            continue
        if cpu_ends <= away_ends:
            now = cpu_ends
            virtual, who = heappop(running)
            if share < 1:
                heappush(away, (now + off_cpu[who][-left[who]], who))
                continue
        else:
            virtual += (away_ends - now) * pace
            now, who = heappop(away)
        left[who] -= 1
        if left[who]:
            heappush(running, (virtual + on_cpu[who][-left[who]], who))
            continue
        waits.append(started[who] - arrived[who])
        responses.append(now - arrived[who])
        if len(waits) == requests // 5:
            begin = now
        if coming < every + population:
            heappush(users, (now + pauses[coming], coming))
            coming += 1
        if queue:
            who = queue.popleft()
            started[who] = now
            heappush(running, (virtual + on_cpu[who][0], who))
        else:
            busy -= 1
    seen = slice(requests // 5, None)
    return np.array(waits[seen]), np.array(responses[seen]), requests / (now - begin)


def shared(requests: int = 60_000) -> None:
    """Errors where workers share cores, and beside them those of exponential times."""
    rows, limits = [], []
    for seed, (scv, (servers, cores), share, crowd) in enumerate(
        product((0.0, 0.5, 4.0), POOLS, SHARES, (0.9, 1.1, 1.5)), 60_001
    ):
        think = 4.0
        case = {"servers": servers, "cores": cores, "cpu_time": share, "service_time": 1.0}
        population = round(crowd * full_rate(case) * (1 + think))
        waits, responses, throughput = shared_simulated(servers, cores, share, population, think, scv, seed, requests)
        found = [waits.mean(), (waits > 1e-9).mean(), throughput, *np.quantile(responses, QUANTILES)]
        rows.append([scv, servers, population, think, *found])
        limits.append((cores, share))
    table = dict(zip(COLUMNS, np.array(rows).T, strict=False))
    cores, share = np.array(limits).T
    for name, spreads in (("as foretold", table["service_scv"]), ("as exponential", np.ones(len(rows)))):
        print(name)
        found = errors(table, foretold(table | {"service_scv": spreads}, cores, share))
        for scv in (0.0, 0.5, 4.0):
            some = table["service_scv"] == scv
            for quantity in MEASURED:
                middle, worst = np.quantile(np.abs(found[quantity][some]), (0.5, 1.0))
                print(f"    scv {scv:g} {quantity:17} {middle:.3f} {worst:.3f}")


if __name__ == "__main__":
    if "shared" in sys.argv:
        shared()
    else:
        if "read" not in sys.argv:
            write()
        kept = read_table("finite_spread")
        report(kept, foretold(kept))
