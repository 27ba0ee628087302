from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from capacity import Host, Scenario, Workload, queueing
from capacity.policies import cpu
from capacity.table import take


def columns(cores, cpu_time, service_time):
    values = np.broadcast_arrays(*(np.atleast_1d(np.asarray(v, dtype=float)) for v in (cores, cpu_time, service_time)))
    table = dict(zip(("host.cpus", "workload.cpu_time", "workload.service_time"), values, strict=True))
    beside = ("host.cpus_reserved", "workload.overhead_time", "workload.web_server_cpu_time")
    return table | {name: np.zeros(values[0].shape) for name in beside}


def limit(table):
    with np.errstate(all="ignore"):
        return cpu.limit(table)


def throughput_of_one_core(workers: int, cpu_time: Fraction, elsewhere: Fraction) -> Fraction:
    """Machine repair with one repairman, in exact arithmetic: X = (1 - p0) / D.

    L. Kleinrock, Queueing Systems I (1975), section 3.8: p_n = p0 N!/(N-n)! (D/Z)^n.
    """
    weight = total = Fraction(1)
    for waiting in range(workers):
        weight *= (workers - waiting) * cpu_time / elsewhere
        total += weight
    return (1 - 1 / total) / cpu_time


@pytest.mark.parametrize(("cpu_time", "service_time"), [("0.06", "0.25"), ("0.01", "0.1"), ("0.2", "0.21")])
def test_the_knee_of_one_core_is_the_least_count_by_exact_enumeration(cpu_time, service_time):
    demand, elsewhere = Fraction(cpu_time), Fraction(service_time) - Fraction(cpu_time)
    target = Fraction(99, 100) / demand
    least = next(n for n in range(1, 200) if throughput_of_one_core(n, demand, elsewhere) >= target)
    assert limit(columns(1.0, float(demand), float(Fraction(service_time)))).tolist() == [least]


@pytest.mark.parametrize("cores", [0.5, 1, 1.5, 2, 4, 8, 16])
@pytest.mark.parametrize("share", [0.01, 0.1, 0.24, 0.5, 0.9, 1.0])
def test_the_knee_reaches_99_percent_and_one_worker_less_does_not(cores, share):
    service_time = 0.25
    pool = {"cores": cores, "cpu_time": share * service_time, "service_time": service_time}
    (knee,) = limit(columns(cores, share * service_time, service_time))
    target = 0.99 * cores / (share * service_time)
    # equality reaches it: a rounding of a few last bits is allowed, 1e-10 is far above that and below any step
    assert queueing.shared_cores_throughput(workers=knee, **pool) >= target * (1 - 1e-10)
    assert queueing.shared_cores_throughput(workers=knee - 1, **pool) < target * (1 + 1e-10)


# Nothing but CPU: n workers on k cores complete min(n, k)/D, so the knee is 0.99 k rounded up.
@pytest.mark.parametrize(("cores", "knee"), [(0.5, 1), (1, 1), (1.5, 2), (2, 2), (4, 4), (64, 64), (101, 100)])
def test_pure_computing_needs_a_worker_a_core(cores, knee):
    assert limit(columns(cores, 0.25, 0.25)).tolist() == [knee]


def test_99_of_100_cores_are_99_percent_whatever_the_last_bit_says():
    times = np.round(np.random.default_rng(1).uniform(0.001, 1, 200), 4)
    assert set(limit(columns(100.0, times, times)).tolist()) == {99.0}


def test_half_a_core_is_full_with_few_workers():
    # 10 ms of CPU in 250 ms on half a core: at most 50/s, which 12.5 uncontended workers would complete
    (knee,) = limit(columns(0.5, 0.01, 0.25))
    assert 12.5 < knee < 40


def test_unknown_or_no_cpu_time_is_no_limit():
    assert limit(columns(4, [np.nan, 0.0, 0.06], 0.25))[:2].tolist() == [np.inf, np.inf]


def test_more_cores_or_less_computing_never_lower_the_knee():
    cores = np.arange(1.0, 33.0)
    assert (np.diff(limit(columns(cores, 0.06, 0.25))) >= 0).all()
    times = np.linspace(0.25, 0.005, 60)
    assert (np.diff(limit(columns(4, times, 0.25))) >= 0).all()


def test_a_row_does_not_know_its_neighbours():
    rng = np.random.default_rng(7)
    service = 10.0 ** rng.uniform(-3, 1, 120)
    known = np.where(rng.random(120) < 0.2, np.nan, service * rng.choice([0.0, 0.02, 0.3, 0.7, 1.0], 120))
    table = columns(rng.choice([0.5, 1.0, 2.0, 4.0, 8.0], 120), known, service)
    alone = [limit(take(table, np.array([row])))[0] for row in range(120)]
    assert limit(table).tobytes() == np.array(alone).tobytes()


def with_cpu_time(cpu_time, cpus=4):
    workload = Workload(service_time=0.25, cpu_time=cpu_time, users=150, think_time=1)
    return Scenario.example().model_copy(
        update={"workload": workload, "host": Host(ram="4GiB", reserved="1.5GiB", cpus=cpus)}
    )


def test_the_reason_names_cores_cpu_time_rate_and_workers():
    text = cpu.explain(with_cpu_time(0.05), 26.0)
    for part in ("4 cores", "50 ms", "80/s", "26 workers", "99 %"):  # 4 / 50 ms = 80/s
        assert part in text
    assert "pm." not in text


def test_the_reason_says_half_a_core():
    assert "0.5 cores" in cpu.explain(with_cpu_time(0.01, cpus=0.5), 20.0)


def test_the_reason_says_why_there_is_no_limit():
    assert "not known" in cpu.explain(Scenario.example(), np.inf)
    assert "no CPU time" in cpu.explain(with_cpu_time(0), np.inf)
    assert "inf" not in cpu.explain(Scenario.example(), np.inf)
