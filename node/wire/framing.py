"""Frames: a body of bytes behind its length, and a body's bytes to a message.

The length has four bytes, big-endian, which is also how `multiprocessing.connection` frames
`send_bytes`. What a body means is said in the other modules of this package.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import TypeVar

import msgspec

from node.errors import WireError

MAX_FRAME_BYTES = 256 << 20
"""No frame is longer; a peer that announces more is out of step, and its link is closed."""

_SHOWN_CHARACTERS = 300
"""Of what is wrong with a message: that may hold what was sent."""

_T = TypeVar("_T")
_LENGTH = struct.Struct("!i")


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


def decode_with(decoder: msgspec.msgpack.Decoder[_T], body: bytes) -> _T:
    """The message that the decoder makes of a body. Raises WireError."""
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"not a message of ours: {error}"[:_SHOWN_CHARACTERS]) from error
