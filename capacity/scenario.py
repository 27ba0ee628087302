"""`Scenario`: everything a recommendation rests on, and the file it is read from.

A scenario that exists is valid: everything is checked at construction. This is the only module below the live
machine that reads a file.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import Field, field_validator

from capacity.errors import InvalidInput, Problem, UnreadableFile
from capacity.fields import PURE, SECONDS, Count, InputModel
from capacity.inputs import Host, Objective, Worker, Workload
from capacity.pool import PoolSettings
from capacity.problems import did_you_mean, field_label, unit_of
from capacity.sources import Source, read_sources
from capacity.units import shortened, shown

__all__ = [
    "CASE_STUDY",
    "CASE_STUDY_SOURCE",
    "Host",
    "Objective",
    "Scenario",
    "Source",
    "Worker",
    "Workload",
    "scenario_text",
    "tables_of_toml",
    "value_of",
]

CASE_STUDY_SOURCE: Final = "case study (built in)"
CASE_STUDY: Final[Mapping[str, Mapping[str, object]]] = {
    "host": {"ram": "4GiB", "reserved": "1.5GiB", "cpus": 4},
    "worker": {"memory": "64MiB"},
    "workload": {"service_time": "250ms", "users": 150, "think_time": "1s"},
    "pool": {
        "pm": "dynamic",
        "max_children": 20,
        "start_servers": 4,
        "min_spare_servers": 2,
        "max_spare_servers": 6,
    },
}
"""What `Scenario.example` is made of, as the tables of a scenario file; its source is `CASE_STUDY_SOURCE`."""

_LARGEST_FILE: Final = 2**20  # bytes; a scenario has less than a hundred fields


_TABLES: Final[Mapping[str, type[InputModel]]] = {
    "host": Host,
    "worker": Worker,
    "workload": Workload,
    "objective": Objective,
    "pool": PoolSettings,
}


class Scenario(InputModel):
    """Everything a recommendation rests on.

    Parameters
    ----------
    host : Host
    worker : Worker
    workload : Workload
    objective : Objective
    pool : PoolSettings, optional
        The pool as it is today.
    headroom : float
        Factor on the expected load that the pool should also carry [-], at least 1.
    spares : {'proportional', 'burst'}
        How start and spare servers are chosen: as shares of the workers, or as the fewest that keep the wait short
        after a sudden step in load.
    load_before_step : float
        Load before that step as a share of the expected load, to which it leads [-], from 0 to 1.
    step_waiting_time : float
        Mean waiting time allowed in the seconds after that step [s].
    process_manager : {'keep', 'auto'}
        Whether today's process manager stays or the best one is chosen.
    process_max : int, optional
        FPM's global limit on workers of all pools [-], at least 1; None is no limit.
    pools_on_host : int
        FPM pools that share the host [-].
    web_server_timeout : float
        How long the web server waits for an answer [s] (nginx: ``fastcgi_read_timeout``).
    sources : dict of str to Source
        Where values come from, by field: ``host.ram``, ``policy.headroom``. Text in `low` and `high` is read
        with the unit of that field.

    Raises
    ------
    InvalidInput
        With every field that breaks a rule, by its dotted name.

    Examples
    --------
    >>> Scenario(
    ...     host=Host(ram="4GiB", reserved="1.5GiB", cpus=4),
    ...     worker={"memory": "64MiB"},
    ...     workload={"service_time": "-200ms"},
    ...     headroom=0.5,
    ... )
    Traceback (most recent call last):
    capacity.errors.InvalidInput: workload.service_time wants a number and a unit, such as 250ms; got '-200ms'
    headroom must be at least 1; got 0.5
    """

    host: Host = Field(description="the machine")
    worker: Worker = Field(description="one PHP-FPM worker")
    workload: Workload = Field(description="what is asked of the pool")
    objective: Objective = Field(Objective(), description="what the pool has to achieve")
    pool: PoolSettings | None = Field(None, description="the pool as it is today")
    headroom: float = Field(
        1.25, ge=1, le=1000, description="factor on the expected load", examples=[1.25], json_schema_extra=PURE
    )
    spares: Literal["proportional", "burst"] = Field(
        "proportional", description="how start and spare servers are chosen"
    )
    load_before_step: float = Field(
        0.3,
        ge=0,
        le=1,
        description="load before a sudden step to the expected load, as a share of it",
        examples=[0.3],
        json_schema_extra=PURE,
    )
    step_waiting_time: float = Field(
        0.1,
        gt=0,
        le=1e6,
        description="mean waiting time allowed after that step",
        examples=["100ms"],
        json_schema_extra=SECONDS,
    )
    process_manager: Literal["keep", "auto"] = Field("keep", description="whether today's process manager stays")
    process_max: Count | None = Field(
        None, ge=1, description="FPM's limit on the workers of all pools", examples=[128], json_schema_extra=PURE
    )
    pools_on_host: Count = Field(1, ge=1, description="FPM pools on the host", examples=[1], json_schema_extra=PURE)
    web_server_timeout: float = Field(
        60,
        gt=0,
        le=1e6,
        description="how long the web server waits for an answer",
        examples=["60s"],
        json_schema_extra=SECONDS,
    )
    sources: dict[str, Source] = Field(default_factory=dict, description="where each value comes from")

    @field_validator("process_max", mode="before")
    @classmethod
    def _zero_is_no_limit(cls, value: Any) -> Any:
        if not isinstance(value, bool) and isinstance(value, Real) and value == 0:
            hint = "0 is PHP-FPM's word for no limit: leave it out"
            raise InvalidInput([Problem("", "must be at least 1", hint=hint)])
        return value

    @field_validator("sources", mode="before")
    @classmethod
    def _by_field(cls, value: Any) -> Any:
        return read_sources(value, _field_units()) if isinstance(value, Mapping) else value

    @classmethod
    def example(cls) -> Self:
        """Build the case study: one Laravel site on 4 GiB, 20 workers, 150 users.

        Examples
        --------
        >>> Scenario.example().workload
        Workload(service_time=0.25, users=150, think_time=1.0)
        """
        return cls.from_mapping(CASE_STUDY)

    @classmethod
    def from_mapping(cls, tables: Mapping[str, Any]) -> Self:
        """Build a scenario from the tables of a scenario file.

        Parameters
        ----------
        tables : mapping
            ``host``, ``worker``, ``workload``, ``objective``, ``pool``, ``policy`` (the scenario's own scalar
            fields) and ``sources``.

        Raises
        ------
        InvalidInput
            With every field that breaks a rule.

        Examples
        --------
        >>> Scenario.from_mapping({**CASE_STUDY, "policy": {"headroom": 1.5}}).headroom
        1.5
        """
        if not isinstance(tables, Mapping):
            raise InvalidInput([Problem("scenario", "must be a table of tables", shown(tables))])
        problems = list(_strangers(tables))
        policy = tables.get("policy")
        known_policy = {
            name: value
            for name, value in (policy.items() if isinstance(policy, Mapping) else ())
            if name in _policy_fields()
        }
        # An absent table is an empty one, so that its fields are named and not only the table.
        known = {"host": {}, "worker": {}, "workload": {}} | {
            name: tables[name] for name in (*_TABLES, "sources") if name in tables
        }
        try:
            scenario = cls(**known, **known_policy)
        except InvalidInput as error:
            for problem in error.problems:
                in_policy = problem.field in known_policy
                problems.append(replace(problem, field=f"policy.{problem.field}") if in_policy else problem)
        if problems:
            raise InvalidInput(problems)
        return scenario

    def to_mapping(self) -> dict[str, Any]:
        """Give the tables `from_mapping` takes, in SI; None is left out.

        Examples
        --------
        >>> scenario = Scenario.example()
        >>> Scenario.from_mapping(scenario.to_mapping()) == scenario
        True
        """
        tables = self.model_dump(exclude_none=True)
        tables["policy"] = {name: tables.pop(name) for name in _policy_fields() if name in tables}
        tables["sources"] = tables.pop("sources")
        return {name: table for name, table in tables.items() if table}

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str]) -> Self:
        """Read a scenario file.

        Parameters
        ----------
        path : str or path
            A TOML file in UTF-8, at most 1 MiB.

        Raises
        ------
        UnreadableFile
            When it cannot be opened, is too large or is not text.
        InvalidInput
            When it is not TOML, or a field breaks a rule.

        Examples
        --------
        >>> Scenario.from_toml("no/such/file.toml")
        Traceback (most recent call last):
        capacity.errors.UnreadableFile: no/such/file.toml: No such file or directory
        """
        return cls.from_toml_text(scenario_text(os.fspath(path)), name=os.fspath(path))

    @classmethod
    def from_toml_text(cls, text: str, name: str = "-") -> Self:
        """Build a scenario from the text of a scenario file.

        Parameters
        ----------
        text : str
            TOML.
        name : str
            What an error calls the text; ``-`` is standard input.

        Raises
        ------
        InvalidInput
            When it is not TOML, or a field breaks a rule.

        Examples
        --------
        >>> Scenario.from_toml_text("host = ")
        Traceback (most recent call last):
        capacity.errors.InvalidInput: standard input is not valid TOML: Invalid value (at end of document)
        """
        return cls.from_mapping(tables_of_toml(text, name))


def tables_of_toml(text: str, name: str = "-") -> dict[str, Any]:
    r"""Read the tables of a scenario file without looking into them.

    Parameters
    ----------
    text : str
        TOML.
    name : str
        What an error calls the text; ``-`` is standard input.

    Raises
    ------
    InvalidInput
        When it is not TOML.

    Examples
    --------
    >>> tables_of_toml("[host]\ncpus = 4")
    {'host': {'cpus': 4}}
    """
    label = "standard input" if name == "-" else _file_label(name)
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise InvalidInput([Problem(label, "is no scenario: its tables are nested too deeply")]) from None
    except ValueError as error:  # not only TOMLDecodeError: an int of 5000 digits is a plain ValueError
        # Both ends are kept: the end says line and column.
        reason = shortened(str(error), 120)
        raise InvalidInput([Problem(label, f"is not valid TOML: {reason}")]) from None


def value_of(tables: Mapping[str, Mapping[str, Any]], field: str) -> Any:
    """Value of a dotted field in the tables of a scenario; None where it is not there.

    Examples
    --------
    >>> value_of(CASE_STUDY, "host.cpus"), value_of(CASE_STUDY, "workload.cpu_time")
    (4, None)
    """
    table, _, name = field.partition(".")
    return tables.get(table, {}).get(name)


def _policy_fields() -> list[str]:
    return [name for name in Scenario.model_fields if name not in _TABLES and name != "sources"]


def _field_units() -> dict[str, str]:
    """Map the dotted name of every field a source may speak for to its unit."""
    units = {f"{table}.{name}": unit_of(model, name) for table, model in _TABLES.items() for name in model.model_fields}
    return units | {f"policy.{name}": unit_of(Scenario, name) for name in _policy_fields()}


def _strangers(tables: Mapping[str, Any]) -> Iterator[Problem]:
    """Name the tables, and the fields of [policy], that do not exist."""
    known = [*_TABLES, "policy", "sources"]
    for name in tables:
        if name not in known:
            hint = "write it under [policy]" if name in _policy_fields() else did_you_mean(name, known)
            yield Problem(field_label(name), "is not a known table", hint=hint)
    policy = tables.get("policy", {})
    if not isinstance(policy, Mapping):
        yield Problem("policy", "must be a table of fields", shown(policy))
        return
    for name in policy:
        if name not in _policy_fields():
            hint = did_you_mean(name, _policy_fields())
            yield Problem(f"policy.{field_label(name)}", "is not a known field", hint=hint)


def scenario_text(path: str) -> str:
    """Read the text of a scenario file, at most 1 MiB of UTF-8."""
    label = _file_label(path)
    try:
        with Path(path).open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        message = f"{label}: {reason}"
        raise UnreadableFile(message) from None
    if len(content) > _LARGEST_FILE:
        message = f"{label}: larger than 1 MiB, so it is no scenario file"
        raise UnreadableFile(message)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"{label}: not UTF-8 text (byte {error.start})"
        raise UnreadableFile(message) from None


def _file_label(path: str) -> str:
    return path if path.isprintable() and 0 < len(path) <= 200 else shown(path, longest=200)
