"""``capacity fleet``: what it prints, what it refuses, and how it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import assert_refused, run
from .test_schema import breaches, schema

FLEET = """
[host]
ram = "5GiB"
reserved = "2GiB"
cpus = 16
[worker]
memory = "64MiB"
[workload]
service_time = "200ms"
cpu_time = "40ms"
[[pool]]
name = "shop"
workload = { arrival_rate = "140/s" }
[[pool]]
name = "forum"
workload = { arrival_rate = "10/s" }
"""


@pytest.fixture
def fleet(tmp_path: Path) -> str:
    path = tmp_path / "fleet.toml"
    path.write_text(FLEET, encoding="utf-8")
    return str(path)


def test_a_file_alone_is_the_question_of_its_pools(fleet: str) -> None:
    ran = run("fleet", fleet)
    assert (ran.code, ran.err) == (0, "")
    assert ran == run("fleet", "pools", fleet)
    assert "2 pools, 48 workers: every pool carries 1.25 times its load" in ran.out
    assert "| shop  | dynamic |" in ran.out
    tight = run("fleet", "-", stdin=FLEET.replace("5GiB", "4.5GiB")).out
    assert "2 pools, 40 workers: every pool carries its load, the tightest" in tight
    assert "memory (binds)" in tight


def test_it_reads_standard_input() -> None:
    assert run("fleet", "-", stdin=FLEET).code == 0


def test_the_json_is_what_the_schema_says(fleet: str) -> None:
    ran = run("fleet", fleet, "--format", "json")
    assert breaches(ran.json, document := schema("allotment"), document) == []
    assert [share["name"] for share in ran.json["pools"]] == ["shop", "forum"]


def test_the_conf_is_a_section_a_pool_with_its_reason(fleet: str) -> None:
    out = run("fleet", fleet, "--format", "conf").out
    assert [line for line in out.splitlines() if line.startswith("[")] == ["[shop]", "[forum]"]
    assert "; dynamic: it returns memory when idle, to a host that has other pools" in out


def test_a_host_that_cannot_carry_its_pools_ends_with_3_and_says_what_is_missing(fleet: str) -> None:
    text = FLEET.replace('"5GiB"', '"3.5GiB"')
    ran = run("fleet", "-", stdin=text)
    assert ran.code == 3
    assert ran.err == "Infeasible: the host cannot carry every pool at its expected load.\n"
    for words in ("INFEASIBLE: 2 pools", "short of the", "What to do", "more RAM"):
        assert words in ran.out
    assert run("fleet", "-", "--format", "json", stdin=text).json["feasible"] is False


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "pool must be a list"),
        ("pool = 3", "pool must be a list"),
        ("[pool]\nname = 'a'", "pool must be a list"),
        (FLEET.replace('"forum"', '"Shop"'), "pool.shop.name must be another"),
        (FLEET.replace('"forum"', '"a\\nb"'), "pool.name must be 1 to 64 letters"),
        (FLEET.replace('"forum"', '"global"'), "and not global; got 'global'"),
        (FLEET.replace("cpus = 16", "cpus = -1"), "host.cpus must be greater than 0; got -1"),
        (FLEET.replace('"140/s"', '"-140/s"'), "pool.shop.workload.arrival_rate"),
        (FLEET.replace("[worker]", "[wroker]"), "did you mean worker?"),
        (FLEET + "weight = 1e300", "pool.weight must be at most 100"),
        (FLEET + "weight = nan", "pool.weight must be finite"),
        (FLEET.replace('"140/s"', "1e9"), "pools together must keep at most 100000 workers busy; got 2e+08"),
        ("x" * 2**21, "not valid TOML"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(text: str, words: str) -> None:
    ran = run("fleet", "-", stdin=text)
    if len(text) > 2**20:
        words = "larger than 1 MiB"
    assert_refused(ran, words)
    assert len(ran.err.splitlines()) == 1


def test_a_thousand_pools_may_share_a_host_and_no_more() -> None:
    head, _, _ = FLEET.partition("[[pool]]")
    many = "".join(f'[[pool]]\nname = "p{place}"\nworkload = {{ arrival_rate = 0.1 }}\n' for place in range(1001))
    assert_refused(run("fleet", "-", stdin=head + many), "1 to 1000 pools")


@pytest.mark.parametrize("rate", ["1e-9", "1e12"])
@pytest.mark.parametrize("service", ["1e-9", "1e7"])
@pytest.mark.parametrize("cpus", ["0.001", "65536"])
def test_the_ends_of_every_range_give_an_answer(rate: str, service: str, cpus: str) -> None:
    text = FLEET.replace("cpus = 16", f"cpus = {cpus}").replace('"200ms"', service).replace('"40ms"', "1e-9")
    ran = run("fleet", "-", "--format", "json", stdin=text.replace('"140/s"', rate))
    assert ran.code in (0, 2, 3)
    assert "Traceback" not in ran.err


def test_of_many_pools_with_one_fault_the_first_are_named() -> None:
    head, _, _ = FLEET.partition("[[pool]]")
    many = "".join(f'[[pool]]\nname = "p{place}"\n' for place in range(100))
    ran = run("fleet", "-", stdin=head + many)
    assert_refused(ran, "pool.p0.workload.arrival_rate is missing", "fleet has 92 more problems like these")
    assert len(ran.err.splitlines()) == 9


def test_help_says_what_there_is() -> None:
    assert "capacity fleet FLEET.toml" in run("fleet", "--help").out
    assert_refused(run("fleet", "--nonsense"))
    assert run("fleet").code in (0, 2)


# --- hosts, pods and growth

QUESTIONS = ("hosts", "pods", "growth")


@pytest.mark.parametrize("what", QUESTIONS)
def test_the_json_of_every_question_is_what_its_schema_says(what: str) -> None:
    more = ("--yearly-growth", "0.1:0.3:0.5") if what == "growth" else ("--database-connections", "400")
    ran = run("fleet", what, "--cpu-time", "20ms", "--format", "json", *more)
    assert ran.code == 0
    assert breaches(ran.json, document := schema(what), document) == []
    assert {entry["source"] for entry in ran.json["assumptions"]} == {"case study (built in)"}


def test_hosts_are_said_in_words() -> None:
    out = run("fleet", "hosts", "--users", "600").out
    assert "5 hosts, 38 workers each (40 fit); 5 with none to spare" in out
    assert "480/s from 600 users: 5 hosts of 38 workers carry 1.25 times that within the objective" in out
    assert "round_robin (this)" in out


def test_pods_are_called_pods() -> None:
    out = run("fleet", "pods", "--users", "300", "--ram", "1GiB", "--reserved", "128MiB", "--cpus", "1").out
    assert "host" not in out
    assert "Pods of other sizes" in out
    assert "a CPU limit stops the pod" in out


@pytest.mark.parametrize("what", ["hosts", "pods"])
def test_a_load_that_no_number_carries_ends_with_3(what: str) -> None:
    ran = run("fleet", what, "--users", "2000", "--database-connections", "20")
    assert ran.code == 3
    assert ran.err.splitlines()[-1] == f"Infeasible: no number of such {what} meets the objective."
    assert "The database's connections end it" in ran.out


def test_growth_is_said_in_words(tmp_path: Path) -> None:
    growth = ("fleet", "growth", "--workers", "40", "--users", "100", "--start", "2026-01-01")
    out = run(*growth, "--yearly-growth", "0.3").out
    assert "40 workers, 100 users on 2026-01-01, +30 % a year" in out
    assert "| watch       |   170 | 2028-01-10 | 2028-01-10 | 2028-01-10 |" in out
    assert "Have more capacity before 2028-01-10" in out
    series = tmp_path / "peaks.csv"
    lines = [f"2025-{month:02}-01,{users}" for month, users in enumerate((70, 73, 71, 78, 80, 79, 85, 88), start=1)]
    series.write_text("date,users\n" + "\n".join(lines) + "\n\n", encoding="utf-8")
    out = run(*growth, "--series", str(series)).out
    assert "Keep in mind" in out
    assert "the bands hold the trend with a chance of 90 %" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("hosts", "--spare-hosts", "-1"), "--spare-hosts"),
        (("hosts", "--balancing", "best"), "--balancing"),
        (("hosts", "--users", "0"), "--users must be at least 1"),
        (("pods", "--surge-pods", "1001"), "--surge-pods"),
        (("growth",), "--yearly-growth or --series is needed"),
        (("growth", "--yearly-growth", "0.2:0.3"), "must be one fraction, or low, expected and high"),
        (("growth", "--yearly-growth", "much"), "--yearly-growth must be a number; got 'much'"),
        (("growth", "--yearly-growth", "nan"), "yearly_growth must be a number above -1"),
        (("growth", "--yearly-growth", "0.3", "--start", "tomorrow"), "--start must be a date, such as 2026-01-31"),
        (("growth", "--yearly-growth", "0.3", "--years", "1e9"), "years must be a number above 0"),
        (("growth", "--series", "no-such.csv"), "no-such.csv: No such file"),
    ],
)
def test_what_is_wrong_with_a_question_is_said(arguments: tuple[str, ...], words: str) -> None:
    assert_refused(run("fleet", *arguments), words)


@pytest.mark.parametrize("line", ["2026-01-32,5", "2026-01-01,many", "2026-01-01", "\x00,\x00", "2026-01-01,-4"])
def test_a_line_of_a_series_that_is_none_is_named(tmp_path: Path, line: str) -> None:
    series = tmp_path / "peaks.csv"
    good = "".join(f"2026-01-0{day},50\n" for day in range(1, 7))
    series.write_text(good + line, encoding="utf-8")
    assert_refused(run("fleet", "growth", "--series", str(series)), "series")


@pytest.mark.parametrize("what", ["hosts", "pods"])
@pytest.mark.parametrize("users", ["1", "1000000000"])
@pytest.mark.parametrize("cpu", ["0s", "250ms"])
def test_few_and_many_users_get_an_answer(what: str, users: str, cpu: str) -> None:
    ran = run("fleet", what, "--users", users, "--cpu-time", cpu, "--format", "json")
    assert ran.code == (0 if users == "1" else 3)
