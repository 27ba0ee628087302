"""Exit codes, closed pipes, interrupts, terminals: real processes."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from .conftest import FILE, assert_readable, run, spawn

COMMAND = [sys.executable, "-m", "capacity"]


@pytest.fixture
def closed_pipe() -> Iterator[int]:
    """The end to write to of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


def in_a_terminal(*arguments: str, columns: int = 120, **environment: str) -> tuple[int, str]:
    """Exit code and everything shown in a pseudo-terminal."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    clean = {key: value for key, value in os.environ.items() if key not in {"NO_COLOR", "COLUMNS", "FORCE_COLOR"}}
    with subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={**clean, "TERM": "xterm-256color", **environment},
    ) as process:
        os.close(follower)
        shown = b""
        while True:
            try:
                part = os.read(leader, 65536)
            except OSError:  # EIO: the last process of the terminal has ended
                break
            if not part:
                break
            shown += part
    os.close(leader)
    return process.returncode, shown.decode()


def table_of(shown: str) -> str:
    """What comes after the words on stderr."""
    return shown.partition("pool.max_spare_servers 6\r\n")[2]


def unread(pipe: IO[bytes]) -> bool:
    return struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, struct.pack("i", 0)))[0] > 0


def asleep(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


def test_done_is_zero_as_a_module_and_as_a_script() -> None:
    module = spawn("recommend", "--format", "json")
    assert module.returncode == 0
    assert json.loads(module.stdout)["pool"]["max_children"] == 40
    script = Path(sys.executable).parent / "capacity"
    done = subprocess.run([script, "recommend", "--format", "json"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, module.stdout, module.stderr)


def test_a_run_in_this_process_is_the_run_of_a_process() -> None:
    real = spawn("recommend", "-", "--cpu-time", "20ms", input=FILE)
    ran = run("recommend", "-", "--cpu-time", "20ms", stdin=FILE)
    assert (real.returncode, real.stdout, real.stderr) == (ran.code, ran.out, ran.err)


@pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("-h",), ("recommend", "-h"), ("schema", "-h")])
def test_help_and_version_are_zero(arguments: tuple[str, ...]) -> None:
    ran = run(*arguments)
    assert ran.code == 0
    assert "capacity" in ran.out
    assert ran.err == ""


def test_usage_and_invalid_input_are_two() -> None:
    for arguments in (["nosuch"], ["recommend", "--ram", "4"], ["recommend", "nosuch.toml"]):
        done = spawn(*arguments)
        assert done.returncode == 2
        assert done.stdout == ""
        assert_readable(done.stderr)


def test_no_command_shows_what_there_is() -> None:
    ran = run()
    assert ran.code == 2
    assert ran.out == ""
    for command in ("recommend", "forecast", "schema"):
        assert command in ran.err


def test_infeasible_is_three_and_prints_its_json() -> None:
    done = spawn("recommend", "--users", "10000", "--format", "json")
    assert done.returncode == 3
    assert json.loads(done.stdout)["feasible"] is False
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("output_format", ["table", "json", "conf", "html", "markdown"])
def test_infeasible_is_three_in_every_format_and_into_a_file(tmp_path: Path, output_format: str) -> None:
    path = tmp_path / "result"
    ran = run("recommend", "--users", "10000", "--format", output_format, "-o", str(path))
    assert ran.code == 3
    assert path.stat().st_size > 100


@pytest.mark.parametrize("output_format", ["table", "json", "conf", "html", "markdown"])
@pytest.mark.parametrize("place", ["no/such/directory/result", "", "file/below"])
def test_an_output_that_cannot_be_written_is_one(tmp_path: Path, output_format: str, place: str) -> None:
    (tmp_path / "file").write_text("")
    ran = run("recommend", "--format", output_format, "-o", str(tmp_path / place))
    assert ran.code == 1
    assert ran.out == ""
    errors = [line for line in ran.err.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1
    assert str(tmp_path) in errors[0]
    assert ran.err.endswith(f"{errors[0]}\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full device")
@pytest.mark.parametrize("arguments", [("recommend",), ("recommend", "--format", "json"), ("schema", "scenario")])
def test_a_full_disk_is_one(arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        done = spawn(*arguments, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert_readable(done.stderr)
    into = run(*arguments, "-o", "/dev/full")
    assert into.code == 1
    assert "No space left" in into.err


@pytest.mark.parametrize("arguments", [("recommend",), ("recommend", "--format", "json"), ("schema", "scenario")])
def test_a_reader_that_has_left_gets_no_traceback(closed_pipe: int, arguments: tuple[str, ...]) -> None:
    done = spawn(*arguments, capture_output=False, stdout=closed_pipe, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_a_reader_of_the_words_that_has_left_is_no_crash(closed_pipe: int) -> None:
    done = spawn("recommend", capture_output=False, stdout=subprocess.PIPE, stderr=closed_pipe)
    assert done.returncode == 0
    assert done.stdout.startswith("40 workers: memory binds")


def test_head_takes_its_line() -> None:
    line = f"{sys.executable} -m capacity recommend 2>&1 | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True, check=False)
    assert done.stdout.count("\n") == 1
    assert done.returncode in {0, 1}
    assert done.stderr == ""


@pytest.mark.parametrize("closing", ["<&-", ">&-", "2>&-"])
def test_closed_standard_streams_give_no_traceback(closing: str) -> None:
    scenario = "-" if closing == "<&-" else ""
    line = f"{sys.executable} -m capacity recommend {scenario} {closing}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    # nothing to read is unreadable input; data that nobody can get is not done; words that nobody can get are
    assert done.returncode == {"<&-": 2, ">&-": 1, "2>&-": 0}[closing], done
    assert "Traceback" not in done.stderr
    assert "internal" not in done.stderr


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see that a process waits")
def test_an_interrupt_is_130_without_a_traceback() -> None:
    with subprocess.Popen(
        [*COMMAND, "recommend", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        # More than a pipe holds: once it is all taken out and the process sleeps, it waits for the rest.
        process.stdin.write(b"# a long comment\n" * 2**15)
        process.stdin.flush()
        while unread(process.stdin) or not asleep(process.pid):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.stdout.read(), process.stderr.read()
    assert process.returncode == 130
    assert out == b""
    assert err.split() == [b"interrupted"]


def test_an_unexpected_error_is_one_line_that_asks_for_a_report(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object, **_options: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr("capacity.recommendation.recommend", fail)
    ran = run("recommend")
    assert ran.code == 1
    assert ran.out == ""
    assert ran.err.splitlines()[-1] == "Error: internal: ZeroDivisionError: a defect (please report this)"


def test_a_terminal_gets_colours_and_lines() -> None:
    code, shown = in_a_terminal("recommend")
    assert code == 0
    assert "\x1b[1;32m40 workers" in shown
    assert "\x1b[33mwatch" in shown
    assert "\u2500" in shown
    assert "+--" not in table_of(shown)


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_terminal_that_wants_none_gets_no_escape_codes(environment: dict[str, str]) -> None:
    code, shown = in_a_terminal("recommend", **environment)
    assert code == 0
    assert "\x1b" not in shown
    assert "comfortable" in shown


@pytest.mark.parametrize("columns", [80, 160])
def test_a_terminal_shows_every_word_and_number(columns: int) -> None:
    # With the database the predictions are too wide for 80 columns: its heads fold, words and numbers stay.
    arguments = ("--cpu-time", "20ms", "--users", "1500", "--ram", "40GiB", "--cpus", "64")
    _, shown = in_a_terminal("recommend", *arguments, columns=columns, NO_COLOR="1")
    lines = shown.partition("pool.max_spare_servers 6\r\n")[2].splitlines()
    assert max(map(len, lines)) <= columns
    assert "\u2026" not in shown
    for word in ("comfortable", "manageable", "watch", "overloaded", "slowdown", "requests", "cores"):
        assert any(word in line for line in lines), word
    predicted = run("recommend", *arguments, "--format", "json").json["predictions"]
    for prediction in predicted:
        assert any(line.split()[0] == str(prediction["users"]) and prediction["verdict"] in line
                   for line in lines if line.split())  # fmt: skip


def test_a_pipe_gets_neither_colours_nor_a_terminals_width() -> None:
    plain = run("recommend").out
    for environment in ({"COLUMNS": "40"}, {"COLUMNS": "300", "FORCE_COLOR": "1", "TERM": "xterm-256color"}):
        done = spawn("recommend", env=environment)
        assert done.stdout == plain
    assert "\x1b" not in plain
    assert plain.isascii()
    assert max(map(len, plain.splitlines())) <= 120
    assert all(line == line.rstrip() for line in plain.splitlines())


def test_a_file_written_from_a_terminal_has_no_colours(tmp_path: Path) -> None:
    path = tmp_path / "report.txt"
    code, _ = in_a_terminal("recommend", "-o", str(path))
    assert code == 0
    assert path.read_text("utf-8") == run("recommend").out


def test_json_in_a_terminal_is_the_same_document() -> None:
    _, shown = in_a_terminal("recommend", "--format", "json")
    assert json.loads(table_of(shown)) == run("recommend", "--format", "json").json


def test_an_ascii_locale_changes_no_number(tmp_path: Path) -> None:
    path = tmp_path / "caf\u00e9.conf"
    path.write_text("[www]\npm = static\npm.max_children = 3\n")
    arguments = ("recommend", "--no-measure", "--pool-file", str(path), "--format", "json")
    ran = run(*arguments)
    assert ran.code == 0
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    done = spawn(*arguments, env=ascii_only, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    # only the name of the file, which such a locale cannot spell, is written otherwise
    assert {**json.loads(done.stdout), "assumptions": None} == {**ran.json, "assumptions": None}
