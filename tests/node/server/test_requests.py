"""Every field of every frame that a client can send: what is legal passes, all else is refused.

The door is `node/server/requests.py`. What is legal is written down once more here, in other words.
"""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node import wire
from node.errors import WireError
from node.server import requests
from node.server.requests import MOST_CLIENT_ID_BYTES, MOST_SEQUENCE, BadRequest
from node.wire import MOST_COMMANDS, MOST_UNACKNOWLEDGED, Answers, Read, Refused, Submit
from tests.node.server.test_server import Connection, World
from tests.refused import refusal

LIMIT = 100
"""`limits.entry` in these tests."""


def decoded(request: wire.ClientRequest) -> wire.ClientRequest:
    return requests.decode(wire.encode_client(request), LIMIT)


# -- submit --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_",
    [
        Submit(b"s", 1, 1, [b"x"]),
        Submit(b"s" * MOST_CLIENT_ID_BYTES, 7, 7, [b"x" * LIMIT]),
        Submit(b"s", 1, 1, [b"x"] * MOST_COMMANDS),
        Submit(b"s", MOST_UNACKNOWLEDGED, 1, [b"x"]),
        Submit(b"s", MOST_SEQUENCE - 2, MOST_SEQUENCE - 2, [b"x", b"y"]),
    ],
)
def test_what_is_legal_to_the_last_passes(request_: Submit) -> None:
    assert decoded(request_) == request_


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (Submit(b"", 1, 1, [b"x"]), "the id of a session has 1 to 64 bytes, not 0"),
        (Submit(b"s" * 65, 1, 1, [b"x"]), "the id of a session has 1 to 64 bytes, not 65"),
        (Submit(b"s", 0, 1, [b"x"]), "sequence numbers begin with 1"),
        (Submit(b"s", -5, -7, [b"x"]), "sequence numbers begin with 1"),
        (Submit(b"s", MOST_SEQUENCE, 1, [b"x"]), "stay below 4611686018427387904: 46116860184273"),
        (Submit(b"s", 2**64 - 1, 1, [b"x"]), "stay below"),
        (Submit(b"s", 5, 6, [b"x"]), "one from 1 to the request's first, 5: 6"),
        (Submit(b"s", 5, 0, [b"x"]), "one from 1 to the request's first, 5: 0"),
        (Submit(b"s", 5, -(2**63), [b"x"]), "one from 1 to the request's first, 5"),
        (Submit(b"s", 1, 1, []), "an entry is empty"),
        (Submit(b"s", 1, 1, [b"x", b""]), "an entry is empty"),
        (Submit(b"s", 1, 1, [b"x" * (LIMIT + 1)]), "an entry of 101 bytes is over the limit"),
        (Submit(b"s", 1, 1, [b"x"] * (MOST_COMMANDS + 1)), "a request of 4097 entries, of 4096"),
        (Submit(b"s", MOST_UNACKNOWLEDGED + 1, 1, [b"x"]), "65537 entries of this session would"),
    ],
)
def test_a_submit_with_a_field_that_is_not_legal_is_refused(request_: Submit, reason: str) -> None:
    assert reason in refusal(BadRequest, decoded, request_)


numbers = st.integers(-(2**63), 2**64 - 1) | st.integers(-3, 10) | st.just(MOST_SEQUENCE)
submits = st.builds(
    Submit,
    st.binary(max_size=MOST_CLIENT_ID_BYTES + 2),
    numbers,
    numbers,
    st.lists(st.binary(max_size=4) | st.binary(min_size=LIMIT, max_size=LIMIT + 1), max_size=4),
)


@given(submits)
def test_a_submit_passes_exactly_if_all_its_fields_are_legal(request_: Submit) -> None:
    first, count = request_.first_sequence, len(request_.commands)
    legal = (
        0 < len(request_.client_id) <= MOST_CLIENT_ID_BYTES
        and count > 0
        and all(0 < len(command) <= LIMIT for command in request_.commands)
        and 0 < request_.lowest_unanswered <= first <= MOST_SEQUENCE - count
        and first + count - request_.lowest_unanswered <= MOST_UNACKNOWLEDGED
    )
    if legal:
        assert decoded(request_) == request_
    else:
        assert len(refusal(BadRequest, decoded, request_)) < 300


# -- read ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("read_id", [-(2**63), -1, 0, 2**64 - 1])
def test_any_number_names_a_read(read_id: int) -> None:
    for queries in ([], [b""], [b"x" * LIMIT] * 2):
        read = Read(read_id, queries, stale=True, follower=True)
        assert decoded(read) == read


def test_a_read_of_too_many_queries_or_of_too_long_ones_is_refused() -> None:
    assert decoded(Read(1, [b""] * MOST_COMMANDS))
    assert refusal(BadRequest, decoded, Read(1, [b""] * (MOST_COMMANDS + 1))) == (
        "a read of 4097 queries, of 4096 at most; ask in several reads"
    )
    assert "a query of 101 bytes is over the limit of 100" in refusal(
        BadRequest, decoded, Read(1, [b"x" * 101])
    )


# -- what a frame costs before it is refused -----------------------------------------------------


@pytest.mark.parametrize("tag", [1, 2])
def test_commands_without_number_are_refused_before_they_are_objects(tag: int) -> None:
    """Four million of them in 8 MB: a list of them alone would take 32 MB."""
    count = 4_000_000
    fields = [1, b"s", 1, 4_000_001] if tag == 1 else [2, 1]
    head = bytes([0x95 if tag == 1 else 0x93]) + b"".join(map(msgspec.msgpack.encode, fields))
    body = head + b"\xdd" + count.to_bytes(4, "big") + b"\xc4\x00" * count
    tracemalloc.start()
    try:
        with pytest.raises(BadRequest, match="4000000"):
            requests.decode(body, LIMIT)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < len(body) + (1 << 20), "no more than one copy of the frame"


@pytest.mark.parametrize(
    "items",
    [b"\xc0", b"\xd9\x01x", b"\xdc\x20", b"\x91" * 5000 + b"\x90", b"\xdd\xff\xff\xff\xff"],
)
def test_a_long_frame_whose_commands_are_no_list_is_a_wire_error(items: bytes) -> None:
    body = b"\x95\x01\xc4\x01s\x01\x01" + items + b"\x00" * (3 * MOST_COMMANDS)
    with pytest.raises(WireError):
        requests.decode(body, LIMIT)


# -- at a server ---------------------------------------------------------------------------------


def test_a_client_cannot_acknowledge_what_it_only_sends_now(tmp_path: Path) -> None:
    """With that, a request of any length went past the bound on unacknowledged answers."""
    world = World(tmp_path)
    server = world.servers[world.elect()]
    client, honest = Connection(), Connection()
    last_index = server.status().last_index

    hostile = Submit(b"s", 1, 65_537, [b"x"] * MOST_COMMANDS)
    server.request(client, wire.encode_client(hostile))
    world.settle()

    (reply,) = client.replies
    assert isinstance(reply, Refused)
    assert "one from 1 to the request's first, 1: 65537" in reply.reason
    assert server.status().last_index == last_index
    server.request(honest, wire.encode_client(Submit(b"t", 1, 1, [b"x"])))
    world.settle()
    assert isinstance(honest.replies[0], Answers)


def test_nonsense_without_end_does_not_fill_the_event_log(tmp_path: Path) -> None:
    world = World(tmp_path)
    leader = world.elect()
    server, client = world.servers[leader], Connection()

    for _ in range(1000):
        server.request(client, wire.encode_client(Submit(b"s", 0, 0, [b"x"])))
        server.request(client, b"nonsense")
        server.pump(world.now)

    assert len(client.replies) == 2000
    assert len(world.events[leader].named("client.refused")) == 1
    world.run(2.0)
    told = world.events[leader].named("client.refused")
    assert sum(int(str(one["count"])) for one in told) == 2000
