"""A message of every type."""

from node.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    Batch,
    BatchKind,
    InstallSnapshot,
    InstallSnapshotReply,
    Membership,
    Message,
    ReadIndex,
    ReadIndexReply,
    RequestVote,
    RequestVoteReply,
    Snapshot,
    TimeoutNow,
)

_COMMANDS = BatchKind.COMMANDS
_SNAPSHOT = Snapshot(90, 4, 1234567, Membership((1, 2, 3), (1, 2, 3)), 1 << 20, 77)

EXAMPLES: list[Message] = [
    RequestVote(3, 1, 12, 2),
    RequestVote(3, 1, 12, 2, pre_vote=True),
    RequestVoteReply(3, True),
    RequestVoteReply(3, False, pre_vote=True),
    AppendEntries(3, 1, 7, 2, (Batch(8, 3, _COMMANDS, 5, b"x" * 900, 17),
                               Batch(13, 3, _COMMANDS, 2, b"y" * 70000, 18)), 6, 40),
    AppendEntries(3, 1, 7, 2, (Batch(8, 3, _COMMANDS, 2, b"short", 17),), 6, 40),
    AppendEntries(3, 1, 14, 3, (), 14, 41),
    AppendEntriesReply(3, True, 14, 7, round=41),
    AppendEntriesReply(3, False, 0, 7, 5, 2, 41),
    InstallSnapshot(4, 1, _SNAPSHOT, 4096, b"z" * 65536, 9),
    InstallSnapshot(4, 1, _SNAPSHOT, 4096, b"", 9),
    InstallSnapshotReply(4, 90, 1 << 20, True, 9),
    TimeoutNow(4, 1),
    ReadIndex(4, 1 << 40),
    ReadIndexReply(4, 1 << 40, 88),
]  # fmt: skip
