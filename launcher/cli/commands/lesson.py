"""The command `lesson`: the ten lessons of Raft, on real processes."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING

import click

from launcher import streams
from launcher.cli.context import Context
from launcher.cli.rows import row
from launcher.errors import LauncherError, UsageError

if TYPE_CHECKING:
    from launcher.lessons.lesson import Question, Step

_MARKS = re.compile(r"\*\*|(?<!\w)\*(?=\S)|(?<=\S)\*(?!\w)|`")
_WIDEST = 96


@row(
    "lesson",
    "Play a lesson about Raft: it types commands to a cluster of its own, shows what they print, "
    "and checks what it claims. Without N, list the lessons.",
)
@click.argument("number", type=click.IntRange(min=1), required=False, metavar="[N]")
@click.option("--step", is_flag=True, help="Wait for Enter before each step.")
@click.option("--list", "lists", is_flag=True, help="List the lessons.")
@click.option("--page", is_flag=True, help="Play it in the page, in a browser.")
def lesson(context: Context, number: int | None, step: bool, lists: bool, page: bool) -> int:
    """`launcher lesson`."""
    # Start-up time: loads the client, YAML and psutil.
    from launcher.lessons.lesson import lessons
    from launcher.lessons.player import Failed, play

    del context
    known = lessons()
    if number is None or lists:
        for one in known.values():
            click.echo(f"{one.number:2}  {one.title:28} {one.shows}")
        return 0
    if number not in known:
        raise UsageError(f"there is no lesson {number}; they are 1 to {max(known)}")
    chosen = known[number]
    if page:
        from launcher.cli import pages

        pages.teach(chosen)
        return 0
    click.echo(f"Lesson {number}: {chosen.title}\n\n{chosen.shows}\n")
    with streams.all_or_error("the lesson was not played to its end"):
        try:
            held = play(chosen, _Reader(step).show, columns=_columns())
        except Failed as error:
            raise LauncherError(f"lesson {number}: {error}") from error
    click.echo(f"Lesson {number}: all {held} checks held.")
    return 0


class _Reader:
    """Shows the steps, and waits for Enter where that was asked for."""

    def __init__(self, waits: bool) -> None:
        self._waits = waits

    def show(self, step: Step | Question | str) -> None:
        """A step that comes next, or what a command printed."""
        # Start-up time, as above.
        from launcher.lessons.lesson import Command, Prose, Question

        match step:
            case str():
                click.echo(textwrap.indent(step.rstrip("\n"), "    ") + "\n")
            case Command():
                click.echo(click.style(f"  $ {step.line}", bold=True))
                self._wait("Enter runs it")
            case Prose():
                click.echo(_plain(step.text) + "\n")
                if step.predict:
                    self._wait("Enter goes on")
            case Question():
                click.echo(_plain(step.question) + "\n")
                self._wait("Enter shows the answer")
                click.echo(_plain(step.answer) + "\n")

    def _wait(self, what: str) -> None:
        if not self._waits:
            return
        click.echo(f"  [{what}] ", nl=False, err=True)
        if not sys.stdin.readline():
            self._waits = False  # the input has ended: nobody is there to wait for


def _columns() -> int:
    return min(shutil.get_terminal_size().columns, _WIDEST)


def _plain(markdown: str) -> str:
    """A paragraph for the terminal: wrapped, without marks."""
    text = " ".join(line.removeprefix("> ") for line in markdown.splitlines())
    return textwrap.fill(_MARKS.sub("", text), _columns())
