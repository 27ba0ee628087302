"""What changes in each file, and why: the pool's directives and the application's drivers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from capacity.errors import InvalidInput, Problem
from capacity.fpm.directives import KINDS, SIZING
from capacity.fpm.editor import directive_splices
from capacity.fpm.settings import pool_settings
from capacity.plan.application import Application
from capacity.plan.drivers import DriverChange
from capacity.plan.installation import Installation, whole_configuration
from capacity.plan.probe import FileState
from capacity.plan.steps import Edit, SetDirective, SetEnv
from capacity.pool import PoolSettings
from capacity.results import Recommendation
from capacity.splices import Splice, spliced

__all__ = ["ON_REQUEST", "FileChange", "env_changes", "pool_changes"]

ON_REQUEST = ("listen.backlog", "request_terminate_timeout")
"""Recommended, but set only on request: the one needs a restart, the other ends requests that may be meant to last."""

_FIELDS = {directive.name: directive.field for directive in SIZING}


@dataclass
class FileChange:
    """One file, before and after, and the steps that take it there."""

    before: FileState
    after: FileState
    steps: list[SetDirective | SetEnv] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def pool_changes(recommendation: Recommendation, installation: Installation, also: tuple[str, ...]) -> FileChange:
    """Change the directives of the pool that are not as recommended, and no other.

    Raises
    ------
    InvalidInput
        Where another file decides a directive, or FPM would refuse the result.
    """
    wanted, notes = _wanted(recommendation, installation, also)
    state = installation.pool_file
    values = {name: value for name, value in wanted.items() if value != _today(installation.settings, name)}
    splices: tuple[tuple[str, Splice], ...] = ()
    after = state
    for _ in range(2):
        splices = directive_splices(state.data, installation.pool, values, include=lambda _: {})
        after = replace(state, data=spliced(state.data, (splice for _, splice in splices)))
        result = _read_back(installation, after)
        # What FPM derives (start_servers, where the file does not say) may have moved with the rest.
        wrong = {name: value for name, value in wanted.items() if value != _today(result, name)}
        if not wrong:
            break
        values |= wrong
    else:
        name = next(iter(wrong))
        where = installation.file.places.get((installation.pool, name), ())
        decided = next((place.path for place in reversed(where) if place.path and place.path != state.path), "")
        hint = f"{decided} decides it: plan that file" if decided else "an include decides it"
        raise InvalidInput([Problem(name, f"must take effect from {state.path}", str(_today(result, name)), hint)])
    steps = [_set_directive(installation, name, splice, recommendation) for name, splice in splices]
    return FileChange(state, after, list(steps), notes)


def _wanted(
    recommendation: Recommendation, installation: Installation, also: tuple[str, ...]
) -> tuple[dict[str, str | int], list[str]]:
    """Directives and values to have, and a note for each that is recommended and left alone."""
    for name in also:
        if name not in ON_REQUEST:
            raise InvalidInput([Problem("--also", f"must be one of {', '.join(ON_REQUEST)}", repr(name[:60]))])
    wanted: dict[str, str | int] = {}
    notes = []
    for directive in SIZING:
        value = getattr(recommendation.pool, directive.field)
        if value is None:
            continue
        if directive.name not in ON_REQUEST or directive.name in also:
            wanted[directive.name] = value
            continue
        today = _today(installation.settings, directive.name)
        if not _same_effect(directive.name, value, today, installation.somaxconn):
            says = "not set" if today is None else f"{today}"
            reason = next(choice.reason for choice in recommendation.choices if choice.setting == directive.field)
            notes.append(f"{directive.name} is {says} and stays so; {value} is recommended on request: {reason}")
    return wanted, notes


def _same_effect(name: str, value: int, today: str | int | None, somaxconn: int | None) -> bool:
    if name == "listen.backlog" and somaxconn is not None:
        # the kernel takes the smaller one; -1 and nothing ask for all it gives
        asked = somaxconn if today in (None, -1) else int(today or 0)
        return min(value, somaxconn) == min(asked, somaxconn)
    return value == today or (value == 0 and today is None)


def _today(settings: PoolSettings, name: str) -> str | int | None:
    value: str | int | None = getattr(settings, _FIELDS[name])
    return value


def _read_back(installation: Installation, candidate: FileState) -> PoolSettings:
    """What FPM would make of the whole configuration with the candidate in it; refused where FPM would refuse."""
    file, _ = whole_configuration(installation.config, candidate)
    found = installation.refused(file)
    if found is not None:
        raise InvalidInput([Problem(candidate.path, "must be accepted by php-fpm -t after the change", found.message)])
    return pool_settings(file.pools[installation.pool])


def _set_directive(
    installation: Installation, name: str, splice: Splice, recommendation: Recommendation
) -> SetDirective:
    state = installation.pool_file
    places = [
        place for place in installation.file.places.get((installation.pool, name), ()) if place.path in {"", state.path}
    ]
    before = places[-1].statement.value if places else None
    value = getattr(recommendation.pool, _FIELDS[name])
    seconds = KINDS[name] == "time" and f"{value}s".encode() in splice.insert
    after = f"{value}s" if seconds else str(value)
    return SetDirective(
        id=f"set-{name.replace('.', '-').replace('_', '-')}",
        path=state.path,
        pool=installation.pool,
        directive=name,  # type: ignore[arg-type]
        before=before,
        after=after,
        edit=_edit(state.data, splice),
        reason=_reason(name, recommendation),
    )


def _edit(data: bytes, splice: Splice) -> Edit:
    # A line that is added after one without a line end begins with that line end.
    line = data.count(b"\n", 0, splice.offset) + 1 + (splice.insert[:1] in b"\r\n" and splice.insert != b"")
    return Edit(offset=splice.offset, line=line, remove=splice.remove.decode(), insert=splice.insert.decode())


def _reason(name: str, recommendation: Recommendation) -> str:
    pool = recommendation.pool
    binding = next(limit for limit in recommendation.limits if limit.name == recommendation.binding)
    workers = pool.max_children
    match name:
        case "pm.max_children":
            return f"{recommendation.binding} binds: {binding.reason}"
        case "pm.start_servers":
            return f"20 % of {workers} workers are there from the start"
        case "pm.min_spare_servers":
            return (
                f"10 % of {workers} workers stay idle for a burst: a dynamic pool forks at most this many a second "
                "and never looks at its queue"
            )
        case "pm.max_spare_servers":
            return f"idle workers above 40 % of {workers} are let go, one a second"
    chosen = next((choice.reason for choice in recommendation.choices if choice.setting == _FIELDS[name]), None)
    return chosen or f"as it is recommended for pm = {pool.pm}"


def env_changes(application: Application, drivers: tuple[DriverChange, ...]) -> FileChange:
    """Change the drivers in the application's ``.env``."""
    state = application.env_file
    after = spliced(state.data, (change.splice for change in drivers))
    return FileChange(
        state,
        replace(state, data=after),
        [
            SetEnv(
                id=f"set-{change.key.lower().replace('_', '-')}",
                path=state.path,
                key=change.key,  # type: ignore[arg-type]
                before=change.before,
                after=change.after,
                edit=_edit(state.data, change.splice),
                reason=change.reason,
            )
            for change in drivers
        ],
    )
