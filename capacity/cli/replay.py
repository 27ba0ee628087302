"""``capacity replay``: yesterday's log through pools of other sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from capacity.cli.measure import read_line_format, refuse_twice
from capacity.cli.options import whole_numbers
from capacity.cli.output import check_writable, format_option, output_option, progress, render_table, write
from capacity.errors import InvalidInput, Problem
from capacity.units import shown

if TYPE_CHECKING:
    from capacity.scenario import Scenario

_MOST_WORKERS = 100_000  # capacity.log_replay.asking.MOST_WORKERS, which --help must not load
_OPTIONS = {
    "workers": "--workers",
    "cpus": "--cpus",
    "cpu_time": "--cpu-time",
    "logged_workers": "--logged-workers",
    "backlog": "--backlog",
}


@click.command()
@click.argument("scenario", required=False, default=None, metavar="[SCENARIO.toml | -]")
@click.option(
    "--access-log",
    "logs",
    multiple=True,
    required=True,
    metavar="FILE",
    help="FPM's or the web server's, plain or gzipped; may be repeated.",
)
@click.option("--workers", required=True, metavar="N,N,...", help="Pools to replay it in, such as 20,40,60.")
@click.option("--log-format", default=None, metavar="FORMAT", help="access.format, log_format or LogFormat of the log.")
@click.option("--logged-workers", type=click.IntRange(1, _MOST_WORKERS), default=None, help="Workers the pool had.")
@click.option("--cpus", type=float, default=None, help="CPU cores for PHP; a quota may be fractional.")
@click.option("--cpu-time", default=None, help="CPU time of a request, such as 60ms; by default what the log has (%C).")
@click.option("--backlog", type=click.IntRange(0), default=None, help="Waiting places; by default without a limit.")
@click.option(
    "--from", "since", default=None, metavar="TIME", help="Only from then on, such as 2026-11-24T09:00+01:00."
)
@click.option("--to", "until", default=None, metavar="TIME", help="Only before then.")
@click.option("--seed", type=click.IntRange(0, 2**32), default=0, help="Of the spreading of whole seconds.")
@format_option("table", "json")
@output_option
def replay(
    scenario: str | None,
    logs: Sequence[str],
    workers: str,
    log_format: str | None,
    logged_workers: int | None,
    cpus: float | None,
    cpu_time: str | None,
    backlog: int | None,
    since: str | None,
    until: str | None,
    seed: int,
    output_format: str,
    output: str | None,
) -> int:
    """Replay an access log in pools of other sizes.

    Says how long requests would have waited in each, and which hour hurts.

    A logged time grows with the workers that share the cores: give --cpus, so that this part is taken out and put
    in again as each pool has it. The times of a web server's log have the wait for a worker in them: give
    --logged-workers, so that it is taken out. A scenario gives both, and the CPU time the log may lack.

    \b
    Examples:
      capacity replay --access-log access.log --workers 20,40,60 --cpus 4
      capacity replay site.toml --access-log access.log.gz --workers 10,15,20,30
      capacity replay --access-log access.log --workers 40 --from 2026-11-24T09:00 --to 2026-11-24T12:00
    """  # noqa: D301 click wants the escape itself
    from capacity.log_replay import replay_log
    from capacity.log_replay.asking import checked
    from capacity.measure.log_trace import read_trace
    from capacity.measure.logs import look_at
    from capacity.units import parse_seconds

    most = _MOST_WORKERS
    counts = whole_numbers(workers, "--workers", most=most, shown_most=str(most), example="20,40,60")
    begin, end = _moment(since, "--from", -math.inf), _moment(until, "--to", math.inf)
    if begin >= end:
        raise InvalidInput([Problem("--to", "must be later than --from", shown(until))])
    refuse_twice(logs)
    asked = None if cpu_time is None else parse_seconds(cpu_time, name="--cpu-time")
    try:  # before a log is read for minutes
        checked(counts, cpus, asked, "service_time", logged_workers, backlog)
    except InvalidInput as error:
        raise InvalidInput(replace(problem, field=_OPTIONS[problem.field]) for problem in error.problems) from None
    check_writable(output)
    line_format = read_line_format(log_format)
    known = None if scenario is None else _scenario(scenario)
    for path in logs:
        look_at(path)
    with progress("reading the access log") as told:
        trace = read_trace(logs, line_format=line_format, since=begin, until=end, seed=seed, told=told)
    if asked is None:
        asked = trace.cpu_time if trace.cpu_time is not None or known is None else known.workload.cpu_time
    if known is not None:
        cpus = known.host.cores_left if cpus is None else cpus
        logged_workers = (
            known.pool.max_children if logged_workers is None and known.pool is not None else logged_workers
        )
    with progress("replaying") as told:
        result = replay_log(
            trace.arrival_times,
            trace.logged_times,
            workers=counts,
            cpus=cpus,
            cpu_time=asked,
            time_kind=trace.time_kind,
            logged_workers=logged_workers,
            backlog=backlog,
            told=told,
        )
    result = result.model_copy(update={"cautions": result.cautions + trace.notes})
    if output_format == "json":
        write(result.to_json(), output)
    else:
        from capacity.report.replay import replay_text

        render_table(lambda console: replay_text(result, console), output)
    return 0


def _scenario(path: str) -> Scenario:
    from capacity.cli.intake import take_in

    return take_in(path, {}, pool_file=None, pool_name=None, measure=False).scenario


def _moment(text: str | None, option: str, default: float) -> float:
    """Seconds since the epoch; a time without a zone is UTC, as the table has it."""
    if text is None:
        return default
    try:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        rule = "must be a time such as 2026-11-24T09:00 (UTC) or 2026-11-24T09:00+01:00"
        raise InvalidInput([Problem(option, rule, shown(text))]) from None
