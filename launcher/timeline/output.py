"""A file of whole lines that is appended to, whatever the disk does in between."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from node.events import rotated_files


class Output:
    """A file of whole lines, appended to. It begins to exist with the first one.

    rotate_bytes: when it passes this, it is rotated as an event log is
    written: of the lines last handed in, how many are in the file
    """

    def __init__(self, path: Path, rotate_bytes: int | None = None) -> None:
        self.path = path
        self.written = 0
        self._rotate_bytes = rotate_bytes
        self._fd: int | None = None
        self._size = 0
        with suppress(FileNotFoundError):
            self._open(0)
            self._cut_torn_line()

    def write(self, lines: list[bytes]) -> int:
        """Appends all of them, and says how many. Raises OSError; then `written` says how many
        are in the file, whole, and no part of another is."""
        self.written = 0
        if not lines:
            return 0
        fd = self._open(os.O_CREAT) if self._fd is None else self._fd
        if os.fstat(fd).st_size != self._size:  # it could not be cut, below
            os.ftruncate(fd, self._size)
        data = b"\n".join(lines) + b"\n"
        done = 0
        try:
            while done < len(data):
                done += os.write(fd, data[done:] if done else data)
        except OSError:
            whole = data.rfind(b"\n", 0, done) + 1
            self.written = data.count(b"\n", 0, whole)
            self._size += whole
            os.ftruncate(fd, self._size)
            raise
        self.written = len(lines)
        self._size += done
        if self._rotate_bytes is not None and self._size >= self._rotate_bytes:
            self.rotate()
        return len(lines)

    def rotate(self) -> Path:
        """Raises OSError. Where it is now."""
        taken = [int(path.suffix[1:]) for path in rotated_files(self.path)]
        rotated = self.path.with_name(f"{self.path.name}.{max(taken, default=0) + 1:06d}")
        self.path.rename(rotated)
        self.close()
        return rotated

    def close(self) -> None:
        """Lets go of the file; the next write opens it again."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _open(self, flags: int) -> int:
        flags |= os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(self.path, flags, 0o600)
        self._size = os.fstat(self._fd).st_size
        return self._fd

    def _cut_torn_line(self) -> None:
        """A crash within a write has left a part of a line; all of it is still in its log."""
        assert self._fd is not None
        end = self._size
        while end > 0:
            start = max(0, end - 4096)
            newline = os.pread(self._fd, end - start, start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < self._size:
            os.ftruncate(self._fd, end)
            self._size = end
