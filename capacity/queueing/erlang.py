"""Erlang's two formulas: the share of arrivals that is refused (B) and that has to wait (C)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from capacity.queueing._erlang_grid import grid
from capacity.queueing._evaluate import Array, FloatOrArray, _real, counts, evaluate
from capacity.queueing._poisson import cdf_ratio

__all__ = ["erlang_b", "erlang_c", "erlang_c_grid"]

# Large enough that the few rows of few servers, sorted out of it, are worth a call each of NumPy.
_BLOCK = 65536


def erlang_b(*, servers: ArrayLike, offered_load: ArrayLike) -> FloatOrArray:
    r"""Blocking probability of M/M/c/c, Erlang's loss formula B(c, a).

    .. math:: B(c, a) = \frac{a^c / c!}{\sum_{n=0}^{c} a^n / n!}

    Parameters
    ----------
    servers : array_like
        c [-], whole, >= 0.
    offered_load : array_like
        a = lambda S [erlang], >= 0; may exceed the servers.

    Returns
    -------
    float or ndarray
        Probability [0, 1], of the broadcast shape. NaN out of domain. B = 1 without servers, 0 without load.

    Notes
    -----
    Relative error below 1e-12 against 50-digit arithmetic for c to 1e6, where B exceeds 1e-290.

    References
    ----------
    L. Kleinrock, Queueing Systems I (1975), eq. 3.44.

    Examples
    --------
    >>> round(erlang_b(servers=10, offered_load=5), 6)
    0.018385
    """
    return evaluate(loss, _BLOCK, servers=servers, offered_load=offered_load)


def erlang_c(*, servers: ArrayLike, offered_load: ArrayLike) -> FloatOrArray:
    r"""Wait probability of M/M/c, Erlang's delay formula C(c, a).

    .. math:: C(c, a) = \frac{c\,B(c, a)}{c - a\,(1 - B(c, a))}

    Parameters
    ----------
    servers : array_like
        c [-], whole, >= 0.
    offered_load : array_like
        a = lambda S [erlang], >= 0.

    Returns
    -------
    float or ndarray
        Probability [0, 1], of the broadcast shape. NaN out of domain. C = 1 at load >= servers, 0 without load.

    Notes
    -----
    Relative error below 1e-12 against 50-digit arithmetic for c to 1e6 and utilization to 1 - 1e-9,
    where C exceeds 1e-290.

    References
    ----------
    L. Kleinrock, Queueing Systems I (1975), eq. 3.40.

    Examples
    --------
    >>> round(erlang_c(servers=40, offered_load=30), 4)
    0.0552
    """
    return evaluate(lambda c, a: delay(c, a, c - a), _BLOCK, servers=servers, offered_load=offered_load)


def erlang_c_grid(*, max_servers: int, offered_load: ArrayLike) -> Array:
    """Wait probability of M/M/c for every server count 1..max_servers at once, for shared loads.

    Parameters
    ----------
    max_servers : int
        Largest number of servers, >= 1; the new last axis runs over c = 1 .. max_servers.
    offered_load : array_like
        a [erlang], >= 0, of any shape.

    Returns
    -------
    ndarray
        Shape ``offered_load.shape + (max_servers,)``. NaN where the load is out of domain.

    Raises
    ------
    ValueError
        ``max_servers`` is not a whole number >= 1.

    Notes
    -----
    Uses the recursion 1/B(c) = 1 + c/a 1/B(c-1), all of whose terms are positive: one step a server count
    instead of one evaluation a cell. Relative error below 1e-12, where C exceeds 1e-290.

    References
    ----------
    V. B. Iversen, Teletraffic Engineering (2010), eq. 4.29.

    Examples
    --------
    >>> erlang_c_grid(max_servers=3, offered_load=1.5).round(4).tolist()
    [1.0, 0.6429, 0.2368]
    """
    if not isinstance(max_servers, (int, np.integer)) or isinstance(max_servers, bool) or max_servers < 1:
        message = f"max_servers must be a whole number of at least 1; got {max_servers!r}"
        raise ValueError(message)
    a = _real("offered_load", offered_load).astype(np.float64)
    with np.errstate(all="ignore"):
        return grid(int(max_servers), a.reshape(-1)).reshape(*a.shape, int(max_servers))


def loss(c: Array, a: Array) -> Array:
    """Kernel of Erlang B over flat arrays."""
    blocked = cdf_ratio(c, a, c - a)
    blocked += 1.0
    np.divide(1.0, blocked, out=blocked)
    return _in_domain(blocked, c, a)


def delay(c: Array, a: Array, spare: Array) -> Array:
    """Kernel of Erlang C over flat arrays; spare = c - a, to full accuracy, decides near saturation."""
    waits = cdf_ratio(c, a, spare, above=False)
    waits *= spare
    waits /= c
    waits += 1.0
    np.divide(1.0, waits, out=waits)
    if not spare.min(initial=np.inf) > 0:
        np.copyto(waits, 1.0, where=spare <= 0)
    return _in_domain(waits, c, a)


def _in_domain(value: Array, c: Array, a: Array) -> Array:
    """NaN in place where c is no count or a no load; usually a look at the whole block finds no such row."""
    inside = c.min(initial=0.0) >= 0 and c.max(initial=0.0) < np.inf and a.min(initial=0.0) >= 0
    if not (inside and (c == np.floor(c)).all()):
        np.copyto(value, np.nan, where=~(counts(c) & (a >= 0)))
    return value
