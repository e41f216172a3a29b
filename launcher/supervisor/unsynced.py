"""What the processes of one node have not synced: the supervisor holds the memory in which they
record it (`node/faults/unsynced.py`)."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from random import Random
from typing import IO

from node.faults.losing import Lost, lose_power
from node.faults.unsynced import Memory


class UnsyncedRecord:
    """The memory into which a node's processes, one after the other, write what is not synced.

    It ends with the supervisor: what nodes have not synced by then counts as durable.
    """

    def __init__(self) -> None:
        self._memory: Memory | None = None
        self._path: Path | None = None

    def path(self) -> Path | None:
        """Where the node's process opens it; None where there is no memory for it."""
        if self._memory is None:
            try:
                self._make()
            except OSError:  # only a loss of power would need it
                self._memory = self._path = None
        return self._path

    def records(self, folder: Path) -> bool:
        """Whether it tells all that is not synced of this folder. Raises OSError."""
        return self._memory is not None and self._memory.records(folder) and self._memory.is_whole

    def lose(self, folder: Path, part: Random | None) -> Lost:
        """As `lose_power`. Raises OSError."""
        assert self._memory is not None
        return lose_power(self._memory, folder, part)

    def forget(self) -> None:
        """The folder's files are others from now on."""
        if self._memory is not None:
            self._memory.forget()

    def _make(self) -> None:
        if hasattr(os, "memfd_create"):
            # In memory alone: the kernel never writes it to a disk while a node waits.
            descriptor = os.memfd_create("unsynced")
            self._file: IO[bytes] = os.fdopen(descriptor, "r+b", buffering=0)
            self._path = Path(f"/proc/{os.getpid()}/fd/{descriptor}")
        else:
            # It is there for as long as this object is, and closed with it.
            named = tempfile.NamedTemporaryFile(prefix="unsynced-")  # noqa: SIM115
            self._file, self._path = named, Path(named.name)
        self._memory = Memory.make(self._file.fileno())
