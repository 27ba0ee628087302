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
from capacity import Host, PoolSettings, Scenario, Worker, Workload, forecast, recommend
from capacity.queueing import replay
from capacity.results import Prediction

Figures = dict[str, float]


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
        scv=SCV[case.law] * (case.service_time / service) ** 2,
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
        scv=SCV[case.law] * (case.service_time / service) ** 2,
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
    scv: float,
    cpu_time: float | None,
    cpus: float,
    rate: float,
    think_time: float,
    client: float,
) -> Figures:
    """Ask `forecast` (users) or `recommend` (a rate). ``client``: what the client sees beside wait and service [s]."""
    closed = case.kind == "closed"
    # for a user, time outside the pool is as good as thought
    load = {"think_time": max(0.0, think_time + client)} if closed else {"arrival_rate": rate}
    scenario = Scenario(
        host=Host(ram="64GiB", reserved=0, cpus=cpus),
        worker=Worker(memory="16MiB"),
        workload=Workload(
            service_time=service_time,
            cpu_time=None if cpu_time is None else min(cpu_time, service_time),
            service_scv=1.0 if case.law == "exponential" else scv,
            **load,
        ),
        pool=PoolSettings(pm="static", max_children=case.workers),
    )
    if closed:
        (prediction,) = forecast(scenario, users=[case.users], model="finite").predictions
    else:
        (prediction,) = recommend(scenario).current_predictions
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
    """The 90 % band of a window, where a prediction has one."""
    band = getattr(prediction, "band", None)
    found: Figures = {}
    for name in ("response_time", "response_time_p95", "throughput", "utilization"):
        part = getattr(band, name, None)
        if part is not None:
            found[f"{name}_low"], found[f"{name}_high"] = part.low + client, part.high + client
    return found
