"""Laws that hold for every input: order, Little's law, tails against quantiles, and inverses that are the very edge.

Tolerances: a comparison of two of our own values allows the rounding each of them carries (1e-11 relative, the
accuracy claimed for M/M/c; 1e-10 for the models with a backlog or with finitely many users), and nothing more.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from capacity import queueing as q

moderate = settings(deadline=None, derandomize=True, max_examples=60)
few = settings(moderate, max_examples=25)

ROUNDING = 1e-11
ROUNDING_FINITE = 1e-10


def log_uniform(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(math.log(low), math.log(high)).map(math.exp)


times = log_uniform(1e-6, 1e3)
probabilities = st.sampled_from([0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999]) | st.floats(0.001, 0.9999)
targets = log_uniform(1e-6, 0.999)


@st.composite
def counts(draw: st.DrawFn, most: int) -> int:
    return min(most, max(1, round(math.exp(draw(st.floats(0, math.log(most)))))))


@st.composite
def utilizations(draw: st.DrawFn) -> float:
    """Linear in the middle, logarithmic towards 0 and towards 1 - 1e-9."""
    return draw(st.floats(0.05, 0.95) | log_uniform(1e-9, 0.9) | log_uniform(1e-9, 0.9).map(lambda x: 1 - x))


@st.composite
def open_queues(draw: st.DrawFn, most: int = 1_000_000) -> dict[str, float]:
    """A stable M/M/c queue."""
    servers, service, utilization = draw(counts(most)), draw(times), draw(utilizations())
    rate = servers * utilization / service
    assume(rate > 0 and rate * service < servers)
    return {"servers": servers, "arrival_rate": rate, "service_time": service}


@st.composite
def limited_queues(draw: st.DrawFn) -> dict[str, float]:
    """M/M/c/K below, at and above utilization 1."""
    servers, backlog, service = draw(counts(500)), draw(st.integers(0, 4096)), draw(times)
    utilization = draw(st.floats(0.1, 3.0) | st.sampled_from([1.0, 1 + 1e-15, 1 - 1e-15, 1 + 1e-9, 1 - 1e-9]))
    rate = servers * utilization / service
    return {"servers": servers, "backlog": backlog, "arrival_rate": rate, "service_time": service}


@st.composite
def closed_queues(draw: st.DrawFn, most: int = 10_000) -> dict[str, float]:
    """M/M/c//N: light, critical, saturated, with extreme ratios of service to thinking."""
    population, service = draw(counts(most)), draw(times)
    servers = max(1, min(population, round(population * draw(st.floats(0, 1)) ** 2)))
    think = service * draw(log_uniform(1e-4, 1e6) | log_uniform(1e-15, 1e-4) | st.just(0.0))
    return {"servers": servers, "population": population, "think_time": think, "service_time": service}


@st.composite
def pools(draw: st.DrawFn, most: int = 60) -> dict[str, float]:
    """Workers that share cores."""
    service = draw(times)
    share = draw(st.just(0.0) | st.just(1.0) | st.floats(0.01, 1.0) | log_uniform(1e-6, 1.0))
    cores = draw(st.integers(1, 32).map(float) | st.floats(1.0, 8.0))
    return {"servers": draw(counts(most)), "cores": cores, "cpu_time": service * share, "service_time": service}


@st.composite
def open_pools(draw: st.DrawFn) -> dict[str, float]:
    """A stable pool."""
    pool = draw(pools())
    most = q.shared_cores_throughput(workers=pool["servers"], **{k: v for k, v in pool.items() if k != "servers"})
    return pool | {"arrival_rate": most * draw(st.floats(0.001, 0.999))}


@st.composite
def closed_pools(draw: st.DrawFn) -> dict[str, float]:
    pool = draw(pools())
    think = pool["service_time"] * draw(st.just(0.0) | log_uniform(1e-2, 1e3))
    return pool | {"population": draw(counts(500)), "think_time": think}


OPEN_MEANS = ("wait_probability", "waiting_time", "response_time", "queue_length")
CLOSED_MEANS = ("throughput", "utilization", "wait_probability", "waiting_time", "response_time")
FAMILIES = {
    "mmc": (open_queues(), OPEN_MEANS, ("waiting", "response")),
    "mmck": (limited_queues(), ("blocking_probability", "throughput", "waiting_time", "response_time"), ()),
    "finite": (closed_queues(), CLOSED_MEANS, ("waiting", "response")),
    "shared": (open_pools(), CLOSED_MEANS, ("response",)),
    "shared_finite": (closed_pools(), CLOSED_MEANS, ("response",)),
}
every_family = pytest.mark.parametrize("family", list(FAMILIES))


def call(family: str, quantity: str, *first: float, **case: float) -> float:
    return getattr(q, f"{family}_{quantity}")(*first, **case)


# --- Never NaN inside the domain; scalar equals array element -----------------------------------------------------


@every_family
@few
@given(data=st.data())
def test_every_value_inside_the_domain_is_a_number_in_its_range(family: str, data: st.DataObject) -> None:
    strategy, means, laws = FAMILIES[family]
    case = data.draw(strategy)
    for quantity in means:
        value = call(family, quantity, **case)
        assert value >= 0, (quantity, case)
        assert math.isfinite(value), (quantity, case)
        if quantity.endswith("probability") or quantity == "utilization":
            assert value <= 1 + 1e-13, (quantity, case)
    p = data.draw(probabilities)
    t = case["service_time"] * data.draw(log_uniform(1e-3, 1e5))
    for law in laws:
        assert 0 <= call(family, f"{law}_time_quantile", p, **case) < math.inf, (law, p, case)
        if not family.startswith("shared"):
            assert 0 <= call(family, f"{law}_time_tail", t, **case) <= 1, (law, t, case)
    if family == "mmck":
        assert 0 <= q.mmck_waiting_time_tail(t, **case) <= 1, (t, case)


@every_family
@few
@given(data=st.data())
def test_a_scalar_equals_its_array_element_bit_for_bit(family: str, data: st.DataObject) -> None:
    strategy, means, laws = FAMILIES[family]
    cases = data.draw(st.lists(strategy, min_size=2, max_size=7))
    columns = {name: np.array([case[name] for case in cases]) for name in cases[0]}
    p = np.array([data.draw(probabilities) for _ in cases])
    for quantity in means:
        together = call(family, quantity, **columns)
        assert together.tolist() == [call(family, quantity, **case) for case in cases], quantity
    for law in laws:
        together = call(family, f"{law}_time_quantile", p, **columns)
        alone = [call(family, f"{law}_time_quantile", one, **case) for one, case in zip(p.tolist(), cases, strict=True)]
        assert together.tolist() == alone, law
        if not family.startswith("shared"):
            t = together * 0.7
            tails = call(family, f"{law}_time_tail", t, **columns)
            alone = [call(family, f"{law}_time_tail", one, **case) for one, case in zip(t.tolist(), cases, strict=True)]
            assert tails.tolist() == alone, law


@few
@given(data=st.data())
def test_erlang_values_do_not_depend_on_their_neighbours(data: st.DataObject) -> None:
    servers = np.array(data.draw(st.lists(counts(1_000_000), min_size=2, max_size=12)), dtype=float)
    loads = servers * np.array([data.draw(st.floats(0, 3)) for _ in servers])
    for function in (q.erlang_b, q.erlang_c):
        together = function(servers=servers, offered_load=loads)
        alone = [function(servers=c, offered_load=a) for c, a in zip(servers.tolist(), loads.tolist(), strict=True)]
        assert together.tolist() == alone


@few
@given(queues=st.lists(open_queues(most=2000), min_size=2, max_size=6), p=probabilities, target=targets)
def test_inverses_do_not_depend_on_their_neighbours(queues: list[dict[str, float]], p: float, target: float) -> None:
    columns = {name: np.array([queue[name] for queue in queues]) for name in queues[0]}
    offered = {name: columns[name] for name in ("arrival_rate", "service_time")}
    pool = {name: columns[name] for name in ("servers", "service_time")}
    limits = columns["service_time"] * 5 * target
    for function, inputs in (
        (q.servers_for_wait_probability, {"wait_probability": target} | offered),
        (q.servers_for_waiting_time_quantile, {"p": p, "waiting_time": limits} | offered),
        (q.servers_for_response_time_quantile, {"p": p, "response_time": limits} | offered),
        (q.arrival_rate_for_wait_probability, {"wait_probability": target} | pool),
        (q.arrival_rate_for_waiting_time_quantile, {"p": p, "waiting_time": limits} | pool),
        (q.arrival_rate_for_response_time_quantile, {"p": p, "response_time": limits} | pool),
    ):
        together = function(**inputs)
        for i, value in enumerate(together.tolist()):
            one = {k: (v[i] if isinstance(v, np.ndarray) else v) for k, v in inputs.items()}
            assert function(**one) == value, function.__name__


# --- Order --------------------------------------------------------------------------------------------------------


def never_falls(values: np.ndarray, rounding: float) -> bool:
    return bool((values[1:] >= values[:-1] * (1 - rounding)).all())


@moderate
@given(servers=counts(1_000_000), loads=st.lists(utilizations(), min_size=2, max_size=20))
def test_more_load_never_blocks_or_waits_less(servers: int, loads: list[float]) -> None:
    ordered = np.sort(np.array([*loads, 1.5, 3.0])) * servers
    assert never_falls(q.erlang_b(servers=servers, offered_load=ordered), ROUNDING)
    assert never_falls(q.erlang_c(servers=servers, offered_load=ordered), ROUNDING)
    for quantity in ("waiting_time", "response_time", "queue_length"):
        values = call("mmc", quantity, servers=servers, arrival_rate=ordered, service_time=1.0)
        assert never_falls(values, ROUNDING), quantity


@moderate
@given(queue=open_queues(most=100_000), p=probabilities)
def test_more_servers_never_wait_longer(queue: dict[str, float], p: float) -> None:
    more = queue | {"servers": queue["servers"] + np.arange(12)}
    load = queue["arrival_rate"] * queue["service_time"]
    assert never_falls(-q.erlang_b(servers=more["servers"], offered_load=load)[::-1] * -1, ROUNDING)
    for quantity in ("wait_probability", "waiting_time", "response_time", "queue_length"):
        assert never_falls(call("mmc", quantity, **more)[::-1], ROUNDING), quantity
    for law in ("waiting", "response"):
        assert never_falls(call("mmc", f"{law}_time_quantile", p, **more)[::-1], ROUNDING), law
        tails = call("mmc", f"{law}_time_tail", queue["service_time"], **more)
        assert never_falls(tails[::-1], ROUNDING), law


@pytest.mark.parametrize("family", ["mmc", "finite"])
@moderate
@given(data=st.data())
def test_tails_fall_and_quantiles_rise(family: str, data: st.DataObject) -> None:
    case = data.draw(FAMILIES[family][0])
    rounding = ROUNDING if family == "mmc" else ROUNDING_FINITE
    t = np.sort(np.array(data.draw(st.lists(log_uniform(1e-3, 1e4), min_size=2, max_size=12)))) * case["service_time"]
    p = np.sort(np.array(data.draw(st.lists(probabilities, min_size=2, max_size=12))))
    for law in ("waiting", "response"):
        tails = call(family, f"{law}_time_tail", t, **case)
        assert never_falls(np.maximum(tails, 1e-290)[::-1], rounding), law
        assert never_falls(call(family, f"{law}_time_quantile", p, **case), rounding), law
    waiting, response = (call(family, f"{law}_time_tail", t, **case) for law in ("waiting", "response"))
    assert (waiting <= response * (1 + rounding)).all()


@moderate
@given(case=closed_queues(), more=st.integers(1, 50))
def test_more_users_never_wait_less_nor_complete_less(case: dict[str, float], more: int) -> None:
    crowd = case | {"population": case["population"] + more * np.arange(8)}
    for quantity in CLOSED_MEANS:
        values = call("finite", quantity, **crowd)
        floor = 1e-9 * case["service_time"] if quantity == "waiting_time" else 0.0
        assert never_falls(np.maximum(values, floor), ROUNDING_FINITE), quantity
    for law in ("waiting", "response"):
        values = call("finite", f"{law}_time_quantile", 0.95, **crowd)
        assert never_falls(np.maximum(values, 1e-9 * case["service_time"]), ROUNDING_FINITE), law


@moderate
@given(case=limited_queues())
def test_a_longer_backlog_blocks_less_and_makes_the_accepted_wait_longer(case: dict[str, float]) -> None:
    longer = case | {"backlog": case["backlog"] + np.arange(10)}
    assert never_falls(q.mmck_blocking_probability(**longer)[::-1], ROUNDING_FINITE)
    assert never_falls(q.mmck_waiting_time(**longer), ROUNDING_FINITE)
    assert never_falls(q.mmck_throughput(**longer), ROUNDING_FINITE)


@moderate
@given(pool=pools(most=500))
def test_more_workers_or_cores_never_complete_less(pool: dict[str, float]) -> None:
    rest = {k: v for k, v in pool.items() if k != "servers"}
    by_workers = q.shared_cores_throughput(workers=np.arange(pool["servers"] + 1), **rest)
    assert never_falls(by_workers, 1e-13)
    by_cores = q.shared_cores_throughput(workers=pool["servers"], **rest | {"cores": rest["cores"] + np.arange(6)})
    assert never_falls(by_cores, 1e-13)


# --- Little's law and other balances ------------------------------------------------------------------------------


@moderate
@given(queue=open_queues())
def test_littles_law_holds_in_the_open_queue(queue: dict[str, float]) -> None:
    wait = q.mmc_waiting_time(**queue)
    assert q.mmc_queue_length(**queue) == pytest.approx(queue["arrival_rate"] * wait, rel=1e-13)
    assert q.mmc_response_time(**queue) == pytest.approx(wait + queue["service_time"], rel=1e-14)


@moderate
@given(case=limited_queues())
def test_what_is_not_blocked_is_completed(case: dict[str, float]) -> None:
    blocked, throughput = q.mmck_blocking_probability(**case), q.mmck_throughput(**case)
    # Near total blocking 1 - B has fewer digits than X itself.
    assert throughput == pytest.approx(case["arrival_rate"] * (1 - blocked), rel=1e-10)
    assert throughput * case["service_time"] <= case["servers"] * (1 + 1e-12)
    most = case["backlog"] * case["service_time"] / case["servers"]
    assert 0 <= q.mmck_waiting_time(**case) <= most * (1 + 1e-12)


@pytest.mark.parametrize("family", ["finite", "shared_finite"])
@moderate
@given(data=st.data())
def test_littles_law_holds_for_the_whole_closed_circle(family: str, data: st.DataObject) -> None:
    case = data.draw(FAMILIES[family][0])
    throughput, response = call(family, "throughput", **case), call(family, "response_time", **case)
    assert throughput * (response + case["think_time"]) == pytest.approx(case["population"], rel=1e-10)
    busy = call(family, "utilization", **case) * case["servers"]
    hold = response - call(family, "waiting_time", **case)
    assert busy == pytest.approx(throughput * hold, rel=1e-9)
    if family == "finite":
        assert busy == pytest.approx(throughput * case["service_time"], rel=1e-12)


@moderate
@given(case=open_pools())
def test_littles_law_holds_in_the_open_pool(case: dict[str, float]) -> None:
    assert q.shared_throughput(**case) == case["arrival_rate"]
    hold = q.shared_response_time(**case) - q.shared_waiting_time(**case)
    busy = q.shared_utilization(**case) * case["servers"]
    assert busy == pytest.approx(case["arrival_rate"] * hold, rel=1e-9)
    assert hold >= case["service_time"] * (1 - 1e-9)  # sharing only stretches


# --- Tail of the quantile -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["mmc", "finite"])
@moderate
@given(data=st.data())
def test_the_tail_at_the_quantile_is_one_minus_p(family: str, data: st.DataObject) -> None:
    case, p = data.draw(FAMILIES[family][0]), data.draw(probabilities)
    for law in ("waiting", "response"):
        t = call(family, f"{law}_time_quantile", p, **case)
        tail = call(family, f"{law}_time_tail", t, **case)
        if t == 0:
            assert tail <= (1 - p) * (1 + 1e-9)
        else:
            # One ulp of t moves the tail by t f(t) / tail ulps: up to about N for a sharp law.
            sharp = 1 + case.get("population", 0)
            assert tail == pytest.approx(1 - p, rel=1e-11 * max(1.0, math.sqrt(sharp)) + 1e-9 * (family == "finite"))


# --- Limits and special cases -------------------------------------------------------------------------------------


@moderate
@given(servers=counts(500), utilization=st.floats(0.05, 0.9), service=times)
def test_a_very_long_backlog_is_the_unlimited_queue(servers: int, utilization: float, service: float) -> None:
    queue = {"servers": servers, "arrival_rate": servers * utilization / service, "service_time": service}
    backlog = math.ceil(60 / -math.log(utilization)) + 10  # what is cut off is below 1e-24
    limited = queue | {"backlog": backlog}
    wait = q.mmc_waiting_time(**queue)
    assert q.mmck_response_time(**limited) == pytest.approx(q.mmc_response_time(**queue), rel=1e-10)
    assert q.mmck_throughput(**limited) == pytest.approx(queue["arrival_rate"], rel=1e-10)
    if wait > 1e-9 * service:
        assert q.mmck_waiting_time(**limited) == pytest.approx(wait, rel=1e-9)
        tail = q.mmc_waiting_time_tail(service, **queue)
        assert q.mmck_waiting_time_tail(service, **limited) == pytest.approx(tail, rel=1e-9, abs=1e-20)


@moderate
@given(queue=open_queues(most=300), cores=st.floats(0.5, 64), p=probabilities)
def test_a_pool_without_cpu_time_is_the_open_queue(queue: dict[str, float], cores: float, p: float) -> None:
    assume(queue["arrival_rate"] * queue["service_time"] < 0.999 * queue["servers"])
    pool = queue | {"cores": cores, "cpu_time": 0.0}
    for quantity in ("wait_probability", "waiting_time", "response_time"):
        expected = call("mmc", quantity, **queue)
        assert call("shared", quantity, **pool) == pytest.approx(expected, rel=ROUNDING, abs=1e-290), quantity
    expected = q.mmc_response_time_quantile(p, **queue)
    assert q.shared_response_time_quantile(p, **pool) == pytest.approx(expected, rel=ROUNDING)


@moderate
@given(case=closed_queues(most=400), cores=st.floats(0.5, 64), p=probabilities)
def test_a_pool_without_cpu_time_is_the_finite_queue(case: dict[str, float], cores: float, p: float) -> None:
    pool = case | {"cores": cores, "cpu_time": 0.0}
    for quantity in CLOSED_MEANS:
        expected = call("finite", quantity, **case)
        floor = 1e-9 * case["service_time"] if quantity == "waiting_time" else 1e-290
        assert call("shared_finite", quantity, **pool) == pytest.approx(expected, rel=1e-10, abs=floor * 1e-10), (
            quantity
        )
    expected = q.finite_response_time_quantile(p, **case)
    assert q.shared_finite_response_time_quantile(p, **pool) == pytest.approx(expected, rel=1e-10)


@moderate
@given(queue=open_queues(most=40), share=st.floats(0, 1), p=probabilities)
def test_a_pool_with_a_core_for_every_worker_is_the_open_queue(queue: dict[str, float], share: float, p: float) -> None:
    assume(queue["arrival_rate"] * queue["service_time"] < 0.999 * queue["servers"])
    pool = queue | {"cores": queue["servers"], "cpu_time": queue["service_time"] * share}
    expected = q.mmc_response_time_quantile(p, **queue)
    assert q.shared_response_time(**pool) == pytest.approx(q.mmc_response_time(**queue), rel=1e-10)
    assert q.shared_response_time_quantile(p, **pool) == pytest.approx(expected, rel=1e-10)


@moderate
@given(pool=pools(), fewer=st.floats(0.3, 1.0), load=st.floats(0.05, 0.98))
def test_taking_cores_away_never_speeds_a_pool_up(pool: dict[str, float], fewer: float, load: float) -> None:
    less = pool | {"cores": max(1.0, pool["cores"] * fewer)}
    most = q.shared_cores_throughput(workers=less["servers"], **{k: v for k, v in less.items() if k != "servers"})
    rate = {"arrival_rate": most * load}
    assert q.shared_response_time(**less, **rate) >= q.shared_response_time(**pool, **rate) * (1 - 1e-10)
    assert q.shared_waiting_time(**less, **rate) >= q.shared_waiting_time(**pool, **rate) * (1 - 1e-9)


@moderate
@given(queue=open_queues(most=10_000), scale=st.sampled_from([2.0**-20, 0.5, 4.0, 2.0**30]), p=probabilities)
def test_the_unit_of_time_does_not_matter(queue: dict[str, float], scale: float, p: float) -> None:
    other = queue | {"arrival_rate": queue["arrival_rate"] / scale, "service_time": queue["service_time"] * scale}
    assert q.mmc_wait_probability(**other) == q.mmc_wait_probability(**queue)
    assert q.mmc_waiting_time(**other) == pytest.approx(scale * q.mmc_waiting_time(**queue), rel=1e-13, abs=1e-300)
    expected = scale * q.mmc_response_time_quantile(p, **queue)
    assert q.mmc_response_time_quantile(p, **other) == pytest.approx(expected, rel=1e-13)


@few
@given(most=st.integers(1, 400), loads=st.lists(st.floats(0, 400), min_size=1, max_size=8))
def test_the_grid_is_the_plain_function(most: int, loads: list[float]) -> None:
    grid = q.erlang_c_grid(max_servers=most, offered_load=loads)
    plain = q.erlang_c(servers=np.arange(1, most + 1), offered_load=np.array(loads)[:, None])
    judged = plain > 1e-290
    assert grid.shape == plain.shape
    np.testing.assert_allclose(grid[judged], plain[judged], rtol=ROUNDING, atol=0)
    assert (grid[~judged] <= 2e-290).all()


# --- Inverses are the very edge -----------------------------------------------------------------------------------


@moderate
@given(queue=open_queues(most=20_000), target=targets)
def test_the_least_servers_for_a_wait_probability(queue: dict[str, float], target: float) -> None:
    offered = {k: queue[k] for k in ("arrival_rate", "service_time")}
    needed = q.servers_for_wait_probability(wait_probability=target, **offered)
    assert needed == math.floor(needed)
    assert q.mmc_wait_probability(servers=needed, **offered) <= target
    assert q.mmc_wait_probability(servers=needed - 1, **offered) > target


@pytest.mark.parametrize("law", ["waiting", "response"])
@moderate
@given(queue=open_queues(most=20_000), p=probabilities, limit=log_uniform(1e-3, 30))
def test_the_least_servers_for_a_quantile(law: str, queue: dict[str, float], p: float, limit: float) -> None:
    offered = {k: queue[k] for k in ("arrival_rate", "service_time")}
    target = limit * queue["service_time"]
    needed = getattr(q, f"servers_for_{law}_time_quantile")(p=p, **{f"{law}_time": target}, **offered)
    if needed == math.inf:
        assert law == "response"
        assert -math.log1p(-p) >= limit * (1 - 1e-12)  # the service alone takes longer
        return
    assert call("mmc", f"{law}_time_quantile", p, servers=needed, **offered) <= target
    assert call("mmc", f"{law}_time_quantile", p, servers=needed - 1, **offered) > target


@moderate
@given(queue=open_queues(most=20_000))
def test_a_count_that_meets_its_own_wait_probability_is_found_again(queue: dict[str, float]) -> None:
    offered = {k: queue[k] for k in ("arrival_rate", "service_time")}
    target = q.mmc_wait_probability(**queue)
    assume(1e-290 < target < 1 - 1e-9)
    assert q.servers_for_wait_probability(wait_probability=target, **offered) == queue["servers"]


@pytest.mark.parametrize("law", ["waiting", "response"])
@moderate
@given(queue=open_queues(most=5000), p=probabilities)
def test_a_count_that_meets_its_own_quantile_is_found_again(law: str, queue: dict[str, float], p: float) -> None:
    offered = {k: queue[k] for k in ("arrival_rate", "service_time")}
    target = call("mmc", f"{law}_time_quantile", p, **queue)
    fewer = call("mmc", f"{law}_time_quantile", p, **queue | {"servers": queue["servers"] - 1})
    assume(target > 0 and fewer > target)
    found = getattr(q, f"servers_for_{law}_time_quantile")(p=p, **{f"{law}_time": target}, **offered)
    assert found == queue["servers"]


@moderate
@given(servers=counts(5000), service=times, target=targets)
@example(servers=1, service=1.0, target=0.5)
def test_the_largest_arrival_rate_for_a_wait_probability(servers: int, service: float, target: float) -> None:
    pool = {"servers": servers, "service_time": service}
    rate = q.arrival_rate_for_wait_probability(wait_probability=target, **pool)
    assert rate > 0
    assert q.mmc_wait_probability(arrival_rate=rate, **pool) <= target
    assert q.mmc_wait_probability(arrival_rate=rate * (1 + 1e-12), **pool) > target


@pytest.mark.parametrize("law", ["waiting", "response"])
@moderate
@given(servers=counts(5000), service=times, p=probabilities, limit=log_uniform(1e-3, 30))
def test_the_largest_arrival_rate_for_a_quantile(
    law: str, servers: int, service: float, p: float, limit: float
) -> None:
    pool, target = {"servers": servers, "service_time": service}, limit * service
    rate = getattr(q, f"arrival_rate_for_{law}_time_quantile")(p=p, **{f"{law}_time": target}, **pool)
    if rate == 0:
        assert law == "response"
        assert -math.log1p(-p) >= limit * (1 - 1e-12)
        return
    assert call("mmc", f"{law}_time_quantile", p, arrival_rate=rate, **pool) <= target
    if law == "waiting" or -math.log1p(-p) < limit * (1 - 1e-6):
        assert call("mmc", f"{law}_time_quantile", p, arrival_rate=rate * (1 + 1e-12), **pool) > target


@few
@given(servers=counts(200), service=times, think=log_uniform(0.05, 20), target=targets)
def test_the_largest_population_for_a_wait_probability(
    servers: int, service: float, think: float, target: float
) -> None:
    pool = {"servers": servers, "service_time": service, "think_time": think * service}
    people = q.population_for_wait_probability(wait_probability=target, **pool)
    assert people == math.floor(people)
    assert people >= servers  # with a server each nobody waits
    assert q.finite_wait_probability(population=people, **pool) <= target
    assert q.finite_wait_probability(population=people + 1, **pool) > target


@few
@given(servers=counts(200), service=times, think=log_uniform(0.05, 20), p=probabilities, limit=log_uniform(0.1, 30))
def test_the_largest_population_for_a_response_time_quantile(
    servers: int, service: float, think: float, p: float, limit: float
) -> None:
    pool, target = {"servers": servers, "service_time": service, "think_time": think * service}, limit * service
    people = q.population_for_response_time_quantile(p=p, response_time=target, **pool)
    if people == 0:
        assert -math.log1p(-p) >= limit * (1 - 1e-12)
        return
    assert people >= servers
    assert q.finite_response_time_quantile(p, population=people, **pool) <= target
    assert q.finite_response_time_quantile(p, population=people + 1, **pool) > target


@few
@given(servers=counts(100), service=times, think=log_uniform(0.05, 20), extra=st.integers(1, 200))
def test_a_population_that_meets_its_own_quantile_is_found_again(
    servers: int, service: float, think: float, extra: int
) -> None:
    pool = {"servers": servers, "service_time": service, "think_time": think * service}
    people = servers + extra
    here, one_more = q.finite_response_time_quantile(0.95, population=np.array([people, people + 1]), **pool)
    assume(one_more > here * (1 + 1e-9))
    found = q.population_for_response_time_quantile(p=0.95, response_time=here, **pool)
    assert found == people
