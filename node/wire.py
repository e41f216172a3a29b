"""Messages to bytes and back: every frame that crosses a process boundary.

A frame is MessagePack behind a four-byte big-endian length, which is also how
`multiprocessing.connection` frames `send_bytes`. Everything is validated as it is decoded;
nothing is ever pickled. There are three conversations:

    node <-> node          [t, RPC]            the RPCs of `node/raft/messages.py`
    supervisor <-> node    [t, message]        `Stop`, `SetFaults`, ... / `Status`, `Failed`
    client <-> node        message             `Submit`, `Read`, ... / `Answers`, `Redirect`, ...

`t` is the sender's hybrid logical clock (`node/events.py`). A client writes no event log, so its
frames carry none: that lets the leader put a `Submit` into its log just as it arrived.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

import msgspec

from node.errors import WireError
from node.raft.messages import Floor, Membership, Message, NodeId
from node.raft.settings import Limits, Timing
from node.storage.lives import Founding, LastKnown

MAX_FRAME_BYTES = 256 << 20
"""No frame is longer; a peer that announces more is out of step, and its link is closed."""

MAX_REQUEST_BYTES = 64 << 20
"""No client's frame is longer: what it asks for travels on, inside a frame between nodes."""

MOST_UNACKNOWLEDGED = 65_536
"""Of one session's answers no more are kept for a client that does not say that they arrived."""

MOST_COMMANDS = 4096
"""No request holds more commands, and no read more queries: it bounds what one frame can cost."""

_SHOWN_CHARACTERS = 300
"""Of what is wrong with a message: that may hold what was sent."""

_T = TypeVar("_T")
_LENGTH = struct.Struct("!i")


# -- client <-> node -----------------------------------------------------------------------------


class Submit(
    msgspec.Struct, frozen=True, array_like=True, tag=1, gc=False, forbid_unknown_fields=True
):
    """Consecutive commands of one client session, to be applied in order, each once (thesis §6.3).

    client_id: the session, chosen by the client, unique for all time; it begins with the index of
        an entry that was committed before (`session_id` in `node/machines/sessions.py`)
    first_sequence: the sequence number of `commands[0]`; a session begins with 1
    lowest_unanswered: every answer below it has reached the client and may be forgotten; all
        others are kept, so there may be no more than MOST_UNACKNOWLEDGED with this request's
    commands: at most MOST_COMMANDS, each at least one byte long

    It goes into the log as it came, so it must hold nothing that is not checked when it comes:
    `node/server/requests.py` has the legal values of each field.
    """

    client_id: bytes
    first_sequence: int
    lowest_unanswered: int
    commands: list[bytes]


class Read(msgspec.Struct, frozen=True, array_like=True, tag=2, gc=False):
    """Queries of the state machine, all answered at one point of the log.

    stale: answer at once from this node's own state, however old; any node may
    follower: a node that follows a leader is to answer too, once it has asked that leader how much
        of the log it must have applied; without it only the leader does
    """

    read_id: int
    queries: list[bytes]
    stale: bool = False
    follower: bool = False


ClientRequest: TypeAlias = Submit | Read


class Answers(msgspec.Struct, frozen=True, array_like=True, tag=1, gc=False):
    """What became of consecutive commands of a session: the same whenever it is asked again.

    first_sequence: of the first command answered
    first_index: its index; the others' follow it
    term: of the entries
    results: one for each command, an error's text where its position is in `errors`
    """

    first_sequence: int
    first_index: int
    term: int
    results: list[bytes]
    errors: list[int]


class OutOfOrder(msgspec.Struct, frozen=True, array_like=True, tag=2, gc=False):
    """Nothing of a `Submit` was applied: the session's next command is `expected`, not
    `first_sequence`. Send again from `expected`; below 1 the session is unknown here."""

    first_sequence: int
    expected: int


class ReadResult(msgspec.Struct, frozen=True, array_like=True, tag=3, gc=False):
    """The answers to a `Read`, from the state just after `index` was applied."""

    read_id: int
    index: int
    term: int
    results: list[bytes]
    errors: list[int]


class Redirect(msgspec.Struct, frozen=True, array_like=True, tag=4, gc=False):
    """Not here: ask `leader_id`, or anyone in a moment when it is None.

    It answers everything that this connection has outstanding. An entry of it may still commit;
    sending it again under the same sequence number is safe.
    """

    leader_id: NodeId | None
    reason: str = ""


class Refused(msgspec.Struct, frozen=True, array_like=True, tag=5, gc=False):
    """The request is wrong and will be however often it is sent (an entry over the limit)."""

    reason: str


class Ending(msgspec.Struct, frozen=True, array_like=True, tag=6, gc=False):
    """This node is about to end, since its machine has failed. As a `Redirect` to nobody; but the
    others, who have the same entries and the same machine, are likely to fail as well."""

    reason: str


ClientReply: TypeAlias = Answers | OutOfOrder | ReadResult | Redirect | Refused | Ending


# -- supervisor <-> node -------------------------------------------------------------------------


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
    """From now on the links do this, and nothing else."""

    faults: list[LinkFault]


DiskFaultKind: TypeAlias = Literal["hang-disk", "slow-disk", "full-disk", "fail-write", "fail-sync"]


class DiskFault(msgspec.Struct, frozen=True):
    """What a node's disk does: `node/faults/disks.py` says what that is.

    delay_s: how much longer each sync of a `slow-disk` takes
    """

    kind: DiskFaultKind
    delay_s: float = 0.0


class SetDiskFault(msgspec.Struct, frozen=True, tag=True):
    """From now on this node's disk does this, and nothing else; None: it is well."""

    fault: DiskFault | None


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
    """Hand the lead over to `target`, or to whoever has most of the log; answer with a
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
    | NewLink
    | GetStatus
    | TakeSnapshot
    | ChangeMembership
    | TransferLeadership
    | LifeRecorded
    | CodeRefused
    | Stop
)


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


ToSupervisor: TypeAlias = Status | LifeBegun | LinkLost | Failed | Stopping | TransferEnded


class NodeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """All that a node process is told when it starts. Durations in seconds, sizes in bytes.

    voters: with whom the cluster begins; none for a node that joins one
    floor: what was committed when the node's data was last removed on purpose
    life, life_token: this start: 1 for the node's first, then one more at each; and random bits
    founding: with what the cluster began; None: not to be compared
    known: what the node's data is known to have held
    machine_codes: the fingerprints of the code that the nodes which run have; none: it may have any
    slow_s: an apply or a query that takes so long is told of
    peers: the lives of the peers to which a pipe is handed over at the start
    timing, limits: the core's settings
    max_apply_commands: commands applied, or queries served, before others get their turn
    snapshot_log_bytes, snapshot_entries: a snapshot is taken after this much of the log
    """

    cluster_id: str
    cluster_name: str
    node_id: NodeId
    life: int
    life_token: int = 0
    founding: Founding | None = None
    known: LastKnown = LastKnown()
    voters: list[NodeId]
    floor: Floor = Floor()
    peers: dict[NodeId, int]
    data_dir: Path
    event_log: Path
    socket: Path
    machine: str
    python_path: list[Path]
    timing: Timing
    limits: Limits
    max_entry_bytes: int
    max_apply_commands: int = 4096
    segment_bytes: int
    snapshot_log_bytes: int = 32 << 20
    snapshot_entries: int = 500_000
    session_timeout_s: float = 3600.0
    most_sessions: int = 10_000
    most_clients: int = 512
    log_level: str
    log_rotate_bytes: int
    digest_every: int
    slow_s: float = 0.1
    machine_codes: list[str] = []
    faults: list[LinkFault]
    seed: int | None = None


# -- bytes ---------------------------------------------------------------------------------------

_encoder = msgspec.msgpack.Encoder()
_rpc_decoder = msgspec.msgpack.Decoder(tuple[int, Message])
_to_node_decoder = msgspec.msgpack.Decoder(tuple[int, ToNode])
_to_supervisor_decoder = msgspec.msgpack.Decoder(tuple[int, ToSupervisor])
_request_decoder: msgspec.msgpack.Decoder[ClientRequest] = msgspec.msgpack.Decoder(ClientRequest)
_reply_decoder: msgspec.msgpack.Decoder[ClientReply] = msgspec.msgpack.Decoder(ClientReply)
_submits_decoder = msgspec.msgpack.Decoder(list[Submit])


def encode(t: int, message: Message | ToNode | ToSupervisor) -> bytes:
    """The body of a frame between nodes, or between the supervisor and a node."""
    return _encoder.encode((t, message))


def decode_rpc(body: bytes) -> tuple[int, Message]:
    """The inverse of `encode` for RPCs. Raises WireError."""
    return _decode(_rpc_decoder, body)


def decode_to_node(body: bytes) -> tuple[int, ToNode]:
    """The inverse of `encode` for what the supervisor says. Raises WireError."""
    return _decode(_to_node_decoder, body)


def decode_to_supervisor(body: bytes) -> tuple[int, ToSupervisor]:
    """The inverse of `encode` for what a node says. Raises WireError."""
    return _decode(_to_supervisor_decoder, body)


def encode_config(config: NodeConfig) -> bytes:
    """What a node process is handed when it starts. A path need not be text."""
    return msgspec.msgpack.encode(config, enc_hook=os.fsencode)


def decode_config(data: bytes) -> NodeConfig:
    """The inverse of `encode_config`. Raises msgspec.DecodeError."""
    return msgspec.msgpack.decode(
        data, type=NodeConfig, dec_hook=lambda kind, value: kind(os.fsdecode(value))
    )


def encode_client(message: ClientRequest | ClientReply) -> bytes:
    """The body of a frame between a client and a node."""
    return _encoder.encode(message)


def decode_request(body: bytes) -> ClientRequest:
    """The inverse of `encode_client` for requests. Raises WireError."""
    return _decode(_request_decoder, body)


def decode_reply(body: bytes) -> ClientReply:
    """The inverse of `encode_client` for replies. Raises WireError."""
    return _decode(_reply_decoder, body)


def join_submits(bodies: Iterable[bytes]) -> bytes:
    """The bodies of `Submit` frames, unchanged, as the data of one batch."""
    raw = list(map(msgspec.Raw, bodies))
    return _encoder.encode(raw)


def split_submits(data: bytes) -> list[Submit]:
    """The inverse of `join_submits`. Raises WireError."""
    return _decode(_submits_decoder, data)


def decode_with(decoder: msgspec.msgpack.Decoder[_T], body: bytes) -> _T:
    """What another decoder makes of a body. Raises WireError."""
    return _decode(decoder, body)


def frame(body: bytes) -> bytes:
    """A body behind its length."""
    return _LENGTH.pack(len(body)) + body


def frames(bodies: Iterable[bytes]) -> bytes:
    """Bodies one after the other, each behind its length."""
    parts: list[bytes] = []
    for body in bodies:
        parts += (_LENGTH.pack(len(body)), body)
    return b"".join(parts)


class FrameReader:
    """Bytes in, whole frames out; for one direction of one stream."""

    __slots__ = (
        "_buffer",
        "_max_bytes",
    )

    def __init__(self, max_bytes: int = MAX_FRAME_BYTES) -> None:
        self._buffer = bytearray()
        self._max_bytes = max_bytes

    @property
    def unfinished_bytes(self) -> int:
        """How much has come of a frame that is not complete."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """The bodies that `data` completes, in order. Raises WireError on an absurd length."""
        if self._buffer:
            self._buffer += data
            view = memoryview(self._buffer)
        else:  # mostly whole frames come, and nothing need be kept; mostly it is one
            if 4 <= len(data) <= self._max_bytes and _LENGTH.unpack_from(data)[0] == len(data) - 4:
                return [data[4:]]
            view = memoryview(data)
        bodies = []
        start, stop = 0, len(view)
        while stop - start >= 4:
            (size,) = _LENGTH.unpack_from(view, start)
            if not 0 <= size <= self._max_bytes:
                raise WireError(f"a frame of {size} bytes (at most {self._max_bytes})")
            end = start + 4 + size
            if stop < end:
                break
            bodies.append(bytes(view[start + 4 : end]))
            start = end
        if start or not self._buffer:
            self._buffer = bytearray(view[start:])
        return bodies


def _decode(decoder: msgspec.msgpack.Decoder[_T], body: bytes) -> _T:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"not a message of ours: {error}"[:_SHOWN_CHARACTERS]) from error
