"""Times in units of something else timed in the same run, which is all that can be compared between machines.

    python -m benchmarks.ratios

Prints them as JSON; ``tests/test_speed_ratios.py`` runs it in a process that nothing traces and holds us to its bounds.
Processor time, best of several runs taken in turn, so that a busy neighbour changes little. Five seconds.
"""

from __future__ import annotations

import json

import numpy as np

import capacity.queueing as q
from benchmarks import textbook
from benchmarks.scenarios import FINITE, finite_source, fleet, grid, scattered, shared_cores, targets, trace
from benchmarks.timing import best, best_starts
from capacity import Scenario, recommend, recommend_many, sweep


def formulas() -> dict[str, float]:
    """A scenario, a cell of a grid, a host: each in evaluations of Erlang C by the textbook form."""
    size, inverses, loads, most, finite, pools, cells = 60_000, 6000, 4000, 500, 20_000, 1000, 200_000
    c, a = scattered(size)
    shared = np.random.default_rng(1).uniform(0.1, 0.99, loads) * most
    cases = targets(inverses)
    hosts = fleet(inverses)
    closed = finite_source("load 0.7 to 1.3 of the servers", finite)  # where they take longest
    workers, cores = np.arange(1.0, most + 1)[:, None], shared_cores(pools)
    scenario, axes = Scenario.example(), grid(cells)
    found = best(
        {
            "textbook": lambda: textbook.erlang_c(c, a),
            "erlang_c": lambda: q.erlang_c(servers=c, offered_load=a),
            "erlang_c_grid": lambda: q.erlang_c_grid(max_servers=most, offered_load=shared),
            **{name: lambda n=name: getattr(q, n)(**cases[n]) for name in cases},
            "recommend_many": lambda: recommend_many(hosts),
            **{name: lambda n=name: getattr(q, n)(**closed) for name in FINITE},
            "shared_cores_throughput": lambda: q.shared_cores_throughput(workers=workers, **cores),
            "sweep": lambda: sweep(scenario, axes, quantity="response_time_p95"),
        },
        4,
    )
    evaluation = found["textbook"] / size
    counts = {
        "erlang_c": size,
        "erlang_c_grid": loads * most,
        **dict.fromkeys((*cases, "recommend_many"), inverses),
        **dict.fromkeys(FINITE, finite),
        "shared_cores_throughput": pools * most,
        "sweep": cells,
    }
    return {name: found[name] / count / evaluation for name, count in counts.items()}


def python() -> dict[str, float]:
    """What runs in Python itself, in requests of a heap in a loop."""
    size = 20_000
    busy, idle = (*trace(40, 0.95, size), 40), (*trace(40, 0.5, size), 40)
    scenario = Scenario.example()
    found = best(
        {
            "loop": lambda: textbook.replay(*busy),
            "busy": lambda: q.replay(arrival_times=busy[0], service_times=busy[1], servers=40),
            "idle": lambda: q.replay(arrival_times=idle[0], service_times=idle[1], servers=40),
            "recommend": lambda: [recommend(scenario) for _ in range(4)],
        },
        6,
    )
    request = found["loop"] / size
    return {
        "replay, utilization 0.95": found["busy"] / size / request,
        "replay, utilization 0.5": found["idle"] / size / request,
        "recommend": found["recommend"] / 4 / request,
    }


def starts() -> dict[str, float]:
    """From nothing to the answer, in times of importing what computing has to load in any case."""
    found = {name: spent for name, (spent, _) in best_starts(2).items()}
    return {name: spent / found["base"] for name, spent in found.items() if name != "base"}


if __name__ == "__main__":
    print(json.dumps(formulas() | python() | starts(), indent=1))
