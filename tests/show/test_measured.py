from __future__ import annotations

import numpy as np
import pytest
from matplotlib import pyplot as plt

from capacity import InvalidInput, Source
from capacity.fpm import access_format, read_traffic
from capacity.measure.host import Measured
from capacity.measure.survey import Survey

LINES = b"".join(
    b"24/Nov/2026:%02d:%02d:%02d +0000 0.%d %d\n" % (7 + n // 3600, n // 60 % 60, n % 60, 250 + n % 7, 1 << 25)
    for n in range(4 * 3600)
)
TRAFFIC = read_traffic([LINES], access_format("%t %d %M"))
SURVEY = Survey(
    {"worker.memory": Measured(2**26, Source(source="<smaps>", samples=3, low=2**25, high=2**27))}, blind=("users",)
)


def test_the_figures_of_a_log_are_a_table():
    frame = TRAFFIC.to_dataframe().set_index("quantity")
    assert frame.loc["requests", "value"] == 4 * 3600
    assert frame.loc["time", "value"] == TRAFFIC.time.value
    assert (frame.loc["arrival_rate", "unit"], frame.loc["arrival_rate", "value"]) == (
        "1/s",
        pytest.approx(1, rel=1e-3),
    )
    html = TRAFFIC._repr_html_()
    assert repr(TRAFFIC)[1:-1] in html
    assert repr(TRAFFIC).startswith("<Traffic: 14400 requests in 14399 s, 253 ms each>")
    assert ">32.0 MiB</td>" in html


def test_the_workers_that_a_log_held_are_drawn():
    ax = TRAFFIC.plot()
    (drawn, line) = [patch for patch in ax.patches if hasattr(patch, "get_data")]
    assert drawn.get_data().values.tolist() == line.get_data().values.tolist() == TRAFFIC.timeline.busy.tolist()
    assert line.get_data().edges[0] * 86400 == pytest.approx(TRAFFIC.timeline.start)
    plt.gcf().canvas.draw()
    assert [tick.get_text() for tick in ax.get_xticklabels()][:2] == ["07:00", "07:30"]
    assert np.isclose(ax.get_lines()[0].get_ydata()[0], TRAFFIC.busiest.value)


def test_a_log_without_times_has_no_picture():
    with pytest.raises(InvalidInput, match="timeline is not in this log"):
        read_traffic([b"/a 200\n"], access_format("%r %s")).plot()


def test_what_was_measured_names_its_sources():
    frame = SURVEY.to_dataframe()
    assert frame.loc[0, ["quantity", "unit", "value", "low"]].tolist() == ["worker.memory", "byte", 2**26, 2**25]
    html = SURVEY._repr_html_()
    assert "&lt;smaps&gt;" in html
    assert "64.0 MiB" in html
    assert "what could not be seen (1)" in html
    assert repr(SURVEY) == "<Survey: 1 values measured, 1 things not seen>"
