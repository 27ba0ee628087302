"""Service times that are not exponential, in a solved open pool: the ratios of M/G/c to M/M/c, applied to it.

Of a pool whose workers share cores too: then the ratios are those at the same share of its full rate, which is right
as it gets full (of customers who share a server, a limited number at a time, the mean wait is (1 + scv)/2 times as
long, the wait probability the same) and where cores do not matter, and within some percent between. Times, those with
contention too, are lognormal.

An scv of exactly 1 says exponential; such rows, and those beyond what has been measured, are left as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from scipy.special import log_ndtr, ndtr, ndtri

from capacity.queueing import _general, shared_pool
from capacity.queueing._evaluate import Array
from capacity.queueing._general_table import LARGEST_SCV, MOST_SERVERS
from capacity.queueing.search import Rows
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
    """Give the pool the waits of its service times' spread.

    Adds ``hold_scv``, and ``wait_spread``, the scv of the wait of those who wait; both NaN where times are taken as
    exponential. Returns the very pool where all are.
    """
    rows = _spread_rows(service_scv)
    if not rows.size:
        return pool
    c, scv, drain = np.maximum(servers[rows], 1.0), service_scv[rows], pool["drain"][rows]
    full = pool["throughput"][rows] + drain
    spare = c * np.clip(drain / full, 0.0, 1.0)
    # more servers than have been measured are taken for as many as have, with as much to spare beside the fluctuations
    alike = np.minimum(c, MOST_SERVERS)
    spare = np.minimum(spare * np.sqrt(alike / c), alike)
    longer, fewer, spread, _ = _general.beside_exponential(alike, spare, scv, _LAW)
    stable = drain > 0
    stretch, most = pool["hold"][rows] / service_time[rows], c / (full * service_time[rows])
    changed = {
        "waiting_time": pool["waiting_time"][rows] * np.where(stable, longer, 1.0),
        "wait_probability": pool["wait_probability"][rows] * np.where(stable, fewer, 1.0),
        "hold_scv": scv + (1.0 + scv) * _jostle(stretch, most),
        "wait_spread": spread,
    }
    pool = {**pool, **{name: np.full(servers.shape, np.nan) for name in ("hold_scv", "wait_spread")}}
    for name, column in changed.items():
        pool[name] = pool[name].copy()
        pool[name][rows] = column
    return pool


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
    if "wait_spread" not in pool:
        return exponential(x, pool)
    answer = np.empty(x.shape)
    plain = np.isnan(pool["wait_spread"])

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
    return np.where(pool["drain"] > 0, late, np.nan)


def _tail(t: Array, pool: Pool) -> Array:
    t, late, scv = t / pool["hold"], _late(pool), pool["hold_scv"]
    waits, spread = pool["wait_probability"], pool["wait_spread"]
    tail = np.where(t >= 1.0 - _ROUNDING, waits * _general.late_tail(np.maximum(t - 1.0, 0.0) / late, spread), 1.0)
    rows = np.flatnonzero(scv > 0)
    tail[rows] = _general.response_tail(t[rows], waits[rows], late[rows], spread[rows], scv[rows], _LAW)
    return np.where(pool["drain"] > 0, tail, 1.0)


def _quantile(p: Array, pool: Pool) -> Array:
    late = _late(pool)
    scaled = _general.response_quantile_of(
        p, pool["wait_probability"], late, pool["wait_spread"], pool["hold_scv"], _LAW
    )
    return np.where(np.isnan(late), np.inf, pool["hold"] * scaled)
