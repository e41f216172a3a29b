"""The tour names places, and the core's story its modules; each of them is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import node.raft
from tests.test_tidy import WINGS

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


def test_the_tour_has_the_wings_in_the_order_in_which_they_may_import_each_other() -> None:
    _, _, after = TOUR.partition("## The house")
    house, _, _ = after.partition("\n## ")
    folders = re.findall(r"(?m)^\| `((?:node|launcher)/[\w/]*(?:\.py)?)` \|", house)
    told = [re.sub(r"/__init__\.py$|/$|\.py$", "", path).replace("/", ".") for path in folders]

    assert sorted(told) == sorted(WINGS.keys() - {"node"})
    place = [*WINGS].index
    assert told == sorted(told, key=lambda wing: (wing.startswith("launcher"), place(wing)))


def test_the_story_of_the_core_names_its_modules_each_after_those_that_it_imports() -> None:
    core = ROOT / "node" / "raft"
    told = re.findall(r"(?m)^    (\w+)\.py  ", node.raft.__doc__ or "")
    assert sorted(told) == sorted(path.stem for path in core.glob("*.py") if path.stem[0] != "_")

    for position, name in enumerate(told):
        text = (core / f"{name}.py").read_text()
        imported = set(re.findall(r"(?m)^from node\.raft\.(\w+) import", text))
        for names in re.findall(r"(?ms)^from node\.raft import (\(.*?\)|.*?$)", text):
            imported |= set(re.findall(r"(\w+)(?: as \w+)?", names)) & set(told)
        assert imported <= set(told[:position]), name


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_each_make_command_that_a_page_names_exists(page: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"(?:`|^    )make\s+([a-z-]+)", (ROOT / page).read_text(), re.MULTILINE))
    assert {"test", "up", "check"} & named
    assert named <= targets


def test_make_up_installs_what_running_needs_and_no_more() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert "\nup: $(RUN)\n" in makefile
    (recipe,) = re.findall(r"\n\$\(RUN\): .*\n((?:\t.*\n)+)", makefile)
    assert "-e .\n" in recipe
    assert "[" not in recipe


def test_each_make_command_is_in_its_help() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"\.PHONY: (.*)\n", makefile.replace("\\\n", ""))
    unsaid = [
        target
        for target in phony.split()
        if target not in ("help", "rebuild") and f'@echo "make {target} ' not in makefile
    ]
    assert unsaid == []
