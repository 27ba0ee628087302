"""Pictures over users: how the response grows until the pool is full, and what a recommendation changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from capacity.errors import InvalidInput, Problem
from capacity.outcome import predict
from capacity.policies.demand import rate_of
from capacity.policies.verdict import Edges
from capacity.presented import scenario_of
from capacity.queueing.spread import LARGEST_SCV
from capacity.results import Forecast, ModelName, Prediction, Recommendation, UserBand, Verdict
from capacity.scenario import Scenario
from capacity.show.canvas import BLUE, FILL, GREY, PURPLE, RED, VERDICTS, canvas
from capacity.show.words import workers_in_words
from capacity.table import repeat, table_of
from capacity.units import format_seconds

__all__ = ["Curve", "before_after", "curve_of", "hockey_stick"]

_POINTS = 240
_BEYOND = 1.25  # how far beyond the last of its figures a picture reaches
_TALL = 4.0  # quantiles of an idle pool that fit: the bend is seen, and where it goes is clear

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """Response of a pool over its load.

    Parameters
    ----------
    load : array
        Users, or requests a second.
    mean, p95 : array
        Response time [s]; inf where it grows without bound.
    """

    load: FloatArray
    mean: FloatArray
    p95: FloatArray


def curve_of(
    scenario: Scenario, workers: int, most: float, *, model: ModelName = "open", by_rate: bool = False
) -> Curve:
    """Compute the response of a pool, from hardly any load to the most.

    Parameters
    ----------
    scenario : Scenario
    workers : int
        [-]
    most : float
        Users [-], or requests [1/s] where `by_rate`.
    model : {'open', 'finite'}
    by_rate : bool
        Whether the load is counted in requests.

    Returns
    -------
    Curve

    Examples
    --------
    >>> curve = curve_of(Scenario.example(), 40, 220)
    >>> f"{curve.mean[0]:.2f} s of {curve.load[0]:.0f} users, {curve.mean[-1]} s of {curve.load[-1]:.0f}"
    '0.25 s of 1 users, inf s of 220'
    """
    load = np.linspace(most / _POINTS, most, _POINTS)
    load = load if by_rate or model == "open" else np.unique(np.maximum(np.round(load), 1.0))
    rows = repeat(table_of(scenario), load.size)
    offered = load if by_rate or model == "finite" else rate_of(rows, load)
    columns = predict(rows, np.full(load.size, float(workers)), offered, model=model, edges=Edges())
    return Curve(
        load, *(np.where(np.isnan(t), np.inf, t) for t in (columns["response_time"], columns["response_time_p95"]))
    )


def hockey_stick(result: Recommendation | Forecast, *, ax: Any = None) -> Any:
    """Response time over users, with the verdicts behind it and the most users of each.

    Parameters
    ----------
    result : Recommendation or Forecast
        One that remembers its scenario shows curves, one from JSON the points it has.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    if not result.predictions:
        hint = "the scenario says neither users nor an arrival rate"
        raise InvalidInput([Problem("predictions", "are none: there is nothing to draw", hint=hint)])
    scenario, model = scenario_of(result), result.model if isinstance(result, Forecast) else "open"
    by_rate = result.predictions[0].users is None
    points = [(_load(p), p) for p in result.predictions]
    ends = [] if by_rate else [band.users for band in result.bands if band.users is not None]
    seen = [load for load, p in points if p.response_time is not None]
    most = _BEYOND * max([*ends[-1:], *seen] or [load for load, _ in points])
    if by_rate and scenario is not None:  # as far as the workers could go at best
        most = max(most, _BEYOND * result.pool.max_children / scenario.workload.hold_time)
    # wider spreads are simulated, and only at the points
    if scenario is not None and (model == "finite" or scenario.workload.service_scv <= LARGEST_SCV):
        curve = curve_of(scenario, result.pool.max_children, most, model=model, by_rate=by_rate)
    else:
        curve = _through(points)
    with canvas(ax) as ax:
        top = _top(curve, scenario)
        ax.set_xlim(0, most)
        ax.set_ylim(0, top)
        _regions(ax, () if by_rate else result.bands, most)
        ax.plot(curve.load, _drawn(curve.p95, top), color=RED, label="95 of 100 are faster")
        ax.plot(curve.load, _drawn(curve.mean, top), color=BLUE, linestyle="--", label="mean")
        today = getattr(result, "current", None)
        if scenario is not None and today is not None and today.max_children != result.pool.max_children:
            before = curve_of(scenario, today.max_children, most, model=model, by_rate=by_rate)
            label = f"95 of 100, with today's {workers_in_words(today.max_children)}"
            ax.plot(before.load, _drawn(before.p95, top), color=GREY, linestyle=":", label=label)
        _marks(ax, points, top)
        if scenario is not None and scenario.objective.response_time is not None:
            target = scenario.objective.response_time
            ax.axhline(target, color=PURPLE, linewidth=1)
            text = f"objective: {scenario.objective.percentile * 100:g} of 100 within {format_seconds(target)}"
            ax.annotate(text, (0, target), xytext=(4, 3), textcoords="offset points", fontsize="small")
        ax.set_xlabel("requests a second" if by_rate else "users")
        ax.set_ylabel("response time")
        ax.yaxis.set_major_formatter(lambda seconds, _: format_seconds(seconds))
        ax.set_title(
            f"Response of {workers_in_words(result.pool.max_children)}{' (finite model)' if model == 'finite' else ''}",
            pad=22,
        )
        ax.legend(loc="upper left", fontsize="small")
    return ax


def _load(prediction: Prediction) -> float:
    return float(prediction.arrival_rate if prediction.users is None else prediction.users)


def _through(points: Sequence[tuple[float, Prediction]]) -> Curve:
    """Straight lines between what is known."""
    times = [(np.inf if p.response_time is None else p.response_time, p.response_time_p95) for _, p in points]
    return Curve(
        np.array([load for load, _ in points]),
        np.array([mean for mean, _ in times]),
        np.array([np.inf if p95 is None else p95 for _, p95 in times]),
    )


def _top(curve: Curve, scenario: Scenario | None) -> float:
    """How high a picture is: the idle pool's quantile several times over, and no more than there is to see."""
    finite = curve.p95[np.isfinite(curve.p95)]
    idle = float(finite[0]) if finite.size else 1.0
    seen = float(finite.max()) * 1.25 if finite.size == curve.p95.size else np.inf
    objective = 0.0 if scenario is None else scenario.objective.response_time or 0.0
    return max(min(_TALL * idle, max(seen, 1.5 * idle)), 1.3 * objective)


def _drawn(times: FloatArray, top: float) -> FloatArray:
    """The line leaves through the top of the picture where it has no end."""
    return np.minimum(times, 10 * top)


def _regions(ax: Any, bands: Sequence[UserBand], most: float) -> None:
    """Shade the verdicts, and mark the most users of each at the top."""
    left = 0.0
    for band in bands:
        if band.users is None:
            continue
        _region(ax, band.verdict, left, min(band.users, most))
        ax.axvline(band.users, color=GREY, linewidth=0.8)
        left = band.users
    if bands and left < most:
        _region(ax, "overloaded", left, most)
    if left:
        ends = [band.users for band in bands if band.users is not None]
        ax.set_xticks(_apart([0, *ends], most))


def _region(ax: Any, verdict: Verdict, left: float, right: float) -> None:
    if right <= left:
        return
    ax.axvspan(left, right, color=VERDICTS[verdict], alpha=FILL, linewidth=0)
    share = (right - left) / ax.get_xlim()[1]
    ax.annotate(
        verdict if share > _ROOM else "",
        ((left + right) / 2, 1.0),
        xytext=(0, 4),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        ha="center",
        fontsize="small",
    )


_ROOM: Final = 0.11  # share of the width that the word of a verdict takes


def _apart(numbers: Sequence[int], most: float) -> list[int]:
    """Leave out a number that would be written over the one before."""
    kept: list[int] = []
    for number in numbers:
        if not kept or number - kept[-1] > (0.01 + 0.012 * len(str(number))) * most:
            kept.append(number)
    return kept


def _marks(ax: Any, points: Sequence[tuple[float, Prediction]], top: float) -> None:
    """Mark the predictions themselves, with their bands where they have any."""
    for name, colour in (("response_time_p95", RED), ("response_time", BLUE)):
        known = [(load, p, getattr(p, name)) for load, p in points if getattr(p, name) is not None]
        known = [(load, p, time) for load, p, time in known if time <= top]
        ax.plot([load for load, _, _ in known], [time for _, _, time in known], "o", color=colour, markersize=4)
        for load, p, _ in known:
            band = getattr(getattr(p, "band", None), name, None)
            if band is not None:
                high = 10 * top if band.high is None else min(band.high, 10 * top)
                ax.vlines(load, band.low, high, color=colour, linewidth=4, alpha=0.4)


def before_after(result: Recommendation, *, ax: Any = None) -> Any:
    """How many users each verdict reaches, with today's pool and with the recommended one.

    Parameters
    ----------
    result : Recommendation
        Of a scenario with a pool and a think time.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    if result.current is None or not result.current_bands:
        hint = "give the scenario its pool of today, and a think time"
        raise InvalidInput([Problem("current", "is not known: there is no before", hint=hint)])
    rows = [
        (f"recommended\n{workers_in_words(result.pool.max_children)}", result.bands),
        (f"today\n{workers_in_words(result.current.max_children)}", result.current_bands),
    ]
    expected = None if (scenario := scenario_of(result)) is None else scenario.workload.users
    ends = [band.users for _, bands in rows for band in bands if band.users is not None]
    most = 1.2 * max([*ends, expected or 1])
    with canvas(ax, height=2.9) as ax:
        for place, (_, bands) in enumerate(rows):
            left = 0
            for band in bands:
                if band.users is not None:
                    _bar(ax, place, left, band.users, band.verdict)
                    left = band.users
            _bar(ax, place, left, most, "overloaded")
            for users in _apart([band.users for band in bands if band.users is not None], most):
                ax.annotate(str(users), (users, place + _THICK / 2), xytext=(0, 2),
                            textcoords="offset points", ha="center")  # fmt: skip
        ax.set_yticks(range(len(rows)), [name for name, _ in rows])
        ax.tick_params(axis="y", length=0)
        ax.set_xlim(0, most)
        ax.set_xlabel("users")
        if expected is not None:
            ax.axvline(expected, color=GREY, linestyle=":")
            ax.annotate(f"expected: {expected}", (expected, 1), xytext=(0, 3), xycoords=("data", "axes fraction"),
                        textcoords="offset points", ha="center", fontsize="small")  # fmt: skip
        ax.set_ylim(-0.4, len(rows) - 0.35)
        handles = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
        names = [name for name in VERDICTS if name in handles]
        ax.legend(
            [handles[name] for name in names],
            names,
            ncols=4,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.28),
            fontsize="small",
        )
        ax.set_title("How many users", pad=18)
    return ax


def _bar(ax: Any, place: int, left: float, right: float, verdict: Verdict) -> None:
    colour = VERDICTS[verdict]
    ax.barh(place, right - left, left=left, height=_THICK, color=colour, alpha=0.6, label=verdict)


_THICK: Final = 0.5
