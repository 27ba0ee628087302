"""Tables as a reader sees them: what stands in them, in colour and without."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from capacity import Scenario, forecast, recommend
from capacity.report.conf import recommendation_conf
from capacity.report.text import forecast_text, recommendation_text
from capacity.results import Recommendation
from capacity.scenario import CASE_STUDY


def shown(result: object, *, width: int = 110, terminal: bool = False) -> str:
    stream = io.StringIO()
    console = Console(
        file=stream,
        width=width,
        highlight=False,
        force_terminal=terminal,
        color_system="standard" if terminal else None,
        legacy_windows=False,
    )
    build = recommendation_text if isinstance(result, Recommendation) else forecast_text
    console.print(build(result, console))  # type: ignore[operator]
    return stream.getvalue()


def scenario(**tables: dict[str, object]) -> Scenario:
    """The case study with some fields changed; None takes one out."""
    merged = {name: {**table, **tables.get(name, {})} for name, table in ({"policy": {}, **CASE_STUDY}).items()}
    kept = {name: {key: value for key, value in table.items() if value is not None} for name, table in merged.items()}
    return Scenario.from_mapping({name: table for name, table in kept.items() if table} | _others(tables))


def _others(tables: dict[str, dict[str, object]]) -> dict[str, dict[str, object]]:
    return {name: table for name, table in tables.items() if name not in CASE_STUDY and name != "policy"}


def row(text: str, first: str) -> list[str]:
    """Cells of the line whose first cell is this."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return next(line for line in cells if line[0] == first)


ONE_SPARE = {"start_servers": 1, "min_spare_servers": 1, "max_spare_servers": 1}
EXAMPLE = recommend(Scenario.example())


def test_the_first_line_says_how_many_workers_and_what_decides() -> None:
    first = shown(EXAMPLE).splitlines()[0]
    assert first.startswith("40 workers: memory binds")
    assert f"{EXAMPLE.needed} meet the objective" in first
    assert f"{EXAMPLE.wanted} with headroom" in first


def test_one_worker_is_not_workers() -> None:
    lone = recommend(scenario(workload={"users": 1, "think_time": "60s"}, pool={"max_children": 1, **ONE_SPARE}))
    text = shown(lone)
    assert text.startswith("1 worker: the demand decides")
    assert "today (1 worker)" in text
    assert "With 1 worker\n" in re.sub(" +\n", "\n", text)
    assert recommendation_conf(lone).startswith("; 1 worker: ")


def test_where_demand_decides_the_first_line_says_so() -> None:
    first = shown(recommend(scenario(workload={"users": 30}))).splitlines()[0]
    assert "the demand decides" in first


def test_today_stands_beside_the_recommendation() -> None:
    text = shown(EXAMPLE)
    assert row(text, "setting") == ["setting", "today", "recommended"]
    assert row(text, "pm.max_children") == ["pm.max_children", "20", "40"]
    assert row(text, "pm.start_servers") == ["pm.start_servers", "4", "8"]
    assert row(text, "pm.min_spare_servers") == ["pm.min_spare_servers", "2", "4"]
    assert row(text, "pm.max_spare_servers") == ["pm.max_spare_servers", "6", "16"]
    assert row(text, "verdict") == ["verdict", "today (20 workers)", "recommended (40)"]
    for band, before in zip(EXAMPLE.bands, EXAMPLE.current_bands, strict=True):
        assert row(text, band.verdict) == [band.verdict, str(before.users), str(band.users)]


def test_without_a_pool_of_today_there_is_no_column_for_it() -> None:
    tables = {name: table for name, table in CASE_STUDY.items() if name != "pool"}
    text = shown(recommend(Scenario.from_mapping(tables)))
    assert row(text, "setting") == ["setting", "recommended"]
    assert "today (" not in text


@pytest.mark.parametrize("pm", ["static", "ondemand"])
def test_settings_that_nobody_has_are_no_rows(pm: str) -> None:
    pool = {"pm": pm, "start_servers": None, "min_spare_servers": None, "max_spare_servers": None}
    text = shown(recommend(scenario(pool=pool)))
    assert row(text, "pm") == ["pm", pm, pm]
    assert "pm.start_servers" not in text
    assert "spare_servers" not in text


def test_every_prediction_limit_rule_and_caution_is_shown() -> None:
    text = shown(EXAMPLE)
    flat = re.sub(r"\s+", " ", text)
    for prediction in EXAMPLE.predictions:
        cells = row(text, str(prediction.users))
        assert cells[2] == prediction.verdict
    for limit in EXAMPLE.limits:
        assert row(text, f"{limit.name} (binds)" if limit.binding else limit.name)
    for rule in EXAMPLE.rules_of_thumb:
        assert row(text, rule.name)
    for sentence in (*EXAMPLE.cautions, *EXAMPLE.next_steps, EXAMPLE.more_workers_reason):
        assert sentence in flat


def test_what_has_no_end_is_called_endless_and_never_inf_or_none() -> None:
    text = shown(EXAMPLE)
    assert row(text, "200")[-3:] == ["endless", "endless", "endless"]
    words = set(re.findall(r"[A-Za-z]+", text))
    assert not {"inf", "nan", "None", "null", "Infinity"} & words


def test_busy_cores_and_database_are_columns_only_where_they_are_known() -> None:
    assert "cores busy" not in shown(EXAMPLE)
    known = scenario(
        host={"database_connections": 50}, workload={"cpu_time": "10ms", "database_time": "50ms", "users": 50}
    )
    text = shown(recommend(known), width=160)
    assert "cores busy" in text
    assert "database busy" in text


def test_an_infeasible_recommendation_begins_with_that_word_and_the_shortfall() -> None:
    result = recommend(scenario(workload={"users": 300}))
    assert not result.feasible
    first = " ".join(shown(result).splitlines()[:2])
    assert first.startswith("INFEASIBLE")
    assert f"{result.shortfall} more than the host can carry" in first
    impossible = recommend(scenario(workload={"cpu_time": "200ms"}))
    assert impossible.shortfall is None
    assert "no number of workers meets the objective" in shown(impossible).splitlines()[0]


def test_a_bare_request_rate_is_predicted_without_users() -> None:
    bare = scenario(workload={"users": None, "think_time": None, "arrival_rate": "120/s"})
    text = shown(recommend(bare))
    assert "Most users" not in text
    assert row(text, "-")[1] == "120/s"


def test_a_forecast_shows_its_pool_its_model_and_every_number_of_users() -> None:
    result = forecast(Scenario.example(), pool=40, users=[80, 150, 200], model="finite")
    text = shown(result)
    assert text.splitlines()[0].rstrip() == "40 workers, finite model: what numbers of users do to the pool"
    assert [row(text, str(users))[2] for users in (80, 150, 200)] == ["comfortable", "watch", "overloaded"]
    for band in result.bands:
        assert row(text, band.verdict) == [band.verdict, str(band.users)]


def test_a_terminal_gets_colours_and_each_verdict_its_own() -> None:
    text = shown(EXAMPLE, terminal=True)
    codes = {
        verdict: next(iter(re.findall(rf"\x1b\[([0-9;]+)m{verdict}", text)))
        for verdict in ("comfortable", "manageable", "watch", "overloaded")
    }
    assert len(set(codes.values())) == 4
    assert "\x1b" not in shown(EXAMPLE)


@pytest.mark.parametrize("width", [80, 110, 200])
def test_every_line_fits_and_no_word_is_cut_off(width: int) -> None:
    crowded = scenario(
        host={"database_connections": 50}, workload={"cpu_time": "10ms", "database_time": "50ms", "users": 10**9}
    )
    for result in (EXAMPLE, recommend(crowded)):
        text = shown(result, width=width)
        assert all(len(line) <= width for line in text.splitlines())
        assert "…" not in text
        for name in ("max_children", "comfortable", "overloaded", "visitors formula", "RAM division"):
            assert name in text


def test_piped_text_is_plain_ascii() -> None:
    for result in (EXAMPLE, forecast(Scenario.example()), recommend(scenario(workload={"users": 300}))):
        assert shown(result).isascii()


def test_markup_in_a_sentence_is_shown_and_not_obeyed() -> None:
    result = EXAMPLE.model_copy(update={"cautions": ("goes into [global], [bold]not[/bold] into [www]",)})
    assert "goes into [global], [bold]not[/bold] into [www]" in shown(result)


def test_bands_are_a_table_of_their_own_and_say_their_window() -> None:
    text = shown(forecast(Scenario.example(), pool=40, users=[50, 180], window=5400))
    assert "Where 90 of 100 windows of 90 min lie" in text
    assert "Where 90 of 100 windows of 1 min lie" in shown(
        forecast(Scenario.example(), pool=40, users=[180], window=60)
    )
    (band,) = (p.band for p in forecast(Scenario.example(), pool=40, users=[180], window=5400).predictions)
    assert band is not None
    cells = text.partition("Where 90")[2]
    assert band.response_time is not None
    assert f"{band.response_time.low * 1000:.0f} to {band.response_time.high * 1000:.0f} ms" in cells
    assert "Where 90" not in shown(forecast(Scenario.example(), pool=40, users=[50]))


def test_an_unknown_interval_is_a_dash_and_one_without_bound_endless() -> None:
    (known,) = forecast(Scenario.example(), pool=40, users=[180]).predictions
    assert known.band is not None
    endless = known.band.waiting_time.model_copy(update={"high": None})
    band = known.band.model_copy(update={"waiting_time": endless, "response_time_p95": None})
    result = forecast(Scenario.example(), pool=40, users=[180])
    text = shown(result.model_copy(update={"predictions": (known.model_copy(update={"band": band}),)}))
    cells = row(text.partition("Where 90")[2], "180")
    assert cells[-1] == "-"
    assert cells[3].endswith("ms to endless")
