"""Tables in a narrow terminal."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from capacity import Scenario, compare_levers, recommend, sensitivity
from capacity.report.doubt import sensitivity_text
from capacity.report.levers import levers_text
from capacity.report.text import recommendation_text

SCENARIO = Scenario.from_mapping(
    {
        "host": {"ram": "8GiB", "reserved": "3.5GiB", "cpus": 4, "database_connections": 151},
        "worker": {"memory": "44MiB"},
        "workload": {
            "service_time": "210ms",
            "cpu_time": "70ms",
            "database_time": "95ms",
            "users": 200,
            "think_time": "6s",
            "requests_per_click": 1.33,
        },
    }
)


def written(what: str, width: int) -> str:
    console = Console(file=StringIO(), width=width, force_terminal=True, color_system=None)
    if what == "recommend":
        text = recommendation_text(recommend(SCENARIO), console)
    elif what == "levers":
        text = levers_text(compare_levers(SCENARIO, users=300), console)
    else:
        text = sensitivity_text(sensitivity(SCENARIO), console)
    console.print(text)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 100, 120])
@pytest.mark.parametrize("what", ["recommend", "levers", "sensitivity"])
def test_no_number_is_broken_and_nothing_is_cut_off(what: str, width: int) -> None:
    wide = written(what, 400)
    narrow = written(what, width)
    assert max(map(len, narrow.splitlines())) <= width
    figures = [word for word in wide.split() if any(c.isdigit() for c in word)]
    assert sorted(figures) == sorted(word for word in narrow.split() if any(c.isdigit() for c in word))


def test_shares_that_get_an_error_stand_apart() -> None:
    lines = written("recommend", 80).splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("Who gets an error"))
    assert lines[start + 2].split() == ["users", "502", "504"]
