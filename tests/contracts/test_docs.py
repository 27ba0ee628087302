"""The documentation says what the command prints, links to pages that exist and leaves out no field or option."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import click
import pytest

from capacity.cli import capacity
from capacity.scenario import Scenario
from capacity.sources import Source

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
FENCE = re.compile(r"^```([a-z]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"[#;] ([\w-]+\.(?:toml|conf|log|csv|py))")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
ELISION = "..."


@dataclass
class Example:
    """One command of a console block and the lines that are said to follow."""

    command: str
    expected: list[str]


def blocks(page: Path) -> list[tuple[str, str]]:
    return [(match[1], match[2]) for match in FENCE.finditer(page.read_text(encoding="utf-8"))]


def examples(block: str) -> list[Example]:
    found: list[Example] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append(Example(line.removeprefix("$ "), []))
        elif line.startswith("> ") and found and not found[-1].expected and found[-1].command.endswith("\\"):
            found[-1].command += "\n" + line.removeprefix("> ")
        elif found:
            found[-1].expected.append(line.rstrip())
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_line_begins_with_a_percent_sign(page: Path) -> None:
    """It would be a comment: the built page leaves the line out, and breaks the paragraph in two."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    assert not [line for line in text.splitlines() if line.lstrip().startswith("%")]


def cases() -> list[object]:
    return [
        pytest.param(page, id=str(page.relative_to(ROOT)))
        for page in PAGES
        if any(kind == "console" and "$ capacity" in text for kind, text in blocks(page))
    ]


def shortfall(expected: list[str], stdout: list[str], stderr: list[str]) -> str:
    """What is wrong; empty when the lines are the output, from its start to its end but for elided parts.

    Pages may leave out what goes to stderr: the start is that of either stream.
    """
    segments: list[list[str]] = [[]]
    for line in expected:
        if line == ELISION:
            segments.append([])
        else:
            segments[-1].append(line)
    output = stderr + stdout
    first, last = 0, len(segments) - 1
    place = len(stderr) if segments[first] and stdout[: len(segments[first])] == segments[first] else 0
    for number, segment in enumerate(segments):
        end = len(output) - len(segment)
        starts = [start for start in range(place, end + 1) if output[start : start + len(segment)] == segment]
        if number == first:
            starts = [start for start in starts if start == place]
        if number == last:
            starts = [start for start in starts if start == end]
        if not starts:
            return "not in the output, or not where the page has it:\n" + "\n".join(segment)
        place = starts[0] + len(segment)
    return ""


@pytest.mark.parametrize("page", cases())
def test_console_examples_print_what_the_page_says(page: Path, tmp_path: Path) -> None:
    programs, work = tmp_path / "bin", tmp_path / "work"
    programs.mkdir()
    work.mkdir()
    command = programs / "capacity"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m capacity "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    environment = os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    environment |= {"LC_ALL": "C.UTF-8", "COLUMNS": "100"}
    code = None
    for kind, text in blocks(page):
        name = FILE.fullmatch(text.partition("\n")[0])
        if kind in {"toml", "ini", "text", "python"} and name:
            (work / name[1]).write_text(text, encoding="utf-8")
        if kind != "console":
            continue
        for example in examples(text):
            if example.command == "echo $?":
                assert example.expected == [str(code)], f"exit code {code}"
            elif example.command.startswith(("capacity ", "python3 ")):
                # the commands are those of our own pages
                done = subprocess.run(
                    example.command, shell=True, cwd=work, env=environment, capture_output=True, check=False, timeout=60
                )
                code = done.returncode
                stdout, stderr = (
                    [line.rstrip() for line in out.decode().splitlines()] for out in (done.stdout, done.stderr)
                )
                wrong = shortfall(example.expected, stdout, stderr)
                assert not wrong, f"$ {example.command}\n{wrong}\n--- it printed:\n" + "\n".join(stderr + stdout)


def test_an_example_that_differs_is_found() -> None:
    stdout, stderr = ["a", "b", "c", "d"], ["note"]
    elided = (["..."], ["...", "c", "..."], ["a", "...", "d"], ["...", "note", "a", "..."])
    for good in (["a", "b", "c", "d"], ["note", "a", "b", "c", "d"], *elided):
        assert not shortfall(good, stdout, stderr), good
    for bad in (["a", "b"], ["b", "c", "d"], ["a", "...", "c"], ["...", "c", "...", "b", "..."], ["a", "c", "..."], []):
        assert shortfall(bad, stdout, stderr), bad


def anchors(page: Path) -> set[str]:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.is_file(), f"{target} is no file"
        if anchor:
            assert anchor in anchors(linked), f"{target}: no such heading"


def test_index_reaches_every_page() -> None:
    entries = re.findall(r"^[a-z-]+/[a-z-]+$", (DOCS / "index.md").read_text(encoding="utf-8"), re.MULTILINE)
    pages = {str(page.relative_to(DOCS).with_suffix("")) for page in DOCS.rglob("*.md")} - {"index"}
    pages |= {f"notebooks/{page.stem}" for page in (ROOT / "notebooks").glob("*.ipynb")}
    assert set(entries) == pages


def fields() -> list[tuple[str, str]]:
    """Every field of a scenario file, by table."""
    found = [("sources", name) for name in Source.model_fields]
    for name, field in Scenario.model_fields.items():
        candidates = (field.annotation, *get_args(field.annotation))
        table = next((part for part in candidates if hasattr(part, "model_fields")), None)
        if table is not None:
            found += [(name, inner) for inner in table.model_fields]
        elif name != "sources":
            found.append(("policy", name))
    return found


def section(text: str, table: str) -> str:
    return text.partition(f"## `[{table}]`\n")[2].partition("\n## ")[0]


def test_scenario_file_page_has_every_field() -> None:
    text = (DOCS / "reference" / "scenario-file.md").read_text(encoding="utf-8")
    missing = [f"{table}.{name}" for table, name in fields() if f"`{name}`" not in section(text, table)]
    assert not missing
    assert len(fields()) > 30  # the walk over the models found them at all


def test_scenario_file_page_has_no_field_that_does_not_exist() -> None:
    text = (DOCS / "reference" / "scenario-file.md").read_text(encoding="utf-8")
    tables = {table for table, _ in fields()}
    named = {(table, name) for table in tables for name in re.findall(r"^\| `(\w+)` \|", section(text, table), re.M)}
    assert not named - set(fields())


def test_command_line_page_has_every_option() -> None:
    text = (DOCS / "reference" / "command-line.md").read_text(encoding="utf-8")
    spellings = {
        spelling
        for command in (capacity, *capacity.commands.values())
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for spelling in (*parameter.opts, *parameter.secondary_opts)
    }
    missing = [spelling for spelling in sorted(spellings) if not re.search(rf"`{spelling}[ `]", text)]
    assert not missing
    assert not [name for name in capacity.commands if f"## `capacity {name}`\n" not in text]
