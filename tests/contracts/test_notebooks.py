"""Notebooks are kept without outputs and end in asserts; their pages are with the others in test_docs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code(path: Path) -> list[dict[str, Any]]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def test_there_are_notebooks() -> None:
    assert len(NOTEBOOKS) >= 4


@every_notebook
def test_no_output_is_kept(path: Path) -> None:
    assert [cell for cell in code(path) if cell["outputs"] or cell["execution_count"] is not None] == []


@every_notebook
def test_the_last_cell_asserts_what_was_said(path: Path) -> None:
    assert "assert " in "".join(code(path)[-1]["source"])
