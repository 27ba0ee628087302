"""Ceiling: the workers that fit into the memory left for PHP, every one at the peak of a request."""

from __future__ import annotations

import numpy as np

from capacity.scenario import Scenario
from capacity.table import Column, Table
from capacity.units import format_bytes

FORMULA = "(RAM - reserved - shared memory) / private memory of a worker at a request's peak, rounded down"
INPUTS = ("host.ram", "host.reserved", "worker.memory", "worker.shared_memory")


def limit(table: Table) -> Column:
    """Workers that fit.

    Shared memory (OPcache, libraries, the master) is counted once, not once a worker: a sum of RSS overstates
    7 to 9 times on light workers. A worker is counted at its peak, since an idle one understates 30 times.
    """
    budget = table["host.ram"] - table["host.reserved"] - table["worker.shared_memory"]
    return np.maximum(np.floor(budget / table["worker.memory"]), 0.0)


def worst_case(table: Table, workers: Column) -> Column:
    """Memory of the pool with every worker at its peak [bytes]."""
    return table["worker.shared_memory"] + workers * table["worker.memory"]


def explain(scenario: Scenario, workers: float) -> str:
    """Reason of the limit in words."""
    host, worker = scenario.host, scenario.worker
    shared = f" minus {format_bytes(worker.shared_memory)} shared" if worker.shared_memory else ""
    budget = host.ram - host.reserved - worker.shared_memory
    left = format_bytes(budget) if budget > 0 else "nothing"
    return (
        f"{format_bytes(host.ram)} of RAM minus {format_bytes(host.reserved)} for everything else{shared} leaves "
        f"{left}: {workers:.0f} workers of {format_bytes(worker.memory)}"
    )
