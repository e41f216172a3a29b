"""Event logs as they lie on disk: whole lines out of files that others write, rotate and replace.

A log is a file, `node-1.jsonl`, and the files it was before it was rotated, `node-1.jsonl.000001`
and so on, which nobody writes any more. Three ways to read one:

    LogFile     one file, forwards, or by bisection
    Tail        a log that is being written: what is new, again and again, across its files
                (`launcher/timeline/tail.py`)
    SortedLog   a log sorted by `(t, node)`, which the timeline is: whether it holds an event
                (`launcher/timeline/sorted_log.py`)

Nothing here keeps a part of a line: what has no newline yet is read again. So a line that is half
written is waited for, and one that its writer takes back (the timeline does, when it resumes after
a crash) was never seen.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self, TypeAlias

from launcher.timeline.events import Event, parse_line, rescue
from node.events import rotated_files

CHUNK_BYTES = 1 << 18
MAX_LINE_BYTES = 16 << 20
"""No event is longer: so much without a newline is damage, and is not kept in memory."""

_PROBE_BYTES = 1 << 12

Inode: TypeAlias = tuple[int, int]


class Closing:
    """Something that the end of a `with` closes."""

    def close(self) -> None:
        """Lets go of its files."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class LogFile(Closing):
    """One file of a log, open for reading. Raises OSError.

    offset: the first byte not yet read; always the beginning of a line
    broken: how many lines were no events
    """

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.path = path
        self.offset = offset
        self.broken = 0
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        status = os.fstat(self._fd)
        self.inode: Inode = (status.st_dev, status.st_ino)
        self.seen = -1
        """its size when it was last found to hold no further whole line"""
        self._end: int | None = None

    def close(self) -> None:
        os.close(self._fd)

    def size(self) -> int:
        return os.fstat(self._fd).st_size if self._end is None else self._end

    def freeze(self) -> None:
        """What is written from now on is not read."""
        self._end = self.size()

    def thaw(self) -> None:
        """It is read again."""
        self._end = None

    # -- forwards ------------------------------------------------------------------------------

    def read(self) -> list[Event] | None:
        """The events of the next whole lines, perhaps none; None when no whole line is left."""
        size = CHUNK_BYTES
        while True:
            data = self._pread(size, self.offset)
            cut = data.rfind(b"\n") + 1
            if cut:
                break
            if len(data) < size:
                self.seen = self.offset + len(data)
                return None
            if size >= MAX_LINE_BYTES:
                cut = size
                break
            size *= 4
        self.offset += cut
        events = []
        for line in data[:cut].split(b"\n"):
            if line:
                event = parse_line(line)
                if event is None:
                    self.broken += 1
                    event = rescue(line)
                if event is not None:
                    events.append(event)
        return events

    def leftover(self) -> Event | None:
        """What stands behind the last newline of a file that nobody writes any more: an event
        that lacks nothing but its newline, or a broken line."""
        data = self._pread(MAX_LINE_BYTES, self.offset)
        if not data:
            return None
        event = parse_line(data)
        if event is None:
            self.broken += 1
        else:
            self.offset += len(data)
        return event

    def events(self) -> Iterator[Event]:
        """All from `offset` to the end, the leftover included."""
        while (events := self.read()) is not None:
            yield from events
        last = self.leftover()
        if last is not None:
            yield last

    # -- by bisection --------------------------------------------------------------------------

    def event_at(self, offset: int) -> tuple[int, int, Event] | None:
        """The first event whose line begins at `offset` or later: where its line begins and where
        the next one does, and the event."""
        # From one byte earlier, so that a line that begins just at the offset is told from a part.
        for start, line in self._lines(max(offset - 1, 0)):
            if start >= offset:
                event = parse_line(line) or rescue(line)
                if event is not None:
                    return start, start + len(line) + 1, event
        return None

    def locate(self, wanted: Callable[[Event], bool]) -> int:
        """Where the first wanted event begins, or the end; behind the last unwanted one in any
        case. `wanted` must be False up to some event and True from there on."""
        low, high = 0, self.size()
        while low < high:
            middle = (low + high) // 2
            found = self.event_at(middle)
            if found is None or found[0] >= high or wanted(found[2]):
                high = middle
            else:
                low = found[1]
        return low

    def last_event(self) -> Event | None:
        """The event of its last whole line that is one."""
        size = CHUNK_BYTES
        while True:
            start = max(0, self.size() - size)
            # The first may be the end of a line that begins earlier.
            lines = [line for _, line in self._lines(start)][1 if start else 0 :]
            for line in reversed(lines):
                event = parse_line(line) or rescue(line)
                if event is not None:
                    return event
            if start == 0:
                return None
            size *= 4

    def _lines(self, offset: int) -> Iterator[tuple[int, bytes]]:
        size = _PROBE_BYTES
        while True:
            data = self._pread(size, offset)
            cut = data.rfind(b"\n") + 1
            if cut:
                for line in data[: cut - 1].split(b"\n"):
                    yield offset, line
                    offset += len(line) + 1
            elif len(data) < size:
                return
            elif size >= MAX_LINE_BYTES:
                offset += size
            else:
                size *= 4

    def _pread(self, size: int, offset: int) -> bytes:
        if self._end is not None:
            size = max(0, min(size, self._end - offset))
        return os.pread(self._fd, size, offset)


def open_log(path: Path, wanted: Callable[[Event], bool] | None = None) -> list[LogFile]:
    """The files of a log from its first wanted event on, oldest first, the first one placed there.

    wanted: False up to some event and True from there on; None: everything is wanted

    Whatever is rotated meanwhile, what was in the log when this was called is found. A file that is
    deleted meanwhile is taken for unwanted, and so is all that is older. Raises OSError.
    """
    files: deque[LogFile] = deque()
    # The current one first: if it is rotated before they are listed, it is found there again.
    current = open_if_there(path)
    older = rotated_files(path)
    if current is not None:
        files.append(current)
        inodes = [inode_of(file) for file in older]
        if current.inode in inodes:
            older = older[: inodes.index(current.inode)]
    while not files or not _begins_unwanted(files[0], wanted):
        if not older:
            return list(files)
        file = open_if_there(older.pop())
        if file is None:
            return list(files)
        files.appendleft(file)
    if wanted is not None:
        files[0].offset = files[0].locate(wanted)
    return list(files)


def _begins_unwanted(file: LogFile, wanted: Callable[[Event], bool] | None) -> bool:
    if wanted is None:
        return False
    found = file.event_at(0)
    return found is not None and not wanted(found[2])


def open_if_there(path: Path) -> LogFile | None:
    """The file, open; None where there is none. Raises OSError otherwise."""
    try:
        return LogFile(path)
    except FileNotFoundError:
        return None


def inode_of(path: Path) -> Inode | None:
    """What the file is known by, under whatever name; None where there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return (status.st_dev, status.st_ino)
