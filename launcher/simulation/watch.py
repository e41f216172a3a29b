"""What must hold in a simulated cluster, beyond what each core and their logs show.

`Watch` observes every step of the nodes, and what their clients learn. It checks:

promises        A node's disk must be able to keep what the node has told others: its term, its
                vote, the entries it acknowledged. Checked whenever a node recovers, against what
                the product's own recovery finds. Now and then it is also checked just after a
                promise: on a twin of the disk, `Watch` looks at what a loss of power would leave.
                Once the data of a node is removed, its promises are void if no configuration that
                may still count lets the node vote.
durability      When an entry is first committed, a majority of the disks holds it. Now and then,
                when its client has the reply, `Watch` checks that a majority would still recover
                the entry if the power of all nodes went.
exactly-once    A command takes effect once in a life, at one index in all lives, and its client is
                told that index.
reconciled      A node that is taken off the record is a member of no configuration that may still
                count.
state-machine-  All nodes apply the same commands at the same indexes, and have the same digest
safety          whenever they have applied as much. Then their machines have answered the same,
                too, which is what a supervisor compares (`launcher/control/divergence.py`).

`node/raft/invariants.py` checks the five properties of Figure 3, `memberships.py` the
configurations. All of them raise `InvariantBroken`.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import TYPE_CHECKING

from launcher.simulation.disk import SimulatedDisk
from launcher.simulation.memberships import MembershipWatch, is_quorum
from launcher.simulation.promises import Promises, TermAt
from launcher.simulation.properties import DURABILITY, EXACTLY_ONCE, PROMISES, RECONCILED
from launcher.simulation.watched_machine import Applied
from node import wire
from node.errors import StorageError
from node.raft.invariants import (
    CONSISTENT,
    STATE_MACHINE_SAFETY,
    ClusterWatch,
    InvariantBroken,
    ServerWatch,
)
from node.raft.membership import Configuration, stable
from node.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    InstallSnapshot,
    Membership,
    NodeId,
    RequestVoteReply,
)
from node.raft.state import RaftState
from node.storage.store import Kept, examine

if TYPE_CHECKING:
    from launcher.simulation.node import SimulatedNode

PROBE_ENTRIES = 200
"""The longest log, in entries, that is probed at the full rate. A longer one is probed
proportionally less often, because reading it again takes longer."""

_SENT_BY_LEADERS = wire.tags(AppendEntries, InstallSnapshot)
"""These promise nothing."""


class Watch:
    """Observes everything that happens in one simulated cluster.

    committed_index: up to where any node has known the log to be committed
    acknowledged_count: how many entries have been acknowledged to clients
    """

    def __init__(self, rng: random.Random, beginning: Membership) -> None:
        """beginning: the membership with which the cluster begins"""
        self.cluster = ClusterWatch()
        self._memberships = MembershipWatch(beginning)
        self.promises: dict[NodeId, Promises] = {}
        self.acknowledged_count = 0
        self._rng = rng
        self._servers: dict[NodeId, ServerWatch] = {}
        self._states: dict[NodeId, RaftState] = {}
        self.applied = Applied()
        self._digests: dict[int, bytes] = {}
        self._answers: dict[int, int] = {}
        self._digested: dict[NodeId, int] = {}
        self._durable: dict[NodeId, int] = {}
        """up to which index each node's disk is known to hold its log"""
        self.committed_index = 0
        self._configurations: list[Configuration] = []
        """those that may count: the last committed one, and those that follow it in the log"""
        self._nodes: list[SimulatedNode] = []

    def begin(self, nodes: Iterable[SimulatedNode]) -> None:
        """Begins to watch these nodes: all of the run."""
        self._nodes = list(nodes)
        self.promises = {node.node_id: Promises(node.node_id) for node in self._nodes}

    # -- what nodes do ---------------------------------------------------------------------------

    def started(self, node: SimulatedNode) -> None:
        """A new life has recovered."""
        assert node.server is not None
        state = node.server.state
        self.promises[node.node_id].begin_life(state)
        self._servers[node.node_id] = ServerWatch(state)
        self._states[node.node_id] = state
        self._digested[node.node_id] = 0
        self._durable[node.node_id] = state.persisted_index
        self.cluster.look(state)

    def died(self, node: SimulatedNode) -> None:
        """A life has ended. What it last knew to be committed still counts."""
        self.cluster.forget(node.node_id)
        del self._servers[node.node_id]
        state = self._states.pop(node.node_id)
        self._durable[node.node_id] = state.persisted_index  # it may have died within a turn
        self._look_at_commit(node, state)

    def forgot(self, node: SimulatedNode) -> None:
        """A node's data has been removed. Its promises stay in force while any configuration that
        may count lets the node vote."""
        self._durable[node.node_id] = 0
        counting = [one for one in self._configurations if one.may_vote(node.node_id)]
        if self._configurations and not counting:
            self.promises[node.node_id] = Promises(node.node_id)

    def recovered(self, survivor: SimulatedNode, last_index: int) -> None:
        """The cluster was recovered: the survivor's log stays, the others' promises are void."""
        if last_index <= self.committed_index:  # the recovery itself has added the last entry
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
        """A node is about to be taken off the record. Raises InvariantBroken if it is a member of
        a configuration that may still count."""
        for one in self._configurations:
            if node.node_id in one.membership.members:
                belief = f"n{node.node_id} is taken off the record, and there is {one.membership}"
                raise InvariantBroken(RECONCILED, belief)
        self._durable.pop(node.node_id, None)

    def stepped(self, node: SimulatedNode) -> None:
        """A server has finished a turn."""
        server = node.server
        assert server is not None
        index, digest = server.applied
        if index != self._digested[node.node_id]:
            self._digested[node.node_id] = index
            self._compare_digest(node, index, digest, server.applying.answers)
        if not self._servers[node.node_id].check():
            return  # nothing has changed
        state = server.state
        self.cluster.look(state)
        self._durable[node.node_id] = state.persisted_index
        self._look_at_commit(node, state)
        self._memberships.look(state)

    def sending(self, node: SimulatedNode, peer: NodeId, frame: bytes) -> None:
        """A node sends a frame: records its promise, and now and then checks the disk."""
        if wire.tag_of(frame) in _SENT_BY_LEADERS:
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
        if new and self._rng.random() < often * self._affordable(node):
            self.check_promises(node)

    def rejected(self, node: SimulatedNode, reason: object) -> None:
        """A node has rejected a snapshot that it received, though no disk is damaged."""
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
            if since < index:  # it was in force before it was committed
                self._check_majority(node, index, [configuration])

    def _check_majority(
        self, node: SimulatedNode, index: int, configurations: Iterable[Configuration]
    ) -> None:
        """An entry is committed for the first time: a majority of the disks must hold it."""
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
        """A client has received the reply to an entry."""
        self.acknowledged_count += 1
        if self.applied.at.get(index) != command:
            belief = (
                f"{command!r} was acknowledged at {index}, where {self.applied.at.get(index)!r} is"
            )
            raise InvariantBroken(EXACTLY_ONCE, belief)
        if self._rng.random() < 0.002 * self._affordable(self._nodes[0]):
            self.check_durable(index, term)

    # -- if the power went now -------------------------------------------------------------------

    def check_promises(self, node: SimulatedNode) -> None:
        """Raises InvariantBroken if the node could not keep its promises after a loss of power."""
        if node.data.is_doubtful:
            return
        kept = self._after_power_loss(node)
        base_index = kept.snapshot.last_included_index if kept.snapshot else 0
        promises = self.promises[node.node_id]
        promises.check(kept.hard_state, TermAt(kept), kept.last_index, base_index)

    def check_durable(self, index: int, term: int) -> None:
        """Raises InvariantBroken if a loss of all power would leave the entry on too few disks."""
        holders = [  # a disk that was damaged since is counted
            node.node_id
            for node in self._nodes
            if node.data.is_doubtful or self._would_hold(node, index, term)
        ]
        if not any(is_quorum(one.membership, holders) for one in self._configurations):
            belief = (
                f"entry {index} of term {term} was acknowledged, and would be found on "
                f"{len(holders)} of {len(self._nodes)} disks if all power went: {holders}"
            )
            raise InvariantBroken(DURABILITY, belief)

    def _affordable(self, node: SimulatedNode) -> float:
        """By which factor probes of this node are rarer, from 0 to 1 (`PROBE_ENTRIES`)."""
        return min(1.0, PROBE_ENTRIES / (1 + self._digested.get(node.node_id, 0)))

    def _would_hold(self, node: SimulatedNode, index: int, term: int) -> bool:
        kept = self._after_power_loss(node)
        if kept.snapshot is not None and index <= kept.snapshot.last_included_index:
            return True
        return TermAt(kept)(index) == term

    def _after_power_loss(self, node: SimulatedNode) -> Kept:
        twin: SimulatedDisk = node.disk.twin(self._rng)
        twin.lose_power()
        try:
            return examine(twin, node.data.identity)
        except StorageError as error:
            belief = f"n{node.node_id} would not recover if its power went now: {error}"
            raise InvariantBroken(PROMISES, belief) from error
