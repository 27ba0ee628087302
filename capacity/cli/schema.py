"""``capacity schema``: the JSON Schema of what goes in and what comes out."""

from __future__ import annotations

import click

from capacity.cli.output import output_option, write

WHAT = (
    "scenario",
    "recommendation",
    "forecast",
    "comparison",
    "replay",
    "levers",
    "sensitivity",
    "allotment",
    "hosts",
    "pods",
    "growth",
    "plan",
)


@click.command()
@click.argument("what", type=click.Choice(WHAT), default="scenario")
@output_option
def schema(what: str, output: str | None) -> int:
    """Print the JSON Schema of an input or a result.

    By default, of a scenario.

    Every field with a dimension says its unit.
    """
    import json

    from capacity.fleet.results import Allotment, Growth, HostPlan, PodPlan
    from capacity.presented import Result
    from capacity.results import Comparison, Forecast, Recommendation, Replay
    from capacity.scenario import Scenario
    from capacity.what_if_results import LeverComparison, Sensitivity

    document: dict[str, object] = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    if what == "scenario":
        document |= Scenario.model_json_schema(mode="validation")
    elif what == "plan":
        from importlib.resources import files

        # shipped as a file, for tools that are not written in Python
        write(files("capacity.plan").joinpath("plan.schema.json").read_text(encoding="utf-8"), output)
        return 0
    else:
        results: dict[str, type[Result]] = {
            "recommendation": Recommendation,
            "forecast": Forecast,
            "comparison": Comparison,
            "replay": Replay,
            "levers": LeverComparison,
            "sensitivity": Sensitivity,
            "allotment": Allotment,
            "hosts": HostPlan,
            "pods": PodPlan,
            "growth": Growth,
        }
        document |= results[what].model_json_schema(mode="serialization")
    write(json.dumps(document, indent=2, ensure_ascii=False), output)
    return 0
