"""The oracles themselves, each against a second method that shares nothing with it."""

from __future__ import annotations

from fractions import Fraction

import pytest
from oracles import exact
from oracles.exact import mp, mpf

TIGHT = mpf(10) ** -45


def agrees(left: object, right: object) -> bool:
    return abs(left - right) <= TIGHT * abs(right)


def as_mpf(value: Fraction) -> object:
    return mpf(value.numerator) / value.denominator


@pytest.mark.parametrize("servers", [1, 2, 7, 40])
@pytest.mark.parametrize("load", [0.1, 1.0, 6.3, 39.0, 200.0])
def test_erlang_b_agrees_with_the_recursion_in_exact_fractions(servers: int, load: float) -> None:
    a, blocked = Fraction(load), Fraction(1)
    for n in range(1, servers + 1):
        blocked = a * blocked / (n + a * blocked)
    assert agrees(exact.erlang_b(servers, mpf(load)), as_mpf(blocked))


@pytest.mark.parametrize(("servers", "load"), [(1000, 950.0), (1000, 999.999999), (20, 1e-3), (500, 800.5)])
def test_erlang_b_agrees_with_the_incomplete_gamma_function(servers: int, load: float) -> None:
    a = mpf(load)
    pmf = mp.exp(servers * mp.log(a) - a - mp.loggamma(servers + 1))
    assert agrees(exact.erlang_b(servers, a), pmf / mp.gammainc(servers + 1, a, regularized=True))


def stationary(generator: list[list[object]]) -> list[object]:
    """Solve pi Q = 0, sum pi = 1 by elimination: state after state is taken out of the chain, the last one first.

    After Grassmann, Taksar and Heyman (Operations Research 33, 1985): nothing is subtracted, and zeros cost nothing.
    """
    size = len(generator)
    rates = [{to: rate for to, rate in enumerate(row) if rate and to != state} for state, row in enumerate(generator)]
    for last in range(size - 1, 0, -1):
        ways = {to: rate for to, rate in rates[last].items() if to < last}
        away = sum(ways.values())
        for state in range(last):
            if last in rates[state]:
                share = rates[state][last] = rates[state][last] / away
                for to, rate in ways.items():
                    if to != state:
                        rates[state][to] = rates[state].get(to, mpf(0)) + share * rate
    weights = [mpf(1)]
    for last in range(1, size):
        weights.append(sum(weights[state] * rates[state].get(last, mpf(0)) for state in range(last)))
    return [weight / sum(weights) for weight in weights]


def chain(rates: dict[tuple[int, int], object], size: int) -> list[list[object]]:
    generator = [[mpf(0)] * size for _ in range(size)]
    for (source, target), rate in rates.items():
        generator[source][target] += rate
        generator[source][source] -= rate
    return generator


def test_erlang_c_agrees_with_a_linear_solve_of_a_long_finite_queue() -> None:
    servers, load = 3, mpf("1.1")
    rates = {(n, n + 1): load for n in range(150)} | {(n + 1, n): mpf(min(n + 1, servers)) for n in range(150)}
    state = stationary(chain(rates, 151))
    assert agrees(exact.erlang_c(servers, load), sum(state[servers:]))


@pytest.mark.parametrize("load", [0.5, 2.0, 3.0, 5.5])
def test_mmck_agrees_with_a_linear_solve(load: float) -> None:
    servers, backlog = 3, 9
    size = servers + backlog + 1
    rates = {(n, n + 1): mpf(load) for n in range(size - 1)}
    rates |= {(n + 1, n): mpf(min(n + 1, servers)) for n in range(size - 1)}
    state = stationary(chain(rates, size))
    means = exact.mmck(servers, backlog, load, 1.0)
    assert agrees(means["blocking_probability"], state[-1])
    queue = sum(p * (n - servers) for n, p in enumerate(state) if n > servers)
    assert agrees(means["waiting_time"], queue / means["throughput"])  # Little's law


@pytest.mark.parametrize("load", [0.9, 1.7])
def test_mmck_tail_agrees_with_the_closed_form(load: float) -> None:
    servers, backlog, t = 2, 12, 1.75
    weights = exact.mmck_weights(servers, backlog, mpf(load))
    rho, x, most = mpf(load) / servers, servers * mpf(t), backlog - 1
    closed = mp.exp(-x * (1 - rho)) * mp.gammainc(most + 1, rho * x, regularized=True)
    closed -= rho ** (most + 1) * mp.gammainc(most + 1, x, regularized=True)
    closed *= weights[servers] / sum(weights[:-1]) / (1 - rho)
    assert agrees(exact.mmck_waiting_tail(servers, backlog, load, 1.0, t), closed)


@pytest.mark.parametrize(("servers", "population"), [(1, 6), (3, 11), (5, 5), (6, 4)])
def test_finite_agrees_with_a_linear_solve(servers: int, population: int) -> None:
    think, hold = mpf(1.7), mpf(0.6)
    means = exact.finite(servers, population, 1.7, 0.6)
    for users in (population, population - 1):
        rates = {(n, n + 1): (users - n) / think for n in range(users)}
        rates |= {(n + 1, n): min(n + 1, servers) / hold for n in range(users)}
        state = stationary(chain(rates, users + 1))
        if users == population:
            busy = sum(p * min(n, servers) for n, p in enumerate(state))
            assert agrees(means["throughput"], busy / hold)
            assert agrees(means["response_time"], population / means["throughput"] - think)
        else:
            assert abs(means["wait_probability"] - sum(state[servers:])) < TIGHT
            wait = sum(p * (n - servers + 1) * hold / servers for n, p in enumerate(state) if n >= servers)
            assert abs(means["waiting_time"] - wait) < TIGHT  # the arrival theorem


def test_finite_agrees_with_the_poisson_and_binomial_closed_form() -> None:
    servers, population, think, hold = 16, 120, mpf(4), mpf(0.5)
    ratio, mean, most = hold / think, servers * think / hold, population - servers
    p = ratio / (1 + ratio)
    above = mp.exp(-mean) * mean**most / mp.factorial(most)
    above = mp.gammainc(most + 1, mean, regularized=True) / above
    pmf = mp.binomial(population, servers) * p**servers * (1 - p) ** (population - servers)
    below = mp.betainc(population - servers + 1, servers, 0, 1 - p, regularized=True) / pmf
    at, less = 1 / (below + above), below / (below + above)
    busy = (ratio * population * less - servers * at) / (1 + ratio) + servers * (1 - less)
    assert agrees(exact.finite(servers, population, 4.0, 0.5)["throughput"], busy / hold)


@pytest.mark.parametrize(("drain", "hold"), [(3.0, 1.0), (1.0, 1.0), (1.0000001, 1.0), (40.0, 0.3)])
@pytest.mark.parametrize("t", [0.0, 0.3, 2.5, 30.0])
def test_wait_and_response_tails_agree_with_a_matrix_exponential(drain: float, hold: float, t: float) -> None:
    weights = [mpf(w) for w in (0.25, 0.125, 0.0, 0.3125, 0.0625)]
    free = mpf(0.25)
    beta, leave, stages = mpf(drain), 1 / mpf(hold), len(weights)
    generator = mp.matrix(stages + 1, stages + 1)  # state m: m departures to wait for; state 0: in service
    for m in range(1, stages + 1):
        generator[m, m], generator[m, m - 1] = -beta, beta
    generator[0, 0] = -leave
    with mp.workdps(90):
        moved = mp.expm(generator * mpf(t))
    waiting = sum(w * moved[m + 1, n] for m, w in enumerate(weights) for n in range(1, stages + 1))
    response = free * moved[0, 0] + sum(w * moved[m + 1, n] for m, w in enumerate(weights) for n in range(stages + 1))
    got = exact.wait_and_response_tails(free, weights, beta, mpf(hold), mpf(t))
    assert agrees(got[0], waiting)
    assert agrees(got[1], response)


@pytest.mark.parametrize("stages", [1, 40, 400])
@pytest.mark.parametrize("t", [2.0, 25.0, 90.0])
def test_hold_tails_agree_with_incomplete_gamma_functions(stages: int, t: float) -> None:
    drain, hold = mpf(5), mpf(1.25)
    mean = drain * t
    poisson = [mp.exp(m * mp.log(mean) - mean - mp.loggamma(m + 1)) for m in range(stages + 1)]
    got = exact.hold_tails(poisson, drain, hold, mpf(t))
    leave = 1 / hold
    for m in {1, (stages + 1) // 2, stages}:
        with mp.workdps(160):
            left = mp.gammainc(m, 0, (drain - leave) * t, regularized=True)
        assert agrees(got[m - 1], mp.exp(-leave * t) * (drain / (drain - leave)) ** m * left)


@pytest.mark.parametrize("p", [0.5, 0.95, 0.999])
def test_quantiles_are_where_the_tail_is(p: float) -> None:
    left = 1 - mpf(p)
    waiting, response = exact.mmc_quantiles(4, 3.7, 1.1 * 0.95, p)
    assert agrees(exact.mmc_tails(4, 3.7, 1.1 * 0.95, waiting)[0], left)
    assert agrees(exact.mmc_tails(4, 3.7, 1.1 * 0.95, response)[1], left)
    law = exact.finite_waits(4, 30, 5.0, 1.1)
    assert agrees(law.tails(law.waiting_quantile(p))[0], left)
    assert agrees(law.tails(law.response_quantile(p))[1], left)


@pytest.mark.parametrize(("cores", "share"), [(1, 0.3), (3, 0.9), (7, 1e-6), (2, 1.0)])
def test_shared_throughput_agrees_with_exact_mean_value_analysis(cores: int, share: float) -> None:
    """Marginal-probability MVA at 60 digits: unstable in doubles, a fair second method here."""
    service, cpu = 0.7, 0.7 * share
    demand, away = mpf(cpu), mpf(service) - mpf(cpu)
    got = exact.shared_cores_throughputs(12, cores, cpu, service)
    state = [mpf(1)]
    for n in range(1, 13):
        time = sum(demand * (j + 1) / min(j + 1, cores) * state[j] for j in range(n))
        throughput = n / (time + away)
        assert agrees(got[n], throughput)
        upper = [throughput * demand / min(j, cores) * state[j - 1] for j in range(1, n + 1)]
        state = [1 - sum(upper), *upper]


def test_a_pool_without_cpu_time_is_the_plain_queue() -> None:
    open_pool, plain = exact.shared(5, 2, 0.0, 0.8, 5.5), exact.mmc(5, 5.5, 0.8)
    for name in ("wait_probability", "waiting_time", "response_time"):
        assert agrees(open_pool[name], plain[name])
    assert agrees(exact.shared_response_quantile(open_pool, 0.95), exact.mmc_quantiles(5, 5.5, 0.8, 0.95)[1])
    closed, finite = exact.shared_finite(5, 2, 0.0, 0.8, 40, 3.0), exact.finite(5, 40, 3.0, 0.8)
    for name in ("throughput", "wait_probability", "waiting_time", "response_time"):
        assert agrees(closed[name], finite[name])
