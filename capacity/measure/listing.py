"""Every pool of every running php-fpm: several versions, several masters, several pools each."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from capacity.errors import InvalidInput
from capacity.fpm.pool_file import PoolFile
from capacity.fpm.settings import pool_settings
from capacity.measure.processes import Master, configuration, find_masters
from capacity.pool import PoolSettings

__all__ = ["RunningPool", "list_pools"]

_VERSION = re.compile(r"([5-9]\.[0-9]{1,2})")


@dataclass(frozen=True)
class RunningPool:
    """A pool that runs, and what its configuration says; None where that is not set or could not be read.

    Parameters
    ----------
    name : str
    master_pid : int
    config : str
        The master's configuration file.
    files : tuple of str
        That file and those it includes.
    version : str or None
        Of PHP, such as ``8.2``, by the name of the binary or of the configuration's directory.
    workers : tuple of int
        The pids of its children now; those of a ``pm.status_listen`` are not among them.
    pools_on_host : int
        Pools of all masters.
    process_max : int or None
        FPM's limit on the children of all pools of this master.
    settings : PoolSettings or None
        None where FPM would refuse them or they could not be read.
    listen, status_path, status_listen, access_log, access_format, error_log : str or None
        Paths of logs are absolute, or None where FPM's prefix would be needed to make them so.
    """

    name: str
    master_pid: int
    config: str
    files: tuple[str, ...]
    version: str | None
    workers: tuple[int, ...]
    pools_on_host: int
    process_max: int | None = None
    settings: PoolSettings | None = None
    listen: str | None = None
    status_path: str | None = None
    status_listen: str | None = None
    access_log: str | None = None
    access_format: str | None = None
    error_log: str | None = None

    @property
    def max_children(self) -> int | None:
        """Most workers it may have."""
        return None if self.settings is None else self.settings.max_children

    def __str__(self) -> str:
        php = "" if self.version is None else f" of PHP {self.version}"
        return f"{self.name}{php} (master {self.master_pid}, {self.config})"


def list_pools() -> tuple[RunningPool, ...]:
    """List what runs on this host.

    Returns
    -------
    tuple of RunningPool
        By master, in the order of its configuration; a pool at rest (ondemand) is among them.

    Raises
    ------
    MeasurementError
        If other users' processes are hidden from us.
    """
    read = [(master, configuration(master)) for master in find_masters()]
    names = [(master, file, _names(master, file)) for master, file in read]
    total = sum(len(pools) for _, _, pools in names)
    return tuple(_pool(name, master, file, total) for master, file, pools in names for name in pools)


def _names(master: Master, file: PoolFile | None) -> list[str]:
    if file is not None and file.pools:
        return list(file.pools)
    titles = list(dict.fromkeys(child.pool for child in master.children))
    # Without the configuration, a title is all there is: the pool of a status socket is called after its own.
    return [title for title in titles if title.removesuffix("_status") not in titles or not title.endswith("_status")]


def _pool(name: str, master: Master, file: PoolFile | None, total: int) -> RunningPool:
    directives: Mapping[str, str] = {} if file is None else file.pools.get(name, {})
    globals_: Mapping[str, str] = {} if file is None else file.global_settings
    files = [master.config]
    for include in () if file is None else file.includes:
        files += include.files or ()
    most = globals_.get("process.max", "0")
    return RunningPool(
        name=name,
        master_pid=master.pid,
        config=master.config,
        files=tuple(str(Path(path).resolve()) for path in files),
        version=_version(master),
        workers=tuple(child.pid for child in master.children if child.pool == name),
        pools_on_host=total,
        process_max=int(most) if re.fullmatch(r"[1-9][0-9]{0,8}", most) else None,
        settings=_settings(directives),
        listen=directives.get("listen"),
        status_path=directives.get("pm.status_path"),
        status_listen=directives.get("pm.status_listen"),
        access_log=_path(directives.get("access.log"), directives.get("prefix")),
        access_format=directives.get("access.format"),
        error_log=_path(globals_.get("error_log"), None),
    )


def _settings(directives: Mapping[str, str]) -> PoolSettings | None:
    try:
        return pool_settings(directives) if directives else None
    except InvalidInput:
        return None


def _path(text: str | None, prefix: str | None) -> str | None:
    if not text or text.startswith("/"):
        return text or None
    return f"{prefix}/{text}" if prefix and prefix.startswith("/") else None


def _version(master: Master) -> str | None:
    try:
        binary = Path(os.readlink(f"/proc/{master.pid}/exe")).name  # noqa: PTH115 the text as it is, not resolved
    except OSError:
        binary = ""
    for text in (binary, master.config):
        if match := _VERSION.search(text):
            return match.group(1)
    return None
