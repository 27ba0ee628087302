from __future__ import annotations

import matplotlib as mpl
import pytest

mpl.use("agg")

from matplotlib import pyplot as plt


@pytest.fixture(autouse=True)
def _no_figure_stays():
    yield
    plt.close("all")
