"""What must hold in a simulated cluster, beyond what each core and their logs show.

`Watch` sits between the nodes and the clients, and looks at every step:

promises        What a node has said, its disk must be able to keep: the term it was in, the vote
                it gave, the entries it acknowledged. That is checked whenever a node recovers, by
                what the product's own recovery finds. And now and then, just after a promise, by
                asking what would be found if the power went now: on a twin of the disk. When its
                data is removed (`rebuild`), what it has said is void only if no configuration
                counts it by then.
durability      When an entry is first committed, a majority of the disks holds it. And when its
                client has the answer it would, now and then, be found on a majority if the power
                of all nodes went now.
exactly-once    A command takes effect once in a life, at one index in all lives, and that is where
                its client is told that it stands.
reconciled      Who is taken off the record takes part by no configuration that may still count.
state-machine-  All nodes apply the same commands at the same indexes, and have the same digest
safety          whenever they have applied as much. Then their machines have answered the same,
                too, which is what a supervisor compares (`launcher/divergence.py`).

The five properties of Figure 3 are `node/raft/invariants.py`'s; `memberships.py` has what holds of
who votes. All raise `InvariantBroken`.
"""

from __future__ import annotations

import random
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import TYPE_CHECKING

from launcher.simulation.clients import EXACTLY_ONCE
from launcher.simulation.disk import SimulatedDisk
from launcher.simulation.memberships import RECONCILED, MembershipWatch, is_quorum
from node import wire
from node.errors import StorageError
from node.machines.kv import KeyValue
from node.raft.invariants import (
    CONSISTENT,
    STATE_MACHINE_SAFETY,
    ClusterWatch,
    InvariantBroken,
    ServerWatch,
)
from node.raft.membership import Configuration, stable
from node.raft.messages import (
    AppendEntriesReply,
    HardState,
    InstallSnapshotReply,
    Membership,
    Message,
    NodeId,
    RequestVote,
    RequestVoteReply,
)
from node.raft.state import RaftState
from node.storage.segment import Identity
from node.storage.store import Kept, examine

if TYPE_CHECKING:
    from launcher.simulation.node import SimulatedNode

PROMISES = "promises"
DURABILITY = "durability"

PROBE_ENTRIES = 200
"""Logs up to so long are probed freely; longer ones more rarely, so that a probe costs as much."""

TAG_AT = 11
"""Where a frame between nodes says what it is: behind an array, a 64-bit time, and an array."""

_SENT_BY_LEADERS = (3, 5)
"""AppendEntries and InstallSnapshot, which promise nothing."""

_last_index = attrgetter("last_index")


class Promises:
    """What one node has told others, through all its lives."""

    def __init__(self, node_id: NodeId) -> None:
        self.node_id = node_id
        self.term = 0
        self.vote = HardState()
        self.acknowledged = (0, 0)
        """index and term of the last entry that it said its disk holds"""
        self.shaken = 0
        """so many of the next promises are made by a log that was truncated a moment ago"""
        self._state: RaftState | None = None
        self._truncations = 0

    def live(self, state: RaftState) -> None:
        """A new life has recovered this; it must not have forgotten anything."""
        vote, log = state.hard_state, state.log
        self.check(vote, log.term_at, log.last_index, log.base_index)
        index, term = self.acknowledged
        if index > log.base_index and log.term_at(index) != term:
            self.acknowledged = (0, 0)
        self._state, self._truncations = state, state.truncations

    def note(self, message: Message, to: NodeId) -> bool:
        """Takes note of what a message says of its sender; whether that is anything new."""
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
            return False  # a later leader may have taken the entries back since
        index, _ = self.acknowledged
        if state.truncations == self._truncations:
            if match_index <= index:
                return False
        else:
            self.shaken = 5
        if match_index < state.log.base_index:
            return False  # a snapshot stands for it, and for more
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
        """Whether a disk that holds this can keep what was said. Raises InvariantBroken.

        base_index: a snapshot stands for what is up to there
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
    """The term at an index of a recovered log."""

    def __init__(self, kept: Kept) -> None:
        self._batches = kept.batches

    def __call__(self, index: int) -> int | None:
        at = bisect_left(self._batches, index, key=_last_index)
        if at == len(self._batches) or self._batches[at].first_index > index:
            return None
        return self._batches[at].term


class Applied:
    """What machines have been handed, in all lives of all nodes.

    at: the command at each index
    of: the index of each command that bears a value of its own
    snapshots: a checksum of the state after each index at which anybody took a snapshot
    """

    def __init__(self) -> None:
        self.at: dict[int, bytes] = {}
        self.of: dict[bytes, int] = {}
        self.snapshots: dict[int, int] = {}


class WatchedMachine:
    """The kv machine of one life, watched."""

    def __init__(self, node_id: NodeId, applied: Applied) -> None:
        self._machine = KeyValue()
        self.query = self._machine.query
        self.restore = self._machine.restore
        self._apply = self._machine.apply
        self._node_id = node_id
        self._at = applied.at
        self._of = applied.of
        self._snapshots = applied.snapshots
        self._last_index = 0

    def apply(self, index: int, command: bytes) -> bytes:
        if index <= self._last_index:
            belief = f"n{self._node_id} applies {index} after {self._last_index}"
            raise InvariantBroken(STATE_MACHINE_SAFETY, belief)
        self._last_index = index
        first = self._at.get(index)
        if first is None:
            self._at[index] = command
            # Each SET and each CAS writes a value that no other command ever writes.
            if command[0] in b"SC" and self._of.setdefault(command, index) != index:
                belief = (
                    f"n{self._node_id} applies {command!r} at {index}, and it took effect at "
                    f"{self._of[command]} already"
                )
                raise InvariantBroken(EXACTLY_ONCE, belief)
        elif first != command:
            belief = f"all apply {first!r} at {index}, and n{self._node_id} applies {command!r}"
            raise InvariantBroken(STATE_MACHINE_SAFETY, belief)
        return self._apply(index, command)

    def snapshot(self) -> list[bytes]:
        """The machine's; all whose last command is the same have the same."""
        chunks = list(self._machine.snapshot())
        checksum = zlib.crc32(b"".join(chunks))
        index = self._last_index
        if index and self._snapshots.setdefault(index, checksum) != checksum:
            belief = f"all have the same state after {index}, and n{self._node_id} has another"
            raise InvariantBroken(STATE_MACHINE_SAFETY, belief)
        return chunks


class Watch:
    """Looks at everything that happens in one simulated cluster."""

    def __init__(self, chance: random.Random, beginning: Membership) -> None:
        """beginning: with whom the cluster begins"""
        self.cluster = ClusterWatch()
        self._memberships = MembershipWatch(beginning)
        self.promises: dict[NodeId, Promises] = {}
        self.acknowledged_count = 0
        self._chance = chance
        self._servers: dict[NodeId, ServerWatch] = {}
        self._states: dict[NodeId, RaftState] = {}
        self.applied = Applied()
        self._digests: dict[int, bytes] = {}
        self._answers: dict[int, int] = {}
        self._digested: dict[NodeId, int] = {}
        self._durable: dict[NodeId, int] = {}
        """how far each node's disk was last known to hold its log"""
        self.committed_index = 0
        """up to where any node has known the log to be committed"""
        self._configurations: list[Configuration] = []
        """by any of these may be decided: the last that is committed, and those behind it"""
        self._nodes: list[SimulatedNode] = []

    def begin(self, nodes: Iterable[SimulatedNode]) -> None:
        """These are to be watched."""
        self._nodes = list(nodes)
        self.promises = {node.node_id: Promises(node.node_id) for node in self._nodes}

    # -- what nodes do ---------------------------------------------------------------------------

    def started(self, node: SimulatedNode) -> None:
        """A life has recovered."""
        assert node.server is not None
        state = node.server.state
        self.promises[node.node_id].live(state)
        self._servers[node.node_id] = ServerWatch(state)
        self._states[node.node_id] = state
        self._digested[node.node_id] = 0
        self._durable[node.node_id] = state.persisted_index
        self.cluster.look(state)

    def died(self, node: SimulatedNode) -> None:
        """A life is over; the last that it knew may be that something is committed."""
        self.cluster.forget(node.node_id)
        del self._servers[node.node_id]
        self._look_at_commit(node, self._states.pop(node.node_id))

    def forgot(self, node: SimulatedNode) -> None:
        """A node's data has been removed. What it has said binds it all the same, if that counts
        by what was committed last, or may come to count by what stands behind that."""
        self._durable[node.node_id] = 0
        counting = [one for one in self._configurations if one.may_vote(node.node_id)]
        if self._configurations and not counting:
            self.promises[node.node_id] = Promises(node.node_id)

    def recovered(self, survivor: SimulatedNode, last_index: int) -> None:
        """The cluster begins anew: with the survivor's log, and with nobody else's promises."""
        if last_index <= self.committed_index:  # the last entry is the one that was added
            belief = (
                f"n{survivor.node_id} held all {self.committed_index} committed entries, and the "
                f"new cluster begins with {last_index - 1}"
            )
            raise InvariantBroken(DURABILITY, belief)
        self._configurations = [Configuration(stable([survivor.node_id]))]
        for node_id in self.promises:
            self._durable[node_id] = last_index if node_id == survivor.node_id else 0
            if node_id != survivor.node_id:
                self.promises[node_id] = Promises(node_id)

    def dismissed(self, node: SimulatedNode) -> None:
        """A node is about to be taken off the record: it takes part by no configuration any more,
        neither the one that was committed last nor one that stands behind it."""
        for one in self._configurations:
            if node.node_id in one.membership.members:
                belief = f"n{node.node_id} is taken off the record, and there is {one.membership}"
                raise InvariantBroken(RECONCILED, belief)
        self._durable.pop(node.node_id, None)

    def stepped(self, node: SimulatedNode) -> None:
        """A server has done all that was to be done."""
        server = node.server
        assert server is not None
        index, digest = server.applied
        if index != self._digested[node.node_id]:
            self._digested[node.node_id] = index
            self._compare_digest(node, index, digest, server.answered)
        if not self._servers[node.node_id].check():
            return  # and so nothing else is, either
        state = server.state
        self.cluster.look(state)
        self._durable[node.node_id] = state.persisted_index
        self._look_at_commit(node, state)
        self._memberships.look(state)

    def sending(self, node: SimulatedNode, peer: NodeId, frame: bytes) -> None:
        """A frame leaves: what does it promise?"""
        if frame[TAG_AT] in _SENT_BY_LEADERS:
            return
        _, message = wire.decode_rpc(frame)
        promises = self.promises[node.node_id]
        new = promises.note(message, peer)
        if isinstance(message, RequestVoteReply):
            often = 1.0 if message.vote_granted else 0.2
        else:
            often = 0.003 if isinstance(message, AppendEntriesReply) else 0.2
            if promises.shaken:
                promises.shaken -= 1
                often = 0.3
        if new and self._chance.random() < often * self._affordable(node):
            self.check_promises(node)

    def rejected(self, node: SimulatedNode, reason: object) -> None:
        """What has arrived of a snapshot is not what was sent, and no disk has rotted."""
        belief = f"n{node.node_id} has been sent a snapshot and put it together wrongly: {reason}"
        raise InvariantBroken(CONSISTENT, belief)

    def _look_at_commit(self, node: SimulatedNode, state: RaftState) -> None:
        if state.commit_index > self.committed_index:
            known = max(self.committed_index, state.log.base_index)
            new = state.log.batches_from(known + 1)
            self._memberships.committed(one for one in new if one.last_index <= state.commit_index)
            since, self.committed_index = self.committed_index, state.commit_index
            self._configurations = [one for _, one in state.configurations]
            self._check_majority(node, state.commit_index, self._configurations)
            index, configuration = state.configurations[0]
            if since < index:  # it has been in force from before its commit
                self._check_majority(node, index, [configuration])

    def _check_majority(
        self, node: SimulatedNode, index: int, configurations: Iterable[Configuration]
    ) -> None:
        """What is committed for the first time a majority of the disks holds."""
        holders = [other for other, durable in self._durable.items() if durable >= index]
        if not any(is_quorum(one.membership, holders) for one in configurations):
            belief = (
                f"n{node.node_id} commits entry {index}, and no more than {len(holders)} of "
                f"{len(self._nodes)} disks hold that many: {holders}"
            )
            raise InvariantBroken(DURABILITY, belief)

    def _compare_digest(
        self, node: SimulatedNode, index: int, digest: bytes, answered: int
    ) -> None:
        if self._answers.setdefault(index, answered) != answered:
            belief = (
                f"all machines answer alike up to {index}, and that of n{node.node_id} does not"
            )
            raise InvariantBroken(STATE_MACHINE_SAFETY, belief)
        if self._digests.setdefault(index, digest) != digest:
            belief = f"all have one digest at {index}, and n{node.node_id} has another"
            raise InvariantBroken(STATE_MACHINE_SAFETY, belief)

    # -- what clients learn ----------------------------------------------------------------------

    def acknowledged(self, index: int, term: int, command: bytes) -> None:
        """A client has the answer to an entry."""
        self.acknowledged_count += 1
        if self.applied.at.get(index) != command:
            belief = (
                f"{command!r} was acknowledged at {index}, where {self.applied.at.get(index)!r} is"
            )
            raise InvariantBroken(EXACTLY_ONCE, belief)
        if self._chance.random() < 0.002 * self._affordable(self._nodes[0]):
            self.check_durable(index, term)

    # -- if the power went now -------------------------------------------------------------------

    def check_promises(self, node: SimulatedNode) -> None:
        """Whether this node could keep its promises if its power went now."""
        if node.is_doubtful:
            return
        kept = self._after_power_loss(node)
        base_index = kept.snapshot.last_included_index if kept.snapshot else 0
        promises = self.promises[node.node_id]
        promises.check(kept.hard_state, TermAt(kept), kept.last_index, base_index)

    def check_durable(self, index: int, term: int) -> None:
        """Whether an entry would be found on a majority of disks if all power went now."""
        holders = [  # of a disk that rotted since, nobody can tell
            node.node_id
            for node in self._nodes
            if node.is_doubtful or self._would_hold(node, index, term)
        ]
        if not any(is_quorum(one.membership, holders) for one in self._configurations):
            belief = (
                f"entry {index} of term {term} was acknowledged, and would be found on "
                f"{len(holders)} of {len(self._nodes)} disks if all power went: {holders}"
            )
            raise InvariantBroken(DURABILITY, belief)

    def _affordable(self, node: SimulatedNode) -> float:
        """A share of 1: reading a long log again takes long."""
        return min(1.0, PROBE_ENTRIES / (1 + self._digested.get(node.node_id, 0)))

    def _would_hold(self, node: SimulatedNode, index: int, term: int) -> bool:
        kept = self._after_power_loss(node)
        if kept.snapshot is not None and index <= kept.snapshot.last_included_index:
            return True
        return TermAt(kept)(index) == term

    def _after_power_loss(self, node: SimulatedNode) -> Kept:
        twin: SimulatedDisk = node.disk.twin(self._chance)
        twin.lose_power()
        try:
            return examine(twin, Identity(node.cluster_id, node.node_id))
        except StorageError as error:
            belief = f"n{node.node_id} would not recover if its power went now: {error}"
            raise InvariantBroken(PROMISES, belief) from error
