"""How fast and how exact the Erlang formulas and their inverses are, beside the textbook form and other packages.

    python benchmarks/erlang.py                 # needs NumPy, SciPy and mpmath; a minute
    python benchmarks/erlang.py --scenarios 100000 --repeat 3

The textbook form is exp(c ln a - a - gammaln(c+1)) / gammaincc(c+1, a), in the same run on the same numbers; the best
of several repetitions of each is taken, in turn, so that what else the machine does falls on both. Packages that are
installed beside this one (call-center-tools, pyworkforce, pyqueueing, most-queue) are measured on a sample: they know
one scenario at a time. Errors are against 50-digit arithmetic at points drawn anew with every seed.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from importlib import import_module

import mpmath
import numpy as np
from scipy.special import gammaincc, gammaln

import capacity.queueing as q

SAMPLE = 400
Scenarios = tuple[np.ndarray, np.ndarray]


def textbook(c: np.ndarray, a: np.ndarray) -> np.ndarray:
    """Erlang B; Erlang C costs three more array operations."""
    with np.errstate(all="ignore"):
        return np.exp(c * np.log(a) - a - gammaln(c + 1)) / gammaincc(c + 1, a)


def seconds(calls: list[Callable[[], object]], repeat: int) -> list[float]:
    """Best time of each, all of them in turn."""
    best = [math.inf] * len(calls)
    for _ in range(repeat):
        for i, call in enumerate(calls):
            started = time.perf_counter()
            call()
            best[i] = min(best[i], time.perf_counter() - started)
    return best


def scenarios(
    rng: np.random.Generator, size: int, servers: tuple[int, int], utilization: tuple[float, float]
) -> Scenarios:
    """Servers and offered loads, uniform."""
    c = rng.integers(servers[0], servers[1] + 1, size).astype(float)
    return c, c * rng.uniform(*utilization, size)


def exact(c: int, a: float, *, waits: bool) -> mpmath.mpf:
    """1/B = c (c-1) ... / a^j summed; C = c B/(c - a (1 - B))."""
    load, total, term = mpmath.mpf(a), mpmath.mpf(1), mpmath.mpf(1)
    for left in range(c, 0, -1):
        term *= left / load
        total += term
        if left < load and term < total * mpmath.mpf(10) ** -60 * (1 - left / load):
            break
    if not waits:
        return 1 / total
    return mpmath.mpf(1) if a >= c else c / (c * total - load * (total - 1))


def worst(rng: np.random.Generator, c: np.ndarray, a: np.ndarray) -> tuple[float, float]:
    """Largest relative error of B and C over a sample, where the value exceeds 1e-290."""
    rows = rng.choice(c.size, min(60, c.size), replace=False)
    errors = []
    with mpmath.workdps(50):
        for waits, function in ((False, q.erlang_b), (True, q.erlang_c)):
            ours = function(servers=c[rows], offered_load=a[rows])
            true = [exact(int(x), float(y), waits=waits) for x, y in zip(c[rows], a[rows], strict=True)]
            judged = [(x, y) for x, y in zip(ours, true, strict=True) if y > 1e-290]
            errors.append(float(max((abs(x - y) / y for x, y in judged), default=mpmath.mpf(0))))
    return errors[0], errors[1]


def formulas(rng: np.random.Generator, size: int, repeat: int) -> None:
    """Erlang B and C over scattered scenarios."""
    print("ns a scenario                 textbook       B       C   textbook/C   largest error of B, C")
    for name, servers, utilization in (
        ("c 1..1000, rho .1...99", (1, 1000), (0.1, 0.99)),
        ("c 1..31, rho .1...99", (1, 31), (0.1, 0.99)),
        ("c 1e3..1e6, rho .9...999", (1000, 1_000_000), (0.9, 0.999)),
        ("c 1..1000, rho .5..1.5", (1, 1000), (0.5, 1.5)),
        ("c 1..1000, rho 1..1.5", (1, 1000), (1.0, 1.5)),
    ):
        c, a = scenarios(rng, size, servers, utilization)
        calls = [
            lambda c=c, a=a: textbook(c, a),
            lambda c=c, a=a: q.erlang_b(servers=c, offered_load=a),
            lambda c=c, a=a: q.erlang_c(servers=c, offered_load=a),
        ]
        book, b, wait = (1e9 * t / size for t in seconds(calls, repeat))
        errors = worst(rng, c, a)
        print(f"{name:28} {book:9.1f} {b:7.1f} {wait:7.1f} {book / wait:12.2f}   {errors[0]:.1e} {errors[1]:.1e}")


def grids(rng: np.random.Generator, repeat: int) -> None:
    """Every count of servers for shared loads, beside writing an array of that size."""
    print("\nns a cell                        write    grid   grid/write")
    for loads, most in ((100_000, 100), (30_000, 1000), (100, 1000), (1, 1_000_000)):
        a = rng.uniform(0.1, 0.99, loads) * most
        calls = [
            lambda shape=(loads, most): np.full(shape, 0.5),
            lambda a=a, most=most: q.erlang_c_grid(max_servers=most, offered_load=a),
        ]
        write, grid = (1e9 * t / loads / most for t in seconds(calls, repeat))
        print(f"{loads:7} loads, 1..{most:<8} {write:12.2f} {grid:7.2f} {grid / write:12.2f}")


def inverses(rng: np.random.Generator, size: int, repeat: int) -> dict[str, float]:
    """Every inverse over as many scenarios; the time of each of them, and of the case the others know."""
    service = np.exp(rng.uniform(-4, 2, size))
    rate = rng.uniform(0.5, 500, size) / service
    p, wait = rng.choice([0.5, 0.9, 0.95, 0.99], size), np.exp(rng.uniform(-7, 0, size))
    waiting, response = service * np.exp(rng.uniform(-5, 1, size)), -service * np.log1p(-p) * rng.uniform(1.02, 3, size)
    queue = {"arrival_rate": rate, "service_time": service}
    pool = {"servers": rng.integers(1, 500, size), "service_time": service}
    users = pool | {"think_time": service * np.exp(rng.uniform(-1, 3, size))}
    by_wait, by_waiting = {"wait_probability": wait}, {"p": p, "waiting_time": waiting}
    by_response = {"p": p, "response_time": response}
    found = {}
    print(f"\nus each of {size} scenarios")
    for name, inputs in (
        ("servers_for_wait_probability", queue | by_wait),
        ("servers_for_waiting_time_quantile", queue | by_waiting),
        ("servers_for_response_time_quantile", queue | by_response),
        ("arrival_rate_for_wait_probability", pool | by_wait),
        ("arrival_rate_for_waiting_time_quantile", pool | by_waiting),
        ("arrival_rate_for_response_time_quantile", pool | by_response),
        ("population_for_wait_probability", users | by_wait),
        ("population_for_response_time_quantile", users | by_response),
    ):
        (time_taken,) = seconds([lambda name=name, inputs=inputs: getattr(q, name)(**inputs)], repeat)
        found[name] = time_taken / size
        print(f"{name:40} {1e6 * time_taken / size:8.2f}")
    return found


def others() -> dict[str, dict[str, Callable[[int, float], float]]]:
    """What is installed: C(c, a), and the least c with P(W <= 0.1 S) >= 0.95."""
    found: dict[str, dict[str, Callable[[int, float], float]]] = {}

    def package(name: str, module: str, make: Callable[[object], dict[str, Callable[[int, float], float]]]) -> None:
        try:
            found[name] = make(import_module(module))
        except ImportError:
            print(f"{name} is not installed")

    def staffing(m: object, a: float) -> float:
        return m.calc_staffing(
            a * 3600, 1.0, max_occupancy=1.0, target_answer_time=0.1, target_service_level=0.95
        ).agents

    package("call-center-tools", "call_center_tools", lambda m: {
        "C": lambda c, a: m.erlang_c(a, c),
        "least c": lambda _, a: staffing(m, a),
    })  # fmt: skip
    package("pyworkforce", "pyworkforce.queuing", lambda m: {
        "C": lambda c, a: m.ErlangC(transactions=a, aht=1.0, asa=0.1, interval=1).waiting_probability(c),
        "least c": lambda _, a: m.ErlangC(transactions=a, aht=1.0, asa=0.1, interval=1).required_positions(0.95)[
            "raw_positions"
        ],
    })  # fmt: skip
    package("pyqueueing", "pyqueueing.models.erlang_b", lambda m: {
        "C": lambda c, a: c * m.erlang_b_formula(c, a) / (c - a * (1 - m.erlang_b_formula(c, a))),
    })  # fmt: skip
    package("most-queue", "most_queue.theory.fifo.erlang", lambda m: {"C": lambda c, a: m.erlang_c_formula(a, c)})
    return found


def peers(rng: np.random.Generator, size: int, repeat: int) -> None:
    """Other packages, on a sample of what this one does in full."""
    print()
    c, a = scenarios(rng, size, (1, 1000), (0.1, 0.99))
    load = rng.uniform(0.5, 500, size)
    calls = {
        "C": lambda: q.erlang_c(servers=c, offered_load=a),
        "least c": lambda: q.servers_for_waiting_time_quantile(
            p=0.95, waiting_time=0.1, arrival_rate=load, service_time=1
        ),
    }
    ours = {name: t / size for name, t in zip(calls, seconds(list(calls.values()), repeat), strict=True)}
    print("us each              C  times ours   least c  times ours")
    print(f"{'capacity':15} {1e6 * ours['C']:8.3f} {'':10} {1e6 * ours['least c']:10.3f}")
    for name, functions in others().items():
        line = f"{name:15}"
        for what, function in functions.items():
            rows = range(min(SAMPLE, size))
            loads = a if what == "C" else load
            (taken,) = seconds([lambda f=function, x=loads, r=rows: [f(int(c[i]), float(x[i])) for i in r]], 2)
            taken /= len(rows)
            line += f" {1e6 * taken:8.1f} {taken / ours[what]:10.0f}  "
        print(line)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenarios", type=int, default=1_000_000, help="of the formulas; the inverses take a tenth")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    formulas(rng, options.scenarios, options.repeat)
    grids(rng, options.repeat)
    inverses(rng, options.scenarios // 10, options.repeat)
    peers(rng, options.scenarios // 10, options.repeat)


if __name__ == "__main__":
    main()
