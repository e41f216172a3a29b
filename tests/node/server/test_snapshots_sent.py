"""How a snapshot goes from one server to another: in chunks, checked, and in place of the log.

The receiver is alone with what a test gives it; nothing that it answers is delivered.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from node import wire
from node.ports import Disk, DiskFile
from node.raft.messages import InstallSnapshot, InstallSnapshotReply, Message, NodeId, Snapshot
from node.server.server import Server
from node.storage.disk import OsDisk, OsFile
from node.storage.snapshots import RECEIVING, snapshot_name
from tests.node.server.test_server import World, submit
from tests.node.server.test_snapshots import grown


class CountingDisk(OsDisk):
    """Counts the open files of each name."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.open_files: Counter[str] = Counter()

    def open(self, name: str, *, create: bool = False) -> DiskFile:
        file = super().open(name, create=create)
        assert isinstance(file, OsFile)
        self.open_files[name] += 1
        return CountedFile(file, lambda: self.open_files.subtract([name]))


class CountedFile(OsFile):
    def __init__(self, file: OsFile, closed: Callable[[], None]) -> None:
        super().__init__(file._descriptor)
        self._closed = closed

    def close(self) -> None:
        self._closed()
        super().close()


class Receiving(World):
    """A leader with a snapshot, and a server that has nothing yet.

    content: the bytes of the leader's snapshot
    """

    def __init__(self, folder: Path) -> None:
        self.disks: dict[NodeId, CountingDisk] = {}
        super().__init__(folder, snapshot_entries=10, max_trailing_bytes=0)
        self.leader, _ = grown(self)
        self.receiver = next(node for node in self.servers if node != self.leader)
        taken = self.servers[self.leader].state.snapshot
        assert taken is not None
        self.snapshot = taken
        name = snapshot_name(taken.last_included_index)
        self.content = (folder / f"node-{self.leader}" / name).read_bytes()
        self.crash(self.receiver)
        shutil.rmtree(folder / f"node-{self.receiver}")
        self.server: Server = self.start(self.receiver)
        self.mail.clear()

    def disk(self, settings: wire.NodeConfig) -> Disk:
        disk = self.disks[settings.node_id] = CountingDisk(Path(settings.data_dir))
        return disk

    def give(self, offset: int, data: bytes, snapshot: Snapshot | None = None) -> None:
        term = self.servers[self.leader].state.current_term
        chunk = InstallSnapshot(term, self.leader, snapshot or self.snapshot, offset, data)
        self.server.receive(self.leader, wire.encode(1, chunk), self.now)
        while self.turn(self.receiver):
            pass

    def write_it_all(self) -> None:
        while self.queues[self.receiver].work:
            self.queues[self.receiver].do_one()
            self.turn(self.receiver)

    def told(self) -> list[int]:
        """How much the receiver has said is there, in the order in which it did."""
        self.write_it_all()
        messages: list[Message] = [
            wire.decode_rpc(frame)[1] for sender, _, frame in self.mail if sender == self.receiver
        ]
        return [one.offset for one in messages if isinstance(one, InstallSnapshotReply)]

    @property
    def is_installed(self) -> bool:
        self.write_it_all()
        return self.server.applied[0] == self.snapshot.last_included_index


@pytest.mark.parametrize(
    "useless",
    [pytest.param((0, 300), id="doubled"), pytest.param((600, 900), id="one before it is missing")],
)
def test_a_chunk_is_taken_only_where_the_one_before_it_ended(
    tmp_path: Path, useless: tuple[int, int]
) -> None:
    world = Receiving(tmp_path)
    end = len(world.content)
    for start, stop in ((0, 300), useless, (300, end)):
        world.give(start, world.content[start:stop])
    assert world.told() == [300, 300, end]
    assert not world.events[world.receiver].named("snapshot.rejected")
    assert world.server.state.log.base_index == world.snapshot.last_included_index
    assert world.is_installed


def test_a_question_is_answered_with_how_much_is_there(tmp_path: Path) -> None:
    world = Receiving(tmp_path)
    world.give(0, b"")
    world.give(0, world.content[:300])
    world.give(300, b"")
    assert world.told() == [0, 300, 300]


def test_a_snapshot_with_a_wrong_byte_is_told_of_and_received_again(tmp_path: Path) -> None:
    world = Receiving(tmp_path)
    wrong = bytearray(world.content)
    wrong[400] ^= 1
    world.give(0, bytes(wrong))
    (rejected,) = world.events[world.receiver].named("snapshot.rejected")
    assert rejected["peer"] == world.leader
    assert str(rejected["reason"]).startswith("it")
    assert world.disks[world.receiver].open_files[RECEIVING] == 0
    assert not world.is_installed
    world.give(0, world.content)
    assert world.is_installed


def test_the_file_of_a_received_snapshot_is_closed(tmp_path: Path) -> None:
    """When it is installed, and when another one is sent before it is whole."""
    world = Receiving(tmp_path)
    files = world.disks[world.receiver].open_files
    older = Snapshot(
        world.snapshot.last_included_index - 1, 1, 0, world.snapshot.membership, 900, 5
    )
    world.give(0, b"", older)
    world.give(0, b"x" * 300, older)
    assert files[RECEIVING] == 1
    world.give(0, world.content[:300])
    assert files[RECEIVING] == 1, "that of the other one"
    world.give(300, world.content[300:])
    assert world.is_installed
    assert files[RECEIVING] == 0


def test_another_snapshot_may_be_offered_before_anything_of_the_first_has_come(
    tmp_path: Path,
) -> None:
    world = Receiving(tmp_path)
    older = Snapshot(
        world.snapshot.last_included_index - 1, 1, 0, world.snapshot.membership, 900, 5
    )
    world.give(0, b"", older)
    world.give(0, b"")
    world.give(0, world.content)
    assert world.is_installed


def test_a_chunk_of_a_snapshot_whose_file_is_gone_is_not_sent(tmp_path: Path) -> None:
    """Newer ones have taken its place on the leader's disk: the peer gets one of them instead."""
    world = World(tmp_path, snapshot_entries=10, max_trailing_bytes=0, max_chunk_bytes=100)
    leader = world.elect()
    other = next(node for node in world.servers if node != leader)
    world.crash(other)
    grown(world)
    snapshot = world.servers[leader].state.snapshot
    assert snapshot is not None
    file = tmp_path / f"node-{leader}" / snapshot_name(snapshot.last_included_index)
    content = file.read_bytes()
    file.unlink()
    server = world.start(other)
    world.run(0.5)
    assert server.applied[0] == 0
    file.write_bytes(content)
    world.run(1.0)
    assert server.applied == world.servers[leader].applied


class ForkLater:
    """A fork that ends when a test says so."""

    def __init__(self) -> None:
        self.end: Callable[[], None] = lambda: None

    def run(
        self,
        work: Callable[[Callable[[], None]], bytes],
        done: Callable[[bytes | None, BaseException | None], None],
    ) -> None:
        result = work(lambda: None)
        self.end = lambda: done(result, None)


def test_a_snapshot_of_its_own_that_a_leader_s_has_overtaken_is_given_up(tmp_path: Path) -> None:
    world = World(tmp_path, snapshot_entries=1000, max_trailing_bytes=0)
    leader, client = grown(world, 5)
    other = next(node for node in world.servers if node != leader)
    server, fork = world.servers[other], ForkLater()
    server._snapshots._fork = fork
    server.take_snapshot()
    world.turn(other)
    world.mail.clear()
    del world.servers[other]
    for sequence in range(6, 11):
        submit(world.servers[leader], client, sequence, b"later")
        world.settle()
    world.servers[leader].take_snapshot()
    world.settle()
    world.servers[other] = server
    world.run(1.0)
    installed = server.status().snapshot_index
    assert installed == world.servers[leader].status().snapshot_index == 11

    fork.end()
    world.run(1.0)
    assert server.status().snapshot_index == installed
    assert not world.events[other].named("snapshot.taken")
    assert not (tmp_path / f"node-{other}" / "taking.tmp").exists()
    server._snapshots._fork = ForkLater()
    submit(world.servers[leader], client, 11, b"later")
    world.run(0.5)
    server.take_snapshot()
    world.settle()
    assert len(world.events[other].named("snapshot.begun")) == 2, "it may take another"
