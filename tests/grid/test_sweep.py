"""``sweep``: every cell is what forecast and recommend say, and nothing wrong passes silently."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from capacity import Scenario, forecast, recommend, sweep
from capacity.errors import InvalidInput, MissingExtra
from capacity.grid import sweeping
from capacity.grid.cells import Cells
from capacity.grid.quantities import BANDS, PREDICTED, QUANTITIES
from capacity.results import ModelName

CASE = Scenario.example()
FULL = Scenario.from_mapping(
    {
        "host": {"ram": "8GiB", "reserved": "2GiB", "cpus": 4, "database_connections": 90},
        "worker": {"memory": "48MiB", "shared_memory": "128MiB"},
        "workload": {
            "service_time": 0.2,
            "cpu_time": 0.05,
            "database_time": 0.04,
            "users": 100,
            "think_time": 2,
            "requests_per_click": 1.5,
        },
        "objective": {"response_time": 0.9},
        "pool": {"pm": "dynamic", "max_children": 30, "min_spare_servers": 3, "max_spare_servers": 9},
    }
)


def with_fields(scenario: Scenario, **fields: Any) -> Scenario:
    """The scenario with other values in its tables."""
    tables = scenario.to_mapping()
    for name, value in fields.items():
        table, _, field = name.partition("__")
        tables.setdefault(table, {})[field] = value
    return Scenario.from_mapping(tables)


@pytest.mark.parametrize("model", ["open", "finite"])
@pytest.mark.parametrize("scenario", [CASE, FULL], ids=["plain", "everything"])
def test_every_cell_is_what_forecast_says(scenario: Scenario, model: ModelName) -> None:
    users, workers, service = [1, 40, 150, 700], [1, 8, 31], [0.1, 0.26]
    axes = {"users": users, "workers": workers, "service_time": service}
    grid = sweep(scenario, axes, quantity=[*PREDICTED, *BANDS], model=model)
    for c, s in itertools.product(workers, service):
        said = forecast(with_fields(scenario, workload__service_time=s), pool=c, users=users, model=model)
        part = grid.sel(workers=c, service_time=s)
        for prediction in said.predictions:
            cell = part.sel(users=prediction.users)
            for name in PREDICTED:
                value, expected = cell[name].item(), getattr(prediction, name)
                if name == "verdict":
                    value = cell.verdict.flag_meanings.split()[value]
                elif name == "objective_met":
                    value = {-1: None, 0: False, 1: True}[value]
                elif not np.isfinite(value):
                    value = None
                assert value == expected, (name, c, s, prediction.users)
            for band in said.bands:
                most = cell[f"users_{band.verdict}"].item()
                assert (None if np.isnan(most) else most) == band.users


def test_every_cell_is_what_recommend_says() -> None:
    decided = [name for name in QUANTITIES if name not in PREDICTED | BANDS]
    axes = {"memory": ["32MiB", "96MiB"], "cpus": [1, 4], "process_manager": ["keep", "auto"], "users": [60, 900]}
    grid = sweep(FULL, axes, quantity=decided)
    for memory, cpus, manager, users in itertools.product(*axes.values()):
        scenario = with_fields(
            FULL,
            worker__memory=memory,
            host__cpus=cpus,
            policy__process_manager=manager,
            workload__users=users,
        )
        said = recommend(scenario)
        cell = grid.sel(
            memory=grid.memory[axes["memory"].index(memory)], cpus=cpus, process_manager=manager, users=users
        )
        for name in ("max_children", "start_servers", "min_spare_servers", "max_spare_servers", "listen_backlog"):
            expected = getattr(said.pool, name)
            assert cell[name].item() == expected or (expected is None and np.isnan(cell[name].item()))
        for name in ("binding", "pm"):
            expected = said.binding if name == "binding" else said.pool.pm
            assert cell[name].flag_meanings.split()[cell[name].item()] == expected
        for limit in said.limits:
            assert cell[f"limit.{limit.name}"].item() == (np.inf if limit.workers is None else limit.workers)
        assert cell.needed.item() == (np.inf if said.needed is None else said.needed)
        assert cell.wanted.item() == (np.inf if said.wanted is None else said.wanted)
        assert cell.shortfall.item() == (np.inf if said.shortfall is None else said.shortfall)
        assert bool(cell.feasible.item()) is said.feasible
        assert cell.more_workers_help.item() == {None: -1, False: 0, True: 1}[said.more_workers_help]
        assert cell.worst_case_memory.item() == said.worst_case_memory


def test_the_pool_is_of_the_axis_or_todays_or_the_recommended_one() -> None:
    axes = {"users": [100], "workers": [40]}
    assert sweep(CASE, axes, quantity="utilization").utilization.item() == pytest.approx(0.5)
    today = sweep(CASE, {"users": [50]}, quantity="utilization")
    assert today.utilization.item() == pytest.approx(0.5)
    without = with_fields(CASE).model_copy(update={"pool": None})
    chosen = sweep(without, {"users": [100, 150]}, quantity=["utilization", "max_children"])
    assert chosen.max_children.values.tolist() == [32, 40]
    assert chosen.utilization.values == pytest.approx([20 / 32, 30 / 40])
    assert [grid.attrs["workers"] for grid in (today, chosen)] == ["of the pool", "recommended"]
    assert sweep(CASE, axes).attrs["workers"] == "of the axis"


def test_a_rate_takes_the_place_of_users_and_users_that_of_a_rate() -> None:
    rate = sweep(CASE, {"arrival_rate": [80.0]}, quantity=["throughput", "utilization"])
    assert rate.throughput.item() == pytest.approx(80.0)
    assert rate.utilization.item() == 1.0
    streamed = Scenario.from_mapping(
        {**CASE.to_mapping(), "workload": {"service_time": 0.25, "think_time": 1, "arrival_rate": 8.0}}
    )
    assert sweep(streamed, {"users": [80]}, quantity="arrival_rate").arrival_rate.item() == pytest.approx(64)
    assert sweep(streamed, {"workers": [20]}, quantity="arrival_rate").arrival_rate.item() == 8.0


def test_axes_carry_their_units_and_words_say_what_they_mean() -> None:
    axes = {"service_time": ["100ms", "1.5s"], "host.ram": ["4GiB", 2**33], "users": range(10, 30, 10)}
    grid = sweep(CASE, axes, quantity=["response_time_p95", "binding"])
    assert dict(grid.sizes) == {"service_time": 2, "host.ram": 2, "users": 2}
    assert grid.service_time.values.tolist() == [0.1, 1.5]
    assert grid.service_time.attrs == {"long_name": "workload.service_time", "units": "s"}
    assert grid["host.ram"].values.tolist() == [2**32, 2**33]
    assert grid["host.ram"].attrs["units"] == "byte"
    assert (grid.users.values.tolist(), grid.users.dtype.kind, grid.users.attrs["units"]) == ([10, 20], "i", "1")
    assert grid.response_time_p95.attrs["units"] == "s"
    assert grid.binding.attrs["flag_meanings"].split() == ["memory", "cpu", "database", "process_max", "demand"]
    assert grid.attrs["model"] == "open"
    assert Scenario.from_mapping(__import__("json").loads(grid.attrs["scenario"])) == CASE


def test_cells_are_looked_at_once_for_whether_they_are_scenarios(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    original = Cells.refused
    monkeypatch.setattr(Cells, "refused", lambda self, spread: looked.append(1) or original(self, spread))
    for quantiles in (None, [0.5]):
        looked.clear()
        sweep(CASE, {"users": range(10, 200, 10), "workers": [20, 40]}, quantity="utilization", quantiles=quantiles)
        assert len(looked) == 1


def test_several_fields_can_move_along_one_axis() -> None:
    draws = {"service_time": [0.1, 0.2, 0.3], "think_time": ["1s", "2s", "3s"]}
    grid = sweep(CASE, {"draw": draws, "workers": [20, 40]}, quantity="arrival_rate")
    assert dict(grid.sizes) == {"draw": 3, "workers": 2}
    assert grid.arrival_rate.sel(workers=20).values == pytest.approx([150 / 1.1, 150 / 2.2, 150 / 3.3])
    assert grid.think_time.dims == ("draw",)
    assert grid.think_time.values.tolist() == [1, 2, 3]


def test_cells_that_are_no_scenario_are_empty_and_counted() -> None:
    axes = {"cpu_time": [0.1, 0.2, 0.3], "service_time": [0.15, 0.25]}
    grid = sweep(CASE, axes, quantity=["utilization", "verdict"])
    no_scenario = np.greater.outer([0.1, 0.2, 0.3], [0.15, 0.25])
    assert (np.isnan(grid.utilization.values) == no_scenario).all()
    assert ((grid.verdict.values == -1) == no_scenario).all()
    assert grid.attrs["refused_cells"] == no_scenario.sum() == 3
    with pytest.raises(InvalidInput, match=r"cpu_time must be at most service_time, 150 ms; got 0\.2"):
        sweep(CASE, {"cpu_time": [0.2, 0.3], "service_time": [0.15]})


@pytest.mark.parametrize("over", [["service_time"], ["users", "service_time"], "users", None])
def test_quantiles_are_cells_of_the_grid(over: Any) -> None:
    axes = {"workers": [10, 30], "users": range(10, 300, 7), "service_time": np.linspace(0.1, 0.4, 31)}
    shares = [0.0, 0.05, 0.5, 0.95, 1.0]
    grid = sweep(CASE, axes, quantity=["response_time", "slowdown"])
    found = sweep(CASE, axes, quantity=["response_time", "slowdown"], quantiles=shares, over=over)
    along = list(axes) if over is None else over
    expected = grid.quantile(shares, along, method="inverted_cdf")
    for name in ("response_time", "slowdown"):
        assert found[name].dims == expected[name].dims
        assert (found[name].values == expected[name].values).all()
    assert np.isinf(found.response_time.sel(quantile=1.0)).any()


def test_quantiles_of_more_cells_than_a_box_holds_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    axes = {"users": range(50, 150, 10), "workers": [20, 40], "service_time": np.linspace(0.1, 0.3, 3001)}
    arguments: Any = {"quantity": ["wait_probability", "response_time_p95"], "quantiles": [0, 0.05, 0.5, 0.9, 1]}
    for over in (["service_time"], ["service_time", "workers"], None):
        exact = sweep(CASE, axes, over=over, **arguments)
        monkeypatch.setattr(sweeping, "_BOX", 1000)
        counted = sweep(CASE, axes, over=over, **arguments)
        monkeypatch.undo()
        for name, cells in exact.items():
            found, right = counted[name].values, cells.values
            assert found.shape == right.shape
            assert np.isclose(found, right, rtol=2**-12, atol=0).all()
            for end in (0, 1):
                assert (counted[name].sel(quantile=end).values == cells.sel(quantile=end).values).all()


def test_it_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "_BOX", 100)
    seen: list[tuple[int, int]] = []
    axes = {"users": range(1, 31), "workers": range(1, 11)}
    sweep(CASE, axes, told=lambda done, total: seen.append((done, total)))
    assert seen == [(100, 300), (200, 300), (300, 300)]
    seen.clear()
    sweep(CASE, axes, told=lambda done, total: seen.append((done, total)), over="users", quantiles=[0.5])
    assert seen == [(90, 300), (180, 300), (270, 300), (300, 300)]


@pytest.mark.parametrize(
    ("axes", "options", "words"),
    [
        ({}, {}, ["axes must be a mapping"]),
        ([("users", [1])], {}, ["axes must be a mapping"]),
        ({"usrs": [1]}, {}, ["usrs", "did you mean users?"]),
        ({3: [1]}, {}, ["3", "is not a field"]),
        ({"database_connections": [3]}, {}, ["host.database_connections or worker.database_connections"]),
        ({"pool.min_spare_servers": [3]}, {}, ["changes no prediction"]),
        ({"users": []}, {}, ["workload.users must be one row of values, at least one"]),
        ({"users": 7}, {}, ["workload.users must be one row of values"]),
        ({"users": [[1, 2]]}, {}, ["workload.users must be one row of values"]),
        ({"users": [1, [2]]}, {}, ["workload.users must be one row of values"]),
        ({"users": [10, 0]}, {}, ["workload.users, value 2 must be at least 1; got 0"]),
        ({"users": [10, None]}, {}, ["workload.users, value 2 must be"]),
        ({"users": [1.5]}, {}, ["workload.users, value 1 must be a whole number; got 1.5"]),
        ({"cpu_time": [0.1, np.nan]}, {}, ["workload.cpu_time, value 2 must be"]),
        ({"service_time": ["250"]}, {}, ["workload.service_time, value 1 wants a number and a unit", "250"]),
        ({"workers": [0]}, {}, ["pool.max_children, value 1 must be at least 1"]),
        ({"process_manager": ["keep", "best"]}, {}, ["policy.process_manager, value 2", "best"]),
        ({"users": [1], "workload.users": [2]}, {}, ["workload.users moves along two axes"]),
        ({"users": [1], "arrival_rate": [2.0]}, {}, ["must not have both users and arrival_rate"]),
        ({"draw": {"users": [1, 2], "think_time": [1.0]}}, {}, ["draw", "users has 2, think_time has 1"]),
        ({"draw": {}}, {}, ["draw"]),
        ({"users": {"users": [1]}}, {}, ["users must be a name of its own"]),
        ({"users": [1]}, {"quantity": "latency"}, ["quantity latency is not known"]),
        ({"users": [1]}, {"quantity": []}, ["quantity must be a name"]),
        (
            {"arrival_rate": [1.0]},
            {"quantity": "arrival_rate"},
            ["arrival_rate is the name of an axis and of a quantity"],
        ),
        ({"users": [1]}, {"model": "closed"}, ["model must be open or finite; got 'closed'"]),
        ({"users": [1]}, {"edges": 3}, ["edges must be Edges"]),
        ({"users": [1]}, {"over": "users"}, ["over goes with quantiles"]),
        ({"users": [1]}, {"quantiles": [0.5], "over": "workers"}, ["over must be the name of an axis", "known: users"]),
        ({"users": [1]}, {"quantiles": [1.5]}, ["quantiles must be numbers from 0 to 1"]),
        ({"users": [1]}, {"quantiles": ["a"]}, ["quantiles must be numbers from 0 to 1"]),
        ({"users": [1]}, {"quantiles": [0.5], "quantity": "verdict"}, ["verdict is one of some words"]),
        ({"users": range(1, 20000), "workers": range(1, 20000)}, {}, ["399960001 cells", "give quantiles"]),
    ],
)
def test_what_is_wrong_is_named(axes: Any, options: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        sweep(CASE, axes, **options)
    for word in words:
        assert word in str(caught.value)


def test_several_wrong_axes_are_named_at_once() -> None:
    with pytest.raises(InvalidInput) as caught:
        sweep(CASE, {"usrs": [1], "workers": [0]})
    assert [problem.field for problem in caught.value.problems] == ["usrs", "pool.max_children, value 1"]


@pytest.mark.parametrize(("model", "word"), [("open", "arrival_rate"), ("finite", "finite model")])
def test_without_a_load_there_is_nothing_to_predict(model: ModelName, word: str) -> None:
    idle = Scenario.from_mapping({**CASE.to_mapping(), "workload": {"service_time": 0.25}})
    with pytest.raises(InvalidInput, match=word):
        sweep(idle, {"workers": [1, 2]}, model=model)
    with pytest.raises(InvalidInput, match="think_time is missing"):
        sweep(idle, {"workers": [1, 2]}, quantity="users_watch")
    assert sweep(idle, {"memory": ["64MiB"]}, quantity="max_children").max_children.item() == 40


def test_without_xarray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "xarray", None)
    with pytest.raises(MissingExtra, match=r"pip install 'fpm-capacity\[sweep\]'"):
        sweep(CASE, {"users": [1]})


def test_the_result_is_a_dataset() -> None:
    assert isinstance(sweep(CASE, {"users": [1]}), xr.Dataset)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (b"abc", "b'abc'"),
        ({1, 2}, "{1, 2}"),
        ([1, True], "value 2"),
        ([pd.NA], "value 1"),
        (pd.MultiIndex.from_tuples([(1, 2)]), "one row of values"),
        ((number for number in (1, 2)), "generator"),
    ],
    ids=["bytes", "set", "bool", "NA", "MultiIndex", "generator"],
)
def test_what_is_no_row_of_values_is_refused(values: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=r"workload\.users") as caught:
        sweep(CASE, {"users": values})
    assert words in str(caught.value)


def test_values_come_from_whatever_holds_them() -> None:
    expected = sweep(CASE, {"users": [100, 150]})
    for values in (
        np.array([100, 150], np.float16),
        pd.Series([100, 150]),
        pd.Index([100, 150]),
        xr.DataArray([100, 150]),
        (np.int8(100), 150.0),
        np.ma.masked_array([100, 150], [False, False]),
    ):
        xr.testing.assert_identical(sweep(CASE, {"users": values}), expected)


def test_one_axis_does_not_have_a_field_twice() -> None:
    with pytest.raises(InvalidInput, match=r"d names workload\.users twice"):
        sweep(CASE, {"d": {"users": [10], "workload.users": [20]}})


@pytest.mark.parametrize("client", [0, "tcp://127.0.0.1:8786", object()])
def test_what_is_no_client_is_refused(client: Any) -> None:
    with pytest.raises(InvalidInput, match=r"client must be a distributed\.Client"):
        sweep(CASE, {"users": [1]}, client=client)
