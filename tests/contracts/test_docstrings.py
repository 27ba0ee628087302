"""Every public name explains itself, and a formula tells parameters, result, source and an example."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re

import pytest

import capacity
from capacity import queueing

FORMULAS = sorted(name for name, value in vars(queueing).items() if inspect.isfunction(value))
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(capacity.__path__, "capacity.")
    if not module.name.rpartition(".")[2].startswith("_")
)


def sections(docstring: str) -> dict[str, str]:
    """Sections of a numpydoc text by heading."""
    parts = re.split(r"^(\w[\w ]*)\n-{3,}\n", docstring, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("name", capacity.__all__)
def test_every_public_name_has_a_docstring(name):
    value = getattr(capacity, name)
    assert value.__doc__, f"{name} inherits its docstring or has none"
    if inspect.isclass(value):
        for attribute, member in vars(value).items():
            function = member.__func__ if isinstance(member, classmethod | staticmethod) else member
            if inspect.isfunction(function) and not attribute.startswith("_") and "." in function.__qualname__:
                assert inspect.getdoc(function), f"{name}.{attribute}"


@pytest.mark.parametrize("module", MODULES)
def test_every_module_and_its_public_functions_and_classes_have_a_docstring(module):
    loaded = importlib.import_module(module)
    assert loaded.__doc__
    own = {name: value for name, value in vars(loaded).items() if getattr(value, "__module__", None) == module}
    for name, value in own.items():
        if not name.startswith("_") and (inspect.isfunction(value) or inspect.isclass(value)):
            assert value.__doc__, f"{module}.{name}"


@pytest.mark.parametrize("name", FORMULAS)
def test_a_formula_has_every_section(name):
    docstring = inspect.getdoc(getattr(queueing, name))
    assert sections(docstring).keys() >= {"Parameters", "Returns", "References", "Examples"}


@pytest.mark.parametrize("name", FORMULAS)
def test_a_formula_describes_every_parameter_with_its_unit(name):
    function = getattr(queueing, name)
    described = sections(inspect.getdoc(function))["Parameters"]
    for parameter in inspect.signature(function).parameters:
        match = re.search(rf"^{parameter} : .*\n((?:[ ]+.*\n?)+)", described, flags=re.MULTILINE)
        assert match, f"{name}({parameter})"
        if parameter != "max_servers":  # a plain int that sets the length of the answer
            assert re.search(r"\[(-|s|1/s|erlang)\]", match[1]), f"{name}({parameter}) has no unit"
    names = re.findall(r"^(\w+(?:, \w+)*) : ", described, flags=re.MULTILINE)
    assert sorted(", ".join(names).split(", ")) == sorted(inspect.signature(function).parameters)


@pytest.mark.parametrize("name", FORMULAS)
def test_the_example_of_a_formula_calls_it(name):
    assert f"{name}(" in sections(inspect.getdoc(getattr(queueing, name)))["Examples"]


@pytest.mark.parametrize("name", FORMULAS)
def test_the_source_of_a_formula_is_named(name):
    # a year, or our own function it is the inverse of
    references = sections(inspect.getdoc(getattr(queueing, name)))["References"]
    assert re.search(r"\b(18|19|20)\d\d\b", references) or "``" in references


@pytest.mark.parametrize("name", ["recommend", "forecast"])
def test_an_answer_has_every_section(name):
    assert sections(inspect.getdoc(getattr(capacity, name))).keys() >= {"Parameters", "Returns", "Examples"}
