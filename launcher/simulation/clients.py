"""Simulated clients: the product's own client protocol, many times over, in simulated time.

Each has a `Session` and a `Route` for entries and a `Route` for reads, as `launcher/client.py` has,
and in place of sockets the connections of `network.py`. A client does one call at a time, which is
one read, or a few commands that are submitted together; when a call is not answered in time it
gives up, as `Client` does: what it submitted may still be committed, its session is never used
again, and it begins another. It does the same when the cluster has forgotten its session.

What every operation did and when goes into a history for the checker. Written values are unique, so
that a command which takes effect twice shows.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import msgspec

from launcher.answers import ReadAnswer, Submitted
from launcher.checking.history import CAS, DELETE, READ, WRITE, Kind, Operation
from launcher.route import Refused, Route
from launcher.session import Query, Session, SessionLost, Work
from launcher.simulation.network import Connection, Time
from launcher.simulation.timer import Waiting
from launcher.sockets import Keys
from node import wire
from node.errors import WireError
from node.raft.invariants import InvariantBroken
from node.raft.messages import NodeId

if TYPE_CHECKING:
    from launcher.simulation.node import SimulatedNode

EXACTLY_ONCE = "exactly-once"
"""A command takes effect once, however often it is sent, and its answer tells where."""

READ_INDEX = "read-index"
"""A read sees all that anybody knew to be committed when it was asked, acknowledged or not."""

TIMEOUTS_S = (0.4, 1.0, 3.0)
"""A call that is not answered for one of these is given up."""

MOST_BEHIND_S = 1.0
"""What a client was kept from asking for so long, it asks once it can."""

LATENCY_S = 0.0001

ASK_AGAIN_S = 0.1
"""After so long without an answer a client looks for the leader first, where sessions may end."""

_T = TypeVar("_T", Submitted, ReadAnswer)


class Asked(msgspec.Struct, gc=False):
    """One operation that has begun.

    committed: of a read, up to where anybody knew the log to be committed by then
    """

    kind: Kind
    key: bytes
    command: bytes
    invoked_s: float
    value: bytes | None = None
    expected: bytes | None = None
    committed: int = 0


class Listener(Protocol):
    """Who is told what clients learn.

    committed_index: up to where anybody knows the log to be committed
    """

    committed_index: int

    def acknowledged(self, index: int, term: int, command: bytes) -> None:
        """An entry's answer has reached its client."""
        ...


class _Way(Waiting, Generic[_T]):
    """A route, with the world's time and connections around it: what `channel.py` is elsewhere."""

    __slots__ = (
        "_client",
        "_closed",
        "_node",
        "route",
    )

    def __init__(
        self,
        client: SimulatedClient,
        work: Work[_T],
        node: NodeId | None = None,
    ) -> None:
        """node: the only one that is to answer; else the leader is"""
        super().__init__(client.time)
        self._client: SimulatedClient = client
        self._node: NodeId | None = node
        nodes = Keys(client.nodes) if node is None else [node]
        self.route: Route[_T] = Route(
            nodes, work, self, client.chance_of_routes, leader=client.leader
        )
        self._closed = False

    def close(self) -> None:
        """Ends its connections, for good."""
        self._closed = True
        self.route.close()
        del self.route  # each holds the other, and there are thousands of them

    def open(self, node: NodeId) -> Connection | None:
        """The `Dial` port."""
        there = self._client.nodes.get(node)
        if there is None or there.server is None:
            return None
        connection = Connection(self.time, self, there, LATENCY_S)
        there.connect(connection)
        return connection

    def advance(self) -> None:
        """Sends what is to be sent, and comes back when it is time to ask elsewhere."""
        if not self._closed:
            self.route.advance(self.time.now)
            self.arm_timer()

    act = advance

    def due_s(self) -> float:
        """When it is time to ask elsewhere."""
        return math.inf if self._closed else self.route.deadline

    def received(self, connection: Connection, frames: list[bytes]) -> None:
        """The `Caller` port."""
        now = self.time.now
        answers: list[_T] = []
        lost = False
        for frame in frames:
            try:
                answers += self.route.received(connection, wire.decode_reply(frame), now)
            except (Refused, SessionLost, WireError) as error:
                if isinstance(error, SessionLost) and self._client.sessions_end:
                    lost = True
                    break
                belief = f"client {self._client.number} was told: {error}"
                raise InvariantBroken(EXACTLY_ONCE, belief) from error
        if answers:
            if self._node is None:
                self._client.leader = self.route.leader
            self._client.answered(answers)
        if lost:
            self._client.give_up()
        self.advance()

    def lost(self, connection: Connection) -> None:
        """The `Caller` port."""
        self.route.lost(connection, self.time.now)
        self.advance()


class SimulatedClient(Waiting):
    """One client and its history."""

    # More than thirty would be kept in a dict.
    __slots__ = (
        "_answered_s",
        "_asked",
        "_asked_of_one",
        "_chance",
        "_due_s",
        "_followers",
        "_give_up_at",
        "_keys",
        "_last_index",
        "_last_seen",
        "_listener",
        "_one_shot",
        "_only_reads",
        "_padding",
        "_queries",
        "_rate",
        "_reads",
        "_session",
        "_sessions",
        "_submits",
        "_until_s",
        "_values",
        "_whom",
        "answers",
        "chance_of_routes",
        "history",
        "idle",
        "leader",
        "nodes",
        "number",
        "sessions_end",
    )

    def __init__(
        self,
        number: int,
        nodes: dict[NodeId, SimulatedNode],
        time: Time,
        listener: Listener,
        chance: random.Random,
        *,
        keys: int,
        rate: float,
        padding: int = 0,
        followers: float = 0.0,
        whom: random.Random | None = None,
        sessions_end: bool = False,
        only_reads: bool = False,
        one_shot: bool = False,
    ) -> None:
        """keys, padding, followers, sessions_end: as in `Situation`

        rate: operations a second that it begins if it can
        whom: the chance by which it chooses who is to answer a read
        only_reads: it makes no calls that wait for others: so it also asks a leader that is alone
        one_shot: it begins anew for each call, with whom it likes, as `launcher submit` does
        """
        super().__init__(time)
        self.number = number
        self.nodes = nodes
        self.leader: NodeId | None = None
        self.history: list[Operation] = []
        self.idle = True
        self.answers = 0
        """how many operations have been answered"""
        self._listener = listener
        self._chance = chance
        self._keys = [b"k%d" % key for key in range(keys)]
        self._rate = rate
        self._padding = padding
        self._followers = followers
        self._whom = whom or random.Random(number)
        self.sessions_end = sessions_end
        self._only_reads = only_reads
        self._one_shot = one_shot
        self._values = 0
        self._sessions = 0
        self._reads = 0
        self._last_seen: dict[bytes, bytes] = {}
        self._asked: deque[Asked] = deque()
        self._give_up_at = 0.0
        self._last_index = 0
        self._answered_s = 0.0
        self._submits: _Way[Submitted]
        self._queries: _Way[ReadAnswer] | None = None
        self._asked_of_one: _Way[ReadAnswer] | None = None
        self.chance_of_routes = random.Random(chance.random())
        self._begin_session()

    # -- calls -----------------------------------------------------------------------------------

    def work(self, until_s: float) -> None:
        """Makes calls, with pauses in between, until then."""
        self._until_s = until_s
        self._due_s = self.time.now
        self._think(1)

    def submit(self, asked: Sequence[Asked]) -> None:
        """Submits commands together, in one request or in several that follow each other."""
        self._begin_call(asked)
        if self.time.now - self._answered_s > ASK_AGAIN_S:
            self._session.ask_again()
        commands = [one.command for one in asked]
        split = len(commands) - int(self._chance.random() ** 3 * len(commands))
        self._session.add(commands[:split], self.time.now)
        self._submits.advance()
        if split < len(commands):
            self._session.add(commands[split:], self.time.now)
            self._submits.advance()

    def read(self, key: bytes, node: NodeId | None = None) -> None:
        """Reads a key, linearizably, without an entry: of the leader, or of a certain node."""
        command = b"GET " + key
        asked = Asked(READ, key, command, self.time.now)
        asked.committed = self._listener.committed_index
        self._begin_call([asked])
        self._reads += 1
        query = Query(self._reads, [command], self.time.now, follower=node is not None)
        if node is not None:
            self._asked_of_one = _Way(self, query, node)
            self._asked_of_one.advance()
            return
        if self._queries is None:
            self._queries = _Way(self, query)
        else:
            self._queries.route.begin(query)
        self._queries.advance()

    def write(self, key: bytes) -> Asked:
        """A command that sets a key to a value which nobody else ever writes."""
        value = self._new_value()
        command = b"SET %s %s" % (key, value)
        return Asked(WRITE, key, command, self.time.now, value)

    def _begin_call(self, asked: Sequence[Asked]) -> None:
        assert self.idle, "one call at a time"
        self.idle = False
        self._asked.extend(asked)
        self._give_up_at = self.time.now + self._chance.choice(TIMEOUTS_S)
        self.arm_timer()

    def end(self) -> None:
        """The run is over: what has no answer yet never gets one."""
        for one in self._asked:
            self._record(one, None)
        self._asked.clear()

    def due_s(self) -> float:
        """When it gives up the call that it makes."""
        return math.inf if self.idle else self._give_up_at

    def give_up(self) -> None:
        """What has no answer yet may have happened or not; its session is given up."""
        self.end()
        self._begin_anew()
        self._end_call(1)

    act = give_up

    def _begin_anew(self) -> None:
        self._submits.close()
        if self._queries is not None:
            self._queries.close()
            self._queries = None
        self._leave_the_one()
        self._begin_session()

    def _leave_the_one(self) -> None:
        """A connection to a certain node is not kept."""
        if self._asked_of_one is not None:
            self._asked_of_one.close()
            self._asked_of_one = None

    def _end_call(self, operations: int) -> None:
        self.idle = True
        self._leave_the_one()
        if self.time.now < self._until_s:
            self._think(operations)

    def _think(self, operations: int) -> None:
        """Pauses so long that the rate comes out; after a delay of up to a second, all at once."""
        now = self.time.now
        pause_s = self._chance.expovariate(self._rate) * operations
        self._due_s = max(self._due_s + pause_s, now - MOST_BEHIND_S)
        self.time.at(max(self._due_s, now), self._next_call)

    def _next_call(self) -> None:
        if not self.idle or self.time.now >= self._until_s:
            return
        if self._one_shot:
            self.leader = self._whom.choice(list(self.nodes))
            self._begin_anew()
        key = self._key()
        if self._chance.random() < 0.35 or self._only_reads:
            of_one = self._whom.random() < self._followers
            self.read(key, self._whom.choice(list(self.nodes)) if of_one else None)
            return
        count = 1 + int(self._chance.random() ** 2 * 14)
        self.submit([self._command(self._key()) for _ in range(count)])

    def _command(self, key: bytes) -> Asked:
        choice = self._chance.random()
        if choice < 0.55:
            return self.write(key)
        if choice < 0.85:
            value = self._new_value()
            old = self._last_seen.get(key, b"none")
            command = b"CAS %s %s %s" % (key, old, value)
            return Asked(CAS, key, command, self.time.now, value, old)
        if choice < 0.93:
            return Asked(READ, key, b"GET " + key, self.time.now)
        return Asked(DELETE, key, b"DEL " + key, self.time.now)

    def _key(self) -> bytes:
        return self._keys[int(self._chance.random() * len(self._keys))]

    def _new_value(self) -> bytes:
        self._values += 1
        value = b"c%d-%d" % (self.number, self._values)
        if self._padding:
            value += b"." * int(self._chance.random() * self._padding)
        return value

    def _begin_session(self) -> None:
        def new_client_id() -> bytes:
            self._sessions += 1
            return b"client %d.%d" % (self.number, self._sessions)

        self._session = Session(new_client_id, asks=self.sessions_end)
        self._last_index = 0
        self._submits = _Way(self, self._session)

    # -- answers ---------------------------------------------------------------------------------

    def answered(self, answers: Sequence[Submitted] | Sequence[ReadAnswer]) -> None:
        """The next operations of this call are done."""
        self._answered_s = self.time.now
        self.answers += len(answers)
        for answer in answers:
            asked = self._asked.popleft()
            if isinstance(answer, Submitted):
                self._take_submitted(asked, answer)
            else:
                self._expect_recent(asked, answer)
            self._record(asked, answer)
        if not self._asked:
            self._end_call(len(answers))

    def _expect_recent(self, asked: Asked, answer: ReadAnswer) -> None:
        """Sooner than the checker, which only sees what such a read comes to (§8)."""
        if answer.index < asked.committed:
            belief = (
                f"client {self.number} is answered as things were after entry {answer.index}, "
                f"and when it asked, {asked.committed} entries were known to be committed"
            )
            raise InvariantBroken(READ_INDEX, belief)

    def _take_submitted(self, asked: Asked, answer: Submitted) -> None:
        if answer.entry != asked.command or answer.index <= self._last_index:
            belief = f"client {self.number} gets its answers in order: {answer} for {asked}"
            raise InvariantBroken(EXACTLY_ONCE, belief)
        self._last_index = answer.index
        self._listener.acknowledged(answer.index, answer.term, asked.command)

    def _record(self, asked: Asked, answer: Submitted | ReadAnswer | None) -> None:
        observed: bytes | None = None
        ok = True
        if answer is not None:
            ok = answer.ok
            if not ok:
                observed = _held(asked, answer)
                ok = asked.kind is READ
            elif asked.kind is READ:
                observed = answer.result
            self._note(asked, ok, observed)
        self.history.append(
            Operation(
                client=self.number,
                kind=asked.kind,
                key=asked.key,
                invoked_s=asked.invoked_s,
                completed_s=None if answer is None else self.time.now,
                ok=ok,
                value=asked.value,
                expected=asked.expected,
                observed=observed,
            )
        )

    def _note(self, asked: Asked, ok: bool, observed: bytes | None) -> None:
        seen = asked.value if ok and asked.value is not None else observed
        if seen is None:
            self._last_seen.pop(asked.key, None)
        else:
            self._last_seen[asked.key] = seen


def _held(asked: Asked, answer: Submitted | ReadAnswer) -> bytes | None:
    """What the key held, by a refusal of the kv machine; None when there was no such key."""
    if answer.raw == b"no key " + asked.key:
        return None
    lost_race = b"CAS failed: %s is " % asked.key
    if asked.kind is CAS and answer.raw.startswith(lost_race):
        return answer.raw[len(lost_race) :]
    belief = f"{asked.command!r} was answered with {answer.raw!r}"
    raise InvariantBroken(EXACTLY_ONCE, belief)
