"""Requests a second of ``replay`` on one core, beside the bare heap and beside Ciw and SimPy on the same trace.

    pip install ciw simpy          # the peers; without them their columns are left out
    python benchmarks/replay.py    # three minutes

M/M/c traces. Processor time, the best of several runs in turn. Peers get a short trace, since their rate does not
grow with it; on that trace they must find the same waits, so that what is compared is the same work.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable
from heapq import heapreplace

import numpy as np

from capacity.queueing import replay

SERVERS, UTILIZATIONS, BACKLOG = (4, 40, 200), (0.2, 0.5, 0.7, 0.95), 128


def trace(servers: int, utilization: float, requests: int) -> tuple[np.ndarray, np.ndarray]:
    """Poisson arrivals and exponential services of 1 s."""
    rng = np.random.default_rng(servers)
    return np.cumsum(rng.exponential(1 / (servers * utilization), requests)), rng.exponential(1.0, requests)


def ours(arrivals: np.ndarray, services: np.ndarray, servers: int) -> np.ndarray:
    """Without a limit."""
    return replay(arrival_times=arrivals, service_times=services, servers=servers)


def limited(arrivals: np.ndarray, services: np.ndarray, servers: int) -> np.ndarray:
    """With a backlog."""
    return replay(arrival_times=arrivals, service_times=services, servers=servers, backlog=BACKLOG)


def heap(arrivals: np.ndarray, services: np.ndarray, servers: int) -> np.ndarray:
    """The textbook form: a heap of free times, in a loop."""
    free, waits = [0.0] * servers, []
    for arrival, service in zip(arrivals.tolist(), services.tolist(), strict=True):
        start = max(arrival, free[0])
        heapreplace(free, start + service)
        waits.append(start - arrival)
    return np.array(waits)


def with_simpy(arrivals: np.ndarray, services: np.ndarray, servers: int) -> np.ndarray:
    """A resource, and a process for each request."""
    import simpy

    world = simpy.Environment()
    pool, waits = simpy.Resource(world, servers), np.empty(arrivals.size)

    def request(number: int, service: float):
        with pool.request() as turn:
            came = world.now
            yield turn
            waits[number] = world.now - came
            yield world.timeout(service)

    def source():
        now = 0.0
        for number, (arrival, service) in enumerate(zip(arrivals.tolist(), services.tolist(), strict=True)):
            yield world.timeout(arrival - now)
            now = arrival
            world.process(request(number, service))

    world.process(source())
    world.run()
    return waits


def with_ciw(arrivals: np.ndarray, services: np.ndarray, servers: int) -> np.ndarray:
    """One node, whose arrivals and services are the sequences."""
    import ciw

    gaps = np.diff(arrivals, prepend=0.0).tolist()
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Sequential([*gaps, float("inf")])],
        service_distributions=[ciw.dists.Sequential(services.tolist())],
        number_of_servers=[servers],
    )
    world = ciw.Simulation(network)
    world.simulate_until_max_customers(arrivals.size, method="Finish")
    records = sorted(world.get_all_records(), key=lambda record: record.id_number)
    return np.array([record.waiting_time for record in records])


def best(cases: dict[str, Callable[[], object]], repetitions: int) -> dict[str, float]:
    """The least processor time of each, taken in turn so that a busy moment hits all of them."""
    found = dict.fromkeys(cases, float("inf"))
    for _ in range(repetitions):
        for name, case in cases.items():
            start = time.process_time()
            case()
            found[name] = min(found[name], time.process_time() - start)
    return found


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--requests", type=int, default=1_000_000)
    options.add_argument("--peer-requests", type=int, default=50_000)
    options.add_argument("--repetitions", type=int, default=5)
    chosen = options.parse_args()
    peers = {"Ciw": ("ciw", with_ciw), "SimPy": ("simpy", with_simpy)}
    peers = {name: run for name, (module, run) in peers.items() if importlib.util.find_spec(module)}
    print("millions of requests a second; in brackets: times the rate of the peer on the same short trace")
    print(
        f"servers  utilization  waiting  replay  backlog {BACKLOG}  bare heap  ",
        *(f"{name:>20}" for name in peers),
    )
    for servers in SERVERS:
        for utilization in UTILIZATIONS:
            long = *trace(servers, utilization, chosen.requests), servers
            waits = ours(*long)
            if not np.allclose(waits, heap(*long), rtol=0, atol=1e-6):
                raise AssertionError("the heap finds other waits")
            cases = {"replay": lambda: ours(*long), "backlog": lambda: limited(*long), "heap": lambda: heap(*long)}  # noqa: B023
            rate = {name: chosen.requests / taken for name, taken in best(cases, chosen.repetitions).items()}
            short = *trace(servers, utilization, chosen.peer_requests), servers
            taken = best({"ours": lambda: ours(*short)}, 2 * chosen.repetitions)["ours"]  # noqa: B023
            columns = []
            for name, run in peers.items():
                if not np.allclose(run(*short), ours(*short), rtol=0, atol=1e-6):
                    raise AssertionError(f"{name} finds other waits")
                theirs = best({name: lambda: run(*short)}, 2)[name]  # noqa: B023
                columns.append(f"{chosen.peer_requests / theirs / 1e6:9.4f} ({theirs / taken:5.0f} x)")
            print(
                f"{servers:7} {utilization:12.2f} {np.mean(waits > 0):8.1%} {rate['replay'] / 1e6:7.1f} "
                f"{rate['backlog'] / 1e6:12.1f} {rate['heap'] / 1e6:10.1f}  ",
                *(f"{column:>20}" for column in columns),
            )


if __name__ == "__main__":
    main()
