"""What a server holds for others is bounded: while nobody leads, and while a disk hangs."""

from __future__ import annotations

from pathlib import Path

from node import wire
from node.raft.messages import NodeId
from node.server.server import Server
from node.server.settings import MAX_HELD_READ_BYTES
from node.wire import (
    MOST_COMMANDS,
    MOST_UNACKNOWLEDGED,
    Answers,
    Read,
    ReadResult,
    Redirect,
    Refused,
)
from tests.node.server.test_server import Connection, World, submit


def read(server: Server, client: Connection, number: int, query: bytes = b"COUNT") -> None:
    server.request(client, wire.encode_client(Read(number, [query])))


def gathered(server: Server) -> int:
    """Bytes of the log that wait for the disk."""
    return sum(len(batch.data) for batch in server._next_write.batches)


def others(world: World, node_id: NodeId) -> list[NodeId]:
    return [other for other in world.servers if other != node_id]


def test_reads_that_nobody_confirms_are_held_up_to_a_bound(tmp_path: Path) -> None:
    world = World(tmp_path, max_entry_bytes=1 << 20)
    server = world.servers[world.elect()]
    client, late = Connection(), Connection()
    query = b"x" * (1 << 20)
    for number in range(40):
        read(server, client, number, query)
        server.pump(world.now)
    assert server._clients._held_read_bytes <= MAX_HELD_READ_BYTES + len(query) + 1000
    sent_away = [reply for reply in client.replies if isinstance(reply, Redirect)]
    assert sent_away
    assert sent_away[0] == Redirect(None, "too many reads wait to be confirmed")

    world.settle()
    assert len([reply for reply in client.replies if isinstance(reply, ReadResult)]) >= 16
    assert server._clients._held_read_bytes == 0
    read(server, late, 1)
    world.settle()
    assert isinstance(late.replies[-1], ReadResult)


def test_many_empty_reads_are_bounded_too(tmp_path: Path) -> None:
    world = World(tmp_path)
    server = world.servers[world.elect()]
    client = Connection()
    body = wire.encode_client(Read(1, []))
    for _ in range(MAX_HELD_READ_BYTES // 200 + 10):
        server.request(client, body)
    assert any(isinstance(reply, Redirect) for reply in client.replies)


def test_a_session_that_acknowledges_nothing_is_refused_in_the_end(tmp_path: Path) -> None:
    """Its answers would have to be kept, on every node and in every snapshot."""
    world = World(tmp_path)
    leader = world.elect()
    server = world.servers[leader]
    client = Connection()
    first, many = 1, [b"x"] * MOST_COMMANDS
    for _ in range(17):
        submit(server, client, first, *many)
        world.settle()
        first += len(many)
    *answers, last = client.replies
    assert {type(reply) for reply in answers} == {Answers}
    assert isinstance(last, Refused)
    assert last.reason == (
        "69632 entries of this session would be unacknowledged, of 65536 at most; "
        "take the answers that have come before submitting more"
    )
    assert server.status().last_index == 1 + MOST_UNACKNOWLEDGED

    submit(server, client, MOST_UNACKNOWLEDGED + 1, *many, lowest=MOST_UNACKNOWLEDGED + 1)
    world.settle()
    assert isinstance(client.replies[-1], Answers), "it has acknowledged them, and goes on"


def test_reads_are_not_held_beyond_the_lead_or_their_client(tmp_path: Path) -> None:
    world = World(tmp_path)
    leader = world.elect()
    server = world.servers[leader]
    client, gone = Connection(), Connection()
    read(server, client, 1)
    server.pump(world.now)
    read(server, client, 2)
    read(server, gone, 3)
    server.client_gone(gone)
    assert server._clients._held_read_bytes > 0
    for other in others(world, leader):
        world.crash(other)
    world.mail.clear()
    world.run(3.0)
    assert server.status().role != "leader"
    assert server._clients._held_read_bytes == 0
    assert [type(reply) for reply in client.replies] == [Redirect]


def test_reads_of_an_earlier_term_are_not_counted_in_the_next(tmp_path: Path) -> None:
    """A leader that lost the lead and won it again before it looked has given them up."""
    world = World(tmp_path)
    server = world.servers[world.elect()]
    client = Connection()
    read(server, client, 1)
    server.pump(world.now)
    assert server._clients._held_read_bytes > 0
    assert server._clients._under is not None
    server._clients._under = (server._clients._under[0] - 1, server._clients._under[1])
    server.pump(world.now)
    assert server.status().role == "leader"
    assert server._clients._held_read_bytes == 0


def test_who_sends_without_end_while_nobody_leads_is_not_remembered(tmp_path: Path) -> None:
    world = World(tmp_path)
    server = world.servers[1]
    for other in others(world, 1):
        world.crash(other)
    client = Connection()
    for number in range(1, 2001):
        submit(server, client, number, b"x" * 900)
        read(server, client, number)
        server.pump(world.now)
    assert len(server._clients._parked) == 1
    held = [
        server._clients._submits,
        server._clients._reads,
        server._clients._waiters,
        server._clients._open_reads,
    ]
    assert not any(held)
    assert gathered(server) == server._clients._held_read_bytes == 0
    world.run(2.0)
    assert len(client.replies) == 1


def test_what_gathers_behind_a_leader_s_disk_is_what_may_be_uncommitted(tmp_path: Path) -> None:
    world = World(tmp_path, 1)
    world.elect()
    server = world.servers[1]
    clients = [Connection() for _ in range(50)]
    for number, client in enumerate(clients):
        submit(server, client, 1, b"x" * 900, session=b"%d" % number)
        server.pump(world.now)
    assert 0 < gathered(server) <= 2000  # max_uncommitted_bytes
    assert len([client for client in clients if client.replies]) > 45
    world.settle()
    assert gathered(server) == 0


def test_what_gathers_behind_a_follower_s_disk_is_what_may_be_in_flight(tmp_path: Path) -> None:
    world = World(tmp_path, inflight_bytes=10_000, max_append_bytes=3000)
    leader = world.elect()
    slow, fast = others(world, leader)
    client = Connection()
    for number in range(1, 101):
        submit(world.servers[leader], client, number, b"x" * 900)
        world.settle(syncing=(leader, fast))
    assert len(client.replies) == 100, "the others go on"
    assert 3000 < gathered(world.servers[slow]) <= 10_000 + 3000
    world.settle()
    world.run(1.0)
    assert world.servers[slow].applied == world.servers[leader].applied


def test_what_waits_to_be_said_behind_a_disk_that_hangs_is_bounded(tmp_path: Path) -> None:
    """An answer for each message in flight; heartbeats are answered at once, and do not gather."""
    world = World(tmp_path, inflight_batches=5)
    leader = world.elect()
    slow, fast = others(world, leader)
    client = Connection()
    for number in range(1, 31):
        submit(world.servers[leader], client, number, b"x")
        world.settle(syncing=(leader, fast))
    for _ in range(50):
        world.settle(syncing=(leader, fast))
        world.now += 0.1
    assert 2 < len(world.servers[slow]._next_write.messages) <= 5
    world.run(1.0)
    assert world.servers[slow].applied == world.servers[leader].applied
