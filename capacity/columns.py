"""Scenarios as a table of arrays: read, checked as a whole, and handed on in blocks.

The bounds are those of the models' own fields, and only the few rules between fields are said again here, over
columns. What they refuse is told by making the scenario of the first refused row, so the words are the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache, partial
from numbers import Real
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn, get_args, get_origin

import numpy as np
from numpy.typing import NDArray

from capacity.errors import InvalidInput, Problem
from capacity.fields import InputModel, read_quantity
from capacity.inputs import LEAST_BUSY, SHORTEST, Host, Objective, Worker, Workload
from capacity.policies.process_manager import MANAGERS, SPARES
from capacity.pool import PoolSettings
from capacity.problems import did_you_mean, field_label, unit_of
from capacity.scenario import Scenario
from capacity.sheet import Sheet, as_array, read_sheet
from capacity.table import Column
from capacity.units import MAX_BYTES, shown

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

__all__ = ["Field", "Given", "fields", "read_axis", "read_table", "row_of", "rules_between", "unit_of_column"]

_POLICY: Final = (
    "headroom", "load_before_step", "step_waiting_time", "process_max", "pools_on_host", "web_server_timeout",
)  # fmt: skip
_MODELS: Final[Mapping[str, type[InputModel]]] = {
    "host": Host,
    "worker": Worker,
    "workload": Workload,
    "objective": Objective,
    "pool": PoolSettings,
}
# Text columns become indices into these; the first one of a policy is its default.
_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "pool.pm": MANAGERS,
    "policy.process_manager": ("keep", "auto"),
    "policy.spares": SPARES,
}
_SPARES: Final = ("pool.min_spare_servers", "pool.start_servers", "pool.max_spare_servers")
_LARGEST: Final = float(np.finfo(np.float64).max)
_EXACT: Final = MAX_BYTES


@dataclass(frozen=True)
class Field:
    """What one column may hold: the constraints of a model's field, and what is taken where it is not known."""

    required: bool
    default: float
    whole: bool
    least: float
    most: float
    words: tuple[str, ...] = ()

    def allows(self, column: NDArray[Any]) -> NDArray[np.bool_]:
        """Which values of a column keep the constraints; in its own type: whole ones beyond 2^53 would be rounded."""
        kept = (column >= self.least) & (column <= self.most)
        if column.dtype.kind == "f":
            if self.whole:
                kept &= column == np.floor(column)
            if not self.required:
                kept |= np.isnan(column)
        return kept


@dataclass(frozen=True)
class Given:
    """A table of scenarios: columns of one length, and the sheet they came from.

    ``columns`` are numbers (NaN: not known, inf: not even a number) and, for text, indices into the words of its
    field; ``given`` are the same as they were given.
    """

    columns: Mapping[str, NDArray[Any]]
    given: Mapping[str, NDArray[Any]]
    rows: int
    sheet: Sheet

    def block(self, part: slice) -> dict[str, Column]:
        """Every column of some rows in float64, with the defaults of those that are not known."""
        size = len(range(*part.indices(self.rows)))
        table = {}
        for name, field in fields().items():
            if name not in self.columns:
                table[name] = np.full(size, field.default)
                continue
            column = self.columns[name][part].astype(np.float64)
            if not math.isnan(field.default):
                column[np.isnan(column)] = field.default
            table[name] = column
        return table

    def check(self, size: int) -> None:
        """Refuse the table if any row breaks a rule, ``size`` rows at a time.

        Raises
        ------
        InvalidInput
            In the words of `Scenario`, for the first such row, which every field names.
        """
        for start in range(0, self.rows, size):
            refused = self._refused(slice(start, start + size))
            if refused.any():
                self._tell(start + int(np.argmax(refused)))

    @np.errstate(all="ignore")
    def _refused(self, part: slice) -> NDArray[np.bool_]:
        table = self.block(part)
        dynamic = table["pool.pm"] == MANAGERS.index("dynamic")
        refused = np.zeros(dynamic.shape, dtype=bool)
        for name in self.columns:
            allowed = fields()[name].allows(self.columns[name][part])
            refused |= ~allowed & dynamic if name in _SPARES else ~allowed
        for broken in _broken_rules(table, dynamic, self.columns):
            refused |= broken
        return refused

    def _tell(self, row: int) -> NoReturn:
        tables: dict[str, dict[str, object]] = {}
        for name in self.columns:
            value = self.given[name][row]
            value = value.item() if isinstance(value, np.generic) else value
            if not _unknown(value):
                table, _, field = name.partition(".")
                tables.setdefault(table, {})[field] = value
        try:
            Scenario.from_mapping(tables)
        except InvalidInput as error:
            named = [replace(problem, field=f"{problem.field} in row {row}") for problem in error.problems]
            raise InvalidInput(named) from None
        raise AssertionError(row)  # the two checks disagree, which a property test rules out


def row_of(scenario: Scenario) -> dict[str, Column]:
    """Every column of a scenario, as a table of one row.

    Examples
    --------
    >>> row = row_of(Scenario.example())
    >>> row["workload.users"], row["pool.max_children"], row["workload.cpu_time"]
    (array([150.]), array([20.]), array([nan]))
    """
    models = {name: getattr(scenario, name) for name in _MODELS} | {"policy": scenario}
    values = []
    for name, field in fields().items():
        table, _, attribute = name.partition(".")
        value = getattr(models[table], attribute, None)
        values.append(field.words.index(value) if field.words and value is not None else value)
    return dict(zip(fields(), np.array(values, dtype=np.float64)[:, None], strict=True))  # None becomes NaN


@cache
def fields() -> Mapping[str, Field]:
    """Every column there may be."""
    every = {f"{table}.{name}": info for table, model in _MODELS.items() for name, info in model.model_fields.items()}
    every |= {f"policy.{name}": Scenario.model_fields[name] for name in (*_POLICY, "process_manager", "spares")}
    return {name: _field(name, info) for name, info in every.items()}


def _field(name: str, info: FieldInfo) -> Field:
    words = _WORDS.get(name, ())
    if words:
        default = math.nan if info.is_required() else float(words.index(info.default))
        return Field(required=False, default=default, whole=True, least=0, most=len(words) - 1, words=words)
    least, most = -_LARGEST, _LARGEST
    for rule in _rules(info):
        least = max(least, getattr(rule, "ge", least), _next(getattr(rule, "gt", None), math.inf, least))
        most = min(most, getattr(rule, "le", most), _next(getattr(rule, "lt", None), -math.inf, most))
    required = info.is_required() and not name.startswith("pool.")
    default = math.nan if info.is_required() or info.default is None else float(info.default)
    return Field(required=required, default=default, whole=_is_whole(info.annotation), least=least, most=most)


def _next(bound: float | None, toward: float, otherwise: float) -> float:
    """The number beside an exclusive bound; `otherwise` without one."""
    return otherwise if bound is None else math.nextafter(bound, toward)


def _rules(info: FieldInfo) -> Iterator[Any]:
    """The constraints of a field, those inside of a union too."""
    yield from info.metadata
    for choice in get_args(info.annotation):
        for rule in get_args(choice)[1:] if get_origin(choice) is Annotated else ():
            yield from getattr(rule, "metadata", [rule])


def _is_whole(annotation: Any) -> bool:
    return annotation is int or any(_is_whole(choice) for choice in get_args(annotation))


def _broken_rules(
    table: Mapping[str, Column], dynamic: NDArray[np.bool_], given: Mapping[str, object]
) -> Iterator[NDArray[np.bool_]]:
    """The rules between fields, and what only text of the models says; NaN never breaks one."""
    yield from rules_between(table)
    known = [~np.isnan(table[name]) for name in given if name.startswith("pool.")]
    if known:
        workers = table["pool.max_children"]
        yield np.any(known, axis=0) & (np.isnan(table["pool.pm"]) | np.isnan(workers))
        least, start, most = (table[name] for name in _SPARES)
        yield dynamic & (np.isnan(least) | np.isnan(most) | (most > workers) | (most < least))
        yield dynamic & ((start < least) | (start > most))


def rules_between(table: Mapping[str, Column]) -> Iterator[NDArray[np.bool_]]:
    """Where values, each allowed by itself, make no scenario together: an array a rule, of columns that broadcast."""
    service = table["workload.service_time"]
    yield table["host.reserved"] >= table["host.ram"]
    yield table["host.cpus_reserved"] >= table["host.cpus"]
    yield table["host.database_connections_reserved"] >= table["host.database_connections"]
    yield service < SHORTEST
    yield table["workload.cpu_time"] > service
    yield table["workload.database_time"] > service
    users = ~np.isnan(table["workload.users"])
    yield users & np.isnan(table["workload.think_time"])
    yield users & ~np.isnan(table["workload.arrival_rate"])
    yield table["objective.max_utilization"] < LEAST_BUSY
    yield ~np.isnan(table["objective.apdex"]) & np.isnan(table["objective.apdex_time"])


def read_table(table: object) -> Given:
    """Read a table of scenarios.

    Parameters
    ----------
    table : mapping of str to array_like, structured ndarray or pandas.DataFrame
        Columns by the dotted names of a scenario's fields: ``host.ram``, ``policy.headroom``. Numbers in SI, or text
        with its unit; None, NaN and empty text are not known.

    Raises
    ------
    InvalidInput
        It is no such table, has columns of other names or lacks one, or they are not of one length.
    """
    sheet = read_sheet(table)
    problems = list(_wrong_names(sheet.names))
    if problems:
        raise InvalidInput(problems)
    given = {name: as_array(sheet.column(name)) for name in sheet.names}
    sizes = {name: array.size for name, array in given.items() if array is not None and array.ndim == 1}
    rows = max(sizes.values(), default=1) if sheet.rows is None else sheet.rows
    for name, array in given.items():
        if array is None or array.ndim > 1:
            shape = "rows of different lengths" if array is None else f"shape {array.shape}"
            problems.append(Problem(name, "must be one value, or one a row", shape))
        elif array.ndim == 1 and array.size != rows:
            problems.append(Problem(name, f"must have {rows} values, as the longest column has", str(array.size)))
    if problems:
        raise InvalidInput(problems)
    arrays = {name: array for name, array in given.items() if array is not None}
    columns = {name: np.broadcast_to(_numbers(name, array), rows) for name, array in arrays.items()}
    whole = {name: np.broadcast_to(array, rows) for name, array in arrays.items()}
    return Given(columns, whole, rows, sheet)


def read_axis(name: str, values: Any, base: Scenario) -> tuple[Column, NDArray[Any]]:
    """Read values that one field takes in turn; also as labels: numbers, or the words they are indices into.

    Raises
    ------
    InvalidInput
        They are not one row of values, or one breaks a rule of its field.
    """
    if isinstance(values, Sequence) and not isinstance(values, (str, bytes)):
        mixed = any(isinstance(value, (str, bool, np.bool_)) for value in values)  # which would make its neighbours so
        values = np.array([*values, None], dtype=object)[:-1] if mixed else [*values]
    given = as_array(values)
    if given is None or given.ndim != 1 or not given.size:
        rows = given is not None and given.ndim > 1
        kind = f"shape {given.shape}" if rows else shown(values)  # type: ignore[union-attr]
        raise InvalidInput([Problem(name, "must be one row of values, at least one", kind, "a list or an array")])
    field, numbers = fields()[name], _numbers(name, given)
    refused = ~field.allows(numbers) | np.isnan(numbers)
    if refused.any():
        place = int(np.argmax(refused))
        value = given[place].item() if isinstance(given[place], np.generic) else given[place]
        table, _, attribute = name.partition(".")
        tables = base.to_mapping() | {"sources": {}}
        try:
            Scenario.from_mapping(tables | {table: tables.get(table, {}) | {attribute: value}})
        except InvalidInput as error:
            told = [problem for problem in error.problems if problem.field == name] or error.problems
            raise InvalidInput([replace(told[0], field=f"{name}, value {place + 1}")]) from None
        raise InvalidInput([Problem(f"{name}, value {place + 1}", "must be known", shown(value))])
    whole = numbers.astype(np.int64) if field.whole else numbers.astype(np.float64)
    return numbers.astype(np.float64), np.array(field.words)[whole] if field.words else whole


def _wrong_names(names: Sequence[Any]) -> Iterator[Problem]:
    known = fields()
    for place, name in enumerate(names):
        if not isinstance(name, str) or name not in known:
            hint = did_you_mean(name, known) or "such as host.ram: table and field of a scenario"
            yield Problem(field_label(name), "is not a known column", hint=hint)
        elif name in names[:place]:
            yield Problem(name, "is there twice")
    try:
        Scenario.from_mapping({})
    except InvalidInput as error:  # which names every field that a scenario cannot do without
        yield from (problem for problem in error.problems if problem.field not in names)


def _numbers(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Numbers of a column, or indices into its words: NaN where it is not known, inf for what is none."""
    words, kind = fields()[name].words, array.dtype.kind
    if words and kind == "U":
        found = np.where(array == "", np.nan, np.inf)
        for index, word in enumerate(words):
            found = np.where(array == word, float(index), found)
        return found
    if kind in "iuf" and not words:
        return array if kind != "f" or array.dtype.itemsize == 8 else array.astype(np.float64)
    read = partial(_index, words) if words else partial(_number, unit_of_column(name))
    flat = [math.nan if _unknown(value) else read(value) for value in array.astype(object).ravel()]
    return np.array(flat, dtype=np.float64).reshape(array.shape)


def _index(words: tuple[str, ...], value: object) -> float:
    return float(words.index(value)) if isinstance(value, str) and value in words else math.inf


def _number(unit: str, value: object) -> float:
    try:
        number = read_quantity(value, unit)
    except InvalidInput:
        return math.inf
    if isinstance(number, bool) or not isinstance(number, int | float):
        return math.inf
    return float(number) if abs(number) <= _EXACT else math.inf  # an int that a float would round is none either


def _unknown(value: object) -> bool:
    if value is None or (isinstance(value, str) and not value) or type(value).__name__ in {"NAType", "NaTType"}:
        return True
    try:
        return isinstance(value, Real | Decimal) and math.isnan(float(value))
    except (ValueError, OverflowError):  # a signalling NaN, an int of 400 digits
        return False


def unit_of_column(name: str) -> str:
    """Unit of a column's numbers; empty where it holds words."""
    table, _, field = name.partition(".")
    return unit_of(_MODELS.get(table, Scenario), field)
