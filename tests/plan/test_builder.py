"""From a recommendation and the host's files to steps, conditions and the way back."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from dotenv import dotenv_values

from capacity import InvalidInput, PoolSettings, Scenario
from capacity.plan.builder import build_plan
from capacity.plan.installation import inspect_installation
from capacity.plan.model import ChangePlan
from capacity.plan.steps import ClearConfigCache, SetDirective, SetEnv
from capacity.splices import Splice, spliced

from .conftest import ENV, NOW, POOL, SECRETS, Host

Make = Callable[..., Host]


def applied(plan: ChangePlan) -> dict[str, bytes]:
    """The files as the plan's edits make them."""
    result = {}
    for file in plan.files:
        steps = [s for s in plan.steps if isinstance(s, SetDirective | SetEnv) and s.path == file.path]
        edits = [Splice(s.edit.offset, s.edit.remove.encode(), s.edit.insert.encode()) for s in steps]
        result[file.path] = spliced(Path(file.path).read_bytes(), edits)
    return result


def changes(plan: ChangePlan) -> dict[str, tuple[str | None, str]]:
    return {
        s.directive if isinstance(s, SetDirective) else s.key: (s.before, s.after)
        for s in plan.steps
        if isinstance(s, SetDirective | SetEnv)
    }


def codes(plan: ChangePlan) -> set[str]:
    return {risk.code for risk in plan.risks}


CASE_STUDY = {
    "pm.max_children": ("20", "40"),
    "pm.start_servers": ("4", "8"),
    "pm.min_spare_servers": ("2", "4"),
    "pm.max_spare_servers": ("6", "16"),
    "pm.max_requests": (None, "1000"),
    "SESSION_DRIVER": ("database", "redis"),
}


def test_the_case_study_is_planned_as_it_was_carried_out(host: Host) -> None:
    plan = host.plan(url="http://127.0.0.1/")
    assert changes(plan) == CASE_STUDY
    assert [step.op for step in plan.steps] == [
        "backup", "backup", *["set_directive"] * 5, "validate", "set_env", "clear_config_cache", "reload",
        "verify_service", "verify_service", "verify_http",
    ]  # fmt: skip
    assert [step.op for step in plan.rollback] == [
        "restore", "restore", "validate", "clear_config_cache", "reload", "verify_service", "verify_http",
    ]  # fmt: skip
    assert {step.on_failure for step in plan.rollback} == {"stop"}
    verdicts = {p.users: p.verdict for p in plan.prediction.after.predictions}
    assert [verdicts[users] for users in (80, 100, 150, 200)] == ["comfortable", "manageable", "watch", "overloaded"]
    assert plan.prediction.before.verdict == "overloaded"
    assert plan.prediction.after.verdict == "watch"
    assert plan.prediction.after.worst_case_memory == 40 * 2**26
    assert plan.prediction.before.worst_case_memory == 20 * 2**26


def test_only_the_named_lines_change(host: Host) -> None:
    result = applied(host.plan())
    pool = result[str(host.pool_file)].decode().splitlines()
    before = host.pool_file.read_text().splitlines()
    assert [line for line in pool if line not in before] == [
        "pm.max_children = 40",
        "  pm.start_servers = 8 ; open: sesame",
        "pm.min_spare_servers = 4",
        'pm.max_spare_servers = "16"',
        "pm.max_requests = 1000",
    ]
    assert result[str(host.env_file)].decode() == ENV.replace("SESSION_DRIVER=database", "SESSION_DRIVER=redis")


def test_the_postconditions_are_what_the_edits_lead_to(host: Host) -> None:
    plan = host.plan()
    for path, data in applied(plan).items():
        after = next(condition for condition in plan.postconditions if condition.path == path)
        assert (after.sha256, after.size) == (hashlib.sha256(data).hexdigest(), len(data))


def test_the_preconditions_are_the_files_as_they_are(host: Host) -> None:
    host.env_file.chmod(0o640)
    plan = host.plan()
    found = {c.path: c for c in plan.preconditions if c.kind == "file_sha256"}
    assert set(found) == {str(host.pool_file), str(host.env_file), str(host.config)}
    said = subprocess.run(["sha256sum", *found], capture_output=True, text=True, check=True).stdout.splitlines()
    assert {path: condition.sha256 for path, condition in found.items()} == {line[66:]: line[:64] for line in said}
    assert found[str(host.env_file)].mode == "0640"
    assert found[str(host.env_file)].owner == host.env_file.owner()
    assert found[str(host.env_file)].group == host.env_file.group()


def test_a_directive_that_is_empty_is_filled_in(make_host: Make) -> None:
    host = make_host(pool=POOL + "pm.max_requests =\n")
    plan = host.plan(env=False)
    assert changes(plan)["pm.max_requests"] == ("", "1000")
    assert b"\npm.max_requests = 1000\n" in applied(plan)[str(host.pool_file)]


def test_without_a_pid_file_it_is_told_that_fpm_cannot_be_seen(host: Host) -> None:
    unseen = replace(host.installation(), pid_file=None)
    with patch("capacity.plan.risks.systemd_runs", return_value=False):
        assert "process-unknown" in codes(host.plan(installation=unseen))
        assert "process-unknown" not in codes(host.plan())
    with patch("capacity.plan.risks.systemd_runs", return_value=True):
        assert "process-unknown" not in codes(host.plan(installation=unseen))


def test_a_host_that_is_right_already_gets_an_empty_plan(make_host: Make) -> None:
    pool = POOL.replace("20", "40").replace("servers = 4", "servers = 8").replace("servers = 2", "servers = 4")
    pool = pool.replace('"6"', "16") + "pm.max_requests = 1000\n"
    plan = make_host(pool=pool, env=ENV.replace("=database", "=redis")).plan(url="http://127.0.0.1/")
    assert (plan.steps, plan.rollback, plan.preconditions, plan.postconditions, plan.risks) == ((), (), (), (), ())
    assert "SESSION_DRIVER stays: it is redis already" in plan.notes


def test_only_what_really_changes_becomes_a_step(make_host: Make) -> None:
    plan = make_host(pool=POOL.replace("20", "40") + "pm.max_requests = 01000\n").plan(env=False)
    assert set(changes(plan)) == {"pm.start_servers", "pm.min_spare_servers", "pm.max_spare_servers"}


def test_start_servers_that_fpm_derives_are_written_where_the_result_would_differ(make_host: Make) -> None:
    without = make_host(pool=POOL.replace("  pm.start_servers = 4 ; open: sesame\n", ""))
    assert without.installation().settings.start_servers == 4  # what FPM takes for 2 and 6
    plan = without.plan(env=False)
    # for 4 and 16 it would take 10
    assert changes(plan)["pm.start_servers"] == (None, "8")


def test_sessions_alone_need_no_validate_but_a_reload(make_host: Make) -> None:
    host = make_host()
    scenario = Scenario.example().model_copy(update={"pool": host.installation().settings})
    wanted = host.recommendation(scenario).model_copy(update={"pool": host.installation().settings})
    plan = build_plan(scenario, wanted, host.installation(), host.application(), created_at=NOW)
    assert [step.op for step in plan.steps] == [
        "backup", "set_env", "clear_config_cache", "reload", "verify_service", "verify_service",
    ]  # fmt: skip


def test_rolling_back_leaves_no_cached_configuration_where_there_was_none(host: Host) -> None:
    def commands(plan: ChangePlan) -> list[str]:
        found = [s for s in (*plan.steps, *plan.rollback) if isinstance(s, ClearConfigCache)]
        return [argv[2] for step in found for argv in step.argvs]

    (host.env_file.parent / "artisan").touch()
    assert commands(host.plan()) == ["config:cache", "cache:clear", "config:clear", "cache:clear"]
    assert "config-cache-turned-on" in codes(host.plan())
    cached = host.env_file.parent / "bootstrap/cache/config.php"
    cached.parent.mkdir(parents=True)
    cached.touch()
    assert commands(host.plan()) == ["config:cache", "cache:clear", "config:cache", "cache:clear"]
    assert "config-cache-turned-on" not in codes(host.plan())


def test_no_secret_gets_into_a_plan(host: Host) -> None:
    text = host.plan(url="http://127.0.0.1/").to_json()
    assert [secret for secret in SECRETS if secret in text] == []
    assert all(secret in host.env_file.read_text() + host.pool_file.read_text() for secret in SECRETS)


# --- directives on request


def test_a_backlog_of_the_same_effect_is_no_change(host: Host) -> None:
    for somaxconn, told in ((4096, False), (128, False), (65535, True)):
        there = replace(host.installation(), somaxconn=somaxconn)
        notes = [note for note in host.plan(installation=there).notes if note.startswith("listen.backlog")]
        assert bool(notes) == told, (somaxconn, notes)


def test_timeouts_and_backlog_are_set_on_request_only(host: Host) -> None:
    plan = host.plan(env=False, also=["request_terminate_timeout", "listen.backlog"])
    assert changes(plan)["request_terminate_timeout"] == (None, "60s")
    assert changes(plan)["listen.backlog"] == (None, "4096")
    assert {"backlog-needs-restart", "requests-terminated"} <= codes(plan)
    usual = host.plan(env=False)
    assert "request_terminate_timeout" not in changes(usual)
    assert any(note.startswith("request_terminate_timeout is not set") for note in usual.notes)
    with pytest.raises(InvalidInput, match=r"--also must be one of listen.backlog"):
        host.plan(also=["user"])


# --- what cannot be planned


def test_a_directive_that_another_file_decides_is_refused(host: Host) -> None:
    other = host.pool_file.with_name("zz.conf")
    other.write_text("[app]\npm.max_children = 30\n")
    with pytest.raises(InvalidInput, match=r"must take effect from .*app.conf.*zz.conf decides it"):
        host.plan()


def test_a_candidate_that_fpm_would_refuse_is_refused(host: Host) -> None:
    low = host.recommendation(Scenario.example()).model_copy(
        update={"pool": PoolSettings(pm="dynamic", max_children=10, min_spare_servers=1, max_spare_servers=3)}
    )
    # what another file sets no longer fits
    host.pool_file.write_text(host.pool_file.read_text().replace("pm.min_spare_servers = 2\n", ""))
    host.pool_file.with_name("zz.conf").write_text("[app]\npm.min_spare_servers = 3\n")
    with pytest.raises(InvalidInput, match="must be accepted by php-fpm -t after the change"):
        build_plan(Scenario.example(), low, host.installation(), created_at=NOW)


def test_a_pool_with_a_name_a_plan_may_not_hold_is_refused(make_host: Make) -> None:
    host = make_host(pool=POOL.replace("[app]", "[app $(id)]"))
    there = inspect_installation(str(host.pool_file), "app $(id)")
    with pytest.raises(InvalidInput, match=r"must be 1 to 64 letters"):
        host.plan(installation=there, env=False)


def test_a_value_from_fpms_environment_is_left_to_it(make_host: Make) -> None:
    with pytest.raises(InvalidInput, match=r"depends on FPM's environment|must not come from FPM's environment"):
        make_host(pool=POOL.replace("= 20", "= ${WORKERS}")).plan()


# --- the drivers


def drivers(plan: ChangePlan) -> set[str]:
    return {s.key for s in plan.steps if isinstance(s, SetEnv)}


def test_the_cache_moves_as_well_where_it_is_in_the_database(make_host: Make) -> None:
    env = ENV.replace("CACHE_DRIVER=redis", "CACHE_STORE='database'\nCACHE_DRIVER = database")
    host = make_host(env=env)
    plan = host.plan()
    assert drivers(plan) == {"SESSION_DRIVER", "CACHE_STORE", "CACHE_DRIVER"}
    host.env_file.write_bytes(applied(plan)[str(host.env_file)])
    values = dotenv_values(host.env_file)
    assert [values[key] for key in ("SESSION_DRIVER", "CACHE_STORE", "CACHE_DRIVER")] == ["redis"] * 3
    assert "CACHE_STORE='redis'\n" in host.env_file.read_text()


def test_redis_brings_its_preconditions_along(host: Host) -> None:
    plan = host.plan()
    kinds = [c.kind for c in plan.preconditions]
    assert kinds.count("service_active") == 2
    assert [(c.key, c.path) for c in plan.preconditions if c.kind == "env_key_set"] == [
        ("REDIS_HOST", str(host.env_file))
    ]
    assert [c.extension for c in plan.preconditions if c.kind == "php_extension"] == ["redis"]
    without = host.plan(env=False)
    assert {c.kind for c in without.preconditions} & {"env_key_set", "php_extension"} == set()


def test_predis_is_a_package_of_the_application(make_host: Make) -> None:
    plan = make_host(env=ENV + "REDIS_CLIENT=predis\n").plan()
    assert [c.package for c in plan.preconditions if c.kind == "composer_package"] == ["predis/predis"]
    assert [c for c in plan.preconditions if c.kind == "php_extension"] == []


OBSTACLES: dict[str, tuple[str, str]] = {
    "no host": (ENV.replace("REDIS_HOST=127.0.0.1\n", ""), "REDIS_HOST is not set"),
    "an empty host": (ENV.replace("127.0.0.1", ""), "REDIS_HOST is not set"),
    "another machine": (ENV.replace("127.0.0.1", "redis.internal"), "Redis runs on another host"),
    "a variable": (ENV.replace("127.0.0.1", "${CACHE_HOST}"), "REDIS_HOST depends on another variable"),
    "an unknown client": (ENV + "REDIS_CLIENT=relay\n", "REDIS_CLIENT is neither phpredis nor predis"),
}


@pytest.mark.parametrize(("env", "why"), OBSTACLES.values(), ids=OBSTACLES)
def test_sessions_stay_where_redis_could_not_take_them(make_host: Make, env: str, why: str) -> None:
    plan = make_host(env=env).plan()
    assert drivers(plan) == set()
    assert f"SESSION_DRIVER stays database: {why}" in " ".join(plan.notes)
    assert "redis.internal" not in plan.to_json()


def test_on_a_running_host_what_is_missing_keeps_sessions_where_they_are(host: Host) -> None:
    there = host.installation(running=True)
    site = host.application()
    up = replace(site.redis, active=True)
    cases: list[tuple[dict[str, Any], dict[str, Any], str | None]] = [
        ({}, {"redis": up}, None),
        ({}, {"redis": replace(up, active=False)}, "is not active"),
        ({"extensions": frozenset({"core"})}, {"redis": up}, "the extension redis is not loaded"),
        ({}, {"redis": up, "client": "predis"}, "predis/predis is not in the vendor directory"),
        ({}, {"redis": up, "client": "predis", "has_package": True}, None),
    ]
    for installed, applied_to, why in cases:
        facts = {"extensions": frozenset({"redis"}), **installed}
        plan = host.plan(installation=replace(there, **facts), application=replace(site, **applied_to))
        assert drivers(plan) == (set() if why else {"SESSION_DRIVER"}), plan.notes
        assert (why or "") in " ".join(plan.notes)


def test_what_fpm_sets_in_the_environment_wins_over_the_file(make_host: Make) -> None:
    plan = make_host(pool=POOL + "env[SESSION_DRIVER] = database\n").plan()
    assert drivers(plan) == set()
    assert "SESSION_DRIVER stays: env[SESSION_DRIVER] of pool app wins over .env" in plan.notes


@pytest.mark.parametrize("driver", ["file", "cookie", "memcached", "array", "", "${X}", "hunter9"])
def test_drivers_other_than_the_database_are_left_alone_and_not_told(make_host: Make, driver: str) -> None:
    plan = make_host(env=ENV.replace("=database", f"={driver}")).plan()
    assert drivers(plan) == set()
    assert plan.inputs.drivers == {"SESSION_DRIVER": "other", "CACHE_DRIVER": "redis"}
    assert "SESSION_DRIVER stays: it is not database" in plan.notes
    assert "hunter9" not in plan.to_json()


def test_the_artisan_of_a_link_is_where_the_link_stands(host: Host) -> None:
    shared = host.directory / "shared"
    shared.mkdir()
    host.env_file.rename(shared / ".env")
    host.env_file.symlink_to(shared / ".env")
    (host.env_file.parent / "artisan").touch()
    plan = host.plan()
    assert {s.path for s in plan.steps if isinstance(s, SetEnv)} == {str(shared / ".env")}
    clear = next(s for s in plan.steps if isinstance(s, ClearConfigCache))
    assert clear.application == str(host.env_file.parent)
    assert any("is a symbolic link: the plan is for the file behind it" in note for note in plan.notes)


# --- risks


def test_risks_are_found_from_the_facts(make_host: Make) -> None:
    plain = make_host()
    told = replace(plain.installation(), information={"opcache.enable": "On"}, running=True)
    assert codes(plain.plan(installation=told, env=False)) == {
        "process-control-timeout", "reload-kills-service", "opcache-cold", "worst-case-memory",
        "database-connections-unknown", "answers-not-verified",
    }  # fmt: skip
    graceful = make_host(settings="process_control_timeout = 10s\n")
    assert "process-control-timeout" not in codes(graceful.plan())
    assert "opcache-off" in codes(plain.plan(installation=replace(told, information={"opcache.enable": "Off"})))
    assert "answers-not-verified" not in codes(plain.plan(url="http://127.0.0.1/"))
    assert "not-running-here" in codes(plain.plan())


def test_a_reload_waits_as_long_as_requests_may_take_to_end(make_host: Make) -> None:
    plan = make_host(settings="process_control_timeout = 2m\n").plan()
    assert next(step.timeout for step in plan.steps if step.op == "reload") == 150


@pytest.mark.parametrize(("limit", "warned"), [(0, False), (39, True), (42, True), (43, False)])
def test_a_process_max_below_the_sum_of_the_pools_is_told(make_host: Make, limit: int, warned: bool) -> None:
    host = make_host(settings=f"process.max = {limit}\n")
    host.pool_file.with_name("b.conf").write_text(
        f"[b]\nuser = www-data\nlisten = {host.directory}/b\npm = static\npm.max_children = 3\n"
    )
    assert ("process-max" in codes(host.plan())) == warned


def scenario(**fields: Any) -> Scenario:
    tables = Scenario.example().to_mapping()
    for name, value in fields.items():
        table, _, field = name.partition("__")
        tables[table][field] = value
    return Scenario.from_mapping(tables)


def test_database_connections_are_held_against_the_new_size(host: Host) -> None:
    tight = scenario(host__database_connections=30, worker__database_connections=1)
    # the recommendation keeps to the limit, so a larger one is made by hand
    wanted = host.recommendation(scenario())
    plan = build_plan(tight, wanted, host.installation(), created_at=NOW)
    assert next(risk.severity for risk in plan.risks if risk.code == "database-connections") == "danger"
    assert "database-connections" not in codes(host.plan(tight))


def test_fewer_workers_than_today_are_told(host: Host) -> None:
    plan = host.plan(scenario(host__ram=2 * 2**30))
    assert changes(plan)["pm.max_children"] == ("20", "8")
    assert {"fewer-workers", "objective-missed"} <= codes(plan)
    assert not plan.prediction.feasible


def test_a_load_told_as_a_rate_has_its_verdicts_as_users_have(host: Host) -> None:
    known, told = host.plan(), host.plan(scenario(workload__users=None, workload__arrival_rate=120.0))
    assert told.prediction.users is None
    for side in ("before", "after"):
        expected, found = getattr(known.prediction, side), getattr(told.prediction, side)
        assert (found.verdict, found.utilization) == (expected.verdict, pytest.approx(expected.utilization))


def test_workers_that_would_not_help_are_told(host: Host) -> None:
    # 400 users of 30 ms CPU a request ask for more than the four cores have
    plan = host.plan(scenario(workload__cpu_time=0.03, workload__users=400))
    assert "more-workers-do-not-help" in codes(plan)
    assert "more-workers-do-not-help" not in codes(host.plan())


def test_a_file_with_other_names_is_told(host: Host) -> None:
    assert "hard-links" not in codes(host.plan())
    (host.directory / "another-name").hardlink_to(host.pool_file)
    assert "hard-links" in codes(host.plan())


def test_a_pool_file_of_somebody_else_is_told(host: Host) -> None:
    there = host.installation()
    other = replace(
        there, pool_file=replace(there.pool_file, owner="deploy"), config=replace(there.config, owner="root")
    )
    assert "pool-file-owner" in codes(host.plan(installation=other))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_a_file_of_another_user_keeps_its_owner(host: Host) -> None:
    os.chown(host.env_file, 33, 33)
    host.env_file.chmod(0o600)
    plan = host.plan()
    for conditions in (plan.preconditions, plan.postconditions):
        found = next(c for c in conditions if c.kind == "file_sha256" and c.path == str(host.env_file))
        assert (found.mode, found.owner, found.group) == ("0600", host.env_file.owner(), host.env_file.group())
