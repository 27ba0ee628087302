from __future__ import annotations

import copy
import json
import math
import pickle

import pytest
from pydantic import ValidationError

from capacity import (
    Forecast,
    Host,
    Limit,
    Objective,
    PoolSettings,
    Prediction,
    Recommendation,
    Scenario,
    UserBand,
    Worker,
    Workload,
    forecast,
    recommend,
)
from capacity.results import Assumption, Choice, RuleOfThumb

EXAMPLE = Scenario.example()
HOST = EXAMPLE.host


def changed(**parts):
    return EXAMPLE.model_copy(update=parts)


SCENARIOS = {
    "case study": EXAMPLE,
    "shared cores": changed(workload=Workload(service_time=0.25, cpu_time=0.02, users=150, think_time=1)),
    "infeasible": changed(worker=Worker(memory="256MiB")),
    "out of reach": changed(objective=Objective(response_time=0.1)),
    "a bare rate": changed(workload=Workload(service_time=0.25, arrival_rate=120)),
    "no load": changed(workload=Workload(service_time=0.25)),
    "no pool": changed(pool=None),
    "static": changed(pool=PoolSettings(pm="static", max_children=20, max_requests=500)),
    "database": changed(
        host=Host(ram="64GiB", reserved=0, cpus=0.5, database_connections=30),
        workload=Workload(service_time=0.1, database_time=0.07, users=33, think_time=0.1),
    ),
    "sources": Scenario.from_mapping(
        EXAMPLE.to_mapping()
        | {"sources": {"pool.pm": {"source": "pool file"}, "host.ram": {"source": "free -b", "low": 4e9, "high": 5e9}}}
    ),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_recommendation_comes_back_from_its_json(name):
    result = recommend(SCENARIOS[name])
    assert Recommendation.model_validate_json(result.to_json()) == result
    assert Recommendation.model_validate(result.to_dict()) == result
    assert json.loads(result.to_json()) == result.to_dict()


@pytest.mark.parametrize("model", ["open", "finite"])
def test_a_forecast_comes_back_from_its_json(model):
    result = forecast(EXAMPLE, pool=20, model=model)
    assert Forecast.model_validate_json(result.to_json()) == result
    assert json.loads(result.to_json()) == result.to_dict()


def test_results_survive_pickle_and_copy():
    result = recommend(EXAMPLE)
    assert pickle.loads(pickle.dumps(result)) == result
    assert copy.deepcopy(result) == result


def numbers(value):
    if isinstance(value, dict):
        for inner in value.values():
            yield from numbers(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from numbers(inner)
    elif isinstance(value, float):
        yield value


@pytest.mark.parametrize("name", SCENARIOS)
def test_json_has_no_number_that_is_not_finite(name):
    def refuse(word):
        pytest.fail(f"{word} in the JSON")

    for result in (recommend(SCENARIOS[name]), forecast(EXAMPLE, pool=1, users=[10**6])):
        document = json.loads(result.to_json(), parse_constant=refuse)
        assert all(math.isfinite(number) for number in numbers(document))


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_missing_time_is_explained(name):
    result = recommend(SCENARIOS[name])
    if any(p.response_time is None for p in result.predictions):
        assert any("without bound" in caution for caution in result.cautions)
    if result.needed is None:
        assert any("no number of workers" in c or "no users and no arrival rate" in c for c in result.cautions)


def test_the_contract_of_the_json_is_kept():
    document = recommend(EXAMPLE).to_dict()
    assert document["format_version"] == "1.0"
    assert {"pool", "limits", "binding", "feasible", "predictions", "bands", "cautions", "assumptions"} < set(document)
    assert set(document["limits"][0]) >= {"name", "workers", "binding", "reason"}
    assert set(document["predictions"][0]) >= {
        "users", "verdict", "utilization", "cpu_utilization", "database_utilization", "wait_probability", "slowdown",
        "response_time", "response_time_p95",
    }  # fmt: skip
    assert set(document["bands"][0]) == {"verdict", "users"}
    assert {"name", "workers"} <= set(document["rules_of_thumb"][0])
    assert document["pool"]["max_children"] == 40
    assert not any(name.startswith("pm.") for name in document["pool"])
    assert {"pool", "model", "predictions", "bands", "cautions"} <= set(forecast(EXAMPLE).to_dict())


# --- schema

DIMENSIONAL = {
    "s": {
        "waiting_time",
        "response_time",
        "response_time_p95",
        "process_idle_timeout",
        "request_terminate_timeout",
        "queue_fills_after",
        "admitted_waiting_time",
    },
    "1/s": {"arrival_rate", "throughput"},
    "byte": {"worst_case_memory"},
    "1": {
        "utilization",
        "cpu_utilization",
        "database_utilization",
        "wait_probability",
        "slowdown",
        "refused",
        "killed",
        "timed_out",
        "wasted",
    },
}


@pytest.mark.parametrize("mode", ["validation", "serialization"])
@pytest.mark.parametrize("model", [Recommendation, Forecast, Prediction, Limit, UserBand])
def test_every_dimensional_field_of_the_schema_says_its_unit(model, mode):
    schema = model.model_json_schema(mode=mode)
    json.dumps(schema)
    unit_of = {name: unit for unit, names in DIMENSIONAL.items() for name in names}
    for table in (schema, *schema.get("$defs", {}).values()):
        for name, field in table.get("properties", {}).items():
            if name in unit_of:
                assert field.get("unit") == unit_of[name], f"{table.get('title')}.{name}"
                assert field.get("description"), f"{table.get('title')}.{name}"
            # a name that ends in a dimension is one
            if name.endswith(("_time", "_timeout", "_memory", "_rate")) and name != "max_spawn_rate":
                assert name in unit_of, name


# --- objects


def test_results_are_frozen_and_closed():
    result = recommend(EXAMPLE)
    with pytest.raises(ValidationError, match="frozen"):
        result.binding = "cpu"
    with pytest.raises(ValidationError, match="frozen"):
        result.predictions[0].users = 3
    with pytest.raises(ValidationError, match="Extra inputs"):
        UserBand(verdict="watch", users=3, clients=4)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_refused(value):
    good = recommend(EXAMPLE).predictions[0].to_dict()
    with pytest.raises(ValidationError, match="finite number"):
        Prediction(**good | {"response_time": value})


def test_users_are_found_by_verdict():
    for result in (recommend(EXAMPLE), forecast(EXAMPLE, pool=40)):
        found = [result.users_for(verdict) for verdict in ("comfortable", "manageable", "watch", "overloaded")]
        assert found == [90, 140, 170, None]


def test_the_short_form_is_the_headline():
    assert repr(recommend(EXAMPLE)) == (
        "<Recommendation: 40 workers (memory binds): comfortable to 90, manageable to 140, watch to 170 users>"
    )
    assert "INFEASIBLE" in repr(recommend(SCENARIOS["infeasible"]))
    assert repr(forecast(EXAMPLE, model="finite")).startswith("<Forecast: 20 workers, finite model: comfortable to ")
    assert str(recommend(EXAMPLE)) == repr(recommend(EXAMPLE))


def test_assumptions_are_put_in_front():
    result = recommend(SCENARIOS["sources"])
    first = Assumption(field="workload.users", value=150, source="case study (built in)")
    longer = result.with_assumptions((first,))
    assert longer.assumptions == (first, *result.assumptions)
    assert longer.model_copy(update={"assumptions": result.assumptions}) == result


@pytest.mark.parametrize("kind", [Limit, Choice, RuleOfThumb, Assumption])
def test_every_part_is_data_that_comes_back(kind):
    result = recommend(SCENARIOS["sources"])
    parts = [*result.limits, *result.choices, *result.rules_of_thumb, *result.assumptions]
    of_kind = [part for part in parts if isinstance(part, kind)]
    assert of_kind
    for part in of_kind:
        assert kind.model_validate_json(part.to_json()) == part
