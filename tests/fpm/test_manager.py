"""The simulator against its rules worked by hand, against the exact queue, and against a pool that was measured."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capacity import InvalidInput, PoolSettings
from capacity.fpm.maintenance import Maintenance, maintain
from capacity.fpm.manager import PoolRun, simulate_pool
from capacity.queueing import replay

FIVE = PoolSettings(pm="dynamic", max_children=40, start_servers=5, min_spare_servers=5, max_spare_servers=10)
STATIC = PoolSettings(pm="static", max_children=2)
ONDEMAND = PoolSettings(pm="ondemand", max_children=3, process_idle_timeout=2)


def dynamic(workers: int, start: int, least: int, most: int, **more: int) -> PoolSettings:
    spares = {"start_servers": start, "min_spare_servers": least, "max_spare_servers": most}
    return PoolSettings(pm="dynamic", max_children=workers, **spares, **more)


def exact(pool: PoolSettings, arrivals: object, services: object, **more: float) -> PoolRun:
    """With a master that costs no time and ticks at whole seconds."""
    return simulate_pool(
        pool, arrival_times=arrivals, service_times=services, **({"fork_time": 0.0, "tick": 1.0} | more)
    )


# --- the rule of one tick, from fpm_process_ctl.c


@pytest.mark.parametrize(
    ("idle", "running", "rate", "meant"),
    [
        (11, 20, 8, Maintenance(0, 1, 1)),  # too many spares: one goes, however many there are
        (40, 40, 1, Maintenance(0, 1, 1)),
        (10, 20, 8, Maintenance(0, 0, 1)),  # as many as allowed: nothing, and the rate is back at 1
        (5, 20, 8, Maintenance(0, 0, 1)),
        (4, 20, 8, Maintenance(1, 0, 16)),  # no more than are missing
        (0, 20, 1, Maintenance(1, 0, 2)),  # no more than the rate
        (0, 20, 2, Maintenance(2, 0, 4)),
        (0, 20, 32, Maintenance(5, 0, 32)),  # the rate ends at max_spawn_rate
        (0, 38, 32, Maintenance(2, 0, 32)),  # no more than there is room for
        (0, 40, 32, Maintenance(0, 0, 1, full=True)),
        (4, 41, 32, Maintenance(0, 0, 1, full=True)),
    ],
)
def test_a_tick_does_what_the_source_says(idle: int, running: int, rate: int, meant: Maintenance) -> None:
    assert maintain(FIVE, idle=idle, running=running, spawn_rate=rate) == meant


def test_too_many_spares_come_before_everything_else() -> None:
    assert maintain(dynamic(4, 2, 2, 2), idle=3, running=4, spawn_rate=4) == Maintenance(0, 1, 1)


def test_a_rate_below_its_limit_doubles_even_beyond_it() -> None:
    pool = dynamic(100, 40, 40, 40, max_spawn_rate=20)
    rates = [1]
    for _ in range(7):
        rates.append(maintain(pool, idle=0, running=50, spawn_rate=rates[-1]).spawn_rate)
    assert rates == [1, 2, 4, 8, 16, 32, 32, 32]


# --- a pool that was measured


@pytest.mark.parametrize("phase", [0.1, 0.5, 0.9])
def test_after_the_measured_step_the_workers_are_those_of_the_real_pool(phase: float) -> None:
    """60/s to 500/s of 50 ms on 5/5/10: 11, 13, 17, 22, 27, 32, 37, 40 workers were counted after the ticks."""
    arrivals = np.concatenate((np.arange(0, 20, 1 / 60), np.arange(20, 31, 1 / 500)))
    run = simulate_pool(dynamic(40, 10, 5, 10), arrival_times=arrivals, service_times=0.0503, phase=phase)
    after = [tick.time for tick in run.ticks if tick.time > 20.02][:8]
    assert run.workers_at(after).tolist() == [11, 13, 17, 22, 27, 32, 37, 40]
    assert [tick.spawn_rate for tick in run.ticks if tick.time > 20.02][:8] == [1, 2, 4, 8, 16, 32, 32, 32]
    assert run.full_episodes == 1
    assert run.peak_workers == 40


def test_the_mean_wait_after_that_step_is_within_the_spread_of_the_phases() -> None:
    """637 ms mean and 1.73 s at most were measured in the 16 s after, from 10 workers; the phase is not known."""
    arrivals = np.concatenate((np.arange(0, 20, 1 / 60), np.arange(20, 36, 1 / 500)))
    waits = []
    for phase in np.linspace(0, 1, 8, endpoint=False):
        run = simulate_pool(dynamic(40, 10, 5, 10), arrival_times=arrivals, service_times=0.0503, phase=phase)
        waits.append(run.waiting_times[arrivals >= 20])
    means = [wait.mean() for wait in waits]
    assert min(means) < 0.637 < max(means)
    assert min(wait.max() for wait in waits) < 1.73 < max(wait.max() for wait in waits)


# --- by hand


def test_a_static_pool_is_the_queue_and_never_warns() -> None:
    run = exact(STATIC, [0, 0, 0, 1], [2, 2, 2, 1], until=5.0)
    assert run.waiting_times.tolist() == [0, 0, 2, 1]
    assert (run.full_episodes, run.started, run.stopped, run.changes) == (0, 0, 0, ((0.0, 2),))
    assert [(tick.time, tick.active, tick.idle) for tick in run.ticks] == [
        (0, 0, 2), (1, 2, 0), (2, 2, 0), (3, 1, 1), (4, 0, 2), (5, 0, 2),
    ]  # fmt: skip


def test_a_dynamic_pool_gives_back_one_worker_a_second_down_to_max_spare() -> None:
    run = exact(dynamic(4, 2, 2, 2), [0, 0, 0, 0], 1.75, phase=0.5, until=7.0)
    # at 0.5 both are busy and one is forked; at 1.5 the rate is 2, but there is room for one only
    assert run.waiting_times.tolist() == [0, 0, 0.5, 1.5]
    assert [(tick.idle, tick.running, tick.spawn_rate) for tick in run.ticks] == [
        (0, 2, 1), (0, 3, 2), (3, 4, 4), (3, 3, 1), (2, 2, 1), (2, 2, 1), (2, 2, 1),
    ]  # fmt: skip


def test_max_children_is_told_once_an_episode() -> None:
    pool = dynamic(2, 1, 1, 1)
    assert exact(pool, [0, 0, 0], 4.0, phase=0.5).full_episodes == 1
    # one worker is given back at 4.5 and forked again at 7.5: a new episode can begin
    twice = exact(pool, [0, 0, 7, 7], 4.0, phase=0.5)
    assert twice.changes == ((0.0, 1), (0.5, 2), (4.5, 1), (7.5, 2), (11.5, 1))
    assert twice.full_episodes == 2


def test_the_idle_worker_started_first_is_ended() -> None:
    pool = dynamic(2, 1, 1, 1, max_requests=3)
    # The first worker serves both until 1.4, the second is there at 1.0; the tick at 1.5 finds two idle. Had it ended
    # the second, the first would now be replaced after one request, which takes half a second.
    services = [0.7, 0.7, 0.1, 0.1]
    run = exact(pool, [0, 0, 2, 2], services, phase=0.5, fork_time=0.5)
    assert run.stopped == 1
    assert run.waiting_times.tolist() == pytest.approx([0, 0.7, 0, 0.1])


def test_ondemand_forks_for_a_connection_that_finds_nobody_idle() -> None:
    run = exact(ONDEMAND, [0, 0.5, 1, 1.2, 1.3], [2, 2, 2, 1, 1], until=9.0)
    assert run.waiting_times.tolist() == [0, 0, 0, 0.8, 1.2]
    assert run.changes[:4] == ((0.0, 0), (0.0, 1), (0.5, 2), (1.0, 3))
    assert run.full_episodes == 1  # two connections found it full, in one episode


def test_ondemand_ends_one_idle_worker_a_second_after_more_than_its_timeout_in_whole_seconds() -> None:
    run = exact(ONDEMAND, [0.2, 0.2, 0.2], 0.5, phase=0.3, until=8.0, start=0.0)
    # idle since 0.7, that is second 0: older than 2 s from second 3 on
    assert [change for change in run.changes if change[0] > 1] == [(3.3, 2), (4.3, 1), (5.3, 0)]
    assert run.stopped == 3


def test_an_ondemand_worker_that_was_busy_protects_younger_ones_that_are_long_idle() -> None:
    run = exact(ONDEMAND, [0, 0], [2.6, 1.0], phase=0.3, until=10.0)
    # the second is idle since 1.0 and could go at 4.3, but only the first, idle since 2.6, is looked at until it goes
    assert run.changes[-2:] == ((5.3, 1), (6.3, 0))


def test_an_ondemand_master_forks_for_nobody_who_is_served_by_then() -> None:
    run = exact(ONDEMAND, [0, 1.05, 1.07], 1.0, fork_time=0.1)
    # the second is taken at 1.1 by the first worker, the third at 1.15 by the one forked for the second
    assert run.waiting_times.tolist() == pytest.approx([0.1, 0.05, 0.08])
    assert run.started == 2


def test_the_longest_idle_worker_takes_the_next_request_so_that_light_load_keeps_all_of_them() -> None:
    arrivals = np.concatenate(([0.0, 0.0, 0.0], np.arange(1, 30, 0.9)))
    run = exact(ONDEMAND, arrivals, 0.5, phase=0.25)
    assert run.stopped == 0
    assert run.workers_at(29.0) == 3


def test_connections_during_a_fork_are_one_to_the_master_of_an_ondemand_pool() -> None:
    run = simulate_pool(ONDEMAND, arrival_times=[0, 0, 0], service_times=2.0, fork_time=0.1)
    # one fork at 0; at 0.1 the two others are seen as one, and the third of them waits for a worker
    assert run.started == 2
    assert run.waiting_times.tolist() == pytest.approx([0.1, 0.2, 2.1])


def test_workers_forked_together_come_one_after_the_other_and_are_not_idle_before() -> None:
    run = simulate_pool(
        dynamic(9, 4, 4, 4), arrival_times=[0] * 8, service_times=10.0, fork_time=0.25, tick=1.0, phase=1
    )
    assert run.waiting_times[4:7].tolist() == [1.25, 2.25, 2.5]
    assert run.waiting_times[7] == 3.25


def test_a_worker_that_has_served_max_requests_is_replaced_at_once() -> None:
    pool = PoolSettings(pm="static", max_children=1, max_requests=2)
    run = simulate_pool(pool, arrival_times=[0, 0, 0, 0, 0], service_times=1.0, fork_time=0.5)
    assert run.waiting_times.tolist() == [0, 1, 2.5, 3.5, 5]
    assert (run.recycled, run.started, run.peak_workers) == (2, 0, 1)


def test_a_finite_backlog_refuses_and_a_unix_socket_takes_one_more_than_it_says() -> None:
    pool = PoolSettings(pm="static", max_children=2, listen_backlog=8)
    run = exact(pool, np.zeros(20), 0.1)
    assert run.refused == 20 - 2 - 9
    assert np.isfinite(run.waiting_times[:11]).all()
    assert exact(pool, np.zeros(20), 0.1, somaxconn=4).refused == 20 - 2 - 5
    assert exact(PoolSettings(pm="static", max_children=2), np.zeros(20), 0.1, somaxconn=4).refused == 20 - 2 - 5


def test_process_max_keeps_a_pool_small_without_a_warning_of_max_children() -> None:
    for pool in (FIVE, STATIC, ONDEMAND):
        run = exact(pool, np.linspace(0, 4, 40), 1.0, process_max=2)
        assert (run.peak_workers, run.full_episodes) == (2, 0)


def test_ticks_may_be_those_of_a_log() -> None:
    run = exact(FIVE, np.arange(0, 3, 0.01), 0.5, tick_times=[0.25, 1.5])
    assert [tick.time for tick in run.ticks] == [0.25, 1.5]


def test_the_memory_held_is_the_mean_over_time() -> None:
    run = exact(ONDEMAND, [0, 0.5], [1, 1.5], until=2.0)
    assert run.end == 2.0
    assert run.mean_workers == pytest.approx((0.5 * 1 + 1.5 * 2) / 2)


def test_a_run_may_begin_with_other_workers_than_the_settings_start() -> None:
    first = {pool.pm: exact(pool, [0], 1.0, workers=7).changes[0][1] for pool in (FIVE, STATIC, ONDEMAND)}
    assert first == {"dynamic": 7, "static": 2, "ondemand": 3}
    assert exact(FIVE, [0], 1.0, workers=0).changes[0][1] == 1


def test_nobody_comes() -> None:
    run = simulate_pool(FIVE, arrival_times=[], service_times=[], until=3.5)
    assert (run.waiting_times.size, run.peak_workers, run.mean_workers, len(run.ticks)) == (0, 5, 5, 4)


# --- against the exact queue


def trace(rate: float, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.exponential(1 / rate, count)), rng.exponential(0.05, count)


@pytest.mark.parametrize("rate", [100, 300, 390])
def test_a_static_pool_waits_as_the_exact_queue_does(rate: float) -> None:
    arrivals, services = trace(rate, 5000, 1)
    pool = PoolSettings(pm="static", max_children=20)
    run = simulate_pool(pool, arrival_times=arrivals, service_times=services)
    waits = replay(arrival_times=arrivals, service_times=services, servers=20)
    np.testing.assert_allclose(run.waiting_times, waits, rtol=0, atol=1e-9)


def test_a_static_pool_refuses_as_the_exact_queue_does() -> None:
    arrivals, services = trace(500, 5000, 2)
    pool = PoolSettings(pm="static", max_children=20, listen_backlog=7)
    run = simulate_pool(pool, arrival_times=arrivals, service_times=services)
    waits = replay(arrival_times=arrivals, service_times=services, servers=20, backlog=8)
    assert 0 < run.refused < 5000
    np.testing.assert_allclose(run.waiting_times, waits, rtol=0, atol=1e-9)


def test_a_dynamic_pool_whose_spares_are_all_its_workers_waits_as_the_exact_queue_does() -> None:
    arrivals, services = trace(390, 5000, 3)
    run = simulate_pool(dynamic(20, 20, 20, 20), arrival_times=arrivals, service_times=services)
    waits = replay(arrival_times=arrivals, service_times=services, servers=20)
    np.testing.assert_allclose(run.waiting_times, waits, rtol=0, atol=1e-9)
    assert run.full_episodes == 1  # it never has its min_spare idle, and cannot grow


# --- whatever the pool and the load

POOLS = st.sampled_from(
    [
        *(PoolSettings(pm="static", max_children=count) for count in (1, 4)),
        PoolSettings(pm="static", max_children=3, max_requests=2, listen_backlog=2),
        *(dynamic(*sizes) for sizes in [(1, 1, 1, 1), (6, 2, 1, 3), (8, 3, 3, 3)]),
        dynamic(6, 2, 2, 4, max_requests=1, max_spawn_rate=1),
        PoolSettings(pm="ondemand", max_children=4, process_idle_timeout=1),
        PoolSettings(pm="ondemand", max_children=2, max_requests=1, listen_backlog=0),
    ]
)
TIMES = st.lists(st.tuples(st.floats(0, 3), st.floats(0, 4)), max_size=30)


@settings(max_examples=150, deadline=None)
@given(POOLS, TIMES, st.floats(0, 1), st.sampled_from([0.0, 0.0015, 0.3]))
def test_nobody_is_lost_and_no_limit_is_passed(
    pool: PoolSettings, requests: list[tuple[float, float]], phase: float, fork_time: float
) -> None:
    arrivals = np.cumsum([gap for gap, _ in requests])
    services = np.array([service for _, service in requests])
    run = simulate_pool(pool, arrival_times=arrivals, service_times=services, phase=phase, fork_time=fork_time)
    assert run.peak_workers <= pool.max_children
    assert run.changes[-1][1] == run.changes[0][1] + run.started - run.stopped >= 0
    assert all(tick.active + tick.idle == tick.running and tick.idle >= 0 for tick in run.ticks)
    served = np.isfinite(run.waiting_times)
    assert (run.waiting_times[served] >= -1e-9).all()
    if pool.listen_backlog is None:
        assert served.all()
    starts = (arrivals + run.waiting_times)[served]
    assert (np.diff(starts) >= -1e-9).all()  # first come, first served
    # never more at work than there are workers
    ends = starts + services[served]
    for start in starts:
        working = ((starts <= start) & (ends > start + 1e-9)).sum()
        assert working <= max(run.workers_at([start - 1e-9, start, start + 1e-9]))
    if pool.pm == "dynamic":
        grown = np.diff([tick.running for tick in run.ticks])
        assert (grown <= pool.min_spare_servers).all()
        assert (grown >= -1).all()
    # no pool beats one that has all its workers from the start
    if fork_time == 0 and not pool.max_requests and pool.listen_backlog is None and arrivals.size:
        best = replay(arrival_times=arrivals, service_times=services, servers=pool.max_children)
        assert (run.waiting_times >= best - 1e-9).all()


# --- what is refused


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"arrival_times": [1, 0]}, "arrival_times"),
        ({"arrival_times": [0, math.nan]}, "arrival_times"),
        ({"arrival_times": [[0, 1]]}, "arrival_times"),
        ({"arrival_times": [0, 1e9]}, "arrival_times"),
        ({"service_times": [1, 2, 3]}, "service_times"),
        ({"service_times": [-1, 2]}, "service_times"),
        ({"service_times": math.inf}, "service_times"),
        ({"tick": 0.0}, "tick"),
        ({"phase": -1.0}, "phase"),
        ({"fork_time": math.nan}, "fork_time"),
        ({"process_max": 0}, "process_max"),
        ({"workers": -1}, "workers"),
        ({"start": 0.5}, "start"),
        ({"tick_times": [2.0, 1.0]}, "tick_times"),
    ],
)
def test_what_makes_no_sense_is_named(wrong: dict[str, object], field: str) -> None:
    good = {"arrival_times": [0.0, 1.0], "service_times": 0.1}
    with pytest.raises(InvalidInput, match=f"^{field} must"):
        simulate_pool(FIVE, **(good | wrong))
