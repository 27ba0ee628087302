"""The 90 % band of a prediction: what a window of so many seconds shows, chance and the doubt of the inputs together.

Chance: a mean over a window strays from the long run, far where a pool is nearly full, since its queue forgets slowly.
`window` gives variance and skewness of what a window of the pool's chain adds up, and a law that has them. The
95 % quantile of a window lies where the share of later answers in it is 5 %.

Doubt: inputs whose source states a range are drawn from it (it is taken to hold the truth 90 of 100 times), each draw
has a law of its own, and the band is that of all of them together.

Coverage is measured by `tests/oracles/measure_bands.py`, and stated in `docs/explanation/accuracy.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from scipy.special import ndtri

from capacity.outcome import NEEDED, predict
from capacity.policies.demand import inner_network, rate_of
from capacity.policies.verdict import Edges
from capacity.queueing.inner_network import network_grid
from capacity.queueing.shared_pool import Pool, response_tail
from capacity.queueing.spread import LARGEST_SCV
from capacity.results import Band, Interval, ModelName, Prediction
from capacity.scenario import Scenario
from capacity.table import Column, Table, repeat, service_time, table_of, take
from capacity.window import Chain, Sum, chain_of, spread, strayed, sums

__all__ = ["STEEP", "WINDOW", "unknown_bands", "with_bands"]

WINDOW: Final = 3600.0
"""Length of the window where none is asked for [s]: an hour, as monitoring shows it."""
STEEP: Final = 0.85
"""Utilization beyond which one figure for the wait says more than is known."""
_LEVEL: Final = 0.9
_ENDS = np.array([(1.0 - _LEVEL) / 2.0, (1.0 + _LEVEL) / 2.0])
_DRAWS, _PARTS = 32, 16  # of the inputs, and of the law of each draw
_MEANS: Final = ("throughput", "utilization", "waiting_time", "response_time")
_QUANTITIES: Final = (*_MEANS, "response_time_p95")
_MOST_STATES = 20_000  # some seconds at worst
_UNSEEN = 1e-13  # share of the last state of a queue that is looked at
_LONG_TAIL = 0.2  # power of (1 + scv) / 2 by which a mean wait strays more; fitted to simulated lognormal times
_FEW_WAIT = 50.0  # requests that wait in a window: of fewer, their mean wait has no such law
_FEW_COME = 500.0  # requests in a window: of fewer, and in windows of less than 20 times the queue's memory,
_SHORT = 20.0  # the band of the 95 % quantile is too wide
_STRETCHED = 1.02  # from where on shared cores make the time in a worker other than exponential
_LATE = np.log(0.05)
_TIMES = np.geomspace(1.0 / 6.0, 8.0, 32)  # at which shares of late answers are taken, in 95 % quantiles
_NOBODY = 1e-9
_DOUBTED: Final = (
    "host.cpus",
    "host.cpus_reserved",
    "workload.service_time",
    "workload.cpu_time",
    "workload.database_time",
    "workload.service_scv",
    "workload.think_time",
    "workload.requests_per_click",
    "workload.overhead_time",
    "workload.web_server_cpu_time",
)
_LEAST_SHARE = 1e-3  # of a value, that a stated lower end counts: it may be 0, or nonsense

Laws: TypeAlias = dict[str, Column]
"""Quantiles of what a window shows, by quantity; NaN where they are not known."""


class _Case(NamedTuple):
    """One pool: its row of inputs, and that solved; rate or users, workers, and the model."""

    table: Table
    pool: Pool
    load: float
    servers: float
    model: ModelName


def with_bands(
    scenario: Scenario, workers: int, predictions: Sequence[Prediction], *, model: ModelName, window: float | None
) -> tuple[Prediction, ...]:
    """Give predictions for numbers of users their bands.

    Parameters
    ----------
    scenario : Scenario
    workers : int
    predictions : sequence of Prediction
        Of this scenario, pool and model.
    model : {'open', 'finite'}
    window : float or None
        Its length [s]; None: an hour, and only predictions above utilization 0.85 get a band.

    Returns
    -------
    tuple of Prediction
        Without a band where the queue grows without end, where `service_scv` is above 4 in the open model, and where
        the pool has more than 20 000 states.
    """
    seconds = WINDOW if window is None else window
    return tuple(
        p
        if window is None and p.utilization <= STEEP
        else p.model_copy(update={"band": _band(scenario, workers, p, model, seconds)})
        for p in predictions
    )


def unknown_bands(predictions: Sequence[Prediction], window: float | None) -> tuple[str, ...]:
    """Say which bands that were asked for are not known."""
    lacking = [str(p.users) for p in predictions if p.band is None and p.response_time is not None]
    if window is None or not lacking:
        return ()
    return (
        f"at {', '.join(lacking)} users no band is known: service_scv is above {LARGEST_SCV:g}, nobody thinks, or the "
        "pool and its queue have more than 20 000 states",
    )


@np.errstate(all="ignore")
def _band(scenario: Scenario, workers: int, prediction: Prediction, model: ModelName, seconds: float) -> Band | None:
    if prediction.response_time is None or (model == "open" and scenario.workload.service_scv > LARGEST_SCV):
        return None
    table = table_of(scenario)
    rows = _drawn(scenario, {name: table[name] for name in NEEDED})
    size = rows["host.cpus"].size
    users, servers = np.full(size, float(prediction.users or 0)), np.full(size, float(workers))
    load = rate_of(rows, users) if model == "open" else users
    pool = predict(rows, servers, load, model=model, edges=Edges())
    levels = _ENDS if size == 1 else (np.arange(_PARTS) + 0.5) / _PARTS
    laws = []
    for row in range(size):
        one = np.array([row])
        case = _Case(take(rows, one), take(pool, one), load[row], servers[row], model)
        law = _laws(case, seconds, levels, first=row == 0)
        if law is None:
            return None
        laws.append(law)
    return Band(
        window=seconds,
        level=_LEVEL,
        **{
            name: _interval(np.concatenate([law[name] for law in laws]), size, 1.0 if name == "utilization" else np.inf)
            for name in _QUANTITIES
        },
    )


def _interval(values: Column, draws: int, most: float) -> Interval | None:
    low, high = values if draws == 1 else np.quantile(values, _ENDS, method="inverted_cdf")
    if not np.isfinite(low) or np.isnan(high):
        return None
    high = min(float(high), most)
    return Interval(low=max(0.0, float(low)), high=high if np.isfinite(high) else None)


def _drawn(scenario: Scenario, table: Table) -> dict[str, Column]:
    """Rows with the doubted values drawn from their ranges, always the same ones; one row where none is doubted.

    The first has the values as they are. Logarithms are normal on either side of the value.
    """
    ranges = {}
    for name in _DOUBTED:
        source, value = scenario.sources.get(name), float(table[name][0])
        if source is None or not value > 0 or (name == "workload.service_scv" and value == 1.0):  # 1: exponential
            continue
        low = value if source.low is None else min(value, max(source.low, _LEAST_SHARE * value))
        high = value if source.high is None else max(value, source.high)
        if low < high:
            ranges[name] = np.log([low / value, high / value]) / ndtri(_ENDS)
    if not ranges:
        return dict(table)
    rows, step = repeat(table, _DRAWS), _even_step(len(ranges))
    for place, (name, (down, up)) in enumerate(ranges.items(), 1):
        normal = ndtri((0.5 + np.arange(_DRAWS) * step**place) % 1.0)
        rows[name] = rows[name] * np.exp(normal * np.where(normal < 0, down, up))
    rows["workload.service_scv"] = np.minimum(rows["workload.service_scv"], LARGEST_SCV)
    for part in ("workload.cpu_time", "workload.database_time"):
        rows[part] = np.minimum(rows[part], rows["workload.service_time"])
    return rows


def _even_step(dimensions: int) -> float:
    """1 / x, x^(d+1) = x + 1: multiples of its first d powers lie evenly in the unit cube (one: the golden ratio)."""
    x = 2.0
    for _ in range(60):
        x = (1.0 + x) ** (1.0 / (dimensions + 1))
    return 1.0 / x


def _laws(case: _Case, seconds: float, levels: Column, *, first: bool) -> Laws | None:
    """Quantiles of what a window shows of one pool, inf where its queue has no end; None: it has too many states.

    What has a band is decided by the ``first`` draw, the values as they are: if others had a say, a band would be
    known only where the pool happens to be taken for quick.
    """
    table, pool, _, c, model = case
    if not np.isfinite(pool["response_time"][0]):
        return {name: np.full(levels.size, np.inf) for name in _QUANTITIES}
    chain = _chain(case)
    if chain is None:
        return None
    scv = float(table["workload.service_scv"][0]) if model == "open" else 1.0
    # a queue remembers (1 + scv) / 2 times as long as with exponential times, and so a window tells less by that
    alike = seconds * 2.0 / (1.0 + scv)
    means = np.array([pool[name][0] for name in _MEANS])
    deviation, skewness, periods = _strays(chain, c, alike)
    if scv != 1.0:
        # the work that comes does as the queue does; how many are served, and the time each takes, do not
        own = scv * (deviation[3] ** 2 - deviation[2] ** 2) * alike / seconds
        deviation[0] *= np.sqrt(alike / seconds)
        deviation[2] *= means[2] / _mean_wait(chain, c) * max((1.0 + scv) / 2.0, 1.0) ** _LONG_TAIL
        deviation[3] = np.sqrt(deviation[2] ** 2 + own)
        skewness[3] = skewness[2] * (deviation[2] / deviation[3]) ** 3
    laws = dict(zip(_MEANS, strayed(levels, means, deviation, skewness).T, strict=True))
    requests, unknown = seconds * means[0], np.full(levels.size, np.nan)
    if first and requests * pool["wait_probability"][0] < _FEW_WAIT:
        laws["waiting_time"] = unknown
    if first and scv > 1.0 and periods < _SHORT:
        laws["throughput"] = unknown
    own_law = table["workload.service_scv"][0] == 1.0 and pool["hold"][0] <= _STRETCHED * service_time(table)[0]
    known = not first or (own_law and periods >= _SHORT and requests >= _FEW_COME)
    return laws | {"response_time_p95": _quantile(case, chain, seconds, levels) if known else unknown}


def _chain(case: _Case) -> Chain | None:
    """Chain of the requests in the pool; None where it has too many states, or never stays in one."""
    table, _, load, c, model = case
    customers = np.inf if model == "open" else max(np.floor(load * table["workload.requests_per_click"][0] + 0.5), 1.0)
    inside = min(c, customers)
    if inside > _MOST_STATES:
        return None
    rates = np.empty((int(inside) + 1, 1))
    network_grid(np.arange(inside + 1.0), inner_network(table, np.array([c])), rates)
    last = inside + np.ceil(np.log(_UNSEEN) / np.log(load / rates[-1, 0])) if model == "open" else customers
    if not last <= _MOST_STATES:
        return None
    state = np.arange(last + 1.0)
    birth = np.full(state.size, load) if model == "open" else (customers - state) / table["workload.think_time"][0]
    death = rates[np.minimum(state, inside).astype(np.intp), 0]
    return chain_of(birth, death) if np.isfinite(birth + death).all() else None


def _mean_wait(chain: Chain, c: float) -> float:
    return float((chain.mean(np.maximum(chain.state - c, 0.0)) / chain.mean(chain.death))[0])


def _strays(chain: Chain, c: float, seconds: float) -> tuple[Column, Column, float]:
    """Deviation and skewness of the means over a window, and how often the queue forgets in it."""
    queue, finished = np.maximum(chain.state - c, 0.0), chain.mean(chain.death)[0]
    rates = np.concatenate((0.0 * queue, np.minimum(chain.state, c) / c, queue / finished, chain.state / finished), 1)
    # of a mean over requests, each that comes takes the mean away
    births = np.array([0.0, 0.0, -_mean_wait(chain, c), -chain.mean(chain.state)[0] / finished]) / finished
    variance, skewness, memory = spread(chain, sums(chain, rates, births, np.array([1.0, 0.0, 0.0, 0.0])), seconds)
    return np.sqrt(variance) / seconds, skewness, float(seconds / memory[2])


def _quantile(case: _Case, chain: Chain, seconds: float, levels: Column) -> Column:
    """Quantiles of the 95 % quantile of a window: times at which the share of later answers has the quantile 5 %."""
    _, pool, _, c, _ = case
    hold, times = pool["hold"][0], pool["response_time_p95"][0] * _TIMES
    truth = response_tail(times, {name: np.repeat(column, times.size) for name, column in pool.items()})
    arrivals, full, queue = chain.mean(chain.birth), chain.death[-1, 0], np.maximum(chain.state - c, 0.0)
    left = np.maximum(times - np.where(chain.state < c, 0.0, (queue + 1.0) / full), 0.0) / hold
    late = np.exp(-left)
    # the wait of who comes in a state is not exactly that long, by which some more are late
    late = np.minimum(late * truth * arrivals / chain.mean(chain.birth * late), 1.0)
    share = chain.mean(chain.birth * late) / arrivals
    # who takes long keeps a worker from others, and who waits is late where others take long: deaths stay away
    longer = chain.mean(chain.birth * left * late) / arrivals
    missed = longer + np.where(left > 0, late, 0.0) * queue / (full * hold)
    births = [late * (1.0 - share) ** order + (1.0 - late) * (-share) ** order for order in (1, 2, 3)]
    births[1] = births[1] - longer**2
    added = Sum(missed * chain.death, births, [(-missed) ** order for order in (1, 2, 3)])
    variance, skewness, _ = spread(chain, added, seconds)
    shares = strayed(levels, truth, np.sqrt(variance) / (seconds * arrivals), skewness)
    return np.array([np.interp(-_LATE, -row, times) for row in np.log(np.maximum(shares, _NOBODY))])
