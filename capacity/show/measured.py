"""What logs and hosts tell, as rows: these are no models with fields of one unit, so their rows are made here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from capacity.estimation import Estimate

if TYPE_CHECKING:
    from capacity.fpm.traffic import Traffic

__all__ = ["rows_of"]

_TRAFFIC: Final = {
    "arrival_rate": "1/s",
    "busiest_minute": "1/s",
    "peak_hour": "1/s",
    "time": "s",
    "time_scv": "1",
    "cpu_time": "s",
    "memory": "byte",
    "busy": "1",
    "busiest": "1",
}
"""Figures of a log with their units, in the order they are shown."""


def rows_of(result: Any) -> list[dict[str, Any]] | None:
    r"""Rows of what was measured, in SI units; None of a result that brings its own tables.

    Parameters
    ----------
    result : Presented
        A ``Traffic`` or a ``Survey`` has rows.

    Returns
    -------
    list of dict, or None
        With ``quantity``, ``unit``, ``value``, ``low``, ``high``, ``samples`` and, of a survey, ``source``.

    Examples
    --------
    >>> from capacity.fpm import access_format, read_traffic
    >>> lines = b"".join(b"24/Nov/2026:07:46:%02d +0000 0.250\n" % second for second in range(60))
    >>> rows = rows_of(read_traffic([lines], access_format("%t %d")))
    >>> [(row["quantity"], row["value"]) for row in rows][2:4]
    [('time', 0.25), ('time_scv', 0.0)]
    """
    kind = type(result).__name__
    if kind == "Traffic":
        return list(_of_log(result))
    return list(_of_host(result)) if kind == "Survey" else None


def _of_log(log: Traffic) -> Iterator[dict[str, Any]]:
    yield _row("requests", "1", log.requests)
    for name, unit in _TRAFFIC.items():
        value = getattr(log, name)
        if isinstance(value, Estimate):
            yield _row(name, unit, value.value, value.low, value.high, value.samples)
        elif value is not None:
            yield _row(name, unit, getattr(value, "value", value))


def _of_host(survey: Any) -> Iterator[dict[str, Any]]:
    from capacity.columns import unit_of_column

    for field, value in survey.values.items():
        source = value.source
        row = _row(field, unit_of_column(field), value.value, source.low, source.high, source.samples)
        yield row | {"source": source.source}


def _row(quantity: str, unit: str, value: float, *doubt: float | None) -> dict[str, Any]:
    low, high, samples = doubt or (None, None, None)
    return {"quantity": quantity, "unit": unit, "value": value, "low": low, "high": high, "samples": samples}
