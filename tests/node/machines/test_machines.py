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
from node.machines import Machine, Sessions, error_answer, load, names
from node.machines.journal import Journal
from node.machines.kv import KeyValue
from node.machines.protocol import Batched, Timed, is_batched
from node.machines.sessions import session_id
from node.machines.snapshot import CHUNK_BYTES
from node.wire import FrameReader, Submit, frame

LISTINGS = {
    "election": b"OFFICES",
    "files": b"LS",
    "journal": b"LS",
    "kv": b"KEYS",
    "lock": b"LOCKS",
    "members": b"VIEW",
    "multicast": b"AFTER 0 10000",
}
FILLING = {
    "election": b"CAMPAIGN %s me 1h",
    "files": b"ADD %s",
    "journal": b"%s",
    "kv": b"SET %s 1",
    "lock": b"ACQUIRE %s me 1h",
    "members": b"JOIN %s 1h",
    "multicast": b"SEND %s",
}
"""Each adds something to the state of a machine, for every word another thing."""

Step = tuple[int, bytes]
"""A command, and how many microseconds pass before it."""

words = st.sampled_from([b"a", b"b", b"c", b"a b", b"\xff", b""])
names_of_things = st.sampled_from([b"a", b"b", b"\xff"])
ttls = st.sampled_from([b"10ms", b"25ms", b"1s", b"10", b"1.5s"])
numbers = st.integers(0, 5).map(b"%d".__mod__)


def said(verb: bytes, *rest: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.tuples(st.just(verb), *rest).map(b" ".join)


some_of_any = st.sampled_from(
    [b"ADD", b"DELETE", b"READ", b"SET", b"CAS", b"DEL", b"GET", b"LS", b"nonsense"]
).flatmap(lambda verb: said(verb, words, words) | said(verb, words))
COMMANDS = {
    "lock": said(b"ACQUIRE", names_of_things, names_of_things, ttls)
    | said(b"RENEW", names_of_things, names_of_things, numbers, ttls)
    | said(b"RELEASE", names_of_things, names_of_things, numbers)
    | said(b"HOLDER", names_of_things),
    "election": said(b"CAMPAIGN", names_of_things, names_of_things, ttls)
    | said(b"RENEW", names_of_things, names_of_things, numbers, ttls)
    | said(b"RESIGN", names_of_things, names_of_things)
    | said(b"CANDIDATES", names_of_things),
    "members": said(b"JOIN", names_of_things, ttls, words)
    | said(b"HEARTBEAT", names_of_things)
    | said(b"LEAVE", names_of_things)
    | said(b"HISTORY", numbers),
    "multicast": said(b"SEND", words) | said(b"AFTER", numbers, numbers) | st.just(b"KEPT"),
}


def steps(name: str) -> st.SearchStrategy[list[Step]]:
    waits = st.sampled_from([0, 0, 1, 5_000, 10_000, 40_000])
    return st.lists(st.tuples(waits, COMMANDS.get(name, some_of_any)), max_size=25)


@pytest.mark.parametrize("name", names())
@settings(max_examples=60)
@given(st.data())
def test_a_restored_machine_goes_on_like_the_original(name: str, data: st.DataObject) -> None:
    machine, restored = load(name), load(name)
    before, after = data.draw(steps(name)), data.draw(steps(name))
    now = run_timed(machine, before)[1]
    run(restored, [b"ADD leftover", FILLING[name] % b"leftover"])

    restored.restore(machine.snapshot())

    assert snapshot(restored) == snapshot(machine)
    assert due(restored) == due(machine)
    assert run_timed(restored, after, now) == run_timed(machine, after, now)
    assert restored.query(LISTINGS[name]) == machine.query(LISTINGS[name])
    assert snapshot(restored) == snapshot(machine)


@pytest.mark.parametrize("name", names())
@settings(max_examples=60)
@given(st.data())
def test_a_refusal_or_a_query_changes_nothing(name: str, data: st.DataObject) -> None:
    machine = load(name)
    now = 0
    for index, (wait, command) in enumerate(data.draw(steps(name)), 1):
        now += wait
        if isinstance(machine, Timed):
            machine.advance(now)
        before = snapshot(machine), due(machine)
        try:
            machine.apply(index, command)
        except CommandError:
            assert (snapshot(machine), due(machine)) == before
        before = snapshot(machine), due(machine)
        ask(machine, command)
        assert (snapshot(machine), due(machine)) == before


@pytest.mark.parametrize("name", names())
@settings(max_examples=60)
@given(st.data())
def test_nothing_stays_due_when_its_time_has_come(name: str, data: st.DataObject) -> None:
    """Else the leader would propose one tick after the other for it."""
    machine = load(name)
    now = run_timed(machine, data.draw(steps(name)))[1]
    while isinstance(machine, Timed) and (deadline := machine.deadline_us()) is not None:
        assert deadline > now
        now = deadline
        machine.advance(now)
    if isinstance(machine, Timed):
        assert b" " not in machine.query(LISTINGS[name]), "whatever there was had a lease"


@pytest.mark.parametrize("name", names())
def test_a_large_state_comes_in_chunks_of_a_bounded_size(name: str) -> None:
    machine, restored = load(name), load(name)
    run(machine, [FILLING[name] % (b"%d" % n + b"x" * 200) for n in range(5_000)])
    run(machine, [FILLING[name] % (b"x" * (3 * CHUNK_BYTES))])

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
    run(machine, [FILLING[name] % b"a"])
    listing = machine.query(LISTINGS[name])
    chunks = machine.snapshot()
    run(machine, [FILLING[name] % b"b"], 3)
    assert machine.query(LISTINGS[name]) != listing
    restored.restore(chunks)
    assert restored.query(LISTINGS[name]) == listing


@pytest.mark.parametrize("name", names())
def test_a_snapshot_cut_short_is_refused_and_changes_nothing(name: str) -> None:
    machine = load(name)
    run(machine, [FILLING[name] % b"a", FILLING[name] % b"b"])
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
    header = frame(msgspec.msgpack.encode([name, 1, 1, 2]))
    if junk:
        refused(name, [header, junk])


@pytest.mark.parametrize("name", ["election", "lock", "members", "multicast"])
def test_a_snapshot_that_has_a_head_has_one_and_in_front(name: str) -> None:
    machine = load(name)
    run(machine, [FILLING[name] % b"a"])
    header, head, item = FrameReader().feed(snapshot(machine))
    assert header == msgspec.msgpack.encode([name, 1, 2, 2])
    for items in ([], [item], [item, head], [head, head], [head, item, head]):
        header = msgspec.msgpack.encode([name, 1, len(items), 2])
        refused(name, [frame(body) for body in (header, *items)], match="it needs a head")


@pytest.mark.parametrize("name", names())
def test_processes_that_hash_differently_hold_the_same_state(name: str) -> None:
    """Nothing may follow the order of a set, which differs from process to process."""
    program = (
        "import sys; from node.machines import load\n"
        "machine = load(sys.argv[1])\n"
        "for n in range(200):\n"
        "    machine.apply(n, sys.argv[3].encode() % (b'f%d' % n))\n"
        "sys.stdout.buffer.write(b''.join(machine.snapshot()))\n"
        "sys.stdout.buffer.write(machine.query(sys.argv[2].encode()))\n"
    )
    outputs = set()
    for seed in "1", "2":
        argv = [sys.executable, "-c", program, name]
        argv += [LISTINGS[name].decode(), FILLING[name].decode()]
        environment = {
            **os.environ,
            "PYTHONHASHSEED": seed,
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        outputs.add(subprocess.run(argv, env=environment, check=True, capture_output=True).stdout)
    assert len(outputs) == 1
    assert len(outputs.pop()) > 1000


# -- many at once --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in names() if isinstance(load(name), Batched)])
@given(st.lists(st.lists(some_of_any, min_size=1), max_size=6))
def test_many_at_once_are_as_one_by_one(name: str, batches: list[list[bytes]]) -> None:
    together, one_by_one = load(name), load(name)
    assert isinstance(together, Batched)
    index = 3
    for batch in batches:
        answers, refusals = together.apply_many(index, list(batch))
        assert answers == run(one_by_one, batch, index)
        assert refusals == sorted(set(refusals))
        index += len(batch) + 1
    assert snapshot(together) == snapshot(one_by_one)


class OfMany(Journal):
    """One that changes what it inherits."""

    def apply(self, index: int, command: bytes) -> bytes:
        return super().apply(index, command.upper())


def test_who_changes_apply_is_not_passed_by() -> None:
    assert is_batched(Journal)
    assert not is_batched(OfMany)
    assert not is_batched(KeyValue)
    machine, sessions = OfMany(), Sessions()
    sessions.apply(machine, 1, 1, Submit(session_id(0, b"s"), 1, 1, [b"a", b"b"]))
    assert machine.query(b"LS") == b"A\nB"


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


def run_timed(machine: Machine, all_steps: Iterable[Step], now: int = 0) -> tuple[list[bytes], int]:
    """The answers, and the time at which the last was given."""
    answers = []
    for wait, command in all_steps:
        now += wait
        if isinstance(machine, Timed):
            machine.advance(now)
        answers += run(machine, [command], 100)
    return answers, now


def due(machine: Machine) -> int | None:
    return machine.deadline_us() if isinstance(machine, Timed) else None


def ask(machine: Machine, request: bytes) -> bytes:
    try:
        return machine.query(request)
    except CommandError as error:
        return error_answer(error)


def snapshot(machine: Machine) -> bytes:
    return b"".join(machine.snapshot())


def refused(name: str, chunks: Iterable[bytes], match: str = "snapshot of") -> None:
    machine = load(name)
    run(machine, [FILLING[name] % b"mine"])
    before = snapshot(machine)
    with pytest.raises(MachineError, match=match):
        machine.restore(chunks)
    assert snapshot(machine) == before
