"""Who is refused, who is given up and what is done for nobody: predicted, then measured on a real nginx and php-fpm.

    python -m benchmarks.overload            # needs php-fpm8.2 and nginx; two and a half minutes

Each case is predicted from its inputs first: workers, service time, listen.backlog, the rate and nginx's read timeout.
Then requests are sent at random (Poisson) times to a pool that sleeps; those of the first seconds, while the queue
fills, are left out. Beside them: the run's own arrivals and logged service times in an exact pool (`replayed`), and
the mean of ten simulations of the same length with other arrivals, plus and minus two of their standard deviations:
what chance does.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from capacity import PoolSettings, Scenario, forecast, queueing
from tests.live.web_load import serving

OVERHEAD = 0.0005  # of a request in nginx and FPM, beside its sleep [s]


@dataclass(frozen=True)
class Case:
    """One pool and its load; the service law is exponential or constant."""

    workers: int
    service_time: float
    law: str
    backlog: int
    utilization: float
    timeout: int
    seconds: float
    warm_up: float

    @property
    def rate(self) -> float:
        """Requests offered [1/s]."""
        return self.utilization * self.workers / self.service_time

    @property
    def pool(self) -> PoolSettings:
        """As FPM gets it."""
        return PoolSettings(pm="static", max_children=self.workers, listen_backlog=self.backlog)

    def predicted(self) -> tuple[float, float, float]:
        """Shares refused and timed out, and share of the work for nobody."""
        tables = Scenario.example().to_mapping()
        tables["workload"] = {"service_time": self.service_time + OVERHEAD, "think_time": 0.0}
        tables["policy"]["web_server_timeout"] = self.timeout
        users = 1000
        click = users / self.rate - self.service_time - OVERHEAD
        tables["workload"]["think_time"] = click
        (found,) = forecast(Scenario.from_mapping(tables), pool=self.pool, users=[users]).predictions
        return found.refused or 0.0, found.timed_out or 0.0, found.wasted or 0.0

    def draw(self, chance: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Arrivals and service times."""
        times = np.sort(chance.uniform(0, self.seconds, chance.poisson(self.rate * self.seconds)))
        constant = np.full(times.size, self.service_time)
        return times, constant if self.law == "constant" else chance.exponential(self.service_time, times.size)

    def shares(self, times: NDArray[np.float64], waits: NDArray[np.float64], holds: NDArray[np.float64]) -> np.ndarray:
        """The same three of requests whose waits are known (inf: refused)."""
        counted = times >= self.warm_up
        refused, let_in = np.isinf(waits), np.isfinite(waits) & counted
        late = waits + holds - self.timeout
        nobody = np.clip(np.minimum(late, holds), 0, None)
        return np.array(
            [
                (refused & counted).sum() / counted.sum(),
                (let_in & (late > 0)).sum() / counted.sum(),
                nobody[let_in].sum() / holds[let_in].sum(),
            ]
        )

    def simulated(self) -> np.ndarray:
        """Shares in ten simulations of that length, a row each."""
        found = []
        for seed in range(10):
            times, holds = self.draw(np.random.default_rng([seed, 7]))
            found.append(self.shares(times, self.replayed(times, holds + OVERHEAD), holds + OVERHEAD))
        return np.array(found)

    def replayed(self, times: NDArray[np.float64], holds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Waits of these requests in an exact pool of this size."""
        waits = queueing.replay(
            arrival_times=times, service_times=holds, servers=self.workers, backlog=self.backlog + 1
        )
        return np.asarray(waits)

    def measured(self, seed: int) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
        """Shares on the real thing, in a replay of its own arrivals and service times, and who was executed."""
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            directory.chmod(0o755)
            with serving(directory, self.pool, timeout=self.timeout) as web:
                times, holds = self.draw(np.random.default_rng(seed))
                answers = web.ask(times, holds)
                web.settle(int((answers.status != 502).sum()), 60)
                executed = web.executed()
            counted = times >= self.warm_up
            refused, given_up = ((answers.status == code) & counted for code in (502, 504))
            done = np.array([number in executed for number in range(times.size)])
            took = np.array([executed.get(number, (hold, 0))[0] for number, hold in enumerate(holds)])
            waits = self.replayed(answers.sent - answers.sent[0], took + OVERHEAD / 2)
            own = self.shares(times, waits, took)
            return np.array([refused.sum() / counted.sum(), given_up.sum() / counted.sum()]), own, (given_up, done)


CASES = [
    Case(2, 0.05, "constant", 8, 1.5, 60, 14, 1),
    Case(2, 0.05, "exponential", 8, 0.9, 60, 16, 1),
    Case(4, 0.05, "exponential", 0, 1.2, 60, 14, 1),
    Case(8, 0.1, "exponential", 8, 3.0, 60, 12, 1),
    Case(4, 0.1, "exponential", 64, 2.0, 2, 18, 4),
    Case(4, 0.1, "exponential", 64, 1.1, 1, 20, 6),
    Case(8, 0.1, "constant", 64, 1.5, 1, 16, 3),
    Case(2, 0.05, "constant", 64, 2.0, 1, 16, 4),
]


def main() -> None:
    """Print a line a case."""
    print(
        "c  law       backlog  rho timeout | refused: predicted measured replayed simulated +- 2 sd | timed out: the "
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
