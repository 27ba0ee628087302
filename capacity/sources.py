"""Where the values of a scenario come from: `Source`, and the table that names one for each field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic import Field, ValidationInfo, field_validator

from capacity.errors import InvalidInput, Problem
from capacity.fields import PURE, Count, InputModel, read_quantity
from capacity.problems import did_you_mean, field_label
from capacity.units import shown

__all__ = ["Source", "read_sources"]


class Source(InputModel):
    """Where one value comes from, and how sure it is.

    Parameters
    ----------
    source : str
        Who says so: ``measured on web1``, ``access log``.
    samples : int, optional
        How many observations it rests on [-].
    low, high : float, optional
        The range it lies in, in the unit of the value itself.

    Raises
    ------
    InvalidInput
        With every field that breaks a rule.

    Examples
    --------
    >>> Source(source="access log", samples=12000, low=0.24, high=0.27)
    Source(source='access log', samples=12000, low=0.24, high=0.27)
    """

    source: str = Field(min_length=1, description="where the value comes from", examples=["access log"])
    samples: Count | None = Field(None, ge=1, description="observations it rests on", json_schema_extra=PURE)
    low: float | None = Field(None, description="lowest likely value, in the unit of the value")
    high: float | None = Field(None, description="highest likely value, in the unit of the value")

    @field_validator("high")
    @classmethod
    def _not_below_low(cls, value: float | None, info: ValidationInfo) -> float | None:
        low = info.data.get("low")
        if value is not None and low is not None and value < low:
            raise InvalidInput([Problem("", "must not be below low")])
        return value


def read_sources(tables: Mapping[Any, Any], units: Mapping[str, str]) -> dict[str, Source]:
    """Read a [sources] table.

    Parameters
    ----------
    tables : mapping
        A source by dotted name (``"host.ram"``), or tables of sources by name (``host``, then ``ram``).
    units : mapping
        The unit of every field that may have a source, by dotted name; empty where text is no number.

    Returns
    -------
    dict of str to Source
        By dotted name.

    Raises
    ------
    InvalidInput
        With every entry that breaks a rule.

    Examples
    --------
    >>> read_sources({"host": {"ram": {"source": "free -b", "low": "3.9GiB"}}}, {"host.ram": "byte"})
    {'host.ram': Source(source='free -b', low=4187593114.0)}
    """
    sources: dict[str, Source] = {}
    problems: list[Problem] = []
    for name, entry in _flat(tables, {name.partition(".")[0] for name in units}):
        label = field_label(name)
        try:
            sources[name] = _source(name, entry, units)
        except InvalidInput as error:
            problems += [replace(p, field=f"{label}.{p.field}" if p.field else label) for p in error.problems]
    if problems:
        raise InvalidInput(problems)
    return sources


def _flat(tables: Mapping[Any, Any], groups: set[str]) -> Iterator[tuple[Any, Any]]:
    for name, entry in tables.items():
        if name in groups and isinstance(entry, Mapping):
            yield from ((f"{name}.{inner}", value) for inner, value in entry.items())
        else:
            yield name, entry


def _source(name: Any, entry: Any, units: Mapping[str, str]) -> Source:
    if name not in units:
        hint = did_you_mean(name, units) or "name a field by table and name, such as host.ram"
        raise InvalidInput([Problem("", "is not a known field", hint=hint)])
    if isinstance(entry, Source):
        return entry
    if not isinstance(entry, Mapping):
        raise InvalidInput([Problem("", "must be a table of fields", shown(entry))])
    bounds = {key: read_quantity(entry[key], units[name], name=key) for key in ("low", "high") if key in entry}
    return Source.model_validate({**entry, **bounds})
