"""What must hold of levers and of sensitivities for every scenario."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from capacity import Objective, Scenario, Workload, compare_levers, sensitivity

steady = settings(
    derandomize=True, deadline=None, max_examples=8, suppress_health_check=[HealthCheck.too_slow], database=None
)


@st.composite
def scenarios(draw):
    """Small hosts, so that a comparison of all sets is quick; every part of a request known, or not."""
    service = draw(st.sampled_from([0.02, 0.25, 1.5]))
    shares = {name: draw(st.sampled_from([None, 0.05, 0.3, 0.9])) for name in ("cpu_time", "database_time")}
    known = {name: share * service for name, share in shares.items() if share is not None}
    wanted = draw(st.sampled_from([{}, {"response_time": 5 * service}, {"apdex": 0.9, "apdex_time": 2 * service}]))
    return Scenario(
        host={
            "ram": "4GiB",
            "reserved": "1GiB",
            "cpus": draw(st.sampled_from([0.5, 2, 8])),
            "database_connections": draw(st.sampled_from([None, 12, 151])),
        },
        worker={"memory": draw(st.sampled_from(["40MiB", "256MiB"]))},
        workload=Workload(
            service_time=service,
            users=draw(st.integers(1, 400)),
            think_time=draw(st.sampled_from([0.5, 5])),
            service_scv=draw(st.sampled_from([1, 2])),
            **known,
        ),
        objective=Objective(**wanted),
        pool=draw(st.sampled_from([None, {"pm": "static", "max_children": 12}])),
    )


@steady
@given(scenarios(), st.integers(1, 1500), st.sampled_from(["comfortable", "manageable", "watch"]))
def test_sets_are_enough_none_of_their_parts_is_and_the_front_rises(scenario, users, verdict):
    costs = {"more_hosts": 50, "more_memory": 20, "page_cache": 10, "shorter_service": 30}
    result = compare_levers(scenario, users=users, verdict=verdict, costs=costs)
    sizes = {len(found.levers) for found in result.sets}
    assert len(sizes) <= 1
    assert all(found.reached and not found.at_best for found in result.sets)
    if sizes and max(sizes) > 1:
        assert not any(outcome.reached for outcome in result.levers if not outcome.at_best)
    assert result.resized.reached == (sizes == {0})
    for before, after in pairwise(result.front):
        assert before.price < after.price
        assert after.users is None or before.users < after.users
    assert result.front[-1].users is None or result.front[-1].users >= result.resized.users
    for outcome in (result.resized, *result.levers):
        counts = [band.users for band in outcome.bands if band.users is not None]
        assert counts == sorted(counts)
        assert outcome.workers <= outcome.most_workers
        assert outcome.reason


@steady
@given(scenarios())
def test_a_larger_target_takes_at_least_as_much_of_every_lever(scenario):
    assume(scenario.workload.cpu_time is None)  # with it, time saved at the database can make it worse
    fewer, more = (compare_levers(scenario, users=users) for users in (150, 300))
    for small, large in zip(fewer.levers, more.levers, strict=True):
        for a, b in zip(small.needed, large.needed, strict=True):
            assert b.effect is None or (a.effect is not None and a.effect <= b.effect)


@steady
@given(scenarios())
def test_ends_tipping_points_and_the_order_of_a_sensitivity(scenario):
    result = sensitivity(scenario)
    for each in result.inputs:
        assert each.low <= each.value <= each.high
        for point in each.tipping:
            assert point.low is None or point.low < each.value
            assert point.high is None or point.high > each.value
            assert bool(point.at_low) == (point.low is not None)
            assert bool(point.at_high) == (point.high is not None)
        verdict = each.tips("verdict")
        if verdict.low is None or verdict.low < each.low:
            assert each.at_low.verdict == result.answer.verdict, each.field
