"""The operator of the simulated world gives up a cluster and begins anew from one survivor.

As `launcher recover` does (`launcher/recovery.py`), with the product's own rewriting of the log
(`node/storage/salvage.py`): the cluster is down, the survivor's data becomes that of a new cluster
of one voter, everybody else begins with an empty disk and is added. The survivor is the one with
the most recent log, while a majority of the disks is intact. So it holds all that was committed
(§5.4.1), and nothing that was acknowledged may be missing afterwards.

A recovery may be broken off while the new log is being written: then the old cluster starts again,
as if nobody had asked.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from launcher.lives import NodeRecord
from launcher.simulation.disk import PowerCut, SimulatedDisk
from launcher.simulation.operator import RECOVERY, Operator, Work
from node.raft.membership import stable
from node.raft.messages import Floor, NodeId
from node.storage.lives import LastKnown, Life
from node.storage.salvage import Salvaged, rewrite
from node.storage.segment import Identity
from node.storage.store import Kept, examine

if TYPE_CHECKING:
    from launcher.simulation.node import SimulatedNode

LOOKS_EVERY_S = 0.05
SEGMENT_BYTES = 16 << 10


class Salvage:
    """One recovery.

    on_recovered: told of the survivor when the new cluster counts, before anything starts
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
        """Takes the cluster down and recovers it, unless that may lose something."""
        if any(node.is_doubtful for node in self._nodes):
            return
        if self._operator.is_down:
            return
        self._operator.die("stopped: the cluster is down")
        self._operator.begin(RECOVERY, self._recover())

    def _survivor(self) -> SimulatedNode | None:
        """The node with the most recent log, if it has been in the newest term as well; None when
        nobody is both: the watch tells two clusters' leaders apart by their terms alone."""
        kept = {node.node_id: self._examine(node) for node in self._nodes}
        best = max(self._nodes, key=lambda node: _reach(kept[node.node_id]))
        newest = max(one.hard_state.current_term for one in kept.values())
        mine = kept[best.node_id]
        return best if mine.hard_state.current_term == newest and mine.last_index > 0 else None

    def _examine(self, node: SimulatedNode) -> Kept:
        return examine(node.disk, Identity(node.cluster_id, node.node_id))

    def _recover(self) -> Work:
        yield self._rng.random() * 0.3
        survivor = self._survivor()
        salvaged = None if survivor is None else self._rewrite(survivor)
        if survivor is None or salvaged is None:
            self._operator.come_back()
            return
        self._replace(survivor, salvaged)
        self._operator.begin_anew()
        self._operator.come_back()
        while not self._all_vote():
            yield LOOKS_EVERY_S

    def _rewrite(self, survivor: SimulatedNode) -> tuple[SimulatedDisk, Salvaged] | None:
        """The survivor's new folder; None when the recovery was broken off before it was whole."""
        target = SimulatedDisk(self._rng)
        if self._rng.random() < 0.3:
            target.crash_at = 1 + int(self._rng.random() * 20)
        becomes = Identity(f"{survivor.cluster_id}+", survivor.node_id)
        was = Identity(survivor.cluster_id, survivor.node_id)
        kept = self._examine(survivor)
        try:
            said = rewrite(survivor.disk, kept, was, target, becomes, segment_bytes=SEGMENT_BYTES)
        except PowerCut:
            return None
        target.lose_power()  # what was promised to be durable is all that counts
        return target, said

    def _replace(self, survivor: SimulatedNode, made: tuple[SimulatedDisk, Salvaged]) -> None:
        """The real one gives nobody an old id. Here nodes keep theirs, and old entries of the log
        name them as voters; so, as in a rebuild, the new log's end is the floor that binds them."""
        folder, said = made
        floor = Floor(said.term, said.last_index)
        for node in self._nodes:
            node.cluster_id = f"{node.cluster_id}+"
            if node is not survivor:
                node.forget(floor)
        survivor.disk.take_from(folder)
        survivor.renewed = None
        known = LastKnown(True, Life(), said.sequence, said.last_index, said.term)
        survivor.record = NodeRecord(survivor.record.started, 0, known)
        self._on_recovered(survivor, said.last_index)

    def _all_vote(self) -> bool:
        everybody: list[NodeId] = [node.node_id for node in self._nodes]
        leader = self._operator.leader
        if leader is None or leader.server is None:
            return False
        said = leader.server.status()
        if said.membership == stable(everybody):
            return said.membership_committed
        leader.change_membership(everybody)
        return False


def _reach(kept: Kept) -> tuple[int, int]:
    if kept.batches:
        return kept.batches[-1].term, kept.last_index
    return (kept.snapshot.last_included_term if kept.snapshot else 0), kept.last_index
