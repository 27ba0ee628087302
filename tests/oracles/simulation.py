"""A seeded event simulation: the second witness, which knows no formula at all.

First come, first served throughout. In the pool whose workers share cores a request needs CPU and off-CPU time in
turn (`visits` turns on average, geometric; 1 turn exactly for visits = 1, CPU first), and the requests on the CPU
share the cores equally: j of them progress at min(1, cores / j) each, work being counted in virtual time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heapify, heappop, heappush, heapreplace

import numpy as np
from numpy.typing import NDArray

NEVER = float("inf")
T_999 = 3.659  # Student's t, 29 degrees of freedom, two-sided 99.9 %
BATCHES = 30


@dataclass(frozen=True)
class Trace:
    """What happened to each measured request, in the order of departure."""

    waits: NDArray[np.float64]
    responses: NDArray[np.float64]
    departures: NDArray[np.float64]

    def throughput(self) -> tuple[float, float]:
        """Completions a second: mean and half-width."""
        edges = self.departures[:: len(self.departures) // BATCHES][: BATCHES + 1]
        size = len(self.departures) // BATCHES
        return interval(size / np.diff(edges))


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and 99.9 % half-width by batch means (values that are batch means already are left as they are)."""
    if len(values) > 2 * BATCHES:
        values = values[: len(values) // BATCHES * BATCHES].reshape(BATCHES, -1).mean(axis=1)
    return float(values.mean()), float(T_999 * values.std(ddof=1) / np.sqrt(len(values)))


def exponentials(rng: np.random.Generator) -> Iterator[float]:
    """Unit exponentials without end."""
    while True:
        yield from rng.standard_exponential(65_536).tolist()


def uniforms(rng: np.random.Generator) -> Iterator[float]:
    """Uniforms on [0, 1) without end."""
    while True:
        yield from rng.random(65_536).tolist()


def measured(rows: list[tuple[float, float, float]], warm_up: int) -> Trace:
    """Drop the warm-up and turn rows into columns."""
    table = np.array(rows[warm_up:])
    return Trace(table[:, 0], table[:, 1], table[:, 2])


def open_queue(*, servers: int, arrival_rate: float, service_time: float, requests: int, seed: int) -> Trace:
    """M/M/c: one heap of the times at which servers become free."""
    rng = np.random.default_rng(seed)
    warm_up = requests // 10
    arrivals = np.cumsum(rng.exponential(1 / arrival_rate, requests + warm_up)).tolist()
    services = rng.exponential(service_time, requests + warm_up).tolist()
    free = [0.0] * servers
    rows = []
    for arrival, service in zip(arrivals, services, strict=True):
        start = max(arrival, free[0])
        heapreplace(free, start + service)
        rows.append((start - arrival, start + service - arrival, start + service))
    return measured(rows, warm_up)


def closed_queue(
    *, servers: int, population: int, think_time: float, service_time: float, requests: int, seed: int
) -> Trace:
    """M/M/c//N: a heap of the users' next requests beside the heap of free times."""
    rng = np.random.default_rng(seed)
    warm_up = requests // 10
    draw = exponentials(rng)
    users = [think_time * next(draw) for _ in range(population)]
    heapify(users)
    free = [0.0] * servers
    rows = []
    for _ in range(requests + warm_up):
        arrival = users[0]  # requests are served in the order in which they are made
        start = max(arrival, free[0])
        done = start + service_time * next(draw)
        heapreplace(free, done)
        heapreplace(users, done + think_time * next(draw))
        rows.append((start - arrival, done - arrival, done))
    rows[warm_up:] = sorted(rows[warm_up:], key=lambda row: row[2])
    return measured(rows, warm_up)


def shared_pool(
    *,
    servers: int,
    cores: float,
    cpu_time: float,
    service_time: float,
    requests: int,
    seed: int,
    arrival_rate: float | None = None,
    population: int | None = None,
    think_time: float = 0.0,
    visits: float = 1.0,
) -> Trace:
    """Workers that share cores, fed by a Poisson stream or by a number of thinking users."""
    rng = np.random.default_rng(seed)
    draw, toss = exponentials(rng), uniforms(rng)
    cpu_part, away_part, more = cpu_time / visits, (service_time - cpu_time) / visits, 1 - 1 / visits
    warm_up = requests // 10

    now = virtual = 0.0
    queue: deque[float] = deque()  # arrival times of those without a worker
    running: list[tuple[float, float, float]] = []  # on the CPU: (virtual finish, arrival, start)
    away: list[tuple[float, float, float]] = []  # off the CPU: (finish, arrival, start)
    busy = 0
    if population is None:
        sources = [next(draw) / arrival_rate]
    else:
        sources = [think_time * next(draw) for _ in range(population)]
        heapify(sources)

    rows: list[tuple[float, float, float]] = []
    while len(rows) < requests + warm_up:
        on_cpu = len(running)
        pace = min(1.0, cores / on_cpu) if on_cpu else 1.0
        cpu_done = now + (running[0][0] - virtual) / pace if on_cpu else NEVER
        away_done = away[0][0] if away else NEVER
        arrival = sources[0] if sources else NEVER

        if arrival <= cpu_done and arrival <= away_done:
            virtual += (arrival - now) * pace
            now = arrival
            if population is None:
                sources[0] = now + next(draw) / arrival_rate
            else:
                heappop(sources)
            if busy < servers:
                busy += 1
                heappush(running, (virtual + cpu_part * next(draw), now, now))
            else:
                queue.append(now)
            continue

        if cpu_done <= away_done:
            now = cpu_done
            virtual, arrived, started = heappop(running)
            if away_part > 0:
                heappush(away, (now + away_part * next(draw), arrived, started))
                continue
        else:
            virtual += (away_done - now) * pace
            now, arrived, started = heappop(away)

        if more > 0 and next(toss) < more:
            heappush(running, (virtual + cpu_part * next(draw), arrived, started))
            continue
        rows.append((started - arrived, now - arrived, now))
        if population is not None:
            heappush(sources, now + think_time * next(draw))
        if queue:
            heappush(running, (virtual + cpu_part * next(draw), queue.popleft(), now))
        else:
            busy -= 1
    return measured(rows, warm_up)
