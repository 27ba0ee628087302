"""Where the oracle tables are sampled: linear and log regions, edge values, and seeded random points."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

Point = tuple[int, float, float, float, int, float]

SERVERS = (1, 2, 3, 5, 8, 15, 16, 17, 31, 32, 33, 100, 1000, 10_000, 100_000, 1_000_000)
NEAR_FULL = (1e-9, 1e-7, 1e-5, 1e-3)
SPARE = (0.03, 0.1, 0.3, 0.5, 0.9, 0.999)
SQUARE_ROOT = (0.3, 1.0, 3.0, 10.0, 25.0)
OVER = (1.0, 1 + 1e-9, 1.001, 1.1, 2.0, 10.0, 100.0)
PROBABILITIES = (0.5, 0.9, 0.95, 0.99, 0.999)
RATIOS = (0.3, 0.5, 0.8, 0.9, 0.95, 0.99, 1.01, 1.05, 1.2, 2.0, 3.0)
NEAR_ONE = (0.0, 1e-15, -1e-15, 1e-9, -1e-9, 1e-6, -1e-6)


def log_uniform(rng: random.Random, low: float, high: float) -> float:
    """A number whose logarithm is uniform."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def count(rng: random.Random, low: int, high: int) -> int:
    """A whole number whose logarithm is about uniform."""
    return min(high, max(low, round(log_uniform(rng, low, high + 0.5))))


def log_pmf(servers: int, load: float) -> float:
    """About the logarithm of the probability that a Poisson number of that mean equals `servers`."""
    return servers * math.log(load) - load - math.lgamma(servers + 1)


def slacks(servers: int) -> list[float]:
    """Values of 1 - utilization."""
    roots = [beta / math.sqrt(servers) for beta in SQUARE_ROOT]
    return [*NEAR_FULL, *SPARE, *(slack for slack in roots if slack < 0.95)]


def erlang_points() -> Iterator[tuple[int, float]]:
    """Servers and offered load for Erlang B and, below full load, Erlang C."""
    rng = random.Random(1)
    for servers in (*SERVERS, *(count(rng, 4, 1_000_000) for _ in range(14))):
        loads = [servers * (1 - slack) for slack in slacks(servers)]
        loads += [servers * over for over in OVER]
        loads += [1e-12, 1e-3, 1.0] if servers <= 1000 else []
        loads += [servers * (1 - log_uniform(rng, 1e-9, 0.9)) for _ in range(3)]
        loads += [servers * rng.uniform(0.9, 1.2) for _ in range(2)]
        for load in sorted(set(loads)):
            if log_pmf(servers, load) > -830 or servers <= 1000:
                yield servers, load


def mmc_points(most: int, draws: int) -> Iterator[tuple[int, float, float]]:
    """Servers, arrival rate and service time of stable queues; the product is never a round number."""
    rng = random.Random(2)
    counts = [c for c in SERVERS if c <= most]
    counts += [count(rng, 4, most) for _ in range(draws)]
    for servers in counts:
        for slack in (*slacks(servers), log_uniform(rng, 1e-9, 0.9), rng.uniform(0.05, 0.5)):
            if log_pmf(servers, servers * (1 - slack)) > -650:
                service = log_uniform(rng, 1e-6, 1e3)
                yield servers, servers * (1 - slack) / service, service


def mmck_points() -> Iterator[tuple[int, int, float, float]]:
    """Servers, backlog, arrival rate, service time."""
    rng = random.Random(3)
    for servers in (1, 2, 3, 5, 10, 30, 64, 100, 200, 500):
        for backlog in (0, 1, 2, 5, 20, 100, 511, 1024, 4096):
            for offset in rng.sample(NEAR_ONE, 2):
                service = rng.choice((0.25, 0.5, 0.0625))  # a power of two: the product is what it says
                yield servers, backlog, servers * (1 + offset) / service, service
            for ratio in rng.sample(RATIOS, 2):
                service = log_uniform(rng, 1e-5, 1e2)
                yield servers, backlog, servers * ratio / service, service
    for _ in range(60):
        servers, backlog = count(rng, 1, 500), count(rng, 1, 4096)
        service = log_uniform(rng, 1e-5, 1e2)
        yield servers, backlog, servers * (1 + rng.uniform(-1, 1) * log_uniform(rng, 1e-6, 0.7)) / service, service


def finite_points(most: int, draws: int) -> Iterator[tuple[int, int, float, float]]:
    """Servers, population, think time, service time: light, critical and saturated, and the extremes of S/Z."""
    rng = random.Random(4)
    for population in (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000):
        if population > most:
            continue
        counts = {1, 2, population // 20, population // 4, population // 2, population - 1, population}
        for servers in sorted(c for c in counts if 0 < c <= population):
            loads = [1e-3, 0.3, 0.6, 0.8, 0.9, 1.0, 1.05, 1.3, 2.0, 10.0]
            for load in rng.sample(loads, 4 if population <= 1000 else 2):
                service = log_uniform(rng, 1e-4, 1e2)
                think = service * (population / (load * servers) - 1)
                if think > 0:
                    yield servers, population, think, service
    for ratio in (1e-6, 1e-3, 1e2, 1e4):
        for servers, population in ((1, 1), (1, 2), (4, 5), (8, 100), (50, 300), (299, 300), (64, 1000)):
            service = log_uniform(rng, 1e-3, 1e1)
            yield servers, population, service / ratio, service
    for servers, population in ((1, 1), (3, 2), (4, 4), (4, 5), (10, 400)):
        yield servers, population, 0.0, log_uniform(rng, 1e-3, 1e1)
    yield 64, 200, 4.0, 1.0  # the points at which exact MVA fails in doubles
    yield 32, 200, 4.0, 1.0
    yield 8, 100, 4.0, 1.0
    for _ in range(draws):
        population = count(rng, 2, min(most, 3000))
        servers, service = count(rng, 1, population), log_uniform(rng, 1e-4, 1e2)
        yield servers, population, service * log_uniform(rng, 1e-4, 1e6), service
    for ratio in (1e7, 1e9, 1e12, 1e18):  # users who hardly think: an arrival all but never finds a free server
        for servers, population in ((1, 3), (2, 11), (5, 50), (50, 101), (64, 640), (300, 700)):
            service = log_uniform(rng, 1e-3, 1e1)
            yield servers, population, service / ratio, service


def core_points(draws: int) -> Iterator[tuple[int, float, float, float]]:
    """Workers, cores, CPU time, service time."""
    rng = random.Random(5)
    for cores in (1, 2, 4, 7, 16, 64, 128, 0.5, 1.5, 2.25, 6.75):
        for share in (1e-6, 0.01, 0.1, 0.3, 0.5, 0.9, 1 - 1e-9, 1.0):
            service = log_uniform(rng, 1e-3, 1e1)
            for workers in rng.sample((1, 2, 3, 5, 10, 17, 40, 100, 130, 250, 500), 3):
                yield workers, cores, service * share, service
    for _ in range(draws):
        cores = rng.choice((rng.randint(1, 128), round(rng.uniform(0.3, 12), 2)))
        service = log_uniform(rng, 1e-4, 1e2)
        yield count(rng, 1, 500), cores, service * log_uniform(rng, 1e-6, 1.0), service


def pool_points(draws: int) -> Iterator[tuple[int, float, float, float]]:
    """Servers (to 200), cores, CPU time, service time of a whole pool."""
    rng = random.Random(6)
    for cores in (1, 2, 4, 8, 32, 128, 1.5, 2.25):
        for share in (1e-6, 0.1, 0.3, 0.6, 1.0):
            service = log_uniform(rng, 1e-3, 1e1)
            for servers in rng.sample((1, 2, 4, 8, 20, 50, 100, 200), 3):
                yield servers, cores, service * share, service
    for _ in range(draws):
        cores = rng.choice((rng.randint(1, 64), round(rng.uniform(1.0, 8.0), 2)))
        service = log_uniform(rng, 1e-4, 1e2)
        yield count(rng, 1, 200), cores, service * rng.uniform(0.01, 1.0), service
    for cores in (0.5, 0.8):  # a CPU quota below one core
        for share in (0.05, 0.5, 1.0):
            for servers in (1, 3, 20):
                service = log_uniform(rng, 1e-3, 1e1)
                yield servers, cores, service * share, service


def connection_points(draws: int) -> Iterator[Point]:
    """Workers, cores, CPU time, service time, connections (fewer than workers), and the time one is held, off the CPU.

    Cores and connections that are both nearly busy, parts of the service time from 1e-6 to 1e6 of each other, and more
    workers where only two of the three parts are there.
    """
    rng = random.Random(7)

    def cores() -> float:
        return rng.choice((rng.randint(1, 64), log_uniform(rng, 0.25, 64), 0.25, 0.5, 1.5))

    def point(workers: int, connections: int, k: float, cpu: float, held: float, rest: float) -> Point:
        unit = log_uniform(rng, 1e-3, 1e1) / (cpu + held + rest)
        cpu_time, service = cpu * unit, (cpu + held + rest) * unit
        return workers, k, cpu_time, service, connections, min(held * unit, service - cpu_time)

    for _ in range(draws):
        connections, k = count(rng, 1, 500), cores()
        workers = min(1000, connections + count(rng, 1, 1000))
        cpu, held, rest = (log_uniform(rng, 1e-6, 1.0) for _ in range(3))
        cpu, rest = rng.choice(((cpu, rest), (cpu, rest), (cpu, rest), (0.0, rest), (cpu, 0.0)))
        yield point(workers, connections, k, cpu, held, rest)
    for _ in range(draws // 2):  # as many workers as keep them about busy
        connections, k = count(rng, 1, 300), cores()
        slack = [log_uniform(rng, 0.5, 2.0) for _ in range(2)]
        workers = connections + count(rng, 1, 300)
        yield point(workers, connections, k, k * slack[0], connections * slack[1], workers * rng.uniform(0.0, 1.0))
    for workers in (2000, 8192):
        for connections in (1, 30, 500, workers - 1):
            held, cpu = float(rng.randint(connections, 4 * connections)), float(rng.randint(1, 128))
            cores_ = rng.choice((1, 4, 64, 2.25, 0.25))
            yield workers, cores_, cpu, cpu + held, connections, held
            yield workers, cores_, 0.0, held + workers * rng.uniform(0.05, 2.0), connections, held
