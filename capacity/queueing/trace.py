"""FCFS G/G/c on a trace: the wait of every request of a log or of a simulation, exactly, with no distribution assumed.

Two ways give the same bits. A heap of the times at which servers become free answers request by request. Where
few wait, the starts of a whole block are guessed and proved instead: whatever order statistics the guess yields
must reproduce it. A block that resists goes to the heap, and the longer blocks resist, the longer the heap keeps on.
"""

from __future__ import annotations

import math
from collections import deque
from heapq import heapreplace

import numpy as np
from numpy.typing import ArrayLike

from capacity.queueing._evaluate import Array, FloatOrArray, as_float64, counts

__all__ = ["replay"]

_BLOCK = 512  # long enough to pay for a NumPy call, short enough that often nobody in it waits
_ROUNDS = 5  # a block that needs more guesses costs more than the heap
_MOVED = 0.25  # nor does guessing end in so few rounds where more than this share still moves
_PAUSE = 32  # blocks, at most, that go to the heap at once after one that resisted
_LONGER = 4  # blocks at a time then: few conversions between list and array, and the lists stay in the cache
_SCAN = 65_536  # elements to check at once, so that the checks need no memory of the trace's length


def replay(
    *, arrival_times: ArrayLike, service_times: ArrayLike, servers: ArrayLike, backlog: ArrayLike = math.inf
) -> FloatOrArray:
    r"""Waiting time of each request of a trace through c servers, first come first served: G/G/c, exact.

    .. math::
        W_i = \max(0, F_i - A_i), \quad F_i = \text{the } c\text{-th largest of } \{A_j + W_j + S_j : j < i\}

    and 0 for the first c requests. A request that finds c servers busy and ``backlog`` requests waiting is refused.

    Parameters
    ----------
    arrival_times : array_like
        A [s] along the last axis, in the order of arrival: nowhere descending; of any sign and origin, finite. Equal
        times keep their order. An access log is in the order of the *ends* of requests: sort it by arrival before.
    service_times : array_like
        S [s] of the same requests, >= 0; ``inf`` holds a server for ever. One number serves all of them alike.
    servers : array_like
        c [-], whole, >= 0. An array answers each count, on axes before that of the trace.
    backlog : array_like
        Waiting places [-], whole, >= 0, ``inf`` (the default) without a limit; an array like ``servers``.

    Returns
    -------
    float or ndarray
        Time [s]; ``inf`` for a request that is never served: refused, or behind servers that never become free.
        ``servers`` of shape (k,) and a trace of n requests give (k, n); one request given by scalars gives a float.

    Notes
    -----
    Share refused: ``np.isinf(waits).mean()``. Mean of those let in: ``waits[np.isfinite(waits)].mean()``. Refused
    requests count as the worst in a quantile over all, and make a mean over all inf rather than quietly better.

    NaN from the first request out of domain on (a NaN, a negative service time, an arrival before its predecessor):
    nobody behind it can be answered, those before it are as without it. All NaN for ``servers`` or ``backlog`` out of
    domain. All inf without servers, 0 with as many servers as requests. A server that becomes free in the instant of
    an arrival takes it; a place that becomes free in that instant is free.

    Times are counted from the first arrival, which loses nothing of the microseconds of epoch seconds; after that,
    one rounding for each service. O(log c) a request at worst; beside the arrays, memory for a few times c and
    ``backlog`` numbers.

    References
    ----------
    J. Kiefer, J. Wolfowitz, On the theory of queues with many servers, Trans. Amer. Math. Soc. 78 (1955) 1-18.

    Examples
    --------
    >>> replay(arrival_times=[0, 1, 2, 2], service_times=[4, 4, 1, 1], servers=[1, 2])
    array([[0., 3., 6., 7.],
           [0., 0., 2., 3.]])
    >>> replay(arrival_times=[0, 1, 2, 2], service_times=[4, 4, 1, 1], servers=2, backlog=1)
    array([ 0.,  0.,  2., inf])
    """
    arrivals, services = (
        as_float64(name, value) for name, value in (("arrival_times", arrival_times), ("service_times", service_times))
    )
    counted, places = as_float64("servers", servers), as_float64("backlog", backlog)
    of_one = arrivals.ndim == services.ndim == 0
    arrivals, services = np.atleast_1d(arrivals), np.atleast_1d(services)
    try:
        length = np.broadcast_shapes(arrivals.shape[-1:], services.shape[-1:])
        shape = np.broadcast_shapes(arrivals.shape[:-1], services.shape[:-1], counted.shape, places.shape)
    except ValueError:
        message = (
            f"shapes do not broadcast together: arrival_times {arrivals.shape}, service_times {services.shape} "
            f"(the last axis is the trace), servers {counted.shape}, backlog {places.shape}"
        )
        raise ValueError(message) from None
    arrivals, services = np.broadcast_to(arrivals, shape + length), np.broadcast_to(services, shape + length)
    counted, places = np.broadcast_to(counted, shape), np.broadcast_to(places, shape)
    waits = np.full(shape + length, np.nan)
    with np.errstate(all="ignore"):
        known = counts(counted) & (counts(places) | (places == np.inf))
        for index in np.ndindex(shape):
            if known[index]:
                _fill(waits[index], arrivals[index], services[index], float(counted[index]), float(places[index]))
    if of_one:
        waits = waits[..., 0]
    return waits if waits.ndim else float(waits)


def _fill(waits: Array, arrivals: Array, services: Array, servers: float, backlog: float) -> None:
    """Write the waits of one trace, as far as it is in domain."""
    size = _in_domain(arrivals, services)
    if size <= servers or servers == 0:
        waits[:size] = 0.0 if servers else np.inf
        return
    backlog = backlog if backlog < size else math.inf
    free, waiting = np.zeros(int(servers)), np.empty(0)
    block = max(_BLOCK, 2 * free.size)  # merging the free times costs little beside the block itself
    origin, done, pause, resume = arrivals[0], 0, 0, 0
    while done < size:
        hopeful = done >= resume and waiting.size <= block  # so that a long queue is carried on rarely
        part = slice(done, min(done + (block if hopeful else max(_LONGER * block, waiting.size)), size))
        arrived, served = arrivals[part] - origin, services[part]
        proved = _prove(arrived, served, free) if hopeful else None
        if proved is not None and not _somebody_refused(arrived, proved[0], waiting, backlog):
            pause = 0
            starts, free = proved
            waiting = np.concatenate((waiting, starts)) if backlog < math.inf else waiting
        else:
            if hopeful:
                pause = min(2 * pause + 1, _PAUSE)
                resume = done + pause * block
            starts, free, waiting = _serve(arrived, served, free, waiting, backlog)
        waiting = waiting[waiting.searchsorted(arrived[-1], side="right") :]
        np.subtract(starts, arrived, out=waits[part])
        done = part.stop


def _in_domain(arrivals: Array, services: Array) -> int:
    """How many requests come before the first that has no place in a trace."""
    for start in range(0, arrivals.size, _SCAN):
        part = arrivals[start : start + _SCAN]
        ok = np.isfinite(part - arrivals[0]) & (services[start : start + _SCAN] >= 0)
        ok[0] &= part[0] >= arrivals[max(start - 1, 0)]
        ok[1:] &= part[1:] >= part[:-1]
        if not ok.all():
            return start + int(ok.argmin())
    return arrivals.size


def _prove(arrived: Array, services: Array, free: Array) -> tuple[Array, Array] | None:
    """Starts of a block and the free times after it; None where guessing does not come to an end soon.

    Request i starts at its arrival or at the i-th of the free times and the departures of those before it. Later
    departures come after its start, so the i-th of *all* departures does as well; starts that are reproduced
    by their own departures are therefore the right ones. A service too short to move the clock would void that.
    """
    starts = arrived
    for _ in range(_ROUNDS):
        departures = starts + services
        merged = np.concatenate((free, departures))
        merged.sort()
        again = np.maximum(arrived, merged[: arrived.size])
        moved = np.count_nonzero(again != starts)
        if not moved:
            return (starts, merged[arrived.size :]) if (departures > starts).all() else None
        if moved > _MOVED * starts.size:
            return None
        starts = again
    return None


def _somebody_refused(arrived: Array, starts: Array, waiting: Array, backlog: float) -> bool:
    """Whether, were everybody let in, an arrival would find the one `backlog` places before it still waiting."""
    if backlog >= waiting.size + starts.size:
        return False
    ahead = np.concatenate((waiting, starts))[: waiting.size + starts.size - int(backlog)]
    return bool((ahead > arrived[-ahead.size :]).any())


def _serve(arrived: Array, services: Array, free: Array, waiting: Array, backlog: float) -> tuple[Array, Array, Array]:
    """Starts (inf where refused), free times and the last starts of those let in; by the heap."""
    heap = free.tolist()  # sorted, and so a heap
    # read one by one, a number lives shortly and in the cache; lists of them cost a tenth of the whole
    requests = zip(arrived.data, services.data, strict=True)
    if math.isinf(backlog):
        freed = [heapreplace(heap, (at if at > heap[0] else heap[0]) + service) for at, service in requests]
        starts = np.maximum(arrived, np.fromiter(freed, float, len(freed)))
    else:
        # Starts are in order: all places are taken while the request `backlog` before this one has not begun.
        begun, last = [], deque(waiting.tolist(), int(backlog))
        for at, service in requests:
            start = heap[0]
            if start <= at:
                start = at
            elif len(last) == backlog and (not last or last[0] > at):
                begun.append(math.inf)
                continue
            heapreplace(heap, start + service)
            begun.append(start)
            last.append(start)
        starts, waiting = np.fromiter(begun, float, len(begun)), np.fromiter(last, float, len(last))
    heap.sort()
    return starts, np.fromiter(heap, float, len(heap)), waiting
