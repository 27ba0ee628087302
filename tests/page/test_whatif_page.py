"""The what-if page: its numbers are those of `recommend`, its words are complete, and nothing overflows."""

from __future__ import annotations

import json
import math
import random
import re
from importlib.resources import files
from typing import Any

import pytest

from capacity import InvalidInput, Scenario, recommend
from capacity.page import SLIDERS, constants, model_input, whatif_page
from capacity.policies.verdict import VERDICTS
from capacity.report.wording import wording
from capacity.scenario import CASE_STUDY
from tests.browser import LAPTOP, Browser

RELATIVE = 1e-9  # what the page promises; both compute in float64, in different orders
LEAST = 1e-280  # below it a probability is a matter of the last bits of a float64

FOUND = """
const found = CASES.map((input) => {
  const answer = plan(input);
  return { ...answer, limits: Object.values(answer.limits) };
});
const text = JSON.stringify(found, (_, value) => (value === Infinity ? "endless" : value));
document.body.append(Object.assign(document.createElement("pre"), { textContent: text, id: "found" }));
"""


def case(seed: int) -> dict[str, dict[str, Any]]:
    """A scenario of the page's kind: small and large hosts, idle and crowded, cores that matter and that do not."""
    draw = random.Random(seed)

    def between(low: float, high: float) -> float:
        return float(f"{math.exp(draw.uniform(math.log(low), math.log(high))):.3g}")

    service = between(0.005, 3)
    ram, reserved = between(1, 128), draw.uniform(0.05, 0.7)
    tables: dict[str, dict[str, Any]] = {
        "host": {
            "ram": int(ram * 2**30),
            "reserved": int(reserved * ram * 2**30),
            "cpus": draw.choice([1, 2, 4, 8, 32, 0.5, 1.5, 6.25]),
        },
        "worker": {"memory": int(between(8, 512) * 2**20)},
        "workload": {"service_time": service, "users": int(between(1, 20000)), "think_time": between(0.1, 60)},
        "objective": {"max_utilization": round(draw.uniform(0.5, 0.95), 2)},
        "policy": {"headroom": round(draw.uniform(1, 2), 2)},
    }
    if draw.random() < 0.7:
        tables["workload"]["cpu_time"] = draw.choice([service, service * draw.uniform(0.02, 0.9)])
    if draw.random() < 0.3:
        tables["host"]["database_connections"] = int(between(5, 500))
        tables["worker"]["database_connections"] = draw.choice([0, 1, 2])
    if draw.random() < 0.3:
        tables["worker"]["shared_memory"] = int(between(8, 512) * 2**20)
    if draw.random() < 0.3:
        tables["workload"]["requests_per_click"] = draw.choice([0.5, 3])
        tables["workload"]["web_server_cpu_time"] = 0.0002
    if draw.random() < 0.2:
        tables["policy"]["process_max"] = int(between(2, 200))
    if draw.random() < 0.5:
        tables["pool"] = {"pm": "static", "max_children": int(between(1, 100)), "max_requests": draw.choice([0, 500])}
    return tables


def cases() -> list[Scenario]:
    drawn = (Scenario.from_mapping(case(seed)) for seed in range(200))
    # the page is for pools that fit on a host, and a browser is no place for a hundred thousand workers
    small = [scenario for scenario in drawn if scenario.host.ram / scenario.worker.memory < 2000]
    return [
        Scenario.example(),
        Scenario.from_mapping({**CASE_STUDY, "host": {"ram": "64MiB", "reserved": "63MiB", "cpus": 1}}),
        *small[:60],
    ]


def same(found: Any, expected: float | None) -> bool:
    """Equal within ``RELATIVE``; what is endless in one is in the other."""
    if expected is None or not math.isfinite(expected):
        return found in ("endless", None)
    if not isinstance(found, int | float):
        return False
    return math.isclose(found, expected, rel_tol=RELATIVE, abs_tol=LEAST)


def test_the_page_computes_what_python_computes(browser: Browser) -> None:
    scenarios = cases()
    inputs = json.dumps([model_input(scenario) for scenario in scenarios])
    model = (files("capacity.page") / "model.js").read_text("utf-8")
    script = f"const CONSTANTS = {json.dumps(constants())}, CASES = {inputs};\n{model}\n{FOUND}"
    answers = browser.json(f"<!doctype html><body><script>{script}</script>")
    assert len(answers) == len(scenarios)
    binding, verdicts = set(), set()
    for scenario, answer in zip(scenarios, answers, strict=True):
        result = recommend(scenario)
        where = repr(scenario)
        assert all(map(same, answer["limits"], [limit.workers for limit in result.limits])), where
        assert (answer["binding"], answer["feasible"]) == (result.binding, result.feasible), where
        assert same(answer["needed"], result.needed), where
        assert same(answer["wanted"], result.wanted), where
        assert answer["worst_case_memory"] == result.worst_case_memory, where
        for name in ("max_children", "max_requests", "listen_backlog"):
            assert answer["pool"][name] == getattr(result.pool, name), (name, where)
        if result.pool.pm == "dynamic":
            for name in ("start_servers", "min_spare_servers", "max_spare_servers"):
                assert answer["pool"][name] == getattr(result.pool, name), (name, where)
        sides = [(answer["recommended"], result.bands, result.predictions)]
        if result.current is not None:
            sides.append((answer["today"], result.current_bands, result.current_predictions))
        for side, bands, predictions in sides:
            assert [band["users"] for band in side["bands"]] == [band.users for band in bands], where
            assert [p["users"] for p in side["predictions"]] == [p.users for p in predictions], where
            for ours, theirs in zip(side["predictions"], predictions, strict=True):
                assert ours["verdict"] == theirs.verdict, where
                for name in (
                    "arrival_rate", "utilization", "cpu_utilization", "wait_probability", "waiting_time",
                    "response_time", "response_time_p95",
                ):  # fmt: skip
                    assert same(ours[name], getattr(theirs, name)), (name, ours, theirs, where)
                verdicts.add(theirs.verdict)
        binding.add(result.binding)
    assert binding == {"memory", "cpu", "database", "process_max", "demand"}  # every kind of answer was compared
    assert verdicts == set(VERDICTS)


# what a person does: opens the page, types, moves a slider, types nonsense, and takes it back
USED = """
const seen = {}, type = (name, value) => {
  const input = document.getElementById("input-" + name);
  input.value = value;
  input.dispatchEvent(new Event("input"));
};
const note = (name) => { seen[name] = document.getElementById("answer").innerText; };
note("opened");
type("worker_memory", 128);
note("typed");
const slider = document.querySelector('[aria-label="Memoria del servidor"]');
slider.value = 1000;
slider.dispatchEvent(new Event("input"));
note("moved");
type("reserved", 2000);
note("nonsense");
type("reserved", "");
note("nothing");
type("workers_today", 1e9);
type("reserved", 1.5);
note("too large");
type("workers_today", 0);
note("none today");
type("users", 109);
type("cpu_time", 40);
note("cpu");
seen.link = link();
document.body.append(Object.assign(document.createElement("pre"), { textContent: JSON.stringify(seen), id: "found" }));
"""


def test_the_page_answers_as_it_is_used(browser: Browser) -> None:
    page = whatif_page(Scenario.example(), language="es")
    seen = browser.json(page.replace("</body>", f"<script>{USED}</script></body>"))
    say = wording("es")
    assert say("{count} workers", count=40) in seen["opened"]
    for number in ("45", "70", "85", "90", "140", "170", "pm.max_children = 40", "hoy (20 procesos)"):
        assert number in seen["opened"]
    assert say("{count} workers", count=20) in seen["typed"]
    assert "--ram 4GiB" in seen["typed"]
    assert "--ram 1000GiB" in seen["moved"]
    assert say("Decided by: {limit}", limit="demand") in seen["moved"]
    assert seen["nonsense"].strip().startswith(say("The memory for everything else must be less than that of the host"))
    label = say("Memory for everything else")
    assert seen["nothing"].strip().startswith(say("{label}: a number above 0 is needed", label=label))
    too_large = say("These values are too large for this page; capacity recommend takes them")
    assert seen["too large"].strip().startswith(too_large)
    assert "pm.max_children" not in seen["nonsense"] + seen["nothing"] + seen["too large"]
    assert "hoy (" not in seen["none today"]
    assert f"CPU: {say('{count} (binds)', count=33)}" in seen["cpu"]
    assert "users=109" in seen["link"]
    assert not re.search(r"NaN|undefined|Infinity|null", "".join(map(str, seen.values())))


def test_a_link_opens_the_page_at_its_values(browser: Browser) -> None:
    page = whatif_page(Scenario.example()).replace("location.hash", '"#users=30&workers_today=&ram=8589934592&bad=1"')
    dom = browser.run(page, "--dump-dom")
    assert re.search(r'id="command">capacity recommend \\\s+--users 30\b.*--ram 8GiB', dom, re.DOTALL)
    assert ">today (" not in dom


def test_nothing_overflows_on_a_phone_a_laptop_and_paper(browser: Browser) -> None:
    crowded = {**CASE_STUDY, "workload": {"service_time": "10s", "users": 100_000, "think_time": "600s"}}
    limited = {**CASE_STUDY, "host": {**CASE_STUDY["host"], "database_connections": 30}}
    limited["workload"] = {**CASE_STUDY["workload"], "cpu_time": "30ms", "database_time": "50ms", "service_scv": 2}
    pages = {"example": whatif_page(Scenario.example()), "ejemplo": whatif_page(Scenario.example(), language="es")}
    pages["crowded"] = whatif_page(Scenario.from_mapping(crowded))
    pages["limited"] = whatif_page(Scenario.from_mapping(limited), language="es")
    assert browser.overflows(pages) == {}
    picture = browser.picture(pages["example"], LAPTOP)
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 30_000  # an empty page takes a tenth of it


def test_a_slider_starts_where_the_scenario_is_and_within_its_ends() -> None:
    given = model_input(Scenario.example())
    for slider in SLIDERS:
        value = given[slider.name]
        assert value is None or value == 0 or slider.least <= value / slider.scale <= slider.most
        assert slider.optional or value


@pytest.mark.parametrize("name", ["whatif.html", "model.js", "whatif.js"])
def test_every_text_of_the_page_has_its_spanish(name: str) -> None:
    say = wording("es")
    text = (files("capacity.page") / name).read_text("utf-8")
    texts = re.findall(r"{{(.+?)}}", text) if name.endswith("html") else re.findall(r'\bsay\("(.*?)"', text)
    assert texts or name == "model.js"
    assert [text for text in texts if say.found(text) is None] == []
    assert [slider.label for slider in SLIDERS if say.found(slider.label) is None] == []


def test_the_page_loads_nothing_and_names_what_it_leaves_out() -> None:
    page = whatif_page(Scenario.example())
    assert not re.search(r"""https?:|src=|<link|@import|url\(""", page)
    tables = {**CASE_STUDY, "workload": {**CASE_STUDY["workload"], "service_scv": 2}}
    assert "does not look at workload.service_scv" in whatif_page(Scenario.from_mapping(tables))
    assert "does not look at" not in page.partition("<script")[0]


def test_without_a_think_time_there_is_no_page() -> None:
    tables = {**CASE_STUDY, "workload": {"service_time": "250ms", "arrival_rate": "120/s"}}
    with pytest.raises(InvalidInput, match="think_time is missing"):
        whatif_page(Scenario.from_mapping(tables))


def test_a_request_rate_becomes_the_users_that_send_it() -> None:
    tables = {**CASE_STUDY, "workload": {"service_time": "250ms", "arrival_rate": "120/s", "think_time": "1s"}}
    assert model_input(Scenario.from_mapping(tables))["users"] == 150
