"""What every input model shares: frozen, strict fields that carry their unit.

A model derived from `InputModel` declares its fields with `pydantic.Field` and names each unit with one of
`BYTES`, `SECONDS`, `PER_SECOND` and `PURE`. From that follow the reading of text (``"64MiB"``), the unit in
the JSON Schema and the unit in the error messages.
"""

from __future__ import annotations

import inspect
import math
import numbers
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.config import JsonDict
from pydantic_core import CoreSchema, PydanticKnownError

from capacity.errors import InvalidInput, Problem
from capacity.problems import field_label, in_our_words, unit_of
from capacity.units import MAX_BYTES, parse_bytes, parse_rate, parse_seconds, shown

__all__ = ["BYTES", "PER_SECOND", "PURE", "SECONDS", "Count", "InputModel", "Size", "read_quantity"]

BYTES: Final[JsonDict] = {"unit": "byte"}
SECONDS: Final[JsonDict] = {"unit": "s"}
PER_SECOND: Final[JsonDict] = {"unit": "1/s"}
PURE: Final[JsonDict] = {"unit": "1"}

Size = Annotated[int, Field(le=MAX_BYTES)]
"""A size in bytes that a float holds exactly."""

Count = Annotated[int, Field(le=2**31 - 1)]
"""A count that fits a C int: PHP-FPM keeps its counts in one, and wraps silently above it."""

_PARSERS: Final[Mapping[str, Callable[..., float]]] = {
    "byte": parse_bytes,
    "s": parse_seconds,
    "1/s": parse_rate,
}


def read_quantity(value: object, unit: str, *, name: str = "") -> object:
    """Quantity in SI from a Python number or from text with its unit.

    Parameters
    ----------
    value : object
        Text, or a number of any kind (NumPy's too). Everything else passes through, for the field to refuse.
    unit : str
        ``byte``, ``s``, ``1/s`` or ``1``; text is read for the first three only.
    name : str
        What an error calls the value.

    Returns
    -------
    object
        An int where the number is whole (exact, however large), else a float.

    Raises
    ------
    InvalidInput
        When text is not a number with a unit of this kind.

    Examples
    --------
    >>> read_quantity("64MiB", "byte"), read_quantity(0.25, "s"), read_quantity(150.0, "1")
    (67108864, 0.25, 150)
    """
    if isinstance(value, str) and unit in _PARSERS:
        value = _PARSERS[unit](value, name=name)
    if isinstance(value, bool) or not isinstance(value, numbers.Real | Decimal):
        return value
    try:
        number = float(value)
    except (OverflowError, ValueError):  # an int of 400 digits, a signalling NaN: each field refuses this one
        return math.inf
    if isinstance(value, numbers.Integral):
        return int(value)
    return int(number) if number.is_integer() else number


class InputModel(BaseModel):
    """A frozen, strict table of fields that raises `InvalidInput` with every wrong field named.

    Notes
    -----
    A bool is never a number, NaN and infinity are refused, a whole float passes for a whole number, an
    unknown field is refused. A field validator whose rule is broken raises `InvalidInput` with a `Problem`
    that names no field: each level puts its own name in front.

    Examples
    --------
    >>> from pydantic import Field
    >>> class Page(InputModel):
    ...     size: int = Field(gt=0, description="size of the page", json_schema_extra=BYTES)
    >>> Page(size="2KiB")
    Page(size=2048)
    >>> Page(size=-1, sise=3)
    Traceback (most recent call last):
    capacity.errors.InvalidInput: size must be greater than 0 B; got -1
    sise is not a known field (did you mean size?)
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    # pydantic-core calls an overridden __init__ for nested tables too: each model speaks for its own fields.
    def __init__(self, /, **data: Any) -> None:
        with in_our_words(type(self), data):
            super().__init__(**data)

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:
        """As pydantic's, but raises `InvalidInput`."""
        with in_our_words(cls):
            return super().model_validate(obj, **options)

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Self:
        """As pydantic's, but raises `InvalidInput`."""
        with in_our_words(cls):
            return super().model_validate_json(json_data, **options)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy with some fields changed; unlike pydantic's, the changes are checked."""
        if not update:
            return super().model_copy(deep=deep)
        return type(self)(**{**dict(self), **update})

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Only what differs from the defaults, so that a scenario stays readable."""
        for name, value in self:
            if value != type(self).model_fields[name].get_default(call_default_factory=True):
                yield name, value

    @model_validator(mode="wrap")
    @classmethod
    def _is_a_table(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(data, Mapping):
            odd = [name for name in data if not isinstance(name, str)]
            if odd:
                raise InvalidInput(Problem(field_label(name), "is not a known field") for name in odd)
        elif not isinstance(data, cls):
            raise InvalidInput([Problem("", "must be a table of fields", shown(data))])
        return handler(data)

    @field_validator("*", mode="before")
    @classmethod
    def _read(cls, value: Any, info: ValidationInfo) -> Any:
        number = read_quantity(value, unit_of(cls, info.field_name or ""))
        if hasattr(number, "__float__") and not isinstance(number, int | float):
            kind: Literal["float_type"] = "float_type"
            raise PydanticKnownError(kind)  # numpy.True_ and arrays of one, which pydantic would take
        return number

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonDict:
        """Say that fields with a unit welcome text too; of the docstring keep the summary."""
        described = handler(schema)
        table = handler.resolve_ref_schema(described)
        table["description"] = inspect.cleandoc(cls.__doc__ or "").partition("\n\n")[0]
        if handler.mode == "validation":
            for field in table["properties"].values():
                if field.get("unit") in _PARSERS:
                    _accept_text(field)
        return described


def _accept_text(field: JsonDict) -> None:
    choices = field.get("anyOf")
    if not isinstance(choices, list):
        about_the_field = {"title", "description", "default", "examples", "unit"}
        choices = [{key: field.pop(key) for key in field.keys() - about_the_field}]
    field["anyOf"] = [*choices, {"type": "string"}]
