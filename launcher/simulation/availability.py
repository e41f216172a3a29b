"""What must hold when an operator takes a node down: the other nodes are enough without it.

A rolling restart by itself never takes the quorum away. This is checked at the moment in which the
operator decides to stop the node: the operator is not responsible for what happens afterwards,
while the node hands over or is down. The quorum is counted here, so that the product does not check
itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from launcher.simulation.memberships import is_quorum
from launcher.simulation.operator import current_leader
from launcher.simulation.properties import AVAILABILITY
from node.raft.invariants import InvariantBroken

if TYPE_CHECKING:
    from launcher.simulation.node import SimulatedNode


def check_take_down(taken: SimulatedNode, nodes: Sequence[SimulatedNode]) -> None:
    """A rolling restart stops `taken` now. Raises InvariantBroken when that takes the quorum away.

    There must be a leader, and the other nodes that follow it must be a quorum of the configuration
    that the leader uses. If the leader itself is stopped, they must be a quorum of every
    configuration that may still count: if it fails to hand over, the next leader may use any of
    them.
    """
    if taken.server is None or taken.paused:
        return  # the node takes no part now
    up = [node for node in nodes if node.server is not None and not node.paused]
    leader = current_leader(up)
    if leader is None or leader.server is None:
        belief = f"a rolling restart stops n{taken.node_id} while nobody leads"
        raise InvariantBroken(AVAILABILITY, belief)
    state = leader.server.state
    rest = [node.node_id for node in up if node is not taken and _follows(node, leader)]
    counting = state.configurations if taken is leader else state.configurations[-1:]
    for _, configuration in counting:
        if not is_quorum(configuration.membership, rest):
            belief = (
                f"a rolling restart stops n{taken.node_id} when {rest} are left of those that "
                f"follow n{leader.node_id}, no quorum of {configuration.membership}"
            )
            raise InvariantBroken(AVAILABILITY, belief)


def _follows(node: SimulatedNode, leader: SimulatedNode) -> bool:
    assert node.server is not None
    assert leader.server is not None
    state, term = node.server.state, leader.server.state.current_term
    return (state.leader_id, state.current_term) == (leader.node_id, term)
