"""``capacity sensitivity``: what it asks, what it prints, how it ends."""

from __future__ import annotations

import pytest

from capacity import Scenario, sensitivity

from .conftest import FILE, assert_refused, run


def test_the_json_is_what_python_says() -> None:
    ran = run("sensitivity", "--spread", "0.2", "--workers-by", "0.05", "--verdict", "manageable", "--format", "json")
    expected = sensitivity(Scenario.example(), spread=0.2, workers_by=0.05, verdict="manageable")
    assert ran.code == 0
    assert {**ran.json, "assumptions": []} == expected.to_dict()
    assert "workload.users" in ran.fields_assumed


def test_the_table_shows_what_matters_and_how_wrong_it_may_be() -> None:
    ran = run("sensitivity")
    text = " ".join(ran.out.split())
    assert "What 40 workers (memory binds) and 170 users, watch or better, hang on" in text
    assert "workload.service_time 17 % more, 293 ms, and the verdict becomes overloaded" in text
    assert "> 293 ms: overloaded" in text
    assert "##########" in text


def test_a_scenario_of_its_own_without_a_load() -> None:
    text = FILE.replace('users = 100\nthink_time = "4s"\n', "")
    ran = run("sensitivity", "-", stdin=text)
    assert ran.code == 0
    assert "124 workers" not in ran.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--spread", "0"), "--spread must be above 0 and at most 0.99; got 0.0"),
        (("--workers-by", "2"), "--workers-by must be above 0 and at most 1"),
        (("--verdict", "overloaded"), "--verdict"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_its_option(options: tuple[str, ...], said: str) -> None:
    assert_refused(run("sensitivity", *options), said)
