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
    control     what the supervisor and a node say to each other
    peers       what nodes say to each other
    config      what a node process is told when it starts

Others import from this package, not from its modules. It may import `node.errors`, the messages and
settings of `node.raft`, and the records of `node.storage`.
"""

from node.wire.client import (
    MAX_REQUEST_BYTES,
    MOST_COMMANDS,
    MOST_UNACKNOWLEDGED,
    Answers,
    ClientReply,
    ClientRequest,
    Ending,
    OutOfOrder,
    Read,
    ReadResult,
    Redirect,
    Refused,
    Submit,
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
    CodeRefused,
    DiskFault,
    DiskFaultKind,
    Failed,
    GetStatus,
    LifeBegun,
    LifeRecorded,
    LinkFault,
    LinkLost,
    Listen,
    NewLink,
    SetDiskFault,
    SetFaults,
    Status,
    Stop,
    Stopping,
    TakeSnapshot,
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

__all__ = [
    "MAX_FRAME_BYTES",
    "MAX_REQUEST_BYTES",
    "MOST_COMMANDS",
    "MOST_UNACKNOWLEDGED",
    "Answers",
    "ArmPoints",
    "ArmedPoint",
    "ChangeMembership",
    "ClientReply",
    "ClientRequest",
    "CodeRefused",
    "DiskFault",
    "DiskFaultKind",
    "Ending",
    "Failed",
    "FrameReader",
    "GetStatus",
    "LifeBegun",
    "LifeRecorded",
    "LinkFault",
    "LinkLost",
    "Listen",
    "NewLink",
    "NodeConfig",
    "OutOfOrder",
    "PointAction",
    "PointHit",
    "PointTerm",
    "Read",
    "ReadResult",
    "Redirect",
    "Refused",
    "SetDiskFault",
    "SetFaults",
    "Status",
    "Stop",
    "Stopping",
    "Submit",
    "TakeSnapshot",
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
    "frame",
    "frames",
    "join_submits",
    "split_submits",
    "tag_of",
    "tags",
]
