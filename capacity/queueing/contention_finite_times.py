"""Waiting and response times of N users at a pool of workers that share cores: see ``contention_finite``."""

from __future__ import annotations

import math

from numpy.typing import ArrayLike

from capacity.queueing import shared_pool
from capacity.queueing._evaluate import FloatOrArray, evaluate

__all__ = [
    "shared_finite_response_time",
    "shared_finite_response_time_quantile",
    "shared_finite_waiting_time",
]


def shared_finite_waiting_time(
    *,
    servers: ArrayLike,
    cores: ArrayLike,
    cpu_time: ArrayLike,
    service_time: ArrayLike,
    population: ArrayLike,
    think_time: ArrayLike,
    connections: ArrayLike = math.inf,
    database_time: ArrayLike = 0.0,
) -> FloatOrArray:
    r"""Mean waiting time of a pool whose workers share cores, with N users who think Z.

    Parameters
    ----------
    servers : array_like
        c [-], whole, >= 0.
    cores : array_like
        k [-], >= 0; a CPU quota may be fractional.
    cpu_time : array_like
        D [s], 0 <= D <= S: CPU seconds one request needs.
    service_time : array_like
        S [s], >= 0.
    population : array_like
        N [-], whole, >= 0.
    think_time : array_like
        Z [s], >= 0.
    connections : array_like
        m [-], whole, >= 0; inf: no limit. Connections to the database.
    database_time : array_like
        Time a request holds a connection [s], from 0 to S.

    Returns
    -------
    float or ndarray
        Time [s]. NaN out of domain.

    Notes
    -----
    In the accept queue only. 0 while N <= c, inf without servers.
    A station of rate X(min(n, c)), X of ``shared_cores_throughput``; exactly M/M/c//N with D = 0 or k >= c, and m >= c.

    References
    ----------
    K. M. Chandy, U. Herzog, L. Woo, Parametric analysis of queuing networks, IBM J. Res. Dev. 19 (1975) 36-42.

    Examples
    --------
    >>> pool = {"servers": 40, "cores": 4, "cpu_time": 0.02, "service_time": 0.25, "population": 150, "think_time": 1.0}
    >>> round(shared_finite_waiting_time(**pool), 4)
    0.0007
    """
    return evaluate(
        shared_pool.finite_quantity("waiting_time"),
        shared_pool.block_for(servers),
        servers=servers,
        cores=cores,
        cpu_time=cpu_time,
        service_time=service_time,
        population=population,
        think_time=think_time,
        connections=connections,
        database_time=database_time,
    )


def shared_finite_response_time(
    *,
    servers: ArrayLike,
    cores: ArrayLike,
    cpu_time: ArrayLike,
    service_time: ArrayLike,
    population: ArrayLike,
    think_time: ArrayLike,
    connections: ArrayLike = math.inf,
    database_time: ArrayLike = 0.0,
) -> FloatOrArray:
    r"""Mean response time of a pool whose workers share cores, with N users who think Z.

    Parameters
    ----------
    servers : array_like
        c [-], whole, >= 0.
    cores : array_like
        k [-], >= 0; a CPU quota may be fractional.
    cpu_time : array_like
        D [s], 0 <= D <= S: CPU seconds one request needs.
    service_time : array_like
        S [s], >= 0.
    population : array_like
        N [-], whole, >= 0.
    think_time : array_like
        Z [s], >= 0.
    connections : array_like
        m [-], whole, >= 0; inf: no limit. Connections to the database.
    database_time : array_like
        Time a request holds a connection [s], from 0 to S.

    Returns
    -------
    float or ndarray
        Time [s]. NaN out of domain.

    Notes
    -----
    Waiting, plus the time a request holds a worker, which contention stretches beyond S.
    A station of rate X(min(n, c)), X of ``shared_cores_throughput``; exactly M/M/c//N with D = 0 or k >= c, and m >= c.

    References
    ----------
    K. M. Chandy, U. Herzog, L. Woo, Parametric analysis of queuing networks, IBM J. Res. Dev. 19 (1975) 36-42.

    Examples
    --------
    >>> pool = {"servers": 40, "cores": 4, "cpu_time": 0.02, "service_time": 0.25, "population": 150, "think_time": 1.0}
    >>> round(shared_finite_response_time(**pool), 4)
    0.2539
    """
    return evaluate(
        shared_pool.finite_quantity("response_time"),
        shared_pool.block_for(servers),
        servers=servers,
        cores=cores,
        cpu_time=cpu_time,
        service_time=service_time,
        population=population,
        think_time=think_time,
        connections=connections,
        database_time=database_time,
    )


def shared_finite_response_time_quantile(
    p: ArrayLike,
    *,
    servers: ArrayLike,
    cores: ArrayLike,
    cpu_time: ArrayLike,
    service_time: ArrayLike,
    population: ArrayLike,
    think_time: ArrayLike,
    connections: ArrayLike = math.inf,
    database_time: ArrayLike = 0.0,
) -> FloatOrArray:
    r"""Quantile of the response time of a pool whose workers share cores, with N users who think Z.

    Parameters
    ----------
    p : array_like
        Probability [-], 0 to 1.
    servers : array_like
        c [-], whole, >= 0.
    cores : array_like
        k [-], >= 0; a CPU quota may be fractional.
    cpu_time : array_like
        D [s], 0 <= D <= S: CPU seconds one request needs.
    service_time : array_like
        S [s], >= 0.
    population : array_like
        N [-], whole, >= 0.
    think_time : array_like
        Z [s], >= 0.
    connections : array_like
        m [-], whole, >= 0; inf: no limit. Connections to the database.
    database_time : array_like
        Time a request holds a connection [s], from 0 to S.

    Returns
    -------
    float or ndarray
        Time [s]. NaN out of domain.

    Notes
    -----
    The wait is exact for this chain; the time in a worker is taken as exponential with its exact mean.
    With D = 0 that is exact. How far off that is depends on the real law of the
    time in a worker. Against an event simulation (k 2 and 4, c 4 to 20, D/S 0.2 to 1, cores 50 to 90 % busy) the
    95 % quantile was off by 2 % (median of absolute errors) for requests that alternate ten times
    between CPU and waiting, and by 14 % for one burst of each: too high by up to 26 % at D/S of 0.2 to 0.5, too low by
    up to 12 % where a request is all CPU.
    A station of rate X(min(n, c)), X of ``shared_cores_throughput``; exactly M/M/c//N with D = 0 or k >= c, and m >= c.

    References
    ----------
    K. M. Chandy, U. Herzog, L. Woo, Parametric analysis of queuing networks, IBM J. Res. Dev. 19 (1975) 36-42.

    Examples
    --------
    >>> pool = {"servers": 40, "cores": 4, "cpu_time": 0.02, "service_time": 0.25, "population": 150, "think_time": 1.0}
    >>> round(shared_finite_response_time_quantile(0.95, **pool), 4)
    0.7593
    """
    return evaluate(
        shared_pool.finite_response_quantile,
        shared_pool.block_for(servers),
        p=p,
        servers=servers,
        cores=cores,
        cpu_time=cpu_time,
        service_time=service_time,
        population=population,
        think_time=think_time,
        connections=connections,
        database_time=database_time,
    )
