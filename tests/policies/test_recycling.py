from __future__ import annotations

import numpy as np
import pytest

from capacity.policies import recycling


def requests(current, rate_per_worker):
    values = (np.atleast_1d(np.array(v, dtype=float)) for v in (current, rate_per_worker))
    return recycling.max_requests(*np.broadcast_arrays(*values)).tolist()


@pytest.mark.parametrize("current", [1, 500, 1000, 100_000])
def test_what_is_set_today_stays(current):
    assert requests(current, 1000.0) == [current]


# A worker lives a minute at full load: 60 s x its rate, in thousands, at least the case study's 1000.
@pytest.mark.parametrize(
    ("service_time", "expected"),
    [(0.25, 1000), (60.0, 1000), (0.0601, 1000), (0.059, 2000), (0.01, 6000), (0.001, 60_000)],
)
def test_a_fast_worker_still_lives_a_minute(service_time, expected):
    assert requests(0, 1 / service_time) == [expected]
    assert expected * service_time >= 60 or expected == 1000


def test_a_row_does_not_know_its_neighbours():
    rate = 10 ** np.random.default_rng(8).uniform(-2, 3, 100)
    current = np.where(np.arange(100) % 3 == 0, 250.0, 0.0)
    assert requests(current, rate) == [requests(current[row], rate[row])[0] for row in range(100)]


def test_the_reason_names_the_lifetime():
    choice = recycling.explain(1000, 4.0, kept=False)
    assert (choice.setting, choice.value) == ("max_requests", 1000)
    assert "leak" in choice.reason
    assert "250 s" in choice.reason  # 1000 requests at 4/s
    assert "pm." not in choice.reason


def test_the_reason_says_that_todays_value_is_kept():
    choice = recycling.explain(500, 4.0, kept=True)
    assert choice.value == 500
    assert "kept as it is today" in choice.reason
    assert "125 s" in choice.reason


def test_a_worker_without_work_has_a_reason_too():
    assert "inf" not in recycling.explain(1000, 0.0, kept=False).reason
