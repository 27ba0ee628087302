"""A pool that gets every h-th request: against M/M/c, against the chain with its phases, and in its limits."""

from __future__ import annotations

import numpy as np
import pytest

from capacity import queueing
from capacity.queueing._in_turn import in_turn


def one(servers: int, offered_load: float, hosts: int) -> tuple[float, float]:
    waits, ends = in_turn(np.array([float(servers)]), np.array([offered_load]), np.array([float(hosts)]))
    return float(waits[0]), float(ends[0])


def seen_by_arrivals(servers: int, offered_load: float, hosts: int, states: int) -> np.ndarray:
    """Numbers in system that arrivals find, by the Markov chain with the phase of the next arrival, cut off late."""
    step, size = hosts * offered_load, states * hosts
    rates = np.zeros((size, size))
    for n in range(states):
        for phase in range(hosts):
            here = n * hosts + phase
            if phase + 1 < hosts:
                rates[here, here + 1] += step
            elif n + 1 < states:
                rates[here, (n + 1) * hosts] += step
            if n:
                rates[here, here - hosts] += min(n, servers)
    np.fill_diagonal(rates, -rates.sum(axis=1))
    rates[:, 0] = 1.0
    chance = np.linalg.solve(rates.T, np.eye(size)[0]).reshape(states, hosts)
    return chance[:, -1] / chance[:, -1].sum()  # arrivals come out of the last phase


@pytest.mark.parametrize("servers", [1, 2, 8, 40, 300])
@pytest.mark.parametrize("utilization", [0.05, 0.5, 0.8, 0.99])
def test_one_host_is_an_erlang_c_pool(servers, utilization):
    waits, ends = one(servers, servers * utilization, 1)
    assert waits == pytest.approx(
        float(queueing.erlang_c(servers=servers, offered_load=servers * utilization)), rel=1e-9
    )
    assert ends == pytest.approx(servers * (1 - utilization), rel=1e-9)


@pytest.mark.parametrize(("servers", "hosts"), [(1, 2), (3, 2), (2, 4)])
@pytest.mark.parametrize("utilization", [0.3, 0.7, 0.9])
def test_it_is_what_the_chain_says(servers, hosts, utilization):
    states = 250
    seen = seen_by_arrivals(servers, servers * utilization, hosts, states)
    places = np.arange(1, states - servers + 1)
    waits, ends = one(servers, servers * utilization, hosts)
    assert waits == pytest.approx(seen[servers:].sum(), rel=1e-8)
    assert waits / ends == pytest.approx((seen[servers:] * places).sum() / servers, rel=1e-8)


def test_more_hosts_wait_less_down_to_regular_arrivals():
    waits = [np.divide(*one(8, 6.4, hosts)) for hosts in (1, 2, 4, 16, 1000)]
    assert (np.diff(waits) < 0).all()
    # D/M/c: sigma = exp(-(1 - sigma) / utilization)
    _, ends = one(8, 6.4, 100_000)
    sigma = 1 - ends / 8
    assert sigma == pytest.approx(np.exp(-(1 - sigma) / 0.8), rel=1e-4)


def test_the_ends():
    assert one(4, 0.0, 3) == (0.0, 4.0)
    assert one(4, 4.0, 3) == (1.0, 0.0)
    assert one(4, 5.0, 3) == (1.0, 0.0)
    waits, ends = one(20_000, 19_500.0, 7)
    assert 0 < waits < 1
    assert ends > 0
