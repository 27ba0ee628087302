"""How often a 90 % interval of ``capacity.estimation`` holds the truth.

Run `python -m tests.oracles.measure_estimation_coverage [replications]` from the repository's root; nothing is judged
here. The streams are of known mean, squared coefficient of variation and quantiles. Two depend on their own past, as
the service times of a busy server do; of one the second half takes twice as long. An end that is None holds anything
on its side, and how often the upper one is None stands beside it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from capacity.estimation import Estimate, Tally

SIZES = (30, 300, 3000, 30000)
PROBABILITIES = (0.5, 0.95, 0.99)
QUANTITIES = ("mean", "scv", *(f"p{100 * p:.0f}" for p in PROBABILITIES))
Sampler = Callable[[np.random.Generator, int, int], np.ndarray]


@dataclass(frozen=True)
class Stream:
    """Rows of samples, and what they are samples of: mean, scv and the quantiles of `PROBABILITIES`."""

    rows: Sampler
    truth: tuple[float, ...]


def lognormal(scv: float, memory: float = 0.0) -> Stream:
    """Mean 1; `memory` is the autocorrelation of the logarithm from one sample to the next."""
    sigma = math.sqrt(math.log1p(scv))

    def rows(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
        normal = rng.standard_normal((size, count))
        for at in range(1, size) if memory else ():
            normal[at] = memory * normal[at - 1] + math.sqrt(1 - memory**2) * normal[at]
        return np.exp(sigma * normal.T - sigma**2 / 2)

    quantiles = (math.exp(sigma * NormalDist().inv_cdf(p) - sigma**2 / 2) for p in PROBABILITIES)
    return Stream(rows, (1.0, scv, *quantiles))


def crossing(tail: Callable[[float], float], p: float) -> float:
    """Where a tail falls to 1 - p, by bisection."""
    low, high = 0.0, 100.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if tail(middle) > 1 - p else (low, middle)
    return low


def erlang_tail(x: float) -> float:
    return math.exp(-4 * x) * sum((4 * x) ** k / math.factorial(k) for k in range(4))


def doubled_tail(x: float) -> float:
    return (math.exp(-x) + math.exp(-x / 2)) / 2


def doubled(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    return rng.exponential(size=(count, size)) * np.repeat([1.0, 2.0], [size // 2, size - size // 2])


STREAMS: dict[str, Stream] = {
    "constant": Stream(lambda rng, count, size: np.full((count, size), 0.3), (0.3, 0.0, 0.3, 0.3, 0.3)),
    "erlang-4": Stream(
        lambda rng, count, size: rng.gamma(4, 0.25, (count, size)),
        (1.0, 0.25, *(crossing(erlang_tail, p) for p in PROBABILITIES)),
    ),
    "exponential": Stream(
        lambda rng, count, size: rng.exponential(size=(count, size)),
        (1.0, 1.0, *(-math.log(1 - p) for p in PROBABILITIES)),
    ),
    "lognormal scv 4": lognormal(4.0),
    "lognormal scv 1, memory 0.9": lognormal(1.0, 0.9),
    "lognormal scv 4, memory 0.5": lognormal(4.0, 0.5),
    "exponential, doubled": Stream(doubled, (1.5, 11 / 9, *(crossing(doubled_tail, p) for p in PROBABILITIES))),
}


def holds(estimate: Estimate, true: float) -> bool:
    # one part in a billion: the sums of a constant stream are rounded
    low = -math.inf if estimate.low is None else estimate.low * (1 - 1e-9)
    high = math.inf if estimate.high is None else estimate.high * (1 + 1e-9)
    return low <= true <= high


def coverage(stream: Stream, size: int, replications: int) -> tuple[np.ndarray, np.ndarray]:
    """Share of the intervals of `QUANTITIES` that hold the truth, and share without an upper end."""
    held, opened = np.zeros(len(QUANTITIES)), np.zeros(len(QUANTITIES))
    for start in range(0, replications, 100):
        rows = stream.rows(np.random.default_rng([size, start]), min(100, replications - start), size)
        for row in rows:
            tally = Tally()
            tally.add(row)
            estimates = [tally.mean_estimate(), tally.scv_estimate(), *map(tally.quantile_estimate, PROBABILITIES)]
            held += [holds(estimate, true) for estimate, true in zip(estimates, stream.truth, strict=True)]
            opened += [estimate.high is None for estimate in estimates]
    return held / replications, opened / replications


def main(replications: int) -> None:
    """Print one line a stream and size."""
    print(f"share of 90 % intervals that hold the truth (share without an upper end), {replications} replications")
    print(f"{'stream':30}{'n':>7}" + "".join(f"{name:>14}" for name in QUANTITIES))
    for name, stream in STREAMS.items():
        for size in SIZES:
            shares = zip(*coverage(stream, size, replications), strict=True)
            cells = (f"{held:8.3f}" + (f" ({opened:.2f})" if opened else " " * 7) for held, opened in shares)
            print(f"{name:30}{size:>7}" + "".join(f"{cell:>15}" for cell in cells), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
