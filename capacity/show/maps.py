"""A map over two axes of a sweep."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from capacity.errors import InvalidInput, Problem
from capacity.extras import library
from capacity.problems import did_you_mean
from capacity.show.canvas import GREY, VERDICTS, canvas
from capacity.show.words import titled
from capacity.units import format_bytes, format_seconds, shown

__all__ = ["heat_map"]

_WIDE: Final = 5.0  # from there on shades follow the logarithm
_WRITERS: Final = {"s": format_seconds, "byte": format_bytes}


def heat_map(grid: Any, quantity: str | None = None, *, target: float | None = None, ax: Any = None) -> Any:
    """Draw a quantity of a sweep over its two axes, with the line on which it meets a target.

    Parameters
    ----------
    grid : xarray.Dataset
        What `capacity.sweep` gives, over two axes.
    quantity : str, optional
        A variable of it; by default the first one.
    target : float, optional
        Value [SI] to draw a contour at, such as the objective's response time; verdicts need none.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InvalidInput
        The grid has other than two axes, or no such quantity.
    MissingExtra
        matplotlib is not installed.

    Examples
    --------
    >>> from capacity import Scenario, sweep
    >>> axes = {"workers": [20, 30, 40], "users": [50, 100, 150]}
    >>> grid = sweep(Scenario.example(), axes, quantity="response_time_p95")
    >>> heat_map(grid, target=0.8).get_xlabel()
    'users'
    """
    name, cells = _cells(grid, quantity)
    down, across = cells.dims
    words = cells.attrs.get("flag_meanings", "").split()
    with canvas(ax) as ax:
        if words:
            _words(ax, cells, across, down, words)
        else:
            _numbers(ax, cells, across, down, target)
        for axis, name_of_axis in ((ax.xaxis, across), (ax.yaxis, down)):
            axis.set_label_text(titled(str(name_of_axis)))
            _units(axis, cells[name_of_axis])
        ax.set_title(str(cells.attrs.get("long_name", titled(name))).partition(";")[0])
    return ax


def _cells(grid: Any, quantity: str | None) -> tuple[str, Any]:
    if not hasattr(grid, "data_vars"):
        raise InvalidInput([Problem("grid", "must be a Dataset", shown(grid), "capacity.sweep gives one")])
    names = [str(name) for name in grid.data_vars]
    name = names[0] if quantity is None else quantity
    if name not in names:
        hint = did_you_mean(str(name), names) or f"it has {', '.join(names)}"
        raise InvalidInput([Problem("quantity", "is not in this grid", shown(quantity), hint)])
    cells = grid[name]
    if len(cells.dims) != 2:
        hint = "pick a value of the others: grid.sel(cpus=4)"
        raise InvalidInput([Problem("grid", "must have two axes", ", ".join(map(str, cells.dims)) or "none", hint)])
    return name, cells


def _units(axis: Any, values: Any) -> None:
    """Write the numbers of an axis in people's units."""
    if (writer := _WRITERS.get(values.attrs.get("units", ""))) is not None:
        axis.set_major_formatter(lambda value, _: writer(value))


def _numbers(ax: Any, cells: Any, across: Any, down: Any, target: float | None) -> None:
    colors = library("matplotlib.colors", what="plot", extra="plot")
    values = np.asarray(cells.values, dtype=np.float64)
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise InvalidInput([Problem("quantity", "is finite in no cell: there is nothing to draw")])
    low, high = float(finite.min()), float(finite.max())
    wide = low > 0 and high > _WIDE * low
    norm = colors.LogNorm(low, high) if wide else colors.Normalize(low, high)
    mesh = ax.pcolormesh(
        cells[across],
        cells[down],
        np.where(np.isfinite(values), values, np.nan),
        norm=norm,
        cmap="cividis",
        shading="nearest",
    )
    bar = ax.figure.colorbar(mesh, ax=ax)
    bar.outline.set_visible(False)
    _units(bar.ax.yaxis, cells)
    if wide:
        bar.set_ticks(np.geomspace(low, high, 5))
        bar.minorticks_off()
    if np.isinf(values).any():
        ax.set_facecolor((0.46, 0.46, 0.46, 0.35))
        ax.annotate("grey: without bound", (1, 1), xytext=(0, 4), xycoords="axes fraction", textcoords="offset points",
                    ha="right", fontsize="small")  # fmt: skip
    if target is not None and min(values.shape) > 1:
        # beyond any bound is beyond the target
        lines = ax.contour(
            cells[across],
            cells[down],
            np.minimum(values, 10 * max(high, target)),
            levels=[target],
            colors="white",
            linewidths=2.5,
        )
        writer = _WRITERS.get(cells.attrs.get("units", ""), "{:.4g}".format)
        ax.clabel(lines, fmt=lambda value: writer(value), fontsize="medium")


def _words(ax: Any, cells: Any, across: Any, down: Any, words: list[str]) -> None:
    colors = library("matplotlib.colors", what="plot", extra="plot")
    patches = library("matplotlib.patches", what="plot", extra="plot")
    known = [VERDICTS.get(word, GREY) for word in words]
    if words != list(VERDICTS):
        known = [f"C{place}" for place in range(len(words))]
    values = np.where(cells.values < 0, np.nan, np.asarray(cells.values, dtype=np.float64))
    palette = colors.ListedColormap(known)
    ax.pcolormesh(
        cells[across],
        cells[down],
        values,
        cmap=palette,
        vmin=-0.5,
        vmax=len(words) - 0.5,
        shading="nearest",
        alpha=0.75,
    )
    marks = [patches.Patch(color=colour, alpha=0.75, label=word) for colour, word in zip(known, words, strict=True)]
    ax.legend(handles=marks, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=len(words), fontsize="small")
