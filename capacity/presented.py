"""What every result offers a person who looks at it: one line, a table, a frame, a picture.

How results look is the business of ``show/``, which is imported when somebody looks and not before: this is the one
place where a lower layer reaches up.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

__all__ = ["Presented", "Result", "scenario_of"]


class Presented:
    """Something with fields that can be shown."""

    def __str__(self) -> str:
        return repr(self)

    def _repr_html_(self) -> str:
        html: str = import_module("capacity.show.html").html_of(self)
        return html

    def to_dataframe(self, part: str | None = None) -> Any:
        """One of its tables as a pandas DataFrame, in SI units.

        Parameters
        ----------
        part : str, optional
            The field that is the table, such as ``limits``; by default the most telling one. A result without any
            table makes one row.

        Returns
        -------
        pandas.DataFrame
            What has no value is NaN or None. Settings within a row are columns such as ``pool.max_children``; tables
            within a row are left out.

        Raises
        ------
        InvalidInput
            It has no such table.
        MissingExtra
            pandas is not installed.
        """
        return import_module("capacity.show.frame").frame_of(self, part)

    def plot(self, kind: str | None = None, *, ax: Any = None) -> Any:
        """Draw it.

        Parameters
        ----------
        kind : str, optional
            Which picture, where there are several; by default the most telling one.
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default a new figure that suits light and dark pages.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        InvalidInput
            It has no such picture.
        MissingExtra
            matplotlib is not installed.
        """
        return import_module("capacity.show.pictures").picture_of(self, kind, ax)


class Result(Presented, BaseModel):
    """What all results share: frozen, closed, and ready for JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries, lists and numbers, as the JSON has them."""
        return self.model_dump(mode="json")

    def to_json(self) -> str:
        """One indented JSON document."""
        return self.model_dump_json(indent=2)

    def told_of(self, scenario: object) -> Self:
        """Remember the scenario it is about, from which plots compute whole curves.

        It is no field: it does not count when results are compared, and is lost in JSON.
        """
        self.__dict__["_scenario"] = scenario
        return self


def scenario_of(result: object) -> Any:
    """Scenario that a result remembers; None where it comes from JSON, or is about none."""
    return vars(result).get("_scenario")
