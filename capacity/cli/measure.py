"""``capacity measure``: look at a running pool and its logs, and write a scenario with a source for every value."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from capacity.cli.gathering import Stages, gather
from capacity.cli.output import check_writable, output_option, render_table, tell, write
from capacity.errors import InvalidInput, MeasurementError, Problem
from capacity.units import shown

if TYPE_CHECKING:
    from capacity.estimation import Estimate
    from capacity.fpm.log_line import LineFormat
    from capacity.fpm.series import SeriesLoad
    from capacity.measure.listing import RunningPool
    from capacity.measure.survey import Evidence, Survey
    from capacity.scenario import Scenario

INCOMPLETE = 1
BEYOND = 5
_NEEDED = ("host.ram", "host.reserved", "host.cpus", "worker.memory", "workload.service_time")


@click.command()
@click.option("--pool", "pool_name", default=None, metavar="NAME", help="The pool, where several run.")
@click.option("--pool-file", default=None, metavar="FILE", help="Its file, where pools of one name run.")
@click.option("--for", "duration", default="60s", show_default=True, help="How long to watch the running pool.")
@click.option("--access-log", "logs", multiple=True, metavar="FILE", help="FPM's or the web server's; may be repeated.")
@click.option("--log-format", default=None, metavar="FORMAT", help="access.format, log_format or LogFormat of the log.")
@click.option("--error-log", default=None, metavar="FILE", help="FPM's error log.")
@click.option("--prometheus", default=None, metavar="URL", help="Monitoring with FPM's metrics, the last 24 hours.")
@click.option("--csv", "csv_file", default=None, metavar="FILE", help="Active processes over time (time, active).")
@click.option("--logs-only", is_flag=True, help="Look at the given logs only, not at this machine.")
@click.option("--against", default=None, metavar="SCENARIO.toml", help="Compare with this scenario's prediction.")
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["toml", "json"]),
    default="toml",
    help="How to write it; with --against toml is a table.",
)
@output_option
def measure(
    pool_name: str | None,
    pool_file: str | None,
    duration: str,
    logs: tuple[str, ...],
    log_format: str | None,
    error_log: str | None,
    prometheus: str | None,
    csv_file: str | None,
    logs_only: bool,
    against: str | None,
    output_format: str,
    output: str | None,
) -> int:
    """Measure a pool of this host, or logs, and write a scenario.

    Watches the pool's status page, its workers, their memory and the host; reads its access and error logs, which
    are found in its configuration. The scenario is for capacity recommend; what was seen goes to standard error, with
    what could not be seen and how to make it visible. Ctrl-C ends the watching and keeps what was gathered. Best as
    root.

    \b
    Examples:
      capacity measure --for 60s -o site.toml
      capacity measure --pool shop --access-log /var/log/nginx/access.log --for 5m
      capacity measure --logs-only --access-log access.log.gz --log-format '%R - %u %t "%m %r" %s %d %M %C'
      capacity measure --against site.toml

    Exit code 1 says that a value a scenario needs is missing, 5 that reality is beyond the prediction's band.
    """  # noqa: D301 click wants the escape itself
    from capacity.scenario import Scenario
    from capacity.units import parse_seconds

    seconds = 0.0 if duration in {"0", "0s"} else parse_seconds(duration, name="--for")
    planned = None if against is None else Scenario.from_toml(against)
    offline = bool(logs or prometheus or csv_file)
    if logs_only and not offline:
        raise InvalidInput([Problem("--logs-only", "goes with --access-log, --prometheus or --csv")])
    refuse_twice(logs)
    check_writable(output)
    pool, notes = (None, []) if logs_only else _choose(pool_name, pool_file, offline=offline)
    line_format = read_line_format(log_format)
    series = _series(prometheus, csv_file, pool_name)
    with Stages(notes) as stages:
        evidence = gather(pool, seconds, logs, error_log, line_format, series, stages)
        from capacity.measure.survey import survey

        found = survey(evidence)
        _tell(pool, evidence, found, notes)
        if planned is not None:
            return _compare(planned, evidence, found, output_format, output)
        return _write(pool, evidence, found, output_format, output)


def _choose(pool_name: str | None, pool_file: str | None, *, offline: bool) -> tuple[RunningPool | None, list[str]]:
    """Pick the running pool; None where logs or monitoring are all there is to look at."""
    from pathlib import Path

    from capacity.measure.listing import list_pools

    try:
        running = list_pools()
    except MeasurementError as error:
        if offline:
            return None, [f"no running pool was looked at: {error}"]
        raise
    chosen = [pool for pool in running if pool_name is None or pool.name.lower() == pool_name.lower()]
    if pool_file is not None:
        wanted = str(Path(pool_file).resolve())
        chosen = [pool for pool in chosen if wanted in pool.files]
    if len(chosen) == 1:
        return chosen[0], []
    if offline and not chosen:
        return None, ["no running pool was looked at: none of that name runs here" if running else _NOT_RUNNING]
    if not running:
        message = f"{_NOT_RUNNING}; start it, or give a log of another host with --access-log"
        raise MeasurementError(message)
    listed = _listed(chosen or running)
    if chosen:
        option = "--pool" if len({pool.name for pool in chosen}) > 1 else "--pool-file"
        raise InvalidInput([Problem(option, f"is needed: several pools run here: {listed}")])
    given = pool_file if pool_name is None else pool_name
    raise InvalidInput(
        [
            Problem(
                "--pool" if pool_name else "--pool-file",
                "is no pool that runs here",
                shown(given),
                f"here run: {listed}",
            )
        ]
    )


def _listed(pools: Sequence[RunningPool]) -> str:
    named = [f"{shown(pool.name)} (master {pool.master_pid}, {shown(pool.config)})" for pool in pools[:_MOST_LISTED]]
    more = f" and {len(pools) - _MOST_LISTED} more" if len(pools) > _MOST_LISTED else ""
    return "; ".join(named) + more


_MOST_LISTED = 10
_NOT_RUNNING = "no php-fpm runs here"


def refuse_twice(logs: Sequence[str]) -> None:
    """Refuse a log that is given twice."""
    if len(set(logs)) < len(logs):
        raise InvalidInput([Problem("--access-log", "is given twice with one file: its requests would count double")])


def read_line_format(text: str | None) -> LineFormat | None:
    """Read what --log-format says, in any of the three dialects."""
    if text is None:
        return None
    from capacity.fpm.access_format import access_format
    from capacity.fpm.web_format import apache_format, nginx_format

    if not text.isprintable():
        raise InvalidInput([Problem("--log-format", "must be one line of text", shown(text))])
    if "$" in text:
        return nginx_format(text)
    try:
        return access_format(text, name="--log-format")
    except InvalidInput as refused:
        # The dialects share the percent sign: what FPM does not know may be Apache's.
        try:
            return apache_format(text)
        except InvalidInput:
            raise refused from None


def _series(prometheus: str | None, csv_file: str | None, pool: str | None) -> SeriesLoad | None:
    if prometheus is not None:
        from capacity.fpm.series import load_of
        from capacity.measure.prometheus import active_processes

        return load_of(*active_processes(prometheus, pool=pool))
    if csv_file is None:
        return None
    from capacity.fpm.series import ACCEPTED, ACTIVE, load_of, read_csv
    from capacity.measure.logs import chunks_of

    found = read_csv(chunk for chunk, _ in chunks_of(csv_file))
    active = [s for s in found if s.name == ACTIVE and (pool is None or s.labels.get("pool", pool) == pool)]
    if len(active) != 1:
        names = list(dict.fromkeys(s.labels.get("pool", "?") for s in found if s.name == ACTIVE))
        listed = ", ".join(map(shown, names[:_MOST_LISTED]))
        rule = "is needed: the CSV has several pools" if active else "is not in the CSV"
        raise InvalidInput([Problem("--pool", rule, hint=f"it has {listed}" if listed else "")])
    accepted = [s for s in found if s.name == ACCEPTED and s.labels == active[0].labels]
    return load_of(active[0], accepted[0] if accepted else None)


def _tell(pool: RunningPool | None, evidence: Evidence, found: Survey, notes: Sequence[str]) -> None:
    from capacity.report.survey import survey_text

    name = None if pool is None else pool.name
    render_table(lambda console: survey_text(name, evidence, found, notes, console), None, err=True)


def _tables(pool: RunningPool | None, found: Survey) -> dict[str, dict[str, Any]]:
    """Tables of a scenario file, with a source for every value."""
    tables: dict[str, dict[str, Any]] = {name: {} for name in ("host", "worker", "workload", "pool", "policy")}
    sources: dict[str, dict[str, Any]] = {}
    for field, value in found.values.items():
        table, _, name = field.partition(".")
        tables[table][name] = value.value
        sources[field] = value.source.model_dump(exclude_none=True)
    if pool is not None and pool.settings is not None:
        tables["pool"] = pool.settings.model_dump(exclude_none=True)
        sources |= {f"pool.{name}": {"source": f"configuration {pool.config}"} for name in tables["pool"]}
        tables["policy"] = {"pools_on_host": pool.pools_on_host}
        if pool.process_max:
            tables["policy"]["process_max"] = pool.process_max
        sources["policy.pools_on_host"] = {"source": "pools of all php-fpm masters that run here"}
        if pool.process_max:
            sources["policy.process_max"] = {"source": f"configuration {pool.config}"}
    return {name: table for name, table in {**tables, "sources": sources}.items() if table}


def _write(pool: RunningPool | None, evidence: Evidence, found: Survey, output_format: str, output: str | None) -> int:
    from capacity.report.scenario import scenario_toml
    from capacity.report.survey import survey_json

    tables = _tables(pool, found)
    missing = [field for field in _NEEDED if field not in found.values]
    if output_format == "json":
        write(survey_json(tables, evidence, found, missing), output)
    else:
        head = [f"Measured by capacity, {time.strftime('%Y-%m-%d %H:%M:%S %z')}"]
        head.append("Numbers are SI: bytes, seconds, requests a second.")
        head += [f"MISSING: {field}; capacity recommend needs it" for field in missing]
        head += [f"note: {line}" for line in found.notes] + [f"not seen: {line}" for line in found.blind]
        write(scenario_toml(tables, comments=head), output)
    if missing:
        listed = ", ".join(missing)
        what = "could not be measured; add them to the file, or give recommend the options"
        tell(f"Error: incomplete: {listed} {what}")
    return INCOMPLETE if missing else 0


def _compare(planned: Scenario, evidence: Evidence, found: Survey, output_format: str, output: str | None) -> int:
    from capacity.comparison import compare
    from capacity.report.survey import comparison_text

    sampled, host = evidence.sampled, evidence.host
    workers = evidence.workers or (host.workers_seen if host is not None else 0)
    if workers < 1:
        message = "nothing to compare with: no running pool was seen"
        raise MeasurementError(message)
    result = compare(planned, _seen(evidence, found), workers=workers, seconds=sampled.seconds if sampled else 0.0)
    if not result.deviations:
        message = "nothing to compare: neither the load nor any value of the scenario could be measured"
        raise MeasurementError(message)
    if output_format == "json":
        write(result.to_json(), output)
    else:
        render_table(lambda console: comparison_text(result, console), output)
    return BEYOND if result.beyond else 0


def _seen(evidence: Evidence, found: Survey) -> dict[str, Estimate]:
    """What was measured, by the names a comparison knows."""
    from capacity.estimation import Estimate

    fields = {
        "service_time": "workload.service_time",
        "cpu_time": "workload.cpu_time",
        "worker_memory": "worker.memory",
    }
    seen = {
        quantity: Estimate(value.value, value.source.low, value.source.high, value.source.samples or 0)
        for quantity, field in fields.items()
        if (value := found.values.get(field)) is not None and not value.upper_bound
    }
    sampled = evidence.sampled
    if sampled is not None:
        # the load of the window itself, not the busiest hour a scenario is planned for
        watched = {"arrival_rate": sampled.arrival_rate, "busy_workers": sampled.busy, "queue_length": sampled.waiting}
        seen |= {quantity: estimate for quantity, estimate in watched.items() if estimate is not None}
    return seen
