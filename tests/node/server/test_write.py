"""What is made durable together: in which order, and what of it counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from node.ports import UNARMED
from node.raft.membership import stable
from node.raft.messages import Batch, BatchKind, HardState, Snapshot
from node.raft.ready import Ready
from node.server.write import MOST_MESSAGES, Write
from node.storage.store import Store

SNAPSHOT = Snapshot(9, 2, 0, stable((1, 2)), 100, 1)


def batch(index: int) -> Batch:
    return Batch(index, 1, BatchKind.COMMANDS, 1, b"x")


def ready(
    hard_state: HardState | None = None, *batches: Batch, snapshot: Snapshot | None = None
) -> Ready:
    return Ready(hard_state, list(batches), 0, 0, [], [], [], [], [], snapshot)


class Recorder:
    """A store that only notes what it is told to do."""

    def __init__(self) -> None:
        self.done: list[Any] = []

    def append(self, hard_state: HardState | None, batches: Sequence[Batch]) -> None:
        self.done.append(("append", hard_state, [one.first_index for one in batches]))

    def install(self, snapshot: Snapshot, hard_state: HardState | None) -> None:
        self.done.append(("install", hard_state, snapshot.last_included_index))

    def publish(self, snapshot: Snapshot) -> None:
        self.done.append(("publish", snapshot.last_included_index))


def carried_out(write: Write) -> list[Any]:
    recorder = Recorder()
    write.carry_out(cast(Store, recorder), UNARMED)
    return recorder.done


def test_the_last_term_and_vote_count_and_all_batches() -> None:
    write = Write(
        [ready(HardState(1, 1), batch(1)), ready(HardState(2, None)), ready(None, batch(2))]
    )
    assert carried_out(write) == [("append", HardState(2, None), [1, 2])]


def test_our_own_snapshot_gets_its_name_behind_the_log() -> None:
    write = Write([ready(HardState(2, 1), batch(9))], publish=SNAPSHOT)
    assert carried_out(write) == [("append", HardState(2, 1), [9]), ("publish", 9)]


def test_what_stood_before_a_leader_s_snapshot_is_not_stored() -> None:
    write = Write(
        [ready(HardState(2, 1), batch(3)), ready(snapshot=SNAPSHOT), ready(None, batch(10))]
    )
    assert carried_out(write) == [("install", HardState(2, 1), 9), ("append", None, [10])]


def test_there_may_be_nothing_but_something_to_say() -> None:
    assert Write().is_empty
    assert not Write(messages=[(1, cast(Any, "a message"))]).is_empty
    assert carried_out(Write(messages=[(1, cast(Any, "a message"))])) == [("append", None, [])]


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(Write([ready(HardState(1, 1))]), id="a ready"),
        pytest.param(Write(messages=[(1, cast(Any, "a message"))]), id="a message"),
        pytest.param(Write(publish=SNAPSHOT), id="a snapshot"),
    ],
)
def test_each_thing_alone_is_something_to_do(write: Write) -> None:
    assert not write.is_empty


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_a_later_batch_may_replace_all_that_was_to_be_written(count: int) -> None:
    write = Write([ready(None, batch(n), batch(n + 10)) for n in range(2, count + 1)])
    write.readies.append(ready(None, batch(1)))
    write.keep_bounded()
    assert carried_out(write) == [("append", None, [1])]


def test_what_a_later_batch_replaces_is_not_written() -> None:
    """A disk that hangs through many leaders: each replaces what the one before has sent."""
    write = Write([ready(None, batch(1), batch(2)), ready(None, batch(3)), ready(HardState(2, 1))])
    write.readies.append(ready(None, batch(2)))
    write.keep_bounded()
    assert carried_out(write) == [("append", HardState(2, 1), [1, 2])]


def test_of_too_many_messages_the_oldest_are_lost() -> None:
    write = Write(messages=[(n, cast(Any, "a message")) for n in range(MOST_MESSAGES + 5)])
    write.keep_bounded()
    assert [peer for peer, _ in write.messages[:2]] == [5, 6]
    assert len(write.messages) == MOST_MESSAGES
