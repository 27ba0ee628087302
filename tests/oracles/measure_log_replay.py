"""How far a replayed log is from the truth, where workers share cores: the true pool is simulated request by request.

    python tests/oracles/measure_log_replay.py        # some minutes; docs/explanation/accuracy.md has the result

A request has its own CPU time and its own time off the CPU, cut into turns. In the true pool only the requests that
are on the CPU share the cores (processor sharing). The log of one pool (arrivals, ends, and the mean CPU time) is
replayed at other numbers of workers and held against the true pool of that size, with the same requests. Beside it
stands the naive replay, which takes the logged times as they are.
"""

from __future__ import annotations

import sys
from collections import deque
from heapq import heappop, heappush
from itertools import product

import numpy as np
from numpy.typing import NDArray

from capacity.queueing import replay
from capacity.queueing.shared_trace import pace_of, replay_shared, without_contention

NEVER = float("inf")
FloatArray = NDArray[np.float64]


def true_pool(
    arrivals: FloatArray, on_cpu: FloatArray, off_cpu: FloatArray, *, servers: int, cores: float, turns: int = 1
) -> tuple[FloatArray, FloatArray]:
    """Waits and times held; each request has `turns` equal bursts on the CPU, each followed by a time off it."""
    waits, ends = np.zeros(len(arrivals)), np.zeros(len(arrivals))
    coming, burst, away = arrivals.tolist(), (on_cpu / turns).tolist(), (off_cpu / turns).tolist()
    now = virtual = 0.0
    busy = next_one = 0
    queue: deque[int] = deque()
    running: list[tuple[float, int, int]] = []  # on the CPU: (end in virtual time, request, turns left)
    sleeping: list[tuple[float, int, int]] = []
    for _ in range(2 * turns * len(coming) + len(coming)):
        pace = min(1.0, cores / len(running)) if running else 1.0
        cpu_done = now + (running[0][0] - virtual) / pace if running else NEVER
        awake = sleeping[0][0] if sleeping else NEVER
        came = coming[next_one] if next_one < len(coming) else NEVER
        moment = min(came, cpu_done, awake)
        virtual = running[0][0] if moment == cpu_done else virtual + (moment - now) * pace
        now = moment
        if moment == came:
            if busy < servers:
                busy += 1
                heappush(running, (virtual + burst[next_one], next_one, turns - 1))
            else:
                queue.append(next_one)
            next_one += 1
        elif moment == cpu_done:
            _, who, left = heappop(running)
            heappush(sleeping, (now + away[who], who, left))
        else:
            _, who, left = heappop(sleeping)
            if left:
                heappush(running, (virtual + burst[who], who, left - 1))
                continue
            ends[who] = now
            if queue:
                who = queue.popleft()
                waits[who] = now - arrivals[who]
                heappush(running, (virtual + burst[who], who, turns - 1))
            else:
                busy -= 1
    return waits, ends - arrivals - waits


def requests(
    rng: np.random.Generator, number: int, *, service_time: float, cpu_share: float, law: str
) -> tuple[FloatArray, FloatArray]:
    """CPU time and time off the CPU of each."""

    def times(mean: float) -> FloatArray:
        if law == "exponential" or mean == 0:
            return rng.exponential(mean, number)
        sigma = np.sqrt(np.log(1 + 4.0))  # lognormal, scv 4
        return mean * np.exp(rng.normal(-(sigma**2) / 2, sigma, number))

    return times(cpu_share * service_time), times((1 - cpu_share) * service_time)


def figures(waits: FloatArray, held: FloatArray) -> FloatArray:
    """Mean, 0.95 and 0.99 quantile of the response."""
    response = waits + held
    return np.array([response.mean(), *np.quantile(response, (0.95, 0.99))])


def case(
    *,
    logged: int,
    workers: int,
    cores: int,
    cpu_share: float,
    load: float,
    law: str,
    turns: int,
    number: int,
    seed: int,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Figures of the true pool, of the replay and of the naive replay."""
    rng = np.random.default_rng(seed)
    service_time = 0.1
    on_cpu, off_cpu = requests(rng, number, service_time=service_time, cpu_share=cpu_share, law=law)
    cpu_time = float(on_cpu.mean())
    most = min(cores / cpu_time, 0.95 * min(logged, workers) / service_time)
    arrivals = np.cumsum(rng.exponential(1 / (load * most), number))
    waits, held = true_pool(arrivals, on_cpu, off_cpu, servers=logged, cores=cores, turns=turns)
    truth = figures(*true_pool(arrivals, on_cpu, off_cpu, servers=workers, cores=cores, turns=turns))
    services, mean, *_ = without_contention(arrivals + waits, arrivals + waits + held, cores=cores, cpu_time=cpu_time)
    pace = pace_of(workers, cores=cores, cpu_time=cpu_time, service_time=mean)
    ours = figures(*replay_shared(arrivals, services, pace=pace))
    naive = figures(np.asarray(replay(arrival_times=arrivals, service_times=held, servers=workers)), held)
    return truth, ours, naive


def main(number: int = 100_000) -> None:
    """Print every case and the summary."""
    names = ("mean", "p95", "p99")
    errors: dict[tuple[float, int], list[tuple[FloatArray, FloatArray]]] = {}
    print("share  load law          turns cores logged workers   true mean |  error of ours: mean p95 p99 | naive")
    pools = ((4, 20, 8), (4, 8, 20), (4, 20, 40), (4, 40, 12), (2, 4, 16), (2, 16, 4))
    for share, load, law, turns, (cores, logged, workers) in product(
        (0.2, 0.5, 1.0), (0.5, 0.7, 0.85), ("exponential", "lognormal"), (1, 10), pools
    ):
        truth, ours, naive = case(
            logged=logged, workers=workers, cores=cores, cpu_share=share, load=load, law=law, turns=turns,
            number=number, seed=1,
        )  # fmt: skip
        errors.setdefault((share, turns), []).append((ours / truth - 1, naive / truth - 1))
        shown = " ".join(f"{e:+6.1%}" for e in ours / truth - 1)
        print(
            f"{share:5} {load:5} {law:12} {turns:5} {cores:5} {logged:6} {workers:7} {truth[0] * 1000:8.1f} ms | "
            f"{shown} | {' '.join(f'{e:+6.1%}' for e in naive / truth - 1)}",
            flush=True,
        )
    print("\nabsolute error, median and largest, by CPU share and turns")
    for (share, turns), rows in sorted(errors.items()):
        for which, label in enumerate(("ours", "naive")):
            table = np.abs(np.array([row[which] for row in rows]))
            cells = (f"{name} {np.median(e):.1%} {e.max():.1%}" for name, e in zip(names, table.T, strict=True))
            print(f"{share:4} {turns:3} {label:6}", "   ".join(cells))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
