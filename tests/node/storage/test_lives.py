"""Data that has forgotten is told from data that has not begun (`node/storage/lives.py`)."""

from __future__ import annotations

import contextlib
import struct
import zlib

import msgspec
import pytest

from launcher.simulation.disk import PowerCut, SimulatedDisk
from node.errors import DamagedLog, LostData, WrongDirectory
from node.raft.membership import stable
from node.raft.messages import COMMANDS, CONFIGURATION, Batch, HardState
from node.storage.lives import Founding, LastKnown, Life, check_not_lost
from node.storage.mark import read_mark
from node.storage.recovery import recover
from node.storage.salvage import rewrite, whose
from node.storage.segment import Identity
from node.storage.snapshots import TAKING, Part, SnapshotWriter, Stands
from node.storage.store import Store, examine

IDENTITY = Identity("c0ffee", 2)
FOUNDING = Founding((1, 2, 3), 3600.0, 10_000)
SEGMENT_BYTES = 4096
UNKNOWN = LastKnown()


def batch(index: int, term: int = 1, count: int = 1) -> Batch:
    return Batch(index, term, COMMANDS, count, b"x" * 40, index * 1000)


def open_store(
    disk: SimulatedDisk, life: Life, known: LastKnown = UNKNOWN, identity: Identity = IDENTITY
) -> Store:
    return Store.open(disk, identity, segment_bytes=SEGMENT_BYTES, life=life, known=known)[0]


def known_of(store: Store, life: Life) -> LastKnown:
    return LastKnown(lived=True, life=life, sequence=store.sequence)


# -- the rules -----------------------------------------------------------------------------------

KNOWN = LastKnown(lived=True, life=Life(4, 44), sequence=100, last_index=70, term=3)


def test_of_a_node_that_has_not_begun_nothing_is_known() -> None:
    assert msgspec.structs.astuple(UNKNOWN) == (False, Life(number=0, token=0), 0, 0, 0)


@pytest.mark.parametrize(
    ("found", "sequence", "starting"),
    [
        (Life(4, 44), 100, Life(5, 55)),
        (Life(4, 44), 999, Life(5, 55)),
        (Life(6, 66), 130, Life(7, 77)),  # written, and never confirmed
    ],
)
def test_data_that_holds_all_that_is_known_counts(
    found: Life, sequence: int, starting: Life
) -> None:
    check_not_lost(found, sequence, starting, KNOWN)


@pytest.mark.parametrize(
    ("found", "sequence", "starting", "why"),
    [
        (None, 0, Life(5, 55), "its data is gone"),
        (Life(3, 33), 999, Life(5, 55), "an older copy, of start 3"),
        (Life(), 999, Life(5, 55), "an older copy, of start 0"),
        (Life(4, 44), 99, Life(5, 55), "ends with record 99 of at least 100"),
        (Life(4, 45), 999, Life(5, 55), "another history"),
        (Life(5, 51), 999, Life(5, 55), "another history"),
        (Life(9, 99), 999, Life(5, 55), "another history"),
    ],
)
def test_data_that_has_lost_something_is_refused(
    found: Life | None, sequence: int, starting: Life, why: str
) -> None:
    with pytest.raises(LostData, match=why):
        check_not_lost(found, sequence, starting, KNOWN)


def test_a_node_that_has_never_lived_may_begin_and_old_data_without_a_life_counts() -> None:
    check_not_lost(None, 0, Life(1, 11), LastKnown())
    check_not_lost(None, 0, Life(7, 77), LastKnown())  # it died before it wrote anything
    check_not_lost(Life(), 40, Life(8, 88), LastKnown(lived=True))  # of format 2


# -- with a log ----------------------------------------------------------------------------------


def test_a_life_is_in_the_log_when_the_store_is_open_and_survives_everything() -> None:
    disk = SimulatedDisk()
    for number in range(1, 6):
        store = open_store(disk, Life(number, 7))
        store.append(HardState(number, 1), [batch(number)])
        disk.lose_power()
        assert examine(disk, IDENTITY).life == Life(number, 7)


def test_a_life_is_in_the_header_of_each_later_segment_and_of_a_log_begun_anew() -> None:
    disk = SimulatedDisk()
    store = open_store(disk, Life(3, 9))
    for index in range(1, 200):
        store.append(HardState(1, 1), [batch(index)])
    store._log.drop_before(200)
    assert examine_life(disk) == Life(3, 9)
    store._log.restart_after(500)
    assert examine_life(disk) == Life(3, 9)


def examine_life(disk: SimulatedDisk) -> Life:
    names = disk.list()
    found = recover(disk, names, IDENTITY, read_mark(disk, names, IDENTITY.salt()))
    assert found is not None
    return found.state.life


def test_the_sequence_rises_with_every_append_and_reaches_what_is_recovered() -> None:
    disk = SimulatedDisk()
    store = open_store(disk, Life(1, 1))
    seen = [store.sequence]
    for term in range(1, 150):  # over several segments, each third entry replaced once
        store.append(HardState(term, 1), [batch(term - term // 3, term=term)])
        seen.append(store.sequence)
    assert seen == sorted(set(seen))
    assert examine(disk, IDENTITY).sequence == seen[-1]
    disk.lose_power()
    assert examine(disk, IDENTITY).sequence == seen[-1]


def test_an_emptied_folder_is_refused_and_nothing_is_made_in_it() -> None:
    disk = SimulatedDisk()
    store = open_store(disk, Life(1, 1))
    known = known_of(store, Life(1, 1))
    disk.erase()
    with pytest.raises(LostData, match="its data is gone"):
        open_store(disk, Life(2, 2), known)
    assert disk.list() == []


def test_a_copy_from_within_the_same_life_is_refused_and_left_as_it_is() -> None:
    disk = SimulatedDisk()
    store = open_store(disk, Life(1, 1))
    store.append(HardState(1, 1), [batch(1)])
    copy = disk.copy()
    store.append(HardState(2, 1), [])
    known = known_of(store, Life(1, 1))
    before = copy.files()
    with pytest.raises(LostData, match="older copy"):
        open_store(copy, Life(2, 2), known)
    assert copy.files() == before
    open_store(disk, Life(2, 2), known)


# -- the founding --------------------------------------------------------------------------------


def test_a_log_that_began_with_other_founders_is_refused() -> None:
    disk = SimulatedDisk()
    mine = Identity("c0ffee", 2, FOUNDING)
    open_store(disk, Life(1, 1), identity=mine)
    open_store(disk, Life(2, 2), identity=mine)
    other = Identity("c0ffee", 2, Founding((1, 2, 3, 4, 5, 6), 3600.0, 10_000))
    with pytest.raises(WrongDirectory, match=r"began with nodes 1, 2, 3, .* 3, 4, 5, 6"):
        open_store(disk, Life(3, 3), identity=other)
    fewer = Identity("c0ffee", 2, Founding((1, 2, 3), 3600.0, 10))
    with pytest.raises(WrongDirectory, match=r"sessions.most 10000, .* sessions.most 10:"):
        open_store(disk, Life(3, 3), identity=fewer)


# -- the version before --------------------------------------------------------------------------


def format_2(records: list[bytes], *, capacity: int = SEGMENT_BYTES) -> bytes:
    """A first segment as the version before wrote it: format 2, without lives and founding."""
    start = b"LEEKYWAL" + struct.pack("<I", 2)
    body = struct.pack("<QqI", 0, -1, 1) + struct.pack("<QQBI", capacity, 0, False, 2) + b"c0ffee"
    front = struct.pack("<4sIQI", b"LkSg", 1, 1, len(body))
    checksum = struct.pack("<I", zlib.crc32(body, zlib.crc32(front)))
    data = start + struct.pack("<I", zlib.crc32(start)) + front + checksum + body
    for sequence, body in enumerate(records, 2):
        front = struct.pack("<4sIQI", b"LkRc", 1, sequence, len(body))
        checksum = struct.pack("<I", zlib.crc32(body, zlib.crc32(front, IDENTITY.salt())))
        data += front + checksum + body
    return data + bytes(capacity - len(data))


def record_2(term: int, vote: int, index: int) -> bytes:
    data = b"x" * 40
    head = struct.pack("<QQQBII", index, term, index * 1000, COMMANDS, 1, len(data))
    return struct.pack("<QqI", term, vote, 1) + head + data


def test_a_log_of_the_version_before_starts_and_goes_on_in_this_one() -> None:
    disk = SimulatedDisk()
    disk.put("0000000001.wal", format_2([record_2(1, 3, 1), record_2(2, 1, 2)]))
    known = LastKnown(lived=True)  # its starts were counted, and nothing was confirmed
    identity = Identity("c0ffee", 2, FOUNDING)

    store = open_store(disk, Life(8, 88), known, identity)
    store.append(HardState(3, 2), [batch(3, term=3)])

    kept = examine(disk, identity)
    assert kept.batches == [batch(1, 1), batch(2, 2), batch(3, 3)]
    assert kept.hard_state == HardState(3, 2)
    assert kept.life == Life(8, 88)
    open_store(disk, Life(9, 99), known_of(store, Life(8, 88)), identity)


@pytest.mark.parametrize("operation", range(1, 30))
def test_a_crash_while_a_log_of_the_version_before_is_taken_over_costs_nothing(
    operation: int,
) -> None:
    disk = SimulatedDisk()
    disk.put("0000000001.wal", format_2([record_2(1, 3, 1), record_2(2, 1, 2)]))
    disk.crash_at = operation
    with contextlib.suppress(PowerCut):
        open_store(disk, Life(8, 88), LastKnown(lived=True))
    disk.lose_power()
    open_store(disk, Life(9, 99), LastKnown(lived=True))
    assert examine(disk, IDENTITY).batches == [batch(1, 1), batch(2, 2)]


# -- salvage -------------------------------------------------------------------------------------


def snapshot_at(store: Store, index: int, *, cluster_id: str = "c0ffee") -> None:
    file = store.files.create(TAKING)
    writer = SnapshotWriter(
        file, Stands(cluster_id, index, 1, index * 1000, stable([1, 2, 3]), b"digest")
    )
    writer.add(Part.SESSIONS, b"sessions")
    writer.add(Part.MACHINE, b"state")
    store.publish(writer.finish())
    file.close()


@pytest.mark.parametrize("with_snapshot", [False, True])
def test_what_is_salvaged_is_all_that_the_survivor_held_and_makes_it_the_only_voter(
    with_snapshot: bool,
) -> None:
    disk = SimulatedDisk()
    store = open_store(disk, Life(5, 5))
    for index in range(1, 11):
        store.append(HardState(1, 1), [batch(index)])
    if with_snapshot:
        snapshot_at(store, 6)
        snapshot_at(store, 8)
    store.append(HardState(4, 3), [batch(11, term=4)])

    assert whose(disk) == IDENTITY
    becomes = Identity("decaf", 2, Founding((2,), 3600.0, 10_000))
    target = SimulatedDisk()
    was = disk.files()
    said = rewrite(
        disk, examine(disk, IDENTITY), IDENTITY, target, becomes, segment_bytes=SEGMENT_BYTES
    )
    target.lose_power()

    assert disk.files() == was, "the old folder is only read"
    kept = examine(target, becomes)
    assert kept.hard_state == HardState(5, 2)
    assert (kept.sequence, kept.last_index, 5) == (said.sequence, said.last_index, said.term)
    assert kept.last_index == 12
    expected = [batch(index) for index in range(9 if with_snapshot else 1, 11)]
    assert kept.batches[:-1] == [*expected, batch(11, term=4)]
    last = kept.batches[-1]
    assert (last.kind, last.term, last.time_us) == (CONFIGURATION, 5, 11_000)
    if with_snapshot:
        assert kept.snapshot is not None
        reader = Store.open(target, becomes, segment_bytes=SEGMENT_BYTES)[0].files.open(
            kept.snapshot
        )
        assert reader.verify()[1].cluster_id == "decaf"
        assert list(reader.chunks(Part.MACHINE)) == [b"state"]
    with pytest.raises(WrongDirectory):
        examine(target, IDENTITY)
    with pytest.raises(WrongDirectory):
        examine(disk, becomes)


def test_damaged_data_is_not_salvaged() -> None:
    disk = SimulatedDisk()
    store = open_store(disk, Life(1, 1))
    for index in range(1, 4):
        store.append(HardState(1, 1), [batch(index)])
    data = disk.files()["0000000001.wal"]
    disk.flip("0000000001.wal", 8 * (data.index(b"xxxx")) + 3)
    with pytest.raises(DamagedLog):
        examine(disk, IDENTITY)
