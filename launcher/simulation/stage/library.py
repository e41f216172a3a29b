"""The stories that come with the launcher: which there are, and what each is about.

A story is a script (`script.py` documents the language) in `stories/TOPIC/NAME.txt`. The first line
is a comment with its title: one sentence that says what it shows. The files are transcripts, so the
tests can compare them with what playing gives.

A line `== on real processes` ends the part that is played on simulated cores. What follows is the
same story for real processes, in fewer words (`launcher/real_stories/`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path

from launcher.errors import UsageError
from launcher.simulation.stage.words import suggestion

REAL = "== on real processes"
"""The line before the part for real processes."""

TOPICS = {
    "demonstrations": "for a class",
    "elections": "who leads",
    "logs": "replication, commit and repair",
    "reads": "answers that are not out of date",
    "membership": "servers that join and leave",
    "snapshots": "logs whose beginning has been removed",
    "transfers": "a leader that hands over",
}
"""The folders of stories, in the order of the list, and what each is about."""

MOST_BYTES = 1_000_000
"""More than any story has: a file that never ends must not be read for ever."""


@dataclass(frozen=True)
class Story:
    """One story.

    label: how errors name it: the name of a story of ours, or the path of the user's file
    topic: one of `TOPICS`, or nothing for the user's own
    text: all of it
    """

    label: str
    topic: str
    text: str

    @property
    def title(self) -> str:
        """What it shows, in one sentence; nothing if its first line is no comment."""
        first = self.text.partition("\n")[0].strip()
        return first.removeprefix("#").strip() if first.startswith("#") else ""

    @cached_property
    def _real_at(self) -> int | None:
        """The position of the line before the part for real processes."""
        lines = self.text.splitlines()
        found = (at for at, line in enumerate(lines) if line.strip() == REAL)
        return next(found, None)

    @property
    def on_cores(self) -> str:
        """The part that is played on simulated cores."""
        return "\n".join(self.text.splitlines()[: self._real_at])

    @property
    def on_real_processes(self) -> str:
        """The part that is played on real processes; the whole story where it has no such part.

        Empty lines stand for the other part, so that a line keeps its number.
        """
        if self._real_at is None:
            return self.text
        above = self._real_at + 1
        return "\n" * above + "\n".join(self.text.splitlines()[above:])

    @property
    def has_real_part(self) -> bool:
        """Whether it has a part of its own for real processes."""
        return self._real_at is not None


def names() -> list[str]:
    """The names of all stories, by topic."""
    return [name for topic in TOPICS for name in _names_of(topic)]


def stories() -> list[Story]:
    """All stories, by topic."""
    return [_ours(topic, name) for topic in TOPICS for name in _names_of(topic)]


def find(word: str) -> Story:
    """The story with this name, or in this file.

    Raises UsageError for an unknown name, with the nearest one, and for an unreadable file.
    """
    for topic in TOPICS:
        if word in _names_of(topic):
            return _ours(topic, word)
    if "/" in word or word.endswith(".txt") or Path(word).is_file():
        return Story(word, "", _read(Path(word)))
    near = suggestion(word, names()) or "; a file of your own is written ./NAME.txt"
    raise UsageError(f"no story {word!r}{near} (`launcher story` lists all)")


def _names_of(topic: str) -> list[str]:
    folder = files("launcher.simulation.stage") / "stories" / topic
    found = (entry.name for entry in folder.iterdir())
    return sorted(name.removesuffix(".txt") for name in found if name.endswith(".txt"))


def _ours(topic: str, name: str) -> Story:
    place = files("launcher.simulation.stage") / "stories" / topic / f"{name}.txt"
    return Story(name, topic, place.read_text("utf-8"))


def _read(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            data = opened.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"cannot read the story {file}: {reason}") from error
    if len(data) > MOST_BYTES:
        raise UsageError(f"{file} is no story: it has more than {MOST_BYTES} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is no story: it is not text in UTF-8") from error
