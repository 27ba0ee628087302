"""How far pools that share cores, and hosts behind a balancer, are from a simulation.

Run `python -m tests.oracles.measure_fleet sharing|balancing [requests [way ...]]` from the root; nothing is
judged here. Pools on one host (sharing) are computed with the cores that the others leave them on average.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import product

import numpy as np

from capacity import Scenario, queueing
from capacity.fleet.balancing import BALANCINGS, balanced_pool
from capacity.table import table_of

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


def balancing(requests: int, ways: Sequence[str] = BALANCINGS) -> None:
    """Print waits and responses of hosts behind a balancer, and the worst errors."""
    errors: dict[tuple[str, str, str], list[float]] = {}
    cases = product(BALANCINGS[:3], (2, 4, 10), ((4, 1), (4, 2), (16, 8)), (0.0, 0.4, 1.0), (0.6, 0.8, 0.9))
    for seed, (way, hosts, (workers, cores), cpu, load) in enumerate(cases):
        if way not in ways or (cpu == 0 and cores == 1):
            continue
        inner = {"cores": cores, "cpu_time": cpu, "service_time": 1.0}
        rate = hosts * load * float(queueing.shared_cores_throughput(workers=workers, **inner))
        trace = fleet(
            cores=[cores] * hosts,
            pools=[(host, Pool(workers, cpu, 1.0)) for host in range(hosts)],
            streams=[(rate, range(hosts))],
            balancing=way,
            visits=5.0 if 0 < cpu < 1 else 1.0,
            requests=requests,
            seed=seed,
        )[0]
        table = table_of(Scenario.from_mapping(_tables(cores, cpu)))
        columns = (np.array([float(value)]) for value in (workers, hosts, rate))
        pool = balanced_pool(table, *columns, way)
        for name, ours, times in (
            ("wait", pool["waiting_time"], trace.waits),
            ("response", pool["waiting_time"] + pool["hold"], trace.responses),
        ):
            found, half = interval(times)
            error = (float(ours[0]) - found) / (found if name == "response" else 1.0)
            errors.setdefault((way, "cores" if cpu else "workers only", name), []).append(error)
            print(
                f"{way:17} {hosts:2} hosts {workers:2} workers {cores} cores CPU {cpu:.1f} load {load:.1f} {name:8} "
                f"{float(ours[0]):.4f}, {found:.4f} +- {half:.4f}, {error:+.4f}",
                flush=True,
            )
    for (way, what, name), found_errors in errors.items():
        low, middle, high = np.min(found_errors), np.median(np.abs(found_errors)), np.max(found_errors)
        unit = "of it" if name == "response" else "service times"
        print(f"{way:17} {what:12} {name:8} median {middle:.3f}, from {low:+.3f} to {high:+.3f} {unit}")


def _tables(cores: float, cpu: float) -> dict[str, dict[str, object]]:
    return {
        "host": {"ram": "4GiB", "reserved": 0, "cpus": cores},
        "worker": {"memory": "64MiB"},
        "workload": {"service_time": 1.0, "cpu_time": cpu},
    }


if __name__ == "__main__":
    number = int(sys.argv[2]) if len(sys.argv) > 2 else 40_000
    if sys.argv[1:2] == ["balancing"]:
        balancing(number, sys.argv[3:] or BALANCINGS)
    else:
        sharing(number)
