"""The public functions of `capacity`, asked what a run will show.

Three times: with the inputs of the case alone (before it runs), with the rate, service times and cores that the run
turned out to have, and, where no core is shared, by replaying the very requests that were drawn.
"""

from __future__ import annotations

import math

import numpy as np

from benchmarks.fidelity.calibration import Calibration
from benchmarks.fidelity.cases import SCV, Case
from benchmarks.fidelity.load import Plan
from benchmarks.fidelity.measure import Run
from capacity import Host, PoolSettings, Scenario, Worker, Workload, forecast
from capacity.queueing import replay
from capacity.results import ModelName, Prediction

Figures = dict[str, float]
IN_BAND = ("throughput", "response_time", "response_time_p95")
"""The figures that have a band."""
STREAM = 10**6
"""Users who make an open stream."""


def from_inputs(case: Case, machine: Calibration) -> Figures:
    """What is known before the run: the laws, the rate or the users, and the calibration of the machine."""
    asked = case.service_time * case.cpu_share
    service = machine.service_time(case.service_time, case.turns)
    if case.kind == "closed":
        loop = case.think_time + machine.client + service
        rate = min(case.users / loop, case.workers / service)
        if asked:  # what nginx and the generator take depends on the answer
            for _ in range(5):
                rate = min(rate, machine.cores_for_php(rate) / (asked + machine.burn))
    else:
        rate = case.rate
    return predicted(
        case,
        service_time=service,
        cpu_time=asked + machine.burn if asked else None,
        cpus=machine.cores_for_php(rate),
        rate=rate,
        think_time=case.think_time,
        client=machine.client,
    )


def from_run(case: Case, machine: Calibration, run: Run) -> Figures:
    """Given the run's own rate, pauses, mean service time, CPU time and cores; of the law only what was asked."""
    chosen = run.chosen
    rate = float(np.count_nonzero(chosen)) / run.seconds
    holds, cpu_time = run.logged[chosen] + machine.held, None
    service = float(holds.mean())
    if case.cpu_share:  # %d has grown with what shared the cores: taken apart
        cpu_time = run.used.fpm / rate
        count = chosen.size
        off = run.plan.off_times[:count][chosen]
        beside = machine.service_time(0.0, case.turns) - machine.burn
        service = float(off.mean()) + max(beside, 0.0) + cpu_time
    thinks = run.plan.think_times
    return predicted(
        case,
        service_time=service,
        cpu_time=cpu_time,
        cpus=machine.cores - run.used.nginx - run.used.generator,  # others have little weight, see `site`
        rate=rate,
        think_time=case.think_time if thinks is None else float(thinks[: chosen.size][chosen].mean()),
        client=machine.client,
    )


def predicted(
    case: Case,
    *,
    service_time: float,
    cpu_time: float | None,
    cpus: float,
    rate: float,
    think_time: float,
    client: float,
) -> Figures:
    """Ask `forecast`, with the band of the run's window. ``client``: what the client sees beside the pool [s]."""
    closed = case.kind == "closed"
    # what a request costs beside its script does not vary; a mean below what was asked is that of the draw
    spread = SCV[case.law] * min(case.service_time / service_time, 1.0) ** 2
    # for a user, time outside the pool is as good as thought; a stream comes from many users who think for long
    users = case.users if closed else STREAM
    think_time = max(0.0, think_time + client) if closed else STREAM / rate - service_time
    scenario = Scenario(
        host=Host(ram="64GiB", reserved=0, cpus=cpus),
        worker=Worker(memory="16MiB"),
        workload=Workload(
            service_time=service_time,
            cpu_time=None if cpu_time is None else min(cpu_time, service_time),
            service_scv=1.0 if case.law == "exponential" else spread,
            think_time=think_time,
        ),
        pool=PoolSettings(pm="static", max_children=case.workers),
    )
    model: ModelName = "finite" if closed else "open"
    (prediction,) = forecast(scenario, users=[users], model=model, window=case.seconds).predictions
    return _figures(prediction, case.workers, client)


def replayed(case: Case, machine: Calibration, plan: Plan, *, warm_up: float, seconds: float) -> Figures | None:
    """The drawn requests, one by one through the pool; None where that is not what decides."""
    if case.kind == "closed" or case.cpu_share:
        return None
    services = machine.service_time(0.0, case.turns) + plan.off_times
    waits = np.asarray(replay(arrival_times=plan.moments, service_times=services, servers=case.workers))
    counts = (plan.moments >= warm_up) & (plan.moments < warm_up + seconds)
    times, rate = (waits + services + machine.client)[counts], float(np.count_nonzero(counts)) / seconds
    starts = plan.moments + waits
    held = np.clip(starts + services, warm_up, warm_up + seconds) - np.clip(starts, warm_up, warm_up + seconds)
    waiting = float(waits[counts].mean())
    return {
        "throughput": rate,
        "response_time": float(times.mean()),
        "response_time_p95": float(np.quantile(times, 0.95)),
        "busy_workers": float(held.sum()) / seconds,
        "waiting_time": waiting,
        "queue_length": rate * waiting,
    }


def _figures(prediction: Prediction, workers: int, client: float) -> Figures:
    def known(value: float | None) -> float:
        return math.inf if value is None else value

    waiting = known(prediction.waiting_time)
    found = {
        "throughput": prediction.throughput,
        "response_time": known(prediction.response_time) + client,
        "response_time_p95": known(prediction.response_time_p95) + client,
        "busy_workers": prediction.utilization * workers,
        "waiting_time": waiting,
        "queue_length": waiting * prediction.throughput,
    }
    return found | _bands(prediction, client)


def _bands(prediction: Prediction, client: float) -> Figures:
    """The ends of the band that the prediction has, by figure; none where they are not known."""
    found: Figures = {}
    for name in IN_BAND:
        part = getattr(prediction.band, name, None)
        if part is not None:
            beside = 0.0 if name == "throughput" else client
            found[f"{name}_low"] = part.low + beside
            found[f"{name}_high"] = math.inf if part.high is None else part.high + beside
    return found
