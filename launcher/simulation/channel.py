"""The channel of a simulated client: a `Route` with simulated time and connections around it.

`launcher/client/channel.py` does the same with sockets and real time.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from launcher.client.answers import ReadAnswer, Submitted
from launcher.client.route import Refused, Route
from launcher.client.session import SessionLost, Work
from launcher.client.sockets import Keys
from launcher.simulation.network import Connection, Time
from launcher.simulation.properties import EXACTLY_ONCE
from launcher.simulation.timer import Waiting
from node import wire
from node.errors import WireError
from node.raft.invariants import InvariantBroken
from node.raft.messages import NodeId

if TYPE_CHECKING:
    from launcher.simulation.node import SimulatedNode

_T = TypeVar("_T", Submitted, ReadAnswer)


class ChannelOwner(Protocol):
    """The client that a channel belongs to.

    nodes: all nodes on record
    leader: the node that the client believes to lead
    sessions_end: the cluster may forget the client's session
    route_rng: chooses the nodes to ask
    """

    time: Time
    number: int
    nodes: dict[NodeId, SimulatedNode]
    leader: NodeId | None
    sessions_end: bool
    route_rng: random.Random

    def answered(self, answers: Sequence[Submitted] | Sequence[ReadAnswer]) -> None:
        """Replies to the next operations of the call have arrived."""
        ...

    def give_up(self) -> None:
        """The session is lost."""
        ...


class SimulatedChannel(Waiting, Generic[_T]):
    """One client's connections for one kind of work. The `Dial` and `Caller` ports."""

    __slots__ = (
        "_client",
        "_closed",
        "_node",
        "route",
    )

    def __init__(
        self,
        client: ChannelOwner,
        work: Work[_T],
        node: NodeId | None = None,
    ) -> None:
        """node: the only node to ask; None asks the leader"""
        super().__init__(client.time)
        self._client: ChannelOwner = client
        self._node: NodeId | None = node
        nodes = Keys(client.nodes) if node is None else [node]
        self.route: Route[_T] = Route(nodes, work, self, client.route_rng, leader=client.leader)
        self._closed = False

    def close(self) -> None:
        """Closes its connections, for good."""
        self._closed = True
        self.route.close()
        del self.route  # breaks a cycle of references: there are thousands of channels

    def open(self, node: NodeId) -> Connection | None:
        """The `Dial` port."""
        there = self._client.nodes.get(node)
        if there is None or there.server is None:
            return None
        connection = Connection(self.time, self, there)
        there.connect(connection)
        return connection

    def advance(self) -> None:
        """Sends what is due, and sets the timer for when the route is to try another node."""
        if not self._closed:
            self.route.advance(self.time.now)
            self.arm_timer()

    act = advance

    def due_s(self) -> float:
        """When the route is to try another node."""
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
