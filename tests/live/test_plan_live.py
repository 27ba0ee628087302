"""The plan's script on a real site under load: carried out, undone, broken at every step, killed at every step."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from itertools import pairwise
from pathlib import Path

import pytest

from capacity.plan.model import ChangePlan
from capacity.plan.shell import plan_shell

from .conftest import missing
from .site import INDEX, NEW_WORKERS, OLD_WORKERS, SEARCH_PATH, SECRETS, Load, Site, alive, until

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="a pool file belongs to root"),
]

Snapshot = dict[str, object]
KILLED_SITES = 3
CHANGING = ("mkdir", "cp", "mv", "rmdir", "runuser")
AFTERWARDS = ("mv", "runuser")
POLLING = ("cat", "date", "sleep")
ASKING = (
    "chmod",
    "rm",
    "sync",
    "curl",
    "cut",
    "flock",
    "grep",
    "head",
    "id",
    "readlink",
    "sed",
    "sha256sum",
    "stat",
    "tail",
    "timeout",
    "tr",
)
TOOLS = (*CHANGING, *POLLING, *ASKING)


@pytest.fixture(scope="module")
def programs(php_fpm: str) -> tuple[str, str, str]:
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    nginx = shutil.which("nginx", path=path) or missing("nginx is not installed: apt-get install nginx-light")
    redis = shutil.which("redis-server", path=path) or missing("redis-server is not installed")
    for tool in ("flock", "runuser", "curl", "php8.2"):
        shutil.which(tool, path=path) or missing(f"{tool} is not installed")
    if "redis" not in subprocess.run([php_fpm, "-m"], capture_output=True, text=True, check=True).stdout.split():
        missing("phpredis is not installed: apt-get install php8.2-redis")
    return php_fpm, nginx, redis


@pytest.fixture(scope="module")
def build(programs: tuple[str, str, str]) -> Iterator[Callable[..., Site]]:
    """Start sites, each in a directory with a blank in its name.

    Not below pytest's directory: each run of pytest takes it from all others, and www-data is one of them.
    """
    sites: list[Site] = []

    def start(**options: object) -> Site:
        site = Site(Path(tempfile.mkdtemp(prefix="a site ")), programs, **options)  # type: ignore[arg-type]
        sites.append(site)
        site.start()
        return site

    yield start
    for site in sites:
        site.stop()
        shutil.rmtree(site.directory)


@pytest.fixture(scope="module")
def shared(build: Callable[..., Site]) -> tuple[Site, ChangePlan]:
    site = build()
    return site, site.plan()


@pytest.fixture
def site(shared: tuple[Site, ChangePlan]) -> Site:
    """The site, as it was when the plan was made."""
    shared[0].reset()
    return shared[0]


@pytest.fixture
def plan(shared: tuple[Site, ChangePlan]) -> ChangePlan:
    return shared[1]


def changed_lines(before: bytes, after: bytes) -> list[bytes]:
    old = before.split(b"\n")
    return [line for line in after.split(b"\n") if line not in old]


def is_applied(site: Site, before: Snapshot) -> None:
    now = site.snapshot()
    assert {name for name in {*now, *before} if now.get(name) != before.get(name)} == {
        "fpm/pool.d/app.conf",
        "app/.env",
    }
    for name in ("fpm/pool.d/app.conf", "app/.env"):
        assert now[name][1:] == before[name][1:], "mode and owner are kept"  # type: ignore[index]
    assert site.workers() in NEW_WORKERS
    assert site.get().json()["driver"] == "redis"


def is_restored(site: Site, before: Snapshot) -> None:
    assert site.snapshot() == before
    assert site.workers() in OLD_WORKERS
    assert site.get().status == 200
    assert site.get().json()["driver"] == "database"


def test_apply_and_undo_under_load_without_a_failed_request(site: Site, plan: ChangePlan) -> None:
    script, before, stored = site.script(plan), site.snapshot(), str(site.directory / "plan.json")
    pool, env = (path.read_bytes() for path in site.files)
    assert site.capacity("plan", "--check", stored).code == 0
    with Load(site, rate=50.0) as load:
        all_of_it = site.snapshot(times=True)
        done = site.run(script, "--dry-run")
        assert done.code == 0, done.err
        assert "pm.max_children: 20 -> 40" in done.err
        assert site.snapshot(times=True) == all_of_it
        assert not site.backups.exists()

        done = site.run(script)
        assert done.code == 0, done.err
        is_applied(site, before)
        assert changed_lines(pool, site.pool_file.read_bytes()) == [
            b"  pm.max_children   =   40   ; was 10 until last year",
            b"pm.start_servers = 8",
            b"\tpm.min_spare_servers=4",
            b'pm.max_spare_servers = "16"',
            b"pm.max_requests = 1000",
        ]
        assert changed_lines(env, site.env_file.read_bytes()) == [b"SESSION_DRIVER=redis"]
        judged = site.judged()
        assert [judged[f"pm.{name}"] for name in ("max_children", "start_servers", "max_requests")] == [
            "40",
            "8",
            "1000",
        ]
        assert [judged[f"pm.{name}_spare_servers"] for name in ("min", "max")] == ["4", "16"]

        sessions = int(site.redis("DBSIZE").lstrip(":"))
        first = site.get().json()
        assert int(site.redis("DBSIZE").lstrip(":")) == sessions + 1
        assert [site.get(session=first["id"]).json()["visits"] for _ in range(3)] == [2, 3, 4]

        check = site.capacity("plan", "--check", stored)
        assert check.code == 4
        for path in site.files:
            assert f"{path}: has the planned content already" in check.out

        all_of_it = site.snapshot(times=True)
        done = site.run(script)
        assert done.code == 0, done.err
        assert "already applied" in done.err
        assert site.snapshot(times=True) == all_of_it

        done = site.run(script, "--rollback")
        assert done.code == 0, done.err
        is_restored(site, before)
        done = site.run(script, "--rollback")
        assert done.code == 0
        assert "nothing to undo" in done.err

        done = site.run(script)
        assert done.code == 0, done.err
        is_applied(site, before)
    assert load.failures == []
    assert len(load) > 100
    for answers in load.answers:
        drivers = [answer.json()["driver"] for answer in answers]
        switches = [pair for pair in pairwise(drivers) if pair[0] != pair[1]]
        assert switches == [("database", "redis"), ("redis", "database"), ("database", "redis")]


def test_forty_requests_at_once_have_forty_workers(site: Site, plan: ChangePlan) -> None:
    done = site.run(site.script(plan))
    assert done.code == 0, done.err
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(site.get("/sleepy.php"))) for _ in range(40)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: site.workers() == 40, "forty workers")
    finally:
        (site.app / "storage/wake").touch()
        for thread in threads:
            thread.join()
    assert [answer.body for answer in answers] == [b"awake"] * 40


# ---------------------------------------------------------------- broken at every step


class Programs:
    """A directory of programs that come first in the script's search path.

    Each counts its calls, does what the real one does, and at one call strikes: ``STRIKE="mv 2 before group KILL"``
    sends SIGKILL to all of the script's session before the second mv (timeout runs programs in a group of their own).
    As another user they are as good as not there.
    """

    WRAPPER = """#!/bin/sh
real='{real}' at='{directory}' me='{name}'
[ -w "$at/calls" ] || exec "$real" "$@"
times=0
[ -f "$at/$me.times" ] && read -r times <"$at/$me.times"
times=$((times + 1))
echo "$times" >"$at/$me.times"
printf '%s\n' "$me $times $*" >>"$at/calls"
read -r _ _ _ _ _ script _ </proc/$$/stat
strike() {{
    kill -s "$1" "$script"
    for other in /proc/[0-9]*; do
        read -r pid _ _ _ _ session _ 2>/dev/null <"$other/stat" || continue
        [ "$session" != "$script" ] || [ "$pid" = $$ ] || [ "$pid" = "$script" ] || kill -s "$1" "$pid"
    done
    kill -s "$1" $$
}}
set -- "$real" "$@"
case ${{STRIKE-}} in
"$me $times before script "*) kill -s "${{STRIKE##* }}" "$script" ;;
"$me $times before group "*) strike "${{STRIKE##* }}" ;;
"$me $times after group "*)
    "$@"
    strike "${{STRIKE##* }}"
    ;;
esac
exec "$@"
"""

    def __init__(self, site: Site) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="programs", dir=site.directory))
        self.directory.chmod(0o755)
        self.forget()

    def forget(self) -> None:
        for path in self.directory.glob("*.times"):
            path.unlink()
        (self.directory / "calls").write_text("")

    def calls(self) -> list[list[str]]:
        return [line.split(" ") for line in (self.directory / "calls").read_text().splitlines()]

    def wrap(self, *names: str) -> None:
        for name in names:
            real = shutil.which(name, path=SEARCH_PATH)
            self.put(name, self.WRAPPER.format(real=real, directory=self.directory, name=name))

    def put(self, name: str, text: str) -> None:
        path = self.directory / name
        path.write_text(text)
        path.chmod(0o755)

    def break_at(self, name: str, pattern: str, then: str = "exit 1") -> None:
        """The program does `then` where one of its words matches the shell pattern, else what it always does."""
        real = shutil.which(name, path=SEARCH_PATH)
        self.put(name, f'#!/bin/sh\ncase "$*" in {pattern}) {then} ;; esac\nexec {real} "$@"\n')


@pytest.fixture
def stubs(site: Site) -> Iterator[Programs]:
    programs = Programs(site)
    yield programs
    shutil.rmtree(programs.directory)


NOTHING, BACK = "nothing was changed", "rolled back: everything is as it was before"


@pytest.mark.parametrize(
    ("name", "pattern", "code", "words"),
    [
        ("curl", "*", 4, NOTHING),
        ("sha256sum", "*", 4, NOTHING),
        ("mkdir", "*/backups/*", 1, NOTHING),
        ("cp", "*app.conf.part", 1, NOTHING),
        ("mv", "*.env.part*", 1, NOTHING),
        ("mkdir", "*.capacity-*", 1, NOTHING),
        ("chmod", "*", 1, NOTHING),
        ("cp", "*new-2", 1, NOTHING),
        ("stat", "*new-1", 1, NOTHING),
        ("timeout", "*config-1", 1, NOTHING),
        ("mv", "*new-1*", 1, BACK),
        ("mv", "*new-2*", 1, BACK),
        ("timeout", "*-y*php-fpm.conf", 1, "php-fpm -t refuses the configuration"),
        ("runuser", "*config:cache", 1, BACK),
        ("runuser", "*cache:clear", 1, BACK),
    ],
)
def test_a_program_that_fails_leaves_everything_as_it_was(
    site: Site, plan: ChangePlan, stubs: Programs, name: str, pattern: str, code: int, words: str
) -> None:
    # once only, so that the way back is not barred as well
    stubs.break_at(name, pattern, f"[ -e '{stubs.directory}/once' ] || {{ : >'{stubs.directory}/once'; exit 1; }}")
    before = site.snapshot()
    with Load(site) as load:
        done = site.run(site.script(plan, stubs.directory))
        assert (done.code, words in done.err) == (code, True), done.err
        is_restored(site, before)
    assert load.failures == []


def chmod_env(site: Site) -> None:
    site.env_file.chmod(0o600)


def edit_pool(site: Site) -> None:
    site.pool_file.write_bytes(site.pool_file.read_bytes() + b"; a word\n")


def edit_other_pool(site: Site) -> None:
    site.write(site.pool_file.with_name("other.conf"), "[other]\nnonsense = 1\n", 0o644)


def link_env(site: Site) -> None:
    site.env_file.rename(site.app / ".env.real")
    site.env_file.symlink_to(".env.real")


def remove_pool(site: Site) -> None:
    site.pool_file.unlink()


def stop_redis(site: Site) -> None:
    site.redis_process.terminate()
    site.redis_process.wait(timeout=30)


def name_another_process(site: Site) -> None:
    (site.directory / "fpm.pid").write_text(str(site.redis_process.pid))


def end_fpm(site: Site) -> None:
    """It stays a zombie here, and its pid file is there as after a crash."""
    os.kill(pid := site.master or 0, signal.SIGTERM)
    until(lambda: site.master is None, "php-fpm ends")
    (site.directory / "fpm.pid").write_text(str(pid))


def break_site(site: Site) -> None:
    site.write(site.app / "public/index.php", "<?php http_response_code(500);", 0o644)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (edit_pool, "app.conf has another content now"),
        (chmod_env, ".env has another mode, owner or group now: 600"),
        (edit_other_pool, "other.conf has another content now"),
        (link_env, ".env is reached through a symbolic link now"),
        (remove_pool, "app.conf is not there any more"),
        (stop_redis, "redis-server is not active"),
        (name_another_process, "fpm is not active"),
        (end_fpm, "fpm is not active"),
        (break_site, "answers 500 already before the change, not 200"),
    ],
)
@pytest.mark.parametrize("arguments", [(), ("--dry-run",)])
def test_another_host_than_planned_is_left_alone(
    site: Site, plan: ChangePlan, spoil: Callable[[Site], None], words: str, arguments: tuple[str, ...]
) -> None:
    pid = (site.directory / "fpm.pid").read_text()
    spoil(site)
    before, workers = site.snapshot(times=True), set(site.worker_pids())
    done = site.run(site.script(plan), *arguments)
    (site.directory / "fpm.pid").write_text(pid)
    assert done.code == 4, done.err
    assert words in done.err
    assert site.snapshot(times=True) == before
    assert not site.backups.exists()
    assert workers <= set(site.worker_pids()), "no reload"


def test_a_candidate_that_fpm_refuses_is_not_written(site: Site, plan: ChangePlan) -> None:
    (site.directory / "other").rmdir()  # which is the other pool's chdir
    before = site.snapshot()
    with Load(site) as load:
        for arguments in ((), ("--dry-run",)):
            done = site.run(site.script(plan), *arguments)
            assert done.code in {1, 4}, done.err
            assert "php-fpm -t refuses the" in done.err
            assert NOTHING in done.err
            is_restored(site, before)
    assert load.failures == []


def test_a_pool_file_that_came_later_and_is_broken_stops_the_plan(site: Site, plan: ChangePlan) -> None:
    site.write(site.pool_file.with_name("later.conf"), "[later]\nlisten = /nowhere\n", 0o644)
    before = site.snapshot()
    with Load(site) as load:
        done = site.run(site.script(plan))
        assert done.code in {1, 4}, done.err
        is_restored(site, before)
    assert load.failures == []


@pytest.mark.parametrize("cached", [False, True])
def test_a_site_that_fails_after_the_change_is_rolled_back(site: Site, plan: ChangePlan, cached: bool) -> None:
    page = site.app / "public/index.php"
    site.write(page, INDEX.replace("if (!session", "if ($redis || !session"), 0o644)
    before = site.snapshot()
    if cached:
        subprocess.run(["runuser", "-u", "www-data", "php", site.app / "artisan", "config:cache"], check=True)
        plan = site.plan(name="cached.json")
    with Load(site) as load:
        done = site.run(site.script(plan))
        assert done.code == 1, done.err
        assert "answers 500, not 200" in done.err
        assert BACK in done.err
        is_restored(site, before)
        assert site.cached.exists() == cached
    assert {answer.status for answer in load.failures} == {500}


def test_an_artisan_that_is_broken_on_the_way_back_too_is_told(site: Site, plan: ChangePlan) -> None:
    site.write(site.app / "artisan", "<?php exit(1);", 0o644)
    before = site.snapshot()
    with Load(site) as load:
        done = site.run(site.script(plan))
        assert done.code == 6, done.err
        assert "artisan config:clear failed" in done.err
        is_restored(site, before)
    assert load.failures == []


def test_an_application_of_another_user_than_the_pool(site: Site) -> None:
    shutil.chown(site.env_file, "backup")
    shutil.chown(site.cached.parent, "backup")
    plan, before = site.plan(name="user.json"), site.snapshot()
    with Load(site) as load:
        done = site.run(site.script(plan))
        assert done.code == 0, done.err
        is_applied(site, before)
    assert load.failures == []


def test_fpm_that_dies_at_the_reload_is_started_anew_with_the_old_settings(site: Site) -> None:
    """Its other pool is to listen on a port that somebody else holds until then: that -t does not see."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        other = site.pool_file.with_name("other.conf")
        text = other.read_text().replace(f"{site.directory}/other.sock", f"127.0.0.1:{holder.getsockname()[1]}")
        site.write(other, text, 0o644)
        plan, before, master = site.plan(name="dies.json"), site.snapshot(), site.master
        assert master is not None
        mask = umask_of(master)

        def let_go() -> None:
            until(lambda: site.reap() and not alive(master), "php-fpm ends")
            holder.close()

        watch = threading.Thread(target=let_go)
        watch.start()
        done = site.run(site.script(plan))
        watch.join()
    assert done.code == 1, done.err
    assert BACK in done.err
    is_restored(site, before)
    assert site.master not in {None, master}
    assert umask_of(site.master or 0) == mask, "what PHP writes is as readable as before"


def umask_of(pid: int) -> str:
    return next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("Umask"))


def test_workers_that_do_not_end_in_time_are_a_failure(site: Site, plan: ChangePlan, stubs: Programs) -> None:
    # the second look at the clock is years later
    clock = """#!/bin/sh
cd '{at}'
[ -e once ] && [ ! -e twice ] && : >twice && exec echo 9999999999
: >once
exec /bin/date "$@"
"""
    stubs.put("date", clock.format(at=stubs.directory))
    before, answers = site.snapshot(), []
    thread = threading.Thread(target=lambda: answers.append(site.get("/sleepy.php")))
    thread.start()
    timer = threading.Timer(3, (site.app / "storage/wake").touch)
    timer.start()
    with Load(site) as load:
        done = site.run(site.script(plan, stubs.directory))
        assert done.code == 1, done.err
        assert "still has workers from before the reload" in done.err
        is_restored(site, before)
    thread.join()
    timer.join()
    assert answers[0].body == b"awake"
    assert load.failures == []


@pytest.mark.parametrize("where", ["fpm/pool.d", "app", "backups"])
def test_a_full_disk_leaves_everything_as_it_was(site: Site, plan: ChangePlan, stubs: Programs, where: str) -> None:
    place = site.directory / where
    place.mkdir(exist_ok=True)
    stubs.break_at("cp", f"*{where}/*", 'for last; do :; done; head -c 20 "$2" >"$last"; exit 1')
    with ExitStack() as stack:
        script = site.script(plan, stubs.directory)
        if where != "app" and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", place]).returncode == 0:
            stack.callback(subprocess.run, ["umount", "--lazy", place], check=True)
            place.chmod(0o755)
            site.write_files()
            with suppress(OSError), (place / "filler").open("wb", buffering=0) as filler:
                while True:
                    filler.write(bytes(4096))
            with (place / "filler").open("r+b") as filler:
                filler.truncate((place / "filler").stat().st_size - 4096)
            script = site.script(plan)
        before = site.snapshot()
        with Load(site) as load:
            done = site.run(script)
            assert (done.code, NOTHING in done.err) == (1, True), done.err
            is_restored(site, before)
        assert load.failures == []


@pytest.mark.parametrize("where", ["fpm/pool.d", "backups"])
def test_a_read_only_file_system_leaves_everything_as_it_was(
    site: Site, plan: ChangePlan, stubs: Programs, where: str
) -> None:
    place = site.directory / where
    place.mkdir(exist_ok=True)
    before, script = site.snapshot(), site.script(plan)
    with ExitStack() as stack:
        if subprocess.run(["mount", "--bind", place, place]).returncode == 0:
            stack.callback(subprocess.run, ["umount", "--lazy", place], check=True)
            subprocess.run(["mount", "-o", "remount,bind,ro", place], check=True)
        else:  # where nothing can be mounted, programs that fail as they would there
            for name in ("mkdir", "cp", "mv"):
                stubs.break_at(name, f"*{where}*", "echo 'Read-only file system' >&2; exit 1")
            script = site.script(plan, stubs.directory)
        with Load(site) as load:
            done = site.run(script)
            assert (done.code, NOTHING in done.err) == (1, True), done.err
            is_restored(site, before)
        assert load.failures == []


def test_of_two_runs_at_once_one_is_turned_away(site: Site, plan: ChangePlan) -> None:
    script, before = site.script(plan), site.snapshot()
    with Load(site) as load:
        first = site.begin(script)
        until(lambda: list(site.pool_file.parent.glob(".capacity-*")), "the first run is at work")
        for arguments in ((), ("--dry-run",), ("--rollback",)):
            done = site.run(script, *arguments)
            assert (done.code, done.err) == (7, "capacity: another run is at work here\n")
        _, err = first.communicate(timeout=60)
        assert first.returncode == 0, err
        is_applied(site, before)
    assert load.failures == []


@pytest.mark.parametrize(
    ("point", "whom", "words"),
    [
        ("grep 1", "script INT", NOTHING),
        ("cp 2", "group TERM", NOTHING),
        ("rm 1", "group INT", NOTHING),
        ("mv 3", "group HUP", BACK),
        ("mv 4", "script INT", BACK),
        ("date 1", "group TERM", BACK),
        ("runuser 1", "group INT", BACK),
        ("curl 2", "script TERM", BACK),
        ("rm 6", "group TERM", BACK),
    ],
)
def test_an_interrupted_run_is_rolled_back(
    site: Site, plan: ChangePlan, stubs: Programs, point: str, whom: str, words: str
) -> None:
    stubs.wrap(*TOOLS)
    before = site.snapshot()
    with Load(site) as load:
        done = site.run(site.script(plan, stubs.directory), STRIKE=f"{point} before {whom}")
        assert (done.code, "failed: interrupted" in done.err, words in done.err) == (1, True, True), done.err
        is_restored(site, before)
    assert load.failures == []


def test_a_rollback_that_is_interrupted_goes_on(site: Site, plan: ChangePlan, stubs: Programs) -> None:
    stubs.wrap(*TOOLS)
    before = site.snapshot()
    with Load(site) as load:
        assert site.run(site.script(plan)).code == 0
        done = site.run(site.script(plan, stubs.directory), "--rollback", STRIKE="mv 2 before group TERM")
        # while it rolls back it hears nobody; the mv that was hit is made good by a second run
        if done.code == 6:
            done = site.run(site.script(plan), "--rollback")
        assert (done.code, BACK in done.err) == (0, True), done.err
        is_restored(site, before)
    assert load.failures == []


def test_a_rollback_that_fails_is_told_and_can_be_repeated(site: Site, plan: ChangePlan, stubs: Programs) -> None:
    stubs.break_at("cp", "*old-1")
    before, script = site.snapshot(), site.script(plan, name="first.sh")
    with Load(site) as load:
        assert site.run(script).code == 0
        done = site.run(site.script(plan, stubs.directory), "--rollback")
        assert done.code == 6, done.err
        assert f"the original is {site.backups}" in done.err
        assert site.get().status == 200
        done = site.run(script, "--rollback")
        assert done.code == 0, done.err
        is_restored(site, before)
    assert load.failures == []


# ---------------------------------------------------------------- killed at every step


class Killed:
    """A site whose script is killed at one call, and then started once more."""

    def __init__(self, site: Site) -> None:
        self.site, self.plan, self.load = site, site.plan(), Load(site, visitors=1, rate=10)
        self.programs, self.quick = Programs(site), Programs(site)
        self.programs.wrap(*TOOLS)
        for programs in (self.programs, self.quick):
            programs.put("sleep", "#!/bin/sh\nexec /bin/sleep 0.1\n")
        self.script = site.script(self.plan, self.programs.directory, name="wrapped.sh")
        self.plain = site.script(self.plan, self.quick.directory)
        self.before = site.snapshot()
        self.run()
        self.after = site.snapshot()
        self.undo()

    def run(self, *arguments: str) -> None:
        done = self.site.run(self.plain, *arguments)
        assert done.code == 0, done.err

    def undo(self) -> None:
        self.run("--rollback")
        self.assert_is(self.before, "database", OLD_WORKERS)
        shutil.rmtree(self.site.backups, ignore_errors=True)

    def assert_is(self, files: Snapshot, driver: str, workers: range) -> None:
        assert self.site.snapshot() == files
        assert self.site.get().json()["driver"] == driver
        assert self.site.cached.exists() == (driver == "redis")
        assert self.site.workers() in workers

    def calls(self, *arguments: str) -> list[tuple[str, int]]:
        self.programs.forget()
        done = self.site.run(self.script, *arguments)
        assert done.code == 0, done.err
        return [(name, int(times)) for name, times, *_ in self.programs.calls()]

    def strike(self, point: str, way: tuple[str, ...], repair: str) -> None:
        if way:
            self.run()
        self.programs.forget()
        done = self.site.run(self.script, *way, STRIKE=f"{point} group KILL")
        name, times, when = point.split()
        made = max((int(call[1]) for call in self.programs.calls() if call[0] == name), default=0)
        if done.code == 0 and name in ASKING and 0 < made < int(times):
            # How often it looks whether FPM is back is not the same in each run: then before the last call of this one.
            self.undo()
            self.strike(f"{name} {made} {when}", way, repair)
            return
        assert done.code == -9, done.err
        now = self.site.snapshot()
        for path in self.site.files:
            name = str(path.relative_to(self.site.directory))
            assert now[name] in (self.before[name], self.after[name])
        assert self.site.get().status == 200
        if repair == "apply":
            self.run()
            self.assert_is(self.after, "redis", NEW_WORKERS)
        self.undo()


def points(calls: list[tuple[str, int]]) -> list[str]:
    """Before each call that changes something and before the last of the others; after those that change the most.

    Between one call and the next there is little: after the one is all but before the other.
    """
    last = dict(calls)
    once = [f"{name} 1 before" for name in POLLING if name in last]
    return once + [
        f"{name} {times} {when}"
        for name, times in calls
        for when in ("before", "after")
        if (name in AFTERWARDS if when == "after" else name in CHANGING or times == last[name])
        # how often it looks whether the old workers are gone is not the same in each run
        if name not in POLLING
    ]


def test_killed_at_every_step_it_can_be_repaired(build: Callable[..., Site]) -> None:
    with ThreadPoolExecutor(KILLED_SITES) as threads:
        sites = list(threads.map(lambda _: Killed(build()), range(KILLED_SITES)))
        there, back = sites[0].calls(), sites[0].calls("--rollback")
        cases = [
            (point, way, ("apply", "rollback")[(n + n // 2) % 2])
            for way, calls in (((), there), (("--rollback",), [call for call in back if call[0] in CHANGING]))
            for n, point in enumerate(points(calls))
        ]
        shutil.rmtree(sites[0].site.backups)
        free: queue.SimpleQueue[Killed] = queue.SimpleQueue()
        for killed in sites:
            free.put(killed)

        def strike(case: tuple[str, tuple[str, ...], str]) -> str:
            killed = free.get()
            try:
                killed.strike(*case)
            except AssertionError as error:
                killed.site.reset()
                return f"{case}: {error}"
            finally:
                free.put(killed)
            return ""

        with ExitStack() as loads:
            for killed in sites:
                loads.enter_context(killed.load)
            wrong = [text for text in threads.map(strike, cases) if text]
    assert wrong == [], "\n".join(wrong)
    assert len(cases) > 40
    assert [killed.load.failures for killed in sites] == [[]] * KILLED_SITES


# ---------------------------------------------------------------- what it says


def test_wget_will_do_where_there_is_no_curl(site: Site, plan: ChangePlan, stubs: Programs) -> None:
    for name in (*TOOLS, "mktemp", "wget"):
        if name != "curl":
            real = shutil.which(name, path=SEARCH_PATH) or missing(f"{name} is not installed")
            (stubs.directory / name).symlink_to(real)
    script = site.directory / "wget.sh"
    script.write_text(plan_shell(plan, search_path=str(stubs.directory)))
    before = site.snapshot()
    done = site.run(script)
    assert done.code == 0, done.err
    is_applied(site, before)


def test_no_secret_is_told(site: Site, plan: ChangePlan) -> None:
    stored = str(site.directory / "plan.json")
    told = [site.said, Path(stored).read_text()]
    for form in ("table", "json", "diff", "markdown", "shell"):
        done = site.capacity("plan", "--from", stored, "--format", form)
        assert done.code == 0, done.err
        told += [done.out, done.err]
    told += site.capacity("plan", "--check", stored)[1:]
    for spoil in (edit_pool, chmod_env):
        spoil(site)
    told += site.capacity("plan", "--check", stored)[1:]
    told += site.run(site.script(plan))[1:]
    text = "\n".join(map(str, told))
    files = b"".join(path.read_bytes() for path in site.files)
    for secret in SECRETS:
        assert secret.encode() in files
        assert secret not in text
    assert "SESSION_DRIVER" in text


def test_shellcheck_and_dash_accept_the_script(site: Site, plan: ChangePlan) -> None:
    assert " " in str(site.pool_file)
    stored, script = site.directory / "plan.json", site.directory / "rendered.sh"
    done = site.capacity("plan", "--from", str(stored), "--format", "shell", "-o", str(script))
    assert done.code == 0, done.err
    for command in (["shellcheck", "--shell=sh", "--severity=style"], ["dash", "-n"]):
        if shutil.which(command[0]) is None:
            missing(f"{command[0]} is not installed")
        judged = subprocess.run([*command, script], capture_output=True, text=True)
        assert (judged.returncode, judged.stdout + judged.stderr) == (0, "")


def test_the_backlog_changes_at_a_restart_only(site: Site) -> None:
    if shutil.which("ss") is None:
        missing("ss is not installed: apt-get install iproute2")
    site.pool_file.write_bytes(site.pool_file.read_bytes() + b"listen.backlog = 64\n")
    site.stop_fpm()
    site.start_fpm()
    plan = site.plan("--also", "listen.backlog", name="backlog.json")
    (step,) = (step for step in plan.steps if step.op == "set_directive" and step.directive == "listen.backlog")
    (risk,) = (risk for risk in plan.risks if step.id in risk.step_ids)
    assert "restart only" in risk.message
    assert backlog_of(site) == 64 != int(step.after)
    done = site.run(site.script(plan))
    assert done.code == 0, done.err
    assert site.judged()["listen.backlog"] == step.after
    assert backlog_of(site) == 64
    site.stop_fpm()
    site.start_fpm()
    assert backlog_of(site) == int(step.after)


def backlog_of(site: Site) -> int:
    """The longest accept queue of the pool's socket, as the kernel has it: Send-Q of a listening one."""
    listing = subprocess.run(["ss", "-xlH"], capture_output=True, text=True, check=True).stdout
    (line,) = (line for line in listing.splitlines() if f"{site.directory}/app.sock" in line)
    return int(line.split()[3])


# ---------------------------------------------------------------- attacked


def evil(stubs: Programs, name: str, pattern: str, then: str) -> None:
    """At the first such call, something happens before the program does what it always does."""
    real = shutil.which(name, path=SEARCH_PATH)
    once = f"{stubs.directory}/once"
    first = f"[ -e '{once}' ] || {{ : >'{once}'; {then}; }}"
    stubs.put(name, f'#!/bin/sh\ncase "$*" in {pattern}) {first} ;; esac\nexec {real} "$@"\n')


def test_a_file_is_not_put_where_a_link_that_came_meanwhile_leads(
    site: Site, plan: ChangePlan, stubs: Programs
) -> None:
    """mv goes into a directory that a link leads to, were it let to."""
    victim = site.directory / "victim"
    victim.mkdir()
    link = f"rm -f '{site.env_file}'; ln -s '{victim}' '{site.env_file}'"
    evil(stubs, "mv", "*new-2*", link)
    done = site.run(site.script(plan, stubs.directory))
    assert list(victim.iterdir()) == []
    assert done.code in {0, 1}, done.err
    assert not site.env_file.is_symlink()
    assert site.get().status == 200


def test_what_is_no_file_any_more_does_not_hang_the_script(site: Site, plan: ChangePlan, stubs: Programs) -> None:
    evil(stubs, "sha256sum", "*", f"rm -f '{site.env_file}'; mkfifo '{site.env_file}'")
    done = site.run(site.script(plan, stubs.directory))
    assert done.code == 4, done.err
    assert "is not there any more" in done.err


@pytest.mark.parametrize("way", [(), ("--rollback",)])
def test_a_link_instead_of_the_working_directory_is_not_followed(
    site: Site, plan: ChangePlan, way: tuple[str, ...]
) -> None:
    script, before = site.script(plan), site.snapshot()
    if way:
        assert site.run(script).code == 0
    victim = site.directory / "victim"
    victim.mkdir(exist_ok=True)
    hold = site.app / f".capacity-{plan.plan_id[:12]}"
    hold.symlink_to(victim)
    done = site.run(script, *way)
    assert done.code == (6 if way else 1), done.err
    assert list(victim.iterdir()) == []
    hold.unlink()
    if way:
        assert site.run(script, *way).code == 0
    is_restored(site, before)


def test_a_working_directory_of_somebody_else_is_not_used(site: Site, plan: ChangePlan) -> None:
    before = site.snapshot()
    hold = site.app / f".capacity-{plan.plan_id[:12]}"
    hold.mkdir()
    (hold / "theirs").touch()
    shutil.chown(hold, "www-data")
    done = site.run(site.script(plan))
    assert (done.code, NOTHING in done.err) == (1, True), done.err
    assert [path.name for path in hold.iterdir()] == ["theirs"]
    shutil.rmtree(hold)
    is_restored(site, before)


def test_backups_are_not_kept_where_others_can_write(site: Site, plan: ChangePlan) -> None:
    before = site.snapshot()
    site.backups.mkdir()
    shutil.chown(site.backups, "www-data")
    done = site.run(site.script(plan))
    assert (done.code, NOTHING in done.err) == (1, True), done.err
    assert "must belong to root or to you" in done.err
    shutil.rmtree(site.backups)
    is_restored(site, before)


def test_a_php_fpm_that_others_can_write_to_is_never_run(site: Site) -> None:
    proof = site.directory / "it-ran"
    folder = site.directory / "evil"
    folder.mkdir()
    binary = folder / "php-fpm8.2"
    binary.write_text(f"#!/bin/sh\ntouch '{proof}'\nexec {shutil.which('php-fpm8.2', path=SEARCH_PATH)} \"$@\"\n")
    binary.chmod(0o755)
    script = site.script(site.plan("--php-fpm", str(binary), name="evil.json"), name="evil.sh")
    for spoil in (lambda: binary.chmod(0o777), lambda: folder.chmod(0o777)):
        binary.chmod(0o755)
        folder.chmod(0o755)
        spoil()
        proof.unlink(missing_ok=True)
        for way in ((), ("--dry-run",)):
            done = site.run(script, *way)
            assert done.code == 4, done.err
            assert "it is not run" in done.err or "is not PHP" in done.err
        assert not proof.exists()
        stored = str(site.directory / "evil.json")
        assert site.capacity("plan", "--check", stored).code == 4
        assert not proof.exists()
    shutil.rmtree(folder)


@pytest.mark.parametrize("stream", ["closed", "full", "a pipe nobody reads"])
def test_words_that_nobody_hears_do_not_end_a_run(site: Site, plan: ChangePlan, stream: str) -> None:
    script, before = site.script(plan), site.snapshot()
    end = {"closed": "2>&-", "full": "2>/dev/full", "a pipe nobody reads": "2>&1 | true"}[stream]
    for way in ("", "--rollback"):
        subprocess.run(["sh", "-c", f"sh '{script}' {way} {end}"], check=False, timeout=60)
        if not way:
            is_applied(site, before)
    is_restored(site, before)


def test_a_marker_that_cannot_be_made_is_a_failure_like_others(site: Site, plan: ChangePlan) -> None:
    script, before = site.script(plan), site.snapshot()
    kept = next(step for step in plan.steps if step.op == "backup")
    store = Path(kept.backup_path.removesuffix(kept.path))
    for marker in ("started", "applied"):
        (store / f"{marker}-{plan.plan_id[:12]}").mkdir(parents=True)
        site.backups.chmod(0o700)
        done = site.run(script)
        assert done.code == 1, done.err
        is_restored(site, before)
        shutil.rmtree(site.backups)


def test_two_options_are_one_too_many(site: Site, plan: ChangePlan) -> None:
    script, before = site.script(plan), site.snapshot()
    assert site.run(script).code == 0
    done = site.run(script, "--rollback", "--dry-run")
    assert (done.code, done.err.startswith("usage")) == (2, True)
    is_applied(site, before)


def test_a_plan_of_which_a_part_was_put_back_by_hand_is_undone_first(site: Site, plan: ChangePlan) -> None:
    script, before = site.script(plan), site.snapshot()
    env = site.env_file.read_bytes()
    assert site.run(script).code == 0
    site.env_file.write_bytes(env)
    done = site.run(script)
    assert (done.code, "--rollback" in done.err) == (4, True), done.err
    assert site.run(script, "--rollback").code == 0
    is_restored(site, before)


def test_content_that_another_way_led_to_is_not_taken_for_its_own(site: Site, plan: ChangePlan) -> None:
    script = site.script(plan)
    assert site.run(script).code == 0
    now = site.snapshot()
    shutil.rmtree(site.backups)
    for way in ((), ("--rollback",)):
        done = site.run(script, *way)
        assert (done.code, "not by this plan" in done.err) == (4, True), done.err
    assert site.snapshot() == now


# ---------------------------------------------------------------- where systemd runs


def test_where_systemd_runs_it_is_asked(site: Site, plan: ChangePlan, stubs: Programs) -> None:
    """With a stand-in for systemctl that does what the units of Debian do: a container has no systemd."""
    services = {c.service: c.pid_file for c in plan.preconditions if c.kind == "service_active"}
    cases = "\n".join(f"{service}) read -r pid <'{path}' ;;" for service, path in services.items())
    stubs.put(
        "systemctl",
        f"""#!/bin/sh
for service in "$@"; do :; done
case $service in
{cases}
*) exit 4 ;;
esac
echo "$1 $service" >>'{stubs.directory}/asked'
case $1 in
is-active) kill -0 "$pid" ;;
show) echo "$pid" ;;
reload) kill -s USR2 "$pid" ;;
*) exit 1 ;;
esac
""",
    )
    assert len(services) == 2
    script, before = site.directory / "systemd.sh", site.snapshot()
    script.write_text(plan_shell(plan, search_path=f"{stubs.directory}:{SEARCH_PATH}", systemd="/proc"))
    with Load(site) as load:
        done = site.run(script)
        assert done.code == 0, done.err
        is_applied(site, before)
        assert site.run(script, "--rollback").code == 0
        is_restored(site, before)
    assert load.failures == []
    asked = (stubs.directory / "asked").read_text().splitlines()
    assert asked.count("reload php8.2-fpm") == 2
    assert {f"is-active {service}" for service in services} <= set(asked)


def test_busybox_will_do(site: Site, plan: ChangePlan, stubs: Programs) -> None:
    busybox = shutil.which("busybox", path=SEARCH_PATH) or missing("busybox is not installed")
    subprocess.run([busybox, "--install", "-s", str(stubs.directory)], check=True)
    before, script = site.snapshot(), site.directory / "busybox.sh"
    script.write_text(plan_shell(plan, search_path=f"{stubs.directory}:{SEARCH_PATH}"))
    for way in ([], ["--rollback"]):
        done = subprocess.run(
            [busybox, "sh", str(script), *way], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        if not way:
            is_applied(site, before)
    is_restored(site, before)
