from __future__ import annotations

import numpy as np
import pytest
from matplotlib.contour import QuadContourSet

from capacity import InvalidInput, sweep
from capacity.show import heat_map
from tests.show.results import EXAMPLE

AXES = {"workers": np.arange(10, 41, 2), "users": np.arange(20, 201, 4)}
GRID = sweep(EXAMPLE, AXES, quantity=["response_time_p95", "verdict", "max_children", "binding"])


def mesh(ax):
    return next(each for each in ax.collections if not isinstance(each, QuadContourSet))


def test_the_cells_are_those_of_the_sweep():
    ax = heat_map(GRID)
    cells = np.ma.filled(mesh(ax).get_array(), np.nan)
    expected = GRID.response_time_p95.values
    assert np.array_equal(cells, np.where(np.isfinite(expected), expected, np.nan), equal_nan=True)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("users", "workers")
    assert ax.get_title(loc="left") == "response time that 95 of 100 requests keep"


def test_the_contour_parts_what_keeps_the_target_from_what_does_not():
    ax = heat_map(GRID, target=0.9)
    (line,) = [each for each in ax.collections if isinstance(each, QuadContourSet)]
    seen = 0
    for users, workers in np.concatenate([path.vertices for path in line.get_paths() if len(path.vertices)]):
        column = GRID.response_time_p95.sel(users=users, method="nearest")
        kept = column.workers.values[column.values <= 0.9]
        if kept.size:
            seen += 1
            assert abs(kept.min() - workers) <= 4  # a step of either axis
    assert seen > 20


def test_verdicts_are_named():
    ax = heat_map(GRID, "verdict")
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["comfortable", "manageable", "watch", "overloaded"]
    assert np.array_equal(mesh(ax).get_array(), GRID.verdict.values)


def test_other_words_have_a_legend_of_their_own():
    names = [text.get_text() for text in heat_map(GRID, "binding").get_legend().get_texts()]
    assert names == ["memory", "cpu", "database", "process_max", "demand"]


@pytest.mark.parametrize(
    ("grid", "quantity", "words"),
    [
        (3, None, "grid must be a Dataset"),
        (GRID.isel(users=0), None, "grid must have two axes; got workers"),
        (GRID, "respose_time_p95", "quantity is not in this grid.*response_time_p95"),
        (GRID.where(GRID.users < 0), "response_time_p95", "finite in no cell"),
    ],
)
def test_what_is_no_map_is_refused(grid, quantity, words):
    with pytest.raises(InvalidInput, match=words):
        heat_map(grid, quantity)
