"""How fast and how exact the finite source and the workers that share cores are, beside the textbook form.

    python benchmarks/finite.py                 # needs NumPy, SciPy and mpmath; a minute
    python benchmarks/finite.py --scenarios 100000 --repeat 3

The textbook form is the closed one as written: below c servers a binomial distribution function over its probability,
from c on a Poisson one, by SciPy's betainc, gammaincc and gammaln. It is taken in the same run on the same numbers; the
best of several repetitions of each, in turn, in CPU time (one thread), which other processes hardly move. Errors are
against 50-digit arithmetic at points drawn anew with every seed, where the value exceeds 1e-290 (waiting times: 1e-9
service times).
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable

import mpmath
import numpy as np
from mpmath import mpf
from scipy.special import betainc, gammaincc, gammaln

import capacity.queueing as q

QUANTITIES = ("throughput", "utilization", "wait_probability", "waiting_time", "response_time")
BITS = 260  # of the fixed-point numbers that the exact sums are made of
Case = dict[str, np.ndarray]


def textbook(servers: np.ndarray, population: np.ndarray, think_time: np.ndarray, service_time: np.ndarray) -> Case:
    """Throughput and mean wait; NaN where a probability underflows or nobody can wait."""
    n, c, z, s = population, servers, think_time, service_time
    with np.errstate(all="ignore"):
        rest, m, ratio = n - c, c * z / s, s / z
        p = ratio / (1 + ratio)
        log_pmf = gammaln(n + 1) - gammaln(c + 1) - gammaln(rest + 1) + c * np.log(p) + rest * np.log1p(-p)
        below = betainc(rest + 1, c, 1 - p) / np.exp(log_pmf)
        above = gammaincc(rest + 1, m) / np.exp(rest * np.log(m) - m - gammaln(rest + 1))
        just, full = 1 / (below + above), above / (below + above)
        busy = (ratio * n * (1 - full) - c * just) / (1 + ratio) + c * full
        return {"throughput": busy / s, "waiting_time": ((rest - m) * full + m * just) * s / busy}


def seconds(calls: list[Callable[[], object]], repeat: int) -> list[float]:
    """Best time of each, all of them in turn."""
    best = [math.inf] * len(calls)
    for _ in range(repeat):
        for i, call in enumerate(calls):
            started = time.process_time()
            call()
            best[i] = min(best[i], time.process_time() - started)
    return best


def wide(rng: np.random.Generator, size: int) -> Case:
    """Any number of servers, think times from 1e-4 to 1e6 service times."""
    population = rng.integers(1, 3001, size)
    return case(population, np.ceil(population * rng.random(size)), 10 ** rng.uniform(-4, 6, size), rng)


def critical(rng: np.random.Generator, size: int) -> Case:
    """Loads from 0.7 to 1.3 of the servers."""
    population = rng.integers(2, 3001, size)
    servers = np.ceil(population * rng.random(size))
    return case(population, servers, np.maximum(population / servers / rng.uniform(0.7, 1.3, size) - 1, 1e-2), rng)


def pools(rng: np.random.Generator, size: int) -> Case:
    """Up to 200 workers, users who think for 0.1 to 200 service times."""
    return case(rng.integers(1, 3001, size), rng.integers(1, 201, size), 10 ** rng.uniform(-1, 2.3, size), rng)


def few(rng: np.random.Generator, size: int) -> Case:
    """Populations up to 60."""
    population = rng.integers(1, 61, size)
    return case(population, np.ceil(population * rng.random(size)), 10 ** rng.uniform(-1, 1.5, size), rng)


def case(population: np.ndarray, servers: np.ndarray, ratio: np.ndarray, rng: np.random.Generator) -> Case:
    """Name the columns."""
    service = np.exp(rng.uniform(-5, 2, population.size))
    columns = {"servers": servers, "population": population, "think_time": ratio * service, "service_time": service}
    return {name: np.asarray(column, dtype=float) for name, column in columns.items()}


def chain(n: int, c: int, capacity: float, ratio: mpmath.mpf) -> tuple[mpmath.mpf, ...]:
    """P(n >= c), the mean number below c times P(n < c), and the mean queue; ratio = Z/S."""
    one = 1 << BITS
    odds = int(mpmath.floor(ratio * mpf(2) ** BITS))
    term, below, number = one, 0, 0
    for k in range(c, 0, -1):
        term = (term * odds >> BITS) * k // (n - k + 1)
        below, number = below + term, number + term * (k - 1)
        if term < below >> 180:
            break
    per_load = int(mpmath.floor(mpf(2) ** BITS / (mpf(capacity) * ratio)))
    term, above, queue = one, one, 0
    for k in range(c, n):
        term = (term * per_load >> BITS) * (n - k)
        above, queue = above + term, queue + term * (k + 1 - c)
        if term < above >> 180:
            break
    total = mpf(below + above)
    return above / total, number / total, queue / total


def exact(servers: float, population: float, think_time: float, service_time: float) -> dict[str, mpmath.mpf]:
    """Sum the states."""
    c, n, z, s = int(servers), int(population), mpf(think_time), mpf(service_time)
    full, number, queue = (mpf(0), n * s / (z + s), mpf(0)) if n <= c else chain(n, c, c, z / s)
    busy = number + c * full
    wait = queue * s / busy
    seen = mpf(0) if n <= c else (s / (z + s)) ** c if n - 1 == c else chain(n - 1, c, c, z / s)[0]
    return dict(zip(QUANTITIES, (busy / s, busy / c, seen, wait, wait + s), strict=True))


def exact_cores(workers: float, cores: float, cpu_time: float, service_time: float) -> mpmath.mpf:
    """X(n)."""
    n, d, s = int(workers), mpf(cpu_time), mpf(service_time)
    if n <= cores:
        return n / s
    full, number, _ = chain(n, int(cores), cores, (s - d) / d)
    return (number + cores * full) / d


def worst(inputs: Case, points: int, rng: np.random.Generator) -> dict[str, float]:
    """Largest relative error of every quantity over a sample."""
    rows = rng.choice(inputs["servers"].size, points, replace=False)
    sample = {name: column[rows] for name, column in inputs.items()}
    found = dict.fromkeys(QUANTITIES, 0.0)
    with mpmath.workdps(50):
        true = [exact(*values) for values in zip(*sample.values(), strict=True)]
        for name in QUANTITIES:
            ours = getattr(q, f"finite_{name}")(**sample)
            for x, y, s in zip(ours, true, sample["service_time"], strict=True):
                if y[name] > (1e-9 * s if name == "waiting_time" else 1e-290):
                    found[name] = max(found[name], float(abs(x - y[name]) / y[name]))
    return found


def formulas(rng: np.random.Generator, size: int, repeat: int) -> None:
    """The five quantities over scattered scenarios."""
    print(
        "ns a scenario, N to 3000   textbook " + " ".join(f"{name[:11]:>11}" for name in QUANTITIES) + "   book/slowest"
    )
    for name, draw in (("wide", wide), ("critical", critical), ("pools", pools), ("N to 60", few)):
        inputs = draw(rng, size)
        calls = [lambda inputs=inputs: textbook(**inputs)]
        calls += [lambda inputs=inputs, what=what: getattr(q, f"finite_{what}")(**inputs) for what in QUANTITIES]
        book, *ours = (1e9 * t / size for t in seconds(calls, repeat))
        nan = np.isnan(textbook(**inputs)["throughput"]).mean()
        print(f"{name:26} {book:8.0f} " + " ".join(f"{t:11.0f}" for t in ours) + f"   {book / max(ours):12.1f}")
        errors = worst(inputs, 200, rng)
        print(f"  largest error, 200 points {'':9}" + " ".join(f"{e:11.1e}" for e in errors.values()))
        print(f"  textbook gives no number in {100 * nan:.0f} %")


def shared(rng: np.random.Generator, pools: int) -> Case:
    """Pools of 1 to 128 cores, all shares of CPU time."""
    share = np.where(rng.random(pools) < 0.5, rng.random(pools), 10 ** rng.uniform(-6, 0, pools))
    service = np.exp(rng.uniform(-5, 2, pools))
    cores = rng.integers(1, 129, pools).astype(float)
    return {"cores": cores, "cpu_time": service * share, "service_time": service}


def cores(rng: np.random.Generator, scenarios: int, repeat: int) -> None:
    """X(1) .. X(500) of many pools, and X of scattered points."""
    print("\nX(n), n = 1..500, 1..128 cores; ns a cell")
    states = np.arange(1.0, 501.0)
    for many in (100, 1000, max(1000, scenarios // 20)):
        inputs = shared(rng, many)
        tall = {name: column[:, None] for name, column in inputs.items()}
        calls = [
            lambda many=many: np.full((500, many), 0.5),
            lambda inputs=inputs: q.shared_cores_throughput(workers=states[:, None], **inputs),
            lambda tall=tall: q.shared_cores_throughput(workers=states, **tall),
        ]
        write, down, across = (1e9 * t / many / states.size for t in seconds(calls, repeat))
        print(f"{many:8} pools: write {write:6.2f}   a row a state {down:6.1f}   a row a pool {across:6.1f}")
    inputs = shared(rng, scenarios) | {"workers": rng.integers(1, 501, scenarios).astype(float)}
    k, d, s, n = inputs.values()
    calls = [
        lambda: textbook(k, n, s - d, d),
        lambda: q.shared_cores_throughput(**inputs),
    ]
    book, ours = (1e9 * t / scenarios for t in seconds(calls, repeat))
    print(f"{scenarios:8} points: {ours:6.0f}   textbook {book:6.0f}")
    rows = rng.choice(scenarios, 400, replace=False)
    with mpmath.workdps(50):
        found = q.shared_cores_throughput(**{name: column[rows] for name, column in inputs.items()})
        true = [exact_cores(n[row], k[row], d[row], s[row]) for row in rows]
        print(f"largest error, 400 points: {float(max(abs(x / y - 1) for x, y in zip(found, true, strict=True))):.1e}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenarios", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    formulas(rng, options.scenarios, options.repeat)
    cores(rng, options.scenarios, options.repeat)


if __name__ == "__main__":
    main()
