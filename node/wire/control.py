"""What the supervisor and a node say to each other, over the node's control pipe.

A frame is `[t, message]`, as between nodes: `encode` in `node/wire/peers.py` makes it.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from node.raft.messages import Membership, NodeId
from node.raft.settings import Timing
from node.wire.framing import decode_with
from node.wire.log import LogEntry
from node.wire.points import ArmedPoint, ArmPoints, PointHit

# -- from the supervisor -------------------------------------------------------------------------


class LinkFault(msgspec.Struct, frozen=True, kw_only=True):
    """What one directed link, `source` to `target`, does to its messages. All zero: nothing.

    cut: every message is lost, and so is the news that the other end has died
    delay_s, jitter_s: each message takes delay_s plus up to jitter_s longer
    loss, duplicate, reorder: probabilities, 0 to 1; a reordered message is overtaken by later ones
    rate: bits per second that cross, one message after the other; 0: any number
    hold: messages are kept until it does not hold any more
    """

    source: NodeId
    target: NodeId
    cut: bool = False
    delay_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    rate: float = 0.0
    hold: bool = False


class SetFaults(msgspec.Struct, frozen=True, tag=True):
    """From now on the links do this, and nothing else.

    ids: of the injections that this comes from, which the node names in its `Status`
    causes: of links, each source and target, the injection behind each part of what it does
        (`node/faults/links.py: parts_of`)
    """

    faults: list[LinkFault]
    ids: list[int] = []
    causes: list[tuple[NodeId, NodeId, dict[str, int]]] = []


DiskFaultKind: TypeAlias = Literal[
    "hang-disk", "slow-disk", "full-disk", "fail-write", "fail-sync", "cycle-disk"
]


class DiskFault(msgspec.Struct, frozen=True):
    """What a node's disk does: `node/faults/disks.py` says what that is.

    delay_s: how much longer each sync of a `slow-disk` takes; for how long a `cycle-disk` stalls
    works_s: for how long a `cycle-disk` then works, before it stalls again
    """

    kind: DiskFaultKind
    delay_s: float = 0.0
    works_s: float = 0.0


class SetDiskFault(msgspec.Struct, frozen=True, tag=True):
    """From now on this node's disk does this, and nothing else; None: it is well.

    ids: of the injections that this comes from, which the node names in its `Status`
    """

    fault: DiskFault | None
    ids: list[int] = []


class ClockFault(msgspec.Struct, frozen=True, kw_only=True):
    """What moves a clock: `node/faults/clocks.py` says how. All as it is by default: nothing.

    bump_s: what its steps add up to; None: it was not bumped
    rate: how many of its own seconds pass in a true one
    strobe_s, period_s: it jumps by `strobe_s`, and back again, in turn, once in each `period_s`
    """

    bump_s: float | None = None
    rate: float = 1.0
    strobe_s: float = 0.0
    period_s: float = 0.0


class SetClock(msgspec.Struct, frozen=True, tag=True):
    """From now on these faults move the node's clocks, and no others.

    monotonic: by which the node runs elections, leases and cluster time
    wall: from which the hybrid times of its events and messages come
    ids: of the injections that this comes from, which the node names in its `Status`
    """

    monotonic: ClockFault = ClockFault()
    wall: ClockFault = ClockFault()
    ids: list[int] = []


class Drop(msgspec.Struct, frozen=True):
    """The next `count` messages of a type (`node/wire/types.py`) from `source` to `target` are to
    be lost."""

    source: NodeId
    target: NodeId
    type: str
    count: int = 1


class SetDrops(msgspec.Struct, frozen=True, tag=True):
    """Of what this node sends, these messages are to be lost by their type; no others, or (`add`)
    besides those that are to be lost already."""

    drops: list[Drop]
    add: bool = False


class ChangeSettings(msgspec.Struct, frozen=True, tag=True):
    """From now on the node works with these settings.

    message_delay_s: how much longer each message to another node takes
    """

    timing: Timing
    message_delay_s: float
    log_level: str


class SetTap(msgspec.Struct, frozen=True, tag=True):
    """From now on the node records its messages so (`node/tap/`).

    mode: off, ring or full
    segment_bytes: the size of one file; a ring has two
    keep_bytes: how much of it is kept with `full`
    """

    mode: Literal["off", "ring", "full"] = "off"
    segment_bytes: int = 4 << 20
    keep_bytes: int = 256 << 20


class TimeOut(msgspec.Struct, frozen=True, tag=True):
    """Act as if the election timer had fired; answer with a `TimedOut` that carries `request`."""

    request: int


class NewLink(msgspec.Struct, frozen=True, tag=True):
    """`peer` has started, in its `life`; one file descriptor, this node's end of the pipe to it,
    comes with this frame."""

    peer: NodeId
    life: int


class GetStatus(msgspec.Struct, frozen=True, tag=True):
    """Answer with a `Status` that carries `request`."""

    request: int


class GetLog(msgspec.Struct, frozen=True, tag=True):
    """Answer with a `LogPart` that carries `request`: the entries from `first_index` on.

    most_entries, most_bytes: no more entries, and no more of their text
    """

    request: int
    first_index: int
    most_entries: int
    most_bytes: int


class LifeRecorded(msgspec.Struct, frozen=True, tag=True):
    """What the node's `LifeBegun` said is on record: it may speak to others now."""


class CodeRefused(msgspec.Struct, frozen=True, tag=True):
    """The node's machine has other code than the cluster runs: it is to end, with this reason."""

    reason: str


class ChangeMembership(msgspec.Struct, frozen=True, tag=True):
    """If this node leads `term`: make these the voters. Its `Status` tells what becomes of it.

    So what is asked of a leader that has stopped meanwhile is never done in a later term
    """

    target: list[NodeId]
    term: int


class TakeSnapshot(msgspec.Struct, frozen=True, tag=True):
    """Take a snapshot of what is applied."""


class Stop(msgspec.Struct, frozen=True, tag=True):
    """Finish what is being written, then exit with 0.

    hand_over: a leader first has another lead, if that is to be had within the shortest election
        timeout (thesis §3.10)
    """

    hand_over: bool = False


class TransferLeadership(msgspec.Struct, frozen=True, tag=True):
    """Hand leadership over to `target`, or to whoever has most of the log; answer with a
    `TransferEnded` that carries `request`, within the shortest election timeout."""

    request: int
    target: NodeId | None = None


class Listen(msgspec.Struct, frozen=True, tag=True):
    """The node's socket for clients was removed: it is to make it anew, in this folder."""

    name: str
    folder: bytes


ToNode: TypeAlias = (
    SetFaults
    | SetDrops
    | ChangeSettings
    | SetTap
    | TimeOut
    | Listen
    | SetDiskFault
    | ArmPoints
    | SetClock
    | NewLink
    | GetStatus
    | GetLog
    | TakeSnapshot
    | ChangeMembership
    | TransferLeadership
    | LifeRecorded
    | CodeRefused
    | Stop
)


# -- from the node -------------------------------------------------------------------------------


class Peer(msgspec.Struct, frozen=True, array_like=True):
    """What a leader believes of one peer (`node/raft/progress.py`).

    mode: `probe`, `replicate` or `snapshot`
    in_flight, in_flight_bytes: AppendEntries that are sent and not acknowledged; in mode
        `snapshot`, how many bytes of it the peer has not acknowledged yet
    heard_s: seconds since it last replied in this term; None: it has not
    """

    id: NodeId
    next_index: int
    match_index: int
    mode: str
    in_flight: int
    in_flight_bytes: int
    heard_s: float | None


class Status(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """How a node sees the world. Sent when it is asked for (`request` says by what), and unasked
    (`request` 0) when role, term or leader has changed, and when a digest was logged."""

    request: int = 0
    role: str
    term: int
    leader: NodeId | None
    voter: bool
    membership: Membership
    membership_committed: bool
    first_index: int
    last_index: int
    commit_index: int
    commit_term: int
    """of the entry at commit_index"""
    applied_index: int
    snapshot_index: int
    snapshot_failures: int = 0
    snapshot_problem: str = ""
    """how many attempts to take a snapshot have failed in this life, and why the last one did"""
    digest: str
    """the running hash of the entries applied up to applied_index"""
    answers: int = 0
    """that of what the machine answered to them"""
    digests: list[tuple[int, int, str]] = []
    """of the last indexes at which digests are logged (`log.digest_every`): the index, `answers`
    and `digest`"""
    state: tuple[int, int] | None = None
    """the checksum of the machine's state at the index of the last snapshot that was taken here"""
    slowest_apply_s: float = 0.0
    slowest_query_s: float = 0.0
    """the longest that an apply, and a query, took in this life (`node/server/machine_watch.py`)"""
    disk_fault: DiskFault | None = None
    disk_stalled: bool = False
    """what its disk was told to do; and whether a write takes longer than an election timeout"""
    sequence: int = 0
    """of the last record that its log holds for certain (`node/storage/lives.py`)"""
    frames_skipped: int = 0
    """how many messages of peers made no sense in this life"""
    faults: list[int] = []
    """the ids of the faults that are in force here"""
    points: list[ArmedPoint] = []
    """the points that are armed here, or were until their chain was used up"""
    tap: str = "off"
    tap_problem: str = ""
    """how it records its messages, and why it does not although it was told to"""
    committed_membership: tuple[int, Membership] | None = None
    """the last that is committed, after its entry's index; `membership` may be a later one"""
    voted_for: NodeId | None = None
    kept_term: int = 0
    kept_vote: NodeId | None = None
    """the term and the vote that are durable, which may be behind `term` and `voted_for`"""
    election_in_s: float | None = None
    """until its election timeout; below 0 when that is due; None: it leads"""
    leader_heard_s: float | None = None
    """since it last heard a leader; None: it leads, or has heard none in this life"""
    peers: list[Peer] = []
    """a leader's view of its peers"""


class LogPart(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """What a node's log holds from some index on, and what else is shown beside it.

    commit_index: None: it is not known, because the process does not answer
    first_index: of the log; what comes before it is only in the snapshot
    snapshot_index: up to where its newest snapshot reaches; 0: it has none
    """

    request: int = 0
    role: str
    term: int
    voted_for: NodeId | None
    commit_index: int | None
    first_index: int
    last_index: int
    snapshot_index: int
    entries: list[LogEntry]


class LinkLost(msgspec.Struct, frozen=True, tag=True):
    """What came over the link to `peer` was no stream of frames, so the node has closed it, and
    asks for another. The peer lives: it was in its `life`."""

    peer: NodeId
    life: int


class LifeBegun(msgspec.Struct, frozen=True, tag=True):
    """The node's log holds its life, as record `sequence`. The node waits for `LifeRecorded`.

    machine_code: the fingerprint of the code of its machine (`node/machines/fingerprint.py`)
    """

    sequence: int
    machine_code: str = ""


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The node is about to exit and starting it again as it is cannot help, or can (`retry`).

    lost: its data is damaged, missing or too old, and cannot count
    """

    reason: str
    retry: bool
    lost: bool = False


class Stopping(msgspec.Struct, frozen=True, tag=True):
    """The node is about to exit in good order, with status 0, and says why. What ends without a
    word has been ended by something else."""

    reason: str


class TransferEnded(msgspec.Struct, frozen=True, tag=True):
    """What became of a `TransferLeadership`: the target leads, or `failure` says why it does not.

    leader: who leads now, as far as this node knows
    """

    request: int
    leader: NodeId | None
    failure: str = ""


class TimedOut(msgspec.Struct, frozen=True, tag=True):
    """What became of a `TimeOut`: the node campaigns, or `failure` says why it does not.

    term: the one for which it campaigns
    pre_vote: it asks for pre-votes first
    """

    request: int
    term: int = 0
    pre_vote: bool = False
    failure: str = ""


class Dropped(msgspec.Struct, frozen=True, tag=True):
    """A `Drop` of this type has struck, on the link to `target`."""

    target: NodeId
    kind: str


ToSupervisor: TypeAlias = (
    Status
    | LogPart
    | LifeBegun
    | LinkLost
    | PointHit
    | Failed
    | Stopping
    | TransferEnded
    | TimedOut
    | Dropped
)


# -- bytes ---------------------------------------------------------------------------------------

_to_node_decoder = msgspec.msgpack.Decoder(tuple[int, ToNode])
_to_supervisor_decoder = msgspec.msgpack.Decoder(tuple[int, ToSupervisor])


def decode_to_node(body: bytes) -> tuple[int, ToNode]:
    """The inverse of `encode` for what the supervisor says. Raises WireError."""
    return decode_with(_to_node_decoder, body)


def decode_to_supervisor(body: bytes) -> tuple[int, ToSupervisor]:
    """The inverse of `encode` for what a node says. Raises WireError."""
    return decode_with(_to_supervisor_decoder, body)
