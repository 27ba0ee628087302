"""Libraries that only an extra of the distribution brings, imported where they are used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from capacity.errors import MissingExtra

__all__ = ["library"]


def library(name: str, *, what: str, extra: str) -> Any:
    """Import a library that is optional.

    Parameters
    ----------
    name : str
        The module, such as ``matplotlib.pyplot``.
    what : str
        What needs it, as an error says it.
    extra : str
        The extra of the distribution that brings it.

    Returns
    -------
    module

    Raises
    ------
    MissingExtra
        It is not installed.

    Examples
    --------
    >>> library("no_such_library", what="plot", extra="plot")
    Traceback (most recent call last):
    capacity.errors.MissingExtra: plot needs no_such_library, which is not installed: pip install 'fpm-capacity[plot]'
    """
    try:
        return import_module(name)
    except ImportError:
        raise MissingExtra(what=what, library=name.partition(".")[0], extra=extra) from None
