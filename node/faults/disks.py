"""A disk that fails on command: what a fault does to an operation, and a disk that does it.

`verdict` is pure. `FaultyDisk` asks it for a real folder, and so does the simulated disk
(`launcher/simulation/disk.py`). What a `DiskFault` (`node/wire/`) does:

    hang-disk    nothing is written or synced any more; whoever tries waits until the fault is over
    slow-disk    each sync takes `delay_s` longer
    full-disk    nothing finds space: ENOSPC
    fail-write   the next write fails: EIO; then the disk is well
    fail-sync    the next sync fails: EIO; then the disk is well

Reads, renames and removals go on as ever. A disk does one of these at a time. An error that was
asked for says so in its text, so that nobody takes it for the machine's.

`FaultyDisk` stands between a node and its folder. The fault is kept in memory that a node shares
with its forks: a snapshot that is being written meets the same fault as the log, and goes on when
it is over. Without a fault, a write or a sync looks at one byte of it more than it otherwise would.
"""

from __future__ import annotations

import errno
import math
import mmap
import os
import struct
import time
from typing import Literal, TypeAlias

from node.ports import Disk, DiskFile
from node.wire import DiskFault, DiskFaultKind

Operation: TypeAlias = Literal["create", "write", "sync", "rename", "remove"]

HANGS = math.inf
"""The wait of an operation that waits until the fault is another."""

WELL = (0.0, 0)
"""The verdict on an operation that the fault does not touch: no longer wait, and no error."""

ONCE: frozenset[DiskFaultKind] = frozenset({"fail-write", "fail-sync"})
"""Faults that are over when they have struck."""

_LOOK_S = 0.01
"""How often an operation that waits looks whether the fault is still there."""

_KINDS: tuple[DiskFaultKind, ...] = (
    "hang-disk", "slow-disk", "full-disk", "fail-write", "fail-sync",
)  # fmt: skip
_STATE = struct.Struct("<Bd")  # 0 or the kind's place, from 1; delay_s


def verdict(fault: DiskFault, operation: Operation) -> tuple[float, int]:
    """How many seconds longer the operation takes, and the errno with which it then fails, or 0."""
    match fault.kind, operation:
        case "hang-disk", "create" | "write" | "sync":
            return HANGS, 0
        case "slow-disk", "sync":
            return fault.delay_s, 0
        case "full-disk", "create" | "write":
            return 0.0, errno.ENOSPC
        case ("fail-write", "write") | ("fail-sync", "sync"):
            return 0.0, errno.EIO
        case _:
            return WELL


class DiskFaults:
    """What a node's disk does at present; one for the process and all its forks."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, _STATE.size)

    def set(self, fault: DiskFault | None) -> None:
        """From now on the disk does this, and nothing else; None: it is well."""
        state = (0, 0.0) if fault is None else (_KINDS.index(fault.kind) + 1, fault.delay_s)
        self._page[: _STATE.size] = _STATE.pack(*state)

    @property
    def current(self) -> DiskFault | None:
        """What it does."""
        place, delay_s = _STATE.unpack(self._page[: _STATE.size])
        return DiskFault(_KINDS[place - 1], delay_s) if place else None

    def meet(self, operation: Operation) -> None:
        """Called before an operation: has it wait, or fail with OSError, as the fault demands."""
        if not self._page[0]:
            return
        began = time.monotonic()
        while (fault := self.current) is not None:
            wait_s, error = verdict(fault, operation)
            left_s = began + wait_s - time.monotonic()
            if left_s > 0:
                time.sleep(min(left_s, _LOOK_S))
                continue
            if error:
                if fault.kind in ONCE:
                    self.set(None)
                raise OSError(error, f"{os.strerror(error)} (injected: {fault.kind})")
            return


class FaultyFile:
    """One open file of a `FaultyDisk`: the port's `DiskFile`."""

    __slots__ = ("_faults", "_file", "close", "read_at", "size")

    def __init__(self, file: DiskFile, faults: DiskFaults) -> None:
        self._file = file
        self._faults = faults
        self.size = file.size
        self.read_at = file.read_at
        self.close = file.close

    def write_at(self, offset: int, data: bytes) -> None:
        """The port's `write_at`."""
        self._faults.meet("write")
        self._file.write_at(offset, data)

    def write_synced(self, offset: int, data: bytes) -> None:
        """The port's `write_synced`; while there is a fault, one after the other."""
        if self._faults.current is None:
            self._file.write_synced(offset, data)
        else:
            self.write_at(offset, data)
            self.sync()

    def sync(self) -> None:
        """The port's `sync`."""
        self._faults.meet("sync")
        self._file.sync()


class FaultyDisk:
    """A `Disk` that does what `faults` says, and otherwise what `disk` does."""

    def __init__(self, disk: Disk, faults: DiskFaults) -> None:
        self._disk = disk
        self._faults = faults
        self.list = disk.list
        self.rename = disk.rename
        self.remove = disk.remove

    def open(self, name: str, *, create: bool = False) -> DiskFile:
        """The port's `open`."""
        if create:
            self._faults.meet("create")
        return FaultyFile(self._disk.open(name, create=create), self._faults)

    def sync_directory(self) -> None:
        """The port's `sync_directory`."""
        self._faults.meet("sync")
        self._disk.sync_directory()
