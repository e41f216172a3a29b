"""What a disk keeps when the power fails: one model for simulated and real disks. Pure.

A write goes to the operating system's page cache, and reaches the medium with the next sync of its
file, or before. A name that was made, changed or removed reaches it with the next sync of the
folder. So when the power fails,

- what was synced is there, every byte and every name;
- what was not synced is lost: each sector holds what it held at the last sync, the file is as long
  as it was then, and the folder has the names that it had;
- or, where the power tears (`part`, a source of random numbers), any part of it is lost: each
  sector that was not synced holds one of its versions since the last sync, or a mix of two; the
  file has the old size or the new one; and each change of a name has happened or not, in order.

A sync that fails throws away what it should have kept, as kernels do: its pages are called clean,
so no later sync writes them. Reads return them until the power fails; then they are lost.

`sector_kept`, `size_kept` and `names_kept` are the verdicts. The simulated disk
(`launcher/simulation/disk.py`) asks them for files in memory. For a real folder, `Unsynced` takes
in what a process does to its files (`node/faults/recording.py`), and says what is to be undone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from random import Random
from typing import TypeAlias, TypeVar

import msgspec

SECTOR_BYTES = 512

MOST_LOST = 1 << 16
"""At most this many sectors that a failed sync threw away are remembered, of what a file had
grown by."""

_TEARS = 0.3
"""How likely a sector is a mix of two versions, where the power tears."""

T = TypeVar("T")


def size_kept(durable: int, cached: int, part: Random | None) -> int:
    """The size of a file after the power has failed. durable, cached: at the last sync, and now."""
    if part is None or durable == cached:
        return durable
    return part.choice([cached, durable])


def sector_kept(old: bytes, versions: Sequence[bytes], part: Random | None) -> bytes:
    """What a sector holds after the power has failed: as many bytes as `old`, at most.

    old: what it held at the last sync; versions: what it has held since
    """
    if part is None:
        return old
    kept = part.choice([old, *versions])[: len(old)]
    if part.random() < _TEARS:
        tear = part.randrange(len(old) + 1)
        kept = kept[:tear] + old[tear:]
    return kept


def names_kept(
    durable: Mapping[str, T],
    changes: Iterable[tuple[str | None, str | None, T]],
    part: Random | None,
) -> dict[str, T]:
    """Which files the names mean after the power has failed.

    durable: the names at the last sync of the folder
    changes: those since then, in order: the old name (None: created), the new one (None: removed),
        and the file
    """
    names = dict(durable)
    if part is None:
        return names
    for old, new, file in changes:
        if part.random() < 0.5:
            if old is not None and names.get(old) == file:
                del names[old]
            if new is not None:
                names[new] = file
    return names


# -- what a process does to its files ------------------------------------------------------------


class Wrote(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """A write is about to begin.

    file: the number of the file (its inode)
    size: of the file before the write
    held: what all sectors that it touches held, up to the end of the file; empty: zeros
    """

    file: int
    offset: int
    length: int
    size: int
    held: bytes


class Synced(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """A sync of the file, which has this size, succeeded."""

    file: int
    size: int


class SyncFailed(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """A sync of the file, which has this size, failed."""

    file: int
    size: int


class Named(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """A name was made (no `old`), changed, or removed (no `new`).

    replaced: the file that had the new name before; 0: none
    """

    old: str | None
    new: str | None
    file: int
    replaced: int = 0


class NamesSynced(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """The folder was synced."""


class FileState(msgspec.Struct):
    """What of one file is not durable.

    size: the durable one
    unsynced: by its number, what each sector below `size` held at the last sync; empty: zeros
    lost: likewise, for sectors that a failed sync threw away, also above `size`
    grown: there are unsynced bytes above `size`
    """

    size: int
    unsynced: dict[int, bytes] = {}
    lost: dict[int, bytes] = {}
    grown: bool = False


class Base(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """All that came before, put together."""

    files: dict[int, FileState]
    names: list[Named]


Change: TypeAlias = Wrote | Synced | SyncFailed | Named | NamesSynced | Base


class Unsynced:
    """What of a folder is not durable, from what was done to it.

    files: by number; a file that is not there is durable
    names: the changes since the folder was synced
    """

    def __init__(self, changes: Iterable[Change] = ()) -> None:
        self.files: dict[int, FileState] = {}
        self.names: list[Named] = []
        for change in changes:
            self.apply(change)

    def base(self) -> Base:
        """The same in one piece."""
        return Base(self.files, self.names)

    def apply(self, change: Change) -> None:
        """Takes in what was done next."""
        match change:
            case Wrote():
                self._wrote(change)
            case Synced(file, size):
                if (state := self.files.get(file)) is not None:
                    state.unsynced.clear()
                    state.size, state.grown = size, False
                    self._drop_if_durable(file)
            case SyncFailed(file, size):
                if (state := self.files.get(file)) is not None:
                    _throw_away(state, size)
            case Named():
                self.names.append(change)
            case NamesSynced():
                for name in self.names:
                    if name.replaced:
                        self.files.pop(name.replaced, None)
                    if name.new is None:
                        self.files.pop(name.file, None)
                self.names.clear()
            case Base(files, names):
                self.files, self.names = files, names

    def durable_names(self, now: Mapping[str, int]) -> dict[str, int]:
        """The names at the last sync of the folder. now: those that it has"""
        names = dict(now)
        for change in reversed(self.names):
            if change.new is not None:
                names.pop(change.new, None)
                if change.replaced:
                    names[change.new] = change.replaced
            if change.old is not None:
                names[change.old] = change.file
        return names

    def names_kept(self, now: Mapping[str, int], part: Random | None) -> dict[str, int]:
        """The names after the power has failed."""
        changes = [(change.old, change.new, change.file) for change in self.names]
        return names_kept(self.durable_names(now), changes, part)

    # -- the parts ---------------------------------------------------------------------------

    def _wrote(self, write: Wrote) -> None:
        state = self.files.get(write.file)
        if state is None:
            state = self.files[write.file] = FileState(write.size)
        sectors = _sectors(write.offset, write.length)
        begin = sectors.start * SECTOR_BYTES
        for sector in sectors:
            at = sector * SECTOR_BYTES
            before = state.lost.pop(sector, None)
            if at >= state.size:
                state.grown = True
                if not state.lost and write.offset >= state.size:
                    break
            elif sector not in state.unsynced:
                held = write.held[at - begin : at - begin + SECTOR_BYTES]
                state.unsynced[sector] = held if before is None else before
        if write.offset + write.length > state.size:
            state.grown = True

    def _drop_if_durable(self, file: int) -> None:
        state = self.files[file]
        if not (state.unsynced or state.lost or state.grown):
            del self.files[file]


def file_kept(
    state: FileState, cached: int, read: Callable[[int, int], bytes], part: Random | None
) -> tuple[int, list[tuple[int, bytes]]]:
    """What becomes of a file when the power fails: its size, and what is at which offset instead.

    cached: its size now; read: its bytes now, from an offset on, at most a
    number of them
    """
    size = size_kept(state.size, cached, part)
    patches = []
    for sector, held, thrown_away in _touched(state, size, part):
        at = sector * SECTOR_BYTES
        length = min(SECTOR_BYTES, size - at)
        if length <= 0:
            continue
        now = read(at, length).ljust(length, b"\0")
        old = held[:length].ljust(length, b"\0")
        kept = sector_kept(old, [now], None if thrown_away else part)
        if kept != now:
            patches.append((at, kept))
    return size, patches


def _touched(state: FileState, size: int, part: Random | None) -> Iterator[tuple[int, bytes, bool]]:
    """The sectors that may change: number, what was durable, and whether it is lost for certain."""
    for sector, held in state.unsynced.items():
        yield sector, held, False
    for sector, held in state.lost.items():
        yield sector, held, True
    if state.grown and part is not None:
        for sector in range(-(-state.size // SECTOR_BYTES), -(-size // SECTOR_BYTES)):
            if sector not in state.unsynced and sector not in state.lost:
                yield sector, b"", False


def _throw_away(state: FileState, size: int) -> None:
    """A failed sync calls the pages clean."""
    state.lost |= state.unsynced
    state.unsynced.clear()
    if state.grown:
        first = -(-state.size // SECTOR_BYTES)
        last = min(-(-size // SECTOR_BYTES), first + MOST_LOST)
        for sector in range(first, last):
            state.lost.setdefault(sector, b"")
    # The size is as undurable as before, and the next sync writes it.


def _sectors(offset: int, length: int) -> range:
    return range(offset // SECTOR_BYTES, -(-(offset + length) // SECTOR_BYTES))
