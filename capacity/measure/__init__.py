"""The live machine: what the host has, what a running pool takes."""

from capacity.measure.host import Measured
from capacity.measure.workers import PoolMeasurement, measure_pool

__all__ = ["Measured", "PoolMeasurement", "measure_pool"]
