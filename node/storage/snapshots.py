"""Snapshot files: what stands for the log up to an index, on disk (§7).

    00000000000000004711.snapshot    a snapshot, whole and durable: the newest two are kept
    taking.tmp                       one that is being taken; removed at the next start
    receiving.tmp                    one that a leader is sending; removed at the next start

A snapshot gets its name only when all of it is synced, and the directory is synced before anything
relies on it: a half-written one is never seen. Its bytes are the same on every node, so it is sent
as it is:

    preamble    magic, format version, their checksum: 16 bytes, the same in every format to come
    header      whose it is, and what it stands for
    chunk ...   each behind its length and what it is a part of
    trailer     the checksum of all that comes before it

Two are kept because a disk can rot: as long as the log reaches back to the older one, a node whose
newest snapshot is damaged starts from that.
"""

from __future__ import annotations

import contextlib
import enum
import re
import struct
import zlib
from collections.abc import Iterator

import msgspec

from node.errors import WrongDirectory
from node.ports import Disk, DiskFile
from node.raft.messages import Membership, Snapshot
from node.storage.disk import failing_as

FORMAT = 1
KEPT = 2
"""The number of snapshots that are kept, the newest ones."""

TAKING = "taking.tmp"
RECEIVING = "receiving.tmp"

_SYNC_EVERY_BYTES = 4 << 20
"""Written and not yet synced, while a snapshot is taken: a log's sync must not wait for much."""

_READ_BYTES = 1 << 20
_MAGIC = b"LEEKYSNP"
_PREAMBLE = struct.Struct("<8sII")  # magic, format, checksum
_CHECKSUM = struct.Struct("<I")
_FRAME = struct.Struct("<IB")  # length, part
_NAME = re.compile(r"(\d{20})\.snapshot")


class Part(enum.IntEnum):
    """What a frame of the file belongs to."""

    HEADER = 0
    SESSIONS = 1
    MACHINE = 2
    TRAILER = 3


class Stands(msgspec.Struct, frozen=True, array_like=True):
    """The header: what the snapshot stands for.

    digest: the running hash of the entries up to there (`node/server/applying.py`)
    answers: that of the answers to them
    """

    cluster_id: str
    last_included_index: int
    last_included_term: int
    time_us: int
    membership: Membership
    digest: bytes
    answers: int = 0


class DamagedSnapshot(Exception):
    """A file that is no intact snapshot; its text says why."""


class OtherFormat(DamagedSnapshot):
    """A snapshot that another version of the program has written."""


def snapshot_name(index: int) -> str:
    """The file name of a snapshot; names sort as indexes do."""
    return f"{index:020d}.snapshot"


def snapshot_index(name: str) -> int | None:
    """The index of a snapshot's file; None when the file is something else."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else None


class SnapshotWriter:
    """Writes one snapshot into an empty file. Raises OSError, and is then of no more use."""

    def __init__(self, file: DiskFile, stands: Stands) -> None:
        self._file = file
        self._stands = stands
        self._offset = 0
        self._synced = 0
        self._checksum = 0
        start = _MAGIC + _CHECKSUM.pack(FORMAT)
        self._write(start + _CHECKSUM.pack(zlib.crc32(start)))
        self.add(Part.HEADER, msgspec.msgpack.encode(stands))

    def add(self, part: Part, chunk: bytes) -> None:
        """The next chunk of a part; parts come in their order."""
        self._write(_FRAME.pack(len(chunk), part))
        self._write(chunk)
        if self._offset - self._synced >= _SYNC_EVERY_BYTES:
            self._file.sync()
            self._synced = self._offset

    def finish(self) -> Snapshot:
        """Writes the trailer and syncs: all that is missing is a name."""
        checksum = self._checksum
        self.add(Part.TRAILER, _CHECKSUM.pack(checksum))
        self._file.sync()
        return _named(self._stands, self._offset, checksum)

    def _write(self, data: bytes) -> None:
        self._file.write_at(self._offset, data)
        self._offset += len(data)
        self._checksum = zlib.crc32(data, self._checksum)


class SnapshotReader:
    """An open snapshot file: to be sent, or to be restored from. Raises OSError."""

    def __init__(self, file: DiskFile) -> None:
        self._file = file

    def read_at(self, offset: int, size: int) -> bytes:
        """Its bytes, as they are sent to a peer."""
        return self._file.read_at(offset, size)

    def verify(self) -> tuple[Snapshot, Stands]:
        """Reads all of it. Raises DamagedSnapshot when it is not intact."""
        size = self._file.size()
        frames = self._frames(size)
        stands = _stands(next(frames, (Part.TRAILER, b""))[1])
        part = Part.HEADER
        trailer = b""
        for part, data in frames:  # noqa: B007 (the last one counts)
            trailer = data
        end = size - len(trailer) - _FRAME.size
        if part is not Part.TRAILER or len(trailer) != _CHECKSUM.size:
            raise DamagedSnapshot("it is cut off")
        checksum = self._checksum_up_to(end)
        if _CHECKSUM.unpack(trailer) != (checksum,):
            raise DamagedSnapshot("its checksum is another")
        return _named(stands, size, checksum), stands

    def stands(self) -> Stands:
        """Its header. The snapshot is known to be intact."""
        (header,) = self.chunks(Part.HEADER)
        return _stands(header)

    def chunks(self, part: Part) -> Iterator[bytes]:
        """One part, chunk by chunk as it was written. The snapshot is known to be intact."""
        for its_part, data in self._frames(self._file.size()):
            if its_part is part:
                yield data
            elif its_part > part:
                return

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _frames(self, size: int) -> Iterator[tuple[Part, bytes]]:
        preamble = self._file.read_at(0, _PREAMBLE.size)
        if len(preamble) < _PREAMBLE.size:
            raise DamagedSnapshot("it is cut off in its preamble")
        magic, version, checksum = _PREAMBLE.unpack(preamble)
        if magic != _MAGIC or zlib.crc32(preamble[: _PREAMBLE.size - 4]) != checksum:
            raise DamagedSnapshot("this is not the beginning of a snapshot")
        if version != FORMAT:
            raise OtherFormat(f"it is in format {version}, and this program knows {FORMAT}")
        offset = _PREAMBLE.size
        while offset < size:
            frame = self._file.read_at(offset, _FRAME.size)
            if len(frame) < _FRAME.size:
                raise DamagedSnapshot("it is cut off")
            length, part = _FRAME.unpack(frame)
            offset += _FRAME.size
            data = self._file.read_at(offset, length) if offset + length <= size else b""
            if len(data) < length or part not in Part.__members__.values():
                raise DamagedSnapshot(f"it is damaged at byte {offset}")
            offset += length
            yield Part(part), data

    def _checksum_up_to(self, end: int) -> int:
        checksum = 0
        for offset in range(0, end, _READ_BYTES):
            data = self._file.read_at(offset, min(_READ_BYTES, end - offset))
            checksum = zlib.crc32(data, checksum)
        return checksum


class SnapshotFiles:
    """The snapshots in a node's folder. Raises DiskFailed."""

    def __init__(self, disk: Disk, cluster_id: str) -> None:
        self._disk = disk
        self._cluster_id = cluster_id

    def find(self) -> tuple[list[Snapshot], list[tuple[str, str]]]:
        """The intact snapshots, newest first; and the others: file and what is wrong with it.

        Changes nothing. Another cluster's snapshot is not an intact one of this.
        Raises WrongDirectory for a snapshot that another version has written.
        """
        with failing_as("listing", "the data folder"):
            names = self._disk.list()
        intact, damaged = [], []
        for name in sorted(filter(lambda name: snapshot_index(name) is not None, names))[::-1]:
            with failing_as("read", name):
                reader = SnapshotReader(self._disk.open(name))
                try:
                    snapshot, stands = reader.verify()
                    if stands.cluster_id != self._cluster_id:
                        raise DamagedSnapshot(f"it is of cluster {stands.cluster_id}")
                    if snapshot.last_included_index != snapshot_index(name):
                        raise DamagedSnapshot("it has another's name")
                    intact.append(snapshot)
                except OtherFormat as error:  # its state is there: nothing may take its place
                    raise WrongDirectory(
                        f"{name} cannot be read ({error}): run the version that wrote it, or use "
                        "another data folder"
                    ) from error
                except DamagedSnapshot as error:
                    damaged.append((name, str(error)))
                finally:
                    reader.close()
        return intact, damaged

    def clean_up(self) -> None:
        """Removes what an earlier life did not finish."""
        with failing_as("removal", "unfinished snapshots"):
            for name in set(self._disk.list()) & {TAKING, RECEIVING}:
                self._disk.remove(name)

    def create(self, name: str) -> DiskFile:
        """An empty file, TAKING or RECEIVING, in place of what was there."""
        with failing_as("creation", name):
            if name in self._disk.list():
                self._disk.remove(name)
            return self._disk.open(name, create=True)

    def reopen(self, name: str) -> SnapshotReader:
        """TAKING, to be read. It is known to be intact."""
        with failing_as("opening", name):
            return SnapshotReader(self._disk.open(name))

    def discard(self, name: str) -> None:
        """Gives up TAKING or RECEIVING. Never fails: a next start removes it too."""
        with contextlib.suppress(OSError):
            self._disk.remove(name)

    def publish(self, name: str, snapshot: Snapshot) -> None:
        """Gives TAKING or RECEIVING, which is synced, its name; removes all but the newest two."""
        final = snapshot_name(snapshot.last_included_index)
        with failing_as("publishing", final):
            self._disk.rename(name, final)
            self._disk.sync_directory()
            kept = sorted(n for n in self._disk.list() if snapshot_index(n) is not None)
            for old in kept[:-KEPT]:
                self._disk.remove(old)

    def open(self, snapshot: Snapshot) -> SnapshotReader:
        """An intact snapshot, to be read or sent; it stays readable when its name is gone."""
        name = snapshot_name(snapshot.last_included_index)
        with failing_as("opening", name):
            return SnapshotReader(self._disk.open(name))


def check_received(file: DiskFile, expected: Snapshot, cluster_id: str) -> None:
    """Syncs what was received and sees that it is what was announced.

    Raises DiskFailed; DamagedSnapshot when it is not.
    """
    with failing_as("sync", RECEIVING):
        file.sync()
        found, stands = SnapshotReader(file).verify()
    if found != expected or stands.cluster_id != cluster_id:
        raise DamagedSnapshot("it is not the snapshot that was announced")


def _stands(header: bytes) -> Stands:
    try:
        return msgspec.msgpack.decode(header, type=Stands)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DamagedSnapshot("its header is not intact") from error


def _named(stands: Stands, size: int, checksum: int) -> Snapshot:
    return Snapshot(
        stands.last_included_index,
        stands.last_included_term,
        stands.time_us,
        stands.membership,
        size,
        checksum,
    )
