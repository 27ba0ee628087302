"""How many simulated windows lie in the 90 % bands of `forecast`.

Run `python -m tests.oracles.measure_bands [PATTERN]`: a table of Markdown, as `docs/explanation/accuracy.md` has it;
some ten minutes on one core. `tests/test_bands.py` judges a few of the cases.

Windows follow one another in one long run, after a warm-up. Means and quantiles are those of the requests that come in
a window; the service time is 1 s. A share of n windows is uncertain by 0.6 / sqrt(n) (two standard errors), somewhat
more where windows remember one another.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capacity import Host, Scenario, Source, Worker, Workload, forecast
from capacity.estimation import mean
from capacity.queueing import replay
from capacity.results import Prediction
from tests.oracles.simulation import closed_queue, shared_pool

QUANTITIES = ("throughput", "utilization", "waiting_time", "response_time", "response_time_p95")
STREAM = 10**6  # users who make an open stream
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """Some pool, the length of a window [s] and how many of them."""

    workers: int
    utilization: float = math.nan
    seconds: float = 500.0
    windows: int = 1000
    scv: float = 1.0
    users: int = 0
    cores: float = math.inf
    cpu_share: float = 0.0
    samples: int = 0
    """From how many requests the service time is known; 0: exactly."""

    @property
    def name(self) -> str:
        """What the pool is."""
        load = f"{self.users} users" if self.users else f"utilization {self.utilization:g}"
        text = f"{self.workers} worker{'' if self.workers == 1 else 's'}, {load}"
        if self.scv != 1:
            text += f", scv {self.scv:g}"
        if self.cpu_share:
            text += f", {self.cpu_share:g} of the time on {self.cores:g} cores"
        if self.samples:
            text += f", service time from {self.samples} requests"
        return text

    @property
    def rate(self) -> float:
        """Requests a second of an open case; with shared cores ``utilization`` is that of the cores."""
        full = self.cores / self.cpu_share if self.cpu_share else self.workers
        return self.utilization * full


CASES = (
    *(Case(1, u, w) for u, w in ((0.7, 500), (0.9, 1200))),
    *(Case(4, u, w) for u, w in ((0.5, 500), (0.8, 500), (0.9, 500), (0.95, 100), (0.95, 500), (0.95, 2400))),
    *(Case(20, u, w) for u, w in ((0.6, 500), (0.8, 500), (0.9, 500), (0.95, 100), (0.95, 500))),
    *(Case(20, u, w, 400) for u, w in ((0.95, 2400), (0.98, 1200))),
    Case(40, 0.9, 500, 600),
    Case(100, 0.95, 500, 300),
    *(
        Case(c, u, w, 600, scv)
        for scv in (0, 0.5, 2, 4)
        for c, u, w in ((4, 0.8, 1200), (4, 0.95, 500), (20, 0.9, 500))
    ),
    *(Case(c, users=n, windows=400) for c, n in ((4, 20), (4, 24), (20, 80), (20, 100), (20, 150), (40, 190))),
    *(Case(8, u, windows=300, cores=2, cpu_share=0.5) for u in (0.7, 0.9)),
    *(Case(4, 0.8, 500, 200, samples=n) for n in (300, 3000)),
)
THINK_TIME = 4.0  # of users


def predicted(case: Case, service_time: float = 1.0, sources: dict[str, Source] | None = None) -> Prediction:
    """The prediction of a case, with its band."""
    think_time = THINK_TIME if case.users else STREAM / case.rate - service_time
    scenario = Scenario(
        host=Host(ram="64GiB", reserved=0, cpus=min(case.cores, 1000.0)),
        worker=Worker(memory="16MiB"),
        workload=Workload(
            service_time=service_time,
            service_scv=case.scv,
            cpu_time=case.cpu_share or None,
            think_time=think_time,
        ),
        sources=sources or {},
    )
    users, model = (case.users, "finite") if case.users else (STREAM, "open")
    found = forecast(scenario, pool=case.workers, users=[users], model=model, window=case.seconds)  # type: ignore[arg-type]
    return found.predictions[0]


def simulated(case: Case, seed: int) -> dict[str, Array]:
    """What every window shows, by quantity."""
    arrivals, waits, holds = _requests(case, seed)
    edges = arrivals[0] + case.seconds * np.arange(case.windows + 1)
    first = np.searchsorted(arrivals, edges)
    count, responses = np.diff(first), waits + holds
    starts, ends = arrivals + waits, np.sort(arrivals + responses)

    def done(times: Array) -> Array:
        """Seconds since each of the times, summed up, at every edge."""
        before = np.searchsorted(times, edges)
        return before * (edges - edges[0]) - np.concatenate(([0.0], np.cumsum(times - edges[0])))[before]

    def means(values: Array) -> Array:
        return np.diff(np.concatenate(([0.0], np.cumsum(values)))[first]) / count

    return {
        "throughput": np.diff(np.searchsorted(ends, edges)) / case.seconds,
        "utilization": np.diff(done(starts) - done(ends)) / case.seconds / case.workers,
        "waiting_time": means(waits),
        "response_time": means(responses),
        "response_time_p95": np.array([np.quantile(responses[begin:end], 0.95) for begin, end in pairwise(first)]),
    }


def _requests(case: Case, seed: int) -> tuple[Array, Array, Array]:
    """Arrivals, waits and holds in the order of arrival, after a warm-up, for somewhat longer than the windows."""
    total = case.seconds * case.windows * 1.02 + 100
    if not case.users and not case.cpu_share:
        generator = np.random.default_rng(seed)
        warm_up = int(40 * (1 + case.scv) / (1 - case.utilization) ** 2 + 20 * case.workers)
        size = warm_up + int(total * case.rate) + 1000
        arrivals = np.cumsum(generator.exponential(1 / case.rate, size))
        if case.scv == 1:
            holds = generator.exponential(1.0, size)
        else:
            width = math.sqrt(math.log1p(case.scv))
            holds = generator.lognormal(-width * width / 2, width, size)
        waits = np.asarray(replay(arrival_times=arrivals, service_times=holds, servers=case.workers))
        return arrivals[warm_up:], waits[warm_up:], holds[warm_up:]
    if case.users:
        size = int(total * predicted(case).throughput) + 1000
        settings: dict[str, Any] = {"servers": case.workers, "population": case.users, "think_time": THINK_TIME}
        trace = closed_queue(**settings, service_time=1.0, requests=size, seed=seed)
    else:
        settings = {"servers": case.workers, "cores": case.cores, "cpu_time": case.cpu_share, "visits": 10.0}
        size = int(total * case.rate) + 1000
        trace = shared_pool(**settings, service_time=1.0, arrival_rate=case.rate, requests=size, seed=seed)
    arrivals = trace.departures - trace.responses
    order = np.argsort(arrivals)[200:]  # the first departures miss whoever came before and left later
    return arrivals[order], trace.waits[order], (trace.responses - trace.waits)[order]


def coverage(case: Case, seed: int = 0) -> dict[str, float]:
    """Share of the windows within the band, by quantity; NaN where it is not known."""
    seen = simulated(case, seed)
    if case.samples:
        return _of_estimates(case, seen, seed)
    band = predicted(case).band
    assert band is not None
    found = {}
    for name in QUANTITIES:
        part = getattr(band, name)
        inside = None if part is None else (part.low <= seen[name]) & (seen[name] <= (part.high or math.inf))
        found[name] = math.nan if inside is None else float(inside.mean())
    return found


def _of_estimates(case: Case, seen: dict[str, Array], seed: int) -> dict[str, float]:
    """The same where every band rests on a sample of its own of the service time."""
    generator = np.random.default_rng(seed + 1)
    held: dict[str, list[bool]] = {name: [] for name in QUANTITIES}
    for window in range(case.windows):
        estimate = mean(generator.exponential(1.0, case.samples))
        source = Source(source="access log", low=estimate.low, high=estimate.high)
        band = predicted(case, estimate.value, {"workload.service_time": source}).band
        for name in QUANTITIES:
            part = None if band is None else getattr(band, name)
            if part is not None:
                held[name].append(part.low <= seen[name][window] <= (part.high or math.inf))
    return {name: float(np.mean(inside)) if inside else math.nan for name, inside in held.items()}


def main() -> None:
    """Print a row a case."""
    pattern = sys.argv[1] if len(sys.argv) > 1 else "*"
    print("| pool | window [service times] | windows | throughput | utilization | mean wait | mean response | 95 % |")
    print("|---|---|---|---|---|---|---|---|")
    for place, case in enumerate(CASES):
        if fnmatch(case.name, pattern):
            cells = ["" if math.isnan(share) else f"{share * 100:.1f} %" for share in coverage(case, place).values()]
            print(f"| {case.name} | {case.seconds:g} | {case.windows} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
