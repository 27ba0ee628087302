"""The public names and their parameters. Whoever adds one adds it here; nothing here goes away unnoticed."""

from __future__ import annotations

import inspect
import types
from pathlib import Path

import pytest

import capacity
from capacity import queueing

CAPACITY = [
    "CapacityError",
    "Edges",
    "Fleet",
    "Forecast",
    "Host",
    "InvalidInput",
    "LeverComparison",
    "LeverOutcome",
    "Limit",
    "MeasurementError",
    "MissingExtra",
    "Objective",
    "PoolSettings",
    "Prediction",
    "Recommendation",
    "Replay",
    "Scenario",
    "Sensitivity",
    "Source",
    "UnreadableFile",
    "UserBand",
    "Worker",
    "Workload",
    "allot_pools",
    "compare_levers",
    "forecast",
    "grow",
    "recommend",
    "recommend_many",
    "replay_log",
    "sensitivity",
    "size_hosts",
    "size_pods",
    "sweep",
    "whatif",
]

MMC = ("servers", "arrival_rate", "service_time")
MMCK = ("servers", "backlog", "arrival_rate", "service_time")
MGC = (*MMC, "service_scv", "service_law")
FINITE = ("servers", "population", "think_time", "service_time")
MGC_FINITE = (*FINITE, "service_scv")
CONNECTED = ("connections", "database_time")
SHARED = ("servers", "cores", "cpu_time", "service_time", "arrival_rate", *CONNECTED)
SHARED_FINITE = ("servers", "cores", "cpu_time", "service_time", "population", "think_time", *CONNECTED)
MEANS = ("throughput", "utilization", "wait_probability", "waiting_time", "response_time")

# Keyword-only parameters by function; a leading "t" or "p" may be given by position.
QUEUEING: dict[str, tuple[str, ...]] = {
    "offered_load": ("arrival_rate", "service_time"),
    "utilization_law": ("throughput", "service_time", "servers"),
    "littles_law": ("throughput", "response_time"),
    "interactive_response_time": ("population", "throughput", "think_time"),
    "asymptotic_throughput": FINITE,
    "asymptotic_response_time": FINITE,
    "saturation_population": ("servers", "think_time", "service_time"),
    "erlang_b": ("servers", "offered_load"),
    "erlang_c": ("servers", "offered_load"),
    "erlang_c_grid": ("max_servers", "offered_load"),
    **{f"mmc_{name}": MMC for name in ("wait_probability", "waiting_time", "response_time", "queue_length")},
    **{f"mmc_{name}_time_tail": MMC for name in ("waiting", "response")},
    **{f"mmc_{name}_time_quantile": MMC for name in ("waiting", "response")},
    **{f"mmck_{name}": MMCK for name in ("blocking_probability", "throughput", "waiting_time", "response_time")},
    **{f"mmck_{name}_time_tail": MMCK for name in ("waiting", "response")},
    **{f"mgc_{name}": MGC for name in ("wait_probability", "waiting_time")},
    **{f"mgc_{name}_time_quantile": MGC for name in ("waiting", "response")},
    **{f"mgc_finite_{name}": MGC_FINITE for name in ("throughput", "wait_probability", "waiting_time")},
    "mgc_finite_response_time_quantile": MGC_FINITE,
    **{f"finite_{name}": FINITE for name in MEANS},
    **{f"finite_{name}_time_tail": FINITE for name in ("waiting", "response")},
    **{f"finite_{name}_time_quantile": FINITE for name in ("waiting", "response")},
    "shared_cores_throughput": ("workers", "cores", "cpu_time", "service_time", *CONNECTED),
    **{f"shared_{name}": SHARED for name in (*MEANS, "response_time_quantile")},
    **{f"shared_finite_{name}": SHARED_FINITE for name in (*MEANS, "response_time_quantile")},
    "servers_for_wait_probability": ("wait_probability", "arrival_rate", "service_time"),
    "servers_for_waiting_time_quantile": ("p", "waiting_time", "arrival_rate", "service_time"),
    "servers_for_response_time_quantile": ("p", "response_time", "arrival_rate", "service_time"),
    "arrival_rate_for_wait_probability": ("wait_probability", "servers", "service_time"),
    "arrival_rate_for_waiting_time_quantile": ("p", "waiting_time", "servers", "service_time"),
    "arrival_rate_for_response_time_quantile": ("p", "response_time", "servers", "service_time"),
    "population_for_wait_probability": ("wait_probability", "servers", "think_time", "service_time"),
    "population_for_response_time_quantile": ("p", "response_time", "servers", "think_time", "service_time"),
    "replay": ("arrival_times", "service_times", "servers", "backlog"),
}
OPTIONAL = {
    "utilization_law": ["servers"],
    "replay": ["backlog"],
    **{name: ["service_law"] for name, keywords in QUEUEING.items() if keywords is MGC},
    **{name: list(CONNECTED) for name in QUEUEING if name.startswith("shared_")},
}


def leading(name: str) -> tuple[str, ...]:
    if "_for_" in name:
        return ()
    return ("t",) if name.endswith("_tail") else ("p",) if name.endswith("_quantile") else ()


def test_the_package_shows_exactly_these_names():
    assert sorted(capacity.__all__) == CAPACITY
    assert dir(capacity) == sorted([*CAPACITY, "queueing"])


@pytest.mark.parametrize("name", CAPACITY)
def test_every_name_of_the_package_can_be_loaded(name):
    value = getattr(capacity, name)
    assert value.__name__ == name


def test_a_star_import_brings_exactly_these_names():
    names: dict[str, object] = {}
    exec("from capacity import *", names)
    assert sorted(names.keys() - {"__builtins__"}) == CAPACITY


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'recomend'"):
        _ = capacity.recomend


def test_the_formulas_are_exactly_these():
    public = {name: value for name, value in vars(queueing).items() if not name.startswith("_")}
    formulas = {name for name, value in public.items() if not isinstance(value, types.ModuleType)}
    assert formulas == set(QUEUEING)
    assert all(inspect.isfunction(public[name]) for name in formulas)


@pytest.mark.parametrize("name", QUEUEING)
def test_a_formula_takes_exactly_these_keywords(name):
    parameters = inspect.signature(getattr(queueing, name)).parameters.values()
    by_position = [parameter.name for parameter in parameters if parameter.kind is not parameter.KEYWORD_ONLY]
    by_keyword = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    assert tuple(by_position) == leading(name)
    assert tuple(by_keyword) == QUEUEING[name]
    optional = [parameter.name for parameter in parameters if parameter.default is not parameter.empty]
    assert optional == OPTIONAL.get(name, [])


@pytest.mark.parametrize(
    ("function", "first", "keywords"),
    [
        ("recommend", "scenario", ["edges", "step"]),
        ("recommend_many", "table", ["edges"]),
        ("forecast", "scenario", ["pool", "users", "model", "edges", "step", "window"]),
        ("sensitivity", "scenario", ["spread", "workers_by", "verdict", "edges"]),
        ("compare_levers", "scenario", ["users", "verdict", "effects", "costs", "edges"]),
    ],
)
def test_answers_take_a_scenario_and_keywords(function, first, keywords):
    parameters = inspect.signature(getattr(capacity, function)).parameters
    assert list(parameters) == [first, *keywords]
    assert all(parameters[name].kind is inspect.Parameter.KEYWORD_ONLY for name in keywords)
    assert all(parameters[name].default is not inspect.Parameter.empty for name in keywords)


def test_the_users_of_a_forecast_are_those_of_the_case_study():
    parameters = inspect.signature(capacity.forecast).parameters
    assert parameters["users"].default == (50, 80, 100, 150, 200)
    assert parameters["model"].default == "open"


FIELDS = {
    "Host": [
        "ram", "reserved", "cpus", "cpus_reserved", "database_connections", "database_connections_reserved",
        "somaxconn",
    ],
    "Worker": ["memory", "shared_memory", "database_connections"],
    "Workload": [
        "service_time", "cpu_time", "database_time", "service_scv", "users", "think_time", "arrival_rate",
        "requests_per_click", "overhead_time", "web_server_cpu_time",
    ],
    "Objective": ["response_time", "percentile", "max_utilization", "apdex", "apdex_time"],
    "Scenario": [
        "host", "worker", "workload", "objective", "pool", "headroom", "spares", "load_before_step",
        "step_waiting_time", "process_manager", "process_max", "pools_on_host", "web_server_timeout", "sources",
    ],
}  # fmt: skip


@pytest.mark.parametrize("model", FIELDS)
def test_the_inputs_have_exactly_these_fields(model):
    assert sorted(getattr(capacity, model).model_fields) == sorted(FIELDS[model])


def test_the_settings_of_a_pool_have_at_least_fpms_names():
    fields = set(capacity.PoolSettings.model_fields)
    assert fields >= {
        "pm", "max_children", "start_servers", "min_spare_servers", "max_spare_servers", "max_requests",
        "listen_backlog", "request_terminate_timeout",
    }  # fmt: skip


@pytest.mark.parametrize("package", [capacity, queueing], ids=["capacity", "capacity.queueing"])
def test_no_module_takes_the_name_of_a_function(package):
    modules = {path.stem for path in Path(package.__path__[0]).glob("*.py")}
    modules |= {path.parent.name for path in Path(package.__path__[0]).glob("*/__init__.py")}
    functions = set(QUEUEING) if package is queueing else set(CAPACITY)
    assert not modules & functions
