"""Memory of one FPM process: private now, private at its peak, and whether it has run scripts.

Counting
--------
PHP gives a request's memory back at its end, so a worker at rest understates its peak 30 times; RSS counts
the pages all workers share once a worker and overstates light workers 7 to 9 times. What is counted here:

* private now = dirty pages of private mappings (and clean ones without a file). USS would be nearly
  the same with many workers, but with one it also takes OPcache's and the libraries' pages for private.
* peak = high-water mark of RSS (``VmHWM``) - (RSS now - private now). What is shared now was shared
  at the peak, too.

Which workers count
-------------------
A worker that has never run a script says nothing about scripts, and its high-water mark looks like any
other. A worker counts if it has used 20 ms of CPU time or has given back 1 MiB since its peak. On PHP 8.2 a
new worker has used 0.6 to 1.2 ms and given back nothing, one more ``/ping`` costs 0.4 ms: two clock ticks
are far from either, and within a few requests of any application.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = ["WORKED_CPU_TIME", "Usage", "read_usage"]

_MIB = 1 << 20
WORKED_CPU_TIME = 0.02
"""CPU time from which on a worker has run scripts [s]; psutil counts in ticks of 10 ms."""
_WORKED_RELEASE = _MIB


@dataclass(frozen=True)
class Usage:
    """Memory and CPU time of one process at one moment.

    Parameters
    ----------
    cpu_time : float
        Since it started [s].
    rss, peak_rss : int
        Resident memory now and at its highest [byte].
    mapped_rss, private, pss : int or None
        From one walk over its mappings [byte]; None where that is not allowed.
    """

    cpu_time: float
    rss: int
    peak_rss: int
    mapped_rss: int | None = None
    private: int | None = None
    pss: int | None = None

    @property
    def worked(self) -> bool:
        """Whether it has run scripts, so that its peak says something about them."""
        return self.cpu_time >= WORKED_CPU_TIME or self.peak_rss - self.rss >= _WORKED_RELEASE

    @property
    def private_peak(self) -> int | None:
        """Private memory at the highest moment [byte], None where mappings are unreadable."""
        if self.private is None or self.mapped_rss is None:
            return None
        return max(self.private, self.peak_rss - (self.mapped_rss - self.private))


def read_usage(pid: int) -> Usage | None:
    """Read one process, or None if it ended or may not be read at all.

    Parameters
    ----------
    pid : int

    Returns
    -------
    Usage or None

    Examples
    --------
    >>> import os
    >>> usage = read_usage(os.getpid())
    >>> usage.peak_rss >= usage.rss > 0
    True
    """
    try:
        process = psutil.Process(pid)
        # Mappings first: the high-water mark only grows, so it never belongs to an earlier state than they do.
        mapped_rss, private, pss = _mappings(process)
        times = process.cpu_times()
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except (psutil.Error, OSError):
        return None
    sizes = {name: int(size) * 1024 for name, size in re.findall(r"^(Vm\w+):\s*(\d+) kB$", status, re.MULTILINE)}
    if "VmRSS" not in sizes or "VmHWM" not in sizes:
        return None
    return Usage(times.user + times.system, sizes["VmRSS"], sizes["VmHWM"], mapped_rss, private, pss)


def _mappings(process: psutil.Process) -> tuple[int | None, int | None, int | None]:
    try:
        mappings = process.memory_maps(grouped=False)
    except (psutil.AccessDenied, AttributeError, NotImplementedError):
        return None, None, None
    if not mappings:
        return None, None, None
    private = sum(
        mapping.private_dirty + (0 if mapping.path.startswith("/") else mapping.private_clean)
        for mapping in mappings
        if mapping.perms.endswith("p")
    )
    return sum(mapping.rss for mapping in mappings), private, sum(mapping.pss for mapping in mappings)
