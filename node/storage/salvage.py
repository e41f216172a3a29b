"""Salvage: one node's data becomes the beginning of a new cluster of that node alone.

This is the last resort when a majority of a cluster's data is lost: no quorum can say any more what
was committed. What one survivor holds is then all that there is, so all of it counts: its newest
snapshot, and its whole log, the uncommitted tail included. Client sessions are part of that, so an
entry that a client sends again is applied once, as ever (etcd calls this `--force-new-cluster`).

The new log bears the new cluster's id in every checksum. So no folder of the old cluster is ever
taken for one of the new, and the survivor's old folder is left as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from node.ports import Disk
from node.raft.membership import decode, encode, stable
from node.raft.messages import CONFIGURATION, Batch, HardState, NodeId, Snapshot
from node.storage.disk import failing_as
from node.storage.segment import Identity, owner_of, segment_number
from node.storage.snapshots import RECEIVING, Part, SnapshotFiles, SnapshotWriter
from node.storage.store import Kept, Store

_PIECE_BYTES = 1 << 20


class Salvaged(msgspec.Struct, frozen=True):
    """What the new log holds.

    sequence: of its last record
    last_index, term: of its last entry, which makes the survivor the only voter
    """

    sequence: int
    last_index: int
    term: int


def everybody_in(kept: Kept) -> set[NodeId]:
    """All nodes that a log names as members, in any of its entries.

    A node that is added learns the log from its beginning, and uses each configuration in it for
    a while. So no node may join under an id that an old configuration names as a voter:
    together with others it could elect a leader that lacks all later entries.
    """
    named = [decode(batch.data) for batch in kept.batches if batch.kind is CONFIGURATION]
    if kept.snapshot is not None:
        named.append(kept.snapshot.membership)
    return {node for membership in named for node in membership.members}


def whose(disk: Disk) -> Identity | None:
    """To whom the log in a folder belongs, by its own word; None when there is none that can say.

    Changes nothing. Raises DiskFailed.
    """
    with failing_as("listing", "the data folder"):
        names = disk.list()
    for name in sorted(name for name in names if segment_number(name) is not None):
        with failing_as("read", name):
            file = disk.open(name)
            try:
                owner = owner_of(file.read_at(0, 4096))
            finally:
                file.close()
        if owner is not None:
            return owner
    return None


def rewrite(
    source: Disk, kept: Kept, was: Identity, target: Disk, becomes: Identity, *, segment_bytes: int
) -> Salvaged:
    """Writes what `kept` says of `source` into the empty `target`, durably.

    kept: what `examine` found in `source`, which belongs to `was`
    becomes: the same node, in the new cluster

    Raises DiskFailed, and DamagedLog when the target is not empty.
    """
    store, _ = Store.open(target, becomes, segment_bytes=segment_bytes)
    term = kept.hard_state.current_term + 1
    hard_state = HardState(term, becomes.node_id)
    snapshot = kept.snapshot
    time_us = 0
    if snapshot is not None:
        time_us = snapshot.time_us
        copy = _copy_snapshot(
            SnapshotFiles(source, was.cluster_id), snapshot, store.files, becomes.cluster_id
        )
        store.install(copy, hard_state)
    for piece in _pieces(kept.batches):
        store.append(hard_state, piece)
        time_us = piece[-1].time_us
    only_voter = Batch(
        kept.last_index + 1, term, CONFIGURATION, 1, encode(stable([becomes.node_id])), time_us
    )
    store.append(hard_state, [only_voter])
    sequence = store.sequence
    store.close()
    return Salvaged(sequence, only_voter.last_index, term)


def _copy_snapshot(
    source: SnapshotFiles, snapshot: Snapshot, target: SnapshotFiles, cluster_id: str
) -> Snapshot:
    """The same state, said to be of another cluster; it waits, synced, as RECEIVING."""
    reader = source.open(snapshot)
    try:
        with failing_as("copying", "the snapshot"):
            stands = msgspec.structs.replace(reader.stands(), cluster_id=cluster_id)
            file = target.create(RECEIVING)
            try:
                writer = SnapshotWriter(file, stands)
                for part in (Part.SESSIONS, Part.MACHINE):
                    for chunk in reader.chunks(part):
                        writer.add(part, chunk)
                return writer.finish()
            finally:
                file.close()
    finally:
        reader.close()


def _pieces(batches: Sequence[Batch]) -> Iterator[list[Batch]]:
    """The batches, as much at a time as one append may well hold."""
    piece: list[Batch] = []
    size = 0
    for batch in batches:
        if piece and size + len(batch.data) > _PIECE_BYTES:
            yield piece
            piece, size = [], 0
        piece.append(batch)
        size += len(batch.data)
    if piece:
        yield piece
