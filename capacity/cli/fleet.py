"""``capacity fleet``: several pools on one host, several hosts, pods, and growth."""

from __future__ import annotations

import click

from capacity.cli.output import format_option, output_option, render_table, tell, write
from capacity.cli.recommend import INFEASIBLE


class _PoolsFirst(click.Group):
    """A group in which what is no question of its own is the fleet file of ``pools``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in self.get_help_option_names(ctx):
            args = ["pools", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_PoolsFirst, context_settings={"help_option_names": ["-h", "--help"]})
def fleet() -> None:
    """Plan several pools on one host, several hosts, pods, and growth.

    \b
    Examples:
      capacity fleet FLEET.toml    who gets how many of the workers one host can carry
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
