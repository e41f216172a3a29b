"""`submit_here`: one request to one node, sent once, and what is known when it is not committed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from launcher.client.here import NotCommitted, submit_here
from launcher.client.route import Refused
from launcher.errors import LauncherError, TimedOut
from node import wire
from node.wire import Answers, Appended, Ending, OutOfOrder, Redirect
from tests.launcher.fake_server import Behaviour, Nodes, Peer, five_places

ANSWERED = Answers(1, 7, 2, [b"done", b"no such thing"], [1])


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    with five_places() as made:
        yield made


def says(*replies: wire.ClientReply, stays: bool = True) -> tuple[list[bytes], Behaviour]:
    """What a node was asked, and a node that says this to its first request."""
    asked: list[bytes] = []

    def behave(peer: Peer) -> None:
        for body in peer.bodies():
            asked.append(body)
            peer.send(*replies)
            if not stays:
                return

    return asked, behave


def submitted(nodes: Nodes, *replies: wire.ClientReply, timeout_s: float = 30.0) -> object:
    _, behave = says(*replies)
    nodes.start(3, behave)
    return submit_here(3, nodes.sockets[3], [b"x", b"y"], timeout_s)


def failure(nodes: Nodes, *replies: wire.ClientReply, timeout_s: float = 30.0) -> LauncherError:
    with pytest.raises(LauncherError) as caught:
        submitted(nodes, *replies, timeout_s=timeout_s)
    return caught.value


def test_it_is_sent_once_and_the_answers_come_in_order(nodes: Nodes) -> None:
    asked, behave = says(Appended(7, 2), ANSWERED)
    nodes.start(3, behave)
    one, two = submit_here(3, nodes.sockets[3], [b"x", b"y"], 30.0)
    assert (one.entry, one.index, one.term, one.ok, one.raw) == (b"x", 7, 2, True, b"done")
    assert (two.index, two.ok, two.error, two.leader) == (8, False, "no such thing", 3)
    (body,) = asked
    request = wire.decode_request(body)
    assert isinstance(request, wire.SubmitHere)
    assert request.commands == [b"x", b"y"]


def test_who_does_not_lead_says_whom_it_follows(nodes: Nodes) -> None:
    error = failure(nodes, Redirect(1, "not the leader"))
    assert str(error) == "n3 does not lead; it follows n1; nothing was submitted"
    assert error.exit_status == 1


def test_who_knows_no_leader_says_so(nodes: Nodes) -> None:
    error = failure(nodes, Redirect(None, "not the leader"))
    assert str(error) == "n3 does not lead; it knows no leader; nothing was submitted"


def test_a_leader_that_is_busy_says_why(nodes: Nodes) -> None:
    error = failure(nodes, Redirect(None, "n1 is about to lead; try again in a moment"))
    assert "nothing was submitted: n1 is about to lead" in str(error)


def test_an_entry_that_is_not_committed_has_its_index(nodes: Nodes) -> None:
    error = failure(nodes, Appended(7, 2), timeout_s=0.2)
    assert isinstance(error, NotCommitted)
    assert isinstance(error, TimedOut)
    assert (error.node, error.first_index, error.term, error.count) == (3, 7, 2, 2)
    assert str(error) == (
        "n3 has the entries at indexes 7 to 8 and has not committed them in 0.2 s: "
        "they may still be committed or lost"
    )
    assert error.exit_status == 4


def test_a_node_that_says_nothing_may_have_it_or_not(nodes: Nodes) -> None:
    error = failure(nodes, timeout_s=0.2)
    assert isinstance(error, NotCommitted)
    assert error.first_index is None
    assert str(error) == "n3 has not answered in 0.2 s: it may have the 2 entries or not"


def test_a_leader_that_steps_down_leaves_it_open(nodes: Nodes) -> None:
    error = failure(nodes, Appended(7, 2), Redirect(1, "not the leader"))
    assert isinstance(error, NotCommitted)
    assert "at indexes 7 to 8 and has not committed them, and leads no more" in str(error)


def test_a_node_that_ends_leaves_it_open(nodes: Nodes) -> None:
    _, behave = says(Appended(7, 2), stays=False)
    nodes.start(3, behave)
    with pytest.raises(NotCommitted, match="it has hung up") as caught:
        submit_here(3, nodes.sockets[3], [b"x"], 30.0)
    assert str(caught.value).startswith("n3 has the entry at index 7 and has not committed it; ")
    error = failure(nodes, Appended(7, 2), Ending("its machine failed"))
    assert "and fails: its machine failed" in str(error)


def test_a_node_that_is_not_there_has_nothing(nodes: Nodes) -> None:
    with pytest.raises(LauncherError, match="n4 cannot be reached, and nothing was submitted"):
        submit_here(4, nodes.sockets[4], [b"x"], 30.0)


def test_what_a_node_refuses_is_the_users_mistake(nodes: Nodes) -> None:
    error = failure(nodes, wire.Refused("an entry is empty"))
    assert isinstance(error, Refused)
    assert error.exit_status == 2


def test_nonsense_is_not_taken_for_an_answer(nodes: Nodes) -> None:
    for reply in (OutOfOrder(1, 0), Answers(1, 7, 2, [b"1", b"2", b"3"], [])):
        error = failure(nodes, Appended(7, 2), reply)
        assert isinstance(error, NotCommitted)
        assert "makes no sense" in str(error)
