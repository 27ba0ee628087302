"""Tables of arrays as people hold them: a mapping, a structured array or a pandas DataFrame, read and made alike.

pandas is never imported here: whoever gives a DataFrame has imported it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from capacity.errors import InvalidInput, Problem
from capacity.units import shown

__all__ = ["Draft", "Kind", "Sheet", "as_array", "read_sheet"]

Kind: TypeAlias = type[np.generic] | tuple[str, ...]
"""What a column of a result holds: numbers of a type, or one of these words."""


@dataclass(frozen=True)
class Draft:
    """A result that is being filled: its columns as arrays to write into, and what makes it whole in the end."""

    kinds: Mapping[str, Kind]
    columns: Mapping[str, NDArray[Any]]
    finish: Callable[[], Any]

    def write(self, part: slice, name: str, values: NDArray[np.float64]) -> None:
        """Fill some rows of a column; where it holds words, from their indices (NaN: no word)."""
        kind, column = self.kinds[name], self.columns[name]
        if isinstance(kind, tuple):
            codes = np.where(np.isnan(values), -1.0, values).astype(np.int8)
            column[part] = np.array([*kind, ""])[codes] if column.dtype.kind == "U" else codes
        else:
            column[part] = values


@dataclass(frozen=True)
class Sheet:
    """A table as it was given: its names, its columns by name, its rows (None: its columns say), and its like."""

    names: Sequence[Any]
    column: Callable[[Any], Any]
    rows: int | None
    draft: Callable[[Mapping[str, Kind], int], Draft]


def read_sheet(table: object) -> Sheet:
    """Open a table of any kind.

    Raises
    ------
    InvalidInput
        It is none.
    """
    pandas: Any = sys.modules.get("pandas")
    if pandas is not None and isinstance(table, pandas.DataFrame):
        frame: Any = table
        return Sheet(
            list(frame.columns),
            frame.__getitem__,
            len(frame),
            lambda kinds, rows: _draft_frame(pandas, frame.index, kinds, rows),
        )
    if isinstance(table, (np.ndarray, np.void)) and table.dtype.names:
        if table.ndim > 1:
            raise InvalidInput([Problem("table", "must have one dimension", f"shape {table.shape}")])
        records = np.atleast_1d(np.asarray(table))
        return Sheet(table.dtype.names, records.__getitem__, records.size, _draft_records)
    if isinstance(table, Mapping):
        return Sheet(list(table), table.__getitem__, None, _draft_mapping)
    kinds = "must be a mapping of names to columns, a structured array or a pandas DataFrame"
    raise InvalidInput([Problem("table", kinds, shown(table))])


def as_array(values: Any) -> NDArray[Any] | None:
    """An array from whatever a column may be, NaN or None for what is masked or missing; None where it is ragged."""
    if isinstance(values, np.ma.MaskedArray):
        if values.dtype.kind == "f":
            return np.asarray(values.filled(np.nan))
        plain = np.array(values.data, dtype=object if np.ma.is_masked(values) else None)
        if np.ma.is_masked(values):
            plain[np.ma.getmaskarray(values)] = None
        return plain
    try:
        if hasattr(values, "to_numpy") and hasattr(values, "isna"):  # a Series of whatever type
            if values.dtype.kind == "f":
                return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan))
            missing = values.isna().any()
            return np.asarray(values.to_numpy(dtype=object, na_value=None) if missing else values.to_numpy())
        return np.asarray(values)
    except (ValueError, TypeError, OverflowError, NotImplementedError):  # the last of them from a MultiIndex
        return None


def _dtype(kind: Kind) -> np.dtype[Any]:
    return np.array(kind).dtype if isinstance(kind, tuple) else np.dtype(kind)


def _draft_mapping(kinds: Mapping[str, Kind], rows: int) -> Draft:
    columns = {name: np.empty(rows, dtype=_dtype(kind)) for name, kind in kinds.items()}
    return Draft(kinds, columns, lambda: columns)


def _draft_records(kinds: Mapping[str, Kind], rows: int) -> Draft:
    records = np.empty(rows, dtype=[(name, _dtype(kind)) for name, kind in kinds.items()])
    return Draft(kinds, {name: records[name] for name in kinds}, lambda: records)


def _draft_frame(pandas: Any, index: Any, kinds: Mapping[str, Kind], rows: int) -> Draft:
    columns = {name: np.empty(rows, dtype=np.int8 if isinstance(kind, tuple) else kind) for name, kind in kinds.items()}

    def made(name: str, kind: Kind) -> Any:
        if not isinstance(kind, tuple):
            return columns[name]
        return pandas.Categorical.from_codes(columns[name], categories=list(kind), ordered=True)

    def finish() -> Any:
        return pandas.DataFrame({name: made(name, kind) for name, kind in kinds.items()}, index=index, copy=False)

    return Draft(kinds, columns, finish)
