"""Settings of pools whose number of workers is decided: spares, backlog and the rest, by the policies of a pool."""

from __future__ import annotations

import math

import numpy as np

from capacity.decision import settings_of
from capacity.policies import backlog, cpu, memory, process_manager, timeouts
from capacity.pool import PoolSettings
from capacity.table import Column, Table, service_time

__all__ = ["settings_at"]


@np.errstate(all="ignore")
def settings_at(table: Table, workers: Column, rate: Column) -> list[PoolSettings]:
    """Settings of a pool a row, with so many workers under so many requests a second (NaN: not known)."""
    full_rate = cpu.full_rate(table, workers)
    decision = {
        "max_children": workers,
        "arrival_rate": rate,
        "full_rate": full_rate,
        "listen_backlog": backlog.waiting_places(table, full_rate),
        "terminate_after": timeouts.terminate_after(table),
        "worst_case_memory": memory.worst_case(table, workers),
        "load": np.where(np.isnan(rate), 1.0, rate * service_time(table)),
    }
    columns = settings_of(table, decision)
    del columns["preferred"]
    managers = columns.pop("pm").astype(np.intp)
    return [
        PoolSettings.model_validate(
            {"pm": process_manager.MANAGERS[managers[row]]}
            | {name: None if math.isnan(column[row]) else int(column[row]) for name, column in columns.items()}
        )
        for row in range(workers.size)
    ]
