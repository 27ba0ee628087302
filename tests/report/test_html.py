"""The HTML and the Markdown report: everything is in them, text is escaped, and nothing overflows at any width."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from capacity import Scenario, recommend
from capacity.fpm.directives import SIZING
from capacity.report.curve import curves
from capacity.report.document import MARKDOWN_MARK, recommendation_markdown
from capacity.report.html import HTML_MARK, recommendation_html
from capacity.report.markup import element
from capacity.report.wording import wording
from capacity.results import Assumption
from capacity.scenario import CASE_STUDY
from tests.browser import LAPTOP, WIDTHS, Browser

EXAMPLE = Scenario.example()
RESULT = recommend(EXAMPLE)
BUSY = Scenario.from_mapping(
    {
        **CASE_STUDY,
        "host": {**CASE_STUDY["host"], "database_connections": 30},
        "workload": {**CASE_STUDY["workload"], "cpu_time": "10ms", "database_time": "100ms", "service_scv": 2},
    }
)
LARGE = Scenario.from_mapping(
    {
        **CASE_STUDY,
        "host": {"ram": "1TiB", "reserved": "1.5GiB", "cpus": 64},
        "workload": {**CASE_STUDY["workload"], "users": 10**6},
    }
)
RATE = Scenario.from_mapping({**CASE_STUDY, "workload": {"service_time": "250ms", "arrival_rate": "1000/s"}})
VOID = {"meta", "line", "rect", "polyline", "wbr"}


class Nested(HTMLParser):
    """Text of a page, and whether what it opens is closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        assert tag in VOID

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += data


@pytest.mark.parametrize("scenario", [EXAMPLE, BUSY, LARGE, RATE], ids=["example", "busy", "large", "rate"])
@pytest.mark.parametrize("language", ["en", "es"])
def test_a_report_is_well_formed_and_needs_nothing_else(scenario: Scenario, language: str) -> None:
    page = recommendation_html(recommend(scenario), scenario, language=language)
    assert page.startswith(HTML_MARK)
    assert Nested(page).open == []
    assert not re.search(r"""https?:|src=|<link|<script|@import|url\(""", page)
    assert f'lang="{language}"' in page
    assert not {"inf", "nan", "None", "null"} & set(re.findall(r"[A-Za-z]+", Nested(page).text))


def test_everything_a_recommendation_says_is_in_both_reports() -> None:
    html = Nested(recommendation_html(RESULT, EXAMPLE)).text.replace("\u00a0", " ")
    markdown = re.sub(r"\\(.)", r"\1", recommendation_markdown(RESULT, EXAMPLE)).replace("&lt;", "<")
    sentences = [limit.reason for limit in RESULT.limits] + [choice.reason for choice in RESULT.choices]
    sentences += [*RESULT.cautions, *RESULT.next_steps, RESULT.more_workers_reason]
    sentences += [rule.ignores for rule in RESULT.rules_of_thumb]
    for text in (html, markdown):
        assert [sentence for sentence in sentences if sentence[1:] not in text] == []
        for directive in SIZING:
            value = getattr(RESULT.pool, directive.field)
            assert value is None or directive.name in text
        for band, before in zip(RESULT.bands, RESULT.current_bands, strict=True):
            assert str(band.users) in text
            assert str(before.users) in text
        for field in ("host.ram", "workload.service_time", "policy.headroom"):
            assert field in text
    assert f"| comfortable | {RESULT.current_bands[0].users} | {RESULT.bands[0].users} |" in markdown
    assert "| `pm.max_children` | 20 | 40 |" in markdown
    assert markdown.startswith(MARKDOWN_MARK)


def test_an_infeasible_recommendation_says_so_at_the_top() -> None:
    crowded = Scenario.from_mapping({**CASE_STUDY, "workload": {**CASE_STUDY["workload"], "users": 300}})
    result = recommend(crowded)
    page = recommendation_html(result, crowded)
    assert 'class="headline infeasible"' in page
    assert f"INFEASIBLE: {result.needed} workers meet the objective, {result.shortfall} more" in page
    assert "infeasible" not in recommendation_html(RESULT, EXAMPLE).partition("<h2")[0].partition("</style>")[2]


def test_where_a_value_comes_from_stands_beside_it() -> None:
    stated = RESULT.with_assumptions((Assumption(field="host.ram", value=2.0**32, source="weighed by <hand>"),))
    page = recommendation_html(stated, EXAMPLE)
    assert "“weighed by &lt;hand&gt;”" in page
    assert "<hand>" not in page
    rows = dict(re.findall(r"\| `([a-z_.]+)` \| .*\| (.*) \|", recommendation_markdown(RESULT, EXAMPLE)))
    assert (rows["host.ram"], rows["policy.headroom"]) == ("given", "default")


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '"><img src=x>', "a|b", "`c`"])
def test_the_name_of_a_pool_cannot_change_the_report(name: str) -> None:
    page = recommendation_html(RESULT, EXAMPLE, pool=name)
    assert Nested(page).open == []
    assert name in Nested(page).text
    assert "<script" not in page
    assert "<img" not in page


def test_an_element_escapes_its_text_and_its_attributes() -> None:
    assert element("p", "a < b & c", element("b", "</p>"), title='"x"') == (
        '<p title="&quot;x&quot;">a &lt; b &amp; c<b>&lt;/p&gt;</b></p>'
    )


def test_the_curve_is_what_the_recommendation_predicts_and_ends_where_it_is_endless() -> None:
    new, today = curves(EXAMPLE, RESULT)
    for curve, predictions in ((new, RESULT.predictions), (today, RESULT.current_predictions)):
        known = dict(zip(curve.users, curve.response_time, strict=True))
        late = dict(zip(curve.users, curve.response_time_p95, strict=True))
        for p in predictions:
            if p.users in known:
                assert (known[p.users], late[p.users]) == (p.response_time, p.response_time_p95)
        assert list(curve.users) == sorted(set(curve.users))
        assert list(curve.response_time) == sorted(curve.response_time)
        assert (
            curve.users[-1] + 1 == curve.endless == curve.workers / 0.2
        )  # 0.2 erlang a user: there the queue has no end
    assert curves(RATE, recommend(RATE)) == ()


def test_nothing_overflows_on_a_phone_a_tablet_a_laptop_and_paper(browser: Browser) -> None:
    rush = Scenario.from_mapping({**CASE_STUDY, "policy": {"process_manager": "auto"}})
    pages = {
        "example": recommendation_html(RESULT, EXAMPLE),
        "ejemplo": recommendation_html(recommend(rush, step=(5, 60)), rush, language="es", pool="www"),
        "busy": recommendation_html(recommend(BUSY), BUSY, language="es"),
        "large": recommendation_html(recommend(LARGE), LARGE, language="es"),
        "rate": recommendation_html(recommend(RATE), RATE),
    }
    pages["wide"] = pages["rate"].replace("<h2>Settings", '<div style="width:1300px">too wide</div><h2>Settings')
    found = browser.overflows(pages)
    assert {name for name in found if name.startswith("wide ")} == {f"wide {width}" for width in WIDTHS}
    assert {name: out for name, out in found.items() if not name.startswith("wide ")} == {}


def test_the_report_can_be_looked_at_and_printed(browser: Browser) -> None:
    page = recommendation_html(RESULT, EXAMPLE, language="es")
    picture = browser.picture(page, LAPTOP)
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 30_000  # an empty page takes a tenth of it
    paper = browser.paper(page)
    assert paper.startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", paper)) <= 8


def test_every_verdict_has_its_colour_and_its_word() -> None:
    say = wording("es")
    page = recommendation_html(RESULT, EXAMPLE, language="es")
    for verdict in ("comfortable", "manageable", "watch", "overloaded"):
        assert f'class="badge {verdict}">{say(verdict)}<' in page
        assert f'class="region {verdict}"' in page
