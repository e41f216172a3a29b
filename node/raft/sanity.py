"""Messages that no correct peer sends: found out before anything is done about them.

Raft trusts servers to follow its rules, and nothing here defends against one that lies with care.
But a message may make no sense: another program sent it, another version, or a bug. It would break
an invariant of this server, and that ends a server. So it is skipped, as if it had been lost, and
Raft lives with messages that are lost. These must hold:

    every message         its term is one that an honest run could reach, at most MOST_TERM_JUMP
                          ahead of ours; no number is negative, or so large that adding to it goes
                          beyond what a frame can hold
    from a leader         it names its sender as the leader, and we do not lead its term
    AppendEntries         its batches follow `prev_log_index` and each other, in index, in term and
                          in time; they change nothing that is committed; they begin and end where
                          ours do, since an index and a term name a batch; the commit index is the
                          end of a batch
    AppendEntriesReply,   they acknowledge only what we have, up to the end of a batch; they reply
    InstallSnapshotReply  only to a round that has begun; no success is of a later term
    InstallSnapshot       its chunk lies within the snapshot, which ends where a batch ends
    ReadIndexReply        its sender is the leader that we asked

`check` changes nothing.
"""

from __future__ import annotations

import msgspec

from node.errors import Nonsense
from node.raft import membership
from node.raft.messages import (
    COMMANDS,
    CONFIGURATION,
    AppendEntries,
    AppendEntriesReply,
    Batch,
    InstallSnapshot,
    InstallSnapshotReply,
    Membership,
    Message,
    NodeId,
    ReadIndex,
    ReadIndexReply,
    RequestVote,
    TimeoutNow,
)
from node.raft.state import LEADER, RaftState

MOST_TERM_JUMP = 1 << 32
"""Nobody is this many elections ahead of us. If a term were believed without a bound, a single
message could carry the last term that there is, and no election could ever begin another."""

MOST = 1 << 62
"""Every index, term, round and time is below this."""

MOST_TIME_JUMP_US = 10 * 365 * 86_400 * 1_000_000
"""Cluster time is at most ten years ahead of our log's, for the same reason."""

MOST_MEMBERS = 1000


def check(raft: RaftState, sender: NodeId, message: Message) -> None:
    """Raises Nonsense for a message that no correct peer would have sent to this server."""
    term = message.term
    if not 0 <= term < MOST or term > raft.current_term + MOST_TERM_JUMP:
        raise Nonsense(f"its term is {term}, and this server is in term {raft.current_term}")
    match message:  # the most frequent first
        case AppendEntries():
            _check_leader(raft, sender, message)
            _check_append(raft, message)
        case AppendEntriesReply():
            _check_append_reply(raft, sender, message)
        case RequestVote():
            _check_name(sender, message.candidate_id)
            _check_numbers(message.last_log_index, message.last_log_term)
            if message.last_log_term > term:
                raise Nonsense(f"its log ends in term {message.last_log_term}, its term is {term}")
        case InstallSnapshot():
            _check_leader(raft, sender, message)
            _check_chunk(raft, message)
        case InstallSnapshotReply():
            _check_chunk_reply(raft, sender, message)
        case TimeoutNow():
            _check_leader(raft, sender, message)
        case ReadIndex():
            _check_numbers(message.ticket)
        case ReadIndexReply():
            _check_numbers(message.ticket, message.index)
            question = raft.reads.question
            if question is not None and message.ticket == question.ticket:
                _check_asked(raft, sender, term)
        case _:
            pass


# -- checks that several messages share ----------------------------------------------------------


def _check_numbers(*numbers: int) -> None:
    for number in numbers:
        if not 0 <= number < MOST:
            raise Nonsense(f"{number} where an index, a term or a count is expected")


def _check_name(sender: NodeId, name: NodeId) -> None:
    if name != sender:
        raise Nonsense(f"it names n{name} as its sender")


def _check_leader(
    raft: RaftState, sender: NodeId, message: AppendEntries | InstallSnapshot | TimeoutNow
) -> None:
    _check_name(sender, message.leader_id)
    if raft.role is LEADER and message.term == raft.current_term:
        raise Nonsense(f"it leads term {message.term}, and so does this server")


def _check_membership(membership: Membership) -> None:
    if not membership.voters or not membership.target:
        raise Nonsense("a membership without voters")
    for ids in (membership.voters, membership.target, membership.outgoing):
        if len(ids) > MOST_MEMBERS or sorted(set(ids)) != list(ids):
            raise Nonsense("a membership with ids that do not rise, or with too many")
        if ids and not 1 <= ids[0] <= ids[-1] < MOST:
            raise Nonsense(f"a membership of n{ids[0]} to n{ids[-1]}")


# -- the log -------------------------------------------------------------------------------------


def _check_append(raft: RaftState, message: AppendEntries) -> None:
    prev_log_index, prev_log_term = message.prev_log_index, message.prev_log_term
    _check_numbers(prev_log_index, prev_log_term, message.leader_commit, message.round)
    log = raft.log
    if prev_log_term > message.term:
        raise Nonsense(f"entries after one of term {prev_log_term}, in term {message.term}")
    if message.batches:
        _check_batches(message)
    if message.term < raft.current_term:
        return  # it will be refused for its term
    if (
        log.base_index < prev_log_index < log.last_index
        and log.term_at(prev_log_index) == prev_log_term
        and not log.is_batch_end(prev_log_index)
    ):
        raise Nonsense(f"entries after {prev_log_index}, where no batch ends")
    if message.batches and log.matches(prev_log_index, prev_log_term):
        _check_fit(raft, message)
    _check_commit(raft, message)


def _check_batches(message: AppendEntries) -> None:
    """The batches follow the entry before them, and each other."""
    index, term, time_us = message.prev_log_index, message.prev_log_term, 0
    for batch in message.batches:
        _check_numbers(batch.term, batch.count, batch.time_us)
        if batch.first_index != index + 1 or batch.count < 1:
            raise Nonsense(f"a batch of {batch.count} at {batch.first_index}, after {index}")
        if not term <= batch.term <= message.term or batch.time_us < time_us:
            raise Nonsense(f"a batch of term {batch.term} after one of {term}, or an earlier time")
        if batch.kind is not COMMANDS and batch.count != 1:
            raise Nonsense(f"{batch.count} entries of a kind that has one entry to a batch")
        if batch.kind is CONFIGURATION:
            _check_configuration(batch)
        index, term, time_us = batch.last_index, batch.term, batch.time_us
    _check_numbers(index)


def _check_configuration(batch: Batch) -> None:
    try:
        decoded = membership.decode(batch.data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Nonsense(f"a configuration that cannot be read: {error}") from error
    _check_membership(decoded)


def _check_fit(raft: RaftState, message: AppendEntries) -> None:
    """Entries that our log holds already are in the same batches there. The first batch that it
    does not hold replaces nothing that is committed, and its term and time are not before those of
    the entry that it follows."""
    log = raft.log
    for batch in message.batches:
        first, last = batch.first_index, batch.last_index
        if last <= log.base_index:
            continue
        if first <= log.base_index:
            raise Nonsense(f"a batch from {first} to {last}; the snapshot ends at {log.base_index}")
        if first <= log.last_index:
            agrees = log.term_at(first) == batch.term
            if log.batch_start(first) != first or (agrees and not log.is_batch_end(last)):
                raise Nonsense(f"a batch from {first} to {last}, and this log has another")
            if agrees:
                continue
        term, time_us = log.term_at(first - 1), log.time_at(first - 1)
        assert term is not None, "the log reaches up to there"
        assert time_us is not None
        if first <= raft.commit_index:
            raise Nonsense(f"a different entry {first}, and the one of this log is committed")
        if batch.term < term:
            raise Nonsense(f"entry {first} has term {batch.term}, after one of term {term}")
        if not time_us <= batch.time_us <= time_us + MOST_TIME_JUMP_US:
            raise Nonsense(f"entry {first} has the time {batch.time_us}, after one of {time_us}")
        return


def _check_commit(raft: RaftState, message: AppendEntries) -> None:
    """The commit index is the end of a batch, of the message or of our log."""
    index, batches, log = message.leader_commit, message.batches, raft.log
    if index <= raft.commit_index or not log.matches(message.prev_log_index, message.prev_log_term):
        return
    if index > message.prev_log_index:
        inside = batches and index < batches[-1].last_index
        if inside and all(batch.last_index != index for batch in batches):
            raise Nonsense(f"entry {index} is committed, and none of its batches ends there")
    elif index <= log.last_index and not log.is_batch_end(index):
        raise Nonsense(f"entry {index} is committed, where no batch ends")


def _check_append_reply(raft: RaftState, sender: NodeId, message: AppendEntriesReply) -> None:
    _check_numbers(
        message.match_index, message.prev_log_index, message.hint_index, message.hint_term,
        message.round,
    )  # fmt: skip
    if message.success:
        _check_not_ahead(raft, message.term)
    if raft.role is not LEADER or message.term != raft.current_term:
        return
    _check_round(raft, message.round)
    match_index, log = message.match_index, raft.log
    if match_index > log.last_index:
        raise Nonsense(f"it acknowledges {match_index}, and this log ends with {log.last_index}")
    progress = raft.progress.get(sender)
    if progress is None or match_index <= max(progress.match_index, log.base_index):
        return  # it says nothing new, or our log does not reach back that far
    if not log.is_batch_end(match_index):
        raise Nonsense(f"it acknowledges {match_index}, where no batch ends")


def _check_not_ahead(raft: RaftState, term: int) -> None:
    """A peer in a later term than ours can only refuse what we have asked for."""
    if term > raft.current_term:
        raise Nonsense(f"an answer to term {term}, and this server is in term {raft.current_term}")


def _check_round(raft: RaftState, number: int) -> None:
    if number > raft.round:
        raise Nonsense(f"an answer to round {number}, and the last round is {raft.round}")


# -- snapshots and reads -------------------------------------------------------------------------


def _check_chunk(raft: RaftState, message: InstallSnapshot) -> None:
    snapshot, log = message.snapshot, raft.log
    index, term = snapshot.last_included_index, snapshot.last_included_term
    _check_numbers(index, term, snapshot.time_us, snapshot.size, message.offset, message.round)
    if index < 1 or term > message.term:
        raise Nonsense(f"a snapshot of entry {index} of term {term}, in term {message.term}")
    if snapshot.time_us > log.last_time_us + MOST_TIME_JUMP_US:
        raise Nonsense(f"a snapshot of the time {snapshot.time_us} after {log.last_time_us}")
    if message.offset + len(message.data) > snapshot.size:
        raise Nonsense(f"a chunk beyond the end of a snapshot of {snapshot.size} bytes")
    _check_membership(snapshot.membership)
    held = log.base_index < index <= log.last_index and log.term_at(index) == term
    if held and not log.is_batch_end(index) and message.term >= raft.current_term:
        raise Nonsense(f"a snapshot of entry {index}, where no batch ends")


def _check_chunk_reply(raft: RaftState, sender: NodeId, message: InstallSnapshotReply) -> None:
    _check_numbers(message.last_included_index, message.offset, message.round)
    if message.installed:
        _check_not_ahead(raft, message.term)
    if raft.role is not LEADER or message.term != raft.current_term:
        return
    _check_round(raft, message.round)
    progress = raft.progress.get(sender)
    snapshot = None if progress is None else progress.snapshot
    if snapshot is None or message.last_included_index != snapshot.last_included_index:
        return
    if message.offset > snapshot.size:
        raise Nonsense(f"it has {message.offset} bytes of a snapshot of {snapshot.size}")


def _check_asked(raft: RaftState, sender: NodeId, term: int) -> None:
    if term == raft.current_term and raft.reads.under != (term, sender):
        raise Nonsense("it answers a question that another node was asked")
