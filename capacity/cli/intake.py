"""From the command line to a scenario: file or case study, pool file, the running host, options on top."""

from __future__ import annotations

import copy
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from capacity.cli.options import OPTION_OF
from capacity.cli.output import tell
from capacity.errors import InvalidInput, MeasurementError, Problem, UnreadableFile
from capacity.problems import field_label
from capacity.results import Assumption
from capacity.scenario import CASE_STUDY, CASE_STUDY_SOURCE, Scenario, scenario_text, tables_of_toml, value_of
from capacity.units import format_bytes, format_seconds, shown

__all__ = ["Intake", "read_named", "read_tables", "take_in", "tell_assumptions"]

_LARGEST_FILE = 2**20
_LARGEST_SCENARIO = 2**20


@dataclass(frozen=True)
class Intake:
    """A scenario, what was assumed for it, and what else the user should know."""

    scenario: Scenario
    assumptions: tuple[Assumption, ...]
    pool_name: str
    notes: tuple[str, ...]


def take_in(
    scenario: str | None,
    fields: Mapping[str, Any],
    *,
    pool_file: str | None,
    pool_name: str | None,
    measure: bool | None,
) -> Intake:
    """Build the scenario; later sources win: case study or file, pool file, measured host, options.

    The host is measured only where nothing but the case study stands behind it: a scenario file means what
    it says. That it is measured (True) is refused where it would not be; None measures where it can.
    """
    if measure and (pool_file is None or scenario is not None):
        rule = (
            "goes with --pool-file"
            if pool_file is None
            else "does not go with a scenario file, which means what it says"
        )
        raise InvalidInput([Problem("--measure", rule)])
    tables, origins = _base(scenario, fields)
    notes: list[str] = []
    name = pool_name or "www"
    if pool_file is not None:
        name, more = _from_pool_file(tables, origins, pool_file, pool_name)
        notes += more
        if measure is not False and scenario is None:
            notes += _from_host(tables, origins, name, pool_file)
    elif pool_name is not None:
        raise InvalidInput([Problem("--pool", "goes with --pool-file", repr(pool_name))])
    _from_options(tables, origins, fields)
    try:
        built = Scenario.from_mapping(tables)
    except InvalidInput as error:
        raise InvalidInput(_by_option(problem, fields, origins) for problem in error.problems) from None
    values = built.to_mapping()
    assumptions = tuple(
        Assumption(field=field, value=value, source=source)
        for field, source in origins.items()
        if (value := value_of(values, field)) is not None
    )
    return Intake(built, assumptions, name, tuple(notes))


def _base(scenario: str | None, fields: Mapping[str, Any]) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    if scenario is None:
        tables = {name: dict(table) for name, table in CASE_STUDY.items()}
        origins = {f"{table}.{field}": CASE_STUDY_SOURCE for table, fields in tables.items() for field in fields}
        return tables, origins
    tables = read_tables(scenario)
    if all(isinstance(table, dict) for table in tables.values()):
        # before the file is checked: what it lacks may be what the options give
        _from_options(tables, {}, fields)
    try:
        built = Scenario.from_mapping(tables)
    except InvalidInput as error:
        raise InvalidInput(_by_option(problem, fields, {}) for problem in error.problems) from None
    return copy.deepcopy(built.to_mapping()), {}


def read_tables(source: str) -> dict[str, Any]:
    """Tables of a scenario file or a fleet file; ``-`` is standard input."""
    if source != "-":
        return tables_of_toml(scenario_text(source), source)
    if sys.stdin is None:
        message = "standard input: it is closed"
        raise UnreadableFile(message)
    text = sys.stdin.buffer.read(_LARGEST_SCENARIO + 1)
    if len(text) > _LARGEST_SCENARIO:
        message = "standard input: larger than 1 MiB, so it is no scenario"
        raise UnreadableFile(message)
    try:
        return tables_of_toml(text.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        message = f"standard input: not UTF-8 text (byte {error.start})"
        raise UnreadableFile(message) from None


def _from_pool_file(
    tables: dict[str, dict[str, Any]], origins: dict[str, str], path: str, pool_name: str | None
) -> tuple[str, list[str]]:
    """Put the pool's settings, and FPM's process.max, into the tables."""
    from capacity.fpm import pool_settings, read_pools, surprises
    from capacity.fpm.settings import listens_on_tcp

    content, label = read_named(path, "pool file"), _label(path)
    try:
        file = read_pools(content)
    except InvalidInput as error:
        raise InvalidInput(replace(p, field=f"{label}: {p.field}") for p in error.problems) from None
    notes = [f"{label}: {note}" for note in file.notes]
    notes += [f"{label}: include = {i.pattern} (line {i.line}) is not followed" for i in file.includes]
    names = list(file.pools)
    listed = ", ".join(map(field_label, names))[:200]
    if not names:
        raise InvalidInput([Problem(label, "has no pool", hint="a pool starts with its name in brackets, as [www]")])
    if pool_name is None and len(names) > 1:
        raise InvalidInput([Problem("--pool", f"is needed: {label} has several pools, {listed}")])
    name = names[0] if pool_name is None else pool_name
    chosen = next((known for known in names if known.lower() == name.lower()), None)
    if chosen is None:
        raise InvalidInput([Problem("--pool", f"is not in {label}", repr(name), f"it has {listed}")])
    directives, section = file.pools[chosen], f"{label} [{field_label(chosen)}]"
    try:
        settings = pool_settings(directives)
    except InvalidInput as error:
        raise InvalidInput(replace(p, field=f"{section}: {p.field}") for p in error.problems) from None
    notes += [f"{section}: {note}" for note in surprises(directives)]
    listen = directives.get("listen", "")
    if listens_on_tcp(listen):
        notes.append(
            f"{section}: listen = {listen} is a TCP socket: who would get a 502 from a full queue is tried again by "
            "the kernel after 1, 3, 7 s and so on, and gets a late answer, or a 504 at fastcgi_connect_timeout"
        )
    tables["pool"] = settings.model_dump(exclude_none=True)
    for known in (origins, tables.get("sources", {})):  # what was said of the settings this file replaces
        for field in [field for field in known if field.startswith("pool.")]:
            del known[field]
    origins.update({f"pool.{field}": f"pool file {label}" for field in tables["pool"]})
    most = file.global_settings.get("process.max", "0")
    if re.fullmatch(r"[0-9]{1,10}", most) is None or int(most) >= 2**31:
        notes.append(f"{label}: process.max = {shown(most)} is no limit that FPM could keep")
    elif int(most) > 0:
        tables.setdefault("policy", {})["process_max"] = int(most)
        tables.get("sources", {}).pop("policy.process_max", None)
        origins["policy.process_max"] = f"pool file {label}"
    if len(names) > tables.get("policy", {}).get("pools_on_host", 1):
        tables.setdefault("policy", {})["pools_on_host"] = len(names)
        tables.get("sources", {}).pop("policy.pools_on_host", None)
        origins["policy.pools_on_host"] = f"pool file {label}"
    return chosen, notes


def _from_host(tables: dict[str, dict[str, Any]], origins: dict[str, str], pool_name: str, pool_file: str) -> list[str]:
    """Put what the running pool and its machine show into the tables."""
    from capacity.measure import measure_pool

    try:
        measured = measure_pool(pool_name, config_path=str(Path(pool_file).resolve()))
    except MeasurementError as error:
        return [f"this machine was not measured: {error}"]
    if measured is None:
        return [f"no running pool {pool_name!r} on this machine: memory, RAM and cores are not measured"]
    for field, value in measured.values.items():
        table, _, name = field.partition(".")
        tables.setdefault(table, {})[name] = value.value
        bound = ", an upper bound" if value.upper_bound else ""
        count = value.source.samples
        samples = f", {count} sample{'s' if count > 1 else ''}" if count else ""
        origins[field] = f"{value.source.source}{samples}{bound}"
    return list(measured.notes)


def _from_options(tables: dict[str, dict[str, Any]], origins: dict[str, str], fields: Mapping[str, Any]) -> None:
    if "workload.arrival_rate" in fields and "workload.users" not in fields:
        tables.get("workload", {}).pop("users", None)
    if "workload.users" in fields and "workload.arrival_rate" not in fields:
        tables.get("workload", {}).pop("arrival_rate", None)
    for field, value in fields.items():
        table, _, name = field.partition(".")
        tables.setdefault(table, {})[name] = value
        origins.pop(field, None)
        tables.get("sources", {}).pop(field, None)


def _by_option(problem: Problem, fields: Mapping[str, Any], origins: Mapping[str, str]) -> Problem:
    """Name the option where the value came from one, and else where it came from."""
    if problem.field in fields:
        return replace(problem, field=OPTION_OF[problem.field])
    if problem.field not in origins:
        return problem
    way_out = f"; give {OPTION_OF[problem.field]}" if problem.field in OPTION_OF else ""
    hint = f"from {origins[problem.field]}{way_out}"
    return replace(problem, hint=f"{problem.hint}; {hint}" if problem.hint else hint)


def read_named(path: str, what: str) -> bytes:
    """Read a file that the command line names, at most 1 MiB of it."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(_LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        message = f"{_label(path)}: {reason}"
        raise UnreadableFile(message) from None
    if len(data) > _LARGEST_FILE:
        message = f"{_label(path)}: larger than 1 MiB, so it is no {what}"
        raise UnreadableFile(message)
    return data


def _label(path: str) -> str:
    """Write a path as a message and a JSON document can hold it: bytes that are not UTF-8 are escaped."""
    return path if path and path.isprintable() else shown(path, longest=200)


def tell_assumptions(intake: Intake) -> None:
    """Say on stderr what was assumed or measured, and what was odd."""
    if any(assumption.source == CASE_STUDY_SOURCE for assumption in intake.assumptions):
        tell("No scenario file: what is not given comes from the built-in case study.")
    by_source: dict[str, list[str]] = {}
    for assumption in intake.assumptions:
        by_source.setdefault(assumption.source, []).append(f"{assumption.field} {_shown(assumption)}")
    for source, values in by_source.items():
        tell(f"From {source}: {', '.join(values)}")
    for note in intake.notes:
        # notes quote files: what is not printable must not reach a terminal
        tell(f"Note: {note if note.isprintable() else repr(note)[1:-1]}")


def _shown(assumption: Assumption) -> str:
    value, name = assumption.value, assumption.field.rpartition(".")[2]
    if isinstance(value, str):
        return value
    if name in {"ram", "reserved", "memory", "shared_memory"}:
        return format_bytes(value)
    if name.endswith(("_time", "_timeout")):
        return format_seconds(value)
    return f"{value:g}"
