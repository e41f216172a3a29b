"""What a disk keeps when the power fails: the model, against a memory of everything written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.simulation.disk import SimulatedDisk
from node.faults.disks import DiskFaults, FaultyDisk
from node.faults.losing import lose_power
from node.faults.pages import (
    SECTOR_BYTES,
    Named,
    NamesSynced,
    Unsynced,
    names_kept,
    sector_kept,
    size_kept,
)
from node.faults.recording import RecordingDisk
from node.faults.unsynced import Memory, aside
from node.ports import Disk
from node.storage.disk import OsDisk, OsFile
from node.wire import DiskFault

NAMES = ("a", "b", "c")
MOST = 5 * SECTOR_BYTES


class DiesWithin(OsFile):
    """The process ends in its next synced write, of which all has reached the page cache."""

    dies = False

    def write_synced(self, offset: int, data: bytes) -> None:
        """The port's `write_synced`."""
        super().write_synced(offset, data)
        if self.dies:
            raise ProcessDied


class ProcessDied(BaseException):
    """Nothing of the process goes on."""


class DiesWithinDisk(OsDisk):
    """Its files are `DiesWithin`."""

    def open(self, name: str, *, create: bool = False) -> DiesWithin:
        """The port's `open`."""
        file = super().open(name, create=create)
        assert isinstance(file, OsFile)
        return DiesWithin(file._descriptor)


class Recorded:
    """A folder of files, whose unsynced writes are recorded, as a node's are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.descriptor = os.memfd_create("unsynced")
        self.memory = Memory.make(self.descriptor)
        self.faults = DiskFaults()
        self.disk = self.another_process()

    def another_process(self) -> FaultyDisk:
        """Of the node, which goes on with the same record."""
        memory = Memory.open(Path(f"/proc/self/fd/{self.descriptor}"))
        self.disk = FaultyDisk(
            RecordingDisk(DiesWithinDisk(self.folder), self.folder, memory), self.faults
        )
        return self.disk

    def dies_in(self, write: Callable[[], object]) -> bool:
        """Whether the process died in the write, which is a synced one."""
        DiesWithin.dies = True
        try:
            write()
        except ProcessDied:
            return True
        finally:
            DiesWithin.dies = False
        return False

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.folder.iterdir() if path.is_file()}

    def lose_power(self, part: Random | None = None) -> dict[str, bytes]:
        lose_power(self.memory, self.folder, part)
        self.another_process()
        return self.files()

    def close(self) -> None:
        os.close(self.descriptor)


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[Recorded]:
    one = Recorded(tmp_path / "node-1")
    yield one
    one.close()


KINDS = ["create", "rename", "remove", "names", "restart", "fails", "sync", "sync"]
KINDS += 3 * ["write", "synced"]

OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        st.sampled_from(NAMES),
        st.sampled_from(NAMES),
        st.integers(0, MOST),
        st.one_of(st.binary(min_size=1, max_size=2 * SECTOR_BYTES), st.just(bytes(700))),
    ),
    max_size=40,
)


def perform(disk: Disk, operation: tuple[str, str, str, int, bytes], set_fault: object) -> None:
    """One operation, if it can be done."""
    what, name, other, offset, data = operation
    there = disk.list()
    if what == "create":
        if name not in there:
            disk.open(name, create=True)
    elif what == "names":
        disk.sync_directory()
    elif name not in there:
        return
    elif what == "rename":
        if other not in there or other != name:
            disk.rename(name, other)
    elif what == "remove":
        disk.remove(name)
    elif what == "write":
        disk.open(name).write_at(offset, data)
    elif what == "synced":
        file = disk.open(name)
        file.write_synced(offset, data)
        file.write_synced(offset + max(len(data) - 24, 0), data + bytes(24))
    elif what == "sync":
        disk.open(name).sync()
    elif what == "fails":
        assert callable(set_fault)
        set_fault(DiskFault("fail-sync"))
        with pytest.raises(OSError, match="Input/output"):
            disk.open(name).sync()


@settings(max_examples=400, deadline=None)
@given(OPERATIONS, st.tuples(st.integers(0, MOST), st.binary(min_size=1, max_size=700)))
def test_a_real_folder_and_a_simulated_disk_lose_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    operations: list[tuple[str, str, str, int, bytes]],
    last: tuple[int, bytes],
) -> None:
    """Also what a process had written that dies in a synced write, the last one."""
    recorded = Recorded(tmp_path_factory.mktemp("pages") / "node-1")
    simulated = SimulatedDisk()
    for operation in operations:
        if operation[0] == "restart":
            recorded.another_process()
            continue
        perform(recorded.disk, operation, recorded.faults.set)
        perform(simulated, operation, lambda fault: setattr(simulated, "fault", fault))
        assert recorded.files() == simulated.files()
    for name in simulated.names:
        file, (offset, data) = recorded.disk.open(name), last
        if not recorded.dies_in(partial(file.write_synced, offset, data)):
            simulated.open(name).write_synced(offset, data)
            continue
        break
    durable = {name: bytes(inode.durable) for name, inode in simulated._durable_names.items()}
    assert recorded.lose_power() == durable
    recorded.close()


@settings(max_examples=200, deadline=None)
@given(OPERATIONS, st.integers(0, 1 << 32))
def test_a_tear_changes_only_what_was_not_synced(
    tmp_path_factory: pytest.TempPathFactory,
    operations: list[tuple[str, str, str, int, bytes]],
    seed: int,
) -> None:
    """Each byte is that of the last sync or that of now; without unsynced names, all are there."""
    recorded = Recorded(tmp_path_factory.mktemp("pages") / "node-1")
    simulated = SimulatedDisk()
    for operation in operations:
        if operation[0] not in ("restart", "rename", "remove"):
            perform(recorded.disk, operation, recorded.faults.set)
            perform(simulated, operation, lambda fault: setattr(simulated, "fault", fault))
    recorded.disk.sync_directory()
    after = recorded.lose_power(Random(seed))
    assert set(after) == set(simulated.names)
    for name, inode in simulated.names.items():
        old, new, found = bytes(inode.durable), bytes(inode.cached), after[name]
        assert len(found) in (len(old), len(new))
        old, new = (one.ljust(len(found), b"\0")[: len(found)] for one in (old, new))
        for byte, was, is_now in zip(found, old, new, strict=True):
            assert byte in (was, is_now)
    recorded.close()


def test_a_tear_takes_any_part(tmp_path: Path) -> None:
    outcomes = set()
    for seed in range(60):
        recorded = Recorded(tmp_path / f"node-{seed}")
        file = recorded.disk.open("a", create=True)
        file.write_at(0, b"o" * 3 * SECTOR_BYTES)
        file.sync()
        recorded.disk.sync_directory()
        file.write_at(0, b"n" * 3 * SECTOR_BYTES)
        found = recorded.lose_power(Random(seed))["a"]
        outcomes.add(tuple(found[at : at + SECTOR_BYTES] for at in (0, 512, 1024)))
        recorded.close()
    old, new = b"o" * SECTOR_BYTES, b"n" * SECTOR_BYTES
    assert {(old, old, old), (new, new, new)} <= outcomes
    assert any(sector not in (old, new) for outcome in outcomes for sector in outcome)


def test_the_verdicts_lose_all_or_what_chance_takes() -> None:
    assert size_kept(5, 9, None) == 5
    assert {size_kept(5, 9, Random(seed)) for seed in range(20)} == {5, 9}
    assert sector_kept(b"old", [b"new"], None) == b"old"
    assert {b"old", b"new", b"ned"} & {
        sector_kept(b"old", [b"new"], Random(seed)) for seed in range(50)
    } >= {b"old", b"new"}
    changes = [(None, "a", 1), ("a", "b", 1)]
    assert names_kept({"c": 2}, changes, None) == {"c": 2}
    kept = [names_kept({"c": 2}, changes, Random(seed)) for seed in range(50)]
    for names in ({"c": 2}, {"c": 2, "a": 1}, {"c": 2, "b": 1}):
        assert names in kept


def test_a_name_that_was_not_synced_is_undone(recorded: Recorded) -> None:
    """A created file is gone, a rename is undone, and what was removed or replaced is back."""
    disk = recorded.disk
    for name in NAMES:
        disk.open(name, create=True).write_synced(0, name.encode())
    disk.sync_directory()
    disk.rename("a", "b")
    disk.remove("c")
    disk.open("d", create=True)
    assert sorted(disk.list()) == ["b", "d"]
    assert recorded.lose_power() == {name: name.encode() for name in NAMES}
    assert not aside(recorded.folder).exists()


def test_a_name_that_is_removed_while_names_are_synced_can_be_undone(recorded: Recorded) -> None:
    """The loop of a node discards a snapshot while its disk thread syncs the folder (found by
    `launcher test --seed 7 --time 10s`: the node failed with "Directory not empty")."""

    class RemovesMeanwhile(OsDisk):
        def sync_directory(self) -> None:
            super().sync_directory()
            disk.remove("b")

    for name in "ab":
        (recorded.folder / name).write_bytes(name.encode())
    disk = RecordingDisk(RemovesMeanwhile(recorded.folder), recorded.folder, recorded.memory)
    disk.remove("a")

    disk.sync_directory()

    assert len(list(aside(recorded.folder).iterdir())) == 1
    disk._disk = OsDisk(recorded.folder)
    disk.sync_directory()
    assert not aside(recorded.folder).exists()


def test_names_that_were_synced_stay(recorded: Recorded) -> None:
    disk = recorded.disk
    disk.open("a", create=True)
    disk.rename("a", "b")
    disk.open("c", create=True)
    disk.remove("c")
    disk.sync_directory()
    assert not aside(recorded.folder).exists()
    assert recorded.lose_power() == {"b": b""}


@pytest.mark.parametrize("lives", [1, 2])
@pytest.mark.parametrize("before", [b"o", b"\0"])
def test_a_synced_write_is_lost_only_while_it_runs(
    recorded: Recorded, before: bytes, lives: int
) -> None:
    """In a new file and in one that was there, full of zeros or of something else."""
    file = recorded.disk.open("a", create=True)
    file.write_at(0, before * 4096)
    file.sync()
    recorded.disk.sync_directory()
    if lives == 2:
        file = recorded.another_process().open("a")
    file.write_synced(100, b"first")
    recorded.dies_in(lambda: file.write_synced(103, b"later"))
    assert recorded.files() == {"a": before * 100 + b"firlater" + before * 3988}
    assert recorded.lose_power() == {"a": before * 100 + b"first" + before * 3991}


def test_what_a_killed_process_left_is_as_undurable_as_before(recorded: Recorded) -> None:
    file = recorded.disk.open("a", create=True)
    file.write_at(0, b"old")
    file.sync()
    recorded.disk.sync_directory()
    file.write_at(0, b"new")
    disk = recorded.another_process()
    disk.open("a").write_at(1, b"x")
    assert recorded.files() == {"a": b"nxw"}
    assert recorded.lose_power() == {"a": b"old"}


def test_a_failed_sync_loses_its_pages_though_the_next_one_succeeds(recorded: Recorded) -> None:
    file = recorded.disk.open("a", create=True)
    file.write_at(0, b"old")
    file.sync()
    recorded.disk.sync_directory()
    file.write_at(0, b"new")
    recorded.faults.set(DiskFault("fail-sync"))
    with pytest.raises(OSError, match="injected: fail-sync"):
        file.sync()
    file.sync()
    recorded.another_process().open("a").sync()
    assert recorded.files() == {"a": b"new"}, "until the power fails it can be read"
    assert recorded.lose_power() == {"a": b"old"}


def test_what_is_written_again_after_a_failed_sync_is_kept(recorded: Recorded) -> None:
    file = recorded.disk.open("a", create=True)
    file.write_at(0, b"old")
    file.sync()
    recorded.disk.sync_directory()
    recorded.faults.set(DiskFault("fail-sync"))
    with pytest.raises(OSError, match="injected: fail-sync"):
        file.write_synced(0, b"new")
    recorded.another_process().open("a").write_synced(0, b"new")
    assert recorded.lose_power() == {"a": b"new"}


def test_a_fork_records_too(recorded: Recorded) -> None:
    disk = recorded.disk
    kept = disk.open("kept", create=True)
    kept.write_at(0, b"kept")
    kept.sync()
    disk.sync_directory()
    pid = os.fork()
    if pid == 0:
        try:
            file = disk.open("taking", create=True)
            file.write_at(0, b"a" * 5000)
            file.sync()
            file.write_at(5000, b"b" * 5000)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    disk.sync_directory()
    assert recorded.files()["taking"] == b"a" * 5000 + b"b" * 5000
    assert recorded.lose_power() == {"kept": b"kept", "taking": b"a" * 5000}


def test_a_record_that_is_full_is_put_together(recorded: Recorded) -> None:
    """Whatever is done for however long, the record has room, and stays right."""
    file = recorded.disk.open("a", create=True)
    file.write_at(0, b"o" * (1 << 16))
    file.sync()
    recorded.disk.sync_directory()
    file.write_at(0, b"lost")
    other = recorded.disk.open("b", create=True)
    recorded.disk.sync_directory()
    for number in range(3000):
        other.write_at(number, os.urandom(1000))
        other.sync()
    end = os.urandom(8 << 20)
    other.write_at(0, end)  # new
    other.sync()
    other.write_at(0, os.urandom(8 << 20))  # over what is more than the record can hold
    after = recorded.lose_power()
    assert after["a"] == b"o" * (1 << 16)
    assert len(after["b"]) == 8 << 20
    assert after["b"][-1000:] == end[-1000:], "the last piece was not synced early"


def test_a_folder_that_was_replaced_is_not_undone(recorded: Recorded, tmp_path: Path) -> None:
    recorded.disk.open("a", create=True).write_at(0, b"new")
    recorded.folder.rename(tmp_path / "away")
    recorded.folder.mkdir()
    (recorded.folder / "a").write_bytes(b"another")
    assert not recorded.memory.records(recorded.folder)
    recorded.another_process()
    assert recorded.lose_power() == {"a": b"another"}


def test_a_record_of_names_is_empty_after_their_sync() -> None:
    unsynced = Unsynced([Named(None, "a", 1), Named("a", "b", 1)])
    assert unsynced.names_kept({"b": 1}, None) == {}
    unsynced.apply(NamesSynced())
    assert unsynced.names_kept({"b": 1}, None) == {"b": 1}
