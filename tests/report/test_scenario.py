"""A scenario that was written is read back as it was, to six digits."""

from __future__ import annotations

import math
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity.report.scenario import scenario_toml
from capacity.scenario import CASE_STUDY, Scenario

NUMBERS = st.integers(-(2**62), 2**62) | st.floats(allow_nan=False, allow_infinity=False) | st.booleans()
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
TABLE = st.dictionaries(TEXTS, NUMBERS | TEXTS | st.dictionaries(TEXTS, NUMBERS | TEXTS, max_size=3), max_size=4)


def same(read: object, written: object) -> bool:
    if isinstance(written, dict):
        return (
            isinstance(read, dict) and read.keys() == written.keys() and all(same(read[k], written[k]) for k in written)
        )
    if isinstance(written, float):
        return isinstance(read, (int, float)) and math.isclose(read, written, rel_tol=5.001e-6, abs_tol=0)
    return type(read) is type(written) and read == written


@given(st.dictionaries(TEXTS, TABLE, max_size=4), st.lists(st.text(max_size=40), max_size=3))
def test_what_is_written_is_read_back(tables: dict[str, dict[str, object]], comments: list[str]) -> None:
    read = tomllib.loads(scenario_toml(tables, comments=comments))
    assert same(read, {name: table for name, table in tables.items() if table})


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r", "\v", "\f", "\x1c", "\x1e", "\x85", "\u2028", "\u2029"])
def test_a_comment_cannot_leave_its_comment(newline: str) -> None:
    text = scenario_toml({"host": {"cpus": 2}}, comments=[f"seen{newline}[host]{newline}cpus = 64", newline])
    assert tomllib.loads(text) == {"host": {"cpus": 2}}
    assert all(line.startswith("#") for line in text.split("\n\n")[0].split("\n") if line)


@pytest.mark.parametrize("control", ["\0", "\x1b[2J", "\b", "\x7f", "\x1f", "\u202e"])
def test_a_comment_has_no_control_characters(control: str) -> None:
    text = scenario_toml({"host": {"cpus": 2}}, comments=[f"seen {control} here"])
    assert tomllib.loads(text) == {"host": {"cpus": 2}}
    assert control not in text


def test_without_tables_only_the_comments_are_there() -> None:
    assert scenario_toml({}) == ""
    assert scenario_toml({"pool": {}}, comments=["nothing seen"]) == "# nothing seen\n\n"


def test_a_scenario_survives_the_journey() -> None:
    sources = {"workload.service_time": {"source": 'log "a"\n[host]', "samples": 9, "low": 0.2, "high": 1 / 3}}
    scenario = Scenario.from_mapping({**CASE_STUDY, "policy": {"headroom": 1.5}, "sources": sources})
    again = Scenario.from_toml_text(scenario_toml(scenario.to_mapping(), comments=["a", "b"]))
    assert again.sources["workload.service_time"].high == pytest.approx(1 / 3, rel=1e-6)
    assert again.model_copy(update={"sources": {}}) == scenario.model_copy(update={"sources": {}})
