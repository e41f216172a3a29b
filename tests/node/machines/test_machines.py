"""What every shipped machine promises: determinism, and a snapshot that is the whole state."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.errors import CommandError, MachineError
from node.machines import Machine, error_answer, load, names
from node.machines.snapshot import CHUNK_BYTES
from node.wire import frame

LISTINGS = {"files": b"LS", "kv": b"KEYS", "journal": b"LS"}

words = st.sampled_from([b"a", b"b", b"c", b"a b", b"\xff", b""])
verbs = st.sampled_from(
    [b"ADD", b"DELETE", b"READ", b"SET", b"CAS", b"DEL", b"GET", b"LS", b"nonsense"]
)
commands = st.builds(b" ".join, st.tuples(verbs, words, words) | st.tuples(verbs, words))


@pytest.mark.parametrize("name", names())
@settings(deadline=None, max_examples=60)
@given(st.lists(commands, max_size=30), st.lists(commands, max_size=5))
def test_a_restored_machine_goes_on_like_the_original(
    name: str, before: list[bytes], after: list[bytes]
) -> None:
    machine, restored = load(name), load(name)
    run(machine, before)
    run(restored, [b"ADD leftover", b"SET leftover x"])

    restored.restore(machine.snapshot())

    assert snapshot(restored) == snapshot(machine)
    assert run(restored, after, 100) == run(machine, after, 100)
    assert restored.query(LISTINGS[name]) == machine.query(LISTINGS[name])
    assert snapshot(restored) == snapshot(machine)


@pytest.mark.parametrize("name", names())
@settings(deadline=None, max_examples=60)
@given(st.lists(commands, max_size=30))
def test_a_refusal_or_a_query_changes_nothing(name: str, all_commands: list[bytes]) -> None:
    machine = load(name)
    for index, command in enumerate(all_commands, 1):
        before = snapshot(machine)
        try:
            machine.apply(index, command)
        except CommandError:
            assert snapshot(machine) == before
        before = snapshot(machine)
        ask(machine, command)
        assert snapshot(machine) == before


@pytest.mark.parametrize("name", names())
def test_a_large_state_comes_in_chunks_of_a_bounded_size(name: str) -> None:
    machine, restored = load(name), load(name)
    run(machine, [b"%s %d" % (verb, n) for n in range(9_000) for verb in (b"ADD", b"SET k a")])
    run(machine, [verb + b" " + b"x" * (3 * CHUNK_BYTES) for verb in (b"ADD", b"SET k")])

    chunks = list(machine.snapshot())

    assert len(chunks) > 3
    assert {len(chunk) for chunk in chunks[:-1]} == {CHUNK_BYTES}
    assert 0 < len(chunks[-1]) <= CHUNK_BYTES
    stream = b"".join(chunks)
    restored.restore(stream[start : start + 1000] for start in range(0, len(stream), 1000))
    assert snapshot(restored) == stream


@pytest.mark.parametrize("name", names())
def test_a_snapshot_is_the_state_when_it_was_asked_for(name: str) -> None:
    machine, restored = load(name), load(name)
    run(machine, [b"ADD a", b"SET a 1"])
    listing = machine.query(LISTINGS[name])
    chunks = machine.snapshot()
    run(machine, [b"ADD b", b"SET b 1"], 3)
    restored.restore(chunks)
    assert restored.query(LISTINGS[name]) == listing


@pytest.mark.parametrize("name", names())
def test_a_snapshot_cut_short_is_refused_and_changes_nothing(name: str) -> None:
    machine = load(name)
    run(machine, [b"ADD a", b"ADD b", b"SET a 1", b"SET b 2"])
    stream = snapshot(machine)
    for end in range(len(stream)):
        refused(name, [stream[:end]])


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("more", [b"\x00", b"\x00\x00\x00\x09abc", b"\x00\x00\x00\x01\x01"])
def test_a_snapshot_with_something_behind_it_is_refused(name: str, more: bytes) -> None:
    refused(name, [*load(name).snapshot(), more])


@pytest.mark.parametrize("name", names())
def test_a_snapshot_of_something_else_is_refused(name: str) -> None:
    for other in names():
        if other != name:
            refused(
                name, load(other).snapshot(), match=f"a snapshot of {other}, where one of {name}"
            )


@pytest.mark.parametrize("name", names())
def test_a_snapshot_of_a_newer_version_is_refused(name: str) -> None:
    header = frame(msgspec.msgpack.encode([name, 2, 0]))
    refused(name, [header], match="in format 2, by a newer leeky-raft")


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize(
    "junk", [b"junk", b"", b"\xff" * 50, b"\x00\x00\x00\x01\xc1", frame(b"\x93")]
)
def test_junk_is_no_snapshot(name: str, junk: bytes) -> None:
    refused(name, [junk])
    header = frame(msgspec.msgpack.encode([name, 1, 1]))
    if junk:
        refused(name, [header, junk])


@pytest.mark.parametrize("name", names())
def test_processes_that_hash_differently_hold_the_same_state(name: str) -> None:
    """Nothing may follow the order of a set, which differs from process to process."""
    program = (
        "import sys; from node.machines import load\n"
        "machine = load(sys.argv[1])\n"
        "for n in range(200):\n"
        "    for verb in (b'ADD', b'SET k%d' % n): \n"
        "        try: machine.apply(n, b'%s f%d' % (verb, n))\n"
        "        except Exception: pass\n"
        "sys.stdout.buffer.write(b''.join(machine.snapshot()))\n"
        "sys.stdout.buffer.write(machine.query(sys.argv[2].encode()))\n"
    )
    outputs = set()
    for seed in "1", "2":
        argv = [sys.executable, "-c", program, name, LISTINGS[name].decode()]
        environment = {
            **os.environ,
            "PYTHONHASHSEED": seed,
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        outputs.add(subprocess.run(argv, env=environment, check=True, capture_output=True).stdout)
    assert len(outputs) == 1
    assert len(outputs.pop()) > 1000


# -- the text of a refusal -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("no file ü", "no file ü".encode()),
        ("a is \udcff\udc80", b"a is \xff\x80"),
        ("odd \ud800", b"odd \\ud800"),
        ("", b""),
    ],
)
def test_any_text_of_a_refusal_can_be_sent(text: str, answer: bytes) -> None:
    assert error_answer(CommandError(text)) == answer


# -- vocabulary ----------------------------------------------------------------------------------


def run(machine: Machine, all_commands: Iterable[bytes], first_index: int = 1) -> list[bytes]:
    """The answers, refusals included."""
    answers = []
    for index, command in enumerate(all_commands, first_index):
        try:
            answers.append(machine.apply(index, command))
        except CommandError as error:
            answers.append(error_answer(error))
    return answers


def ask(machine: Machine, request: bytes) -> bytes:
    try:
        return machine.query(request)
    except CommandError as error:
        return error_answer(error)


def snapshot(machine: Machine) -> bytes:
    return b"".join(machine.snapshot())


def refused(name: str, chunks: Iterable[bytes], match: str = "snapshot of") -> None:
    machine = load(name)
    run(machine, [b"ADD mine", b"SET mine 1"])
    before = snapshot(machine)
    with pytest.raises(MachineError, match=match):
        machine.restore(chunks)
    assert snapshot(machine) == before
