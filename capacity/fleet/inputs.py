"""`Fleet`: several pools on one host, and the file they are read from.

A fleet file is a scenario file with a ``[[pool]]`` a pool: what the tables beside it say holds for every pool, and
what a pool says itself comes first. Each pool becomes a `Scenario`, so there is one set of rules.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, Self

from pydantic import Field, field_validator

from capacity.errors import InvalidInput, Problem
from capacity.fields import PURE, InputModel
from capacity.inputs import Host, Workload
from capacity.problems import did_you_mean, field_label
from capacity.scenario import Scenario, scenario_text, tables_of_toml
from capacity.units import shown

__all__ = ["Fleet", "FleetPool"]

MOST_POOLS: Final = 1000
MOST_BUSY: Final = 1e5  # erlang; far more than the memory of a host has workers for
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_OF_THE_HOST: Final = ("host", "policy")
_OF_A_POOL: Final = ("worker", "workload", "objective")
_LOADS: Final = ("users", "arrival_rate")
_TOLD: Final = 8


class FleetPool(InputModel):
    """One of several pools on a host.

    Parameters
    ----------
    name : str
        The pool's name, as in its ``[name]`` section of PHP-FPM: 1 to 64 letters, digits, ``_``, ``.`` and ``-``.
    weight : float
        How much this pool matters beside the others where there is not enough for all [-], above 0.
    scenario : Scenario
        Its worker, workload and objective; the host and the policy are those of every pool.

    Examples
    --------
    >>> FleetPool(name="shop", weight=2.0, scenario=Scenario.example()).weight
    2.0
    """

    name: str = Field(description="name of the pool", examples=['"shop"'])
    weight: float = Field(
        1, gt=0, le=100, description="how much the pool matters beside others", examples=[1], json_schema_extra=PURE
    )
    scenario: Scenario = Field(description="host, worker, workload and objective")

    @field_validator("name")
    @classmethod
    def _plain(cls, value: str) -> str:
        if _NAME.fullmatch(value) is None or value.lower() == "global":
            raise InvalidInput([Problem("", "must be 1 to 64 letters, digits, _, . or -, and not global")])
        return value


class Fleet(InputModel):
    """Several pools of one PHP-FPM on one host.

    Parameters
    ----------
    pools : tuple of FleetPool
        1 to 1000 of them, of different names, each with its load, on the same host and with the same policy.

    Raises
    ------
    InvalidInput
        With every field that breaks a rule.

    Examples
    --------
    >>> fleet = Fleet.from_mapping({
    ...     "host": {"ram": "4GiB", "reserved": "1GiB", "cpus": 4},
    ...     "worker": {"memory": "64MiB"},
    ...     "pool": [
    ...         {"name": "shop", "workload": {"service_time": "250ms", "arrival_rate": "40/s"}},
    ...         {"name": "blog", "workload": {"service_time": "100ms", "arrival_rate": "2/s"}},
    ...     ],
    ... })
    >>> [pool.name for pool in fleet.pools]
    ['shop', 'blog']
    """

    pools: tuple[FleetPool, ...] = Field(min_length=1, max_length=MOST_POOLS, description="pools on the host")

    @field_validator("pools")
    @classmethod
    def _belong_together(cls, pools: tuple[FleetPool, ...]) -> tuple[FleetPool, ...]:
        problems = [*_strangers_among(pools), *_too_busy(pools)]
        if problems:
            raise InvalidInput(problems)
        return pools

    @property
    def host(self) -> Host:
        """The host of every pool."""
        return self.pools[0].scenario.host

    @classmethod
    def from_mapping(cls, tables: Mapping[str, Any]) -> Self:
        """Build a fleet from the tables of a fleet file.

        Parameters
        ----------
        tables : mapping
            ``host`` and ``policy``; ``worker``, ``workload`` and ``objective`` for every pool; ``pool``, a list of
            tables with ``name``, ``weight`` and the pool's own ``worker``, ``workload`` and ``objective``.

        Raises
        ------
        InvalidInput
            With every field that breaks a rule; once, where it holds for every pool.

        Examples
        --------
        >>> Fleet.from_mapping({"host": {"ram": "4GiB", "reserved": 0, "cpus": 4}, "pool": []})
        Traceback (most recent call last):
        capacity.errors.InvalidInput: pool must be a list of 1 to 1000 pools; got [] (a pool starts with [[pool]])
        """
        if not isinstance(tables, Mapping):
            raise InvalidInput([Problem("fleet", "must be a table of tables", shown(tables))])
        problems = list(_strange_tables(tables))
        entries = tables.get("pool")
        if not isinstance(entries, list | tuple) or not 1 <= len(entries) <= MOST_POOLS:
            rule = f"must be a list of 1 to {MOST_POOLS} pools"
            given = "" if entries is None else shown(entries)
            raise InvalidInput([*problems, Problem("pool", rule, given, "a pool starts with [[pool]]")])
        labels = [_label(place, entry) for place, entry in enumerate(entries)]
        problems += [p for label, entry in zip(labels, entries, strict=True) for p in _strange_fields(label, entry)]
        if problems:
            raise InvalidInput(_readable(problems))
        scenarios, told = [], []
        for label, entry in zip(labels, entries, strict=True):
            try:
                scenarios.append(Scenario.from_mapping(_tables_of(tables, entry, len(entries))))
            except InvalidInput as error:
                told += [(label, entry, problem) for problem in error.problems]
        if told:
            raise InvalidInput(_readable(_each_once(told, len(entries))))
        try:
            parts = [{name: entry[name] for name in ("name", "weight") if name in entry} for entry in entries]
            return cls(pools=tuple(FleetPool(**own, scenario=s) for own, s in zip(parts, scenarios, strict=True)))
        except InvalidInput as error:
            raise InvalidInput(_readable(_as_in_the_file(error.problems))) from None

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str]) -> Self:
        """Read a fleet file: TOML in UTF-8, at most 1 MiB.

        Raises
        ------
        UnreadableFile
            When it cannot be opened, is too large or is not text.
        InvalidInput
            When it is not TOML, or a field breaks a rule.

        Examples
        --------
        >>> Fleet.from_toml("no/such/file.toml")
        Traceback (most recent call last):
        capacity.errors.UnreadableFile: no/such/file.toml: No such file or directory
        """
        return cls.from_toml_text(scenario_text(os.fspath(path)), name=os.fspath(path))

    @classmethod
    def from_toml_text(cls, text: str, name: str = "-") -> Self:
        """Build a fleet from the text of a fleet file; ``name`` is what an error calls it.

        Raises
        ------
        InvalidInput
            When it is not TOML, or a field breaks a rule.

        Examples
        --------
        >>> Fleet.from_toml_text("pool = 3")
        Traceback (most recent call last):
        capacity.errors.InvalidInput: pool must be a list of 1 to 1000 pools; got 3 (a pool starts with [[pool]])
        """
        return cls.from_mapping(tables_of_toml(text, name))


def _strange_tables(tables: Mapping[str, Any]) -> Iterator[Problem]:
    known = (*_OF_THE_HOST, *_OF_A_POOL, "pool")
    for name, table in tables.items():
        if name not in known:
            yield Problem(field_label(name), "is not a known table of a fleet", hint=did_you_mean(name, known))
        elif name != "pool" and not isinstance(table, Mapping):
            yield Problem(name, "must be a table of fields", shown(table))
    policy = tables.get("policy")
    if isinstance(policy, Mapping) and policy.get("spares", "proportional") != "proportional":
        hint = "recommend chooses spare servers for a step in load, one pool at a time"
        yield Problem("policy.spares", "must be proportional in a fleet", shown(policy["spares"]), hint)


def _label(place: int, entry: object) -> str:
    """What an error calls a pool: its name, or its place counted from 1."""
    name = entry.get("name") if isinstance(entry, Mapping) else None
    return f"pool.{field_label(name)}" if isinstance(name, str) and name else f"pool {place + 1}"


def _strange_fields(label: str, entry: object) -> Iterator[Problem]:
    if not isinstance(entry, Mapping):
        yield Problem(label, "must be a table of fields", shown(entry))
        return
    known = ("name", "weight", *_OF_A_POOL)
    if "name" not in entry:
        yield Problem(f"{label}.name", "is missing", hint='such as name = "shop"')
    for name, value in entry.items():
        if name not in known:
            hint = f"[{name}] is one for all pools" if name in _OF_THE_HOST else did_you_mean(name, known)
            yield Problem(f"{label}.{field_label(name)}", "is not a known field", hint=hint)
        elif name in _OF_A_POOL and not isinstance(value, Mapping):
            yield Problem(f"{label}.{name}", "must be a table of fields", shown(value))


def _tables_of(tables: Mapping[str, Any], entry: Mapping[str, Any], pools: int) -> dict[str, Any]:
    """Tables of one pool's scenario: what holds for every pool, and on top what it says itself."""
    merged = {name: dict(tables.get(name, {})) for name in (*_OF_THE_HOST, *_OF_A_POOL)}
    merged["policy"] = {"process_manager": "auto", "pools_on_host": pools} | merged["policy"]
    if any(load in entry.get("workload", {}) for load in _LOADS):  # its own load replaces the common one
        merged["workload"] = {name: value for name, value in merged["workload"].items() if name not in _LOADS}
    for name in _OF_A_POOL:
        merged[name] |= entry.get(name, {})
    return merged


def _each_once(told: Iterable[tuple[str, Mapping[str, Any], Problem]], pools: int) -> Iterator[Problem]:
    """Name a problem once where every pool has it and none said so itself, else with the pool that has it."""
    told = list(told)
    having = Counter(problem for _, entry, problem in told if not _said(entry, problem))
    common = {problem for problem, count in having.items() if count == pools or problem.field.startswith(_OF_THE_HOST)}
    yield from (problem for problem in having if problem in common)
    for label, entry, problem in told:
        if _said(entry, problem) or problem not in common:
            yield replace(problem, field=f"{label}.{problem.field}")


def _readable(problems: Iterable[Problem]) -> Iterator[Problem]:
    """Of a thousand pools with the same fault, no more than somebody reads."""
    problems = list(problems)
    yield from problems[:_TOLD]
    if len(problems) > _TOLD:
        yield Problem("fleet", f"has {len(problems) - _TOLD} more problems like these")


def _said(entry: Mapping[str, Any], problem: Problem) -> bool:
    table, _, name = problem.field.partition(".")
    return name in entry.get(table, {})


def _as_in_the_file(problems: Iterable[Problem]) -> Iterator[Problem]:
    """Name a table as the file does: a pool's is ``pool``."""
    for problem in problems:
        inner = problem.field.removeprefix("pools.")
        yield problem if problem.field == "pools" else replace(problem, field=f"pool.{inner}")


def _strangers_among(pools: tuple[FleetPool, ...]) -> Iterator[Problem]:
    """What keeps pools from being a fleet; PHP-FPM does not tell names apart by case."""
    policy = ("headroom", "process_max", "process_manager", "web_server_timeout")
    first, named = pools[0].scenario, Counter(pool.name.lower() for pool in pools)
    for pool in pools:
        scenario, label = pool.scenario, field_label(pool.name)
        if named.pop(pool.name.lower(), 1) > 1:
            yield Problem(f"{label}.name", "must be another than that of the other pools")
        if scenario.host != first.host or any(getattr(scenario, name) != getattr(first, name) for name in policy):
            yield Problem(label, "must have the host and the policy of the other pools")
        if scenario.spares != "proportional":
            yield Problem(f"{label}.policy.spares", "must be proportional in a fleet", shown(scenario.spares))
        if scenario.workload.users is None and scenario.workload.arrival_rate is None:
            hint = "users with think_time, or arrival_rate; 0 for an idle pool"
            yield Problem(f"{label}.workload.arrival_rate", "is missing", hint=hint)


def _too_busy(pools: tuple[FleetPool, ...]) -> Iterator[Problem]:
    busy = sum(_offered(pool.scenario.workload) for pool in pools)
    if busy > MOST_BUSY:
        rule = f"together must keep at most {MOST_BUSY:.0f} workers busy"
        yield Problem("", rule, f"{busy:.3g}", "look at arrival_rate, users and service_time")


def _offered(workload: Workload) -> float:
    """Workers that a pool's load keeps busy; 0 where it has none."""
    rate = workload.arrival_rate or 0.0
    if workload.users is not None and workload.think_time is not None:
        rate = workload.users * workload.requests_per_click / (workload.think_time + workload.hold_time)
    return rate * workload.hold_time
