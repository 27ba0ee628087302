"""``capacity sweep``: ranges and units of axes, each format, and what is said of it."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import capacity.cli.sweep
from capacity import Scenario, sweep

from .conftest import FILE, Ran, assert_readable, assert_refused, run

CASE = Scenario.example()


def table(ran: Ran) -> pd.DataFrame:
    assert ran.code == 0, ran.err
    return pd.read_csv(io.StringIO(ran.out))


def test_csv_has_a_row_a_cell_in_si() -> None:
    found = table(run("sweep", "--axis", "users=80,100", "--axis", "workers=20:40:20", "--quantity", "verdict"))
    assert found.to_dict("list") == {
        "users": [80, 80, 100, 100],
        "workers": [20, 40, 20, 40],
        "verdict": ["watch", "comfortable", "overloaded", "manageable"],
    }


def test_the_numbers_are_those_of_the_library() -> None:
    quantities = ["response_time_p95", "utilization"]
    found = table(
        run("sweep", "--axis", "users=10:90:10", "--axis", "workers=1:9", *(f"--quantity={q}" for q in quantities))
    )
    axes = {"users": range(10, 100, 10), "workers": range(1, 10)}
    expected = sweep(CASE, axes, quantity=quantities).to_dataframe().reset_index()
    pd.testing.assert_frame_equal(found, expected, rtol=1e-14, atol=0)


@pytest.mark.parametrize(
    ("axis", "field", "values"),
    [
        ("service-time=100ms:1s:150ms", "service_time", [0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 1.0]),
        ("service_time=100ms, 1.5s", "service_time", [0.1, 1.5]),
        ("memory=32MiB:64MiB:16MiB", "memory", [2**25, 3 * 2**24, 2**26]),
        ("host.ram=4GiB,8GiB", "host.ram", [2**32, 2**33]),
        ("cpus=0.5:2:0.5", "cpus", [0.5, 1.0, 1.5, 2.0]),
        ("users=1:4", "users", [1, 2, 3, 4]),
        ("users=1:10:4", "users", [1, 5, 9]),
        ("users=7,1:3,100", "users", [7, 1, 2, 3, 100]),
        ("arrival-rate=60/min:3:0.5", "arrival_rate", [1.0, 1.5, 2.0, 2.5, 3.0]),
        ("process-manager=keep,auto", "process_manager", ["keep", "auto"]),
        ("headroom=1:1.3:0.1", "headroom", [1.0, 1.1, 1.2, 1.3]),
    ],
)
def test_values_of_an_axis(axis: str, field: str, values: list[object]) -> None:
    assert table(run("sweep", "--axis", axis, "--quantity", "max_children"))[field].tolist() == values


def test_formats_hold_the_same(tmp_path: Path) -> None:
    arguments = [
        "sweep",
        "--axis",
        "users=50,150",
        "--axis",
        "workers=20,40",
        "--quantity=verdict",
        "--quantity=slowdown",
    ]
    for suffix in ("csv", "nc", "parquet"):
        ran = run(*arguments, "-o", str(tmp_path / f"grid.{suffix}"))
        assert (ran.code, ran.out) == (0, "")
    grid = xr.open_dataset(tmp_path / "grid.nc").load()
    expected = sweep(CASE, {"users": [50, 150], "workers": [20, 40]}, quantity=["verdict", "slowdown"])
    xr.testing.assert_identical(grid.drop_attrs(), expected.drop_attrs())
    assert grid.slowdown.attrs["units"] == "1"
    assert grid.verdict.attrs["flag_meanings"] == "comfortable manageable watch overloaded"
    frames = [pd.read_csv(tmp_path / "grid.csv"), pd.read_parquet(tmp_path / "grid.parquet")]
    assert frames[1]["verdict"].dtype == "category"
    frames[1]["verdict"] = frames[1]["verdict"].astype(frames[0]["verdict"].dtype)
    pd.testing.assert_frame_equal(*frames, rtol=1e-14)


def test_a_large_table_is_written_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["sweep", "--axis", "users=1:50", "--axis", "workers=1:30"]
    whole = run(*arguments).out
    monkeypatch.setattr(capacity.cli.sweep, "_ROWS", 100)
    assert run(*arguments).out == whole
    assert run(*arguments, "-o", str(tmp_path / "grid.parquet")).code == 0
    assert len(pd.read_parquet(tmp_path / "grid.parquet")) == 1500


def test_quantiles_over_an_axis() -> None:
    found = table(
        run(
            "sweep",
            "--axis=users=50,60",
            "--axis=service-time=200ms:300ms:1ms",
            "--over=service-time",
            "--quantiles=0,1",
        )
    )
    axes = {"users": [50, 60], "service_time": np.linspace(0.2, 0.3, 101)}
    expected = sweep(CASE, axes).response_time_p95
    assert found["quantile"].tolist() == [0, 0, 1, 1]
    ends = [*expected.min("service_time").values, *expected.max("service_time").values]
    assert found["response_time_p95"].tolist() == pytest.approx(ends)


def test_a_scenario_file_and_options_say_what_stays(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(FILE, encoding="utf-8")
    ran = run(
        "sweep", str(tmp_path / "site.toml"), "--think-time", "2s", "--axis", "users=110", "--quantity", "arrival_rate"
    )
    assert table(ran)["arrival_rate"].tolist() == pytest.approx([50.0])
    assert ran.err == ""


def test_what_moves_is_not_said_to_be_assumed() -> None:
    err = run("sweep", "--axis", "users=50", "--axis", "workers=9").err
    assert "workload.service_time 250 ms" in err
    for moved in ("workload.users", "pool."):
        assert moved not in err
    assert "pool.max_children 20" in run("sweep", "--axis", "users=50").err


def test_cells_that_are_no_scenario_are_told_and_empty() -> None:
    ran = run("sweep", "--axis", "cpu-time=100ms,300ms", "--quantity", "utilization", "--quantity", "verdict")
    assert "Note: 1 of 2 cells make no scenario" in ran.err
    assert ran.out.splitlines() == ["cpu_time,utilization,verdict", "0.1,1,overloaded", "0.3,,"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["--axis"]),
        (["--axis", "users"], ["--axis must be NAME=VALUES", "users=10:1000:10"]),
        (["--axis", "users="], ["--axis must be NAME=VALUES"]),
        (["--axis", "usrs=1"], ["usrs", "did you mean users?"]),
        (["--axis", "users=0:3"], ["workload.users, value 1 must be at least 1"]),
        (["--axis", "users=a"], ["--axis users must be numbers"]),
        (["--axis", "users=1,,2"], ["--axis users must be numbers"]),
        (["--axis", "users=5:1"], ["start:end", "rising"]),
        (["--axis", "users=1:2:0"], ["start:end:step, rising"]),
        (["--axis", "users=1:2:3:4"], ["start:end:step"]),
        (["--axis", "users=nan:inf"], ["start:end"]),
        (["--axis", "users=1:inf"], ["at most 1000000 values"]),
        (["--axis", "users=1:1e12"], ["at most 1000000 values"]),
        (["--axis", "users=" + "1:1000000," * 3 + "1"], ["at most 1000000 values"]),
        (["--axis", "process-manager=keep:auto"], ["start:end"]),
        (["--axis", "service-time=100"], ["number and a unit", "100"]),
        (["--axis", "service-time=100ms:1s"], ["needs a step", "100ms:1s:50ms"]),
        (["--axis", "memory=16MiB:64MiB"], ["needs a step", "32MiB:128MiB:16MiB"]),
        (["--axis", "database_connections=5"], ["host.database_connections or worker.database_connections"]),
        (["--axis", "users=1", "--axis", "users=2"], ["--axis users is given twice"]),
        (["--axis", "users=1", "--quantity", "latency"], ["quantity latency is not known"]),
        (["--axis", "users=1", "--quantiles", "x"], ["--quantiles must be numbers"]),
        (["--axis", "users=1", "--over", "users"], ["over goes with quantiles"]),
        (["--axis", "users=1", "--format", "nc"], ["--format goes with -o FILE"]),
        (
            ["--axis", "users=1", "-o", "/no/such/place/grid.csv"],
            ["--output must be a file in a directory that exists"],
        ),
        (["--axis", "users=1:900000", "--axis", "workers=1:1000"], ["900000000 cells", "give quantiles"]),
        (["--axis", "users=\x1b[31m1"], ["--axis users must be numbers"]),
    ],
)
def test_what_is_wrong_is_named(arguments: list[str], words: list[str]) -> None:
    assert_refused(run("sweep", *arguments), *words)


@pytest.mark.parametrize(
    ("library", "suffix"),
    [("xarray", "csv"), ("pyarrow", "parquet"), ("h5netcdf", "nc")],
    ids=["xarray", "pyarrow", "nc"],
)
def test_a_missing_extra_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, suffix: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    ran = run("sweep", "--axis", "users=1", "-o", str(tmp_path / f"grid.{suffix}"))
    assert ran.code == 1
    assert_readable(ran.err)
    assert "pip install 'fpm-capacity[sweep]'" in ran.err


def test_cells_that_do_not_count_are_told() -> None:
    axes = ["--axis", "service-time=100ms:300ms:1ms", "--cpu-time", "200ms"]
    ran = run("sweep", *axes, "--quantiles", "0.1,0.5")
    assert "Note: 100 of 201 cells make no scenario" in ran.err
    assert "do not count" in ran.err


def test_a_name_that_is_not_utf_8(tmp_path: Path) -> None:
    place = tmp_path / "grid\udcff.parquet"
    assert run("sweep", "--axis", "users=1:3", "-o", str(place)).code == 0
    assert len(pd.read_parquet(io.BytesIO(place.read_bytes()))) == 3
