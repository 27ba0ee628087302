"""The layers of the house: who may import whom, who may touch the live machine, who may open a file."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import capacity

PACKAGE = Path(capacity.__file__).parent
ROOT = PACKAGE.parent
MODULES = sorted(PACKAGE.rglob("*.py"))

LIVE = {"psutil", "subprocess", "socket"}
LIVE_ROOMS = {"plan", "measure", "cli"}
READERS = {
    "open",
    "read_text",
    "read_bytes",
    "write_text",
    "write_bytes",
    "fdopen",
    "fromfile",
    "loadtxt",
    "genfromtxt",
}
READING_ROOMS = {"measure", "plan", "report", "page", "cli"}

every_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())


def room(path: Path) -> str:
    """Top folder or module of a file of the package."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(tree: ast.AST) -> set[str]:
    """Top-level packages that a module imports anywhere, also inside functions and as import_module("...")."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module or "")
        elif isinstance(node, ast.Call) and called(node) in {"import_module", "__import__"} and node.args:
            argument = node.args[0]
            names |= (
                {argument.value} if isinstance(argument, ast.Constant) and isinstance(argument.value, str) else set()
            )
    return {name.partition(".")[0] for name in names}


def called(call: ast.Call) -> str:
    """Last word of what a call calls."""
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def openings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of every call that opens, reads or writes a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and called(node) in READERS:
            yield node.lineno, called(node)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_the_layer_contracts_are_kept() -> None:
    command = Path(sys.executable).with_name("lint-imports")
    assert command.exists(), "import-linter belongs to the test extra"
    run = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "0 broken" in run.stdout


@every_module
def test_only_measuring_and_the_command_line_reach_the_live_machine(path: Path) -> None:
    if room(path) not in LIVE_ROOMS:
        assert not imports(parsed(path)) & LIVE


def test_measuring_does_reach_the_live_machine() -> None:
    rooms = {room(path) for path in MODULES if "psutil" in imports(parsed(path))}
    assert rooms == {"measure"}


@every_module
def test_below_the_live_machine_only_the_scenario_opens_files(path: Path) -> None:
    if room(path) not in READING_ROOMS | {"scenario"}:
        assert list(openings(parsed(path))) == []


def test_the_scenario_opens_exactly_one_file() -> None:
    assert [name for _, name in openings(parsed(PACKAGE / "scenario.py"))] == ["open"]


@every_module
def test_formulas_import_nothing_but_numpy_and_the_special_functions(path: Path) -> None:
    if room(path) == "queueing":
        standard = {"__future__", "array", "collections", "heapq", "itertools", "math", "typing"}
        allowed = standard | {"numpy", "scipy", "capacity"}
        assert imports(parsed(path)) <= allowed
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("scipy", "capacity")):
                assert node.module == "scipy.special" or node.module.startswith("capacity.queueing")  # type: ignore[union-attr]
            if isinstance(node, ast.Import):
                assert not [a.name for a in node.names if a.name.startswith("scipy")]


@every_module
def test_imports_name_the_module_in_full(path: Path) -> None:
    relative = [node.lineno for node in ast.walk(parsed(path)) if isinstance(node, ast.ImportFrom) and node.level]
    assert relative == []


@pytest.mark.parametrize(
    "code",
    ["import psutil", "from subprocess import run", "def f():\n    import socket", "import_module('psutil')"],
)
def test_the_check_sees_every_way_of_importing(code: str) -> None:
    assert imports(ast.parse(code)) & LIVE


@pytest.mark.parametrize("code", ["open('a')", "Path('a').open()", "p.read_text()", "os.fdopen(3)"])
def test_the_check_sees_every_way_of_opening(code: str) -> None:
    assert list(openings(ast.parse(code)))
