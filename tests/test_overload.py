"""What is lost in overload: against the chain itself, state by state, and against pools served request by request."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import gammaincc

from capacity import PoolSettings, Scenario, forecast, queueing, recommend, sweep
from capacity.overload import LOST, lost, pool_columns
from capacity.policies import backlog
from capacity.queueing import lossy_pool as engine
from capacity.queueing import shared_cores_throughput
from capacity.table import repeat, table_of

EXAMPLE = Scenario.example()


def scenario(timeout: float = 60.0, **workload: float) -> Scenario:
    tables = EXAMPLE.to_mapping()
    tables["workload"] = {"service_time": 0.25, "think_time": 1.0, "users": 150} | workload
    tables["policy"]["web_server_timeout"] = timeout
    return Scenario.from_mapping(tables)


def pool(workers: int, **settings: int) -> PoolSettings:
    return PoolSettings(pm="static", max_children=workers, **settings)


def of(which: Scenario, settings: PoolSettings, rate: float) -> dict[str, float]:
    table = table_of(which) | pool_columns([settings])
    found = lost(table, np.array([float(settings.max_children)]), np.array([rate]))
    return {name: float(column[0]) for name, column in found.items()}


def states(workers: int, cores: float, cpu: float, service: float, rate: float, places: int, connections: float):
    """Probabilities of 0 .. K by the balance equations, and X(n)."""
    n = np.arange(1.0, workers + 1)
    inner = {"cores": cores, "cpu_time": cpu, "service_time": service}
    x = shared_cores_throughput(workers=n, **inner, connections=connections, database_time=0.8 * service)
    steps = math.log(rate) - np.log(np.concatenate([x, np.full(places, x[-1])]))
    log_weight = np.concatenate([[0.0], np.cumsum(steps)])
    weight = np.exp(log_weight - log_weight.max())
    return weight / weight.sum(), x


POOLS = [
    (c, k, d, rate, q, connections)
    for c, k, d in ((1, 1, 0.0), (4, 1, 0.1), (8, 2, 0.02), (8, 2, 0.1), (40, 4, 0.02))
    for rate in (1.0, 19.9, 20.0, 60.0, 400.0)
    for q, connections in ((0, np.inf), (9, np.inf), (65, 2.0), (4097, np.inf))
]


@pytest.mark.parametrize(("workers", "cores", "cpu", "rate", "places", "connections"), POOLS)
def test_the_engine_is_the_chain(workers, cores, cpu, rate, places, connections) -> None:
    share, x = states(workers, cores, cpu, 0.1, rate, places, connections)
    n = np.arange(share.size)
    let_in = rate * (1 - share[-1])
    columns = [np.array([float(value)]) for value in (workers, cores, cpu, 0.1, rate, places, connections, 0.08)]
    c, k, d, s, arrivals, q, *database = columns
    with np.errstate(all="ignore"):
        found = engine.lossy_pool(c, (k, d, s, *database), arrivals, q, np.ones(1))
        late = [float(tail(np.array([0.7]), found)[0]) for tail in (engine.waiting_tail, engine.response_tail)]
    expected = {
        "refused": share[-1],
        "throughput": let_in,
        "waiting_time": (np.maximum(n - workers, 0) * share).sum() / let_in,
        "hold": (np.minimum(n, workers) * share).sum() / let_in,
    }
    for name, value in expected.items():
        assert found[name][0] == pytest.approx(value, rel=1e-9, abs=1e-13), name
    # whoever finds c + j of them waits for j + 1 departures at the full rate; then he holds a worker for `hold`
    met = share[:-1] / share[:-1].sum()
    mu, hold = x[-1], float(found["hold"][0])
    waits = float((met[workers:] * gammaincc(np.arange(1, places + 1), mu * 0.7)).sum()) if places else 0.0
    assert late[0] == pytest.approx(waits, rel=1e-6, abs=1e-9)  # this tail is for any spread, and computed otherwise
    if 0 < places < 4000:
        weights = met[workers:]

        def density(w: float) -> float:
            j = np.arange(places)
            log_term = j * math.log(mu * w) - mu * w - np.array([math.lgamma(i + 1) for i in j])
            return float((weights * np.exp(log_term)).sum()) * mu

        after, _ = quad(lambda w: density(w) * math.exp(-(0.7 - w) / hold), 1e-12, 0.7, limit=200, epsabs=1e-10)
        free = met[:workers].sum() * math.exp(-0.7 / hold)
        assert late[1] == pytest.approx(free + waits + after, abs=1e-8)


def test_a_pool_without_shared_cores_is_mmck() -> None:
    found = of(scenario(timeout=1.0), pool(4, listen_backlog=20), 30.0)
    load = {"servers": 4, "backlog": 21, "arrival_rate": 30.0, "service_time": 0.25}
    refused, late = queueing.mmck_blocking_probability(**load), queueing.mmck_response_time_tail(1.0, **load)
    assert found["refused"] == pytest.approx(refused, rel=1e-12)
    assert found["timed_out"] == pytest.approx((1 - refused) * late, rel=1e-12)
    assert found["wasted"] == pytest.approx(late, rel=1e-12)
    assert found["killed"] == 0
    assert found["queue_fills_after"] == pytest.approx(21 / (30 - 16))
    assert found["admitted_waiting_time"] == pytest.approx(queueing.mmck_waiting_time(**load), rel=1e-12)


SIMULATED = [
    # workers, places, utilization, patience, request_terminate_timeout, scv; largest error of 502, 504 and waste
    (2, 9, 1.5, 2.0, 0, 1.0, (0.006, 0.008, 0.02)),
    (4, 12, 0.9, 1.0, 0, 1.0, (0.006, 0.008, 0.02)),
    (8, 40, 2.0, 1.0, 3, 1.0, (0.006, 0.008, 0.02)),
    (4, 30, 1.2, 2.0, 1, 1.0, (0.006, 0.015, 0.02)),
    (3, 20, 1.3, 3.0, 1, 1.0, (0.006, 0.015, 0.02)),
    (4, 12, 1.1, 0.9, 1, 4.0, (0.03, 0.03, 0.03)),
    (8, 64, 1.5, 2.0, 0, 0.25, (0.006, 0.01, 0.02)),
    (8, 64, 1.5, 2.2, 0, 0.25, (0.006, 0.02, 0.02)),
    (4, 64, 1.1, 4.0, 0, 0.5, (0.006, 0.02, 0.02)),
    (4, 64, 1.5, 4.0, 0, 2.0, (0.01, 0.02, 0.03)),
    (20, 512, 1.5, 6.5, 0, 4.0, (0.01, 0.05, 0.05)),
    (8, 64, 1.5, 2.6, 0, 0.0, (0.003, 0.001, 0.001)),
]


@pytest.mark.parametrize(("workers", "places", "utilization", "timeout", "kill", "scv", "allowed"), SIMULATED)
def test_shares_are_those_of_pools_served_request_by_request(
    workers, places, utilization, timeout, kill, scv, allowed
) -> None:
    chance = np.random.default_rng(8)
    rate, size = utilization * workers / 0.25, 200_000
    width = math.sqrt(math.log1p(scv))
    holds = chance.exponential(0.25, size) if scv == 1 else 0.25 * chance.lognormal(-(width**2) / 2, width, size)
    # FPM looks for what takes too long three times in that time
    ended = np.minimum(holds, kill * chance.uniform(1, 4 / 3, size)) if kill else holds
    times = np.cumsum(chance.exponential(1 / rate, size))
    waits = queueing.replay(arrival_times=times, service_times=ended, servers=workers, backlog=places)
    let_in = np.isfinite(waits)
    gone = np.clip(np.minimum(waits + ended - timeout, ended), 0, None)
    killed = let_in & (holds > ended) & (waits + ended <= timeout)
    settings = pool(workers, listen_backlog=places - 1, request_terminate_timeout=kill)
    found = of(scenario(timeout=timeout, service_scv=scv), settings, rate)
    of_502, of_504, of_work = allowed
    assert found["refused"] == pytest.approx((~let_in).mean(), abs=of_502)
    assert found["timed_out"] == pytest.approx((let_in & (waits + ended > timeout)).mean(), abs=of_504)
    assert found["killed"] == pytest.approx(killed.mean(), abs=0.005)
    assert found["wasted"] == pytest.approx(gone[let_in].sum() / ended[let_in].sum(), abs=of_work)
    if utilization >= 1.2:  # below, the busy pool could complete more than it lets in
        assert found["throughput"] == pytest.approx(let_in.sum() / times[-1], rel=0.02)


def test_what_is_skipped_as_nothing_is_less_than_a_billionth(monkeypatch) -> None:
    """Calm pools, and queues that end in time, are not computed; if they were, it would be no other number."""
    chance = np.random.default_rng(9)
    size = 400
    rows = repeat(table_of(EXAMPLE), size)
    rows["pool.listen_backlog"] = np.floor(10 ** chance.uniform(0, 3.7, size))
    rows["policy.web_server_timeout"] = 10 ** chance.uniform(-0.5, 2, size)
    rows["pool.request_terminate_timeout"] = np.where(
        chance.random(size) < 0.3, np.ceil(chance.uniform(0, 60, size)), 0
    )
    workers = np.floor(10 ** chance.uniform(0, 2.5, size))
    rate = workers / 0.25 * chance.uniform(0.2, 1.6, size)
    short = lost(rows, workers, rate)
    monkeypatch.setattr("capacity.overload._NEVER", 1e9)
    monkeypatch.setattr("capacity.overload.response_tail_bound", lambda t, pool: np.ones(t.shape))
    whole = lost(rows, workers, rate)
    for name in LOST:
        np.testing.assert_allclose(short[name], whole[name], rtol=1e-12, atol=3e-9, err_msg=name)
    assert (short["timed_out"] == 0).any()
    assert ((short["timed_out"] > 0.01) & (short["timed_out"] < 0.99)).sum() > 20


def test_whatever_the_pool_shares_are_shares_and_more_patience_never_means_more_504() -> None:
    chance = np.random.default_rng(11)
    size = 1500
    rows = repeat(table_of(EXAMPLE), size)
    rows["workload.service_scv"] = chance.choice([0, 1e-9, 0.3, 0.999999, 1, 1.000001, 2, 4, 9], size)
    rows["workload.service_time"] = 10 ** chance.uniform(-4, 3, size)
    rows["workload.cpu_time"] = np.where(chance.random(size) < 0.3, rows["workload.service_time"] / 3, np.nan)
    rows["pool.listen_backlog"] = np.floor(10 ** chance.uniform(0, 3.6, size))
    rows["policy.web_server_timeout"] = 10 ** chance.uniform(-3, 5, size)
    kill = np.where(chance.random(size) < 0.5, np.ceil(10 ** chance.uniform(0, 4, size)), 0)
    rows["pool.request_terminate_timeout"] = kill
    workers = np.floor(10 ** chance.uniform(0, 3, size))
    rate = (
        workers / rows["workload.service_time"] * 10 ** chance.choice([-8, -1, -0.05, 0, 1e-9, 0.05, 0.5, 3, 50], size)
    )
    found = lost(rows, workers, rate)
    more = lost(rows | {"policy.web_server_timeout": 1.3 * rows["policy.web_server_timeout"]}, workers, rate)
    for name in ("refused", "killed", "timed_out", "wasted"):
        assert ((found[name] >= 0) & (found[name] <= 1)).all(), name
    assert (found["refused"] + found["killed"] + found["timed_out"] <= 1 + 1e-9).all()
    np.testing.assert_array_equal(more["refused"], found["refused"])
    assert (more["timed_out"] <= found["timed_out"] + 1e-6).all()
    assert (more["wasted"] <= found["wasted"] + 1e-6).all()


def test_more_users_are_never_refused_or_given_up_less() -> None:
    users = range(100, 2000, 50)
    which = scenario(timeout=20.0)
    predictions = forecast(which, pool=pool(40, listen_backlog=511), users=users).predictions
    for name in ("refused", "wasted"):
        values = [getattr(p, name) for p in predictions]
        assert all(0 <= a <= b + 1e-12 for a, b in pairwise(values)), name
    assert predictions[-1].refused == pytest.approx(1 - 160 / predictions[-1].arrival_rate, rel=1e-9)
    assert all(0 <= p.answered <= 1 for p in predictions)
    assert [p.queue_fills_after is not None for p in predictions] == [p.arrival_rate > 160 for p in predictions]


def test_forecast_recommend_and_sweep_say_the_same() -> None:
    tables = scenario(timeout=10.0, cpu_time=0.02).to_mapping()
    tables["pool"] = {"pm": "static", "max_children": 20, "listen_backlog": 511, "request_terminate_timeout": 1}
    which = Scenario.from_mapping(tables)
    today = recommend(which).current_predictions
    again = forecast(which, users=[p.users for p in today]).predictions
    users = [p.users for p in today]
    grid = sweep(which, {"users": users}, quantity=["refused", "timed_out", "throughput"])
    np.testing.assert_array_equal(grid.throughput, sweep(which, {"users": users}, quantity="throughput").throughput)
    for name in (
        "refused",
        "timed_out",
        "wasted",
        "throughput",
        "killed",
        "queue_fills_after",
        "admitted_waiting_time",
    ):
        ours, theirs = (
            [math.nan if (value := getattr(p, name)) is None else value for p in predictions]
            for predictions in (today, again)
        )
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, err_msg=name)
        if name in grid:
            assert grid[name].values == pytest.approx(ours, rel=1e-12)
    assert today[-1].refused > 0.4
    assert today[0].refused == 0


def test_the_finite_model_says_nothing_of_it() -> None:
    result = forecast(EXAMPLE, pool=20, users=[200], model="finite")
    assert all(getattr(result.predictions[0], name) is None for name in LOST)
    assert result.predictions[0].answered is None
    assert not any("502" in caution for caution in result.cautions)
    grid = sweep(EXAMPLE, {"users": [200]}, quantity="refused", model="finite")
    assert np.isnan(grid.refused.values).all()


def test_the_database_that_holds_everybody_up_fills_the_queue_too() -> None:
    tables = scenario(database_time=0.25).to_mapping()
    tables["host"]["database_connections"] = 10
    found = of(Scenario.from_mapping(tables), pool(40, listen_backlog=100), 80.0)
    assert found["refused"] == pytest.approx(0.5, rel=1e-6)  # 10 / 0.25 = 40 of 80 a second
    assert found["queue_fills_after"] == pytest.approx(101 / 40)


@pytest.mark.parametrize(
    ("asked", "somaxconn", "places"), [(8, None, 9), (-1, None, 4097), (None, 128, 129), (511, 128, 129)]
)
def test_the_kernel_lets_wait_one_more_than_the_lesser_of_both(asked, somaxconn, places) -> None:
    tables = EXAMPLE.to_mapping()
    if somaxconn:
        tables["host"]["somaxconn"] = somaxconn
    which, settings = Scenario.from_mapping(tables), pool(2, **({} if asked is None else {"listen_backlog": asked}))
    assert backlog.room_of(asked, somaxconn) == places
    assert backlog.waiting_room(table_of(which) | pool_columns([settings])).tolist() == [places]
    assert of(which, settings, 88.0)["queue_fills_after"] == pytest.approx(places / 80)
    assert recommend(which).pool.listen_backlog == (somaxconn or 4096)


def test_the_caution_says_when_what_and_what_helps() -> None:
    result = forecast(scenario(timeout=10.0), pool=pool(40, listen_backlog=4096), users=[150, 200, 300, 400])
    (told,) = (caution for caution in result.cautions if "accept queue" in caution)
    for part in (
        "at 200, 300, 400 users as much is asked",
        "(160/s), or more",
        "at 320/s the accept queue of 4097 places is full",
    ):
        assert part in told, part
    for part in ("after about 25.6 s", "50 % get a 502", "50 % get a 504 after 10 s", "100 % of the workers' time"):
        assert part in told, part
    assert sum("without bound" in caution for caution in result.cautions) == 1
    (advice,) = (caution for caution in result.cautions if "no queue helps" in caution)
    assert "listen.backlog = 1600" in advice
    calm = forecast(EXAMPLE, pool=40, users=[100])
    assert not any("502" in caution or "no queue helps" in caution for caution in calm.cautions)


def test_a_pool_that_keeps_up_by_ending_requests_says_so() -> None:
    settings = pool(40, request_terminate_timeout=1)  # at 1.17 s on average: of 4.67 services 0.9 % last longer
    result = forecast(scenario(), pool=settings, users=[201, 400])
    rescued, over = result.predictions
    assert rescued.throughput == rescued.arrival_rate == pytest.approx(160.8)
    assert rescued.killed == pytest.approx(math.exp(-7 / 6 / 0.25), rel=1e-6)
    assert over.throughput == pytest.approx(160 / (1 - math.exp(-7 / 6 / 0.25)), rel=1e-9)
    (told,) = (caution for caution in result.cautions if "keeps up only because" in caution)
    assert "at 201 users" in told
    assert "0.9 % of all" in told


def test_the_tail_of_the_wait_is_that_of_mmck_at_scv_1_and_any_place_in_it() -> None:
    """A second way to the same number: the sum over whole places that ``_mmck`` takes where the closed form cancels."""
    chance = np.random.default_rng(4)
    size = 300
    servers, places = np.floor(10 ** chance.uniform(0, 2, size)), np.floor(10 ** chance.uniform(0, 3.6, size))
    rate = servers * np.where(chance.random(size) < 0.1, 1.0, chance.uniform(0.3, 4, size))
    t = (places + 1) / servers * chance.uniform(0, 2, size)
    none = np.zeros(size)
    with np.errstate(all="ignore"):
        found = engine.lossy_pool(servers, (none + 1, none, none + 1), rate, places, none + 1)
        tail = engine.waiting_tail(t, found)
    load = {"servers": servers, "backlog": places, "arrival_rate": rate, "service_time": 1.0}
    np.testing.assert_allclose(tail, queueing.mmck_waiting_time_tail(t, **load), rtol=1e-4, atol=1e-9)


def test_the_time_until_the_queue_is_full_is_that_of_a_trace() -> None:
    chance = np.random.default_rng(3)
    fills = []
    for _ in range(30):
        times = np.cumsum(chance.exponential(1 / 30, 4000))
        waits = queueing.replay(
            arrival_times=times, service_times=chance.exponential(0.1, 4000), servers=2, backlog=513
        )
        fills.append(times[np.argmax(np.isinf(waits))])
    found = of(scenario(service_time=0.1), pool(2, listen_backlog=512), 30.0)
    assert found["queue_fills_after"] == pytest.approx(51.3)
    assert np.mean(fills) == pytest.approx(found["queue_fills_after"], rel=0.06)


def test_the_reason_for_a_backlog_says_what_todays_would_do() -> None:
    tables = scenario(timeout=5.0).to_mapping()
    tables["pool"] = {"pm": "static", "max_children": 20}
    (choice,) = (each for each in recommend(Scenario.from_mapping(tables)).choices if each.setting == "listen_backlog")
    assert "Today 4097 may wait" in choice.reason
    assert "longer than that patience" in choice.reason
