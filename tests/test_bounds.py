"""Each row of the table "What is bounded" names a test that reaches the bound, in `bounds.txt`."""

from __future__ import annotations

import ast
import re
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOUR = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
LINES = [
    line
    for line in (Path(__file__).parent / "bounds.txt").read_text().splitlines()
    if line and not line.startswith("#")
]
PLACES = sorted({line.strip() for line in LINES if line.startswith(" ")})


def rows() -> list[str]:
    """The first cells of the table."""
    _, _, after = TOUR.partition("## What is bounded, and what happens there")
    table, _, _ = after.partition("\n## ")
    cells = re.findall(r"(?m)^\| (.+?) \|", table)
    return [cell for cell in cells if cell != "what"]


@cache
def functions_of(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_each_row_names_its_tests() -> None:
    named = [line for line in LINES if not line.startswith(" ")]
    assert named == rows()
    for row, below in pairwise(LINES):
        assert row.startswith(" ") or below.startswith(" "), f"no test holds {row!r}"


@pytest.mark.parametrize("place", PLACES)
def test_a_test_of_a_bound_exists(place: str) -> None:
    file, _, name = place.partition(": ")
    assert name.startswith("test_")
    assert name in functions_of(file)
