"""X(n) of workers that share cores and database connections, from the balance equations of every state.

A request computes without a connection, waits for one, computes with it, pauses with it, gives it back, and pauses on.
All times are exponential, and what is on the CPU shares the cores. No product form is assumed, so this also knows
requests that compute while they hold a connection; it is for few workers, since every state is an unknown.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.linalg import spsolve

State = tuple[int, int, int, int]  # computing without and with a connection, pausing with and without one


def connected_throughput(
    *, workers: int, cores: float, cpu_time: float, service_time: float, connections: int, database_time: float
) -> float:
    """Completions a second of workers that are never idle."""
    held = min(database_time, service_time - cpu_time)
    inside = database_time - held
    times = (cpu_time - inside, inside, held, service_time - cpu_time - held)
    states = list(_states(workers, connections, times))
    place = {state: i for i, state in enumerate(states)}
    last = max(part for part, time in enumerate(times) if time > 0)
    done = np.zeros(len(states))
    rows, columns, rates = [], [], []
    for state, source in place.items():
        on_cpu = state[0] + state[1]
        pace = min(1.0, cores / on_cpu) if on_cpu else 1.0
        for part, number in enumerate(state):
            if number:
                rate = number / times[part] * (pace if part < 2 else 1.0)
                target = place[_after(state, part, workers, connections, times)]
                rows += [target, source]
                columns += [source, source]
                rates += [rate, -rate]
                if part == last:
                    done[source] = rate
    balance = coo_array((rates, (rows, columns)), shape=(len(states), len(states))).tolil()
    balance[-1, :] = 1.0
    share = spsolve(balance.tocsc(), np.eye(1, len(states), len(states) - 1)[0])
    return float(share @ done)


def _states(workers: int, connections: int, times: tuple[float, ...]) -> Iterator[State]:
    """Nobody waits while a connection is free, and nobody is where there is nothing to do."""
    for taken in range(min(workers, connections) + 1):
        others = workers - taken
        for inside, after in product(range(taken + 1), range(others + 1)):
            alone = range(others - after + 1) if taken == connections else (others - after,)
            for outside in alone:
                state = (outside, inside, taken - inside, after)
                if all(number == 0 or time > 0 for number, time in zip(state, times, strict=True)):
                    yield state


def _after(state: State, part: int, workers: int, connections: int, times: tuple[float, ...]) -> State:
    """The state once a request has done a part: it goes on, and who waits takes a connection given back."""
    now = list(state)
    now[part] -= 1
    while True:
        part = (part + 1) % 4
        if part == 3 and workers - sum(now) > 1:  # its connection goes to one that waits
            now[1 if times[1] > 0 else 2] += 1
        if part == 1 and now[1] + now[2] == connections:
            break  # it waits
        if times[part] > 0:
            now[part] += 1
            break
    return tuple(now)
