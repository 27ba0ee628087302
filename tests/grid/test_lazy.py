"""Grids handed to dask: lazy, in chunks of bounded size, and the same numbers as here."""

from __future__ import annotations

from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr

from capacity import Scenario, sweep
from capacity.errors import InvalidInput, MissingExtra
from capacity.grid import sweeping

CASE = Scenario.example()
DRAWS = np.random.default_rng(5).lognormal(-1.5, 0.3, 5000)


class Anyone:
    """Who computes does not matter to what is handed over."""

    def scheduler_info(self) -> None:
        raise AssertionError


CLIENT = Anyone()


@pytest.fixture(autouse=True)
def _small_boxes_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "_BOX", 2000)
    dask.config.set(scheduler="synchronous")


def unread() -> Any:
    """A dask array that must not be computed."""

    def never(block: np.ndarray) -> np.ndarray:
        raise AssertionError

    return da.from_array(DRAWS, chunks=600).map_blocks(never, dtype=np.float64, meta=np.empty(0))


def assert_same(lazy: xr.Dataset, here: xr.Dataset) -> None:
    here = here.drop_attrs(deep=False)
    xr.testing.assert_identical(lazy.compute().drop_attrs(deep=False), here)


QUANTITY = ["response_time", "verdict", "users_watch"]


def test_with_a_client_the_cells_are_lazy_and_the_same() -> None:
    axes = {"users": range(50, 250, 5), "workers": [20, 40], "draw": {"service_time": DRAWS[:300], "cpus": [4.0] * 300}}
    lazy = sweep(CASE, axes, quantity=QUANTITY, client=CLIENT)
    for cells in lazy.data_vars.values():
        assert dask.is_dask_collection(cells)
        assert max(np.prod(chunk) for chunk in _chunk_shapes(cells)) <= 2000
    assert_same(lazy, sweep(CASE, axes, quantity=QUANTITY))


def _chunk_shapes(cells: xr.DataArray) -> Any:
    return __import__("itertools").product(*cells.chunks)  # type: ignore[misc]


def test_a_dask_axis_stays_unread_and_keeps_its_chunks() -> None:
    lazy = sweep(CASE, {"users": [100, 150], "service_time": unread()})
    assert lazy.response_time_p95.chunks == ((2,), (600,) * 8 + (200,))
    assert dask.is_dask_collection(lazy.service_time)
    many = sweep(CASE, {"users": range(1, 101), "service_time": da.from_array(DRAWS, chunks=2500)})
    assert max(np.prod(chunk) for chunk in _chunk_shapes(many.response_time_p95)) <= 2000
    here = sweep(CASE, {"users": [100, 150], "service_time": DRAWS})
    read = sweep(CASE, {"users": [100, 150], "service_time": da.from_array(DRAWS, chunks=700)}).compute()
    assert (read.response_time_p95.values == here.response_time_p95.values).all()
    assert (read.service_time.values == DRAWS).all()


@pytest.mark.parametrize("over", ["service_time", ["workers", "service_time"], None])
@pytest.mark.parametrize("size", [900, 5000])
def test_quantiles_are_the_same_whether_counted_or_exact(over: Any, size: int) -> None:
    plain: dict[str, Any] = {"workers": [20, 40], "service_time": DRAWS[:size], "users": [100, 150]}
    arguments: Any = {"quantity": ["response_time", "wait_probability"], "over": over, "quantiles": [0, 0.1, 0.5, 1]}
    here = sweep(CASE, plain, **arguments)
    assert_same(sweep(CASE, plain, client=CLIENT, **arguments), here)
    chunked = sweep(CASE, plain | {"service_time": da.from_array(DRAWS[:size], chunks=333)}, **arguments)
    assert dask.is_dask_collection(chunked.response_time)
    assert_same(chunked, here)


def test_columns_of_one_axis_may_come_in_other_chunks() -> None:
    draws = {"service_time": DRAWS[:900], "think_time": np.linspace(0.5, 2, 900), "cpus": np.full(900, 4.0)}
    axes = {"users": [100, 150], "draw": draws}
    chunks = {"service_time": 250, "think_time": 400}
    some = {name: da.from_array(draws[name], chunks=size) for name, size in chunks.items()}
    assert_same(sweep(CASE, axes | {"draw": draws | some}), sweep(CASE, axes))


def test_no_warning_of_many_chunks_escapes() -> None:
    axes = {"users": range(1, 41), "workers": range(1, 41), "service_time": DRAWS}
    lazy = sweep(CASE, axes, over="service_time", quantiles=[0.5], client=CLIENT)
    assert lazy.response_time_p95.data.numblocks == (1, 40, 40)


def test_values_that_break_a_rule_are_empty_where_they_could_not_be_read() -> None:
    odd = da.from_array(np.array([0.1, -1.0, np.nan, np.inf, 0.2]), chunks=2)
    cells = sweep(CASE, {"service_time": odd}, quantity=["utilization", "verdict"]).compute()
    assert np.isnan(cells.utilization.values).tolist() == [False, True, True, True, False]
    assert (cells.verdict.values == -1).tolist() == [False, True, True, True, False]
    whole = sweep(CASE, {"users": da.from_array(np.array([1, 2, 3]), chunks=2)}, quantity="utilization").compute()
    assert np.isfinite(whole.utilization.values).all()


@pytest.mark.parametrize(
    "odd",
    [da.zeros((2, 2)), da.zeros(0), da.from_array(np.array(["1s"])), da.zeros(5)[da.zeros(5) == 0]],
    ids=["two dimensions", "empty", "text", "of unknown length"],
)
def test_dask_arrays_that_cannot_be_an_axis_are_refused(odd: Any) -> None:
    with pytest.raises(InvalidInput, match="must be one row of numbers of a known length"):
        sweep(CASE, {"service_time": odd})


def test_without_dask_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "dask.array", None)
    with pytest.raises(MissingExtra, match=r"dask.*fpm-capacity\[cluster\]"):
        sweep(CASE, {"users": [1]}, client=CLIENT)


def test_arrays_of_one_axis_may_have_other_chunks() -> None:
    draws = {"service_time": da.from_array(DRAWS, chunks=700), "think_time": da.from_array(DRAWS + 1, chunks=110)}
    lazy = sweep(CASE, {"draw": draws, "workers": [20, 40]})
    assert len(lazy.chunks["draw"]) > 40
    here = {"service_time": DRAWS, "think_time": DRAWS + 1}
    assert_same(lazy, sweep(CASE, {"draw": here, "workers": [20, 40]}))
