"""What a window of a chain adds up, against its spectrum, a tilted generator, and what is known of some chains."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.linalg import eigh_tridiagonal, eigvals
from scipy.special import ndtri

from capacity.window import Chain, Sum, chain_of, spread, strayed, sums

Array = NDArray[np.float64]


def queue(servers: int, rate: float, states: int) -> Chain:
    """M/M/c with a service time of 1, cut off where nobody ever is."""
    state = np.arange(states + 1.0)
    return chain_of(np.full(state.size, rate), np.minimum(state, servers))


def users(servers: int, population: int, think_time: float) -> Chain:
    state = np.arange(population + 1.0)
    return chain_of((population - state) / think_time, np.minimum(state, servers))


def waits(chain: Chain, servers: int) -> Sum:
    """Of each request its wait less the mean of all, as a mean over requests adds up."""
    waiting = np.maximum(chain.state - servers, 0.0)
    return sums(chain, waiting, -chain.mean(waiting) / chain.mean(chain.death))


CHAINS = [(queue(4, 3.6, 400), 4), (queue(20, 17.0, 300), 20), (queue(1, 0.5, 60), 1), (users(4, 24, 4.0), 4)]


@pytest.mark.parametrize(("chain", "servers"), CHAINS)
@pytest.mark.parametrize("memories", [2.0, 20.0])
def test_the_variance_of_a_window_is_that_of_the_spectrum(chain: Chain, servers: int, memories: float) -> None:
    """Time averages of the queue: sum over the eigenvalues of G of the exact integral of the correlation."""
    waiting = np.maximum(chain.state - servers, 0.0)
    added = sums(chain, waiting)
    _, _, memory = spread(chain, added, 1.0)
    seconds = float(memories * memory[0])
    birth, death, share = chain.birth[:, 0], chain.death[:, 0], chain.share[:, 0]
    rates, vectors = eigh_tridiagonal(birth + death, -np.sqrt(birth[:-1] * death[1:]))
    weights = (vectors.T @ (np.sqrt(share) * (waiting[:, 0] - chain.mean(waiting)[0]))) ** 2
    rates, weights = rates[1:], weights[1:]
    exact = float(np.sum(2.0 * weights / rates * (seconds + np.expm1(-rates * seconds) / rates)))
    variance, _, _ = spread(chain, added, seconds)
    # one exponential for all of the memory: at most 1.5 % in the deviation
    assert np.sqrt(variance[0] / exact) == pytest.approx(1.0, abs=0.016)


@pytest.mark.parametrize(("chain", "servers"), CHAINS)
def test_in_the_long_run_cumulants_are_those_of_the_tilted_generator(chain: Chain, servers: int) -> None:
    """Its eigenvalue near 0 at an imaginary tilt i x, by a general solver: -variance x^2 / 2 - i third x^3 / 6 + ..."""
    added, long = waits(chain, servers), 1e9
    variance, skewness, memory = spread(chain, added, long)
    birth, death, rate = chain.birth[:, 0], chain.death[:, 0], added.rate[:, 0]
    x = 0.002 / np.sqrt(variance[0] / long * memory[0])  # of what is added up within the memory
    matrix = np.diag(1j * x * rate - birth - death) + np.diag(death[1:], -1)
    matrix += np.diag((birth * np.exp(1j * x * added.births[0][:, 0]))[:-1], 1)
    values = eigvals(matrix)
    value = values[np.argmin(np.abs(values))]
    assert variance[0] / long == pytest.approx(-2.0 * value.real / x**2, rel=1e-3)
    assert skewness[0] * variance[0] ** 1.5 / long == pytest.approx(-6.0 * value.imag / x**3, rel=5e-3)


def test_what_leaves_a_queue_is_a_poisson_stream() -> None:
    """Burke: departures of M/M/c in any window have the variance and the third cumulant of their mean."""
    chain = queue(8, 6.8, 300)
    for seconds in (0.5, 50.0, 5000.0):
        variance, skewness, _ = spread(chain, sums(chain, 0.0 * chain.state, 0.0, 1.0), seconds)
        assert variance[0] == pytest.approx(6.8 * seconds, rel=1e-6)
        assert skewness[0] == pytest.approx(1.0 / np.sqrt(6.8 * seconds), rel=1e-6)


def test_a_window_of_no_length_is_the_state_itself() -> None:
    chain = queue(4, 3.2, 200)
    variance, _, _ = spread(chain, sums(chain, chain.state), 1e-6)
    exact = chain.mean(chain.state**2) - chain.mean(chain.state) ** 2
    assert np.sqrt(variance[0] / 1e-12 / exact[0]) == pytest.approx(1.0, rel=0.2)  # its memory is not one exponential


def test_states_that_never_occur_do_not_count() -> None:
    chain = queue(1000, 900.0, 3000)
    assert chain.state[0, 0] > 500
    assert chain.state[-1, 0] < 1400
    assert chain.share.sum() == pytest.approx(1.0, rel=1e-12)
    assert chain.mean(chain.death)[0] == pytest.approx(900.0, rel=1e-9)


@pytest.mark.parametrize("skewness", [-1.5, -0.01, 0.0, 0.3, 4.0])
def test_the_law_has_its_three_moments(skewness: float) -> None:
    def moment(order: int) -> float:
        def part(p: float) -> float:
            return float(strayed(np.array([p]), np.array([2.0]), np.array([0.5]), np.array([skewness]))[0, 0] - 2.0)

        ends = [1e-12, 1e-6, 1e-3, 0.1, 0.9, 0.999, 1 - 1e-6, 1 - 1e-12]
        pieces = pairwise(ends)
        return sum(quad(lambda p: part(p) ** order, low, high, limit=200)[0] for low, high in pieces)

    assert moment(1) == pytest.approx(0.0, abs=1e-6)
    assert moment(2) == pytest.approx(0.25, rel=1e-4)
    assert moment(3) / 0.125 == pytest.approx(skewness, rel=0.02, abs=1e-3)


def test_without_skewness_the_law_is_normal() -> None:
    levels = np.array([0.05, 0.5, 0.95])
    for skewness in (0.0, np.nan):
        found = strayed(levels, np.zeros(1), np.ones(1), np.array([skewness]))[:, 0]
        np.testing.assert_allclose(found, ndtri(levels), atol=1e-4)
