from __future__ import annotations

import re
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import capacity.recommendation
from capacity import Edges, InvalidInput, PoolSettings, Scenario, recommend, recommend_many
from capacity.columns import fields
from capacity.decision import kinds

GIB, MIB = 2**30, 2**20
CASE_STUDY = {
    "host.ram": 4 * GIB,
    "host.reserved": 1.5 * GIB,
    "host.cpus": 4,
    "worker.memory": 64 * MIB,
    "workload.service_time": 0.25,
    "workload.think_time": 1,
    "workload.users": 150,
}


def table(**changes):
    """Columns of the case study; ``workload__users=[100, 200]`` changes one of them."""
    return CASE_STUDY | {name.replace("__", "."): value for name, value in changes.items()}


def refusal(given):
    with pytest.raises(InvalidInput) as refused:
        recommend_many(given)
    return str(refused.value)


def test_the_case_study_is_one_row():
    result = recommend_many(CASE_STUDY)
    assert {column.shape for column in result.values()} == {(1,)}
    row = {name: column[0] for name, column in result.items()}
    settings = ("pm", "max_children", "start_servers", "min_spare_servers", "max_spare_servers", "max_requests")
    assert [row[name] for name in settings] == ["dynamic", 40, 8, 4, 16, 1000]
    assert (row["binding"], row["feasible"], row["shortfall"]) == ("memory", True, 0)
    users = [row[f"prediction_{place}.users"] for place in range(1, 6)]
    verdicts = [row[f"prediction_{place}.verdict"] for place in range(1, 6)]
    assert users == [50, 80, 100, 150, 200]
    assert verdicts == ["comfortable", "comfortable", "manageable", "watch", "overloaded"]
    assert [row[f"band.{name}"] for name in ("comfortable", "manageable", "watch")] == [90, 140, 170]


def test_the_columns_are_those_that_are_told_in_their_order():
    assert list(recommend_many(CASE_STUDY)) == list(kinds(with_pool=False))
    with_pool = table(pool__pm=["static"], pool__max_children=[20])
    assert list(recommend_many(with_pool)) == list(kinds(with_pool=True))


@pytest.mark.parametrize("with_pool", [False, True])
def test_every_column_is_described_in_the_reference(with_pool):
    page = Path(__file__).parents[1] / "docs" / "reference" / "table-columns.md"
    told = set(re.findall(r"`([a-z0-9_.]+)`", page.read_text(encoding="utf-8")))
    names = {re.sub(r"prediction_[1-5]", "prediction_1", name) for name in kinds(with_pool=with_pool)}
    assert names - told == set()
    assert set(fields()) - told == set()


def test_rows_are_as_many_as_the_longest_column_and_scalars_stand_for_all():
    result = recommend_many(table(workload__users=[100, 150, 200], host__cpus=np.array(4)))
    assert result["max_children"].tolist() == [32, 40, 40]
    assert result["needed"].tolist() == [25, 38, 50]


def test_a_table_without_rows_has_a_result_without_rows():
    result = recommend_many(table(host__ram=np.array([])))
    assert list(result) == list(kinds(with_pool=False))
    assert all(column.shape == (0,) for column in result.values())


def test_what_is_not_given_takes_the_defaults_and_so_does_what_is_not_known():
    given = {name: np.nan for name, field in fields().items() if not field.required and name not in CASE_STUDY}
    words = {name: "" for name, field in fields().items() if field.words}
    full = recommend_many(CASE_STUDY | given | words)
    for name, column in recommend_many(CASE_STUDY).items():
        np.testing.assert_array_equal(full[name], column)


def test_none_and_masked_values_are_not_known():
    cpu = np.ma.MaskedArray([0.01, 0.2], mask=[False, True])
    connections = np.ma.MaskedArray([100, 10], mask=[False, True])
    result = recommend_many(
        table(
            workload__cpu_time=cpu,
            host__database_connections=connections,
            objective__response_time=[None, 0.8],
            worker__database_connections=1,
        )
    )
    assert np.isinf(result["limit.cpu"]).tolist() == [False, True]
    assert result["limit.database"].tolist() == [100, np.inf]
    assert np.isinf(result["needed"]).tolist() == [False, False]


def test_an_array_that_masks_nothing_is_as_any_other():
    ram = np.ma.MaskedArray([4 * GIB, 2 * GIB])
    assert recommend_many(table(host__ram=ram))["limit.memory"].tolist() == [40, 8]


@pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.float32, np.float64, np.longdouble, object])
def test_numbers_may_be_of_any_type(dtype):
    result = recommend_many(table(host__ram=np.array([4 * GIB, 8 * GIB], dtype=dtype)))
    assert result["limit.memory"].tolist() == [40, 104]


def test_text_carries_its_unit_as_everywhere():
    result = recommend_many(
        table(host__ram=["4GiB", "8GiB"], workload__service_time="250ms", workload__users=[150, 400])
    )
    assert result["max_children"].tolist() == [40, 104]


def test_the_columns_of_a_result_have_types_that_can_be_counted_on():
    result = recommend_many(CASE_STUDY)
    found = {name: column.dtype.kind for name, column in result.items()}
    assert found["feasible"] == "b"
    assert found["pm"] == found["binding"] == found["prediction_3.verdict"] == "U"
    assert {found[name] for name in ("max_children", "max_requests", "listen_backlog", "worst_case_memory")} == {"i"}
    assert {found[name] for name in ("needed", "limit.cpu", "start_servers", "band.watch")} == {"f"}


def test_a_row_whose_objective_cannot_be_met_is_a_result():
    result = recommend_many(table(workload__users=[150, 1000, 150], workload__cpu_time=[0, 0, 0.1]))
    assert result["feasible"].tolist() == [True, False, False]
    assert result["shortfall"].tolist() == [0, 210, np.inf]  # 1000 users keep 200 workers busy, 150 the cores 12
    assert result["more_workers_help"].tolist() == [1, 1, 0]


def test_without_a_load_or_a_think_time_there_is_less_to_say():
    result = recommend_many(
        table(
            workload__users=np.nan,
            workload__think_time=[np.nan, np.nan, 1],
            workload__arrival_rate=[120, np.nan, np.nan],
        )
    )
    verdicts = [result[f"prediction_{place}.verdict"].tolist() for place in range(1, 6)]
    assert [row[0] for row in verdicts] == ["", "", "", "watch", ""]
    assert [row[1] for row in verdicts] == [""] * 5
    assert [row[2] for row in verdicts] == ["comfortable", "comfortable", "manageable", "watch", "overloaded"]
    assert np.isnan(result["prediction_4.users"]).tolist() == [True, True, False]
    assert np.isnan(result["band.watch"]).tolist() == [True, True, False]
    assert result["prediction_4.utilization"][0] == 0.75
    assert np.isnan(result["needed"]).tolist() == [False, True, True]


def test_a_rate_is_worth_the_nearest_number_of_users():
    # a user of the case study sends 0.8 requests a second: 100.5 requests are 125.6 users
    result = recommend_many(table(workload__users=np.nan, workload__arrival_rate=[100, 100.5, 0.1]))
    assert result["prediction_4.users"].tolist() == [125, 126, 1]
    assert result["prediction_1.users"].tolist() == [42, 42, 1]
    assert result["prediction_5.users"].tolist() == [167, 168, 1]


def test_the_pool_of_today_stays_or_goes_as_the_policy_says():
    result = recommend_many(
        table(
            pool__pm=["static", "ondemand", "", "static"],
            pool__max_children=[20, 10, np.nan, 20],
            pool__max_requests=[500, 0, np.nan, np.nan],
            policy__process_manager=["keep", "keep", "keep", "auto"],
            worker__memory=[64 * MIB, 64 * MIB, 64 * MIB, 40 * MIB],
        )
    )
    assert result["pm"].tolist() == ["static", "ondemand", "dynamic", "static"]
    assert result["max_requests"].tolist() == [500, 1000, 1000, 1000]
    assert np.isnan(result["start_servers"]).tolist() == [True, True, False, True]
    assert result["current_prediction_3.verdict"].tolist() == ["overloaded", "overloaded", "", "overloaded"]
    today = recommend(Scenario.example().model_copy(update={"pool": PoolSettings(pm="static", max_children=20)}))
    bands = [result[f"current_band.{band.verdict}"][0] for band in today.current_bands]
    assert bands == [band.users for band in today.current_bands]
    assert np.isnan(result["current_band.watch"][2])


def test_edges_move_the_verdicts():
    strict = Edges(utilization=(0.1, 0.2, 0.3))
    assert recommend_many(CASE_STUDY, edges=strict)["prediction_2.verdict"].tolist() == ["overloaded"]
    with pytest.raises(InvalidInput, match=r"edges must be Edges; got 0\.5"):
        recommend_many(CASE_STUDY, edges=0.5)


@pytest.mark.parametrize("size", [1, 3, 7])
def test_the_size_of_a_block_changes_nothing(monkeypatch, size):
    given = table(workload__users=np.arange(20, 320, 30), pool__pm=["static", ""] * 5, pool__max_children=[9, None] * 5)
    whole = recommend_many(given)
    monkeypatch.setattr(capacity.recommendation, "_BLOCK", size)
    for name, column in recommend_many(given).items():
        np.testing.assert_array_equal(column, whole[name])


def test_a_structured_array_comes_back_as_one():
    records = np.zeros(
        3, dtype=[(name, float) for name in CASE_STUDY] + [("pool.pm", "U8"), ("pool.max_children", int)]
    )
    for name, value in CASE_STUDY.items():
        records[name] = value
    records["workload.users"] = [100, 150, 200]
    records["pool.pm"], records["pool.max_children"] = "static", 20
    result = recommend_many(records)
    assert result.dtype.names == tuple(kinds(with_pool=True))
    assert result["max_children"].tolist() == [32, 40, 40]
    assert recommend_many(records[1])["max_children"].tolist() == [40]  # a single record too
    assert "one dimension" in refusal(records.reshape(3, 1))


def test_nothing_that_was_given_is_changed():
    given = {
        name: np.array([value, np.nan if name == "workload.users" else value]) for name, value in CASE_STUDY.items()
    }
    given["policy.headroom"] = np.array([np.nan, 2.0])
    before = {name: column.copy() for name, column in given.items()}
    recommend_many(given)
    for name, column in given.items():
        np.testing.assert_array_equal(column, before[name])


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"workload__users": [150, 0]}, "workload.users in row 1 must be at least 1; got 0"),
        ({"host__ram": [4e9, 4e9, -1]}, "host.ram in row 2 must be greater than 0 B; got -1"),
        ({"host__ram": [4e9, np.nan]}, "host.ram in row 1 is missing (memory of the host, such as 4GiB)"),
        ({"host__reserved": [0, 8 * GIB]}, "host.reserved in row 1 must be less than ram, 4.00 GiB; got"),
        ({"host__cpus": [True, False]}, "host.cpus in row 0 must be a number; got True"),
        ({"host__ram": "4"}, "host.ram in row 0 wants a number and a unit, such as 64MiB; got '4'"),
        ({"policy__headroom": [1, 0.5]}, "policy.headroom in row 1 must be at least 1; got 0.5"),
        (
            {"policy__process_manager": ["auto", "best"]},
            "policy.process_manager in row 1 must be 'keep' or 'auto'; got",
        ),
        ({"workload__arrival_rate": [None, 3.0]}, "workload.arrival_rate in row 1 cannot be given together with users"),
        ({"workload__think_time": [1, np.nan]}, "workload.think_time in row 1 is missing (users make no load"),
        ({"pool__max_children": [None, 3]}, "pool.pm in row 1 is missing"),
        ({"pool__pm": ["", "dynamic"], "pool__max_children": 3}, "pool.pm in row 0 is missing"),
        ({"pool__pm": ["", "dynamic"], "pool__max_children": [None, 3]}, "pool.min_spare_servers in row 1 is missing"),
        ({"host__ram": [2**53 + 1]}, "host.ram in row 0 must be at most 8.00 PiB"),
        ({"host__cpus": np.array(["2026-01-01"], dtype="datetime64[D]")}, "host.cpus in row 0 must be a number; got"),
    ],
)
def test_a_row_is_refused_in_the_words_of_a_scenario(changes, text):
    assert text.replace("8.00 PiB", "") in refusal(table(**changes))


def test_every_wrong_field_of_the_first_refused_row_is_named():
    message = refusal(table(host__cpus=[4, 0, -1], worker__memory=[1e6, 0, 1e6]))
    assert [line.partition(" must")[0] for line in message.splitlines()] == [
        "host.cpus in row 1",
        "worker.memory in row 1",
    ]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (table(host__rma=1), "host.rma is not a known column (did you mean host.ram?)"),
        (table(ram=1), "ram is not a known column"),
        (CASE_STUDY | {3: 1}, "3 is not a known column"),
        (CASE_STUDY | {"sources.host.ram": 1}, "sources.host.ram is not a known column"),
        ({}, "host.ram is missing (memory of the host, such as 4GiB)"),
        (table(host__ram=[[4e9]]), "host.ram must be one value, or one a row; got shape (1, 1)"),
        (table(host__ram=[[4e9], [1, 2]]), "host.ram must be one value, or one a row; got rows of different lengths"),
        (
            table(host__ram=[4e9, 4e9], host__cpus=[1, 2, 3]),
            "host.ram must have 3 values, as the longest column has; got 2",
        ),
        (Scenario.example(), "table must be a mapping of names to columns, a structured array or a pandas DataFrame"),
        (np.zeros(3), "table must be a mapping"),
        (None, "table must be a mapping"),
    ],
)
def test_what_is_no_table_of_scenarios_is_refused(given, text):
    assert text in refusal(given)


def test_a_refused_table_is_refused_before_anything_is_computed(monkeypatch):
    monkeypatch.setattr(capacity.recommendation, "columns_of", None)
    assert "in row 4999" in refusal(table(workload__users=np.append(np.full(4999, 150), 0)))


def test_pandas_is_neither_needed_nor_imported():
    program = f"import sys, capacity; capacity.recommend_many({CASE_STUDY}); sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0


def test_a_data_frame_comes_back_as_one(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(table(workload__users=[100, 150, 200]), index=["a", "b", "c"])
    frame["pool.pm"] = pandas.Series(["static", None, "dynamic"], index=frame.index, dtype="string")
    frame["pool.max_children"] = pandas.Series([20, None, 30], index=frame.index, dtype="Int64")
    frame["pool.min_spare_servers"] = pandas.Series([None, None, 2], index=frame.index, dtype="Float64")
    frame["pool.max_spare_servers"] = [np.nan, np.nan, 6]
    result = recommend_many(frame)
    assert list(result.index) == ["a", "b", "c"]
    plain = recommend_many({name: frame[name].to_numpy(dtype=object, na_value=None) for name in frame})
    for name, column in plain.items():
        text = column.dtype.kind == "U"
        values = result[name].astype(object).where(result[name].notna(), "" if text else np.nan).to_numpy()
        np.testing.assert_array_equal(values.astype(column.dtype), column)
    assert result["prediction_1.verdict"].cat.ordered
    assert not set(frame) & set(result)  # so that they can be joined
    assert frame.join(result).shape == (3, frame.shape[1] + result.shape[1])
    assert len(recommend_many(frame.iloc[:0])) == 0


def test_a_data_frame_is_refused_like_any_table():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(table(workload__users=[100, 0]))
    assert "workload.users in row 1 must be at least 1; got 0" in refusal(frame)
    twice = pandas.concat([frame, frame[["host.ram"]]], axis=1)
    assert "host.ram is there twice" in refusal(twice)
    frame["host.cpus"] = pandas.Series([True, True], dtype="boolean")
    assert "host.cpus in row 0 must be a number; got True" in refusal(frame)


def peak_beyond_the_result(rows):
    given = {name: np.full(rows, float(value)) for name, value in CASE_STUDY.items()}
    given["workload.users"] = np.linspace(1, 300, rows).round()
    tracemalloc.start()
    try:
        result = recommend_many(given)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return peak - sum(column.nbytes for column in result.values())


def test_beside_its_result_a_table_takes_a_bounded_amount_of_memory():
    small, large = peak_beyond_the_result(20_000), peak_beyond_the_result(80_000)
    assert large < 1.1 * small + MIB
    assert large < 32 * MIB


def test_workers_that_share_cores_take_a_bounded_amount_of_memory_too():
    rows = 3000
    given = {name: np.full(rows, float(value)) for name, value in CASE_STUDY.items()}
    given |= {"host.ram": np.full(rows, 256.0 * GIB), "workload.users": np.linspace(1, 60, rows).round()}
    given["workload.cpu_time"] = np.full(rows, 0.24)
    given["host.cpus"] = np.full(rows, 32.0)
    tracemalloc.start()
    try:
        recommend_many(given)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 * MIB
