"""Records what a node's disk has not synced (`node/faults/unsynced.py` is where).

`RecordingDisk` stands between a node and its folder, below the faults of its disk. It writes down
what `node/faults/pages.py` has to know: what each sector held before an unsynced write, how long
each file was, and what happened to names. When the power of the node is to fail, its supervisor
ends the process, reads the record, and undoes what is lost (`node/faults/losing.py`). A process
that is just killed loses nothing: its next life goes on with the record.

The log's usual append, a synced write, fills the slot and empties it; nothing else is written down.
A file whose name is removed or replaced stays, under another name (`aside`), until the folder is
synced. A record that is full is put together; if that does not help, the file is synced early, as
a kernel may do at any time.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
from pathlib import Path

from node.faults.pages import SECTOR_BYTES, Change, Named, NamesSynced, Synced, SyncFailed, Wrote
from node.faults.unsynced import (
    ASIDE,
    SLOT_AT,
    SLOT_BYTES,
    SLOT_DATA_AT,
    Memory,
    aside,
    clear_aside,
    fill_slot,
    kept_aside,
)
from node.ports import Disk, DiskFile

_PIECE_BYTES = 1 << 18
_AHEAD_BYTES = 1 << 16
_TAIL_BYTES = 64
_ZEROS = bytes(1 << 20)


class _Known:
    """What the process knows of a file: the sectors of which the record says what they held.

    size: the durable one, as far as the record goes
    grown: the record knows that it is longer
    lost: a failed sync has thrown sectors away, and a write may bring them back
    blank: from here on there are only zeros; no offset is known for a file that was there before
    writer: the open file through which it was written to last
    """

    __slots__ = ("blank", "grown", "lost", "sectors", "size", "writer")

    def __init__(self, size: int, *, blank: float = math.inf) -> None:
        self.size = size
        self.blank = blank
        self.writer: RecordingFile | None = None
        self.sectors: set[int] = set()
        self.grown = False
        self.lost = False


class RecordingFile:
    """One open file of a `RecordingDisk`: the port's `DiskFile`."""

    __slots__ = (
        "_ahead", "_ahead_at", "_ahead_from", "_ahead_to", "_disk", "_end", "_file", "_known",
        "_pages", "_tail", "_zeros", "close", "number", "read_at", "size",
    )  # fmt: skip

    def __init__(self, file: DiskFile, number: int, known: _Known, disk: RecordingDisk) -> None:
        self._file = file
        self._known = known
        self._disk = disk
        self._pages = disk.memory.pages
        self.number = number
        self.size = file.size
        self.read_at = file.read_at
        self.close = file.close
        self._ahead = b""
        """what the file held from `_ahead_at` on; a synced write from `_ahead_from` up to
        `_ahead_to` needs no other look"""
        self._ahead_at = self._ahead_from = self._ahead_to = 0
        self._zeros = False
        self._end = 0
        """behind the last synced write, whose last bytes are `_tail`"""
        self._tail = b""

    def write_at(self, offset: int, data: bytes) -> None:
        """The port's `write_at`."""
        known = self._known
        known.writer = self
        first = offset // SECTOR_BYTES
        if first in known.sectors and (offset + len(data) - 1) // SECTOR_BYTES == first:
            self._file.write_at(offset, data)
            return
        self._ahead_to = 0
        if offset >= known.size or len(data) <= _PIECE_BYTES:
            self._before(offset, data)
            self._file.write_at(offset, data)
            return
        for at in range(0, len(data), _PIECE_BYTES):  # the record has room for a piece
            piece = data[at : at + _PIECE_BYTES]
            self._before(offset + at, piece)
            self._file.write_at(offset + at, piece)

    def write_synced(self, offset: int, data: bytes) -> None:
        """The port's `write_synced`."""
        end, pages, known = offset + len(data), self._pages, self._known
        if known.sectors or known.grown or known.lost or pages[SLOT_AT]:
            self._write_and_sync(offset, data)
            return
        if offset >= known.blank and end <= known.size:
            self._zeros, self._ahead_to = True, 0
        elif not (
            self._ahead_from <= offset and end <= self._ahead_to and known.writer is self
        ) and not self._look_ahead(offset, end):
            self._write_and_sync(offset, data)
            return
        known.writer = self
        if not self._zeros:
            at = offset - self._ahead_at
            before = self._ahead[at : at + len(data)]
            if (overlap := self._end - offset) > 0:  # there it holds what was written last
                before = (self._tail[-overlap:] + before[overlap:])[: len(data)]
            pages[SLOT_DATA_AT : SLOT_DATA_AT + len(data)] = before
        fill_slot(pages, SLOT_AT, 1, self._zeros, self.number, offset, len(data))
        try:
            self._file.write_synced(offset, data)
        except OSError:
            known.lost, self._ahead_to = True, 0
            self._disk.slot_failed(self)
            raise
        pages[SLOT_AT] = 0
        self._end, self._tail = end, data[-_TAIL_BYTES:]
        if self._zeros:
            self._ahead_from = end - len(self._tail) + len(self._tail.rstrip(b"\0"))
        else:
            self._ahead_from = end - len(self._tail)
        if known.blank < end:
            known.blank = self._ahead_from if self._zeros else end

    def _write_and_sync(self, offset: int, data: bytes) -> None:
        self.write_at(offset, data)
        self.sync()

    def sync(self) -> None:
        """The port's `sync`."""
        known = self._known
        if not (known.sectors or known.grown or known.lost):
            self._file.sync()
            return
        try:
            self._file.sync()
        except OSError:
            self.fail_to_sync()
            raise
        known.sectors.clear()
        if known.grown or known.lost:
            known.size, known.grown = self._file.size(), False
        self._disk.record(Synced(self.number, known.size))

    def fail_to_sync(self) -> None:
        """A sync has failed: what it should have written is thrown away."""
        known = self._known
        known.sectors.clear()
        known.grown, known.lost = False, True
        self._ahead_to = 0
        self._disk.record(SyncFailed(self.number, self._file.size()))

    # -- the parts ---------------------------------------------------------------------------

    def _before(self, offset: int, piece: bytes) -> None:
        """Records what the write of a piece is about to overwrite."""
        known, length = self._known, len(piece)
        if known.blank < offset + length and not _ZEROS.startswith(piece):
            known.blank = offset + length
        if known.grown and offset >= known.size:
            return
        begin = offset // SECTOR_BYTES * SECTOR_BYTES
        end = -(-(offset + length) // SECTOR_BYTES) * SECTOR_BYTES
        held = (
            self._file.read_at(begin, min(end, known.size) - begin) if begin < known.size else b""
        )
        if _ZEROS.startswith(held):
            held = b""
        change = Wrote(self.number, offset, length, known.size, held)
        if not self._disk.record(change):
            self.sync()  # early, as a kernel may do at any time: then there is room
            self._disk.record(change)
        if begin < known.size:  # other writes to these sectors may come, and are not looked at
            known.blank = max(known.blank, end)
        known.grown = known.grown or offset + length > known.size
        known.sectors.update(range(begin // SECTOR_BYTES, -(-min(end, known.size) // SECTOR_BYTES)))

    def _look_ahead(self, offset: int, end: int) -> bool:
        """Reads what the next synced writes will overwrite; whether the slot can hold it."""
        if end > self._known.size or end - offset > SLOT_BYTES:
            return False
        self._ahead = self._file.read_at(offset, max(end - offset, _AHEAD_BYTES))
        self._ahead_at = self._ahead_from = self._end = offset
        self._ahead_to = offset + len(self._ahead)
        self._tail = b""
        self._zeros = _ZEROS.startswith(self._ahead)
        return self._ahead_to >= end


class RecordingDisk:
    """A `Disk` that does what `disk` does, in `folder`, and records it.

    Raises OSError when it is made and the folder cannot be read.
    """

    def __init__(self, disk: Disk, folder: Path, memory: Memory) -> None:
        self.memory = memory
        self._disk = disk
        self._folder = folder
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._known: dict[int, _Known] = {}
        if memory.records(folder):
            self._continue()
        else:
            clear_aside(folder)
            memory.begin(folder)

    def _continue(self) -> None:
        """An earlier process has not synced all: what it left is as undurable as before."""
        unsynced = self.memory.settle(self._folder)
        for number, state in unsynced.files.items():
            known = self._known[number] = _Known(state.size)
            known.sectors.update(state.unsynced)
            known.grown, known.lost = False, bool(state.lost) or state.grown

    # -- the port --------------------------------------------------------------------------------

    def list(self) -> list[str]:
        """The port's `list`."""
        return [name for name in self._disk.list() if name != ASIDE]

    def open(self, name: str, *, create: bool = False) -> DiskFile:
        """The port's `open`."""
        file = self._disk.open(name, create=create)
        number = self._number(name)
        if create:
            self._known[number] = _Known(0, blank=0)
            self.record(Named(None, name, number))
        known = self._known.get(number)
        if known is None:
            known = self._known[number] = _Known(file.size())
        elif not (known.sectors or known.grown or known.lost):
            known.size = file.size()
        return RecordingFile(file, number, known, self)

    def rename(self, old: str, new: str) -> None:
        """The port's `rename`."""
        number, replaced = self._number(old), self._keep(new)
        self._disk.rename(old, new)
        self._known.pop(replaced, None)
        self.record(Named(old, new, number, replaced))

    def remove(self, name: str) -> None:
        """The port's `remove`."""
        number = self._keep(name)
        self._disk.remove(name)
        self._known.pop(number, None)
        self.record(Named(name, None, number))

    def sync_directory(self) -> None:
        """The port's `sync_directory`."""
        # Listed before the sync: meanwhile the node's loop may remove a file, which is not synced.
        kept = kept_aside(self._folder)
        self._disk.sync_directory()
        self.record(NamesSynced())
        clear_aside(self._folder, kept)

    # -- the record ------------------------------------------------------------------------------

    def record(self, change: Change) -> bool:
        """Writes it down; whether there was room."""
        if os.getpid() != self._pid:
            self.memory.append_of_fork(change)
            return True
        with self._lock:
            return self.memory.append(change) or self.memory.put_together(change)

    def slot_failed(self, file: RecordingFile) -> None:
        """The synced write that is in the slot failed: its pages are thrown away."""
        with self._lock:
            self.memory.settle(self._folder)
        self.record(SyncFailed(file.number, file.size()))

    def _number(self, name: str) -> int:
        return os.stat(self._folder / name).st_ino

    def _keep(self, name: str) -> int:
        """Has the file of a name that goes stay aside; its number, or 0 if there is no such name.

        Where a file cannot be kept, its removal is not undone.
        """
        try:
            number = self._number(name)
        except FileNotFoundError:
            return 0
        kept = aside(self._folder)
        with contextlib.suppress(OSError):
            kept.mkdir(0o700, exist_ok=True)
            os.link(self._folder / name, kept / str(number))
        return number
