"""What pools on one host need of it at a level of load, while the others are at the same level."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from capacity.fleet.allotment import Array, Rows
from capacity.policies import demand, objective
from capacity.table import ROUNDING, Column, Table, take

__all__ = ["SharedHost"]

_LEAST_CORES: Final = 1e-9  # share of the cores that a pool is given that wants none


@dataclass(frozen=True)
class SharedHost:
    """Pools on one host, a row each, with what they matter."""

    table: Table
    weight: Array

    @cached_property
    def rate(self) -> Column:
        """Requests a second that each pool expects."""
        return demand.expected_rate(self.table)

    @cached_property
    def work(self) -> Column:
        """Cores that each pool keeps busy at its expected load; 0 where that is not known."""
        return self.rate * demand.known_work(self.table)

    @cached_property
    def cores(self) -> float:
        """Cores for the pools together."""
        return float(self.table["host.cpus"][0] - self.table["host.cpus_reserved"][0])

    @cached_property
    def headroom(self) -> float:
        """Times its expected load that a pool should carry."""
        return float(self.table["policy.headroom"][0])

    @cached_property
    def hopeless(self) -> NDArray[np.bool_]:
        """Whether a request takes too long by itself, so that no load is small enough for the objective."""
        return objective.excess_alone(self.table) > 0

    @cached_property
    def takes(self) -> dict[str, tuple[Array, float]]:
        """What one worker of each pool takes of a resource, and what there is of it; those with a limit."""
        table, one = self.table, np.ones(self.weight.size)
        shared = float(table["worker.shared_memory"].max())  # one OPcache for all pools of a PHP-FPM
        limits = {
            "memory": (table["worker.memory"], float(table["host.ram"][0] - table["host.reserved"][0]) - shared),
            "database": (
                table["worker.database_connections"],
                float(table["host.database_connections"][0] - table["host.database_connections_reserved"][0]),
            ),
            "process_max": (one, float(table["policy.process_max"][0])),
        }
        return {name: limit for name, limit in limits.items() if not np.isnan(limit[1])}

    @np.errstate(over="ignore")
    def factors(self, level: Array) -> Array:
        """Times its expected load that each pool is to carry, a row a level and a column a pool.

        Below 1 a pool of weight w carries level^(1/w), above it level^(w/v) up to its headroom, v the least weight. At
        1 all carry just what is expected, a heavier pool has more of whatever is left, and less of what is missing; at
        the headroom everybody carries it, however small the weights.
        """
        height = level[:, None]
        power = np.where(height < 1.0, 1.0 / self.weight, self.weight / self.weight.min())
        return np.minimum(height**power, self.headroom)

    def beside(self, own: Array, busy: Array, rows: Rows) -> dict[str, Column]:
        """Table of some pools with the cores that the others leave them, all together keeping so many busy.

        Where all want more than there is, everybody has cores in proportion to what it wants.
        """
        part = take(self.table, rows)
        fair = self.cores * own / np.maximum(busy, self.cores)
        left = np.maximum(np.maximum(self.cores - (busy - own), fair), _LEAST_CORES * self.cores)
        return part | {"host.cpus_reserved": part["host.cpus"] - left}

    @np.errstate(all="ignore")
    def needs(self, level: Array, rows: Rows) -> Array:
        """Least workers with which some pools carry their load while every pool is at the level they are at."""
        factor = self.factors(level)
        own, busy = factor[np.arange(rows.size), rows], factor @ self.work
        table = self.beside(own * self.work[rows], busy, rows)
        least = demand.least_workers(table, own * self.rate[rows])
        full = busy > table["objective.max_utilization"] * self.cores * (1.0 + ROUNDING)
        return np.where(full & (self.work[rows] > 0), np.inf, least)

    def attainable(self) -> SharedHost:
        """Leave out the objective of a response time where it is hopeless."""
        target = np.where(self.hopeless, np.nan, self.table["objective.response_time"])
        return SharedHost({**self.table, "objective.response_time": target}, self.weight)
