"""What happened in a chaos run: one `Happening` each, for people, for programs and for its file.

`chaos.jsonl` in a run's folder has one JSON object a line, in the order in which things happened:
which fault began and on which nodes and links, when it ended, what was left out and why, and what
failed. `t` is in nanoseconds since the epoch, by a clock that never goes back within a run.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from launcher.control.naming import Link
from launcher.errors import saying
from node.raft.messages import NodeId

CHAOS_FILE = "chaos.jsonl"
SCHEDULE_FILE = "schedule.jsonl"
SAMPLES_FILE = "samples.jsonl"

What: TypeAlias = Literal["run", "began", "ended", "left-out", "failed", "healing", "over"]
NowNs: TypeAlias = Callable[[], int]


class Happening(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that happened.

    at_s: since the run began
    number, kind, target, words: of the fault; 0 and empty where it is about no fault
    nodes, links: those that the fault has struck
    where: the same, for people
    why: why it was left out, what failed, or what else there is to say
    """

    t: int
    at_s: float
    what: What
    number: int = 0
    kind: str = ""
    target: str = ""
    words: str = ""
    nodes: list[NodeId] = []
    links: list[Link] = []
    where: str = ""
    why: str = ""

    def __str__(self) -> str:
        fault = f"#{self.number} {self.kind}" if self.number else ""
        if self.what == "began":
            at = f" {self.where}" if self.where else ""
            words = f": {self.words}" if self.words not in ("", self.kind) else ""
            said = f"{fault}{at}{words}"
        elif self.what == "ended":
            at = f" {self.where}" if self.where else ""
            said = f"{fault}{at} is over"
        elif self.what == "left-out":
            said = f"{fault} ({self.target}) is left out: {self.why}"
        elif self.what == "failed":
            said = f"{fault} failed: {self.why}" if fault else f"failed: {self.why}"
        else:
            said = self.why
        return f"{self.at_s:8.3f} s  {said}"


class Lines:
    """A file to which JSON objects are appended, each with one write. Without a path it is none."""

    def __init__(self, path: Path | None) -> None:
        """Raises LauncherError."""
        self._file = None
        if path is not None:
            with saying(f"cannot write {path}"):
                self._file = path.open("wb", buffering=0)

    def add(self, item: object) -> None:
        """Raises OSError, such as for a full disk."""
        if self._file is not None:
            self._file.write(msgspec.json.encode(item) + b"\n")

    def close(self) -> None:
        """Nothing is written any more."""
        if self._file is not None:
            self._file.close()


def steady_clock() -> NowNs:
    """A clock of nanoseconds since the epoch that never goes back."""
    offset = time.time_ns() - time.monotonic_ns()
    return lambda: time.monotonic_ns() + offset
