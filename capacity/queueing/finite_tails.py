"""The finite source M/M/c//N beyond its means: tails and quantiles of the waiting and the response time."""

from __future__ import annotations

from numpy.typing import ArrayLike

from capacity.queueing import _finite_source
from capacity.queueing._evaluate import FloatOrArray, evaluate

__all__ = [
    "finite_response_time_quantile",
    "finite_response_time_tail",
    "finite_waiting_time_quantile",
    "finite_waiting_time_tail",
]


def finite_waiting_time_tail(
    t: ArrayLike, *, servers: ArrayLike, population: ArrayLike, think_time: ArrayLike, service_time: ArrayLike
) -> FloatOrArray:
    r"""Tail of the waiting time of M/M/c//N, P(W > t), first come first served.

    .. math:: P(W > t) = P(W > 0)\, \frac{Q(N - c,\, m + c t / S)}{Q(N - c,\, m)}, \quad m = c Z / S

    Parameters
    ----------
    t : array_like
        Time [s], >= 0.
    servers : array_like
        c [-], whole, >= 0.
    population : array_like
        N [-], whole, >= 0.
    think_time : array_like
        Z [s], >= 0.
    service_time : array_like
        S [s], >= 0.

    Returns
    -------
    float or ndarray
        Probability [0, 1]. NaN out of domain.

    Notes
    -----
    Q(s, y) = P(Poisson(y) < s), the regularised upper gamma function. 0 while N <= c, 1 without servers.
    Relative error below 1e-10 for N to 10 000.

    References
    ----------
    S. S. Lavenberg, M. Reiser, Stationary state probabilities at arrival instants for closed queueing networks,
    J. Appl. Prob. 17 (1980) 1048-1061.
    The tail is a sum of Erlang tails over what the arrival sees, in closed form.

    Examples
    --------
    >>> round(finite_waiting_time_tail(0.25, servers=20, population=100, think_time=1.0, service_time=0.25), 5)
    0.02491
    """
    return evaluate(
        _finite_source.waiting_tail,
        t=t,
        servers=servers,
        population=population,
        think_time=think_time,
        service_time=service_time,
    )


def finite_response_time_tail(
    t: ArrayLike, *, servers: ArrayLike, population: ArrayLike, think_time: ArrayLike, service_time: ArrayLike
) -> FloatOrArray:
    r"""Tail of the response time of M/M/c//N, P(R > t), first come first served.

    Parameters
    ----------
    t : array_like
        Time [s], >= 0.
    servers : array_like
        c [-], whole, >= 0.
    population : array_like
        N [-], whole, >= 0.
    think_time : array_like
        Z [s], >= 0.
    service_time : array_like
        S [s], >= 0.

    Returns
    -------
    float or ndarray
        Probability [0, 1]. NaN out of domain.

    Notes
    -----
    The waiting time of ``finite_waiting_time_tail`` plus an independent exponential service, in closed form.
    exp(-t/S) while N <= c, 1 without servers. Relative error below 1e-10 for N to 10 000.

    References
    ----------
    S. S. Lavenberg, M. Reiser, Stationary state probabilities at arrival instants for closed queueing networks,
    J. Appl. Prob. 17 (1980) 1048-1061.

    Examples
    --------
    >>> round(finite_response_time_tail(1.0, servers=20, population=100, think_time=1.0, service_time=0.25), 5)
    0.02482
    """
    return evaluate(
        _finite_source.response_tail,
        t=t,
        servers=servers,
        population=population,
        think_time=think_time,
        service_time=service_time,
    )


def finite_waiting_time_quantile(
    p: ArrayLike, *, servers: ArrayLike, population: ArrayLike, think_time: ArrayLike, service_time: ArrayLike
) -> FloatOrArray:
    r"""Quantile of the waiting time of M/M/c//N: the least t with P(W <= t) >= p, solved to the last bits.

    Parameters
    ----------
    p : array_like
        Probability [-], 0 to 1.
    servers : array_like
        c [-], whole, >= 0.
    population : array_like
        N [-], whole, >= 0.
    think_time : array_like
        Z [s], >= 0.
    service_time : array_like
        S [s], >= 0.

    Returns
    -------
    float or ndarray
        Time [s]. NaN out of domain.

    Notes
    -----
    0 where p <= 1 - P(W > 0), inf at p = 1 when anybody waits and without servers.

    References
    ----------
    The tail of ``finite_waiting_time_tail``; root by Chandrupatla's method (1997).

    Examples
    --------
    >>> pool = {"servers": 20, "population": 100, "think_time": 1.0, "service_time": 0.25}
    >>> round(finite_waiting_time_quantile(0.95, **pool), 5)
    0.21178
    """
    return evaluate(
        _finite_source.waiting_quantile,
        p=p,
        servers=servers,
        population=population,
        think_time=think_time,
        service_time=service_time,
    )


def finite_response_time_quantile(
    p: ArrayLike, *, servers: ArrayLike, population: ArrayLike, think_time: ArrayLike, service_time: ArrayLike
) -> FloatOrArray:
    r"""Quantile of the response time of M/M/c//N: the t with P(R <= t) = p, solved to the last bits.

    Parameters
    ----------
    p : array_like
        Probability [-], 0 to 1.
    servers : array_like
        c [-], whole, >= 0.
    population : array_like
        N [-], whole, >= 0.
    think_time : array_like
        Z [s], >= 0.
    service_time : array_like
        S [s], >= 0.

    Returns
    -------
    float or ndarray
        Time [s]. NaN out of domain.

    Notes
    -----
    -S ln(1-p) while N <= c; inf at p = 1 and without servers. Relative error below 1e-10 for p >= 0.001.

    References
    ----------
    The tail of ``finite_response_time_tail``; root by Chandrupatla's method (1997).

    Examples
    --------
    >>> pool = {"servers": 20, "population": 100, "think_time": 1.0, "service_time": 0.25}
    >>> round(finite_response_time_quantile(0.95, **pool), 5)
    0.82492
    """
    return evaluate(
        _finite_source.response_quantile,
        p=p,
        servers=servers,
        population=population,
        think_time=think_time,
        service_time=service_time,
    )
