"""Which segment holds which entries.

A batch whose first index is at or below the log's end replaces everything from there on, so the
entries that count may be spread over segments with replaced ones between them. Since what replaces
is written later, each segment still holds one run of the log that counts (perhaps none), and the
runs follow each other in the order of the segments: that is why old entries can be dropped by
dropping the first segments.

Invariants: `starts` (the first index of every batch that counts) rises; the non-empty runs of
`segments` join without a gap from `first_index` to `last_index`.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence

import msgspec

from node.raft.messages import Batch


class SegmentInfo(msgspec.Struct):
    """One segment of the log. Both indexes are 0 when it holds no entry that counts."""

    number: int
    file: str
    first_index: int = 0
    last_index: int = 0


class SegmentIndex:
    """The segments of a log, and where its batches begin.

    last_index: of the log where the first of these segments begins; afterwards the log's own
    """

    def __init__(self, last_index: int) -> None:
        self.last_index = last_index
        self.segments: list[SegmentInfo] = []
        self._starts = array("Q")

    @property
    def first_index(self) -> int:
        """Of the first entry that is here; `last_index + 1` when there is none."""
        return self._starts[0] if self._starts else self.last_index + 1

    def begin_segment(self, number: int, file: str) -> None:
        """What is appended from here on stands in this segment."""
        self.segments.append(SegmentInfo(number, file))

    def follows(self, index: int) -> bool:
        """Whether a batch may begin at `index`: behind the log's end, or where another begins."""
        if index == self.last_index + 1:
            return True
        at = bisect_left(self._starts, index)
        return at < len(self._starts) and self._starts[at] == index

    def assert_follow(self, batches: Sequence[Batch]) -> None:
        """Asserts that each batch may follow the log and the batches in front of it."""
        new: list[int] = []  # where the batches in front begin
        end = self.last_index
        for batch in batches:
            first = batch.first_index
            assert batch.count >= 1, f"a batch without entries at {first}"
            if first != end + 1:
                earlier = (not new or first < new[0]) and self.follows(first) and first <= end
                assert earlier or first in new, (
                    f"a batch at {first} begins neither behind the end of the log, {end}, "
                    "nor where another batch begins"
                )
                new = [start for start in new if start < first]
            new.append(first)
            end = batch.last_index

    def extend(self, batch: Batch) -> None:
        """Takes in a batch of the last segment; it replaces everything from its start on."""
        first = batch.first_index
        if first <= self.last_index:
            self._truncate(first)
        self._starts.append(first)
        segment = self.segments[-1]
        if not segment.first_index:
            segment.first_index = first
        self.last_index = segment.last_index = batch.last_index

    def wholly_below(self, index: int) -> list[SegmentInfo]:
        """The first segments whose entries are all below `index`; never the last segment."""
        below: list[SegmentInfo] = []
        for segment in self.segments[:-1]:
            if segment.last_index >= index:
                break
            below.append(segment)
        return below

    def drop(self, count: int) -> None:
        """Forgets the first `count` segments and their entries."""
        del self.segments[:count]
        first = next((s.first_index for s in self.segments if s.first_index), self.last_index + 1)
        del self._starts[: bisect_left(self._starts, first)]

    def _truncate(self, index: int) -> None:
        del self._starts[bisect_left(self._starts, index) :]
        for segment in reversed(self.segments):
            if segment.first_index >= index:
                segment.first_index = segment.last_index = 0
            elif segment.last_index >= index:
                segment.last_index = index - 1
                break
