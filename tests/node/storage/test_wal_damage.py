"""Torn tails against damage: what recovery drops, what it refuses, and that it says so.

In every case recovery gives the whole log, or drops a torn tail and reports it, or refuses with
file and offset and changes nothing. There is no other exception and no silently shorter log.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from launcher.simulation.disk import SimulatedDisk
from node.errors import DamagedLog
from node.raft.messages import Batch, HardState
from node.storage.disk import OsDisk
from node.storage.mark import MARK_FILE, Mark, MarkFile, read_mark
from node.storage.segment import Identity, State, encode_record, read_segment, segment_number
from node.storage.wal import Recovered, WriteAheadLog
from tests.node.storage.model import IDENTITY, batch

SEGMENT_BYTES = 1072
FIRST, SECOND, THIRD = (f"000000000{number}.wal" for number in (1, 2, 3))


def open_log(disk: SimulatedDisk) -> tuple[WriteAheadLog, Recovered]:
    return WriteAheadLog.open(disk, IDENTITY, segment_bytes=SEGMENT_BYTES)


def small_log(last: int = 9, *, recycled: bool = False) -> tuple[SimulatedDisk, Recovered]:
    """A log of a few small records, and what is in it."""
    disk = SimulatedDisk()
    log, _ = open_log(disk)
    log.append(HardState(1, 1), [])
    first = 1
    if recycled:
        log.append(None, [batch(1, 2, size=700)])
        log.append(None, [batch(3, size=700)])
        log.append(None, [batch(4, size=700)])
        log.drop_before(4)
        log.append(None, [batch(5, size=700)])  # this takes a spare
        first = 6
    for index in range(first, first + last):
        log.append(HardState(1 + index // 4, 1), [batch(index, size=20 + 7 * index)])
    log.close()
    return disk, open_log(disk)[1]


def record_starts(disk: SimulatedDisk, file: str) -> list[int]:
    segment = read_segment(file, disk.files()[file], IDENTITY)
    return [start for start, _ in segment.records]


def last_segment(disk: SimulatedDisk) -> str:
    return max(name for name in disk.list() if segment_number(name) is not None)


def flip(disk: SimulatedDisk, file: str, offset: int, mask: int = 0x40) -> None:
    content = bytearray(disk.files()[file])
    content[offset] ^= mask
    disk.put(file, bytes(content))


def outcome(disk: SimulatedDisk, whole: Recovered) -> str:
    """Opens a log that something happened to, and checks that nothing went missing in silence."""
    before = disk.files()
    refused = None
    try:
        _, recovered = open_log(disk)
    except DamagedLog as damage:
        refused = damage
    if refused is not None:
        assert f"{refused.file}: damaged at byte {refused.offset}" in str(refused)
        assert "nothing was changed on disk" in str(refused)
        assert disk.files() == before
        return "damaged"
    if recovered.torn is None:
        assert recovered == whole
        return "whole"
    assert recovered.torn.file in before
    assert recovered.batches == whole.batches[: len(recovered.batches)]
    assert recovered.hard_state.current_term <= whole.hard_state.current_term
    # It stays dropped, and the log goes on behind it.
    log, again = open_log(disk)
    assert again == Recovered(recovered.hard_state, recovered.batches, None)
    next_index = recovered.batches[-1].last_index + 1 if recovered.batches else 1
    log.append(HardState(100, 1), [batch(next_index, term=100)])
    expected = [*recovered.batches, batch(next_index, term=100)]
    assert open_log(disk)[1] == Recovered(HardState(100, 1), expected, None)
    kept = len(recovered.batches) == len(whole.batches)
    return "torn, nothing lost" if kept else "torn"


# -- flipping each byte in turn (issue item 10) --------------------------------------------------


@pytest.mark.parametrize("mask", [0x01, 0xFF])
@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("recycled", [False, True])
def test_each_flipped_byte_of_a_small_log(mask: int, marked: bool, recycled: bool) -> None:
    original, whole = small_log(5 if recycled else 9, recycled=recycled)
    if not marked:
        original.lose(MARK_FILE)
    last = last_segment(original)
    last_record = record_starts(original, last)[-1]
    assert read_segment(last, original.files()[last], IDENTITY).header.recycled == recycled

    for file, content in original.files().items():
        segment = segment_number(file) is not None
        end = read_segment(file, content, IDENTITY).end if segment else 0
        # Behind the records, and in the mark's padding, bytes matter little: every 16th is tried.
        dense = min(end + 64, len(content))
        for offset in [*range(dense), *range(dense, len(content), 16)]:
            disk = original.copy()
            flip(disk, file, offset, mask)
            result = outcome(disk, whole)
            if not segment:
                assert result == "whole", f"{file} is only a hint"
            elif offset >= end:
                assert result != "torn", "nothing was lost"
                assert result != "damaged" or file != last
            elif marked or file != last or offset < last_record:
                assert result == "damaged", f"byte {offset} of {file} was synced"
            else:
                assert result == "torn", "a checksum alone cannot tell, but it is reported"


# -- cutting the last segment at every byte (issue item 10) --------------------------------------


@pytest.mark.parametrize("marked", [True, False])
def test_the_last_segment_cut_at_every_byte(marked: bool) -> None:
    original, whole = small_log(last=6)
    if not marked:
        original.lose(MARK_FILE)
    content = original.files()[FIRST]
    end = len(content.rstrip(b"\0"))
    for size in range(len(content)):
        disk = original.copy()
        disk.put(FIRST, content[:size])
        # A crash cannot shorten a file. Only the mark can say that the cut took nothing with it.
        expected = "torn, nothing lost" if marked and size >= end else "damaged"
        assert outcome(disk, whole) == expected


@pytest.mark.parametrize(("zeros", "marked"), [(False, True), (False, False), (True, False)])
def test_real_files_cut_at_every_byte_of_their_last_4_kib(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zeros: bool, marked: bool
) -> None:
    """The last 4 KiB of the written records, and of the file; cut, or zeros from there on.

    Zeros are what a torn write leaves in a preallocated file.
    """
    # No machine crashes in here, and the files are opened thousands of times.
    monkeypatch.setattr("node.storage.disk._sync_file", lambda descriptor: None)
    monkeypatch.setattr("node.storage.disk._sync_folder", lambda folder: None)
    disk = OsDisk(tmp_path)
    size = 8 << 10
    log, _ = WriteAheadLog.open(disk, IDENTITY, segment_bytes=size)
    batches = [batch(index, size=150 + index % 50) for index in range(1, 21)]
    for one in batches:
        log.append(None, [one])
    log.close()
    last, mark_file = tmp_path / FIRST, tmp_path / MARK_FILE
    content, mark = last.read_bytes(), mark_file.read_bytes()
    segment = read_segment(FIRST, content, IDENTITY)
    records = dict(segment.records)
    assert 4096 < segment.end < size

    for cut in range(segment.end - 4096, segment.end if zeros else size):
        last.write_bytes(content[:cut] + (bytes(size - cut) if zeros else b""))
        mark_file.write_bytes(mark if marked else b"")
        refused = None
        try:
            log, recovered = WriteAheadLog.open(disk, IDENTITY, segment_bytes=size)
        except DamagedLog as damage:
            refused = damage
        if refused is not None:
            assert refused.file == FIRST
            assert refused.offset <= cut
            # Zeros can be a torn write, unless the mark knows better; a shorter file cannot.
            # The records end in bytes that are not zero: each cut in front of the end loses one.
            assert marked if zeros else (cut < segment.end or not marked)
            continue
        log.close()
        if marked:
            assert recovered.batches == batches
            assert recovered.torn is not None
        else:
            kept = sum(end <= cut for end in records.values())
            assert recovered.batches == batches[:kept]
            assert (recovered.torn is not None) == (cut not in records)


# -- torn tails ----------------------------------------------------------------------------------


def unmarked(last: int = 6) -> tuple[SimulatedDisk, list[Batch], int]:
    """A log whose mark is lost, its batches, and where its last record begins."""
    disk, whole = small_log(last)
    disk.lose(MARK_FILE)
    return disk, whole.batches, record_starts(disk, FIRST)[-1]


def test_a_torn_last_record_is_dropped_and_reported() -> None:
    disk, batches, start = unmarked()
    flip(disk, FIRST, start + 60)

    _, recovered = open_log(disk)

    assert recovered.batches == batches[:-1]
    assert recovered.torn is not None
    assert (recovered.torn.file, recovered.torn.offset) == (FIRST, start)
    assert "fails its checksum" in recovered.torn.reason


def test_a_zero_filled_first_sector_of_a_torn_record_is_dropped_and_reported() -> None:
    disk, batches, start = unmarked()
    content = disk.files()[FIRST]
    disk.put(FIRST, content[:start] + bytes(40) + content[start + 40 :])

    _, recovered = open_log(disk)

    assert recovered.batches == batches[:-1]
    assert recovered.torn is not None
    assert "the beginning of the record is missing" in recovered.torn.reason


def test_dropped_bytes_never_come_back() -> None:
    """A shorter record in the torn one's place must not uncover what stood behind it."""
    disk = SimulatedDisk()
    log, _ = open_log(disk)
    log.append(None, [batch(1)])
    log.append(None, [batch(2, size=600)])
    disk.lose(MARK_FILE)
    flip(disk, FIRST, record_starts(disk, FIRST)[-1] + 50)

    log, recovered = open_log(disk)
    assert recovered.torn is not None
    log.append(None, [batch(2)])

    end = record_starts(disk, FIRST)[-1] + 112
    assert not disk.files()[FIRST][end:].strip(b"\0")
    assert open_log(disk)[1] == Recovered(HardState(), [batch(1), batch(2)], None)


RECORD = State(HardState(9, 1))


@pytest.mark.parametrize(
    ("foreign", "verdict"),
    [
        (encode_record(IDENTITY.salt(), 1, 9, RECORD, [batch(7)]), "whole"),
        (encode_record(IDENTITY.salt(), 1, 8, RECORD, [batch(7)]), "torn"),
        (encode_record(IDENTITY.salt(), 1, 10, RECORD, [batch(7)]), "damaged"),
        (encode_record(IDENTITY.salt(), 2, 9, RECORD, [batch(7)]), "torn"),
        (encode_record(Identity("c0ffee", 2).salt(), 1, 9, RECORD, [batch(7)]), "torn"),
        (encode_record(Identity("decaf", 1).salt(), 1, 9, RECORD, [batch(7)]), "torn"),
    ],
    ids=["next", "older", "later", "other segment", "other node", "other cluster"],
)
def test_only_the_next_record_of_this_segment_and_node_passes(foreign: bytes, verdict: str) -> None:
    disk, batches, _ = unmarked()
    content = disk.files()[FIRST]
    end = read_segment(FIRST, content, IDENTITY).end
    disk.put(FIRST, content[:end] + foreign + content[end + len(foreign) :])

    if verdict == "damaged":
        with pytest.raises(DamagedLog):
            open_log(disk)
        return
    _, recovered = open_log(disk)

    assert (recovered.torn is not None) == (verdict == "torn")
    assert recovered.batches == batches + ([batch(7)] if verdict == "whole" else [])


# -- damage --------------------------------------------------------------------------------------


def test_a_bad_record_in_front_of_a_good_one_is_damage() -> None:
    disk, _, _ = unmarked()
    start = record_starts(disk, FIRST)[2]
    flip(disk, FIRST, start + 30)

    with pytest.raises(DamagedLog, match="record 4 is not intact, and a later one") as refusal:
        open_log(disk)

    assert (refusal.value.file, refusal.value.offset) == (FIRST, start)


def test_a_zeroed_record_in_front_of_a_good_one_is_damage() -> None:
    disk, _, _ = unmarked()
    first, second = record_starts(disk, FIRST)[2:4]
    content = disk.files()[FIRST]
    disk.put(FIRST, content[:first] + bytes(second - first) + content[second:])

    with pytest.raises(DamagedLog) as refusal:
        open_log(disk)

    assert refusal.value.offset == first


def test_a_bad_last_record_that_the_mark_covers_is_damage() -> None:
    """Only the mark can tell: to the log alone this is a torn tail."""
    disk, _ = small_log(6)
    start = record_starts(disk, FIRST)[-1]
    flip(disk, FIRST, start + 60)

    with pytest.raises(DamagedLog, match="record 8 was synced and is not intact") as refusal:
        open_log(disk)

    assert (refusal.value.file, refusal.value.offset) == (FIRST, start)


@pytest.mark.parametrize("marked", [True, False])
def test_a_segment_that_ends_too_early_is_damage_when_another_follows(marked: bool) -> None:
    disk, _ = small_log(20)
    if not marked:
        disk.lose(MARK_FILE)
    start = record_starts(disk, FIRST)[-1]
    content = disk.files()[FIRST]
    disk.put(FIRST, content[:start] + bytes(len(content) - start))

    with pytest.raises(DamagedLog) as refusal:
        open_log(disk)

    assert (refusal.value.file, refusal.value.offset) == (FIRST, start)


@pytest.mark.parametrize("missing", [FIRST, SECOND])
@pytest.mark.parametrize("marked", [True, False])
def test_a_missing_segment_is_damage(missing: str, marked: bool) -> None:
    disk, _ = small_log(20)
    assert THIRD in disk.list()
    if not marked:
        disk.lose(MARK_FILE)
    disk.lose(missing)

    with pytest.raises(DamagedLog, match="the segment is missing") as refusal:
        open_log(disk)

    assert refusal.value.file == missing


def test_a_missing_last_segment_is_known_from_the_mark() -> None:
    disk, _ = small_log(20)
    last = max(name for name in disk.list() if name[0].isdigit())
    disk.lose(last)

    with pytest.raises(DamagedLog, match="missing, and it was synced") as refusal:
        open_log(disk)

    assert (refusal.value.file, refusal.value.offset) == (last, 0)


def test_a_folder_that_lost_all_its_segments_is_not_a_new_one() -> None:
    disk, _ = small_log(6)
    disk.lose(FIRST)

    with pytest.raises(DamagedLog, match="missing"):
        open_log(disk)

    assert disk.list() == [MARK_FILE]


@pytest.mark.parametrize("content", [b"", bytes(SEGMENT_BYTES), b"something else entirely" * 9])
def test_a_segment_without_a_header_is_damage(content: bytes) -> None:
    disk, _ = small_log(6)
    disk.put(SECOND, content)

    with pytest.raises(DamagedLog) as refusal:
        open_log(disk)

    assert refusal.value.file == SECOND


@pytest.mark.parametrize(
    ("size", "said"), [(15, "is cut off in its header"), (16, "header is not intact")]
)
def test_a_segment_of_its_preamble_alone_has_no_header(size: int, said: str) -> None:
    disk, _ = small_log(6)
    disk.put(FIRST, disk.files()[FIRST][:size])
    with pytest.raises(DamagedLog, match=said) as refusal:
        open_log(disk)
    assert refusal.value.offset == size


def test_a_header_with_the_right_checksum_and_half_of_its_fields_is_damage() -> None:
    """No version has written one. Whatever has, there is a message with file and offset."""
    disk, _ = small_log(6)
    content = disk.files()[FIRST]
    front, body_at = content[16:36], 16 + 24
    body = content[body_at : body_at + int.from_bytes(front[16:20], "little")]
    for size in range(len(body)):
        short = front[:16] + size.to_bytes(4, "little")
        checksum = zlib.crc32(body[:size], zlib.crc32(short)).to_bytes(4, "little")
        header = content[:16] + short + checksum + body[:size]
        disk.put(FIRST, header + bytes(len(content) - len(header)))
        with pytest.raises(DamagedLog, match="the segment's header is not intact") as refusal:
            open_log(disk)
        assert (refusal.value.file, refusal.value.offset) == (FIRST, 16)


def test_a_record_with_the_right_checksum_and_half_of_its_batches_is_damage() -> None:
    disk, whole = small_log(6)
    content = disk.files()[FIRST]
    start = record_starts(disk, FIRST)[-1]
    for wrong in ([batch(6)], [batch(7), batch(8)], [batch(3, 0)]):
        record = encode_record(IDENTITY.salt(), 1, 8, State(whole.hard_state), wrong)
        state = encode_record(IDENTITY.salt(), 1, 8, State(whole.hard_state), [])
        body = record[24:-24]
        follows = [batch(6)] == wrong
        for size in range(len(state) - 48 + 1, len(body) + (not follows)):
            disk.put(FIRST, content[:start] + framed(record[:16], body[:size]) + bytes(500))
            with pytest.raises(DamagedLog) as refusal:
                open_log(disk)
            assert (refusal.value.file, refusal.value.offset) == (FIRST, start)


def framed(front: bytes, body: bytes) -> bytes:
    """What a frame with this beginning and this body is. front: magic, segment and sequence"""
    front += len(body).to_bytes(4, "little")
    checksum = zlib.crc32(body, zlib.crc32(front, IDENTITY.salt()))
    return front + checksum.to_bytes(4, "little") + body


def test_a_segment_under_another_name_is_damage() -> None:
    disk, _ = small_log(20)
    disk.put(SECOND, disk.files()[FIRST])

    with pytest.raises(DamagedLog, match="this is segment 1 under another name"):
        open_log(disk)


# -- the mark itself -----------------------------------------------------------------------------


@pytest.mark.parametrize("content", [None, b"", b"\xff" * 10, bytes(8192), b"\xff" * 8192])
def test_a_missing_or_damaged_mark_is_no_mark_and_is_made_again(content: bytes | None) -> None:
    disk, whole = small_log(6)
    disk.lose(MARK_FILE)
    if content is not None:
        disk.put(MARK_FILE, content)

    assert open_log(disk)[1] == whole

    flip(disk, FIRST, record_starts(disk, FIRST)[-1] + 60)
    with pytest.raises(DamagedLog, match="was synced"):
        open_log(disk)


@pytest.mark.parametrize("broken", [10, 4096 + 10])
@pytest.mark.parametrize("reopened", [False, True])
def test_a_torn_write_of_the_mark_leaves_the_one_before(broken: int, reopened: bool) -> None:
    disk = SimulatedDisk()
    disk.put(MARK_FILE, b"")
    mark = MarkFile(disk, disk.list(), 0)
    for sequence in (1, 2, 3):
        if reopened:
            mark = MarkFile(disk, disk.list(), 0)
        mark.write(sequence, 1, 100 * sequence)
    flip(disk, MARK_FILE, broken)

    assert read_mark(disk, disk.list(), 0) in (Mark(2, 1, 200), Mark(3, 1, 300))


def test_an_older_mark_is_no_reason_to_refuse() -> None:
    """After a power loss it lags."""
    disk, _ = small_log(2)
    older = disk.files()[MARK_FILE]
    log, _ = open_log(disk)
    log.append(None, [batch(3), batch(4)])
    disk.put(MARK_FILE, older)

    assert open_log(disk)[1].batches[2:] == [batch(3), batch(4)]
