"""What the core tells its caller to do: a `Ready`, and in it the `Note`s for the event log.

The caller's duties:

1. After any call, take `ready()` until it is None, and do what each `Ready` says, in order.
2. Make `hard_state` and `batches` durable, in the order of the Readys, then call `persisted`.
   A batch that begins at or below the end of the stored log replaces everything from there on.
3. Send `messages` at once; that is safe before anything is durable. Send
   `messages_after_persist` only when this Ready and all before it are durable.
4. When a Ready has a `snapshot`, make that durable in place of the whole stored log, before its
   batches, and restore the machine from it. Apply `committed` in order. Serve `reads` when
   everything up to their index is applied.
5. Read `chunks_to_send` from the snapshot that they name, send them, then call `chunk_sent`.
   Store `chunks_received`, then call `chunk_taken`, or `snapshot_received` for the last one.
6. Call `elapse` when `deadline` has come. Pass messages to `step` as they arrive; losing,
   delaying, doubling or reordering them is safe. A message for which `step` raises Nonsense counts
   as lost.

Nobody may learn of a term, a vote or an entry that a crash could take back: duty 3 keeps that
promise, and `messages` holds only what does not depend on it. A leader's AppendEntries may leave
before its own disk has the entries, because a leader counts itself only after `persisted` has said
that it has (thesis §10.2.1).
"""

from __future__ import annotations

import msgspec

from node.raft.messages import Batch, HardState, InstallSnapshot, Message, NodeId, Snapshot


class Note(msgspec.Struct, frozen=True):
    """Something that happened, for the event log: the server's view at that moment, and fields."""

    level: str
    event: str
    term: int
    role: str
    commit: int
    fields: dict[str, object]


class Ready(msgspec.Struct, frozen=True):
    """What the caller must do now, in the order that the module's docstring gives.

    hard_state, batches: to be made durable together, after the snapshot; a batch that begins at or
        below the end of the stored log replaces everything from its first index on
    last_index, truncations: of the log when this was made, for `Raft.persisted`
    messages: to be sent at once
    messages_after_persist: to be sent when this Ready, and all before it, are durable
    committed: to be applied in order
    reads: contexts of reads that may be served once `index` is applied
    notes: for the event log
    snapshot: one that was received. It is to be made durable in place of the whole stored log, and
        the machine is to be restored from it before anything else is applied
    chunks_to_send: to be sent at once, each with the snapshot's data from its offset on, at most
        `Limits.max_chunk_bytes` of it
    chunks_received: sender and message, for `Raft.chunk_taken` or `Raft.snapshot_received`
    """

    hard_state: HardState | None
    batches: list[Batch]
    last_index: int
    truncations: int
    messages: list[tuple[NodeId, Message]]
    messages_after_persist: list[tuple[NodeId, Message]]
    committed: list[Batch]
    reads: list[tuple[int, list[int]]]
    notes: list[Note]
    snapshot: Snapshot | None = None
    chunks_to_send: list[tuple[NodeId, InstallSnapshot]] = []
    chunks_received: list[tuple[NodeId, InstallSnapshot]] = []

    @property
    def must_persist(self) -> bool:
        return self.hard_state is not None or bool(self.batches) or self.snapshot is not None
