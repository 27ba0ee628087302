"""The PHP-FPM a plan is for: its files, its binary, its service, as they are on this machine."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from glob import glob
from pathlib import Path

from capacity.errors import InvalidInput, Problem, UnreadableFile
from capacity.fpm.pool_file import PoolFile, folded, read_pools
from capacity.fpm.rules import Finding, check, refusal, whole_number
from capacity.fpm.settings import pool_settings
from capacity.includes import included
from capacity.plan.probe import SEARCH_PATH, FileState, fpm_information, fpm_version, php_extensions, read_file
from capacity.plan.steps import IncludeLine
from capacity.pool import PoolSettings
from capacity.units import shown

__all__ = ["Installation", "include_line", "included", "inspect_installation", "whole_configuration"]

_VERSIONED = re.compile(r"/php/?([0-9])\.?([0-9]{1,2})/")


@dataclass(frozen=True)
class Installation:
    """What is known of one FPM and one pool of it.

    Parameters
    ----------
    pool : str
        Name as the file has it.
    pool_file, config : FileState
        The file that holds the pool, and the main configuration (the same where nothing includes the pool file).
    include : IncludeLine or None
        The line of `config` that brings the pool file in.
    others : tuple of FileState
        The other files FPM reads.
    file : PoolFile
        The whole configuration.
    settings : PoolSettings
        Of the pool, as FPM takes them today.
    binary, service : str
    version : str or None
        Of PHP, such as ``8.2``.
    pid_file : str or None
    extensions : frozenset of str or None
        None where the binary is not on this machine.
    information : mapping of str to str
        INI settings of ``php-fpm -i``.
    somaxconn : int or None
        The kernel's longest accept queue.
    running : bool
        Whether this FPM runs here: only then does what is missing here count as missing.
    notes : tuple of str
    """

    pool: str
    pool_file: FileState
    config: FileState
    include: IncludeLine | None
    others: tuple[FileState, ...]
    file: PoolFile = field(repr=False)
    settings: PoolSettings
    binary: str
    service: str
    version: str | None
    pid_file: str | None
    extensions: frozenset[str] | None
    information: Mapping[str, str] = field(repr=False)
    somaxconn: int | None
    running: bool
    notes: tuple[str, ...]

    @property
    def directives(self) -> Mapping[str, str]:
        """Directives of the pool, as the whole configuration has them."""
        return self.file.pools[self.pool]

    def global_number(self, name: str) -> int:
        """Whole number or whole seconds of ``[global]``; FPM's default is 0."""
        return whole_number(self.file.global_settings, name, 0) or 0

    def refused(self, file: PoolFile) -> Finding | None:
        """What FPM would refuse of a configuration of this pool."""
        return _refused(file, root="user" in file.pools[self.pool])


def inspect_installation(
    pool_file: str,
    pool: str,
    *,
    config: str | None = None,
    binary: str | None = None,
    service: str | None = None,
    pid_file: str | None = None,
    running: bool = False,
) -> Installation:
    """Look at the installation a pool file belongs to; changes nothing.

    Parameters
    ----------
    pool_file : str
        A symbolic link is followed: the plan is for the file behind it.
    pool : str
    config : str, optional
        The main configuration; by default ``php-fpm.conf`` near the pool file if it includes it, else the pool file
        itself.
    binary : str, optional
        By default the ``php-fpmN.N`` of this machine that fits the path of the configuration, else the newest.
    service : str, optional
        By default after the binary: ``php8.2-fpm`` for ``php-fpm8.2``.
    pid_file : str, optional
        By default what ``[global]`` says.
    running : bool, optional
        Whether this FPM is known to run here.

    Returns
    -------
    Installation

    Raises
    ------
    UnreadableFile, InvalidInput
        A file that cannot be read or that FPM would refuse; a pool that is not in it.
    """
    notes: list[str] = []
    real = os.path.realpath(pool_file)
    if real != str(Path(pool_file).absolute()):
        notes.append(f"{shown(pool_file, longest=200)} is a symbolic link: the plan is for the file behind it, {real}")
    state = read_file(real)
    main = _main_configuration(state, config, notes)
    include = None if main.path == state.path else include_line(main, state)
    file, others = whole_configuration(main)
    name = next((known for known in file.pools if folded(known) == folded(pool)), None)
    if name is None:
        known = ", ".join(file.pools) or "no pool at all"
        raise InvalidInput([Problem("pool", f"must be in {main.path}", repr(pool[:80]), f"it has {known}"[:200])])
    _refuse_broken(file, main, root=state.owner == "root" or "user" in file.pools[name])
    command = binary or _binary(main.path)
    known_version = fpm_version(command)
    if known_version is None:
        notes.append(f"{command} does not run here, so its release and its extensions are not known")
    short = re.sub(r"^php-fpm(?=[0-9])", "", command.rpartition("/")[2])
    return Installation(
        pool=name,
        pool_file=state,
        config=main,
        include=include,
        others=tuple(other for other in others if other.path not in {state.path, main.path}),
        file=file,
        settings=pool_settings(file.pools[name]),
        binary=command,
        service=service or (f"php{short}-fpm" if short[:1].isdigit() else "php-fpm"),
        version=known_version,
        pid_file=pid_file or _pid_file(file),
        extensions=php_extensions(command),
        information=fpm_information(command),
        somaxconn=_somaxconn(),
        running=running,
        notes=tuple(notes),
    )


def whole_configuration(main: FileState, instead: FileState | None = None) -> tuple[PoolFile, tuple[FileState, ...]]:
    """Read a configuration with what it includes, one of the files replaced by a candidate.

    Returns
    -------
    tuple of (PoolFile, tuple of FileState)
        What FPM would read, and the included files as they are on disk.
    """
    states: dict[str, FileState] = {}

    def include(pattern: str) -> Mapping[str, bytes] | None:
        found = included(pattern)
        for path in found or ():
            states[path] = read_file(os.path.realpath(path))
        if found is None:
            return None
        return {
            path: instead.data if instead is not None and states[path].path == instead.path else states[path].data
            for path in found
        }

    state = instead if instead is not None and instead.path == main.path else main
    return _read(state, include), tuple(states.values())


def _read(state: FileState, include: Callable[[str], Mapping[str, bytes] | None] = lambda _: {}) -> PoolFile:
    """Read one file, by default as if its includes brought nothing in; what is wrong is told with its path."""
    try:
        return read_pools(state.data, include=include)
    except InvalidInput as error:
        raise InvalidInput(
            replace(problem, field=f"{state.path}: {problem.field}") for problem in error.problems
        ) from None


def _main_configuration(pool_file: FileState, given: str | None, notes: list[str]) -> FileState:
    if given is not None:
        main = read_file(os.path.realpath(given))
        if main.path != pool_file.path and _including(_read(main), pool_file) == []:
            raise InvalidInput(
                [Problem("--fpm-config", f"must include {pool_file.path}", shown(main.path, longest=200))]
            )
        return main
    folder = Path(pool_file.path).parent
    for candidate in (folder / "php-fpm.conf", folder.parent / "php-fpm.conf"):
        try:
            main = read_file(os.path.realpath(candidate))
            if main.path == pool_file.path or _including(_read(main), pool_file):
                return main
        except (UnreadableFile, InvalidInput):
            continue
    if not _read(pool_file).global_settings:
        notes.append(
            f"no php-fpm.conf that includes {pool_file.path} was found: it is judged alone (give --fpm-config)"
        )
    return pool_file


def _including(main: PoolFile, pool_file: FileState) -> list[tuple[int, tuple[str, ...]]]:
    """Lines of the main configuration whose include brings the pool file in, with all the files each brings in."""
    lines = []
    for include in main.includes:
        files = tuple(map(os.path.realpath, included(include.pattern) or ()))
        if pool_file.path in files:
            lines.append((include.line, files))
    return lines


def include_line(main: FileState, pool_file: FileState) -> IncludeLine:
    """Find the line of the main configuration that brings the pool file in.

    Raises
    ------
    InvalidInput
        If there is none, several, or one that says something else as well.
    """
    file = _read(main)
    (number, files), *more = _including(file, pool_file) or [(0, ())]
    line = file.lines[number - 1]
    if more or not number or len(line.statements) != 1 or files.count(pool_file.path) != 1:
        rule = f"must include {pool_file.path} once, on a line of its own"
        told = f"line {more[0][0] if more else number}" if number else "no such line"
        raise InvalidInput([Problem(main.path, rule, told)])
    offset = sum(len(before.raw) for before in file.lines[: number - 1])
    return IncludeLine(offset=offset, length=len(line.raw.rstrip(b"\r\n")), files=files)


def _refused(file: PoolFile, *, root: bool) -> Finding | None:
    return refusal(check(file.pools, file.global_settings, overridden=file.overridden, root=root))


def _refuse_broken(file: PoolFile, main: FileState, *, root: bool) -> None:
    broken = _refused(file, root=root)
    if broken is not None:
        hint = "mend it first: a plan starts from a configuration that works"
        raise InvalidInput([Problem(main.path, "must be accepted by php-fpm -t", broken.message, hint)])


def _binary(config: str) -> str:
    """The installed php-fpm that fits the path of the configuration, else the newest, else the bare name."""
    found = _VERSIONED.search(config)
    wanted = [f"php-fpm{found[1]}.{found[2]}"] if found else []
    installed = {
        path.rpartition("/")[2]: path
        for folder in reversed(SEARCH_PATH.split(":"))
        for path in glob(f"{folder}/php-fpm[0-9]*.[0-9]*")  # noqa: PTH207
    }
    newest = sorted(installed, key=lambda name: [int(part) for part in re.findall("[0-9]+", name)], reverse=True)
    for name in (*wanted, *newest, "php-fpm"):
        if (path := shutil.which(name, path=SEARCH_PATH)) is not None:
            return path
    return wanted[0] if wanted else "php-fpm"


def _pid_file(file: PoolFile) -> str | None:
    path = file.global_settings.get("pid", "")
    return path if path.startswith("/") else None


def _somaxconn() -> int | None:
    try:
        with Path("/proc/sys/net/core/somaxconn").open(encoding="ascii") as text:
            return int(text.read(32))
    except (OSError, ValueError):
        return None
