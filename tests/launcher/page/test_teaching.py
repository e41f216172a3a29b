"""A lesson in the page: its parts, and its commands in their order, each once."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from launcher.errors import LauncherError
from launcher.lessons.lesson import Command, lessons, parse
from launcher.lessons.player import Stage
from launcher.page.teaching import Teaching

TEXT = """# Lesson 1: A title

What it shows.

Read this.

    $ launcher ps
    ! it prints `n1`

> **Predict.** What then?

    $ launcher kill 1

## Questions

**Why?**

*Answer.* So.
"""


class Played:
    """A stage that only remembers what is performed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[str] = []

    def perform(self, command: Command) -> str:
        self.lines.append(command.line)
        return "printed"


def teaching(path: Path) -> tuple[Teaching, Played]:
    stage = Played(path)
    return Teaching(parse(TEXT), cast(Stage, stage)), stage


def test_the_parts_of_a_lesson(tmp_path: Path) -> None:
    parts = teaching(tmp_path)[0].parts()
    assert [step["kind"] for step in parts["steps"]] == ["prose", "command", "predict", "command"]
    assert [step.get("number") for step in parts["steps"]] == [None, 0, None, 1]
    assert parts["done"] == 0
    assert len(parts["questions"]) == 1


def test_commands_run_in_their_order_and_each_once(tmp_path: Path) -> None:
    played, stage = teaching(tmp_path)
    with pytest.raises(LauncherError, match="the turn of command 0, not of 1"):
        played.perform(1)
    assert played.perform(0) == {"output": "printed", "held": ["it prints n1"]}
    with pytest.raises(LauncherError, match="the turn of command 1, not of 0"):
        played.perform(0)
    played.perform(1)
    assert stage.lines == ["launcher ps", "launcher kill 1"]
    assert played.parts()["done"] == 2
    with pytest.raises(LauncherError, match="not of 2"):
        played.perform(2)


def test_every_lesson_has_parts_that_the_page_can_show(tmp_path: Path) -> None:
    for lesson in lessons().values():
        parts = Teaching(lesson, cast(Stage, Played(tmp_path))).parts()
        assert {step["kind"] for step in parts["steps"]} <= {"prose", "predict", "command"}
