"""Every pool of every running php-fpm: several versions, several masters, several pools each.

``pm.status_listen`` of a pool P makes a hidden pool, and its children call themselves ``pool P_status``, just as those
of a real pool of that name would: only the configuration tells them apart. A relative path is below FPM's prefix,
which is compiled in or an option of its command line; its title hides both, so such a path stays unknown unless the
pool has an absolute ``prefix``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from capacity.errors import InvalidInput
from capacity.fpm.pool_file import PoolFile, folded
from capacity.fpm.settings import listens_on_tcp, pool_settings
from capacity.measure.processes import Master, configuration, find_masters
from capacity.pool import PoolSettings
from capacity.units import shown

__all__ = ["RunningPool", "list_pools"]

# php-fpm8.2, php-fpm82, /etc/php/8.2, /opt/remi/php82, php@8.1
_VERSION = re.compile(r"php(?:-fpm)?[-@/]?([5-9])\.?([0-9]{1,2})(?![0-9])")
_STREAM = re.compile(
    r"/proc/(?:self|thread-self|[0-9]+)/fd/[0-9]+|/dev/(?:std(?:err|out)|fd/[0-9]+)|syslog", re.IGNORECASE
)


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
    pools_on_host, pools_of_master : int
        Pools of all masters, and of this one.
    process_max : int or None
        FPM's limit on the children of all pools of this master.
    settings : PoolSettings or None
        None where FPM would refuse them or they could not be read.
    listen, status_path, status_listen, access_log, access_format, slowlog, error_log : str or None
        Paths of logs are absolute, or None where FPM's prefix would be needed to make them so, or where the log is a
        stream (syslog, a container's output); the notes say so.
    notes : tuple of str
    file : PoolFile or None
        The configuration itself, as it was read.
    """

    name: str
    master_pid: int
    config: str
    files: tuple[str, ...] = ()
    version: str | None = None
    workers: tuple[int, ...] = ()
    pools_on_host: int = 1
    pools_of_master: int = 1
    process_max: int | None = None
    settings: PoolSettings | None = None
    listen: str | None = None
    status_path: str | None = None
    status_listen: str | None = None
    access_log: str | None = None
    access_format: str | None = None
    slowlog: str | None = None
    error_log: str | None = None
    notes: tuple[str, ...] = ()
    file: PoolFile | None = field(default=None, repr=False, compare=False)

    @property
    def pm(self) -> str | None:
        """Its process manager: static, dynamic or ondemand."""
        return None if self.settings is None else self.settings.pm

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
    return tuple(pool for master, file, pools in names for pool in _pools(pools, master, file, total))


def _pools(names: list[str], master: Master, file: PoolFile | None, total: int) -> Iterator[RunningPool]:
    files = [master.config]
    for include in () if file is None else file.includes:
        files += include.files or ()
    read = tuple(str(Path(path).resolve()) for path in files)
    pools = {} if file is None else file.pools
    hidden = {folded(name) for pool, directives in pools.items() for name in _hidden(pool, directives)}
    version = _version(master)
    workers: dict[str, list[int]] = {}
    for child in master.children:
        workers.setdefault(child.pool, []).append(child.pid)
    for name in names:
        pool = _pool(name, master, file)
        if folded(name) in hidden:
            note = f"children called {shown(name)} may belong to the status socket of another pool, too"
            pool = replace(pool, notes=(*pool.notes, note))
        yield replace(
            pool,
            files=read,
            version=version,
            workers=tuple(workers.get(name, ())),
            pools_on_host=total,
            pools_of_master=len(names),
            file=file,
        )


def _names(master: Master, file: PoolFile | None) -> list[str]:
    titles = list(dict.fromkeys(child.pool for child in master.children))
    if file is not None and file.pools:
        # What runs but is no longer (or not yet) in the configuration runs all the same.
        known = {folded(name) for pool, directives in file.pools.items() for name in (pool, *_hidden(pool, directives))}
        return [*file.pools, *(title for title in titles if folded(title) not in known)]
    # Without the configuration, a title is all there is: the pool of a status socket is called after its own.
    return [title for title in titles if title.removesuffix("_status") not in titles or not title.endswith("_status")]


def _hidden(pool: str, directives: Mapping[str, str]) -> tuple[str, ...]:
    return (f"{pool}_status",) if directives.get("pm.status_listen") else ()


def _pool(name: str, master: Master, file: PoolFile | None) -> RunningPool:
    """What the configuration says of one pool."""
    pools: Mapping[str, Mapping[str, str]] = {} if file is None else file.pools
    directives = pools.get(name, {})
    globals_: Mapping[str, str] = {} if file is None else file.global_settings
    most = globals_.get("process.max", "0")
    notes: list[str] = []
    if name not in pools:
        notes.append(f"pool {shown(name)} runs, but {shown(master.config)} could not be read or does not name it")
    return RunningPool(
        name=name,
        master_pid=master.pid,
        config=master.config,
        process_max=int(most) if re.fullmatch(r"[1-9][0-9]{0,8}", most) else None,
        settings=_settings(directives, notes),
        listen=_listen(directives, notes),
        status_path=directives.get("pm.status_path") or ("/" if "pm.status_listen" in directives else None),
        status_listen=directives.get("pm.status_listen"),
        access_log=_path("access.log", directives, directives, notes),
        access_format=directives.get("access.format"),
        slowlog=_path("slowlog", directives, directives, notes),
        error_log=_path("error_log", globals_, {}, notes),
        notes=tuple(notes),
    )


def _settings(directives: Mapping[str, str], notes: list[str]) -> PoolSettings | None:
    try:
        return pool_settings(directives) if directives else None
    except InvalidInput as error:
        notes.append(f"FPM would refuse the settings that are written now: {error}")
        return None


def _listen(directives: Mapping[str, str], notes: list[str]) -> str | None:
    listen = directives.get("listen", "")
    return listen if listens_on_tcp(listen) else _path("listen", directives, directives, notes)


def _path(name: str, directives: Mapping[str, str], pool: Mapping[str, str], notes: list[str]) -> str | None:
    text, prefix = directives.get(name, ""), pool.get("prefix", "")
    if _STREAM.fullmatch(text):
        notes.append(f"{name} goes to {text}, not to a file")
        return None
    if not text or text.startswith("/"):
        return text or None
    if prefix.startswith("/"):
        return f"{prefix}/{text}"
    notes.append(f"{name} = {shown(text)} is below FPM's prefix, which is not known")
    return None


def _version(master: Master) -> str | None:
    try:
        binary = os.readlink(f"/proc/{master.pid}/exe")  # noqa: PTH115 the text as it is, not resolved
    except OSError:
        binary = ""
    found = next((match for text in (binary, master.config) if (match := _VERSION.search(text))), None)
    return None if found is None else f"{found[1]}.{found[2]}"
