"""Writes the page of all lessons, with what their commands really print: `docs/LEARN.md`.

    python -m launcher.lessons.page docs/LEARN.md      plays all lessons (some minutes)

A test holds that the page has every word and command of the lessons.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from launcher.lessons.claims import is_of_output
from launcher.lessons.lesson import Command, Lesson, Prose, Question, Step, lessons
from launcher.lessons.player import play

_COLUMNS = 100

_HEAD = """\
# Learn Raft with it

Ten lessons. Each says what happens, gives you commands to type, asks you to predict what you will
see, and shows what was really printed when the lessons were last played. At the end of each are
questions with answers. `launcher lesson 3` plays a lesson in a cluster of its own, and checks what
the lesson claims; `launcher lesson 3 --step` waits for you before each step. [TEACH.md](TEACH.md)
makes a class of them, and the [glossary](GLOSSARY.md) has the words.

To type along, start in an empty folder: every lesson begins with `launcher up`. When a lesson is
over, `launcher down -v` takes its cluster down and removes the data.
"""


def lines_of(lesson: Lesson, outputs: dict[int, str]) -> Iterator[str]:
    """The lesson's part of the page. outputs: by the number of the command"""
    yield f"## Lesson {lesson.number}: {lesson.title}"
    yield f"*{lesson.shows}*"
    number = 0
    for step in lesson.steps:
        if isinstance(step, Prose):
            yield step.text
            continue
        yield _transcript(step, outputs.get(number, ""))
        number += 1
    yield "### Questions"
    for question in lesson.questions:
        yield question.question
        yield question.answer


def _transcript(command: Command, output: str) -> str:
    printed = "\n".join(line.rstrip() for line in output.rstrip("\n").splitlines())
    said = "\n".join(filter(None, (f"$ {command.line}", printed)))
    checked = [one for one in command.claims if not is_of_output(one)]
    after = f"\n\nChecked: {'; '.join(checked)}." if checked else ""
    return f"```\n{said}\n```{after}"


def page(parts: list[tuple[Lesson, dict[int, str]]]) -> str:
    """All lessons, with their outputs."""
    blocks = [_HEAD.rstrip()]
    for lesson, outputs in parts:
        blocks += lines_of(lesson, outputs)
    return "\n\n".join(blocks) + "\n"


def _played(lesson: Lesson) -> dict[int, str]:
    outputs: dict[int, str] = {}

    def show(step: Step | Question | str) -> None:
        if isinstance(step, str):
            outputs[len(outputs)] = step

    play(lesson, show, columns=_COLUMNS)
    return outputs


def main(path: str) -> None:
    """Plays all lessons and writes the page."""
    parts = []
    for lesson in lessons().values():
        print(f"lesson {lesson.number}: {lesson.title}", flush=True)
        parts.append((lesson, _played(lesson)))
    Path(path).write_text(page(parts), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
