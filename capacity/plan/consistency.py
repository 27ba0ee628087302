"""Whether the parts of a plan fit together: what no single field shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from capacity.errors import Problem
from capacity.plan.conditions import FileSha256, FpmVersion, PhpExtension, Precondition, Risk
from capacity.plan.steps import Backup, Reload, Restore, RollbackStep, SetDirective, SetEnv, Step, Validate

__all__ = ["contradictions"]

_CHANGES = (SetDirective, SetEnv)


def contradictions(
    preconditions: Sequence[Precondition],
    steps: Sequence[Step],
    postconditions: Sequence[FileSha256],
    rollback: Sequence[RollbackStep],
    risks: Sequence[Risk],
) -> Iterator[Problem]:
    """Find what an apply tool could carry out in more than one way, or not at all.

    Yields
    ------
    Problem
    """
    ids = [step.id for step in (*steps, *rollback)]
    for name in _doubles(ids):
        yield Problem("steps", "must each have an id of their own", name)
    for risk in risks:
        for name in set(risk.step_ids) - set(ids):
            yield Problem("risks.step_ids", "must name a step", name)
    yield from _files(preconditions, steps, postconditions, rollback)
    yield from _order(steps)
    yield from _one_fpm(preconditions, steps)
    yield from _way_back(steps, rollback)


def _doubles(names: Sequence[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})


def _files(
    preconditions: Sequence[Precondition],
    steps: Sequence[Step],
    postconditions: Sequence[FileSha256],
    rollback: Sequence[RollbackStep],
) -> Iterator[Problem]:
    """Every written file is known before and after, kept, and put back."""
    conditions = [condition for condition in preconditions if isinstance(condition, FileSha256)]
    for field, paths in (
        ("preconditions", [condition.path for condition in conditions]),
        ("postconditions", [condition.path for condition in postconditions]),
    ):
        for path in _doubles(paths):
            yield Problem(field, "must name a file once", path)
    before = {condition.path: condition for condition in conditions}
    written = list(dict.fromkeys(step.path for step in steps if isinstance(step, _CHANGES)))
    if [condition.path for condition in postconditions] != written:
        yield Problem("postconditions", "must be the written files, in their order", ", ".join(written) or "none")
    for path in written:
        if path not in before:
            yield Problem("preconditions", "must have a file_sha256 of every written file", path)
    for step in steps:
        if isinstance(step, Validate | Reload) and step.config not in before:
            yield Problem("preconditions", "must have a file_sha256 of the main configuration", step.config)
        if isinstance(step, Validate) and step.include is not None:
            names = step.include.files
            for path in (*_doubles(names), *(name for name in names if name not in before)):
                yield Problem(f"{step.id}.include.files", "must each be named once, and have a file_sha256", path)
            main = before.get(step.config)
            if main is not None and step.include.offset + step.include.length > main.size:
                yield Problem(f"{step.id}.include", "must lie in the main configuration", f"{step.include.offset}")
    for after in postconditions:
        if (first := before.get(after.path)) is not None and _attributes(after) != _attributes(first):
            yield Problem("postconditions", "must have the mode, owner and group of before", after.path)
    for path in written:
        found = [step.edit for step in steps if isinstance(step, _CHANGES) and step.path == path]
        for one, other in pairwise(sorted(found, key=lambda edit: edit.offset)):
            if one.offset + len(one.remove.encode()) > other.offset:
                yield Problem("edit", "must not overlap another", f"at byte {other.offset} of {path}")
    yield from _copies(steps, rollback, written, before)


def _attributes(file: FileSha256 | Restore) -> tuple[str, str, str]:
    return file.mode, file.owner, file.group


def _copies(
    steps: Sequence[Step], rollback: Sequence[RollbackStep], written: list[str], before: Mapping[str, FileSha256]
) -> Iterator[Problem]:
    """What is kept is what is put back, and lies in a directory of the plan's own."""
    backups = [step for step in steps if isinstance(step, Backup)]
    restores = [step for step in rollback if isinstance(step, Restore)]
    if [step.path for step in backups] != written:
        rule = "must back up every written file, in their order, and no other"
        yield Problem("steps", rule, ", ".join(step.path for step in backups) or "none")
    if [(step.path, step.backup_path) for step in restores] != [(step.path, step.backup_path) for step in backups]:
        rule = "must restore every written file from its backup, in their order, and no other"
        yield Problem("rollback", rule, ", ".join(step.backup_path for step in restores) or "none")
    for restore in restores:
        first = before.get(restore.path)
        if first is not None and (first.sha256, _attributes(first)) != (restore.sha256, _attributes(restore)):
            yield Problem(restore.id, "must have the sha256, mode, owner and group of before", restore.path)
    stores = {step.backup_path.removesuffix(step.path) for step in backups}
    inside = all(step.backup_path.endswith(step.path) for step in backups)
    if backups and not (inside and len(stores) == 1 and "" not in stores):
        rule = "must be one directory for all, followed by the path of the file"
        yield Problem("backup_path", rule, ", ".join(step.backup_path for step in backups))


def _order(steps: Sequence[Step]) -> Iterator[Problem]:
    """Backups, then the changes, a file at a time, then what makes them take effect, then the looking."""
    changes = [at for at, step in enumerate(steps) if isinstance(step, _CHANGES)]
    if steps and not changes:
        yield Problem("steps", "must be empty where nothing is changed", ", ".join(step.op for step in steps))
    if not changes:
        return
    first, last = changes[0], changes[-1]
    if any(isinstance(step, Backup) for step in steps[first:]) or first != sum(isinstance(s, Backup) for s in steps):
        yield Problem("steps", "must make every backup before the first change, and nothing else", steps[first].id)
    for step in steps[first:]:
        if step.on_failure == "stop":
            yield Problem(f"{step.id}.on_failure", "must be rollback once something may have changed", "stop")
    seen: list[str] = []
    for step in steps:
        if isinstance(step, _CHANGES) and (not seen or seen[-1] != step.path):
            seen.append(step.path)
    for path in _doubles(seen):
        yield Problem("steps", "must change a file in one go", path)
    for at, step in enumerate(steps):
        after = steps[at + 1] if at + 1 < len(steps) else None
        if isinstance(step, SetDirective) and not (
            isinstance(after, SetDirective | Validate) and after.path == step.path
        ):
            rule = "must be followed by the others of its file and then by its validate"
            yield Problem(step.id, rule, "nothing" if after is None else after.id)
        if isinstance(step, Validate) and not isinstance(steps[at - 1], SetDirective):
            yield Problem(step.id, "must follow the directives of its file", steps[at - 1].id)
        if not isinstance(step, Backup | SetDirective | SetEnv | Validate) and at < last:
            yield Problem(step.id, "must come after every change", step.op)
    ops = [step.op for step in steps]
    for op in ("validate", "reload", "clear_config_cache", "verify_http"):
        if ops.count(op) > 1:
            yield Problem("steps", f"must have at most one {op}", str(ops.count(op)))
    if "reload" not in ops:
        yield Problem("steps", "must reload FPM", "no reload")
    elif "clear_config_cache" in ops and ops.index("reload") < ops.index("clear_config_cache"):
        yield Problem("steps", "must reload FPM after the configuration is cached anew", "before")
    looking = [op.startswith("verify") for op in ops]
    if looking != sorted(looking):
        yield Problem("steps", "must verify at the end", ops[-1])


def _one_fpm(preconditions: Sequence[Precondition], steps: Sequence[Step]) -> Iterator[Problem]:
    """Whoever judges is who is reloaded."""
    binaries = {step.argv[0] for step in steps if isinstance(step, Validate | Reload)}
    binaries |= {c.binary for c in preconditions if isinstance(c, FpmVersion | PhpExtension)}
    if len(binaries) > 1:
        yield Problem("argv", "must be one php-fpm throughout", ", ".join(sorted(binaries)))
    configs = {step.config for step in steps if isinstance(step, Validate | Reload)}
    if len(configs) > 1:
        yield Problem("config", "must be one main configuration throughout", ", ".join(sorted(configs)))
    directives = [(step.path, step.pool, step.directive) for step in steps if isinstance(step, SetDirective)]
    keys = [(step.path, "", step.key) for step in steps if isinstance(step, SetEnv)]
    for path, _, name in {item for item in (*directives, *keys) if (*directives, *keys).count(item) > 1}:
        yield Problem(name, "must be set once", path)
    if len({(path, pool) for path, pool, _ in directives}) > 1:
        yield Problem("steps", "must change one pool in one file", ", ".join(sorted({path for path, *_ in directives})))


def _way_back(steps: Sequence[Step], rollback: Sequence[RollbackStep]) -> Iterator[Problem]:
    """First the files, then what the steps did with them, in the order of the steps."""
    restored = sum(isinstance(step, Restore) for step in rollback)
    if any(isinstance(step, Restore) for step in rollback[restored:]):
        yield Problem("rollback", "must restore every file first", rollback[0].id)
    done = [step for step in steps if not isinstance(step, Backup | SetDirective | SetEnv)]
    undone = [step.op for step in rollback if not isinstance(step, Restore)]
    wanted = [step.op for step in done]
    at = iter(wanted)
    if not all(op in at for op in undone):
        yield Problem("rollback", "must go on in the order of the steps", ", ".join(undone))
    for op in ("validate", "reload", "clear_config_cache"):
        if op in wanted and op not in undone:
            yield Problem("rollback", f"must have a {op}, as the steps do", ", ".join(undone) or "nothing")
    for undo in rollback:
        same = any(_about(step) == _about(undo) for step in done)
        if not isinstance(undo, Restore) and not same:
            yield Problem(undo.id, "must be about what a step is about", undo.op)


def _about(step: Step | RollbackStep) -> dict[str, object]:
    """What a step does, apart from its name and its reason; the caches may be cleared instead of filled."""
    return step.model_dump(exclude={"id", "reason", "on_failure", "argvs"})
