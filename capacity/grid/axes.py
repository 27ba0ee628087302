"""The axes of a grid: the scenario fields that move, and the values they take."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np

from capacity.columns import fields, read_axis
from capacity.errors import InvalidInput, Problem
from capacity.problems import did_you_mean, field_label
from capacity.scenario import Scenario
from capacity.units import shown

__all__ = ["WORKERS", "Axis", "Box", "boxes", "corner", "field_of", "is_lazy", "lengths", "read_axes"]

WORKERS: Final = "pool.max_children"
_UNMOVED: Final = "pool."  # of a pool only its number of workers changes a prediction

Box: TypeAlias = tuple[slice, ...]
"""A part of a grid: a slice for each of its axes."""


@dataclass(frozen=True)
class Axis:
    """One dimension of a grid.

    ``columns`` are the values of each field that moves along it, by the field's dotted name: float64 arrays of one
    length, or dask arrays, which stay unread. ``labels`` are the same for people to read: words where the numbers
    are indices into them. ``alone`` says that the axis is one field, which then labels it.
    """

    name: str
    columns: Mapping[str, Any]
    labels: Mapping[str, Any]
    alone: bool

    @property
    def size(self) -> int:
        """How many values it has."""
        return int(next(iter(self.columns.values())).shape[0])


def read_axes(axes: object, base: Scenario) -> tuple[Axis, ...]:
    """Read the axes of a grid.

    Parameters
    ----------
    axes : mapping of str to array_like, or to a mapping of str to array_like
        As `sweep` takes them.
    base : Scenario
        What does not move.

    Raises
    ------
    InvalidInput
        With every axis that breaks a rule.
    """
    if not isinstance(axes, Mapping) or not axes:
        hint = 'such as {"users": [80, 100, 150]}'
        raise InvalidInput([Problem("axes", "must be a mapping of at least one name to values", shown(axes), hint)])
    read: list[Axis] = []
    problems: list[Problem] = []
    for name, values in axes.items():
        try:
            read.append(_axis(name, values, base))
        except InvalidInput as error:
            problems += error.problems
    moved = Counter(field for axis in read for field in axis.columns)
    problems += [Problem(field, "moves along two axes") for field, times in moved.items() if times > 1]
    if {"workload.users", "workload.arrival_rate"} <= moved.keys():
        problems.append(Problem("axes", "must not have both users and arrival_rate"))
    names = Counter(axis.name for axis in read)
    problems += [Problem(name, "names two axes") for name, times in names.items() if times > 1]
    if problems:
        raise InvalidInput(problems)
    return tuple(read)


def is_lazy(values: object) -> bool:
    """Whether these are a dask array, which is not asked for its values."""
    return type(values).__module__.partition(".")[0] == "dask"


def _axis(name: object, values: Any, base: Scenario) -> Axis:
    if not isinstance(values, Mapping):
        field = field_of(name)
        column, labels = _values(field, values, base)
        return Axis(str(name), {field: column}, {str(name): labels}, alone=True)
    if not isinstance(name, str) or not name.isidentifier():
        raise InvalidInput([Problem(field_label(name), "must be a plain name for an axis of several fields")])
    if not values or name in set(map(str, values)):
        raise InvalidInput([Problem(name, "must be a name of its own, with at least one field and its values")])
    columns, labels = {}, {}
    for short, each in values.items():
        field = field_of(short)
        if field in columns:
            raise InvalidInput([Problem(name, f"names {field} twice")])
        columns[field], labels[str(short)] = _values(field, each, base)
    sizes = {str(short): int(column.shape[0]) for short, column in zip(values, columns.values(), strict=True)}
    if len(set(sizes.values())) > 1:
        lengths = ", ".join(f"{short} has {size}" for short, size in sizes.items())
        raise InvalidInput([Problem(name, f"must have as many values of each field; {lengths}")])
    return Axis(name, columns, labels, alone=False)


def _values(field: str, values: Any, base: Scenario) -> tuple[Any, Any]:
    if not is_lazy(values):
        return read_axis(field, values, base)
    if values.ndim != 1 or math.isnan(values.size) or values.size < 1 or values.dtype.kind not in "iuf":
        kinds = f"shape {values.shape} of {values.dtype}"
        raise InvalidInput([Problem(field, "must be one row of numbers of a known length", kinds)])
    lazy = values.astype(np.float64)
    return lazy, lazy


def field_of(name: object) -> str:
    """The dotted name of a field: ``service_time`` is enough where no other table has one of that name."""
    known = [field for field in fields() if not field.startswith(_UNMOVED)]
    short = Counter(field.partition(".")[2] for field in known)
    names = {field.partition(".")[2]: field for field in known if short[field.partition(".")[2]] == 1}
    names |= {field: field for field in known} | {"workers": WORKERS, WORKERS: WORKERS}
    if isinstance(name, str) and name in names:
        return names[name]
    if isinstance(name, str) and name.startswith(_UNMOVED) and name in fields():
        raise InvalidInput([Problem(name, "changes no prediction; of a pool only its workers do", hint="workers")])
    both = [field for field in known if field.partition(".")[2] == name]
    hint = " or ".join(both) if both else did_you_mean(name, names)
    raise InvalidInput([Problem(field_label(name), "is not a field of a scenario that can move", hint=hint)])


def lengths(sizes: Sequence[int], most: int) -> tuple[int, ...]:
    """How long a box of at most `most` cells is along each axis: the last axes are taken whole first.

    Examples
    --------
    >>> lengths((100, 200, 50), 20_000)
    (2, 200, 50)
    """
    taken, room = [], max(most, 1)
    for size in reversed(sizes):
        taken.append(min(size, room))
        room = max(room // taken[-1], 1)
    return tuple(reversed(taken))


def boxes(sizes: Sequence[int], each: Sequence[int]) -> Iterator[Box]:
    """Every box of a grid, in the order of its cells.

    Examples
    --------
    >>> list(boxes((3,), (2,)))
    [(slice(0, 2, None),), (slice(2, 3, None),)]
    """
    if not sizes:
        yield ()
        return
    for start in range(0, sizes[0], each[0]):
        for rest in boxes(sizes[1:], each[1:]):
            yield (slice(start, min(start + each[0], sizes[0])), *rest)


def corner(axes: Sequence[Axis]) -> dict[str, Any]:
    """The first value of every field that moves."""
    return {field: column[0] for axis in axes for field, column in axis.columns.items()}
