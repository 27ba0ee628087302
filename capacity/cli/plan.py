"""``capacity plan``: what has to change on this host, as data for an apply tool or as something to read or run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from capacity.cli.options import given_fields, scenario_options
from capacity.cli.output import check_writable, format_of, format_option, output_option, render_table, tell, write
from capacity.errors import InvalidInput, MeasurementError, Problem, UnreadableFile
from capacity.units import shown

if TYPE_CHECKING:
    from capacity.measure import RunningPool
    from capacity.plan.installation import Installation
    from capacity.plan.model import ChangePlan

INFEASIBLE, STALE = 3, 4
_FORMATS = ("table", "json", "diff", "markdown", "shell")


@click.command()
@scenario_options
@click.option("--env-file", default=None, metavar="FILE", help="The application's .env: sessions and cache to Redis.")
@click.option("--url", default=None, help="Address asked before and after, such as http://127.0.0.1/.")
@click.option("--expect-status", type=click.IntRange(100, 599), default=200, show_default=True, help="What it answers.")
@click.option(
    "--also", multiple=True, metavar="DIRECTIVE", help="Set listen.backlog or request_terminate_timeout, too."
)
@click.option("--fpm-config", default=None, metavar="FILE", help="FPM's main configuration, if it is not found.")
@click.option("--php-fpm", default=None, metavar="BINARY", help="FPM's binary, if it is not the running one.")
@click.option("--service", default=None, help="FPM's service, such as php8.2-fpm.")
@click.option("--pid-file", default=None, metavar="FILE", help="FPM's pid file, if [global] does not name it.")
@click.option("--redis-service", default=None, help="The service of Redis, such as redis-server.")
@click.option("--redis-pid-file", default=None, metavar="FILE", help="Its pid file, where systemd does not run.")
@click.option("--app-user", default=None, help="Whom the application's artisan runs as.")
@click.option(
    "--backup-dir", default=None, metavar="DIR", help="Where backups go.  [default: /var/backups/fpm-capacity]"
)
@click.option("--from", "stored", default=None, metavar="PLAN.json", help="Show a plan that was made before.")
@click.option(
    "--check", default=None, metavar="PLAN.json", help="Only see whether this host is still as it was planned for."
)
@format_option(*_FORMATS, by_suffix=True)
@output_option
def plan(
    scenario: str | None,
    pool_file: str | None,
    pool_name: str | None,
    measure: bool | None,
    stored: str | None,
    check: str | None,
    output_format: str | None,
    output: str | None,
    **others: Any,
) -> int:
    """Plan the change to the recommended pool; changes nothing.

    \b
    Examples:
      capacity plan --pool-file /etc/php/8.2/fpm/pool.d/app.conf --users 150
      capacity plan site.toml --pool-file app.conf --env-file /srv/app/.env --url http://127.0.0.1/ -o plan.json
      capacity plan --from plan.json --format markdown
      capacity plan --from plan.json -o plan.sh      # then, on the host: sh plan.sh --dry-run
      capacity plan --check plan.json

    Exit code 3 says that no pool within the limits meets the objective (the plan brings the most the host can
    carry), 4 that the host is not as the plan found it any more.
    """  # noqa: D301 click wants the escape itself
    check_writable(output)
    if check is not None and stored is not None:
        raise InvalidInput([Problem("--check", "goes without --from", "both")])
    if check is not None:
        return _check(check, output)
    if stored is not None:
        made, feasible = _stored(stored), True
    else:
        made = _made(scenario, pool_file, pool_name, measure, others)
        feasible = made.prediction.feasible
    for note in made.notes if stored is None else ():
        tell(f"Note: {note}")
    _render(made, output_format or format_of(output, *_FORMATS), output)
    if not made.steps:
        tell(f"Nothing has to be changed: pool {made.pool} is as it is recommended.")
    if not feasible:
        tell("Infeasible: no pool within the limits meets the objective.")
    return 0 if feasible else INFEASIBLE


def _made(
    scenario: str | None, pool_file: str | None, pool_name: str | None, measure: bool | None, others: dict[str, Any]
) -> ChangePlan:
    from capacity.cli.intake import take_in, tell_assumptions
    from capacity.plan.application import inspect_application
    from capacity.plan.builder import BACKUPS, build_plan
    from capacity.plan.installation import inspect_installation
    from capacity.recommendation import recommend

    _check_names(others)
    if pool_file is None:
        hint = "such as /etc/php/8.2/fpm/pool.d/www.conf"
        raise InvalidInput([Problem("--pool-file", "is needed: it is the file to change", hint=hint)])
    if Path(pool_file).exists() and not Path(pool_file).is_file():
        message = f"{shown(pool_file, longest=200)}: not a regular file, so nothing can be changed in it"
        raise UnreadableFile(message)
    intake = take_in(scenario, given_fields(others), pool_file=pool_file, pool_name=pool_name, measure=measure)
    tell_assumptions(intake)
    running = _running(intake.pool_name, pool_file)
    installation = inspect_installation(
        pool_file,
        intake.pool_name,
        config=others["fpm_config"] or (running.config if running else None),
        binary=others["php_fpm"] or (_binary(running) if running else None),
        service=others["service"],
        pid_file=others["pid_file"],
        running=running is not None,
    )
    application = None
    if others["env_file"] is not None:
        application = inspect_application(
            others["env_file"],
            version=installation.version,
            user=others["app_user"],
            redis_service=others["redis_service"],
            redis_pid_file=others["redis_pid_file"],
        )
    _tell_unseen(installation, others)
    recommendation = recommend(intake.scenario).with_assumptions(intake.assumptions)
    return build_plan(
        intake.scenario,
        recommendation,
        installation,
        application,
        url=others["url"],
        expect_status=others["expect_status"],
        also=others["also"],
        backup_directory=others["backup_dir"] or BACKUPS,
    )


def _check_names(options: dict[str, Any]) -> None:
    """Refuse what a plan may not hold before anything is looked at, and before a binary is asked."""
    from capacity.plan.allowed import FpmBinary, Owner, PathName, Service, Url, checked
    from capacity.plan.probe import is_file, user_exists

    kinds = {
        "url": Url,
        "php_fpm": FpmBinary,
        "service": Service,
        "pid_file": PathName,
        "redis_service": Service,
        "redis_pid_file": PathName,
        "app_user": Owner,
        "backup_dir": PathName,
    }
    problems: list[Problem] = []
    for name, kind in kinds.items():
        if options[name] is not None:
            try:
                checked(kind, options[name], name="--" + name.replace("_", "-"))
            except InvalidInput as error:
                problems += error.problems
    if options["app_user"] is not None and not problems and not user_exists(options["app_user"]):
        problems.append(Problem("--app-user", "must be a user of this host", shown(options["app_user"])))
    if problems:
        raise InvalidInput(problems)
    binary = options["php_fpm"]
    if binary is not None and "/" in binary and not is_file(binary):
        message = f"--php-fpm {shown(binary, longest=200)}: there is no such file"
        raise UnreadableFile(message)


def _tell_unseen(installation: Installation, options: dict[str, Any]) -> None:
    """What would make the plan refused on this very host is better known now."""
    from capacity.plan.probe import http_status, service_active

    there = service_active(installation.service, installation.pid_file, (Path(installation.binary).name[:15],))
    if installation.running and not there:
        known = f"pid file {installation.pid_file}" if installation.pid_file else "no pid file is known"
        tell(f"Note: {installation.service} is not seen to run ({known}): give --pid-file or --service")
    if options["url"] is not None and installation.running:
        status = http_status(options["url"])
        if status != options["expect_status"]:
            answer = "nothing" if status is None else status
            wanted = options["expect_status"]
            tell(f"Note: {options['url']} answers {answer}, not {wanted}: as long as that is so, the plan will not be "
                 "carried out")  # fmt: skip


def _running(pool: str, pool_file: str) -> RunningPool | None:
    """The running pool that reads this file, if this host has one."""
    from capacity.measure import list_pools

    real = str(Path(pool_file).resolve())
    try:
        return next((p for p in list_pools() if p.name.lower() == pool.lower() and real in p.files), None)
    except MeasurementError as error:
        tell(f"Note: what runs on this machine cannot be seen: {error}")
        return None


def _binary(running: RunningPool) -> str | None:
    try:
        path = str(Path(f"/proc/{running.master_pid}/exe").readlink())
    except OSError:
        return None
    return path if Path(path).name.startswith("php-fpm") else None


def _stored(path: str) -> ChangePlan:
    from capacity.cli.intake import read_named
    from capacity.plan.model import read_plan

    try:
        return read_plan(read_named(path, "plan"))
    except InvalidInput as error:
        label = shown(path, longest=200)
        raise InvalidInput(replace(problem, field=f"{label}: {problem.field}") for problem in error.problems) from None


def _check(path: str, output: str | None) -> int:
    from capacity.plan.check import check_plan

    made = _stored(path)
    found = check_plan(made)
    lines = [f"{staleness}" for staleness in found] or ["This host is as the plan found it."]
    write("\n".join(line if line.isprintable() else repr(line)[1:-1] for line in lines), output)
    done = found and all(
        s.kind in {"file_sha256", "http_status"} and "has the planned content" in s.message for s in found
    )
    if done:
        tell(f"Plan {made.plan_id[:12]} is carried out already.")
    elif found:
        tell(f"Stale: plan {made.plan_id[:12]} cannot be carried out on this host; make it anew.")
    return STALE if found else 0


def _render(made: ChangePlan, output_format: str, output: str | None) -> None:
    if output_format == "json":
        write(made.to_json(), output)
    elif output_format == "diff":
        from capacity.plan.diff import plan_diff

        write(plan_diff(made), output)
    elif output_format == "shell":
        from capacity.plan.shell import plan_shell

        write(plan_shell(made), output)
    elif output_format == "markdown":
        from capacity.report.plan import plan_markdown

        write(plan_markdown(made), output)
    else:
        from capacity.report.plan import plan_text

        render_table(lambda console: plan_text(made, console), output)
