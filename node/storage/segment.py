"""The bytes of a segment: what is written, and what is read back. No disk in here.

A segment is a file of fixed size, zero-filled when it is made or full of stale bytes when it is
recycled. It holds, from byte 0 on:

    preamble    magic, format version, their checksum: 16 bytes, the same in every format to come
    header      whose log this is, the segment's number, and the log's state where it begins
    record ...  one for each append: the state after it, and the batches that it added
    end         zeros, as long as a frame; written together with the record before them

Header and records stand behind the same 24-byte frame:

    magic  segment  sequence  length  crc        (4, 4, 8, 4, 4 bytes, little-endian)

`sequence` counts headers and records through the whole life of the log, without a gap. The
checksum covers the frame, the body, and (as its starting value) the identity of the log. So bytes
that a segment held in an earlier use carry another segment number and an older sequence, and a
record of another node fails its checksum: neither ever passes for the next record.

**One append is one record**, whole inside one segment. A crash therefore leaves an append entire or
not at all, and any valid record behind a bad one proves that the bad one had been synced: nothing
is written before what stands in front of it is durable.
"""

from __future__ import annotations

import contextlib
import re
import struct
import zlib
from collections.abc import Sequence

import msgspec

from node.errors import DamagedLog, WrongDirectory
from node.raft.messages import Batch, BatchKind, HardState
from node.storage.lives import Founding, Life

FORMAT = 3
_FORMATS = (2, FORMAT)
"""Those that are read. Format 2 tells neither lives nor the founding; only FORMAT is written."""

SPARE_PREFIX = "spare-"

_PREAMBLE_MAGIC = b"LEEKYWAL"
_HEADER_MAGIC = b"LkSg"
_RECORD_MAGIC = b"LkRc"

_PREAMBLE = struct.Struct("<8sII")  # magic, format, checksum
_FRONT = struct.Struct("<4sIQI")  # the frame without its checksum
_FRAME = struct.Struct("<4sIQII")
_CHECKSUM = struct.Struct("<I")
_STATE = struct.Struct("<QqIIQ")  # current_term, voted_for or -1, first segment kept; the life
_STATE_2 = struct.Struct("<QqI")
_STATES = {2: _STATE_2, 3: _STATE}
_HEADER = struct.Struct("<QQBI")  # capacity, last_index, recycled, node_id
_NAME_SIZE = struct.Struct("<H")  # then the cluster_id, and the founding to the end
_BATCH = struct.Struct("<QQQBII")  # first_index, term, time_us, kind, count, length of data

_END = bytes(_FRAME.size)
_KINDS = {int(kind): kind for kind in BatchKind}
_NAME = re.compile(r"(\d{10})\.wal")

ADVICE = "; nothing was changed on disk"


class Identity(msgspec.Struct, frozen=True):
    """Whose log it is.

    founding: with what its cluster began; None: not told, and not compared
    """

    cluster_id: str
    node_id: int
    founding: Founding | None = None

    def salt(self) -> int:
        """What every checksum of this log starts from."""
        return zlib.crc32(f"{self.cluster_id}/{self.node_id}".encode())


class State(msgspec.Struct, frozen=True, gc=False):
    """What a record says besides its batches: in force from this record on.

    first_segment: the segments below this number are not part of the log any more
    """

    hard_state: HardState = HardState()
    first_segment: int = 1
    life: Life = Life()


class Header(msgspec.Struct, frozen=True):
    """How a segment begins.

    sequence: the header's own; the first record's is the next
    capacity: the size of the file in bytes
    last_index: the log's last index where the segment begins
    recycled: behind the last record there may be bytes of an earlier use, not only zeros
    version: the format that the segment is written in
    """

    number: int
    sequence: int
    identity: Identity
    state: State
    capacity: int
    last_index: int
    recycled: bool
    version: int = FORMAT


class Segment(msgspec.Struct):
    """A segment as it was read: its header and the valid records that follow it in order.

    records: offset of each record's frame and of the byte after its body
    end: offset behind the last valid record
    sequence: of the last valid record (of the header, when there is none)
    """

    file: str
    header: Header
    data: bytes
    records: list[tuple[int, int]]
    end: int
    sequence: int


# -- names ---------------------------------------------------------------------------------------


def segment_name(number: int) -> str:
    """The file name of a segment; names sort as numbers do."""
    return f"{number:010d}.wal"


def segment_number(name: str) -> int | None:
    """The number of a segment of the log; None when the file is something else."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else None


def is_spare(name: str) -> bool:
    """A dropped segment, kept to be used again."""
    return name.startswith(SPARE_PREFIX) and segment_number(name[len(SPARE_PREFIX) :]) is not None


# -- writing -------------------------------------------------------------------------------------


def header_size(identity: Identity) -> int:
    """Bytes in front of the first record."""
    owner = len(_encode_owner(identity))
    return _PREAMBLE.size + _FRAME.size + _STATE.size + _HEADER.size + owner


def record_size(batches: Sequence[Batch]) -> int:
    """How many bytes the record of these batches takes."""
    size = _FRAME.size + _STATE.size
    for batch in batches:
        size += _BATCH.size + len(batch.data)
    return size


def encode_header(header: Header) -> bytes:
    """The preamble, the header and the end mark behind it."""
    start = _PREAMBLE_MAGIC + _CHECKSUM.pack(FORMAT)
    state, identity = header.state, header.identity
    fields = _HEADER.pack(header.capacity, header.last_index, header.recycled, identity.node_id)
    body = _encode_state(state) + fields + _encode_owner(identity)
    front = _FRONT.pack(_HEADER_MAGIC, header.number, header.sequence, len(body))
    # Not salted: another node's header must be readable, to say whose it is.
    checksum = zlib.crc32(body, zlib.crc32(front))
    preamble = start + _CHECKSUM.pack(zlib.crc32(start))
    return b"".join((preamble, front, _CHECKSUM.pack(checksum), body, _END))


def encode_record(
    salt: int, number: int, sequence: int, state: State, batches: Sequence[Batch]
) -> bytes:
    """One append, and the end mark behind it."""
    parts = [b"", _encode_state(state)]
    for batch in batches:
        data = batch.data
        front = _BATCH.pack(
            batch.first_index, batch.term, batch.time_us, batch.kind, batch.count, len(data)
        )
        parts += (front, data)
    length = record_size(batches) - _FRAME.size
    assert length < 1 << 32, f"an append of {length} bytes is too long for one record"
    front = _FRONT.pack(_RECORD_MAGIC, number, sequence, length)
    checksum = zlib.crc32(front, salt)
    for part in parts:
        checksum = zlib.crc32(part, checksum)
    parts[0] = front + _CHECKSUM.pack(checksum)
    parts.append(_END)
    return b"".join(parts)


def _encode_state(state: State) -> bytes:
    vote = state.hard_state.voted_for
    life = state.life
    return _STATE.pack(
        state.hard_state.current_term,
        -1 if vote is None else vote,
        state.first_segment,
        life.number,
        life.token,
    )


def _encode_owner(identity: Identity) -> bytes:
    """The cluster's id behind its length, then the founding (msgspec.msgpack; nil: not told)."""
    cluster_id = identity.cluster_id.encode()
    return _NAME_SIZE.pack(len(cluster_id)) + cluster_id + msgspec.msgpack.encode(identity.founding)


# -- reading -------------------------------------------------------------------------------------


def read_segment(file: str, data: bytes, identity: Identity) -> Segment:
    """Reads the header, and records for as long as they are valid and in order.

    Raises DamagedLog (the header is not intact) and WrongDirectory.
    """
    header, offset = _read_header(file, data)
    _check_owner(file, header.identity, identity)
    if segment_name(header.number) != file:
        reason = f"this is segment {header.number} under another name"
        raise DamagedLog(file, _PREAMBLE.size, reason + ADVICE)
    salt = identity.salt()
    sequence = header.sequence
    records: list[tuple[int, int]] = []
    # Bytes behind the capacity are none of ours; a shorter file simply ends sooner.
    size = min(len(data), header.capacity)
    view = memoryview(data)[:size]
    while (
        end := _valid_frame(view, offset, _RECORD_MAGIC, header.number, sequence + 1, salt)
    ) is not None:
        records.append((offset, end))
        offset = end
        sequence += 1
    return Segment(file, header, data, records, offset, sequence)


def owner_of(data: bytes) -> Identity | None:
    """To whom a segment with this beginning belongs; None when it is not the beginning of one."""
    try:
        return _read_header("", data)[0].identity
    except (DamagedLog, WrongDirectory):
        return None


def read_record(segment: Segment, offset: int, end: int) -> tuple[State, list[Batch]]:
    """What a valid record says. Raises ValueError when no version of ours can have written it."""
    data, version = segment.data, segment.header.version
    at = offset + _FRAME.size
    state = _decode_state(data, at, version)
    at += _STATES[version].size
    batches = []
    while at < end:
        try:
            first_index, term, time_us, kind, count, length = _BATCH.unpack_from(data, at)
            at += _BATCH.size
            entries = data[at : at + length]
            batch = Batch(first_index, term, _KINDS[kind], count, entries, time_us)
        except (struct.error, KeyError) as error:
            raise ValueError("not a batch") from error
        batches.append(batch)
        at += length
    if at != end:
        raise ValueError("the last batch is longer than its record")
    return state, batches


def bad_end(segment: Segment) -> str | None:
    """Why what stands behind the last valid record is no clean end; None when it is one.

    A clean end is an end mark: zeros where the next frame would stand. In a segment that was
    zero-filled, all the rest is zeros too; in a recycled one it is anything.
    """
    data, capacity = segment.data, segment.header.capacity
    if len(data) < capacity:
        return f"the file is cut off: it has {len(data)} bytes of {capacity}"
    rest = data[segment.end : capacity]
    frame = rest[: _FRAME.size]
    if frame.strip(b"\0"):
        return _why_invalid(frame, segment)
    if not segment.header.recycled and rest != bytes(len(rest)):
        return "an unfinished write: the beginning of the record is missing"
    return None


def later_record(segment: Segment, salt: int) -> int | None:
    """Offset of a valid record behind the bad one at the segment's end, if there is any.

    It was written after the bad one had been synced: then that one is no torn write.
    """
    header, data = segment.header, segment.data
    mine = _RECORD_MAGIC + _CHECKSUM.pack(header.number)
    view = memoryview(data)
    at = data.find(mine, segment.end)
    while at >= 0:
        if at + _FRAME.size <= len(data):
            sequence = _FRAME.unpack_from(data, at)[2]
            if (
                sequence > segment.sequence + 1
                and _valid_frame(view, at, _RECORD_MAGIC, header.number, sequence, salt) is not None
            ):
                return at
        at = data.find(mine, at + 1)
    return None


def _read_header(file: str, data: bytes) -> tuple[Header, int]:
    """The header and the offset behind it."""
    if len(data) < _PREAMBLE.size:
        raise DamagedLog(file, len(data), "the file is cut off in its header" + ADVICE)
    magic, version, checksum = _PREAMBLE.unpack_from(data)
    if magic != _PREAMBLE_MAGIC or zlib.crc32(data[: _PREAMBLE.size - 4]) != checksum:
        raise DamagedLog(file, 0, "this is not the beginning of a log segment" + ADVICE)
    if version not in _FORMATS:
        raise WrongDirectory(
            f"{file} is written in format {version} and this program knows formats up to {FORMAT}: "
            "run the version that wrote it, or use another data folder"
        )
    view = memoryview(data)
    at = _PREAMBLE.size
    body = at + _FRAME.size
    number = sequence = 0
    if len(data) >= body:
        _, number, sequence, _, _ = _FRAME.unpack_from(data, at)
    end = _valid_frame(view, at, _HEADER_MAGIC, number, sequence, 0)
    if end is not None:
        with contextlib.suppress(struct.error, ValueError, msgspec.DecodeError):
            return _decode_header(data[body:end], number, sequence, version), end
    raise DamagedLog(file, at, "the segment's header is not intact" + ADVICE)


def _decode_header(body: bytes, number: int, sequence: int, version: int) -> Header:
    """The header with this body, behind its frame. Raises struct.error, ValueError or
    msgspec.DecodeError when no version of ours can have written it."""
    state = _decode_state(body, 0, version)
    fields = _STATES[version].size
    capacity, last_index, recycled, node_id = _HEADER.unpack_from(body, fields)
    owner = _decode_owner(body[fields + _HEADER.size :], node_id, version)
    return Header(number, sequence, owner, state, capacity, last_index, bool(recycled), version)


def _decode_owner(data: bytes, node_id: int, version: int) -> Identity:
    if version == 2:
        return Identity(data.decode(), node_id)
    (size,) = _NAME_SIZE.unpack_from(data)
    cluster_id = data[_NAME_SIZE.size : _NAME_SIZE.size + size].decode()
    founding = msgspec.msgpack.decode(data[_NAME_SIZE.size + size :], type=Founding | None)
    return Identity(cluster_id, node_id, founding)


def _check_owner(file: str, owner: Identity, identity: Identity) -> None:
    """Raises WrongDirectory for another node's log, or another beginning of this cluster."""
    if (owner.cluster_id, owner.node_id) != (identity.cluster_id, identity.node_id):
        raise WrongDirectory(
            f"{file} belongs to node {owner.node_id} of cluster {owner.cluster_id}, and this is "
            f"node {identity.node_id} of cluster {identity.cluster_id}: "
            "use another data folder, or put the right one here"
        )
    told, expected = owner.founding, identity.founding
    if told is not None and expected is not None and told != expected:
        raise WrongDirectory(
            f"{file} says that its cluster began with {told.describe()}, and cluster.json says "
            f"{expected.describe()}: put back the cluster.json that belongs to this data"
        )


def _decode_state(data: bytes, at: int, version: int) -> State:
    term, vote, first_segment, *life = _STATES[version].unpack_from(data, at)
    return State(HardState(term, None if vote == -1 else vote), first_segment, Life(*life))


def _valid_frame(
    view: memoryview, at: int, magic: bytes, number: int, sequence: int, salt: int
) -> int | None:
    """The offset behind a frame and its body when it is what is expected here; else None."""
    if at + _FRAME.size > len(view):
        return None
    its_magic, its_number, its_sequence, length, checksum = _FRAME.unpack_from(view, at)
    body = at + _FRAME.size
    end: int = body + length
    if (
        its_magic != magic
        or its_number != number
        or its_sequence != sequence
        or length < _STATE_2.size
        or end > len(view)
        or zlib.crc32(view[body:end], zlib.crc32(view[at : body - 4], salt)) != checksum
    ):
        return None
    return end


def _why_invalid(frame: bytes, segment: Segment) -> str:
    """Why the bytes behind the last valid record, where a frame belongs, are not a record."""
    if len(frame) == _FRAME.size:
        magic, number, sequence, length, _ = _FRAME.unpack(frame)
        expected = (_RECORD_MAGIC, segment.header.number, segment.sequence + 1)
        if (magic, number, sequence) == expected:
            return f"an unfinished write: a record of {length} bytes fails its checksum"
    return "an unfinished write: bytes that are no record"
