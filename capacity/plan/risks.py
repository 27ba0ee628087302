"""What may go wrong when a plan is carried out, found from the facts of the host."""

from __future__ import annotations

from collections.abc import Iterator

from capacity.fpm.rules import whole_number
from capacity.plan.application import Application
from capacity.plan.conditions import Risk
from capacity.plan.installation import Installation
from capacity.plan.probe import systemd_runs
from capacity.plan.steps import Step
from capacity.results import Recommendation
from capacity.scenario import CASE_STUDY_SOURCE, Scenario
from capacity.units import format_bytes, format_fraction

__all__ = ["risks_of"]

# From this share of the budget on, one request above the usual peak is enough to reach swap or the OOM killer.
_TIGHT = 0.9
_MEASURABLE = ("host.ram", "host.reserved", "worker.memory", "workload.service_time", "workload.think_time")


def risks_of(
    scenario: Scenario,
    recommendation: Recommendation,
    installation: Installation,
    application: Application | None,
    steps: tuple[Step, ...],
) -> tuple[Risk, ...]:
    """List what may go wrong, the worst first; nothing where nothing changes."""
    if not steps:
        return ()
    found = (
        *_of_reload(recommendation, installation, steps),
        *_of_limits(scenario, recommendation, installation, steps),
        *_of_sessions(application, steps),
        *_of_knowledge(recommendation, installation, application, steps),
    )
    order = ("danger", "warning", "info")
    return tuple(sorted(found, key=lambda risk: order.index(risk.severity)))


def _ids(steps: tuple[Step, ...], *ops: str) -> tuple[str, ...]:
    return tuple(step.id for step in steps if step.op in ops)


def _setting(steps: tuple[Step, ...], *directives: str) -> tuple[str, ...]:
    return tuple(step.id for step in steps if step.op == "set_directive" and step.directive in directives)


def _of_reload(recommendation: Recommendation, installation: Installation, steps: tuple[Step, ...]) -> Iterator[Risk]:
    reloads = _ids(steps, "reload")
    grace = installation.global_number("process_control_timeout")
    wanted = next(c.value for c in recommendation.choices if c.setting == "process_control_timeout")
    if grace == 0:
        yield Risk(
            code="process-control-timeout",
            severity="danger",
            message=(
                "process_control_timeout is 0: a reload kills the requests at work, their visitors get 502. Set "
                f"process_control_timeout = {wanted}s in [global] and restart FPM at a quiet hour before this plan (a "
                "reload with the new value still stops by the old one)"
            ),
            step_ids=reloads,
        )
    else:
        yield Risk(
            code="grace-since-when",
            severity="info",
            message=(
                f"process_control_timeout is {grace} s in the file: requests at work survive the reload only if FPM "
                "was restarted or reloaded since it was set"
            ),
            step_ids=reloads,
        )
    yield Risk(
        code="reload-kills-service",
        severity="info",
        message=(
            "a configuration FPM refuses while it reloads ends the service: the old master is gone by then. That is "
            "why the candidate is judged before it is written and the whole configuration before the reload"
        ),
        step_ids=(*_ids(steps, "validate"), *reloads),
    )
    if installation.information.get("opcache.enable") == "On":
        yield Risk(
            code="opcache-cold",
            severity="info",
            message="a reload empties OPcache: the first requests compile every script again and are slower",
            step_ids=reloads,
        )
    elif installation.information:
        yield Risk(
            code="opcache-off",
            severity="warning",
            message="OPcache is off: every request compiles its scripts, in every one of the workers; turn it on first",
            step_ids=reloads,
        )
    backlog = _setting(steps, "listen.backlog")
    if backlog:
        yield Risk(
            code="backlog-needs-restart",
            severity="warning",
            message="listen.backlog takes effect at a restart only: a reload keeps the listening socket as it is",
            step_ids=backlog,
        )
    terminate = _setting(steps, "request_terminate_timeout")
    if terminate:
        yield Risk(
            code="requests-terminated",
            severity="warning",
            message=(
                "request_terminate_timeout ends every request that runs longer, also one that is meant to (exports, "
                "uploads, work after fastcgi_finish_request())"
            ),
            step_ids=terminate,
        )


def _of_limits(
    scenario: Scenario, recommendation: Recommendation, installation: Installation, steps: tuple[Step, ...]
) -> Iterator[Risk]:
    grows = _setting(steps, "pm.max_children", "pm.start_servers", "pm.min_spare_servers", "pm")
    budget = scenario.host.ram - scenario.host.reserved
    peak = recommendation.worst_case_memory
    share = peak / budget
    if share > _TIGHT:
        yield Risk(
            code="worst-case-memory",
            severity="danger" if share > 1 else "warning",
            message=(
                f"with every worker at its peak {format_bytes(peak)} of the {format_bytes(budget)} left for PHP are "
                f"taken ({format_fraction(share)}): a heavier request than measured leads to swap or the OOM killer"
            ),
            step_ids=grows,
        )
    workers = recommendation.pool.max_children
    per_worker = scenario.worker.database_connections
    connections = scenario.host.database_connections
    if connections is not None and workers * per_worker > connections - scenario.host.database_connections_reserved:
        yield Risk(
            code="database-connections",
            severity="danger",
            message=(
                f"{workers} workers may hold {workers * per_worker:g} database connections, and "
                f"{connections - scenario.host.database_connections_reserved} are left for them: more are refused"
            ),
            step_ids=grows,
        )
    elif connections is None and workers > installation.settings.max_children and per_worker:
        yield Risk(
            code="database-connections-unknown",
            severity="info",
            message=(
                f"{workers} workers may hold {workers * per_worker:g} database connections: compare with the "
                "database's limit (give --database-connections)"
            ),
            step_ids=grows,
        )
    limit = installation.global_number("process.max")
    total = workers + sum(
        whole_number(texts, "pm.max_children", 0) or 0
        for name, texts in installation.file.pools.items()
        if name != installation.pool
    )
    if 0 < limit < total:
        yield Risk(
            code="process-max",
            severity="danger",
            message=(
                f"the pools of this FPM may have {total} workers together, process.max allows {limit}: the pools "
                "that come later in the configuration get fewer, or none"
            ),
            step_ids=grows,
        )
    if workers < installation.settings.max_children:
        yield Risk(
            code="fewer-workers",
            severity="warning",
            message=(
                f"the pool shrinks from {installation.settings.max_children} to {workers} workers: "
                + (
                    f"the expected load asks for no more. Was it seen at the busiest hour? A peak above "
                    f"{scenario.headroom:g} times of it waits where it does not wait today"
                    if recommendation.binding == "demand"
                    else f"{recommendation.binding} allows no more, and requests beyond that wait instead of "
                    "overloading the host"
                )
            ),
            step_ids=grows,
        )


def _of_sessions(application: Application | None, steps: tuple[Step, ...]) -> Iterator[Risk]:
    moved = tuple(step.id for step in steps if step.op == "set_env" and step.key == "SESSION_DRIVER")
    if application is None or not _ids(steps, "set_env"):
        return
    if moved:
        yield Risk(
            code="sessions-lost",
            severity="warning",
            message="sessions do not move along: everybody who is logged in has to log in again, carts may be lost",
            step_ids=moved,
        )
    yield Risk(
        code="redis-not-asked",
        severity="info",
        message="that Redis runs is checked, not that its port and password in .env are right: only the site tells",
        step_ids=_ids(steps, "set_env"),
    )
    clears = _ids(steps, "clear_config_cache")
    if clears:
        yield Risk(
            code="cache-cleared",
            severity="warning",
            message="cache:clear empties the application's cache: until it is filled again requests are slower",
            step_ids=clears,
        )
        if not application.config_cached and application.is_laravel:
            yield Risk(
                code="config-cache-turned-on",
                severity="warning",
                message=(
                    "the configuration is not cached today, and config:cache caches it: from then on .env is not read, "
                    "and env() outside of config/ gives null"
                ),
                step_ids=clears,
            )
    else:
        yield Risk(
            code="not-laravel",
            severity="warning",
            message=f"there is no artisan in {application.directory}: if the configuration is cached, .env is not read",
            step_ids=_ids(steps, "set_env"),
        )


def _of_knowledge(
    recommendation: Recommendation,
    installation: Installation,
    application: Application | None,
    steps: tuple[Step, ...],
) -> Iterator[Risk]:
    assumed = [a.field for a in recommendation.assumptions if a.source == CASE_STUDY_SOURCE and a.field in _MEASURABLE]
    if assumed:
        yield Risk(
            code="assumed-values",
            severity="warning",
            message=(
                f"{', '.join(assumed)} are the built-in case study's, not this host's: measure first (capacity "
                "measure), or give them"
            ),
        )
    if (
        recommendation.more_workers_help is False
        and recommendation.pool.max_children > installation.settings.max_children
    ):
        yield Risk(
            code="more-workers-do-not-help",
            severity="warning",
            message=f"would more workers serve more users? {recommendation.more_workers_reason}",
            step_ids=_setting(steps, "pm.max_children"),
        )
    if not recommendation.feasible:
        yield Risk(
            code="objective-missed",
            severity="warning",
            message="no pool within the limits meets the objective; this plan brings the most the host can carry",
        )
    most = [
        max((band.users or 0 for band in bands), default=0)
        for bands in (recommendation.current_bands, recommendation.bands)
    ]
    if _setting(steps, "pm.max_children") and any(most) and most[1] <= most[0]:
        yield Risk(
            code="carries-no-more",
            severity="warning",
            message=f"the pool carries no more users than today ({most[0]} before, {most[1]} after)",
            step_ids=_setting(steps, "pm.max_children"),
        )
    if not _ids(steps, "verify_http"):
        yield Risk(
            code="answers-not-verified",
            severity="warning",
            message="no address is given to ask: nothing tells whether the site answers afterwards (give --url)",
        )
    if installation.pid_file is None and not systemd_runs():
        yield Risk(
            code="process-unknown",
            severity="danger",
            message=(
                "[global] names no pid file and systemd does not run here: where that is so on the host, FPM cannot be "
                "seen nor reloaded, and the plan will be refused (give --pid-file)"
            ),
            step_ids=_ids(steps, "reload", "verify_service"),
        )
    if not installation.running:
        yield Risk(
            code="not-running-here",
            severity="warning",
            message=(
                "no php-fpm that reads this pool file runs on this machine: what could not be seen is a precondition"
            ),
        )
    if installation.pool_file.owner != "root" and installation.config.owner == "root":
        yield Risk(
            code="pool-file-owner",
            severity="warning",
            message=(
                f"the pool file belongs to {installation.pool_file.owner}, who can thereby run PHP as any user; a pool "
                "file should belong to root"
            ),
        )
    several = [s for s in (installation.pool_file, application.env_file if application else None) if s and s.links > 1]
    for state in several:
        yield Risk(
            code="hard-links",
            severity="warning",
            message=f"{state.path} has {state.links} names (hard links): the others keep the old content",
            step_ids=tuple(step.id for step in steps if getattr(step, "path", "") == state.path),
        )
    if installation.config.path == installation.pool_file.path and not installation.file.global_settings:
        yield Risk(
            code="judged-alone",
            severity="warning",
            message="no main configuration is known, so the pool file is judged by itself (give --fpm-config)",
            step_ids=_ids(steps, "validate"),
        )
