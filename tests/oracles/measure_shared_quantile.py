"""How far the defined p95 response time of a pool that shares cores is from the simulated one.

Run `python -m tests.oracles.measure_shared_quantile [requests]` from the repository's root; nothing is judged here.
The definition is W of the birth-death chain plus an independent exponential hold. Each case is simulated with one
CPU part and one off-CPU part a request, and with ten of each on average (a request that asks a database ten times).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import product

import numpy as np

from . import exact
from .simulation import BATCHES, shared_pool

THINK = 10.0  # in service times, in the closed cases


def cases() -> Iterator[dict[str, float]]:
    """The grid, without the loads the pool cannot carry."""
    for cores, servers, share, load in product((2, 4), (4, 6, 8, 12, 16, 20), (0.2, 0.5, 1.0), (0.5, 0.7, 0.9)):
        rate = load * cores / share
        if rate < 0.995 * exact.shared_cores_throughputs(servers, cores, share, 1.0)[servers]:
            yield {"servers": servers, "cores": cores, "cpu_time": share, "load": load, "rate": rate}


def measure(case: dict[str, float], closed: bool, visits: float, requests: int, seed: int) -> tuple[float, ...]:
    """Relative error of the defined p95, and of the mean; half-width of the simulated p95 (99.9 %)."""
    pool = {"servers": int(case["servers"]), "cores": case["cores"], "cpu_time": case["cpu_time"], "service_time": 1.0}
    if closed:
        population = round(case["rate"] * (1 + THINK))
        users = {"population": population, "think_time": population / case["rate"] - 1}
        means = exact.shared_finite(**pool, **users)
        defined = float(exact.shared_finite_waits(**pool, **users).response_quantile(0.95))
        trace = shared_pool(**pool, **users, visits=visits, requests=requests, seed=seed)
    else:
        means = exact.shared(**pool, arrival_rate=case["rate"])
        defined = float(exact.shared_response_quantile(means, 0.95))
        trace = shared_pool(**pool, arrival_rate=case["rate"], visits=visits, requests=requests, seed=seed)
    simulated = float(np.quantile(trace.responses, 0.95))
    batches = trace.responses[: len(trace.responses) // BATCHES * BATCHES].reshape(BATCHES, -1)
    spread = 3.659 * np.quantile(batches, 0.95, axis=1).std(ddof=1) / np.sqrt(BATCHES)
    mean_error = float(means["response_time"]) / trace.responses.mean() - 1
    return defined / simulated - 1, mean_error, spread / simulated


def main(requests: int) -> None:
    """Print one line a case, then medians and worst cases."""
    rows = []
    for visits, closed in product((1.0, 10.0), (False, True)):
        kind = "finite" if closed else "open"
        for seed, case in enumerate(cases()):
            error, mean_error, spread = measure(case, closed, visits, requests, seed)
            rows.append((visits, kind, case["cpu_time"], case["load"], error, mean_error))
            print(
                f"{kind:6} visits {visits:4.0f}  k {case['cores']}  c {case['servers']:2}  share {case['cpu_time']:.1f}"
                f"  load {case['load']:.1f}  p95 {error:+.3f} (+-{spread:.3f})  mean {mean_error:+.3f}",
                flush=True,
            )
    print("\nvisits model  share load cases   p95 error: lowest median highest   mean error: lowest median highest")
    for visits, kind, share, load in product((1.0, 10.0), ("open", "finite"), (0.2, 0.5, 1.0), (0.5, 0.7, 0.9)):
        chosen = [row for row in rows if row[:4] == (visits, kind, share, load)]
        if chosen:
            columns = [np.array([row[i] for row in chosen]) for i in (4, 5)]
            summary = [f"{f(column):+.3f}" for column in columns for f in (np.min, np.median, np.max)]
            print(f"{visits:6.0f} {kind:6} {share:5.1f} {load:4.1f} {len(chosen):5}   {'  '.join(summary)}")
    for visits, kind in product((1.0, 10.0), ("open", "finite")):
        errors = np.array([row[4] for row in rows if row[:2] == (visits, kind)])
        worst = errors[np.argmax(np.abs(errors))]
        print(f"{visits:6.0f} {kind:6} all: median {np.median(np.abs(errors)):.3f}, worst {worst:+.3f} of the p95")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
