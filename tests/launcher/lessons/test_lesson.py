"""The texts of the lessons, and their form."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.cli.table import ROWS
from launcher.lessons import claims
from launcher.lessons.lesson import Command, Lesson, Malformed, Prose, lessons, parse
from launcher.lessons.page import lines_of

LEARN = Path(__file__).parents[3] / "docs" / "LEARN.md"

TEXT = """\
# Lesson 7: A test

It shows something.

Some prose,
on two lines.

> **Predict.** What?

    $ launcher up 5 -d
    ! a leader
    ! it prints `5 nodes`
    $ launcher ps

## Questions

**Why?**

*Answer.* Because.
"""


def test_a_text_is_prose_commands_with_claims_and_questions() -> None:
    lesson = parse(TEXT)

    assert (lesson.number, lesson.title, lesson.shows) == (7, "A test", "It shows something.")
    assert lesson.steps == [
        Prose("Some prose,\non two lines."),
        Prose("> **Predict.** What?", predict=True),
        Command("launcher up 5 -d", ["a leader", "it prints `5 nodes`"]),
        Command("launcher ps"),
    ]
    assert lesson.commands[0].words == ["up", "5", "-d"]
    assert [(one.question, one.answer) for one in lesson.questions] == [
        ("**Why?**", "*Answer.* Because.")
    ]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("# Lesson 7: A test", "# A test", "the first line is"),
        ("It shows something.", "> It shows", "one line says what the lesson shows"),
        ("$ launcher ps", "$ rm -rf /", "neither"),
        ("    $ launcher up 5 -d\n", "", "neither"),
        ("*Answer.* Because.", "Because.", "a question in bold and its answer"),
        ("\n*Answer.* Because.\n", "", "a question in bold and its answer"),
    ],
)
def test_a_text_that_breaks_the_form_is_refused(before: str, after: str, said: str) -> None:
    assert before in TEXT
    with pytest.raises(Malformed, match=said):
        parse(TEXT.replace(before, after))


def test_there_are_ten_lessons() -> None:
    assert list(lessons()) == list(range(1, 11))


@pytest.mark.parametrize("lesson", lessons().values(), ids=lambda one: one.title)
def test_a_lesson_starts_a_cluster_predicts_claims_and_asks(lesson: Lesson) -> None:
    starts = [one for one in lesson.commands if one.words[0] == "up"]
    assert len(starts) == 1
    assert "-d" in starts[0].words, "the prompt would wait for a reader"
    assert any(isinstance(one, Prose) and one.predict for one in lesson.steps)
    assert len(lesson.questions) >= 2
    assert len(lesson.shows) <= 110
    for command in lesson.commands:
        assert command.words[0] in ROWS
        for claim in command.claims:
            claims.find(claim)


@pytest.mark.parametrize("lesson", lessons().values(), ids=lambda one: one.title)
def test_the_page_has_every_word_and_command(lesson: Lesson) -> None:
    page = LEARN.read_text("utf-8")
    for block in lines_of(lesson, {}):
        for piece in block.split("\n```"):  # what a command printed stands in between
            assert piece.strip() in page
