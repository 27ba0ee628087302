"""The what-if page: one HTML file with sliders that recommends as it is moved, without a server and without Python.

``model.js`` computes what `recommend` computes, ``whatif.js`` shows it, ``whatif.html`` is the page around them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

from capacity.decision import EXPECTED, USERS
from capacity.errors import InvalidInput, Problem
from capacity.fpm.manager import SOMAXCONN
from capacity.policies import cpu, recycling
from capacity.policies.verdict import VERDICTS, Edges
from capacity.pool import MOST_PROCESSES
from capacity.report.html import html_page
from capacity.report.markup import Markup
from capacity.report.wording import Wording, wording
from capacity.scenario import Scenario
from capacity.table import ROUNDING

__all__ = ["SLIDERS", "Slider", "constants", "model_input", "whatif_page"]

_GIB, _MIB = 2.0**30, 2.0**20
_SAID: Final = re.compile(r'\bsay\("((?:[^"\\]|\\.)*)"')
_PLACE: Final = re.compile(r"{{(.+?)}}")
_USERS: Final = 100  # where a scenario names no load, the slider has to stand somewhere


@dataclass(frozen=True)
class Slider:
    """One input of the page.

    Parameters
    ----------
    name : str
        Of the model's input.
    label : str
        What it is.
    unit : str
        Unit that is shown.
    scale : float
        SI units in it.
    least, most : float
        Ends of the slider, in that unit; what is typed may go beyond.
    optional : bool
        Whether 0 is allowed, and says that it is not known, or none.
    whole : bool
        Whether it counts.
    option : str
        Of ``capacity recommend``; empty where there is none.
    """

    name: str
    label: str
    unit: str
    scale: float
    least: float
    most: float
    optional: bool = False
    whole: bool = False
    option: str = ""


SLIDERS: Final = (
    Slider("users", "Users at the same time", "", 1.0, 1, 100_000, whole=True, option="--users"),
    Slider("think_time", "Pause between two clicks", "s", 1.0, 0.1, 600, option="--think-time"),
    Slider("service_time", "Time a request holds a worker", "ms", 1e-3, 1, 10_000, option="--service-time"),
    Slider("cpu_time", "CPU time of a request (0: not known)", "ms", 1e-3, 1, 10_000, True, option="--cpu-time"),
    Slider("ram", "Memory of the host", "GiB", _GIB, 0.5, 1024, option="--ram"),
    Slider("reserved", "Memory for everything else", "GiB", _GIB, 0.1, 512, True, option="--reserved"),
    Slider("worker_memory", "Memory of a worker at its peak", "MiB", _MIB, 4, 2048, option="--worker-memory"),
    Slider("shared_memory", "Memory all workers share", "MiB", _MIB, 8, 4096, True, option="--shared-memory"),
    Slider("cores", "CPU cores", "", 1.0, 0.5, 128, option="--cpus"),
    Slider(
        "database_connections", "Database connections (0: not known)", "", 1.0, 1, 10_000, True, True,
        "--database-connections",
    ),
    Slider("headroom", "Headroom: factor on the load", "", 1.0, 1, 4, option="--headroom"),
    Slider("max_utilization", "Workers busy at most", "%", 1e-2, 50, 95, option="--max-utilization"),
    Slider("workers_today", "Workers today (0: none)", "", 1.0, 1, 2000, True, True),
)  # fmt: skip
"""The inputs of the page, in its order."""


def whatif_page(scenario: Scenario, *, language: str = "en") -> str:
    """Write the what-if page, its sliders where the scenario is.

    Parameters
    ----------
    scenario : Scenario
        With a think time.
    language : str
        Of the page: ``en`` or ``es``.

    Returns
    -------
    str
        HTML that loads nothing else.

    Raises
    ------
    InvalidInput
        The scenario has no think time, which turns users into requests.

    Examples
    --------
    >>> page = whatif_page(Scenario.example())
    >>> page.count("<script"), "http" in page
    (1, False)
    """
    say = wording(language)
    parts = {name: (files(__package__) / name).read_text(encoding="utf-8") for name in _FILES}
    said = {text: say(text) for name in _FILES[:2] for text in _SAID.findall(parts[name])}
    data = {
        "CONSTANTS": constants(),
        "INPUT": model_input(scenario),
        "SLIDERS": [vars(slider) | {"label": say(slider.label)} for slider in SLIDERS],
        "WORDS": said | {verdict: say(verdict) for verdict in VERDICTS},
        "LANGUAGE": language,
    }
    values = "".join(f"const {name} = {_literal(value)};\n" for name, value in data.items())
    body = _PLACE.sub(lambda place: say(place[1]), parts["whatif.html"])
    notes = "".join(f"<li>{note}</li>" for note in _left_out(scenario, say))
    body = body.replace("<!-- notes -->", f"<ul>{notes}</ul>" if notes else "")
    script = values + parts["model.js"] + parts["whatif.js"]
    title = say("What if? PHP-FPM capacity")
    return html_page(Markup(body), title=title, say=say, style=parts["whatif.css"], script=script)


_FILES: Final = ("model.js", "whatif.js", "whatif.html", "whatif.css")


def _literal(value: object) -> str:
    """Write a value as JavaScript; it may not hold what would end the script around it."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")


def constants() -> dict[str, Any]:
    """What the model takes from the policies, so that it is said in one place."""
    edges = Edges()
    return {
        "rounding": ROUNDING,
        "knee": cpu.KNEE,
        "edges": {"utilization": edges.utilization, "slowdown": edges.slowdown},
        "verdicts": VERDICTS,
        "users": USERS,
        "expected": USERS[EXPECTED],
        "most_workers": MOST_PROCESSES,
        "most_states": 10**6,  # workers up to which the page looks for the knee; far fewer fit into any memory
        "requests": recycling.REQUESTS,
        "lifetime": recycling.LIFETIME,
        "somaxconn": SOMAXCONN,
    }


def model_input(scenario: Scenario) -> dict[str, float | None]:
    """Input of ``plan`` in ``model.js``, in SI units; None: not known, or not set.

    Raises
    ------
    InvalidInput
        The scenario has no think time.

    Examples
    --------
    >>> given = model_input(Scenario.example())
    >>> given["users"], given["service_time"], given["cpu_time"]
    (150, 0.25, None)
    """
    host, worker, workload = scenario.host, scenario.worker, scenario.workload
    if workload.think_time is None:
        hint = "give the seconds between an answer and the next click"
        raise InvalidInput(
            [Problem("workload.think_time", "is missing: the page turns users into requests", hint=hint)]
        )
    users = workload.users
    if users is None:
        click = (workload.think_time + workload.hold_time) / workload.requests_per_click
        users = _USERS if workload.arrival_rate is None else max(1, round(workload.arrival_rate * click))
    connections = host.database_connections
    return {
        "users": users,
        "think_time": workload.think_time,
        "service_time": workload.hold_time,
        "cpu_time": workload.cpu_demand,
        "requests_per_click": workload.requests_per_click,
        "ram": host.ram,
        "reserved": host.reserved,
        "worker_memory": worker.memory,
        "shared_memory": worker.shared_memory,
        "cores": host.cores_left,
        "database_connections": None if connections is None else connections - host.database_connections_reserved,
        "connections_per_worker": worker.database_connections,
        "process_max": scenario.process_max,
        "headroom": scenario.headroom,
        "max_utilization": scenario.objective.max_utilization,
        "web_server_timeout": scenario.web_server_timeout,
        "workers_today": None if scenario.pool is None else scenario.pool.max_children,
        "max_requests": None if scenario.pool is None else scenario.pool.max_requests,
    }


def _left_out(scenario: Scenario, say: Wording) -> Iterator[str]:
    """Fields of the scenario that the page does not compute with."""
    text = "This page does not look at {field}, which the scenario sets; capacity recommend does."
    set_otherwise = {
        "workload.database_time": scenario.workload.database_time is not None,
        "workload.service_scv": scenario.workload.service_scv != 1,
        "objective.response_time": scenario.objective.response_time is not None,
        "policy.spares": scenario.spares != "proportional",
        "policy.process_manager": scenario.process_manager != "keep",
        "host.somaxconn": scenario.host.somaxconn not in (None, SOMAXCONN),
    }
    for field, differs in set_otherwise.items():
        if differs:
            yield say(text, field=field)
