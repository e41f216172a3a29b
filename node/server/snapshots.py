"""A server's snapshots: when they are taken, how they are sent, received and restored (§7).

Taken: when enough of the log has been applied since the last one, by bytes or by entries, or when
somebody asks. A snapshot is of the machine, the client sessions, and how far the log was applied.
It is written by a fork of the process, which sees all of that as it was at that moment, while the
server goes on; then the server's own disk queue gives it its name, behind everything that the log
must hold by then.

All nodes apply the same, and would all be at it in the same moment, and slow. So the first one
of a process, and the first behind one that was asked for or came from a leader, comes sooner, by up
to half, by a share that is another on each node: from then on they take turns, and a majority goes
on at its usual pace.

A snapshot that cannot be taken (a full disk, a machine that raises) is given up and told of; the
log stays as long as it is, and after as many entries again the next one is tried.

Sent and received: a chunk at a time, read and written beside the loop (`background`), as the core
says (`node/raft/snapshot.py`). What has been received is synced and checked, to the last byte,
before the core hears of it. A machine is restored beside the loop too: a new one, which takes the
place of the old when it is done.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec

from node.errors import DiskFailed, MachineError
from node.events import Note
from node.machines.failures import MOST_LINE_CHARACTERS, raised
from node.machines.protocol import Machine
from node.machines.registry import is_shipped
from node.machines.sessions import Sessions
from node.ports import DiskFile, DiskQueue, Fork, Points
from node.printable import error_line
from node.raft.messages import InstallSnapshot, Message, NodeId, Snapshot
from node.raft.raft import Raft
from node.server.settings import sessions_of
from node.storage.disk import failing_as
from node.storage.snapshots import (
    RECEIVING,
    TAKING,
    DamagedSnapshot,
    Part,
    SnapshotFiles,
    SnapshotReader,
    SnapshotWriter,
    Stands,
    check_received,
)
from node.wire import NodeConfig

_GOLDEN = (5**0.5 - 1) / 2
"""Its multiples, without what is before the point, lie as far apart as any."""


@dataclass
class _Receiving:
    """A snapshot that a leader is sending. accepted: bytes handed to the disk so far"""

    snapshot: Snapshot
    file: DiskFile | None = None
    accepted: int = 0


class _Taken(msgspec.Struct):
    """What a fork says of a snapshot that it has written.

    state: the CRC-32 of the machine's part
    canonical: restored, it gives the same bytes again
    """

    snapshot: Snapshot
    state: int
    canonical: bool = True


class Snapshots:
    """One server's. What is `done` later is done in the loop."""

    def __init__(
        self,
        config: NodeConfig,
        files: SnapshotFiles,
        background: DiskQueue,
        fork: Fork,
        note: Note,
        send: Callable[[list[tuple[NodeId, Message]]], None],
        points: Points,
    ) -> None:
        self._config = config
        self._points = points
        self._files = files
        self._background = background
        self._fork = fork
        self._note = note
        self._send = send
        self._taking = False
        self._wanted = False
        self._applied_bytes = 0
        self._applied_entries = 0
        self._plan(_first_share(config), 0)
        self._receiving: _Receiving | None = None
        self._complete = False
        """what was received is being checked, or installed"""
        self._readers: dict[int, SnapshotReader] = {}
        self.failures = 0
        self.problem = ""
        """how many attempts to take one have failed, and why the last one did, if it did"""
        self.state: tuple[int, int] | None = None
        """the index of the last one taken, and the checksum of the machine's state there"""
        self._told_of_bytes = False

    # -- taking ----------------------------------------------------------------------------------

    def applied(self, entries: int, size: int) -> None:
        """So much more of the log is applied."""
        self._applied_entries += entries
        self._applied_bytes += size

    def want(self) -> None:
        """One is asked for. While one is being taken: another after it."""
        self._wanted = True

    def no_need(self) -> None:
        """There is one of all that is applied."""
        self._wanted = False

    @property
    def is_due(self) -> bool:
        """It is time to take one. A large state is not written again for every little."""
        return not self._taking and (
            self._wanted
            or self._applied_entries >= self._enough_entries
            or self._applied_bytes >= self._enough_bytes
        )

    def _plan(self, share: float, last_size: int) -> None:
        """How much is to be applied before the next.

        share: of what is applied between two
        last_size: of the last snapshot, in bytes
        """
        config = self._config
        self._share, self._last_size = share, last_size
        self._enough_entries = share * config.snapshot_entries
        self._enough_bytes = share * max(config.snapshot_log_bytes, last_size)

    def take(
        self,
        stands: Stands,
        sessions: Sessions,
        machine: Machine,
        new_machine: Callable[[], Machine],
        done: Callable[[Snapshot], None],
    ) -> None:
        """Writes one of the state as it is now. `done` when it is whole; it has no name yet, and
        no other is taken before `published` or `drop`.

        new_machine: makes one to restore it into, to see that it can be
        """
        if not self._wanted:  # or all that were asked at once would go on at once
            self._plan(1.0, self._last_size)
        self._taking, self._wanted = True, False
        self._applied_entries = self._applied_bytes = 0
        index = stands.last_included_index
        self._note("info", "snapshot.begun", index=index)

        config = self._config

        def work(goes_on: Callable[[], None]) -> bytes:
            taken = _Taken(*_write(config, self._files, stands, sessions, machine, goes_on))
            if not is_shipped(config.machine):
                taken.canonical = _restorable(
                    config, self._files, stands, taken, new_machine, goes_on
                )
            return msgspec.msgpack.encode(taken)

        def ended(result: bytes | None, error: BaseException | None) -> None:
            if result is None:
                assert error is not None, "a fork gives a result or an error"
                self._taking = False
                self.failures += 1
                self.problem = error_line(error, MOST_LINE_CHARACTERS)
                self._note("error", "snapshot.failed", index=index, reason=self.problem)
                return
            taken = msgspec.msgpack.decode(result, type=_Taken)
            self.problem = ""
            self._note_state(index, taken)
            self._plan(self._share, taken.snapshot.size)
            done(taken.snapshot)

        self._fork.run(work, ended)

    def _note_state(self, index: int, taken: _Taken) -> None:
        """Where equal states give equal bytes, other nodes' can be compared with this one."""
        self.state = (index, taken.state) if taken.canonical else None
        if not taken.canonical and not self._told_of_bytes:
            self._told_of_bytes = True
            self._note("warn", "snapshot.not_canonical", index=index, machine=self._config.machine)

    def published(self) -> None:
        """What was taken has its name."""
        self._taking = False

    def drop(self) -> None:
        """What was taken is of no use: a leader's has overtaken it."""
        self._taking = False
        self._files.discard(TAKING)

    # -- sending ---------------------------------------------------------------------------------

    def send_chunk(self, raft: Raft, peer: NodeId, message: InstallSnapshot) -> None:
        """Reads the chunk that stands at the message's offset, and sends it."""
        if self._points.armed:
            self._points.reach("before-send-snapshot")
        progress = raft.state.progress.values()
        in_use = {one.snapshot.last_included_index for one in progress if one.snapshot}
        for index in set(self._readers) - in_use:
            self._background.run(self._readers.pop(index).close, _ignore)
        snapshot = message.snapshot
        data: list[bytes] = []

        def read() -> None:
            reader = self._readers.get(snapshot.last_included_index)
            if reader is None:
                try:
                    reader = self._files.open(snapshot)
                except DiskFailed as failure:
                    if isinstance(failure.cause, FileNotFoundError):
                        return  # newer ones have replaced it: the next question offers one of them
                    raise
                self._readers[snapshot.last_included_index] = reader
            with failing_as("read", "a snapshot"):
                data.append(reader.read_at(message.offset, self._config.limits.max_chunk_bytes))

        def done(error: BaseException | None) -> None:
            if error is not None:
                raise error
            raft.chunk_sent(peer, message)
            if data:
                self._send([(peer, msgspec.structs.replace(message, data=data[0]))])

        self._background.run(read, done)

    # -- receiving -------------------------------------------------------------------------------

    def receive(self, raft: Raft, sender: NodeId, message: InstallSnapshot) -> None:
        """Stores a chunk, and says how much there is; when it is all, the core is told."""
        receiving = self._receiving
        if receiving is None or receiving.snapshot != message.snapshot:
            if self._complete:
                return  # the one before is being installed: the leader asks again
            self._give_up_receiving()
            receiving = self._receiving = _Receiving(message.snapshot)
        fits = message.offset == receiving.accepted
        if self._complete or not message.data or not fits:
            raft.chunk_taken(sender, message, receiving.accepted, raft.state.now)
            return
        offset, receiving.accepted = receiving.accepted, receiving.accepted + len(message.data)
        complete = self._complete = receiving.accepted >= message.snapshot.size

        def write() -> None:
            if receiving.file is None:
                receiving.file = self._files.create(RECEIVING)
            with failing_as("write", RECEIVING):
                receiving.file.write_at(offset, message.data)
            if complete:
                check_received(receiving.file, message.snapshot, self._config.cluster_id)

        def done(error: BaseException | None) -> None:
            if isinstance(error, DamagedSnapshot):
                self._note("warn", "snapshot.rejected", peer=sender, reason=str(error))
                self._complete = False
                self._give_up_receiving()
            elif error is not None:
                raise error
            elif self._receiving is not receiving:
                return  # overtaken
            elif not complete:
                raft.chunk_taken(sender, message, offset + len(message.data), raft.state.now)
            elif not raft.snapshot_received(sender, message, raft.state.now):
                self.installed()
                self._files.discard(RECEIVING)

        self._background.run(write, done)

    def installed(self) -> None:
        """What was received has been dealt with: another may come."""
        self._complete = False
        self._give_up_receiving()

    def _give_up_receiving(self) -> None:
        receiving, self._receiving = self._receiving, None
        if receiving is not None and receiving.file is not None:
            self._background.run(receiving.file.close, _ignore)

    # -- restoring -------------------------------------------------------------------------------

    def begin_from(self, snapshot: Snapshot) -> None:
        """The state is that of this snapshot: the next one is due so much later."""
        self._applied_entries = self._applied_bytes = 0
        self._plan(_first_share(self._config), snapshot.size)

    def restore(
        self, snapshot: Snapshot, new_machine: Callable[[], Machine]
    ) -> tuple[Machine, Sessions, Stands]:
        """A new machine and sessions with the state of a snapshot. Disk work, and slow.

        Raises MachineError when the machine cannot make anything of it, and DiskFailed.
        """
        reader = self._files.open(snapshot)
        try:
            with failing_as("read", "a snapshot"):
                stands = reader.stands()
            index = snapshot.last_included_index
            machine, sessions = _restored(self._config, reader, index, new_machine)
        finally:
            reader.close()
        return machine, sessions, stands


def _first_share(config: NodeConfig) -> float:
    """Between a half and one, and far from any other node's."""
    return 1 - config.node_id * _GOLDEN % 1 / 2


def _write(
    config: NodeConfig,
    files: SnapshotFiles,
    stands: Stands,
    sessions: Sessions,
    machine: Machine,
    goes_on: Callable[[], None],
) -> tuple[Snapshot, int]:
    """The snapshot, whole and synced, and the checksum of the machine's part.

    goes_on: called after each chunk

    Raises MachineError when the machine fails, or gives anything but bytes.
    """
    file = files.create(TAKING)
    state = 0
    try:
        with failing_as("write", TAKING):
            writer = SnapshotWriter(file, stands)
            for chunk in sessions.snapshot():
                writer.add(Part.SESSIONS, chunk)
                goes_on()
            for chunk in _chunks_of(config, machine):
                writer.add(Part.MACHINE, chunk)
                state = zlib.crc32(chunk, state)
                goes_on()
            return writer.finish(), state
    except BaseException:
        files.discard(TAKING)
        raise
    finally:
        file.close()


def _chunks_of(config: NodeConfig, machine: Machine) -> Iterator[bytes]:
    try:
        for chunk in machine.snapshot():
            if not isinstance(chunk, bytes | bytearray | memoryview):
                kind = type(chunk).__name__
                raise TypeError(f"snapshot must give pieces of bytes, and gave {kind}")
            yield bytes(chunk)
    except GeneratorExit:
        raise  # whoever takes the pieces has given up
    except BaseException as error:
        raise raised(config.machine, "to write down its state", error) from error


def _restorable(
    config: NodeConfig,
    files: SnapshotFiles,
    stands: Stands,
    taken: _Taken,
    new_machine: Callable[[], Machine],
    goes_on: Callable[[], None],
) -> bool:
    """Whether what was just written, restored into a new machine, gives the same bytes again.

    If not, nothing need be wrong: the order of a set may differ. But what cannot be restored at all
    must be found now, while the log is there, and not at the next start of all nodes.
    Raises MachineError.
    """
    reader = files.reopen(TAKING)
    index = stands.last_included_index
    try:
        machine, _ = _restored(config, reader, index, new_machine, goes_on)
    except BaseException:
        files.discard(TAKING)
        raise
    finally:
        reader.close()
    state = 0
    for chunk in _chunks_of(config, machine):
        state = zlib.crc32(chunk, state)
        goes_on()
    return state == taken.state


def _read(
    reader: SnapshotReader, part: Part, goes_on: Callable[[], None] | None
) -> Iterator[bytes]:
    """Its chunks. Raises DiskFailed, which is none of the machine's errors."""
    with failing_as("read", "a snapshot"):
        for chunk in reader.chunks(part):
            yield chunk
            if goes_on is not None:
                goes_on()


def _restored(
    config: NodeConfig,
    reader: SnapshotReader,
    index: int,
    new_machine: Callable[[], Machine],
    goes_on: Callable[[], None] | None = None,
) -> tuple[Machine, Sessions]:
    """A new machine and sessions with the state of an intact snapshot. Raises MachineError.

    goes_on: called after each chunk
    """
    machine, sessions = new_machine(), sessions_of(config)
    sessions.restore(_read(reader, Part.SESSIONS, goes_on))
    try:
        machine.restore(_read(reader, Part.MACHINE, goes_on))
    except (MachineError, DiskFailed):
        raise
    except BaseException as error:
        raise raised(config.machine, f"to restore the snapshot at {index}", error) from error
    return machine, sessions


def _ignore(error: BaseException | None) -> None:
    """Closing a file that was only read, or is of no use any more, cannot fail in a way that
    matters."""
