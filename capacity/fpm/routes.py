"""Which scripts or routes the requests are for, and what each of them takes.

An address has an identity in it (``/shop/4711``), a route has none (``/shop/{n}``): query strings go, and
segments that are numbers, hashes or very long become a placeholder.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from capacity.fpm.access_log import FloatArray, Requests

__all__ = ["OTHERS", "Route", "Routes", "route_name"]

OTHERS: Final = "(other routes)"
"""Where routes are counted that come up after the first few thousand."""

_MOST_ROUTES = 4096
_MEMORY = 1 << 15
_LONGEST_WRITTEN = 512  # bytes; a hostile one has 64 KiB, and thousands of those are remembered
_LONGEST = 120
_REQUEST_LINE = re.compile(rb"[A-Za-z]{1,20} (\S+)(?: HTTP/[0-9.]+)?\Z")
_HOST = re.compile(rb"https?://[^/]*", re.IGNORECASE)
_IDENTITY = re.compile(
    rb"/(?:(?P<number>[0-9]+)|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|(?=[a-fA-F]*[0-9])[0-9a-fA-F]{12,}|[^/]{41,})(?=/|\Z)"
)


@dataclass(frozen=True)
class Route:
    """What one route takes.

    Parameters
    ----------
    name : str
    requests : int
    share : float
        Of all requests, 0 to 1.
    busy_share : float or None
        Of the time all requests took together, 0 to 1.
    mean_time : float or None
        Of one request [s].
    cpu_share : float or None
        Of the CPU time of all.
    peak_memory : float or None
        Largest of its requests [byte].
    """

    name: str
    requests: int
    share: float
    busy_share: float | None = None
    mean_time: float | None = None
    cpu_share: float | None = None
    peak_memory: float | None = None


def route_name(written: bytes) -> str:
    """Name the route of a path, an address or a whole request line.

    Parameters
    ----------
    written : bytes
        As in the log.

    Returns
    -------
    str
        Printable, at most 120 characters.

    Examples
    --------
    >>> route_name(b"GET /shop/4711/items?page=2 HTTP/1.1"), route_name(b"/var/www/index.php"), route_name(b"-")
    ('/shop/{n}/items', '/var/www/index.php', '(none)')
    """
    line = _REQUEST_LINE.match(written)
    path = (line.group(1) if line else written).partition(b"?")[0][:4096]
    path = _HOST.sub(b"", path, count=1) if path[:4].lower() == b"http" else path
    path = _IDENTITY.sub(lambda found: b"/{n}" if found.group("number") else b"/{id}", path)
    name = path.decode("utf-8", "backslashreplace")
    name = name if name.isprintable() else repr(name)[1:-1]
    if name in {"", "-"}:
        return "(none)"
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"


class Routes:
    """What every route took so far.

    Examples
    --------
    >>> routes = Routes()
    >>> routes.add(Requests(3, route=[b"/a/1", b"/a/2", b"/b"]), np.array([1.0, 2.0, 3.0]))
    >>> [(route.name, route.requests, route.busy_share) for route in routes.heaviest(2)]
    [('/a/{n}', 2, 0.5), ('/b', 1, 0.5)]
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._written = _Written(self._numbers)
        self._requests = np.zeros(_MOST_ROUTES + 1)
        self._timed = np.zeros(_MOST_ROUTES + 1)
        self._busy = np.zeros(_MOST_ROUTES + 1)
        self._cpu = np.zeros(_MOST_ROUTES + 1)
        self._memory = np.zeros(_MOST_ROUTES + 1)

    def add(self, requests: Requests, times: FloatArray | None) -> None:
        """Count some requests.

        Parameters
        ----------
        requests : Requests
        times : array or None
            What each took [s], whichever time the log has.
        """
        if requests.route is None:
            return
        numbers = self._written.numbers(requests.route)
        self._requests += np.bincount(numbers, minlength=_MOST_ROUTES + 1)
        if times is not None:
            self._busy += np.bincount(numbers, np.nan_to_num(times), _MOST_ROUTES + 1)
            self._timed += np.bincount(numbers, ~np.isnan(times), _MOST_ROUTES + 1)
        if requests.cpu_time is not None:
            self._cpu += np.bincount(numbers, np.nan_to_num(requests.cpu_time), _MOST_ROUTES + 1)
        if requests.memory is not None:
            np.fmax.at(self._memory, numbers, requests.memory)

    def heaviest(self, most: int = 10) -> tuple[Route, ...]:
        """Give the routes that keep the workers busiest, heaviest first.

        Parameters
        ----------
        most : int

        Returns
        -------
        tuple of Route
            By busy time where times are known, else by requests.
        """
        total, busy, cpu = self._requests.sum(), self._busy.sum(), self._cpu.sum()
        weight = self._busy if busy > 0 else self._requests
        names = {number: name for name, number in self._numbers.items()} | {_MOST_ROUTES: OTHERS}
        order = [int(number) for number in np.argsort(-weight, kind="stable")[:most] if self._requests[number]]
        return tuple(
            Route(
                names[number],
                int(self._requests[number]),
                float(self._requests[number] / total),
                float(self._busy[number] / busy) if busy > 0 else None,
                float(self._busy[number] / self._timed[number]) if self._timed[number] else None,
                float(self._cpu[number] / cpu) if cpu > 0 else None,
                float(self._memory[number]) if self._memory[number] else None,
            )
            for number in order
        )


class _Written(dict[bytes, int]):
    """The number of a route by what the log has for it."""

    def __init__(self, routes: dict[str, int]) -> None:
        super().__init__()
        self._routes = routes

    def numbers(self, written: Sequence[bytes]) -> NDArray[np.intp]:
        # without their query strings nearly all addresses have been seen before
        paths = [text.partition(b"?")[0] for text in written]
        return np.fromiter(map(self.__getitem__, paths), np.intp, len(paths))

    def __missing__(self, written: bytes) -> int:
        if len(self) >= _MEMORY:
            self.clear()
        name = route_name(written)
        number = self._routes.get(name)
        if number is None:
            number = len(self._routes) if len(self._routes) < _MOST_ROUTES else _MOST_ROUTES
            if number < _MOST_ROUTES:
                self._routes[name] = number
        if len(written) <= _LONGEST_WRITTEN:
            self[written] = number
        return number
