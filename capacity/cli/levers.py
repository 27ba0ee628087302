"""``capacity levers``: what gets a pool to a number of users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import click

from capacity.cli.options import given_fields, scenario_options
from capacity.cli.output import format_option, output_option, render_table, tell, write
from capacity.errors import InvalidInput, Problem
from capacity.units import shown

UNREACHABLE: Final = 3
_CASE_STUDY_TARGET: Final = 200
_OPTIONS: Final = {"users": "--users", "effects": "--effects", "costs": "--costs"}


@click.command()
@scenario_options
@click.option(
    "--verdict",
    type=click.Choice(["comfortable", "manageable", "watch"]),
    default="watch",
    help="What that number of users must get, or better.",
)
@click.option(
    "--effects",
    multiple=True,
    metavar="LEVER=X,...",
    help="How far levers are pulled, such as page-cache=0.4,more-hosts=3.",
)
@click.option(
    "--costs", multiple=True, metavar="LEVER=X,...", help="What they cost, such as more-memory=20; of hosts, each."
)
@format_option("table", "json")
@output_option
def levers(
    scenario: str | None,
    pool_file: str | None,
    pool_name: str | None,
    measure: bool | None,
    verdict: str,
    effects: Sequence[str],
    costs: Sequence[str],
    output_format: str,
    output: str | None,
    **fields: Any,
) -> int:
    """Compare what can be done to get to a number of users.

    --users N is that number. Each lever is tried alone, with the pool recommended anew: how many users it gets to,
    how far it had to be pulled, and why it does nothing where something else limits. Then the fewest levers that
    together are enough, and with --costs what gets furthest for its price.

    \b
    Levers, with what LEVER=X states:
      page-cache=0.3        share of requests answered in front of PHP
      opcache=0.01          share of the CPU time saved
      redis-sessions=0.2    share of the database's time saved
      fewer-queries=0.2     the same, by indexes and fewer queries
      shorter-service=0.2   share of the whole service time saved
      slow-endpoints=0.2    share of all time in PHP that goes elsewhere
      more-memory=2         times the RAM
      more-cores=2          times the cores
      faster-cores=1.25     times as fast
      more-hosts=2          hosts
      more-workers=2        times today's workers, at most
      shorter-timeouts=2    timeouts so many times shorter

    \b
    Examples:
      capacity levers --users 200
      capacity levers site.toml --users 800 --verdict manageable
      capacity levers --users 300 --costs more-hosts=60,more-memory=20,page-cache=10

    Exit code 3 says that no three levers, pulled so far, are enough.
    """  # noqa: D301 click wants the escape itself
    from capacity.cli.intake import take_in, tell_assumptions
    from capacity.levers import compare_levers

    given = given_fields(fields)
    target = given.pop("workload.users", _CASE_STUDY_TARGET if scenario is None else None)
    if target is None:
        raise InvalidInput([Problem("--users", "is needed: the number of users to get to")])
    pulled, prices = _numbers(effects, "--effects"), _numbers(costs, "--costs")
    intake = take_in(scenario, given, pool_file=pool_file, pool_name=pool_name, measure=measure)
    intake = replace(intake, assumptions=tuple(a for a in intake.assumptions if a.field != "workload.users"))
    tell_assumptions(intake)
    try:
        result = compare_levers(
            intake.scenario,
            users=target,
            verdict=verdict,  # type: ignore[arg-type]
            effects=pulled,
            costs=prices,
        )
    except InvalidInput as error:
        raise InvalidInput(_by_option(problem) for problem in error.problems) from None
    result = result.model_copy(update={"assumptions": intake.assumptions + result.assumptions})
    if output_format == "json":
        write(result.to_json(), output)
    else:
        from capacity.report.levers import levers_text

        render_table(lambda console: levers_text(result, console), output)
    if not result.reachable:
        tell(f"Out of reach: no three of these levers get the pool to {target} users.")
    return 0 if result.reachable else UNREACHABLE


def _by_option(problem: Problem) -> Problem:
    """Name the option that a problem is of."""
    word, space, rest = problem.field.partition(" ")
    return replace(problem, field=f"{_OPTIONS.get(word, word)}{space}{rest.replace('_', '-') if space else rest}")


def _numbers(texts: Sequence[str], option: str) -> dict[str, float]:
    """Levers and numbers that an option lists with commas."""
    numbers: dict[str, float] = {}
    for part in ",".join(texts).split(",") if texts else ():
        name, equals, value = part.partition("=")
        lever = name.strip().replace("-", "_")
        if lever in numbers:
            raise InvalidInput([Problem(f"{option} {shown(name.strip())}", "is given twice")])
        try:
            numbers[lever] = float(value)
        except ValueError:
            equals = ""
        if not equals:
            raise InvalidInput([Problem(option, "must be LEVER=NUMBER", shown(part), "such as more-hosts=3")])
    return numbers
