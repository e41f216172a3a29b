"""Messages to bytes and back: every frame that crosses a process boundary.

A frame is MessagePack behind a four-byte length. Everything is validated as it is decoded, and
nothing is ever pickled. There are three conversations:

    node <-> node          [t, RPC]            the RPCs of `node/raft/messages.py`
    supervisor <-> node    [t, message]        `Stop`, `SetFaults`, ... / `Status`, `Failed`, ...
    client <-> node        message             `Submit`, `Read`, ... / `Answers`, `Redirect`, ...

`t` is the sender's hybrid logical clock (`node/events.py`). The modules, in reading order:

    framing     frames: a body behind its length, and the reader that cuts a stream into bodies
    client      what a client and a node say to each other
    points      armed points, as the supervisor and a node speak of them
    log         the entries of a log, as they are shown
    control     what the supervisor and a node say to each other
    peers       what nodes say to each other
    types       what messages between nodes are called
    config      what a node process is told when it starts

Others import from this package, not from its modules. It may import `node.errors`, the messages and
settings of `node.raft`, and the records of `node.storage`.
"""

from node.wire.client import (
    MAX_REQUEST_BYTES,
    MOST_COMMANDS,
    MOST_UNACKNOWLEDGED,
    UNIQUE_BYTES,
    Answers,
    Appended,
    ClientReply,
    ClientRequest,
    Ending,
    OutOfOrder,
    Read,
    ReadResult,
    Redirect,
    Refused,
    Submit,
    SubmitHere,
    decode_reply,
    decode_request,
    encode_client,
    join_submits,
    split_submits,
)
from node.wire.config import (
    NodeConfig,
    decode_config,
    encode_config,
)
from node.wire.control import (
    ChangeMembership,
    ChangeSettings,
    ClockFault,
    CodeRefused,
    DiskFault,
    DiskFaultKind,
    Drop,
    Dropped,
    Failed,
    GetLog,
    GetStatus,
    LifeBegun,
    LifeRecorded,
    LinkFault,
    LinkLost,
    Listen,
    LogPart,
    NewLink,
    Peer,
    SetClock,
    SetDiskFault,
    SetDrops,
    SetFaults,
    SetTap,
    Status,
    Stop,
    Stopping,
    TakeSnapshot,
    TimedOut,
    TimeOut,
    ToNode,
    ToSupervisor,
    TransferEnded,
    TransferLeadership,
    decode_to_node,
    decode_to_supervisor,
)
from node.wire.framing import (
    MAX_FRAME_BYTES,
    FrameReader,
    decode_with,
    frame,
    frames,
)
from node.wire.log import (
    EntryKind,
    LogEntry,
    entries_of,
)
from node.wire.peers import (
    decode_rpc,
    encode,
    tag_of,
    tags,
)
from node.wire.points import (
    ArmedPoint,
    ArmPoints,
    PointAction,
    PointHit,
    PointTerm,
)
from node.wire.types import MESSAGE_TYPES, types_in

__all__ = [
    "MAX_FRAME_BYTES",
    "MAX_REQUEST_BYTES",
    "MESSAGE_TYPES",
    "MOST_COMMANDS",
    "MOST_UNACKNOWLEDGED",
    "UNIQUE_BYTES",
    "Answers",
    "Appended",
    "ArmPoints",
    "ArmedPoint",
    "ChangeMembership",
    "ChangeSettings",
    "ClientReply",
    "ClientRequest",
    "ClockFault",
    "CodeRefused",
    "DiskFault",
    "DiskFaultKind",
    "Drop",
    "Dropped",
    "Ending",
    "EntryKind",
    "Failed",
    "FrameReader",
    "GetLog",
    "GetStatus",
    "LifeBegun",
    "LifeRecorded",
    "LinkFault",
    "LinkLost",
    "Listen",
    "LogEntry",
    "LogPart",
    "NewLink",
    "NodeConfig",
    "OutOfOrder",
    "Peer",
    "PointAction",
    "PointHit",
    "PointTerm",
    "Read",
    "ReadResult",
    "Redirect",
    "Refused",
    "SetClock",
    "SetDiskFault",
    "SetDrops",
    "SetFaults",
    "SetTap",
    "Status",
    "Stop",
    "Stopping",
    "Submit",
    "SubmitHere",
    "TakeSnapshot",
    "TimeOut",
    "TimedOut",
    "ToNode",
    "ToSupervisor",
    "TransferEnded",
    "TransferLeadership",
    "decode_config",
    "decode_reply",
    "decode_request",
    "decode_rpc",
    "decode_to_node",
    "decode_to_supervisor",
    "decode_with",
    "encode",
    "encode_client",
    "encode_config",
    "entries_of",
    "frame",
    "frames",
    "join_submits",
    "split_submits",
    "tag_of",
    "tags",
    "types_in",
]
