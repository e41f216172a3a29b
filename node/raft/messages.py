"""What servers say to each other: Raft's RPCs (Figure 2), and what a log is made of.

An *entry* is one command at one index. Entries that were proposed together form a `Batch`:
consecutive indexes, one term, encoded once by whoever proposed them. A batch travels, is stored
and is truncated whole, so every log is a sequence of whole batches. By the Log Matching Property
(§5.3) two logs that hold an entry of the same index and term hold the same batch around it.

The RPCs keep the paper's names and fields. What the paper does not have is marked below.
"""

from __future__ import annotations

import enum
from typing import Final, TypeAlias

import msgspec

NodeId: TypeAlias = int


class BatchKind(enum.IntEnum):
    """What the entries of a batch are for."""

    COMMANDS = 0
    """Client requests, for the state machine."""
    NOOP = 1
    """The entry a new leader commits first, to learn what is committed (§8, §5.4.2)."""
    TICK = 2
    """Only tells the time: something is due to expire, and no other entry has come."""
    CONFIGURATION = 3
    """A `Membership`, which is in force on each server from the moment its log holds it (§6)."""


# Looking up a member of an Enum takes ten times as long as a name.
COMMANDS: Final = BatchKind.COMMANDS
NOOP: Final = BatchKind.NOOP
TICK: Final = BatchKind.TICK
CONFIGURATION: Final = BatchKind.CONFIGURATION


class Batch(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Consecutive entries of one term, proposed together.

    first_index: index of its first entry; at least 1
    term: term of every entry in it
    kind: what the entries are for
    count: how many entries; at least 1
    data: the entries, encoded where they were proposed; opaque to the core
    time_us: cluster time when they were proposed, in microseconds: for how long there has been a
        leader, as leaders measured it; never falls along a log (thesis §6.4.1 calls it cluster
        time). What expires, expires by it, so that all nodes agree
    """

    first_index: int
    term: int
    kind: BatchKind
    count: int
    data: bytes
    time_us: int = 0

    @property
    def last_index(self) -> int:
        return self.first_index + self.count - 1


class Membership(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Who takes part (§6). Ids in rising order.

    voters: who elects and commits
    target: who is to vote once a change is done; who of them does not vote yet learns: gets the log
        and counts nowhere
    outgoing: during joint consensus, the voters before it: then a majority of both is needed
    """

    voters: tuple[NodeId, ...]
    target: tuple[NodeId, ...]
    outgoing: tuple[NodeId, ...] = ()

    @property
    def members(self) -> tuple[NodeId, ...]:
        """Everybody who takes part in any way."""
        return tuple(sorted({*self.voters, *self.target, *self.outgoing}))


class Snapshot(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Names a snapshot: which log it stands for (§7), and which bytes it is.

    last_included_index, last_included_term: of the last entry that it stands for
    time_us: cluster time at that entry, in microseconds
    membership: the last at or before that entry
    size, checksum: of its file; two that differ here are different snapshots, whatever they
        stand for, and a transfer of one does not go on with the other
    """

    last_included_index: int
    last_included_term: int
    time_us: int
    membership: Membership
    size: int
    checksum: int


class Floor(msgspec.Struct, frozen=True, array_like=True, gc=False, order=True):
    """The end of a log that is known to be committed, though the server's own need not reach it.

    A server whose data was removed has forgotten its votes, and what it has said is on its disk. So
    it goes on as if its log held all that was committed by then: in no earlier term, and it helps
    nobody to lead whose log falls short of that (§5.4.1).
    """

    term: int = 0
    index: int = 0


class HardState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What must be on disk before any message that depends on it leaves (Figure 2)."""

    current_term: int = 0
    voted_for: NodeId | None = None


class RequestVote(msgspec.Struct, frozen=True, array_like=True, tag=1, gc=False):
    """A candidate asks for a vote (§5.2, §5.4.1).

    pre_vote: only asks whether a vote would be granted, in a term not yet begun (thesis §9.6)
    leadership_transfer: the leader has asked for this election itself: who hears it may vote all
        the same (thesis §4.2.3, §3.10)
    """

    term: int
    candidate_id: NodeId
    last_log_index: int
    last_log_term: int
    pre_vote: bool = False
    leadership_transfer: bool = False


class RequestVoteReply(msgspec.Struct, frozen=True, array_like=True, tag=2, gc=False):
    """The answer: `term` is the voter's, or the term asked about when a pre-vote is granted."""

    term: int
    vote_granted: bool
    pre_vote: bool = False


class AppendEntries(msgspec.Struct, frozen=True, array_like=True, tag=3, gc=False):
    """The leader replicates its log; without batches it is a heartbeat (§5.2, §5.3).

    round: counts the leader's heartbeats, so that a reply proves which of them was heard
    (ReadIndex and check-quorum need it; thesis §6.4)
    """

    term: int
    leader_id: NodeId
    prev_log_index: int
    prev_log_term: int
    batches: tuple[Batch, ...]
    leader_commit: int
    round: int = 0


class AppendEntriesReply(msgspec.Struct, frozen=True, array_like=True, tag=4, gc=False):
    """The answer to AppendEntries, for success and refusal alike.

    success: the follower's log held an entry of `prev_log_term` at `prev_log_index`
    match_index: on success, how far the follower's *disk* agrees with the leader's log
    prev_log_index: the message's, so that a late refusal is told from a fresh one
    hint_index, hint_term: on refusal, the follower's last entry that could still agree, so that
        the leader backs up a term at a time (§5.3)
    round: the message's
    """

    term: int
    success: bool
    match_index: int
    prev_log_index: int
    hint_index: int = 0
    hint_term: int = 0
    round: int = 0


class InstallSnapshot(msgspec.Struct, frozen=True, array_like=True, tag=5, gc=False):
    """The leader sends its snapshot, a chunk at a time, to one whose next entry is gone (§7).

    offset, data: the chunk and where it stands in the file; without data it only asks how much of
        the snapshot is there already, so that a transfer goes on where it was broken off
    round: as in AppendEntries
    """

    term: int
    leader_id: NodeId
    snapshot: Snapshot
    offset: int
    data: bytes
    round: int = 0


class InstallSnapshotReply(msgspec.Struct, frozen=True, array_like=True, tag=6, gc=False):
    """The answer to InstallSnapshot.

    last_included_index: the snapshot's
    offset: so much of it is there
    installed: the disk holds all that it stands for, in whatever form
    round: the message's
    """

    term: int
    last_included_index: int
    offset: int
    installed: bool
    round: int = 0


class TimeoutNow(msgspec.Struct, frozen=True, array_like=True, tag=7, gc=False):
    """The leader hands over: the receiver is to stand for election at once (thesis §3.10)."""

    term: int
    leader_id: NodeId


class ReadIndex(msgspec.Struct, frozen=True, array_like=True, tag=8, gc=False):
    """A follower asks from which index on its state answers the reads that wait (thesis §6.4).

    ticket: names the question; no two questions of a server bear the same, in all its lives
    """

    term: int
    ticket: int


class ReadIndexReply(msgspec.Struct, frozen=True, array_like=True, tag=9, gc=False):
    """The answer: the leader led after the question had come, and had committed up to `index`.

    ticket: the question's
    """

    term: int
    ticket: int
    index: int


Message: TypeAlias = (
    RequestVote
    | RequestVoteReply
    | AppendEntries
    | AppendEntriesReply
    | InstallSnapshot
    | InstallSnapshotReply
    | TimeoutNow
    | ReadIndex
    | ReadIndexReply
)
