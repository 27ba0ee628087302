"""Small and findable: how large a module may be and what it may be called, and what the results promise in JSON."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from click.testing import CliRunner

import capacity
from capacity.cli import capacity as command

PACKAGE = Path(capacity.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
SCHEMAS = Path(__file__).parent / "schemas"

LONGEST = 400
MIDDLE = 200
VAGUE = {"utils", "util", "helpers", "helper", "common", "core", "misc"}
# catching NotImplementedError of a library is fine; raising it is not
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|raise NotImplementedError|@[A-Z]+@")

every_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
every_schema = pytest.mark.parametrize(
    "what",
    [
        "scenario",
        "recommendation",
        "forecast",
        "comparison",
        "replay",
        "levers",
        "sensitivity",
        "allotment",
        "hosts",
        "pods",
        "growth",
        "plan",
    ],
)


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_no_module_is_longer_than_one_room() -> None:
    assert {path.relative_to(PACKAGE).as_posix(): lines(path) for path in MODULES if lines(path) > LONGEST} == {}


def test_the_median_module_is_read_in_one_sitting() -> None:
    assert median(lines(path) for path in MODULES) < MIDDLE


@every_module
def test_a_module_says_by_its_name_what_it_is_about(path: Path) -> None:
    words = {part.removesuffix(".py").strip("_") for part in path.relative_to(PACKAGE).parts}
    assert not words & VAGUE


@every_module
def test_only_the_command_line_prints(path: Path) -> None:
    if path.relative_to(PACKAGE).parts[0] != "cli":
        calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
        assert [node.lineno for node in calls if getattr(node.func, "id", "") == "print"] == []


@every_module
def test_formulas_have_no_class(path: Path) -> None:
    if path.relative_to(PACKAGE).parts[0] == "queueing":
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)] == []


@every_module
def test_nothing_is_left_unfinished(path: Path) -> None:
    assert UNFINISHED.findall(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("text", ["# TODO: later", "raise NotImplementedError", "    exact. @ERR@"])
def test_the_check_sees_what_is_unfinished(text: str) -> None:
    assert UNFINISHED.search(text)


def schema_now(what: str) -> dict[str, Any]:
    """The schema as the command prints it."""
    run = CliRunner().invoke(command, ["schema", what], standalone_mode=False)
    assert run.exception is None
    return json.loads(run.stdout)  # type: ignore[no-any-return]


def snapshot(what: str) -> dict[str, Any]:
    return json.loads((SCHEMAS / f"{what}.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def properties(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every property of the document and of its definitions, as ``Definition.property``."""
    tables = {"": schema} | schema.get("$defs", {})
    found = {}
    for table, definition in tables.items():
        for name, field in definition.get("properties", {}).items():
            found[f"{table}.{name}"] = field
    return found


def kinds(field: dict[str, Any]) -> set[str]:
    """What a value of this property may be: a type, a definition, one of some words, with their parts."""
    if "anyOf" in field or "oneOf" in field:
        return {kind for choice in field.get("anyOf", field.get("oneOf")) for kind in kinds(choice)}
    if "$ref" in field:
        return {field["$ref"].rpartition("/")[2]}
    if "enum" in field or "const" in field:
        return {json.dumps(word) for word in field.get("enum", [field.get("const")])}
    if field.get("type") == "array":
        parts = kinds(field.get("items", {}))
        return {f"array of {part}" for part in parts} or {"array"}
    extra = field.get("additionalProperties")
    if field.get("type") == "object" and isinstance(extra, dict):
        return {f"table of {part}" for part in kinds(extra)}
    return {str(field.get("type", "anything"))}


def broken_promises(before: dict[str, Any], now: dict[str, Any], *, accepts: bool) -> Iterator[str]:
    """What changed in a way that breaks a reader; additions do not.

    ``accepts``: the document is an input, which may come to take more. An output may come to give less.
    """
    new = properties(now)
    for name, field in properties(before).items():
        if name not in new:
            yield f"{name} has disappeared"
            continue
        was, is_now = kinds(field), kinds(new[name])
        if not (was <= is_now if accepts else was >= is_now):
            yield f"{name} was {sorted(was)} and is {sorted(is_now)}"
        if field.get("unit") != new[name].get("unit"):
            yield f"{name} was in {field.get('unit')} and is in {new[name].get('unit')}"
    tables = {"": (before, now)} | {
        name: (table, now.get("$defs", {}).get(name, {})) for name, table in before.get("$defs", {}).items()
    }
    for table, (old_table, new_table) in tables.items():
        old, asked = set(old_table.get("required", [])), set(new_table.get("required", []))
        changed = asked - old if accepts else old - asked
        for name in sorted(changed & (old_table.get("properties", {}).keys() if not accepts else changed)):
            yield f"{table}.{name} {'is now required' if accepts else 'is no longer always there'}"


@every_schema
def test_no_property_disappears_or_changes_its_type_or_unit(what: str) -> None:
    """Additions are allowed. A change made on purpose is written down by regenerating the snapshot::

        capacity schema scenario -o tests/contracts/schemas/scenario.json

    and the same with the other documents, together with a new ``format_version`` and a line in the
    changelog when a reader of the old format would break.
    """
    assert list(broken_promises(snapshot(what), schema_now(what), accepts=what == "scenario")) == []


@every_schema
def test_a_snapshot_is_a_schema_with_properties(what: str) -> None:
    assert len(properties(snapshot(what))) > (10 if what == "comparison" else 20)
    assert snapshot(what)["$schema"].startswith("https://json-schema.org/")


@every_schema
def test_a_lost_property_a_changed_type_and_a_changed_unit_are_noticed(what: str) -> None:
    accepts = what == "scenario"
    before, now = snapshot(what), snapshot(what)
    name = next(iter(now["properties"]))
    del now["properties"][name]
    assert f".{name} has disappeared" in list(broken_promises(before, now, accepts=accepts))

    now = snapshot(what)
    now["properties"][name] = {"type": "boolean"}
    assert any(text.startswith(f".{name} was") for text in broken_promises(before, now, accepts=accepts))

    now = snapshot(what)
    table, field = next(
        (table, field)
        for table in now["$defs"].values()
        for field in table.get("properties", {}).values()
        if "unit" in field
    )
    assert table
    field["unit"] = "ms"
    assert any("is in ms" in text for text in broken_promises(before, now, accepts=accepts))


@every_schema
def test_an_added_property_breaks_nothing(what: str) -> None:
    now = snapshot(what)
    now["properties"]["another"] = {"type": "string"}
    assert list(broken_promises(snapshot(what), now, accepts=what == "scenario")) == []


def test_an_input_may_not_come_to_demand_a_field() -> None:
    now = snapshot("scenario")
    now["required"] = [*now["required"], "headroom"]
    assert list(broken_promises(snapshot("scenario"), now, accepts=True)) == [".headroom is now required"]


def test_an_output_may_not_come_to_leave_a_field_out() -> None:
    now = snapshot("forecast")
    now["required"] = [name for name in now["required"] if name != "bands"]
    assert list(broken_promises(snapshot("forecast"), now, accepts=False)) == [".bands is no longer always there"]
