"""``capacity recommend``: the pool to run, why, and how many users it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from capacity.cli.options import given_fields, scenario_options, step_option, users_of_step
from capacity.cli.output import format_of, format_option, language_option, output_option, render_table, tell, write
from capacity.errors import InvalidInput, Problem

if TYPE_CHECKING:
    from capacity.cli.intake import Intake
    from capacity.results import Recommendation

INFEASIBLE = 3
_REPORTS = ("html", "markdown")
_FORMATS = ("table", "json", "conf", *_REPORTS)


@click.command()
@scenario_options
@step_option
@format_option(*_FORMATS, by_suffix=True)
@language_option
@output_option
def recommend(
    scenario: str | None,
    pool_file: str | None,
    pool_name: str | None,
    measure: bool | None,
    step: str | None,
    output_format: str | None,
    language: str | None,
    output: str | None,
    **fields: Any,
) -> int:
    """Recommend a pool: how many workers, and for how many users.

    For SCENARIO.toml (- reads it from standard input), for a pool of this host, or for the built-in case study.

    \b
    Examples:
      capacity recommend
      capacity recommend --ram 8GiB --cpus 4 --cpu-time 60ms --users 300
      capacity recommend --pool-file /etc/php/8.2/fpm/pool.d/www.conf
      capacity recommend site.toml --format conf
      capacity recommend site.toml --lang es -o report.html
      capacity recommend --process-manager auto --step 50:150

    Exit code 3 says that no pool within the limits meets the objective.
    """  # noqa: D301 click wants the escape itself
    from capacity.cli.intake import take_in, tell_assumptions
    from capacity.recommendation import recommend as recommend_scenario

    output_format = output_format or format_of(output, *_FORMATS)
    if language is not None and output_format not in _REPORTS:
        raise InvalidInput([Problem("--lang", "goes with --format html or markdown", output_format)])
    rush = None if step is None else users_of_step(step)
    intake = take_in(scenario, given_fields(fields), pool_file=pool_file, pool_name=pool_name, measure=measure)
    tell_assumptions(intake)
    result = recommend_scenario(intake.scenario, step=rush).with_assumptions(intake.assumptions)
    if output_format == "json":
        write(result.to_json(), output)
    elif output_format == "conf":
        from capacity.report.conf import recommendation_conf

        write(recommendation_conf(result, pool=intake.pool_name), output)
    elif output_format in _REPORTS:
        _report(result, intake, pool_file, output_format, language or "en", output)
    else:
        from capacity.report.text import recommendation_text

        render_table(lambda console: recommendation_text(result, console), output)
    if not result.feasible:
        tell("Infeasible: no pool within the limits meets the objective.")
    return 0 if result.feasible else INFEASIBLE


def _report(
    result: Recommendation, intake: Intake, pool_file: str | None, kind: str, language: str, output: str | None
) -> None:
    """Write a report; what it may write over is another of its kind."""
    from capacity.report.document import MARKDOWN_MARK, recommendation_markdown
    from capacity.report.html import HTML_MARK, recommendation_html

    render, mark = (recommendation_html, HTML_MARK) if kind == "html" else (recommendation_markdown, MARKDOWN_MARK)
    pool = None if pool_file is None else intake.pool_name
    write(render(result, intake.scenario, language=language, pool=pool), output, replaces=mark)
