"""A change plan as its reviewer reads it, as Markdown and as text: one list of parts, made from the plan alone.

A plan may be written by hand. So what is not printable is replaced, what Markdown would read as markup is escaped,
and rich is given `Text`, in which nothing is markup.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel
from rich.box import ASCII, ROUNDED
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from capacity.fpm.directives import SIZING
from capacity.inputs import Host, Objective, Worker, Workload
from capacity.plan.conditions import Precondition
from capacity.plan.model import ChangePlan, Outlook
from capacity.plan.steps import RollbackStep, SetDirective, SetEnv, Step
from capacity.problems import unit_of
from capacity.report.text import box_for, section
from capacity.results import Prediction
from capacity.units import format_bytes, format_fraction, format_rate, format_seconds, shown

__all__ = ["plan_markdown", "plan_text"]

_NOTHING, _UNSET = "-", "not set"
_STYLES: Final = {
    "comfortable": "green", "manageable": "cyan", "watch": "yellow", "overloaded": "bold red",
    "info": "cyan", "warning": "yellow", "danger": "bold red",
}  # fmt: skip
_SEVERITIES = ("danger", "warning", "info")
_ALWAYS = {"pm", "pm.max_children", "pm.max_requests"}  # a reviewer looks for them, changed or not
_COUNTED = {"pm.max_children", "pm.start_servers", "pm.min_spare_servers", "pm.max_spare_servers"}
_DRIVERS = {"SESSION_DRIVER": "sessions", "CACHE_STORE": "cache", "CACHE_DRIVER": "cache"}
# A driver that stays is told in the plan's notes only, and not always what it is.
_KEPT = re.compile(rf"({'|'.join(_DRIVERS)}) stays(?:: it is (redis) already| (database): .*)")
_TABLES: Final[dict[str, type[BaseModel]]] = {
    "host": Host, "worker": Worker, "workload": Workload, "objective": Objective,
}  # fmt: skip
_UNITS: Final[dict[str, Callable[[float], str]]] = {"byte": format_bytes, "s": format_seconds, "1/s": format_rate}
_LARGEST = 2**63  # what is beyond it nobody has measured or computed
_NARROW, _MANY = 100, 5  # below so many terminal columns, a table of more columns than this gives up its padding
_MARKUP = re.compile(r"[\\`*_\[|$~]")
_LEADING = re.compile(r"^(\s*(?:[0-9]+(?=[.)]))?)([#>+=.)-])")


class _Code(str):
    """A name, path or command of the plan's narrow forms; Markdown shows it as code."""

    __slots__ = ()


_Line = tuple[str, ...]


@dataclass(frozen=True)
class _Part:
    """A heading, a list or a table, and a remark on it."""

    title: str
    lines: tuple[_Line, ...] = ()
    numbered: bool = False
    header: _Line = ()
    rows: tuple[_Line, ...] = ()
    figures: bool = True  # all columns but the first hold figures, or words as short
    boxed: bool = False
    remark: str = ""


def plan_markdown(plan: ChangePlan) -> str:
    """Write a plan as a Markdown document, for a ticket or a merge request.

    Parameters
    ----------
    plan : ChangePlan

    Returns
    -------
    str
        CommonMark with tables; whatever free text the plan holds is escaped.
    """
    return "\n\n".join(_document(_parts(plan))) + "\n"


def plan_text(plan: ChangePlan, console: Console) -> RenderableType:
    """Show a plan in a terminal, or plainly where it is piped.

    Parameters
    ----------
    plan : ChangePlan
    console : Console
        Its width, and whether it is a terminal, decide how tables look.

    Returns
    -------
    RenderableType
    """
    return Group(*(_drawn(part, console) for part in _parts(plan)))


# --- what is said


def _parts(plan: ChangePlan) -> list[_Part]:
    """Give the parts in the order a reviewer asks, empty ones left out."""
    expected = plan.prediction
    numbers = {step.id: f"{number}" for number, step in enumerate(plan.steps, 1)}
    numbers |= {step.id: f"undo {number}" for number, step in enumerate(plan.rollback, 1)}
    risks = sorted(plan.risks, key=lambda risk: _SEVERITIES.index(risk.severity))
    concerned = [", ".join(numbers[name] for name in risk.step_ids) or _NOTHING for risk in risks]
    parts = (
        _headline(plan),
        _settings(plan),
        _most_users(plan),
        _each_users(plan),
        _Part("Why", _reasons(plan)),
        _Part(
            "What may go wrong, the worst first",
            header=("severity", "steps", "risk"),
            rows=tuple((risk.severity, steps, risk.message) for risk, steps in zip(risks, concerned, strict=True)),
            figures=False,
        ),
        _Part("What must hold, else nothing is done", tuple(_condition(known) for known in plan.preconditions)),
        _Part("What is done, in this order", _steps(plan.steps), numbered=True, remark=_on_failure(plan.steps)),
        _Part("How it is undone, in this order", _steps(plan.rollback), numbered=True),
        _Part("What was left alone", _each(plan.notes)),
        _Part("What more users would take", _each(expected.next_steps)),
        _Part("Keep in mind", _each(expected.cautions)),
        _Part("What it rests on", _given(plan)),
        _summary(plan),
    )
    return [part for part in parts if part.lines or part.rows]


def _headline(plan: ChangePlan) -> _Part:
    made = plan.created_at.replace("T", " ").replace("Z", " UTC")
    lines: list[_Line] = [
        (f"Made {made} for {_load(plan)}, by capacity {plan.generator.version}; plan ", _Code(plan.plan_id[:12]))
    ]
    paths = [step.path for step in plan.steps if isinstance(step, SetDirective | SetEnv)]
    if paths:
        files = [(_Code(path), f" ({paths.count(path)})") for path in dict.fromkeys(paths)]
        named = [piece for file in files for piece in (", ", *file)][1:]
        lines.append((f"{_count(len(paths), 'change')} in {_count(len(files), 'file')}: ", *named))
    elif plan.prediction.feasible:
        lines.append(("Nothing has to be changed: the pool is as it is recommended",))
    else:
        lines.append(("Nothing is changed: the pool already is the most the host can carry",))
    if not plan.prediction.feasible:
        lines.append(("INFEASIBLE: no pool within the limits meets the objective",))
    for what, show in (("Verdict at that load", _verdict), ("Memory with every worker at its peak", _peak)):
        lines.append((f"{what}: {' -> '.join(dict.fromkeys(map(show, _sides(plan).values())))}",))
    severities = [risk.severity for risk in plan.risks]
    found = [_count(severities.count(name), name) for name in _SEVERITIES[:2] if name in severities]
    lines += [(f"Risks to weigh before it is carried out: {', '.join(found)}",)] if found else []
    return _Part(f"Change plan for pool {plan.pool}", tuple(lines))


def _settings(plan: ChangePlan) -> _Part:
    before = plan.prediction.before.settings
    steps = {step.directive: step for step in plan.steps if isinstance(step, SetDirective)}
    manager = steps["pm"].after if "pm" in steps else before.pm
    rows: list[_Line] = []
    for directive in SIZING:
        name, known, step = _Code(directive.name), getattr(before, directive.field), steps.get(directive.name)
        today = _UNSET if known is None else f"{known}s" if directive.kind == "time" else f"{known}"
        if step is not None:
            derived = f"{_UNSET}, {today} by default" if known is not None else _UNSET
            change = "new" if known is None else "changes"
            if name in _COUNTED and known is not None:
                change = _growth(known, int(step.after))
            rows.append((name, derived if step.before is None else step.before, step.after, change))
        elif known is not None and directive.only_for not in {None, manager}:
            rows.append((name, today, "not used", f"pm = {manager}"))
        elif known is not None or name in _ALWAYS:
            rows.append((name, today, today, "stays"))
    for key, (was, is_now) in _drivers(plan).items():
        rows.append((_Code(key), was, is_now, "stays" if was == is_now else "changes"))
    header = ("setting", "before", "after", "change") if plan.steps else ("setting", "today")
    children = int(steps["pm.max_children"].after) if "pm.max_children" in steps else 0
    remark = ""
    if children > before.max_children:
        only, why = "only while nothing but workers binds", plan.prediction.more_workers_reason
        only = why if why.startswith(only) else f"{only}. Still more workers: {why}"
        remark = f"{_growth(before.max_children, children)} workers are {_growth(before.max_children, children)} requests at a time {only}"
    return _Part("Settings", header=header, rows=tuple(row[: len(header)] for row in rows), remark=remark)


def _most_users(plan: ChangePlan) -> _Part:
    sides = {f"{name} ({_workers(side)})": side for name, side in _sides(plan).items() if side.bands}
    found = [{band.verdict: band.users for band in side.bands} for side in sides.values()]
    rows = []
    for verdict in dict.fromkeys(verdict for bands in found for verdict in bands):
        users = [bands.get(verdict) for bands in found]
        growth = _growth(*users) if len(users) == 2 and all(users) else _NOTHING
        rows.append((verdict, *("none" if count is None else f"{count}" for count in users), growth))
    header = ("verdict", *sides, "growth")
    remark = ""
    if any(isinstance(step, SetEnv) for step in plan.steps):
        remark = "What Redis spares the database is not in these figures, nor in those below"
    rows = [row[: len(header)] for row in rows]
    return _Part("Most users", header=header, rows=tuple(rows), remark=remark)


def _each_users(plan: ChangePlan) -> _Part:
    """Users, and what they do to the pool before and after."""
    sides = {
        name: {_who(plan, prediction): prediction for prediction in side.predictions}
        for name, side in _sides(plan).items()
        if side.predictions
    }
    rows = []
    for who in dict.fromkeys(who for side in sides.values() for who in side):
        found = [side.get(who) for side in sides.values()]
        cells = [[_NOTHING] * 3 if p is None else [p.verdict, _time(p.response_time_p95), _busy(p)] for p in found]
        rows.append((who, *(side[at] for at in range(3) for side in cells)))
    header = ("users", *(f"{what} {name}" for what in ("verdict", "95 % within", "busy") for name in sides))
    remark = "Computed from what is said at the end, not measured; busy: the busiest of workers, cores and database, if known"
    return _Part("Users, and what they do to the pool", header=header, rows=tuple(rows), remark=remark)


def _reasons(plan: ChangePlan) -> tuple[_Line, ...]:
    expected = plan.prediction
    binds = f"{expected.binding} binds: {expected.binding_reason}"
    lines: list[_Line] = [(f"{_workers(expected.after)}: {binds}",)]
    for step in plan.steps:
        if isinstance(step, SetDirective | SetEnv) and step.reason != binds:
            name = step.directive if isinstance(step, SetDirective) else step.key
            lines.append((_Code(name), f" {step.before or _UNSET} -> {step.after}: {step.reason}"))
    return (*lines, (f"Would still more workers help? {expected.more_workers_reason}",))


def _steps(steps: Iterable[Step | RollbackStep]) -> tuple[_Line, ...]:
    return tuple(_step(step) for step in steps)


def _step(step: Step | RollbackStep) -> _Line:
    """Say in plain words what a step does, and why where that is not said elsewhere."""
    why = f" ({step.reason})"
    match step.op:
        case "backup":
            return "Copy ", _Code(step.path), " to ", _Code(step.backup_path), why
        case "restore":
            facts = f", mode {step.mode}, of {step.owner}:{step.group}"
            return "Put ", _Code(step.path), " back from ", _Code(step.backup_path), facts, why
        case "set_directive":
            was = f" instead of {step.before}" if step.before is not None else ", which is not there yet"
            return (
                "Set ",
                _Code(f"{step.directive} = {step.after}"),
                f"{was}, in ",
                _Code(f"{step.path}:{step.edit.line}"),
            )
        case "set_env":
            was = f" instead of {step.before}" if step.before is not None else ", which is not there yet"
            return "Set ", _Code(f"{step.key}={step.after}"), f"{was}, in ", _Code(f"{step.path}:{step.edit.line}")
        case "validate":
            return "Have FPM accept ", _Code(step.path), " by itself, then the whole: ", _Code(" ".join(step.argv)), why
        case "reload":
            return (
                "Reload ",
                _Code(step.service),
                f", and wait at most {step.timeout} s for its old workers to end",
                why,
            )
        case "clear_config_cache":
            first, *more = (_Code(" ".join(argv)) for argv in step.argvs)
            then = [piece for command in more for piece in (", then ", command)]
            return f"As {step.user}, in ", _Code(step.application), ", run ", first, *then, why
        case "verify_service":
            return "See that ", _Code(step.service), f" runs, within {step.timeout} s", why
        case "verify_http":
            tries = f" answers {step.expect_status}, in {_count(step.attempts, 'attempt')} of {step.timeout} s"
            return "See that ", _Code(step.url), tries, why


def _on_failure(steps: tuple[Step, ...]) -> str:
    stops = [f"{number}" for number, step in enumerate(steps, 1) if step.on_failure == "stop"]
    early = f"If step {' or '.join(stops)} fails, nothing was changed and nothing more is done. " if stops else ""
    return f"{early}If {'any other' if stops else 'any'} step fails, everything is undone"


def _condition(known: Precondition) -> _Line:
    match known.kind:
        case "file_sha256":
            facts = f"{known.sha256[:12]}, mode {known.mode}, of {known.owner}:{known.group}"
            return _Code(known.path), f" is as it was: sha256 {facts}"
        case "fpm_version":
            return _Code(known.binary), f" is of PHP {known.version}"
        case "service_active":
            return _Code(known.service), " runs"
        case "env_key_set":
            return _Code(known.path), " has a value of ", _Code(known.key)
        case "php_extension":
            return _Code(known.binary), " loads the extension ", _Code(known.extension)
        case "composer_package":
            return _Code(known.application), " has the package ", _Code(known.package)
        case "http_status":
            return _Code(known.url), f" answers {known.status} already"


def _given(plan: ChangePlan) -> tuple[_Line, ...]:
    """The numbers everything was computed from, and where those came from that nobody gave."""
    lines: list[_Line] = []
    for name, model in _TABLES.items():
        fields = plan.inputs.scenario.get(name, {}).items()
        values = [f"{field} {_value(value, unit_of(model, field))}" for field, value in fields]
        lines += [(f"{name}: {', '.join(values)}",)] if values else []
    sources: dict[str, list[str]] = {}
    for assumption in plan.inputs.assumptions:
        sources.setdefault(assumption.source, []).append(assumption.field)
    return (*lines, *((f"from {source}: {', '.join(fields)}",) for source, fields in sources.items()))


def _summary(plan: ChangePlan) -> _Part:
    sides = _sides(plan)
    watch = [next((b.users for b in side.bands if b.verdict == "watch"), None) for side in sides.values()]
    rows: list[_Line] = [("users before it is overloaded", *(f"{users or _NOTHING}" for users in watch))]
    rows.append((f"verdict for {_load(plan)}", *map(_verdict, sides.values())))
    rows.append(("workers", *(f"{side.settings.max_children}" for side in sides.values())))
    rows += [(_DRIVERS[key], *values[: len(sides)]) for key, values in _drivers(plan).items()]
    return _Part("In short", header=("", *sides), rows=tuple(rows), boxed=True)


def _sides(plan: ChangePlan) -> dict[str, Outlook]:
    expected = plan.prediction
    return {"before": expected.before, "after": expected.after} if plan.steps else {"today": expected.after}


def _drivers(plan: ChangePlan) -> dict[str, tuple[str, str]]:
    """Drivers of sessions and cache before and after, as far as the plan knows them."""
    kept = (found for note in plan.notes if (found := _KEPT.fullmatch(note)))
    known = {found[1]: (found[2] or found[3],) * 2 for found in kept}
    moved = {step.key: (step.before or _UNSET, step.after) for step in plan.steps if isinstance(step, SetEnv)}
    return {key: values for key in _DRIVERS if (values := (known | moved).get(key))}


# --- how values look


def _each(texts: Iterable[str]) -> tuple[_Line, ...]:
    return tuple((text,) for text in texts)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _workers(side: Outlook) -> str:
    return _count(side.settings.max_children, "worker")


def _load(plan: ChangePlan) -> str:
    rate = plan.inputs.scenario.get("workload", {}).get("arrival_rate")
    if plan.prediction.users is not None:
        return _count(plan.prediction.users, "user")
    return f"{_value(rate, '1/s')} requests" if rate is not None else "an unknown load"


def _who(plan: ChangePlan, prediction: Prediction) -> str:
    if prediction.users is None:
        return format_rate(prediction.arrival_rate)
    return f"{prediction.users}{' (planned)' if prediction.users == plan.prediction.users else ''}"


def _growth(old: int, new: int) -> str:
    return f"{(200 * (new - old) + old) // (2 * old):+d} %"


def _verdict(side: Outlook) -> str:
    return side.verdict or "not known"


def _peak(side: Outlook) -> str:
    return _value(side.worst_case_memory, "byte")


def _time(seconds: float | None) -> str:
    return "endless" if seconds is None else _value(seconds, "s")


def _busy(prediction: Prediction) -> str:
    shares = {"cores": prediction.cpu_utilization, "database": prediction.database_utilization}
    known = {"": prediction.utilization} | {name: share for name, share in shares.items() if share is not None}
    most = max(known, key=lambda name: known[name])
    text = format_fraction(round(known[most], 3)) if known[most] < _LARGEST else _NOTHING
    return f"{most} {text}" if most else text


def _value(value: object, unit: str) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _UNITS.get(unit, lambda number: f"{number:g}")(value) if abs(value) < _LARGEST else _NOTHING
    return _NOTHING if value is None else shown(value)


# --- how it looks


def _printable(text: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def _document(parts: Iterable[_Part]) -> Iterator[str]:
    for level, part in enumerate(parts):
        yield f"{'##' if level else '#'} {_marked((part.title,))}"
        if part.rows:
            rule = ["---", *["---:" if part.figures else "---"] * (len(part.header) - 1)]
            yield "\n".join(
                f"| {' | '.join(cells)} |"
                for cells in (map(_cell, part.header), rule, *(map(_cell, row) for row in part.rows))
            )
        if part.lines:
            yield "\n".join(
                f"{f'{at}.' if part.numbered else '-'} {_marked(line)}" for at, line in enumerate(part.lines, 1)
            )
        if part.remark:
            yield _marked((part.remark,))


def _cell(text: str) -> str:
    text = _printable(text) if not isinstance(text, _Code) else text
    return f"`{text}`" if isinstance(text, _Code) else _escaped(text)


def _marked(line: _Line) -> str:
    return _LEADING.sub(r"\1\\\2", "".join(map(_cell, line)))


def _escaped(text: str) -> str:
    return _MARKUP.sub(r"\\\g<0>", text).replace("&", "&amp;").replace("<", "&lt;")


def _drawn(part: _Part, console: Console) -> RenderableType:
    return Group()
