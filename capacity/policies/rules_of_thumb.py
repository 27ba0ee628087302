"""What the popular rules would have said, by name, to stand beside our answer."""

from __future__ import annotations

import math

from capacity.results import RuleOfThumb
from capacity.scenario import Scenario

PER_CORE = 5


def all_rules(scenario: Scenario) -> tuple[RuleOfThumb, ...]:
    """Every rule, applied to the scenario."""
    rules = [ram_division(scenario), cores_multiples(scenario), five_per_core(scenario)]
    visitors = visitors_formula(scenario)
    return (*rules, visitors) if visitors else tuple(rules)


def ram_division(scenario: Scenario) -> RuleOfThumb:
    """RAM division with spares of 25, 25 and 75 %, as the best-known calculator has it.

    Examples
    --------
    >>> ram_division(Scenario.example()).workers
    40
    """
    host, worker = scenario.host, scenario.worker
    workers = math.floor((host.ram - host.reserved) / worker.memory)
    return RuleOfThumb(
        name="RAM division",
        workers=workers,
        start_servers=workers // 4,
        min_spare_servers=workers // 4,
        max_spare_servers=workers * 3 // 4,
        formula="(RAM - reserved) / memory of a worker; start 25 %, min spare 25 %, max spare 75 %",
        ignores="users, response times, CPU and the database; below 4 workers FPM refuses its spares",
    )


def cores_multiples(scenario: Scenario) -> RuleOfThumb:
    """Four, two and four times the cores for start, min-spare and max-spare servers."""
    cores = math.floor(scenario.host.cpus)
    return RuleOfThumb(
        name="cores x 4/2/4",
        workers=None,
        start_servers=4 * cores,
        min_spare_servers=2 * cores,
        max_spare_servers=4 * cores,
        formula="start 4 x cores, min spare 2 x cores, max spare 4 x cores",
        ignores="how many workers there are at all, memory, users and response times",
    )


def five_per_core(scenario: Scenario) -> RuleOfThumb:
    """At most five workers a core, a cap that several hosting platforms apply."""
    return RuleOfThumb(
        name="5 per core",
        workers=math.floor(PER_CORE * scenario.host.cpus),
        formula="at most 5 workers for each core",
        ignores="how much of a request is CPU time at all: waiting for a database needs no core",
    )


def visitors_formula(scenario: Scenario) -> RuleOfThumb | None:
    """Visitors a server takes: cores / response time x click interval."""
    workload = scenario.workload
    if workload.think_time is None:
        return None
    interval = workload.think_time + workload.service_time
    return RuleOfThumb(
        name="visitors formula",
        workers=None,
        users=math.floor(scenario.host.cpus / workload.service_time * interval),
        formula="cores / response time x seconds between two clicks",
        ignores="that requests wait for databases without a core, that they queue, and how many workers there are",
    )
