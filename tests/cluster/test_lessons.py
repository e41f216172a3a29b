"""Each lesson, played on real processes: what it claims holds."""

from __future__ import annotations

import subprocess
import sys

import pytest

from launcher.lessons.lesson import Question, Step, lessons, parse
from launcher.lessons.player import Failed, play
from tests.cluster.lab import ROOT

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("number", lessons())
def test_what_a_lesson_claims_holds(number: int) -> None:
    lesson = lessons()[number]
    shown: list[Step | Question | str] = []

    held = play(lesson, shown.append)

    assert held == sum(len(one.claims) for one in lesson.commands) > 3
    outputs = [one for one in shown if isinstance(one, str)]
    assert len(outputs) == len(lesson.commands)
    assert shown[-len(lesson.questions) :] == lesson.questions


@pytest.mark.soak
@pytest.mark.parametrize("number", lessons())
def test_a_lesson_holds_ten_times_in_a_row(number: int) -> None:
    for _ in range(10):
        play(lessons()[number], lambda _: None)


def test_a_claim_that_does_not_hold_ends_the_lesson_and_its_cluster() -> None:
    lesson = parse(
        "# Lesson 99: Wrong\n\nIt is wrong.\n\n    $ launcher up 1 -d\n    ! a leader\n"
        "    $ launcher submit 'ADD x'\n    ! it prints `removed`\n"
    )
    with pytest.raises(Failed, match=r"after `launcher submit 'ADD x'`: expected: it prints"):
        play(lesson, lambda _: None)
    assert "lesson-99" not in processes()


def test_the_command_plays_a_lesson_and_says_so() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "launcher", "lesson", "2", "--step"],
        cwd=ROOT,
        input=b"\n" * 50,
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.decode()
    assert said.startswith("Lesson 2: A term\n")
    assert "  $ launcher transfer 3\n" in said
    assert said.splitlines()[-1].startswith("Lesson 2: all ")
    assert b"[Enter shows the answer]" in done.stderr


def processes() -> str:
    return subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
