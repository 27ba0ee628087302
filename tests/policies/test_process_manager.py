from __future__ import annotations

import numpy as np
import pytest

from capacity.fpm.step import simulate_step
from capacity.policies import process_manager
from capacity.pool import PoolSettings
from capacity.table import take

GIB = 2.0**30


def spares(workers):
    return [int(column[0]) for column in process_manager.proportional(np.array([float(workers)]))]


def best(load=30.0, worst_case=1.0 * GIB, pools=1.0, ram=4 * GIB, reserved=1.5 * GIB):
    table = {"host.ram": [ram], "host.reserved": [reserved], "policy.pools_on_host": [pools]}
    columns = {name: np.array(value, dtype=float) for name, value in table.items()}
    return str(process_manager.best(columns, np.array([load]), np.array([worst_case]))[0])


def explain(chosen, preferred, *, known=True, min_spare=4, memory_share=0.65):
    return process_manager.explain(chosen, preferred, known=known, min_spare=min_spare, memory_share=memory_share)


# start, min spare, max spare: 20, 10 and 40 %, the case study's 8/4/16 of 40
@pytest.mark.parametrize(
    ("workers", "expected"),
    [(40, [8, 4, 16]), (20, [4, 2, 8]), (100, [20, 10, 40]), (19, [3, 1, 7]), (1, [1, 1, 1]), (2, [1, 1, 1])],
)
def test_spares_keep_the_proportions_of_the_case_study(workers, expected):
    assert spares(workers) == expected


def test_fpm_accepts_the_spares_of_every_count():
    workers = np.arange(1.0, 20001.0)
    start, least, most = process_manager.proportional(workers)
    # what php-fpm -t checks of a dynamic pool
    assert ((least >= 1) & (least <= start) & (start <= most) & (most <= workers)).all()


def test_spares_are_whole_and_rounded_down():
    for workers in (*range(1, 400), 10**6 + 9, 2**31 - 1):
        assert spares(workers) == [max(workers * tenths // 10, 1) for tenths in (2, 1, 4)]


# --- which process manager


def test_the_only_pool_that_leaves_a_fifth_of_the_memory_is_static():
    assert best(worst_case=0.8 * 2.5 * GIB) == "static"
    assert best(worst_case=0.8 * 2.5 * GIB + 1) == "dynamic"


def test_a_pool_beside_others_is_never_static():
    assert best(worst_case=0.0, pools=2) == "dynamic"


def test_an_idle_pool_beside_others_forks_on_demand():
    assert best(load=0.99, pools=30) == "ondemand"
    assert best(load=1.0, pools=30) == "dynamic"
    assert best(load=0.01, pools=1) == "static"
    assert best(load=0.01, pools=1, worst_case=2.4 * GIB) == "dynamic"


def test_a_row_does_not_know_its_neighbours():
    rng = np.random.default_rng(5)
    table = {
        "host.ram": np.full(200, 4 * GIB),
        "host.reserved": np.full(200, 1.5 * GIB),
        "policy.pools_on_host": rng.integers(1, 3, 200).astype(float),
    }
    load, worst_case = rng.uniform(0, 2, 200), rng.uniform(0, 2.5, 200) * GIB
    together = process_manager.best(table, load, worst_case).tolist()
    alone = [
        str(process_manager.best(take(table, np.array([row])), load[row : row + 1], worst_case[row : row + 1])[0])
        for row in range(200)
    ]
    assert together == alone
    assert set(together) == {"static", "ondemand", "dynamic"}


# --- words


@pytest.mark.parametrize("preferred", ["static", "dynamic", "ondemand"])
def test_the_choice_carries_the_setting_and_a_reason_that_names_it(preferred):
    choice = explain(preferred, preferred)
    assert (choice.setting, choice.value) == ("pm", preferred)
    assert preferred in choice.reason
    assert "kept" not in choice.reason


def test_a_better_one_is_named_when_todays_is_kept():
    choice = explain("dynamic", "static")
    assert choice.value == "dynamic"
    assert "kept as it is today; static would be better" in choice.reason
    assert "65 %" in choice.reason.replace("65%", "65 %")


def test_where_nothing_is_known_it_is_what_php_fpm_ships():
    choice = explain(process_manager.SHIPPED, "static", known=False)
    assert choice.value == "dynamic"
    assert "as PHP-FPM is shipped" in choice.reason
    assert "static would be better" in choice.reason


def test_a_dynamic_pool_is_warned_of_its_growth():
    # fpm_pctl_perform_idle_server_maintenance forks at most min_spare - idle a second
    assert "at most 4 workers a second" in explain("dynamic", "dynamic").reason
    assert "workers a second" not in explain("static", "static", min_spare=None).reason


@pytest.mark.parametrize("chosen", ["static", "dynamic", "ondemand"])
@pytest.mark.parametrize("preferred", ["static", "dynamic", "ondemand"])
def test_no_reason_writes_a_directive_with_its_prefix(chosen, preferred):
    assert "pm." not in explain(chosen, preferred).reason


# The real pool of 3.4 in the measurements: 10 workers, then 11, 13, 17, 22, 27, 32, 37, 40 at a tick each
@pytest.mark.parametrize(("load", "ticks"), [(10, 0), (10.5, 1), (13, 2), (17, 3), (25, 5), (40, 8), (1000, 8)])
def test_growth_counts_the_ticks_of_a_pool_that_has_no_idle_worker(load, ticks):
    pool = PoolSettings(pm="dynamic", max_children=40, start_servers=5, min_spare_servers=5, max_spare_servers=10)
    assert process_manager.growth(pool, 5, load) == ticks


@pytest.mark.parametrize(("workers", "share"), [(40, 0.3), (100, 0.1), (19, 0.3)])
def test_growth_is_that_of_the_simulated_pool(workers, share):
    start, least, most = spares(workers)
    pool = PoolSettings(
        pm="dynamic", max_children=workers, start_servers=start, min_spare_servers=least, max_spare_servers=most
    )
    load = 0.75 * workers
    run = simulate_step(pool, rate_before=share * load / 0.25, rate_after=load / 0.25, service_time=0.25, window=30.0)
    grown = int(np.argmax(run.workers >= load))
    assert abs(process_manager.growth(pool, share * load, load) - grown) <= 2
