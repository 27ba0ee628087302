"""The whole decision over columns: limits, the pool's settings, what users do to it, and its bands.

One row and a million rows run through here, so ``recommend`` and ``recommend_many`` cannot disagree.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from capacity.outcome import NEEDED, predict, users_in_bands
from capacity.policies import (
    backlog,
    cpu,
    database,
    demand,
    memory,
    process_manager,
    process_max,
    recycling,
    timeouts,
)
from capacity.policies.verdict import VERDICTS, Edges
from capacity.pool import MOST_PROCESSES
from capacity.results import LimitName
from capacity.sheet import Kind
from capacity.table import Column, Table, cores_left, cpu_time, service_time, stacked, take

__all__ = [
    "CEILINGS",
    "LIMITS",
    "SEEN",
    "Decision",
    "Outlook",
    "columns_of",
    "decide",
    "decided",
    "kinds",
    "outlook",
    "settings_of",
    "users_beside",
]

# In this order a ceiling wins a tie, and every ceiling wins it over demand.
CEILINGS: Final = {"memory": memory, "cpu": cpu, "database": database, "process_max": process_max}
LIMITS: Final[tuple[LimitName, ...]] = get_args(LimitName)

USERS: Final = (50, 80, 100, 150, 200)
"""The case study's numbers of users, of which 150 are the expected ones."""
EXPECTED: Final = USERS.index(150)
SEEN: Final = (*NEEDED, "workload.users")
"""The columns an outlook looks at."""

_SETTINGS: Final = (
    "max_children",
    "start_servers",
    "min_spare_servers",
    "max_spare_servers",
    "max_requests",
    "listen_backlog",
    "request_terminate_timeout",
)
_SPARES: Final = _SETTINGS[1:4]
_DECIDED: Final = ("arrival_rate", "needed", "wanted", "shortfall", "more_workers_help")
_PREDICTED: Final = ("utilization", "response_time", "response_time_p95")

Decision: TypeAlias = dict[str, Column]


@dataclass(frozen=True)
class Outlook:
    """What users do to one pool a row.

    ``users`` and ``arrival_rate`` have a row for each of the five numbers of users and a column a pool, as have the
    columns of ``predicted``; ``bands`` has a row a verdict. NaN: nothing to predict, or no such band.
    """

    users: NDArray[np.float64]
    arrival_rate: NDArray[np.float64]
    predicted: dict[str, NDArray[np.float64]]
    bands: NDArray[np.float64]


@np.errstate(all="ignore")
def decide(table: Table) -> Decision:
    """Decide for every row: ceilings, demand, the binding limit and the sizes that follow.

    Parameters
    ----------
    table : Table
        Columns as ``table_of`` makes them, of any number of rows.

    Returns
    -------
    dict of str to ndarray
        ``memory cpu database process_max demand`` (workers, inf: does not limit), ``needed``, ``wanted``,
        ``arrival_rate``, ``max_children``, ``binding`` (index into ``LIMITS``), ``feasible``, ``shortfall`` (inf: no
        number would do), ``listen_backlog``, ``full_rate``, ``worst_case_memory``,
        ``more_workers_help`` (NaN: not known).
    """
    rate = demand.expected_rate(table)
    ceilings = {name: policy.limit(table) for name, policy in CEILINGS.items()}
    needed, wanted = np.split(
        demand.least_workers(
            stacked(table, (*NEEDED, "objective.max_utilization"), 2),
            np.concatenate((rate, rate * table["policy.headroom"])),
            np.concatenate((ceilings["cpu"],) * 2),
        ),
        2,
    )
    asked = np.where(np.isnan(wanted), np.inf, wanted)
    stack = np.stack([*ceilings.values(), asked])
    # argmin takes the first of equals, so on a tie the ceiling binds
    binding = np.argmin(stack, axis=0)
    cap = np.minimum(np.min(stack[:-1], axis=0), MOST_PROCESSES)
    # FPM wants at least one worker, and Linux sets an end to them
    max_children = np.maximum(np.minimum(cap, asked), 1.0)
    full_rate = cpu.full_rate(table, max_children)
    at_least = np.where(np.isnan(needed), 1.0, needed)  # without a load, FPM still wants one worker
    decision = {
        **ceilings,
        "demand": wanted,
        "needed": needed,
        "wanted": wanted,
        "arrival_rate": rate,
        "max_children": max_children,
        "binding": binding.astype(np.float64),
        "feasible": (at_least <= cap).astype(np.float64),
        "shortfall": np.maximum(at_least - cap, 0.0),
        "cap": cap,
        "full_rate": full_rate,
        "listen_backlog": backlog.waiting_places(table, full_rate),
        "terminate_after": timeouts.terminate_after(table),
        "worst_case_memory": memory.worst_case(table, max_children),
        "load": np.where(np.isnan(rate), 1.0, rate * service_time(table)),
    }
    return decision | {"more_workers_help": _more_workers_help(table, decision)}


def _more_workers_help(table: Table, decision: Decision) -> Column:
    """1 where more workers would serve more users, 0 where not, NaN where that cannot be known."""
    most = cores_left(table) / cpu_time(table)  # inf without CPU time, NaN where it is unknown
    full = decision["arrival_rate"] / most > table["objective.max_utilization"]
    full |= np.isfinite(most) & (
        (decision["binding"] == LIMITS.index("cpu")) | (decision["full_rate"] >= cpu.KNEE * most)
    )
    useless = full | np.isinf(decision["needed"]) | (decision["binding"] == LIMITS.index("demand"))
    return np.where(useless, 0.0, np.where(np.isnan(most), np.nan, 1.0))


@np.errstate(all="ignore")
def settings_of(table: Table, decision: Decision) -> dict[str, Column]:
    """Settings of the recommended pool, in FPM's names; NaN: not set. ``pm`` and ``preferred`` index ``MANAGERS``.

    The table has, besides the columns of ``decide``, ``policy.process_manager`` (1: auto), ``policy.spares`` (1: burst)
    with the step, and today's ``pool.pm``, ``pool.max_requests`` and ``pool.max_spawn_rate`` (NaN: not known).
    """
    preferred = process_manager.preferred(table, decision["load"], decision["worst_case_memory"])
    today = table["pool.pm"]
    kept = np.where(np.isnan(today), float(process_manager.MANAGERS.index(process_manager.SHIPPED)), today)
    pm = np.where(table["policy.process_manager"] == 1, preferred, kept)
    spares = process_manager.spares(
        table, pm, decision["max_children"], decision["arrival_rate"], decision["listen_backlog"]
    )
    per_worker = decision["full_rate"] / decision["max_children"]
    recycled = np.where(np.isnan(table["pool.max_requests"]), 0.0, table["pool.max_requests"])
    return {
        "pm": pm,
        "preferred": preferred,
        "max_children": decision["max_children"],
        **dict(zip(_SPARES, spares, strict=True)),
        "max_requests": recycling.max_requests(recycled, per_worker),
        "listen_backlog": decision["listen_backlog"],
        "request_terminate_timeout": decision["terminate_after"],
    }


def decided(table: Table, decision: Decision) -> dict[str, Column]:
    """What is decided, in the names of a decided table: settings, the decision and its limits."""
    settings = settings_of(table, decision)
    return {
        **{name: settings[name] for name in ("pm", *_SETTINGS)},
        **{name: decision[name] for name in ("feasible", "binding", *_DECIDED, "worst_case_memory")},
        **{f"limit.{name}": decision[name] for name in LIMITS},
    }


def users_beside(expected: Column) -> NDArray[np.float64]:
    """The case study's 50, 80, 100, 150, 200 users in proportion to the expected ones, a row each."""
    return np.maximum(np.rint(np.array(USERS, dtype=np.float64)[:, None] * expected / USERS[EXPECTED]), 1.0)


@np.errstate(all="ignore")
def outlook(table: Table, workers: Column, rate: Column, edges: Edges) -> Outlook:
    """Predict five numbers of users in proportion to the expected ones, and the bands, with the open model.

    Without a think time there are no users: then only the bare rate is predicted, in the expected users' row.
    """
    think = table["workload.think_time"]
    by_rate = np.maximum(np.rint(rate / demand.rate_of(table, np.ones(think.shape))), 1.0)
    expected = np.where(np.isnan(table["workload.users"]), by_rate, table["workload.users"])
    users = users_beside(np.where(np.isnan(expected), float(USERS[EXPECTED]), expected))
    users[:, np.isnan(think)] = np.nan
    rates = demand.rate_of(table, users)
    rates[EXPECTED] = np.where(np.isnan(think), rate, rates[EXPECTED])
    rows = stacked(table, NEEDED, len(USERS))
    columns = predict(rows, np.concatenate((workers,) * len(USERS)), rates.ravel(), model="open", edges=edges)
    columns["severity"] = np.where(np.isnan(rates.ravel()), np.nan, columns["severity"])
    predicted = {name: column.reshape(users.shape) for name, column in columns.items()}
    bands = np.full((3, think.size), np.nan)
    known = np.flatnonzero(np.isfinite(think))
    if known.size == think.size:
        bands = users_in_bands(table, workers, model="open", edges=edges)
    elif known.size:
        part = take({name: table[name] for name in NEEDED}, known)
        bands[:, known] = users_in_bands(part, workers[known], model="open", edges=edges)
    return Outlook(users=users, arrival_rate=rates, predicted=predicted, bands=bands)


def kinds(*, with_pool: bool) -> dict[str, Kind]:
    """What each column of a decided table holds, in their order; ``with_pool`` adds what today's pools can take."""
    whole, number = np.int64, np.float64
    decided: dict[str, Kind] = {"feasible": np.bool_, "binding": LIMITS, "pm": process_manager.MANAGERS}
    decided |= {name: number if name in _SPARES else whole for name in _SETTINGS}
    decided |= dict.fromkeys(_DECIDED, number)
    decided |= {"worst_case_memory": whole} | {f"limit.{name}": number for name in LIMITS}
    for prefix in ("", "current_") if with_pool else ("",):
        for place in range(1, len(USERS) + 1):
            name = f"{prefix}prediction_{place}"
            decided |= {f"{name}.users": number, f"{name}.verdict": VERDICTS}
            decided |= {f"{name}.{quantity}": number for quantity in _PREDICTED}
        decided |= {f"{prefix}band.{verdict}": number for verdict in VERDICTS[:-1]}
    return decided


def columns_of(table: Table, edges: Edges, *, with_pool: bool) -> Iterator[tuple[str, Column]]:
    """Every column that ``kinds`` names, decided from a table with every column of ``columns.fields``."""
    decision = decide(table)
    yield from decided(table, decision).items()
    seen = outlook(table, decision["max_children"], decision["arrival_rate"], edges)
    yield from _columns_seen(seen, "", slice(None), decision["load"].size)
    if with_pool:
        known = np.flatnonzero(np.isfinite(table["pool.max_children"]))
        part = take(table, known)
        seen = outlook(part, part["pool.max_children"], decision["arrival_rate"][known], edges)
        yield from _columns_seen(seen, "current_", known, decision["load"].size)


def _columns_seen(
    seen: Outlook, prefix: str, rows: slice | NDArray[np.intp], size: int
) -> Iterator[tuple[str, Column]]:
    def spread(column: Column) -> Column:
        whole = np.full(size, np.nan)
        whole[rows] = column
        return whole

    predicted = {"users": seen.users, "verdict": seen.predicted["severity"]}
    predicted |= {name: seen.predicted[name] for name in _PREDICTED}
    for name, columns in predicted.items():
        for place, column in enumerate(columns, start=1):
            yield f"{prefix}prediction_{place}.{name}", spread(column)
    for verdict, column in zip(VERDICTS[:-1], seen.bands, strict=True):
        yield f"{prefix}band.{verdict}", spread(column)
