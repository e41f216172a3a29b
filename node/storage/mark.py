"""The mark: a second, separately placed note of how far the log has been synced.

A checksum alone cannot tell a torn write from damage in the very last record: both are a record
that fails its checksum with nothing behind it. Dropping it is right for the one, and loses an
acknowledged entry for the other (Alagappan et al., *Protocol-Aware Recovery for Consensus-Based
Storage*, FAST 2018). So after each sync the log writes, into this small file, the position and the
sequence that it now knows to be durable. Because the mark is written *after* the sync, a mark that
names a record proves that the record was on the disk: if it is bad now, it is damaged.

What it costs: one pwrite of 28 bytes for each append; the mark itself is never synced by an append.

What it settles: after the crash of a process (kill -9, the usual case here) the page cache survives
and the mark is exact: every bad record is told correctly, the last one included. It also tells that
the last segment is missing or cut off, which nothing inside the log itself could.

What it does not settle: after a power loss the mark may be as old as the kernel's last write-back
of it (tens of seconds). Records behind it are judged by what the log shows: a bad record with a
valid one behind it is damage; a bad record at the very end, behind an old mark, is dropped as a
torn write, and if it was rotten instead, one append's entries are lost on this node. Syncing the
mark too would close that window at the price of a second sync for each append. It also does not
repair: the paper fetches a damaged entry from another replica, this log refuses to start.

Two slots, a page apart, are written in turn, so a write torn by a crash leaves the other one. A
slot that fails its checksum, and a mark file that is missing or short, count as no mark.
"""

from __future__ import annotations

import struct
import zlib

import msgspec

from node.ports import Disk, DiskFile
from node.storage.disk import failing_as

MARK_FILE = "synced.mark"
_SLOT_BYTES = 4096
_SLOTS = 2
_MAGIC = b"LkMk"
_FIELDS = struct.Struct("<4sQIQ")  # magic, sequence, segment, offset
_CHECKSUM = struct.Struct("<I")


class Mark(msgspec.Struct, frozen=True, order=True):
    """A position known to be durable: the end of the record (or header) with this sequence."""

    sequence: int
    segment: int
    offset: int


def read_mark(disk: Disk, names: list[str], salt: int) -> Mark | None:
    """The furthest intact mark; None when there is none. Changes nothing. Raises DiskFailed."""
    if MARK_FILE not in names:
        return None
    with failing_as("read", MARK_FILE):
        file = disk.open(MARK_FILE)
        try:
            slots = _read_slots(file, salt)
        finally:
            file.close()
    return max((mark for mark in slots if mark is not None), default=None)


class MarkFile:
    """The mark file, open for writing. Raises DiskFailed."""

    def __init__(self, disk: Disk, names: list[str], salt: int) -> None:
        self._salt = salt
        with failing_as("preparation", MARK_FILE):
            self._file = disk.open(MARK_FILE, create=MARK_FILE not in names)
            if self._file.size() < _SLOTS * _SLOT_BYTES:
                self._file.write_at(0, bytes(_SLOTS * _SLOT_BYTES))
                self._file.sync()
            first, second = _read_slots(self._file, salt)
        # The newer mark is overwritten last.
        self._turn = 1 if first is not None and (second is None or first > second) else 0

    def write(self, sequence: int, segment: int, offset: int) -> None:
        """Notes a position that has been synced. Raises OSError."""
        fields = _FIELDS.pack(_MAGIC, sequence, segment, offset)
        slot = fields + _CHECKSUM.pack(zlib.crc32(fields, self._salt))
        self._file.write_at(self._turn * _SLOT_BYTES, slot)
        self._turn ^= 1

    def close(self) -> None:
        """Syncs, so that after an orderly stop the mark is exact even if the power goes then."""
        with failing_as("sync", MARK_FILE):
            try:
                self._file.sync()
            finally:
                self._file.close()


def _read_slots(file: DiskFile, salt: int) -> list[Mark | None]:
    return [_read_slot(file, number * _SLOT_BYTES, salt) for number in range(_SLOTS)]


def _read_slot(file: DiskFile, offset: int, salt: int) -> Mark | None:
    data = file.read_at(offset, _FIELDS.size + _CHECKSUM.size)
    if len(data) < _FIELDS.size + _CHECKSUM.size:
        return None
    fields = data[: _FIELDS.size]
    magic, sequence, segment, position = _FIELDS.unpack(fields)
    (checksum,) = _CHECKSUM.unpack_from(data, _FIELDS.size)
    if magic != _MAGIC or zlib.crc32(fields, salt) != checksum:
        return None
    return Mark(sequence, segment, position)
