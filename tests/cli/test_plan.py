"""``capacity plan``: from options to a plan in every form, and a stored plan held against the host."""

from __future__ import annotations

import json
import os
from pathlib import Path
from unittest.mock import patch

import pytest

from capacity.plan.model import canonical_json, plan_id_of, read_plan
from tests.plan.conftest import POOL, SECRETS, Host, write_host

from .conftest import Ran, assert_refused, run, spawn


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return write_host(tmp_path / "host")


def planned(host: Host, *options: str) -> Ran:
    files = ["--pool-file", str(host.pool_file), "--env-file", str(host.env_file)]
    return run("plan", *files, "--users", "150", "--no-measure", *options)


def test_the_plan_is_written_as_json(host: Host, tmp_path: Path) -> None:
    ran = planned(host, "--format", "json")
    assert ran.code == 0
    plan = read_plan(ran.out)
    assert [s.after for s in plan.steps if s.op == "set_directive"] == ["40", "8", "4", "16", "1000"]
    assert "From case study (built in): " in ran.err
    into = tmp_path / "plan.json"
    assert planned(host, "-o", str(into)).out == ""
    assert [s.id for s in read_plan(into.read_text()).steps] == [s.id for s in plan.steps]


@pytest.mark.parametrize(
    ("suffix", "begin"),
    [(".json", "{\n"), (".sh", "#!/bin/sh\n"), (".diff", "--- /"), (".patch", "--- /"), (".md", "# "), (".txt", "")],
)
def test_the_suffix_says_the_form(host: Host, tmp_path: Path, suffix: str, begin: str) -> None:
    stored, into = tmp_path / "plan.json", tmp_path / f"out{suffix}"
    planned(host, "-o", str(stored))
    assert run("plan", "--from", str(stored), "-o", str(into)).code == 0
    assert into.read_text().startswith(begin)
    assert run("plan", "--from", str(stored), "-o", str(into), "--format", "diff").code == 0
    assert into.read_text().startswith("--- /")


@pytest.mark.parametrize("form", ["table", "json", "diff", "markdown", "shell"])
def test_no_secret_is_in_any_form_or_message(host: Host, tmp_path: Path, form: str) -> None:
    stored = tmp_path / "plan.json"
    planned(host, "-o", str(stored))
    shown = run("plan", "--from", str(stored), "--format", form)
    ran = planned(host, "--format", form)
    checked = run("plan", "--check", str(stored))
    text = shown.out + shown.err + ran.out + ran.err + checked.out + checked.err
    assert [secret for secret in SECRETS if secret in text] == []
    assert len(shown.out) > 100


def test_a_right_pool_has_nothing_to_change(tmp_path: Path) -> None:
    pool = POOL.replace("20", "40").replace("servers = 4", "servers = 8").replace("servers = 2", "servers = 4")
    host = write_host(tmp_path / "host", pool=pool.replace('"6"', "16") + "pm.max_requests = 1000\n")
    ran = run("plan", "--pool-file", str(host.pool_file), "--no-measure", "--format", "json")
    assert ran.code == 0
    assert ran.json["steps"] == []
    assert "Nothing has to be changed: pool app is as it is recommended." in ran.err


def test_an_infeasible_workload_is_a_plan_all_the_same(host: Host) -> None:
    ran = planned(host, "--users", "1000", "--format", "json")
    assert ran.code == 3
    assert "Infeasible" in ran.err
    assert read_plan(ran.out).prediction.feasible is False


# --- held against the host


def without_services(path: Path) -> None:
    document = json.loads(path.read_text())
    document["preconditions"] = [c for c in document["preconditions"] if c["kind"] == "file_sha256"]
    document["plan_id"] = plan_id_of(document)
    path.write_bytes(canonical_json(document))


def test_a_host_as_it_was_is_0_and_another_is_4(host: Host, tmp_path: Path) -> None:
    stored = tmp_path / "plan.json"
    planned(host, "-o", str(stored))
    without_services(stored)
    ran = run("plan", "--check", str(stored))
    assert (ran.code, ran.out) == (0, "This host is as the plan found it.\n")
    host.pool_file.write_text(host.pool_file.read_text() + ";\n")
    ran = run("plan", "--check", str(stored))
    assert (ran.code, ran.out) == (4, f"{host.pool_file}: its content has changed\n")
    assert ran.err.startswith("Stale: plan ")


def test_a_plan_changed_by_hand_is_refused(host: Host, tmp_path: Path) -> None:
    stored = tmp_path / "plan.json"
    planned(host, "-o", str(stored))
    stored.write_text(stored.read_text().replace('"after": "40"', '"after": "41"'))
    for option in ("--check", "--from"):
        assert_refused(run("plan", option, str(stored)), "edit.insert", "by hand")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\x00" * 10, b"[1]", b'{"format_version": "9.0"}', b"{" * 5000, b"\xff" * 10], ids=range(7)
)
def test_what_is_no_plan_is_refused(tmp_path: Path, content: bytes) -> None:
    stored = tmp_path / "plan.json"
    stored.write_bytes(content)
    assert_refused(run("plan", "--check", str(stored)), "plan" if not content.startswith(b'{"') else "format_version")
    assert_refused(run("plan", "--from", str(stored)))


def test_a_plan_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert_refused(run("plan", "--check", str(tmp_path / "none.json")), "No such file")
    assert_refused(run("plan", "--from", str(tmp_path)), "directory")


# --- bad input


def test_the_pool_file_is_needed() -> None:
    assert_refused(run("plan"), "--pool-file is needed")


BAD: dict[str, tuple[list[str], str]] = {
    "no such pool file": (["--pool-file", "/no/such.conf"], "No such file"),
    "no such .env": (["--env-file", "/no/such/.env"], "No such file"),
    "a directory for .env": (["--env-file", "/tmp"], "not a regular file"),
    "no such configuration": (["--fpm-config", "/no/such.conf"], "No such file"),
    "another configuration": (["--fpm-config", "/etc/hostname"], "/etc/hostname"),
    "another program": (["--php-fpm", "/bin/sh"], "--php-fpm must be php-fpm or php-fpmN.N"),
    "a program with an option": (["--php-fpm", "php-fpm; id"], "--php-fpm must be php-fpm or php-fpmN.N"),
    "an address with a password": (["--url", "http://u:hunter9@a/"], "must not hold a user name or password"),
    "an address with a command": (["--url", "http://a/$(id)"], "must be an http or https address"),
    "a service with a blank": (["--service", "a b"], "--service must be the name of a service"),
    "a service with an option": (["--redis-service", "--help"], "must be the name of a service"),
    "a pid file that climbs": (["--pid-file", "/run/../etc/passwd"], "must be a path without .."),
    "backups that climb": (["--backup-dir", "/var/../etc"], "must be a path without .."),
    "backups nowhere": (["--backup-dir", "backups"], "must be an absolute path"),
    "a user with a sign": (["--app-user", "root;id"], "must be a user or group name"),
    "a directive that is not on offer": (["--also", "user"], "--also must be one of"),
    "an impossible status": (["--expect-status", "99"], "--expect-status"),
    "an output that cannot be": (["-o", "/no/such/plan.json"], "--output"),
}


@pytest.mark.parametrize(("options", "said"), BAD.values(), ids=BAD)
def test_bad_options_are_refused_in_words(host: Host, options: list[str], said: str) -> None:
    ran = planned(host, *options)
    assert ran.code == 2, ran
    assert said in ran.err
    assert "Traceback" not in ran.err
    assert "internal" not in ran.err
    assert "hunter9" not in ran.err


def test_an_env_file_that_cannot_be_read_without_guessing_is_refused_without_its_values(host: Host) -> None:
    host.env_file.write_bytes(b'PASSWORD="hunter2\nSESSION_DRIVER=database\n')
    ran = planned(host)
    assert ran.code == 2
    assert "hunter2" not in ran.err
    assert "line 1" in ran.err


def test_a_pool_file_that_is_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pool.conf")
    assert_refused(run("plan", "--pool-file", str(tmp_path / "pool.conf"), "--no-measure"), "not a regular file")


@pytest.mark.parametrize(
    "line",
    ['env[DB_PASSWORD] = "hunter9', "php_value[x = hunter9", 'php_admin_value[a] = "hunter9', "env[X] = (hunter9"],
)
def test_a_line_that_cannot_be_read_does_not_tell_its_secret(tmp_path: Path, line: str) -> None:
    host = write_host(tmp_path / "host", pool=POOL + line + "\n")
    for command in ("plan", "recommend"):
        ran = run(command, "--pool-file", str(host.pool_file), "--no-measure")
        assert "hunter9" not in ran.out + ran.err
        assert ran.code in {0, 2}


def test_processes_that_are_hidden_are_a_note(host: Host) -> None:
    from capacity.errors import MeasurementError

    with patch("capacity.measure.list_pools", side_effect=MeasurementError("hidden")):
        ran = planned(host, "--format", "json")
    assert ran.code == 0
    assert "Note: what runs on this machine cannot be seen: hidden" in ran.err


def test_it_runs_as_a_process_of_its_own(host: Host) -> None:
    done = spawn("plan", "--pool-file", str(host.pool_file), "--no-measure")
    assert done.returncode == 0, done.stderr
    assert "pm.max_children" in done.stdout
