"""Clicks and think time, where a log has the visitors' addresses.

Requests of one address that follow each other within a second are one click (a page and what it loads);
a longer pause is thinking; after half an hour of silence the visitor has left. Behind one address may stand
a whole office, and behind a fast one a crawler, so these figures carry a doubt that no interval shows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from capacity.estimation import Estimate, Tally, ratio
from capacity.fpm.access_log import FloatArray

__all__ = ["CLICK_PAUSE", "VISIT_PAUSE", "Visitors", "VisitorsTally"]

CLICK_PAUSE: Final = 1.0
"""A pause above this begins a new click [s]; logs stamp whole seconds, so it cannot be told more finely."""
VISIT_PAUSE: Final = 1800.0
"""A pause above this is no thinking [s]: the usual half hour of web analytics."""

_MOST_CLIENTS = 1 << 16
_AT_ONCE = 1 << 14
_LONGEST_ADDRESS = 256  # bytes; a name has at most 253 characters
_RATIO_BLOCKS = 4096
# No visitor: the web server itself, or nothing at all.
_NOBODY = re.compile(rb"(?:127\.[0-9.]+|::1|-|unix:)?")


@dataclass(frozen=True)
class Visitors:
    """What the visitors of a log do.

    Parameters
    ----------
    clients : int
        Different addresses, an estimate where there were more than could be followed.
    followed : float
        Share of the addresses that were followed, chosen by a hash; 1 for all.
    clicks : int
        Of the clients followed.
    requests_per_click : Estimate
    think_time : Estimate or None
        Mean pause between the end of a click and the next one [s].
    """

    clients: int
    followed: float
    clicks: int
    requests_per_click: Estimate
    think_time: Estimate | None


class VisitorsTally:
    """Follows clients through a log in bounded memory: of many, a share chosen by a hash of the address.

    Examples
    --------
    >>> tally = VisitorsTally()
    >>> ann, ben = [b"192.0.2.1"] * 4, [b"192.0.2.2"] * 2
    >>> tally.add(ann + ben, np.array([0.0, 0.5, 8.5, 18.5, 1.0, 1.5]), np.array([0.2, 0.3, 0.5, 0.5, 0.1, 0.1]))
    >>> seen = tally.result()
    >>> seen.clicks, seen.requests_per_click.value, round(seen.think_time.value, 2)
    (4, 1.5, 8.6)
    """

    def __init__(self) -> None:
        self._numbers = _Numbers()
        self._last_end = np.full(_MOST_CLIENTS, -np.inf)
        self._thinking = Tally()
        self._requests: list[float] = []
        self._clicks: list[float] = []

    def add(self, clients: Sequence[bytes], started: FloatArray, times: FloatArray | None) -> None:
        """Follow some requests.

        Parameters
        ----------
        clients : sequence of bytes
        started : array
            [s]
        times : array or None
            How long each took [s].
        """
        for at in range(0, len(clients), _AT_ONCE):
            part = slice(at, at + _AT_ONCE)
            self._follow(clients[part], started[part], None if times is None else times[part])

    def _follow(self, clients: Sequence[bytes], started: FloatArray, times: FloatArray | None) -> None:
        self._make_room(len(clients))
        numbers = np.fromiter(map(self._numbers.__getitem__, clients), np.intp, len(clients))
        known = (numbers >= 0) & np.isfinite(started)
        numbers, begin = numbers[known], started[known]
        if not len(numbers):
            return
        # what took longer than a visit may pause began none; a number out of all proportion would drown the others
        end = begin if times is None else begin + np.minimum(np.nan_to_num(times[known]), VISIT_PAUSE)
        order = np.lexsort((begin, numbers))
        numbers, begin, end = numbers[order], begin[order], end[order]
        first = np.r_[True, numbers[1:] != numbers[:-1]]
        before = _end_before(numbers, first, end, self._last_end)
        pause = begin - before
        new = pause > CLICK_PAUSE
        self._count(len(numbers), int(new.sum()))
        thinking = new & (pause <= VISIT_PAUSE)
        # in order of time again: an interval is made of how neighbours resemble each other
        self._thinking.add(pause[thinking][np.argsort(begin[thinking], kind="stable")])
        np.maximum.at(self._last_end, numbers, end)

    def result(self) -> Visitors | None:
        """Sum up, or None where no visitor can be told from another.

        Returns
        -------
        Visitors or None
        """
        clicks = int(sum(self._clicks))
        if len(self._numbers) < 2 or not clicks:
            return None
        followed = 1 / (self._numbers.mask + 1)
        return Visitors(
            round(len(self._numbers) / followed),
            followed,
            clicks,
            replace(ratio(np.array(self._requests), np.array(self._clicks)), samples=clicks),
            self._thinking.mean_estimate() if self._thinking.count else None,
        )

    def _make_room(self, clients: int) -> None:
        """Halve the share of addresses that are followed until so many more fit; the others leave."""
        while self._numbers and len(self._numbers) + clients > len(self._last_end):
            kept = self._numbers.halved()
            self._last_end[: len(kept)] = self._last_end[[self._numbers[client] for client in kept]]
            self._last_end[len(kept) :] = -np.inf
            self._numbers = kept

    def _count(self, requests: int, clicks: int) -> None:
        self._requests.append(requests)
        self._clicks.append(clicks)
        if len(self._clicks) >= _RATIO_BLOCKS:
            self._requests = [a + b for a, b in zip(self._requests[::2], self._requests[1::2], strict=True)]
            self._clicks = [a + b for a, b in zip(self._clicks[::2], self._clicks[1::2], strict=True)]


class _Numbers(dict[bytes, int]):
    """The number of every address that is followed; -1 for the others."""

    def __init__(self, addresses: Iterable[bytes] = (), mask: int = 0) -> None:
        super().__init__((address, number) for number, address in enumerate(addresses))
        self.mask = mask

    def __missing__(self, written: bytes) -> int:
        address = written.partition(b",")[0].strip()
        if len(address) > _LONGEST_ADDRESS or _NOBODY.fullmatch(address) or crc32(address) & self.mask:
            return -1
        return self.setdefault(address, len(self))

    def halved(self) -> _Numbers:
        mask = self.mask * 2 + 1
        return _Numbers((address for address in self if not crc32(address) & mask), mask)


def _end_before(
    numbers: NDArray[np.intp], first: NDArray[np.bool_], end: FloatArray, last_end: FloatArray
) -> FloatArray:
    """When everything each client had asked for before was answered; -inf for a client not seen before."""
    rank = np.cumsum(first) - 1
    base = end.min()
    # One running maximum does for all clients if each is lifted above the one before it.
    step = float(end.max() - base) + 1.0
    running = np.maximum.accumulate(end - base + rank * step) - rank * step + base
    before = np.r_[-np.inf, running[:-1]]
    before[first] = -np.inf
    return np.maximum(before, last_end[numbers])
