"""Tables within results, and the pandas frames made of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel

from capacity.errors import InvalidInput, Problem
from capacity.extras import library
from capacity.problems import did_you_mean
from capacity.show.measured import rows_of
from capacity.units import shown

__all__ = ["frame_of", "tables_of"]

# Where the first table is not the most telling one.
_TELLING: Final = {"Recommendation": "predictions", "ChangePlan": "steps"}


def tables_of(result: object) -> dict[str, tuple[BaseModel, ...]]:
    """Fields of a result that are tables: tuples of models, the most telling one first.

    Examples
    --------
    >>> from capacity import Scenario, recommend
    >>> [*tables_of(recommend(Scenario.example()))][:3]
    ['predictions', 'limits', 'bands']
    """
    tables = {
        name: value
        for name, value in vars(result).items()
        if isinstance(value, tuple) and value and isinstance(value[0], BaseModel)
    }
    first = _TELLING.get(type(result).__name__)
    return {first: tables[first], **tables} if first in tables else tables


def frame_of(result: Any, part: str | None) -> Any:
    """Pandas frame of a result's table: a row a model, in SI units, nested settings as dotted columns.

    Parameters
    ----------
    result : Presented
    part : str or None
        The field that is the table; None is the most telling one, or the result as a single row.

    Returns
    -------
    pandas.DataFrame
    """
    pandas = library("pandas", what="to_dataframe", extra="table")
    tables = tables_of(result)
    if part is not None and part not in tables:
        hint = did_you_mean(part, tables) if isinstance(part, str) else ""
        hint = hint or f"tables: {', '.join(tables) or 'none'}"
        raise InvalidInput([Problem("part", "is no table of this result, or an empty one", shown(part), hint)])
    if not tables and (measured := rows_of(result)) is not None:
        return pandas.DataFrame(measured)
    rows = tables[part or next(iter(tables))] if tables else (result,)
    frame = pandas.DataFrame([dict(_flat(row.model_dump(mode="json"))) for row in rows])
    unknown = {name: "float64" for name in frame if frame[name].isna().all()}
    return frame.astype(unknown)


def _flat(row: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in row.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif not (isinstance(value, list) and value and isinstance(value[0], Mapping)):
            yield f"{prefix}{name}", value
