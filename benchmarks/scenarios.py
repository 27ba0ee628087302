"""The scenarios that are timed: seeded, so that every run and every package gets the same."""

from __future__ import annotations

import numpy as np

GIB, MIB = 2.0**30, 2.0**20
Arrays = dict[str, np.ndarray]
FINITE = tuple(
    f"finite_{name}" for name in ("throughput", "utilization", "wait_probability", "waiting_time", "response_time")
)


def scattered(
    size: int, servers: tuple[int, int] = (1, 1000), utilization: tuple[float, float] = (0.1, 0.99)
) -> tuple[np.ndarray, np.ndarray]:
    """Servers and offered loads, every row another."""
    rng = np.random.default_rng(1)
    c = rng.integers(servers[0], servers[1] + 1, size).astype(np.float64)
    return c, c * rng.uniform(*utilization, size)


def targets(size: int) -> dict[str, Arrays]:
    """Arguments of every inverse, by its name."""
    rng = np.random.default_rng(2)
    service = np.exp(rng.uniform(-4, 2, size))
    p, wait = rng.choice([0.5, 0.9, 0.95, 0.99], size), np.exp(rng.uniform(-7, 0, size))
    queue = {"arrival_rate": rng.uniform(1, 500, size) / service, "service_time": service}
    pool = {"servers": rng.integers(1, 500, size).astype(np.float64), "service_time": service}
    users = pool | {"think_time": service * np.exp(rng.uniform(-1, 3, size))}
    by_wait = {"wait_probability": wait}
    by_waiting = {"p": p, "waiting_time": service * np.exp(rng.uniform(-5, 1, size))}
    by_response = {"p": p, "response_time": -service * np.log1p(-p) * rng.uniform(1.02, 3, size)}
    return {
        "servers_for_wait_probability": queue | by_wait,
        "servers_for_waiting_time_quantile": queue | by_waiting,
        "servers_for_response_time_quantile": queue | by_response,
        "arrival_rate_for_wait_probability": pool | by_wait,
        "arrival_rate_for_waiting_time_quantile": pool | by_waiting,
        "arrival_rate_for_response_time_quantile": pool | by_response,
        "population_for_wait_probability": users | by_wait,
        "population_for_response_time_quantile": users | by_response,
    }


def trace(servers: int, utilization: float, requests: int) -> tuple[np.ndarray, np.ndarray]:
    """Poisson arrivals and exponential services of 1 s."""
    rng = np.random.default_rng(servers)
    return np.cumsum(rng.exponential(1 / (servers * utilization), requests)), rng.exponential(1.0, requests)


def fleet(hosts: int, *, cpu_time: bool = False, response_time: bool = False) -> dict[str, object]:
    """Hosts of 1 to 64 GiB whose load is 2 to 120 % of what fits into them."""
    rng = np.random.default_rng(3)

    def spread(low: float, high: float) -> np.ndarray:
        return np.exp(rng.uniform(np.log(low), np.log(high), hosts))

    ram, service, think = rng.choice(2.0 ** np.arange(7), hosts) * GIB, spread(0.02, 2), spread(0.5, 60)
    memory = np.floor(rng.uniform(16, 160, hosts)) * MIB
    load = np.floor(0.6 * ram / memory) * spread(0.02, 1.2)
    table: dict[str, object] = {
        "host.ram": ram,
        "host.reserved": np.floor(0.4 * ram),
        "host.cpus": rng.choice(2.0 ** np.arange(6), hosts),
        "worker.memory": memory,
        "worker.shared_memory": 64 * MIB,
        "workload.service_time": service,
        "workload.think_time": think,
        "workload.users": np.maximum(np.rint(load * (think + service) / service), 1.0),
    }
    if cpu_time:
        table["workload.cpu_time"] = service * rng.uniform(0.02, 0.9, hosts)
    if response_time:
        table["objective.response_time"] = service * spread(3.5, 12)
    return table


FINITE_SOURCES = ("think times 1e-4 to 1e6 S", "load 0.7 to 1.3 of the servers", "up to 200 servers", "up to 60 users")
"""Regions of `finite_source`: up to 3000 users where it does not say fewer, S the service time."""


def finite_source(region: str, size: int, rng: np.random.Generator | None = None) -> Arrays:
    """Arguments of every ``finite_*`` function, every row another."""
    rng = np.random.default_rng(4) if rng is None else rng
    population = rng.integers(1, 61 if region == "up to 60 users" else 3001, size).astype(np.float64)
    servers = np.ceil(population * rng.random(size))
    if region == "think times 1e-4 to 1e6 S":
        ratio = 10 ** rng.uniform(-4, 6, size)
    elif region == "load 0.7 to 1.3 of the servers":
        ratio = np.maximum(population / servers / rng.uniform(0.7, 1.3, size) - 1, 1e-2)
    elif region == "up to 200 servers":
        servers = rng.integers(1, 201, size).astype(np.float64)
        ratio = 10 ** rng.uniform(-1, 2.3, size)
    else:
        ratio = 10 ** rng.uniform(-1, 1.5, size)
    service = np.exp(rng.uniform(-5, 2, size))
    return {"servers": servers, "population": population, "think_time": ratio * service, "service_time": service}


def shared_cores(size: int, rng: np.random.Generator | None = None) -> Arrays:
    """Pools of 1 to 128 cores, half of them with CPU shares of any order of magnitude down to 1e-6."""
    rng = np.random.default_rng(5) if rng is None else rng
    share = np.where(rng.random(size) < 0.5, rng.random(size), 10 ** rng.uniform(-6, 0, size))
    service = np.exp(rng.uniform(-5, 2, size))
    cores = rng.integers(1, 129, size).astype(np.float64)
    return {"cores": cores, "cpu_time": service * share, "service_time": service}


def grid(cells: int) -> dict[str, object]:
    """Axes of a sweep: 100 numbers of users, 100 of workers, and as many service times as make so many cells."""
    return {
        "users": range(10, 1010, 10),
        "workers": range(1, 101),
        "service_time": np.linspace(0.05, 0.5, max(1, cells // 10_000)),
    }
