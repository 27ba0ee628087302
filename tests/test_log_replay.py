"""A log through other pools: exact where it can be, against simulation where workers share cores."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from capacity import InvalidInput, Replay, replay_log
from capacity.log_replay.periods import period_length, summed_up
from capacity.queueing import mmc_response_time_quantile, mmc_wait_probability, mmc_waiting_time, replay
from capacity.queueing.shared_trace import pace_of, replay_shared, starts_of, without_contention

from .oracles.measure_log_replay import figures, requests, true_pool

EPOCH = 1795500000.0


def stream(number: int, *, rate: float, service_time: float, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.exponential(1 / rate, number)), rng.exponential(service_time, number)


def served(arrivals: np.ndarray, services: np.ndarray, servers: int, backlog: float = math.inf) -> np.ndarray:
    return np.asarray(replay(arrival_times=arrivals, service_times=services, servers=servers, backlog=backlog))


# --- without shared cores


@pytest.mark.parametrize("shares", [{}, {"cpus": 64, "cpu_time": 0.05}, {"cpus": 2, "cpu_time": 0.0}])
def test_where_no_core_is_shared_it_is_the_queue_itself(shares: dict[str, float]) -> None:
    arrivals, services = stream(20_000, rate=80, service_time=0.1)
    result = replay_log(EPOCH + arrivals, services, workers=[9, 12], **shares)
    for pool in result.pools:
        # the same origin, so that not a bit differs
        waits = served(EPOCH + arrivals - (EPOCH + arrivals[0]), services, pool.workers)
        assert pool.waiting_time == pytest.approx(waits.mean(), rel=1e-12)
        assert pool.waiting_time_p99 == pytest.approx(np.quantile(waits, 0.99), rel=1e-12)
        assert pool.response_time_p95 == pytest.approx(np.quantile(waits + services, 0.95), rel=1e-12)
        assert pool.longest_response_time == pytest.approx((waits + services).max(), rel=1e-12)
        assert pool.wait_probability == (waits > 0).mean()
    assert result.logged_contention == pytest.approx(0, abs=1e-12)
    assert result.logged_wait == 0
    assert bool(shares) is not any("CPU time or cores are unknown" in caution for caution in result.cautions)


def test_a_poisson_log_of_exponential_times_meets_the_formulas() -> None:
    # 20 batches of the wait: the formula lies within four standard errors of their mean
    servers, rate, mean = 10, 80.0, 0.1
    arrivals, services = stream(400_000, rate=rate, service_time=mean)
    pool = replay_log(arrivals, services, workers=[servers]).pools[0]
    batches = served(arrivals, services, servers).reshape(20, -1).mean(axis=1)
    error = 4 * batches.std(ddof=1) / math.sqrt(20)
    load = {"servers": servers, "arrival_rate": rate, "service_time": mean}
    assert pool.waiting_time == pytest.approx(mmc_waiting_time(**load), abs=error)
    assert error < 0.15 * pool.waiting_time
    assert pool.wait_probability == pytest.approx(mmc_wait_probability(**load), rel=0.03)
    assert pool.response_time_p95 == pytest.approx(mmc_response_time_quantile(0.95, **load), rel=0.03)
    assert pool.utilization == pytest.approx(0.8, rel=0.01)


def test_the_order_of_the_log_does_not_matter() -> None:
    arrivals, services = stream(3000, rate=80, service_time=0.1)
    order = np.random.default_rng(2).permutation(len(arrivals))
    given = {"workers": [9], "cpus": 4.0, "cpu_time": 0.03}
    assert replay_log(arrivals[order], services[order], **given) == replay_log(arrivals, services, **given)


def test_who_finds_the_backlog_full_is_refused() -> None:
    arrivals, services = stream(20_000, rate=120, service_time=0.1)
    result = replay_log(arrivals, services, workers=[10], backlog=5)
    waits = served(arrivals, services, 10, 5)
    let_in = np.isfinite(waits)
    pool = result.pools[0]
    assert pool.refused == (~let_in).sum() > 1000
    assert pool.waiting_time == pytest.approx(waits[let_in].mean())
    assert pool.longest_queue == 5
    assert sum(period.refused for period in pool.periods) == pool.refused
    assert sum(period.requests for period in pool.periods) == result.requests == 20_000
    assert (result.enough_workers, result.backlog) == (None, 5)


# --- the wait in a web server's times


def test_the_wait_is_taken_out_of_a_web_servers_times() -> None:
    arrivals, services = stream(20_000, rate=90, service_time=0.1)
    logged = served(arrivals, services, 10) + services
    kept = {"time_kind": "upstream_time", "logged_workers": 10}
    result = replay_log(arrivals, logged, workers=[10, 14], **kept)
    assert result.service_time == pytest.approx(services.mean())
    assert result.logged_wait == pytest.approx(logged.mean() - services.mean())
    assert result.pool(10).response_time_p99 == pytest.approx(np.quantile(logged, 0.99))
    truth = served(arrivals, services, 14)
    assert result.pool(14).waiting_time == pytest.approx(truth.mean())
    assert not any("wait" in caution for caution in result.cautions)


def test_without_the_number_of_workers_the_wait_stays_and_that_is_said() -> None:
    arrivals, services = stream(5000, rate=90, service_time=0.1)
    logged = served(arrivals, services, 10) + services
    result = replay_log(arrivals, logged, workers=[14], time_kind="request_time")
    assert result.service_time == pytest.approx(logged.mean())
    assert any("waits come out too long" in caution for caution in result.cautions)


def test_too_few_logged_workers_are_noticed() -> None:
    arrivals, services = stream(5000, rate=90, service_time=0.1)
    logged = served(arrivals, services, 12) + services
    result = replay_log(arrivals, logged, workers=[14], time_kind="upstream_time", logged_workers=5)
    assert any("ended before one of 5 workers was free" in caution for caution in result.cautions)


def test_a_log_of_starts_that_hides_waits_is_noticed() -> None:
    arrivals, services = stream(5000, rate=90, service_time=0.1)
    starts = arrivals + served(arrivals, services, 10)
    for workers, noticed in ((10, True), (30, False)):
        result = replay_log(starts, services, workers=[10], logged_workers=workers)
        assert any("does not have their wait" in caution for caution in result.cautions) is noticed
    # at its own size nothing waits: every request began when a worker was free
    assert result.pool(10).waiting_time < 1e-12


def test_starts_are_those_of_the_queue() -> None:
    arrivals, services = stream(70_000, rate=95, service_time=0.1)  # more than one block
    starts = arrivals + served(arrivals, services, 10)
    np.testing.assert_allclose(starts_of(arrivals, starts + services, 10), starts, rtol=0, atol=1e-9)


# --- shared cores


def test_a_pool_whose_workers_share_no_core_is_the_queue_with_or_without_a_backlog() -> None:
    arrivals, services = stream(70_000, rate=95, service_time=0.1)
    for backlog in (math.inf, 7.0, 0.0):
        waits, held = replay_shared(arrivals, services, pace=[1.0] * 11, backlog=backlog)
        expected = served(arrivals, services, 10, backlog)
        np.testing.assert_allclose(waits, expected, rtol=0, atol=1e-8)
        let_in = np.isfinite(expected)
        np.testing.assert_allclose(held[let_in], services[let_in], rtol=0, atol=1e-8)


def test_two_requests_on_one_core_by_hand() -> None:
    # alone for 1 s, together at half the pace for 2 s, alone again for 1 s
    waits, held = replay_shared(np.array([0.0, 1.0]), np.array([2.0, 2.0]), pace=[1.0, 1.0, 0.5])
    assert waits.tolist() == [0, 0]
    assert held.tolist() == [3, 3]
    waits, held = replay_shared(np.array([0.0, 1.0, 1.5]), np.array([2.0, 2.0, 1.0]), pace=[1.0, 1.0, 0.5])
    assert waits.tolist() == [0, 0, 1.5]
    assert held.tolist() == [3, 4, 2]


@pytest.mark.parametrize(("share", "rate"), [(0.2, 300.0), (0.5, 80.0), (1.0, 30.0)])
def test_contention_comes_out_again_and_back_in(share: float, rate: float) -> None:
    arrivals, services = stream(30_000, rate=rate, service_time=0.1)
    cores, cpu_time = 4.0, share * float(services.mean())
    pace = pace_of(40, cores=cores, cpu_time=cpu_time, service_time=float(services.mean()))
    waits, held = replay_shared(arrivals, services, pace=pace)
    starts = arrivals + waits
    found, mean, spent, _ = without_contention(starts, starts + held, cores=cores, cpu_time=cpu_time)
    assert held.mean() > 1.02 * services.mean()
    assert mean == pytest.approx(services.mean(), rel=0.01)
    assert spent.sum() == pytest.approx(((starts + held).max() - arrivals[0]), rel=0.2)
    # with the mean that was found the log is what it was, to rounding
    again = replay_shared(
        arrivals, found, pace=pace_of(40, cores=cores, cpu_time=min(cpu_time, mean), service_time=mean)
    )
    np.testing.assert_allclose(again[1], held, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("logged", "workers"), [(8, 24), (24, 8)])
def test_it_is_near_to_true_processor_sharing_and_the_logged_times_are_not(logged: int, workers: int) -> None:
    # the whole grid, with its largest errors, is tests/oracles/measure_log_replay.py
    rng = np.random.default_rng(3)
    on_cpu, off_cpu = requests(rng, 20_000, service_time=0.1, cpu_share=0.6, law="exponential")
    arrivals = np.cumsum(rng.exponential(1 / 52, len(on_cpu)))
    waits, held = true_pool(arrivals, on_cpu, off_cpu, servers=logged, cores=4, turns=10)
    truth = figures(*true_pool(arrivals, on_cpu, off_cpu, servers=workers, cores=4, turns=10))
    given: dict[str, Any] = {"workers": [workers], "time_kind": "upstream_time", "logged_workers": logged}
    pool = replay_log(arrivals, waits + held, cpus=4, cpu_time=float(on_cpu.mean()), **given).pools[0]
    ours = np.array([pool.response_time, pool.response_time_p95, pool.response_time_p99])
    naive = replay_log(arrivals, waits + held, **given).pools[0]
    assert np.abs(ours / truth - 1).max() < 0.1
    assert abs(naive.response_time / truth[0] - 1) > 2 * abs(ours[0] / truth[0] - 1) + 0.05


def test_more_workers_on_full_cores_do_not_help_and_that_is_said() -> None:
    rng = np.random.default_rng(4)
    arrivals = np.cumsum(rng.exponential(1 / 190, 20_000))
    services = rng.exponential(0.02, 20_000)
    result = replay_log(arrivals, services, workers=[4, 60], cpus=2, cpu_time=0.0101)
    assert result.more_workers_help is False or result.enough_workers is not None
    full = replay_log(arrivals, services, workers=[2, 4], cpus=2, cpu_time=0.0101)
    assert full.more_workers_help is False
    assert any("would not have helped" in line for line in full.advice)


def test_cpu_time_that_contradicts_the_log_is_noticed() -> None:
    arrivals, services = stream(5000, rate=90, service_time=0.1)
    longer = replay_log(arrivals, services, workers=[20], cpus=4, cpu_time=0.3)
    assert any("took" in caution and "in all" in caution for caution in longer.cautions)
    many = replay_log(arrivals, services, workers=[20], cpus=4, cpu_time=0.09)
    assert any("more requests than 4 cores can serve" in caution for caution in many.cautions)
    busy = replay_log(arrivals, services, workers=[20], cpus=4, cpu_time=0.04)
    assert any("roughly at best" in caution for caution in busy.cautions)
    idle = replay_log(arrivals, services, workers=[20], cpus=4, cpu_time=0.001)
    assert idle.cautions == ()


# --- over time


def day(peak: int, number: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """A day with one hour that is five times as busy."""
    rng = np.random.default_rng(5)
    hours = rng.choice(24, number, p=[5 / 28 if hour == peak else 1 / 28 for hour in range(24)])
    start = EPOCH // 86400 * 86400
    return np.sort(start + 3600 * hours + 3600 * rng.random(number)), rng.exponential(1.0, number)


def test_the_hour_that_hurts_is_found() -> None:
    arrivals, services = day(13)
    result = replay_log(arrivals, services, workers=[1, 2])
    pool = result.pool(2)
    assert len(pool.periods) == 24
    assert pool.worst == 13
    worst = pool.worst_period
    assert (worst.start, worst.seconds) == (EPOCH // 86400 * 86400 + 13 * 3600, 3600)
    assert worst.requests == ((arrivals >= worst.start) & (arrivals < worst.start + 3600)).sum()
    assert worst.arrival_rate == worst.requests / 3600
    assert worst.waiting_time == max(period.waiting_time for period in pool.periods) > 0.2
    assert result.pool(1).worst >= 13  # the queue of one worker outlasts the hour


def test_periods_are_what_a_count_by_hand_gives() -> None:
    arrivals, services = stream(4000, rate=8, service_time=1.0)
    waits = served(arrivals, services, 9)
    pool = summed_up(9, arrivals, waits, services, length=60.0)
    grid = np.arange(arrivals[0], arrivals[-1], 0.01)
    starts, ends = arrivals + waits, np.sort(arrivals + waits + services)
    waiting = np.searchsorted(arrivals, grid, "right") - np.searchsorted(starts, grid, "right")
    busy = np.searchsorted(starts, grid, "right") - np.searchsorted(ends, grid, "right")
    for period in pool.periods:
        here = (grid >= period.start) & (grid < period.start + 60)
        assert period.queue_length == pytest.approx(waiting[here].mean(), abs=0.02)
        assert period.utilization == pytest.approx(busy[here].mean() / 9, abs=0.01)
        assert period.longest_queue in range(waiting[here].max(), waiting[here].max() + 3)
        mine = (arrivals >= period.start) & (arrivals < period.start + 60)
        assert period.waiting_time_p95 == pytest.approx(np.quantile(waits[mine], 0.95))
    assert pool.longest_queue == max(period.longest_queue for period in pool.periods)
    assert pool.utilization == pytest.approx(busy.mean() / 9, abs=0.001)


def test_periods_are_minutes_hours_days_and_longer() -> None:
    hour = 3600.0
    assert period_length(np.array([5.0])) == 60
    assert period_length(np.array([0.0, 4 * hour])) == hour
    assert period_length(np.arange(0, 3000 * hour, hour)) == 24 * hour
    ages = np.arange(0, 3e10, 24 * hour)
    assert len(set(ages // period_length(ages))) <= 2000
    # years of silence between two hours are no periods
    assert period_length(np.array([0.0, 1e9])) == hour
    assert len(replay_log([0.0, 1e9], [1.0, 1.0], workers=[1]).pools[0].periods) == 2


# --- advice


def test_the_least_number_without_waits_is_enough() -> None:
    arrivals, services = stream(20_000, rate=50, service_time=0.1)
    result = replay_log(arrivals, services, workers=[40, 6, 12], cpus=64, cpu_time=0.01)
    assert result.enough_workers == 12
    assert result.more_workers_help is False
    assert [pool.workers for pool in result.pools] == [40, 6, 12]
    alone = replay_log(arrivals, services, workers=[40])
    assert any("fewer may have been" in line for line in alone.advice)
    few = replay_log(arrivals, services, workers=[4, 5], cpus=64, cpu_time=0.01)
    assert (few.enough_workers, few.more_workers_help) == (None, True)
    unknown = replay_log(arrivals, services, workers=[5])
    assert (unknown.enough_workers, unknown.more_workers_help) == (None, None)


def test_more_workers_that_share_cores_may_make_it_slower() -> None:
    # one core: in turn, or all at once; of equal requests the last to be served is none the later for the turns
    arrivals, _ = stream(20_000, rate=45, service_time=1.0)
    services = np.full_like(arrivals, 0.02)
    logged = served(arrivals, services, 1) + services
    given: dict[str, Any] = {"time_kind": "upstream_time", "logged_workers": 1, "cpus": 1, "cpu_time": 0.02}
    result = replay_log(arrivals, logged, workers=[1, 50], **given)
    assert result.pool(1).response_time_p95 == pytest.approx(np.quantile(logged, 0.95))
    assert result.pool(50).response_time_p95 > 1.05 * result.pool(1).response_time_p95
    assert any("share the same cores" in line for line in result.advice)


# --- edges


def test_the_smallest_logs() -> None:
    one = replay_log([0.0], [0.0], workers=1, cpus=1, cpu_time=0.1)
    assert (one.requests, one.seconds, one.pools[0].response_time, one.pools[0].utilization) == (1, 0, 0, 0)
    still = replay_log([5.0], [2.0], workers=[1])
    assert still.pools[0].utilization == 1
    at_once = replay_log([1.0] * 4, [1.0] * 4, workers=[1, 100_000], cpus=2, cpu_time=0.5)
    assert at_once.pool(1).waiting_time == pytest.approx(0.5 * (0 + 1 + 2 + 3) / 4, rel=1e-6)
    assert at_once.pool(100_000).waiting_time == 0


def test_huge_times_stay_finite() -> None:
    result = replay_log([0.0, 1.0, 2.0, 3e10], [1e6, 1e6, 0.0, 1e6], workers=[1, 2], cpus=1, cpu_time=1e6)
    assert Replay.model_validate_json(result.to_json()) == result
    assert result.pool(1).waiting_time > 0


def test_progress_is_told_and_ends() -> None:
    seen: list[tuple[int, int]] = []
    arrivals, services = stream(70_000, rate=80, service_time=0.1)
    replay_log(arrivals, services, workers=[9, 20], cpus=4, cpu_time=0.02, told=lambda *at: seen.append(at))
    assert seen[-1] == (140_000, 140_000)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert len(seen) >= 5


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"workers": []}, "workers"),
        ({"workers": [0]}, "workers"),
        ({"workers": [2.5]}, "workers"),
        ({"workers": [True]}, "workers"),
        ({"workers": [20, 20]}, "workers"),
        ({"workers": [100_001]}, "workers"),
        ({"workers": range(1, 52)}, "workers"),
        ({"workers": "20"}, "workers"),
        ({"cpus": 0.0}, "cpus"),
        ({"cpus": math.nan}, "cpus"),
        ({"cpus": "4"}, "cpus"),
        ({"cpu_time": -1.0}, "cpu_time"),
        ({"cpu_time": math.inf}, "cpu_time"),
        ({"time_kind": "duration"}, "time_kind"),
        ({"logged_workers": 0}, "logged_workers"),
        ({"backlog": -1}, "backlog"),
        ({"backlog": 1.5}, "backlog"),
        ({"arrival_times": []}, "logged_times"),
        ({"arrival_times": [0.0]}, "logged_times"),
        ({"arrival_times": [0.0, math.nan]}, "arrival_times"),
        ({"arrival_times": [0.0, -1.0]}, "arrival_times"),
        ({"arrival_times": ["now", 1.0]}, "arrival_times"),
        ({"logged_times": [1.0, math.inf]}, "logged_times"),
        ({"logged_times": [1.0, -0.1]}, "logged_times"),
        ({"logged_times": [1.0, 2e6]}, "logged_times"),
    ],
)
def test_what_is_out_of_its_domain_is_refused(change: dict[str, Any], field: str) -> None:
    arguments: dict[str, Any] = {"arrival_times": [0.0, 1.0], "logged_times": [1.0, 1.0], "workers": [1]} | change
    arrivals, times = arguments.pop("arrival_times"), arguments.pop("logged_times")
    with pytest.raises(InvalidInput) as caught:
        replay_log(arrivals, times, **arguments)
    assert [problem.field for problem in caught.value.problems] == [field]
