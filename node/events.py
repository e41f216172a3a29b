"""What happened, when, and after what: the event log of one process.

Every process writes one JSON object a line: `t`, `node`, `life`, `term`, `role`, `commit`, `level`,
`event`, then the event's own fields. `event` is `noun.verb`. Nothing that happens for each entry is
logged at `info` or above.

`t` is a hybrid logical clock (Kulkarni et al., *Logical Physical Clocks*, 2014), here in one
integer: nanoseconds since the epoch, `max(physical, last + 1, received + 1)`. Each message between
processes carries its sender's `t`, so sorting by `(t, node)` never puts an effect before its cause.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

LEVELS = ("debug", "info", "warn", "error")

_OWN_FIELDS = frozenset({"t", "node", "life"})


class Note(Protocol):
    """Writes an event of a node's, with its term, role and commit index."""

    def __call__(self, level: str, event: str, **fields: object) -> None: ...


class Repeated:
    """A warning that others can cause without end: the log is told once in `EVERY_S`, of the last.

    count: how often it has happened
    """

    EVERY_S = 1.0

    def __init__(self, event: str, note: Note) -> None:
        self._event = event
        self._note = note
        self._fields: dict[str, object] = {}
        self._untold = 0
        self._due = float("-inf")
        self.count = 0

    def add(self, reason: str, **more: object) -> None:
        """It has happened; `tell` will say so. more: further fields of the event"""
        self.count += 1
        self._untold += 1
        self._fields = {"reason": reason, **more}

    def tell(self, now: float) -> None:
        """Writes the event if there is anything untold and it is time."""
        if self._untold and now >= self._due:
            self._note("warn", self._event, **self._fields, count=self._untold)
            self._untold, self._due = 0, now + self.EVERY_S


class HybridClock:
    """A clock that never goes back and never lags behind what it was told.

    physical: nanoseconds since the epoch; may stand still or go back, and may be replaced
    after: the last `t` of an earlier life, so that a restart goes on above it
    """

    __slots__ = (
        "last",
        "physical",
    )

    def __init__(self, physical: Callable[[], int] = time.time_ns, after: int = 0) -> None:
        self.physical = physical
        self.last = after

    def tick(self) -> int:
        """The time of something that happens here now: an event, or a message sent."""
        now = self.physical()
        self.last = now if now > self.last else self.last + 1
        return self.last

    def observe(self, received: int) -> int:
        """The time at which a message has arrived that carried the `t` `received`: later than that,
        and than all that was here before. All that follows here is later still."""
        if received > self.last:
            self.last = received
        return self.tick()


class EventLog:
    """Writes one process's events to a file, each with one unbuffered write.

    The file is rotated when it passes `rotate_bytes`: `node-1.jsonl` becomes
    `node-1.jsonl.000001`, then `.000002`, in the order in which they were written. The log
    never removes a file; whoever merges them does, once they are merged.

    A write that fails (a full disk) loses that line and is counted; the next line that can be
    written is preceded by a `log.lost` event with that count. Logging never stops a server.
    """

    def __init__(
        self,
        path: Path,
        node: int,
        life: int,
        clock: HybridClock,
        *,
        level: str = "info",
        rotate_bytes: int = 8 << 20,
    ) -> None:
        self._path = path
        self._node = node
        self._life = life
        self._clock = clock
        self._least = LEVELS.index(level)
        self._rotate_bytes = rotate_bytes
        self._lost = 0
        self._fd, self._size = self._open()
        self._in_broken_line = self._ends_in_broken_line()

    def emit(
        self, level: str, event: str, term: int, role: str, commit: int, **fields: object
    ) -> None:
        """Writes one event. Never raises on account of the disk.

        level: one of LEVELS; below the log's own level nothing is written
        fields: the event's own; none may be called `t`, `node` or `life`
        """
        if not self.writes(level):
            return
        lost: dict[str, object] = {"lines": self._lost}
        if self._lost and self._write("warn", "log.lost", term, role, commit, lost):
            self._lost = 0
        if not self._write(level, event, term, role, commit, fields):
            self._lost += 1

    def writes(self, level: str) -> bool:
        """Whether it writes events of this level."""
        return LEVELS.index(level) >= self._least

    def set_level(self, level: str) -> None:
        """From now on nothing below this level is written."""
        self._least = LEVELS.index(level)

    def close(self) -> None:
        os.close(self._fd)

    def _write(
        self, level: str, event: str, term: int, role: str, commit: int, fields: dict[str, object]
    ) -> bool:
        """Whether the whole line is in the file."""
        assert _OWN_FIELDS.isdisjoint(fields), f"{event} overwrites who says it and when: {fields}"
        record = {
            "t": self._clock.tick(),
            "node": self._node,
            "life": self._life,
            "term": term,
            "role": role,
            "commit": commit,
            "level": level,
            "event": event,
            **fields,
        }
        line = json.dumps(record, ensure_ascii=False, separators=(",", ":"), default=str)
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        if self._in_broken_line:  # the disk was full within a line: end that one first
            data = b"\n" + data
        try:
            written = os.write(self._fd, data)
        except OSError:
            return False
        if written:
            self._size += written
            self._in_broken_line = data[written - 1] != ord("\n")
        if written < len(data):
            return False
        if self._size >= self._rotate_bytes:
            with contextlib.suppress(OSError):  # the file grows on; the next line tries again
                self._rotate()
        return True

    def _open(self) -> tuple[int, int]:
        """The file's descriptor and its size."""
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        fd = os.open(self._path, flags, 0o600)
        return fd, os.fstat(fd).st_size

    def _ends_in_broken_line(self) -> bool:
        """Whether an earlier life was stopped, by SIGKILL or a full disk, within a line."""
        return self._size > 0 and os.pread(self._fd, 1, self._size - 1) != b"\n"

    def _rotate(self) -> None:
        taken = [int(p.suffix[1:]) for p in rotated_files(self._path)]
        number = max(taken, default=0) + 1
        rotated = self._path.with_name(f"{self._path.name}.{number:06d}")
        full = self._fd
        self._path.rename(rotated)
        try:
            self._fd, self._size = self._open()
        except OSError:
            rotated.rename(self._path)
            raise
        # Not before the new one is open: a number that is closed may at once be another file's,
        # and a failed open would leave the next event to be written into that.
        os.close(full)


def rotated_files(path: Path) -> list[Path]:
    """The rotated predecessors of an event log, oldest first; `path` itself is not among them."""
    found = path.parent.glob(f"{path.name}.[0-9]*")
    return sorted((p for p in found if p.suffix[1:].isdigit()), key=lambda p: int(p.suffix[1:]))


def last_time(path: Path) -> int:
    """The `t` of the last event in an event log that an earlier life has left; 0 without one."""
    for file in [path, *reversed(rotated_files(path))]:
        try:
            with file.open("rb") as opened:
                size = opened.seek(0, os.SEEK_END)
                opened.seek(max(0, size - (1 << 16)))
                lines = opened.read().splitlines()
        except OSError:
            continue
        for line in reversed(lines):
            try:
                return int(json.loads(line)["t"])
            except (ValueError, TypeError, KeyError):
                continue
    return 0
