"""M/M/c: c servers, a Poisson stream, exponential service, and a queue that everybody may join.

With a limited queue it is M/M/c/K: see ``multiserver_backlog``.
"""

from __future__ import annotations

from numpy.typing import ArrayLike

from capacity.queueing import _mmc
from capacity.queueing._evaluate import FloatOrArray, evaluate

__all__ = [
    "mmc_queue_length",
    "mmc_response_time",
    "mmc_response_time_quantile",
    "mmc_response_time_tail",
    "mmc_wait_probability",
    "mmc_waiting_time",
    "mmc_waiting_time_quantile",
    "mmc_waiting_time_tail",
]


def mmc_wait_probability(*, servers: ArrayLike, arrival_rate: ArrayLike, service_time: ArrayLike) -> FloatOrArray:
    r"""Wait probability of M/M/c: an arrival finds every server busy.

    .. math:: P(W > 0) = C(c, a), \quad a = \lambda S

    Parameters
    ----------
    servers : array_like
        c [-], whole, >= 0.
    arrival_rate : array_like
        lambda [1/s], >= 0.
    service_time : array_like
        S [s], >= 0.

    Returns
    -------
    float or ndarray
        Probability [0, 1]. NaN out of domain.

    Notes
    -----
    0 at zero load, 1 at utilization >= 1. Relative error below 1e-12 for c to 1e6 and utilization to 1 - 1e-9:
    the rounding of lambda S is made good, which ``erlang_c`` cannot do for a load already rounded.

    References
    ----------
    L. Kleinrock, Queueing Systems I (1975), eq. 3.40.

    Examples
    --------
    >>> round(mmc_wait_probability(servers=40, arrival_rate=120, service_time=0.25), 4)
    0.0552
    """
    return evaluate(_mmc.wait_probability, servers=servers, arrival_rate=arrival_rate, service_time=service_time)


def mmc_waiting_time(*, servers: ArrayLike, arrival_rate: ArrayLike, service_time: ArrayLike) -> FloatOrArray:
    r"""Mean waiting time of M/M/c, in the queue only.

    .. math:: E[W] = \frac{C(c, a)\,S}{c - a}

    Parameters
    ----------
    servers : array_like
        c [-], whole, >= 0.
    arrival_rate : array_like
        lambda [1/s], >= 0.
    service_time : array_like
        S [s], >= 0.

    Returns
    -------
    float or ndarray
        Time [s]. NaN out of domain.

    Notes
    -----
    0 at zero load, inf at utilization >= 1.

    References
    ----------
    L. Kleinrock, Queueing Systems I (1975), section 3.5, with Little's law.

    Examples
    --------
    >>> round(mmc_waiting_time(servers=40, arrival_rate=120, service_time=0.25), 6)
    0.001381
    """
    return evaluate(_mmc.waiting_time, servers=servers, arrival_rate=arrival_rate, service_time=service_time)


def mmc_response_time(*, servers: ArrayLike, arrival_rate: ArrayLike, service_time: ArrayLike) -> FloatOrArray:
    r"""Mean response time of M/M/c: waiting plus service.

    .. math:: E[R] = E[W] + S

    Parameters
    ----------
    servers : array_like
        c [-], whole, >= 0.
    arrival_rate : array_like
        lambda [1/s], >= 0.
    service_time : array_like
        S [s], >= 0.

    Returns
    -------
    float or ndarray
        Time [s]. NaN out of domain.

    Notes
    -----
    S at zero load, inf at utilization >= 1.

    References
    ----------
    L. Kleinrock, Queueing Systems I (1975), section 3.5.

    Examples
    --------
    >>> round(mmc_response_time(servers=40, arrival_rate=120, service_time=0.25), 6)
    0.251381
    """
    return evaluate(_mmc.response_time, servers=servers, arrival_rate=arrival_rate, service_time=service_time)


def mmc_queue_length(*, servers: ArrayLike, arrival_rate: ArrayLike, service_time: ArrayLike) -> FloatOrArray:
    r"""Mean queue length of M/M/c: how many wait.

    .. math:: E[L_q] = \lambda E[W] = \frac{C(c, a)\,a}{c - a}

    Parameters
    ----------
    servers : array_like
        c [-], whole, >= 0.
    arrival_rate : array_like
        lambda [1/s], >= 0.
    service_time : array_like
        S [s], >= 0.

    Returns
    -------
    float or ndarray
        Number [-]. NaN out of domain.

    Notes
    -----
    0 at zero load, inf at utilization >= 1.

    References
    ----------
    L. Kleinrock, Queueing Systems I (1975), section 3.5.

    Examples
    --------
    >>> round(mmc_queue_length(servers=40, arrival_rate=120, service_time=0.25), 4)
    0.1657
    """
    return evaluate(_mmc.queue_length, servers=servers, arrival_rate=arrival_rate, service_time=service_time)


def mmc_waiting_time_tail(
    t: ArrayLike, *, servers: ArrayLike, arrival_rate: ArrayLike, service_time: ArrayLike
) -> FloatOrArray:
    r"""Tail of the waiting time of M/M/c, P(W > t), first come first served.

    .. math:: P(W > t) = C(c, a)\,e^{-(c - a) t / S}

    Parameters
    ----------
    t : array_like
        Time [s], >= 0.
    servers : array_like
        c [-], whole, >= 0.
    arrival_rate : array_like
        lambda [1/s], >= 0.
    service_time : array_like
        S [s], >= 0.

    Returns
    -------
    float or ndarray
        Probability [0, 1]. NaN out of domain.

    Notes
    -----
    0 at zero load, 1 at utilization >= 1.

    References
    ----------
    D. Gross et al., Fundamentals of Queueing Theory, 4th ed. (2008), section 2.3.

    Examples
    --------
    >>> round(mmc_waiting_time_tail(0.1, servers=40, arrival_rate=155, service_time=0.25), 4)
    0.4728
    """
    return evaluate(_mmc.waiting_tail, t=t, servers=servers, arrival_rate=arrival_rate, service_time=service_time)


def mmc_response_time_tail(
    t: ArrayLike, *, servers: ArrayLike, arrival_rate: ArrayLike, service_time: ArrayLike
) -> FloatOrArray:
    r"""Tail of the response time of M/M/c, P(R > t), first come first served.

    .. math:: P(R > t) = e^{-t/S} \left[ 1 + C(c, a) \frac{1 - e^{-(c - a - 1) t / S}}{c - a - 1} \right]

    Parameters
    ----------
    t : array_like
        Time [s], >= 0.
    servers : array_like
        c [-], whole, >= 0.
    arrival_rate : array_like
        lambda [1/s], >= 0.
    service_time : array_like
        S [s], >= 0.

    Returns
    -------
    float or ndarray
        Probability [0, 1]. NaN out of domain.

    Notes
    -----
    exp(-t/S) at zero load, 1 at utilization >= 1. Continuous through c - a = 1, where the written form is 0/0.

    References
    ----------
    D. Gross et al., Fundamentals of Queueing Theory, 4th ed. (2008), section 2.3.

    Examples
    --------
    >>> round(mmc_response_time_tail(1.0, servers=40, arrival_rate=155, service_time=0.25), 4)
    0.0544
    """
    return evaluate(_mmc.response_tail, t=t, servers=servers, arrival_rate=arrival_rate, service_time=service_time)


def mmc_waiting_time_quantile(
    p: ArrayLike, *, servers: ArrayLike, arrival_rate: ArrayLike, service_time: ArrayLike
) -> FloatOrArray:
    r"""Quantile of the waiting time of M/M/c: the least t with P(W <= t) >= p.

    .. math:: W_p = \max\left(0,\; \frac{S}{c - a} \ln \frac{C(c, a)}{1 - p}\right)

    Parameters
    ----------
    p : array_like
        Probability [-], 0 to 1.
    servers : array_like
        c [-], whole, >= 0.
    arrival_rate : array_like
        lambda [1/s], >= 0.
    service_time : array_like
        S [s], >= 0.

    Returns
    -------
    float or ndarray
        Time [s]. NaN out of domain.

    Notes
    -----
    0 at zero load and where p <= 1 - C; inf at utilization >= 1, and at p = 1 when anybody waits.

    References
    ----------
    D. Gross et al., Fundamentals of Queueing Theory, 4th ed. (2008), section 2.3.

    Examples
    --------
    >>> round(mmc_waiting_time_quantile(0.95, servers=40, arrival_rate=155, service_time=0.25), 4)
    0.5493
    """
    return evaluate(_mmc.waiting_quantile, p=p, servers=servers, arrival_rate=arrival_rate, service_time=service_time)


def mmc_response_time_quantile(
    p: ArrayLike, *, servers: ArrayLike, arrival_rate: ArrayLike, service_time: ArrayLike
) -> FloatOrArray:
    r"""Quantile of the response time of M/M/c: the t with P(R <= t) = p, solved to the last bits.

    Parameters
    ----------
    p : array_like
        Probability [-], 0 to 1.
    servers : array_like
        c [-], whole, >= 0.
    arrival_rate : array_like
        lambda [1/s], >= 0.
    service_time : array_like
        S [s], >= 0.

    Returns
    -------
    float or ndarray
        Time [s]. NaN out of domain.

    Notes
    -----
    -S ln(1-p) at zero load; inf at utilization >= 1, and at p = 1. The root of ``mmc_response_time_tail`` - (1 - p)
    is bracketed and solved on the logarithm of the tail. Relative error below 1e-11 for p >= 0.001; for smaller
    p the loss is that of 1 - p itself, about 1e-15/p.

    References
    ----------
    The tail of ``mmc_response_time_tail``; root by Chandrupatla's method (1997).

    Examples
    --------
    >>> round(mmc_response_time_quantile(0.95, servers=40, arrival_rate=120, service_time=0.25), 4)
    0.7505
    """
    return evaluate(_mmc.response_quantile, p=p, servers=servers, arrival_rate=arrival_rate, service_time=service_time)
