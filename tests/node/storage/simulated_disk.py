"""A disk in memory that loses what was not synced.

What is written stands in a page cache; `sync` makes a file's bytes durable, `sync_directory` the
names. `lose_power` keeps, of each unsynced sector, any one version it ever had, or a tear between
two of them; and of the unsynced changes to the directory any subset, in order. Bytes that a write
did not cover stay as they were. A process that is killed loses nothing of this: simply go on.

Each operation that changes something counts as one, and at `crash_at` the disk raises `PowerCut`:
before the operation, or, for a write, with a part of it done. From then on everything raises it.
"""

from __future__ import annotations

import errno
import random

SECTOR_BYTES = 512


class PowerCut(Exception):
    """The machine stopped here. Not an OSError: nobody may handle it."""


class Inode:
    """A file's content: in the page cache, and on the medium."""

    def __init__(self, name: str) -> None:
        self.name = name  # the latest
        self.cached = bytearray()
        self.durable = bytearray()
        self.unsynced: dict[int, list[bytes]] = {}  # the versions of each sector since the sync

    def write(self, offset: int, data: bytes) -> None:
        end = offset + len(data)
        if end > len(self.cached):
            self.cached.extend(bytes(end - len(self.cached)))
        self.cached[offset:end] = data
        for sector in range(offset // SECTOR_BYTES, -(-end // SECTOR_BYTES)):
            self.unsynced.setdefault(sector, []).append(self.sector(self.cached, sector))

    def sync(self) -> None:
        # Only what is dirty reaches the medium: pages that a failed sync called clean do not.
        self._resize_durable(len(self.cached))
        for sector, versions in self.unsynced.items():
            at = sector * SECTOR_BYTES
            self.durable[at : at + len(versions[-1])] = versions[-1]
        self.unsynced.clear()

    def lose_power(self, chance: random.Random) -> None:
        if len(self.cached) != len(self.durable):
            self._resize_durable(chance.choice([len(self.cached), len(self.durable)]))
        for sector, versions in self.unsynced.items():
            at = sector * SECTOR_BYTES
            old = self.sector(self.durable, sector)
            kept = chance.choice([old, *versions])[: len(old)]
            if chance.random() < 0.3:
                tear = chance.randrange(len(old) + 1)
                kept = kept[:tear] + old[tear:]
            self.durable[at : at + len(kept)] = kept
        self.unsynced.clear()
        self.cached = bytearray(self.durable)

    def _resize_durable(self, size: int) -> None:
        del self.durable[size:]
        self.durable.extend(bytes(size - len(self.durable)))

    @staticmethod
    def sector(content: bytearray, sector: int) -> bytes:
        return bytes(content[sector * SECTOR_BYTES : (sector + 1) * SECTOR_BYTES])


class SimulatedFile:
    def __init__(self, disk: SimulatedDisk, inode: Inode) -> None:
        self._disk = disk
        self._inode = inode

    def size(self) -> int:
        return len(self._inode.cached)

    def read_at(self, offset: int, size: int) -> bytes:
        return bytes(self._inode.cached[offset : offset + size])

    def write_at(self, offset: int, data: bytes) -> None:
        disk = self._disk
        try:
            disk.step("write", self._inode.name)
        except PowerCut:
            self._inode.write(offset, data[: disk.chance.randrange(len(data) + 1)])
            raise
        except OSError:
            self._inode.write(offset, data[: len(data) // 2])
            raise
        self._inode.write(offset, data)

    def truncate(self, size: int) -> None:
        raise NotImplementedError("the log never truncates a file")

    def sync(self) -> None:
        try:
            self._disk.step("sync", self._inode.name)
        except OSError:
            self._inode.unsynced.clear()  # as kernels do: the pages are called clean, and are lost
            raise
        self._inode.sync()

    def close(self) -> None:
        pass


class SimulatedDisk:
    """The `Disk` port in memory.

    crash_at: the number of the operation that is interrupted by PowerCut, from 1; 0 for never
    fail_at: the number of the operation that fails with OSError; 0 for never
    history: each operation so far, as "write NAME", "sync NAME", "create NAME", ...
    """

    def __init__(self, chance: random.Random | None = None) -> None:
        self.chance = chance or random.Random(0)
        self.names: dict[str, Inode] = {}
        self.crash_at = 0
        self.fail_at = 0
        self.fail_with = errno.EIO
        self.history: list[str] = []
        self._durable_names: dict[str, Inode] = {}
        self._unsynced_names: list[tuple[str | None, str | None, Inode]] = []  # old, new

    # -- the port --------------------------------------------------------------------------------

    def list(self) -> list[str]:
        return list(self.names)

    def open(self, name: str, *, create: bool = False) -> SimulatedFile:
        if create:
            if name in self.names:
                raise FileExistsError(errno.EEXIST, "File exists")
            self.step("create", name)
            self._change(None, name, Inode(name))
        elif name not in self.names:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        return SimulatedFile(self, self.names[name])

    def rename(self, old: str, new: str) -> None:
        self.step("rename", new)
        self._change(old, new, self.names[old])

    def remove(self, name: str) -> None:
        self.step("remove", name)
        self._change(name, None, self.names[name])

    def sync_directory(self) -> None:
        self.step("sync", "directory")
        self._durable_names = dict(self.names)
        self._unsynced_names.clear()

    # -- what happens to it ----------------------------------------------------------------------

    def step(self, operation: str, name: str) -> None:
        """Counts an operation, and stops or fails it when it is its turn."""
        self.history.append(f"{operation} {name}")
        if self.crash_at and len(self.history) >= self.crash_at:
            raise PowerCut(f"at operation {len(self.history)}: {self.history[-1]}")
        if len(self.history) == self.fail_at:
            raise OSError(self.fail_with, "Input/output error")

    def restart(self) -> None:
        """The process begins anew; the page cache is as it was."""
        self.crash_at = self.fail_at = 0
        self.history.clear()

    def lose_power(self) -> None:
        self.restart()
        names = dict(self._durable_names)
        for old, new, inode in self._unsynced_names:
            if self.chance.random() < 0.5:
                if old is not None and names.get(old) is inode:
                    del names[old]
                if new is not None:
                    names[new] = inode
        for inode in {id(inode): inode for inode in names.values()}.values():
            inode.lose_power(self.chance)
        self.names = names
        self._durable_names = dict(names)
        self._unsynced_names.clear()

    def files(self) -> dict[str, bytes]:
        return {name: bytes(inode.cached) for name, inode in self.names.items()}

    def put(self, name: str, content: bytes) -> None:
        """A file appears, or changes, durably and behind everybody's back."""
        inode = Inode(name)
        inode.write(0, content)
        inode.sync()
        self.names[name] = self._durable_names[name] = inode

    def lose(self, name: str) -> None:
        """A file vanishes, durably and behind everybody's back."""
        del self.names[name]
        self._durable_names.pop(name, None)

    def copy(self) -> SimulatedDisk:
        """Another disk with the same files, all durable."""
        disk = SimulatedDisk(self.chance)
        for name, content in self.files().items():
            disk.put(name, content)
        return disk

    def _change(self, old: str | None, new: str | None, inode: Inode) -> None:
        self._unsynced_names.append((old, new, inode))
        if old is not None:
            del self.names[old]
        if new is not None:
            self.names[new] = inode
            inode.name = new
