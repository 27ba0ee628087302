"""The fleet's answers as text: tables with colour in a terminal, plain where they are piped."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from capacity.fleet.results import Allotment, PoolShare, Resource
from capacity.fpm.directives import render
from capacity.report.text import COLOURS, box_for, section
from capacity.units import format_bytes, format_fraction, format_seconds

__all__ = ["allotment_conf", "allotment_text"]

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
    if console.width < 100:
        table.padding, table.show_edge = 0, False
    table.add_column("pool", overflow="fold")
    for name in ("pm", "workers", "needed", "wanted", "carries", "memory", "workers busy", "95 % within"):
        table.add_column(name, justify="left" if name == "pm" else "right", overflow="fold")
    table.add_column("verdict", no_wrap=True)
    for share in result.pools:
        table.add_row(*_cells(share))
    return table


def _cells(share: PoolShare) -> list[str | Text]:
    seen, within = share.prediction, share.prediction.response_time_p95
    return [
        share.name,
        share.pool.pm,
        str(share.pool.max_children),
        *(_NOTHING if count is None else str(count) for count in (share.needed, share.wanted)),
        f"{share.load_factor:.2f} x",
        format_bytes(share.worst_case_memory),
        format_fraction(round(seen.utilization, 3)),
        "endless" if within is None else format_seconds(within),
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
