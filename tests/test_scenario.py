import copy
import json
import pickle
import tomllib

import pytest
from pydantic import ValidationError

from capacity.errors import CapacityError, InvalidInput, UnreadableFile
from capacity.pool import PoolSettings
from capacity.scenario import (
    CASE_STUDY,
    CASE_STUDY_SOURCE,
    Host,
    Objective,
    Scenario,
    Source,
    Worker,
    Workload,
)

MIB = 2**20
TOML = """
[host]
ram = "4GiB"
reserved = "1.5GiB"
cpus = 4
database_connections = 151

[worker]
memory = "64MiB"

[workload]
service_time = "250ms"
think_time = 1
users = 150

[objective]
response_time = "800ms"

[pool]
pm = "dynamic"
max_children = 20
min_spare_servers = 2
max_spare_servers = 6

[policy]
headroom = 1.5
process_manager = "auto"
web_server_timeout = "30s"

[sources]
"host.ram" = { source = "free -b" }
worker.memory = { source = "measured", samples = 8, low = "60MiB", high = "71MiB" }
"""
SMALLEST = {
    "host": {"ram": "1GiB", "reserved": 0, "cpus": 1},
    "worker": {"memory": "64MiB"},
    "workload": {"service_time": "250ms"},
}


def problems(build, *args, **fields):
    with pytest.raises(InvalidInput) as caught:
        build(*args, **fields)
    return [str(problem) for problem in caught.value.problems]


def test_the_example_is_the_case_study():
    scenario = Scenario.example()
    assert scenario.host == Host(ram=4096 * MIB, reserved=1536 * MIB, cpus=4)
    assert scenario.worker == Worker(memory=64 * MIB)
    assert scenario.workload == Workload(service_time=0.25, think_time=1, users=150)
    assert scenario.workload.cpu_time is None
    assert scenario.objective == Objective()
    assert scenario.pool == PoolSettings(
        pm="dynamic", max_children=20, start_servers=4, min_spare_servers=2, max_spare_servers=6
    )
    assert CASE_STUDY_SOURCE == "case study (built in)"


def test_every_field_of_the_case_study_is_in_the_mapping_of_the_example():
    tables = Scenario.example().to_mapping()
    assert all(name in tables[table] for table, fields in CASE_STUDY.items() for name in fields)


def test_what_is_not_said_has_the_documented_default():
    scenario = Scenario.from_mapping(SMALLEST)
    assert scenario.to_mapping() == {
        "host": {"ram": 1024 * MIB, "reserved": 0, "cpus": 1, "cpus_reserved": 0, "database_connections_reserved": 0},
        "worker": {"memory": 64 * MIB, "shared_memory": 0, "database_connections": 1},
        "workload": {
            "service_time": 0.25,
            "service_scv": 1,
            "requests_per_click": 1,
            "overhead_time": 0,
            "web_server_cpu_time": 0,
        },
        "objective": {"percentile": 0.95, "max_utilization": 0.8},
        "policy": {
            "headroom": 1.25,
            "spares": "proportional",
            "load_before_step": 0.3,
            "step_waiting_time": 0.1,
            "process_manager": "keep",
            "pools_on_host": 1,
            "web_server_timeout": 60,
        },
    }


def test_a_scenario_file_is_read(tmp_path):
    path = tmp_path / "scenario.toml"
    path.write_text(TOML, encoding="utf-8")
    scenario = Scenario.from_toml(path)
    assert scenario == Scenario(
        host=Host(ram=4096 * MIB, reserved=1536 * MIB, cpus=4, database_connections=151),
        worker=Worker(memory=64 * MIB),
        workload=Workload(service_time=0.25, think_time=1, users=150),
        objective=Objective(response_time=0.8),
        pool=PoolSettings(pm="dynamic", max_children=20, min_spare_servers=2, max_spare_servers=6),
        headroom=1.5,
        process_manager="auto",
        web_server_timeout=30,
        sources={
            "host.ram": Source(source="free -b"),
            "worker.memory": Source(source="measured", samples=8, low=60 * MIB, high=71 * MIB),
        },
    )
    assert Scenario.from_toml(str(path)) == scenario


def test_a_byte_order_mark_is_no_content(tmp_path):
    path = tmp_path / "scenario.toml"
    path.write_text(TOML, encoding="utf-8-sig")
    assert Scenario.from_toml(path) == Scenario.from_toml_text(TOML)


def test_a_scenario_round_trips_through_its_mapping():
    scenario = Scenario.from_toml_text(TOML)
    tables = scenario.to_mapping()
    assert Scenario.from_mapping(tables) == scenario
    assert json.loads(json.dumps(tables)) == tables


def test_a_scenario_round_trips_through_json_pickle_and_copy():
    scenario = Scenario.from_toml_text(TOML)
    assert Scenario.model_validate_json(scenario.model_dump_json()) == scenario
    assert pickle.loads(pickle.dumps(scenario)) == scenario
    assert copy.deepcopy(scenario) == scenario


def test_a_long_scenario_is_shown_by_what_differs_from_the_defaults():
    shown = repr(Scenario.example())
    assert shown.startswith("Scenario(host=Host(ram=4294967296, reserved=1610612736, cpus=4.0), worker=")
    assert "None" not in shown
    assert "headroom" not in shown


def test_nothing_can_be_changed_afterwards():
    scenario = Scenario.example()
    with pytest.raises(ValueError, match="frozen"):
        scenario.headroom = 2.0
    assert scenario.model_copy(update={"headroom": 2}).headroom == 2
    assert problems(scenario.model_copy, update={"headroom": 0}) == ["headroom must be at least 1; got 0"]


# --- every door raises the same error

BAD = {
    "host": {"ram": 0, "reserved": -1, "cpus": 4},
    "worker": {"memory": "64"},
    "workload": {"service_time": -0.2, "users": 3},
    "objective": {"percentile": 95},
    "pool": {"pm": "dynamic", "max_children": 0},
}
BAD_PROBLEMS = [
    "host.ram must be greater than 0 B; got 0",
    "host.reserved must be at least 0 B; got -1",
    "worker.memory wants a number and a unit, such as 64MiB; got '64'",
    "workload.service_time must be greater than 0 s; got -0.2",
    "workload.think_time is missing (users make no load until their pause between clicks is known, such as 1s)",
    "objective.percentile must be a fraction below 1; got 95 (for 95 % write 0.95)",
    "pool.max_children must be at least 1; got 0",
    "pool.min_spare_servers is missing (a dynamic pool needs it)",
    "pool.max_spare_servers is missing (a dynamic pool needs it)",
]
BAD_TOML = """
host = {ram = 0, reserved = -1, cpus = 4}
worker = {memory = "64"}
workload = {service_time = -0.2, users = 3}
objective = {percentile = 95}
pool = {pm = "dynamic", max_children = 0}
"""


@pytest.mark.parametrize(
    "build",
    [
        lambda: Scenario(**BAD),
        lambda: Scenario.model_validate(BAD),
        lambda: Scenario.model_validate_json(json.dumps(BAD)),
        lambda: Scenario.from_mapping(BAD),
        lambda: Scenario.from_toml_text(BAD_TOML),
    ],
    ids=["constructor", "model_validate", "model_validate_json", "from_mapping", "from_toml_text"],
)
def test_every_door_names_every_wrong_field_by_its_dotted_name(build):
    with pytest.raises(CapacityError) as caught:
        build()
    assert [str(problem) for problem in caught.value.problems] == BAD_PROBLEMS
    assert str(caught.value) == "\n".join(BAD_PROBLEMS)
    assert isinstance(caught.value, ValueError)
    assert not isinstance(caught.value, ValidationError)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"host": None}, "host must be a table of fields; got None"),
        ({"host": 3}, "host must be a table of fields; got 3"),
        ({"host": Worker(memory=1)}, "host must be a table of fields; got Worker(memory=1)"),
        ({"host": {**SMALLEST["host"], 7: 1}}, "host.7 is not a known field"),
        ({"objective": []}, "objective must be a table of fields; got []"),
        ({"sources": 3}, "sources must be a table of fields; got 3"),
        (
            {"sources": {"host.rom": {"source": "x"}}},
            "sources.host.rom is not a known field (did you mean host.ram?)",
        ),
        (
            {"sources": {"host.ram": {"source": "x", "low": "3"}}},
            "sources.host.ram.low wants a number and a unit, such as 64MiB; got '3'",
        ),
        ({"policy": 3}, "policy must be a table of fields; got 3"),
        ({"policy": {"headroom": 0.5}}, "policy.headroom must be at least 1; got 0.5"),
        ({"policy": {"headroom": True}}, "policy.headroom must be a number; got True"),
        ({"policy": {"headrom": 2}}, "policy.headrom is not a known field (did you mean headroom?)"),
        (
            {"policy": {"host": {}}},
            "policy.host is not a known field (known: headroom, spares, load_before_step, "
            "step_waiting_time, process_manager, process_max, pools_on_host, web_server_timeout)",
        ),
        ({"policy": {"spares": "many"}}, "policy.spares must be 'proportional' or 'burst'; got 'many'"),
        ({"policy": {"process_manager": "static"}}, "policy.process_manager must be 'keep' or 'auto'; got 'static'"),
        (
            {"policy": {"process_max": 0}},
            "policy.process_max must be at least 1; got 0 (0 is PHP-FPM's word for no limit: leave it out)",
        ),
        ({"policy": {"process_max": -1}}, "policy.process_max must be at least 1; got -1"),
        ({"policy": {"pools_on_host": 0}}, "policy.pools_on_host must be at least 1; got 0"),
        (
            {"policy": {"web_server_timeout": "60"}},
            "policy.web_server_timeout wants a number and a unit, such as 250ms; got '60'",
        ),
        ({"headroom": 2}, "headroom is not a known table (write it under [policy])"),
        ({"hosts": {}}, "hosts is not a known table (did you mean host?)"),
        (
            {"a\nb": {}},
            r"'a\nb' is not a known table (known: host, worker, workload, objective, pool, policy, sources)",
        ),
    ],
)
def test_a_broken_table_names_the_place_as_the_user_wrote_it(change, message):
    assert problems(Scenario.from_mapping, {**SMALLEST, **change}) == [message]


def test_a_missing_table_is_missing_its_fields():
    assert [line.partition(" is missing (")[0] for line in problems(Scenario.from_toml_text, "")] == [
        "host.ram",
        "host.reserved",
        "host.cpus",
        "worker.memory",
        "workload.service_time",
    ]


def test_the_constructor_names_missing_parts():
    assert problems(Scenario) == [
        "host is missing (the machine)",
        "worker is missing (one PHP-FPM worker)",
        "workload is missing (what is asked of the pool)",
    ]


@pytest.mark.parametrize("tables", [None, 3, "host", [("host", {})]])
def test_only_tables_make_a_scenario(tables):
    assert "must be a table of tables" in problems(Scenario.from_mapping, tables)[0]
    assert "must be a table of fields" in problems(Scenario.model_validate, tables)[0]


@pytest.mark.parametrize("text", ["", "{", "nul", '{"host": {}', "[" * 10_000])
def test_broken_json_is_named(text):
    assert "is not valid JSON" in problems(Scenario.model_validate_json, text)[0]


def test_json_numbers_are_si_and_nan_is_refused():
    text = json.dumps({**SMALLEST, "workload": {"service_time": float("nan")}})
    assert problems(Scenario.model_validate_json, text) == ["workload.service_time must be finite; got nan"]


# --- files


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n[host", "is not valid TOML: Expected ']' at the end of a table declaration (at end of document)"),
        ("x = 1\n\ny = = 2", "is not valid TOML: Invalid value (at line 3, column 5)"),
        ("x = 1\nx = 2\n", "is not valid TOML: Cannot overwrite a value (at line 2, column 6)"),
    ],
)
def test_broken_toml_is_named_with_its_place(tmp_path, text, message):
    path = tmp_path / "broken.toml"
    path.write_text(text)
    assert problems(Scenario.from_toml, path) == [f"{path} {message}"]
    assert problems(Scenario.from_toml_text, text) == [f"standard input {message}"]


def test_toml_nested_too_deeply_is_refused():
    assert problems(Scenario.from_toml_text, "x = " + "[" * 100_000) == [
        "standard input is no scenario: its tables are nested too deeply"
    ]


def test_a_number_too_long_for_python_is_refused():
    (problem,) = problems(Scenario.from_toml_text, "x = " + "9" * 5000, name="long.toml")
    assert problem.startswith("long.toml is not valid TOML: Exceeds the limit (4300 digits)")
    assert len(problem) < 200


def unreadable(path):
    with pytest.raises(UnreadableFile) as caught:
        Scenario.from_toml(path)
    assert isinstance(caught.value, OSError)
    return str(caught.value)


def test_a_file_that_cannot_be_read_is_named_in_one_line(tmp_path):
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"# caf\xe9")
    large = tmp_path / "large.toml"
    with large.open("wb") as file:
        file.truncate(100 * MIB)
    assert unreadable(tmp_path) == f"{tmp_path}: Is a directory"
    assert unreadable(tmp_path / "none.toml") == f"{tmp_path / 'none.toml'}: No such file or directory"
    assert unreadable(tmp_path / "none.toml" / "x") == f"{tmp_path / 'none.toml' / 'x'}: No such file or directory"
    assert unreadable(binary / "x") == f"{binary / 'x'}: Not a directory"
    assert unreadable(binary) == f"{binary}: not UTF-8 text (byte 5)"
    assert unreadable(large) == f"{large}: larger than 1 MiB, so it is no scenario file"
    assert unreadable("a\0b") == r"'a\x00b': embedded null byte"
    assert unreadable("a\nb") == r"'a\nb': No such file or directory"


def test_a_file_of_just_1_mib_is_read(tmp_path):
    path = tmp_path / "padded.toml"
    path.write_text(TOML + "#" * (MIB - len(TOML)))
    assert path.stat().st_size == MIB
    assert Scenario.from_toml(path) == Scenario.from_toml_text(TOML)


# --- JSON Schema


def properties(schema):
    for name, table in {"Scenario": schema, **schema["$defs"]}.items():
        for field, description in table["properties"].items():
            yield f"{name}.{field}", description


UNITLESS = {
    *("Scenario.host", "Scenario.worker", "Scenario.workload", "Scenario.objective", "Scenario.pool"),
    *("Scenario.spares", "Scenario.process_manager", "Scenario.sources", "PoolSettings.pm"),
    *("Source.source", "Source.low", "Source.high"),
}


@pytest.mark.parametrize("mode", ["validation", "serialization"])
def test_every_dimensional_field_states_its_unit_and_every_field_what_it_is(mode):
    fields = dict(properties(Scenario.model_json_schema(mode=mode)))
    assert {name for name, field in fields.items() if "unit" not in field} == UNITLESS
    assert {field["unit"] for field in fields.values() if "unit" in field} == {"byte", "s", "1/s", "1"}
    assert all(field["description"] for field in fields.values())


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("Host.ram", "byte"),
        ("Worker.shared_memory", "byte"),
        ("Host.cpus", "1"),
        ("Workload.service_time", "s"),
        ("Workload.arrival_rate", "1/s"),
        ("Objective.percentile", "1"),
        ("PoolSettings.request_terminate_timeout", "s"),
        ("Scenario.web_server_timeout", "s"),
    ],
)
def test_the_schema_states_the_right_unit(name, unit):
    assert dict(properties(Scenario.model_json_schema()))[name]["unit"] == unit


def test_the_schema_admits_text_where_a_unit_can_be_written():
    fields = dict(properties(Scenario.model_json_schema()))
    assert fields["Host.ram"]["anyOf"] == [
        {"type": "integer", "exclusiveMinimum": 0, "maximum": 2**53},
        {"type": "string"},
    ]
    assert {"type": "string"} in fields["Workload.cpu_time"]["anyOf"]
    assert fields["Host.cpus"]["type"] == "number"


def test_the_schema_of_what_is_written_has_numbers_only():
    fields = dict(properties(Scenario.model_json_schema(mode="serialization")))
    assert fields["Host.ram"]["type"] == "integer"


def test_the_toml_of_this_test_uses_every_table():
    assert set(tomllib.loads(TOML)) == {"host", "worker", "workload", "objective", "pool", "policy", "sources"}
