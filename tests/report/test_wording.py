"""The Spanish report is Spanish: every text of ours, and every sentence that a recommendation composes."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

import capacity
from capacity import Scenario, recommend
from capacity.policies.rules_of_thumb import all_rules
from capacity.report.wording import LANGUAGES, Wording, wording
from capacity.results import Recommendation
from capacity.scenario import CASE_STUDY

PACKAGE = Path(capacity.__file__).parent
ROOMS = [*sorted((PACKAGE / "report").glob("*.py")), PACKAGE / "page" / "__init__.py"]
CATALOGUE = tomllib.loads((files("capacity.report") / "es.toml").read_text("utf-8"))
STATIC = {"pm": "static", "start_servers": None, "min_spare_servers": None, "max_spare_servers": None}
ONDEMAND = STATIC | {"pm": "ondemand"}
NAMED = re.compile(r"{(\w+)}")

# scenarios that make a recommendation say whatever it can say, as changes to the case study; None takes a field out
SITUATIONS: dict[str, dict[str, dict[str, Any]]] = {
    "the case study": {},
    "shared memory": {"worker": {"shared_memory": "128MiB"}},
    "no memory": {"host": {"ram": "1537MiB"}, "worker": {"shared_memory": "2MiB"}},
    "cores": {"workload": {"cpu_time": "10ms"}},
    "cores bind": {"workload": {"cpu_time": "25ms", "users": 100}},
    "cores full": {"workload": {"cpu_time": "60ms"}},
    "cores full, nothing helps": {"workload": {"cpu_time": "60ms", "web_server_cpu_time": "50ms"}},
    "no work": {"workload": {"cpu_time": "0ms"}},
    "room on the cores": {"workload": {"cpu_time": "1ms"}},
    "database": {"host": {"database_connections": 30}},
    "database busy": {"host": {"database_connections": 8}, "workload": {"database_time": "100ms"}},
    "database full": {"host": {"database_connections": 8}, "workload": {"database_time": "250ms"}},
    "no database": {"host": {"database_connections": 30}, "worker": {"database_connections": 0}},
    "process.max": {"policy": {"process_max": 15}},
    "process.max, room": {"policy": {"process_max": 15}, "workload": {"cpu_time": "1ms"}},
    "few users": {"workload": {"users": 20}},
    "one worker": {"workload": {"users": 1, "think_time": "60s"}},
    "many users": {"workload": {"users": 3000}},
    "no load": {"workload": {"users": None, "think_time": None}},
    "a rate": {"workload": {"users": None, "think_time": None, "arrival_rate": "120/s"}},
    "a small pool without load": {"host": {"ram": "1.8GiB"}, "workload": {"users": None, "think_time": None}},
    "nearly full": {"workload": {"users": None, "think_time": None, "arrival_rate": "159.9/s"}},
    "a high rate": {"workload": {"users": None, "think_time": None, "arrival_rate": "300/s"}},
    "exactly as much": {"workload": {"users": None, "think_time": None, "arrival_rate": "160/s"}},
    "an objective": {"objective": {"response_time": "1s"}},
    "an objective too hard": {"objective": {"response_time": "100ms"}},
    "an objective with headroom too hard": {"workload": {"cpu_time": "20ms"}, "objective": {"response_time": "1s"}},
    "headroom too much": {"workload": {"cpu_time": "15ms", "users": 250}, "host": {"ram": "16GiB"}},
    "an objective, headroom too much": {
        "workload": {"cpu_time": "15ms", "users": 250}, "host": {"ram": "16GiB"}, "objective": {"response_time": "2s"}
    },
    "spread": {"workload": {"service_scv": 2}},
    "spread, cores": {"workload": {"service_scv": 2, "cpu_time": "10ms"}},
    "constant": {"workload": {"service_scv": 0}},
    "constant, cores": {"workload": {"service_scv": 0, "cpu_time": "10ms"}},
    "spread beyond": {"workload": {"service_scv": 10}},
    "clicks": {"workload": {"requests_per_click": 3}},
    "slow": {"workload": {"service_time": "30s", "think_time": "60s"}},
    "very slow": {"workload": {"service_time": "70s", "think_time": "600s"}, "policy": {"web_server_timeout": "10s"}},
    "late": {"policy": {"web_server_timeout": "5s"}, "workload": {"users": 300}},
    "ended": {
        "policy": {"web_server_timeout": "10s"}, "workload": {"service_time": "8s", "users": 150, "think_time": "10s"}
    },
    "short queue": {"pool": {"listen_backlog": 8}, "workload": {"users": 300}},
    "long queue": {"pool": {"listen_backlog": 4096}, "workload": {"service_time": "2s", "users": 60}},
    "static": {"pool": STATIC},
    "static better": {"host": {"ram": "8GiB"}},
    "static full": {"pool": STATIC, "workload": {"users": 180}},
    "ondemand": {"pool": ONDEMAND},
    "ondemand better": {"policy": {"pools_on_host": 4}, "workload": {"users": 1, "think_time": "60s"}},
    "ondemand chosen": {
        "policy": {"pools_on_host": 4, "process_manager": "auto"}, "workload": {"users": 1, "think_time": "60s"}
    },
    "several pools": {"policy": {"pools_on_host": 4, "process_manager": "auto"}, "host": {"ram": "16GiB"}},
    "static, several pools": {"policy": {"pools_on_host": 4}, "pool": STATIC},
    "auto": {"policy": {"process_manager": "auto"}, "host": {"ram": "16GiB"}},
    "burst": {"policy": {"spares": "burst"}, "workload": {"users": 50}},
    "burst, few": {"policy": {"spares": "burst", "load_before_step": 0.9}},
    "burst, hard": {
        "policy": {"spares": "burst", "step_waiting_time": "1ms"}, "host": {"ram": "2GiB"}, "workload": {"users": 39}
    },
    "burst, large": {"policy": {"spares": "burst"}, "workload": {"users": 10**6}, "host": {"ram": "16TiB"}},
    "burst, no load": {"policy": {"spares": "burst"}, "workload": {"users": None, "think_time": None}},
    "spares enough": {"policy": {"load_before_step": 0.99}},
    "max_requests": {"pool": {"max_requests": 500}},
    "quick": {"workload": {"service_time": "2ms", "users": 5000}},
}  # fmt: skip
SEVERAL: dict[str, Any] = {"pools_on_host": 3}
# the same for a sudden step: users before and after it, and changes
RUSHES: list[tuple[tuple[int, int], dict[str, dict[str, Any]]]] = [
    ((1, 40), {"pool": {"max_spawn_rate": 1}, "policy": SEVERAL}),
    ((1, 40), {"pool": STATIC, "policy": SEVERAL}),
    ((20, 60), {"pool": {"max_spawn_rate": 1}, "policy": SEVERAL | {"step_waiting_time": "2s"}}),
    ((5, 80), {}),
    ((5, 80), {"policy": SEVERAL}),
    ((5, 80), {"policy": SEVERAL | {"process_manager": "auto"}}),
    ((5, 80), {"host": {"ram": "16GiB"}}),
    ((5, 80), {"host": {"ram": "16GiB"}, "policy": {"process_manager": "auto"}}),
]


def scenario(changes: dict[str, dict[str, Any]]) -> Scenario:
    merged = {name: {**CASE_STUDY.get(name, {}), **changes.get(name, {})} for name in {**CASE_STUDY, **changes}}
    return Scenario.from_mapping(
        {name: {key: value for key, value in table.items() if value is not None} for name, table in merged.items()}
    )


def sentences(result: Recommendation) -> Iterator[str]:
    """Everything a recommendation says in words that a report shows."""
    yield from (limit.reason for limit in result.limits)
    yield result.more_workers_reason
    yield from (*result.next_steps, *result.cautions)
    yield from (choice.reason for choice in result.choices)
    yield from (rule.name for rule in result.rules_of_thumb)
    yield from (rule.ignores for rule in result.rules_of_thumb)


class Watched(Wording):
    """A wording that knows which of its entries were asked for."""

    def __init__(self, language: str, texts: dict[str, str], words: dict[str, str]) -> None:
        self.seen: dict[str, str] = {}
        super().__init__(language, Noted(texts, self.seen), words)


class Noted(dict[str, str]):
    """A dictionary that notes what it is asked for."""

    def __init__(self, texts: dict[str, str], seen: dict[str, str]) -> None:
        super().__init__(texts)
        self.seen = seen

    def __getitem__(self, key: str) -> str:
        self.seen[key] = super().__getitem__(key)
        return self.seen[key]


def without_pool(given: Scenario) -> Scenario:
    return given.model_copy(update={"pool": None})


@pytest.fixture(scope="module")
def said() -> set[str]:
    found: set[str] = set()
    for changes in SITUATIONS.values():
        given = scenario(changes)
        found |= {*sentences(recommend(given)), *sentences(recommend(without_pool(given)))}
    for step, changes in RUSHES:
        found |= {*sentences(recommend(scenario(changes), step=step))}
    return found


def test_every_sentence_of_a_recommendation_has_its_spanish(said: set[str]) -> None:
    say = wording("es")
    assert sorted(text for text in said if say.found(text) is None) == []


def test_every_entry_for_a_sentence_is_said_by_some_recommendation(said: set[str]) -> None:
    say = Watched("es", CATALOGUE["texts"], CATALOGUE["words"])
    for text in said:
        say.found(text)
    composed = {text for text in CATALOGUE["texts"] if "{" in text} - set(own_texts())
    assert sorted(composed - say.seen.keys()) == []


def own_texts() -> Iterator[str]:
    """Texts that stand in the report's own modules."""
    for path in ROOMS:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in CATALOGUE["texts"]:
                yield node.value
    yield from re.findall(r'\bsay\("(.*?)"', (files("capacity.page") / "whatif.js").read_text("utf-8"))


def looked_up() -> Iterator[tuple[str, str]]:
    """Module and text of every call of `say` with a text of its own."""
    for path in ROOMS:
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "say" and node.args:
                for part in ast.walk(node.args[0]):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str) and part.value != ".":
                        yield path.name, part.value


def test_every_text_the_report_looks_up_has_its_spanish() -> None:
    say, found = wording("es"), list(looked_up())
    assert len(found) > 60  # the walk over the calls found them at all
    assert [(module, text) for module, text in found if say.found(text) is None] == []


def test_every_field_of_a_scenario_has_its_spanish() -> None:
    say = wording("es")
    for table in ("host", "worker", "workload", "objective", "pool"):
        model = type(getattr(Scenario.example(), table))
        assert [
            field.description for field in model.model_fields.values() if say.found(field.description) is None
        ] == []
    parts = {"host", "worker", "workload", "objective", "pool", "sources"}
    policy = [field.description for name, field in Scenario.model_fields.items() if name not in parts]
    assert [text for text in policy if say.found(str(text)) is None] == []


def test_a_translation_has_the_values_of_its_key() -> None:
    for key, text in CATALOGUE["texts"].items():
        assert set(NAMED.findall(key)) == set(NAMED.findall(text)), key
        assert text.strip() == text != "", key
        assert re.search(r"[{}]", NAMED.sub("", text)) is None, key


def test_numbers_and_words_among_the_values_are_written_in_the_language() -> None:
    say = wording("es")
    text = say(
        "infeasible: the objective needs 51 workers, memory allows 40; the recommended settings are the most "
        "the host can carry"
    )
    assert "el límite de memoria permite 40" in text
    assert "1,73 s si los tiempos de servicio son exponenciales" in say(
        "10 s lets 999 of 1000 finish (1.73 s if service times are exponential)"
    )
    assert say.figure("12.5 ms") == "12,5 ms"


def test_a_sentence_is_put_together_of_its_clauses_only_where_all_are_known() -> None:
    say = Wording("xx", {"a {n}": "A {n}", "b": "B"}, {"some": "SOME"})
    assert say.found("a 1; b") == "A 1; B"
    assert say.found("b; a 1.5 s; b") == "B; A 1,5 s; B"
    assert say.found("a 1; c") is None
    assert say.found("; ".join(["b"] * 200 + ["c"])) is None  # in a moment, however many clauses there are
    assert say("a 1; c") == "a 1; c"  # what nobody has translated stays as it is
    assert say.found("a text") is None  # a value is a number or a known word, not any text


def test_english_is_the_text_itself() -> None:
    say = wording("en")
    assert say("Most users") == "Most users"
    assert say("{count} workers", count="2.5") == "2.5 workers"
    assert say.figure("2.50 GiB") == "2.50 GiB"
    assert LANGUAGES == ("en", "es")
    assert all(say.found(rule.ignores) == rule.ignores for rule in all_rules(Scenario.example()))
