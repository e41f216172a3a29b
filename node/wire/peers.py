"""What nodes say to each other: `[t, RPC]`, with the RPCs of `node/raft/messages.py`.

`t` is the sender's hybrid logical clock (`node/events.py`). Frames between the supervisor and a
node have the same form, so `encode` makes those too.
"""

from __future__ import annotations

import msgspec

from node.raft.messages import Message
from node.wire.control import ToNode, ToSupervisor
from node.wire.framing import decode_with

_encoder = msgspec.msgpack.Encoder()
_rpc_decoder = msgspec.msgpack.Decoder(tuple[int, Message])


def encode(t: int, message: Message | ToNode | ToSupervisor) -> bytes:
    """The body of a frame between nodes, or between the supervisor and a node."""
    return _encoder.encode((t, message))


def decode_rpc(body: bytes) -> tuple[int, Message]:
    """The inverse of `encode` for RPCs. Raises WireError."""
    return decode_with(_rpc_decoder, body)


# -- which RPC it is, without decoding it --------------------------------------------------------

_INTEGER_BYTES = {0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9}
"""How long an integer is in MessagePack that begins with this byte; others are one byte."""


def tag_of(body: bytes) -> int:
    """The tag of the RPC in a frame that `encode` made."""
    # An array's head, the clock, the head of the RPC's own array, the tag.
    return body[2 + _INTEGER_BYTES.get(body[1], 1)]


def tags(*kinds: type[Message]) -> frozenset[int]:
    """What `tag_of` returns for these RPCs."""
    return frozenset(int(str(kind.__struct_config__.tag)) for kind in kinds)
