from __future__ import annotations

import itertools
import math
from typing import get_args

import numpy as np
import pytest

from capacity import (
    Edges,
    Host,
    InvalidInput,
    Objective,
    PoolSettings,
    Recommendation,
    Scenario,
    Worker,
    Workload,
    recommend,
)
from capacity.policies import memory
from capacity.recommendation import LIMITS, decide, users_around
from capacity.results import LimitName
from capacity.table import table_of, take


def scenario(host=None, worker=None, objective=None, pool=None, policy=None, **workload):
    return Scenario(
        host=Host(**{"ram": "4GiB", "reserved": "1.5GiB", "cpus": 4, **(host or {})}),
        worker=Worker(**{"memory": "64MiB", **(worker or {})}),
        workload=Workload(**({"service_time": 0.25, **workload})),
        objective=Objective(**(objective or {})),
        pool=pool,
        **(policy or {}),
    )


def site(**parts):
    """The case study's workload, on another host or with more known of it."""
    return scenario(**{"users": 150, "think_time": 1, **parts})


def limits(result):
    return {limit.name: limit.workers for limit in result.limits}


def binding(result):
    (name,) = [limit.name for limit in result.limits if limit.binding]
    assert name == result.binding
    return name


def reason(result, setting):
    return next(choice.reason for choice in result.choices if choice.setting == setting)


# --- what binds


BINDING = {
    "memory": site(),
    "demand": site(host={"ram": "16GiB"}),
    "cpu": site(host={"ram": "64GiB"}, cpu_time=0.025),
    "database": site(host={"ram": "64GiB", "database_connections": 45, "database_connections_reserved": 5}),
    "process_max": site(host={"ram": "64GiB"}, policy={"process_max": 39}),
}


def test_every_limit_can_bind():
    assert set(BINDING) == set(get_args(LimitName)) == set(LIMITS)
    assert {name: binding(recommend(case)) for name, case in BINDING.items()} == {name: name for name in BINDING}


@pytest.mark.parametrize("name", BINDING)
def test_the_smallest_limit_is_the_pool(name):
    result = recommend(BINDING[name])
    given = [workers for workers in limits(result).values() if workers is not None]
    assert result.pool.max_children == min(given) == limits(result)[name]


@pytest.mark.parametrize("name", BINDING)
def test_every_limit_says_formula_inputs_and_reason(name):
    for limit in recommend(BINDING[name]).limits:
        assert limit.formula
        assert limit.reason
        if limit.workers is not None:
            assert limit.inputs
            assert f"{limit.workers}" in limit.reason


def test_the_inputs_of_a_limit_are_the_scenarios_own_in_si():
    (limit,) = [limit for limit in recommend(site()).limits if limit.name == "memory"]
    assert limit.inputs == {
        "host.ram": 4 * 2**30,
        "host.reserved": 3 * 2**29,
        "worker.memory": 2**26,
        "worker.shared_memory": 0,
    }


# --- ties


def test_a_ceiling_that_is_exactly_what_is_wanted_binds():
    # 96/s are 24 erlang: 30 workers at 80 %, and 30 x 64 MiB is all there is
    exact = scenario(host={"ram": 30 * 2**26, "reserved": 0}, arrival_rate=96, policy={"headroom": 1})
    result = recommend(exact)
    assert (result.needed, result.wanted, result.pool.max_children) == (30, 30, 30)
    assert binding(result) == "memory"
    assert result.feasible


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"host": {"database_connections": 40}}, "memory"),
        ({"host": {"database_connections": 40}, "policy": {"process_max": 40}}, "memory"),
        ({"host": {"ram": "64GiB", "database_connections": 40}, "policy": {"process_max": 40}}, "database"),
    ],
)
def test_of_equal_ceilings_one_binds(parts, expected):
    result = recommend(site(**parts))
    assert result.pool.max_children == 40
    assert binding(result) == expected


# --- demand


def test_headroom_is_wanted_but_not_needed():
    for headroom in (1, 1.25, 1.5, 2):
        result = recommend(site(host={"ram": "64GiB"}, policy={"headroom": headroom}))
        assert result.needed == 38
        assert result.wanted == math.ceil(30 * headroom / 0.8) == result.pool.max_children


def test_a_request_rate_does_as_well_as_users():
    by_rate, by_users = recommend(scenario(arrival_rate=120)), recommend(site())
    assert by_rate.pool == by_users.pool.model_copy(update={"pm": by_rate.pool.pm})
    assert (by_rate.needed, by_rate.wanted, by_rate.binding) == (38, 47, "memory")
    (prediction,) = by_rate.predictions
    assert prediction.users is None
    assert prediction.arrival_rate == 120
    assert prediction.utilization == pytest.approx(0.75, rel=1e-12)
    assert by_rate.bands == ()
    assert any("no think_time" in caution for caution in by_rate.cautions)


def test_a_request_rate_with_a_think_time_is_told_in_users_too():
    result = recommend(scenario(arrival_rate=120, think_time=1))
    assert [p.users for p in result.predictions] == [50, 80, 100, 150, 200]
    assert result.bands == recommend(site()).bands


def test_without_any_load_the_pool_is_as_large_as_its_ceilings():
    result = recommend(scenario())
    assert result.pool.max_children == 40
    assert result.feasible
    assert (result.needed, result.wanted, result.shortfall) == (None, None, 0)
    assert result.predictions == result.bands == ()
    assert any("as large as its ceilings allow" in caution for caution in result.cautions)


def test_without_any_load_a_think_time_still_gives_bands():
    result = recommend(scenario(think_time=1))
    assert result.bands == recommend(site()).bands
    assert [p.users for p in result.predictions] == [50, 80, 100, 150, 200]


def test_no_requests_at_all_want_one_worker():
    result = recommend(scenario(arrival_rate=0))
    assert (result.needed, result.wanted, result.pool.max_children) == (1, 1, 1)
    assert result.feasible
    assert result.predictions[0].verdict == "comfortable"


def test_several_requests_a_click_are_several_users():
    result = recommend(scenario(users=50, think_time=1, requests_per_click=3))
    assert (result.needed, result.wanted) == (38, 47)


def test_the_users_shown_keep_the_case_studys_proportions():
    assert users_around(None) == [50, 80, 100, 150, 200]
    assert users_around(300) == [100, 160, 200, 300, 400]
    assert users_around(1) == [1]
    for users in (1, 2, 3, 10, 149, 10**6):
        shown = users_around(users)
        assert users in shown
        assert shown == sorted(set(shown))
        assert shown[0] >= 1


# --- infeasible is a result


def test_too_little_memory_is_a_shortfall():
    result = recommend(site(worker={"memory": "256MiB"}))
    assert not result.feasible
    assert (result.needed, result.pool.max_children, result.shortfall) == (38, 10, 28)
    assert binding(result) == "memory"
    (caution,) = [c for c in result.cautions if "infeasible" in c]
    for part in ("38", "10", "memory"):
        assert part in caution


def test_not_even_one_worker_still_gives_settings_that_fpm_starts_with():
    result = recommend(site(worker={"memory": "8GiB"}))
    assert not result.feasible
    assert (result.pool.max_children, result.shortfall) == (1, 38)
    assert limits(result)["memory"] == 0
    cautions = " ".join(result.cautions)
    assert "not even one worker fits" in cautions
    assert "8.00 GiB at the peak do not fit into 2.50 GiB" in cautions
    assert "pm." not in cautions


def test_without_any_load_a_host_that_takes_no_worker_is_one_short():
    result = recommend(scenario(worker={"memory": "8GiB"}))
    assert not result.feasible
    assert (result.pool.max_children, result.shortfall) == (1, 1)
    assert any("needs 1 worker" in caution and "allows 0" in caution for caution in result.cautions)


def test_a_response_time_below_the_service_itself_is_out_of_reach():
    result = recommend(site(host={"ram": "64GiB"}, objective={"response_time": 0.5}))
    assert not result.feasible
    assert (result.needed, result.wanted, result.shortfall) == (None, None, None)
    assert any("no number of workers" in caution for caution in result.cautions)
    assert "no number of workers" in next(limit.reason for limit in result.limits if limit.name == "demand")
    assert all(p.objective_met is False for p in result.predictions)
    assert {p.verdict for p in result.predictions} <= {"watch", "overloaded"}


def test_a_processor_that_is_too_slow_is_out_of_reach():
    # 120/s x 50 ms = 6 cores of computing on 4
    result = recommend(site(cpu_time=0.05))
    assert not result.feasible
    assert (result.needed, result.shortfall) == (None, None)
    assert result.more_workers_help is False
    assert "150 %" in result.more_workers_reason
    assert "whatever the number of workers" in result.more_workers_reason


def test_too_few_connections_are_a_shortfall():
    result = recommend(site(host={"ram": "64GiB", "database_connections": 30}))
    assert not result.feasible
    assert result.shortfall == 8
    assert binding(result) == "database"


def test_headroom_alone_never_makes_a_pool_infeasible():
    result = recommend(site(policy={"headroom": 100}))
    assert result.feasible
    assert result.wanted > limits(result)["memory"]


# --- would more workers help


def test_more_workers_do_not_help_where_the_knee_binds():
    # 4 cores of 25 ms give 160/s; the knee completes 99 % of that
    result = recommend(BINDING["cpu"])
    assert binding(result) == "cpu"
    assert result.feasible
    assert result.more_workers_help is False
    for part in (f"{result.pool.max_children} workers", "160/s", "4 cores", "25 ms"):
        assert part in result.more_workers_reason


def test_more_workers_are_not_needed_where_demand_binds():
    result = recommend(site(host={"ram": "64GiB"}))
    assert result.more_workers_help is False
    assert "47 workers carry the expected load" in result.more_workers_reason


def test_more_workers_help_where_memory_binds_and_cores_have_room():
    result = recommend(site(cpu_time=0.005))
    assert binding(result) == "memory"
    assert result.more_workers_help is True
    assert "memory" in result.more_workers_reason
    assert "800/s" in result.more_workers_reason  # 4 / 5 ms


@pytest.mark.parametrize(
    ("parts", "word"),
    [
        ({"host": {"ram": "64GiB", "database_connections": 40}}, "database connections"),
        ({"host": {"ram": "64GiB"}, "policy": {"process_max": 40}}, "process.max"),
    ],
)
def test_more_workers_would_help_if_the_binding_limit_allowed_them(parts, word):
    result = recommend(site(cpu_time=0.005, **parts))
    assert result.more_workers_help is True
    assert word in result.more_workers_reason


def test_whether_more_workers_help_is_unknown_without_cpu_time():
    result = recommend(site())
    assert result.more_workers_help is None
    assert "25 ms" in result.more_workers_reason  # 40 workers complete 160/s; 4 cores do only below 25 ms each


@pytest.mark.parametrize("cpu_time", [0.25, 0.3007, 0.9999])
def test_a_knee_that_is_exactly_99_percent_has_its_reason_too(cpu_time):
    # 99 workers on 100 cores complete 99 %, give or take the last bit
    result = recommend(scenario(host={"ram": "64GiB", "cpus": 100}, service_time=cpu_time, cpu_time=cpu_time))
    assert (result.pool.max_children, binding(result)) == (99, "cpu")
    assert result.more_workers_help is False


# --- the process manager


STATIC, ONDEMAND = PoolSettings(pm="static", max_children=10), PoolSettings(pm="ondemand", max_children=10)
ALONE = {"process_manager": "auto"}
CROWDED = {"process_manager": "auto", "pools_on_host": 40}


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (site(host={"ram": "64GiB"}, policy=ALONE), "static"),  # 47 x 64 MiB are far below 80 % of the budget
        (site(policy=ALONE), "dynamic"),  # all of the memory
        (site(host={"ram": "64GiB"}, policy=CROWDED), "dynamic"),
        (scenario(users=2, think_time=1, policy=CROWDED), "ondemand"),  # 0.4 erlang
        (scenario(users=5, think_time=1, policy=CROWDED), "dynamic"),  # 1 erlang
        (scenario(users=2, think_time=1, policy=ALONE), "static"),
    ],
)
@pytest.mark.parametrize("current", [None, STATIC, ONDEMAND])
def test_auto_takes_the_process_manager_by_the_rule(case, expected, current):
    result = recommend(case.model_copy(update={"pool": current}))
    assert result.pool.pm == expected
    assert expected in reason(result, "pm")
    assert "kept" not in reason(result, "pm")


@pytest.mark.parametrize("current", [STATIC, ONDEMAND, Scenario.example().pool])
def test_keep_keeps_todays_and_names_a_better_one(current):
    for case, better in ((site(host={"ram": "64GiB"}), "static"), (site(), "dynamic")):
        result = recommend(case.model_copy(update={"pool": current}))
        assert result.pool.pm == current.pm
        assert (f"{better} would be better" in reason(result, "pm")) == (better != current.pm)


def test_without_a_pool_of_today_it_is_what_fpm_ships_and_a_better_one_is_named():
    result = recommend(site(host={"ram": "64GiB"}))
    assert result.pool.pm == "dynamic"
    assert "as PHP-FPM is shipped" in reason(result, "pm")
    assert "static would be better" in reason(result, "pm")


def test_what_is_set_today_and_not_decided_here_stays():
    current = PoolSettings(pm="ondemand", max_children=10, process_idle_timeout=30, max_requests=321, max_spawn_rate=8)
    pool = recommend(site(pool=current)).pool
    assert (pool.process_idle_timeout, pool.max_requests, pool.max_spawn_rate) == (30, 321, 8)
    assert "kept as it is today" in reason(recommend(site(pool=current)), "max_requests")


def test_an_idle_timeout_is_left_out_where_fpm_ignores_it():
    current = PoolSettings(pm="ondemand", max_children=10, process_idle_timeout=30)
    auto = recommend(site(host={"ram": "64GiB"}, pool=current, policy=ALONE))
    assert auto.pool.pm == "static"
    assert auto.pool.process_idle_timeout is None


def test_every_pool_that_is_emitted_satisfies_fpm():
    counts = [1, 2, 3, 4, 5, 9, 10, 11, 19, 20, 40, 99, 333]
    for workers, current in itertools.product(counts, [None, STATIC, ONDEMAND, Scenario.example().pool]):
        case = site(host={"ram": workers * 2**26, "reserved": 0}, pool=current, policy={"headroom": 10})
        pool = recommend(case).pool
        assert pool.max_children == workers
        spares = (pool.min_spare_servers, pool.start_servers, pool.max_spare_servers)
        if pool.pm == "dynamic":
            assert 1 <= spares[0] <= spares[1] <= spares[2] <= pool.max_children
        else:
            assert spares == (None, None, None)
        assert pool.max_requests >= 1
        assert 1 <= pool.listen_backlog <= 4096
        assert pool.request_terminate_timeout >= 1


# --- figures that hang together


@pytest.mark.parametrize("name", ["memory", "demand", "database", "process_max"])
def test_the_backlog_is_what_the_busy_pool_completes_in_time(name):
    result = recommend(BINDING[name].model_copy(update={"web_server_timeout": 5}))
    # 5 s of patience x 4/s a worker
    assert result.pool.listen_backlog == 20 * result.pool.max_children
    assert str(result.pool.listen_backlog) in reason(result, "listen_backlog")


def test_shared_cores_make_the_useful_backlog_shorter():
    # the knee completes 99 to 100 % of 4 cores / 25 ms = 160/s, whatever its number of workers
    result = recommend(BINDING["cpu"].model_copy(update={"web_server_timeout": 5}))
    assert math.floor(0.99 * 5 * 160) <= result.pool.listen_backlog <= 5 * 160 < 20 * result.pool.max_children


def test_the_worst_case_counts_shared_memory_once():
    result = recommend(site(worker={"shared_memory": "512MiB"}))
    assert result.pool.max_children == 32
    assert result.worst_case_memory == 5 * 2**29


@pytest.mark.parametrize("parts", [{}, {"cpu_time": 0.02}, {"host": {"ram": "2GiB"}}])
def test_predictions_are_those_of_the_recommended_pool(parts):
    case = site(**parts)
    result = recommend(case)
    # the expected users at the recommended number of workers
    (expected,) = [p for p in result.predictions if p.users == 150]
    assert expected.arrival_rate == pytest.approx(120, rel=1e-12)
    if not case.workload.cpu_time:
        assert expected.utilization == pytest.approx(min(30 / result.pool.max_children, 1), rel=1e-12)
    for band in result.bands:
        assert result.users_for(band.verdict) == band.users


def test_todays_pool_is_predicted_beside_the_recommended_one():
    result = recommend(Scenario.example())
    assert [p.users for p in result.current_predictions] == [p.users for p in result.predictions]
    assert recommend(site()).current_predictions == ()
    assert recommend(site()).current_bands == ()
    assert recommend(site()).current is None


def test_edges_reach_the_verdicts_and_the_bands():
    # half as busy is half as many users: 40 workers at 0.225 are 45 of 0.2 erlang
    result = recommend(Scenario.example(), edges=Edges(utilization=(0.225, 0.35, 0.425)))
    assert [band.users for band in result.bands] == [45, 70, 85]
    assert {p.users: p.verdict for p in result.predictions}[100] == "overloaded"


@pytest.mark.parametrize("name", BINDING)
def test_every_choice_has_a_reason_and_no_prefix(name):
    result = recommend(BINDING[name])
    settings = [choice.setting for choice in result.choices]
    assert settings == [
        "pm",
        "max_requests",
        "listen_backlog",
        "request_terminate_timeout",
        "process_control_timeout",
    ]
    for choice in result.choices:
        assert choice.reason
        if choice.setting != "process_control_timeout":
            assert getattr(result.pool, choice.setting) == choice.value
    words = [choice.reason for choice in result.choices] + [limit.reason for limit in result.limits]
    words += [*result.cautions, *result.next_steps, result.more_workers_reason]
    for text in words:
        assert "pm." not in text
        assert not {"nan", "inf", "None", "null"} & set(text.replace(",", " ").replace(";", " ").split())


# --- cautions and next steps


def test_several_pools_on_the_host_are_a_caution():
    cautions = recommend(site(policy={"pools_on_host": 3})).cautions
    assert any("3 pools share this host" in caution for caution in cautions)


def test_a_web_server_that_gives_up_before_the_answer_is_a_caution():
    # exp(-60/60) = 36.8 % of exponential service times of 60 s are longer than 60 s
    cautions = recommend(scenario(service_time=60, users=10, think_time=60)).cautions
    assert any("36.8 %" in caution and "job queue" in caution for caution in cautions)


def test_a_static_pool_of_all_the_memory_is_a_caution():
    cautions = recommend(site(pool=STATIC)).cautions
    assert any("static keeps every worker for good" in caution for caution in cautions)


def test_what_the_next_users_take_is_said_in_numbers():
    steps = recommend(Scenario.example()).next_steps
    # users x 0.25 / (1 + 0.25) over 0.8 = 50 workers; at 40, 200 S/(1 + S) = 32 erlang at S = 190 ms
    assert "200 users need 50 workers" in steps[0]
    assert "190 ms" in steps[1]


def test_the_processor_has_its_own_next_steps():
    steps = " ".join(recommend(site(cpu_time=0.05)).next_steps)
    # 120/s x 50 ms / 0.8 = 7.5 cores; 4 cores x 0.8 / 120/s = 26.7 ms
    assert "8 cores" in steps
    assert "26.7 ms" in steps


def test_the_hosts_that_are_enough_are_enough_for_their_cores_too():
    # 120/s x 100 ms are 12 cores: 15 at 80 %, so 4 hosts of 4, though 3 hosts of 15 workers would carry 30 erlang
    steps = " ".join(recommend(site(cpu_time=0.1)).next_steps)
    assert "15 cores" in steps
    assert "4 such hosts" in steps


def test_there_are_no_next_steps_where_nothing_is_overloaded():
    assert recommend(site(host={"ram": "64GiB"}, policy={"headroom": 2})).next_steps == ()


def test_sources_become_assumptions():
    tables = Scenario.example().to_mapping() | {"sources": {"worker.memory": {"source": "smaps of 20 workers"}}}
    (assumption,) = recommend(Scenario.from_mapping(tables)).assumptions
    assert (assumption.field, assumption.value) == ("worker.memory", 2**26)
    assert "smaps of 20 workers" in assumption.source


@pytest.mark.parametrize("wrong", [None, 3, "scenario.toml", {}], ids=repr)
def test_only_a_scenario_is_recommended_for(wrong):
    with pytest.raises(InvalidInput, match="scenario must be a Scenario"):
        recommend(wrong)


# --- tables


def test_one_row_and_many_rows_decide_alike():
    rng = np.random.default_rng(23)
    rows = []
    for _ in range(150):
        service = float(10 ** rng.uniform(-2.5, 1))
        share = [None, 0.0, 0.05, 0.5, 1.0][rng.integers(5)]
        case = scenario(
            host={
                "ram": int(2 ** rng.uniform(28, 38)),
                "reserved": 0,
                "cpus": float(rng.choice([0.5, 1, 2, 4, 8])),
                "database_connections": None if rng.random() < 0.5 else int(rng.integers(1, 200)),
            },
            worker={"memory": int(2 ** rng.uniform(22, 29)), "database_connections": int(rng.integers(0, 3))},
            objective={"response_time": None if rng.random() < 0.6 else service * float(rng.uniform(2, 8))},
            policy={"process_max": None if rng.random() < 0.8 else 30, "pools_on_host": int(rng.integers(1, 3))},
            service_time=service,
            cpu_time=None if share is None else share * service,
            database_time=None if rng.random() < 0.5 else service * 0.3,
            users=None if rng.random() < 0.1 else int(10 ** rng.uniform(0, 2.7)),
            think_time=float(rng.uniform(0, 10)),
        )
        rows.append(table_of(case))
    table = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    together = decide(table)
    for row in range(150):
        alone = decide(take(table, np.array([row])))
        for name, column in alone.items():
            assert column.tobytes() == together[name][row : row + 1].tobytes(), name
    assert {LIMITS[int(index)] for index in together["binding"]} == set(LIMITS)
    assert set(together["feasible"].tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("name", BINDING)
def test_a_recommendation_is_the_one_row_case_of_the_table(name):
    decision = {key: float(column[0]) for key, column in decide(table_of(BINDING[name])).items()}
    result = recommend(BINDING[name])
    assert result.pool.max_children == decision["max_children"]
    assert LIMITS[int(decision["binding"])] == result.binding
    assert result.worst_case_memory == decision["worst_case_memory"]
    table = table_of(BINDING[name])
    assert result.worst_case_memory == memory.worst_case(table, np.array([decision["max_children"]]))[0]


@pytest.mark.parametrize("name", BINDING)
def test_a_recommendation_twice_is_the_same(name):
    first, second = recommend(BINDING[name]), recommend(BINDING[name])
    assert isinstance(first, Recommendation)
    assert first == second
    assert first.to_json() == second.to_json()


# Longer than 60 s with a mean of 10 s: e^-6 of exponential times; of lognormal ones by the normal distribution; of
# constant ones none, or all where the web server waits for less
@pytest.mark.parametrize(
    ("scv", "service_time", "share"),
    [(1.0, 10.0, "0.248 %"), (4.0, 10.0, "2.03 %"), (0.5, 10.0, None), (0.0, 59.0, None), (0.0, 61.0, "100 %")],
)
def test_how_many_requests_outlast_the_web_server_depends_on_their_spread(scv, service_time, share):
    workload = {"service_time": service_time, "service_scv": scv, "users": 3, "think_time": 10.0}
    scenario = Scenario.from_mapping(Scenario.example().to_mapping() | {"workload": workload})
    said = [caution for caution in recommend(scenario).cautions if "web server gives up" in caution]
    assert len(said) == (share is not None)
    assert share is None or f"and {share} of requests take longer" in said[0]


def test_the_lag_of_a_dynamic_pool_is_a_number_of_seconds():
    example = Scenario.example()
    reason = recommend(example).choices[0].reason
    assert "it takes about 6 s to have the workers when the load jumps from 30 % of the expected one" in reason
    calm = recommend(example.model_copy(update={"load_before_step": 0.9})).choices[0].reason
    assert "its spares are enough when the load jumps from 90 %" in calm
    nobody = example.model_copy(update={"workload": example.workload.model_copy(update={"users": None})})
    assert recommend(nobody).choices[0].reason.endswith("a sudden rush waits for forks")
