"""Client sessions: each sequence number takes effect once, in order, and is always answered alike.

The property tests hold `Sessions` to a model that is too simple to be wrong: a dictionary from
each client's sequence number to the first answer to it.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node import wire
from node.errors import CommandError, MachineError
from node.machines import Sessions, load, snapshot
from node.machines.failures import FailedOn
from node.machines.sessions import FORGOTTEN, session_id
from node.wire import Answers, OutOfOrder, Submit

Answer: TypeAlias = tuple[int, int, bytes, bool]
"""Index, term, result, and whether it is an error."""


# -- a session's beginning -----------------------------------------------------------------------


def test_new_commands_are_applied_at_their_indexes() -> None:
    """Thesis §6.3; the common case."""
    machine, sessions = Recorder(), Sessions()
    assert sessions.apply(machine, 10, 2, submit(1, 3)) == [
        Answers(1, 10, 2, [b"10:a1", b"11:a2", b"12:a3"], [])
    ]
    assert sessions.apply(machine, 13, 2, submit(4, 1)) == [Answers(4, 13, 2, [b"13:a4"], [])]
    assert machine.applied == [b"a1", b"a2", b"a3", b"a4"]


def test_an_unknown_session_begins_with_one() -> None:
    machine, sessions = Recorder(), Sessions()
    for first in (2, 0, -1, 2**63):
        assert sessions.apply(machine, 1, 1, submit(first, 2)) == OutOfOrder(first, 0)
    assert machine.applied == []
    assert state(sessions) == state(Sessions())


def test_a_gap_is_out_of_order_and_changes_nothing() -> None:
    machine, sessions = Recorder(), Sessions()
    sessions.apply(machine, 1, 1, submit(1, 3))
    before = state(sessions)
    assert sessions.apply(machine, 4, 1, submit(5, 2, lowest=4)) == OutOfOrder(5, 4)
    assert machine.applied == [b"a1", b"a2", b"a3"]
    assert state(sessions) == before


def test_clients_have_sessions_of_their_own() -> None:
    machine, sessions = Recorder(), Sessions()
    sessions.apply(machine, 1, 1, submit(1, 2))
    assert sessions.apply(machine, 3, 1, submit(3, 1, client=b"b")) == OutOfOrder(3, 0)
    assert sessions.apply(machine, 4, 1, submit(1, 1, client=b"b")) == [
        Answers(1, 4, 1, [b"4:b1"], [])
    ]


def test_a_request_without_commands_is_answered_with_nothing() -> None:
    sessions = Sessions()
    sessions.apply(Recorder(), 1, 1, submit(1, 3))
    for first in (1, 3, 4):
        assert sessions.apply(Recorder(), 4, 1, submit(first, 0)) == []


# -- errors --------------------------------------------------------------------------------------


def test_a_refusal_is_an_answer_and_its_position_is_told() -> None:
    sessions = Sessions()
    commands = [b"fine", b"refuse", b"fine", b"refuse"]
    (run,) = applied(sessions, 1, Submit(b"a", 1, 1, commands))
    assert run.results == [b"1:fine", b"no: refuse", b"3:fine", b"no: refuse"]
    assert run.errors == [1, 3]


def test_a_refusal_is_repeated_as_a_refusal() -> None:
    sessions = Sessions()
    commands = [b"fine", b"refuse", b"fine", b"refuse"]
    applied(sessions, 1, Submit(b"a", 1, 1, commands))
    assert applied(sessions, 5, Submit(b"a", 2, 1, commands[1:3])) == [
        Answers(2, 2, 1, [b"no: refuse", b"3:fine"], [0])
    ]


def test_any_other_exception_is_told_with_the_entry_that_it_came_from() -> None:
    """The node stops: the machine is broken."""
    with pytest.raises(FailedOn) as failed:
        Sessions().apply(Recorder(), 7, 1, Submit(b"a", 1, 1, [b"fine", b"explode"]))
    error = failed.value
    assert isinstance(error.__cause__, ZeroDivisionError)
    assert (error.first_index, error.last_index, error.command) == (8, 8, b"explode")


def test_an_answer_that_is_not_bytes_is_told_before_it_reaches_a_client() -> None:
    with pytest.raises(FailedOn) as failed:
        Sessions().apply(Recorder(), 1, 1, Submit(b"a", 1, 1, [b"fine", b"text"]))
    assert str(failed.value.__cause__) == "apply must answer with bytes, and answered with str"


# -- retries -------------------------------------------------------------------------------------


def test_a_retry_is_answered_with_the_first_answer_and_not_applied() -> None:
    """Pitfall 11: a lost reply must not apply a command twice."""
    machine, sessions = Recorder(), Sessions()
    first = sessions.apply(machine, 10, 2, submit(1, 3))
    assert sessions.apply(machine, 50, 7, submit(1, 3)) == first
    assert machine.applied == [b"a1", b"a2", b"a3"]


def test_a_retry_that_mixes_old_and_new_applies_the_new_where_they_stand() -> None:
    machine, sessions = Recorder(), Sessions()
    sessions.apply(machine, 10, 2, submit(1, 3))
    assert sessions.apply(machine, 50, 7, submit(2, 4)) == [
        Answers(2, 11, 2, [b"11:a2", b"12:a3"], []),
        Answers(4, 52, 7, [b"52:a4", b"53:a5"], []),
    ]
    assert machine.applied == [b"a1", b"a2", b"a3", b"a4", b"a5"]


def test_a_retry_may_cut_the_runs_differently() -> None:
    machine, sessions = Recorder(), Sessions()
    for first, count, index in [(1, 2, 10), (3, 3, 20), (6, 1, 30), (7, 2, 40)]:
        sessions.apply(machine, index, index, submit(first, count))
    assert sessions.apply(machine, 90, 9, submit(2, 6)) == [
        Answers(2, 11, 10, [b"11:a2"], []),
        Answers(3, 20, 20, [b"20:a3", b"21:a4", b"22:a5"], []),
        Answers(6, 30, 30, [b"30:a6"], []),
        Answers(7, 40, 40, [b"no: a7"], [0]),
    ]
    assert sessions.apply(machine, 99, 9, submit(4, 1)) == [Answers(4, 21, 20, [b"21:a4"], [])]


# -- forgetting ----------------------------------------------------------------------------------


def test_a_forgotten_answer_is_an_error_and_the_command_is_not_applied() -> None:
    machine, sessions = Recorder(), Sessions()
    sessions.apply(machine, 1, 1, submit(1, 4))
    sessions.apply(machine, 5, 1, submit(5, 1, lowest=4))
    assert sessions.apply(machine, 6, 1, submit(2, 5)) == [
        Answers(2, 0, 0, [FORGOTTEN] * 2, [0, 1]),
        Answers(4, 4, 1, [b"4:a4"], []),
        Answers(5, 5, 1, [b"5:a5"], []),
        Answers(6, 10, 1, [b"10:a6"], []),
    ]
    assert len(machine.applied) == 6


def test_a_late_duplicate_resurrects_nothing() -> None:
    machine, sessions = Recorder(), Sessions()
    sessions.apply(machine, 1, 1, submit(1, 4))
    sessions.apply(machine, 5, 1, submit(5, 1, lowest=5))
    for lowest in (1, 0, -7, 5):
        assert sessions.apply(machine, 6, 1, submit(1, 4, lowest=lowest)) == [
            Answers(1, 0, 0, [FORGOTTEN] * 4, [0, 1, 2, 3])
        ]
    assert len(machine.applied) == 5


def test_a_client_cannot_forget_what_was_not_applied_yet() -> None:
    machine, sessions = Recorder(), Sessions()
    first = sessions.apply(machine, 1, 1, submit(1, 3, lowest=1000))
    assert sessions.apply(machine, 4, 1, submit(1, 3, lowest=1)) == first


def test_a_run_goes_when_its_last_answer_is_acknowledged() -> None:
    sessions = Sessions()
    applied(sessions, 1, Submit(b"a", 1, 1, [b"x" * 5000] * 2))
    applied(sessions, 3, submit(3, 1, lowest=2))
    assert len(state(sessions)) > 5000
    applied(sessions, 4, submit(4, 1, lowest=3))
    assert len(state(sessions)) < 500


def test_what_is_answered_is_forgotten_for_good() -> None:
    """The window, not the history, is what a session costs."""
    machine, sessions = load("journal"), Sessions()
    sizes = []
    for first in range(1, 20_001, 10):
        sessions.apply(machine, first, 1, submit(first, 10, lowest=max(1, first - 20)))
        if first % 2000 == 1 and first > 1:
            sizes.append(len(state(sessions)))
    assert max(sizes) < 500


# -- snapshots -----------------------------------------------------------------------------------


def test_restored_sessions_go_on_as_if_nothing_had_been() -> None:
    machine, sessions = Recorder(), Sessions()
    sessions.apply(machine, 1, 1, submit(1, 5))
    sessions.apply(machine, 6, 2, submit(6, 5, lowest=3))
    sessions.apply(machine, 11, 2, submit(1, 1, client=b"b"))
    restored = Sessions()
    restored.apply(machine, 1, 1, submit(1, 5, client=b"gone"))

    restored.restore(sessions.snapshot())

    assert state(restored) == state(sessions)
    retry = submit(2, 12)
    assert restored.apply(Recorder(), 20, 3, retry) == sessions.apply(Recorder(), 20, 3, retry)
    assert state(restored) == state(sessions)
    assert restored.apply(machine, 99, 3, submit(6, 1, client=b"gone")) == OutOfOrder(6, 0)


def test_many_answers_come_in_chunks_of_a_bounded_size() -> None:
    sessions = Sessions()
    request = Submit(b"a", 1, 1, [b"x" * 1000] * 2000)
    applied(sessions, 1, request)
    chunks = list(sessions.snapshot())
    assert len(chunks) > 5
    assert max(map(len, chunks)) <= snapshot.CHUNK_BYTES
    restored = Sessions()
    restored.restore(chunks)
    assert state(restored) == state(sessions)


@pytest.mark.parametrize("junk", [[], [b"junk"], [b"\x00\x00\x00\x01\xc1"]])
def test_what_is_no_snapshot_of_sessions_is_refused_and_changes_nothing(junk: list[bytes]) -> None:
    sessions = Sessions()
    applied(sessions, 1, submit(1, 3))
    before = state(sessions)
    rules = next(iter(snapshot_items(Sessions())))
    orphan = snapshot.write("sessions", 3, [rules, Answers(1, 1, 1, [b""], [])])
    lawless = snapshot.write("sessions", 1, [Answers(1, 1, 1, [b""], [])])
    for chunks in (junk, orphan, lawless, load("kv").snapshot()):
        with pytest.raises(MachineError):
            sessions.restore(chunks)
    assert state(sessions) == before


# -- ending --------------------------------------------------------------------------------------


def test_a_session_ends_when_it_is_idle_for_longer_than_the_timeout() -> None:
    """Thesis §6.3: by the time that stands in the log."""
    sessions = Sessions(timeout_us=1000)
    sessions.advance(500)
    applied(sessions, 1, submit(1, 1))
    sessions.advance(1500)
    assert len(sessions) == 1, "exactly as long is not longer"
    applied(sessions, 2, submit(2, 1))
    sessions.advance(2500)
    assert len(sessions) == 1, "it was used at 1500"
    sessions.advance(2501)
    assert len(sessions) == 0
    assert sessions.apply(Recorder(), 3, 1, submit(3, 1)) == OutOfOrder(3, 0)


def test_a_retry_keeps_a_session_alive_and_a_gap_does_not() -> None:
    sessions = Sessions(timeout_us=1000)
    applied(sessions, 1, submit(1, 1))
    sessions.advance(900)
    applied(sessions, 2, submit(1, 1))
    sessions.advance(1800)
    assert sessions.apply(Recorder(), 3, 1, submit(3, 1)) == OutOfOrder(3, 2)
    sessions.advance(1901)
    assert len(sessions) == 0


def test_one_too_many_ends_the_one_that_was_idle_longest() -> None:
    sessions = Sessions(most=3)
    a, b, c, d = (session_id(0, name) for name in (b"a", b"b", b"c", b"d"))
    for index, client in enumerate((a, b, c, a, d), 1):
        applied(
            sessions, index, submit(index if client == a and index < 2 else 1, 1, client=client)
        )
    assert len(sessions) == 3
    assert sessions.apply(Recorder(), 9, 1, submit(2, 1, client=b)) == OutOfOrder(2, 0)
    for index, client in enumerate((a, c, d), 10):
        applied(sessions, index, submit(2, 1, client=client))


def test_the_retry_of_a_first_command_is_not_taken_for_a_beginning() -> None:
    """Its answer was lost, its session has ended: whatever it sends, it is not applied again."""
    machine, sessions = Recorder(), Sessions(timeout_us=1000)
    old = session_id(4, b"old")
    sessions.apply(machine, 5, 1, submit(1, 2, client=old))
    sessions.advance(1001)
    for first in (1, 2, 3):
        retry = submit(first, 2, client=old)
        assert sessions.apply(machine, 20, 1, retry) == OutOfOrder(first, 0)
    assert machine.applied == [command_of(old, 1), command_of(old, 2)]


def test_who_begins_after_an_end_is_let_in_and_who_may_have_begun_before_it_is_not() -> None:
    sessions = Sessions(most=1)
    applied(sessions, 7, submit(1, 1, client=session_id(6, b"a")))
    applied(sessions, 8, submit(1, 1, client=session_id(6, b"b")))  # nobody is gone yet
    early, in_time = session_id(6, b"c"), session_id(7, b"d")
    assert sessions.apply(Recorder(), 9, 1, submit(1, 1, client=early)) == OutOfOrder(1, 0)
    applied(sessions, 10, submit(1, 1, client=in_time))


def test_sessions_are_bounded_however_many_clients_come() -> None:
    machine, sessions = load("journal"), Sessions(most=100)
    for index in range(1, 5001):
        client = session_id(index - 1, b"%d" % index)
        assert sessions.apply(machine, index, 1, submit(1, 1, client=client)) != []
    assert len(sessions) == 100
    assert len(state(sessions)) < 10_000


def test_a_snapshot_keeps_who_was_used_when_and_what_the_floor_is() -> None:
    sessions = Sessions(timeout_us=1000, most=2)
    for index, (client, first) in enumerate([(b"z", 1), (b"a", 1), (b"z", 2)], 10):
        sessions.advance(index * 100)
        applied(sessions, index, submit(first, 1, client=session_id(9, client)))
    restored = Sessions(timeout_us=1000, most=2)
    restored.restore(sessions.snapshot())
    assert state(restored) == state(sessions)
    for one in (sessions, restored):
        applied(one, 13, submit(1, 1, client=session_id(12, b"new")))  # "a" goes, not "z"
        gone, kept = session_id(9, b"a"), session_id(9, b"z")
        assert one.apply(Recorder(), 14, 1, submit(1, 1, client=gone)) == OutOfOrder(1, 0)
        applied(one, 15, submit(3, 1, client=kept))
        one.advance(2201)
        assert len(one) == 0
    assert state(restored) == state(sessions)


@pytest.mark.parametrize("other", [Sessions(timeout_us=5), Sessions(most=5)])
def test_sessions_that_end_otherwise_are_refused(other: Sessions) -> None:
    """Two nodes that were told differently must not go on together."""
    sessions = Sessions()
    with pytest.raises(MachineError, match="sessions that end after"):
        sessions.restore(other.snapshot())


# -- properties ----------------------------------------------------------------------------------


@dataclass
class Model:
    """One client's session, as naively as can be."""

    answers: dict[int, Answer] = field(default_factory=dict)
    lowest: int = 1

    @property
    def next(self) -> int:
        return len(self.answers) + 1

    def apply(self, index: int, term: int, request: Submit) -> list[Answer] | OutOfOrder:
        first = request.first_sequence
        if first > self.next or (self.next == 1 and first != 1):
            return OutOfOrder(first, self.next if self.answers else 0)
        self.lowest = max(self.lowest, min(request.lowest_unanswered, self.next))
        told = []
        for position, command in enumerate(request.commands):
            sequence = first + position
            if sequence == self.next:
                result, failed = expected_result(index + position, command)
                self.answers[sequence] = (index + position, term, result, failed)
            told.append(
                (0, 0, FORGOTTEN, True) if sequence < self.lowest else self.answers[sequence]
            )
        return told


requests = st.tuples(
    st.sampled_from([b"a", b"a", b"a", b"b"]),
    st.integers(-8, 2) | st.just(0),  # where it begins, from the session's next
    st.integers(1, 6),
    st.integers(-9, 1),  # the lowest unanswered, from the session's next
    st.booleans(),  # whether the node is restored from a snapshot first
)


@settings(deadline=None, max_examples=300)
@given(st.lists(requests, max_size=40))
def test_sessions_answer_like_the_model(steps: list[tuple[bytes, int, int, int, bool]]) -> None:
    models = {b"a": Model(), b"b": Model()}
    machine, sessions, restarting = Recorder(), Sessions(), Sessions()
    index = 1
    for term, (client, start, count, lowest, restart) in enumerate(steps, 1):
        model = models[client]
        request = submit(model.next + start, count, lowest=model.next + lowest, client=client)
        if restart:
            chunks = list(restarting.snapshot())
            restarting = Sessions()
            restarting.restore(chunks)

        reply = sessions.apply(machine, index, term, request)

        assert flat(reply, request) == model.apply(index, term, request)
        assert restarting.apply(Recorder(), index, term, request) == reply
        assert state(restarting) == state(sessions)
        index += count

    for client, model in models.items():
        of_client = [command for command in machine.applied if command.startswith(client)]
        assert of_client == [command_of(client, n) for n in range(1, model.next)]


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 40), st.randoms(use_true_random=False))
def test_whatever_the_network_does_each_command_takes_effect_once_and_in_order(
    total: int, rng: random.Random
) -> None:
    """Pieces of one long session arrive cut anyhow, again and again, in any order."""
    machine, sessions = Recorder(), Sessions()
    first_answers: dict[int, Answer] = {}
    index, reached = 1, 0
    while reached < total:
        first = rng.randint(1, min(total, reached + 3))
        request = submit(first, rng.randint(1, total - first + 1))
        reply = flat(sessions.apply(machine, index, 1, request), request)
        index += len(request.commands)
        if isinstance(reply, OutOfOrder):
            assert reply.expected == (reached + 1 if reached else 0)
            continue
        for sequence, answer in enumerate(reply, first):
            assert first_answers.setdefault(sequence, answer) == answer
        reached = max(reached, first + len(request.commands) - 1)

    assert machine.applied == [command_of(b"a", n) for n in range(1, total + 1)]


steps_in_time = st.tuples(
    st.integers(0, 5),  # which client
    st.integers(-3, 1),  # where it begins, from what it sent last
    st.integers(1, 3),
    st.sampled_from([0, 0, 1, 40, 101]),  # how much time passes before it
    st.booleans(),  # whether one node is restored from a snapshot first
)


@settings(deadline=None, max_examples=300)
@given(st.lists(steps_in_time, max_size=60), st.integers(1, 5))
def test_nodes_agree_and_nothing_is_applied_twice_whatever_ends(
    steps: list[tuple[int, int, int, int, bool]], most: int
) -> None:
    """Two nodes, one of them restored again and again; clients that begin anew when they must."""
    machine, sessions = Recorder(), Sessions(100, most)
    twin_machine, twin = Recorder(), Sessions(100, most)
    ids = {number: session_id(0, b"%d" % number) for number in range(6)}
    reached = dict.fromkeys(ids, 0)
    retired: list[Submit] = []
    index, time_us = 1, 0
    for number, start, count, passes, restart in steps:
        time_us += passes
        if restart:
            chunks = list(twin.snapshot())
            twin = Sessions(100, most)
            twin.restore(chunks)
        request = submit(max(1, reached[number] + 1 + start), count, client=ids[number])
        late = retired[index % len(retired)] if retired and restart else None
        for one in (request, late) if late else (request,):
            sessions.advance(time_us)
            twin.advance(time_us)
            reply = sessions.apply(machine, index, 1, one)
            assert twin.apply(twin_machine, index, 1, one) == reply
            assert state(twin) == state(sessions)
            index += len(one.commands)
            if one is late:
                assert isinstance(reply, OutOfOrder), "who is gone stays gone"
            elif isinstance(reply, OutOfOrder) and reply.expected == 0:
                if reached[number]:
                    retired.append(submit(1, 2, client=ids[number]))
                ids[number] = session_id(index - 1, b"%d at %d" % (number, index))
                reached[number] = 0
            elif not isinstance(reply, OutOfOrder):
                reached[number] = max(reached[number], one.first_sequence + count - 1)
        assert len(sessions) <= most
    assert len(set(machine.applied)) == len(machine.applied)
    assert twin_machine.applied == machine.applied


# -- vocabulary ----------------------------------------------------------------------------------


class Recorder:
    """A machine that notes what it was told, and answers differently at each index."""

    def __init__(self) -> None:
        self.applied: list[bytes] = []

    def apply(self, index: int, command: bytes) -> bytes:
        if command == b"explode":
            raise ZeroDivisionError
        if command == b"text":
            return cast(bytes, "text")
        self.applied.append(command)
        result, failed = expected_result(index, command)
        if failed:
            raise CommandError(result.decode())
        return result

    def query(self, request: bytes) -> bytes:
        return b""

    def snapshot(self) -> Iterable[bytes]:
        return []

    def restore(self, chunks: Iterable[bytes]) -> None: ...


def expected_result(index: int, command: bytes) -> tuple[bytes, bool]:
    """The answer, and whether it is a refusal: every seventh command is refused."""
    if command == b"refuse" or (command[1:].isdigit() and int(command[1:]) % 7 == 0):
        return b"no: " + command, True
    return b"%d:" % index + command, False


def command_of(client: bytes, sequence: int) -> bytes:
    return client + b"%d" % sequence


def submit(first: int, count: int, *, lowest: int = 1, client: bytes = b"a") -> Submit:
    commands = [command_of(client, first + n) for n in range(count)]
    return Submit(client, first, lowest, commands)


def applied(sessions: Sessions, index: int, request: Submit) -> list[Answers]:
    reply = sessions.apply(Recorder(), index, 1, request)
    assert isinstance(reply, list)
    return reply


def flat(reply: list[Answers] | OutOfOrder, request: Submit) -> list[Answer] | OutOfOrder:
    """One answer for each command; checks that the runs cover the request exactly, in order."""
    if isinstance(reply, OutOfOrder):
        return reply
    told: list[Answer] = []
    for run in reply:
        assert wire.decode_reply(wire.encode_client(run)) == run
        assert run.first_sequence == request.first_sequence + len(told)
        assert run.results
        assert run.errors == sorted(set(run.errors))
        for position, result in enumerate(run.results):
            index = run.first_index + position if run.first_index else 0
            told.append((index, run.term, result, position in run.errors))
    assert len(told) == len(request.commands)
    return told


def snapshot_items(sessions: Sessions) -> Iterable[object]:
    decoder: msgspec.msgpack.Decoder[list[object]] = msgspec.msgpack.Decoder(list[object])
    return snapshot.read("sessions", 3, decoder, sessions.snapshot())


def state(sessions: Sessions) -> bytes:
    return b"".join(sessions.snapshot())
