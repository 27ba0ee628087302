"""Inverses: the least servers, the largest arrival rate, the largest population that meet a target."""

from __future__ import annotations

from numpy.typing import ArrayLike

from capacity.queueing import _inverse
from capacity.queueing._evaluate import FloatOrArray, evaluate

__all__ = [
    "arrival_rate_for_response_time_quantile",
    "arrival_rate_for_wait_probability",
    "arrival_rate_for_waiting_time_quantile",
    "population_for_response_time_quantile",
    "population_for_wait_probability",
    "servers_for_response_time_quantile",
    "servers_for_wait_probability",
    "servers_for_waiting_time_quantile",
]


def servers_for_wait_probability(
    *, wait_probability: ArrayLike, arrival_rate: ArrayLike, service_time: ArrayLike
) -> FloatOrArray:
    r"""Least servers of M/M/c that keep the wait probability at a target.

    Parameters
    ----------
    wait_probability : array_like
        Target [-], 0 to 1: the wait probability must not exceed it.
    arrival_rate : array_like
        lambda [1/s], >= 0.
    service_time : array_like
        S [s], >= 0.

    Returns
    -------
    float or ndarray
        Count [-], whole, as float64. NaN out of domain.

    Notes
    -----
    The result meets the target and one server less does not; equality meets it. inf where no count suffices.

    References
    ----------
    S. Halfin, W. Whitt, Oper. Res. 29 (1981) 567-588, for the guess; interpolation on ``mmc_wait_probability``.

    Examples
    --------
    >>> servers_for_wait_probability(wait_probability=0.2, arrival_rate=120, service_time=0.25)
    37.0
    """
    return evaluate(
        _inverse.servers_for_wait_probability,
        wait_probability=wait_probability,
        arrival_rate=arrival_rate,
        service_time=service_time,
    )


def servers_for_waiting_time_quantile(
    *, p: ArrayLike, waiting_time: ArrayLike, arrival_rate: ArrayLike, service_time: ArrayLike
) -> FloatOrArray:
    r"""Least servers of M/M/c that keep a quantile of the waiting time at a target.

    Parameters
    ----------
    p : array_like
        Probability [-], 0 to 1: the share of requests that must meet the target.
    waiting_time : array_like
        Target [s], >= 0, for the p-quantile of the waiting time.
    arrival_rate : array_like
        lambda [1/s], >= 0.
    service_time : array_like
        S [s], >= 0.

    Returns
    -------
    float or ndarray
        Count [-], whole, as float64. NaN out of domain.

    Notes
    -----
    The result meets the target and one server less does not; equality meets it. inf where no count suffices.

    References
    ----------
    S. Halfin, W. Whitt, Oper. Res. 29 (1981) 567-588, for the guess; interpolation on ``mmc_waiting_time_quantile``.

    Examples
    --------
    >>> servers_for_waiting_time_quantile(p=0.95, waiting_time=0.05, arrival_rate=120, service_time=0.25)
    37.0
    """
    return evaluate(
        _inverse.servers_for_waiting_time_quantile,
        p=p,
        waiting_time=waiting_time,
        arrival_rate=arrival_rate,
        service_time=service_time,
    )


def servers_for_response_time_quantile(
    *, p: ArrayLike, response_time: ArrayLike, arrival_rate: ArrayLike, service_time: ArrayLike
) -> FloatOrArray:
    r"""Least servers of M/M/c that keep a quantile of the response time at a target.

    Parameters
    ----------
    p : array_like
        Probability [-], 0 to 1: the share of requests that must meet the target.
    response_time : array_like
        Target [s], >= 0, for the p-quantile of the response time.
    arrival_rate : array_like
        lambda [1/s], >= 0.
    service_time : array_like
        S [s], >= 0.

    Returns
    -------
    float or ndarray
        Count [-], whole, as float64. NaN out of domain.

    Notes
    -----
    The result meets the target and one server less does not; equality meets it. inf where no count suffices.
    No count does when service alone, -S ln(1-p), exceeds the target.

    References
    ----------
    S. Halfin, W. Whitt, Oper. Res. 29 (1981) 567-588, for the guess; interpolation on ``mmc_response_time_tail``.

    Examples
    --------
    >>> servers_for_response_time_quantile(p=0.95, response_time=0.8, arrival_rate=120, service_time=0.25)
    34.0
    """
    return evaluate(
        _inverse.servers_for_response_time_quantile,
        p=p,
        response_time=response_time,
        arrival_rate=arrival_rate,
        service_time=service_time,
    )


def arrival_rate_for_wait_probability(
    *, wait_probability: ArrayLike, servers: ArrayLike, service_time: ArrayLike
) -> FloatOrArray:
    r"""Largest arrival rate of M/M/c at which the wait probability keeps a target.

    Parameters
    ----------
    wait_probability : array_like
        Target [-], 0 to 1: the wait probability must not exceed it.
    servers : array_like
        c [-], whole, >= 0.
    service_time : array_like
        S [s], >= 0.

    Returns
    -------
    float or ndarray
        Rate [1/s]. NaN out of domain.

    Notes
    -----
    Largest to the last bits; equality meets the target. 0 where no load suffices, inf where any does.

    References
    ----------
    Root of ``mmc_wait_probability`` by Chandrupatla's method (1997).

    Examples
    --------
    >>> round(arrival_rate_for_wait_probability(wait_probability=0.2, servers=40, service_time=0.25), 2)
    133.93
    """
    return evaluate(
        _inverse.arrival_rate_for_wait_probability,
        wait_probability=wait_probability,
        servers=servers,
        service_time=service_time,
    )


def arrival_rate_for_waiting_time_quantile(
    *, p: ArrayLike, waiting_time: ArrayLike, servers: ArrayLike, service_time: ArrayLike
) -> FloatOrArray:
    r"""Largest arrival rate of M/M/c at which a quantile of the waiting time keeps a target.

    Parameters
    ----------
    p : array_like
        Probability [-], 0 to 1: the share of requests that must meet the target.
    waiting_time : array_like
        Target [s], >= 0, for the p-quantile of the waiting time.
    servers : array_like
        c [-], whole, >= 0.
    service_time : array_like
        S [s], >= 0.

    Returns
    -------
    float or ndarray
        Rate [1/s]. NaN out of domain.

    Notes
    -----
    Largest to the last bits; equality meets the target. 0 where no load suffices, inf where any does.

    References
    ----------
    Root of ``mmc_waiting_time_tail`` by Chandrupatla's method (1997).

    Examples
    --------
    >>> round(arrival_rate_for_waiting_time_quantile(p=0.95, waiting_time=0.05, servers=40, service_time=0.25), 2)
    133.29
    """
    return evaluate(
        _inverse.arrival_rate_for_waiting_time_quantile,
        p=p,
        waiting_time=waiting_time,
        servers=servers,
        service_time=service_time,
    )


def arrival_rate_for_response_time_quantile(
    *, p: ArrayLike, response_time: ArrayLike, servers: ArrayLike, service_time: ArrayLike
) -> FloatOrArray:
    r"""Largest arrival rate of M/M/c at which a quantile of the response time keeps a target.

    Parameters
    ----------
    p : array_like
        Probability [-], 0 to 1: the share of requests that must meet the target.
    response_time : array_like
        Target [s], >= 0, for the p-quantile of the response time.
    servers : array_like
        c [-], whole, >= 0.
    service_time : array_like
        S [s], >= 0.

    Returns
    -------
    float or ndarray
        Rate [1/s]. NaN out of domain.

    Notes
    -----
    Largest to the last bits; equality meets the target. 0 where no load suffices, inf where any does.

    References
    ----------
    Root of ``mmc_response_time_tail`` by Chandrupatla's method (1997).

    Examples
    --------
    >>> pool = {"p": 0.95, "response_time": 0.8, "servers": 40, "service_time": 0.25}
    >>> round(arrival_rate_for_response_time_quantile(**pool), 2)
    147.16
    """
    return evaluate(
        _inverse.arrival_rate_for_response_time_quantile,
        p=p,
        response_time=response_time,
        servers=servers,
        service_time=service_time,
    )


def population_for_wait_probability(
    *, wait_probability: ArrayLike, servers: ArrayLike, think_time: ArrayLike, service_time: ArrayLike
) -> FloatOrArray:
    r"""Largest population of M/M/c//N at which the wait probability keeps a target.

    Parameters
    ----------
    wait_probability : array_like
        Target [-], 0 to 1: the wait probability must not exceed it.
    servers : array_like
        c [-], whole, >= 0.
    think_time : array_like
        Z [s], >= 0.
    service_time : array_like
        S [s], >= 0.

    Returns
    -------
    float or ndarray
        Count [-], whole, as float64. NaN out of domain.

    Notes
    -----
    The result meets the target and one user more does not; equality meets it. 0 where nobody can be served in
    time, inf where any number can.

    References
    ----------
    Interpolation, from a square-root guess, on ``finite_wait_probability``.

    Examples
    --------
    >>> population_for_wait_probability(wait_probability=0.2, servers=40, think_time=1, service_time=0.25)
    172.0
    """
    return evaluate(
        _inverse.population_for_wait_probability,
        wait_probability=wait_probability,
        servers=servers,
        think_time=think_time,
        service_time=service_time,
    )


def population_for_response_time_quantile(
    *,
    p: ArrayLike,
    response_time: ArrayLike,
    servers: ArrayLike,
    think_time: ArrayLike,
    service_time: ArrayLike,
) -> FloatOrArray:
    r"""Largest population of M/M/c//N at which a quantile of the response time keeps a target.

    Parameters
    ----------
    p : array_like
        Probability [-], 0 to 1: the share of requests that must meet the target.
    response_time : array_like
        Target [s], >= 0, for the p-quantile of the response time.
    servers : array_like
        c [-], whole, >= 0.
    think_time : array_like
        Z [s], >= 0.
    service_time : array_like
        S [s], >= 0.

    Returns
    -------
    float or ndarray
        Count [-], whole, as float64. NaN out of domain.

    Notes
    -----
    The result meets the target and one user more does not; equality meets it. 0 where nobody can be served in
    time, inf where any number can.

    References
    ----------
    Interpolation, from a square-root guess, on ``finite_response_time_tail``.

    Examples
    --------
    >>> population_for_response_time_quantile(p=0.95, response_time=0.8, servers=40, think_time=1, service_time=0.25)
    200.0
    """
    return evaluate(
        _inverse.population_for_response_time_quantile,
        p=p,
        response_time=response_time,
        servers=servers,
        think_time=think_time,
        service_time=service_time,
    )
