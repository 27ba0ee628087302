"""The script and the diff: nothing in them but the plan, every word quoted. What they do is tried in tests/live."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from capacity.plan.diff import plan_diff
from capacity.plan.shell import plan_shell

from .conftest import ENV, POOL, SECRETS, Host, write_host

Make = Callable[..., Host]


def sh(script: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    path = cwd / "plan.sh"
    path.write_text(script)
    return subprocess.run(["sh", str(path), *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_the_diff_shows_the_changed_lines_and_no_other(host: Host) -> None:
    assert plan_diff(host.plan()) == (
        f"--- {host.pool_file}\n+++ {host.pool_file}\n"
        "@@ -7 +7 @@ [app]\n-pm.max_children = 20\n+pm.max_children = 40\n"
        "@@ -8 +8 @@ [app]\n-pm.start_servers = 4\n+pm.start_servers = 8\n"
        "@@ -9 +9 @@ [app]\n-pm.min_spare_servers = 2\n+pm.min_spare_servers = 4\n"
        "@@ -10 +10 @@ [app]\n-pm.max_spare_servers = 6\n+pm.max_spare_servers = 16\n"
        "@@ -10,0 +11 @@ [app]\n+pm.max_requests = 1000\n"
        f"--- {host.env_file}\n+++ {host.env_file}\n"
        "@@ -3 +3 @@\n-SESSION_DRIVER=database\n+SESSION_DRIVER=redis\n"
    )


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_the_lines_of_the_diff_are_those_of_the_file(make_host: Make, end: str) -> None:
    host = make_host(pool=POOL.rstrip("\n").replace("\n", end or "\n") + end)
    plan = host.plan(env=False)
    step = next(s for s in plan.steps if s.op == "set_directive" and s.directive == "pm.max_requests")
    assert step.edit.line == 11
    assert "@@ -10,0 +11 @@ [app]\n+pm.max_requests = 1000\n" in plan_diff(plan)


def test_no_secret_gets_into_a_rendering(host: Host) -> None:
    plan = host.plan(url="http://127.0.0.1/")
    for text in (plan_shell(plan), plan_diff(plan)):
        assert [secret for secret in SECRETS if secret in text] == []


def test_a_plan_without_steps_is_a_script_that_says_so(make_host: Make, tmp_path: Path) -> None:
    pool = POOL.replace("20", "40").replace("servers = 4", "servers = 8").replace("servers = 2", "servers = 4")
    host = make_host(pool=pool.replace('"6"', "16") + "pm.max_requests = 1000\n")
    ran = sh(plan_shell(host.plan(env=False)), cwd=tmp_path)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "capacity: nothing has to be changed\n")
    assert plan_diff(host.plan(env=False)) == ""


@pytest.mark.parametrize("option", ["--help", "--apply", "; id", "$(id)"])
def test_the_usage_is_told(host: Host, tmp_path: Path, option: str) -> None:
    ran = sh(plan_shell(host.plan(env=False)), option, cwd=tmp_path)
    assert ran.returncode == (0 if option == "--help" else 2)
    assert ran.stderr.startswith("usage: sh plan.sh")


def test_a_host_without_the_service_is_refused_and_nothing_is_touched(host: Host, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in host.directory.rglob("*") if path.is_file()}
    ran = sh(plan_shell(host.plan(), systemd="/nowhere"), cwd=tmp_path)
    assert ran.returncode == 4
    assert "php8.2-fpm is not active" in ran.stderr or "is not PHP" in ran.stderr
    assert {path: path.read_bytes() for path in host.directory.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("missing", ["flock", "sha256sum"])
def test_a_tool_that_is_missing_is_told_before_anything_is_done(host: Host, tmp_path: Path, missing: str) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for folder in ("/bin", "/usr/bin"):
        for path in Path(folder).iterdir():
            if path.name != missing and not (tools / path.name).exists():
                (tools / path.name).symlink_to(path)
    ran = sh(plan_shell(host.plan(env=False), search_path=str(tools)), cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (2, f"capacity: {missing} is needed and not there\n")


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("name", ["plain", "with blanks, and (no) $igns".replace("(no) $", "")])
@pytest.mark.parametrize("env", [True, False])
def test_shellcheck_finds_nothing(tmp_path: Path, name: str, env: bool) -> None:
    host = write_host(tmp_path / name, env=ENV.replace("CACHE_DRIVER=redis", "CACHE_DRIVER=database"))
    script = tmp_path / "plan.sh"
    script.write_text(plan_shell(host.plan(url="http://127.0.0.1/?a=1&b=%20", env=env)))
    ran = subprocess.run(["shellcheck", str(script)], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "")
