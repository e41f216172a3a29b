"""The record of one node: its segments one after the other, also while they are written.

A segment that was removed before it was read is missing, and counted. So is what cannot be
understood: the rest of that segment is skipped, because nothing says where the next record begins.
"""

from __future__ import annotations

import os
from pathlib import Path

from launcher.evidence.messages.records import Damaged, Record, is_cut, record_at
from node.raft.messages import NodeId
from node.tap.format import HEAD, Head, parse_head
from node.tap.segment import segments

CHUNK_BYTES = 256 << 10


class NodeRecord:
    """Reads the record of one node from its oldest segment on.

    missing: how many segments were gone before they could be read, after the first that was there
    begins_late: the first that was there is not the first that was written
    problems: what could not be understood, a line each, at most MOST_PROBLEMS
    """

    MOST_PROBLEMS = 10

    def __init__(self, folder: Path, node: NodeId, *, at_end: bool = False) -> None:
        """at_end: only what is written from now on"""
        self.node = node
        self.missing = 0
        self.begins_late = False
        self.problems: list[str] = []
        self._folder = folder
        self._fd: int | None = None
        self._number = 0
        self._head: Head | None = None
        self._position = 0
        self._name = ""
        if at_end:
            self._go_to_end()

    def close(self) -> None:
        """Lets go of its file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def read(self) -> list[Record]:
        """The next records, as many as fit into some hundred kilobytes; none: there are no more
        now. Raises OSError."""
        while True:
            if self._fd is None and not self._open_next():
                return []
            records = self._read_here()
            if records:
                return records
            if not self._has_later():
                return []
            records = self._read_here()  # what came just before its writer went on to the next
            self.close()
            if records:
                return records

    # -- one segment -----------------------------------------------------------------------------

    def _read_here(self) -> list[Record]:
        assert self._fd is not None
        if self._head is None and not self._read_head():
            return []
        assert self._head is not None
        size = CHUNK_BYTES
        while True:
            data = os.pread(self._fd, size, self._position)
            records, used = self._parse(data, self._head)
            if records or len(data) < size or size > self._head.capacity:
                self._position += used
                if len(data) < size and is_cut(data, used):
                    self._problem("it is cut in the middle of a record; what came after is missing")
                return records
            size *= 4  # a record that is longer than what was read

    def _parse(self, data: bytes, head: Head) -> tuple[list[Record], int]:
        records: list[Record] = []
        position = 0
        try:
            while (found := record_at(data, position, head)) is not None:
                record, position = found
                records.append(record)
        except Damaged as error:
            self._problem(f"{error}; the rest of it is skipped")
            return records, head.capacity
        return records, position

    def _read_head(self) -> bool:
        assert self._fd is not None
        data = os.pread(self._fd, HEAD.size, 0)
        try:
            self._head = parse_head(data)
        except ValueError as error:
            self._problem(str(error))
        else:
            if self._head is None and any(data):
                is_short = len(data) < HEAD.size
                self._problem(
                    "it is cut within its first bytes; all that it had is missing"
                    if is_short else "it is no record of messages"
                )  # fmt: skip
        self._position = HEAD.size
        return self._head is not None

    def _problem(self, text: str) -> None:
        line = f"{self._name}: {text}"
        if line not in self.problems and len(self.problems) < self.MOST_PROBLEMS:
            self.problems.append(line)

    # -- from one segment to the next ------------------------------------------------------------

    def _open_next(self) -> bool:
        """Opens the oldest segment that was not read yet; whether there is one."""
        for _, number, path in segments(self._folder, self.node):
            if number <= self._number:
                continue
            try:
                self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError:
                continue  # removed just now: it counts as missing when the next one is opened
            if self._number:
                self.missing += number - self._number - 1
            else:
                self.begins_late = number > 1
            self._number, self._head, self._name = number, None, path.name
            return True
        return False

    def _has_later(self) -> bool:
        return any(number > self._number for _, number, _ in segments(self._folder, self.node))

    def _go_to_end(self) -> None:
        there = segments(self._folder, self.node)
        self._number = max(0, there[-1][1] - 1) if there else 0
        while self.read():
            pass
