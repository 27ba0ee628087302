"""Help and version are quick: they load nothing that computes. How quick: ``tests/test_speed_ratios.py``."""

from __future__ import annotations

import subprocess
import sys

import pytest

from capacity.cli import capacity as group
from capacity.pool import MOST_PROCESSES

COMMANDS = ((), *((name,) for name in group.commands))
HEAVY = ("numpy", "scipy", "psutil", "pydantic", "rich", "matplotlib")
LOADED = """
import sys
from capacity.cli import main
try:
    main({arguments!r})
except SystemExit as left:
    assert left.code == 0, left.code
print(sorted({heavy!r} & sys.modules.keys()), file=sys.stderr)
"""


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command) or "capacity")
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_the_help_of_a_command_loads_nothing_that_computes(command: tuple[str, ...], option: str) -> None:
    program = LOADED.format(arguments=[*command, option], heavy=set(HEAVY))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert "--help" in done.stdout


def test_the_version_loads_nothing_that_computes() -> None:
    program = LOADED.format(arguments=["--version"], heavy=set(HEAVY))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_completion_loads_nothing_that_computes() -> None:
    program = LOADED.format(arguments=[], heavy=set(HEAVY))
    environment = {"_CAPACITY_COMPLETE": "bash_complete", "COMP_WORDS": "capacity recommend --cpu", "COMP_CWORD": "2"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert "--cpu-time" in done.stdout
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("command", COMMANDS[1:], ids=lambda command: command[0])
def test_help_names_every_option(command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "capacity", *command, "--help"], capture_output=True, text=True, check=True
    )
    for parameter in group.commands[command[0]].params:
        for option in (*parameter.opts, *parameter.secondary_opts):
            assert not option.startswith("-") or option in done.stdout, option


def test_the_most_workers_of_the_option_are_those_of_a_pool() -> None:
    import importlib

    assert importlib.import_module("capacity.cli.forecast")._MOST_WORKERS == MOST_PROCESSES


INTERRUPTED = """
import runpy, sys
class Interrupt:
    def find_spec(self, name, *_):
        if name == {module!r}:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupt())
sys.argv = ["capacity", "recommend"]
runpy.run_module("capacity", run_name="__main__")
"""


@pytest.mark.parametrize("module", ["capacity.cli", "click", "capacity.units", "capacity.recommendation", "scipy"])
def test_an_interrupt_while_it_loads_is_no_traceback(module: str) -> None:
    program = INTERRUPTED.format(module=module)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.splitlines()[-1] == "interrupted"
    assert "Traceback" not in done.stderr
