"""A Laravel application: where its sessions and cache are, and whether Redis could take them."""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from capacity.errors import InvalidInput, Problem
from capacity.plan.allowed import DriverWord, EnvKey
from capacity.plan.env_file import Assignment, read_env
from capacity.plan.probe import (
    FileState,
    is_directory,
    is_file,
    is_trusted,
    read_file,
    service_active,
    systemd_runs,
)
from capacity.units import shown

__all__ = ["DRIVER_KEYS", "REDIS_PACKAGE", "Application", "RedisService", "inspect_application"]

# CACHE_STORE is Laravel 11's name, CACHE_DRIVER that of 10 and before.
DRIVER_KEYS: tuple[EnvKey, ...] = ("SESSION_DRIVER", "CACHE_STORE", "CACHE_DRIVER")
REDIS_PACKAGE = "predis/predis"
_REDIS = ("redis-server", "redis", "valkey-server", "valkey")
_REDIS_PROCESSES = ("redis-server", "valkey-server")
_HERE = frozenset({"127.0.0.1", "localhost", "::1", "[::1]"})


@dataclass(frozen=True)
class RedisService:
    """The Redis of this machine: how to see that it runs."""

    service: str
    pid_file: str | None
    processes: tuple[str, ...]
    active: bool


@dataclass(frozen=True)
class Application:
    """What is known of an application.

    Parameters
    ----------
    env_file : FileState
    drivers : mapping of str to Assignment
        Of the keys a plan may set, those the file has.
    redis_host : {"set", "elsewhere", "missing", "unknown"}
        Whether ``REDIS_HOST`` has a value, and whether that is this machine; the value itself is not kept.
    client : {"phpredis", "predis", "unknown"}
        How the application talks to Redis; phpredis where the file does not say.
    has_package : bool
        Whether predis is below its vendor directory.
    redis : RedisService
    directory : str
        The one that holds ``.env``.
    is_laravel : bool
        Whether ``artisan`` is in it.
    config_cached : bool
        Whether ``bootstrap/cache/config.php`` is there: then ``.env`` is not read at all.
    user : str
        Who the application's files belong to.
    php : str
        The command-line PHP.
    notes : tuple of str
    """

    env_file: FileState
    drivers: Mapping[str, Assignment]
    redis_host: str
    client: str
    has_package: bool
    redis: RedisService
    directory: str
    is_laravel: bool
    config_cached: bool
    user: str
    php: str
    notes: tuple[str, ...]

    @property
    def known_drivers(self) -> dict[EnvKey, DriverWord]:
        """Drivers in words that give no value away."""
        words: dict[str | None, DriverWord] = {"database": "database", "redis": "redis"}
        return {
            key: "other" if found.interpolated else words.get(found.value, "other")
            for key in DRIVER_KEYS
            if (found := self.drivers.get(key)) is not None
        }


def inspect_application(
    env_file: str,
    *,
    version: str | None = None,
    user: str | None = None,
    redis_service: str | None = None,
    redis_pid_file: str | None = None,
) -> Application:
    """Look at the application an ``.env`` belongs to; changes nothing and keeps no value of another key.

    Parameters
    ----------
    env_file : str
        A symbolic link is followed: the plan is for the file behind it, the application is where the link stands.
    version : str, optional
        Of PHP, to find the command-line binary of the same release.
    user : str, optional
        Whom ``artisan`` runs as; by default the owner of ``bootstrap/cache``, of ``artisan`` or of the directory, the
        first that is not root; root only where nobody else can change the application.
    redis_service, redis_pid_file : str, optional
        By default looked for under their usual names.

    Returns
    -------
    Application

    Raises
    ------
    UnreadableFile, InvalidInput
        If the file cannot be read, or not without guessing.
    """
    notes: list[str] = []
    given = Path(env_file).absolute()
    state = read_file(os.path.realpath(given))
    directory = os.path.realpath(given.parent)
    if state.path != f"{directory}/{given.name}":
        notes.append(
            f"{shown(env_file, longest=200)} is a symbolic link: the plan is for the file behind it, {state.path}"
        )
    found = read_env(state.data, (*DRIVER_KEYS, "REDIS_HOST", "REDIS_CLIENT"))
    host, client = found.pop("REDIS_HOST", None), found.pop("REDIS_CLIENT", None)
    cached = Path(directory, "bootstrap/cache/config.php")
    php = f"php{version}" if version and shutil.which(f"php{version}") else "php"
    return Application(
        env_file=state,
        drivers=found,
        redis_host=_host(host),
        client=_client(client),
        has_package=is_directory(Path(directory, "vendor", REDIS_PACKAGE)),
        redis=_redis(redis_service, redis_pid_file),
        directory=directory,
        is_laravel=is_file(Path(directory, "artisan")),
        config_cached=is_file(cached),
        user=user or _user(Path(directory)),
        php=shutil.which(php) or php,
        notes=tuple(notes),
    )


def _host(assignment: Assignment | None) -> str:
    if assignment is None or not assignment.value or assignment.value == "null":
        return "missing"
    if assignment.interpolated:
        return "unknown"
    return "set" if assignment.value in _HERE or assignment.value.startswith("/") else "elsewhere"


def _client(assignment: Assignment | None) -> str:
    if assignment is None or not assignment.value:
        return "phpredis"  # Laravel's own default since 6.0
    known = assignment.value in {"phpredis", "predis"} and not assignment.interpolated
    return assignment.value if known else "unknown"


def _redis(service: str | None, pid_file: str | None) -> RedisService:
    names = (service,) if service is not None else _REDIS
    for name in names:
        at = pid_file or next((p for p in (f"/run/redis/{name}.pid", f"/var/run/{name}.pid") if is_file(p)), None)
        if service_active(name, at, _REDIS_PROCESSES):
            return RedisService(name, at, _REDIS_PROCESSES, active=True)
    fallback = pid_file or (None if systemd_runs() else f"/run/redis/{names[0]}.pid")
    return RedisService(names[0], fallback, _REDIS_PROCESSES, active=False)


def _user(directory: Path) -> str:
    """Whom the application belongs to; never root where others could write what root would run."""
    places = (directory / "bootstrap/cache", directory / "artisan", directory)
    for place in places:
        with suppress(OSError):
            uid = place.lstat().st_uid  # not of what a link points to
            if uid != 0:
                try:
                    return pwd.getpwuid(uid).pw_name
                except KeyError:
                    return str(uid)
    if is_file(directory / "artisan") and not is_trusted(str(directory / "artisan")):
        rule = "is needed: artisan is root's, but others can change it"
        raise InvalidInput([Problem("--app-user", rule, shown(str(directory), longest=200))])
    return "root"
