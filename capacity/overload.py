"""What becomes of requests when more are asked than a pool completes: 502 from a full queue, 504 from a late answer.

The open model with a limited accept queue, over columns. Of N users the finite model says nothing here: those who give
up ask again while their old request is still in the queue, and that model has no such request.

Service times are taken as exponential. `docs/explanation/overload.md` states the error for others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from capacity.policies import backlog, demand
from capacity.pool import PoolSettings
from capacity.queueing.inner_network import network_throughput
from capacity.queueing.lossy_pool import lossy_pool, response_tail, response_tail_bound, waiting_tail
from capacity.queueing.shared_pool import Pool
from capacity.results import Prediction
from capacity.scenario import Scenario
from capacity.table import ROUNDING, Column, Table, take
from capacity.units import format_fraction, format_rate, format_seconds

__all__ = ["LATE", "LOST", "NEEDED_FOR_LOST", "lost", "overload_caution", "pool_columns"]

LOST: Final = ("refused", "killed", "timed_out", "wasted", "queue_fills_after", "admitted_waiting_time")
"""The columns `lost` gives."""
LATE: Final = frozenset(("killed", "timed_out", "wasted"))
"""Those of them that are about late answers."""
NEEDED_FOR_LOST: Final = (
    "host.somaxconn",
    "policy.web_server_timeout",
    "pool.listen_backlog",
    "pool.request_terminate_timeout",
)
"""The columns it looks at beside those of a prediction."""
_NOTHING: Final = 1e-9  # a share below it counts as none
_NEVER: Final = 21.5  # e^-21.5 is half of that
_SEEN: Final = 0.0005  # a share that is shown


def pool_columns(pools: Sequence[PoolSettings]) -> dict[str, Column]:
    """The settings that `lost` looks at, a row a pool.

    Examples
    --------
    >>> pool_columns([PoolSettings(pm="static", max_children=2, listen_backlog=8)])
    {'pool.listen_backlog': array([8.]), 'pool.request_terminate_timeout': array([nan])}
    """
    names = ("listen_backlog", "request_terminate_timeout")
    values = {name: [getattr(pool, name) for pool in pools] for name in names}
    return {f"pool.{name}": np.array(column, dtype=np.float64) for name, column in values.items()}  # None becomes NaN


@np.errstate(all="ignore")
def lost(table: Table, workers: Column, rate: Column, *, late: bool = True) -> dict[str, Column]:
    """Shares of a stream of requests that get no answer, and what they cost; NaN where the rate is not known.

    Parameters
    ----------
    table : Table
        Columns of a prediction and ``NEEDED_FOR_LOST``.
    workers : ndarray
        Workers [-].
    rate : ndarray
        Requests offered [1/s].
    late : bool
        Whether to look for late answers, which costs most of it; else nobody is late or killed.

    Returns
    -------
    dict of str to ndarray
        ``refused``, ``killed`` and ``timed_out``, shares of the requests offered; ``wasted``, of the busy time of the
        workers; ``queue_fills_after`` [s], NaN where the queue does not grow; ``admitted_waiting_time`` [s], mean of
        those let in, NaN where requests are no more than the pool completes.
    """
    network = demand.inner_network(table, workers)
    full = network_throughput(workers, *network)
    places = backlog.waiting_room(table)
    kill = table["pool.request_terminate_timeout"]
    kill = np.where(kill > 0, kill, np.inf)
    limit = np.minimum(table["policy.web_server_timeout"], kill)
    # A wait beyond half of the limit or a hold beyond the other half, or a full queue: never here, so nothing is lost.
    spare = full - rate
    calm = (spare * limit > 2 * _NEVER) & (limit * full > 2 * _NEVER * workers)
    calm &= places * np.log(rate / full) < -_NEVER
    result = {name: np.where(np.isnan(rate), np.nan, 0.0) for name in LOST[:4]}
    result |= {name: np.full(rate.shape, np.nan) for name in LOST[4:]}
    rows = np.flatnonzero(~calm & np.isfinite(rate))
    if not rows.size:
        return result
    pool = lossy_pool(workers[rows], tuple(column[rows] for column in network), rate[rows], places[rows])
    patience, most_at_work = (column[rows] for column in (table["policy.web_server_timeout"], kill))
    found = _answers(pool, patience, most_at_work) if late else {"refused": pool["refused"]}
    over = spare[rows] <= ROUNDING * full[rows]
    found["queue_fills_after"] = np.where(
        over & (spare[rows] < -ROUNDING * full[rows]), places[rows] / -spare[rows], np.nan
    )
    found["admitted_waiting_time"] = np.where(over, pool["waiting_time"], np.nan)
    for name, column in found.items():
        result[name][rows] = np.where(column < _NOTHING, 0.0, column)
    return result


def _answers(pool: Pool, patience: Column, kill: Column) -> dict[str, Column]:
    """Shares of the requests offered, and of the work."""
    shares = {name: np.zeros(patience.shape) for name in ("killed", "timed_out", "wasted")}
    rows: NDArray[np.intp] = np.flatnonzero(~(response_tail_bound(patience, pool) < _NOTHING) | (kill < patience))
    if rows.size:
        late = _late(take(pool, rows), patience[rows], kill[rows])
        for name, column in late.items():
            shares[name][rows] = column
    let_in = 1.0 - pool["refused"]
    return {
        "refused": pool["refused"],
        "killed": let_in * shares["killed"],
        "timed_out": let_in * shares["timed_out"],
        "wasted": shares["wasted"],
    }


def _late(pool: Pool, patience: Column, kill: Column) -> dict[str, Column]:
    """Shares of those let in, and of the work.

    A request at work has as much before it as at its start (exponential), so who is late has a mean service time of
    his left when the web server gives up: the share of work for nobody is the share of late ones. FPM kills who is
    at work for ``kill``, whether he has waited or not; that it then completes more is left out.
    """
    survives = np.exp(-kill / pool["hold"])
    late = response_tail(patience, pool)
    timed_out, killed, spared = late.copy(), np.zeros(late.shape), survives.copy()
    rows: NDArray[np.intp] = np.flatnonzero(kill < patience)
    if rows.size:
        some, rest = take(pool, rows), (patience - kill)[rows]
        waits, longer, survive = waiting_tail(rest, some), response_tail(rest, some), survives[rows]
        killed[rows] = survive * (1.0 - waits)
        spared[rows] = survive * longer
        timed_out[rows] = np.maximum(late[rows] - survive * (longer - waits), 0.0)
    return {
        "killed": killed,
        "timed_out": timed_out,
        "wasted": np.clip((late - spared) / (1.0 - survives), 0.0, 1.0),
    }


def overload_caution(scenario: Scenario, pool: PoolSettings, predictions: Sequence[Prediction]) -> tuple[str, ...]:
    """What really happens where more is asked than the pool completes, and what helps; nothing where it is not."""
    endless = [p for p in predictions if p.response_time is None and p.refused is not None]
    if not endless:
        return ()
    places = backlog.room_of(pool.listen_backlog, scenario.host.somaxconn)
    patience = scenario.web_server_timeout
    told = [_told(p, places, patience, first=index == 0) for index, p in enumerate(endless[:1] + endless[1:][-1:])]
    completes = max(p.throughput for p in endless)
    advice = [
        f"no queue helps: complete more than {format_rate(completes)}, or let less be asked (a cache, a rate limit)"
    ]
    useful = max(1, int(patience * completes))
    if places > useful:
        advice.append(
            f"listen.backlog = {useful} turns away at once whom nobody would wait for ({format_seconds(patience)} x "
            f"{format_rate(completes)})"
        )
    if scenario.workload.service_scv != 1:
        advice.append("these shares are for exponential service times (service_scv 1)")
    return (*told, "; ".join(advice))


def _told(p: Prediction, places: int, patience: float, *, first: bool) -> str:
    who = "the given rate" if p.users is None else f"{p.users} users"
    wait = p.admitted_waiting_time or 0.0
    queue = f"the accept queue ({places} places, as on a unix socket)" if first else "it"
    if p.queue_fills_after is None:
        text = (
            f"at {who} as much is asked as the pool can complete: {queue} fills sooner or later, and after long "
            f"requests wait {format_seconds(wait)} on average"
        )
    else:
        text = (
            f"at {who} {format_rate(p.arrival_rate)} are asked of {format_rate(p.throughput)}: {queue} is full after "
            f"about {format_seconds(p.queue_fills_after)}; from then on {format_fraction(round(p.refused or 0.0, 3))} "
            f"get a 502 at once and the others wait {format_seconds(wait)}"
        )
    late = [
        f"{format_fraction(round(p.timed_out or 0.0, 3))} a 504 after {format_seconds(patience)}"
        if (p.timed_out or 0.0) >= _SEEN
        else "",
        f"{format_fraction(round(p.killed or 0.0, 3))} a 502 from request_terminate_timeout"
        if (p.killed or 0.0) >= _SEEN
        else "",
    ]
    late = [share for share in late if share]
    if late:
        text += f"; {' and '.join(late)}"
    if (p.wasted or 0.0) >= _SEEN:
        nobody = format_fraction(round(p.wasted or 0.0, 3))
        text += f", while {nobody} of the workers' time goes to requests that nobody waits for"
    return text
