"""The state of a pool between two events, and what each event does to it: the inside of the simulator."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Final, NamedTuple

from capacity.errors import InvalidInput, Problem
from capacity.fpm.maintenance import IDLE_TIMEOUT, maintain
from capacity.pool import PoolSettings

__all__ = ["MOST_TICKS", "Clock", "PoolState", "Tick", "accept_places"]

MOST_TICKS: Final = 1_000_000
"""How long a run may be [-]: eleven days."""

_NEVER = math.inf


def accept_places(listen_backlog: int | None, somaxconn: int) -> int:
    """Requests the kernel lets wait on a unix socket: min(listen.backlog, somaxconn) + 1; -1, or None, asks for all."""
    return (somaxconn if listen_backlog is None or listen_backlog < 0 else min(listen_backlog, somaxconn)) + 1


class Tick(NamedTuple):
    """What the master sees at one tick; FPM writes it to a log of level debug, for a dynamic pool in full.

    Parameters
    ----------
    time : float
        Time of the tick [s].
    active, idle, running : int
        Workers at a request or not yet ready for one, idle workers, all workers [-].
    spawn_rate : int
        Most workers this tick may fork [-].
    """

    time: float
    active: int
    idle: int
    running: int
    spawn_rate: int


class Clock:
    """The times of the ticks, one after the other."""

    def __init__(self, first: float, tick: float, given: Sequence[float] | None) -> None:
        self.first, self.tick, self.given, self.count = first, tick, given, 0
        self.next = self._time()

    def _time(self) -> float:
        if self.given is None:
            return self.first + self.count * self.tick
        return self.given[self.count] if self.count < len(self.given) else _NEVER

    def go_on(self) -> None:
        """Take the next tick."""
        self.count += 1
        if self.count > MOST_TICKS:
            raise InvalidInput([Problem("arrival_times", f"must not need more than {MOST_TICKS} ticks")])
        self.next = self._time()


class _Worker:
    __slots__ = ("idle_since", "number", "request", "served")

    def __init__(self, number: int) -> None:
        self.number = number  # in the order of starts
        self.request = -1  # none
        self.served = 0
        self.idle_since = -_NEVER


class PoolState:
    """The state of a pool between two events."""

    def __init__(
        self,
        pool: PoolSettings,
        start: float,
        clock: Clock,
        fork_time: float,
        process_max: int | None,
        somaxconn: int,
        services: list[float],
        workers: int | None = None,
    ) -> None:
        self.pool, self.clock, self.fork_time, self.services = pool, clock, fork_time, services
        self.now = self.master_free = start
        self.wake = _NEVER  # when the master looks at a connection that came while it forked
        self.places = accept_places(pool.listen_backlog, somaxconn)
        self.most = pool.max_children if process_max is None else min(pool.max_children, process_max)
        self.ondemand, self.dynamic = pool.pm == "ondemand", pool.pm == "dynamic"
        self.starts = [_NEVER] * len(services)
        self.seen: list[Tick] = []
        self.queue: deque[int] = deque()
        self.idle: deque[_Worker] = deque()
        self.busy: list[tuple[float, int, _Worker]] = []  # by the time they become free
        self.spawn_rate, self.warned = 1, False
        self.started = self.stopped = self.recycled = self.full_episodes = self.born = 0
        first = self.most if pool.pm == "static" else pool.start_servers or 0 if workers is None else workers
        first = min(first, self.most)
        if self.dynamic:
            first = max(first, 1)  # a dynamic pool never has none
        self.running = first
        self.changes = [(start, first)]
        for _ in range(first):
            self._rest(self._birth())

    def advance(self, until: float) -> None:
        """Everything that happens up to and at this time, but no arrival."""
        while True:
            free = self.busy[0][0] if self.busy else _NEVER
            at = min(free, self.clock.next, self.wake)
            if at > until:
                break
            self.now = max(at, self.now)
            if free <= at:
                self._freed(heappop(self.busy)[2])
            elif self.clock.next <= at:
                self._tick()
            else:
                self.wake = _NEVER
                self._connected()
        self.now = max(self.now, until)

    def arrive(self, number: int, at: float) -> None:
        """Request `number` reaches the socket at the present time."""
        if self.idle:
            self._serve(self.idle.popleft(), number)
            return
        if len(self.queue) >= self.places:
            return
        self.queue.append(number)
        if self.ondemand:
            if self.master_free > at:
                self.wake = self.master_free
            else:
                self._connected()

    def finish(self, until: float) -> None:
        """Serve whoever is there, and tick until the given time."""
        while self.queue or self.busy:
            self.advance(min(self.clock.next, self.busy[0][0] if self.busy else _NEVER))
        if until > self.now:
            self.advance(until)

    def _birth(self) -> _Worker:
        self.born += 1
        return _Worker(self.born)

    def _serve(self, worker: _Worker, number: int) -> None:
        worker.request = number
        self.starts[number] = self.now
        heappush(self.busy, (self.now + self.services[number], worker.number, worker))

    def _rest(self, worker: _Worker) -> None:
        worker.request, worker.idle_since = -1, self.now
        self.idle.append(worker)

    def _freed(self, worker: _Worker) -> None:
        """End a request, or a fork."""
        worker.served += worker.request >= 0
        if self.pool.max_requests and worker.served >= self.pool.max_requests:
            self.recycled += 1
            self._fork()
        elif self.queue:
            self._serve(worker, self.queue.popleft())
        else:
            self._rest(worker)

    def _fork(self) -> None:
        """One fork after the other."""
        self.master_free = max(self.master_free, self.now) + self.fork_time
        worker = self._birth()
        heappush(self.busy, (self.master_free, worker.number, worker))

    def _grow(self, forks: int) -> None:
        self.warned = False
        for _ in range(min(forks, self.most - self.running)):
            self._fork()
            self.started += 1
            self.running += 1
            self.changes.append((self.now, self.running))

    def _warn(self) -> None:
        self.full_episodes += not self.warned
        self.warned = True

    def _connected(self) -> None:
        """What the master of an ondemand pool does about a connection that waits."""
        if not self.queue:
            return
        if self.running >= self.pool.max_children:
            self._warn()
        else:
            self._grow(1)

    def _tick(self) -> None:
        self.clock.go_on()
        idle = len(self.idle)
        self.seen.append(Tick(self.now, self.running - idle, idle, self.running, self.spawn_rate))
        if self.ondemand:
            oldest = min(self.idle, key=_number, default=None)
            timeout = self.pool.process_idle_timeout or IDLE_TIMEOUT
            if oldest and oldest.idle_since < math.floor(self.now) - timeout:
                self._stop(oldest)
        elif self.dynamic:
            done = maintain(self.pool, idle=idle, running=self.running, spawn_rate=self.spawn_rate)
            self.spawn_rate = done.spawn_rate
            if done.full:
                self._warn()
            if done.forks:
                self._grow(done.forks)
            if done.stops:
                self._stop(min(self.idle, key=_number))

    def _stop(self, worker: _Worker) -> None:
        self.idle.remove(worker)
        self.stopped += 1
        self.running -= 1
        self.changes.append((self.now, self.running))


def _number(worker: _Worker) -> int:
    return worker.number
