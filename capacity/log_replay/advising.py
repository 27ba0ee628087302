"""What to conclude from a replay: how many workers would have been enough, and whether more would have helped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from capacity.results import ReplayedPool
from capacity.units import format_fraction, format_seconds

__all__ = ["Advice", "advice_on"]

HARDLY: Final = 0.1
"""Of the mean service time: a wait that nobody notices. A choice, not a measurement."""
_FULL_CORES = 0.9  # share of the cores' time asked for, from which more workers only wait inside the script
_LONGER = 1.05
_NAMES: Final = {60.0: "minute", 3600.0: "hour", 86400.0: "day"}


@dataclass(frozen=True)
class Advice:
    """The conclusion.

    Parameters
    ----------
    enough_workers : int or None
        [-]
    more_workers_help : bool or None
        Whether more than the largest number replayed would; None where that cannot be known.
    lines : tuple of str
        In words.
    """

    enough_workers: int | None
    more_workers_help: bool | None
    lines: tuple[str, ...]


def advice_on(
    pools: Sequence[ReplayedPool], *, service_time: float, cpu_time: float | None, cpus: float | None
) -> Advice:
    """Conclude.

    Parameters
    ----------
    pools : sequence of ReplayedPool
        One at least.
    service_time : float
        Mean, at light load [s].
    cpu_time : float or None
        Of a request [s].
    cpus : float or None
        Cores for PHP [-].

    Returns
    -------
    Advice
    """
    enough = min(
        (
            pool.workers
            for pool in pools
            if not pool.refused and pool.worst_period.waiting_time_p95 <= HARDLY * service_time
        ),
        default=None,
    )
    largest = max(pools, key=lambda pool: pool.workers)
    worst = largest.worst_period
    asked = None if cpu_time is None or not cpus else worst.arrival_rate * cpu_time / cpus
    helps = False if enough is not None else None if asked is None else asked < _FULL_CORES
    return Advice(enough, helps, tuple(_lines(pools, largest, enough, asked)))


def _lines(
    pools: Sequence[ReplayedPool], largest: ReplayedPool, enough: int | None, asked: float | None
) -> Iterator[str]:
    period = _NAMES.get(largest.worst_period.seconds, "period")
    if enough is not None:
        pool = next(pool for pool in pools if pool.workers == enough)
        wait = pool.worst_period.waiting_time_p95
        so_long = f"wait {format_seconds(wait)} at most" if wait else "do not wait"
        yield f"{_workers(enough)} would have been enough: in the worst {period} 95 of 100 requests {so_long}"
        if enough == min(pool.workers for pool in pools) > 1:
            yield "fewer may have been, too: replay smaller numbers to see"
    else:
        wait = largest.worst_period.waiting_time_p95
        refused = f", and {largest.refused} are refused" if largest.refused else ""
        of_them = f"5 of 100 requests of the worst {period} wait {format_seconds(wait)} or more"
        yield f"even with {_workers(largest.workers)} {of_them}{refused}"
        if asked is None:
            yield "whether more workers would have helped depends on the CPU time of a request and the cores"
        else:
            share = f"in that {period} requests asked for {format_fraction(asked)} of the cores' time"
            if asked < _FULL_CORES:
                yield f"more workers would have helped: {share}"
            else:
                yield f"more workers would not have helped: {share}; less CPU time each would, or more cores"
    best = min(pools, key=lambda pool: (pool.response_time_p95, pool.workers))
    if largest.response_time_p95 > _LONGER * best.response_time_p95 and not (largest.refused or best.refused):
        yield (
            f"with {_workers(largest.workers)} 95 of 100 responses take {format_seconds(largest.response_time_p95)} at"
            f" most, with {best.workers} {format_seconds(best.response_time_p95)}: more workers share the same cores"
        )


def _workers(count: int) -> str:
    return f"{count} worker{'' if count == 1 else 's'}"
