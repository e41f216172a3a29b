"""Frames and messages: what goes in comes out, and what is no message of ours is a WireError."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import Pipe
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node import wire
from node.errors import WireError
from node.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    Batch,
    BatchKind,
    Membership,
    Message,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
)
from node.raft.settings import Limits, Timing

NODE_CONFIG = wire.NodeConfig(
    cluster_id="c1",
    cluster_name="leeky",
    node_id=1,
    life=2,
    voters=[1, 2, 3],
    peers={2: 1, 3: 4},
    data_dir=Path("data/node-1"),
    event_log=Path("logs/node-1.jsonl"),
    socket=Path("node-1.sock"),
    machine="files",
    python_path=[],
    timing=Timing(0.1, 0.5, 1.0, pre_vote=False),
    limits=Limits(1 << 20, inflight_batches=16, inflight_bytes=1 << 22),
    max_entry_bytes=1 << 20,
    segment_bytes=1 << 23,
    log_level="info",
    log_rotate_bytes=1 << 23,
    digest_every=1000,
    faults=[wire.LinkFault(source=1, target=2, loss=0.5)],
)

STATUS = wire.Status(
    request=7,
    role="follower",
    term=3,
    leader=None,
    voter=True,
    membership=Membership((1,), (1,)),
    membership_committed=True,
    first_index=1,
    last_index=9,
    commit_index=8,
    commit_term=1,
    applied_index=8,
    snapshot_index=0,
    digest="00ff",
)

RPCS: list[Message] = [
    RequestVote(3, 1, 10, 2, pre_vote=True),
    RequestVote(3, 1, 10, 2, leadership_transfer=True),
    RequestVoteReply(3, True),
    TimeoutNow(3, 1),
    AppendEntries(3, 1, 10, 2, (), 9, round=5),
    AppendEntries(
        3,
        1,
        0,
        0,
        (Batch(1, 1, BatchKind.NOOP, 1, b""), Batch(2, 3, BatchKind.COMMANDS, 2, b"ab")),
        1,
    ),
    AppendEntriesReply(3, False, 0, 10, hint_index=4, hint_term=2, round=5),
]

TO_NODE: list[wire.ToNode] = [
    wire.SetFaults([wire.LinkFault(source=1, target=2, cut=True), *NODE_CONFIG.faults]),
    wire.NewLink(3, 2),
    wire.GetStatus(7),
    wire.Stop(),
    wire.Stop(hand_over=True),
    wire.TransferLeadership(8, 2),
    wire.TransferLeadership(9),
]

TO_SUPERVISOR: list[wire.ToSupervisor] = [
    STATUS,
    wire.Failed("the disk is full: é", retry=False),
    wire.TransferEnded(8, 2),
    wire.TransferEnded(9, None, "n2 has died"),
]

REQUESTS: list[wire.ClientRequest] = [
    wire.Submit(b"client", 1, 1, [b"ADD a b", b"\x00\xff\n", "SET k ü".encode()]),
    wire.Read(4, [b"LS"], stale=True),
]

REPLIES: list[wire.ClientReply] = [
    wire.Answers(5, 100, 3, [b"added", b"no file f"], [1]),
    wire.OutOfOrder(9, 5),
    wire.ReadResult(4, 100, 3, [b"a\nb"], []),
    wire.Redirect(None, "no leader yet"),
    wire.Redirect(2),
    wire.Refused("an entry of 2 MiB"),
]

CONVERSATIONS: list[tuple[Callable[[bytes], object], list[bytes]]] = [
    (wire.decode_rpc, [wire.encode(1, m) for m in RPCS]),
    (wire.decode_to_node, [wire.encode(1, m) for m in TO_NODE]),
    (wire.decode_to_supervisor, [wire.encode(1, m) for m in TO_SUPERVISOR]),
    (wire.decode_request, [wire.encode_client(m) for m in REQUESTS]),
    (wire.decode_reply, [wire.encode_client(m) for m in REPLIES]),
    (wire.split_submits, [wire.join_submits([wire.encode_client(REQUESTS[0])] * 3)]),
]

DECODERS = [decode for decode, _ in CONVERSATIONS]


# -- messages ------------------------------------------------------------------------------------


@pytest.mark.parametrize("message", RPCS, ids=lambda m: type(m).__name__)
def test_an_rpc_comes_out_as_it_went_in(message: Message) -> None:
    assert wire.decode_rpc(wire.encode(2**62, message)) == (2**62, message)


@pytest.mark.parametrize("message", RPCS, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("t", [0, 127, 128, 1 << 8, 1 << 16, 1 << 32, 1 << 63])
def test_the_tag_of_an_rpc_is_read_without_decoding_it(message: Message, t: int) -> None:
    others = {type(other) for other in RPCS} - {type(message)}
    tag = wire.tag_of(wire.encode(t, message))

    assert tag in wire.tags(type(message))
    assert tag not in wire.tags(*others)


@pytest.mark.parametrize("message", TO_NODE, ids=lambda m: type(m).__name__)
def test_what_the_supervisor_says_comes_out_as_it_went_in(message: wire.ToNode) -> None:
    assert wire.decode_to_node(wire.encode(17, message)) == (17, message)


@pytest.mark.parametrize("message", TO_SUPERVISOR, ids=lambda m: type(m).__name__)
def test_what_a_node_says_comes_out_as_it_went_in(message: wire.ToSupervisor) -> None:
    assert wire.decode_to_supervisor(wire.encode(17, message)) == (17, message)


@pytest.mark.parametrize("message", REQUESTS, ids=lambda m: type(m).__name__)
def test_a_request_comes_out_as_it_went_in(message: wire.ClientRequest) -> None:
    assert wire.decode_request(wire.encode_client(message)) == message


@pytest.mark.parametrize("message", REPLIES, ids=lambda m: type(m).__name__)
def test_a_reply_comes_out_as_it_went_in(message: wire.ClientReply) -> None:
    assert wire.decode_reply(wire.encode_client(message)) == message


submits = st.builds(
    wire.Submit,
    st.binary(max_size=20),
    st.integers(1, 2**63),
    st.integers(0, 2**63),
    st.lists(st.binary(min_size=1, max_size=300), max_size=5),
)


@settings(deadline=None)
@given(st.lists(submits, max_size=8))
def test_submits_are_joined_byte_for_byte(requests: list[wire.Submit]) -> None:
    """What a client sent is what the log holds: nothing is encoded a second time."""
    bodies = [wire.encode_client(request) for request in requests]

    data = wire.join_submits(bodies)

    assert data.endswith(b"".join(bodies))
    assert wire.split_submits(data) == requests


# -- bytes that are no message of ours -----------------------------------------------------------


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(DECODERS), st.binary(max_size=200))
def test_any_bytes_give_a_message_or_a_wire_error(
    decode: Callable[[bytes], object], body: bytes
) -> None:
    only_wire_errors(decode, body)


@pytest.mark.parametrize(
    ("decode", "bodies"), CONVERSATIONS, ids=lambda x: getattr(x, "__name__", "")
)
def test_a_damaged_body_gives_a_message_or_a_wire_error(
    decode: Callable[[bytes], object], bodies: list[bytes]
) -> None:
    for body in bodies:
        for position in range(len(body)):
            for value in (0x00, 0x7F, 0x81, 0x91, 0xC1, 0xD9, 0xDD, 0xDF, 0xFF, body[position] ^ 1):
                only_wire_errors(decode, body[:position] + bytes([value]) + body[position + 1 :])


@pytest.mark.parametrize(
    ("decode", "bodies"), CONVERSATIONS, ids=lambda x: getattr(x, "__name__", "")
)
def test_a_body_cut_short_or_continued_is_a_wire_error(
    decode: Callable[[bytes], object], bodies: list[bytes]
) -> None:
    for body in bodies:
        for end in range(len(body)):
            with pytest.raises(WireError):
                decode(body[:end])
        with pytest.raises(WireError):
            decode(body + b"\x00")


@pytest.mark.parametrize(
    ("decode", "start"),
    [
        (wire.decode_reply, b"\x96\x02\x01\x02\x03\x04"),  # in a field that we do not know
        (wire.decode_to_node, b"\x92\x01\x82\xa1a"),
    ],
)
def test_endless_nesting_is_a_wire_error(decode: Callable[[bytes], object], start: bytes) -> None:
    """A decoder that descends into it runs out of stack, which is not the node's fault."""
    with pytest.raises(WireError):
        decode(start + b"\x91" * 100_000)


def test_a_message_of_another_conversation_is_a_wire_error() -> None:
    with pytest.raises(WireError):
        wire.decode_to_supervisor(wire.encode(1, wire.Stop()))
    with pytest.raises(WireError):
        wire.decode_rpc(wire.encode_client(REQUESTS[0]))


def test_a_wire_error_says_what_was_wrong_on_one_line() -> None:
    with pytest.raises(WireError, match=r"^not a message of ours: .*truncated") as caught:
        wire.decode_rpc(b"")
    assert "\n" not in str(caught.value)


def only_wire_errors(decode: Callable[[bytes], object], body: bytes) -> None:
    """A body that happens to be a message is one; all else must be a WireError."""
    with suppress(WireError):
        decode(body)


# -- frames --------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=12), st.data())
def test_frames_come_whole_and_in_order_however_the_bytes_are_cut(
    bodies: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(map(wire.frame, bodies))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    reader = wire.FrameReader()

    found: list[bytes] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += reader.feed(stream[start:end])
        # All that is complete comes at once: nothing waits for the frame behind it.
        assert found == bodies[: complete_frames(bodies, end)]

    assert found == bodies


def complete_frames(bodies: list[bytes], fed: int) -> int:
    count = 0
    for body in bodies:
        fed -= 4 + len(body)
        if fed < 0:
            break
        count += 1
    return count


def test_frames_come_whole_byte_by_byte() -> None:
    bodies = [b"", b"a", b"b" * 300, b""]
    reader = wire.FrameReader()
    found = [
        body for byte in b"".join(map(wire.frame, bodies)) for body in reader.feed(bytes([byte]))
    ]
    assert found == bodies


def test_a_body_does_not_change_when_more_is_fed() -> None:
    reader = wire.FrameReader()
    (body,) = reader.feed(wire.frame(b"first"))
    reader.feed(wire.frame(b"other"))
    assert type(body) is bytes
    assert body == b"first"


@pytest.mark.parametrize("size", [b"\xff\xff\xff\xff", b"\x80\x00\x00\x00", b"\x00\x00\x00\x0b"])
def test_an_absurd_length_is_a_wire_error_before_its_bytes_arrive(size: bytes) -> None:
    reader = wire.FrameReader(max_bytes=10)
    assert reader.feed(size[:3]) == []
    with pytest.raises(WireError, match="at most 10"):
        reader.feed(size[3:])


def test_the_longest_frame_passes() -> None:
    assert wire.FrameReader(max_bytes=10).feed(wire.frame(b"x" * 10)) == [b"x" * 10]


def test_frames_are_those_of_multiprocessing_connection() -> None:
    ours, theirs = Pipe()
    with ours, theirs:
        theirs.send_bytes(b"a reply")
        assert ours.recv_bytes() == b"a reply"
        theirs.send_bytes(b"a reply")

        assert wire.FrameReader().feed(os.read(ours.fileno(), 100)) == [b"a reply"]
        os.write(ours.fileno(), wire.frame(b"a request"))
        assert theirs.recv_bytes() == b"a request"


@pytest.mark.parametrize("depth", [1, 5, 900, 957, 990])
def test_a_submit_holds_nothing_that_is_not_checked(depth: int) -> None:
    """It goes into the log as it came: what only fails a list deeper would stop every node."""
    body = bytearray(wire.encode_client(wire.Submit(b"id", 1, 1, [b"x"])))
    body[0] += 1  # one more element than there is
    with pytest.raises(WireError):
        wire.decode_request(bytes(body) + b"\x91" * depth + b"\x90")
