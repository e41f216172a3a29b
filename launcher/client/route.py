"""Finding the leader and staying with it: to which node a client talks, and when to another.

A `Route` carries the requests of one `Work` (a session, or a query). It keeps a *primary*
connection, to the node that it takes for the leader, and leaves it when that node

    hangs up, or cannot be reached   to the next node in turn
    answers with a redirect          to the leader that it names, or the next in turn
    is silent for `hedge_s`          not at all: a node may be busy, or paused, or waiting for an
                                     election itself. The lowest chunk of the work goes to another
                                     node too, the *probe*. If that answers, or names another
                                     leader, we follow it; if it names the primary, we go on waiting

Nothing is lost or done twice by asking too often, for a session's requests may be repeated. Asking
in vain costs time on both sides, so the first attempts follow each other at once and later ones
ever more slowly, with jitter, until an answer comes: a dead leader's name passed around by
followers who have not noticed yet makes no hot loop.

No socket and no clock here: time is an argument, in seconds, and a `Dial` opens connections. After
`advance`, `received` or `lost`, call `advance` again when `deadline` has come.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random
from typing import Generic, Protocol, TypeVar

from launcher.client.session import Work
from launcher.errors import UsageError
from node import wire
from node.errors import WireError
from node.raft.messages import NodeId

HEDGE_S = 0.25
"""So long may a node be silent before another is asked as well; up to half as long again."""

FREE_ATTEMPTS = 2
"""After this many attempts without an answer, each next one waits: a redirect and one mishap are
normal."""

FIRST_DELAY_S = 0.002
"""The delay before the attempt after those; each further one waits half as long again."""

MAX_DELAY_S = 0.1
"""The longest delay between two attempts. Jitter takes up to half of any delay away."""

AVOID_S = 0.1
"""A node that could not be reached is not asked again for so long while there are others."""

NOT_THE_LEADER = "not the leader"
"""The reason of a redirect that is no objection."""

_T = TypeVar("_T")


class Connection(Protocol):
    """An open connection to a node."""

    def send(self, data: bytes) -> None:
        """Never blocks, never raises: that the connection is lost is told by `Route.lost`."""
        ...

    def close(self) -> None: ...


class Dial(Protocol):
    """Opens connections."""

    def open(self, node: NodeId) -> Connection | None:
        """Does not block. None when there is no reaching the node now."""
        ...


class Refused(UsageError):
    """A node says that the request is wrong and always will be."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"refused by the cluster: {reason}")


class _Link:
    """A connection, to whom, and how much of the work has been sent over it."""

    __slots__ = ("connection", "cursor", "node")

    def __init__(self, node: NodeId, connection: Connection) -> None:
        self.node = node
        self.connection = connection
        self.cursor = 0


class Route(Generic[_T]):
    """One client's way to the leader."""

    __slots__ = (
        "_attempts",
        "_dial",
        "_hedge_at",
        "_hedge_s",
        "_next_attempt_at",
        "_nodes",
        "_primary",
        "_probe",
        "_random",
        "_target",
        "_turn",
        "_unreached_at",
        "_waiting",
        "failure",
        "leader",
        "objection",
        "work",
    )

    def __init__(
        self,
        nodes: Sequence[NodeId],
        work: Work[_T],
        dial: Dial,
        random: Random,
        *,
        leader: NodeId | None = None,
        hedge_s: float = HEDGE_S,
    ) -> None:
        """nodes: whom to ask, in this order; it may change. leader: whom to ask first, if known"""
        assert nodes, "a cluster has nodes"
        self.work = work
        self.leader = leader if leader in nodes else None
        """Who was last known to lead."""
        self.objection = ""
        """Why a node that was asked would not do it, if not because another leads."""
        self.failure = ""
        """Why the last node ended that has told why; empty again once another has answered."""
        self._nodes = nodes
        self._dial = dial
        self._random = random
        self._hedge_s = hedge_s
        self._primary: _Link | None = None
        self._probe: _Link | None = None
        self._turn = -1
        self._target = self.leader
        self._attempts = 0
        """How many have failed since the last answer."""
        self._next_attempt_at = 0.0
        self._hedge_at = 0.0
        self._waiting = False
        self._unreached_at: dict[NodeId, float] = {}

    # -- the caller's side -----------------------------------------------------------------------

    def begin(self, work: Work[_T]) -> None:
        """Other work, over the connection that there is. The last must be done."""
        assert not self.work.outstanding, "the answers to two kinds of work cannot be told apart"
        self.work = work
        self._waiting = False
        if self._primary is not None:
            self._primary.cursor = 0

    @property
    def deadline(self) -> float:
        """When `advance` is due if nothing happens before; infinite when nothing is outstanding."""
        if not self.work.outstanding:
            return math.inf
        return self._next_attempt_at if self._primary is None else self._hedge_at

    def advance(self, now: float) -> None:
        """Sends what there is to send, and asks elsewhere when it is time to."""
        if not self.work.outstanding:
            self._waiting = False
            return
        if not self._waiting:
            self._waiting = True
            self._hedge_at = now + self._patience()
        while self._primary is None and now >= self._next_attempt_at:
            self._connect(now)
        if self._primary is not None:
            self._send(self._primary)
            if now >= self._hedge_at:
                self._hedge(self._primary, now)

    def look_again(self, now: float) -> None:
        """The caller was away and has read nothing in that time: nobody has been silent yet."""
        self._hedge_at = max(self._hedge_at, now + self._patience())

    def received(self, connection: Connection, reply: wire.ClientReply, now: float) -> list[_T]:
        """A reply has come. Returns what it answers, in order. Raises Refused, SessionLost."""
        link = self._link(connection)
        if link is None:
            return []
        if isinstance(reply, wire.Redirect):
            if reply.reason != NOT_THE_LEADER:
                self.objection = f"node {link.node} says: {reply.reason}"
            elif reply.leader_id is None:
                self.objection = ""
            self._redirected(link, reply.leader_id, now)
            return []
        if isinstance(reply, wire.Ending):
            self.failure = f"node {link.node} has failed: {reply.reason}"
            self.lost(connection, now)
            return []
        if isinstance(reply, wire.Refused):
            raise Refused(reply.reason)
        try:
            answers = self.work.take(reply, link.node, now)
        except WireError:
            self.lost(connection, now)  # out of step: nothing that it says is to be trusted
            return []
        if answers is None:
            self._forsake(link, link.node, now)
            return []
        if not answers and self.work.outstanding:
            # What it has told us had to be known before there was anything to answer.
            if link is self._probe:
                self._send(link, limit=1)
            return []
        if link is self._probe:
            self._drop(self._primary)
            self._promote(now)
        self._drop(self._probe)
        self.leader = link.node
        self.objection = self.failure = ""
        self._attempts = 0
        self._waiting = self.work.outstanding
        self._hedge_at = now + self._patience()
        return answers

    def lost(self, connection: Connection, now: float) -> None:
        """A connection has ended, or is not to be trusted any more."""
        link = self._link(connection)
        if link is None:
            return
        if self.leader == link.node:
            self.leader = None
        if self.work.outstanding:
            self._unreached_at[link.node] = now
            self._forsake(link, None, now)
        else:
            self._drop(link)  # some time ago, for all we know: the node may be back already

    def close(self) -> None:
        """Ends every connection."""
        self._drop(self._primary)
        self._drop(self._probe)

    # -- whom to ask -----------------------------------------------------------------------------

    def _connect(self, now: float) -> None:
        node = self._next_node(now, besides=None) if self._target is None else self._target
        self._target = None
        connection = self._dial.open(node)
        if connection is None:
            self._unreached_at[node] = now
            if self.leader == node:
                self.leader = None
            self._retry(None, now)
        else:
            self._primary = _Link(node, connection)
            self._hedge_at = now + self._patience()

    def _hedge(self, primary: _Link, now: float) -> None:
        """Silence: ask one more node, in the place of the one that we asked last time."""
        self._hedge_at = now + self._patience()
        self._drop(self._probe)
        for _ in range(len(self._nodes) - 1):
            node = self._next_node(now, besides=primary.node)
            connection = self._dial.open(node)
            if connection is not None:
                self._probe = _Link(node, connection)
                self._send(self._probe, limit=1)
                return
            self._unreached_at[node] = now

    def _redirected(self, link: _Link, leader: NodeId | None, now: float) -> None:
        if leader not in self._nodes or self._avoided(leader, now):
            leader = None
        if leader is not None:
            self.leader = leader
        elif self.leader == link.node:
            self.leader = None
        primary = self._primary
        if link is not self._probe or primary is None:
            self._forsake(link, leader, now)
        else:
            self._drop(link)
            if leader is not None and leader != primary.node:
                self._forsake(primary, leader, now)

    def _forsake(self, link: _Link, target: NodeId | None, now: float) -> None:
        """This connection has ended; what it should have brought is asked for again elsewhere.

        target: the node to ask, when somebody has told us
        """
        was_primary = link is self._primary
        self._drop(link)
        if not was_primary:
            return
        if self._probe is not None and target in (None, self._probe.node):
            self._promote(now)
        else:
            self._drop(self._probe)
            self._retry(target, now)

    def _promote(self, now: float) -> None:
        """The probe takes the primary's place; all that it was spared is sent by `advance`."""
        assert self._probe is not None
        self._primary, self._probe = self._probe, None
        self._hedge_at = now + self._patience()

    def _retry(self, target: NodeId | None, now: float) -> None:
        self._target = target
        self._attempts += 1
        delay_s = 0.0
        if self._attempts > FREE_ATTEMPTS:
            steps = min(self._attempts - FREE_ATTEMPTS - 1, 20)
            delay_s = min(FIRST_DELAY_S * 1.5**steps, MAX_DELAY_S)
        self._next_attempt_at = now + delay_s * self._random.uniform(0.5, 1.0)

    def _next_node(self, now: float, besides: NodeId | None) -> NodeId:
        """The next in turn; one that was out of reach a moment ago only if all others were too."""
        nodes = list(self._nodes)
        count = len(nodes)
        in_turn = [nodes[(self._turn + step) % count] for step in range(1, count + 1)]
        others = [node for node in in_turn if node != besides] or in_turn
        reachable = [node for node in others if not self._avoided(node, now)]
        node = (reachable or others)[0]
        self._turn = nodes.index(node)
        return node

    def _avoided(self, node: NodeId | None, now: float) -> bool:
        return node is not None and now - self._unreached_at.get(node, -math.inf) < AVOID_S

    def _patience(self) -> float:
        return self._hedge_s * self._random.uniform(1.0, 1.5)

    # -- connections -----------------------------------------------------------------------------

    def _link(self, connection: Connection) -> _Link | None:
        for link in (self._primary, self._probe):
            if link is not None and link.connection is connection:
                return link
        return None

    def _send(self, link: _Link, limit: int | None = None) -> None:
        link.cursor, frames = self.work.frames(link.cursor, limit)
        if frames:
            link.connection.send(b"".join(frames))

    def _drop(self, link: _Link | None) -> None:
        if link is None:
            return
        if link is self._primary:
            self._primary = None
        elif link is self._probe:
            self._probe = None
        link.connection.close()
