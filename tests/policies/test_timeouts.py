from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from capacity.policies import timeouts


def test_a_request_is_given_up_when_the_web_server_has_given_up():
    table = {"policy.web_server_timeout": np.array([60.0, 30.0, 0.5, 2.2])}
    # FPM reads whole seconds; one that is cut short would kill requests the web server still waits for
    assert timeouts.terminate_after(table).tolist() == [60.0, 30.0, 1.0, 3.0]


def test_the_reason_of_termination_names_patience_and_multiple():
    choice = timeouts.explain_terminate(60, 0.25)
    assert (choice.setting, choice.value) == ("request_terminate_timeout", 60)
    for part in ("60 s", "240 times", "fastcgi_finish_request"):
        assert part in choice.reason
    assert "pm." not in choice.reason


# -S ln(0.001) = 6.91 S: all but one in a thousand exponential service times are over
@pytest.mark.parametrize(
    ("service_time", "seconds"), [(0.25, 10), (1.0, 10), (1.5, 11), (5.0, 35), (0.001, 10), (8.0, 56)]
)
def test_a_reload_waits_until_999_of_1000_are_done(service_time, seconds):
    choice = timeouts.grace(service_time, 60.0)
    assert (choice.setting, choice.value) == ("process_control_timeout", seconds)
    assert math.exp(-seconds / service_time) <= 0.001
    assert seconds == 10 or math.exp(-(seconds - 1) / service_time) > 0.001


def test_a_reload_never_waits_longer_than_the_web_server():
    assert timeouts.grace(30.0, 60.0).value == 60
    assert timeouts.grace(0.25, 5.0).value == 5


def test_the_reason_of_the_grace_names_its_place_and_its_cost():
    reason = timeouts.grace(5.0, 60.0).reason
    for part in ("[global]", "502", "35 s", "999 of 1000", "34.5 s"):
        assert part in reason
    assert "pm." not in reason


@pytest.mark.parametrize("scv", [0.25, 0.5, 2.0, 4.0])
def test_the_grace_knows_the_spread_of_service_times(scv):
    # the quantile of a lognormal time with mean 5 s, from its definition and the normal distribution's own inverse
    width = math.log1p(scv) ** 0.5
    slowest = 5.0 * math.exp(NormalDist(-width * width / 2, width).inv_cdf(0.999))
    choice = timeouts.grace(5.0, 600.0, scv)
    assert choice.value == math.ceil(slowest) != timeouts.grace(5.0, 600.0).value
    assert "999 of 1000" in choice.reason
    assert "lognormal" in choice.reason


def test_constant_times_all_finish_and_unmeasured_ones_are_exponential():
    constant = timeouts.grace(12.5, 600.0, 0.0)
    assert (constant.value, "lets all finish (12.5 s if service times are constant)" in constant.reason) == (13, True)
    assert timeouts.grace(5.0, 600.0, 4.5) == timeouts.grace(5.0, 600.0)
