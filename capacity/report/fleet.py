"""The fleet's answers as text: tables with colour in a terminal, plain where they are piped."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from capacity.fleet.results import Allotment, Growth, HostPlan, PodPlan, PoolShare, Resource
from capacity.fpm.directives import render
from capacity.report.fitting import fitted
from capacity.report.text import COLOURS, box_for, section
from capacity.units import format_bytes, format_fraction, format_rate, format_seconds

__all__ = ["allotment_conf", "allotment_text", "growth_text", "hosts_text", "pods_text"]

_NOTHING = "-"


def allotment_text(result: Allotment, console: Console) -> RenderableType:
    """Who gets how many workers, what they share, and who lacks what."""
    pinched = [share for share in result.pools if share.wanted is None or share.pool.max_children < share.wanted]
    return Group(
        _headline(result),
        _shares(result, console),
        "",
        _resources(result, console),
        "",
        section("Pools that get less than they want", (f"{share.name}: {share.reason}" for share in pinched)),
        section("What to do", result.next_steps),
        section("Keep in mind", result.cautions),
    )


def allotment_conf(result: Allotment) -> str:
    """Sections of all pools with their directives, as ``php-fpm -t`` accepts them."""
    return "\n".join(
        render(share.pool, pool=share.name, comments=[share.reason, f"{share.pool.pm}: {share.pm_reason}"])
        for share in result.pools
    )


def _headline(result: Allotment) -> RenderableType:
    workers = sum(share.pool.max_children for share in result.pools)
    host = f"{len(result.pools)} pools, {workers} workers" if len(result.pools) > 1 else f"1 pool, {workers} workers"
    lowest = min(share.load_factor for share in result.pools)
    short = [resource.name for resource in result.resources if resource.binding]
    if not result.feasible:
        state = Text(f"INFEASIBLE: {host}, and the host cannot carry every pool at its expected load", style="bold red")
    elif lowest >= result.headroom:
        state = Text(f"{host}: every pool carries {result.headroom:g} times its load", style="bold green")
    else:
        state = Text(f"{host}: every pool carries its load, the tightest {lowest:.3g} times it", style="bold yellow")
    if short:
        state.append(f" ({' and '.join(short)} {'bind' if len(short) > 1 else 'binds'})", style="default")
    return Padding(state, (0, 0, 1, 0))


def _shares(result: Allotment, console: Console) -> Table:
    table = Table(box=box_for(console))
    table.add_column("pool", overflow="fold")
    for name in ("pm", "workers", "needed", "wanted", "carries", "memory", "workers busy", "95 % within"):
        table.add_column(name, justify="left" if name == "pm" else "right", overflow="fold")
    table.add_column("verdict", no_wrap=True)
    for share in result.pools:
        table.add_row(*_cells(share))
    return fitted(table, console)


def _cells(share: PoolShare) -> list[str | Text]:
    seen = share.prediction
    return [
        share.name,
        share.pool.pm,
        str(share.pool.max_children),
        *(_NOTHING if count is None else str(count) for count in (share.needed, share.wanted)),
        f"{share.load_factor:.2f} x",
        format_bytes(share.worst_case_memory),
        format_fraction(round(seen.utilization, 3)),
        _time(seen.response_time_p95),
        Text(seen.verdict, style=COLOURS[seen.verdict]),
    ]


def _resources(result: Allotment, console: Console) -> Table:
    table = Table(box=box_for(console), title="What they share", title_justify="left", title_style="bold")
    for name in ("resource", "there is", "needed", "wanted"):
        table.add_column(name, justify="left" if name == "resource" else "right")
    table.add_column("why", overflow="fold")
    for resource in result.resources:
        name = f"{resource.name} (binds)" if resource.binding else resource.name
        amounts = (resource.available, resource.needed, resource.wanted)
        table.add_row(
            name,
            *(_NOTHING if amount is None else _amount(resource, amount) for amount in amounts),
            resource.reason,
            style="bold" if resource.binding else None,
        )
    return table


def _amount(resource: Resource, amount: float) -> str:
    return format_bytes(amount) if resource.unit == "byte" else f"{amount:.3g}" if amount < 100 else f"{amount:.0f}"


def hosts_text(result: HostPlan, console: Console, *, what: str = "host") -> RenderableType:
    """How many hosts, what the load does to them, and what other ways to balance would make of it."""
    return Group(
        _plan_headline(result, what),
        _situations(result, console, what),
        "",
        _balancings(result, console, what),
        "",
        section("What to do", (step.replace("host", what) for step in result.next_steps)),
        section("Keep in mind", (caution.replace("host", what) for caution in result.cautions)),
    )


def pods_text(result: PodPlan, console: Console) -> RenderableType:
    """How many pods, and what other sizes would take."""
    table = Table(box=box_for(console), title="Pods of other sizes", title_justify="left", title_style="bold")
    for name in ("memory limit", "CPU limit", "pods", "workers each", "memory in all", "cores in all"):
        table.add_column(name, justify="right")
    for shape in result.shapes:
        amounts = [_NOTHING] * 4
        if shape.total_ram is not None:
            amounts = [str(shape.pods), str(shape.workers), format_bytes(shape.total_ram), f"{shape.total_cpus:.4g}"]
        style = "bold" if shape == result.best else None
        table.add_row(format_bytes(shape.ram), f"{shape.cpus:g}", *amounts, style=style)
    best = []
    if result.best is not None:
        size = (
            f"{format_bytes(result.best.ram)} and {result.best.cpus:g} {'core' if result.best.cpus == 1 else 'cores'}"
        )
        best = [
            f"Of these, pods of {size} take the least in all: what each reserves counts against small ones, what "
            "must be spare against large ones"
        ]
    plan = hosts_text(result.plan, console, what="pod")
    return Group(plan, table, "", section("Which size", best), section("In a pod", result.cautions))


def growth_text(result: Growth, console: Console) -> RenderableType:
    """Until when each verdict lasts, and how many users there are until then."""
    growth = _yearly(result.yearly_growth)
    if result.yearly_growth_low != result.yearly_growth_high:
        growth += f" ({_yearly(result.yearly_growth_low)} to {_yearly(result.yearly_growth_high)})"
    users = f"{result.users:.0f} users on {result.start}, {growth} a year"
    head = Padding(Text(f"{result.pool.max_children} workers, {users}", style="bold"), (0, 0, 1, 0))
    ends = Table(box=box_for(console), title="Each verdict until", title_justify="left", title_style="bold")
    for name in ("verdict", "up to", "ends", "earliest", "latest"):
        ends.add_column(name, justify="right" if name == "up to" else "left")
    later = f"after {result.path[-1].day}"
    for end in result.ends:
        days = [later if day is None else str(day) for day in (end.ends, end.earliest, end.latest)]
        users = _NOTHING if end.users is None else str(end.users)
        ends.add_row(Text(end.verdict, style=COLOURS[end.verdict]), users, *days)
    path = Table(box=box_for(console), title="Users", title_justify="left", title_style="bold")
    for name in ("day", "low", "expected", "high"):
        path.add_column(name, justify="left" if name == "day" else "right")
    for point in result.path:
        path.add_row(str(point.day), *(f"{users:.0f}" for users in (point.low, point.users, point.high)))
    steps, cautions = section("What to do", result.next_steps), section("Keep in mind", result.cautions)
    return Group(head, ends, "", path, "", steps, cautions)


def _yearly(growth: float) -> str:
    return f"{'+' if growth > 0 else ''}{format_fraction(growth)}"


def _time(seconds: float | None) -> str:
    """A time without digits that nobody can act on."""
    return "endless" if seconds is None else format_seconds(round(seconds, 6))


def _plan_headline(result: HostPlan, what: str) -> RenderableType:
    if not result.feasible:
        state = Text(f"INFEASIBLE: no number of {what}s meets the objective", style="bold red")
    else:
        workers = result.pool.max_children
        each = f"{workers} worker{'' if workers == 1 else 's'} each ({result.most_workers} fit)"
        state = Text(f"{result.hosts} {what}s, {each}", style="bold green")
        state.append(f"; {result.hosts_without_spare} with none to spare", style="default")
    return Padding(Group(state, Text(result.reason.replace("host", what))), (0, 0, 1, 0))


def _situations(result: HostPlan, console: Console, what: str) -> Table:
    title = f"What the load does to each {what}"
    table = Table(box=box_for(console), title=title, title_justify="left", title_style="bold")
    for name in (f"{what}s that run", "requests each", "workers busy", "cores busy", "mean response", "95 % within"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    for situation in result.situations:
        seen = situation.prediction
        cores = _NOTHING if seen.cpu_utilization is None else format_fraction(round(seen.cpu_utilization, 3))
        times = map(_time, (seen.response_time, seen.response_time_p95))
        verdict = Text(seen.verdict, style=COLOURS[seen.verdict])
        busy = format_fraction(round(seen.utilization, 3))
        table.add_row(str(situation.running), format_rate(seen.arrival_rate), busy, cores, *times, verdict)
    return fitted(table, console)


def _balancings(result: HostPlan, console: Console, what: str) -> Table:
    title = f"How a {what} is chosen, with {result.situations[-1].running} running"
    table = Table(box=box_for(console), title=title, title_justify="left", title_style="bold")
    table.add_column("balancing")
    for name in ("mean wait", "95 % within", f"{what}s it would take"):
        table.add_column(name, justify="right")
    for way in result.balancings:
        times = map(_time, (way.waiting_time, way.response_time_p95))
        name = f"{way.balancing} (this)" if way.balancing == result.balancing else way.balancing
        table.add_row(name, *times, _NOTHING if way.hosts is None else str(way.hosts))
    return table
