"""The mean of a service time that is cut off at a timeout."""

from __future__ import annotations

import numpy as np
from scipy.special import log_ndtr

from capacity.queueing.spread import LARGEST_SCV
from capacity.table import Column

__all__ = ["truncated"]


@np.errstate(all="ignore")
def truncated(service_time: Column, service_scv: Column, timeout: Column) -> Column:
    """Mean of min(S, timeout) [s], of the law that service times of this spread are taken to have.

    Exponential: S (1 - exp(-T / S)). Lognormal with ln S ~ N(mu, w^2): S Phi((ln T - mu) / w - w) + T P(S > T).

    Parameters
    ----------
    service_time, service_scv, timeout : ndarray
        Mean [s], squared coefficient of variation [-] and end [s], of one shape.

    Returns
    -------
    ndarray
        Mean [s]; the whole mean where the timeout is infinite.

    References
    ----------
    S. A. Klugman, H. H. Panjer, G. E. Willmot, Loss Models, 4th ed. (2012), appendix A: limited expected values.

    Examples
    --------
    >>> truncated(np.array([0.25, 0.25]), np.array([1.0, 4.0]), np.array([60.0, 1.0])).round(4).tolist()
    [0.25, 0.2112]
    """
    end = timeout / service_time
    width = np.sqrt(np.log1p(service_scv))
    beyond = np.exp(log_ndtr(-np.log(end) / width - width / 2.0))
    lognormal = np.exp(log_ndtr(np.log(end) / width - width / 2.0)) + np.where(beyond > 0, end * beyond, 0.0)
    lognormal = np.where(service_scv == 0, np.minimum(end, 1.0), lognormal)
    plain = (service_scv == 1.0) | (service_scv > LARGEST_SCV)
    return service_time * np.where(plain, -np.expm1(-end), lognormal)
