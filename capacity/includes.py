"""Which files an ``include`` of FPM brings in: the one look at the disk that a plan and a measurement share."""

from __future__ import annotations

from glob import glob

__all__ = ["included"]


def included(pattern: str) -> tuple[str, ...] | None:
    """Files that an ``include`` brings in, in FPM's order.

    Parameters
    ----------
    pattern : str
        As the file has it, ``$pool`` and the like replaced.

    Returns
    -------
    tuple of str or None
        None where the pattern is relative: FPM resolves it against its compiled-in prefix, which is not known.

    Examples
    --------
    >>> included("/proc/self/stat[u]s"), included("pool.d/*.conf")
    (('/proc/self/status',), None)
    """
    # Not Path.glob: its * also takes hidden files, unlike glob(3), which FPM uses.
    return tuple(sorted(glob(pattern))) if pattern.startswith("/") else None  # noqa: PTH207
