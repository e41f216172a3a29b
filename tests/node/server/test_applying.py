"""What is committed is applied a stretch at a time, and reads are answered a stretch at a time; in
between heartbeats and other clients get their turn, and nobody sees a state that is half of it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import cast

import pytest

from node import wire
from node.errors import CommandError
from node.machines.sessions import PIECE_COMMANDS
from node.raft.messages import AppendEntries, Batch, BatchKind, Membership, Snapshot
from node.server.answering import MOST_ANSWER_BYTES
from node.server.server import Server
from node.server.settings import MAX_STRETCH_BYTES
from node.server.stretch import Stretch
from node.storage.snapshots import Stands
from node.wire import MOST_COMMANDS, Answers, OutOfOrder, Read, ReadResult, Redirect
from tests.node.server.test_server import Connection, World, submit

TURN = 4096
"""Commands in one turn, by default."""


class Counter:
    """Counts what it applies, answers with as many bytes as it is asked for, and knows how much was
    applied when each query came."""

    def __init__(self) -> None:
        self.applied = 0
        self.asked = 0

    def apply(self, index: int, command: bytes) -> bytes:
        self.applied += 1
        return b"x" * int(command)

    def query(self, request: bytes) -> bytes:
        self.asked += 1
        return b"%d" % self.applied + b"x" * int(request)

    def snapshot(self) -> list[bytes]:
        return [b"%d" % self.applied]

    def restore(self, chunks: Iterable[bytes]) -> None:
        self.applied = int(b"".join(chunks))


class Echo(Counter):
    """Its answer to a command is the command."""

    def apply(self, index: int, command: bytes) -> bytes:
        return command


class Refusing(Counter):
    """It refuses every command, and says so in the command's words."""

    def apply(self, index: int, command: bytes) -> bytes:
        raise CommandError(command.decode())


def counting(folder: Path, size: int = 1, **changes: object) -> tuple[World, Server]:
    roomy: dict[str, object] = {
        "machine": f"{__name__}:Counter",
        "max_uncommitted_bytes": 64 << 20,
        "max_append_bytes": 1 << 20,
        "max_entry_bytes": 1 << 20,
    }
    world = World(folder, size, **{**roomy, **changes})
    return world, world.servers[world.elect()]


def machine_of(server: Server) -> Counter:
    machine = server._applying.machine
    assert isinstance(machine, Counter)
    return machine


def committed(world: World, server: Server) -> None:
    """One turn that commits what was submitted, and the turns of the disk that it takes."""
    server.pump(world.now)
    server.begin_write(world.now)
    world.queues[1].do_one()


# -- applying ------------------------------------------------------------------------------------


def test_a_turn_applies_so_many_commands_and_no_more(tmp_path: Path) -> None:
    world, server = counting(tmp_path)
    client = Connection()
    for first in range(1, 3 * TURN, TURN):
        submit(server, client, first, *[b"0"] * TURN)
    committed(world, server)

    per_turn = []
    more = True
    while more:
        before = machine_of(server).applied
        more = server.pump(world.now)
        per_turn.append(machine_of(server).applied - before)

    assert sum(per_turn) == 3 * TURN
    assert max(per_turn) <= TURN
    answers = [reply for reply in client.replies if isinstance(reply, Answers)]
    assert sum(len(answer.results) for answer in answers) == 3 * TURN
    assert [a.first_sequence for a in answers] == sorted(a.first_sequence for a in answers)


def test_a_turn_gives_so_many_bytes_of_answers_and_no_more(tmp_path: Path) -> None:
    world, server = counting(tmp_path)
    client = Connection()
    for first in range(1, 13):
        submit(server, client, first, b"1000000", lowest=first)
    committed(world, server)

    most = 0
    while server.pump(world.now):
        before = machine_of(server).applied
        server.pump(world.now)
        most = max(most, machine_of(server).applied - before)

    assert machine_of(server).applied == 12
    assert 0 < most <= MAX_STRETCH_BYTES // 1_000_000 + 1


def test_in_the_middle_of_a_batch_nobody_sees_the_state(tmp_path: Path) -> None:
    """Neither a read nor a snapshot nor the applied index: they are of whole batches."""
    world, server = counting(tmp_path, max_apply_commands=PIECE_COMMANDS)
    client, reader = Connection(), Connection()
    before = server.applied
    submit(server, client, 1, *[b"0"] * MOST_COMMANDS)
    committed(world, server)
    assert server.pump(world.now)
    server.request(reader, wire.encode_client(Read(1, [b"0"], stale=True)))
    server.take_snapshot()

    assert server.pump(world.now)
    assert 0 < machine_of(server).applied < MOST_COMMANDS
    assert not reader.replies
    assert server.applied == before
    assert not server._snapshots._taking

    world.settle()
    (reply,) = reader.replies
    assert isinstance(reply, ReadResult)
    assert (reply.index, reply.results) == (1 + MOST_COMMANDS, [b"%d" % MOST_COMMANDS])
    assert server.status().snapshot_index == 1 + MOST_COMMANDS


def test_heartbeats_get_their_turn_while_much_is_applied(tmp_path: Path) -> None:
    world, server = counting(tmp_path, max_apply_commands=1)
    client = Connection()
    for first in range(1, 200):
        submit(server, client, first, b"0")
    committed(world, server)
    started = server.state.round
    while server.pump(world.now):
        world.now += 0.01
    assert server.state.round - started >= 15
    assert len(client.replies) == 199


def test_a_request_out_of_order_is_told_so_once_however_long_it_is(tmp_path: Path) -> None:
    world, server = counting(tmp_path)
    client = Connection()
    submit(server, client, 5000, *[b"0"] * MOST_COMMANDS, lowest=5000)
    world.settle()
    assert client.replies == [OutOfOrder(5000, 0)]
    assert server.status().applied_index == 1 + MOST_COMMANDS


def test_a_leader_s_snapshot_takes_the_place_of_a_batch_that_is_half_applied(
    tmp_path: Path,
) -> None:
    world, server = counting(tmp_path, max_apply_commands=PIECE_COMMANDS)
    submit(server, Connection(), 1, *[b"0"] * MOST_COMMANDS)
    committed(world, server)
    server.pump(world.now)
    applying, old = server._applying, machine_of(server)
    assert not applying.is_at_rest
    applied = old.applied
    snapshot = Snapshot(9000, 3, 7, Membership((1,), (1,)), 0, 0)

    applying.hold(snapshot)
    assert applying.is_at_rest
    assert not applying.has_more
    applying.go_on(Stretch(10_000, 1 << 20))
    assert old.applied == applied, "the old machine is handed nothing more"

    new = Counter()
    stands = Stands("c", 9000, 3, 7, snapshot.membership, b"digest")
    applying.take_over(snapshot, new, applying.sessions, stands)
    applying.take([Batch(9001, 3, BatchKind.NOOP, 1, b"")])
    applying.go_on(Stretch(10_000, 1 << 20))
    assert (applying.index, applying.machine) == (9001, new)


def test_what_a_snapshot_stands_for_is_not_applied_after_it(tmp_path: Path) -> None:
    """It was committed and waited for its turn when the snapshot came."""
    _, server = counting(tmp_path)
    applying = server._applying
    index = applying.index
    snapshot = Snapshot(index + 5, 1, 0, Membership((1,), (1,)), 0, 0)
    stands = Stands("c", index + 5, 1, 0, snapshot.membership, b"digest")

    applying.take([Batch(index + 1, 1, BatchKind.NOOP, 1, b"")])
    applying.hold(snapshot)
    applying.take([Batch(index + 6, 1, BatchKind.NOOP, 1, b"")])
    applying.go_on(Stretch(10_000, 1 << 20))
    assert applying.index == index, "nothing is applied before the state is that of the snapshot"
    assert not applying.has_more
    applying.take_over(snapshot, Counter(), applying.sessions, stands)
    applying.go_on(Stretch(10_000, 1 << 20))

    assert applying.index == index + 6


def test_the_digest_tells_logs_apart_that_differ_in_their_commands_alone(tmp_path: Path) -> None:
    def digest(folder: str, command: bytes) -> tuple[int, bytes]:
        (tmp_path / folder).mkdir()
        world, server = counting(tmp_path / folder)
        submit(server, Connection(), 1, command)
        world.settle()
        return server.applied

    first = digest("first", b"1")
    assert digest("equal", b"1") == first
    other = digest("other", b"2")
    assert other[0] == first[0]
    assert other[1] != first[1]


def test_the_hash_of_the_answers_tells_an_error_from_a_result_of_the_same_bytes(
    tmp_path: Path,
) -> None:
    def answered(folder: str, machine: type[Counter], command: bytes) -> int:
        (tmp_path / folder).mkdir()
        world, server = counting(tmp_path / folder, machine=f"{__name__}:{machine.__name__}")
        client = Connection()
        submit(server, client, 1, command)
        world.settle()
        (reply,) = client.replies
        assert isinstance(reply, Answers)
        assert reply.results == [command]
        return server.applying.answers

    first = answered("first", Echo, b"no")
    assert answered("equal", Echo, b"no") == first
    assert answered("another result", Echo, b"yes") != first
    assert answered("an error", Refusing, b"no") != first


def test_an_answer_that_is_given_again_is_not_hashed_again(tmp_path: Path) -> None:
    """A client that only repeats a request for long answers would keep every node at work."""
    world, server = counting(tmp_path, machine=f"{__name__}:Echo")
    client = Connection()
    submit(server, client, 1, b"long")
    world.settle()
    first = server.applying.answers
    submit(server, client, 1, b"long")
    world.settle()
    assert len(client.replies) == 2
    assert server.applying.answers == first
    submit(server, client, 2, b"long")
    world.settle()
    assert server.applying.answers != first


def test_a_read_is_not_answered_one_entry_before_its_index(tmp_path: Path) -> None:
    """A turn ends between the last two entries that were committed when the read came."""
    world, server = counting(tmp_path, max_apply_bytes=1)
    writer, reader = Connection(), Connection()
    for first in (1, 2):
        submit(server, writer, first, b"0")
        server.pump(world.now)
    server.begin_write(world.now)
    world.queues[1].do_one()
    server.request(reader, wire.encode_client(Read(1, [b"0"])))

    server.pump(world.now)
    assert server.applied[0] == server.state.commit_index - 1
    assert reader.replies == []

    server.pump(world.now)
    (reply,) = reader.replies
    assert isinstance(reply, ReadResult)
    assert reply.results == [b"2"]


def test_entries_that_are_no_requests_are_skipped_by_everybody_alike(tmp_path: Path) -> None:
    """A frame of nonsense that came into the log would else end every node, at every start."""
    world, _ = counting(tmp_path, 3)
    follower = world.servers[3]
    state = follower.state
    for data in (b"nonsense", wire.join_submits([])):
        index = state.log.last_index + 1
        batch = Batch(index, state.current_term, BatchKind.COMMANDS, 2, data)
        leader_id = state.leader_id
        assert leader_id is not None
        frame = wire.encode(
            1,
            AppendEntries(
                state.current_term, leader_id, index - 1, state.log.last_term, (batch,), index + 1
            ),
        )
        follower.receive(leader_id, frame, world.now)
        world.turn(3)
        assert follower.status().applied_index == index + 1
    told = world.events[3].named("entries.skipped")
    assert [one["reason"] for one in told] == [
        "not a message of ours: Expected `array`, got `int`",
        "0 commands, where 2 were announced",
    ]


# -- answering -----------------------------------------------------------------------------------


def test_a_long_read_is_answered_in_turns_and_from_one_state(tmp_path: Path) -> None:
    world, server = counting(tmp_path, max_apply_commands=100)
    client, reader = Connection(), Connection()
    server.request(reader, wire.encode_client(Read(1, [b"0"] * 1000, stale=True)))
    most, turns, first = 0, 0, 1
    more = True
    while more or not reader.replies:
        submit(server, client, first, b"0")
        first += 1
        before = machine_of(server).asked
        more = server.pump(world.now)
        server.begin_write(world.now)
        while world.queues[1].work:
            world.queues[1].do_one()
        most = max(most, machine_of(server).asked - before)
        turns += 1

    (reply,) = reader.replies
    assert isinstance(reply, ReadResult)
    assert set(reply.results) == {b"%d" % (reply.index - 1)}, "all at one point of the log"
    assert most <= 100
    assert turns >= 10
    world.settle()
    assert machine_of(server).applied == first - 1, "what had to wait is applied"


def test_the_answers_to_one_read_come_to_no_more_than_a_bound(tmp_path: Path) -> None:
    world, server = counting(tmp_path)
    reader = Connection()
    size = MOST_ANSWER_BYTES // 4
    server.request(reader, wire.encode_client(Read(1, [b"%d" % size] * 10, stale=True)))
    world.settle()
    (reply,) = reader.replies
    assert isinstance(reply, ReadResult)
    assert sum(map(len, reply.results)) <= MOST_ANSWER_BYTES + 10 * 100
    assert len(reply.results) == 10
    assert reply.errors == [3, 4, 5, 6, 7, 8, 9]
    assert reply.results[9] == (
        b"the answers to this read are over the bound of 33554432 bytes; ask in several"
    )
    assert machine_of(server).asked == 4, "and no more is asked of the machine"


def test_reads_that_wait_for_their_turn_are_counted_and_go_with_their_client(
    tmp_path: Path,
) -> None:
    world, server = counting(tmp_path, max_apply_commands=10)
    client, other = Connection(), Connection()
    read = Read(1, [b"0"] * 1000, stale=True)
    for _ in range(400):
        server.request(client, wire.encode_client(read))
    held = server._clients._held_read_bytes
    assert held >= 400 * 1000 * 30, "a query costs more than its one byte"
    server.request(other, wire.encode_client(Read(2, [b"0"], stale=True)))
    assert any(isinstance(reply, Redirect) for reply in client.replies + other.replies)
    server.pump(world.now)
    assert server._clients.has_half_answered
    server.client_gone(client)
    assert not server._clients.has_half_answered
    assert server._clients._held_read_bytes == 0


def test_a_query_of_a_machine_that_answers_with_text_is_an_error(tmp_path: Path) -> None:
    world, server = counting(tmp_path, machine=f"{__name__}:Texts")
    reader = Connection()
    server.request(reader, wire.encode_client(Read(1, [b"text", b"number"], stale=True)))
    world.settle()
    (reply,) = reader.replies
    assert isinstance(reply, ReadResult)
    assert reply.errors == [0, 1]
    assert b"query must answer with bytes, and answered with str" in reply.results[0]
    assert b"query must answer with bytes, and answered with int" in reply.results[1]


class Texts(Counter):
    def query(self, request: bytes) -> bytes:
        return cast(bytes, "text" if request == b"text" else 1 << 60)


# -- others get their turn -----------------------------------------------------------------------


def test_who_asks_for_little_is_proposed_before_who_asks_for_much(tmp_path: Path) -> None:
    world, server = counting(tmp_path)
    greedy, modest = Connection(), Connection()
    for first in range(1, 5 * MOST_COMMANDS, MOST_COMMANDS):
        submit(server, greedy, first, *[b"0"] * MOST_COMMANDS, session=b"greedy")
    submit(server, modest, 1, b"0", session=b"modest")
    submit(server, modest, 2, b"0", session=b"modest")
    world.settle()
    indexes = [reply.first_index for reply in modest.replies if isinstance(reply, Answers)]
    assert indexes == [2, 3], "its own requests stay in their order"
    answers = [reply for reply in greedy.replies if isinstance(reply, Answers)]
    assert [a.first_sequence for a in answers] == sorted(a.first_sequence for a in answers)


def test_a_client_that_submits_without_end_is_sent_away_and_others_are_let_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.server.clients.MOST_UNAPPLIED", 3 * MOST_COMMANDS)
    world, server = counting(tmp_path, max_apply_commands=1)
    greedy, modest = Connection(), Connection()
    for number in range(10):
        session = b"%d" % number
        submit(server, greedy, 1, *[b"0"] * MOST_COMMANDS, session=session)
        server.pump(world.now)
    assert server.state.log.last_index <= 5 * MOST_COMMANDS
    refused = [reply for reply in greedy.replies if isinstance(reply, Redirect)]
    assert len(refused) >= 5
    assert "entries wait to be applied; try again in a moment" in refused[0].reason

    before = server.state.log.last_index
    submit(server, modest, 1, b"0", session=b"modest")
    submit(server, modest, 2, b"0", session=b"modest")
    server.pump(world.now)
    assert server.state.log.last_index == before + 1, "one request, and then it waits for something"
    world.settle()
    assert [type(reply) for reply in modest.replies] == [Redirect, Answers]


def test_only_what_waits_to_be_applied_counts_against_a_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.server.clients.MOST_UNAPPLIED", 10)
    world, server = counting(tmp_path)
    client = Connection()
    for first in range(1, 31):
        submit(server, client, first, b"0")
        world.settle()
    submit(server, client, 31, b"0")
    submit(server, client, 32, b"0")
    world.settle()
    assert [reply.first_index for reply in client.replies if isinstance(reply, Answers)] == [
        *range(2, 34)
    ]


@pytest.mark.parametrize(("unapplied", "let_in"), [(131_072, 1), (131_073, 0)])
def test_a_client_that_waits_already_is_let_in_up_to_a_bound(
    tmp_path: Path, unapplied: int, let_in: int
) -> None:
    _, server = counting(tmp_path, max_apply_commands=1)
    client = Connection()
    submit(server, client, 1, b"0")
    server.pump(0.0)
    submit(server, client, 2, b"0")
    server._clients._arrange(unapplied)
    assert len(server._clients._submits) == let_in
    assert len(client.replies) == 1 - let_in
