"""Recommendations and forecasts as text: tables with colour in a terminal, plain where they are piped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from rich.box import ASCII, SIMPLE_HEAD, Box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from capacity.fpm.directives import SIZING
from capacity.pool import PoolSettings
from capacity.report.fitting import fitted
from capacity.results import Choice, Forecast, Interval, Prediction, Recommendation, StepForecast, UserBand, Verdict
from capacity.units import format_fraction, format_rate, format_seconds

__all__ = ["COLOURS", "box_for", "forecast_text", "recommendation_text", "section"]

COLOURS: dict[Verdict, str] = {
    "comfortable": "green",
    "manageable": "cyan",
    "watch": "yellow",
    "overloaded": "bold red",
}
_NOTHING = "-"
_SHOWN = 0.0005  # a share below it is 0 % to a reader


def recommendation_text(result: Recommendation, console: Console) -> RenderableType:
    """Everything a recommendation says, in the order a reader asks."""
    box = box_for(console)
    parts: list[RenderableType] = [_headline(result), _settings(result, box)]
    if result.bands:
        parts += ["", _bands(result, box)]
    if result.predictions:
        title = f"With {_workers(result.pool)}"
        parts += ["", _predictions(result.predictions, console, title=title)]
    if result.step:
        parts += ["", _step(result.step, box)]
    parts += ["", _limits(result, box), "", section("Would more workers help?", [result.more_workers_reason])]
    parts.append(section("What more users would take", result.next_steps))
    reasons = [f"{_written(choice)}: {choice.reason}" for choice in result.choices]
    parts += [section("Why these settings", reasons), _rules(result, box), ""]
    parts.append(section("Keep in mind", result.cautions))
    return Group(*parts)


def forecast_text(result: Forecast, console: Console) -> RenderableType:
    """What numbers of users do to a pool."""
    box = box_for(console)
    title = f"{_workers(result.pool)}, {result.model} model: what numbers of users do to the pool"
    bands = Table(box=box, title="Most users", title_justify="left", title_style="bold")
    bands.add_column("verdict")
    bands.add_column("up to", justify="right")
    for band in result.bands:
        bands.add_row(_verdict(band.verdict), _users(band.users))
    return Group(
        _predictions(result.predictions, console, title=title),
        "",
        *_windows(result.predictions, console),
        bands,
        "",
        *((_step(result.step, box), "", _manager(result.step)) if result.step else ()),
        section("Keep in mind", result.cautions),
    )


def _step(step: StepForecast, box: Box) -> Table:
    """What a sudden step does to the pool, and to others of its size."""
    rates = f"{format_rate(step.arrival_rate_before)} to {format_rate(step.arrival_rate_after)}"
    title = f"A sudden step from {step.users_before} to {step.users_after} users ({rates})"
    table = Table(box=box, title=title, title_justify="left", title_style="bold")
    table.add_column("pool")
    for name in ("workers", "after 1 s", "5 s", "10 s", "mean wait", "95 % within", "longest", "caught up", "refused"):
        table.add_column(name, justify="right")
    for outcome in step.outcomes:
        pool, workers = outcome.pool, [f"{workers:.0f}" for workers in outcome.workers]
        late = "later" if outcome.recovered_after is None else format_seconds(outcome.recovered_after)
        waits = map(format_seconds, (outcome.waiting_time, outcome.waiting_time_p95, outcome.waiting_time_longest))
        growth = (workers[0], *(workers[second] for second in (1, 5, 10)))
        table.add_row(f"{pool.pm} {pool.spares}".rstrip(), *growth, *waits, late, _percent(outcome.refused))
    return table


def _manager(step: StepForecast) -> RenderableType:
    return section("Which process manager", [f"{_written(step.choice)}: {step.choice.reason}"])


def box_for(console: Console) -> Box:
    """Lines for a terminal; plain ASCII where the text is piped, so that files and tests are stable."""
    return SIMPLE_HEAD if console.is_terminal else ASCII


def _headline(result: Recommendation) -> RenderableType:
    workers = _workers(result.pool)
    binds = "the demand decides" if result.binding == "demand" else f"{result.binding} binds"
    if result.feasible:
        state = Text(f"{workers}: {binds}", style="bold green")
        wanted = "no number does" if result.wanted is None else str(result.wanted)
        if result.needed is not None:
            state.append(f" ({result.needed} meet the objective, {wanted} with headroom)", style="default")
    else:
        why = (
            "no number of workers meets the objective"
            if result.shortfall is None
            else f"{result.needed} workers meet the objective, {result.shortfall} more than the host can carry"
        )
        state = Text(f"INFEASIBLE: {why}.", style="bold red")
        are = "is" if result.pool.max_children == 1 else "are"
        most = f"{workers} {are} the most it can have"
        if result.shortfall is not None and result.shortfall == (result.needed or 1):
            most = "Not even one fits"
        state.append(f" {most}: {binds}", style="default")
    return Padding(state, (0, 0, 1, 0))


def _settings(result: Recommendation, box: Box) -> Table:
    table = Table(box=box)
    table.add_column("setting")
    if result.current:
        table.add_column("today", justify="right")
    table.add_column("recommended", justify="right", style="bold")
    for directive in SIZING:
        new = _value(result.pool, directive.field, directive.kind)
        old = _value(result.current, directive.field, directive.kind) if result.current else _NOTHING
        if (new, old) != (_NOTHING, _NOTHING):
            table.add_row(directive.name, *([old] if result.current else []), new)
    return table


def _value(pool: PoolSettings, field: str, kind: str) -> str:
    value = getattr(pool, field)
    if value is None:
        return _NOTHING
    return f"{value}s" if kind == "time" else str(value)


def _bands(result: Recommendation, box: Box) -> Table:
    table = Table(box=box, title="Most users", title_justify="left", title_style="bold")
    table.add_column("verdict")
    if result.current:
        table.add_column(f"today ({_workers(result.current)})", justify="right")
    table.add_column(f"recommended ({result.pool.max_children})", justify="right", style="bold")
    today: Sequence[UserBand | None] = result.current_bands or [None] * len(result.bands)
    for band, before in zip(result.bands, today, strict=True):
        table.add_row(_verdict(band.verdict), *([_users(before.users)] if before else []), _users(band.users))
    return table


def _predictions(predictions: Sequence[Prediction], console: Console, *, title: str) -> RenderableType:
    table = Table(box=box_for(console), title=title, title_justify="left", title_style="bold")
    known_cpu = any(p.cpu_utilization is not None for p in predictions)
    known_database = any(p.database_utilization is not None for p in predictions)
    known_apdex = any(p.apdex is not None for p in predictions)
    busy = ["workers busy", *(["cores busy"] if known_cpu else []), *(["database busy"] if known_database else [])]
    times = ["must wait", "mean response", "95 % within", "slowdown", *(["Apdex"] if known_apdex else [])]
    for name in ("users", "requests", "verdict", *busy, *times):
        table.add_column(name, justify="left" if name == "verdict" else "right", overflow="fold")
    for p in predictions:
        shares = [p.utilization, *([p.cpu_utilization] if known_cpu else [])]
        shares += [p.database_utilization] if known_database else []
        table.add_row(
            _users(p.users),
            format_rate(p.arrival_rate),
            _verdict(p.verdict),
            *(_NOTHING if share is None else _percent(share) for share in shares),
            _percent(p.wait_probability),
            _time(p.response_time),
            _time(p.response_time_p95),
            "endless" if p.slowdown is None else f"+{_percent(p.slowdown)}",
            *([_NOTHING if p.apdex is None else f"{p.apdex:.2f}"] if known_apdex else []),
        )
    return Group(fitted(table, console), *_lost(predictions, console))


def _lost(predictions: Sequence[Prediction], console: Console) -> list[RenderableType]:
    """Who gets an error instead of an answer; nothing where nobody does."""
    table = Table(box=box_for(console), title="Who gets an error", title_justify="left", title_style="bold")
    for name in ("users", "502", "504"):
        table.add_column(name, justify="right")
    for p in predictions:
        shares = ((p.refused or 0.0) + (p.killed or 0.0), p.timed_out or 0.0)
        if max(shares) >= _SHOWN:
            table.add_row(_users(p.users), *map(_percent, shares))
    return ["", table] if table.rows else []


def _windows(predictions: Sequence[Prediction], console: Console) -> list[RenderableType]:
    """Where most windows lie; nothing where no prediction has a band."""
    known = [(p.users, p.band) for p in predictions if p.band is not None]
    if not known:
        return []
    _, first = known[0]
    title = f"Where {first.level * 100:.0f} of 100 windows of {_duration(first.window)} lie"
    table = Table(box=box_for(console), title=title, title_justify="left", title_style="bold")
    for name in ("users", "requests", "workers busy", "mean wait", "mean response", "95 % within"):
        table.add_column(name, justify="right", overflow="fold")
    for users, band in known:
        times = (band.waiting_time, band.response_time, band.response_time_p95)
        table.add_row(
            _users(users),
            _range(band.throughput, format_rate),
            _range(band.utilization, _percent),
            *(_range(part, format_seconds) for part in times),
        )
    return [fitted(table, console), ""]


def _duration(seconds: float) -> str:
    for unit, name in ((3600.0, "h"), (60.0, "min")):
        if seconds >= unit and seconds % unit == 0:
            return f"{seconds / unit:g} {name}"
    return format_seconds(seconds)


def _range(interval: Interval | None, written: Callable[[float], str]) -> str:
    """Write both ends, the unit once where it is the same."""
    if interval is None:
        return _NOTHING
    low, high = written(interval.low), "endless" if interval.high is None else written(interval.high)
    unit = low.lstrip("0123456789.")
    if low == high:
        return high
    return f"{low.removesuffix(unit) if high.lstrip('0123456789.') == unit else low} to {high}"


def _limits(result: Recommendation, box: Box) -> Table:
    table = Table(box=box, title="What limits the workers", title_justify="left", title_style="bold")
    table.add_column("limit")
    table.add_column("workers", justify="right")
    table.add_column("why", overflow="fold")
    for limit in result.limits:
        name = f"{limit.name} (binds)" if limit.binding else limit.name
        table.add_row(name, _users(limit.workers), limit.reason, style="bold" if limit.binding else None)
    return table


def _rules(result: Recommendation, box: Box) -> Table:
    table = Table(box=box, title="What rules of thumb would say", title_justify="left", title_style="bold")
    for name in ("rule", "workers", "start/min/max spare", "users"):
        table.add_column(name, justify="left" if name == "rule" else "right")
    table.add_column("does not look at", overflow="fold")
    for rule in result.rules_of_thumb:
        spares = (rule.start_servers, rule.min_spare_servers, rule.max_spare_servers)
        shown = _NOTHING if None in spares else "/".join(map(str, spares))
        table.add_row(rule.name, _users(rule.workers), shown, _users(rule.users), rule.ignores)
    return table


def section(title: str, lines: Iterable[str]) -> RenderableType:
    """Give a heading and a list; nothing where the list is empty."""
    lines = list(lines)
    if not lines:
        return Group()
    items = Table.grid(padding=(0, 1))
    for line in lines:
        items.add_row("-", Text(line, overflow="fold"))  # a path that is cut short is another path
    return Padding(Group(Text(title, style="bold"), items), (0, 0, 1, 0))


def _verdict(verdict: Verdict) -> Text:
    return Text(verdict, style=COLOURS[verdict])


def _workers(pool: PoolSettings) -> str:
    return f"{pool.max_children} worker{'' if pool.max_children == 1 else 's'}"


def _users(count: int | None) -> str:
    return _NOTHING if count is None else str(count)


def _time(seconds: float | None) -> str:
    return "endless" if seconds is None else format_seconds(seconds)


def _percent(share: float) -> str:
    """Percentage without digits that nobody can act on."""
    if 0 < share < _SHOWN:
        return "0 %"
    return format_fraction(round(share, 3))


def _written(choice: Choice) -> str:
    name = next((directive.name for directive in SIZING if directive.field == choice.setting), choice.setting)
    return f"{name} = {choice.value}{'s' if name.endswith('_timeout') else ''}"
