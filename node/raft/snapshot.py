"""Snapshots: how a long log is cut, and how a peer gets what was cut off (§7).

The core never sees a snapshot's bytes. It is told that one is durable (`compact`); then the log up
to its end may be forgotten, except for a bounded rest that peers may still lack. A peer whose next
entry is gone is sent the snapshot, a chunk at a time, each when the one before it has been
acknowledged: no other back-pressure is needed. With each heartbeat the leader asks how much has
arrived. So a lost chunk or a lost link costs no more than the chunk under way, and a peer that
takes long to install still hears its leader.

While a snapshot is being sent, the entries after it are kept, or the peer would need another
snapshot as soon as it has this one. They are kept while the peer replies and the log stays within
its bound.

A follower takes a snapshot only if it covers more than the follower has committed. It never gives
up committed entries for an older one, and if its log holds the entry that the snapshot ends with,
it keeps its log.
"""

from __future__ import annotations

from node.raft import reconfiguration
from node.raft.messages import InstallSnapshot, InstallSnapshotReply, NodeId, Snapshot
from node.raft.progress import Progress
from node.raft.state import FOLLOWER, LEADER, RaftState

# -- every server --------------------------------------------------------------------------------


def compact(raft: RaftState, snapshot: Snapshot) -> None:
    """Our own snapshot is durable: forget the log up to its end, except for what may be needed."""
    index = snapshot.last_included_index
    assert index <= raft.last_applied, "a snapshot covers only what was applied"
    raft.persisted_index = max(raft.persisted_index, index)
    if raft.snapshot is not None and not _is_newer(snapshot, raft.snapshot):
        return  # one from a leader covers more
    raft.snapshot = snapshot
    trim(raft)


def trim(raft: RaftState) -> None:
    """Forget the part of the log that a snapshot covers and that no peer is going to need."""
    if raft.snapshot is None or raft.snapshot.last_included_index <= raft.log.base_index:
        return
    limits = raft.limits
    end = raft.snapshot.last_included_index
    index = raft.log.compaction_point(end, limits.max_trailing_bytes)
    for progress in raft.progress.values():
        if progress.snapshot is not None and _replies(raft, progress):
            index = min(index, progress.snapshot.last_included_index)
    if raft.log.bytes_after(raft.log.base_index) > limits.max_log_bytes:
        index = raft.log.compaction_point(end, limits.max_trailing_bytes)
    raft.log.compact(index)


def _is_newer(one: Snapshot, other: Snapshot) -> bool:
    return one.last_included_index > other.last_included_index


# -- the leader ----------------------------------------------------------------------------------


def begin_sending(raft: RaftState, peer: NodeId, progress: Progress) -> None:
    """What the peer lacks is gone from the log: send it the snapshot instead."""
    assert raft.snapshot is not None, "a log is compacted only where a snapshot covers it"
    if progress.match_index >= raft.snapshot.last_included_index:
        progress.become_probe(progress.match_index + 1)  # late proofs: it has all that since
        return
    progress.become_snapshot(raft.snapshot)
    raft.note(
        "info",
        "snapshot.sending",
        peer=peer,
        index=raft.snapshot.last_included_index,
        bytes=raft.snapshot.size,
    )
    ask(raft, peer, progress)


def ask(raft: RaftState, peer: NodeId, progress: Progress) -> None:
    """The heartbeat of mode SNAPSHOT: ask the peer how much of its snapshot has arrived.

    Begin with a newer snapshot instead if nothing of this one is known to have arrived, or if the
    log after this one is gone.
    """
    assert progress.snapshot is not None
    assert raft.snapshot is not None
    index = progress.snapshot.last_included_index
    if _is_newer(raft.snapshot, progress.snapshot) and (
        progress.snapshot_offset == 0 or index < raft.log.base_index
    ):
        begin_sending(raft, peer, progress)
        return
    raft.send(peer, _message(raft, progress.snapshot, progress.snapshot_offset))


def on_install_snapshot_reply(
    raft: RaftState, sender: NodeId, message: InstallSnapshotReply
) -> bool:
    """Send the next chunk, or go back to the log when all is installed; whether the reply proves
    that the peer holds more than before."""
    assert raft.role is LEADER
    assert message.term == raft.current_term
    progress = raft.progress.get(sender)
    if progress is None or message.round < progress.first_round:
        return False  # it has been removed, or was removed and added again since
    progress.heard(raft.now, message.round)
    snapshot = progress.snapshot
    if snapshot is None or message.last_included_index != snapshot.last_included_index:
        return False  # late
    if message.installed:
        progress.acknowledge(snapshot.last_included_index)
        progress.become_probe(progress.match_index + 1)
        raft.note("info", "snapshot.sent", peer=sender, index=snapshot.last_included_index)
        return True
    # A reply to a later round that knows no more: the chunk is lost, unless it has not left yet.
    lost = progress.chunk_round is None or message.round > progress.chunk_round
    if not progress.chunk_read and (message.offset > progress.snapshot_offset or lost):
        _note_resumed(raft, sender, message, progress)
        progress.snapshot_offset = message.offset
        if message.offset < snapshot.size:
            progress.chunk_read = True
            chunk = _message(raft, snapshot, message.offset)
            raft.chunks_to_send.append((sender, chunk))
    return False


def _note_resumed(
    raft: RaftState, peer: NodeId, message: InstallSnapshotReply, progress: Progress
) -> None:
    """Tell of a transfer that was broken off, here or by an earlier leader, and goes on where it
    was: a part has arrived, and what comes next was lost, or is the first that we send."""
    begins = progress.chunk_round is None
    if message.offset > 0 and (begins or message.offset == progress.snapshot_offset):
        index = message.last_included_index
        raft.note("info", "snapshot.resumed", peer=peer, index=index, offset=message.offset)


def chunk_sent(raft: RaftState, peer: NodeId, message: InstallSnapshot) -> None:
    """The chunk has left; or it could not be read, and will count as lost."""
    progress = raft.progress.get(peer)
    if progress is not None and progress.snapshot == message.snapshot:
        progress.chunk_read = False
        progress.chunk_round = raft.round


def _message(raft: RaftState, snapshot: Snapshot, offset: int) -> InstallSnapshot:
    return InstallSnapshot(raft.current_term, raft.node_id, snapshot, offset, b"", raft.round)


def _replies(raft: RaftState, progress: Progress) -> bool:
    return raft.now - progress.last_contact < raft.timing.election_timeout_max_s


# -- the follower --------------------------------------------------------------------------------


def on_install_snapshot(raft: RaftState, sender: NodeId, message: InstallSnapshot) -> None:
    """Pass the chunk to the caller, unless this server has all that the snapshot covers (Figure
    13)."""
    assert message.term == raft.current_term
    assert raft.role is FOLLOWER
    if _has_all(raft, message.snapshot):
        confirm_installed(raft, sender, message)
    else:
        raft.chunks_received.append((sender, message))


def refuse(raft: RaftState, message: InstallSnapshot) -> InstallSnapshotReply:
    """The refusal: the term is stale, and the reply has the current one."""
    return _reply(raft, message, 0, installed=False)


def chunk_taken(raft: RaftState, sender: NodeId, message: InstallSnapshot, offset: int) -> None:
    """The first `offset` bytes of the snapshot are here now."""
    if message.term == raft.current_term:
        reply = _reply(raft, message, offset, installed=False)
        raft.reply_by_hard_state(sender, reply)


def received(raft: RaftState, sender: NodeId, message: InstallSnapshot) -> bool:
    """All of it is here and intact: whether it is to be installed, through the next Ready.

    That is safe in any later term too: it covers only committed entries.
    """
    snapshot = message.snapshot
    if _has_all(raft, snapshot) or raft.role is LEADER:
        return False  # the entries have come in another way
    raft.note(
        "info",
        "snapshot.installed",
        index=snapshot.last_included_index,
        bytes=snapshot.size,
        previous=raft.commit_index,
    )
    raft.persisted_index = min(raft.persisted_index, raft.commit_index)
    raft.log.restart(snapshot)
    reconfiguration.begin_from(raft, snapshot.last_included_index, snapshot.membership)
    raft.truncations += 1
    raft.handed_index = raft.commit_index = raft.last_applied = snapshot.last_included_index
    raft.snapshot = raft.snapshot_to_install = snapshot
    confirm_installed(raft, sender, message)
    return True


def confirm_installed(raft: RaftState, sender: NodeId, message: InstallSnapshot) -> None:
    """Reply that all the snapshot covers is here: as a snapshot, or as entries of the log. When the
    reply leaves, it is durable."""
    if message.term == raft.current_term:
        reply = _reply(raft, message, message.snapshot.size, installed=True)
        raft.send_after_persist(sender, reply)


def _has_all(raft: RaftState, snapshot: Snapshot) -> bool:
    index, term = snapshot.last_included_index, snapshot.last_included_term
    if index > raft.commit_index and raft.log.term_at(index) == term:
        # It is committed, or no snapshot would cover it.
        reconfiguration.commit_up_to(raft, index)
    return index <= raft.commit_index


def _reply(
    raft: RaftState, message: InstallSnapshot, offset: int, *, installed: bool
) -> InstallSnapshotReply:
    """The round is the message's, or none if its term is stale (`replication.py: refuse`)."""
    index = message.snapshot.last_included_index
    number = message.round if message.term == raft.current_term else 0
    return InstallSnapshotReply(raft.current_term, index, offset, installed, number)
