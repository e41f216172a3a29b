"""The real disk: whole reads and writes, and failures with a clear text."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from node.errors import DamagedLog, DiskFailed, FolderInUse
from node.raft.messages import HardState
from node.storage.disk import OsDisk, OsFile, held
from node.storage.wal import Recovered, WriteAheadLog
from tests.node.storage.model import IDENTITY, batch


def test_a_log_lives_in_a_real_folder(tmp_path: Path) -> None:
    disk = OsDisk(tmp_path / "data" / "node-1")  # made with its parents
    log, recovered = WriteAheadLog.open(disk, IDENTITY)
    assert recovered == Recovered(HardState(), [], None)
    log.append(HardState(1, 1), [batch(1), batch(2, size=9 << 20)])
    log.close()

    log, recovered = WriteAheadLog.open(disk, IDENTITY)

    assert recovered == Recovered(HardState(1, 1), [batch(1), batch(2, size=9 << 20)], None)
    assert [s.file for s in log.segments] == ["0000000001.wal", "0000000002.wal"]
    assert (tmp_path / "data/node-1/0000000001.wal").stat().st_size == 8 << 20
    assert not (tmp_path / "data/node-1/segment.tmp").exists()
    log.close()


def test_a_preallocated_segment_has_no_holes(tmp_path: Path) -> None:
    log, _ = WriteAheadLog.open(OsDisk(tmp_path), IDENTITY, segment_bytes=1 << 20)
    log.close()

    stat = (tmp_path / "0000000001.wal").stat()
    assert stat.st_blocks * 512 >= stat.st_size == 1 << 20


@pytest.mark.parametrize("most", [None, 7, 0])
def test_a_write_that_is_synced_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int | None
) -> None:
    """The system may write less than it was asked to."""
    pwritev = os.pwritev
    monkeypatch.setattr(
        os, "pwritev", lambda fd, parts, at, flags: pwritev(fd, [parts[0][:most]], at, flags)
    )
    file = OsDisk(tmp_path).open("file", create=True)
    file.write_synced(3, b"twenty-four bytes of text")
    assert file.read_at(0, 100) == b"\0\0\0twenty-four bytes of text"
    file.close()


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EPERM])
def test_where_no_write_can_be_synced_at_once_it_is_synced_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """An old kernel, a sandbox: then it is not tried again."""
    asked: list[int] = []
    synced: list[int] = []

    def refuse(descriptor: int, parts: object, at: int, flags: int) -> int:
        asked.append(at)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(OsFile, "_dsync", 2)
    monkeypatch.setattr(os, "pwritev", refuse)
    monkeypatch.setattr("node.storage.disk._sync_file", synced.append)
    file = OsDisk(tmp_path).open("file", create=True)
    file.write_synced(0, b"one")
    file.write_synced(3, b"two")
    assert file.read_at(0, 100) == b"onetwo"
    assert (len(asked), len(synced)) == (1, 2)
    file.close()


def test_a_write_that_fails_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int, parts: object, at: int, flags: int) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(OsFile, "_dsync", 2)
    monkeypatch.setattr(os, "pwritev", fail)
    file = OsDisk(tmp_path).open("file", create=True)
    with pytest.raises(OSError, match="Input/output error"):
        file.write_synced(0, b"one")
    assert OsFile._dsync == 2
    file.close()


def test_reads_and_writes_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may read or write less than it was asked to."""
    pread, pwrite = os.pread, os.pwrite
    monkeypatch.setattr(os, "pread", lambda fd, size, at: pread(fd, min(size, 7), at))
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: pwrite(fd, bytes(data[:7]), at))
    file = OsDisk(tmp_path).open("file", create=True)

    file.write_at(3, b"twenty-four bytes of text")

    assert file.read_at(0, 100) == b"\0\0\0twenty-four bytes of text"
    assert file.read_at(10, 9) == b"four byte"
    assert file.read_at(100, 5) == b""
    assert file.size() == 28
    file.close()


def test_names(tmp_path: Path) -> None:
    disk = OsDisk(tmp_path)
    disk.open("a", create=True).close()
    with pytest.raises(FileExistsError):
        disk.open("a", create=True)
    with pytest.raises(FileNotFoundError):
        disk.open("b")
    disk.rename("a", "b")
    disk.sync_directory()
    assert disk.list() == ["b"]
    disk.remove("b")
    assert disk.list() == []


def test_no_descriptor_is_inherited_or_left_open(tmp_path: Path) -> None:
    disk = OsDisk(tmp_path)
    descriptors = Path("/dev/fd")
    before = len(list(descriptors.iterdir()))
    log, _ = WriteAheadLog.open(disk, IDENTITY, segment_bytes=1024)
    for index in range(1, 20):
        log.append(None, [batch(index, size=300)])
    log.drop_before(15)
    log.close()
    assert len(list(descriptors.iterdir())) == before

    file = os.open(tmp_path / "synced.mark", os.O_RDWR)
    os.pwrite(file, bytes(8192), 0)
    os.close(file)
    (tmp_path / "0000000009.wal").write_bytes(b"no segment")
    with pytest.raises(DamagedLog):
        WriteAheadLog.open(disk, IDENTITY, segment_bytes=1024)
    assert len(list(descriptors.iterdir())) == before


@pytest.mark.parametrize("create", [True, False])
def test_a_read_only_folder_is_refused_with_a_clear_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, create: bool
) -> None:
    """Said by the system call, since permissions do not bind root."""
    disk = OsDisk(tmp_path)
    if not create:
        WriteAheadLog.open(disk, IDENTITY, segment_bytes=1024)[0].close()

    def refuse(path: Path, flags: int, mode: int = 0) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "open", refuse)

    with pytest.raises(DiskFailed, match=r"of .* failed: Read-only file system"):
        WriteAheadLog.open(disk, IDENTITY, segment_bytes=1024)


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(DiskFailed, match=r"creation of .*/file/node-1 failed: Not a directory"):
        OsDisk(tmp_path / "file" / "node-1")


# -- one process on a folder ---------------------------------------------------------------------


def test_a_folder_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    with held(tmp_path), pytest.raises(FolderInUse, match=r"another process runs on .*: end it"):
        held(tmp_path).__enter__()
    with held(tmp_path):
        pass


def test_the_hold_follows_a_folder_that_is_moved(tmp_path: Path) -> None:
    (tmp_path / "node-1").mkdir()
    with held(tmp_path / "node-1"):
        (tmp_path / "node-1").rename(tmp_path / "moved")
        (tmp_path / "node-1").mkdir()
        with held(tmp_path / "node-1"), pytest.raises(FolderInUse):
            held(tmp_path / "moved").__enter__()


def test_a_fork_that_outlives_its_node_holds_nothing(tmp_path: Path) -> None:
    hold = held(tmp_path)
    hold.__enter__()
    near, far = socket.socketpair()
    child = os.fork()
    if not child:
        os.closerange(3, far.fileno())
        os.closerange(far.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
        far.send(b"closed")
        far.recv(1)
        os._exit(0)
    assert near.recv(10) == b"closed"
    hold.__exit__(None, None, None)
    with held(tmp_path):
        near.send(b"x")
        os.waitpid(child, 0)
    near.close()
    far.close()


def test_a_file_system_without_locks_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", flock)
    with held(tmp_path), held(tmp_path):
        pass


def test_a_folder_that_is_not_there_cannot_be_held(tmp_path: Path) -> None:
    with pytest.raises(DiskFailed, match=r"opening of .*gone failed: No such file"):
        held(tmp_path / "gone").__enter__()
