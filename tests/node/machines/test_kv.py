"""The key-value store: what each command answers, and how values are kept."""

from __future__ import annotations

import pytest

from node.errors import CommandError
from node.machines.kv import KeyValue
from node.machines.protocol import error_answer


def test_a_key_is_set_got_and_deleted() -> None:
    machine = KeyValue()
    assert machine.apply(1, b"SET a 1") == b"ok"
    assert machine.apply(2, b"GET a") == b"1"
    assert machine.apply(3, b"SET a 2") == b"ok"
    assert machine.query(b"GET a") == b"2"
    assert machine.apply(4, b"DEL a") == b"ok"
    assert machine.query(b"KEYS") == b""


@pytest.mark.parametrize("value", [b"", b" ", b" x  y ", b"a\nb\n", b"\x00\xff", b"v" * 100_000])
def test_a_value_is_the_rest_of_the_command_byte_for_byte(value: bytes) -> None:
    machine = KeyValue()
    machine.apply(1, b"SET a " + value)
    assert machine.query(b"GET a") == value


def test_cas_swaps_only_what_it_expects() -> None:
    machine = store(a=b"1")
    assert machine.apply(1, b"CAS a 1 two words ") == b"ok"
    assert machine.query(b"GET a") == b"two words "
    with pytest.raises(CommandError, match=r"^CAS failed: a is two words $"):
        machine.apply(2, b"CAS a 1 3")
    assert machine.query(b"GET a") == b"two words "


@pytest.mark.parametrize("value", [b"\xff\x00\xc3\xa9", b"v" * 100_000, b"a\nb"])
def test_a_refused_cas_tells_the_value_to_its_last_byte(value: bytes) -> None:
    with pytest.raises(CommandError) as caught:
        store(a=value).apply(1, b"CAS a 1 2")
    assert error_answer(caught.value) == b"CAS failed: a is " + value


def test_cas_compares_and_sets_empty_values() -> None:
    machine = store(a=b"")
    assert machine.apply(1, b"CAS a  1") == b"ok"
    assert machine.apply(2, b"CAS a 1 ") == b"ok"
    assert machine.query(b"GET a") == b""


@pytest.mark.parametrize("command", [b"GET b", b"DEL b", b"CAS b 1 2"])
def test_a_missing_key_is_refused_by_name(command: bytes) -> None:
    machine = store(a=b"1")
    with pytest.raises(CommandError, match=r"^no key b$"):
        machine.apply(1, command)
    assert machine.query(b"KEYS") == b"a"


def test_keys_are_sorted_by_bytes() -> None:
    assert store(b=b"1", a=b"1", B=b"1").query(b"KEYS") == b"B\na\nb"


@pytest.mark.parametrize(
    ("command", "usage"),
    [
        (b"SET", "SET k v"),
        (b"SET a", "SET k v"),
        (b"SET  a", "SET k v"),
        (b"GET", "GET k"),
        (b"GET a b", "GET k"),
        (b"DEL ", "DEL k"),
        (b"CAS a", "CAS k old new"),
        (b"CAS a 1", "CAS k old new"),
    ],
)
def test_a_malformed_command_is_answered_with_how_to_write_it(command: bytes, usage: str) -> None:
    machine = store(a=b"1")
    with pytest.raises(CommandError, match=f"write {usage}"):
        machine.apply(1, command)
    assert machine.query(b"GET a") == b"1"


@pytest.mark.parametrize("command", [b"SET a\nb c", b"GET a\nb", b"DEL a\n", b"CAS a\nb 1 2"])
def test_a_key_with_a_newline_is_refused_because_keys_could_not_show_it(command: bytes) -> None:
    with pytest.raises(CommandError, match="holds no newline"):
        store(a=b"1").apply(1, command)


@pytest.mark.parametrize("command", [b"set a 1", b" Set a 1"])
def test_verbs_are_case_insensitive_and_may_be_indented(command: bytes) -> None:
    machine = KeyValue()
    machine.apply(1, command)
    assert machine.query(b"get a ") == b"1"


@pytest.mark.parametrize("command", [b"PUT a 1", b"", b"\xff", b"SETa 1"])
def test_what_is_not_understood_is_answered_with_what_is(command: bytes) -> None:
    expected = "SET k v, GET k, CAS k old new, DEL k, KEYS"
    with pytest.raises(CommandError, match=expected):
        KeyValue().apply(1, command)
    with pytest.raises(CommandError, match=expected):
        KeyValue().query(command)


@pytest.mark.parametrize("request_", [b"SET a 2", b"CAS a 1 2", b"del a"])
def test_a_query_that_would_change_the_state_is_refused(request_: bytes) -> None:
    machine = store(a=b"1")
    with pytest.raises(CommandError, match="submit it as an entry"):
        machine.query(request_)
    assert machine.query(b"GET a") == b"1"


def store(**values: bytes) -> KeyValue:
    machine = KeyValue()
    for index, (key, value) in enumerate(values.items(), 1):
        machine.apply(index, b"SET " + key.encode() + b" " + value)
    return machine
