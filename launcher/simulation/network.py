"""The simulated links: frames between nodes, and connections between clients and nodes.

Links between nodes are as fast and as orderly as pipes are, until a fault says otherwise. What
becomes of each frame is decided by the product's own filter, `node/faults.py`; the waiting is done
here, in simulated time. Frames that are under way when a link is cut are lost, as in
`node/transport.py`, and so is the news that a process has died.

Clients reach nodes over local sockets, which no partition touches: bytes arrive in order, or the
connection ends.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from node.faults import PASS, FaultFilter
from node.raft.messages import NodeId
from node.wire import FrameReader, LinkFault


class Time(Protocol):
    """The world, as far as time goes."""

    now: float

    def at(self, when: float, what: Callable[..., None], *arguments: object) -> None:
        """Calls `what` at that time."""
        ...


class Process(Protocol):
    """A simulated process, as far as links go.

    cluster_id: of the cluster that it belongs to; another one once the operator has begun anew
    epoch: another one for each life
    unflushed: connections with answers that leave at the end of its turn
    """

    cluster_id: str
    epoch: int
    unflushed: list[Connection]

    def receive(self, peer: NodeId, frames: list[bytes]) -> None:
        """Frames from a peer have arrived."""
        ...

    def take_requests(self, connection: Connection, bodies: list[bytes] | None) -> None:
        """Requests of a client have arrived, or None: it has hung up."""
        ...


class Network:
    """All links between nodes."""

    __slots__ = (
        "_chance",
        "_faults",
        "_filter",
        "_last_arrival",
        "_least_s",
        "_nodes",
        "_spread_s",
        "_time",
    )

    def __init__(
        self,
        time: Time,
        nodes: Mapping[NodeId, Process],
        latency_s: tuple[float, float],
        chance: random.Random,
    ) -> None:
        self._time = time
        self._nodes = nodes
        self._least_s, most_s = latency_s
        self._spread_s = most_s - self._least_s
        self._chance = chance
        self._filter = FaultFilter(rng=chance)
        self._faults: dict[object, list[LinkFault]] = {}
        self._last_arrival: dict[tuple[NodeId, NodeId], float] = {}

    # -- faults ----------------------------------------------------------------------------------

    def disturb(self, owner: object, faults: Iterable[LinkFault]) -> None:
        """From now on the links do this too, until `owner` mends it."""
        self._faults[owner] = list(faults)
        self._set()

    def mend(self, owner: object) -> None:
        """Takes back what `owner` did."""
        if self._faults.pop(owner, None) is not None:
            self._set()

    def heal(self) -> None:
        """Every link is whole."""
        self._faults.clear()
        self._set()

    def is_cut(self, source: NodeId, target: NodeId) -> bool:
        """Whether nothing crosses that link, in that direction."""
        return self._filter.is_cut(source, target)

    def _set(self) -> None:
        self._filter.set(fault for faults in self._faults.values() for fault in faults)

    # -- frames ----------------------------------------------------------------------------------

    def send(self, source: NodeId, target: NodeId, frames: list[bytes]) -> None:
        """What one process sends another in one turn."""
        of = self._nodes[source].cluster_id
        together = []
        for frame in frames:
            verdict = self._filter.verdict(source, target)
            if verdict is PASS:
                together.append(frame)
            else:
                for delay_s in verdict:
                    when = self._time.now + self._latency_s() + delay_s
                    self._time.at(when, self._arrive, source, target, of, [frame])
        if together:
            when = self.next_arrival(source, target)
            self._time.at(when, self._arrive, source, target, of, together)

    def next_arrival(self, source: NodeId, target: NodeId) -> float:
        """When what is sent now arrives: not before what was sent before."""
        link = (source, target)
        when = self._time.now + self._latency_s()
        last = self._last_arrival.get(link, 0.0)
        if when < last:
            when = last
        self._last_arrival[link] = when
        return when

    def _arrive(self, source: NodeId, target: NodeId, of: str, frames: list[bytes]) -> None:
        """A frame of a cluster that was given up reaches nobody: no pipe leads to the next one."""
        there = self._nodes[target]
        if there.cluster_id == of and not self._filter.is_cut(source, target):
            there.receive(source, frames)

    def _latency_s(self) -> float:
        return self._least_s + self._spread_s * self._chance.random()


def cuts(links: Iterable[tuple[NodeId, NodeId]]) -> list[LinkFault]:
    """Nothing crosses these links; each from its source to its target."""
    return [LinkFault(source=source, target=target, cut=True) for source, target in links]


class Caller(Protocol):
    """A client, as its connection knows it."""

    def received(self, connection: Connection, frames: list[bytes]) -> None:
        """Answers have come."""
        ...

    def lost(self, connection: Connection) -> None:
        """The connection has ended, and nothing more will come."""
        ...


class Connection:
    """A client's connection to one life of one node: the client's `Connection` port. What the
    server has of it is a `ServerEnd`, `send` of which is `answer`; only the node has both, so that
    nothing is left of a connection that has been closed."""

    __slots__ = (
        "_answers",
        "_caller",
        "_closed",
        "_epoch",
        "_latency_s",
        "_node",
        "_reader",
        "_time",
    )

    def __init__(self, time: Time, caller: Caller, node: Process, latency_s: float) -> None:
        self._time = time
        self._caller = caller
        self._node = node
        self._epoch = node.epoch
        self._latency_s = latency_s
        self._reader = FrameReader()
        self._answers: list[bytes] = []
        self._closed = False

    # -- the client's end ------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Frames, each behind its length."""
        self._time.at(self._time.now + self._latency_s, self._reach_node, self._reader.feed(data))

    def close(self) -> None:
        """Hangs up."""
        if not self._closed:
            self._closed = True
            self._time.at(self._time.now + self._latency_s, self._reach_node, None)

    def _reach_node(self, bodies: list[bytes] | None) -> None:
        if self._node.epoch == self._epoch:
            self._node.take_requests(self, bodies)

    # -- the server's end ------------------------------------------------------------------------

    def answer(self, frame: bytes) -> None:
        """Gathers an answer; it leaves with the next `flush`."""
        if not self._answers:
            self._node.unflushed.append(self)
        self._answers.append(frame)

    def flush(self) -> None:
        """Sends what was gathered."""
        frames, self._answers = self._answers, []
        self._time.at(self._time.now + self._latency_s, self._reach_client, frames)

    def end(self) -> None:
        """The node's process has died."""
        self._time.at(self._time.now + self._latency_s, self._reach_client, None)

    def _reach_client(self, frames: list[bytes] | None) -> None:
        if self._closed:
            return
        if frames is None:
            self._closed = True
            self._caller.lost(self)
        else:
            self._caller.received(self, frames)


class ServerEnd:
    """What the server knows of a connection."""

    __slots__ = ("send",)

    def __init__(self, connection: Connection) -> None:
        self.send = connection.answer
