"""The write-ahead log by behaviour: what goes in comes out, and what it costs."""

from __future__ import annotations

import errno
import random
import struct
import zlib

import pytest

from launcher.simulation.disk import PowerCut, SimulatedDisk
from node.errors import DiskFailed, WrongDirectory
from node.raft.messages import Batch, HardState
from node.storage import wal
from node.storage.segment import FORMAT, Identity, header_size, record_size
from node.storage.wal import Recovered, WriteAheadLog
from tests.node.storage.model import IDENTITY, batch

SEGMENT_BYTES = 2136


def open_log(disk: SimulatedDisk, identity: Identity = IDENTITY) -> tuple[WriteAheadLog, Recovered]:
    return WriteAheadLog.open(disk, identity, segment_bytes=SEGMENT_BYTES)


def reopen(disk: SimulatedDisk) -> Recovered:
    return open_log(disk)[1]


def spans(log: WriteAheadLog) -> list[tuple[int, int, int]]:
    return [(s.number, s.first_index, s.last_index) for s in log.segments]


def make_spare(log: WriteAheadLog) -> None:
    while log.make_spare():
        pass


def fill(log: WriteAheadLog, first: int, last: int, size: int = 400) -> list[Batch]:
    """Appends single entries, each on its own; four of the default size fill a segment."""
    batches = [batch(index, size=size) for index in range(first, last + 1)]
    for one in batches:
        log.append(None, [one])
    return batches


# -- appending and reading back ------------------------------------------------------------------


def test_empty_folder_becomes_an_empty_log() -> None:
    disk = SimulatedDisk()

    assert reopen(disk) == Recovered(HardState(), [], None)
    assert reopen(disk) == Recovered(HardState(), [], None)


def test_what_was_appended_is_recovered() -> None:
    disk = SimulatedDisk()
    log, _ = open_log(disk)
    log.append(HardState(1, 2), [batch(1), batch(2, 3)])
    log.append(None, [batch(5, term=2)])
    log.append(HardState(7, None), [])
    log.close()

    expected = [batch(1), batch(2, 3), batch(5, term=2)]
    assert reopen(disk) == Recovered(HardState(7, None), expected, None)


def test_everything_survives_a_power_loss_right_after_append() -> None:
    for seed in range(20):
        disk = SimulatedDisk(random.Random(seed))
        log, _ = open_log(disk)
        log.append(HardState(3, 1), [])
        batches = fill(log, 1, 9)
        disk.lose_power()

        assert reopen(disk) == Recovered(HardState(3, 1), batches, None)


def test_a_batch_at_or_below_the_end_replaces_everything_from_there_on() -> None:
    disk = SimulatedDisk()
    log, _ = open_log(disk)
    log.append(None, [batch(1, 2), batch(3, 2), batch(5)])
    log.append(None, [batch(3, 1, term=2), batch(4, 1, term=2)])

    assert reopen(disk).batches == [batch(1, 2), batch(3, 1, term=2), batch(4, 1, term=2)]


def test_one_append_may_replace_a_batch_of_its_own() -> None:
    disk = SimulatedDisk()
    log, _ = open_log(disk)
    log.append(None, [batch(1), batch(2), batch(3), batch(2, term=2)])
    log.append(None, [batch(3, term=2), batch(1, term=3)])

    assert reopen(disk).batches == [batch(1, term=3)]


@pytest.mark.parametrize("wrong", [batch(3), batch(7), batch(0)])
def test_a_gap_or_half_a_batch_is_the_callers_mistake(wrong: Batch) -> None:
    disk = SimulatedDisk()
    log, _ = open_log(disk)
    log.append(None, [batch(1), batch(2, 4)])

    with pytest.raises(AssertionError, match="begins neither behind the end"):
        log.append(None, [wrong])

    log.append(None, [batch(6)])  # nothing of it was written
    assert reopen(disk).batches == [batch(1), batch(2, 4), batch(6)]


@pytest.mark.parametrize("wrong", [HardState(4, 1), HardState(5, 2), HardState(5, None)])
def test_a_term_or_vote_that_goes_back_is_the_callers_mistake(wrong: HardState) -> None:
    log, _ = open_log(SimulatedDisk())
    log.append(HardState(5, 1), [])

    with pytest.raises(AssertionError, match="does not follow"):
        log.append(wrong, [])


# -- what it costs -------------------------------------------------------------------------------


def test_an_append_is_one_write_one_sync_and_one_mark() -> None:
    disk = SimulatedDisk()
    log, _ = open_log(disk)
    disk.restart()

    log.append(HardState(2, 1), [batch(1), batch(2, 5), batch(7)])

    assert disk.history == ["write 0000000001.wal", "sync 0000000001.wal", "write synced.mark"]


def test_nothing_new_costs_nothing() -> None:
    disk = SimulatedDisk()
    log, _ = open_log(disk)
    log.append(HardState(2, 1), [])
    disk.restart()

    log.append(None, [])
    log.append(HardState(2, 1), [])

    assert disk.history == []


# -- segments ------------------------------------------------------------------------------------


def test_a_full_segment_is_followed_by_the_next() -> None:
    disk = SimulatedDisk()
    log, _ = open_log(disk)
    log.append(HardState(4, 2), [])
    batches = fill(log, 1, 9)

    assert spans(log) == [(1, 1, 4), (2, 5, 8), (3, 9, 9)]
    assert [s.file for s in log.segments] == [f"000000000{n}.wal" for n in (1, 2, 3)]
    log, recovered = open_log(disk)
    assert recovered == Recovered(HardState(4, 2), batches, None)
    assert spans(log) == [(1, 1, 4), (2, 5, 8), (3, 9, 9)]


def test_segments_are_really_written_before_they_are_used() -> None:
    disk = SimulatedDisk()
    log, _ = open_log(disk)
    fill(log, 1, 9)

    sizes = {n: len(c) for n, c in disk.files().items() if n.endswith(".wal")}
    assert set(sizes.values()) == {SEGMENT_BYTES}
    made = disk.history.index("rename 0000000002.wal")
    assert disk.history[made - 4 : made + 3] == [
        "create segment.tmp",
        "write segment.tmp",
        "write segment.tmp",
        "sync segment.tmp",
        "rename 0000000002.wal",
        "sync directory",
        "write 0000000002.wal",
    ]


@pytest.mark.parametrize("size", [SEGMENT_BYTES - 200, SEGMENT_BYTES, 5 * SEGMENT_BYTES])
def test_a_batch_as_large_as_a_segment_or_larger_is_kept_whole(size: int) -> None:
    disk = SimulatedDisk()
    log, _ = open_log(disk)
    batches = [batch(1), batch(2, 50, size=size), batch(52)]
    for one in batches:
        log.append(None, [one])

    assert reopen(disk).batches == batches


def test_every_length_up_to_the_very_end_of_a_segment() -> None:
    """The end mark is cut short, or absent, when less than a frame is left."""
    for size in range(SEGMENT_BYTES - 230, SEGMENT_BYTES - 130):
        disk = SimulatedDisk()
        log, _ = open_log(disk)
        log.append(None, [batch(1, size=size)])
        log, recovered = open_log(disk)
        assert recovered == Recovered(HardState(), [batch(1, size=size)], None)
        log.append(None, [batch(2)])
        assert reopen(disk).batches == [batch(1, size=size), batch(2)]


@pytest.mark.parametrize(("one_more", "expected"), [(0, [(1, 1, 1)]), (1, [(1, 0, 0), (2, 1, 1)])])
def test_a_record_that_fits_to_the_last_byte_begins_no_segment(
    one_more: int, expected: list[tuple[int, int, int]]
) -> None:
    disk = SimulatedDisk()
    log, _ = open_log(disk)
    room = SEGMENT_BYTES - header_size(IDENTITY) - record_size([batch(1, size=0)])
    log.append(None, [batch(1, size=room + one_more)])

    assert spans(log) == expected
    assert len(disk.files()["0000000001.wal"]) == SEGMENT_BYTES, "no file grows"
    fill(log, 2, 2)
    assert reopen(disk).batches == [batch(1, size=room + one_more), batch(2, size=400)]


@pytest.mark.parametrize(
    ("last", "replaced", "expected"),
    [
        (9, 3, [(1, 1, 2), (2, 0, 0), (3, 3, 3)]),
        (9, 4, [(1, 1, 3), (2, 0, 0), (3, 4, 4)]),
        (9, 5, [(1, 1, 4), (2, 0, 0), (3, 5, 5)]),
        (9, 8, [(1, 1, 4), (2, 5, 7), (3, 8, 8)]),
        (9, 9, [(1, 1, 4), (2, 5, 8), (3, 9, 9)]),
        (8, 8, [(1, 1, 4), (2, 5, 7), (3, 8, 8)]),
        (8, 1, [(1, 0, 0), (2, 0, 0), (3, 1, 1)]),
    ],
)
def test_replaced_entries_leave_the_index_of_their_segments(
    last: int, replaced: int, expected: list[tuple[int, int, int]]
) -> None:
    """Segments hold the entries 1 to 4, 5 to 8, and 9."""
    disk = SimulatedDisk()
    log, _ = open_log(disk)
    fill(log, 1, last)

    log.append(None, [batch(replaced, term=2)])

    assert spans(log) == expected
    assert spans(open_log(disk)[0]) == expected


# -- dropping ------------------------------------------------------------------------------------


def test_segments_wholly_below_are_dropped_and_the_state_is_kept() -> None:
    disk = SimulatedDisk()
    log, _ = open_log(disk)
    log.append(HardState(6, 3), [])
    batches = fill(log, 1, 9)

    log.drop_before(8)

    assert spans(log) == [(2, 5, 8), (3, 9, 9)]
    log, recovered = open_log(disk)
    assert recovered == Recovered(HardState(6, 3), batches[4:], None)
    assert spans(log) == [(2, 5, 8), (3, 9, 9)]
    log.drop_before(100)
    assert spans(log) == [(3, 9, 9)]
    assert reopen(disk) == Recovered(HardState(6, 3), batches[8:], None)


def test_nothing_to_drop_costs_nothing() -> None:
    disk = SimulatedDisk()
    log, _ = open_log(disk)
    fill(log, 1, 9)
    disk.restart()

    log.drop_before(4)

    assert disk.history == []


def test_dropped_segments_are_used_again_and_only_a_few_are_kept() -> None:
    disk = SimulatedDisk()
    log, _ = open_log(disk)
    batches = fill(log, 1, 29)
    log.drop_before(29)
    assert len([n for n in disk.list() if n.startswith("spare-")]) == 4
    disk.restart()

    batches += fill(log, 30, 45)

    assert "create segment.tmp" not in disk.history
    assert not [n for n in disk.list() if n.startswith("spare-")]
    assert reopen(disk) == Recovered(HardState(), batches[28:], None)


def test_stale_records_of_a_recycled_segment_are_a_clean_end() -> None:
    """At every fill level, whatever the earlier use left behind the end."""
    disk = SimulatedDisk()
    log, _ = open_log(disk)
    batches = fill(log, 1, 9)
    for index in range(10, 60):
        log.drop_before(index - 1)
        batches += fill(log, index, index)
        recovered = reopen(disk)
        assert recovered.torn is None
        assert recovered.batches == batches[-len(recovered.batches) :]
    assert log.segments[-1].number > 10


def test_a_spare_of_another_size_is_not_used() -> None:
    disk = SimulatedDisk()
    log, _ = open_log(disk)
    batches = fill(log, 1, 9)
    log.drop_before(9)

    log, _ = WriteAheadLog.open(disk, IDENTITY, segment_bytes=2 * SEGMENT_BYTES)
    batches += fill(log, 10, 20)

    assert not [n for n in disk.list() if n.startswith("spare-")]
    assert reopen(disk) == Recovered(HardState(), batches[8:], None)


def test_a_spare_is_due_once_in_each_segment_when_half_of_it_is_written() -> None:
    disk = SimulatedDisk()
    log, _ = open_log(disk)
    due = []
    for index in range(1, 9):
        fill(log, index, index)
        due.append(log.spare_is_due())
        if due[-1]:
            disk.restart()
            disk.fail_at = 1
            with pytest.raises(DiskFailed):
                make_spare(log)
            disk.restart()
    assert due == [False, True, False, False, False, True, False, False]


def test_a_spare_is_due_as_soon_as_more_than_half_of_a_segment_is_written() -> None:
    disk = SimulatedDisk()
    log, _ = open_log(disk)
    index = 1
    while not log.spare_is_due():
        before = len(disk.files()["0000000001.wal"].rstrip(b"\0"))
        fill(log, index, index, size=20)
        index += 1
    after = len(disk.files()["0000000001.wal"].rstrip(b"\0"))
    assert before <= SEGMENT_BYTES // 2 < after


def test_no_other_is_due_while_one_is_on_its_way() -> None:
    """Two would get the same name, and one might while a segment is being made of the other."""
    disk = SimulatedDisk()
    log, _ = open_log(disk)
    batches = fill(log, 1, 3)
    assert log.spare_is_due()
    batches += fill(log, 4, 7)  # the next segment is made meanwhile, and half full
    assert not log.spare_is_due()
    make_spare(log)
    assert not log.spare_is_due()
    batches += fill(log, 8, 12)
    assert reopen(disk) == Recovered(HardState(), batches, None)


def test_the_next_segment_is_the_spare_that_was_made_ahead() -> None:
    disk = SimulatedDisk()
    log, _ = open_log(disk)
    batches = fill(log, 1, 3)
    assert log.spare_is_due()
    make_spare(log)
    disk.restart()

    batches += fill(log, 4, 7)

    assert "create segment.tmp" not in disk.history
    assert not [n for n in disk.list() if n.startswith("spare")]
    disk.lose_power()
    assert reopen(disk) == Recovered(HardState(), batches, None)


def test_what_was_a_spare_made_ahead_holds_zeros_behind_its_end() -> None:
    """As any new segment does, and unlike one that was used before: anything else is noticed."""
    disk = SimulatedDisk()
    log, _ = open_log(disk)
    fill(log, 1, 3)
    assert log.spare_is_due()
    make_spare(log)
    fill(log, 4, 5)
    content = bytearray(disk.files()["0000000002.wal"])
    content[-1] = 1
    disk.put("0000000002.wal", bytes(content))

    torn = reopen(disk).torn
    assert torn is not None
    assert torn.reason.startswith("an unfinished write")


def test_no_other_is_due_while_one_is_there() -> None:
    disk = SimulatedDisk()
    log, _ = open_log(disk)
    batches = fill(log, 1, 3)
    assert log.spare_is_due()
    make_spare(log)
    log, _ = open_log(disk)
    assert not log.spare_is_due(), "the last life made one"
    batches += fill(log, 4, 7)
    assert reopen(disk) == Recovered(HardState(), batches, None)


def test_a_spare_is_made_piece_by_piece_while_the_log_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wal, "_ZEROS", bytes(500))
    disk = SimulatedDisk()
    log, _ = open_log(disk)
    batches = fill(log, 1, 2)
    assert log.spare_is_due()
    for index in range(3, 7):  # 2136 bytes are five pieces; the segment ends meanwhile
        assert log.make_spare()
        batches += fill(log, index, index)
    assert not log.make_spare()
    assert disk.files()["spare-0000000000.wal"] == bytes(SEGMENT_BYTES)
    batches += fill(log, 7, 12)
    disk.lose_power()
    assert reopen(disk) == Recovered(HardState(), batches, None)


@pytest.mark.parametrize("operation", [1, 2, 3, 4])
def test_a_spare_that_cannot_be_made_does_the_log_no_harm(operation: int) -> None:
    disk = SimulatedDisk()
    log, _ = open_log(disk)
    batches = fill(log, 1, 3)
    assert log.spare_is_due()
    disk.restart()
    disk.fail_at, disk.fail_with = operation, errno.ENOSPC

    with pytest.raises(DiskFailed):
        make_spare(log)

    disk.restart()
    assert not log.spare_is_due(), "once for each segment is enough"
    batches += fill(log, 4, 7)
    assert log.spare_is_due()
    make_spare(log)
    assert reopen(disk) == Recovered(HardState(), batches, None)
    assert "spare.tmp" not in disk.list()


def test_a_replacement_may_outlive_the_segment_that_held_what_it_replaced() -> None:
    disk = SimulatedDisk()
    log, _ = open_log(disk)
    fill(log, 1, 6)  # segment 2 begins with entry 5
    log.append(None, [batch(3, term=2), batch(4, 3, term=2)])
    log.drop_before(3)

    log, recovered = open_log(disk)

    assert spans(log) == [(2, 3, 6)]
    assert recovered.batches == [batch(3, term=2), batch(4, 3, term=2)]


def test_dropped_entries_cannot_be_replaced() -> None:
    disk = SimulatedDisk()
    log, _ = open_log(disk)
    fill(log, 1, 9)
    log.drop_before(9)

    with pytest.raises(AssertionError, match="begins neither behind the end"):
        log.append(None, [batch(5)])


def test_a_drop_that_a_crash_interrupted_is_finished_by_the_next_start() -> None:
    disk = SimulatedDisk()
    log, _ = open_log(disk)
    batches = fill(log, 1, 9)
    disk.restart()
    disk.crash_at = 4  # behind the record's write, sync and mark: the first rename
    with pytest.raises(PowerCut, match="rename"):
        log.drop_before(9)
    disk.restart()

    log, recovered = open_log(disk)

    assert recovered.batches == batches[8:]
    assert spans(log) == [(3, 9, 9)]
    assert not {"0000000001.wal", "0000000002.wal"} & set(disk.list())


def test_a_recycled_segment_that_has_only_its_header_is_a_clean_end() -> None:
    disk = SimulatedDisk()
    log, _ = open_log(disk)
    batches = fill(log, 1, 12)
    log.drop_before(9)
    disk.restart()
    disk.crash_at = 4  # the spare's header is written and synced, and it has its new name
    with pytest.raises(PowerCut, match="sync directory"):
        fill(log, 13, 13)
    disk.restart()
    assert "0000000004.wal" in disk.list()

    assert reopen(disk) == Recovered(HardState(), batches[8:], None)


# -- whose folder it is --------------------------------------------------------------------------


@pytest.mark.parametrize("other", [Identity("c0ffee", 2), Identity("decaf", 1)])
def test_the_folder_of_another_node_or_cluster_is_refused(other: Identity) -> None:
    disk = SimulatedDisk()
    open_log(disk)[0].append(None, [batch(1)])
    before = disk.files()

    with pytest.raises(WrongDirectory, match="belongs to node 1 of cluster c0ffee") as refusal:
        open_log(disk, other)

    assert f"node {other.node_id} of cluster {other.cluster_id}" in str(refusal.value)
    assert "use another data folder" in str(refusal.value)
    assert disk.files() == before


def test_a_newer_format_is_refused() -> None:
    disk = SimulatedDisk()
    open_log(disk)
    content = disk.files()["0000000001.wal"]
    start = content[:8] + struct.pack("<I", FORMAT + 1)
    disk.put("0000000001.wal", start + struct.pack("<I", zlib.crc32(start)) + bytes(2000))

    with pytest.raises(WrongDirectory, match="format 4 and this program knows formats up to 3"):
        open_log(disk)


# -- a disk that fails ---------------------------------------------------------------------------


@pytest.mark.parametrize("operation", [1, 2, 3])
def test_a_failure_poisons_the_log_for_good(operation: int) -> None:
    disk = SimulatedDisk()
    log, _ = open_log(disk)
    log.append(None, [batch(1)])
    disk.restart()
    disk.fail_at = operation

    with pytest.raises(DiskFailed, match="Input/output error"):
        log.append(None, [batch(2)])
    touched = len(disk.history)
    with pytest.raises(DiskFailed, match="Input/output error"):
        log.append(None, [batch(2)])
    with pytest.raises(DiskFailed, match="Input/output error"):
        log.drop_before(1)

    assert len(disk.history) == touched, "nothing is retried"


def test_a_record_whose_sync_failed_is_written_again_before_it_is_handed_out() -> None:
    """fsyncgate: the failed sync called the pages clean; only a new write makes them durable."""
    disk = SimulatedDisk()
    log, _ = open_log(disk)
    log.append(None, [batch(1)])
    disk.restart()
    disk.fail_at = 2
    with pytest.raises(DiskFailed):
        log.append(HardState(2, 1), [batch(2)])
    disk.restart()

    recovered = reopen(disk)  # the page cache still shows it
    assert recovered == Recovered(HardState(2, 1), [batch(1), batch(2)], None)

    disk.lose_power()
    assert reopen(disk) == recovered


def test_a_full_disk_at_rollover_leaves_nothing_that_stops_the_next_start() -> None:
    full = SimulatedDisk()
    log, _ = open_log(full)
    batches = fill(log, 1, 4)
    full.restart()
    full.fail_at, full.fail_with = 2, errno.ENOSPC

    with pytest.raises(DiskFailed, match=r"preallocation \(2136 bytes\) of 0000000002.wal failed"):
        fill(log, 5, 5)

    assert "segment.tmp" not in full.list(), "the space is given back"
    full.restart()
    log, recovered = open_log(full)
    assert recovered == Recovered(HardState(), batches, None)
    fill(log, 5, 5)


def test_each_failure_of_a_first_start_is_survived_by_the_next() -> None:
    operations = SimulatedDisk()
    open_log(operations)
    for number in range(1, len(operations.history) + 1):
        disk = SimulatedDisk()
        disk.fail_at = number
        with pytest.raises(DiskFailed):
            open_log(disk)
        disk.restart()
        assert reopen(disk) == Recovered(HardState(), [], None)
