"""Holds the formulas against more than 50 digits at points drawn anew: the largest relative error by region.

    python -m benchmarks.accuracy                   # half a minute; points nobody has seen, the seed is printed
    python -m benchmarks.accuracy --seed 7 --points 5000

Errors are judged where the value exceeds 1e-290 (waiting times: 1e-9 service times). Ends with 1 if one exceeds what
the documentation claims. The exact values are sums over states in whole numbers of 260 bits and more; those of
`tests.oracles.exact`, plain and slow, are held against them in small queues first.
"""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Iterator

import numpy as np

import capacity.queueing as q
from benchmarks.scenarios import FINITE, FINITE_SOURCES, Arrays, finite_source, shared_cores
from tests.oracles import exact
from tests.oracles.exact import Real, mp, mpf

BITS = 260
LEAST = 1e-290
CLAIMS = {
    "erlang_b": 1e-12,
    "erlang_c": 1e-12,
    "finite_throughput": 1e-14,
    "finite_utilization": 1e-14,
    "finite_wait_probability": 1e-12,
    "finite_waiting_time": 1e-12,
    "finite_response_time": 1e-12,
    "shared_cores_throughput": 1e-14,
}
"""What the documentation says each stays below."""
Found = tuple[str, str, int, float]  # region, function, points judged, largest relative error


def main() -> None:
    """Draw, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--points", type=int, default=2000, help="in each region")
    chosen = parser.parse_args()
    seed = secrets.randbelow(2**32) if chosen.seed is None else chosen.seed
    print(f"seed {seed}, {chosen.points} points in each region\n")
    print(f"{'':32} {'function':24} {'judged':>6} {'largest error':>13} {'claimed':>8}")
    broken = False
    for region, name, judged, error in errors(seed, chosen.points):
        holds = error < CLAIMS[name]
        broken |= not holds
        print(f"{region:32} {name:24} {judged:6} {error:13.1e} {CLAIMS[name]:8.0e}{'' if holds else '  BROKEN'}")
    sys.exit(broken)


def errors(seed: int, points: int) -> Iterator[Found]:
    """The largest error of each function in each region."""
    rng = np.random.default_rng(seed)
    check(rng)
    yield from erlang(rng, points)
    yield from finite(rng, points)
    yield from cores(rng, points)


def erlang(rng: np.random.Generator, points: int) -> Iterator[Found]:
    """B and C up to a million servers; from saturation on, C is 1 by definition and B is judged."""
    some, many = 10 ** rng.uniform(0, 3, points), 10 ** rng.uniform(3, 6, points)
    # of many servers B and C are numbers above 1e-290 only within some roots of the load
    regions = {
        "c to 1e3, utilization .1...99": (some, rng.uniform(0.1, 0.99, points)),
        "c to 1e3, utilization 1..3": (some, rng.uniform(1, 3, points)),
        "c 1e3..1e6, about full": (many, 1 - rng.uniform(-3, 6, points) / np.sqrt(many)),
        "c 1e3..1e6, B to 1e-280": (many, 1 - np.minimum(0.9, rng.uniform(6, 36, points) / np.sqrt(many))),
        "c to 1e6, 1 - u 1e-9..1e-2": (
            np.where(rng.random(points) < 0.5, some, many),
            1 - 10 ** rng.uniform(-9, -2, points),
        ),
    }
    for region, (servers, utilization) in regions.items():
        c = np.rint(servers)
        a = c * utilization
        pairs = [(int(x), mpf(y)) for x, y in zip(c.tolist(), a.tolist(), strict=True)]
        true = [blocking(x, y) for x, y in pairs]
        yield region, "erlang_b", *worst(q.erlang_b(servers=c, offered_load=a), true)
        if region.endswith("1..3"):
            continue
        waits = [x * b / (x - y * (1 - b)) if y < x else mpf(1) for (x, y), b in zip(pairs, true, strict=True)]
        yield region, "erlang_c", *worst(q.erlang_c(servers=c, offered_load=a), waits)


def finite(rng: np.random.Generator, points: int) -> Iterator[Found]:
    """M/M/c//N with up to 3000 users."""
    for region in FINITE_SOURCES:
        case = finite_source(region, points, rng)
        true = [finite_means(**row) for row in rows(case)]
        for place, name in enumerate(FINITE):
            least = 1e-9 * case["service_time"] if name == "finite_waiting_time" else LEAST
            yield region, name, *worst(getattr(q, name)(**case), [row[place] for row in true], least)


def cores(rng: np.random.Generator, points: int) -> Iterator[Found]:
    """Up to 500 workers on up to 128 cores."""
    case = {"workers": rng.integers(1, 501, points).astype(np.float64), **shared_cores(points, rng)}
    true = [shared_throughput(**row) for row in rows(case)]
    yield "1..500 workers, 1..128 cores", "shared_cores_throughput", *worst(q.shared_cores_throughput(**case), true)


def worst(ours: np.ndarray, true: list[Real], least: np.ndarray | float = LEAST) -> tuple[int, float]:
    """How many exact values are large enough, and the largest relative error among them; infinite for a NaN."""
    floors = np.broadcast_to(least, ours.shape).tolist()
    found = [float(abs(x - y) / y) for x, y, floor in zip(ours.tolist(), true, floors, strict=True) if y > floor]
    return len(found), max((error if error == error else np.inf for error in found), default=0.0)


def rows(case: Arrays) -> Iterator[dict[str, float]]:
    """Each row as numbers by name."""
    for row in zip(*(column.tolist() for column in case.values()), strict=True):
        yield dict(zip(case, row, strict=True))


def blocking(servers: int, load: Real) -> Real:
    """B: its inverse is the sum of c (c - 1) ... / a^j."""
    inverse, term = int(mp.floor(mpf(2) ** BITS / load)), 1 << BITS
    total = term
    for left in range(servers, 0, -1):
        term = term * left * inverse >> BITS
        total += term
        if term < total >> 180:
            break
    return mpf(2) ** BITS / total


def chain(n: int, c: int, capacity: float, ratio: Real) -> tuple[Real, Real, Real]:
    """P(n >= c), the mean number below c times P(n < c), and the mean queue; ratio = Z/S."""
    one = 1 << BITS
    odds = int(mp.floor(ratio * mpf(2) ** BITS))
    term, below, number = one, 0, 0
    for k in range(c, 0, -1):
        term = (term * odds >> BITS) * k // (n - k + 1)
        below, number = below + term, number + term * (k - 1)
        if term < below >> 180:
            break
    per_load = int(mp.floor(mpf(2) ** BITS / (mpf(capacity) * ratio)))
    term, above, queue = one, one, 0
    for k in range(c, n):
        term = (term * per_load >> BITS) * (n - k)
        above, queue = above + term, queue + term * (k + 1 - c)
        if term < above >> 180:
            break
    total = mpf(below + above)
    return above / total, number / total, queue / total


def finite_means(servers: float, population: float, think_time: float, service_time: float) -> tuple[Real, ...]:
    """The five quantities, in the order of `FINITE`."""
    c, n, z, s = int(servers), int(population), mpf(think_time), mpf(service_time)
    full, number, queue = (mpf(0), n * s / (z + s), mpf(0)) if n <= c else chain(n, c, c, z / s)
    busy = number + c * full
    wait = queue * s / busy
    seen = mpf(0) if n <= c else (s / (z + s)) ** c if n - 1 == c else chain(n - 1, c, c, z / s)[0]
    return busy / s, busy / c, seen, wait, wait + s


def shared_throughput(workers: float, cores: float, cpu_time: float, service_time: float) -> Real:
    """X(n)."""
    n, d, s = int(workers), mpf(cpu_time), mpf(service_time)
    if n <= cores:
        return n / s
    full, number, _ = chain(n, int(cores), cores, (s - d) / d)
    return (number + cores * full) / d


def check(rng: np.random.Generator) -> None:
    """See that the whole numbers and plain sums over states agree to 45 digits, in small pools."""
    loads = [(c, c * mpf(u)) for c, u in zip((1, 2, 30, 400), rng.uniform(0.3, 1.5, 4).tolist(), strict=True)]
    pairs = [(blocking(c, a), exact.erlang_b(c, a)) for c, a in loads]
    for row in rows(finite_source("up to 60 users", 30, rng)):
        plain = exact.finite(int(row["servers"]), int(row["population"]), row["think_time"], row["service_time"])
        pairs += zip(finite_means(**row), [plain[name.removeprefix("finite_")] for name in FINITE], strict=True)
    for row in rows(shared_cores(30, rng)):
        plain = exact.shared_cores_throughputs(40, row["cores"], row["cpu_time"], row["service_time"])
        pairs += [(shared_throughput(workers=n, **row), plain[n]) for n in (1, 7, 40)]
    if any(abs(x - y) > y * mpf(10) ** -45 for x, y in pairs):
        sys.exit("the exact values contradict each other")


if __name__ == "__main__":
    main()
