"""What a client and a node say to each other: `Submit` and `Read`, and the replies to them.

A client writes no event log, so its frames carry no clock: that lets the leader put a `Submit` into
its log just as it arrived.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import msgspec

from node.raft.messages import NodeId
from node.wire.framing import decode_with

MAX_REQUEST_BYTES = 64 << 20
"""No client's frame is longer: what it asks for travels on, inside a frame between nodes."""

MOST_UNACKNOWLEDGED = 65_536
"""At most this many answers of a session are kept while its client has not acknowledged them."""

MOST_COMMANDS = 4096
"""No request holds more commands, and no read more queries: it bounds what one frame can cost."""


UNIQUE_BYTES = 16
"""How long the random bytes are that make a `SubmitHere` unique."""


# -- requests ------------------------------------------------------------------------------------


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


class SubmitHere(
    msgspec.Struct, frozen=True, array_like=True, tag=3, gc=False, forbid_unknown_fields=True
):
    """Commands for this node and no other, sent once: it appends them if it leads, and says where.

    So an entry can be put at a leader that is cut off. There no session could begin, because the
    question that comes before it (`launcher/client/session.py`) needs a majority. The node makes a
    session for this request alone, out of its own commit index and `unique`. The client must never
    send it again: only a session that asks the leader first may be resumed.

    unique: UNIQUE_BYTES random bytes, unique for all time
    """

    unique: bytes
    commands: list[bytes]


ClientRequest: TypeAlias = Submit | Read | SubmitHere


# -- replies -------------------------------------------------------------------------------------


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


class Appended(msgspec.Struct, frozen=True, array_like=True, tag=7, gc=False):
    """The commands of a `SubmitHere` are in this leader's log, and not committed yet. `Answers`
    follow when they are applied; or a `Redirect`, when this node leads no more.

    first_index: of the first one; the others' follow it
    """

    first_index: int
    term: int


ClientReply: TypeAlias = Answers | OutOfOrder | ReadResult | Redirect | Refused | Ending | Appended


# -- bytes ---------------------------------------------------------------------------------------

_encoder = msgspec.msgpack.Encoder()
_request_decoder: msgspec.msgpack.Decoder[ClientRequest] = msgspec.msgpack.Decoder(ClientRequest)
_reply_decoder: msgspec.msgpack.Decoder[ClientReply] = msgspec.msgpack.Decoder(ClientReply)
_submits_decoder = msgspec.msgpack.Decoder(list[Submit])


def encode_client(message: ClientRequest | ClientReply) -> bytes:
    """The body of a frame between a client and a node."""
    return _encoder.encode(message)


def decode_request(body: bytes) -> ClientRequest:
    """The inverse of `encode_client` for requests. Raises WireError."""
    return decode_with(_request_decoder, body)


def decode_reply(body: bytes) -> ClientReply:
    """The inverse of `encode_client` for replies. Raises WireError."""
    return decode_with(_reply_decoder, body)


def join_submits(bodies: Iterable[bytes]) -> bytes:
    """The bodies of `Submit` frames, unchanged, as the data of one batch."""
    raw = list(map(msgspec.Raw, bodies))
    return _encoder.encode(raw)


def split_submits(data: bytes) -> list[Submit]:
    """The inverse of `join_submits`. Raises WireError."""
    return decode_with(_submits_decoder, data)
