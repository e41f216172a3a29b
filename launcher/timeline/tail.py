"""A log that is being written: what is new in it, again and again, across its files."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from pathlib import Path

from launcher.timeline.events import Event
from launcher.timeline.logfiles import LogFile, inode_of, open_if_there, open_log
from node.events import rotated_files


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
        current = open_if_there(self.path)
        if current is not None and current.inode == file.inode:
            current.close()
            if file.size() >= file.offset:
                return None
            file.offset = 0  # somebody has emptied it
            return []
        rotated = rotated_files(self.path)
        inodes = [inode_of(path) for path in rotated]
        known = file.inode in inodes
        here = inodes.index(file.inode) if known else -1
        if known and here + 1 == len(rotated):
            following = current
        else:
            if current is not None:
                current.close()
            following = open_if_there(rotated[here + 1]) if known else self._open_first()
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
