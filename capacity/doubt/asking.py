"""Which inputs the answer hangs on: elasticities, what stated doubt makes of it, how wrong they may be."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from capacity.cautions import workload_cautions
from capacity.columns import row_of, unit_of_column
from capacity.doubt.moving import INPUTS, answer_at, answers, inside, moved
from capacity.doubt.telling import summary_of
from capacity.doubt.tipping import tipping_points
from capacity.errors import InvalidInput, Problem
from capacity.policies.verdict import VERDICTS, Edges
from capacity.prediction import require, stated_assumptions
from capacity.scenario import Scenario
from capacity.table import Column
from capacity.units import format_fraction, shown
from capacity.what_if_results import Goal, InputSensitivity, Sensitivity

__all__ = ["sensitivity"]

_GOALS: Final = VERDICTS[:-1]
_STEP: Final = 1.1  # of the elasticities, up and down: smaller ones would only see the rounding of whole workers
_ANSWERS: Final = ("workers", "users", "response_time_p95")


def sensitivity(
    scenario: Scenario,
    *,
    spread: float = 0.1,
    workers_by: float = 0.1,
    verdict: Goal = "watch",
    edges: Edges | None = None,
) -> Sensitivity:
    """Say which inputs a recommendation hangs on, and how wrong each may be before it changes.

    Every input is moved alone, and a pool recommended for each value, as `recommend` does.

    Parameters
    ----------
    scenario : Scenario
    spread : float
        Doubt about an input whose source states no interval, as a share of it [-], above 0 and below 1.
    workers_by : float
        Change of max_children that counts as another answer, as a share of it [-], above 0 and at most 1; one worker
        is the least.
    verdict : {'comfortable', 'manageable', 'watch'}
        Whose most users are looked at.
    edges : Edges, optional
        The edges between verdicts.

    Returns
    -------
    Sensitivity
        ``inputs``, the one whose doubt changes most first: the answer at both ends of what it may be (of its source,
        else the spread), elasticities, and the nearest values at which the binding limit, the verdict of the expected
        load, or max_children change.

    Raises
    ------
    InvalidInput
        This is no scenario, or an option is out of range.

    Notes
    -----
    An elasticity is d ln answer / d ln input, as the central difference (ln y(1.1 x) - ln y(x / 1.1)) / (2 ln 1.1). Of
    whole workers it is as coarse as they are: one of 40 is 2.5 %, which is 0.13 of an elasticity. Tipping points are
    looked for between a quarter of a value and four times of it, in steps of 2 %, and then closed in to 0.02 %. Ends
    that would make no scenario (more CPU time than service time) are moved to where they still do. A ``service_scv`` of
    1 without a source is not moved: it says exponential, and its neighbours are lognormal.

    Examples
    --------
    >>> result = sensitivity(Scenario.example())
    >>> result
    <Sensitivity of 40 workers (memory binds): most to host.ram, worker.memory, workload.requests_per_click>
    >>> ram = result.input("host.ram")
    >>> ram.at_low.workers, ram.at_high.workers, f"{ram.workers_elasticity:.2f}"
    (33, 46, '1.59')

    How much longer than 250 ms may a request take before 150 users are too many?

    >>> f"{result.input('workload.service_time').tips('verdict').high:.3f} s"
    '0.293 s'
    """
    require(scenario, edges)
    edges = Edges() if edges is None else edges
    if not isinstance(verdict, str) or verdict not in _GOALS:
        raise InvalidInput([Problem("verdict", f"must be {', '.join(_GOALS[:-1])} or {_GOALS[-1]}", shown(verdict))])
    spread, by = _share(spread, "spread", most=0.99), _share(workers_by, "workers_by", most=1.0)
    row, level = row_of(scenario), _GOALS.index(verdict)
    names = [name for name in INPUTS if row[name][0] > 0 and not _is_a_law(scenario, name)]
    lows, highs, doubts = _ends(scenario, names, spread)
    values = np.array([row[name][0] for name in names])
    tried = np.concatenate([values[:1], lows, highs, values / _STEP, values * _STEP])
    fields = np.array([names[0], *(names * 4)])
    tried = inside(row, fields, tried)
    table = moved(row, fields, tried)
    tried = np.array([table[name][number] for number, name in enumerate(fields)])  # whole where the field is
    found = answers(table, level, edges)
    low, high, below, above = (1 + np.arange(len(names)) + len(names) * part for part in range(4))
    slopes = {name: _elasticity(found[name], tried, below, above) for name in _ANSWERS}
    tips = tipping_points(row, names, edges, by)
    inputs = [
        InputSensitivity(
            field=name,
            unit=unit_of_column(name),
            value=float(values[i]),
            low=float(tried[low[i]]),
            high=float(tried[high[i]]),
            doubt=doubts[i],
            at_low=answer_at(found, low[i]),
            at_high=answer_at(found, high[i]),
            workers_elasticity=_finite(slopes["workers"][i]),
            users_elasticity=_finite(slopes["users"][i]),
            response_time_p95_elasticity=_finite(slopes["response_time_p95"][i]),
            tipping=tips[i],
        )
        for i, name in enumerate(names)
    ]
    order = sorted(range(len(names)), key=lambda i: _swing(found, int(low[i]), int(high[i])), reverse=True)
    result = Sensitivity(
        goal=verdict,
        spread=spread,
        answer=answer_at(found, 0),
        inputs=tuple(inputs[i] for i in order),
        summary=(),
        cautions=workload_cautions(scenario),
        assumptions=stated_assumptions(scenario),
    )
    return result.model_copy(update={"summary": summary_of(result)})


def _is_a_law(scenario: Scenario, name: str) -> bool:
    """Whether a service_scv of 1 stands for exponential times rather than for a spread: any other is lognormal."""
    return name == "workload.service_scv" and scenario.workload.service_scv == 1 and name not in scenario.sources


def _ends(scenario: Scenario, names: list[str], spread: float) -> tuple[Column, Column, list[str]]:
    """What each input may be at least and at most, and who says so."""
    row = row_of(scenario)
    lows, highs, doubts = [], [], []
    for name in names:
        value, source = float(row[name][0]), scenario.sources.get(name)
        low, high = (None, None) if source is None else (source.low, source.high)
        lows.append(value * (1.0 - spread) if low is None else min(low, value))
        highs.append(value * (1.0 + spread) if high is None else max(high, value))
        stated = f"interval of {source.source}" if source is not None and (low, high) != (None, None) else ""
        doubts.append(stated or f"{format_fraction(spread)} less and more")
    return np.array(lows), np.array(highs), doubts


@np.errstate(all="ignore")
def _elasticity(answer: Column, values: Column, below: NDArray[np.intp], above: NDArray[np.intp]) -> Column:
    """Central difference of logarithms; NaN where an answer is 0, endless or not known."""
    slope: Column = np.log(answer[above] / answer[below]) / np.log(values[above] / values[below])
    return slope


@np.errstate(all="ignore")
def _swing(found: dict[str, Column], low: int, high: int) -> tuple[float, float, float]:
    """How far the answer swings between the ends of an input, as the logarithms of ratios: users, workers, times."""
    users, workers, times = (
        abs(float(np.log(found[name][high] / found[name][low]))) for name in ("users", "workers", "response_time_p95")
    )
    known = [0.0 if math.isnan(each) else each for each in (users, workers, times)]
    return max(known[0], known[1]), known[1], known[2]


def _finite(value: float) -> float | None:
    return float(value) + 0.0 if math.isfinite(value) else None


def _share(value: object, field: str, *, most: float) -> float:
    number = value if isinstance(value, (int, float, np.floating)) and not isinstance(value, bool) else math.nan
    if not 0 < number <= most:
        raise InvalidInput([Problem(field, f"must be above 0 and at most {most:g}", shown(value), "0.1 is 10 %")])
    return float(number)
