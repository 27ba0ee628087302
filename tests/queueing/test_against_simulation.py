"""The formulas inside the confidence intervals of a seeded event simulation (99.9 %, 30 batch means)."""

from __future__ import annotations

import numpy as np
import pytest
from oracles.simulation import Trace, closed_queue, interval, open_queue, shared_pool

from capacity import queueing


def assert_inside(ours: float, estimate: tuple[float, float], what: str, bias: float = 0.0) -> None:
    """Inside the interval, which is widened by a stated bias of the model (a fraction of the value)."""
    mean, half = estimate
    assert abs(ours - mean) <= half + bias * mean, f"{what}: ours {ours:.6g}, simulated {mean:.6g} +- {half:.2g}"
    assert half < 0.25 * mean, f"{what}: the simulation is too short to judge ({mean:.6g} +- {half:.2g})"


def assert_means_inside(model: str, case: dict, trace: Trace, bias: float = 0.0) -> None:
    def ours(quantity: str) -> float:
        return getattr(queueing, f"{model}_{quantity}")(**case)

    assert_inside(ours("response_time"), interval(trace.responses), "response_time", bias)
    wait = ours("waiting_time")
    if wait > 0:
        assert_inside(wait, interval(trace.waits), "waiting_time", bias)
        waited = interval((trace.waits > 0).astype(float))
        assert_inside(ours("wait_probability"), waited, "wait_probability", bias)
    else:
        assert trace.waits.max() == 0
        assert ours("wait_probability") == 0


def share_above(values: np.ndarray, t: float) -> tuple[float, float]:
    return interval((values > t).astype(float))


@pytest.mark.parametrize(("servers", "arrival_rate", "seed"), [(1, 0.6, 1), (4, 3.2, 2), (20, 17.0, 3)])
def test_mmc_agrees_with_simulated_queues(servers: int, arrival_rate: float, seed: int) -> None:
    case = {"servers": servers, "arrival_rate": arrival_rate, "service_time": 1.0}
    trace = open_queue(**case, requests=300_000, seed=seed)
    assert_means_inside("mmc", case, trace)
    for t in (0.2, 1.0, 3.0):
        tail = queueing.mmc_response_time_tail(t, **case)
        assert_inside(tail, share_above(trace.responses, t), f"P(R > {t})")
        tail = queueing.mmc_waiting_time_tail(t, **case)
        if tail > 0.02:
            assert_inside(tail, share_above(trace.waits, t), f"P(W > {t})")
    for p in (0.5, 0.95):
        at = queueing.mmc_response_time_quantile(p, **case)
        assert_inside(1 - p, share_above(trace.responses, at), f"1 - p at the quantile {p}")


@pytest.mark.parametrize(
    ("servers", "population", "think_time", "seed"), [(1, 6, 5.0, 4), (4, 30, 6.0, 5), (8, 60, 6.5, 6), (3, 3, 1.0, 7)]
)
def test_finite_agrees_with_simulated_users(servers: int, population: int, think_time: float, seed: int) -> None:
    case = {"servers": servers, "population": population, "think_time": think_time, "service_time": 1.0}
    trace = closed_queue(**case, requests=200_000, seed=seed)
    assert_means_inside("finite", case, trace)
    assert_inside(queueing.finite_throughput(**case), trace.throughput(), "throughput")
    for t in (0.2, 1.0, 3.0):
        tail = queueing.finite_response_time_tail(t, **case)
        assert_inside(tail, share_above(trace.responses, t), f"P(R > {t})")
        tail = queueing.finite_waiting_time_tail(t, **case)
        if tail > 0.02:
            assert_inside(tail, share_above(trace.waits, t), f"P(W > {t})")
    for p in (0.5, 0.95):
        at = queueing.finite_response_time_quantile(p, **case)
        assert_inside(1 - p, share_above(trace.responses, at), f"1 - p at the quantile {p}")


@pytest.mark.parametrize(("cores", "cpu_time"), [(1, 0.3), (2, 1.0), (2.5, 0.6)])
def test_a_full_pool_completes_what_its_cores_allow(cores: float, cpu_time: float) -> None:
    pool = {"servers": 8, "cores": cores, "cpu_time": cpu_time, "service_time": 1.0}
    trace = shared_pool(**pool, population=12, think_time=0.0, requests=100_000, seed=8)
    ours = queueing.shared_cores_throughput(workers=8, cores=cores, cpu_time=cpu_time, service_time=1.0)
    assert_inside(ours, trace.throughput(), "X(8)")


@pytest.mark.parametrize(("cores", "cpu_time"), [(2, 0.5), (1.5, 0.2)])
def test_users_with_a_worker_each_share_cores_as_simulated(cores: float, cpu_time: float) -> None:
    # Nobody queues for a worker, so the model is a product-form network and exact.
    case = {"servers": 20, "cores": cores, "cpu_time": cpu_time, "service_time": 1.0}
    case |= {"population": 20, "think_time": 4.0}
    trace = shared_pool(**case, requests=150_000, seed=9)
    assert_means_inside("shared_finite", case, trace)
    assert_inside(queueing.shared_finite_throughput(**case), trace.throughput(), "throughput")


# A queue for workers makes the flow-equivalent server an approximation. It is close when a request goes back and
# forth between CPU and database many times; measure_shared_quantile.py measures how close.
FEW_PERCENT = 0.03


@pytest.mark.parametrize(("servers", "cores", "cpu_time", "arrival_rate"), [(6, 2, 0.5, 3.0), (8, 4, 1.0, 3.0)])
def test_an_open_pool_that_shares_cores_queues_as_simulated(servers, cores, cpu_time, arrival_rate) -> None:
    case = {"servers": servers, "cores": cores, "cpu_time": cpu_time, "service_time": 1.0}
    case |= {"arrival_rate": arrival_rate}
    trace = shared_pool(**case, visits=5.0 if cpu_time < 1 else 1.0, requests=150_000, seed=10)
    assert_means_inside("shared", case, trace, FEW_PERCENT)


@pytest.mark.parametrize(("servers", "cores", "cpu_time"), [(6, 2, 0.5), (8, 2.5, 1.0)])
def test_a_closed_pool_that_shares_cores_queues_as_simulated(servers, cores, cpu_time) -> None:
    case = {"servers": servers, "cores": cores, "cpu_time": cpu_time, "service_time": 1.0}
    case |= {"population": 20, "think_time": 4.5}
    trace = shared_pool(**case, visits=5.0 if cpu_time < 1 else 1.0, requests=120_000, seed=11)
    assert_means_inside("shared_finite", case, trace, FEW_PERCENT)
    assert_inside(queueing.shared_finite_throughput(**case), trace.throughput(), "throughput", FEW_PERCENT)
    busy = trace.responses - trace.waits
    utilization = interval(busy)[0] * trace.throughput()[0] / servers
    assert queueing.shared_finite_utilization(**case) == pytest.approx(utilization, rel=0.02)


def test_more_workers_than_cores_make_the_slow_answers_slower_in_simulation_too() -> None:
    """The mean stays; those that share the cores wait for all that come after them, those in a queue do not."""
    case = {"cores": 4, "cpu_time": 1.0, "service_time": 1.0, "arrival_rate": 3.2}
    few, many = (shared_pool(servers=servers, **case, requests=100_000, seed=12).responses for servers in (4, 40))
    ours = queueing.shared_response_time_quantile(0.95, servers=[4, 40], **case)
    assert np.quantile(many, 0.95) > 1.1 * np.quantile(few, 0.95)
    assert ours[1] > 1.1 * ours[0]
    means = queueing.shared_response_time(servers=[4, 40], **case)
    assert means[0] == pytest.approx(means[1], rel=1e-10)
    assert_inside(means[1], interval(many), "response_time", FEW_PERCENT)
