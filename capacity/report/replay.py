"""A replayed log as text: a column a pool, and the hours that hurt."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from capacity.measure.survey import moment
from capacity.report.fitting import fitted
from capacity.report.text import box_for, section
from capacity.results import Replay, ReplayedPeriod, ReplayedPool
from capacity.units import format_fraction, format_rate, format_seconds

__all__ = ["replay_text"]

_COLUMNS = 6  # pools beside each other
_MOST_PERIODS = 6
_NAMES: Final = {60.0: "minute", 3600.0: "hour", 86400.0: "day"}
_ROWS: Final[tuple[tuple[str, Callable[[ReplayedPool], str]], ...]] = (
    ("workers busy", lambda pool: _percent(pool.utilization)),
    ("must wait", lambda pool: _percent(pool.wait_probability)),
    ("wait, mean", lambda pool: format_seconds(pool.waiting_time)),
    ("wait, 95 % within", lambda pool: format_seconds(pool.waiting_time_p95)),
    ("wait, 99 % within", lambda pool: format_seconds(pool.waiting_time_p99)),
    ("response, mean", lambda pool: format_seconds(pool.response_time)),
    ("response, 95 % within", lambda pool: format_seconds(pool.response_time_p95)),
    ("response, 99 % within", lambda pool: format_seconds(pool.response_time_p99)),
    ("longest response", lambda pool: format_seconds(pool.longest_response_time)),
    ("longest queue", lambda pool: str(pool.longest_queue)),
)


def replay_text(result: Replay, console: Console) -> RenderableType:
    """Give the pools side by side, the periods that hurt, and what to conclude.

    Parameters
    ----------
    result : Replay
    console : Console

    Returns
    -------
    RenderableType
    """
    parts: list[RenderableType] = [Text(_headline(result), style="bold"), Text(_times(result)), ""]
    for first in range(0, len(result.pools), _COLUMNS):
        pools = result.pools[first : first + _COLUMNS]
        parts += [_pools(pools, result, console), "", _periods(pools, console), ""]
    parts += [section("What to make of it", result.advice), section("Keep in mind", result.cautions)]
    return Group(*parts)


def _headline(result: Replay) -> str:
    rate = result.requests / result.seconds if result.seconds else 0.0
    mean = f", mean {format_rate(rate)}" if result.seconds >= 1 else ""
    return f"{result.requests} requests from {moment(result.start)} to {moment(result.start + result.seconds)}{mean}"


def _times(result: Replay) -> str:
    """Say what became of the logged times."""
    taken = [
        f"{format_seconds(time)} of {what}"
        for time, what in ((result.logged_wait, "waiting"), (result.logged_contention, "sharing the cores"))
        if time >= 1e-6
    ]
    logged = f"logged {format_seconds(result.logged_time)} each"
    less = f", less {' and '.join(taken)}: {format_seconds(result.service_time)} at light load" if taken else ""
    cpu = "" if result.cpu_time is None else f"; {format_seconds(result.cpu_time)} of CPU"
    cores = "" if result.cpus is None else f"; {result.cpus:g} core{'' if result.cpus == 1 else 's'}"
    return f"{logged}{less}{cpu}{cores}"


def _pools(pools: Sequence[ReplayedPool], result: Replay, console: Console) -> Table:
    table = Table(box=box_for(console))
    table.add_column("workers", no_wrap=True)
    for pool in pools:
        enough = pool.workers == result.enough_workers
        table.add_column(str(pool.workers), justify="right", style="bold green" if enough else None, overflow="fold")
    rows = [*_ROWS, *([_REFUSED] if result.backlog is not None else [])]
    for name, show in rows:
        table.add_row(name, *map(show, pools))
    return fitted(table, console)


def _periods(pools: Sequence[ReplayedPool], console: Console) -> Table:
    """The periods in which most time is spent waiting in the smallest of these pools, the worst first."""
    worst = min(pools, key=lambda pool: pool.workers)
    name = _NAMES.get(worst.periods[0].seconds, "period")
    which = f"The {name}s that hurt" if len(worst.periods) > 1 else f"By the {name}"
    title = f"{which}: wait, 95 % within (longest queue)"
    table = Table(box=box_for(console), title=title, title_justify="left", title_style="bold")
    table.add_column(name, no_wrap=True)
    table.add_column("requests", justify="right")
    for pool in pools:
        table.add_column(
            f"{pool.workers} workers" if pool.workers > 1 else "1 worker", justify="right", overflow="fold"
        )
    for at in _order(worst):
        period = worst.periods[at]
        cells = [_wait(pool.periods[at]) for pool in pools]
        table.add_row(moment(period.start), format_rate(period.arrival_rate), *cells)
    return fitted(table, console)


def _order(pool: ReplayedPool) -> Iterator[int]:
    def harm(at: int) -> tuple[bool, float, float, float]:
        period = pool.periods[at]
        let_in = period.requests - period.refused
        return at == pool.worst, period.refused, period.waiting_time * let_in, period.utilization

    yield from sorted(range(len(pool.periods)), key=harm, reverse=True)[:_MOST_PERIODS]


def _wait(period: ReplayedPeriod) -> str:
    refused = f", {period.refused} refused" if period.refused else ""
    return f"{format_seconds(period.waiting_time_p95)} ({period.longest_queue}{refused})"


def _percent(share: float) -> str:
    return "0 %" if 0 < share < 0.0005 else format_fraction(round(share, 3))


_REFUSED: Final = ("refused", lambda pool: str(pool.refused))
