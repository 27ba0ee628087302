"""A picture of prediction against reality."""

from __future__ import annotations

from typing import Any

from capacity.errors import InvalidInput, Problem
from capacity.results import Comparison, Deviation
from capacity.show.canvas import BLUE, GREY, RED, canvas
from capacity.show.words import in_words, titled

__all__ = ["deviations"]


def deviations(result: Comparison, *, ax: Any = None) -> Any:
    """What was measured as a multiple of what was predicted, over the band that the prediction allows.

    Parameters
    ----------
    result : Comparison
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    told = [each for each in reversed(result.deviations) if each.predicted]
    if not told:
        raise InvalidInput([Problem("deviations", "have no finite prediction: there is nothing to draw")])
    with canvas(ax, height=1.4 + 0.8 * len(told)) as ax:
        for place, each in enumerate(told):
            _row(ax, place, each)
        ax.use_sticky_edges = False
        ax.axvline(1, color=GREY, linewidth=1)
        ax.set_yticks(range(len(told)), [titled(each.quantity) for each in told])
        ax.tick_params(axis="y", length=0)
        ax.set_ylim(-0.6, len(told) - 0.4)
        ax.set_xlabel("measured / predicted (bar: the band of the prediction)")
        ax.set_title("Prediction and reality")
    return ax


def _row(ax: Any, place: int, each: Deviation) -> None:
    scale = each.predicted or 1.0
    low, high = each.band_low, each.band_high
    if low is not None and high is not None:
        ax.barh(place, (high - low) / scale, left=low / scale, height=0.5, color=BLUE, alpha=0.3)
    colour = RED if each.beyond else BLUE
    ends = [end for end in (each.measured_low, each.measured_high) if end is not None]
    if len(ends) == 2:
        ax.hlines(place, ends[0] / scale, ends[1] / scale, color=colour, linewidth=2)
    ax.plot(each.measured / scale, place, "D" if each.beyond else "o", color=colour)
    text = in_words(each.quantity, each.measured, each.unit) + (", beyond" if each.beyond else "")
    ax.annotate(text, (each.measured / scale, place), xytext=(0, 9), textcoords="offset points", ha="center",
                fontsize="small")  # fmt: skip
