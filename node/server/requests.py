"""What a client may ask for: the legal values of every field of every frame that it can send.

A client is believed in nothing. A frame that passes here can be proposed, or answered, without
another look at its fields; any other one is answered with `Refused`, which says what is wrong.

    Submit.client_id           1 to MOST_CLIENT_ID_BYTES bytes: every node keeps it with the session
    Submit.first_sequence      1 to MOST_SEQUENCE, and so is the last number of the request
    Submit.lowest_unanswered   1 to first_sequence: a client cannot have the answer to what it only
                               sends now. Were that believed, it would go past the bound on
                               unacknowledged answers, which is the next line
    Submit.commands            1 to MOST_COMMANDS commands, each of 1 to `limits.entry` bytes; with
                               what is unacknowledged no more than MOST_UNACKNOWLEDGED
    SubmitHere.unique          UNIQUE_BYTES bytes
    SubmitHere.commands        as Submit.commands
    Read.read_id               any number that MessagePack can hold: it is sent back as it came
    Read.queries               at most MOST_COMMANDS, each of at most `limits.entry` bytes
    Read.stale, Read.follower  any

How many commands a long frame holds is looked at before any of them is made an object: 64 MiB of
the shortest commands would be a gigabyte of objects. What a session's id says of its beginning
(`node/machines/sessions.py`) is not checked: a client that lies about it harms only itself.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from node import wire
from node.errors import WireError
from node.wire import (
    MOST_COMMANDS,
    MOST_UNACKNOWLEDGED,
    UNIQUE_BYTES,
    ClientRequest,
    Read,
    Submit,
    SubmitHere,
)

MOST_CLIENT_ID_BYTES = 64
"""The longest id of a session. Our own client's ids have 24 bytes."""

MOST_SEQUENCE = 1 << 62
"""No session comes to this sequence number, and no sum of numbers below it overflows on a wire."""

_LONG_BYTES = 64 << 10
"""How many commands a longer frame holds is looked at first. A shorter one cannot cost much."""


class BadRequest(WireError):
    """A frame that no client may send; the text tells the client what is wrong with it."""


def decode(body: bytes, max_entry_bytes: int) -> ClientRequest:
    """The request in a frame, with all its fields legal.

    max_entry_bytes: `limits.entry`, which also bounds a query
    Raises BadRequest, and WireError for what is no request at all.
    """
    if len(body) > _LONG_BYTES:
        _check_count(body)
    request = wire.decode_request(body)
    if isinstance(request, Submit):
        _check_submit(request, max_entry_bytes)
    elif isinstance(request, SubmitHere):
        if len(request.unique) != UNIQUE_BYTES:
            raise BadRequest(f"what is unique has {UNIQUE_BYTES} bytes, not {len(request.unique)}")
        _check_commands(request.commands, max_entry_bytes)
    else:
        _check_read(request, max_entry_bytes)
    return request


class _SubmitShape(msgspec.Struct, array_like=True, tag=1, gc=False):
    """A `Submit` whose fields are left as they are on the wire."""

    client_id: msgspec.Raw
    first_sequence: msgspec.Raw
    lowest_unanswered: msgspec.Raw
    items: msgspec.Raw


class _ReadShape(msgspec.Struct, array_like=True, tag=2, gc=False):
    """A `Read` whose fields are left as they are on the wire."""

    read_id: msgspec.Raw
    items: msgspec.Raw


class _HereShape(msgspec.Struct, array_like=True, tag=3, gc=False):
    """A `SubmitHere` whose fields are left as they are on the wire."""

    unique: msgspec.Raw
    items: msgspec.Raw


_Shape: TypeAlias = _SubmitShape | _ReadShape | _HereShape
_shape_decoder: msgspec.msgpack.Decoder[_Shape] = msgspec.msgpack.Decoder(_Shape)


def _check_count(body: bytes) -> None:
    shape = wire.decode_with(_shape_decoder, body)
    count = _length(shape.items)
    if isinstance(shape, _ReadShape):
        _check_queries(count)
    else:
        _check_entries(count)


def _check_entries(count: int) -> None:
    if count > MOST_COMMANDS:
        raise BadRequest(
            f"a request of {count} entries, of {MOST_COMMANDS} at most; send them in several"
        )


def _check_queries(count: int) -> None:
    if count > MOST_COMMANDS:
        raise BadRequest(
            f"a read of {count} queries, of {MOST_COMMANDS} at most; ask in several reads"
        )


def _length(array: msgspec.Raw) -> int:
    """How many items a MessagePack array announces; 0 for one of at most 15, which are never too
    many, and for anything else, which is refused later."""
    view = memoryview(array)
    kind = view[0]
    if kind in (0xDC, 0xDD):
        return int.from_bytes(view[1 : 3 if kind == 0xDC else 5], "big")
    return 0


def _check_submit(request: Submit, max_entry_bytes: int) -> None:
    if not 1 <= len(request.client_id) <= MOST_CLIENT_ID_BYTES:
        raise BadRequest(
            f"the id of a session has 1 to {MOST_CLIENT_ID_BYTES} bytes, "
            f"not {len(request.client_id)}"
        )
    _check_commands(request.commands, max_entry_bytes)
    count = len(request.commands)
    first, lowest = request.first_sequence, request.lowest_unanswered
    if not 1 <= first <= MOST_SEQUENCE - count:
        raise BadRequest(f"sequence numbers begin with 1 and stay below {MOST_SEQUENCE}: {first}")
    if not 1 <= lowest <= first:
        raise BadRequest(
            f"the lowest unanswered number is one from 1 to the request's first, {first}: {lowest}"
        )
    kept = first + count - lowest
    if kept > MOST_UNACKNOWLEDGED:
        raise BadRequest(
            f"{kept} entries of this session would be unacknowledged, of {MOST_UNACKNOWLEDGED} "
            "at most; take the answers that have come before submitting more"
        )


def _check_commands(commands: list[bytes], max_entry_bytes: int) -> None:
    _check_entries(len(commands))
    lengths = list(map(len, commands))
    if not lengths or not min(lengths):
        raise BadRequest("an entry is empty")
    if (largest := max(lengths)) > max_entry_bytes:
        raise BadRequest(
            f"an entry of {largest} bytes is over the limit of {max_entry_bytes} (limits.entry)"
        )


def _check_read(request: Read, max_entry_bytes: int) -> None:
    _check_queries(len(request.queries))
    largest = max(map(len, request.queries), default=0)
    if largest > max_entry_bytes:
        raise BadRequest(
            f"a query of {largest} bytes is over the limit of {max_entry_bytes} (limits.entry)"
        )
