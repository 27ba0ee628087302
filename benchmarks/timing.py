"""How long something takes on machines where other things run too."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping


def best(cases: Mapping[str, Callable[[], object]], repetitions: int) -> dict[str, float]:
    """Least processor time [s] of each, taken in turn so that a busy moment hits all of them."""
    found = dict.fromkeys(cases, float("inf"))
    for _ in range(repetitions):
        for name, case in cases.items():
            started = time.process_time()
            case()
            found[name] = min(found[name], time.process_time() - started)
    return found


STARTS = {
    "base": ("-c", "import numpy, scipy.special, pydantic"),
    "import capacity": ("-c", "import capacity"),
    "capacity --help": ("-m", "capacity", "--help"),
    "capacity recommend": ("-m", "capacity", "recommend"),
}
"""Ways to start Python, by name; the base is what computing has to load in any case."""


def start(arguments: tuple[str, ...]) -> None:
    """Run Python with these arguments to its end, as an installed package runs: compiled once, and not traced."""
    left_out = ("PYTHONDONTWRITEBYTECODE", "COV_CORE", "COVERAGE")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    # Starting threads that nobody uses takes as long as all the rest of some imports, on some machines.
    environment |= {"OPENBLAS_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, *arguments], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True
    )


def best_starts(repetitions: int) -> dict[str, tuple[float, float]]:
    """Least processor and least elapsed time [s] of each of `STARTS`, taken in turn after one start to compile."""
    found = dict.fromkeys(STARTS, (float("inf"), float("inf")))
    for repetition in range(repetitions + 1):
        for name, arguments in STARTS.items():
            started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
            start(arguments)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            elapsed = time.perf_counter() - started
            if repetition:
                found[name] = min(found[name][0], spent), min(found[name][1], elapsed)
    return found
