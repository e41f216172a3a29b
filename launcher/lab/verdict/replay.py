"""The nodes' logs, written again record by record: what they held when, and what was broken. Pure.

`Replay` reads the books of all nodes (`written.py`), and checks what shows while a log grows:

- Log Matching: an entry of the same index and term is the same entry everywhere, and so is the term
  of the entry before it. Entries that were replaced later count too.
- Leader Append-Only: a leader never removes an entry of its own log.
- A node votes once in a term, and its term never goes back.

What needs the committed log is left to `figure3.py`: `elected` says what each leader's log held
when the leader was elected, and `ends` how each log ends.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping

import msgspec

from launcher.lab.verdict.written import Book, Record
from node.raft.invariants import ELECTION_SAFETY, LEADER_APPEND_ONLY, LOG_MATCHING, MONOTONIC
from node.raft.messages import Batch, NodeId


class Violation(msgspec.Struct, frozen=True):
    """A property that does not hold, by its name in `node/raft/invariants.py`, and what shows it.

    at: the index that it is about; 0 where it is about none
    """

    broken: str
    belief: str
    at: int = 0


class Held(msgspec.Struct):
    """A batch that some log has held.

    before: the term of the entry before it; None where no log has told
    in_time: the nodes that wrote it while they were in the term of its entries. Only they can have
        made it committed in that term
    """

    batch: Batch
    before: int | None
    in_time: set[NodeId]


class Elected(msgspec.Struct, frozen=True):
    """What a later leader's log held when the node voted for itself.

    committed: the last index that is known to have been committed in an earlier term
    term_there: the term of its entry at that index; None: it had none
    is_known: False where its log began later, so that nobody can say
    """

    node: NodeId
    term: int
    last_index: int
    committed: int
    term_there: int | None
    is_known: bool


class LifeEnd(msgspec.Struct, frozen=True):
    """How a node's log was when a life of the node had ended.

    own: the last entry that the node had appended in its term then; None without one
    """

    node: NodeId
    life: int
    term: int
    voted_for: NodeId | None
    own: tuple[int, int] | None


class LogModel:
    """A log as a book tells of it: the batches after `base_index`, of which only the term may be
    known. Batches are looked up by index."""

    def __init__(self) -> None:
        self.base_index = 0
        self.base_term: int | None = 0
        self.batches: list[Batch] = []
        self._starts: list[int] = []

    @property
    def last_index(self) -> int:
        return self.batches[-1].last_index if self.batches else self.base_index

    def restart(self, index: int, term: int | None = None) -> None:
        """From now on it begins behind `index`."""
        self.base_index, self.base_term = index, term if index else 0
        self.batches, self._starts = [], []

    def append(self, batch: Batch) -> tuple[int, int] | None:
        """Adds a batch, which replaces what is there; the first and last index that it replaces."""
        last = self.last_index
        removed = None
        if batch.first_index <= last:
            at = bisect_left(self._starts, batch.first_index)
            del self.batches[at:], self._starts[at:]
            if batch.first_index <= self.base_index:
                self.restart(batch.first_index - 1)
            removed = batch.first_index, last
        elif batch.first_index > last + 1:
            self.restart(batch.first_index - 1)
        self.batches.append(batch)
        self._starts.append(batch.first_index)
        return removed

    def term_at(self, index: int) -> int | None:
        """The term of the entry at `index`; None where nothing is known."""
        if index == self.base_index:
            return self.base_term
        at = bisect_left(self._starts, index + 1) - 1
        if at < 0 or self.batches[at].last_index < index:
            return None
        return self.batches[at].term


class Replay:
    """All books, written again. `violations` are the properties that turned out to be broken.

    held: every batch that any log has held, by its first index and its term
    by_end: the same, by its last index and its term
    elected: what the leaders held
    life_ends: how each log was when a life of its node had ended
    ends: each node's log as it is at the end
    truncated: which entries each node removed
    gaps: what is in no copy, a line each
    """

    def __init__(self, books: Iterable[Book], leaders: Mapping[tuple[NodeId, int], int]) -> None:
        """leaders: the nodes that led, each with its term; and the last index that is known to have
        been committed in a term before"""
        self.violations: list[Violation] = []
        self.held: dict[tuple[int, int], Held] = {}
        self.by_end: dict[tuple[int, int], Held] = {}
        self.elected: list[Elected] = []
        self.life_ends: list[LifeEnd] = []
        self.ends: dict[NodeId, LogModel] = {}
        self.truncated: list[tuple[NodeId, int, int]] = []
        self.gaps: list[str] = []
        self.leaders = leaders
        for book in books:
            self._read(book)

    def _read(self, book: Book) -> None:
        log = LogModel()
        reader = _Reader(self, book.node, log)
        sequence: int | None = None
        for piece in book.pieces:
            if sequence is not None and piece.sequence != sequence + 1:
                if not piece.is_beginning:
                    self.gaps.append(
                        f"n{book.node}: records {sequence + 1} to {piece.sequence - 1} of its log "
                        "are in no copy"
                    )
                reader.skip()
            if piece.is_beginning or piece.last_index != log.last_index:
                log.restart(piece.last_index)
            sequence = piece.sequence
            for record in piece.records:
                reader.take(record)
                sequence = record.sequence
        reader.end_life()
        self.ends[book.node] = log


class _Reader:
    """Takes the records of one book in turn."""

    def __init__(self, replay: Replay, node: NodeId, log: LogModel) -> None:
        self._replay = replay
        self._node = node
        self._log = log
        self._last: Record | None = None
        self._own: tuple[int, int] | None = None
        """the last entry written in the term that it is of"""

    def skip(self) -> None:
        """Some records are missing: what comes next need not follow."""
        self.end_life()
        self._last = None

    def end_life(self) -> None:
        last = self._last
        if last is not None:
            self._replay.life_ends.append(
                LifeEnd(self._node, last.life, last.term, last.voted_for, self._own)
            )

    def take(self, record: Record) -> None:
        before, node = self._last, self._node
        if before is not None:
            self._check_vote(before, record)
            if record.life != before.life:
                self.end_life()
            if record.term != before.term:
                self._own = None
        if record.voted_for == node and (
            before is None or (before.term, before.voted_for) != (record.term, node)
        ):
            self._note_candidate(record)
        self._last = record
        for batch in record.batches:
            self._take_batch(record, batch)

    def _check_vote(self, before: Record, record: Record) -> None:
        node = self._node
        if record.term < before.term:
            belief = f"n{node}: terms never go back, and its log has {before.term}, {record.term}"
            self._broken(MONOTONIC, belief)
        same = record.term == before.term and before.voted_for is not None
        if same and record.voted_for != before.voted_for:
            self._broken(
                ELECTION_SAFETY,
                f"n{node} votes once in a term, and in term {record.term} it voted for "
                f"{_who(before.voted_for)} and then for {_who(record.voted_for)}",
            )

    def _note_candidate(self, record: Record) -> None:
        committed = self._replay.leaders.get((self._node, record.term))
        if committed is None:
            return
        log = self._log
        there = log.term_at(committed)
        known = committed > log.base_index or (there is not None)
        self._replay.elected.append(
            Elected(self._node, record.term, log.last_index, committed, there, known)
        )

    def _take_batch(self, record: Record, batch: Batch) -> None:
        log, node = self._log, self._node
        removed = log.append(batch)
        if removed is not None:
            self._replay.truncated.append((node, *removed))
            if record.voted_for == node and (node, record.term) in self._replay.leaders:
                self._broken(
                    LEADER_APPEND_ONLY,
                    f"a leader only appends, and n{node}, leader of term {record.term}, removed "
                    f"its entries {removed[0]} to {removed[1]}",
                    removed[0],
                )
        self._match(record, batch, log.term_at(batch.first_index - 1))
        if batch.term == record.term:
            self._own = (batch.last_index, batch.term)

    def _match(self, record: Record, batch: Batch, before: int | None) -> None:
        replay = self._replay
        key = (batch.first_index, batch.term)
        known = replay.held.get(key)
        if known is None:
            known = replay.held[key] = Held(batch, before, set())
            if replay.by_end.setdefault((batch.last_index, batch.term), known) is not known:
                self._differs(batch)
        elif known.batch != batch:
            self._differs(batch)
        elif known.before is None:
            known.before = before
        elif before is not None and known.before != before:
            self._differs(batch)
        if record.term == batch.term:
            known.in_time.add(self._node)

    def _differs(self, batch: Batch) -> None:
        self._broken(
            LOG_MATCHING,
            f"logs that hold an entry {batch.first_index} of term {batch.term} are the same up to "
            f"there, and that of n{self._node} is another",
            batch.first_index,
        )

    def _broken(self, broken: str, belief: str, at: int = 0) -> None:
        self._replay.violations.append(Violation(broken, belief, at))


def _who(node: NodeId | None) -> str:
    return "nobody" if node is None else f"n{node}"
