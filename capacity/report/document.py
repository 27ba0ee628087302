"""A recommendation as a report for people who were not there: what is recommended, why, and what it rests on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from capacity.fpm.directives import SIZING
from capacity.policies.verdict import VERDICTS, Edges
from capacity.pool import PoolSettings
from capacity.problems import unit_of
from capacity.report.curve import curves
from capacity.report.figures import LIMITS, limits_figure, response_figure
from capacity.report.parts import Code, Line, Part, markdown
from capacity.report.wording import Wording, wording
from capacity.results import Choice, Prediction, Recommendation, StepForecast
from capacity.scenario import CASE_STUDY_SOURCE, Scenario
from capacity.units import format_bytes, format_fraction, format_rate, format_seconds

__all__ = ["MARKDOWN_MARK", "recommendation_markdown", "recommendation_parts"]

MARKDOWN_MARK: Final = "<!-- capacity recommend -->"
"""First line of a Markdown report: a file that begins with it may be replaced by another report."""

_NOTHING: Final = "-"
_SECONDS: Final = frozenset(("request_terminate_timeout", "process_control_timeout"))
_UNITS: Final = {"byte": format_bytes, "s": format_seconds, "1/s": format_rate}


def recommendation_markdown(
    result: Recommendation, scenario: Scenario, *, language: str = "en", pool: str | None = None
) -> str:
    """Write the report as Markdown, for a pull request or a ticket.

    Examples
    --------
    >>> from capacity import recommend
    >>> scenario = Scenario.example()
    >>> recommendation_markdown(recommend(scenario), scenario, language="es").splitlines()[:2]
    ['<!-- capacity recommend -->', '# Informe de capacidad de PHP-FPM: 40 procesos']
    """
    parts = recommendation_parts(result, scenario, wording(language), pool=pool)
    return f"{MARKDOWN_MARK}\n{markdown(parts)}"


def recommendation_parts(
    result: Recommendation, scenario: Scenario, say: Wording, *, pool: str | None = None
) -> list[Part]:
    """Give the parts of the report, in the order a reader asks; the first one is the title."""
    drawn = curves(scenario, result)
    parts = [_headline(result, say, pool), _settings(result, say)]
    if result.bands:
        parts.append(_thresholds(result, say, str(response_figure(drawn, result, say))))
    title = say("What users do to the recommended pool")
    parts.append(_predictions(result.predictions, title, say))
    if result.current_predictions and result.current_predictions != result.predictions:
        parts.append(_predictions(result.current_predictions, say("What users do to today's pool"), say))
    if result.step:
        parts.append(_step(result.step, say))
    parts.append(_limits(result, say))
    parts.append(Part(say("Would more workers help?"), remark=_sentence(result.more_workers_reason, say)))
    parts.append(Part(say("What more users would take"), lines=_lines(result.next_steps, say)))
    parts.append(Part(say("Next steps"), lines=list(_next_steps(result, say)), numbered=True))
    parts.append(Part(say("Risks and what to keep in mind"), lines=_lines(result.cautions, say)))
    reasons = [[*_choice(choice, say), ": ", say(choice.reason)] for choice in result.choices]
    parts.append(Part(say("Why these settings"), lines=reasons))
    parts += [_rules(result, say), _assumptions(result, scenario, say)]
    return [part for part in parts if part.rows or part.lines or part.remark]


def _headline(result: Recommendation, say: Wording, pool: str | None) -> Part:
    workers = _workers(result.pool, say)
    title = say("PHP-FPM capacity report: {workers}", workers=workers)
    lines: list[Line] = [[say("Pool"), ": ", pool if "`" in pool else Code(pool)]] if pool else []
    if result.feasible:
        decides = "Decided by: {limit}" if result.binding == "demand" else "Limited by: {limit}"
        lines.append([say(decides, limit=LIMITS.get(result.binding, result.binding))])
        if result.needed is not None and result.wanted is not None:
            text = "{needed} workers meet the objective, {wanted} with headroom for growth"
            lines.append([say(text, needed=result.needed, wanted=result.wanted)])
    elif result.shortfall is None:
        lines.append([say("INFEASIBLE: no number of workers meets the objective")])
    else:
        text = "INFEASIBLE: {needed} workers meet the objective, {shortfall} more than the limits allow ({limit})"
        lines.append(
            [
                say(
                    text,
                    needed=result.needed or 1,
                    shortfall=result.shortfall,
                    limit=LIMITS.get(result.binding, result.binding),
                )
            ]
        )
    for band in result.bands:
        if band.users is not None:
            text = say("{verdict} up to {users} users", verdict=band.verdict, users=band.users)
            lines.append([_begun(text)])
    text = "{memory} of memory with every worker at its peak"
    lines.append([say(text, memory=format_bytes(result.worst_case_memory))])
    return Part(title, lines=lines)


def _settings(result: Recommendation, say: Wording) -> Part:
    rows = []
    for directive in SIZING:
        now = _set(result.current, directive.field, directive.kind)
        new = _set(result.pool, directive.field, directive.kind)
        if (now, new) != (_NOTHING, _NOTHING):
            rows.append([Code(directive.name), *([now] if result.current else []), new])
    header = [say("setting"), *([say("today")] if result.current else []), say("recommended")]
    return Part(say("Settings"), header=header, rows=rows)


def _set(pool: PoolSettings | None, field: str, kind: str) -> str:
    value = getattr(pool, field, None)
    if value is None:
        return _NOTHING
    return f"{value}s" if kind == "time" else str(value)


def _thresholds(result: Recommendation, say: Wording, figure: str) -> Part:
    rows = []
    today = [band.users for band in result.current_bands] or [None] * len(result.bands)
    for band, before in zip(result.bands, today, strict=True):
        rows.append([say(band.verdict), *([_count(before)] if result.current_bands else []), _count(band.users)])
    header = [say("verdict")]
    if result.current and result.current_bands:
        header.append(say("today ({workers})", workers=_workers(result.current, say)))
    header.append(say("recommended ({workers})", workers=_workers(result.pool, say)))
    edges = Edges()
    text = (
        "{verdict}: workers, cores and database connections at most {utilization} busy, requests at most {slowdown} "
        "slower than on an idle host"
    )
    lines = [
        [_begun(say(text, verdict=verdict, utilization=format_fraction(busy), slowdown=format_fraction(slower)))]
        for verdict, busy, slower in zip(VERDICTS, edges.utilization, edges.slowdown, strict=False)
    ]
    lines.append([_begun(say("{verdict}: all beyond that", verdict=VERDICTS[-1]))])
    return Part(say("Most users"), header=header, rows=rows, lines=lines, figure=figure)


def _predictions(predictions: Sequence[Prediction], title: str, say: Wording) -> Part:
    cpu = any(p.cpu_utilization is not None for p in predictions)
    database = any(p.database_utilization is not None for p in predictions)
    by_users = any(p.users is not None for p in predictions)
    header = [*([say("users")] if by_users else []), say("requests"), say("verdict"), say("workers busy")]
    header += [say("cores busy")] if cpu else []
    header += [say("database busy")] if database else []
    header += [say("must wait"), say("mean response"), say("95 % within")]
    rows = []
    for p in predictions:
        shares = [p.utilization, *([p.cpu_utilization] if cpu else []), *([p.database_utilization] if database else [])]
        cells = [_count(p.users)] if by_users else []
        cells += [say.figure(format_rate(p.arrival_rate)), say(p.verdict), *(_share(share, say) for share in shares)]
        cells += [_share(p.wait_probability, say), _time(p.response_time, say), _time(p.response_time_p95, say)]
        rows.append(cells)
    return Part(title, header=header, rows=rows)


def _step(step: StepForecast, say: Wording) -> Part:
    header = [say("pool"), *map(say, ("mean wait", "95 % wait less than", "longest wait", "refused"))]
    rows = [
        [
            f"{outcome.pool.pm} {outcome.pool.spares}".rstrip(),
            *(_time(wait, say) for wait in (outcome.waiting_time, outcome.waiting_time_p95)),
            _time(outcome.waiting_time_longest, say),
            _share(outcome.refused, say),
        ]
        for outcome in step.outcomes
    ]
    text = "A sudden step from {before} to {after} users"
    return Part(say(text, before=step.users_before, after=step.users_after), header=header, rows=rows)


def _limits(result: Recommendation, say: Wording) -> Part:
    rows = []
    for limit in result.limits:
        text = "{limit} (binds)" if limit.binding else "{limit}"
        rows.append(
            [say(text, limit=LIMITS.get(limit.name, limit.name)), _count(limit.workers), _sentence(limit.reason, say)]
        )
    header = [say("limit"), say("workers"), say("why")]
    figure = str(limits_figure(result.limits, say))
    return Part(say("What limits the workers"), header=header, rows=rows, figure=figure)


def _next_steps(result: Recommendation, say: Wording) -> Iterator[Line]:
    differs = result.current is not None and result.current.model_dump() != result.pool.model_dump()
    if differs or result.current is None:
        yield [say("Make a change plan that can be reviewed and undone:"), " ", Code("capacity plan --pool-file FILE")]
    if any(assumption.source == CASE_STUDY_SOURCE for assumption in result.assumptions):
        yield [say("Measure what is only assumed here:"), " ", Code("capacity measure")]
    yield [say("Hold the prediction against the running pool:"), " ", Code("capacity measure --against SCENARIO.toml")]


def _rules(result: Recommendation, say: Wording) -> Part:
    rows = []
    for rule in result.rules_of_thumb:
        spares = (rule.start_servers, rule.min_spare_servers, rule.max_spare_servers)
        shown = _NOTHING if None in spares else "/".join(map(str, spares))
        name, ignores = say(rule.name), _sentence(rule.ignores, say)
        rows.append([name, _count(rule.workers), shown, _count(rule.users), ignores])
    header = [say("rule"), say("workers"), say("start/min/max spare"), say("users"), say("does not look at")]
    return Part(say("What rules of thumb would say"), header=header, rows=rows)


def _assumptions(result: Recommendation, scenario: Scenario, say: Wording) -> Part:
    """Every value the result rests on: where it was not said where one comes from, it was given, or is the default."""
    stated = {assumption.field: assumption.source for assumption in result.assumptions}
    tables = scenario.to_mapping()
    tables.pop("sources", None)
    rows: list[Line] = []
    for table, values in tables.items():
        model = type(scenario) if table == "policy" else type(getattr(scenario, table))
        for name, value in values.items():
            field = model.model_fields[name]
            text = say(field.description or name)
            plain = say("default") if value == field.default else say("given")
            source = _source(stated[f"{table}.{name}"], say) if f"{table}.{name}" in stated else plain
            rows.append([Code(f"{table}.{name}"), text, _value(value, unit_of(model, name), say), source])
    header = [say("field"), say("what it is"), say("value"), say("source")]
    return Part(say("What this rests on"), header=header, rows=rows)


def _source(stated: str, say: Wording) -> str:
    """Say where a value comes from; what somebody has noted is quoted."""
    if stated == CASE_STUDY_SOURCE:
        return say("case study (built in)")
    kind, _, name = stated.partition("pool file ")
    return f"{say('pool file')} {name}" if name and not kind else f"\u201c{stated}\u201d"


def _value(value: Any, unit: str, say: Wording) -> str:
    if isinstance(value, str):
        return value
    return say.figure(_UNITS[unit](value) if unit in _UNITS else f"{value:.12g}")


def _choice(choice: Choice, say: Wording) -> Line:
    name = next((directive.name for directive in SIZING if directive.field == choice.setting), choice.setting)
    seconds = "s" if choice.setting in _SECONDS else ""
    return [Code(f"{name} = {_NOTHING if choice.value is None else choice.value}{seconds}")]


def _lines(sentences: Sequence[str], say: Wording) -> list[Line]:
    return [[_sentence(text, say)] for text in sentences]


def _sentence(text: str, say: Wording) -> str:
    return _begun(say(text))


def _begun(text: str) -> str:
    """Begin like a sentence, unless with a name such as cpu_time or listen.backlog."""
    first = text.split(" ", 1)[0]
    is_name = "_" in first or "." in first.rstrip(".")
    return text if is_name else text[:1].upper() + text[1:]


def _workers(pool: PoolSettings, say: Wording) -> str:
    return say("1 worker") if pool.max_children == 1 else say("{count} workers", count=pool.max_children)


def _count(count: int | None) -> str:
    return _NOTHING if count is None else str(count)


def _time(seconds: float | None, say: Wording) -> str:
    return say("endless") if seconds is None else say.figure(format_seconds(seconds))


def _share(share: float | None, say: Wording) -> str:
    """Percentage without digits that nobody can act on."""
    if share is None:
        return _NOTHING
    return say.figure(format_fraction(0.0 if share < 0.0005 else round(share, 3)))
