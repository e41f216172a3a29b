"""The registry of files: what each command answers, and that any name is kept byte for byte."""

from __future__ import annotations

import pytest

from node.errors import CommandError
from node.machines.files import Files


def test_a_file_is_added_read_listed_and_deleted() -> None:
    machine = Files()
    assert machine.apply(3, b"ADD /usr/share/a") == b"added"
    assert machine.apply(5, b"READ /usr/share/a") == b"added at index 3"
    assert machine.apply(6, b"LS") == b"/usr/share/a"
    assert machine.apply(7, b"DELETE /usr/share/a") == b"deleted"
    assert machine.apply(8, b"LS") == b""


def test_reading_commands_are_queries_too() -> None:
    machine = files(b"a")
    assert machine.query(b"READ a") == b"added at index 1"
    assert machine.query(b"LS") == b"a"


def test_a_name_is_added_once() -> None:
    """A second ADD that succeeded would hide that a command was applied twice."""
    machine = files(b"a")
    with pytest.raises(CommandError, match=r"^a is there already, added at index 1$"):
        machine.apply(9, b"ADD a")
    assert machine.query(b"READ a") == b"added at index 1"


@pytest.mark.parametrize("verb", [b"READ", b"DELETE"])
def test_what_is_not_there_is_refused_by_name(verb: bytes) -> None:
    machine = files(b"a")
    with pytest.raises(CommandError, match=r"^no file b c$"):
        machine.apply(9, verb + b" b c")
    assert machine.query(b"LS") == b"a"


@pytest.mark.parametrize(
    "name", [b"a b", b" a", b"a ", b"  ", b"\t", b"\r", b"\x00\xff", b"-rf", b":q"]
)
def test_a_name_is_the_rest_of_the_line_byte_for_byte(name: bytes) -> None:
    machine = files(name, b"a")
    assert set(machine.query(b"LS").split(b"\n")) == {name, b"a"}
    assert machine.query(b"READ " + name) == b"added at index 1"
    assert machine.apply(3, b"DELETE " + name) == b"deleted"
    assert machine.query(b"LS") == b"a"


@pytest.mark.parametrize("command", [b"ADD", b"ADD ", b"READ", b"DELETE ", b"add"])
def test_a_missing_name_is_refused(command: bytes) -> None:
    machine = files()
    with pytest.raises(CommandError, match=r"needs the name of a file: write (ADD|READ|DELETE) f"):
        machine.apply(1, command)
    assert machine.query(b"LS") == b""


@pytest.mark.parametrize("name", [b"a\nb", b"a\n", b"\n"])
def test_a_name_with_a_newline_is_refused_because_ls_could_not_show_it(name: bytes) -> None:
    machine = files()
    with pytest.raises(CommandError, match="holds no newline") as caught:
        machine.apply(1, b"ADD " + name)
    assert "\n" not in str(caught.value)
    assert machine.query(b"LS") == b""


def test_ls_is_sorted_by_bytes() -> None:
    assert files(b"b", b"\xc3\xa9", b"B", b"a/b", b"a").query(b"LS") == b"B\na\na/b\nb\n\xc3\xa9"


def test_ls_shows_every_change_since_it_was_last_asked() -> None:
    machine = files(b"b")
    assert machine.query(b"LS") == b"b"
    machine.apply(2, b"ADD a")
    assert machine.query(b"LS") == b"a\nb"
    machine.apply(3, b"DELETE b")
    assert machine.query(b"LS") == b"a"


def test_ls_of_many_names_is_sorted_once() -> None:
    names = [b"/usr/share/doc/%d" % n for n in range(100_000)]
    machine = files(*names)
    listing = machine.query(b"LS")
    assert listing.split(b"\n") == sorted(names)
    assert machine.query(b"LS") is listing


def test_ls_takes_no_argument() -> None:
    assert files(b"a").query(b"LS  ") == b"a"
    with pytest.raises(CommandError, match="LS stands alone; it was followed by a"):
        files(b"a").query(b"LS a")


@pytest.mark.parametrize("command", [b"add a", b"Add a", b"  ADD a"])
def test_verbs_are_case_insensitive_and_may_be_indented(command: bytes) -> None:
    machine = files()
    machine.apply(1, command)
    assert machine.query(b" ls") == b"a"


@pytest.mark.parametrize(
    "command", [b"hello", b"ADDa", b"\xff\x00", b" ", b"ADD\ta", b"x" * 10_000]
)
def test_what_is_not_understood_is_answered_with_what_is(command: bytes) -> None:
    expected = "ADD f, READ f, DELETE f, LS"
    with pytest.raises(CommandError, match=expected) as caught:
        files().apply(1, command)
    assert len(str(caught.value)) < 1000
    with pytest.raises(CommandError, match=expected):
        files().query(command)


@pytest.mark.parametrize("request_", [b"ADD b", b"DELETE a", b"delete a"])
def test_a_query_that_would_change_the_state_is_refused(request_: bytes) -> None:
    machine = files(b"a")
    with pytest.raises(CommandError, match="submit it as an entry"):
        machine.query(request_)
    assert machine.query(b"LS") == b"a"


def files(*names: bytes) -> Files:
    machine = Files()
    for index, name in enumerate(names, 1):
        machine.apply(index, b"ADD " + name)
    return machine
