"""A change plan as its reviewer reads it, as Markdown and as text: one list of parts, made from the plan alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from string import Formatter
from typing import Any

from rich.box import ROUNDED
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from capacity.fpm.directives import SIZING
from capacity.plan.conditions import Precondition
from capacity.plan.model import ChangePlan, Outlook
from capacity.plan.steps import RollbackStep, SetDirective, SetEnv, Step
from capacity.report.parts import Code, Line, Part, markdown
from capacity.report.text import COLOURS, box_for
from capacity.results import Prediction
from capacity.units import format_bytes, format_fraction, format_rate, format_seconds

__all__ = ["plan_markdown", "plan_text"]

_STYLES: Mapping[str, str] = {"info": "cyan", "warning": "yellow", "danger": "bold red", **dict(COLOURS.items())}
_SEVERITIES = ("danger", "warning", "info")
_DRIVERS = {"SESSION_DRIVER": "sessions", "CACHE_STORE": "cache", "CACHE_DRIVER": "cache"}
_IN_WORDS = {
    "backup": "Copy {path} to {backup_path}",
    "restore": "Put {path} back from {backup_path}, mode {mode}, owner {owner}, group {group}",
    "set_directive": "Set {directive} to {after} (before: {before}) in {path}, line {line}",
    "set_env": "Set {key} to {after} (before: {before}) in {path}, line {line}",
    "validate": "Have FPM accept {path}, and then the whole configuration: {argv}",
    "reload": "Reload {service}, and wait at most {timeout} s until its old workers are gone; if it ended: {argv}",
    "clear_config_cache": "As {user}, in {application}: {argvs}",
    "verify_service": "See that {service} runs, within {timeout} s",
    "verify_http": "See that {url} answers {expect_status}, in at most {attempts} attempts of {timeout} s",
}
_CONDITIONS = {
    "file_sha256": "{path} is unchanged: sha256 {sha256}, mode {mode}, owner {owner}, group {group}",
    "fpm_version": "{binary} is PHP {version}",
    "service_active": "{service} runs",
    "env_key_set": "{key} is set in {path}",
    "php_extension": "{binary} loads the extension {extension}",
    "composer_package": "{package} is in the vendor directory of {application}",
    "http_status": "{url} answers {status}",
}
_INPUTS = {"service_time": "s", "cpu_time": "s", "think_time": "s", "arrival_rate": "1/s"}
_UNITS: Mapping[str, Callable[[float], str]] = {
    "byte": format_bytes, "s": format_seconds, "1/s": format_rate, "1": format_fraction,
}  # fmt: skip
_LARGEST = 2**63  # nobody has measured or computed what is beyond it
_NARROW, _MANY = 100, 5  # below so many columns of text, a table of more columns than this gives up its padding


def plan_markdown(plan: ChangePlan) -> str:
    """Write a plan as CommonMark with tables, its free text escaped: for a ticket or a merge request."""
    return markdown(_parts(plan))


def plan_text(plan: ChangePlan, console: Console) -> RenderableType:
    """Show a plan in colour on a terminal, plainly where it is piped."""
    return Group(*(_drawn(part, console) for part in _parts(plan)))


def _parts(plan: ChangePlan) -> list[Part]:
    """Give the parts in the order a reviewer asks, empty ones left out."""
    place = {step.id: f"{number}" for number, step in enumerate(plan.steps, 1)}
    place |= {step.id: f"undo {number}" for number, step in enumerate(plan.rollback, 1)}
    risks = [(r.severity, ", ".join(place[name] for name in r.step_ids) or "-", r.message) for r in plan.risks]
    risks.sort(key=lambda risk: _SEVERITIES.index(risk[0]))
    stops = " or ".join(place[step.id] for step in plan.steps if step.on_failure == "stop")
    failing = f"If step {stops} fails, it ends there and nothing is changed. " if stops else ""
    failing += f"If any {'other ' if stops else ''}step fails, everything is undone"
    parts = (
        _headline(plan),
        _settings(plan),
        _most_users(plan),
        _each_users(plan),
        Part("Why", list(_reasons(plan))),
        Part("What may go wrong, the worst first", header=("severity", "steps", "risk"), rows=risks),
        Part("Only if, on the host", list(map(_condition, plan.preconditions))),
        Part("What is done, in this order", list(map(_in_words, plan.steps)), numbered=True, remark=failing),
        Part("How it is undone, in this order", list(map(_in_words, plan.rollback)), numbered=True),
        Part("What it rests on", [(f"{a.field}: {a.source}",) for a in plan.inputs.assumptions]),
        Part("What was left alone", list(zip(plan.notes))),
        Part("What more users would take", list(zip(plan.prediction.next_steps))),
        Part("Keep in mind", list(zip(plan.prediction.cautions))),
        _summary(plan),
    )
    return [part for part in parts if part.lines or part.rows]


def _headline(plan: ChangePlan) -> Part:
    made = plan.created_at.replace("T", " ").replace("Z", " UTC")
    lines: list[Line] = [(f"Made {made} for {_load(plan)}; plan ", Code(plan.plan_id[:12]))]
    paths = [step.path for step in plan.steps if isinstance(step, SetDirective | SetEnv)]
    files = [(", ", Code(path), f" ({paths.count(path)})") for path in dict.fromkeys(paths)]
    if files:
        named = [piece for file in files for piece in file][1:]
        lines.append((f"{_count(len(paths), 'change')} in {_count(len(files), 'file')}: ", *named))
    else:
        lines.append(("Nothing has to be changed: the pool is as it is recommended",))
    if not plan.prediction.feasible:
        lines.append(("INFEASIBLE: no pool within the limits meets the objective; this is the most they allow",))
    sides = _sides(plan).values()
    verdicts = (side.verdict or "not known" for side in sides)
    memory = (_figure(side.worst_case_memory, "byte") for side in sides)
    lines.append((f"Verdict at that load: {' -> '.join(verdicts)}",))
    lines.append((f"Memory with every worker at its peak: {' -> '.join(memory)}",))
    severities = [risk.severity for risk in plan.risks]
    found = [_count(severities.count(name), name) for name in _SEVERITIES[:2] if name in severities]
    lines += [(f"Risks to weigh first: {', '.join(found)}",)] if found else []
    return Part(f"Change plan for pool {plan.pool}", lines)


def _settings(plan: ChangePlan) -> Part:
    before = plan.prediction.before.settings
    steps: dict[str, SetDirective] = {step.directive: step for step in plan.steps if isinstance(step, SetDirective)}
    manager = steps["pm"].after if "pm" in steps else before.pm
    why = plan.prediction.more_workers_reason
    remark = f"Would more workers help? {why}"
    rows: list[Line] = []
    for directive in SIZING:
        name, value, step = Code(directive.name), getattr(before, directive.field), steps.get(directive.name)
        today = "not set" if value is None else f"{value}s" if directive.kind == "time" else f"{value}"
        if step is not None:
            change = "new" if value is None else "changes"
            if directive.kind == "integer" and value and min(value, int(step.after)) > 0:
                change = f"{(200 * (int(step.after) - value) + value) // (2 * value):+d} %"
            was = step.before or ("not set" if value is None else f"not set, so {today}")
            rows.append((name, was, step.after, change))
            if name == "pm.max_children" and int(step.after) > value:
                only = "" if why.startswith("only while") else f"only while nothing but workers binds. {remark}"
                remark = f"The {change} workers serve {change} requests at a time {only or why}"
        elif value is not None and directive.only_for not in {None, manager}:
            rows.append((name, today, "not used", f"pm = {manager}"))
        elif value is not None or name == "pm.max_requests":
            rows.append((name, today, today, "stays"))
    for key, (old, new) in _drivers(plan).items():
        rows.append((Code(key), old, new, "stays" if old == new else "changes"))
    header = ("setting", "before", "after", "change") if plan.steps else ("setting", "today")
    return Part("Settings", header=header, rows=[row[: len(header)] for row in rows], remark=remark)


def _most_users(plan: ChangePlan) -> Part:
    sides = {f"{name} ({_workers(side)})": side.bands for name, side in _sides(plan).items() if side.bands}
    found = [{band.verdict: band.users for band in bands} for bands in sides.values()]
    verdicts = dict.fromkeys(verdict for bands in found for verdict in bands)
    rows = [(verdict, *(f"{bands.get(verdict) or 'none'}" for bands in found)) for verdict in verdicts]
    moved = any(isinstance(step, SetEnv) for step in plan.steps)
    remark = "What Redis spares the database is not in these figures, nor in those below" if moved else ""
    return Part("Most users", header=("verdict", *sides), rows=rows, remark=remark)


def _each_users(plan: ChangePlan) -> Part:
    sides = {name: side.predictions for name, side in _sides(plan).items() if side.predictions}
    found = [{_who(prediction, plan): _outcome(prediction) for prediction in side} for side in sides.values()]
    rows: list[Line] = []
    for who in dict.fromkeys(who for side in found for who in side):
        cells = zip(*(side.get(who, ("-",) * 3) for side in found), strict=True)
        rows.append((who, *(cell for kind in cells for cell in kind)))
    header = ("users", *(f"{what} {name}" for what in ("verdict", "95 % within", "busy") for name in sides))
    workload = plan.inputs.scenario.get("workload", {})
    known = [(name, workload[name], unit) for name, unit in _INPUTS.items() if name in workload]
    given = [f"{name} {_figure(value, unit)}" for name, value, unit in known if isinstance(value, int | float)]
    told = ", ".join(given) or "what the plan does not tell"
    remark = f"Predictions, computed from {told}. Busy: of workers, cores and database the busiest that is known"
    return Part("What numbers of users do to the pool", header=header, rows=rows, remark=remark)


def _who(prediction: Prediction, plan: ChangePlan) -> str:
    if prediction.users is None:
        return _figure(prediction.arrival_rate, "1/s")
    return f"{prediction.users}{' (planned)' if prediction.users == plan.prediction.users else ''}"


def _outcome(prediction: Prediction) -> Line:
    others = (prediction.cpu_utilization or 0.0, prediction.database_utilization or 0.0)
    late = prediction.response_time_p95
    busy = _figure(round(max(prediction.utilization, *others), 3), "1")
    return prediction.verdict, "endless" if late is None else _figure(late, "s"), busy


def _reasons(plan: ChangePlan) -> Iterator[Line]:
    binds = f"{plan.prediction.binding} binds: {plan.prediction.binding_reason}"
    yield (f"{_workers(plan.prediction.after)}: {binds}",)
    for step in plan.steps:
        if isinstance(step, SetDirective | SetEnv) and step.reason != binds:
            name = step.directive if isinstance(step, SetDirective) else step.key
            yield Code(name), f" {step.after}: {step.reason}"


def _in_words(step: Step | RollbackStep) -> Line:
    """Say what a step does, and why where that is not told elsewhere."""
    values: dict[str, Any] = {**dict(step), **dict(getattr(step, "edit", ()))}
    pieces = _filled(_IN_WORDS[step.op], values)
    return pieces if isinstance(step, SetDirective | SetEnv) else [*pieces, f" ({step.reason})"]


def _condition(condition: Precondition) -> Line:
    return _filled(_CONDITIONS[condition.kind], dict(condition))


def _filled(template: str, values: Mapping[str, Any]) -> list[str]:
    """Fill a template in, what is a name or a command marked as code."""
    pieces: list[str] = []
    for literal, field, _, _ in Formatter().parse(template):
        value = values[field] if field else ""
        value = f"{value[:12]}..." if field == "sha256" else value
        for at, word in enumerate(value if field == "argvs" else [value]):
            text = " ".join(word) if isinstance(word, tuple) else word
            pieces += [", then " if at else literal, Code(text) if isinstance(text, str) else f"{text or 'not set'}"]
    return pieces


def _summary(plan: ChangePlan) -> Part:
    sides = _sides(plan)
    most = [max((band.users or 0 for band in side.bands), default="not known") for side in sides.values()]
    rows = [
        ("users before it is overloaded", *map(str, most)),
        (f"verdict for {_load(plan)}", *(side.verdict or "not known" for side in sides.values())),
        ("workers", *(f"{side.settings.max_children}" for side in sides.values())),
        *((_DRIVERS[key], *values[: len(sides)]) for key, values in _drivers(plan).items()),
    ]
    return Part("In short", header=("", *sides), rows=rows, boxed=True)


def _sides(plan: ChangePlan) -> dict[str, Outlook]:
    before, after = plan.prediction.before, plan.prediction.after
    return {"before": before, "after": after} if plan.steps else {"today": after}


def _drivers(plan: ChangePlan) -> dict[str, tuple[str, str]]:
    """Drivers of sessions and cache before and after, as far as the plan knows them."""
    known: dict[str, tuple[str, str]] = {key: (driver, driver) for key, driver in plan.inputs.drivers.items()}
    known |= {step.key: (step.before or "not set", step.after) for step in plan.steps if isinstance(step, SetEnv)}
    return {key: known[key] for key in _DRIVERS if key in known}


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _workers(side: Outlook) -> str:
    return _count(side.settings.max_children, "worker")


def _load(plan: ChangePlan) -> str:
    return "the expected load" if plan.prediction.users is None else _count(plan.prediction.users, "user")


def _figure(value: float, unit: str) -> str:
    return _UNITS[unit](value) if abs(value) < _LARGEST else "-"


def _drawn(part: Part, console: Console) -> RenderableType:
    if part.rows:
        table = Table(box=ROUNDED if part.boxed and console.is_terminal else box_for(console))
        if console.width < _NARROW and len(part.header) > _MANY:
            table.padding, table.show_edge = 0, False
        for name in part.header:
            table.add_column(Text(name), overflow="fold")
        for row in part.rows:
            table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    else:
        table = Table.grid(padding=(0, 1))
        for number, line in enumerate(part.lines, 1):
            # folded: a path that is cut short is another path
            table.add_row(f"{number:2}." if part.numbered else "-", Text("".join(line), overflow="fold"))
    return Group(Text(part.title, style="bold"), table, Text(part.remark, end="\n" if part.remark else ""), "")
