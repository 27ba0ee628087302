"""Which pictures there are of which result."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

from capacity.errors import InvalidInput, Problem
from capacity.units import shown

__all__ = ["PICTURES", "picture_of"]

PICTURES: Final[Mapping[str, Mapping[str, str]]] = {
    "Recommendation": {
        "users": "users.hockey_stick",
        "before_after": "users.before_after",
        "limits": "workers.limits",
        "step": "workers.step",
    },
    "Forecast": {"users": "users.hockey_stick", "step": "workers.step"},
    "StepForecast": {"step": "workers.step"},
    "Comparison": {"deviations": "deviations.deviations"},
    "Replay": {"busy": "moments.busy_workers", "waits": "moments.waits"},
    "Traffic": {"busy": "moments.logged_workers"},
}
"""By class and kind, the most telling first: the module here and its function, from the result and ``ax`` to Axes."""


def picture_of(result: object, kind: str | None, ax: Any) -> Any:
    """Draw a result.

    Parameters
    ----------
    result : Presented
    kind : str or None
        One of the kinds of `PICTURES`; None is the first.
    ax : matplotlib.axes.Axes or None

    Returns
    -------
    matplotlib.axes.Axes
    """
    name = type(result).__name__
    kinds = PICTURES.get(name, {})
    if not kinds:
        hint = f"there are of {', '.join(PICTURES)}"
        raise InvalidInput([Problem(name, "has no picture", hint=hint)])
    kind = next(iter(kinds)) if kind is None else kind
    if kind not in kinds:
        raise InvalidInput([Problem("kind", f"must be one of {', '.join(kinds)}", shown(kind))])
    module, _, function = kinds[kind].partition(".")
    return getattr(import_module(f"capacity.show.{module}"), function)(result, ax=ax)
