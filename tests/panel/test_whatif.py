from __future__ import annotations

import sys

import matplotlib as mpl
import pytest

import capacity
from capacity import InvalidInput, MissingExtra, Scenario, Workload, forecast, recommend
from capacity.panel.knobs import answer_to, knobs_of, turned

mpl.use("agg")

EXAMPLE = Scenario.example()
WORK = EXAMPLE.workload


def changed(**workload):
    return EXAMPLE.model_copy(update={"workload": WORK.model_copy(update=workload)})


SCENARIOS = {
    "case study": EXAMPLE,
    "cores": changed(cpu_time=0.06),
    "database": changed(database_time=0.2),
    "a bare rate": EXAMPLE.model_copy(update={"workload": Workload(service_time=0.25, arrival_rate=120)}),
    "no load": EXAMPLE.model_copy(update={"workload": Workload(service_time=0.25, think_time=1)}),
    "nothing but a service time": EXAMPLE.model_copy(update={"workload": Workload(service_time=0.25)}),
    "instant": EXAMPLE.model_copy(update={"workload": Workload(service_time=1e-6, users=1, think_time=1)}),
    "wide spread": changed(service_scv=9.0),
    "no pool": EXAMPLE.model_copy(update={"pool": None}),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_knobs_start_at_the_scenario_and_every_end_of_them_has_an_answer(name):
    scenario = SCENARIOS[name]
    knobs = knobs_of(scenario)
    start = {knob.name: knob.value * knob.scale for knob in knobs}
    assert start["service_time"] == pytest.approx(scenario.workload.service_time)
    assert start["memory"] == scenario.worker.memory
    for knob in knobs:
        assert knob.least <= knob.value <= knob.most
        assert 0 < knob.step <= knob.most
        for end in (knob.least, knob.most):
            answer = answer_to(scenario, start | {knob.name: end * knob.scale})
            assert all(answer.lines)


def test_an_answer_is_what_forecast_and_recommend_say():
    values = {"users": 90, "workers": 30, "service_time": 0.3, "cpu_time": 0.05, "memory": 80 << 20}
    answer = answer_to(EXAMPLE, values)
    scenario = turned(EXAMPLE, values)
    assert (scenario.workload.users, scenario.workload.service_time, scenario.workload.cpu_time) == (90, 0.3, 0.05)
    assert scenario.worker.memory == 80 << 20
    expected = forecast(scenario, pool=30, users=[90])
    assert answer.chosen.bands == expected.bands
    same = {"verdict", "utilization", "response_time", "response_time_p95", "slowdown"}
    assert answer.chosen.predictions[0].model_dump(include=same) == expected.predictions[0].model_dump(include=same)
    assert answer.recommended == recommend(scenario)


def test_users_take_the_place_of_a_rate():
    rated = changed(users=None, arrival_rate=100.0)
    work = turned(rated, {"users": 80}).workload
    assert (work.users, work.arrival_rate) == (80, None)


def test_cpu_time_ends_at_the_service_time_and_nothing_is_unknown():
    assert turned(SCENARIOS["cores"], {"service_time": 0.02}).workload.cpu_time == 0.02
    assert turned(SCENARIOS["cores"], {"cpu_time": 0.0}).workload.cpu_time is None
    assert turned(SCENARIOS["database"], {"service_time": 0.1}).workload.database_time == 0.1


def test_too_much_memory_is_said():
    assert any("too much" in line for line in answer_to(EXAMPLE, {"workers": 41, "users": 10}).lines)
    assert not any("too much" in line for line in answer_to(EXAMPLE, {"workers": 40, "users": 10}).lines)


def test_the_sliders_move_the_answer():
    panel = capacity.whatif()
    assert [*panel.sliders] == ["users", "workers", "service_time", "cpu_time", "memory"]
    first = panel._picture.value
    assert bytes(first).startswith(b"\x89PNG")
    panel.sliders["users"].value = 200
    assert panel.scenario.workload.users == 200
    assert panel.answer.chosen.predictions[0].verdict == "overloaded"
    assert "200 users on 40 workers: overloaded" in panel._words.value
    assert panel._picture.value != first
    panel.sliders["memory"].value = 32
    assert panel.answer.recommended.pool.max_children > 40


def test_a_page_that_runs_no_widgets_shows_the_moment():
    html = capacity.whatif(EXAMPLE)._repr_mimebundle_()["text/html"]
    assert "150 users on 40 workers: watch" in html
    assert 'src="data:image/png;base64,' in html


def test_no_figure_is_left_for_the_notebook_to_show():
    from matplotlib import pyplot as plt

    before = plt.get_fignums()
    capacity.whatif(EXAMPLE)
    assert plt.get_fignums() == before


def test_what_is_no_scenario_and_what_is_not_installed_are_said(monkeypatch):
    with pytest.raises(InvalidInput, match="scenario must be a Scenario"):
        capacity.whatif({"host": {}})
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(MissingExtra, match=r"whatif needs ipywidgets.*fpm-capacity\[notebook\]"):
        capacity.whatif()
