"""Exact queueing quantities at 60 digits, from the definitions: balance equations and sums over states.

Nothing here is clever and nothing here is shared with the package under test. Every number a caller passes is
taken as the exact binary fraction its double is, and products such as arrival rate times service time are formed
in high precision, never rounded to a double first.

Every sum has positive terms only, so 60 working digits leave more than 50 good ones; the one exception (the
complement in `hold_tails`) loses at most a digit. `tests/oracles/test_exact.py` holds them against second methods.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import accumulate

from mpmath import MPContext

mp = MPContext()
mp.dps = 60

mpf = mp.mpf
Number = float | int
Real = type(mpf(0))

NEGLIGIBLE = mpf(10) ** -70


def number(value: Number) -> Real:
    """The exact value of a double."""
    return mpf(value)


# --- Erlang -----------------------------------------------------------------------------------------------------


def erlang_b(servers: int, load: Real) -> Real:
    """Blocking of M/M/c/c: 1/B = sum over j of c (c-1) ... (c-j+1) / a^j (the weights of states c, c-1, ...)."""
    if load == 0:
        return mpf(servers == 0)
    inverse, total, term = 1 / load, mpf(1), mpf(1)
    for left in range(servers, 0, -1):
        ratio = left * inverse
        term = term * ratio
        total += term
        if ratio < 1 and term < NEGLIGIBLE * total * (1 - ratio):
            break
    return 1 / total


def erlang_c(servers: int, load: Real) -> Real:
    """Probability of waiting in M/M/c: c B / (c - a (1 - B)); 1 where the load reaches the servers."""
    if load >= servers:
        return mpf(1)
    blocked = erlang_b(servers, load)
    return servers * blocked / (servers - load * (1 - blocked))


# --- M/M/c ------------------------------------------------------------------------------------------------------


def mmc(servers: int, arrival_rate: Number, service_time: Number) -> dict[str, Real]:
    """Means of a stable M/M/c queue."""
    rate, hold = number(arrival_rate), number(service_time)
    load = rate * hold
    wait = erlang_c(servers, load)
    mean_wait = wait * hold / (servers - load)
    return {
        "wait_probability": wait,
        "waiting_time": mean_wait,
        "response_time": mean_wait + hold,
        "queue_length": rate * mean_wait,
    }


def exponential_wait_tails(wait: Real, drain: Real, hold: Real, t: Real) -> tuple[Real, Real]:
    """P(W > t), P(R > t) where W is 0 or, with probability `wait`, exponential, and R = W + an exponential hold."""
    waiting = wait * mp.exp(-drain * t)
    if hold == 0:
        return waiting, waiting
    leave = 1 / hold
    gap = drain - leave  # the two exponentials of the sum: its density has a removable singularity at equal rates
    both = t if gap == 0 else -mp.expm1(-gap * t) / gap
    return waiting, mp.exp(-leave * t) * (1 + wait * leave * both)


def mmc_tails(servers: int, arrival_rate: Number, service_time: Number, t: Number | Real) -> tuple[Real, Real]:
    """P(W > t) and P(R > t) of a stable M/M/c queue."""
    hold = number(service_time)
    load = number(arrival_rate) * hold
    return exponential_wait_tails(erlang_c(servers, load), (servers - load) / hold, hold, mpf(t))


def mmc_quantiles(servers: int, arrival_rate: Number, service_time: Number, p: Number) -> tuple[Real, Real]:
    """The p-quantiles of W and of R of a stable M/M/c queue."""
    hold = number(service_time)
    load = number(arrival_rate) * hold
    return exponential_wait_quantiles(erlang_c(servers, load), (servers - load) / hold, hold, number(p))


def exponential_wait_quantiles(wait: Real, drain: Real, hold: Real, p: Real) -> tuple[Real, Real]:
    """Quantiles of the laws of `exponential_wait_tails`: a logarithm for W, a root for R."""
    left = 1 - p
    waiting = mp.log(wait / left) / drain if wait > left else mpf(0)

    def tail_and_slope(t: Real) -> tuple[Real, Real]:
        of_wait, of_response = exponential_wait_tails(wait, drain, hold, t)
        return of_response, (of_wait - of_response) / hold

    return waiting, quantile(tail_and_slope, left, hold + wait / drain)


def quantile(tail_and_slope: Callable[[Real], tuple[Real, Real]], left: Real, start: Real) -> Real:
    """The t with tail(t) = left: Newton on the logarithm of the tail inside a closing bracket."""
    low, high, t = mpf(0), mp.inf, start
    for _ in range(400):
        tail, slope = tail_and_slope(t)
        if tail > left:
            low = t
        else:
            high = t
        if tail == left or abs(tail / left - 1) <= mpf(10) ** -45:
            return t
        step = mp.log(tail / left) * tail / -slope if slope < 0 else mp.inf  # flat to all digits: far left
        new = t + step
        if high == mp.inf:
            t = min(new, 4 * t) if new > low else 2 * t
        else:
            t = new if low < new < high else (low + high) / 2
    raise ArithmeticError("no root found")


# --- M/M/c/K ----------------------------------------------------------------------------------------------------


def mmck_weights(servers: int, backlog: int, load: Real) -> list[Real]:
    """Unnormalised probabilities of 0 .. servers + backlog requests, from the balance equations."""
    steps = (load / min(n, servers) for n in range(1, servers + backlog + 1))
    return list(accumulate(steps, lambda weight, step: weight * step, initial=mpf(1)))


def mmck(servers: int, backlog: int, arrival_rate: Number, service_time: Number) -> dict[str, Real]:
    """Means of M/M/c/K with K = servers + backlog; waits are those of accepted requests."""
    rate, hold = number(arrival_rate), number(service_time)
    weights = mmck_weights(servers, backlog, rate * hold)
    accepted = mp.fsum(weights[:-1])
    ahead = mp.fsum((m + 1) * weight for m, weight in enumerate(weights[servers:-1]))
    waiting = ahead / accepted * hold / servers
    total = accepted + weights[-1]
    return {
        "blocking_probability": weights[-1] / total,
        "throughput": rate * accepted / total,
        "waiting_time": waiting,
        "response_time": waiting + hold,
    }


def mmck_waiting_tail(servers: int, backlog: int, arrival_rate: Number, service_time: Number, t: Number) -> Real:
    """P(W > t) of accepted requests: an arrival that finds n >= servers waits for n - servers + 1 departures."""
    hold = number(service_time)
    weights = mmck_weights(servers, backlog, number(arrival_rate) * hold)
    accepted = mp.fsum(weights[:-1])
    return departures_tail(weights[servers:-1], servers / hold * number(t)) / accepted


# --- Waits for departures -----------------------------------------------------------------------------------------


def departures_tail(weights: list[Real], mean: Real) -> Real:
    """Sum over m >= 1 of weights[m-1] P(fewer than m departures), their number Poisson with that mean."""
    total, cumulative, term = mpf(0), mpf(0), mp.exp(-mean)
    for m, weight in enumerate(weights):
        cumulative += term
        total += weight * cumulative
        term = term * mean / (m + 1)
    return total


def wait_and_response_tails(
    free: Real, weights: list[Real], drain: Real, hold: Real, t: Real
) -> tuple[Real, Real, Real]:
    """P(W > t), P(R > t) and the density of W at t.

    W is 0 with probability `free` and a sum of m exponentials of rate `drain` with probability weights[m-1];
    R = W + an independent exponential of mean `hold`.
    """
    mean = drain * t
    poisson = [mp.exp(-mean)]
    for m in range(1, len(weights) + 1):
        poisson.append(poisson[-1] * mean / m)
    late = list(accumulate(poisson[:-1]))  # late[m-1] = P(Erlang(m) > t)
    waiting = mp.fdot(weights, late)
    density = drain * mp.fdot(weights, poisson[: len(weights)])
    if hold == 0:
        return waiting, waiting, density
    after = hold_tails(poisson, drain, hold, t)
    return waiting, free * mp.exp(-t / hold) + waiting + mp.fdot(weights, after), density


def hold_tails(poisson: list[Real], drain: Real, hold: Real, t: Real) -> list[Real]:
    """P(Erlang(m) <= t < Erlang(m) + hold) for m = 1 .. len(poisson) - 1.

    With s = 1 - 1/(drain hold) it is the sum over i >= m of s^(i-m) P(Poisson(drain t) = i): after the m-th
    departure each further one leaves the hold unfinished with probability s. Summed downwards: all terms positive.
    """
    last = len(poisson) - 1
    if last == 0:
        return []
    slow = 1 - 1 / (drain * hold)
    mean = drain * t
    if slow * mean > last:  # the complement of a sum that is at most about a half
        below, term = mpf(0), mpf(1)
        for i in range(last):
            below += term
            term = term * (slow * mean) / (i + 1)
        value = mp.exp(-t / hold) * slow**-last * (1 - mp.exp(-slow * mean) * below)
    else:
        value, term, i = mpf(0), poisson[last], last
        while term > NEGLIGIBLE * value:
            value += term
            i += 1
            term = term * slow * mean / i
    tails = [value]
    for m in range(last - 1, 0, -1):
        value = poisson[m] + slow * value
        tails.append(value)
    return tails[::-1]


# --- Birth-death pools with finitely many users -------------------------------------------------------------------


def closed_probabilities(population: int, think_time: Real, completion: Callable[[int], Real]) -> list[Real]:
    """P(n requests in the pool), n = 0 .. population, users thinking for `think_time` between requests."""
    if think_time == 0:
        return [mpf(0)] * population + [mpf(1)]
    weight, weights = mpf(1), [mpf(1)]
    for n in range(1, population + 1):
        weight = weight * (population - n + 1) / (think_time * completion(n))
        weights.append(weight)
    total = mp.fsum(weights)
    return [w / total for w in weights]


def closed_means(servers: int, population: int, think_time: Real, completion: Callable[[int], Real]) -> dict[str, Real]:
    """Means of a pool of `servers` workers that completes completion(n) requests a second with n in it."""
    state = closed_probabilities(population, think_time, completion)
    throughput = mp.fsum(p * completion(n) for n, p in enumerate(state) if n)
    busy = mp.fsum(p * min(n, servers) for n, p in enumerate(state))
    queue = mp.fsum(p * (n - servers) for n, p in enumerate(state) if n > servers)
    seen = closed_probabilities(population - 1, think_time, completion) if population else []
    return {
        "throughput": throughput,
        "utilization": busy / servers,
        "wait_probability": mp.fsum(seen[servers:]),
        "waiting_time": queue / throughput,
        "response_time": (queue + busy) / throughput,
        "hold": busy / throughput,
    }


def finite_completion(servers: int, service_time: Number) -> Callable[[int], Real]:
    """Completion rate of c exponential servers."""
    leave = 1 / number(service_time)
    return lambda n: min(n, servers) * leave


def finite(servers: int, population: int, think_time: Number, service_time: Number) -> dict[str, Real]:
    """Means of M/M/c//N."""
    return closed_means(servers, population, number(think_time), finite_completion(servers, service_time))


class ClosedWaits:
    """Waiting- and response-time law of a request that finds n of the other users in the pool."""

    def __init__(
        self, servers: int, population: int, think_time: Real, completion: Callable[[int], Real], hold: Real
    ) -> None:
        seen = closed_probabilities(population - 1, think_time, completion)
        self.free = mp.fsum(seen[:servers])
        self.weights = seen[servers:]
        self.drain = completion(servers)
        self.hold = hold

    def tails(self, t: Real) -> tuple[Real, Real, Real]:
        """P(W > t), P(R > t), density of W."""
        return wait_and_response_tails(self.free, self.weights, self.drain, self.hold, mpf(t))

    def waiting_quantile(self, p: Number) -> Real:
        """Least t with P(W <= t) >= p."""
        left = 1 - number(p)
        if mp.fsum(self.weights) <= left:
            return mpf(0)
        start = len(self.weights) / self.drain / 2

        def tail_and_slope(t: Real) -> tuple[Real, Real]:
            waiting, _, density = self.tails(t)
            return waiting, -density

        return quantile(tail_and_slope, left, start)

    def response_quantile(self, p: Number) -> Real:
        """Least t with P(R <= t) >= p."""
        if self.hold == 0:
            return self.waiting_quantile(p)

        def tail_and_slope(t: Real) -> tuple[Real, Real]:
            waiting, response, _ = self.tails(t)
            return response, (waiting - response) / self.hold

        return quantile(tail_and_slope, 1 - number(p), self.hold + len(self.weights) / self.drain / 2)


def finite_waits(servers: int, population: int, think_time: Number, service_time: Number) -> ClosedWaits:
    """The laws of W and R in M/M/c//N."""
    completion = finite_completion(servers, service_time)
    return ClosedWaits(servers, population, number(think_time), completion, number(service_time))


# --- Workers that share cores -------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def shared_cores_throughputs(most: int, cores: Number, cpu_time: Number, service_time: Number) -> list[Real]:
    """X(0) .. X(most): n workers alternate between an off-CPU part and a CPU part served at min(j, cores)/cpu_time.

    The sum over states of P(j on the CPU) min(j, cores) / cpu_time, for each n on its own.
    """
    cpu, whole, k = number(cpu_time), number(service_time), number(cores)
    if cpu == 0:
        return [n / whole for n in range(most + 1)]
    away = whole - cpu
    on_cpu, off_cpu = [mpf(1)], [mpf(1)]
    for j in range(1, most + 1):
        on_cpu.append(on_cpu[-1] * cpu / min(mpf(j), k))
        off_cpu.append(off_cpu[-1] * away / j)
    rates = [min(mpf(j), k) / cpu for j in range(most + 1)]
    throughputs = []
    for n in range(most + 1):
        state = [on_cpu[j] * off_cpu[n - j] for j in range(n + 1)]
        throughputs.append(mp.fdot(state, rates[: n + 1]) / mp.fsum(state))
    return throughputs


def shared_connections_throughput(
    workers: int, cores: Number, cpu_time: Number, service_time: Number, connections: int, database_time: Number
) -> Real:
    """X(n) of a CPU, m connections held off the CPU, and a delay for the rest of the service time.

    The sum over states of P(i ask for or hold a connection) min(i, m) / database_time. Where rounding has left a
    little more to hold than there is off the CPU, that little is not held.
    """
    cpu, k = number(cpu_time), number(cores)
    held = min(number(database_time), number(service_time) - cpu)
    rest = number(service_time) - cpu - held
    on_cpu, waiting, elsewhere = [mpf(1)], [mpf(1)], [mpf(1)]
    for j in range(1, workers + 1):
        on_cpu.append(on_cpu[-1] * cpu / min(mpf(j), k))
        waiting.append(waiting[-1] * held / min(j, connections))
        elsewhere.append(elsewhere[-1] * rest / j)
    if rest == 0:
        without = on_cpu
    elif cpu == 0:
        without = elsewhere
    else:
        back = elsewhere[::-1]
        without = [mp.fdot(on_cpu[: j + 1], back[workers - j :]) for j in range(workers + 1)]
    state = [weight * left for weight, left in zip(waiting, without[::-1], strict=True)]
    done = mp.fsum(min(i, connections) * weight for i, weight in enumerate(state))
    return done / held / mp.fsum(state)


def shared_completion(servers: int, cores: Number, cpu_time: Number, service_time: Number) -> Callable[[int], Real]:
    """Completion rate of the pool with n requests in it: X(min(n, servers))."""
    rates = shared_cores_throughputs(servers, cores, cpu_time, service_time)
    return lambda n: rates[min(n, servers)]


def shared(
    servers: int, cores: Number, cpu_time: Number, service_time: Number, arrival_rate: Number
) -> dict[str, Real]:
    """Means of the open pool whose workers share cores; the load must be below X(servers)."""
    completion = shared_completion(servers, cores, cpu_time, service_time)
    rate = number(arrival_rate)
    weights = [mpf(1)]
    for n in range(1, servers + 1):
        weights.append(weights[-1] * rate / completion(n))
    ratio = rate / completion(servers)
    waits = weights[servers] / (1 - ratio)
    total = mp.fsum(weights[:servers]) + waits
    busy = (mp.fsum(n * w for n, w in enumerate(weights[:servers])) + servers * waits) / total
    queue = waits * ratio / (1 - ratio) / total
    return {
        "throughput": rate,
        "utilization": busy / servers,
        "wait_probability": waits / total,
        "waiting_time": queue / rate,
        "response_time": (queue + busy) / rate,
        "hold": busy / rate,
        "drain": completion(servers) - rate,
    }


def shared_response_quantile(means: dict[str, Real], p: Number) -> Real:
    """p-quantile of R in the open pool (W exact in the chain, plus an independent exponential hold)."""
    return exponential_wait_quantiles(means["wait_probability"], means["drain"], means["hold"], number(p))[1]


def shared_finite(
    servers: int,
    cores: Number,
    cpu_time: Number,
    service_time: Number,
    population: int,
    think_time: Number,
) -> dict[str, Real]:
    """Means of the pool whose workers share cores, with a finite number of users."""
    completion = shared_completion(servers, cores, cpu_time, service_time)
    return closed_means(servers, population, number(think_time), completion)


def shared_finite_waits(
    servers: int,
    cores: Number,
    cpu_time: Number,
    service_time: Number,
    population: int,
    think_time: Number,
) -> ClosedWaits:
    """The laws of W and R of the same pool."""
    completion = shared_completion(servers, cores, cpu_time, service_time)
    means = closed_means(servers, population, number(think_time), completion)
    return ClosedWaits(servers, population, number(think_time), completion, means["hold"])
