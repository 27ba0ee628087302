"""A pool watched for a while: its status page, its accept queue and the CPU time of its workers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import psutil
from numpy.typing import NDArray

from capacity.errors import InvalidInput, MeasurementError
from capacity.estimation import Estimate, mean, rate, ratio
from capacity.fpm.status import PoolStatus
from capacity.measure.accept_queue import AcceptQueue, accept_queue
from capacity.measure.fastcgi import ask_status, parse_address
from capacity.measure.listing import RunningPool

__all__ = ["Sampled", "Watch"]

FloatArray = NDArray[np.float64]

_INTERVAL = 0.5
_TIMEOUT = 2.0
_LEAST_REQUESTS = 30
_MOST_FAILURES = 3


@dataclass(frozen=True)
class Sampled:
    """What was seen of a pool in a window of time; None where it could not be.

    Parameters
    ----------
    seconds : float
        Length of the window [s].
    looks : int
        How often the pool was looked at.
    arrival_rate : Estimate or None
        Requests the pool took [1/s].
    busy : Estimate or None
        Mean number of busy workers.
    most_busy : int or None
    service_time : Estimate or None
        Busy workers over arrival rate, by Little's law: everything that holds a worker is in it [s].
    cpu_time : Estimate or None
        CPU time the workers took, over the requests they served [s].
    other_cores : float or None
        CPU cores everything that is not this pool used.
    waiting : Estimate or None
        Mean length of the accept queue.
    most_waiting : int or None
    most_stuck : int
        Workers seen in "Reading headers" at the same time.
    workers : tuple of (int, int)
        Fewest and most workers.
    limit_reached : int or None
        How often a dynamic or ondemand pool came to its max_children.
    requests : int
        Served in the window.
    notes : tuple of str
    """

    seconds: float
    looks: int
    arrival_rate: Estimate | None
    busy: Estimate | None
    most_busy: int | None
    service_time: Estimate | None
    cpu_time: Estimate | None
    other_cores: float | None
    waiting: Estimate | None
    most_waiting: int | None
    most_stuck: int
    workers: tuple[int, int]
    limit_reached: int | None
    requests: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Look:
    time: float
    status: PoolStatus | None
    queue: AcceptQueue | None
    cpu_time: float
    machine: float
    workers: int


@dataclass
class Watch:
    """Looks at a pool as often as it is told to.

    Parameters
    ----------
    pool : RunningPool
    """

    pool: RunningPool
    _looks: list[_Look] = field(default_factory=list)
    _cpu: dict[int, float] = field(default_factory=dict)
    _spent: float = 0.0
    _failures: list[str] = field(default_factory=list)
    _queue_seen: bool = True
    _ended: bool = False
    _recycled: bool = False
    _total: float = 0.0

    def watch(self, seconds: float, *, told: Callable[[float], None] = lambda elapsed: None) -> None:
        """Look every half second for so long.

        Parameters
        ----------
        seconds : float
        told : callable
            Called after every look with the time gone by [s]. What it raises ends the watch; what was
            seen until then stays.
        """
        start = time.monotonic()
        while True:
            self.look()
            elapsed = time.monotonic() - start
            told(min(elapsed, seconds))
            if elapsed >= seconds:
                return
            time.sleep(min(_INTERVAL, max(0.0, seconds - elapsed)))

    def look(self) -> None:
        """Take one reading."""
        status = self._status()
        queue = self._accept_queue()
        times = psutil.cpu_times()
        machine = sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0)
        workers = self._count_cpu()
        self._looks.append(_Look(time.monotonic(), status, queue, self._spent, machine, workers))

    def result(self) -> Sampled:
        """Sum up.

        Returns
        -------
        Sampled
        """
        looks = self._looks
        seconds = looks[-1].time - looks[0].time if looks else 0.0
        seen = [look for look in looks if look.status is not None and look.status.accepted is not None]
        busy = np.array([look.status.busy(self._own_query) for look in seen if look.status is not None], float)
        taken, held, lasted, cpu = self._intervals(seen, busy)
        enough = len(taken) > 0 and taken.sum() >= _LEAST_REQUESTS
        waiting = np.array([look.queue.waiting for look in looks if look.queue is not None], float)
        counts = [look.workers for look in looks]
        return Sampled(
            seconds=seconds,
            looks=len(looks),
            arrival_rate=rate(taken, float(lasted.mean())) if len(taken) else None,
            busy=mean(busy) if len(busy) else None,
            most_busy=int(busy.max()) if len(busy) else None,
            service_time=ratio(held, taken) if enough else None,
            cpu_time=ratio(cpu, taken) if enough else None,
            other_cores=_others(looks),
            waiting=mean(waiting) if len(waiting) else None,
            most_waiting=int(waiting.max()) if len(waiting) else None,
            most_stuck=max((look.status.stuck or 0 for look in looks if look.status is not None), default=0),
            workers=(min(counts, default=0), max(counts, default=0)),
            limit_reached=_grown(seen),
            requests=int(taken.sum()) if len(taken) else 0,
            notes=self._notes(seen, restarted=len(taken) < len(seen) - 1),
        )

    @property
    def _own_query(self) -> bool:
        return self.pool.status_listen is None

    def _intervals(self, seen: list[_Look], busy: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Requests taken, seconds that workers were held, seconds and CPU seconds between one look and the next."""
        accepted = np.array([look.status.accepted for look in seen if look.status is not None], float)
        counted = np.diff(accepted)
        lasted = np.diff([look.time for look in seen])
        cpu = np.diff([look.cpu_time for look in seen])
        held = (busy[1:] + busy[:-1]) / 2 * lasted
        good = counted >= 0  # after a reload FPM counts from 0 again
        taken = np.maximum(counted - (1 if self._own_query else 0), 0)
        return taken[good], held[good], lasted[good], cpu[good]

    def _status(self) -> PoolStatus | None:
        address = self.pool.status_listen or self.pool.listen
        if self.pool.status_path is None or address is None or len(self._failures) >= _MOST_FAILURES:
            return None
        try:
            return ask_status(parse_address(address), self.pool.status_path, full=True, timeout=_TIMEOUT)
        except (InvalidInput, MeasurementError) as error:
            self._failures.append(str(error))
            return None

    def _accept_queue(self) -> AcceptQueue | None:
        if not self._queue_seen or self.pool.listen is None:
            return None
        queue = accept_queue(self.pool.listen)
        self._queue_seen = queue is not None
        return queue

    def _count_cpu(self) -> int:
        """Add the CPU time the workers took since the last look; give how many there are."""
        now: dict[int, float] = {}
        try:
            master = psutil.Process(self.pool.master_pid)
            children = master.children()
            times = master.cpu_times()
        except psutil.Error:
            self._ended = True
            return 0
        for child in children:
            try:
                if child.pid not in self._cpu and not self._is_worker(child):
                    continue
                spent = child.cpu_times()
            except psutil.Error:
                continue
            now[child.pid] = spent.user + spent.system
        before, self._cpu = self._cpu, now
        first = not self._looks
        if self.pool.pools_of_master == 1:
            # What workers that have gone took is in the master's own books, also of those no look ever met.
            reaped = times.children_user + times.children_system
            total = reaped + sum(now.values())
            self._spent += 0.0 if first else max(0.0, total - self._total)
            self._total = total
        else:
            # the books do not tell pools apart: what a worker took after the last look at it is lost
            self._recycled |= not first and not before.keys() <= now.keys()
            self._spent += sum(spent - before.get(pid, spent if first else 0.0) for pid, spent in now.items())
        return len(now)

    def _is_worker(self, child: psutil.Process) -> bool:
        return " ".join(child.cmdline()).strip() == f"php-fpm: pool {self.pool.name}"

    def _notes(self, seen: list[_Look], *, restarted: bool) -> tuple[str, ...]:
        notes = dict.fromkeys(self._failures)
        for look in seen[-1:]:
            if look.status is not None:
                notes |= dict.fromkeys(look.status.notes)
        said = list(notes)
        if restarted:
            said.append("FPM was restarted or reloaded while it was watched; the time across it is left out")
        if self._ended:
            said.append("the master of the pool ended while it was watched")
        if self._recycled:
            said.append(
                "workers ended while they were watched (pm.max_requests?) and other pools run beside this one: "
                "cpu_time lacks what they took last"
            )
        return tuple(said)


def _others(looks: list[_Look]) -> float | None:
    if len(looks) < 2:
        return None
    first, last = looks[0], looks[-1]
    used = last.machine - first.machine - (last.cpu_time - first.cpu_time)
    return max(0.0, used / (last.time - first.time)) if last.time > first.time else None


def _grown(seen: list[_Look]) -> int | None:
    counts = [look.status.max_children_reached for look in seen if look.status is not None]
    known = [count for count in counts if count is not None]
    return max(0, known[-1] - known[0]) if known else None
