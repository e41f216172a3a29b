"""What a server says of itself: Raft's own state, and part of its log."""

from __future__ import annotations

from pathlib import Path

import pytest

from node import wire
from tests.node.server.test_server import Connection, World, submit


def test_a_leader_says_what_it_believes_of_each_peer(tmp_path: Path) -> None:
    world = World(tmp_path)
    leader = world.elect()
    submit(world.servers[leader], Connection(), 1, b"a", b"b")
    world.settle()
    said = world.servers[leader].status(now=world.now + 0.25)

    assert [peer.id for peer in said.peers] == [n for n in (1, 2, 3) if n != leader]
    for peer in said.peers:
        assert (peer.next_index, peer.match_index) == (said.last_index + 1, said.last_index)
        assert (peer.mode, peer.in_flight, peer.in_flight_bytes) == ("replicate", 0, 0)
        assert peer.heard_s is not None
        assert peer.heard_s >= 0.25
    assert said.voted_for == leader
    assert (said.election_in_s, said.leader_heard_s) == (None, None)


def test_what_is_in_flight_to_a_peer_that_does_not_answer_is_said(tmp_path: Path) -> None:
    world = World(tmp_path)
    leader = world.elect()
    away = next(n for n in (1, 2, 3) if n != leader)
    world.crash(away)
    submit(world.servers[leader], Connection(), 1, b"x" * 100)
    world.settle()

    peer = next(one for one in world.servers[leader].status().peers if one.id == away)
    assert peer.in_flight == 1
    assert peer.in_flight_bytes > 100
    assert peer.match_index < peer.next_index - 1


def test_a_follower_says_when_it_heard_the_leader_and_when_its_timeout_ends(tmp_path: Path) -> None:
    world = World(tmp_path)
    leader = world.elect()
    follower = world.servers[next(n for n in (1, 2, 3) if n != leader)]
    early, late = follower.status(now=world.now), follower.status(now=world.now + 0.1)

    assert early.leader_heard_s is not None
    assert early.election_in_s is not None
    assert late.leader_heard_s == pytest.approx(early.leader_heard_s + 0.1)
    assert late.election_in_s == pytest.approx(early.election_in_s - 0.1)
    assert early.voted_for == leader
    assert early.peers == []


def test_a_server_that_has_heard_no_leader_says_so(tmp_path: Path) -> None:
    world = World(tmp_path)
    said = world.servers[1].status()
    assert (said.leader_heard_s, said.voted_for) == (None, None)
    assert said.election_in_s is not None


def test_who_asks_for_pre_votes_is_a_pre_candidate_and_not_a_candidate(tmp_path: Path) -> None:
    world = World(tmp_path)
    for other in (2, 3):
        world.crash(other)
    world.run(3.0)
    server = world.servers[1]
    assert server.status().role == "pre-candidate"
    assert server.log_part(wire.GetLog(1, 1, 10, 1000)).role == "pre-candidate"
    assert server.status().term == 0


def test_a_server_says_what_is_in_its_log(tmp_path: Path) -> None:
    world = World(tmp_path)
    leader = world.elect()
    submit(world.servers[leader], Connection(), 1, b"a", b"b", b"c")
    world.settle()
    part = world.servers[leader].log_part(wire.GetLog(7, 2, 2, 1000))

    assert part.request == 7
    assert [(one.index, one.text) for one in part.entries] == [(2, b"a"), (3, b"b")]
    assert (part.first_index, part.last_index, part.commit_index) == (1, 4, 4)
    assert world.servers[leader].log_part(wire.GetLog(8, 9, 2, 1000)).entries == []
