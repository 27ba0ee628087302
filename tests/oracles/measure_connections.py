"""How far X(n), and the pool as one station of rate X(min(n, c)), are from a simulation with database connections.

Run `python -m tests.oracles.measure_connections [requests]` from the repository's root; nothing is judged here. Three
parts: workers that are never idle (X(n) itself), a pool under a Poisson stream, and one with users. `held` says how
much of the time a connection is held is off the CPU: `off` all of it, `part` some CPU as well, `all` the whole request.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import product

import numpy as np

from capacity import queueing

from .connected_simulation import connected_pool
from .simulation import interval

Case = dict[str, float]
HELD = {"off": (0.4, 0.5), "part": (0.4, 0.8), "all": (0.4, 1.0)}  # CPU time and time a connection is held, of 1
MEASURES = ("throughput", "response_time")


def inner_cases() -> Iterator[tuple[str, Case]]:
    """Both the cores and the connections from plenty to too few."""
    for kind, cores, connections in product(HELD, (2, 4, 16), (2, 4, 8, 12)):
        cpu, held = HELD[kind]
        yield kind, {"servers": 16, "cores": cores, "cpu_time": cpu, "connections": connections, "database_time": held}


def outer_cases() -> Iterator[tuple[str, Case]]:
    """Pools at 60, 80 and 90 % of what they complete."""
    for kind, cores, connections, load in product(HELD, (4, 16), (4, 8), (0.6, 0.8, 0.9)):
        cpu, held = HELD[kind]
        case = {"servers": 16, "cores": cores, "cpu_time": cpu, "connections": connections, "database_time": held}
        inner = {name: value for name, value in case.items() if name != "servers"}
        full = float(queueing.shared_cores_throughput(workers=16, service_time=1.0, **inner))
        yield kind, case | {"arrival_rate": load * full}


def error_of(ours: float, found: tuple[float, float]) -> tuple[float, float]:
    return ours / found[0] - 1, found[1] / found[0]


def main(requests: int) -> None:
    """Print one line a case, and the worst of each kind."""
    worst: dict[tuple[str, str], list[float]] = {}

    def tell(part: str, kind: str, case: Case, name: str, error: float, half: float) -> None:
        worst.setdefault((part, kind), []).append(error)
        values = "  ".join(f"{key} {value:.4g}" for key, value in case.items())
        print(f"{part:15} {kind:4}  {values}  {name} {error:+.4f} (+-{half:.4f})", flush=True)

    for seed, (kind, case) in enumerate(inner_cases()):
        trace = connected_pool(**case, service_time=1.0, population=16, requests=requests, seed=seed)
        inner = {name: value for name, value in case.items() if name != "servers"}
        ours = float(queueing.shared_cores_throughput(workers=16, service_time=1.0, **inner))
        tell("X(n)", kind, case, "throughput", *error_of(ours, trace.throughput()))
    for (seed, (kind, case)), visits in product(enumerate(outer_cases()), (1.0, 5.0)):
        trace = connected_pool(**case, service_time=1.0, visits=visits, requests=requests, seed=seed)
        ours = float(queueing.shared_response_time(**case, service_time=1.0))
        tell(f"open, {visits:.0f} visits", kind, case, "response", *error_of(ours, interval(trace.responses)))
        rate = case.pop("arrival_rate")
        people = {"population": round(rate * 11), "think_time": 10.0}
        trace = connected_pool(**case, **people, service_time=1.0, visits=visits, requests=requests, seed=seed)
        for name, found in zip(MEASURES, (trace.throughput(), interval(trace.responses)), strict=True):
            ours = float(getattr(queueing, f"shared_finite_{name}")(**case, **people, service_time=1.0))
            tell(f"users, {visits:.0f} visits", kind, case | people, name, *error_of(ours, found))
        case["arrival_rate"] = rate
    for (part, kind), errors in worst.items():
        low, middle, high = np.min(errors), np.median(np.abs(errors)), np.max(errors)
        print(f"{part:15} {kind:4} median {middle:.4f}, from {low:+.4f} to {high:+.4f} in {len(errors)} cases")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
