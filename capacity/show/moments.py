"""Pictures over the day: how many workers a log held, and how long its requests would have waited."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from capacity.errors import InvalidInput, Problem
from capacity.extras import library
from capacity.results import Replay, ReplayedPeriod, ReplayedPool
from capacity.show.canvas import BLUE, FILL, GREEN, GREY, PURPLE, RED, canvas
from capacity.show.words import workers_in_words
from capacity.units import format_seconds

if TYPE_CHECKING:
    from capacity.fpm.traffic import Traffic

__all__ = ["busy_workers", "logged_workers", "waits"]

_TALL = 1.3  # workers of the largest pool that fit: a queue that grows beyond leaves through the top
_TICKS = (0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3600.0, 36000.0)
_LINES = ((RED, "-"), (BLUE, "--"), (GREEN, "-."), (PURPLE, ":"))


def busy_workers(result: Replay, *, ax: Any = None) -> Any:
    """Workers that are busy or wanted over the time of a log: busy ones, and the requests that wait with them.

    Parameters
    ----------
    result : Replay
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    with canvas(ax) as ax:
        for pool, (colour, line) in zip(_few(result.pools), _LINES, strict=False):
            name = workers_in_words(pool.workers)
            _stairs(ax, pool.periods, lambda p, c=pool.workers: p.utilization * c + p.queue_length, colour, line, name)  # type: ignore[misc]
            ax.axhline(pool.workers, color=colour, linewidth=0.8, alpha=0.6)
        ax.set_ylim(0, min(ax.get_ylim()[1], _TALL * max(pool.workers for pool in result.pools)))
        ax.set_ylabel("requests held or waiting, mean")
        ax.set_title("Busy workers and the queue, over the log (thin: the workers there are)")
        _clock(ax, result.start, result.seconds)
        ax.legend(loc="upper left", fontsize="small")
    return ax


def waits(result: Replay, *, ax: Any = None) -> Any:
    """Wait that 95 of 100 requests kept to, over the time of a log.

    Parameters
    ----------
    result : Replay
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    with canvas(ax) as ax:
        for pool, (colour, line) in zip(_few(result.pools), _LINES, strict=False):
            _stairs(ax, pool.periods, lambda p: p.waiting_time_p95, colour, line, workers_in_words(pool.workers))
        # where one pool waits for an hour, others still wait for milliseconds
        from_here = result.service_time or 1.0
        ax.set_yscale("symlog", linthresh=from_here)
        ax.set_ylim(bottom=0)
        ax.set_yticks([0.0, *(tick for tick in _TICKS if from_here <= tick < ax.get_ylim()[1])])
        ax.yaxis.set_major_formatter(lambda seconds, _: format_seconds(seconds))
        ax.set_ylabel("95 of 100 wait less")
        ax.set_title(f"Waits, over the log (beyond {format_seconds(result.service_time)} logarithmic)")
        _clock(ax, result.start, result.seconds)
        ax.legend(loc="upper left", fontsize="small")
    return ax


def logged_workers(result: Traffic, *, ax: Any = None) -> Any:
    """Workers that a log held, over its time.

    Parameters
    ----------
    result : Traffic
        Of a log with times.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    line = result.timeline
    if line is None:
        raise InvalidInput([Problem("timeline", "is not in this log", hint="it needs times of day and durations")])
    edges = line.start + line.seconds * np.arange(line.busy.size + 1)
    with canvas(ax) as ax:
        ax.stairs(line.busy, _days(edges), color=BLUE, fill=True, alpha=FILL * 2)
        ax.stairs(line.busy, _days(edges), color=BLUE)
        if result.busiest is not None:
            _peak(ax, result.busiest.start + result.busiest.seconds / 2, result.busiest.value)
        ax.set_ylim(0, 1.2 * max(line.busy.max(), 0 if result.busiest is None else result.busiest.value))
        ax.set_ylabel("workers held, mean")
        ax.set_title(f"Workers held by the requests of the log ({result.requests} requests)")
        _clock(ax, float(edges[0]), float(edges[-1] - edges[0]))
    return ax


def _peak(ax: Any, moment: float, value: float) -> None:
    ax.plot(_days(np.array([moment])), [value], "o", color=RED)
    ax.annotate(f"busiest minute: {value:.1f}", (_days(np.array([moment]))[0], value), xytext=(6, 4),
                textcoords="offset points", fontsize="small")  # fmt: skip


def _few(pools: Sequence[ReplayedPool]) -> Sequence[ReplayedPool]:
    """At most as many pools as there are lines to tell apart, the smallest and the largest among them."""
    ordered = sorted(pools, key=lambda pool: pool.workers)
    places = np.unique(np.linspace(0, len(ordered) - 1, min(len(ordered), len(_LINES))).round().astype(int))
    return [ordered[place] for place in places]


def _stairs(
    ax: Any,
    periods: Sequence[ReplayedPeriod],
    value: Callable[[ReplayedPeriod], float],
    colour: str,
    line: str,
    name: str,
) -> None:
    """Draw a step a period; nothing came in those that are missing."""
    length = periods[0].seconds
    first = periods[0].start
    places = [round((period.start - first) / length) for period in periods]
    values = np.zeros(places[-1] + 1)
    values[places] = [value(period) for period in periods]
    edges = first + length * np.arange(values.size + 1)
    ax.stairs(values, _days(edges), color=colour, linestyle=line, linewidth=1.8, label=name, baseline=None)


def _clock(ax: Any, start: float, seconds: float) -> None:
    """Write times of day, in UTC, below."""
    dates = library("matplotlib.dates", what="plot", extra="plot")
    locator = dates.AutoDateLocator(tz=UTC)
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, tz=UTC, show_offset=False))
    first = datetime.fromtimestamp(start, UTC)
    last = datetime.fromtimestamp(start + seconds, UTC)
    ax.set_xlabel(f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC")
    ax.grid(axis="x", color=GREY, alpha=0.2)


def _days(seconds: Any) -> Any:
    """Seconds since the epoch as matplotlib counts time."""
    return np.asarray(seconds) / 86400.0
