"""What a bare import costs, each in an interpreter of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import capacity

ROOT = Path(capacity.__file__).parents[1]
WATCHED = {"numpy", "scipy", "pydantic", "psutil", "click", "rich", "matplotlib", "pandas", "xarray", "jinja2"}
WATCHED |= {"ipywidgets", "IPython"}


def loaded_by(statement: str) -> set[str]:
    """Names in sys.modules after a statement."""
    code = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{statement}\nimport json\nprint(json.dumps([*sys.modules]))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(run.stdout.splitlines()[-1]))


def watched(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules} & WATCHED


def test_importing_the_package_loads_nothing_but_itself():
    modules = loaded_by("import capacity")
    assert watched(modules) == set()
    assert {name for name in modules if name.startswith("capacity")} == {"capacity"}


@pytest.mark.parametrize("name", ["CapacityError", "InvalidInput"])
def test_an_error_needs_no_library(name):
    assert watched(loaded_by(f"import capacity; capacity.{name}")) == set()


@pytest.mark.parametrize(
    "name", ["Scenario", "Host", "PoolSettings", "Recommendation", "Forecast", "Scenario.example()"]
)
def test_inputs_and_results_need_pydantic_only(name):
    assert watched(loaded_by(f"import capacity; capacity.{name}")) == {"pydantic"}


@pytest.mark.parametrize(
    "statement",
    ["capacity.recommend(capacity.Scenario.example())", "capacity.forecast(capacity.Scenario.example())"],
)
def test_an_answer_needs_formulas_but_never_the_live_machine(statement):
    modules = loaded_by(f"import capacity; {statement}")
    assert watched(modules) == {"numpy", "scipy", "pydantic"}
    assert not {name for name in modules if name.startswith(("capacity.measure", "capacity.cli", "capacity.report"))}


def test_looking_at_a_result_needs_neither_pictures_nor_frames():
    statement = "import capacity; result = capacity.recommend(capacity.Scenario.example()); repr(result)"
    assert not {name for name in loaded_by(statement) if name.startswith("capacity.show")}
    modules = loaded_by(f"{statement}; result._repr_html_()")
    assert "capacity.show.html" in modules
    assert watched(modules) == {"numpy", "scipy", "pydantic"}


def scipy_packages(modules: set[str]) -> set[str]:
    second = {name.split(".")[1] for name in modules if name.startswith("scipy.")}
    return {name for name in second if not name.startswith("_")} - {"version"}


def test_formulas_load_only_numpy_and_the_special_functions():
    modules = loaded_by("import capacity.queueing")
    assert watched(modules) == {"numpy", "scipy"}
    assert scipy_packages(modules) == {"special"}
    others = {name for name in modules if name.startswith("capacity.") and not name.startswith("capacity.queueing")}
    assert others == set()


def test_the_watch_sees_what_is_loaded():
    assert watched(loaded_by("import numpy, psutil")) == {"numpy", "psutil"}
    assert "stats" in scipy_packages(loaded_by("import scipy.stats"))


def test_help_needs_neither_formulas_nor_the_live_machine():
    leave = "try:\n    main(['--help'])\nexcept SystemExit as error:\n    assert not error.code"
    modules = loaded_by(f"from capacity.cli import main\n{leave}")
    assert "click" in watched(modules)
    assert not watched(modules) & {"numpy", "scipy", "psutil", "matplotlib"}


@pytest.mark.parametrize("module", ["capacity.recommendation", "capacity.prediction", "capacity.results"])
def test_importing_a_module_replaces_no_public_function(module):
    statement = f"import {module}, capacity\nassert callable(capacity.recommend) and callable(capacity.forecast)"
    assert module in loaded_by(statement)
