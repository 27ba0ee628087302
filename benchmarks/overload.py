"""Who is refused, who is given up and what is done for nobody: predicted, then measured on a real nginx and php-fpm.

    python -m benchmarks.overload            # needs php-fpm8.2 and nginx; four minutes

Each case is predicted from its inputs first: workers, service time, listen.backlog, the rate and nginx's read timeout.
Then requests are sent at random (Poisson) times to a pool that sleeps; those of the first seconds, while the queue
fills, are left out. Beside them: the run's own arrivals and logged service times in an exact pool (`replayed`), and
the mean of ten simulations of the same length with other arrivals, plus and minus two of their standard deviations:
what chance does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.fidelity.load import Array, Generator, Plan
from benchmarks.fidelity.site import running
from capacity import PoolSettings, Scenario, forecast, queueing

SCV = {"constant": 0.0, "exponential": 1.0, "lognormal": 4.0}
OVERHEAD = 0.0005  # of a request in nginx and FPM, beside its sleep [s]


@dataclass(frozen=True)
class Case:
    """One pool and its load. FPM ends what takes longer than ``kill`` (0: nothing)."""

    workers: int
    service_time: float
    law: str
    backlog: int
    utilization: float
    timeout: int
    seconds: float
    warm_up: float
    kill: int = 0

    @property
    def rate(self) -> float:
        """Requests offered [1/s]."""
        return self.utilization * self.workers / self.service_time

    @property
    def pool(self) -> PoolSettings:
        """As FPM gets it."""
        return PoolSettings(
            pm="static",
            max_children=self.workers,
            listen_backlog=self.backlog,
            request_terminate_timeout=self.kill or None,
        )

    def predicted(self) -> tuple[float, float, float]:
        """Shares that get a 502 and a 504, and share of the work for nobody."""
        tables = Scenario.example().to_mapping()
        users, service = 1000, self.service_time + OVERHEAD
        think = users / self.rate - service
        tables["workload"] = {"service_time": service, "think_time": think, "service_scv": SCV[self.law]}
        tables["policy"]["web_server_timeout"] = self.timeout
        (found,) = forecast(Scenario.from_mapping(tables), pool=self.pool, users=[users]).predictions
        return (found.refused or 0.0) + (found.killed or 0.0), found.timed_out or 0.0, found.wasted or 0.0

    def draw(self, chance: np.random.Generator) -> tuple[Array, Array]:
        """Arrivals and service times."""
        times = np.sort(chance.uniform(0, self.seconds, chance.poisson(self.rate * self.seconds)))
        scv = SCV[self.law]
        if scv == 1:
            return times, chance.exponential(self.service_time, times.size)
        width = np.sqrt(np.log1p(scv))
        return times, self.service_time * chance.lognormal(-(width**2) / 2, width, times.size)

    def ended(self, holds: Array) -> Array:
        """How long requests hold a worker: FPM looks for those to end three times in ``kill``, at its own moments."""
        ends = self.kill * np.random.default_rng(1).uniform(1, 4 / 3, holds.size)
        return np.minimum(holds, ends) if self.kill else holds

    def waits(self, times: Array, took: Array) -> Array:
        """Of these requests in an exact pool of this size."""
        load = {"arrival_times": times, "service_times": took}
        return np.asarray(queueing.replay(**load, servers=self.workers, backlog=self.backlog + 1))

    def shares(self, times: Array, waits: Array, took: Array, cut: NDArray[np.bool_]) -> Array:
        """The same three of requests of known waits (inf: refused) and times at work, some of them cut short."""
        counted = times >= self.warm_up
        late = waits + took - self.timeout
        failed = np.isinf(waits) | (cut & (late <= 0))
        let_in = np.isfinite(waits) & counted
        nobody = np.clip(np.minimum(late, took), 0, None)
        return np.array(
            [
                (failed & counted).sum() / counted.sum(),
                (let_in & (late > 0)).sum() / counted.sum(),
                nobody[let_in].sum() / took[let_in].sum(),
            ]
        )

    def simulated(self) -> Array:
        """Shares in ten simulations of that length, a row each."""
        found = []
        for seed in range(10):
            times, holds = self.draw(np.random.default_rng([seed, 7]))
            took = self.ended(holds)
            waits = self.waits(times, took + OVERHEAD)
            found.append(self.shares(times, waits, took + OVERHEAD, took < holds))
        return np.array(found)

    def measured(self, seed: int) -> tuple[Array, Array, tuple[Array, Array]]:
        """Shares on the real thing, in a replay of its own arrivals and service times, and who was executed."""
        times, holds = self.draw(np.random.default_rng(seed))
        with running(self.pool, read_timeout=self.timeout) as site:
            record = Generator(site.directory, site.socket, Plan(times, holds, 0 * holds, self.seconds)).record()
            logged = site.settled(times.size, int((record.status != 502).sum()))
        counted, done = times >= self.warm_up, np.isfinite(logged)
        failed, given_up = ((record.status == code) & counted for code in (502, 504))
        took = np.where(done, logged, self.ended(holds))
        waits = self.waits(record.sent - record.begin, took + OVERHEAD / 2)
        own = self.shares(times, waits, took + OVERHEAD / 2, ~done & (took < holds))
        return np.array([failed.sum() / counted.sum(), given_up.sum() / counted.sum()]), own, (given_up, done)


CASES = [
    Case(2, 0.05, "constant", 8, 1.5, 60, 14, 1),
    Case(2, 0.05, "exponential", 8, 0.9, 60, 16, 1),
    Case(4, 0.05, "exponential", 0, 1.2, 60, 14, 1),
    Case(8, 0.1, "exponential", 8, 3.0, 60, 12, 1),
    Case(4, 0.1, "exponential", 64, 2.0, 2, 18, 4),
    Case(4, 0.1, "exponential", 64, 1.1, 1, 20, 6),
    Case(8, 0.1, "constant", 64, 1.5, 1, 16, 3),
    Case(2, 0.05, "constant", 64, 2.0, 1, 16, 4),
    Case(4, 0.05, "lognormal", 64, 1.5, 1, 24, 4),
    Case(20, 1.0, "exponential", 8, 1.3, 60, 40, 6, 1),
]


def main() -> None:
    """Print a line a case."""
    print(
        "c  law       backlog  rho timeout | 502: predicted measured replayed simulated +- 2 sd | 504: the "
        "same | work for nobody: predicted replayed simulated | given up and executed all the same"
    )
    for number, case in enumerate(CASES):
        expected = case.predicted()
        simulated = case.simulated()
        measured, own, (given_up, done) = case.measured(number)
        mean, spread = simulated.mean(axis=0), 2 * simulated.std(axis=0)
        shares = " | ".join(
            f"{expected[i]:6.1%} {measured[i]:6.1%} {own[i]:6.1%} {mean[i]:6.1%} +- {spread[i]:.1%}" for i in range(2)
        )
        print(
            f"{case.workers}  {case.law:12} {case.backlog:4}  {case.utilization:.1f}  {case.timeout:3} s | {shares} | "
            f"{expected[2]:.1%} {own[2]:.1%} {mean[2]:.1%} +- {spread[2]:.1%} | "
            f"{(given_up & done).sum()} of {given_up.sum()}",
            flush=True,
        )


if __name__ == "__main__":
    main()
