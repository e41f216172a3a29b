"""The bytes of a tap file.

A file is one segment of a node's record: a head, then records one after the other. It has its full
length from the beginning, and what is not written yet is zero.

    head    magic, version, node, life, number of the segment, its capacity in bytes
    record  a mark, kind, role, cause, the record's length in bytes, peer, size of the message, t,
            term, commit index, detail, fault, length of its body; then the body, then zeros up to a
            multiple of eight

The mark is one byte, and is written last. So a record is there as a whole or, with a mark of zero,
not at all, wherever its writer was stopped. `body` is a message as it was in its frame, but without
the data of entries and of snapshots (`light`), so its own fields and the clock that it carries are
in there. Or it is an event in MessagePack: its name, its level, its fields.

Numbers are little-endian. The fields that a record does not use are zero:

    cause   why a message was lost, as an index into `CAUSES`
    peer    the other node
    size    of the whole frame, in bytes
    t       the node's clock; of a message that is sent, the time that it carries
    fault   the id of the fault behind it
    detail  by how much a message is delayed, in microseconds; how many copies of it there are;
            INWARD for one that was lost where it was to arrive
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple, cast

import msgspec

from node import wire
from node.errors import WireError
from node.raft.messages import AppendEntries, InstallSnapshot

MAGIC: Final = b"LEEKYTAP"
VERSION: Final = 1

HEAD: Final = struct.Struct("<8sIIQQQ")
RECORD: Final = struct.Struct("<BBBBIIIQQQQII")
BODY_AT: Final = RECORD.size
"""Where a record's body begins: a multiple of eight."""

MARK: Final = 1
"""The mark of a record that is there."""

LEAST_SEGMENT_BYTES: Final = 64 << 10

SENT, RECEIVED, LOST, HELD, DELAYED, DUPLICATED, EVENT = range(1, 8)

KINDS: Final = {
    SENT: "message.sent",
    RECEIVED: "message.received",
    LOST: "message.lost",
    HELD: "message.held",
    DELAYED: "message.delayed",
    DUPLICATED: "message.duplicated",
}
"""What is recorded of messages, as events."""

CAUSES: Final = (
    "", "cut", "loss", "rate-full", "drop", "full", "held-full", "closed", "replaced", "invalid",
)  # fmt: skip
INWARD: Final = 1
"""The detail of a message that was lost where it was to arrive."""

ROLES: Final = ("follower", "pre-candidate", "candidate", "leader")
_LIGHT_BYTES: Final = 160
"""A message that is no longer is kept as it is."""


class Head(NamedTuple):
    """The head of a file."""

    node: int
    life: int
    number: int
    capacity: int


def head(of: Head) -> bytes:
    """Its bytes."""
    return HEAD.pack(MAGIC, VERSION, of.node, of.life, of.number, of.capacity)


def parse_head(data: bytes) -> Head | None:
    """The inverse of `head`; None for a file that is none of ours, or is not begun.

    Raises ValueError for a file of another version.
    """
    if len(data) < HEAD.size or not data.startswith(MAGIC):
        return None
    _, version, node, life, number, capacity = HEAD.unpack_from(data)
    if version != VERSION:
        raise ValueError(f"it has version {version}, and this program reads version {VERSION}")
    return Head(node, life, number, capacity)


# -- messages without their data -----------------------------------------------------------------

_Batch = tuple[int, int, int, int, msgspec.Raw, int]
_Append = tuple[int, int, int, int, int, list[_Batch], int, int]
_Install = tuple[int, int, int, msgspec.Raw, int, msgspec.Raw, int]
_append_decoder = msgspec.msgpack.Decoder(tuple[int, _Append])
_install_decoder = msgspec.msgpack.Decoder(tuple[int, _Install])
_encode = msgspec.msgpack.Encoder().encode
_APPEND, _INSTALL = (
    cast(int, kind.__struct_config__.tag) for kind in (AppendEntries, InstallSnapshot)
)


def light(frame: bytes) -> bytes:
    """The frame of a message without the data in it: of AppendEntries one batch is left, which
    stands for all, and of InstallSnapshot an empty chunk. What makes no sense is cut short.
    """
    if len(frame) <= _LIGHT_BYTES:
        return frame
    try:
        tag = wire.tag_of(frame)
        if tag == _APPEND:
            t, append = _append_decoder.decode(frame)
            return _encode((t, (*append[:5], _joined(append[5]), *append[6:])))
        if tag == _INSTALL:
            t, install = _install_decoder.decode(frame)
            return _encode((t, (*install[:5], b"", *install[6:])))
    except (msgspec.DecodeError, IndexError):
        pass
    return frame[:_LIGHT_BYTES]


def clock_in(frame: bytes) -> int:
    """The time that a frame carries; zero if it is no frame of ours."""
    if len(frame) >= 10 and frame[1] == 0xCF:  # as every time since 1970 is
        return int.from_bytes(frame[2:10])
    try:
        return wire.decode_rpc(frame)[0]
    except WireError:
        return 0


def _joined(batches: list[_Batch]) -> list[tuple[int, int, int, int, bytes, int]]:
    """Batches follow each other without a gap, so the first and the last say it all."""
    if not batches:
        return []
    first, last = batches[0], batches[-1]
    count = last[0] + last[3] - first[0]
    return [(first[0], first[1], first[2], count, b"", last[5])]


def chunk_bytes(frame_bytes: int, body: bytes) -> int:
    """How long the chunk was that `light` has removed from an InstallSnapshot."""
    without = frame_bytes - len(body) + 2  # of the empty one are two bytes
    for head_bytes, most in ((2, 1 << 8), (3, 1 << 16), (5, 1 << 32)):
        if 0 <= without - head_bytes < most:
            return without - head_bytes
    raise WireError("a chunk of a snapshot has no length")
