"""``capacity fleet``: several pools on one host, several hosts, pods, and growth."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import click

from capacity.cli.options import given_fields, model_option, scenario_options
from capacity.cli.output import format_option, output_option, render_table, tell, write
from capacity.cli.recommend import INFEASIBLE
from capacity.errors import InvalidInput, Problem

if TYPE_CHECKING:
    from capacity.cli.intake import Intake

_BALANCINGS: Final = ("round_robin", "random", "least_connections", "shared_queue")
_MOST_WORKERS: Final = 2**22


class _PoolsFirst(click.Group):
    """A group in which what is no question of its own is the fleet file of ``pools``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in self.get_help_option_names(ctx):
            args = ["pools", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_PoolsFirst, context_settings={"help_option_names": ["-h", "--help"]})
def fleet() -> None:
    """Plan pools that share a host, many hosts, pods, and growth.

    \b
    Examples:
      capacity fleet FLEET.toml            who gets how many of the workers one host can carry
      capacity fleet hosts --users 600     how many hosts, with one to spare
      capacity fleet pods pod.toml         how many pods, of which size
      capacity fleet growth --yearly-growth 0.5    until when the pool is enough
    """  # noqa: D301 click wants the escape itself


@fleet.command()
@click.argument("file", metavar="FLEET.toml | -")
@format_option("table", "json", "conf")
@output_option
def pools(file: str, output_format: str, output: str | None) -> int:
    """Allot the workers that one host can carry to its pools.

    FLEET.toml is a scenario file with a [[pool]] a pool (- reads it from standard input).

    \b
    Examples:
      capacity fleet FLEET.toml
      capacity fleet FLEET.toml --format conf

    Exit code 3 says that the host cannot carry all pools at their expected load.
    """  # noqa: D301 click wants the escape itself
    from capacity.cli.intake import read_tables
    from capacity.fleet import Fleet, allot_pools

    result = allot_pools(Fleet.from_mapping(read_tables(file)))
    if output_format == "json":
        write(result.to_json(), output)
    elif output_format == "conf":
        from capacity.report.fleet import allotment_conf

        write(allotment_conf(result), output)
    else:
        from capacity.report.fleet import allotment_text

        render_table(lambda console: allotment_text(result, console), output)
    if not result.feasible:
        tell("Infeasible: the host cannot carry every pool at its expected load.")
    return 0 if result.feasible else INFEASIBLE


def _balancing_option(default: str) -> Callable[..., Callable[..., object]]:
    return click.option(
        "--balancing", type=click.Choice(_BALANCINGS), default=default, help="How the balancer chooses a host."
    )


def _count_option(name: str, default: int, text: str) -> Callable[..., Callable[..., object]]:
    return click.option(name, type=click.IntRange(0, 1000), default=default, show_default=True, help=text)


def _taken_in(
    scenario: str | None, pool_file: str | None, pool_name: str | None, measure: bool | None, fields: dict[str, Any]
) -> Intake:
    """Read the scenario, and say what was assumed for it."""
    from capacity.cli.intake import take_in, tell_assumptions

    intake = take_in(scenario, given_fields(fields), pool_file=pool_file, pool_name=pool_name, measure=measure)
    tell_assumptions(intake)
    return intake


@fleet.command()
@scenario_options
@_count_option("--spare-hosts", 1, "Hosts that may be out at once: failed, or being updated.")
@_count_option("--surge-hosts", 0, "Hosts that run in addition during an update, with connections of their own.")
@_balancing_option("round_robin")
@format_option("table", "json")
@output_option
def hosts(
    scenario: str | None,
    pool_file: str | None,
    pool_name: str | None,
    measure: bool | None,
    spare_hosts: int,
    surge_hosts: int,
    balancing: Any,
    output_format: str,
    output: str | None,
    **fields: Any,
) -> int:
    """Say how many equal hosts a load takes, and how many workers each.

    The scenario is one of the hosts, with the load of all of them and the connections of the one database they share.

    \b
    Examples:
      capacity fleet hosts --users 600
      capacity fleet hosts site.toml --users 2000 --spare-hosts 2 --balancing least_connections

    Exit code 3 says that no number of such hosts meets the objective.
    """  # noqa: D301 click wants the escape itself
    from capacity.fleet import size_hosts

    intake = _taken_in(scenario, pool_file, pool_name, measure, fields)
    result = size_hosts(intake.scenario, spare_hosts=spare_hosts, surge_hosts=surge_hosts, balancing=balancing)
    result = result.model_copy(update={"assumptions": intake.assumptions + result.assumptions})
    if output_format == "json":
        write(result.to_json(), output)
    else:
        from capacity.report.fleet import hosts_text

        render_table(lambda console: hosts_text(result, console), output)
    if not result.feasible:
        tell("Infeasible: no number of such hosts meets the objective.")
    return 0 if result.feasible else INFEASIBLE


@fleet.command()
@scenario_options
@_count_option("--spare-pods", 1, "Pods that may be missing at once (maxUnavailable, a node that fails).")
@_count_option("--surge-pods", 1, "Pods that run in addition during a rolling update (maxSurge).")
@_balancing_option("random")
@format_option("table", "json")
@output_option
def pods(
    scenario: str | None,
    pool_file: str | None,
    pool_name: str | None,
    measure: bool | None,
    spare_pods: int,
    surge_pods: int,
    balancing: Any,
    output_format: str,
    output: str | None,
    **fields: Any,
) -> int:
    """Say how many pods a load takes, and how many workers each.

    Also what pods of other sizes would take.

    The scenario is one pod: its memory and CPU limits are ram and cpus, and the load is that of all pods.

    \b
    Examples:
      capacity fleet pods pod.toml --arrival-rate 300/s
      capacity fleet pods pod.toml --surge-pods 2

    Exit code 3 says that no number of such pods meets the objective.
    """  # noqa: D301 click wants the escape itself
    from capacity.fleet import size_pods

    intake = _taken_in(scenario, pool_file, pool_name, measure, fields)
    result = size_pods(intake.scenario, spare_pods=spare_pods, surge_pods=surge_pods, balancing=balancing)
    result = result.model_copy(update={"assumptions": intake.assumptions})
    if output_format == "json":
        write(result.to_json(), output)
    else:
        from capacity.report.fleet import pods_text

        render_table(lambda console: pods_text(result, console), output)
    if not result.feasible:
        tell("Infeasible: no number of such pods meets the objective.")
    return 0 if result.feasible else INFEASIBLE


@fleet.command()
@scenario_options
@click.option(
    "--yearly-growth",
    default=None,
    metavar="FRACTION[:FRACTION:FRACTION]",
    help="Growth a year: 0.5 makes 150 of 100; low, expected and high as 0.2:0.5:0.8.",
)
@click.option("--series", default=None, metavar="FILE", help="Observed users to fit it to: lines of date,users.")
@click.option("--start", default=None, metavar="DATE", help="Today, such as 2026-01-31; by default the clock's.")
@click.option("--years", type=float, default=3, show_default=True, help="How far to look ahead.")
@click.option("--confidence", type=float, default=0.9, show_default=True, help="Of the band around a fitted trend.")
@click.option("--workers", type=click.IntRange(1, _MOST_WORKERS), default=None, help="Workers of the pool.")
@model_option
@format_option("table", "json")
@output_option
def growth(
    scenario: str | None,
    pool_file: str | None,
    pool_name: str | None,
    measure: bool | None,
    yearly_growth: str | None,
    series: str | None,
    start: str | None,
    years: float,
    confidence: float,
    workers: int | None,
    model: Any,
    output_format: str,
    output: str | None,
    **fields: Any,
) -> int:
    """Say until when a pool gives its growing users each verdict.

    \b
    Examples:
      capacity fleet growth --workers 40 --users 100 --yearly-growth 0.3
      capacity fleet growth site.toml --yearly-growth 0.2:0.5:0.8
      capacity fleet growth site.toml --series peaks.csv
    """  # noqa: D301 click wants the escape itself
    from capacity.cli.forecast import known_pool
    from capacity.fleet import grow

    first = date.today() if start is None else _day(start, "--start")
    growths = None if yearly_growth is None else _growths(yearly_growth)
    observed = None if series is None else _series(series)
    if (growths is None) == (observed is None):
        raise InvalidInput([Problem("--yearly-growth", "or --series is needed: one of the two, not both")])
    intake = _taken_in(scenario, pool_file, pool_name, measure, fields)
    result = grow(
        intake.scenario,
        start=first,
        yearly_growth=growths,
        series=observed,
        confidence=confidence,
        years=years,
        pool=workers if workers is not None else known_pool(intake.scenario),
        model=model,
    )
    result = result.model_copy(update={"assumptions": intake.assumptions + result.assumptions})
    if output_format == "json":
        write(result.to_json(), output)
    else:
        from capacity.report.fleet import growth_text

        render_table(lambda console: growth_text(result, console), output)
    return 0


def _day(text: str, name: str) -> date:
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        from capacity.units import shown

        raise InvalidInput([Problem(name, "must be a date, such as 2026-01-31", shown(text))]) from None


def _number(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        from capacity.units import shown

        raise InvalidInput([Problem(name, "must be a number", shown(text))]) from None


def _growths(text: str) -> tuple[float, float, float]:
    parts = [_number(part, "--yearly-growth") for part in text.split(":")]
    if len(parts) not in (1, 3):
        from capacity.units import shown

        rule = "must be one fraction, or low, expected and high, such as 0.2:0.5:0.8"
        raise InvalidInput([Problem("--yearly-growth", rule, shown(text))])
    low, expected, high = parts * 3 if len(parts) == 1 else parts
    return low, expected, high


def _series(path: str) -> list[tuple[date, float]]:
    """Observed users: a line a day, date and users; # begins a comment, and a line of names may come first."""
    from capacity.cli.intake import read_named

    rows: list[tuple[date, float]] = []
    for place, line in enumerate(read_named(path, "series").decode("utf-8-sig", "replace").splitlines(), start=1):
        day, _, users = line.partition(",")
        if not line.strip() or line.startswith("#") or (not rows and day.strip().isalpha()):
            continue
        rows.append((_day(day, f"--series, line {place}: date"), _number(users, f"--series, line {place}: users")))
    return rows
