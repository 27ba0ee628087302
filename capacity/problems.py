"""Pydantic's complaints about a model, told in our words: field, rule with its unit, value as given, hint."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from capacity.errors import InvalidInput, Problem
from capacity.units import format_bytes, format_rate, format_seconds, shown

__all__ = ["did_you_mean", "field_label", "in_our_words", "unit_of"]

_PRINTERS: Final[Mapping[str, Callable[[float], str]]] = {
    "byte": format_bytes,
    "s": format_seconds,
    "1/s": format_rate,
}
_UNIT_WORDS: Final = {"byte": " of bytes", "s": " of seconds", "1/s": " of requests per second"}
_BOUND_WORDS: Final = {
    "greater_than": ("must be greater than", "gt"),
    "greater_than_equal": ("must be at least", "ge"),
    "less_than": ("must be less than", "lt"),
    "less_than_equal": ("must be at most", "le"),
}


@contextmanager
def in_our_words(model: type[BaseModel], given: Mapping[str, object] | None = None) -> Iterator[None]:
    """Turn a ``ValidationError`` of `model` into one `InvalidInput` that names every wrong field.

    Parameters
    ----------
    model : type of BaseModel
        The model being built; its fields tell the units.
    given : mapping, optional
        The values as the user wrote them, before any conversion.

    Raises
    ------
    InvalidInput
        In place of pydantic's error.

    Examples
    --------
    >>> from pydantic import Field
    >>> class Page(BaseModel):
    ...     size: int = Field(gt=0, json_schema_extra={"unit": "byte"})
    >>> with in_our_words(Page):
    ...     Page(size=-1)
    Traceback (most recent call last):
    capacity.errors.InvalidInput: size must be greater than 0 B; got -1
    """
    try:
        yield
    except ValidationError as error:
        found = error.errors(include_url=False)
        problems = [problem for details in found for problem in _problems(details, model, given or {})]
        raise InvalidInput(problems) from None


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Name the known word closest to a wrong one, or all of them where they are few.

    Examples
    --------
    >>> did_you_mean("servicetime", ["service_time", "cpu_time"])
    'did you mean service_time?'
    >>> did_you_mean("zzz", ["service_time", "cpu_time"])
    'known: service_time, cpu_time'
    """
    words = list(known)
    close = difflib.get_close_matches(str(name)[:60], words, n=1)
    if close:
        return f"did you mean {close[0]}?"
    return f"known: {', '.join(words)}" if len(words) <= 12 else ""


def unit_of(model: type[BaseModel], name: str) -> str:
    """Look up the unit a field declares in its JSON Schema; empty where it has none."""
    field = model.model_fields.get(name)
    extra = field.json_schema_extra if field else None
    return str(extra.get("unit", "")) if isinstance(extra, dict) else ""


def field_label(name: object) -> str:
    r"""Write a field's name as a message shows it: as it is where that is plain and short.

    Examples
    --------
    >>> field_label("ram"), field_label("two words\nand a line")
    ('ram', "'two words\\nand a line'")
    """
    plain = isinstance(name, str) and name.isprintable() and 0 < len(name) <= 60
    return str(name) if plain else shown(name)


def _problems(details: ErrorDetails, model: type[BaseModel], given: Mapping[str, object]) -> Iterator[Problem]:
    place = details["loc"]
    name = ".".join(map(field_label, place))
    as_given = given.get(str(place[0])) if len(place) == 1 else None
    value = "" if as_given is None else shown(as_given)
    cause = details.get("ctx", {}).get("error")
    if isinstance(cause, InvalidInput):
        for problem in cause.problems:
            if problem.field:  # found in a table below this one, which has named it already
                yield replace(problem, field=f"{name}.{problem.field}" if name else problem.field)
            else:
                yield replace(problem, field=name or model.__name__, value=problem.value or value)
        return
    rule, hint = _rule(details, model)
    about_the_name = details["type"] in {"missing", "extra_forbidden"}
    value = "" if about_the_name else value or shown(details["input"])
    yield Problem(name or model.__name__, rule, value, hint)


def _rule(details: ErrorDetails, model: type[BaseModel]) -> tuple[str, str]:
    """Say which rule is broken, and a hint."""
    context = details.get("ctx", {})
    name = str(details["loc"][-1]) if details["loc"] else ""
    field, unit = model.model_fields.get(name), unit_of(model, name)
    example = f"such as {field.examples[0]}" if field and field.examples else ""
    if unit in _PRINTERS:
        correct = f"or text with its unit, {example}" if example else ""
    else:
        correct = f"{example}, without quotes" if isinstance(details["input"], str) and example else ""
    match kind := details["type"]:
        case "missing":
            what = (field and field.description) or ""
            return "is missing", ", ".join(filter(None, (what, example)))
        case "extra_forbidden":
            return "is not a known field", did_you_mean(name, model.model_fields)
        case "greater_than" | "greater_than_equal" | "less_than" | "less_than_equal":
            words, bound = _BOUND_WORDS[kind]
            return f"{words} {_PRINTERS.get(unit, '{:.10g}'.format)(context[bound])}", ""
        case "int_type" | "int_from_float":
            return f"must be a whole number{_UNIT_WORDS.get(unit, '')}", correct
        case "float_type":
            return f"must be a number{_UNIT_WORDS.get(unit, '')}", correct
        case "finite_number":
            return "must be finite", ""
        case "literal_error":
            return f"must be {context['expected']}", ""
        case "string_type":
            return "must be text", ""
        case "string_too_short":
            return "must not be empty", ""
        case "dict_type" | "model_type":
            return "must be a table of fields", ""
        case "json_invalid":
            return f"is not valid JSON: {context['error']}", ""
    return f"is not valid: {details['msg']}", ""
