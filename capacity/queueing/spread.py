"""Service times that are not exponential, in a solved pool: what M/G/c is beside M/M/c, applied to it.

Of a pool whose workers share cores too: then the ratios are those at the same share of its full rate, which is right
as it gets full (of customers who share a server, a limited number at a time, the mean wait is (1 + scv)/2 times as
long, the wait probability the same) and where cores do not matter, and within some percent between. Times, those with
contention too, are lognormal. For N users who think, ``_finite_general`` tells what becomes of M/M/c//N.

An scv of exactly 1 says exponential; such rows, and those beyond what has been measured, are left as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from scipy.special import log_ndtr, ndtr, ndtri

from capacity.queueing import _finite_general, _general, shared_pool
from capacity.queueing._evaluate import Array
from capacity.queueing._general import Tail
from capacity.queueing._general_table import LARGEST_SCV, MOST_SERVERS
from capacity.queueing.search import Rows, root, upper_bracket
from capacity.queueing.shared_pool import Pool

__all__ = [
    "LARGEST_SCV",
    "law_of",
    "limited_moments",
    "log_service_tail",
    "response_quantile",
    "response_tail",
    "service_quantile",
    "spread_out",
]

_LAW: Final = "lognormal"
_ROUNDING: Final = 1e-9  # a constant time that is exactly as long as allowed is not late


def spread_out(pool: Pool, servers: Array, service_time: Array, service_scv: Array) -> Pool:
    """Give the pool the waits of its service times' spread, and of N users the throughput that goes with them.

    Adds ``hold_scv``, and what the wait of those who wait looks like: of an open pool its scv, ``wait_spread``, of a
    finite one ``batch`` and ``longest_wait`` [holds]. They are NaN where times are taken as exponential. Returns the
    very pool where all are.
    """
    rows = _spread_rows(service_scv)
    if "full_rate" in pool:
        rows = rows[(pool["full_rate"][rows] > 0) & (pool["hold"][rows] > 0) & (servers[rows] > 0)]
    if not rows.size:
        return pool
    change = _open if "drain" in pool else _finite
    part = {name: column[rows] for name, column in pool.items()}
    changed = change(part, np.maximum(servers[rows], 1.0), service_time[rows], service_scv[rows])
    pool = {**{name: np.full(servers.shape, np.nan) for name in changed}, **pool}
    for name, column in changed.items():
        pool[name] = pool[name].copy()
        pool[name][rows] = column
    return pool


def _open(pool: Pool, c: Array, service_time: Array, scv: Array) -> Pool:
    full = pool["throughput"] + pool["drain"]
    longer, fewer, spread = _beside_exponential(c, c * np.clip(pool["drain"] / full, 0.0, 1.0), scv)
    stable = pool["drain"] > 0
    return {
        "waiting_time": pool["waiting_time"] * np.where(stable, longer, 1.0),
        "wait_probability": pool["wait_probability"] * np.where(stable, fewer, 1.0),
        "hold_scv": scv + (1.0 + scv) * _jostle(pool["hold"] / service_time, c / (full * service_time)),
        "wait_spread": spread,
    }


def _finite(pool: Pool, c: Array, service_time: Array, scv: Array) -> Pool:
    """Those who wait, wait for batches; nobody waits where there are as many workers as users."""
    full, mean, waits, hold = (pool[name] for name in ("full_rate", "mean", "wait_probability", "hold"))
    places = np.maximum(pool["places"], 1.0)
    exponential, late = _finite_general.beyond(places, mean)
    # the queue begins to grow or to shrink as if so many workers had nothing to do
    spare = c * np.where(mean > 0, np.clip(1.0 - (places - 1.0) / mean, 0.0, 1.0), 0.0)
    longer, fewer, _ = _beside_exponential(c, spare, scv)
    batch = _finite_general.batch(c, late / c, mean / c, scv, waits, longer / fewer)
    states, late = _finite_general.beyond(places / batch, mean / batch)
    some = fewer / (1.0 + (1.0 / waits - 1.0) * np.exp(exponential - states))
    waits = np.where((waits > 0) & (waits < 1), some, waits)  # nobody stays nobody, also where nobody thinks
    # never more than every worker can complete
    population, least = pool["places"] + c, (pool["places"] + c - mean) / full - hold
    waiting = np.where(pool["places"] > 0, np.maximum(waits * late * batch / full, least), 0.0)
    longer = pool["throughput"] / population * (waiting - pool["waiting_time"])
    throughput = np.minimum(pool["throughput"] / (1.0 + longer), full)
    return {
        "throughput": throughput,
        "busy": np.minimum(throughput * hold, c),
        "waiting_time": waiting,
        "wait_probability": waits,
        "hold_scv": scv + (1.0 + scv) * _jostle_of_users(hold / service_time, c / (full * service_time)),
        "batch": batch,
        # constant times before it, one after the other
        "longest_wait": np.where(scv == 0, np.floor((population - 1.0) / c), np.inf),
    }


def _beside_exponential(c: Array, spare: Array, scv: Array) -> tuple[Array, Array, Array]:
    """Mean wait and wait probability in those of M/M/c, and the scv of the wait of those who wait.

    More servers than have been measured are taken for as many as have, with as much to spare beside the fluctuations.
    """
    alike = np.minimum(c, MOST_SERVERS)
    spare = np.minimum(spare * np.sqrt(alike / c), alike)
    longer, fewer, spread, _ = _general.beside_exponential(alike, spare, scv, _LAW)
    return longer, fewer, spread


def _spread_rows(service_scv: Array) -> Rows:
    rows = np.flatnonzero(service_scv != 1.0)
    return rows[service_scv[rows] <= LARGEST_SCV]


def _jostle(stretch: Array, most: Array) -> Array:
    """Scv that contention adds, from how many times longer a request holds a worker, on average and in a full pool.

    Half of what it would be if the pool were always either empty or full; fitted to simulation. It does not fall again
    as the load grows, nor so fast rise that some quantile from the median on would fall.
    """
    stretch = np.maximum(stretch - _ROUNDING / 2.0, 1.0)
    h = np.minimum(stretch, 2.0 * most / (most + 1.0))
    return np.clip((h - 1.0) * (most - h) / (2.0 * h * h), 0.0, stretch * stretch - 1.0)


def _jostle_of_users(stretch: Array, most: Array) -> Array:
    """The same where who waits sends nothing: how many are at work varies less, in a full pool not at all.

    A quarter of what it would be if the pool were always either empty or full; fitted to simulation.
    """
    h = np.minimum(np.maximum(stretch - _ROUNDING / 2.0, 1.0), most)
    return np.maximum(h - 1.0, 0.0) * (most - h) / (4.0 * h * h)


def log_service_tail(t: Array, service_scv: Array) -> Array:
    """Logarithm of P(S > t), t in service times; of an exponential time where the spread is taken for 1."""
    tail = -t
    rows = _spread_rows(service_scv)
    if rows.size:
        width = np.sqrt(np.log1p(service_scv[rows]))
        lognormal = log_ndtr(-np.log(t[rows]) / width - width / 2.0)
        constant = np.where(t[rows] >= 1.0 - _ROUNDING, -np.inf, 0.0 * t[rows])
        tail[rows] = np.where(width > 0, lognormal, constant)
    return tail


def limited_moments(t: Array, service_scv: Array) -> tuple[Array, Array]:
    """E[min(S, t)] and E[min(S, t)^2], t in service times: of times of which none may last longer than t."""
    left = np.exp(-t)
    mean, square = -np.expm1(-t), 2.0 * np.where(np.isfinite(t), 1.0 - left * (1.0 + t), 1.0)
    rows = _spread_rows(service_scv)
    if rows.size:
        at, width = t[rows], np.sqrt(np.log1p(service_scv[rows]))
        rest = np.exp(log_service_tail(at, service_scv[rows]))
        cut = np.where(rest > 0, at * rest, 0.0), np.where(rest > 0, at * at * rest, 0.0)
        up_to = np.log(at) / width
        constant = np.minimum(at, 1.0)
        mean[rows] = np.where(width > 0, ndtr(up_to - 0.5 * width) + cut[0], constant)
        whole = (1.0 + service_scv[rows]) * ndtr(up_to - 1.5 * width)
        square[rows] = np.where(width > 0, whole + cut[1], constant * constant)
    return mean, square


def service_quantile(p: float, service_scv: float) -> float:
    """Give the t at which ``log_service_tail`` is log(1 - p), t in service times, for p between 0 and 1."""
    if service_scv == 1.0 or service_scv > LARGEST_SCV:
        return float(-np.log1p(-p))
    width = np.sqrt(np.log1p(service_scv))
    return float(np.exp(width * (ndtri(p) - width / 2.0)))


def law_of(service_scv: float) -> str:
    """Name of the law that service times of this spread are taken to have."""
    if service_scv == 1.0 or service_scv > LARGEST_SCV:
        return "exponential"
    return "lognormal" if service_scv > 0 else "constant"


def response_tail(t: Array, pool: Pool) -> Array:
    """P(R > t) for t > 0, as ``shared_pool`` has it for exponential times."""
    return _of_both(t, pool, shared_pool.response_tail, _tail)


def response_quantile(p: Array, pool: Pool) -> Array:
    """Give the t at which ``response_tail`` is 1 - p."""
    return _of_both(p, pool, shared_pool.response_quantile, _quantile)


def _of_both(
    x: Array, pool: Pool, exponential: Callable[[Array, Pool], Array], general: Callable[[Array, Pool], Array]
) -> Array:
    if "hold_scv" not in pool:
        return exponential(x, pool)
    answer = np.empty(x.shape)
    plain = np.isnan(pool["hold_scv"])

    def put(rows: Rows, function: Callable[[Array, Pool], Array]) -> None:
        answer[rows] = function(x[rows], {name: column[rows] for name, column in pool.items()})

    put(np.flatnonzero(plain), exponential)
    spread = np.flatnonzero(~plain)
    for start in range(0, spread.size, _general.BLOCK):
        put(spread[start : start + _general.BLOCK], general)
    return answer


def _late(pool: Pool) -> Array:
    """Mean wait of those who wait, in holds; anything where nobody does, NaN where the queue grows without end."""
    late = pool["waiting_time"] / pool["wait_probability"] / pool["hold"]
    late = np.where(pool["wait_probability"] > 0, np.maximum(late, 1e-300), 1.0)
    return np.where(pool["drain"] > 0, late, np.nan) if "drain" in pool else late


def _over(pool: Pool, late: Array) -> Callable[[Rows], Tail]:
    """P(wait > x) of those who wait, for a row of x [holds] each, as a function of which rows."""
    if "drain" in pool:
        return lambda rows: _general.over(late[rows], pool["wait_spread"][rows])
    places = np.maximum(pool["places"], 1.0)
    return _finite_general.late_tail(places / pool["batch"], pool["mean"] / pool["batch"], late)


def _tail(t: Array, pool: Pool) -> Array:
    t, late, scv = t / pool["hold"], _late(pool), pool["hold_scv"]
    waits, over = pool["wait_probability"], _over(pool, late)
    # of constant times
    beyond = np.maximum(t - 1.0, 0.0)
    tail = waits * over(np.arange(t.size))(beyond[:, None])[:, 0]
    tail = np.where(t >= 1.0 - _ROUNDING, np.where(beyond > pool.get("longest_wait", np.inf), 0.0, tail), 1.0)
    rows = np.flatnonzero(scv > 0)
    tail[rows] = _general.response_tail(t[rows], waits[rows], over(rows), scv[rows], _LAW)
    return np.where(np.isnan(late), 1.0, tail)


def _quantile(p: Array, pool: Pool) -> Array:
    late, waits, scv = _late(pool), pool["wait_probability"], pool["hold_scv"]
    if "drain" in pool:
        scaled = _general.open_response_quantile_of(p, waits, late, pool["wait_spread"], scv, _LAW)
    else:
        over = _over(pool, late)
        constant = 1.0 + np.minimum(_waiting_quantile(p, waits, late, over), pool["longest_wait"])
        scaled = _general.response_quantile_of(p, waits, constant, scv, _LAW, over)
    return np.where(np.isnan(late), np.inf, pool["hold"] * scaled)


def _waiting_quantile(p: Array, waits: Array, late: Array, over: Callable[[Rows], Tail]) -> Array:
    """Quantile of the wait of N users [holds]; 0 where enough do not wait."""
    answer = 0.0 * waits
    rows = np.flatnonzero((p > 1.0 - waits) & (p < 1))
    goal = np.log((1.0 - p[rows]) / waits[rows])

    def excess(x: Array, part: Rows) -> Array:
        return np.log(over(rows[part])(x[:, None])[:, 0]) - goal[part]

    answer[rows] = root(excess, np.zeros(rows.size), upper_bracket(excess, late[rows]))
    return answer
