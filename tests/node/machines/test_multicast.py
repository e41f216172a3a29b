"""Messages: their numbers, their order, and what is kept of them."""

from __future__ import annotations

import pytest

from node.errors import CommandError
from node.machines import multicast
from node.machines.multicast import Multicast


def test_messages_are_numbered_and_come_in_order() -> None:
    machine = Multicast()
    assert machine.query(b"KEPT") == b"1 0"
    assert machine.query(b"AFTER 0") == b""
    assert [machine.apply(9, b"SEND " + text) for text in (b"a", b" b  c ", b"\xff")] == [
        *(b"1", b"2", b"3"),
    ]
    assert machine.query(b"AFTER 0") == b"1 a\n2  b  c \n3 \xff"
    assert machine.query(b"AFTER 1") == b"2  b  c \n3 \xff"
    assert machine.query(b"AFTER 1 1") == b"2  b  c "
    assert machine.query(b"AFTER 3") == b""
    assert machine.query(b"AFTER 300") == b"", "whoever asks so has asked a node further on"
    assert machine.query(b"KEPT") == b"1 3"


def test_an_answer_is_of_bounded_length() -> None:
    machine = sent(20_000)
    assert len(machine.query(b"AFTER 0").split(b"\n")) == 1000
    assert len(machine.query(b"AFTER 0 99999").split(b"\n")) == 10_000
    assert machine.query(b"AFTER 0 0") == b""


def test_an_answer_holds_a_bounded_number_of_bytes_but_one_message_at_least() -> None:
    machine = Multicast()
    for size in (1_000_000, 40_000, 10_000, 2 << 20):
        machine.apply(1, b"SEND " + b"x" * size)
    assert [len(machine.query(b"AFTER %d" % n)) for n in range(4)] == [
        1_000_002 + 1 + 40_002,
        40_002 + 1 + 10_002,
        10_002,
        (2 << 20) + 2,
    ]


def test_the_oldest_messages_are_dropped_and_who_asks_for_them_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(multicast, "KEPT_MESSAGES", 10)
    machine = sent(25)
    assert machine.query(b"KEPT") == b"16 25"
    assert machine.query(b"AFTER 15 1") == b"16 m16"
    said = "the messages before 16 have been dropped: AFTER 15 has those that are kept"
    for seen in (b"0", b"14"):
        with pytest.raises(CommandError, match=said):
            machine.query(b"AFTER " + seen)


def test_a_bounded_number_of_bytes_is_kept_but_one_message_at_least(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(multicast, "KEPT_BYTES", 100)
    machine = Multicast()
    for size, kept in ((60, b"1 1"), (40, b"1 2"), (1, b"2 3"), (500, b"4 4"), (100, b"5 5")):
        machine.apply(1, b"SEND " + b"x" * size)
        assert machine.query(b"KEPT") == kept


def test_numbers_go_on_after_a_restore(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multicast, "KEPT_MESSAGES", 10)
    machine, restored = sent(25), sent(3)
    restored.restore(machine.snapshot())
    assert restored.apply(1, b"SEND more") == b"26"
    assert restored.query(b"KEPT") == b"17 26"
    assert restored.query(b"AFTER 24") == b"25 m25\n26 more"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (b"SEND", "write SEND text"),
        (b"SEND ", "write SEND text"),
        (b"SEND a\nb", "holds no newline"),
        (b"AFTER", "write AFTER n"),
        (b"AFTER 1 2 3", "write AFTER n"),
        (b"AFTER x", "n is a number, not x"),
        (b"AFTER 1 -1", "a limit is a number, not -1"),
        (b"KEPT 1", "KEPT stands alone"),
        (b"TELL a", "the multicast machine has SEND text, AFTER n"),
    ],
)
def test_what_makes_no_sense_is_answered_with_how_to_write_it(command: bytes, said: str) -> None:
    machine = Multicast()
    with pytest.raises(CommandError) as caught:
        machine.apply(1, command)
    assert said in str(caught.value)
    assert machine.query(b"KEPT") == b"1 0"


def test_a_query_changes_nothing() -> None:
    with pytest.raises(CommandError, match="submit it as an entry"):
        Multicast().query(b"send a")


def sent(count: int) -> Multicast:
    machine = Multicast()
    for number in range(1, count + 1):
        machine.apply(number, b"SEND m%d" % number)
    return machine
