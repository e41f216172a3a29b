"""Recovery: reads what a log left behind and judges it. Changes nothing on disk.

Everything in front of the last append was synced before what follows it was written, so the last
append is the only one that a crash can have torn. That decides every case:

- A record that is not valid, with anything valid behind it (a later record, a later segment), was
  synced once: it is damaged. So is one that the mark (`node/storage/mark.py`) says was synced.
- A record that is not valid at the very end is a torn write: it is dropped, and reported.
- A segment gets its name only after its file was filled, its header written and both synced. So
  no crash leaves a segment that is short or has no intact header: that is damage. With one
  exception: the last segment is cut off, and the mark says that the cut lost nothing.
- Each header continues the sequence of the segment in front of it: a segment that ends too early,
  or is missing, shows there. A log's first segment is the one that its last record names as the
  first one kept (or number 1): a log that begins later has lost its beginning.

A recycled segment with zeros where the next record would begin is a clean end: a torn write whose
first sector never reached the disk looks like that too, and then nothing was acknowledged.
"""

from __future__ import annotations

import msgspec

from node.errors import DamagedLog
from node.ports import Disk
from node.raft.messages import Batch, HardState
from node.storage.disk import failing_as
from node.storage.index import SegmentIndex
from node.storage.mark import MARK_FILE, Mark
from node.storage.segment import (
    ADVICE,
    Identity,
    Segment,
    State,
    bad_end,
    is_spare,
    later_record,
    read_record,
    read_segment,
    segment_name,
    segment_number,
)


class TornTail(msgspec.Struct, frozen=True):
    """What recovery dropped: bytes of an append that was never acknowledged."""

    file: str
    offset: int
    reason: str


class Found(msgspec.Struct):
    """A log as it stands on disk.

    last: the segment that appends go on in
    leftover: segments that had been dropped from the log and still wait to be recycled
    """

    state: State
    batches: list[Batch]
    index: SegmentIndex
    last: Segment
    torn: TornTail | None
    leftover: list[str]


def recover(disk: Disk, names: list[str], identity: Identity, mark: Mark | None) -> Found | None:
    """Reads the log; None when the folder holds none, nor any trace of one.

    Raises DamagedLog, WrongDirectory and DiskFailed.
    """
    numbers = sorted(n for n in map(segment_number, names) if n is not None)
    if not numbers:
        if MARK_FILE in names or any(map(is_spare, names)):
            missing = segment_name(mark.segment if mark else 1)
            raise DamagedLog(missing, 0, "the segment is missing, and all the others" + ADVICE)
        return None

    last = _read(disk, numbers[-1], identity)
    torn = _judge_end(last, identity, mark)
    first = _state_at_end(last).first_segment
    found = _Replay(first, last.header.number)
    before: Segment | None = None
    for number in range(first, last.header.number + 1):
        if number not in numbers:
            raise DamagedLog(segment_name(number), 0, "the segment is missing" + ADVICE)
        segment = last if number == last.header.number else _read(disk, number, identity)
        found.check_header(segment, before)
        found.replay(segment)
        before = segment
        if segment is not last:
            before.data = b""  # its entries are copied; a log may be larger than memory holds twice
    leftover = [segment_name(number) for number in numbers if number < first]
    assert found.index is not None, "the range ends with the last segment"
    return Found(found.state, found.batches, found.index, last, torn, leftover)


class _Replay:
    """The log so far, while its segments are read in order."""

    def __init__(self, first: int, last: int) -> None:
        self.state = State()
        self.batches: list[Batch] = []
        self.index: SegmentIndex | None = None
        self._first = first
        self._last = last

    def check_header(self, segment: Segment, before: Segment | None) -> None:
        """The segment must go on exactly where the one before it ended."""
        header = segment.header
        if before is None:
            # With no segment in front, the header says what stood there: nothing, in number 1.
            if header.number == 1 and header.sequence != 1:
                raise DamagedLog(segment.file, 0, "the log does not begin here" + ADVICE)
            self.index = SegmentIndex(header.last_index)
            self.state = header.state
        elif header.sequence != before.sequence + 1:
            reason = (
                f"records {before.sequence + 1} to {header.sequence - 1} are not intact "
                f"(the next segment begins with {header.sequence})"
            )
            raise DamagedLog(before.file, before.end, reason + ADVICE)
        assert self.index is not None
        if (header.last_index, header.state) != (self.index.last_index, self.state):
            reason = "the segment does not continue the one before it"
            raise DamagedLog(segment.file, 0, reason + ADVICE)
        self.index.begin_segment(header.number, segment.file)

    def replay(self, segment: Segment) -> None:
        for offset, end in segment.records:
            try:
                state, batches = read_record(segment, offset, end)
                self._check_state(state)
                for batch in batches:
                    self._extend(batch)
            except ValueError as error:
                raise DamagedLog(segment.file, offset, f"{error}{ADVICE}") from error
            self.state = state

    def _check_state(self, state: State) -> None:
        old, new = self.state.hard_state, state.hard_state
        if not may_follow(old, new):
            raise ValueError(f"the term or vote goes back, from {old} to {new}")
        if state.life.number < self.state.life.number:
            raise ValueError(f"the life goes back, from {self.state.life} to {state.life}")
        if not self.state.first_segment <= state.first_segment <= self._last:
            raise ValueError(f"the log cannot begin with segment {state.first_segment}")

    def _extend(self, batch: Batch) -> None:
        first = batch.first_index
        index = self.index
        assert index is not None
        # What a batch replaces may have been dropped since, with the segment that it was in.
        replaces_dropped = self._first > 1 and 0 < first < index.first_index
        if batch.count < 1 or not (index.follows(first) or replaces_dropped):
            raise ValueError(f"entry {first} does not follow entry {index.last_index}")
        while self.batches and self.batches[-1].first_index >= first:
            self.batches.pop()
        self.batches.append(batch)
        index.extend(batch)


def may_follow(old: HardState, new: HardState) -> bool:
    """Terms rise; within a term a vote is cast once and stays (Figure 2, §5.2)."""
    if new.current_term != old.current_term:
        return new.current_term > old.current_term
    return old.voted_for is None or new.voted_for == old.voted_for


def _read(disk: Disk, number: int, identity: Identity) -> Segment:
    name = segment_name(number)
    with failing_as("read", name):
        file = disk.open(name)
        try:
            data = file.read_at(0, file.size())
        finally:
            file.close()
    return read_segment(name, data, identity)


def _state_at_end(segment: Segment) -> State:
    if not segment.records:
        return segment.header.state
    offset, end = segment.records[-1]
    try:
        return read_record(segment, offset, end)[0]
    except ValueError as error:
        raise DamagedLog(segment.file, offset, f"{error}{ADVICE}") from error


def _judge_end(last: Segment, identity: Identity, mark: Mark | None) -> TornTail | None:
    """What stands behind the last valid record of the log: nothing, a torn write, or damage."""
    if mark is not None and mark.sequence > last.sequence:
        if mark.segment > last.header.number:
            name = segment_name(mark.segment)
            raise DamagedLog(name, 0, "the segment is missing, and it was synced" + ADVICE)
        reason = f"record {last.sequence + 1} was synced and is not intact"
        raise DamagedLog(last.file, last.end, reason + ADVICE)
    later = later_record(last, identity.salt())
    if later is not None:
        reason = f"record {last.sequence + 1} is not intact, and a later one is, at byte {later}"
        raise DamagedLog(last.file, last.end, reason + ADVICE)
    bad = bad_end(last)
    if bad is None:
        return None
    if mark is None and len(last.data) < last.header.capacity:
        # No crash shortens a file: whatever did may have taken any number of records with it.
        bad += f", and without {MARK_FILE} nobody knows what it held"
        raise DamagedLog(last.file, last.end, bad + ADVICE)
    return TornTail(last.file, last.end, bad)
