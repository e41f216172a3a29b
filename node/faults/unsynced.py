"""The memory in which a node records what its disk has not synced, and which outlives the node.

It belongs to the supervisor, which makes it and reads it when the power of the node is to fail; a
node opens it by its path. What is in it:

    head      whose folder it is, which half is in use, how much of each part is filled
    slot      the one synced write that is under way, with what was there before
    halves    what happened, in order: one is in use; when it is full, all that still counts is put
              together and written into the other one
    lane      what forks of the node do: they share no lock with it. Times bring both in order

Whatever is added counts from one store on: a process that is killed leaves the record whole.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import struct
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from node.faults.pages import (
    SECTOR_BYTES,
    Change,
    Unsynced,
    Wrote,
)

_MAGIC = b"LkUnsync"
_HEAD = struct.Struct("<8sQQ")  # magic, device and inode of the folder
_STATE = struct.Struct("<II")
_STATE_AT = 32  # how often halves were changed: the lowest bit says which one is in use; _LANE_FROM
_LANE_FROM_AT = 36  # so much of the lane is put together already
_HALF_AT = (40, 44)  # how much of each half is filled
_LANE_FILLED_AT = 48
_PID_AT = 52  # the last fork that wrote into the lane
_FULL_AT = 56  # the lane was too short: something is not recorded
_COUNT = struct.Struct("<I")

_SLOT = struct.Struct("<BBQQI")  # in use, whether zeros were there, file, offset, length
SLOT_AT = 64
SLOT_BYTES = 4 << 20
SLOT_DATA_AT = 4096
_HALF_BYTES = 1 << 20
_LANE_BYTES = 1 << 20
_HALVES_AT = (SLOT_DATA_AT + SLOT_BYTES, SLOT_DATA_AT + SLOT_BYTES + _HALF_BYTES)
_LANE_AT = _HALVES_AT[1] + _HALF_BYTES
MEMORY_BYTES = _LANE_AT + _LANE_BYTES

fill_slot = _SLOT.pack_into
"""With the pages, SLOT_AT, and the slot's fields."""

_ENTRY = struct.Struct("<IQ")  # length, monotonic time in ns

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Change)


ASIDE = ".unsynced"


def aside(folder: Path) -> Path:
    """Where files are kept whose names are gone, and the folder is not synced yet. It is in the
    folder, so that it is on the same file system."""
    return folder / ASIDE


def kept_aside(folder: Path) -> list[Path]:
    """The files that are kept beside this folder now. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        return list(aside(folder).iterdir())
    return []


def clear_aside(folder: Path, kept: Iterable[Path] | None = None) -> None:
    """Removes what was kept beside this folder. Raises OSError.

    kept: only these. Another thread may have put a file there since they were listed; it stays
    """
    for path in kept_aside(folder) if kept is None else kept:
        path.unlink(missing_ok=True)
    try:
        aside(folder).rmdir()
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise


class Memory:
    """The record itself. Made by the supervisor, and opened by the node's process."""

    def __init__(self, pages: mmap.mmap) -> None:
        self.pages = pages

    @classmethod
    def make(cls, descriptor: int) -> Memory:
        """A new one, in this file, which is empty. Raises OSError."""
        os.ftruncate(descriptor, MEMORY_BYTES)
        return cls(mmap.mmap(descriptor, MEMORY_BYTES))

    @classmethod
    def open(cls, path: Path) -> Memory:
        """The one of that path. Raises OSError, ValueError."""
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            return cls(mmap.mmap(descriptor, MEMORY_BYTES))
        finally:
            os.close(descriptor)

    # -- for whom --------------------------------------------------------------------------------

    def records(self, folder: Path) -> bool:
        """Whether it records what happens to this folder. Raises OSError."""
        return bytes(self.pages[: _HEAD.size]) == _head(folder)

    def begin(self, folder: Path) -> None:
        """From now on it records this folder, of which all is durable. Raises OSError."""
        self.forget()
        self.pages[: _HEAD.size] = _head(folder)

    def forget(self) -> None:
        """Records nothing."""
        self.pages[:SLOT_DATA_AT] = bytes(SLOT_DATA_AT)

    @property
    def is_whole(self) -> bool:
        """Whether all that forks did found room."""
        return not self.pages[_FULL_AT]

    # -- what happened ---------------------------------------------------------------------------

    def read(self, folder: Path, *, slot: bool) -> Unsynced:
        """What is not durable. Raises OSError.

        slot: so is the synced write that is under way, because it will never end
        """
        unsynced = self._read()[0]
        if slot:
            self._add_slot(unsynced, folder)
        return unsynced

    def _read(self) -> tuple[Unsynced, int]:
        """Without the slot; and up to where in the lane."""
        changed, start = _STATE.unpack_from(self.pages, _STATE_AT)
        half = changed & 1
        (filled,) = _COUNT.unpack_from(self.pages, _HALF_AT[half])
        (stop,) = _COUNT.unpack_from(self.pages, _LANE_FILLED_AT)
        if start > stop:
            start = 0  # the lane was being emptied
        entries = [*self._entries(_HALVES_AT[half], 0, filled)]
        entries += self._entries(_LANE_AT, start, stop)
        entries.sort(key=lambda entry: entry[0])
        return Unsynced(change for _, change in entries), stop

    def _entries(self, base: int, start: int, stop: int) -> Iterator[tuple[int, Change]]:
        at, end = base + start, base + stop
        while at < end:
            length, when = _ENTRY.unpack_from(self.pages, at)
            at += _ENTRY.size
            yield when, _decoder.decode(self.pages[at : at + length])
            at += length

    def _add_slot(self, unsynced: Unsynced, folder: Path) -> None:
        """The write that was under way when the process ended."""
        used, zeros, file, offset, length = _SLOT.unpack_from(self.pages, SLOT_AT)
        if not used:
            return
        path = next((path for path in _files(folder) if path.stat().st_ino == file), None)
        if path is None:
            return
        held = bytes(length) if zeros else self.pages[SLOT_DATA_AT : SLOT_DATA_AT + length]
        begin = offset // SECTOR_BYTES * SECTOR_BYTES
        end = -(-(offset + length) // SECTOR_BYTES) * SECTOR_BYTES
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            before = bytearray(os.pread(stream.fileno(), end - begin, begin))
        before[offset - begin : offset - begin + length] = held
        unsynced.apply(Wrote(file, offset, length, size, bytes(before)))

    def clear_slot(self) -> None:
        """No synced write is under way."""
        self.pages[SLOT_AT] = 0

    def append(self, change: Change) -> bool:
        """Adds one to the half in use; whether there was room."""
        (changed,) = _COUNT.unpack_from(self.pages, _STATE_AT)
        half = changed & 1
        return self._append(_HALVES_AT[half], _HALF_BYTES, _HALF_AT[half], change)

    def append_of_fork(self, change: Change) -> None:
        """As `append`, from the fork that runs."""
        _COUNT.pack_into(self.pages, _PID_AT, os.getpid())
        if not self._append(_LANE_AT, _LANE_BYTES, _LANE_FILLED_AT, change):
            self.pages[_FULL_AT] = 1

    def put_together(self, last: Change | None = None) -> bool:
        """Replaces what was recorded, and `last`, by all that counts of it; whether there was
        room. The slot stays."""
        unsynced, lane = self._read()
        if last is not None:
            unsynced.apply(last)
        return self._replace(unsynced, lane)

    def settle(self, folder: Path) -> Unsynced:
        """As `put_together`, with the synced write that will never end. Raises OSError."""
        unsynced, lane = self._read()
        self._add_slot(unsynced, folder)
        self._replace(unsynced, lane)
        self.clear_slot()
        return unsynced

    def _replace(self, unsynced: Unsynced, lane: int) -> bool:
        (changed,) = _COUNT.unpack_from(self.pages, _STATE_AT)
        changed = (changed + 1) & 0xFFFFFFFF
        half = changed & 1
        _COUNT.pack_into(self.pages, _HALF_AT[half], 0)
        base = unsynced.base()
        if not self._append(_HALVES_AT[half], _HALF_BYTES, _HALF_AT[half], base, when=0):
            return False
        # One store: a process that is killed here has done either nothing or all of it.
        self.pages[_STATE_AT : _STATE_AT + _STATE.size] = _STATE.pack(changed, lane)
        if lane and not self._fork_writes():
            _COUNT.pack_into(self.pages, _LANE_FILLED_AT, 0)
            _COUNT.pack_into(self.pages, _LANE_FROM_AT, 0)
        return True

    def _fork_writes(self) -> bool:
        """Whether a fork may still be at work."""
        (pid,) = _COUNT.unpack_from(self.pages, _PID_AT)
        if not pid:
            return False
        with contextlib.suppress(OSError):
            os.kill(pid, 0)
            return True
        _COUNT.pack_into(self.pages, _PID_AT, 0)
        return False

    def _append(
        self, start: int, room: int, filled_at: int, change: Change, when: int | None = None
    ) -> bool:
        body = _encoder.encode(change)
        (filled,) = _COUNT.unpack_from(self.pages, filled_at)
        end = filled + _ENTRY.size + len(body)
        if end > room:
            return False
        at = start + filled
        _ENTRY.pack_into(self.pages, at, len(body), time.monotonic_ns() if when is None else when)
        at += _ENTRY.size
        self.pages[at : at + len(body)] = body
        _COUNT.pack_into(self.pages, filled_at, end)  # only now it counts
        return True


def _head(folder: Path) -> bytes:
    found = folder.stat()
    return _HEAD.pack(_MAGIC, found.st_dev, found.st_ino)


def _files(folder: Path) -> Iterator[Path]:
    yield from (path for path in folder.iterdir() if path.is_file())
