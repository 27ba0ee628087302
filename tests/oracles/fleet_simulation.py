"""A seeded event simulation of several pools on one host, and of several hosts behind a balancer; it knows no formula.

Every pool is first come, first served. A request needs CPU and off-CPU time in turn (`visits` turns on average,
geometric; once exactly for 1, CPU first), all times exponential; the requests on the CPU of a host, of whatever pool,
share its cores equally: j of them progress at min(1, cores / j) each, work being counted in the host's virtual time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np

from .simulation import NEVER, Trace, exponentials, measured, uniforms


class Pool(NamedTuple):
    """A pool of a host; `cpu_time` 0 leaves the cores alone."""

    servers: int
    cpu_time: float
    service_time: float


@dataclass
class Station:
    """A pool with who is in it."""

    pool: Pool
    host: int
    busy: int = 0
    queue: deque[tuple[float, int]] = field(default_factory=deque)

    @property
    def connections(self) -> int:
        return self.busy + len(self.queue)


@dataclass
class Cores:
    """The cores of a host with the requests on them: (virtual finish, station, stream, arrival, start)."""

    cores: float
    virtual: float = 0.0
    at: float = 0.0
    running: list[tuple[float, int, int, float, float]] = field(default_factory=list)

    @property
    def pace(self) -> float:
        return min(1.0, self.cores / len(self.running)) if self.running else 1.0

    def advance(self, now: float) -> None:
        self.virtual += (now - self.at) * self.pace
        self.at = now

    def next_end(self) -> float:
        return self.at + (self.running[0][0] - self.virtual) / self.pace if self.running else NEVER


def fleet(
    *,
    cores: Sequence[float],
    pools: Sequence[tuple[int, Pool]],
    streams: Sequence[tuple[float, Sequence[int]]],
    balancing: str = "random",
    visits: float = 1.0,
    requests: int,
    seed: int,
) -> list[Trace]:
    """Hosts with so many cores, pools (each on a host), and Poisson streams, each to one or more of the pools."""
    rng = np.random.default_rng(seed)
    draw, toss = exponentials(rng), uniforms(rng)
    hosts = [Cores(value) for value in cores]
    stations = [Station(pool, host) for host, pool in pools]
    arrivals = [(next(draw) / rate, place) for place, (rate, _) in enumerate(streams)]
    turn = [0] * len(streams)
    away: list[tuple[float, int, int, float, float]] = []
    rows: list[list[tuple[float, float, float]]] = [[] for _ in streams]
    more, warm_up, done, now = 1 - 1 / visits, requests // 10, 0, 0.0

    def begin(place: int, stream: int, arrived: float, started: float) -> None:
        station = stations[place]
        cpu = station.pool.cpu_time / visits
        if cpu > 0:
            host = hosts[station.host]
            host.advance(now)
            heappush(host.running, (host.virtual + cpu * next(draw), place, stream, arrived, started))
        else:
            leave_cpu(place, stream, arrived, started)

    def leave_cpu(place: int, stream: int, arrived: float, started: float) -> None:
        pool = stations[place].pool
        pause = (pool.service_time - pool.cpu_time) / visits
        heappush(away, (now + pause * next(draw) if pause > 0 else now, place, stream, arrived, started))

    def choose(stream: int) -> int:
        places = streams[stream][1]
        if len(places) == 1:
            return places[0]
        if balancing == "round_robin":
            turn[stream] = (turn[stream] + 1) % len(places)
            return places[turn[stream]]
        if balancing == "least_connections":
            least = min(stations[place].connections for place in places)
            places = [place for place in places if stations[place].connections == least]
        return places[int(next(toss) * len(places))]

    while done < requests + warm_up:
        arrival, stream = min(arrivals)
        ends = [host.next_end() for host in hosts]
        end = min(ends)
        pause = away[0][0] if away else NEVER
        if arrival <= end and arrival <= pause:
            now = arrival
            arrivals[stream] = (now + next(draw) / streams[stream][0], stream)
            place = choose(stream)
            station = stations[place]
            if station.busy < station.pool.servers:
                station.busy += 1
                begin(place, stream, now, now)
            else:
                station.queue.append((now, stream))
            continue
        if end <= pause:
            now = end
            host = hosts[ends.index(end)]
            host.advance(now)
            _, place, stream, arrived, started = heappop(host.running)
            leave_cpu(place, stream, arrived, started)
            continue
        now, place, stream, arrived, started = heappop(away)
        if more > 0 and next(toss) < more:
            begin(place, stream, arrived, started)
            continue
        done += 1
        rows[stream].append((started - arrived, now - arrived, now))
        station = stations[place]
        if station.queue:
            before, who = station.queue.popleft()
            begin(place, who, before, now)
        else:
            station.busy -= 1
    return [measured(found, len(found) // 10) for found in rows]
