"""The sliders themselves, and what is drawn at each turn."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from io import BytesIO
from typing import Any

import ipywidgets
from matplotlib.figure import Figure

from capacity.panel.knobs import Answer, Knob, answer_to
from capacity.scenario import Scenario
from capacity.show.canvas import styled

__all__ = ["Panel"]


class Panel(ipywidgets.VBox):  # type: ignore[misc]
    """Sliders over a scenario, with the answer below them.

    Parameters
    ----------
    scenario : Scenario
        Where the sliders start.
    knobs : sequence of Knob
    """

    def __init__(self, scenario: Scenario, knobs: Sequence[Knob]) -> None:
        self._start, self._knobs = scenario, tuple(knobs)
        self.sliders = {knob.name: _slider(knob) for knob in knobs}
        self._words = ipywidgets.HTML()
        self._figure = Figure(figsize=(8, 4.5), facecolor="none")
        self._picture = ipywidgets.Image(format="png", layout=ipywidgets.Layout(max_width="48em"))
        self._turn()
        for slider in self.sliders.values():
            slider.observe(self._turn, names="value")
        super().__init__([*self.sliders.values(), self._words, self._picture])

    @property
    def scenario(self) -> Scenario:
        """What the sliders say."""
        return self.answer.scenario

    def _turn(self, _: object = None) -> None:
        values = {knob.name: self.sliders[knob.name].value * knob.scale for knob in self._knobs}
        self.answer = answer_to(self._start, values)
        self._words.value = words_of(self.answer)
        self._picture.value = self._drawn()

    def _drawn(self) -> bytes:
        """Draw the hockey stick of the chosen workers, as PNG."""
        made = BytesIO()
        with styled():
            self._figure.clear()
            # margins that need not be computed: twice as quick
            self._figure.subplots_adjust(left=0.12, right=0.98, top=0.88, bottom=0.12)
            self.answer.chosen.plot(ax=self._figure.add_subplot())
            self._figure.savefig(made, format="png")
        return made.getvalue()

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """Add the picture of the moment, for pages that run no widgets."""
        bundle = super()._repr_mimebundle_(**options)
        image = base64.b64encode(self._picture.value).decode()
        picture = f'<img alt="{_ALT}" style="max-width:100%" src="data:image/png;base64,{image}">'
        bundle["text/html"] = f"<div>{self._words.value}</div><div>{picture}</div>"
        return bundle


_ALT = "Response time over users"


def _slider(knob: Knob) -> Any:
    kind = ipywidgets.IntSlider if knob.whole else ipywidgets.FloatSlider
    return kind(
        value=knob.value,
        min=knob.least,
        max=knob.most,
        step=knob.step,
        description=knob.label,
        readout_format="d" if knob.whole else ".4g",
        style={"description_width": "12em"},
        layout=ipywidgets.Layout(width="40em", max_width="100%"),
    )


def words_of(answer: Answer) -> str:
    """Lines of an answer as HTML."""
    first, *others = map(escape, answer.lines)
    return f"<b>{first}</b>" + "".join(f"<br>{line}" for line in others)
