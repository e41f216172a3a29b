"""Replication: how the leader's log becomes everyone's log (§5.3, §5.4.2).

For each peer the leader keeps a guess, `next_index`, and a proof, `match_index`, in a `Progress`
(`progress.py`). Committing counts proofs.

In mode REPLICATE AppendEntries follow each other without waiting: a pipeline, bounded in messages
and bytes. A refusal, of a batch or of a heartbeat that finds a gap, leads to mode PROBE: one
message at a time finds out where the logs agree, backing up a term at a time, until one is
accepted. A peer that lacks entries which are gone from the log is in mode SNAPSHOT (`snapshot.py`).

A heartbeat is an AppendEntries without batches whose `prev_log_index` is the end of what was sent.
So each one also finds out whether what was sent has arrived, and the next heartbeat repairs the
loss of a message.
"""

from __future__ import annotations

from node.raft import membership, reconfiguration, snapshot
from node.raft.messages import (
    CONFIGURATION,
    AppendEntries,
    AppendEntriesReply,
    Batch,
    BatchKind,
    NodeId,
)
from node.raft.progress import PROBE, REPLICATE, SNAPSHOT, Progress
from node.raft.state import FOLLOWER, LEADER, RaftState

# -- the leader ----------------------------------------------------------------------------------


def append(raft: RaftState, kind: BatchKind, count: int, data: bytes) -> int:
    """Put entries into the leader's log; the next Ready sends them. Returns the first's index."""
    first_index = raft.log.last_index + 1
    time_us = raft.cluster_time_us
    batch = Batch(first_index, raft.current_term, kind, count, data, time_us)
    raft.log.append(batch)
    reconfiguration.adopt(raft, (batch,))
    return first_index


def change_membership(raft: RaftState) -> None:
    """Append the next stage of a membership change under way, if it is time for it."""
    change = reconfiguration.next_stage(raft)
    while change is not None:
        append(raft, CONFIGURATION, 1, membership.encode(change))
        advance_commit(raft)
        change = reconfiguration.next_stage(raft)


def replicate(raft: RaftState) -> None:
    """Send every peer what it lacks, as far as its bounds allow."""
    last_index = raft.log.last_index
    for peer, progress in raft.progress.items():
        if progress.next_index <= last_index and progress.mode is not SNAPSHOT:
            _replicate_to(raft, peer, progress)


def broadcast_heartbeat(raft: RaftState) -> None:
    """Tell every peer that we lead, and begin a new round."""
    raft.round += 1
    raft.lease.rounds.append((raft.round, raft.now))
    raft.heartbeat_deadline = raft.now + raft.timing.heartbeat_interval_s
    for peer, progress in raft.progress.items():
        if progress.mode is SNAPSHOT:
            snapshot.ask(raft, peer, progress)
        elif progress.next_index <= raft.log.base_index:
            snapshot.begin_sending(raft, peer, progress)
        else:
            send_append(raft, peer, progress, [])


def greet(raft: RaftState, peer: NodeId) -> None:
    """The peer's process is new: forget what its former one has acknowledged, and tell it at once
    that we lead."""
    progress = raft.progress[peer]
    progress.died = False
    progress.match_index = 0
    progress.become_probe(raft.log.last_index + 1)
    send_append(raft, peer, progress, [])


def send_commit_notices(raft: RaftState) -> None:
    """Tell the commit index to peers that would not learn of it before the next heartbeat."""
    raft.notice_deadline = None
    for peer, progress in raft.progress.items():
        unaware = progress.commit_sent < raft.commit_index and progress.mode is REPLICATE
        if unaware and progress.next_index > raft.log.base_index:
            send_append(raft, peer, progress, [])


def send_append(
    raft: RaftState, peer: NodeId, progress: Progress, batches: list[Batch]
) -> AppendEntries:
    """Send one AppendEntries from the peer's `next_index` on. Peers to which the same is said are
    sent the same object, so that it need be encoded only once."""
    prev_log_index = progress.next_index - 1
    prev_log_term = raft.log.term_at(prev_log_index)
    assert prev_log_term is not None, "the log before next_index is still here"
    message = AppendEntries(
        term=raft.current_term,
        leader_id=raft.node_id,
        prev_log_index=prev_log_index,
        prev_log_term=prev_log_term,
        batches=tuple(batches),
        leader_commit=raft.commit_index,
        round=raft.round,
    )
    if raft.messages and raft.messages[-1][1] == message:
        message = raft.messages[-1][1]
    progress.commit_sent = raft.commit_index
    raft.send(peer, message)
    return message


def on_append_entries_reply(raft: RaftState, sender: NodeId, message: AppendEntriesReply) -> None:
    """Move the guess after a refusal; otherwise note the proof, and commit what that allows."""
    assert raft.role is LEADER
    assert message.term == raft.current_term
    progress = raft.progress.get(sender)
    if progress is None or message.round < progress.first_round:
        return  # it has been removed, or was removed and added again since
    progress.heard(raft.now, message.round)
    if not message.success:
        _back_up(raft, sender, progress, message)
        return
    assert message.match_index <= raft.log.last_index, "nobody holds what the leader does not"
    if progress.mode is PROBE and message.prev_log_index >= progress.next_index - 1:
        progress.become_replicate()  # accepted where we guessed
    if message.match_index > progress.match_index:
        progress.acknowledge(message.match_index)
        if message.match_index > raft.commit_index:  # otherwise it can commit nothing new
            advance_commit(raft)
    reconfiguration.note_round(raft, progress)


def advance_commit(raft: RaftState) -> None:
    """Commit what a majority holds on disk, if it ends in this term (§5.4.2, Figure 8)."""

    def held(node_id: NodeId) -> int:
        if node_id == raft.node_id:
            return raft.persisted_index
        return raft.progress[node_id].match_index

    index = raft.configuration.quorum_value(held)
    if index <= raft.commit_index or raft.log.term_at(index) != raft.current_term:
        return
    assert raft.log.is_batch_end(index), "proofs are ends of batches"
    before = raft.progress
    reconfiguration.commit_up_to(raft, index)
    if raft.progress is not before:
        _dismiss(raft, before)
    if raft.notice_deadline is None and raft.progress:
        raft.notice_deadline = raft.now + raft.timing.commit_notice_s


def _dismiss(raft: RaftState, before: dict[NodeId, Progress]) -> None:
    """Tell servers that are no members any more that this is committed, or they would campaign
    (`RaftState.may_campaign`). If the message is lost they campaign in vain, while we are heard."""
    for peer in before.keys() - raft.progress.keys():
        progress = before[peer]
        if progress.mode is not SNAPSHOT and progress.next_index > raft.log.base_index:
            send_append(raft, peer, progress, [])


def _replicate_to(raft: RaftState, peer: NodeId, progress: Progress) -> None:
    if progress.next_index <= raft.log.base_index:
        snapshot.begin_sending(raft, peer, progress)
        return
    limits = raft.limits
    while progress.next_index <= raft.log.last_index:
        if progress.mode is PROBE and progress.probe_sent:
            return
        if (
            len(progress.inflight) >= limits.inflight_batches
            or progress.inflight_bytes >= limits.inflight_bytes
        ):
            return
        batches = raft.log.batches_from(progress.next_index, limits.max_append_bytes)
        send_append(raft, peer, progress, batches)
        if progress.mode is PROBE:
            progress.probe_sent = True
            return
        size = sum(len(batch.data) for batch in batches)
        progress.inflight.append((batches[-1].last_index, size))
        progress.inflight_bytes += size
        progress.next_index = batches[-1].last_index + 1


def _back_up(
    raft: RaftState, peer: NodeId, progress: Progress, message: AppendEntriesReply
) -> None:
    """The peer lacks `prev_log_index`, or holds another entry there: guess where both may agree."""
    refused = message.prev_log_index
    if progress.mode is SNAPSHOT:
        return  # late: it is being sent a snapshot
    if refused <= progress.match_index:
        return  # late: it has accepted this since
    if progress.mode is PROBE and refused != progress.next_index - 1:
        return  # late: the reply to an earlier probe
    if min(message.hint_index, refused - 1) < raft.log.base_index:
        snapshot.begin_sending(raft, peer, progress)
        return
    index, _ = raft.log.last_agreeable(min(message.hint_index, refused - 1), message.hint_term)
    if not raft.log.is_batch_end(index):
        index = raft.log.batch_start(index) - 1
    progress.become_probe(max(index, progress.match_index) + 1)


# -- the follower --------------------------------------------------------------------------------


def on_append_entries(raft: RaftState, message: AppendEntries) -> None:
    """Take the batches that extend our log; or refuse, and hint how far to back up (Figure 2).

    `step` has already refused stale terms and made us the sender's follower.
    """
    assert message.term == raft.current_term
    assert raft.role is FOLLOWER
    log = raft.log
    if not log.matches(message.prev_log_index, message.prev_log_term):
        # Hint at the clashing term's start: one round trip for each term (§5.3).
        hint = log.last_agreeable(message.prev_log_index, message.prev_log_term)
        raft.send_after_persist(message.leader_id, refuse(raft, message, hint))
        return

    # Only a conflict truncates: a late duplicate must not erase what we acknowledged.
    missing = log.missing(message.batches)
    if missing:
        assert missing[0].first_index > raft.commit_index, "committed entries never change"
        _splice(raft, missing)

    # Trust leader_commit only as far as this message vouches; our tail may be stale.
    vouched = message.batches[-1].last_index if message.batches else message.prev_log_index
    commit_index = min(message.leader_commit, vouched)
    if commit_index > raft.commit_index:
        reconfiguration.commit_up_to(raft, commit_index)

    if message.batches:
        raft.send_after_persist(message.leader_id, _accept(raft, message, vouched))
    else:
        on_disk = min(vouched, raft.persisted_index)
        raft.reply_by_hard_state(message.leader_id, _accept(raft, message, on_disk))


def refuse(
    raft: RaftState, message: AppendEntries, hint: tuple[int, int] = (0, 0)
) -> AppendEntriesReply:
    """The refusal: the term is stale, or our log lacks the entry before the new ones.

    The refused sender of an earlier term may lead the present one by now. If it has restarted, it
    counts its rounds from the beginning again. So this refusal bears no round: it must not confirm
    one of this term.
    """
    return AppendEntriesReply(
        term=raft.current_term,
        success=False,
        match_index=0,
        prev_log_index=message.prev_log_index,
        hint_index=hint[0],
        hint_term=hint[1],
        round=message.round if message.term == raft.current_term else 0,
    )


def _splice(raft: RaftState, missing: list[Batch]) -> None:
    before = raft.log.last_index
    truncated = raft.log.splice(missing)
    if truncated is not None:
        raft.truncations += 1
        raft.handed_index = min(raft.handed_index, truncated - 1)
        raft.persisted_index = min(raft.persisted_index, truncated - 1)
        raft.note("info", "log.truncated", first_index=truncated, last_index=before)
        reconfiguration.fall_back(raft, truncated)
    reconfiguration.adopt(raft, missing)


def _accept(raft: RaftState, message: AppendEntries, match_index: int) -> AppendEntriesReply:
    return AppendEntriesReply(
        term=raft.current_term,
        success=True,
        match_index=match_index,
        prev_log_index=message.prev_log_index,
        round=message.round,
    )
