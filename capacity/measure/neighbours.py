"""Who uses the memory that is not FPM's, and how much of it must stay for the page cache.

A process is counted by its PSS, so that what several share (PostgreSQL's shared buffers, libraries) is counted once.
PSS holds pages of files too, which the kernel can drop and ``MemAvailable`` therefore counts as available; they are
kept apart, so that ``memory - files`` of all neighbours is what they take out of ``total - available``.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import psutil

from capacity.errors import MeasurementError
from capacity.measure.host import Measured
from capacity.scenario import Source
from capacity.units import format_bytes, format_fraction, shortened

__all__ = ["Neighbour", "Swap", "measure_neighbours", "page_cache_floor", "swap"]

_ROOT = Path("/")
# A choice: whoever takes less than this share of what all neighbours take does not get a line of its own.
_SMALL = 0.02
_OTHERS = "others"
# A choice, see page_cache_floor.
_MOST_CACHE = 0.05
# comm of a versioned interpreter or server, and what people call it
_VERSION = re.compile(r"(php|python|ruby|perl|node|postgres)[0-9.]+")
_JAVA = {"org.elasticsearch": "elasticsearch", "org.opensearch": "opensearch", "solr": "solr", "kafka": "kafka"}


@dataclass(frozen=True)
class Neighbour:
    """The processes of one name.

    Parameters
    ----------
    name : str
        ``mysqld``, ``php`` (queue workers, cron: never FPM's), ``others`` for the many small ones.
    processes : int
    memory : int
        Proportional set size [byte].
    files : int
        What of it are pages of files, which the kernel can read again [byte]; 0 where it is not known.
    upper_bound : bool
        True if the mappings of some were not readable: those are counted by RSS, with all they share.

    Examples
    --------
    >>> print(Neighbour("mysqld", 1, 512 << 20, 24 << 20))
    mysqld 512 MiB
    """

    name: str
    processes: int
    memory: int
    files: int = 0
    upper_bound: bool = False

    def __str__(self) -> str:
        several = f" ({self.processes} processes)" if self.processes > 1 else ""
        return f"{self.name}{several} {'at most ' if self.upper_bound else ''}{format_bytes(self.memory)}"


@dataclass(frozen=True)
class Swap:
    """Swap space at one moment.

    Parameters
    ----------
    total, used : int
        [byte]
    swapped_in, swapped_out : int
        Since the machine started [byte].
    moment : float
        When it was looked at, on the monotonic clock [s].

    Examples
    --------
    >>> before, after = Swap(1 << 30, 1 << 20, 0, 4096, moment=10.0), Swap(1 << 30, 1 << 20, 0, 12288, moment=12.0)
    >>> after.rates_since(before)
    (0.0, 4096.0)
    """

    total: int
    used: int
    swapped_in: int
    swapped_out: int
    moment: float = 0.0

    def rates_since(self, earlier: Swap) -> tuple[float, float]:
        """How fast pages came in and went out since an earlier look [byte/s]; 0 if no time has passed."""
        seconds = self.moment - earlier.moment
        if seconds <= 0:
            return 0.0, 0.0
        return (self.swapped_in - earlier.swapped_in) / seconds, (self.swapped_out - earlier.swapped_out) / seconds

    @property
    def sentence(self) -> str:
        """What to tell the user; empty if no swap is in use."""
        if not self.used:
            return ""
        return (
            f"{format_bytes(self.used)} of {format_bytes(self.total)} swap is in use ({format_bytes(self.swapped_in)} "
            "came back in since the machine started): memory was short, and what was swapped out is missing in every "
            "figure of resident memory"
        )


def measure_neighbours(exclude: Collection[int] = (), *, root: Path = _ROOT) -> tuple[Neighbour, ...]:
    """Add up the memory of every process by name.

    Parameters
    ----------
    exclude : collection of int
        Processes that are not neighbours: the FPM master and its children.
    root : Path
        Where ``proc/PID/smaps_rollup`` is looked for.

    Returns
    -------
    tuple of Neighbour
        Largest first; those that take less than 2 % of the sum together as ``others``, last.

    Raises
    ------
    MeasurementError
        If no process can be read at all.

    Examples
    --------
    >>> sum(neighbour.processes for neighbour in measure_neighbours()) > 0
    True
    """
    groups: dict[str, list[tuple[int, int, bool]]] = {}
    try:
        for process in psutil.process_iter(["name", "cmdline", "memory_info"]):
            resident = process.info.get("memory_info")
            # A kernel thread has no memory of its own; what ended or is hidden from us has None.
            if process.pid in exclude or resident is None or resident.rss == 0:
                continue
            name = _name(process.info.get("name") or "?", process.info.get("cmdline") or ())
            groups.setdefault(name, []).append(_memory(process.pid, resident.rss, root))
    except (psutil.Error, OSError) as error:
        message = f"the processes of this machine cannot be listed: {error}"
        raise MeasurementError(message) from error
    found = [_neighbour(name, counted) for name, counted in groups.items()]
    least = _SMALL * sum(neighbour.memory for neighbour in found)
    large = [neighbour for neighbour in found if neighbour.memory >= least]
    named = {neighbour.name for neighbour in large}
    small = [process for name, counted in groups.items() if name not in named for process in counted]
    large.sort(key=lambda neighbour: (-neighbour.memory, neighbour.name))
    return (*large, *([_neighbour(_OTHERS, small)] if small else ()))


def page_cache_floor(ram: float, *, root: Path = _ROOT) -> Measured:
    """Memory to leave for the page cache [byte].

    Parameters
    ----------
    ram : float
        What FPM and the rest have together [byte].
    root : Path
        Where ``proc/meminfo`` is looked for.

    Returns
    -------
    Measured
        File pages in active use now, but at most 5 % of ``ram``.

    Notes
    -----
    This is a choice. ``MemAvailable`` counts nearly all of the page cache as free for the taking, but a pool that is
    sized to take it leaves no room for the code of the programs, PHP's files and what a database reads again and
    again: the host then reads from disk what it had in memory. ``Active(file)`` is what was used more than once
    lately. The cap keeps a database that reads through the page cache (PostgreSQL, MyISAM) from claiming the host:
    give it more with ``--reserved``. On a host that is short of memory the cache has shrunk already and the floor
    with it; `swap` tells that.
    """
    try:
        text = (root / "proc/meminfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        text = ""
    active, most = _field(text, "Active(file)"), int(_MOST_CACHE * ram)
    if active is None:
        source = f"{format_fraction(_MOST_CACHE)} of memory: /proc/meminfo does not tell the page cache in use"
        return Measured(most, Source(source=source), upper_bound=True)
    capped = f", capped at {format_fraction(_MOST_CACHE)} of memory" if active > most else ""
    return Measured(min(active, most), Source(source=f"Active(file) of /proc/meminfo{capped}", samples=1))


def swap(*, root: Path = _ROOT) -> Swap:
    """Look at the swap space.

    Parameters
    ----------
    root : Path
        Where ``proc`` is looked for.

    Returns
    -------
    Swap
        All 0 where the machine has none, or /proc does not tell.

    Examples
    --------
    >>> now = swap()
    >>> 0 <= now.used <= now.total
    True
    """
    texts = []
    for name in ("meminfo", "vmstat"):
        try:
            texts.append((root / "proc" / name).read_text(encoding="ascii", errors="replace"))
        except OSError:
            texts.append("")
    total, free = _field(texts[0], "SwapTotal") or 0, _field(texts[0], "SwapFree") or 0
    pages = dict(re.findall(r"^(pswpin|pswpout) (\d{1,18})$", texts[1], re.MULTILINE))
    size = os.sysconf("SC_PAGE_SIZE")
    into, out = (int(pages.get(name, 0)) * size for name in ("pswpin", "pswpout"))
    return Swap(total, max(0, total - free), into, out, time.monotonic())


def _neighbour(name: str, counted: list[tuple[int, int, bool]]) -> Neighbour:
    memory, files, upper_bound = zip(*counted, strict=True)
    return Neighbour(name, len(counted), sum(memory), sum(files), any(upper_bound))


def _memory(pid: int, rss: int, root: Path) -> tuple[int, int, bool]:
    """PSS, what of it are files, and whether RSS had to do instead."""
    try:
        text = (root / f"proc/{pid}/smaps_rollup").read_text(encoding="ascii", errors="replace")
    except OSError:
        text = ""
    pss = _field(text, "Pss")
    return (rss, 0, True) if pss is None else (pss, min(pss, _field(text, "Pss_File") or 0), False)


def _field(text: str, name: str) -> int | None:
    match = re.search(rf"^{re.escape(name)}:\s*(\d{{1,15}}) kB$", text, re.MULTILINE)
    return None if match is None else int(match[1]) * 1024


def _name(comm: str, command: Collection[str]) -> str:
    if comm == "java":
        line = " ".join(command)
        return next((name for main, name in _JAVA.items() if main in line), comm)
    if match := _VERSION.fullmatch(comm):
        return match[1]
    return shortened("".join(letter if letter.isprintable() else "?" for letter in comm), 30)
