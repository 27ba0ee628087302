"""What can go wrong, as one tree.

::

    CapacityError
    ├── InvalidInput    (ValueError)  a field breaks a rule: names field, rule, value and hint
    ├── UnreadableFile  (OSError)     a file is missing, forbidden or not the kind of file it should be
    ├── MeasurementError (RuntimeError) the live host did not answer
    └── MissingExtra    (ImportError)   a library that an extra of the distribution brings is not installed

An infeasible workload is a result, never an error.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["CapacityError", "InvalidInput", "MeasurementError", "MissingExtra", "Problem", "UnreadableFile"]


@dataclass(frozen=True)
class Problem:
    """One field that breaks one rule.

    Parameters
    ----------
    field : str
        The field as the user wrote it, for instance ``workload.service_time``.
    rule : str
        What it must be, as the end of the sentence "<field> ...": ``must be greater than 0 s``.
    value : str
        What was given, ready to print.
    hint : str
        What to do about it; may be empty.

    Examples
    --------
    >>> print(Problem("service_time", "must be greater than 0 s", "-0.2"))
    service_time must be greater than 0 s; got -0.2
    """

    field: str
    rule: str
    value: str = ""
    hint: str = ""

    def __str__(self) -> str:
        got = f"; got {self.value}" if self.value else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.field} {self.rule}{got}{hint}"


class CapacityError(Exception):
    """The root of every error this library raises on purpose."""


class InvalidInput(CapacityError, ValueError):
    """One or more fields break a rule; every one of them is named.

    Parameters
    ----------
    problems : iterable of Problem

    Examples
    --------
    >>> raise InvalidInput([Problem("ram", "must be greater than 0 bytes", "0", "write 4GiB")])
    Traceback (most recent call last):
    capacity.errors.InvalidInput: ram must be greater than 0 bytes; got 0 (write 4GiB)
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[type[InvalidInput], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)


class UnreadableFile(CapacityError, OSError):
    """A file cannot be read, or is not the kind of file it should be."""


class MeasurementError(CapacityError, RuntimeError):
    """The live host did not answer, or answered something that cannot be used."""


class MissingExtra(CapacityError, ImportError):
    """A library that is optional, and that this needs, is not installed.

    Parameters
    ----------
    what : str
        What needs it.
    library : str
        The library.
    extra : str
        The extra of the distribution that brings it.

    Examples
    --------
    >>> raise MissingExtra(what="sweep", library="xarray", extra="sweep")
    Traceback (most recent call last):
    capacity.errors.MissingExtra: sweep needs xarray, which is not installed: pip install 'fpm-capacity[sweep]'
    """

    def __init__(self, *, what: str, library: str, extra: str) -> None:
        super().__init__(f"{what} needs {library}, which is not installed: pip install 'fpm-capacity[{extra}]'")
