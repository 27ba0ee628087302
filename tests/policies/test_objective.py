"""What the objective asks: Apdex against 50 digits and against simulation, and what follows from it."""

from __future__ import annotations

import numpy as np
import pytest
from oracles import exact
from oracles.simulation import interval

from capacity import InvalidInput, Objective, Scenario, compare_levers, forecast, queueing, recommend
from capacity.policies.objective import explain, is_kept
from capacity.policies.verdict import VERDICTS

EXAMPLE = Scenario.example()


def scenario(base=EXAMPLE, **fields):
    """The case study with another objective, workload or host: ``objective__apdex=0.9``."""
    tables = base.to_mapping()
    for name, value in fields.items():
        table, _, field = name.partition("__")
        tables[table] = {**tables.get(table, {}), field: value}
    return Scenario.from_mapping(tables)


def apdex_of(case, workers, users):
    return forecast(case, pool=workers, users=[users]).predictions[0].apdex


@pytest.mark.parametrize("time", ["0.1", "0.25", "0.5", "2"])
@pytest.mark.parametrize(("workers", "users"), [(40, 150), (20, 80), (20, 99), (3, 8), (1, 2)])
def test_apdex_is_that_of_fifty_digits(workers, users, time):
    tails = [exact.mmc_tails(workers, f"{users * 0.8!r}", "0.25", exact.number(time) * times)[1] for times in (1, 4)]
    expected = 1 - (tails[0] + tails[1]) / 2
    got = apdex_of(scenario(objective__apdex_time=float(time)), workers, users)
    # near 0 what is left is the rounding of 1 - late
    assert got == pytest.approx(float(expected), rel=1e-12, abs=1e-14)


# beside the interval: the waits of M/G/c are within 5 %, which moves few answers over either time
@pytest.mark.parametrize(("scv", "error"), [(1, 0.0), (0, 0.005), (4, 0.005)])
def test_apdex_is_that_of_a_simulated_pool(scv, error):
    rng, servers, service, time, count = np.random.default_rng(11), 10, 0.25, 0.3, 600_000
    rate = 0.7 * servers / service
    arrivals = np.cumsum(rng.exponential(1 / rate, count))
    width = np.sqrt(np.log1p(scv))
    lognormal = np.exp(rng.normal(-(width**2) / 2, width, count))
    services = service * (rng.exponential(1, count) if scv == 1 else lognormal)
    waits = queueing.replay(arrival_times=arrivals, service_times=services, servers=servers)
    responses = (waits + services)[20_000:]
    mean, half = interval(((responses <= time) * 1.0 + (responses <= 4 * time) * 1.0) / 2)
    got = apdex_of(scenario(workload__service_scv=scv, objective__apdex_time=time), servers, round(rate / 0.8))
    assert got == pytest.approx(mean, abs=half + error)
    assert half < 0.01


def test_apdex_falls_as_users_grow_and_rises_with_its_time():
    case = scenario(objective__apdex_time=0.5)
    shares = [prediction.apdex for prediction in forecast(case, pool=40, users=range(10, 230, 10)).predictions]
    assert all(np.diff(shares) <= 1e-15)
    assert shares[-1] == 0  # an endless queue satisfies nobody
    assert apdex_of(scenario(objective__apdex_time=1), 40, 150) > apdex_of(case, 40, 150)


@pytest.mark.parametrize("cpu_time", [None, 0.05])
@pytest.mark.parametrize("goal", [0.6, 0.9, 0.93])
def test_the_needed_workers_are_the_fewest_with_that_apdex(goal, cpu_time):
    case = scenario(host__ram="64GiB", workload__users=100, objective__apdex=goal, objective__apdex_time=0.5)
    case = scenario(case, objective__max_utilization=0.99, host__cpus=8)
    case = case if cpu_time is None else scenario(case, workload__cpu_time=cpu_time)
    result = recommend(case)
    if result.needed is None:
        assert apdex_of(case, 400, 100) < goal
        return
    assert apdex_of(case, result.needed, 100) >= goal
    before = forecast(case, pool=result.needed - 1, users=[100]).predictions[0]
    assert before.apdex < goal or max(before.utilization, before.cpu_utilization or 0) > 0.99


def test_of_two_objectives_the_harder_one_decides():
    base = scenario(host__ram="64GiB", workload__users=30, objective__max_utilization=0.99)
    quantile = {"objective__response_time": 0.8}
    share = {"objective__apdex": 0.93, "objective__apdex_time": 0.5}
    needed = [recommend(scenario(base, **asked)).needed for asked in (quantile, share, quantile | share)]
    assert needed[2] == max(needed[:2])
    assert needed[0] != needed[1]


def test_an_apdex_that_the_service_alone_misses_is_infeasible():
    # 1 - (exp(-2) + exp(-8)) / 2 = 0.9322 without any wait
    assert recommend(scenario(objective__apdex=0.93, objective__apdex_time=0.5)).needed is not None
    result = recommend(scenario(objective__apdex=0.94, objective__apdex_time=0.5))
    assert not result.feasible
    assert result.needed is None
    reason = next(limit.reason for limit in result.limits if limit.name == "demand")
    assert "an Apdex of 0.94 at 500 ms" in reason


def test_users_of_a_band_have_the_apdex_and_one_more_has_not():
    case = scenario(objective__apdex=0.93, objective__apdex_time=0.5)
    result = forecast(case, pool=20, users=[1])
    most = result.users_for("manageable")
    assert most < forecast(EXAMPLE, pool=20, users=[1]).users_for("manageable") + 1
    for users, met in ((most, True), (most + 1, False)):
        prediction = forecast(case, pool=20, users=[users]).predictions[0]
        assert (VERDICTS.index(prediction.verdict) <= 1) == met
    tight = scenario(objective__apdex=0.932, objective__apdex_time=0.5)
    most = forecast(tight, pool=20, users=[1]).users_for("manageable")
    assert apdex_of(tight, 20, most) >= 0.932 > apdex_of(tight, 20, most + 1)


def test_a_missed_apdex_is_at_least_watch():
    prediction = forecast(scenario(objective__apdex=0.94, objective__apdex_time=0.5), pool=40, users=[50]).predictions[
        0
    ]
    assert prediction.objective_met is False
    assert prediction.verdict == "watch"


def test_a_time_alone_is_told_and_asks_nothing():
    result = recommend(scenario(objective__apdex_time=0.5))
    assert [prediction.objective_met for prediction in result.predictions] == [None] * 5
    assert result.predictions[0].apdex == pytest.approx(0.9322, abs=1e-4)
    assert result.needed == recommend(EXAMPLE).needed
    assert recommend(EXAMPLE).predictions[0].apdex is None


def test_levers_reach_an_apdex():
    case = scenario(objective__apdex=0.95, objective__apdex_time=0.5)
    result = compare_levers(case, users=150)
    assert not result.resized.reached
    assert result.resized.limited_by == "objective"
    need = {each.verdict: each.effect for each in result.lever("shorter_service").needed}["watch"]
    # 1 - (x + x^4) / 2 = 0.95 at x = exp(-0.5 / S), hardly any wait beside it: S = 0.2172
    assert 0.25 * (1 - need) == pytest.approx(0.2172, abs=0.0005)


def test_the_finite_model_has_an_apdex():
    case = scenario(objective__apdex_time=0.5)
    open_, finite = (forecast(case, pool=40, users=[100, 300], model=model).predictions for model in ("open", "finite"))
    assert finite[0].apdex == pytest.approx(open_[0].apdex, abs=1e-3)
    assert open_[1].apdex == 0 < finite[1].apdex < 0.6


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"apdex": 0.9}, "apdex needs apdex_time; got 0.9 (the time within which a user is satisfied, such as 500ms)"),
        ({"apdex": 1, "apdex_time": 1}, "apdex must be less than 1; got 1"),
        ({"apdex": 90, "apdex_time": 1}, "apdex must be a fraction below 1; got 90 (for 90 % write 0.9)"),
        ({"apdex_time": 0}, "apdex_time must be greater than 0 s; got 0"),
        ({"apdex": 0.9, "apdex_time": -1}, "apdex_time must be greater than 0 s; got -1"),
    ],
)
def test_what_cannot_be_asked_is_refused_once(fields, said):
    with pytest.raises(InvalidInput) as refused:
        Objective(**fields)
    assert str(refused.value) == said


def test_what_is_asked_in_words():
    assert explain(Objective()) == "at most 80 % busy"
    assert explain(Objective(apdex_time=1)) == "at most 80 % busy"


def test_what_cannot_be_said_is_not_kept():
    assert is_kept(np.array([np.nan, -1.0, 0.0, 1e-13, 1e-9, np.inf])).tolist() == [True] * 4 + [False] * 2
