"""Raft's RPCs (Figure 2), and what a log is made of.

An *entry* is one command at one index. Entries that were proposed together form a `Batch`:
consecutive indexes, one term, encoded once where they were proposed. A batch is sent, stored and
truncated whole, so every log is a sequence of whole batches. By the Log Matching Property (§5.3)
two logs that hold an entry of the same index and term hold the same batch around it.

The RPCs keep the paper's names and fields. Docstrings describe the fields that the paper does not
have.
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
    """Only advances cluster time: something is due to expire, and no other entry has come."""
    CONFIGURATION = 3
    """A `Membership`, which each server uses from the moment its log holds it (§6)."""


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
        leader, as leaders measured it (thesis §6.4.1). It never falls along a log. Sessions and
        leases of the state machine expire by it, so that all nodes agree
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
    """Which servers take part (§6). Ids in rising order.

    voters: they elect and commit
    target: the voters once a change is done. One that does not vote yet is a learner: it gets the
        log and is counted nowhere
    outgoing: during joint consensus, the voters before it: a majority of both sets is needed
    """

    voters: tuple[NodeId, ...]
    target: tuple[NodeId, ...]
    outgoing: tuple[NodeId, ...] = ()

    @property
    def members(self) -> tuple[NodeId, ...]:
        """Voters and learners, old and new."""
        return tuple(sorted({*self.voters, *self.target, *self.outgoing}))


class Snapshot(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Names a snapshot: which entries it covers (§7), and which file it is.

    last_included_index, last_included_term: of the last entry that it covers
    time_us: cluster time at that entry, in microseconds
    membership: the last at or before that entry
    size, checksum: of its file. Two that differ here are different files, even if they cover the
        same entries, so a transfer that began with one cannot continue with the other
    """

    last_included_index: int
    last_included_term: int
    time_us: int
    membership: Membership
    size: int
    checksum: int


class Floor(msgspec.Struct, frozen=True, array_like=True, gc=False, order=True):
    """A last entry that is known to be committed, though the server's own log need not reach it.

    A server whose data was removed on purpose has forgotten its votes and the entries that it has
    acknowledged. So it behaves as if its log held all that was committed by then: it takes part in
    no earlier term, and votes for nobody whose log ends before that entry (§5.4.1).
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
    leadership_transfer: the leader has asked for this election itself, so a server that hears that
        leader may vote all the same (thesis §4.2.3, §3.10)
    """

    term: int
    candidate_id: NodeId
    last_log_index: int
    last_log_term: int
    pre_vote: bool = False
    leadership_transfer: bool = False


class RequestVoteReply(msgspec.Struct, frozen=True, array_like=True, tag=2, gc=False):
    """The reply: `term` is the voter's, or the term asked about when a pre-vote is granted."""

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
    """The reply to AppendEntries, for success and refusal alike.

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
    """The leader sends its snapshot, a chunk at a time, to a peer whose next entry is gone (§7).

    offset, data: the chunk and its place in the file. Without data the message only asks how much
        of the snapshot has arrived, so that a transfer continues where it was interrupted
    round: as in AppendEntries
    """

    term: int
    leader_id: NodeId
    snapshot: Snapshot
    offset: int
    data: bytes
    round: int = 0


class InstallSnapshotReply(msgspec.Struct, frozen=True, array_like=True, tag=6, gc=False):
    """The reply to InstallSnapshot.

    last_included_index: the snapshot's
    offset: how many bytes of it have arrived
    installed: the disk holds all that it covers, as a snapshot or as entries
    round: the message's
    """

    term: int
    last_included_index: int
    offset: int
    installed: bool
    round: int = 0


class TimeoutNow(msgspec.Struct, frozen=True, array_like=True, tag=7, gc=False):
    """The leader hands over: the receiver is to campaign at once (thesis §3.10)."""

    term: int
    leader_id: NodeId


class ReadIndex(msgspec.Struct, frozen=True, array_like=True, tag=8, gc=False):
    """A follower asks up to which index it must have applied the log before it serves the reads
    that wait (thesis §6.4).

    ticket: names the question; no two questions of a server have the same, in all its lives
    """

    term: int
    ticket: int


class ReadIndexReply(msgspec.Struct, frozen=True, array_like=True, tag=9, gc=False):
    """The reply: the sender led after the question had arrived, and had committed up to `index`.

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
