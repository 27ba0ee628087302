"""Hosts and pods: the least of them by a search of one's own, the way they are chosen, spare ones, connections."""

from __future__ import annotations

import numpy as np
import pytest
from oracles.fleet_simulation import Pool, fleet
from oracles.simulation import interval

from capacity import InvalidInput, Scenario, queueing, size_hosts, size_pods
from capacity.fleet.balancing import BALANCINGS, balanced_pool
from capacity.table import table_of

SITE = {
    "host": {"ram": "3GiB", "reserved": "1GiB", "cpus": 4},
    "worker": {"memory": "128MiB"},
    "workload": {"service_time": 0.25, "arrival_rate": 200.0},
    "objective": {"response_time": 1.0},
}


def site(**tables):
    merged = {name: table | tables.get(name, {}) for name, table in SITE.items()}
    return Scenario.from_mapping(merged | {name: table for name, table in tables.items() if name not in SITE})


def by_hand(scenario, hosts, spare):
    """Least workers a host with random balancing, by the inverse formulas of M/M/c."""
    work, goal = scenario.workload, scenario.objective
    rates = np.array([work.arrival_rate * scenario.headroom / hosts, work.arrival_rate / (hosts - spare)])
    timely = queueing.servers_for_response_time_quantile(
        p=goal.percentile, response_time=goal.response_time, arrival_rate=rates, service_time=work.service_time
    )
    return max(float(timely.max()), float(np.ceil(rates.max() * work.service_time / goal.max_utilization)))


@pytest.mark.parametrize("rate", [3.0, 47.0, 200.0, 1711.0])
@pytest.mark.parametrize("spare", [0, 1, 3])
def test_it_is_the_least_number_of_hosts_and_of_workers(rate, spare):
    scenario = site(workload={"arrival_rate": rate})
    plan = size_hosts(scenario, spare_hosts=spare, balancing="random")
    fits = 16  # 2 GiB in workers of 128 MiB
    assert plan.most_workers == fits
    assert plan.pool.max_children == by_hand(scenario, plan.hosts, spare) <= fits
    if plan.hosts > spare + 1:
        assert by_hand(scenario, plan.hosts - 1, spare) > fits


@pytest.mark.parametrize("balancing", BALANCINGS)
def test_more_users_never_take_fewer_hosts(balancing):
    plans = [
        size_hosts(site(workload={"arrival_rate": rate, "cpu_time": 0.05}), balancing=balancing)
        for rate in (10.0, 40.0, 640.0)
    ]
    assert (np.diff([plan.hosts for plan in plans]) >= 0).all()
    assert [plan.hosts >= 2 for plan in plans]


def test_a_better_way_to_choose_never_takes_more_hosts_nor_longer():
    plan = size_hosts(site(objective={"response_time": 0.76}, worker={"memory": "512MiB"}))
    waits = [way.waiting_time for way in plan.balancings]
    hosts = [way.hosts for way in plan.balancings]
    assert waits == sorted(waits, reverse=True)
    assert hosts == sorted(hosts, reverse=True)
    assert hosts[0] > hosts[-1]  # four workers a host: here it is material
    assert [way.balancing for way in plan.balancings] == list(BALANCINGS)
    assert plan.hosts == dict(zip(BALANCINGS, hosts, strict=True))["round_robin"]


def test_what_is_spared_is_there_while_hosts_are_out():
    plan = size_hosts(site(), spare_hosts=2)
    every, few = plan.situations
    assert (every.running, few.running) == (plan.hosts, plan.hosts - 2)
    assert every.prediction.arrival_rate * every.running == pytest.approx(200)
    assert few.prediction.arrival_rate * few.running == pytest.approx(200)
    assert few.prediction.utilization <= 0.8
    assert few.prediction.objective_met
    assert plan.hosts >= plan.hosts_without_spare


def test_hosts_share_the_connections_of_one_database_with_those_of_an_update():
    host = {"database_connections": 151, "database_connections_reserved": 1}
    plain, updating = (size_hosts(site(host=host), surge_hosts=surge, balancing="random") for surge in (0, 2))
    assert plain.most_workers == min(16, 150 // plain.hosts)
    assert updating.database_connections == updating.pool.max_children * (updating.hosts + 2) <= 150
    assert updating.most_workers <= 150 // (updating.hosts + 2)


def test_connections_that_no_number_of_hosts_leaves_enough_of_are_named():
    plan = size_hosts(site(host={"database_connections": 60}))
    assert not plan.feasible
    assert plan.hosts is None
    # 200/s x 250 ms x 1.25 / 0.8 = 78.1 workers
    assert "wants at least 78 workers in all" in plan.next_steps[0]
    assert "60 are free" in plan.next_steps[0]


def test_an_objective_that_a_request_misses_alone_is_named():
    plan = size_hosts(site(objective={"response_time": 0.3}))
    assert not plan.feasible
    assert "more hosts end waiting, and nothing else" in plan.next_steps[0]


def test_a_host_with_too_little_memory_for_one_worker_is_named():
    plan = size_hosts(site(worker={"memory": "3GiB"}))
    assert (plan.feasible, plan.most_workers) == (False, 0)
    assert "Not even one worker fits" in plan.next_steps[0]


def test_users_take_the_place_of_the_load():
    by_users = size_hosts(site(workload={"think_time": 9.75}), users=2000)
    assert by_users.model_copy(update={"reason": ""}) == size_hosts(site()).model_copy(update={"reason": ""})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"users": 0}, "users must be a whole number from 1 to"),
        ({"users": 1.5}, "users must be a whole number"),
        ({"users": True}, "users must be a whole number"),
        ({"spare_hosts": -1}, "spare_hosts must be a whole number from 0 to 1000; got -1"),
        ({"surge_hosts": 1001}, "surge_hosts must be a whole number from 0 to 1000"),
        ({"balancing": "best"}, "balancing must be one of random, round_robin"),
    ],
)
def test_what_is_no_question_is_refused(options, words):
    with pytest.raises(InvalidInput, match=words):
        size_hosts(Scenario.example(), **options)


def test_a_load_is_needed():
    with pytest.raises(InvalidInput, match="users is missing"):
        size_hosts(Scenario.from_mapping({**SITE, "workload": {"service_time": 0.25}}))


@pytest.mark.parametrize("balancing", ["random", "round_robin", "least_connections"])
def test_waits_behind_a_balancer_are_those_of_a_simulation(balancing):
    """A stream of 4 x 0.8 x 3 erlang to four hosts of three workers; 99.9 % intervals."""
    trace = fleet(
        cores=[1.0] * 4,
        pools=[(host, Pool(3, 0.0, 1.0)) for host in range(4)],
        streams=[(9.6, range(4))],
        balancing=balancing,
        requests=30_000,
        seed=7,
    )[0]
    columns = (np.array([value]) for value in (3.0, 4.0, 9.6))
    pool = balanced_pool(table_of(site(workload={"service_time": 1.0})), *columns, balancing)
    wait, half = interval(trace.waits)
    slack = 0.06 if balancing == "least_connections" else 0.0  # nearly one queue, not quite
    assert float(pool["waiting_time"][0]) == pytest.approx(wait, abs=half + slack)
    chance, half = interval(trace.waits > 1e-12)
    assert float(pool["wait_probability"][0]) == pytest.approx(chance, abs=half + slack)


def sharing(seed):
    """A site whose workers share cores, with all that brute force needs."""
    rng = np.random.default_rng(seed)
    service, cores = rng.uniform(0.05, 0.3), float(rng.choice([1, 1.5, 2, 4]))
    cpu = rng.uniform(0.2, 1) * service
    rate = rng.uniform(0.3, 3) * cores / cpu
    return site(
        host={"ram": "4GiB", "cpus": cores},
        worker={"memory": int(rng.choice([64, 128, 512])) * 2**20},
        workload={"service_time": service, "cpu_time": cpu, "arrival_rate": rate},
        objective={"response_time": service * rng.uniform(3.2, 6), "max_utilization": rng.choice([0.8, 0.9])},
    )


@pytest.mark.parametrize("seed", [*range(8), 33])
@pytest.mark.parametrize("spare", [0, 2])
def test_hosts_whose_workers_share_cores_are_the_least_that_brute_force_finds(seed, spare):
    """Every number of hosts and of workers, by the public formulas of shared cores."""
    scenario = sharing(seed)
    plan = size_hosts(scenario, spare_hosts=spare, balancing="random")
    work, goal = scenario.workload, scenario.objective
    hosts = np.arange(spare + 1.0, 41.0)[:, None]
    workers = np.arange(1.0, plan.most_workers + 1)[None, :]
    met = np.ones((hosts.size, workers.size), dtype=bool)
    for running, rate in ((hosts, work.arrival_rate * scenario.headroom), (hosts - spare, work.arrival_rate)):
        pool = {"servers": workers, "cores": scenario.host.cpus, "arrival_rate": rate / running}
        pool |= {"cpu_time": work.cpu_time, "service_time": work.service_time}
        met &= queueing.shared_response_time_quantile(goal.percentile, **pool) <= goal.response_time
        met &= queueing.shared_utilization(**pool) <= goal.max_utilization
        met &= rate / running * work.cpu_time / scenario.host.cpus <= goal.max_utilization
    rows = np.flatnonzero(met.any(axis=1))
    least = (int(hosts[rows[0], 0]), int(np.argmax(met[rows[0]])) + 1) if rows.size else None
    assert rows.size
    assert (plan.hosts, plan.pool.max_children) == least


@pytest.mark.parametrize("balancing", ["random", "round_robin", "least_connections"])
def test_responses_of_workers_that_share_cores_are_near_those_of_a_simulation(balancing):
    """Four hosts of four workers on two cores at 0.8 of what they complete, two fifths of each request computing."""
    full = float(queueing.shared_cores_throughput(workers=4, cores=2, cpu_time=0.4, service_time=1.0))
    trace = fleet(
        cores=[2.0] * 4,
        pools=[(host, Pool(4, 0.4, 1.0)) for host in range(4)],
        streams=[(3.2 * full, range(4))],
        balancing=balancing,
        visits=5.0,
        requests=15_000,
        seed=11,
    )[0]
    table = table_of(site(host={"cpus": 2}, workload={"service_time": 1.0, "cpu_time": 0.4}))
    pool = balanced_pool(table, np.array([4.0]), np.array([4.0]), np.array([3.2 * full]), balancing)
    response, half = interval(trace.responses)
    assert float(pool["waiting_time"][0] + pool["hold"][0]) == pytest.approx(response, abs=half + 0.05 * response)


# --- pods


def pod(**tables):
    worker = {"memory": "64MiB", "shared_memory": "128MiB"}
    host = {"ram": "1GiB", "reserved": "128MiB", "cpus": 2}
    workload = {"service_time": 0.12, "cpu_time": 0.04, "arrival_rate": 150.0}
    return site(**{"host": host, "worker": worker, "workload": workload, **tables})


def test_pods_are_hosts_with_limits():
    plan = size_pods(pod(), spare_pods=1, surge_pods=2)
    assert plan.plan == size_hosts(pod(), spare_hosts=1, surge_hosts=2, balancing="random")
    assert [shape.ram for shape in plan.shapes] == [2**28, 2**29, 2**30, 2**31, 2**32]
    same = plan.shapes[2]
    assert (same.pods, same.workers) == (plan.plan.hosts, plan.plan.pool.max_children)
    assert plan.best.total_ram == min(shape.total_ram for shape in plan.shapes if shape.total_ram)
    assert plan.shapes[0].pods is None  # 256 MiB less 128 reserved less 128 shared: no worker fits


def test_a_published_default_of_fifty_workers_in_a_pod_of_three_gigabytes_does_not_fit():
    """sclorg/s2i-php-container issue 416: 50 workers of 250 MB are 12.5 GB, and the pod had 3 GB."""
    tables = {
        "host": {"ram": 3 * 10**9, "reserved": 0, "cpus": 50},
        "worker": {"memory": 250 * 10**6, "shared_memory": 0},
        "workload": {"service_time": 0.5, "arrival_rate": 80.0, "cpu_time": None},
        "objective": {"response_time": None},
    }
    plan = size_pods(pod(**tables), spare_pods=0)
    assert plan.plan.most_workers == 12  # not 50
    assert plan.plan.hosts == np.ceil(80 * 0.5 * 1.25 / (12 * 0.8))


def test_pods_that_cannot_carry_the_load_are_named():
    plan = size_pods(pod(host={"ram": "200MiB", "reserved": "128MiB", "cpus": 1}))
    assert not plan.feasible
    assert plan.best is not None  # larger ones can
    assert plan.best.ram > 200 * 2**20
