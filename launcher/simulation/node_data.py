"""What stays of a simulated node from one life to the next: its disk, and what is on record of it.

The supervisor keeps a record of each node's data (`launcher/folders/lives.py`), so that a node can
tell when its folder was emptied or set back. Faults damage the data from outside; the operator
removes it for good. Both happen only while the node's process is down: see
`SimulatedNode.data_at_rest`."""

from __future__ import annotations

from launcher.folders import lives
from launcher.folders.lives import NodeRecord
from launcher.simulation.disk import SimulatedDisk
from node.errors import DamagedLog
from node.raft.messages import Floor, NodeId
from node.storage.mark import read_mark
from node.storage.segment import Identity
from node.storage.store import examine


class NodeData:
    """One node's data.

    cluster_id: of the cluster that the data belongs to; a recovery of the cluster changes it
    lost: the disk is damaged beyond repair, and the node never starts again with it
    flipped: a bit of the disk has flipped, and the node has not recovered since
    tampered: the data was removed or set back, and the node has not started since
    record: what the supervisor has on record of the data
    renewed: set once the data has been removed for good: what was committed by then. The node
        learns everything from its peers, the voters too
    """

    __slots__ = (
        "cluster_id",
        "disk",
        "flipped",
        "lost",
        "node_id",
        "record",
        "renewed",
        "tampered",
    )

    def __init__(self, node_id: NodeId, cluster_id: str, disk: SimulatedDisk) -> None:
        self.node_id = node_id
        self.cluster_id = cluster_id
        self.disk = disk
        self.lost = False
        self.flipped = False
        self.tampered = False
        self.record = NodeRecord()
        self.renewed: Floor | None = None

    @property
    def identity(self) -> Identity:
        """What the node's log says of whose log it is."""
        return Identity(self.cluster_id, self.node_id)

    @property
    def is_doubtful(self) -> bool:
        """Whether what the disk holds is unknown, because the disk was damaged or tampered with."""
        return self.lost or self.flipped or self.tampered

    def record_end(self) -> None:
        """The supervisor records how far the log reaches, as `launcher/supervisor/claim.py:
        Claim.look`."""
        mark = read_mark(self.disk, self.disk.list(), self.identity.salt())
        if mark is not None:
            self.record = lives.reaching(self.record, mark.sequence)

    # -- damage from outside ---------------------------------------------------------------------

    def wipe(self) -> None:
        """Empties the folder; the supervisor does not know of it."""
        self.disk.erase()
        self.tampered = True

    def set_back(self, copy: SimulatedDisk) -> None:
        """Replaces the folder by an older copy of it; the supervisor does not know of it."""
        self.disk.take_from(copy)
        known = self.record.known
        try:
            kept = examine(self.disk, self.identity)
        except DamagedLog:
            self.tampered = True  # the copy was damaged already
        else:
            self.tampered = kept.life != known.life or kept.sequence < known.sequence

    # -- what the operator does ------------------------------------------------------------------

    def forget(self, floor: Floor) -> None:
        """Removes the data for good, with all damage and all promises.

        floor: what is committed now, which the node is told at each start from now on
        """
        self.expect_erasure()
        self.renewed = floor
        self.erase()

    def expect_erasure(self) -> None:
        """Puts on record that the data may be gone from now on."""
        self.record = lives.emptied(self.record)

    def erase(self) -> None:
        """Removes the data. `expect_erasure` comes first, or the node refuses to start."""
        self.disk.erase()
        self.lost = self.flipped = self.tampered = False
