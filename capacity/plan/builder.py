"""From a recommendation and the host's files to a change plan."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from capacity.plan.application import REDIS_PACKAGE, Application
from capacity.plan.changes import ON_REQUEST, FileChange, env_changes, pool_changes
from capacity.plan.conditions import (
    ComposerPackage,
    EnvKeySet,
    FileSha256,
    FpmVersion,
    HttpStatus,
    PhpExtension,
    Precondition,
    ServiceActive,
)
from capacity.plan.drivers import DriverChange, driver_changes
from capacity.plan.installation import Installation
from capacity.plan.model import ChangePlan, Generator, Inputs, Outlook, PlanPrediction
from capacity.plan.probe import FileState
from capacity.plan.risks import risks_of
from capacity.plan.steps import (
    Backup,
    ClearConfigCache,
    Reload,
    Restore,
    RollbackStep,
    SetEnv,
    Step,
    Validate,
    VerifyHttp,
    VerifyService,
)
from capacity.pool import PoolSettings
from capacity.problems import in_our_words
from capacity.results import Prediction, Recommendation, UserBand
from capacity.scenario import Scenario

__all__ = ["BACKUPS", "ON_REQUEST", "build_plan"]

BACKUPS = "/var/backups/fpm-capacity"
"""Where backups go: a directory for each plan, below it the full path of each file."""

_SETTLE = 30  # seconds a reload may take beyond process_control_timeout


def build_plan(
    scenario: Scenario,
    recommendation: Recommendation,
    installation: Installation,
    application: Application | None = None,
    *,
    url: str | None = None,
    expect_status: int = 200,
    also: Iterable[str] = (),
    backup_directory: str = BACKUPS,
    created_at: datetime | None = None,
) -> ChangePlan:
    """Say what has to change so that the pool becomes the recommended one.

    Parameters
    ----------
    scenario : Scenario
    recommendation : Recommendation
        Of that scenario.
    installation : Installation
        As `inspect_installation` found it.
    application : Application, optional
        As `inspect_application` found it; its sessions and cache move from the database to Redis where that can be
        done.
    url : str, optional
        Asked before and after; without it nothing tells that the site still answers.
    expect_status : int, optional
    also : iterable of str, optional
        Of `ON_REQUEST`, the directives to set as well.
    backup_directory : str, optional
    created_at : datetime, optional
        By default now.

    Returns
    -------
    ChangePlan
        Without steps where everything is as recommended already.

    Raises
    ------
    InvalidInput
        A name that a plan may not hold, a directive another file decides, a candidate FPM would refuse.
    """
    with in_our_words(ChangePlan):  # a name on this host may be one that a plan must not hold
        now = (created_at or datetime.now(UTC)).astimezone(UTC)
        stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        store = f"{backup_directory}/{now.strftime('%Y%m%dT%H%M%SZ')}"
        sizes = pool_changes(recommendation, installation, tuple(also))
        drivers, notes = driver_changes(application, installation) if application is not None else ((), ())
        changes = [sizes] if sizes.steps else []
        if drivers and application is not None:
            changes.append(env_changes(application, drivers))
        steps, rollback = _steps(changes, installation, application, url, expect_status, store)
        fields: dict[str, Any] = {
            "generator": Generator(name="capacity", version=version("fpm-capacity")),
            "created_at": stamp,
            "pool": installation.pool,
            "inputs": Inputs(
                scenario=scenario.to_mapping(),
                assumptions=recommendation.assumptions,
                drivers=application.known_drivers if application is not None else {},
            ),
            "prediction": _prediction(scenario, recommendation, installation),
            "preconditions": _preconditions(changes, installation, application, drivers, url, expect_status),
            "steps": steps,
            "postconditions": tuple(_condition(change.after) for change in changes),
            "rollback": rollback,
            "risks": risks_of(scenario, recommendation, installation, application, steps),
            "notes": (*installation.notes, *(application.notes if application else ()), *sizes.notes, *notes),
        }
        return ChangePlan.sealed(**fields)


def _condition(state: FileState) -> FileSha256:
    return FileSha256(
        path=state.path,
        sha256=state.sha256,
        size=len(state.data),
        mode=state.mode,
        owner=state.owner,
        group=state.group,
    )


def _preconditions(
    changes: list[FileChange],
    installation: Installation,
    application: Application | None,
    drivers: tuple[DriverChange, ...],
    url: str | None,
    expect_status: int,
) -> tuple[Precondition, ...]:
    if not changes:
        return ()
    states = {change.before.path: change.before for change in changes}
    states |= {state.path: state for state in (installation.config, *installation.others)}
    found: list[Precondition] = [_condition(state) for state in states.values()]
    if installation.version is not None:
        found.append(FpmVersion(binary=installation.binary, version=installation.version))
    found.append(
        ServiceActive(service=installation.service, pid_file=installation.pid_file, processes=_processes(installation))
    )
    if drivers and application is not None:
        redis = application.redis
        found.append(ServiceActive(service=redis.service, pid_file=redis.pid_file, processes=redis.processes))
        found.append(EnvKeySet(path=application.env_file.path, key="REDIS_HOST"))
        if application.client == "predis":
            found.append(ComposerPackage(application=application.directory, package=REDIS_PACKAGE))
        else:
            found.append(PhpExtension(binary=installation.binary, extension="redis"))
    if url is not None:
        found.append(HttpStatus(url=url, status=expect_status))
    return tuple(found)


def _processes(installation: Installation) -> tuple[str, ...]:
    return (installation.binary.rpartition("/")[2][:15],)  # the kernel keeps 15 characters


def _steps(
    changes: list[FileChange],
    installation: Installation,
    application: Application | None,
    url: str | None,
    expect_status: int,
    store: str,
) -> tuple[tuple[Step, ...], tuple[RollbackStep, ...]]:
    """The steps in their order, and the way back."""
    if not changes:
        return (), ()
    moved = application if any(isinstance(step, SetEnv) for change in changes for step in change.steps) else None
    steps: list[Step] = []
    back: list[RollbackStep] = []
    for number, change in enumerate(changes, 1):
        path, kept = change.before.path, store + change.before.path
        steps.append(Backup(id=f"backup-{number}", path=path, backup_path=kept, reason="so that it can be undone"))
        facts = _condition(change.before).model_dump(include={"path", "sha256", "mode", "owner", "group"})
        back.append(Restore(id=f"restore-{number}", backup_path=kept, reason="as it was before the plan", **facts))
    for change in changes:
        steps += change.steps
        if change.before.path == installation.pool_file.path:
            steps.append(_validate(installation, "a configuration that FPM refuses while it reloads ends it"))
            back.append(_restored(_validate(installation, "what is put back must be accepted, too")))
    tail: list[Reload | ClearConfigCache | VerifyService | VerifyHttp] = []
    if moved is not None and (moved.is_laravel or not installation.running):
        tail.append(_clear_config_cache(moved, "config:cache"))
    # Last, and also where only .env has changed: OPcache goes on with the cached configuration it has compiled, for
    # opcache.revalidate_freq seconds or for good, and what is verified then would be the old one.
    tail.append(_reload(installation))
    tail.append(_alive(installation))
    if moved is not None:
        tail.append(_redis_alive(moved))
    if url is not None:
        reason = "the site must answer as it did before"
        tail.append(VerifyHttp(id="verify-http", url=url, expect_status=expect_status, reason=reason))
    steps += tail
    for step in tail:
        if isinstance(step, ClearConfigCache) and moved is not None and not moved.config_cached:
            # where nothing was cached before, nothing is afterwards
            back.append(_restored(_clear_config_cache(moved, "config:clear")))
        elif step.id != "verify-redis":
            back.append(_restored(step))
    return tuple(steps), tuple(back)


def _restored(step: RollbackStep) -> RollbackStep:
    """The same step on the way back, where there is no further way back."""
    return step.model_copy(update={"id": f"{step.id}-restored", "on_failure": "stop"})


def _reload(installation: Installation) -> Reload:
    return Reload(
        id="reload",
        service=installation.service,
        pid_file=installation.pid_file,
        config=installation.config.path,
        processes=_processes(installation),
        argv=(installation.binary, "-D", "-y", installation.config.path),
        timeout=installation.global_number("process_control_timeout") + _SETTLE,
        reason="FPM reads its configuration when it starts or reloads; nginx is unchanged and stays as it is",
    )


def _clear_config_cache(application: Application, command: str) -> ClearConfigCache:
    return ClearConfigCache(
        id="clear-config-cache",
        application=application.directory,
        user=application.user,
        argvs=((application.php, "artisan", command), (application.php, "artisan", "cache:clear")),
        reason="a cached configuration is read instead of .env",
    )


def _alive(installation: Installation) -> VerifyService:
    return VerifyService(
        id="verify-php-fpm",
        service=installation.service,
        pid_file=installation.pid_file,
        config=installation.config.path,
        processes=_processes(installation),
        reason="FPM must be there afterwards",
    )


def _redis_alive(application: Application) -> VerifyService:
    redis = application.redis
    return VerifyService(
        id="verify-redis",
        service=redis.service,
        pid_file=redis.pid_file,
        config=None,
        processes=redis.processes,
        reason="without Redis there are no sessions",
    )


def _validate(installation: Installation, reason: str) -> Validate:
    config = installation.config.path
    return Validate(
        id="validate",
        path=installation.pool_file.path,
        config=config,
        include=installation.include,
        argv=(installation.binary, "-t", "-y", config),
        reason=reason,
    )


def _prediction(scenario: Scenario, recommendation: Recommendation, installation: Installation) -> PlanPrediction:
    binding = next(limit for limit in recommendation.limits if limit.name == recommendation.binding)
    users, rate = scenario.workload.users, scenario.workload.arrival_rate

    def outlook(settings: PoolSettings, predictions: tuple[Prediction, ...], bands: tuple[UserBand, ...]) -> Outlook:
        at = next((p for p in predictions if users is not None and p.users == users), None)
        if rate is not None and predictions:  # told in whole users, so the nearest is meant
            at = min(predictions, key=lambda p: abs(p.arrival_rate - rate))
        return Outlook(
            settings=settings,
            worst_case_memory=scenario.worker.shared_memory + settings.max_children * scenario.worker.memory,
            verdict=at.verdict if at else None,
            utilization=at.utilization if at else None,
            response_time_p95=at.response_time_p95 if at else None,
            predictions=predictions,
            bands=bands,
        )

    return PlanPrediction(
        users=users,
        before=outlook(installation.settings, recommendation.current_predictions, recommendation.current_bands),
        after=outlook(recommendation.pool, recommendation.predictions, recommendation.bands),
        feasible=recommendation.feasible,
        binding=recommendation.binding,
        binding_reason=binding.reason,
        more_workers_help=recommendation.more_workers_help,
        more_workers_reason=recommendation.more_workers_reason,
        next_steps=recommendation.next_steps,
        cautions=recommendation.cautions,
    )
