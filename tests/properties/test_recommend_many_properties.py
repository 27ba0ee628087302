"""A table says of every row what ``recommend`` says, to the last bit, and refuses what `Scenario` refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capacity import Edges, InvalidInput, Scenario, recommend, recommend_many
from capacity.columns import fields, read_table, row_of
from capacity.policies.verdict import VERDICTS
from capacity.results import Prediction, Recommendation

MIB = 2.0**20
SETTINGS = (
    "max_children", "start_servers", "min_spare_servers", "max_spare_servers", "max_requests", "listen_backlog",
    "request_terminate_timeout",
)  # fmt: skip
PREDICTED = ("utilization", "response_time", "response_time_p95")

steady = settings(
    derandomize=True, deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow], database=None
)


def logarithmic(low, high):
    """As many small values as large ones."""
    return st.floats(np.log(low), np.log(high)).map(lambda value: float(np.clip(np.exp(value), low, high)))


def maybe(values):
    return st.just(math.nan) | values


@st.composite
def rows(draw):
    """One valid row, with every column."""
    satisfied = draw(st.booleans())
    service = draw(logarithmic(0.001, 60))
    ram = float(int(draw(logarithmic(64 * MIB, 2.0**36))))
    connections = draw(maybe(st.integers(1, 2000).map(float)))
    load = draw(st.sampled_from(["users", "rate", "rate of users", "none", "thinkers"]))
    pm = draw(st.sampled_from(["", "static", "dynamic", "ondemand"]))
    workers = float(draw(st.integers(1, 300)))
    return {
        "host.ram": ram,
        "host.reserved": float(int(ram * draw(st.sampled_from([0, 0.1, 0.5, 0.99])))),
        "host.cpus": draw(st.sampled_from([0.25, 1.0, 1.5, 4.0, 16.0])),
        "host.database_connections": connections,
        "host.database_connections_reserved": 0.0 if math.isnan(connections) else math.floor(connections / 3),
        "worker.memory": float(int(draw(logarithmic(MIB, 2048 * MIB)))),
        "worker.shared_memory": draw(st.sampled_from([0.0, 64 * MIB])),
        "worker.database_connections": draw(st.sampled_from([1.0, 0.0, 4.0])),
        "workload.service_time": service,
        "workload.cpu_time": service * draw(maybe(st.sampled_from([0.0, 0.05, 0.5, 1.0]))),
        "workload.database_time": service * draw(maybe(st.sampled_from([0.0, 0.3, 1.0]))),
        "workload.service_scv": draw(st.sampled_from([1.0, 1.0, 0.0, 0.5, 4.0, 9.0])),
        "workload.users": float(draw(st.integers(1, 20_000))) if load == "users" else math.nan,
        "workload.think_time": math.nan if load in {"rate", "none"} else draw(logarithmic(0.01, 300)),
        "workload.arrival_rate": draw(logarithmic(0.001, 5000)) if load.startswith("rate") else math.nan,
        "workload.requests_per_click": draw(st.sampled_from([1.0, 0.5, 3.0])),
        "objective.response_time": service * draw(maybe(st.floats(0.5, 12))),
        "objective.percentile": draw(st.sampled_from([0.5, 0.95, 0.99])),
        "objective.apdex_time": service * draw(st.floats(0.5, 8)) if satisfied else math.nan,
        "objective.apdex": draw(maybe(st.sampled_from([0.5, 0.85, 0.95]))) if satisfied else math.nan,
        "objective.max_utilization": draw(st.sampled_from([0.5, 0.8, 0.95])),
        "policy.headroom": draw(st.sampled_from([1.0, 1.25, 3.0])),
        "policy.load_before_step": draw(st.sampled_from([0.0, 0.3])),
        "policy.step_waiting_time": draw(logarithmic(0.001, 1)),
        "policy.process_max": draw(maybe(st.integers(1, 5000).map(float))),
        "policy.pools_on_host": float(draw(st.integers(1, 3))),
        "policy.web_server_timeout": draw(logarithmic(0.5, 600)),
        "policy.process_manager": draw(st.sampled_from(["", "keep", "auto"])),
        "pool.pm": pm,
        "pool.max_children": workers if pm else math.nan,
        "pool.min_spare_servers": 1.0 if pm == "dynamic" else math.nan,
        "pool.max_spare_servers": workers if pm == "dynamic" else math.nan,
        "pool.start_servers": draw(maybe(st.just(1.0))) if pm == "dynamic" else math.nan,
        "pool.max_requests": draw(maybe(st.sampled_from([0.0, 200.0]))) if pm else math.nan,
    }


def unknown(value):
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def scenario_of(row):
    tables = {}
    for name, value in row.items():
        table, _, field = name.partition(".")
        if not unknown(value):
            tables.setdefault(table, {})[field] = value
    return Scenario.from_mapping(tables)


def table_of(rows):
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def as_row(result: Recommendation) -> dict[str, object]:
    """What a table should say, from what a recommendation does: None and what is endless as the table has it."""

    def number(value, missing=math.nan):
        return missing if value is None else float(value)

    row = {
        "feasible": result.feasible,
        "binding": result.binding,
        "pm": result.pool.pm,
        **{name: number(getattr(result.pool, name)) for name in SETTINGS},
        "shortfall": number(result.shortfall, math.inf),
        "more_workers_help": number(result.more_workers_help),
        "worst_case_memory": result.worst_case_memory,
        **{f"limit.{limit.name}": number(limit.workers) for limit in result.limits},
        "needed": number(result.needed),
        "wanted": number(result.wanted),
    }
    for prefix, predictions, bands in (
        ("", result.predictions, result.bands),
        ("current_", result.current_predictions, result.current_bands),
    ):
        row |= {f"{prefix}band.{band.verdict}": number(band.users) for band in bands}
        row |= {f"{prefix}predictions": list(map(as_seen, predictions))}
    return row


def as_seen(prediction: Prediction) -> tuple[object, ...]:
    users = math.nan if prediction.users is None else float(prediction.users)
    times = (math.inf if t is None else t for t in (prediction.response_time, prediction.response_time_p95))
    return (users, prediction.verdict, prediction.utilization, *times)


def seen_in(result, row, prefix):
    """The predictions of one row, each number of users once, and none that the table does not have."""
    seen = []
    for place in range(1, 6):
        name = f"{prefix}prediction_{place}"
        one = tuple(result[f"{name}.{part}"][row].item() for part in ("users", "verdict", *PREDICTED))
        if one[1] and one not in seen:
            seen.append(one)
    return seen


def same(left, right):
    """Equal to the last bit, NaN included."""
    return left == right or (isinstance(left, float) and isinstance(right, float) and left != left and right != right)


def differences(result, place, expected):
    found = {}
    for name, value in expected.items():
        if name.endswith("predictions"):
            got = seen_in(result, place, name.removesuffix("predictions"))
            differs = len(got) != len(value) or not all(map(same, sum(got, ()), sum(value, ())))
        else:
            got = result[name][place].item()
            if name in {"needed", "wanted"} or name.startswith("limit."):  # a recommendation says None to both
                got = math.nan if math.isinf(got) else got
            differs = not same(got, value)
        if differs:
            found[name] = (got, value)
    return found


@steady
@given(st.lists(rows(), min_size=1, max_size=12), st.sampled_from([None, Edges((0.3, 0.5, 1.2), (0.1, 0.5, 3.0))]))
def test_a_table_says_of_every_row_what_recommend_says_of_it(case, edges):
    result = recommend_many(table_of(case), edges=edges)
    for place, row in enumerate(case):
        assert differences(result, place, as_row(recommend(scenario_of(row), edges=edges))) == {}


@steady
@given(st.lists(rows(), min_size=2, max_size=8))
def test_a_row_does_not_depend_on_those_beside_it(case):
    together, table = recommend_many(table_of(case)), table_of(case)
    for place in range(len(case)):
        alone = recommend_many({name: column[place : place + 1] for name, column in table.items()})
        for name, column in together.items():
            assert same(alone[name][0].item(), column[place].item()), name


@given(rows())
def test_a_row_of_a_scenario_is_what_its_table_holds(row):
    block = read_table(table_of([row])).block(slice(0, 1))
    of_scenario = row_of(scenario_of(row))
    assert list(block) == list(of_scenario)
    for name, column in of_scenario.items():
        if name != "pool.start_servers":  # which a scenario fills in where the table does not say
            assert same(column[0].item(), block[name][0].item()), name


# values on, beside and far outside every bound of a field, of every type that a table may hold
ODD = [0.0, -1.0, 0.5, 1.0, 1.5, 2.0, 60.0, 1e-12, 1e-9, 0.009, 0.01, math.inf, -math.inf, math.nan, 1e300, 2.0**31]
ODD += [2.0**31 - 1, 2.0**22, 2.0**22 + 1, 2.0**53, 2.0**53 + 2, 65536.0, 65537.0, 1e6, 1e7, 1.0000001e7, 1e12, 2e12]
ODD += [True, None, "", "static", "dynamic", "4GiB", "250ms", "250", "12/s", 2**53 + 1, 10**400, 1 + 2j, b"static"]


def beside(name, other):
    """A field just above, at and just below another one, of which two are whole numbers."""
    step = 1.0 if name.startswith("host") else 1e-15
    return [lambda row, by=by: {name: row[other] + by * max(step, step * row[other])} for by in (-1, 0, 1)]


def dynamic(children, least, start, most):
    names = ("max_children", "min_spare_servers", "start_servers", "max_spare_servers")
    values = {f"pool.{name}": float(value) for name, value in zip(names, (children, least, start, most), strict=True)}
    return lambda row: values | {"pool.pm": "dynamic"}


RELATED = [
    *beside("workload.cpu_time", "workload.service_time"),
    *beside("workload.database_time", "workload.service_time"),
    *beside("host.reserved", "host.ram"),
    lambda row: {"host.database_connections": 7.0, "host.database_connections_reserved": 7.0},
    lambda row: {"host.database_connections": 7.0, "host.database_connections_reserved": 6.0},
    lambda row: {"workload.users": 5.0, "workload.think_time": math.nan},
    lambda row: {"workload.users": 5.0, "workload.think_time": 1.0, "workload.arrival_rate": 0.0},
    *(dynamic(10, *chain) for chain in [(2, 2, 2), (2, 1, 5), (2, 6, 5), (6, 6, 5), (11, 11, 11), (2, 2, 11)]),
    *(dynamic(10, *chain) for chain in [(10, 10, 10), (math.nan, 2, 5), (2, 2, math.nan), (2, math.nan, 5)]),
]


def assert_refused_alike(row, changes):
    """A table of the row as it was and as it is changed is refused where, and as, the scenario is."""
    changed = row | changes
    columns = {name: np.array([row.get(name), value], dtype=object) for name, value in changed.items()}
    expected, got = [], []
    try:
        scenario_of(changed)
    except InvalidInput as error:
        expected = [f"{p.field} in row 1 {p.rule}" for p in error.problems]
    try:
        read_table(columns).check(100)
    except InvalidInput as error:
        got = [f"{p.field} {p.rule}" for p in error.problems]
    assert got == expected, changes


few = settings(derandomize=True, deadline=None, max_examples=5, database=None)


@pytest.mark.parametrize("name", fields())
@few
@given(rows())
def test_a_table_refuses_the_values_that_a_scenario_refuses(name, row):
    for value in ODD:
        assert_refused_alike(row, {name: value})


@pytest.mark.parametrize("related", RELATED)
@few
@given(rows())
def test_a_table_refuses_the_fields_that_do_not_go_together(related, row):
    assert_refused_alike(row, related(row))


@settings(derandomize=True, deadline=None, max_examples=150, database=None)
@given(rows(), st.dictionaries(st.sampled_from(sorted(fields())), st.sampled_from(ODD), min_size=2, max_size=4))
def test_a_table_refuses_a_row_of_several_wrong_fields_in_the_same_words(row, odd):
    assert_refused_alike(row, odd)


@settings(derandomize=True, deadline=None, max_examples=150, database=None)
@given(rows(), st.dictionaries(st.sampled_from(sorted(fields())), st.sampled_from(ODD[:28]), min_size=1, max_size=2))
def test_numbers_are_refused_as_numbers_too(row, odd):
    numbers = {name: value for name, value in odd.items() if not isinstance(row.get(name, 0.0), str)}
    changed = row | {name: value for name, value in numbers.items() if name != "policy.spares"}
    table = {name: np.array([value]) for name, value in changed.items()}
    try:
        scenario_of(changed)
    except InvalidInput:
        with pytest.raises(InvalidInput, match="in row 0"):
            recommend_many(table)
    else:
        assert recommend_many(table)["max_children"][0] >= 1


@steady
@given(st.lists(rows(), min_size=1, max_size=6))
def test_verdicts_and_bands_tell_the_same_story(case):
    result = recommend_many(table_of(case))
    for place in range(1, 6):
        users, verdict = result[f"prediction_{place}.users"], result[f"prediction_{place}.verdict"]
        for row in np.flatnonzero(np.isfinite(users)):
            ends = [result[f"band.{name}"][row] for name in VERDICTS[:-1]]
            reached = [index for index, most in enumerate(ends) if users[row] <= most]
            assert verdict[row] == (VERDICTS[reached[0]] if reached else "overloaded")
