"""``capacity measure`` from logs alone: what it writes, and what it says of what cannot be read."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capacity.scenario import Scenario

from .conftest import assert_refused, run, spawn

FORMAT = '%{REMOTE_ADDR}e %t "%m %{REQUEST_URI}e" %s %{micro}d %M %C%%'
HOST = """
[host]
ram = "8GiB"
reserved = "2GiB"
cpus = 4
"""


def log_of(seconds: int, a_second: int = 2) -> bytes:
    """Every request takes 250 ms and 50 ms of CPU."""
    lines = []
    for n in range(seconds * a_second):
        second = n // a_second
        stamp = f"24/Nov/2026:{9 + second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d} +0000"
        lines.append(f'192.0.2.{n % 7} {stamp} "GET /cart/{n}" 200 250000 12582912 20.00%\n')
    return "".join(lines).encode()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "access.log"
    path.write_bytes(log_of(120))
    return path


def measure(path: Path | str, *arguments: str):
    return run("measure", "--logs-only", "--access-log", str(path), "--log-format", FORMAT, *arguments)


def test_a_log_and_a_host_make_a_scenario(log: Path) -> None:
    ran = measure(log)
    assert ran.code == 1
    assert "incomplete: host.ram, host.reserved, host.cpus" in ran.err
    scenario = Scenario.from_toml_text(ran.out.replace("[worker]", HOST + "[worker]", 1))
    assert scenario.workload.service_time == pytest.approx(0.2503)
    assert scenario.workload.cpu_time == pytest.approx(0.05)
    assert scenario.workload.service_scv == pytest.approx(0, abs=1e-9)
    assert scenario.workload.arrival_rate == pytest.approx(2, rel=0.02)
    assert scenario.worker.memory == 12582912
    assert scenario.sources["workload.service_time"].samples == 240
    assert set(tomllib.loads(ran.out)["sources"]) == set(scenario.sources)


def test_what_a_measured_file_lacks_may_come_from_options(log: Path, tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    assert measure(log, "-o", str(path)).code == 1
    assert run("recommend", str(path)).code == 2
    options = ("--ram", "8GiB", "--reserved", "2GiB", "--cpus", "4")
    assert run("recommend", str(path), *options).code == 0
    assert run("forecast", str(path), *options, "--think-time", "5s").code == 0


def test_the_load_of_hours_is_that_of_the_busiest(tmp_path: Path) -> None:
    path = tmp_path / "day.log"
    path.write_bytes(log_of(3 * 3600, 1) + log_of(3600, 3))  # from 9 to 12 o'clock, and thrice as many at 9 again
    ran = measure(path)
    assert tomllib.loads(ran.out)["workload"]["arrival_rate"] == pytest.approx(4, rel=0.01)
    assert "busiest hour of the access log, from 2026-11-24 09:" in ran.out


def test_json_has_everything_behind_the_scenario_and_only_finite_numbers(log: Path) -> None:
    ran = measure(log, "--format", "json")
    document = json.loads(ran.out, parse_constant=lambda name: pytest.fail(name))
    assert document["format_version"] == "1.0"
    assert document["missing"] == ["host.ram", "host.reserved", "host.cpus"]
    assert document["scenario"]["workload"]["service_time"] == pytest.approx(0.2503)
    assert document["access_log"]["routes"][0]["name"] == "/cart/{n}"
    assert document["access_log"]["visitors"]["clients"] == 7
    assert document["access_log"]["time_quantiles"]["0.95"]["value"] == pytest.approx(0.25, rel=0.003)


def test_gzip_several_files_and_an_output_file(tmp_path: Path) -> None:
    old, new, out = tmp_path / "access.log.2.gz", tmp_path / "access.log", tmp_path / "site.toml"
    old.write_bytes(gzip.compress(log_of(60)))
    new.write_bytes(log_of(30))
    ran = run(
        "measure", "--logs-only", "--access-log", str(old), "--access-log", str(new), "--log-format", FORMAT,
        "-o", str(out),
    )  # fmt: skip
    assert ran.out == ""
    assert tomllib.loads(out.read_text())["sources"]["workload.service_time"]["samples"] == 180


def test_monitoring_tells_the_service_time_by_littles_law(tmp_path: Path) -> None:
    path = tmp_path / "active.csv"
    rows = [f"{1795500000 + 15 * n},5,{1000 + 300 * n}" for n in range(400)]
    path.write_text("time,active,accepted\n" + "\n".join(rows) + "\n")
    ran = run("measure", "--logs-only", "--csv", str(path))
    assert ran.code == 1
    found = tomllib.loads(ran.out)["workload"]
    assert found["arrival_rate"] == pytest.approx(20)
    assert found["service_time"] == pytest.approx(0.25)


def test_noise_is_counted_and_shown(log: Path) -> None:
    log.write_bytes(b"NOTICE: fpm is running, pid 1\n\x1b[31mred\n" + log.read_bytes())
    ran = measure(log)
    assert "2 lines are no requests" in ran.err
    assert "fpm is running" in ran.err
    assert "\x1b" not in ran.err


def test_a_hidden_direction_in_the_log_cannot_reach_the_file(log: Path) -> None:
    evil = '192.0.2.1 24/Nov/2026:09:00:01 +0000 "GET /a\u202e[host]\rram=1" 200 1000 2097152 1.00%\n'
    log.write_bytes(evil.encode() * 5)
    ran = measure(log)
    assert "\u202e" not in ran.out + ran.err
    tomllib.loads(ran.out)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--for", "60"], "--for"),
        (["--for", "soon"], "--for"),
        (["--log-format", "%{weeks}d"], "--log-format"),
        (["--log-format", "hello"], "--log-format"),
        (["--against", "no such file.toml"], "no such file.toml"),
        (["--format", "yaml"], "--format"),
    ],
)
def test_a_wrong_option_is_named(log: Path, arguments: list[str], named: str) -> None:
    ran = run("measure", "--logs-only", "--access-log", str(log), *arguments)
    assert_refused(ran, named)


@pytest.mark.parametrize("uri", ["/[/b]", "/[red]x", "/[link=http://evil.example/]click[/link]", ":smile:"])
def test_an_address_is_no_markup(log: Path, uri: str) -> None:
    line = f'192.0.2.1 24/Nov/2026:09:01:59 +0000 "GET {uri}" 200 9000000 12582912 20.00%\n'
    log.write_bytes(log.read_bytes() + line.encode())
    ran = measure(log)
    assert ran.code == 1
    assert uri in ran.err


def test_blank_lines_cost_no_more_than_their_number(log: Path) -> None:
    log.write_bytes(b"\n" * 2000 + log.read_bytes() + b"\r\n" * 100_000 + b"\n" * 3_000_000)
    assert json.loads(measure(log, "--format", "json").out)["access_log"]["requests"] == 240


def test_what_is_wrong_with_files_is_told_before_the_work_and_a_closed_stderr_loses_nothing(log: Path) -> None:
    assert_refused(measure(log, "--error-log", str(log.parent / "missing")), "missing")
    assert_refused(measure(log, "-o", str(log.parent)), "--output")
    assert_refused(measure(log, "-o", str(log.parent / "no" / "file.toml")), "--output")
    assert_refused(measure(log, "--access-log", str(log)), "twice")
    with Path("/dev/full").open("wb") as full:
        options = {"stdout": subprocess.PIPE, "stderr": full, "capture_output": False}
        done = spawn("measure", "--logs-only", "--access-log", str(log), "--log-format", FORMAT, **options)
    assert tomllib.loads(done.stdout)["workload"]["service_time"] == pytest.approx(0.2503)


def test_files_in_the_wrong_order_are_told_and_visitors_not_followed(tmp_path: Path) -> None:
    early, late = tmp_path / "1", tmp_path / "2"
    early.write_bytes(log_of(60))
    late.write_bytes(log_of(60).replace(b":09:", b":15:", 120))
    right, wrong = (
        run("measure", "--logs-only", "--log-format", FORMAT, "--access-log", str(one), "--access-log", str(two))
        for one, two in ((early, late), (late, early))
    )
    assert "think_time" in right.out
    assert "think_time" not in wrong.out
    assert "run backwards" in " ".join(wrong.err.split())


def test_a_file_that_is_no_error_log_tells_nothing(log: Path) -> None:
    assert "no line of the error log is one of FPM's" in " ".join(measure(log, "--error-log", str(log)).err.split())


def test_logs_only_needs_a_log() -> None:
    assert_refused(run("measure", "--logs-only"), "--logs-only")


def test_a_log_that_is_none_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("missing.log", ".", "pipe"):
        ran = measure(tmp_path / name)
        assert ran.code == 2, name
        assert "Traceback" not in ran.err


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\x1f\x8b\x08\x00truncated", os.urandom(5000), b"x" * (3 << 20)])
def test_nothing_to_read_is_an_answer(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "access.log"
    path.write_bytes(content)
    ran = measure(path)
    assert ran.code in {1, 2}
    assert "Traceback" not in ran.err
    assert "internal" not in ran.err


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=400))
def test_any_log_is_read_or_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "access.log"
    path.write_bytes(content)
    ran = run("measure", "--logs-only", "--access-log", str(path))
    assert ran.code in {1, 2}
    assert "internal" not in ran.err
