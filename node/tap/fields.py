"""A message between nodes as the flat fields of an event.

The fields have the same names for every type of message, so whoever looks for `index` or `commit`
need not know the type. A field that a message does not have is left out:

    term            the sender's, or the term that is asked about
    index, log_term the entry before the new ones (AppendEntries and its reply), the last entry of
                    the candidate (RequestVote, PreVote) or of the snapshot, or the index up to
                    which a read must wait (ReadIndexReply)
    entries         how many entries it carries; `first` and `last` are their indexes
    commit          the leader's commit index
    vote            for whom a vote is asked
    granted, reject whether a request was granted or refused
    match           up to where the follower's disk agrees with the leader
    hint, hint_term where the leader may try again after a refusal
    pre_vote, transfer, round, offset, size, chunk, installed, ticket
                    as in `node/raft/messages.py`; `size` is that of the whole snapshot and `chunk`
                    of the part in this message, in bytes
"""

from __future__ import annotations

from typing import assert_never

from node.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    InstallSnapshot,
    InstallSnapshotReply,
    Message,
    ReadIndex,
    ReadIndexReply,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
)


def type_of(message: Message) -> str:
    """The name of its RPC. A request or a reply that only asks is a PreVote or a PreVoteReply."""
    match message:
        case RequestVote(pre_vote=True):
            return "PreVote"
        case RequestVoteReply(pre_vote=True):
            return "PreVoteReply"
        case _:
            return type(message).__name__


def fields_of(message: Message) -> dict[str, object]:
    """The message's own fields, flat."""
    fields: dict[str, object] = {"term": message.term}
    match message:
        case RequestVote():
            fields |= {
                "index": message.last_log_index,
                "log_term": message.last_log_term,
                "vote": message.candidate_id,
                "pre_vote": message.pre_vote,
                "transfer": message.leadership_transfer,
            }
        case RequestVoteReply():
            granted = message.vote_granted
            fields |= {"granted": granted, "reject": not granted, "pre_vote": message.pre_vote}
        case AppendEntries():
            batches = message.batches
            fields |= {
                "index": message.prev_log_index,
                "log_term": message.prev_log_term,
                "entries": sum(batch.count for batch in batches),
                "commit": message.leader_commit,
                "round": message.round,
            }
            if batches:
                fields |= {"first": batches[0].first_index, "last": batches[-1].last_index}
        case AppendEntriesReply():
            fields |= {"index": message.prev_log_index, "reject": not message.success}
            if message.success:
                fields["match"] = message.match_index
            else:
                fields |= {"hint": message.hint_index, "hint_term": message.hint_term}
            fields["round"] = message.round
        case InstallSnapshot():
            fields |= {
                "index": message.snapshot.last_included_index,
                "log_term": message.snapshot.last_included_term,
                "offset": message.offset,
                "size": message.snapshot.size,
                "chunk": len(message.data),
                "round": message.round,
            }
        case InstallSnapshotReply():
            fields |= {
                "index": message.last_included_index,
                "offset": message.offset,
                "installed": message.installed,
                "round": message.round,
            }
        case ReadIndex():
            fields["ticket"] = message.ticket
        case ReadIndexReply():
            fields |= {"ticket": message.ticket, "index": message.index}
        case TimeoutNow():
            pass
        case _:
            assert_never(message)
    return fields
