"""What must hold when a leader hands over (thesis §3.10).

The leader tells a node to campaign only if the node's disk has the leader's whole log. While it
hands over, the leader takes no entry, and it gives up in time. And a node asks voters to ignore
that they hear a leader (`leadership_transfer`) only if the leader of the term before has told it to
campaign.
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


HANDOVERS = wire.tags(RequestVote, TimeoutNow)
"""The tags of the messages of a handover."""

LATE_S = 0.05
"""By how much a timer may be late."""


class HandoverWatch:
    """Observes every step and every message of one cluster."""

    def __init__(self) -> None:
        self._told: set[tuple[int, NodeId]] = set()
        """the leader's term, and the node that it has told to campaign"""
        self._begun: dict[NodeId, tuple[Transfer, float, int, int]] = {}
        """of each node: its transfer, and its local time, term and last index at the beginning"""

    def stepped(self, node: SimulatedNode) -> None:
        """A server has finished a turn."""
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
        """A node sends a frame."""
        _, message = wire.decode_rpc(frame)
        if isinstance(message, TimeoutNow):
            self._told.add((message.term, peer.node_id))
            self._check_target(node, peer, message)
        elif isinstance(message, RequestVote) and message.leadership_transfer:
            told = (message.term - 1, node.node_id) in self._told
            belief = (
                f"n{node.node_id} campaigns in term {message.term} by a handover, and the leader "
                f"of term {message.term - 1} told it to"
            )
            require(told and not message.pre_vote, HANDOVER, belief)

    def _check_target(self, node: SimulatedNode, peer: SimulatedNode, message: TimeoutNow) -> None:
        """The target has the whole log on its disk, unless it is in a later term by now."""
        if peer.server is None or node.server is None:
            return
        theirs, last_index = peer.server.state, node.server.state.log.last_index
        if theirs.current_term > message.term:
            return
        if theirs.persisted_index < last_index:
            belief = (
                f"n{node.node_id} tells n{peer.node_id} to campaign, whose disk holds its log up "
                f"to {theirs.persisted_index}, and not up to {last_index}"
            )
            raise InvariantBroken(HANDOVER, belief)
