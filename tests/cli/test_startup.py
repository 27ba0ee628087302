"""Help and version are quick: they load nothing that computes."""

from __future__ import annotations

import subprocess
import sys
import time

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


def seconds(*command: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *command], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


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


def test_help_costs_a_fraction_of_what_computing_loads() -> None:
    # Taken in turns, and the best of five, so that what else the machine does hits both alike.
    pairs = [
        (seconds("-m", "capacity", "recommend", "--help"), seconds("-c", "import scipy.special, pydantic"))
        for _ in range(5)
    ]
    shown, loaded = (min(column) for column in zip(*pairs, strict=True))
    assert shown < 0.3 * loaded


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
