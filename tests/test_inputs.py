from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from capacity.errors import InvalidInput
from capacity.inputs import Host, Objective, Worker, Workload

GIB = 2**30
HOST = {"ram": 4 * GIB, "reserved": GIB, "cpus": 4}
WORKER = {"memory": 64 * 2**20}
WORKLOAD = {"service_time": 0.25}
USERS = {"service_time": 0.25, "users": 150, "think_time": 1}


def problems(model, fields):
    with pytest.raises(InvalidInput) as caught:
        model(**fields)
    return [str(problem) for problem in caught.value.problems]


def test_text_is_read_with_its_unit():
    assert Host(ram="4GiB", reserved="1.5 GiB", cpus=4) == Host(ram=4 * GIB, reserved=3 * GIB // 2, cpus=4)
    assert Workload(service_time="250ms", arrival_rate="7200/min") == Workload(service_time=0.25, arrival_rate=120)


def test_numbers_are_si():
    host = Host(**HOST)
    assert (host.ram, host.reserved, host.cpus) == (4 * GIB, GIB, 4.0)
    assert type(host.ram) is int
    assert type(host.cpus) is float


def test_whole_floats_pass_for_whole_numbers():
    host = Host(ram=4e9, reserved=0.0, cpus=2, database_connections=151.0)
    assert host.ram == 4_000_000_000
    assert type(host.ram) is int
    assert type(host.database_connections) is int


def test_sizes_stay_exact_where_a_float_would_round():
    assert Host(ram=2**53 - 1, reserved=0, cpus=1).ram == 2**53 - 1


@pytest.mark.parametrize("kind", [np.int8, np.int64, np.uint32, np.float32, np.float64, np.longdouble])
def test_numpy_numbers_are_numbers(kind):
    host = Host(ram=kind(64), reserved=kind(32), cpus=kind(4))
    assert host == Host(ram=64, reserved=32, cpus=4)
    assert [type(value) for value in (host.ram, host.reserved, host.cpus)] == [int, int, float]


@pytest.mark.parametrize("kind", [Decimal, Fraction])
def test_exact_numbers_are_numbers(kind):
    assert Host(ram=kind(64), reserved=kind(0), cpus=kind("0.5")) == Host(ram=64, reserved=0, cpus=0.5)


def test_a_cgroup_quota_may_leave_half_a_cpu():
    assert Host(**{**HOST, "cpus": 0.5}).cpus == 0.5


def test_no_load_at_all_is_allowed():
    workload = Workload(**WORKLOAD)
    assert (workload.users, workload.arrival_rate) == (None, None)


def test_think_time_may_stand_beside_an_arrival_rate():
    assert Workload(service_time=0.25, think_time=1, arrival_rate=0).arrival_rate == 0


def test_the_extremes_of_each_domain_are_allowed():
    Host(ram=1, reserved=0, cpus=1e-9, database_connections=1)
    Host(ram=2, reserved=1, cpus=1, database_connections=2, database_connections_reserved=1)
    Worker(memory=1, shared_memory=0, database_connections=0)
    Workload(service_time=1, cpu_time=1, database_time=1, service_scv=0, users=1, think_time=0)
    Workload(service_time=1, cpu_time=0, database_time=0)
    Objective(percentile=1e-9, max_utilization=0.999999)


BROKEN = [
    (Host, HOST, {"ram": 0}, "ram must be greater than 0 B; got 0"),
    (Host, HOST, {"ram": "0GiB"}, "ram must be greater than 0 B; got '0GiB'"),
    (Host, HOST, {"ram": "4"}, "ram wants a number and a unit, such as 64MiB; got '4'"),
    (Host, HOST, {"ram": 2**53 + 1}, "ram must be at most 8192 TiB; got 9007199254740993"),
    (
        Host,
        HOST,
        {"ram": True},
        "ram must be a whole number of bytes; got True (or text with its unit, such as 4GiB)",
    ),
    (
        Host,
        HOST,
        {"ram": 4.5},
        "ram must be a whole number of bytes; got 4.5 (or text with its unit, such as 4GiB)",
    ),
    (
        Host,
        HOST,
        {"ram": None},
        "ram must be a whole number of bytes; got None (or text with its unit, such as 4GiB)",
    ),
    (Host, HOST, {"reserved": -1}, "reserved must be at least 0 B; got -1"),
    (Host, HOST, {"reserved": "4GiB"}, "reserved must be less than ram, 4.00 GiB; got '4GiB'"),
    (Host, HOST, {"cpus": 0}, "cpus must be greater than 0; got 0"),
    (Host, HOST, {"cpus": float("nan")}, "cpus must be finite; got nan"),
    (Host, HOST, {"cpus": float("inf")}, "cpus must be finite; got inf"),
    (Host, HOST, {"cpus": np.float64("nan")}, "cpus must be finite; got nan"),
    (Host, HOST, {"cpus": "4"}, "cpus must be a number; got '4' (such as 4, without quotes)"),
    (Host, HOST, {"cpus": False}, "cpus must be a number; got False"),
    (Host, HOST, {"cpus": np.True_}, "cpus must be a number; got True"),
    (Host, HOST, {"cpus": np.array(4.0)}, "cpus must be a number; got 4.0"),
    (Host, HOST, {"cpus": Decimal("sNaN")}, "cpus must be finite; got sNaN"),
    (Host, HOST, {"cpus": 4j}, "cpus must be a number; got 4j"),
    (Host, HOST, {"cpus": [4]}, "cpus must be a number; got [4]"),
    (Host, HOST, {"database_connections": 0}, "database_connections must be at least 1; got 0"),
    (
        Host,
        HOST,
        {"database_connections": 10, "database_connections_reserved": 10},
        "database_connections_reserved must be less than database_connections, 10; got 10",
    ),
    (
        Host,
        HOST,
        {"rma": 1},
        "rma is not a known field (did you mean ram?)",
    ),
    (Worker, WORKER, {"memory": 0}, "memory must be greater than 0 B; got 0"),
    (Worker, WORKER, {"shared_memory": -1}, "shared_memory must be at least 0 B; got -1"),
    (Worker, WORKER, {"database_connections": -1}, "database_connections must be at least 0; got -1"),
    (Worker, WORKER, {"database_connections": 0.5}, "database_connections must be a whole number; got 0.5"),
    (Workload, WORKLOAD, {"service_time": -0.2}, "service_time must be greater than 0 s; got -0.2"),
    (Workload, WORKLOAD, {"service_time": 0}, "service_time must be greater than 0 s; got 0"),
    (
        Workload,
        WORKLOAD,
        {"service_time": "250"},
        "service_time wants a number and a unit, such as 250ms; got '250'",
    ),
    (Workload, WORKLOAD, {"cpu_time": 0.26}, "cpu_time must be at most service_time, 250 ms; got 0.26"),
    (Workload, WORKLOAD, {"cpu_time": -1}, "cpu_time must be at least 0 s; got -1"),
    (
        Workload,
        WORKLOAD,
        {"database_time": "1s"},
        "database_time must be at most service_time, 250 ms; got '1s'",
    ),
    (Workload, WORKLOAD, {"service_scv": -0.1}, "service_scv must be at least 0; got -0.1"),
    (Workload, WORKLOAD, {"arrival_rate": -1}, "arrival_rate must be at least 0/s; got -1"),
    (
        Workload,
        WORKLOAD,
        {"arrival_rate": "fast"},
        "arrival_rate wants a number and a unit, such as 120/s; got 'fast'",
    ),
    (Workload, WORKLOAD, {"requests_per_click": 0}, "requests_per_click must be greater than 0; got 0"),
    (Workload, USERS, {"users": 0}, "users must be at least 1; got 0"),
    (Workload, USERS, {"users": 1.5}, "users must be a whole number; got 1.5"),
    (Workload, USERS, {"users": 2**31}, "users must be at most 2147483647; got 2147483648"),
    (Workload, USERS, {"think_time": -1}, "think_time must be at least 0 s; got -1"),
    (
        Workload,
        USERS,
        {"think_time": None},
        "think_time is missing (users make no load until their pause between clicks is known, such as 1s)",
    ),
    (
        Workload,
        USERS,
        {"arrival_rate": 120},
        "arrival_rate cannot be given together with users; got 120 "
        "(users is 150: two statements of one load; leave one of them out)",
    ),
    (Objective, {}, {"response_time": 0}, "response_time must be greater than 0 s; got 0"),
    (Objective, {}, {"percentile": 95}, "percentile must be a fraction below 1; got 95 (for 95 % write 0.95)"),
    (
        Objective,
        {},
        {"percentile": np.int64(99)},
        "percentile must be a fraction below 1; got 99 (for 99 % write 0.99)",
    ),
    (Objective, {}, {"percentile": 1}, "percentile must be less than 1; got 1"),
    (Objective, {}, {"percentile": 0}, "percentile must be greater than 0; got 0"),
    (Objective, {}, {"max_utilization": 1.0}, "max_utilization must be less than 1; got 1.0"),
    (
        Objective,
        {},
        {"max_utilization": 80},
        "max_utilization must be a fraction below 1; got 80 (for 80 % write 0.8)",
    ),
]


@pytest.mark.parametrize(("model", "valid", "change", "message"), BROKEN)
def test_a_broken_rule_names_field_rule_value_and_hint(model, valid, change, message):
    model(**valid)
    assert problems(model, {**valid, **change}) == [message]


def test_every_wrong_field_is_named_at_once_rules_between_fields_included():
    assert problems(Host, {"ram": 10, "reserved": 10, "cpus": 0, "database_connections": "x"}) == [
        "reserved must be less than ram, 10 B; got 10",
        "cpus must be greater than 0; got 0",
        "database_connections must be a whole number; got 'x' (such as 151, without quotes)",
    ]


def test_a_missing_field_says_what_it_is_and_how_to_write_it():
    assert problems(Worker, {}) == [
        "memory is missing (private memory of one worker at the peak of a request, such as 64MiB)"
    ]


@pytest.mark.parametrize("value", ["x" * 10_000, "a\nb" * 1000, list(range(1000)), {"a": "b" * 1000}])
def test_a_long_value_is_never_echoed_whole(value):
    (message,) = problems(Host, {**HOST, "ram": value})
    assert len(message) < 200
    assert "\n" not in message


@pytest.mark.parametrize("value", [10**400, -(10**400), pytest.param(10**5000, id="10**5000")])
def test_an_absurd_integer_is_refused_not_overflowed(value):
    assert len(problems(Host, {"ram": value, "reserved": value, "cpus": value})) == 3


def test_nothing_can_be_changed_afterwards():
    host = Host(**HOST)
    with pytest.raises(ValueError, match="frozen"):
        host.ram = 1
    assert hash(host) == hash(Host(**HOST))


def test_a_changed_copy_is_checked():
    host = Host(**HOST)
    assert host.model_copy() == host
    assert host.model_copy(update={"ram": "8GiB"}).ram == 8 * GIB
    with pytest.raises(InvalidInput, match="reserved must be less than ram"):
        host.model_copy(update={"ram": "512MiB"})


def test_only_what_differs_from_the_defaults_is_shown():
    assert repr(Objective()) == "Objective()"
    assert repr(Objective(percentile=0.99)) == "Objective(percentile=0.99)"
