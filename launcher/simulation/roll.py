"""The operator's rolling restart: all nodes, one at a time, as the supervisor does it.

The product decides which node is next, whether it may be taken down now, to which node it hands
over and when it is back (`launcher/supervisor/rolling.py`). The operator asks it with what it sees
when it looks, and stops the node at the same moment. A supervisor lets the node finish its write
first; here the node ends as by SIGKILL, which is the harder case."""

from __future__ import annotations

import random
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

from launcher.control.status import ClusterStatus
from launcher.errors import LauncherError
from launcher.simulation.operator import DEED_TAKES_S, LOOKS_EVERY_S, Operator, Work
from launcher.supervisor import rolling
from node.raft.messages import NodeId

if TYPE_CHECKING:
    from launcher.simulation.node import SimulatedNode

ROLLING = "rolling"
"""The lock: one rolling restart at a time."""


def roll(operator: Operator, patience_s: float, rng: random.Random) -> Work:
    """Restarts every node once. Gives up where the supervisor would report an error.

    patience_s: how long a node may take to catch up
    """
    ids = rolling.in_order(operator.nodes, operator.look())
    for position, node_id in enumerate(ids):
        node = operator.nodes.get(node_id)
        if node is None or node.withheld:
            continue  # it was removed, or is being rebuilt and restarts anyway
        done = yield from _restart(operator, node, ids[:position], patience_s, rng)
        if not done:
            return


def _restart(
    operator: Operator,
    node: SimulatedNode,
    restarted: Sequence[NodeId],
    patience_s: float,
    rng: random.Random,
) -> Generator[float, None, bool]:
    """Returns whether the node is back."""
    status = yield from _unobjectionable(operator, node)
    if status is None:
        return False
    heir = rolling.heir(node.node_id, restarted, status)
    if heir is not None:
        yield from _hand_over(node, heir)
        status = yield from _unobjectionable(operator, node)
        if status is None:
            return False
    operator.on_take_down(node)
    if node.leads:
        yield from _hand_over(node, None)
    node.crash(power=False, reason="stopped: a rolling restart")
    least_s, most_s = DEED_TAKES_S
    yield least_s * (most_s / least_s) ** rng.random()
    node.start()
    goal = status.commit_index
    give_up_at = operator.time.now + patience_s
    while operator.time.now < give_up_at:
        try:
            if rolling.is_back(node.node_id, goal, operator.look()):
                return True
        except LauncherError:
            return False
        yield LOOKS_EVERY_S
    return False


def _unobjectionable(
    operator: Operator, node: SimulatedNode
) -> Generator[float, None, ClusterStatus | None]:
    """Waits until the node may be taken down. Returns the status by then, or None on a timeout."""
    give_up_at = operator.time.now + rolling.PATIENCE_S
    while True:
        status = operator.look()
        objection = rolling.objection(node.node_id, status)
        if objection is None:
            return status
        if not objection.passes or operator.time.now >= give_up_at:
            return None
        yield LOOKS_EVERY_S


def _hand_over(node: SimulatedNode, heir: NodeId | None) -> Work:
    """Asks the node to hand over, and waits until it has done so or has given up."""
    node.transfer(heir)
    while node.server is not None and node.server.handing_over:
        yield LOOKS_EVERY_S
