"""A node's folder: what counts of its log and its snapshots, after any crash and any damage."""

from __future__ import annotations

import contextlib
import random
import re
import struct
import zlib

import pytest

from launcher.simulation.disk import PowerCut, SimulatedDisk
from node.errors import DamagedLog, WrongDirectory
from node.raft.membership import stable
from node.raft.messages import Batch, BatchKind, HardState, Snapshot
from node.storage.segment import Identity
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
    snapshot_name,
)
from node.storage.store import Kept, Store, examine

IDENTITY = Identity("c", 1)
SEGMENT_BYTES = 2000


def batch(index: int, term: int = 1) -> Batch:
    return Batch(index, term, BatchKind.COMMANDS, 1, b"%d " % index * 20, index * 1000)


def open_store(disk: SimulatedDisk) -> tuple[Store, Kept]:
    return Store.open(disk, IDENTITY, segment_bytes=SEGMENT_BYTES)


def write_snapshot(disk: SimulatedDisk, index: int, name: str = TAKING, term: int = 1) -> Snapshot:
    file = SnapshotFiles(disk, "c").create(name)
    writer = SnapshotWriter(file, Stands("c", index, term, index * 1000, stable((1, 2)), b"digest"))
    writer.add(Part.SESSIONS, b"who")
    writer.add(Part.MACHINE, b"state at %d" % index)
    writer.add(Part.MACHINE, bytes(500))
    return writer.finish()


def state_of(disk: SimulatedDisk, snapshot: Snapshot) -> list[bytes]:
    reader = SnapshotFiles(disk, "c").open(snapshot)
    return list(reader.chunks(Part.MACHINE))


def grown(snapshots: tuple[int, ...] = (10, 20), entries: int = 25) -> SimulatedDisk:
    """A disk with so many entries, and snapshots taken at these."""
    disk = SimulatedDisk()
    store, _ = open_store(disk)
    store.append(HardState(1, 1), [])
    for index in range(1, entries + 1):
        store.append(None, [batch(index)])
        if index in snapshots:
            store.publish(write_snapshot(disk, index))
    return disk


# -- one file ------------------------------------------------------------------------------------


def test_what_is_written_is_read() -> None:
    disk = SimulatedDisk()
    snapshot = write_snapshot(disk, 7)
    reader = SnapshotReader(disk.open(TAKING))
    found, stands = reader.verify()
    assert found == snapshot
    assert stands == Stands("c", 7, 1, 7000, stable((1, 2)), b"digest")
    assert list(reader.chunks(Part.SESSIONS)) == [b"who"]
    assert list(reader.chunks(Part.MACHINE)) == [b"state at 7", bytes(500)]


def test_every_flipped_bit_and_every_cut_is_noticed() -> None:
    disk = SimulatedDisk()
    write_snapshot(disk, 7)
    content = disk.files()[TAKING]
    for at in range(len(content)):
        bad = bytearray(content)
        bad[at] ^= 1 << at % 8
        for damaged in (bytes(bad), content[:at]):
            disk.put("x", damaged)
            with pytest.raises(DamagedSnapshot):
                SnapshotReader(disk.open("x")).verify()
    disk.put("x", content + b"\0")
    with pytest.raises(DamagedSnapshot):
        SnapshotReader(disk.open("x")).verify()


def test_what_was_received_must_be_what_was_announced() -> None:
    disk = SimulatedDisk()
    snapshot = write_snapshot(disk, 7, RECEIVING)
    check_received(disk.open(RECEIVING), snapshot, "c")
    other = write_snapshot(disk, 8)
    for expected, cluster in ((other, "c"), (snapshot, "d")):
        with pytest.raises(DamagedSnapshot):
            check_received(disk.open(RECEIVING), expected, cluster)


# -- the folder ----------------------------------------------------------------------------------


def test_the_newest_two_are_kept_and_the_log_from_the_older_one_on() -> None:
    disk = grown((10, 20, 30), 35)
    names = sorted(name for name in disk.files() if name.endswith(".snapshot"))
    assert names == [snapshot_name(20), snapshot_name(30)]
    kept = examine(disk, IDENTITY)
    assert kept.snapshot is not None
    assert kept.snapshot.last_included_index == 30
    assert [b.first_index for b in kept.batches] == [31, 32, 33, 34, 35]
    assert kept.hard_state == HardState(1, 1)


def test_segments_before_the_older_snapshot_go() -> None:
    few = grown((40, 80), 100)
    all_of_it = grown((), 100)
    count = sum(name.endswith(".wal") and name[0] == "0" for name in few.files())
    before = sum(name.endswith(".wal") and name[0] == "0" for name in all_of_it.files())
    assert count < before


def test_a_segment_that_ends_where_the_older_snapshot_does_goes_with_it() -> None:
    disk = grown((), 100)
    store, _ = open_store(disk)
    first, second = store._log.segments[:2]
    for index in (first.last_index, 100):
        store.publish(write_snapshot(disk, index))
    assert first.file not in disk.files()
    assert second.file in disk.files()
    assert examine(disk, IDENTITY).last_index == 100


def test_a_damaged_newest_snapshot_is_passed_over() -> None:
    disk = grown()
    disk.flip(snapshot_name(20), 1000)
    store, kept = open_store(disk)
    assert kept.snapshot is not None
    assert kept.snapshot.last_included_index == 10
    assert kept.batches[0].first_index == 11
    assert kept.last_index == 25
    assert [file for file, _ in kept.damaged] == [snapshot_name(20)]
    store.append(None, [batch(26)])


def test_a_damaged_only_snapshot_is_passed_over_while_the_log_is_whole() -> None:
    disk = grown((10,))
    disk.flip(snapshot_name(10), 1000)
    kept = examine(disk, IDENTITY)
    assert kept.snapshot is None
    assert kept.last_index == 25


def test_a_snapshot_of_another_version_is_not_taken_for_damaged() -> None:
    """A damaged one is passed over, and its node is advised to fetch its data from its peers."""
    disk = grown((10,))
    file = disk.open(snapshot_name(10))
    magic, _, _ = struct.unpack("<8sII", file.read_at(0, 16))
    told = struct.pack("<8sI", magic, 2)
    file.write_at(0, told + struct.pack("<I", zlib.crc32(told)))
    file.close()
    with pytest.raises(WrongDirectory, match=r"in format 2, .* run the version that wrote it"):
        open_store(disk)


@pytest.mark.parametrize("files", [(20, 30), (30,)])
def test_it_is_refused_when_acknowledged_entries_would_be_lost(files: tuple[int, ...]) -> None:
    disk = grown((10, 20, 30), 100)
    if files == (30,):
        disk.lose(snapshot_name(20))
    for index in files:
        disk.flip(snapshot_name(index), 1000)
    before = disk.files()
    with pytest.raises(DamagedLog, match="; nothing was changed on disk") as refusal:
        open_store(disk)
    assert (refusal.value.file, refusal.value.offset) == (snapshot_name(30), 0)
    assert disk.files() == before, "nothing was changed"


def test_a_missing_snapshot_and_a_missing_log_are_refused() -> None:
    disk = grown((10, 20, 30), 100)
    for index in (20, 30):
        disk.lose(snapshot_name(index))
    with pytest.raises(DamagedLog, match="no snapshot stands for those before it") as refusal:
        open_store(disk)
    found = re.search(r"the log begins with entry (\d+),", str(refusal.value))
    assert found is not None
    before = int(found[1]) - 1
    assert 0 < before <= 20
    assert (refusal.value.file, refusal.value.offset) == (snapshot_name(before), 0)
    disk = grown()
    for name in list(disk.files()):
        if not name.endswith(".snapshot"):
            disk.lose(name)
    with pytest.raises(DamagedLog, match="the log is missing"):
        open_store(disk)


def test_what_was_not_finished_is_removed() -> None:
    disk = grown()
    write_snapshot(disk, 22)
    write_snapshot(disk, 500, RECEIVING)
    _, kept = open_store(disk)
    assert kept.snapshot is not None
    assert kept.snapshot.last_included_index == 20
    assert not {TAKING, RECEIVING} & set(disk.files())


def test_an_installed_snapshot_takes_the_place_of_the_log() -> None:
    disk = grown()
    store, _ = open_store(disk)
    snapshot = write_snapshot(disk, 1000, RECEIVING, term=3)
    store.install(snapshot, HardState(3, None))
    store.append(None, [batch(1001, 3)])
    kept = examine(disk, IDENTITY)
    assert kept.snapshot == snapshot
    assert kept.hard_state == HardState(3, None)
    assert [b.first_index for b in kept.batches] == [1001]
    assert state_of(disk, snapshot)[0] == b"state at 1000"


def test_a_damaged_installed_snapshot_has_no_other_in_its_place() -> None:
    disk = grown()
    store, _ = open_store(disk)
    store.install(write_snapshot(disk, 1000, RECEIVING, term=3), HardState(3, None))
    disk.flip(snapshot_name(1000), 800)
    with pytest.raises(DamagedLog):
        examine(disk, IDENTITY)


@pytest.mark.parametrize("end", [20, 25])
def test_a_log_that_holds_another_entry_where_the_snapshot_ends_is_given_up(end: int) -> None:
    """The node crashed in the middle of an install: the snapshot has its name, and the log is still
    the one from before. What it holds after entry `end` follows an entry of another term."""
    disk = grown((10,))
    store, _ = open_store(disk)
    store.append(HardState(2, 1), [])
    store.files.publish(RECEIVING, write_snapshot(disk, end, RECEIVING, term=2))

    store, kept = open_store(disk)
    assert kept.snapshot is not None
    assert (kept.snapshot.last_included_index, kept.snapshot.last_included_term) == (end, 2)
    assert (kept.batches, kept.stale_log) == ([], True)
    store.append(None, [batch(end + 1, 2)])
    assert examine(disk, IDENTITY).batches == [batch(end + 1, 2)]


# -- every crash ---------------------------------------------------------------------------------


def test_no_crash_while_one_is_taken_and_published_loses_anything() -> None:
    _try_every_crash(_publish)


def test_no_crash_while_one_is_installed_loses_what_was_there_before_it() -> None:
    _try_every_crash(_install)


def _publish(disk: SimulatedDisk, store: Store) -> None:
    store.publish(write_snapshot(disk, 24))
    store.append(None, [batch(26)])


def _install(disk: SimulatedDisk, store: Store) -> None:
    store.install(write_snapshot(disk, 1000, RECEIVING, term=2), HardState(2, 1))
    store.append(None, [batch(1001, 2)])


def _try_every_crash(what: object) -> None:
    assert callable(what)
    ends: set[tuple[int, int]] = set()
    crash_at = 1
    while True:
        finished = False
        for seed in range(6):
            disk = grown()
            disk.rng = random.Random(f"{crash_at} {seed}")
            store, _ = open_store(disk)
            disk.operations, disk.crash_at = 0, crash_at
            with contextlib.suppress(PowerCut):
                what(disk, store)
                finished = True
            disk.restart()
            if seed:
                disk.lose_power()
            store, kept = open_store(disk)
            index = kept.snapshot.last_included_index if kept.snapshot else 0
            ends.add((index, kept.last_index))
            # Acknowledged were entries 1 to 25, and term 1; or what has taken their place.
            assert kept.last_index >= 25
            assert kept.hard_state.current_term >= 1
            assert kept.batches == [
                batch(i, 2 if i > 1000 else 1) for i in range(index + 1, kept.last_index + 1)
            ]
            assert kept.snapshot is not None
            assert state_of(disk, kept.snapshot)[0] == b"state at %d" % index
            store.append(None, [batch(kept.last_index + 1, 2)])
            assert examine(disk, IDENTITY).last_index == kept.last_index + 1
        if finished:
            break
        crash_at += 1
    assert len(ends) >= 3, "before, in between, and after"
    assert crash_at > 10
