"""``capacity forecast``: what numbers of users do to a pool."""

from __future__ import annotations

from typing import Any

import click

from capacity.cli.options import (
    MOST_USERS,
    given_fields,
    model_option,
    scenario_options,
    step_option,
    users_of_step,
    whole_numbers,
)
from capacity.cli.output import format_option, output_option, render_table, tell, write

_MOST_WORKERS = 2**22  # capacity.pool.MOST_PROCESSES, which --help must not load


@click.command()
@scenario_options
@click.option(
    "--workers",
    type=click.IntRange(1, _MOST_WORKERS),
    default=None,
    help="Workers of the pool; by default today's max_children.",
)
@click.option("--at", default=None, metavar="N,N,...", help="Numbers of users, such as 50,80,100,150,200.")
@model_option
@step_option
@click.option(
    "--window", default=None, metavar="TIME", help="Show where 90 of 100 windows of this length lie, such as 1h."
)
@format_option("table", "json")
@output_option
def forecast(
    scenario: str | None,
    pool_file: str | None,
    pool_name: str | None,
    measure: bool | None,
    workers: int | None,
    at: str | None,
    model: str,
    step: str | None,
    window: str | None,
    output_format: str,
    output: str | None,
    **fields: Any,
) -> int:
    """Predict what numbers of users do to a pool.

    Also says the most users that each verdict takes.

    \b
    Examples:
      capacity forecast
      capacity forecast --workers 40 --at 80,100,150,200
      capacity forecast --workers 40 --at 170,180 --window 1min
      capacity forecast --pool-file /etc/php/8.2/fpm/pool.d/www.conf --users 150 --step 50:150
      capacity forecast --workers 8 --cpus 2 --service-time 650ms --cpu-time 650ms --think-time 44.35s --model finite
    """  # noqa: D301 click wants the escape itself
    from capacity.cli.intake import take_in, tell_assumptions
    from capacity.prediction import USERS
    from capacity.prediction import forecast as forecast_pool
    from capacity.units import parse_seconds

    users = USERS if at is None else whole_numbers(at, "--at", most=MOST_USERS, shown_most="10^9", example="50,80,100")
    rush = None if step is None else users_of_step(step)
    seconds = None if window is None else parse_seconds(window, name="--window")
    intake = take_in(scenario, given_fields(fields), pool_file=pool_file, pool_name=pool_name, measure=measure)
    tell_assumptions(intake)
    pool = workers if workers is not None else known_pool(intake.scenario)
    result = forecast_pool(
        intake.scenario,
        pool=pool,
        users=users,
        model=model,  # type: ignore[arg-type]
        step=rush,
        window=seconds,
    )
    result = result.model_copy(update={"assumptions": intake.assumptions + result.assumptions})
    if output_format == "json":
        write(result.to_json(), output)
    else:
        from capacity.report.text import forecast_text

        render_table(lambda console: forecast_text(result, console), output)
    return 0


def known_pool(scenario: Any) -> Any:
    """Today's pool, or the recommended one where none is known."""
    from capacity.recommendation import recommend

    if scenario.pool is not None:
        return scenario.pool
    tell("Note: no pool is given; this is the recommended one")
    return recommend(scenario).pool
