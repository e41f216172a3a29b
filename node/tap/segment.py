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
import struct
from pathlib import Path

from node.tap.format import BODY_AT, HEAD, LENGTH, RECORD, Head, head

_TIME, _TIME_AT = struct.Struct("<Q"), LENGTH.size + 12
"""Where `t` is in a record."""

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
        self._end = of.capacity - LENGTH.size  # there is always a length of zero behind the last

    def write(self, body: bytes, *fields: int) -> bool:
        """Writes a record whole; whether there was room for it.

        fields: those of `format.RECORD` but for the length of the body
        """
        start = self._position
        size = BODY_AT + len(body)
        stop = start + size + (-size & 7)
        if stop > self._end:
            return False
        into = self._map
        RECORD.pack_into(into, start + LENGTH.size, *fields, len(body))
        into[start + BODY_AT : start + size] = body
        LENGTH.pack_into(into, start, stop - start)
        self._position = stop
        return True

    def close(self) -> None:
        """Lets go of the file, and gives back what it has not used."""
        self._map.close()
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, self._position + LENGTH.size)
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
        (length,) = LENGTH.unpack_from(data, position)
        if length < BODY_AT:
            break
        (t,) = _TIME.unpack_from(data, position + _TIME_AT)
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
