"""How far pools that share cores, and hosts behind a balancer, are from a simulation.

Run `python -m tests.oracles.measure_fleet [requests]` from the repository's root; nothing is judged here. First pools
on one host: each is computed with the cores that the others leave it on average.
"""

from __future__ import annotations

import sys
from itertools import product

import numpy as np

from capacity import queueing

from .fleet_simulation import Pool, fleet
from .simulation import interval

# Service time, CPU time and share of the CPU load of each pool on a host
MIXES = {
    "two alike": ((0.2, 0.1, 0.5), (0.2, 0.1, 0.5)),
    "light and heavy": ((0.05, 0.02, 0.3), (0.5, 0.3, 0.7)),
    "computing": ((0.1, 0.1, 0.5), (0.3, 0.3, 0.5)),
    "four": ((0.1, 0.05, 0.25), (0.2, 0.05, 0.25), (0.4, 0.2, 0.25), (0.05, 0.04, 0.25)),
}


def sharing(requests: int) -> None:
    """Print mean responses of pools that share cores, and the worst errors."""
    errors: dict[float, list[float]] = {}
    for seed, (mix, cores, busy, visits) in enumerate(product(MIXES, (2, 4, 16), (0.4, 0.6, 0.8), (1.0, 5.0))):
        parts = MIXES[mix]
        work = [share * busy * cores for *_, share in parts]
        rates = [mine / cpu for mine, (_, cpu, _) in zip(work, parts, strict=True)]
        servers = [int(np.ceil(rate * s / 0.7)) + 1 for rate, (s, *_) in zip(rates, parts, strict=True)]
        pools = [(0, Pool(c, cpu, s)) for c, (s, cpu, _) in zip(servers, parts, strict=True)]
        streams = [(rate, (place,)) for place, rate in enumerate(rates)]
        traces = fleet(cores=[cores], pools=pools, streams=streams, visits=visits, requests=requests, seed=seed)
        for trace, rate, mine, (_, pool) in zip(traces, rates, work, pools, strict=True):
            ours = float(
                queueing.shared_response_time(
                    servers=pool.servers, cores=cores - (sum(work) - mine), cpu_time=pool.cpu_time,
                    service_time=pool.service_time, arrival_rate=rate,
                )
            )  # fmt: skip
            found, half = interval(trace.responses)
            errors.setdefault(busy, []).append(ours / found - 1)
            print(
                f"{mix:16} {cores:2} cores {busy:.1f} busy {visits:.0f} visits {pool.servers:3} workers: "
                f"{ours:.4f} s, {found:.4f} +- {half:.4f}, {ours / found - 1:+.3f}",
                flush=True,
            )
    for busy, found_errors in errors.items():
        low, middle, high = np.min(found_errors), np.median(np.abs(found_errors)), np.max(found_errors)
        print(
            f"cores {busy:.1f} busy: median {middle:.3f}, from {low:+.3f} to {high:+.3f} of {len(found_errors)} pools"
        )


if __name__ == "__main__":
    sharing(int(sys.argv[1]) if len(sys.argv) > 1 else 40_000)
