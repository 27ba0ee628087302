"""Pictures over workers: what limits their number, and how many there are after a sudden step."""

from __future__ import annotations

from typing import Any

from capacity.errors import InvalidInput, Problem
from capacity.results import Forecast, Recommendation, StepForecast
from capacity.show.canvas import BLUE, GREEN, GREY, PURPLE, RED, canvas
from capacity.units import format_seconds

__all__ = ["limits", "step"]


def limits(result: Recommendation, *, ax: Any = None) -> Any:
    """Workers that each resource allows and the demand asks for, the binding one marked.

    Parameters
    ----------
    result : Recommendation
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    shown = [(limit, limit.workers) for limit in reversed(result.limits) if limit.workers is not None]
    chosen = result.pool.max_children
    # a limit that is far away is named, and its bar broken off
    most = 3.0 * max([chosen, *(workers for limit, workers in shown if limit.binding)])
    most = min(most, 1.1 * max([chosen, *(workers for _, workers in shown)]))
    with canvas(ax, height=1.6 + 0.45 * len(shown)) as ax:
        for place, (limit, workers) in enumerate(shown):
            colour, opacity = (RED, 0.9) if limit.binding else (BLUE, 0.5)
            ax.barh(place, min(workers, most), height=0.6, color=colour, alpha=opacity)
            broken = " →" if workers > most else ""
            ax.annotate(f"{workers}{' binds' if limit.binding else ''}{broken}", (min(workers, most), place),
                        xytext=(4, 0), textcoords="offset points", va="center",
                        fontweight="bold" if limit.binding else "normal", annotation_clip=False)  # fmt: skip
        ax.axvline(chosen, color=GREY, linestyle=":")
        ax.annotate(f"max_children {chosen}", (chosen, 1), xytext=(0, 3), xycoords=("data", "axes fraction"),
                    textcoords="offset points", ha="center", fontsize="small")  # fmt: skip
        ax.set_yticks(range(len(shown)), [limit.name for limit, _ in shown])
        ax.tick_params(axis="y", length=0)
        ax.set_xlim(0, most * 1.12)
        ax.set_xlabel("workers")
        ax.set_title("What limits the workers", pad=18)
    return ax


def step(result: StepForecast | Forecast | Recommendation, *, ax: Any = None) -> Any:
    """Workers in the seconds after a sudden step in load, of the pool and of others of its size.

    Parameters
    ----------
    result : StepForecast, Forecast or Recommendation
        Where a step was asked for.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    rush = result if isinstance(result, StepForecast) else result.step
    if rush is None:
        hint = "ask for one: forecast(scenario, step=(50, 150))"
        raise InvalidInput([Problem("step", "is not in this result", hint=hint)])
    styles = [(RED, "-"), (BLUE, "--"), (GREEN, "-."), (PURPLE, ":")]
    with canvas(ax) as ax:
        for place, (outcome, (colour, line)) in enumerate(zip(rush.outcomes, styles, strict=False)):
            spares = f" {outcome.pool.spares}" if outcome.pool.spares else ""
            name = f"{outcome.pool.pm}{spares}: mean wait {format_seconds(outcome.waiting_time)}"
            width = 2.5 if place == 0 else 1.5
            ax.plot(
                range(len(outcome.workers)), outcome.workers, color=colour, linestyle=line, linewidth=width, label=name
            )
        ax.set_ylim(0, 1.1 * max(max(outcome.workers) for outcome in rush.outcomes))
        ax.set_xlim(0, max(len(outcome.workers) for outcome in rush.outcomes) - 1)
        ax.set_xlabel("seconds after the step")
        ax.set_ylabel("workers")
        ax.set_title(f"A step from {rush.users_before} to {rush.users_after} users")
        ax.legend(loc="lower right", fontsize="small")
    return ax
