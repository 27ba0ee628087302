from __future__ import annotations

import sys

import numpy as np
import pytest

from capacity import InvalidInput, MissingExtra, forecast, recommend
from tests.show.results import EXAMPLE, NAMES, results


@pytest.mark.parametrize("name", NAMES)
def test_every_result_makes_a_frame(name):
    frame = results()[name].to_dataframe()
    assert len(frame) >= 1
    assert all(isinstance(column, str) for column in frame)


def test_a_forecast_is_its_predictions_in_si():
    result = forecast(EXAMPLE, pool=40)
    frame = result.to_dataframe()
    assert frame["users"].tolist() == [50, 80, 100, 150, 200]
    assert frame["response_time_p95"].tolist()[:4] == [p.response_time_p95 for p in result.predictions[:4]]
    assert np.isnan(frame["response_time_p95"][4])
    assert frame["cpu_utilization"].dtype == np.float64


def test_parts_are_frames_too():
    result = recommend(EXAMPLE)
    assert result.to_dataframe("limits")["name"].tolist() == [limit.name for limit in result.limits]
    assert result.to_dataframe("bands")["users"].tolist() == [90, 140, 170]
    assert result.to_dataframe().equals(result.to_dataframe("predictions"))


def test_settings_within_a_row_are_columns():
    frame = results()["StepForecast"].to_dataframe()
    assert frame["pool.max_children"].tolist() == [40] * 4
    assert frame["workers"][0][0] == results()["StepForecast"].outcomes[0].workers[0]


def test_tables_within_a_row_are_left_out():
    assert "periods" not in results()["Replay"].to_dataframe()
    assert len(results()["ReplayedPool"].to_dataframe()) == len(results()["ReplayedPool"].periods)


@pytest.mark.parametrize(("part", "hint"), [("limit", "did you mean limits"), (3, "tables: "), ("cautions", "")])
def test_what_is_no_table_is_refused(part, hint):
    with pytest.raises(InvalidInput, match=f"part is no table of this result.*{hint}"):
        recommend(EXAMPLE).to_dataframe(part)


def test_without_pandas_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtra, match=r"to_dataframe needs pandas.*fpm-capacity\[table\]"):
        recommend(EXAMPLE).to_dataframe()
