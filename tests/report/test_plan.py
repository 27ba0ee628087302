"""A change plan as its reviewer sees it: what is told, in which order, and that no plan can break the page."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.console import Console

from capacity import Scenario, recommend
from capacity.plan.application import inspect_application
from capacity.plan.builder import build_plan
from capacity.plan.installation import inspect_installation
from capacity.plan.model import ChangePlan, read_plan
from capacity.plan.steps import SetDirective
from capacity.report.plan import plan_markdown, plan_text
from capacity.scenario import CASE_STUDY

POOL = """\
[app]
user = www-data
listen = /run/app.sock
pm = dynamic
pm.max_children = 20
pm.start_servers = 4
pm.min_spare_servers = 2
pm.max_spare_servers = 6
"""
AS_RECOMMENDED = """\
[app]
user = www-data
listen = /run/app.sock
pm = dynamic
pm.max_children = 40
pm.start_servers = 8
pm.min_spare_servers = 4
pm.max_spare_servers = 16
pm.max_requests = 1000
"""
ENV = "APP_KEY=secret\nSESSION_DRIVER=database\nCACHE_DRIVER=redis\nREDIS_HOST=127.0.0.1\n"
MADE = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def scenario(**tables: dict[str, Any]) -> Scenario:
    """The case study with some fields changed; None takes one out."""
    merged = {name: {**table, **tables.get(name, {})} for name, table in {"policy": {}, **CASE_STUDY}.items()}
    kept = {name: {key: value for key, value in table.items() if value is not None} for name, table in merged.items()}
    return Scenario.from_mapping({name: table for name, table in kept.items() if table})


def made(
    folder: Path, case: Scenario | None = None, *, pool: str = POOL, env: str | None = ENV, **options: Any
) -> ChangePlan:
    """Plan of the case study, or of another, for files in `folder`."""
    folder.mkdir(exist_ok=True)
    case = case or Scenario.example()
    (folder / "app.conf").write_text(pool)
    application = None
    if env is not None:
        (folder / ".env").write_text(env)
        application = inspect_application(str(folder / ".env"))
    installation = inspect_installation(str(folder / "app.conf"), "app")
    return build_plan(case, recommend(case), installation, application, created_at=MADE, **options)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> ChangePlan:
    folder = tmp_path_factory.mktemp("host")
    (folder / "artisan").touch()
    return made(folder, url="http://127.0.0.1/health")


def changed(plan: ChangePlan, **fields: Any) -> ChangePlan:
    """The plan with some fields replaced, as somebody who writes plans by hand would seal it."""
    kept = {name: getattr(plan, name) for name in ChangePlan.model_fields if name != "plan_id"}
    return ChangePlan.sealed(**{**kept, **fields})


def text(plan: ChangePlan, *, width: int = 80, terminal: bool = False) -> str:
    stream = io.StringIO()
    colours = "standard" if terminal else None
    console = Console(
        file=stream, width=width, highlight=False, force_terminal=terminal, color_system=colours, legacy_windows=False
    )  # type: ignore[arg-type]
    console.print(plan_text(plan, console))
    return stream.getvalue()


def tokens(document: str) -> list[Token]:
    """How a reader of CommonMark with tables and strikethrough, which knows HTML, takes a document."""
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(document)


def plain(token: Token) -> str:
    assert {child.type for child in token.children or ()} <= {"text", "text_special", "code_inline"}
    return "".join(child.content for child in token.children or ())


def sections(document: str) -> dict[str, list[str]]:
    """Text of every list item, table cell and paragraph by heading."""
    found: dict[str, list[str]] = {}
    before = ""
    for token in tokens(document):
        if token.type == "inline" and before == "heading_open":
            found[plain(token)] = []
        elif token.type == "inline":
            found[list(found)[-1]].append(plain(token))
        before = token.type
    return found


def rows(plan: ChangePlan, title: str, columns: int) -> list[list[str]]:
    cells = sections(plan_markdown(plan))[title]
    return [cells[at : at + columns] for at in range(0, len(cells) - len(cells) % columns, columns)]


def flat(plan: ChangePlan) -> str:
    """The text form as one line, its frames left out."""
    return " ".join(re.sub(r"[|+]|-{3,}", " ", text(plan, width=2000)).split())


def sentences(plan: ChangePlan) -> list[str]:
    """All free text of a plan that a reviewer must see."""
    expected = plan.prediction
    reasons = [step.reason for step in (*plan.steps, *plan.rollback)]
    said = [*expected.cautions, *expected.next_steps, *plan.notes, *(risk.message for risk in plan.risks), *reasons]
    return [*said, expected.binding_reason, expected.more_workers_reason]


# --- what is told


def test_the_order_is_that_of_a_reviewers_questions(plan: ChangePlan) -> None:
    assert list(sections(plan_markdown(plan))) == [
        "Change plan for pool app",
        "Settings",
        "Most users",
        "What numbers of users do to the pool",
        "Why",
        "What may go wrong, the worst first",
        "Only if, on the host",
        "What is done, in this order",
        "How it is undone, in this order",
        "What was left alone",
        "What more users would take",
        "Keep in mind",
        "In short",
    ]


def test_text_and_markdown_have_the_same_parts(plan: ChangePlan) -> None:
    lines = [line.rstrip() for line in text(plan).splitlines()]
    places = [lines.index(title) for title in sections(plan_markdown(plan))]
    assert places == sorted(places)


def test_the_head_tells_pool_files_time_users_and_plan(plan: ChangePlan) -> None:
    head = sections(plan_markdown(plan))["Change plan for pool app"]
    assert head[0] == f"Made 2026-03-04 05:06:07 UTC for 150 users; plan {plan.plan_id[:12]}"
    first, second = (file.path for file in plan.files)
    assert head[1] == f"6 changes in 2 files: {first} (5), {second} (1)"
    assert "Verdict at that load: overloaded -> watch" in head
    assert "Memory with every worker at its peak: 1.25 GiB -> 2.50 GiB" in head


def test_the_settings_are_those_of_the_case_study(plan: ChangePlan) -> None:
    assert rows(plan, "Settings", 4) == [
        ["setting", "before", "after", "change"],
        ["pm", "dynamic", "dynamic", "stays"],
        ["pm.max_children", "20", "40", "+100 %"],
        ["pm.start_servers", "4", "8", "+100 %"],
        ["pm.min_spare_servers", "2", "4", "+100 %"],
        ["pm.max_spare_servers", "6", "16", "+167 %"],
        ["pm.max_requests", "not set", "1000", "new"],
        ["SESSION_DRIVER", "database", "redis", "changes"],
        ["CACHE_DRIVER", "redis", "redis", "stays"],
    ]


def test_users_and_their_verdicts_are_those_of_the_case_study(plan: ChangePlan) -> None:
    _, *found = rows(plan, "What numbers of users do to the pool", 7)
    assert [row[:3] for row in found] == [
        ["50", "manageable", "comfortable"],
        ["80", "watch", "comfortable"],
        ["100", "overloaded", "manageable"],
        ["150 (planned)", "overloaded", "watch"],
        ["200", "overloaded", "overloaded"],
    ]
    assert found[1][3:] == ["769 ms", "749 ms", "80 %", "40 %"]
    assert found[3][3:] == ["endless", "750 ms", "100 %", "75 %"]


def test_the_bands_are_told_before_and_after(plan: ChangePlan) -> None:
    before, after = plan.prediction.before.bands, plan.prediction.after.bands
    header, *found = rows(plan, "Most users", 3)
    assert header == ["verdict", "before (20 workers)", "after (40 workers)"]
    assert found == [[b.verdict, str(b.users), str(a.users)] for b, a in zip(before, after, strict=True)]


def test_it_ends_with_the_box_of_the_case_study(plan: ChangePlan) -> None:
    assert rows(plan, "In short", 3) == [
        ["", "before", "after"],
        ["users before it is overloaded", "85", "170"],
        ["verdict for 150 users", "overloaded", "watch"],
        ["workers", "20", "40"],
        ["sessions", "database", "redis"],
        ["cache", "redis", "redis"],
    ]


def test_drivers_are_told_only_where_the_plan_knows_them(tmp_path: Path) -> None:
    env = "SESSION_DRIVER=file\nCACHE_STORE=database\nREDIS_HOST=10.0.0.9\n"
    labels = {row[0]: row[1:] for row in rows(made(tmp_path, env=env), "In short", 3)}
    assert labels["sessions"] == ["other", "other"]
    assert labels["cache"] == ["database", "database"]
    assert "cache" not in {row[0] for row in rows(made(tmp_path, env=None), "In short", 3)}


@pytest.mark.parametrize("form", ["markdown", "text"])
def test_every_reason_risk_note_step_and_caution_is_there(plan: ChangePlan, form: str) -> None:
    page = flat(plan)
    if form == "markdown":
        page = " ".join(part for parts in sections(plan_markdown(plan)).values() for part in parts)
    assert len(sentences(plan)) > 30
    assert [sentence for sentence in sentences(plan) if sentence not in page] == []


def test_conditions_are_told_in_plain_words(plan: ChangePlan) -> None:
    told = sections(plan_markdown(plan))["Only if, on the host"]
    assert len(told) == len(plan.preconditions)
    first = plan.files[0]
    assert told[0].startswith(f"{first.path} is unchanged: sha256 {first.sha256[:12]}..., mode {first.mode}")
    assert any(line.startswith("REDIS_HOST is set in ") for line in told)


def test_steps_are_numbered_and_told_in_plain_words(plan: ChangePlan) -> None:
    done = sections(plan_markdown(plan))["What is done, in this order"]
    assert [step.op for step in plan.steps] == [
        *["backup"] * 2, *["set_directive"] * 5, "validate", "set_env", "clear_config_cache", "reload",
        "verify_service", "verify_service", "verify_http",
    ]  # fmt: skip
    pool, env = (file.path for file in plan.files)
    words = [
        f"Copy {pool} to ", f"Copy {env} to ", f"Set pm.max_children to 40 (before: 20) in {pool}, line 5",
        "Set pm.start_servers to 8", "Set pm.min_spare_servers to 4", "Set pm.max_spare_servers to 16",
        f"Set pm.max_requests to 1000 (before: not set) in {pool}, line 9", f"Have FPM accept {pool}",
        f"Set SESSION_DRIVER to redis (before: database) in {env}, line 2", "As ", "Reload ", "See that ", "See that ",
        "See that http://127.0.0.1/health answers 200, in at most 5 attempts of 10 s",
    ]  # fmt: skip
    for said, start in zip(done, words, strict=False):
        assert said.startswith(start)
    assert " artisan config:cache, then " in done[9]
    assert done[14:] == [
        "If step 1 or 2 fails, it ends there and nothing is changed. If any other step fails, everything is undone"
    ]
    assert re.findall(r"^ *(\d+)\. (?:Copy|Set|Have|Reload|As|See|Put) ", text(plan), re.MULTILINE) == [
        *map(str, range(1, len(plan.steps) + 1)),
        *map(str, range(1, len(plan.rollback) + 1)),
    ]


def test_the_reason_of_the_binding_limit_is_told_once(plan: ChangePlan) -> None:
    assert plan_markdown(plan).count(plan.prediction.binding_reason) == 1


def test_the_way_back_says_what_is_put_where(plan: ChangePlan) -> None:
    undone = sections(plan_markdown(plan))["How it is undone, in this order"]
    restore = plan.rollback[0]
    assert restore.op == "restore"
    assert undone[0].startswith(f"Put {restore.path} back from {restore.backup_path}, mode {restore.mode}")
    assert len(undone) == len(plan.rollback)


def test_risks_name_the_numbers_of_their_steps_and_come_worst_first(plan: ChangePlan) -> None:
    backwards = changed(plan, risks=tuple(reversed(plan.risks)))
    found = rows(backwards, "What may go wrong, the worst first", 3)[1:]
    severities = [row[0] for row in found]
    assert severities == sorted(severities, key=("danger", "warning", "info").index)
    assert len(set(severities)) == 3
    place = {step.id: str(number) for number, step in enumerate(plan.steps, 1)}
    for risk in plan.risks:
        assert [risk.severity, ", ".join(place[name] for name in risk.step_ids) or "-", risk.message] in found


def test_a_risk_of_undoing_names_the_step_back(plan: ChangePlan) -> None:
    risk = plan.risks[0].model_copy(update={"step_ids": ("reload-restored",)})
    back = [step.id for step in plan.rollback].index("reload-restored") + 1
    assert rows(changed(plan, risks=(risk,)), "What may go wrong, the worst first", 3)[1][1] == f"undo {back}"


# --- what is true


def test_growth_is_told_with_its_caveat(plan: ChangePlan) -> None:
    remark = sections(plan_markdown(plan))["Settings"][-1]
    reason = plan.prediction.more_workers_reason
    assert reason.startswith("only while nothing but workers binds")
    assert remark == f"The +100 % workers serve +100 % requests at a time {reason}"


def test_growth_is_told_with_the_reason_against_still_more(tmp_path: Path) -> None:
    busy = made(tmp_path, scenario(workload={"users": 120, "cpu_time": 0.02}, host={"ram": 8 * 2**30}))
    reason = busy.prediction.more_workers_reason
    assert reason.startswith("not needed")
    grown = next(row[3] for row in rows(busy, "Settings", 4) if row[0] == "pm.max_children")
    only = "only while nothing but workers binds. Would more workers help?"
    assert sections(plan_markdown(busy))["Settings"][-1] == (
        f"The {grown} workers serve {grown} requests at a time {only} {reason}"
    )


def test_a_pool_that_shrinks_promises_no_growth(tmp_path: Path) -> None:
    pool = POOL.replace("max_children = 20", "max_children = 80")
    current = {"max_children": 80}
    smaller = made(tmp_path, scenario(pool=current), pool=pool)
    assert ["pm.max_children", "80", "40", "-50 %"] in rows(smaller, "Settings", 4)
    assert "requests at a time" not in plan_markdown(smaller)


def test_what_fpm_derives_is_told_beside_what_the_file_says(tmp_path: Path) -> None:
    derived = made(tmp_path, pool=POOL.replace("pm.start_servers = 4\n", ""))
    assert ["pm.start_servers", "not set, so 4", "8", "+100 %"] in rows(derived, "Settings", 4)


def test_spare_servers_are_not_used_once_the_pool_is_static(tmp_path: Path) -> None:
    case = scenario(host={"ram": 8 * 2**30}, policy={"process_manager": "auto"})
    static = made(tmp_path, case)
    found = rows(static, "Settings", 4)
    assert ["pm", "dynamic", "static", "changes"] in found
    assert ["pm.max_spare_servers", "6", "not used", "pm = static"] in found


def test_no_percentage_between_a_number_and_a_special_value(tmp_path: Path) -> None:
    pool = POOL + "pm.max_requests = 0\nlisten.backlog = -1\n"
    found = {row[0]: row[1:] for row in rows(made(tmp_path, pool=pool, also=("listen.backlog",)), "Settings", 4)}
    assert found["pm.max_requests"] == ["0", "1000", "changes"]
    assert found["listen.backlog"] == ["-1", "4096", "changes"]


def test_an_infeasible_plan_says_so_at_the_top(tmp_path: Path) -> None:
    case = scenario(workload={"users": 400})
    missed = made(tmp_path, case)
    assert not missed.prediction.feasible
    head = sections(plan_markdown(missed))["Change plan for pool app"]
    assert any(line.startswith("INFEASIBLE") for line in head)
    assert "Verdict at that load: overloaded -> overloaded" in head
    assert "INFEASIBLE" in text(missed)


def test_the_busiest_resource_counts(tmp_path: Path) -> None:
    case = scenario(workload={"cpu_time": 0.03})
    found = made(tmp_path, case)
    planned = next(p for p in found.prediction.after.predictions if p.users == 150)
    assert planned.cpu_utilization is not None
    assert planned.cpu_utilization > planned.utilization
    row = next(row for row in rows(found, "What numbers of users do to the pool", 7) if row[0] == "150 (planned)")
    assert row[6] == f"{planned.cpu_utilization:.0%}".replace("%", " %")


# --- without steps, without users


def test_a_plan_without_steps_says_that_nothing_has_to_be_changed_and_why(tmp_path: Path) -> None:
    current = {
        "max_children": 40, "start_servers": 8, "min_spare_servers": 4, "max_spare_servers": 16, "max_requests": 1000,
    }  # fmt: skip
    nothing = made(tmp_path, scenario(pool=current), pool=AS_RECOMMENDED, env=ENV.replace("database", "redis"))
    assert nothing.steps == ()
    parts = sections(plan_markdown(nothing))
    assert "Nothing has to be changed: the pool is as it is recommended" in parts["Change plan for pool app"]
    assert list(parts) == [
        "Change plan for pool app", "Settings", "Most users", "What numbers of users do to the pool", "Why",
        "What was left alone", "What more users would take", "Keep in mind", "In short",
    ]  # fmt: skip
    assert ["pm.max_children", "40"] in rows(nothing, "Settings", 2)
    assert rows(nothing, "Most users", 2)[0] == ["verdict", "today (40 workers)"]
    assert ["150 (planned)", "watch", "750 ms", "75 %"] in rows(nothing, "What numbers of users do to the pool", 4)
    assert ["sessions", "redis"] in rows(nothing, "In short", 2)
    assert nothing.prediction.binding_reason in parts["Why"][0]
    assert re.search("^. [a-z ]+[|] before", text(nothing), re.MULTILINE) is None


LOADS = {
    "rate only": {"users": None, "think_time": None, "arrival_rate": 100.0},
    "rate and think time": {"users": None, "arrival_rate": 100.0},
    "overloaded rate": {"users": None, "think_time": None, "arrival_rate": 400.0},
    "nothing known": {"users": None, "think_time": None},
    "one user": {"users": 1},
    "cpu and database": {"cpu_time": 0.02, "database_time": 0.05},
}


@pytest.mark.parametrize("load", LOADS)
def test_what_is_not_known_is_told_in_words(tmp_path: Path, load: str) -> None:
    found = made(tmp_path, scenario(workload=LOADS[load]))
    for page in (plan_markdown(found), text(found)):
        assert set(re.findall(r"[A-Za-z]+", page)).isdisjoint({"None", "nan", "inf", "null", "True", "False"})
    if "users" in LOADS[load] and load != "one user":
        assert "for the expected load" in plan_markdown(found)


def test_a_rate_stands_in_for_users(tmp_path: Path) -> None:
    found = made(tmp_path, scenario(workload=LOADS["rate only"]))
    assert [row[0] for row in rows(found, "What numbers of users do to the pool", 7)] == ["users", "100/s"]
    assert ["users before it is overloaded", "not known", "not known"] in rows(found, "In short", 3)


# --- the plan alone, whatever stands in it


def test_everything_comes_from_the_plan_alone(tmp_path: Path) -> None:
    plan = made(tmp_path / "host", url="http://127.0.0.1/")
    pages = plan_markdown(plan), text(plan)
    for path in (tmp_path / "host").iterdir():
        path.unlink()
    again = read_plan(plan.to_json())
    assert (plan_markdown(again), text(again)) == pages


HOSTILE = [
    "<script>alert(1)</script>", "a | b || c |", "`code` ``x", "*a* **b** _c_ __d__", "# heading", "## heading",
    "- item", "+ item", "* item", "1. item", "12) item", "> quote", "---", "===", "***", "~~~", "```", "~~gone~~",
    "[link](http://example.org)", "![image](x)", "<http://example.org>", "&lt;b&gt; &#42;", "\\", "\\*", "\\|", "a\\",
    "    code", "|", "| --- |", "<!-- comment", "<b onclick=x>", "$x$", "[red]bold[/red]", "[/]", "{path}", "%s",
]  # fmt: skip


def with_words(plan: ChangePlan, words: str) -> ChangePlan:
    """The same plan, all its free text being these words."""
    expected = plan.prediction.model_copy(
        update={
            "binding_reason": words, "more_workers_reason": words, "next_steps": (words,), "cautions": (words,),
        }
    )  # fmt: skip
    return changed(
        plan,
        prediction=expected,
        steps=tuple(step.model_copy(update={"reason": words}) for step in plan.steps),
        rollback=tuple(step.model_copy(update={"reason": words}) for step in plan.rollback),
        risks=tuple(risk.model_copy(update={"message": words}) for risk in plan.risks),
        notes=(words,),
    )


def shape(document: str) -> list[str]:
    return [token.type for token in tokens(document)]


@pytest.mark.parametrize("words", HOSTILE)
def test_no_words_break_the_page(plan: ChangePlan, words: str) -> None:
    document = plan_markdown(with_words(plan, words))
    assert shape(document) == shape(plan_markdown(with_words(plan, "words")))
    parts = sections(document)  # which refuses anything but text and code
    assert parts["Keep in mind"] == parts["What was left alone"] == [words.strip()]
    assert {row[2] for row in rows(with_words(plan, words), "What may go wrong, the worst first", 3)[1:]} == {
        words.strip()
    }
    assert "<" not in document
    assert words.strip() in text(with_words(plan, words), width=300)


@settings(deadline=None, max_examples=60)
@given(words=st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=60))
def test_a_reader_sees_the_words_as_they_are(plan: ChangePlan, words: str) -> None:
    words = "".join(sign for sign in words if sign.isprintable()).strip(" ") or "x"
    parts = sections(plan_markdown(with_words(plan, words)))
    assert parts["Keep in mind"] == parts["What more users would take"] == [words]
    assert parts["What may go wrong, the worst first"][5] == words


def test_absurd_numbers_are_no_figures(plan: ChangePlan) -> None:
    many = 10**400
    outlook = plan.prediction.after
    predictions = tuple(
        p.model_copy(update={"users": many, "utilization": 1e308, "response_time_p95": 1e308, "arrival_rate": 1e308})
        for p in outlook.predictions
    )
    bands = tuple(band.model_copy(update={"users": many}) for band in outlook.bands)
    after = outlook.model_copy(update={"worst_case_memory": 2**70, "predictions": predictions, "bands": bands})
    absurd = changed(plan, prediction=plan.prediction.model_copy(update={"after": after}))
    for page in (plan_markdown(absurd), text(absurd)):
        assert set(re.findall(r"[A-Za-z]+", page)).isdisjoint({"None", "nan", "inf"})
    assert "Memory with every worker at its peak: 1.25 GiB -> -" in plan_markdown(absurd).replace("\\", "")


def test_a_plan_that_predicts_nothing_is_told_all_the_same(plan: ChangePlan) -> None:
    nothing = {"predictions": (), "bands": (), "verdict": None, "utilization": None, "response_time_p95": None}
    before, after = (side.model_copy(update=nothing) for side in (plan.prediction.before, plan.prediction.after))
    silent = changed(plan, prediction=plan.prediction.model_copy(update={"before": before, "after": after}))
    parts = sections(plan_markdown(silent))
    assert "Most users" not in parts
    assert "Verdict at that load: not known -> not known" in parts["Change plan for pool app"]
    only_after = changed(plan, prediction=plan.prediction.model_copy(update={"before": before}))
    assert rows(only_after, "Most users", 2)[0] == ["verdict", "after (40 workers)"]


# --- how it looks


@pytest.mark.parametrize("width", [80, 116])
def test_piped_text_is_plain_and_fits(plan: ChangePlan, width: int) -> None:
    page = text(plan, width=width)
    assert page.isascii()
    assert "\x1b" not in page
    assert max(len(line.rstrip()) for line in page.splitlines()) <= width
    assert "\n\n\n" not in re.sub(r" +\n", "\n", page)


def test_no_word_of_a_table_is_cut_at_80_columns(plan: ChangePlan) -> None:
    page = text(plan, width=80)
    cells = [[cell.strip() for cell in line.split("|")] for line in page.splitlines()]
    assert ["80", "watch", "comfortable", "769 ms", "749 ms", "80 %", "40 %"] in cells
    assert "\u2026" not in page


def test_steps_are_numbered_and_other_lists_are_not(plan: ChangePlan) -> None:
    lines = [line.rstrip() for line in text(plan, width=300).splitlines()]
    assert f"- {plan.notes[0]}" in lines
    assert any(line.startswith(" 1. Copy ") for line in lines)


def test_a_path_is_never_cut_short(tmp_path: Path) -> None:
    found = made(tmp_path / ("long" * 30))
    page = "".join(text(found, width=80).split())
    assert [file.path for file in found.files if page.count(file.path) < 3] == []


def test_a_terminal_shows_severity_and_verdict_in_colour(plan: ChangePlan) -> None:
    page = text(plan, terminal=True)
    for words, code in (("danger", "1;31"), ("warning", "33"), ("overloaded", "1;31"), ("comfortable", "32")):
        assert f"\x1b[{code}m{words}" in page


def test_only_directives_the_plan_sets_are_shown_as_changed(tmp_path: Path) -> None:
    also = made(tmp_path, also=("listen.backlog", "request_terminate_timeout"))
    assert {step.directive for step in also.steps if isinstance(step, SetDirective)} >= {"listen.backlog"}
    found = {row[0]: row[1:] for row in rows(also, "Settings", 4)}
    assert found["listen.backlog"] == ["not set", "4096", "new"]
    assert found["request_terminate_timeout"] == ["not set", "60s", "new"]
    assert "listen.backlog" not in {row[0] for row in rows(made(tmp_path), "Settings", 4)}
