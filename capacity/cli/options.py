"""The options that override a scenario, and the fields they set."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

MOST_USERS: Final = 10**9

# option, scenario field, type, help; sizes and times are read by the scenario itself, which wants their unit
FIELDS: Final = (
    ("--ram", "host.ram", str, "Memory of the host, such as 4GiB."),
    ("--reserved", "host.reserved", str, "Memory for everything that is not PHP, such as 1.5GiB."),
    ("--cpus", "host.cpus", float, "CPU cores for PHP; a container's quota may be fractional."),
    ("--cpus-reserved", "host.cpus_reserved", float, "Cores that other work on the host keeps busy, such as 0.5."),
    ("--database-connections", "host.database_connections", int, "Connections the database accepts."),
    ("--somaxconn", "host.somaxconn", int, "The kernel's net.core.somaxconn."),
    ("--database-connections-reserved", "host.database_connections_reserved", int, "Connections kept for others."),
    ("--worker-memory", "worker.memory", str, "Private memory of a worker at a request's peak, such as 64MiB."),
    ("--shared-memory", "worker.shared_memory", str, "Memory all workers share (OPcache, libraries), such as 128MiB."),
    ("--service-time", "workload.service_time", str, "Time a request holds a worker at light load, such as 250ms."),
    ("--cpu-time", "workload.cpu_time", str, "CPU time a request needs, such as 60ms."),
    ("--database-time", "workload.database_time", str, "Time a request uses its database connection, such as 80ms."),
    ("--overhead-time", "workload.overhead_time", str, "Time a request holds its worker beside service_time: 0.3ms."),
    ("--web-server-cpu-time", "workload.web_server_cpu_time", str, "CPU the web server needs a request: 0.2ms."),
    ("--service-scv", "workload.service_scv", float, "Squared coefficient of variation of the service time."),
    ("--think-time", "workload.think_time", str, "Pause between a user's answer and next click, such as 30s."),
    ("--users", "workload.users", int, "Simultaneous users to plan for."),
    ("--arrival-rate", "workload.arrival_rate", str, "Requests a second to plan for, instead of users; 120 or 120/s."),
    ("--requests-per-click", "workload.requests_per_click", float, "PHP requests one click makes."),
    ("--response-time", "objective.response_time", str, "Objective: the response time to keep, such as 800ms."),
    ("--percentile", "objective.percentile", float, "Share of requests that must keep it, such as 0.95."),
    ("--max-utilization", "objective.max_utilization", float, "Objective: busiest allowed, such as 0.8."),
    ("--apdex-time", "objective.apdex_time", str, "Time within which a user is satisfied, such as 500ms."),
    ("--apdex", "objective.apdex", float, "Objective: least Apdex at that time, such as 0.9."),
    ("--headroom", "policy.headroom", float, "Factor on the expected load to size for, such as 1.25."),
    ("--spares", "policy.spares", str, "How spare servers are chosen: proportional or burst."),
    (
        "--load-before-step",
        "policy.load_before_step",
        float,
        "For burst: load before a step to the expected load, 0.3.",
    ),
    ("--step-waiting-time", "policy.step_waiting_time", str, "For burst: mean wait allowed after it, such as 100ms."),
    ("--process-manager", "policy.process_manager", str, "keep today's process manager, or auto."),
    ("--process-max", "policy.process_max", int, "FPM's process.max, the limit on workers of all pools."),
    ("--pools-on-host", "policy.pools_on_host", int, "How many pools share the host."),
    ("--web-server-timeout", "policy.web_server_timeout", str, "How long the web server waits, such as 60s."),
)
OPTION_OF: Final = {field: option for option, field, _, _ in FIELDS}


def scenario_options(command: Command) -> Command:
    """Add the SCENARIO argument and every option that overrides a field of it."""
    for option, field, kind, text in reversed(FIELDS):
        command = click.option(option, field.replace(".", "__"), type=kind, default=None, help=text)(command)
    pool = click.option("--pool", "pool_name", default=None, metavar="NAME", help="Pool of the pool file to look at.")
    file = click.option(
        "--pool-file", default=None, metavar="FILE", help="Read today's settings from this FPM file (pool.d/www.conf)."
    )
    measure = click.option(
        "--measure/--no-measure",
        default=None,
        help="With --pool-file: whether to look at this machine where that pool runs.",
    )
    return click.argument("scenario", required=False, default=None, metavar="[SCENARIO.toml | -]")(
        file(pool(measure(command)))
    )


model_option = click.option(
    "--model",
    type=click.Choice(["open", "finite"]),
    default="open",
    help="open: requests keep coming whatever happens; finite: who waits sends nothing.",
)


step_option = click.option(
    "--step", default=None, metavar="N:N", help="A sudden step in users, such as 50:150, tick by tick."
)


def users_of_step(text: str) -> tuple[int, int]:
    """Users before and after the step that ``--step`` states."""
    parts = re.fullmatch("([0-9]{1,10}):([0-9]{1,10})", text.strip())
    if parts is None or int(parts[1]) > MOST_USERS or not 1 <= int(parts[2]) <= MOST_USERS:
        message = f"must be users before and after, such as 50:150; got {text[:60]!r}"
        raise click.BadParameter(message, param_hint="--step")
    return int(parts[1]), int(parts[2])


def whole_numbers(text: str, option: str, *, most: int, shown_most: str, example: str) -> list[int]:
    """Whole numbers from 1 on that an option lists with commas."""
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch(f"[0-9]{{1,{len(str(most))}}}", part) and 1 <= int(part) <= most for part in parts):
        message = f"must be whole numbers from 1 to {shown_most}, such as {example}; got {text[:60]!r}"
        raise click.BadParameter(message, param_hint=option)
    return [int(part) for part in parts]


def given_fields(values: dict[str, Any]) -> dict[str, Any]:
    """Fields set on the command line, by their dotted name."""
    return {name.replace("__", "."): value for name, value in values.items() if "__" in name and value is not None}
