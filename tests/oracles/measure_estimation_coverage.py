"""How often a 90 % interval of ``capacity.estimation`` holds the truth.

Run it as ``python -m tests.oracles.measure_estimation_coverage [replications]``; it prints one line a case. The
streams are of known mean, squared coefficient of variation and quantile; one of them depends on its own past, as
the service times of a busy server do.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np

from capacity.estimation import Tally

SIZES = (30, 300, 3000, 30000)
Stream = Callable[[np.random.Generator, int], np.ndarray]


def lognormal(rng: np.random.Generator, n: int, *, scv: float, memory: float = 0.0) -> np.ndarray:
    """Mean 1 and the given scv; `memory` is the autocorrelation of its logarithm from one sample to the next."""
    normal = rng.standard_normal(n)
    for at in range(1, n) if memory else ():
        normal[at] = memory * normal[at - 1] + np.sqrt(1 - memory**2) * normal[at]
    sigma = np.sqrt(np.log1p(scv))
    return np.exp(sigma * normal - sigma**2 / 2)


def lognormal_quantile(scv: float) -> float:
    sigma = np.sqrt(np.log1p(scv))
    return float(np.exp(sigma * 1.6448536269514722 - sigma**2 / 2))


# stream, mean, scv, 0.95 quantile
CASES: dict[str, tuple[Stream, float, float, float]] = {
    "exponential": (lambda rng, n: rng.exponential(size=n), 1.0, 1.0, -np.log(0.05)),
    "erlang-4": (lambda rng, n: rng.gamma(4, 0.25, n), 1.0, 0.25, 1.93841),
    "lognormal scv 4": (lambda rng, n: lognormal(rng, n, scv=4.0), 1.0, 4.0, lognormal_quantile(4.0)),
    "lognormal scv 1, memory 0.9": (
        lambda rng, n: lognormal(rng, n, scv=1.0, memory=0.9),
        1.0,
        1.0,
        lognormal_quantile(1.0),
    ),
}


def coverage(stream: Stream, truth: tuple[float, float, float], size: int, replications: int) -> tuple[float, ...]:
    """Share of the intervals of mean, scv and 0.95 quantile that hold the truth; no interval holds nothing."""
    rng = np.random.default_rng(size)
    held = np.zeros(3)
    for _ in range(replications):
        tally = Tally()
        tally.add(stream(rng, size))
        estimates = (tally.mean_estimate(), tally.scv_estimate(), tally.quantile_estimate(0.95))
        for at, (estimate, true) in enumerate(zip(estimates, truth, strict=True)):
            low = -np.inf if estimate.low is None else estimate.low
            high = np.inf if estimate.high is None else estimate.high
            held[at] += low <= true <= high
    return tuple(held / replications)


def main() -> None:
    replications = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    print(f"share of 90 % intervals that hold the truth, {replications} replications")
    print(f"{'stream':30}{'n':>7}{'mean':>8}{'scv':>8}{'p95':>8}")
    for name, (stream, *truth) in CASES.items():
        for size in SIZES if "memory" not in name else SIZES[:3]:
            shares = coverage(stream, tuple(truth), size, replications)
            print(f"{name:30}{size:>7}" + "".join(f"{share:8.3f}" for share in shares))


if __name__ == "__main__":
    main()
