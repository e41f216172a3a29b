"""Entries for one server and no other: appended at once or not at all, and never twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from node import wire
from node.raft.messages import NodeId
from node.server import requests
from node.server.requests import BadRequest
from node.wire import MOST_COMMANDS, UNIQUE_BYTES, Answers, Appended, Redirect, SubmitHere
from tests.node.server.test_server import Connection, World, submit

UNIQUE = bytes(range(UNIQUE_BYTES))


def led(folder: Path, **changes: object) -> tuple[World, NodeId, NodeId]:
    """A world, its leader, and one of the others."""
    world = World(folder, 3, **changes)
    leader = world.elect()
    return world, leader, next(node for node in world.servers if node != leader)


def here(world: World, node: NodeId, *commands: bytes, unique: bytes = UNIQUE) -> Connection:
    client = Connection()
    world.servers[node].request(client, wire.encode_client(SubmitHere(unique, [*commands])))
    world.pump()
    return client


def test_a_leader_appends_at_once_and_answers_when_it_is_applied(tmp_path: Path) -> None:
    world, leader, _ = led(tmp_path)
    client = here(world, leader, b"x", b"y")
    assert client.replies == [Appended(2, 1)], "before anything is synced or delivered"
    world.settle()
    (_, answers) = client.replies
    assert isinstance(answers, Answers)
    assert (answers.first_sequence, answers.first_index, len(answers.results)) == (1, 2, 2)


def test_a_leader_that_is_cut_off_has_it_and_does_not_commit_it(tmp_path: Path) -> None:
    world, leader, _ = led(tmp_path)
    client = here(world, leader, b"x")
    world.mail.clear()  # nothing of it reaches anybody
    assert client.replies == [Appended(2, 1)]
    status = world.servers[leader].status()
    assert (status.last_index, status.commit_index) == (2, 1)


def test_who_does_not_lead_says_so_at_once(tmp_path: Path) -> None:
    world, leader, other = led(tmp_path)
    client = here(world, other, b"x")
    assert client.replies == [Redirect(leader, "not the leader")]
    alone = World(tmp_path / "alone", 3)
    client = here(alone, 1, b"x")
    assert client.replies == [Redirect(None, "not the leader")], "nobody waits for an election"


def test_while_leadership_is_handed_over_nothing_is_appended(tmp_path: Path) -> None:
    world, leader, other = led(tmp_path)
    world.crash(other)
    world.servers[leader].transfer(other, world.now)
    client = here(world, leader, b"x")
    (said,) = client.replies
    assert isinstance(said, Redirect)
    assert said.reason == f"n{other} is about to lead; try again in a moment"


def test_who_leads_no_more_says_so_after_it_has_appended(tmp_path: Path) -> None:
    world, leader, _ = led(tmp_path)
    client = here(world, leader, b"x")
    world.mail.clear()
    server = world.servers[leader]
    for _ in range(40):  # it hears nobody
        world.now += 0.1
        server.pump(world.now)
    assert server.status().role != "leader"
    appended, redirect = client.replies
    assert appended == Appended(2, 1)
    assert isinstance(redirect, Redirect)


def test_its_session_is_none_that_has_ended_however_many_have(tmp_path: Path) -> None:
    """With two sessions at most, each further one ends another; this one counts as the newest."""
    world, leader, _ = led(tmp_path, most_sessions=2)
    for number in range(1, 5):
        submit(world.servers[leader], Connection(), 1, b"x", session=b"s%d" % number)
        world.settle()
    client = here(world, leader, b"y")
    world.settle()
    assert [type(reply) for reply in client.replies] == [Appended, Answers]


def test_a_client_that_has_gone_gets_nothing_appended(tmp_path: Path) -> None:
    world, leader, _ = led(tmp_path)
    client = Connection()
    server = world.servers[leader]
    server.request(client, wire.encode_client(SubmitHere(UNIQUE, [b"x"])))
    server.client_gone(client)
    world.pump()
    assert server.status().last_index == 1


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (SubmitHere(b"", [b"x"]), "what is unique has 16 bytes, not 0"),
        (SubmitHere(b"u" * 17, [b"x"]), "what is unique has 16 bytes, not 17"),
        (SubmitHere(UNIQUE, []), "an entry is empty"),
        (SubmitHere(UNIQUE, [b"x", b""]), "an entry is empty"),
        (SubmitHere(UNIQUE, [b"x" * 101]), "an entry of 101 bytes is over the limit of 100"),
        (SubmitHere(UNIQUE, [b"x"] * (MOST_COMMANDS + 1)), "a request of 4097 entries, of 4096"),
        (SubmitHere(UNIQUE, [b"x" * 20] * (MOST_COMMANDS + 1)), "a request of 4097 entries"),
    ],
)
def test_what_makes_no_sense_is_refused(request_: SubmitHere, reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        requests.decode(wire.encode_client(request_), 100)
