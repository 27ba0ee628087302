"""Fit `capacity/queueing/_general_table.py` to exact values and to `mgc.csv`: `python -m tests.oracles.fit_mgc`.

Exact are M/D/c, by Spitzer's identity for the random walk of one server's customers,

    P(W = 0) = exp(-sum P(S_k > 0)/k),   E[W] = sum E[max(S_k, 0)]/k,   S_k = k - (the time of k c arrivals),

and the first of c residual service times. What is left, how other laws than the constant one lie between the two, is
fitted to the simulated table by a handful of parameters. Half a minute on one core.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import gammainc, gammaincc, ndtr

from capacity.queueing import _general as kernels
from capacity.queueing import erlang_c

from .generate_mgc import LAWS, QUANTILES
from .tables import read_table

MODULE = Path(__file__).parents[2] / "capacity" / "queueing" / "_general_table.py"
MOST_SERVERS, LARGEST_SCV = 250, 4.0
DEGREE = 3
SERVERS = np.unique(np.round(np.geomspace(1, 2 * MOST_SERVERS, 24)))
UTILIZATIONS = np.concatenate((np.linspace(0.05, 0.95, 19), [0.97, 0.98, 0.99]))
SCVS = np.array([0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 3.5, 4])

Array = NDArray[np.float64]


def deterministic(servers: float, utilization: float) -> tuple[float, float]:
    """Wait probability and mean wait [S] of M/D/c, exactly."""
    load = servers * utilization
    k = np.arange(1.0, 40 / (servers * (utilization - 1 - np.log(utilization))) + 20)
    below = gammainc(k * servers, k * load)
    excess = below - servers / load * gammainc(k * servers + 1, k * load)
    return float(-np.expm1(-(below / k).sum())), float(excess.sum())


def residual_tail(t: Array, scv: float, law: str) -> Array:
    """P(residual service time > t)."""
    if scv == 0:
        return np.maximum(1 - t, 0)
    if law == "gamma":
        return np.maximum(gammaincc(1 / scv + 1, t / scv) - t * gammaincc(1 / scv, t / scv), 0)
    spread = np.sqrt(np.log1p(scv))
    z = np.log(t) / spread
    return np.maximum(ndtr(spread / 2 - z) - t * ndtr(-spread / 2 - z), 0)


def first_residual(servers: float, scv: float, law: str) -> tuple[float, float]:
    """First and second moment of the least of c residual service times."""
    y, step = np.linspace(-6, 6, 4001, retstep=True)
    t = np.exp(0.3 * np.pi * np.sinh(y)) / servers
    survives = residual_tail(t, scv, law) ** servers * t * 0.3 * np.pi * np.cosh(y) * step
    return float(survives.sum()), float((2 * t * survives).sum())


def fitted(basis: Callable[[kernels.Surface], Array], goal: Array) -> kernels.Surface:
    """Least squares for what is linear in a surface's coefficients, reweighted towards the least largest error."""
    size = DEGREE + 1
    units = np.eye(size * size).reshape(-1, size, size)
    start = basis(tuple(map(tuple, np.zeros((size, size)))))
    design = np.array([basis(tuple(map(tuple, unit))) - start for unit in units]).T
    weights = np.ones(goal.size)
    best: tuple[float, Array] = (np.inf, np.zeros(size * size))
    for _ in range(60):
        root = np.sqrt(weights)
        solved, *_ = np.linalg.lstsq(design * root[:, None], (goal - start) * root, rcond=None)
        errors = np.abs(start + design @ solved - goal)
        best = min(best, (float(errors.max()), solved), key=lambda found: found[0])
        weights *= errors / errors.max() + 0.05
        weights /= weights.max()
    return tuple(tuple(map(float, row)) for row in best[1].reshape(size, size))


def fit_exact() -> tuple[dict[str, object], dict[str, float]]:
    """The surfaces, and their largest residuals relative to the figure they stand for."""
    rows = []
    for c in SERVERS[SERVERS > 1]:
        for rho in UTILIZATIONS:
            waits, mean = deterministic(c, rho)
            delay = float(erlang_c(servers=c, offered_load=c * rho))
            if delay > 1e-7:
                rows.append((c, c * (1 - rho), waits / delay, mean / delay * c * (1 - rho)))
    c, spare, fewer, factor = np.array(rows).T
    weight = (factor - 0.5) / (c / (c + 1) - 0.5)
    # to first order, the logarithm times this is the relative error of the wait
    share = weight * (1 - weight) * (c / (c + 1) - 0.5) / factor
    odds = weight / (1 - weight)
    table: dict[str, object] = {}
    table["LIGHT_ODDS"] = fitted(lambda s: share * np.log(kernels.light_odds(s, c, spare)), share * np.log(odds))
    lacking = 1 - fewer
    table["FEWER_WAIT"] = fitted(lambda s: lacking * np.log(kernels.fewer_wait(s, c, spare)), lacking * np.log(lacking))
    weights = kernels.light_odds(table["LIGHT_ODDS"], c, spare)
    errors = {
        "LIGHT_ODDS": np.abs((0.5 + (c / (c + 1) - 0.5) * weights / (1 + weights)) / factor - 1).max(),
        "FEWER_WAIT": np.abs((1 - kernels.fewer_wait(table["FEWER_WAIT"], c, spare)) / fewer - 1).max(),
    }
    light, second = {}, {}
    c, scv = (axis.reshape(-1) for axis in np.meshgrid(SERVERS, SCVS, indexing="ij"))
    for law in kernels.LAWS:
        first, squared = np.array([first_residual(*case, law) for case in zip(c, scv, strict=True)]).T
        mean, ratio = c * first, squared / first**2
        light[law] = fitted(lambda s: kernels.light_wait(s, c, scv) / mean, np.ones(c.size))  # noqa: B023
        second[law] = fitted(lambda s: kernels.light_spread(s, c, scv, law) / ratio, np.ones(c.size))  # noqa: B023
        errors[f"LIGHT_WAIT {law}"] = np.abs(kernels.light_wait(light[law], c, scv) / mean - 1).max()
        errors[f"LIGHT_SPREAD {law}"] = np.abs(kernels.light_spread(second[law], c, scv, law) / ratio - 1).max()
    return table | {"LIGHT_WAIT": light, "LIGHT_SPREAD": second}, {k: float(v) for k, v in errors.items()}


def fit_simulated(table: dict[str, object]) -> tuple[dict[str, object], dict[str, float]]:
    """The parameters, and the root mean square of their residuals in standard errors (and 1 %)."""
    everything = read_table("mgc")
    found: dict[str, dict[str, tuple[float, ...]]] = {"MEAN": {}, "WAITS": {}, "SPREAD": {}}
    errors = {}
    for law in kernels.LAWS:
        chosen = (everything["law"] == LAWS[law]) & (everything["servers"] > 1)
        data = {name: column[chosen] for name, column in everything.items()}
        c, scv, rho = data["servers"], data["service_scv"], data["utilization"]
        spare, delay = c * (1 - rho), erlang_c(servers=c, offered_load=c * rho)
        odds = kernels.light_odds(table["LIGHT_ODDS"], c, spare)
        light = kernels.light_wait(table["LIGHT_WAIT"][law], c, scv)
        wait, noise = data["waiting_time"], data["waiting_time_se"]
        scale = np.hypot(np.maximum(0.01 * wait, 2e-4), noise)

        def full_of(free: Array) -> tuple[float, ...]:
            # a gamma law of scv 1 is M/M/c, and needs no more than the first two and the last
            a, b, *_, h = map(float, free)
            return (a, b, 0.0, 0.0, 0.0, 0.0, h) if law == "gamma" else tuple(map(float, free))  # noqa: B023

        def far(free: Array) -> Array:
            return (delay / spare * kernels.mean_factor(full_of(free), odds, light, c, scv) - wait) / scale  # noqa: B023

        solved = least_squares(far, [1.0, 0.1, 0.1] if law == "gamma" else [0.8, 0.4, 0.2, 0.1, -0.3, 0.4, 0.1])
        found["MEAN"][law] = full_of(solved.x)
        errors[f"MEAN {law}"] = float(np.sqrt((solved.fun**2).mean()))

        waits, noise = data["wait_probability"], data["wait_probability_se"]
        lacking = kernels.fewer_wait(table["FEWER_WAIT"], c, spare)
        scale = np.hypot(0.002 * waits, noise) + 1e-6

        def far_waits(free: Array) -> Array:
            return (delay * (1 - lacking * kernels.wait_factor(tuple(free), scv, law)) - waits) / scale  # noqa: B023

        solved = least_squares(far_waits, [0.0, 0.0, 0.0])
        found["WAITS"][law] = tuple(map(float, solved.x))
        errors[f"WAITS {law}"] = float(np.sqrt((solved.fun**2).mean()))
        found["SPREAD"][law] = (0.0, 0.0)
    law = "lognormal"
    chosen = (everything["law"] == LAWS[law]) & (everything["service_scv"] >= 1) & (everything["waiting_time"] > 0.01)
    data = {name: column[chosen] for name, column in everything.items()}
    c, scv, rho = data["servers"], data["service_scv"], data["utilization"]
    light = kernels.light_wait(table["LIGHT_WAIT"][law], c, scv)
    second = kernels.light_spread(table["LIGHT_SPREAD"][law], c, scv, law)
    mean = data["waiting_time"] / data["wait_probability"]

    def far_late(free: Array) -> Array:
        spread = np.maximum(kernels.conditional_spread(tuple(free), rho, light, second, c, scv, law), 0.501)
        rows = []
        for p in QUANTILES:
            level = (1 - p) / data["wait_probability"]
            x, noise = (data[f"w_p{p * 100:.0f}{end}"] / mean for end in ("", "_se"))
            ours = kernels.late_quantile(np.minimum(level, 0.999), spread)
            rows.append(np.where(level < 0.8, (ours - x) / np.hypot(0.02 * x + 0.01, noise), 0.0))
        return np.concatenate(rows)

    solved = least_squares(far_late, [0.3, 0.3], diff_step=1e-3)
    found["SPREAD"][law] = tuple(map(float, solved.x))
    errors["SPREAD lognormal"] = float(np.sqrt((solved.fun[solved.fun != 0] ** 2).mean()))
    return found, errors


def literal(part: object, indent: int = 4) -> str:
    """A number, a tuple or a dictionary, one item a line where the line would be too long."""
    if not isinstance(part, (tuple, dict)):
        return repr(part)
    if isinstance(part, dict):
        items, ends = [f'"{key}": {literal(item, indent + 4)}' for key, item in part.items()], "{}"
    else:
        items, ends = [literal(item, indent + 4) for item in part], "()"
    line = f"{ends[0]}{', '.join(items)}{ends[1]}"
    if len(line) + indent < 100 and "\n" not in line:
        return line
    inner = "".join(f"{' ' * indent}{item},\n" for item in items)
    return f"{ends[0]}\n{inner}{' ' * (indent - 4)}{ends[1]}"


def text() -> str:
    """The module."""
    exact, exact_errors = fit_exact()
    simulated, simulated_errors = fit_simulated(exact)
    stated = "\n".join(f"    {name:24} {error:.1e}" for name, error in exact_errors.items())
    noted = "\n".join(f"    {name:24} {error:.2f}" for name, error in simulated_errors.items())
    head = f'''"""What has been fitted of ``_general``; constant terms first.

Written by tests/oracles/fit_mgc.py. Fitted to exact values, with the largest relative error of what they stand for (the
mean wait and wait probability of M/D/c; the first two moments of the least of c residual service times):

{stated}

Fitted to tests/oracles/mgc.csv, with the root mean square of the residuals, each divided by its standard error and by
1 % of a mean, 0.2 % of a wait probability, 2 % of a quantile:

{noted}
"""

'''
    kinds = {"SURFACE": "tuple[tuple[float, ...], ...]", "PARAMETERS": "tuple[float, ...]"}
    lines = [f"MOST_SERVERS = {MOST_SERVERS}", f"LARGEST_SCV = {LARGEST_SCV}", ""]
    for name, part in (exact | simulated).items():
        kind = kinds["SURFACE" if name in exact else "PARAMETERS"]
        lines.append(f"{name}: {f'dict[str, {kind}]' if isinstance(part, dict) else kind} = {literal(part)}")
    return head + "\n".join(lines) + "\n"


if __name__ == "__main__":
    MODULE.write_text(text(), encoding="utf-8")
    print(MODULE.read_text(encoding="utf-8").split('"""')[1])
