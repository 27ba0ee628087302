"""Overload of a real pool behind a real nginx: shares of 502 and 504, predicted from the inputs alone, and measured.

Half a minute. The pool of the facts: two workers of 100 ms, 20 requests a second at most.
"""

from __future__ import annotations

import os

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.fidelity.load import Generator, Plan, Record
from benchmarks.fidelity.site import Site, find, running
from capacity import PoolSettings, Prediction, Scenario, forecast, queueing

from .conftest import missing

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="nginx has to reach the socket of www-data's workers"),
]

WORKERS, HOLD, OVERHEAD = 2, 0.1, 0.0005


@pytest.fixture(autouse=True)
def _servers(php_fpm: str) -> None:
    if find("nginx") is None:
        missing("nginx is not installed: apt-get install nginx-light")


def pool(backlog: int, workers: int = WORKERS, kill: int | None = None) -> PoolSettings:
    return PoolSettings(pm="static", max_children=workers, listen_backlog=backlog, request_terminate_timeout=kill)


def arrivals(rate: float, seconds: float, seed: int) -> NDArray[np.float64]:
    chance = np.random.default_rng(seed)
    return np.sort(chance.uniform(0, seconds, chance.poisson(rate * seconds)))


def ask(site: Site, times: NDArray[np.float64], holds: NDArray[np.float64]) -> Record:
    """Send a request at each time, of so much sleep [s], and wait for all answers."""
    return Generator(site.directory, site.socket, Plan(times, holds, 0.0 * holds, float(times[-1]))).record()


def predicted(rate: float, settings: PoolSettings, timeout: float, hold: float = HOLD, scv: float = 0.0) -> Prediction:
    """What the users that make this rate do to the pool."""
    tables = Scenario.example().to_mapping()
    service = hold + OVERHEAD
    tables["workload"] = {"service_time": service, "think_time": 100 / rate - service, "service_scv": scv}
    tables["policy"]["web_server_timeout"] = timeout
    (found,) = forecast(Scenario.from_mapping(tables), pool=settings, users=[100]).predictions
    return found


def test_a_full_accept_queue_answers_502_as_often_as_predicted() -> None:
    rate, seconds, backlog = 80.0, 6.0, 8
    times = arrivals(rate, seconds, 5)
    with running(pool(backlog), read_timeout=60) as site:
        record = ask(site, times, np.full(times.size, HOLD))
    responses = record.ended - record.sent
    assert set(record.status.tolist()) == {200, 502}
    refused = record.status == 502
    # once the queue has filled, which takes a fifth of a second
    found = predicted(rate, pool(backlog), 60)
    assert found.queue_fills_after == pytest.approx(9 / (rate - 20), rel=0.02)
    late = times > 1.0
    # 20 a second are let in whatever comes: what chance does to the share is in the arrivals only, and known from them
    expected = 1 - (1 - found.refused) * rate * 5.0 / late.sum()
    assert refused[late].mean() == pytest.approx(expected, abs=0.03)
    assert found.refused == pytest.approx(0.75, abs=0.005)
    # the others wait behind nine, or a little less
    assert responses[late & ~refused].mean() - HOLD == pytest.approx(found.admitted_waiting_time, rel=0.12)
    assert np.median(responses[refused]) < 0.1 * HOLD
    # as many as the model of that pool refuses of these very arrivals; who exactly hangs on milliseconds, since the one
    # who takes the last place keeps it from the next
    waits = queueing.replay(
        arrival_times=record.sent - record.begin, service_times=HOLD + OVERHEAD, servers=WORKERS, backlog=backlog + 1
    )
    assert np.isinf(waits).sum() == pytest.approx(refused.sum(), abs=0.03 * times.size)


def test_late_answers_are_504_and_executed_all_the_same() -> None:
    rate, seconds, backlog, timeout = 50.0, 6.0, 64, 1.0
    times = arrivals(rate, seconds, 6)
    with running(pool(backlog), read_timeout=timeout) as site:
        record = ask(site, times, np.full(times.size, HOLD))
        refused, given_up, answered = (record.status == status for status in (502, 504, 200))
        # nobody has asked for them for long, and FPM executes them all
        logged = site.settled(times.size, int((~refused).sum()), 10)
    responses = record.ended - record.sent
    assert (refused | given_up | answered).all()
    assert given_up.sum() > 50
    # at the timeout, counted from nginx's connect: the wait is included
    assert np.median(responses[given_up]) == pytest.approx(timeout, abs=0.05)
    assert responses[answered].max() < timeout + 0.1
    assert np.isfinite(logged[given_up]).all()
    # When the queue is full every wait is three times the timeout: in the long run nobody is answered, and all work is
    # for nobody. Only those of the first second were.
    found = predicted(rate, pool(backlog), timeout)
    assert found.refused == pytest.approx(0.6, abs=0.01)
    assert found.timed_out == pytest.approx(0.4, abs=0.01)
    assert found.wasted > 0.999
    assert found.answered == pytest.approx(0, abs=1e-6)
    full = times > found.queue_fills_after + 1.0
    assert full.sum() > 80
    assert not answered[full].any()
    assert refused[full].mean() == pytest.approx(found.refused, abs=0.12)


def test_what_fpm_ends_makes_room_for_others() -> None:
    """Of exponential times of 1 s FPM ends 31 %, at 1.17 s on average: 20 workers complete 29 a second, not 20."""
    rate, seconds, workers, kill = 26.0, 12.0, 20, 1
    times = arrivals(rate, seconds, 7)
    holds = np.random.default_rng(8).exponential(1.0, times.size)
    settings = pool(8, workers, kill)
    with running(settings, read_timeout=60) as site:
        record = ask(site, times, holds)
    found = predicted(rate, settings, 60, hold=1.0, scv=1.0)
    assert found.throughput == pytest.approx(rate)
    late = times > 3.0
    assert set(record.status.tolist()) == {200, 502}
    killed = late & (record.status == 502) & (record.ended - record.sent > 0.9 * kill)
    refused = late & (record.status == 502) & ~killed
    deviation = (found.killed * (1 - found.killed) / late.sum()) ** 0.5
    assert killed.sum() / late.sum() == pytest.approx(found.killed, abs=3.5 * deviation)
    # without them the pool would refuse a fifth
    assert found.refused < 0.06
    assert refused.sum() / late.sum() < 0.13
    at_work = (record.ended - record.sent)[killed]
    assert at_work.min() >= kill - 0.02
    assert 1.0 < np.median(at_work) < 1.5  # the wait included
