"""Each promise of `promises.txt` names tests with real processes, and each of them is there."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.conftest import promises

CLUSTER = Path(__file__).parent / "cluster"


def test_each_promise_is_held_by_a_test() -> None:
    held = promises()
    assert len(held) > 10
    assert [promise for promise, places in held.items() if not places] == []


@pytest.mark.parametrize("place", [place for places in promises().values() for place in places])
def test_a_test_of_a_promise_is_there(place: str) -> None:
    file, _, name = place.partition(": ")
    tree = ast.parse((CLUSTER / file).read_text())
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_file_with_real_processes_is_marked() -> None:
    """Or `make test` would run all of it."""
    unmarked = [
        file.name
        for file in CLUSTER.glob("test_*.py")
        if "tests.cluster.lab" in (text := file.read_text()) and "pytest.mark.cluster" not in text
    ]
    assert unmarked == []
