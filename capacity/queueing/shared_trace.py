"""A trace of a pool whose workers share cores: the contention taken out of it, and put in again for another pool.

While n requests are held, each makes pace(n) = X(n) S / n seconds of progress a second, X being the throughput of n
workers on the cores (``contention``). The integral of the pace over the time a request was held is therefore its
service time at light load, whatever pool it was logged in; run forwards in another pool, the same clock stretches
it again. The clock is common to all requests, so going out and in again through the same pool changes nothing.
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush, heapreplace

import numpy as np

from capacity.queueing._evaluate import Array
from capacity.queueing.contention import shared_cores_throughput

_BLOCK = 1 << 16  # requests turned into Python's numbers at a time
_STEPS = 50


def starts_of(arrivals: Array, ends: Array, servers: int) -> Array:
    """When each request got its worker, of a pool that served its requests first come first served.

    In whatever order they are served, the k-th start comes with the k-th arrival or with the (k - c)-th end, whichever
    is later: none of it need have been logged. `arrivals` in order. A start lies after the request's own end where
    stamps are rounded, or the order was another.
    """
    starts = np.array(arrivals, dtype=np.float64)
    if servers < len(starts):
        np.maximum(starts[servers:], np.sort(ends)[:-servers], out=starts[servers:])
    return starts


def without_contention(
    starts: Array, ends: Array, *, cores: float, cpu_time: float
) -> tuple[Array, float, Array, Array]:
    """Service times at light load of requests that were held from `starts` to `ends` on k cores.

    The mean S is the one with which the model completes as many requests as there are in the time the log spent at
    each number n of held ones: sum of T(n) X(n) = N. Gives the times, S, and of every n that occurs T(n) and X(n).
    """
    size = len(starts)
    moments = np.concatenate((starts, ends))
    who = np.argsort(moments, kind="stable")  # below `size` a start; at one moment ends come last
    held = np.cumsum(np.where(who < size, np.int8(1), np.int8(-1)), dtype=np.int32)[:-1]  # from each moment on
    gaps = np.diff(moments[who])
    every = np.bincount(held, gaps)
    levels = 1 + np.flatnonzero(every[1:] > 0)
    spent = every[levels].astype(np.float64)
    mean = float((ends - starts).mean())
    cpu_time = min(cpu_time, mean)

    def rates(service_time: float) -> Array:
        found = shared_cores_throughput(workers=levels, cores=cores, cpu_time=cpu_time, service_time=service_time)
        return np.asarray(found, dtype=np.float64)

    low, high = cpu_time, mean
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if spent @ rates(middle) > size else (low, middle)
    rate = rates(high)
    pace = np.ones(len(every))
    pace[levels] = np.minimum(1.0, rate * high / levels)
    gaps *= pace[held]
    np.cumsum(gaps, out=gaps)
    clock = moments  # no longer needed as they were: the common clock at each of them
    clock[who[0]], clock[who[1:]] = 0.0, gaps
    return np.maximum(clock[size:] - clock[:size], 0.0), high, spent, rate


def pace_of(servers: int, *, cores: float, cpu_time: float, service_time: float) -> list[float]:
    """Seconds of progress a second that each of n = 0..c held requests makes."""
    held = np.arange(1, servers + 1)
    rate = shared_cores_throughput(workers=held, cores=cores, cpu_time=cpu_time, service_time=service_time)
    return [1.0, *np.minimum(1.0, np.asarray(rate) * service_time / held).tolist()]


def replay_shared(
    arrivals: Array,
    services: Array,
    *,
    pace: list[float],
    backlog: float = math.inf,
    told: Callable[[int], object] = lambda done: None,
) -> tuple[Array, Array]:
    """Wait of each request, and how long it held its worker, in a pool of len(pace) - 1 workers; FCFS.

    `arrivals` in order. Refused requests wait inf. `told` is called with the number of requests now and then.
    """
    size, servers = len(arrivals), len(pace) - 1
    waits, held = array("d", bytes(8 * size)), array("d", bytes(8 * size))
    running: list[tuple[float, int, float]] = []  # a heap of (end on the common clock, request, start)
    queue: deque[tuple[int, float, float]] = deque()
    now = clock = 0.0

    def leave(until: float) -> None:
        """Let everybody leave who does so by then."""
        nonlocal now, clock
        while running:
            end, who, start = running[0]
            at = now + (end - clock) / pace[len(running)]
            if at > until:
                return
            now, clock = max(now, at), end
            held[who] = now - start
            if queue:
                following, came, service = queue.popleft()
                waits[following] = now - came
                heapreplace(running, (clock + service, following, now))
            else:
                heappop(running)

    for first in range(0, size, _BLOCK):
        part = slice(first, first + _BLOCK)
        requests = zip(arrivals[part].tolist(), services[part].tolist(), strict=True)
        for request, (came, service) in enumerate(requests, first):
            leave(came)
            busy = len(running)
            clock = clock + (came - now) * pace[busy] if busy else 0.0  # small numbers lose nothing
            now = came
            if busy < servers:
                heappush(running, (clock + service, request, came))
            elif len(queue) < backlog:
                queue.append((request, came, service))
            else:
                waits[request] = math.inf
        told(first)
    leave(math.inf)
    return np.frombuffer(waits), np.frombuffer(held)
