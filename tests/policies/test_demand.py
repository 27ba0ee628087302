from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from capacity import Host, Objective, Scenario, Worker, Workload, queueing
from capacity.policies import demand
from capacity.table import table_of, take

HOST = Host(ram="1TiB", reserved=0, cpus=4)


def scenario(host=HOST, objective=None, each=1, **workload):
    return Scenario(
        host=host,
        worker=Worker(memory="64MiB", database_connections=each),
        workload=Workload(**{"service_time": 0.25, **workload}),
        objective=objective or Objective(),
    )


def least(case, rate):
    return float(demand.least_workers(table_of(case), np.array([float(rate)]))[0])


def meets(case, rate, workers):
    """Judge the objective by the public formulas, for one or many numbers of workers."""
    workload, goal = case.workload, case.objective
    pool = {
        "servers": workers,
        "cores": case.host.cpus,
        "cpu_time": workload.cpu_time or 0.0,
        "service_time": workload.service_time,
        "arrival_rate": rate,
    }
    # a busy share that is the goal but for the last bits meets it; 1e-10 is far below any step between counts
    met = np.asarray(queueing.shared_utilization(**pool)) <= goal.max_utilization * (1 + 1e-10)
    if goal.response_time is not None:
        met &= queueing.shared_response_time_quantile(goal.percentile, **pool) <= goal.response_time * (1 + 1e-10)
    return met


# --- the load


def test_users_offer_one_request_a_click_interval():
    # 150 users, 1 s of thinking and 250 ms of service: 150 / 1.25 = 120/s
    assert demand.expected_rate(table_of(Scenario.example())).tolist() == [120.0]


def test_every_request_of_a_click_counts():
    case = scenario(users=150, think_time=1, requests_per_click=3)
    assert demand.expected_rate(table_of(case)).tolist() == [360.0]


def test_a_given_rate_is_taken_as_it_is():
    case = scenario(arrival_rate=77, think_time=1, requests_per_click=3)
    assert demand.expected_rate(table_of(case)).tolist() == [77.0]


def test_without_users_and_rate_the_load_is_unknown():
    assert np.isnan(demand.expected_rate(table_of(scenario(think_time=1)))).all()
    assert math.isnan(least(scenario(), np.nan))


def test_users_who_never_think_offer_one_request_a_service_time():
    assert demand.expected_rate(table_of(scenario(users=8, think_time=0))).tolist() == [32.0]


# --- the least workers: without cores to share


@pytest.mark.parametrize(("rate", "workers"), [(120, 38), (150, 47), (96, 30), (96.01, 31), (3.2, 1), (3.3, 2), (0, 1)])
def test_busy_workers_over_the_goal_are_rounded_up(rate, workers):
    # load = rate x 250 ms; workers = load / 0.8 rounded up. 96/s are 24 erlang: exactly 80 % of 30 workers
    assert least(scenario(), rate) == workers
    if rate:
        assert math.ceil(Fraction(str(rate)) / 4 / Fraction(4, 5)) == workers


@pytest.mark.parametrize("goal", [0.5, 0.6, 0.7, 0.8, 0.9, 0.95])
def test_a_load_that_is_exactly_the_goal_needs_no_worker_more(goal):
    for workers in range(1, 200):
        rate = float(Fraction(str(goal)) * workers * 4)
        assert least(scenario(objective=Objective(max_utilization=goal)), rate) == workers


def test_a_load_a_millionth_of_a_percent_over_the_goal_needs_one_more():
    assert least(scenario(), 96 * (1 + 1e-8)) == 31


@pytest.mark.parametrize("percentile", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("factor", [1.001, 1.05, 1.5, 3.0])
@pytest.mark.parametrize("load", [0.1, 2.0, 30.0, 300.0])
def test_a_response_time_goal_agrees_with_the_inverse_formula(percentile, factor, load):
    target = -math.log(1 - percentile) * 0.25 * factor  # the service time alone takes the logarithm
    goal = Objective(response_time=target, percentile=percentile)
    by_time = queueing.servers_for_response_time_quantile(
        p=percentile, response_time=target, arrival_rate=load * 4, service_time=0.25
    )
    by_load = math.ceil(load / 0.8 - 1e-9)
    assert least(scenario(objective=goal), load * 4) == max(by_time, by_load)


def test_no_worker_can_beat_the_service_time_itself():
    # the 95 % quantile of an exponential service time of 250 ms is 3.00 x 250 ms = 749 ms
    quantile = -math.log(0.05) * 0.25
    assert least(scenario(objective=Objective(response_time=quantile * 0.999)), 120) == math.inf
    assert math.isfinite(least(scenario(objective=Objective(response_time=quantile * 1.001)), 120))


# --- the least workers: sharing cores

SHARED = [
    (cores, share, core_load) for cores in (0.5, 1, 2, 4, 8) for share in (0.05, 0.3, 1.0) for core_load in (0.2, 0.79)
]


@pytest.mark.parametrize(("cores", "share", "core_load"), SHARED)
def test_with_cpu_time_the_count_meets_the_goal_and_one_less_does_not(cores, share, core_load):
    cpu_time = 0.25 * share
    case = scenario(host=HOST.model_copy(update={"cpus": cores}), cpu_time=cpu_time)
    rate = core_load * cores / cpu_time
    workers = least(case, rate)
    assert math.isfinite(workers)
    assert meets(case, rate, workers)
    assert not meets(case, rate, workers - 1)


@pytest.mark.parametrize("factor", [1.5, 2.0, 4.0])
@pytest.mark.parametrize(("cores", "share", "core_load"), SHARED)
def test_with_cpu_time_and_a_response_time_too(cores, share, core_load, factor):
    cpu_time = 0.25 * share
    goal = Objective(response_time=-math.log(0.05) * 0.25 * factor)
    case = scenario(host=HOST.model_copy(update={"cpus": cores}), objective=goal, cpu_time=cpu_time)
    rate = core_load * cores / cpu_time
    workers = least(case, rate)
    if math.isinf(workers):  # far beyond the knee nothing changes any more, so a scan to 200 sees everything
        assert not meets(case, rate, np.arange(1, 201)).any()
    else:
        assert meets(case, rate, workers)
        assert not meets(case, rate, workers - 1)


def test_a_response_time_that_the_cores_cannot_give_is_never_reached():
    # at 79 % of one core, pure computing takes 1/(1 - 0.79) = 4.8 times as long (M/M/1): no count helps
    goal = Objective(response_time=1.0)
    case = scenario(host=HOST.model_copy(update={"cpus": 1}), objective=goal, cpu_time=0.25)
    assert least(case, 0.79 * 4) == math.inf


def test_a_count_that_meets_is_found_though_more_workers_miss_again():
    # pure computing on 2 cores: 2 workers wait in the queue, 4 in the script, and only one of both is in time
    goal = Objective(response_time=2.469242849838949)
    host = HOST.model_copy(update={"cpus": 2})
    case = scenario(host=host, objective=goal, service_time=0.5211, cpu_time=0.5211)
    rate = 2.3668819793192277
    assert meets(case, rate, np.arange(1, 60)).nonzero()[0].tolist() == [1, 2]
    assert least(case, rate) == 2


def test_no_cpu_time_is_the_same_as_unknown_cpu_time():
    for rate in (1, 50, 96, 120, 700):
        assert least(scenario(cpu_time=0), rate) == least(scenario(), rate)


def test_sharing_cores_never_needs_fewer_workers():
    for rate in (4, 20, 40, 60):
        assert least(scenario(cpu_time=0.05), rate) >= least(scenario(), rate)


def test_a_core_for_every_worker_changes_nothing():
    host = HOST.model_copy(update={"cpus": 64})
    assert least(scenario(host=host, cpu_time=0.25), 120) == least(scenario(), 120)


def test_cores_too_busy_for_the_goal_are_helped_by_no_worker():
    # 4 cores at 80 % give 3.2 CPU seconds a second: 64/s of 50 ms each
    assert math.isfinite(least(scenario(cpu_time=0.05), 64))
    assert least(scenario(cpu_time=0.05), 64.001) == math.inf


# --- the database


def test_connections_too_busy_for_the_goal_are_helped_by_no_worker():
    # 50 connections at 80 % are 40 busy ones: 400/s of 100 ms
    host = HOST.model_copy(update={"database_connections": 60, "database_connections_reserved": 10})
    assert least(scenario(host=host, database_time=0.1), 400) == math.ceil(400 * 0.25 / 0.8)
    assert least(scenario(host=host, database_time=0.1), 400.01) == math.inf


def test_every_connection_of_a_worker_counts():
    host = HOST.model_copy(update={"database_connections": 50})
    assert math.isfinite(least(scenario(host=host, each=4, database_time=0.1), 100))
    assert least(scenario(host=host, each=4, database_time=0.1), 100.01) == math.inf


def test_a_worker_without_connections_is_not_held_by_the_database():
    host = HOST.model_copy(update={"database_connections": 1})
    assert least(scenario(host=host, each=0, database_time=0.1), 120) == 38


# --- tables and words


def test_a_row_does_not_know_its_neighbours():
    rng = np.random.default_rng(11)
    rows = []
    for _ in range(120):
        service = float(10 ** rng.uniform(-2, 1))
        share = [None, 0.0, 0.1, 0.6, 1.0][rng.integers(5)]
        goal = Objective(response_time=None if rng.random() < 0.5 else service * float(rng.uniform(2, 9)))
        case = scenario(
            host=HOST.model_copy(update={"cpus": float(rng.choice([0.5, 1, 2, 4, 8]))}),
            objective=goal,
            service_time=service,
            cpu_time=None if share is None else share * service,
            users=int(10 ** rng.uniform(0, 2.5)),
            think_time=float(rng.uniform(0, 5)),
        )
        rows.append(table_of(case))
    table = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    rate = demand.expected_rate(table)
    together = demand.least_workers(table, rate)
    alone = [demand.least_workers(take(table, np.array([row])), rate[row : row + 1])[0] for row in range(len(rows))]
    assert np.isfinite(together).any()
    assert np.isinf(together).any()
    assert together.tobytes() == np.array(alone).tobytes()


def test_the_reason_names_users_load_needed_and_wanted():
    text = demand.explain(Scenario.example(), 120.0, 38.0, 47.0)
    for part in ("150 users", "120/s", "30 workers busy", "38 meet", "80 %", "47 at 1.25 times"):
        assert part in text
    assert "pm." not in text


def test_the_reason_names_the_response_time_and_its_share():
    case = Scenario.example().model_copy(update={"objective": Objective(response_time=0.8, percentile=0.99)})
    text = demand.explain(case, 120.0, 38.0, 47.0)
    assert "99 % of the requests within 800 ms" in text


def test_the_reason_of_a_bare_rate_invents_no_users():
    text = demand.explain(scenario(arrival_rate=120), 120.0, 38.0, 47.0)
    assert "120/s" in text
    assert "users" not in text


@pytest.mark.parametrize(("needed", "wanted"), [(math.inf, math.inf), (38.0, math.inf)])
def test_the_reason_says_where_no_number_does(needed, wanted):
    text = demand.explain(Scenario.example(), 120.0, needed, wanted)
    assert "no number" in text
    assert "inf" not in text.split()


def test_the_reason_says_that_no_load_is_given():
    text = demand.explain(scenario(), math.nan, math.nan, math.nan)
    assert "no users and no arrival rate" in text
    assert "nan" not in text


@np.errstate(all="ignore")
def test_pools_that_share_cores_are_solved_a_few_at_a_time_with_the_same_result(monkeypatch):
    workers = np.array([3.0, 40.0, 7.0, 900.0, 40.0, np.nan, 8.0])
    cores, work = np.full(7, 4.0), np.array([0.1, 0.1, 0.0, 0.02, 0.1, 0.1, 0.2])
    columns = (workers, cores, work, np.full(7, 0.25), np.array([8.0, 30.0, 20.0, 150.0, 99.0, 1.0, 19.0]))
    whole = demand.open_pool(*columns)
    monkeypatch.setattr(demand, "_CELLS", 50)
    for name, column in demand.open_pools(*columns).items():
        np.testing.assert_array_equal(column, whole[name])


def test_counts_are_tried_one_by_one_until_one_is_kept_or_none_is_left(monkeypatch):
    monkeypatch.setattr(demand, "_AT_A_TIME", 6)
    kept = np.array([[3.0, 9.0], [7.0, 7.0], [30.0, 30.0], [1.0, 1.0], [4.0, 4.0]])  # two islands of good counts a row
    below, end = np.array([2.0, 2.0, 2.0, 5.0, 2.0]), np.array([20.0, 20.0, 20.0, 6.0, 4.0])

    def meets(counts, rows):
        return (counts == kept[rows, 0]) | (counts == kept[rows, 1])

    least = demand.one_by_one(meets, below, end, np.arange(5))
    assert least.tolist() == [3, 7, np.inf, np.inf, np.inf]
