from __future__ import annotations

import numpy as np
import pytest

from capacity import Edges
from capacity.policies.verdict import VERDICTS, severity


def verdicts(utilization, slowdown=0.0, met=True, edges=None):
    values = np.broadcast_arrays(*(np.atleast_1d(v) for v in (utilization, slowdown, met)))
    return [VERDICTS[index] for index in severity(*values, edges)]


def test_the_words_go_from_good_to_bad():
    assert VERDICTS == ("comfortable", "manageable", "watch", "overloaded")


@pytest.mark.parametrize(
    ("edge", "within", "beyond"),
    [(0.45, "comfortable", "manageable"), (0.70, "manageable", "watch"), (0.85, "watch", "overloaded")],
)
def test_a_busy_share_on_the_edge_is_still_inside(edge, within, beyond):
    assert verdicts([edge, np.nextafter(edge, 1), edge + 1e-9]) == [within, within, beyond]


@pytest.mark.parametrize(
    ("edge", "within", "beyond"),
    [(0.05, "comfortable", "manageable"), (0.25, "manageable", "watch"), (1.0, "watch", "overloaded")],
)
def test_a_slowdown_on_the_edge_is_still_inside(edge, within, beyond):
    assert verdicts(0.0, [edge, edge + 1e-9]) == [within, beyond]


@pytest.mark.parametrize(
    ("busy", "workers", "word"), [(9, 20, "comfortable"), (14, 20, "manageable"), (17, 20, "watch")]
)
def test_a_quotient_that_is_the_edge_but_for_rounding_is_inside(busy, workers, word):
    assert verdicts(busy / workers) == [word]
    assert verdicts(busy * 0.1 / (workers * 0.1)) == [word]


def test_the_worse_of_both_measures_decides():
    assert verdicts([0.1, 0.9, 0.5], [2.0, 0.0, 0.3]) == ["overloaded", "overloaded", "watch"]


def test_a_missed_objective_is_at_least_watch():
    assert verdicts([0.1, 0.5, 0.8, 0.9], 0.0, met=False) == ["watch", "watch", "watch", "overloaded"]


@pytest.mark.parametrize("slowdown", [np.inf, np.nan])
def test_a_time_without_bound_is_overloaded(slowdown):
    assert verdicts(0.3, slowdown) == ["overloaded"]


def test_an_idle_pool_is_comfortable():
    assert verdicts(0.0, 0.0) == ["comfortable"]


def test_it_never_improves_with_either_measure():
    grid = np.linspace(0, 1.5, 301)
    for other in grid[::20]:
        assert (np.diff(severity(grid, np.full(grid.shape, other), np.ones(grid.shape, bool))) >= 0).all()
        assert (np.diff(severity(np.full(grid.shape, other), grid, np.ones(grid.shape, bool))) >= 0).all()


def test_edges_are_parameters():
    strict = Edges(utilization=(0.1, 0.2, 0.3), slowdown=(0.01, 0.02, 0.03))
    assert verdicts([0.1, 0.15, 0.25, 0.35], edges=strict) == list(VERDICTS)
    assert verdicts(0.0, [0.01, 0.015, 0.025, 0.035], edges=strict) == list(VERDICTS)


def test_a_row_does_not_know_its_neighbours():
    rng = np.random.default_rng(9)
    columns = rng.uniform(0, 1, 200), rng.uniform(0, 1.2, 200), rng.random(200) < 0.8
    together = severity(*columns).tolist()
    assert together == [int(severity(*(column[row : row + 1] for column in columns))[0]) for row in range(200)]
    assert set(together) == {0, 1, 2, 3}
