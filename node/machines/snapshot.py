"""The form in which the state of a shipped machine, and of the client sessions, is kept.

A snapshot is a stream: a header, then the items in groups, each group a MessagePack array behind
its length (`node/wire/` frames them): one by one, small items would take ten times as long. The
header tells what the items are, the version of their form and how many there are. The stream is cut
into chunks without regard to all that, so no chunk is longer than `CHUNK_BYTES` however large an
item is, and a reader takes the stream in chunks of any size.

Equal items give equal bytes. Nothing here notices a flipped bit: whoever stores or sends the chunks
guards them with a checksum.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from types import GenericAlias
from typing import TypeVar

import msgspec

from node.errors import MachineError, WireError
from node.wire import FrameReader, frame

CHUNK_BYTES = 256 << 10

_FORM = 2
"""In the first, each item stood by itself."""

_GROUP_BYTES = 64 << 10
_MOST_IN_GROUP = 16
_LONGEST_GROUP_BYTES = (1 << 31) - 1

_T = TypeVar("_T")
_H = TypeVar("_H")


class _Header(msgspec.Struct, frozen=True, array_like=True):
    kind: str
    version: int
    count: int
    form: int = 1


def write(kind: str, version: int, items: Sequence[object]) -> Iterator[bytes]:
    """The items as chunks, each of at most CHUNK_BYTES and only the last one shorter.

    kind: whose state it is, for example "files"
    version: of the items' form; at least 1
    """
    encoder = msgspec.msgpack.Encoder()
    buffer = bytearray(frame(encoder.encode(_Header(kind, version, len(items), _FORM))))
    for group in _encoded(encoder, items):
        buffer += frame(group)
        if len(buffer) >= CHUNK_BYTES:
            yield from _whole_chunks(buffer)
    if buffer:
        yield bytes(buffer)


def read(
    kind: str,
    version: int,
    decoder: msgspec.msgpack.Decoder[list[_T]],
    chunks: Iterable[bytes],
    *,
    oldest: int = 1,
) -> Iterator[_T]:
    """The items of a stream that `write` made, however it has been cut since.

    decoder: of a group of items
    oldest: the first version that is still read
    Raises MachineError when it is of another kind, of another version, cut short, or no snapshot;
    so whoever restores takes all the items before it gives up the state that it has.
    """
    frames = _frames(kind, chunks)
    try:
        header = msgspec.msgpack.decode(next(frames, b""), type=_Header)
        if header.kind != kind:
            raise MachineError(f"a snapshot of {header.kind}, where one of {kind} is needed")
        if header.version > version:
            raise MachineError(
                f"a snapshot of {kind} in format {header.version}, by a newer leeky-raft; this "
                f"one reads formats up to {version}: use the leeky-raft that wrote it, or begin "
                "anew with --fresh"
            )
        if header.version < oldest:
            raise MachineError(
                f"a snapshot of {kind} in format {header.version}, by an older leeky-raft; this "
                f"one reads formats from {oldest} on: use the leeky-raft that wrote it, or begin "
                "anew with --fresh"
            )
        if header.form != _FORM:
            raise MachineError(
                f"a snapshot of {kind} in form {header.form}, by another leeky-raft: use the one "
                "that wrote it, or begin anew with --fresh"
            )
        count = 0
        for body in frames:
            group = decoder.decode(body)
            count += len(group)
            yield from group
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MachineError(f"no snapshot of {kind}: {error}") from error
    if count != header.count:
        raise MachineError(f"a snapshot of {kind} holds {count} items instead of {header.count}")


def read_headed(
    kind: str, version: int, head: type[_H], item: type[_T], chunks: Iterable[bytes]
) -> tuple[_H, list[_T]]:
    """As `read`, for a stream whose first item, and no other, is a `head`.

    head, item: types that msgspec can tell apart
    """
    group = GenericAlias(list, (head | item,))
    decoder: msgspec.msgpack.Decoder[list[_H | _T]] = msgspec.msgpack.Decoder(group)
    found = list(read(kind, version, decoder, chunks))
    items = [one for one in found[1:] if isinstance(one, item)]
    if not found or not isinstance(found[0], head) or len(items) != len(found) - 1:
        raise MachineError(f"no snapshot of {kind}: it needs a head, and one only")
    return found[0], items


def _encoded(encoder: msgspec.msgpack.Encoder, items: Sequence[object]) -> Iterator[bytes]:
    """The items in groups. How many are in one follows from how long the one before is; one that
    comes out long for all that is taken apart."""
    start, count = 0, 1
    while start < len(items):
        group = encoder.encode(items[start : start + count])
        if len(group) > 4 * _GROUP_BYTES and count > 1:
            count = 1
            continue
        yield group
        start += count
        count = max(1, min(2 * count, count * _GROUP_BYTES // len(group), _MOST_IN_GROUP))


def _whole_chunks(buffer: bytearray) -> Iterator[bytes]:
    """Takes from the front of `buffer` all that fills whole chunks."""
    whole = len(buffer) - len(buffer) % CHUNK_BYTES
    for start in range(0, whole, CHUNK_BYTES):
        yield bytes(memoryview(buffer)[start : start + CHUNK_BYTES])
    del buffer[:whole]


def _frames(kind: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    reader = FrameReader(_LONGEST_GROUP_BYTES)
    rest = 0
    for chunk in chunks:
        try:
            bodies = reader.feed(chunk)
        except WireError as error:
            raise MachineError(f"no snapshot of {kind}: {error}") from error
        rest += len(chunk) - sum(map(len, bodies)) - 4 * len(bodies)
        yield from bodies
    if rest:
        raise MachineError(f"a snapshot of {kind} is cut short")
