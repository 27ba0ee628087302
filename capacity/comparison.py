"""Prediction against reality: a scenario's figures beside what was measured of the running pool.

A prediction is held against the load that was measured, not the load that was planned for: at half the load half
the busy workers are no success. Its band has the doubt of both sides in it: the interval of the arrival rate, the
interval of the service time where the scenario states one, the chance of a finite window, and the model's own error.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Final, Literal

import numpy as np

from capacity.estimation import Estimate
from capacity.policies.verdict import Edges
from capacity.prediction import predict
from capacity.results import Comparison, Deviation
from capacity.scenario import Scenario, value_of
from capacity.table import repeat, table_of

__all__ = ["compare"]

_NORMAL_95 = 1.6449
# Relative error allowed to the model and its inputs beside the chance of the window. Busy workers and service
# time: 10 %, the gap above which Little's law says that work is hidden. CPU time: 20 %, what the same loop varied
# by between runs on a shared machine. Memory: one allocator step on a small worker. All from measurements.
_TOLERANCE: Final = {"busy_workers": 0.1, "service_time": 0.1, "cpu_time": 0.2, "worker_memory": 0.15}
_LEAST_QUEUE = 0.5
# A stated lower end may be 0 or nonsense; no request takes a thousandth of the mean of all.
_LEAST_SHARE = 1e-3
# Relative doubt of a figure that came without an interval, mostly of few samples.
_UNKNOWN = 0.2

Quantity = Literal["service_time", "cpu_time", "worker_memory", "busy_workers", "queue_length"]
_UNITS: Final[dict[Quantity, Literal["s", "byte", "1"]]] = {
    "service_time": "s",
    "cpu_time": "s",
    "worker_memory": "byte",
    "busy_workers": "1",
    "queue_length": "1",
}
_FIELDS: Final[tuple[tuple[Quantity, str], ...]] = (
    ("service_time", "workload.service_time"),
    ("cpu_time", "workload.cpu_time"),
    ("worker_memory", "worker.memory"),
)


def compare(scenario: Scenario, measured: Mapping[str, Estimate], *, workers: int, seconds: float) -> Comparison:
    """Hold a scenario against what was measured.

    Parameters
    ----------
    scenario : Scenario
        What was planned with.
    measured : mapping of str to Estimate
        Any of ``arrival_rate`` [1/s], ``busy_workers`` [-], ``queue_length`` [-], ``service_time`` at light load [s],
        ``cpu_time`` [s], ``worker_memory`` [byte].
    workers : int
        Workers of the running pool [-].
    seconds : float
        Length of the window they were measured in [s].

    Returns
    -------
    Comparison
        A deviation for each quantity that both sides know; ``beyond`` where the measured interval lies wholly
        outside the band.

    Examples
    --------
    >>> seen = {"arrival_rate": Estimate(100.0, 97.0, 103.0, 600), "busy_workers": Estimate(38.0, 37.0, 39.0, 600)}
    >>> result = compare(Scenario.example(), seen, workers=40, seconds=60.0)
    >>> [(deviation.quantity, round(deviation.predicted, 1), deviation.beyond) for deviation in result.deviations]
    [('busy_workers', 25.0, True)]
    """
    deviations = [*_inputs(scenario, measured), *_load(scenario, measured, workers, seconds)]
    return Comparison(
        workers=workers,
        seconds=seconds,
        deviations=tuple(deviations),
        beyond=any(deviation.beyond for deviation in deviations),
    )


def _inputs(scenario: Scenario, measured: Mapping[str, Estimate]) -> Iterator[Deviation]:
    """Compare the scenario's own values with the measured ones."""
    tables = scenario.to_mapping()
    for quantity, field in _FIELDS:
        assumed, seen = value_of(tables, field), measured.get(quantity)
        if assumed is None or seen is None:
            continue
        source = scenario.sources.get(field)
        low = assumed if source is None or source.low is None else min(assumed, source.low)
        high = assumed if source is None or source.high is None else max(assumed, source.high)
        slack = _TOLERANCE[quantity]
        yield _deviation(quantity, assumed, low * (1 - slack), high * (1 + slack), seen)


def _load(scenario: Scenario, measured: Mapping[str, Estimate], workers: int, seconds: float) -> Iterator[Deviation]:
    """Compare busy workers and the queue with what the model says of the measured arrival rate."""
    rate = measured.get("arrival_rate")
    if rate is None or rate.value <= 0:
        return
    rates = _interval(rate)
    service = scenario.workload.service_time
    source = scenario.sources.get("workload.service_time")
    services = (
        service,
        service if source is None or source.low is None else max(min(service, source.low), _LEAST_SHARE * service),
        service if source is None or source.high is None else max(service, source.high),
    )
    corners = list(product(rates, services))
    table = repeat(table_of(scenario), len(corners))
    cpu = table["workload.cpu_time"]
    table["workload.service_time"] = np.maximum([corner[1] for corner in corners], np.nan_to_num(cpu))
    load = np.array([corner[0] for corner in corners])
    solved = predict(table, np.full(len(corners), float(workers)), load, model="open", edges=Edges())
    busy, queue = solved["busy"], load * solved["waiting_time"]
    if (seen := measured.get("busy_workers")) is not None:
        # of a time average over T s of a process that forgets within S: variance 2 a S / T
        chance = _NORMAL_95 * math.sqrt(2 * busy[0] * service / seconds) if seconds > 0 else math.inf
        slack = _TOLERANCE["busy_workers"]
        low, high = busy.min() * (1 - slack) - chance, busy.max() * (1 + slack) + chance
        yield _deviation("busy_workers", busy[0], max(0.0, low), min(high, workers), seen)
    if (seen := measured.get("queue_length")) is not None:
        # where one end of the interval saturates the pool, no queue is too long
        high = queue.max() * 2 + _LEAST_QUEUE
        yield _deviation("queue_length", queue[0], 0.0, high, seen)


def _interval(estimate: Estimate) -> tuple[float, float, float]:
    """Value, least and most; where the interval is not known, 20 % either way."""
    low = estimate.value * (1 - _UNKNOWN) if estimate.low is None else estimate.low
    high = estimate.value * (1 + _UNKNOWN) if estimate.high is None else estimate.high
    return estimate.value, low, high


def _deviation(quantity: Quantity, predicted: float, low: float, high: float, seen: Estimate) -> Deviation:
    value, least, most = _interval(seen)
    beyond = most < low or least > high
    return Deviation(
        quantity=quantity,
        unit=_UNITS[quantity],
        predicted=_finite(predicted),
        band_low=_finite(low),
        band_high=_finite(high),
        measured=value,
        measured_low=seen.low,
        measured_high=seen.high,
        beyond=beyond,
        meaning=_meaning(quantity, least > high) if beyond else "",
    )


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _meaning(quantity: Quantity, above: bool) -> str:
    words = {
        ("service_time", True): "a request holds its worker longer than planned: look at the slow log and the database",
        ("service_time", False): "a request holds its worker more briefly than planned: fewer workers would do",
        ("cpu_time", True): "a request needs more CPU than planned: the cores are full at a lower load",
        ("cpu_time", False): "a request needs less CPU than planned: the cores can take more",
        ("worker_memory", True): "a worker takes more memory than planned: max_children may no longer fit into RAM",
        ("worker_memory", False): "a worker takes less memory than planned: more of them would fit",
        ("busy_workers", True): "more workers are busy than this load explains: hidden work after the answer, kept "
        "connections, or busy cores",
        ("busy_workers", False): "fewer workers are busy than this load explains: requests have become shorter",
        ("queue_length", True): "more requests wait than this load explains: bursts, or workers that are not there yet",
    }
    return words[quantity, above]
