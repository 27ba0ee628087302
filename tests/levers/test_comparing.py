"""Levers compared: the case study, every set tried by another route, and what must always hold."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest

from capacity import Edges, InvalidInput, PoolSettings, Scenario, compare_levers, forecast, recommend
from capacity.columns import row_of
from capacity.levers.catalogue import LEVERS, lever_named
from capacity.levers.outcomes import effects_of, evaluate
from capacity.policies.verdict import VERDICTS

EXAMPLE = Scenario.example()
DEFAULTS = {lever.name: lever.default for lever in LEVERS}
CERTAIN = [name for name in DEFAULTS if name not in ("more_workers", "shorter_timeouts")]


def scenario(**changes):
    """The case study with some fields changed: ``workload__cpu_time=0.03``."""
    tables = EXAMPLE.to_mapping()
    for name, value in changes.items():
        table, _, field = name.partition("__")
        tables[table] = {**tables.get(table, {}), field: value}
    return Scenario.from_mapping(tables)


COMPARED = compare_levers(EXAMPLE)
MEASURED = scenario(workload__cpu_time=0.03, workload__database_time=0.1)


# --- the case study


def test_the_case_study_needs_scaling_out_or_a_shorter_service_time():
    result = COMPARED
    assert result.today.users == 85
    assert result.resized.users == 170
    assert result.resized.limited_by == "memory"
    assert not result.resized.reached
    assert [found.levers for found in result.sets] == [
        ("more_hosts",), ("page_cache",), ("shorter_service",), ("slow_endpoints",)
    ]  # fmt: skip
    assert result.reachable
    assert {need.verdict: need.effect for need in result.lever("more_hosts").needed} == {
        "comfortable": 3, "manageable": 2, "watch": 2
    }  # fmt: skip


@pytest.mark.parametrize("verdict", ["comfortable", "manageable", "watch"])
def test_the_service_time_that_the_case_study_needs_is_that_of_the_edge(verdict):
    # 200 S / (1 + S) = edge 40 workers, solved for S; the lever goes in thousandths
    edge = Edges().utilization[VERDICTS.index(verdict)]
    longest = edge * 40 / (200 - edge * 40)
    need = {each.verdict: each for each in COMPARED.lever("shorter_service").needed}[verdict]
    assert 0.25 * (1 - need.effect) <= longest < 0.25 * (1 - need.effect + 0.001)


def test_the_memory_that_the_case_study_would_need_is_that_of_the_workers():
    # at 0.2 erlang a user 200 users are watch from 40 / 0.85, that is 48 workers on
    ram = 1.5 * 2**30 + 48 * 64 * 2**20
    need = COMPARED.lever("more_memory").needed[-1]
    assert need.effect == pytest.approx(math.ceil(ram / 4 / 2**30 * 100) / 100)
    assert need.meaning == "4.52 GiB of RAM instead of 4.00 GiB"


def test_what_rests_on_unknown_inputs_is_shown_at_its_best_and_is_part_of_no_set():
    result = COMPARED
    unsure = {outcome.levers[0] for outcome in result.levers if outcome.at_best}
    assert unsure == {"opcache", "redis_sessions", "fewer_queries", "more_memory", "more_cores", "faster_cores"}
    assert not any(unsure & set(found.levers) for found in result.sets)
    assert "database_time is not known" in result.lever("redis_sessions").reason


@pytest.mark.parametrize("share", [0.0, 0.2, 0.6, 1.0])
def test_at_best_is_at_least_what_it_is_once_the_input_is_known(share):
    best = COMPARED.lever("redis_sessions")
    known = compare_levers(scenario(workload__database_time=0.25 * share)).lever("redis_sessions")
    assert not known.at_best
    assert known.users <= best.users
    if share == 1:
        assert known.users == best.users


# --- every set by another route: scenarios changed by hand, and the request rate of their users


def by_hand(base, chosen, users):
    """A scenario after some levers, with the rate of its users in place of them."""
    effect = {name: chosen.get(name, lever_named(name, "").none) for name in DEFAULTS}
    load, host = base.workload, base.host
    work, held = load.cpu_time, load.database_time
    waits = load.service_time - work
    work *= 1 - effect["opcache"]
    for name in ("redis_sessions", "fewer_queries"):
        waits -= held * effect[name]
        held *= 1 - effect[name]
    scale = (1 - effect["shorter_service"]) * (1 - effect["slow_endpoints"])
    work, held, waits = work * scale / effect["faster_cores"], held * scale, waits * scale
    left = 1 - effect["page_cache"]
    rate = users * left / effect["more_hosts"] / (load.think_time + left * (work + waits))
    tables = base.to_mapping() | {
        "host": {
            **base.to_mapping()["host"],
            "ram": host.ram * effect["more_memory"],
            "cpus": host.cpus * effect["more_cores"],
        },
        "workload": {
            "service_time": work + waits,
            "cpu_time": work,
            "database_time": min(held, work + waits),
            "arrival_rate": rate,
        },
    }  # fmt: skip
    return Scenario.from_mapping(tables)


def verdict_by_hand(base, chosen, users):
    """Severity of the pool recommended for them."""
    result = recommend(by_hand(base, chosen, users))
    return VERDICTS.index(result.predictions[0].verdict)


@pytest.mark.parametrize("users", [150, 300])
def test_the_fewest_levers_are_those_of_trying_all(users):
    result = compare_levers(MEASURED, users=users, effects={"page_cache": 0.25, "shorter_service": 0.15})
    effects = DEFAULTS | {"page_cache": 0.25, "shorter_service": 0.15}
    expected: list[set[str]] = []
    for size in range(4):
        for names in combinations(CERTAIN, size):
            if verdict_by_hand(MEASURED, {name: effects[name] for name in names}, users) <= VERDICTS.index("watch"):
                expected.append(set(names))
        if expected:
            break
    found = [set(each.levers) for each in result.sets]
    assert len(expected) > 1
    assert len(found) == len(expected)
    assert all(names in expected for names in found)
    furthest = [each.users for each in result.sets]
    assert furthest == sorted(furthest, reverse=True)


@pytest.mark.parametrize(
    "names", [("page_cache",), ("more_hosts", "more_cores"), ("redis_sessions", "more_memory", "faster_cores")]
)
def test_the_most_users_of_a_set_are_the_most_by_hand(names):
    effects = {name: DEFAULTS[name] for name in names}
    row = row_of(MEASURED)
    places = [[lever.name for lever in LEVERS].index(name) for name in names]
    matrix = effects_of([places], np.array(list(DEFAULTS.values())))
    most = int(evaluate(row, matrix, 200, 2, Edges())["users"][0])
    # the pool grows with the users, as far as the limits allow
    assert verdict_by_hand(MEASURED, effects, most) <= 2 < verdict_by_hand(MEASURED, effects, most + 1)


def test_the_front_is_that_of_comparing_every_set_with_every_other():
    costs = {"more_hosts": 60, "more_memory": 20, "page_cache": 10, "redis_sessions": 2, "opcache": 0, "more_cores": 25}
    result = compare_levers(MEASURED, users=300, costs=costs)
    names = [name for name in DEFAULTS if name in costs]
    all_names = [lever.name for lever in LEVERS]
    sets = [chosen for size in range(4) for chosen in combinations(names, size)]
    effects = effects_of(
        [[all_names.index(name) for name in chosen] for chosen in sets], np.array([*DEFAULTS.values()])
    )
    users = evaluate(row_of(MEASURED), effects, 300, 2, Edges())["users"]
    per_host = {"more_memory", "more_cores"}
    prices = [
        sum(costs[name] * (2 if name in per_host and "more_hosts" in chosen else 1) for name in chosen)
        for chosen in sets
    ]
    points = list(zip(prices, users.tolist(), strict=True))
    beaten = [any(p <= q and v >= u and (p, v) != (q, u) for p, v in points) for q, u in points]
    expected = sorted({point for point, lost in zip(points, beaten, strict=True) if not lost})
    assert [(found.price, found.users) for found in result.front] == expected
    assert len(expected) > 3


def test_a_lever_without_a_price_is_on_no_front_and_without_prices_there_is_none():
    assert compare_levers(MEASURED).front == ()
    result = compare_levers(MEASURED, costs={"more_hosts": 10})
    assert [found.levers for found in result.front] == [(), ("more_hosts",)]
    assert [found.price for found in result.front] == [0, 10]
    assert result.lever("page_cache").price is None


# --- what must always hold


@pytest.mark.parametrize("base", [EXAMPLE, MEASURED], ids=["waiting", "computing"])
@pytest.mark.parametrize("lever", LEVERS, ids=lambda lever: lever.name)
def test_a_bigger_effect_never_gets_less_far(base, lever):
    """But for time saved at the database where the cores limit: users who are answered sooner click sooner."""
    less = ["redis_sessions", "fewer_queries"] if base is MEASURED else []
    effects = np.linspace(lever.least, min(lever.most, 20.0), 20)
    effects = np.unique(np.round(effects)) if lever.kind == "count" else effects
    matrix = effects_of([()] * effects.size, np.zeros(0))
    matrix[:, LEVERS.index(lever)] = effects
    found = evaluate(row_of(base), matrix, 300, 2, Edges())
    assert (np.diff(found["users"]) >= 0).all() == (lever.name not in less)
    assert (np.diff(found["reached"]) >= 0).all()


def test_answered_sooner_users_click_sooner_and_keep_the_cores_busier():
    lever = compare_levers(scenario(workload__cpu_time=0.06, workload__database_time=0.12)).lever("fewer_queries")
    assert lever.gained < 0
    assert "users who are answered sooner click sooner" in lever.reason


@pytest.mark.parametrize("base", [EXAMPLE, MEASURED], ids=["waiting", "computing"])
def test_the_needed_effect_is_the_least_in_its_steps(base):
    for outcome in compare_levers(base, users=230).levers:
        lever = lever_named(outcome.levers[0], "")
        for need in outcome.needed:
            if need.effect is None:
                continue
            level = VERDICTS.index(need.verdict)
            matrix = effects_of([(), ()], np.zeros(0))
            matrix[:, LEVERS.index(lever)] = [need.effect, max(need.effect - lever.step, lever.least)]
            reached = evaluate(row_of(base), matrix, 230, level, Edges())["reached"]
            assert reached[0] == 1
            assert need.effect == lever.least or reached[1] == 0


@pytest.mark.parametrize("base", [EXAMPLE, MEASURED], ids=["waiting", "computing"])
def test_reached_says_the_same_as_the_most_users(base):
    for users in (140, 171, 500):
        result = compare_levers(base, users=users)
        for outcome in (result.resized, *result.levers, *result.sets):
            assert outcome.reached == (outcome.users >= users)


def test_sized_anew_is_what_recommend_says():
    result = compare_levers(MEASURED, users=120)
    expected = recommend(scenario(workload__cpu_time=0.03, workload__database_time=0.1, workload__users=120))
    seen = next(each for each in expected.predictions if each.users == 120)
    assert result.resized.workers == expected.pool.max_children
    assert result.resized.verdict == seen.verdict
    assert result.resized.response_time_p95 == seen.response_time_p95
    doubled = recommend(
        scenario(workload__cpu_time=0.03, workload__database_time=0.1, workload__users=120, host__ram="8GiB")
    )
    assert result.lever("more_memory").workers == doubled.pool.max_children


def test_today_is_the_pool_as_it_is():
    result = compare_levers(MEASURED, users=100)
    seen = forecast(MEASURED, users=[100])
    assert result.today.workers == 20
    assert result.today.bands == seen.bands
    assert result.today.response_time_p95 == seen.predictions[0].response_time_p95


def test_more_workers_than_the_recommended_ones_are_found_where_those_are_not_enough():
    """A pool for 80 users with headroom is not comfortable; as many as memory allows would be."""
    result = compare_levers(EXAMPLE, users=80, verdict="comfortable")
    assert result.resized.reached
    assert forecast(EXAMPLE, pool=result.resized.workers, users=[80]).predictions[0].verdict == "comfortable"
    assert forecast(EXAMPLE, pool=result.resized.workers - 1, users=[80]).predictions[0].verdict != "comfortable"


def test_an_objective_has_to_be_kept_too():
    late = scenario(objective__response_time=0.749)  # hardly more than the 95 % quantile of the service alone
    free = compare_levers(EXAMPLE, users=150)
    bound = compare_levers(late, users=150)
    assert free.resized.reached
    assert not bound.resized.reached
    assert bound.resized.users < free.resized.users
    assert bound.resized.limited_by == "objective"
    assert bound.lever("shorter_service").reached


# --- what does nothing, and why


def test_what_does_nothing_says_what_limits_instead():
    result = compare_levers(scenario(workload__cpu_time=0.06, workload__database_time=0.05), users=200)
    memory = result.lever("more_memory")
    assert result.resized.limited_by == "cpu"
    assert memory.gained == 0
    assert memory.reason == "does nothing: what limits is the cores (23 workers), and this only moves memory"
    assert result.lever("more_workers").reason == "does nothing: what limits is the cores (23 workers)"
    assert any(line.startswith("no help: ") and "more memory" in line for line in result.summary)


def test_connections_that_hosts_share_limit_more_hosts():
    tight = scenario(host__database_connections=20, workload__database_time=0.2, workload__cpu_time=0.01)
    result = compare_levers(tight, users=200)
    assert result.resized.limited_by == "database"
    assert result.lever("more_hosts").gained <= 0
    assert "connections" in result.lever("more_hosts").reason
    assert result.lever("fewer_queries").gained > 0


def test_process_max_limits():
    tables = MEASURED.to_mapping()
    capped = Scenario.from_mapping(tables | {"policy": {**tables["policy"], "process_max": 10}})
    result = compare_levers(capped, users=200)
    assert result.resized.limited_by == "process_max"
    assert result.lever("more_memory").gained == 0


def test_a_target_that_is_reached_needs_nothing():
    result = compare_levers(EXAMPLE, users=60)
    assert result.today.reached
    assert [found.levers for found in result.sets] == [()]
    assert result.summary[-1].endswith("nothing else is needed")


def test_a_target_out_of_reach_is_said_to_be():
    result = compare_levers(EXAMPLE, users=10**6)
    assert result.sets == ()
    assert not result.reachable
    assert any(line.startswith("no three levers together") for line in result.summary)


def test_without_a_pool_there_are_no_more_workers_than_today():
    result = compare_levers(EXAMPLE.model_copy(update={"pool": None}))
    assert result.today is None
    assert "more_workers" not in {outcome.levers[0] for outcome in result.levers}


def test_a_pool_larger_than_the_limits_is_named():
    large = EXAMPLE.model_copy(update={"pool": PoolSettings(pm="static", max_children=100)})
    assert "but it has more than the 40 workers that the limits allow" in compare_levers(large).summary


def test_a_host_without_room_for_a_worker_reaches_nobody():
    result = compare_levers(scenario(host__reserved="4.0GiB", worker__memory="64MiB", host__ram="4.01GiB"), users=1)
    assert not result.resized.reached
    assert result.resized.users == 0
    assert result.lever("more_memory").reached


# --- input


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"users": 0}, "users must be a whole number from 1 to 10^9; got 0"),
        ({"users": 1.5}, "users must be a whole number from 1 to 10^9; got 1.5"),
        ({"verdict": "overloaded"}, "verdict must be comfortable, manageable or watch; got 'overloaded'"),
        ({"effects": {"page_cash": 0.1}}, "effects page_cash is not a known lever (did you mean page_cache?)"),
        ({"effects": {"page-cache": 1}}, "effects page_cache must be from 0 to 0.95; got 1 (it is a share"),
        ({"effects": {"more_hosts": 1.5}}, "effects more_hosts must be from 1 to 1000; got 1.5 (it is a whole number)"),
        ({"effects": {"more_memory": math.nan}}, "effects more_memory must be from 1 to 64; got nan"),
        ({"effects": {"more_memory": "2"}}, "effects more_memory must be from 1 to 64; got '2'"),
        ({"effects": {"more_memory": True}}, "effects more_memory must be from 1 to 64; got True"),
        ({"effects": 3}, "effects must be a mapping of lever to number; got 3"),
        ({"costs": {"more_memory": -1}}, "costs more_memory must be a number from 0 to 1e15; got -1"),
        ({"costs": {7: 1}}, "costs 7 is not a known lever"),
        ({"edges": 3}, "edges must be Edges; got 3"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_by_name(options, said):
    with pytest.raises(InvalidInput) as refused:
        compare_levers(EXAMPLE, **options)
    assert str(refused.value).startswith(said)


def test_without_a_think_time_there_are_no_users():
    load = scenario().workload.model_copy(update={"users": None, "think_time": None, "arrival_rate": 10})
    with pytest.raises(InvalidInput, match=r"workload\.think_time is missing"):
        compare_levers(EXAMPLE.model_copy(update={"workload": load}))


def test_no_scenario_is_refused():
    with pytest.raises(InvalidInput, match="scenario must be a Scenario"):
        compare_levers("site.toml")


def test_the_comparison_is_json_and_says_itself_in_a_line():
    result = COMPARED
    assert type(result).model_validate_json(result.to_json()) == result
    assert "more_hosts or page_cache" in repr(result)
