"""A sudden step in load on one pool: what the wait costs until the pool has grown, over the phases of the tick.

The traces are seeded, so that the same question has the same answer, and two pools meet the same requests.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from capacity.errors import InvalidInput, Problem
from capacity.fpm.maintenance import TICK
from capacity.fpm.manager import SOMAXCONN, out_of_bounds, simulate_pool
from capacity.pool import PoolSettings
from capacity.queueing import replay
from capacity.units import shown

__all__ = ["MOST_REQUESTS", "MOST_WORKERS", "StepRun", "simulate_step", "step_window"]

MOST_REQUESTS: Final = 2_000_000
"""Requests of one question [-]: some seconds of computing."""
MOST_WORKERS: Final = 20_000
"""Workers of a pool that is simulated [-]; no host runs more."""

_PHASES, _MOST_PHASES, _ENOUGH = 8, 64, 4000  # of the tick; more of them where there are few requests in each
_SEED = 20_240_229
_CALM = 0.1  # of the service time and of the worst second: more waiting than in a static pool is not over yet


@dataclass(frozen=True)
class StepRun:
    """What a step does to a pool.

    Parameters
    ----------
    waiting_times : ndarray
        Of the requests that came after the step, over all phases [s]; ``inf`` where refused.
    workers : ndarray
        Mean number of workers at the step and each second after it [-].
    recovered : float or None
        How long after the step it lasts that requests wait longer than in a pool with all its workers, by a tenth of
        the service time and of the worst second [s]; None: beyond the window.
    window : float
        How long the load lasts after the step [s].
    phases : int
        How many phases of the tick were tried [-].
    """

    waiting_times: NDArray[np.float64]
    workers: NDArray[np.float64]
    recovered: float | None
    window: float
    phases: int

    @property
    def refused(self) -> float:
        """Share of the requests that found the accept queue full [-]."""
        return float(np.isinf(self.waiting_times).mean()) if self.waiting_times.size else 0.0

    @property
    def served(self) -> NDArray[np.float64]:
        """Waits of those let in [s]."""
        return self.waiting_times[np.isfinite(self.waiting_times)]

    @property
    def mean_wait(self) -> float:
        """Mean waiting time of those let in [s]."""
        return float(self.served.mean()) if self.served.size else 0.0

    def wait_quantile(self, p: float) -> float:
        """Quantile of the waiting time of those let in [s]."""
        return float(np.quantile(self.served, p)) if self.served.size else 0.0


def step_window(service_time: float) -> float:
    """How long after a step is looked at where nothing else is said [s]: ten ticks, or three services."""
    return max(10.0, 3.0 * service_time)


def simulate_step(
    pool: PoolSettings,
    *,
    rate_before: float,
    rate_after: float,
    service_time: float,
    service_scv: float = 1.0,
    window: float | None = None,
    process_max: int | None = None,
    somaxconn: int = SOMAXCONN,
) -> StepRun:
    """What a step from one arrival rate to another does to a pool.

    Parameters
    ----------
    pool : PoolSettings
    rate_before, rate_after : float
        Poisson arrivals before and after the step [1/s].
    service_time : float
        Mean time a request holds its worker [s].
    service_scv : float, optional
        Squared coefficient of variation of that time [-]; 1 is exponential.
    window : float, optional
        How long the load lasts after the step [s]; `step_window` by default.
    process_max : int, optional
        Most workers the pool may have because of ``process.max`` [-].
    somaxconn : int, optional
        The kernel's ``net.core.somaxconn`` [-].

    Returns
    -------
    StepRun

    Raises
    ------
    InvalidInput
        A rate or time out of range, or more requests or workers than a simulation bears.

    Notes
    -----
    Before the step the pool has the fewest workers it may have: those busy and `min_spare_servers` idle ones, or in
    an ondemand pool those busy. Workers that share cores are not slowed down by one another here.

    Examples
    --------
    >>> pool = PoolSettings(pm="dynamic", max_children=40, min_spare_servers=5, max_spare_servers=10)
    >>> run = simulate_step(pool, rate_before=60, rate_after=500, service_time=0.05)
    >>> run.workers.round().tolist()[:8]
    [9.0, 10.0, 13.0, 18.0, 23.0, 28.0, 32.0, 36.0]
    >>> static = pool.model_copy(update={"pm": "static"})
    >>> best = simulate_step(static, rate_before=60, rate_after=500, service_time=0.05)
    >>> f"{run.mean_wait:.1f} s, {best.mean_wait:.3f} s"
    '1.0 s, 0.000 s'
    """
    lasts = step_window(service_time) if window is None else window
    _check(pool, rate_before, rate_after, service_time, service_scv, lasts)
    before, after = rate_before * service_time, max(rate_after * lasts, 1.0)
    phases = min(max(_PHASES, math.ceil(_ENOUGH / after)), _MOST_PHASES)
    rest = 2.0 + 2.0 * service_time
    if phases * (rate_before * rest + after) > MOST_REQUESTS:
        raise InvalidInput(
            [Problem("rate_after", f"must not make more than {MOST_REQUESTS} requests", shown(rate_after))]
        )
    busy = round(before)
    fewest = busy + (pool.min_spare_servers or 0)
    seconds = np.arange(0.0, lasts + 0.5)
    waits, excess, workers = [], np.zeros(seconds.size), np.zeros(seconds.size)
    for number in range(phases):
        chance = np.random.default_rng([_SEED, number])
        quiet = np.sort(chance.uniform(-rest, 0.0, chance.poisson(rate_before * rest)))
        loud = np.sort(chance.uniform(0.0, lasts, chance.poisson(rate_after * lasts)))
        arrivals = np.concatenate((np.full(busy, -rest), quiet, loud))
        services = _services(chance, arrivals.size, service_time, service_scv)
        run = simulate_pool(
            pool,
            arrival_times=arrivals,
            service_times=services,
            phase=(number + 0.5) / phases * TICK,
            start=-rest,
            workers=fewest,
            until=lasts,
            process_max=process_max,
            somaxconn=somaxconn,
        )
        late = run.waiting_times[busy + quiet.size :]
        best = replay(arrival_times=arrivals, service_times=services, servers=pool.max_children)
        waits.append(late)
        more = np.where(np.isfinite(late), late, 0.0) - np.asarray(best)[busy + quiet.size :]
        excess += np.bincount(loud.astype(np.intp), more, minlength=seconds.size)[: seconds.size]
        workers += run.workers_at(seconds)
    slow = np.flatnonzero(excess > _CALM * max(service_time * rate_after * phases, excess.max()))
    end = float(slow[-1] + 1) if slow.size else 0.0
    return StepRun(
        waiting_times=np.concatenate(waits),
        workers=workers / phases,
        recovered=end if end < lasts else None,
        window=lasts,
        phases=phases,
    )


def _services(chance: np.random.Generator, size: int, mean: float, scv: float) -> NDArray[np.float64]:
    """Gamma distributed with this mean and squared coefficient of variation: exponential at 1, constant at 0."""
    return np.full(size, mean) if scv == 0 else chance.gamma(1.0 / scv, scv * mean, size)


def _check(
    pool: PoolSettings, rate_before: float, rate_after: float, service_time: float, scv: float, window: float
) -> None:
    least = {"rate_before": (rate_before, 0.0), "rate_after": (rate_after, 0.0), "service_scv": (scv, 0.0)}
    problems = out_of_bounds(least, {"service_time": service_time, "window": window})
    if pool.max_children > MOST_WORKERS:
        rule = f"must be at most {MOST_WORKERS} for a simulation"
        problems.append(Problem("max_children", rule, shown(pool.max_children)))
    if problems:
        raise InvalidInput(problems)
