"""``capacity schema``: it describes what the other commands take and print, units included."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from capacity.cli.schema import WHAT

from .conftest import FILE, assert_refused, run

# The unit that a field's name promises.
UNITS = (
    ("predicted|band_low|band_high|measured|measured_low|measured_high", "as the field unit says"),
    (r"(.*_)?(time|timeout)(_p95)?|seconds", "s"),
    (r"(.*_)?memory|ram|reserved", "byte"),
    (r"(?!max_spawn_).*_rate|throughput", "1/s"),
    ("yearly_growth(_low|_high)?|confidence|observations", "1"),
    (r"(.*_)?utilization|.*_probability|slowdown|cpus", "1"),
)
TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "number": (int, float),
    "integer": int,
    "boolean": bool,
    "null": type(None),
}


def schema(what: str) -> Any:
    ran = run("schema", what)
    assert ran.code == 0
    assert ran.err == ""
    return ran.json


def tables(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield document
    yield from document.get("$defs", {}).values()


def breaches(value: Any, rule: dict[str, Any], root: dict[str, Any], place: str = "$") -> list[str]:
    """Where a document breaks a schema; as much of JSON Schema as these schemas use."""
    if "$ref" in rule:
        return breaches(value, root["$defs"][rule["$ref"].rpartition("/")[2]], root, place)
    if "anyOf" in rule and all(breaches(value, choice, root, place) for choice in rule["anyOf"]):
        return [place]
    kind = rule.get("type")
    if kind is not None and (not isinstance(value, TYPES[kind]) or (isinstance(value, bool) != (kind == "boolean"))):
        return [place]
    if value not in rule.get("enum", [value]) or value != rule.get("const", value):
        return [place]
    found: list[str] = []
    if isinstance(value, dict) and "properties" in rule:
        known = rule["properties"]
        found += [f"{place}.{name}" for name in rule.get("required", ()) if name not in value]
        for name, part in value.items():
            if name in known:
                found += breaches(part, known[name], root, f"{place}.{name}")
            elif rule.get("additionalProperties") is False:
                found.append(f"{place}.{name}")
    if isinstance(value, list):
        for index, part in enumerate(value):
            found += breaches(part, rule.get("items", {}), root, f"{place}[{index}]")
    return found


@pytest.mark.parametrize("what", WHAT)
def test_it_is_a_json_schema_that_says_so(what: str) -> None:
    document = schema(what)
    assert document["$schema"].startswith("https://json-schema.org/")
    assert document["type"] == "object"
    assert document["properties"]


@pytest.mark.parametrize("what", WHAT)
def test_every_field_with_a_dimension_says_its_unit(what: str) -> None:
    named = 0
    for table in tables(schema(what)):
        for name, field in table.get("properties", {}).items():
            promised = next((unit for pattern, unit in UNITS if re.fullmatch(pattern, name)), None)
            if promised is not None:
                assert field.get("unit") == promised, (table.get("title"), name)
                named += 1
    assert named >= (1 if what in {"levers", "sensitivity"} else 7)  # which are mostly counts


@pytest.mark.parametrize("what", WHAT)
def test_every_table_is_closed(what: str) -> None:
    for table in tables(schema(what)):
        if table.get("type") == "object":
            assert table["additionalProperties"] is False, table["title"]


@pytest.mark.parametrize(
    "arguments",
    [(), ("--cpu-time", "20ms", "--database-connections", "50", "--database-time", "80ms"), ("--users", "99999")],
)
@pytest.mark.parametrize(("command", "what"), [("recommend", "recommendation"), ("forecast", "forecast")])
def test_what_a_command_prints_is_what_the_schema_says(command: str, what: str, arguments: tuple[str, ...]) -> None:
    assert breaches(run(command, "--format", "json", *arguments).json, document := schema(what), document) == []


def test_the_schema_of_a_result_refuses_another_document() -> None:
    document = schema("recommendation")
    result = run("recommend", "--format", "json").json
    assert breaches({**result, "extra": 1}, document, document) == ["$.extra"]
    assert breaches({**result, "feasible": "yes"}, document, document) == ["$.feasible"]


def test_the_tables_of_a_scenario_file_are_what_the_schema_says() -> None:
    document = schema("scenario")
    assert breaches(tomllib.loads(FILE), document, document) == []
    numbers = tomllib.loads(FILE.replace('"8GiB"', "8589934592").replace('"200ms"', "0.2"))
    assert breaches(numbers, document, document) == []
    assert breaches(tomllib.loads(FILE.replace('"8GiB"', "true")), document, document) != []


def test_an_output_file_has_what_standard_output_would_have(tmp_path: Path) -> None:
    path = tmp_path / "schema.json"
    assert run("schema", "scenario", "-o", str(path)).out == ""
    assert path.read_text("utf-8") == run("schema", "scenario").out


def test_without_a_name_it_is_the_schema_of_a_scenario() -> None:
    assert run("schema") == run("schema", "scenario")


@pytest.mark.parametrize("arguments", [("junk",), ("",), ("scenario", "forecast"), ("scenario", "--ram", "4GiB")])
def test_anything_else_is_refused(arguments: tuple[str, ...]) -> None:
    assert_refused(run("schema", *arguments))
