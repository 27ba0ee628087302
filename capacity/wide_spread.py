"""Service times of a spread beyond what the formulas were measured for: simulated, a few predictions at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from capacity.intervals import Estimate
from capacity.policies.demand import inner_network
from capacity.policies.verdict import VERDICTS, Edges, severity
from capacity.queueing.inner_network import network_limits
from capacity.queueing.spread import LARGEST_SCV
from capacity.results import Prediction, Verdict
from capacity.scenario import Scenario
from capacity.simulation import SimulatedQueue, simulated_lognormal_queue
from capacity.table import ROUNDING, table_of
from capacity.units import format_fraction

__all__ = ["simulated"]

MOST_SCV: Final = 16.0
"""Beyond it the longest of a million requests still decide on the mean wait."""
_REQUESTS: Final = 1_000_000  # of a figure: about half a second
_MOST_FIGURES: Final = 10
_WAITS: Final = 0.01  # service times of mean wait; less is nothing to be wrong about
_BUSIEST: Final = 0.95  # utilization beyond which a million requests are too few
# The intervals of 98 % hold the truth about 90 of 100 times at such spreads.
_CONFIDENCE: Final = 0.98
_SEVERITY: Final = VERDICTS.index


def simulated(
    scenario: Scenario, workers: int, predictions: Sequence[Prediction], edges: Edges
) -> tuple[tuple[Prediction, ...], str | None]:
    """Replace what was predicted for exponential service times by what lognormal ones of the given spread show.

    Parameters
    ----------
    scenario : Scenario
    workers : int
    predictions : sequence of Prediction
        Of the open model.
    edges : Edges

    Returns
    -------
    tuple of Prediction
        With waits and responses of the simulation, where there is one: for a spread above 4 and up to 16, workers that
        do not share cores or connections, utilizations up to 0.95 and ten predictions at most. Their verdicts are left:
        bands are searched by the formulas, and a verdict must not contradict its band.
    str or None
        What was simulated, how sure it is, and which verdict would be worse by it; None: nothing was.
    """
    scv = scenario.workload.service_scv
    counts = np.array([float(workers)])
    alone = not network_limits(counts, inner_network(table_of(scenario), counts))[0]
    if not LARGEST_SCV < scv <= MOST_SCV or not alone or len(predictions) > _MOST_FIGURES:
        return tuple(predictions), None
    queues = [_queue(scenario, workers, prediction) for prediction in predictions]
    known = [queue.waiting_time for queue in queues if queue is not None]
    if not known:
        return tuple(predictions), None
    errors = [_error(wait) for wait in known if wait.value >= _WAITS * scenario.workload.hold_time]
    sure = "hardly anybody waits"
    if errors:
        most = format_fraction(float(f"{max(errors):.2g}"))
        sure = f"mean waits (of a hundredth of the service time or more) are within about {most}"
    beside = list(zip(predictions, queues, strict=True))
    replaced = tuple(
        prediction if queue is None else _with(scenario, prediction, queue) for prediction, queue in beside
    )
    left = [str(prediction.users) for prediction, queue in beside if queue is None]
    judged = [(p, _verdict(scenario, p, queue, edges)) for p, queue in beside if queue is not None]
    worse = [f"{p.users} users {verdict}" for p, verdict in judged if _SEVERITY(verdict) > _SEVERITY(p.verdict)]
    note = (
        f"service_scv is {scv:.3g}, more than the {LARGEST_SCV:g} to which formulas have been measured, so lognormal "
        f"service times are simulated, a million requests a figure: {sure}"
    )
    if left:
        note += (
            f"; at {', '.join(left)} users the pool is too full for that, and they are taken as exponential: too short"
        )
    note += ". Verdicts, and the most users of each, are those for exponential times"
    return replaced, f"{note}; by the simulation {', '.join(worse)}" if worse else note


def _queue(scenario: Scenario, workers: int, prediction: Prediction) -> SimulatedQueue | None:
    if prediction.utilization > _BUSIEST:
        return None
    return simulated_lognormal_queue(
        (0.95, scenario.objective.percentile),
        servers=workers,
        arrival_rate=prediction.arrival_rate,
        service_time=scenario.workload.hold_time,
        service_scv=scenario.workload.service_scv,
        requests=_REQUESTS,
        confidence=_CONFIDENCE,
    )


def _error(wait: Estimate) -> float:
    """Half the interval, as a share of the figure."""
    return math.inf if wait.low is None or wait.high is None else (wait.high - wait.low) / 2.0 / wait.value


def _with(scenario: Scenario, prediction: Prediction, queue: SimulatedQueue) -> Prediction:
    service, wait = scenario.workload.hold_time, queue.waiting_time.value
    return prediction.model_copy(
        update={
            "wait_probability": queue.wait_probability.value,
            "waiting_time": wait,
            "response_time": wait + service,
            "response_time_p95": queue.response_time_quantiles[0].value,
            "slowdown": wait / service,
            "apdex": None,  # the simulation tells quantiles only
        }
    )


def _verdict(scenario: Scenario, prediction: Prediction, queue: SimulatedQueue, edges: Edges) -> Verdict:
    """Judge by what was simulated."""
    target = scenario.objective.response_time
    kept = target is None or queue.response_time_quantiles[1].value <= target * (1.0 + ROUNDING)
    busiest = max(prediction.utilization, prediction.cpu_utilization or 0.0, prediction.database_utilization or 0.0)
    slowdown = queue.waiting_time.value / scenario.workload.hold_time
    return VERDICTS[int(severity(np.array([busiest]), np.array([slowdown]), np.array([kept]), edges)[0])]
