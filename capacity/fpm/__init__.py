"""What PHP-FPM is: its files, its rules, its words. Pure: bytes in, values out, nothing opened."""

from capacity.fpm.directives import render
from capacity.fpm.pool_file import PoolFile, read_pools
from capacity.fpm.settings import pool_settings, surprises

__all__ = ["PoolFile", "pool_settings", "read_pools", "render", "surprises"]
