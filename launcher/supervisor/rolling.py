"""A rolling restart: which node is next, whether it may be taken down now, when it is back.

Pure. The supervisor (`operations.py`) and the operator of the simulated world
(`simulation/operator.py`) both ask this, with the status of the moment, before each node that they
stop.

A rolling restart by itself never takes the quorum away. That depends on who votes, as the leader
has it; so nobody is taken down while there is no leader, and a node that is up but does not follow
the leader is not counted on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from launcher.control.status import ClusterStatus, counted
from launcher.errors import LauncherError
from node.raft.messages import NodeId

PATIENCE_S = 5.0
"""How long a rolling restart waits for an objection to pass."""


@dataclass(frozen=True)
class Objection:
    """Why a node must not be taken down now. passes: in a moment it may be otherwise"""

    text: str
    passes: bool


def in_order(ids: Iterable[NodeId], status: ClusterStatus) -> list[NodeId]:
    """The order of the restart: nodes that do not run first, the leader last."""
    return sorted(ids, key=lambda node: (status.node(node).running, node == status.leader, node))


def objection(node_id: NodeId, status: ClusterStatus) -> Objection | None:
    """Why the node must not be taken down now; None when it may be.

    A node that is paused or does not run takes nothing away when it is restarted.
    """
    if not status.has(node_id):
        return Objection(f"n{node_id} was removed meanwhile", False)
    if status.node(node_id).state != "up":
        return None
    membership = status.membership
    if status.leader is None or membership is None:
        return Objection("there is no leader now: `launcher wait --leader` waits for one", True)
    if not status.quorum_without(node_id):
        left = [node.id for node in status.up if node.id != node_id]
        missing = status.missing()
        return Objection(
            f"restarting n{node_id} would lose the quorum: "
            + counted(membership, left, "would be up")
            + (f"; {missing}" if missing else ""),
            False,
        )
    followers = [node for node in status.followers if node != node_id]
    if not status.has_quorum(followers):
        said = counted(membership, followers, "would follow the leader")
        return Objection(f"restarting n{node_id} would lose the quorum: {said}", True)
    if node_id == status.leader and not status.membership_committed:
        # Should it fail to hand over, others elect a leader, and each of them counts the voters of
        # its own log: of the new configuration, or still of the one before.
        return Objection(f"n{node_id} leads, and has yet to commit who votes", True)
    return None


def heir(node_id: NodeId, restarted: Sequence[NodeId], status: ClusterStatus) -> NodeId | None:
    """To whom the node hands over before it is restarted: to a node that need not hand over once
    more in this restart. None when it does not lead, or there is no such node."""
    if node_id != status.leader:
        return None
    heirs = [node for node in status.up if node.id in restarted and status.may_vote(node.id)]
    return max(heirs, key=lambda node: node.last_index).id if heirs else None


def is_back(node_id: NodeId, goal: int, status: ClusterStatus) -> bool:
    """Whether a node that was restarted has caught up, so that the next one may be.

    goal: the index that was committed when it was started

    A node that is no member learns nothing, and is back as soon as it runs.
    Raises LauncherError when it does not run any more, or is not there any more.
    """
    if not status.has(node_id):
        raise LauncherError(f"n{node_id} was removed meanwhile")
    node = status.node(node_id)
    if not node.running:
        raise LauncherError(f"n{node_id} is {node.state}: {node.reason}")
    if node.role is None or status.leader is None:
        return False
    if not status.is_member(node_id):
        return True
    return node.commit_index >= goal and node_id in status.followers
