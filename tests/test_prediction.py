from __future__ import annotations

import math
import re

import numpy as np
import pytest

from capacity import Edges, Host, InvalidInput, Objective, PoolSettings, Scenario, Worker, Workload, forecast, queueing
from capacity.policies.verdict import VERDICTS
from capacity.prediction import largest_users, predict, rate_of
from capacity.table import repeat, table_of, take

from .oracles.tables import read_table

MODELS = ("open", "finite")


def scenario(cpus=4, objective=None, connections=None, each=1, **workload):
    return Scenario(
        host=Host(ram="64GiB", reserved=0, cpus=cpus, database_connections=connections),
        worker=Worker(memory="64MiB", database_connections=each),
        workload=Workload(**{"service_time": 0.25, "think_time": 1, **workload}),
        objective=objective or Objective(),
    )


def one(case, *, users, pool, model="open"):
    (prediction,) = forecast(case, pool=pool, users=[users], model=model).predictions
    return prediction


# --- what is asked


@pytest.mark.parametrize(
    "users",
    [True, [True], [np.True_], [1.5], [1.0], [50, -1], [0], [], "50", ["50"], b"50", 50, None, [None], [10**9 + 1],
     [math.nan], [[50]]],
    ids=repr,
)  # fmt: skip
def test_users_that_are_no_list_of_whole_numbers_are_refused(users):
    with pytest.raises(InvalidInput, match=r"^users must be "):
        forecast(Scenario.example(), users=users)


@pytest.mark.parametrize("users", [(50, 80), [50, 80], iter([50, 80]), range(50, 81, 30), np.array([50, 80])], ids=type)
def test_any_iterable_of_whole_numbers_will_do(users):
    result = forecast(Scenario.example(), users=users)
    assert [prediction.users for prediction in result.predictions] == [50, 80]
    assert all(type(prediction.users) is int for prediction in result.predictions)


def test_users_stay_in_the_order_they_were_given():
    assert [p.users for p in forecast(Scenario.example(), users=[200, 50, 50]).predictions] == [200, 50, 50]


@pytest.mark.parametrize("model", ["closed", "", None, "Open", 1])
def test_an_unknown_model_is_refused_with_the_known_ones(model):
    with pytest.raises(InvalidInput, match="model must be open or finite"):
        forecast(Scenario.example(), model=model)


@pytest.mark.parametrize("pool", [0, -1, 2**31])
def test_a_pool_that_fpm_would_not_start_is_refused(pool):
    with pytest.raises(InvalidInput, match="max_children must be at"):
        forecast(Scenario.example(), pool=pool)


@pytest.mark.parametrize("pool", [True, 2.5, 20.0, "20", [20]], ids=repr)
def test_a_pool_that_is_no_number_of_workers_is_refused(pool):
    with pytest.raises(InvalidInput, match="pool must be PoolSettings or a whole number of workers"):
        forecast(Scenario.example(), pool=pool)


def test_without_any_pool_the_error_says_what_to_give():
    with pytest.raises(InvalidInput, match=r"pool is missing.*pool=40"):
        forecast(scenario())


def test_without_a_think_time_users_are_no_requests():
    with pytest.raises(InvalidInput, match=r"workload\.think_time is missing"):
        forecast(scenario(think_time=None, arrival_rate=120), pool=40)


@pytest.mark.parametrize("wrong", [None, 3, "scenario.toml", {}], ids=repr)
def test_only_a_scenario_is_forecast(wrong):
    with pytest.raises(InvalidInput, match="scenario must be a Scenario"):
        forecast(wrong)


def test_edges_that_are_none_are_refused():
    with pytest.raises(InvalidInput, match="edges must be Edges"):
        forecast(Scenario.example(), edges=(0.45, 0.7, 0.85))
    with pytest.raises(InvalidInput, match=r"edges\.utilization must be three rising numbers"):
        Edges(utilization=(0.9, 0.5, 0.2))


def test_the_scenarios_own_pool_is_the_default():
    settings = PoolSettings(pm="static", max_children=20)
    assert forecast(Scenario.example()).pool == Scenario.example().pool
    assert forecast(Scenario.example(), pool=settings).pool == settings
    assert forecast(Scenario.example(), pool=np.int64(20)).pool == Scenario.example().pool
    assert forecast(Scenario.example().model_copy(update={"pool": None}), pool=np.int64(20)).pool == settings
    assert forecast(Scenario.example(), pool=20).predictions == forecast(Scenario.example()).predictions


def test_the_scenarios_own_users_do_not_matter():
    lonely = Scenario.example().model_copy(update={"workload": Workload(service_time=0.25, think_time=1)})
    assert forecast(lonely) == forecast(Scenario.example())


# --- the figures


@pytest.mark.parametrize("users", [1, 50, 80, 150, 190])
def test_the_open_model_is_m_m_c(users):
    prediction = one(scenario(), users=users, pool=40)
    pool = {"servers": 40, "arrival_rate": users / 1.25, "service_time": 0.25}
    # the same formulas by another way: nothing but rounding may differ
    expected = {
        "arrival_rate": users / 1.25,
        "throughput": users / 1.25,
        "utilization": users / 200,
        "wait_probability": queueing.mmc_wait_probability(**pool),
        "waiting_time": queueing.mmc_waiting_time(**pool),
        "response_time": queueing.mmc_response_time(**pool),
        "response_time_p95": queueing.mmc_response_time_quantile(0.95, **pool),
    }
    assert {name: getattr(prediction, name) for name in expected} == pytest.approx(expected, rel=1e-9)
    # the slowdown of an idle pool is lost in the rounding of the quotient: 1e-15 is a few last bits of 1
    assert prediction.slowdown == pytest.approx(prediction.waiting_time / 0.25, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("users", [1, 50, 80, 150, 200, 1000])
def test_the_finite_model_is_m_m_c_with_n_users(users):
    prediction = one(scenario(), users=users, pool=40, model="finite")
    pool = {"servers": 40, "population": users, "think_time": 1.0, "service_time": 0.25}
    expected = {
        "throughput": queueing.finite_throughput(**pool),
        "utilization": queueing.finite_utilization(**pool),
        "wait_probability": queueing.finite_wait_probability(**pool),
        "waiting_time": queueing.finite_waiting_time(**pool),
        "response_time": queueing.finite_response_time(**pool),
        "response_time_p95": queueing.finite_response_time_quantile(0.95, **pool),
    }
    assert {name: getattr(prediction, name) for name in expected} == pytest.approx(expected, rel=1e-9)
    # interactive response time law: N = X (R + Z)
    assert prediction.throughput * (prediction.response_time + 1) == pytest.approx(users, rel=1e-9)


@pytest.mark.parametrize("users", [10, 40, 60, 200])
def test_known_cpu_time_shares_the_cores(users):
    case = scenario(cpu_time=0.05)
    inner = {"servers": 30, "cores": 4, "cpu_time": 0.05, "service_time": 0.25}
    for model, load in (("open", {"arrival_rate": users / 1.25}), ("finite", {"population": users, "think_time": 1})):
        prediction = one(case, users=users, pool=30, model=model)
        prefix = "shared_" if model == "open" else "shared_finite_"
        for name in ("throughput", "utilization", "wait_probability", "response_time"):
            value = getattr(queueing, prefix + name)(**inner, **load)
            seen = getattr(prediction, name)
            assert (seen is None and math.isinf(value)) or seen == pytest.approx(value, rel=1e-9)
        assert prediction.cpu_utilization == pytest.approx(prediction.throughput * 0.05 / 4, rel=1e-12)


def test_database_connections_are_busy_as_long_as_requests_hold_them():
    prediction = one(scenario(connections=50, each=2, database_time=0.1), users=150, pool=40)
    # 120/s x 100 ms x 2 of 50
    assert prediction.database_utilization == pytest.approx(0.48, rel=1e-12)


def test_computing_with_a_connection_is_a_caution_where_workers_wait_for_one():
    def said(pool=40, connections=20, **workload):
        case = scenario(connections=connections, **{"cpu_time": 0.1, "database_time": 0.2} | workload)
        return [text for text in forecast(case, pool=pool, users=[50]).cautions if "share connections" in text]

    (text,) = said()
    assert "40 workers share connections for 20" in text
    assert len(said(connections=10)) == 1
    assert said(pool=20) == []  # one for each
    assert said(database_time=0.15) == []  # held off the CPU only
    assert said(database_time=0.25) == []  # held from beginning to end
    assert said(cpu_time=None) == said(database_time=None) == said(connections=None) == []


def test_connections_that_are_all_busy_end_the_throughput():
    # 50 connections, 2 for 100 ms each request: 250/s, whatever 400 workers could do
    case = scenario(connections=50, each=2, database_time=0.1)
    endless = one(case, users=400, pool=400)
    assert endless.throughput == pytest.approx(250, rel=1e-12)
    assert endless.database_utilization == pytest.approx(1, rel=1e-12)
    assert endless.response_time is None
    assert endless.verdict == "overloaded"
    people = one(case, users=400, pool=400, model="finite")
    # a worker for each: 25 pairs of connections are the only servers, and the rest of the service is a pause
    pairs = {"servers": 25, "population": 400, "think_time": 1.15, "service_time": 0.1}
    assert people.throughput == pytest.approx(queueing.finite_throughput(**pairs), rel=1e-12)
    assert people.throughput * (people.response_time + 1) == pytest.approx(400, rel=1e-9)  # N = X (R + Z)
    assert people.verdict == "overloaded"


def test_the_busiest_resource_decides_the_verdict():
    relaxed = one(scenario(connections=50, each=2, database_time=0.1), users=150, pool=100)
    assert relaxed.utilization < 0.45
    assert relaxed.verdict == "manageable"
    assert one(scenario(), users=150, pool=100).verdict == "comfortable"


def test_what_is_not_known_is_null():
    prediction = one(scenario(), users=150, pool=40)
    assert prediction.cpu_utilization is None
    assert prediction.database_utilization is None
    assert prediction.objective_met is None


@pytest.mark.parametrize("model", MODELS)
def test_several_requests_a_click_are_several_times_the_load(model):
    clicks = one(scenario(requests_per_click=3), users=50, pool=40, model=model)
    people = one(scenario(), users=150, pool=40, model=model)
    assert clicks.verdict == people.verdict
    for name in ("arrival_rate", "throughput", "utilization", "wait_probability", "response_time"):
        assert getattr(clicks, name) == pytest.approx(getattr(people, name), rel=1e-12)  # rounding of the rate
    cautions = forecast(scenario(requests_per_click=3), pool=40).cautions
    assert any("3 requests" in caution for caution in cautions)


def test_a_missed_response_time_is_at_least_watch():
    hurried = scenario(objective=Objective(response_time=0.5))  # the 95 % quantile of the service alone is 749 ms
    prediction = one(hurried, users=10, pool=40)
    assert prediction.objective_met is False
    assert prediction.verdict == "watch"
    easy = one(scenario(objective=Objective(response_time=0.75)), users=10, pool=40)
    assert easy.objective_met is True
    assert easy.verdict == "comfortable"


# --- not finite


def test_an_endless_queue_is_null_and_a_caution_says_so():
    result = forecast(scenario(), pool=20, users=[50, 100, 150])
    fine, full, beyond = result.predictions
    assert fine.response_time is not None
    for prediction in (full, beyond):
        assert prediction.verdict == "overloaded"
        assert prediction.utilization == 1.0
        assert prediction.throughput == pytest.approx(80, rel=1e-12)
        for name in ("waiting_time", "response_time", "response_time_p95", "slowdown"):
            assert getattr(prediction, name) is None
    (caution,) = [c for c in result.cautions if "without bound" in c]
    assert "100, 150 users" in caution


def test_known_people_never_make_an_endless_queue():
    result = forecast(scenario(), pool=20, users=[100, 1000, 10**6], model="finite")
    assert all(prediction.response_time is not None for prediction in result.predictions)
    assert not any("without bound" in caution for caution in result.cautions)


@pytest.mark.parametrize(
    ("service_time", "think_time", "workers", "users"),
    [(0.05, 0.5, 10, 110), (0.75, 3, 4, 20), (0.375, 3, 4, 36), (0.13, 0, 4, 4), (0.25, 1, 40, 200)],
)
def test_a_load_of_exactly_the_workers_is_overloaded(service_time, think_time, workers, users):
    # users S/(Z + S) = workers; in binary the product falls on either side of it
    case = scenario(service_time=service_time, think_time=think_time)
    result = forecast(case, pool=workers, users=[users])
    assert result.predictions[0].verdict == "overloaded"
    assert result.users_for("watch") < users


def test_a_single_figure_close_to_saturation_carries_a_caution():
    result = forecast(scenario(), pool=40, users=[190])
    (caution,) = [c for c in result.cautions if "misleads" in c]
    for part in ("85 %", "95 %", "20"):  # at 0.95, 1 % of load is 1/(1 - 0.95) = 20 % of the wait
        assert part in caution
    assert not any("misleads" in c for c in forecast(scenario(), pool=40, users=[150]).cautions)


def test_unknown_cpu_time_is_a_caution_with_the_worst_case():
    (caution,) = forecast(scenario(), pool=40, users=[50]).cautions
    assert "cpu_time is not known" in caution
    assert "16/s" in caution  # 4 cores / 250 ms
    assert forecast(scenario(cpu_time=0.02), pool=40, users=[50]).cautions == ()


def only_spread(scv, model="open", **workload):
    """What is said of the spread: beside other cautions, once."""
    cautions = forecast(scenario(service_scv=scv, **workload), pool=40, users=[50], model=model).cautions
    (said,) = [caution for caution in cautions if caution.startswith(f"service_scv is {scv:g}")]
    return said


def test_exponential_times_need_no_word_on_their_spread():
    for model in MODELS:
        assert "service_scv" not in " ".join(forecast(scenario(), pool=40, users=[50], model=model).cautions)


def test_a_spread_within_what_is_measured_is_said_with_its_error():
    assert "constant" in only_spread(0)
    for scv in (0.5, 4):
        assert "lognormal" in only_spread(scv)
        assert "within 5 %" in only_spread(scv)
        assert "within 15 %" in only_spread(scv, cpu_time=0.05)
    assert "gamma" not in only_spread(0.5)


def test_what_another_law_would_wait_is_said_for_the_spread_there_is():
    # gamma beside lognormal, where the mean wait is 0.02 service times or more, in the simulated pools of both tables
    tables = [read_table(name) for name in ("mgc", "mgc_held_out")]
    columns = ("servers", "utilization", "service_scv", "law", "waiting_time")
    rows = np.concatenate([np.stack([table[name] for name in columns], axis=1) for table in tables])
    waits = {tuple(row[:4]): row[4] for row in rows}
    for scv in (2.0, 4.0):
        pairs = [
            (waits[(*key[:3], 1.0)], wait) for key, wait in waits.items() if key[2:] == (scv, 2.0) and wait >= 0.02
        ]
        most = max(gamma / lognormal for gamma, lognormal in pairs) - 1
        said = int(re.search(r"wait up to (\d+) % longer", only_spread(scv))[1]) / 100
        assert abs(said - most) < 0.05


def test_a_spread_beyond_what_is_measured_is_a_caution_with_the_factor():
    said = only_spread(19)
    assert "exponential" in said
    assert "longer" in said
    assert "about 10 times" in said  # Pollaczek and Khinchin: (1 + scv)/2


@pytest.mark.parametrize(("scv", "law"), [(0, "constant"), (4, "lognormal")])
def test_the_finite_model_says_what_it_makes_of_a_spread(scv, law):
    said = only_spread(scv, "finite")
    assert f"taken as {law}" in said
    assert "95 % quantiles within 13 %" in said


def test_beyond_what_is_measured_the_finite_model_too_says_which_way_it_errs():
    said = only_spread(9, "finite")
    assert "exponential" in said
    assert "real waits are longer" in said


# --- bands


BAND_CASES = {
    "case study": (scenario(), 40),
    "small": (scenario(), 3),
    "cpu": (scenario(cpu_time=0.05), 30),
    "pure cpu": (scenario(cpu_time=0.25), 8),
    "half a core": (scenario(cpus=0.5, cpu_time=0.01), 10),
    "database": (scenario(connections=20, database_time=0.2), 40),
    "objective": (scenario(objective=Objective(response_time=0.76)), 20),
    "clicks": (scenario(requests_per_click=2.5), 40),
    "no pause": (scenario(think_time=0), 12),
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", BAND_CASES)
def test_a_band_ends_where_its_verdict_does(name, model):
    case, pool = BAND_CASES[name]
    result = forecast(case, pool=pool, model=model)
    assert [band.verdict for band in result.bands] == list(VERDICTS[:-1])
    bands = [(VERDICTS.index(band.verdict), band.users) for band in result.bands if band.users is not None]
    assert bands
    for level, users in bands:
        at, beyond = forecast(case, pool=pool, users=[users, users + 1], model=model).predictions
        assert VERDICTS.index(at.verdict) == level
        assert VERDICTS.index(beyond.verdict) > level


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", BAND_CASES)
def test_counting_users_one_by_one_finds_the_same_bands(name, model):
    case, pool = BAND_CASES[name]
    result = forecast(case, pool=pool, users=range(1, 301), model=model)
    verdicts = [prediction.verdict for prediction in result.predictions]
    for band in result.bands:
        counted = max((n for n, verdict in enumerate(verdicts, 1) if verdict == band.verdict), default=None)
        assert band.users == counted


@pytest.mark.parametrize("model", MODELS)
def test_an_empty_band_is_null(model):
    hurried = forecast(scenario(objective=Objective(response_time=0.5)), pool=40, model=model)
    assert hurried.users_for("comfortable") is None
    assert hurried.users_for("manageable") is None
    assert hurried.users_for("watch") > 100


def test_one_person_never_waits_for_himself_but_a_stream_does():
    # one worker, 250 ms every 750 ms: M/M/1 at 1/3 is slowed down by (1/3)/(1 - 1/3) = 50 %
    case = scenario(think_time=0.5)
    assert [band.users for band in forecast(case, pool=1).bands] == [None, None, 1]
    assert forecast(case, pool=1, model="finite").users_for("comfortable") == 1


def test_a_pool_that_is_too_slow_for_anyone_has_no_band_at_all():
    # 60 s of service and no pause: one user keeps one worker busy for ever
    result = forecast(scenario(service_time=60, think_time=0), pool=1, users=[2])
    assert [band.users for band in result.bands] == [None, None, None]


def test_more_workers_never_shrink_a_band():
    for level, verdict in enumerate(VERDICTS[:-1]):
        workers = np.arange(1.0, 121.0)
        users = largest_users(repeat(table_of(scenario()), 120), workers, level=level, model="open", edges=Edges())
        assert (np.diff(users) >= 0).all(), verdict


def test_edges_move_the_bands():
    wide = Edges(utilization=(0.5, 0.8, 0.95), slowdown=(1.0, 5.0, 50.0))
    result = forecast(scenario(), pool=40, edges=wide)
    assert [band.users for band in result.bands] == [100, 160, 190]  # 200 users fill the pool


# --- the processor is the limit


# A published closed-loop test: 2 cores, 650 ms of computing a page, a click every 45 s. The asymptotes of the
# operational laws (Denning and Buzen 1978) cross at k (Z + D)/D = 2 x 45/0.65 = 138.5 users.
PUBLISHED = {"cpus": 2, "service_time": 0.65, "cpu_time": 0.65, "think_time": 44.35}


@pytest.mark.parametrize("workers", [2, 3, 8, 40, 200])
def test_two_cores_saturate_at_138_users_whatever_the_workers(workers):
    case = scenario(**PUBLISHED)
    below, beyond = forecast(case, pool=workers, users=[138, 139]).predictions
    assert below.response_time is not None
    assert beyond.response_time is None
    assert beyond.throughput == pytest.approx(2 / 0.65, rel=1e-9)


def test_one_worker_uses_one_core_and_saturates_at_half_of_that():
    below, beyond = forecast(scenario(**PUBLISHED), pool=1, users=[69, 70]).predictions
    assert below.response_time is not None
    assert beyond.response_time is None


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("workers", [2, 8, 40])
def test_no_number_of_users_gets_more_than_the_cores_give(workers, model):
    users = [1, 50, 100, 138, 139, 200, 1000, 10**5]
    result = forecast(scenario(**PUBLISHED), pool=workers, users=users, model=model)
    # 1e-12 is rounding
    assert all(prediction.throughput <= 2 / 0.65 * (1 + 1e-12) for prediction in result.predictions)
    assert all(prediction.cpu_utilization <= 1 + 1e-12 for prediction in result.predictions)
    assert result.predictions[-1].throughput == pytest.approx(2 / 0.65, rel=1e-6)


def test_the_bands_of_a_full_processor_do_not_grow_with_the_workers():
    bands = {workers: forecast(scenario(**PUBLISHED), pool=workers).bands for workers in (20, 40, 200)}
    assert bands[20] == bands[40] == bands[200]


# Measured with PHP 8.2 on 2 cores, 40 clients without pause: completions a second by number of workers. The CPU
# time of a request is the 11.7 ms it took with one worker. CPU speed drifted between runs: no closer than 20 %.
MEASURED = {1: 82.1, 2: 173.9, 4: 172.9, 8: 168.6, 20: 178.7, 40: 154.1}


@pytest.mark.parametrize("workers", MEASURED)
def test_cpu_bound_throughput_is_what_was_measured(workers):
    case = scenario(cpus=2, service_time=0.0117, cpu_time=0.0117, think_time=0)
    prediction = one(case, users=40, pool=workers, model="finite")
    assert prediction.throughput == pytest.approx(MEASURED[workers], rel=0.2)
    if workers > 2:
        assert prediction.throughput == pytest.approx(one(case, users=40, pool=2, model="finite").throughput, rel=1e-9)


# --- tables


def random_rows(rows, known_cpu_time):
    rng = np.random.default_rng(17)
    tables, workers, users = [], [], []
    for _ in range(rows):
        service = float(10 ** rng.uniform(-2, 1))
        case = scenario(
            cpus=float(rng.choice([0.5, 1, 2, 4])),
            objective=Objective(response_time=None if rng.random() < 0.5 else service * float(rng.uniform(2, 6))),
            service_time=service,
            cpu_time=service * float(rng.choice([0.1, 0.5, 1.0])) if known_cpu_time else None,
            think_time=float(rng.uniform(0, 5)),
        )
        tables.append(table_of(case))
        workers.append(float(rng.integers(1, 60)))
        users.append(float(rng.integers(1, 300)))
    joined = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    return joined, np.array(workers), np.array(users)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("known_cpu_time", [False, True], ids=["m_m_c", "shared cores"])
def test_a_row_does_not_know_its_neighbours(known_cpu_time, model):
    table, workers, users = random_rows(100, known_cpu_time)
    load = rate_of(table, users) if model == "open" else users
    together = predict(table, workers, load, model=model, edges=Edges())
    for row in range(100):
        part = take(table, np.array([row]))
        alone = predict(part, workers[row : row + 1], load[row : row + 1], model=model, edges=Edges())
        for name, column in alone.items():
            assert column.tobytes() == together[name][row : row + 1].tobytes(), name


@pytest.mark.parametrize("model", MODELS)
def test_bands_of_a_table_are_the_bands_of_its_rows(model):
    table, workers, _ = random_rows(25, known_cpu_time=True)
    for level in range(3):
        together = largest_users(table, workers, level=level, model=model, edges=Edges())
        alone = [
            largest_users(take(table, np.array([row])), workers[row : row + 1], level=level, model=model, edges=Edges())
            for row in range(25)
        ]
        assert together.tolist() == np.concatenate(alone).tolist()


def test_a_forecast_twice_is_the_same():
    case = scenario(cpu_time=0.05)
    assert forecast(case, pool=30) == forecast(case, pool=30)
    assert forecast(case, pool=30).to_json() == forecast(case, pool=30).to_json()


def test_the_sources_of_the_scenario_are_listed():
    case = Scenario.from_mapping(
        {
            **Scenario.example().to_mapping(),
            "sources": {"workload.service_time": {"source": "access log", "samples": 900, "low": 0.2, "high": 0.3}},
        }
    )
    (assumption,) = forecast(case).assumptions
    assert (assumption.field, assumption.value) == ("workload.service_time", 0.25)
    for part in ("access log", "900 samples", "200 ms to 300 ms"):
        assert part in assumption.source


def test_more_users_than_can_be_counted_are_no_number():
    patient = scenario(service_time=1e-9, think_time=1e7)
    users = largest_users(table_of(patient), np.array([1000.0]), level=1, model="open", edges=Edges())
    assert users.tolist() == [np.inf]
