"""A hostile client of the simulated world: it asks for what no client may, and is to be refused.

It says one thing at a time, to any node, and looks at the answer. What it says has one field that
is not legal (`node/requests.py`); or is no request at all; or is legal, and long. A node that takes
what it must refuse has believed a client, and that is a broken bound, even if nothing else comes of
it in this run.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import TYPE_CHECKING

from launcher.simulation.network import Connection, Time
from node import wire
from node.raft.invariants import BOUNDS, InvariantBroken
from node.raft.messages import NodeId
from node.requests import MOST_CLIENT_ID_BYTES, MOST_SEQUENCE
from node.wire import MOST_COMMANDS, MOST_UNACKNOWLEDGED, Read, Refused, Submit

if TYPE_CHECKING:
    from launcher.simulation.node import SimulatedNode

EVERY_S = (0.05, 0.8)
"""Between these it pauses, before it says the next thing."""

PATIENCE_S = 0.5
"""So long it waits for an answer."""

LATENCY_S = 0.0001

_GET = b"GET nothing"


class HostileClient:
    """One, with a connection at a time. The `Caller` port of its connections."""

    def __init__(
        self, nodes: Mapping[NodeId, SimulatedNode], time: Time, rng: random.Random
    ) -> None:
        self._nodes = nodes
        self._time = time
        self._rng = rng
        self._until_s = 0.0
        self._said = ""
        self._must_be_refused = False
        self._connection: Connection | None = None
        self._number = 0
        self.refused = 0
        """how often it has been refused"""

    def work(self, until_s: float) -> None:
        """Does its worst until then."""
        self._until_s = until_s
        self._pause()

    def received(self, connection: Connection, frames: list[bytes]) -> None:
        """The `Caller` port."""
        if connection is not self._connection:
            return
        for frame in frames:
            reply = wire.decode_reply(frame)
            self.refused += isinstance(reply, Refused)
            if self._must_be_refused and not isinstance(reply, Refused):
                belief = f"a client that sends {self._said} is refused, and was answered {reply}"
                raise InvariantBroken(BOUNDS, belief)

    def lost(self, connection: Connection) -> None:
        """The `Caller` port."""
        if connection is self._connection:
            self._connection = None

    def _pause(self) -> None:
        self._time.at(self._time.now + self._rng.uniform(*EVERY_S), self._begin)

    def _begin(self) -> None:
        if self._time.now >= self._until_s:
            return
        there = self._nodes[self._rng.choice(list(self._nodes))]
        if there.server is None:
            self._pause()
            return
        connection = self._connection = Connection(self._time, self, there, LATENCY_S)
        there.connect(connection)
        self._said, self._must_be_refused, body = self._next()
        connection.send(wire.frame(body))
        self._time.at(self._time.now + PATIENCE_S, self._end, connection)

    def _end(self, connection: Connection) -> None:
        connection.close()
        self._connection = None
        self._pause()

    def _next(self) -> tuple[str, bool, bytes]:
        """What it says: in words, whether it must be refused, and as a frame."""
        self._number += 1
        client_id = b"\xffhostile %d" % self._number
        first = 1 + int(self._rng.random() * 100)
        many = [b"x"] * (MOST_COMMANDS + 1)
        refused: list[tuple[str, Submit | Read]] = [
            (
                "that it has the answer to what it only sends now",
                Submit(client_id, first, first + 1 + int(self._rng.random() * 100), [_GET]),
            ),
            (
                "many commands, and that it has their answers",
                Submit(client_id, 1, MOST_COMMANDS, [_GET] * 50),
            ),
            ("no answer that it lacks", Submit(client_id, first, 0, [_GET])),
            ("a number below the first", Submit(client_id, 0, 0, [_GET])),
            ("a number beyond all", Submit(client_id, MOST_SEQUENCE, MOST_SEQUENCE, [_GET])),
            (
                "more than may be unacknowledged",
                Submit(client_id, MOST_UNACKNOWLEDGED + first, 1, [_GET]),
            ),
            ("no commands", Submit(client_id, 1, 1, [])),
            ("an empty command", Submit(client_id, 1, 1, [_GET, b""])),
            ("too many commands", Submit(client_id, 1, 1, many)),
            ("no id", Submit(b"", 1, 1, [_GET])),
            ("an id that is too long", Submit(b"i" * (MOST_CLIENT_ID_BYTES + 1), 1, 1, [_GET])),
            ("too many queries", Read(first, many, stale=True)),
        ]
        choice = self._rng.random()
        if choice < 0.1:
            return "noise", True, self._rng.randbytes(1 + int(self._rng.random() * 40))
        if choice < 0.2:
            count = 1 + int(self._rng.random() * 600)
            request: Submit | Read = Submit(client_id, 1, 1, [_GET] * count)
            if choice < 0.15:
                request = Read(first, [_GET] * count, stale=self._rng.random() < 0.5)
            return f"{count} commands", False, wire.encode_client(request)
        said, request = self._rng.choice(refused)
        return said, True, wire.encode_client(request)
