"""The client over real sockets, against nodes in threads that misbehave in every way we know."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator

import pytest

from launcher.client.client import ASK_AGAIN_S, Client, NoAnswer, Refused, SessionLost, Submitted
from launcher.errors import UsageError
from node import wire
from tests.launcher.fake_server import (
    PATIENT_S,
    Ledger,
    Nodes,
    Peer,
    assert_all,
    leads,
    numbered,
    redirects,
    silent,
    wait_for,
)

# -- finding the leader --------------------------------------------------------------------------


def test_submit_answers_with_everything_about_the_entry(nodes: Nodes) -> None:
    nodes.lead(1)
    with nodes.client() as client:
        done = client.submit(b"one")
        assert client.submit(b"two").index == 2

    assert (done.entry, done.ok, done.result, done.error) == (b"one", True, b"at 1", None)
    assert (done.index, done.term, done.leader) == (1, 1, 1)
    assert done.latency_ms > 0
    assert len(nodes.sessions()) == 1
    assert nodes.servers[1].connections == 1


def test_what_the_machine_refuses_is_an_answer(nodes: Nodes) -> None:
    nodes.lead(1)
    with nodes.client() as client:
        done = client.submit(b"refuse this")
        (answer, _) = client.read([b"refuse this", b"not this"])
    assert (done.ok, done.error, done.index) == (False, "no such thing", 1)
    assert (answer.ok, answer.error) == (False, "no such query")


def test_redirects_are_followed_and_the_leader_is_remembered(nodes: Nodes) -> None:
    first = nodes.start(1, redirects(3))
    nodes.start(3, redirects(4))
    nodes.lead(4)
    with nodes.client() as client:
        assert client.submit(b"x").leader == 4
        assert client.read([b"q"])[0].leader == 4
    assert first.connections == 1


def test_dead_nodes_are_passed_over_at_once(nodes: Nodes) -> None:
    nodes.lead(5)
    with nodes.client(hedge_s=PATIENT_S) as client:
        assert client.submit(b"x").leader == 5


def test_a_redirect_to_a_dead_leader_waits_for_the_next_one(nodes: Nodes) -> None:
    followers = [nodes.start(node, redirects(1)) for node in (2, 3, 4)]
    with nodes.client() as client:
        answer: queue.Queue[Submitted] = queue.Queue()
        thread = threading.Thread(target=lambda: answer.put(client.submit(b"x")))
        started = time.monotonic()
        thread.start()
        wait_for(lambda: sum(server.connections for server in followers) >= 10)
        nodes.lead(5)
        assert answer.get(timeout=PATIENT_S).leader == 5
        thread.join(PATIENT_S)
        passed = time.monotonic() - started
    assert sum(server.connections for server in followers) < 12 + passed / 0.05


def test_a_silent_node_is_asked_no_longer_alone(nodes: Nodes) -> None:
    """A paused leader: it accepts and says nothing, and the other nodes know better."""
    nodes.start(1, silent)
    nodes.start(2, redirects(3))
    nodes.lead(3)
    with nodes.client() as client:
        done = list(client.submit_many(numbered(2000)))
        assert client.read([b"q"])[0].result == b"2000 applied"
    assert {one.leader for one in done} == {3}
    assert_all(done, nodes, numbered(2000))


def test_a_slow_leader_is_waited_for(nodes: Nodes) -> None:
    """The others say that it leads, so nothing is sent to it twice."""
    release = threading.Event()

    def slow(peer: Peer) -> None:
        for request in peer:
            release.wait(PATIENT_S)
            peer.send(*nodes.ledger.answer(request))

    leader = nodes.start(1, slow)
    other = nodes.start(2, redirects(1))
    with nodes.client() as client:

        def release_after_three_hedges() -> None:
            wait_for(lambda: other.connections >= 3)
            release.set()

        thread = threading.Thread(target=release_after_three_hedges)
        thread.start()
        done = client.submit(b"x")
        thread.join(PATIENT_S)
    assert (done.leader, leader.connections, done.latency_ms > 100) == (1, 1, True)
    assert len([r for r in nodes.ledger.requests if r.commands == [b"x"]]) == 1


def test_a_node_may_go_and_come_back_while_it_is_waited_for(nodes: Nodes) -> None:
    server = nodes.start(1, silent)
    with nodes.client() as client:
        answer: queue.Queue[Submitted] = queue.Queue()
        thread = threading.Thread(target=lambda: answer.put(client.submit(b"x")))
        thread.start()
        wait_for(lambda: server.connections)
        server.kill()
        server.path.unlink()
        nodes.lead(1)
        assert answer.get(timeout=PATIENT_S).index == 1
        thread.join(PATIENT_S)


def test_a_socket_may_move(nodes: Nodes) -> None:
    nodes.lead(1)
    with nodes.client() as client:
        client.submit(b"x")
        nodes.servers[1].kill()
        moved = nodes.sockets[1].with_name("elsewhere")
        nodes.sockets[1] = moved
        nodes.lead(1)
        assert client.submit(b"y").index == 2
    assert len(nodes.sessions()) == 1


def test_bytes_that_are_no_message_end_the_connection(nodes: Nodes) -> None:
    def babble(peer: Peer) -> None:
        for _ in peer:
            peer._socket.sendall(b"\x00\x00\x00\x03abc")

    nodes.start(1, babble)
    nodes.lead(2)
    with nodes.client(hedge_s=PATIENT_S) as client:
        assert client.submit(b"x").leader == 2


# -- once, in order ------------------------------------------------------------------------------


def test_the_leader_dies_in_the_middle_again_and_again(nodes: Nodes) -> None:
    """Each answers half of the first request of several, commits one more, and dies."""

    def half(peer: Peer) -> None:
        requests = peer.submits(nodes.ledger)
        for request in requests:
            (reply,) = nodes.ledger.answer(request)
            assert isinstance(reply, wire.Answers)
            if len(reply.results) > 1:
                first_half = reply.results[: len(reply.results) // 2]
                peer.send(wire.Answers(reply.first_sequence, reply.first_index, 1, first_half, []))
                nodes.ledger.answer(next(requests))
                return
            peer.send(reply)

    for node in (1, 2, 3, 4):
        nodes.start(node, half)
    nodes.lead(5)
    with nodes.client(hedge_s=PATIENT_S) as client:
        done = list(client.submit_many(numbered(9000)))
    assert {one.leader for one in done} == {1, 2, 3, 4, 5}
    assert_all(done, nodes, numbered(9000))


def test_answers_may_come_in_any_runs(nodes: Nodes) -> None:
    def ones(peer: Peer) -> None:
        for request in peer.submits(nodes.ledger):
            for reply in nodes.ledger.answer(request):
                assert isinstance(reply, wire.Answers)
                for n, result in enumerate(reply.results):
                    peer.send(
                        wire.Answers(
                            reply.first_sequence + n, reply.first_index + n, 1, [result], []
                        )
                    )

    nodes.start(1, ones)
    with nodes.client() as client:
        done = list(client.submit_many(numbered(1500)))
    assert_all(done, nodes, numbered(1500))


def test_a_lost_request_is_sent_again(nodes: Nodes) -> None:
    lost: list[wire.Submit] = []

    def forgetful(peer: Peer) -> None:
        for request in peer.submits(nodes.ledger):
            if request.first_sequence > 1 and not lost:
                lost.append(request)
            else:
                peer.send(*nodes.ledger.answer(request))

    nodes.start(1, forgetful)
    with nodes.client(hedge_s=PATIENT_S) as client:
        done = list(client.submit_many(numbered(3000)))
    assert lost
    assert_all(done, nodes, numbered(3000))


def test_a_client_outlives_the_memory_of_its_cluster(nodes: Nodes) -> None:
    nodes.lead(1)
    with nodes.client() as client:
        client.submit(b"x")
        nodes.servers[1].kill()
        nodes.ledger = Ledger()
        nodes.lead(1)
        assert client.submit(b"y").index == 2, "its first index there was refused, out of order"
    assert nodes.ledger.applied == [b"y"]


def test_a_session_forgotten_in_the_middle_is_an_error(nodes: Nodes) -> None:
    nodes.lead(1)
    with nodes.client() as client:
        client.submit(b"x")
        nodes.servers[1].kill()

        def forgets(peer: Peer) -> None:
            """The first time it dies over it, so it may have been applied."""
            request = next(peer.submits(nodes.ledger))
            if nodes.servers[1].connections > 1:
                peer.send(wire.OutOfOrder(request.first_sequence, 0))
                silent(peer)

        nodes.start(1, forgets)
        with pytest.raises(SessionLost, match="whether an unanswered entry took effect is not"):
            client.submit(b"y")
        nodes.servers[1].behave = leads(nodes.ledger)
        assert client.submit(b"z").result


def test_a_session_that_ended_while_nothing_was_unanswered_is_not_noticed(nodes: Nodes) -> None:
    """Not even when another node leads now: what is repeated is a question."""
    nodes.lead(1)
    with nodes.client() as client:
        client.submit(b"x")
        nodes.ledger.end_sessions()
        assert client.submit(b"y").ok
        channel, session, since = client._idle_sessions.pop()
        client._idle_sessions.append((channel, session, since - 2 * ASK_AGAIN_S))
        nodes.ledger.end_sessions()
        nodes.servers[1].kill()
        for node in (1, 2):
            nodes.start(node, redirects(3))
        nodes.lead(3)
        assert client.submit(b"z").ok
    assert nodes.ledger.applied == [b"x", b"y", b"z"]


def test_a_first_command_whose_session_has_ended_is_not_applied_again(nodes: Nodes) -> None:
    """Its answer was lost, and when the client comes again the cluster knows it no more."""

    def forgets(peer: Peer) -> None:
        request = next(peer.submits(nodes.ledger))
        nodes.ledger.answer(request)
        nodes.ledger.end_sessions()
        nodes.servers[1].behave = leads(nodes.ledger)

    nodes.start(1, forgets)
    with nodes.client() as client:
        with pytest.raises(SessionLost, match="whether an unanswered entry took effect is not"):
            client.submit(b"x")
        assert client.submit(b"y").ok
    assert nodes.ledger.applied == [b"x", b"y"]


def test_a_session_that_was_idle_for_long_is_not_used_again(nodes: Nodes) -> None:
    nodes.lead(1)
    with Client(nodes.sockets, idle_s=1e-9) as client:
        client.submit(b"x")
        client.submit(b"y")
        assert len(client._channels) == 1, "and its connection is closed"
    assert len(nodes.sessions()) == 2


def test_a_large_backlog_goes_to_a_slow_reader(nodes: Nodes) -> None:
    """Far more than a socket's buffer: what does not fit waits, and nothing is mixed up."""
    commands = [b"%04d" % n * 25_000 for n in range(60)]
    read = 0

    def source() -> Iterator[bytes]:
        nonlocal read
        for command in commands:
            read += 1
            yield command

    def late(peer: Peer) -> None:
        wait_for(lambda: read == len(commands))
        leads(nodes.ledger)(peer)

    nodes.start(1, late)
    with nodes.client(hedge_s=PATIENT_S) as client:
        done = list(client.submit_many(source()))
    assert_all(done, nodes, commands)


# -- input ---------------------------------------------------------------------------------------


def test_answers_do_not_wait_for_input(nodes: Nodes) -> None:
    nodes.lead(1)
    typed: queue.Queue[bytes | None] = queue.Queue()
    with nodes.client() as client:
        done = client.submit_many(iter(typed.get, None))
        for number in range(20):
            typed.put(b"%d" % number)
            assert next(done).entry == b"%d" % number
        typed.put(None)
        assert list(done) == []
    assert [request.commands for request in nodes.ledger.requests] == [
        [b"%d" % n] for n in range(20)
    ]


def test_input_is_read_no_further_than_the_window(nodes: Nodes) -> None:
    release = threading.Event()

    def held(peer: Peer) -> None:
        for request in peer:
            release.wait(PATIENT_S)
            peer.send(*nodes.ledger.answer(request))

    nodes.start(1, held)
    read = 0
    furthest = 0

    def source() -> Iterator[bytes]:
        nonlocal read, furthest
        for command in numbered(1000):
            furthest = max(furthest, read - len(nodes.ledger.applied))
            read += 1
            yield command

    with nodes.client(window=100, hedge_s=PATIENT_S) as client:
        done = client.submit_many(source())
        first: queue.Queue[Submitted] = queue.Queue()
        thread = threading.Thread(target=lambda: first.put(next(done)))
        thread.start()
        wait_for(lambda: read == 100)
        release.set()
        all_done = [first.get(timeout=PATIENT_S), *done]
        thread.join(PATIENT_S)
    assert furthest <= 100
    assert_all(all_done, nodes, numbered(1000))


def test_the_window_counts_bytes_too(nodes: Nodes) -> None:
    nodes.start(1, silent)
    read = 0

    def source() -> Iterator[bytes]:
        nonlocal read
        for _ in range(100):
            read += 1
            yield b"x" * 1000

    with nodes.client(window_bytes=10_000, timeout_s=0.4) as client, pytest.raises(NoAnswer):
        next(client.submit_many(source()))
    assert read == 10


def test_an_error_of_the_input_comes_after_what_came_before_it(nodes: Nodes) -> None:
    nodes.lead(1)

    def source() -> Iterator[bytes]:
        yield from numbered(700)
        raise ValueError("the disk is on fire")

    done: list[Submitted] = []
    with nodes.client() as client, pytest.raises(ValueError, match="on fire"):
        done.extend(client.submit_many(source()))
    assert_all(done, nodes, numbered(700))


def test_no_input_is_no_work(nodes: Nodes) -> None:
    with nodes.client(timeout_s=0.1) as client:
        assert list(client.submit_many([])) == []
        assert list(client.submit_many(iter([]))) == []


@pytest.mark.parametrize("window", [0, 65_537])
def test_a_window_that_no_node_allows_is_refused_at_once(nodes: Nodes, window: int) -> None:
    with pytest.raises(UsageError, match=f"a window of 1 to 65536 entries, not {window}"):
        nodes.client(window=window)


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (b"", "an entry is empty; it needs one byte at least"),
        (b"x" * 1001, "an entry of 1001 bytes is over the limit of 1000 (limits.entry)"),
    ],
)
def test_an_impossible_entry_is_refused_before_anything_is_sent(
    nodes: Nodes, entry: bytes, text: str
) -> None:
    nodes.lead(1)
    with nodes.client(max_entry_bytes=1000) as client:
        with pytest.raises(UsageError) as refused:
            client.submit(entry)
        assert str(refused.value) == text
        with pytest.raises(UsageError):
            client.submit_many([b"good", entry])
        assert nodes.servers[1].connections == 0

        done: list[Submitted] = []
        with pytest.raises(UsageError):
            done.extend(client.submit_many(iter([b"good", entry, b"never read"])))
        assert_all(done, nodes, [b"good"])
        client.submit(b"x" * 1000)
    assert len(nodes.sessions()) == 1, "nothing was left behind, so the session goes on"


def test_a_refusal_by_a_node_is_a_usage_error(nodes: Nodes) -> None:
    def refuses(peer: Peer) -> None:
        for request in peer.submits(nodes.ledger):
            if request.commands == [b"bad"]:
                peer.send(wire.Refused("bad is not allowed"))
            else:
                peer.send(*nodes.ledger.answer(request))

    nodes.start(1, refuses)
    with nodes.client() as client:
        with pytest.raises(Refused, match="refused by the cluster: bad is not allowed"):
            client.submit(b"bad")
        assert client.submit(b"good").result == b"at 1"


def test_what_was_answered_before_a_refusal_is_yielded_first(nodes: Nodes) -> None:
    def refuses(peer: Peer) -> None:
        requests = peer.submits(nodes.ledger)
        peer.send(*nodes.ledger.answer(next(requests)), wire.Refused("no more"))
        silent(peer)

    nodes.start(1, refuses)
    done: list[Submitted] = []
    with nodes.client() as client, pytest.raises(Refused):
        done.extend(client.submit_many(numbered(3000)))
    assert [one.entry for one in done] == nodes.ledger.applied != []


# -- reads and everything together ---------------------------------------------------------------


def test_reads_are_answered_together_in_order(nodes: Nodes) -> None:
    nodes.lead(1)
    with nodes.client() as client:
        client.submit(b"x")
        answers = client.read([b"a", b"refuse", b"c"])
    assert [(a.query, a.ok, a.raw, a.index) for a in answers] == [
        (b"a", True, b"1 applied", 1),
        (b"refuse", False, b"no such query", 1),
        (b"c", True, b"1 applied", 1),
    ]


def test_a_stale_read_is_answered_by_the_node_it_asks(nodes: Nodes) -> None:
    nodes.lead(1)
    nodes.start(2, redirects(1))
    with nodes.client() as client:
        client.submit(b"x")
        (here,) = client.read([b"q"], stale=True, node=1)
        (there,) = client.read([b"q"], stale=True, node=2)
        assert (here.leader, here.result) == (1, b"1 applied")
        assert (there.leader, there.result) == (2, b"0 applied")
        with pytest.raises(NoAnswer, match=r"within 0\.2 s: node 3 does not answer$"):
            client.read([b"q"], stale=True, node=3, timeout_s=0.2)
        with pytest.raises(UsageError, match="there is no node 9; there are nodes 1, 2, 3, 4 and"):
            client.read([b"q"], stale=True, node=9)


def test_a_linearizable_read_of_a_certain_node_is_answered_by_that_or_by_nobody(
    nodes: Nodes,
) -> None:
    """It says what it wants, and where it is redirected to it does not go."""
    asked: list[wire.ClientRequest] = []

    def follows_after_a_while(peer: Peer) -> None:
        for request in peer:
            asked.append(request)
            there = len(asked) > 5
            peer.send(*nodes.ledger.answer(request) if there else [wire.Redirect(1, "no leader")])

    leader = nodes.lead(1)
    nodes.start(2, follows_after_a_while)
    with nodes.client() as client:
        client.submit(b"x")
        connections = leader.connections
        (answer,) = client.read([b"q"], node=2)
        assert (answer.leader, answer.result) == (2, b"1 applied")
        assert {type(one) for one in asked} == {wire.Read}
        assert all(isinstance(one, wire.Read) and one.follower for one in asked)
        assert leader.connections == connections
        asked.clear()
        client.read([b"q"])
        assert asked == []
        nodes.servers[2].behave = redirects(1)
        with pytest.raises(NoAnswer, match="node 2 is slow to answer"):
            client.read([b"q"], node=2, timeout_s=0.3)


def test_calls_may_overlap(nodes: Nodes) -> None:
    """A read and a submission between two answers; and eight threads at once."""
    nodes.lead(1)
    with nodes.client(window=8) as client:
        done: list[Submitted] = []
        for one in client.submit_many(b"outer %d" % n for n in range(40)):
            done.append(one)
            seen = int(client.read([b"q"])[0].result.split()[0])
            assert seen >= one.index
            assert client.submit(b"inner").index > one.index
        assert [one.entry for one in done] == [b"outer %d" % n for n in range(40)]
        assert len(nodes.sessions()) == 2

        counts: queue.Queue[int] = queue.Queue()

        def many() -> None:
            counts.put(len(list(client.submit_many(numbered(300)))))

        threads = [threading.Thread(target=many) for _ in range(8)]
        for thread in threads:
            thread.start()
        assert [counts.get(timeout=PATIENT_S) for _ in threads] == [300] * 8
        for thread in threads:
            thread.join(PATIENT_S)
    assert len(nodes.ledger.applied) == 80 + 2400


def test_a_closed_client_says_so(nodes: Nodes) -> None:
    nodes.lead(1)
    client = nodes.client()
    client.submit(b"x")
    done = client.submit_many(numbered(10_000))
    next(done)
    client.close()
    client.close()
    with pytest.raises(UsageError, match="closed"):
        client.submit(b"y")
    with pytest.raises(UsageError, match="closed"):
        list(done)


def test_a_client_needs_a_node() -> None:
    with pytest.raises(UsageError):
        Client({})
