"""The popular rules as their own authors write them, so that nobody can say we quoted them wrongly."""

from __future__ import annotations

import math

import pytest

from capacity import Host, Scenario, Worker, Workload
from capacity.policies import rules_of_thumb
from capacity.results import RuleOfThumb


def scenario(ram="4GiB", reserved="1.5GiB", cpus=4, memory="64MiB", shared=0, **workload):
    return Scenario(
        host=Host(ram=ram, reserved=reserved, cpus=cpus),
        worker=Worker(memory=memory, shared_memory=shared),
        workload=Workload(**{"service_time": 0.25, "think_time": 1, **workload}),
    )


@pytest.mark.parametrize("memory_mib", [20, 33, 64, 100, 256, 700, 2000])
def test_ram_division_is_the_best_known_calculator(memory_mib):
    # spot13 pmcalculator without buffer: max_children = floor(MB left / MB of a process), start and min spare
    # floor(25 %), max spare floor(75 %)
    rule = rules_of_thumb.ram_division(scenario(memory=memory_mib * 2**20))
    workers = math.floor(2560 / memory_mib)
    assert rule.workers == workers
    assert rule.start_servers == rule.min_spare_servers == math.floor(0.25 * workers)
    assert rule.max_spare_servers == math.floor(0.75 * workers)


def test_ram_division_gives_fpm_a_spare_it_refuses_below_four_workers():
    rule = rules_of_thumb.ram_division(scenario(memory="700MiB"))
    assert (rule.workers, rule.min_spare_servers) == (3, 0)
    assert "refuses" in rule.ignores


def test_ram_division_knows_no_shared_memory():
    assert rules_of_thumb.ram_division(scenario(shared="1GiB")) == rules_of_thumb.ram_division(scenario())


def test_four_two_and_four_times_the_cores():
    # php-fpm/optimizer: start 4c, min spare 2c, max spare 4c; it says nothing of max_children
    rule = rules_of_thumb.cores_multiples(scenario(cpus=8))
    assert (rule.workers, rule.start_servers, rule.min_spare_servers, rule.max_spare_servers) == (None, 32, 16, 32)


@pytest.mark.parametrize(("cpus", "workers"), [(1, 5), (4, 20), (0.5, 2), (1.5, 7)])
def test_five_workers_a_core(cpus, workers):
    # Hypernode and Upsun: 5 x vCPU
    assert rules_of_thumb.five_per_core(scenario(cpus=cpus)).workers == workers


# Servebolt: cores / response time x seconds between two clicks, a click being thinking and waiting together
@pytest.mark.parametrize(
    ("cpus", "service_time", "think_time", "users"),
    [(2, 0.65, 44.35, 138), (4, 0.25, 1, 20), (4, 0.25, 59.75, 960), (0.5, 0.25, 1, 2)],
)
def test_the_visitors_formula(cpus, service_time, think_time, users):
    case = scenario(cpus=cpus, service_time=service_time, think_time=think_time)
    assert rules_of_thumb.visitors_formula(case).users == users


def test_without_a_click_interval_there_is_no_visitors_formula():
    case = scenario(think_time=None, arrival_rate=100)
    assert rules_of_thumb.visitors_formula(case) is None
    assert [rule.name for rule in rules_of_thumb.all_rules(case)] == ["RAM division", "cores x 4/2/4", "5 per core"]


def test_every_rule_stands_beside_ours_by_name():
    rules = rules_of_thumb.all_rules(Scenario.example())
    assert [rule.name for rule in rules] == ["RAM division", "cores x 4/2/4", "5 per core", "visitors formula"]
    assert all(isinstance(rule, RuleOfThumb) and rule.formula and rule.ignores for rule in rules)
    assert not any("pm." in rule.formula + rule.ignores for rule in rules)


def test_the_rules_disagree_on_the_case_study_and_none_knows_its_users():
    rules = {rule.name: rule for rule in rules_of_thumb.all_rules(Scenario.example())}
    assert rules["RAM division"].workers == 40
    assert rules["5 per core"].workers == 20
    assert rules["visitors formula"].users == 20
