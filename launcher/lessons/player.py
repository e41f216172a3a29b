"""Plays a lesson: types its commands, shows what they print, and checks what the lesson claims.

Each lesson has a folder of its own with a `cluster.yaml`, and a cluster of its own, which is taken
down whatever happens. A command runs as a user runs it, in a process of its own. A command that
only looks is run again while a claim about what it prints does not hold yet.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from launcher.cluster import Cluster
from launcher.control.status import ClusterStatus
from launcher.errors import LauncherError
from launcher.lessons import claims
from launcher.lessons.claims import NotSo, Scene
from launcher.lessons.lesson import Command, Lesson, Prose, Question, Step

LOOKING = frozenset({"ps", "log", "timeline", "read", "why", "config", "wait", "explain"})
"""Commands that change nothing, so that they can be run again."""

_COMMAND_TIMEOUT_S = 300.0
_AGAIN_S = 0.2
_USAGE = 2
"""The exit status of a command that was written wrongly: running it again is of no use."""

_ROOT = Path(__file__).parents[2]
_PROGRAM = "import sys; from launcher.__main__ import main; sys.exit(main())"


class Failed(LauncherError):
    """A lesson's claim does not hold."""


class Stage:
    """The folder and the cluster of one lesson; leaving it takes the cluster down.

    number: in the cluster's name
    columns: the width for which commands print
    """

    def __init__(self, number: int, columns: int = 80) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix=f"lesson-{number}-")
        self.path = Path(self._folder.name)
        self._columns = columns
        (self.path / "cluster.yaml").write_text(f"name: lesson-{number}\n", "utf-8")
        self.scene = Scene(self._look)

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(LauncherError):
            Cluster(config=self.path / "cluster.yaml").down()
        self._folder.cleanup()

    def perform(self, command: Command) -> str:
        """Runs a command and checks its claims; returns what it printed. Raises Failed."""
        give_up = time.monotonic() + claims.PATIENCE_S
        while True:
            output = self._run(command)
            try:
                self._check(command)
            except NotSo as error:
                again = command.words[0] in LOOKING and self.scene.exit_status != _USAGE
                if not again or time.monotonic() > give_up:
                    raise Failed(f"after `{command.line}`: {error}") from error
                time.sleep(_AGAIN_S)
            else:
                return output

    def _run(self, command: Command) -> str:
        environment = {
            **os.environ,
            "PYTHONPATH": str(_ROOT),
            "COLUMNS": str(self._columns),
            "NO_COLOR": "1",
        }
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, *command.words],
            cwd=self.path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_COMMAND_TIMEOUT_S,
            check=False,
        )
        self.scene.output = done.stdout.decode("utf-8", "replace")
        self.scene.exit_status = done.returncode
        return self.scene.output

    def _check(self, command: Command) -> None:
        """Raises NotSo."""
        of_output = [one for one in command.claims if claims.is_of_output(one)]
        if not any(one.startswith("exit status") for one in of_output):
            of_output.insert(0, "exit status 0")
        for claim in [*of_output, *(one for one in command.claims if one not in of_output)]:
            try:
                claims.check(claim, self.scene)
            except NotSo as error:
                raise NotSo(f"expected: {claim}; but {error}") from error

    def _look(self) -> ClusterStatus:
        return Cluster.attach(self.path / "cluster.yaml").status()


def play(
    lesson: Lesson, show: Callable[[Step | Question | str], None], *, columns: int = 80
) -> int:
    """Plays the lesson; returns how many claims held.

    show: is given each step before it is done, then what a command printed, then the questions. It
        may wait for the reader

    Raises Failed at the first claim that does not hold.
    """
    held = 0
    with Stage(lesson.number, columns) as stage:
        for step in lesson.steps:
            show(step)
            if isinstance(step, Command):
                show(stage.perform(step))
                held += len(step.claims)
            else:
                assert isinstance(step, Prose)
    for question in lesson.questions:
        show(question)
    return held
