"""A client's side of its session: every command takes effect once, in order (thesis §6.3).

A session numbers its commands 1, 2, 3, ... and keeps each until its answer has come. Commands that
wait together are packed into one *chunk*, which is what travels in a `Submit`. A connection may die
at any point, and then everything unanswered is sent again over the next one, from the lowest: the
servers apply nothing twice, and give the first answers again. What has been sent over a connection
is a *cursor*, kept by whoever owns the connection, so several may be tried at once.

    add(commands)           they get the next sequence numbers
    frames(cursor)          what a connection that is as far as `cursor` has yet to carry
    take(reply)             what the reply answers, in order; nothing is ever answered twice

Over one connection answers come in order and without gaps, beginning with the lowest sequence
number that was unanswered when it was opened; anything else is a WireError. `OutOfOrder` means that
a request was lost on its way to the log: the connection is to be given up, and the next begins with
the lowest again.

The cluster forgets sessions that are idle for long (`node/machines/sessions.py`), and must never
take a retry from one of them for the beginning of another. So an id tells when its session began: a
session that `asks` has the leader say first how far the log is applied, by a read of nothing (a
stale one would not do: a node that was cut off for long knows of a time that is past). One that the
cluster has forgotten begins anew under a new id, by itself, if nothing unanswered was ever sent
twice; for then the refusal proves that nothing of it was applied. Otherwise nobody can know, and
that is SessionLost.

What a client gives up on can be taken up again: `left` tells where it stands, and `resuming` goes
on from there, in another process too. Such a session acknowledges nothing, so that all its answers
come however often it is resumed; and it takes nothing new, because two copies of it would give
different entries the same number.

`Query` is the same for reads: one request that changes nothing, so any answer will do.
No socket, no clock and no randomness of its own here. The window, how much may be unanswered, is
the caller's: it adds no more than that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypeVar

import msgspec

from launcher.client.answers import ReadAnswer, Submitted
from launcher.errors import LauncherError
from node import wire
from node.errors import WireError
from node.machines.sessions import session_id
from node.raft.messages import NodeId

CHUNK_COMMANDS = 512
"""The most commands in one `Submit`."""

CHUNK_BYTES = 256 << 10
"""The most bytes of commands in one `Submit`; a larger command travels alone."""

_T = TypeVar("_T")


class SessionLost(LauncherError):
    """The cluster has forgotten the session in the middle: a retry might apply an entry twice."""

    def __init__(self, unanswered: list[bytes]) -> None:
        super().__init__(
            "the cluster no longer knows this client's session (sessions.timeout, sessions.most): "
            f"whether {_entries(len(unanswered))} took effect is not known; "
            "read the state before you submit it again"
        )
        self.unanswered = unanswered


class Unanswered(msgspec.Struct, frozen=True):
    """Entries that have no answer, and their place in their session.

    client_id: the session's id; empty while it has none, because nothing was sent yet
    first_sequence: the sequence number of entries[0]
    entries: in order
    sent: whether any of them was sent under that id, so that it may have been applied
    """

    client_id: bytes
    first_sequence: int
    entries: list[bytes]
    sent: bool


class Work(Protocol[_T]):
    """What a client wants of the cluster, and how far along it is. Two do: Session and Query."""

    @property
    def outstanding(self) -> bool:
        """Whether any answer is missing."""
        ...

    def frames(self, cursor: int, limit: int | None = None) -> tuple[int, list[bytes]]:
        """What a connection has yet to carry, as frames, and its cursor when it has.

        cursor: 0 for a new connection, then as returned
        limit: the most frames; those of the lowest numbers come first
        """
        ...

    def take(self, reply: wire.ClientReply, node: NodeId, now: float) -> list[_T] | None:
        """What `reply`, from `node`, answers that was not answered before, in order.

        None: a request was lost; this connection is to be given up and all sent over a new one.
        Raises WireError when the reply makes no sense, SessionLost.
        """
        ...


@dataclass(slots=True)
class _Chunk:
    """Consecutive unanswered commands, added together.

    first_sequence: of commands[0]
    added_at: when, in seconds
    sends: how often it went out
    risks: how often under the id that the session has now
    """

    first_sequence: int
    commands: list[bytes]
    added_at: float
    sends: int = 0
    risks: int = 0


_ASKED = -1
"""The cursor of a connection that has carried the question and nothing else yet."""

_QUESTION = wire.frame(wire.encode_client(wire.Read(0, [])))


class Session:
    """The commands of one client, from when they are added to when they are answered."""

    __slots__ = (
        "_asks",
        "_begun",
        "_chunks",
        "_dropped_chunks",
        "_must_ask",
        "_new_client_id",
        "_next_sequence",
        "_resumed",
        "client_id",
        "lowest_unanswered",
    )

    def __init__(self, new_client_id: Callable[[], bytes], *, asks: bool = False) -> None:
        """new_client_id: gives an id that is unique for all time, at each call another
        asks: needed wherever sessions may end; without it the id is taken as it is"""
        self._new_client_id = new_client_id
        self._asks = asks
        self._must_ask = asks
        self._begun = not asks
        self.client_id = new_client_id()
        self.lowest_unanswered = 1
        self._next_sequence = 1
        self._chunks: deque[_Chunk] = deque()
        self._dropped_chunks = 0
        """How many were answered; a cursor counts the chunks from the session's first."""
        self._resumed: tuple[int, list[bytes]] | None = None
        """What it was resumed with: the first sequence number, and all the commands."""

    @classmethod
    def resuming(cls, new_client_id: Callable[[], bytes], left: Unanswered, now: float) -> Session:
        """The session in which `left` was left behind. It must get no further commands."""
        session = cls(new_client_id, asks=True)
        if left.client_id:
            session.client_id = left.client_id
            session._begun = True
        session.lowest_unanswered = session._next_sequence = left.first_sequence
        session._resumed = left.first_sequence, left.entries
        session.add(left.entries, now)
        for chunk in session._chunks:
            chunk.risks = int(left.sent)
        return session

    @property
    def outstanding(self) -> bool:
        """Whether any answer is missing."""
        return bool(self._chunks)

    @property
    def unanswered(self) -> list[bytes]:
        """The commands without an answer, in order; the first has `lowest_unanswered`."""
        return [command for chunk in self._chunks for command in chunk.commands]

    @property
    def left(self) -> Unanswered:
        """What has no answer, to be resumed; of a session that was resumed, all it was resumed
        with."""
        first, commands = self._resumed or (self.lowest_unanswered, self.unanswered)
        sent = self.lowest_unanswered != first or any(chunk.risks for chunk in self._chunks)
        return Unanswered(self.client_id if self._begun else b"", first, commands, sent)

    def ask_again(self) -> None:
        """After a while without any work: find the leader with a question first, which may be
        repeated, so that a command is sent only once and a refusal of it proves something."""
        assert not self._chunks, "what is unanswered goes on as it is"
        self._must_ask = self._asks

    def add(self, commands: Sequence[bytes], now: float) -> None:
        """Gives `commands` the next sequence numbers. None of them is empty."""
        chunk: list[bytes] = []
        size = 0
        for command in commands:
            size += len(command)
            if chunk and (size > CHUNK_BYTES or len(chunk) == CHUNK_COMMANDS):
                self._append(chunk, now)
                chunk, size = [], len(command)
            chunk.append(command)
        if chunk:
            self._append(chunk, now)

    def _append(self, commands: list[bytes], now: float) -> None:
        self._chunks.append(_Chunk(self._next_sequence, commands, now))
        self._next_sequence += len(commands)

    def frames(self, cursor: int, limit: int | None = None) -> tuple[int, list[bytes]]:
        """See `Work`. A partly answered chunk is sent again without what was answered."""
        if self._must_ask:
            return _ASKED, [] if cursor == _ASKED else [_QUESTION]
        start = max(cursor - self._dropped_chunks, 0)
        stop = len(self._chunks)
        if limit is not None:
            stop = min(stop, start + limit)
        acknowledged = self.lowest_unanswered if self._resumed is None else self._resumed[0]
        frames = []
        for chunk in islice(self._chunks, start, stop):
            chunk.sends += 1
            chunk.risks += 1
            request = wire.Submit(
                self.client_id, chunk.first_sequence, acknowledged, chunk.commands
            )
            frames.append(wire.frame(wire.encode_client(request)))
        return self._dropped_chunks + stop, frames

    def take(self, reply: wire.ClientReply, node: NodeId, now: float) -> list[Submitted] | None:
        """See `Work`."""
        if isinstance(reply, wire.Answers):
            return self._take_answers(reply, node, now)
        if isinstance(reply, wire.OutOfOrder):
            self._meet_gap(reply)
            return None
        if isinstance(reply, wire.ReadResult) and self._asks:
            self._must_ask = False
            if not self._begun:
                self._begun = True
                self.client_id = session_id(reply.index, self._new_client_id())
            return []
        raise WireError(f"a {type(reply).__name__} answers no Submit")

    def _take_answers(self, reply: wire.Answers, node: NodeId, now: float) -> list[Submitted]:
        first, results = reply.first_sequence, reply.results
        known = self.lowest_unanswered - first  # answered before, by another node
        if known < 0 or first + len(results) > self._next_sequence:
            raise WireError(
                f"answers to {first}..{first + len(results) - 1}; unanswered are "
                f"{self.lowest_unanswered}..{self._next_sequence - 1}"
            )
        if reply.errors and not 0 <= min(reply.errors) <= max(reply.errors) < len(results):
            raise WireError(f"an error at none of the {len(results)} results: {reply.errors}")
        answered: list[Submitted] = []
        position = known
        while position < len(results):
            chunk = self._chunks[0]
            part = chunk.commands[: len(results) - position]
            latency_ms = (now - chunk.added_at) * 1000
            answered += [
                Submitted(
                    command, True, result, None, index, reply.term, node, latency_ms, chunk.sends
                )
                for index, command, result in zip(
                    range(reply.first_index + position, reply.first_index + len(results)),
                    part,
                    islice(results, position, None),
                    strict=False,  # the chunk may end before the answers
                )
            ]
            self._drop(chunk, len(part))
            position += len(part)
        for position in reply.errors:
            if position >= known:
                one = answered[position - known]
                answered[position - known] = msgspec.structs.replace(
                    one, ok=False, error=one.raw.decode("utf-8", "replace")
                )
        return answered

    def _drop(self, chunk: _Chunk, count: int) -> None:
        """The first `count` commands of the first chunk are answered."""
        self.lowest_unanswered += count
        if count == len(chunk.commands):
            self._chunks.popleft()
            self._dropped_chunks += 1
        else:
            chunk.first_sequence += count
            chunk.commands = chunk.commands[count:]

    def _meet_gap(self, reply: wire.OutOfOrder) -> None:
        if not self._chunks or reply.expected >= self.lowest_unanswered:
            return  # the cluster is where we think it is
        first_refused = reply.first_sequence == self._chunks[0].first_sequence
        if self.lowest_unanswered == 1 and not first_refused:
            return  # it has not begun: what was to begin it was lost on the way
        # The cluster has expired the session, or was begun with empty data. A chunk that was sent
        # once has now been refused, or will be by the same rule; one that was sent twice may have
        # been applied before that.
        if not first_refused or any(chunk.risks > 1 for chunk in self._chunks):
            raise SessionLost(self.unanswered)
        if self._resumed is not None:
            if self._resumed[0] != self.lowest_unanswered:
                raise SessionLost(self.unanswered)  # those before would have to come with them
            self._resumed = 1, self._resumed[1]
        self.client_id = self._new_client_id()
        self._must_ask = self._asks
        self._begun = not self._asks
        self.lowest_unanswered = self._next_sequence = 1
        for chunk in self._chunks:
            chunk.risks = 0
            chunk.first_sequence = self._next_sequence
            self._next_sequence += len(chunk.commands)


class Query:
    """One read request, until it is answered."""

    __slots__ = (
        "_asked_at",
        "_request",
        "outstanding",
        "queries",
    )

    def __init__(
        self,
        read_id: int,
        queries: Sequence[bytes],
        now: float,
        *,
        stale: bool = False,
        follower: bool = False,
    ) -> None:
        """read_id: tells it from the others over the same connection

        stale, follower: see `wire.Read`
        """
        self.queries = list(queries)
        self._request = wire.Read(read_id, self.queries, stale, follower)
        self._asked_at = now
        self.outstanding = True

    def frames(self, cursor: int, limit: int | None = None) -> tuple[int, list[bytes]]:
        """See `Work`."""
        if cursor or not self.outstanding:
            return cursor, []
        return 1, [wire.frame(wire.encode_client(self._request))]

    def take(self, reply: wire.ClientReply, node: NodeId, now: float) -> list[ReadAnswer] | None:
        """See `Work`. The answer to another request is no answer."""
        if not isinstance(reply, wire.ReadResult):
            raise WireError(f"a {type(reply).__name__} answers no Read")
        if reply.read_id != self._request.read_id or not self.outstanding:
            return []
        queries = self.queries
        if len(reply.results) != len(queries):
            raise WireError(f"{len(reply.results)} results for {len(queries)} queries")
        self.outstanding = False
        latency_ms = (now - self._asked_at) * 1000
        errors = frozenset(reply.errors)
        return [
            ReadAnswer(
                query,
                position not in errors,
                result,
                result.decode("utf-8", "replace") if position in errors else None,
                reply.index,
                reply.term,
                node,
                latency_ms,
            )
            for position, (query, result) in enumerate(zip(queries, reply.results, strict=True))
        ]


def _entries(count: int) -> str:
    return "an unanswered entry" if count == 1 else f"{count} unanswered entries"
