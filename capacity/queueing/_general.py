"""Kernels of M/G/c over flat arrays, in service times; ``general`` documents them.

Where the law of the service time matters, it does so between two ends that are known. As the load goes to 1, the mean
wait is (1 + scv)/2 times that of M/M/c. As it goes to 0, whoever waits, waits for the first of c independent residual
service times. Between them lies M/D/c, known exactly: how far it is on its way from one end to the other, in odds,
times a factor that depends on the law, is how far another law is. The tables hold what has been fitted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincc, gammaln, ndtr

from capacity.queueing import _general_table as table
from capacity.queueing._evaluate import Array
from capacity.queueing._mmc import load_and_spare
from capacity.queueing.erlang import delay
from capacity.queueing.search import Rows, root, upper_bracket

Surface: TypeAlias = tuple[tuple[float, ...], ...]
Tail: TypeAlias = Callable[[Array], Array]

LAWS = ("lognormal", "gamma")

_WIDEST = 8.0  # standard deviations of the lognormal's logarithm; 6e-16 lies beyond
_LEAST_SPREAD = 0.5 + 1e-6  # two exponentials cannot vary less
_POINTS = 48
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(_POINTS)
_TINY = np.finfo(float).tiny
BLOCK = 512  # rows at a time: each has _POINTS points


def surface(coefficients: Surface, x: Array, y: Array) -> Array:
    """Evaluate a polynomial in x whose coefficients are polynomials in y, constant terms first."""
    total: Array = np.zeros(x.shape)
    for row in reversed(coefficients):
        inner: Array = np.zeros(y.shape)
        for coefficient in reversed(row):
            inner = inner * y + coefficient
        total = total * x + inner
    return total


def third_moment(scv: Array, law: str) -> Array:
    """E[S^3] of a service time of mean 1."""
    return (1.0 + scv) * (1.0 + 2.0 * scv) if law == "gamma" else (1.0 + scv) ** 3


def light_odds(coefficients: Surface, c: Array, spare: Array) -> Array:
    """How far M/D/c is towards its limit of light load, as odds: infinite without load, 0 at saturation."""
    nearness = spare / np.sqrt(c)
    return spare / (c - spare) * np.exp(surface(coefficients, np.log(c), nearness / (1.0 + nearness)))


def fewer_wait(coefficients: Surface, c: Array, spare: Array) -> Array:
    """Share by which fewer wait in M/D/c than in M/M/c."""
    nearness = spare / np.sqrt(c)
    rest = spare / c * (1.0 - spare / c) * (1.0 - 1.0 / c)
    return rest * np.exp(surface(coefficients, np.log(c), nearness / (1.0 + nearness)))


def light_wait(coefficients: Surface, c: Array, scv: Array) -> Array:
    """Mean of the first of c residual times, times c: the limit of light load, beside (1 + scv)/2 at saturation."""
    few = np.log(c)
    return (1.0 + scv) / 2.0 + (c - 1.0) / (c + 1.0) * surface(coefficients, few / (1.0 + few), np.log1p(scv))


def light_spread(coefficients: Surface, c: Array, scv: Array, law: str) -> Array:
    """Second moment of the first of c residual times, by the square of its mean; exact for one server."""
    alone, few = 4.0 * third_moment(scv, law) / (3.0 * (1.0 + scv) ** 2), np.log(c)
    return alone / c + (1.0 - 1.0 / c) * surface(coefficients, few / (1.0 + few), np.log1p(scv))


def mean_factor(parameters: tuple[float, ...], odds: Array, light: Array, c: Array, scv: Array) -> Array:
    """Mean wait as a multiple of that of M/M/c, between the two limits."""
    heavy, v, few = (1.0 + scv) / 2.0, scv / (1.0 + scv), np.log(c)
    a, b, d, e, f, g, h = parameters
    odds = odds ** (1.0 - h * v) * np.exp(v * (a + b * few) / (1.0 + d * few) + e * v * v)
    weight = np.where(np.isfinite(odds), odds / (1.0 + odds), 1.0)
    return heavy + (light - heavy) * weight + heavy * (f + g * v) * v * few * weight * (1.0 - weight)


def wait_factor(parameters: tuple[float, ...], scv: Array, law: str) -> Array:
    """How much of what M/D/c lacks in wait probability this law lacks: 1 at scv 0."""
    v = scv / (1.0 + scv)
    rest = 1.0 + v * sum(parameter * v**power for power, parameter in enumerate(parameters))
    return (1.0 - 2.0 * v) * rest if law == "gamma" else rest


def conditional_spread(
    parameters: tuple[float, ...], busy: Array, light: Array, second: Array, c: Array, scv: Array, law: str
) -> Array:
    """Scv of the wait of those who wait.

    It is a residual time of c servers and then, geometrically many, of one server c times as fast. The third moment
    of a lognormal law makes too much of service times so long that the other servers work around them.
    """
    heavy, idle = (1.0 + scv) / 2.0, 1.0 - busy
    residual = third_moment(scv, law) / 3.0 - heavy**2
    variance = (idle * light) ** 2 * (second - 1.0) + busy * idle * residual + busy * heavy**2
    spread = variance / (idle * light + busy * heavy) ** 2
    a, b = parameters
    over = np.maximum(spread - 1.0, 0.0)
    return np.where(spread > 1.0, 1.0 + over / (1.0 + (a + b * (1.0 - 1.0 / c)) * over), spread)


def queue(
    servers: Array, arrival_rate: Array, service_time: Array, service_scv: Array, law: str
) -> tuple[Array, Array, Array, Array]:
    """Wait probability, mean wait of those who wait [S], its scv, and the spare servers; NaN out of range."""
    load, spare = load_and_spare(servers, arrival_rate, service_time)
    ok = (service_scv >= 0) & (service_scv <= table.LARGEST_SCV) & (servers <= table.MOST_SERVERS)
    scv, load = np.where(ok, service_scv, np.nan), np.where(ok, load, np.nan)
    # saturated and empty rows are put right by the caller
    c, inside = np.maximum(servers, 1.0), np.clip(spare, 0.0, np.maximum(servers, 1.0))
    waits = delay(servers, load, spare)
    longer, fewer, spread, light = beside_exponential(c, inside, scv, law)
    mean = waits * longer
    waits = waits * fewer
    late = np.where(waits > 0, mean / waits / spare, light / c)
    return np.where(spare <= 0, 1.0 + 0.0 * scv, waits), late, spread, spare


def beside_exponential(c: Array, spare: Array, scv: Array, law: str) -> tuple[Array, Array, Array, Array]:
    """What a law makes of exponential times: ratios of mean wait and wait probability to M/M/c at the same load.

    Then the scv of the wait of those who wait, and c times its mean [S] in the limit of light load.
    """
    light = light_wait(table.LIGHT_WAIT[law], c, scv)
    longer = mean_factor(table.MEAN[law], light_odds(table.LIGHT_ODDS, c, spare), light, c, scv)
    fewer = 1.0 - fewer_wait(table.FEWER_WAIT, c, spare) * wait_factor(table.WAITS[law], scv, law)
    second = light_spread(table.LIGHT_SPREAD[law], c, scv, law)
    spread = conditional_spread(table.SPREAD[law], 1.0 - spare / c, light, second, c, scv, law)
    return longer, fewer, np.maximum(spread, _LEAST_SPREAD), light


def waiting_time(servers: Array, arrival_rate: Array, service_time: Array, service_scv: Array, law: str) -> Array:
    waits, late, _, spare = queue(servers, arrival_rate, service_time, service_scv, law)
    return np.where(spare <= 0, np.inf + 0.0 * waits, waits * late * service_time)


def wait_probability(servers: Array, arrival_rate: Array, service_time: Array, service_scv: Array, law: str) -> Array:
    return queue(servers, arrival_rate, service_time, service_scv, law)[0]


def late_tail(x: Array, spread: Array) -> Array:
    """P(wait > x), x in means, of those who wait: two exponentials with the first three moments of a gamma law.

    For a spread (scv) of 0.5 to 1 one of them is subtracted; at 0.5 they make Erlang's law of two phases.
    """
    middle = (1.0 + spread) / 3.0
    half = np.sqrt((1.0 + spread) * (2.0 * spread - 1.0) / 18.0)
    slow, fast = middle + half, middle - half
    return np.exp(-x / slow) * (1.0 - (1.0 - slow) / (2.0 * half) * np.expm1(-x * 2.0 * half / (slow * fast)))


def late_quantile(level: Array, spread: Array) -> Array:
    """Solve ``late_tail`` = level, in (0, 1), for x."""
    goal = np.log(level)

    def excess(x: Array, rows: Rows) -> Array:
        return np.log(late_tail(x, spread[rows])) - goal[rows]

    return root(excess, np.zeros(level.shape), upper_bracket(excess, np.maximum(-goal, 1e-300)))


def waiting_quantile(
    p: Array, servers: Array, arrival_rate: Array, service_time: Array, service_scv: Array, law: str
) -> Array:
    waits, late, spread, spare = queue(servers, arrival_rate, service_time, service_scv, law)
    answer = service_time * _waiting_quantile(p, waits, late, spread)
    return _quantile_domain(p, waits, spare, np.where((p == 1) & (waits > 0), np.inf, answer))


def _waiting_quantile(p: Array, waits: Array, late: Array, spread: Array) -> Array:
    """Quantile [S]; 0 where enough do not wait."""
    answer = 0.0 * waits
    rows = np.flatnonzero((p > 1.0 - waits) & (p < 1) & (late > 0))
    answer[rows] = late[rows] * late_quantile((1.0 - p[rows]) / waits[rows], spread[rows])
    return answer


def response_quantile(
    p: Array, servers: Array, arrival_rate: Array, service_time: Array, service_scv: Array, law: str
) -> Array:
    waits, late, spread, spare = queue(servers, arrival_rate, service_time, service_scv, law)
    answer = open_response_quantile_of(p, waits, np.where(spare > 0, late, np.nan), spread, service_scv, law)
    answer = np.where(service_time == 0, 0.0 * waits, service_time * answer)
    return _quantile_domain(p, waits, spare, np.where((p == 1) & ((waits > 0) | (service_scv > 0)), np.inf, answer))


def open_response_quantile_of(p: Array, waits: Array, late: Array, spread: Array, scv: Array, law: str) -> Array:
    """Solve ``response_tail`` = 1 - p for t [S] by the wait of ``late_tail``, where its mean is finite."""
    constant = np.where(np.isfinite(late), 1.0 + _waiting_quantile(p, waits, late, spread), np.nan)
    return response_quantile_of(p, waits, constant, scv, law, lambda rows: over(late[rows], spread[rows]))


def response_quantile_of(
    p: Array, waits: Array, constant: Array, scv: Array, law: str, late_over: Callable[[Rows], Tail]
) -> Array:
    """Solve ``response_tail`` = 1 - p for t [S], where what it would be of constant times is finite."""
    answer = constant.copy()
    rows = np.flatnonzero((p > 0) & (p < 1) & (scv > 0) & np.isfinite(constant))
    goal = np.log1p(-p[rows])
    wait, own = waits[rows], scv[rows]

    def excess(t: Array, part: Rows) -> Array:
        return np.log(response_tail(t, wait[part], late_over(rows[part]), own[part], law)) - goal[part]

    answer[rows] = root(excess, np.zeros(rows.size), upper_bracket(excess, answer[rows]))
    return answer


def over(late: Array, spread: Array) -> Tail:
    """``late_tail`` of some rows, for a row of times [S] each."""
    return lambda left: late_tail(left / late[:, None], spread[:, None])


def response_tail(t: Array, waits: Array, late_over: Tail, scv: Array, law: str) -> Array:
    """P(wait + service > t), t in service times: the law's own tail, and those who are served in time but waited."""
    served, chance, beyond = (_lognormal if law == "lognormal" else _gamma)(t, scv)
    left = np.maximum(t[:, None] - served, 0.0)
    total: Array = beyond + waits * (chance * late_over(left)).sum(axis=1)
    return total


def _lognormal(t: Array, scv: Array) -> tuple[Array, Array, Array]:
    """Service times up to t with their weights, and the probability of a longer one."""
    spread = np.sqrt(np.log1p(scv))
    end = np.log(t) / spread + spread / 2.0
    high = np.clip(end, -_WIDEST, _WIDEST)
    z = -_WIDEST + (high + _WIDEST)[:, None] * (_NODES + 1.0) / 2.0
    chance = (high + _WIDEST)[:, None] / 2.0 * _WEIGHTS * np.exp(-z * z / 2.0) / np.sqrt(2.0 * np.pi)
    return np.exp(spread[:, None] * (z - spread[:, None] / 2.0)), chance, ndtr(-end)


def _gamma(t: Array, scv: Array) -> tuple[Array, Array, Array]:
    """Service times up to t with their weights, and the probability of a longer one."""
    shape = 1.0 / scv
    power = np.minimum(shape, 1.0)  # s^power has a density that is finite at 0
    reach = np.sqrt(scv)
    low = np.maximum(1.0 - 8.0 * reach, 0.0) ** power
    high = np.maximum(np.minimum(t, 1.0 + 8.0 * reach + 36.0 * scv) ** power, low)
    v = low[:, None] + (high - low)[:, None] * (_NODES + 1.0) / 2.0
    served = v ** (1.0 / power)[:, None]
    density = np.exp(
        (shape * np.log(shape) - gammaln(shape) - np.log(power))[:, None]
        + (shape / power - 1.0)[:, None] * np.log(np.maximum(v, _TINY))
        - shape[:, None] * served
    )
    return served, (high - low)[:, None] / 2.0 * _WEIGHTS * density, gammaincc(shape, shape * t)


def _quantile_domain(p: Array, waits: Array, spare: Array, quantile: Array) -> Array:
    """Inf at saturation, 0 at p = 0, NaN for p outside [0, 1] and out of range."""
    quantile = np.where(spare <= 0, np.inf + 0.0 * waits, np.where(p == 0, 0.0 * waits, quantile))
    inside: NDArray[np.bool_] = (p >= 0) & (p <= 1)
    return np.where(inside, quantile, np.nan)
