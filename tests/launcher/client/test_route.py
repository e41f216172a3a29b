"""Finding the leader, in a world of its own: no socket, no clock, every accident by seed."""

from __future__ import annotations

from collections import deque
from itertools import count
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from launcher.client.answers import ReadAnswer, Submitted
from launcher.client.route import AVOID_S, HEDGE_S, MAX_DELAY_S, Refused, Route
from launcher.client.session import Query, Session
from node import wire
from tests.launcher.fake_server import Ledger

LONGEST_PATIENCE_S = HEDGE_S * 1.5


class Wire:
    """A connection that a test holds the other end of."""

    def __init__(self, node: int) -> None:
        self.node = node
        self.open = True
        self.requests: deque[wire.ClientRequest] = deque()
        self.replies: deque[wire.ClientReply] = deque()

    def send(self, data: bytes) -> None:
        assert self.open, "nothing is sent over a closed connection"
        self.requests.extend(map(wire.decode_request, wire.FrameReader().feed(data)))

    def close(self) -> None:
        assert self.open, "a connection is closed once"
        self.open = False


class Net:
    """Opens connections to the nodes that are not `dead`; remembers every attempt."""

    def __init__(self) -> None:
        self.dead: set[int] = set()
        self.wires: list[Wire] = []
        self.attempts: list[int] = []

    def open(self, node: int) -> Wire | None:
        self.attempts.append(node)
        if node in self.dead:
            return None
        self.wires.append(Wire(node))
        return self.wires[-1]

    @property
    def alive(self) -> list[Wire]:
        return [one for one in self.wires if one.open]

    def to(self, node: int) -> Wire:
        """The one open connection to this node."""
        (found,) = [one for one in self.alive if one.node == node]
        return found


def new_session() -> Session:
    ids = count(1)
    return Session(lambda: b"%d" % next(ids))


def set_out(
    *commands: bytes, dead: set[int] | None = None, leader: int | None = None
) -> tuple[Net, Session, Route[Submitted]]:
    """A session with these commands, each in a chunk of its own, at time 0, to nodes 1 to 5."""
    net, session = Net(), new_session()
    net.dead = dead or set()
    for command in commands or (b"a", b"b"):
        session.add([command], 0.0)
    route: Route[Submitted] = Route([1, 2, 3, 4, 5], session, net, Random(1), leader=leader)
    route.advance(0.0)
    return net, session, route


def run(route: Route[Submitted], now: float, until: float) -> float:
    """Lets time pass: `advance` whenever it is due."""
    while route.deadline <= until:
        now = max(now, route.deadline)
        route.advance(now)
    return until


def sequences(one: Wire) -> list[int]:
    return [r.first_sequence for r in one.requests if isinstance(r, wire.Submit)]


OK = wire.Answers(1, 1, 1, [b"A"], [])


def test_a_redirect_is_followed_at_once_and_carries_everything() -> None:
    net, _, route = set_out()
    assert sequences(net.to(1)) == [1, 2]

    route.received(net.to(1), wire.Redirect(4), 0.01)
    route.advance(0.01)

    assert [one.node for one in net.alive] == [4]
    assert sequences(net.to(4)) == [1, 2]
    assert route.leader == 4


def test_a_node_may_redirect_to_itself_once_it_leads() -> None:
    net, _, route = set_out()
    first = net.to(1)

    route.received(first, wire.Redirect(1), 0.01)
    route.advance(0.01)

    assert net.to(1) is not first
    assert sequences(net.to(1)) == [1, 2]


def test_after_a_dead_leader_the_next_node_is_asked_at_once() -> None:
    net, _, route = set_out(leader=3)

    route.lost(net.to(3), 0.01)
    route.advance(0.01)

    (other,) = net.alive
    assert other.node != 3
    assert sequences(other) == [1, 2]
    assert route.leader is None


def test_what_the_next_node_is_told_begins_with_the_lowest_unanswered() -> None:
    net, _, route = set_out(leader=3)

    assert len(route.received(net.to(3), OK, 0.01)) == 1
    route.lost(net.to(3), 0.02)
    route.advance(0.02)

    assert sequences(net.alive[0]) == [2]


def test_a_dead_leaders_name_is_not_followed_and_makes_no_hot_loop() -> None:
    """Four followers that have not noticed all say: 3. The client asks around, ever more slowly."""
    net, _, route = set_out(dead={3}, leader=3)
    now = 0.0
    while now < 1.0:
        for one in net.alive:
            route.received(one, wire.Redirect(3), now)
        route.advance(now)
        now = max(now + 0.0005, route.deadline if not net.alive else now)

    asked = len(net.attempts)
    assert asked < 10 + 1.0 / (MAX_DELAY_S / 2)
    assert set(net.attempts) == {1, 2, 3, 4, 5}
    assert net.attempts.count(3) <= 1 + 1.0 / AVOID_S  # and still, now and then: it may be back


def test_a_dead_cluster_is_asked_quickly_at_first_and_then_slowly() -> None:
    net, _, route = set_out(dead={1, 2, 3, 4, 5})

    run(route, 0.0, 0.02)
    assert set(net.attempts) == {1, 2, 3, 4, 5}  # all of them within 20 ms

    before = len(net.attempts)
    run(route, 1.0, 2.0)
    assert 1.0 / MAX_DELAY_S - 1 <= len(net.attempts) - before <= 1.0 / (MAX_DELAY_S / 2) + 1


def test_after_an_answer_the_next_mishap_is_the_first_one_again() -> None:
    net, _, route = set_out(dead={1, 2, 3, 4, 5})
    now = run(route, 0.0, 1.0)
    net.dead.clear()
    now = run(route, now, 1.0 + MAX_DELAY_S)
    route.received(net.alive[0], OK, now)

    route.lost(net.alive[0], now)

    assert route.deadline == now


def test_a_node_that_hung_up_while_nobody_listened_may_be_back() -> None:
    net, session, route = set_out(b"a", leader=3)
    route.received(net.to(3), OK, 0.0)
    route.lost(net.to(3), 60.0)
    session.add([b"b"], 60.0)
    route.advance(60.0)
    (other,) = net.alive

    route.received(other, wire.Redirect(3), 60.0)
    route.advance(60.0)

    assert sequences(net.to(3)) == [2]


def test_silence_asks_another_node_with_the_lowest_chunk_and_keeps_waiting() -> None:
    net, _, route = set_out(leader=1)

    run(route, 0.0, LONGEST_PATIENCE_S)

    (probe,) = [one for one in net.alive if one.node != 1]
    assert sequences(probe) == [1]
    assert sequences(net.to(1)) == [1, 2]


def test_a_probe_that_confirms_the_primary_changes_nothing() -> None:
    net, _, route = set_out(leader=1)
    primary = net.to(1)
    now = run(route, 0.0, LONGEST_PATIENCE_S)
    (probe,) = [one for one in net.alive if one.node != 1]

    route.received(probe, wire.Redirect(1), now)

    assert net.alive == [primary]
    assert len(route.received(primary, OK, now)) == 1


def test_a_probe_that_answers_becomes_the_primary_and_gets_the_rest() -> None:
    net, _, route = set_out(leader=1)
    now = run(route, 0.0, LONGEST_PATIENCE_S)
    (probe,) = [one for one in net.alive if one.node != 1]

    (answer,) = route.received(probe, OK, now)
    route.advance(now)

    assert answer.leader == probe.node == route.leader
    assert net.alive == [probe]
    assert sequences(probe) == [1, 2]


def test_a_probe_that_names_another_leader_is_believed() -> None:
    net, _, route = set_out(leader=1)
    now = run(route, 0.0, LONGEST_PATIENCE_S)
    (probe,) = [one for one in net.alive if one.node != 1]

    other = next(node for node in (4, 5) if node != probe.node)
    route.received(probe, wire.Redirect(other), now)
    route.advance(now)

    assert [one.node for one in net.alive] == [other]
    assert sequences(net.to(other)) == [1, 2]


def test_when_the_primary_dies_the_probe_takes_its_place() -> None:
    net, _, route = set_out(leader=1)
    now = run(route, 0.0, LONGEST_PATIENCE_S)
    (probe,) = [one for one in net.alive if one.node != 1]

    route.lost(net.to(1), now)
    route.advance(now)

    assert net.alive == [probe]
    assert sequences(probe) == [1, 2]


def test_silence_all_around_asks_everybody_in_turn() -> None:
    net, _, route = set_out(leader=1)
    run(route, 0.0, 4 * LONGEST_PATIENCE_S)
    assert set(net.attempts) == {1, 2, 3, 4, 5}
    assert len(net.alive) == 2


def test_nothing_is_done_while_nothing_is_outstanding() -> None:
    net, session, route = set_out(b"a", leader=1)
    route.received(net.to(1), OK, 0.0)
    assert route.deadline == float("inf")
    route.advance(1000.0)

    session.add([b"b"], 2000.0)
    route.advance(2000.0)  # an old silence is no silence

    assert len(net.alive) == 1
    assert sequences(net.to(1)) == [1, 2]


def test_a_caller_that_was_away_has_heard_no_silence() -> None:
    net, _, route = set_out(leader=1)
    route.look_again(60.0)
    route.advance(60.0)
    assert [one.node for one in net.alive] == [1]


@pytest.mark.parametrize("reply", [wire.Answers(5, 1, 1, [b"?"], []), wire.OutOfOrder(2, 1)])
def test_a_connection_out_of_step_is_given_up_and_all_sent_again(reply: wire.ClientReply) -> None:
    net, _, route = set_out(leader=1)
    first = net.to(1)

    assert route.received(first, reply, 0.0) == []
    route.advance(0.0)

    assert not first.open
    assert sequences(net.alive[0]) == [1, 2]


def test_endless_gaps_are_met_ever_more_slowly() -> None:
    net, _, route = set_out(leader=1)
    now = 0.0
    while now < 1.0:
        for one in net.alive:
            route.received(one, wire.OutOfOrder(1, 1), now)
        now = route.deadline
        route.advance(now)
    assert len(net.attempts) < 10 + 1.0 / (MAX_DELAY_S / 2)
    assert set(net.attempts) == {1}, "the leader is the one that knows"


def test_a_refusal_is_raised() -> None:
    net, _, route = set_out()
    with pytest.raises(Refused, match="refused by the cluster: too long") as refused:
        route.received(net.to(1), wire.Refused("too long"), 0.0)
    assert refused.value.exit_status == 2


def test_a_reply_over_a_connection_that_was_given_up_is_ignored() -> None:
    net, session, route = set_out(leader=1)
    first = net.to(1)
    route.received(first, wire.Redirect(2), 0.0)
    assert route.received(first, OK, 0.0) == []
    route.lost(first, 0.0)
    assert session.lowest_unanswered == 1


def test_the_next_query_goes_over_the_same_connection() -> None:
    net = Net()
    route: Route[ReadAnswer] = Route([1, 2], Query(1, [b"x"], 0.0), net, Random(1))
    route.advance(0.0)
    route.received(net.to(1), wire.ReadResult(1, 1, 1, [b"X"], []), 0.0)

    route.begin(Query(2, [b"y"], 0.0))
    route.advance(0.0)

    assert [r.read_id for r in net.to(1).requests if isinstance(r, wire.Read)] == [1, 2]


# -- every accident at once ----------------------------------------------------------------------


class World(Net):
    """Five nodes that come and go, and one client that submits through all of it.

    A leader's `tail` is what it has proposed and not committed; when it is deposed, the next one
    commits any prefix of it, and nobody answers for that. It may not know yet that it is deposed
    (`zombies`), and then takes requests that are never committed; once it knows, it sends everybody
    away who waits for it. A node that hangs keeps everything it gets, for later. Everything in
    flight may be lost with its connection.
    """

    def __init__(self, random: Random, entries: int) -> None:
        super().__init__()
        self.random = random
        self.now = 0.0
        self.ledger = Ledger()
        self.leader: int | None = 1
        self.rumour: int | None = 1
        self.tail: list[tuple[Wire, wire.Submit]] = []
        self.zombies: dict[int, list[Wire]] = {}
        self.hung: set[int] = set()
        self.dying: list[Wire] = []
        self.commands = [b"%d" % n for n in range(entries)]
        self.added = 0
        self.session = new_session()
        self.route: Route[Submitted] = Route([1, 2, 3, 4, 5], self.session, self, random)
        self.answered: list[Submitted] = []

    def step(self) -> None:
        accident = self.random.choices(
            [self.add, self.serve, self.commit, self.hear, self.depose, self.die, self.hang],
            [3, 12, 8, 12, 1, 0.5, 0.5],
        )[0]
        accident()
        self.now += self.random.choice([0.0, 0.0001, 0.003, 0.05])
        self.route.advance(self.now)

    def settle(self) -> None:
        """From now on all is well; so all is answered, soon."""
        self.add(len(self.commands))
        self.dead.clear()
        self.hung.clear()
        self.leader = self.leader or self.random.choice([1, 2, 3, 4, 5])
        self.rumour = self.leader
        for node in list(self.zombies):
            self.wake_up(node)
        give_up = self.now + 10 * LONGEST_PATIENCE_S
        while self.session.outstanding:
            assert self.now < give_up, "all is well, and nothing is answered"
            self.route.advance(self.now)
            for _ in range(200):
                self.serve()
                self.commit()
                self.hear()
            self.now += 0.002

    def add(self, most: int = 4) -> None:
        upto = min(self.added + self.random.randint(1, most), len(self.commands))
        upto = len(self.commands) if most > 4 else upto
        self.session.add(self.commands[self.added : upto], self.now)
        self.added = upto

    def serve(self) -> None:
        """A node takes one request."""
        waiting = [one for one in self.wires if one.requests and one.node not in self.hung]
        if not waiting:
            return
        one = self.random.choice(waiting)
        request = one.requests.popleft()
        assert isinstance(request, wire.Submit)
        if one.node == self.leader:
            if self.random.random() < 0.05:
                one.replies.append(wire.Redirect(None, "busy"))
            else:
                self.tail.append((one, request))
        elif one.node in self.zombies:
            self.zombies[one.node].append(one)
        else:
            hint = self.random.choice([self.rumour, self.leader, None])
            one.replies.append(wire.Redirect(hint))

    def commit(self) -> None:
        """The leader commits some of its tail, and answers in runs of any length."""
        many = self.random.randint(0, len(self.tail))
        for one, request in self.tail[:many]:
            for reply in self.ledger.commit(request):
                one.replies.extend(self.cut(reply))
        del self.tail[:many]

    def cut(self, reply: wire.ClientReply) -> list[wire.ClientReply]:
        if not isinstance(reply, wire.Answers) or len(reply.results) < 2 or reply.errors:
            return [reply]
        first, index, term, results = (
            reply.first_sequence,
            reply.first_index,
            reply.term,
            reply.results,
        )
        at = self.random.randint(1, len(results) - 1)
        return [
            wire.Answers(first, index, term, results[:at], []),
            wire.Answers(first + at, index + at, term, results[at:], []),
        ]

    def hear(self) -> None:
        """The client gets one reply, or the news of a connection's end behind the last."""
        waiting = [one for one in self.alive if one.replies or one in self.dying]
        if not waiting:
            return
        one = self.random.choice(waiting)
        if one.replies:
            self.answered += self.route.received(one, one.replies.popleft(), self.now)
        else:
            self.route.lost(one, self.now)

    def depose(self) -> None:
        """Another leader, or none for a while; the old one may not have noticed."""
        inherited = self.random.randint(0, len(self.tail))
        for _, request in self.tail[:inherited]:
            self.ledger.commit(request)
        self.rumour = self.leader
        if self.leader is not None and self.random.random() < 0.5:
            self.zombies[self.leader] = [one for one, _ in self.tail]
        else:
            for one, _ in self.tail:
                one.replies.append(wire.Redirect(None))
        self.tail.clear()
        up = [n for n in (1, 2, 3, 4, 5) if n not in self.dead]
        self.leader = self.random.choice([*up, None])
        self.wake_up(self.leader or 0)

    def wake_up(self, node: int) -> None:
        """A leader that was deposed learns of it."""
        for one in self.zombies.pop(node, []):
            one.replies.append(wire.Redirect(self.leader))

    def die(self) -> None:
        """A node is killed, with what it was about to say; or is back."""
        node = self.random.randint(1, 5)
        if node in self.dead:
            self.dead.discard(node)
            return
        if node == self.leader:
            self.depose()
            self.leader = None if self.leader == node else self.leader
        self.dead.add(node)
        self.zombies.pop(node, None)
        for one in [one for one in self.wires if one.node == node]:
            one.requests.clear()
            while one.replies and self.random.random() < 0.5:
                one.replies.pop()
            self.dying.append(one)

    def hang(self) -> None:
        self.hung ^= {self.random.randint(1, 5)}


@given(st.integers(0, 2**32), st.integers(1, 60))
@example(0, 60)
def test_every_entry_is_applied_once_in_order_and_answered(seed: int, entries: int) -> None:
    world = World(Random(seed), entries)
    for _ in range(400):
        world.step()
    world.settle()

    assert world.ledger.applied == world.commands
    assert [done.entry for done in world.answered] == world.commands
    assert [done.result for done in world.answered] == [b"at %d" % d.index for d in world.answered]
    indexes = [done.index for done in world.answered]
    assert indexes == sorted(set(indexes))
