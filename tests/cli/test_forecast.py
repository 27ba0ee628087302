"""``capacity forecast``: what numbers of users do to a pool, in both models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from capacity.results import Forecast

from .conftest import FILE, TWO, WWW, Ran, assert_refused, run


def verdicts(ran: Ran) -> dict[int, str]:
    return {entry["users"]: entry["verdict"] for entry in ran.json["predictions"]}


def forecast(*arguments: str, stdin: str = "") -> Ran:
    return run("forecast", "--format", "json", *arguments, stdin=stdin)


def test_without_arguments_it_judges_the_pool_of_the_case_study() -> None:
    ran = forecast()
    assert ran.code == 0
    assert ran.json["pool"]["max_children"] == 20
    assert ran.json["pool"]["pm"] == "dynamic"
    assert ran.json["model"] == "open"
    assert list(verdicts(ran)) == [50, 80, 100, 150, 200]


@pytest.mark.parametrize("model", ["open", "finite"])
def test_verdicts_of_the_case_study_hold_in_both_models(model: str) -> None:
    before = verdicts(forecast("--model", model, "--at", "50,80,100"))
    assert before[50] in {"comfortable", "manageable"}
    assert (before[80], before[100]) == ("watch", "overloaded")
    after = verdicts(forecast("--model", model, "--workers", "40", "--at", "80,100,150,200"))
    assert list(after.values()) == ["comfortable", "manageable", "watch", "overloaded"]


def test_json_has_every_key_of_the_contract() -> None:
    result = forecast("--cpu-time", "20ms").json
    assert {"format_version", "pool", "model", "predictions", "bands", "cautions"} <= result.keys()
    predicted = {"users", "verdict", "utilization", "cpu_utilization", "database_utilization", "wait_probability"}
    for prediction in result["predictions"]:
        assert predicted | {"slowdown", "response_time", "response_time_p95"} <= prediction.keys()
    assert [band["verdict"] for band in result["bands"]] == ["comfortable", "manageable", "watch"]


def test_the_json_is_one_document_and_a_forecast_again() -> None:
    ran = forecast("--cpu-time", "20ms", "--model", "finite")
    document, end = json.JSONDecoder().raw_decode(ran.out)
    assert ran.out[end:] == "\n"
    assert Forecast.model_validate_json(ran.out).to_dict() == document


@pytest.mark.parametrize("model", ["open", "finite"])
def test_the_most_users_of_a_verdict_have_it_and_one_more_has_not(model: str) -> None:
    bands = forecast("--model", model, "--cpu-time", "10ms").json["bands"]
    for band in bands:
        most = band["users"]
        judged = verdicts(forecast("--model", model, "--cpu-time", "10ms", "--at", f"{most},{most + 1}"))
        assert judged[most] == band["verdict"]
        assert judged[most + 1] != band["verdict"]


def test_users_are_predicted_in_the_order_asked() -> None:
    assert list(verdicts(forecast("--at", "200, 5,80"))) == [200, 5, 80]


def test_workers_replace_the_pool_of_today(tmp_path: Path) -> None:
    path = tmp_path / "pool.conf"
    path.write_text(WWW)
    file = ("--no-measure", "--pool-file", str(path))
    assert forecast(*file).json["pool"]["max_children"] == 12
    assert forecast(*file, "--workers", "33").json["pool"]["max_children"] == 33


def test_a_pool_of_a_file_is_chosen_by_name(tmp_path: Path) -> None:
    path = tmp_path / "pool.conf"
    path.write_text(TWO)
    ran = forecast("--no-measure", "--pool-file", str(path), "--pool", "admin")
    assert ran.json["pool"]["max_children"] == 3
    assert ran.json["pool"]["pm"] == "ondemand"


def test_without_a_pool_it_judges_the_recommended_one_and_says_so() -> None:
    text = FILE.partition("[pool]")[0]
    ran = forecast("-", stdin=text)
    assert ran.code == 0
    assert "no pool is given; this is the recommended one" in ran.err
    recommended = run("recommend", "-", "--format", "json", stdin=text).json["pool"]
    assert ran.json["pool"] == recommended


def test_users_and_rate_of_the_scenario_do_not_matter() -> None:
    assert forecast("-", stdin=FILE).json == forecast("-", "--users", "9", stdin=FILE).json
    without = FILE.replace("users = 100\n", "")
    assert forecast("-", stdin=without).json == forecast("-", stdin=FILE).json


def test_values_of_the_case_study_are_told() -> None:
    ran = forecast("--workers", "40")
    assert "workload.service_time 250 ms" in ran.err
    fields = {entry["field"] for entry in ran.json["assumptions"]}
    assert {"host.cpus", "workload.service_time", "workload.think_time"} <= fields
    assert forecast("-", stdin=FILE).err == ""


def test_it_never_says_infeasible() -> None:
    assert forecast("--workers", "1", "--at", "100000").code == 0
    assert forecast("--cpu-time", "250ms", "--cpus", "0.1").code == 0
    assert forecast("--response-time", "1ms").code == 0


def test_the_finite_model_never_asks_more_than_the_pool_completes() -> None:
    ran = forecast("--model", "finite", "--at", "1000,100000", "--workers", "10")
    for prediction in ran.json["predictions"]:
        assert prediction["throughput"] == pytest.approx(40, rel=1e-6)
        assert prediction["response_time"] > 0
        assert prediction["utilization"] <= 1


def test_more_than_the_open_pool_completes_is_null_and_a_caution() -> None:
    ran = forecast("--at", "50,400")
    assert ran.json["predictions"][1]["response_time"] is None
    assert any("400 users" in caution for caution in ran.json["cautions"])


def test_the_table_shows_every_number_of_users_and_every_verdict() -> None:
    ran = run("forecast", "--workers", "40", "--at", "80,100,150,200", "--model", "finite")
    assert "40 workers, finite model" in ran.out
    for text in ("80", "100", "150", "200", "comfortable", "manageable", "watch", "overloaded", "Keep in mind"):
        assert text in ran.out


def test_users_without_a_think_time_are_refused_by_the_field() -> None:
    text = FILE.replace("users = 100\n", "").replace('think_time = "4s"', "arrival_rate = 20")
    assert_refused(run("forecast", "-", stdin=text), "workload.think_time", "is missing")


def test_an_output_file_has_what_standard_output_would_have(tmp_path: Path) -> None:
    for output_format in ("table", "json"):
        path = tmp_path / output_format
        assert run("forecast", "--format", output_format, "-o", str(path)).out == ""
        assert path.read_text("utf-8") == run("forecast", "--format", output_format).out


def test_a_sudden_step_is_simulated_on_request() -> None:
    step = forecast("--step", "50:80").json["step"]
    assert (step["users_before"], step["users_after"]) == (50, 80)
    assert step["outcomes"][0]["pool"]["max_children"] == 20
    assert forecast().json["step"] is None
    table = run("forecast", "--step", "50:80")
    assert "A sudden step from 50 to 80 users (40/s to 64/s)" in table.out
    assert "dynamic 4/2/6" in table.out
    assert "Which process manager" in table.out


@pytest.mark.parametrize("step", ["50", "50:0", "a:b", "50:150:200", "1:99999999999", ""])
def test_what_is_no_step_is_refused(step: str) -> None:
    assert_refused(run("forecast", "--step", step), "--step")


def test_other_workers_are_of_the_same_process_manager(tmp_path: Path) -> None:
    path = tmp_path / "pool.conf"
    path.write_text(TWO)
    pool = forecast("--workers", "40").json["pool"]
    assert [pool[name] for name in ("pm", "start_servers", "min_spare_servers", "max_spare_servers")] == [
        "dynamic",
        8,
        4,
        12,
    ]
    file = ("--no-measure", "--pool-file", str(path), "--pool", "admin")
    assert forecast(*file, "--workers", "9").json["pool"] == forecast(*file).json["pool"] | {"max_children": 9}
    without = forecast("-", "--workers", "9", stdin=FILE.partition("[pool]")[0]).json["pool"]
    assert (without["pm"], without["max_children"]) == ("static", 9)
    assert forecast("--workers", "40", "--step", "50:150").json["step"]["outcomes"][0]["pool"] == pool


# --- bands


def test_a_window_gives_every_prediction_its_band() -> None:
    bands = [
        p["band"] for p in forecast("--workers", "40", "--at", "80,150,180", "--window", "1min").json["predictions"]
    ]
    assert [band["window"] for band in bands] == [60.0] * 3
    for band in bands:
        assert band["response_time"]["low"] < band["response_time"]["high"]


def test_without_a_window_steep_predictions_have_that_of_an_hour() -> None:
    bands = [p["band"] for p in forecast("--workers", "40", "--at", "80,150,180").json["predictions"]]
    assert bands[:2] == [None, None]
    assert bands[2]["window"] == 3600.0


@pytest.mark.parametrize("window", ["0s", "-1s", "60", "junk", "", "1e9h"])
def test_a_window_that_is_no_time_is_refused(window: str) -> None:
    assert_refused(run("forecast", "--workers", "40", "--window", window))
