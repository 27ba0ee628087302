"""Counted quantiles: within their bound of the exact ones, and the same whatever the order of the parts."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from capacity.grid.tally import exact_quantiles, merged, quantiles_of, tally_of

CELLS = st.lists(
    st.floats(min_value=-1e300, max_value=1e300, allow_subnormal=False) | st.sampled_from([0.0, np.inf, np.nan, 1.0]),
    min_size=1,
    max_size=60,
)
SHARES = np.array([0.0, 0.01, 0.3, 0.5, 0.95, 1.0])


@given(cells=CELLS, cut=st.integers(0, 60))
def test_counted_quantiles_keep_their_bound_whatever_the_parts(cells: list[float], cut: int) -> None:
    whole = np.array(cells)
    exact = exact_quantiles(whole[None], SHARES)[:, 0]
    parts = [tally_of(whole[:cut]), tally_of(whole[cut:])]
    counted = quantiles_of(merged(parts), SHARES)
    assert np.array_equal(counted, quantiles_of(merged(parts[::-1]), SHARES), equal_nan=True)
    assert np.array_equal(counted, quantiles_of(tally_of(whole), SHARES), equal_nan=True)
    if np.isnan(whole).all():
        assert np.isnan(counted).all()
        return
    finite = np.isfinite(exact)
    assert np.array_equal(counted[~finite], exact[~finite])
    assert (np.abs(counted[finite] - exact[finite]) <= 2.0**-12 * np.abs(exact[finite])).all()
    assert (counted[0], counted[-1]) == (exact[0], exact[-1])


def test_of_smooth_cells_they_are_better() -> None:
    cells = np.random.default_rng(3).lognormal(size=200_000)
    exact = exact_quantiles(cells[None], SHARES)[:, 0]
    assert np.abs(quantiles_of(tally_of(cells), SHARES) / exact - 1).max() < 5e-5


def test_exact_quantiles_leave_out_what_is_no_scenario() -> None:
    cells = np.array([[4.0, np.nan, 1.0, 3.0], [np.nan] * 4])
    found = exact_quantiles(cells, np.array([0.0, 0.34, 1.0]))
    assert found[:, 0].tolist() == [1.0, 3.0, 4.0]
    assert np.isnan(found[:, 1]).all()
