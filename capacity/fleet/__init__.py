"""Several pools on a host, several hosts, pods, and growth: what one pool's recommendation does not answer."""

from capacity.fleet.growth import grow
from capacity.fleet.hosts import size_hosts
from capacity.fleet.inputs import Fleet, FleetPool
from capacity.fleet.pods import size_pods
from capacity.fleet.pools import allot_pools

__all__ = ["Fleet", "FleetPool", "allot_pools", "grow", "size_hosts", "size_pods"]
