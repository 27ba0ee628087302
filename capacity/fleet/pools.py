"""Several pools on one host: who gets how many of the workers that the host can carry."""

from __future__ import annotations

import numpy as np

from capacity.columns import row_of
from capacity.errors import InvalidInput, Problem
from capacity.fleet.allotment import Array, Rows, allot, levels_of
from capacity.fleet.inputs import Fleet
from capacity.fleet.results import Allotment, PoolShare, Resource
from capacity.fleet.settings import settings_at
from capacity.fleet.sharing import SharedHost
from capacity.fleet.words import (
    allotment_cautions,
    allotment_steps,
    cpu_reason,
    pm_reason,
    resource_reason,
    share_reason,
)
from capacity.outcome import predict
from capacity.policies import demand
from capacity.policies.verdict import Edges, severity
from capacity.prediction import predictions_from, require_edges
from capacity.results import Prediction
from capacity.table import ROUNDING, Column, service_time
from capacity.units import shown

__all__ = ["allot_pools"]


def allot_pools(fleet: Fleet, *, edges: Edges | None = None) -> Allotment:
    """Allot the workers that a host can carry to the pools that share it.

    Each pool wants the workers that meet its objective at ``headroom`` times its load. Where memory, database
    connections, ``process.max`` or the cores do not allow that for all, every pool gets the same share of its
    load (weighted): the lowest is as high as it can be, then the second lowest, and so on.

    Parameters
    ----------
    fleet : Fleet
    edges : Edges, optional
        The edges between verdicts.

    Returns
    -------
    Allotment
        Also where the host cannot carry the pools: then ``feasible`` is False, each pool says how many workers it
        lacks, and each resource how much is missing.

    Raises
    ------
    InvalidInput
        This is no fleet.

    Notes
    -----
    Pools of one PHP-FPM share their OPcache, so of the pools' ``shared_memory`` the largest is counted, once. A pool
    has the cores that the others do not keep busy on average.

    Examples
    --------
    >>> fleet = Fleet.from_mapping({
    ...     "host": {"ram": "3GiB", "reserved": "1GiB", "cpus": 4},
    ...     "worker": {"memory": "64MiB"},
    ...     "pool": [
    ...         {"name": "shop", "workload": {"service_time": "250ms", "arrival_rate": "80/s"}},
    ...         {"name": "blog", "workload": {"service_time": "100ms", "arrival_rate": "2/s"}},
    ...     ],
    ... })
    >>> result = allot_pools(fleet)
    >>> result
    <Allotment: shop 31, blog 1>
    >>> result.share("shop").wanted, round(result.share("shop").load_factor, 2), result.share("blog").pool.pm
    (32, 1.24, 'ondemand')
    """
    if not isinstance(fleet, Fleet):
        raise InvalidInput([Problem("fleet", "must be a Fleet", shown(fleet), "Fleet.from_toml(path) reads a file")])
    require_edges(edges)
    host = _shared_host(fleet)
    every: Rows = np.arange(host.weight.size)
    needed, wanted = (host.needs(np.full(every.size, level), every) for level in (1.0, host.headroom))
    attainable = host.attainable()
    names = np.argsort(np.argsort([pool.name.lower() for pool in fleet.pools]))
    workers = allot(
        attainable.needs,
        np.stack([takes for takes, _ in host.takes.values()]),
        np.array([available for _, available in host.takes.values()]),
        most=host.headroom,
        rank=np.argsort(np.lexsort((names, -host.weight))).astype(np.float64),
    )
    factor = attainable.factors(levels_of(attainable.needs, workers, host.headroom))[every, every]
    factor = np.where(host.hopeless, 0.0, factor)
    resources = _resources(fleet, host, needed, wanted, workers)
    beside = host.beside(host.work, np.full(every.size, host.work.sum()), every)
    predictions = _predictions(host, beside, workers, Edges() if edges is None else edges)
    binding = [resource.name for resource in resources if resource.binding]
    shares = tuple(
        PoolShare(
            name=pool.name,
            weight=pool.weight,
            pool=settings,
            needed=_count(needed[row]),
            wanted=_count(wanted[row]),
            shortfall=_count(max(needed[row] - workers[row], 0.0)),
            load_factor=factor[row],
            worst_case_memory=int(workers[row] * pool.scenario.worker.memory),
            prediction=predictions[row],
            reason=share_reason(workers[row], needed[row], wanted[row], factor[row], binding, bool(host.hopeless[row])),
            pm_reason=pm_reason(settings.pm, host.rate[row] * service_time(host.table)[row], alone=every.size == 1),
        )
        for row, (pool, settings) in enumerate(zip(fleet.pools, settings_at(beside, workers, host.rate), strict=True))
    )
    fits = all(float(takes @ workers) <= available for takes, available in host.takes.values())
    return Allotment(
        feasible=fits and all(share.shortfall == 0 for share in shares),
        headroom=host.headroom,
        pools=shares,
        resources=resources,
        next_steps=allotment_steps(shares, resources),
        cautions=allotment_cautions(fleet),
    )


def _shared_host(fleet: Fleet) -> SharedHost:
    rows = [row_of(pool.scenario) for pool in fleet.pools]
    table = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    table["policy.pools_on_host"] = np.maximum(table["policy.pools_on_host"], float(len(rows)))
    return SharedHost(table, np.array([pool.weight for pool in fleet.pools]))


def _resources(fleet: Fleet, host: SharedHost, needed: Array, wanted: Array, workers: Array) -> tuple[Resource, ...]:
    """What the pools share: the cores, which workers do not use up, and what each worker takes."""
    resources = []
    short = workers < wanted
    for name, (takes, available) in host.takes.items():
        need, want, have = (_total(takes, count) for count in (needed, wanted, workers))
        free = available - takes @ workers
        resources.append(
            Resource(
                name=name,
                unit="byte" if name == "memory" else "1",
                available=max(available, 0.0),
                needed=need,
                wanted=want,
                allotted=have,
                binding=bool((short & (takes > free)).any()),
                reason=resource_reason(fleet, name, available, need, want, float(takes @ workers)),
            )
        )
    busy = float(host.work.sum())
    if busy > 0:
        allowed = host.cores * float(host.table["objective.max_utilization"][host.work > 0].min())
        most = busy * host.headroom
        resources.append(
            Resource(
                name="cpu",
                unit="1",
                available=allowed,
                needed=busy,
                wanted=most,
                allotted=busy,
                binding=most > allowed * (1.0 + ROUNDING),
                reason=cpu_reason(host.cores, allowed, busy, most),
            )
        )
    return tuple(resources)


def _total(takes: Array, counts: Array) -> float | None:
    """What so many workers take; None where a pool has no number that does."""
    return float(takes @ counts) if np.isfinite(counts).all() else None


@np.errstate(all="ignore")
def _predictions(host: SharedHost, beside: dict[str, Column], workers: Array, edges: Edges) -> tuple[Prediction, ...]:
    """What the expected load of all pools does to each; cores and connections are as busy as all make them."""
    table = dict(beside)
    takes, available = host.takes.get("database", (np.zeros(workers.size), np.nan))
    # the others' workers may hold theirs: what is left is what this pool can count on
    table["host.database_connections_reserved"] = np.minimum(
        table["host.database_connections"] - available + (takes @ workers - takes * workers),
        table["host.database_connections"] - 1.0,
    )
    columns = predict(table, workers, host.rate, model="open", edges=edges)
    done = columns["throughput"]
    cores_busy = float(done @ demand.known_work(host.table)) / host.cores
    columns["cpu_utilization"] = np.where(np.isnan(host.table["workload.cpu_time"]), np.nan, min(cores_busy, 1.0))
    held = done * host.table["workload.database_time"] * takes
    columns["database_utilization"] = np.where(np.isnan(held), np.nan, np.minimum(np.nansum(held) / available, 1.0))
    shared = np.fmax(np.where(host.work > 0, columns["cpu_utilization"], np.nan), columns["database_utilization"])
    met = np.nan_to_num(columns["objective_met"], nan=1.0) == 1.0
    worst = severity(np.fmax(columns["utilization"], shared), columns["slowdown"], met, edges)
    columns["severity"] = worst.astype(np.float64)
    return predictions_from(columns, host.table["workload.users"], host.rate, range(workers.size))


def _count(workers: float) -> int | None:
    return int(workers) if np.isfinite(workers) else None
