"""Workers that share cores, with N users who think between an answer and the next request.

The same pool as ``contention``, in a closed loop: the users that wait send nothing, so it slows down
instead of growing without bound. Without cores nobody ever gets an answer. Where more than 2^24 states of
the pool occur, or states beyond 2^52, the answer is NaN.
"""

from __future__ import annotations

import math

from numpy.typing import ArrayLike

from capacity.queueing import shared_pool
from capacity.queueing._evaluate import FloatOrArray, evaluate

__all__ = [
    "shared_finite_throughput",
    "shared_finite_utilization",
    "shared_finite_wait_probability",
]


def shared_finite_throughput(
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
    r"""Throughput of a pool whose workers share cores, with N users who think Z.

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
        Rate [1/s]. NaN out of domain.

    Notes
    -----
    N/(Z+S) without contention, X(min(c, N)) in saturation.
    A station of rate X(min(n, c)), X of ``shared_cores_throughput``; exactly M/M/c//N with D = 0 or k >= c, and m >= c.

    References
    ----------
    K. M. Chandy, U. Herzog, L. Woo, Parametric analysis of queuing networks, IBM J. Res. Dev. 19 (1975) 36-42.

    Examples
    --------
    >>> pool = {"servers": 40, "cores": 4, "cpu_time": 0.02, "service_time": 0.25, "population": 150, "think_time": 1.0}
    >>> round(shared_finite_throughput(**pool), 4)
    119.6224
    """
    return evaluate(
        shared_pool.finite_quantity("throughput"),
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


def shared_finite_utilization(
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
    r"""Utilization (busy share of one worker) of a pool whose workers share cores, with N users who think Z.

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
        Fraction [0, 1]. NaN out of domain.

    Notes
    -----
    A worker is busy while its request uses or waits for a core, so contention raises it. 0 without users,
    1 in saturation and without servers.
    A station of rate X(min(n, c)), X of ``shared_cores_throughput``; exactly M/M/c//N with D = 0 or k >= c, and m >= c.

    References
    ----------
    K. M. Chandy, U. Herzog, L. Woo, Parametric analysis of queuing networks, IBM J. Res. Dev. 19 (1975) 36-42.

    Examples
    --------
    >>> pool = {"servers": 40, "cores": 4, "cpu_time": 0.02, "service_time": 0.25, "population": 150, "think_time": 1.0}
    >>> round(shared_finite_utilization(**pool), 4)
    0.7572
    """
    return evaluate(
        shared_pool.finite_quantity("utilization"),
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


def shared_finite_wait_probability(
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
    r"""Wait probability of a pool whose workers share cores, with N users who think Z.

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
        Probability [0, 1]. NaN out of domain.

    Notes
    -----
    As an arriving user meets it, with the other N - 1 in steady state. 0 while N <= c, 1 without servers.
    A station of rate X(min(n, c)), X of ``shared_cores_throughput``; exactly M/M/c//N with D = 0 or k >= c, and m >= c.

    References
    ----------
    K. M. Chandy, U. Herzog, L. Woo, Parametric analysis of queuing networks, IBM J. Res. Dev. 19 (1975) 36-42.

    Examples
    --------
    >>> pool = {"servers": 40, "cores": 4, "cpu_time": 0.02, "service_time": 0.25, "population": 150, "think_time": 1.0}
    >>> round(shared_finite_wait_probability(**pool), 4)
    0.0374
    """
    return evaluate(
        shared_pool.finite_quantity("wait_probability"),
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
