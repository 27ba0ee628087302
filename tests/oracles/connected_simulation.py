"""A seeded event simulation of workers that share cores and database connections; it knows no formula.

A request takes, `visits` times (geometric; once exactly for 1): CPU without a connection, then it waits for one, first
come first served, and with it takes CPU and a pause, gives it back and pauses on. All times are exponential. Requests
on the CPU share the cores equally: j of them progress at min(1, cores / j) each, work being counted in virtual time.
"""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heappush

import numpy as np

from .simulation import NEVER, Trace, exponentials, measured, uniforms

OUTSIDE, INSIDE = 0, 1  # on the CPU without and with a connection
HELD, AFTER = 0, 1  # pausing with and without one
Request = tuple[float, float]  # arrival and start


def connected_pool(
    *,
    servers: int,
    cores: float,
    cpu_time: float,
    service_time: float,
    connections: int,
    database_time: float,
    requests: int,
    seed: int,
    arrival_rate: float | None = None,
    population: int = 0,
    think_time: float = 0.0,
    visits: float = 1.0,
) -> Trace:
    """The pool, fed by a Poisson stream or by a number of thinking users."""
    rng = np.random.default_rng(seed)
    draw, toss = exponentials(rng), uniforms(rng)
    held_away = min(database_time, service_time - cpu_time)
    inside = max(database_time - held_away, 0.0) / visits
    outside = max(cpu_time / visits - inside, 0.0)
    away = (held_away / visits, max(service_time - cpu_time - held_away, 0.0) / visits)
    more, warm_up = 1 - 1 / visits, requests // 10

    now = virtual = 0.0
    queue: deque[float] = deque()  # arrivals without a worker
    asking: deque[Request] = deque()  # requests without a connection
    running: list[tuple[float, int, Request]] = []  # on the CPU: virtual finish
    pausing: list[tuple[float, int, Request]] = []
    busy = taken = 0
    sources = [next(draw) / arrival_rate] if arrival_rate else [think_time * next(draw) for _ in range(population)]
    heapify(sources)
    rows: list[tuple[float, float, float]] = []

    def compute(kind: int, request: Request) -> None:
        mean = inside if kind == INSIDE else outside
        if mean > 0:
            heappush(running, (virtual + mean * next(draw), kind, request))
        elif kind == INSIDE:
            heappush(pausing, (now + away[HELD] * next(draw), HELD, request))
        else:
            ask(request)

    def ask(request: Request) -> None:
        nonlocal taken
        if taken < connections:
            taken += 1
            compute(INSIDE, request)
        else:
            asking.append(request)

    while len(rows) < requests + warm_up:
        on_cpu = len(running)
        pace = min(1.0, cores / on_cpu) if on_cpu else 1.0
        cpu_done = now + (running[0][0] - virtual) / pace if on_cpu else NEVER
        pause_done = pausing[0][0] if pausing else NEVER
        arrival = sources[0] if sources else NEVER
        moment = min(cpu_done, pause_done, arrival)
        virtual += (moment - now) * pace
        now = moment
        if moment == arrival:
            if arrival_rate:
                sources[0] = now + next(draw) / arrival_rate
            else:
                heappop(sources)
            if busy < servers:
                busy += 1
                compute(OUTSIDE, (now, now))
            else:
                queue.append(now)
            continue
        if moment == cpu_done:
            _, kind, request = heappop(running)
            if kind == INSIDE:
                heappush(pausing, (now + away[HELD] * next(draw), HELD, request))
            else:
                ask(request)
            continue
        _, kind, request = heappop(pausing)
        if kind == HELD:
            taken -= 1
            if asking:
                ask(asking.popleft())
            if away[AFTER] > 0:
                heappush(pausing, (now + away[AFTER] * next(draw), AFTER, request))
                continue
        if more > 0 and next(toss) < more:
            compute(OUTSIDE, request)
            continue
        arrived, started = request
        rows.append((started - arrived, now - arrived, now))
        if not arrival_rate:
            heappush(sources, now + think_time * next(draw))
        if queue:
            compute(OUTSIDE, (queue.popleft(), now))
        else:
            busy -= 1
    return measured(rows, warm_up)
