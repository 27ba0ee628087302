"""What becomes of requests when more are asked than a pool completes: 502 from a full queue, 504 from a late answer.

The open model with a limited accept queue, over columns. Of N users the finite model says nothing here: those who give
up ask again while their old request is still in the queue, and that model has no such request.

Service times have any spread from 0 to 4. `docs/explanation/overload.md` states the error where it is not 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from capacity.policies import backlog, demand
from capacity.pool import PoolSettings
from capacity.queueing.inner_network import Network, network_throughput
from capacity.queueing.lossy_pool import late_shares, lossy_pool, response_tail, response_tail_bound
from capacity.queueing.shared_pool import Pool
from capacity.queueing.spread import LARGEST_SCV, limited_moments
from capacity.results import Prediction
from capacity.scenario import Scenario
from capacity.table import ROUNDING, Column, Table, take
from capacity.units import format_fraction, format_rate, format_seconds

__all__ = ["KILL_DELAY", "LATE", "LOST", "NEEDED_FOR_LOST", "lost", "overload_caution", "pool_columns"]

LOST: Final = ("refused", "killed", "timed_out", "wasted", "queue_fills_after", "admitted_waiting_time")
"""The columns `lost` gives beside the throughput."""
LATE: Final = frozenset(("killed", "timed_out", "wasted"))
"""Those of them that are about late answers."""
NEEDED_FOR_LOST: Final = (
    "host.somaxconn",
    "policy.web_server_timeout",
    "pool.listen_backlog",
    "pool.request_terminate_timeout",
)
"""The columns it looks at beside those of a prediction."""
KILL_DELAY: Final = 7 / 6
"""FPM looks for requests to end three times in request_terminate_timeout: on average half of such a third late."""
_NOTHING: Final = 1e-9  # a share below it counts as none
_NO_ROOM: Final = 0.001  # of the work, which ending so much of it does not make
_NEVER: Final = 21.5  # e^-21.5 is half of that
_SHOWN: Final = 0.0005  # a share that is spoken of


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
    scv = table["workload.service_scv"]
    scv = np.where(scv <= LARGEST_SCV, scv, 1.0)
    patience, kill = table["policy.web_server_timeout"], table["pool.request_terminate_timeout"]
    kill = np.where(kill > 0, kill * KILL_DELAY, np.inf)
    law, network = _cut_short(workers, demand.inner_network(table, workers), kill, scv)
    full = network_throughput(workers, *network)
    places = backlog.waiting_room(table)
    # A wait beyond half of the limit or a hold beyond the other half, or a full queue: never here, so nothing is lost.
    spare = full - rate
    calm = (spare * patience > 2 * _NEVER) & (patience * full > 2 * _NEVER * workers)
    calm &= (places * np.log(rate / full) < -_NEVER) & (scv <= 1) & np.isinf(law["kill"])
    result = {name: np.where(np.isnan(rate), np.nan, 0.0) for name in LOST[:4]}
    result |= {name: np.full(rate.shape, np.nan) for name in LOST[4:]}
    result["throughput"] = np.minimum(rate, full)
    rows = np.flatnonzero(~calm & np.isfinite(rate))
    if not rows.size:
        return result
    law = take(law, rows)
    pool = lossy_pool(workers[rows], tuple(column[rows] for column in network), rate[rows], places[rows], law["scv"])
    found = _answers(pool, law, patience[rows]) if late else {"refused": pool["refused"]}
    over = spare[rows] <= ROUNDING * full[rows]
    found["queue_fills_after"] = np.where(
        over & (spare[rows] < -ROUNDING * full[rows]), places[rows] / -spare[rows], np.nan
    )
    found["admitted_waiting_time"] = np.where(over, pool["waiting_time"], np.nan)
    for name, column in found.items():
        result[name][rows] = np.where(column < _NOTHING, 0.0, column)
    return result


def _cut_short(workers: Column, network: Network, kill: Column, scv: Column) -> tuple[Table, Network]:
    """Times at work of which none is longer than ``kill``: their law, and the network of those who have them.

    A request that FPM ends has used its cores and its connection for the same share of its time as another. ``kill``
    becomes inf where hardly anybody is ended, and ``scv``, of the times as they end, then stays as it was; ``kept`` is
    how much of the mean is left, and ``law_scv`` the spread of the times before.
    """
    usual = workers / network_throughput(workers, *network)
    mean, square = limited_moments(kill / usual, scv)
    ended = 1.0 - mean > _NOTHING
    kept = np.where(1.0 - mean > _NO_ROOM, mean, 1.0)
    law = {
        "kill": np.where(ended, kill, np.inf),
        "kept": kept,
        "scv": np.where(ended, square / (mean * mean) - 1.0, scv),
        "law_scv": scv,
    }
    cores, cpu_time, service_time, *database = network
    shorter = (cores, cpu_time * kept, service_time * kept, *database[:1], *(time * kept for time in database[1:]))
    return law, shorter


def _answers(pool: Pool, law: Table, patience: Column) -> dict[str, Column]:
    """Shares of the requests offered, and of the work.

    An exponential request at work has as much before it as at its start, so who is late has a mean service time of his
    left when the web server gives up: the share of work for nobody is the share of late ones.
    """
    shares = {name: np.zeros(patience.shape) for name in ("killed", "timed_out", "wasted")}
    plain = np.isinf(law["kill"]) & (law["scv"] == 1)
    rows: NDArray[np.intp] = np.flatnonzero(plain & ~(response_tail_bound(patience, pool) < _NOTHING))
    if rows.size:
        shares["timed_out"][rows] = shares["wasted"][rows] = response_tail(patience[rows], take(pool, rows))
    rows = np.flatnonzero(~plain)
    if rows.size:
        spread = take({**pool, **law, "law_hold": pool["hold"] / law["kept"]}, rows)
        for name, column in late_shares(patience[rows], law["kill"][rows], spread).items():
            shares[name][rows] = column
    let_in = 1.0 - pool["refused"]
    return {
        "refused": pool["refused"],
        "killed": let_in * shares["killed"],
        "timed_out": let_in * shares["timed_out"],
        "wasted": shares["wasted"],
    }


def overload_caution(scenario: Scenario, pool: PoolSettings, predictions: Sequence[Prediction]) -> tuple[str, ...]:
    """What really happens where more is asked than the pool completes, and what helps; nothing where it is not."""
    endless = [p for p in predictions if p.response_time is None and p.refused is not None]
    over = [p for p in endless if p.admitted_waiting_time is not None]
    rescued = [p for p in endless if p.admitted_waiting_time is None]
    told = []
    if rescued:
        ended = max(p.killed or 0.0 for p in rescued)
        told.append(
            f"at {_who(rescued)} the pool keeps up only because request_terminate_timeout ends long requests"
            f"{f' ({_share(ended)} of all, with a 502)' if _shown(ended) else ''}; without that the queue would grow "
            "without bound, and times are not computed with it"
        )
    if over:
        places, patience = backlog.room_of(pool.listen_backlog, scenario.host.somaxconn), scenario.web_server_timeout
        completes, useful = over[-1].throughput, max(1, int(patience * over[-1].throughput))
        told.append(
            f"at {_who(over)} as much is asked as the pool can complete ({format_rate(completes)}), or more: the queue "
            f"and all times grow without bound, until {_told(over[-1], places, patience)}"
        )
        advice = f"no queue helps: complete more than {format_rate(completes)}, or let less be asked (a cache, a "
        advice += "rate limit)"
        if places > useful:
            advice += (
                f"; listen.backlog = {useful} turns away at once whom nobody would wait for "
                f"({format_seconds(patience)} x {format_rate(completes)})"
            )
        if scenario.workload.service_scv > LARGEST_SCV:
            advice += "; these shares are for exponential service times (service_scv 1)"
        told.append(advice)
    return tuple(told)


def _who(predictions: Sequence[Prediction]) -> str:
    users = [str(p.users) for p in predictions if p.users is not None]
    return f"{', '.join(users)} users" if users else "the given rate"


def _told(p: Prediction, places: int, patience: float) -> str:
    """What becomes of the queue and of who comes then."""
    queue = f"the accept queue of {places} places"
    wait = format_seconds(p.admitted_waiting_time or 0.0)
    if p.queue_fills_after is None:
        text = f"sooner or later {queue} is full; in the end requests wait {wait} on average"
    else:
        text = (
            f"at {format_rate(p.arrival_rate)} {queue} is full after about {format_seconds(p.queue_fills_after)}: from "
            f"then on {_share(p.refused)} get a 502 at once and the others wait {wait}"
        )
    late = [
        f"{_share(p.timed_out)} get a 504 after {format_seconds(patience)}" if _shown(p.timed_out) else "",
        f"{_share(p.killed)} a 502 from request_terminate_timeout" if _shown(p.killed) else "",
    ]
    text = "; ".join([text, *filter(None, late)])
    if _shown(p.wasted):
        text += f"; {_share(p.wasted)} of the workers' time goes to requests that nobody waits for"
    return text


def _shown(share: float | None) -> bool:
    """Whether a share is one to speak of."""
    return share is not None and share >= _SHOWN


def _share(share: float | None) -> str:
    return format_fraction(round(share or 0.0, 3))
