"""``capacity sensitivity``: which inputs the answer hangs on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import click

from capacity.cli.options import given_fields, scenario_options
from capacity.cli.output import format_option, output_option, render_table, write
from capacity.errors import InvalidInput

_OPTIONS: Final = {"spread": "--spread", "workers_by": "--workers-by"}


@click.command()
@scenario_options
@click.option(
    "--spread", type=float, default=0.1, help="Doubt about an input without an interval of its own; by default 0.1."
)
@click.option(
    "--workers-by", type=float, default=0.1, help="Change of the workers that is another answer; by default 0.1."
)
@click.option(
    "--verdict",
    type=click.Choice(["comfortable", "manageable", "watch"]),
    default="watch",
    help="Whose most users are looked at.",
)
@format_option("table", "json")
@output_option
def sensitivity(
    scenario: str | None,
    pool_file: str | None,
    pool_name: str | None,
    measure: bool | None,
    spread: float,
    workers_by: float,
    verdict: str,
    output_format: str,
    output: str | None,
    **fields: Any,
) -> int:
    """Say which inputs matter, and how wrong each may be.

    Every input is moved alone, between the ends that its source states (low and high in [sources], as capacity measure
    writes them), else by --spread, and a pool recommended at each end. Then the nearest values are found at which what
    binds, the verdict of the expected load, or the number of workers changes.

    \b
    Examples:
      capacity sensitivity
      capacity sensitivity site.toml --spread 0.2
    """  # noqa: D301 click wants the escape itself
    from capacity.cli.intake import take_in, tell_assumptions
    from capacity.doubt import sensitivity as sensitivity_of

    intake = take_in(scenario, given_fields(fields), pool_file=pool_file, pool_name=pool_name, measure=measure)
    tell_assumptions(intake)
    try:
        result = sensitivity_of(intake.scenario, spread=spread, workers_by=workers_by, verdict=verdict)  # type: ignore[arg-type]
    except InvalidInput as error:
        problems = (replace(each, field=_OPTIONS.get(each.field, each.field)) for each in error.problems)
        raise InvalidInput(problems) from None
    result = result.model_copy(update={"assumptions": intake.assumptions + result.assumptions})
    if output_format == "json":
        write(result.to_json(), output)
    else:
        from capacity.report.doubt import sensitivity_text

        render_table(lambda console: sensitivity_text(result, console), output)
    return 0
