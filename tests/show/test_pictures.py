from __future__ import annotations

import sys

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex, to_rgb

from capacity import Forecast, InvalidInput, MissingExtra, Objective, Scenario, Workload, forecast, recommend
from capacity.show import canvas, users
from capacity.show.pictures import PICTURES
from tests.show.results import EXAMPLE, results
from tests.test_results import SCENARIOS

CASES = [(name, kind) for name, kinds in PICTURES.items() for kind in kinds if name != "Traffic"]


def lines(ax):
    return {line.get_label(): line for line in ax.get_lines() if not line.get_label().startswith("_")}


def texts(ax):
    return [text.get_text() for text in ax.texts]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_every_picture_is_drawn_on_given_axes_and_on_its_own(name, kind):
    _, ax = plt.subplots()
    assert results()[name].plot(kind, ax=ax) is ax
    assert results()[name].plot(kind) is not ax
    own = plt.gcf()
    own.canvas.draw()
    assert own.get_facecolor()[3] == 0
    assert own.axes[0].get_title(loc="left")


@pytest.mark.parametrize("name", sorted({name for name, _ in CASES}))
def test_the_first_kind_is_the_default(name):
    first = next(iter(PICTURES[name]))
    assert results()[name].plot().get_title(loc="left") == results()[name].plot(first).get_title(loc="left")


def test_a_style_of_ones_own_is_left_alone():
    before = dict(plt.rcParams)
    _, ax = plt.subplots()
    results()["Forecast"].plot(ax=ax)
    results()["Forecast"].plot()
    assert dict(plt.rcParams) == before
    assert to_hex(ax.xaxis.label.get_color()) == "#000000"


def contrast(one, other):
    def luminance(colour):
        parts = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in to_rgb(colour)]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("page", ["white", "black"])
def test_lines_and_text_stand_out_on_light_and_dark(page):
    for colour in (canvas.BLUE, canvas.RED, canvas.GREEN, canvas.PURPLE):
        assert contrast(colour, page) >= 2.9, colour
    assert contrast(canvas.GREY, page) >= 4.5


@pytest.mark.parametrize("model", ["open", "finite"])
def test_the_hockey_stick_is_what_forecast_says(model):
    result = forecast(EXAMPLE, pool=20, model=model, users=[40, 80, 90])
    curve = users.curve_of(EXAMPLE, 20, 239.0 if model == "finite" else 240.0, model=model)
    for prediction in forecast(EXAMPLE, pool=20, model=model, users=[10, 40, 80, 90, 95]).predictions:
        assert np.interp(prediction.users, curve.load, curve.p95) == pytest.approx(
            prediction.response_time_p95, rel=0.02
        )
        assert np.interp(prediction.users, curve.load, curve.mean) == pytest.approx(prediction.response_time, rel=0.02)
    drawn = lines(result.plot())
    assert drawn["mean"].get_ydata()[0] == pytest.approx(0.25, rel=1e-3)
    assert (drawn["95 of 100 are faster"].get_ydata() >= drawn["mean"].get_ydata()).all()


def test_the_most_users_of_each_verdict_are_marked():
    ax = recommend(EXAMPLE).plot()
    assert ax.get_xticks().tolist() == [0, 90, 140, 170]
    assert [text for text in texts(ax) if text] == ["comfortable", "manageable", "watch", "overloaded"]
    assert "95 of 100, with today's 20 workers" in lines(ax)


def test_a_result_from_json_shows_its_points():
    result = forecast(EXAMPLE, pool=40)
    back = Forecast.model_validate_json(result.to_json())
    drawn = lines(back.plot())
    assert drawn["mean"].get_xdata().tolist() == [50, 80, 100, 150, 200]


def test_a_wide_spread_shows_what_was_simulated():
    wide = EXAMPLE.model_copy(update={"workload": EXAMPLE.workload.model_copy(update={"service_scv": 6.0})})
    result = forecast(wide, pool=40, users=[100, 150])
    drawn = lines(result.plot())
    assert drawn["mean"].get_ydata().tolist() == [p.response_time for p in result.predictions]


def test_a_bare_rate_is_drawn_over_requests():
    ax = recommend(EXAMPLE.model_copy(update={"workload": Workload(service_time=0.25, arrival_rate=120)})).plot()
    assert ax.get_xlabel() == "requests a second"
    assert ax.get_xlim()[1] >= 160  # 40 workers of 250 ms


def test_the_objective_is_a_line():
    ax = recommend(EXAMPLE.model_copy(update={"objective": Objective(response_time=0.9)})).plot()
    assert "objective: 95 of 100 within 900 ms" in texts(ax)
    assert ax.get_ylim()[1] > 0.9


def test_bands_of_predictions_are_drawn_where_there_are_any():
    result = forecast(EXAMPLE, pool=40, users=[150, 180], window=60.0)
    drawn = [line.get_segments()[0].tolist() for line in result.plot().collections]
    for prediction in result.predictions:
        for band in (prediction.band.response_time, prediction.band.response_time_p95):
            assert [[prediction.users, band.low], [prediction.users, band.high]] in drawn


def test_without_a_load_there_is_nothing_to_draw():
    idle = recommend(EXAMPLE.model_copy(update={"workload": Workload(service_time=0.25)}))
    with pytest.raises(InvalidInput, match="predictions are none"):
        idle.plot()


def test_before_and_after_say_how_many_users():
    ax = recommend(EXAMPLE).plot("before_after")
    assert texts(ax) == ["90", "140", "170", "45", "70", "85", "expected: 150"]
    widths = [bar.get_x() + bar.get_width() for bar in ax.patches]
    assert widths[:3] == [90, 140, 170]


def test_numbers_that_would_lie_on_each_other_are_left_out():
    assert users._apart([0, 29520, 45920, 46000], 70_000) == [0, 29520, 45920]
    tables = EXAMPLE.to_mapping()
    full = Scenario.from_mapping({**tables, "workload": {**tables["workload"], "cpu_time": 0.2}})
    ax = recommend(full).plot("before_after")
    assert [text for text in texts(ax) if text.isdigit()] == ["11", "21", "11", "21"]
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["comfortable", "manageable", "watch", "overloaded"]


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_is_shown(name):
    result = recommend(SCENARIOS[name])
    assert result._repr_html_().count("<table") >= 2
    assert len(result.to_dataframe("limits")) == 5
    assert result.plot("limits").patches
    if result.predictions:
        ax = result.plot()
        assert 0 < ax.get_ylim()[1] < float("inf")
        drawn = lines(ax)["95 of 100 are faster"].get_ydata()
        assert np.isfinite(drawn).all()


def test_there_is_no_before_without_a_pool():
    with pytest.raises(InvalidInput, match="there is no before"):
        recommend(EXAMPLE.model_copy(update={"pool": None})).plot("before_after")


def test_the_binding_limit_is_marked():
    ax = recommend(EXAMPLE).plot("limits")
    bars = dict(zip([tick.get_text() for tick in ax.get_yticklabels()], ax.patches, strict=True))
    assert bars["memory"].get_width() == 40
    assert to_hex(bars["memory"].get_facecolor()) == canvas.RED
    assert to_hex(bars["demand"].get_facecolor()) == canvas.BLUE
    assert texts(ax) == ["47", "40 binds", "max_children 40"]


def test_a_limit_far_away_is_broken_off():
    tables = EXAMPLE.to_mapping()
    roomy = Scenario.from_mapping({**tables, "host": {"ram": "256GiB", "reserved": 0, "cpus": 64}})
    ax = recommend(roomy).plot("limits")
    assert "4096 →" in texts(ax)
    assert max(bar.get_width() for bar in ax.patches) == 3 * 47


def test_a_step_shows_the_workers_of_each_pool():
    rush = results()["StepForecast"]
    drawn = lines(rush.plot())
    assert len(drawn) == len(rush.outcomes)
    first = next(iter(drawn.values()))
    assert first.get_ydata().tolist() == list(rush.outcomes[0].workers)


def test_a_result_without_a_step_says_how_to_get_one():
    with pytest.raises(InvalidInput, match=r"step=\(50, 150\)"):
        forecast(EXAMPLE).plot("step")


def test_a_comparison_marks_what_is_beyond():
    ax = results()["Comparison"].plot()
    assert any(text.endswith(", beyond") for text in texts(ax))
    (beyond,) = [line for line in ax.get_lines() if line.get_marker() == "D"]
    busy = results()["Comparison"].deviations[-1]
    assert beyond.get_xdata()[0] == pytest.approx(busy.measured / busy.predicted)


def test_a_tornado_has_the_answers_at_both_ends_of_each_input():
    told = results()["Sensitivity"]
    ax = told.plot()
    names = [tick.get_text() for tick in ax.get_yticklabels()]
    widths = {}
    for bar in ax.patches:
        assert told.answer.users in (bar.get_x(), bar.get_x() + bar.get_width())
        widths.setdefault(names[round(bar.get_y() + bar.get_height() / 2)], []).append(bar.get_width())
    assert widths["host.ram"] == [
        told.input("host.ram").at_low.users - told.answer.users,
        told.input("host.ram").at_high.users - told.answer.users,
    ]
    spans = [sum(map(abs, widths[name])) for name in names]
    assert spans == sorted(spans)
    assert "host.cpus" not in names  # it changes nothing there
    assert told.plot("workers").get_xlabel() == "workers recommended"


def test_levers_are_shown_with_the_users_they_get_to():
    told = results()["LeverComparison"]
    ax = told.plot()
    bars = dict(zip([tick.get_text() for tick in ax.get_yticklabels()], ax.patches, strict=True))
    assert bars["page cache"].get_width() == told.lever("page_cache").users
    assert to_hex(bars["page cache"].get_facecolor()) == canvas.GREEN
    assert to_hex(bars["more cores"].get_facecolor()) == canvas.BLUE
    assert "228 reaches it" in texts(ax)
    assert "204 at best" in texts(ax)


def test_a_replay_shows_the_workers_of_each_hour():
    replayed = results()["Replay"]
    ax = replayed.plot()
    stairs = {patch.get_label(): patch for patch in ax.patches if not patch.get_label().startswith("_")}
    assert [*stairs] == ["1 worker", "3 workers", "4 workers", "9 workers"]
    pool = replayed.pool(9)
    values, edges, _ = stairs["9 workers"].get_data()
    assert values.tolist() == [p.utilization * 9 + p.queue_length for p in pool.periods]
    assert edges[0] * 86400 == pytest.approx(pool.periods[0].start)


def test_what_has_no_picture_and_no_such_kind_are_refused():
    with pytest.raises(InvalidInput, match="UserBand has no picture"):
        results()["UserBand"].plot()
    with pytest.raises(InvalidInput, match="kind must be one of users, step; got 'user'"):
        results()["Forecast"].plot("user")
    with pytest.raises(InvalidInput, match="ax must be matplotlib's Axes"):
        results()["Forecast"].plot(ax=3)


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(MissingExtra, match=r"plot needs matplotlib.*fpm-capacity\[plot\]"):
        recommend(EXAMPLE).plot()
