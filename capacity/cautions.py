"""Words: what to keep in mind about predictions, and what the inputs leave open."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from capacity.bands import STEEP
from capacity.queueing import mgc_waiting_time
from capacity.queueing.spread import LARGEST_SCV, law_of
from capacity.results import ModelName, Prediction
from capacity.scenario import Scenario
from capacity.units import format_fraction, format_rate

__all__ = ["prediction_cautions", "workload_cautions"]

_WAITS = 0.02  # service times of mean wait, as the oracle tables count it
_HELD_UP = 0.99  # busy share of the connections from which on they are what ends the throughput


def workload_cautions(scenario: Scenario, model: ModelName = "open", spread: str | None = None) -> tuple[str, ...]:
    """What the inputs leave open, in words; ``spread`` is what there is to say of service_scv, where it is known."""
    workload, cautions = scenario.workload, []
    if workload.cpu_time is None:
        cores = scenario.host.cores_left
        rate = format_rate(cores / workload.service_time)
        cautions.append(
            "cpu_time is not known, so every prediction takes requests to wait for something other than the CPU. "
            f"If they computed all the time, the {cores:g} cores would end at {rate}. Measure it: mean "
            "of %C times %d in FPM's access log, or server CPU seconds divided by requests"
        )
    if workload.service_scv != 1:
        cautions.append(spread or _spread_caution(scenario, model))
    if workload.requests_per_click != 1:
        cautions.append(
            f"a click makes {workload.requests_per_click:.3g} requests; they are taken as independent, and in the "
            "finite model each as a user of its own"
        )
    return tuple(cautions)


def _spread_caution(scenario: Scenario, model: ModelName) -> str:
    """What is made of service times that are not exponential, and how far that can be trusted."""
    scv, contended = scenario.workload.service_scv, bool(scenario.workload.cpu_time)
    stated, longer = f"service_scv is {scv:.3g}", "longer" if scv > 1 else "shorter"
    if scv > LARGEST_SCV:
        return (
            f"{stated}, more than the {LARGEST_SCV:g} to which waits have been measured, so they are computed for "
            f"exponential service times (1): real waits are {longer}, near saturation about {(1 + scv) / 2:.3g} times"
        )
    taken = f"{stated}, so service times are taken as {law_of(scv)}"
    if model == "finite":
        wait, quantile = ("9 %", "16 %") if contended else ("5 % (or 0.005 service times)", "13 %")
        return (
            f"{taken}: mean waits are within {wait} of simulated pools of 4 workers and more, 95 % quantiles within "
            f"{quantile}"
        )
    error = (
        "15 % of simulated pools whose workers share cores"
        if contended
        else "5 % (or a thousandth of the service time) of simulated pools"
    )
    other = (
        f"; gamma times of the same spread may wait up to {format_fraction(_other_law(scv))} longer" if scv > 1 else ""
    )
    return f"{taken}: mean waits are within {error}{other}"


@lru_cache(maxsize=256)
def _other_law(scv: float) -> float:
    """How much longer gamma times wait than lognormal ones, in two digits: the most of pools that wait at all."""
    servers, utilization = np.array([[4.0], [8.0], [12.0], [20.0], [40.0], [100.0]]), np.arange(0.4, 0.96, 0.1)
    pools = {"servers": servers, "arrival_rate": servers * utilization, "service_time": 1.0, "service_scv": scv}
    usual = np.asarray(mgc_waiting_time(**pools))
    ratio = np.asarray(mgc_waiting_time(**pools, service_law="gamma")) / usual
    return float(f"{np.max(ratio[usual >= _WAITS]) - 1.0:.2g}")


def prediction_cautions(predictions: Sequence[Prediction], *, model: ModelName = "open") -> tuple[str, ...]:
    """What to keep in mind about these figures."""
    cautions = []
    endless = [p for p in predictions if p.response_time is None and p.refused is None]
    if endless:  # of those with an end, overload_caution says it
        who = "the given rate" if endless[0].users is None else ", ".join(str(p.users) for p in endless) + " users"
        cautions.append(
            f"at {who} more is asked than the pool can complete: the queue grows without bound, so times "
            "have no finite value, until users leave or the backlog is full"
        )
    held_up = [p for p in predictions if (p.database_utilization or 0.0) >= _HELD_UP]
    if held_up:
        cautions.append(
            f"the database connections complete at most {format_rate(held_up[0].throughput)}, less than is asked: "
            "workers end up waiting for one; more workers only wait for the same connections"
        )
    steep = [p for p in predictions if p.response_time is not None and p.utilization > STEEP]
    if steep and model == "open":
        worst = max(p.utilization for p in steep)
        longer = 0.01 / (1 - worst) if worst < 1 else np.inf
        wait = f"makes the wait at least {format_fraction(longer)} longer" if longer < 1 else "saturates the pool"
        cautions.append(
            f"above {format_fraction(STEEP)} utilization a single figure misleads: at {format_fraction(worst)}, "
            f"1 % more service time or load {wait}"
        )
    return tuple(cautions)
