"""A plan as a unified diff, for eyes: what is told is the plan's own, so no other line of a file can get into it."""

from __future__ import annotations

from collections.abc import Iterator

from capacity.plan.model import ChangePlan
from capacity.plan.steps import SetDirective, SetEnv

__all__ = ["plan_diff"]


def plan_diff(plan: ChangePlan) -> str:
    """Show the changed lines of each file, without context and without what else stands in them.

    Parameters
    ----------
    plan : ChangePlan

    Returns
    -------
    str
        Empty where nothing changes. To be looked at, not to be applied: blanks, quotes and comments of the lines are
        left out.
    """
    return "".join(f"{line}\n" for line in _lines(plan))


def _lines(plan: ChangePlan) -> Iterator[str]:
    path, added = "", 0
    for step in sorted(_edits(plan), key=lambda step: _place(plan, step)):
        if step.path != path:
            path, added = step.path, 0
            yield f"--- {path}"
            yield f"+++ {path}"
        name = step.directive if isinstance(step, SetDirective) else step.key
        equals = " = " if isinstance(step, SetDirective) else "="
        section = f" [{step.pool}]" if isinstance(step, SetDirective) else ""
        line = step.edit.line
        if step.before is None and "\n" in step.edit.insert:
            yield f"@@ -{line - 1},0 +{line + added} @@{section}"
            added += 1
        else:
            yield f"@@ -{line} +{line + added} @@{section}"
            yield f"-{name}{equals}{step.before or ''}".rstrip()
        yield f"+{name}{equals}{step.after}"


def _edits(plan: ChangePlan) -> list[SetDirective | SetEnv]:
    return [step for step in plan.steps if isinstance(step, SetDirective | SetEnv)]


def _place(plan: ChangePlan, step: SetDirective | SetEnv) -> tuple[int, int]:
    return [file.path for file in plan.files].index(step.path), step.edit.offset
