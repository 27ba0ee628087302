"""What PHP-FPM is: its files, its rules, its words. Pure: bytes in, values out, nothing opened."""

from capacity.fpm.directives import render
from capacity.fpm.editor import set_directives
from capacity.fpm.pool_file import PoolFile, read_pools
from capacity.fpm.rules import Finding, check, refusal
from capacity.fpm.settings import pool_settings, surprises

__all__ = [
    "Finding",
    "PoolFile",
    "check",
    "pool_settings",
    "read_pools",
    "refusal",
    "render",
    "set_directives",
    "surprises",
]
