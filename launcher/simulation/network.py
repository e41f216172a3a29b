"""The simulated links: frames between nodes, and connections between clients and nodes.

A link delivers frames in order and with a small latency, as a pipe does, until a fault changes
that. The product's own filter (`node/faults/links.py`) decides what happens to each frame; this
module does the waiting, in simulated time. A cut link loses the frames that are in flight, as in
`node/process/transport.py`, and the news that a process has died. Frames that are held, or wait for
those before them, end with the life of either process, as they do there with its pipe.

Clients reach nodes over local sockets, which no partition affects: bytes arrive in order, or the
connection ends.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeAlias

from node.faults.links import HELD, PASS, FaultFilter, FaultId, causes
from node.raft.messages import NodeId
from node.wire import FrameReader, LinkFault


class Time(Protocol):
    """The world's time: what the parts of the world use of its `Agenda`.

    now: simulated seconds since the run began
    """

    now: float

    def at(self, when: float, what: Callable[..., None], *arguments: object) -> None:
        """Calls `what` at that time."""
        ...


class LinkWatch(Protocol):
    """Learns what becomes of each frame. It changes nothing."""

    def sent(self, source: NodeId, target: NodeId, frame: bytes) -> None:
        """A frame is about to leave."""
        ...

    def fared(
        self, how: str, source: NodeId, target: NodeId, frame: bytes, fault: FaultId | None,
        **fields: object,
    ) -> None:  # fmt: skip
        """A frame is held, delayed or duplicated, because of this fault."""
        ...

    def lost(
        self, source: NodeId, target: NodeId, frame: bytes, why: str, fault: FaultId | None,
        *, at: NodeId,
    ) -> None:  # fmt: skip
        """A frame is lost at this node."""
        ...


class Endpoint(Protocol):
    """A simulated process, as its links and connections see it.

    cluster_id: of the cluster that it belongs to; a recovery of the cluster changes it
    epoch: changes at each start and at each end of a life
    unflushed: connections with replies that are sent at the end of the process's turn
    """

    epoch: int
    unflushed: list[Connection]

    @property
    def cluster_id(self) -> str: ...

    def receive(self, peer: NodeId, frames: list[bytes]) -> None:
        """Frames from a peer have arrived."""
        ...

    def take_requests(self, connection: Connection, bodies: list[bytes] | None) -> None:
        """Requests of a client have arrived, or None: the client has closed the connection."""
        ...


_Lives: TypeAlias = tuple[int, int]
"""The epochs of a link's two ends."""

MOST_HELD = 10_000
"""How many frames a link that holds keeps; further ones are lost. (A real one counts bytes.)"""


class SimulatedLinks:
    """The directed links between all nodes.

    watch: is told what becomes of each frame; None: nobody is
    """

    __slots__ = (
        "_faults",
        "_filter",
        "_held",
        "_last_arrival",
        "_least_s",
        "_nodes",
        "_rng",
        "_spread_s",
        "_time",
        "watch",
    )

    def __init__(
        self,
        time: Time,
        nodes: Mapping[NodeId, Endpoint],
        latency_s: tuple[float, float],
        rng: random.Random,
    ) -> None:
        """latency_s: the least and the most that a frame takes on a link without faults"""
        self._time = time
        self._nodes = nodes
        self._least_s, most_s = latency_s
        self._spread_s = most_s - self._least_s
        self._rng = rng
        self._filter = FaultFilter(rng=rng)
        self._faults: dict[object, list[LinkFault]] = {}
        self._held: dict[tuple[NodeId, NodeId], list[tuple[_Lives, bytes]]] = {}
        self._last_arrival: dict[tuple[NodeId, NodeId], float] = {}
        self.watch: LinkWatch | None = None

    # -- faults ----------------------------------------------------------------------------------

    def disturb(self, owner: object, faults: Iterable[LinkFault]) -> None:
        """Adds faults to the links, until `mend(owner)`. Replaces what `owner` added before."""
        self._faults[owner] = list(faults)
        self._set()

    def mend(self, owner: object) -> None:
        """Removes the faults that `owner` added."""
        if self._faults.pop(owner, None) is not None:
            self._set()

    def heal(self) -> None:
        """Removes all faults."""
        self._faults.clear()
        self._set()

    def is_cut(self, source: NodeId, target: NodeId) -> bool:
        """Whether the link loses everything in that direction."""
        return self._filter.is_cut(source, target)

    def in_force(self) -> Mapping[tuple[NodeId, NodeId], LinkFault]:
        """What each link does that does something."""
        return self._filter.in_force()

    def _set(self) -> None:
        named = [
            (_fault_id(owner), fault) for owner, faults in self._faults.items() for fault in faults
        ]
        held_by = {link: self._filter.cause(*link, "hold") for link in self._held}
        self._filter.set((fault for _, fault in named), causes(named))
        for link in [link for link in self._held if not self._filter.holds(*link)]:
            for lives, frame in self._held.pop(link):
                if lives == self._lives(*link):
                    self._route(*link, [frame])
                else:
                    self._lose(*link, [frame], "closed", held_by[link], at=link[0])

    def _lives(self, source: NodeId, target: NodeId) -> _Lives:
        return self._nodes[source].epoch, self._nodes[target].epoch

    # -- frames ----------------------------------------------------------------------------------

    def send(self, source: NodeId, target: NodeId, frames: list[bytes]) -> None:
        """Sends the frames of one turn. Those without a fault arrive together."""
        if self.watch is not None:
            for frame in frames:
                self.watch.sent(source, target, frame)
        self._route(source, target, frames)

    def _route(self, source: NodeId, target: NodeId, frames: list[bytes]) -> None:
        """As the filter says of each."""
        cluster_id = self._nodes[source].cluster_id
        together = []
        for frame in frames:
            verdict = self._filter.verdict(source, target, len(frame), self._time.now)
            if verdict is PASS:
                together.append(frame)
            elif verdict is HELD:
                self._hold(source, target, frame)
            else:
                if self.watch is not None:
                    self._tell(source, target, frame, verdict)
                lives = None
                if self._filter.has_rate(source, target):
                    lives = self._lives(source, target)
                for delay_s in verdict:
                    when = self._time.now + self._latency_s() + delay_s
                    self._time.at(when, self._arrive, source, target, cluster_id, [frame], lives)
        if together:
            when = self.next_arrival(source, target)
            self._time.at(when, self._arrive, source, target, cluster_id, together)

    def _tell(
        self, source: NodeId, target: NodeId, frame: bytes, verdict: tuple[float, ...]
    ) -> None:
        """Tells what the filter has done to a frame that it neither let pass nor held."""
        assert self.watch is not None
        if not verdict:
            why = self._filter.why_lost
            fault = self._filter.cause(source, target, why.removesuffix("-full"))
            self.watch.lost(source, target, frame, why, fault, at=source)
            return
        delays_s = [round(delay_s, 6) for delay_s in verdict]
        if len(verdict) > 1:
            fault = self._filter.cause(source, target, "duplicate")
            self.watch.fared("duplicated", source, target, frame, fault, delays_s=delays_s)
        elif delays_s[0]:
            fault = self._filter.cause(source, target, "delay", "rate", "reorder")
            self.watch.fared("delayed", source, target, frame, fault, delay_s=delays_s[0])

    def lose(self, source: NodeId, target: NodeId, frames: Iterable[bytes], why: str) -> None:
        """Frames have arrived, and their receiver ends before it reads them."""
        self._lose(source, target, frames, why, None, at=target)

    def _lose(
        self,
        source: NodeId,
        target: NodeId,
        frames: Iterable[bytes],
        why: str,
        fault: FaultId | None,
        *,
        at: NodeId,
    ) -> None:
        if self.watch is not None:
            for frame in frames:
                self.watch.lost(source, target, frame, why, fault, at=at)

    def next_arrival(self, source: NodeId, target: NodeId) -> float:
        """When a frame that is sent now arrives: never before a frame that was sent earlier."""
        link = (source, target)
        when = self._time.now + self._latency_s()
        last = self._last_arrival.get(link, 0.0)
        if when < last:
            when = last
        self._last_arrival[link] = when
        return when

    def _hold(self, source: NodeId, target: NodeId, frame: bytes) -> None:
        held = self._held.setdefault((source, target), [])
        fault = self._filter.cause(source, target, "hold")
        if len(held) >= MOST_HELD:
            self._lose(source, target, [frame], "held-full", fault, at=source)
            return
        held.append((self._lives(source, target), frame))
        if self.watch is not None:
            self.watch.fared("held", source, target, frame, fault)

    def _arrive(
        self,
        source: NodeId,
        target: NodeId,
        cluster_id: str,
        frames: list[bytes],
        lives: _Lives | None = None,
    ) -> None:
        """Drops a frame from before a recovery: no pipe leads from the old cluster to the new.

        lives: of both ends when the frames were sent, where these end with them
        """
        there = self._nodes[target]
        if lives is not None and lives != self._lives(source, target):
            self.lose(source, target, frames, "closed")
        elif there.cluster_id != cluster_id:
            self.lose(source, target, frames, "replaced")
        elif self._filter.is_cut(source, target):
            fault = self._filter.cause(source, target, "cut")
            self._lose(source, target, frames, "cut", fault, at=target)
        else:
            there.receive(source, frames)

    def _latency_s(self) -> float:
        return self._least_s + self._spread_s * self._rng.random()


def _fault_id(owner: object) -> FaultId:
    """By what a fault is known whose owner this is: the fault's number, or a word."""
    first = owner[0] if isinstance(owner, tuple) else owner
    return first if isinstance(first, int) else str(first)


def cuts(links: Iterable[tuple[NodeId, NodeId]]) -> list[LinkFault]:
    """Faults that cut these links, each (source, target). `partition` cuts between groups."""
    return [LinkFault(source=source, target=target, cut=True) for source, target in links]


CLIENT_LATENCY_S = 0.0001
"""How long bytes between a client and a node take, in each direction."""


class Caller(Protocol):
    """A client, as its connection sees it."""

    def received(self, connection: Connection, frames: list[bytes]) -> None:
        """Replies have arrived."""
        ...

    def lost(self, connection: Connection) -> None:
        """The connection has ended; no more replies will arrive."""
        ...


class Connection:
    """A client's connection to one life of one node: the client's `Connection` port.

    The server holds a `ServerEnd`, whose `send` is `answer`. Only the node knows both, so that a
    closed connection is freed at once.
    """

    __slots__ = (
        "_answers",
        "_caller",
        "_closed",
        "_epoch",
        "_node",
        "_reader",
        "_time",
    )

    def __init__(self, time: Time, caller: Caller, node: Endpoint) -> None:
        self._time = time
        self._caller = caller
        self._node = node
        self._epoch = node.epoch
        self._reader = FrameReader()
        self._answers: list[bytes] = []
        self._closed = False

    # -- the client's end ------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Sends bytes: frames, each preceded by its length."""
        self._time.at(self._time.now + CLIENT_LATENCY_S, self._reach_node, self._reader.feed(data))

    def close(self) -> None:
        """Closes the connection; the node learns of it a latency later."""
        if not self._closed:
            self._closed = True
            self._time.at(self._time.now + CLIENT_LATENCY_S, self._reach_node, None)

    def _reach_node(self, bodies: list[bytes] | None) -> None:
        if self._node.epoch == self._epoch:
            self._node.take_requests(self, bodies)

    # -- the server's end ------------------------------------------------------------------------

    def answer(self, frame: bytes) -> None:
        """Buffers a reply until the next `flush`."""
        if not self._answers:
            self._node.unflushed.append(self)
        self._answers.append(frame)

    def flush(self) -> None:
        """Sends the buffered replies."""
        frames, self._answers = self._answers, []
        self._time.at(self._time.now + CLIENT_LATENCY_S, self._reach_client, frames)

    def end(self) -> None:
        """The node's process has died: the client learns of it a latency later."""
        self._time.at(self._time.now + CLIENT_LATENCY_S, self._reach_client, None)

    def _reach_client(self, frames: list[bytes] | None) -> None:
        if self._closed:
            return
        if frames is None:
            self._closed = True
            self._caller.lost(self)
        else:
            self._caller.received(self, frames)


class ServerEnd:
    """The server's end of a connection: the `ClientConnection` port."""

    __slots__ = ("send",)

    def __init__(self, connection: Connection) -> None:
        self.send = connection.answer
