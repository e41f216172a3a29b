"""The server while it hands over and while its disk hangs: what its clients are told, and when."""

from __future__ import annotations

from pathlib import Path

import pytest

from node import wire
from node.errors import ImpossibleTransfer, NotLeader
from node.machines.journal import Journal
from node.raft.messages import NodeId, TimeoutNow
from node.server.server import Server
from node.wire import Answers, Read, ReadResult, Redirect
from tests.node.server.test_server import Connection, World, submit


def led_world(folder: Path, size: int = 3, **changes: object) -> tuple[World, NodeId, NodeId]:
    """A world, its leader, and one of the others."""
    world = World(folder, size, **changes)
    leader = world.elect()
    return world, leader, next(node for node in world.servers if node != leader)


def leaders(world: World) -> list[NodeId]:
    return [node for node, server in world.servers.items() if server.status().role == "leader"]


def without(world: World, tag: type) -> None:
    """Messages of this kind are lost."""
    kept = [item for item in world.mail if not isinstance(wire.decode_rpc(item[2])[1], tag)]
    world.mail.clear()
    world.mail.extend(kept)


def test_who_asks_meanwhile_waits_and_is_sent_to_the_new_leader(tmp_path: Path) -> None:
    world, leader, target = led_world(tmp_path)
    began = world.now
    world.servers[leader].transfer(target, world.now)
    client = Connection()
    submit(world.servers[leader], client, 1, b"x")
    world.pump()
    assert client.replies == []
    world.settle()
    assert world.now == began
    assert leaders(world) == [target]
    assert client.replies == [Redirect(target, "not the leader")]
    assert not world.servers[leader].handing_over


def test_what_was_proposed_before_is_answered_or_sent_on(tmp_path: Path) -> None:
    world, leader, target = led_world(tmp_path)
    client = Connection()
    submit(world.servers[leader], client, 1, b"x")
    world.pump()
    world.servers[leader].transfer(target, world.now)
    world.settle()
    assert leaders(world) == [target]
    again = Connection()
    submit(world.servers[target], again, 1, b"x")
    world.settle()
    (answer,) = again.replies
    assert isinstance(answer, Answers)
    assert answer.first_index == 2, "it is not applied a second time"


def test_reads_are_answered_meanwhile(tmp_path: Path) -> None:
    world, leader, target = led_world(tmp_path)
    followers = [node for node in world.servers if node != leader]
    del world.servers[target]
    world.servers[leader].transfer(target, world.now)
    client = Connection()
    world.servers[leader].request(client, wire.encode_client(Read(1, [b"COUNT"])))
    world.settle(syncing=(leader, *(node for node in followers if node != target)))
    assert isinstance(client.replies[0], ReadResult)


def test_what_is_given_up_lets_the_clients_go_on_here(tmp_path: Path) -> None:
    world, leader, target = led_world(tmp_path)
    world.crash(target)
    server = world.servers[leader]
    server.transfer(target, world.now)
    client = Connection()
    submit(server, client, 1, b"x")
    world.run(0.4)
    assert client.replies == []
    assert server.handing_over
    world.run(0.2)
    assert not server.handing_over
    (said,) = client.replies
    assert isinstance(said, Redirect)
    submit(server, client, 1, b"x")
    world.settle()
    assert isinstance(client.replies[-1], Answers)


class Hasty(Journal):
    """Something is due every 20 ms."""

    def advance(self, time_us: int) -> None:
        self.time_us = time_us

    def deadline_us(self) -> int:
        return getattr(self, "time_us", 0) + 20_000


def test_what_is_due_waits_for_the_next_leader(tmp_path: Path) -> None:
    """A tick is an entry, and none is taken; nor is the loop kept busy by what cannot be done."""
    world, leader, target = led_world(tmp_path, machine=f"{__name__}:Hasty")
    world.crash(target)
    server = world.servers[leader]
    world.now += 0.01
    server.transfer(target, world.now)
    before = server.status().last_index
    for _ in range(3):
        world.now += 0.03
        world.pump()
        assert server.deadline > world.now
    assert server.status().last_index == before


def test_the_core_says_who_cannot_lead(tmp_path: Path) -> None:
    world, leader, target = led_world(tmp_path)
    with pytest.raises(NotLeader):
        world.servers[target].transfer(leader, world.now)
    with pytest.raises(ImpossibleTransfer):
        world.servers[leader].transfer(leader, world.now)


def hang(world: World, hung: NodeId, duration_s: float, losing: type | None = None) -> None:
    """Time passes, and every disk does its work but this one."""
    end = world.now + duration_s
    others = tuple(node for node in world.servers if node != hung)
    while world.now < end:
        if losing is not None:
            world.pump()
            without(world, losing)
        world.settle(syncing=others)
        world.now = min(end, max(world.now, min(s.deadline for s in world.servers.values())))
    world.settle(syncing=others)


def begin_write(world: World, server: Server) -> Connection:
    client = Connection()
    submit(server, client, 1, b"x")
    return client


def test_a_leader_whose_disk_hangs_has_another_lead(tmp_path: Path) -> None:
    world, leader, _ = led_world(tmp_path)
    client = begin_write(world, world.servers[leader])
    hang(world, leader, 0.4)
    assert isinstance(client.replies[0], Answers), "by the others' disks"
    assert leaders(world) == [leader]
    hang(world, leader, 0.2)
    (now_leads,) = leaders(world)
    assert now_leads != leader
    assert len(world.events[leader].named("disk.stalled")) == 1
    hang(world, leader, 5.0)
    assert leaders(world) == [now_leads]
    assert len(world.events[leader].named("disk.stalled")) == 1
    world.settle()
    assert len(world.events[leader].named("disk.recovered")) == 1


def test_it_steps_down_when_nobody_takes_over(tmp_path: Path) -> None:
    world, leader, _ = led_world(tmp_path)
    begin_write(world, world.servers[leader])
    hang(world, leader, 1.2, losing=TimeoutNow)
    reasons = [fields["reason"] for fields in world.events[leader].named("leader.stepped_down")]
    assert reasons == ["its disk hangs, and it could not hand over"]
    hang(world, leader, 2.0)
    assert len(leaders(world)) == 1
    assert leaders(world) != [leader]


def test_alone_it_waits_for_its_disk(tmp_path: Path) -> None:
    world = World(tmp_path, 1)
    world.elect()
    client = begin_write(world, world.servers[1])
    hang(world, 1, 5.0)
    assert leaders(world) == [1]
    assert client.replies == []
    world.settle()
    assert isinstance(client.replies[0], Answers)


def test_writes_that_follow_each_other_are_no_stall(tmp_path: Path) -> None:
    world, leader, _ = led_world(tmp_path)
    for sequence in range(1, 8):
        submit(world.servers[leader], Connection(), sequence, b"x")
        hang(world, leader, 0.3)
        world.queues[leader].do_one()
        world.pump()
    assert world.events[leader].named("disk.stalled") == []
    assert leaders(world) == [leader]
