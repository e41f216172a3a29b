"""What messages are called by those who want to lose one."""

from __future__ import annotations

import pytest

from node import wire
from node.raft.messages import (
    AppendEntries,
    Batch,
    BatchKind,
    Message,
    ReadIndex,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
)
from node.wire import MESSAGE_TYPES, types_in

BATCH = Batch(1, 1, BatchKind(0), 1, b"", 0)


@pytest.mark.parametrize(
    ("message", "types"),
    [
        (RequestVote(2, 1, 0, 0), ("RequestVote",)),
        (RequestVote(2, 1, 0, 0, pre_vote=True), ("PreVote",)),
        (RequestVoteReply(2, True), ("RequestVoteReply",)),
        (RequestVoteReply(2, True, pre_vote=True), ("PreVoteReply",)),
        (AppendEntries(1, 1, 0, 0, (), 0), ("heartbeat", "AppendEntries")),
        (AppendEntries(1, 1, 0, 0, (BATCH,), 0), ("AppendEntries", "entries")),
        (TimeoutNow(1, 1), ("TimeoutNow",)),
        (ReadIndex(1, 1), ("ReadIndex",)),
    ],
)
def test_a_message_has_the_names_of_the_paper(message: Message, types: tuple[str, ...]) -> None:
    assert types_in(wire.encode(2**60, message)) == types
    assert set(types) <= set(MESSAGE_TYPES)


def test_each_rpc_has_a_name_that_can_be_dropped() -> None:
    rpcs = {kind.__name__ for kind in Message.__args__}
    assert rpcs <= set(MESSAGE_TYPES)
