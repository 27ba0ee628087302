"""Several pools on a host, several hosts, pods, and growth: what one pool's recommendation does not answer."""

from capacity.fleet.inputs import Fleet, FleetPool
from capacity.fleet.pools import allot_pools

__all__ = ["Fleet", "FleetPool", "allot_pools"]
