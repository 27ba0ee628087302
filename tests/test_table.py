from __future__ import annotations

import numpy as np

from capacity import Host, Objective, Scenario, Worker, Workload
from capacity.table import repeat, table_of, take


def test_a_scenario_is_one_row_of_its_fields():
    table = table_of(Scenario.example())
    assert all(column.dtype == np.float64 and column.shape == (1,) for column in table.values())
    known = {name: column[0] for name, column in table.items() if not np.isnan(column[0])}
    assert known == {
        "host.ram": 4 * 2**30,
        "host.reserved": 3 * 2**29,
        "host.cpus": 4,
        "host.cpus_reserved": 0,
        "host.database_connections_reserved": 0,
        "worker.memory": 2**26,
        "worker.shared_memory": 0,
        "worker.database_connections": 1,
        "workload.service_time": 0.25,
        "workload.service_scv": 1,
        "workload.users": 150,
        "workload.think_time": 1,
        "workload.requests_per_click": 1,
        "workload.overhead_time": 0,
        "workload.web_server_cpu_time": 0,
        "objective.percentile": 0.95,
        "objective.max_utilization": 0.8,
        "policy.headroom": 1.25,
        "policy.pools_on_host": 1,
        "policy.web_server_timeout": 60,
    }


def test_what_is_not_known_is_nan():
    table = table_of(Scenario.example())
    unknown = {name for name, column in table.items() if np.isnan(column[0])}
    assert unknown == {
        "host.database_connections",
        "host.somaxconn",
        "workload.cpu_time",
        "workload.database_time",
        "workload.arrival_rate",
        "objective.response_time",
        "objective.apdex_time",
        "objective.apdex",
        "policy.process_max",
    }


def test_every_input_field_has_its_column():
    names = set(table_of(Scenario.example()))
    for table, model in {"host": Host, "worker": Worker, "workload": Workload, "objective": Objective}.items():
        assert {f"{table}.{field}" for field in model.model_fields} <= names


def test_sizes_up_to_the_largest_are_exact():
    host = Host(ram=2**53, reserved=2**53 - 1, cpus=1)
    table = table_of(Scenario.example().model_copy(update={"host": host}))
    assert int(table["host.ram"][0]) - int(table["host.reserved"][0]) == 1


def test_rows_are_repeated_side_by_side():
    table = {"a": np.array([1.0, 2.0]), "b": np.array([3.0, np.nan])}
    assert repeat(table, 2)["a"].tolist() == [1, 1, 2, 2]
    assert np.isnan(repeat(table, 2)["b"]).tolist() == [False, False, True, True]


def test_rows_are_taken_by_number():
    table = {"a": np.array([1.0, 2.0, 3.0]), "b": np.array([4.0, 5.0, 6.0])}
    part = take(table, np.array([2, 0]))
    assert {name: column.tolist() for name, column in part.items()} == {"a": [3, 1], "b": [6, 4]}
    part["a"][0] = 99
    assert table["a"].tolist() == [1, 2, 3]
