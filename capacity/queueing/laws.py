"""The laws that hold whatever the distributions: utilization, Little, interactive response time, bounds."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from capacity.queueing._evaluate import Array, FloatOrArray, counts, evaluate

__all__ = [
    "asymptotic_response_time",
    "asymptotic_throughput",
    "interactive_response_time",
    "littles_law",
    "offered_load",
    "saturation_population",
    "utilization_law",
]


def offered_load(*, arrival_rate: ArrayLike, service_time: ArrayLike) -> FloatOrArray:
    r"""Offered load a: the mean number of servers that the arrivals would keep busy.

    .. math:: a = \lambda S

    Parameters
    ----------
    arrival_rate : array_like
        lambda [1/s], >= 0.
    service_time : array_like
        S [s], >= 0.

    Returns
    -------
    float or ndarray
        Load [erlang]. NaN out of domain.

    References
    ----------
    L. Kleinrock, Queueing Systems I (1975), section 2.1.

    Examples
    --------
    >>> offered_load(arrival_rate=120, service_time=0.25)
    30.0
    """
    return evaluate(_product, arrival_rate=arrival_rate, service_time=service_time)


def utilization_law(*, throughput: ArrayLike, service_time: ArrayLike, servers: ArrayLike = 1) -> FloatOrArray:
    r"""Utilization of one of c servers, from what they complete.

    .. math:: \rho = X S / c

    Parameters
    ----------
    throughput : array_like
        X [1/s], >= 0: requests completed.
    service_time : array_like
        S [s], >= 0.
    servers : array_like
        c [-], > 0.

    Returns
    -------
    float or ndarray
        Fraction; above 1 when the measurements contradict each other. NaN out of domain.

    References
    ----------
    E. D. Lazowska et al., Quantitative System Performance (1984), eq. 3.2.

    Examples
    --------
    >>> utilization_law(throughput=120, service_time=0.25, servers=40)
    0.75
    """

    def kernel(x: Array, s: Array, c: Array) -> Array:
        return np.where(c > 0, _product(x, s) / c, np.nan)

    return evaluate(kernel, throughput=throughput, service_time=service_time, servers=servers)


def littles_law(*, throughput: ArrayLike, response_time: ArrayLike) -> FloatOrArray:
    r"""Mean number in system, from what passes through it and how long that takes.

    .. math:: L = X R

    Parameters
    ----------
    throughput : array_like
        X [1/s], >= 0.
    response_time : array_like
        R [s], >= 0. With the waiting time instead the law gives the queue length.

    Returns
    -------
    float or ndarray
        Number [-]. NaN out of domain.

    References
    ----------
    J. D. C. Little, A proof for the queuing formula L = lambda W, Oper. Res. 9 (1961) 383-387.

    Examples
    --------
    >>> littles_law(throughput=120, response_time=0.25)
    30.0
    """
    return evaluate(_product, throughput=throughput, response_time=response_time)


def interactive_response_time(*, population: ArrayLike, throughput: ArrayLike, think_time: ArrayLike) -> FloatOrArray:
    r"""Mean response time of N users who think between an answer and the next request.

    .. math:: R = N / X - Z

    Parameters
    ----------
    population : array_like
        N [-], whole, >= 0.
    throughput : array_like
        X [1/s], > 0.
    think_time : array_like
        Z [s], >= 0.

    Returns
    -------
    float or ndarray
        Time [s]; negative when the measurements contradict each other. NaN out of domain.

    References
    ----------
    E. D. Lazowska et al., Quantitative System Performance (1984), eq. 3.6.

    Examples
    --------
    >>> interactive_response_time(population=150, throughput=100, think_time=1)
    0.5
    """

    def kernel(n: Array, x: Array, z: Array) -> Array:
        return np.where(counts(n) & (x > 0) & (z >= 0), n / x - z, np.nan)

    return evaluate(kernel, population=population, throughput=throughput, think_time=think_time)


def asymptotic_throughput(
    *, servers: ArrayLike, population: ArrayLike, think_time: ArrayLike, service_time: ArrayLike
) -> FloatOrArray:
    r"""Upper bound of the throughput of N users at c servers, whatever the distributions.

    .. math:: X \le \min\left(\frac{N}{Z + S}, \frac{c}{S}\right)

    Parameters
    ----------
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
        Rate [1/s]. NaN out of domain.

    References
    ----------
    E. D. Lazowska et al., Quantitative System Performance (1984), section 5.2.

    Examples
    --------
    >>> asymptotic_throughput(servers=40, population=150, think_time=1, service_time=0.25)
    120.0
    """

    def kernel(c: Array, n: Array, z: Array, s: Array) -> Array:
        bound = np.minimum(np.where(n == 0, 0.0, n / (z + s)), np.where(c == 0, 0.0, c / s))
        return np.where(counts(c, n) & (z >= 0) & (s >= 0), bound, np.nan)

    return evaluate(kernel, servers=servers, population=population, think_time=think_time, service_time=service_time)


def asymptotic_response_time(
    *, servers: ArrayLike, population: ArrayLike, think_time: ArrayLike, service_time: ArrayLike
) -> FloatOrArray:
    r"""Lower bound of the mean response time of N users at c servers, whatever the distributions.

    .. math:: R \ge \max(S,\; N S / c - Z)

    Parameters
    ----------
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
        Time [s]; inf without servers. NaN out of domain.

    References
    ----------
    E. D. Lazowska et al., Quantitative System Performance (1984), section 5.2.

    Examples
    --------
    >>> asymptotic_response_time(servers=40, population=250, think_time=1, service_time=0.25)
    0.5625
    """

    def kernel(c: Array, n: Array, z: Array, s: Array) -> Array:
        bound = np.where(c == 0, np.inf, np.maximum(s, n * s / c - z))
        return np.where(counts(c, n) & (z >= 0) & (s >= 0), bound, np.nan)

    return evaluate(kernel, servers=servers, population=population, think_time=think_time, service_time=service_time)


def saturation_population(*, servers: ArrayLike, think_time: ArrayLike, service_time: ArrayLike) -> FloatOrArray:
    r"""Users N* at which the two asymptotes meet: beyond it somebody must wait.

    .. math:: N^* = c\,(Z + S) / S

    Parameters
    ----------
    servers : array_like
        c [-], whole, >= 0.
    think_time : array_like
        Z [s], >= 0.
    service_time : array_like
        S [s], > 0.

    Returns
    -------
    float or ndarray
        Number [-], not rounded. NaN out of domain.

    References
    ----------
    E. D. Lazowska et al., Quantitative System Performance (1984), section 5.2.

    Examples
    --------
    >>> saturation_population(servers=40, think_time=1, service_time=0.25)
    200.0
    """

    def kernel(c: Array, z: Array, s: Array) -> Array:
        return np.where(counts(c) & (z >= 0) & (s > 0), c * (z + s) / s, np.nan)

    return evaluate(kernel, servers=servers, think_time=think_time, service_time=service_time)


def _product(x: Array, y: Array) -> Array:
    return np.where((x >= 0) & (y >= 0), x * y, np.nan)
