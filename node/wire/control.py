"""What the supervisor and a node say to each other, over the node's control pipe.

A frame is `[t, message]`, as between nodes: `encode` in `node/wire/peers.py` makes it.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from node.raft.messages import Membership, NodeId
from node.wire.framing import decode_with
from node.wire.points import ArmedPoint, ArmPoints, PointHit

# -- from the supervisor -------------------------------------------------------------------------


class LinkFault(msgspec.Struct, frozen=True, kw_only=True):
    """What one directed link, `source` to `target`, does to its messages. All zero: nothing.

    cut: every message is lost, and so is the news that the other end has died
    delay_s, jitter_s: each message takes delay_s plus up to jitter_s longer
    loss, duplicate, reorder: probabilities, 0 to 1; a reordered message is overtaken by later ones
    """

    source: NodeId
    target: NodeId
    cut: bool = False
    delay_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0


class SetFaults(msgspec.Struct, frozen=True, tag=True):
    """From now on the links do this, and nothing else.

    ids: of the injections that this comes from, which the node names in its `Status`
    """

    faults: list[LinkFault]
    ids: list[int] = []


DiskFaultKind: TypeAlias = Literal["hang-disk", "slow-disk", "full-disk", "fail-write", "fail-sync"]


class DiskFault(msgspec.Struct, frozen=True):
    """What a node's disk does: `node/faults/disks.py` says what that is.

    delay_s: how much longer each sync of a `slow-disk` takes
    """

    kind: DiskFaultKind
    delay_s: float = 0.0


class SetDiskFault(msgspec.Struct, frozen=True, tag=True):
    """From now on this node's disk does this, and nothing else; None: it is well.

    ids: of the injections that this comes from, which the node names in its `Status`
    """

    fault: DiskFault | None
    ids: list[int] = []


class NewLink(msgspec.Struct, frozen=True, tag=True):
    """`peer` has started, in its `life`; one file descriptor, this node's end of the pipe to it,
    comes with this frame."""

    peer: NodeId
    life: int


class GetStatus(msgspec.Struct, frozen=True, tag=True):
    """Answer with a `Status` that carries `request`."""

    request: int


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
    | Listen
    | SetDiskFault
    | ArmPoints
    | NewLink
    | GetStatus
    | TakeSnapshot
    | ChangeMembership
    | TransferLeadership
    | LifeRecorded
    | CodeRefused
    | Stop
)


# -- from the node -------------------------------------------------------------------------------


class Status(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """How a node sees the world. Sent when it is asked for (`request` says by what), and unasked
    (`request` 0) whenever role, term or leader has changed."""

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
    digests: list[tuple[int, int]] = []
    """the same at the last indexes at which digests are logged (`log.digest_every`)"""
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


ToSupervisor: TypeAlias = (
    Status | LifeBegun | LinkLost | PointHit | Failed | Stopping | TransferEnded
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
