from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from capacity import Scenario, Workload, forecast, recommend
from capacity.results import Assumption
from capacity.show.canvas import VERDICTS
from tests.show.results import EXAMPLE, NAMES, results


class Cells(HTMLParser):
    """Text of every cell, and whether every element is closed."""

    def __init__(self, html):
        super().__init__()
        self.open, self.rows, self.tags, self.style = [], [], [], []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        self.tags.append(tag)
        self.style.append(dict(attributes).get("style", ""))
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


@pytest.mark.parametrize("name", NAMES)
def test_every_result_is_well_formed_html_that_takes_the_colours_of_its_page(name):
    html = results()[name]._repr_html_()
    cells = Cells(html)
    assert len(cells.rows) >= 2
    assert not {"script", "style", "link", "img"} & set(cells.tags)
    colours = re.findall(r"(?:^|;|-)(?:color|background):([^;]*)", ";".join(cells.style))
    assert set(colours) - {"inherit", "none"} <= set(VERDICTS.values())


@pytest.mark.parametrize("name", NAMES)
def test_every_result_is_one_line(name):
    assert "\n" not in repr(results()[name])
    assert str(results()[name]) == repr(results()[name])


def test_what_others_wrote_is_escaped():
    evil = '<script>alert("x")</script>&'
    html = Assumption(field=evil, value=evil, source=evil)._repr_html_()
    assert "<script" not in html
    assert html.count("&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;&amp;") == 3
    assert Cells(html).rows[1] == [evil, evil, evil]


def test_a_recommendation_shows_today_beside_it_and_what_limits():
    rows = Cells(recommend(EXAMPLE)._repr_html_()).rows
    assert ["max_children", "20", "40"] in rows
    assert ["setting", "today", "recommended"] in rows
    assert ["■ comfortable", "90"] in rows
    assert next(row for row in rows if row[0] == "memory")[1:3] == ["40", "yes"]


def test_figures_are_written_in_peoples_units_and_no_value_is_not_a_number():
    rows = Cells(forecast(EXAMPLE, pool=40, users=[150, 200])._repr_html_()).rows
    assert rows[1][:4] == ["150", "120/s", "■ watch", "75 %"]
    assert rows[1][-2:] == ["750 ms", "0.55 %"]
    assert rows[2][-2:] == ["endless", "endless"]


def test_without_users_the_line_ends_with_what_binds():
    rated = EXAMPLE.model_copy(update={"workload": Workload(service_time=0.25, arrival_rate=120)})
    assert repr(recommend(rated)) == "<Recommendation: 40 workers (memory binds)>"


def test_a_pool_of_no_scenario_has_no_today():
    rows = Cells(recommend(EXAMPLE.model_copy(update={"pool": None}))._repr_html_()).rows
    assert rows[0] == ["setting", "recommended"]


def test_losses_are_shown_where_there_are_any():
    assert "refused (502)" not in forecast(EXAMPLE, pool=40)._repr_html_()
    tables = EXAMPLE.to_mapping()
    short = Scenario.from_mapping({**tables, "pool": {"pm": "static", "max_children": 20, "listen_backlog": 20}})
    assert "refused (502)" in forecast(short, users=[300])._repr_html_()


def test_a_long_table_ends_and_says_so():
    html = forecast(EXAMPLE, pool=40, users=range(1, 121))._repr_html_()
    assert "predictions (the first 50 of 120)" in html
    assert len([row for row in Cells(html).rows if row[0].isdigit()]) == 50
