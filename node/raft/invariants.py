"""The invariants: of one server before and after every step, and of a cluster at any moment.

`ServerWatch` checks one server (LogCabin does the same, at every step, in its debug build).
`ClusterWatch` remembers what any server has ever led, held, committed or applied, and compares them
all: the five properties of Figure 3. Both raise `InvariantBroken`, which names the property and
the belief that turned out to be wrong.

Tests and simulations call them after every step. They read the core's state, change nothing, and
check only what is new since the last time, so that a run of many thousand steps can afford it:

- Log Matching is proved by induction. Each batch that appears in any log is compared with the
  first one seen of that index and term, and so is the term of the entry before it.
- Leader Completeness is checked when a leader appears, against all that was committed before its
  term; and when something is committed, against the living leaders of later terms.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from node.raft.messages import COMMANDS, Batch, NodeId, Snapshot
from node.raft.ready import Ready
from node.raft.state import LEADER, RaftState, Role

ELECTION_SAFETY = "election-safety"
LEADER_APPEND_ONLY = "leader-append-only"
LOG_MATCHING = "log-matching"
LEADER_COMPLETENESS = "leader-completeness"
STATE_MACHINE_SAFETY = "state-machine-safety"
MONOTONIC = "monotonic"
"""Terms, votes within a term, commit and applied indexes never go back."""
CONSISTENT = "consistent"
"""The parts of one server's state fit together."""
COMMIT_RULE = "commit-rule"
"""A leader commits by counting only up to an entry of its own term (§5.4.2, Figure 8)."""
BOUNDS = "bounds"
"""Nothing exceeds its limit."""


class InvariantBroken(AssertionError):
    """A property does not hold; nothing after this moment can be trusted.

    broken: the property's name
    belief: what should hold, and what was found instead
    facts: what it is about, for whoever explains it: nodes, terms, indexes
    """

    def __init__(self, broken: str, belief: str, **facts: object) -> None:
        super().__init__(f"{broken}: {belief}")
        self.broken = broken
        self.belief = belief
        self.facts = facts

    def __reduce__(self) -> tuple[object, ...]:
        return InvariantBroken, (self.broken, self.belief), self.__dict__


def require(holds: bool, broken: str, belief: str) -> None:
    """Raises InvariantBroken unless `holds`."""
    if not holds:
        raise InvariantBroken(broken, belief)


_Moment: TypeAlias = tuple[
    int, NodeId | None, Role, int, int, int, int, int, int, int, int, Snapshot | None
]
"""A server at one moment: term, vote, role, commit index, last applied, truncations, how far its
log is durable and handed out, the log's last index, its term, its base; the snapshot."""


def _moment(raft: RaftState) -> _Moment:
    log = raft.log
    return (
        raft.current_term, raft.voted_for, raft.role, raft.commit_index, raft.last_applied,
        raft.truncations, raft.persisted_index, raft.handed_index, log.last_index, log.last_term,
        log.base_index, raft.snapshot,
    )  # fmt: skip


class ServerWatch:
    """One life of one server: call `check` after every call into its core."""

    __slots__ = (
        "_before",
        "_has_looked",
        "_raft",
    )

    def __init__(self, raft: RaftState) -> None:
        self._raft = raft
        self._before = _moment(raft)
        self._has_looked = False

    def check(self) -> bool:
        """Check what holds at this moment, and between the last check and this one.

        Returns whether anything has changed, apart from what a leader believes of its peers.
        """
        raft, before = self._raft, self._before
        now = self._before = _moment(raft)
        if now == before and self._has_looked:
            if raft.role is LEADER:
                self._check_peers()
            return False
        self._has_looked = True
        log = raft.log
        last_index = log.last_index
        if not log.base_index <= raft.last_applied <= raft.commit_index <= last_index:
            self._explain_indexes()
        if not raft.persisted_index <= raft.handed_index <= last_index:
            believed = f"{raft.persisted_index} <= {raft.handed_index} <= {last_index}"
            raise InvariantBroken(CONSISTENT, f"durable <= handed out <= in the log: {believed}")
        if log.last_term > raft.current_term:
            raise InvariantBroken(CONSISTENT, f"no entry is of a term to come ({log.last_term})")
        term, voted_for, role, commit_index, last_applied, truncations, *_ = before
        if raft.commit_index < commit_index:
            raise InvariantBroken(MONOTONIC, "the commit index never goes back")
        if raft.last_applied < last_applied:
            raise InvariantBroken(MONOTONIC, "applied entries stay applied")
        if raft.current_term != term:
            if raft.current_term < term:
                raise InvariantBroken(MONOTONIC, "terms never go back")
        elif voted_for is not None and raft.voted_for != voted_for:
            raise InvariantBroken(MONOTONIC, "one vote in a term, never taken back (§5.2)")
        if raft.role is LEADER:
            led = role is LEADER
            if led and term == raft.current_term and raft.truncations != truncations:
                raise InvariantBroken(LEADER_APPEND_ONLY, "a leader only appends (§5.3)")
            self._check_leader(commits=led and raft.commit_index > commit_index)
        return True

    def check_ready(self, ready: Ready) -> None:
        """The caller is told to apply only what is committed, and to store a log without gaps."""
        raft = self._raft
        for batch in ready.committed:
            committed = batch.last_index <= raft.commit_index
            require(committed, CONSISTENT, "only what is committed is applied")
        for batch, following in zip(ready.batches, ready.batches[1:], strict=False):
            joined = following.first_index == batch.last_index + 1
            require(joined, CONSISTENT, "what is stored has no gaps")

    def _check_leader(self, *, commits: bool) -> None:
        raft = self._raft
        if raft.voted_for != raft.node_id:
            raise InvariantBroken(ELECTION_SAFETY, "a leader has voted for itself")
        if commits:
            term = raft.log.term_at(raft.commit_index)
            if term != raft.current_term:
                belief = f"a leader of term {raft.current_term} commits an entry of term {term}"
                raise InvariantBroken(COMMIT_RULE, belief)
        self._check_peers()
        if raft.commit_index != raft.log.last_index:
            self._check_tail()

    def _check_peers(self) -> None:
        raft = self._raft
        last_index, limits = raft.log.last_index, raft.limits
        for peer, progress in raft.progress.items():
            if not progress.match_index < progress.next_index <= last_index + 1:
                known = f"{progress.match_index} < {progress.next_index} <= {last_index + 1}"
                belief = f"the guess for {peer} is above its proof and within the log: {known}"
                raise InvariantBroken(CONSISTENT, belief)
            if len(progress.inflight) > limits.inflight_batches:
                belief = f"{len(progress.inflight)} messages are on their way to {peer}"
                raise InvariantBroken(BOUNDS, belief)

    def _check_tail(self) -> None:
        """The uncommitted tail is within its limit, or holds a single proposal. Entries that are
        not this leader's own, or no client's, do not count."""
        raft = self._raft
        tail = raft.log.bytes_after(raft.commit_index)
        if tail > raft.limits.max_uncommitted_bytes:
            first = raft.log.batches_from(raft.commit_index + 1)
            own = [
                batch
                for batch in first
                if batch.term == raft.current_term and batch.kind is COMMANDS
            ]
            over = sum(len(batch.data) for batch in own)
            if over > raft.limits.max_uncommitted_bytes and len(own) > 1:
                raise InvariantBroken(BOUNDS, f"the uncommitted tail has {tail} bytes")

    def _explain_indexes(self) -> None:
        raft = self._raft
        require(raft.log.base_index <= raft.last_applied, CONSISTENT, "applied is above the base")
        require(raft.last_applied <= raft.commit_index, CONSISTENT, "what is applied is committed")
        in_log = raft.commit_index <= raft.log.last_index
        require(in_log, CONSISTENT, f"what is committed is in the log ({raft.commit_index})")


class _Seen:
    """How far one life of one server has been checked."""

    __slots__ = ("base_index", "checked_index", "commit_index", "led_term", "raft", "truncations")

    def __init__(self, raft: RaftState) -> None:
        self.raft = raft
        self.truncations = raft.truncations
        self.base_index = 0
        self.checked_index = raft.log.base_index
        self.commit_index = raft.log.base_index
        self.led_term = 0


class ClusterWatch:
    """All servers of one cluster, through all their lives (Figure 3).

    leaders: who led each term
    committed_end: the highest index that anybody has known to be committed
    """

    def __init__(self) -> None:
        self.leaders: dict[int, NodeId] = {}
        self.committed_end = 0
        self._committed: dict[int, Batch] = {}
        self._committed_ends: dict[int, int] = {0: 0}
        """the term of each committed batch, by its last index"""
        self._committed_in: dict[int, int] = {}
        """the term in which each was first seen committed"""
        self._applied: dict[int, Batch] = {}
        self._held: dict[tuple[int, int], tuple[Batch, int | None]] = {}
        """of each first index and term: the batch, and the term of the entry before it"""
        self._seen: dict[NodeId, _Seen] = {}

    def check(self, servers: Iterable[RaftState]) -> None:
        """`look` at each of `servers`."""
        for raft in servers:
            self.look(raft)

    def look(self, raft: RaftState) -> None:
        """Check Election Safety, Log Matching, Leader Completeness and State Machine Safety for
        what is new on this server."""
        seen = self._seen.get(raft.node_id)
        if seen is None or seen.raft is not raft:
            seen = self._seen[raft.node_id] = _Seen(raft)
        log = raft.log
        if raft.truncations != seen.truncations:
            seen.truncations = raft.truncations
            seen.checked_index = seen.commit_index
        if log.base_index > seen.base_index:
            self._check_base(raft, seen)
        if log.last_index > seen.checked_index:
            self._check_matching(raft, seen)
        if raft.commit_index > seen.commit_index:
            self._check_committed(raft, seen)
        if raft.role is LEADER:
            if seen.led_term != raft.current_term:
                seen.led_term = raft.current_term
                self._check_elected(raft)
        else:
            seen.led_term = 0

    def forget(self, node_id: NodeId) -> None:
        """This server is dead: what it held in memory does not count any more."""
        self._seen.pop(node_id, None)

    def applied(self, node_id: NodeId, batch: Batch) -> None:
        """`node_id` applies `batch`: every other server applies the same one at its index."""
        first = self._applied.setdefault(batch.first_index, batch)
        if first != batch:
            belief = f"all apply the same at {batch.first_index} (node {node_id})"
            raise InvariantBroken(STATE_MACHINE_SAFETY, belief)

    def _check_base(self, raft: RaftState, seen: _Seen) -> None:
        """A log is compacted, or restarted from a snapshot, only up to a committed entry."""
        base, term = raft.log.base_index, raft.log.base_term
        if self._committed_ends.get(base) != term:
            belief = (
                f"the log of node {raft.node_id} begins behind entry {base} of term {term}; "
                f"committed there is one of term {self._committed_ends.get(base)}"
            )
            raise InvariantBroken(STATE_MACHINE_SAFETY, belief)
        seen.base_index = base
        seen.checked_index = max(seen.checked_index, base)
        seen.commit_index = max(seen.commit_index, base)

    def _check_matching(self, raft: RaftState, seen: _Seen) -> None:
        log = raft.log
        before = log.term_at(seen.checked_index)
        for batch in log.batches_from(seen.checked_index + 1):
            key = (batch.first_index, batch.term)
            known = self._held.get(key)
            if known is None:
                self._held[key] = (batch, before)
            elif known[1] != before or (known[0] is not batch and known[0] != batch):
                belief = (
                    f"logs that hold an entry {batch.first_index} of term {batch.term} are the "
                    f"same up to there; that of node {raft.node_id} is another"
                )
                raise InvariantBroken(LOG_MATCHING, belief)
            before = batch.term
        seen.checked_index = log.last_index

    def _check_committed(self, raft: RaftState, seen: _Seen) -> None:
        """No two servers ever commit different batches at one index."""
        end = seen.commit_index
        for batch in raft.log.batches_from(seen.commit_index + 1):
            if batch.last_index > raft.commit_index:
                break
            end = batch.last_index
            agreed = self._committed.get(batch.first_index)
            if agreed is None and batch.first_index == self.committed_end + 1:
                self._committed[batch.first_index] = batch
                self._committed_in[batch.first_index] = raft.current_term
                self._committed_ends[end] = batch.term
                self.committed_end = end
                self._check_later_leaders(raft.current_term, batch)
            elif agreed is not batch and agreed != batch:
                there = "another batch" if agreed is None else f"that of term {agreed.term}"
                belief = (
                    f"committed is for ever: at {batch.first_index} it was {there}, and node "
                    f"{raft.node_id} commits that of term {batch.term}"
                )
                raise InvariantBroken(STATE_MACHINE_SAFETY, belief)
        seen.commit_index = end

    def _check_later_leaders(self, term: int, batch: Batch) -> None:
        for seen in self._seen.values():
            if seen.led_term > term and not _holds(seen.raft, batch):
                self._incomplete(seen.raft, batch)

    def _check_elected(self, raft: RaftState) -> None:
        term = raft.current_term
        leader = self.leaders.setdefault(term, raft.node_id)
        if leader != raft.node_id:
            belief = f"term {term} has one leader: {leader}, and not {raft.node_id} too"
            raise InvariantBroken(ELECTION_SAFETY, belief)
        for start, batch in self._committed.items():
            if self._committed_in[start] < term and not _holds(raft, batch):
                self._incomplete(raft, batch)

    def _incomplete(self, raft: RaftState, batch: Batch) -> None:
        held = raft.log.term_at(batch.first_index)
        has = "nothing" if held is None else f"an entry of term {held}"
        raise InvariantBroken(
            LEADER_COMPLETENESS,
            f"a leader holds all that was committed before: n{raft.node_id}, leader of term "
            f"{raft.current_term}, has {has} at {batch.first_index} instead of term {batch.term}",
        )


def _holds(raft: RaftState, batch: Batch) -> bool:
    """In its log, or covered by a snapshot that `_check_base` has checked."""
    if batch.last_index <= raft.log.base_index:
        return True
    return raft.log.term_at(batch.first_index) == batch.term
