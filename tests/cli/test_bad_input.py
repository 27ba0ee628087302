"""What is wrong is named in a line or two, with exit code 2; nothing gives a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from capacity.cli.options import FIELDS

from .conftest import FILE, WWW, Ran, assert_refused, run, spawn

SCENARIO = """
[host]
ram = "8GiB"
reserved = "2GiB"
cpus = 8

[worker]
memory = "128MiB"

[workload]
service_time = "300ms"
users = 60
think_time = "2s"
"""
PLACED = {
    "host": ("ram", "reserved", "cpus"),
    "worker": ("memory",),
    "workload": ("service_time", "users", "think_time"),
}


def with_field(field: str, text: str) -> str:
    """The scenario with this field written as `text`, whatever TOML makes of it."""
    table, _, name = field.partition(".")
    lines = [line for line in SCENARIO.splitlines() if line.split(" = ")[0] != name or name not in PLACED[table]]
    lines.insert(lines.index(f"[{table}]") + 1, f"{name} = {text}")
    return "\n".join(lines) + "\n"


# (field, as it is written in the file, a word of the message beside the field)
WRONG_FIELDS = [
    ("host.ram", "8", ""),  # a bare number is bytes: less than what is reserved
    ("host.ram", '"8"', "unit"),
    ("host.ram", '"1,5G"', "unit"),
    ("host.ram", '"8G;rm -rf /"', "unit"),
    ("host.ram", '"$(id)"', "unit"),
    ("host.ram", '"-8GiB"', "unit"),
    ("host.ram", '"8 gigabytes"', "unit"),
    ("host.ram", '"8GiB\\n"', "unit"),
    ("host.ram", '"8GiB\\u0000"', "unit"),
    ("host.ram", '"٨GiB"', "unit"),
    ("host.ram", '"1e3GiB"', "unit"),
    ("host.ram", '"0x10GiB"', "unit"),
    ("host.ram", '"8250ms"', "unit"),
    ("host.ram", '""', "unit"),
    ("host.ram", '"99999TiB"', "at most"),
    ("host.ram", "0", "greater than 0"),
    ("host.ram", "-1", "greater than 0"),
    ("host.ram", "nan", ""),
    ("host.ram", "inf", ""),
    ("host.ram", "-inf", ""),
    ("host.ram", "true", "number"),
    ("host.ram", "[]", "number"),
    ("host.ram", "{}", "number"),
    ("host.ram", '["8GiB"]', "number"),
    ("host.ram", "2024-01-01", "number"),
    ("host.ram", "9" * 400, "whole number of bytes"),
    ("host.reserved", '"9GiB"', "less than ram"),
    ("host.reserved", '"8GiB"', "less than ram"),
    ("host.reserved", "-1", "at least 0"),
    ("host.cpus", "0", "greater than 0"),
    ("host.cpus", "-4", "greater than 0"),
    ("host.cpus", "nan", "finite"),
    ("host.cpus", "inf", "finite"),
    ("host.cpus", '"4"', "number"),
    ("host.cpus", "false", "number"),
    ("worker.memory", "0", "greater than 0"),
    ("worker.memory", '"64"', "unit"),
    ("worker.memory", '"64Mb"', "unit"),
    ("worker.memory", '"64MiB/s"', "unit"),
    ("worker.memory", '"64 MiB RSS"', "unit"),
    ("workload.service_time", '"250"', "unit"),
    ("workload.service_time", '"0ms"', "greater than 0"),
    ("workload.service_time", '"-1ms"', "unit"),
    ("workload.service_time", '"250 milliseconds"', "unit"),
    ("workload.service_time", '"250MS"', "unit"),
    ("workload.service_time", '"64MiB"', "unit"),
    ("workload.service_time", "nan", "finite"),
    ("workload.service_time", "true", "number"),
    ("workload.users", "0", "at least 1"),
    ("workload.users", "-5", "at least 1"),
    ("workload.users", "1.5", "whole"),
    ("workload.users", '"60"', "whole"),
    ("workload.users", "true", "whole"),
    ("workload.users", "1e30", ""),
    ("workload.users", "inf", ""),
    ("workload.think_time", '"-1s"', "unit"),
    ("workload.think_time", '"soon"', "unit"),
    ("workload.think_time", "-0.5", "at least 0"),
]


@pytest.mark.parametrize(("field", "text", "word"), WRONG_FIELDS)
def test_a_wrong_field_of_a_scenario_is_named(field: str, text: str, word: str) -> None:
    result = run("recommend", "-", stdin=with_field(field, text).encode())
    assert_refused(result)
    name = field.partition(".")[2] if field != "host.ram" or text != "8" else "reserved"
    assert name in result.err
    assert word in result.err


WRONG_TEXTS = {
    "empty": (b"", "host.ram"),
    "only words": (b"# nothing\n", "workload.service_time"),
    "no TOML": (b"ram: 8GiB\n", "TOML"),
    "JSON": (b'{"host": {"ram": 1}}', "TOML"),
    "duplicate key": (SCENARIO.replace("cpus = 8", "cpus = 8\ncpus = 4").encode(), "TOML"),
    "duplicate table": ((SCENARIO + "[host]\nram = 1\n").encode(), "TOML"),
    "NUL": (SCENARIO.encode() + b"\0", "TOML"),
    "binary": (bytes(range(256)), "UTF-8"),
    "UTF-16": (SCENARIO.encode("utf-16"), "UTF-8"),
    "unknown table": ((SCENARIO + "[hots]\nram = 1\n").encode(), "did you mean host"),
    "unknown field": (SCENARIO.replace("cpus =", "cpu =").encode(), "did you mean cpus"),
    "unknown policy": ((SCENARIO + "[policy]\nheadrom = 2\n").encode(), "did you mean headroom"),
    "policy at the top": (("headroom = 2\n" + SCENARIO).encode(), "[policy]"),
    "table that is a number": (b"host = 3\n", "host"),
    "table that is a list": (b"[[host]]\nram = 1\n", "host"),
    "policy that is text": (b'policy = "x"\n' + SCENARIO.encode(), "policy"),
    "nested junk": ((SCENARIO + "[workload.users.deep]\nx = 1\n").encode(), "TOML"),
    "nested field": ((SCENARIO + "[objective.response_time]\nx = 1\n").encode(), "objective.response_time"),
    "deep nesting": (b"a = " + b"[" * 5000 + b"]" * 5000, "nested"),
    "deep tables": (b"a." * 3000 + b"b = 1\n", "a"),
    "huge": (b"# " + b"x" * 2**20, "1 MiB"),
    "huge number": (b"a = " + b"9" * 5000, "TOML"),
    "long key": (b"a" * 5000 + b" = 1\n" + SCENARIO.encode(), "known table"),
    "two loads": (SCENARIO.replace("users = 60", "users = 60\narrival_rate = 3").encode(), "arrival_rate"),
    "users without think time": (SCENARIO.replace('think_time = "2s"', "").encode(), "think_time"),
    "percentage": ((SCENARIO + "[objective]\npercentile = 95\n").encode(), "0.95"),
    "percentile 1": ((SCENARIO + "[objective]\npercentile = 1\n").encode(), "percentile"),
    "percentile 0": ((SCENARIO + "[objective]\npercentile = 0\n").encode(), "percentile"),
    "utilization 80": ((SCENARIO + "[objective]\nmax_utilization = 80\n").encode(), "0.8"),
    "headroom below 1": ((SCENARIO + "[policy]\nheadroom = 0.5\n").encode(), "headroom"),
    "process_max 0": ((SCENARIO + "[policy]\nprocess_max = 0\n").encode(), "process_max"),
    "unknown spares": ((SCENARIO + '[policy]\nspares = "many"\n').encode(), "spares"),
    "unknown manager": ((SCENARIO + '[policy]\nprocess_manager = "static"\n').encode(), "process_manager"),
    "cpu above service": (SCENARIO.replace("users =", 'cpu_time = "1s"\nusers =').encode(), "cpu_time"),
    "database above service": (SCENARIO.replace("users =", 'database_time = "1s"\nusers =').encode(), "database_time"),
    "pool without size": ((SCENARIO + '[pool]\npm = "static"\n').encode(), "pool.max_children"),
    "dynamic without spares": ((SCENARIO + '[pool]\npm = "dynamic"\nmax_children = 5\n').encode(), "min_spare_servers"),
    "unknown pm": ((SCENARIO + '[pool]\npm = "auto"\nmax_children = 5\n').encode(), "pool.pm"),
    "FPM's own name": ((SCENARIO + '[pool]\npm = "static"\n"pm.max_children" = 5\n').encode(), "max_children"),
    "source of nothing": ((SCENARIO + '[sources]\n"host.rum" = {source = "x"}\n').encode(), "sources"),
    "source that is text": ((SCENARIO + '[sources]\n"host.ram" = "free"\n').encode(), "sources"),
    "source upside down": (
        (SCENARIO + '[sources]\n"host.ram" = {source = "x", low = "2GiB", high = "1GiB"}\n').encode(),
        "sources",
    ),
}


@pytest.mark.parametrize(("text", "word"), WRONG_TEXTS.values(), ids=WRONG_TEXTS)
def test_a_malformed_scenario_is_refused_with_the_reason(text: bytes, word: str, tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_bytes(text)
    for result in (run("recommend", "-", stdin=text), run("forecast", str(path))):
        assert result.code == 2
        assert result.out == ""
        assert word in result.err
        assert 1 <= len(result.err.splitlines()) <= 12, result.err
        assert all(len(line) <= 400 for line in result.err.splitlines()), result.err
        assert "Traceback" not in result.err


# (arguments, what the message must name)
WRONG_LINES = [
    (["recommend", "--ram", "8"], "--ram"),
    (["recommend", "--ram", "1,5G"], "--ram"),
    (["recommend", "--ram", "8G;rm"], "--ram"),
    (["recommend", "--ram", ""], "--ram"),
    (["recommend", "--ram", "NaN"], "--ram"),
    (["recommend", "--ram", "-4GiB"], "--ram"),
    (["recommend", "--ram", "1GiB"], "less than ram"),
    (["recommend", "--reserved", "4GiB"], "--reserved"),
    (["recommend", "--reserved", "9GiB"], "--reserved"),
    (["recommend", "--ram", "8GiB\n"], "--ram"),
    (["recommend", "--worker-memory", "0MiB"], "--worker-memory"),
    (["recommend", "--worker-memory", "64"], "--worker-memory"),
    (["recommend", "--shared-memory", "-1MiB"], "--shared-memory"),
    (["recommend", "--cpus", "nan"], "--cpus"),
    (["recommend", "--cpus", "inf"], "--cpus"),
    (["recommend", "--cpus", "-1"], "--cpus"),
    (["recommend", "--cpus", "0"], "--cpus"),
    (["recommend", "--cpus", "four"], "--cpus"),
    (["recommend", "--cpus", "1,5"], "--cpus"),
    (["recommend", "--cpus", ""], "--cpus"),
    (["recommend", "--cpus", "1e9"], "--cpus"),
    (["recommend", "--headroom", "1e300"], "--headroom"),
    (["recommend", "--requests-per-click", "1e300"], "--requests-per-click"),
    (["recommend", "--arrival-rate", "9" * 30], "--arrival-rate"),
    (["recommend", "--service-time", "9" * 30 + "h"], "--service-time"),
    (["recommend", "--web-server-timeout", "9" * 12 + "h"], "--web-server-timeout"),
    (["recommend", "--ram", "1GiB"], "give --reserved"),
    (["recommend", "--cpus", "true"], "--cpus"),
    (["recommend", "--users", "0"], "--users"),
    (["recommend", "--users", "-5"], "--users"),
    (["recommend", "--users", "1e30"], "--users"),
    (["recommend", "--users", "1.5"], "--users"),
    (["recommend", "--users", ""], "--users"),
    (["recommend", "--users", "9" * 30], "--users"),
    (["recommend", "--users", "9" * 5000], "--users"),
    (["recommend", "--users", "True"], "--users"),
    (["recommend", "--users", "60", "--arrival-rate", "5/s"], "--arrival-rate"),
    (["recommend", "--arrival-rate", "-5"], "--arrival-rate"),
    (["recommend", "--arrival-rate", "5/d"], "--arrival-rate"),
    (["recommend", "--arrival-rate", "5 rps"], "--arrival-rate"),
    (["recommend", "--arrival-rate", "inf"], "--arrival-rate"),
    (["recommend", "--service-time", "250"], "--service-time"),
    (["recommend", "--service-time", "0s"], "--service-time"),
    (["recommend", "--service-time", "-1s"], "--service-time"),
    (["recommend", "--cpu-time", "300ms"], "--cpu-time"),
    (["recommend", "--cpu-time", "60"], "--cpu-time"),
    (["recommend", "--database-time", "1h"], "--database-time"),
    (["recommend", "--service-scv", "-1"], "--service-scv"),
    (["recommend", "--service-scv", "nan"], "--service-scv"),
    (["recommend", "--think-time", "1"], "--think-time"),
    (["recommend", "--think-time", "-1s"], "--think-time"),
    (["recommend", "--requests-per-click", "0"], "--requests-per-click"),
    (["recommend", "--response-time", "0ms"], "--response-time"),
    (["recommend", "--percentile", "95"], "0.95"),
    (["recommend", "--percentile", "1"], "--percentile"),
    (["recommend", "--percentile", "0"], "--percentile"),
    (["recommend", "--percentile", "95%"], "--percentile"),
    (["recommend", "--max-utilization", "80"], "0.8"),
    (["recommend", "--max-utilization", "1"], "--max-utilization"),
    (["recommend", "--headroom", "0.9"], "--headroom"),
    (["recommend", "--headroom", "inf"], "--headroom"),
    (["recommend", "--spares", "many"], "--spares"),
    (["recommend", "--process-manager", "static"], "--process-manager"),
    (["recommend", "--process-max", "0"], "--process-max"),
    (["recommend", "--process-max", "-1"], "--process-max"),
    (["recommend", "--pools-on-host", "0"], "--pools-on-host"),
    (["recommend", "--web-server-timeout", "0s"], "--web-server-timeout"),
    (["recommend", "--database-connections", "0"], "--database-connections"),
    (["recommend", "--database-connections", "10", "--database-connections-reserved", "10"], "connections-reserved"),
    (["recommend", "--format", "xml"], "--format"),
    (["recommend", "--format", ""], "--format"),
    (["recommend", "--workers", "3"], "--workers"),
    (["recommend", "--rma", "3GiB"], "--ram"),
    (["recommend", "--ram"], "--ram"),
    (["recommend", "-x"], "-x"),
    (["recommend", ""], "''"),
    (["recommend", "no/such/file.toml"], "no/such/file.toml"),
    (["recommend", "."], ".: "),
    (["recommend", "a.toml", "b.toml"], "b.toml"),
    (["recommend", "bad\0name"], "name"),
    (["recommend", "x" * 5000], "x"),
    (["recommend", "--pool-file", ""], "''"),
    (["recommend", "--pool-file", "bad\0name"], "name"),
    (["forecast", "--at", "junk"], "--at"),
    (["forecast", "--at", ""], "--at"),
    (["forecast", "--at", ","], "--at"),
    (["forecast", "--at", "50,"], "--at"),
    (["forecast", "--at", "50;80"], "--at"),
    (["forecast", "--at", "0"], "--at"),
    (["forecast", "--at", "-5"], "--at"),
    (["forecast", "--at", "1.5"], "--at"),
    (["forecast", "--at", "1e3"], "--at"),
    (["forecast", "--at", "1_000"], "--at"),
    (["forecast", "--at", "٥٠"], "--at"),
    (["forecast", "--at", "9999999999"], "--at"),
    (["forecast", "--at", "9" * 5000], "--at"),
    (["forecast", "--workers", "0"], "--workers"),
    (["forecast", "--workers", "-1"], "--workers"),
    (["forecast", "--workers", "9" * 30], "--workers"),
    (["forecast", "--workers", "1.5"], "--workers"),
    (["forecast", "--workers", ""], "--workers"),
    (["forecast", "--model", "closed"], "--model"),
    (["forecast", "--model", ""], "--model"),
    (["forecast", "--format", "conf"], "--format"),
    (["recommand"], "recommand"),
    ([""], "''"),
    (["--verbose"], "--verbose"),
    (["recommend", "recommend"], "recommend"),
]


def _short(case: tuple[list[str], str]) -> str:
    return " ".join(case[0])[:60].encode("unicode_escape").decode()


@pytest.mark.parametrize(("arguments", "word"), WRONG_LINES, ids=map(_short, WRONG_LINES))
def test_a_wrong_command_line_is_refused_and_names_what_is_wrong(arguments: list[str], word: str) -> None:
    result = run(*arguments)
    assert "\0" not in result.err
    assert_refused(result)
    assert word in result.err


@pytest.mark.parametrize(("option", "kind"), [(option, kind) for option, _, kind, _ in FIELDS])
@pytest.mark.parametrize("text", ["", " ", "nan", "-1", "1e999", "[]", "\u202e4GiB", "4GiB 4GiB", "'4GiB'"])
def test_no_option_takes_nonsense(option: str, kind: type, text: str) -> None:
    if (option, text) == ("--cpus", " "):
        text = "  "
    result = run("recommend", option, text)
    assert_refused(result)
    assert option in result.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("recommend", "--ram", "1,5G"),
        ("recommend", "--percentile", "95"),
        ("forecast", "--at", "junk"),
        ("recommend", "no/such/file.toml"),
        ("recommend", "--pool-file", "."),
        ("nothing",),
        ("recommend", b"\xff\xfe.toml"),
        ("recommend", "--pool-file", b"\xff\xfe.conf"),
        ("recommend", "--ram", b"8\xffGiB"),
        ("forecast", "--at", b"\xff"),
        ("recommend", "--pool", b"\xff"),
    ],
)
def test_a_child_of_its_own_refuses_as_this_process_does(arguments: tuple[str | bytes, ...]) -> None:
    done = spawn(*map(os.fsdecode, arguments))
    assert done.returncode == 2
    assert done.stdout == ""
    assert 1 <= len(done.stderr.splitlines()) <= 5
    assert "Traceback" not in done.stderr


def test_every_wrong_field_is_named_at_once() -> None:
    result = run("recommend", "--ram", "8", "--cpus", "-1", "--service-time", "250", "--percentile", "95")
    assert_refused(result)
    assert all(option in result.err for option in ("--ram", "--cpus", "--service-time", "--percentile"))


# --- anything at all

WORDS = [option for option, *_ in FIELDS] + [
    *("recommend", "forecast", "schema", "scenario", "--format", "--at", "--workers", "--model", "--help", "--version"),
    *("--pool", "--pool-file", "--no-measure", "--measure", "-h", "--", "-", "-o", "table", "json", "conf", "open"),
    *("finite", "4GiB", "64MiB", "250ms", "1s", "4", "0.5", "150", "0", "-1", "nan", "inf", "1e9", "1,2", "120/s"),
]
word = st.one_of(st.sampled_from(WORDS), st.text(max_size=12))
unhurried = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def harmless(result: Ran) -> None:
    code, out, err = result.code, result.out, result.err
    assert code in {0, 1, 2, 3}
    assert "Traceback" not in out + err
    assert "internal" not in err
    assert (out == "") == (code in {1, 2})


@unhurried
@given(command=st.sampled_from(["recommend", "forecast", "schema", ""]), more=st.lists(word, max_size=8))
@example(command="recommend", more=["--users", "150", "--arrival-rate", "120/s"])
@example(command="", more=["--version"])
def test_no_command_line_gives_a_traceback(
    command: str, more: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # not -o: it would write files by any name, and an output in a file leaves stdout empty
    arguments = [text for text in more if not text.startswith(("-o", "--o"))]
    harmless(run(*([command] if command else []), *arguments))


plausible = st.one_of(
    st.sampled_from(['"4GiB"', '"64MiB"', '"250ms"', '"1s"', '"120/s"', '"dynamic"', '"auto"', "true", "nan", "-inf"]),
    st.integers(-(2**70), 2**70).map(str),
    st.integers(0, 400).map(str),
    st.floats(0, 4, allow_subnormal=False).map(repr),
    st.text(max_size=8).map(lambda text: '"' + text.encode("unicode_escape").decode().replace('"', "") + '"'),
)
NAMES = sorted({field.partition(".")[2] for _, field, _, _ in FIELDS} | {"pm", "max_children", "memory", "source"})
line = st.one_of(
    st.sampled_from(["host", "worker", "workload", "objective", "pool", "policy", "sources"]).map("[{}]".format),
    st.tuples(st.sampled_from(NAMES), plausible).map(" = ".join),
    st.text(max_size=20),
)


@unhurried
@given(text=st.one_of(st.lists(line, max_size=25).map("\n".join), st.text(), st.binary()))
def test_no_text_of_a_scenario_gives_a_traceback(text: str | bytes) -> None:
    harmless(run("recommend", "-", stdin=text if isinstance(text, bytes) else text.encode("utf-8", "replace")))


@st.composite
def nearly_right(draw: st.DrawFn) -> str:
    """The scenario with one or two lines changed: most of these are valid."""
    lines = SCENARIO.splitlines()
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.sampled_from([i for i, text in enumerate(lines) if " = " in text]))
        lines[at] = lines[at].split(" = ")[0] + " = " + draw(plausible)
    return "\n".join(lines)


@unhurried
@given(text=nearly_right())
def test_no_scenario_that_is_nearly_right_gives_a_traceback(text: str) -> None:
    harmless(run("recommend", "-", "--format", "json", stdin=text.encode()))
    harmless(run("forecast", "-", "--workers", "30", stdin=text.encode()))


def test_a_link_to_nothing_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target.json")
    assert run("recommend", "--format", "json", "-o", str(tmp_path / "link")).code == 0
    assert (tmp_path / "link").is_symlink()
    assert "pool" in (tmp_path / "target.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "line",
    [
        ("recommend", "{file}", "--format", "json"),
        ("recommend", "--pool-file", "{file}", "--no-measure", "--format", "conf"),
        ("sweep", "{file}", "--axis", "users=1:3", "--format", "csv"),
        ("replay", "--access-log", "no.log", "--access-log", "{file}", "--workers", "3"),
    ],
    ids=lambda line: f"{line[0]} {line[1]}",
)
def test_what_is_read_is_not_written_over(tmp_path: Path, line: tuple[str, ...]) -> None:
    kept, link = tmp_path / "kept", tmp_path / "link"
    kept.write_text(WWW if "--pool-file" in line else FILE, encoding="utf-8")
    link.symlink_to(kept)
    before = kept.read_bytes()
    words = [word.format(file=kept) for word in line]
    assert_refused(run(*words, "-o", str(link)), "--output must be another file than those that are read")
    assert kept.read_bytes() == before


def test_a_pipe_is_not_tried_out(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["timeout", "60", "cat", tmp_path / "pipe"], stdout=subprocess.PIPE) as reader:
        sent = spawn("sweep", "--axis", "users=1:3", "--format", "csv", "-o", str(tmp_path / "pipe"))
        assert sent.returncode == 0, sent.stderr
        assert reader.communicate(timeout=60)[0].startswith(b"users,response_time_p95\n1,")


@pytest.mark.parametrize("command", [["recommend"], ["forecast"], ["sweep", "--axis", "users=1:3"], ["schema"]])
def test_closed_or_full_streams(command: list[str]) -> None:
    words = " ".join(command)
    closed = subprocess.run(["sh", "-c", f"{sys.executable} -m capacity {words} >&-"], capture_output=True, check=False)
    assert closed.returncode == 1
    assert b"standard output" in closed.stderr
    full = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m capacity {words} 2>/dev/full"], capture_output=True, check=False
    )
    assert full.returncode == 0
    assert full.stdout
