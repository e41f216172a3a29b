"""What messages between nodes are called: the names of the paper, for people who name them.

A message may have several names. AppendEntries is one RPC; without entries it is a heartbeat
(§5.2), and with them it carries `entries`. A RequestVote that only asks is a PreVote (thesis §9.6).
"""

from __future__ import annotations

from node.raft.messages import (
    AppendEntries,
    Message,
    RequestVote,
    RequestVoteReply,
)
from node.wire.peers import decode_rpc

MESSAGE_TYPES = (
    "RequestVote",
    "RequestVoteReply",
    "PreVote",
    "PreVoteReply",
    "AppendEntries",
    "heartbeat",
    "entries",
    "AppendEntriesReply",
    "InstallSnapshot",
    "InstallSnapshotReply",
    "TimeoutNow",
    "ReadIndex",
    "ReadIndexReply",
)


def types_of(message: Message) -> tuple[str, ...]:
    """All names of a message, the one that says most first."""
    name = type(message).__name__
    match message:
        case RequestVote(pre_vote=True):
            return ("PreVote",)
        case RequestVoteReply(pre_vote=True):
            return ("PreVoteReply",)
        case AppendEntries(batches=()):
            return ("heartbeat", name)
        case AppendEntries():
            return (name, "entries")
        case _:
            return (name,)


def types_in(body: bytes) -> tuple[str, ...]:
    """The same of the message in a frame that `encode` made."""
    return types_of(decode_rpc(body)[1])
