"""The live machine: what the host has, what a running pool takes, what its logs tell."""

from capacity.measure.fastcgi import ask_status, parse_address
from capacity.measure.host import Measured
from capacity.measure.listing import RunningPool, list_pools
from capacity.measure.sampling import Watch
from capacity.measure.workers import PoolMeasurement, measure_pool

__all__ = [
    "Measured",
    "PoolMeasurement",
    "RunningPool",
    "Watch",
    "ask_status",
    "list_pools",
    "measure_pool",
    "parse_address",
]
