"""The cluster's client: finds the leader, submits entries in order and once, reads, retries.

    with Client({1: Path("node-1.sock"), 2: ...}) as client:
        client.submit(b"SET a 1").index
        for done in client.submit_many(lines):      # pipelined; answers come in the lines' order
            print(done.index, done.result)
        [answer] = client.read([b"GET a"])

What is sent when and to whom is decided without I/O, in `launcher/client/session.py` (each entry
once, in order) and `launcher/client/route.py` (finding the leader); `launcher/client/channel.py`
has the sockets, and `launcher/client/intake.py` reads input that may be slow. A call takes an idle
channel, or opens one, and puts it back when every answer has come, so calls may overlap: a read
between two answers of `submit_many`, or from another thread.

A call that ends in any other way (a timeout, an interrupt, a generator dropped half-way) leaves
unanswered entries behind, and its session with them: it is never used again, because entries of a
session apply without gaps. The next call begins a new one. The entries left behind may still be
committed.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from secrets import token_bytes
from types import TracebackType
from typing import TypeVar
from weakref import finalize

from launcher import forked
from launcher.client.answers import ReadAnswer, Submitted
from launcher.client.channel import Channel, roll_call
from launcher.client.intake import Intake
from launcher.client.route import HEDGE_S, Refused
from launcher.client.session import Query, Session, SessionLost, Work
from launcher.client.sockets import Keys
from launcher.client.unanswered import NoAnswer, Resend, names, reason
from launcher.errors import UsageError
from node.raft.messages import NodeId
from node.wire import MOST_UNACKNOWLEDGED

__all__ = ["Client", "NoAnswer", "ReadAnswer", "Refused", "SessionLost", "Submitted"]

ROLL_CALL_S = 0.2
"""The end of a timeout, a quarter of it at most, goes to asking every node whether it is there.

So long are the silent ones waited for, even if that makes a short timeout a little longer.
"""

IDLE_S = 1800.0
"""Half of the default `sessions.timeout`."""

ASK_AGAIN_S = 1.0
"""A session that was idle for longer asks for the leader before it sends an entry."""

_T = TypeVar("_T", Submitted, ReadAnswer)
_Idle = TypeVar("_Idle")


class Client:
    """Talks to a cluster. Each call waits for its answer.

    sockets: where each node listens; looked up again at every attempt, so that nodes may go and
        come back, elsewhere too
    timeout_s: for how long a call waits when it does not say so itself
    max_entry_bytes: a longer entry is refused before anything of it is sent
    window, window_bytes: the most entries, and the most bytes of them without the last one, that
        `submit_many` has read and that are unanswered. No node keeps more than 65,536 answers
    hedge_s: so long may a node be silent before another one is asked too
    idle_s: a session that was idle for longer is not used again, for the cluster may forget it
    resend: how `NoAnswer.resend` reaches the cluster, if not by this client, which may be closed by
        then; it has to survive pickling, as the error does
    known_of: what is known from elsewhere of nodes that do not answer, in words, or empty

    Every call raises NoAnswer when it is not answered in time, Refused when a node says that it
    never will be, and SessionLost.
    """

    def __init__(
        self,
        sockets: Mapping[NodeId, Path],
        *,
        timeout_s: float = 10.0,
        max_entry_bytes: int = 1 << 20,
        window: int = 4096,
        window_bytes: int = 8 << 20,
        hedge_s: float = HEDGE_S,
        idle_s: float = IDLE_S,
        resend: Resend | None = None,
        known_of: Callable[[Sequence[NodeId]], str] | None = None,
    ) -> None:
        if not sockets:
            raise UsageError("a client needs the socket of one node at least")
        if not 1 <= window <= MOST_UNACKNOWLEDGED:
            raise UsageError(f"a window of 1 to {MOST_UNACKNOWLEDGED} entries, not {window}")
        self._sockets = sockets
        self._timeout_s = _checked_timeout(timeout_s)
        self._max_entry_bytes = max_entry_bytes
        self._window = window
        self._window_bytes = window_bytes
        self._hedge_s = hedge_s
        self._random = Random()
        self._leader: NodeId | None = None
        self._idle_s = idle_s
        self._resend_elsewhere = resend
        self._known_of = known_of
        self._idle_sessions: list[tuple[Channel[Submitted], Session, float]] = []
        self._idle_readers: list[Channel[ReadAnswer]] = []
        self._channels: set[Channel[Submitted] | Channel[ReadAnswer]] = set()
        self._last_read_id = 0
        self._closed = False
        forked.tell_children(self)
        dropped = finalize(self, _close_all, self._channels)  # without `close`
        dropped.atexit = False

    def keep_pace(self, timeout_s: float, hedge_s: float) -> None:
        """From the next call on these are its patience with the cluster, and with one node."""
        self._timeout_s, self._hedge_s = timeout_s, hedge_s

    # -- entries ---------------------------------------------------------------------------------

    def submit(self, command: bytes, *, timeout_s: float | None = None) -> Submitted:
        """Submits one entry; returns when it is committed and applied, or refused by the machine.

        Raises UsageError for an entry that is empty or too long; nothing of it is sent.
        """
        self._check_entry(command)
        timeout_s = self._timeout(timeout_s)
        with self._session() as (channel, session):
            now = time.monotonic()
            session.add([command], now)
            (answer,) = self._wait(channel, session, now, timeout_s)
            return answer

    def submit_many(
        self, commands: Iterable[bytes], *, timeout_s: float | None = None
    ) -> Iterator[Submitted]:
        """Submits entries, many of them on the way at once; yields in their order.

        commands: read in a thread of its own, no faster than the window allows, so it may block:
            answers do not wait for it, and a lone entry is sent at once
        timeout_s: bounds the wait for the oldest unanswered entry without any progress

        A list or tuple with an entry that is empty or too long raises UsageError here. In any other
        input such an entry ends it, and so does an exception of its own: what came before is
        answered and yielded first, then the exception is raised.
        """
        if isinstance(commands, list | tuple):
            for command in commands:
                self._check_entry(command)
        return self._stream(commands, self._timeout(timeout_s), os.getpid())

    def _stream(
        self, commands: Iterable[bytes], timeout_s: float, process: int
    ) -> Iterator[Submitted]:
        if os.getpid() != process:
            raise forked.begun_elsewhere("submit_many")
        intake = Intake(
            commands, self._check_entry, window=self._window, window_bytes=self._window_bytes
        )
        try:
            with self._session() as (channel, session), channel.woken_by(intake.wake):
                intake.start()
                patience = _Patience(timeout_s)
                while True:
                    new = intake.take()
                    now = time.monotonic()
                    if new and not session.outstanding:
                        patience.renew(now)
                    session.add(new, now)
                    if not session.outstanding and intake.ended:
                        break
                    until = patience.give_up_at if session.outstanding else math.inf
                    answers = channel.exchange(until)
                    if answers:
                        intake.answered(len(answers), sum([len(done.entry) for done in answers]))
                        self._leader = channel.route.leader
                        for answer in answers:
                            yield answer
                            if channel.forked:  # while it was suspended
                                raise forked.begun_elsewhere("submit_many")
                        patience.renew(time.monotonic())
                        channel.route.look_again(time.monotonic())
                    elif session.outstanding and time.monotonic() >= until:
                        session.add(intake.leftover(), time.monotonic())
                        raise self._no_answer(channel, session, patience)
            if intake.error is not None:
                raise intake.error
        finally:
            intake.close()

    def resend(self, error: NoAnswer, *, timeout_s: float | None = None) -> list[Submitted]:
        """Sends the entries of `error` again, in their session; see `NoAnswer.resend`."""
        return self._resend(error, timeout_s)

    def _resend(self, error: NoAnswer, timeout_s: float | None) -> list[Submitted]:
        timeout_s = self._timeout(timeout_s)
        self._check_open()
        with error.one_at_a_time() as left:
            now = time.monotonic()
            session = Session.resuming(lambda: token_bytes(16), left, now)
            channel = self._channel(session, Keys(self._sockets))
            try:
                return self._wait(channel, session, now, timeout_s)
            finally:
                error.left = session.left
                self._discard(channel)  # not kept: see `Session.resuming`

    # -- reads -----------------------------------------------------------------------------------

    def read(
        self,
        queries: Sequence[bytes],
        *,
        stale: bool = False,
        node: NodeId | None = None,
        timeout_s: float | None = None,
    ) -> list[ReadAnswer]:
        """Asks the machine; one answer for each query, all of them at one point of the log.

        A read sees every entry that was answered before it began (§8), unless it is `stale`: then
        any node, or `node`, answers at once from its own state, however old. A `node` that is asked
        for a read that is not stale asks the leader how much it must have applied, and answers when
        it has; nobody else answers in its place.
        Raises UsageError for a `node` that does not exist.
        """
        if node is not None and node not in self._sockets:
            raise UsageError(f"there is no node {node}; there are {names(self._sockets)}")
        timeout_s = self._timeout(timeout_s)
        self._last_read_id += 1
        now = time.monotonic()
        query = Query(self._last_read_id, queries, now, stale=stale, follower=node is not None)
        with self._reader(query, node) as channel:
            return self._wait(channel, query, now, timeout_s)

    # -- channels --------------------------------------------------------------------------------

    def close(self) -> None:
        """Ends every connection. A call after that raises UsageError."""
        self._closed = True
        _close_all(self._channels)

    def after_fork(self) -> None:
        """See `forked.Forkable`. The child's sessions, connections and chance are its own."""
        self._idle_sessions.clear()
        self._idle_readers.clear()
        _close_all(self._channels)
        self._random = Random()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def _session(self) -> Iterator[tuple[Channel[Submitted], Session]]:
        """A session with nothing outstanding; it is kept for later if it ends like that."""
        self._check_open()
        channel, session = self._idle_session() or self._new_session()
        with self._discarded_on_error(channel):
            channel.catch_up()
            yield channel, session
            self._idle_sessions.append((channel, session, time.monotonic()))

    def _idle_session(self) -> tuple[Channel[Submitted], Session] | None:
        """One that the cluster still knows: those that were idle for too long are given up."""
        while (found := _pop(self._idle_sessions)) is not None:
            channel, session, since = found
            idle_s = time.monotonic() - since
            if idle_s <= self._idle_s:
                if idle_s > ASK_AGAIN_S:
                    session.ask_again()
                return channel, session
            self._discard(channel)
        return None

    def _new_session(self) -> tuple[Channel[Submitted], Session]:
        session = Session(lambda: token_bytes(16), asks=True)
        return self._channel(session, Keys(self._sockets)), session

    @contextmanager
    def _reader(self, query: Query, node: NodeId | None) -> Iterator[Channel[ReadAnswer]]:
        """A channel for one query; a channel to a certain node is not kept."""
        self._check_open()
        idle = None if node is not None else _pop(self._idle_readers)
        nodes = Keys(self._sockets) if node is None else [node]
        channel = idle or self._channel(query, nodes)
        with self._discarded_on_error(channel):
            if idle is not None:
                channel.catch_up()
                channel.route.begin(query)
            yield channel
            if node is None:
                self._idle_readers.append(channel)
            else:
                self._discard(channel)

    @contextmanager
    def _discarded_on_error(
        self, channel: Channel[Submitted] | Channel[ReadAnswer]
    ) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._discard(channel)
            raise

    def _channel(self, work: Work[_T], nodes: Sequence[NodeId]) -> Channel[_T]:
        channel = Channel(
            self._sockets,
            nodes,
            work,
            Random(self._random.random()),
            leader=self._leader,
            hedge_s=self._hedge_s,
        )
        self._channels.add(channel)
        return channel

    def _discard(self, channel: Channel[Submitted] | Channel[ReadAnswer]) -> None:
        self._channels.discard(channel)
        channel.close()

    # -- what every call does --------------------------------------------------------------------

    def _wait(
        self, channel: Channel[_T], work: Session | Query, now: float, timeout_s: float
    ) -> list[_T]:
        """All the answers to the work. Raises NoAnswer."""
        patience = _Patience(timeout_s)
        patience.renew(now)
        answers: list[_T] = []
        while work.outstanding:
            answers += channel.exchange(patience.give_up_at)
            if work.outstanding and time.monotonic() >= patience.give_up_at:
                raise self._no_answer(channel, work, patience)
        if isinstance(work, Session):
            self._leader = channel.route.leader
        return answers

    def _check_entry(self, command: bytes) -> None:
        if not isinstance(command, bytes):
            raise TypeError(f"an entry is bytes, not {type(command).__name__}")
        if not command:
            raise UsageError("an entry is empty; it needs one byte at least")
        if len(command) > self._max_entry_bytes:
            raise UsageError(
                f"an entry of {len(command)} bytes is over the limit of {self._max_entry_bytes} "
                "(limits.entry)"
            )

    def _check_open(self) -> None:
        if self._closed:
            raise UsageError("this client is closed; make another")

    def _timeout(self, timeout_s: float | None) -> float:
        return self._timeout_s if timeout_s is None else _checked_timeout(timeout_s)

    def _no_answer(
        self,
        channel: Channel[Submitted] | Channel[ReadAnswer],
        work: Session | Query,
        patience: _Patience,
    ) -> NoAnswer:
        """The time is nearly up: find out why, in what is left of it."""
        route, asked = channel.route, channel.nodes
        channel.close()
        there = roll_call(self._sockets, max(patience.ends_at, time.monotonic() + ROLL_CALL_S))
        nodes = list(self._sockets)
        missing = [node for node in nodes if node not in there]
        if len(asked) == 1:
            missing = [node for node in asked if node in missing]
        why = reason(nodes, asked, missing, route.leader, route.objection, route.failure)
        if missing and not route.failure and self._known_of is not None:
            why = "; ".join(filter(None, (why, self._known_of(missing))))
        text = f"not answered within {patience.timeout_s:g} s: {why}"
        if isinstance(work, Query):
            return NoAnswer(text, work.queries, missing=missing)
        left = work.left
        which = "the entry" if len(left.entries) == 1 else f"{len(left.entries)} entries"
        text += f"; {which} may still be committed"
        error = NoAnswer(text, left.entries, left=left, missing=missing)
        if self._resend_elsewhere is None:
            error.resent_here(self._resend)
        error.elsewhere = self._resend_elsewhere
        return error


def _close_all(channels: set[Channel[Submitted] | Channel[ReadAnswer]]) -> None:
    while channels:
        with suppress(KeyError):  # another thread was quicker
            channels.pop().close()


class _Patience:
    """When to give up: a while before `timeout_s` has passed without progress."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.ends_at = math.inf

    def renew(self, now: float) -> None:
        """There was progress, or the first entry has gone out."""
        self.ends_at = now + self.timeout_s

    @property
    def give_up_at(self) -> float:
        """What is left until `ends_at` is for the roll call."""
        return self.ends_at - min(ROLL_CALL_S, self.timeout_s / 4)


def _pop(idle: list[_Idle]) -> _Idle | None:
    try:
        return idle.pop()
    except IndexError:  # asked in this order, another thread cannot come between
        return None


def _checked_timeout(timeout_s: float) -> float:
    if not 0 < timeout_s < math.inf:
        raise UsageError(f"a timeout is a number of seconds above 0, not {timeout_s:g}")
    return timeout_s
