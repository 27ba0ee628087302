"""Which inputs matter: against ``recommend`` itself, closed forms, and scans of single values."""

from __future__ import annotations

import math

import pytest

from capacity import InvalidInput, Scenario, recommend, sensitivity
from capacity.doubt.moving import INPUTS

EXAMPLE = Scenario.example()
WHOLE = ("host.ram", "host.reserved", "worker.memory", "workload.users", "host.database_connections")


def changed(base, field, value):
    """A scenario with one field changed, by the way of a scenario file."""
    table, _, name = field.partition(".")
    tables = base.to_mapping()
    value = round(value) if field in WHOLE else value
    return Scenario.from_mapping(tables | {table: {**tables.get(table, {}), name: value}})


MEASURED = EXAMPLE
for _field, _value in {
    "workload.cpu_time": 0.06,
    "workload.database_time": 0.1,
    "host.database_connections": 30,
    "objective.response_time": 1.0,
    "workload.users": 60,
}.items():
    MEASURED = changed(MEASURED, _field, _value)
SENSED = {"waiting": sensitivity(EXAMPLE), "computing": sensitivity(MEASURED)}
BASES = {"waiting": EXAMPLE, "computing": MEASURED}
each_base = pytest.mark.parametrize("base", BASES)


def said(scenario):
    """Workers, binding limit, verdict and p95 of the expected users, and most users, as ``recommend`` has them."""
    result = recommend(scenario)
    seen = next(each for each in result.predictions if each.users == scenario.workload.users)
    return (
        result.pool.max_children,
        result.binding,
        seen.verdict,
        seen.response_time_p95,
        max((band.users or 0) for band in result.bands),
    )


def of(answer):
    return answer.workers, answer.binding, answer.verdict, answer.response_time_p95, answer.users


@each_base
def test_the_answer_at_both_ends_of_every_input_is_what_recommend_says(base):
    assert of(SENSED[base].answer) == said(BASES[base])
    for each in SENSED[base].inputs:
        assert of(each.at_low) == said(changed(BASES[base], each.field, each.low)), each.field
        assert of(each.at_high) == said(changed(BASES[base], each.field, each.high)), each.field


@pytest.mark.parametrize(
    ("field", "workers", "users"),
    [
        # memory binds: c = (ram - reserved) / memory, N = edge c (Z + S) / (S r)
        ("host.ram", 4 / 2.5, 4 / 2.5),
        ("host.reserved", -1.5 / 2.5, -1.5 / 2.5),
        ("worker.memory", -1, -1),
        ("workload.service_time", 0, -0.8),
        ("workload.think_time", 0, 0.8),
        ("workload.requests_per_click", 0, -1),
        ("workload.users", 0, 0),
    ],
)
def test_elasticities_of_the_case_study_are_those_of_its_formula(field, workers, users):
    each = SENSED["waiting"].input(field)
    # 40 workers are whole to 2.5 %, which over steps of 10 % up and down is 0.13
    assert each.workers_elasticity == pytest.approx(workers, abs=0.13)
    assert each.users_elasticity == pytest.approx(users, abs=0.13)


@each_base
@pytest.mark.parametrize("step", [1.05, 1.12])
def test_elasticities_are_those_of_another_step(base, step):
    seen = 0
    for each in SENSED[base].inputs:
        slopes = {1: each.workers_elasticity, 4: each.users_elasticity}
        try:
            ends = [said(changed(BASES[base], each.field, each.value * factor)) for factor in (1 / step, step)]
        except InvalidInput:
            continue
        if {end[1] for end in ends} != {SENSED[base].answer.binding}:
            continue  # another limit takes over
        for place, slope in ((0, slopes[1]), (4, slopes[4])):
            other = math.log(ends[1][place] / ends[0][place]) / (2 * math.log(step))
            # one worker of 20, rounded at either end
            assert slope == pytest.approx(other, abs=0.05 / math.log(step) + 0.1), each.field
            seen += abs(other) > 0.3
    assert seen >= 3


def test_the_response_elasticity_of_a_pool_that_hardly_waits_is_that_of_its_service_time():
    idle = sensitivity(changed(changed(EXAMPLE, "workload.users", 20), "policy.headroom", 20))
    assert idle.answer.workers == 40
    # the exponential quantile is proportional to the service time
    assert idle.input("workload.service_time").response_time_p95_elasticity == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(
    ("field", "end", "value"),
    [
        # 150 S / (Z + S) r = 0.85 c, solved for each of them
        ("workload.service_time", "high", 34 / 116),
        ("workload.think_time", "low", 150 * 0.25 / 34 - 0.25),
        ("workload.requests_per_click", "high", 34 / 30),
        ("workload.users", "high", 171),
        ("host.ram", "low", (1.5 * 1024 + 36 * 64) * 2**20),  # the 36th worker: 35 are too busy
    ],
)
def test_the_verdict_tips_where_the_formula_says(field, end, value):
    point = SENSED["waiting"].input(field).tips("verdict")
    found = getattr(point, end)
    assert found == pytest.approx(value, rel=3e-4)
    assert getattr(point, f"at_{end}") == "overloaded"


@each_base
def test_a_tipping_point_lies_within_a_thousandth_of_where_recommend_changes(base):
    here = said(BASES[base])
    seen = 0
    for each in SENSED[base].inputs:
        for point in each.tipping:
            for end, becomes, inward in ((point.low, point.at_low, 1.001), (point.high, point.at_high, 1 / 1.001)):
                if end is None:
                    continue
                step = end * (inward - 1)
                step = math.copysign(max(abs(step), 1), step) if each.field in WHOLE else step
                beyond, within = (said(changed(BASES[base], each.field, value)) for value in (end, end + step))
                place = {"workers": 0, "binding": 1, "verdict": 2}[point.changes]
                if point.changes == "workers":
                    enough = max(0.1 * here[0], 1)
                    assert abs(beyond[0] - here[0]) >= enough > abs(within[0] - here[0]), each.field
                    assert becomes == f"{beyond[0]} workers"
                else:
                    assert beyond[place] != here[place], each.field
                    assert within[place] == here[place], each.field
                    assert becomes == beyond[place]
                seen += 1
    assert seen > 12


@each_base
def test_nothing_changes_nearer_than_a_tipping_point(base):
    here = said(BASES[base])
    for each in SENSED[base].inputs[:4]:
        point = each.tips("verdict")
        for end in (point.low or each.value / 4, point.high or each.value * 4):
            for share in (0.1, 0.35, 0.6, 0.85):
                value = each.value + share * (end - each.value)
                try:
                    assert said(changed(BASES[base], each.field, value))[2] == here[2], (each.field, value)
                except InvalidInput:
                    assert each.field in ("workload.service_time", "workload.cpu_time", "host.reserved", "host.ram")


def test_the_intervals_of_sources_are_the_ends():
    tables = EXAMPLE.to_mapping() | {
        "sources": {
            "workload.service_time": {"source": "access log", "low": 0.24, "high": 0.28},
            "host.cpus": {"source": "nproc", "high": 6},
        }
    }
    result = sensitivity(Scenario.from_mapping(tables))
    service, cpus = result.input("workload.service_time"), result.input("host.cpus")
    assert (service.low, service.high, service.doubt) == (0.24, 0.28, "interval of access log")
    assert (cpus.low, cpus.high) == (3.6, 6)
    assert result.input("workload.think_time").doubt == "10 % less and more"
    assert {assumed.field for assumed in result.assumptions} == {"workload.service_time", "host.cpus"}


def test_an_end_that_makes_no_scenario_is_moved_to_where_it_does():
    nearly = changed(EXAMPLE, "workload.cpu_time", 0.24)
    result = sensitivity(nearly)
    assert result.input("workload.cpu_time").high == pytest.approx(0.25, rel=1e-9)
    assert result.input("workload.service_time").low == pytest.approx(0.24, rel=1e-9)
    busy = sensitivity(changed(EXAMPLE, "objective.max_utilization", 0.95)).input("objective.max_utilization")
    assert 0.999 < busy.high < 1


def test_what_swings_most_comes_first():
    def swing(each):
        pairs = ((each.at_low.users, each.at_high.users), (each.at_low.workers, each.at_high.workers))
        return max(abs(math.log(high / low)) for low, high in pairs)

    for result in SENSED.values():
        swings = [swing(each) for each in result.inputs]
        assert swings == sorted(swings, reverse=True)


def test_every_known_input_is_there_but_an_exponential_law():
    known = {each.field for each in SENSED["computing"].inputs}
    assert known <= set(INPUTS)
    assert known == {
        "host.ram", "host.reserved", "host.cpus", "host.database_connections", "worker.memory", "workload.service_time",
        "workload.cpu_time", "workload.database_time", "workload.users", "workload.think_time",
        "workload.requests_per_click", "objective.response_time", "objective.max_utilization", "policy.headroom",
    }  # fmt: skip
    spread = sensitivity(changed(EXAMPLE, "workload.service_scv", 2))
    assert spread.input("workload.service_scv").response_time_p95_elasticity > 0


def test_without_a_load_only_the_workers_are_known():
    tables = EXAMPLE.to_mapping()
    tables["workload"] = {"service_time": 0.25}
    result = sensitivity(Scenario.from_mapping(tables))
    assert result.answer.verdict is None
    assert result.answer.users is None
    assert result.input("host.ram").at_high.workers == 46
    assert result.input("host.ram").users_elasticity is None
    assert result.input("host.ram").tips("verdict").low is None
    assert result.input("host.ram").tips("workers").at_low == "36 workers"


def test_a_rate_without_a_think_time_has_verdicts_but_no_users():
    tables = EXAMPLE.to_mapping()
    tables["workload"] = {"service_time": 0.25, "arrival_rate": 120}
    result = sensitivity(Scenario.from_mapping(tables))
    assert result.answer.verdict == "watch"
    assert result.answer.users is None
    assert result.input("workload.arrival_rate").tips("verdict").high == pytest.approx(0.85 * 40 / 0.25, rel=3e-4)


def test_the_summary_names_what_matters_and_what_does_not():
    lines = SENSED["waiting"].summary
    assert lines[0].startswith("host.ram from 3.60 GiB to 4.40 GiB: 33 to 46 workers")
    assert any(line.startswith("workload.service_time 17 % more, 293 ms, and the verdict becomes") for line in lines)
    assert lines[-1].startswith("within their doubt these change neither workers nor users: ")
    assert "host.cpus" in lines[-1]


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"spread": 0}, "spread must be above 0 and at most 0.99; got 0 (0.1 is 10 %)"),
        ({"spread": math.nan}, "spread must be above 0"),
        ({"spread": "10 %"}, "spread must be above 0"),
        ({"workers_by": 1.5}, "workers_by must be above 0 and at most 1; got 1.5"),
        ({"workers_by": True}, "workers_by must be above 0"),
        ({"verdict": "overloaded"}, "verdict must be comfortable, manageable or watch"),
        ({"edges": 1}, "edges must be Edges"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(options, refusal):
    with pytest.raises(InvalidInput) as refused:
        sensitivity(EXAMPLE, **options)
    assert str(refused.value).startswith(refusal)


def test_it_is_json_and_says_itself_in_a_line():
    result = SENSED["computing"]
    assert type(result).model_validate_json(result.to_json()) == result
    assert repr(result).startswith("<Sensitivity of ")
