"""The files of a node's tap: one is written, in memory that is mapped; older ones are kept, or go.

`node-1.000007.tap` is the seventh segment of node 1. A life begins with a new one. Writing into
mapped memory is no system call, and what is written there outlives the process, whatever ends it.

The disk space of a file is reserved when it is made: a write into mapped memory for which the disk
has no room would end the process (SIGBUS).
"""

from __future__ import annotations

import contextlib
import mmap
import os
import re
from pathlib import Path

from node.tap.format import BODY_AT, HEAD, MARK, RECORD, Head, head

_NAME = re.compile(r"node-([0-9]+)\.([0-9]+)\.tap")


class Segment:
    """The file that is being written. Raises OSError when it cannot be made."""

    __slots__ = ("_end", "_fd", "_map", "_position", "path")

    def __init__(self, folder: Path, of: Head) -> None:
        self.path = folder / file_name(of.node, of.number)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        self._fd = os.open(self.path, flags, 0o600)
        try:
            _reserve(self._fd, of.capacity)
            self._map = mmap.mmap(self._fd, of.capacity)
            if hasattr(mmap, "MADV_DONTFORK"):
                self._map.madvise(mmap.MADV_DONTFORK)  # what writes a snapshot has no part in it
        except BaseException:
            os.close(self._fd)
            self.path.unlink(missing_ok=True)
            raise
        self._map[: HEAD.size] = head(of)
        self._position = HEAD.size
        self._end = of.capacity - 8  # there is always a mark of zero behind the last

    def write(self, record: bytes, length: int) -> bool:
        """Writes a record, whose mark is zero yet; whether there was room for it.

        length: its own, up to a multiple of eight
        """
        start = self._position
        stop = start + length
        if stop > self._end:
            return False
        into = self._map
        into[start : start + len(record)] = record
        into[start] = MARK
        self._position = stop
        return True

    def close(self) -> None:
        """Lets go of the file, and gives back what it has not used."""
        self._map.close()
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, self._position + 1)  # less than its full length, always
        os.close(self._fd)


def file_name(node: int, number: int) -> str:
    """The name of a segment."""
    return f"node-{node}.{number:06d}.tap"


def segments(folder: Path, node: int | None = None) -> list[tuple[int, int, Path]]:
    """The segments of one node, or of all: node, number, file; in that order. Raises OSError."""
    found = []
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    for name in names:
        match = _NAME.fullmatch(name)
        if match and node in (None, int(match[1])):
            found.append((int(match[1]), int(match[2]), folder / name))
    return sorted(found)


def last_time(folder: Path, node: int) -> int:
    """The latest time that stands in the newest segment of a node; 0 without one.

    A later life has to go on above it: else two messages could carry the same time.
    """
    try:
        there = segments(folder, node)
        data = there[-1][2].read_bytes() if there else b""
    except OSError:
        return 0
    latest, position = 0, HEAD.size
    while position + BODY_AT <= len(data):
        mark, _, _, _, length, _, _, t, *_ = RECORD.unpack_from(data, position)
        if mark != MARK or length < BODY_AT:
            break
        latest, position = max(latest, t), position + length
    return latest


def is_segment(name: str) -> bool:
    """Whether a file of this name belongs to a tap."""
    return _NAME.fullmatch(name) is not None


def _reserve(fd: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
        return
    zeros = bytes(1 << 16)
    for offset in range(0, size, len(zeros)):
        os.pwrite(fd, zeros[: size - offset], offset)
