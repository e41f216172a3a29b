"""What a node has told its peers, and whether its disk can keep it.

A node promises something with most messages: the term it is in, the vote it gave, the entries that
it acknowledged. `Promises` records that through all lives of the node. `watch.py` compares it with
what the product's own recovery finds on the disk.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from operator import attrgetter

from launcher.simulation.properties import PROMISES
from node.raft.invariants import InvariantBroken
from node.raft.messages import (
    AppendEntriesReply,
    HardState,
    InstallSnapshotReply,
    Message,
    NodeId,
    RequestVote,
    RequestVoteReply,
)
from node.raft.state import RaftState
from node.storage.store import Kept

_last_index = attrgetter("last_index")


class Promises:
    """What one node has told others, through all its lives.

    term: the newest term that it said it was in
    vote: the last vote that it gave; a candidate's is for itself
    acknowledged: index and term of the last entry that it said its disk holds
    shaken: how many of the next promises are checked more often: the log was truncated a moment
        ago
    """

    def __init__(self, node_id: NodeId) -> None:
        self.node_id = node_id
        self.term = 0
        self.vote = HardState()
        self.acknowledged = (0, 0)
        self.shaken = 0
        self._state: RaftState | None = None
        self._truncations = 0

    def begin_life(self, state: RaftState) -> None:
        """A new life has recovered this state. Raises InvariantBroken if it has forgotten any."""
        vote, log = state.hard_state, state.log
        self.check(vote, log.term_at, log.last_index, log.base_index)
        index, term = self.acknowledged
        if index > log.base_index and log.term_at(index) != term:
            self.acknowledged = (0, 0)
        self._state, self._truncations = state, state.truncations

    def note(self, message: Message, to: NodeId) -> bool:
        """Records what a message promises. Returns whether that is anything new."""
        if isinstance(message, AppendEntriesReply):
            new = self._note_term(message.term)
            return (
                message.success and self._note_entries(message.term, message.match_index)
            ) or new
        if isinstance(message, RequestVote):
            return not message.pre_vote and self._note_vote(message.term, message.candidate_id)
        if isinstance(message, InstallSnapshotReply):
            new = self._note_term(message.term)
            index = message.last_included_index
            return (message.installed and self._note_entries(message.term, index)) or new
        if isinstance(message, RequestVoteReply) and not message.pre_vote:
            if message.vote_granted:
                return self._note_vote(message.term, to)
            return self._note_term(message.term)
        return False

    def _note_term(self, term: int) -> bool:
        if term <= self.term:
            return False
        self.term = term
        return True

    def _note_vote(self, term: int, candidate: NodeId) -> bool:
        vote = HardState(term, candidate)
        if vote == self.vote:
            return False
        if term == self.vote.current_term:
            belief = (
                f"n{self.node_id} votes once in term {term}, for n{self.vote.voted_for}, "
                f"and not for n{candidate} too"
            )
            raise InvariantBroken(PROMISES, belief)
        if term > self.vote.current_term:
            self.vote = vote
        self._note_term(term)
        return True

    def _note_entries(self, term: int, match_index: int) -> bool:
        state = self._state
        if state is None or term != state.current_term:
            return False  # a later leader may have truncated the entries since
        index, _ = self.acknowledged
        if state.truncations == self._truncations:
            if match_index <= index:
                return False
        else:
            self.shaken = 5
        if match_index < state.log.base_index:
            return False  # a snapshot covers it, and more
        held = state.log.term_at(match_index)
        if held is None:
            belief = f"n{self.node_id} acknowledges {match_index}, which it does not hold"
            raise InvariantBroken(PROMISES, belief)
        self.acknowledged = (match_index, held)
        self._truncations = state.truncations
        return True

    def check(
        self,
        vote: HardState,
        term_at: Callable[[int], int | None],
        last_index: int,
        base_index: int,
    ) -> None:
        """Raises InvariantBroken unless a disk with this content can keep the promises.

        term_at: the term of the entry at an index; None where the log has no entry
        base_index: a snapshot covers the entries up to there
        """
        name = f"n{self.node_id}"
        if vote.current_term < self.term:
            belief = f"{name} was in term {self.term}, and its disk says {vote.current_term}"
            raise InvariantBroken(PROMISES, belief)
        given = self.vote
        if vote.current_term == given.current_term and vote.voted_for != given.voted_for:
            belief = (
                f"{name} voted for n{given.voted_for} in term {given.current_term}, and its disk "
                f"says {vote.voted_for}"
            )
            raise InvariantBroken(PROMISES, belief)
        index, term = self.acknowledged
        state = self._state
        kept = state is not None and state.truncations == self._truncations
        if kept and index > base_index:
            held = term_at(index)
            if held != term:
                belief = (
                    f"{name} acknowledged entry {index} of term {term}, and its disk has "
                    f"{'nothing' if held is None else f'one of term {held}'} there "
                    f"(it ends at {last_index})"
                )
                raise InvariantBroken(PROMISES, belief)


class TermAt:
    """Looks up the term at an index of a recovered log: None where the log has no entry."""

    def __init__(self, kept: Kept) -> None:
        self._batches = kept.batches

    def __call__(self, index: int) -> int | None:
        at = bisect_left(self._batches, index, key=_last_index)
        if at == len(self._batches) or self._batches[at].first_index > index:
            return None
        return self._batches[at].term
