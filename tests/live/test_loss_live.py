"""Overload of a real pool behind a real nginx: shares of 502 and 504, predicted from the inputs alone, and measured.

Twenty seconds. The pool of the facts: two workers of 100 ms, 20 requests a second at most.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from capacity import PoolSettings, Prediction, Scenario, forecast, queueing

from .web_load import Web, serving

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="nginx has to reach the socket of www-data's workers"),
]

WORKERS, HOLD, OVERHEAD = 2, 0.1, 0.0005


@pytest.fixture
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Web]]:
    with ExitStack() as running:

        def start(backlog: int, timeout: float) -> Web:
            directory = tmp_path_factory.mktemp("web")
            for parent in (directory, *directory.parents):
                # pytest makes its directories 0700; www-data has to reach the socket and the script
                if parent.owner() == Path("/tmp").owner() and "pytest" in str(parent):
                    parent.chmod(parent.stat().st_mode | 0o055)
            return running.enter_context(serving(directory, pool(backlog), timeout=timeout))

        yield start


def pool(backlog: int) -> PoolSettings:
    return PoolSettings(pm="static", max_children=WORKERS, listen_backlog=backlog)


def predicted(rate: float, backlog: int, timeout: float) -> Prediction:
    """What the users that make this rate do to the pool."""
    tables = Scenario.example().to_mapping()
    service = HOLD + OVERHEAD
    tables["workload"] = {"service_time": service, "think_time": 100 / rate - service}
    tables["policy"]["web_server_timeout"] = timeout
    (found,) = forecast(Scenario.from_mapping(tables), pool=pool(backlog), users=[100]).predictions
    return found


def test_a_full_accept_queue_answers_502_as_often_as_predicted(serve: Callable[..., Web]) -> None:
    rate, seconds, backlog = 80.0, 6.0, 8
    chance = np.random.default_rng(5)
    times = np.sort(chance.uniform(0, seconds, chance.poisson(rate * seconds)))
    answers = serve(backlog, 60).ask(times, np.full(times.size, HOLD))
    assert set(answers.status.tolist()) == {200, 502}
    refused = answers.status == 502
    # once the queue has filled, which takes a fifth of a second
    found = predicted(rate, backlog, 60)
    assert found.queue_fills_after == pytest.approx(9 / (rate - 20), rel=0.02)
    late = times > 1.0
    # 20 a second are let in whatever comes: what chance does to the share is in the arrivals only, and known from them
    expected = 1 - (1 - found.refused) * rate * 5.0 / late.sum()
    assert refused[late].mean() == pytest.approx(expected, abs=0.03)
    assert found.refused == pytest.approx(0.75, abs=0.005)
    # the others wait behind nine, or a little less
    assert answers.response_times[late & ~refused].mean() - HOLD == pytest.approx(found.admitted_waiting_time, rel=0.12)
    assert np.median(answers.response_times[refused]) < 0.1 * HOLD
    # as many as the model of that pool refuses of these very arrivals; who exactly hangs on milliseconds, since the one
    # who takes the last place keeps it from the next
    waits = queueing.replay(
        arrival_times=answers.sent - answers.sent[0],
        service_times=HOLD + OVERHEAD,
        servers=WORKERS,
        backlog=backlog + 1,
    )
    assert np.isinf(waits).sum() == pytest.approx(refused.sum(), abs=0.03 * times.size)


def test_late_answers_are_504_and_executed_all_the_same(serve: Callable[..., Web]) -> None:
    rate, seconds, backlog, timeout = 50.0, 6.0, 64, 1.0
    chance = np.random.default_rng(6)
    times = np.sort(chance.uniform(0, seconds, chance.poisson(rate * seconds)))
    web = serve(backlog, timeout)
    answers = web.ask(times, np.full(times.size, HOLD))
    refused, given_up, answered = (answers.status == status for status in (502, 504, 200))
    assert (refused | given_up | answered).all()
    assert given_up.sum() > 50
    # at the timeout, counted from nginx's connect: the wait is included
    assert np.median(answers.response_times[given_up]) == pytest.approx(timeout, abs=0.05)
    assert answers.response_times[answered].max() < timeout + 0.1
    # nobody has asked for them for long, and FPM executes them all
    web.settle(int((~refused).sum()), 10)
    executed = web.executed()
    assert {number for number in np.flatnonzero(given_up).tolist() if number not in executed} == set()
    assert {executed[number][1] for number in np.flatnonzero(given_up).tolist()} == {200}
    # When the queue is full every wait is three times the timeout: in the long run nobody is answered, and all work is
    # for nobody. Only those of the first second were.
    found = predicted(rate, backlog, timeout)
    assert found.refused == pytest.approx(0.6, abs=0.01)
    assert found.timed_out == pytest.approx(0.4, abs=0.01)
    assert found.wasted > 0.999
    assert found.answered == pytest.approx(0, abs=1e-6)
    full = times > found.queue_fills_after + 1.0
    assert full.sum() > 80
    assert not answered[full].any()
    assert refused[full].mean() == pytest.approx(found.refused, abs=0.12)
