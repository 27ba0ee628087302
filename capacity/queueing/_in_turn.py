"""Kernel of a pool that gets every h-th request of a Poisson stream: E_h/M/c over flat arrays, exact.

Between its arrivals lie h of the stream's, an Erlang time with transform phi(s) = (h lambda / (h lambda + s))^h. Who
arrives while every server is busy finds one waiting more with chance sigma, the root below 1 of
sigma = phi(c mu (1 - sigma)), so who waits, waits an exponential time of rate c mu (1 - sigma). The chance to wait is
Takacs's (Introduction to the Theory of Queues, 1962, chapter 2, theorem 1 for G/M/c):

    P(W > 0) = 1 / (1 + (1 - sigma) sum_j  binom(c, j) / (C_j (1 - phi_j)) (c (1 - phi_j) - j) / (c (1 - sigma) - j)),
    phi_j = phi(j mu),  C_j = phi_1/(1 - phi_1) ... phi_j/(1 - phi_j),  j = 1 ... c

All terms are positive, since numerator and denominator change their sign together (phi is convex), so no digits are
lost; binomials and products are summed as logarithms.
"""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln

from capacity.queueing._evaluate import Array

_STEPS = 200
_TINY = 1e-9


@np.errstate(all="ignore")
def in_turn(servers: Array, offered_load: Array, hosts: Array) -> tuple[Array, Array]:
    """Wait probability, and the rate c (1 - sigma) at which waits end in service times.

    ``offered_load`` is of the one pool; where it is at least ``servers``, the probability is 1 and the rate 0.
    """
    stable = (offered_load < servers) & (offered_load > 0)
    load = np.where(stable, offered_load, 0.5 * servers)
    sigma = _sigma(servers, load, hosts)
    waits = np.array([_waits(*row) for row in zip(servers, load, hosts, sigma, strict=True)], dtype=np.float64)
    idle = offered_load == 0
    waits = np.where(stable, waits, np.where(idle, 0.0, np.where(offered_load >= servers, 1.0, np.nan)))
    ends = np.where(stable, servers * (1.0 - sigma), np.where(idle, servers, 0.0))
    return waits, ends


def _log_phi(s: Array | float, load: Array | float, hosts: Array | float) -> Array:
    """Logarithm of the transform at s per service time."""
    total = hosts * load
    return np.asarray(-hosts * np.log1p(s / total))


def _sigma(servers: Array, load: Array, hosts: Array) -> Array:
    """Least root, by Newton's steps from 0: the function is convex, so they rise to it and never beyond."""
    sigma = np.zeros(servers.shape)
    for _ in range(_STEPS):
        s = servers * (1.0 - sigma)
        phi = np.exp(_log_phi(s, load, hosts))
        slope = phi * servers / (load * (1.0 + s / (hosts * load)))
        step = np.maximum((phi - sigma) / (1.0 - slope), 0.0)
        sigma = np.minimum(sigma + step, 1.0)
        if (step <= 1e-15).all():
            break
    return sigma


def _waits(servers: float, load: float, hosts: float, sigma: float) -> float:
    j = np.arange(1.0, servers + 1.0)
    log_phi = _log_phi(j, load, hosts)
    rest = -np.expm1(log_phi)  # 1 - phi_j
    log_c = np.cumsum(log_phi - np.log(rest))
    log_binomial = gammaln(servers + 1.0) - gammaln(j + 1.0) - gammaln(servers - j + 1.0)
    above, below = servers * rest - j, servers * (1.0 - sigma) - j
    # at a common zero, the ratio of their slopes
    slope = sigma * servers / (load * (1.0 + servers * (1.0 - sigma) / (hosts * load)))
    ratio = np.where(np.abs(below) > _TINY * servers, above / below, 1.0 - slope)
    terms = log_binomial - log_c - np.log(rest) + np.log(ratio)
    peak = float(np.max(terms))
    total = float(np.sum(np.exp(terms - peak)))
    return float(1.0 / (1.0 + np.exp(np.log1p(-sigma) + peak) * total))
