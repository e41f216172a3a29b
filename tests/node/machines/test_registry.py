"""Finding a machine by its name, and saying in one line why there is none."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from node.errors import MachineError
from node.machines import Machine, load, names
from tests.refused import refusal

GOOD = """
from collections.abc import Iterable

class Counter:
    def __init__(self) -> None:
        self.count = 0
    def apply(self, index: int, command: bytes) -> bytes:
        self.count += 1
        return b"%d" % self.count
    def query(self, request: bytes) -> bytes:
        return b"%d" % self.count
    def snapshot(self):
        yield b"%d" % self.count
    def restore(self, chunks):
        self.count = int(b"".join(chunks))
"""

Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes the user's module `machine_of_mine` and gives its name."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(source: str) -> str:
        (tmp_path / "machine_of_mine.py").write_text(source)
        sys.modules.pop("machine_of_mine", None)
        return "machine_of_mine"

    return write


def test_the_shipped_machines() -> None:
    assert names() == ["election", "files", "journal", "kv", "lock", "members", "multicast"]
    for name in names():
        machine = load(name)
        assert isinstance(machine, Machine)
        assert type(machine).__module__ == f"node.machines.{name}"


def test_each_load_is_a_new_machine() -> None:
    load("files").apply(1, b"ADD a")
    assert load("files").query(b"LS") == b""


def test_the_users_own_machine(write: Write) -> None:
    machine = load(write(GOOD) + ":Counter")
    assert machine.apply(1, b"x") == b"1"
    other = load("machine_of_mine:Counter")
    other.restore(machine.snapshot())
    assert other.query(b"") == b"1"


@pytest.mark.parametrize(
    "name", ["file", "", ":", "a.b:", ":Class", "os.path", "FILES", "ma chine", "Counter"]
)
def test_a_name_that_is_none_is_answered_with_those_that_are(name: str) -> None:
    text = refusal(MachineError, load, name)
    assert repr(name) in text
    assert f"{', '.join(names())}, and package.module:Class" in text


@pytest.mark.parametrize("name", ["no_such_module_here:M", "no_such.module_here:M", "os.nothing:M"])
def test_a_module_that_is_not_found_is_named(name: str) -> None:
    text = refusal(MachineError, load, name)
    assert "no module 'no_such" in text or "no module 'os.nothing'" in text
    assert "PYTHONPATH" in text


def test_a_module_that_needs_another_names_the_other(write: Write) -> None:
    text = refusal(MachineError, load, write("import no_such_library") + ":M")
    assert "machine_of_mine needs the module 'no_such_library'" in text


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("def", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise ValueError('two\\nlines')", "ValueError: two lines"),
    ],
)
def test_a_module_that_cannot_be_imported_says_why(write: Write, source: str, says: str) -> None:
    assert says in refusal(MachineError, load, write(source) + ":M")


@pytest.mark.parametrize("name", ["..a:M", ".:M", "a/b:M"])
def test_a_module_name_that_is_none_is_refused(name: str) -> None:
    refusal(MachineError, load, name)


def test_a_class_that_is_not_found_is_answered_with_those_there(write: Write) -> None:
    text = refusal(MachineError, load, write(GOOD) + ":Countre")
    assert "there is no such class; machine_of_mine has Counter" in text
    assert "Iterable" not in text


def test_what_is_no_class_is_refused(write: Write) -> None:
    assert "thing is no class; machine_of_mine has none" in refusal(
        MachineError, load, write("thing = 1") + ":thing"
    )


def test_a_class_that_is_no_machine_is_told_what_it_lacks(write: Write) -> None:
    source = GOOD.replace("def query", "def ask") + "    restore = None\n"
    text = refusal(MachineError, load, write(source) + ":Counter")
    assert "it lacks query, restore; a machine has apply, query, snapshot, restore" in text


def test_a_class_that_needs_arguments_is_refused(write: Write) -> None:
    text = refusal(
        MachineError,
        load,
        write(GOOD.replace("__init__(self)", "__init__(self, size)")) + ":Counter",
    )
    assert "constructed without arguments" in text
    assert "'size'" in text


def test_a_method_with_other_arguments_is_told_now_and_not_at_the_first_entry(write: Write) -> None:
    text = refusal(
        MachineError, load, write(GOOD.replace("index: int, command", "command")) + ":Counter"
    )
    assert "apply must take (index, command)" in text
