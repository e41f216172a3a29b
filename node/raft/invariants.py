"""What must hold: of one server before and after every step, and of a cluster at any moment.

`ServerWatch` looks at one server (LogCabin does the same, at every step, in its debug build);
`ClusterWatch` remembers what any server has ever led, committed or applied and compares them all:
the five properties of Figure 3. Both raise `InvariantBroken`, and say what was believed.

Tests and simulations call them. They read the core's state and change nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from node.raft.messages import Batch, NodeId
from node.raft.state import RaftState, Ready, Role


class InvariantBroken(AssertionError):
    """Raft's safety does not hold; nothing after this moment can be trusted."""


def require(holds: bool, belief: str) -> None:
    """Raises InvariantBroken unless `holds`."""
    if not holds:
        raise InvariantBroken(belief)


@dataclass(frozen=True)
class _Before:
    current_term: int
    voted_for: NodeId | None
    role: Role
    commit_index: int
    last_applied: int
    last_index: int
    last_term: int


class ServerWatch:
    """One life of one server: call `check` after every call into its core."""

    def __init__(self, raft: RaftState) -> None:
        self._raft = raft
        self._before = self._look()

    def check(self) -> None:
        """What holds within a moment, and from the last moment to this one."""
        raft, before, now = self._raft, self._before, self._look()
        self._before = now
        require(raft.log.base_index <= raft.last_applied, "nothing below the log is applied anew")
        require(raft.last_applied <= raft.commit_index, "only what is committed is applied")
        require(raft.commit_index <= raft.log.last_index, "what is committed is in the log")
        require(raft.log.last_term <= raft.current_term, "no entry is of a term to come")
        require(raft.persisted_index <= raft.handed_index, "only what was handed out is durable")
        require(raft.handed_index <= raft.log.last_index, "only what is in the log is handed out")
        require(now.current_term >= before.current_term, "terms never go back")
        require(now.commit_index >= before.commit_index, "the commit index never goes back")
        require(now.last_applied >= before.last_applied, "applied entries stay applied")
        if now.current_term == before.current_term:
            kept = before.voted_for in (None, now.voted_for)
            require(kept, "one vote in a term, never taken back (§5.2)")
            if before.role is Role.LEADER and now.role is Role.LEADER:
                same = raft.log.term_at(before.last_index) == before.last_term
                require(same, "a leader only appends (Leader Append-Only, §5.3)")
        if raft.role is Role.LEADER:
            require(raft.voted_for == raft.node_id, "a leader has voted for itself")
            for peer, progress in raft.progress.items():
                known = progress.match_index < progress.next_index <= raft.log.last_index + 1
                require(known, f"the guess for {peer} is above its proof and within the log")

    def check_ready(self, ready: Ready) -> None:
        """What the caller is told is in order."""
        raft = self._raft
        for batch in ready.committed:
            require(batch.last_index <= raft.commit_index, "only what is committed is applied")
        for batch, following in zip(ready.batches, ready.batches[1:], strict=False):
            require(following.first_index == batch.last_index + 1, "what is stored has no gaps")

    def _look(self) -> _Before:
        raft = self._raft
        return _Before(
            raft.current_term,
            raft.voted_for,
            raft.role,
            raft.commit_index,
            raft.last_applied,
            raft.log.last_index,
            raft.log.last_term,
        )


class ClusterWatch:
    """All servers of one cluster, through all their lives (Figure 3)."""

    def __init__(self) -> None:
        self._leaders: dict[int, NodeId] = {}
        self._committed: dict[int, Batch] = {}
        self._committed_in: dict[int, int] = {}
        """the term in which each was first seen committed"""
        self._committed_end = 0
        self._applied: dict[int, Batch] = {}

    def check(self, servers: Iterable[RaftState]) -> None:
        """Election Safety, Leader Completeness, Log Matching and State Machine Safety."""
        alive = list(servers)
        for raft in alive:
            if raft.role is Role.LEADER:
                leader = self._leaders.setdefault(raft.current_term, raft.node_id)
                require(
                    leader == raft.node_id,
                    f"term {raft.current_term} has one leader: {leader}, not {raft.node_id} too",
                )
            self._check_committed(raft)
        for raft in alive:
            if raft.role is Role.LEADER:
                self._check_complete(raft)

    def applied(self, node_id: NodeId, batch: Batch) -> None:
        """`node_id` applies `batch`."""
        first = self._applied.setdefault(batch.first_index, batch)
        require(first == batch, f"all apply the same at {batch.first_index} (node {node_id})")

    def _check_committed(self, raft: RaftState) -> None:
        """What one server holds committed no other ever holds otherwise."""
        if raft.commit_index > self._committed_end:
            for batch in raft.log.batches_from(self._committed_end + 1):
                if batch.last_index <= raft.commit_index:
                    self._committed[batch.first_index] = batch
                    self._committed_in[batch.first_index] = raft.current_term
                    self._committed_end = batch.last_index
        if raft.commit_index > raft.log.base_index:
            start = raft.log.batch_start(raft.commit_index)
            (held, *_) = raft.log.batches_from(start)
            agreed = self._committed.get(start)
            require(agreed == held, f"a committed entry is for ever ({start}, {raft.node_id})")

    def _check_complete(self, raft: RaftState) -> None:
        for start, batch in self._committed.items():
            held = raft.log.term_at(start)
            require(
                held == batch.term or raft.current_term < self._committed_in[start],
                f"leader {raft.node_id} of term {raft.current_term} holds all that is committed: "
                f"at {start} it has term {held}, not {batch.term}",
            )
