"""Pictures of what-if questions: which inputs the answer hangs on, and how far each lever gets."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

from capacity.errors import InvalidInput, Problem
from capacity.show.canvas import BLUE, GREEN, GREY, PURPLE, RED, canvas
from capacity.show.words import in_words
from capacity.what_if_results import InputSensitivity, LeverComparison, Sensitivity

__all__ = ["reach", "tornado", "tornado_of_workers"]


def tornado(result: Sensitivity, *, ax: Any = None, of: Literal["users", "workers"] = "users") -> Any:
    """What each input makes of the answer at both ends of its doubt, the one that changes most on top.

    Parameters
    ----------
    result : Sensitivity
    ax : matplotlib.axes.Axes, optional
    of : {'users', 'workers'}
        The most users with the verdict asked about, or the workers recommended.

    Returns
    -------
    matplotlib.axes.Axes
    """
    known = [each for each in result.inputs if None not in (getattr(each.at_low, of), getattr(each.at_high, of))]
    changing = [each for each in known if _width(each, of)]
    centre = getattr(result.answer, of)
    if centre is None or not changing:
        hint = "plot('workers') shows the workers" if of == "users" else "no input changes them within its doubt"
        raise InvalidInput([Problem(of, "have nothing to draw", hint=hint)])
    changing.sort(key=lambda each: _width(each, of))
    with canvas(ax, height=1.6 + 0.4 * len(changing)) as ax:
        for place, each in enumerate(changing):
            low, high = getattr(each.at_low, of), getattr(each.at_high, of)
            # both ends on one side would lie on each other
            shift = 0.15 if (low - centre) * (high - centre) > 0 else 0.0
            _end(ax, place + shift, centre, low, in_words(each.field, each.low, each.unit), BLUE, 0.6 - 2 * shift)
            _end(ax, place - shift, centre, high, in_words(each.field, each.high, each.unit), RED, 0.6 - 2 * shift)
        ax.axvline(centre, color=GREY, linewidth=1)
        ax.set_yticks(range(len(changing)), [each.field for each in changing])
        ax.tick_params(axis="y", length=0)
        ax.margins(x=0.15)
        what = f"most users at {result.goal}" if of == "users" else "workers recommended"
        ax.set_xlabel(what)
        ax.set_title(f"What the answer hangs on ({what}: {centre})")
    return ax


tornado_of_workers = partial(tornado, of="workers")


def _width(each: InputSensitivity, of: str) -> int:
    return abs(int(getattr(each.at_high, of)) - int(getattr(each.at_low, of)))


def _end(ax: Any, place: float, centre: int, value: int, text: str, colour: str, height: float) -> None:
    """Bar from the answer to one end of an input, with the value that the input has there."""
    if value == centre:
        return
    ax.barh(place, value - centre, left=centre, height=height, color=colour, alpha=0.7)
    side = 1 if value > centre else -1
    ax.annotate(text, (value, place), xytext=(4 * side, 0), textcoords="offset points", va="center",
                ha="left" if side > 0 else "right", fontsize="small")  # fmt: skip


def reach(result: LeverComparison, *, ax: Any = None) -> Any:
    """How many users each lever alone gets to, beside the target.

    Parameters
    ----------
    result : LeverComparison
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    rows = [("pool sized anew", result.resized), *((each.levers[0], each) for each in result.levers)]
    most = 1.6 * max(result.users, result.resized.users or 0)
    with canvas(ax, height=1.6 + 0.35 * len(rows)) as ax:
        for place, (_, each) in enumerate(reversed(rows)):
            users = most if each.users is None else min(each.users, most)
            colour, opacity = (GREEN, 0.4 if each.at_best else 0.8) if each.reached else (BLUE, 0.5)
            ax.barh(place, users, height=0.6, color=colour, alpha=opacity)
            text = "without limit" if each.users is None else f"{each.users}{' →' if each.users > most else ''}"
            # an input is not known: it is the most that the lever could do
            end = " at best" if each.at_best else " reaches it" if each.reached else ""
            ax.annotate(text + end, (users, place), xytext=(4, 0),
                        textcoords="offset points", va="center", fontsize="small")  # fmt: skip
        ax.axvline(result.users, color=PURPLE, linestyle=":", linewidth=2)
        ax.annotate(f"target: {result.users}", (result.users, 1), xytext=(0, 3), xycoords=("data", "axes fraction"),
                    textcoords="offset points", ha="center", fontsize="small")  # fmt: skip
        ax.set_yticks(range(len(rows)), [name.replace("_", " ") for name, _ in reversed(rows)])
        ax.tick_params(axis="y", length=0)
        ax.set_xlim(0, most * 1.2)
        ax.set_xlabel(f"most users at {result.goal}")
        ax.set_title("How far each lever gets", pad=18)
    return ax
