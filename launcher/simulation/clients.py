"""Simulated clients: the product's own client protocol, in simulated time.

Each client has a `Session` and a `Route` for entries and a `Route` for reads, as
`launcher/client/client.py` has. A client makes one call at a time: one read, or a few commands that
it submits together. When a call has no reply in time, the client gives up, as `Client` does: what
it submitted may still be committed, so it never uses that session again, and begins another one. It
does the same when the cluster has forgotten its session.

A history for the checker holds every operation and its result. All written values are unique, so
that a command which takes effect twice is noticed.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from launcher.checking.history import CAS, DELETE, READ, WRITE, Kind, Operation
from launcher.client.answers import ReadAnswer, Submitted
from launcher.client.session import Query, Session
from launcher.simulation.channel import SimulatedChannel
from launcher.simulation.network import Time
from launcher.simulation.properties import EXACTLY_ONCE, READ_INDEX
from launcher.simulation.timer import Waiting
from node.raft.invariants import InvariantBroken
from node.raft.messages import NodeId

if TYPE_CHECKING:
    from launcher.simulation.node import SimulatedNode


TIMEOUTS_S = (0.4, 1.0, 3.0)
"""A client draws one of these for each call, and gives the call up when it has no reply by then."""

MOST_BEHIND_S = 1.0
"""A client that could not begin its operations makes up for at most so long, all at once."""

ASK_AGAIN_S = 0.1
"""Where sessions may end, a client without a reply for so long looks for the leader first."""


class Asked(msgspec.Struct, gc=False):
    """One operation that has begun.

    committed: READ: up to where any node knew the log to be committed when the client asked
    """

    kind: Kind
    key: bytes
    command: bytes
    invoked_s: float
    value: bytes | None = None
    expected: bytes | None = None
    committed: int = 0


class ClientObserver(Protocol):
    """Receives what clients learn.

    committed_index: up to where any node knows the log to be committed
    """

    committed_index: int

    def acknowledged(self, index: int, term: int, command: bytes) -> None:
        """A client has received the reply to an entry."""
        ...


class SimulatedClient(Waiting):
    """One client and its history.

    answers: how many of its operations have a reply
    leader: the node that it believes to lead
    idle: it makes no call now
    """

    __slots__ = (  # more than thirty attributes would be kept in a dict
        "_answered_s", "_asked", "_due_s", "_followers", "_give_up_at", "_keys", "_last_index",
        "_last_seen", "_observer", "_one_shot", "_only_reads", "_padding", "_queries", "_rate",
        "_reads", "_rng", "_session", "_sessions", "_single_node", "_submits", "_target_rng",
        "_until_s", "_values", "answers", "history", "idle", "leader", "nodes", "number",
        "route_rng", "sessions_end",
    )  # fmt: skip

    def __init__(
        self,
        number: int,
        nodes: dict[NodeId, SimulatedNode],
        time: Time,
        observer: ClientObserver,
        rng: random.Random,
        *,
        keys: int,
        rate: float,
        padding: int = 0,
        followers: float = 0.0,
        target_rng: random.Random | None = None,
        sessions_end: bool = False,
        only_reads: bool = False,
        one_shot: bool = False,
    ) -> None:
        """keys, padding, followers, sessions_end: as in `Situation`

        rate: operations a second that it begins if it can
        target_rng: chooses the node that a read, or a one-shot call, is sent to
        only_reads: it never waits for an entry, so it goes on asking a leader that is cut off
        one_shot: it begins a new session for each call, with any node, as `launcher submit` does
        """
        super().__init__(time)
        self.number = number
        self.nodes = nodes
        self.leader: NodeId | None = None
        self.history: list[Operation] = []
        self.idle = True
        self.answers = 0
        self._observer = observer
        self._rng = rng
        self._keys = [b"k%d" % key for key in range(keys)]
        self._rate = rate
        self._padding = padding
        self._followers = followers
        self._target_rng = target_rng or random.Random(number)
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
        self._submits: SimulatedChannel[Submitted]
        self._queries: SimulatedChannel[ReadAnswer] | None = None
        self._single_node: SimulatedChannel[ReadAnswer] | None = None
        self.route_rng = random.Random(rng.random())
        self._begin_session()

    # -- calls -----------------------------------------------------------------------------------

    def work(self, until_s: float) -> None:
        """Makes calls, with pauses between them, until then; simulated seconds."""
        self._until_s = until_s
        self._due_s = self.time.now
        self._think(1)

    def submit(self, asked: Sequence[Asked]) -> None:
        """Submits commands together, in one request or in two that follow each other."""
        self._begin_call(asked)
        if self.time.now - self._answered_s > ASK_AGAIN_S:
            self._session.ask_again()
        commands = [one.command for one in asked]
        split = len(commands) - int(self._rng.random() ** 3 * len(commands))
        self._session.add(commands[:split], self.time.now)
        self._submits.advance()
        if split < len(commands):
            self._session.add(commands[split:], self.time.now)
            self._submits.advance()

    def read(self, key: bytes, node: NodeId | None = None) -> None:
        """Reads a key, linearizably, without an entry: from the leader, or from a certain node."""
        command = b"GET " + key
        asked = Asked(READ, key, command, self.time.now)
        asked.committed = self._observer.committed_index
        self._begin_call([asked])
        self._reads += 1
        query = Query(self._reads, [command], self.time.now, follower=node is not None)
        if node is not None:
            self._single_node = SimulatedChannel(self, query, node)
            self._single_node.advance()
            return
        if self._queries is None:
            self._queries = SimulatedChannel(self, query)
        else:
            self._queries.route.begin(query)
        self._queries.advance()

    def write(self, key: bytes) -> Asked:
        """A command that sets a key to a value that no other command writes."""
        value = self._new_value()
        command = b"SET %s %s" % (key, value)
        return Asked(WRITE, key, command, self.time.now, value)

    def _begin_call(self, asked: Sequence[Asked]) -> None:
        assert self.idle, "one call at a time"
        self.idle = False
        self._asked.extend(asked)
        self._give_up_at = self.time.now + self._rng.choice(TIMEOUTS_S)
        self.arm_timer()

    def end(self) -> None:
        """The run is over: an operation without a reply stays without one."""
        for one in self._asked:
            self._record(one, None)
        self._asked.clear()

    def due_s(self) -> float:
        """When the client gives up its call."""
        return math.inf if self.idle else self._give_up_at

    def give_up(self) -> None:
        """Gives up the call and its session. What has no reply may have happened or not."""
        self.end()
        self._reconnect()
        self._end_call(1)

    act = give_up

    def _reconnect(self) -> None:
        """Closes all connections, and begins a new session."""
        self._submits.close()
        if self._queries is not None:
            self._queries.close()
            self._queries = None
        self._close_single_node()
        self._begin_session()

    def _close_single_node(self) -> None:
        """A connection for a read from a certain node serves one call."""
        if self._single_node is not None:
            self._single_node.close()
            self._single_node = None

    def _end_call(self, operations: int) -> None:
        self.idle = True
        self._close_single_node()
        if self.time.now < self._until_s:
            self._think(operations)

    def _think(self, operations: int) -> None:
        """Pauses before the next call, so that the client keeps its rate (`MOST_BEHIND_S`)."""
        now = self.time.now
        pause_s = self._rng.expovariate(self._rate) * operations
        self._due_s = max(self._due_s + pause_s, now - MOST_BEHIND_S)
        self.time.at(max(self._due_s, now), self._next_call)

    def _next_call(self) -> None:
        if not self.idle or self.time.now >= self._until_s:
            return
        if self._one_shot:
            self.leader = self._target_rng.choice(list(self.nodes))
            self._reconnect()
        key = self._key()
        if self._rng.random() < 0.35 or self._only_reads:
            of_one = self._target_rng.random() < self._followers
            self.read(key, self._target_rng.choice(list(self.nodes)) if of_one else None)
            return
        count = 1 + int(self._rng.random() ** 2 * 14)
        self.submit([self._command(self._key()) for _ in range(count)])

    def _command(self, key: bytes) -> Asked:
        choice = self._rng.random()
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
        return self._keys[int(self._rng.random() * len(self._keys))]

    def _new_value(self) -> bytes:
        self._values += 1
        value = b"c%d-%d" % (self.number, self._values)
        if self._padding:
            value += b"." * int(self._rng.random() * self._padding)
        return value

    def _begin_session(self) -> None:
        def new_client_id() -> bytes:
            self._sessions += 1
            return b"client %d.%d" % (self.number, self._sessions)

        self._session = Session(new_client_id, asks=self.sessions_end)
        self._last_index = 0
        self._submits = SimulatedChannel(self, self._session)

    # -- replies ---------------------------------------------------------------------------------

    def answered(self, answers: Sequence[Submitted] | Sequence[ReadAnswer]) -> None:
        """Replies to the next operations of this call have arrived."""
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
        """A read sees what was committed when it was asked (§8). The checker notices only a stale
        read that changes a result."""
        if answer.index < asked.committed:
            belief = (
                f"client {self.number} is answered as things were after entry {answer.index}, "
                f"and when it asked, {asked.committed} entries were known to be committed"
            )
            raise InvariantBroken(
                READ_INDEX, belief, answered_by=answer.leader, in_term=answer.term,
                index=answer.index, committed=asked.committed, asked_s=asked.invoked_s,
            )  # fmt: skip

    def _take_submitted(self, asked: Asked, answer: Submitted) -> None:
        if answer.entry != asked.command or answer.index <= self._last_index:
            belief = f"client {self.number} gets its answers in order: {answer} for {asked}"
            raise InvariantBroken(EXACTLY_ONCE, belief)
        self._last_index = answer.index
        self._observer.acknowledged(answer.index, answer.term, asked.command)

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
    """What the key held, from the kv machine's refusal; None when there was no such key."""
    if answer.raw == b"no key " + asked.key:
        return None
    lost_race = b"CAS failed: %s is " % asked.key
    if asked.kind is CAS and answer.raw.startswith(lost_race):
        return answer.raw[len(lost_race) :]
    belief = f"{asked.command!r} was answered with {answer.raw!r}"
    raise InvariantBroken(EXACTLY_ONCE, belief)
