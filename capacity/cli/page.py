"""``capacity page``: the what-if page, one file that needs nothing but a browser."""

from __future__ import annotations

from typing import Any

import click

from capacity.cli.options import given_fields, scenario_options
from capacity.cli.output import check_writable, language_option, output_option, tell, write


@click.command()
@scenario_options
@language_option
@output_option
def page(
    scenario: str | None,
    pool_file: str | None,
    pool_name: str | None,
    measure: bool | None,
    language: str | None,
    output: str | None,
    **fields: Any,
) -> None:
    """Write the what-if page: sliders in one offline HTML file.

    They recommend as they are moved, and begin where the scenario is; whoever opens the file needs neither Python nor
    a network.

    \b
    Examples:
      capacity page -o whatif.html
      capacity page site.toml --lang es -o whatif.html
    """  # noqa: D301 click wants the escape itself
    from capacity.cli.intake import take_in, tell_assumptions
    from capacity.page import whatif_page
    from capacity.report.html import HTML_MARK

    check_writable(output)
    intake = take_in(scenario, given_fields(fields), pool_file=pool_file, pool_name=pool_name, measure=measure)
    tell_assumptions(intake)
    write(whatif_page(intake.scenario, language=language or "en"), output, replaces=HTML_MARK)
    if output not in (None, "-"):
        tell(f"Open {output} in a browser.")
