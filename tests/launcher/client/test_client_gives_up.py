"""When nobody answers: what the client says, how soon, and what it leaves behind."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from launcher.client.client import NoAnswer, Submitted
from launcher.errors import TimedOut, UsageError
from node import wire
from tests.launcher.fake_server import (
    PATIENT_S,
    Behaviour,
    Nodes,
    Peer,
    assert_all,
    leads,
    numbered,
    redirects,
    silent,
)

pytestmark = pytest.mark.usefixtures("patient_roll_call")

ALL_VOTE = "(if all of them vote)"


def test_without_a_quorum_it_says_who_is_missing(nodes: Nodes) -> None:
    nodes.start(1, redirects(None))
    nodes.start(3, redirects(2))
    nodes.start(4, silent)
    with nodes.client(timeout_s=0.5) as client:
        started = time.monotonic()
        with pytest.raises(TimedOut) as gave_up:
            client.submit(b"x")
        passed = time.monotonic() - started

    assert str(gave_up.value) == (
        "not answered within 0.5 s: no quorum: nodes 2, 4 and 5 do not answer; 3 of 5 are needed "
        "(if all of them vote); the entry may still be committed"
    )
    assert gave_up.value.exit_status == 4
    error = gave_up.value
    assert isinstance(error, NoAnswer)
    assert (error.missing, error.unanswered, error.first_sequence) == ([2, 4, 5], [b"x"], 1)
    assert 0.3 < passed < 5


@pytest.mark.parametrize(
    ("behaviours", "text"),
    [
        (
            {1: redirects(None), 2: redirects(None), 3: redirects(None), 4: redirects(None)},
            f"no leader found; 3 of 5 must reach each other {ALL_VOTE}; node 5 does not answer",
        ),
        (
            dict.fromkeys([1, 2, 3, 4, 5], redirects(None)),
            f"no leader found; 3 of 5 must reach each other {ALL_VOTE}",
        ),
        (
            {},
            f"no quorum: nodes 1, 2, 3, 4 and 5 do not answer; 3 of 5 are needed {ALL_VOTE}",
        ),
    ],
    ids=["one dead", "cut off", "all dead"],
)
def test_it_says_what_is_known(nodes: Nodes, behaviours: dict[int, Behaviour], text: str) -> None:
    for node, behave in behaviours.items():
        nodes.start(node, behave)
    with nodes.client(timeout_s=0.3) as client:
        with pytest.raises(NoAnswer) as gave_up:
            client.submit(b"x")
        assert f"0.3 s: {text}; the entry may still be committed" in str(gave_up.value)
        with pytest.raises(NoAnswer) as gave_up:
            client.read([b"q"])
        assert str(gave_up.value).endswith(text)


def test_a_leader_that_commits_nothing_is_named(nodes: Nodes) -> None:
    def stuck(peer: Peer) -> None:
        for request in peer:
            if isinstance(request, wire.Read):
                peer.send(nodes.ledger.read(request))

    nodes.start(2, stuck)
    for node in (1, 3, 4, 5):
        nodes.start(node, redirects(2))
    with nodes.client(timeout_s=0.4) as client, pytest.raises(NoAnswer) as gave_up:
        list(client.submit_many(numbered(3)))
    assert str(gave_up.value) == (
        "not answered within 0.4 s: node 2 leads and has not committed it "
        "(is it cut off, or too slow?); 3 entries may still be committed"
    )
    assert gave_up.value.unanswered == numbered(3)


def test_a_timeout_of_many_says_which_are_unanswered(nodes: Nodes) -> None:
    def stops(peer: Peer) -> None:
        for request in peer.submits(nodes.ledger):
            if request.first_sequence > 1:
                break
            peer.send(*nodes.ledger.answer(request))
        silent(peer)

    nodes.start(1, stops)
    done: list[Submitted] = []
    with nodes.client(timeout_s=0.3) as client, pytest.raises(NoAnswer) as gave_up:
        done.extend(client.submit_many(numbered(2000)))
    assert done
    assert [one.entry for one in done] + gave_up.value.unanswered == numbered(2000)
    assert gave_up.value.first_sequence == len(done) + 1


def test_progress_puts_the_timeout_off(nodes: Nodes) -> None:
    """Eight entries, each answered a good while before the timeout; all of them long after it."""

    def slow(peer: Peer) -> None:
        for request in peer.submits(nodes.ledger):
            for n, command in enumerate(request.commands):
                threading.Event().wait(0.1)
                one = wire.Submit(request.client_id, request.first_sequence + n, 1, [command])
                peer.send(*nodes.ledger.answer(one))

    nodes.start(1, slow)
    with nodes.client(timeout_s=0.6, hedge_s=PATIENT_S) as client:
        assert_all(list(client.submit_many(numbered(8))), nodes, numbered(8))


def test_a_consumer_that_takes_its_time_is_no_silence_and_no_timeout(nodes: Nodes) -> None:
    nodes.lead(1)
    other = nodes.start(2, redirects(1))
    with nodes.client(timeout_s=0.8, hedge_s=0.5, window=10) as client:
        done = client.submit_many(numbered(30))
        first = next(done)
        threading.Event().wait(0.9)
        assert_all([first, *done], nodes, numbered(30))
    assert other.connections == 0


def test_after_a_timeout_the_session_is_abandoned(nodes: Nodes) -> None:
    nodes.lead(1)
    with nodes.client() as client:
        client.submit(b"a")
        nodes.servers[1].kill()
        with pytest.raises(NoAnswer):
            client.submit(b"b", timeout_s=0.2)
        nodes.lead(1)
        client.submit(b"c")
    assert nodes.ledger.applied == [b"a", b"c"]
    assert len(nodes.sessions()) == 2
    assert nodes.ledger.requests[-1].first_sequence == 1


@pytest.mark.parametrize("timeout_s", [0.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_timeout_is_refused(nodes: Nodes, timeout_s: float) -> None:
    with nodes.client() as client, pytest.raises(UsageError, match="a timeout is a number"):
        client.submit(b"x", timeout_s=timeout_s)


def test_an_interrupt_leaves_a_client_that_works(nodes: Nodes) -> None:
    heard, forsaken = threading.Event(), threading.Event()

    def listens(peer: Peer) -> None:
        for _ in peer:
            heard.set()
        forsaken.set()

    server = nodes.start(1, listens)

    def interrupt() -> None:
        heard.wait(PATIENT_S)
        os.kill(os.getpid(), signal.SIGINT)

    with nodes.client() as client:
        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            client.submit(b"x")
        thread.join(PATIENT_S)
        assert forsaken.wait(PATIENT_S), "nothing is left of it"
        server.behave = leads(nodes.ledger)
        assert client.submit(b"y").index == 1
    assert nodes.ledger.requests[0].first_sequence == 1, "a session of its own"


def test_a_generator_dropped_half_way_takes_its_session_with_it(nodes: Nodes) -> None:
    nodes.lead(1)
    with nodes.client() as client:
        done = client.submit_many(numbered(5000))
        next(done)
        del done
        client.submit(b"x")
    assert len(nodes.sessions()) == 2
