"""A measured scenario as TOML that ``capacity recommend`` takes as it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import tomli_w

__all__ = ["scenario_toml"]

_DIGITS = 6


def scenario_toml(tables: Mapping[str, Mapping[str, Any]], *, comments: Iterable[str] = ()) -> str:
    """Write the tables of a scenario, with comments in front.

    Parameters
    ----------
    tables : mapping
        As `Scenario.from_mapping` takes them, in SI; empty tables are left out.
    comments : iterable of str
        Lines for people.

    Returns
    -------
    str
        TOML; floats are rounded to six significant digits, far beyond what is ever measured.

    Examples
    --------
    >>> print(scenario_toml({"host": {"ram": 4294967296, "cpus": 2.0}}, comments=["measured on web1"]))
    # measured on web1
    <BLANKLINE>
    [host]
    ram = 4294967296
    cpus = 2
    <BLANKLINE>
    """
    lines = (line for comment in comments for line in comment.splitlines())
    head = "".join(f"# {''.join(c if c.isprintable() else '?' for c in line)}\n" for line in lines)
    body = tomli_w.dumps({name: _rounded(table) for name, table in tables.items() if table})
    return f"{head}\n{body}" if head else body


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _rounded(inner) for key, inner in value.items()}
    if not isinstance(value, float):
        return value
    rounded = float(f"{value:.{_DIGITS}g}")
    return int(rounded) if rounded.is_integer() else rounded
