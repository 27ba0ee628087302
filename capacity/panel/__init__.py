"""The slider panel for notebooks: ``whatif``."""

from __future__ import annotations

from typing import Any

from capacity.extras import library
from capacity.panel.knobs import knobs_of
from capacity.prediction import require
from capacity.scenario import Scenario

__all__ = ["whatif"]


def whatif(scenario: Scenario | None = None) -> Any:
    """Show sliders over a scenario, and at once what becomes of the pool.

    Parameters
    ----------
    scenario : Scenario, optional
        Where the sliders start; by default the built-in case study.

    Returns
    -------
    ipywidgets.VBox
        Users (or requests a second, where the scenario has no think time), workers, service time, CPU time and worker
        memory. A notebook shows it where it ends a cell; its ``scenario`` is what the sliders say at the moment.

    Raises
    ------
    InvalidInput
        This is no scenario.
    MissingExtra
        ipywidgets or matplotlib is not installed.

    Examples
    --------
    >>> panel = whatif(Scenario.example())
    >>> panel.sliders["users"].value = 100
    >>> panel.scenario.workload.users, panel.answer.chosen
    (100, <Forecast: 40 workers, open model: comfortable to 90, manageable to 140, watch to 170 users>)
    """
    scenario = Scenario.example() if scenario is None else scenario
    require(scenario, None)
    for name in ("ipywidgets", "matplotlib"):
        library(name, what="whatif", extra="notebook")
    from capacity.panel.widgets import Panel

    return Panel(scenario, knobs_of(scenario))
