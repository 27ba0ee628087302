"""Work on the CPU of a real pool, as published: parameters in, throughput and response time out.

PHP 8.2.36, nginx 1.22.1 and the load generator on one host of 2 cores, Debian 12; the tables of `docs/explanation/
shared-cores.md`. Parameters are taken from figures other than the one that is predicted. The speed of the machine
drifted by 20 to 40 % between these runs, which is what the tolerances are made of.
"""

from __future__ import annotations

import numpy as np
import pytest

from capacity import Host, Scenario, Worker, Workload, recommend
from capacity.queueing import (
    shared_cores_throughput,
    shared_finite_response_time,
    shared_finite_throughput,
    shared_response_time,
)

# A script that only computes took 11.1 ms in a pool with a core for each worker; the server used 1.88 of the 2 cores
# when they were full, the generator the rest. 40 users who click again at once.
CPU_BOUND = {"cores": 1.88, "cpu_time": 0.0111, "service_time": 0.0111, "population": 40, "think_time": 0.0}
CPU_BOUND_RUNS = {1: (82.1, 0.4871), 2: (173.9, 0.2294), 4: (172.9, 0.2306), 8: (168.6, 0.2365), 20: (178.7, 0.2233),
                  40: (154.1, 0.2595)}  # fmt: skip
NEARLY, BADLY = 0.06, 0.10  # with 1 and with 40 workers a request took 12 ms of CPU, not 11


@pytest.mark.parametrize("workers", CPU_BOUND_RUNS)
def test_cpu_bound_work_completes_what_was_measured(workers: int) -> None:
    throughput, response = CPU_BOUND_RUNS[workers]
    tolerance = BADLY if workers in (1, 40) else NEARLY
    assert shared_finite_throughput(servers=workers, **CPU_BOUND) == pytest.approx(throughput, rel=tolerance)
    assert shared_finite_response_time(servers=workers, **CPU_BOUND) == pytest.approx(response, rel=tolerance)


def test_from_as_many_workers_as_cores_on_the_throughput_is_flat() -> None:
    ours = shared_finite_throughput(servers=[2, 4, 8, 20, 40], **CPU_BOUND)
    np.testing.assert_allclose(ours, 1.88 / 0.0111, rtol=1e-12)
    measured = [CPU_BOUND_RUNS[workers][0] for workers in (2, 4, 8, 20)]
    assert max(measured) / min(measured) < 1.07
    assert ours[0] / shared_finite_throughput(servers=1, **CPU_BOUND) == pytest.approx(173.9 / 82.1, rel=0.12)


def test_the_knee_of_cpu_bound_work_is_where_the_measured_throughput_ends_to_rise() -> None:
    host, worker = Host(ram="4GiB", reserved="1GiB", cpus=2), Worker(memory="32MiB")
    found = recommend(Scenario(host=host, worker=worker, workload=Workload(service_time=0.0111, cpu_time=0.0111)))
    assert (found.binding, found.pool.max_children) == ("cpu", 2)
    assert CPU_BOUND_RUNS[2][0] > 0.95 * max(throughput for throughput, _ in CPU_BOUND_RUNS.values())


# Workers; cores left by the generator; CPU time of a request, nginx's with it; mean response. 121.4 requests a second.
# A request holds its worker 0.3 ms beside its script.
OPEN_RUNS = [(2, 1.96, 0.0098, 0.0211), (4, 1.96, 0.0082, 0.0129), (8, 1.94, 0.0094, 0.0169),
             (20, 1.95, 0.0100, 0.0221), (40, 1.95, 0.0095, 0.0170)]  # fmt: skip


@pytest.mark.parametrize(("workers", "cores", "cpu", "measured"), OPEN_RUNS)
def test_responses_of_cpu_bound_work_are_too_low_by_up_to_a_quarter(workers, cores, cpu, measured) -> None:
    pool = {"servers": workers, "cores": cores, "cpu_time": cpu, "service_time": cpu + 0.0003}
    assert 0.75 < shared_response_time(**pool, arrival_rate=121.4) / measured < 1.0


# Requests a second; mean response; how far off at most. 15 ms off the CPU, 5.1 ms of CPU with nginx's share, and
# 0.3 ms that a request holds its worker beside its script; 20 workers. The generator takes 0.33 ms of CPU a request
# (0.04 cores at 121.4 requests a second).
MIXED_RUNS = [(101.8, 0.0215, 0.05), (203.3, 0.0239, 0.10), (266.6, 0.0330, 0.27)]


@pytest.mark.parametrize(("rate", "measured", "tolerance"), MIXED_RUNS)
def test_mixed_work_is_within_a_tenth_while_half_of_the_cores_is_busy(rate, measured, tolerance) -> None:
    pool = {"servers": 20, "cores": 2 - 0.00033 * rate, "cpu_time": 0.0051, "service_time": 0.0204}
    assert 1 - tolerance < shared_response_time(**pool, arrival_rate=rate) / measured < 1.0
    inner = {name: pool[name] for name in ("cores", "cpu_time", "service_time")}
    assert shared_cores_throughput(workers=20, **inner) > rate  # all of it was completed
