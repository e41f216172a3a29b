"""The tour names places; each of them is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOUR = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
PLACES = sorted(set(re.findall(r"((?:node|launcher)/[\w/]+\.py): ([A-Za-z_][\w.]*)", TOUR)))


def test_the_tour_names_places() -> None:
    assert len(PLACES) >= 10


@pytest.mark.parametrize(("file", "name"), PLACES)
def test_a_place_on_the_tour_exists(file: str, name: str) -> None:
    text = (ROOT / file).read_text()
    for part in name.split("."):
        defined = rf"(?m)^\s*(?:async )?(?:def|class) {part}\b"
        assert re.search(defined, text), f"{file}: {part}"


@pytest.mark.parametrize("file", sorted(set(re.findall(r"`((?:node|launcher)/[\w/]+\.py)`", TOUR))))
def test_a_file_on_the_tour_exists(file: str) -> None:
    assert (ROOT / file).is_file()
