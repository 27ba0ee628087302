"""Directives of a recommendation: read back they are its settings, and its reasons stand above them."""

from __future__ import annotations

import pytest

from capacity import Scenario, recommend
from capacity.errors import InvalidInput
from capacity.fpm import pool_settings, read_pools
from capacity.report.conf import recommendation_conf
from capacity.results import Recommendation
from capacity.scenario import CASE_STUDY

MANAGERS = {
    "dynamic": {},
    "static": {"start_servers": None, "min_spare_servers": None, "max_spare_servers": None},
    "ondemand": {
        "start_servers": None,
        "min_spare_servers": None,
        "max_spare_servers": None,
        "process_idle_timeout": "20s",
    },
}


def recommended(ram: str = "4GiB", users: int = 150, pm: str = "dynamic", manager: str = "keep") -> Recommendation:
    pool = {**CASE_STUDY["pool"], "pm": pm, **MANAGERS[pm]}
    tables = {
        **CASE_STUDY,
        "host": {**CASE_STUDY["host"], "ram": ram},
        "workload": {**CASE_STUDY["workload"], "users": users},
        "pool": {name: value for name, value in pool.items() if value is not None},
        "policy": {"process_manager": manager},
    }
    return recommend(Scenario.from_mapping(tables))


@pytest.mark.parametrize("manager", ["keep", "auto"])
@pytest.mark.parametrize("pm", MANAGERS)
@pytest.mark.parametrize("ram", ["1537MiB", "1600MiB", "1700MiB", "2GiB", "4GiB", "64GiB", "1TiB"])
def test_what_is_written_reads_back_as_the_recommended_settings(ram: str, pm: str, manager: str) -> None:
    result = recommended(ram, users=10**5, pm=pm, manager=manager)
    read = read_pools(recommendation_conf(result, pool="app").encode())
    assert list(read.pools) == ["app"]
    assert pool_settings(read.pools["app"]) == result.pool
    assert not read.notes


@pytest.mark.parametrize("pm", MANAGERS)
def test_spares_are_written_for_a_dynamic_pool_only_and_as_fpm_wants_them(pm: str) -> None:
    lines = recommendation_conf(recommended(pm=pm)).splitlines()
    values = dict(line.split(" = ") for line in lines if " = " in line and not line.startswith(";"))
    spares = {"pm.start_servers", "pm.min_spare_servers", "pm.max_spare_servers"}
    if pm != "dynamic":
        assert not spares & values.keys()
        return
    least, start, most, all_ = (
        int(values[f"pm.{name}"])
        for name in ("min_spare_servers", "start_servers", "max_spare_servers", "max_children")
    )
    assert 1 <= least <= start <= most <= all_


def test_the_comments_say_what_binds_how_many_users_and_how_much_memory() -> None:
    text = recommendation_conf(recommended())
    comments = [line for line in text.splitlines() if line.startswith(";")]
    assert comments[0] == "; 40 workers: memory binds"
    assert any("comfortable to 90" in line for line in comments)
    assert any("2.50 GiB" in line for line in comments)
    assert any("[global]: process_control_timeout" in line for line in comments)
    assert text.splitlines()[: len(comments)] == comments


def test_an_infeasible_recommendation_says_so_above_the_section() -> None:
    result = recommended(users=300)
    assert not result.feasible
    assert "INFEASIBLE" in recommendation_conf(result).partition("[www]")[0]
    assert "INFEASIBLE" not in recommendation_conf(recommended())


def test_without_a_think_time_no_users_are_promised() -> None:
    tables = {**CASE_STUDY, "workload": {"service_time": "250ms", "arrival_rate": "120/s"}}
    assert "users" not in recommendation_conf(recommend(Scenario.from_mapping(tables)))


@pytest.mark.parametrize(
    "name", ["", "a b", "www]\n[evil", "global", "GLOBAL", "a;b", "é", "x" * 65, "$(id)", "../www"]
)
def test_a_name_that_would_change_what_the_file_says_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="pool must be"):
        recommendation_conf(recommended(), pool=name)


def test_the_text_ends_with_one_newline_and_is_ascii() -> None:
    text = recommendation_conf(recommended())
    assert text.endswith("s\n")
    assert not text.endswith("\n\n")
    assert text.isascii()
