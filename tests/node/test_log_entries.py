"""Entries of a log as they are shown: one for each command of a batch, bounded."""

from __future__ import annotations

from node.raft import membership as memberships
from node.raft.messages import COMMANDS, CONFIGURATION, NOOP, TICK, Batch, Membership
from node.wire import LogEntry, Submit, encode_client, entries_of, join_submits
from node.wire.log import MOST_BEGINNING_BYTES, MOST_READ_BYTES

MUCH = 1 << 20


def commands(first: int, *texts: bytes, term: int = 1) -> Batch:
    """A batch of one request for each two commands."""
    pairs = [list(texts[at : at + 2]) for at in range(0, len(texts), 2)]
    data = join_submits(encode_client(Submit(b"s", 1, 1, pair)) for pair in pairs)
    return Batch(first, term, COMMANDS, len(texts), data)


def test_a_batch_of_several_requests_is_one_entry_for_each_command() -> None:
    assert entries_of([commands(5, b"a", b"bb", b"c", term=2)], 1, 10, MUCH) == [
        LogEntry(5, 2, "command", b"a", 1),
        LogEntry(6, 2, "command", b"bb", 2),
        LogEntry(7, 2, "command", b"c", 1),
    ]


def test_other_entries_say_what_they_are_for() -> None:
    joint = Membership((1, 2), (1, 2, 3), (1,))
    batches = [
        Batch(1, 1, NOOP, 1, b""),
        Batch(2, 1, TICK, 1, b""),
        Batch(3, 1, CONFIGURATION, 1, memberships.encode(joint)),
    ]
    noop, tick, configuration = entries_of(batches, 1, 10, MUCH)
    assert (noop.kind, tick.kind) == ("no-op", "tick")
    assert configuration.kind == "configuration"
    assert configuration.text == b"voters n1, n2; and of before n1; learners n3"


def test_a_window_may_begin_and_end_inside_a_batch() -> None:
    batches = [commands(1, b"a", b"b"), commands(3, b"c", b"d", b"e")]
    assert [one.index for one in entries_of(batches, 2, 3, MUCH)] == [2, 3, 4]
    assert [one.index for one in entries_of(batches, 4, 1, MUCH)] == [4]
    assert entries_of(batches, 6, 5, MUCH) == []


def test_a_long_command_is_cut_and_its_size_is_said() -> None:
    (entry,) = entries_of([commands(1, b"x" * 1000)], 1, 10, MUCH)
    assert (entry.text, entry.size) == (b"x" * MOST_BEGINNING_BYTES, 1000)


def test_beyond_the_bound_of_text_entries_come_without_it() -> None:
    batches = [commands(index, b"x" * 10) for index in (1, 2, 3)]
    assert [one.text for one in entries_of(batches, 1, 10, 20)] == [b"x" * 10, b"x" * 10, None]


def test_beyond_the_bound_of_what_is_decoded_entries_come_without_their_text() -> None:
    large = b"x" * (MOST_READ_BYTES // 2 + 1)
    batches = [commands(index, large) for index in (1, 2, 3)]
    assert [one.text is None for one in entries_of(batches, 1, 10, MUCH)] == [False, False, True]


def test_a_batch_of_bytes_that_make_no_sense_is_shown_without_text() -> None:
    batches = [Batch(1, 1, COMMANDS, 2, b"\xc1"), Batch(3, 1, CONFIGURATION, 1, b"\xc1")]
    shown = entries_of(batches, 1, 10, MUCH)
    assert [(one.index, one.text) for one in shown] == [(1, None), (2, None), (3, None)]
