"""What `launcher story` does: it lists the stories, or plays one and says whether it came as told.

The stories are in `launcher/simulation/stage/stories/`, and `library.py` there finds them. This
module prints them step by step, and waits between the steps where that was asked for.
"""

from __future__ import annotations

import os
import sys
import textwrap
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import dropwhile
from shutil import get_terminal_size

import click
import msgspec

from launcher import streams
from launcher.cli.output import print_json
from launcher.errors import LauncherError, UsageError
from launcher.simulation.stage import library
from launcher.simulation.stage.library import Story
from launcher.simulation.stage.script import (
    COMMAND,
    COMMENT,
    EXPECTATION,
    TABLE,
    ScenarioFailed,
    Step,
    is_transcript,
    play_steps,
    words_of,
)

SLOW_S = 0.5
SLOW_LINE_S = 0.25
"""How long `--slow` waits after a step, and for each line of it."""


class Playing(msgspec.Struct, frozen=True, kw_only=True):
    """How a story is to be played, as asked for."""

    step: bool = False
    slow: bool = False
    quiet: bool = False
    real: bool = False
    as_json: bool = False


def show_list(*, as_json: bool) -> int:
    """Prints all stories by topic, each with its title; returns 0."""
    # Start-up time: loads the cluster API, which a story on simulated cores does not need.
    from launcher.real_stories.words import can_be_played

    stories = library.stories()
    if as_json:
        for one in stories:
            real = can_be_played(one)
            print_json({"name": one.label, "topic": one.topic, "title": one.title, "real": real})
        return 0
    width = get_terminal_size().columns if sys.stdout.isatty() else 1000
    longest = max(len(one.label) for one in stories)
    for topic, about in library.TOPICS.items():
        click.echo(f"{topic}: {about}")
        for one in stories:
            if one.topic == topic:
                mark = "*" if can_be_played(one) else " "
                for line in _entry(f"{mark} {one.label:{longest}}  ", one.title, width):
                    click.echo(line)
        click.echo()
    click.echo("`launcher story NAME` plays one, and `launcher story ./FILE.txt` one of your own.")
    click.echo("Those with a * can also be played on real processes: launcher story NAME --real")
    return 0


def _entry(name: str, title: str, width: int) -> list[str]:
    """A name and a title beside it, or below it where the terminal is narrow."""
    if len(name) + len(title) <= width:
        return [f"{name}{title}"]
    below = textwrap.wrap(title, max(20, width - 6))
    return [name.rstrip(), *(f"      {line}" for line in below)]


def play(word: str, request: Playing) -> int:
    """Plays a story and prints what happens, and whether its expectations were met; returns 0.

    word: the name of a story, or a file

    Raises UsageError for an unknown name and for an invalid line, and LauncherError when something
    does not come as the story says.
    """
    if request.step and request.slow:
        raise UsageError("either --step or --slow, not both")
    story = library.find(word)
    text = story.on_real_processes if request.real else story.on_cores
    expected = _expectations(text)
    held = 0
    shown = _Output(request)
    try:
        with closing(_steps(story, text, real=request.real)) as steps:
            for step in dropwhile(_is_blank, steps):
                if not shown.show(step):
                    summary = {"story": story.label, "stopped_before": step.line, "held": held}
                    so_far = f"{_held(held, expected)} so far"
                    shown.end(summary, f"stopped before line {step.line}; {so_far}")
                    return 0
                held += step.kind == EXPECTATION and bool(step.told)  # "ok"
    except ScenarioFailed as failed:
        found = {"line": failed.line, "text": " ".join(failed.words), "found": failed.found}
        shown.end({"story": story.label, "expectations": expected, "held": held, "failed": found},
                  f"{_held(held, expected)}, and then this did not:")  # fmt: skip
        raise LauncherError(f"{story.label}, line {failed.line}: {failed.wanted}") from failed
    except UsageError as error:
        raise UsageError(f"{story.label}, {error}") from error
    shown.end({"story": story.label, "expectations": expected, "held": held}, _all_held(held))
    return 0


def _steps(story: Story, text: str, *, real: bool) -> Generator[Step]:
    if real:
        # Start-up time: as above.
        from launcher.real_stories.play import play_on_real_processes

        return play_on_real_processes(text)
    if not any(_played(text)):
        reason = "it has only a part for real processes" if story.has_real_part else "it is empty"
        raise UsageError(f"nothing to play: {reason}" + (" (--real)" * story.has_real_part))
    return play_steps(text)


def _is_blank(step: Step) -> bool:
    return not step.text


def _played(text: str) -> Iterator[list[str]]:
    """The words of each line that is played."""
    for line in text.splitlines():
        if not is_transcript(line) and (words := words_of(line)):
            yield words


def _expectations(text: str) -> int:
    return sum(words[0] == "expect" for words in _played(text))


def _held(held: int, expected: int) -> str:
    return f"{held} of {expected} expectations held"


def _all_held(count: int) -> str:
    if not count:
        return "nothing was expected"
    return "1 expectation, and it held" if count == 1 else f"{count} expectations, all held"


class _Output:
    """Prints the steps of a story, and waits between them."""

    def __init__(self, request: Playing) -> None:
        self._request = request
        self._keys = _Lines()
        self._has_begun = False
        self._pause_due = False
        self._printed = 0
        self._was_blank = True

    def show(self, step: Step) -> bool:
        """Prints a step. Returns False, and prints nothing, when the user wants to go no further.

        There is a pause before the next step after each paragraph of comments, and after each
        command that shows something. An expectation that is met is no reason to wait.
        """
        if not self._has_begun:
            if self._pause_due and step.kind != COMMENT and not self._wait():
                return False
            self._begin(step)
        self._has_begun = not step.is_over
        if step.is_over:
            self._end(step)
        return True

    def _begin(self, step: Step) -> None:
        if not self._request.as_json and (not self._request.quiet or step.kind == COMMENT):
            self._echo(step.text)
            sys.stdout.flush()

    def _end(self, step: Step) -> None:
        is_comment = step.kind == COMMENT
        shows = step.kind == TABLE or (step.kind == COMMAND and not self._request.quiet)
        if self._request.as_json:
            print_json({"line": step.line, "kind": step.kind, "text": step.text, "told": step.told})
            self._printed += 1
        elif not self._request.quiet or step.kind == TABLE:
            for line in step.lines[1:]:
                self._echo(line)
        if (is_comment and step.text) or (shows and step.told and not step.is_quiet):
            self._pause_due = True

    def _echo(self, line: str) -> None:
        if self._request.quiet and not line and self._was_blank:
            return
        click.echo(line)
        self._was_blank = not line
        self._printed += 1

    def _wait(self) -> bool:
        """Waits as asked. Returns whether to go on."""
        self._pause_due = False
        lines, self._printed = self._printed, 0
        if self._request.slow:
            sys.stdout.flush()
            time.sleep(SLOW_S + SLOW_LINE_S * lines)
        if self._request.step:
            sys.stdout.flush()
            return self._keys.next()
        return True

    def end(self, summary: dict[str, object], text: str) -> None:
        """Prints how the story ended: JSON, or a line."""
        if self._request.as_json:
            print_json(summary)
        else:
            click.echo(text)


class _Lines:
    """The lines of standard input, a terminal or a pipe, for `--step`."""

    def __init__(self) -> None:
        self._held = b""
        self._told = False

    def next(self) -> bool:
        """Waits for the next line. Returns False when there is none: Ctrl-D."""
        if not self._told and sys.stdin is not None and os.isatty(0):
            click.echo("(Enter: the next step; Ctrl-D: the end)", err=True)
        self._told = True
        while b"\n" not in self._held:
            data = streams.read(0, 4096)
            if not data:
                return False
            self._held += data
        _, _, self._held = self._held.partition(b"\n")
        return True
