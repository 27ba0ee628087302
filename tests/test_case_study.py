"""The case study as acceptance: one Laravel site that an operator took by hand from 80 to 150 users.

What was observed: before, with 20 workers, 50 users were fine, 80 at the limit, 100 degraded; after, with 40
workers, 80 users were no problem, 100 manageable, 150 to be watched, 200 needed scaling out. RAM, memory of a
worker, service time and think time were not reported; the example sets them so that a user is 0.2 erlang.
"""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from capacity import Edges, PoolSettings, Scenario, forecast, recommend

FINE = {"comfortable", "manageable"}
OBSERVED = [
    (20, 50, FINE),
    (20, 80, {"watch"}),
    (20, 100, {"overloaded"}),
    (40, 80, {"comfortable"}),
    (40, 100, {"manageable"}),
    (40, 150, {"watch"}),
    (40, 200, {"overloaded"}),
]
BEFORE = PoolSettings(pm="dynamic", max_children=20, start_servers=4, min_spare_servers=2, max_spare_servers=6)


@pytest.mark.parametrize("model", ["open", "finite"])
@pytest.mark.parametrize(("workers", "users", "verdicts"), OBSERVED)
def test_the_verdict_is_what_the_operator_saw(workers, users, verdicts, model):
    (prediction,) = forecast(Scenario.example(), pool=workers, users=[users], model=model).predictions
    assert prediction.verdict in verdicts


@pytest.mark.parametrize("model", ["open", "finite"])
@pytest.mark.parametrize(("workers", "users", "verdicts"), OBSERVED)
def test_the_bands_tell_the_same_story(workers, users, verdicts, model):
    result = forecast(Scenario.example(), pool=workers, users=[users], model=model)
    comfortable, manageable, watch = (result.users_for(verdict) for verdict in ("comfortable", "manageable", "watch"))
    assert comfortable < manageable < watch
    within = [comfortable, manageable, watch, math.inf]
    names = ["comfortable", "manageable", "watch", "overloaded"]
    assert next(name for name, most in zip(names, within, strict=True) if users <= most) in verdicts


# 0.40, 0.50, 0.75 and 0.80 are the busy shares of the seven observations: an edge may sit anywhere between its
# two neighbours, which is what `Edges` says of itself.
@pytest.mark.parametrize("edges", [(0.40, 0.50, 0.80), (0.49, 0.74, 0.99), (0.45, 0.70, 0.85)])
def test_any_edges_between_the_observations_fit_them(edges):
    for workers, users, verdicts in OBSERVED:
        result = forecast(Scenario.example(), pool=workers, users=[users], edges=Edges(utilization=edges))
        assert result.predictions[0].verdict in verdicts


@pytest.mark.parametrize("edges", [(0.39, 0.70, 0.85), (0.51, 0.70, 0.85), (0.45, 0.76, 0.85), (0.45, 0.70, 0.79)])
def test_edges_on_the_wrong_side_of_an_observation_do_not_fit(edges):
    results = [
        forecast(Scenario.example(), pool=workers, users=[users], edges=Edges(utilization=edges)).predictions[0]
        for workers, users, _ in OBSERVED
    ]
    assert any(p.verdict not in verdicts for p, (_, _, verdicts) in zip(results, OBSERVED, strict=True))


def test_a_user_is_a_fifth_of_an_erlang():
    workload = Scenario.example().workload
    # 0.25 / 1.25 in binary floating point is within a rounding of 0.2
    assert workload.service_time / (workload.think_time + workload.service_time) == pytest.approx(0.2, rel=1e-15)


def test_the_recommended_pool_is_the_one_the_operator_arrived_at():
    result = recommend(Scenario.example())
    pool = result.pool
    assert pool.pm == "dynamic"
    assert (pool.max_children, pool.start_servers, pool.min_spare_servers, pool.max_spare_servers) == (40, 8, 4, 16)
    assert pool.max_requests == 1000
    assert result.feasible
    assert result.shortfall == 0
    assert result.binding == "memory"
    assert result.current == BEFORE


def test_the_workers_follow_by_hand():
    result = recommend(Scenario.example())
    gib, mib = 2**30, 2**20
    assert next(limit.workers for limit in result.limits if limit.name == "memory") == (5 * gib // 2) // (64 * mib)
    load = 150 * Fraction(1, 5)
    assert result.needed == math.ceil(load / Fraction(4, 5)) == 38
    assert result.wanted == math.ceil(load * Fraction(5, 4) / Fraction(4, 5)) == 47


def test_the_recommendation_shows_the_table_before_and_after():
    result = recommend(Scenario.example())
    after = {p.users: p.verdict for p in result.predictions}
    before = {p.users: p.verdict for p in result.current_predictions}
    seen = {20: before, 40: after}
    assert all(seen[workers][users] in verdicts for workers, users, verdicts in OBSERVED)
    assert [band.users for band in result.current_bands] < [band.users for band in result.bands]


def test_scaling_out_is_named_for_the_users_that_overload_it():
    steps = " ".join(recommend(Scenario.example()).next_steps)
    # 200 users x 0.2 erlang / 0.8 = 50 workers of 64 MiB
    assert "200 users need 50 workers" in steps
    assert "3.12 GiB" in steps
    assert "2 such hosts" in steps  # 40 erlang; 40 workers carry 32 at 80 %
    for remedy in ("OPcache", "database indexes", "Redis sessions", "load balancer"):
        assert remedy in steps
