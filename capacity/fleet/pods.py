"""Pods under limits of their own: how many, of which size, and how many workers in each."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from capacity.columns import row_of
from capacity.fleet.hosts import HostQuestion, least_hosts, loaded, size_hosts
from capacity.fleet.results import Balancing, PodPlan, PodShape
from capacity.policies.verdict import Edges
from capacity.scenario import Scenario

__all__ = ["size_pods"]

FACTORS: Final = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Sizes that are held against each other: the limits of the pod, times these."""


def size_pods(
    scenario: Scenario,
    *,
    users: int | None = None,
    spare_pods: int = 1,
    surge_pods: int = 1,
    balancing: Balancing = "random",
    edges: Edges | None = None,
) -> PodPlan:
    """Size pods: the replicas that a load takes, the workers in each, and what other limits would make of it.

    Parameters
    ----------
    scenario : Scenario
        One pod as the host: ``ram`` and ``cpus`` are its limits, ``reserved`` what else runs inside them; and the
        load of all pods.
    users : int, optional
        Users of all pods together, instead of the scenario's load [-].
    spare_pods : int
        Pods that may be missing at once [-]: a node that fails, ``maxUnavailable`` of a rolling update.
    surge_pods : int
        Pods that run in addition during a rolling update (``maxSurge``) [-], and hold database connections.
    balancing : {'random', 'round_robin', 'least_connections', 'shared_queue'}
        How a pod is chosen; a Kubernetes service on iptables chooses at random.
    edges : Edges, optional
        The edges between verdicts.

    Returns
    -------
    PodPlan
        The plan for these limits, and pods of a quarter to four times them, the cheapest of which takes the least
        memory and cores in all.

    Raises
    ------
    InvalidInput
        As of `size_hosts`.

    Examples
    --------
    >>> pod = Scenario.from_mapping({
    ...     "host": {"ram": "1GiB", "reserved": "128MiB", "cpus": 1},
    ...     "worker": {"memory": "48MiB", "shared_memory": "128MiB"},
    ...     "workload": {"service_time": "120ms", "cpu_time": "40ms", "arrival_rate": "120/s"},
    ... })
    >>> plan = size_pods(pod)
    >>> plan.plan.hosts, plan.plan.pool.max_children, plan.best.cpus
    (8, 4, 0.5)
    """
    plan = size_hosts(
        scenario, users=users, spare_hosts=spare_pods, surge_hosts=surge_pods, balancing=balancing, edges=edges
    )
    scenario = loaded(scenario, users)
    question = HostQuestion(row_of(scenario), spare_pods, surge_pods, balancing)
    shapes = tuple(shape for factor in FACTORS if (shape := _shape(scenario, question, factor)) is not None)
    possible = [shape for shape in shapes if shape.total_ram is not None]
    return PodPlan(
        plan=plan,
        shapes=shapes,
        best=min(possible, key=lambda shape: (shape.total_ram, shape.pods), default=None),
        cautions=(
            "a CPU limit stops the pod for the rest of every 100 ms in which it has used its share up: short requests "
            "see pauses that no average shows",
            "beyond its memory limit the kernel kills a worker or the whole pod: keep a tenth of it in reserved",
        ),
    )


def _shape(scenario: Scenario, question: HostQuestion, factor: float) -> PodShape | None:
    """Pods of so many times the limits; None where these leave nothing beside what is reserved."""
    host = scenario.host
    ram, cpus = int(host.ram * factor), host.cpus * factor
    if ram <= host.reserved or cpus <= host.cpus_reserved:
        return None
    limits = {"host.ram": np.array([float(ram)]), "host.cpus": np.array([cpus])}
    pods, workers = least_hosts(replace(question, table={**question.table, **limits}))
    if pods is None:
        return PodShape(ram=ram, cpus=cpus, pods=None, workers=None, total_ram=None, total_cpus=None)
    return PodShape(ram=ram, cpus=cpus, pods=pods, workers=int(workers), total_ram=pods * ram, total_cpus=pods * cpus)
