"""Values as people read them: their units, not SI."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from pydantic import BaseModel

from capacity.pool import PoolSettings
from capacity.units import format_bytes, format_fraction, format_rate, format_seconds

__all__ = ["LOSSES", "NOTHING", "in_words", "titled", "unit_of_field", "workers_in_words"]

NOTHING: Final = "–"
LOSSES: Final = frozenset({"refused", "killed", "timed_out", "wasted"})
_SHARES: Final = LOSSES | {
    "utilization",
    "cpu_utilization",
    "database_utilization",
    "wait_probability",
    "slowdown",
}
_WRITERS: Final = {"s": format_seconds, "1/s": format_rate, "byte": format_bytes}
_EPOCH: Final = 1e8  # s: times of a log from 1973 on are told as moments, those of a made one as they are


def unit_of_field(model: BaseModel, name: str) -> str:
    """Unit that a field of a model says it has; empty where it says none.

    Examples
    --------
    >>> from capacity.results import UserBand, StepOutcome
    >>> unit_of_field(UserBand(verdict="watch", users=170), "users")
    ''
    """
    extra = type(model).model_fields[name].json_schema_extra
    unit = str(extra.get("unit", "")) if isinstance(extra, dict) else ""
    return str(getattr(model, "unit", "")) if unit == "as the field unit says" else unit


def in_words(name: str, value: object, unit: str = "") -> str:
    """Write a value of a field.

    Parameters
    ----------
    name : str
        The field: a share of the whole is written in percent.
    value : object
        In SI; None has no value.
    unit : str
        ``s``, ``1/s``, ``byte``, ``1`` or empty.

    Examples
    --------
    >>> in_words("response_time", 0.25, "s"), in_words("utilization", 0.75, "1"), in_words("queue_length", 3.14159, "1")
    ('250 ms', '75 %', '3.142')
    >>> in_words("objective_met", True), in_words("workers", None), in_words("start", 1795506390.0, "s")
    ('yes', '–', '2026-11-24 07:46 UTC')
    """
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float | int):
        return _number(name, value, unit)
    if isinstance(value, PoolSettings):
        spares = f", {value.spares}" if value.pm == "dynamic" else ""
        return f"{value.pm}, {workers_in_words(value.max_children)}{spares}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {in_words(key, inner)}" for key, inner in value.items())
    if isinstance(value, list | tuple):
        return (
            f"{len(value)} values" if len(value) > _FEW else ", ".join(in_words(name, inner, unit) for inner in value)
        )
    return str(value)


_FEW: Final = 4


def _number(name: str, value: float, unit: str) -> str:
    if name == "start" and value > _EPOCH:
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M UTC")
    if unit in _WRITERS:
        return _WRITERS[unit](value)
    if isinstance(value, int):
        return str(value)
    # a share of a millionth is none that anybody can act on
    return format_fraction(round(value, 4)) if name in _SHARES else f"{value:.4g}"


_TITLES: Final = {
    "arrival_rate": "requests",
    "utilization": "workers busy",
    "cpu_utilization": "cores busy",
    "database_utilization": "database busy",
    "wait_probability": "must wait",
    "response_time": "mean response",
    "response_time_p95": "95 % within",
    "waiting_time": "mean wait",
    "waiting_time_p95": "95 % wait less",
    "waiting_time_p99": "99 % wait less",
    "waiting_time_longest": "longest wait",
    "refused": "refused (502)",
    "timed_out": "timed out (504)",
    "recovered_after": "caught up after",
    "bands": "most users",
    "limits": "what limits the workers",
    "more_workers_reason": "would more workers help?",
    "cautions": "keep in mind",
    "blind": "what could not be seen",
}


def workers_in_words(count: int) -> str:
    """Write a number of workers.

    Examples
    --------
    >>> workers_in_words(1), workers_in_words(40)
    ('1 worker', '40 workers')
    """
    return "1 worker" if count == 1 else f"{count} workers"


def titled(name: str) -> str:
    """Name of a field as a heading: the words of the printed tables, or else its own.

    Examples
    --------
    >>> titled("response_time_p95"), titled("rules_of_thumb")
    ('95 % within', 'rules of thumb')
    """
    return _TITLES.get(name, name.replace("_", " "))
