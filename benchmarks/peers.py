"""Ours beside the other packages that are installed, in one run on the same scenarios, into the documentation.

    pip install -e . -r benchmarks/peers.txt     # in an environment of its own
    python -m benchmarks.peers                   # four minutes; rewrites the tables of docs/reference/benchmarks.md
    python -m benchmarks.peers --quick           # half a minute; only prints them

Ours answers every scenario; a package that knows one at a time answers the first some hundreds of the same, and each
of its answers is compared. Processor time of one core, the best of several runs taken in turn.
"""

from __future__ import annotations

import argparse
import datetime as dt
import gc
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import capacity.queueing as q
from benchmarks import textbook
from benchmarks.machine import hardware, versions
from benchmarks.packages import Answers, installed
from benchmarks.scenarios import (
    FINITE,
    FINITE_SOURCES,
    finite_source,
    fleet,
    grid,
    scattered,
    shared_cores,
    targets,
    trace,
)
from benchmarks.timing import best, best_starts
from capacity import Scenario, recommend, recommend_many, sweep

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "benchmarks.md"
BEGIN, END = "<!-- measured -->\n", "<!-- end of what was measured -->\n"
Row = Sequence[str]


def main() -> None:
    """Measure, print, and rewrite the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer scenarios, and the page is left alone")
    quick = parser.parse_args().quick
    scale = 0.1 if quick else 1.0
    answers, state = installed()
    gc.freeze()  # what all of them have loaded is not looked through again and again while one of them runs
    parts = [
        machine(state),
        *erlang(answers, scale),
        *inverses(answers, scale),
        *replays(answers, scale),
        *finite(scale),
        *cores(scale),
        *decisions(scale),
        *sweeps(scale),
        *starts(3 if quick else 15),
    ]
    text = "\n".join(parts)
    print(text)
    if not quick:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def machine(state: dict[str, str]) -> str:
    """When, on what and with what."""
    found = hardware()
    ours = ", ".join(f"{name} {value}" for name, value in versions().items())
    theirs = ", ".join(f"{name} {value}" for name, value in state.items())
    today = dt.datetime.now(dt.UTC).date()
    return (
        f"Measured on {today} with one core of {found['cores']} ({found['processor']}, {found['simd']}), {ours}.\n"
        f"Other packages: {theirs}.\n"
    )


def erlang(answers: dict[str, Answers], scale: float) -> Iterator[str]:
    """Erlang C over scattered arrays."""
    size, sample = round(1e6 * scale), round(4000 * scale)
    c, a = scattered(size)
    values = q.erlang_c(servers=c, offered_load=a)
    rows = [(int(x), float(y)) for x, y in zip(c[:sample], a[:sample], strict=True)]
    ours = best(
        {
            "capacity": lambda: q.erlang_c(servers=c, offered_load=a),
            "textbook, gammaincc over arrays": lambda: textbook.erlang_c(c, a),
        },
        7,
    )
    theirs = {name: given["erlang_c"] for name, given in answers.items() if "erlang_c" in given}
    yield f"## Erlang C, {_spaced(size)} scattered scenarios\n"
    yield "Servers 1 to 1000, utilization 0.1 to 0.99, every scenario another.\n"
    yield from _beside(ours, size, theirs, rows, values, lambda x, y: abs(x - y) <= 1e-9 * y + 1e-290)


def inverses(answers: dict[str, Answers], scale: float) -> Iterator[str]:
    """Every inverse."""
    size, sample = round(1e5 * scale), round(400 * scale)
    cases = targets(size)
    times = best({name: lambda n=name: getattr(q, n)(**cases[n]) for name in cases}, 5)
    yield f"## Inverses, {_spaced(size)} scattered scenarios\n"
    yield "The least servers, or the largest arrival rate or population, that meet a target; 1 to 500 of them.\n"
    rows = []
    for name, taken in times.items():
        given = cases[name]
        asked = {package: known[name] for package, known in answers.items() if name in known}
        others = "no package has it"
        if asked:
            loads = given["arrival_rate"] * given["service_time"]
            questions = [loads, given["wait_probability"]] if "wait_probability" in given else [
                loads, given["p"], given["waiting_time"] / given["service_time"]]  # fmt: skip
            values = getattr(q, name)(**given)
            lines = list(zip(*(column[:sample].tolist() for column in questions), strict=True))
            found = {package: _ask(function, lines, values, lambda x, y: x == y) for package, function in asked.items()}
            others = "; ".join(
                f"{package} {1e6 * each:.0f} µs ({each * size / taken:.0f} ×{_wrong(wrong, sample)})"
                for package, (each, wrong) in sorted(found.items(), key=lambda item: item[1][0])
            )
        rows.append((f"`{name}`", f"{1e6 * taken / size:.2f}", others))
    yield _table(("function", "µs each", "other packages, each (times ours)"), rows)


def finite(scale: float) -> Iterator[str]:
    """The five quantities of M/M/c//N by region."""
    size = round(3e5 * scale)
    yield f"## Finite source, {_spaced(size)} scattered scenarios a row\n"
    yield "Nanoseconds a scenario, up to 3000 users where it does not say fewer; S is the service time."
    yield "The textbook form gives throughput and mean wait in one, and no number where a probability underflows or"
    yield "nobody can wait.\n"
    rows = []
    for region in FINITE_SOURCES:
        case = finite_source(region, size)
        found = best(
            {
                "textbook": lambda: textbook.finite_source(**case),  # noqa: B023
                **{name: lambda n=name: getattr(q, n)(**case) for name in FINITE},  # noqa: B023
            },
            5,
        )
        lost = np.isnan(textbook.finite_source(**case)[0]).mean()
        each = [f"{1e9 * found[name] / size:.0f}" for name in (*FINITE, "textbook")]
        rows.append((region, *each, f"{100 * lost:.0f} %"))
    names = (f"`{name.removeprefix('finite_')}`" for name in FINITE)
    yield _table(("", *names, "textbook", "no number"), rows)


def cores(scale: float) -> Iterator[str]:
    """X(n) of workers that share cores."""
    pools, most, points = round(10_000 * scale), 500, round(3e5 * scale)
    workers, case = np.arange(1.0, most + 1)[:, None], shared_cores(pools)
    point = {
        "workers": np.random.default_rng(6).integers(1, most + 1, points).astype(np.float64),
        **shared_cores(points),
    }

    def book(workers: np.ndarray, cores: np.ndarray, cpu_time: np.ndarray, service_time: np.ndarray) -> object:
        return textbook.finite_source(cores, workers, service_time - cpu_time, cpu_time)

    found = best(
        {
            "write": lambda: np.full((most, pools), 0.5),
            "ours": lambda: q.shared_cores_throughput(workers=workers, **case),
            "textbook": lambda: book(workers, **case),
            "ours, scattered": lambda: q.shared_cores_throughput(**point),
            "textbook, scattered": lambda: book(**point),
        },
        3,
    )
    yield "## Workers that share cores\n"
    yield "Throughput of 1 to 500 workers on 1 to 128 cores, CPU shares of any size.\n"
    rows = [
        (f"each of 1 to {most} workers of {_spaced(pools)} pools, a cell", "ours", "textbook", "write", pools * most),
        (f"{_spaced(points)} scattered points, each", "ours, scattered", "textbook, scattered", "", points),
    ]
    yield _table(
        ("", "capacity", "textbook", "writing an array"),
        [(name, *(f"{1e9 * found[way] / count:.1f} ns" if way else "" for way in ways)) for name, *ways, count in rows],
    )


def replays(answers: dict[str, Answers], scale: float) -> Iterator[str]:
    """A trace through 40 servers."""
    size = round(50_000 * scale)
    yield f"## A trace of {_spaced(size)} requests through 40 servers\n"
    rows = []
    for utilization in (0.95, 0.5):
        case = *trace(40, utilization, size), 40
        waits = q.replay(arrival_times=case[0], service_times=case[1], servers=40)
        ways: dict[str, Callable[..., Any]] = {
            "capacity": lambda a, s, c: q.replay(arrival_times=a, service_times=s, servers=c),
            "textbook, a heap in a loop": textbook.replay,
            **{name: given["replay"] for name, given in answers.items() if "replay" in given},
        }
        fast = best({name: lambda n=name: ways[n](*case) for name in list(ways)[:2]}, 15)  # noqa: B023
        slow = best({name: lambda n=name: ways[n](*case) for name in list(ways)[2:]}, 5)  # noqa: B023
        for name, taken in (fast | slow).items():
            same = np.allclose(ways[name](*case), waits, rtol=0, atol=1e-6)
            rows.append(
                (
                    name,
                    f"{utilization}",
                    f"{1e6 * taken / size:.3f}",
                    f"{taken / fast['capacity']:.1f}",
                    "the same" if same else "**other waits**",
                )
            )
    yield _table(("", "utilization", "µs a request", "times ours", "waits"), rows)


def decisions(scale: float) -> Iterator[str]:
    """The whole decision."""
    size = round(1e6 * scale)
    plain, timed, shared = fleet(size), fleet(size, response_time=True), fleet(2000, cpu_time=True)
    c, a = scattered(size, (1, 200))
    scenario = Scenario.example()
    found = best(
        {
            "plain": lambda: recommend_many(plain),
            "timed": lambda: recommend_many(timed),
            "shared": lambda: recommend_many(shared),
            "erlang": lambda: textbook.erlang_c(c, a),
        },
        3,
    )
    alone = best({"alone": lambda: recommend(scenario)}, 500)["alone"]
    yield f"## The whole decision, {_spaced(size)} hosts\n"
    yield _table(
        ("", "time"),
        [
            ("`recommend_many`, a host", f"{1e6 * found['plain'] / size:.1f} µs"),
            ("the same with a response-time objective", f"{1e6 * found['timed'] / size:.1f} µs"),
            ("the same with `cpu_time`, so that workers share cores", f"{1e6 * found['shared'] / 2000:.0f} µs"),
            ("one Erlang C by the textbook, for comparison", f"{1e6 * found['erlang'] / size:.2f} µs"),
            ("`recommend`, one scenario", f"{1e3 * alone:.2f} ms"),
        ],
    )


def sweeps(scale: float) -> Iterator[str]:
    """Grids of scenarios."""
    cells, many = round(1e6 * scale), round(1e8 * scale)
    scenario, axes = Scenario.example(), grid(cells)
    names = ("utilization", "verdict", "response_time_p95")
    found = best({name: lambda n=name: sweep(scenario, axes, quantity=n) for name in names}, 3)
    command = [sys.executable, "-m", "benchmarks.sweep", "--cells", str(many)]
    done = subprocess.run(command, cwd=PAGE.parents[2], check=True, stdout=subprocess.PIPE, text=True)
    kept = json.loads(done.stdout)
    yield f"## A sweep of {_spaced(cells)} cells\n"
    yield _table(
        ("", "a cell"),
        [
            *((f"`{name}`", f"{1e9 * taken / cells:.0f} ns") for name, taken in found.items()),
            (
                f"three quantiles of `response_time_p95` over {_spaced(kept['cells'])} cells",
                f"{1e9 * kept['seconds'] / kept['cells']:.0f} ns",
            ),
        ],
    )
    yield (
        f"The quantiles took {kept['seconds']:.0f} s and {kept['peak_memory'] / 2**20:.0f} MiB at most, "
        "Python and its libraries included.\n"
    )


def starts(repetitions: int) -> Iterator[str]:
    """From nothing to the answer."""
    found = best_starts(repetitions)
    yield "## Start-up\n"
    yield "The base is importing numpy, scipy.special and pydantic; one BLAS thread.\n"
    yield _table(
        ("", "processor time", "elapsed", "times the base"),
        [
            (name, f"{1e3 * spent:.0f} ms", f"{1e3 * elapsed:.0f} ms", f"{elapsed / found['base'][1]:.2f}")
            for name, (spent, elapsed) in found.items()
        ],
    )


def _beside(
    ours: dict[str, float],
    size: int,
    theirs: dict[str, Callable[..., Any]],
    rows: Sequence[tuple[Any, ...]],
    values: np.ndarray,
    agrees: Callable[[float, float], bool],
) -> Iterator[str]:
    """A table of ours in full, and of theirs over the first rows."""
    first = next(iter(ours.values())) / size
    lines = [(name, f"{1e6 * t / size:.3f}", f"{t / size / first:.2f}", "") for name, t in ours.items()]
    asked = {name: _ask(function, rows, values, agrees) for name, function in theirs.items()}
    for name, (each, wrong) in sorted(asked.items(), key=lambda item: item[1][0]):
        verdict = f"{wrong} of {len(rows)} wrong" if wrong else f"the same {len(rows)} times"
        lines.append((name, f"{1e6 * each:.1f}", f"{each / first:.0f}", verdict))
    yield _table(("", "µs each", "times ours", "answers"), lines)


def _ask(
    function: Callable[..., Any],
    rows: Sequence[tuple[Any, ...]],
    values: np.ndarray,
    agrees: Callable[[float, float], bool],
) -> tuple[float, int]:
    """Seconds an answer, and how many differ from ours or are an exception."""

    def one(row: tuple[Any, ...]) -> float:
        try:
            return float(function(*row))
        except (ArithmeticError, ValueError):
            return float("nan")

    taken = best({"theirs": lambda: [one(row) for row in rows]}, 3)["theirs"] / len(rows)
    answers = [one(row) for row in rows]
    return taken, sum(not agrees(x, float(y)) for x, y in zip(answers, values, strict=False))


def _spaced(number: int) -> str:
    return f"{number:_}".replace("_", " ")


def _wrong(wrong: int, sample: int) -> str:
    return f", **{wrong} of {sample} wrong**" if wrong else ""


def _table(head: Row, rows: Sequence[Row]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


if __name__ == "__main__":
    main()
