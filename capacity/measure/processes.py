"""Find php-fpm's masters and their children by the titles they give themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from capacity.errors import InvalidInput, MeasurementError
from capacity.fpm.pool_file import PoolFile, read_pools
from capacity.includes import included

__all__ = ["Child", "Master", "configuration", "find_masters", "master_of"]

_MASTER = re.compile(r"php-fpm: master process \((.*)\)")
_CHILD = re.compile(r"php-fpm: pool (.*)")
_LARGEST_FILE = 1 << 20


@dataclass(frozen=True)
class Child:
    """One child of a master and the pool in its title."""

    pid: int
    pool: str


@dataclass(frozen=True)
class Master:
    """One running master.

    Parameters
    ----------
    pid : int
    config : str
        The configuration file in its title.
    children : tuple of Child
        Its own children only, those of a ``pm.status_listen`` (``NAME_status``) included.
    """

    pid: int
    config: str
    children: tuple[Child, ...]

    def __str__(self) -> str:
        return f"pid {self.pid} ({self.config})"


def find_masters() -> tuple[Master, ...]:
    """Find every php-fpm master of this machine.

    Returns
    -------
    tuple of Master
        By pid; several versions and several instances are several masters.

    Raises
    ------
    MeasurementError
        If none is seen and other users' processes are hidden from us.
    """
    titles: dict[int, str] = {}
    parents: dict[int, int] = {}
    for process in psutil.process_iter(["ppid", "cmdline"]):
        # A process that ended meanwhile, or is not ours to look at, has None here.
        titles[process.pid] = " ".join(process.info["cmdline"] or ()).strip()
        parents[process.pid] = process.info["ppid"] or 0
    children: dict[int, list[Child]] = {}
    for pid, title in titles.items():
        if match := _CHILD.fullmatch(title):
            children.setdefault(parents[pid], []).append(Child(pid, match.group(1)))
    masters = tuple(
        Master(pid, match.group(1), tuple(sorted(children.get(pid, ()), key=lambda child: child.pid)))
        for pid, title in sorted(titles.items())
        if (match := _MASTER.fullmatch(title))
    )
    if not masters and _hidden():
        message = "the processes of other users are hidden (/proc is mounted with hidepid): run this as root"
        raise MeasurementError(message)
    return masters


def _hidden() -> bool:
    """Whether /proc hides others' processes: process 1 is always there and its title is for everyone."""
    try:
        psutil.Process(1).cmdline()
    except (psutil.AccessDenied, psutil.NoSuchProcess):
        return True
    return False


def master_of(pool: str, masters: tuple[Master, ...], config_path: str | None) -> tuple[Master | None, tuple[str, ...]]:
    """Pick the master that runs a pool.

    Parameters
    ----------
    pool : str
    masters : tuple of Master
    config_path : str or None
        The pool file the caller means; tells apart masters that run pools of the same name.

    Returns
    -------
    tuple of (Master or None, notes)
        None if no master runs the pool.

    Raises
    ------
    MeasurementError
        If several do and the file does not tell which; names them.
    """
    read = {master.pid: configuration(master) for master in masters}
    running = [master for master in masters if _runs(master, pool, read[master.pid])]
    if not running:
        return None, ()
    matching = [m for m in running if config_path is not None and _reads(m, read[m.pid], config_path)]
    if len(matching) == 1:
        return matching[0], ()
    if len(running) == 1:
        if config_path is None:
            return running[0], ()
        return running[0], (f"whether master {running[0]} reads {config_path} could not be made sure",)
    choices = ", ".join(map(str, running))
    hint = "name the pool file" if config_path is None else f"none of them alone is seen to read {config_path}"
    message = f"several php-fpm masters run a pool {pool}: {choices}; {hint}"
    raise MeasurementError(message)


def configuration(master: Master) -> PoolFile | None:
    """Read a master's configuration with what it includes, or None if that cannot be done.

    Parameters
    ----------
    master : Master

    Returns
    -------
    PoolFile or None
    """
    try:
        return read_pools(_content(Path(master.config)), include=_included)
    except (OSError, InvalidInput):
        return None


def _included(pattern: str) -> Mapping[str, bytes] | None:
    paths = included(pattern)
    return None if paths is None else {path: _content(Path(path)) for path in paths}


def _content(path: Path) -> bytes:
    # The path comes from a process title: never wait on a device or a pipe.
    if not path.is_file():
        message = f"{path} is not a regular file"
        raise OSError(message)
    with path.open("rb") as file:
        return file.read(_LARGEST_FILE + 1)


def _runs(master: Master, pool: str, file: PoolFile | None) -> bool:
    """Whether a child has the title or, for a pool at rest (ondemand), the configuration has the name."""
    names = {child.pool for child in master.children} | set(file.pools if file is not None else ())
    return pool in names


def _reads(master: Master, file: PoolFile | None, config_path: str) -> bool:
    paths = [master.config]
    for include in file.includes if file is not None else ():
        paths.extend(include.files or ())
    return any(_same(path, config_path) for path in paths)


def _same(one: str, other: str) -> bool:
    try:
        return Path(one).samefile(other)
    except OSError:
        return False
