"""What must hold for every scenario, from a router of 64 MiB to a host of 1 TiB."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capacity import (
    Edges,
    Host,
    Objective,
    PoolSettings,
    Recommendation,
    Scenario,
    Worker,
    Workload,
    forecast,
    recommend,
)
from capacity.policies import database
from capacity.policies.verdict import VERDICTS
from capacity.prediction import largest_users
from capacity.table import repeat, table_of

MIB, TIB = 2**20, 2**40

steady = settings(
    derandomize=True, deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow], database=None
)


def logarithmic(low, high):
    """As many small values as large ones."""
    return st.floats(np.log(low), np.log(high)).map(lambda value: float(np.clip(np.exp(value), low, high)))


@st.composite
def hosts(draw, cores=None):
    ram = int(draw(logarithmic(64 * MIB, TIB)))
    connections = draw(st.none() | st.integers(1, 2000))
    return Host(
        ram=ram,
        reserved=int(ram * draw(st.sampled_from([0, 0.1, 0.5, 0.99]))),
        cpus=draw(cores or st.sampled_from([0.25, 0.5, 1, 1.5, 2, 4, 7.5, 16])),
        database_connections=connections,
        database_connections_reserved=0 if connections is None else draw(st.integers(0, connections - 1)),
    )


@st.composite
def workers(draw):
    return Worker(
        memory=int(draw(logarithmic(MIB, 2048 * MIB))),
        shared_memory=draw(st.sampled_from([0, 64 * MIB, 512 * MIB])),
        database_connections=draw(st.sampled_from([1, 1, 0, 4])),
    )


@st.composite
def workloads(draw, share=None, load=True):
    service_time = draw(logarithmic(0.001, 60))
    busy = draw(st.none() | st.sampled_from([1.0, 0.5]) | logarithmic(0.005, 1) if share is None else share)
    shared = draw(st.sampled_from([None, 0.0, 0.3, 1.0]))
    people = {"users": int(draw(logarithmic(1, 100_000))), "think_time": draw(logarithmic(0.01, 300))}
    rate = {"arrival_rate": draw(logarithmic(0.001, 10_000))}
    return Workload(
        service_time=service_time,
        cpu_time=None if busy is None else busy * service_time,
        database_time=None if shared is None else shared * service_time,
        requests_per_click=draw(st.sampled_from([1, 1, 0.5, 3])),
        service_scv=draw(st.sampled_from([1, 1, 0, 0.5, 4, 9])),
        **draw(st.sampled_from([people, people, rate] if load else [people])),
    )


@st.composite
def objectives(draw, service_time):
    multiple = draw(st.none() | st.floats(0.5, 12))
    satisfied = draw(st.none() | st.floats(0.5, 8))
    return Objective(
        response_time=None if multiple is None else multiple * service_time,
        percentile=draw(st.sampled_from([0.5, 0.95, 0.99])),
        max_utilization=draw(st.sampled_from([0.5, 0.8, 0.95])),
        apdex_time=None if satisfied is None else satisfied * service_time,
        apdex=None if satisfied is None else draw(st.sampled_from([None, 0.5, 0.85, 0.95])),
    )


@st.composite
def scenarios(draw, **options):
    share = options.get("share")
    workload = draw(workloads(share=share, load=options.get("load", True)))
    return Scenario(
        host=draw(hosts(cores=options.get("cores"))),
        worker=draw(workers()),
        workload=workload,
        objective=draw(objectives(workload.service_time)),
        pool=draw(
            st.sampled_from(
                [
                    None,
                    PoolSettings(pm="static", max_children=12),
                    PoolSettings(pm="ondemand", max_children=5, max_requests=200),
                    PoolSettings(pm="dynamic", max_children=20, min_spare_servers=2, max_spare_servers=6),
                ]
            )
        ),
        headroom=draw(st.sampled_from([1, 1.25, 3])),
        process_manager=draw(st.sampled_from(["keep", "auto"])),
        process_max=draw(st.none() | st.integers(1, 5000)),
        pools_on_host=draw(st.integers(1, 3)),
        web_server_timeout=draw(logarithmic(0.5, 600)),
    )


without_cpu_time = st.none()


def ceilings(result):
    return [limit.workers for limit in result.limits if limit.name != "demand" and limit.workers is not None]


@steady
@given(scenarios())
def test_there_is_always_an_answer_that_fpm_would_start_with(scenario):
    result = recommend(scenario)
    pool = result.pool
    assert pool.max_children >= 1
    if pool.pm == "dynamic":
        assert 1 <= pool.min_spare_servers <= pool.start_servers <= pool.max_spare_servers <= pool.max_children
    else:
        assert pool.min_spare_servers is pool.start_servers is pool.max_spare_servers is None
    assert pool.max_requests >= 1
    assert pool.listen_backlog >= 1
    assert pool.request_terminate_timeout >= scenario.web_server_timeout


@steady
@given(scenarios())
def test_the_binding_limit_is_the_smallest_one_and_decides(scenario):
    result = recommend(scenario)
    given = [limit.workers for limit in result.limits if limit.workers is not None]
    (binding,) = [limit for limit in result.limits if limit.binding]
    assert binding.name == result.binding
    assert binding.workers == min(given)
    assert result.pool.max_children == max(min(given), 1)


@steady
@given(scenarios())
def test_it_is_feasible_exactly_when_what_is_needed_fits_under_every_ceiling(scenario):
    result = recommend(scenario)
    fits = result.needed is not None and all(result.needed <= workers for workers in ceilings(result))
    assert result.feasible == fits
    if result.feasible:
        assert result.shortfall == 0
    elif result.needed is None:
        assert result.shortfall is None
    else:
        assert result.shortfall == result.needed - min(ceilings(result)) > 0


@steady
@given(scenarios())
def test_the_expected_load_meets_the_objective_where_it_is_feasible(scenario):
    result = recommend(scenario)
    # demand may be between two counts of users; a bare rate is predicted as it is
    expected = [p for p in result.predictions if p.users in (None, scenario.workload.users)]
    if result.feasible and (scenario.workload.users or scenario.workload.think_time is None):
        (prediction,) = expected
        busiest = scenario.objective.max_utilization * (1 + 1e-9)  # rounding
        assert prediction.utilization <= busiest
        assert prediction.cpu_utilization is None or prediction.cpu_utilization <= busiest
        assert prediction.database_utilization is None or prediction.database_utilization <= busiest
        if not scenario.workload.cpu_time:  # beyond the least count, workers that share cores may miss it again
            assert prediction.objective_met in (None, True)


@steady
@given(scenarios(), st.floats(1, 64))
def test_more_memory_never_means_fewer_workers(scenario, factor):
    ram = min(int(scenario.host.ram * factor), 2**53)
    larger = scenario.model_copy(update={"host": scenario.host.model_copy(update={"ram": ram})})
    few, many = recommend(scenario), recommend(larger)
    assert many.pool.max_children >= few.pool.max_children
    assert many.feasible >= few.feasible


@steady
@given(scenarios())
def test_an_answer_twice_is_the_same_and_comes_back_from_its_json(scenario):
    result = recommend(scenario)
    assert recommend(scenario) == result
    assert Recommendation.model_validate_json(result.to_json()) == result


@steady
@given(scenarios())
def test_nothing_said_shows_a_missing_or_endless_number(scenario):
    result = recommend(scenario)
    texts = [limit.reason for limit in result.limits] + [choice.reason for choice in result.choices]
    texts += [*result.cautions, *result.next_steps, result.more_workers_reason]
    for text in texts:
        assert text
        assert not {"nan", "inf", "None"} & set(text.replace(",", " ").replace("/", " ").replace("%", " ").split())


users_lists = st.lists(logarithmic(1, 100_000).map(int), min_size=2, max_size=12).map(sorted)


@steady
@given(scenarios(load=False), st.integers(1, 300), users_lists, st.sampled_from(["open", "finite"]))
def test_more_users_never_improve_a_verdict(scenario, pool, users, model):
    result = forecast(scenario, pool=pool, users=users, model=model)
    order = [VERDICTS.index(prediction.verdict) for prediction in result.predictions]
    assert order == sorted(order)


@steady
@given(scenarios(load=False), st.integers(1, 300), st.sampled_from(["open", "finite"]))
def test_a_band_ends_exactly_where_its_verdict_does(scenario, pool, model):
    bands = [band for band in forecast(scenario, pool=pool, model=model).bands if band.users is not None]
    assert [band.users for band in bands] == sorted(band.users for band in bands)
    for band in bands:
        if band.users < 10**9:
            at, beyond = forecast(scenario, pool=pool, users=[band.users, band.users + 1], model=model).predictions
            assert at.verdict == band.verdict
            assert VERDICTS.index(beyond.verdict) > VERDICTS.index(band.verdict)


@steady
@given(scenarios(load=False, share=without_cpu_time), st.integers(1, 300), st.integers(1, 300))
def test_a_larger_pool_never_takes_fewer_users(scenario, one, other):
    # without CPU time nothing is shared, so another worker can only help
    pools = np.array([float(min(one, other)), float(max(one, other))])
    for level in range(3):
        few, many = largest_users(repeat(table_of(scenario), 2), pools, level=level, model="open", edges=Edges())
        assert few <= many


@steady
@given(scenarios(load=False), st.integers(1, 300), users_lists, st.sampled_from(["open", "finite"]))
def test_predictions_keep_the_laws_of_operations(scenario, pool, users, model):
    workload = scenario.workload
    for prediction in forecast(scenario, pool=pool, users=users, model=model).predictions:
        fullest = pool / workload.service_time
        if workload.database_time:  # fewer connections than one worker needs: nothing is ever completed
            fullest = min(fullest, database.limit(table_of(scenario))[0] / workload.database_time)
        if workload.cpu_time:
            fullest = min(fullest, scenario.host.cpus / workload.cpu_time)
        # 1e-9 is rounding
        assert 0 <= prediction.throughput <= fullest * (1 + 1e-9)
        assert prediction.throughput > 0 or fullest == 0
        assert 0 <= prediction.utilization <= 1 + 1e-9
        assert 0 <= prediction.wait_probability <= 1 + 1e-9
        if prediction.response_time is not None:
            assert prediction.response_time >= workload.service_time * (1 - 1e-9)
            assert prediction.waiting_time >= 0
            # Little's law for the workers themselves
            held = prediction.response_time - prediction.waiting_time
            assert abs(prediction.throughput * held - prediction.utilization * pool) <= 1e-6 * pool
