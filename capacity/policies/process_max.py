"""Ceiling: FPM's global process.max, which php-fpm -t does not check against pm.max_children."""

from __future__ import annotations

import numpy as np

from capacity.scenario import Scenario
from capacity.table import Column, Table

FORMULA = "FPM's global limit on the processes of all pools"
INPUTS = ("policy.process_max",)


def limit(table: Table) -> Column:
    """Workers that FPM will fork at all; inf where there is no limit."""
    return np.where(np.isnan(table["policy.process_max"]), np.inf, table["policy.process_max"])


def explain(scenario: Scenario, workers: float) -> str:
    """Reason of the limit in words."""
    if scenario.process_max is None:
        return "not limited: FPM's process.max is not given (its default is no limit)"
    return f"FPM stops forking at process.max = {workers:.0f} processes of all pools, status pools included"
