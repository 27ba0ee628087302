"""Workers that share cores: a pool of c workers on k cores, offered a Poisson stream.

A worker that runs PHP needs a core; while it waits for the database it does not. The naive M/M/c gives every
worker a core of its own and is 1.4 to 4.8 times too optimistic on CPU-bound PHP. With N users: ``contention_finite``.
"""

from __future__ import annotations

import math

from numpy.typing import ArrayLike

from capacity.queueing import core_sharing, shared_pool
from capacity.queueing._evaluate import FloatOrArray, evaluate
from capacity.queueing.inner_network import network_throughput

__all__ = [
    "shared_cores_throughput",
    "shared_throughput",
    "shared_utilization",
    "shared_wait_probability",
]


def shared_cores_throughput(
    *,
    workers: ArrayLike,
    cores: ArrayLike,
    cpu_time: ArrayLike,
    service_time: ArrayLike,
    connections: ArrayLike = math.inf,
    database_time: ArrayLike = 0.0,
) -> FloatOrArray:
    r"""Throughput X(n) of n always busy workers that share k cores, and m connections to the database.

    .. math:: X(n) = X_{M/M/k//n}(\text{service } D, \text{ think } S - D)

    Parameters
    ----------
    workers : array_like
        n [-], whole, >= 0: workers that are never idle.
    cores : array_like
        k [-], >= 0; a CPU quota may be fractional.
    cpu_time : array_like
        D [s], 0 <= D <= S: CPU seconds one request needs.
    service_time : array_like
        S [s], >= 0.
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
    n/S while n <= k or D = 0, never above k/D. A fractional k serves j runnable requests at rate min(j, k)/D.
    Exact for this network; relative error below 1e-14 for k to 128 and n to 500.

    With fewer connections than workers the database is a third station, of m servers. A connection is held off the CPU
    as far as S - D goes: exact (relative error below 1e-13 for n to 8192), and the formula above while n <= m. Where it
    is held longer than that, some of the CPU time is spent with a connection, which no closed formula has: X(n) is the
    lesser of two networks that have one, exact for a connection held from beginning to end. In between it was 2 % too
    low to 35 % too high in 19 000 networks (to 85 workers, 25 connections) whose balance equations were solved:
    off by 0.1 % (median), 7 % (9 of 10) and 19 % (99 of 100); up to 15 % with 4 cores or more, the most with fewer than
    2. For n above 8192 X(n) is the lesser of what cores and connections each let through, at most 0.9 % more.

    References
    ----------
    K. M. Chandy, U. Herzog, L. Woo, Parametric analysis of queuing networks, IBM J. Res. Dev. 19 (1975) 36-42.

    J. P. Buzen, Computational algorithms for closed queueing networks with exponential servers, Comm. ACM 16 (1973)
    527-531.

    Examples
    --------
    >>> [round(shared_cores_throughput(workers=n, cores=2, cpu_time=0.01, service_time=0.01)) for n in (1, 2, 40)]
    [100, 200, 200]
    >>> pool = {"cores": 4, "cpu_time": 0.02, "service_time": 0.25, "database_time": 0.1}
    >>> [round(shared_cores_throughput(workers=40, connections=m, **pool), 1) for m in (10, 15, 20, 40)]
    [100.0, 143.2, 154.5, 155.1]
    """
    if connections is math.inf and isinstance(database_time, float) and database_time == 0:
        return core_sharing.throughput(workers=workers, cores=cores, cpu_time=cpu_time, service_time=service_time)
    return evaluate(
        network_throughput,
        workers=workers,
        cores=cores,
        cpu_time=cpu_time,
        service_time=service_time,
        connections=connections,
        database_time=database_time,
    )


def shared_throughput(
    *,
    servers: ArrayLike,
    cores: ArrayLike,
    cpu_time: ArrayLike,
    service_time: ArrayLike,
    arrival_rate: ArrayLike,
    connections: ArrayLike = math.inf,
    database_time: ArrayLike = 0.0,
) -> FloatOrArray:
    r"""Throughput of a pool whose workers share cores, offered a Poisson stream.

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
    arrival_rate : array_like
        lambda [1/s], >= 0.
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
    lambda, and X(c) in saturation.
    A station of rate X(min(n, c)), X of ``shared_cores_throughput``; exactly M/M/c with D = 0 or k >= c, and m >= c.

    References
    ----------
    K. M. Chandy, U. Herzog, L. Woo, Parametric analysis of queuing networks, IBM J. Res. Dev. 19 (1975) 36-42.

    Examples
    --------
    >>> round(shared_throughput(servers=40, cores=4, cpu_time=0.02, service_time=0.25, arrival_rate=120), 4)
    120.0
    """
    return evaluate(
        shared_pool.open_quantity("throughput"),
        shared_pool.block_for(servers),
        servers=servers,
        cores=cores,
        cpu_time=cpu_time,
        service_time=service_time,
        arrival_rate=arrival_rate,
        connections=connections,
        database_time=database_time,
    )


def shared_utilization(
    *,
    servers: ArrayLike,
    cores: ArrayLike,
    cpu_time: ArrayLike,
    service_time: ArrayLike,
    arrival_rate: ArrayLike,
    connections: ArrayLike = math.inf,
    database_time: ArrayLike = 0.0,
) -> FloatOrArray:
    r"""Utilization (busy share of one worker) of a pool whose workers share cores, offered a Poisson stream.

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
    arrival_rate : array_like
        lambda [1/s], >= 0.
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
    A worker is busy while its request uses or waits for a core, so contention raises it. 0 at zero load, 1 in
    saturation (lambda >= X(c)) and without servers.
    A station of rate X(min(n, c)), X of ``shared_cores_throughput``; exactly M/M/c with D = 0 or k >= c, and m >= c.

    References
    ----------
    K. M. Chandy, U. Herzog, L. Woo, Parametric analysis of queuing networks, IBM J. Res. Dev. 19 (1975) 36-42.

    Examples
    --------
    >>> round(shared_utilization(servers=40, cores=4, cpu_time=0.02, service_time=0.25, arrival_rate=120), 4)
    0.7602
    """
    return evaluate(
        shared_pool.open_quantity("utilization"),
        shared_pool.block_for(servers),
        servers=servers,
        cores=cores,
        cpu_time=cpu_time,
        service_time=service_time,
        arrival_rate=arrival_rate,
        connections=connections,
        database_time=database_time,
    )


def shared_wait_probability(
    *,
    servers: ArrayLike,
    cores: ArrayLike,
    cpu_time: ArrayLike,
    service_time: ArrayLike,
    arrival_rate: ArrayLike,
    connections: ArrayLike = math.inf,
    database_time: ArrayLike = 0.0,
) -> FloatOrArray:
    r"""Wait probability of a pool whose workers share cores, offered a Poisson stream.

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
    arrival_rate : array_like
        lambda [1/s], >= 0.
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
    An arrival finds every worker busy. 0 at zero load, 1 in saturation.
    A station of rate X(min(n, c)), X of ``shared_cores_throughput``; exactly M/M/c with D = 0 or k >= c, and m >= c.

    References
    ----------
    K. M. Chandy, U. Herzog, L. Woo, Parametric analysis of queuing networks, IBM J. Res. Dev. 19 (1975) 36-42.

    Examples
    --------
    >>> round(shared_wait_probability(servers=40, cores=4, cpu_time=0.02, service_time=0.25, arrival_rate=120), 4)
    0.0723
    """
    return evaluate(
        shared_pool.open_quantity("wait_probability"),
        shared_pool.block_for(servers),
        servers=servers,
        cores=cores,
        cpu_time=cpu_time,
        service_time=service_time,
        arrival_rate=arrival_rate,
        connections=connections,
        database_time=database_time,
    )
