"""What a node tells of its machine: where it failed and on what, and that it was slow; and that a
snapshot which cannot be restored is found when it is taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

import pytest

from node.errors import MachineError
from node.machines.failures import MOST_TRACEBACK_CHARACTERS
from node.wire import MOST_COMMANDS, Answers, Read, ReadResult, encode_client
from tests.node.server.test_server import Connection, World, submit


class Clumsy:
    """Fails as it is told to."""

    def __init__(self) -> None:
        self.count = 0

    def apply(self, index: int, command: bytes) -> bytes:
        if command == b"exit":
            raise SystemExit("bye")
        if command == b"interrupt":
            raise KeyboardInterrupt
        if command == b"lines":
            raise ValueError("one\ntwo\x1b[31m")
        if command == b"long":
            raise ValueError("x" * 100_000)
        if command.startswith(b"wait"):
            CLOCK.now += float(command[4:])
        self.count += 1
        return b"%d" % self.count

    def query(self, request: bytes) -> bytes:
        if request == b"exit":
            raise SystemExit(3)
        if request.startswith(b"wait"):
            CLOCK.now += float(request[4:])
        return b"%d" % self.count

    def snapshot(self) -> Iterable[bytes]:
        return [b"%d" % self.count]

    def restore(self, chunks: Iterable[bytes]) -> None:
        self.count = int(b"".join(chunks))


class Unrestorable(Clumsy):
    def restore(self, chunks: Iterable[bytes]) -> None:
        raise KeyError("count")


class Restless(Clumsy):
    """Its snapshots of one state are never the same bytes."""

    def snapshot(self) -> Iterable[bytes]:
        CLOCK.now += 1
        return [b"%d" % self.count, b" " * int(CLOCK.now)]


class Textual(Clumsy):
    def snapshot(self) -> Iterator[bytes]:
        yield from cast(list[bytes], ["text"])


class Late(Clumsy):
    def advance(self, time_us: int) -> None:
        raise SystemExit(1)

    def deadline_us(self) -> None:
        return None


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


CLOCK = Clock()


def world_of(folder: Path, kind: type[Clumsy], **changes: object) -> World:
    world = World(folder, 1, machine=f"{__name__}:{kind.__name__}", **changes)
    world.servers[1]._watch.stopwatch = CLOCK
    world.elect()
    return world


def failing(world: World, *commands: bytes) -> dict[str, object]:
    """The event that tells of the failure."""
    submit(world.servers[1], Connection(), 1, *commands)
    with pytest.raises(MachineError):
        world.settle()
    (told,) = world.events[1].named("machine.failed")
    return told


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (b"exit", "Clumsy ended itself on entry 3 (SystemExit: bye ("),
        (b"interrupt", "Clumsy ended itself on entry 3 (KeyboardInterrupt ("),
        (b"lines", r"Clumsy failed on entry 3 (ValueError: one two\x1b[31m ("),
    ],
)
def test_a_failure_is_told_with_its_place_its_command_and_its_traceback(
    tmp_path: Path, command: bytes, said: str
) -> None:
    told = failing(world_of(tmp_path, Clumsy), b"fine", command)

    assert said in str(told["reason"])
    assert str(told["reason"]).isprintable()
    assert (told["first_index"], told["last_index"]) == (3, 3)
    assert told["command"] == command.decode()
    assert str(told["where"]).startswith("tests/node/server/test_machine_watch.py:")
    assert "in apply\n" in str(told["traceback"])


def test_what_is_told_of_a_failure_is_bounded(tmp_path: Path) -> None:
    told = failing(world_of(tmp_path, Clumsy), b"long")

    assert len(str(told["reason"])) < 1000
    assert len(str(told["traceback"])) <= MOST_TRACEBACK_CHARACTERS + 3


def test_a_machine_that_fails_when_it_is_told_the_time_is_named(tmp_path: Path) -> None:
    world = World(tmp_path, 1, machine=f"{__name__}:Late")
    with pytest.raises(MachineError, match="ended itself when it was told the time of entry 1"):
        world.elect()


def asked(world: World, *queries: bytes) -> ReadResult:
    client = Connection()
    world.servers[1].request(client, encode_client(Read(1, list(queries), stale=True)))
    world.settle()
    (reply,) = client.replies
    assert isinstance(reply, ReadResult)
    return reply


def test_a_query_that_exits_ends_nothing_and_is_told_of(tmp_path: Path) -> None:
    world = world_of(tmp_path, Clumsy)

    reply = asked(world, b"exit", b"fine")

    assert reply.errors == [0]
    assert (
        b"the machine failed: SystemExit: 3 (tests/node/server/test_machine_watch.py:"
        in reply.results[0]
    )
    assert reply.results[1] == b"0"
    world.run(1.0)
    (told,) = world.events[1].named("query.failed")
    assert "in query\n" in str(told["traceback"])


def test_a_slow_entry_and_a_slow_query_are_warnings_once_a_second(tmp_path: Path) -> None:
    world = world_of(tmp_path, Clumsy, slow_s=0.1)
    for number in range(1, 6):
        submit(world.servers[1], Connection(), number, b"wait0.3")
        world.settle()
    asked(world, b"wait0.05")
    asked(world, b"wait0.7")
    world.run(2.0)

    told = world.events[1].named("machine.slow")
    assert told[0]["reason"] == "applying entry 2 took 0.300 s: wait0.3"
    assert len(told) == 2
    assert told[-1]["reason"] == "a query took 0.700 s: wait0.7"
    assert sum(int(str(one["count"])) for one in told) == 6
    status = world.servers[1].status()
    assert status.slowest_apply_s == pytest.approx(0.3)
    assert status.slowest_query_s == pytest.approx(0.7)


def test_every_slow_query_is_counted_and_the_slowest_is_remembered(tmp_path: Path) -> None:
    """Slow begins at `log.slow`, to the last."""
    world = world_of(tmp_path, Clumsy, slow_s=0.5)
    for query in (b"wait2", b"wait0.5", b"wait0.499", b"wait2", b"wait1"):
        asked(world, query)
    world.run(2.0)

    told = world.events[1].named("machine.slow")
    assert sum(int(str(one["count"])) for one in told) == 4
    assert world.servers[1].status().slowest_query_s == pytest.approx(2.0)


def test_every_slow_entry_is_counted_and_the_slowest_is_remembered(tmp_path: Path) -> None:
    world = world_of(tmp_path, Clumsy, slow_s=0.5)
    for number, command in enumerate((b"wait2", b"wait0.5", b"wait0.499", b"wait2", b"wait1"), 1):
        submit(world.servers[1], Connection(), number, command)
        world.settle()
    world.run(2.0)

    told = world.events[1].named("machine.slow")
    assert sum(int(str(one["count"])) for one in told) == 4
    assert world.servers[1].status().slowest_apply_s == pytest.approx(2.0)


def test_the_slow_one_of_many_that_come_together_is_found(tmp_path: Path) -> None:
    world = world_of(tmp_path, Clumsy, slow_s=0.1)
    submit(world.servers[1], Connection(), 1, b"fine", b"wait0.3", b"fine")
    world.run(2.0)
    submit(world.servers[1], Connection(), 4, b"fine", b"wait0.4", b"fine")
    world.run(2.0)

    said = [told["reason"] for told in world.events[1].named("machine.slow")]
    assert said == [
        "applying the entries 2 to 4 took 0.300 s",
        "applying entry 6 took 0.400 s: wait0.4",
    ]


def test_a_machine_whose_entries_are_timed_is_otherwise_the_same(tmp_path: Path) -> None:
    world = world_of(tmp_path, Clumsy, slow_s=0.1)
    submit(world.servers[1], Connection(), 1, b"wait0.3")
    world.settle()
    server = world.servers[1]
    machine = server._applying.machine
    timed = server._watch.timing(machine)
    assert timed is not machine
    assert timed.query == machine.query
    assert timed.snapshot == machine.snapshot
    assert timed.restore == machine.restore


def test_nobody_is_warned_of_a_machine_that_is_fast_enough(tmp_path: Path) -> None:
    world = world_of(tmp_path, Clumsy, slow_s=0.1)
    submit(world.servers[1], Connection(), 1, b"wait0.05")
    world.run(2.0)

    assert world.events[1].named("machine.slow") == []
    assert world.servers[1].status().slowest_apply_s == pytest.approx(0.05)


# -- snapshots -----------------------------------------------------------------------------------


def snapshot_of(folder: Path, kind: type[Clumsy]) -> World:
    world = world_of(folder, kind)
    submit(world.servers[1], Connection(), 1, b"fine", b"fine")
    world.settle()
    world.servers[1].take_snapshot()
    world.settle()
    return world


def test_a_snapshot_that_cannot_be_restored_is_found_when_it_is_taken(tmp_path: Path) -> None:
    world = snapshot_of(tmp_path, Unrestorable)

    status = world.servers[1].status()
    assert status.snapshot_index == 0, "the log stays"
    assert "failed to restore the snapshot at 3 (KeyError: 'count' (tests/" in (
        status.snapshot_problem
    )
    assert world.events[1].named("snapshot.failed")
    assert not list((tmp_path / "node-1").glob("*.tmp"))


def test_a_piece_of_a_snapshot_that_is_no_bytes_is_told_clearly(tmp_path: Path) -> None:
    problem = snapshot_of(tmp_path, Textual).servers[1].status().snapshot_problem

    assert "snapshot must give pieces of bytes, and gave str" in problem


def test_a_snapshot_that_gives_other_bytes_again_is_taken_and_its_state_not_compared(
    tmp_path: Path,
) -> None:
    world = snapshot_of(tmp_path, Restless)

    status = world.servers[1].status()
    assert status.snapshot_index == 3
    assert status.state is None
    assert len(world.events[1].named("snapshot.not_canonical")) == 1


def test_equal_states_have_equal_checksums(tmp_path: Path) -> None:
    one = snapshot_of(tmp_path / "one", Clumsy).servers[1].status()
    other = snapshot_of(tmp_path / "other", Clumsy).servers[1].status()

    assert one.state == other.state
    assert one.state is not None


# -- what is compared ----------------------------------------------------------------------------


def test_nodes_that_answer_otherwise_have_other_hashes_and_the_same_log(tmp_path: Path) -> None:
    world = World(tmp_path, machine=f"{__name__}:Clumsy")
    leader = world.elect()
    odd = next(node for node in world.servers if node != leader)
    machine = world.servers[odd]._applying.machine
    assert isinstance(machine, Clumsy)
    before = {node: server.applying.answers for node, server in world.servers.items()}
    machine.count = 40
    client = Connection()
    submit(world.servers[leader], client, 1, *[b"fine"] * 20)
    world.run(1.0)

    assert len(set(before.values())) == 1
    assert isinstance(client.replies[0], Answers)
    assert len({server.applied for server in world.servers.values()}) == 1
    answered = {node: server.applying.answers for node, server in world.servers.items()}
    assert [node for node in answered if answered[node] != answered[leader]] == [odd]
    assert all(server.status().digests for server in world.servers.values())


def test_the_hash_of_the_answers_goes_on_from_a_snapshot(tmp_path: Path) -> None:
    world = snapshot_of(tmp_path, Clumsy)
    before = world.servers[1].applying.answers
    world.crash(1)

    again = world.start(1)

    assert again.applying.answers == before
    assert before


def test_how_answers_are_cut_into_requests_is_hashed_alike_everywhere(tmp_path: Path) -> None:
    """A follower decodes what the leader has in hand: more than one piece, and retries."""
    world = World(tmp_path, machine=f"{__name__}:Clumsy", max_uncommitted_bytes=1 << 20)
    leader = world.elect()
    client = Connection()
    submit(world.servers[leader], client, 1, *[b"fine"] * 2000)
    submit(world.servers[leader], client, 1, *[b"fine"] * 5)
    submit(world.servers[leader], client, 9000, b"fine")
    world.run(1.0)

    assert len({server.applying.answers for server in world.servers.values()}) == 1
    assert MOST_COMMANDS > 2000
