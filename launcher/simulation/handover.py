"""What must hold when a leader hands over (thesis §3.10).

It tells nobody to stand for election whose disk lacks any of its log; it takes no entry while it
hands over, and gives up in time; and nobody stands for election in the leader's name, past those
who hear that leader, but who was told to by the leader of the term before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.simulation.properties import HANDOVER
from node import wire
from node.raft.invariants import InvariantBroken, require
from node.raft.messages import NodeId, RequestVote, TimeoutNow
from node.raft.state import LEADER, Transfer

if TYPE_CHECKING:
    from launcher.simulation.node import SimulatedNode


HANDOVERS = (1, 7)
"""The tags of the messages that tell of it."""

LATE_S = 0.05
"""A timer may be so late."""


class HandoverWatch:
    """Looks at every step and every message of one cluster."""

    def __init__(self) -> None:
        self._told: set[tuple[int, NodeId]] = set()
        """term of the leader, and whom it has told to stand for election"""
        self._begun: dict[NodeId, tuple[Transfer, float, int, int]] = {}
        """the transfer of each node, the time on its clock then, its term and its last index"""

    def stepped(self, node: SimulatedNode) -> None:
        """A server has done all that was to be done."""
        assert node.server is not None
        state = node.server.state
        if state.transfer is None:
            if self._begun:
                self._begun.pop(node.node_id, None)
            return
        begun = self._begun.get(node.node_id)
        now, term, last_index = node.local_now, state.current_term, state.log.last_index
        if begun is None or begun[0] is not state.transfer:
            self._begun[node.node_id] = (state.transfer, now, term, last_index)
            return
        lasted_s = now - begun[1]
        if lasted_s > state.timing.election_timeout_min_s + LATE_S:
            belief = f"n{node.node_id} gives up handing over in time, not after {lasted_s:.3f} s"
            raise InvariantBroken(HANDOVER, belief)
        if state.role is LEADER and term == begun[2] and last_index != begun[3]:
            belief = f"n{node.node_id} takes no entry while it hands over, and took {last_index}"
            raise InvariantBroken(HANDOVER, belief)

    def sending(self, node: SimulatedNode, peer: SimulatedNode, frame: bytes) -> None:
        """A frame leaves."""
        _, message = wire.decode_rpc(frame)
        if isinstance(message, TimeoutNow):
            self._told.add((message.term, peer.node_id))
            self._check_target(node, peer, message)
        elif isinstance(message, RequestVote) and message.leadership_transfer:
            told = (message.term - 1, node.node_id) in self._told
            belief = f"n{node.node_id} stands in term {message.term} in the name of its leader"
            require(told and not message.pre_vote, HANDOVER, belief)

    def _check_target(self, node: SimulatedNode, peer: SimulatedNode, message: TimeoutNow) -> None:
        """Who is told to stand has all of the log on disk, unless it is in a later term by now."""
        if peer.server is None or node.server is None:
            return
        theirs, last_index = peer.server.state, node.server.state.log.last_index
        if theirs.current_term > message.term:
            return
        if theirs.persisted_index < last_index:
            belief = (
                f"n{node.node_id} tells n{peer.node_id} to stand, whose disk holds its log up to "
                f"{theirs.persisted_index}, and not up to {last_index}"
            )
            raise InvariantBroken(HANDOVER, belief)
