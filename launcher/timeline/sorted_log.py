"""A log that is sorted by `(t, node)`, as the timeline is: whether and where it holds an event."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from launcher.timeline.events import Event, Key
from launcher.timeline.logfiles import Closing, LogFile, open_if_there
from node.events import rotated_files


class SortedLog(Closing):
    """A log that is sorted by `(t, node)`, over all of its files, as it is now. Raises OSError.

    It holds only the current file open: that one may be renamed while this is in use. The others
    keep their names; at most they are replaced by a version that holds more.
    """

    def __init__(self, path: Path) -> None:
        self._current = open_if_there(path)
        self._paths: list[Path] = []
        self._firsts: list[Key] = []
        self._opened: LogFile | None = None
        for file in rotated_files(path):
            opened = open_if_there(file)
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
