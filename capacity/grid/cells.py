"""One box of a grid, computed: the same columns, and the same code, as one prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from capacity.columns import fields, row_of, rules_between
from capacity.decision import decide, decided
from capacity.grid.axes import WORKERS, Axis, boxes, lengths
from capacity.grid.quantities import BANDS, PREDICTED, QUANTITIES
from capacity.outcome import NEEDED, predict, users_in_bands
from capacity.overload import LATE, LOST, NEEDED_FOR_LOST, lost
from capacity.policies.demand import rate_of
from capacity.policies.verdict import Edges
from capacity.results import ModelName
from capacity.scenario import Scenario
from capacity.table import Column

__all__ = ["Cells", "cells_of"]

_AT_ONCE: Final = 8192
"""Cells that are solved together: their columns stay in a core's cache."""

_COLUMN_OF: Final = {"verdict": "severity"}
_LOAD: Final = ("workload.users", "workload.arrival_rate")


@dataclass(frozen=True)
class Cells:
    """The function a grid is made of: values along the axes in, every cell of their box out. It can be pickled.

    ``base`` are the fields that stay, ``moved`` the field and the axis of each array that is handed in. Without a
    number of workers in either, each cell has the recommended one. ``sound`` says that every cell is known to be a
    scenario, so that none has to be looked at.
    """

    base: Mapping[str, float]
    moved: tuple[tuple[str, int], ...]
    quantities: tuple[str, ...]
    model: ModelName
    edges: Edges
    sound: bool = False

    @property
    def dtype(self) -> np.dtype[Any]:
        """A record a cell, with a field a quantity."""
        return np.dtype([(name, QUANTITIES[name].dtype) for name in self.quantities])

    def __call__(self, *values: Column) -> NDArray[Any]:
        """Compute a box.

        Parameters
        ----------
        *values : ndarray
            An array a field of ``moved``, of float64.

        Returns
        -------
        ndarray
            Records, of a dimension an axis. Where the values make no scenario: NaN, or -1 for words.
        """
        spread = self.spread(values)
        shape = np.broadcast_shapes(*(column.shape for column in spread.values()))
        made = np.empty(shape, dtype=self.dtype)
        for box in boxes(shape, lengths(shape, _AT_ONCE)):
            part = made[box]
            table = {name: _constant(value, part.size) for name, value in self.base.items()}
            for field, column in spread.items():
                here = tuple(slice(None) if size == 1 else cut for size, cut in zip(column.shape, box, strict=True))
                table[field] = np.broadcast_to(column[here], part.shape).ravel()
            for name, cells in self._solve(table).items():
                words = QUANTITIES[name].words
                part[name] = (np.where(np.isnan(cells), -1.0, cells) if words else cells).reshape(part.shape)
        if not self.sound and (refused := self.refused(spread)).any():
            for name in self.quantities:
                np.copyto(made[name], -1 if QUANTITIES[name].words else np.nan, where=refused)
        return made

    def spread(self, values: Sequence[Column]) -> dict[str, NDArray[np.float64]]:
        """The values of each field along its axis, in shapes that broadcast to that of the box."""
        axes = 1 + max(axis for _, axis in self.moved)
        return {
            field: column.reshape([-1 if place == axis else 1 for place in range(axes)])
            for (field, axis), column in zip(self.moved, values, strict=True)
        }

    def refused(self, spread: Mapping[str, NDArray[np.float64]]) -> NDArray[np.bool_]:
        """Which cells are no scenario, of columns that broadcast against each other."""
        table = {name: np.float64(value) for name, value in self.base.items()} | dict(spread)
        refused = np.zeros((), dtype=bool)
        with np.errstate(all="ignore"):
            for broken in rules_between(table):  # type: ignore[arg-type]
                if np.any(broken):
                    refused = refused | broken
            for field, column in spread.items():
                allowed = fields()[field].allows(column) & ~np.isnan(column)
                if not allowed.all():
                    refused = refused | ~allowed
        return refused

    @np.errstate(all="ignore")
    def _solve(self, table: dict[str, Column]) -> dict[str, Column]:
        wanted = set(self.quantities)
        found: dict[str, Column] = {}
        workers = table.get(WORKERS)
        if workers is None or wanted - PREDICTED.keys() - BANDS.keys():
            decision = decide(table)
            found = decided(table, decision)
            workers = decision["max_children"] if workers is None else workers
        if wanted & PREDICTED.keys():
            users, rate = (table[name] for name in _LOAD)
            rate = np.where(np.isnan(rate), rate_of(table, users), rate)
            load = rate if self.model == "open" else users
            quantile = "response_time_p95" in wanted
            found |= predict(table, workers, load, model=self.model, edges=self.edges, quantile=quantile)
            found |= {"arrival_rate": rate if self.model == "open" else found["throughput"]}
            if self.model != "open":
                found |= dict.fromkeys(LOST, np.full(rate.shape, np.nan))
            elif wanted & {"throughput", *LOST}:
                found |= lost(table, workers, rate, late=bool(wanted & LATE))
            unknown = np.isnan(load)
            found["severity"] = np.where(unknown, np.nan, found["severity"])
        if wanted & BANDS.keys():
            rows = {name: table[name] for name in NEEDED}
            found |= dict(zip(BANDS, users_in_bands(rows, workers, model=self.model, edges=self.edges), strict=True))
        return {name: found[_COLUMN_OF.get(name, name)] for name in self.quantities}


def cells_of(
    scenario: Scenario, axes: Sequence[Axis], quantities: tuple[str, ...], model: ModelName, edges: Edges
) -> Cells:
    """The cells of a grid around a scenario."""
    moved = tuple((field, place) for place, axis in enumerate(axes) for field in axis.columns)
    names = {field for field, _ in moved}
    base = {name: float(column[0]) for name, column in row_of(scenario).items() if name not in names}
    # a load that moves takes the place of the other way to state one
    for other in _LOAD if names & set(_LOAD) else ():
        if other not in names:
            base[other] = np.nan
    if WORKERS in base and np.isnan(base[WORKERS]):
        del base[WORKERS]
    if not set(quantities) - PREDICTED.keys() - BANDS.keys() and (WORKERS in base or WORKERS in names):
        kept = {*NEEDED, *_LOAD, WORKERS, "host.ram", "host.reserved", "objective.max_utilization"}
        kept |= set(NEEDED_FOR_LOST)
        base = {name: value for name, value in base.items() if name in kept}
    return Cells(base, moved, quantities, model, edges)


@lru_cache(maxsize=256)
def _constant(value: float, size: int) -> Column:
    column = np.full(size, value)
    column.flags.writeable = False
    return column
