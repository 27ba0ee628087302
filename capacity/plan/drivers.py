"""Move sessions and cache from the database to Redis, where Redis can take them."""

from __future__ import annotations

from dataclasses import dataclass

from capacity.plan.application import DRIVER_KEYS, REDIS_PACKAGE, Application
from capacity.plan.env_file import env_splice
from capacity.plan.installation import Installation
from capacity.plan.probe import systemd_runs
from capacity.splices import Splice

__all__ = ["DriverChange", "driver_changes"]

_FROM, _TO = "database", "redis"
_REASONS = {
    "SESSION_DRIVER": (
        "a session in the database costs every request a read and a write there; the case study saw about 20 % fewer "
        "database queries with Redis"
    ),
    "CACHE_STORE": "a cache in the database asks the very thing it is there to spare",
    "CACHE_DRIVER": "a cache in the database asks the very thing it is there to spare",
}


@dataclass(frozen=True)
class DriverChange:
    """One key that goes from the database to Redis."""

    key: str
    before: str
    after: str
    splice: Splice
    reason: str


def driver_changes(
    application: Application, installation: Installation
) -> tuple[tuple[DriverChange, ...], tuple[str, ...]]:
    """Say which drivers move to Redis, and why the others stay.

    Parameters
    ----------
    application : Application
    installation : Installation
        What FPM sets in its workers' environment wins over ``.env``.

    Returns
    -------
    tuple of (tuple of DriverChange, tuple of str)
        Changes, and notes on what was left alone.
    """
    candidates, notes = [], []
    if "SESSION_DRIVER" not in application.drivers:
        notes.append("SESSION_DRIVER is not in .env: the application's own default holds, and is not known here")
    for key in DRIVER_KEYS:
        found = application.drivers.get(key)
        if found is None:
            continue
        if f"env[{key}]" in installation.directives:
            notes.append(f"{key} stays: env[{key}] of pool {installation.pool} wins over .env")
        elif found.interpolated or found.value != _FROM:
            # The value is not repeated: it may be anything.
            notes.append(f"{key} stays: it is {'redis already' if found.value == _TO else 'not database'}")
        else:
            candidates.append(key)
    obstacle = _obstacle(application, installation) if candidates else None
    if obstacle is not None:
        return (), (*notes, *(f"{key} stays database: {obstacle}" for key in candidates))
    changes = []
    for key in candidates:
        splice = env_splice(application.env_file.data, key, _TO)
        if splice is not None:
            changes.append(DriverChange(key, _FROM, _TO, splice, _REASONS[key]))
    return tuple(changes), tuple(notes)


def _obstacle(application: Application, installation: Installation) -> str | None:
    """What keeps Redis from taking over; what cannot be seen from here becomes a precondition instead."""
    if application.redis_host == "missing":
        return "REDIS_HOST is not set"
    if application.redis_host == "elsewhere":
        return "Redis runs on another host, so it cannot be seen from here whether it is up"
    if application.redis_host == "unknown":
        return "REDIS_HOST depends on another variable"
    if application.client == "unknown":
        return "REDIS_CLIENT is neither phpredis nor predis"
    if not installation.running:
        return None
    if not application.redis.active:
        unseen = (
            "" if systemd_runs() else f", as far as its pid file {application.redis.pid_file} says (--redis-pid-file)"
        )
        return f"{application.redis.service} is not active{unseen}"
    if application.client == "predis" and not application.has_package:
        return f"{REDIS_PACKAGE} is not in the vendor directory"
    if application.client == "phpredis" and "redis" not in (installation.extensions or ()):
        return f"the extension redis is not loaded by {installation.binary}"
    return None
