"""Entries that were not answered are sent again in their places: each is applied once."""

from __future__ import annotations

import threading
from multiprocessing.reduction import ForkingPickler

import pytest

from launcher.client.answers import Submitted
from launcher.client.client import NoAnswer, SessionLost
from launcher.errors import UsageError
from tests.launcher.fake_server import (
    PATIENT_S,
    Behaviour,
    Nodes,
    Peer,
    commits_in_silence,
    leads,
    numbered,
    silent,
)

pytestmark = pytest.mark.usefixtures("patient_roll_call")

SHORT_S = 0.3


def given_up(nodes: Nodes, behave: Behaviour, *entries: bytes) -> NoAnswer:
    """What a client raises that meets this behaviour."""
    nodes.start(1, behave)
    with nodes.client() as client, pytest.raises(NoAnswer) as caught:
        list(client.submit_many(list(entries), timeout_s=SHORT_S))
    nodes.servers[1].behave = leads(nodes.ledger)
    return caught.value


def texts(done: list[Submitted]) -> list[tuple[bytes, str]]:
    return [(one.entry, one.text) for one in done]


def test_an_entry_that_was_applied_is_not_applied_again(nodes: Nodes) -> None:
    """The answer was lost, the entry was not: its first answer comes."""
    error = given_up(nodes, commits_in_silence(nodes.ledger), b"ann gives bob 10")
    assert nodes.ledger.applied == [b"ann gives bob 10"]
    assert error.left is not None
    assert error.left.sent

    with nodes.client() as client:
        (done,) = client.resend(error)

    assert (done.entry, done.text) == (b"ann gives bob 10", "at 1")
    assert nodes.ledger.applied == [b"ann gives bob 10"]


def test_an_entry_that_was_lost_is_applied(nodes: Nodes) -> None:
    def loses(peer: Peer) -> None:
        for _ in peer.submits(nodes.ledger):
            pass

    error = given_up(nodes, loses, b"x")
    assert nodes.ledger.applied == []

    with nodes.client() as client:
        assert texts(client.resend(error)) == [(b"x", "at 1")]
    assert nodes.ledger.applied == [b"x"]


def test_the_error_itself_resends_through_the_client_that_raised_it(nodes: Nodes) -> None:
    server = nodes.start(1, commits_in_silence(nodes.ledger))
    with nodes.client() as client:
        with pytest.raises(NoAnswer) as caught:
            client.submit(b"x", timeout_s=SHORT_S)
        server.behave = leads(nodes.ledger)
        assert texts(caught.value.resend(timeout_s=PATIENT_S)) == [(b"x", "at 1")]
        assert client.submit(b"y").text == "at 3", "a duplicate takes an index, and is not applied"
    assert nodes.ledger.applied == [b"x", b"y"]
    with pytest.raises(UsageError, match="this client is closed"):
        caught.value.resend()


def test_it_may_be_resent_as_often_as_one_likes(nodes: Nodes) -> None:
    """Also after it was answered, and by several threads at once: the same answers come."""
    error = given_up(nodes, commits_in_silence(nodes.ledger), *numbered(1500))
    answers: list[list[tuple[bytes, str]]] = []
    with nodes.client() as client:
        threads = [
            threading.Thread(target=lambda: answers.append(texts(client.resend(error))))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENT_S)
        answers.append(texts(client.resend(error)))
    assert len(answers) == 5
    assert all(one == answers[0] for one in answers)
    assert [entry for entry, _ in answers[0]] == numbered(1500)
    assert nodes.ledger.applied == numbered(1500)


def test_what_was_never_sent_begins_its_session_when_it_is_resent(nodes: Nodes) -> None:
    """And only once, although the first attempt to resend it is not answered either."""
    error = given_up(nodes, silent, b"x")
    assert error.left is not None
    assert (error.left.client_id, error.left.sent) == (b"", False)
    nodes.servers[1].behave = commits_in_silence(nodes.ledger)

    with nodes.client() as client:
        with pytest.raises(NoAnswer) as again:
            client.resend(error, timeout_s=SHORT_S)
        assert nodes.ledger.applied == [b"x"]
        assert error.left is not None
        assert error.left.sent
        assert again.value.left == error.left
        nodes.servers[1].behave = leads(nodes.ledger)
        for one in (error, again.value, error):
            assert texts(client.resend(one)) == [(b"x", "at 1")]
    assert nodes.ledger.applied == [b"x"]
    assert len(nodes.sessions()) == 1


def test_after_a_part_of_the_answers_the_rest_is_resent(nodes: Nodes) -> None:
    """What was yielded is not in the error; what a failed attempt was answered comes again."""
    few = threading.Event()

    def answers_one_request(peer: Peer) -> None:
        for number, request in enumerate(peer.submits(nodes.ledger)):
            replies = nodes.ledger.commit(request)
            if number == 0:
                peer.send(*replies)
                few.set()

    nodes.start(1, answers_one_request)
    done: list[Submitted] = []
    with nodes.client() as client:
        with pytest.raises(NoAnswer) as caught:
            done.extend(client.submit_many(numbered(2000), timeout_s=SHORT_S))
        error = caught.value
        assert few.is_set()
        assert 0 < len(done) < 2000
        assert error.first_sequence == len(done) + 1
        with pytest.raises(NoAnswer) as again:
            client.resend(error, timeout_s=SHORT_S)
        assert again.value.unanswered == error.unanswered
        nodes.servers[1].behave = leads(nodes.ledger)
        rest = client.resend(error)
    assert [one.entry for one in [*done, *rest]] == numbered(2000)
    assert [one.text for one in rest] == [f"at {one.index}" for one in rest]
    assert nodes.ledger.applied == numbered(2000)


def test_a_refusal_is_among_the_answers(nodes: Nodes) -> None:
    error = given_up(nodes, commits_in_silence(nodes.ledger), b"x", b"refuse it")
    with nodes.client() as client:
        taken, refused = client.resend(error)
    assert (taken.ok, refused.ok, refused.error) == (True, False, "no such thing")


def test_a_session_that_is_forgotten_meanwhile_is_an_error(nodes: Nodes) -> None:
    """Whether it was applied is not known, so it is not sent as a new entry."""
    error = given_up(nodes, commits_in_silence(nodes.ledger), b"x")
    nodes.ledger.end_sessions()
    with nodes.client() as client:
        for _ in range(2):
            with pytest.raises(SessionLost):
                client.resend(error)
    assert nodes.ledger.applied == [b"x"]


def test_what_was_answered_once_is_not_applied_again_when_its_session_is_forgotten(
    nodes: Nodes,
) -> None:
    error = given_up(nodes, silent, b"x")
    with nodes.client() as client:
        assert texts(client.resend(error)) == [(b"x", "at 1")]
        nodes.ledger.end_sessions()
        with pytest.raises(SessionLost):
            client.resend(error)
    assert nodes.ledger.applied == [b"x"]


def test_the_place_survives_pickling(nodes: Nodes) -> None:
    error = given_up(nodes, commits_in_silence(nodes.ledger), b"x")
    copy = ForkingPickler.loads(bytes(ForkingPickler.dumps(error)))
    with pytest.raises(UsageError, match=r"in another process: resend\(error\)"):
        copy.resend()
    with nodes.client() as client:
        assert texts(client.resend(copy)) == [(b"x", "at 1")]
    assert nodes.ledger.applied == [b"x"]


def test_a_resumed_session_gets_no_other_entries(nodes: Nodes) -> None:
    """Two copies of it would give different entries the same number."""
    error = given_up(nodes, commits_in_silence(nodes.ledger), b"x")
    with nodes.client() as client:
        client.resend(error)
        client.submit(b"y")
        client.resend(error)
        client.submit(b"z")
    assert nodes.ledger.applied == [b"x", b"y", b"z"]
    assert len(nodes.sessions()) == 2


def test_a_read_has_nothing_to_resend(nodes: Nodes) -> None:
    nodes.start(1, silent)
    with nodes.client() as client, pytest.raises(NoAnswer) as caught:
        client.read([b"q"], timeout_s=SHORT_S)
    with pytest.raises(UsageError, match="a read changes nothing"):
        caught.value.resend()
