"""Several equal hosts behind a balancer: the least number of them, and of workers on each, for a load."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from capacity.columns import row_of
from capacity.errors import InvalidInput, Problem
from capacity.fleet.balancing import BALANCINGS, balanced_pool
from capacity.fleet.host_words import host_cautions, host_reason, host_steps
from capacity.fleet.results import Balancing, BalancingOutlook, HostPlan, HostSituation
from capacity.fleet.settings import settings_at
from capacity.outcome import judge
from capacity.policies import cpu, database, demand, memory, objective, process_max
from capacity.policies.verdict import Edges
from capacity.pool import MOST_PROCESSES
from capacity.prediction import predictions_from, require, stated_assumptions
from capacity.queueing.search import Rows, least_count
from capacity.queueing.spread import response_quantile
from capacity.results import Prediction
from capacity.scenario import Scenario
from capacity.table import ROUNDING, Column, Table, cores_left, repeat, service_time, take
from capacity.units import shown

__all__ = ["HostQuestion", "least_hosts", "loaded", "size_hosts"]

MOST_HOSTS: Final = 10_000
_AT_ONCE: Final = 16  # numbers of hosts that are tried together
_DOUBLINGS: Final = 11  # of steps, up to more than the most hosts
_MOST_USERS: Final = 10**9


@dataclass(frozen=True)
class HostQuestion:
    """The question: a load for equal hosts, of which some may be out and some come in addition."""

    table: Table
    spare: int
    surge: int
    balancing: Balancing

    @cached_property
    def rate(self) -> float:
        """Requests a second of all hosts together."""
        return float(demand.expected_rate(self.table)[0])

    @cached_property
    def headroom(self) -> float:
        """Times the load that all hosts together should carry."""
        return float(self.table["policy.headroom"][0])

    @cached_property
    def alone(self) -> dict[str, float]:
        """Workers that one host can carry by each ceiling that does not depend on the number of hosts."""
        ceilings = {"memory": memory, "cpu": cpu, "process_max": process_max}
        return {name: float(policy.limit(self.table)[0]) for name, policy in ceilings.items()}

    def rows(self, hosts: Column) -> dict[str, Column]:
        """Table of one host for each number of hosts: the database's connections are shared by all, extra ones too."""
        table = repeat(self.table, hosts.size)
        table["host.database_connections"] = np.floor(database.available(table) / (hosts + self.surge))
        table["host.database_connections_reserved"] = np.zeros(hosts.size)
        return table

    def ceiling(self, table: Table) -> Column:
        """Workers that each host can carry."""
        return np.minimum(database.limit(table), min(*self.alone.values(), float(MOST_PROCESSES)))

    def least_workers(self, hosts: Column) -> tuple[Column, Column]:
        """Least workers on each host that meet the objective, and how many each can carry; inf: no number does."""
        table = self.rows(hosts)
        most = self.ceiling(table)
        loads = ((hosts, self.rate * self.headroom), (hosts - self.spare, self.rate))

        def kept(count: Column, rows: Rows) -> NDArray[np.bool_]:
            part = take(table, rows)
            each = [_kept(part, count, running[rows], load, self.balancing) for running, load in loads]
            return np.logical_and(*each)

        def meets(count: Column, rows: Rows) -> NDArray[np.bool_]:
            # past what a host can carry, stop
            return kept(np.minimum(count, np.maximum(most[rows], 1.0)), rows) | (count > most[rows])

        busiest = table["objective.max_utilization"] * (1.0 + ROUNDING)
        load = np.max([rate / running for running, rate in loads], axis=0) * service_time(table)
        below = np.minimum(np.maximum(np.ceil(load / busiest) - 1.0, 0.0), most)
        least = least_count(meets, below, np.ones(hosts.size))
        least = np.where(least <= most, least, np.inf)
        # where workers share cores, those that meet a response time may lie between those that do not
        missed = np.flatnonzero(np.isinf(least) & np.isfinite(table["objective.response_time"]))
        if missed.size:
            end = np.minimum(most[missed], below[missed] + demand.ONE_BY_ONE) + 1.0
            least[missed] = demand.one_by_one(kept, below[missed], end, missed)
        return least, most

    @np.errstate(all="ignore")
    def first(self) -> int:
        """Fewest hosts whose workers and cores are not too busy whatever the balancing."""
        table = self.table
        per_host = float(table["objective.max_utilization"][0] * (1.0 + ROUNDING)) * np.fmin(
            min(self.alone.values()) / service_time(table), cores_left(table) / demand.known_work(table)
        )
        every = np.maximum(self.rate * self.headroom / per_host, self.rate / per_host + self.spare)
        return int(min(max(np.ceil(every[0]), self.spare + 1), MOST_HOSTS + 1))


@np.errstate(all="ignore")
def _kept(table: Table, workers: Column, hosts: Column, rate: float, balancing: Balancing) -> NDArray[np.bool_]:
    """Whether so many workers on each of so many hosts keep the objective."""
    pool = balanced_pool(table, workers, hosts, np.full(hosts.size, rate), balancing)
    seen = judge(table, workers, pool, Edges())
    busiest = np.fmax(np.fmax(seen["utilization"], seen["cpu_utilization"]), seen["database_utilization"])
    allowed = table["objective.max_utilization"] * (1.0 + ROUNDING)
    kept: NDArray[np.bool_] = (busiest <= allowed) & (pool["drain"] > 0) & (seen["objective_met"] != 0)
    return kept


def size_hosts(
    scenario: Scenario,
    *,
    users: int | None = None,
    spare_hosts: int = 1,
    surge_hosts: int = 0,
    balancing: Balancing = "round_robin",
    edges: Edges | None = None,
) -> HostPlan:
    """Size a number of equal hosts behind a balancer for a load.

    The least hosts that carry ``headroom`` times the load within the objective, and the load itself while
    ``spare_hosts`` of them are out: failed, or taken out one after the other to be updated.

    Parameters
    ----------
    scenario : Scenario
        One of the hosts, and the load of all; ``database_connections`` are those of the one database they share.
    users : int, optional
        Users of all hosts together, instead of the scenario's load [-].
    spare_hosts : int
        Hosts that may be out at once [-]: 1 is N+1.
    surge_hosts : int
        Hosts that run in addition while a new version replaces the old one [-]; their workers hold database
        connections, too.
    balancing : {'round_robin', 'random', 'least_connections', 'shared_queue'}
        How the balancer chooses a host.
    edges : Edges, optional
        The edges between verdicts.

    Returns
    -------
    HostPlan
        Also where no number of hosts does: then ``feasible`` is False and says what ends them.

    Raises
    ------
    InvalidInput
        The load is not known, or a number is out of its range.

    Examples
    --------
    >>> plan = size_hosts(Scenario.example(), users=400)
    >>> plan.hosts, plan.pool.max_children, plan.situations[1].running
    (4, 34, 3)
    >>> [(way.balancing, way.hosts) for way in plan.balancings]
    [('random', 4), ('round_robin', 4), ('least_connections', 4), ('shared_queue', 4)]
    """
    require(scenario, edges)
    for name, count in (("spare_hosts", spare_hosts), ("surge_hosts", surge_hosts)):
        _require_count(name, count, least=0, most=1000)
    if balancing not in BALANCINGS:
        raise InvalidInput([Problem("balancing", f"must be one of {', '.join(BALANCINGS)}", shown(balancing))])
    scenario = loaded(scenario, users)
    asked = HostQuestion(row_of(scenario), spare_hosts, surge_hosts, balancing)
    hosts, workers = least_hosts(asked)
    found = hosts is not None
    count = hosts if hosts is not None else asked.first()
    count = min(count, MOST_HOSTS)
    table = asked.rows(np.array([float(count)]))
    most = float(asked.ceiling(table)[0])
    size = np.array([workers if found else max(most, 1.0)])
    running = (count, count - spare_hosts) if spare_hosts else (count,)
    edges = Edges() if edges is None else edges
    situations = tuple(
        HostSituation(
            running=number,
            prediction=_prediction(asked, table, size, number, balancing, edges),
        )
        for number in running
    )
    return HostPlan(
        feasible=found,
        hosts=count if found else None,
        hosts_without_spare=least_hosts(HostQuestion(asked.table, 0, surge_hosts, balancing))[0] if found else None,
        spare_hosts=spare_hosts,
        surge_hosts=surge_hosts,
        balancing=balancing,
        pool=settings_at(table, size, np.array([asked.rate / count]))[0],
        most_workers=int(most),
        worst_case_memory=int(memory.worst_case(table, size)[0]),
        database_connections=_connections(scenario, int(size[0]), count + surge_hosts),
        situations=situations,
        balancings=tuple(_outlook(asked, table, size, running[-1], way, edges) for way in BALANCINGS),
        reason=host_reason(scenario, asked.rate, count, int(size[0]), spare_hosts, found=found),
        next_steps=()
        if found
        else host_steps(
            scenario, asked.rate, count + surge_hosts, int(most), bool(objective.excess_alone(asked.table)[0] > 0)
        ),
        cautions=host_cautions(scenario, balancing),
        assumptions=stated_assumptions(scenario),
    )


def loaded(scenario: Scenario, users: int | None) -> Scenario:
    """Scenario with the load of all hosts; refuse one without."""
    if users is not None:
        _require_count("users", users, least=1, most=_MOST_USERS)
        change = {"users": int(users), "arrival_rate": None}
        scenario = scenario.model_copy(update={"workload": scenario.workload.model_copy(update=change)})
    if scenario.workload.users is None and scenario.workload.arrival_rate is None:
        hint = "the load of all hosts: users with a think_time, or arrival_rate"
        raise InvalidInput([Problem("users", "is missing", hint=hint)])
    return scenario


def _require_count(name: str, value: object, *, least: int, most: int) -> None:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or not least <= cast("int", value) <= most:
        raise InvalidInput([Problem(name, f"must be a whole number from {least} to {most}", shown(value))])


def least_hosts(asked: HostQuestion) -> tuple[int | None, float]:
    """Fewest hosts, and the workers on each; None where none do.

    The first numbers are tried one by one; then in growing steps, between which more hosts are taken to do no worse.
    """
    first = asked.first()
    if first > MOST_HOSTS or objective.excess_alone(asked.table)[0] > 0 or min(asked.alone.values()) < 1:
        return None, 0.0
    tried = np.append(first + np.arange(_AT_ONCE), first + _AT_ONCE * 2.0 ** np.arange(_DOUBLINGS))
    while True:
        tried = np.unique(np.minimum(tried, MOST_HOSTS)).astype(np.float64)
        least, _ = asked.least_workers(tried)
        met = np.flatnonzero(np.isfinite(least))
        if not met.size:
            return None, 0.0
        place = int(met[0])
        if place == 0 or tried[place] - tried[place - 1] == 1:
            return int(tried[place]), float(least[place])
        tried = np.round(np.linspace(tried[place - 1] + 1, tried[place], _AT_ONCE))


@np.errstate(all="ignore")
def _prediction(
    asked: HostQuestion, table: Table, workers: Column, running: int, balancing: Balancing, edges: Edges
) -> Prediction:
    """What the expected load does to one of the running hosts."""
    hosts, rate = np.array([float(running)]), np.array([asked.rate])
    pool = balanced_pool(table, workers, hosts, rate, balancing)
    columns = {**pool, **judge(table, workers, pool, edges)}
    columns["response_time_p95"] = response_quantile(np.array([0.95]), pool)
    (prediction,) = predictions_from(columns, np.array([np.nan]), rate / running, [0])
    return prediction


def _outlook(
    asked: HostQuestion, table: Table, workers: Column, running: int, balancing: Balancing, edges: Edges
) -> BalancingOutlook:
    other = HostQuestion(asked.table, asked.spare, asked.surge, balancing)
    seen = _prediction(asked, table, workers, running, balancing, edges)
    return BalancingOutlook(
        balancing=balancing,
        hosts=least_hosts(other)[0],
        waiting_time=seen.waiting_time,
        response_time_p95=seen.response_time_p95,
        verdict=seen.verdict,
    )


def _connections(scenario: Scenario, workers: int, hosts: int) -> int:
    return workers * scenario.worker.database_connections * hosts
