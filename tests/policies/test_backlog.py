from __future__ import annotations

import numpy as np
import pytest

from capacity.policies import backlog
from capacity.table import take


def places(patience, full_rate):
    table = {"policy.web_server_timeout": np.atleast_1d(np.array(patience, dtype=float))}
    return backlog.waiting_places(table, np.atleast_1d(np.array(full_rate, dtype=float))).tolist()


# T c/S: what a busy pool completes within the web server's patience T
@pytest.mark.parametrize(
    ("patience", "workers", "service_time", "expected"),
    [
        (2.0, 2, 0.1, 40),  # measured: 2 workers of 100 ms behind a read timeout of 2 s
        (5.0, 20, 0.03, 3333),
        (60.0, 40, 0.25, 4096),  # 9600 would be useful; the kernel admits net.core.somaxconn
        (0.5, 1, 60.0, 1),  # never 0: listen() would still let one wait
    ],
)
def test_nobody_waits_longer_than_the_web_server(patience, workers, service_time, expected):
    assert places(patience, workers / service_time) == [expected]


def test_the_last_of_a_full_queue_is_answered_in_time():
    patience = np.linspace(0.5, 20, 40)
    rate = np.linspace(3.0, 200.0, 40)
    waiting = np.array(places(patience, rate))
    assert (waiting / rate <= patience).all()
    capped = waiting == backlog.SOMAXCONN
    assert ((waiting + 1) / rate > patience)[~capped].all()


def test_a_row_does_not_know_its_neighbours():
    rng = np.random.default_rng(6)
    table, rate = {"policy.web_server_timeout": rng.uniform(0.1, 90, 100)}, rng.uniform(0.1, 500, 100)
    together = backlog.waiting_places(table, rate)
    alone = [backlog.waiting_places(take(table, np.array([row])), rate[row : row + 1])[0] for row in range(100)]
    assert together.tobytes() == np.array(alone).tobytes()


def test_the_reason_names_patience_rate_and_places():
    choice = backlog.explain(40, 20.0, 2.0)
    assert (choice.setting, choice.value) == ("listen_backlog", 40)
    for part in ("2 s", "20 completions/s", "40 requests", "504"):
        assert part in choice.reason
    assert "somaxconn" not in choice.reason
    assert "pm." not in choice.reason


def test_the_reason_says_when_the_kernel_admits_less():
    choice = backlog.explain(4096, 160.0, 60.0)
    for part in ("9600 requests", "4096", "net.core.somaxconn"):
        assert part in choice.reason
