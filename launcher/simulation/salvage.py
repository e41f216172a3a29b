"""The operator recovers a cluster from one survivor, as `launcher recover` does.

As in `launcher/folders/recovery.py`, all nodes are down, and the survivor's data becomes the data
of a new cluster of one voter; the product's own code rewrites the log (`node/storage/salvage.py`).
Every other node starts with an empty disk and is added. A recovery begins only while all disks are
intact, and the survivor is the node with the most recent log. So it holds all that was committed
(§5.4.1), and nothing that was acknowledged may be missing afterwards.

A recovery may be interrupted while it writes the new log. Then the old cluster starts again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from launcher.folders.lives import NodeRecord
from launcher.simulation.disk import PowerCut, SimulatedDisk
from launcher.simulation.operator import LOOKS_EVERY_S, RECOVERING, Operator, Work
from node.raft.membership import stable
from node.raft.messages import Floor, NodeId
from node.storage.lives import LastKnown, Life
from node.storage.salvage import Salvaged, rewrite
from node.storage.segment import Identity
from node.storage.store import Kept, examine

if TYPE_CHECKING:
    from launcher.simulation.node import SimulatedNode

SEGMENT_BYTES = 16 << 10
"""Of the segments of the new log."""


class Salvage:
    """One recovery.

    on_recovered: called with the survivor and the last index of the new log, when the new cluster
        exists, and before any node starts
    """

    def __init__(
        self,
        nodes: Sequence[SimulatedNode],
        operator: Operator,
        rng: random.Random,
        on_recovered: Callable[[SimulatedNode, int], None],
    ) -> None:
        self._nodes = nodes
        self._operator = operator
        self._rng = rng
        self._on_recovered = on_recovered

    def begin(self) -> None:
        """Takes the cluster down and recovers it, unless a disk is damaged."""
        if any(node.data.is_doubtful for node in self._nodes):
            return
        if self._operator.is_down:
            return
        self._operator.die("stopped: the cluster is down")
        self._operator.begin(RECOVERING, self._recover())

    def _survivor(self) -> SimulatedNode | None:
        """The node with the most recent log, if it has also been in the newest term; else None.

        The watch tells the leaders of two clusters apart by their terms alone.
        """
        kept = {node.node_id: self._examine(node) for node in self._nodes}
        best = max(self._nodes, key=lambda node: _reach(kept[node.node_id]))
        newest = max(one.hard_state.current_term for one in kept.values())
        mine = kept[best.node_id]
        return best if mine.hard_state.current_term == newest and mine.last_index > 0 else None

    def _examine(self, node: SimulatedNode) -> Kept:
        return examine(node.disk, node.data.identity)

    def _recover(self) -> Work:
        yield self._rng.random() * 0.3
        survivor = self._survivor()
        salvaged = None if survivor is None else self._rewrite(survivor)
        if survivor is None or salvaged is None:
            self._operator.come_back()
            return
        self._replace(survivor, salvaged)
        self._operator.adopt_recovered()
        self._operator.come_back()
        while not self._all_vote():
            yield LOOKS_EVERY_S

    def _rewrite(self, survivor: SimulatedNode) -> tuple[SimulatedDisk, Salvaged] | None:
        """Writes the survivor's new folder; None if the recovery was interrupted before its end."""
        target = SimulatedDisk(self._rng)
        if self._rng.random() < 0.3:
            target.crash_at = 1 + int(self._rng.random() * 20)
        becomes = Identity(f"{survivor.cluster_id}+", survivor.node_id)
        was = survivor.data.identity
        kept = self._examine(survivor)
        try:
            made = rewrite(survivor.disk, kept, was, target, becomes, segment_bytes=SEGMENT_BYTES)
        except PowerCut:
            return None
        target.lose_power()  # the new log must be durable by now
        return target, made

    def _replace(self, survivor: SimulatedNode, made: tuple[SimulatedDisk, Salvaged]) -> None:
        """Gives all nodes the data of the new cluster.

        The product gives every added node a new id. Here the nodes keep their ids, and old entries
        of the log name them as voters. So, as in a rebuild, the end of the new log is their floor.
        """
        folder, log = made
        floor = Floor(log.term, log.last_index)
        for node in self._nodes:
            data = node.data_at_rest
            data.cluster_id = f"{data.cluster_id}+"
            if node is not survivor:
                data.forget(floor)
        data = survivor.data_at_rest
        data.disk.take_from(folder)
        data.renewed = None
        known = LastKnown(True, Life(), log.sequence, log.last_index, log.term)
        data.record = NodeRecord(data.record.started, 0, known)
        self._on_recovered(survivor, log.last_index)

    def _all_vote(self) -> bool:
        everybody: list[NodeId] = [node.node_id for node in self._nodes]
        leader = self._operator.leader
        if leader is None or leader.server is None:
            return False
        status = leader.server.status()
        if status.membership == stable(everybody):
            return status.membership_committed
        leader.change_membership(everybody)
        return False


def _reach(kept: Kept) -> tuple[int, int]:
    if kept.batches:
        return kept.batches[-1].term, kept.last_index
    return (kept.snapshot.last_included_term if kept.snapshot else 0), kept.last_index
