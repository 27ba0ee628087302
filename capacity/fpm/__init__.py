"""What PHP-FPM is: its files, its rules, its logs, its words. Pure: bytes in, values out, nothing opened."""

from capacity.fpm.access_format import access_format
from capacity.fpm.directives import render
from capacity.fpm.editor import set_directives
from capacity.fpm.pool_file import PoolFile, read_pools
from capacity.fpm.rules import Finding, check, refusal
from capacity.fpm.settings import pool_settings, surprises
from capacity.fpm.status import PoolStatus, read_status
from capacity.fpm.traffic import Traffic, read_traffic

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
