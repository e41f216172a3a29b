"""A message between nodes in a few words, for people."""

from __future__ import annotations

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


def describe(message: Message) -> str:
    """Describes a message in a few words."""
    match message:
        case RequestVote():
            what = "RequestVote (pre-vote)" if message.pre_vote else "RequestVote"
            what += " (transfer)" * message.leadership_transfer
            last = f"last {message.last_log_index} of term {message.last_log_term}"
            return f"{what} term {message.term}, {last}"
        case RequestVoteReply():
            what = "pre-vote" if message.pre_vote else "vote"
            granted = "granted" if message.vote_granted else "denied"
            return f"{what} {granted}, term {message.term}"
        case AppendEntries():
            batches = message.batches
            entries = (
                f"entries {batches[0].first_index} to {batches[-1].last_index}"
                if batches
                else "no entries"
            )
            prev = f"after {message.prev_log_index} of term {message.prev_log_term}"
            return (
                f"AppendEntries term {message.term}, {entries} {prev}, "
                f"commit {message.leader_commit}, round {message.round}"
            )
        case AppendEntriesReply():
            if message.success:
                said = f"holds all up to {message.match_index}"
            else:
                said = (
                    f"refuses after {message.prev_log_index}; may agree at {message.hint_index} "
                    f"of term {message.hint_term}"
                )
            return f"AppendEntriesReply term {message.term}: {said}, round {message.round}"
        case InstallSnapshot():
            said = f"{len(message.data)} bytes at {message.offset} of {message.snapshot.size}"
            index = message.snapshot.last_included_index
            return f"InstallSnapshot term {message.term}, of {index}: {said}, round {message.round}"
        case InstallSnapshotReply():
            said = "all of it" if message.installed else f"{message.offset} bytes"
            index = message.last_included_index
            return f"InstallSnapshotReply term {message.term}, of {index}: {said} is there"
        case TimeoutNow():
            return f"TimeoutNow term {message.term}"
        case ReadIndex():
            return f"ReadIndex term {message.term}, ticket {message.ticket}"
        case ReadIndexReply():
            said = f"ticket {message.ticket} at {message.index}"
            return f"ReadIndexReply term {message.term}: {said}"
