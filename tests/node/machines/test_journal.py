"""The journal: any bytes are an entry, and all of them can be asked for."""

from __future__ import annotations

import pytest

from node.errors import CommandError
from node.machines.journal import Journal


def test_an_entry_is_answered_with_its_position_not_its_index() -> None:
    machine = Journal()
    assert [machine.apply(index, b"x") for index in (2, 3, 9)] == [b"1", b"2", b"3"]


@pytest.mark.parametrize("entry", [b"COUNT", b"LS", b"\x00\xff", b"a\nb", b" ", b"GET 1"])
def test_any_bytes_are_an_entry(entry: bytes) -> None:
    machine = journal(b"first", entry)
    assert machine.query(b"GET 2") == entry
    assert machine.query(b"COUNT") == b"2"


def test_the_last_entries_and_all_entries() -> None:
    machine = journal(b"a", b"b", b"c")
    assert machine.query(b"TAIL 2") == b"b\nc"
    assert machine.query(b"TAIL 0") == b""
    assert machine.query(b"TAIL 99") == b"a\nb\nc"
    assert machine.query(b"LS") == b"a\nb\nc"


def test_verbs_are_case_insensitive_and_may_be_indented() -> None:
    assert journal(b"a").query(b" tail 1") == b"a"


def test_an_empty_journal() -> None:
    machine = journal()
    assert machine.query(b"COUNT") == b"0"
    assert machine.query(b"LS") == b""
    assert machine.query(b"TAIL 3") == b""


@pytest.mark.parametrize("position", [b"0", b"4", b"999999999999999999"])
def test_a_position_that_is_not_there_is_refused(position: bytes) -> None:
    with pytest.raises(CommandError, match=rf"no entry {int(position)}: the journal holds 3"):
        journal(b"a", b"b", b"c").query(b"GET " + position)


@pytest.mark.parametrize("number", [b"", b"-1", b"+1", b"1.5", b"one", b"1 2", b"1_0", b"9" * 5000])
@pytest.mark.parametrize("verb", [b"GET", b"TAIL"])
def test_what_is_no_number_is_refused(verb: bytes, number: bytes) -> None:
    with pytest.raises(CommandError, match=f"write {verb.decode()} n, where n is a number"):
        journal(b"a").query(verb + b" " + number)


@pytest.mark.parametrize("request_", [b"hello", b"", b"ADD a", b"\xff"])
def test_a_query_that_is_not_understood_is_answered_with_what_is(request_: bytes) -> None:
    with pytest.raises(CommandError, match="COUNT, GET n, TAIL n, LS; anything else is an entry"):
        journal(b"a").query(request_)


def journal(*entries: bytes) -> Journal:
    machine = Journal()
    for index, entry in enumerate(entries, 1):
        machine.apply(index, entry)
    return machine
