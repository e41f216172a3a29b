"""A disk in memory that loses what was not synced.

Writes go to a page cache. `sync` makes a file's bytes durable, `sync_directory` the names. After
`lose_power`, each unsynced sector has any one of its versions since the last sync, or a mix of two
of them, and any subset of the unsynced changes to the directory has happened, in order. Bytes that
no write covered stay as they were. A process that is killed loses nothing: the page cache survives.

Every operation that changes something is counted. At operation `crash_at` the disk raises
`PowerCut`: before the operation, or, for a write, after a part of it. From then on all operations
raise it.

A sync that fails does what kernels do: the pages that it should have written are marked clean. They
are lost when the power fails, though until then reads return what was written.

What survives is decided in `node/faults/pages.py`, for real disks too.
"""

from __future__ import annotations

import errno
import os
import random

from node.faults.disks import ONCE, WELL, Operation, verdict
from node.faults.pages import SECTOR_BYTES, names_kept, sector_kept, size_kept
from node.wire import DiskFault

MOST_VERSIONS = 8
"""How many versions of an unsynced sector are kept: the oldest one and the newest ones."""


class PowerCut(Exception):
    """The machine stopped here. Not an OSError, so that the product does not handle it."""


class Inode:
    """A file's content: in the page cache, and on the medium."""

    __slots__ = ("cached", "called_clean", "durable", "name", "unsynced")

    def __init__(self, name: str) -> None:
        self.name = name  # the latest
        self.cached = bytearray()
        self.durable = bytearray()
        self.unsynced: dict[int, list[bytes]] = {}  # the versions of each sector since the sync
        self.called_clean = False  # a sync has failed: what is cached may never be durable

    @property
    def is_clean(self) -> bool:
        """Whether a loss of power changes nothing."""
        same_size = len(self.cached) == len(self.durable)
        return same_size and not self.unsynced and not self.called_clean

    def write(self, offset: int, data: bytes) -> None:
        """Writes into the page cache."""
        cached = self.cached
        end = offset + len(data)
        if end > len(cached):
            cached.extend(bytes(end - len(cached)))
        cached[offset:end] = data
        unsynced = self.unsynced
        for sector in range(offset // SECTOR_BYTES, -(-end // SECTOR_BYTES)):
            at = sector * SECTOR_BYTES
            version = bytes(cached[at : at + SECTOR_BYTES])
            versions = unsynced.get(sector)
            if versions is None:
                unsynced[sector] = [version]
                continue
            versions.append(version)
            if len(versions) > MOST_VERSIONS:
                del versions[1]

    def write_durably(self, offset: int, data: bytes) -> None:
        """As `write` and then `sync`, of a file that is clean. Faster than both."""
        end = offset + len(data)
        for content in (self.cached, self.durable):
            if end > len(content):
                content.extend(bytes(end - len(content)))
            content[offset:end] = data

    def sync(self) -> None:
        """Makes dirty sectors durable. Those that a failed sync has marked clean stay lost."""
        durable = self.durable
        if len(durable) != len(self.cached):
            self._resize_durable(len(self.cached))
        for sector, versions in self.unsynced.items():
            at = sector * SECTOR_BYTES
            durable[at : at + len(versions[-1])] = versions[-1]
        self.unsynced.clear()

    def fail_to_sync(self) -> None:
        """As kernels do: marks the dirty pages clean, without writing them."""
        self.called_clean = self.called_clean or bool(self.unsynced)
        self.unsynced.clear()

    def lose_power(self, rng: random.Random) -> None:
        """Each unsynced sector keeps one of its versions, or a mix of two."""
        if self.is_clean:
            return
        size = size_kept(len(self.durable), len(self.cached), rng)
        if size != len(self.durable):
            self._resize_durable(size)
        for sector, versions in self.unsynced.items():
            at = sector * SECTOR_BYTES
            old = bytes(self.durable[at : at + SECTOR_BYTES])
            kept = sector_kept(old, versions, rng)
            self.durable[at : at + len(kept)] = kept
        self.unsynced.clear()
        self.called_clean = False
        self.cached = bytearray(self.durable)

    def copy(self) -> Inode:
        """A copy in this very state: cached, durable and unsynced content."""
        twin = Inode(self.name)
        twin.cached = self.cached[:]
        twin.durable = self.durable[:]
        twin.unsynced = {sector: versions[:] for sector, versions in self.unsynced.items()}
        twin.called_clean = self.called_clean
        return twin

    def _resize_durable(self, size: int) -> None:
        del self.durable[size:]
        self.durable.extend(bytes(size - len(self.durable)))


class SimulatedFile:
    """An open file: the `DiskFile` port in memory."""

    __slots__ = ("_disk", "_inode")

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
            self._inode.write(offset, data[: disk.rng.randrange(len(data) + 1)])
            raise
        except OSError:
            self._inode.write(offset, data[: len(data) // 2])
            raise
        self._inode.write(offset, data)

    def write_synced(self, offset: int, data: bytes) -> None:
        if self._disk.is_well and self._inode.is_clean:
            self._disk.step("write", self._inode.name)
            self._disk.step("sync", self._inode.name)
            self._inode.write_durably(offset, data)
            return
        self.write_at(offset, data)
        self.sync()

    def sync(self) -> None:
        try:
            self._disk.step("sync", self._inode.name)
        except OSError:
            self._inode.fail_to_sync()
            raise
        self._inode.sync()

    def close(self) -> None:
        pass


class SimulatedDisk:
    """The `Disk` port in memory.

    crash_at: the number of the operation that PowerCut interrupts, from 1; 0 for never
    fail_at: the number of the operation that fails with `fail_with`; 0 for never
    fault: why operations fail at present; the verdict of `node/faults/disks.py` says which of them.
        How long operations take is up to the node (`disk_work.py`)
    failures: how many operations have failed, in all lives
    operations: how many operations there were since the last start
    history: these operations, as "write NAME", "sync NAME", ..., if `keeps_history`
    """

    def __init__(self, rng: random.Random | None = None, *, keeps_history: bool = True) -> None:
        self.rng = rng or random.Random(0)
        self.names: dict[str, Inode] = {}
        self.crash_at = 0
        self.fail_at = 0
        self.fail_with = errno.EIO
        self.fault: DiskFault | None = None
        self.failures = 0
        self.operations = 0
        self.history: list[str] = []
        self._keeps_history = keeps_history
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

    @property
    def is_well(self) -> bool:
        """Whether no fault is set for any operation."""
        return not (self.crash_at or self.fail_at or self.fault)

    def step(self, operation: Operation, name: str) -> None:
        """Counts an operation. Raises PowerCut or OSError if a fault is set for it."""
        self.operations += 1
        if self._keeps_history:
            self.history.append(f"{operation} {name}")
        if self.crash_at and self.operations >= self.crash_at:
            raise PowerCut(f"at operation {self.operations}: {operation} {name}")
        _, error = WELL if self.fault is None else verdict(self.fault, operation)
        if self.operations == self.fail_at:
            error = self.fail_with
        if error:
            self.failures += 1
            if self.fault is not None and self.fault.kind in ONCE:
                self.fault = None
            raise OSError(error, os.strerror(error))

    def restart(self) -> None:
        """A new process uses the disk, without faults; the page cache is as it was."""
        self.crash_at = self.fail_at = 0
        self.operations = 0
        self.history.clear()

    def lose_power(self) -> None:
        """Loses what was not synced, or a random part of it."""
        self.restart()
        names = names_kept(self._durable_names, self._unsynced_names, self.rng)
        for inode in {id(inode): inode for inode in names.values()}.values():
            inode.lose_power(self.rng)
        self.names = names
        self._durable_names = dict(names)
        self._unsynced_names.clear()

    def files(self) -> dict[str, bytes]:
        """The content of every file, as a process reads it."""
        return {name: bytes(inode.cached) for name, inode in self.names.items()}

    def put(self, name: str, content: bytes) -> None:
        """Creates or replaces a file, durably, from outside."""
        inode = Inode(name)
        inode.write(0, content)
        inode.sync()
        self.names[name] = self._durable_names[name] = inode

    def lose(self, name: str) -> None:
        """Removes a file, durably, from outside."""
        del self.names[name]
        self._durable_names.pop(name, None)

    def erase(self) -> None:
        """Removes all files, durably."""
        self.names.clear()
        self._durable_names.clear()
        self._unsynced_names.clear()

    def take_from(self, other: SimulatedDisk) -> None:
        """Replaces all files by those of another disk, durably."""
        self.erase()
        for name, content in other.files().items():
            self.put(name, content)

    def flip(self, name: str, bit: int) -> None:
        """Flips one bit of a file, in the page cache and on the medium."""
        inode = self.names[name]
        for content in (inode.cached, inode.durable):
            if bit // 8 < len(content):
                content[bit // 8] ^= 1 << bit % 8

    def copy(self) -> SimulatedDisk:
        """A new disk with the same files, all durable."""
        disk = SimulatedDisk(self.rng)
        for name, content in self.files().items():
            disk.put(name, content)
        return disk

    def twin(self, rng: random.Random) -> SimulatedDisk:
        """A new disk in this very state, to try what a loss of power would leave.

        It shares the files that a loss of power does not change: read it, do not write to it.
        """
        disk = SimulatedDisk(rng, keeps_history=False)
        inodes = {id(inode): inode for inode in self.names.values()}
        inodes |= {id(inode): inode for inode in self._durable_names.values()}
        inodes |= {id(inode): inode for _, _, inode in self._unsynced_names}
        twins = {
            number: inode if inode.is_clean else inode.copy() for number, inode in inodes.items()
        }
        disk.names = {name: twins[id(inode)] for name, inode in self.names.items()}
        disk._durable_names = {n: twins[id(inode)] for n, inode in self._durable_names.items()}
        disk._unsynced_names = [
            (old, new, twins[id(inode)]) for old, new, inode in self._unsynced_names
        ]
        return disk

    def _change(self, old: str | None, new: str | None, inode: Inode) -> None:
        self._unsynced_names.append((old, new, inode))
        if old is not None:
            del self.names[old]
        if new is not None:
            self.names[new] = inode
            inode.name = new
