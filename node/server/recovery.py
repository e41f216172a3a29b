"""How a server begins: it opens its data, and tells what it found there."""

from __future__ import annotations

from node.events import Note
from node.ports import Disk, Points
from node.raft.log import Log
from node.storage.lives import Life
from node.storage.segment import Identity
from node.storage.store import Kept, Store
from node.wire import NodeConfig


def open_store(config: NodeConfig, disk: Disk, points: Points) -> tuple[Store, Kept]:
    """The node's data, and what was kept in it; this life is in the log when it returns.

    Raises DamagedLog, LostData, WrongDirectory or DiskFailed.
    """
    store, kept = Store.open(
        disk,
        Identity(config.cluster_id, config.node_id, config.founding),
        segment_bytes=config.segment_bytes,
        life=Life(config.life, config.life_token),
        known=config.known,
    )
    store.reach_points(points)
    return store, kept


def tell(recovered: Kept, log: Log, note: Note) -> None:
    """Writes the events of a recovery. `log` is what the server goes on from."""
    if recovered.torn is not None:
        torn = recovered.torn
        note(
            "warn",
            "log.torn_tail_dropped",
            file=torn.file,
            offset=torn.offset,
            reason=torn.reason,
        )
    for file, reason in recovered.damaged:
        note("warn", "snapshot.damaged", file=file, reason=reason)
    note(
        "info",
        "node.recovered",
        snapshot_index=log.base_index,
        last_index=log.last_index,
        last_term=log.last_term,
    )
