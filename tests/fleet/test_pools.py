"""Several pools on one host: what holds whatever the pools, published cases, and what is said of them."""

from __future__ import annotations

import numpy as np
import pytest

from capacity import Fleet, Host, InvalidInput, Scenario, allot_pools, queueing, recommend
from capacity.fleet import FleetPool
from capacity.overload import LOST

GIB, MIB = 2**30, 2**20
COMMON = {
    "host": {"ram": "8GiB", "reserved": "2GiB", "cpus": 8},
    "worker": {"memory": "64MiB", "shared_memory": "128MiB"},
    "workload": {"service_time": "200ms", "cpu_time": "40ms"},
    "objective": {"response_time": "1s"},
}
RATES = {"shop": 60, "forum": 30, "intranet": 0.5}


def fleet_of(rates=RATES, *, weights=None, **tables):
    pools = [
        {"name": name, "workload": {"arrival_rate": rate}, "weight": (weights or {}).get(name, 1)}
        for name, rate in rates.items()
    ]
    merged = {name: table | tables.pop(name, {}) for name, table in COMMON.items()}
    return Fleet.from_mapping({**merged, **tables, "pool": pools})


def resource(result, name):
    return next(each for each in result.resources if each.name == name)


@pytest.mark.parametrize("rate", [3.0, 40.0, 55.5])
@pytest.mark.parametrize("reserved", ["2GiB", "7.2GiB"])
@pytest.mark.parametrize("objective", [{}, {"response_time": None}, {"max_utilization": 0.6}])
def test_a_pool_alone_gets_what_recommend_recommends(rate, reserved, objective):
    fleet = fleet_of({"www": rate}, host={"reserved": reserved}, objective=objective)
    alone, share = recommend(fleet.pools[0].scenario), allot_pools(fleet).pools[0]
    assert (share.needed, share.wanted, share.shortfall) == (alone.needed, alone.wanted, alone.shortfall)
    assert share.pool == alone.pool
    unknown = dict.fromkeys(LOST)  # what is lost is not predicted of pools that share a host
    assert share.prediction == alone.predictions[0].model_copy(update=unknown)


def counts(result):
    return {share.name: share.pool.max_children for share in result.pools}


@pytest.mark.parametrize("ram", ["8GiB", "3GiB"])
def test_the_order_of_the_pools_does_not_matter(ram):
    turned = dict(reversed(RATES.items()))
    there, back = (allot_pools(fleet_of(rates, host={"ram": ram})) for rates in (RATES, turned))
    assert counts(there) == counts(back)
    for one, other in zip(there.resources, back.resources, strict=True):
        assert one.needed == pytest.approx(other.needed, rel=1e-12)
        assert one.binding == other.binding


@pytest.mark.parametrize("ram", ["8GiB", "3GiB"])
def test_the_unit_of_memory_does_not_matter(ram):
    small = allot_pools(fleet_of(host={"ram": ram}))
    scaled = fleet_of(host={"ram": ram})
    tables = scaled.pools[0].scenario.to_mapping()
    tables["host"] |= {"ram": tables["host"]["ram"] * 4, "reserved": tables["host"]["reserved"] * 4}
    worker = {name: tables["worker"][name] * 4 for name in ("memory", "shared_memory")}
    large = allot_pools(fleet_of(host=tables["host"], worker=worker))
    assert counts(small) == counts(large)


def test_more_memory_never_lowers_the_lowest_pool():
    lowest = [
        min(share.load_factor for share in allot_pools(fleet_of(host={"ram": int(ram * GIB)})).pools)
        for ram in np.linspace(2.3, 5, 6)
    ]
    assert (np.diff(lowest) >= 0).all()
    assert lowest[0] < 1 < lowest[-1]


def test_a_weight_moves_workers_only_where_they_are_short():
    plain, heavy = (counts(allot_pools(fleet_of(weights={"forum": weight}, host={"ram": "3GiB"}))) for weight in (1, 5))
    assert heavy["forum"] > plain["forum"]
    assert heavy["shop"] < plain["shop"]
    assert counts(allot_pools(fleet_of(weights={"forum": 5}))) == counts(allot_pools(fleet_of()))


def test_pools_that_need_too_much_memory_are_named_with_what_they_lack():
    result = allot_pools(fleet_of(host={"ram": "2.8GiB"}))
    assert not result.feasible
    memory = resource(result, "memory")
    assert memory.binding
    needed = sum(share.needed for share in result.pools)
    assert memory.needed == needed * 64 * MIB > memory.available
    assert memory.available == pytest.approx(2.8 * GIB - 2 * GIB - 128 * MIB, abs=1)
    assert sum(share.shortfall for share in result.pools) > 0
    for share in result.pools:
        assert share.shortfall == max(share.needed - share.pool.max_children, 0)
        assert (share.load_factor < 1) == (share.shortfall > 0)
        if share.shortfall:
            assert f"{share.shortfall} short of the {share.needed} it needs, for want of memory" in share.reason
    assert "more RAM" in " ".join(result.next_steps)


def test_connections_bind_only_those_who_hold_one():
    pools = [
        {"name": "static", "worker": {"database_connections": 0}, "workload": {"arrival_rate": 60}},
        {"name": "shop", "workload": {"arrival_rate": 60}},
    ]
    host = COMMON["host"] | {"database_connections": 20, "database_connections_reserved": 5}
    result = allot_pools(Fleet.from_mapping({**COMMON, "host": host, "pool": pools}))
    assert result.share("shop").pool.max_children == 15
    assert result.share("static").pool.max_children == result.share("static").wanted
    assert [each.name for each in result.resources if each.binding] == ["database"]


def test_process_max_is_shared():
    result = allot_pools(fleet_of(policy={"process_max": 20}))
    assert sum(counts(result).values()) == 20
    assert resource(result, "process_max").binding


def test_cores_that_are_too_few_are_named_and_no_worker_helps():
    result = allot_pools(fleet_of(host={"cpus": 3}))
    cpu = resource(result, "cpu")
    assert not result.feasible
    assert (cpu.needed, cpu.available) == (pytest.approx(90.5 * 0.04), pytest.approx(3 * 0.8))
    assert all(share.needed is None for share in result.pools)
    assert "off the CPU time of the requests" in result.next_steps[-1]


def test_an_objective_that_a_request_misses_alone_does_not_hold_the_others_back():
    pools = [
        {"name": "slow", "workload": {"arrival_rate": 5, "service_time": "900ms"}},
        {"name": "shop", "workload": {"arrival_rate": 60}},
    ]
    result = allot_pools(Fleet.from_mapping({**COMMON, "pool": pools}))
    slow, shop = result.share("slow"), result.share("shop")
    assert (slow.needed, slow.load_factor, shop.load_factor) == (None, 0, 1.25)
    assert slow.pool.max_children >= 5 * 0.9 / 0.8
    assert not result.feasible
    assert "a request takes too long by itself" in slow.reason


def test_idle_pools_are_ondemand_and_busy_ones_dynamic():
    result = allot_pools(fleet_of(RATES | {"asleep": 0}))
    assert {share.name: share.pool.pm for share in result.pools} == {
        "shop": "dynamic", "forum": "dynamic", "intranet": "ondemand", "asleep": "ondemand",
    }  # fmt: skip
    assert result.share("asleep").pool.max_children == 1


def test_the_cores_others_use_are_gone_and_every_pool_sees_the_same_ones():
    result = allot_pools(fleet_of({"a": 60, "b": 60}))
    share = result.share("a")
    assert share.prediction.cpu_utilization == pytest.approx(120 * 0.04 / 8)
    expected = queueing.shared_response_time(
        servers=share.pool.max_children, cores=8 - 60 * 0.04, cpu_time=0.04, service_time=0.2, arrival_rate=60
    )
    assert share.prediction.response_time == pytest.approx(float(expected), rel=1e-12)


# --- published cases


def test_fifty_accounts_with_five_children_each():
    """cPanel's default of 5 children a pool and an account a pool: 50 x 5 x 64 MiB do not fit into 8 GiB."""
    accounts = fleet_of({f"account{place}": 0.2 for place in range(50)}, worker={"shared_memory": 0})
    assert 50 * 5 * 64 * MIB > 6 * GIB
    result = allot_pools(accounts)
    assert result.feasible
    assert {share.pool.pm for share in result.pools} == {"ondemand"}
    assert resource(result, "memory").allotted <= 6 * GIB
    busy = fleet_of({f"account{place}": 12 for place in range(50)}, worker={"shared_memory": 0}, host={"cpus": 64})
    full = allot_pools(busy)
    assert not full.feasible  # 50 x 2.4 erlang want 4 or 5 workers each
    assert resource(full, "memory").needed > 6 * GIB


def test_more_pools_than_the_memory_has_room_for():
    result = allot_pools(fleet_of({f"account{place}": 0.1 for place in range(120)}))
    assert not result.feasible
    assert set(counts(result).values()) == {1}
    assert "not even one worker a pool fits" in resource(result, "memory").reason


# --- bad input


def refused(tables):
    with pytest.raises(InvalidInput) as caught:
        Fleet.from_mapping(tables)
    return str(caught.value).splitlines()


POOL = {"name": "www", "workload": {"arrival_rate": 1}}


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        ({"pool": None}, ["pool must be a list of 1 to 1000 pools (a pool starts with [[pool]])"]),
        ({"pool": {"name": "www"}}, None),
        ({"pool": [3]}, ["pool 1 must be a table of fields; got 3"]),
        (
            {"pool": [{**POOL, "name": ""}]},
            ["pool.name must be 1 to 64 letters, digits, _, . or -, and not global; got ''"],
        ),
        ({"pool": [{**POOL, "wieght": 2}]}, ["pool.www.wieght is not a known field (did you mean weight?)"]),
        ({"pool": [{**POOL, "host": {}}]}, ["pool.www.host is not a known field ([host] is one for all pools)"]),
        ({"pool": [{**POOL, "weight": 0}]}, ["pool.weight must be greater than 0; got 0"]),
        ({"pool": [POOL, POOL]}, ["pool.www.name must be another than that of the other pools"]),
        ({"hots": {}}, ["hots is not a known table of a fleet (did you mean host?)"]),
        ({"host": {"ram": "4GiB", "cpus": 4}}, None),
        ({"workload": {"service_time": "-1s"}}, None),
        ({"policy": {"spares": "burst"}}, None),
        ({"worker": 3}, ["worker must be a table of fields; got 3"]),
    ],
)
def test_what_is_wrong_is_named_once(change, lines):
    told = refused({**COMMON, "pool": [POOL, {**POOL, "name": "two"}], **change})
    assert len(told) == 1
    if lines:
        assert told == lines


def test_a_problem_is_the_pools_that_has_it():
    own = {"name": "blog", "workload": {"arrival_rate": 1, "service_time": "10ms"}}
    assert refused({**COMMON, "pool": [POOL, own]}) == [
        "pool.blog.workload.cpu_time must be at most service_time, 10 ms; got '40ms'"
    ]
    assert refused({**COMMON, "pool": [POOL, {"name": "blog"}]}) == [
        "pool.blog.workload.arrival_rate is missing (users with think_time, or arrival_rate; 0 for an idle pool)"
    ]
    own = {"name": "blog", "workload": {"arrival_rate": "12 apples"}}
    assert refused({**COMMON, "pool": [POOL, own]})[0].startswith("pool.blog.workload.arrival_rate ")


def test_pools_of_different_hosts_are_no_fleet():
    one = Scenario.example()
    other = one.model_copy(update={"host": Host(ram="8GiB", reserved=0, cpus=4)})
    pools = (FleetPool(name="a", scenario=one), FleetPool(name="b", scenario=other))
    with pytest.raises(InvalidInput, match=r"pools\.b must have the host and the policy of the other pools"):
        Fleet(pools=pools)


def test_what_is_no_fleet_is_refused():
    with pytest.raises(InvalidInput, match="fleet must be a Fleet"):
        allot_pools(Scenario.example())
