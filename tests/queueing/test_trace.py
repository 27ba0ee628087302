"""The replay of a trace against hand-made schedules, two slow second methods and the theory of M/M/c and M/M/c/K."""

from __future__ import annotations

import math
import tracemalloc
from collections import deque
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray
from oracles.simulation import interval

from capacity.queueing import (
    mmc_wait_probability,
    mmc_waiting_time,
    mmck_blocking_probability,
    mmck_waiting_time,
    replay,
    trace,
)

INF, NAN = math.inf, math.nan
Array = NDArray[np.float64]


def waits(arrival_times: object, service_times: object, servers: object, backlog: object = INF) -> Array:
    return replay(arrival_times=arrival_times, service_times=service_times, servers=servers, backlog=backlog)


def poisson(servers: int, utilization: float, requests: int, seed: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.exponential(1 / (servers * utilization), requests)), rng.exponential(1.0, requests)


def on_grid(*times: Array) -> list[Array]:
    """Whole multiples of 2^-10: sums and differences are exact, ties and services of 0 are common."""
    return [np.floor(values * 1024) / 1024 for values in times]


def by_workload(arrivals: Array, services: Array, servers: int) -> list[Fraction]:
    """Kiefer and Wolfowitz: the sorted work before each server, in fractions. No clock, no heap, no rounding."""
    work, before, found = [Fraction(0)] * servers, Fraction(arrivals[0]), []
    for arrival, service in zip(map(Fraction, arrivals.tolist()), map(Fraction, services.tolist()), strict=True):
        work = [max(each - (arrival - before), Fraction(0)) for each in work]
        found.append(work[0])
        work = sorted([work[0] + service, *work[1:]])
        before = arrival
    return found


def by_events(arrivals: Array, services: Array, servers: int, backlog: float) -> list[float]:
    """Servers with a request each and a queue of requests, event by event; counts from the first arrival."""
    found = [INF] * len(arrivals)
    ends: list[float] = []
    queue: deque[int] = deque()
    at = [time - arrivals[0] for time in arrivals.tolist()]

    def start(request: int, now: float) -> None:
        found[request] = now - at[request]
        ends.append(now + services[request])

    for request, now in enumerate(at):
        while ends and min(ends) <= now:
            end = min(ends)
            ends.remove(end)
            if queue:
                start(queue.popleft(), end)
        if len(ends) < servers:
            start(request, now)
        elif len(queue) < backlog:
            queue.append(request)
    while queue and min(ends) < INF:
        end = min(ends)
        ends.remove(end)
        start(queue.popleft(), end)
    return found


# --- by hand


def test_equal_services_at_equal_distances_never_wait_up_to_utilization_one():
    # D/D/c: c = 3, one arrival a second, three seconds each: a server becomes free just in time.
    assert (waits(np.arange(2000.0), 3.0, 3) == 0).all()
    assert (waits(np.arange(2000.0), 2.5, 3) == 0).all()


def test_equal_services_in_overload_wait_longer_by_the_same_amount_every_round():
    # D/D/2 with 3 s each, one a second: the pair that starts in round k does so at 3k and 3k + 1.
    requests = np.arange(3000)
    rounds, second = np.divmod(requests, 2)
    assert (waits(requests, 3, 2) == 3 * rounds + second - requests).all()


def test_a_batch_is_served_in_its_order():
    assert waits([7, 7, 7, 7, 7], [5, 1, 3, 1, 1], 2).tolist() == [0, 0, 1, 4, 5]
    assert waits([7, 7, 7, 7, 7], [1, 5, 1, 3, 1], 2).tolist() == [0, 0, 1, 2, 5]


def test_who_finds_the_backlog_full_is_refused_and_leaves_no_trace():
    assert waits([0, 1, 2, 3, 4, 5], 2.5, 1, 0).tolist() == [0, INF, INF, 0, INF, INF]
    assert waits([0, 1, 2, 3, 4, 5], 2.5, 1, 1).tolist() == [0, 1.5, INF, 2, INF, 2.5]
    assert waits([0, 1, 2, 3, 4, 5], 2.5, 1, 2).tolist() == [0, 1.5, 3, 4.5, INF, 5]


@pytest.mark.parametrize(("servers", "backlog"), [(1, 0), (1, 99), (7, 700), (2000, 0), (2000, 100), (2000, 9000)])
def test_a_batch_fills_the_servers_and_then_the_backlog(servers, backlog):
    requests = np.arange(20_000)
    expected = np.where(requests < servers + backlog, requests // servers, INF)
    assert (waits(np.full(20_000, 3.0), 1.0, servers, backlog) == expected).all()


def test_a_backlog_one_short_of_a_batch_refuses_its_last_request():
    assert waits([0, 0, 0, 0], 1, 1, 2).tolist() == [0, 1, 2, INF]
    assert waits([0, 0, 0, 0], 1, 1, 3).tolist() == [0, 1, 2, 3]


def test_what_becomes_free_in_the_instant_of_an_arrival_is_free():
    assert waits([0, 1, 2, 3], 1, 1, 0).tolist() == [0, 0, 0, 0]
    # The second begins at 2, when the third comes: its place is free then.
    assert waits([0, 1, 2, 3], 2, 1, 1).tolist() == [0, 1, 2, INF]


def test_a_service_of_no_length_does_not_jump_the_queue():
    # Started at their arrivals the last two would end at 1, and so reproduce that guess; the server is busy to 10.
    assert waits([0, 1, 1], [10, 0, 0], 1).tolist() == [0, 9, 9]
    arrivals, services = np.zeros(1500), np.zeros(1500)
    services[0] = 10
    assert (waits(arrivals, services, 1)[1:] == 10).all()
    services[0] = 2.0**60  # 1 second does not move this clock either
    assert waits([0, 1, 1], [2.0**60, 1, 1], 1).tolist() == [0, 2.0**60 - 1, 2.0**60 - 1]


def test_a_service_without_end_takes_its_server_away():
    assert waits([0, 1, 2, 3], [INF, 4, 4, INF], 2).tolist() == [0, 0, 3, 6]
    assert waits([0, 1, 2, 30, 40], [INF, INF, 1, 1, 1], 2).tolist() == [0, 0, INF, INF, INF]
    assert waits([0, 1, 2], [INF, 1, 1], 1, 1).tolist() == [0, INF, INF]
    assert waits(np.arange(2000.0), np.r_[INF, np.full(1999, 0.5)], 2).tolist() == [0] * 2000


# --- second methods

SHAPES = [(1, 0.3), (1, 0.9), (3, 0.05), (3, 0.7), (3, 1.3), (40, 0.5), (40, 0.95), (40, 1.1), (300, 0.8), (300, 1.05)]


@pytest.mark.parametrize(("servers", "utilization"), SHAPES)
def test_on_a_grid_the_workloads_of_kiefer_and_wolfowitz_are_the_same_to_the_bit(servers, utilization):
    requests = 3000 if servers < 100 else 1200
    arrivals, services = on_grid(*poisson(servers, utilization, requests, seed=servers))
    assert waits(arrivals, services, servers).tolist() == by_workload(arrivals, services, servers)


@pytest.mark.parametrize(("servers", "utilization"), [(1, 0.9), (3, 0.7), (40, 0.95)])
def test_off_the_grid_they_differ_by_one_rounding_for_each_service(servers, utilization):
    arrivals, services = poisson(servers, utilization, 2000, seed=5)
    exact = np.array([float(value) for value in by_workload(arrivals, services, servers)])
    ours = waits(arrivals, services, servers)
    # A busy period of at most all requests, each rounded to half a unit in the last place of the largest time.
    assert abs(ours - exact).max() < 2000 * np.spacing(arrivals[-1] + ours.max())
    assert exact.max() > 0.01


@pytest.mark.parametrize("backlog", [0, 1, 7, 64, 600, INF])
@pytest.mark.parametrize(("servers", "utilization"), SHAPES)
def test_a_simulation_event_by_event_is_the_same_to_the_bit(servers, utilization, backlog):
    arrivals, services = poisson(servers, utilization, 4000, seed=7)
    assert waits(arrivals, services, servers, backlog).tolist() == by_events(arrivals, services, servers, backlog)
    arrivals, services = on_grid(arrivals, services)
    assert waits(arrivals, services, servers, backlog).tolist() == by_events(arrivals, services, servers, backlog)


@pytest.mark.parametrize("backlog", [0, 3, 2000, INF])
def test_rushes_and_pauses_change_between_the_two_ways(backlog):
    rng = np.random.default_rng(11)
    paces = np.repeat(rng.choice([0.02, 0.2, 0.9, 1.5], 40), 300)
    arrivals = np.cumsum(rng.exponential(1 / (20 * paces)))
    services = rng.exponential(1.0, arrivals.size) * (rng.random(arrivals.size) < 0.999)
    assert waits(arrivals, services, 20, backlog).tolist() == by_events(arrivals, services, 20, backlog)


@pytest.mark.parametrize("backlog", [0, 7, INF])
@pytest.mark.parametrize(("servers", "utilization"), SHAPES)
def test_proved_blocks_and_the_heap_give_the_same_bits(monkeypatch, servers, utilization, backlog):
    arrivals, services = poisson(servers, utilization, 20_000, seed=9)
    both = waits(arrivals, services, servers, backlog)
    monkeypatch.setattr(trace, "_prove", lambda *_: None)
    assert waits(arrivals, services, servers, backlog).tolist() == both.tolist()


@pytest.mark.parametrize(("utilization", "most"), [(0.5, 0.0), (0.95, 1.0)])
def test_where_few_wait_the_heap_is_not_needed(monkeypatch, utilization, most):
    arrivals, services = poisson(40, utilization, 50_000, seed=3)
    heaped = []
    serve = trace._serve
    monkeypatch.setattr(trace, "_serve", lambda *case: heaped.append(case[0].size) or serve(*case))
    waits(arrivals, services, 40)
    assert 0.8 * most <= sum(heaped) / arrivals.size <= most


def test_after_a_rush_the_heap_is_given_up_again(monkeypatch):
    rush, quiet = poisson(40, 1.5, 3000, seed=1), poisson(40, 0.4, 60_000, seed=2)
    heaped = []
    serve = trace._serve
    monkeypatch.setattr(trace, "_serve", lambda *case: heaped.append(case[0].size) or serve(*case))
    waits(np.r_[rush[0], rush[0][-1] + quiet[0]], np.r_[rush[1], quiet[1]], 40)
    assert 1000 < sum(heaped) < 20_000


# --- theory


@pytest.mark.parametrize(("servers", "utilization", "seed"), [(1, 0.7, 1), (8, 0.8, 2), (40, 0.9, 3)])
def test_the_waits_of_mmc_are_inside_the_interval(servers, utilization, seed):
    ours = waits(*poisson(servers, utilization, 1_000_000, seed), servers)[100_000:]
    case = {"servers": servers, "arrival_rate": servers * utilization, "service_time": 1.0}
    for value, sample in ((mmc_waiting_time(**case), ours), (mmc_wait_probability(**case), (ours > 0).astype(float))):
        mean, half = interval(sample)
        assert abs(value - mean) <= half < 0.15 * mean


@pytest.mark.parametrize(
    ("servers", "backlog", "utilization", "seed"), [(1, 0, 0.5, 1), (4, 3, 0.9, 2), (40, 10, 1.0, 3), (20, 50, 1.2, 4)]
)
def test_the_waits_and_refusals_of_mmck_are_inside_the_interval(servers, backlog, utilization, seed):
    ours = waits(*poisson(servers, utilization, 600_000, seed), servers, backlog)[100_000:]
    case = {"servers": servers, "backlog": backlog, "arrival_rate": servers * utilization, "service_time": 1.0}
    mean, half = interval(np.isinf(ours).astype(float))
    assert abs(mmck_blocking_probability(**case) - mean) <= half < 0.1 * mean
    let_in = ours[np.isfinite(ours)]
    if backlog == 0:
        assert let_in.max() == 0
    else:
        mean, half = interval(let_in)
        assert abs(mmck_waiting_time(**case) - mean) <= half < 0.1 * mean


# --- domain


@pytest.mark.parametrize("bad", [NAN, INF, -INF, 2.5])
def test_from_an_arrival_out_of_domain_on_nothing_is_known(bad):
    arrivals, services = np.array([0.0, 1, 2, 3, 4, 5]), 1.5
    whole = waits(arrivals, services, 1)
    assert (whole > 0).sum() == 5
    arrivals[4] = bad
    assert waits(arrivals, services, 1).tolist()[:4] == whole.tolist()[:4]
    assert np.isnan(waits(arrivals, services, 1)[4:]).all()


@pytest.mark.parametrize("bad", [NAN, -1e-300, -1.0, -INF])
@pytest.mark.parametrize("place", [0, 1, 3, 99_999, 65_535, 65_536])
def test_from_a_service_out_of_domain_on_nothing_is_known(bad, place):
    arrivals, services = np.arange(100_000.0), np.full(100_000, 1.5)
    services[place] = bad
    ours = waits(arrivals, services, 1)
    assert (ours[:place] == np.arange(place) * 0.5).all()
    assert np.isnan(ours[place:]).all()


@pytest.mark.parametrize("place", [1, 3, 65_535, 65_536, 65_537, 99_999])
def test_an_arrival_before_its_predecessor_is_out_of_domain(place):
    arrivals = np.arange(100_000.0)
    arrivals[place] -= 1.5
    ours = waits(arrivals, 0.5, 2)
    assert (ours[:place] == 0).all()
    assert np.isnan(ours[place:]).all()


def test_a_log_in_the_order_of_the_ends_gives_no_silent_nonsense():
    arrivals, services = poisson(4, 0.8, 2000, seed=1)
    by_end = np.argsort(arrivals + services)
    ours = waits(arrivals[by_end], services[by_end], 4)
    assert np.isnan(ours).any()
    assert np.isnan(ours.mean())


@pytest.mark.parametrize("servers", [NAN, -1, -INF, 0.5, 2.5, INF])
def test_servers_out_of_domain_give_nan(servers):
    assert np.isnan(waits([0, 1, 2], 1, servers)).all()


@pytest.mark.parametrize("backlog", [NAN, -1, -INF, 0.5, 2.5])
def test_a_backlog_out_of_domain_gives_nan(backlog):
    assert np.isnan(waits([0, 1, 2], 1, 2, backlog)).all()


@pytest.mark.parametrize("backlog", [0, 2, INF])
def test_without_servers_nobody_is_ever_served(backlog):
    assert waits([0, 1, 2], 1, 0, backlog).tolist() == [INF] * 3
    assert waits([0, 1, NAN], 1, 0, backlog).tolist()[:2] == [INF] * 2
    assert math.isnan(waits([0, 1, NAN], 1, 0, backlog)[2])


@pytest.mark.parametrize("servers", [3, 4, 10**9, 1e300])
def test_with_a_server_for_each_request_nobody_waits(servers):
    assert waits([0, 0, 0], INF, servers, 0).tolist() == [0, 0, 0]


@pytest.mark.parametrize("backlog", [3, 4, 10**9, 1e300])
def test_with_a_place_for_each_request_nobody_is_refused(backlog):
    assert waits([0, 0, 0], 1, 1, backlog).tolist() == [0, 1, 2]


def test_huge_and_tiny_times_raise_no_warning():
    assert waits([0, 1e308, 1.2e308], 0.5e308, 1).tolist() == [0, 0, pytest.approx(0.3e308)]
    assert waits([0, 1, 2], 1.7e308, 1).tolist() == [0, 1.7e308, INF]
    assert waits([0, 5e-324, 1e-323], 5e-324, 1).tolist() == [0, 0, 0]
    assert np.isnan(waits([-1.7e308, 1.7e308], 1, 1)).tolist() == [False, True]  # further apart than a float64 goes


def test_epoch_seconds_lose_nothing_of_the_microseconds():
    arrivals, services = on_grid(*poisson(3, 0.9, 2000, seed=2))
    services /= 1024  # some nanoseconds, which epoch seconds cannot hold
    arrivals = np.floor(arrivals * 8) / 8
    assert waits(arrivals + 1_790_000_000, services, 3).tolist() == waits(arrivals, services, 3).tolist()
    assert 0 < waits(arrivals, services, 3)[1:].max() < 0.2


# --- shapes and types


def test_scalars_are_a_trace_of_one_request():
    for servers, expected in ((1, 0.0), (5, 0.0), (0, INF)):
        value = waits(3.0, 1.0, servers)
        assert type(value) is float
        assert value == expected
    assert type(waits(3.0, -1.0, 1)) is float
    assert math.isnan(waits(3.0, -1.0, 1))
    assert waits(3.0, 1.0, [0, 1]).tolist() == [INF, 0]


def test_no_requests_have_no_waits():
    assert waits([], [], 3).shape == (0,)
    assert waits([], 1.0, [1, 2]).shape == (2, 0)
    assert waits([], [], 3).dtype == np.float64
    assert waits([0, 1], 1.0, []).shape == (0, 2)


def test_one_number_serves_all_requests_alike():
    assert waits(0, [3, 2, 1], 1).tolist() == [0, 3, 5]
    assert waits([0, 1, 2], 3, 1).tolist() == [0, 2, 4]
    assert waits([0, 1, 2], [3], 1).tolist() == [0, 2, 4]


def test_servers_and_backlog_broadcast_before_the_trace():
    arrivals, services = poisson(5, 1.1, 3000, seed=8)
    table = waits(arrivals, services, [[3], [5], [-1]], [0, 9, INF, 2.5])
    assert table.shape == (3, 4, 3000)
    for row, servers in enumerate((3, 5, -1)):
        for column, backlog in enumerate((0, 9, INF, 2.5)):
            np.testing.assert_array_equal(table[row, column], waits(arrivals, services, servers, backlog))


def test_several_traces_at_once_are_each_replayed_alone():
    one, two = poisson(2, 0.8, 1000, seed=1), poisson(2, 0.9, 1000, seed=2)
    both = waits(np.stack([one[0], two[0]]), np.stack([one[1], two[1]]), [2, 3])
    assert both.tolist() == [waits(*one, 2).tolist(), waits(*two, 3).tolist()]


@pytest.mark.parametrize(
    "case", [([0, 1], [1, 1, 1], 1, INF), ([[0, 1]] * 2, 1, [1, 2, 3], INF), ([0], 1, [1] * 2, [1] * 3)]
)
def test_shapes_that_do_not_broadcast_raise(case):
    with pytest.raises(ValueError, match=r"do not broadcast together: arrival_times .* backlog"):
        waits(*case)


@pytest.mark.parametrize("name", ["arrival_times", "service_times", "servers", "backlog"])
@pytest.mark.parametrize(
    "wrong",
    ["four", None, object(), 1 + 1j, ["x"], np.array("2026-01-01", "M8[s]")],
    ids=lambda wrong: type(wrong).__name__,
)
def test_what_is_no_number_raises(name, wrong):
    case = {"arrival_times": [0, 1], "service_times": 1, "servers": 1, "backlog": 1}
    with pytest.raises(TypeError, match=name):
        replay(**case | {name: wrong})


def test_integers_lists_and_small_types_count_as_doubles():
    expected = waits([0.0, 1.0, 2.0], [3.0, 3.0, 3.0], 1.0, 5.0).tolist()
    for kind in (np.int8, np.uint16, np.float32, np.float16, np.int64):
        case = np.arange(3, dtype=kind), np.full(3, 3, dtype=kind), kind(1), kind(5)
        assert waits(*case).tolist() == expected
        assert waits(*case).dtype == np.float64
    assert waits(range(3), (3, 3, 3), 1).tolist() == expected


def test_inputs_are_left_as_they_were_whatever_their_layout():
    arrivals, services = poisson(3, 0.9, 3000, seed=4)
    expected = waits(arrivals, services, 3).tolist()
    mixed = np.stack([arrivals, services], axis=1)
    mixed.flags.writeable = False
    ours = waits(mixed[:, 0], mixed[:, 1], 3)
    assert ours.tolist() == expected
    assert not np.shares_memory(ours, mixed)
    assert (mixed[:, 0] == arrivals).all()


@pytest.mark.parametrize("backlog", [50, INF])
@pytest.mark.parametrize("utilization", [0.3, 1.05])
def test_the_memory_beside_the_arrays_does_not_grow_with_the_trace(utilization, backlog):
    def beside(requests: int) -> int:
        arrivals, services = poisson(20, utilization, requests, seed=6)
        tracemalloc.start()
        try:
            ours = waits(arrivals, services, 20, backlog)
            return tracemalloc.get_traced_memory()[1] - ours.nbytes
        finally:
            tracemalloc.stop()

    beside(1000)
    assert beside(400_000) < 1.2 * beside(100_000) + 100_000
