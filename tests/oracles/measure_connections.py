"""How far X(n), and the pool as one station of rate X(min(n, c)), are from a simulation with database connections.

Run `python -m tests.oracles.measure_connections [requests]` from the repository's root; nothing is judged here. Three
parts: workers that are never idle (X(n) itself), a pool under a Poisson stream, and one with users. `held` says how
much of the time a connection is held is off the CPU: `off` all of it, `part` some CPU as well, `all` the whole request.

`python -m tests.oracles.measure_connections balance [networks]` holds X(n) of `part` against the balance equations.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import product

import numpy as np

from capacity import queueing

from .connected_chain import connected_throughput
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


def balance(networks: int) -> None:
    """Print the errors of X(n) where some of the CPU time is spent with a connection, by cores and connections."""
    rng = np.random.default_rng(7)
    found = []
    for _ in range(networks):
        connections = int(rng.integers(1, rng.choice([4, 13, 26])))
        workers = connections + int(rng.integers(1, rng.choice([9, 41, 61])))
        cores, cpu = float(rng.choice([0.5, 1, 1.5, 2, 3, 4, 6, 8, 12])), rng.uniform(0.02, 0.98)
        held = 1 - cpu * rng.uniform(0.02, 0.98)
        case = {"workers": workers, "cores": cores, "cpu_time": cpu, "connections": connections, "database_time": held}
        exact = connected_throughput(**case, service_time=1.0)
        found.append((cores, connections, queueing.shared_cores_throughput(**case, service_time=1.0) / exact - 1))
    cores, connections, error = np.array(found).T
    for few, least in product((0, 2, 4), (1, 3, 6)):
        here = (cores >= few) & (cores < (few + 2 if few < 4 else np.inf))
        here &= (connections >= least) & (connections < (2 * least + 1 if least < 6 else np.inf))
        low, high = error[here].min(), error[here].max()
        print(f"cores from {few}, connections from {least}: {low:+.3f} to {high:+.3f} in {here.sum()} networks")
    print("all:", *(f"{p:g} {np.quantile(np.abs(error), p):.4f}" for p in (0.5, 0.9, 0.99, 1.0)))


if __name__ == "__main__":
    if sys.argv[1:2] == ["balance"]:
        balance(int(sys.argv[2]) if len(sys.argv) > 2 else 5_000)
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
