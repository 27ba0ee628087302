"""What PHP-FPM is: its files, its rules, its logs, its words. Pure: bytes in, values out, nothing opened.

Names are loaded when they are first used: who wants a directive's name does not wait for the readers of logs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from capacity.fpm.access_format import access_format  # at once: later its module, of the same name, would be found

if TYPE_CHECKING:
    from capacity.fpm.directives import render
    from capacity.fpm.editor import set_directives
    from capacity.fpm.pool_file import PoolFile, read_pools
    from capacity.fpm.rules import Finding, check, refusal
    from capacity.fpm.settings import pool_settings, surprises
    from capacity.fpm.status import PoolStatus, read_status
    from capacity.fpm.traffic import Traffic, read_traffic

_HOME: Final = {
    "Finding": "rules",
    "PoolFile": "pool_file",
    "PoolStatus": "status",
    "Traffic": "traffic",
    "check": "rules",
    "pool_settings": "settings",
    "read_pools": "pool_file",
    "read_status": "status",
    "read_traffic": "traffic",
    "refusal": "rules",
    "render": "directives",
    "set_directives": "editor",
    "surprises": "settings",
}

__all__ = [
    "Finding",
    "PoolFile",
    "PoolStatus",
    "Traffic",
    "access_format",
    "check",
    "pool_settings",
    "read_pools",
    "read_status",
    "read_traffic",
    "refusal",
    "render",
    "set_directives",
    "surprises",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        message = f"module 'capacity.fpm' has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(import_module(f"capacity.fpm.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
