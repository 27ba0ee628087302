"""How wrong an input may be before the answer changes: the nearest value on either side at which it has."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray

from capacity.decision import LIMITS
from capacity.doubt.moving import answers, inside, moved
from capacity.policies.verdict import VERDICTS, Edges
from capacity.table import Column, Table
from capacity.what_if_results import Part, TippingPoint

__all__ = ["FARTHEST", "tipping_points"]

FARTHEST: Final = 4.0
"""Times the value, up and down, beyond which no change is looked for."""
_STEP: Final = 1.02  # between the values tried; what changes and changes back in between is not seen
_HALVINGS: Final = 7  # of that step: to 0.02 %
_KINDS: Final[tuple[Part, ...]] = get_args(Part)


def tipping_points(row: Table, names: Sequence[str], edges: Edges, workers_by: float) -> list[tuple[TippingPoint, ...]]:
    """The tipping points of each input, a tuple of one a kind.

    Parameters
    ----------
    row : Table
        Of one row.
    names : sequence of str
        Inputs with a value above 0.
    edges : Edges
    workers_by : float
        Change of max_children that counts, as a share of it [-].
    """
    here = answers(row, 2, edges, users=False)
    steps = math.ceil(math.log(FARTHEST) / math.log(_STEP))
    factors = np.exp(np.outer([-1.0, 1.0], np.linspace(0.0, math.log(FARTHEST), steps + 1)))  # a row a direction
    values = np.array([row[name][0] for name in names])
    # a line is an input in one direction, down before up
    lines = np.repeat(np.array(names), 2)
    tried = inside(row, np.repeat(lines, steps + 1), (values[:, None, None] * factors).ravel())
    differs = _differs(row, np.repeat(lines, steps + 1), tried, here, edges, workers_by)
    differs, tried = differs.reshape(len(_KINDS), lines.size, steps + 1), tried.reshape(lines.size, steps + 1)
    first = np.argmax(differs, axis=2)
    found = first > 0
    place = np.maximum(first, 1)
    near, far = (np.stack([tried[np.arange(lines.size), at] for at in place - back]) for back in (1, 0))
    far = _closed_in(row, lines, near, far, here, edges, workers_by, found)
    told = [_told(row, lines, values, kind, edges) for kind, values in zip(_KINDS, far, strict=True)]

    def point(number: int, line: int) -> TippingPoint:
        (low, at_low), (high, at_high) = (
            told[number][line + side] if found[number, line + side] else (None, "") for side in (0, 1)
        )
        return TippingPoint(changes=_KINDS[number], low=low, high=high, at_low=at_low, at_high=at_high)

    return [tuple(point(number, 2 * at) for number in range(len(_KINDS))) for at in range(len(names))]


def _differs(
    row: Table, fields: NDArray[np.str_], values: Column, here: Mapping[str, Column], edges: Edges, by: float
) -> NDArray[np.bool_]:
    """Whether binding limit, verdict and workers are others; a row a kind."""
    there = answers(moved(row, fields, values), 2, edges, users=False)
    workers = here["workers"][0]
    verdict = there["severity"] != here["severity"][0]
    return np.stack(
        [
            there["binding"] != here["binding"][0],
            verdict & ~(np.isnan(there["severity"]) & np.isnan(here["severity"][0])),
            np.abs(there["workers"] - workers) >= max(by * workers * (1.0 - 1e-12), 1.0),
        ]
    )


def _closed_in(
    row: Table,
    lines: NDArray[np.str_],
    near: NDArray[np.float64],
    far: NDArray[np.float64],
    here: Mapping[str, Column],
    edges: Edges,
    by: float,
    found: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """First values that change something, the gap to the last that does not having been halved; a row a kind."""
    kinds, at = np.nonzero(found)
    near, far = near.copy(), far.copy()
    for _ in range(_HALVINGS if kinds.size else 0):
        middle = (near[kinds, at] + far[kinds, at]) / 2.0
        differs = _differs(row, lines[at], middle, here, edges, by)[kinds, np.arange(kinds.size)]
        far[kinds, at] = np.where(differs, middle, far[kinds, at])
        near[kinds, at] = np.where(differs, near[kinds, at], middle)
    return far


def _told(row: Table, lines: NDArray[np.str_], values: Column, kind: str, edges: Edges) -> list[tuple[float, str]]:
    """Values as the fields hold them, and what one kind is there."""
    table = moved(row, lines, values)
    there = answers(table, 2, edges, users=False)
    words: list[str]
    if kind == "binding":
        words = [LIMITS[int(index)] for index in there["binding"]]
    elif kind == "verdict":
        words = ["" if np.isnan(index) else VERDICTS[int(index)] for index in there["severity"]]
    else:
        words = [f"{workers:.0f} workers" for workers in there["workers"]]
    return [(float(table[name][place]), words[place]) for place, name in enumerate(lines)]
