"""``capacity levers``: what it asks, what it prints, how it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from capacity import Scenario, compare_levers

from .conftest import FILE, assert_refused, run


def test_the_json_is_what_python_says() -> None:
    ran = run("levers", "--users", "200", "--format", "json")
    assert ran.code == 0
    assert {**ran.json, "assumptions": []} == compare_levers(Scenario.example(), users=200).to_dict()
    assert "workload.users" not in ran.fields_assumed
    assert "host.ram" in ran.fields_assumed


def test_the_case_study_has_a_target() -> None:
    assert run("levers", "--format", "json").json["users"] == 200


def test_the_table_says_what_it_takes_and_what_is_no_help() -> None:
    ran = run("levers", "--users", "200", "--cpu-time", "60ms")
    text = " ".join(ran.out.split())
    assert "the recommended pool, 23 workers, is watch or better to 70 users, not 200 users" in text
    assert "alone it would take more hosts: 3 such hosts" in text
    assert "together would do more cores + more hosts" in text
    assert "no help: more workers, more memory, shorter timeouts" in text


def test_effects_and_costs_are_taken_with_hyphens_and_in_one_list_or_several() -> None:
    options = ("--effects", "page-cache=0.4,more-hosts=3", "--costs", "page-cache=5", "--costs", "more-hosts=40")
    ran = run("levers", "--users", "200", "--format", "json", *options)
    expected = compare_levers(
        Scenario.example(),
        users=200,
        effects={"page_cache": 0.4, "more_hosts": 3},
        costs={"page_cache": 5, "more_hosts": 40},
    )
    assert {**ran.json, "assumptions": []} == expected.to_dict()
    assert [point["price"] for point in ran.json["front"]] == [0, 5, 80, 85]
    assert "What gets furthest for its price" in run("levers", *options).out


def test_out_of_reach_is_three_and_prints_its_json() -> None:
    ran = run("levers", "--users", "1000000", "--format", "json")
    assert ran.code == 3
    assert ran.json["sets"] == []
    assert "Out of reach" in ran.err


def test_a_scenario_file_wants_its_target_said(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(FILE)
    assert_refused(run("levers", str(path)), "--users is needed")
    ran = run("levers", str(path), "--users", "500", "--verdict", "manageable", "--format", "json")
    assert (ran.json["users"], ran.json["goal"], ran.json["assumptions"]) == (500, "manageable", [])


def test_a_rate_in_the_scenario_does_not_matter() -> None:
    text = FILE.replace("users = 100", "arrival_rate = 20")
    ran = run("levers", "-", "--users", "500", "--format", "json", stdin=text)
    assert ran.json["resized"] == run("levers", "-", "--users", "500", "--format", "json", stdin=FILE).json["resized"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--users", "0"), "--users must be a whole number from 1 to 10^9; got 0"),
        (("--effects", "page-cash=1"), "--effects page-cash is not a known lever"),
        (("--effects", "page-cache=1"), "--effects page-cache must be from 0 to 0.95"),
        (("--effects", "page-cache"), "--effects must be LEVER=NUMBER; got 'page-cache' (such as more-hosts=3)"),
        (("--effects", "page-cache=much"), "--effects must be LEVER=NUMBER"),
        (("--effects", "page-cache=0.1,page_cache=0.2"), "is given twice"),
        (("--effects", ""), "--effects must be LEVER=NUMBER"),
        (("--costs", "more-hosts=nan"), "--costs more-hosts must be a number from 0 to 1e15"),
        (("--verdict", "overloaded"), "--verdict"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_its_option(options: tuple[str, ...], said: str) -> None:
    assert_refused(run("levers", *options), said)
