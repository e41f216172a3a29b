"""The log above the snapshot: a sequence of whole batches.

Invariants, at every moment:

- batches follow each other without a gap: the first begins at `base_index + 1`;
- terms never fall along the log, and are constant within a batch; nor does cluster time;
- an index and a term name a batch: two logs that hold an entry of both hold the same batch. So a
  conflict always begins where a batch begins, and a prefix that was agreed on ends where one ends.

Indexes are 1-based (Figure 2). Index `base_index` (0 until there is a snapshot) is the entry just
before the log: only its term and time are known. The entries that a snapshot covers are committed,
so up to there this log agrees with that of any leader.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable

from node.raft.messages import Batch, Snapshot


class Log:
    """The entries after `base_index`; knows nothing of disks or commits."""

    __slots__ = (
        "_base_bytes",
        "_batches",
        "_bytes_through",
        "_firsts",
        "base_index",
        "base_term",
        "base_time_us",
        "last_index",
        "last_term",
    )

    def __init__(self, batches: Iterable[Batch] = (), snapshot: Snapshot | None = None) -> None:
        """A log of `batches`, which follow the snapshot."""
        self.base_index = 0
        self.base_term = 0
        self.base_time_us = 0
        # Of the last entry, or of the base. They are kept because every step reads them.
        self.last_index = 0
        self.last_term = 0
        self._batches: list[Batch] = []
        self._firsts: list[int] = []
        self._bytes_through: list[int] = []
        """of all data up to the end of each batch, from the first entry ever held"""
        self._base_bytes = 0
        if snapshot is not None:
            self.restart(snapshot)
        for batch in batches:
            self.append(batch)

    # -- what it holds ---------------------------------------------------------------------------

    @property
    def last_time_us(self) -> int:
        """Cluster time at the end of the log, in microseconds."""
        return self._batches[-1].time_us if self._batches else self.base_time_us

    @property
    def first_index(self) -> int:
        """The index of the first entry that it holds, or would hold."""
        return self.base_index + 1

    def term_at(self, index: int) -> int | None:
        """The term of the entry at `index`; None where the log knows of none."""
        if index == self.last_index:
            return self.last_term  # the usual case
        if index == self.base_index:
            return self.base_term
        if not self.base_index < index < self.last_index:
            return None
        return self._batches[self._position(index)].term

    def time_at(self, index: int) -> int | None:
        """Cluster time of the entry at `index`, in microseconds; None where it knows of none."""
        if index == self.base_index:
            return self.base_time_us
        if not self.base_index < index <= self.last_index:
            return None
        return self._batches[self._position(index)].time_us

    def batch_start(self, index: int) -> int:
        """The first index of the batch that holds `index`."""
        return self._firsts[self._position(index)]

    def is_batch_end(self, index: int) -> bool:
        """Whether a batch, or the base, ends at `index`."""
        if index == self.base_index:
            return True
        return (
            self.base_index < index <= self.last_index
            and self._batches[self._position(index)].last_index == index
        )

    def batches_from(self, index: int, max_bytes: int | None = None) -> list[Batch]:
        """Whole batches from the one that begins at `index`: as many as fit, but at least one.

        Empty when `index` is one past the end.
        """
        if index > self.last_index:
            return []
        start = self._position(index)
        assert self._firsts[start] == index, f"{index} is inside a batch"
        if max_bytes is None:
            return self._batches[start:]
        room = self._bytes_before(start) + max_bytes
        return self._batches[start : max(start + 1, bisect_right(self._bytes_through, room))]

    def bytes_after(self, index: int) -> int:
        """How many bytes of data the batches after `index`, the end of a batch, hold."""
        if index >= self.last_index:
            return 0
        return self._bytes_through[-1] - self._bytes_before(self._position(index + 1))

    def compaction_point(self, index: int, trailing_bytes: int) -> int:
        """Up to which entry the log may be forgotten when at most `trailing_bytes` before `index`
        are kept: the end of a batch, or the base. `index` is one of these too."""
        if index <= self.base_index:
            return self.base_index
        last = self._position(index)
        least = self._bytes_through[last] - trailing_bytes
        first = bisect_left(self._bytes_through, least, 0, last)
        return self._batches[first].last_index if least > self._base_bytes else self.base_index

    # -- how it changes --------------------------------------------------------------------------

    def append(self, batch: Batch) -> None:
        """Add one batch at the end."""
        assert batch.first_index == self.last_index + 1, "the log has no gaps"
        assert batch.term >= self.last_term, "terms never fall along the log"
        assert batch.count >= 1, "no batch is empty"
        self._bytes_through.append(self._bytes_before(len(self._batches)) + len(batch.data))
        self._batches.append(batch)
        self._firsts.append(batch.first_index)
        self.last_index = batch.last_index
        self.last_term = batch.term

    def missing(self, batches: Iterable[Batch]) -> list[Batch]:
        """The part of `batches`, which are consecutive, that this log does not hold: from the first
        one at whose index it holds nothing, or an entry of another term.

        A late duplicate of what is held changes nothing (Figure 2, AppendEntries step 3).
        """
        rest = list(batches)
        for position, batch in enumerate(rest):
            if batch.last_index <= self.base_index:
                continue  # a snapshot covers it
            if self.term_at(batch.first_index) != batch.term:
                return rest[position:]
        return []

    def splice(self, batches: Iterable[Batch]) -> int | None:
        """Append `batches`, after truncating the log from the first of them on.

        Returns the first index truncated, or None.
        """
        truncated = None
        for batch in batches:
            if batch.first_index <= self.last_index:
                truncated = batch.first_index
                self._truncate_from(truncated)
            self.append(batch)
        return truncated

    def compact(self, index: int) -> None:
        """Forget the entries up to `index`, the end of a batch: a snapshot covers them."""
        if index <= self.base_index:
            return
        position = self._position(index)
        batch = self._batches[position]
        assert batch.last_index == index, f"{index} is inside a batch"
        self.base_index, self.base_term, self.base_time_us = index, batch.term, batch.time_us
        self._base_bytes = self._bytes_through[position]
        del self._batches[: position + 1]
        del self._firsts[: position + 1]
        del self._bytes_through[: position + 1]

    def restart(self, snapshot: Snapshot) -> None:
        """Forget everything: the log continues after the last entry that the snapshot covers."""
        self._base_bytes = self._bytes_before(len(self._batches))
        self._batches.clear()
        self._firsts.clear()
        self._bytes_through.clear()
        self.base_index = self.last_index = snapshot.last_included_index
        self.base_term = self.last_term = snapshot.last_included_term
        self.base_time_us = snapshot.time_us

    # -- agreement with another log ------------------------------------------------------------

    def matches(self, prev_log_index: int, prev_log_term: int) -> bool:
        """Whether it holds that entry: then the logs agree up to there (Log Matching, §5.3).

        With a leader's log it agrees on everything that a snapshot covers.
        """
        if prev_log_index < self.base_index:
            return True
        return self.term_at(prev_log_index) == prev_log_term

    def is_as_recent(self, last_log_index: int, last_log_term: int) -> bool:
        """Whether a log with this last entry is at least as recent as this one (§5.4.1)."""
        return (last_log_term, last_log_index) >= (self.last_term, self.last_index)

    def last_agreeable(self, index: int, term: int) -> tuple[int, int]:
        """The last entry at or below `index` whose term is at most `term`: index and term.

        Where another log has `term` at `index`, none of ours after that entry can agree with it,
        since terms never fall along a log (§5.3). At worst it is the base.
        """
        index = min(index, self.last_index)
        while index > self.base_index:
            batch = self._batches[self._position(index)]
            if batch.term <= term:
                return index, batch.term
            index = self._first_of_term(batch.term) - 1
        return self.base_index, self.base_term

    # -- inside ----------------------------------------------------------------------------------

    def _position(self, index: int) -> int:
        assert self.base_index < index <= self.last_index, f"no entry at {index}"
        if index >= self._firsts[-1]:
            return len(self._firsts) - 1
        return bisect_right(self._firsts, index) - 1

    def _bytes_before(self, position: int) -> int:
        return self._bytes_through[position - 1] if position else self._base_bytes

    def _first_of_term(self, term: int) -> int:
        low, high = 0, len(self._batches)
        while low < high:
            middle = (low + high) // 2
            if self._batches[middle].term < term:
                low = middle + 1
            else:
                high = middle
        return self._firsts[low]

    def _truncate_from(self, index: int) -> None:
        position = self._position(index)
        assert self._firsts[position] == index, "a conflict begins where a batch begins"
        del self._batches[position:]
        del self._firsts[position:]
        del self._bytes_through[position:]
        self.last_index = self._batches[-1].last_index if self._batches else self.base_index
        self.last_term = self._batches[-1].term if self._batches else self.base_term
