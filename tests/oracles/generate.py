"""Write the oracle tables: `python -m tests.oracles.generate [table ...]` from the repository's root.

Inputs are printed so that they read back as the same double; results have 22 significant digits. A result below
1e-400 is written as 0. The whole takes some minutes on one core.
"""

from __future__ import annotations

import datetime as dt
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import mpmath

from . import exact, points
from .exact import mp, mpf

HERE = Path(__file__).parent
DIGITS = 22
Row = dict[str, object]


def text(value: object) -> str:
    """A double so that it reads back the same; a high-precision number with 22 digits."""
    if isinstance(value, exact.Real):
        if value != 0 and abs(value) < mpf(10) ** -400:
            return "0"
        return mp.nstr(value, DIGITS, strip_zeros=True)
    return repr(value)


def erlang() -> Iterator[Row]:
    """Sums over the states of M/M/c/c; C = c B / (c - a (1 - B))."""
    for servers, load in points.erlang_points():
        stable = load < servers
        yield {
            "servers": servers,
            "offered_load": load,
            "erlang_b": exact.erlang_b(servers, mpf(load)),
            "erlang_c": exact.erlang_c(servers, mpf(load)) if stable else 1.0,
        }


def mmc() -> Iterator[Row]:
    """Erlang C from the sum over states; means by definition."""
    for servers, rate, service in points.mmc_points(1_000_000, 8):
        yield {
            "servers": servers,
            "arrival_rate": rate,
            "service_time": service,
            **exact.mmc(servers, rate, service),
        }


def mmc_tails() -> Iterator[Row]:
    """P(W > t) and P(R > t): Erlang C and the convolution of two exponentials."""
    rng = random.Random(12)
    for servers, rate, service in points.mmc_points(10_000, 4):
        load = mpf(rate) * mpf(service)
        scale = float(mpf(service) / (servers - load))
        times = [0.0, service * rng.uniform(0.01, 3), scale * rng.uniform(0.3, 3), scale * rng.uniform(3, 600)]
        for t in rng.sample(times, 2):
            waiting, response = exact.mmc_tails(servers, rate, service, t)
            yield {
                "t": t,
                "servers": servers,
                "arrival_rate": rate,
                "service_time": service,
                "waiting_time_tail": waiting,
                "response_time_tail": response,
            }


def mmc_quantiles() -> Iterator[Row]:
    """W by its logarithm, R by Newton on the tail; points where P(W > 0) all but equals 1 - p are left out."""
    for servers, rate, service in points.mmc_points(100_000, 3):
        wait = exact.erlang_c(servers, mpf(rate) * mpf(service))
        for p in points.PROBABILITIES:
            if abs(mp.log(wait / (1 - mpf(p)))) < 0.1:
                continue
            waiting, response = exact.mmc_quantiles(servers, rate, service, p)
            yield {
                "p": p,
                "servers": servers,
                "arrival_rate": rate,
                "service_time": service,
                "waiting_time_quantile": waiting,
                "response_time_quantile": response,
            }


def mmck() -> Iterator[Row]:
    """Balance equations over states 0 .. servers + backlog; accepted requests by the states they find."""
    for servers, backlog, rate, service in points.mmck_points():
        yield {
            "servers": servers,
            "backlog": backlog,
            "arrival_rate": rate,
            "service_time": service,
            **exact.mmck(servers, backlog, rate, service),
        }


def mmck_tails() -> Iterator[Row]:
    """P(W > t) of accepted requests: a sum over the states they find of an Erlang tail."""
    rng = random.Random(13)
    for servers, backlog, rate, service in points.mmck_points():
        scale = service * (backlog + 1) / servers
        for t in (scale * rng.uniform(0, 1.2), scale * points.log_uniform(rng, 1e-3, 8)):
            yield {
                "t": t,
                "servers": servers,
                "backlog": backlog,
                "arrival_rate": rate,
                "service_time": service,
                "waiting_time_tail": exact.mmck_waiting_tail(servers, backlog, rate, service, t),
            }


CLOSED = ("throughput", "utilization", "wait_probability", "waiting_time", "response_time")


def finite() -> Iterator[Row]:
    """Balance equations over the states; an arrival sees the pool with one user fewer."""
    for servers, population, think, service in points.finite_points(10_000, 120):
        means = exact.finite(servers, population, think, service)
        yield {
            "servers": servers,
            "population": population,
            "think_time": think,
            "service_time": service,
            **{name: means[name] for name in CLOSED},
        }


def finite_tails() -> Iterator[Row]:
    """Sums over the states an arrival finds of Erlang tails, and of Erlang plus exponential tails."""
    rng = random.Random(14)
    for servers, population, think, service in points.finite_points(10_000, 60):
        law = exact.finite_waits(servers, population, think, service)
        queue = max(population - servers, 1) * service / servers
        times = [service * rng.uniform(0.01, 4), queue * rng.uniform(0, 1), queue * points.log_uniform(rng, 0.1, 9)]
        for t in rng.sample(times, 2):
            waiting, response, _ = law.tails(mpf(t))
            yield {
                "t": t,
                "servers": servers,
                "population": population,
                "think_time": think,
                "service_time": service,
                "waiting_time_tail": waiting,
                "response_time_tail": response,
            }


def finite_quantiles() -> Iterator[Row]:
    """Newton on the logarithm of the tails; points where P(W > 0) all but equals 1 - p are left out."""
    rng = random.Random(15)
    for servers, population, think, service in points.finite_points(10_000, 40):
        law = exact.finite_waits(servers, population, think, service)
        wait = mp.fsum(law.weights)
        for p in rng.sample(points.PROBABILITIES, 3 if population <= 1000 else 1):
            if wait > 0 and abs(mp.log(wait / (1 - mpf(p)))) < 0.1:
                continue
            yield {
                "p": p,
                "servers": servers,
                "population": population,
                "think_time": think,
                "service_time": service,
                "waiting_time_quantile": law.waiting_quantile(p),
                "response_time_quantile": law.response_quantile(p),
            }


def shared_cores() -> Iterator[Row]:
    """X(n): the sum over states of P(j on the CPU) min(j, cores) / cpu_time."""
    for workers, cores, cpu, service in points.core_points(120):
        yield {
            "workers": workers,
            "cores": cores,
            "cpu_time": cpu,
            "service_time": service,
            "throughput": exact.shared_cores_throughputs(workers, cores, cpu, service)[workers],
        }


def shared_connections() -> Iterator[Row]:
    """X(n): the sum over states of P(i ask for or hold a connection) min(i, connections) / database_time."""
    names = ("workers", "cores", "cpu_time", "service_time", "connections", "database_time")
    for point in points.connection_points(240):
        yield {**dict(zip(names, point, strict=True)), "throughput": exact.shared_connections_throughput(*point)}


SHARED_QUANTILES = {"response_time_p50": 0.5, "response_time_p95": 0.95, "response_time_p99": 0.99}


def shared() -> Iterator[Row]:
    """Birth-death chain with completion rate X(min(n, servers)); R = W + an exponential of mean busy / throughput."""
    rng = random.Random(16)
    for servers, cores, cpu, service in points.pool_points(80):
        most = exact.shared_cores_throughputs(servers, cores, cpu, service)[servers]
        loads = (1e-3, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999, 0.9999)
        for load in rng.sample(loads, 2):
            rate = float(most * load)
            means = exact.shared(servers, cores, cpu, service, rate)
            yield {
                "servers": servers,
                "cores": cores,
                "cpu_time": cpu,
                "service_time": service,
                "arrival_rate": rate,
                **{name: means[name] for name in CLOSED},
                **{name: exact.shared_response_quantile(means, p) for name, p in SHARED_QUANTILES.items()},
            }


def shared_finite() -> Iterator[Row]:
    """The same chain fed by a finite number of users; an arrival sees one user fewer."""
    rng = random.Random(17)
    for servers, cores, cpu, service in points.pool_points(80):
        most = exact.shared_cores_throughputs(servers, cores, cpu, service)[servers]
        for population in rng.sample((1, 2, servers, servers + 1, 2 * servers, 100, 300, 500), 2):
            load = rng.choice((0.05, 0.5, 0.8, 0.95, 1.0, 1.1, 2.0))
            think = max(0.0, float(population / (most * load)) - service)
            yield shared_finite_row(servers, cores, cpu, service, population, think)
    for servers, population in ((2, 11), (50, 100), (20, 300)):  # users who hardly think
        for ratio in (1e7, 1e10, 1e15):
            yield shared_finite_row(servers, 7.05, 0.25, 1.0, population, 1 / ratio)


def shared_finite_row(servers: int, cores: float, cpu: float, service: float, population: int, think: float) -> Row:
    """One row of that table."""
    law = exact.shared_finite_waits(servers, cores, cpu, service, population, think)
    means = exact.shared_finite(servers, cores, cpu, service, population, think)
    return {
        "servers": servers,
        "cores": cores,
        "cpu_time": cpu,
        "service_time": service,
        "population": population,
        "think_time": think,
        **{name: means[name] for name in CLOSED},
        **{name: law.response_quantile(p) for name, p in SHARED_QUANTILES.items()},
    }


def least(meets: Callable[[int], bool], low: int, high: int) -> int:
    """Least whole number in (low, high] that meets a monotone condition; high is grown until it does."""
    while not meets(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if meets(middle) else (middle, high)
    return high


def servers_for() -> Iterator[Row]:
    """Least number of servers, by bisection on the exact law."""
    rng = random.Random(18)
    for _ in range(220):
        service = points.log_uniform(rng, 1e-4, 1e2)
        rate = points.log_uniform(rng, 1e-2, 3e4) / service
        load = mpf(rate) * mpf(service)
        floor = int(load)
        wait = rng.choice((0.01, 0.05, 0.2, 0.5, 0.9, points.log_uniform(rng, 1e-6, 1)))
        p = rng.choice(points.PROBABILITIES)
        waiting = service * points.log_uniform(rng, 1e-3, 3)
        response = service * float(-mp.log(1 - mpf(p))) * (1 + points.log_uniform(rng, 1e-3, 3))
        left = 1 - mpf(p)
        start = floor + int(load**0.5) + 2

        def tails(c: int, t: float, rate: float = rate, service: float = service) -> tuple[object, object]:
            return exact.mmc_tails(c, rate, service, t)

        yield {
            "arrival_rate": rate,
            "service_time": service,
            "wait_probability": wait,
            "p": p,
            "waiting_time": waiting,
            "response_time": response,
            "for_wait_probability": least(
                lambda c: exact.erlang_c(c, load) <= wait,  # noqa: B023
                floor,
                start,
            ),
            "for_waiting_time_quantile": least(lambda c: tails(c, waiting)[0] <= left, floor, start),  # noqa: B023
            "for_response_time_quantile": least(lambda c: tails(c, response)[1] <= left, floor, start),  # noqa: B023
        }


def largest_load(value: Callable[[object], object], target: object, servers: int) -> object:
    """The load at which an increasing function of the load reaches the target (0 to servers), by bisection."""
    low, high = mpf(0), mpf(servers)
    for _ in range(90):
        middle = (low + high) / 2
        low, high = (middle, high) if value(middle) <= target else (low, middle)
    return low


def arrival_rate_for() -> Iterator[Row]:
    """Largest arrival rate, by bisection on the exact law to 27 digits of the servers' capacity."""
    rng = random.Random(19)
    for _ in range(110):
        servers = points.count(rng, 1, 300)
        service = points.log_uniform(rng, 1e-4, 1e2)
        hold = mpf(service)
        wait = rng.choice((0.01, 0.05, 0.2, 0.5, 0.9, points.log_uniform(rng, 1e-6, 1)))
        p = rng.choice(points.PROBABILITIES)
        left = 1 - mpf(p)
        waiting = service * points.log_uniform(rng, 1e-3, 3)
        response = service * float(-mp.log(left)) * (1 + points.log_uniform(rng, 1e-3, 3))

        def tail(which: int, t: float, load: object, servers: int = servers, hold: object = hold) -> object:
            if load >= servers:
                return mpf(1)
            wait = exact.erlang_c(servers, load)
            return exact.exponential_wait_tails(wait, (servers - load) / hold, hold, mpf(t))[which]

        by_wait = largest_load(lambda a: exact.erlang_c(servers, a), mpf(wait), servers)  # noqa: B023
        by_waiting = largest_load(lambda a: tail(0, waiting, a), left, servers)  # noqa: B023
        by_response = largest_load(lambda a: tail(1, response, a), left, servers)  # noqa: B023
        yield {
            "servers": servers,
            "service_time": service,
            "wait_probability": wait,
            "p": p,
            "waiting_time": waiting,
            "response_time": response,
            "for_wait_probability": by_wait / hold,
            "for_waiting_time_quantile": by_waiting / hold,
            "for_response_time_quantile": by_response / hold,
        }


def population_for() -> Iterator[Row]:
    """Largest population, by bisection on the exact law."""
    rng = random.Random(20)
    for _ in range(60):
        servers = points.count(rng, 1, 120)
        service = points.log_uniform(rng, 1e-3, 1e1)
        think = service * points.log_uniform(rng, 0.1, 20)
        wait = rng.choice((0.01, 0.05, 0.2, 0.5, 0.9))
        p = rng.choice(points.PROBABILITIES)
        left = 1 - mpf(p)
        response = service * float(-mp.log(left)) * (1 + points.log_uniform(rng, 1e-2, 3))
        law = exact.finite_waits

        def too_often(n: int) -> bool:
            weights = law(servers, n, think, service).weights  # noqa: B023
            return mp.fsum(weights) > wait  # noqa: B023

        def too_slow(n: int) -> bool:
            return law(servers, n, think, service).tails(mpf(response))[1] > left  # noqa: B023

        yield {
            "servers": servers,
            "think_time": think,
            "service_time": service,
            "wait_probability": wait,
            "p": p,
            "response_time": response,
            "for_wait_probability": least(too_often, servers, 2 * servers + 1) - 1,
            "for_response_time_quantile": least(too_slow, servers, 2 * servers + 1) - 1,
        }


TABLES: dict[str, Callable[[], Iterator[Row]]] = {
    table.__name__: table
    for table in (
        erlang, mmc, mmc_tails, mmc_quantiles, mmck, mmck_tails, finite, finite_tails, finite_quantiles,
        shared_cores, shared_connections, shared, shared_finite, servers_for, arrival_rate_for, population_for,
    )
}  # fmt: skip


def write(name: str) -> None:
    """Compute one table and write it."""
    started = time.process_time()
    rows = list(TABLES[name]())
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    lines = [
        f"# Origin: tests/oracles/generate.py ({name}), {today}, mpmath {mpmath.__version__} at {mp.dps} digits.",
        f"# Method: {TABLES[name].__doc__}",
        f"# Inputs are exact doubles (shortest form that reads back); results have {DIGITS} digits.",
        ",".join(rows[0]),
        *(",".join(text(value) for value in row.values()) for row in rows),
    ]
    path = HERE / f"{name}.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    seconds = time.process_time() - started
    print(f"{path.name}: {len(rows)} rows, {path.stat().st_size / 1e3:.0f} kB, {seconds:.0f} s CPU", flush=True)


if __name__ == "__main__":
    for chosen in sys.argv[1:] or TABLES:
        write(chosen)
