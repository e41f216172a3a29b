"""The real disk: one folder of an operating system, behind the ports of `node/ports.py`.

`OsDisk` and `OsFile` do what the ports say and nothing more: whole reads and writes, a sync that
reaches the medium, no caching, and no retries of anything that may have reached it. They raise
plain OSError; the log turns it into `DiskFailed` with `failing_as`, which says what was being done
and to which file.

On Linux a sync is fdatasync, which also flushes a changed size; a write that is synced is one call,
where the system has it (RWF_DSYNC, since Linux 4.7: what fdatasync does, for what was written). On
macOS fsync stops at the drive's own cache, so F_FULLFSYNC is asked for first; file systems without
it fall back to fsync.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from node.errors import DiskFailed, FolderInUse
from node.ports import DiskFile

if sys.platform == "darwin":

    def _sync_file(descriptor: int) -> None:
        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
        except OSError:
            # Not every file system has F_FULLFSYNC. One that has it and failed fails here again.
            os.fsync(descriptor)
else:
    _sync_file = os.fdatasync


_OPEN_PATIENCE_S, _OPEN_AGAIN_S = 2.0, 0.05
_UNKNOWN_TO_THE_SYSTEM = {errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM}
_WITHOUT_LOCKS = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.ENOLCK}


class failing_as:  # noqa: N801 (a word of a `with` statement; a function made into one is slower)
    """Turns an OSError inside into DiskFailed, with what was being done and to which file."""

    __slots__ = ("_file", "_operation")

    def __init__(self, operation: str, file: str) -> None:
        self._operation = operation
        self._file = file

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, OSError):
            raise DiskFailed(self._operation, self._file, error) from error


class OsFile:
    """One open file of a folder: the real `DiskFile`."""

    _dsync: int = getattr(os, "RWF_DSYNC", 0)
    """The flag that has a write synced; none where there is no such thing."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def read_at(self, offset: int, size: int) -> bytes:
        data = os.pread(self._descriptor, size, offset)
        if len(data) in (0, size):
            return data
        parts = [data]
        read = len(data)
        while data := os.pread(self._descriptor, size - read, offset + read):
            parts.append(data)
            read += len(data)
        return b"".join(parts)

    def write_at(self, offset: int, data: bytes) -> None:
        written = os.pwrite(self._descriptor, data, offset)
        while written < len(data):  # a disk nearly full writes a part, then says why
            rest = memoryview(data)[written:]
            written += os.pwrite(self._descriptor, rest, offset + written)

    def write_synced(self, offset: int, data: bytes) -> None:
        # One call into the kernel: a thread that comes back from one has to wait for the
        # interpreter, while the loop is busy.
        written = self._write_synced(offset, data) if OsFile._dsync else 0
        if written < len(data):
            self.write_at(offset + written, data[written:])
            self.sync()

    def _write_synced(self, offset: int, data: bytes) -> int:
        """How much of it is written and durable: nothing, and never again, where the system, or
        what confines this process, does not know how."""
        try:
            return os.pwritev(self._descriptor, (data,), offset, OsFile._dsync)
        except OSError as error:
            if error.errno not in _UNKNOWN_TO_THE_SYSTEM:
                raise
            OsFile._dsync = 0
            return 0

    def sync(self) -> None:
        _sync_file(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


class OsDisk:
    """A folder: the real `Disk`. Makes the folder when it does not exist; raises DiskFailed.

    What it makes is its user's alone.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with failing_as("creation", str(folder)):
            if not folder.is_dir():
                folder.mkdir(0o700, parents=True, exist_ok=True)
                _sync_folder(folder.parent)

    def list(self) -> list[str]:
        return os.listdir(self._folder)

    def open(self, name: str, *, create: bool = False) -> DiskFile:
        flags = os.O_RDWR | os.O_CLOEXEC
        if create:
            flags |= os.O_CREAT | os.O_EXCL
        return OsFile(_open(self._folder / name, flags))

    def rename(self, old: str, new: str) -> None:
        os.replace(self._folder / old, self._folder / new)

    def remove(self, name: str) -> None:
        os.unlink(self._folder / name)

    def sync_directory(self) -> None:
        _sync_folder(self._folder)


def _open(path: Path, flags: int) -> int:
    """Too many open files, of this process or of the machine, are a matter of moments: nothing has
    happened on the disk yet, so this may be tried again."""
    give_up = time.monotonic() + _OPEN_PATIENCE_S
    while True:
        try:
            return os.open(path, flags, 0o600)
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE) or time.monotonic() > give_up:
                raise
        time.sleep(_OPEN_AGAIN_S)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Has this process, and no other, run on a folder, for as long as the context lasts.

    The kernel ends the hold with the process, and a fork that closes its descriptors has no part in
    it. It is a lock on the folder itself (flock): it leaves no file behind, and follows the folder
    when that is moved. A file system without such locks is used without a hold.

    Raises FolderInUse, and DiskFailed when there is no such folder.
    """
    with failing_as("opening", str(folder)):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN):
                raise FolderInUse(
                    f"another process runs on {folder}: end it first (`fuser {folder}` names it)"
                ) from error
            if error.errno not in _WITHOUT_LOCKS:
                raise DiskFailed("locking", str(folder), error) from error
        yield
    finally:
        os.close(descriptor)
