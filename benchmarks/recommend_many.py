"""What the whole decision costs a host, in a table of a million and alone.

    python benchmarks/recommend_many.py              # 1 000 000 hosts, some 20 seconds
    python benchmarks/recommend_many.py 100000       # fewer

Seconds of one core (CPU time of this process), the best of three. Hosts of 1 to 64 GiB whose load is 2 to 120 % of what
fits into them. Printed beside it, in the same run: one Erlang C evaluation of the library a host, and of the textbook
form, so that ratios can be compared between machines.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
from scipy.special import gammaincc, gammaln

from capacity import Scenario, recommend, recommend_many
from capacity.queueing import erlang_c

GIB, MIB = 2.0**30, 2.0**20
SHARED = 2000  # hosts with CPU time, each of which is much more work


def fleet(hosts: int, *, cpu_time: bool = False, response_time: bool = False) -> dict[str, object]:
    """Hosts of every size and load."""
    chance = np.random.default_rng(hosts)

    def spread(low: float, high: float) -> np.ndarray:
        return np.exp(chance.uniform(np.log(low), np.log(high), hosts))

    ram, service, think = chance.choice(2.0 ** np.arange(7), hosts) * GIB, spread(0.02, 2), spread(0.5, 60)
    memory = np.floor(chance.uniform(16, 160, hosts)) * MIB
    load = np.floor(0.6 * ram / memory) * spread(0.02, 1.2)
    table: dict[str, object] = {
        "host.ram": ram,
        "host.reserved": np.floor(0.4 * ram),
        "host.cpus": chance.choice(2.0 ** np.arange(6), hosts),
        "worker.memory": memory,
        "worker.shared_memory": 64 * MIB,
        "workload.service_time": service,
        "workload.think_time": think,
        "workload.users": np.maximum(np.rint(load * (think + service) / service), 1.0),
    }
    if cpu_time:
        table["workload.cpu_time"] = service * chance.uniform(0.02, 0.9, hosts)
    if response_time:
        table["objective.response_time"] = service * spread(3.5, 12)
    return table


def textbook(c: np.ndarray, a: np.ndarray) -> np.ndarray:
    """Erlang C by logarithms of the gamma function."""
    pmf = np.exp(c * np.log(a) - a - gammaln(c + 1.0))
    return pmf / (pmf + (1.0 - a / c) * gammaincc(c, a))


def best(work: Callable[[], object], times: int = 3) -> float:
    """CPU seconds of the fastest of some runs."""
    seconds = []
    for _ in range(times):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


def main() -> None:
    """Measure and print."""
    hosts = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    plain, timed = fleet(hosts), fleet(hosts, response_time=True)
    shared = fleet(SHARED, cpu_time=True)
    result = recommend_many(plain)
    c = result["max_children"].astype(np.float64)
    a = np.minimum(result["arrival_rate"] * plain["workload.service_time"], 0.99 * c)
    scenario = Scenario.example()
    recommend(scenario)
    print(f"{hosts} hosts, {np.median(c):.0f} workers at the median, {c.mean():.0f} at the mean; microseconds a host:")
    print(f"{best(lambda: recommend_many(plain)) / hosts * 1e6:9.2f}  the whole decision")
    print(f"{best(lambda: recommend_many(timed)) / hosts * 1e6:9.2f}  with a response-time objective")
    print(f"{best(lambda: recommend_many(shared)) / SHARED * 1e6:9.0f}  with cpu_time, so that workers share cores")
    print(f"{best(lambda: erlang_c(servers=c, offered_load=a)) / hosts * 1e6:9.3f}  one Erlang C of ours")
    print(f"{best(lambda: textbook(c, a)) / hosts * 1e6:9.3f}  one Erlang C by the textbook")
    print(f"{best(lambda: [recommend(scenario) for _ in range(50)], 7) / 50 * 1e3:9.2f}  ms for one recommend()")


if __name__ == "__main__":
    main()
