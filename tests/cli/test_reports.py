"""Reports and the what-if page on the command line, and how files are written: whole, and over nothing else."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from capacity.cli import output
from capacity.report.document import MARKDOWN_MARK
from capacity.report.html import HTML_MARK

from .conftest import WWW, assert_refused, run

HTML = ("recommend", "--format", "html")
MARKDOWN = ("recommend", "--format", "markdown")
PAGE = ("page",)
REPORTS = pytest.mark.parametrize("command", [HTML, MARKDOWN, PAGE], ids=["html", "markdown", "page"])


def test_the_report_is_in_the_language_that_is_asked_for() -> None:
    assert 'lang="en"' in run(*HTML).out
    assert 'lang="es"' in run(*HTML, "--lang", "es").out
    assert "# Informe de capacidad de PHP-FPM: 40 procesos" in run(*MARKDOWN, "--lang", "es").out
    assert "¿Y si...?" in run(*PAGE, "--lang", "es").out


@pytest.mark.parametrize("output_format", ["table", "json", "conf"])
def test_a_language_for_what_is_no_report_is_refused(output_format: str) -> None:
    assert_refused(run("recommend", "--format", output_format, "--lang", "es"), "--lang", "html or markdown")


@pytest.mark.parametrize(
    ("name", "begins"),
    [("r.html", HTML_MARK), ("r.md", MARKDOWN_MARK), ("r.json", "{"), ("r.conf", "; 40"), ("r", "40")],
)
def test_the_suffix_of_the_file_says_the_format(tmp_path: Path, name: str, begins: str) -> None:
    assert run("recommend", "-o", str(tmp_path / name)).code == 0
    assert (tmp_path / name).read_text("utf-8").startswith(begins)


def test_a_format_that_is_asked_for_counts_more_than_the_suffix(tmp_path: Path) -> None:
    run("recommend", "--format", "json", "-o", str(tmp_path / "r.html"))
    assert (tmp_path / "r.html").read_text("utf-8").startswith("{")


def test_a_language_that_nobody_has_written_is_refused() -> None:
    assert_refused(run(*HTML, "--lang", "fr"), "--lang", "'en', 'es'")


def test_the_report_says_what_the_case_study_stands_for() -> None:
    text = run(*MARKDOWN, "--users", "100").out
    assert "| `host.ram` | memory of the host | 4.00 GiB | case study (built in) |" in text
    assert "| `workload.users` | people at the same time | 100 | given |" in text


def test_the_report_names_the_pool_of_the_pool_file(tmp_path: Path) -> None:
    (tmp_path / "www.conf").write_text(WWW)
    text = run(*MARKDOWN, "--no-measure", "--pool-file", str(tmp_path / "www.conf")).out
    assert "- Pool: `www`" in text
    assert "| `pm.max_requests` | 500 | 500 |" in text


def test_the_page_begins_where_the_options_say() -> None:
    page = run(*PAGE, "--users", "777", "--cpu-time", "12ms").out
    assert '"users": 777' in page
    assert '"cpu_time": 0.012' in page


def test_the_page_needs_a_think_time() -> None:
    scenario = (
        '[host]\nram="4GiB"\nreserved="1GiB"\ncpus=4\n[worker]\nmemory="64MiB"\n'
        '[workload]\nservice_time="1s"\narrival_rate="9/s"\n'
    )
    assert_refused(run(*PAGE, "-", stdin=scenario), "workload.think_time", "turns users into requests")


@REPORTS
def test_a_report_replaces_an_earlier_one_and_an_empty_file(tmp_path: Path, command: tuple[str, ...]) -> None:
    path = tmp_path / "report"
    path.touch()
    for users in ("100", "120"):
        assert run(*command, "--users", users, "-o", str(path)).code == 0
        assert path.read_text("utf-8") == run(*command, "--users", users).out
    assert [entry.name for entry in tmp_path.iterdir()] == ["report"]


@REPORTS
def test_a_report_leaves_any_other_file_alone(tmp_path: Path, command: tuple[str, ...]) -> None:
    path = tmp_path / "site.toml"
    path.write_text("[host]\n")
    assert_refused(run(*command, "-o", str(path)), "--output", "left as it is", str(path))
    assert path.read_text() == "[host]\n"


def test_a_report_of_one_kind_does_not_replace_one_of_another(tmp_path: Path) -> None:
    path = tmp_path / "report"
    path.write_text(f"{MARKDOWN_MARK}\n")
    assert_refused(run(*HTML, "-o", str(path)), "--output")
    path.write_text(f"{HTML_MARK}\n")
    assert_refused(run(*MARKDOWN, "-o", str(path)), "--output")


def test_what_cannot_be_finished_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "result.json"
    assert run("recommend", "--format", "json", "-o", str(path)).code == 0
    before = path.read_text()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(output.os, "fsync", full)
    ran = run("recommend", "--format", "json", "--users", "10", "-o", str(path))
    assert ran.code == 1
    assert f"{path}: No space left on device" in ran.err
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_keeps_its_mode_and_a_new_one_gets_the_usual(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    mask = os.umask(0o027)
    try:
        run("recommend", "--format", "json", "-o", str(path))
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o604)
        run("recommend", "--format", "json", "-o", str(path))
        assert stat.S_IMODE(path.stat().st_mode) == 0o604
    finally:
        os.umask(mask)


def test_a_link_stays_and_what_it_points_to_is_written(tmp_path: Path) -> None:
    target, link = tmp_path / "target.json", tmp_path / "link.json"
    target.write_text("")
    link.symlink_to(target)
    run("recommend", "--format", "json", "-o", str(link))
    assert link.is_symlink()
    assert target.read_text() == run("recommend", "--format", "json").out


def test_a_pipe_gets_the_text(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        os.set_blocking(reader, True)
        assert run("recommend", "--format", "conf", "-o", str(pipe)).code == 0
        assert os.read(reader, 10**5).decode() == run("recommend", "--format", "conf").out
    finally:
        os.close(reader)
    assert pipe.is_fifo()
