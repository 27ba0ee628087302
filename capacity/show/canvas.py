"""What all pictures share: the figure they are drawn on, and their colours.

The colours are those of Okabe and Ito, told apart by the colour-blind too. Lines use only those of a lightness that
stands out (3 : 1) from a white page and from a black one; the figure has no background of its own, and its text is
the one grey that reads (4.5 : 1) on both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

from capacity.errors import InvalidInput, Problem
from capacity.extras import library
from capacity.units import shown

__all__ = ["BLUE", "FILL", "GREEN", "GREY", "PURPLE", "RED", "VERDICTS", "canvas", "styled"]

BLUE: Final = "#0072b2"
RED: Final = "#d55e00"
GREEN: Final = "#009e73"
PURPLE: Final = "#cc79a7"
GREY: Final = "#767676"
VERDICTS: Final[Mapping[str, str]] = {
    "comfortable": GREEN,
    "manageable": BLUE,
    "watch": "#e69f00",
    "overloaded": RED,
}
FILL: Final = 0.16  # opacity of an area behind lines

_STYLE: Final = {
    "axes.facecolor": "none",
    "axes.edgecolor": GREY,
    "axes.labelcolor": GREY,
    "axes.titlecolor": GREY,
    "axes.titlelocation": "left",
    "axes.titlesize": "medium",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "legend.frameon": False,
    "font.size": 10,
}


@contextmanager
def canvas(ax: Any, *, width: float = 8.0, height: float = 4.5) -> Iterator[Any]:
    """Axes to draw on: those that are given, as they are, or new ones in our style.

    Parameters
    ----------
    ax : matplotlib.axes.Axes or None
    width, height : float
        Of a new figure [inch].

    Raises
    ------
    InvalidInput
        `ax` are no Axes.
    MissingExtra
        matplotlib is not installed.
    """
    if ax is not None:
        if not hasattr(ax, "axhline"):
            raise InvalidInput([Problem("ax", "must be matplotlib's Axes", shown(ax), "leave it out for a new figure")])
        yield ax
        return
    pyplot = library("matplotlib.pyplot", what="plot", extra="plot")
    # before our style: a notebook sets itself up at the first figure, and what it sets then has to stay
    figure = pyplot.figure(figsize=(width, height), layout="constrained", facecolor="none")
    with styled():
        yield figure.add_subplot()


def styled() -> AbstractContextManager[None]:
    """Let matplotlib draw in our style, for as long as the context lasts."""
    style: AbstractContextManager[None] = library("matplotlib", what="plot", extra="plot").rc_context(_STYLE)
    return style
