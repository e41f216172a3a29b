"""A lesson of `launcher lesson` in the page: its parts, and its commands, one after the other.

The lesson has a cluster of its own (`launcher/lessons/player.py: Stage`), which the page shows. The
reader goes on; each command is run as a user runs it, and what the lesson claims of it is checked.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from launcher.cluster import Cluster
from launcher.control.status import ClusterStatus
from launcher.errors import LauncherError
from launcher.lessons.lesson import Command, Lesson, Prose
from launcher.lessons.player import Stage
from launcher.page.events import Record


class Teaching:
    """One lesson that is being played. Its commands run in their order, each once."""

    def __init__(self, lesson: Lesson, stage: Stage) -> None:
        self.lesson = lesson
        self._stage = stage
        self._done = 0

    @property
    def log_dir(self) -> Path:
        """Where the cluster of the lesson writes its logs."""
        return self._stage.path / "logs"

    def status(self) -> ClusterStatus:
        """Of the lesson's cluster. Raises LauncherError while there is none."""
        return Cluster.attach(self._stage.path / "cluster.yaml").status()

    def parts(self) -> Record:
        """All of the lesson, for `static/lesson.js`. done: how many commands have been run"""
        steps: list[Record] = []
        number = 0
        for step in self.lesson.steps:
            if isinstance(step, Prose):
                steps.append({"kind": "predict" if step.predict else "prose", "text": step.text})
            else:
                steps.append({"kind": "command", "text": step.line, "number": number})
                number += 1
        return {
            "number": self.lesson.number,
            "title": self.lesson.title,
            "shows": self.lesson.shows,
            "steps": steps,
            "questions": [[one.question, one.answer] for one in self.lesson.questions],
            "done": self._done,
        }

    def perform(self, number: int) -> Record:
        """Runs the next command: what it printed, and the claims that held.

        Raises LauncherError for a command whose turn it is not, and for a claim that does not hold.
        """
        commands = self.lesson.commands
        if number != self._done or number >= len(commands):
            raise LauncherError(f"it is the turn of command {self._done}, not of {number}")
        output = self._stage.perform(commands[number])
        self._done += 1
        if commands[number].words[0] == "up":
            self._record()
        return {"output": output, "held": _claims(commands[number])}

    def _record(self) -> None:
        """Has the nodes record their messages: without these the page has no arrows."""
        with suppress(LauncherError):  # a node that is not ready records when it is started again
            Cluster.attach(self._stage.path / "cluster.yaml").tap("ring")


def _claims(command: Command) -> list[str]:
    return [claim.replace("`", "") for claim in command.claims]
