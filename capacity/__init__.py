"""Capacity planner for PHP-FPM: how many workers, and how many users they can take.

>>> import capacity
>>> capacity.recommend(capacity.Scenario.example())
<Recommendation: 40 workers (memory binds): comfortable to 90, manageable to 140, watch to 170 users>

Names are loaded when they are first used, so that ``import capacity`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from capacity.doubt import sensitivity
    from capacity.errors import CapacityError, InvalidInput, MeasurementError, MissingExtra, UnreadableFile
    from capacity.fleet import Fleet, allot_pools, grow, size_hosts, size_pods
    from capacity.grid import sweep
    from capacity.levers import compare_levers
    from capacity.log_replay import replay_log
    from capacity.panel import whatif
    from capacity.policies.verdict import Edges
    from capacity.pool import PoolSettings
    from capacity.prediction import forecast
    from capacity.recommendation import recommend, recommend_many
    from capacity.results import Forecast, Limit, Prediction, Recommendation, Replay, UserBand
    from capacity.scenario import Host, Objective, Scenario, Source, Worker, Workload
    from capacity.what_if_results import LeverComparison, LeverOutcome, Sensitivity

_HOME: Final = {
    "CapacityError": "errors",
    "Edges": "policies.verdict",
    "Fleet": "fleet",
    "Forecast": "results",
    "Host": "scenario",
    "InvalidInput": "errors",
    "LeverComparison": "what_if_results",
    "LeverOutcome": "what_if_results",
    "Limit": "results",
    "MeasurementError": "errors",
    "MissingExtra": "errors",
    "Objective": "scenario",
    "PoolSettings": "pool",
    "Prediction": "results",
    "Recommendation": "results",
    "Replay": "results",
    "Scenario": "scenario",
    "Sensitivity": "what_if_results",
    "Source": "scenario",
    "UnreadableFile": "errors",
    "UserBand": "results",
    "Worker": "scenario",
    "Workload": "scenario",
    "allot_pools": "fleet",
    "compare_levers": "levers",
    "forecast": "prediction",
    "grow": "fleet",
    "recommend": "recommendation",
    "recommend_many": "recommendation",
    "replay_log": "log_replay",
    "sensitivity": "doubt",
    "size_hosts": "fleet",
    "size_pods": "fleet",
    "sweep": "grid",
    "whatif": "panel",
}

__all__ = [
    "CapacityError",
    "Edges",
    "Fleet",
    "Forecast",
    "Host",
    "InvalidInput",
    "LeverComparison",
    "LeverOutcome",
    "Limit",
    "MeasurementError",
    "MissingExtra",
    "Objective",
    "PoolSettings",
    "Prediction",
    "Recommendation",
    "Replay",
    "Scenario",
    "Sensitivity",
    "Source",
    "UnreadableFile",
    "UserBand",
    "Worker",
    "Workload",
    "allot_pools",
    "compare_levers",
    "forecast",
    "grow",
    "recommend",
    "recommend_many",
    "replay_log",
    "sensitivity",
    "size_hosts",
    "size_pods",
    "sweep",
    "whatif",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("fpm-capacity")
    if name == "queueing":
        return import_module("capacity.queueing")
    if name not in _HOME:
        message = f"module 'capacity' has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(import_module(f"capacity.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "queueing"])
