"""One word, one quantity, one unit: the names a user meets in signatures, fields and JSON."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

import capacity
from capacity import queueing
from capacity.fields import BYTES, PER_SECOND, PURE, SECONDS, InputModel
from capacity.results import Assumption, Choice, Forecast, Recommendation, Replay, RuleOfThumb
from capacity.what_if_results import LeverComparison, Sensitivity

# Never, not even as a part of a name ("max_children" is FPM's own and "queue_length" is ours).
NOWHERE = {
    "rps", "qps", "traffic", "latency", "duration", "rho", "intensity", "usage", "percent", "pct", "clients",
    "sojourn", "cv", "variability", "lambda", "lmbda", "lam", "processors", "cost", "delay", "depth", "loss",
    "ms", "milliseconds", "mb", "gb", "queuing", "utilisation", "pwait",
}  # fmt: skip
# Never as a whole name: each is a part of a good one (offered_load, arrival_rate, max_children).
ALONE = {"load", "rate", "children", "n", "m", "k", "c", "backlog_size", "queue_size", "p_wait", "mem", "cpu"}

INPUTS = [capacity.Host, capacity.Worker, capacity.Workload, capacity.Objective, capacity.Scenario, capacity.Source]
RESULTS = [Recommendation, Forecast, Replay, LeverComparison, Sensitivity, Choice, RuleOfThumb, Assumption]
MODELS = [*INPUTS, capacity.PoolSettings, *RESULTS]


def wrong(name: str) -> bool:
    return name in ALONE or bool(set(name.lower().split("_")) & NOWHERE)


def parameters() -> Iterator[tuple[str, str]]:
    for module in (capacity, queueing):
        for name in dir(module):
            value = getattr(module, name)
            if inspect.isfunction(value):
                yield from ((name, parameter) for parameter in inspect.signature(value).parameters)
    for kind in (*MODELS, capacity.Edges):
        for name, method in inspect.getmembers(kind, callable):
            if not name.startswith(("_", "model_")) and "capacity" in getattr(method, "__module__", ""):
                yield from (
                    (f"{kind.__name__}.{name}", parameter) for parameter in inspect.signature(method).parameters
                )


def keys(schema: dict[str, object]) -> Iterator[str]:
    for name, value in schema.items():
        if name == "properties":
            yield from value
        if isinstance(value, dict):
            yield from keys(value)


@pytest.mark.parametrize("name", ["rps", "p_wait", "lambda_", "mean_latency", "load", "CPU_percent", "cv", "k"])
def test_the_glossary_knows_a_wrong_word(name):
    assert wrong(name)


@pytest.mark.parametrize("name", ["offered_load", "arrival_rate", "max_children", "percentile", "cores", "p", "t"])
def test_the_glossary_lets_a_right_word_pass(name):
    assert not wrong(name)


def test_no_parameter_uses_a_forbidden_word():
    seen = list(parameters())
    assert len(seen) > 100
    assert [(owner, name) for owner, name in seen if wrong(name)] == []


def test_no_function_uses_a_forbidden_word():
    assert [name for module in (capacity, queueing) for name in dir(module) if wrong(name)] == []


@pytest.mark.parametrize("mode", ["validation", "serialization"])
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_no_key_of_the_json_uses_a_forbidden_word(model, mode):
    names = set(keys(model.model_json_schema(mode=mode)))
    assert names
    assert {name for name in names if wrong(name)} == set()


def test_no_column_of_a_table_uses_a_forbidden_word():
    from capacity.table import table_of

    assert [name for name in table_of(capacity.Scenario.example()) if wrong(name.partition(".")[2])] == []


# --- fields

UNITS = [unit["unit"] for unit in (BYTES, SECONDS, PER_SECOND, PURE)]
FIELDS = [(model, name) for model in [*INPUTS, capacity.PoolSettings] for name in model.model_fields]


@pytest.mark.parametrize(("model", "name"), FIELDS, ids=lambda value: getattr(value, "__name__", value))
def test_every_field_of_a_scenario_is_described(model, name):
    description = model.model_fields[name].description
    assert description
    assert not description.endswith(".")


@pytest.mark.parametrize(("model", "name"), FIELDS, ids=lambda value: getattr(value, "__name__", value))
def test_every_number_of_a_scenario_says_its_unit(model, name):
    field = model.model_json_schema()["properties"][name]
    kinds = {choice.get("type") for choice in field.get("anyOf", [field])}
    if model is capacity.Source and name in ("low", "high"):
        assert "in the unit of the value" in field["description"]  # it is that of the field it speaks for
    elif kinds & {"number", "integer"}:
        assert field.get("unit") in UNITS


@pytest.mark.parametrize(("model", "name"), FIELDS, ids=lambda value: getattr(value, "__name__", value))
def test_the_unit_follows_from_the_name(model, name):
    extra = model.model_fields[name].json_schema_extra
    unit = extra["unit"] if isinstance(extra, dict) else None
    if name.endswith(("_time", "_timeout")):
        assert unit == "s"
    if name.endswith("memory") or name in ("ram", "reserved"):
        assert unit == "byte"
    if name == "arrival_rate":
        assert unit == "1/s"


def test_the_inputs_are_all_of_one_kind():
    assert all(issubclass(model, InputModel) for model in [*INPUTS, capacity.PoolSettings])


# Titles of papers keep their authors' spelling.
TITLES = ("Parametric analysis of queuing networks", "A proof for the queuing formula")


def test_code_is_written_in_american_and_queueing_with_its_e():
    sources = "\n".join(path.read_text(encoding="utf-8") for path in Path(capacity.__path__[0]).rglob("*.py"))
    for title in TITLES:
        sources = sources.replace(title, "")
    assert "utilisation" not in sources.lower()
    assert "queuing" not in sources.lower()
