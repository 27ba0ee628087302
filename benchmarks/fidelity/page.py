"""The page of the documentation: between its two marks it is written from the results."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.fidelity.predict import IN_BAND
from benchmarks.fidelity.site import FPM_NAMES, find
from benchmarks.fidelity.table import error, percent
from benchmarks.machine import hardware, versions

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "fidelity.md"
BEGIN, END = "<!-- measured -->", "<!-- end of what was measured -->"
GOALS = {"throughput": 0.02, "response_time": 0.05, "response_time_p95": 0.10}
"""Largest relative errors aimed at."""
MIXED_GOAL = 0.10
STEEP = 0.8
"""Utilization up to which an open case is judged by its error, and from which on by its band."""
Result = dict[str, Any]


def read(file: Path) -> tuple[list[Result], Result, Result]:
    """The last result of each case, the last calibration, and the machine."""
    cases: dict[str, Result] = {}
    calibration: Result = {}
    machine: Result = {}
    for text in file.read_text().splitlines():
        one = json.loads(text)
        if "case" in one:
            cases[one["case"]] = one
        calibration, machine = one.get("calibration", calibration), one.get("machine", machine)
    return list(cases.values()), calibration, machine


def machine() -> Result:
    """On what it is measured."""
    here = hardware()
    return {
        "PHP": _says(find(*FPM_NAMES), "-v").split()[1],
        "nginx": _says(find("nginx"), "-v").rpartition("/")[2].split()[0],
        "kernel": platform.release(),
        "cores": here["cores"],
        "processor": here["processor"],
        **versions(()),
    }


def write(file: Path) -> None:
    """Rewrite what stands between the marks."""
    cases, calibration, measured_on = read(file)
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    body = "\n".join(_body(cases, calibration, measured_on or machine()))
    PAGE.write_text(f"{before}{BEGIN}\n\n{body}\n{END}{after}")


def _body(cases: list[Result], calibration: Result, on: Result) -> Iterator[str]:
    days = sorted({case["at"][:10] for case in cases if "at" in case})
    yield (
        f"Measured on {' and '.join(days)} with PHP {on['PHP']}, nginx {on['nginx']}, Linux {on['kernel']}, Python "
        f"{on['Python']}, fpm-capacity {on['fpm-capacity']}, {on['cores']} cores ({on['processor']}).\n"
    )
    spent = {name: value * 1e3 for name, value in calibration.items() if name != "cores"}
    yield (
        f"Calibration: `%d` is {spent['script']:.2f} ms longer than the script was asked for (and {spent['turn']:.2f} "
        f"ms more for each further sleep), a request holds its worker {spent['held']:.2f} ms longer than `%d`, and "
        f"the client sees {spent['outside']:.2f} ms more than `%d`. A request without work takes {spent['php_cpu']:.2f}"
        f" ms of CPU in PHP, {spent['nginx_cpu']:.2f} ms in nginx and {spent['generator_cpu']:.2f} ms in the "
        "generator.\n"
    )
    yield from _goals(cases)
    yield from _coverage(cases)
    groups = {
        "Users who think": [case for case in cases if _kind(case) == "closed"],
        "Open arrivals": [case for case in cases if _kind(case) in ("open", "trace")],
        "On the CPU": [case for case in cases if _kind(case) in ("cpu", "mixed")],
    }
    for title, group in groups.items():
        if group:
            yield f"## {title}\n"
            yield _table(group)
    steps = [case for case in cases if _kind(case) == "step"]
    if steps:
        yield "## A sudden step\n"
        yield _step_table(steps)


def _kind(case: Result) -> str:
    settings = case.get("settings")
    if settings is None:
        return "step"
    if settings["cpu_share"]:
        return "mixed" if settings["cpu_share"] < 1 else "cpu"
    return str(settings["kind"])


def _goals(cases: list[Result]) -> Iterator[str]:
    """How many of the undisturbed runs met what was aimed at, and which did not."""

    def named(*kinds: str, **wanted: str) -> list[Result]:
        chosen = [case for case in cases if _kind(case) in kinds]
        return [case for case in chosen if all(case["settings"][name] == value for name, value in wanted.items())]

    flat = [case for case in named("open") if _steepness(case) <= STEEP]
    steep = [case for case in named("open") if _steepness(case) > STEEP]
    lawful = [case for case in named("closed") if case["settings"]["law"] == "exponential"]
    lawless = [case for case in named("closed") if case not in lawful]
    mixed = dict.fromkeys(GOALS, MIXED_GOAL)
    rows = [
        ("users, exponential service", "inputs", lawful, GOALS),
        ("users, exponential service", "own", lawful, GOALS),
        ("users, constant and lognormal service", "own", lawless, GOALS),
        (f"open to utilization {STEEP:g}", "own", flat, GOALS),
        (f"open above {STEEP:g}, for information", "own", steep, GOALS),
        ("open and traces, the drawn requests replayed", "replay", named("open", "trace"), GOALS),
        ("mixed work", "own", named("mixed"), mixed),
        ("only CPU", "own", named("cpu"), GOALS),
    ]
    yield "## What was aimed at\n"
    yield (
        "Undisturbed runs whose errors are at most 2 % in throughput, 5 % in the mean response and 10 % in its 95 % "
        "quantile (mixed work: 10 % each).\n"
    )
    yield "| runs | predicted from | throughput | mean | 95 % quantile | worst mean | not met |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for title, source, chosen, goals in rows:
        sound = [case for case in chosen if not case["disturbed"]]
        if not sound:
            continue
        met = [
            f"{sum(abs(error(case, source, name)) <= goal for case in sound)} of {len(sound)}"
            for name, goal in goals.items()
        ]
        worst = max(sound, key=lambda case: abs(error(case, source, "response_time")))
        missed = [
            case["case"] for case in sound if any(abs(error(case, source, name)) > goal for name, goal in goals.items())
        ]
        words = {"inputs": "the inputs", "own": "the run's own figures", "replay": "the requests"}[source]
        yield (
            f"| {title} | {words} | {' | '.join(met)} | {percent(error(worst, source, 'response_time'))} % | "
            f"{', '.join(missed)} |"
        )
    yield ""
    disturbed = [case["case"] for case in cases if case.get("disturbed")]
    yield f"Disturbed: {', '.join(disturbed) if disturbed else 'none'} ({len(disturbed)} of {len(cases)} runs).\n"


def _steepness(case: Result) -> float:
    settings = case["settings"]
    return float(settings["utilization"])


def _table(cases: Iterable[Result]) -> str:
    lines = [
        "| case | requests/s | mean [ms] | chance | 95 % [ms] | busy | from inputs: X, mean, 95 %, busy [%] | own "
        "figures: X, mean, 95 %, busy [%] | replayed: mean, 95 % [%] | in the band (own figures): X, mean, 95 % | |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for case in cases:
        seen = case["measured"]
        chance = seen["response_time_doubt"] / seen["response_time"]
        every = ("throughput", "response_time", "response_time_p95", "busy_workers")
        cells = [
            f"`{case['case']}`",
            f"{seen['throughput']:.1f}",
            f"{seen['response_time'] * 1e3:.1f}",
            f"±{chance * 100:.1f} %",
            f"{seen['response_time_p95'] * 1e3:.1f}",
            f"{seen['busy_workers']:.2f}",
            *(", ".join(percent(error(case, source, name)) for name in every) for source in ("inputs", "own")),
            ", ".join(percent(error(case, "replay", name)) for name in every[1:3]) if case.get("replay") else "",
            ", ".join({True: "in", False: "OUT", None: "-"}[_within(case, "own", name)] for name in IN_BAND),
            "; ".join(case["disturbed"]),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _within(case: Result, source: str, figure: str) -> bool | None:
    """Whether the band of a prediction holds what was measured; None where there is no band."""
    predicted = case.get(source) or {}
    if f"{figure}_low" not in predicted:
        return None
    return bool(predicted[f"{figure}_low"] <= case["measured"][figure] <= predicted[f"{figure}_high"])


def _coverage(cases: list[Result]) -> Iterator[str]:
    """How many of the undisturbed runs lie in the band of a window as long as theirs."""
    sound = [case for case in cases if _kind(case) != "step" and not case["disturbed"]]
    yield "## Within their bands\n"
    yield (
        "Undisturbed runs that lie in the [90 % band](../explanation/accuracy.md#bands) of a window as long as theirs. "
        "Given the run's own rate and mean service time less is left to chance, so that more than 90 of 100 should.\n"
    )
    yield "| runs | predicted from | throughput | mean | 95 % quantile |"
    yield "| --- | --- | --- | --- | --- |"
    groups = {
        "users who think": [case for case in sound if _kind(case) == "closed"],
        f"open to utilization {STEEP:g}": [c for c in sound if _kind(c) == "open" and _steepness(c) <= STEEP],
        f"open above {STEEP:g}": [c for c in sound if _kind(c) == "open" and _steepness(c) > STEEP],
        "on the CPU": [case for case in sound if _kind(case) in ("cpu", "mixed")],
        "all": sound,
    }
    for title, chosen in groups.items():
        for source, words in (("inputs", "the inputs"), ("own", "the run's own figures")):
            cells = []
            for figure in IN_BAND:
                known = [held for case in chosen if (held := _within(case, source, figure)) is not None]
                cells.append(f"{sum(known)} of {len(known)}" if known else "")
            if any(cells):
                yield f"| {title} | {words} | {' | '.join(cells)} |"
    yield ""


def _step_table(cases: Iterable[Result]) -> str:
    lines = [
        "| pool | mean wait [s] | predicted (lowest to highest over the phases of the tick) | given ticks and service "
        "times | 95 % wait [s] | predicted | given | ticks with equal workers |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for case in cases:
        seen, inputs, own = case["measured"], case["inputs"], case["own"]
        cells = [
            f"`{case['case']}`",
            f"{seen['waiting_time']:.3f}",
            f"{inputs['waiting_time']:.3f} ({inputs['waiting_time_low']:.3f} to {inputs['waiting_time_high']:.3f})",
            f"{own['waiting_time']:.3f}",
            *(f"{part['waiting_time_p95']:.3f}" for part in (seen, inputs, own)),
            f"{case['equal_ticks']} of {len(case['workers'])}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _says(program: str | None, option: str) -> str:
    if program is None:
        return "? ?"
    done = subprocess.run([program, option], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr
