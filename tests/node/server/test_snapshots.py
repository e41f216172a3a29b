"""A server and its snapshots: when they are taken, and what a node is after one."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from node import wire
from node.machines.journal import Journal
from node.raft.membership import stable
from node.storage.snapshots import snapshot_index
from node.wire import Answers, Read, ReadResult
from tests.node.server.test_server import Connection, World, submit


def index_of(world: World, node_id: int) -> int:
    return world.servers[node_id].status().snapshot_index


def grown(world: World, entries: int = 30, first: int = 1) -> tuple[int, Connection]:
    leader = world.elect()
    client = Connection()
    for sequence in range(first, first + entries):
        submit(world.servers[leader], client, sequence, b"entry %d" % sequence)
        world.settle()
    world.run(0.3)
    return leader, client


def journal(world: World, node_id: int) -> list[bytes]:
    client = Connection()
    request = Read(1, [b"LS"], stale=True)
    world.servers[node_id].request(client, wire.encode_client(request))
    world.pump()
    (reply,) = client.replies
    assert isinstance(reply, ReadResult)
    assert not reply.errors, reply
    return reply.results


def test_one_is_taken_after_so_many_entries_on_every_node_in_turn(tmp_path: Path) -> None:
    world = World(tmp_path, snapshot_entries=10, max_trailing_bytes=0)
    grown(world)
    firsts = []
    for node_id in world.servers:
        status = world.servers[node_id].status()
        taken = [int(str(f["index"])) for f in world.events[node_id].named("snapshot.taken")]
        firsts.append(taken[0])
        assert taken == [taken[0], taken[0] + 10, taken[0] + 20]
        assert status.snapshot_index == taken[-1]
        assert status.first_index == status.snapshot_index + 1
        names = (tmp_path / f"node-{node_id}").iterdir()
        kept = sorted(i for name in names if (i := snapshot_index(name.name)) is not None)
        assert kept == taken[-2:]
    assert firsts == [7, 9, 6], "each sooner than ten, and no two at once"


def test_one_is_taken_after_so_many_bytes_but_a_large_state_is_not_for_every_little(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, 1, snapshot_log_bytes=500, max_trailing_bytes=0)
    grown(world, 100)
    sizes = [fields["bytes"] for fields in world.events[1].named("snapshot.taken")]
    assert 2 <= len(sizes) <= 4, "the journal grows, and so does the distance"


def test_one_is_taken_when_somebody_asks_and_not_when_nothing_is_new(tmp_path: Path) -> None:
    world = World(tmp_path, 1)
    grown(world, 5)
    server = world.servers[1]
    for _ in range(2):
        server.take_snapshot()
        world.settle()
    assert [f["index"] for f in world.events[1].named("snapshot.taken")] == [6]
    assert server.status().snapshot_index == 6
    submit(server, Connection(), 1, b"later", session=b"other")
    world.settle()
    assert server.status().snapshot_index == 6, "what was asked for was there already"


def test_one_that_is_asked_for_before_anything_is_applied_is_not_taken(tmp_path: Path) -> None:
    world = World(tmp_path, 1)
    world.servers[1].take_snapshot()
    world.settle()
    assert world.events[1].named("snapshot.begun") == []


def test_one_that_is_asked_for_while_another_is_taken_is_not_forgotten(tmp_path: Path) -> None:
    """openraft #1829."""
    world = World(tmp_path)
    leader, _ = grown(world, 5)
    others = tuple(n for n in world.servers if n != leader)
    server = world.servers[leader]
    server.take_snapshot()
    world.pump()  # begun: it waits for the disk to give it its name
    submit(server, Connection(), 1, b"later", session=b"other")
    world.settle(syncing=others)
    assert server.applied[0] == 7
    server.take_snapshot()
    world.settle()
    taken = world.events[leader].named("snapshot.taken")
    assert [fields["index"] for fields in taken] == [6, 7]


def test_a_node_starts_from_its_snapshot(tmp_path: Path) -> None:
    world = World(tmp_path, snapshot_entries=10, max_trailing_bytes=0)
    leader, _ = grown(world)
    other = next(n for n in world.servers if n != leader)
    before = journal(world, other)
    digest = world.servers[other].applied
    newest = world.servers[other].status().snapshot_index
    assert newest > 20
    world.crash(other)
    server = world.start(other)
    assert server.applied[0] == newest
    world.run(0.5)
    assert server.applied == digest
    assert journal(world, other) == before


def test_a_command_is_not_applied_again_after_a_snapshot_of_its_session(tmp_path: Path) -> None:
    """Raft itself 11: the retry comes after a restart that began from a snapshot."""
    world = World(tmp_path, snapshot_entries=10, max_trailing_bytes=0)
    grown(world)
    for node_id in list(world.servers):
        world.crash(node_id)
    world.mail.clear()
    for node_id in (1, 2, 3):
        world.start(node_id)
    leader = world.elect()
    client = Connection()
    submit(world.servers[leader], client, 30, b"entry 30")
    world.settle()
    (answers,) = client.replies
    assert isinstance(answers, Answers)
    assert answers.first_index == 31, "where it stood the first time"
    assert b"".join(journal(world, leader)).count(b"entry 30") == 1


def test_who_was_away_comes_back_by_snapshot(tmp_path: Path) -> None:
    world = World(tmp_path, snapshot_entries=10, max_trailing_bytes=0, max_chunk_bytes=100)
    leader = world.elect()
    other = next(n for n in world.servers if n != leader)
    world.crash(other)
    grown(world)
    server = world.start(other)
    world.run(1.0)
    assert world.events[other].named("snapshot.installed")
    assert server.applied == world.servers[leader].applied
    assert journal(world, other) == journal(world, leader)
    world.crash(other)
    again = world.start(other)
    world.run(0.5)
    assert again.applied == world.servers[leader].applied, "and it is on its disk"


def test_one_that_cannot_be_taken_is_told_of_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: Journal) -> list[bytes]:
        raise RuntimeError("out of ink")

    world = World(tmp_path, 1, snapshot_entries=10)
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "snapshot", fails)
        grown(world, 15)
        problem = world.servers[1].status().snapshot_problem
        place = r"\(tests/node/server/test_snapshots.py:\d+\)"
        assert re.search(rf"to write down its state \(RuntimeError: out of ink {place}\)", problem)
    assert world.events[1].named("snapshot.failed") == [{"index": 7, "reason": problem}]
    grown(world, 10, first=16)
    assert index_of(world, 1) == 17
    assert world.servers[1].status().snapshot_failures == 1
    assert not world.servers[1].status().snapshot_problem, "it is mended"


def test_it_says_which_membership_was_applied_not_what_the_log_ends_with(tmp_path: Path) -> None:
    world = World(tmp_path)
    leader, _ = grown(world, 5)
    server = world.servers[leader]
    others = tuple(n for n in world.servers if n != leader)
    server.change_membership([*others], world.now)
    server.take_snapshot()
    world.settle(syncing=(leader,))
    assert server.state.configuration.membership.target == others
    taken = server.state.snapshot
    assert taken is not None
    assert taken.membership == stable((1, 2, 3))


def test_who_joins_takes_none_before_it_has_applied_who_votes(tmp_path: Path) -> None:
    """With whom the cluster began stands in no log: only the first change tells who comes later."""
    world = World(
        tmp_path,
        voters=[1, 2],
        snapshot_entries=10,
        max_trailing_bytes=1 << 20,
        max_apply_bytes=1,
    )
    world.crash(3)
    shutil.rmtree(tmp_path / "node-3")
    world.changes["voters"] = []
    world.start(3)
    leader, _ = grown(world)
    world.servers[leader].change_membership([1, 2, 3], world.now)
    changed = world.servers[leader].status().last_index
    world.run(2.0)
    world.servers[3].take_snapshot()
    world.run(0.2)

    assert world.servers[3].status().voter
    taken = [int(str(fields["index"])) for fields in world.events[3].named("snapshot.taken")]
    assert taken
    assert min(taken) >= changed
    snapshot = world.servers[3].state.snapshot
    assert snapshot is not None
    assert snapshot.membership == stable((1, 2, 3))
