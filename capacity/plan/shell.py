"""A plan as a POSIX shell script, for people without an apply tool.

What differs from plan to plan is written here, every word of it quoted; what is the same is in ``apply.sh`` beside
this module. The script needs nothing of this package on the host.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from shlex import quote

from capacity.errors import InvalidInput, Problem
from capacity.plan.model import ChangePlan
from capacity.plan.probe import SEARCH_PATH, SYSTEMD
from capacity.plan.steps import (
    Backup,
    ClearConfigCache,
    Reload,
    RollbackStep,
    SetDirective,
    SetEnv,
    Step,
    Validate,
    VerifyHttp,
    VerifyService,
)

__all__ = ["plan_shell"]

_MOST_DIRECTORIES = 2  # each is locked by a file descriptor, and dash has none above 9
_TOOLS = (
    "cat chmod cp cut date flock grep head id mkdir mktemp mv readlink rm rmdir sed "
    "sha256sum sleep stat tail timeout tr"
)
_USAGE = """\
usage: sh plan.sh [--dry-run | --rollback]
without an option: check everything, then carry out the plan; undo it where a step fails
--dry-run   check everything and have php-fpm judge the new configuration, change nothing
--rollback  undo a plan that was carried out, or a run that was cut off
exit code: 0 done; 1 failed, and nothing is changed (rolled back); 2 usage, or a tool is missing; 4 the host is not the
one the plan was made for; 5 carried out before, but the host is not well; 6 the rollback failed; 7 another run is at
work"""


def plan_shell(plan: ChangePlan, *, search_path: str = SEARCH_PATH, systemd: str = SYSTEMD) -> str:
    """Write a plan as a script for ``sh``.

    Parameters
    ----------
    plan : ChangePlan
    search_path : str, optional
        Where the script looks for programs.
    systemd : str, optional
        The directory that is there where systemd runs.

    Returns
    -------
    str
        Needs GNU coreutils or busybox, flock, and for an application of another user runuser. Without steps it
        says so and ends.
    """
    head = [
        "#!/bin/sh",
        f"# Change plan {plan.plan_id}",
        f"# made {plan.created_at} by capacity {_one_line(plan.generator.version)}",
    ]
    head += [f"# {line}" for line in _USAGE.split("\n")]
    if not plan.steps:
        return "\n".join([*head, "echo 'capacity: nothing has to be changed' >&2", ""])
    body = files("capacity.plan").joinpath("apply.sh").read_text(encoding="utf-8")
    return "\n".join([*head, "set -u", "", *_data(plan, search_path, systemd), "", body])


def _one_line(text: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def _data(plan: ChangePlan, search_path: str, systemd: str) -> Iterator[str]:
    backups = {step.path: step.backup_path for step in plan.steps if isinstance(step, Backup)}
    first, kept = next(iter(backups.items()))
    directories = sorted({file.path.rpartition("/")[0] or "/" for file in plan.files})
    if len(directories) > _MOST_DIRECTORIES:
        rule = f"must change files in at most {_MOST_DIRECTORIES} directories to become a script"
        raise InvalidInput([Problem("plan", rule, ", ".join(directories))])
    caches = [step for step in plan.steps if isinstance(step, ClearConfigCache)]
    yield f"PATH={quote(search_path)}"
    yield f"systemd={quote(systemd)}"
    yield f"id={plan.plan_id[:12]}"
    yield f"store={quote(kept.removesuffix(first))}"
    yield "started=$store/started-$id applied=$store/applied-$id"
    yield f"files='{' '.join(str(number) for number, _ in enumerate(plan.files, 1))}'"
    yield f"tools='{_TOOLS}{' runuser' if caches else ''}'"
    yield f"asks_http={int(any(isinstance(step, VerifyHttp) for step in plan.steps))}"
    yield from _function("usage", [f"printf '%s\\n' {quote(line)} >&2" for line in _USAGE.split("\n")])
    yield from _function(
        "lock",
        [
            line
            for fd, path in enumerate(directories, 8)
            # exec would end the shell itself if there were nothing to open
            for line in (
                f"[ -d {quote(path)} ] || refuse 4 {quote(f'stale: {path} is not there any more')}",
                f"[ -r {quote(path)} ] || refuse 1 {quote(f'{path} cannot be read')}",
                f"exec {fd}<{quote(path)}",
                f"flock -n {fd} || return",
            )
        ],
    )
    yield from _function("describe", [f"say {quote(text)}" for text in _described(plan)])
    backlog = any(isinstance(step, SetDirective) and step.directive == "listen.backlog" for step in plan.steps)
    restart = "say 'listen.backlog takes effect when FPM is restarted'"
    yield from _function("remind", [restart] if backlog else [])
    afterwards = {file.path: file.sha256 for file in plan.postconditions}
    for number, file in enumerate(plan.files, 1):
        facts = {
            "path": file.path, "before": file.sha256, "after": afterwards[file.path], "backup": backups[file.path],
            "permissions": f"{int(file.mode, 8):o}", "owner": file.owner, "group": file.group,
        }  # fmt: skip
        yield from _function(f"file_{number}", [f"{name}={quote(value)}" for name, value in facts.items()])
        yield from _function(f"candidate_{number}", _candidate(plan, file.path, file.size))
    yield from _conditions(plan)
    yield from _judging(plan)
    yield from _acting(plan)


def _function(name: str, lines: list[str]) -> Iterator[str]:
    yield f"{name}() {{"
    yield from (f"    {line}" for line in lines or [":"])
    yield "}"


def _described(plan: ChangePlan) -> Iterator[str]:
    for step in plan.steps:
        if isinstance(step, SetDirective):
            yield f"{step.path} [{step.pool}] {step.directive}: {step.before or 'not set'} -> {step.after}"
        elif isinstance(step, SetEnv):
            yield f"{step.path} {step.key}: {step.before or 'not set'} -> {step.after}"
        elif isinstance(step, ClearConfigCache):
            yield f"then as {step.user}: {', '.join(' '.join(argv) for argv in step.argvs)}"
        elif isinstance(step, Reload):
            yield f"then reload {step.service}"
    yield from (f"danger: {risk.message}" for risk in plan.risks if risk.severity == "danger")


def _candidate(plan: ChangePlan, path: str, size: int) -> list[str]:
    """Commands that write the new content: the original's bytes, and between them what is inserted."""
    steps = [step for step in plan.steps if isinstance(step, SetDirective | SetEnv) and step.path == path]
    lines, at = [], 0
    for step in sorted(steps, key=lambda step: step.edit.offset):
        edit = step.edit
        if step.before is not None:
            name = step.directive if isinstance(step, SetDirective) else step.key
            lines.append(f'on_line "$1" {edit.offset} {quote(re.escape(name))} || return')
        if edit.offset > at:
            lines.append(f'keep "$1" {at} {edit.offset - at} || return')
        # CR and LF are written as escapes, so that no transfer of the script can change them
        text = edit.insert.replace("\\", "\\\\").replace("%", "%%").replace("\r", "\\r").replace("\n", "\\n")
        lines.append(f"printf {quote(text)} || return")
        at = edit.offset + len(edit.remove.encode())
    if at < size:
        lines.append(f'keep "$1" {at} {size - at} || return')
    return lines


def _words(*words: object) -> str:
    return " ".join(quote(str(word)) for word in words)


def _conditions(plan: ChangePlan) -> Iterator[str]:
    always, running = [], []
    written = {file.path for file in plan.files}
    for condition in plan.preconditions:
        match condition.kind:
            case "file_sha256":
                if condition.path not in written:
                    permissions = f"{int(condition.mode, 8):o}"
                    facts = (condition.path, condition.sha256, permissions, condition.owner, condition.group)
                    always.append(f"need_file {_words(*facts)}")
            case "fpm_version":
                always.append(f"need_version {_words(condition.binary, condition.version)}")
            case "service_active":
                names = " ".join(condition.processes)
                running.append(f"need_service {_words(condition.service, condition.pid_file or '', names)}")
            case "env_key_set":
                always.append(f"need_key {_words(condition.path, condition.key)}")
            case "php_extension":
                always.append(f"need_extension {_words(condition.binary, condition.extension)}")
            case "composer_package":
                always.append(f"need_package {_words(condition.application, condition.package)}")
            case "http_status":
                running.append(f"need_http {_words(condition.url, condition.status)}")
    always += [f"need_user {_words(step.user)}" for step in plan.steps if isinstance(step, ClearConfigCache)]
    yield from _function("need_all", always)
    yield from _function("need_running", running)


def _judging(plan: ChangePlan) -> Iterator[str]:
    candidates, whole = [], []
    numbers = {file.path: number for number, file in enumerate(plan.files, 1)}
    for step in plan.steps:
        if not isinstance(step, Validate):
            continue
        number = numbers[step.path]
        candidates += [f"file_{number}", f"hold_of {number}"]
        if step.include is None:
            judged = f'"$hold/new-{number}"'
        else:
            config = next(c for c in plan.preconditions if c.kind == "file_sha256" and c.path == step.config)
            candidates.append("(")
            candidates.append("    enter_hold || exit")
            candidates.append("    {")
            candidates.append(f"        keep {quote(step.config)} 0 {step.include.offset} &&")
            for path in step.include.files:
                inner = f'"$hold/new-{number}"' if path == step.path else quote(path)
                candidates.append(f"            printf 'include = \"%s\"\\n' {inner} &&")
            end = step.include.offset + step.include.length
            candidates.append(f"            keep {quote(step.config)} {end} {config.size - end}")
            candidates.append(f"    }} >config-{number}")
            candidates.append(") || return")
            judged = f'"$hold/config-{number}"'
        candidates.append(f"judge {step.timeout} {quote(step.argv[0])} {judged} || return")
        whole.append(f"judge {step.timeout} {_words(step.argv[0], step.config)} || return")
    yield from _function("judge_candidates", candidates)
    yield from _function("judge_all", whole)


def _acting(plan: ChangePlan) -> Iterator[str]:
    reloads = [step for step in plan.steps if isinstance(step, Reload)]
    yield from _function("reload", [f'reload_fpm "$1" {_reload(step)} || return' for step in reloads])
    yield from _function("renew_caches", _renewing(plan.steps))
    yield from _function("renew_caches_restored", _renewing(plan.rollback))
    course = []
    for step in plan.steps:
        if isinstance(step, Reload):
            # after a run that was cut off FPM may have to be started
            course += ["reloaded=1", 'may=no && [ "$resumed" = 1 ] && may=yes']
            course.append('reload "$may" || fail "the reload failed"')
        elif isinstance(step, ClearConfigCache):
            course += ["cached=1", 'renew_caches || fail "the cached configuration could not be renewed"']
    yield from _function("carry_on", course)
    back = []
    for undo in plan.rollback:  # all of it, whatever fails on the way
        if isinstance(undo, Reload):
            back.append('if [ "$reloaded" = 1 ]; then reload yes || good=0; fi')
        elif isinstance(undo, ClearConfigCache):
            back.append('if [ "$cached" = 1 ]; then renew_caches_restored || good=0; fi')
    yield from _function("carry_back", back)
    yield from _function("verify", list(_verifying(plan.steps)))
    yield from _function("verify_restored", list(_verifying(plan.rollback)))


def _reload(step: Reload) -> str:
    return _words(step.service, step.pid_file or "", " ".join(step.processes), step.timeout, *step.argv)


def _renewing(steps: tuple[Step, ...] | tuple[RollbackStep, ...]) -> list[str]:
    return [
        f"run_as {_words(step.user, step.application, step.timeout, *argv)} || return"
        for step in steps
        if isinstance(step, ClearConfigCache)
        for argv in step.argvs
    ]


def _verifying(steps: tuple[Step, ...] | tuple[RollbackStep, ...]) -> Iterator[str]:
    for step in steps:
        if isinstance(step, VerifyService):
            names = " ".join(step.processes)
            yield f"is_active {_words(step.service, step.pid_file or '', names, step.timeout)} || return"
        elif isinstance(step, VerifyHttp):
            yield f"must_answer {_words(step.url, step.expect_status, step.attempts, step.timeout)} || return"
