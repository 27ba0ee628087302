"""Hold a plan's preconditions against this host again, and say what has changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from capacity.errors import InvalidInput, UnreadableFile
from capacity.fpm.editor import set_directives
from capacity.plan.conditions import FileSha256, Precondition
from capacity.plan.env_file import read_env, set_env
from capacity.plan.installation import include_line
from capacity.plan.model import ChangePlan
from capacity.plan.probe import (
    fpm_version,
    http_status,
    is_directory,
    php_extensions,
    read_file,
    service_active,
    user_exists,
)
from capacity.plan.steps import ClearConfigCache, SetDirective, SetEnv, Validate
from capacity.splices import Splice, spliced

__all__ = ["Staleness", "check_plan"]


@dataclass(frozen=True)
class Staleness:
    """One thing that is no longer as the plan found it.

    Parameters
    ----------
    kind : str
        Of the precondition, or ``edit`` where an edit does not do what its step says.
    subject : str
        The path, service, binary or address.
    message : str
        What has changed.
    """

    kind: str
    subject: str
    message: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.message}"


def check_plan(plan: ChangePlan) -> tuple[Staleness, ...]:
    """Re-verify on this host what a plan presupposes, and that its edits do what its steps say; changes nothing.

    Parameters
    ----------
    plan : ChangePlan

    Returns
    -------
    tuple of Staleness
        Empty where the plan can be carried out.

    Notes
    -----
    Runs ``php-fpm -v`` and ``-m`` of the binary the plan names (only if it belongs to root or the caller), asks
    systemd or the pid files, and sends one GET where the plan verifies an address.
    """
    found = []
    for condition in plan.preconditions:
        try:
            subject, message = _verdict(condition, plan)
        except InvalidInput as error:  # a binary that must not be run
            subject, message = condition.kind, str(error)
        if message is not None:
            found.append(Staleness(condition.kind, subject, message))
    if not any(staleness.kind == "file_sha256" for staleness in found):
        found += [*_edits(plan), *_includes(plan)]
    return (*found, *_users(plan))


def _verdict(condition: Precondition, plan: ChangePlan) -> tuple[str, str | None]:
    """What a precondition is about, and what is wrong with it; None where it holds."""
    match condition.kind:
        case "file_sha256":
            return condition.path, _file(condition, plan)
        case "fpm_version":
            now = fpm_version(condition.binary)
            wrong = None if now == condition.version else f"is {now or 'not there'}, not {condition.version}"
            return condition.binary, wrong
        case "service_active":
            there = service_active(condition.service, condition.pid_file, condition.processes)
            return condition.service, None if there else "is not active"
        case "env_key_set":
            return condition.path, _unset(condition.path, condition.key)
        case "php_extension":
            there = condition.extension in (php_extensions(condition.binary) or ())
            return condition.binary, None if there else f"does not load the extension {condition.extension}"
        case "composer_package":
            there = is_directory(Path(condition.application, "vendor", condition.package))
            return condition.application, None if there else f"has no {condition.package} in its vendor directory"
        case "http_status":
            status = http_status(condition.url)
            return (
                condition.url,
                None if status == condition.status else f"answers {status or 'nothing'}, not {condition.status}",
            )


def _file(condition: FileSha256, plan: ChangePlan) -> str | None:
    try:
        state = read_file(condition.path)
    except UnreadableFile as error:
        return str(error).partition(": ")[2] or str(error)
    facts = {"mode": state.mode, "owner": state.owner, "group": state.group}
    planned = {"mode": condition.mode, "owner": condition.owner, "group": condition.group}
    other = [f"{name} is {facts[name]}, not {planned[name]}" for name in facts if facts[name] != planned[name]]
    if state.sha256 != condition.sha256:
        done = any(after.path == state.path and after.sha256 == state.sha256 for after in plan.postconditions)
        other.insert(
            0, "has the planned content already: is the plan carried out?" if done else "its content has changed"
        )
    return "; ".join(other) or None


def _unset(path: str, key: str) -> str | None:
    try:
        found = read_env(read_file(path).data, [key]).get(key)
    except (UnreadableFile, InvalidInput):
        return f"whether {key} is set cannot be seen"
    return None if found is not None and found.value else f"{key} is not set"


def _users(plan: ChangePlan) -> Iterator[Staleness]:
    for step in plan.steps:
        if isinstance(step, ClearConfigCache) and not user_exists(step.user):
            yield Staleness("user", step.user, "is no user of this host")


def _edits(plan: ChangePlan) -> Iterator[Staleness]:
    """Compare the plan's edits with those our own editors would make: a plan may have been written by hand."""
    for before, after in zip(plan.files, plan.postconditions, strict=True):
        state = read_file(before.path)
        steps = [s for s in plan.steps if isinstance(s, SetDirective | SetEnv) and s.path == before.path]
        try:
            pieces = [Splice(s.edit.offset, s.edit.remove.encode(), s.edit.insert.encode()) for s in steps]
            candidate = spliced(state.data, pieces)
            edited = _edited(state.data, steps)
        except InvalidInput as error:
            yield Staleness("edit", before.path, str(error))
            continue
        if candidate != edited:
            yield Staleness("edit", before.path, "the edits do something else than their steps say")
        elif replace(state, data=candidate).sha256 != after.sha256 or len(candidate) != after.size:
            yield Staleness("edit", before.path, "the edits do not lead to the content the postcondition names")


def _includes(plan: ChangePlan) -> Iterator[Staleness]:
    """Compare the include line a plan names with the one of the main configuration."""
    for step in plan.steps:
        if isinstance(step, Validate) and step.include is not None:
            try:
                found = include_line(read_file(step.config), read_file(step.path))
            except (InvalidInput, UnreadableFile) as error:
                yield Staleness("include", step.config, str(error))
                continue
            if found != step.include:
                yield Staleness("include", step.config, f"includes {step.path} in another way than the plan says")


def _edited(data: bytes, steps: list[SetDirective | SetEnv]) -> bytes:
    for step in steps:
        if isinstance(step, SetEnv):
            data = set_env(data, step.key, step.after)
        else:
            data = set_directives(data, step.pool, {step.directive: step.after}, include=lambda _: {})
    return data
