"""``capacity recommend`` beside a real php-fpm: what it writes is accepted, what runs is what it reads."""

from __future__ import annotations

import io
import json
import os
import pwd
import subprocess
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import psutil
import pytest

from capacity.cli import main
from capacity.scenario import CASE_STUDY_SOURCE

from .conftest import Fpm, missing, pool_text

pytestmark = pytest.mark.live

MIB = 1 << 20
Start = Callable[..., Fpm]
ROOT = os.geteuid() == 0
LINUX = Path("/proc/self/smaps_rollup").exists()
needs_linux = pytest.mark.skipif(not LINUX, reason="needs Linux' /proc/PID/smaps")
needs_root = pytest.mark.skipif(not ROOT, reason="only root may read the mappings of FPM's workers, or become another")

POOLS = {
    "dynamic": "pm.start_servers = 2\npm.min_spare_servers = 1\npm.max_spare_servers = 3\n",
    "static": "",
    "ondemand": "pm.process_idle_timeout = 20s\npm.max_requests = 300\n",
}
# Options and the exit code they give: 1 worker, a handful, the case study, hundreds, thousands.
SIZES = {
    "one worker": (["--ram", "1600MiB", "--reserved", "1536MiB", "--users", "1"], 0),
    "not even one worker": (["--ram", "1550MiB", "--reserved", "1536MiB"], 3),
    "two workers": (["--ram", "1664MiB", "--reserved", "1536MiB", "--users", "2"], 0),
    "three workers": (["--ram", "1728MiB", "--reserved", "1536MiB"], 3),
    "five workers": (["--ram", "1856MiB", "--reserved", "1536MiB"], 3),
    "the case study": ([], 0),
    "no demand": (["--arrival-rate", "0"], 0),
    "more than the cores can": (["--cpu-time", "60ms"], 3),
    "a rush": (["--ram", "16GiB", "--users", "700"], 0),
    "thousands": (["--ram", "256GiB", "--users", "15000", "--cpus", "256", "--cpu-time", "10ms"], 0),
    "short requests": (["--service-time", "1ms"], 0),
    "long requests": (["--service-time", "90s", "--think-time", "300s", "--web-server-timeout", "10min"], 3),
}


def capacity(*arguments: str, environment: dict[str, str] | None = None, **options: Any) -> tuple[int, str, str]:
    """Exit code and the two outputs of the command in a process of its own."""
    command = [sys.executable, "-m", "capacity", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment, **options)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


def in_this_process(*arguments: str) -> tuple[int | str | None, str, str]:
    """The same without a new process: what takes most of the time is to start it."""
    with (
        redirect_stdout(io.StringIO()) as out,
        redirect_stderr(io.StringIO()) as err,
        pytest.raises(SystemExit) as left,
    ):
        main(list(arguments))
    return left.value.code, out.getvalue(), err.getvalue()


def recommended(*arguments: str, code: int | None = 0) -> tuple[Any, str]:
    """The JSON document and the words on stderr."""
    status, out, err = capacity("recommend", *arguments, "--format", "json")
    assert status in ({code} if code is not None else {0, 3}), err
    return json.loads(out), err


def sources(document: Any) -> dict[str, tuple[object, str]]:
    return {entry["field"]: (entry["value"], entry["source"]) for entry in document["assumptions"]}


def accepts(php_fpm: str, text: str, path: Path) -> tuple[bool, str]:
    path.write_text(text)
    done = subprocess.run([php_fpm, "-n", "-t", "-y", str(path)], capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stderr


def completed(section: str, directory: Path) -> str:
    """The section with what every pool needs beside its sizes."""
    return section + f"listen = {directory}/fpm.sock\n" + ("user = www-data\n" if ROOT else "")


# --- what it writes


@pytest.mark.parametrize(("pm", "manager"), [*((pm, "keep") for pm in POOLS), ("dynamic", "auto")])
@pytest.mark.parametrize(("options", "code"), SIZES.values(), ids=SIZES)
def test_php_fpm_accepts_the_directives_it_writes(
    php_fpm: str, tmp_path: Path, options: list[str], code: int, pm: str, manager: str
) -> None:
    file = tmp_path / "today.conf"
    file.write_text(f"[app]\nlisten = {tmp_path}/a.sock\npm = {pm}\npm.max_children = 5\n{POOLS[pm]}")
    arguments = [*options, "--pool-file", str(file), "--no-measure", "--process-manager", manager]
    status, section, err = in_this_process("recommend", *arguments, "--format", "conf")
    assert status == code, err
    assert ("INFEASIBLE" in section) == (code == 3)
    accepted, said = accepts(php_fpm, completed(section, tmp_path), tmp_path / "new.conf")
    assert accepted, section + said
    assert "WARNING" not in said


def test_php_fpm_accepts_every_size_from_one_worker_on(php_fpm: str, tmp_path: Path) -> None:
    # In one process: each size is a section of one file, and php-fpm judges them all at once.
    from capacity import Scenario, recommend
    from capacity.report.conf import recommendation_conf

    sections = []
    for workers in [*range(1, 41), *range(50, 500, 50), 999, 1000, 2500, 5000, 10000]:
        scenario = Scenario.from_mapping(
            {
                "host": {"ram": (workers + 16) * 64 * MIB, "reserved": 16 * 64 * MIB, "cpus": 4},
                "worker": {"memory": 64 * MIB},
                "workload": {"service_time": 0.25, "users": 10**6, "think_time": 1},
                "pool": {"pm": "dynamic", "max_children": 5, "min_spare_servers": 1, "max_spare_servers": 3},
            }
        )
        result = recommend(scenario)
        assert result.pool.max_children == workers
        section = recommendation_conf(result, pool=f"p{workers}")
        sections.append(section + f"listen = {tmp_path}/{workers}.sock\n" + ("user = www-data\n" if ROOT else ""))
    accepted, said = accepts(php_fpm, "".join(sections), tmp_path / "pools.conf")
    assert accepted, said


def test_a_pool_of_the_written_size_starts_and_answers(start_fpm: Start) -> None:
    status, section, _ = capacity("recommend", "--ram", "1856MiB", "--users", "10", "--format", "conf")
    assert status == 0
    sizes = dict(line.split(" = ") for line in section.splitlines() if " = " in line and line[0] not in ";[")
    fpm = start_fpm(lambda directory: pool_text(directory, **sizes), int(sizes["pm.start_servers"]))
    assert b"done" in fpm.request(fpm.script("a.php", 'echo "done";'))
    assert len(psutil.Process(fpm.process.pid).children()) == int(sizes["pm.start_servers"])


# --- what Debian ships


@pytest.fixture
def shipped() -> str:
    found = sorted(Path("/etc/php").glob("*/fpm/pool.d/www.conf"))
    if not found:
        missing("no pool file of a distribution is installed: apt-get install php8.2-fpm")
    return str(found[-1])


def test_the_shipped_pool_file_is_read_and_shown_beside_the_recommendation(shipped: str) -> None:
    document, err = recommended("--pool-file", shipped, "--no-measure")
    current = document["current"]
    # Debian's www.conf: dynamic, 5 workers, 2 at start, 1 to 3 spare
    names = ("max_children", "start_servers", "min_spare_servers", "max_spare_servers")
    assert current["pm"] == "dynamic"
    assert [current[name] for name in names] == [5, 2, 1, 3]
    assert sources(document)["pool.max_children"] == (5, f"pool file {shipped}")
    assert f"From pool file {shipped}" in err
    assert len(document["current_bands"]) == len(document["bands"]) == 3
    table = capacity("recommend", "--pool-file", shipped, "--no-measure")[1]
    row = next(line for line in table.splitlines() if "pm.max_children" in line)
    assert [cell.strip() for cell in row.strip("|").split("|")] == ["pm.max_children", "5", "40"]
    assert "today (5 workers)" in table


# --- what runs


def serving(start_fpm: Start, workers: int = 4, megabytes: int = 24) -> Fpm:
    """A static pool whose every worker has run a script that takes this much memory."""
    fpm = start_fpm(lambda directory: pool_text(directory, pm="static", pm__max_children=workers), workers)
    php = f'$text = str_repeat("x", {megabytes * MIB}); usleep(300000); echo strlen($text), "done";'
    script = fpm.script("script.php", php)
    with ThreadPoolExecutor(workers) as threads:
        answers = list(threads.map(lambda _: fpm.request(script), range(workers)))
    assert all(b"done" in answer for answer in answers), answers
    return fpm


@needs_linux
@needs_root
def test_a_running_pool_is_measured_and_every_value_says_where_it_is_from(start_fpm: Start) -> None:
    fpm = serving(start_fpm)
    document, err = recommended("--pool-file", str(fpm.config), code=None)
    told = sources(document)
    measured = ("host.ram", "host.reserved", "host.cpus", "worker.memory", "worker.shared_memory")
    for field in measured:
        assert told[field][1] != CASE_STUDY_SOURCE
        assert told[field][1]
        assert field in err
    memory, words = told["worker.memory"]
    # 24 MiB is in it; PHP's allocator rounds up by 2, and keeps some for itself
    assert 22 * MIB <= memory <= 40 * MIB
    assert "4 workers" in words
    assert "4 samples" in words
    assert "upper bound" not in words
    assert 0 < told["host.ram"][0] <= psutil.virtual_memory().total
    assert 0 < told["host.cpus"][0] <= (os.cpu_count() or 1)
    assert told["host.reserved"][0] < told["host.ram"][0]
    inputs = document["limits"][0]["inputs"]
    assert {name: inputs[name] for name in ("host.ram", "worker.memory")} == {
        name: told[name][0] for name in ("host.ram", "worker.memory")
    }
    # what cannot be measured still comes from the case study
    assert told["workload.service_time"][1] == CASE_STUDY_SOURCE
    assert document["current"]["pm"] == "static"
    assert document["current"]["max_children"] == 4


@needs_linux
@needs_root
def test_an_option_wins_over_what_is_measured(start_fpm: Start) -> None:
    fpm = serving(start_fpm)
    document, _ = recommended("--pool-file", str(fpm.config), "--worker-memory", "80MiB", "--cpus", "3", code=None)
    told = sources(document)
    assert "worker.memory" not in told
    assert "host.cpus" not in told
    assert document["limits"][0]["inputs"]["worker.memory"] == 80 * MIB


@needs_linux
def test_without_measuring_nothing_of_the_machine_is_taken(start_fpm: Start) -> None:
    fpm = serving(start_fpm)
    document, _ = recommended("--pool-file", str(fpm.config), "--no-measure")
    told = sources(document)
    assert told["worker.memory"] == (64 * MIB, CASE_STUDY_SOURCE)
    assert told["host.ram"][1] == CASE_STUDY_SOURCE


@needs_linux
def test_a_pool_that_has_served_nothing_does_not_give_the_memory_of_an_idle_worker(start_fpm: Start) -> None:
    fpm = start_fpm(lambda directory: pool_text(directory, pm="static", pm__max_children=3), 3)
    document, err = recommended("--pool-file", str(fpm.config), code=None)
    assert sources(document)["worker.memory"] == (64 * MIB, CASE_STUDY_SOURCE)
    notes = [line for line in err.splitlines() if line.startswith("Note: ")]
    assert any("worker.memory is unknown" in note and "none of the 3 workers" in note for note in notes)


@needs_linux
def test_a_pool_that_does_not_run_is_a_note(tmp_path: Path) -> None:
    file = tmp_path / "www.conf"
    file.write_text("[nobody-runs-this]\nlisten = /nowhere.sock\npm = static\npm.max_children = 3\n")
    document, err = recommended("--pool-file", str(file))
    assert "no running pool 'nobody-runs-this'" in err
    assert sources(document)["host.ram"][1] == CASE_STUDY_SOURCE


@needs_linux
@needs_root
def test_whoever_is_not_root_gets_an_upper_bound_that_is_marked(start_fpm: Start) -> None:
    fpm = serving(start_fpm)
    exact = sources(recommended("--pool-file", str(fpm.config), code=None)[0])["worker.memory"][0]
    # in a child of a child: it runs what is loaded already, since www-data may not read this checkout
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        status = 99
        try:
            os.close(out)
            os.dup2(into, 1)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            status = _as_www_data(str(fpm.config))
        except BaseException:
            os.write(into, traceback.format_exc().encode())
        finally:
            os._exit(status)
    os.close(into)
    with os.fdopen(out) as pipe:
        text = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in {0, 3}, text
    memory, words = sources(json.loads(text))["worker.memory"]
    assert "upper bound" in words
    assert "not root" in words
    assert memory >= exact


def _as_www_data(config: str) -> int:
    """Run the command as the workers' user, who may not read the interpreter: a first run as root loads it all."""
    from capacity.cli import capacity as command

    arguments = ["recommend", "--pool-file", config, "--format", "json"]
    command.main(args=[*arguments, "-o", os.devnull], prog_name="capacity", standalone_mode=False)
    sys.stdout = os.fdopen(1, "w")
    user = pwd.getpwnam("www-data")
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    status = command.main(args=arguments, prog_name="capacity", standalone_mode=False) or 0
    sys.stdout.flush()
    return int(status)


@needs_linux
def test_of_two_masters_with_the_same_pool_the_file_tells_which_is_meant(start_fpm: Start) -> None:
    light, heavy = serving(start_fpm, megabytes=4), serving(start_fpm, megabytes=48)
    found = [
        sources(recommended("--pool-file", str(fpm.config), code=None)[0])["worker.memory"][0] for fpm in (light, heavy)
    ]
    assert found[1] - found[0] > 30 * MIB


def test_nothing_is_written_and_nothing_is_told_to_the_pool(start_fpm: Start) -> None:
    fpm = serving(start_fpm, workers=2)
    before = {path: path.stat().st_mtime_ns for path in fpm.directory.iterdir()}
    children = {child.pid for child in psutil.Process(fpm.process.pid).children()}
    recommended("--pool-file", str(fpm.config), code=None)
    assert {path: path.stat().st_mtime_ns for path in fpm.directory.iterdir()} == before
    assert {child.pid for child in psutil.Process(fpm.process.pid).children()} == children
