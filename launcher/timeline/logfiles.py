"""Event logs as they lie on disk: whole lines out of files that others write, rotate and replace.

A log is a file, `node-1.jsonl`, and the files it was before it was rotated, `node-1.jsonl.000001`
and so on, which nobody writes any more. Three ways to read one:

    LogFile     one file, forwards, or by bisection
    Tail        a log that is being written: what is new, again and again, across its files
    SortedLog   a log sorted by `(t, node)`, which the timeline is: whether it holds an event

Nothing here keeps a part of a line: what has no newline yet is read again. So a line that is half
written is waited for, and one that its writer takes back (the timeline does, when it resumes after
a crash) was never seen.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

from launcher.timeline.render import Event, Key, parse_line, rescue
from node.events import rotated_files

CHUNK_BYTES = 1 << 18
MAX_LINE_BYTES = 16 << 20
"""No event is longer: so much without a newline is damage, and is not kept in memory."""

_PROBE_BYTES = 1 << 12

Inode: TypeAlias = tuple[int, int]


class LogFile:
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

    def __enter__(self) -> LogFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

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
    current = _open_if_there(path)
    older = rotated_files(path)
    if current is not None:
        files.append(current)
        inodes = [_inode(file) for file in older]
        if current.inode in inodes:
            older = older[: inodes.index(current.inode)]
    while not files or not _begins_unwanted(files[0], wanted):
        if not older:
            return list(files)
        file = _open_if_there(older.pop())
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


def _open_if_there(path: Path) -> LogFile | None:
    try:
        return LogFile(path)
    except FileNotFoundError:
        return None


def _inode(path: Path) -> Inode | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return (status.st_dev, status.st_ino)


class Tail:
    """A log that is being written: what is new since the last time.

    It survives any number of rotations between two reads, a log that does not exist yet, and one
    that is deleted and begun anew or replaced by a rename: then it goes on where `relocate` says,
    by default with the oldest file there is. An idle log costs one `stat`.

    count: how many events it has given
    left: the rotated files that it has read to their end, and `count` at that point
    """

    def __init__(self, path: Path, relocate: Callable[[], LogFile | None] | None = None) -> None:
        self.path = path
        self.count = 0
        self.left: deque[tuple[Path, int]] = deque()
        self._relocate = relocate
        self._file: LogFile | None = None
        self._broken = 0

    def start(self, file: LogFile) -> None:
        """Begins there, instead of with the oldest file. The file is closed by the tail."""
        assert self._file is None
        self._file = file

    def close(self) -> None:
        if self._file is not None:
            self._leave(self._file)

    def read(self) -> list[Event]:
        """The next events, in the order in which they were written; [] when there are none now.

        At most one chunk of one file. Raises OSError.
        """
        if self._is_idle():
            return []
        while True:
            if self._file is None:
                self._file = self._open_first()
                if self._file is None:
                    return []
            events = self._file.read()
            if events is None:
                events = self._go_on(self._file)
                if events is None:
                    return []
            if events:
                self.count += len(events)
                return events

    def read_leftover(self) -> list[Event]:
        """When `read` gives no more and nobody writes: a last event that only lacks its newline."""
        last = self._file.leftover() if self._file is not None else None
        if last is None:
            return []
        self.count += 1
        return [last]

    def take_broken(self) -> int:
        """How many broken lines were skipped since this was last asked."""
        if self._file is not None:
            self._broken += self._file.broken
            self._file.broken = 0
        broken, self._broken = self._broken, 0
        return broken

    def _is_idle(self) -> bool:
        if self._file is None:
            return False
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            return False
        return (
            status.st_size == self._file.seen and (status.st_dev, status.st_ino) == self._file.inode
        )

    def _open_first(self) -> LogFile | None:
        placed = self._relocate() if self._relocate is not None else None
        if placed is not None:
            return placed
        files = open_log(self.path)
        for file in files[1:]:
            file.close()
        return files[0] if files else None

    def _go_on(self, file: LogFile) -> list[Event] | None:
        """Goes to the file that follows this one, and gives what was left over in it.

        None when nothing follows yet. `file` has just been found to hold no further whole line.
        """
        current = _open_if_there(self.path)
        if current is not None and current.inode == file.inode:
            current.close()
            if file.size() >= file.offset:
                return None
            file.offset = 0  # somebody has emptied it
            return []
        rotated = rotated_files(self.path)
        inodes = [_inode(path) for path in rotated]
        known = file.inode in inodes
        here = inodes.index(file.inode) if known else -1
        if known and here + 1 == len(rotated):
            following = current
        else:
            if current is not None:
                current.close()
            following = _open_if_there(rotated[here + 1]) if known else self._open_first()
        if following is None:
            return None
        if file.size() > file.seen:  # written after we had looked, and before it was rotated
            following.close()
            return []
        last = file.leftover() if known else None
        if known:
            self.left.append((rotated[here], self.count + (last is not None)))
        self._leave(file)
        self._file = following
        return [] if last is None else [last]

    def _leave(self, file: LogFile) -> None:
        self._broken += file.broken
        file.close()
        self._file = None


class SortedLog:
    """A log that is sorted by `(t, node)`, over all of its files, as it is now. Raises OSError.

    It holds only the current file open: that one may be renamed while this is in use. The others
    keep their names; at most they are replaced by a version that holds more.
    """

    def __init__(self, path: Path) -> None:
        self._current = _open_if_there(path)
        self._paths: list[Path] = []
        self._firsts: list[Key] = []
        self._opened: LogFile | None = None
        for file in rotated_files(path):
            opened = _open_if_there(file)
            if opened is None:
                continue
            with opened:
                if self._current is not None and opened.inode == self._current.inode:
                    break
                self._add(opened)
        if self._current is not None:
            self._current.freeze()
            self._add(self._current)

    def _add(self, file: LogFile) -> None:
        found = file.event_at(0)
        if found is not None:
            self._paths.append(file.path)
            self._firsts.append(found[2].key)

    def close(self) -> None:
        for file in (self._opened, self._current):
            if file is not None:
                file.close()

    def __enter__(self) -> SortedLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def last_key(self) -> Key | None:
        """The place of the last event; None when there is none."""
        if not self._paths:
            return None
        last = self._file(len(self._paths) - 1).last_event()
        assert last is not None, "files without an event were left out"
        return last.key

    def contains(self, key: Key) -> bool:
        """Whether it holds the event of that place."""
        place = self.place(key)
        if place is None:
            return False
        file = self._file(place)
        found = file.event_at(file.locate(lambda event: event.key >= key))
        return found is not None and found[2].key == key

    def place(self, key: Key) -> int | None:
        """The number of the file that holds that place; None when it comes before all."""
        before = bisect_right(self._firsts, key)
        return before - 1 if before else None

    def path_of(self, place: int) -> Path:
        """Of a file, by its number."""
        return self._paths[place]

    def open_after(self, key: Key) -> LogFile | None:
        """A file placed behind that place, for a `Tail`; None when that is the very beginning."""
        place = self.place(key)
        if place is None:
            return None
        offset = self._file(place).locate(lambda event: event.key > key)
        file = self._file(place)
        file.offset = offset
        if file is self._current:
            self._current = None
            file.thaw()
        else:
            self._opened = None
        return file

    def events(self, since_t: int = 0) -> Iterator[Event]:
        """All, in order, from `since_t` on."""
        key = (since_t, 0)
        for place in range(self.place(key) or 0, len(self._paths)):
            with ExitStack() as opened:
                file = self._current
                if file is None or file.path != self._paths[place]:
                    file = opened.enter_context(LogFile(self._paths[place]))
                file.offset = file.locate(lambda event: event.key >= key) if since_t else 0
                yield from file.events()

    def _file(self, place: int) -> LogFile:
        path = self._paths[place]
        if self._current is not None and path == self._current.path:
            return self._current
        if self._opened is None or self._opened.path != path:
            if self._opened is not None:
                self._opened.close()
                self._opened = None
            self._opened = LogFile(path)
        return self._opened
