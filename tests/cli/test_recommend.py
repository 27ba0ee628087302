"""``capacity recommend``: contract of its JSON, where every value comes from, and its other formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import capacity.recommendation
from capacity.cli.options import FIELDS
from capacity.fpm import pool_settings, read_pools
from capacity.results import Recommendation
from capacity.scenario import CASE_STUDY, CASE_STUDY_SOURCE, Scenario

from .conftest import FILE, TWO, WWW, assert_refused, run

MIB = 2**20
SPARES = ("max_children", "start_servers", "min_spare_servers", "max_spare_servers")
CASE = {
    "host.ram": 4096 * MIB,
    "host.reserved": 1536 * MIB,
    "host.cpus": 4,
    "worker.memory": 64 * MIB,
    "workload.service_time": 0.25,
    "workload.users": 150,
    "workload.think_time": 1,
    "pool.pm": "dynamic",
    "pool.max_children": 20,
    "pool.start_servers": 4,
    "pool.min_spare_servers": 2,
    "pool.max_spare_servers": 6,
}
# Option: what to write, the value in SI, and other options it needs.
OVERRIDES = {
    "--ram": ("8GiB", 8192 * MIB, ()),
    "--reserved": ("512MiB", 512 * MIB, ()),
    "--cpus": ("2.5", 2.5, ()),
    "--cpus-reserved": ("0.5", 0.5, ()),
    "--database-connections": ("151", 151, ()),
    "--somaxconn": ("128", 128, ()),
    "--database-connections-reserved": ("10", 10, ("--database-connections", "100")),
    "--worker-memory": ("32MiB", 32 * MIB, ()),
    "--shared-memory": ("128MiB", 128 * MIB, ()),
    "--service-time": ("300ms", 0.3, ()),
    "--cpu-time": ("60ms", 0.06, ()),
    "--database-time": ("80ms", 0.08, ()),
    "--overhead-time": ("0.3ms", 0.0003, ()),
    "--web-server-cpu-time": ("0.2ms", 0.0002, ()),
    "--service-scv": ("2.5", 2.5, ()),
    "--think-time": ("30s", 30, ()),
    "--users": ("77", 77, ()),
    "--arrival-rate": ("7200/min", 120, ()),
    "--requests-per-click": ("1.5", 1.5, ()),
    "--response-time": ("800ms", 0.8, ()),
    "--percentile": ("0.99", 0.99, ()),
    "--max-utilization": ("0.7", 0.7, ()),
    "--apdex-time": ("500ms", 0.5, ()),
    "--apdex": ("0.5", 0.5, ("--apdex-time", "1s")),
    "--headroom": ("1.5", 1.5, ()),
    "--spares": ("burst", "burst", ()),
    "--load-before-step": ("0.5", 0.5, ()),
    "--step-waiting-time": ("20ms", 0.02, ()),
    "--process-manager": ("auto", "auto", ()),
    "--process-max": ("128", 128, ()),
    "--pools-on-host": ("3", 3, ()),
    "--web-server-timeout": ("30s", 30, ()),
}


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Scenario]:
    """The scenarios that recommendations were made for."""
    scenarios: list[Scenario] = []
    original = capacity.recommendation.recommend

    def recommend(scenario: Scenario, **options: Any) -> Recommendation:
        scenarios.append(scenario)
        return original(scenario, **options)

    monkeypatch.setattr("capacity.recommendation.recommend", recommend)
    return scenarios


def value_of(scenario: Scenario, field: str) -> object:
    table, _, name = field.partition(".")
    return getattr(scenario if table == "policy" else getattr(scenario, table), name)


def pool_file(tmp_path: Path, text: str = WWW, name: str = "pool.conf") -> str:
    path = tmp_path / name
    path.write_text(text)
    return str(path)


def test_without_arguments_it_plans_the_case_study() -> None:
    ran = run("recommend", "--format", "json")
    assert ran.code == 0
    result = ran.json
    assert [result["pool"][name] for name in SPARES] == [40, 8, 4, 16]
    assert [result["current"][name] for name in SPARES] == [20, 4, 2, 6]
    assert result["pool"]["pm"] == "dynamic"
    assert result["pool"]["max_requests"] == 1000
    assert result["binding"] == "memory"
    assert result["feasible"] is True
    verdicts = {entry["users"]: entry["verdict"] for entry in result["predictions"]}
    assert [verdicts[users] for users in (80, 100, 150, 200)] == ["comfortable", "manageable", "watch", "overloaded"]


def test_json_has_every_key_of_the_contract() -> None:
    result = run("recommend", "--format", "json", "--cpu-time", "20ms").json
    top = {"pool", "limits", "binding", "feasible", "predictions", "bands", "cautions", "assumptions", "rules_of_thumb"}
    assert top | {"format_version"} <= result.keys()
    assert result["format_version"].count(".") == 1
    names = {"pm", *SPARES, "max_requests", "listen_backlog", "request_terminate_timeout"}
    assert names <= result["pool"].keys()
    assert not any("." in name for name in result["pool"])
    for limit in result["limits"]:
        assert {"name", "workers", "binding", "reason"} <= limit.keys()
        assert limit["reason"]
    assert [limit["name"] for limit in result["limits"]] == ["memory", "cpu", "database", "process_max", "demand"]
    assert [limit["name"] for limit in result["limits"] if limit["binding"]] == [result["binding"]]
    predicted = {"users", "verdict", "utilization", "cpu_utilization", "database_utilization", "wait_probability"}
    for prediction in result["predictions"]:
        assert predicted | {"slowdown", "response_time", "response_time_p95"} <= prediction.keys()
    for band in result["bands"]:
        assert {"verdict", "users"} <= band.keys()
    assert [band["verdict"] for band in result["bands"]] == ["comfortable", "manageable", "watch"]
    for assumption in result["assumptions"]:
        assert assumption.keys() == {"field", "value", "source"}
    assert {"RAM division", "cores x 4/2/4", "5 per core", "visitors formula"} == {
        rule["name"] for rule in result["rules_of_thumb"]
    }


def test_fractions_are_fractions_and_what_is_not_finite_is_null_with_a_caution() -> None:
    result = run("recommend", "--format", "json", "--cpu-time", "20ms").json
    for prediction in result["predictions"]:
        for name in ("utilization", "cpu_utilization", "wait_probability"):
            assert 0 <= prediction[name] <= 1
    overloaded = result["predictions"][-1]
    assert overloaded["verdict"] == "overloaded"
    assert overloaded["response_time"] is overloaded["response_time_p95"] is overloaded["slowdown"] is None
    assert any("200 users" in caution and "without bound" in caution for caution in result["cautions"])


def test_stdout_is_one_json_document_and_stderr_is_words() -> None:
    ran = run("recommend", "--format", "json")
    document, end = json.JSONDecoder().raw_decode(ran.out)
    assert ran.out[end:] == "\n"
    assert isinstance(document, dict)
    assert "{" not in ran.err
    assert ran.err.endswith("\n")


def test_the_json_is_a_recommendation_again() -> None:
    ran = run("recommend", "--format", "json", "--cpu-time", "20ms", "--database-connections", "60")
    assert Recommendation.model_validate_json(ran.out).to_dict() == ran.json


def test_a_recommendation_is_the_same_every_time() -> None:
    assert run("recommend", "--format", "json") == run("recommend", "--format", "json")


def test_every_value_of_the_case_study_is_listed_as_an_assumption() -> None:
    assert set(CASE) == {f"{table}.{field}" for table, fields in CASE_STUDY.items() for field in fields}
    ran = run("recommend", "--format", "json")
    assert ran.fields_assumed == CASE
    assert {entry["source"] for entry in ran.json["assumptions"]} == {CASE_STUDY_SOURCE}
    words = ran.err
    assert "case study" in words
    for field in CASE:
        assert field in words
    for shown in ("4.00 GiB", "1.50 GiB", "64.0 MiB", "250 ms", "150", "1 s", "dynamic"):
        assert shown in words


def test_the_override_table_covers_every_option() -> None:
    assert set(OVERRIDES) == {option for option, *_ in FIELDS}


@pytest.mark.parametrize(("option", "field"), [(option, field) for option, field, _, _ in FIELDS])
def test_an_option_overrides_its_field_and_is_no_assumption(option: str, field: str, seen: list[Scenario]) -> None:
    text, value, needs = OVERRIDES[option]
    ran = run("recommend", "--format", "json", option, text, *needs)
    assert ran.code in {0, 3}
    assert value_of(seen[0], field) == (pytest.approx(value) if isinstance(value, float) else value)
    gone = {field, "workload.users"} if option == "--arrival-rate" else {field}
    assert ran.fields_assumed == {name: assumed for name, assumed in CASE.items() if name not in gone}
    assert not any(f"{name} " in ran.err for name in gone)


@pytest.mark.parametrize(("option", "field"), [(option, field) for option, field, _, _ in FIELDS])
def test_an_option_leaves_every_other_field_alone(option: str, field: str, seen: list[Scenario]) -> None:
    text, _, needs = OVERRIDES[option]
    run("recommend", option, text, *needs)
    changed = {field, *(known for name, known, _, _ in FIELDS if name in needs)}
    if option == "--arrival-rate":
        changed.add("workload.users")
    example = Scenario.example()
    for _, known, _, _ in FIELDS:
        if known not in changed:
            assert value_of(seen[0], known) == value_of(example, known), known
    assert seen[0].pool == example.pool


def test_with_every_value_given_nothing_is_assumed_but_the_pool() -> None:
    given = {field: option for option, field, _, _ in FIELDS if field in CASE}
    arguments = [word for option in given.values() for word in (option, OVERRIDES[option][0])]
    ran = run("recommend", "--format", "json", *arguments)
    assert all(field.startswith("pool.") for field in ran.fields_assumed)


def test_with_every_value_and_a_pool_file_nothing_is_from_the_case_study(tmp_path: Path) -> None:
    arguments = [word for option, field, _, _ in FIELDS if field in CASE for word in (option, OVERRIDES[option][0])]
    ran = run("recommend", "--format", "json", "--no-measure", "--pool-file", pool_file(tmp_path), *arguments)
    assert ran.code in {0, 3}
    assert CASE_STUDY_SOURCE not in {entry["source"] for entry in ran.json["assumptions"]}
    assert "case study" not in ran.err


@pytest.mark.parametrize(("listen", "tcp"), [("127.0.0.1:9000", True), ("9000", True), ("/run/php/www.sock", False)])
def test_a_pool_on_a_tcp_socket_loses_requests_otherwise_and_says_so(tmp_path: Path, listen: str, tcp: bool) -> None:
    path = pool_file(tmp_path, f"[www]\nlisten = {listen}\npm = static\npm.max_children = 4\n")
    ran = run("forecast", "--no-measure", "--pool-file", path)
    assert ran.code == 0
    assert ("fastcgi_connect_timeout" in ran.err) == tcp


def test_a_scenario_file_stands_on_its_own(tmp_path: Path, seen: list[Scenario]) -> None:
    path = tmp_path / "site.toml"
    path.write_text(FILE)
    ran = run("recommend", str(path), "--format", "json")
    assert ran.code == 0
    assert ran.err == ""
    assert ran.json["assumptions"] == []
    assert seen[0] == Scenario.from_toml_text(FILE)


def test_a_scenario_from_standard_input_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(FILE)
    by_file = run("recommend", str(path), "--format", "json")
    assert run("recommend", "-", "--format", "json", stdin=FILE) == by_file
    assert run("recommend", "-", "--format", "json", stdin=b"\xef\xbb\xbf" + FILE.encode()) == by_file


def test_options_override_a_scenario_file(seen: list[Scenario]) -> None:
    run("recommend", "-", "--ram", "16GiB", "--users", "33", "--headroom", "2", stdin=FILE)
    assert seen[0].host.ram == 16384 * MIB
    assert seen[0].workload.users == 33
    assert seen[0].headroom == 2
    assert seen[0].host.cpus == 8


def test_sources_of_a_file_are_its_assumptions_until_an_option_overrides_the_value() -> None:
    text = FILE + '[sources]\n"host.ram" = { source = "free -b", samples = 3 }\n"host.cpus" = { source = "lscpu" }\n'
    stated = run("recommend", "-", "--format", "json", stdin=text).json["assumptions"]
    assert [(entry["field"], entry["value"]) for entry in stated] == [("host.ram", 8192 * MIB), ("host.cpus", 8)]
    assert "free -b" in stated[0]["source"]
    assert "3 samples" in stated[0]["source"]
    ran = run("recommend", "-", "--format", "json", "--ram", "16GiB", stdin=text)
    assert ran.fields_assumed == {"host.cpus": 8}


def test_an_arrival_rate_replaces_the_users(seen: list[Scenario]) -> None:
    run("recommend", "--arrival-rate", "64/s")
    run("recommend", "-", "--arrival-rate", "64", stdin=FILE)
    for scenario in seen:
        assert scenario.workload.users is None
        assert scenario.workload.arrival_rate == 64


def test_users_replace_the_arrival_rate_of_a_file(seen: list[Scenario]) -> None:
    text = FILE.replace("users = 100", "arrival_rate = 25")
    run("recommend", "-", "--users", "40", stdin=text)
    assert seen[0].workload.users == 40
    assert seen[0].workload.arrival_rate is None


def test_the_last_of_two_equal_options_counts(seen: list[Scenario]) -> None:
    run("recommend", "--users", "10", "--users", "20")
    assert seen[0].workload.users == 20


@pytest.mark.parametrize("output_format", ["table", "json", "conf", "html", "markdown"])
def test_an_output_file_has_what_standard_output_would_have(tmp_path: Path, output_format: str) -> None:
    path = tmp_path / "result"
    ran = run("recommend", "--format", output_format, "-o", str(path))
    assert ran.code == 0
    assert ran.out == ""
    assert path.read_text("utf-8") == run("recommend", "--format", output_format).out


def test_an_output_file_of_a_dash_is_standard_output() -> None:
    assert run("recommend", "-o", "-").out == run("recommend").out


def test_conf_is_a_pool_section_with_the_recommended_settings() -> None:
    ran = run("recommend", "--format", "conf")
    settings = pool_settings(read_pools(ran.out.encode()).pools["www"])
    assert settings.model_dump() == run("recommend", "--format", "json").json["pool"]


def test_conf_keeps_the_name_of_the_pool(tmp_path: Path) -> None:
    path = pool_file(tmp_path, TWO)
    ran = run("recommend", "--no-measure", "--pool-file", path, "--pool", "app", "--format", "conf")
    assert list(read_pools(ran.out.encode()).pools) == ["app"]


def test_a_pool_file_gives_the_settings_of_today(tmp_path: Path) -> None:
    path = pool_file(tmp_path)
    ran = run("recommend", "--no-measure", "--pool-file", path, "--format", "json")
    assert ran.code == 0
    assert [ran.json["current"][name] for name in SPARES] == [12, 4, 3, 7]
    assert ran.json["pool"]["max_requests"] == 500
    pool = {entry["field"]: entry for entry in ran.json["assumptions"] if entry["field"].startswith("pool.")}
    assert pool["pool.max_children"]["value"] == 12
    assert {entry["source"] for entry in pool.values()} == {f"pool file {path}"}
    assert f"From pool file {path}: pool.pm dynamic, pool.max_children 12" in ran.err
    assert "pool." not in ran.err.partition("From pool file")[0]


def test_a_pool_file_wins_over_the_pool_of_a_scenario_file_and_over_its_source(tmp_path: Path) -> None:
    text = FILE + '[sources]\n"pool.max_children" = { source = "last audit" }\n"host.ram" = { source = "free -b" }\n'
    ran = run("recommend", "-", "--pool-file", pool_file(tmp_path), "--format", "json", stdin=text)
    assert ran.json["current"]["max_children"] == 12
    assert "last audit" not in ran.out
    assert "free -b" in ran.out


def test_a_scenario_file_is_not_measured_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("measured although a scenario file says what holds")

    monkeypatch.setattr("capacity.measure.measure_pool", refuse)
    assert run("recommend", "-", "--pool-file", pool_file(tmp_path), stdin=FILE).code == 0
    assert run("recommend", "--no-measure", "--pool-file", pool_file(tmp_path)).code == 0


def test_a_pool_that_does_not_run_here_is_not_measured_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("capacity.measure.measure_pool", lambda *_, **__: None)
    ran = run("recommend", "--pool-file", pool_file(tmp_path), "--format", "json")
    assert ran.code == 0
    assert "Note: no running pool 'www' on this machine" in ran.err
    assert ran.fields_assumed["worker.memory"] == 64 * MIB


def test_a_measurement_that_fails_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from capacity.errors import MeasurementError

    def fail(*_: object, **__: object) -> None:
        raise MeasurementError("several php-fpm masters run a pool www")

    monkeypatch.setattr("capacity.measure.measure_pool", fail)
    ran = run("recommend", "--pool-file", pool_file(tmp_path))
    assert ran.code == 0
    assert "Note: this machine was not measured: several php-fpm masters" in ran.err


@pytest.mark.parametrize("name", ["app", "APP", "admin"])
def test_one_of_several_pools_is_chosen_by_name(tmp_path: Path, name: str) -> None:
    path = pool_file(tmp_path, TWO)
    ran = run("recommend", "--no-measure", "--pool-file", path, "--pool", name, "--format", "json")
    assert ran.json["current"]["max_children"] == (7 if name.lower() == "app" else 3)
    assert ran.json["pool"]["pm"] == ran.json["current"]["pm"]


def test_several_pools_of_a_file_share_the_host(tmp_path: Path, seen: list[Scenario]) -> None:
    path = pool_file(tmp_path, TWO)
    ran = run("recommend", "--no-measure", "--pool-file", path, "--pool", "app", "--format", "json")
    assert ran.fields_assumed["policy.pools_on_host"] == 2
    assert any("2 pools share this host" in caution for caution in ran.json["cautions"])
    assert "only pool" not in ran.out
    run("recommend", "--no-measure", "--pool-file", path, "--pool", "app", "--pools-on-host", "5")
    run("recommend", "--no-measure", "--pool-file", pool_file(tmp_path))
    assert [scenario.pools_on_host for scenario in seen] == [2, 5, 1]


def test_the_only_pool_of_a_file_needs_no_name(tmp_path: Path) -> None:
    text = TWO.partition("[admin]")[0]
    ran = run("recommend", "--no-measure", "--pool-file", pool_file(tmp_path, text), "--format", "conf")
    assert "[app]" in ran.out


def test_the_limit_of_all_pools_is_read_from_the_global_section(tmp_path: Path) -> None:
    path = pool_file(tmp_path, "[global]\nprocess.max = 9\n" + WWW)
    ran = run("recommend", "--no-measure", "--pool-file", path, "--format", "json")
    assert ran.json["binding"] == "process_max"
    assert ran.json["pool"]["max_children"] == 9
    assert ran.fields_assumed["policy.process_max"] == 9
    assert (
        run("recommend", "--no-measure", "--pool-file", path, "--process-max", "5", "--format", "json").json["pool"][
            "max_children"
        ]
        == 5
    )


@pytest.mark.parametrize("text", ["0", "²", "9" * 5000, "9999999999", "-5", "${MAX}"])
def test_a_process_max_that_is_no_limit_does_not_limit(tmp_path: Path, text: str) -> None:
    path = pool_file(tmp_path, f"[global]\nprocess.max = {text}\n{WWW}")
    ran = run("recommend", "--no-measure", "--pool-file", path, "--format", "json")
    assert ran.code == 0, ran.err
    assert ran.json["binding"] == "memory"
    assert "policy.process_max" not in ran.fields_assumed
    assert ("process.max = " in ran.err) == (text != "0")


def test_what_is_odd_in_a_pool_file_is_a_note_with_its_line(tmp_path: Path) -> None:
    text = "include = /etc/php/other.conf\n" + WWW + "request_terminate_timeout = 500ms\nno.such = 1\n"
    ran = run("recommend", "--no-measure", "--pool-file", pool_file(tmp_path, text))
    assert ran.code == 0
    assert "include = /etc/php/other.conf (line 1) is not followed" in ran.err
    assert "request_terminate_timeout = 500ms is read by FPM as 500 s" in ran.err
    assert "no.such is not a directive of [www]" in ran.err


def test_a_pool_file_with_an_odd_name_is_named_readably(tmp_path: Path) -> None:
    path = tmp_path / "pool\udcff\x1b[31m.conf"
    path.write_text(WWW)
    ran = run("recommend", "--no-measure", "--pool-file", str(path), "--format", "json")
    assert ran.code == 0, ran.err
    assert "\x1b" not in ran.err
    assert ran.json["assumptions"]


def test_escape_codes_in_a_pool_file_do_not_reach_the_terminal(tmp_path: Path) -> None:
    path = pool_file(tmp_path, WWW + "no.such\x1b2J = 1\n[b\x1b31m]\npm = static\npm.max_children = 2\n")
    noted = run("recommend", "--no-measure", "--pool-file", path, "--pool", "www")
    assert noted.code == 0
    refused = run("recommend", "--no-measure", "--pool-file", path)
    assert refused.code == 2
    assert "\x1b" not in noted.err + refused.err


@pytest.mark.parametrize("manager", ["static", "dynamic", "ondemand"])
def test_the_process_manager_of_today_is_kept(tmp_path: Path, manager: str) -> None:
    path = pool_file(tmp_path, WWW.replace("dynamic", manager))
    ran = run("recommend", "--no-measure", "--pool-file", path, "--format", "json")
    assert ran.json["pool"]["pm"] == manager
    assert (ran.json["pool"]["start_servers"] is None) == (manager != "dynamic")


def test_an_infeasible_load_is_printed_all_the_same() -> None:
    ran = run("recommend", "--format", "json", "--users", "10000")
    assert ran.code == 3
    assert ran.json["feasible"] is False
    assert ran.json["shortfall"] > 0
    assert ran.json["pool"]["max_children"] == 40
    assert "nfeasible" in ran.err
    assert run("recommend", "--users", "10000").out.startswith("INFEASIBLE")


def test_more_cpu_than_there_is_has_no_number_of_workers() -> None:
    ran = run("recommend", "--format", "json", "--cpu-time", "60ms")
    assert ran.code == 3
    assert ran.json["binding"] == "cpu"
    assert ran.json["needed"] is ran.json["shortfall"] is None
    assert ran.json["more_workers_help"] is False


def test_a_step_is_simulated_on_request_and_the_choice_rests_on_it() -> None:
    ran = run("recommend", "--format", "json", "--step", "50:150", "--process-manager", "auto", "--ram", "64GiB")
    step = ran.json["step"]
    assert (step["users_before"], step["users_after"]) == (50, 150)
    assert (ran.json["pool"]["pm"], step["choice"]["value"]) == ("static", "static")
    assert step["outcomes"][0]["pool"] == ran.json["pool"]
    table = run("recommend", "--step", "50:150")
    assert "A sudden step from 50 to 150 users (40/s to 120/s)" in table.out
    assert table.out.count("pm = dynamic") == 1
    assert run("recommend", "--format", "json").json["step"] is None


@pytest.mark.parametrize("step", ["50", "50:0", "1:99999999999"])
def test_what_is_no_step_is_refused(step: str) -> None:
    assert_refused(run("recommend", "--step", step), "--step")


@pytest.mark.parametrize("command", ["recommend", "forecast", "plan", "sweep"])
def test_to_measure_what_is_not_measured_is_refused(tmp_path: Path, command: str) -> None:
    more = ("--axis", "users=1:3") if command == "sweep" else ()
    assert_refused(run(command, "--measure", *more), "--pool-file")
    refused = run(command, "-", "--measure", "--pool-file", pool_file(tmp_path), *more, stdin=FILE)
    assert_refused(refused, "--measure", "does not go with a scenario file")
    assert run("recommend", "--no-measure").code == 0
